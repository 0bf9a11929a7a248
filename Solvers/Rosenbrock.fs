// Rosenbrock methods: the stages, written once for every space and clock, and their stepper under a scalar clock.
namespace Continuum

open System

/// The stages of one Rosenbrock step over any space and clock, in slopes k_i = u_i / h. zero is the zero state, one the unit of the clock.
/// The caller linearises and factors M - gamma h J before.
[<Sealed>]
type internal RosenbrockKernel<'S, 'T, 'P, 'F, 'L
    when 'P: struct and 'P :> IStateSpace<'S, 'T> and 'F :> IField<'S, 'T> and 'L :> ILinearSystem<'S, 'T>>
    (tableau: RosenbrockTableau, space: 'P, field: 'F, linear: 'L, like: 'S, zero: 'S, one: 'T) =
    // mutable: an immutable struct field would be copied before each call on it
    let mutable space = space
    let mutable field = field
    let mutable linear = linear
    let stages = tableau.Stages
    let gamma = tableau.Gamma
    let a = tableau.A
    let c = tableau.C
    let b = tableau.B
    let identity = linear.HasIdentityMass
    let k: 'S[] = Array.init stages (fun _ -> space.Allocate like)
    // What a right-hand side is a sum of: the stage's field, h df/dt, then the slopes so far.
    let terms: 'S[] = Array.append [| like; like |] k
    // With the identity as mass, all weights at once; else those of the slopes apart, since M multiplies them.
    let weights =
        Array.init stages (fun i ->
            Array.append [| gamma; gamma * tableau.D[i] |] (Array.map ((*) gamma) tableau.Coupling[i]))

    let coupled = weights |> Array.map (Array.skip 2)
    let own = weights |> Array.map (Array.truncate 2)
    let timeWeight = [| 1.0 |]
    let timeTerm: 'S[] = [| like |]
    let mutable stage = space.Allocate like
    let mutable stageSlope = space.Allocate like
    let mutable hTime = space.Allocate like
    let mutable massTimes = space.Allocate like
    let mutable right = space.Allocate like
    let mutable evaluations = 0

    /// Slopes of the step: y1 = y + h sum b_i k_i.
    member _.K = k
    member _.Tableau = tableau
    /// Evaluations by stages (the linear system counts its own).
    member _.Evaluations = evaluations
    /// After a step of a method whose last stage is at the new state: the slope there.
    member _.LastSlope = stageSlope

    /// f(t, y), in dest.
    member _.Slope(t: 'T, y: 'S, dest: 'S) =
        evaluations <- evaluations + 1
        field.Eval(t, y, dest)

    member private _.RightSide(i: int) =
        if identity then
            space.Combine(right, zero, one, weights[i], terms, i + 2)
        elif i = 0 then
            space.Combine(right, zero, one, own[0], terms, 2)
        else
            let sum = space.Combine(right, zero, one, coupled[i], k, i)
            massTimes <- linear.MassTimes(sum, massTimes)
            space.Combine(right, massTimes, one, own[i], terms, 2)

    /// The new state, from slope = f(t, y) and timeSlope = df/dt there, with the factorisation of M - gamma h J made.
    member this.Step(t: 'T, h: 'T, y: 'S, slope: 'S, timeSlope: 'S, dest: 'S) : 'S =
        timeTerm[0] <- timeSlope
        hTime <- space.Combine(hTime, zero, h, timeWeight, timeTerm, 1)
        terms[0] <- slope
        terms[1] <- hTime

        for i in 0 .. stages - 1 do
            if i > 0 then
                stage <- space.Combine(stage, y, h, a[i], k, i)
                evaluations <- evaluations + 1
                stageSlope <- field.Eval(space.Advance(t, h, c[i]), stage, stageSlope)
                terms[0] <- stageSlope

            right <- this.RightSide i
            k[i] <- linear.Solve(right, k[i])
            terms[i + 2] <- k[i]

        space.Combine(dest, y, h, b, k, stages)

    /// Exchanges the slope at the new state for the buffer of the old one.
    member _.TakeLastSlope(old: 'S) : 'S =
        let last = stageSlope
        stageSlope <- old
        last

/// The stepper of every Rosenbrock method, over any normed space under a scalar clock. Jacobian and df/dt are formed once for each
/// (t, y), so a rejected step costs a factorisation and the stages.
[<Sealed>]
type internal RosenbrockStepper<'S, 'P, 'F, 'L
    when 'P: struct and 'P :> INormedSpace<'S> and 'F :> IField<'S, float> and 'L :> ILinearSystem<'S, float>>
    (tableau: RosenbrockTableau, space: 'P, field: 'F, linear: 'L, like: 'S, zero: 'S) =
    let mutable space = space
    let mutable linear = linear
    let kernel = RosenbrockKernel<'S, float, 'P, 'F, 'L>(tableau, space, field, linear, like, zero, 1.0)
    let k = kernel.K
    let stages = tableau.Stages
    let dense = tableau.Dense
    let weights: float[] = Array.zeroCreate stages
    let mutable t = 0.0
    let mutable h = 0.0
    let mutable tEnd = 0.0
    let mutable y = Unchecked.defaultof<'S>
    let mutable candidate = space.Allocate like
    let mutable spare = space.Allocate like
    let mutable slope = space.Allocate like
    let mutable timeSlope = space.Allocate like
    let mutable scope: IDisposable = null
    let mutable started = false
    let mutable slopeKnown = false
    let mutable linearised = false
    let mutable attempted = false
    let mutable difficulty = Status.Success

    let closeScope () =
        if not (isNull scope) then
            scope.Dispose()
            scope <- null

    let ensureSlope () =
        if not slopeKnown then
            let own = space.OpenScope()

            try
                slope <- space.Keep(kernel.Slope(t, y, slope))
            finally
                if not (isNull own) then
                    own.Dispose()

            slopeKnown <- true

    let ensureLinear () =
        if not linearised then
            let own = space.OpenScope()

            try
                linear.Linearise(t, y, slope)
                timeSlope <- space.Keep(linear.TimeSlope(t, y, slope, timeSlope))
            finally
                if not (isNull own) then
                    own.Dispose()

            linearised <- true

    let forgetDerivatives () =
        if linearised then
            space.Free timeSlope
            linearised <- false

    let releaseCurrent () =
        if started then
            closeScope ()
            space.Free y

            if slopeKnown then
                space.Free slope
                slopeKnown <- false

            forgetDerivatives ()
            started <- false

    interface IStepper<'S> with
        member _.ErrorOrder = tableau.ErrorOrder
        member _.IsAdaptive = true
        member _.DefaultFeedback = Controller.pi tableau.ErrorOrder

        member _.Start(time, state) =
            let copy = space.Copy state
            releaseCurrent ()
            t <- time
            y <- copy
            started <- true
            attempted <- false

        member _.InitialStep(direction, longest) =
            ensureSlope ()
            let evaluate time state = kernel.Slope(time, state, space.Allocate state)
            StepDefaults.firstStep space evaluate tableau.ErrorOrder direction longest t y slope

        member _.Try(step, stepEnd) =
            closeScope ()
            ensureSlope ()
            h <- step
            tEnd <- stepEnd
            difficulty <- Status.Success
            ensureLinear ()
            scope <- space.OpenScope()

            try
                if not (linear.Factorise(h * tableau.Gamma)) then
                    attempted <- false

                    // A field that is not finite is that, not a singular matrix.
                    if space.IsFinite slope then
                        difficulty <- Status.SingularMatrix
                        infinity
                    else
                        nan
                else
                    candidate <- kernel.Step(t, h, y, slope, timeSlope, spare)
                    attempted <- true
                    space.ErrorNorm(y, candidate, h, tableau.Error, k, stages)
            with _ ->
                closeScope ()
                reraise ()

        member _.Accept() =
            let next = space.Keep candidate
            spare <- y
            space.Free y
            y <- next

            if tableau.Fsal then
                let old = slope
                slope <- space.Keep(kernel.TakeLastSlope old)
                space.Free old
            else
                space.Free slope
                slopeKnown <- false

            forgetDerivatives ()
            closeScope ()
            t <- tEnd
            attempted <- false

        member _.Time = t
        member _.State = y
        member _.Candidate = candidate

        member _.Interpolate theta =
            for i in 0 .. stages - 1 do
                let row = dense[i]
                let mutable s = 0.0

                for p in row.Length - 1 .. -1 .. 0 do
                    s <- theta * (row[p] + s)

                weights[i] <- s

            space.Combine(space.Allocate y, y, h, weights, k, stages)

        member _.DenseStep() =
            let q =
                Array.init dense[0].Length (fun p ->
                    let column = Array.init stages (fun i -> dense[i][p])
                    space.Keep(space.Combine(space.Allocate y, zero, 1.0, column, k, stages)))

            DenseStep<'S, 'P>(space, t, h, tEnd, space.Keep(space.Copy y), q)

        member _.Evaluations = kernel.Evaluations + linear.Evaluations

        member _.Heuristics() =
            let error = space.Distance(space.Combine(space.Allocate y, y, h, tableau.Error, k, stages), y)
            struct (error, nan)

        member _.StabilityRadius = nan

        member _.WorstComponent() =
            if attempted then
                space.WorstComponent(y, candidate, h, tableau.Error, k, stages)
            elif slopeKnown then
                space.WorstComponent(y, y, 0.0, [| 1.0 |], [| slope |], 1)
            else
                space.WorstComponent(y, y, 0.0, [| 0.0 |], [| y |], 1)

        member _.Factor(_, _) = nan
        member _.Difficulty = difficulty
        member _.Work = linear.Work
        member _.Choices = [| { Time = nan; Method = tableau.Name; Reason = "asked for" } |]

        member _.Dispose() =
            releaseCurrent ()
            linear.Dispose()
