using System.Collections.Generic;
using System.IO;

namespace Continuum.Cli;

/// <summary>What `continuum operator train` was asked to do.</summary>
internal sealed record OperatorArguments
{
    internal required string Data { get; init; }

    /// <summary>A file of test samples; null where they are the last of the data.</summary>
    internal string? Test { get; init; }

    /// <summary>The samples that are trained on, where there is no file of test samples.</summary>
    internal required SampleSplit Split { get; init; }

    /// <summary>The share of the training samples that decide which parameters are kept.</summary>
    internal double Validation { get; init; }

    internal required IReadOnlyList<LossChoice> Losses { get; init; }

    /// <summary>The library's options but for the losses, which depend on the data, and the checkpoint.</summary>
    internal required OperatorOptions Options { get; init; }

    internal required string Model { get; init; }

    internal string? Out { get; init; }

    internal bool Resume { get; init; }

    internal bool Plot { get; init; }

    internal bool Quiet { get; init; }

    internal string DataName => Path.GetFileNameWithoutExtension(Data);

    internal string Folder => Out ?? Path.Combine("out", DataName);
}
