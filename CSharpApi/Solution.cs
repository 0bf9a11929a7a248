extern alias core;

using System;
using System.Collections.Generic;
using System.Linq;
using Core = core::Continuum;

namespace Continuum;

/// <summary>
/// The result of a solve on numbers: complete when <see cref="IsComplete"/>, else everything up to the failure.
/// </summary>
public sealed class Solution
{
    private readonly Core.IDenseSolution<double[]>? _dense;

    internal Solution(Core.Solution<double[]> raw, IReadOnlyList<OdeEvent> events)
    {
        Status = (SolveStatus)(int)raw.Status;
        Message = raw.Message;
        Times = raw.Times;
        States = raw.States;
        FinalTime = raw.FinalTime;
        FinalState = raw.FinalState;
        Statistics = Interop.Statistics(raw.Statistics);
        Events = [.. raw.Occurrences.Select(o => new EventOccurrence(o.Event, events[o.Event].Name, o.Time, o.Before, o.After))];
        Methods = [.. raw.Choices.Select(c => new MethodChoice(c.Time, c.Method, c.Reason))];
        Exception = raw.Exception;
        _dense = Interop.OrNull(raw.Dense);
    }

    /// <summary>Why the solve ended.</summary>
    public SolveStatus Status { get; }

    /// <summary>True when the end, or a terminal event, was reached.</summary>
    public bool IsComplete => Status is SolveStatus.Success or SolveStatus.Terminated;

    /// <summary>One line: why, when and where the solve ended early, and what to do; empty when it reached its end.</summary>
    public string Message { get; }

    /// <summary>The saved times.</summary>
    public IReadOnlyList<double> Times { get; }

    /// <summary>The saved states, one for each time.</summary>
    public IReadOnlyList<double[]> States { get; }

    /// <summary>The time reached.</summary>
    public double FinalTime { get; }

    /// <summary>The state there: the solution's own array.</summary>
    public double[] FinalState { get; }

    /// <summary>The events that happened, in order.</summary>
    public IReadOnlyList<EventOccurrence> Events { get; }

    /// <summary>Counts and heuristics.</summary>
    public SolveStatistics Statistics { get; }

    /// <summary>The methods used, in order: one, unless the method was chosen automatically and changed on the way.</summary>
    public IReadOnlyList<MethodChoice> Methods { get; }

    /// <summary>Whether <see cref="At"/> can be used, which <see cref="SaveAt.Dense"/> asks for.</summary>
    public bool IsDense => _dense is not null;

    internal Exception? Exception { get; }

    /// <summary>One component at every saved time.</summary>
    /// <param name="index">The component, counted from 0.</param>
    /// <exception cref="ArgumentOutOfRangeException">The state has no such component.</exception>
    public double[] Component(int index)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(index);
        ArgumentOutOfRangeException.ThrowIfGreaterThanOrEqual(index, FinalState.Length);
        return [.. States.Select(state => state[index])];
    }

    /// <summary>The state at any time of the span, by the method's continuous output.</summary>
    /// <exception cref="InvalidOperationException">The solve was not asked for dense output.</exception>
    /// <exception cref="ArgumentOutOfRangeException"><paramref name="t"/> lies outside of the time covered.</exception>
    public double[] At(double t) => (_dense ?? throw Interop.NotDense()).At(t);
}
