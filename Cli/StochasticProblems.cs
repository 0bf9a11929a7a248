using System;
using System.Collections.Generic;

namespace Continuum.Cli;

/// <summary>The stochastic equations that `continuum simulate` knows by name, written once over numbers so that they run in lanes.</summary>
internal static class StochasticProblems
{
    internal static IReadOnlyList<StochasticProblem> Make() =>
        [
            new StochasticProblem<IDiagonalNoise>(
                "gbm",
                "geometric Brownian motion, dx = mu x dt + sigma x dW",
                "diagonal",
                1,
                StochasticEquation.Ito.Diagonal(new Gbm(0), 0.05, 0.2),
                StochasticEquation.Stratonovich.Diagonal(new Gbm(0.5), 0.05, 0.2)
            )
            {
                Usual = SdeMethods.Milstein.Name,
                States = [new("x", 1)],
                Parameters = [new("mu", 0.05), new("sigma", 0.2)],
                Closed = (p, x, t) =>
                    [new(x[0] * Math.Exp(p[0] * t), x[0] * x[0] * Math.Exp(2 * p[0] * t) * Expm1(p[1] * p[1] * t))],
            },
            new StochasticProblem<IAdditiveNoise>(
                "ou",
                "the Ornstein-Uhlenbeck process, dx = theta (mu - x) dt + sigma dW",
                "additive",
                5,
                StochasticEquation.Ito.Additive(new OrnsteinUhlenbeck(), 1, 0, 0.5),
                StochasticEquation.Stratonovich.Additive(new OrnsteinUhlenbeck(), 1, 0, 0.5)
            )
            {
                Usual = SdeMethods.Sra1.Name,
                States = [new("x", 1)],
                Parameters = [new("theta", 1), new("mu", 0), new("sigma", 0.5)],
                Closed = (p, x, t) => [new(Relaxed(p[0], p[1], x[0], t), p[2] * p[2] * Spent(2 * p[0], t))],
            },
            new StochasticProblem<IDiagonalNoise>(
                "cir",
                "the square root process of Cox, Ingersoll and Ross, dx = kappa (theta - x) dt + sigma sqrt(x) dW",
                "diagonal",
                1,
                StochasticEquation.Ito.Diagonal(new CoxIngersollRoss(0), 2, 0.05, 0.2),
                StochasticEquation.Stratonovich.Diagonal(new CoxIngersollRoss(0.5), 2, 0.05, 0.2)
            )
            {
                Usual = SdeMethods.EulerMaruyama.Name,
                IsSmooth = false,
                States = [new("x", 0.03)],
                Parameters = [new("kappa", 2), new("theta", 0.05), new("sigma", 0.2)],
                Closed = (p, x, t) => [SquareRoot(p[0], p[1], p[2], x[0], t)],
            },
            new StochasticProblem<IGeneralNoise>(
                "heston",
                "a price with stochastic variance, ds = mu s dt + sqrt(v) s dW, dv = kappa (theta - v) dt + xi sqrt(v) dZ, correlation rho",
                "general",
                1,
                StochasticEquation.Ito.General(new Heston(0), 0.05, 2, 0.04, 0.3, -0.7),
                StochasticEquation.Stratonovich.General(new Heston(0.5), 0.05, 2, 0.04, 0.3, -0.7)
            )
            {
                Usual = SdeMethods.EulerMaruyama.Name,
                IsSmooth = false,
                States = [new("s", 100), new("v", 0.04)],
                Parameters = [new("mu", 0.05), new("kappa", 2), new("theta", 0.04), new("xi", 0.3), new("rho", -0.7)],
                Closed = (p, x, t) => [new(x[0] * Math.Exp(p[0] * t), double.NaN), SquareRoot(p[1], p[2], p[3], x[1], t)],
            },
            new StochasticProblem<IAdditiveNoise>(
                "double-well",
                "a particle between two wells, dx = (x - x^3) dt + sigma dW",
                "additive",
                20,
                StochasticEquation.Ito.Additive(new DoubleWell(), 0.5),
                StochasticEquation.Stratonovich.Additive(new DoubleWell(), 0.5)
            )
            {
                Usual = SdeMethods.Sra1.Name,
                States = [new("x", 1)],
                Parameters = [new("sigma", 0.5)],
            },
        ];

    /// <summary>exp(x) - 1 without cancellation, as 2 sinh(x / 2) exp(x / 2).</summary>
    private static double Expm1(double x) => 2 * Math.Sinh(x / 2) * Math.Exp(x / 2);

    private static double Relaxed(double rate, double level, double start, double t) => level + (start - level) * Math.Exp(-rate * t);

    /// <summary>The integral of exp(-rate s) from 0 to t.</summary>
    private static double Spent(double rate, double t) => rate == 0 ? t : -Expm1(-rate * t) / rate;

    private static Moments SquareRoot(double kappa, double theta, double sigma, double start, double t)
    {
        double once = Spent(kappa, t);
        double variance = sigma * sigma * (start * Math.Exp(-kappa * t) * once + kappa * theta * once * once / 2);
        return new(Relaxed(kappa, theta, start, t), variance);
    }

    private static T WherePositive<T>(T at, T value)
        where T : struct, IReal<T> => T.IfLess(T.Constant(0), at, value, T.Constant(0));

    /// <summary>Drift less a share of the diffusion's derivative along itself, sigma^2 x: 0 for Itô's sense, half for Stratonovich's.</summary>
    private readonly struct Gbm(double share) : IGenericSde
    {
        public int Size => 1;

        public int NoiseSize => 1;

        public int ParameterCount => 2;

        public void Drift<T>(T t, ReadOnlySpan<T> y, ReadOnlySpan<T> p, Span<T> f)
            where T : struct, IReal<T> => f[0] = (p[0] - share * p[1] * p[1]) * y[0];

        public void Diffusion<T>(T t, ReadOnlySpan<T> y, ReadOnlySpan<T> p, Span<T> g)
            where T : struct, IReal<T> => g[0] = p[1] * y[0];
    }

    private readonly struct OrnsteinUhlenbeck : IGenericSde
    {
        public int Size => 1;

        public int NoiseSize => 1;

        public int ParameterCount => 3;

        public void Drift<T>(T t, ReadOnlySpan<T> y, ReadOnlySpan<T> p, Span<T> f)
            where T : struct, IReal<T> => f[0] = p[0] * (p[1] - y[0]);

        public void Diffusion<T>(T t, ReadOnlySpan<T> y, ReadOnlySpan<T> p, Span<T> g)
            where T : struct, IReal<T> => g[0] = p[2];
    }

    /// <summary>
    /// A step may end below 0, where the process cannot be: drift and noise then see 0 (full truncation, Lord, Koekkoek and van Dijk 2010). The
    /// drift is less by a share of the diffusion's derivative along itself, sigma^2 / 2, or 0 where there is no noise.
    /// </summary>
    private readonly struct CoxIngersollRoss(double share) : IGenericSde
    {
        public int Size => 1;

        public int NoiseSize => 1;

        public int ParameterCount => 3;

        public void Drift<T>(T t, ReadOnlySpan<T> y, ReadOnlySpan<T> p, Span<T> f)
            where T : struct, IReal<T> =>
            f[0] = p[0] * (p[1] - T.Max(y[0], T.Constant(0))) - WherePositive(y[0], 0.5 * share * p[2] * p[2]);

        public void Diffusion<T>(T t, ReadOnlySpan<T> y, ReadOnlySpan<T> p, Span<T> g)
            where T : struct, IReal<T> => g[0] = p[2] * T.Sqrt(T.Max(y[0], T.Constant(0)));
    }

    /// <summary>
    /// The drift is less by a share of the columns' derivatives along themselves: v s + xi rho s / 2 for the price, xi^2 / 2 for the variance, and 0
    /// where the variance is not above 0.
    /// </summary>
    private readonly struct Heston(double share) : IGenericSde
    {
        public int Size => 2;

        public int NoiseSize => 2;

        public int ParameterCount => 5;

        public void Drift<T>(T t, ReadOnlySpan<T> y, ReadOnlySpan<T> p, Span<T> f)
            where T : struct, IReal<T>
        {
            T variance = T.Max(y[1], T.Constant(0));
            f[0] = (p[0] - WherePositive(y[1], share * (variance + 0.5 * p[3] * p[4]))) * y[0];
            f[1] = p[1] * (p[2] - variance) - WherePositive(y[1], 0.5 * share * p[3] * p[3]);
        }

        public void Diffusion<T>(T t, ReadOnlySpan<T> y, ReadOnlySpan<T> p, Span<T> g)
            where T : struct, IReal<T>
        {
            T root = T.Sqrt(T.Max(y[1], T.Constant(0)));
            g[0] = root * y[0];
            g[1] = T.Constant(0);
            g[2] = p[3] * p[4] * root;
            g[3] = p[3] * T.Sqrt(1 - p[4] * p[4]) * root;
        }
    }

    private readonly struct DoubleWell : IGenericSde
    {
        public int Size => 1;

        public int NoiseSize => 1;

        public int ParameterCount => 1;

        public void Drift<T>(T t, ReadOnlySpan<T> y, ReadOnlySpan<T> p, Span<T> f)
            where T : struct, IReal<T> => f[0] = y[0] - y[0] * y[0] * y[0];

        public void Diffusion<T>(T t, ReadOnlySpan<T> y, ReadOnlySpan<T> p, Span<T> g)
            where T : struct, IReal<T> => g[0] = p[0];
    }
}
