using System;
using System.Collections.Generic;
using System.IO;
using System.Linq;
using Continuum;

namespace Facade;

/// <summary>The C# code of docs/Operators.md, as it stands there.</summary>
internal static class OperatorSnippets
{
    internal static IEnumerable<(string Name, Action Body)> All => [("docs: an operator from arrays", FromArrays)];

    private static void FromArrays()
    {
        (int count, int n, int first, int epochs) = (24, 32, 16, 2);
        double[] starts = [.. Enumerable.Range(0, count * n).Select(i => Math.Sin((2 * Math.PI * (i % n) / n) + (i / n)))];
        double[] ends = [.. starts.Select(value => value * value)];
        string file = Path.Combine(Path.GetTempPath(), $"operator-{Guid.NewGuid():N}.safetensors");
        try
        {
            // arrays
            using OperatorData data = OperatorData.FromArrays(
                [new FunctionArray("start", [count, n], starts)],     // samples x points, the last index fastest
                new FunctionArray("end", [count, n], ends),
                dimension: 1,
                length: 1,
                boundary: BoundaryCondition.Periodic);
            (OperatorData train, OperatorData test) = data.Split(first);

            using OperatorModel model = OperatorTrainer.Fit(train, new OperatorOptions { Modes = [8], Width = 16, Epochs = epochs });
            Console.WriteLine($"relative L2 error on new samples: {model.Evaluate(test).MeanL2:p2}");

            model.Save(file);
            using OperatorData images = model.PredictAt(test, 4 * n);  // the same operator, asked on four times the points
            // end
            Check.Same(images.Output.Points[0], 4 * n, "points");
            train.Dispose();
            test.Dispose();
        }
        finally
        {
            File.Delete(file);
        }
    }
}
