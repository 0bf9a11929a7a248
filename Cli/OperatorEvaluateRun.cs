using System.Collections.Generic;
using System.IO;
using System.Linq;

namespace Continuum.Cli;

/// <summary>What `continuum operator evaluate` was asked to do.</summary>
internal sealed record OperatorEvaluateArguments
{
    internal required string Model { get; init; }

    internal required string Data { get; init; }

    internal int[]? Stride { get; init; }

    internal string? Out { get; init; }

    internal int? Threads { get; init; }

    internal bool Plot { get; init; }

    internal bool Quiet { get; init; }
}

/// <summary>Runs `continuum operator evaluate`: computes all, and only then writes.</summary>
internal static class OperatorEvaluateRun
{
    internal static int Run(OperatorEvaluateArguments arguments)
    {
        using OperatorModel model = OperatorDataFile.LoadModel(arguments.Model, arguments.Threads);
        using OperatorData data = OperatorDataFile.Load(arguments.Data, arguments.Stride);
        string name = Path.GetFileNameWithoutExtension(arguments.Data);
        OperatorResults results = new(model, data, 0, []);
        OutputFolder folder = OutputFolder.Open(
            arguments.Out ?? Path.Combine("out", $"{name}-evaluation"),
            OperatorResults.MetricsFile,
            OperatorResults.ReportFile
        );
        Picture[] pictures = arguments.Plot ? [.. results.Pictures()] : [];
        byte[] page = OperatorReport.Page($"{name}: {model.Kind}", model, [("file", arguments.Model)], data, results, null, pictures);
        List<string> written = Write(folder, results, page, pictures);
        if (!arguments.Quiet)
        {
            System.Console.WriteLine($"{model.Kind}, {OperatorReport.Count(model.ParameterCount)} parameters: {PdeInfo.Summary(data)}");
            OperatorReport.PrintErrors(results);
            FitReport.PrintFiles(written);
        }

        return ExitCode.Success;
    }

    /// <summary>Writes the errors, the page and its pictures, each whole; gives their names.</summary>
    internal static List<string> Write(OutputFolder folder, OperatorResults results, byte[] page, IReadOnlyList<Picture> pictures)
    {
        List<string> written = [folder.PathOf(OperatorResults.MetricsFile), folder.PathOf(OperatorResults.ReportFile)];
        OutputFolder.Write(written[0], results.WriteMetrics);
        OutputFolder.Write(written[1], page);
        foreach (Picture picture in pictures)
        {
            written.Add(folder.PathOf(picture.File));
            OutputFolder.Write(written[^1], picture.Png);
        }

        return written;
    }
}
