using System;
using System.IO;
using System.Linq;
using Continuum;

namespace Examples;

/// <summary>
/// Patients with primary biliary cirrhosis, seen at irregular visits with missing values: who of those at risk after three years dies or is
/// transplanted within the next three? A neural controlled equation reads the visits up to then; logistic regression reads the last values.
/// </summary>
internal static class Patients
{
    private const double Year = 365.25;

    internal static void Run()
    {
        IrregularDataset visits = IrregularDataset.ReadCsv(
            Path.Combine(LynxHare.Data(), "pbcseq.csv"),
            new IrregularCsvOptions { IdColumn = "id", TimeColumn = "day", Statics = ["age", "sex", "trt"], Targets = ["futime", "status"] }
        );
        IrregularDataset atRisk = visits.AtLandmark("futime", "status", [1, 2], landmark: 3 * Year, horizon: 3 * Year);
        (IrregularDataset train, IrregularDataset test) = atRisk.Split(0.7, seed: 1);
        Console.WriteLine($"{visits.Count} patients, {atRisk.Count} at risk whose outcome is known, {atRisk.Labels.Sum()} with an event");

        using NeuralCdeModel model = NeuralCdeModel.Fit(train, NeuralCdeOptions.Small with { Seed = 1 });
        ClassificationReport report = model.Evaluate(test);
        ClassificationReport rival = LastValueClassifier.Fit(train).Evaluate(test);
        Console.WriteLine($"AUROC on {test.Count} held-out patients: neural CDE {report.Auroc}, logistic regression on last values {rival.Auroc}");

        // The risk of one patient as visits arrive: the model is causal, so row i uses visits up to i alone.
        double[,] course = model.PredictOverTime(test)[0];
        Console.WriteLine($"risk of {test.Ids[0]}: {string.Join(", ", Enumerable.Range(0, course.GetLength(0)).Select(i => course[i, 1].ToString("p0")))}");

        string file = Path.Combine(Path.GetTempPath(), $"patients-{Guid.NewGuid():n}.safetensors");
        model.Save(file);
        using NeuralCdeModel again = NeuralCdeModel.Load(file);
        File.Delete(file);
        Check.That(report.Auroc.Value > 0.7, $"patients: the held-out AUROC is {report.Auroc.Value:f3}");
        Check.That(again.Predict(test).Cast<double>().SequenceEqual(model.Predict(test).Cast<double>()), "patients: a model from its file predicts the same");
    }
}
