// What the layers share while a field passes through them.
namespace Continuum

open System
open System.Collections.Generic
open TorchSharp

/// One pass through a model: transforms and quadrature weights of the discretisations that it meets, made once each. Dispose of it.
[<Sealed>]
type OperatorPass
    private
    (
        dtype: torch.ScalarType,
        device: torch.Device,
        parameters: Tensor,
        transforms: List<struct (Discretisation * AxisBasis[] * SpectralTransform)>,
        weights: List<struct (Discretisation * Tensor)>
    ) =

    internal new(dtype: torch.ScalarType, device: torch.Device, parameters: Tensor) =
        new OperatorPass(dtype, device, parameters, List(), List())

    /// The same pass with other scalar parameters; it shares everything else, and is freed with it.
    member internal _.With(parameters: Tensor) = new OperatorPass(dtype, device, parameters, transforms, weights)

    /// Scalar parameters of the samples, (batch, parameters); null where there are none.
    member _.Parameters = parameters

    /// The transform of these points and series.
    member internal _.Transform(discretisation: Discretisation, bases: AxisBasis[]) : SpectralTransform =
        let mutable found = null

        for struct (d, b, transform) in transforms do
            if isNull (box found) && d.Equals discretisation && b = bases then
                found <- transform

        if isNull (box found) then
            found <- new SpectralTransform(discretisation, bases, dtype, device)
            transforms.Add(struct (discretisation, bases, found))

        found

    /// Quadrature weights that broadcast against values and sum to 1 over the points of each sample.
    member _.Shares(discretisation: Discretisation) : Tensor =
        let mutable found: Tensor = null

        for struct (d, w) in weights do
            if isNull found && d.Equals discretisation then
                found <- w

        if isNull found then
            use _ = torch.NewDisposeScope()
            let w = discretisation.Weights(dtype, device)

            found <-
                if discretisation.IsProduct then
                    w.div (w.sum ())
                else
                    (w.div (w.sum (-1L, keepdim = true))).unsqueeze 1L

            found <- found.DetachFromDisposeScope()
            weights.Add(struct (discretisation, found))

        found

    interface IDisposable with
        member _.Dispose() =
            for struct (_, _, transform) in transforms do
                (transform :> IDisposable).Dispose()

            for struct (_, w) in weights do
                w.Dispose()

            transforms.Clear()
            weights.Clear()

/// A map of functions to functions. Layers keep no grid: every pass takes it from the field.
[<AbstractClass>]
type OperatorLayer(name: string) =
    inherit torch.nn.Module(name)

    /// The values of the image, at the points of `target`, of values (batch, channels, points) at the points of `source`.
    abstract member Pass:
        pass: OperatorPass * source: Discretisation * target: Discretisation * values: Tensor -> Tensor

    /// The image of a field at the same points. A fresh field; gradients flow.
    member this.Apply(field: Field) : Field = this.Apply(field, field.Discretisation, null)

    /// The image of a field at the points of `target`. ArgumentException for layers that act at every point by itself when the points differ.
    member this.Apply(field: Field, target: Discretisation) : Field = this.Apply(field, target, null)

    /// The same with scalar parameters of the samples, (batch, parameters), for layers that take them.
    member this.Apply(field: Field, target: Discretisation, parameters: Tensor) : Field =
        ArgumentNullException.ThrowIfNull(field, nameof field)
        ArgumentNullException.ThrowIfNull(target, nameof target)
        NativeLibraries.ensure ()
        use _ = torch.NewDisposeScope()
        use pass = new OperatorPass(field.Values.dtype, field.Values.device, parameters)
        let values = this.Pass(pass, field.Discretisation, target, field.Values)

        let values = if Object.ReferenceEquals(values, field.Values) then values.alias () else values

        new Field(target, values.MoveToOuterDisposeScope())

/// Checks that layers share.
[<RequireQualifiedAccess>]
module internal OperatorChecks =
    let bad (text: string) = raise (ArgumentException text)

    let channels (layer: string) (wanted: int) (values: Tensor) =
        if values.shape[1] <> int64 wanted then
            bad $"{layer} takes {wanted} channels and the field has {values.shape[1]}."

    let dtype (layer: string) (parameter: Tensor) (values: Tensor) =
        if values.dtype <> parameter.dtype then
            bad
                $"{layer} has parameters of {parameter.dtype} and the field values of {values.dtype}; convert one of them."

        if values.device_type <> parameter.device_type then
            bad $"{layer} is on {parameter.device} and the field on {values.device}; move one of them."

    let samePoints (layer: string) (source: Discretisation) (target: Discretisation) =
        if not (Object.ReferenceEquals(source, target) || source.Equals target) then
            bad $"{layer} acts at every point by itself: it cannot go from {source} to {target}."

    let domain (layer: string) (wanted: Domain) (discretisation: Discretisation) =
        if not (discretisation.Domain.Equals wanted) then
            bad
                $"{layer} is made for functions on {wanted}; the field lives on {discretisation.Domain}. Scale its coordinates, or make the model for that domain."

    let positive (what: string) (value: int) =
        if value < 1 then
            bad $"{what} must be at least 1; got {value}."

/// Values of fields at the points of others.
[<RequireQualifiedAccess>]
module internal OperatorValues =
    /// Values at the points of `source` brought to those of `target`.
    let between (source: Discretisation) (target: Discretisation) (values: Tensor) : Tensor =
        if Object.ReferenceEquals(source, target) || source.Equals target then
            values
        else
            (FieldResampling.upto target (new Field(source, values))).Values

    /// The values of a field at these points.
    let at (target: Discretisation) (field: Field) : Tensor = between field.Discretisation target field.Values
