using System;
using System.Collections.Generic;
using System.IO;
using System.Linq;

namespace Continuum.Cli;

/// <summary>The channels at the later visits of the held-out subjects from their earlier ones, beside the last values.</summary>
internal sealed class CdeForecastRun : CdeFitRun
{
    /// <summary>Without a landmark, one visit in so many is forecast, from the end.</summary>
    private const int ForecastOneIn = 4;

    private readonly IrregularDataset _whole;
    private readonly IrregularDataset _seen;
    private readonly double[][] _times;
    private readonly string _cut;

    internal CdeForecastRun(CdeFitArguments arguments, IrregularDataset train, IrregularDataset heldOut)
        : base(arguments, train, heldOut, "fit.png")
    {
        double last = arguments is { Landmark: { } from, Horizon: { } length } ? from + length : double.PositiveInfinity;
        int Seen(int i) =>
            arguments.Landmark is { } time
                ? heldOut.Times(i).Count(t => t <= time)
                : heldOut.Times(i).Count - Math.Max(1, heldOut.Times(i).Count / ForecastOneIn);
        int[] kept = [.. Enumerable.Range(0, heldOut.Count).Where(i => Seen(i) > 0 && heldOut.Times(i).Skip(Seen(i)).Any(t => t <= last))];
        if (kept.Length == 0)
        {
            throw new UsageException(
                $"none of the {heldOut.Count} held-out subjects has a visit to forecast from and a later one to forecast; choose another landmark or horizon, or more data"
            );
        }

        _whole = heldOut.Subset(kept);
        _seen = FitSession.Checked(() => _whole.FirstVisits([.. kept.Select(Seen)]));
        _times = [.. kept.Select(i => heldOut.Times(i).Skip(Seen(i)).TakeWhile(t => t <= last).ToArray())];
        _cut = arguments.Landmark is { } landmark ? $"after {Numbers.Exact(landmark)}" : "in the last quarter of each";
    }

    private protected override NeuralCdeTask Task => NeuralCdeTask.Forecast;

    private protected override CdeEvaluation Evaluate(NeuralCdeModel model)
    {
        IReadOnlyList<double[,]> forecasts = model.Forecast(_seen, _times);
        PredictedNumbers[] numbers =
        [
            .. Enumerable.Range(0, _whole.Channels.Count).Select(channel => Compare(forecasts, channel)).Where(one => one.Truth.Count > 0),
        ];
        return new(
            writer => WriteForecasts(writer, forecasts),
            numbers.Length == 0 ? null : () => PredictedNumbers.Draw($"{Arguments.DataName}: visits {_cut}", numbers),
            () => Print(numbers)
        );
    }

    /// <summary>A channel where it was observed, its forecast, and its last value before.</summary>
    private PredictedNumbers Compare(IReadOnlyList<double[,]> forecasts, int channel)
    {
        List<double> truth = [];
        List<double> forecast = [];
        List<double> carried = [];
        double usual = Observed(Train, channel).DefaultIfEmpty(double.NaN).Average();
        for (int i = 0; i < _whole.Count; i++)
        {
            double[,] values = _whole.Values(i);
            int seen = _seen.Times(i).Count;
            double last = Column(values, channel).Take(seen).LastOrDefault(double.IsFinite, usual);
            for (int k = 0; k < _times[i].Length; k++)
            {
                if (double.IsFinite(values[seen + k, channel]))
                {
                    truth.Add(values[seen + k, channel]);
                    forecast.Add(forecasts[i][k, channel]);
                    carried.Add(last);
                }
            }
        }

        return new(_whole.Channels[channel], truth, forecast, carried);
    }

    private static IEnumerable<double> Column(double[,] values, int channel) => Enumerable.Range(0, values.GetLength(0)).Select(row => values[row, channel]);

    private static IEnumerable<double> Observed(IrregularDataset data, int channel) =>
        Enumerable.Range(0, data.Count).SelectMany(i => Column(data.Values(i), channel)).Where(double.IsFinite);

    private void Print(PredictedNumbers[] numbers)
    {
        Console.WriteLine($"{_times.Sum(times => times.Length)} visits of {_whole.Count} held-out subjects, {_cut}:");
        PredictedNumbers.Print(numbers, "last value");
        Console.WriteLine("last value: carried forward from the visits that were seen, or the mean of the others where there was none");
    }

    private void WriteForecasts(TextWriter writer, IReadOnlyList<double[,]> forecasts)
    {
        IEnumerable<string> names = _whole.Channels.SelectMany(name => (string[])[name, $"{name}_forecast"]);
        writer.WriteLine(string.Join(',', names.Prepend(_whole.TimeName).Prepend("id").Select(Cell)));
        for (int i = 0; i < _whole.Count; i++)
        {
            double[,] values = _whole.Values(i);
            int seen = _seen.Times(i).Count;
            for (int k = 0; k < _times[i].Length; k++)
            {
                int row = k;
                IEnumerable<string> cells = Enumerable
                    .Range(0, _whole.Channels.Count)
                    .SelectMany(j => (string[])[Known(values[seen + row, j]), Numbers.Exact(forecasts[i][row, j])]);
                writer.WriteLine(string.Join(',', cells.Prepend(Numbers.Exact(_times[i][k])).Prepend(Cell(_whole.Ids[i]))));
            }
        }
    }

    private static string Known(double value) => double.IsFinite(value) ? Numbers.Exact(value) : "";
}
