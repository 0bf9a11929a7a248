using System.Collections.Generic;
using System.IO;
using System.Linq;

namespace Continuum.Cli;

/// <summary>The results of runs as CSV.</summary>
internal static class RunTable
{
    /// <summary>One run: time and states. Several: the run's number from 1, what varies, status, time and states.</summary>
    internal static void Write(TextWriter writer, NamedProblem problem, RunPlan plan, RunResults results)
    {
        IEnumerable<string> before = plan.IsSingle ? ["t"] : ["run", .. plan.Names, "status", "t"];
        writer.WriteLine(string.Join(',', before.Concat(problem.Model.States.Select(state => state.Key))));
        for (int run = 0; run < results.Count; run++)
        {
            Solution solution = results[run];
            string start = plan.IsSingle
                ? ""
                : $"{run + 1},{string.Concat(plan.Varied(run).Select(value => $"{Numbers.Exact(value)},"))}{solution.Status},";
            foreach ((double time, double[] state) in Rows(solution))
            {
                writer.Write(start);
                writer.Write(Numbers.Exact(time));
                foreach (double component in state)
                {
                    writer.Write(',');
                    writer.Write(Numbers.Exact(component));
                }

                writer.WriteLine();
            }
        }
    }

    /// <summary>What was saved, and where a run ended early.</summary>
    private static IEnumerable<(double Time, double[] State)> Rows(Solution solution) =>
        solution.Times.Count > 0 && (solution.IsComplete || solution.Times[^1] == solution.FinalTime)
            ? solution.Times.Zip(solution.States)
            : solution.Times.Zip(solution.States).Append((solution.FinalTime, solution.FinalState));
}
