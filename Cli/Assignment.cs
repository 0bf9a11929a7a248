using System;
using System.Globalization;
using System.Linq;
using MathNet.Numerics.Distributions;

namespace Continuum.Cli;

/// <summary>One --set: what a parameter or an initial value is in the runs of a solve.</summary>
internal abstract record Assignment(string Name)
{
    private const int MostValues = 10_000_000;

    private const string Wanted =
        "name=value, name=first:last:count or name=distribution with normal(mean,deviation), uniform(a,b), lognormal(median,deviation) or loguniform(a,b)";

    /// <summary>Reads the text after --set.</summary>
    /// <exception cref="UsageException">It is none.</exception>
    internal static Assignment Parse(string text)
    {
        int equals = text.IndexOf('=');
        string name = equals < 0 ? "" : text[..equals].Trim();
        string value = text[(equals + 1)..].Trim();
        return name.Length == 0 || value.Length == 0 ? throw Wrong(text, $"wants {Wanted}")
            : Arguments.TryNumber(value, out double number) ? new Value(name, number)
            : value.Contains('(') ? ParseDraw(text, name, value)
            : ParseSweep(text, name, value);
    }

    private static Sweep ParseSweep(string text, string name, string value)
    {
        string[] parts = value.Split(':', StringSplitOptions.TrimEntries);
        if (
            parts.Length != 3
            || !Arguments.TryNumber(parts[0], out double first)
            || !Arguments.TryNumber(parts[1], out double last)
            || !int.TryParse(parts[2], NumberStyles.None, CultureInfo.InvariantCulture, out int count)
        )
        {
            throw Wrong(text, $"wants {Wanted}");
        }

        return count is < 2 or > MostValues ? throw Wrong(text, $"takes 2 to {MostValues} values from first to last")
            : first == last ? throw Wrong(text, "begins where it ends; give two different numbers or one value")
            : new Sweep(name, first, last, count);
    }

    private static Draw ParseDraw(string text, string name, string value)
    {
        int open = value.IndexOf('(');
        string distribution = value[..open].Trim();
        string[] inside = value.EndsWith(')') ? value[(open + 1)..^1].Split(',') : [];
        double[] numbers = [.. inside.Select(part => Arguments.TryNumber(part.Trim(), out double number) ? number : double.NaN)];
        if (numbers is not [double a, double b] || double.IsNaN(a + b))
        {
            throw Wrong(text, $"wants {Wanted}");
        }

        return distribution switch
        {
            "normal" => Demand(b > 0, "a deviation above 0", p => Normal.InvCDF(a, b, p)),
            "uniform" => Demand(a < b, "a below b", p => ContinuousUniform.InvCDF(a, b, p)),
            "lognormal" => Demand(a > 0 && b > 0, "a median and a deviation (of the logarithm) above 0", p => LogNormal.InvCDF(Math.Log(a), b, p)),
            "loguniform" => Demand(0 < a && a < b, "0 < a < b", p => Math.Exp(ContinuousUniform.InvCDF(Math.Log(a), Math.Log(b), p))),
            _ => throw Wrong(text, $"wants {Wanted}"),
        };

        Draw Demand(bool holds, string condition, Func<double, double> quantile) =>
            holds ? new Draw(name, value, quantile) : throw Wrong(text, $"needs {condition}");
    }

    private static UsageException Wrong(string text, string why) => new($"--set {text} {why}");

    /// <summary>The same value in every run.</summary>
    internal sealed record Value(string Name, double Number) : Assignment(Name);

    /// <summary>Equally spaced values, both ends included.</summary>
    internal sealed record Sweep(string Name, double First, double Last, int Count) : Assignment(Name)
    {
        internal double At(int k) => k == Count - 1 ? Last : First + (Last - First) * k / (Count - 1);
    }

    /// <summary>A distribution, by its quantile function.</summary>
    internal sealed record Draw(string Name, string Text, Func<double, double> Quantile) : Assignment(Name)
    {
        /// <summary>The draw of a sample, which depends on the seed, the name and the sample's number alone.</summary>
        internal double At(int seed, int sample) => Quantile(Uniform(seed, Name, sample));

        /// <summary>A number in (0, 1): the three hashed, each step with the finaliser of SplitMix64 (Steele, Lea and Flood 2014).</summary>
        private static double Uniform(int seed, string name, int sample)
        {
            const ulong Golden = 0x9E3779B97F4A7C15;
            ulong hash = Mix((ulong)seed + Golden);
            foreach (char letter in name)
            {
                hash = Mix(hash ^ letter);
            }

            hash = Mix(hash + Golden * ((ulong)sample + 1));
            return ((hash >> 11) + 0.5) / (1UL << 53);
        }

        private static ulong Mix(ulong z)
        {
            z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9;
            z = (z ^ (z >> 27)) * 0x94D049BB133111EB;
            return z ^ (z >> 31);
        }
    }
}
