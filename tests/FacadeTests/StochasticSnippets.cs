using System;
using System.Collections.Generic;
using Continuum;
using TorchSharp;
using static TorchSharp.torch;

namespace Facade;

/// <summary>The C# code of docs/Stochastic.md, as it stands there.</summary>
internal static class StochasticSnippets
{
    internal static IEnumerable<(string Name, Action Body)> All =>
        [
            ("docs: a stochastic equation", Equation),
            ("docs: an ensemble of paths", Ensemble),
            ("docs: one path, coarsely and finely", Path),
            ("docs: a neural stochastic equation", Neural),
        ];

    private static void Equation()
    {
        // equation
        var rate = StochasticEquation.Ito.Scalar(
            size: 1,
            drift: (t, y, f) => f[0] = 2 * (0.05 - y[0]),
            diffusion: (t, y, g) => g[0] = 0.1 * Math.Sqrt(Math.Max(y[0], 0))
        );

        Solution path = Sde.Solve(
            rate,
            SdeMethods.EulerMaruyama,
            t0: 0, t1: 5, y0: [0.03],
            new SdeOptions { FixedStep = 0.01, Seed = 42, SaveAt = SaveAt.Grid(0, 5, 51) }
        );
        // end
        Check.Same(path.States.Count, 51, "values");
    }

    private static void Ensemble()
    {
        var price = StochasticEquation.Ito.Scalar(default(Price), 0.06, 0.3);
        // ensemble
        SdeEnsembleSolution runs = Sde.SolveEnsemble(
            price, SdeMethods.Srid2, 0, 1, [100], paths: 100_000, new SdeOptions { FixedStep = 0.05, Seed = 1 });

        double mean = runs.Final.Mean[0]; // 100 exp(0.06), within runs.Final.StandardError[0]
        double[] band = runs.Final.Quantiles(0, 0.05, 0.95);
        // end
        Check.That(Math.Abs(mean - (100 * Math.Exp(0.06))) < 4.5 * runs.Final.StandardError[0], $"mean {mean}");
        Check.That(band[0] < 80 && band[1] > 140, $"{band[0]}, {band[1]}");
    }

    private static void Path()
    {
        // definition
        var price = StochasticEquation.Ito.Scalar(default(Price), 0.06, 0.3); // parameters mu and sigma
        // end
        // path
        BrownianMotion motion = new() { Start = 0, End = 1, Seed = 7, Cells = 1024 };
        double w = motion.Path().Value(1)[0];
        double exact = 100 * Math.Exp(0.06 - 0.5 * 0.3 * 0.3 + 0.3 * w);
        Solution coarse = Sde.Solve(price, SdeMethods.Milstein, 0, 1, [100], new() { FixedStep = 1.0 / 16, Brownian = motion });
        Solution fine = Sde.Solve(price, SdeMethods.Milstein, 0, 1, [100], new() { FixedStep = 1.0 / 1024, Brownian = motion });
        // end
        Check.That(Math.Abs(fine.FinalState[0] - exact) < Math.Abs(coarse.FinalState[0] - exact), $"{coarse.FinalState[0]}, {fine.FinalState[0]}, {exact}");
    }

    private static void Neural()
    {
        using IDisposable scope = NewDisposeScope();
        // neural
        var drift = nn.Sequential(nn.Linear(2, 32), nn.Tanh(), nn.Linear(32, 2));
        var diffusion = nn.Sequential(nn.Linear(2, 32), nn.Tanh(), nn.Linear(32, 2), nn.Sigmoid());
        var sde = StochasticEquation.Stratonovich.Diagonal(
            (t, y) => drift.call(y), (t, y) => diffusion.call(y), [.. drift.parameters(), .. diffusion.parameters()]);

        TensorSdeOptions options = new() { FixedStep = 0.02, Seed = 3, Gradient = Gradient.Reversible() };
        using TensorSolution solution = Sde.Solve(sde, SdeMethods.ReversibleHeun, 0, 1, zeros(256, 2), options);
        solution.FinalState.square().mean().backward(); // memory does not grow with the steps
        // end
        Check.That(drift.parameters().GetEnumerator().MoveNext(), $"no parameters");
    }

    // struct
    internal readonly struct Price : IGenericSde
    {
        public int Size => 1;

        public int NoiseSize => 1;

        public int ParameterCount => 2;

        public void Drift<T>(T t, ReadOnlySpan<T> y, ReadOnlySpan<T> p, Span<T> f)
            where T : struct, IReal<T> => f[0] = p[0] * y[0];

        public void Diffusion<T>(T t, ReadOnlySpan<T> y, ReadOnlySpan<T> p, Span<T> g)
            where T : struct, IReal<T> => g[0] = p[1] * y[0];
    }
    // end
}
