using System;
using System.Collections.Generic;

namespace Continuum.Cli;

/// <summary>What `continuum operator predict` was asked to do.</summary>
internal sealed record OperatorPredictArguments
{
    internal required string Model { get; init; }

    internal required string Data { get; init; }

    /// <summary>Arrays of the file that are the input functions; none where it is a file of operator data.</summary>
    internal required IReadOnlyList<string> Inputs { get; init; }

    internal IReadOnlyList<string> Parameters { get; init; } = [];

    internal string? Mask { get; init; }

    internal required string Out { get; init; }

    internal int[]? Grid { get; init; }

    internal int? Threads { get; init; }

    internal bool Quiet { get; init; }
}

/// <summary>Runs `continuum operator predict`.</summary>
internal static class OperatorPredictRun
{
    internal static int Run(OperatorPredictArguments arguments)
    {
        PdeGenerateRun.CheckFile(arguments.Out);
        if (arguments.Inputs.Count == 0 && (arguments.Parameters.Count > 0 || arguments.Mask is not null))
        {
            throw new UsageException("--parameters and --mask name arrays of a file of arrays, and go with --input; a file of operator data has its own");
        }

        using OperatorModel model = OperatorDataFile.LoadModel(arguments.Model, arguments.Threads);
        using OperatorData images = arguments.Inputs.Count > 0 ? OfArrays(model, arguments) : OfData(model, arguments);
        images.Save(arguments.Out);
        if (!arguments.Quiet)
        {
            Console.WriteLine($"{model.Kind}: {PdeInfo.Summary(images)}");
            Console.WriteLine($"{arguments.Out}: {PdeGenerateRun.Size(arguments.Out)}");
        }

        return ExitCode.Success;
    }

    private static OperatorData OfArrays(OperatorModel model, OperatorPredictArguments arguments)
    {
        DataFile.CheckExists(arguments.Data, "a file of arrays, .h5, .mat, .npz or .npy");
        int[]? grid = arguments.Grid is null ? null : OperatorCommand.ForAxes("--grid", arguments.Grid, model.Boundaries.Count);
        return FitSession.Checked(() => model.PredictArrays(arguments.Data, arguments.Inputs, arguments.Parameters, arguments.Mask, grid));
    }

    private static OperatorData OfData(OperatorModel model, OperatorPredictArguments arguments)
    {
        using OperatorData data = OperatorDataFile.Load(arguments.Data);
        return FitSession.Checked(() =>
            arguments.Grid is null
                ? model.Predict(data)
                : model.PredictAt(data, OperatorCommand.ForAxes("--grid", arguments.Grid, data.Boundaries.Count))
        );
    }
}
