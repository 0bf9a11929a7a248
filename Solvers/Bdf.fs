// Backward differentiation formulas with variable steps: orders 1 to 5, order and step chosen by the stepper.
namespace Continuum

open System

/// Backward differentiation formulas (Gear 1971) of order 1 to 5 with variable coefficients: the polynomial through the new value and
/// the last ones, at their own times, satisfies M y' = f(t, y) at the new time. Order and step are the stepper's own choice: after as
/// many steps as the order plus one, the orders one below and one above compete for the longest next step, as in VODE (Brown, Byrne
/// and Hindmarsh 1989). Orders 1 and 2 are A-stable; 3, 4 and 5 are A(alpha)-stable with alpha = 86, 73 and 51.8 degrees, so for
/// oscillations that are hardly damped lower the largest order to 2 or take another method.
[<Sealed>]
type BdfStepper<'S, 'P, 'F when 'P: struct and 'P :> INormedSpace<'S> and 'F :> IField<'S, float>>
    internal (name: string, maxOrder: int, space: 'P, field: 'F, linear: ILinearSystem<'S, float>, like: 'S) =
    let mutable space = space
    let mutable field = field
    let history = BdfHistory<'S, 'P>(space, like)
    let newton = BdfNewton<'S, 'P, 'F>(space, field, linear, like)
    let values: float[] = Array.zeroCreate (BdfFormula.maxOrder + 1)
    let slopes: float[] = Array.zeroCreate (BdfFormula.maxOrder + 1)
    let one = [| 1.0 |]
    let difference = [| 1.0; -1.0 |]
    let pair: 'S[] = Array.zeroCreate 2
    let single: 'S[] = Array.zeroCreate 1

    let kept (make: unit -> 'S) =
        let own = space.OpenScope()

        try
            space.Keep(make ())
        finally
            if not (isNull own) then
                own.Dispose()

    let zero = kept (fun () -> space.Combine(space.Allocate like, like, -1.0, one, [| like |], 1))
    let mutable order = 1
    let mutable nextOrder = 1
    /// Accepted steps at this order.
    let mutable steady = 0
    /// Rejections by the error since the last accepted step.
    let mutable misses = 0
    let mutable mostGrowth = 0.0
    /// Whether the loop asks for factors at all (adaptive steps), and whether it did for the attempted step.
    let mutable controlled = false
    let mutable asked = false
    let mutable t = 0.0
    let mutable h = 0.0
    let mutable tEnd = 0.0
    let mutable y = Unchecked.defaultof<'S>
    let mutable predicted = space.Allocate like
    let mutable known = space.Allocate like
    let mutable startSlope = space.Allocate like
    let mutable started = false
    let mutable slopeKnown = false
    let mutable evaluations = 0
    let mutable errorConstant = 0.0
    let mutable scope: IDisposable = null

    let closeScope () =
        if not (isNull scope) then
            scope.Dispose()
            scope <- null

    let evaluate (time: float) (state: 'S) (dest: 'S) =
        evaluations <- evaluations + 1
        field.Eval(time, state, dest)

    /// y' from M y' = f where M may be singular: W = M - g J with a short g, twice, the second time from the range of M, so that
    /// small residuals of algebraic equations are not taken for slopes.
    let solveSlope (slope: 'S) (g: float) =
        linear.Linearise(t, y, slope)

        if linear.Factorise g then
            let drift = linear.TimeSlope(t, y, slope, space.Allocate like)
            single[0] <- drift
            let moved = space.Combine(space.Allocate like, slope, g, one, single, 1)
            let first = linear.Solve(moved, space.Allocate like)
            let massed = linear.MassTimes(first, space.Allocate like)
            linear.Solve(space.Combine(space.Allocate like, massed, g, one, single, 1), space.Allocate like)
        else
            zero

    let ensureSlope (step: float) =
        if not slopeKnown then
            startSlope <-
                kept (fun () ->
                    let slope = evaluate t y (space.Allocate like)
                    if linear.HasIdentityMass then slope else solveSlope slope (1e-3 * step))

            slopeKnown <- true

    let release () =
        if started then
            closeScope ()
            space.Free y
            started <- false

        if slopeKnown then
            space.Free startSlope
            slopeKnown <- false

    let predict () =
        if history.IsTangent then
            history.Tangent(startSlope, zero, h)

        history.Measure h
        let lead = BdfFormula.leading history.Distances order h
        errorConstant <- BdfFormula.errorConstant history.Distances order
        history.Weights(order, h, lead, values, slopes)
        predicted <- space.Combine(predicted, zero, 1.0, values, history.Increments, order)
        known <- space.Combine(known, zero, 1.0, slopes, history.Increments, order)
        lead

    /// Factor to the next step at an order with this scaled error; the bias keeps the next error well under the tolerance.
    let factorAt (bias: float) (error: float) (order: int) =
        1.0 / (Math.Pow(bias * error, 1.0 / float (order + 1)) + 1e-6)

    let errorAt other = history.ErrorAt(other, newton.Increment, y, newton.Candidate)

    /// Order and factor after an accepted step.
    let advance (error: float) =
        misses <- 0
        nextOrder <- order
        let mutable best = factorAt 8.0 error order

        if steady >= order then
            if order > 1 then
                let down = factorAt 8.0 (errorAt (order - 1)) (order - 1)

                if down > best then
                    best <- down
                    nextOrder <- order - 1

            if order < maxOrder && history.Known > order then
                let up = factorAt 10.6 (errorAt (order + 1)) (order + 1)

                if up > best then
                    best <- up
                    nextOrder <- order + 1

        if best > 0.9 && best < 1.05 then
            // a constant step keeps the factorisation, and hardly a longer one could be had
            nextOrder <- order
            1.0
        else
            Math.Clamp(best, 0.2, mostGrowth)

    /// Factor after a step whose error was too large.
    let retreat (error: float) =
        misses <- misses + 1
        let same = Math.Clamp(factorAt 6.0 error order, 0.1, 0.9)

        if order = 1 then
            same
        elif misses >= 3 then
            // the past does not predict: begin again
            order <- 1
            steady <- 0
            0.2
        else
            let down = Math.Clamp(factorAt 6.0 (errorAt (order - 1)) (order - 1), 0.1, 0.9)

            if down > same then
                order <- order - 1
                steady <- 0

            Math.Max(same, down)

    /// Order in use.
    member internal _.Order = order

    /// After Start: gives the past, so that steps begin at an order. values are y at t - gaps[0], t - gaps[0] - gaps[1], ...
    member internal _.Seed(values: 'S[], gaps: float[], first: int) =
        let mutable newer = y
        let past = Array.map2 (fun value gap -> struct (value, gap)) values gaps

        let increments =
            past
            |> Array.map (fun struct (older, gap) ->
                let increment = space.Combine(space.Allocate like, newer, -1.0, one, [| older |], 1)
                newer <- older
                struct (increment, gap))

        for struct (increment, gap) in Array.rev increments do
            history.Push(increment, gap) |> ignore

        order <- first

    interface IStepUnknowns<'S> with
        member _.Order = order
        member _.Unknowns = [| newton.Increment |]

    interface IStepper<'S> with
        member _.ErrorOrder = 2
        member _.IsAdaptive = true
        member _.DefaultFeedback = Controller.integral 2

        member _.Start(time, state) =
            let copy = space.Copy state
            release ()
            history.Clear()
            newton.Forget()
            t <- time
            y <- copy
            started <- true
            order <- 1
            steady <- 0
            misses <- 0
            mostGrowth <- 1e4

        member _.InitialStep(direction, longest) =
            ensureSlope (direction * Math.Min(1e-6, longest))

            if linear.HasIdentityMass then
                let evaluate time state = evaluate time state (space.Allocate state)
                StepDefaults.firstStep space evaluate 2 direction longest t y startSlope
            else
                let d0 = space.ScaledDistance(y, zero, y)
                let d1 = space.ScaledDistance(startSlope, zero, y)

                let h =
                    if d0 < 1e-5 || d1 < 1e-5 || not (Double.IsFinite(d0 + d1)) then
                        1e-6
                    else
                        0.01 * d0 / d1

                Math.Min(h, longest)

        member _.Try(step, stepEnd) =
            closeScope ()
            ensureSlope step
            scope <- space.OpenScope()
            h <- step
            tEnd <- stepEnd
            asked <- false

            try
                let lead = predict ()

                if newton.Solve(y, tEnd, h, lead, known, predicted, errorConstant) then
                    pair[0] <- newton.Increment
                    pair[1] <- predicted
                    space.ErrorNorm(y, newton.Candidate, errorConstant, difference, pair, 2)
                else
                    infinity
            with _ ->
                closeScope ()
                reraise ()

        member _.Factor(accepted, error) =
            asked <- true
            controlled <- true

            if accepted then advance error
            elif Double.IsFinite error then retreat error
            else 0.25

        member _.Accept() =
            newton.Increment <- history.Push(newton.Increment, h)
            let next = space.Keep newton.Candidate
            newton.Candidate <- y
            space.Free y
            y <- next
            closeScope ()
            t <- tEnd
            newton.Age()
            steady <- steady + 1
            mostGrowth <- 10.0

            if asked then
                if nextOrder <> order then
                    order <- nextOrder
                    steady <- 0
            elif not controlled && order < maxOrder && history.Known > order then
                // fixed steps: up to the largest order
                order <- order + 1

        member _.Time = t
        member _.State = y
        member _.Candidate = newton.Candidate
        member _.Interpolate theta = history.Interpolate(theta, h, order, newton.Increment, newton.Candidate)
        member _.DenseStep() = history.DenseStep(t, tEnd, order, newton.Increment, newton.Candidate)
        member _.Evaluations = evaluations + newton.Evaluations

        member _.Heuristics() = struct (errorConstant * space.Distance(newton.Increment, predicted) / abs h, nan)

        member _.StabilityRadius = nan

        member _.WorstComponent() =
            pair[0] <- newton.Increment
            pair[1] <- predicted
            space.WorstComponent(y, newton.Candidate, errorConstant, difference, pair, 2)

        member _.Difficulty = newton.Difficulty
        member _.Work = newton.Work
        member _.Choices = [| { Time = nan; Method = name; Reason = "asked for" } |]

        member _.Dispose() =
            release ()
            history.Clear()
            space.Free zero
            linear.Dispose()
