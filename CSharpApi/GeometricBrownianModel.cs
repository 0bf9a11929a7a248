extern alias core;

using System;
using System.Collections.Generic;
using System.IO;
using System.Linq;
using Core = core::Continuum;

namespace Continuum;

/// <summary>
/// Geometric Brownian motion with correlated noise, d log y = m dt + L dW: what a model of prices has to beat. Without logarithms, Brownian
/// motion with drift.
/// </summary>
public sealed class GeometricBrownianModel : IPathModel
{
    private readonly Core.GeometricBrownian _model;
    private readonly TimeSeries? _end;

    private GeometricBrownianModel(Core.GeometricBrownian model, TimeSeries? end)
    {
        _model = model;
        _end = end;
    }

    /// <summary>The names of the columns.</summary>
    public IReadOnlyList<string> ColumnNames => _model.Columns;

    /// <summary>Whether logarithms are modelled.</summary>
    public bool IsLogarithmic => _model.Logarithm;

    /// <summary>m for each column, per unit of time; the Itô drift of y is (m + covariance / 2) y.</summary>
    public IReadOnlyList<double> Drift => _model.Drift;

    /// <summary>The volatility of each column per root of time.</summary>
    public IReadOnlyList<double> Volatility => [.. Enumerable.Range(0, ColumnNames.Count).Select(j => Math.Sqrt(_model.Covariance[j, j]))];

    /// <summary>The covariance of the increments per unit of time; a copy.</summary>
    public double[,] Covariance() => (double[,])_model.Covariance.Clone();

    /// <summary>Maximum likelihood in closed form, from transitions of any lengths.</summary>
    /// <param name="data">At least three rows.</param>
    /// <param name="logarithm">Model logarithms; null: when every value is above 0.</param>
    /// <exception cref="ArgumentException">A value has no logarithm, a column is constant, or columns depend on each other linearly.</exception>
    public static GeometricBrownianModel Fit(TimeSeries data, bool? logarithm = null)
    {
        ArgumentNullException.ThrowIfNull(data);
        Core.ObservedPath path = Interop.Path(data);
        bool positive = logarithm ?? Core.ObservedPaths.allPositive([path]);
        Core.GeometricBrownian model = Core.GeometricBrownianModule.fit(positive, [.. data.ColumnNames], [path]);
        return new(model, data.Slice(data.Times[^1], data.Times[^1]));
    }

    /// <summary>Reads a model that <see cref="Save"/> wrote.</summary>
    /// <exception cref="InvalidDataException">The file is damaged, or holds something else.</exception>
    /// <exception cref="FileNotFoundException">There is no such file.</exception>
    public static GeometricBrownianModel Load(string path)
    {
        ArgumentException.ThrowIfNullOrWhiteSpace(path);
        return new(Core.GeometricBrownianModule.load(path), null);
    }

    /// <summary>Writes drift and covariance as a safetensors file, atomically.</summary>
    /// <exception cref="IOException">The file could not be written; an old one is unchanged.</exception>
    public void Save(string path)
    {
        ArgumentException.ThrowIfNullOrWhiteSpace(path);
        Core.GeometricBrownianModule.save(path, _model);
    }

    /// <summary>Simulates paths, exact in law.</summary>
    /// <param name="paths">The number of paths.</param>
    /// <param name="times">Rising times after the end of the history.</param>
    /// <param name="seed">Path i depends on the seed and i alone.</param>
    /// <param name="history">What the paths go on from; null for the data that the model was fitted to.</param>
    /// <exception cref="ArgumentException">Times do not rise from the end of the history.</exception>
    /// <exception cref="InvalidOperationException">The model came from a file, and no history is given.</exception>
    public SimulatedPaths Simulate(int paths, IReadOnlyList<double> times, int seed = 0, TimeSeries? history = null)
    {
        ArgumentNullException.ThrowIfNull(times);
        TimeSeries from = history ?? _end ?? throw new InvalidOperationException("a model from a file has no data to go on from; give a history");
        double[] start = [.. Enumerable.Range(0, from.ColumnNames.Count).Select(j => from[from.Count - 1, j])];
        double[,,] values = Core.GeometricBrownianModule.simulate(_model, start, from.Times[^1], [.. times], Interop.Seed(seed), 0, paths);
        return new(from.TimeName, ColumnNames, times, values);
    }

    /// <summary>The log density of every transition of a series, in the units of the increments (of the logarithm, where that is modelled).</summary>
    /// <param name="data">The series.</param>
    /// <param name="history">The rows before it: the first transition then starts at their last row.</param>
    /// <exception cref="ArgumentException">The data do not suit the model.</exception>
    public IReadOnlyList<double> LogDensities(TimeSeries data, TimeSeries? history = null)
    {
        ArgumentNullException.ThrowIfNull(data);
        double[] all = Core.GeometricBrownianModule.logDensities(_model, [Interop.Path(data.After(history))]);
        return history is null ? all : all[^data.Count..];
    }

    /// <summary>The sum of <see cref="LogDensities"/>.</summary>
    /// <param name="data">The series.</param>
    /// <param name="history">The rows before it.</param>
    /// <exception cref="ArgumentException">The data do not suit the model.</exception>
    public double LogLikelihood(TimeSeries data, TimeSeries? history = null) => LogDensities(data, history).Sum();
}
