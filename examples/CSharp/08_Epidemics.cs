using System;
using System.Diagnostics;
using System.Linq;
using Continuum;

namespace Examples;

/// <summary>
/// An epidemic under uncertainty: 20,000 of them with random rates, eight at a time in SIMD lanes on every processor. The share that is never
/// infected has a closed form, which checks them all.
/// </summary>
internal static class Epidemics
{
    internal static void Run()
    {
        Random random = new(1);
        double[][] rates =
        [
            .. Enumerable.Range(0, 20_000).Select(_ => new[] { 0.3 + (0.3 * random.NextDouble()), 0.1 + (0.15 * random.NextDouble()) }),
        ];
        SolveOptions options = new() { Method = OdeMethod.Tsit5, RelTol = 1e-8, AbsTol = 1e-12 }; // Runge-Kutta methods run in lanes
        double[] start = [1 - 1e-3, 1e-3, 0];
        long begin = Stopwatch.GetTimestamp();
        EnsembleSolution runs = Ode.SolveEnsemble(new Sir(), 0, 2000, [start], rates, options);
        Console.WriteLine($"{runs.Count} epidemics in {Stopwatch.GetElapsedTime(begin).TotalSeconds:f2} s");

        double[] infected = [.. Enumerable.Range(0, runs.Count).Select(i => runs.FinalState(i)[2]).Order()];
        Console.WriteLine($"infected in the end: {infected[1000]:p0} to {infected[19_000]:p0} in nine of ten");

        double worst = Enumerable.Range(0, runs.Count).Max(i => Math.Abs(runs.FinalState(i)[0] - Spared(start[0], rates[i][0] / rates[i][1])));
        double[] alone = Ode.Solve(new Sir(), rates[777], 0, 2000, start, options).FinalState;
        Check.That(runs.IsComplete && worst < 1e-6, $"epidemics: the closed form of the final size within {worst:e1}");
        Check.That(runs.FinalState(777).Zip(alone, (a, b) => Math.Abs(a - b)).Max() < 1e-10, "epidemics: a lane agrees with a solve of its own");
    }

    /// <summary>s = s0 exp(-R (1 - s)): the share never infected (Kermack and McKendrick 1927), by Newton's method from below.</summary>
    private static double Spared(double s0, double reproduction)
    {
        double s = 0;
        for (int i = 0; i < 50; i++)
        {
            double right = s0 * Math.Exp(-reproduction * (1 - s));
            s -= (s - right) / (1 - (reproduction * right));
        }

        return s;
    }

    /// <summary>Susceptible, infectious, recovered; rates of infection and recovery.</summary>
    private readonly struct Sir : IGenericField
    {
        public int Size => 3;

        public int ParameterCount => 2;

        public void Evaluate<T>(T t, ReadOnlySpan<T> y, ReadOnlySpan<T> p, Span<T> dydt)
            where T : struct, IReal<T>
        {
            T infection = p[0] * y[0] * y[1];
            T recovery = p[1] * y[1];
            dydt[0] = -infection;
            dydt[1] = infection - recovery;
            dydt[2] = recovery;
        }
    }
}
