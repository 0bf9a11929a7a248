extern alias core;
using System;
using System.Collections.Generic;
using System.Linq;
using static TorchSharp.torch;
using Core = core::Continuum;

namespace Continuum;

/// <summary>
/// The result of a solve on tensors: complete when <see cref="IsComplete"/>, else everything up to the failure. It owns its tensors:
/// dispose it, or let the dispose scope do so in which the solve was called.
/// </summary>
public sealed class TensorSolution : IDisposable
{
    private readonly Core.TensorSolution _inner;
    private readonly Core.IDenseSolution<Tensor>? _dense;

    internal TensorSolution(Core.TensorSolution inner, IReadOnlyList<TensorOdeEvent> events)
    {
        _inner = inner;
        _dense = Interop.OrNull(inner.Dense);
        Statistics = Interop.Statistics(inner.Statistics);
        Events =
        [
            .. inner.Occurrences.Select(o => new TensorEventOccurrence(
                o.Event,
                events[o.Event].Name,
                o.Time,
                o.TimeTensor,
                o.Before,
                o.After
            )),
        ];
    }

    /// <summary>Why the solve ended.</summary>
    public SolveStatus Status => (SolveStatus)(int)_inner.Status;

    /// <summary>True when the end, or a terminal event, was reached.</summary>
    public bool IsComplete => Status is SolveStatus.Success or SolveStatus.Terminated;

    /// <summary>One line: why, when and where the solve ended early, and what to do; empty when it reached its end.</summary>
    public string Message => _inner.Message;

    /// <summary>The saved times.</summary>
    public IReadOnlyList<double> Times => _inner.Times;

    /// <summary>The saved states along a new first dimension: (times, ...shape of the state).</summary>
    public Tensor States => _inner.States;

    /// <summary>The time reached.</summary>
    public double FinalTime => _inner.FinalTime;

    /// <summary>The state there.</summary>
    public Tensor FinalState => _inner.Final;

    /// <summary>The events that happened, in order.</summary>
    public IReadOnlyList<TensorEventOccurrence> Events { get; }

    /// <summary>Counts and heuristics, as numbers.</summary>
    public SolveStatistics Statistics { get; }

    /// <summary>
    /// The sum of |h| times the norm of the local error, 0-d, differentiable; null unless <see cref="SolveSettings.Heuristics"/>.
    /// </summary>
    public Tensor? ErrorEstimate => _inner.ErrorEstimate;

    /// <summary>
    /// The sum of the stiffness estimates, 0-d, differentiable; null unless <see cref="SolveSettings.Heuristics"/>, and for methods
    /// without one.
    /// </summary>
    public Tensor? StiffnessEstimate => _inner.StiffnessEstimate;

    /// <summary>Whether <see cref="At"/> can be used, which <see cref="SaveAt.Dense"/> asks for.</summary>
    public bool IsDense => _dense is not null;

    internal Exception? Exception => _inner.Exception;

    /// <summary>The state at any time of the span, a fresh tensor; without gradient unless <see cref="Gradient.Recorded"/>.</summary>
    /// <exception cref="InvalidOperationException">The solve was not asked for dense output.</exception>
    /// <exception cref="ArgumentOutOfRangeException"><paramref name="t"/> lies outside of the time covered.</exception>
    public Tensor At(double t) => (_dense ?? throw Interop.NotDense()).At(t);

    /// <summary>Frees the tensors.</summary>
    public void Dispose() => ((IDisposable)_inner).Dispose();
}
