using System;
using System.Collections.Generic;
using System.Linq;

namespace Continuum.Cli;

/// <summary>The named problems for people.</summary>
internal static class ProblemList
{
    internal static NamedProblem Find(string? name) =>
        name is null
            ? throw new UsageException($"solve needs the name of a problem: {Names()}; see continuum solve --list")
            : NamedProblem.All.FirstOrDefault(problem => string.Equals(problem.Name, name, StringComparison.OrdinalIgnoreCase))
                ?? throw new UsageException($"no problem is named '{name}'; known: {Names()}");

    /// <summary>Prints all problems, or the one that is named.</summary>
    internal static int Print(string? name)
    {
        IReadOnlyList<NamedProblem> shown = name is null ? NamedProblem.All : [Find(name)];
        Console.WriteLine(string.Join("\n\n", shown.Select(Describe)));
        return ExitCode.Success;
    }

    internal static string Describe(NamedProblem problem) =>
        $"""
        {problem.Name}: {problem.About}
          states       {Values(problem.Model.States)}
          parameters   {(problem.Model.Parameters.Count == 0 ? "none" : Values(problem.Model.Parameters))}
          usual span   0 to {Numbers.Exact(problem.Span)}
        """.ReplaceLineEndings("\n");

    private static string Names() => string.Join(", ", NamedProblem.All.Select(problem => problem.Name));

    private static string Values(IEnumerable<KeyValuePair<string, double>> values) =>
        string.Join(", ", values.Select(pair => $"{pair.Key} = {Numbers.Tick(pair.Value)}"));
}
