extern alias core;

using System;
using System.Threading;
using System.Threading.Tasks;
using Core = core::Continuum;

namespace Continuum;

public static partial class Ode
{
    /// <summary>
    /// Solves M y' = f(t, y) from y(<paramref name="t0"/>) = <paramref name="y0"/> to <paramref name="t1"/>, with what the system knows of
    /// its Jacobian and mass matrix.
    /// </summary>
    /// <param name="system">The system.</param>
    /// <param name="t0">The start time.</param>
    /// <param name="t1">The end time.</param>
    /// <param name="y0">The initial state, which is copied; algebraic variables may be guesses.</param>
    /// <param name="options">Method, tolerances, what to save, events; null takes the defaults.</param>
    /// <exception cref="ArgumentNullException"><paramref name="system"/> is null.</exception>
    /// <exception cref="ArgumentException">
    /// The span, the state or an option makes no sense, or the method cannot do what is asked (an explicit one with a mass matrix); the
    /// message names it.
    /// </exception>
    /// <exception cref="SolveException">The solve failed on the way; the exception carries the solution up to there.</exception>
    /// <exception cref="OperationCanceledException">The cancellation token was signalled.</exception>
    public static Solution Solve(OdeSystem system, double t0, double t1, ReadOnlySpan<double> y0, SolveOptions? options = null) =>
        Demand(Run(system, t0, t1, y0.ToArray(), options, default), options, default);

    /// <summary>
    /// Solves y' = explicitPart(t, y) + implicitPart(t, y), the second part stiff, by an additive method: equations are solved for the
    /// implicit part alone (IMEX). Where that part has a Jacobian or a band to tell of, put it into an <see cref="OdeSystem"/> and add
    /// the other by <see cref="OdeSystem.WithExplicitPart"/>.
    /// </summary>
    /// <param name="explicitPart">The part that is not stiff.</param>
    /// <param name="implicitPart">The stiff part.</param>
    /// <param name="t0">The start time.</param>
    /// <param name="t1">The end time.</param>
    /// <param name="y0">The initial state, which is copied.</param>
    /// <param name="options">
    /// Method (<see cref="OdeMethod.KenCarp4"/>, or <see cref="OdeMethod.Automatic"/>, which takes it), tolerances, what to save, events;
    /// null takes the defaults.
    /// </param>
    /// <exception cref="ArgumentNullException">A part is null.</exception>
    /// <exception cref="ArgumentException">
    /// The span, the state or an option makes no sense, or the method takes no split field; the message names it.
    /// </exception>
    /// <exception cref="SolveException">The solve failed on the way; the exception carries the solution up to there.</exception>
    /// <exception cref="OperationCanceledException">The cancellation token was signalled.</exception>
    public static Solution SolveSplit(
        VectorField explicitPart,
        VectorField implicitPart,
        double t0,
        double t1,
        ReadOnlySpan<double> y0,
        SolveOptions? options = null
    )
    {
        ArgumentNullException.ThrowIfNull(explicitPart);
        ArgumentNullException.ThrowIfNull(implicitPart);
        return Solve(new OdeSystem(implicitPart, y0.Length).WithExplicitPart(explicitPart), t0, t1, y0, options);
    }

    /// <summary>As <see cref="Solve(OdeSystem, double, double, ReadOnlySpan{double}, SolveOptions?)"/>, but a failure on the way, or
    /// cancellation, returns false instead of throwing.</summary>
    /// <param name="system">The system.</param>
    /// <param name="t0">The start time.</param>
    /// <param name="t1">The end time.</param>
    /// <param name="y0">The initial state, which is copied; algebraic variables may be guesses.</param>
    /// <param name="solution">The solution; after a failure, everything up to it, and why in its status and message.</param>
    /// <param name="options">Method, tolerances, what to save, events; null takes the defaults.</param>
    /// <exception cref="ArgumentNullException"><paramref name="system"/> is null.</exception>
    /// <exception cref="ArgumentException">The span, the state or an option makes no sense; the message names it.</exception>
    public static bool TrySolve(
        OdeSystem system,
        double t0,
        double t1,
        ReadOnlySpan<double> y0,
        out Solution solution,
        SolveOptions? options = null
    )
    {
        solution = Run(system, t0, t1, y0.ToArray(), options, default);
        return solution.IsComplete;
    }

    /// <summary>
    /// As <see cref="Solve(OdeSystem, double, double, ReadOnlySpan{double}, SolveOptions?)"/>, on the thread pool; everything that
    /// method throws is thrown when the task is awaited.
    /// </summary>
    /// <param name="system">The system; its functions are called on another thread.</param>
    /// <param name="t0">The start time.</param>
    /// <param name="t1">The end time.</param>
    /// <param name="y0">The initial state, which is copied; algebraic variables may be guesses.</param>
    /// <param name="options">Method, tolerances, what to save, events; null takes the defaults.</param>
    /// <param name="cancellationToken">Ends the solve, beside the token in the options; polled before every step.</param>
    public static Task<Solution> SolveAsync(
        OdeSystem system,
        double t0,
        double t1,
        ReadOnlySpan<double> y0,
        SolveOptions? options = null,
        CancellationToken cancellationToken = default
    )
    {
        double[] start = y0.ToArray();
        return InBackground(
            () => Demand(Run(system, t0, t1, start, options, cancellationToken), options, cancellationToken),
            cancellationToken
        );
    }

    private static Solution Run(OdeSystem system, double t0, double t1, double[] y0, SolveOptions? options, CancellationToken cancellation)
    {
        ArgumentNullException.ThrowIfNull(system);
        options ??= new SolveOptions();
        using CancellationTokenSource? linked = Link(options, cancellation);
        ProgressReporter? progress = ProgressReporter.For(options.Progress);
        Core.SolveOptions<double[]> told = Interop.Options(options, progress, Token(options, linked, cancellation));
        Core.Solution<double[]> raw = Core.ArrayOde.solveSystem(options.Method.Inner, told, system.Inner, t0, t1, y0);
        progress?.Finish();
        return new Solution(raw, options.Events);
    }
}
