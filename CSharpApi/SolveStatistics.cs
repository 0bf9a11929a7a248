namespace Continuum;

/// <summary>Why a solve ended.</summary>
public enum SolveStatus
{
    /// <summary>The end of the span was reached.</summary>
    Success = 0,

    /// <summary>A terminal event ended it.</summary>
    Terminated = 1,

    /// <summary><see cref="SolveSettings.MaxSteps"/> attempts did not suffice.</summary>
    MaxStepsReached = 2,

    /// <summary>The tolerance asks for steps below the smallest: the field is stiff, singular or discontinuous there.</summary>
    StepTooSmall = 3,

    /// <summary>The field or the state became NaN or infinite, and smaller steps did not help.</summary>
    NonFinite = 4,

    /// <summary>The field, an event or a change threw an exception.</summary>
    FieldThrew = 5,

    /// <summary>The cancellation token was signalled.</summary>
    Cancelled = 6,

    /// <summary>More than a thousand events fell within rounding of one time.</summary>
    TooManyEvents = 7,

    /// <summary>
    /// The matrix of an implicit step stayed singular however short the step: a mass matrix that leaves a system of index above 1, or a
    /// Jacobian that is not finite.
    /// </summary>
    SingularMatrix = 8,

    /// <summary>The initial values do not satisfy the algebraic equations, and none near them was found that does.</summary>
    InconsistentInitialValues = 9,

    /// <summary>Newton's method for the implicit step failed however short the step.</summary>
    NewtonDiverged = 10,
}

/// <summary>What a solve cost, and the solver's opinion of the problem.</summary>
/// <param name="Evaluations">Evaluations of the field.</param>
/// <param name="Accepted">Accepted steps.</param>
/// <param name="Rejected">Rejected steps.</param>
/// <param name="SmallestStep">The shortest accepted step; NaN if there is none.</param>
/// <param name="LargestStep">The longest accepted step; NaN if there is none.</param>
/// <param name="ErrorEstimate">The sum of |h| times the norm of the local error; NaN unless <see cref="SolveSettings.Heuristics"/>.</param>
/// <param name="StiffnessEstimate">The sum of the stiffness estimates; NaN unless <see cref="SolveSettings.Heuristics"/>.</param>
/// <param name="LargestStabilityRatio">
/// The largest step over the longest stable one; near 1 or above, the problem is stiff for the method. NaN unless
/// <see cref="SolveSettings.Heuristics"/>.
/// </param>
/// <param name="Jacobians">Jacobians formed by implicit steps.</param>
/// <param name="Factorisations">Matrix factorisations of implicit steps.</param>
/// <param name="LinearSolves">Solves with a factorisation.</param>
/// <param name="NewtonIterations">Iterations of Newton's method.</param>
/// <param name="NewtonFailures">Attempted steps given up because Newton's method did not converge.</param>
public sealed record SolveStatistics(
    int Evaluations,
    int Accepted,
    int Rejected,
    double SmallestStep,
    double LargestStep,
    double ErrorEstimate,
    double StiffnessEstimate,
    double LargestStabilityRatio,
    int Jacobians,
    int Factorisations,
    int LinearSolves,
    int NewtonIterations,
    int NewtonFailures
);

/// <summary>How far a solve has come.</summary>
/// <param name="Time">The time reached.</param>
/// <param name="Step">The length of the next step.</param>
/// <param name="Fraction">The part of the span that is done, 0 to 1.</param>
/// <param name="Accepted">Accepted steps.</param>
/// <param name="Rejected">Rejected steps.</param>
/// <param name="Evaluations">Evaluations of the field.</param>
public readonly record struct SolveProgress(double Time, double Step, double Fraction, int Accepted, int Rejected, int Evaluations);
