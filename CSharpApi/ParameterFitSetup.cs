extern alias core;

using System;
using System.Collections.Generic;
using System.Linq;
using Core = core::Continuum;

namespace Continuum;

/// <summary>Names of a parameter estimation turned into the core's positions.</summary>
internal sealed class ParameterFitSetup
{
    private readonly MechanisticModel _model;
    private readonly IReadOnlyList<double> _times;
    private readonly IReadOnlyList<string> _columns;
    private readonly double[,] _values;
    private readonly ParameterFitOptions _options;
    private readonly string[] _states;
    private readonly Core.EstimatedParameter[] _parameters;
    private readonly Core.ObservedColumn[] _observed;
    private readonly double _start;

    internal ParameterFitSetup(
        MechanisticModel model,
        IReadOnlyList<double> times,
        IReadOnlyList<string> columns,
        double[,] values,
        IReadOnlyDictionary<string, Bounds> bounds,
        IReadOnlyDictionary<string, Prior> priors,
        ParameterFitOptions options
    )
    {
        _model = model;
        _times = times;
        _columns = columns;
        _values = values;
        _options = options;
        _states = [.. model.States.Select(state => state.Key)];
        string[] names = [.. model.Parameters.Select(parameter => parameter.Key)];
        Known("bounds name", bounds.Keys, names, "parameters of the model");
        Known("priors name", priors.Keys, names, "parameters of the model");
        Known("initial values name", options.InitialState.Keys, _states, "states of the model");
        Known("deviations name", options.Deviations?.Keys ?? [], columns, "columns of the data");
        if (times.Count == 0)
        {
            throw new ArgumentException("There are no data; give at least one time.");
        }

        _start = options.Start ?? times[0];
        _observed = [.. columns.Select(Observe)];
        _parameters =
        [
            .. model.Parameters.Select(p =>
                Describe(p.Key, bounds.TryGetValue(p.Key, out Bounds b) ? b : Bounds.Fixed(p.Value), priors.GetValueOrDefault(p.Key))
            ),
        ];
    }

    internal ParameterFit Run()
    {
        Core.EstimatedParameter[] initial = [.. _model.States.Select((state, i) => Describe(state.Key, Initial(state.Key, i, state.Value), null))];
        Core.Method method =
            _options.Method?.Inner
            ?? _model.Inner.ChooseMethod(
                [.. _parameters.Select(p => p.Initial)],
                _start,
                _times[^1] > _start ? _times[^1] : _start + 1,
                [.. initial.Select(p => p.Initial)],
                _options.RelTol,
                _options.AbsTol
            );
        Core.EstimationProblem problem = new(
            _model.Inner.Simulator(method, _options.RelTol, _options.AbsTol),
            _parameters,
            initial,
            _start,
            _observed,
            [.. _times],
            _values,
            _options.Segments,
            _options.MaxIterations
        );
        IProgress<ParameterFitProgress>? progress = _options.Progress;
        Core.Estimation raw = Core.ParameterEstimation.run(
            problem,
            progress is null ? null : report => progress.Report(new(report.Iteration, report.Objective, report.Gap)),
            _options.CancellationToken
        );
        return new ParameterFit(raw, _columns, Predict);
    }

    private TimeSeries Predict(double[] initial, double[] parameters, IReadOnlyList<double> times)
    {
        double[,] states = new double[times.Count, initial.Length];
        double[] later = [.. times.Where(t => t > _start)];
        if (times.Any(t => !(t >= _start)) || !times.Zip(times.Skip(1), (a, b) => a < b).All(rises => rises))
        {
            throw new ArgumentException($"Times must rise strictly from the start of the fit, {_start}, on.", nameof(times));
        }

        int row = 0;
        if (times.Count > later.Length)
        {
            Write(initial);
        }

        if (later.Length > 0)
        {
            SolveOptions options = new() { RelTol = _options.RelTol, AbsTol = _options.AbsTol, SaveAt = SaveAt.Times(later) };
            Core.Method method = _options.Method?.Inner ?? Core.Method.Automatic;
            Core.SolveOptions<double[]> told = Interop.Options(options, null, default);
            Solution solution = new(_model.Inner.Solve(method, told, parameters, _start, later[^1], initial), []);
            foreach (double[] state in solution.IsComplete ? solution.States : throw new SolveException(solution))
            {
                Write(state);
            }
        }

        return new TimeSeries("time", _states, times, states);

        void Write(double[] state)
        {
            for (int i = 0; i < state.Length; i++)
            {
                states[row, i] = state[i];
            }

            row++;
        }
    }

    /// <summary>Bounds of an initial value: told, or estimated from where the data begin, or known.</summary>
    private Bounds Initial(string name, int component, double usual)
    {
        if (_options.InitialState.TryGetValue(name, out Bounds told))
        {
            return told;
        }

        int column = Array.FindIndex(_observed, observed => observed.Component == component);
        for (int row = 0; column >= 0 && row < _times.Count; row++)
        {
            double value = _values[row, column];
            if (!double.IsNaN(value))
            {
                return _options.RelativeErrors ? Bounds.Positive(value) : Bounds.Free(value);
            }
        }

        return Bounds.Fixed(usual);
    }

    private Core.ObservedColumn Observe(string column, int position)
    {
        string? state = null;
        if (_options.Columns is not null)
        {
            state = _options.Columns.TryGetValue(column, out string? named)
                ? named
                : throw new ArgumentException($"The columns' map does not say which state '{column}' observes; the states are {TimeSeries.Names(_states)}.");
        }
        else if (_states.Contains(column))
        {
            state = column;
        }
        else if (_columns.Count == _states.Length && !_columns.Any(_states.Contains))
        {
            state = _states[position];
        }

        int component = Array.IndexOf(_states, state);
        if (component < 0)
        {
            throw new ArgumentException(
                $"Column '{column}' observes no state of the model {(state is null ? "" : $"('{state}') ")}; the states are {TimeSeries.Names(_states)}: name the columns so, or say in Columns which column observes which."
            );
        }

        double deviation = _options.Deviations is null ? double.NaN : _options.Deviations.GetValueOrDefault(column, double.NaN);
        return new(column, component, _options.RelativeErrors, deviation);
    }

    private static Core.EstimatedParameter Describe(string name, Bounds bounds, Prior? prior) =>
        new(name, bounds.Start, bounds.Lower, bounds.Upper, prior?.Value ?? Core.ParameterPrior.Flat, bounds.Logarithmic);

    private static void Known(string what, IEnumerable<string> given, IEnumerable<string> known, string whose)
    {
        foreach (string name in given)
        {
            if (!known.Contains(name))
            {
                throw new ArgumentException($"The {what} '{name}', which is none of the {whose}: {TimeSeries.Names(known)}.");
            }
        }
    }
}
