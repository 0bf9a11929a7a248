using System.Collections.Generic;
using System.Linq;

namespace Continuum.Cli;

/// <summary>The solutions of all runs, some of them from a second attempt.</summary>
internal sealed class RunResults
{
    private readonly Solution? _single;
    private readonly EnsembleSolution? _ensemble;
    private readonly Dictionary<int, Solution> _again = [];

    internal RunResults(Solution single) => _single = single;

    internal RunResults(EnsembleSolution ensemble, IReadOnlyList<int> again, EnsembleSolution? second)
    {
        _ensemble = ensemble;
        for (int k = 0; k < again.Count; k++)
        {
            _again[again[k]] = second![k];
        }
    }

    internal int Count => _ensemble?.Count ?? 1;

    /// <summary>The solution of a run; put together at each call.</summary>
    internal Solution this[int run] => _single ?? (_again.TryGetValue(run, out Solution? second) ? second : _ensemble![run]);

    /// <summary>The runs that reached their end.</summary>
    internal IEnumerable<int> Complete => Enumerable.Range(0, Count).Where(IsComplete);

    internal IEnumerable<int> Failed => Enumerable.Range(0, Count).Where(run => !IsComplete(run));

    /// <summary>What every attempt cost.</summary>
    internal IEnumerable<SolveStatistics> Costs =>
        Enumerable.Range(0, Count).Select(run => (_single ?? _ensemble![run]).Statistics).Concat(_again.Values.Select(second => second.Statistics));

    private bool IsComplete(int run) =>
        _ensemble is null || _again.ContainsKey(run) ? this[run].IsComplete : _ensemble.Status(run) is SolveStatus.Success or SolveStatus.Terminated;
}
