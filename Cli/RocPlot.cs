using System.Linq;
using ScottPlot;

namespace Continuum.Cli;

/// <summary>Receiver operating characteristics of two models on the same subjects, as PNG.</summary>
internal static class RocPlot
{
    private const int Size = 700;

    internal static byte[] Draw(string name, ClassificationReport neural, ClassificationReport simple)
    {
        using Plot plot = new();
        ScottPlot.Palettes.Category10 palette = new();
        Curve(plot, neural, $"neural CDE, AUROC {neural.Auroc}", palette.GetColor(0));
        Curve(plot, simple, $"logistic regression, {simple.Auroc}", palette.GetColor(1));
        var chance = plot.Add.Line(0, 0, 1, 1);
        chance.LineColor = Color.FromHex("#606060");
        chance.LinePattern = LinePattern.Dotted;
        plot.Title($"{name}: {neural.Count} held-out subjects");
        plot.XLabel("share of false alarms");
        plot.YLabel("share found");
        plot.Axes.SetLimits(-0.02, 1.02, -0.02, 1.02);
        plot.ShowLegend(Alignment.LowerRight);
        return plot.GetImageBytes(Size, Size, ImageFormat.Png);
    }

    private static void Curve(Plot plot, ClassificationReport report, string name, Color color)
    {
        RocPoint[] points = [.. report.RocCurve()];
        double[] across = [.. points.Select(point => point.FalsePositiveRate)];
        double[] up = [.. points.Select(point => point.TruePositiveRate)];
        var line = plot.Add.ScatterLine(across, up, color);
        line.LineWidth = 2;
        line.LegendText = name;
    }
}
