using System;
using System.Collections.Generic;
using System.Linq;
using Continuum;

namespace Examples;

/// <summary>
/// An enzyme turns a into b: a + e &lt;-> c -> e + b, and b decays. Binding is ten thousand times faster than decay, so the equations are stiff.
/// They are solved, as a differential-algebraic system too, and three rates are estimated from noisy measurements.
/// </summary>
internal static class Kinetics
{
    private static readonly double[] s_rates = [1e4, 50, 20, 0.3];
    private static readonly double[] s_start = [1, 0.05, 0, 0];

    internal static void Run()
    {
        SolveOptions options = new() { RelTol = 1e-8, AbsTol = 1e-12, SaveAt = SaveAt.Grid(0, 10, 41) };
        Solution exact = Ode.Solve(new Cycle(), s_rates, 0, 10, s_start, options);
        foreach (MethodChoice choice in exact.Methods)
        {
            Console.WriteLine($"from t = {choice.Time:g3}: {choice.Method}, {choice.Reason}");
        }

        Conserved(exact, options);
        Estimated(exact);
    }

    /// <summary>The rate equation of e replaced by what is conserved: free and bound enzyme together.</summary>
    private static void Conserved(Solution exact, SolveOptions options)
    {
        OdeSystem system = OdeSystem.Create(new Cycle { Conserving = true }, s_rates).WithMass([1, 0, 1, 1]);
        Solution solution = Ode.Solve(system, 0, 10, [1, 0.04, 0, 0], options); // 0.04 is a guess: the equation determines it
        double apart = solution.States.Zip(exact.States, (a, b) => a.Zip(b, (x, y) => Math.Abs(x - y)).Max()).Max();
        Check.That(apart < 1e-6, $"kinetics: the algebraic form differs by {apart:e1}");
    }

    private static void Estimated(Solution exact)
    {
        Random random = new(3);
        double[,] measured = new double[exact.Times.Count, 2];
        for (int row = 0; row < exact.Times.Count; row++)
        {
            measured[row, 0] = exact.States[row][0] + (0.005 * Normal(random));
            measured[row, 1] = exact.States[row][3] + (0.005 * Normal(random));
        }

        MechanisticModel model = MechanisticModel.Create(
            new Cycle(),
            states: [("a", 1), ("e", 0.05), ("c", 0), ("b", 0)],
            parameters: [("bind", 1e4), ("unbind", 50), ("turn", 10), ("decay", 1)]
        );
        ParameterFit fit = Fit.Parameters(
            model,
            new TimeSeries("t", ["a", "b"], exact.Times, measured),
            bounds: new Dictionary<string, Bounds>
            {
                ["bind"] = Bounds.Positive(3e3, 1, 1e7),
                ["turn"] = Bounds.Positive(10, 0.01, 1e3),
                ["decay"] = new(Start: 1, Lower: 0, Upper: 10),
            },
            priors: new Dictionary<string, Prior> { ["bind"] = Prior.LogNormal(1e4, 1) },
            new ParameterFitOptions
            {
                // Measured, but known better than that.
                InitialState = new Dictionary<string, Bounds> { ["a"] = Bounds.Fixed(1), ["b"] = Bounds.Fixed(0) },
            }
        );

        Console.WriteLine(fit.Message);
        foreach (ParameterEstimate rate in fit.Parameters)
        {
            Console.WriteLine($"{rate.Name,-7}{rate.Value,10:g4} +- {rate.StandardError,-8:g2} [{rate.Lower95:g4}, {rate.Upper95:g4}]");
        }

        Console.WriteLine($"correlation of bind and turn {fit.Correlation("bind", "turn"):f2}; b at 20: {fit.Predict([20])[0, 3]:g3}");
        Check.That(
            fit.Status == ParameterFitStatus.Converged
                && fit.Parameters.Zip(s_rates, (rate, truth) => Math.Abs(rate.Value - truth) <= 3 * rate.StandardError).All(near => near),
            "kinetics: every rate within three standard errors"
        );
    }

    private static double Normal(Random random) =>
        Math.Sqrt(-2 * Math.Log(1 - random.NextDouble())) * Math.Cos(2 * Math.PI * random.NextDouble());

    /// <summary>States a, e, c, b; rates of binding, unbinding, turnover, decay.</summary>
    private readonly struct Cycle : IGenericField
    {
        /// <summary>Gets whether equation 1 is the conservation of the enzyme instead of its rate.</summary>
        internal bool Conserving { get; init; }

        public int Size => 4;

        public int ParameterCount => 4;

        public void Evaluate<T>(T t, ReadOnlySpan<T> y, ReadOnlySpan<T> p, Span<T> dydt)
            where T : struct, IReal<T>
        {
            T bound = (p[0] * y[0] * y[1]) - (p[1] * y[2]);
            T turned = p[2] * y[2];
            dydt[0] = -bound;
            dydt[1] = Conserving ? y[1] + y[2] - 0.05 : turned - bound;
            dydt[2] = bound - turned;
            dydt[3] = turned - (p[3] * y[3]);
        }
    }
}
