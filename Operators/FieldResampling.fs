// The same function at other points.
namespace Continuum

open System
open TorchSharp

/// Fields at other points of their domain.
///
/// Each axis of a product goes its own way. Uniform points of a periodic axis stand for a trigonometric polynomial (`SpectralResampling`),
/// of Neumann and Dirichlet axes for a cosine and a sine series (`TrigonometricTransforms`); these are evaluated at any new points, uniform or
/// not. Points of open axes and irregular points stand for polynomials through the four nearest values (order 4; through all where there
/// are fewer), which wrap around periodic axes and are continued from the outermost points to the ends of others.
[<RequireQualifiedAccess>]
module FieldResampling =

    let private bad (text: string) = raise (ArgumentException text)

    /// Where the first point lies, in units of the period.
    let private offset (points: AxisPoints) =
        if points.Layout = PointLayout.Cells then 0.5 / float points.Count else 0.0

    /// sin(pi n d) / (n sin(pi d)), times cos(pi d) for even n: the polynomial that is 1 at one of n points, at distance d in periods.
    let private dirichletKernel (n: int) (distance: float) =
        let d = distance - Math.Round distance
        let low = sin (Math.PI * d)

        if abs low < 1e-300 then
            1.0
        else
            let ratio = sin (Math.PI * float n * d) / (float n * low)
            if n % 2 = 0 then ratio * cos (Math.PI * d) else ratio

    /// What to evaluate along one axis (values, or coefficients of a series), and the rows of weights at given coordinates.
    let private evaluation (source: AxisPoints) (dim: int) (x: Tensor) : Tensor * (float[] -> float[]) =
        if SpectralResampling.has source then
            let rows (at: float[]) = [|
                for t in at do
                    for s in source.X -> dirichletKernel source.Count ((t - s) / source.Axis.Length)
            |]

            x, rows
        elif TrigonometricTransforms.has source then
            let count = TrigonometricTransforms.count source
            TrigonometricTransforms.coefficients source dim x, TrigonometricTransforms.basis source.Axis count
        else
            x, LocalPolynomials.matrix source 0 4

    /// The matrix times x along one axis.
    let private apply (matrix: Tensor) (dim: int) (x: Tensor) =
        let last = int64 (x.shape.Length - 1)
        (Tensors.matmul (x.transpose (int64 dim, last)) (matrix.t ())).transpose(int64 dim, last)

    let private alongAxis (source: AxisPoints) (target: AxisPoints) (dim: int) (x: Tensor) : Tensor =
        if source.Equals target || source.X = target.X then
            x
        elif SpectralResampling.has source && SpectralResampling.has target then
            SpectralResampling.shifted (int64 dim) (int64 target.Count) (offset target - offset source) x
        elif TrigonometricTransforms.has source && TrigonometricTransforms.has target then
            TrigonometricTransforms.resample source target dim x
        else
            let what, rows = evaluation source dim x
            let shape = [| int64 target.Count; what.shape[dim] |]
            apply (Tensors.ofArray (rows target.X) shape x.dtype x.device) dim what

    let private toProduct (target: Discretisation) (field: Field) : Tensor =
        let source = field.Discretisation.Axes

        Array.fold2 (fun (dim, x) from upto -> dim + 1, alongAxis from upto dim x) (2, field.Values) source target.Axes
        |> snd

    /// The sums of x over all axes with the weights of each point: weights[i] has shape (clouds, 1, points, size of axis i).
    let private contract (weights: Tensor[]) (x: Tensor) : Tensor =
        let batch, channels = x.shape[0], x.shape[1]
        let first = x.reshape ([| batch; channels; x.shape[2]; -1L |])
        let mutable result = Tensors.matmul weights[0] first

        for i in 1 .. weights.Length - 1 do
            let points = result.shape[2]
            let split = result.reshape ([| batch; channels; points; x.shape[2 + i]; -1L |])
            result <- split.mul(weights[i].unsqueeze -1L).sum [| 3L |]

        result.squeeze -1L

    let private toClouds (target: Discretisation) (field: Field) : Tensor =
        let clouds, d = target.CloudCount, target.Domain.Dimension
        let points = int target.Shape[0]
        let coordinates = target.Coordinates(torch.float64, torch.CPU) |> Tensors.toArray
        let mutable x = field.Values

        let weights =
            field.Discretisation.Axes
            |> Array.mapi (fun i source ->
                let what, rows = evaluation source (i + 2) x
                x <- what

                let at = [|
                    for s in 0 .. clouds - 1 do
                        for j in 0 .. points - 1 -> coordinates[(s * d + i) * points + j]
                |]

                let shape = [| int64 clouds; 1L; int64 points; what.shape[i + 2] |]
                Tensors.ofArray (rows at) shape x.dtype x.device)

        // Blocks of points, so that the first product stays below 4 million numbers.
        let perPoint = x.NumberOfElements / x.shape[2]
        let block = max 1L (min (int64 points) (4_000_000L / max 1L perPoint))

        let parts = [|
            for first in 0L .. block .. int64 points - 1L do
                let length = min block (int64 points - first)
                contract (weights |> Array.map (fun w -> w.narrow (2L, first, length))) x
        |]

        if parts.Length = 1 then parts[0] else torch.cat (parts, 2L)

    let private check (target: Discretisation) (field: Field) =
        let source = field.Discretisation

        if not (source.Domain.Equals target.Domain) then
            bad $"The field lives on {source.Domain} and the new points on {target.Domain}; the domains must be equal."

        if not source.IsProduct then
            bad
                $"The field is given at {source}, whose values have no neighbours to interpolate between; map it to a grid by a kernel layer, or give it on a product of axes."

        if target.CloudCount > 1 && int64 target.CloudCount <> field.Batch then
            bad
                $"The field has {field.Batch} samples and there are {target.CloudCount} clouds; give one cloud for each sample, or one for all."

    /// The field at other points of its domain: products of any axes, or clouds. Gradients flow; float32 and float64. The result shares
    /// the values where the points are the same. ArgumentException for another domain, for a field at clouds (unless they are the same), and
    /// for clouds of another number than the samples.
    let upto (target: Discretisation) (field: Field) : Field =
        ArgumentNullException.ThrowIfNull(target, nameof target)
        ArgumentNullException.ThrowIfNull(field, nameof field)

        if target.Equals field.Discretisation then
            new Field(target, field.Values.alias ())
        else
            check target field
            NativeLibraries.ensure ()
            use _ = torch.NewDisposeScope()
            let result = if target.IsProduct then toProduct target field else toClouds target field

            let own =
                if Object.ReferenceEquals(result, field.Values) then
                    result.alias ()
                else
                    result.contiguous ()

            new Field(target, own.MoveToOuterDisposeScope())
