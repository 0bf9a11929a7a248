using System;
using System.IO;
using System.Linq;
using Continuum;

namespace Examples;

/// <summary>
/// Darcy flow as an operator: from the permeability of the ground to the pressure of the water in it. The operator learns on 15 x 15 nodes from data that the
/// library's own finite volumes make, and answers on 29 x 29.
/// </summary>
internal static class Operators
{
    internal static void Run()
    {
        // Solved on 57 x 57 nodes, kept on 29 x 29; training sees every second of those.
        using OperatorData fine = PdeData.Darcy(new DarcyOptions { Samples = 240, Grid = 29, FineGrid = 57, Coefficient = DarcyCoefficient.Lognormal });
        using OperatorData coarse = fine.Stride(2, 2);
        (OperatorData train, OperatorData test) = coarse.Split(200);
        (OperatorData rest, OperatorData fineTest) = fine.Split(200);
        rest.Dispose();

        OperatorOptions options = new()
        {
            Modes = [6],
            Width = 16,
            Epochs = 20,
            LearningRate = 5e-3,
        };
        using OperatorModel model = OperatorTrainer.Fit(train, options);
        OperatorEvaluation known = model.Evaluate(test);
        OperatorEvaluation finer = model.Evaluate(fineTest);
        Console.WriteLine($"{model.ParameterCount} parameters, {model.Iterations} iterations in {model.TrainingTime.TotalSeconds:f0} s");
        Console.WriteLine($"relative L2 error on new samples: {known.MeanL2:p2} on 15 x 15 nodes, {finer.MeanL2:p2} on 29 x 29");

        string file = Path.Combine(Path.GetTempPath(), $"darcy-{Guid.NewGuid():n}.safetensors");
        model.Save(file);
        using OperatorModel again = OperatorModel.Load(file);
        File.Delete(file);
        using OperatorData images = model.Predict(test);
        using OperatorData same = again.Predict(test);
        Check.That(known.MeanL2 < 0.15, $"operators: the error is {known.MeanL2:f4}");
        Check.That(finer.MeanL2 < 1.3 * known.MeanL2, $"operators: on finer nodes the error is {finer.MeanL2:f4}");
        Check.That(images.Values("u").SequenceEqual(same.Values("u")), "operators: a model from its file predicts the same");
        train.Dispose();
        test.Dispose();
        fineTest.Dispose();
    }
}
