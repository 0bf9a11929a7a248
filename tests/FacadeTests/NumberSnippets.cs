using System;
using System.Collections.Generic;
using System.Linq;
using Continuum;

namespace Facade;

/// <summary>The C# code of docs/Numbers.md, as it stands there.</summary>
internal static class NumberSnippets
{
    internal static IEnumerable<(string Name, Action Body)> All => [("docs: a field over numbers", Single), ("docs: an ensemble", Ensemble)];

    private static void Single()
    {
        // single
        Solution solution = Ode.Solve(new Lorenz(), [10, 28, 8.0 / 3.0], 0, 10, [1, 1, 1]);
        // end
        Check.Same(solution.Status, SolveStatus.Success, "status");
    }

    private static void Ensemble()
    {
        // ensemble
        double[][] parameters = [.. Enumerable.Range(0, 1000).Select(i => new[] { 10, 0.028 * i, 8.0 / 3.0 })];
        SolveOptions lanes = new() { Method = OdeMethod.Tsit5 };
        EnsembleSolution runs = Ode.SolveEnsemble(new Lorenz(), 0, 10, [[1, 1, 1]], parameters, lanes);
        double[] last = runs.FinalState(999); // runs[999] is the whole Solution
        int failed = runs.Failed; // runs.Status(i) and runs.Message(i) say why
        // end
        Check.Same(failed, 0, "failed");
        Check.Same(last.Length, 3, "components");
    }

    // field
    private readonly struct Lorenz : IGenericField
    {
        public int Size => 3;

        public int ParameterCount => 3;

        public void Evaluate<T>(T t, ReadOnlySpan<T> y, ReadOnlySpan<T> p, Span<T> dydt)
            where T : struct, IReal<T>
        {
            dydt[0] = p[0] * (y[1] - y[0]);
            dydt[1] = y[0] * (p[1] - y[2]) - y[1];
            dydt[2] = y[0] * y[1] - p[2] * y[2];
        }
    }
    // end
}
