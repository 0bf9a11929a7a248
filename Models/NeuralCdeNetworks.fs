// The networks of a neural controlled differential equation: initial map, vector fields of one or several layers, readout, decoder.
namespace Continuum

open System
open TorchSharp

/// The vector field of one layer, a network from a state (..., state) to a matrix (..., state, channels) that is bounded by 1 (Kidger,
/// Morrill, Foster and Lyons 2020). With a gate s(z) in (0, 1) it is dz = (1 - s(z)) (F(z) dX - z dt), which forgets with time like a
/// gated recurrent unit (De Brouwer, Simm, Arany and Moreau 2019) and is the ungated field where nothing is forgotten.
/// The entries start with a size of 1/sqrt(channels), so that dz starts with the size of dX.
[<Sealed; AllowNullLiteral>]
type internal CdeLayer
    (state: int, channels: int, hidden: int[], activation: Activation, gated: bool, generator: torch.Generator) as this
    =
    inherit torch.nn.Module<Tensor, Tensor>(nameof CdeLayer)
    let entries = state * channels
    let outputs = if gated then entries + state else entries
    let network = new Mlp(state, hidden, outputs, activation, 1.0 / sqrt (float channels), generator)

    do this.register_module ("network", network)

    /// F(z) dx (null dt: no decay): z (..., state), dx (..., channels), dt (..., 1).
    member _.Product(z: Tensor, dx: Tensor, dt: Tensor) : Tensor =
        let raw = network.call z
        let last = raw.dim () - 1L

        let apply (flat: Tensor) =
            let matrix = flat.tanh().unflatten(flat.dim () - 1L, [| int64 state; int64 channels |])
            Tensors.product matrix dx

        if gated then
            let drive = apply (raw.narrow (last, 0L, int64 entries))
            let keep = raw.narrow(last, int64 entries, int64 state).sigmoid()
            keep.mul (drive.addcmul (z, dt, -1.0))
        else
            apply raw

    /// The network's own value: the entries before the bound.
    override _.forward(z: Tensor) : Tensor = network.call z

/// All networks of a model, float64 on the CPU, with first weights from the generator alone. The state is (..., layers * state): layer
/// 1 is driven by the path, dz1 = F1(z1) dX, each next one by the layer below, dz2 = F2(z2) dz1; they are solved as one equation.
[<Sealed>]
type internal NeuralCdeNetworks(config: NeuralCdeConfig, channelScale: float[], generator: torch.Generator) as this =
    inherit torch.nn.Module<Tensor, Tensor>(nameof NeuralCdeNetworks)
    let state, layers = config.State, config.Layers
    let pathChannels = config.PathChannels
    let statics = SeriesScaling.staticWidth config.Scaling
    let total = layers * state
    let isForecast = config.Task = NeuralCdeTask.Forecast

    let initial = new Mlp(pathChannels + statics, [||], total, config.Activation, 1.0, generator)

    let fields =
        Array.init layers (fun layer ->
            let channels = if layer = 0 then channelScale.Length else state
            new CdeLayer(state, channels, config.Hidden, config.Activation, config.Gated, generator))

    // It starts near 0: equal chances, the mean of the targets, no change.
    let readout =
        let inputs = if config.Skip then state + pathChannels + statics else state
        new Mlp(inputs, [||], config.Outputs.Length, config.Activation, 0.1, generator)

    let decoder =
        if isForecast then
            new CdeLayer(total, 1, config.Hidden, config.Activation, config.Gated, generator)
        else
            null

    let scale = Owned.constant channelScale [| channelScale.LongLength |]
    let pathScale = Owned.constant channelScale[.. pathChannels - 1] [| int64 pathChannels |]

    do
        this.register_module ("initial", initial)

        for layer in 0 .. layers - 1 do
            this.register_module ($"field{layer}", fields[layer])

        this.register_module ("readout", readout)

        if isForecast then
            this.register_module ("decoder", decoder)

    let part (z: Tensor) (layer: int) : Tensor =
        if layers = 1 then
            z
        else
            z.narrow (z.dim () - 1L, int64 (layer * state), int64 state)

    let product (z: Tensor) (dx: Tensor) : Tensor =
        let dx = dx.mul scale
        let dt = if config.Gated then dx.narrow (dx.dim () - 1L, 0L, 1L) else null
        let mutable drive = fields[0].Product(part z 0, dx, dt)

        if layers = 1 then
            drive
        else
            let slopes = Array.zeroCreate<Tensor> layers
            slopes[0] <- drive

            for layer in 1 .. layers - 1 do
                drive <- fields[layer].Product(part z layer, drive, dt)
                slopes[layer] <- drive

            torch.cat (slopes, -1L)

    let tensors (part: torch.nn.Module) = Seq.cast<Tensor>(part.parameters ())
    let field = CdeField.ofProduct channelScale.Length (fields |> Seq.collect tensors) product

    let decoderField =
        if isForecast then
            CdeField.ofProduct 1 (tensors decoder) (fun z dt -> decoder.Product(z, dt, dt))
        else
            null

    /// Width of the state of all layers.
    member _.Width = total

    /// The equation along the path, or along the cumulative log-signatures.
    member _.Field: CdeField = field

    /// The equation of a forecast along time (one channel).
    member _.DecoderField: CdeField = decoderField

    /// The initial state from the path's first value (..., channels) and scaled covariates (..., covariates) or null: (..., layers * state).
    member _.Initial(first: Tensor, statics: Tensor) : Tensor =
        let scaled = first.mul pathScale
        initial.call (if isNull statics then scaled else torch.cat ([| scaled; statics |], -1L))

    /// What is read off the state of the last layer, (..., outputs); a skipping model reads it together with the path's value (..., channels)
    /// and the scaled covariates (..., covariates) or null.
    member _.Read(z: Tensor, value: Tensor, statics: Tensor) : Tensor =
        let top = part z (layers - 1)

        readout.call (
            if not config.Skip then top
            elif isNull statics then torch.cat ([| top; value.mul pathScale |], -1L)
            else torch.cat ([| top; value.mul pathScale; statics |], -1L)
        )

    /// The readout itself.
    override _.forward(x: Tensor) : Tensor = readout.call x

    /// Also frees the constants.
    override _.Dispose(disposing: bool) =
        base.Dispose disposing

        if disposing then
            scale.Dispose()
            pathScale.Dispose()
