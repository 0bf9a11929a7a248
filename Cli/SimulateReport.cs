using System;
using System.Collections.Generic;
using System.Linq;
using MathNet.Numerics.Statistics;
using Spectre.Console;

namespace Continuum.Cli;

/// <summary>What `continuum simulate` prints.</summary>
internal static class SimulateReport
{
    private static readonly double[] s_shares = [0.05, 0.25, 0.5, 0.75, 0.95];

    internal static string Describe(StochasticProblem problem) =>
        $"""
        {problem.Name}: {problem.About}
          states       {Values(problem.States)}
          parameters   {Values(problem.Parameters)}
          usual span   0 to {Numbers.Exact(problem.Span)}
          noise        {problem.Noise}
          methods      {string.Join(", ", problem.ItoMethods)}; {problem.Usual} is the usual one
          Stratonovich {string.Join(", ", problem.StratonovichMethods)}
        """.ReplaceLineEndings("\n");

    /// <summary>Mean, deviation, the standard error of the mean and quantiles of every quantity, beside closed forms.</summary>
    internal static void Print(IReadOnlyList<string> names, IReadOnlyList<double[]> values, Moments[]? closed)
    {
        double[][] sorted = [.. values.Select(column => column.Order().ToArray())];
        if (Array.Exists(sorted, column => column.Length == 0))
        {
            return;
        }

        Table table = Tables.Create();
        table.AddColumn("");
        foreach (string name in names)
        {
            table.AddColumn(new TableColumn(Markup.Escape(name)).RightAligned());
        }

        double Error(double[] column) => column.StandardDeviation() / Math.Sqrt(column.Length);
        table.AddRow(["mean ± its standard error", .. sorted.Select(column => $"{column.Mean():G5} ± {Error(column):G2}")]);
        if (closed is not null)
        {
            table.AddRow(["  in closed form", .. closed.Select(moments => Known(moments.Mean))]);
        }

        table.AddRow(["deviation", .. sorted.Select(column => Known(column.StandardDeviation()))]);
        if (closed is not null)
        {
            table.AddRow(["  in closed form", .. closed.Select(moments => Known(Math.Sqrt(moments.Variance)))]);
        }

        foreach (double share in s_shares)
        {
            table.AddRow([$"{100 * share:0} %", .. sorted.Select(column => Known(SortedArrayStatistics.Quantile(column, share)))]);
        }

        AnsiConsole.Write(table);
    }

    private static string Known(double number) => double.IsNaN(number) ? "" : number.ToString("G5");

    private static string Values(IEnumerable<KeyValuePair<string, double>> values) =>
        string.Join(", ", values.Select(pair => $"{pair.Key} = {Numbers.Tick(pair.Value)}"));
}
