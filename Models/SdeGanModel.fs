// A trained generator of paths: simulation and files.
namespace Continuum

open System
open System.Collections.Generic
open TorchSharp

/// Configurations as JSON.
module internal SdeGanText =
    let toJson (c: SdeGanConfig) : string =
        ConfigText.write [
            "columns", c.Columns
            "timeName", c.TimeName
            "logarithm", c.Logarithm
            "hiddenSize", c.HiddenSize
            "noiseSize", c.NoiseSize
            "initialNoiseSize", c.InitialNoiseSize
            "hidden", c.Hidden
            "discriminatorSize", c.DiscriminatorSize
            "solver", c.Solver
            "stepsPerUnit", c.StepsPerUnit
            "timeUnit", c.TimeUnit
            "steps", c.Steps
            "centre", c.Centre
            "spread", c.Spread
        ]

    let ofJson (path: string) (text: string) : SdeGanConfig =
        let r = ConfigReader(path, text)

        let config = {
            Columns = r.List "columns"
            TimeName = r.Get "timeName"
            Logarithm = r.Get "logarithm"
            HiddenSize = r.Get "hiddenSize"
            NoiseSize = r.Get "noiseSize"
            InitialNoiseSize = r.Get "initialNoiseSize"
            Hidden = r.List "hidden"
            DiscriminatorSize = r.Get "discriminatorSize"
            Solver = r.Enum "solver"
            StepsPerUnit = r.Get "stepsPerUnit"
            TimeUnit = r.Get "timeUnit"
            Steps = r.Get "steps"
            Centre = r.List "centre"
            Spread = r.List "spread"
        }

        let n = config.Columns.Length

        if n = 0 || config.Centre.Length <> n || config.Spread.Length <> n || config.Steps < 1 then
            r.Damaged "its lists differ in length"

        config

/// A trained SDE-GAN: its generator draws paths like those of the data, unconditionally. Dispose it. Not thread-safe.
[<Sealed>]
type SdeGanModel internal (config: SdeGanConfig, generator: SdeGenerator, discriminator: CdeDiscriminator) =
    let mutable disposed = false
    let alive () = ObjectDisposedException.ThrowIf(disposed, typeof<SdeGanModel>)
    let step = 1.0 / float config.StepsPerUnit

    let named prefix (network: torch.nn.Module) : (string * Modules.Parameter)[] = [|
        for struct (name, parameter) in network.named_parameters () -> prefix + name, parameter
    |]

    let normals (seed: uint64) (first: int) (count: int) =
        let spec = BrownianSpec.create 0.0 1.0 config.InitialNoiseSize (seed ^^^ 0x9E3779B97F4A7C15UL)
        use path = new TensorBrownian(spec, [| int64 count |], int64 first, torch.float64, torch.CPU)
        path.Step(0.0, 1.0).W

    // Heuristics have gradients where the steps are recorded.
    let differentiation training heuristics =
        if not training then
            Differentiation.None
        elif heuristics || config.Solver = SdeGanSolver.Midpoint then
            Differentiation.Recorded
        else
            Differentiation.ReversibleDefault

    /// The configuration.
    member _.Config = config
    member internal _.Generator = generator
    member internal _.Discriminator = discriminator
    member internal _.GeneratorParameters = named "generator." generator
    member internal _.DiscriminatorParameters = named "discriminator." discriminator

    /// Everything trainable by name, in a fixed order.
    member internal this.Trainable = Array.append this.GeneratorParameters this.DiscriminatorParameters

    /// Paths first to first + count - 1 of this seed, scaled, (count, steps + 1, columns), with the solution for its heuristics (null for one
    /// that was not asked for); the tensors belong to the innermost scope.
    member internal _.Generate
        (seed: uint64, first: int, count: int, training: bool, heuristics: bool)
        : struct (Tensor * TensorSolution) =
        let x0 = generator.Initial(normals seed first count)
        let finish = float config.Steps
        let spec = BrownianSpec.fixedSteps 0.0 finish (config.Steps * config.StepsPerUnit) config.NoiseSize seed
        // Not disposed of: gradients ask it again. In host memory it holds nothing.
        let path = TensorBrownian.For(spec, x0, int64 first)

        let options = {
            TensorSdeOptions.fixedSteps step with
                SaveAt = Times(Array.init config.Steps (fun k -> float (k + 1)))
                Differentiation = differentiation training heuristics
                Heuristics = heuristics
                CheckTracking = false
        }

        let method: SdeMethod<Stratonovich, GeneralNoise> =
            match config.Solver with
            | SdeGanSolver.Midpoint -> SdeMethods.midpoint
            | _ -> SdeMethods.reversibleHeun

        let solution = (TensorSde.solve options method (generator.Sde()) path 0.0 finish x0).EnsureSuccess()
        let states = torch.cat ([| x0.unsqueeze 0L; solution.States |], 0L)
        struct (generator.forward(states).transpose(0L, 1L), solution)

    /// Draws paths `first` to first + count - 1 of the infinitely many of this seed: values (paths, times, columns) at the times of the
    /// training data counted from 0, `Config.Steps` + 1 of them, `Config.TimeUnit` apart. Path p depends on the seed and p alone.
    member this.Simulate(seed: uint64, first: int, count: int) : float[,,] =
        alive ()

        if count < 1 || first < 0 then
            raise (
                ArgumentException
                    $"a simulation needs at least one path and a first path of 0 or later; got {count} from {first}"
            )

        use _ = torch.NewDisposeScope()
        use _ = torch.no_grad ()
        let struct (paths, _) = this.Generate(seed, first, count, false, false)
        let flat = Tensors.toArray paths
        let n, times = config.Dimension, config.Steps + 1
        Array3D.init count times n (fun p t j -> config.ToValue(j, flat[(p * times + t) * n + j]))

    member internal this.ToCheckpoint() : Checkpoint = {
        Kind = SdeGanModel.CheckpointKind
        Config = SdeGanText.toJson config
        Training = ""
        Tensors = [| for name, parameter in this.Trainable -> NamedArray.FromTensor(name, parameter) |]
    }

    /// Kind of the checkpoints of SDE-GANs.
    static member CheckpointKind = "sde-gan"

    /// Writes the model, generator and discriminator, atomically.
    member this.Save(path: string) : unit =
        alive ()
        this.ToCheckpoint().Save path

    static member internal Create(config: SdeGanConfig, initialGain: float, fieldGain: float, random: torch.Generator) =
        let generator = new SdeGenerator(config, initialGain, fieldGain, random)
        new SdeGanModel(config, generator, new CdeDiscriminator(config, random))

    /// Reads a model. InvalidDataException for a damaged or foreign file, FileNotFoundException for a missing one.
    static member Load(path: string) : SdeGanModel =
        NativeLibraries.ensure ()
        let checkpoint = Checkpoint.Load(path, SdeGanModel.CheckpointKind)
        let config = SdeGanText.ofJson path checkpoint.Config
        use random = new torch.Generator(0UL)
        let model = SdeGanModel.Create(config, 1.0, 1.0, random)

        try
            checkpoint.CopyTo(seq { for name, parameter in model.Trainable -> KeyValuePair(name, parameter :> Tensor) })
            model
        with _ ->
            (model :> IDisposable).Dispose()
            reraise ()

    interface IDisposable with
        member _.Dispose() =
            if not disposed then
                disposed <- true
                generator.Dispose()
                discriminator.Dispose()
