extern alias core;

using System;
using System.Collections.Generic;
using static TorchSharp.torch;
using Core = core::Continuum;

namespace Continuum;

/// <summary>
/// A path X that drives a controlled equation, of shape (batch..., channels): continuous, and a polynomial between neighbouring knots.
/// Owns tensors: dispose it.
/// </summary>
public sealed class ControlPath : IDisposable
{
    internal ControlPath(Core.ControlPath inner) => Inner = inner;

    /// <summary>The first value of the path's parameter.</summary>
    public double Start => Inner.Start;

    /// <summary>The last value of the path's parameter.</summary>
    public double End => Inner.End;

    /// <summary>Where the pieces meet, rising.</summary>
    public IReadOnlyList<double> Knots => Inner.Knots;

    /// <summary>The parameter at each observation.</summary>
    public IReadOnlyList<double> Observations => Inner.Observations;

    /// <summary>The number of channels, time and intensities included.</summary>
    public int Channels => Inner.Channels;

    /// <summary>X at the start: what an initial state is usually made of. A fresh tensor.</summary>
    public Tensor First => Inner.First;

    /// <summary>X at the end. A fresh tensor.</summary>
    public Tensor Last => Inner.Last;

    internal Core.ControlPath Inner { get; }

    /// <summary>The path through observed series; gradients flow to the data.</summary>
    /// <param name="series">The observations.</param>
    /// <param name="options">How the path runs between them, and its channels; null takes the defaults.</param>
    /// <exception cref="ArgumentException">The options contradict each other or the series; the message says how.</exception>
    public static ControlPath Create(ObservedSeries series, ControlOptions? options = null)
    {
        ArgumentNullException.ThrowIfNull(series);
        return new(Core.ControlPathModule.create(Interop.Options(options ?? new()), series.Inner));
    }

    /// <summary>The piecewise linear path through values at knots, as they are: no channel is added.</summary>
    /// <param name="knots">The knots, rising; at least two.</param>
    /// <param name="values">Of shape (..., knots, channels), finite.</param>
    /// <exception cref="ArgumentException">Knots do not rise, or values are missing or do not fit.</exception>
    public static ControlPath Linear(IReadOnlyList<double> knots, Tensor values)
    {
        ArgumentNullException.ThrowIfNull(knots);
        ArgumentNullException.ThrowIfNull(values);
        ContinuumRuntime.EnsureLoaded();
        return new(Core.ControlPathModule.linear([.. knots], values));
    }

    /// <summary>X at a value of the parameter, a fresh tensor.</summary>
    /// <exception cref="ArgumentOutOfRangeException"><paramref name="t"/> is outside of the path.</exception>
    public Tensor Value(double t) => Inner.Value(t);

    /// <summary>dX/dt, a fresh tensor; at a knot that of the piece that starts there, or of the one that ends there.</summary>
    /// <exception cref="ArgumentOutOfRangeException"><paramref name="t"/> is outside of the path.</exception>
    public Tensor Derivative(double t, bool fromLeft = false) => Inner.Derivative(t, fromLeft ? Core.Side.Left : Core.Side.Right);

    /// <summary>Frees the tensors.</summary>
    public void Dispose() => ((IDisposable)Inner).Dispose();
}
