using System;
using System.Collections.Generic;
using static TorchSharp.torch;

namespace Continuum;

/// <summary>An event function g(t, y): an event is a change of its sign.</summary>
/// <param name="t">The time.</param>
/// <param name="y">The state; valid during the call only.</param>
/// <returns>A finite number that varies continuously along the solution.</returns>
public delegate double EventFunction(double t, ReadOnlySpan<double> y);

/// <summary>Changes a state in place, at an event or at a scheduled time.</summary>
/// <param name="t">The time.</param>
/// <param name="y">The state before; on return, the state after.</param>
public delegate void StateChange(double t, Span<double> y);

/// <summary>Which sign changes of an event function count, in the direction of integration.</summary>
public enum EventDirection
{
    /// <summary>Every sign change.</summary>
    Either,

    /// <summary>From negative to positive.</summary>
    Rising,

    /// <summary>From positive to negative.</summary>
    Falling,
}

/// <summary>A zero of g(t, y) to find while integrating, and what to do there.</summary>
public sealed record OdeEvent
{
    /// <summary>The name used in messages.</summary>
    public string Name { get; init; } = "event";

    /// <summary>The event function g.</summary>
    public required EventFunction Condition { get; init; }

    /// <summary>Which sign changes count. Default: either.</summary>
    public EventDirection Direction { get; init; }

    /// <summary>Changes the state at the event, in place; null, the default, only marks the time.</summary>
    public StateChange? Apply { get; init; }

    /// <summary>Ends the solve at the event, after <see cref="Apply"/>.</summary>
    public bool Terminal { get; init; }

    /// <summary>Further occurrences are ignored after this many. Default: no limit.</summary>
    public int MaxOccurrences { get; init; } = int.MaxValue;
}

/// <summary>A zero of g(t, y) on tensors. Event times and states after the event carry gradients.</summary>
public sealed record TensorOdeEvent
{
    /// <summary>The name used in messages.</summary>
    public string Name { get; init; } = "event";

    /// <summary>The event function g(t, y), which returns one number; t is 0-d, with the dtype and device of y.</summary>
    public required Func<Tensor, Tensor, Tensor> Condition { get; init; }

    /// <summary>Which sign changes count. Default: either.</summary>
    public EventDirection Direction { get; init; }

    /// <summary>The state after the event, a fresh tensor, from (t, y); null, the default, only marks the time.</summary>
    public Func<Tensor, Tensor, Tensor>? Apply { get; init; }

    /// <summary>Ends the solve at the event, after <see cref="Apply"/>.</summary>
    public bool Terminal { get; init; }

    /// <summary>Further occurrences are ignored after this many. Default: no limit.</summary>
    public int MaxOccurrences { get; init; } = int.MaxValue;
}

/// <summary>A change of the state at a known time (a dose, an impulse); a step ends there exactly.</summary>
/// <param name="Time">The time, in the span.</param>
/// <param name="Apply">Changes the state, in place.</param>
public sealed record ScheduledChange(double Time, StateChange Apply);

/// <summary>A change of a tensor state at a known time; a step ends there exactly.</summary>
/// <param name="Time">The time, in the span.</param>
/// <param name="Apply">The state after, a fresh tensor, from the time and the state before.</param>
public sealed record TensorScheduledChange(double Time, Func<double, Tensor, Tensor> Apply);

/// <summary>An event that happened in a solve on numbers.</summary>
/// <param name="Event">The index of the event in the options' list.</param>
/// <param name="Name">The event's name.</param>
/// <param name="Time">When.</param>
/// <param name="Before">The state just before the event.</param>
/// <param name="After">The state just after it; equal to <paramref name="Before"/> where nothing was applied.</param>
public sealed record EventOccurrence(int Event, string Name, double Time, IReadOnlyList<double> Before, IReadOnlyList<double> After);

/// <summary>An event that happened in a solve on tensors. The tensors belong to the solution.</summary>
/// <param name="Event">The index of the event in the options' list.</param>
/// <param name="Name">The event's name.</param>
/// <param name="Time">When, as a number.</param>
/// <param name="TimeTensor">When, as a 0-d float64 tensor that carries the gradient.</param>
/// <param name="Before">The state just before the event.</param>
/// <param name="After">The state just after it.</param>
public sealed record TensorEventOccurrence(int Event, string Name, double Time, Tensor TimeTensor, Tensor Before, Tensor After);
