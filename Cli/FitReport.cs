using System;
using System.Collections.Generic;
using System.Linq;
using Spectre.Console;

namespace Continuum.Cli;

/// <summary>What `continuum fit` prints when it is done.</summary>
internal static class FitReport
{
    internal static void Print(Forecaster model, TimeSeries train)
    {
        string prior = model.Model == ForecastModelKind.NeuralOde ? "" : $", {model.Prior}";
        Console.WriteLine(
            $"{FitCommand.Name(model.Model)} model{prior}: {train.Count} rows from {Numbers.Exact(train.Times[0])} to {Numbers.Exact(train.Times[^1])}, "
                + $"loss {Numbers.Short(model.TrainingLoss)} after {model.Evaluations} evaluations, seed {model.Seed}"
        );
        if (model.Parameters.Count > 0)
        {
            Console.WriteLine(string.Join(", ", model.Parameters.Select((pair, i) => $"{pair.Key} = {Numbers.Short(pair.Value)}{Error(model, i)}")));
        }
    }

    private static string Error(Forecaster model, int parameter) =>
        parameter >= model.ParameterErrors.Count ? ""
        : double.IsNaN(model.ParameterErrors[parameter]) ? " (not determined)"
        : $" ± {Numbers.Short(model.ParameterErrors[parameter])}";

    /// <summary>The root mean square error of every column, for each forecast of the held-out times.</summary>
    internal static void PrintErrors(TimeSeries truth, IReadOnlyList<KeyValuePair<string, TimeSeries>> forecasts)
    {
        Table table = Tables.Create();
        Console.WriteLine($"error (RMSE) of the {truth.Count} held-out rows from {Numbers.Exact(truth.Times[0])} to {Numbers.Exact(truth.Times[^1])}:");
        table.AddColumn("column");
        foreach (string name in forecasts.Select(pair => pair.Key))
        {
            table.AddColumn(new TableColumn(Markup.Escape(name)).RightAligned());
        }

        for (int column = 0; column < truth.ColumnNames.Count; column++)
        {
            double[] errors = [.. forecasts.Select(pair => Error(truth, pair.Value, column))];
            double least = errors.Min();
            table.AddRow([
                Markup.Escape(truth.ColumnNames[column]),
                .. errors.Select(error => error <= least ? $"[bold green]{Numbers.Short(error)}[/]" : Numbers.Short(error)),
            ]);
        }

        AnsiConsole.Write(table);
    }

    internal static void PrintFiles(IEnumerable<string> files)
    {
        Console.WriteLine("written:");
        foreach (string file in files)
        {
            Console.WriteLine($"  {file}");
        }
    }

    private static double Error(TimeSeries truth, TimeSeries forecast, int column) =>
        Math.Sqrt(Enumerable.Range(0, truth.Count).Average(row => Math.Pow(forecast[row, column] - truth[row, column], 2)));
}
