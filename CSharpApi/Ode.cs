extern alias core;

using System;
using System.Threading;
using System.Threading.Tasks;
using Core = core::Continuum;

namespace Continuum;

/// <summary>Solves ordinary differential equations y' = f(t, y), on numbers and on tensors.</summary>
/// <remarks>
/// A solve runs on the calling thread and keeps no state between calls: several threads may solve at once, with the same options.
/// An end time before the start integrates backward.
/// </remarks>
public static partial class Ode
{
    /// <summary>Solves y' = f(t, y) from y(<paramref name="t0"/>) = <paramref name="y0"/> to <paramref name="t1"/>.</summary>
    /// <param name="f">The right-hand side.</param>
    /// <param name="t0">The start time.</param>
    /// <param name="t1">The end time.</param>
    /// <param name="y0">The initial state, which is copied.</param>
    /// <param name="options">Method, tolerances, what to save, events; null takes the defaults.</param>
    /// <exception cref="ArgumentNullException"><paramref name="f"/> is null.</exception>
    /// <exception cref="ArgumentException">
    /// The span, the state or an option makes no sense, or the method cannot do what is asked; the message names it.
    /// </exception>
    /// <exception cref="SolveException">The solve failed on the way; the exception carries the solution up to there.</exception>
    /// <exception cref="OperationCanceledException">The cancellation token was signalled.</exception>
    public static Solution Solve(VectorField f, double t0, double t1, ReadOnlySpan<double> y0, SolveOptions? options = null) =>
        Demand(Run(f, t0, t1, y0.ToArray(), options, default), options, default);

    /// <summary>As <see cref="Solve(VectorField, double, double, ReadOnlySpan{double}, SolveOptions?)"/>, but a failure on the way, or
    /// cancellation, returns false instead of throwing.</summary>
    /// <param name="f">The right-hand side.</param>
    /// <param name="t0">The start time.</param>
    /// <param name="t1">The end time.</param>
    /// <param name="y0">The initial state, which is copied.</param>
    /// <param name="solution">The solution; after a failure, everything up to it, and why in its status and message.</param>
    /// <param name="options">Method, tolerances, what to save, events; null takes the defaults.</param>
    /// <exception cref="ArgumentNullException"><paramref name="f"/> is null.</exception>
    /// <exception cref="ArgumentException">The span, the state or an option makes no sense; the message names it.</exception>
    public static bool TrySolve(
        VectorField f,
        double t0,
        double t1,
        ReadOnlySpan<double> y0,
        out Solution solution,
        SolveOptions? options = null
    )
    {
        solution = Run(f, t0, t1, y0.ToArray(), options, default);
        return solution.IsComplete;
    }

    /// <summary>
    /// As <see cref="Solve(VectorField, double, double, ReadOnlySpan{double}, SolveOptions?)"/>, on the thread pool; everything that
    /// method throws is thrown when the task is awaited.
    /// </summary>
    /// <param name="f">The right-hand side; called on another thread.</param>
    /// <param name="t0">The start time.</param>
    /// <param name="t1">The end time.</param>
    /// <param name="y0">The initial state, which is copied.</param>
    /// <param name="options">Method, tolerances, what to save, events; null takes the defaults.</param>
    /// <param name="cancellationToken">Ends the solve, beside the token in the options; polled before every step.</param>
    public static Task<Solution> SolveAsync(
        VectorField f,
        double t0,
        double t1,
        ReadOnlySpan<double> y0,
        SolveOptions? options = null,
        CancellationToken cancellationToken = default
    )
    {
        double[] start = y0.ToArray();
        return InBackground(
            () => Demand(Run(f, t0, t1, start, options, cancellationToken), options, cancellationToken),
            cancellationToken
        );
    }

    private static Solution Run(VectorField f, double t0, double t1, double[] y0, SolveOptions? options, CancellationToken cancellation)
    {
        ArgumentNullException.ThrowIfNull(f);
        options ??= new SolveOptions();
        using CancellationTokenSource? linked = Link(options, cancellation);
        ProgressReporter? progress = ProgressReporter.For(options.Progress);
        Core.SolveOptions<double[]> told = Interop.Options(options, progress, Token(options, linked, cancellation));
        // An empty state is refused by the first door, before there is a system of no size.
        Core.Solution<double[]> raw = options.Method.Inner is Core.Method.RungeKutta || y0.Length == 0
            ? Core.ArrayOde.solve(options.Method.Tableau ?? Core.Methods.Tsit5, told, Interop.Field(f), t0, t1, y0)
            : Core.ArrayOde.solveSystem(options.Method.Inner, told, Core.OdeSystem.OfField(Interop.Field(f), y0.Length), t0, t1, y0);
        progress?.Finish();
        return new Solution(raw, options.Events);
    }

    private static Solution Demand(Solution solution, SolveOptions? options, CancellationToken cancellation) =>
        solution.Status == SolveStatus.Cancelled ? throw Cancelled(solution.Message, options, cancellation)
        : solution.IsComplete ? solution
        : throw new SolveException(solution);

    private static OperationCanceledException Cancelled(string message, SolveSettings? options, CancellationToken cancellation) =>
        new(message, cancellation.IsCancellationRequested || options is null ? cancellation : options.CancellationToken);

    private static CancellationTokenSource? Link(SolveSettings options, CancellationToken cancellation) =>
        options.CancellationToken.CanBeCanceled && cancellation.CanBeCanceled
            ? CancellationTokenSource.CreateLinkedTokenSource(options.CancellationToken, cancellation)
            : null;

    private static CancellationToken Token(SolveSettings options, CancellationTokenSource? linked, CancellationToken cancellation) =>
        linked?.Token ?? (cancellation.CanBeCanceled ? cancellation : options.CancellationToken);

    // An async method, so that cancellation by either token makes a cancelled task, not a faulted one.
    private static async Task<T> InBackground<T>(Func<T> solve, CancellationToken cancellation) =>
        await Task.Run(solve, cancellation).ConfigureAwait(false);
}
