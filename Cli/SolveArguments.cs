using System;
using System.Collections.Generic;

namespace Continuum.Cli;

/// <summary>What `continuum solve` was asked to do.</summary>
internal sealed record SolveArguments
{
    internal required NamedProblem Problem { get; init; }

    internal required IReadOnlyList<Assignment> Assignments { get; init; }

    internal int? Samples { get; init; }

    internal int Seed { get; init; }

    internal double From { get; init; }

    internal double To { get; init; }

    /// <summary>The number of times to keep of every run.</summary>
    internal int? Save { get; init; }

    /// <summary>The method asked for; null chooses.</summary>
    internal OdeMethod? Method { get; init; }

    internal double? RelTol { get; init; }

    internal double? AbsTol { get; init; }

    internal int? MaxSteps { get; init; }

    internal int? Threads { get; init; }

    internal string? Out { get; init; }

    internal string? Plot { get; init; }

    internal bool Quiet { get; init; }

    internal bool IsSvg => Plot is not null && Plot.EndsWith(".svg", StringComparison.OrdinalIgnoreCase);

    /// <summary>The library's options: its defaults except for what was asked.</summary>
    internal SolveOptions Options(int? save)
    {
        SolveOptions options = new() { Method = Method ?? OdeMethod.Automatic };
        options = save is { } count ? options with { SaveAt = SaveAt.Grid(From, To, count) } : options;
        options = RelTol is { } relative ? options with { RelTol = relative } : options;
        options = AbsTol is { } absolute ? options with { AbsTol = absolute } : options;
        return MaxSteps is { } most ? options with { MaxSteps = most } : options;
    }
}
