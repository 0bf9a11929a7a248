extern alias core;

using System;
using Core = core::Continuum;

namespace Continuum;

/// <summary>What is known of a parameter before the data, weighed against them.</summary>
public sealed class Prior
{
    private readonly string _text;

    private Prior(Core.ParameterPrior value, string text)
    {
        Value = value;
        _text = text;
    }

    internal Core.ParameterPrior Value { get; }

    /// <summary>A normal distribution.</summary>
    /// <param name="mean">Its mean, in the parameter's unit.</param>
    /// <param name="deviation">Its standard deviation, above 0.</param>
    /// <exception cref="ArgumentOutOfRangeException"><paramref name="deviation"/> is not above 0.</exception>
    public static Prior Normal(double mean, double deviation)
    {
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(deviation);
        return new(Core.ParameterPrior.NewNormal(mean, deviation), $"normal({mean:R}, {deviation:R})");
    }

    /// <summary>A lognormal distribution.</summary>
    /// <param name="median">Its median, above 0.</param>
    /// <param name="deviation">The standard deviation of the logarithm, above 0: 0.1 is about ten percent, 1 about a factor of three.</param>
    /// <exception cref="ArgumentOutOfRangeException">A number is not above 0.</exception>
    public static Prior LogNormal(double median, double deviation)
    {
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(median);
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(deviation);
        return new(Core.ParameterPrior.NewLogNormal(median, deviation), $"lognormal({median:R}, {deviation:R})");
    }

    /// <summary>The distribution in words.</summary>
    public override string ToString() => _text;
}
