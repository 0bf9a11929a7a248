using System.Collections.Generic;
using System.Linq;
using ScottPlot;

namespace Continuum.Cli;

/// <summary>Fan charts of simulated paths: bands between quantiles, the median, and what was observed; a panel for each column.</summary>
internal static class FanPlot
{
    private static readonly Color s_grey = Color.FromHex("#606060");

    /// <summary>The probabilities of a fan, from the outer band to the inner one and the median.</summary>
    internal static IReadOnlyList<double> Probabilities { get; } = [0.025, 0.05, 0.25, 0.5, 0.75, 0.95, 0.975];

    /// <param name="title">The title of the first panel.</param>
    /// <param name="paths">The simulated paths.</param>
    /// <param name="before">What came before them, if at hand; the part near the end is drawn.</param>
    /// <param name="heldOut">What came instead of them, if known.</param>
    /// <param name="rival">Paths of another model, whose 90 % band is outlined.</param>
    /// <param name="rivalName">What that model is called.</param>
    /// <param name="svg">SVG instead of PNG.</param>
    internal static byte[] Draw(string title, SimulatedPaths paths, TimeSeries? before, TimeSeries? heldOut, SimulatedPaths? rival, string rivalName, bool svg)
    {
        IReadOnlyList<TimeSeries> fan = paths.Quantiles(Probabilities);
        IReadOnlyList<TimeSeries> outline = rival?.Quantiles(0.05, 0.95) ?? [];
        List<Plot> panels = [];
        try
        {
            foreach (string column in paths.ColumnNames)
            {
                Plot plot = new();
                panels.Add(plot);
                plot.Axes.Bottom.TickGenerator = new ScottPlot.TickGenerators.NumericAutomatic { LabelFormatter = Numbers.Tick };
                plot.Axes.Left.MinimumSize = 75;
                plot.YLabel(column);
                plot.XLabel(paths.TimeName);
                Color color = new ScottPlot.Palettes.Category10().GetColor(panels.Count - 1);
                double[] times = [.. paths.Times];
                Band(plot, times, fan[0].Column(column), fan[6].Column(column), color.WithAlpha(0.15), "95 %");
                Band(plot, times, fan[1].Column(column), fan[5].Column(column), color.WithAlpha(0.2), "90 %");
                Band(plot, times, fan[2].Column(column), fan[4].Column(column), color.WithAlpha(0.3), "50 %");
                Line(plot, times, fan[3].Column(column), color, LinePattern.Solid, 2, "median");
                for (int k = 0; k < outline.Count; k++)
                {
                    Line(plot, times, outline[k].Column(column), s_grey, LinePattern.DenselyDashed, 1.5f, k == 0 ? $"{rivalName}, 90 %" : "");
                }

                Line(plot, Tail(before, times.Length), column, s_grey, "data");
                Line(plot, heldOut, column, Colors.Black, "held out");
                plot.ShowLegend(Edge.Right);
            }

            panels[0].Title(title);
            return Panels.Draw(panels, svg);
        }
        finally
        {
            panels.ForEach(panel => panel.Dispose());
        }
    }

    /// <summary>The last rows of a series.</summary>
    private static TimeSeries? Tail(TimeSeries? series, int rows) =>
        series is null || series.Count <= rows ? series : series.Slice(series.Times[series.Count - rows], series.Times[^1]);

    private static void Band(Plot plot, double[] times, double[] lower, double[] upper, Color color, string name)
    {
        var band = plot.Add.FillY(times, lower, upper);
        band.FillColor = color;
        band.LineWidth = 0;
        band.LegendText = name;
    }

    private static void Line(Plot plot, TimeSeries? series, string column, Color color, string name)
    {
        if (series is not null)
        {
            Line(plot, [.. series.Times], series.Column(column), color, LinePattern.Solid, 1, name);
        }
    }

    private static void Line(Plot plot, double[] times, double[] values, Color color, LinePattern pattern, float width, string name)
    {
        var line = plot.Add.ScatterLine(times, values, color);
        line.LineWidth = width;
        line.LinePattern = pattern;
        line.LegendText = name;
    }
}
