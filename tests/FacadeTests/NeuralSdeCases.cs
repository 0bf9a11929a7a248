using System;
using System.Collections.Generic;
using System.IO;
using System.Linq;
using System.Threading;
using Continuum;

namespace Facade;

/// <summary>Neural, latent and adversarial SDEs and their comparison through the facade.</summary>
internal static class NeuralSdeCases
{
    private static readonly NeuralSdeOptions s_quick = new() { Iterations = 20, Hidden = [4], HalfLives = [5], BatchSize = 64 };

    internal static IEnumerable<(string Name, Action Body)> All =>
        [
            ("a neural SDE is fitted, saved, loaded and simulated", FitsAndSimulates),
            ("paths do not depend on their number, and histories continue", Paths),
            ("log densities given a history are those of the whole series", Densities),
            ("geometric Brownian motion recovers its parameters", Brownian),
            ("simulated paths: quantiles, coverage, files", Files),
            ("comparisons tell one law from another", Compares),
            ("bad data and options of stochastic models are refused", Refusals),
            ("a fit of a neural SDE is cancelled and goes on bit for bit", Resumes),
            ("latent SDEs and SDE-GANs run from fit to file", Generative),
        ];

    /// <summary>Two correlated geometric Brownian motions with drifts 0.1 and 0 and volatilities 0.2 and 0.3, daily.</summary>
    private static TimeSeries Prices(int rows, int seed = 1)
    {
        Random random = new(seed);
        double[,] values = new double[rows, 2];
        (double a, double b) = (0, 0);
        for (int i = 0; i < rows; i++)
        {
            (values[i, 0], values[i, 1]) = (100 * Math.Exp(a), 50 * Math.Exp(b));
            (double x, double y) = (Normal(random), Normal(random));
            a += (0.1 * Step) + (0.2 * Math.Sqrt(Step) * x);
            b += 0.3 * Math.Sqrt(Step) * ((0.6 * x) + (0.8 * y));
        }

        return new("year", ["a", "b"], [.. Enumerable.Range(0, rows).Select(i => i * Step)], values);
    }

    private const double Step = 1.0 / 256;

    private static double Normal(Random random) => Math.Sqrt(-2 * Math.Log(1 - random.NextDouble())) * Math.Cos(2 * Math.PI * random.NextDouble());

    private static double[] After(TimeSeries series, int count) => [.. Enumerable.Range(1, count).Select(k => series.Times[^1] + (k * Step))];

    private static void FitsAndSimulates()
    {
        TimeSeries data = Prices(300);
        List<FitProgress> told = [];
        using NeuralSdeModel model = NeuralSdeModel.Fit(data, s_quick, new Told(told));
        Check.Same(told.Count, 20, "reports");
        Check.That(model.IsLogarithmic && double.IsFinite(model.TrainingLoss) && double.IsFinite(model.ValidationLoss), $"losses {model.TrainingLoss} {model.ValidationLoss}");
        Check.Same(model.LastTime, data.Times[^1], "the last time");
        SimulatedPaths paths = model.Simulate(200, After(data, 64), seed: 3);
        Check.That(paths.Count == 200 && paths.Values.Cast<double>().All(value => value > 0), $"{paths.Count} positive paths");
        double spread = Math.Sqrt(Enumerable.Range(0, 200).Average(p => Math.Pow(Math.Log(paths[p, 63, 0] / data[data.Count - 1, 0]), 2)));
        Check.Near(spread, 0.2 * Math.Sqrt(0.25), 0.04, "the deviation after a quarter of a year");
        string file = Path.GetTempFileName();
        try
        {
            model.Save(file);
            using NeuralSdeModel again = NeuralSdeModel.Load(file);
            Check.That(again.Simulate(200, After(data, 64), seed: 3).Values.Cast<double>().SequenceEqual(paths.Values.Cast<double>()), $"the same paths after loading");
        }
        finally
        {
            File.Delete(file);
        }
    }

    private static void Paths()
    {
        TimeSeries data = Prices(200);
        using NeuralSdeModel model = NeuralSdeModel.Fit(data, s_quick);
        SimulatedPaths few = model.Simulate(3, After(data, 5), seed: 1);
        SimulatedPaths many = model.Simulate(50, After(data, 5), seed: 1);
        Check.That(few.Path(2).Values.Cast<double>().SequenceEqual(many.Path(2).Values.Cast<double>()), $"path 2 of 3 and of 50");
        SimulatedPaths given = model.Simulate(3, After(data, 5), seed: 1, history: data);
        double largest = few.Values.Cast<double>().Zip(given.Values.Cast<double>(), (a, b) => Math.Abs((a / b) - 1)).Max();
        Check.Near(largest, 0, 1e-12, "going on from the training data given as history");
    }

    private static void Densities()
    {
        (TimeSeries train, TimeSeries held) = Prices(260).Split(200 * Step);
        using NeuralSdeModel model = NeuralSdeModel.Fit(train, s_quick);
        GeometricBrownianModel brownian = GeometricBrownianModel.Fit(train);
        foreach (IPathModel each in new IPathModel[] { model, brownian })
        {
            double[] tail = [.. each.LogDensities(held, train)];
            double[] whole = [.. each.LogDensities(Prices(260))];
            Check.Same(tail.Length, held.Count, "a density for every held-out row");
            Check.Near(tail.Zip(whole[^held.Count..], (a, b) => Math.Abs(a - b)).Max(), 0, 1e-9, "those of the whole series");
        }

        Check.Near(model.LogLikelihood(held, train), model.LogDensities(held, train).Sum(), 1e-9, "their sum");
        Check.Same(model.Volatilities(held).Count, held.Count, "rows of volatilities");
    }

    private static void Brownian()
    {
        TimeSeries data = Prices(20000);
        GeometricBrownianModel model = GeometricBrownianModel.Fit(data);
        Check.Near(model.Volatility[0], 0.2, 0.005, "the first volatility");
        Check.Near(model.Volatility[1], 0.3, 0.008, "the second");
        Check.Near(model.Covariance()[0, 1] / (model.Volatility[0] * model.Volatility[1]), 0.6, 0.02, "the correlation");
        SimulatedPaths paths = model.Simulate(2000, [data.Times[^1] + 1], seed: 5);
        double[] moves = [.. Enumerable.Range(0, 2000).Select(p => Math.Log(paths[p, 0, 0] / data[data.Count - 1, 0]))];
        Check.Near(moves.Average(), model.Drift[0], 4 * 0.2 / Math.Sqrt(2000), "the mean move of a year");
    }

    private static void Files()
    {
        double[,,] values = new double[5, 2, 1];
        for (int p = 0; p < 5; p++)
        {
            (values[p, 0, 0], values[p, 1, 0]) = (p, 10 * p);
        }

        SimulatedPaths paths = new("t", ["x"], [1, 2], values);
        IReadOnlyList<TimeSeries> quantiles = paths.Quantiles(0.25, 0.5);
        Check.Same(quantiles[0][1, 0], 10.0, "the lower quartile");
        Check.Same(quantiles[1][0, 0], 2.0, "the median");
        Check.Same(paths.Mean()[1, 0], 20.0, "the mean");
        TimeSeries observed = new("t", ["x"], [1, 2], new double[,] { { 2 }, { 100 } });
        Check.Same(paths.Coverage(observed, 0.5)[0], 0.5, "one of two values is inside");
        Check.Throws<ArgumentException>(() => paths.Coverage(new TimeSeries("t", ["x"], [1, 3], new double[,] { { 2 }, { 3 } }), 0.5));
        string file = Path.GetTempFileName();
        try
        {
            paths.WriteCsv(file);
            Check.Same(string.Join('|', File.ReadAllLines(file).Take(3)), "path,t,x|1,1,0|1,2,0", "the paths");
            paths.WriteQuantilesCsv(file, 0.5);
            Check.Same(File.ReadAllText(file), "t,x_q0.5\n1,2\n2,20\n", "the quantiles");
        }
        finally
        {
            File.Delete(file);
        }
    }

    private static void Compares()
    {
        TimeSeries data = Prices(400);
        GeometricBrownianModel model = GeometricBrownianModel.Fit(data);
        double[] times = After(data, 20);
        SimulatedPaths one = model.Simulate(100, times, 1);
        PathComparisonOptions options = new() { Permutations = 50, Lags = 5 };
        PathComparison same = PathComparison.Of(one, model.Simulate(100, times, 2), logarithm: true, options);
        GeometricBrownianModel wild = GeometricBrownianModel.Fit(new TimeSeries("year", ["a", "b"], data.Times, Stretched(data)));
        PathComparison other = PathComparison.Of(one, wild.Simulate(100, times, 2), logarithm: true, options);
        Check.That(same.KolmogorovSmirnov.PValue > 0.02 && same.Signature.PValue > 0.02, $"one law: {same.KolmogorovSmirnov} {same.Signature}");
        Check.That(other.KolmogorovSmirnov.PValue < 0.03 && other.Wasserstein.PValue < 0.03, $"two laws: {other.KolmogorovSmirnov} {other.Wasserstein}");
        (TimeSeries train, TimeSeries held) = data.Split(300 * Step);
        PathComparison windows = PathComparison.HeldOut(model, train, held, options with { Length = 20, Windows = 10, PathsPerWindow = 5 });
        Check.That(double.IsFinite(windows.SquaredReturnCorrelation.Value) && windows.Wasserstein.Value > 0, $"windows: {windows.Wasserstein}");
    }

    private static double[,] Stretched(TimeSeries data)
    {
        double[,] values = (double[,])data.Values.Clone();
        for (int i = 0; i < data.Count; i++)
        {
            for (int j = 0; j < 2; j++)
            {
                values[i, j] = 100 * Math.Pow(values[i, j] / values[0, j], 2);
            }
        }

        return values;
    }

    private static void Refusals()
    {
        TimeSeries data = Prices(60);
        Check.Holds(Check.Throws<ArgumentException>(() => NeuralSdeModel.Fit(data, s_quick with { Floor = 2 })).Message, "Floor");
        Check.Holds(Check.Throws<ArgumentException>(() => NeuralSdeModel.Fit([], s_quick)).Message, "at least one");
        TimeSeries flat = new("t", ["x"], [.. Enumerable.Range(0, 20).Select(i => (double)i)], new double[20, 1]);
        Check.Holds(Check.Throws<ArgumentException>(() => NeuralSdeModel.Fit(flat, s_quick)).Message, "'x'");
        Check.Holds(Check.Throws<ArgumentException>(() => GeometricBrownianModel.Fit(flat, logarithm: true)).Message, "logarithm");
        using NeuralSdeModel model = NeuralSdeModel.Fit(data, s_quick with { Iterations = 1 });
        Check.Throws<ArgumentException>(() => model.Simulate(2, [0.0]));
        Check.Throws<ArgumentOutOfRangeException>(() => model.Simulate(2, After(data, 1), seed: -1));
    }

    private static void Resumes()
    {
        TimeSeries data = Prices(200);
        string file = Path.Combine(Path.GetTempPath(), $"continuum-{Guid.NewGuid():N}.safetensors");
        NeuralSdeOptions options = s_quick with { CheckpointPath = file, CheckpointEvery = 5 };
        try
        {
            using CancellationTokenSource source = new();
            Check.Throws<OperationCanceledException>(() => NeuralSdeModel.Fit(data, options, new After10(source), source.Token));
            using NeuralSdeModel resumed = NeuralSdeModel.Fit(data, options with { Resume = true });
            using NeuralSdeModel whole = NeuralSdeModel.Fit(data, s_quick);
            double[] a = [.. resumed.Simulate(4, After(data, 4)).Values.Cast<double>()];
            double[] b = [.. whole.Simulate(4, After(data, 4)).Values.Cast<double>()];
            Check.That(a.SequenceEqual(b), $"the same paths, bit for bit: {a[^1]} and {b[^1]}");
        }
        finally
        {
            File.Delete(file);
        }
    }

    private static void Generative()
    {
        TimeSeries data = Prices(120);
        string file = Path.GetTempFileName();
        try
        {
            LatentSdeOptions few = new() { Iterations = 2, BatchSize = 4, LatentSize = 2, ContextSize = 4, Hidden = [4], Window = 20 };
            using LatentSdeModel latent = LatentSdeModel.Fit([data], few);
            Check.That(double.IsFinite(latent.EvidenceLowerBound) && latent.KullbackLeibler >= 0, $"{latent.EvidenceLowerBound} {latent.KullbackLeibler}");
            latent.Save(file);
            using LatentSdeModel again = LatentSdeModel.Load(file);
            double[] times = [0, Step, 2 * Step];
            Check.That(again.Sample(3, times, 1).Values.Cast<double>().SequenceEqual(latent.Sample(3, times, 1).Values.Cast<double>()), $"latent SDE after loading");
            Check.Same(latent.Simulate(data, 3, After(data, 2)).Count, 3, "forecasts of the posterior");
            TimeSeries[] pieces = [.. Enumerable.Range(0, 12).Select(k => data.Slice(data.Times[k * 9], data.Times[(k * 9) + 8]))];
            SdeGanOptions small = new() { Iterations = 2, BatchSize = 4, HiddenSize = 3, Hidden = [4], DiscriminatorSize = 3 };
            using SdeGanModel gan = SdeGanModel.Fit(pieces, small);
            gan.Save(file);
            using SdeGanModel gained = SdeGanModel.Load(file);
            SimulatedPaths drawn = gan.Simulate(5, 2);
            Check.Same(drawn.Times.Count, 9, "times of generated paths");
            Check.That(drawn.Values.Cast<double>().SequenceEqual(gained.Simulate(5, 2).Values.Cast<double>()), $"SDE-GAN after loading");
        }
        finally
        {
            File.Delete(file);
        }
    }

    private sealed class Told(List<FitProgress> reports) : IProgress<FitProgress>
    {
        public void Report(FitProgress value) => reports.Add(value);
    }

    private sealed class After10(CancellationTokenSource source) : IProgress<FitProgress>
    {
        public void Report(FitProgress value)
        {
            if (value.Iteration == 10)
            {
                source.Cancel();
            }
        }
    }
}
