// Fitting a neural SDE to time series by the likelihood of their transitions.
namespace Continuum

open System
open System.Threading
open TorchSharp

/// Everything the fit of a neural SDE can be told. `NeuralSdeOptions.Default` is a good start.
type NeuralSdeOptions = {
    /// Model logarithms, as for prices; null: when every value is above 0.
    Logarithm: Nullable<bool>
    /// Drift and diffusion see the state itself: for states that return to a region. null: when no logarithms are modelled, and when a
    /// column returns to a mean (a random walk would look like it once in a hundred times; Dickey and Fuller 1979).
    Level: Nullable<bool>
    /// Drift and diffusion see time.
    TimeInput: bool
    /// The columns' noise is correlated.
    Correlated: bool
    /// Half-lives, in median steps of the data, of the averages of past increments and their squares that drift and diffusion see: these make
    /// volatility cluster. Empty: the state alone is seen.
    HalfLives: float[]
    /// Number of past increments that drift and diffusion see.
    Lags: int
    /// Hidden widths of the diffusion network.
    Hidden: int[]
    /// Hidden widths of the drift network; empty: linear.
    DriftHidden: int[]
    /// Nonlinearity of the networks.
    Activation: Activation
    /// Least volatility of a column, in units of its mean volatility.
    Floor: float
    /// Density of the transitions.
    Density: TransitionDensity
    /// Weight of the mean square of what the networks add: keeps the model near a constant drift and a volatility in proportion to the
    /// memory. It would also hold a state back from its mean: null takes 10 where the model does not see the level, else 0.
    Penalty: Nullable<float>
    /// Share of each series' transitions, at its end, that decides when the training stops; 0: no early stopping.
    ValidationFraction: float
    /// The loop: iterations, learning rate, mini-batches, seed, checkpoints.
    Loop: TrainingLoopOptions
} with

    /// Half-lives of 5 and 40 steps, a hidden layer of 16 for the diffusion, a linear drift, correlated noise, 1500 iterations of 256
    /// transitions, early stopping on the last fifth.
    static member Default = {
        Logarithm = Nullable()
        Level = Nullable()
        TimeInput = false
        Correlated = true
        HalfLives = [| 5.0; 40.0 |]
        Lags = 0
        Hidden = [| 16 |]
        DriftHidden = [||]
        Activation = Activation.Tanh
        Floor = 0.05
        Density = TransitionDensity.Midpoint
        Penalty = Nullable()
        ValidationFraction = 0.2
        Loop = {
            TrainingLoopOptions.Default with
                Iterations = 1500
                BatchSize = 256
                Optimizer = OptimizerKind.AdamW
                LearningRate = 3e-3
                WeightDecay = 0.01
                Patience = 20
        }
    }

/// A fitted neural SDE and what the fit cost. Losses are means over transitions of minus the log density, in the units of
/// NeuralSdeModel.LogDensities.
type NeuralSdeFit = {
    /// The model; the caller disposes it.
    Model: NeuralSdeModel
    /// Loss over the training transitions.
    TrainingLoss: float
    /// Loss over the validation transitions; NaN where there are none.
    ValidationLoss: float
    /// Geometric Brownian motion (or Brownian motion with drift) fitted to the training transitions.
    Baseline: GeometricBrownian
    /// Its loss over the training transitions.
    BaselineTrainingLoss: float
    /// Its loss over the validation transitions.
    BaselineValidationLoss: float
    /// What the training did.
    Training: TrainingSummary
}

/// Fitting neural SDEs.
[<RequireQualifiedAccess>]
module NeuralSdeFit =
    let private bad (text: string) = raise (ArgumentException text)

    let private check (options: NeuralSdeOptions) =
        TrainingLoopOptions.check options.Loop

        OptionChecks.widths (nameof options.Hidden) options.Hidden
        OptionChecks.widths (nameof options.DriftHidden) options.DriftHidden

        if options.HalfLives |> Array.exists (fun life -> not (life > 0.0 && Double.IsFinite life)) then
            let list = String.Join(", ", options.HalfLives)
            bad $"HalfLives must be positive; got [{list}]"

        OptionChecks.atLeast 0 (nameof options.Lags) options.Lags

        if not (options.Floor > 0.0 && options.Floor < 1.0) then
            bad $"Floor must lie between 0 and 1; got {options.Floor}"

        if options.Penalty.HasValue then
            OptionChecks.notNegative (nameof options.Penalty) options.Penalty.Value

        OptionChecks.within 0.0 0.5 (nameof options.ValidationFraction) options.ValidationFraction

    /// Rows of a series before its validation rows; a validation needs two transitions.
    let private trainingRows (options: NeuralSdeOptions) (path: ObservedPath) =
        let held = int (floor (options.ValidationFraction * float (path.Rows - 1)))
        if held < 2 then path.Rows else path.Rows - held

    let private moments (values: float[]) =
        let struct (mean, spread) = ColumnScaling.moments values
        struct (mean, (if spread > 0.0 then spread else 1.0))

    let private configure (options: NeuralSdeOptions) timeName columns (paths: ObservedPath[]) logarithm baseline =
        let unit = ObservedPaths.medianStep paths
        let n = Array.length columns
        let scale = Array.init n (fun j -> sqrt (baseline.Covariance[j, j] * unit))

        let seriesOf j =
            paths
            |> Array.map (fun path ->
                Array.init (trainingRows options path) (fun i ->
                    (if logarithm then log path.Values[i, j] else path.Values[i, j]) / scale[j]))

        let statistics = Array.init n (fun j -> moments (Array.concat (seriesOf j)))

        {
            Columns = columns
            TimeName = timeName
            Logarithm = logarithm
            Level =
                if options.Level.HasValue then
                    options.Level.Value
                else
                    not logarithm || Seq.exists (fun j -> UnitRoot.returns (seriesOf j)) (seq { 0 .. n - 1 })
            TimeInput = options.TimeInput
            Correlated = options.Correlated && n > 1
            HalfLives = options.HalfLives
            Lags = options.Lags
            Hidden = options.Hidden
            DriftHidden = options.DriftHidden
            Activation = options.Activation
            Floor = options.Floor
            Density = options.Density
            Origin = paths |> Seq.map (fun p -> p.Times[0]) |> Seq.min
            TimeUnit = unit
            Scale = scale
            Centre = statistics |> Array.map (fun struct (mean, _) -> mean)
            Spread = statistics |> Array.map (fun struct (_, spread) -> spread)
            Correlation = [|
                for i in 0 .. n - 1 do
                    for j in 0 .. n - 1 ->
                        baseline.Covariance[i, j] / sqrt (baseline.Covariance[i, i] * baseline.Covariance[j, j])
            |]
            LastTime = paths[paths.Length - 1].Times |> Array.last
        }

    /// A model that sees the level must be free to return to it.
    let private penaltyOf (options: NeuralSdeOptions) (config: NeuralSdeConfig) =
        if options.Penalty.HasValue then options.Penalty.Value
        elif config.Level then 0.0
        else 10.0

    let private create (options: NeuralSdeOptions) (config: NeuralSdeConfig) (baseline: GeometricBrownian) =
        use _ = torch.NewDisposeScope()
        use generator = new torch.Generator(uint64 options.Loop.Seed)
        let n = config.Dimension
        let drift = Array.init n (fun j -> baseline.Drift[j] * config.TimeUnit / config.Scale[j])
        let factor = baseline.Factor

        let correlation = [|
            for i in 1 .. n - 1 do
                for j in 0 .. i - 1 -> factor[i, j] / factor[i, i]
        |]

        let network = new NeuralSde(config, drift, correlation, generator)
        let size = NeuralSdeModel.EndSize config
        new NeuralSdeModel(config, network, Owned.constant (Array.zeroCreate size) [| 1L; int64 size |])

    /// The transitions of all series, those for training before those for validation.
    let private gather (options: NeuralSdeOptions) (model: NeuralSdeModel) (paths: ObservedPath[]) =
        let parts =
            paths |> Array.map (fun path -> struct (trainingRows options path - 1, model.Transitions path))

        let join (field: Transitions -> Tensor) =
            let side (training: bool) = [|
                for struct (count, t) in parts do
                    let all = field t
                    let total = all.shape[0]

                    if training then
                        all.narrow (0L, 0L, int64 count)
                    else
                        all.narrow (0L, int64 count, total - int64 count)
            |]

            if isNull (field (let struct (_, t) = parts[0] in t)) then
                null
            else
                torch.cat (Array.append (side true) (side false), 0L)

        let struct (_, last) = parts[parts.Length - 1]

        let all = {
            From = join _.From
            To = join _.To
            Tau = join _.Tau
            Step = join _.Step
            Memory = join _.Memory
            End = last.End
        }

        struct (all, parts |> Array.sumBy (fun struct (count, _) -> count))

    let private rows (select: Tensor -> Tensor) (t: Transitions) : Transitions = {
        From = select t.From
        To = select t.To
        Tau = select t.Tau
        Step = select t.Step
        Memory = if isNull t.Memory then null else select t.Memory
        End = t.End
    }

    /// The best start among several weights of the fixed part against the memory, by the likelihood of the training transitions.
    let private firstWeights (model: NeuralSdeModel) (training: Transitions) =
        use _ = torch.NewDisposeScope()
        let weights = model.Network.MemoryWeights

        if not (isNull weights) then
            let set (raw: float) =
                weights.zero_ () |> ignore
                weights.select(0L, 0L).fill_(raw) |> ignore

            let loss raw =
                use _ = torch.NewDisposeScope()
                set raw
                -(model.LogDensities(training).mean().ToDouble())

            set (Array.minBy loss [| 3.0; 2.0; 1.0; 0.0; -1.0; -2.0 |])

    let private taskOf
        (options: NeuralSdeOptions)
        (model: NeuralSdeModel)
        (all: Transitions)
        (count: int)
        paths
        : TrainingTask =
        let total = int all.From.shape[0]
        let training = rows (fun t -> t.narrow (0L, 0L, int64 count)) all
        let batches = MiniBatches(count, options.Loop.BatchSize, options.Loop.Seed)

        let cost =
            if options.Density = TransitionDensity.Midpoint then
                2 * model.Config.Dimension + 1
            else
                1

        let weight = penaltyOf options model.Config
        let penalty (t: Transitions) = model.Network.Excess(t.Tau, t.From, t.Memory).mul(weight)

        let loss (step: TrainingStep) =
            use _ = torch.NewDisposeScope()

            let index =
                torch.tensor(batches.At step.Iteration |> Array.map int64, dtype = Nullable torch.int64).clone()

            let batch = rows (fun t -> t.index_select (0L, index)) training
            let fit = model.LogDensities(batch).mean().neg()
            step.Count(int64 cost)
            (if weight = 0.0 then fit else fit.add (penalty batch)).MoveToOuterDisposeScope()

        let parameters = ModelFile.parameters "model." model.Network

        {
            Kind = NeuralSdeModel.CheckpointKind
            Config = fun () -> NeuralSdeText.toJson model.Config
            Fingerprint = [
                "model", NeuralSdeText.toJson model.Config
                "penalty", weight
                "validationFraction", options.ValidationFraction
                "data", ObservedPaths.digest paths
            ]
            Objectives = [|
                {
                    TrainingObjective.Create(parameters, loss) with
                        // The few numbers of the base are found fast, before the networks begin to fit noise.
                        RateOf =
                            fun name -> if name.StartsWith("model.base", StringComparison.Ordinal) then 10.0 else 1.0
                }
            |]
            Extra = fun () -> [| NamedArray.FromTensor("end", model.End) |]
            Restore = ignore
            Validate =
                if total > count then
                    let held = rows (fun t -> t.narrow (0L, int64 count, int64 (total - count))) all
                    ValueSome(fun _ -> -(Tensors.toArray (model.LogDensities held) |> Array.average))
                else
                    ValueNone
        }

    /// Trains, and returns to the start where nothing that was tried is better in validation.
    let private trainFrom (options: TrainingLoopOptions) (task: TrainingTask) progress cancellation : TrainingSummary =
        use start = new ParameterSnapshot("start.", task.Objectives[0].Parameters)
        start.Take()

        let before =
            match task.Validate with
            | ValueSome validate -> validate (TrainingStep(0, null))
            | ValueNone -> nan

        use _ = torch.enable_grad ()
        let summary = TrainingLoop.run options task progress cancellation

        if before < summary.Validation then
            start.Restore()
            { summary with Validation = before }
        else
            summary

    /// Fits a neural SDE to one or more series of the same columns by maximum likelihood of their transitions, from Brownian motion with drift
    /// on (its closed form is where the training starts, and is returned for comparison). Simulations go on from the end of the last series.
    /// Everything random comes from options.Loop.Seed: the same call gives the same model bit for bit, also when it was interrupted
    /// and resumed. `progress` (may be null) is called after every iteration.
    /// ArgumentException for wrong options or data (fewer than 10 rows, NaN, times that do not rise, a value without logarithm, a
    /// constant column, columns that depend on each other linearly), TrainingException when the loss does not stay finite,
    /// OperationCanceledException when cancelled (after a checkpoint, if a path is given), InvalidDataException for a damaged or foreign checkpoint.
    let run
        (options: NeuralSdeOptions)
        (timeName: string)
        (columns: string[])
        (paths: ObservedPath[])
        (progress: Action<TrainingReport>)
        (cancellation: CancellationToken)
        : NeuralSdeFit =
        NativeLibraries.ensure ()
        check options
        ObservedPaths.check 10 false columns paths
        let logarithm = ColumnScaling.logarithm options.Logarithm columns paths
        let heads = paths |> Array.map (fun path -> path.Slice(0, trainingRows options path))

        let tails =
            paths
            |> Array.map (fun path -> let r = trainingRows options path in path.Slice(r - 1, path.Rows - r + 1))

        let baseline = GeometricBrownian.fit logarithm columns heads
        let config = configure options timeName columns paths logarithm baseline
        let model = create options config baseline

        ModelFile.guarded model (fun () ->
            use _ = torch.NewDisposeScope()
            use _ = torch.no_grad ()
            let struct (all, count) = gather options model paths
            model.End.copy_ (torch.cat ([| all.End.X; all.End.Memory |], 1L)) |> ignore
            firstWeights model (rows (fun t -> t.narrow (0L, 0L, int64 count)) all)
            let task = taskOf options model all count paths
            let summary = trainFrom options.Loop task progress cancellation
            let jacobian = config.Scale |> Array.sumBy log
            let losses = model.LogDensities all |> Tensors.toArray |> Array.map (fun v -> jacobian - v)
            let mean values = if Array.isEmpty values then nan else Array.average values
            let negative = Array.map (fun (v: float) -> -v)

            {
                Model = model
                TrainingLoss = mean losses[.. count - 1]
                ValidationLoss = mean losses[count..]
                Baseline = baseline
                BaselineTrainingLoss = GeometricBrownian.logDensities baseline heads |> negative |> mean
                BaselineValidationLoss = GeometricBrownian.logDensities baseline tails |> negative |> mean
                Training = summary
            })
