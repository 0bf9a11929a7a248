extern alias core;

using System;
using System.Collections.Generic;
using Core = core::Continuum;

namespace Continuum;

/// <summary>The results of an ensemble: one of everything for each trajectory, numbered from 0 in the order given.</summary>
public sealed class EnsembleSolution
{
    private readonly Core.EnsembleSolution _raw;
    private readonly IReadOnlyList<OdeEvent> _events;

    internal EnsembleSolution(Core.EnsembleSolution raw, IReadOnlyList<OdeEvent> events)
    {
        _raw = raw;
        _events = events;
    }

    /// <summary>The number of trajectories.</summary>
    public int Count => _raw.Count;

    /// <summary>The number of components of a state.</summary>
    public int Size => _raw.Size;

    /// <summary>The trajectories that reached neither the end nor a terminal event.</summary>
    public int Failed => _raw.Failed;

    /// <summary>Whether every trajectory reached the end or a terminal event.</summary>
    public bool IsComplete => Failed == 0;

    /// <summary>The final states one after another: component c of trajectory i at i * <see cref="Size"/> + c.</summary>
    public ReadOnlySpan<double> FinalStates => _raw.FinalStates;

    /// <summary>The times reached.</summary>
    public ReadOnlySpan<double> FinalTimes => _raw.FinalTimes;

    /// <summary>Everything about one trajectory, as from a solve of its own; put together at each call.</summary>
    /// <param name="trajectory">Which one, from 0.</param>
    /// <exception cref="ArgumentOutOfRangeException">There is no such trajectory.</exception>
    public Solution this[int trajectory] => new(_raw.Solution(trajectory), _events);

    /// <summary>Why a trajectory ended.</summary>
    /// <param name="trajectory">Which one, from 0.</param>
    /// <exception cref="ArgumentOutOfRangeException">There is no such trajectory.</exception>
    public SolveStatus Status(int trajectory) => (SolveStatus)(int)_raw.Status(trajectory);

    /// <summary>Why, when and where a trajectory ended early, and what to do; empty when it reached its end.</summary>
    /// <param name="trajectory">Which one, from 0.</param>
    /// <exception cref="ArgumentOutOfRangeException">There is no such trajectory.</exception>
    public string Message(int trajectory) => _raw.Message(trajectory);

    /// <summary>The state of a trajectory at its end.</summary>
    /// <param name="trajectory">Which one, from 0.</param>
    /// <exception cref="ArgumentOutOfRangeException">There is no such trajectory.</exception>
    public double[] FinalState(int trajectory) => _raw.FinalState(trajectory);
}
