using System;
using System.Diagnostics;
using System.Linq;
using Continuum;

namespace Examples;

/// <summary>
/// Stochastic equations: 100,000 paths of a price in SIMD lanes against their closed form, one path solved coarsely and finely, and the same
/// process in the two calculi.
/// </summary>
internal static class NoisyPaths
{
    private static readonly int[] s_steps = [16, 64, 256, 1024];

    internal static void Run()
    {
        const double mu = 0.06;
        const double sigma = 0.3;
        var price = StochasticEquation.Ito.Scalar(default(Price), mu, sigma);

        long begin = Stopwatch.GetTimestamp();
        SdeEnsembleSolution runs = Sde.SolveEnsemble(
            price,
            SdeMethods.Milstein,
            0,
            1,
            [100],
            paths: 100_000,
            new SdeOptions { FixedStep = 0.01, Seed = 1, SaveAt = SaveAt.Times(0.25, 0.5, 0.75, 1) }
        );
        Console.WriteLine($"{runs.Count} paths of 100 steps in {Stopwatch.GetElapsedTime(begin).TotalSeconds:f2} s");
        for (int i = 0; i < runs.Times.Count; i++)
        {
            double[] band = runs.Bands(0, 0.05, 0.5, 0.95)[i];
            Console.WriteLine($"t = {runs.Times[i]:f2}: nine of ten between {band[0]:f1} and {band[2]:f1}, median {band[1]:f1}");
        }

        double mean = 100 * Math.Exp(mu);
        double variance = mean * mean * (Math.Exp(sigma * sigma) - 1);
        double off = Math.Abs(runs.Final.Mean[0] - mean) / runs.Final.StandardError[0];
        Check.That(off < 4, $"noisy paths: the mean is the closed form within {off:f1} standard errors");
        Check.That(Math.Abs(runs.Final.Variance[0] / variance - 1) < 0.03, "noisy paths: so is the variance within 3 %");

        // One path, a function of its seed and number alone: coarse and fine steps see the same one.
        BrownianMotion motion = new() { Start = 0, End = 1, Seed = 7, Cells = 1024 };
        double exact = 100 * Math.Exp(mu - (0.5 * sigma * sigma) + (sigma * motion.Path().Value(1)[0]));
        double[] errors =
        [
            .. s_steps.Select(steps =>
                Math.Abs(Sde.Solve(price, SdeMethods.Milstein, 0, 1, [100], new SdeOptions { FixedStep = 1.0 / steps, Brownian = motion }).FinalState[0] - exact)
            ),
        ];
        Console.WriteLine($"errors with 16, 64, 256 and 1024 steps: {string.Join(", ", errors.Select(e => e.ToString("e1")))}");
        Check.That(errors[^1] < 0.1 * errors[0], "noisy paths: finer steps come closer to the closed form on the same path");

        // The chain rule of Stratonovich's integral takes the drift mu - sigma^2 / 2 for the same process.
        var same = StochasticEquation.Stratonovich.Scalar(default(Price), mu - (0.5 * sigma * sigma), sigma);
        double other = Sde.Solve(same, SdeMethods.Heun, 0, 1, [100], new SdeOptions { FixedStep = 1.0 / 1024, Brownian = motion }).FinalState[0];
        Check.That(Math.Abs(other - exact) < 0.1, "noisy paths: both calculi describe the same process");
    }

    /// <summary>dS = mu S dt + sigma S dW; parameters mu and sigma.</summary>
    private readonly struct Price : IGenericSde
    {
        public int Size => 1;

        public int NoiseSize => 1;

        public int ParameterCount => 2;

        public void Drift<T>(T t, ReadOnlySpan<T> y, ReadOnlySpan<T> p, Span<T> f)
            where T : struct, IReal<T> => f[0] = p[0] * y[0];

        public void Diffusion<T>(T t, ReadOnlySpan<T> y, ReadOnlySpan<T> p, Span<T> g)
            where T : struct, IReal<T> => g[0] = p[1] * y[0];
    }
}
