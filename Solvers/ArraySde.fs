// Stochastic differential equations on arrays of doubles: one path, without libtorch.
namespace Continuum

open System

/// Solving dy = f(t, y) dt + g(t, y) dW (Ito) or o dW (Stratonovich) on float[], by the same methods as on tensors. Ito's integral is
/// taken in the direction of integration. Many paths: SdeEnsemble.
[<RequireQualifiedAccess>]
module ArraySde =
    /// What paths for this method, equation and span are functions of: one cell for each fixed step, one cell for adaptive steps; the level that
    /// the method needs. ArgumentException where options contradict the span.
    let spec
        (options: ArraySdeOptions)
        (method: SdeMethod<'C, 'N>)
        (sde: ArraySde<'C, 'N>)
        (seed: uint64)
        (t0: float)
        (t1: float)
        : BrownianSpec =
        ArgumentNullException.ThrowIfNull(sde, nameof sde)
        ArraySdeRun.check method.Scheme sde.Terms options t0 t1
        let terms = sde.Terms
        SdeSchemes.pathSpec method.Scheme terms.EffectiveNoise options.Control terms.NoiseSize seed t0 t1

    /// Solves the equation from y(t0) = y0 to t1 along a path; t1 < t0 runs backward. y0 is not changed. With fixed steps the arrays of
    /// the state are used again and again. Values given to the caller are copies.
    ///
    /// ArgumentException for misuse: a state, a path or tolerances of the wrong size (both numbers are named); a path of the wrong level,
    /// or one that does not cover the span (ArgumentOutOfRangeException); options that contradict the span; additive noise that looks
    /// at the state; delegates for a method that needs derivatives (another is named). Failures while solving are in the Status.
    let solve
        (options: ArraySdeOptions)
        (method: SdeMethod<'C, 'N>)
        (sde: ArraySde<'C, 'N>)
        (path: IBrownian<float[]>)
        (t0: float)
        (t1: float)
        (y0: float[])
        : Solution<float[]> =
        ArgumentNullException.ThrowIfNull(sde, nameof sde)

        if isNull (box path) then
            raise (ArgumentNullException(nameof path, "The path is null; give a BrownianPath."))

        let terms = sde.Terms
        ArraySdeRun.check method.Scheme terms options t0 t1
        ArraySdeRun.checkStart terms sde.Parameters t0 y0
        ArraySdeRun.checkPath method.Scheme terms path.Dimension path.Level path.Start path.End t0 t1
        ArraySdeRun.run method.Scheme terms sde.Parameters options path t0 t1 y0

    /// Solves along path 0 of a seed (see `spec`): equal seeds give equal paths on every machine, on arrays and on tensors.
    let simulate
        (options: ArraySdeOptions)
        (method: SdeMethod<'C, 'N>)
        (sde: ArraySde<'C, 'N>)
        (seed: uint64)
        (t0: float)
        (t1: float)
        (y0: float[])
        : Solution<float[]> =
        solve options method sde (BrownianPath(spec options method sde seed t0 t1)) t0 t1 y0
