// Layers that act at every point by itself, and norms by quadrature.
namespace Continuum

open System
open TorchSharp

/// The nonlinearity of operators.
type OperatorActivation =
    /// x times the normal distribution function.
    | Gelu = 0
    /// Hyperbolic tangent.
    | Tanh = 1
    /// x times its logistic function.
    | Silu = 2
    /// None.
    | Identity = 3

/// Nonlinearities.
[<RequireQualifiedAccess>]
module internal OperatorActivations =
    let apply (kind: OperatorActivation) (x: Tensor) : Tensor =
        match kind with
        | OperatorActivation.Gelu -> torch.nn.functional.gelu x
        | OperatorActivation.Tanh -> x.tanh ()
        | OperatorActivation.Silu -> torch.nn.functional.silu x
        | OperatorActivation.Identity -> x
        | other -> raise (ArgumentOutOfRangeException(nameof kind, other, "not an activation"))

/// g(x) = W f(x) + b at every point, b only where it has a bias. W and b start uniform within 1 / sqrt(inputs).
[<Sealed>]
type PointwiseLinear(inputs: int, outputs: int, hasBias: bool, dtype: torch.ScalarType, generator: torch.Generator) as this
    =
    inherit OperatorLayer(nameof PointwiseLinear)

    do
        OperatorChecks.positive "The number of input channels" inputs
        OperatorChecks.positive "The number of output channels" outputs

    let draw (shape: int64[]) =
        OperatorChecks.weights (nameof PointwiseLinear) shape
        use _ = torch.NewDisposeScope()
        let bound = 1.0 / sqrt (float inputs)
        let uniform = torch.rand (shape, dtype = Nullable torch.float64, generator = generator)
        Owned.parameter (uniform.mul(2.0 * bound).sub(bound).``to`` dtype)

    do
        this.register_parameter ("weight", draw [| int64 outputs; int64 inputs |])

        if hasBias then
            this.register_parameter ("bias", draw [| int64 outputs |])

    /// Input channels.
    member _.Inputs = inputs
    /// Output channels.
    member _.Outputs = outputs

    /// (batch, inputs, points) to (batch, outputs, points), any number of axes of points.
    member internal this.Values(values: Tensor) : Tensor =
        OperatorChecks.channels (nameof PointwiseLinear) inputs values
        // Asked anew each time: moving a module to another device replaces its parameters.
        let weight = this.get_parameter "weight"
        let offset = if hasBias then this.get_parameter "bias" else null
        OperatorChecks.dtype (nameof PointwiseLinear) weight values
        let shape = values.shape
        let flat = values.reshape ([| shape[0]; shape[1]; -1L |])
        let result = torch.nn.functional.conv1d (flat, weight.unsqueeze -1L, offset)
        result.reshape (Array.append [| shape[0]; int64 outputs |] shape[2..])

    override this.Pass(_, source, target, values) =
        OperatorChecks.samePoints (nameof PointwiseLinear) source target
        this.Values values

/// A network applied at every point: a Nemytskii operator, the same function on every discretisation.
/// Layers of these widths with the nonlinearity between them.
[<Sealed>]
type PointwiseMlp
    (
        inputs: int,
        hidden: int[],
        outputs: int,
        activation: OperatorActivation,
        dtype: torch.ScalarType,
        generator: torch.Generator
    ) as this =
    inherit OperatorLayer(nameof PointwiseMlp)

    let sizes = Array.concat [ [| inputs |]; hidden; [| outputs |] ]

    let layers =
        Array.init (sizes.Length - 1) (fun i -> new PointwiseLinear(sizes[i], sizes[i + 1], true, dtype, generator))

    do layers |> Array.iteri (fun i layer -> this.register_module ($"layer{i}", layer))

    member internal _.Values(values: Tensor) : Tensor =
        let mutable x = values

        for i in 0 .. layers.Length - 1 do
            x <- layers[i].Values x

            if i < layers.Length - 1 then
                x <- OperatorActivations.apply activation x

        x

    override this.Pass(_, source, target, values) =
        OperatorChecks.samePoints (nameof PointwiseMlp) source target
        this.Values values

/// g(x) = w f(x) with one number for each channel, starting at 1: a skip that a layer can shut.
[<Sealed>]
type SoftGate(channels: int, dtype: torch.ScalarType) as this =
    inherit OperatorLayer(nameof SoftGate)

    do
        OperatorChecks.positive "The number of channels" channels
        use _ = torch.NewDisposeScope()
        let ones = Owned.parameter (torch.ones ([| int64 channels; 1L |], dtype = Nullable dtype))
        this.register_parameter ("weight", ones)

    member internal this.Values(values: Tensor) : Tensor =
        let weight = this.get_parameter "weight"
        OperatorChecks.channels (nameof SoftGate) channels values
        OperatorChecks.dtype (nameof SoftGate) weight values
        let points = Array.create (values.shape.Length - 2) 1L
        values.mul (weight.reshape (Array.append [| int64 channels |] points))

    override this.Pass(_, source, target, values) =
        OperatorChecks.samePoints (nameof SoftGate) source target
        this.Values values

/// Which averages a norm takes away.
type FunctionNormKind =
    /// None.
    | None = 0
    /// Mean and deviation of each channel over the domain.
    | Instance = 1
    /// Mean and deviation over the domain and all channels together.
    | Layer = 2

/// (f - mean) / sqrt(variance + 1e-5) with mean and variance over the domain by quadrature, so that they converge as the points are refined
/// and do not depend on where points are dense; then one factor and offset for each channel, from 1 and 0 on.
/// With `parameters` above 0 (adaptive instance normalisation, Huang and Belongie 2017) the factor and offset are 1 + A p and B p + b, where p are the scalar
/// parameters of the sample; A, B and b start at zero.
[<Sealed>]
type FunctionNorm(channels: int, kind: FunctionNormKind, parameters: int, dtype: torch.ScalarType) as this =
    inherit OperatorLayer(nameof FunctionNorm)

    do
        OperatorChecks.positive "The number of channels" channels

        if parameters < 0 then
            OperatorChecks.bad $"The number of scalar parameters must not be negative; got {parameters}."

    let own (name: string) (value: float) (shape: int64[]) =
        use _ = torch.NewDisposeScope()
        let start = torch.zeros (shape, dtype = Nullable dtype)
        this.register_parameter (name, Owned.parameter (start.add value))

    do
        own "scale" 1.0 [| int64 channels |]
        own "offset" 0.0 [| int64 channels |]

        if parameters > 0 then
            own "adaptive" 0.0 [| 2L * int64 channels; int64 parameters |]

    override this.Pass(pass, source, target, values) =
        let scale = this.get_parameter "scale"
        let offset = this.get_parameter "offset"
        let adaptive = if parameters > 0 then this.get_parameter "adaptive" else null
        OperatorChecks.samePoints (nameof FunctionNorm) source target
        OperatorChecks.channels (nameof FunctionNorm) channels values
        OperatorChecks.dtype (nameof FunctionNorm) scale values
        let shares = pass.Shares source
        let points = Array.init (values.shape.Length - 2) (fun i -> int64 i + 2L)
        let first = if kind = FunctionNormKind.Layer then 1L else 2L
        let axes = if first = 1L then Array.append [| 1L |] points else points
        let averaged = if first = 1L then float values.shape[1] else 1.0
        let mean (x: Tensor) = (x.mul(shares).sum(axes, keepdim = true)).div averaged

        let normal =
            if kind = FunctionNormKind.None then
                values
            else
                let centred = values.sub (mean values)
                centred.mul ((mean (centred.square ())).add(1e-5).rsqrt())

        let ones = Array.create points.Length 1L
        let wide (x: Tensor) = x.reshape (Array.append x.shape ones)

        if isNull adaptive then
            normal.mul(wide scale).add(wide offset)
        else
            let given = pass.Parameters

            if isNull given || given.shape[given.shape.Length - 1] <> int64 parameters then
                let got = if isNull given then 0L else given.shape[given.shape.Length - 1]
                OperatorChecks.bad $"The norm takes {parameters} scalar parameters for each sample; got {got}."

            OperatorChecks.parameters given values
            let both = Tensors.matmul given (adaptive.transpose (0L, 1L))
            let factor = both.narrow(1L, 0L, int64 channels).add scale
            let shift = both.narrow(1L, int64 channels, int64 channels).add offset
            normal.mul(wide factor).add(wide shift)

/// Appends the place of each point as channels: cos and sin of 2 pi x / L on periodic axes, so that nothing jumps at the end, and (x - start) / L on others.
[<Sealed>]
type Positions(domain: Domain) =
    inherit OperatorLayer(nameof Positions)

    /// Channels that it appends.
    member _.Channels = domain.Axes |> Array.sumBy (fun a -> if a.Boundary = Boundary.Periodic then 2 else 1)

    /// The channels alone, (1 or clouds, Channels, points).
    member internal _.Values(discretisation: Discretisation, dtype: torch.ScalarType, device: torch.Device) : Tensor =
        OperatorChecks.domain (nameof Positions) domain discretisation
        // Differences of coordinates in double precision: far from 0 single precision would not tell points apart.
        let x = discretisation.Coordinates(torch.float64, device)
        let x = if discretisation.IsProduct then x.unsqueeze 0L else x

        let channels = [|
            for i in 0 .. domain.Dimension - 1 do
                let axis = domain[i]
                let part = x.narrow(1L, int64 i, 1L).sub(axis.Start).div axis.Length

                if axis.Boundary = Boundary.Periodic then
                    let angle = part.mul (2.0 * Math.PI)
                    angle.cos ()
                    angle.sin ()
                else
                    part
        |]

        (torch.cat (channels, 1L)).``to`` dtype

    override this.Pass(_, source, target, values) =
        OperatorChecks.samePoints (nameof Positions) source target
        let places = this.Values(source, values.dtype, values.device)
        let shape = Array.append [| values.shape[0]; int64 this.Channels |] values.shape[2..]
        torch.cat ([| values; places.expand shape |], 1L)

/// The function itself at other points, by the series of its domain (`FieldResampling`): the step to coarser or finer points inside of a network.
[<Sealed>]
type Resampling() =
    inherit OperatorLayer(nameof Resampling)

    override _.Pass(_, source, target, values) = OperatorValues.between source target values
