extern alias core;
using System;
using System.Collections.Generic;
using System.Linq;
using System.Threading;
using System.Threading.Tasks;
using static TorchSharp.torch;
using Core = core::Continuum;

namespace Continuum;

/// <content>The door for tensors: states of any shape, one step size for the whole state, gradients.</content>
public static partial class Ode
{
    /// <summary>
    /// Solves y' = f(t, y) on tensors. Gradients flow to <paramref name="y0"/>, the parameters and the tracked times as
    /// <see cref="TensorSolveOptions.Gradient"/> says.
    /// </summary>
    /// <param name="f">
    /// The right-hand side, from (t, y) to a tensor with the shape, dtype and device of y; t is 0-d, with the dtype and device of y.
    /// </param>
    /// <param name="t0">The start time.</param>
    /// <param name="t1">The end time.</param>
    /// <param name="y0">The initial state, a floating-point tensor of any shape; not changed.</param>
    /// <param name="options">Method, tolerances, parameters, gradient, what to save; null takes the defaults.</param>
    /// <exception cref="ArgumentNullException"><paramref name="f"/> or <paramref name="y0"/> is null.</exception>
    /// <exception cref="ArgumentException">
    /// The span, the state or an option makes no sense, or <paramref name="f"/> reads a tensor that wants a gradient and is not among the
    /// parameters; the message names it.
    /// </exception>
    /// <exception cref="SolveException">The solve failed on the way; the exception carries the solution up to there.</exception>
    /// <exception cref="OperationCanceledException">The cancellation token was signalled.</exception>
    /// <exception cref="LibtorchMissingException">libtorch could not be loaded.</exception>
    public static TensorSolution Solve(
        Func<Tensor, Tensor, Tensor> f,
        double t0,
        double t1,
        Tensor y0,
        TensorSolveOptions? options = null
    ) => Demand(Run(Field(f, options), t0, t1, y0, options, default), options, default);

    /// <summary>
    /// Solves y' = network(y): a neural ODE. The network's parameters need not be listed in the options.
    /// </summary>
    /// <param name="network">The right-hand side; it does not see the time.</param>
    /// <param name="t0">The start time.</param>
    /// <param name="t1">The end time.</param>
    /// <param name="y0">The initial state, a floating-point tensor that the network takes; not changed.</param>
    /// <param name="options">Method, tolerances, further parameters, gradient, what to save; null takes the defaults.</param>
    /// <exception cref="ArgumentNullException"><paramref name="network"/> or <paramref name="y0"/> is null.</exception>
    /// <exception cref="ArgumentException">The span, the state or an option makes no sense; the message names it.</exception>
    /// <exception cref="SolveException">The solve failed on the way; the exception carries the solution up to there.</exception>
    /// <exception cref="OperationCanceledException">The cancellation token was signalled.</exception>
    /// <exception cref="LibtorchMissingException">libtorch could not be loaded.</exception>
    public static TensorSolution Solve(
        nn.Module<Tensor, Tensor> network,
        double t0,
        double t1,
        Tensor y0,
        TensorSolveOptions? options = null
    ) => Demand(Run(Field(network, options), t0, t1, y0, options, default), options, default);

    /// <summary>As Solve with a function, but a failure on the way, or cancellation, returns false instead of throwing.</summary>
    /// <param name="f">The right-hand side.</param>
    /// <param name="t0">The start time.</param>
    /// <param name="t1">The end time.</param>
    /// <param name="y0">The initial state.</param>
    /// <param name="solution">The solution, to be disposed; after a failure, everything up to it, and why in its status and message.</param>
    /// <param name="options">Method, tolerances, parameters, gradient, what to save; null takes the defaults.</param>
    /// <exception cref="ArgumentNullException"><paramref name="f"/> or <paramref name="y0"/> is null.</exception>
    /// <exception cref="ArgumentException">The span, the state or an option makes no sense; the message names it.</exception>
    /// <exception cref="LibtorchMissingException">libtorch could not be loaded.</exception>
    public static bool TrySolve(
        Func<Tensor, Tensor, Tensor> f,
        double t0,
        double t1,
        Tensor y0,
        out TensorSolution solution,
        TensorSolveOptions? options = null
    )
    {
        solution = Run(Field(f, options), t0, t1, y0, options, default);
        return solution.IsComplete;
    }

    /// <summary>As Solve with a network, but a failure on the way, or cancellation, returns false instead of throwing.</summary>
    /// <param name="network">The right-hand side; it does not see the time.</param>
    /// <param name="t0">The start time.</param>
    /// <param name="t1">The end time.</param>
    /// <param name="y0">The initial state.</param>
    /// <param name="solution">The solution, to be disposed; after a failure, everything up to it, and why in its status and message.</param>
    /// <param name="options">Method, tolerances, parameters, gradient, what to save; null takes the defaults.</param>
    /// <exception cref="ArgumentNullException"><paramref name="network"/> or <paramref name="y0"/> is null.</exception>
    /// <exception cref="ArgumentException">The span, the state or an option makes no sense; the message names it.</exception>
    /// <exception cref="LibtorchMissingException">libtorch could not be loaded.</exception>
    public static bool TrySolve(
        nn.Module<Tensor, Tensor> network,
        double t0,
        double t1,
        Tensor y0,
        out TensorSolution solution,
        TensorSolveOptions? options = null
    )
    {
        solution = Run(Field(network, options), t0, t1, y0, options, default);
        return solution.IsComplete;
    }

    /// <summary>
    /// As Solve with a function, on the thread pool, with the caller's setting of gradients; everything that method throws is thrown
    /// when the task is awaited. No dispose scope of the caller owns the result: dispose it.
    /// </summary>
    /// <param name="f">The right-hand side; called on another thread.</param>
    /// <param name="t0">The start time.</param>
    /// <param name="t1">The end time.</param>
    /// <param name="y0">The initial state, which must not change until the task ends.</param>
    /// <param name="options">Method, tolerances, parameters, gradient, what to save; null takes the defaults.</param>
    /// <param name="cancellationToken">Ends the solve, beside the token in the options; polled before every step.</param>
    public static Task<TensorSolution> SolveAsync(
        Func<Tensor, Tensor, Tensor> f,
        double t0,
        double t1,
        Tensor y0,
        TensorSolveOptions? options = null,
        CancellationToken cancellationToken = default
    ) => SolveAsync(() => Field(f, options), t0, t1, y0, options, cancellationToken);

    /// <summary>As SolveAsync with a function, for y' = network(y).</summary>
    /// <param name="network">The right-hand side; called on another thread.</param>
    /// <param name="t0">The start time.</param>
    /// <param name="t1">The end time.</param>
    /// <param name="y0">The initial state, which must not change until the task ends.</param>
    /// <param name="options">Method, tolerances, further parameters, gradient, what to save; null takes the defaults.</param>
    /// <param name="cancellationToken">Ends the solve, beside the token in the options; polled before every step.</param>
    public static Task<TensorSolution> SolveAsync(
        nn.Module<Tensor, Tensor> network,
        double t0,
        double t1,
        Tensor y0,
        TensorSolveOptions? options = null,
        CancellationToken cancellationToken = default
    ) => SolveAsync(() => Field(network, options), t0, t1, y0, options, cancellationToken);

    private static Task<TensorSolution> SolveAsync(
        Func<Core.TensorField> field,
        double t0,
        double t1,
        Tensor y0,
        TensorSolveOptions? options,
        CancellationToken cancellation
    )
    {
        ContinuumRuntime.EnsureLoaded();
        bool gradients = is_grad_enabled();
        return InBackground(
            () =>
            {
                // Whether gradients are on is a matter of the thread.
                using IDisposable _ = set_grad_enabled(gradients);
                return Demand(Run(field(), t0, t1, y0, options, cancellation), options, cancellation);
            },
            cancellation
        );
    }

    private static Core.TensorField Field(Func<Tensor, Tensor, Tensor> f, TensorSolveOptions? options)
    {
        ArgumentNullException.ThrowIfNull(f);
        return new(f, options?.Parameters ?? [], false);
    }

    private static Core.TensorField Field(nn.Module<Tensor, Tensor> network, TensorSolveOptions? options)
    {
        ArgumentNullException.ThrowIfNull(network);
        IEnumerable<Tensor> parameters = network.parameters();
        return new((_, y) => network.call(y), [.. parameters, .. options?.Parameters ?? []], true);
    }

    private static TensorSolution Run(
        Core.TensorField field,
        double t0,
        double t1,
        Tensor y0,
        TensorSolveOptions? options,
        CancellationToken cancellation
    )
    {
        ArgumentNullException.ThrowIfNull(y0);
        ContinuumRuntime.EnsureLoaded();
        options ??= new TensorSolveOptions();
        using CancellationTokenSource? linked = Link(options, cancellation);
        ProgressReporter? progress = ProgressReporter.For(options.Progress);
        Core.TensorOptions told = Interop.Options(options, progress, Token(options, linked, cancellation));
        Core.TensorSolution inner = Core.TensorOde.solve(told, field, t0, t1, y0);
        progress?.Finish();
        return new TensorSolution(inner, options.Events);
    }

    private static TensorSolution Demand(TensorSolution solution, SolveSettings? options, CancellationToken cancellation)
    {
        if (solution.IsComplete)
        {
            return solution;
        }

        if (solution.Status != SolveStatus.Cancelled)
        {
            throw new SolveException(solution);
        }

        solution.Dispose();
        throw Cancelled(solution.Message, options, cancellation);
    }
}
