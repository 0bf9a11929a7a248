// Vector fields of controlled differential equations.
namespace Continuum

open System
open TorchSharp

/// F of dz = F(t, z) dX on tensors: from a state (..., n) to a matrix (..., n, channels), and its product with a direction (..., channels).
/// t is the path's parameter as a 0-d tensor, null for an autonomous field.
[<Sealed; AllowNullLiteral>]
type CdeField
    private
    (
        matrix: Func<Tensor, Tensor, Tensor>,
        product: Func<Tensor, Tensor, Tensor, Tensor>,
        channels: int,
        parameters: Tensor[],
        autonomous: bool
    ) =
    let mutable trackingChecked = false
    let mutable shapeChecked: int64[] = null

    do
        if channels < 1 then
            raise (ArgumentException $"A path has at least one channel; got {channels}.")

        if isNull matrix && isNull product then
            raise (ArgumentNullException(nameof matrix))

    /// A field given by its matrix, of shape (..., n, channels), and the tensors it reads with gradients of their own; an autonomous
    /// one is given null for t.
    new(matrix: Func<Tensor, Tensor, Tensor>, channels: int, parameters: seq<Tensor>, autonomous: bool) =
        CdeField(matrix, null, channels, Seq.toArray parameters, autonomous)

    /// A field given by its product with a direction: from (t, z, dx) to F(t, z) dx, of the shape of z. For fields that need not form
    /// the matrix (low rank, sparse).
    new(product: Func<Tensor, Tensor, Tensor, Tensor>, channels: int, parameters: seq<Tensor>, autonomous: bool) =
        CdeField(null, product, channels, Seq.toArray parameters, autonomous)

    /// Channels of the paths it takes.
    member _.Channels = channels
    /// The tensors that F reads and whose gradients are wanted.
    member _.Parameters = parameters
    /// F does not look at t.
    member _.Autonomous = autonomous
    /// Whether the matrix is given.
    member _.HasMatrix = not (isNull matrix)

    /// F(t, z), (..., n, channels). InvalidOperationException where only the product is given.
    member _.Matrix(t: Tensor, z: Tensor) : Tensor =
        if isNull matrix then
            raise (InvalidOperationException "This field was given by its product with a direction and has no matrix.")

        matrix.Invoke(t, z)

    /// F(t, z) dx, shaped as z.
    member _.Product(t: Tensor, z: Tensor, dx: Tensor) : Tensor =
        if isNull product then
            Tensors.product (matrix.Invoke(t, z)) dx
        else
            product.Invoke(t, z, dx)

    /// The same field with a faster way to its product.
    member _.WithProduct(product: Func<Tensor, Tensor, Tensor, Tensor>) =
        ArgumentNullException.ThrowIfNull product
        CdeField(matrix, product, channels, parameters, autonomous)

    member internal _.TrackingChecked
        with get () = trackingChecked
        and set value = trackingChecked <- value

    /// The shape of states for which the field's values were found to fit; null before anyone looked.
    member internal _.ShapeChecked
        with get () = shapeChecked
        and set value = shapeChecked <- value

/// Construction of fields, and the first evaluation of them.
[<RequireQualifiedAccess>]
module CdeField =
    /// A field that does not depend on the path's parameter: z (..., n) to (..., n, channels).
    let create (channels: int) (parameters: seq<Tensor>) (f: Tensor -> Tensor) =
        CdeField(Func<Tensor, Tensor, Tensor>(fun _ z -> f z), channels, parameters, true)

    /// A field that depends on the path's parameter too (a 0-d tensor).
    let timed (channels: int) (parameters: seq<Tensor>) (f: Tensor -> Tensor -> Tensor) =
        CdeField(Func<Tensor, Tensor, Tensor>(fun t z -> f t z), channels, parameters, false)

    /// A field by its product with a direction: z and dx to F(z) dx.
    let ofProduct (channels: int) (parameters: seq<Tensor>) (f: Tensor -> Tensor -> Tensor) =
        CdeField(Func<Tensor, Tensor, Tensor, Tensor>(fun _ z dx -> f z dx), channels, parameters, true)

    /// A network from (..., n) to (..., n * channels) as a field; output number i * channels + j is row i, column j of the matrix.
    let ofModule (channels: int) (network: torch.nn.Module<Tensor, Tensor>) =
        ArgumentNullException.ThrowIfNull network

        create channels (Seq.cast<Tensor>(network.parameters ())) (fun z ->
            let value = network.call z
            let shape = z.shape
            let size = shape[shape.Length - 1]
            let outputs = value.shape[value.shape.Length - 1]

            if outputs <> size * int64 channels then
                raise (
                    ArgumentException
                        $"The network gives {outputs} numbers for a state of {size}; a field on {channels} channels gives {size} x {channels} = {size * int64 channels}."
                )

            value.reshape (Array.append shape [| int64 channels |]))

    /// The parameter as the field takes it.
    let internal time (field: CdeField) (t: float) (z: Tensor) : Tensor =
        if field.Autonomous then
            null
        else
            torch.tensor (t, dtype = z.dtype, device = z.device)

    let private bad (text: string) = raise (ArgumentException text)

    /// The values of a field have the shapes they must have, by one evaluation.
    let private checkValues (field: CdeField) (path: ControlPath) (z0: Tensor) : unit =
        use _ = torch.NewDisposeScope()
        use _ = torch.no_grad ()
        let z = z0.detach ()
        let t = time field path.Start z

        if field.HasMatrix then
            let expected = Array.append z.shape [| int64 field.Channels |]
            let found = field.Matrix(t, z)

            if isNull found || not (found.shape.AsSpan().SequenceEqual expected) then
                let shape = if isNull found then "null" else Tensors.shapeText found
                let wanted = String.Join(", ", expected)
                bad $"For a state of shape {Tensors.shapeText z} the field must return [{wanted}]; it returned {shape}."

        let direction = path.Derivative(path.Start, Side.Right)
        let product = field.Product(t, z, direction)

        if isNull product || not (product.shape.AsSpan().SequenceEqual z.shape) || product.dtype <> z.dtype then
            let found =
                if isNull product then
                    "null"
                else
                    $"{Tensors.shapeText product} {product.dtype}"

            bad
                $"The field times a direction of shape {Tensors.shapeText direction} must have the shape and dtype of the state, {Tensors.shapeText z} {z.dtype}; it is {found}."

    /// ArgumentException where field, path and state do not fit; the field is evaluated once for each shape of state.
    let internal check (field: CdeField) (path: ControlPath) (z0: Tensor) : unit =
        if path.Channels <> field.Channels then
            bad
                $"The path has {path.Channels} channels (time and intensities included) and the field takes {field.Channels}."

        let coefficients = path.Coefficients

        if coefficients.B.dtype <> z0.dtype || coefficients.B.device_type <> z0.device_type then
            bad
                $"The initial state is {z0.dtype} on {z0.device} and the path {coefficients.B.dtype} on {coefficients.B.device}; convert one of them."

        let batch = path.BatchShape
        let own = z0.shape.AsSpan(0, z0.shape.Length - 1)

        if batch.Length > 0 && not (own.SequenceEqual batch) then
            let text = String.Join(", ", batch)

            bad
                $"The initial state has shape {Tensors.shapeText z0} and the path a batch of [{text}]: the sizes in front of the state's last one must be the path's. Take the paths of the same series (path.Select), or a state without a batch for one that all series start from."

        if isNull field.ShapeChecked || not (field.ShapeChecked.AsSpan().SequenceEqual z0.shape) then
            checkValues field path z0
            field.ShapeChecked <- z0.shape
