using System;

namespace Continuum;

/// <summary>Where the search for a number starts, and the bounds that it must keep.</summary>
/// <param name="Start">The first guess, inside the bounds.</param>
/// <param name="Lower">The least value allowed.</param>
/// <param name="Upper">The largest value allowed; equal to <paramref name="Lower"/> for a number that is known.</param>
/// <param name="Logarithmic">Whether the search runs in the logarithm, as suits a positive number known to an order of magnitude.</param>
public readonly record struct Bounds(
    double Start,
    double Lower = double.NegativeInfinity,
    double Upper = double.PositiveInfinity,
    bool Logarithmic = false
)
{
    /// <summary>A positive number, searched in its logarithm.</summary>
    /// <param name="start">The first guess, above 0.</param>
    /// <param name="lower">The least value allowed.</param>
    /// <param name="upper">The largest value allowed.</param>
    /// <exception cref="ArgumentOutOfRangeException"><paramref name="start"/> is not above 0.</exception>
    public static Bounds Positive(double start, double lower = 0, double upper = double.PositiveInfinity)
    {
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(start);
        return new(start, lower, upper, Logarithmic: true);
    }

    /// <summary>A number that is known.</summary>
    /// <param name="value">The number.</param>
    public static Bounds Fixed(double value) => new(value, value, value);

    /// <summary>A number without bounds.</summary>
    /// <param name="start">The first guess.</param>
    public static Bounds Free(double start) => new(start);
}
