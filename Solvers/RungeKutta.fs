// Explicit Runge-Kutta: the tableau loop, written once for every space and clock, and its stepper under a scalar clock.
namespace Continuum

open System

/// The stages of one explicit Runge-Kutta step over any space and clock. Holds the slopes k of the step in progress.
[<Sealed>]
type internal RungeKuttaKernel<'S, 'T, 'P, 'F when 'P: struct and 'P :> IStateSpace<'S, 'T> and 'F :> IField<'S, 'T>>
    (tableau: Tableau, space: 'P, field: 'F, like: 'S) =
    // mutable: an immutable struct field would be copied before each call on it
    let mutable space = space
    let mutable field = field
    let a = tableau.Raw.A
    let b = tableau.Raw.B
    let c = tableau.Raw.C
    let dense = tableau.Raw.Dense
    let stages = tableau.Stages
    let total = stages + dense.ExtraC.Length
    let fsal = tableau.Fsal
    let struct (stiff, _) = tableau.StiffnessPair
    let k: 'S[] = Array.init total (fun _ -> space.Allocate like)
    let mutable stage = space.Allocate like
    let mutable stiffStage = space.Allocate like
    let mutable extraStage = space.Allocate like
    let mutable evaluations = 0

    /// Slopes; index 0 is the slope at the start.
    member _.K = k
    member _.Tableau = tableau
    member _.Evaluations = evaluations
    /// State of the stage that the stiffness estimate compares with the end of the step.
    member _.StiffStage = stiffStage
    /// State of the last stage.
    member _.LastStage = stage

    member _.FirstSlope(t: 'T, y: 'S) =
        evaluations <- evaluations + 1
        k[0] <- field.Eval(t, y, k[0])

    /// Field evaluation outside of a step (initial step length); result in dest.
    member _.Slope(t: 'T, y: 'S, dest: 'S) =
        evaluations <- evaluations + 1
        field.Eval(t, y, dest)

    /// The slopes that the result is a sum of, from k[0] already known.
    member _.InnerStages(t: 'T, h: 'T, y: 'S) =
        let inner = if fsal then stages - 2 else stages - 1

        for s in 1..inner do
            evaluations <- evaluations + 1

            if s = stiff then
                stiffStage <- space.Combine(stiffStage, y, h, a[s], k, s)
                k[s] <- field.Eval(space.Advance(t, h, c[s]), stiffStage, k[s])
            else
                stage <- space.Combine(stage, y, h, a[s], k, s)
                k[s] <- field.Eval(space.Advance(t, h, c[s]), stage, k[s])

    /// The new state, from k[0] already known. The last slope is the one at the end if the method is FSAL.
    member this.Step(t: 'T, h: 'T, y: 'S, dest: 'S) : 'S =
        this.InnerStages(t, h, y)

        if fsal then
            let y1 = space.Combine(dest, y, h, b, k, stages - 1)
            evaluations <- evaluations + 1
            k[stages - 1] <- field.Eval(space.Advance(t, h, 1.0), y1, k[stages - 1])
            y1
        else
            space.Combine(dest, y, h, b, k, stages)

    /// The extra stages of dense output.
    member _.ExtraStages(t: 'T, h: 'T, y: 'S) =
        for e in 0 .. dense.ExtraC.Length - 1 do
            let s = stages + e
            evaluations <- evaluations + 1
            extraStage <- space.Combine(extraStage, y, h, dense.ExtraA[e], k, s)
            k[s] <- field.Eval(space.Advance(t, h, dense.ExtraC[e]), extraStage, k[s])

    /// Moves the slope at index i to the front; arrays swap their buffers.
    member _.Promote(i: int, value: 'S) =
        let first = k[0]
        k[0] <- value
        k[i] <- first

/// Lets the owner of a dense solution reach the states it holds (to free or move tensors).
type internal IHoldsStates<'S> =
    abstract ForEach: visit: ('S -> unit) -> unit

/// A stepper that tells, without evaluations and allocations, how stiff the attempted step was.
type internal IStiffnessProbe =
    /// Estimate of the largest |eigenvalue| of the Jacobian along the attempted step; NaN where it is not known.
    abstract Stiffness: float

/// What steppers under a scalar clock choose by themselves.
[<RequireQualifiedAccess>]
module internal StepDefaults =
    /// Step control of a tableau's family.
    let feedback (tableau: Tableau) =
        match tableau.Raw.Error with
        | Dop853Pair _ -> Controller.dop853
        | _ when tableau.Name = "Dopri5" -> Controller.piDopri5
        | _ -> Controller.pi (max 1 tableau.ErrorOrder)

    /// Hairer's first step length from (t, y) with slope f(t, y); evaluate is the field. Hairer, Norsett and Wanner I, II.4.
    let firstStep<'S, 'P when 'P: struct and 'P :> INormedSpace<'S>>
        (space: 'P)
        (evaluate: float -> 'S -> 'S)
        (errorOrder: int)
        (direction: float)
        (longest: float)
        (t: float)
        (y: 'S)
        (slope: 'S)
        : float =
        let own = space.OpenScope()

        try
            let order = float (max 1 errorOrder)
            let zero = space.Combine(space.Allocate y, y, -1.0, [| 1.0 |], [| y |], 1)
            let d0 = space.ScaledDistance(y, zero, y)
            let d1 = space.ScaledDistance(slope, zero, y)

            if not (Double.IsFinite d0 && Double.IsFinite d1) then
                // The loop will report what is not finite.
                Math.Min(1e-6, longest)
            else
                let h0 = if d0 < 1e-5 || d1 < 1e-5 then 1e-6 else 0.01 * d0 / d1
                let h0 = Math.Min(h0, longest)
                let trial = space.Combine(space.Allocate y, y, direction * h0, [| 1.0 |], [| slope |], 1)
                let d2 = space.ScaledDistance(evaluate (t + direction * h0) trial, slope, y) / h0
                let worst = Math.Max(d1, d2)

                let h1 =
                    if not (Double.IsFinite d2) then h0 * 0.1
                    elif worst <= 1e-15 then Math.Max(1e-6, h0 * 1e-3)
                    else Math.Pow(0.01 / worst, 1.0 / order)

                Math.Min(Math.Min(100.0 * h0, h1), longest)
        finally
            if not (isNull own) then
                own.Dispose()

/// Dense output of one accepted step: y(theta) = y0 + h sum_p theta^p q_p.
[<Sealed>]
type internal DenseStep<'S, 'P when 'P: struct and 'P :> INormedSpace<'S>>
    (space: 'P, t0: float, h: float, tEnd: float, y0: 'S, q: 'S[]) =
    interface IHoldsStates<'S> with
        member _.ForEach visit =
            visit y0
            Array.iter visit q

    interface IDenseSolution<'S> with
        member _.Start = t0
        member _.End = tEnd

        member _.At t =
            let theta = if h = 0.0 then 0.0 else (t - t0) / h
            let powers = Array.zeroCreate q.Length
            let mutable p = theta

            for i in 0 .. q.Length - 1 do
                powers[i] <- p
                p <- p * theta

            let mutable space = space
            space.Combine(space.Allocate y0, y0, h, powers, q, q.Length)

/// The stepper of every explicit tableau, over any normed space under a scalar clock.
[<Sealed>]
type RungeKuttaStepper<'S, 'P, 'F when 'P: struct and 'P :> INormedSpace<'S> and 'F :> IField<'S, float>>
    internal (tableau: Tableau, space: 'P, field: 'F, like: 'S) =
    let mutable space = space
    let kernel = RungeKuttaKernel<'S, float, 'P, 'F>(tableau, space, field, like)
    let k = kernel.K
    let stages = tableau.Stages
    let dense = tableau.Raw.Dense
    let total = stages + dense.ExtraC.Length
    let struct (stiffFrom, stiffTo) = tableau.StiffnessPair
    let weights: float[] = Array.zeroCreate total
    let mutable t = 0.0
    let mutable h = 0.0
    let mutable tEnd = 0.0
    let mutable y = Unchecked.defaultof<'S>
    let mutable candidate = space.Allocate like
    let mutable spare = space.Allocate like
    let mutable scope: IDisposable = null
    let mutable started = false
    let mutable slopeKnown = false
    let mutable attempted = false
    let mutable extrasKnown = false

    let closeScope () =
        if not (isNull scope) then
            scope.Dispose()
            scope <- null

    let ensureSlope () =
        if not slopeKnown then
            let own = space.OpenScope()

            try
                kernel.FirstSlope(t, y)
                k[0] <- space.Keep k[0]
            finally
                if not (isNull own) then
                    own.Dispose()

            slopeKnown <- true

    let ensureExtras () =
        if not extrasKnown then
            kernel.ExtraStages(t, h, y)
            extrasKnown <- true

    let releaseCurrent () =
        if started then
            closeScope ()
            space.Free y

            if slopeKnown then
                space.Free k[0]
                slopeKnown <- false

            started <- false

    /// Slopes of the attempted step, in stage order (extra stages only after Interpolate).
    member internal _.Kernel = kernel
    /// Signed length of the attempted step.
    member internal _.H = h

    /// The ratio |k_j - k_i| / |g_j - g_i| of the tableau's stiffness pair, on the attempted step.
    member internal _.Stiffness =
        if stiffFrom < 0 then
            nan
        else
            let state = if tableau.Fsal then candidate else kernel.LastStage
            let distance = space.Distance(state, kernel.StiffStage)

            if distance = 0.0 then
                nan
            else
                space.Distance(k[stiffTo], k[stiffFrom]) / distance

    interface IStiffnessProbe with
        member this.Stiffness = this.Stiffness

    interface IStepper<'S> with
        member _.ErrorOrder = tableau.ErrorOrder

        member _.IsAdaptive = tableau.IsAdaptive

        member _.DefaultFeedback = StepDefaults.feedback tableau

        member _.Start(time, state) =
            // Copy before releasing: the new state may be the old one.
            let copy = space.Copy state
            releaseCurrent ()
            t <- time
            y <- copy
            started <- true
            attempted <- false

        member _.InitialStep(direction, longest) =
            ensureSlope ()
            let evaluate time state = kernel.Slope(time, state, space.Allocate state)
            StepDefaults.firstStep space evaluate tableau.ErrorOrder direction longest t y k[0]

        member _.Try(step, stepEnd) =
            closeScope ()
            ensureSlope ()
            scope <- space.OpenScope()
            h <- step
            tEnd <- stepEnd
            extrasKnown <- false
            attempted <- true

            try
                candidate <- kernel.Step(t, h, y, spare)

                match tableau.Raw.Error with
                | NoEstimate -> 0.0
                | Embedded w -> space.ErrorNorm(y, candidate, h, w, k, stages)
                | Dop853Pair(w5, w3) ->
                    let e5 = space.ErrorNorm(y, candidate, h, w5, k, stages)
                    let e3 = space.ErrorNorm(y, candidate, h, w3, k, stages)
                    if e5 = 0.0 && e3 = 0.0 then 0.0 else e5 * e5 / sqrt (e5 * e5 + 0.01 * e3 * e3)
            with _ ->
                closeScope ()
                reraise ()

        member _.Accept() =
            let last =
                if tableau.Fsal then stages - 1
                elif extrasKnown && tableau.EndSlope >= 0 then tableau.EndSlope
                else -1

            let next = space.Keep candidate
            spare <- y
            space.Free y
            y <- next

            if last >= 0 then
                let slope = space.Keep k[last]
                space.Free k[0]
                kernel.Promote(last, slope)
            else
                space.Free k[0]
                slopeKnown <- false

            closeScope ()
            t <- tEnd
            attempted <- false

        member _.Time = t
        member _.State = y
        member _.Candidate = candidate

        member _.Interpolate theta =
            ensureExtras ()

            for i in 0 .. total - 1 do
                let row = dense.Weights[i]
                let mutable s = 0.0

                for p in row.Length - 1 .. -1 .. 0 do
                    s <- theta * (row[p] + s)

                weights[i] <- s

            space.Combine(space.Allocate y, y, h, weights, k, total)

        member _.DenseStep() =
            ensureExtras ()
            let degree = dense.Weights |> Array.fold (fun d row -> max d row.Length) 0
            let zero = space.Combine(space.Allocate y, y, -1.0, [| 1.0 |], [| y |], 1)

            let q =
                Array.init degree (fun p ->
                    let column =
                        Array.init total (fun i -> if p < dense.Weights[i].Length then dense.Weights[i][p] else 0.0)

                    space.Keep(space.Combine(space.Allocate y, zero, 1.0, column, k, total)))

            DenseStep<'S, 'P>(space, t, h, tEnd, space.Keep(space.Copy y), q)

        member _.Evaluations = kernel.Evaluations

        member this.Heuristics() =
            let error =
                match tableau.Raw.Error with
                | NoEstimate -> nan
                | Embedded w
                | Dop853Pair(w, _) -> space.Distance(space.Combine(space.Allocate y, y, h, w, k, stages), y)

            struct (error, this.Stiffness)

        member _.StabilityRadius = tableau.StabilityRadius

        member _.WorstComponent() =
            match tableau.Raw.Error with
            | Embedded w
            | Dop853Pair(w, _) when attempted -> space.WorstComponent(y, candidate, h, w, k, stages)
            | _ when attempted -> space.WorstComponent(y, candidate, 0.0, tableau.Raw.B, k, stages)
            | _ -> space.WorstComponent(y, y, 0.0, tableau.Raw.B, k, 1)

        member _.Factor(_, _) = nan
        member _.Difficulty = Status.Success
        member _.Work = ImplicitWork.Zero
        member _.Choices = [| { Time = nan; Method = tableau.Name; Reason = "asked for" } |]
        member _.Dispose() = releaseCurrent ()
