using System;
using System.Collections.Generic;
using System.IO;
using System.Linq;
using System.Threading;

namespace Continuum.Cli;

/// <summary>What a fitted model is worth on the held-out subjects.</summary>
/// <param name="Write">Writes its predictions as CSV.</param>
/// <param name="Draw">Draws them as PNG; null where there is nothing to draw.</param>
/// <param name="Print">Prints how good they are, beside a simple model.</param>
internal sealed record CdeEvaluation(Action<TextWriter> Write, Func<byte[]>? Draw, Action Print);

/// <summary>One `continuum fit --model neural-cde`: trains on some subjects, compares on the others with a simple model, writes.</summary>
internal abstract class CdeFitRun(CdeFitArguments arguments, IrregularDataset train, IrregularDataset heldOut, string plotFile)
{
    private const string PredictionsFile = "predictions.csv";

    /// <summary>Up to here the options are those for few subjects.</summary>
    private const int SmallData = 1000;

    private protected FitArguments Arguments { get; } = arguments.Common;

    /// <summary>The subjects to fit.</summary>
    private protected IrregularDataset Train { get; } = train;

    /// <summary>The others.</summary>
    private protected IrregularDataset HeldOut { get; } = heldOut;

    private protected abstract NeuralCdeTask Task { get; }

    internal static int Run(CdeFitArguments arguments)
    {
        ContinuumRuntime.EnsureLoaded();
        NeuralCdeTask task = arguments.Task();
        double share = arguments.Common.Split.SubjectShare;
        IrregularDataset data = arguments.Read(task);
        (IrregularDataset train, IrregularDataset heldOut) = FitSession.Checked(() => data.Split(share, arguments.Common.Seed));
        CdeFitRun run = task switch
        {
            NeuralCdeTask.Classification => new CdeClassificationRun(arguments, train, heldOut),
            NeuralCdeTask.Regression => new CdeRegressionRun(arguments, train, heldOut),
            _ => new CdeForecastRun(arguments, train, heldOut),
        };
        return run.Run();
    }

    /// <summary>Predicts for the held-out subjects.</summary>
    private protected abstract CdeEvaluation Evaluate(NeuralCdeModel model);

    /// <summary>The subjects of a part, for people.</summary>
    private protected virtual string Describe(IrregularDataset part) => "";

    private protected static string Cell(string text) =>
        text.AsSpan().ContainsAny(",\"\r\n") ? $"\"{text.Replace("\"", "\"\"", StringComparison.Ordinal)}\"" : text;

    private int Run()
    {
        OutputFolder folder = OutputFolder.Open(Arguments.Folder, FitSession.ModelFile, FitSession.TrainingFile, PredictionsFile, plotFile);
        string checkpoint = folder.PathOf(FitSession.TrainingFile);
        return FitSession.Run(checkpoint, Arguments.Resume, Arguments.Quiet, cancellation => Fit(folder, checkpoint, cancellation));
    }

    private void Fit(OutputFolder folder, string checkpoint, CancellationToken cancellation)
    {
        using NeuralCdeModel model = FitSession.Checked(() =>
            ProgressView.Run(Arguments.Quiet, "fitting the neural CDE", progress => NeuralCdeModel.Fit(Train, Options(checkpoint), progress, cancellation))
        );
        CdeEvaluation evaluation = Evaluate(model);
        List<string> written = Write(model, evaluation, folder);
        File.Delete(checkpoint);
        if (!Arguments.Quiet)
        {
            Console.WriteLine(
                $"neural CDE of {Train.Channels.Count} channels and {Train.Statics.Count} covariates: {Train.Count} subjects{Describe(Train)}, "
                    + $"{model.Iterations} iterations, loss {Numbers.Short(model.TrainingLoss)}, seed {Arguments.Seed}"
            );
            evaluation.Print();
            FitReport.PrintFiles(written);
        }
    }

    private NeuralCdeOptions Options(string checkpoint)
    {
        NeuralCdeOptions options = Train.Count <= SmallData ? Small() : new();
        options = options with
        {
            Task = Task,
            Seed = Arguments.Seed,
            Threads = Arguments.Threads,
            CheckpointPath = checkpoint,
            CheckpointEvery = 25,
            Resume = Arguments.Resume && File.Exists(checkpoint),
        };
        options = Arguments.Hidden is { } hidden ? options with { Hidden = hidden } : options;
        options = Arguments.Iterations is { } iterations ? options with { Iterations = iterations } : options;
        return Arguments.LearningRate is { } rate ? options with { LearningRate = rate } : options;
    }

    /// <summary>
    /// Options for few subjects. Numbers and forecasts tell more of each subject than a class does: the fields may learn faster and need less of a
    /// penalty (found on slopes of straight lines and on examples/data/pbcseq.csv).
    /// </summary>
    private NeuralCdeOptions Small() =>
        Task == NeuralCdeTask.Classification
            ? NeuralCdeOptions.Small
            : NeuralCdeOptions.Small with { State = 8, FieldRate = 1, WeightDecay = 0.01, Iterations = 200 };

    private List<string> Write(NeuralCdeModel model, CdeEvaluation evaluation, OutputFolder folder)
    {
        // The picture first: the one that may fail for reasons of its own, while nothing of an earlier fit is replaced yet.
        byte[]? picture = Arguments.Plot ? evaluation.Draw?.Invoke() : null;
        List<string> written = [folder.PathOf(FitSession.ModelFile), folder.PathOf(PredictionsFile)];
        model.Save(written[0]);
        OutputFolder.Write(written[1], evaluation.Write);
        if (picture is not null)
        {
            written.Add(folder.PathOf(plotFile));
            OutputFolder.Write(written[^1], picture);
        }

        return written;
    }
}
