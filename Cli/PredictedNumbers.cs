using System;
using System.Collections.Generic;
using System.Linq;
using ScottPlot;
using Spectre.Console;

namespace Continuum.Cli;

/// <summary>Numbers that were predicted beside those that came, and beside the predictions of a simple model.</summary>
/// <param name="Name">What they are numbers of.</param>
/// <param name="Truth">What came.</param>
/// <param name="Predicted">What was predicted.</param>
/// <param name="Simple">What the simple model says.</param>
internal sealed record PredictedNumbers(string Name, IReadOnlyList<double> Truth, IReadOnlyList<double> Predicted, IReadOnlyList<double> Simple)
{
    /// <summary>Errors of both models for each quantity.</summary>
    /// <param name="all">The quantities.</param>
    /// <param name="simple">What the simple model is called.</param>
    internal static void Print(IReadOnlyList<PredictedNumbers> all, string simple)
    {
        Table table = Tables.Create();
        table.AddColumn("");
        table.AddColumn("model");
        foreach (string name in (string[])["numbers", "RMSE", "MAE", "R²"])
        {
            table.AddColumn(new TableColumn(name).RightAligned());
        }

        foreach (PredictedNumbers one in all)
        {
            one.AddRow(table, "neural CDE", one.Predicted);
            one.AddRow(table, simple, one.Simple);
        }

        AnsiConsole.Write(table);
    }

    /// <summary>Predicted against true numbers, a panel for each quantity.</summary>
    internal static byte[] Draw(string title, IReadOnlyList<PredictedNumbers> all)
    {
        List<Plot> panels = [];
        try
        {
            foreach (PredictedNumbers one in all)
            {
                Plot plot = new();
                panels.Add(plot);
                double[] truth = [.. one.Truth];
                var points = plot.Add.ScatterPoints(truth, [.. one.Predicted]);
                points.Color = new ScottPlot.Palettes.Category10().GetColor(panels.Count - 1);
                (double least, double most) = (truth.Min(), truth.Max());
                var line = plot.Add.Line(least, least, most, most);
                line.LineColor = ScottPlot.Color.FromHex("#606060");
                line.LinePattern = LinePattern.Dotted;
                plot.XLabel(one.Name);
                plot.YLabel("predicted");
            }

            panels[0].Title(title);
            return Panels.Draw(panels, svg: false);
        }
        finally
        {
            panels.ForEach(panel => panel.Dispose());
        }
    }

    private void AddRow(Table table, string model, IReadOnlyList<double> predicted)
    {
        double[] errors = [.. Truth.Zip(predicted, (truth, value) => value - truth)];
        double mean = Truth.Average();
        double spread = Truth.Sum(truth => (truth - mean) * (truth - mean));
        double squares = errors.Sum(error => error * error);
        table.AddRow(
            Markup.Escape(Name),
            model,
            $"{Truth.Count}",
            Numbers.Short(Math.Sqrt(squares / Truth.Count)),
            Numbers.Short(errors.Average(Math.Abs)),
            spread > 0 ? Numbers.Short(1 - squares / spread) : ""
        );
    }
}
