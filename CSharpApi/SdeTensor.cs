extern alias core;

using System;
using static TorchSharp.torch;
using Core = core::Continuum;

namespace Continuum;

/// <content>The door for tensors: states (..., n), a path for each element of the batch, gradients.</content>
public static partial class Sde
{
    /// <summary>
    /// Solves the equation on tensors, along a path for each element of the batch. Gradients flow to <paramref name="y0"/> and the
    /// equation's parameters as <see cref="TensorSdeOptions.Gradient"/> says.
    /// </summary>
    /// <typeparam name="TCalculus">The calculus of equation and method.</typeparam>
    /// <typeparam name="TNoise">The equation's class of noise, which the method must take.</typeparam>
    /// <param name="equation">The equation.</param>
    /// <param name="method">The method.</param>
    /// <param name="t0">The start time.</param>
    /// <param name="t1">The end time.</param>
    /// <param name="y0">The initial state of shape (..., n); not changed.</param>
    /// <param name="options">Steps, seed or Brownian motion, gradient, what to save; null takes adaptive steps.</param>
    /// <exception cref="ArgumentException">
    /// The span, the state, the motion or an option makes no sense, drift or diffusion have a wrong shape (both are named), or a tensor that
    /// wants a gradient is not among the parameters.
    /// </exception>
    /// <exception cref="SolveException">The solve failed on the way; the exception carries the solution up to there.</exception>
    /// <exception cref="OperationCanceledException">The cancellation token was signalled.</exception>
    /// <exception cref="LibtorchMissingException">libtorch could not be loaded.</exception>
    public static TensorSolution Solve<TCalculus, TNoise>(
        TensorSdeEquation<TCalculus, TNoise> equation,
        ISdeMethod<TCalculus, TNoise> method,
        double t0,
        double t1,
        Tensor y0,
        TensorSdeOptions? options = null
    )
        where TCalculus : Calculus
        where TNoise : IGeneralNoise
    {
        TensorSolution solution = Run(equation, method, t0, t1, y0, options ??= new());
        if (solution.IsComplete)
        {
            return solution;
        }

        if (solution.Status != SolveStatus.Cancelled)
        {
            throw new SolveException(solution);
        }

        solution.Dispose();
        throw new OperationCanceledException(solution.Message, options.CancellationToken);
    }

    /// <summary>As Solve on tensors, but a failure on the way, or cancellation, returns false instead of throwing.</summary>
    /// <typeparam name="TCalculus">The calculus of equation and method.</typeparam>
    /// <typeparam name="TNoise">The equation's class of noise, which the method must take.</typeparam>
    /// <param name="equation">The equation.</param>
    /// <param name="method">The method.</param>
    /// <param name="t0">The start time.</param>
    /// <param name="t1">The end time.</param>
    /// <param name="y0">The initial state of shape (..., n); not changed.</param>
    /// <param name="solution">The solution, to be disposed; after a failure, everything up to it, and why in its status and message.</param>
    /// <param name="options">Steps, seed or Brownian motion, gradient, what to save; null takes adaptive steps.</param>
    /// <exception cref="ArgumentException">The span, the state, the motion or an option makes no sense; the message names it.</exception>
    /// <exception cref="LibtorchMissingException">libtorch could not be loaded.</exception>
    public static bool TrySolve<TCalculus, TNoise>(
        TensorSdeEquation<TCalculus, TNoise> equation,
        ISdeMethod<TCalculus, TNoise> method,
        double t0,
        double t1,
        Tensor y0,
        out TensorSolution solution,
        TensorSdeOptions? options = null
    )
        where TCalculus : Calculus
        where TNoise : IGeneralNoise
    {
        solution = Run(equation, method, t0, t1, y0, options ?? new());
        return solution.IsComplete;
    }

    private static TensorSolution Run<TCalculus, TNoise>(
        TensorSdeEquation<TCalculus, TNoise> equation,
        ISdeMethod<TCalculus, TNoise> method,
        double t0,
        double t1,
        Tensor y0,
        TensorSdeOptions options
    )
        where TCalculus : Calculus
        where TNoise : IGeneralNoise
    {
        ArgumentNullException.ThrowIfNull(equation);
        ArgumentNullException.ThrowIfNull(y0);
        Core.SdeMethod<Core.Ito, Core.GeneralNoise> inner = Method(method);
        ContinuumRuntime.EnsureLoaded();
        ProgressReporter? progress = ProgressReporter.For(options.Progress);
        Core.TensorSdeOptions told = Interop.Options(options, progress);
        Core.Sde<Core.Ito, Core.GeneralNoise> sde = new(equation.Terms);
        Core.BrownianSpec spec = options.Brownian?.Spec() ?? Core.TensorSde.spec(told, inner, sde, options.Seed, t0, t1, y0);
        Core.TensorBrownian path = Core.TensorBrownian.For(spec, y0, options.FirstPath);
        Core.TensorSolution solution = Core.TensorSde.solve(told, inner, sde, path, t0, t1, y0);
        progress?.Finish();
        return new TensorSolution(solution, []);
    }
}
