extern alias core;

using System;
using System.Collections.Generic;
using System.Linq;
using Core = core::Continuum;

namespace Continuum;

/// <summary>Derivatives of a field on doubles: writes df/dy (size x size) or df/dp (size x parameters), row after row, every entry.</summary>
/// <param name="t">The time.</param>
/// <param name="y">The state; valid during the call only.</param>
/// <param name="p">The parameters.</param>
/// <param name="entries">Receives entry (i, j) at i times the number of columns plus j.</param>
public delegate void ParameterFieldJacobian(double t, ReadOnlySpan<double> y, ReadOnlySpan<double> p, Span<double> entries);

/// <content>Derivatives of solutions for initial values and parameters.</content>
public static partial class Ode
{
    /// <summary>
    /// Solves y' = f(t, y; p) and gives the derivatives of every saved state for the initial values and the parameters, exact for the
    /// discrete solution. The automatic choice, explicit, Rosenbrock, ESDIRK and BDF methods; the tolerances hold for the solution, not for its derivatives.
    /// </summary>
    /// <typeparam name="TField">The struct that implements the field.</typeparam>
    /// <param name="field">The right-hand side.</param>
    /// <param name="parameters">Its parameters.</param>
    /// <param name="t0">The start time.</param>
    /// <param name="t1">The end time.</param>
    /// <param name="y0">The initial state.</param>
    /// <param name="options">Method, tolerances, what to save; null takes the defaults. No events and no scheduled changes.</param>
    /// <exception cref="ArgumentException">
    /// The span, a size or an option makes no sense, or the method has no derivatives; the message names it.
    /// </exception>
    /// <exception cref="SolveException">The solve failed on the way; the exception carries the solution up to there.</exception>
    /// <exception cref="OperationCanceledException">The cancellation token was signalled.</exception>
    public static SensitivitySolution SolveWithSensitivities<TField>(
        TField field,
        ReadOnlySpan<double> parameters,
        double t0,
        double t1,
        ReadOnlySpan<double> y0,
        SolveOptions? options = null
    )
        where TField : struct, IGenericField =>
        Sensitivities(
            Core.SensitivityProblem.OfGeneric(new CoreField<TField>(field), parameters.ToArray()),
            t0,
            t1,
            y0.ToArray(),
            options
        );

    /// <summary>
    /// As the overload for fields written over numbers, for a delegate on doubles with its derivatives; those that are null are found by
    /// differences, which costs evaluations and digits. The automatic choice (settled by a solve before), explicit, ESDIRK and BDF methods.
    /// </summary>
    /// <param name="f">The right-hand side.</param>
    /// <param name="parameters">Its parameters.</param>
    /// <param name="t0">The start time.</param>
    /// <param name="t1">The end time.</param>
    /// <param name="y0">The initial state.</param>
    /// <param name="options">Method, tolerances, what to save; null takes the defaults. No events and no scheduled changes.</param>
    /// <param name="byState">df/dy, or null.</param>
    /// <param name="byParameters">df/dp, or null.</param>
    /// <exception cref="ArgumentNullException"><paramref name="f"/> is null.</exception>
    /// <exception cref="ArgumentException">
    /// The span, a size or an option makes no sense, or the method has no derivatives; the message names it.
    /// </exception>
    /// <exception cref="SolveException">The solve failed on the way; the exception carries the solution up to there.</exception>
    /// <exception cref="OperationCanceledException">The cancellation token was signalled.</exception>
    public static SensitivitySolution SolveWithSensitivities(
        ParameterField f,
        ReadOnlySpan<double> parameters,
        double t0,
        double t1,
        ReadOnlySpan<double> y0,
        SolveOptions? options = null,
        ParameterFieldJacobian? byState = null,
        ParameterFieldJacobian? byParameters = null
    )
    {
        ArgumentNullException.ThrowIfNull(f);
        double[] start = y0.ToArray();
        Core.SensitivityProblem problem = Core.SensitivityProblem.OfDelegates(
            new Core.ParameterField(f.Invoke),
            start.Length,
            parameters.ToArray(),
            byState is null ? null : new Core.ParameterFieldJacobian(byState.Invoke),
            byParameters is null ? null : new Core.ParameterFieldJacobian(byParameters.Invoke)
        );
        return Sensitivities(problem, t0, t1, start, options);
    }

    /// <summary>
    /// The gradient of a loss of the saved states for the initial values and the parameters: by tangents up to 100 states and parameters
    /// together, else backward over the recorded steps; the result says which and why.
    /// </summary>
    /// <typeparam name="TField">The struct that implements the field.</typeparam>
    /// <param name="field">The right-hand side.</param>
    /// <param name="parameters">Its parameters.</param>
    /// <param name="t0">The start time.</param>
    /// <param name="t1">The end time.</param>
    /// <param name="y0">The initial state.</param>
    /// <param name="loss">The loss of a solution and its derivatives for the saved states.</param>
    /// <param name="options">Method, tolerances, what to save; null takes the defaults. No events and no scheduled changes.</param>
    /// <param name="way">How; null chooses by size.</param>
    /// <exception cref="ArgumentNullException"><paramref name="loss"/> is null.</exception>
    /// <exception cref="ArgumentException">
    /// The span, a size or an option makes no sense, the loss gives derivatives of another shape, or the method has none; the message names it.
    /// </exception>
    /// <exception cref="SolveException">The solve failed on the way; the exception carries the solution up to there.</exception>
    /// <exception cref="OperationCanceledException">The cancellation token was signalled.</exception>
    public static LossGradient Gradient<TField>(
        TField field,
        ReadOnlySpan<double> parameters,
        double t0,
        double t1,
        ReadOnlySpan<double> y0,
        Func<Solution, LossDerivatives> loss,
        SolveOptions? options = null,
        SensitivityWay? way = null
    )
        where TField : struct, IGenericField
    {
        ArgumentNullException.ThrowIfNull(loss);
        options ??= new SolveOptions();
        Core.SensitivityProblem problem = Core.SensitivityProblem.OfGeneric(new CoreField<TField>(field), parameters.ToArray());
        ProgressReporter? progress = ProgressReporter.For(options.Progress);
        Core.LossGradient raw = Core.Sensitivity.gradientWith(
            Interop.Mode(way),
            options.Method.Inner,
            Differentiable(options, progress),
            Interop.Function<Core.Solution<double[]>, ValueTuple<double, Core.OutcomeCotangents>>(solution =>
                Cotangents(new Solution(solution, options.Events), loss)
            ),
            problem,
            t0,
            t1,
            y0.ToArray()
        );
        progress?.Finish();
        return new LossGradient(raw, Demand(new Solution(raw.Solution, options.Events), options, default));
    }

    private static SensitivitySolution Sensitivities(
        Core.SensitivityProblem problem,
        double t0,
        double t1,
        double[] y0,
        SolveOptions? options
    )
    {
        options ??= new SolveOptions();
        ProgressReporter? progress = ProgressReporter.For(options.Progress);
        Core.ForwardSensitivities raw = Core.Sensitivity.forward(
            options.Method.Inner,
            Differentiable(options, progress),
            Core.SensitivityColumns.Everything,
            problem,
            t0,
            t1,
            y0
        );
        progress?.Finish();
        return new SensitivitySolution(raw, Demand(new Solution(raw.Solution, options.Events), options, default));
    }

    private static Core.SolveOptions<double[]> Differentiable(SolveOptions options, ProgressReporter? progress) =>
        options.Events.Count == 0 && options.ScheduledChanges.Count == 0
            ? Interop.Options(options, progress, options.CancellationToken)
            : throw new ArgumentException(
                "Events and scheduled changes are delegates on doubles, which have no derivatives; leave them out, or solve one stretch after the other."
            );

    private static ValueTuple<double, Core.OutcomeCotangents> Cotangents(Solution solution, Func<Solution, LossDerivatives> loss)
    {
        LossDerivatives derivatives = loss(solution);
        if (derivatives.ByStates.Count != solution.States.Count)
        {
            throw new ArgumentException(
                $"The loss gave derivatives for {derivatives.ByStates.Count} states; {solution.States.Count} were saved."
            );
        }

        foreach (double[]? entry in derivatives.ByStates)
        {
            if (entry is not null && entry.Length != solution.FinalState.Length)
            {
                throw new ArgumentException(
                    $"The loss gave {entry.Length} derivatives for a state with {solution.FinalState.Length} components."
                );
            }
        }

        // Nulls stand for zeros.
        double[][] states = [.. derivatives.ByStates.Select(entry => entry!)];
        return (derivatives.Value, new Core.OutcomeCotangents(states, null, null, null, null));
    }
}
