// A trained generator of paths: simulation and files.
namespace Continuum

open System
open TorchSharp

/// Configurations as JSON.
module internal SdeGanText =
    let toJson (config: SdeGanConfig) : string = ConfigText.ofRecord config

    let ofJson (path: string) (text: string) : SdeGanConfig =
        let r = ConfigReader(path, text)
        let config = r.Record<SdeGanConfig>()
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
    member internal _.GeneratorParameters = ModelFile.parameters "generator." generator
    member internal _.DiscriminatorParameters = ModelFile.parameters "discriminator." discriminator

    /// Everything trainable by name, in a fixed order.
    member internal this.Trainable = Array.append this.GeneratorParameters this.DiscriminatorParameters

    /// Paths first to first + count - 1 of this seed, scaled, (count, steps + 1, columns), with the solution for its heuristics (null for one
    /// that was not asked for); the tensors belong to the innermost scope.
    member internal _.Generate
        (seed: uint64, first: int, count: int, training: bool, heuristics: bool)
        : struct (Tensor * TensorSolution) =
        let x0 = generator.Initial(PathRequest.normals seed 1UL first count config.InitialNoiseSize)
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
        PathRequest.checkPaths first count
        use _ = torch.NewDisposeScope()
        use _ = torch.no_grad ()
        let struct (paths, _) = this.Generate(seed, first, count, false, false)
        let flat = Tensors.toArray paths
        let n, times = config.Dimension, config.Steps + 1
        Array3D.init count times n (fun p t j -> config.ToValue(j, flat[(p * times + t) * n + j]))

    member internal this.ToCheckpoint() : Checkpoint =
        ModelFile.checkpoint SdeGanModel.CheckpointKind (SdeGanText.toJson config) this.Trainable

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
        ModelFile.filled checkpoint model.Trainable model

    interface IDisposable with
        member _.Dispose() =
            if not disposed then
                disposed <- true
                generator.Dispose()
                discriminator.Dispose()
