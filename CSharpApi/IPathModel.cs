using System.Collections.Generic;

namespace Continuum;

/// <summary>A model of random paths that can go on from a history.</summary>
public interface IPathModel
{
    /// <summary>The names of the columns.</summary>
    IReadOnlyList<string> ColumnNames { get; }

    /// <summary>Whether the model describes logarithms: returns are then those of logarithms.</summary>
    bool IsLogarithmic { get; }

    /// <summary>Simulates paths at rising times after the end of the history.</summary>
    /// <param name="paths">The number of paths.</param>
    /// <param name="times">Rising times after the end of the history.</param>
    /// <param name="seed">Path i depends on the seed and i alone.</param>
    /// <param name="history">What the paths go on from; null for the data that the model was fitted to.</param>
    SimulatedPaths Simulate(int paths, IReadOnlyList<double> times, int seed = 0, TimeSeries? history = null);

    /// <summary>The log density of every transition of a series, the first given the history before it.</summary>
    /// <param name="data">The series.</param>
    /// <param name="history">What came before it, whose last row is where the first transition starts; null for nothing.</param>
    IReadOnlyList<double> LogDensities(TimeSeries data, TimeSeries? history = null);
}
