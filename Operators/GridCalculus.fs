// Derivatives of fields on products of axes.
namespace Continuum

open System
open TorchSharp

/// Derivatives along axes and what is made of them.
///
/// On uniform periodic axes they are those of the trigonometric polynomial through the values; the highest mode of an even grid has no first
/// derivative there. On other axes they are finite differences of order 4 from the coordinates (`LocalPolynomials`), one-sided at the ends,
/// also at irregular points; a field need not obey the axis's condition for these. `seriesDerivative` differentiates the cosine or sine
/// series instead: exact for functions that are such series, but a function with the value zero and another second derivative at the end of
/// a Dirichlet axis has a sine series whose second derivative does not converge.
[<RequireQualifiedAccess>]
module GridCalculus =

    let private bad (text: string) = raise (ArgumentException text)

    let private moved (field: Field) (make: unit -> Tensor) : Field =
        NativeLibraries.ensure ()
        use _ = torch.NewDisposeScope()
        field.With((make ()).MoveToOuterDisposeScope())

    let private check (field: Field) =
        ArgumentNullException.ThrowIfNull(field, nameof field)

        if not field.Discretisation.IsProduct then
            bad
                $"Derivatives need a product of axes; the field is given at {field.Discretisation}. Give it on a grid, or map it to one by a kernel layer."

    let private checkAxis (axis: int) (order: int) (field: Field) =
        check field

        if axis < 0 || axis >= field.Domain.Dimension then
            bad $"There is no axis {axis} of {field.Domain}; its axes are 0 to {field.Domain.Dimension - 1}."

        if order < 1 || order > 2 then
            bad $"Derivatives are of order 1 or 2; got {order}."

    let private row (values: float[]) (dim: int) (x: Tensor) = TrigonometricTransforms.row values (int64 dim) x

    let private fourier (points: AxisPoints) (order: int) (dim: int) (x: Tensor) : Tensor =
        let n = points.Count
        let waves = Array.init (n / 2 + 1) (fun k -> 2.0 * Math.PI * float k / points.Axis.Length)
        let modes = torch.fft.rfft (x, dim = int64 dim, norm = FFTNormType.Forward)

        let modes =
            if order = 2 then
                modes.mul (row (waves |> Array.map (fun k -> -k * k)) dim x)
            else
                if n % 2 = 0 then
                    waves[n / 2] <- 0.0

                let k = row waves dim x
                modes.mul (torch.complex (torch.zeros_like k, k))

        torch.fft.irfft (modes, int64 n, int64 dim, FFTNormType.Forward)

    let private differences (points: AxisPoints) (order: int) (dim: int) (x: Tensor) : Tensor =
        let n = int64 points.Count
        let matrix = LocalPolynomials.matrix points order 4 points.X
        let d = Tensors.ofArray matrix [| n; n |] x.dtype x.device
        let last = int64 (x.shape.Length - 1)
        (Tensors.matmul (x.transpose (int64 dim, last)) (d.t ())).transpose(int64 dim, last)

    let private along (axis: int) (order: int) (field: Field) (x: Tensor) : Tensor =
        let points = field.Discretisation.Axes[axis]
        (if SpectralResampling.has points then fourier else differences) points order (axis + 2) x

    let private channel (i: int) (x: Tensor) = x.narrow (1L, int64 i, 1L)

    /// The derivative of order 1 or 2 along an axis, for every channel. ArgumentException for a field at clouds, an axis that it does not
    /// have, another order, and an axis with too few points (order + 1 at least, where it is not uniform and periodic).
    let derivative (axis: int) (order: int) (field: Field) : Field =
        checkAxis axis order field
        moved field (fun () -> (along axis order field field.Values).contiguous())

    /// The derivative of order 1 or 2 of the cosine or sine series along a uniform Neumann or Dirichlet axis, at the same points.
    /// ArgumentException as `derivative`, and for an axis without such a series.
    let seriesDerivative (axis: int) (order: int) (field: Field) : Field =
        checkAxis axis order field
        let points = field.Discretisation.Axes[axis]
        let dim = axis + 2

        moved field (fun () ->
            let series = TrigonometricTransforms.coefficients points dim field.Values

            if order = 1 then
                TrigonometricTransforms.slopes points dim series
            else
                let k = TrigonometricTransforms.wavenumbers points.Axis (int series.shape[dim])
                let scaled = series.mul (row (k |> Array.map (fun k -> -k * k)) dim series)
                TrigonometricTransforms.values points dim scaled)

    /// All first derivatives: channel c d + i is the derivative of channel c along axis i of d.
    let gradient (field: Field) : Field =
        check field
        let d = field.Domain.Dimension

        moved field (fun () ->
            let parts = Array.init d (fun i -> along i 1 field field.Values)
            // (batch, channels, d, points) as (batch, channels d, points).
            (torch.stack (parts, 2L)).flatten(1L, 2L))

    let private needChannels (wanted: int) (field: Field) =
        check field

        if field.Channels <> wanted then
            bad
                $"A vector field on {field.Domain} has {wanted} channels here, one for each axis; the field has {field.Channels}."

    /// The divergence of a field with one channel for each axis, as one channel. ArgumentException for another number of channels.
    let divergence (field: Field) : Field =
        ArgumentNullException.ThrowIfNull(field, nameof field)
        needChannels field.Domain.Dimension field

        moved field (fun () ->
            Array.init field.Channels (fun i -> along i 1 field (channel i field.Values))
            |> Array.reduce (fun sum part -> sum.add part))

    /// The sum of the second derivatives of each channel.
    let laplacian (field: Field) : Field =
        check field

        moved field (fun () ->
            Array.init field.Domain.Dimension (fun i -> along i 2 field field.Values)
            |> Array.reduce (fun sum part -> sum.add part)
            |> fun sum -> sum.contiguous ())

    /// The curl of a vector field: in three dimensions a vector field, in two d v / dx - d u / dy as one channel. ArgumentException on a
    /// line, and for another number of channels than axes.
    let curl (field: Field) : Field =
        ArgumentNullException.ThrowIfNull(field, nameof field)
        let d = field.Domain.Dimension

        if d = 1 then
            bad "A curl needs two or three axes; the field lives on one."

        needChannels d field

        moved field (fun () ->
            let rotation (i: int) (j: int) =
                (along i 1 field (channel j field.Values)).sub(along j 1 field (channel i field.Values))

            if d = 2 then
                rotation 0 1
            else
                torch.cat ([| rotation 1 2; rotation 2 0; rotation 0 1 |], 1L))

    /// The velocity (d psi / dy, -d psi / dx) of a stream function psi of one channel on two axes: its divergence is zero, its curl minus the
    /// Laplacian of psi. ArgumentException for another number of axes or channels.
    let streamVelocity (field: Field) : Field =
        check field

        if field.Domain.Dimension <> 2 || field.Channels <> 1 then
            bad $"A stream function has one channel on two axes; got {field.Channels} channels on {field.Domain}."

        moved field (fun () -> torch.cat ([| along 1 1 field field.Values; (along 0 1 field field.Values).neg() |], 1L))

    /// -(wave number)^2 of the functions of an axis, in the order of their coefficients.
    let private eigenvalues (points: AxisPoints) (half: bool) : float[] =
        if SpectralResampling.has points then
            let n = points.Count
            let count = if half then n / 2 + 1 else n

            Array.init count (fun i ->
                let k = 2.0 * Math.PI * float (min i (n - i)) / points.Axis.Length
                -k * k)
        else
            TrigonometricTransforms.wavenumbers points.Axis (TrigonometricTransforms.count points)
            |> Array.map (fun k -> -k * k)

    let private checkInvertible (axes: AxisPoints[]) =
        for points in axes do
            if not (SpectralResampling.has points || TrigonometricTransforms.has points) then
                bad
                    $"The inverse Laplacian needs uniform points on periodic, Neumann or Dirichlet axes; got {points}. Resample the field, or solve the equation by a solver."

    /// The solution u of Laplacian u = f by series: Fourier on periodic axes, cosines and sines on Neumann and Dirichlet axes, whose
    /// conditions u obeys. Where no axis is Dirichlet, u has mean zero and the mean of f, which no u can give, is left out. On
    /// periodic axes it inverts `laplacian`. ArgumentException for irregular points and open axes.
    let invertLaplacian (field: Field) : Field =
        check field
        let axes = field.Discretisation.Axes
        checkInvertible axes
        let series = [| for i in 0 .. axes.Length - 1 -> not (SpectralResampling.has axes[i]) |]
        let periodic = [| for i in 0 .. axes.Length - 1 -> not series[i] |]

        let dims = [|
            for i in 0 .. axes.Length - 1 do
                if periodic[i] then
                    int64 (i + 2)
        |]

        let sizes = [|
            for i in 0 .. axes.Length - 1 do
                if periodic[i] then
                    int64 axes[i].Count
        |]

        moved field (fun () ->
            let mutable x = field.Values

            for i in 0 .. axes.Length - 1 do
                if series[i] then
                    x <- TrigonometricTransforms.coefficients axes[i] (i + 2) x

            // The transform of real numbers keeps half of its last axis.
            let half i = dims.Length > 0 && dims[dims.Length - 1] = int64 (i + 2)

            let sum =
                Array.init axes.Length (fun i -> row (eigenvalues axes[i] (half i)) (i + 2) field.Values)
                |> Array.reduce (fun a b -> a.add b)

            let inverse = sum.reciprocal().masked_fill(sum.eq 0.0, 0.0)

            x <-
                if dims.Length = 0 then
                    x.mul inverse
                else
                    let modes = torch.fft.rfftn (x, dim = dims, norm = FFTNormType.Forward)
                    torch.fft.irfftn (modes.mul inverse, sizes, dims, FFTNormType.Forward)

            for i in 0 .. axes.Length - 1 do
                if series[i] then
                    x <- TrigonometricTransforms.values axes[i] (i + 2) x

            x.contiguous ())
