extern alias core;

using System;
using System.Collections.Generic;
using System.Linq;
using Core = core::Continuum;

namespace Continuum;

/// <summary>Which values of a solution are kept.</summary>
public sealed class SaveAt
{
    private readonly string _text;

    private SaveAt(Core.SaveAt value, string text)
    {
        Value = value;
        _text = text;
    }

    /// <summary>The state at the end only.</summary>
    public static SaveAt EndOnly { get; } = new(Core.SaveAt.EndOnly, nameof(EndOnly));

    /// <summary>The start and every accepted step.</summary>
    public static SaveAt EverySteps { get; } = new(Core.SaveAt.EverySteps, nameof(EverySteps));

    /// <summary>The start, every accepted step, and the method's continuous output in between.</summary>
    public static SaveAt Dense { get; } = new(Core.SaveAt.DenseOutput, nameof(Dense));

    internal Core.SaveAt Value { get; }

    /// <summary>These times, by the method's continuous output: the steps do not depend on them.</summary>
    /// <param name="times">Times of the span, strictly monotone in its direction; at least one.</param>
    /// <exception cref="ArgumentNullException"><paramref name="times"/> is null.</exception>
    public static SaveAt Times(params IReadOnlyList<double> times)
    {
        ArgumentNullException.ThrowIfNull(times);
        return new(Core.SaveAt.NewTimes([.. times]), $"{nameof(Times)}({times.Count})");
    }

    /// <summary>These times, each made the end of a step: the values are never interpolated.</summary>
    /// <param name="times">Times of the span, strictly monotone in its direction; at least one.</param>
    /// <exception cref="ArgumentNullException"><paramref name="times"/> is null.</exception>
    public static SaveAt StepTimes(params IReadOnlyList<double> times)
    {
        ArgumentNullException.ThrowIfNull(times);
        return new(Core.SaveAt.NewStepValues([.. times]), $"{nameof(StepTimes)}({times.Count})");
    }

    /// <summary>Equally spaced times from <paramref name="first"/> to <paramref name="last"/>, both included, as <see cref="Times"/>.</summary>
    /// <exception cref="ArgumentOutOfRangeException"><paramref name="count"/> is below 2.</exception>
    public static SaveAt Grid(double first, double last, int count)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(count, 2);
        return Times([.. Enumerable.Range(0, count).Select(i => i == count - 1 ? last : first + ((last - first) * i / (count - 1)))]);
    }

    /// <summary>The choice in words.</summary>
    public override string ToString() => _text;
}
