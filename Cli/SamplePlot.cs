using System;
using System.Collections.Generic;
using System.Linq;
using ScottPlot;

namespace Continuum.Cli;

/// <summary>A sample of an operator's test: input, truth, prediction and error, a row for each of a few channels.</summary>
internal static class SamplePlot
{
    private const int MostRows = 4;
    private const int PanelWidth = 360;
    private const int PanelHeight = 300;

    private static readonly Color s_truth = Color.FromHex("#1f77b4");
    private static readonly Color s_prediction = Color.FromHex("#d95f02");
    private static readonly Color s_error = Color.FromHex("#b2182b");

    /// <summary>Lines on one axis, maps on two, and maps of the middle slice on three.</summary>
    /// <param name="truth">Samples with their outputs.</param>
    /// <param name="images">The same with what the operator gives.</param>
    /// <param name="sample">The number of the sample.</param>
    internal static byte[] Draw(OperatorData truth, OperatorData images, int sample)
    {
        FunctionValues[] inputs = [.. Enumerable.Range(0, truth.Inputs.Count).Select(k => FunctionValues.Input(truth, k))];
        FunctionValues wanted = FunctionValues.Output(truth);
        FunctionValues given = FunctionValues.Output(images);
        int[] channels = wanted.Shown(MostRows);
        List<Plot?> panels = [];
        try
        {
            bool lines = wanted.Coordinates.Count == 1;
            int rows = Math.Max(channels.Length, Math.Min(MostRows, inputs.Length));
            for (int row = 0; row < rows; row++)
            {
                panels.Add(row < inputs.Length ? Input(inputs[row], sample, lines) : null);
                panels.AddRange(row < channels.Length ? Output(wanted, given, sample, channels[row], lines) : new Plot?[lines ? 2 : 3]);
            }

            return Panels.Grid(panels, lines ? 3 : 4, PanelWidth, PanelHeight);
        }
        finally
        {
            panels.ForEach(panel => panel?.Dispose());
        }
    }

    /// <summary>The last channels of an input: of frames those nearest to the output.</summary>
    private static Plot Input(FunctionValues input, int sample, bool lines)
    {
        int last = input.Channels - 1;
        if (!lines)
        {
            double[] values = input.At(sample, last);
            return Map(input, values, $"input {input.Label(last)}", values.Min(), values.Max(), new ScottPlot.Colormaps.Viridis());
        }

        Plot plot = Titled($"input {input.Name}");
        foreach (int channel in Enumerable.Range(0, input.Channels).TakeLast(3))
        {
            Color color = new ScottPlot.Palettes.Category10().GetColor(channel);
            Line(plot, input, input.At(sample, channel), color, LinePattern.Solid, input.Channels > 1 ? input.Label(channel) : "");
        }

        return plot;
    }

    private static Plot[] Output(FunctionValues wanted, FunctionValues given, int sample, int channel, bool lines)
    {
        double[] truth = wanted.At(sample, channel);
        double[] image = given.At(sample, channel);
        double[] error = [.. image.Zip(truth, (a, b) => a - b)];
        string name = wanted.Label(channel);
        if (lines)
        {
            Plot both = Titled(name);
            Line(both, wanted, truth, s_truth, LinePattern.Solid, "truth");
            Line(both, given, image, s_prediction, LinePattern.DenselyDashed, "prediction");
            Plot difference = Titled($"error of {name}");
            Line(difference, wanted, error, s_error, LinePattern.Solid, "");
            return [both, difference];
        }

        double least = Math.Min(truth.Min(), image.Min());
        double most = Math.Max(truth.Max(), image.Max());
        double worst = error.Max(Math.Abs);
        return
        [
            Map(wanted, truth, $"truth {name}", least, most, new ScottPlot.Colormaps.Viridis()),
            Map(given, image, $"prediction {name}", least, most, new ScottPlot.Colormaps.Viridis()),
            Map(wanted, error, $"error of {name}", -worst, worst, new ScottPlot.Colormaps.Balance()),
        ];
    }

    private static Plot Titled(string title)
    {
        Plot plot = new();
        plot.Title(title, size: 14);
        plot.Axes.Bottom.TickGenerator = new ScottPlot.TickGenerators.NumericAutomatic { LabelFormatter = Numbers.Tick };
        return plot;
    }

    private static void Line(Plot plot, FunctionValues function, double[] values, Color color, LinePattern pattern, string name)
    {
        var line = plot.Add.ScatterLine(function.Coordinates[0].ToArray(), values, color);
        line.LineWidth = 2;
        line.LinePattern = pattern;
        if (name.Length > 0)
        {
            line.LegendText = name;
            plot.ShowLegend(Alignment.UpperRight);
        }
    }

    /// <summary>A heat map: the first axis to the right, the second upwards.</summary>
    private static Plot Map(FunctionValues function, double[] values, string title, double least, double most, IColormap colors)
    {
        IReadOnlyList<double> x = function.Coordinates[0];
        IReadOnlyList<double> y = function.Coordinates[1];
        double[,] rows = new double[y.Count, x.Count];
        for (int i = 0; i < x.Count; i++)
        {
            for (int j = 0; j < y.Count; j++)
            {
                rows[y.Count - 1 - j, i] = values[(i * y.Count) + j];
            }
        }

        Plot plot = Titled(title);
        var map = plot.Add.Heatmap(rows);
        map.Colormap = colors;
        map.ManualRange = most > least ? new ScottPlot.Range(least, most) : new ScottPlot.Range(least - 0.5, least + 0.5);
        map.Position = new CoordinateRect(Edges(x), Edges(y));
        plot.Add.ColorBar(map);
        plot.Axes.SetLimits(map.Position.Value);
        return plot;
    }

    /// <summary>From half a step before the first point to half a step behind the last.</summary>
    private static CoordinateRange Edges(IReadOnlyList<double> points)
    {
        double half = points.Count > 1 ? 0.5 * (points[^1] - points[0]) / (points.Count - 1) : 0.5;
        return new(points[0] - half, points[^1] + half);
    }
}
