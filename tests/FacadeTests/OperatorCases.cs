using System;
using System.Collections.Generic;
using System.IO;
using System.Linq;
using System.Threading;
using Continuum;
using TorchSharp;

namespace Facade;

/// <summary>Operators through the facade: from arrays of one's own to a learned map.</summary>
internal static class OperatorCases
{
    private static readonly OperatorOptions s_quick = new()
    {
        Modes = [5],
        Width = 8,
        Layers = 2,
        Epochs = 25,
        BatchSize = 8,
        LearningRate = 1e-2,
        Positions = false,
    };

    internal static IEnumerable<(string Name, Action Body)> All =>
        [
            ("an operator is learned from arrays, saved, loaded and used on a finer grid", Learns),
            ("an operator learns with parameters and a mask", ParametersAndMask),
            ("losses of operators", Losses),
            ("energy spectra of operator data", Spectra),
            ("bad arguments of operators are named", Refuses),
            ("a training of an operator can be cancelled and resumed", Resumes),
            ("options that a kind has no use for are refused", Idle),
            ("an operator is applied to arrays whose output is not known", Unknown),
            ("operators leave no tensor behind", Clean),
        ];

    /// <summary>Random waves f with up to three modes, and f' / 10.</summary>
    private static OperatorData Derivatives(int samples, int points, int seed)
    {
        Random random = new(seed);
        double[] f = new double[samples * points];
        double[] slope = new double[samples * points];
        for (int s = 0; s < samples; s++)
        {
            for (int k = 1; k <= 3; k++)
            {
                double size = random.NextDouble() / k;
                double phase = 2 * Math.PI * random.NextDouble();
                for (int j = 0; j < points; j++)
                {
                    double angle = (2 * Math.PI * k * j / points) + phase;
                    f[(s * points) + j] += size * Math.Sin(angle);
                    slope[(s * points) + j] += 0.1 * 2 * Math.PI * k * size * Math.Cos(angle);
                }
            }
        }

        return OperatorData.FromArrays([new("f", [samples, points], f)], new("slope", [samples, points], slope), 1, boundary: BoundaryCondition.Periodic);
    }

    private static void Learns()
    {
        using OperatorData train = Derivatives(48, 24, 1);
        using OperatorData test = Derivatives(12, 24, 2);
        using OperatorData fine = Derivatives(12, 48, 2);
        List<FitProgress> reports = [];
        using OperatorModel model = OperatorTrainer.Fit(train, s_quick, test, new Collector(reports));
        Check.Same(reports.Count, 25 * 6, "iterations told");
        Check.Same(model.Curve.Count, 25, "a point for each epoch");
        Check.Same(model.Kind, "fno", "kind");
        Check.Same(model.ParameterCount, OperatorTrainer.Check(train, s_quick), "parameters");

        OperatorEvaluation errors = model.Evaluate(test);
        Check.That(errors.MeanL2 < 0.1, $"relative L2 error {errors.MeanL2}");
        Check.Near(errors.MeanL2, model.ValidationError, 1e-6, "the best parameters are kept");
        Check.That(errors.MeanH1 > errors.MeanL2, $"slopes are harder: H1 {errors.MeanH1}, L2 {errors.MeanL2}");
        Check.Same(errors.RelativeL2[errors.Worst], errors.WorstL2, "worst");
        Check.That(errors.RelativeL2.Count(e => e < errors.MedianL2) <= 6, $"median {errors.MedianL2}");
        double carried = model.Evaluate(fine).MeanL2;
        Check.Near(carried, errors.MeanL2, 0.02, "the same operator on 48 points");

        using OperatorData finer = model.PredictAt(test, 48);
        using OperatorData direct = model.Predict(fine);
        Check.Same(finer.Output.Points[0], 48, "points");
        double gap = finer.Values("slope").Zip(direct.Values("slope"), (a, b) => Math.Abs(a - b)).Max();
        Check.That(gap < 0.1, $"images of coarse and fine inputs differ by {gap}");

        string file = Path.Combine(Path.GetTempPath(), $"operator-{Guid.NewGuid():N}.safetensors");
        try
        {
            model.Save(file);
            using OperatorModel again = OperatorModel.Load(file);
            using OperatorData a = model.Predict(test);
            using OperatorData b = again.Predict(test);
            Check.That(a.Values("slope").SequenceEqual(b.Values("slope")), $"the same images bit for bit");
        }
        finally
        {
            File.Delete(file);
        }
    }

    private static void ParametersAndMask()
    {
        const int Samples = 6;
        const int Points = 9;
        double[] ones = [.. Enumerable.Repeat(1.0, Samples * Points)];
        double[] factor = [.. Enumerable.Range(0, Samples).Select(s => s + 1.0)];
        double[] u = [.. Enumerable.Range(0, Samples * Points).Select(k => factor[k / Points])];
        FunctionArray mask = new("mask", [Points], [.. Enumerable.Range(0, Points).Select(j => j < 6 ? 1.0 : 0.0)]);
        OperatorData Make(FunctionArray? region, params SampleParameter[] parameters) =>
            OperatorData.FromArrays([new("f", [Samples, Points], ones)], new("u", [Samples, Points], u), 1, parameters: parameters, mask: region);

        using OperatorData data = Make(mask, new SampleParameter("c", factor), new SampleParameter("d", ones[..Samples]));
        Check.Same(string.Join(",", data.ParameterNames), "c,d", "names");
        Check.That(data.ParameterValues("c").SequenceEqual(factor) && data.HasMask, $"values and mask");
        Check.Holds(Check.Throws<ArgumentException>(() => data.ParameterValues("e")).Message, "c, d");
        OperatorOptions options = s_quick with { Modes = [3], Epochs = 150, Positions = true };
        using OperatorModel model = OperatorTrainer.Fit(data, options);
        double error = model.Evaluate(data).MeanL2;
        Check.That(error < 0.1, $"u = c is learned to {error}");
        using OperatorData without = Make(null);
        Check.Holds(Check.Throws<ArgumentException>(() => model.Predict(without)).Message, "scalar parameters");

        Check.Holds(Check.Throws<ArgumentException>(() => Make(null, new SampleParameter("c", [1, 2]))).Message, "6 samples");
        Check.Holds(Check.Throws<ArgumentException>(() => Make(new("mask", [4], [1, 1, 1, 1]))).Message, "[9]");
        Check.Holds(Check.Throws<ArgumentException>(() => Make(null, new SampleParameter("c", [1, 2, 3, 4, 5, double.NaN]))).Message, "sample 5");
    }

    private static void Losses()
    {
        using OperatorData train = Derivatives(8, 24, 1);
        OperatorLoss[] terms = [OperatorLoss.L2(), OperatorLoss.H1(0.5), OperatorLoss.Sobolev(2, 0.1), OperatorLoss.Bands([0, 2, 4, 12], 0.1)];
        Check.Same(terms[1].Weight, 0.5, "weight");
        Check.Same(terms.Select(term => term.Name).Distinct().Count(), 4, "names");
        foreach (LossBalancing balancing in Enum.GetValues<LossBalancing>())
        {
            OperatorOptions options = s_quick with { Epochs = 2, Losses = terms, Balancing = balancing, Strides = [2, 1] };
            using OperatorModel model = OperatorTrainer.Fit(train, options);
            Check.That(model.Curve.All(point => double.IsFinite(point.Loss)), $"losses with {balancing}");
        }

        using OperatorData poisson = PdeData.Poisson(new() { Samples = 4, Grid = 16, Dimension = 1 });
        long parameters = OperatorTrainer.Check(poisson, s_quick with { Losses = [OperatorLoss.PoissonResidual()] });
        Check.That(parameters > 100, $"{parameters} parameters");
        Check.Throws<ArgumentException>(() => OperatorLoss.L2(-1));
        Check.Throws<ArgumentNullException>(() => OperatorLoss.Bands(null!));
        Check.Throws<ArgumentException>(() => OperatorTrainer.Check(train, s_quick with { Losses = [OperatorLoss.L2(), OperatorLoss.L2()] }));
        Check.Throws<ArgumentException>(() => OperatorTrainer.Check(train, s_quick with { Losses = [OperatorLoss.Boundary([0])] }));
    }

    private static void Spectra()
    {
        double[] wave = [.. Enumerable.Range(0, 16).Select(j => Math.Cos(2 * Math.PI * 3 * j / 16))];
        using OperatorData data = OperatorData.FromArrays([new("f", [1, 16], wave)], new("u", [1, 16], wave), 1, boundary: BoundaryCondition.Periodic);
        IReadOnlyList<double> energy = data.Spectrum("u");
        Check.Same(energy.Count, 9, "wave numbers 0 to 8");
        Check.Near(energy[3], 0.5, 1e-12, "its wave number");
        Check.Near(energy.Sum(), 0.5, 1e-12, "all others");
        Check.Same(data.Boundaries[0], BoundaryCondition.Periodic, "boundary");
        Check.Near(data.Output.Coordinates[0][4], 0.25, 1e-15, "coordinates");
        Check.That(data.Output.IsGrid && data.Output.IsUniform, $"points");
        Check.Throws<ArgumentException>(() => data.Spectrum("v"));
    }

    private static void Refuses()
    {
        using OperatorData data = Derivatives(4, 16, 1);
        Check.Throws<ArgumentNullException>(() => OperatorTrainer.Fit(null!));
        Check.Throws<ArgumentNullException>(() => OperatorTrainer.Check(null!));
        string modes = Check.Throws<ArgumentException>(() => OperatorTrainer.Check(data, s_quick with { Modes = [12] })).Message;
        Check.Holds(modes, "12 modes");
        Check.Holds(modes, "16 points");
        Check.Holds(Check.Throws<ArgumentException>(() => OperatorTrainer.Check(data, s_quick with { Modes = [3, 3] })).Message, "1 axes");
        Check.Holds(Check.Throws<ArgumentException>(() => OperatorTrainer.Fit(data, s_quick with { Epochs = 0 })).Message, "Epochs");
        Check.Holds(Check.Throws<ArgumentException>(() => OperatorTrainer.Fit(data, s_quick with { History = 1 })).Message, "no times");
        Check.Holds(Check.Throws<ArgumentException>(() => OperatorTrainer.Check(data, s_quick with { Strides = [3] })).Message, "16");
        using OperatorModel model = OperatorTrainer.Fit(data, s_quick with { Epochs = 1 });
        using OperatorData plane = PdeData.Poisson(new() { Samples = 1, Grid = 8 });
        Check.Holds(Check.Throws<ArgumentException>(() => model.Evaluate(plane)).Message, "made for");
        Check.Throws<ArgumentException>(() => model.PredictAt(data, 16, 16));
        Check.Throws<FileNotFoundException>(() => OperatorModel.Load(Path.Combine(Path.GetTempPath(), "no such operator.safetensors")));
    }

    private static void Resumes()
    {
        using OperatorData data = Derivatives(16, 24, 1);
        string file = Path.Combine(Path.GetTempPath(), $"operator-{Guid.NewGuid():N}.safetensors");
        try
        {
            OperatorOptions options = s_quick with { Epochs = 6 };
            using OperatorModel whole = OperatorTrainer.Fit(data, options);
            OperatorOptions kept = options with { CheckpointPath = file, Resume = true };
            using CancellationTokenSource stop = new();
            List<FitProgress> reports = [];
            Check.Throws<OperationCanceledException>(() => OperatorTrainer.Fit(data, kept, null, new Collector(reports, () => stop.Cancel(), 5), stop.Token));
            Check.Same(reports.Count, 5, "iterations before");
            using OperatorModel resumed = OperatorTrainer.Fit(data, kept);
            using OperatorData a = whole.Predict(data);
            using OperatorData b = resumed.Predict(data);
            Check.That(a.Values("slope").SequenceEqual(b.Values("slope")), $"bit for bit as without the interruption");
        }
        finally
        {
            File.Delete(file);
        }
    }

    private static void Idle()
    {
        using OperatorData data = Derivatives(4, 16, 1);
        foreach (
            (OperatorOptions options, string name) in new (OperatorOptions, string)[]
            {
                (s_quick with { Rank = 0.3 }, "Rank"),
                (s_quick with { Kind = OperatorKind.Uno, Layers = 4, Mlp = 2 }, "Mlp"),
                (s_quick with { Kind = OperatorKind.Uno }, "Layers"),
                (new() { Kind = OperatorKind.DeepONet, Normalised = true }, "Normalised"),
                (new() { Kind = OperatorKind.DeepONet, Residual = true }, "Residual"),
                (new() { Kind = OperatorKind.DeepONet, Modes = [4] }, "Modes"),
                (s_quick with { Unroll = 2 }, "Unroll"),
                (s_quick with { Growth = 1 }, "Growth"),
                (s_quick with { Patience = 3 }, "Patience"),
                (s_quick with { Resolutions = ResolutionUse.Curriculum }, "Resolutions"),
            }
        )
        {
            string message = Check.Throws<ArgumentException>(() => OperatorTrainer.Fit(data, options)).Message;
            Check.Holds(message, name);
            Check.Holds(message, "default");
        }

        foreach (
            (OperatorOptions options, string name) in new (OperatorOptions, string)[]
            {
                (s_quick with { FirstModes = [2], Growth = 0 }, "above 0"),
                (s_quick with { Symmetries = (BoxSymmetries)77 }, "no BoxSymmetries"),
                (s_quick with { Modes = null! }, "Modes"),
                (s_quick with { Losses = [null!] }, "Losses"),
                (s_quick with { Threads = 100_000 }, "1024"),
                (s_quick with { Mlp = double.NaN }, "not negative"),
                (s_quick with { Modes = [int.MaxValue] }, "fewer modes"),
                (s_quick with { ValidateEvery = 0 }, "ValidateEvery"),
            }
        )
        {
            Check.Holds(Check.Throws<ArgumentException>(() => OperatorTrainer.Fit(data, options)).Message, name);
        }

        Check.Throws<ArgumentException>(() => OperatorLoss.Bands([2, 1]));
        Check.Throws<ArgumentException>(() => OperatorLoss.Sobolev(double.NaN));
        using OperatorData plane = PdeData.Poisson(new() { Samples = 2, Grid = 16 });
        Check.Holds(Check.Throws<ArgumentException>(() => OperatorTrainer.Check(data, s_quick, plane)).Message, "lives on");
        OperatorData gone = Derivatives(2, 16, 1);
        gone.Dispose();
        gone.Dispose();
        Check.Throws<ObjectDisposedException>(() => gone.Values("f"));
        OperatorModel left = OperatorTrainer.Fit(data, s_quick with { Epochs = 1 });
        left.Dispose();
        Check.Throws<ObjectDisposedException>(() => left.Predict(data));
        Check.Throws<ObjectDisposedException>(() => _ = left.ParameterCount);
    }

    private static void Unknown()
    {
        using OperatorData data = Derivatives(12, 24, 1);
        using OperatorModel model = OperatorTrainer.Fit(data, s_quick with { Epochs = 2 });
        using OperatorModel growing = OperatorTrainer.Fit(data, s_quick with { Epochs = 2, FirstModes = [2] });
        Check.Same(growing.ParameterCount, model.ParameterCount, "the modes wait among the parameters");
        using OperatorData known = model.Predict(data);
        FunctionArray f = new("f", [12, 24], data.Values("f"));
        using OperatorData images = model.Predict([f]);
        Check.That(images.Values("image").SequenceEqual(known.Values("slope")), $"the same images");
        Check.That(images.Values("f").SequenceEqual(known.Values("f")), $"the same inputs");
        using OperatorData finer = model.Predict([f], sizes: [48]);
        Check.Same(finer.Output.Points[0], 48, "points");
        Check.Holds(Check.Throws<ArgumentException>(() => model.Predict([new("f", [1, 2, 24], new double[48])])).Message, "[2]");
        Check.Throws<ArgumentException>(() => model.Predict([]));
        string file = Path.Combine(Path.GetTempPath(), $"images-{Guid.NewGuid():N}.npz");
        try
        {
            data.Save(file);
            string name = OperatorData.Arrays(file).Keys.First(key => key.Contains("input", StringComparison.Ordinal) && key.EndsWith("values", StringComparison.Ordinal));
            using OperatorData read = model.PredictArrays(file, [name]);
            Check.That(read.Values("image").SequenceEqual(known.Values("slope")), $"from arrays of a file");
        }
        finally
        {
            File.Delete(file);
        }

        // With a parameter and a mask.
        double[] ones = [.. Enumerable.Repeat(1.0, 4 * 9)];
        FunctionArray flat = new("f", [4, 9], ones);
        FunctionArray mask = new("mask", [9], [1, 1, 1, 1, 1, 1, 0, 0, 0]);
        SampleParameter c = new("c", [1, 2, 3, 4]);
        using OperatorData cases = OperatorData.FromArrays([flat], new("u", [4, 9], ones), 1, parameters: [c], mask: mask);
        using OperatorModel other = OperatorTrainer.Fit(cases, s_quick with { Modes = [3], Epochs = 1 });
        using OperatorData a = other.Predict(cases);
        using OperatorData b = other.Predict([flat], [c], mask);
        Check.That(a.Values("u").SequenceEqual(b.Values("image")), $"with parameters and mask");
        string arrays = Path.Combine(Path.GetTempPath(), $"arrays-{Guid.NewGuid():N}.h5");
        try
        {
            cases.Save(arrays);
            Check.That(OperatorData.IsDataFile(arrays), $"operator data");
            Check.Holds(
                Check
                    .Throws<ArgumentException>(() =>
                        OperatorData.LoadArrays(arrays, ["input_0/values"], "output/values", 1, parameters: ["input_0/values"]).Dispose()
                    )
                    .Message,
                "one number each"
            );
        }
        finally
        {
            File.Delete(arrays);
        }

        Check.Holds(Check.Throws<ArgumentException>(() => new FunctionArray("f", [10, 33], new double[300]).Save("f.npz")).Message, "330 values; 300");
        Check.Holds(Check.Throws<ArgumentException>(() => model.Predict([new("f", [1, 24], [double.NaN, .. new double[23]])])).Message, "'f' has 1 values");
        int threads = ContinuumRuntime.Threads;
        ContinuumRuntime.Threads = 1;
        Check.Same(ContinuumRuntime.Threads, 1, "threads");
        ContinuumRuntime.Threads = threads;
        Check.Throws<ArgumentOutOfRangeException>(() => ContinuumRuntime.Threads = 0);
    }

    private static void Clean()
    {
        using OperatorData data = Derivatives(4, 16, 1);
        void Work()
        {
            using OperatorModel model = OperatorTrainer.Fit(data, s_quick with { Epochs = 1 }, data);
            using OperatorData images = model.PredictAt(data, 20);
            using OperatorData others = model.Predict([new("f", [4, 16], data.Values("f"))]);
            _ = model.Evaluate(data);
            _ = images.Spectrum("slope");
            _ = OperatorTrainer.Check(data, s_quick);
            Check.Throws<ArgumentException>(() => OperatorTrainer.Check(data, s_quick with { Modes = [12] }));
        }

        Work();
        long before = DisposeScopeManager.Statistics.ThreadTotalLiveCount;
        Work();
        Check.Same(DisposeScopeManager.Statistics.ThreadTotalLiveCount - before, 0L, "live tensors");
    }

    private sealed class Collector(List<FitProgress> reports, Action? then = null, int after = 0) : IProgress<FitProgress>
    {
        public void Report(FitProgress value)
        {
            reports.Add(value);
            if (reports.Count == after)
            {
                then?.Invoke();
            }
        }
    }
}
