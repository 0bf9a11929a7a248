using System;
using System.Collections.Generic;
using System.Linq;
using ScottPlot;

namespace Continuum.Cli;

/// <summary>The picture of a simulated problem: fan charts over the saved times, else histograms of the final states.</summary>
internal static class SimulatePlot
{
    private const int MostBins = 80;

    internal static byte[] Draw(string title, string[] names, SdeEnsembleSolution solution, bool svg)
    {
        List<Plot> panels = [];
        try
        {
            for (int state = 0; state < names.Length; state++)
            {
                Plot plot = new();
                panels.Add(plot);
                plot.Axes.Bottom.TickGenerator = new ScottPlot.TickGenerators.NumericAutomatic { LabelFormatter = Numbers.Tick };
                plot.Axes.Left.MinimumSize = 75;
                Color color = new ScottPlot.Palettes.Category10().GetColor(state);
                if (solution.Times.Count > 0)
                {
                    Fan(plot, names[state], solution, state, color);
                }
                else
                {
                    Histogram(plot, names[state], solution.Final.Component(state), color);
                }
            }

            panels[0].Title(title);
            return Panels.Draw(panels, svg);
        }
        finally
        {
            panels.ForEach(panel => panel.Dispose());
        }
    }

    private static void Fan(Plot plot, string name, SdeEnsembleSolution solution, int state, Color color)
    {
        plot.XLabel("t");
        plot.YLabel(name);
        double[] times = [.. solution.Times];
        IReadOnlyList<double[]> bands = solution.Bands(state, 0.05, 0.25, 0.5, 0.75, 0.95);
        double[] Quantile(int k) => [.. bands.Select(band => band[k])];
        foreach ((int lower, int upper, double alpha, string text) in new[] { (0, 4, 0.2, "90 %"), (1, 3, 0.3, "50 %") })
        {
            var band = plot.Add.FillY(times, Quantile(lower), Quantile(upper));
            band.FillColor = color.WithAlpha(alpha);
            band.LineWidth = 0;
            band.LegendText = text;
        }

        var median = plot.Add.ScatterLine(times, Quantile(2), color);
        median.LineWidth = 2;
        median.LegendText = "median";
        plot.ShowLegend(Edge.Right);
    }

    private static void Histogram(Plot plot, string name, double[] values, Color color)
    {
        plot.XLabel($"{name} at the end");
        plot.YLabel("paths");
        if (values.Length == 0)
        {
            return;
        }

        (double least, double most) = (values.Min(), values.Max());
        int bins = Math.Clamp((int)Math.Sqrt(values.Length), 5, MostBins);
        double width = Math.Max((most - least) / bins, 1e-9 * Math.Max(1, Math.Abs(most)));
        int[] counts = new int[bins];
        foreach (double value in values)
        {
            counts[Math.Clamp((int)((value - least) / width), 0, bins - 1)]++;
        }

        Bar[] bars = [.. counts.Select((count, k) => new Bar { Position = least + (k + 0.5) * width, Value = count, Size = width, FillColor = color, LineWidth = 0 })];
        plot.Add.Bars(Array.FindAll(bars, bar => bar.Value > 0));
        plot.Axes.Margins(bottom: 0);
    }
}
