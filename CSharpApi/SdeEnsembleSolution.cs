extern alias core;

using System;
using System.Collections.Generic;
using System.Linq;
using Core = core::Continuum;

namespace Continuum;

/// <summary>A path that did not reach its end.</summary>
/// <param name="Path">Its index in the ensemble.</param>
/// <param name="Status">Why it ended.</param>
/// <param name="Message">The same for people, and what to do.</param>
/// <param name="Time">The time it reached; NaN where it was cancelled.</param>
public sealed record SdePathFailure(int Path, SolveStatus Status, string Message, double Time);

/// <summary>The states of all paths at one time.</summary>
public sealed class SdeSample
{
    private readonly Core.SdeSample _inner;

    internal SdeSample(Core.SdeSample inner) => _inner = inner;

    /// <summary>The time.</summary>
    public double Time => _inner.Time;

    /// <summary>The mean of each component over the paths that ended well.</summary>
    public IReadOnlyList<double> Mean => _inner.Statistics.Mean;

    /// <summary>The variance of each component.</summary>
    public IReadOnlyList<double> Variance => _inner.Statistics.Variance;

    /// <summary>The standard error of each mean.</summary>
    public IReadOnlyList<double> StandardError => _inner.Statistics.StandardError;

    /// <summary>The smallest value of each component.</summary>
    public IReadOnlyList<double> Minimum => _inner.Statistics.Minimum;

    /// <summary>The largest value of each component.</summary>
    public IReadOnlyList<double> Maximum => _inner.Statistics.Maximum;

    /// <summary>The covariance of the components; a copy.</summary>
    public double[,] Covariance() => (double[,])_inner.Statistics.Covariance.Clone();

    /// <summary>The state of one path.</summary>
    /// <exception cref="ArgumentOutOfRangeException">There is no such path.</exception>
    /// <exception cref="InvalidOperationException">Only moments were kept.</exception>
    public double[] State(int path) => _inner.State(path);

    /// <summary>One component of the paths that ended well, in the order of the paths.</summary>
    /// <exception cref="ArgumentOutOfRangeException">There is no such component.</exception>
    /// <exception cref="InvalidOperationException">Only moments were kept.</exception>
    public double[] Component(int index) => _inner.Component(index);

    /// <summary>Quantiles of a component at probabilities in [0, 1].</summary>
    /// <exception cref="ArgumentOutOfRangeException">There is no such component, or a probability is out of range.</exception>
    /// <exception cref="InvalidOperationException">Only moments were kept.</exception>
    public double[] Quantiles(int component, params ReadOnlySpan<double> probabilities) =>
        _inner.Quantiles(component, probabilities.ToArray());
}

/// <summary>The results of an ensemble of paths, numbered from 0.</summary>
public sealed class SdeEnsembleSolution
{
    private readonly Core.SdeEnsembleSolution _inner;

    internal SdeEnsembleSolution(Core.SdeEnsembleSolution inner)
    {
        _inner = inner;
        Samples = [.. inner.Samples.Select(sample => new SdeSample(sample))];
        Final = new(inner.Final);
        Failures = [.. inner.Failures.Select(f => new SdePathFailure(f.Path, (SolveStatus)(int)f.Status, f.Message, f.Time))];
    }

    /// <summary>The number of paths.</summary>
    public int Count => _inner.Count;

    /// <summary>The number of components of a state.</summary>
    public int Size => _inner.Size;

    /// <summary>The name of the method.</summary>
    public string Method => _inner.Method;

    /// <summary>The paths that did not reach their end, in order.</summary>
    public IReadOnlyList<SdePathFailure> Failures { get; }

    /// <summary>Whether every path reached its end.</summary>
    public bool IsComplete => Failures.Count == 0;

    /// <summary>The saved times; none where only the end was asked for.</summary>
    public IReadOnlyList<double> Times => _inner.Times;

    /// <summary>The paths at each saved time.</summary>
    public IReadOnlyList<SdeSample> Samples { get; }

    /// <summary>The paths where they ended.</summary>
    public SdeSample Final { get; }

    /// <summary>The final states one after another: component c of path i at i * <see cref="Size"/> + c.</summary>
    /// <exception cref="InvalidOperationException">Only moments were kept.</exception>
    public ReadOnlySpan<double> FinalStates => _inner.FinalStates;

    /// <summary>Quantiles of a component at every saved time, for fan charts: one array for each time.</summary>
    /// <exception cref="ArgumentOutOfRangeException">There is no such component, or a probability is out of range.</exception>
    /// <exception cref="InvalidOperationException">Only moments were kept.</exception>
    public IReadOnlyList<double[]> Bands(int component, params ReadOnlySpan<double> probabilities) =>
        _inner.Bands(component, probabilities.ToArray());
}
