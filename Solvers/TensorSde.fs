// Stochastic differential equations on tensors: the front door.
namespace Continuum

open System
open TorchSharp

/// Solving dy = f(t, y) dt + g(t, y) dW (Ito) or o dW (Stratonovich) on tensors of shape (..., n), with one clock for the whole state.
/// Ito's integral is taken in the direction of integration.
[<RequireQualifiedAccess>]
module TensorSde =
    /// Steps one after the other, recorded where gradients are on.
    let private solvePlain scheme (terms: SdeTerms) path (options: TensorSdeOptions) recording t0 t1 y0 =
        let heuristics =
            if options.Heuristics then
                SdeHeuristics<Tensor>(SdeTermsAt terms, id)
            else
                Unchecked.defaultof<_>

        let observer =
            if options.Heuristics then
                heuristics :> ISdeObserver<Tensor>
            else
                Unchecked.defaultof<_>

        let raw =
            TensorSdeRun.run scheme terms path observer (TensorSdeOptions.toSolve options) recording t0 t1 y0

        SdeNode.plain heuristics raw y0

    /// What paths for this method, equation and span are functions of: one cell for each fixed step, one cell for adaptive steps; the level that
    /// the method needs. ArgumentException where options contradict the span.
    let spec
        (options: TensorSdeOptions)
        (method: SdeMethod<'C, 'N>)
        (sde: Sde<'C, 'N>)
        (seed: uint64)
        (t0: float)
        (t1: float)
        (y0: Tensor)
        : BrownianSpec =
        ArgumentNullException.ThrowIfNull(sde, nameof sde)
        SolveOptions.check (TensorSdeOptions.toSolve options) t0 t1
        TensorSdeRun.checkState y0
        let terms = sde.Terms
        let noise = TensorSdeRun.noiseOf terms
        SdeSchemes.pathSpec method.Scheme noise options.Control (terms.NoiseSizeFor y0) seed t0 t1

    /// The paths of such a spec, one for each element of y0's batch: a function of the seed alone. The caller disposes it.
    let path
        (options: TensorSdeOptions)
        (method: SdeMethod<'C, 'N>)
        (sde: Sde<'C, 'N>)
        (seed: uint64)
        (t0: float)
        (t1: float)
        (y0: Tensor)
        : TensorBrownian =
        TensorBrownian.For(spec options method sde seed t0 t1 y0, y0, 0L)

    /// Solves the equation from y(t0) = y0 to t1 along a path; t1 < t0 runs backward. Gradients flow to y0 and the equation's parameters as
    /// options.Differentiation says, when gradients are enabled and any of them requires one.
    ///
    /// ArgumentException for misuse: an empty state; a path of the wrong dimension, batch or level (named), or one that does not cover the span
    /// (ArgumentOutOfRangeException); options that contradict the span; a drift or diffusion of the wrong shape (both shapes and the class of
    /// noise are named). Failures while solving are in the Status.
    let solve
        (options: TensorSdeOptions)
        (method: SdeMethod<'C, 'N>)
        (sde: Sde<'C, 'N>)
        (path: IBrownian<Tensor>)
        (t0: float)
        (t1: float)
        (y0: Tensor)
        : TensorSolution =
        NativeLibraries.ensure ()
        ArgumentNullException.ThrowIfNull(sde, nameof sde)
        let terms = sde.Terms
        SolveOptions.check (TensorSdeOptions.toSolve options) t0 t1
        TensorSdeRun.check method.Scheme terms path t0 t1 y0
        TensorSdeRun.checkTolerance options.Tolerance y0
        let wants (x: Tensor) = not (isNull x) && x.requires_grad

        let needed =
            torch.is_grad_enabled ()
            && (wants y0 || Array.exists wants terms.Parameters || options.Differentiation.IsRecorded)

        use scope = torch.NewDisposeScope()

        let solution =
            match SdeGradients.trySolve method.Scheme terms path options needed t0 t1 y0 with
            | ValueSome solution -> solution
            | ValueNone when needed && options.Differentiation.IsRecorded ->
                solvePlain method.Scheme terms path options true t0 t1 y0
            | ValueNone ->
                use _ = torch.no_grad ()
                solvePlain method.Scheme terms path options false t0 t1 y0

        solution.MoveToOuterScope()

    /// Solves along a path made from a seed (see `path`): equal seeds give equal paths on every machine.
    let simulate
        (options: TensorSdeOptions)
        (method: SdeMethod<'C, 'N>)
        (sde: Sde<'C, 'N>)
        (seed: uint64)
        (t0: float)
        (t1: float)
        (y0: Tensor)
        : TensorSolution =
        let path = path options method sde seed t0 t1 y0

        try
            solve options method sde path t0 t1 y0
        finally
            // Dense output goes on asking the path.
            if not options.SaveAt.IsDenseOutput then
                (path :> IDisposable).Dispose()
