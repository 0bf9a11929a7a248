extern alias core;

using System;
using Microsoft.FSharp.Core;
using static TorchSharp.torch;
using Core = core::Continuum;

namespace Continuum;

/// <content>Options of stochastic equations.</content>
internal static partial class Interop
{
    internal static Core.ArraySdeOptions Options(SdeOptions options, ProgressReporter? progress) =>
        new(
            Control(options),
            Tolerance<double[]>(options),
            options.SaveAt.Value,
            Option(options.InitialStep),
            options.MaxStep,
            options.MinStep,
            options.MaxSteps,
            Report(progress),
            options.CancellationToken
        );

    internal static Core.TensorSdeOptions Options(TensorSdeOptions options, ProgressReporter? progress) =>
        new(
            Control(options),
            Tolerance<Tensor>(options),
            options.SaveAt.Value,
            options.Gradient.Value,
            Option(options.InitialStep),
            options.MaxStep,
            options.MinStep,
            options.MaxSteps,
            options.Heuristics,
            Report(progress),
            options.CancellationToken,
            options.CheckTracking
        );

    internal static Core.SdeEnsembleOptions Options(SdeEnsembleOptions? ensemble)
    {
        if (ensemble?.Threads is <= 0)
        {
            throw new ArgumentException(
                $"{nameof(SdeEnsembleOptions.Threads)} must be positive, or null for all processors; got {ensemble.Threads}."
            );
        }

        IProgress<EnsembleProgress>? progress = ensemble?.Progress;
        return new(
            ensemble?.Threads ?? 0,
            ensemble?.MomentsOnly == true ? Core.SdeKeep.Moments : Core.SdeKeep.Samples,
            progress is null ? null : report => progress.Report(new(report.Completed, report.Total))
        );
    }

    private static Core.StepControl Control(SdeSettings settings) =>
        settings.FixedStep is double step
            ? Core.StepControl.NewFixed(step)
            : Core.StepControl.NewAdaptive(FSharpValueOption<Core.Feedback>.ValueNone);

    private static Core.Tolerance<TState> Tolerance<TState>(SdeSettings settings) =>
        new(
            settings.RelTol,
            settings.AbsTol,
            FSharpValueOption<TState>.ValueNone,
            FSharpValueOption<TState>.ValueNone,
            Norm(settings.Norm)
        );

    private static Action<Core.StepReport>? Report(ProgressReporter? progress) =>
        progress is null
            ? null
            : report =>
                progress.Report(new(report.Time, report.Step, report.Fraction, report.Accepted, report.Rejected, report.Evaluations));
}
