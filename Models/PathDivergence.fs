// The divergence of two laws of paths with the same diffusion (Girsanov), carried along a solve.
namespace Continuum

open TorchSharp

/// Kullback-Leibler divergence of the paths of dz = f dt + g dW from those of dz = h dt + g dW with the same g and start:
/// E int 1/2 |(f - h)/g|^2 dt under the first. With different diffusions the laws are singular and the divergence infinite. Dividing
/// componentwise needs diagonal noise, and costs no matrix inverse. Tzen and Raginsky 2019; Li et al. 2020.
[<RequireQualifiedAccess>]
module PathDivergence =
    let private half = lazy ((0.5).ToScalar())

    /// 1/2 |(f - h)/g|^2 summed over the last extent, (..., 1). g must stay away from 0: give it a floor.
    let rate (f: Tensor) (h: Tensor) (g: Tensor) : Tensor =
        f.sub(h).div(g).square().sum(-1L, keepdim = true).mul half.Value

    /// The equation on (..., n + 1) with the integral of the rate behind the state: start it with 0, and the mean of its end values is the
    /// divergence. The drift f and the prior's drift h are functions of t and z (..., n), g of z.
    let augmented
        (parameters: seq<Tensor>)
        (n: int)
        (f: Tensor -> Tensor -> Tensor)
        (h: Tensor -> Tensor -> Tensor)
        (g: Tensor -> Tensor)
        : Sde<Ito, DiagonalNoise> =
        let state (y: Tensor) = y.narrow (-1L, 0L, int64 n)

        let drift (t: Tensor) (y: Tensor) =
            let z = state y
            let one = f t z
            torch.cat ([| one; rate one (h t z) (g z) |], -1L)

        let diffusion (_: Tensor) (y: Tensor) =
            let noise = g (state y)
            torch.cat ([| noise; torch.zeros_like (y.narrow (-1L, int64 n, 1L)) |], -1L)

        Sde.diagonal<Ito> parameters drift diffusion

    /// The equation on (..., 3) of one component z, the integral of the rate, and int (f - h)/g dW, one Brownian motion for all: the
    /// second plus the third is the logarithm of the density of the first law by the second, whose mean is the divergence too but with
    /// more variance.
    let withDensity
        (f: Tensor -> Tensor -> Tensor)
        (h: Tensor -> Tensor -> Tensor)
        (g: Tensor -> Tensor)
        : Sde<Ito, ScalarNoise> =
        let state (y: Tensor) = y.narrow (-1L, 0L, 1L)

        let drift (t: Tensor) (y: Tensor) =
            let z = state y
            let one = f t z
            torch.cat ([| one; rate one (h t z) (g z); torch.zeros_like z |], -1L)

        let diffusion (t: Tensor) (y: Tensor) =
            let z = state y
            let noise = g z
            torch.cat ([| noise; torch.zeros_like z; (f t z).sub(h t z).div noise |], -1L)

        Sde.scalar<Ito> [] drift diffusion
