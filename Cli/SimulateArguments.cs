using System;
using System.Collections.Generic;

namespace Continuum.Cli;

/// <summary>What `continuum simulate` was asked to do.</summary>
internal sealed record SimulateArguments
{
    /// <summary>A named problem, or the file of a fitted model.</summary>
    internal required string Subject { get; init; }

    internal required IReadOnlyList<Assignment> Assignments { get; init; }

    internal int? Paths { get; init; }

    internal int Seed { get; init; }

    internal double? To { get; init; }

    internal double? Step { get; init; }

    internal int? Save { get; init; }

    internal string? Method { get; init; }

    internal double? RelTol { get; init; }

    internal double? AbsTol { get; init; }

    internal int? MaxSteps { get; init; }

    internal int? Threads { get; init; }

    internal string? Out { get; init; }

    internal string? Plot { get; init; }

    internal bool Quiet { get; init; }

    /// <summary>A tolerance asks for adaptive steps.</summary>
    internal bool IsAdaptive => RelTol is not null || AbsTol is not null;

    internal bool IsSvg => Plot is not null && Plot.EndsWith(".svg", StringComparison.OrdinalIgnoreCase);
}
