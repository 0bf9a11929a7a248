extern alias core;

using System;
using System.Collections.Generic;
using System.Numerics;
using Core = core::Continuum;

namespace Continuum;

/// <summary>N(t, y) on complex numbers: writes it into <paramref name="result"/>.</summary>
/// <param name="t">The time.</param>
/// <param name="y">The state; valid during the call only.</param>
/// <param name="result">Receives N, as long as <paramref name="y"/>; not cleared before the call.</param>
public delegate void ComplexVectorField(double t, ReadOnlySpan<Complex> y, Span<Complex> result);

/// <summary>The result of a solve on complex numbers: complete when <see cref="IsComplete"/>, else everything up to the failure.</summary>
public sealed class ComplexSolution
{
    private readonly Core.IDenseSolution<Complex[]>? _dense;

    internal ComplexSolution(Core.Solution<Complex[]> raw)
    {
        Status = (SolveStatus)(int)raw.Status;
        Message = raw.Message;
        Times = raw.Times;
        States = raw.States;
        FinalTime = raw.FinalTime;
        FinalState = raw.FinalState;
        Statistics = Interop.Statistics(raw.Statistics);
        Exception = raw.Exception;
        _dense = Interop.OrNull(raw.Dense);
    }

    /// <summary>Why the solve ended.</summary>
    public SolveStatus Status { get; }

    /// <summary>True when the end was reached.</summary>
    public bool IsComplete => Status is SolveStatus.Success or SolveStatus.Terminated;

    /// <summary>One line: why, when and where the solve ended early, and what to do; empty when it reached its end.</summary>
    public string Message { get; }

    /// <summary>The saved times.</summary>
    public IReadOnlyList<double> Times { get; }

    /// <summary>The saved states, one for each time.</summary>
    public IReadOnlyList<Complex[]> States { get; }

    /// <summary>The time reached.</summary>
    public double FinalTime { get; }

    /// <summary>The state there: the solution's own array.</summary>
    public Complex[] FinalState { get; }

    /// <summary>Counts; the evaluations are those of N.</summary>
    public SolveStatistics Statistics { get; }

    /// <summary>Whether <see cref="At"/> can be used, which <see cref="SaveAt.Dense"/> asks for.</summary>
    public bool IsDense => _dense is not null;

    internal Exception? Exception { get; }

    /// <summary>The state at any time of the span, by the method's continuous output.</summary>
    /// <exception cref="InvalidOperationException">The solve was not asked for dense output.</exception>
    /// <exception cref="ArgumentOutOfRangeException"><paramref name="t"/> lies outside of the time covered.</exception>
    public Complex[] At(double t) => (_dense ?? throw Interop.NotDense()).At(t);
}
