// A latent stochastic process behind observations, and an encoder that infers it. Li, Wong, Chen and Duvenaud 2020, Scalable gradients for
// stochastic differential equations.
namespace Continuum

open System
open TorchSharp

/// What must be known to build the same latent SDE again.
type LatentSdeConfig = {
    /// Names of the columns.
    Columns: string[]
    /// Name of the time column.
    TimeName: string
    /// Logarithms of the values are modelled.
    Logarithm: bool
    /// Number of latent components.
    LatentSize: int
    /// Size of the encoder's state, the context that the posterior drift sees.
    ContextSize: int
    /// Hidden widths of the drifts.
    Hidden: int[]
    /// Hidden widths of the decoder; empty: linear.
    DecoderHidden: int[]
    /// Nonlinearity of the networks.
    Activation: Activation
    /// Least diffusion, per root of scaled time.
    Floor: float
    /// Solver steps per unit of scaled time.
    StepsPerUnit: int
    /// Median step of the data: one unit of scaled time.
    TimeUnit: float
    /// Mean of each column (of its logarithm).
    Centre: float[]
    /// Standard deviation of each column (of its logarithm).
    Spread: float[]
    /// Steps between observations of a training window, in scaled time: its longest time.
    Span: float
} with

    /// Number of columns.
    member this.Dimension = this.Columns.Length

    /// A value in scaled coordinates.
    member this.ToScaled(column: int, value: float) =
        ColumnScaling.toScaled this.Logarithm this.Centre[column] this.Spread[column] value

    /// A scaled coordinate in the data's units.
    member this.ToValue(column: int, x: float) =
        ColumnScaling.toValue this.Logarithm this.Centre[column] this.Spread[column] x

/// A gated recurrent unit (Cho et al. 2014) that reads a batch backward in time; float64, seeded by a generator.
[<Sealed>]
type internal BackwardGru(inputs: int, size: int, generator: torch.Generator) as this =
    inherit torch.nn.Module<Tensor, Tensor, Tensor>(nameof BackwardGru)

    let uniform (shape: int64[]) =
        use _ = torch.NewDisposeScope()
        let bound = 1.0 / sqrt (float size)
        let random = torch.rand (shape, dtype = Nullable torch.float64, generator = generator)
        Owned.parameter ((random * (2.0 * bound)) - bound)

    let input = uniform [| int64 (3 * size); int64 inputs |]
    let inputBias = uniform [| int64 (3 * size) |]
    let state = uniform [| int64 (3 * size); int64 size |]
    let stateBias = uniform [| int64 (3 * size) |]

    do
        this.register_parameter ("input", input)
        this.register_parameter ("inputBias", inputBias)
        this.register_parameter ("state", state)
        this.register_parameter ("stateBias", stateBias)

    /// The next state (batch, size) from inputs (batch, inputs) and a state.
    override _.forward(x: Tensor, h: Tensor) : Tensor =
        let a = torch.nn.functional.linear(x, input, inputBias).chunk(3L, 1L)
        let b = torch.nn.functional.linear(h, state, stateBias).chunk(3L, 1L)
        let reset = a[0].add(b[0]).sigmoid()
        let keep = a[1].add(b[1]).sigmoid()
        let fresh = a[2].addcmul(reset, b[2], 1.0).tanh()
        fresh.add (keep.mul (h.sub fresh))

/// One small network for each component of a state: (batch, size) to (batch, size), component i seeing component i alone.
[<Sealed>]
type internal ElementwiseNet(size: int, width: int, generator: torch.Generator) as this =
    inherit torch.nn.Module<Tensor, Tensor>(nameof ElementwiseNet)

    let normal (scale: float) =
        use _ = torch.NewDisposeScope()
        let shape = [| int64 size; int64 width |]
        let random = torch.randn (shape, dtype = Nullable torch.float64, generator = generator)
        Owned.parameter (random * scale)

    let slopes = normal 1.0
    let shifts = normal 1.0
    let weights = normal (0.1 / sqrt (float width))
    let bias = Owned.parameter (Tensors.vector (Array.zeroCreate size))

    do
        this.register_parameter ("slopes", slopes)
        this.register_parameter ("shifts", shifts)
        this.register_parameter ("weights", weights)
        this.register_parameter ("bias", bias)

    override _.forward(z: Tensor) : Tensor =
        z.unsqueeze(-1L).mul(slopes).add(shifts).tanh().mul(weights).sum(-1L).add bias

/// The prior dz = h(z) dt + g(z) dW, z(0) ~ p; the posterior dz = f(z, context(t)) dt + g(z) dW, z(0) ~ q(. | context(0)), with the same
/// diagonal g = floor + softplus(net); and the decoder of observations. In scaled coordinates and scaled time; latent states (batch, size).
[<Sealed>]
type LatentSde internal (config: LatentSdeConfig, noise: float[], generator: torch.Generator) as this =
    inherit torch.nn.Module<Tensor, Tensor>(nameof LatentSde)
    let n, d, c = config.Dimension, config.LatentSize, config.ContextSize
    let mlp inputs hidden outputs scale = new Mlp(inputs, hidden, outputs, config.Activation, scale, generator)
    // Values, mask, time to the next observation.
    let encoder = new BackwardGru(2 * n + 1, c, generator)
    let initial = mlp c [||] (2 * d) 0.1
    let prior = mlp d config.Hidden d 0.1
    let posterior = mlp (d + c) config.Hidden d 0.1
    let diffusion = new ElementwiseNet(d, 8, generator)
    let decoder = mlp d config.DecoderHidden n 1.0
    let priorMean = Owned.parameter (Tensors.vector (Array.zeroCreate d))
    let priorLog = Owned.parameter (Tensors.vector (Array.zeroCreate d))
    let noiseLog = Owned.parameter (Tensors.vector (noise |> Array.map log))
    let floor = config.Floor

    do
        for name, part in
            [
                "encoder", encoder :> torch.nn.Module
                "initial", initial
                "prior", prior
                "posterior", posterior
                "diffusion", diffusion
                "decoder", decoder
            ] do
            this.register_module (name, part)

        this.register_parameter ("priorMean", priorMean)
        this.register_parameter ("priorLog", priorLog)
        this.register_parameter ("noiseLog", noiseLog)

    /// The configuration.
    member _.Config = config
    /// Logarithms of the standard deviations of the observations about the decoded state, (columns), scaled.
    member internal _.NoiseLog = noiseLog
    /// Mean (size) and logarithm of the standard deviation (size) of the prior's initial state.
    member internal _.Start = struct (priorMean, priorLog)
    /// h(z).
    member _.PriorDrift(z: Tensor) : Tensor = prior.forward z
    /// f(z, context), context (batch, ContextSize).
    member _.PosteriorDrift(z: Tensor, context: Tensor) : Tensor = posterior.forward (torch.cat ([| z; context |], -1L))
    /// g(z), at least the floor.
    member _.Diffusion(z: Tensor) : Tensor = torch.nn.functional.softplus(diffusion.forward z).add floor
    /// Decoded observations (..., columns), scaled.
    override _.forward(z: Tensor) = decoder.forward z

    /// The context at every time of a grid, newest information last read: element k holds what the series has at times k and later,
    /// each (batch, ContextSize). It changes only where a series has an observation.
    member internal _.Contexts(grid: SeriesGrid) : Tensor[] =
        let count = grid.Times.Length
        let contexts = Array.zeroCreate<Tensor> count
        let batch = grid.Values.shape[0]
        let any = grid.Mask.amax ([| 2L |], keepdim = true)
        let mutable h = torch.zeros ([| batch; int64 c |], dtype = Nullable torch.float64)
        // Time to the observation after, for each series of its own.
        let mutable gap = torch.zeros ([| batch; 1L |], dtype = Nullable torch.float64)

        for k in count - 1 .. -1 .. 0 do
            let here = any.select (1L, int64 k)
            let input = torch.cat ([| grid.Values.select (1L, int64 k); grid.Mask.select (1L, int64 k); gap |], 1L)
            let next = encoder.forward (input, h)
            h <- h.add (here.mul (next.sub h))
            contexts[k] <- h

            if k > 0 then
                use step = (grid.Times[k] - grid.Times[k - 1]).ToScalar()
                gap <- gap.mul(here.neg().add(1.0)).add step

        contexts

    /// Mean and logarithm of the standard deviation (batch, size) of the posterior's initial state.
    member internal _.InitialPosterior(context: Tensor) : struct (Tensor * Tensor) =
        let parts = initial.forward(context).chunk(2L, 1L)
        struct (parts[0], parts[1])

    /// The prior as an equation on (batch, size).
    member _.Prior() : Sde<Ito, DiagonalNoise> =
        Sde.diagonal<Ito> (Seq.cast<Tensor>(this.parameters ())) (fun _ z -> prior.forward z) (fun _ z ->
            this.Diffusion z)

    /// The posterior on (batch, size + 1): behind z the integral of 1/2 |(f - h)/g|^2, whose end value averages to the Kullback-Leibler
    /// divergence of posterior and prior paths (Girsanov). `context` gives the context at a time.
    member internal _.Posterior(context: float -> Tensor) : Sde<Ito, DiagonalNoise> =
        PathDivergence.augmented
            (Seq.cast<Tensor>(this.parameters ()))
            d
            (fun t z -> this.PosteriorDrift(z, context (t.ToDouble())))
            (fun _ z -> prior.forward z)
            this.Diffusion
