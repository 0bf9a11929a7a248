using System;
using System.Collections.Generic;
using System.IO;
using System.Linq;
using Spectre.Console;

namespace Continuum.Cli;

/// <summary>Classes of subjects, beside logistic regression on last values where there are two.</summary>
internal sealed class CdeClassificationRun : CdeFitRun
{
    internal CdeClassificationRun(CdeFitArguments arguments, IrregularDataset train, IrregularDataset heldOut)
        : base(arguments, train, heldOut, "roc.png")
    {
        CheckClasses(train, "to fit");
        CheckClasses(heldOut, "held out");
    }

    private protected override NeuralCdeTask Task => NeuralCdeTask.Classification;

    private protected override CdeEvaluation Evaluate(NeuralCdeModel model)
    {
        double[,] chances = model.Predict(HeldOut);
        ClassificationReport report = new(HeldOut.Labels, chances);
        LastValueClassifier? simple = model.Outputs.Count == 2 ? FitSession.Checked(() => LastValueClassifier.Fit(Train, Arguments.Seed)) : null;
        ClassificationReport? rival = simple?.Evaluate(HeldOut);
        return new(
            writer => WritePredictions(writer, chances),
            rival is null ? null : () => RocPlot.Draw(Arguments.DataName, report, rival),
            () => Print(report, rival)
        );
    }

    private protected override string Describe(IrregularDataset part) =>
        $" ({string.Join(", ", part.ClassNames.Select((name, k) => $"{name}: {part.Labels.Count(label => label == k)}"))})";

    private static void CheckClasses(IrregularDataset part, string what)
    {
        if (part.Labels.Distinct().Count() < 2)
        {
            throw new UsageException($"all {part.Count} subjects {what} are of one class; choose another --split, --seed, landmark or horizon");
        }
    }

    private static void AddRow(Table table, string name, ClassificationReport report) =>
        table.AddRow(name, Markup.Escape(report.Auroc.ToString()), Numbers.Short(report.Accuracy), Numbers.Short(report.LogLoss));

    private void Print(ClassificationReport report, ClassificationReport? rival)
    {
        Console.WriteLine($"the {HeldOut.Count} held-out subjects{Describe(HeldOut)}:");
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

    private void WritePredictions(TextWriter writer, double[,] chances)
    {
        writer.WriteLine(string.Join(',', HeldOut.ClassNames.Select(name => $"p_{name}").Prepend("class").Prepend("id").Select(Cell)));
        for (int i = 0; i < HeldOut.Count; i++)
        {
            IEnumerable<string> cells = Enumerable.Range(0, chances.GetLength(1)).Select(k => Numbers.Exact(chances[i, k]));
            writer.WriteLine(string.Join(',', cells.Prepend(Cell(HeldOut.ClassNames[HeldOut.Labels[i]])).Prepend(Cell(HeldOut.Ids[i]))));
        }
    }
}
