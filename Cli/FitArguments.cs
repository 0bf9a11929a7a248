using System.Collections.Generic;
using System.IO;

namespace Continuum.Cli;

/// <summary>What `continuum fit` was asked to do.</summary>
internal sealed record FitArguments
{
    internal required string Csv { get; init; }

    internal required ForecastModelKind Model { get; init; }

    internal string? Prior { get; init; }

    internal IReadOnlyList<string>? Columns { get; init; }

    internal string? TimeColumn { get; init; }

    internal bool DropMissing { get; init; }

    internal required SplitRule Split { get; init; }

    internal string? Out { get; init; }

    internal int? Iterations { get; init; }

    internal double? LearningRate { get; init; }

    internal IReadOnlyList<int>? Hidden { get; init; }

    internal int Seed { get; init; }

    internal int Threads { get; init; }

    internal bool Resume { get; init; }

    internal bool Plot { get; init; }

    internal bool Quiet { get; init; }

    internal string DataName => Path.GetFileNameWithoutExtension(Csv);

    internal string Folder => Out ?? Path.Combine("out", DataName);

    /// <summary>The library's options: its defaults except for what was asked.</summary>
    internal FitOptions Options(string checkpoint)
    {
        FitOptions options = new()
        {
            Model = Model,
            Seed = Seed,
            Threads = Threads,
            CheckpointPath = checkpoint,
            Resume = Resume && File.Exists(checkpoint),
        };
        options = Prior is null ? options : options with { Prior = Prior };
        options = Hidden is null ? options : options with { Hidden = Hidden };
        options = Iterations is { } iterations ? options with { Iterations = iterations } : options;
        return LearningRate is { } rate ? options with { LearningRate = rate } : options;
    }
}
