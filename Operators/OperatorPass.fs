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

    /// Quadrature weights that broadcast against values, over the measure of the domain: sums with them are means.
    member _.Shares(discretisation: Discretisation) : Tensor =
        let mutable found: Tensor = null

        for struct (d, w) in weights do
            if isNull found && d.Equals discretisation then
                found <- w

        if isNull found then
            use _ = torch.NewDisposeScope()
            // Hidden functions keep no conditions.
            let w = discretisation.Free.Weights(dtype, device)

            found <-
                if discretisation.IsProduct then
                    w.div discretisation.Measure
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
        OperatorChecks.clouds target field.Batch
        OperatorChecks.parameters parameters field.Values
        use _ = torch.NewDisposeScope()
        use pass = new OperatorPass(field.Values.dtype, field.Values.device, parameters)
        let values = this.Pass(pass, field.Discretisation, target, field.Values)

        let values = if Object.ReferenceEquals(values, field.Values) then values.alias () else values

        new Field(target, values.MoveToOuterDisposeScope())

/// Values of fields at the points of others.
[<RequireQualifiedAccess>]
module internal OperatorValues =

    let private same (a: Discretisation) (b: Discretisation) = Object.ReferenceEquals(a, b) || a.Equals b

    /// Values of hidden functions and images at the points of `source` brought to those of `target`. They do not vanish at the ends of Dirichlet axes, so their sine
    /// series would not converge there: such axes count as open.
    let between (source: Discretisation) (target: Discretisation) (values: Tensor) : Tensor =
        if same source target then
            values
        elif target.IsProduct then
            (FieldResampling.upto target.Free (new Field(source.Free, values))).Values
        else
            (FieldResampling.upto target (new Field(source, values))).Values

    /// The values of a field at these points, by the series of its domain.
    let at (target: Discretisation) (field: Field) : Tensor =
        if same field.Discretisation target then
            field.Values
        else
            (FieldResampling.upto target field).Values

    /// For each coordinate the nearest point of an axis.
    let private nearest (points: AxisPoints) (x: float[]) : int64[] =
        let length = points.Axis.Length

        let distance (a: float) (b: float) =
            let gap = abs (a - b)

            if points.Axis.Boundary = Boundary.Periodic then
                min gap (abs (length - gap))
            else
                gap

        x
        |> Array.map (fun at ->
            let mutable best = 0

            for j in 1 .. points.Count - 1 do
                if distance at points.X[j] < distance at points.X[best] then
                    best <- j

            int64 best)

    let private places (numbers: int64[]) (device: torch.Device) : Tensor =
        use pinned = torch.tensor numbers
        pinned.clone().``to`` device

    /// A mask at other points: that of the nearest point, so that it stays 0 or 1.
    let mask (target: Discretisation) (mask: Field) : Tensor =
        let source = mask.Discretisation
        let values = mask.Values

        if same source target then
            values
        elif not source.IsProduct then
            OperatorChecks.bad
                $"A mask on {source} cannot be brought to {target}; give it at the points where the image is wanted."
        elif target.IsProduct then
            let mutable x = values

            for i in 0 .. source.Axes.Length - 1 do
                x <- x.index_select (int64 i + 2L, places (nearest source.Axes[i] target.Axes[i].X) values.device)

            x
        else
            let d = source.Axes.Length
            let n = int target.Shape[0]
            let x = Tensors.toArray (target.Coordinates(torch.float64, torch.CPU))
            let flat = values.flatten 2L

            let rows =
                Array.init target.CloudCount (fun s ->
                    let indices = Array.create n 0L

                    for i in 0 .. d - 1 do
                        let own = nearest source.Axes[i] (Array.sub x ((s * d + i) * n) n)

                        for j in 0 .. n - 1 do
                            indices[j] <- indices[j] * int64 source.Axes[i].Count + own[j]

                    let row =
                        if target.CloudCount = 1 || flat.shape[0] = 1L then
                            flat
                        else
                            flat.narrow (0L, int64 s, 1L)

                    row.index_select (2L, places indices values.device))

            if rows.Length = 1 then rows[0] else torch.cat (rows, 0L)
