using System;
using System.CommandLine.Parsing;
using System.Globalization;
using System.Linq;

namespace Continuum.Cli;

/// <summary>Where a series is cut into the rows to fit and the rows held out: at a time, or after a share of the rows.</summary>
internal sealed record SplitRule
{
    /// <summary>Fewer rows say nothing about a model of two quantities with an interaction.</summary>
    internal const int LeastRows = 4;

    internal static SplitRule Default { get; } = new() { Share = 0.7, Text = "70%" };

    /// <summary>The share of subjects to fit, where subjects are split instead of rows.</summary>
    /// <exception cref="UsageException">The rule is a time, or leaves nothing to hold out.</exception>
    internal double SubjectShare =>
        Time is null && Share < 1 ? Share : throw new UsageException($"--split {Text}: subjects are split by their share; give one below 100%, such as 70%");

    private double? Time { get; init; }

    private double Share { get; init; }

    private string Text { get; init; } = "";

    internal static SplitRule? Parse(ArgumentResult result) =>
        Arguments.Read(result, Read, "a time of the series, such as 1914, or a share of its rows above 0% and up to 100%, such as 70%");

    /// <summary>The rows to fit and those held out; none are where the share is 100 %.</summary>
    /// <exception cref="UsageException">One part has too few rows.</exception>
    internal (TimeSeries Train, TimeSeries? HeldOut) Apply(TimeSeries data)
    {
        int held = Time is { } time ? data.Times.Count(t => t > time) : (int)Math.Round((1 - Share) * data.Count, MidpointRounding.AwayFromZero);
        int kept = data.Count - held;
        string span = $"the {data.Count} rows run from {Numbers.Exact(data.Times[0])} to {Numbers.Exact(data.Times[^1])}";
        if (kept < LeastRows)
        {
            string hint = Time is > 0 and < 1 ? $"write {Numbers.Short(100 * Time.Value)}% for a share of the rows" : "choose a later time or a larger share";
            throw new UsageException($"--split {Text} leaves {kept} rows to fit and at least {LeastRows} are needed; {span}: {hint}");
        }

        return (held, Share) switch
        {
            ( > 0, _) => data.Split(data.Times[kept - 1]),
            (_, 1) => (data, null),
            _ => throw new UsageException(
                $"--split {Text} holds out no rows; {span}: choose an earlier time, or 100% to fit them all"
            ),
        };
    }

    private static SplitRule? Read(string text)
    {
        bool isShare = text.EndsWith('%');
        if (!Arguments.TryNumber(text.TrimEnd('%'), out double number))
        {
            return null;
        }

        return (isShare, number) switch
        {
            (false, _) => new SplitRule { Time = number, Text = text },
            (true, > 0 and <= 100) => new SplitRule { Share = number / 100, Text = text },
            _ => null,
        };
    }
}
