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
}
