extern alias core;

using System;
using System.Collections.Generic;
using System.Linq;
using Core = core::Continuum;

namespace Continuum;

/// <summary>Fits models to data.</summary>
public static class Fit
{
    /// <summary>
    /// Estimates parameters (and initial values) of a mechanistic model from a time series: Levenberg–Marquardt on exact sensitivities, with
    /// multiple shooting, bounds, priors and standard errors.
    /// </summary>
    /// <param name="model">The model.</param>
    /// <param name="data">The observations.</param>
    /// <param name="bounds">Start and bounds of parameters by name; a parameter left out is known to have its usual value.</param>
    /// <param name="priors">Priors of parameters by name; null for none.</param>
    /// <param name="options">Initial values, observed columns, errors, solver; null for the defaults.</param>
    /// <exception cref="ArgumentException">A name is unknown, bounds or data make no sense, or the model cannot be simulated at the start.</exception>
    /// <exception cref="OperationCanceledException">The cancellation token was signalled.</exception>
    public static ParameterFit Parameters(
        MechanisticModel model,
        TimeSeries data,
        IReadOnlyDictionary<string, Bounds> bounds,
        IReadOnlyDictionary<string, Prior>? priors = null,
        ParameterFitOptions? options = null
    )
    {
        ArgumentNullException.ThrowIfNull(data);
        return Parameters(model, data.Times, data.ColumnNames, data.Values, bounds, priors, options);
    }

    /// <summary>
    /// As <see cref="Parameters(MechanisticModel, TimeSeries, IReadOnlyDictionary{string, Bounds}, IReadOnlyDictionary{string, Prior}?, ParameterFitOptions?)"/>,
    /// for observations of which some are missing.
    /// </summary>
    /// <param name="model">The model.</param>
    /// <param name="times">Strictly rising times.</param>
    /// <param name="columns">The names of the observed quantities.</param>
    /// <param name="values">The observations, of shape (times, columns); NaN where there is none.</param>
    /// <param name="bounds">Start and bounds of parameters by name; a parameter left out is known to have its usual value.</param>
    /// <param name="priors">Priors of parameters by name; null for none.</param>
    /// <param name="options">Initial values, observed columns, errors, solver; null for the defaults.</param>
    /// <exception cref="ArgumentException">A name is unknown, bounds or data make no sense, or the model cannot be simulated at the start.</exception>
    /// <exception cref="OperationCanceledException">The cancellation token was signalled.</exception>
    public static ParameterFit Parameters(
        MechanisticModel model,
        IReadOnlyList<double> times,
        IReadOnlyList<string> columns,
        double[,] values,
        IReadOnlyDictionary<string, Bounds> bounds,
        IReadOnlyDictionary<string, Prior>? priors = null,
        ParameterFitOptions? options = null
    )
    {
        ArgumentNullException.ThrowIfNull(model);
        ArgumentNullException.ThrowIfNull(times);
        ArgumentNullException.ThrowIfNull(columns);
        ArgumentNullException.ThrowIfNull(values);
        ArgumentNullException.ThrowIfNull(bounds);
        return new ParameterFitSetup(model, times, columns, values, bounds, priors ?? new Dictionary<string, Prior>(), options ?? new()).Run();
    }
}
