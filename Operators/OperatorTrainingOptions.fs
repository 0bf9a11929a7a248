// What the training of an operator can be told.
namespace Continuum

open System

/// How points are taken from the training functions.
type ResolutionPlan =
    /// Every batch at a resolution drawn from the strides.
    | Mixed = 0
    /// The strides one after another, each for the same share of the iterations: from coarse to fine is a curriculum.
    | Curriculum = 1

/// Which symmetries of the box the equation has: training draws one for each batch and shows the samples as they look under it, which is worth as many
/// samples as there are symmetries. For functions whose channels are scalars; position-dependent coefficients must be among the inputs.
type BoxSymmetries =
    /// None are used.
    | None = 0
    /// Reflections of each axis.
    | Reflections = 1
    /// Reflections and exchanges of axes; the axes and their points must be alike.
    | All = 2

/// How an operator of motions is trained, frame by frame.
type RolloutOptions = {
    /// Frames that are computed with gradients, each from those before.
    Unroll: int
    /// The most frames that are computed first, without gradients, so that the operator learns to go on from its own errors (the pushforward trick: Brandstetter,
    /// Worrall and Welling 2022). Each batch draws a number from 0 to this: an operator that knows nothing yet learns nothing from its own frames alone.
    Pushforward: int
    /// Deviation of the noise on the frames that a step starts from, as a multiple of the frames' own deviation.
    Noise: float
} with

    /// One frame at a time, no noise.
    static member Default = { Unroll = 1; Pushforward = 0; Noise = 0.0 }

/// Everything that the training of an operator can be told.
type OperatorTrainingOptions = {
    /// Passes over the data.
    Epochs: int
    /// The loop: batch size, optimiser, rate, schedule, seed, checkpoints. Iterations is found from Epochs; ValidateEvery counts epochs.
    Loop: TrainingLoopOptions
    /// What is lowered: terms of the prediction and the truth.
    Terms: LossTerm[]
    /// How the terms are balanced.
    Balance: BalanceRule
    /// Strides of the training points: 1 takes all, 2 every second of each axis. Several: several resolutions.
    Strides: int[]
    /// How several strides are used.
    Resolutions: ResolutionPlan
    /// Symmetries of the equation.
    Symmetries: BoxSymmetries
    /// The share of the iterations over which a Fourier neural operator takes its waiting modes into use, from FnoOptions.FirstModes to all, one after another
    /// (incremental spectral learning: George et al. 2024); 0 leaves the modes as they are.
    Growth: float
    /// For operators of motions.
    Rollout: RolloutOptions
} with

    /// 100 epochs of batches of 20, AdamW at 1e-3 with one cycle and a decay of 1e-4, relative L2 norm, all points.
    static member Default = {
        Epochs = 100
        Loop = {
            TrainingLoopOptions.Default with
                BatchSize = 20
                Optimizer = OptimizerKind.AdamW
                LearningRate = 1e-3
                Schedule = LearningRateSchedule.OneCycle
                WeightDecay = 1e-4
                ClipNorm = 10.0
                ValidateEvery = 1
        }
        Terms = [| LossTerms.distance "relative L2" 1.0 FieldNorm.L2 LossOptions.Default |]
        Balance = BalanceRule.Constant
        Strides = [| 1 |]
        Resolutions = ResolutionPlan.Mixed
        Symmetries = BoxSymmetries.None
        Growth = 0.0
        Rollout = RolloutOptions.Default
    }
