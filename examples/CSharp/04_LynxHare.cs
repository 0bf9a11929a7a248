using System;
using System.IO;
using System.Linq;
using System.Runtime.CompilerServices;
using Continuum;

namespace Examples;

/// <summary>
/// The Hudson Bay lynx and hare: a Lotka-Volterra law plus a small network, fitted to 1900-1914, forecasts 1915-1920.
/// Few iterations, so that it takes seconds; the defaults of <see cref="FitOptions"/> train longer.
/// </summary>
internal static class LynxHare
{
    internal static void Run()
    {
        TimeSeries data = TimeSeries.ReadCsv(Path.Combine(Data(), "lynx-hare.csv"));
        TimeSeries train = data.Slice(1900, 1914);
        TimeSeries test = data.Slice(1915, 1920);

        using Forecaster model = Forecaster.Fit(train, new FitOptions { Iterations = 200, Seed = 1 });
        TimeSeries forecast = model.Forecast(test.Times);
        TimeSeries persistence = Forecaster.Persistence(train, test.Times);

        Console.WriteLine($"{model.Model} with {model.Prior}, {model.Evaluations} evaluations, training loss {model.TrainingLoss:g3}");
        for (int row = 0; row < test.Count; row++)
        {
            Console.WriteLine(
                $"{test.Times[row]}   hare {forecast[row, 0],5:f1} ({test[row, 0],4:f1})   lynx {forecast[row, 1],5:f1} ({test[row, 1],4:f1})"
            );
        }

        double[] errors = [.. Enumerable.Range(0, 2).Select(column => Rmse(forecast, test, column))];
        double[] naive = [.. Enumerable.Range(0, 2).Select(column => Rmse(persistence, test, column))];
        Check.That(
            forecast.Values.Cast<double>().All(value => value > 0) && errors[0] < naive[0] && errors[1] < naive[1],
            $"lynx and hare: RMSE {errors[0]:f1} and {errors[1]:f1}, against {naive[0]:f1} and {naive[1]:f1} of persistence"
        );
    }

    private static double Rmse(TimeSeries forecast, TimeSeries truth, int column) =>
        Math.Sqrt(Enumerable.Range(0, truth.Count).Average(row => Math.Pow(forecast[row, column] - truth[row, column], 2)));

    /// <summary>examples/data, beside the folder of this file.</summary>
    internal static string Data([CallerFilePath] string file = "") => Path.Combine(Path.GetDirectoryName(file)!, "..", "data");
}
