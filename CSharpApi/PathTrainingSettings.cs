extern alias core;

using Core = core::Continuum;

namespace Continuum;

/// <summary>What the training of every stochastic and controlled model can be told.</summary>
public abstract record PathTrainingSettings : TrainingSettings
{
    /// <summary>Iterations: mini-batches, not epochs.</summary>
    public int Iterations { get; init; } = 500;

    /// <summary>Iterations between validations.</summary>
    public int ValidateEvery { get; init; } = 10;

    private protected Core.TrainingLoopOptions Loop(Core.OptimizerKind optimizer, Core.LearningRateSchedule schedule) =>
        Loop(optimizer, schedule, Iterations, ValidateEvery);
}
