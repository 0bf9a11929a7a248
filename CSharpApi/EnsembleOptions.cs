using System;

namespace Continuum;

/// <summary>How an ensemble is run; its results do not depend on it.</summary>
/// <remarks>Method, tolerances, what to save and cancellation are those of <see cref="SolveOptions"/>.</remarks>
public sealed record EnsembleOptions
{
    /// <summary>The threads to work on; null, the default, takes all processors.</summary>
    public int? Threads { get; init; }

    /// <summary>Told after every few dozen trajectories, by one thread at a time.</summary>
    public IProgress<EnsembleProgress>? Progress { get; init; }
}

/// <summary>How far an ensemble has come.</summary>
/// <param name="Completed">Trajectories that ended, well or not.</param>
/// <param name="Total">Trajectories in all.</param>
public readonly record struct EnsembleProgress(int Completed, int Total);
