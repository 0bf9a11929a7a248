using System;
using System.Collections.Generic;
using System.Linq;
using MathNet.Numerics.Statistics;
using Spectre.Console;

namespace Continuum.Cli;

/// <summary>What `continuum solve` prints.</summary>
internal static class SolveReport
{
    internal static string Count(int number, string thing) => $"{number} {thing}{(number == 1 ? "" : "s")}";

    internal static void Print(SolveArguments arguments, RunPlan plan, RunResults results, string choice, TimeSpan elapsed)
    {
        (long accepted, long rejected, long evaluations) = Work(results);
        Console.WriteLine($"{arguments.Problem.Name} from {Numbers.Exact(arguments.From)} to {Numbers.Exact(arguments.To)}{Fixed(arguments)}");
        Console.WriteLine(
            $"{Count(results.Count, "run")}, {accepted} accepted and {rejected} rejected steps, {evaluations} evaluations, {elapsed.TotalSeconds:0.000} s"
        );
        if (plan.IsSingle)
        {
            PrintMethods(results[0]);
            PrintFinal(arguments.Problem, results[0]);
        }
        else
        {
            Console.WriteLine($"method: {(arguments.Method is { } asked ? $"{asked.Name} (asked for)" : choice)}");
            PrintSpread(arguments.Problem, results);
        }
    }

    /// <summary>Says how many runs failed, and why the first did; true if all did.</summary>
    internal static bool ReportFailures(NamedProblem problem, RunResults results)
    {
        int[] failed = [.. results.Failed];
        if (failed.Length == 0)
        {
            return false;
        }

        Solution first = results[failed[0]];
        string reason = $"{first.Message.Replace("MaxSteps", "--max-steps", StringComparison.Ordinal)}";
        Failure.Report(
            results.Count == 1
                ? $"{problem.Name} was not solved to the end: {reason}"
                : $"{failed.Length} of {results.Count} runs were not solved to the end; the first, run {failed[0] + 1}: {reason}"
        );
        return failed.Length == results.Count;
    }

    private static (long Accepted, long Rejected, long Evaluations) Work(RunResults results)
    {
        (long accepted, long rejected, long evaluations) = (0, 0, 0);
        foreach (SolveStatistics cost in results.Costs)
        {
            accepted += cost.Accepted;
            rejected += cost.Rejected;
            evaluations += cost.Evaluations;
        }

        return (accepted, rejected, evaluations);
    }

    private static string Fixed(SolveArguments arguments)
    {
        IEnumerable<string> values = arguments.Assignments.OfType<Assignment.Value>().Select(value => $"{value.Name} = {Numbers.Exact(value.Number)}");
        IEnumerable<string> varied = arguments.Assignments.Select(a =>
            a switch
            {
                Assignment.Sweep sweep => $"{sweep.Name} = {Numbers.Exact(sweep.First)} to {Numbers.Exact(sweep.Last)} in {sweep.Count} values",
                Assignment.Draw draw => $"{draw.Name} ~ {draw.Text}",
                _ => "",
            }
        );
        string text = string.Join(", ", values.Concat(varied.Where(part => part.Length > 0)));
        return text.Length == 0 ? "" : $" with {text}";
    }

    private static void PrintMethods(Solution solution)
    {
        foreach (MethodChoice choice in solution.Methods)
        {
            string since = double.IsFinite(choice.Time) ? $" from t = {Numbers.Short(choice.Time)}" : "";
            Console.WriteLine($"method: {choice.Method}{since} ({choice.Reason})");
        }
    }

    private static void PrintFinal(NamedProblem problem, Solution solution)
    {
        IEnumerable<string> values = problem.Model.States.Select((state, k) => $"{state.Key} = {Numbers.Tick(solution.FinalState[k])}");
        Console.WriteLine($"at t = {Numbers.Tick(solution.FinalTime)}: {string.Join(", ", values)}");
    }

    private static void PrintSpread(NamedProblem problem, RunResults results)
    {
        double[][] states = [.. results.Complete.Select(run => results[run].FinalState)];
        if (states.Length == 0)
        {
            return;
        }

        Table table = Tables.Create();
        table.AddColumn("at the end");
        foreach (string name in (string[])["least", "5 %", "median", "95 %", "most"])
        {
            table.AddColumn(new TableColumn(name).RightAligned());
        }

        for (int k = 0; k < problem.Model.States.Count; k++)
        {
            double[] sorted = [.. states.Select(state => state[k]).Order()];
            double[] shown = [.. new[] { 0, 0.05, 0.5, 0.95, 1 }.Select(share => SortedArrayStatistics.Quantile(sorted, share))];
            table.AddRow([Markup.Escape(problem.Model.States[k].Key), .. shown.Select(Numbers.Short)]);
        }

        AnsiConsole.Write(table);
    }
}
