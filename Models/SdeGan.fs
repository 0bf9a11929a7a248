// A generator of paths, a neural SDE, and a discriminator of paths, a neural CDE. Kidger, Foster, Li, Oberhauser and Lyons 2021, Neural SDEs as
// infinite-dimensional GANs; Kidger, Foster, Li and Lyons 2021, Efficient and accurate gradients for neural SDEs.
namespace Continuum

open System
open TorchSharp

/// How the generator is solved.
type SdeGanSolver =
    /// Reversible Heun: one evaluation a step, gradients exact with memory that does not grow with the steps.
    | ReversibleHeun = 0
    /// The midpoint rule, gradients through recorded steps.
    | Midpoint = 1

/// What must be known to build the same SDE-GAN again.
type SdeGanConfig = {
    /// Names of the columns.
    Columns: string[]
    /// Name of the time column.
    TimeName: string
    /// Logarithms of the values are modelled.
    Logarithm: bool
    /// Size of the generator's state.
    HiddenSize: int
    /// Number of Brownian motions.
    NoiseSize: int
    /// Size of the normal vector that the initial state is made of.
    InitialNoiseSize: int
    /// Widths of the hidden layers of every network.
    Hidden: int[]
    /// Size of the discriminator's state.
    DiscriminatorSize: int
    /// The generator's solver.
    Solver: SdeGanSolver
    /// Solver steps in a unit of scaled time.
    StepsPerUnit: int
    /// One unit of scaled time: the step of the data.
    TimeUnit: float
    /// Steps of the data in a path.
    Steps: int
    /// Mean of each column at the first time (of its logarithm).
    Centre: float[]
    /// Standard deviation of each column at the first time (of its logarithm), or over all times where it is 0.
    Spread: float[]
} with

    /// Number of columns.
    member this.Dimension = this.Columns.Length

    /// A value in scaled coordinates.
    member this.ToScaled(column: int, value: float) =
        ColumnScaling.toScaled this.Logarithm this.Centre[column] this.Spread[column] value

    /// A scaled coordinate in the data's units.
    member this.ToValue(column: int, x: float) =
        ColumnScaling.toValue this.Logarithm this.Centre[column] this.Spread[column] x

/// A network of LipSwish layers (0.909 x sigmoid(x), which has Lipschitz constant 1; Chen, Behrmann, Duvenaud and Jacobsen 2019); float64.
/// Weights and biases are uniform within 1/sqrt(fan-in), times a gain, from the generator alone.
[<Sealed>]
type internal LipSwishNet(sizes: int[], finalTanh: bool, gain: float, generator: torch.Generator) as this =
    inherit torch.nn.Module<Tensor, Tensor>(nameof LipSwishNet)
    let slope = (0.909)

    let uniform (shape: int64[]) (fanIn: int) =
        use _ = torch.NewDisposeScope()
        let bound = gain / sqrt (float fanIn)
        let random = torch.rand (shape, dtype = Nullable torch.float64, generator = generator)
        Owned.parameter ((random * (2.0 * bound)) - bound)

    let weights =
        Array.init (sizes.Length - 1) (fun k -> uniform [| int64 sizes[k + 1]; int64 sizes[k] |] sizes[k])

    let biases = Array.init (sizes.Length - 1) (fun k -> uniform [| int64 sizes[k + 1] |] sizes[k])

    do
        for k in 0 .. weights.Length - 1 do
            this.register_parameter ($"weight{k}", weights[k])
            this.register_parameter ($"bias{k}", biases[k])

    override _.forward(x: Tensor) : Tensor =
        let mutable value = x

        for k in 0 .. weights.Length - 1 do
            value <- torch.nn.functional.linear (value, weights[k], biases[k])

            if k < weights.Length - 1 then
                value <- torch.nn.functional.silu(value).mul slope

        if finalTanh then value.tanh () else value

    /// Clips every weight into 1/outputs, so that a layer is no longer in the largest norm than its input (thesis of Kidger, 2022).
    member _.ClipWeights() =
        for weight in weights do
            let limit = 1.0 / float weight.shape[0]
            weight.clamp_ (-limit, limit) |> ignore

/// Y = readout(X), X(0) = initial(V), dX = mu(t, X) dt + sigma(t, X) o dW, in scaled values; time counts steps of the data, and networks see
/// it divided by the length of a path.
[<Sealed>]
type internal SdeGenerator(config: SdeGanConfig, initialGain: float, fieldGain: float, generator: torch.Generator) as this
    =
    inherit torch.nn.Module<Tensor, Tensor>(nameof SdeGenerator)
    let h, w = config.HiddenSize, config.NoiseSize

    let net inputs outputs tanh gain =
        new LipSwishNet(Array.concat [ [| inputs |]; config.Hidden; [| outputs |] ], tanh, gain, generator)

    let initial = net config.InitialNoiseSize h false initialGain
    let drift = net (h + 1) h true fieldGain
    let diffusion = net (h + 1) (h * w) true fieldGain
    let readout = new LipSwishNet([| h; config.Dimension |], false, 1.0, generator)
    let length = float config.Steps

    do
        this.register_module ("initial", initial)
        this.register_module ("drift", drift)
        this.register_module ("diffusion", diffusion)
        this.register_module ("readout", readout)

    /// The state at time 0 from normals (batch, InitialNoiseSize).
    member _.Initial(v: Tensor) : Tensor = initial.forward v

    /// Values (..., columns) of states (..., HiddenSize).
    override _.forward(x: Tensor) = readout.forward x

    /// The equation of the states (batch, HiddenSize) over time in steps of the data.
    member _.Sde() : Sde<Stratonovich, GeneralNoise> =
        let seen (t: Tensor) (x: Tensor) =
            let share = t.mul(1.0 / length).expand([| x.shape[0]; 1L |])
            torch.cat ([| share; x |], 1L)

        Sde.general<Stratonovich>
            w
            (Seq.append (drift.parameters () |> Seq.cast<Tensor>) (diffusion.parameters () |> Seq.cast<Tensor>))
            (fun t x -> drift.forward (seen t x))
            (fun t x -> diffusion.forward(seen t x).reshape([| x.shape[0]; int64 h; int64 w |]))

/// D(Y) = readout(H(T)), H(0) = initial(Y(0)), dH = F(t, H) d(t, Y) along the piecewise linear path through values (batch, times, columns).
[<Sealed>]
type internal CdeDiscriminator(config: SdeGanConfig, generator: torch.Generator) as this =
    inherit torch.nn.Module<Tensor, Tensor>(nameof CdeDiscriminator)
    let h, channels = config.DiscriminatorSize, config.Dimension + 1

    let net inputs outputs tanh =
        new LipSwishNet(Array.concat [ [| inputs |]; config.Hidden; [| outputs |] ], tanh, 1.0, generator)

    let initial = net channels h false
    let field = net (h + 1) (h * channels) true
    let readout = new LipSwishNet([| h; 1 |], false, 1.0, generator)
    let parts = [| initial; field; readout |]
    let length = float config.Steps

    do
        this.register_module ("initial", initial)
        this.register_module ("field", field)
        this.register_module ("readout", readout)

    /// Clips all weights (not biases) so that the discriminator is Lipschitz.
    member _.ClipWeights() =
        for part in parts do
            part.ClipWeights()

    /// Scores (batch) of paths (batch, times, columns), at steps of the data.
    override this.forward(y: Tensor) : Tensor =
        let count = int y.shape[1]
        let knots = Array.init count float

        let times =
            Tensors.ofArray (knots |> Array.map (fun k -> k / length)) [| 1L; int64 count; 1L |] torch.float64 torch.CPU

        let values = torch.cat ([| times.expand ([| y.shape[0]; int64 count; 1L |]); y |], 2L)
        use path = ControlPath.linear knots values
        let z0 = initial.forward (values.select (1L, 0L))

        let matrix (t: Tensor) (z: Tensor) =
            let share = t.mul(1.0 / length).expand([| z.shape[0]; 1L |])
            field.forward(torch.cat ([| share; z |], 1L)).reshape([| z.shape[0]; int64 h; int64 channels |])

        let equation = CdeField.timed channels (Seq.cast<Tensor>(field.parameters ())) matrix

        let options = {
            CdeOptions.create () with
                Method = RungeKutta Methods.Heun
                Form = CdeForm.Increments
                Differentiation = Differentiation.Recorded
                CheckTracking = false
        }

        let solution = (TensorCde.solve options equation path z0).EnsureSuccess()
        readout.forward(solution.Final).squeeze 1L
