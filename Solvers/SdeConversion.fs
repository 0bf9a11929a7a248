// The same process in the other calculus, and numbers that say what a diffusion is like.
//   f dt + g dW = (f - c) dt + g o dW,   c = 1/2 sum_j (D g_j) g_j
namespace Continuum

open System
open TorchSharp

/// Conversion between Ito and Stratonovich equations. The diffusion stays; the drift changes by c = 1/2 sum_j (D g_j) g_j, found by
/// automatic differentiation each time the drift is evaluated: one evaluation of the diffusion and a reverse sweep for diagonal noise
/// (where g_i must see y_i alone), a derivative along g for scalar noise, one for each Brownian motion for matrices, and nothing for
/// additive noise. Both are differentiable again.
[<RequireQualifiedAccess>]
module SdeConversion =
    let private shift (sign: float) (calculus: CalculusKind) (terms: SdeTerms) : SdeTerms =
        let half = 0.5 * sign
        let at = SdeTermsAt terms

        let drift =
            if terms.Noise = NoiseKind.Additive then
                Func<_, _, _>(fun t y -> terms.Drift(t, y))
            else
                Func<_, _, _>(fun (t: Tensor) (y: Tensor) ->
                    let struct (_, correction) = DiffusionCalculus.along at t y null
                    terms.Drift(t, y).add(correction, half))

        SdeTerms(
            calculus,
            terms.Noise,
            terms.NoiseSize,
            drift,
            Func<_, _, _>(fun t y -> terms.Diffusion(t, y)),
            terms.Parameters,
            terms.Autonomous
        )

    /// The Stratonovich equation of the same process.
    let toStratonovich (sde: Sde<Ito, 'N>) : Sde<Stratonovich, 'N> =
        Sde<Stratonovich, 'N>(shift -1.0 CalculusKind.Stratonovich sde.Terms)

    /// The Ito equation of the same process.
    let toIto (sde: Sde<Stratonovich, 'N>) : Sde<Ito, 'N> = Sde<Ito, 'N>(shift 1.0 CalculusKind.Ito sde.Terms)

/// Numbers that tell whether an equation is what its type promises, at one point: 0 where it is, of the order of 1 where it is far from it.
/// A dependence that vanishes at the point goes unseen.
[<RequireQualifiedAccess>]
module SdeProbe =
    /// Each column as a function of y, as tensors shaped like y.
    let private columns (terms: SdeTerms) (t: Tensor) (y: Tensor) : (Tensor -> Tensor)[] =
        let at = SdeTermsAt terms
        let g (y: Tensor) = at.Verify(y, terms.Diffusion(t, y))
        let n = int y.shape[y.shape.Length - 1]

        match terms.Noise with
        | NoiseKind.Scalar -> [| g |]
        | NoiseKind.Diagonal ->
            Array.init n (fun j ->
                fun y ->
                    let mask = torch.zeros_like (y.detach ())
                    mask.select(-1L, int64 j).fill_(1.0) |> ignore
                    (g y).mul mask)
        | _ -> Array.init terms.NoiseSize (fun j -> fun y -> (g y).select(-1L, int64 j).expand_as y)

    let private norm (x: Tensor) = x.norm().ToDouble()

    let private at (t: float) (y: Tensor) (sde: Sde<'C, 'N>) (measure: Tensor -> Tensor -> float) : float =
        use _ = torch.NewDisposeScope()
        use _ = torch.no_grad ()

        let time =
            if sde.Terms.Autonomous then
                null
            else
                torch.tensor (t, dtype = y.dtype, device = y.device)

        measure time (y.detach ())

    /// How far the noise is from commuting at (t, y): the largest |(D g_j) g_i - (D g_i) g_j| relative to the larger of the two terms.
    let commutes (sde: Sde<'C, 'N>) (t: float) (y: Tensor) : float =
        at t y sde (fun time y ->
            let g = columns sde.Terms time y
            let values = g |> Array.map (fun column -> column y)

            let along j i =
                let struct (_, tangent) = Autograd.jvp g[j] y values[i]
                tangent

            let mutable worst = 0.0

            for i in 0 .. g.Length - 1 do
                for j in i + 1 .. g.Length - 1 do
                    let a = along j i
                    let b = along i j
                    let size = Math.Max(norm a, norm b)

                    if size > 0.0 then
                        worst <- Math.Max(worst, norm (a.sub b) / size)

            worst)

    /// How far the noise is from additive at (t, y): the largest change of a column along any of y's axes, |dg_j/dy_i| |y| / |g|, with 1 for
    /// |y| where y is small.
    let isAdditive (sde: Sde<'C, 'N>) (t: float) (y: Tensor) : float =
        at t y sde (fun time y ->
            let n = int y.shape[y.shape.Length - 1]
            let g (y: Tensor) = sde.Terms.Diffusion(time, y)
            let size = norm (g y)
            let mutable worst = 0.0

            for i in 0 .. n - 1 do
                let axis = torch.zeros_like y
                axis.select(-1L, int64 i).fill_(1.0) |> ignore
                let struct (_, tangent) = Autograd.jvp g y axis
                worst <- Math.Max(worst, norm tangent)

            if worst = 0.0 then
                0.0
            else
                worst * Math.Max(1.0, norm y) / Math.Max(size, 1e-300))

    /// For scalar and diagonal noise, how far g_i is from seeing y_i alone at (t, y): the norm of the derivatives dg_i/dy_j, i <> j, relative to
    /// that of all. Milstein's method, SRID2 and the conversions need 0 for diagonal noise. ArgumentException for noise with matrices.
    let isDiagonal (sde: Sde<'C, 'N>) (t: float) (y: Tensor) : float =
        if not sde.Terms.IsElementwise then
            raise (
                ArgumentException
                    $"Only scalar and diagonal noise have one number of g for each component; the noise is {sde.Terms.Noise}."
            )

        at t y sde (fun time y ->
            let n = int y.shape[y.shape.Length - 1]
            let g (y: Tensor) = sde.Terms.Diffusion(time, y)
            let mutable off = 0.0
            let mutable all = 0.0

            for j in 0 .. n - 1 do
                let axis = torch.zeros_like y
                axis.select(-1L, int64 j).fill_(1.0) |> ignore
                let struct (_, tangent) = Autograd.jvp g y axis
                let own = norm (tangent.select (-1L, int64 j))
                let total = norm tangent
                all <- all + total * total
                off <- off + Math.Max(0.0, total * total - own * own)

            if all = 0.0 then 0.0 else sqrt (off / all))
