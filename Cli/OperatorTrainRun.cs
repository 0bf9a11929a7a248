using System;
using System.Collections.Generic;
using System.Globalization;
using System.IO;
using System.Linq;
using System.Threading;

namespace Continuum.Cli;

/// <summary>One `continuum operator train`: reads, checks, trains, compares, and only then writes the results.</summary>
internal sealed class OperatorTrainRun : IDisposable
{
    private const string CurveFile = "curve.csv";

    private readonly OperatorArguments _arguments;
    private readonly OperatorData _train;
    private readonly OperatorData? _validation;
    private readonly OperatorData _test;
    private readonly int _firstTest;
    private readonly OperatorOptions _options;
    private readonly OutputFolder _folder;

    private OperatorTrainRun(OperatorArguments arguments)
    {
        _arguments = arguments;
        (OperatorData all, _test, _firstTest) = Samples(arguments);
        int held = (int)Math.Round(arguments.Validation * all.Count);
        (_train, _validation) = held > 0 && held < all.Count ? all.Split(all.Count - held) : (all, null);
        if (_validation is not null)
        {
            all.Dispose();
        }

        OperatorOptions options = arguments.Options with { Losses = [.. arguments.Losses.Select(term => FitSession.Checked(() => term.Make(_train)))] };
        FitSession.Checked(() => OperatorTrainer.Check(_train, options, _test));
        _folder = OutputFolder.Open(
            arguments.Folder,
            FitSession.ModelFile,
            FitSession.TrainingFile,
            OperatorResults.MetricsFile,
            OperatorResults.ReportFile,
            CurveFile
        );
        string checkpoint = _folder.PathOf(FitSession.TrainingFile);
        _options = options with { CheckpointPath = checkpoint, Resume = arguments.Resume && File.Exists(checkpoint) };
    }

    private int IterationsPerEpoch => (_train.Count + _options.BatchSize - 1) / _options.BatchSize;

    internal static int Run(OperatorArguments arguments)
    {
        using OperatorTrainRun run = new(arguments);
        return FitSession.Run(run._options.CheckpointPath!, arguments.Resume, arguments.Quiet, run.Run);
    }

    public void Dispose()
    {
        _train.Dispose();
        _validation?.Dispose();
        _test.Dispose();
    }

    /// <summary>Samples to learn from, those for the test, and the number of the first of these in its file.</summary>
    private static (OperatorData Train, OperatorData Test, int First) Samples(OperatorArguments arguments)
    {
        OperatorData data = OperatorDataFile.Load(arguments.Data);
        if (arguments.Test is { } test)
        {
            return (data, OperatorDataFile.Load(test), 0);
        }

        using (data)
        {
            int kept = arguments.Split.Of(data.Count);
            (OperatorData first, OperatorData others) = data.Split(kept);
            return (first, others, kept);
        }
    }

    private void Run(CancellationToken cancellation)
    {
        using OperatorModel model = FitSession.Checked(() =>
            ProgressView.Run(
                _arguments.Quiet,
                $"training the {_arguments.Model}",
                progress => OperatorTrainer.Fit(_train, _options, _validation, progress, cancellation),
                "samples"
            )
        );
        OperatorResults results = new(model, _test, _firstTest, _options.Strides);
        cancellation.ThrowIfCancellationRequested();
        List<string> written = Write(model, results);
        if (!_arguments.Quiet)
        {
            Print(model, results);
            FitReport.PrintFiles(written);
        }
    }

    private void Print(OperatorModel model, OperatorResults results)
    {
        string validation = _validation is null ? "" : $", validation error {Numbers.Short(model.ValidationError)}";
        Console.WriteLine($"{model.Kind}: {PdeInfo.Summary(_train)}");
        Console.WriteLine(
            $"{OperatorReport.Count(model.ParameterCount)} parameters, {_options.Epochs} epochs in {Numbers.Duration(model.TrainingTime)}{validation}, seed {_options.Seed}"
        );
        OperatorReport.PrintErrors(results);
    }

    private List<string> Write(OperatorModel model, OperatorResults results)
    {
        // Pictures and page first: what may fail for reasons of its own, while nothing of an earlier training is replaced yet.
        Picture[] pictures = _arguments.Plot ? [.. results.Pictures()] : [];
        Picture? learning = _arguments.Plot
            ? new("curve.png", "Loss of the training and relative L2 error of the validation samples by epoch.", CurvePlot.Learning(model.Curve, IterationsPerEpoch))
            : null;
        byte[] page = OperatorReport.Page($"{_arguments.DataName}: {model.Kind}", model, Facts(model), _test, results, learning, pictures);
        string file = _folder.PathOf(FitSession.ModelFile);
        string curve = _folder.PathOf(CurveFile);
        model.Save(file);
        OutputFolder.Write(curve, writer => WriteCurve(writer, model.Curve));
        List<string> others = OperatorEvaluateRun.Write(_folder, results, page, learning is null ? pictures : [.. pictures, learning]);
        File.Delete(_options.CheckpointPath!);
        return [file, curve, .. others];
    }

    private void WriteCurve(TextWriter writer, IReadOnlyList<LearningPoint> curve)
    {
        writer.WriteLine("iteration,epoch,loss,validation");
        foreach (LearningPoint point in curve)
        {
            writer.WriteLine(
                $"{point.Iteration},{Numbers.Exact((double)point.Iteration / IterationsPerEpoch)},{Numbers.Exact(point.Loss)},{Numbers.Exact(point.Validation)}"
            );
        }
    }

    /// <summary>How the operator was made, for the page.</summary>
    private IEnumerable<(string Name, string Value)> Facts(OperatorModel model)
    {
        OperatorOptions o = _options;
        bool series = o.Kind != OperatorKind.DeepONet;
        yield return ("model", _arguments.Model);
        yield return ("modes", series ? string.Join(", ", o.Modes) : "");
        yield return ("width", Text(o.Width));
        yield return ("layers", o.Kind is OperatorKind.Fno or OperatorKind.Tfno ? Text(o.Layers) : "");
        yield return ("padding", series ? Numbers.Exact(o.Padding) : "");
        yield return ("precision", o.DoublePrecision ? "64 bits" : "32 bits");
        yield return ("trained on", $"{_arguments.Data}: {PdeInfo.Summary(_train)}");
        yield return ("validation", _validation is null ? "none: the last parameters are kept" : $"{_validation.Count} samples, best mean error {Numbers.Short(model.ValidationError)}");
        yield return ("test", _arguments.Test ?? $"samples {_firstTest} to {_firstTest + _test.Count - 1} of {_arguments.Data}");
        yield return ("epochs", $"{o.Epochs} of batches of {o.BatchSize}");
        yield return ("largest rate", Numbers.Exact(o.LearningRate));
        yield return ("loss", string.Join(", ", _arguments.Losses));
        yield return ("balance", _arguments.Losses.Count > 1 ? o.Balancing.ToString() : "");
        yield return ("strides", o.Strides.Count > 1 || o.Strides[0] != 1 ? $"{string.Join(", ", o.Strides)} ({o.Resolutions})" : "");
        yield return ("motions", o.History == 0 ? "" : $"history {o.History}, unroll {o.Unroll}, pushforward {o.Pushforward}, noise {Numbers.Exact(o.Noise)}");
        yield return ("seed", Text(o.Seed));
        yield return ("time", Numbers.Duration(model.TrainingTime));
        yield return ("source", _train.Source);
    }

    private static string Text(int number) => number.ToString(CultureInfo.InvariantCulture);
}
