// Fitting a latent SDE: the evidence lower bound with a growing weight of the divergence, and safeguards against a diffusion that collapses.
namespace Continuum

open System
open System.Threading
open TorchSharp

/// Everything the fit of a latent SDE can be told. `LatentSdeOptions.Default` is a good start.
type LatentSdeOptions = {
    /// Model logarithms; null: when every value is above 0.
    Logarithm: Nullable<bool>
    /// Number of latent components.
    LatentSize: int
    /// Size of the encoder's state.
    ContextSize: int
    /// Hidden widths of the drifts.
    Hidden: int[]
    /// Hidden widths of the decoder; empty: linear.
    DecoderHidden: int[]
    /// Nonlinearity of the networks.
    Activation: Activation
    /// Least diffusion of a latent component per root of the median step: keeps the noise from vanishing.
    Floor: float
    /// Standard deviation of observations about the decoded state, in units of each column's own: a small one leaves the fluctuations of
    /// the data to the diffusion, a large one takes them away from it.
    ObservationNoise: float
    /// The observation noise is learned, from that value on.
    LearnNoise: bool
    /// Steps of the solver in a median step of the data.
    StepsPerUnit: int
    /// Rows of the windows that long series are cut into; 0: series as they are.
    Window: int
    /// Share of the iterations in which the weight of the divergence grows linearly to KlWeight.
    KlWarmup: float
    /// Weight of the divergence afterwards; 1 is the evidence lower bound, more fights a collapsing diffusion (the prior must then explain
    /// more of the data).
    KlWeight: float
    /// Weight of the solver's error estimate, per series (Pal et al. 2021); 0: none.
    ErrorPenalty: float
    /// Weight of the solver's stiffness estimate; 0: none.
    StiffnessPenalty: float
    /// The loop; its BatchSize counts windows.
    Loop: TrainingLoopOptions
} with

    /// Four latent components, contexts of 16, hidden layers of 32, windows of 30 rows, 600 iterations of 32 windows.
    static member Default = {
        Logarithm = Nullable()
        LatentSize = 4
        ContextSize = 16
        Hidden = [| 32 |]
        DecoderHidden = [||]
        Activation = Activation.Softplus
        Floor = 0.05
        ObservationNoise = 0.1
        LearnNoise = false
        StepsPerUnit = 1
        Window = 30
        KlWarmup = 0.3
        KlWeight = 1.0
        ErrorPenalty = 0.0
        StiffnessPenalty = 0.0
        Loop = {
            TrainingLoopOptions.Default with
                Iterations = 600
                BatchSize = 32
                LearningRate = 0.01
        }
    }

/// A fitted latent SDE and what the fit cost.
type LatentSdeFit = {
    /// The model; the caller disposes it.
    Model: LatentSdeModel
    /// Evidence lower bound per observed value at the end of the training, over all windows, one sample each, scaled coordinates.
    EvidenceLowerBound: float
    /// Its part log p(x | z), per observed value.
    LogLikelihood: float
    /// Divergence of posterior and prior (initial states and paths), per observed value.
    KullbackLeibler: float
    /// LatentSdeModel.NoiseToData of the first series: near 0, the diffusion has collapsed.
    NoiseToData: float
    /// What the training did.
    Training: TrainingSummary
}

/// Fitting latent SDEs.
[<RequireQualifiedAccess>]
module LatentSdeFit =
    let private bad (text: string) = raise (ArgumentException text)

    let private check (o: LatentSdeOptions) =
        TrainingLoopOptions.check o.Loop

        OptionChecks.atLeast 1 (nameof o.LatentSize) o.LatentSize
        OptionChecks.atLeast 1 (nameof o.ContextSize) o.ContextSize
        OptionChecks.atLeast 1 (nameof o.StepsPerUnit) o.StepsPerUnit

        if o.Window < 0 || o.Window = 1 then
            bad $"Window must be at least 2 rows, or 0 for whole series; got {o.Window}"

        OptionChecks.widths (nameof o.Hidden) o.Hidden
        OptionChecks.widths (nameof o.DecoderHidden) o.DecoderHidden
        OptionChecks.positive (nameof o.Floor) o.Floor
        OptionChecks.positive (nameof o.ObservationNoise) o.ObservationNoise
        OptionChecks.positive (nameof o.KlWeight) o.KlWeight
        OptionChecks.within 0.0 1.0 (nameof o.KlWarmup) o.KlWarmup
        SolverPenalty(o.ErrorPenalty, o.StiffnessPenalty).Check()

    let private configure (o: LatentSdeOptions) timeName columns (paths: ObservedPath[]) logarithm : LatentSdeConfig =
        let statistics =
            columns
            |> Array.mapi (fun j name ->
                let values = [|
                    for path in paths do
                        for i in 0 .. path.Rows - 1 do
                            if not (Double.IsNaN path.Values[i, j]) then
                                if logarithm then log path.Values[i, j] else path.Values[i, j]
                |]

                if values.Length < 2 then
                    bad $"the column '{name}' has fewer than two values; leave it out"

                let struct (mean, spread) = ColumnScaling.moments values
                ColumnScaling.checkSpread name mean spread
                struct (mean, spread))

        {
            Columns = columns
            TimeName = timeName
            Logarithm = logarithm
            LatentSize = o.LatentSize
            ContextSize = o.ContextSize
            Hidden = o.Hidden
            DecoderHidden = o.DecoderHidden
            Activation = o.Activation
            Floor = o.Floor
            StepsPerUnit = o.StepsPerUnit
            TimeUnit = ObservedPaths.medianStep paths
            Centre = statistics |> Array.map (fun struct (mean, _) -> mean)
            Spread = statistics |> Array.map (fun struct (_, spread) -> spread)
            Span = 0.0
        }

    /// Overlapping windows of the series, half a window apart.
    let private windowsOf (o: LatentSdeOptions) (paths: ObservedPath[]) : ObservedPath[] = [|
        for path in paths do
            if o.Window = 0 || path.Rows <= o.Window then
                path
            else
                let stride = max 1 (o.Window / 2)

                for first in 0..stride .. path.Rows - o.Window do
                    path.Slice(first, o.Window)
    |]

    let private weightAt (o: LatentSdeOptions) (iteration: int) =
        let warm = o.KlWarmup * float o.Loop.Iterations
        o.KlWeight * (if warm > 0.0 then min 1.0 (float (iteration + 1) / warm) else 1.0)

    let private taskOf (o: LatentSdeOptions) (model: LatentSdeModel) (windows: ObservedPath[]) paths : TrainingTask =
        let series = windows |> Array.map model.Scaled
        let batches = MiniBatches(series.Length, o.Loop.BatchSize, o.Loop.Seed)
        let penalty = SolverPenalty(o.ErrorPenalty, o.StiffnessPenalty)

        let loss (step: TrainingStep) =
            use _ = torch.NewDisposeScope()
            let chosen = batches.At step.Iteration |> Array.map (fun i -> series[i])
            let grid = SeriesGrid.Create chosen
            let seed = SdeSeeds.ofIteration o.Loop.Seed step.Iteration
            let terms = model.Infer(grid, seed, 0, Differentiation.Recorded, penalty.IsWanted)
            step.Count(int64 terms.Evaluations)
            use weight = (weightAt o step.Iteration).ToScalar()
            use share = (1.0 / grid.Mask.sum().ToDouble()).ToScalar()
            let bound = terms.InitialKl.add(terms.PathKl).mul(weight).sub(terms.LogLikelihood).mul share
            (penalty.AddTo(bound, chosen.Length, terms.Error, terms.Stiffness)).MoveToOuterDisposeScope()

        let moving = model.Trainable |> Array.filter (fun (name, _) -> o.LearnNoise || name <> "model.noiseLog")

        {
            Kind = LatentSdeModel.CheckpointKind
            Config = fun () -> LatentSdeText.toJson model.Config
            Fingerprint = [
                "model", LatentSdeText.toJson model.Config
                "observationNoise", o.ObservationNoise
                "learnNoise", o.LearnNoise
                "window", o.Window
                "klWarmup", o.KlWarmup
                "klWeight", o.KlWeight
                "errorPenalty", o.ErrorPenalty
                "stiffnessPenalty", o.StiffnessPenalty
                "data", ObservedPaths.digest paths
            ]
            Objectives = [| TrainingObjective.Create(moving, loss) |]
            Extra =
                fun () -> [|
                    if not o.LearnNoise then
                        NamedArray.FromTensor("model.noiseLog", model.Network.NoiseLog)
                |]
            Restore = ignore
            Validate = ValueNone
        }

    /// Fits a latent SDE to one or more series of the same columns by the evidence lower bound: one posterior sample for each window of a
    /// mini-batch, Euler-Maruyama with gradients through its steps, the divergence of the paths as one more component of the solve.
    /// Values may be missing (NaN), times uneven and different from series to series. Everything random comes from options.Loop.Seed:
    /// the same call gives the same model bit for bit, also when it was interrupted and resumed. `progress` (may be null) is called
    /// after every iteration. Watch NoiseToData of the result: where it nears 0, lower ObservationNoise, or raise Floor or KlWeight.
    /// ArgumentException for wrong options or data (fewer than 2 rows, infinite values, times that do not rise, a value without
    /// logarithm, a constant column), TrainingException when the loss does not stay finite, OperationCanceledException when cancelled
    /// (after a checkpoint, if a path is given), InvalidDataException for a damaged or foreign checkpoint.
    let run
        (options: LatentSdeOptions)
        (timeName: string)
        (columns: string[])
        (paths: ObservedPath[])
        (progress: Action<TrainingReport>)
        (cancellation: CancellationToken)
        : LatentSdeFit =
        NativeLibraries.ensure ()
        check options
        ObservedPaths.check 2 true columns paths
        let logarithm = ColumnScaling.logarithm options.Logarithm columns paths
        let config = configure options timeName columns paths logarithm
        let windows = windowsOf options paths

        let config = {
            config with
                Span = windows |> Seq.map (fun w -> (w.Times[w.Rows - 1] - w.Times[0]) / config.TimeUnit) |> Seq.max
        }

        use generator = new torch.Generator(uint64 options.Loop.Seed)
        let network = new LatentSde(config, Array.create columns.Length options.ObservationNoise, generator)
        let model = new LatentSdeModel(config, network)

        ModelFile.guarded model (fun () ->
            let summary = TrainingLoop.run options.Loop (taskOf options model windows paths) progress cancellation
            use _ = torch.NewDisposeScope()
            use _ = torch.no_grad ()
            let grid = SeriesGrid.Create(windows |> Array.map model.Scaled)
            let terms = model.Infer(grid, SdeSeeds.ofIteration options.Loop.Seed -1, 0, Differentiation.None, false)
            let count = grid.Mask.sum().ToDouble()
            let fit = terms.LogLikelihood.ToDouble() / count
            let kl = terms.InitialKl.add(terms.PathKl).ToDouble() / count

            {
                Model = model
                EvidenceLowerBound = fit - kl
                LogLikelihood = fit
                KullbackLeibler = kl
                NoiseToData = model.NoiseToData(windows[0], SdeSeeds.ofIteration options.Loop.Seed -2, 32)
                Training = summary
            })
