using System;
using System.Collections.Generic;
using System.Globalization;
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

    /// <summary>Energies below this share of the largest are rounding errors, and left out.</summary>
    private const double LeastEnergy = 1e-18;

    /// <summary>Loss and validation error over the epochs.</summary>
    internal static byte[] Learning(IReadOnlyList<LearningPoint> curve, double iterationsPerEpoch)
    {
        using Plot plot = new();
        double[] epochs = [.. curve.Select(point => point.Iteration / iterationsPerEpoch)];
        double[] losses = [.. curve.Select(point => point.Loss)];
        double[] errors = [.. curve.Select(point => point.Validation)];
        Line(plot, epochs, losses, 0, s_blue, "loss (training)");
        Line(plot, epochs, errors, 0, s_orange, "relative L2 error (validation)");
        plot.XLabel("epochs");
        plot.Axes.Left.TickGenerator = Logarithmic([.. losses, .. errors]);
        plot.ShowLegend(Alignment.UpperRight);
        return plot.GetImageBytes(Width, Height, ImageFormat.Png);
    }

    /// <summary>Errors over the times of the frames.</summary>
    internal static byte[] Frames(IReadOnlyList<double> times, IReadOnlyList<double> errors)
    {
        using Plot plot = new();
        var line = plot.Add.Scatter(times.ToArray(), errors.ToArray(), s_orange);
        line.LineWidth = 2;
        plot.XLabel("time");
        plot.YLabel("relative error");
        plot.Axes.Bottom.TickGenerator = new ScottPlot.TickGenerators.NumericAutomatic { LabelFormatter = Numbers.Tick };
        plot.Axes.SetLimitsY(0, 1.1 * errors.Max());
        return plot.GetImageBytes(Width, Height, ImageFormat.Png);
    }

    /// <summary>The energies of truth and images by wave number; entry k is that of wave number k, and 0 is left out.</summary>
    internal static byte[] Spectrum(string name, IReadOnlyList<double> truth, IReadOnlyList<double> images)
    {
        using Plot plot = new();
        double[] waves = [.. Enumerable.Range(1, Math.Max(0, truth.Count - 1)).Select(k => (double)k)];
        double[] logarithms = [.. waves.Select(Math.Log10)];
        double least = LeastEnergy * truth.Concat(images).Max();
        Line(plot, logarithms, [.. truth.Skip(1)], least, s_blue, "truth");
        Line(plot, logarithms, [.. images.Skip(1)], least, s_orange, "prediction");
        plot.XLabel("wave number |k|");
        plot.YLabel($"energy of {name}");
        plot.Axes.Bottom.TickGenerator = Logarithmic(waves);
        plot.Axes.Left.TickGenerator = Logarithmic([.. truth.Concat(images).Where(energy => energy >= least)]);
        plot.ShowLegend(Alignment.UpperRight);
        return plot.GetImageBytes(Width, Height, ImageFormat.Png);
    }

    /// <summary>A line of the logarithms; what has none, or is smaller than `least`, is left out.</summary>
    private static void Line(Plot plot, double[] x, double[] y, double least, Color color, string name)
    {
        int[] kept = [.. Enumerable.Range(0, x.Length).Where(k => double.IsFinite(y[k]) && y[k] > 0 && y[k] >= least)];
        if (kept.Length > 0)
        {
            var line = plot.Add.ScatterLine(kept.Select(k => x[k]).ToArray(), kept.Select(k => Math.Log10(y[k])).ToArray(), color);
            line.LineWidth = 2;
            line.LegendText = name;
        }
    }

    /// <summary>Ticks of an axis that shows the logarithms of these numbers: decades, or 1, 2 and 5 times decades where there are few.</summary>
    private static ITickGenerator Logarithmic(double[] numbers)
    {
        double[] logarithms = [.. numbers.Where(number => double.IsFinite(number) && number > 0).Select(Math.Log10)];
        double span = logarithms.Length == 0 ? 0 : logarithms.Max() - logarithms.Min();
        if (span < 0.5)
        {
            return new ScottPlot.TickGenerators.NumericAutomatic { LabelFormatter = value => Number(Math.Pow(10, value)) };
        }

        int every = Math.Max(1, (int)Math.Ceiling(span / 10));
        double[] steps = span > 3 ? [1] : span > 1 ? [1, 2, 5] : [1, 1.5, 2, 3, 4, 5, 6, 8];
        ScottPlot.TickGenerators.NumericManual ticks = new();
        for (int decade = (int)Math.Floor(logarithms.Min()) - 1; decade <= logarithms.Max() + 1; decade++)
        {
            foreach (double step in steps.Where(_ => decade % every == 0))
            {
                ticks.AddMajor(decade + Math.Log10(step), Number(step * Math.Pow(10, decade)));
            }
        }

        return ticks;
    }

    private static string Number(double number) => number.ToString("G3", CultureInfo.InvariantCulture);
}
