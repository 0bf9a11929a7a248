using System;

namespace Continuum.Cli;

/// <summary>Runs `continuum operator predict`.</summary>
internal static class OperatorPredictRun
{
    internal static int Run(string modelFile, string dataFile, string output, int[]? grid, bool quiet)
    {
        PdeGenerateRun.CheckFile(output);
        using OperatorModel model = OperatorDataFile.LoadModel(modelFile);
        using OperatorData data = OperatorDataFile.Load(dataFile);
        using OperatorData images = FitSession.Checked(() =>
            grid is null ? model.Predict(data) : model.PredictAt(data, OperatorCommand.ForAxes("--grid", grid, data.Boundaries.Count))
        );
        images.Save(output);
        if (!quiet)
        {
            Console.WriteLine($"{model.Kind}: {PdeInfo.Summary(images)}");
            Console.WriteLine($"{output}: {PdeGenerateRun.Size(output)}");
        }

        return ExitCode.Success;
    }
}
