// ESDIRK steps on tensors, under one clock or a clock for each sample, differentiated by the implicit function theorem.
namespace Continuum

open System
open TorchSharp

/// Newton's iteration for one stage of every system of a step: which have converged, which have failed.
[<Sealed>]
type internal NewtonRows(rows: int) =
    // corrections that remain must be below this share of the tolerance: less than on arrays, since gradients are taken there
    let tolerance = 0.01
    let active = Array.create rows true
    let failed = Array.create rows false
    let eta = Array.create rows 1.0
    let last = Array.create rows 0.0
    let mutable m = 0

    let judge (i: int) (size: float) (floor: float) =
        if not (Double.IsFinite size) then
            failed[i] <- true
        elif size <= floor then
            active[i] <- false
        else
            if m > 1 then
                let theta = size / last[i]
                eta[i] <- if theta < NewtonRules.divergent then theta / (1.0 - theta) else infinity

                if not (theta < NewtonRules.divergent) then
                    failed[i] <- true
                elif Math.Pow(theta, float (NewtonRules.most - m)) / (1.0 - theta) * size > tolerance then
                    failed[i] <- true

            if eta[i] * size <= tolerance then
                active[i] <- false
            elif m >= NewtonRules.most then
                failed[i] <- true

            last[i] <- size

        if failed[i] then
            active[i] <- false

    /// Which systems take the next correction.
    member _.Active = active
    /// Which systems could not be solved, in this stage or one before.
    member _.Failed = failed
    member _.AnyActive = Array.contains true active

    /// Starts a stage.
    member _.Begin() =
        m <- 0

        for i in 0 .. rows - 1 do
            active[i] <- not failed[i]
            eta[i] <- Math.Pow(Math.Max(eta[i], 1e-16), 0.8)

    /// Judges corrections of these scaled sizes; one below floor is rounding.
    member _.Judge(sizes: float[], floors: float[]) =
        m <- m + 1

        for i in 0 .. rows - 1 do
            if active[i] then
                judge i sizes[i] floors[i]

/// ESDIRK tableaus. Every step forms its matrix anew, so that it is a function of (t, h, y) alone. Where gradients are enabled, the
/// iteration is not recorded: a stage slope k with M k = f(t, r + h gamma k) gets its derivatives from the matrix at that very stage,
/// W dk = J dr + h f_p dp + ..., so the backward sweep solves one system with the transposed matrix for each stage.
[<Sealed>]
type internal EsdirkTensorKernel
    (tableau: EsdirkTableau, field: TensorField, joint: bool, tolerance: Tolerance<Tensor>, like: Tensor) =
    let linear = new TensorLinearSystem(field, joint)
    let system = linear :> ILinearSystem<Tensor, Tensor>
    let atStage = new TensorMatrices(field, joint)
    let raw = tableau.Raw
    let stages = tableau.Stages
    let clock = TensorClock() :> IStateSpace<Tensor, Tensor>
    let whole = [| 1.0 |]

    let kernel =
        EsdirkKernel<Tensor, Tensor, TensorClock, TensorClockField, NoField<Tensor, Tensor>, TensorLinearSystem>(
            tableau,
            false,
            TensorClock(),
            TensorClockField field,
            NoField<Tensor, Tensor>(),
            linear,
            null,
            like
        )

    let k = kernel.K

    let predictor =
        let predictor = EsdirkPredictor<Tensor>(raw.C, 1, NewtonRules.points)
        predictor.Prepare nan
        predictor

    let mutable troubles: Status[] = null
    let mutable iterations = 0
    let mutable failures = 0

    let scaleOf (y: Tensor) =
        let magnitude = y.abs ()

        let relative =
            match tolerance.RtolPer with
            | ValueSome per -> magnitude.mul per
            | ValueNone -> magnitude.mul tolerance.Rtol

        match tolerance.AtolPer with
        | ValueSome per -> relative.add per
        | ValueNone -> relative.add_ tolerance.Atol

    /// Root mean squares of each system, in float64.
    let sizes (rows: int) (x: Tensor) : float[] =
        use _ = torch.NewDisposeScope()
        let squares = x.pow(2.0).reshape(int64 rows, -1L)
        Tensors.toArray (squares.mean([| 1L |], ``type`` = Nullable torch.float64).sqrt())

    /// Newton's iteration for stage s, from predicted slopes to k[s].
    let solveStage (s: int) (h: Tensor) (scale: Tensor) (newton: NewtonRows) (floors: float[]) (like: Tensor) =
        let count = predictor.Gather(s, k, k)
        kernel.Predict(s, predictor.Slopes[0], predictor.Weights s, predictor.Slopes, count)
        newton.Begin()

        while newton.AnyActive do
            iterations <- iterations + 1
            let before = k[s]
            let correction = kernel.Correct(s, h, whole)

            if Array.contains false newton.Active then
                k[s] <- torch.where (BatchTensors.mask newton.Active like, k[s], before)

            let change = correction.mul(h).mul(raw.Gamma).div scale
            newton.Judge(sizes floors.Length change, floors)

    /// The slope of stage s, a constant so far, with its derivatives.
    let attach (s: int) (t: Tensor) (h: Tensor) =
        let slope = k[s]
        let time = clock.Advance(t, h, raw.C[s])
        let stage = kernel.StageValue(s, h, slope)
        let value = kernel.Field(time, stage, slope)

        let prepare () =
            use _ = torch.no_grad ()
            atStage.Linearise((if isNull time then null else time.detach ()), stage.detach ())
            atStage.Factorise(h.detach().mul(raw.Gamma)) |> ignore

        prepare ()
        let correction = atStage.Solve(value.sub slope)
        k[s] <- slope.add (correction.sub (correction.detach ()))

    /// A candidate that is not a number for systems without one.
    let mark (newton: NewtonRows) (candidate: Tensor) : Tensor =
        let singular = linear.Matrices.Singular
        let bad i = newton.Failed[i]

        if not (Array.contains true newton.Failed) then
            troubles <- null
            candidate
        else
            failures <- failures + 1
            let slopes = sizes newton.Failed.Length k[0]

            troubles <-
                Array.init newton.Failed.Length (fun i ->
                    if not (bad i) || not (Double.IsFinite slopes[i]) then
                        Status.Success
                    elif not (isNull singular) && (singular.Length <> newton.Failed.Length || singular[i]) then
                        Status.SingularMatrix
                    else
                        Status.NewtonDiverged)

            let marks = Array.init newton.Failed.Length (fun i -> if bad i then nan else 0.0)
            candidate.add (BatchTensors.column marks candidate)

    interface ITensorKernel with
        member _.Name = tableau.Name
        member _.ErrorOrder = tableau.ErrorOrder
        member _.IsAdaptive = true
        member _.DefaultFeedback = Controller.pi tableau.ErrorOrder
        member _.StabilityRadius = nan
        member _.Slope(t, y) = kernel.Field(t, y, y)

        member _.Step(t, h, y, slope) =
            let recording = torch.is_grad_enabled ()
            let rows = if h.dim () = 0L then 1 else int y.shape[0]
            let newton = NewtonRows rows

            let prepare () : struct (Tensor * float[]) =
                use _ = torch.no_grad ()
                let start = y.detach ()
                system.Linearise((if isNull t then null else t.detach ()), start, slope)
                system.Factorise(h.detach().mul(raw.Gamma)) |> ignore
                let scale = scaleOf start
                let rounding = if y.dtype = torch.float64 then 1e-15 else 1e-6
                struct (scale, sizes rows (start.div scale) |> Array.map ((*) rounding))

            let struct (scale, floors) = prepare ()
            k[0] <- slope

            for s in 1 .. stages - 1 do
                kernel.Begin(s, t, h, y)

                let iterate () =
                    use _ = torch.no_grad ()
                    solveStage s h scale newton floors y

                iterate ()

                if recording then
                    attach s t h

            mark newton (kernel.Result(h, y, y))

        // the slope that solves the last stage: f there would multiply what is left of the iteration by the stiffness
        member _.EndSlope = k[stages - 1]

        member _.Errors h =
            let error = kernel.ErrorSlope like
            let bounded = if tableau.ErrorIsBounded then error else kernel.Filter error
            [| bounded.mul h |]

        member _.Troubles = troubles
        member _.EnsureExtras(_, _, _) = ()
        member _.Slopes = k
        member _.Dense = kernel.Dense
        member _.Evaluations = kernel.Evaluations + system.Evaluations + atStage.Evaluations

        member _.Work =
            let work = system.Work + atStage.Work
            { work with NewtonIterations = iterations; NewtonFailures = failures }

        member _.Dispose() =
            system.Dispose()
            (atStage :> IDisposable).Dispose()

/// The kernels of methods.
[<RequireQualifiedAccess>]
module internal TensorKernels =
    let private bad (text: string) = raise (ArgumentException text)

    /// Refuses a mass matrix with a method that does not know what to do with it.
    let refuseMass (method: Method) (field: TensorField) =
        match method with
        | Rosenbrock _ -> ()
        | _ when isNull field.Mass -> ()
        | _ -> bad $"{method.Name} on tensors solves y' = f(t, y) and the field has a mass matrix; take Rodas5P."

    /// The kernel of a method for states like this one. joint: the state is one system. ArgumentException for a method that has none.
    let create
        (method: Method)
        (field: TensorField)
        (joint: bool)
        (tolerance: Tolerance<Tensor>)
        (like: Tensor)
        : ITensorKernel =
        refuseMass method field

        match method with
        | RungeKutta tableau -> new ExplicitKernel(tableau, field, like)
        | Rosenbrock tableau -> new RosenbrockTensorKernel(tableau, field, joint, like)
        | Esdirk tableau -> new EsdirkTensorKernel(tableau, field, joint, tolerance, like)
        | Bdf _ ->
            bad
                $"{method.Name} keeps one history of steps for the whole state, so it has no clock for each sample; take Rodas5P or Kvaerno5."
        | _ ->
            bad
                $"{method.Name} does not step on tensors with a clock for each sample; take a Runge-Kutta method such as Tsit5, or Rodas5P for stiff problems."
