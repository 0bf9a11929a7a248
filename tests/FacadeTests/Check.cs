using System;
using System.Globalization;

namespace Facade;

/// <summary>Assertions that print their numbers.</summary>
internal static class Check
{
    internal static void That(bool holds, FormattableString what)
    {
        if (!holds)
        {
            throw new InvalidOperationException(what.ToString(CultureInfo.InvariantCulture));
        }
    }

    internal static void Near(double actual, double expected, double tolerance, string what) =>
        That(Math.Abs(actual - expected) <= tolerance, $"{what}: {actual:R}, expected {expected:R} within {tolerance}");

    internal static void Same<T>(T actual, T expected, string what) =>
        That(Equals(actual, expected), $"{what}: {actual}, expected {expected}");

    internal static void Holds(string text, string part) => That(text.Contains(part, StringComparison.Ordinal), $"'{text}' lacks '{part}'");

    internal static T Throws<T>(Action body)
        where T : Exception
    {
        try
        {
            body();
        }
        catch (T expected)
        {
            return expected;
        }

        throw new InvalidOperationException($"no {typeof(T).Name} was thrown");
    }
}
