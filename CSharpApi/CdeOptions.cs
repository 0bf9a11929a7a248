using System.Collections.Generic;
using System.Threading;

namespace Continuum;

/// <summary>Which states of a controlled equation are kept.</summary>
public enum CdeSave
{
    /// <summary>The one at the end; a series shorter than others has stood still since its own end.</summary>
    End,

    /// <summary>Those at the observations.</summary>
    Observations,
}

/// <summary>Options of a solve of a controlled equation.</summary>
/// <remarks>Immutable; vary one with a <c>with</c> expression.</remarks>
public sealed record CdeOptions
{
    /// <summary>An explicit method. Default: <see cref="OdeMethod.Rk4"/>.</summary>
    public OdeMethod Method { get; init; } = OdeMethod.Rk4;

    /// <summary>Equal steps between neighbouring knots, where nothing below is set. Default: 1.</summary>
    public int StepsPerPiece { get; init; } = 1;

    /// <summary>The longest of the equal steps between neighbouring knots; null, the default, leaves it to <see cref="StepsPerPiece"/>.</summary>
    public double? FixedStep { get; init; }

    /// <summary>The relative tolerance of adaptive steps, which end at each knot; null, the default, takes equal steps.</summary>
    public double? RelTol { get; init; }

    /// <summary>The absolute tolerance of adaptive steps. Default: 1e-6.</summary>
    public double AbsTol { get; init; } = 1e-6;

    /// <summary>
    /// Drives each step by the path's increment over it instead of the path's derivative at its stages: the path inside a step does not matter.
    /// Default: false.
    /// </summary>
    public bool ByIncrements { get; init; }

    /// <summary>Which states are kept. Default: the one at the end.</summary>
    public CdeSave Save { get; init; }

    /// <summary>Values of the path's parameter, rising, at which states are kept; null, the default, leaves it to <see cref="Save"/>.</summary>
    public IReadOnlyList<double>? SaveAt { get; init; }

    /// <summary>How gradients flow to the initial state, the field's parameters and the data. Default: <see cref="Gradient.Discrete"/>.</summary>
    public Gradient Gradient { get; init; } = Gradient.Discrete();

    /// <summary>Checks that no tensor that the field reads would lose its gradient for want of being a parameter. Default: true.</summary>
    public bool CheckTracking { get; init; } = true;

    /// <summary>The number of steps after which the solve fails.</summary>
    public int MaxSteps { get; init; } = 1_000_000;

    /// <summary>Polled before every step.</summary>
    public CancellationToken CancellationToken { get; init; }
}
