using System;
using System.Collections.Generic;
using System.Threading;

namespace Continuum;

/// <summary>How a parameter estimation is done.</summary>
/// <remarks>Immutable; vary one with a <c>with</c> expression.</remarks>
public sealed record ParameterFitOptions
{
    /// <summary>
    /// Bounds of initial values by the state's names. Components left out are estimated when a column of the data observes them, starting
    /// there, and known to be the model's own initial value otherwise.
    /// </summary>
    public IReadOnlyDictionary<string, Bounds> InitialState { get; init; } = new Dictionary<string, Bounds>();

    /// <summary>The time of the initial state; null, the default, is the first time of the data.</summary>
    public double? Start { get; init; }

    /// <summary>Which component of the state each column observes, by names; null: the columns carry the names of components, or, when none
    /// does and there are as many of them as components, they observe them in order.</summary>
    public IReadOnlyDictionary<string, string>? Columns { get; init; }

    /// <summary>
    /// The standard deviation of each column's errors, by the columns' names; null, the default: unknown, estimated from the residuals.
    /// </summary>
    public IReadOnlyDictionary<string, double>? Deviations { get; init; }

    /// <summary>Errors are relative: residuals are differences of logarithms. The observations must be above 0.</summary>
    public bool RelativeErrors { get; init; }

    /// <summary>Segments of multiple shooting: 1 for single shooting; 0, the default, chooses by the number of rows.</summary>
    public int Segments { get; init; }

    /// <summary>Iterations allowed.</summary>
    public int MaxIterations { get; init; } = 200;

    /// <summary>The method of the solves. Default: the automatic choice.</summary>
    public OdeMethod? Method { get; init; }

    /// <summary>The relative tolerance of the solves.</summary>
    public double RelTol { get; init; } = 1e-8;

    /// <summary>The absolute tolerance of the solves, in units of the state.</summary>
    public double AbsTol { get; init; } = 1e-10;

    /// <summary>Told after every iteration.</summary>
    public IProgress<ParameterFitProgress>? Progress { get; init; }

    /// <summary>Polled before every iteration.</summary>
    public CancellationToken CancellationToken { get; init; }
}
