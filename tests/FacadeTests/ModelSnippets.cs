using System;
using System.Collections.Generic;
using System.IO;
using System.Linq;
using System.Runtime.CompilerServices;
using Continuum;

namespace Facade;

/// <summary>The C# code of docs/Models.md, as it stands there.</summary>
internal static class ModelSnippets
{
    internal static IEnumerable<(string Name, Action Body)> All =>
        [
            ("docs: a neural SDE of prices", Saving(NeuralSde)),
            ("docs: a neural SDE from arrays", NeuralSdeArrays),
            ("docs: a latent SDE", Saving(Latent)),
            ("docs: a latent SDE of one long series", LatentCsv),
            ("docs: an SDE-GAN", Saving(Gan)),
            ("docs: an SDE-GAN of windows of a file", GanCsv),
            ("docs: a classifier of visits", Saving(Classifier)),
            ("docs: classifier, regressor and forecaster from arrays", CdeArrays),
        ];

    private static string Data(string name, [CallerFilePath] string here = "") =>
        Path.Combine(Path.GetDirectoryName(here)!, "..", "..", "examples", "data", name);

    private static Action Saving(Action<string> body) =>
        () =>
        {
            string saved = Path.Combine(Path.GetTempPath(), $"continuum-{Guid.NewGuid():N}.safetensors");
            try
            {
                body(saved);
            }
            finally
            {
                File.Delete(saved);
            }
        };

    private static void NeuralSde(string saved)
    {
        string prices = Data("eu-stock-markets.csv");
        // neuralSde
        (TimeSeries train, TimeSeries held) = TimeSeries.ReadCsv(prices).Split(1997.5);
        using NeuralSdeModel model = NeuralSdeModel.Fit(train, new NeuralSdeOptions
        {
            Seed = 1,
            Iterations = 20, // test
        });

        SimulatedPaths paths = model.Simulate(500, held.Times, seed: 1); // go on from the end of the training data
        IReadOnlyList<TimeSeries> fan = paths.Quantiles(0.05, 0.5, 0.95);
        IReadOnlyList<double> inside = paths.Coverage(held, 0.5, 0.9);   // near 0.5 and 0.9 for a calibrated model
        TimeSeries volatility = model.Volatilities(held);                // what the model expects after each row

        GeometricBrownianModel simple = GeometricBrownianModel.Fit(train); // what a model of prices has to beat
        double gain = (model.LogLikelihood(held, train) - simple.LogLikelihood(held, train)) / held.Count;
        PathComparison compared = PathComparison.HeldOut(model, train, held, new() { Windows = 20 });
        Console.WriteLine($"{gain} a day; {compared.SquaredReturnCorrelation}; {compared.Signature}");

        model.Save(saved);
        using NeuralSdeModel again = NeuralSdeModel.Load(saved);
        // end
        Check.That(fan.Count == 3 && inside.Count == 2 && volatility.Count == held.Count && double.IsFinite(gain), $"{gain}");
        Check.Same(again.Simulate(2, held.Times, 1).Count, 2, "paths of the model from its file");
    }

    private static void NeuralSdeArrays()
    {
        // neuralSdeArrays
        const int Rows = 600;
        Random random = new(1);
        double[] times = new double[Rows]; // need not be evenly spaced
        double[,] values = new double[Rows, 1];
        for (int i = 1; i < Rows; i++)
        {
            double step = 0.05 + (0.1 * random.NextDouble());
            times[i] = times[i - 1] + step;
            values[i, 0] = values[i - 1, 0] - (step * values[i - 1, 0]) + (Math.Sqrt(3 * step) * ((2 * random.NextDouble()) - 1));
        }

        TimeSeries series = new("time", ["rate"], times, values);
        NeuralSdeOptions returning = new()
        {
            Level = true,    // the drift sees the state, so that it can pull back to a mean
            HalfLives = [],  // no memory: calm and nervous times are not looked for
            Iterations = 20, // test
        };
        using NeuralSdeModel model = NeuralSdeModel.Fit(series, returning);
        SimulatedPaths ahead = model.Simulate(200, [times[^1] + 1, times[^1] + 5], substeps: 4, seed: 1, history: null);
        // end
        Check.Same(ahead.Times.Count, 2, "times");
    }

    private static TimeSeries Oscillation(Random random)
    {
        double phase = 2 * Math.PI * random.NextDouble();
        double[] times = [.. Enumerable.Range(0, 30).Select(k => 0.2 * k)];
        double[,] values = new double[times.Length, 1];
        for (int k = 0; k < times.Length; k++)
        {
            phase += 0.2 + (0.1 * (random.NextDouble() - 0.5));
            values[k, 0] = Math.Sin(phase) + (0.05 * (random.NextDouble() - 0.5));
        }

        return new("time", ["x"], times, values);
    }

    private static void Latent(string saved)
    {
        Random random = new(1);
        TimeSeries[] series = [.. Enumerable.Range(0, 40).Select(_ => Oscillation(random))];
        // latent
        LatentSdeOptions options = new()
        {
            LatentSize = 3,
            Window = 0,     // the series as they are
            Iterations = 3, // test
            Seed = 1,
        };
        using LatentSdeModel model = LatentSdeModel.Fit(series, options); // TimeSeries of the same columns
        Console.WriteLine($"evidence lower bound {model.EvidenceLowerBound}, noise {model.NoiseToData}");

        IReadOnlyList<double> times = series[0].Times;
        SimulatedPaths likeTheData = model.Sample(100, [0, 0.5, 1, 2], seed: 1);                // counted from a start of 0
        SimulatedPaths smoothed = model.Simulate(series[0], 100, times, observationNoise: false);
        SimulatedPaths forecast = model.Simulate(series[0], 100, [times[^1] + 0.5, times[^1] + 1]);

        model.Save(saved);
        using LatentSdeModel again = LatentSdeModel.Load(saved);
        // end
        Check.That(likeTheData.Count == 100 && smoothed.Times.Count == 30 && forecast.Times.Count == 2, $"{forecast.Count}");
        Check.Same(again.Sample(2, [1]).Count, 2, "samples of the model from its file");
    }

    private static void LatentCsv()
    {
        string prices = Data("eu-stock-markets.csv");
        // latentCsv
        TimeSeries data = TimeSeries.ReadCsv(prices);
        using LatentSdeModel model = LatentSdeModel.Fit([data], new LatentSdeOptions
        {
            Window = 30, // rows of the pieces that the series is cut into
            Iterations = 3, // test
        });
        // end
        Check.Same(model.ColumnNames.Count, 4, "columns");
    }

    private static void Gan(string saved)
    {
        Random random = new(1);
        double[] times = [.. Enumerable.Range(0, 20).Select(k => 0.1 * k)];
        double[][,] values = [.. Enumerable.Range(0, 40).Select(_ => Oscillation(random).Values).Select(all => Cut(all, times.Length))];
        // gan
        TimeSeries[] series = [.. values.Select(path => new TimeSeries("time", ["x"], times, path))];
        SdeGanOptions options = new()
        {
            HiddenSize = 8,
            Iterations = 3, // test
            Seed = 1,
        };
        using SdeGanModel model = SdeGanModel.Fit(series, options);
        SimulatedPaths drawn = model.Simulate(1000, seed: 1); // at model.Times

        double[,,] observed = new double[series.Length, times.Length, 1];
        for (int p = 0; p < series.Length; p++)
        {
            for (int k = 0; k < times.Length; k++)
            {
                observed[p, k, 0] = series[p][k, 0];
            }
        }

        PathComparison compared = PathComparison.Of(drawn, new("time", ["x"], times, observed), logarithm: false);
        Console.WriteLine($"{compared.Wasserstein}; {compared.Signature}");

        model.Save(saved);
        using SdeGanModel again = SdeGanModel.Load(saved);
        // end
        Check.Same(again.Simulate(2).Count, 2, "paths of the model from its file");
    }

    private static double[,] Cut(double[,] all, int rows)
    {
        double[,] part = new double[rows, 1];
        Array.Copy(all, part, rows);
        return part;
    }

    private static void GanCsv()
    {
        string prices = Data("eu-stock-markets.csv");
        // ganCsv
        const int Rows = 30;
        TimeSeries data = TimeSeries.ReadCsv(prices);
        TimeSeries[] windows =
        [
            .. Enumerable.Range(0, data.Count / Rows).Select(k => data.Slice(data.Times[k * Rows], data.Times[(k * Rows) + Rows - 1])),
        ];
        using SdeGanModel model = SdeGanModel.Fit(windows, new SdeGanOptions
        {
            Iterations = 3, // test
            Logarithm = true,
        });
        // end
        Check.Same(model.Times.Count, 30, "times");
    }

    private static void Classifier(string saved)
    {
        string visits = Data("pbcseq.csv");
        // classifier
        IrregularDataset all = IrregularDataset.ReadCsv(visits, new IrregularCsvOptions
        {
            IdColumn = "id",
            TimeColumn = "day",
            Statics = ["age", "sex", "trt"],
            Targets = ["futime", "status"], // with a column of classes instead: LabelColumn = "ill"
        });
        IrregularDataset atRisk = all.AtLandmark("futime", "status", events: [1, 2], landmark: 1095, horizon: 1095);
        (IrregularDataset train, IrregularDataset test) = atRisk.Split(0.7, seed: 1);

        using NeuralCdeModel model = NeuralCdeModel.Fit(train, NeuralCdeOptions.Small with
        {
            Iterations = 20, // test
            Seed = 1,
        });
        ClassificationReport report = model.Evaluate(test);
        ClassificationReport rival = LastValueClassifier.Fit(train).Evaluate(test); // what a classifier has to beat
        Console.WriteLine($"{report}\n{rival}\ndifference of AUROC {report.AurocMinus(rival)}");

        double[,] chances = model.Predict(test);                // (patients, classes)
        double[,] course = model.PredictOverTime(test)[0];      // (visits, classes) of the first patient, as the visits come

        model.Save(saved);
        using NeuralCdeModel again = NeuralCdeModel.Load(saved);
        // end
        Check.That(chances.GetLength(0) == test.Count && course.GetLength(0) == test.Times(0).Count, $"{chances.Length}");
        Check.That(again.Predict(test).Cast<double>().SequenceEqual(chances.Cast<double>()), $"the model from its file");
    }

    private static void CdeArrays()
    {
        Random random = new(2);
        // cdeArrays
        const int Subjects = 60;
        double[][] times = new double[Subjects][];
        double[][,] values = new double[Subjects][,]; // (visits, channels), NaN where not measured
        int[] labels = new int[Subjects];
        double[][] slopes = new double[Subjects][];
        for (int i = 0; i < Subjects; i++)
        {
            labels[i] = i % 2;
            slopes[i] = [labels[i] + random.NextDouble()];
            times[i] = [.. Enumerable.Range(0, random.Next(4, 9)).Select(_ => random.NextDouble()).Order()];
            values[i] = new double[times[i].Length, 2];
            for (int k = 0; k < times[i].Length; k++)
            {
                values[i][k, 0] = slopes[i][0] * (times[i][k] - times[i][^1]);
                values[i][k, 1] = random.Next(3) == 0 ? double.NaN : random.NextDouble();
            }
        }

        NeuralCdeOptions options = NeuralCdeOptions.Small with
        {
            FieldRate = 1,
            Iterations = 5, // test
        };
        string[] channels = ["level", "noise"];
        using NeuralCdeModel classifier = NeuralCdeModel.Fit(new IrregularDataset(times, values, labels, channels), options);
        using NeuralCdeModel regressor = NeuralCdeModel.Fit(new IrregularDataset(times, values, slopes, channels, ["slope"]), options);
        using NeuralCdeModel forecaster = NeuralCdeModel.Fit(new IrregularDataset(times, values, channels: channels), options);

        // A new subject, in whom the second channel was never measured.
        IrregularDataset fresh = new([[0, 0.4]], [new[,] { { 0.1, double.NaN }, { 0.5, double.NaN } }], channels: channels);
        double chance = classifier.Predict(fresh)[0, 1];
        double slope = regressor.Predict(fresh)[0, 0];
        double[,] ahead = forecaster.Forecast(fresh, [[0.5, 0.8]])[0]; // (times, channels), in the units of the data
        // end
        Check.That(chance > 0 && chance < 1 && double.IsFinite(slope) && ahead.GetLength(0) == 2, $"{chance} {slope}");
    }
}
