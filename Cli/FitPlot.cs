using System.Collections.Generic;
using System.Linq;
using ScottPlot;

namespace Continuum.Cli;

/// <summary>The picture of a fit: data, fitted curve, forecast and held-out data, one colour per column.</summary>
internal static class FitPlot
{
    private const int Width = 1100;
    private const int Height = 600;
    private const int CurvePoints = 600;

    private static readonly Color s_grey = Color.FromHex("#606060");

    /// <summary>Draws from the model's first time to `end`, as PNG.</summary>
    /// <param name="name">What the data are called.</param>
    /// <param name="model">The model, whose last time divides fit from forecast.</param>
    /// <param name="train">The data that were fitted, if at hand.</param>
    /// <param name="heldOut">The data that were held out, if any.</param>
    /// <param name="end">The last time to draw.</param>
    internal static byte[] Draw(string name, Forecaster model, TimeSeries? train, TimeSeries? heldOut, double end)
    {
        using Plot plot = new();
        TimeSeries curve = model.Forecast(Times(model.FirstTime, model.LastTime, end));
        int cut = curve.Times.Count(time => time <= model.LastTime);
        for (int column = 0; column < model.ColumnNames.Count; column++)
        {
            Color color = new ScottPlot.Palettes.Category10().GetColor(column);
            AddLine(plot, curve, column, 0, cut, color, LinePattern.Solid);
            AddLine(plot, curve, column, cut - 1, curve.Count, color, LinePattern.DenselyDashed);
            AddPoints(plot, train, column, color, MarkerShape.FilledCircle);
            AddPoints(plot, heldOut, column, color, MarkerShape.OpenCircle);
            Explain(plot, new LegendItem { LabelText = model.ColumnNames[column], LineColor = color, LineWidth = 3 });
        }

        VerticalSplit(plot, model.LastTime);
        ExplainStyles(plot, train is not null, heldOut is not null);
        string prior = model.Model == ForecastModelKind.NeuralOde ? "" : $", {model.Prior}";
        plot.Title($"{name}: {FitCommand.Name(model.Model)} model{prior}");
        plot.XLabel(model.TimeName);
        plot.Axes.Bottom.TickGenerator = new ScottPlot.TickGenerators.NumericAutomatic { LabelFormatter = Numbers.Tick };
        plot.ShowLegend(Edge.Right);
        plot.Axes.SetLimitsX(model.FirstTime - 0.02 * (end - model.FirstTime), end + 0.02 * (end - model.FirstTime));
        return plot.GetImageBytes(Width, Height, ImageFormat.Png);
    }

    /// <summary>Equally spaced times and the split, where the solid line meets the dashed one.</summary>
    private static double[] Times(double first, double split, double end) =>
        [.. Enumerable.Range(0, CurvePoints).Select(k => first + k * (end - first) / (CurvePoints - 1)).SkipLast(1).Append(split).Append(end).Distinct().Order()];

    private static void AddLine(Plot plot, TimeSeries curve, int column, int start, int stop, Color color, LinePattern pattern)
    {
        double[] times = [.. curve.Times.Skip(start).Take(stop - start)];
        var line = plot.Add.ScatterLine(times, curve.Column(curve.ColumnNames[column])[start..stop], color);
        line.LineWidth = 2;
        line.LinePattern = pattern;
    }

    private static void AddPoints(Plot plot, TimeSeries? data, int column, Color color, MarkerShape shape)
    {
        if (data is not null)
        {
            var points = plot.Add.ScatterPoints(data.Times.ToArray(), data.Column(data.ColumnNames[column]), color);
            points.MarkerShape = shape;
            points.MarkerSize = data.Count > 200 ? 3 : 8;
            points.MarkerLineWidth = 2;
        }
    }

    private static void VerticalSplit(Plot plot, double time)
    {
        var line = plot.Add.VerticalLine(time, 1.5f, s_grey, LinePattern.Dotted);
        line.ExcludeFromLegend = true;
    }

    private static void ExplainStyles(Plot plot, bool data, bool heldOut)
    {
        Explain(plot, new LegendItem { LabelText = "fitted", LineColor = s_grey, LineWidth = 2 });
        Explain(plot, new LegendItem { LabelText = "forecast", LineColor = s_grey, LineWidth = 2, LinePattern = LinePattern.DenselyDashed });
        Explain(plot, new LegendItem { LabelText = "end of the fitted data", LineColor = s_grey, LineWidth = 1.5f, LinePattern = LinePattern.Dotted });
        foreach ((string text, MarkerShape shape) in Markers(data, heldOut))
        {
            MarkerStyle style = new(shape, 8, s_grey) { LineColor = s_grey, LineWidth = 2 };
            Explain(plot, new LegendItem { LabelText = text, MarkerStyle = style });
        }
    }

    private static IEnumerable<(string Text, MarkerShape Shape)> Markers(bool data, bool heldOut)
    {
        if (data)
        {
            yield return ("data", MarkerShape.FilledCircle);
        }

        if (heldOut)
        {
            yield return ("held out", MarkerShape.OpenCircle);
        }
    }

    private static void Explain(Plot plot, LegendItem item) => plot.Legend.ManualItems.Add(item);
}
