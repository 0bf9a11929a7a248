using System;
using System.Collections.Generic;

namespace Continuum.Cli;

/// <summary>What `continuum pde convert` was asked to do.</summary>
internal sealed record PdeConvertArguments
{
    internal required string File { get; init; }

    internal required string Out { get; init; }

    /// <summary>The arrays that are input functions; none for a file in the layout of PDEBench.</summary>
    internal IReadOnlyList<string> Inputs { get; init; } = [];

    internal string? Output { get; init; }

    internal IReadOnlyList<string> Parameters { get; init; } = [];

    internal string? Mask { get; init; }

    internal int? Dimension { get; init; }

    internal double? Length { get; init; }

    internal BoundaryCondition? Boundary { get; init; }

    internal bool Quiet { get; init; }
}

/// <summary>Runs `continuum pde convert`: data of others as operator data.</summary>
internal static class PdeConvertRun
{
    internal static int Run(PdeConvertArguments arguments)
    {
        PdeGenerateRun.CheckFile(arguments.Out);
        using OperatorData data = FitSession.Checked(() => Read(arguments));
        data.Save(arguments.Out);
        if (!arguments.Quiet)
        {
            Console.WriteLine($"{arguments.Out}: {PdeInfo.Summary(data)}, {PdeGenerateRun.Size(arguments.Out)}");
        }

        return ExitCode.Success;
    }

    private static OperatorData Read(PdeConvertArguments a) =>
        a.Inputs.Count == 0 && a.Output is null && a.Parameters.Count == 0 && a.Mask is null
            ? OperatorData.IsDataFile(a.File)
                ? a.Dimension is null && a.Length is null && a.Boundary is null
                    ? OperatorData.Load(a.File)
                    : throw new UsageException("a file of operator data has its own domain; --dimension, --length and --boundary mean nothing here")
                : OperatorData.LoadPdeBench(a.File, a.Boundary)
        : a.Inputs.Count > 0 && a.Output is { } output
            ? OperatorData.LoadArrays(a.File, a.Inputs, output, a.Dimension ?? 2, a.Length ?? 1, a.Boundary, a.Parameters, a.Mask)
        : throw new UsageException("--input and --output go together: the arrays to learn from and the array to learn; continuum pde info lists those of a file");
}
