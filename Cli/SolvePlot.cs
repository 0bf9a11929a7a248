using System;
using System.Collections.Generic;
using System.Linq;
using MathNet.Numerics.Statistics;
using ScottPlot;
using ScottPlot.Plottables;

namespace Continuum.Cli;

/// <summary>The picture of a solve; which one depends on what varies and what was saved.</summary>
internal sealed class SolvePlot
{
    /// <summary>More lines than this cannot be told apart; the median and the band are of all runs.</summary>
    private const int MostLines = 100;

    /// <summary>States whose sizes differ by more than this get a panel each.</summary>
    private const double CommonScale = 30;

    private static readonly Color s_grey = Color.FromHex("#606060");

    private readonly string[] _states;
    private readonly RunPlan _plan;
    private readonly RunResults _results;
    private readonly string _title;

    /// <summary>The runs that reached their end, and their solutions.</summary>
    private readonly (int Run, Solution Solution)[] _complete;

    private SolvePlot(NamedProblem problem, RunPlan plan, RunResults results)
    {
        _states = [.. problem.Model.States.Select(state => state.Key)];
        _plan = plan;
        _results = results;
        _complete = [.. results.Complete.Select(run => (run, results[run]))];
        string missing = _complete.Length == results.Count || plan.IsSingle ? "" : $", {_complete.Length} of them complete";
        _title = plan.IsSingle ? problem.Name : $"{problem.Name}: {results.Count} runs{missing}";
    }

    /// <summary>One run: its states over time. Several with saved times: all of them with median and 5-95 % band. Final states otherwise: over one
    /// range, as a map over two, else their histograms.</summary>
    internal static byte[] Draw(NamedProblem problem, RunPlan plan, RunResults results, bool saved, bool svg)
    {
        SolvePlot picture = new(problem, plan, results);
        Plot[] plots =
            plan.IsSingle ? picture.Curves()
            : saved ? picture.ForStates(picture.Bundle)
            : plan is { HasDraws: false, Sweeps.Count: 1 } ? picture.ForStates(picture.OverRange)
            : plan is { HasDraws: false, Sweeps.Count: 2 } ? picture.ForStates(picture.Map)
            : picture.ForStates(picture.Histogram);
        plots[0].Title(picture._title);
        byte[] image = Panels.Draw(plots, svg);
        Array.ForEach(plots, plot => plot.Dispose());
        return image;
    }

    private Plot[] ForStates(Action<Plot, int> draw) =>
        [
            .. _states.Select(
                (name, state) =>
                {
                    Plot plot = NewPlot();
                    plot.YLabel(name);
                    draw(plot, state);
                    return plot;
                }
            ),
        ];

    private Plot[] Curves()
    {
        Solution solution = _results[0];
        double[] sizes = [.. _states.Select((_, state) => solution.Component(state).Where(double.IsFinite).Select(Math.Abs).DefaultIfEmpty().Max())];
        if (sizes.Max() > CommonScale * sizes.Min())
        {
            return ForStates((plot, state) => Curve(plot, solution, state));
        }

        Plot together = NewPlot();
        for (int state = 0; state < _states.Length; state++)
        {
            Curve(together, solution, state).LegendText = _states[state];
        }

        together.ShowLegend(Edge.Right);
        return [together];
    }

    private static Scatter Curve(Plot plot, Solution solution, int state)
    {
        Scatter line = plot.Add.ScatterLine(solution.Times.ToArray(), solution.Component(state), ColorOf(state));
        line.LineWidth = 2;
        plot.XLabel("t");
        return line;
    }

    private void Bundle(Plot plot, int state)
    {
        plot.XLabel("t");
        if (_complete.Length == 0)
        {
            return;
        }

        double[] times = [.. _complete[0].Solution.Times];
        Color color = ColorOf(state);
        int stride = (_complete.Length + MostLines - 1) / MostLines;
        foreach ((_, Solution solution) in _complete.Where((_, k) => k % stride == 0))
        {
            plot.Add.ScatterLine(times, solution.Component(state), s_grey.WithAlpha(0.25));
        }

        double[][] sorted = [.. times.Select((_, k) => _complete.Select(run => run.Solution.States[k][state]).Order().ToArray())];
        double[] Quantile(double share) => [.. sorted.Select(values => SortedArrayStatistics.Quantile(values, share))];
        FillY band = plot.Add.FillY(times, Quantile(0.05), Quantile(0.95));
        band.FillColor = color.WithAlpha(0.3);
        band.LineWidth = 0;
        band.LegendText = "5-95 %";
        Scatter median = plot.Add.ScatterLine(times, Quantile(0.5), color);
        median.LineWidth = 3;
        median.LegendText = "median";
        plot.ShowLegend(Edge.Right);
    }

    private void OverRange(Plot plot, int state)
    {
        plot.XLabel(_plan.Names[0]);
        double[] values = [.. _complete.Select(run => _plan.Varied(run.Run)[0])];
        Scatter points = plot.Add.ScatterPoints(values, [.. _complete.Select(run => run.Solution.FinalState[state])], ColorOf(state));
        points.MarkerSize = values.Length > 200 ? 3 : 6;
    }

    private void Map(Plot plot, int state)
    {
        (Assignment.Sweep down, Assignment.Sweep across) = (_plan.Sweeps[0], _plan.Sweeps[1]);
        double[,] values = new double[down.Count, across.Count];
        for (int run = 0; run < _results.Count; run++)
        {
            values[run / across.Count, run % across.Count] = double.NaN;
        }

        foreach ((int run, Solution solution) in _complete)
        {
            values[run / across.Count, run % across.Count] = solution.FinalState[state];
        }

        Heatmap map = plot.Add.Heatmap(values);
        (double left, double right) = Edges(across);
        (double bottom, double top) = Edges(down);
        map.Rectangle = new CoordinateRect(Math.Min(left, right), Math.Max(left, right), Math.Min(bottom, top), Math.Max(bottom, top));
        // The first row is drawn at the top.
        map.FlipVertically = bottom < top;
        map.FlipHorizontally = left > right;
        plot.Add.ColorBar(map, Edge.Right).Label = _states[state];
        plot.Axes.Margins(0, 0);
        plot.XLabel(_plan.Names[1]);
        plot.YLabel(_plan.Names[0]);
    }

    /// <summary>Half a step beyond the first and the last value, which are the middles of cells.</summary>
    private static (double First, double Last) Edges(Assignment.Sweep sweep)
    {
        double half = (sweep.Last - sweep.First) / (2 * (sweep.Count - 1));
        return (sweep.First - half, sweep.Last + half);
    }

    private void Histogram(Plot plot, int state)
    {
        double[] values = [.. _complete.Select(run => run.Solution.FinalState[state]).Where(double.IsFinite)];
        plot.XLabel($"{_states[state]} at the end");
        plot.YLabel("runs");
        if (values.Length == 0)
        {
            return;
        }

        (double least, double most) = (values.Min(), values.Max());
        int bins = Math.Clamp((int)Math.Sqrt(values.Length), 5, 60);
        double width = (most - least) / bins;
        if (!(width > 1e-12 * Math.Max(Math.Abs(least), Math.Abs(most))))
        {
            // All alike: one bar.
            width = Math.Max(0.02 * Math.Abs(least), 1e-3);
        }

        int[] counts = new int[bins];
        foreach (double value in values)
        {
            counts[Math.Clamp((int)((value - least) / width), 0, bins - 1)]++;
        }

        Color color = ColorOf(state);
        Bar[] bars = [.. counts.Select((count, k) => new Bar { Position = least + (k + 0.5) * width, Value = count, Size = width, FillColor = color, LineWidth = 0 })];
        plot.Add.Bars(Array.FindAll(bars, bar => bar.Value > 0));
        plot.Axes.Margins(bottom: 0);
    }

    private static Plot NewPlot()
    {
        Plot plot = new();
        plot.Axes.Bottom.TickGenerator = new ScottPlot.TickGenerators.NumericAutomatic { LabelFormatter = Numbers.Tick };
        plot.Axes.Left.MinimumSize = 75;
        return plot;
    }

    private static Color ColorOf(int state) => new ScottPlot.Palettes.Category10().GetColor(state);
}
