// Functions on a torus by their values on uniform grids: the same function on another grid.
namespace Continuum

open System
open TorchSharp

/// Trigonometric interpolation between uniform grids on periodic axes (points at j L / n, the end excluded).
///
/// A real function on n points stands for its modes |k| <= n / 2; at an even n the mode n / 2 is a cosine, half of which belongs to k = n / 2
/// and half to k = -n / 2. A finer grid gives the values of that function; a coarser one keeps the modes that it can hold, both signs alike.
/// So a function with modes below half of both sizes is exact on every grid, finer and back is the identity, and the mean never changes.
[<RequireQualifiedAccess>]
module SpectralResampling =

    let private bad (text: string) = raise (ArgumentException text)

    /// Whether the functions at these points are such polynomials: uniform points on a periodic axis, from its start or at cell centres.
    let has (points: AxisPoints) : bool =
        ArgumentNullException.ThrowIfNull(points, nameof points)
        points.Axis.Boundary = Boundary.Periodic && points.Layout <> PointLayout.Irregular

    /// The modes of the larger or smaller grid, from those (0 .. n / 2) of a real function on n points.
    let private realModes (n: int64) (m: int64) (dim: int64) (modes: Tensor) : Tensor =
        let least = min n m
        let inner = modes.narrow (dim, 0L, (least + 1L) / 2L)

        let shared =
            if least % 2L = 1L then
                inner
            else
                let edge = modes.narrow (dim, least / 2L, 1L)
                // Finer: half of the cosine. Coarser: both signs fall on one mode, which is real.
                let edge = if n < m then edge.mul 0.5 else edge.add (edge.conj ())
                torch.cat ([| inner; edge |], dim)

        let missing = m / 2L + 1L - shared.shape[int dim]

        if missing = 0L then
            shared
        else
            let shape = Array.copy shared.shape
            shape[int dim] <- missing
            torch.cat ([| shared; torch.zeros (shape, dtype = shared.dtype, device = shared.device) |], dim)

    /// The same of a complex function, whose modes are 0, 1, .., -2, -1.
    let private complexModes (n: int64) (m: int64) (dim: int64) (modes: Tensor) : Tensor =
        let least = min n m
        let half = (least + 1L) / 2L
        let negative = (least - 1L) / 2L
        let low = modes.narrow (dim, 0L, half)
        let high = modes.narrow (dim, n - negative, negative)

        let zeros (count: int64) = [|
            if count > 0L then
                let shape = Array.copy modes.shape
                shape[int dim] <- count
                torch.zeros (shape, dtype = modes.dtype, device = modes.device)
        |]

        let middle =
            if least % 2L = 1L then
                zeros (m - least)
            elif n < m then
                let edge = modes.narrow(dim, n / 2L, 1L).mul 0.5
                Array.concat [ [| edge |]; zeros (m - n - 1L); [| edge |] ]
            else
                [| modes.narrow(dim, m / 2L, 1L).add(modes.narrow (dim, n - m / 2L, 1L)) |]

        torch.cat (Array.concat [ [| low |]; middle; [| high |] ], dim)

    let private along (dim: int64) (m: int64) (x: Tensor) : Tensor =
        let n = x.shape[int dim]

        if n = m then
            x
        elif x.is_complex () then
            torch.fft.ifft (
                complexModes n m dim (torch.fft.fft_ (x, dim = dim, norm = FFTNormType.Forward)),
                dim = dim,
                norm = FFTNormType.Forward
            )
        else
            torch.fft.irfft (
                realModes n m dim (torch.fft.rfft (x, dim = dim, norm = FFTNormType.Forward)),
                m,
                dim,
                FFTNormType.Forward
            )

    /// exp(2 pi i k shift) times the modes k = 0, 1, ..
    let private turned (shift: float) (dim: int64) (modes: Tensor) : Tensor =
        let shape = Array.create modes.shape.Length 1L
        shape[int dim] <- modes.shape[int dim]
        let real = if modes.dtype = torch.complex64 then torch.float32 else torch.float64

        let part (f: float -> float) =
            let values = Array.init (int shape[int dim]) (fun k -> f (2.0 * Math.PI * float k * shift))

            Tensors.ofArray values shape real modes.device

        modes.mul (torch.complex (part cos, part sin))

    /// Of a real function at points j / n of its period, the values at j / m + shift. Temporaries join the caller's scope.
    let internal shifted (dim: int64) (m: int64) (shift: float) (x: Tensor) : Tensor =
        let n = x.shape[int dim]

        if shift = 0.0 then
            along dim m x
        else
            let modes = torch.fft.rfft (x, dim = dim, norm = FFTNormType.Forward)

            let modes =
                if n < m then
                    turned shift dim (realModes n m dim modes)
                elif n > m then
                    realModes n m dim (turned shift dim modes)
                else
                    // The highest mode of an even grid is a cosine: its sine part vanishes at these points too.
                    turned shift dim modes

            torch.fft.irfft (modes, m, dim, FFTNormType.Forward)

    /// The function with the values x on other grids: x has shape (..., n1, .., nd), real or complex floating point, the result
    /// (..., sizes) and the dtype of x. Even and odd sizes, finer and coarser, each axis on its own. Gradients flow. A fresh handle.
    /// ArgumentException for an x that is not floating point or has fewer axes than sizes, and for a size below 1.
    let resample (sizes: int[]) (x: Tensor) : Tensor =
        ArgumentNullException.ThrowIfNull sizes
        ArgumentNullException.ThrowIfNull x
        NativeLibraries.ensure ()
        let first = x.shape.Length - sizes.Length

        if sizes.Length = 0 || first < 0 then
            bad
                $"The values have shape {Tensors.shapeText x} and {sizes.Length} sizes were given; give one size for each of the last axes."

        if not (x.is_floating_point () || x.is_complex ()) then
            bad $"The values must be real or complex floating point; their dtype is {x.dtype}."

        sizes
        |> Array.iteri (fun i size ->
            if size < 1 || x.shape[first + i] < 1L then
                bad $"Axis {first + i} goes from {x.shape[first + i]} points to {size}; a grid has at least one point.")

        use _ = torch.NewDisposeScope()
        let mutable result = x

        for i in 0 .. sizes.Length - 1 do
            result <- along (int64 (first + i)) (int64 sizes[i]) result

        (if Object.ReferenceEquals(result, x) then x.alias () else result).MoveToOuterDisposeScope()
