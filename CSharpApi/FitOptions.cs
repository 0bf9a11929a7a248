using System.Collections.Generic;

namespace Continuum;

/// <summary>How <see cref="Forecaster.Fit"/> fits a model. The defaults fit a hybrid to all the data.</summary>
public sealed record FitOptions
{
    /// <summary>What the right-hand side is made of. Default: a law plus a network.</summary>
    public ForecastModelKind Model { get; init; } = ForecastModelKind.Hybrid;

    /// <summary>
    /// The law of <see cref="ForecastModelKind.Hybrid"/> and <see cref="ForecastModelKind.Mechanistic"/>: "lotka-volterra" (two columns),
    /// "logistic", "linear" (y' = A y + b), "exponential", or "auto": "lotka-volterra" for two positive columns, else "linear".
    /// </summary>
    public string Prior { get; init; } = "auto";

    /// <summary>The widths of the network's hidden layers.</summary>
    public IReadOnlyList<int> Hidden { get; init; } = [16, 16];

    /// <summary>Integrate logarithms, so that states stay above 0. Default (null): when every training value is above 0.</summary>
    public bool? Positive { get; init; }

    /// <summary>Fit to the rows up to this time. Default (null): to all rows.</summary>
    public double? TrainUntil { get; init; }

    /// <summary>Iterations over all phases of the training; 0 takes the default of the model.</summary>
    public int Iterations { get; init; }

    /// <summary>The largest learning rate; 0 takes the default of each phase.</summary>
    public double LearningRate { get; init; }

    /// <summary>Everything random comes from this seed: the same fit twice gives the same model bit for bit. At least 0.</summary>
    public int Seed { get; init; }

    /// <summary>Intervals per window of multiple shooting; 0: one window up to 40 rows, else 20 intervals each.</summary>
    public int WindowLength { get; init; }

    /// <summary>A file for checkpoints during the training, replaced atomically. Default (null): none.</summary>
    public string? CheckpointPath { get; init; }

    /// <summary>Iterations between checkpoints.</summary>
    public int CheckpointEvery { get; init; } = 50;

    /// <summary>
    /// Go on from <see cref="CheckpointPath"/> if that file exists, with the same options and data; the result is bit for bit that of a
    /// training that was not interrupted.
    /// </summary>
    public bool Resume { get; init; }

    /// <summary>Threads of libtorch during the fit. The models are small: one is fastest.</summary>
    public int Threads { get; init; } = 1;
}
