// Gaussian densities of the transitions of dx = f dt + L dW over a step h.
namespace Continuum

open System
open TorchSharp

/// How mean and covariance of a transition are found.
type TransitionDensity =
    /// One step of Euler and Maruyama: mean x + h f, covariance h L L'. Error of both O(h^2).
    | Euler = 0
    /// The midpoint rule on the equations of mean and covariance (Gaussian closure, expectations by the 2n points of the
    /// third-degree cubature rule of Arasaratnam and Haykin 2009; Sarkka and Sarmavuori 2013). Error of both O(h^3). Needs 1 + 2n evaluations.
    | Midpoint = 1

/// Drift and factor of the noise at a share (0 to 1) of the step and at states (..., n): f (..., n), and L (..., n, n) lower triangular with a
/// positive diagonal, or (..., n) for a diagonal matrix.
type TransitionCoefficients = delegate of share: float * x: Tensor -> struct (Tensor * Tensor)

/// Densities of transitions between observations.
[<RequireQualifiedAccess>]
module TransitionLikelihood =
    let private half = lazy ((0.5).ToScalar())
    let private one = lazy ((1.0).ToScalar())
    let private logTwoPi = log (2.0 * Math.PI)

    /// L as a matrix.
    let private matrix (x: Tensor) (factor: Tensor) =
        if factor.dim () = x.dim () then torch.diag_embed factor else factor

    let private euler (coefficients: TransitionCoefficients) (x: Tensor) (h: Tensor) : struct (Tensor * Tensor) =
        let struct (drift, factor) = coefficients.Invoke(0.0, x)
        let root = if factor.dim () = x.dim () then h.sqrt () else h.sqrt().unsqueeze -1L
        struct (torch.addcmul (x, drift, h, one.Value), factor.mul root)

    // P = E[f (x - m)'] + its transpose + E[L L'] at the midpoint, completed to a square with terms of O(h^3), so that it stays
    // positive definite for any h: P = h E[(L_p + s B)(L_p + s B)'] with B = E[f xi'], s = sqrt(h / 2) and standard points xi.
    let private midpoint (coefficients: TransitionCoefficients) (x: Tensor) (h: Tensor) : struct (Tensor * Tensor) =
        let n = x.shape[1]
        let points = 2L * n
        let struct (drift, factor) = coefficients.Invoke(0.0, x)
        let centre = torch.addcmul (x, drift, h, half.Value)
        let s = h.mul(half.Value).sqrt().unsqueeze -1L
        // Row i of the transpose is column i of L: the i-th direction.
        let directions = (matrix x factor).transpose(-2L, -1L).mul(s).mul(sqrt (float n))
        let spread = torch.cat ([| directions; directions.neg () |], 1L)
        let struct (drifts, factors) = coefficients.Invoke(0.5, centre.unsqueeze(1L).add spread)
        let mean = torch.addcmul (x, drifts.mean ([| 1L |]), h, one.Value)
        let difference = drifts.narrow(1L, 0L, n).sub(drifts.narrow (1L, n, n))
        let b = difference.transpose(-2L, -1L).mul(0.5 / sqrt (float n))

        let parts =
            (if factors.dim () = 3L then torch.diag_embed factors else factors).add(b.mul(s).unsqueeze 1L)

        let side = parts.transpose(1L, 2L).reshape(x.shape[0], n, points * n)
        let scale = h.unsqueeze(-1L).mul((1.0 / float points))
        let covariance = torch.matmul(side, side.transpose (-2L, -1L)).mul scale
        struct (mean, torch.linalg.cholesky covariance)

    /// Mean (batch, n) and factor of the covariance, (batch, n, n) lower triangular or (batch, n) diagonal, of the state after a
    /// step h (batch, 1) from x (batch, n). For linear drift and constant L the errors are those of the method in h alone.
    let moments
        (density: TransitionDensity)
        (coefficients: TransitionCoefficients)
        (x: Tensor)
        (h: Tensor)
        : struct (Tensor * Tensor) =
        if x.dim () <> 2L || h.dim () <> 2L || h.shape[0] <> x.shape[0] || h.shape[1] <> 1L then
            let one, two = Tensors.shapeText x, Tensors.shapeText h

            raise (
                ArgumentException
                    $"states have shape (batch, n) and steps (batch, 1); got {one} and {two}; reshape them"
            )

        use scope = torch.NewDisposeScope()

        let struct (mean, factor) =
            match density with
            | TransitionDensity.Euler -> euler coefficients x h
            | TransitionDensity.Midpoint -> midpoint coefficients x h
            | other -> raise (ArgumentOutOfRangeException(nameof density, other, "not a transition density"))

        struct (mean.MoveToOuterDisposeScope(), factor.MoveToOuterDisposeScope())

    /// The log density (batch) of y (batch, n) under a normal law with this mean and factor, as `moments` returns them.
    let logDensity (mean: Tensor) (factor: Tensor) (y: Tensor) : Tensor =
        use _ = torch.NewDisposeScope()
        let residual = y.sub mean
        let n = float y.shape[1]

        let struct (standard, logDiagonal) =
            if factor.dim () = mean.dim () then
                struct (residual.div factor, factor.log ())
            else
                let solved = torch.linalg.solve_triangular (factor, residual.unsqueeze -1L, upper = false, left = true)

                struct (solved.squeeze -1L, factor.diagonal(0L, -2L, -1L).log())

        let square = standard.square().sum(-1L).mul half.Value
        square.add(logDiagonal.sum -1L).neg().sub(0.5 * n * logTwoPi).MoveToOuterDisposeScope()
