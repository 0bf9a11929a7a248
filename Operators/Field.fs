// Functions by their values at the points of a discretisation.
namespace Continuum

open System
open TorchSharp

/// A batch of functions with several channels, by their values: shape (batch, channels, points of each axis), or (batch, channels, points)
/// on clouds. Layers and models map fields to fields. It owns its values: disposing of it frees them.
[<Sealed>]
type Field(discretisation: Discretisation, values: Tensor) =
    do
        ArgumentNullException.ThrowIfNull(discretisation, nameof discretisation)
        ArgumentNullException.ThrowIfNull(values, nameof values)

        if not (values.is_floating_point ()) then
            raise (
                ArgumentException $"The values of a field must be real floating point; their dtype is {values.dtype}."
            )

        let points = discretisation.Shape
        let shape = values.shape

        if shape.Length = points.Length + 2 && shape[2..] = points && shape[0] < 1L then
            raise (
                ArgumentException
                    $"The values have shape {Tensors.shapeText values}: there are no samples; give one or more."
            )

        if
            shape.Length <> points.Length + 2
            || Array.exists2 (<>) shape[2..] points
            || shape[0] < 1L
            || shape[1] < 1L
        then
            let wanted = String.Join(", ", points)

            raise (
                ArgumentException
                    $"The values have shape {Tensors.shapeText values}; on {discretisation} they must have shape [batch, channels, {wanted}]."
            )

        if discretisation.CloudCount > 1 && int64 discretisation.CloudCount <> shape[0] then
            raise (
                ArgumentException
                    $"The values are a batch of {shape[0]} and the discretisation has {discretisation.CloudCount} clouds; give one cloud for each sample, or one for all."
            )

    /// Where the values are taken.
    member _.Discretisation = discretisation
    /// The values.
    member _.Values = values
    /// The domain.
    member _.Domain = discretisation.Domain
    /// Number of functions.
    member _.Batch = values.shape[0]
    /// Number of channels.
    member _.Channels = int values.shape[1]

    /// Other values at the same points.
    member _.With(values: Tensor) = new Field(discretisation, values)

    override _.ToString() = $"{values.shape[0]} functions with {values.shape[1]} channels at {discretisation}"

    interface IDisposable with
        member _.Dispose() = values.Dispose()

/// Integrals of fields, and fields of given functions.
[<RequireQualifiedAccess>]
module FieldValues =

    let private bad (text: string) = raise (ArgumentException text)

    /// Axes of the points, counted from the end.
    let private pointAxes (field: Field) = Array.init field.Discretisation.Shape.Length (fun i -> int64 (i + 2))

    /// The quadrature weights in a shape that broadcasts against the values.
    let weights (field: Field) : Tensor =
        let w = field.Discretisation.Weights(field.Values.dtype, field.Values.device)

        if field.Discretisation.IsProduct then
            w
        else
            use own = w
            own.unsqueeze 1L

    /// Values where the mask is, and 0 where it is not, whatever stands there (NaN, too); null passes.
    let internal masked (mask: Tensor) (values: Tensor) : Tensor =
        if isNull mask then
            values
        else
            let product = values.mul mask
            torch.where (mask.gt 0.0, product, torch.zeros_like product)

    /// The field of functions f(x), the same for each sample: f gives one number for each channel.
    let ofFunction
        (batch: int)
        (dtype: torch.ScalarType)
        (discretisation: Discretisation)
        (f: float[] -> float[])
        : Field =
        if batch < 1 then
            bad $"A field has at least one sample; got {batch}."

        use _ = torch.NewDisposeScope()
        let d = discretisation.Domain.Dimension
        let clouds = discretisation.CloudCount
        let coordinates = discretisation.Coordinates(torch.float64, torch.CPU)
        let perCloud = coordinates.reshape ([| int64 clouds; int64 d; -1L |]) |> Tensors.toArray
        let n = perCloud.Length / (clouds * d)

        let values =
            Array.init clouds (fun s ->
                Array.init n (fun j -> f (Array.init d (fun i -> perCloud[(s * d + i) * n + j]))))

        let channels = values[0].[0].Length

        let flat = [|
            for s in 0 .. clouds - 1 do
                for c in 0 .. channels - 1 do
                    for j in 0 .. n - 1 -> values[s].[j].[c]
        |]

        let shape = Array.append [| int64 clouds; int64 channels |] discretisation.Shape
        let one = Tensors.ofArray flat shape dtype torch.CPU

        let all =
            if clouds = 1 then
                one.expand(Array.append [| int64 batch |] shape[1..]).contiguous()
            else
                one

        new Field(discretisation, all.MoveToOuterDisposeScope())

    /// The integral of each channel, (batch, channels).
    let integral (field: Field) : Tensor =
        use _ = torch.NewDisposeScope()
        (field.Values.mul(weights field).sum(pointAxes field)).MoveToOuterDisposeScope()

    /// The mean of each channel, (batch, channels): integrals over that of 1.
    let mean (field: Field) : Tensor =
        use _ = torch.NewDisposeScope()
        let w = weights field
        let sum = field.Values.mul(w).sum(pointAxes field)

        let mean =
            if field.Discretisation.IsProduct then
                sum.div field.Discretisation.Measure
            else
                sum.div (w.sum -1L)

        mean.MoveToOuterDisposeScope()

    /// The inner product of two fields at the same points over all channels, (batch).
    let inner (a: Field) (b: Field) : Tensor =
        if not (a.Discretisation.Equals b.Discretisation) then
            bad $"An inner product needs fields at the same points; got {a} and {b}. Resample one of them."

        use _ = torch.NewDisposeScope()
        let axes = Array.append [| 1L |] (pointAxes a)
        (a.Values.mul(b.Values).mul(weights a).sum axes).MoveToOuterDisposeScope()

    /// The L2 norm of each function over all channels, (batch).
    let norm (field: Field) : Tensor =
        use _ = torch.NewDisposeScope()
        ((inner field field).sqrt()).MoveToOuterDisposeScope()

    /// Throws ArgumentException, naming the field, where a value does not fit single precision.
    let internal requireSingle (name: string) (field: Field) =
        use _ = torch.NewDisposeScope()
        use _ = torch.no_grad ()
        let largest = field.Values.abs().max().ToDouble()

        if largest > float Single.MaxValue then
            bad
                $"{name} has values up to {largest:g3}, too large for single precision; compute in double precision, or take other units."

    /// Throws ArgumentException, naming the field, the sample and the channel, where a value is not finite.
    let requireFinite (name: string) (field: Field) =
        use _ = torch.NewDisposeScope()
        use _ = torch.no_grad ()
        let finite = field.Values.isfinite ()

        if not (finite.all().ToBoolean()) then
            let first = (finite.logical_not().nonzero())[0L]
            let at = first.data<int64>().ToArray()
            let total = finite.logical_not().sum().ToInt64()
            let place = String.Join(", ", at[2..])

            bad
                $"{name} has {total} values that are not finite, the first in sample {at[0]}, channel {at[1]}, at point ({place}); repair or remove these samples, and put 0 where a mask is 0."
