extern alias core;

using System;
using System.Collections.Generic;
using System.Linq;
using Microsoft.FSharp.Core;
using Core = core::Continuum;

namespace Continuum;

/// <content>Conversions of solves with fixed steps.</content>
internal static partial class Interop
{
    internal static Core.SolveOptions<double[]> Options(
        FixedStepSettings settings,
        IReadOnlyList<OdeEvent> events,
        IReadOnlyList<ScheduledChange> changes,
        ProgressReporter? progress
    ) =>
        FixedSteps<double[]>(
            settings,
            [.. events.Select(Event)],
            [.. changes.Select(change => new Core.Scheduled<double[]>(change.Time, Change(change.Apply)))],
            progress
        );

    internal static Core.SolveOptions<TState> Options<TState>(FixedStepSettings settings, ProgressReporter? progress)
        where TState : class => FixedSteps<TState>(settings, [], [], progress);

    internal static Core.ExponentialMethod Exponential(ExponentialMethod method) =>
        method switch
        {
            ExponentialMethod.Etdrk4 => Core.ExponentialMethod.Etdrk4,
            ExponentialMethod.IntegratingFactorRk4 => Core.ExponentialMethod.IntegratingFactorRk4,
            _ => throw new ArgumentException($"There is no exponential method {method}."),
        };

    private static Core.SolveOptions<TState> FixedSteps<TState>(
        FixedStepSettings settings,
        Core.Event<TState>[] events,
        Core.Scheduled<TState>[] changes,
        ProgressReporter? progress
    )
        where TState : class =>
        new(
            Core.StepControl.NewFixed(settings.Step),
            Core.Tolerance.create<TState>(1e-6, 1e-6),
            settings.SaveAt.Value,
            events,
            changes,
            [],
            FSharpValueOption<double>.ValueNone,
            double.PositiveInfinity,
            0,
            settings.MaxSteps,
            false,
            progress is null
                ? null
                : report =>
                    progress.Report(new(report.Time, report.Step, report.Fraction, report.Accepted, report.Rejected, report.Evaluations)),
            settings.CancellationToken
        );
}
