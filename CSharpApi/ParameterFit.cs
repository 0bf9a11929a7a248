extern alias core;

using System;
using System.Collections.Generic;
using System.Linq;
using Core = core::Continuum;

namespace Continuum;

/// <summary>The result of a parameter estimation.</summary>
public sealed class ParameterFit
{
    private readonly Func<IReadOnlyList<double>, TimeSeries> _predict;
    private readonly string[] _searched;
    private readonly double[,] _correlations;

    internal ParameterFit(
        Core.Estimation raw,
        IReadOnlyList<string> columns,
        Func<double[], double[], IReadOnlyList<double>, TimeSeries> predict
    )
    {
        Status = (ParameterFitStatus)(int)raw.Status;
        Message = raw.Message;
        Parameters = [.. raw.Parameters.Select(Translate)];
        InitialState = [.. raw.InitialState.Select(Translate)];
        Objective = raw.Objective;
        Residuals = [.. columns.Zip(raw.Residuals, (name, value) => new KeyValuePair<string, double>(name, value))];
        DegreesOfFreedom = raw.DegreesOfFreedom;
        Iterations = raw.Iterations;
        Evaluations = raw.Evaluations;
        Segments = raw.Segments;
        _searched = raw.SearchedNames;
        _correlations = raw.Correlations;
        double[] initial = [.. InitialState.Select(estimate => estimate.Value)];
        double[] parameters = [.. Parameters.Select(estimate => estimate.Value)];
        _predict = times => predict(initial, parameters, times);
    }

    /// <summary>How the estimation ended.</summary>
    public ParameterFitStatus Status { get; }

    /// <summary>One line: how it ended, which numbers stand on bounds, and which the data do not determine.</summary>
    public string Message { get; }

    /// <summary>The parameters, in the model's order.</summary>
    public IReadOnlyList<ParameterEstimate> Parameters { get; }

    /// <summary>The initial values, in the state's order.</summary>
    public IReadOnlyList<ParameterEstimate> InitialState { get; }

    /// <summary>Half the sum of squares of weighted residuals, priors included.</summary>
    public double Objective { get; }

    /// <summary>The root mean square residual of each column, in its unit (of its logarithm, where errors are relative).</summary>
    public IReadOnlyList<KeyValuePair<string, double>> Residuals { get; }

    /// <summary>Observations minus numbers searched.</summary>
    public int DegreesOfFreedom { get; }

    /// <summary>Iterations taken.</summary>
    public int Iterations { get; }

    /// <summary>Evaluations of the field.</summary>
    public int Evaluations { get; }

    /// <summary>Segments of multiple shooting used.</summary>
    public int Segments { get; }

    /// <summary>The parameter, or else the initial value, of that name.</summary>
    /// <exception cref="ArgumentException">There is none; the message lists those there are.</exception>
    public ParameterEstimate this[string name] =>
        Parameters.Concat(InitialState).FirstOrDefault(estimate => estimate.Name == name)
        ?? throw Unknown(name, Parameters.Concat(InitialState).Select(estimate => estimate.Name));

    /// <summary>The correlation of two estimates; NaN where one has no standard error.</summary>
    /// <exception cref="ArgumentException">A name is not that of a number that was searched; the message lists those.</exception>
    public double Correlation(string first, string second) => _correlations[Index(first), Index(second)];

    /// <summary>The fitted model's states at times from the start on, one column for each component.</summary>
    /// <param name="times">Strictly rising times, none before the start of the fit.</param>
    /// <exception cref="ArgumentException">The times do not rise strictly, or one lies before the start.</exception>
    /// <exception cref="SolveException">The fitted model cannot be solved that far.</exception>
    public TimeSeries Predict(IReadOnlyList<double> times)
    {
        ArgumentNullException.ThrowIfNull(times);
        return _predict(times);
    }

    private int Index(string name)
    {
        int index = Array.IndexOf(_searched, name);
        return index >= 0 ? index : throw Unknown(name, _searched);
    }

    private static ArgumentException Unknown(string name, IEnumerable<string> known) =>
        new($"There is no estimate '{name}'; there are {TimeSeries.Names(known)}.", nameof(name));

    private static ParameterEstimate Translate(Core.Estimate e) =>
        new(e.Name, e.Value, e.StandardError, e.Lower95, e.Upper95, e.AtBound, e.Determined);
}
