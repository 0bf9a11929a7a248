extern alias core;

using System;
using System.Collections.Generic;
using System.Globalization;
using System.Linq;
using System.Text.RegularExpressions;
using System.Threading;
using Microsoft.FSharp.Core;
using static TorchSharp.torch;
using Core = core::Continuum;

namespace Continuum;

/// <summary>Every conversion between the facade and the F# core; the only file that knows F# functions and options.</summary>
internal static partial class Interop
{
    /// <summary>The member of an enumeration; a number that is none is refused.</summary>
    internal static T Defined<T>(T value)
        where T : struct, Enum =>
        Enum.IsDefined(value) ? value : throw new ArgumentException($"{value} is no {typeof(T).Name}; there are {string.Join(", ", Enum.GetNames<T>())}.");

    // A delegate on the delegate's own Invoke: made once a solve, called without allocation.
    internal static Core.VectorField Field(VectorField field) => new(field.Invoke);

    internal static Core.SolveOptions<double[]> Options(SolveOptions options, ProgressReporter? progress, CancellationToken cancellation) =>
        Options(
            options,
            Vector(options.RelTolPerComponent),
            Vector(options.AbsTolPerComponent),
            [.. options.Events.Select(Event)],
            [.. options.ScheduledChanges.Select(change => new Core.Scheduled<double[]>(change.Time, Change(change.Apply)))],
            progress,
            cancellation
        );

    internal static Core.TensorOptions Options(TensorSolveOptions options, ProgressReporter? progress, CancellationToken cancellation)
    {
        Core.SolveOptions<Tensor> solve = Options<Tensor>(
            options,
            options.RelTolPerComponent,
            options.AbsTolPerComponent,
            [],
            [.. options.ScheduledChanges.Select(change => new Core.Scheduled<Tensor>(change.Time, Curried(change.Apply)))],
            progress,
            cancellation
        );
        bool tracked = options.StartTime is not null || options.EndTime is not null || options.SaveTimes is not null;
        return new Core.TensorOptions(
            options.Method.Inner,
            solve,
            [.. options.Events.Select(Event)],
            options.Gradient.Value,
            tracked
                ? FSharpValueOption<Core.TrackedTimes>.NewValueSome(new(options.StartTime, options.EndTime, options.SaveTimes))
                : FSharpValueOption<Core.TrackedTimes>.ValueNone,
            options.CheckTracking
        );
    }

    internal static FSharpFunc<TA, TResult> Function<TA, TResult>(Func<TA, TResult> function) => FuncConvert.FromFunc(function);

    internal static Core.IDenseSolution<T>? OrNull<T>(FSharpValueOption<Core.IDenseSolution<T>> dense) =>
        dense.IsValueSome ? dense.Value : null;

    internal static SolveStatistics Statistics(Core.Statistics s) =>
        new(
            s.Evaluations,
            s.Accepted,
            s.Rejected,
            s.SmallestStep,
            s.LargestStep,
            s.ErrorEstimate,
            s.StiffnessEstimate,
            s.LargestStabilityRatio,
            s.Implicit.Jacobians,
            s.Implicit.Factorisations,
            s.Implicit.Solves,
            s.Implicit.NewtonIterations,
            s.Implicit.NewtonFailures
        );

    internal static SolveException Failure(Core.SolveFailedException failure) =>
        new((SolveStatus)(int)failure.Status, failure.Time, failure.Message, failure.InnerException);

    internal static InvalidOperationException NotDense() =>
        new("The solve kept no continuous output; solve with SaveAt = SaveAt.Dense.");

    /// <summary>The component that a failure's message names; the core reports it in no other way.</summary>
    internal static string? Component(SolveStatus status, string message)
    {
        Match match = ComponentName().Match(message);
        return match.Success && status is SolveStatus.NonFinite or SolveStatus.StepTooSmall ? match.Groups[1].Value : null;
    }

    private static Core.SolveOptions<TState> Options<TState>(
        SolveSettings settings,
        TState? relTol,
        TState? absTol,
        Core.Event<TState>[] events,
        Core.Scheduled<TState>[] scheduled,
        ProgressReporter? progress,
        CancellationToken cancellation
    )
        where TState : class =>
        new(
            Control(settings),
            new Core.Tolerance<TState>(settings.RelTol, settings.AbsTol, Option(relTol), Option(absTol), Norm(settings.Norm)),
            settings.SaveAt.Value,
            events,
            scheduled,
            [.. settings.Jumps],
            Option(settings.InitialStep),
            settings.MaxStep,
            settings.MinStep,
            settings.MaxSteps,
            settings.Heuristics,
            progress is null
                ? null
                : report =>
                    progress.Report(new(report.Time, report.Step, report.Fraction, report.Accepted, report.Rejected, report.Evaluations)),
            cancellation
        );

    private static Core.StepControl Control(SolveSettings settings)
    {
        if (settings.FixedStep is double step)
        {
            return settings.Controller is null
                ? Core.StepControl.NewFixed(step)
                : throw new ArgumentException($"{nameof(settings.FixedStep)} and {nameof(settings.Controller)} exclude each other; set one.");
        }

        if (settings.Controller is not StepController controller)
        {
            return Core.StepControl.NewAdaptive(FSharpValueOption<Core.Feedback>.ValueNone);
        }

        if (!(controller.Safety is > 0 and <= 1 && controller.MinFactor is > 0 and < 1 && controller.MaxFactor > 1))
        {
            throw new ArgumentException(
                string.Create(
                    CultureInfo.InvariantCulture,
                    $"A controller needs 0 < Safety <= 1, 0 < MinFactor < 1 and MaxFactor > 1; got {controller.Safety}, {controller.MinFactor} and {controller.MaxFactor}."
                )
            );
        }

        // Reversible Heun has an error estimate of order 1; those of the stiff methods and the automatic choice are of order 4 or 5.
        int order = Math.Max(1, settings.Method.Tableau?.ErrorOrder ?? settings.Method.Order);
        Core.Feedback pid = Core.Controller.pid(controller.Proportional, controller.Integral, controller.Derivative, order);
        Core.Feedback feedback = new(pid.Beta1, pid.Beta2, pid.Beta3, controller.Safety, controller.MinFactor, controller.MaxFactor);
        return Core.StepControl.NewAdaptive(FSharpValueOption<Core.Feedback>.NewValueSome(feedback));
    }

    private static Core.ErrorNorm Norm(ToleranceNorm norm) =>
        norm switch
        {
            ToleranceNorm.Rms => Core.ErrorNorm.Rms,
            ToleranceNorm.Maximum => Core.ErrorNorm.Maximum,
            _ => throw new ArgumentException($"There is no norm {norm}."),
        };

    private static Core.Crossing Crossing(EventDirection direction) =>
        direction switch
        {
            EventDirection.Either => Core.Crossing.Either,
            EventDirection.Rising => Core.Crossing.Rising,
            EventDirection.Falling => Core.Crossing.Falling,
            _ => throw new ArgumentException($"There is no event direction {direction}."),
        };

    private static Core.Event<double[]> Event(OdeEvent e)
    {
        EventFunction condition = e.Condition;
        return new(
            e.Name,
            Curried<double, double[], double>((t, y) => condition(t, y)),
            Crossing(e.Direction),
            Option(e.Apply is null ? null : Change(e.Apply)),
            e.Terminal,
            e.MaxOccurrences
        );
    }

    private static Core.TensorEvent Event(TensorOdeEvent e) =>
        new(e.Name, Curried(e.Condition), Crossing(e.Direction), Option(e.Apply is null ? null : Curried(e.Apply)), e.Terminal, e.MaxOccurrences);

    /// <summary>A change in place as a function to a new state; the state before stays as it is.</summary>
    private static FSharpFunc<double, FSharpFunc<double[], double[]>> Change(StateChange change) =>
        Curried<double, double[], double[]>(
            (t, y) =>
            {
                double[] after = [.. y];
                change(t, after);
                return after;
            }
        );

    private static double[]? Vector(IReadOnlyList<double>? values) => values is null ? null : [.. values];

    private static FSharpValueOption<T> Option<T>(T? value)
        where T : class => value is null ? FSharpValueOption<T>.ValueNone : FSharpValueOption<T>.NewValueSome(value);

    private static FSharpValueOption<T> Option<T>(T? value)
        where T : struct => value is T some ? FSharpValueOption<T>.NewValueSome(some) : FSharpValueOption<T>.ValueNone;

    internal static FSharpFunc<TA, FSharpFunc<TB, TResult>> Curried<TA, TB, TResult>(Func<TA, TB, TResult> function) =>
        new Function2<TA, TB, TResult>(function);

    [GeneratedRegex(@"\bcomponent (\d+|\[[\d, ]*\])")]
    private static partial Regex ComponentName();

    /// <summary>A curried function that F# calls with both arguments at once, without the closure in between.</summary>
    private sealed class Function2<TA, TB, TResult>(Func<TA, TB, TResult> function) : OptimizedClosures.FSharpFunc<TA, TB, TResult>
    {
        public override TResult Invoke(TA a, TB b) => function(a, b);

        public override FSharpFunc<TB, TResult> Invoke(TA a) => FuncConvert.FromFunc<TB, TResult>(b => function(a, b));
    }
}
