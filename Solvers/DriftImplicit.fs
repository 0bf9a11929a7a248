// The drift-implicit Euler method for stiff drifts on tensors: y1 = y + h f(t1, y1) + g(t, y) W.
namespace Continuum

open System
open TorchSharp

/// A step of the drift-implicit Euler method by Newton's iteration with the Jacobian of the drift, damped as on arrays. The iteration is not recorded: where
/// gradients are on, corrections with the matrix at the solution carry them, by the implicit function theorem. t0 is any time at which the
/// drift can be evaluated. Kloeden and Platen 1992, section 12.2.
[<Sealed>]
type internal DriftImplicitKernel(at: SdeTermsAt, noise: NoiseKind, t0: float, like: Tensor) =
    let terms = at.Terms

    let field = TensorField(Func<_, _, _>(fun t y -> terms.Drift(t, y)), terms.Parameters, terms.Autonomous)

    let joint = SampleIndependence.isJoint field (at.Time(t0, like)) like
    let matrices = new TensorMatrices(field, joint)
    let space = TensorSdeSpace at :> ISdeCalculusSpace<Tensor, Tensor, Tensor>
    let order = if noise = NoiseKind.Additive then 1.0 else 0.5
    let mutable difficulty = Status.Success
    let mutable drifts = 0
    let mutable diffusions = 0
    let mutable iterations = 0
    let mutable failures = 0

    /// Iterations before a step counts as failed.
    let most = 15

    let drift (t: float) (y: Tensor) =
        drifts <- drifts + 1
        at.Drift(t, y)

    /// The residual r + h f(t, y) - y.
    let residual (t: float) (length: Tensor) (r: Tensor) (y: Tensor) : Tensor =
        let slope = drift t y
        r.add(slope.mul length).sub y

    /// Newton's correction of y for the equation y - h f(t, y) = r, by the matrix last factored.
    let correction (t: float) (length: Tensor) (r: Tensor) (y: Tensor) : Tensor = matrices.Solve(residual t length r y)

    /// The largest component of a residual, for each sample where samples are independent.
    let magnitude (x: Tensor) : Tensor = if joint then x.abs().max() else x.abs().amax([| -1L |], true)

    /// The residual at y and its magnitude. Samples whose residual the last change made grow go back by half of it, again and again: Newton's
    /// method may leave the domain of the drift. `before`: the magnitude before that change; null before the first.
    let damped (t: float) (length: Tensor) (r: Tensor) (y: Tensor) (change: Tensor) (before: Tensor) =
        let mutable y = y
        let mutable change = change
        let mutable rest = residual t length r y
        let mutable now = magnitude rest

        if not (isNull before) then
            let mutable calm = now.le before
            let mutable halvings = 8

            while halvings > 0 && not (calm.all().ToBoolean()) do
                change <- change.mul(0.5).masked_fill(calm, 0.0)
                y <- y.sub change
                rest <- residual t length r y
                now <- magnitude rest
                calm <- now.le before
                halvings <- halvings - 1

        struct (y, rest, now)

    let factorise (t: float) (length: Tensor) (y: Tensor) =
        matrices.Linearise(at.Time(t, y), y)
        matrices.Factorise length

    /// Largest correction in units of the state.
    let size (x: Tensor) (y: Tensor) (r: Tensor) =
        use _ = torch.NewDisposeScope()
        let scale = torch.maximum (y.abs (), r.abs ())
        x.div(scale.add(scale.mean ()).add_(1e-30)).abs().max().ToDouble()

    /// The solution as a constant; the matrix is formed anew where a correction shrank by less than ten, and corrections are damped.
    let solve (t: float) (length: Tensor) (r: Tensor) (guess: Tensor) : Tensor =
        use scope = torch.NewDisposeScope()
        use _ = torch.no_grad ()
        let tolerance = if guess.dtype = torch.float64 then 1e-11 else 1e-5
        let mutable y = guess.detach ()
        let mutable change: Tensor = null
        let mutable error: Tensor = null
        let mutable last = nan
        let mutable stale = true
        let mutable count = 0
        let mutable running = true
        difficulty <- Status.Success

        while running do
            let struct (place, rest, magnitude) = damped t length r y change error
            y <- place
            error <- magnitude

            if stale && not (factorise t length y) then
                difficulty <- Status.SingularMatrix

            change <- matrices.Solve rest
            let now = size change y r
            y <- y.add change
            count <- count + 1
            stale <- not (now < 0.1 * last) && count > 1
            last <- now

            if difficulty = Status.Success && (not (Double.IsFinite now) || count = most && now > tolerance) then
                difficulty <- Status.NewtonDiverged

            running <- difficulty = Status.Success && now > tolerance

        iterations <- iterations + count

        if difficulty <> Status.Success then
            failures <- failures + 1

        y.MoveToOuterDisposeScope()

    interface ISdeKernel<Tensor, Tensor> with
        member _.Name = "DriftImplicitEuler"
        member _.Level = LevyLevel.Increments
        member _.StrongOrder = order
        member _.ErrorOrder = order + 0.5
        member _.HasErrorEstimate = false
        member _.Start() = ()
        member _.Hold(_, _) = ()

        member _.Step(t, h, b, y, _) =
            diffusions <- diffusions + 1
            let r = space.Combine(y, y, [||], [||], 0, [| at.Diffusion(t, y) |], [| b.W |], 1)
            let t1 = t + h
            let length = torch.tensor (h, dtype = y.dtype, device = y.device)

            try
                let solution = solve t1 length (r.detach ()) y

                if not (torch.is_grad_enabled ()) || difficulty <> Status.Success then
                    solution
                else
                    let prepare () =
                        use _ = torch.no_grad ()
                        factorise t1 length solution |> ignore

                    prepare ()
                    // The first correction carries first derivatives, the second makes second ones right.
                    let once = solution.add (correction t1 length r solution)
                    once.add (correction t1 length r once)
            finally
                (matrices :> IDisposable).Dispose()

        member _.ErrorEstimate _ = null
        member _.Drift(t, y, _) = drift t y

        member _.Spread(t, y, _) =
            diffusions <- diffusions + 1
            space.Spread(null, y, at.Diffusion(t, y))

        member _.Difficulty = difficulty
        member _.DriftEvaluations = drifts + matrices.Evaluations
        member _.DiffusionEvaluations = diffusions

        member _.Work = { matrices.Work with NewtonIterations = iterations; NewtonFailures = failures }
