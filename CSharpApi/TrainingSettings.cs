extern alias core;

using Core = core::Continuum;

namespace Continuum;

/// <summary>What the training of every model by mini-batches can be told.</summary>
public abstract record TrainingSettings
{
    /// <summary>Samples in a mini-batch.</summary>
    public int BatchSize { get; init; } = 64;

    /// <summary>The largest learning rate.</summary>
    public double LearningRate { get; init; } = 3e-3;

    /// <summary>The weight decay of the optimiser; 0 for none.</summary>
    public double WeightDecay { get; init; }

    /// <summary>Gradients are shortened to this norm; infinity leaves them as they are.</summary>
    public double ClipNorm { get; init; } = 1;

    /// <summary>Validations without improvement before training stops; 0 never stops early.</summary>
    public int Patience { get; init; }

    /// <summary>The share of iterations, at the end, over which parameters are averaged; 0 for none. Izmailov et al. 2018.</summary>
    public double Averaging { get; init; }

    /// <summary>Everything random comes from this seed: the same fit twice gives the same model bit for bit. At least 0.</summary>
    public int Seed { get; init; }

    /// <summary>A file for checkpoints during the training, replaced atomically. Default (null): none.</summary>
    public string? CheckpointPath { get; init; }

    /// <summary>Iterations between checkpoints.</summary>
    public int CheckpointEvery { get; init; } = 100;

    /// <summary>
    /// Go on from <see cref="CheckpointPath"/> if that file exists, with the same options and data; the result is bit for bit that of a
    /// training that was not interrupted.
    /// </summary>
    public bool Resume { get; init; }

    /// <summary>Threads of libtorch during the training. The models are small: one is fastest.</summary>
    public int Threads { get; init; } = 1;

    private protected Core.TrainingLoopOptions Loop(
        Core.OptimizerKind optimizer,
        Core.LearningRateSchedule schedule,
        int iterations,
        int validateEvery
    ) =>
        new(
            iterations,
            BatchSize,
            optimizer,
            LearningRate,
            schedule,
            WeightDecay,
            ClipNorm,
            validateEvery,
            Patience,
            Averaging,
            Seed,
            CheckpointPath,
            CheckpointEvery,
            Resume,
            Threads
        );
}
