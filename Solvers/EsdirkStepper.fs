// ESDIRK methods under a scalar clock: simplified Newton with reuse of Jacobian and factorisation, error control, dense output.
namespace Continuum

open System

/// When the steps of a simplified Newton iteration end, and when its matrices are renewed.
/// Hairer and Wanner II, IV.8; Kennedy and Carpenter 2016, Diagonally implicit Runge-Kutta methods for ODEs, section 5.
[<RequireQualifiedAccess>]
module internal NewtonRules =
    /// Corrections that remain must be below this share of the tolerance.
    let tolerance = 0.05
    /// Corrections allowed for one stage.
    let most = 10
    /// A rate at or above this diverges.
    let divergent = 0.99
    /// Slower than this, the next step gets a new Jacobian.
    let slow = 0.05
    /// Steps that one Jacobian may serve.
    let oldest = 30
    /// A step length that differs by more than this share from that of the factorisation needs a new one.
    let stretch = 0.25
    /// Growth up to this factor is not taken while the matrices serve well.
    let deadband = 1.2
    /// Largest growth of a step.
    let growth = 5.0
    /// Slopes that predict one; a step longer than this multiple of the one before it does without that one's.
    let points = 3
    let reach = 2.0

/// The stepper of every ESDIRK method over any normed space under a scalar clock, for M y' = f(t, y) (M may be singular: index 1)
/// or y' = fE(t, y) + f(t, y).
[<Sealed>]
type EsdirkStepper<'S, 'P, 'F, 'E, 'L
    when 'P: struct
    and 'P :> INormedSpace<'S>
    and 'F :> IField<'S, float>
    and 'E :> IField<'S, float>
    and 'L :> ILinearSystem<'S, float>>
    internal
    (
        tableau: EsdirkTableau,
        split: bool,
        space: 'P,
        field: 'F,
        explicitField: 'E,
        system: 'L,
        // whether the stepper chooses its step lengths itself, so that factorisations last longer
        predictive: bool,
        like: 'S
    ) =
    let mutable space = space
    let mutable system = system

    let kernel =
        EsdirkKernel<'S, float, 'P, 'F, 'E, 'L>(tableau, split, space, field, explicitField, system, 1.0, like)

    let k = kernel.K
    let raw = tableau.Raw
    let gamma = raw.Gamma
    let stages = tableau.Stages
    let width = kernel.Width
    let total = k.Length
    let predictor = EsdirkPredictor<'S>(raw.C, width, NewtonRules.points)
    let previous: 'S[] = Array.init total (fun _ -> space.Allocate like)
    let weights: float[] = Array.zeroCreate total
    let relaxation = [| 1.0 |]
    let one = [| 1.0 |]
    let single: 'S[] = [| like |]

    let mutable t = 0.0
    let mutable h = 0.0
    let mutable tEnd = 0.0
    let mutable y = Unchecked.defaultof<'S>
    let mutable candidate = space.Allocate like
    let mutable spare = space.Allocate like
    let mutable errorSlope = space.Allocate like
    let mutable slope = space.Allocate like
    let mutable scope: IDisposable = null
    let mutable started = false
    let mutable slopeKnown = false
    let mutable attempted = false
    let mutable errorKnown = false
    // of the slopes in previous; NaN without them
    let mutable lastStep = nan

    // matrices
    let mutable hasJacobian = false
    let mutable jacobianHere = false
    let mutable jacobianWanted = true
    let mutable age = 0
    let mutable factored = nan
    let mutable difficulty = Status.Success

    // Newton's method
    let mutable eta = 1.0
    let mutable rate = 0.0
    let mutable floor = 0.0
    let mutable iterations = 0
    let mutable iterationsHere = 0
    let mutable failures = 0
    // the stage in work, and whether its correction was not a number: a matter of the field, not of Newton's method
    let mutable stageHere = 0
    let mutable notFinite = false

    // control
    let mutable acceptedStep = nan
    let mutable acceptedError = nan
    let mutable justRejected = false

    let closeScope () =
        if not (isNull scope) then
            scope.Dispose()
            scope <- null

    let forgetHistory () =
        if not (Double.IsNaN lastStep) then
            for slope in previous do
                space.Free slope

            lastStep <- nan

    let linearise () =
        slope <- kernel.Field(t, y, slope)
        system.Linearise(t, y, slope)
        hasJacobian <- true
        jacobianHere <- true
        jacobianWanted <- false
        age <- 0
        factored <- nan

    /// M^-1 f, also for a singular M: with P M = 0, the solution of (M - g J) k = f + g f_t satisfies the differentiated constraint
    /// P (J k + f_t) = 0 for every g, because P f = 0, and M k = f up to g J k; refinement with W removes that.
    let consistentSlope () =
        slope <- kernel.Field(t, y, slope)
        system.Linearise(t, y, slope)
        let timeSlope = system.TimeSlope(t, y, slope, space.Allocate y)
        let rhs = space.Allocate y
        let mutable g = 1e-4 * Math.Max(abs t, 1.0)
        let mutable trust = false
        let mutable tries = 0
        let mutable result = space.Allocate y

        while not trust && tries < 20 do
            tries <- tries + 1
            factored <- nan

            if system.Factorise g then
                result <- system.Solve(kernel.Sum(slope, g, timeSlope, rhs), result)
                let mutable size = infinity
                let mutable settled = false
                let mutable sweeps = 0

                while not settled && sweeps < 5 do
                    let correction = system.Solve(kernel.Defect(slope, result, rhs), rhs)
                    let change = space.ScaledDistance(kernel.Sum(result, 1.0, correction, space.Allocate y), result, y)
                    settled <- not (change < 0.1 * size)

                    if not settled then
                        size <- change
                        result <- kernel.Sum(result, 1.0, correction, result)
                        sweeps <- sweeps + 1

                trust <- sweeps >= 2

            g <- g * 0.01

        hasJacobian <- true
        jacobianHere <- true
        jacobianWanted <- false
        factored <- nan
        age <- 0
        k[0] <- kernel.CopyTo(result, k[0])

    let ensureSlope () =
        if not slopeKnown then
            let own = space.OpenScope()

            try
                if system.HasIdentityMass then
                    k[0] <- kernel.Field(t, y, k[0])
                else
                    consistentSlope ()

                k[0] <- space.Keep k[0]

                if split then
                    kernel.FirstExplicitSlope(t, y)
                    k[1] <- space.Keep k[1]
            finally
                if not (isNull own) then
                    own.Dispose()

            slopeKnown <- true

    let releaseSlopes () =
        if slopeKnown then
            for i in 0 .. width - 1 do
                space.Free k[i]

            slopeKnown <- false

    let releaseCurrent () =
        if started then
            closeScope ()
            space.Free y
            releaseSlopes ()
            forgetHistory ()
            started <- false

    /// Scaled norm of length * slope.
    let norm (length: float) (slope: 'S) =
        single[0] <- slope
        space.ErrorNorm(y, y, length, one, single, 1)

    /// Solves stage s; false where the iteration diverges or would not converge in time.
    let solveStage (s: int) =
        stageHere <- s
        kernel.Begin(s, t, h, y)
        let count = predictor.Gather(s, k, previous)
        kernel.Predict(s, predictor.Slopes[0], predictor.Weights s, predictor.Slopes, count)
        eta <- Math.Pow(Math.Max(eta, 1e-16), 0.8)
        let length = h * gamma * relaxation[0]
        let mutable last = 0.0
        let mutable m = 0
        // 0 goes on, 1 converged, -1 failed
        let mutable outcome = 0

        while outcome = 0 do
            m <- m + 1
            let size = norm length (kernel.Correct(s, h, relaxation))

            if not (Double.IsFinite size) then
                notFinite <- true
                outcome <- -1
            elif size <= floor then
                outcome <- 1
            else
                if m > 1 then
                    let theta = size / last
                    rate <- Math.Max(rate, theta)
                    eta <- if theta < NewtonRules.divergent then theta / (1.0 - theta) else infinity

                    if not (theta < NewtonRules.divergent) then
                        outcome <- -1
                    elif
                        Math.Pow(theta, float (NewtonRules.most - m)) / (1.0 - theta) * size > NewtonRules.tolerance
                    then
                        outcome <- -1

                if eta * size <= NewtonRules.tolerance then
                    outcome <- 1
                elif m >= NewtonRules.most then
                    outcome <- -1

                last <- size

        iterations <- iterations + m
        iterationsHere <- iterationsHere + m

        if outcome = 1 && split then
            kernel.ExplicitSlope(s, h)

        outcome = 1

    let factorise () =
        let g = h * gamma

        if Double.IsNaN factored || not (abs (g / factored - 1.0) <= NewtonRules.stretch) then
            factored <- nan

            if system.Factorise g then
                factored <- g
                relaxation[0] <- 1.0
                true
            else
                false
        else
            // the best scalar for both ends of the spectrum: non-stiff components want 1, stiff ones factored / g
            relaxation[0] <- 2.0 / (1.0 + g / factored)
            true

    /// All stages; false, with the difficulty set, where they cannot be solved.
    let solveStages () =
        iterationsHere <- 0
        rate <- 0.0
        stageHere <- 0
        notFinite <- false
        // an iteration cannot shrink below rounding of the state
        floor <- norm 1e-15 y

        if not (factorise ()) then
            difficulty <- Status.SingularMatrix
            false
        else
            let mutable s = 1

            while s < stages && solveStage s do
                s <- s + 1

            difficulty <- if s = stages || notFinite then Status.Success else Status.NewtonDiverged
            s = stages

    let errorNorm () =
        errorSlope <- kernel.ErrorSlope errorSlope

        if not tableau.ErrorIsBounded then
            errorSlope <- kernel.Filter errorSlope

        errorKnown <- true
        single[0] <- errorSlope
        space.ErrorNorm(y, candidate, h, one, single, 1)

    /// The attempted step; its scaled error, infinite where the stages could not be solved and NaN where the field has no value.
    let attempt () =
        difficulty <- Status.Success
        stageHere <- 0

        if not (Double.IsFinite(norm h k[0])) then
            nan
        else
            if not hasJacobian || jacobianWanted && not jacobianHere then
                linearise ()

            let ratio = h / lastStep
            predictor.Prepare(if ratio <= NewtonRules.reach then ratio else nan)
            let mutable solved = solveStages ()

            // Once more with the Jacobian of this point and without extrapolation.
            if not solved && not jacobianHere then
                linearise ()
                predictor.Prepare nan
                eta <- 1.0
                solved <- solveStages ()

            if solved then
                candidate <- kernel.Result(h, y, spare)
                errorNorm ()
            else
                failures <- failures + (if difficulty = Status.NewtonDiverged then 1 else 0)
                eta <- 1.0
                infinity

    let factor (accepted: bool) (error: float) =
        let order = 1.0 / float tableau.ErrorOrder
        let safety = 0.9

        if not (Double.IsFinite error) then
            if difficulty = Status.Success then nan else 0.3
        else
            let perStage = float iterationsHere / float (stages - 1)
            let most = float NewtonRules.most
            let careful = Math.Min(safety, safety * (2.0 * most + 1.0) / (2.0 * most + perStage))
            let e = Math.Max(error, 1e-10)
            let plain = careful * Math.Pow(e, -order)

            let wanted =
                if accepted && not (Double.IsNaN acceptedError) then
                    // Gustafsson 1994: the error model follows the last two steps
                    let trend = careful * (h / acceptedStep) * Math.Pow(acceptedError / (e * e), order)
                    Math.Min(plain, trend)
                else
                    plain

            let bounded =
                Math.Clamp(wanted, 0.1, (if accepted && not justRejected then NewtonRules.growth else 1.0))

            if accepted && not jacobianWanted && bounded >= 1.0 && bounded <= NewtonRules.deadband then
                1.0
            else
                bounded

    /// Scaled error, iterations and matrices of the attempted step. Used by tests and benchmarks.
    member internal _.Kernel = kernel

    interface IStepUnknowns<'S> with
        member _.Order = tableau.Order
        member _.Unknowns = k

    interface IStepper<'S> with
        member _.ErrorOrder = tableau.ErrorOrder
        member _.IsAdaptive = true
        member _.DefaultFeedback = Controller.pi tableau.ErrorOrder

        member _.Start(time, state) =
            // Copy before releasing: the new state may be the old one.
            let copy = space.Copy state
            releaseCurrent ()
            t <- time
            y <- copy
            started <- true
            attempted <- false
            jacobianHere <- false
            jacobianWanted <- true
            eta <- 1.0
            acceptedError <- nan

        member _.InitialStep(direction, longest) =
            ensureSlope ()

            if system.HasIdentityMass && not split then
                let evaluate time state = kernel.Field(time, state, space.Allocate state)
                StepDefaults.firstStep space evaluate tableau.ErrorOrder direction longest t y k[0]
            else
                let d0 = norm 1.0 y
                let d1 = Math.Max(norm 1.0 k[0], (if split then norm 1.0 k[1] else 0.0))
                let first = if d0 < 1e-5 || not (d1 >= 1e-5) then 1e-6 else 0.01 * d0 / d1
                Math.Min(first, longest)

        member _.Try(step, stepEnd) =
            closeScope ()
            ensureSlope ()
            scope <- space.OpenScope()
            h <- step
            tEnd <- stepEnd
            attempted <- true
            errorKnown <- false

            try
                attempt ()
            with _ ->
                closeScope ()
                reraise ()

        member _.Accept() =
            age <- age + 1
            jacobianHere <- false

            if rate > NewtonRules.slow || age >= NewtonRules.oldest then
                jacobianWanted <- true

            forgetHistory ()

            for j in 0 .. total - 1 do
                let buffer = previous[j]
                previous[j] <- if j < width then k[j] else space.Keep k[j]
                k[j] <- buffer

            lastStep <- h
            let next = space.Keep candidate
            spare <- y
            space.Free y
            y <- next
            t <- tEnd
            attempted <- false

            if split then
                // the last stage is not the new state, because its explicit row is not b
                slopeKnown <- false
                closeScope ()
            else
                // not f(t, y): a stiff Jacobian would multiply what Newton's method left
                k[0] <- space.Keep(kernel.CopyTo(previous[stages - 1], k[0]))
                closeScope ()

        member _.Time = t
        member _.State = y
        member _.Candidate = candidate

        member _.Interpolate theta =
            for i in 0 .. total - 1 do
                let row = kernel.Dense[i]
                let mutable s = 0.0

                for p in row.Length - 1 .. -1 .. 0 do
                    s <- theta * (row[p] + s)

                weights[i] <- s

            space.Combine(space.Allocate y, y, h, weights, k, total)

        member _.DenseStep() =
            let degree = kernel.Dense[0].Length
            let zero = space.Combine(space.Allocate y, y, -1.0, one, [| y |], 1)

            let q =
                Array.init degree (fun p ->
                    let column = kernel.Dense |> Array.map (fun row -> row[p])
                    space.Keep(space.Combine(space.Allocate y, zero, 1.0, column, k, total)))

            DenseStep<'S, 'P>(space, t, h, tEnd, space.Keep(space.Copy y), q)

        member _.Evaluations = kernel.Evaluations + system.Evaluations

        member _.Heuristics() =
            let zero = space.Combine(space.Allocate y, y, -1.0, one, [| y |], 1)
            struct (space.Distance(errorSlope, zero), nan)

        member _.StabilityRadius = infinity

        member _.WorstComponent() =
            if attempted && errorKnown then
                single[0] <- errorSlope
                space.WorstComponent(y, candidate, h, one, single, 1)
            elif attempted then
                single[0] <- k[stageHere * width]
                space.WorstComponent(y, y, h, one, single, 1)
            else
                single[0] <- y
                space.WorstComponent(y, y, 0.0, one, single, 1)

        member _.Factor(accepted, error) =
            let own = factor accepted error

            if accepted then
                acceptedStep <- h
                acceptedError <- Math.Max(error, 1e-2)
                justRejected <- false
            else
                justRejected <- true

            if predictive || difficulty <> Status.Success then own else nan

        member _.Difficulty = difficulty

        member _.Work = { system.Work with NewtonIterations = iterations; NewtonFailures = failures }

        member _.Choices = [|
            {
                Time = nan
                Method = (if split then $"{tableau.Name} (IMEX)" else tableau.Name)
                Reason = "asked for"
            }
        |]

        member _.Dispose() =
            releaseCurrent ()
            system.Dispose()
