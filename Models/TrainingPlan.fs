// What training is told, and the phases it consists of.
namespace Continuum

open System
open System.Text.Json.Nodes
open System.Threading
open TorchSharp

/// Everything training can be told. `TrainingOptions.Default` is a good start.
type TrainingOptions = {
    /// What the right-hand side is made of.
    Kind: ModelKind
    /// A name of Mechanism.names, or "auto": "lotka-volterra" for two positive columns, else "linear".
    Prior: string
    /// Widths of the hidden layers.
    Hidden: int[]
    /// Nonlinearity of the network.
    Activation: Activation
    /// The network sees time.
    TimeInput: bool
    /// States are integrated as logarithms; null: when every value is above 0.
    Positive: Nullable<bool>
    /// Iterations over all phases; 0 takes the default of the model.
    Iterations: int
    /// Largest learning rate; 0 takes the default of each phase.
    LearningRate: float
    /// Seed of the network's weights and of the mini-batches.
    Seed: int
    /// Intervals per window of multiple shooting; 0: one window up to 40 rows, else 20 intervals each.
    WindowLength: int
    /// Windows in a mini-batch.
    BatchSize: int
    /// Weight decay of the optimiser.
    WeightDecay: float
    /// Weight of the mean squared output of the correcting network at the data: keeps a hybrid near its law.
    Penalty: float
    /// Weight of the squared gap between the end of a window and the initial state of the next.
    Continuity: float
    /// Gradients are shortened to this norm.
    ClipNorm: float
    /// Share of the rows, at the end, that decides when the training of a network stops; 0: no early stopping.
    ValidationFraction: float
    /// Checks of the validation loss (every fifth iteration) without improvement before a phase stops.
    Patience: int
    /// The optimiser.
    Optimizer: OptimizerKind
    /// The schedule of the learning rate within a phase.
    Schedule: LearningRateSchedule
    /// Relative tolerance of the solves.
    Rtol: float
    /// How gradients pass through the solves.
    Differentiation: Differentiation
    /// File of periodic checkpoints; null for none.
    CheckpointPath: string
    /// Iterations between checkpoints.
    CheckpointEvery: int
    /// Go on from the checkpoint if the file exists.
    Resume: bool
    /// Threads of libtorch during the training.
    Threads: int
} with

    /// A hybrid with two layers of 16, Adam, one thread, no checkpoints.
    static member Default = {
        Kind = ModelKind.Hybrid
        Prior = "auto"
        Hidden = [| 16; 16 |]
        Activation = Activation.Tanh
        TimeInput = false
        Positive = Nullable()
        Iterations = 0
        LearningRate = 0.0
        Seed = 0
        WindowLength = 0
        BatchSize = 16
        WeightDecay = 0.0
        Penalty = 10.0
        Continuity = 10.0
        ClipNorm = 1.0
        ValidationFraction = 0.2
        Patience = 8
        Optimizer = OptimizerKind.Adam
        Schedule = LearningRateSchedule.Cosine
        Rtol = 1e-5
        Differentiation = Differentiation.Recorded
        CheckpointPath = null
        CheckpointEvery = 50
        Resume = false
        Threads = 1
    }

    /// The defaults with these options; the door for the C# facade.
    static member Create
        (
            kind,
            prior,
            hidden,
            positive,
            iterations,
            learningRate,
            seed,
            windowLength,
            checkpointPath,
            checkpointEvery,
            resume,
            threads
        ) : TrainingOptions = {
        TrainingOptions.Default with
            Kind = kind
            Prior = prior
            Hidden = hidden
            Positive = positive
            Iterations = iterations
            LearningRate = learningRate
            Seed = seed
            WindowLength = windowLength
            CheckpointPath = checkpointPath
            CheckpointEvery = checkpointEvery
            Resume = resume
            Threads = threads
    }

/// Where training stands.
type TrainingReport = {
    /// Name of the phase.
    Phase: string
    /// Iterations done, over all phases.
    Iteration: int
    /// Iterations planned, over all phases.
    Iterations: int
    /// Loss of the last iteration.
    Loss: float
    /// Validation loss; NaN where none is computed.
    ValidationLoss: float
    /// Evaluations of the right-hand side so far.
    Evaluations: int64
    /// Time spent, with that before a resume.
    Elapsed: TimeSpan
}

/// Training that cannot go on: the loss is not finite whatever the learning rate. One line with the iteration and the remedy.
[<Sealed>]
type TrainingException(message: string, inner: exn) =
    inherit Exception(message, inner)

/// One phase of training.
type internal Phase = {
    Name: string
    Iterations: int
    LearningRate: float
    /// Parts of the model that move.
    Law: bool
    Network: bool
    /// Short windows from the data (true), or windows from fitted initial states.
    FromData: bool
    /// Rows whose misfit counts: the first so many.
    Rows: int
    /// Rows after these decide when to stop.
    Validated: bool
}

/// Building and checking plans.
module internal TrainingPlan =
    let private bad (text: string) = raise (ArgumentException text)

    /// Throws ArgumentException, naming the option and its value, for an option out of its range.
    let check (options: TrainingOptions) =
        if options.Iterations < 0 then
            bad $"Iterations must not be negative; got {options.Iterations}"

        if not (options.LearningRate >= 0.0 && Double.IsFinite options.LearningRate) then
            bad $"LearningRate must be positive, or 0 for the default; got {options.LearningRate}"

        if options.WindowLength < 0 || options.WindowLength = 1 then
            bad $"WindowLength must be at least 2 intervals, or 0 for the default; got {options.WindowLength}"

        if options.Kind <> ModelKind.Mechanistic then
            OptionChecks.someWidths "Hidden" options.Hidden

        if options.Seed < 0 then
            bad $"Seed must not be negative; got {options.Seed}"

        OptionChecks.atLeast 1 "CheckpointEvery" options.CheckpointEvery
        OptionChecks.atLeast 1 "Threads" options.Threads
        OptionChecks.atLeast 1 "BatchSize" options.BatchSize

        if not (options.ClipNorm > 0.0) then
            bad $"ClipNorm must be positive; got {options.ClipNorm}"

        OptionChecks.atLeast 1 "Patience" options.Patience
        OptionChecks.within 0.0 0.5 "ValidationFraction" options.ValidationFraction

        if options.Resume && String.IsNullOrWhiteSpace options.CheckpointPath then
            bad "Resume needs a CheckpointPath to resume from"

    /// Rows before the validation rows.
    let trainingRows (options: TrainingOptions) rows =
        let held = int (floor (options.ValidationFraction * float rows))

        if options.Kind = ModelKind.Mechanistic || held < 2 || rows - held < 4 then
            rows
        else
            rows - held

    /// The phases for this many rows.
    let phases (options: TrainingOptions) (rows: int) : Phase[] =
        let head = trainingRows options rows

        let phase name iterations rate law network fromData rows' = {
            Name = name
            Iterations = iterations
            LearningRate = if options.LearningRate > 0.0 then options.LearningRate else rate
            Law = law
            Network = network
            FromData = fromData
            Rows = rows'
            Validated = network && rows' < rows
        }

        let planned =
            match options.Kind with
            | ModelKind.Mechanistic -> [|
                phase "windows" 60 0.05 true false true rows
                phase "trajectory" 240 0.02 true false false rows
              |]
            | ModelKind.NeuralOde -> [|
                phase "windows" 300 0.01 false true true head
                phase "trajectory" 300 0.005 false true false head
                phase "all data" 100 0.002 false true false rows
              |]
            // The network learns as long as the validation rows allow; the law and the initial states are then fitted to all rows
            // around it, so that no row is wasted and nothing that was not validated is added.
            | _ -> [|
                phase "windows" 60 0.05 true false true head
                phase "trajectory" 240 0.02 true false false head
                phase "network" 150 0.003 true true false head
                phase "all data" 100 0.02 true false false rows
              |]

        if options.Iterations = 0 then
            planned
        else
            let total = planned |> Array.sumBy _.Iterations |> float
            let cumulative = planned |> Array.scan (fun sum p -> sum + p.Iterations) 0

            let scaled =
                cumulative |> Array.map (fun c -> int (Math.Round(float c / total * float options.Iterations)))

            planned |> Array.mapi (fun i p -> { p with Iterations = scaled[i + 1] - scaled[i] })

    /// Windows of multiple shooting: first and last row each, sharing their ends.
    let windows (options: TrainingOptions) rows : Window[] =
        let length =
            if options.WindowLength > 0 then options.WindowLength
            elif rows <= 40 then rows - 1
            else 20

        [|
            for first in 0..length .. rows - 2 -> { First = first; Last = min (rows - 1) (first + length) }
        |]

    /// The options that change the result, as JSON: a resumed training must have the same.
    let fingerprint (options: TrainingOptions) : string =
        let json = JsonObject()
        json["model"] <- options.Kind.ToString()
        json["prior"] <- options.Prior
        json["hidden"] <- String.Join(",", options.Hidden)
        json["activation"] <- options.Activation.ToString()
        json["timeInput"] <- options.TimeInput
        json["positive"] <- (if options.Positive.HasValue then string options.Positive.Value else "auto")
        json["iterations"] <- options.Iterations
        json["learningRate"] <- options.LearningRate
        json["seed"] <- options.Seed
        json["windowLength"] <- options.WindowLength
        json["batchSize"] <- options.BatchSize
        json["weightDecay"] <- options.WeightDecay
        json["penalty"] <- options.Penalty
        json["continuity"] <- options.Continuity
        json["clipNorm"] <- options.ClipNorm
        json["validationFraction"] <- options.ValidationFraction
        json["patience"] <- options.Patience
        json["optimizer"] <- options.Optimizer.ToString()
        json["schedule"] <- options.Schedule.ToString()
        json["rtol"] <- options.Rtol
        json["differentiation"] <- options.Differentiation.ToString().ReplaceLineEndings " "
        json.ToJsonString()

    /// The schedule of a phase; null keeps the rate.
    let schedule (options: TrainingOptions) (iterations: int) (rate: float) (optimizer: torch.optim.Optimizer) =
        match options.Schedule with
        | LearningRateSchedule.Cosine ->
            torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, float (max 1 iterations), 0.01 * rate)
        | LearningRateSchedule.Exponential ->
            torch.optim.lr_scheduler.ExponentialLR(optimizer, 0.01 ** (1.0 / float (max 1 iterations)))
        | _ -> null
