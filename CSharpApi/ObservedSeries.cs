extern alias core;

using System;
using System.Collections.Generic;
using System.Linq;
using static TorchSharp.torch;
using Core = core::Continuum;

namespace Continuum;

/// <summary>
/// Time series as they were observed: many of them, each with its own length and times if need be, and with missing values (NaN). Owns
/// tensors: dispose it.
/// </summary>
public sealed class ObservedSeries : IDisposable
{
    private ObservedSeries(Core.SeriesBatch inner) => Inner = inner;

    /// <summary>The number of series.</summary>
    public int Count => Inner.Count;

    /// <summary>The number of values in a row.</summary>
    public int Channels => Inner.Channels;

    /// <summary>The rows of each series.</summary>
    public IReadOnlyList<int> Lengths => Inner.Lengths;

    /// <summary>The names of the series, for messages: their index unless given.</summary>
    public IReadOnlyList<string> Names => Inner.Ids;

    internal Core.SeriesBatch Inner { get; }

    /// <summary>Series from arrays, as float64 on the CPU.</summary>
    /// <param name="values">
    /// For each series its rows, each with one number for each channel, NaN where missing; a null row was not observed at all.
    /// </param>
    /// <param name="times">For each series the times of its rows, rising; null counts 0, 1, 2, ...</param>
    /// <param name="names">Names of the series for messages; null numbers them.</param>
    /// <exception cref="ArgumentException">
    /// Times do not rise, values are infinite, a series is empty, or sizes do not fit; the message names series, channel and row.
    /// </exception>
    public static ObservedSeries FromArrays(
        IReadOnlyList<double[]?[]> values,
        IReadOnlyList<double[]>? times = null,
        IReadOnlyList<string>? names = null
    )
    {
        ArgumentNullException.ThrowIfNull(values);
        ContinuumRuntime.EnsureLoaded();
        return new(Core.SeriesBatchModule.ofArrays(names?.ToArray(), times?.ToArray(), [.. values]));
    }

    /// <summary>Series from tensors; gradients flow to values and times.</summary>
    /// <param name="values">Of shape (..., length, channels), NaN where missing.</param>
    /// <param name="times">Of shape (length) for all series, or (..., length); null counts 0, 1, 2, ...</param>
    /// <param name="lengths">The rows of each series that are real; null for all.</param>
    /// <param name="names">Names of the series for messages; null numbers them.</param>
    /// <exception cref="ArgumentException">As in <see cref="FromArrays"/>.</exception>
    public static ObservedSeries FromTensor(
        Tensor values,
        Tensor? times = null,
        IReadOnlyList<int>? lengths = null,
        IReadOnlyList<string>? names = null
    )
    {
        ArgumentNullException.ThrowIfNull(values);
        ContinuumRuntime.EnsureLoaded();
        return new(Core.SeriesBatchModule.ofTensors(names?.ToArray(), times, values, lengths?.ToArray()));
    }

    /// <summary>Frees the tensors.</summary>
    public void Dispose() => ((IDisposable)Inner).Dispose();
}
