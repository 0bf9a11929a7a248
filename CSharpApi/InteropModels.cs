extern alias core;

using System;
using System.Collections.Generic;
using System.Linq;
using System.Threading;
using Microsoft.FSharp.Core;
using Core = core::Continuum;

namespace Continuum;

// What the stochastic and controlled models say to the core.
internal static partial class Interop
{
    internal static Core.ObservedPath Path(TimeSeries series) => new([.. series.Times], (double[,])series.Values.Clone());

    internal static Core.ObservedPath[] Paths(IReadOnlyList<TimeSeries> series)
    {
        ArgumentNullException.ThrowIfNull(series);
        TimeSeries first = series.Count > 0 ? series[0] : throw new ArgumentException("no series given; give at least one");
        int stranger = Enumerable.Range(0, series.Count).FirstOrDefault(k => !series[k].ColumnNames.SequenceEqual(first.ColumnNames));
        return stranger == 0
            ? [.. series.Select(Path)]
            : throw new ArgumentException(
                $"series {stranger} has the columns {TimeSeries.Names(series[stranger].ColumnNames)}, the first {TimeSeries.Names(first.ColumnNames)}; give all the same"
            );
    }

    internal static FSharpValueOption<Core.ObservedPath> History(TimeSeries? history) => Option(history is null ? null : Path(history));

    internal static Action<Core.TrainingReport>? Report(IProgress<FitProgress>? progress) =>
        progress is null
            ? null
            : r => progress.Report(new(r.Phase, r.Iteration, r.Iterations, r.Loss, r.ValidationLoss, r.Evaluations, r.Elapsed));

    /// <summary>A fit whose failure on the way becomes the facade's.</summary>
    internal static T Fitted<T>(Func<T> fit)
    {
        try
        {
            return fit();
        }
        catch (Core.TrainingException error)
        {
            throw new FitException(error.Message, error);
        }
    }

    /// <summary>Fits a model to series of the same columns.</summary>
    internal static TFit FitPaths<TOptions, TFit>(
        Func<TOptions, string, string[], Core.ObservedPath[], Action<Core.TrainingReport>?, CancellationToken, TFit> run,
        TOptions options,
        IReadOnlyList<TimeSeries> series,
        IProgress<FitProgress>? progress,
        CancellationToken cancellationToken
    )
    {
        Core.ObservedPath[] paths = Paths(series);
        return Fitted(() => run(options, series[0].TimeName, [.. series[0].ColumnNames], paths, Report(progress), cancellationToken));
    }

    internal static Core.Activation Activation(NeuralActivation activation) =>
        Enum.IsDefined(activation) ? (Core.Activation)(int)activation : throw new ArgumentException($"there is no activation {activation}");

    internal static ulong Seed(int seed) =>
        seed >= 0 ? (ulong)seed : throw new ArgumentOutOfRangeException(nameof(seed), seed, "a seed must be at least 0");
}
