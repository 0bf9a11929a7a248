// The reversible schemes as steppers under the one loop, with dense output and an error estimate.
namespace Continuum

open System
open System.Collections.Generic
open TorchSharp

/// The stepper of both schemes. The second state starts equal to the first at every Start. Dense output is the cubic Hermite interpolant of
/// the first state, from slopes that the step has anyway: order 3, or the scheme's if that is lower.
type internal ReversibleStepper(scheme: ReversibleScheme, space: TensorSpace) =
    let normed = space :> INormedSpace<Tensor>
    let mutable t = 0.0
    let mutable h = 0.0
    let mutable tEnd = 0.0
    let mutable y: Tensor = null
    let mutable z: Tensor = null
    let mutable slope: Tensor = null
    let mutable y1: Tensor = null
    let mutable z1: Tensor = null
    let mutable endSlope: Tensor = null
    let mutable scope: IDisposable = null
    let mutable started = false
    let mutable fresh = false
    let mutable finished = false
    let mutable leaving: Action<Tensor, Tensor> = null

    let closeScope () =
        if not (isNull scope) then
            scope.Dispose()
            scope <- null

    let freeSlope () =
        if not (isNull slope) then
            normed.Free slope
            slope <- null

    let ensureSlope () =
        if isNull slope then
            use _ = normed.OpenScope()
            slope <- normed.Keep(scheme.SlopeAt(t, z))

    /// The second half of the attempted step.
    let finish () =
        if not finished then
            let struct (other, last) = scheme.Second(tEnd, h, z, y1)
            z1 <- other
            endSlope <- last
            finished <- true

    let release () =
        if started then
            closeScope ()

            if not (isNull leaving) then
                leaving.Invoke(y, z)

            normed.Free y
            normed.Free z
            freeSlope ()
            started <- false

    /// Told the pair of states that a new Start or Dispose is about to drop.
    member _.Leaving
        with get () = leaving
        and set value = leaving <- value

    /// The second state.
    member _.Second = z
    /// No step was accepted since Start.
    member _.Fresh = fresh
    /// Where the attempted step ends.
    member _.End = tEnd

    /// |h| times the field's Lipschitz constant, as seen along the attempted step.
    member _.Expansion =
        finish ()
        let from = if scheme.SharesSlope then z1 else y1
        let distance = normed.Distance(from, z)

        if distance = 0.0 then
            0.0
        else
            abs h * normed.Distance(endSlope, slope) / distance

    /// Does what the attempted step still lacks, so that Accept cannot fail.
    member _.Complete() = finish ()

    interface IStepper<Tensor> with
        member _.ErrorOrder = scheme.ErrorOrder
        member _.IsAdaptive = scheme.IsAdaptive
        member _.DefaultFeedback = scheme.Feedback

        member _.Start(time, state) =
            // Copy before releasing: the new state may be the old one.
            let first = normed.Copy state
            let second = normed.Copy state
            release ()
            t <- time
            y <- first
            z <- second
            started <- true
            fresh <- true

        member _.InitialStep(direction, longest) =
            ensureSlope ()
            let evaluate time state = scheme.SlopeAt(time, state)
            StepDefaults.firstStep space evaluate scheme.ErrorOrder direction longest t z slope

        member _.Try(step, stepEnd) =
            closeScope ()
            ensureSlope ()
            scope <- normed.OpenScope()
            h <- step
            tEnd <- stepEnd
            finished <- false

            try
                y1 <- scheme.First(t, tEnd, h, y, z, slope)
                let error = scheme.ErrorNorm(h, y, y1)

                if error <= 1.0 then
                    finish ()
                    // Nobody else looks at the second state.
                    if normed.IsFinite z1 then error else nan
                else
                    error
            with _ ->
                closeScope ()
                reraise ()

        member _.Accept() =
            finish ()
            let first = normed.Keep y1
            let second = normed.Keep z1
            let next = if scheme.SharesSlope then normed.Keep endSlope else null
            normed.Free y
            normed.Free z
            freeSlope ()
            closeScope ()
            y <- first
            z <- second
            slope <- next
            t <- tEnd
            fresh <- false

        member _.Time = t
        member _.State = y
        member _.Candidate = y1

        member _.Interpolate theta =
            finish ()
            let rest = 1.0 - theta
            let along = theta * theta * (3.0 - 2.0 * theta)
            let moved = normed.Combine(y, y, along, [| 1.0; -1.0 |], [| y1; y |], 2)
            let bend = [| theta * rest * rest; -theta * theta * rest |]
            normed.Combine(moved, moved, h, bend, [| slope; endSlope |], 2)

        member _.DenseStep() =
            finish ()
            let zero = normed.Combine(y, y, -1.0, [| 1.0 |], [| y |], 1)
            let k = [| slope; endSlope; y1; y |]
            let part w = normed.Keep(normed.Combine(zero, zero, 1.0, w, k, 4))

            let q = [|
                part [| 1.0; 0.0; 0.0; 0.0 |]
                part [| -2.0; -1.0; 3.0 / h; -3.0 / h |]
                part [| 1.0; 1.0; -2.0 / h; 2.0 / h |]
            |]

            DenseStep<Tensor, TensorSpace>(space, t, h, tEnd, normed.Keep(normed.Copy y), q)

        member _.Evaluations = scheme.Evaluations

        member _.Heuristics() =
            match scheme.Estimate with
            | struct (null, _, _) -> struct (nan, nan)
            | struct (w, k, count) -> struct (normed.Distance(normed.Combine(y, y, h, w, k, count), y), nan)

        member _.StabilityRadius = scheme.StabilityRadius

        member _.WorstComponent() =
            let struct (w, k, count) = scheme.Estimate

            if isNull scope then normed.WorstComponent(y, y, 0.0, [| 1.0 |], [| y |], 1)
            elif isNull w then normed.WorstComponent(y, y1, 0.0, [| 1.0 |], [| y1 |], 1)
            else normed.WorstComponent(y, y1, h, w, k, count)

        member _.Factor(_, _) = nan
        member _.Difficulty = Status.Success
        member _.Work = ImplicitWork.Zero
        member _.Choices = [| { Time = nan; Method = scheme.Name; Reason = "asked for" } |]
        member _.Dispose() = release ()

/// Reversible Heun as a stepper: order 2, one evaluation a step.
[<Sealed>]
type internal ReversibleHeunStepper(space: TensorSpace, field: TensorField) =
    inherit ReversibleStepper(HeunScheme(space, field), space)

/// The coupled reversible form of a tableau as a stepper. like: any tensor of the state's shape.
[<Sealed>]
type internal CoupledStepper(tableau: Tableau, coupling: float, space: TensorSpace, field: TensorField, like: Tensor) =
    inherit ReversibleStepper(CoupledScheme(tableau, coupling, space, field, like), space)
