extern alias core;

using System;
using System.Collections.Generic;
using System.Linq;
using System.Threading;
using Core = core::Continuum;

namespace Continuum;

/// <content>Fields written over numbers, and many trajectories at once.</content>
public static partial class Ode
{
    /// <summary>
    /// Solves y' = f(t, y; p) from y(<paramref name="t0"/>) = <paramref name="y0"/> to <paramref name="t1"/> with a field written over
    /// numbers. Stiff methods take its exact Jacobian.
    /// </summary>
    /// <typeparam name="TField">The struct that implements the field.</typeparam>
    /// <param name="field">The right-hand side.</param>
    /// <param name="parameters">Its parameters, which are copied.</param>
    /// <param name="t0">The start time.</param>
    /// <param name="t1">The end time.</param>
    /// <param name="y0">The initial state, which is copied.</param>
    /// <param name="options">Method, tolerances, what to save, events; null takes the defaults.</param>
    /// <exception cref="ArgumentException">
    /// The span, a size or an option makes no sense, or the method cannot do what is asked; the message names it.
    /// </exception>
    /// <exception cref="SolveException">The solve failed on the way; the exception carries the solution up to there.</exception>
    /// <exception cref="OperationCanceledException">The cancellation token was signalled.</exception>
    public static Solution Solve<TField>(
        TField field,
        ReadOnlySpan<double> parameters,
        double t0,
        double t1,
        ReadOnlySpan<double> y0,
        SolveOptions? options = null
    )
        where TField : struct, IGenericField
    {
        double[] start = y0.ToArray();
        double[] values = parameters.ToArray();
        CoreField<TField> inner = new(field);
        Core.GenericField<CoreField<TField>>.Check(inner, values, start);
        options ??= new SolveOptions();
        ProgressReporter? progress = ProgressReporter.For(options.Progress);
        Core.SolveOptions<double[]> told = Interop.Options(options, progress, options.CancellationToken);
        Core.Solution<double[]> raw = Core.Ensemble.solveOne(options.Method.Inner, told, inner, values, t0, t1, start);
        progress?.Finish();
        return Demand(new Solution(raw, options.Events), options, default);
    }

    /// <summary>
    /// Solves y' = f(t, y; p) for many initial states and parameters: eight trajectories at a time in SIMD lanes on every processor.
    /// Results do not depend on threads, on the order of the trajectories, or on what the others are.
    /// </summary>
    /// <remarks>
    /// The lanes do adaptive Runge–Kutta methods that keep the end or given times: name one, such as <see cref="OdeMethod.Tsit5"/>. Everything
    /// else (the automatic choice, stiff methods, events, dense output, fixed steps) is solved trajectory by trajectory on every processor.
    /// </remarks>
    /// <typeparam name="TField">The struct that implements the field.</typeparam>
    /// <param name="field">The right-hand side; called by several threads.</param>
    /// <param name="t0">The start time.</param>
    /// <param name="t1">The end time.</param>
    /// <param name="initialStates">One initial state for all trajectories, or one for each.</param>
    /// <param name="parameters">One set of parameters for all trajectories, or one for each.</param>
    /// <param name="options">Method, tolerances, what to save, cancellation; null takes the defaults.</param>
    /// <param name="ensemble">Threads and progress; null takes all processors.</param>
    /// <exception cref="ArgumentException">
    /// Sizes, the span or an option make no sense; the message names them. What goes wrong in a trajectory, or cancellation, does not
    /// throw: it is in the status of the trajectories it concerns.
    /// </exception>
    public static EnsembleSolution SolveEnsemble<TField>(
        TField field,
        double t0,
        double t1,
        IReadOnlyList<double[]> initialStates,
        IReadOnlyList<double[]> parameters,
        SolveOptions? options = null,
        EnsembleOptions? ensemble = null
    )
        where TField : struct, IGenericField
    {
        Core.EnsembleProblem problem = Problem(t0, t1, initialStates, parameters);
        options ??= new SolveOptions();
        return new(
            Core.Ensemble.solveWith(options.Method.Inner, Told(options), Told(ensemble), new CoreField<TField>(field), problem),
            options.Events
        );
    }

    /// <summary>
    /// As the overload for fields written over numbers, for a delegate on doubles: trajectory by trajectory on every processor, about
    /// six times slower a thread than in lanes on small systems.
    /// </summary>
    /// <param name="f">The right-hand side; called by several threads.</param>
    /// <param name="t0">The start time.</param>
    /// <param name="t1">The end time.</param>
    /// <param name="initialStates">One initial state for all trajectories, or one for each.</param>
    /// <param name="parameters">One set of parameters for all trajectories, or one for each.</param>
    /// <param name="options">Method, tolerances, what to save, cancellation; null takes the defaults.</param>
    /// <param name="ensemble">Threads and progress; null takes all processors.</param>
    /// <exception cref="ArgumentException">
    /// Sizes, the span or an option make no sense; the message names them. What goes wrong in a trajectory, or cancellation, does not
    /// throw: it is in the status of the trajectories it concerns.
    /// </exception>
    /// <exception cref="ArgumentNullException"><paramref name="f"/>, the states or the parameters are null.</exception>
    public static EnsembleSolution SolveEnsemble(
        ParameterField f,
        double t0,
        double t1,
        IReadOnlyList<double[]> initialStates,
        IReadOnlyList<double[]> parameters,
        SolveOptions? options = null,
        EnsembleOptions? ensemble = null
    )
    {
        ArgumentNullException.ThrowIfNull(f);
        Core.EnsembleProblem problem = Problem(t0, t1, initialStates, parameters);
        options ??= new SolveOptions();
        int size = problem.Initial.Length == 0 ? 0 : problem.Initial[0].Length;
        Func<int, Core.OdeSystem> system = i =>
        {
            double[] p = problem.Parameters[problem.Parameters.Length == 1 ? 0 : i];
            return Core.OdeSystem.OfField((t, y, dydt) => f(t, y, p, dydt), size);
        };
        return new(
            Core.Ensemble.solveSystems(options.Method.Inner, Told(options), Told(ensemble), Interop.Function(system), problem),
            options.Events
        );
    }

    internal static Core.EnsembleProblem Problem(
        double t0,
        double t1,
        IReadOnlyList<double[]> initialStates,
        IReadOnlyList<double[]> parameters
    )
    {
        ArgumentNullException.ThrowIfNull(initialStates);
        ArgumentNullException.ThrowIfNull(parameters);
        return new([t0], [t1], [.. initialStates], [.. parameters]);
    }

    internal static Core.SolveOptions<double[]> Told(SolveOptions options) =>
        options.Progress is null
            ? Interop.Options(options, null, options.CancellationToken)
            : throw new ArgumentException(
                $"{nameof(SolveSettings.Progress)} tells about one solve; set {nameof(EnsembleOptions)}.{nameof(EnsembleOptions.Progress)}."
            );

    internal static Core.EnsembleOptions Told(EnsembleOptions? ensemble)
    {
        if (ensemble?.Threads is <= 0)
        {
            throw new ArgumentException($"{nameof(EnsembleOptions.Threads)} must be positive, or null for all processors; got {ensemble.Threads}.");
        }

        IProgress<EnsembleProgress>? progress = ensemble?.Progress;
        return new(ensemble?.Threads ?? 0, progress is null ? null : report => progress.Report(new(report.Completed, report.Total)));
    }
}
