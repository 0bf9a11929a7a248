// From a method, an equation and a path to a run of the loop on tensors: kernels, checks of the input, differentiable heuristics.
namespace Continuum

open System
open TorchSharp

/// A path whose values are made to fit a state, and checked against it on the way.
[<Sealed>]
type internal FittedPath(path: IBrownian<Tensor>, like: Tensor) =
    let mutable looked = false

    let fits (w: Tensor) =
        let batch = like.shape[.. like.shape.Length - 2]
        let own = w.shape[.. w.shape.Length - 2]

        own.Length <= batch.Length
        && w.shape[w.shape.Length - 1] = int64 path.Dimension
        && Seq.forall2 (fun a b -> a = b || a = 1L) own (Array.skip (batch.Length - own.Length) batch)

    let look (w: Tensor) =
        if not looked then
            if isNull w || w.dim () = 0L || not (fits w) then
                let shown = if isNull w then "null" else Tensors.shapeText w
                let batch = like.shape[.. like.shape.Length - 2] |> Array.map (fun extent -> $"{extent}, ")

                raise (
                    SdeShapeException
                        $"The increments of the path have shape {shown}; for a state of shape {Tensors.shapeText like} they must have [{String.Concat batch}{path.Dimension}], or fewer batch extents to share a path."
                )

            looked <- true

    let fit (x: Tensor) =
        if isNull x || (x.dtype = like.dtype && x.device_type = like.device_type) then
            x
        else
            x.``to`` (like.dtype, like.device)

    interface IBrownian<Tensor> with
        member _.Start = path.Start
        member _.End = path.End
        member _.Dimension = path.Dimension
        member _.Level = path.Level

        member _.Step(s, t) =
            let b = path.Step(s, t)
            look b.W

            if b.W.dtype = like.dtype && b.W.device_type = like.device_type then
                b
            else
                { W = fit b.W; H = fit b.H; K = fit b.K; A = fit b.A }

        member _.Snap(s, t) = path.Snap(s, t)
        member _.Prepare times = path.Prepare times

/// Sums of the heuristics over the steps of a solve, as tensors: recorded where gradients are on.
[<Sealed>]
type internal SdeHeuristics<'S>(at: SdeTermsAt, value: 'S -> Tensor) =
    let mutable errors: Tensor = null
    let mutable stiffness: Tensor = null
    let mutable evaluations = 0

    // Steps have one to three memory scopes; the sums belong to none of them, and then to the caller.
    let plus (sum: Tensor) (term: Tensor) =
        if isNull sum then
            term.alias().DetachFromDisposeScope()
        else
            let next = sum.add(term).DetachFromDisposeScope()
            sum.Dispose()
            next

    /// |h| times the norm of an error estimate (0-d).
    static member Error(h: float, error: Tensor) : Tensor = error.norm().mul(abs h)

    /// |f(t, y1) - f(t, y)| / |y1 - y| (0-d), two drifts at one time: an estimate of the drift's Lipschitz constant along the step.
    static member Stiffness(at: SdeTermsAt, t: float, y: Tensor, y1: Tensor) : Tensor =
        let distance = y1.sub(y).norm()

        if distance.ToDouble() = 0.0 then
            distance.mul 0.0
        else
            at.Drift(t, y1).sub(at.Drift(t, y)).norm().div distance

    /// Sum of the errors, or null; the caller's from now on.
    member _.Errors = errors
    /// Sum of the stiffness estimates, or null; the caller's from now on.
    member _.Stiffnesses = stiffness
    /// Evaluations of the drift that they cost.
    member _.Evaluations = evaluations

    interface ISdeObserver<'S> with
        member _.Stepped(t, _, y, y1) =
            evaluations <- evaluations + 2
            stiffness <- plus stiffness (SdeHeuristics<'S>.Stiffness(at, t, value y, value y1))

        member _.Estimated(h, error) = errors <- plus errors (SdeHeuristics<'S>.Error(h, value error))
        member _.Saved(_, _) = ()

/// Runs of the loop.
[<RequireQualifiedAccess>]
module internal TensorSdeRun =
    let private bad (text: string) = raise (ArgumentException text)

    /// The class of noise as a method sees it: one column commutes with itself.
    let noiseOf (terms: SdeTerms) =
        if terms.Noise = NoiseKind.General && terms.NoiseSize = 1 then
            NoiseKind.Commutative
        else
            terms.Noise

    /// What takes the steps of a method whose state is y alone. ArgumentException for reversible Heun, which has a second state.
    let kernel (scheme: SdeScheme) (at: SdeTermsAt) (t0: float) (like: Tensor) : ISdeKernel<Tensor, Tensor> =
        let noise = noiseOf at.Terms
        let space = TensorSdeSpace at

        match SdeSchemes.tableau scheme noise with
        | ValueSome tableau -> StochasticRungeKutta<Tensor, Tensor, Tensor, TensorSdeSpace>(tableau, noise, space, like)
        | ValueNone ->
            match scheme with
            | SdeScheme.Milstein(calculus, true) ->
                MilsteinKernel<Tensor, Tensor, Tensor, TensorSdeSpace>(calculus, noise, space, like)
            | SdeScheme.Milstein(calculus, false) ->
                MilsteinFreeKernel<Tensor, Tensor, Tensor, TensorSdeSpace>(calculus, noise, space, like)
            | SdeScheme.LogOde flow -> LogOdeKernel<Tensor, Tensor, Tensor, TensorSdeSpace>(flow, noise, space, like)
            | SdeScheme.DriftImplicitEuler -> DriftImplicitKernel(at, noise, t0, like)
            | _ -> bad $"{SdeSchemes.name scheme} has a second state beside the solution."

    /// ArgumentException unless the state is a floating point tensor of shape (..., n) that is not empty.
    let checkState (y0: Tensor) =
        if isNull y0 || y0.numel () = 0L then
            bad "The initial state is empty; give a tensor with at least one element."

        if not (y0.is_floating_point ()) then
            bad
                $"The initial state must be a floating point tensor; its dtype is {y0.dtype}. Convert it with .to(torch.float64)."

        if y0.dim () = 0L then
            bad
                "The initial state must have shape (..., n), its last extent the number of components; it is a number. Use y.reshape(1)."

    /// ArgumentException where a tolerance per component does not have the state's shape.
    let checkTolerance (tolerance: Tolerance<Tensor>) (y0: Tensor) =
        for name, per in [ "rtol", tolerance.RtolPer; "atol", tolerance.AtolPer ] do
            match per with
            | ValueSome per when not (per.shape.AsSpan().SequenceEqual y0.shape) ->
                bad
                    $"{name} per component has shape {Tensors.shapeText per} and the state has {Tensors.shapeText y0}; give one entry for each component."
            | _ -> ()

    /// ArgumentException, or its kin, where state, path or span do not fit the equation and the method.
    let check (scheme: SdeScheme) (terms: SdeTerms) (path: IBrownian<Tensor>) (t0: float) (t1: float) (y0: Tensor) =
        checkState y0

        if isNull (box path) then
            raise (ArgumentNullException(nameof path, "The path is null; give a TensorBrownian."))

        let m = terms.NoiseSizeFor y0

        if path.Dimension <> m then
            bad
                $"The equation is driven by {m} Brownian motions ({terms.Noise.ToString().ToLowerInvariant()} noise, state {Tensors.shapeText y0}), and the path has {path.Dimension}."

        SdeSchemes.checkPath scheme terms.Noise (noiseOf terms) path.Level path.Start path.End t0 t1

    /// One run for a method whose state is y alone. observer may be null; recording says whether gradients are on.
    let run
        (scheme: SdeScheme)
        (terms: SdeTerms)
        (path: IBrownian<Tensor>)
        (observer: ISdeObserver<Tensor>)
        (options: SolveOptions<Tensor>)
        (recording: bool)
        (t0: float)
        (t1: float)
        (y0: Tensor)
        : Solution<Tensor> =
        let make () = kernel scheme (SdeTermsAt terms) t0 y0
        let space = TensorSpace(options.Tolerance, recording)

        SdeIntegration<Tensor, Tensor, TensorSpace>(
            make (),
            make,
            space,
            FittedPath(path, y0),
            observer,
            options,
            t0,
            t1
        )
            .Run
            y0
