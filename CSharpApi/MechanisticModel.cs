extern alias core;

using System;
using System.Collections.Generic;
using System.Linq;
using Core = core::Continuum;

namespace Continuum;

/// <summary>An amount added to a state at a known time.</summary>
/// <param name="Time">When.</param>
/// <param name="State">The state's name.</param>
/// <param name="Amount">How much is added.</param>
public readonly record struct Dose(double Time, string State, double Amount);

/// <summary>A model y' = f(t, y; p) whose states and parameters have names and usual values.</summary>
/// <remarks>Immutable; several threads may use one.</remarks>
public sealed class MechanisticModel
{
    internal MechanisticModel(Core.MechanisticModel inner, string name)
    {
        Inner = inner;
        Name = name;
        States = [.. inner.States.Select(state => new KeyValuePair<string, double>(state.Name, state.Value))];
        Parameters = [.. inner.Parameters.Select(parameter => new KeyValuePair<string, double>(parameter.Name, parameter.Value))];
    }

    /// <summary>The name.</summary>
    public string Name { get; }

    /// <summary>The components of the state and their usual initial values.</summary>
    public IReadOnlyList<KeyValuePair<string, double>> States { get; }

    /// <summary>The parameters and their usual values.</summary>
    public IReadOnlyList<KeyValuePair<string, double>> Parameters { get; }

    internal Core.MechanisticModel Inner { get; }

    /// <summary>A model from the literature by name, such as "lotka-volterra" or "sir"; <see cref="NamedProblem.All"/> lists them.</summary>
    /// <exception cref="ArgumentException">There is no such model; the message lists those there are.</exception>
    public static MechanisticModel Named(string name) => NamedProblem.ByName(name).Model;

    /// <summary>A model of your own, from a field written over numbers: with exact derivatives, and every method.</summary>
    /// <typeparam name="TField">The struct that implements the field.</typeparam>
    /// <param name="field">The right-hand side.</param>
    /// <param name="states">The components of the state in their order, with usual initial values.</param>
    /// <param name="parameters">The parameters in their order, with usual values.</param>
    /// <param name="name">What messages call the model.</param>
    /// <exception cref="ArgumentException">
    /// There is not a name for each component and parameter of the field, or names are blank or not different.
    /// </exception>
    public static MechanisticModel Create<TField>(
        TField field,
        IReadOnlyList<(string Name, double Value)> states,
        IReadOnlyList<(string Name, double Value)> parameters,
        string name = "model"
    )
        where TField : struct, IGenericField =>
        new(Core.MechanisticModel.OfGeneric(new CoreField<TField>(field), Values(states), Values(parameters)), name);

    /// <summary>
    /// A model of your own, from a delegate on doubles. Derivatives that are null are found by differences, good to about nine digits of
    /// the field: fits then converge more slowly near the end and take more evaluations. Explicit, ESDIRK and BDF methods.
    /// </summary>
    /// <param name="f">The right-hand side.</param>
    /// <param name="states">The components of the state in their order, with usual initial values.</param>
    /// <param name="parameters">The parameters in their order, with usual values.</param>
    /// <param name="byState">df/dy, or null.</param>
    /// <param name="byParameters">df/dp, or null.</param>
    /// <param name="name">What messages call the model.</param>
    /// <exception cref="ArgumentException">There are no states, or names are blank or not different.</exception>
    public static MechanisticModel Create(
        ParameterField f,
        IReadOnlyList<(string Name, double Value)> states,
        IReadOnlyList<(string Name, double Value)> parameters,
        ParameterFieldJacobian? byState = null,
        ParameterFieldJacobian? byParameters = null,
        string name = "model"
    )
    {
        ArgumentNullException.ThrowIfNull(f);
        return new(
            Core.MechanisticModel.OfDelegates(
                new Core.ParameterField(f.Invoke),
                Values(states),
                Values(parameters),
                byState is null ? null : new Core.ParameterFieldJacobian(byState.Invoke),
                byParameters is null ? null : new Core.ParameterFieldJacobian(byParameters.Invoke)
            ),
            name
        );
    }

    /// <summary>The model with amounts added to states at known times, in place of the doses before; a dose at the start of a solve counts.</summary>
    /// <param name="doses">The doses.</param>
    /// <exception cref="ArgumentException">
    /// A state's name is unknown, a number is not finite, or the model is a delegate, through whose doses there are no derivatives.
    /// </exception>
    public MechanisticModel WithDoses(params IReadOnlyList<Dose> doses)
    {
        ArgumentNullException.ThrowIfNull(doses);
        string[] names = [.. States.Select(state => state.Key)];
        ValueTuple<double, int, double>[] told =
        [
            .. doses.Select(dose =>
                Array.IndexOf(names, dose.State) is int index and >= 0
                    ? (dose.Time, index, dose.Amount)
                    : throw new ArgumentException($"A dose goes into '{dose.State}', which is none of the states of {Name}: {TimeSeries.Names(names)}.")
            ),
        ];
        return new(Inner.WithDoses(told), Name);
    }

    /// <summary>Solves the model, as <see cref="Ode.Solve(VectorField, double, double, ReadOnlySpan{double}, SolveOptions?)"/> does.</summary>
    /// <param name="t0">The start time.</param>
    /// <param name="t1">The end time.</param>
    /// <param name="parameters">The parameters, in the model's order; null takes the usual values.</param>
    /// <param name="y0">The initial state; null takes the usual values.</param>
    /// <param name="options">Method, tolerances, what to save, events; null takes the defaults.</param>
    /// <exception cref="ArgumentException">The span, an array's length or an option makes no sense; the message names it.</exception>
    /// <exception cref="SolveException">The solve failed on the way; the exception carries the solution up to there.</exception>
    public Solution Solve(
        double t0,
        double t1,
        IReadOnlyList<double>? parameters = null,
        IReadOnlyList<double>? y0 = null,
        SolveOptions? options = null
    )
    {
        options ??= new SolveOptions();
        double[] p = parameters is null ? ParameterValues() : [.. parameters];
        double[] start = y0 is null ? InitialValues() : [.. y0];
        if (p.Length != Parameters.Count || start.Length != States.Count)
        {
            throw new ArgumentException(
                $"{Name} has {Parameters.Count} parameters and {States.Count} components; got {p.Length} and {start.Length}."
            );
        }

        ProgressReporter? progress = ProgressReporter.For(options.Progress);
        Core.SolveOptions<double[]> told = Interop.Options(options, progress, options.CancellationToken);
        Core.Solution<double[]> raw = Inner.Solve(options.Method.Inner, told, p, t0, t1, start);
        progress?.Finish();
        Solution solution = new(raw, options.Events);
        return solution.Status == SolveStatus.Cancelled ? throw new OperationCanceledException(solution.Message, options.CancellationToken)
            : solution.IsComplete ? solution
            : throw new SolveException(solution);
    }

    /// <summary>
    /// Solves the model for many initial states and parameters, as
    /// <see cref="Ode.SolveEnsemble{TField}(TField, double, double, IReadOnlyList{double[]}, IReadOnlyList{double[]}, SolveOptions?, EnsembleOptions?)"/>
    /// does: adaptive Runge–Kutta methods eight trajectories at a time in SIMD lanes, others one by one, on every processor.
    /// </summary>
    /// <param name="t0">The start time.</param>
    /// <param name="t1">The end time.</param>
    /// <param name="parameters">One set for all trajectories, or one for each, in the model's order; null takes the usual values.</param>
    /// <param name="initialStates">One state for all trajectories, or one for each; null takes the usual values.</param>
    /// <param name="options">Method, tolerances, what to save, cancellation; null takes the defaults.</param>
    /// <param name="ensemble">Threads and progress; null takes all processors.</param>
    /// <exception cref="ArgumentException">
    /// Sizes, the span or an option make no sense; the message names them. What goes wrong in a trajectory, or cancellation, does not
    /// throw: it is in the status of the trajectories it concerns.
    /// </exception>
    public EnsembleSolution SolveEnsemble(
        double t0,
        double t1,
        IReadOnlyList<double[]>? parameters = null,
        IReadOnlyList<double[]>? initialStates = null,
        SolveOptions? options = null,
        EnsembleOptions? ensemble = null
    )
    {
        Core.EnsembleProblem problem = Ode.Problem(t0, t1, initialStates ?? [InitialValues()], parameters ?? [ParameterValues()]);
        options ??= new SolveOptions();
        return new(Inner.SolveEnsemble(options.Method.Inner, Ode.Told(options), Ode.Told(ensemble), problem), options.Events);
    }

    /// <summary>The name.</summary>
    public override string ToString() => Name;

    private static Core.NamedValue[] Values(IReadOnlyList<(string Name, double Value)> named)
    {
        ArgumentNullException.ThrowIfNull(named);
        return [.. named.Select(pair => new Core.NamedValue(pair.Name, pair.Value))];
    }

    internal double[] InitialValues() => [.. States.Select(state => state.Value)];

    internal double[] ParameterValues() => [.. Parameters.Select(parameter => parameter.Value)];
}
