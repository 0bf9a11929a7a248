namespace Continuum;

/// <summary>An estimated number.</summary>
/// <param name="Name">Its name.</param>
/// <param name="Value">The estimate.</param>
/// <param name="StandardError">Its standard error; 0 for a known number, NaN on a bound and where the data do not determine it.</param>
/// <param name="Lower95">The lower end of the 95 % confidence interval; NaN without a standard error.</param>
/// <param name="Upper95">The upper end.</param>
/// <param name="AtBound">Whether the estimate stands on one of its bounds.</param>
/// <param name="IsDetermined">Whether data and priors determine it; where not, the value is one of many.</param>
public sealed record ParameterEstimate(
    string Name,
    double Value,
    double StandardError,
    double Lower95,
    double Upper95,
    bool AtBound,
    bool IsDetermined
);

/// <summary>How an estimation ended.</summary>
public enum ParameterFitStatus
{
    /// <summary>Gradient or steps became negligible.</summary>
    Converged = 0,

    /// <summary>The iterations did not suffice; the estimate is the best one found.</summary>
    MaxIterationsReached = 1,

    /// <summary>No step improves the fit although its gradient is not negligible: tighten the tolerances of the solves.</summary>
    Stalled = 2,
}

/// <summary>How far an estimation has come.</summary>
/// <param name="Iteration">Iterations so far, in all.</param>
/// <param name="Objective">Half the sum of squares of the weighted residuals.</param>
/// <param name="Gap">The gaps between segments, relative to the size of the states.</param>
public readonly record struct ParameterFitProgress(int Iteration, double Objective, double Gap);
