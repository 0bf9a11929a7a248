using System;
using System.Collections.Generic;
using System.Linq;
using System.Threading;
using Continuum;

namespace Facade;

/// <summary>Parameter estimation through the facade.</summary>
internal static class FitCases
{
    private static readonly Dictionary<string, Bounds> s_bounds = new()
    {
        ["alpha"] = Bounds.Positive(1.0, 0.01, 10),
        ["beta"] = Bounds.Positive(0.01, 1e-4, 1),
        ["gamma"] = Bounds.Positive(1.0, 0.01, 10),
        ["delta"] = Bounds.Positive(0.01, 1e-4, 1),
    };

    internal static IEnumerable<(string Name, Action Body)> All =>
        [
            ("a fit finds the parameters that made the data", Recovers),
            ("a fit of a stiff model, with one parameter known", Stiff),
            ("missing observations, named columns and known deviations", Missing),
            ("bad names and data are refused by name", Refusals),
            ("models of one's own, over numbers and as delegates, with and without derivatives", OwnModels),
            ("a model with doses is fitted through them, on any number of segments", Doses),
            ("a fit is cancelled and tells its progress", Cancels),
        ];

    private static TimeSeries Simulated(NamedProblem problem, double[] parameters, double[] initial, double[] times, string[] columns)
    {
        MechanisticModel model = problem.Model;
        Solution solution = model.Solve(0, times[^1], parameters, initial, new SolveOptions { RelTol = 1e-11, AbsTol = 1e-13, SaveAt = SaveAt.Times(times) });
        int[] wanted = [.. columns.Select(name => model.States.ToList().FindIndex(s => s.Key == name))];
        double[,] values = new double[times.Length, columns.Length];
        for (int i = 0; i < times.Length; i++)
        {
            for (int j = 0; j < columns.Length; j++)
            {
                values[i, j] = solution.States[i][wanted[j]];
            }
        }

        return new TimeSeries("t", columns, times, values);
    }

    private static TimeSeries Populations() =>
        Simulated(
            NamedProblem.ByName("lotka-volterra"),
            [0.6, 0.03, 0.8, 0.025],
            [30, 8],
            [.. Enumerable.Range(1, 25).Select(k => 0.8 * k)],
            ["prey", "predator"]
        );

    private static void Recovers()
    {
        TimeSeries data = Populations();
        ParameterFit fit = Fit.Parameters(MechanisticModel.Named("lotka-volterra"), data, s_bounds, options: new() { RelativeErrors = true });
        Check.Same(fit.Status, ParameterFitStatus.Converged, fit.Message);
        foreach ((string name, double value) in new[] { ("alpha", 0.6), ("beta", 0.03), ("gamma", 0.8), ("delta", 0.025) })
        {
            Check.Near(fit[name].Value, value, 1e-5 * value, name);
            Check.That(fit[name].StandardError >= 0 && fit[name].Lower95 <= fit[name].Upper95, $"{name}: {fit[name]}");
        }

        Check.Near(fit.Correlation("alpha", "alpha"), 1, 1e-9, "correlation with itself");
        TimeSeries again = fit.Predict(data.Times);
        Check.Near(again[24, 0], data[24, 0], 1e-4 * data[24, 0], "the fitted model follows the data");
        Check.Same(string.Join(",", again.ColumnNames), "prey,predator", "names");
    }

    private static void Stiff()
    {
        NamedProblem robertson = NamedProblem.ByName("robertson");
        double[] times = [.. Enumerable.Range(0, 12).Select(k => Math.Pow(10, -1 + 0.4 * k))];
        TimeSeries data = Simulated(robertson, [0.05, 3e7, 1.3e4], [1, 0, 0], times, ["a", "c"]);
        ParameterFit fit = Fit.Parameters(
            robertson.Model,
            data,
            new Dictionary<string, Bounds> { ["k1"] = Bounds.Positive(0.02, 1e-3, 1), ["k3"] = Bounds.Positive(5e3, 10, 1e6) },
            options: new()
            {
                Start = 0,
                InitialState = new Dictionary<string, Bounds> { ["a"] = Bounds.Fixed(1), ["b"] = Bounds.Fixed(0), ["c"] = Bounds.Fixed(0) },
            }
        );
        Check.Near(fit["k1"].Value, 0.05, 1e-5, $"k1: {fit.Message}");
        Check.Near(fit["k3"].Value, 1.3e4, 5, "k3");
        Check.Near(fit["k2"].Value, 3e7, 0, "k2 was known");
    }

    private static void Missing()
    {
        TimeSeries data = Populations();
        double[,] values = (double[,])data.Values.Clone();
        values[3, 0] = values[7, 1] = values[8, 1] = double.NaN;
        ParameterFit fit = Fit.Parameters(
            MechanisticModel.Named("lotka-volterra"),
            data.Times,
            ["hares", "lynx"],
            values,
            s_bounds,
            options: new()
            {
                Columns = new Dictionary<string, string> { ["hares"] = "prey", ["lynx"] = "predator" },
                Deviations = new Dictionary<string, double> { ["hares"] = 1, ["lynx"] = 0.5 },
            }
        );
        Check.Near(fit["alpha"].Value, 0.6, 1e-5, $"alpha: {fit.Message}");
        Check.Same(fit.DegreesOfFreedom, 50 - 3 - 6, "degrees of freedom");
    }

    private static void Refusals()
    {
        MechanisticModel model = MechanisticModel.Named("Lotka-Volterra");
        TimeSeries data = Populations();
        Dictionary<string, Bounds> stranger = new(s_bounds) { ["rho"] = Bounds.Free(1) };
        Check.Holds(Check.Throws<ArgumentException>(() => Fit.Parameters(model, data, stranger)).Message, "'rho'");
        Dictionary<string, Prior> prior = new() { ["omega"] = Prior.Normal(1, 1) };
        Check.Holds(Check.Throws<ArgumentException>(() => Fit.Parameters(model, data, s_bounds, prior)).Message, "'omega'");
        TimeSeries foreign = new("t", ["a"], data.Times, new double[25, 1]);
        Check.Holds(Check.Throws<ArgumentException>(() => Fit.Parameters(model, foreign, s_bounds)).Message, "'prey', 'predator'");
        Dictionary<string, Bounds> outside = new(s_bounds) { ["beta"] = new Bounds(5, 0, 1) };
        Check.Holds(Check.Throws<ArgumentException>(() => Fit.Parameters(model, data, outside)).Message, "'beta'");
        Check.Holds(Check.Throws<ArgumentException>(() => MechanisticModel.Named("magic")).Message, "lorenz");
    }

    private static void Cancels()
    {
        int seen = 0;
        using CancellationTokenSource source = new();
        ParameterFitOptions options = new() { CancellationToken = source.Token, Progress = new Immediate<ParameterFitProgress>(_ => { if (++seen == 3) { source.Cancel(); } }) };
        Check.Throws<OperationCanceledException>(() => Fit.Parameters(MechanisticModel.Named("lotka-volterra"), Populations(), s_bounds, options: options));
        Check.Same(seen, 3, "reports before cancellation");
    }

    private sealed class Immediate<T>(Action<T> report) : IProgress<T>
    {
        public void Report(T value) => report(value);
    }

    private static void OwnModels()
    {
        (string, double)[] states = [("a", 1), ("b", 0)];
        (string, double)[] parameters = [("fast", 1e3), ("slow", 1)];
        double[] times = [.. Enumerable.Range(1, 20).Select(k => 0.2 * k)];
        MechanisticModel exact = MechanisticModel.Create(new Chain(), states, parameters, "chain");
        Solution truth = exact.Solve(0, 4, [2e3, 0.7], options: new() { RelTol = 1e-10, AbsTol = 1e-13, SaveAt = SaveAt.Times(times) });
        double[,] values = new double[20, 1];
        for (int i = 0; i < 20; i++)
        {
            values[i, 0] = truth.States[i][1] + (1e-3 * Math.Sin(12.9 * i));
        }

        ParameterFitOptions options = new() { Start = 0, InitialState = new Dictionary<string, Bounds> { ["b"] = Bounds.Fixed(0) } };
        Dictionary<string, Bounds> bounds = new() { ["slow"] = Bounds.Positive(1, 0.01, 100) };
        ParameterFit best = Fit.Parameters(exact, new TimeSeries("t", ["b"], times, values), bounds, options: options);
        Check.Near(best["slow"].Value, 0.7, 4 * best["slow"].StandardError, "slow");
        Check.That(best["slow"].StandardError is > 0 and < 1e-2, $"{best["slow"]}");
        MechanisticModel[] delegates =
        [
            MechanisticModel.Create(Chain.OnDoubles, states, parameters),
            MechanisticModel.Create(
                Chain.OnDoubles,
                states,
                parameters,
                byState: (t, y, p, entries) => new[] { -p[0], 0, p[0], -p[1] }.CopyTo(entries),
                byParameters: (t, y, p, entries) => new[] { -y[0], 0, y[0], -y[1] }.CopyTo(entries)
            ),
        ];
        foreach (MechanisticModel model in delegates)
        {
            ParameterFit fit = Fit.Parameters(model, new TimeSeries("t", ["b"], times, values), bounds, options: options);
            Check.Near(fit["slow"].Value, best["slow"].Value, 1e-6, "the same estimate");
            Check.Near(fit["slow"].StandardError, best["slow"].StandardError, 1e-6, "the same standard error");
            options = options with { Method = OdeMethod.Bdf };
        }

        Check.Holds(Check.Throws<ArgumentException>(() => MechanisticModel.Create(new Chain(), states, parameters[..1])).Message, "2 parameters");
        Check.Holds(Check.Throws<ArgumentException>(() => MechanisticModel.Create(Chain.OnDoubles, [], parameters)).Message, "no states");
        Check.Holds(Check.Throws<ArgumentException>(() => MechanisticModel.Create(new Chain(), states, [("a", 1), ("b", 1)])).Message, "differ");
        ParameterFitOptions rosenbrock = options with { Method = OdeMethod.Rodas5P };
        Check.Holds(
            Check.Throws<ArgumentException>(() => Fit.Parameters(delegates[0], new TimeSeries("t", ["b"], times, values), bounds, options: rosenbrock)).Message,
            "Kvaerno5"
        );
    }

    private static void Doses()
    {
        MechanisticModel model = MechanisticModel
            .Create(new Chain(), [("a", 0), ("b", 0)], [("fast", 5), ("slow", 1)])
            .WithDoses(new Dose(0, "a", 1), new Dose(2, "a", 0.5), new Dose(2.5, "b", 0.25), new Dose(90, "a", 1));
        double[] times = [.. Enumerable.Range(1, 10).Select(k => 0.5 * k)]; // two doses fall on measurements
        Solution truth = model.Solve(0, 5, [4, 0.6], options: new() { RelTol = 1e-10, AbsTol = 1e-13, SaveAt = SaveAt.Times(times) });
        double Response(double t, double k) => t < 0 ? 0 : 4 / (4 - k) * (Math.Exp(-k * t) - Math.Exp(-4 * t));
        double closed = Response(5, 0.6) + (0.5 * Response(3, 0.6)) + (0.25 * Math.Exp(-0.6 * 2.5));
        Check.Near(truth.FinalState[1], closed, 1e-8, "superposition of the doses");
        double[,] values = new double[10, 1];
        for (int i = 0; i < 10; i++)
        {
            values[i, 0] = truth.States[i][1];
        }

        Dictionary<string, Bounds> bounds = new() { ["fast"] = Bounds.Positive(2, 0.1, 50), ["slow"] = Bounds.Positive(1, 0.01, 10) };
        foreach (int segments in new[] { 1, 4, 10 })
        {
            ParameterFitOptions options = new()
            {
                Start = 0,
                Segments = segments,
                InitialState = new Dictionary<string, Bounds> { ["b"] = Bounds.Fixed(0) },
            };
            ParameterFit fit = Fit.Parameters(model, new TimeSeries("t", ["b"], times, values), bounds, options: options);
            Check.Near(fit["fast"].Value, 4, 1e-4, $"fast, {segments} segments: {fit.Message}");
            Check.Near(fit["slow"].Value, 0.6, 1e-5, "slow");
            Check.Near(fit.Predict([5])[0, 1], closed, 1e-5, "prediction through the doses");
        }

        Check.Holds(Check.Throws<ArgumentException>(() => model.WithDoses(new Dose(1, "c", 1))).Message, "'a', 'b'");
        Check.Throws<ArgumentException>(() => model.WithDoses(new Dose(double.NaN, "a", 1)));
        MechanisticModel plain = MechanisticModel.Create(Chain.OnDoubles, [("a", 0), ("b", 0)], [("fast", 5), ("slow", 1)]);
        Check.Holds(Check.Throws<ArgumentException>(() => plain.WithDoses(new Dose(1, "a", 1))).Message, "IGenericField");
    }

    /// <summary>a turns into b, fast, and b is lost, slowly.</summary>
    private readonly struct Chain : IGenericField
    {
        public int Size => 2;

        public int ParameterCount => 2;

        public void Evaluate<T>(T t, ReadOnlySpan<T> y, ReadOnlySpan<T> p, Span<T> dydt)
            where T : struct, IReal<T>
        {
            dydt[0] = -p[0] * y[0];
            dydt[1] = (p[0] * y[0]) - (p[1] * y[1]);
        }

        internal static void OnDoubles(double t, ReadOnlySpan<double> y, ReadOnlySpan<double> p, Span<double> dydt)
        {
            dydt[0] = -p[0] * y[0];
            dydt[1] = (p[0] * y[0]) - (p[1] * y[1]);
        }
    }
}
