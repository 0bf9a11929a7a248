using System;
using System.Collections.Generic;
using System.IO;
using System.Linq;
using System.Threading;
using Spectre.Console;

namespace Continuum.Cli;

/// <summary>One `continuum fit --model neural-cde`: trains on some subjects, compares on the others with logistic regression, writes.</summary>
internal sealed class CdeFitRun
{
    private const string PredictionsFile = "predictions.csv";
    private const string PlotFile = "roc.png";

    /// <summary>Up to here the options are those for few subjects.</summary>
    private const int SmallData = 1000;

    private readonly FitArguments _arguments;
    private readonly IrregularDataset _train;
    private readonly IrregularDataset _heldOut;
    private readonly OutputFolder _folder;
    private readonly string _checkpoint;

    private CdeFitRun(CdeFitArguments arguments)
    {
        _arguments = arguments.Common;
        ContinuumRuntime.EnsureLoaded();
        IrregularDataset data = arguments.Read();
        double share = _arguments.Split.SubjectShare;
        (_train, _heldOut) = FitSession.Checked(() => data.Split(share, _arguments.Seed));
        CheckClasses(_train, "to fit");
        CheckClasses(_heldOut, "held out");
        _folder = OutputFolder.Open(_arguments.Folder, FitSession.ModelFile, FitSession.TrainingFile, PredictionsFile, PlotFile);
        _checkpoint = _folder.PathOf(FitSession.TrainingFile);
    }

    internal static int Run(CdeFitArguments arguments)
    {
        CdeFitRun run = new(arguments);
        return FitSession.Run(run._checkpoint, arguments.Common.Resume, arguments.Common.Quiet, run.Run);
    }

    private static void CheckClasses(IrregularDataset part, string what)
    {
        if (part.Labels.Distinct().Count() < 2)
        {
            throw new UsageException($"all {part.Count} subjects {what} are of one class; choose another --split, --seed, landmark or horizon");
        }
    }

    private void Run(CancellationToken cancellation)
    {
        using NeuralCdeModel model = FitSession.Checked(() =>
            ProgressView.Run(_arguments.Quiet, "fitting the neural CDE", progress => NeuralCdeModel.Fit(_train, Options(), progress, cancellation))
        );
        double[,] chances = model.Predict(_heldOut);
        ClassificationReport report = new(_heldOut.Labels, chances);
        LastValueClassifier? simple = model.Outputs.Count == 2 ? FitSession.Checked(() => LastValueClassifier.Fit(_train, _arguments.Seed)) : null;
        ClassificationReport? rival = simple?.Evaluate(_heldOut);
        List<string> written = Write(model, chances, report, rival);
        if (!_arguments.Quiet)
        {
            Print(model, report, rival);
            FitReport.PrintFiles(written);
        }
    }

    private NeuralCdeOptions Options()
    {
        NeuralCdeOptions options = _train.Count <= SmallData ? NeuralCdeOptions.Small : new();
        options = options with
        {
            Seed = _arguments.Seed,
            Threads = _arguments.Threads,
            CheckpointPath = _checkpoint,
            CheckpointEvery = 25,
            Resume = _arguments.Resume && File.Exists(_checkpoint),
        };
        options = _arguments.Hidden is { } hidden ? options with { Hidden = hidden } : options;
        options = _arguments.Iterations is { } iterations ? options with { Iterations = iterations } : options;
        return _arguments.LearningRate is { } rate ? options with { LearningRate = rate } : options;
    }

    private void Print(NeuralCdeModel model, ClassificationReport report, ClassificationReport? rival)
    {
        Console.WriteLine(
            $"neural CDE of {_train.Channels.Count} channels and {_train.Statics.Count} covariates: {_train.Count} subjects ({Shares(_train)}), "
                + $"{model.Iterations} iterations, loss {Numbers.Short(model.TrainingLoss)}, seed {_arguments.Seed}"
        );
        Console.WriteLine($"the {_heldOut.Count} held-out subjects ({Shares(_heldOut)}):");
        Table table = Tables.Create();
        table.AddColumn("model");
        foreach (string name in (string[])["AUROC (95 %)", "accuracy", "log loss"])
        {
            table.AddColumn(new TableColumn(Markup.Escape(name)).RightAligned());
        }

        AddRow(table, "neural CDE", report);
        if (rival is not null)
        {
            AddRow(table, "logistic regression", rival);
        }

        AnsiConsole.Write(table);
        if (rival is not null)
        {
            Console.WriteLine($"logistic regression: of the last values of every channel and the covariates; difference of the AUROCs: {report.AurocMinus(rival)}");
        }
    }

    private static void AddRow(Table table, string name, ClassificationReport report) =>
        table.AddRow(name, Markup.Escape(report.Auroc.ToString()), Numbers.Short(report.Accuracy), Numbers.Short(report.LogLoss));

    private static string Shares(IrregularDataset data) =>
        string.Join(", ", data.ClassNames.Select((name, k) => $"{name}: {data.Labels.Count(label => label == k)}"));

    private List<string> Write(NeuralCdeModel model, double[,] chances, ClassificationReport report, ClassificationReport? rival)
    {
        // The picture first: the one that may fail for reasons of its own, while nothing of an earlier fit is replaced yet.
        byte[]? picture = _arguments.Plot && rival is not null ? RocPlot.Draw(_arguments.DataName, report, rival) : null;
        List<string> written = [_folder.PathOf(FitSession.ModelFile), _folder.PathOf(PredictionsFile)];
        model.Save(written[0]);
        OutputFolder.Write(written[1], writer => WritePredictions(writer, chances));
        if (picture is not null)
        {
            written.Add(_folder.PathOf(PlotFile));
            OutputFolder.Write(written[^1], picture);
        }

        File.Delete(_checkpoint);
        return written;
    }

    private void WritePredictions(TextWriter writer, double[,] chances)
    {
        writer.WriteLine(string.Join(',', _heldOut.ClassNames.Select(name => $"p_{name}").Prepend("class").Prepend("id").Select(Cell)));
        for (int i = 0; i < _heldOut.Count; i++)
        {
            IEnumerable<string> cells = Enumerable.Range(0, chances.GetLength(1)).Select(k => Numbers.Exact(chances[i, k]));
            writer.WriteLine(string.Join(',', cells.Prepend(Cell(_heldOut.ClassNames[_heldOut.Labels[i]])).Prepend(Cell(_heldOut.Ids[i]))));
        }
    }

    private static string Cell(string text) => text.AsSpan().ContainsAny(",\"\r\n") ? $"\"{text.Replace("\"", "\"\"", StringComparison.Ordinal)}\"" : text;
}
