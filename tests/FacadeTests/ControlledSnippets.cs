using System;
using System.Collections.Generic;
using Continuum;
using TorchSharp;
using static TorchSharp.torch;

namespace Facade;

/// <summary>The C# code of docs/Controlled.md, as it stands there.</summary>
internal static class ControlledSnippets
{
    internal static IEnumerable<(string Name, Action Body)> All => [("docs: irregular observations", Irregular)];

    private static void Irregular()
    {
        using IDisposable scope = NewDisposeScope();
        // irregular
        double[]?[][] values = [[[1.0, double.NaN], [2.0, 5.0], [4.0, 6.0]], [[0.5, 1.0], [0.7, 2.0]]]; // NaN: not observed
        double[][] times = [[0, 0.5, 3], [0, 7]];                                                     // each series has its own
        using ObservedSeries series = ObservedSeries.FromArrays(values, times);
        using ControlPath path = ControlPath.Create(series, new ControlOptions { Scheme = ControlScheme.Hermite, Intensities = true });

        var network = nn.Sequential(nn.Linear(8, 32, dtype: float64), nn.ReLU(), nn.Linear(32, 8 * path.Channels, dtype: float64), nn.Tanh());
        var initial = nn.Linear(path.Channels, 8, dtype: float64);
        CdeField field = CdeField.FromModule(path.Channels, network);
        using TensorSolution states = Cde.Solve(field, path, initial.call(path.First)); // (2, 8): what a classifier reads
        // end
        Check.Same(states.FinalState.shape[1], 8L, "state");
    }
}
