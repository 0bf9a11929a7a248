using System;
using System.Collections.Generic;
using System.Linq;
using ScottPlot;

namespace Continuum.Cli;

/// <summary>Curves over logarithmic axes: learning curves and spectra.</summary>
internal static class CurvePlot
{
    private const int Width = 900;
    private const int Height = 450;

    private static readonly Color s_blue = Color.FromHex("#1f77b4");
    private static readonly Color s_orange = Color.FromHex("#d95f02");

    /// <summary>Loss and validation error over the epochs.</summary>
    internal static byte[] Learning(IReadOnlyList<LearningPoint> curve, double iterationsPerEpoch)
    {
        using Plot plot = new();
        double[] epochs = [.. curve.Select(point => point.Iteration / iterationsPerEpoch)];
        Line(plot, epochs, [.. curve.Select(point => point.Loss)], s_blue, "loss (training)");
        Line(plot, epochs, [.. curve.Select(point => point.Validation)], s_orange, "relative L2 error (validation)");
        plot.XLabel("epochs");
        plot.Axes.Left.TickGenerator = Decades();
        plot.ShowLegend(Alignment.UpperRight);
        return plot.GetImageBytes(Width, Height, ImageFormat.Png);
    }

    /// <summary>The energies of truth and images by wave number; entry k is that of wave number k, and 0 is left out.</summary>
    internal static byte[] Spectrum(string name, IReadOnlyList<double> truth, IReadOnlyList<double> images)
    {
        using Plot plot = new();
        double[] waves = [.. Enumerable.Range(1, Math.Max(0, truth.Count - 1)).Select(k => Math.Log10(k))];
        Line(plot, waves, [.. truth.Skip(1)], s_blue, "truth");
        Line(plot, waves, [.. images.Skip(1)], s_orange, "prediction");
        plot.XLabel("wave number |k|");
        plot.YLabel($"energy of {name}");
        plot.Axes.Bottom.TickGenerator = Decades();
        plot.Axes.Left.TickGenerator = Decades();
        plot.ShowLegend(Alignment.UpperRight);
        return plot.GetImageBytes(Width, Height, ImageFormat.Png);
    }

    /// <summary>A line of the logarithms; what has none is left out.</summary>
    private static void Line(Plot plot, double[] x, double[] y, Color color, string name)
    {
        int[] kept = [.. Enumerable.Range(0, x.Length).Where(k => double.IsFinite(y[k]) && y[k] > 0)];
        if (kept.Length > 0)
        {
            var line = plot.Add.ScatterLine(kept.Select(k => x[k]).ToArray(), kept.Select(k => Math.Log10(y[k])).ToArray(), color);
            line.LineWidth = 2;
            line.LegendText = name;
        }
    }

    /// <summary>Ticks of an axis that shows logarithms.</summary>
    private static ScottPlot.TickGenerators.NumericAutomatic Decades() =>
        new()
        {
            LabelFormatter = value => Math.Pow(10, value).ToString("G3", System.Globalization.CultureInfo.InvariantCulture),
            MinorTickGenerator = new ScottPlot.TickGenerators.LogMinorTickGenerator(),
        };
}
