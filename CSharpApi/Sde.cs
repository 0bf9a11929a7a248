extern alias core;

using System;
using System.Collections.Generic;
using System.Linq;
using Core = core::Continuum;

namespace Continuum;

/// <summary>Solves stochastic differential equations dy = f(t, y) dt + g(t, y) dW, on numbers and on tensors, one path or many.</summary>
/// <remarks>
/// Equations come from <see cref="StochasticEquation"/>, methods from <see cref="SdeMethods"/>; a pair that does not fit together does not
/// compile. An end time before the start integrates backward. A solve runs on the calling thread; ensembles use all processors.
/// </remarks>
public static partial class Sde
{
    /// <summary>Solves the equation along one path from y(<paramref name="t0"/>) = <paramref name="y0"/> to <paramref name="t1"/>.</summary>
    /// <typeparam name="TCalculus">The calculus of equation and method.</typeparam>
    /// <typeparam name="TNoise">The equation's class of noise, which the method must take.</typeparam>
    /// <param name="equation">The equation.</param>
    /// <param name="method">The method.</param>
    /// <param name="t0">The start time.</param>
    /// <param name="t1">The end time.</param>
    /// <param name="y0">The initial state, which is copied.</param>
    /// <param name="options">Steps, seed or path, what to save; null takes adaptive steps along path 0 of seed 0.</param>
    /// <exception cref="ArgumentException">
    /// The span, the state, the path or an option makes no sense, or the method needs derivatives that delegates do not have; the message
    /// names it.
    /// </exception>
    /// <exception cref="SolveException">The solve failed on the way; the exception carries the solution up to there.</exception>
    /// <exception cref="OperationCanceledException">The cancellation token was signalled.</exception>
    public static Solution Solve<TCalculus, TNoise>(
        SdeEquation<TCalculus, TNoise> equation,
        ISdeMethod<TCalculus, TNoise> method,
        double t0,
        double t1,
        ReadOnlySpan<double> y0,
        SdeOptions? options = null
    )
        where TCalculus : Calculus
        where TNoise : IGeneralNoise
    {
        Solution solution = Run(equation, method, t0, t1, y0.ToArray(), options ??= new());
        return solution.Status == SolveStatus.Cancelled ? throw new OperationCanceledException(solution.Message, options.CancellationToken)
            : solution.IsComplete ? solution
            : throw new SolveException(solution);
    }

    /// <summary>As Solve, but a failure on the way, or cancellation, returns false instead of throwing.</summary>
    /// <typeparam name="TCalculus">The calculus of equation and method.</typeparam>
    /// <typeparam name="TNoise">The equation's class of noise, which the method must take.</typeparam>
    /// <param name="equation">The equation.</param>
    /// <param name="method">The method.</param>
    /// <param name="t0">The start time.</param>
    /// <param name="t1">The end time.</param>
    /// <param name="y0">The initial state, which is copied.</param>
    /// <param name="solution">The solution; after a failure, everything up to it, and why in its status and message.</param>
    /// <param name="options">Steps, seed or path, what to save; null takes adaptive steps along path 0 of seed 0.</param>
    /// <exception cref="ArgumentException">The span, the state, the path or an option makes no sense; the message names it.</exception>
    public static bool TrySolve<TCalculus, TNoise>(
        SdeEquation<TCalculus, TNoise> equation,
        ISdeMethod<TCalculus, TNoise> method,
        double t0,
        double t1,
        ReadOnlySpan<double> y0,
        out Solution solution,
        SdeOptions? options = null
    )
        where TCalculus : Calculus
        where TNoise : IGeneralNoise
    {
        solution = Run(equation, method, t0, t1, y0.ToArray(), options ?? new());
        return solution.IsComplete;
    }

    /// <summary>
    /// Solves the equation along many paths from one initial state on all processors. Fixed steps of an equation written once over numbers go
    /// through SIMD lanes, eight paths at a time; the rest path by path.
    /// </summary>
    /// <remarks>
    /// A path is, bit for bit, that of <see cref="Solve{TCalculus, TNoise}(SdeEquation{TCalculus, TNoise}, ISdeMethod{TCalculus, TNoise}, double, double, ReadOnlySpan{double}, SdeOptions?)"/>
    /// with its number: it does not depend on threads or on the other paths. One that fails is in the failures and touches no other.
    /// </remarks>
    /// <typeparam name="TCalculus">The calculus of equation and method.</typeparam>
    /// <typeparam name="TNoise">The equation's class of noise, which the method must take.</typeparam>
    /// <param name="equation">The equation; called by several threads.</param>
    /// <param name="method">The method.</param>
    /// <param name="t0">The start time.</param>
    /// <param name="t1">The end time.</param>
    /// <param name="y0">The initial state, which is copied.</param>
    /// <param name="paths">The number of paths.</param>
    /// <param name="options">Steps, seed or Brownian motion, what to save; null takes adaptive steps.</param>
    /// <param name="ensemble">Threads, what is kept, progress; null takes all processors and keeps all states.</param>
    /// <exception cref="ArgumentException">Sizes, the span or an option make no sense; the message names them.</exception>
    public static SdeEnsembleSolution SolveEnsemble<TCalculus, TNoise>(
        SdeEquation<TCalculus, TNoise> equation,
        ISdeMethod<TCalculus, TNoise> method,
        double t0,
        double t1,
        ReadOnlySpan<double> y0,
        int paths,
        SdeOptions? options = null,
        SdeEnsembleOptions? ensemble = null
    )
        where TCalculus : Calculus
        where TNoise : IGeneralNoise => Ensemble(equation, method, t0, t1, [y0.ToArray()], [], paths, options, ensemble);

    /// <summary>As the overload for one initial state, for initial states and parameters of each path's own.</summary>
    /// <typeparam name="TCalculus">The calculus of equation and method.</typeparam>
    /// <typeparam name="TNoise">The equation's class of noise, which the method must take.</typeparam>
    /// <param name="equation">The equation; called by several threads.</param>
    /// <param name="method">The method.</param>
    /// <param name="t0">The start time.</param>
    /// <param name="t1">The end time.</param>
    /// <param name="initialStates">One initial state for all paths, or one for each.</param>
    /// <param name="parameters">None for those of the equation, one set for all paths, or one for each.</param>
    /// <param name="options">Steps, seed or Brownian motion, what to save; null takes adaptive steps.</param>
    /// <param name="ensemble">Threads, what is kept, progress; null takes all processors and keeps all states.</param>
    /// <exception cref="ArgumentException">Sizes, the span or an option make no sense; the message names them.</exception>
    public static SdeEnsembleSolution SolveEnsemble<TCalculus, TNoise>(
        SdeEquation<TCalculus, TNoise> equation,
        ISdeMethod<TCalculus, TNoise> method,
        double t0,
        double t1,
        IReadOnlyList<double[]> initialStates,
        IReadOnlyList<double[]> parameters,
        SdeOptions? options = null,
        SdeEnsembleOptions? ensemble = null
    )
        where TCalculus : Calculus
        where TNoise : IGeneralNoise
    {
        ArgumentNullException.ThrowIfNull(initialStates);
        ArgumentNullException.ThrowIfNull(parameters);
        int count = Math.Max(initialStates.Count, parameters.Count);
        return Ensemble(equation, method, t0, t1, [.. initialStates], [.. parameters], count, options, ensemble);
    }

    private static Solution Run<TCalculus, TNoise>(
        SdeEquation<TCalculus, TNoise> equation,
        ISdeMethod<TCalculus, TNoise> method,
        double t0,
        double t1,
        double[] y0,
        SdeOptions options
    )
        where TCalculus : Calculus
        where TNoise : IGeneralNoise
    {
        ArgumentNullException.ThrowIfNull(equation);
        Core.SdeMethod<Core.Ito, Core.GeneralNoise> inner = Method(method);
        ProgressReporter? progress = ProgressReporter.For(options.Progress);
        Core.ArraySdeOptions told = Interop.Options(options, progress);
        Core.BrownianSpec spec = options.Brownian?.Spec() ?? Core.ArraySde.spec(told, inner, equation.Inner, options.Seed, t0, t1);
        Core.BrownianPath path = new(spec, options.FirstPath);
        Core.Solution<double[]> raw = Core.ArraySde.solve(told, inner, equation.Inner, path, t0, t1, y0);
        progress?.Finish();
        return new Solution(raw, []);
    }

    private static SdeEnsembleSolution Ensemble<TCalculus, TNoise>(
        SdeEquation<TCalculus, TNoise> equation,
        ISdeMethod<TCalculus, TNoise> method,
        double t0,
        double t1,
        double[][] initialStates,
        double[][] parameters,
        int count,
        SdeOptions? options,
        SdeEnsembleOptions? ensemble
    )
        where TCalculus : Calculus
        where TNoise : IGeneralNoise
    {
        ArgumentNullException.ThrowIfNull(equation);
        Core.SdeMethod<Core.Ito, Core.GeneralNoise> inner = Method(method);
        options ??= new();
        if (options.Progress is not null)
        {
            throw new ArgumentException(
                $"{nameof(SdeSettings.Progress)} tells about one solve; set {nameof(SdeEnsembleOptions)}.{nameof(SdeEnsembleOptions.Progress)}."
            );
        }

        Core.ArraySdeOptions told = Interop.Options(options, null);
        Core.BrownianSpec spec = options.Brownian?.Spec() ?? Core.ArraySde.spec(told, inner, equation.Inner, options.Seed, t0, t1);
        Core.SdeEnsembleProblem problem = new(t0, t1, count, initialStates, parameters, options.FirstPath);
        return new(Core.SdeEnsemble.solve(told, Interop.Options(ensemble), inner, equation.Inner, spec, problem));
    }

    // The types have done their work when the call compiled.
    private static Core.SdeMethod<Core.Ito, Core.GeneralNoise> Method<TCalculus, TNoise>(ISdeMethod<TCalculus, TNoise> method)
        where TCalculus : Calculus
        where TNoise : IGeneralNoise
    {
        ArgumentNullException.ThrowIfNull(method);
        return new(method.Scheme);
    }
}
