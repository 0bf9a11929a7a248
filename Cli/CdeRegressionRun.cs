using System;
using System.Collections.Generic;
using System.IO;
using System.Linq;

namespace Continuum.Cli;

/// <summary>Numbers of subjects, beside the mean of the subjects that were fitted.</summary>
internal sealed class CdeRegressionRun(CdeFitArguments arguments, IrregularDataset train, IrregularDataset heldOut)
    : CdeFitRun(arguments, train, heldOut, "fit.png")
{
    private protected override NeuralCdeTask Task => NeuralCdeTask.Regression;

    private protected override CdeEvaluation Evaluate(NeuralCdeModel model)
    {
        double[,] predicted = model.Predict(HeldOut);
        PredictedNumbers[] numbers =
        [
            .. HeldOut.TargetNames.Select(
                (name, k) =>
                {
                    double mean = Enumerable.Range(0, Train.Count).Average(i => Train.Targets(i)[k]);
                    int[] subjects = [.. Enumerable.Range(0, HeldOut.Count)];
                    return new PredictedNumbers(
                        name,
                        [.. subjects.Select(i => HeldOut.Targets(i)[k])],
                        [.. subjects.Select(i => predicted[i, k])],
                        [.. subjects.Select(_ => mean)]
                    );
                }
            ),
        ];
        return new(writer => WritePredictions(writer, numbers), () => PredictedNumbers.Draw(Title(), numbers), () => Print(numbers));
    }

    private string Title() => $"{Arguments.DataName}: {HeldOut.Count} held-out subjects";

    private void Print(PredictedNumbers[] numbers)
    {
        Console.WriteLine($"the {HeldOut.Count} held-out subjects:");
        PredictedNumbers.Print(numbers, "mean of the others");
    }

    private void WritePredictions(TextWriter writer, PredictedNumbers[] numbers)
    {
        writer.WriteLine(string.Join(',', numbers.SelectMany(one => (string[])[one.Name, $"{one.Name}_predicted"]).Prepend("id").Select(Cell)));
        for (int i = 0; i < HeldOut.Count; i++)
        {
            IEnumerable<string> cells = numbers.SelectMany(one => (string[])[Numbers.Exact(one.Truth[i]), Numbers.Exact(one.Predicted[i])]);
            writer.WriteLine(string.Join(',', cells.Prepend(Cell(HeldOut.Ids[i]))));
        }
    }
}
