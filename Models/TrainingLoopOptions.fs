// What a training loop is told, and what it says in the end.
namespace Continuum

open System

/// Everything the training loop of a neural model can be told. `TrainingLoopOptions.Default` is a good start.
type TrainingLoopOptions = {
    /// Iterations: mini-batches, not epochs.
    Iterations: int
    /// Samples in a mini-batch.
    BatchSize: int
    /// The optimiser.
    Optimizer: OptimizerKind
    /// Largest learning rate.
    LearningRate: float
    /// How the learning rate changes.
    Schedule: LearningRateSchedule
    /// Weight decay of the optimiser.
    WeightDecay: float
    /// Gradients are shortened to this norm; infinity leaves them.
    ClipNorm: float
    /// Iterations between validations.
    ValidateEvery: int
    /// Validations without improvement before training stops; 0 never stops early.
    Patience: int
    /// The parameters of this share of the iterations, at the end, are averaged (Izmailov et al. 2018); 0: no averaging. Where there is
    /// a validation, the mean is taken only if it is not worse than the best parameters.
    Averaging: float
    /// Seed of everything random in the training: first weights, mini-batches, noise.
    Seed: int
    /// File of periodic checkpoints; null for none.
    CheckpointPath: string
    /// Iterations between checkpoints.
    CheckpointEvery: int
    /// Go on from the checkpoint if the file exists.
    Resume: bool
    /// Threads of libtorch during the training.
    Threads: int
} with

    /// 500 iterations of 64 samples, Adam at 0.003 with a cosine, gradients clipped to norm 1, one thread, no checkpoints.
    static member Default = {
        Iterations = 500
        BatchSize = 64
        Optimizer = OptimizerKind.Adam
        LearningRate = 3e-3
        Schedule = LearningRateSchedule.Cosine
        WeightDecay = 0.0
        ClipNorm = 1.0
        ValidateEvery = 10
        Patience = 0
        Averaging = 0.0
        Seed = 0
        CheckpointPath = null
        CheckpointEvery = 100
        Resume = false
        Threads = 1
    }

/// A point of a learning curve.
[<Struct>]
type LearningCurvePoint = {
    /// Iterations done.
    Iteration: int
    /// Mean loss of the updates since the point before.
    Loss: float
    /// The validation; NaN where there is none.
    Validation: float
}

/// How a training ended.
type TrainingSummary = {
    /// Iterations done.
    Iterations: int
    /// Loss of the last iteration.
    Loss: float
    /// Best validation; NaN where there is none.
    Validation: float
    /// Training stopped before its last iteration because validation no longer improved.
    StoppedEarly: bool
    /// The parameters are the mean over the last iterations.
    Averaged: bool
    /// Evaluations of the model's right-hand side, as far as the model counts them.
    Evaluations: int64
    /// Time spent, with that before a resume.
    Elapsed: TimeSpan
    /// The course of the training, a point for each validation, with those before a resume.
    Curve: LearningCurvePoint[]
}

/// Checks of options and their text in checkpoints.
[<RequireQualifiedAccess>]
module internal TrainingLoopOptions =
    let private bad (text: string) = raise (ArgumentException text)

    /// Throws ArgumentException, naming the option and its value, for an option out of its range.
    let check (options: TrainingLoopOptions) =
        OptionChecks.atLeast 1 "Iterations" options.Iterations
        OptionChecks.atLeast 1 "BatchSize" options.BatchSize
        OptionChecks.atLeast 1 "ValidateEvery" options.ValidateEvery
        OptionChecks.atLeast 0 "Patience" options.Patience
        OptionChecks.atLeast 0 "Seed" options.Seed
        OptionChecks.atLeast 1 "CheckpointEvery" options.CheckpointEvery
        OptionChecks.threads options.Threads
        OptionChecks.positive "LearningRate" options.LearningRate

        if not (options.WeightDecay >= 0.0 && Double.IsFinite options.WeightDecay) then
            bad $"WeightDecay must not be negative; got {options.WeightDecay}"

        if not (options.ClipNorm > 0.0) then
            bad $"ClipNorm must be positive, or infinity for no clipping; got {options.ClipNorm}"

        OptionChecks.within 0.0 1.0 "Averaging" options.Averaging

        if options.Resume && String.IsNullOrWhiteSpace options.CheckpointPath then
            bad "Resume needs a CheckpointPath to resume from"

    /// The options that change the result, by name: a resumed training must have the same.
    let pairs (options: TrainingLoopOptions) : (string * obj) list = [
        "iterations", options.Iterations
        "batchSize", options.BatchSize
        "optimizer", int options.Optimizer
        "learningRate", options.LearningRate
        "schedule", options.Schedule
        "weightDecay", options.WeightDecay
        "clipNorm", string options.ClipNorm
        "validateEvery", options.ValidateEvery
        "patience", options.Patience
        "averaging", options.Averaging
        "seed", options.Seed
    ]
