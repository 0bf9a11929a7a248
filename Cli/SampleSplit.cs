using System;
using System.Globalization;

namespace Continuum.Cli;

/// <summary>How many samples are trained on: a number, or a share of all.</summary>
internal sealed record SampleSplit
{
    internal static SampleSplit Default { get; } = new() { Text = "90%", Share = 0.9 };

    private string Text { get; init; } = "";

    private double Share { get; init; }

    private int Number { get; init; }

    /// <summary>Such as `90%` or `1000`; null for other texts.</summary>
    internal static SampleSplit? Parse(string text) =>
        text.EndsWith('%') ? Arguments.TryNumber(text[..^1], out double percent) && percent is > 0 and < 100 ? new() { Text = text, Share = percent / 100 } : null
        : int.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out int number) && number > 0 ? new() { Text = text, Number = number }
        : null;

    /// <summary>The samples to train on; the others are the test.</summary>
    /// <exception cref="UsageException">One part would be empty.</exception>
    internal int Of(int samples)
    {
        int kept = Number > 0 ? Number : (int)Math.Round(Share * samples);
        return kept >= 1 && kept < samples
            ? kept
            : throw new UsageException(
                $"--split {Text} of {samples} samples leaves {kept} to train on and {Math.Max(0, samples - kept)} for the test, and each needs one: give another number or share, more samples, or --test"
            );
    }
}
