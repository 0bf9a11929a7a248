// Training an SDE-GAN: Wasserstein loss, a discriminator that is kept Lipschitz by clipping, Adadelta, averaged weights.
namespace Continuum

open System
open System.Threading
open TorchSharp

/// Everything the training of an SDE-GAN can be told. `SdeGanOptions.Default` is a good start.
type SdeGanOptions = {
    /// Model logarithms; null: when every value is above 0.
    Logarithm: Nullable<bool>
    /// Size of the generator's state.
    HiddenSize: int
    /// Number of Brownian motions.
    NoiseSize: int
    /// Size of the normal vector that initial states are made of.
    InitialNoiseSize: int
    /// Widths of the hidden layers of every network.
    Hidden: int[]
    /// Size of the discriminator's state.
    DiscriminatorSize: int
    /// The generator's solver.
    Solver: SdeGanSolver
    /// Solver steps in a step of the data.
    StepsPerUnit: int
    /// Gain on the first weights of the network of initial states: 1 is the usual size.
    InitialGain: float
    /// Gain on the first weights of drift and diffusion.
    FieldGain: float
    /// Factor on the learning rate of the generator.
    GeneratorRate: float
    /// Factor on the learning rate of the discriminator. It must lead: where both learn alike the generator's noise dies out, and paths
    /// become too smooth.
    DiscriminatorRate: float
    /// Further factor for the networks of initial states, in both.
    InitialRate: float
    /// Updates of the discriminator in an iteration.
    DiscriminatorSteps: int
    /// Weight of the generator's error estimate (Pal et al. 2021); 0: none.
    ErrorPenalty: float
    /// Weight of the generator's stiffness estimate; 0: none.
    StiffnessPenalty: float
    /// The loop. Its BatchSize counts paths; its Averaging is the share of iterations whose weights are averaged.
    Loop: TrainingLoopOptions
} with

    /// States of 16, three Brownian motions, hidden layers of 16, reversible Heun, Adadelta, the last half averaged.
    static member Default = {
        Logarithm = Nullable()
        HiddenSize = 16
        NoiseSize = 3
        InitialNoiseSize = 5
        Hidden = [| 16 |]
        DiscriminatorSize = 16
        Solver = SdeGanSolver.ReversibleHeun
        StepsPerUnit = 1
        InitialGain = 3.0
        FieldGain = 1.0
        GeneratorRate = 1.0
        DiscriminatorRate = 10.0
        InitialRate = 10.0
        DiscriminatorSteps = 1
        ErrorPenalty = 0.0
        StiffnessPenalty = 0.0
        Loop = {
            TrainingLoopOptions.Default with
                Iterations = 1000
                BatchSize = 128
                Optimizer = Optimizers.adadelta
                LearningRate = 0.1
                Schedule = LearningRateSchedule.Constant
                WeightDecay = 0.0
                ClipNorm = infinity
                Averaging = 0.5
        }
    }

/// A trained SDE-GAN and what the training did.
type SdeGanFit = {
    /// The model; the caller disposes it.
    Model: SdeGanModel
    /// What the training did; its Loss is the generator's last.
    Training: TrainingSummary
}

/// Training SDE-GANs.
[<RequireQualifiedAccess>]
module SdeGanFit =
    let private bad (text: string) = raise (ArgumentException text)

    let private check (o: SdeGanOptions) =
        TrainingLoopOptions.check o.Loop

        OptionChecks.atLeast 1 (nameof o.HiddenSize) o.HiddenSize
        OptionChecks.atLeast 1 (nameof o.NoiseSize) o.NoiseSize
        OptionChecks.atLeast 1 (nameof o.InitialNoiseSize) o.InitialNoiseSize
        OptionChecks.atLeast 1 (nameof o.DiscriminatorSize) o.DiscriminatorSize
        OptionChecks.atLeast 1 (nameof o.StepsPerUnit) o.StepsPerUnit
        OptionChecks.atLeast 1 (nameof o.DiscriminatorSteps) o.DiscriminatorSteps
        OptionChecks.someWidths (nameof o.Hidden) o.Hidden
        OptionChecks.positive (nameof o.InitialGain) o.InitialGain
        OptionChecks.positive (nameof o.FieldGain) o.FieldGain
        OptionChecks.positive (nameof o.GeneratorRate) o.GeneratorRate
        OptionChecks.positive (nameof o.DiscriminatorRate) o.DiscriminatorRate
        OptionChecks.positive (nameof o.InitialRate) o.InitialRate
        SolverPenalty(o.ErrorPenalty, o.StiffnessPenalty).Check()

    /// Paths of equal length on one grid, and its step.
    let private gridOf (columns: string[]) (paths: ObservedPath[]) : float =
        ObservedPaths.check 2 false columns paths

        if paths.Length < 2 then
            bad "an SDE-GAN learns from many paths; cut a long series into windows"

        let unit = ObservedPaths.medianStep paths

        paths
        |> Array.iteri (fun k path ->
            if path.Rows <> paths[0].Rows then
                bad $"series {k} has {path.Rows} rows, the first {paths[0].Rows}; give paths of equal length"

            for i in 1 .. path.Rows - 1 do
                if abs (path.Times[i] - path.Times[i - 1] - unit) > 0.01 * unit then
                    bad
                        $"series {k} has a step of {path.Times[i] - path.Times[i - 1]} before row {i} where the median is {unit}; put the paths on an even grid")

        unit

    let private configure (o: SdeGanOptions) timeName columns (paths: ObservedPath[]) unit logarithm : SdeGanConfig =
        let value v = if logarithm then log v else v

        let statistics =
            columns
            |> Array.mapi (fun j name ->
                let struct (mean, spread) = ColumnScaling.moments (paths |> Array.map (fun p -> value p.Values[0, j]))

                let struct (_, overall) =
                    ColumnScaling.moments [|
                        for p in paths do
                            for i in 0 .. p.Rows - 1 -> value p.Values[i, j]
                    |]

                ColumnScaling.checkSpread name mean overall
                // Paths that all start alike have no spread of their own there.
                struct (mean, (if spread > 0.05 * overall then spread else overall)))

        {
            Columns = columns
            TimeName = timeName
            Logarithm = logarithm
            HiddenSize = o.HiddenSize
            NoiseSize = o.NoiseSize
            InitialNoiseSize = o.InitialNoiseSize
            Hidden = o.Hidden
            DiscriminatorSize = o.DiscriminatorSize
            Solver = o.Solver
            StepsPerUnit = o.StepsPerUnit
            TimeUnit = unit
            Steps = paths[0].Rows - 1
            Centre = statistics |> Array.map (fun struct (mean, _) -> mean)
            Spread = statistics |> Array.map (fun struct (_, spread) -> spread)
        }

    let private taskOf (o: SdeGanOptions) (model: SdeGanModel) (data: Tensor) paths : TrainingTask =
        let count = int data.shape[0]
        let batches = MiniBatches(count, o.Loop.BatchSize, o.Loop.Seed)
        let size = min count o.Loop.BatchSize
        let penalty = SolverPenalty(o.ErrorPenalty, o.StiffnessPenalty)
        let evaluations = int64 (model.Config.Steps * model.Config.StepsPerUnit)
        let mutable current = -1
        let mutable draws = 0

        let rateOf factor (name: string) = factor * (if name.Contains ".initial." then o.InitialRate else 1.0)

        /// A seed for each use of noise in an iteration.
        let seedOf (step: TrainingStep) (purpose: int) =
            SdeSeeds.ofIteration (o.Loop.Seed * 64 + purpose) step.Iteration

        let discriminate (step: TrainingStep) =
            use _ = torch.NewDisposeScope()

            if step.Iteration <> current then
                current <- step.Iteration
                draws <- 0

            draws <- draws + 1
            let purpose = 1 + (draws - 1) % o.DiscriminatorSteps
            let index = batches.At(step.Iteration * o.DiscriminatorSteps + purpose - 1) |> Array.map int64
            let real = data.index_select (0L, torch.tensor(index, dtype = Nullable torch.int64).clone())

            let fake =
                use _ = torch.no_grad ()
                let struct (paths, _) = model.Generate(seedOf step purpose, 0, size, false, false)
                paths

            step.Count evaluations
            // The critic is raised on generated and lowered on real paths, as the generator lowers it.
            let gap = model.Discriminator.forward(real).mean().sub(model.Discriminator.forward(fake).mean())
            gap.MoveToOuterDisposeScope()

        // The node of a reversible solve reads what it was given when gradients pass through it, so nothing may be disposed of here.
        let generate (step: TrainingStep) =
            let struct (paths, solution) = model.Generate(seedOf step 0, 0, size, true, penalty.IsWanted)
            step.Count evaluations
            let score = model.Discriminator.forward(paths).mean()
            penalty.AddTo(score, size, solution.ErrorEstimate, solution.StiffnessEstimate)

        {
            Kind = SdeGanModel.CheckpointKind
            Config = fun () -> SdeGanText.toJson model.Config
            Fingerprint = [
                "model", SdeGanText.toJson model.Config
                "initialGain", o.InitialGain
                "fieldGain", o.FieldGain
                "generatorRate", o.GeneratorRate
                "discriminatorRate", o.DiscriminatorRate
                "initialRate", o.InitialRate
                "discriminatorSteps", o.DiscriminatorSteps
                "errorPenalty", o.ErrorPenalty
                "stiffnessPenalty", o.StiffnessPenalty
                "data", ObservedPaths.digest paths
            ]
            Objectives = [|
                {
                    TrainingObjective.Create(model.DiscriminatorParameters, discriminate) with
                        Name = "discriminator"
                        Repeats = o.DiscriminatorSteps
                        RateOf = rateOf o.DiscriminatorRate
                        AfterStep = fun () -> model.Discriminator.ClipWeights()
                }
                {
                    TrainingObjective.Create(model.GeneratorParameters, generate) with
                        Name = "generator"
                        RateOf = rateOf o.GeneratorRate
                }
            |]
            Extra = fun () -> [||]
            Restore = ignore
            Validate = ValueNone
        }

    /// Trains an SDE-GAN on many paths of the same length and even step. The discriminator first, then the generator, in every iteration:
    /// max over D, min over G of E D(G) - E D(data), D clipped after each of its steps. Everything random comes from options.Loop.Seed: the
    /// same call gives the same model bit for bit, also when it was interrupted and resumed. `progress` (may be null) is called after
    /// every iteration.
    /// ArgumentException for wrong options or data (fewer than two paths, paths of different length or uneven steps, values that are
    /// not finite or have no logarithm, a constant column), TrainingException when the loss does not stay finite,
    /// OperationCanceledException when cancelled (after a checkpoint, if a path is given), InvalidDataException for a damaged or foreign checkpoint.
    let run
        (options: SdeGanOptions)
        (timeName: string)
        (columns: string[])
        (paths: ObservedPath[])
        (progress: Action<TrainingReport>)
        (cancellation: CancellationToken)
        : SdeGanFit =
        NativeLibraries.ensure ()
        check options
        let unit = gridOf columns paths
        let logarithm = ColumnScaling.logarithm options.Logarithm columns paths
        let config = configure options timeName columns paths unit logarithm
        use random = new torch.Generator(uint64 options.Loop.Seed)
        let model = SdeGanModel.Create(config, options.InitialGain, options.FieldGain, random)

        ModelFile.guarded model (fun () ->
            use _ = torch.NewDisposeScope()

            let data =
                PathMetrics.toTensor (
                    Array3D.init paths.Length paths[0].Rows columns.Length (fun p t j ->
                        config.ToScaled(j, paths[p].Values[t, j]))
                )

            (use _ = torch.no_grad ()
             model.Discriminator.ClipWeights())

            let summary = TrainingLoop.run options.Loop (taskOf options model data paths) progress cancellation
            { Model = model; Training = summary })
