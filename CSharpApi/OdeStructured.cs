extern alias core;

using System;
using System.Numerics;
using TorchSharp;
using static TorchSharp.torch;
using Core = core::Continuum;

namespace Continuum;

/// <content>The doors for systems with structure: Hamiltonian and semilinear.</content>
public static partial class Ode
{
    /// <summary>
    /// Solves Hamilton's equations with a symplectic method and fixed steps. States of the solution are (q; p) in one array, and
    /// <see cref="SolveStatistics.Evaluations"/> counts the forces.
    /// </summary>
    /// <param name="system">The velocity and the force.</param>
    /// <param name="t0">The start time.</param>
    /// <param name="t1">The end time.</param>
    /// <param name="q0">The positions at the start, which are copied.</param>
    /// <param name="p0">The momenta at the start, as many, which are copied.</param>
    /// <param name="options">Step, method, what to save, events.</param>
    /// <exception cref="ArgumentNullException">The system or the options are null.</exception>
    /// <exception cref="ArgumentException">The span, the state or an option makes no sense; the message names it.</exception>
    /// <exception cref="SolveException">The solve failed on the way; the exception carries the solution up to there.</exception>
    /// <exception cref="OperationCanceledException">The cancellation token was signalled.</exception>
    public static Solution SolveHamiltonian(
        Hamiltonian system,
        double t0,
        double t1,
        ReadOnlySpan<double> q0,
        ReadOnlySpan<double> p0,
        HamiltonianOptions options
    )
    {
        ArgumentNullException.ThrowIfNull(system);
        ArgumentNullException.ThrowIfNull(options);
        ProgressReporter? progress = ProgressReporter.For(options.Progress);
        Core.SolveOptions<double[]> told = Interop.Options(options, options.Events, options.ScheduledChanges, progress);
        Core.Splitting method = options.Method.Inner;
        Core.Solution<double[]> raw = Core.HamiltonianOde.solve(method, told, system.Inner, t0, t1, q0.ToArray(), p0.ToArray());
        progress?.Finish();
        return Demand(new Solution(raw, options.Events), null, options.CancellationToken);
    }

    /// <summary>
    /// Solves a batch of Hamiltonian systems on tensors. States are stacked as (2, ...), q first, so that
    /// <see cref="TensorSolution.States"/> has the shape (times, 2, ...). Gradients are recorded when they are enabled and q0, p0 or a
    /// parameter requires one.
    /// </summary>
    /// <param name="velocity">dq/dt of (t, p); t is 0-d.</param>
    /// <param name="force">dp/dt of (t, q).</param>
    /// <param name="t0">The start time.</param>
    /// <param name="t1">The end time.</param>
    /// <param name="q0">The positions at the start, a floating-point tensor of any shape; not changed.</param>
    /// <param name="p0">The momenta at the start, of the same shape and dtype; not changed.</param>
    /// <param name="options">Step, method, what to save, parameters.</param>
    /// <exception cref="ArgumentNullException">An argument is null.</exception>
    /// <exception cref="ArgumentException">The span, the state or an option makes no sense; the message names it.</exception>
    /// <exception cref="SolveException">The solve failed on the way; the exception carries the solution up to there.</exception>
    /// <exception cref="OperationCanceledException">The cancellation token was signalled.</exception>
    /// <exception cref="LibtorchMissingException">libtorch could not be loaded.</exception>
    public static TensorSolution SolveHamiltonian(
        Func<Tensor, Tensor, Tensor> velocity,
        Func<Tensor, Tensor, Tensor> force,
        double t0,
        double t1,
        Tensor q0,
        Tensor p0,
        TensorHamiltonianOptions options
    )
    {
        ArgumentNullException.ThrowIfNull(velocity);
        ArgumentNullException.ThrowIfNull(force);
        ArgumentNullException.ThrowIfNull(q0);
        ArgumentNullException.ThrowIfNull(p0);
        ArgumentNullException.ThrowIfNull(options);
        ContinuumRuntime.EnsureLoaded();
        ProgressReporter? progress = ProgressReporter.For(options.Progress);
        Core.TensorHamiltonian system = new(new(velocity, options.Parameters, false), new(force, options.Parameters, false));
        Core.SolveOptions<Tensor> told = Interop.Options<Tensor>(options, progress);
        Core.TensorSolution inner = Core.HamiltonianOde.solveTensors(options.Method.Inner, told, system, t0, t1, q0, p0);
        progress?.Finish();
        return Demand(new TensorSolution(inner, []), null, options.CancellationToken);
    }

    /// <summary>
    /// Solves y' = L y + N(t, y), L diagonal, with an exponential method and fixed steps: no step is too long for L, however stiff.
    /// <see cref="SolveStatistics.Evaluations"/> counts those of N.
    /// </summary>
    /// <param name="linear">The diagonal of L.</param>
    /// <param name="nonlinear">Writes N(t, y).</param>
    /// <param name="t0">The start time.</param>
    /// <param name="t1">The end time.</param>
    /// <param name="y0">The initial state, which is copied.</param>
    /// <param name="options">Step, method, what to save, events.</param>
    /// <exception cref="ArgumentNullException"><paramref name="nonlinear"/> or the options are null.</exception>
    /// <exception cref="ArgumentException">The span, the state or an option makes no sense; the message names it.</exception>
    /// <exception cref="SolveException">The solve failed on the way; the exception carries the solution up to there.</exception>
    /// <exception cref="OperationCanceledException">The cancellation token was signalled.</exception>
    public static Solution SolveSemilinear(
        ReadOnlySpan<double> linear,
        VectorField nonlinear,
        double t0,
        double t1,
        ReadOnlySpan<double> y0,
        SemilinearOptions options
    )
    {
        ArgumentNullException.ThrowIfNull(nonlinear);
        ArgumentNullException.ThrowIfNull(options);
        ProgressReporter? progress = ProgressReporter.For(options.Progress);
        Core.SolveOptions<double[]> told = Interop.Options(options, options.Events, options.ScheduledChanges, progress);
        Core.ExponentialMethod method = Interop.Exponential(options.Method);
        Core.Solution<double[]> raw = Core.SemilinearOde.solve(
            method,
            told,
            linear.ToArray(),
            Interop.Field(nonlinear),
            t0,
            t1,
            y0.ToArray()
        );
        progress?.Finish();
        return Demand(new Solution(raw, options.Events), null, options.CancellationToken);
    }

    /// <summary>As <see cref="SolveSemilinear(ReadOnlySpan{double}, VectorField, double, double, ReadOnlySpan{double}, SemilinearOptions)"/>,
    /// on complex numbers (Fourier coefficients, oscillators).</summary>
    /// <param name="linear">The diagonal of L.</param>
    /// <param name="nonlinear">Writes N(t, y).</param>
    /// <param name="t0">The start time.</param>
    /// <param name="t1">The end time.</param>
    /// <param name="y0">The initial state, which is copied.</param>
    /// <param name="options">Step, method, what to save.</param>
    /// <exception cref="ArgumentNullException"><paramref name="nonlinear"/> or the options are null.</exception>
    /// <exception cref="ArgumentException">The span, the state or an option makes no sense; the message names it.</exception>
    /// <exception cref="SolveException">The solve failed on the way; the exception carries the solution up to there.</exception>
    /// <exception cref="OperationCanceledException">The cancellation token was signalled.</exception>
    public static ComplexSolution SolveSemilinear(
        ReadOnlySpan<Complex> linear,
        ComplexVectorField nonlinear,
        double t0,
        double t1,
        ReadOnlySpan<Complex> y0,
        ComplexSemilinearOptions options
    )
    {
        ArgumentNullException.ThrowIfNull(nonlinear);
        ArgumentNullException.ThrowIfNull(options);
        ProgressReporter? progress = ProgressReporter.For(options.Progress);
        Core.Solution<Complex[]> raw = Core.SemilinearOde.solveComplex(
            Interop.Exponential(options.Method),
            Interop.Options<Complex[]>(options, progress),
            linear.ToArray(),
            new Core.ComplexVectorField(nonlinear.Invoke),
            t0,
            t1,
            y0.ToArray()
        );
        progress?.Finish();
        ComplexSolution solution = new(raw);
        return solution.Status == SolveStatus.Cancelled ? throw Cancelled(solution.Message, null, options.CancellationToken)
            : solution.IsComplete ? solution
            : throw new SolveException(solution);
    }

    /// <summary>
    /// Solves y' = L y + N(t, y) on tensors of any shape, real or complex. Gradients are recorded when they are enabled and y0, L or a
    /// parameter requires one.
    /// </summary>
    /// <param name="linear">The diagonal of L: a tensor that broadcasts against y0; complex only where y0 is.</param>
    /// <param name="nonlinear">N of (t, y), shaped as y; t is 0-d and real.</param>
    /// <param name="t0">The start time.</param>
    /// <param name="t1">The end time.</param>
    /// <param name="y0">The initial state; not changed.</param>
    /// <param name="options">Step, method, what to save, parameters.</param>
    /// <exception cref="ArgumentNullException">An argument is null.</exception>
    /// <exception cref="ArgumentException">The span, the state or an option makes no sense; the message names it.</exception>
    /// <exception cref="SolveException">The solve failed on the way; the exception carries the solution up to there.</exception>
    /// <exception cref="OperationCanceledException">The cancellation token was signalled.</exception>
    /// <exception cref="LibtorchMissingException">libtorch could not be loaded.</exception>
    public static TensorSolution SolveSemilinear(
        Tensor linear,
        Func<Tensor, Tensor, Tensor> nonlinear,
        double t0,
        double t1,
        Tensor y0,
        TensorSemilinearOptions options
    )
    {
        ArgumentNullException.ThrowIfNull(linear);
        ArgumentNullException.ThrowIfNull(nonlinear);
        ArgumentNullException.ThrowIfNull(y0);
        ArgumentNullException.ThrowIfNull(options);
        ContinuumRuntime.EnsureLoaded();
        ProgressReporter? progress = ProgressReporter.For(options.Progress);
        Core.TensorField field = new(nonlinear, options.Parameters, false);
        Core.SolveOptions<Tensor> told = Interop.Options<Tensor>(options, progress);
        Core.TensorSolution inner = Core.SemilinearOde.solveTensors(Interop.Exponential(options.Method), told, linear, field, t0, t1, y0);
        progress?.Finish();
        return Demand(new TensorSolution(inner, []), null, options.CancellationToken);
    }
}
