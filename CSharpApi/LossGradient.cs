extern alias core;

using System.Collections.Generic;
using Core = core::Continuum;

namespace Continuum;

/// <summary>How derivatives of a solve are found.</summary>
public enum SensitivityWay
{
    /// <summary>Tangents beside the solution: costs grow with the number of initial values and parameters.</summary>
    Forward = 0,

    /// <summary>Backward over the recorded steps: costs do not grow with the number of initial values and parameters.</summary>
    Adjoint = 1,
}

/// <summary>A loss of a solution and its derivatives.</summary>
/// <param name="Value">The loss.</param>
/// <param name="ByStates">
/// Its derivatives for the components of every saved state, in the order of <see cref="Solution.States"/>; null entries are zero.
/// </param>
public sealed record LossDerivatives(double Value, IReadOnlyList<double[]?> ByStates);

/// <summary>The gradient of a loss of a solve.</summary>
public sealed class LossGradient
{
    internal LossGradient(Core.LossGradient raw, Solution solution)
    {
        Value = raw.Value;
        InitialState = raw.InitialValues;
        Parameters = raw.Parameters;
        Start = raw.Start;
        End = raw.End;
        Solution = solution;
        Way = (SensitivityWay)(int)raw.Choice.Mode;
        Reason = raw.Choice.Reason;
    }

    /// <summary>The loss.</summary>
    public double Value { get; }

    /// <summary>The derivatives for the initial values.</summary>
    public double[] InitialState { get; }

    /// <summary>The derivatives for the parameters.</summary>
    public double[] Parameters { get; }

    /// <summary>The derivative for the start time, with the initial values held.</summary>
    public double Start { get; }

    /// <summary>The derivative for the end time; zero unless the state at the end is what was saved.</summary>
    public double End { get; }

    /// <summary>The solution.</summary>
    public Solution Solution { get; }

    /// <summary>How the gradient was found.</summary>
    public SensitivityWay Way { get; }

    /// <summary>Why so, in one clause.</summary>
    public string Reason { get; }
}
