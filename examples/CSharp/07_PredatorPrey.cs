using System;
using System.Collections.Generic;
using System.IO;
using System.Linq;
using System.Runtime.CompilerServices;
using Continuum;

namespace Examples;

/// <summary>
/// What 04_LynxHare does with a network, with four parameters: Lotka-Volterra fitted to the pelts of 1900-1914, with standard errors, and the
/// years 1915-1920 predicted.
/// </summary>
internal static class PredatorPrey
{
    internal static void Run()
    {
        TimeSeries data = TimeSeries.ReadCsv(Path.Combine(Data(), "lynx-hare.csv"));
        TimeSeries train = data.Slice(1900, 1914);
        TimeSeries test = data.Slice(1915, 1920);

        ParameterFit fit = Fit.Parameters(
            MechanisticModel.Named("lotka-volterra"),
            train,
            bounds: new Dictionary<string, Bounds>
            {
                ["alpha"] = Bounds.Positive(1, 1e-3, 10),
                ["beta"] = Bounds.Positive(0.05, 1e-5, 1),
                ["gamma"] = Bounds.Positive(1, 1e-3, 10),
                ["delta"] = Bounds.Positive(0.05, 1e-5, 1),
            },
            options: new()
            {
                Columns = new Dictionary<string, string> { ["hare"] = "prey", ["lynx"] = "predator" },
                RelativeErrors = true, // counts vary over a factor of twenty
            }
        );

        Console.WriteLine(fit.Message);
        foreach (ParameterEstimate estimate in fit.Parameters.Concat(fit.InitialState))
        {
            Console.WriteLine(
                $"{estimate.Name,-9}{estimate.Value,8:g3} +- {estimate.StandardError,-8:g2} [{estimate.Lower95:g3}, {estimate.Upper95:g3}]"
            );
        }

        Console.WriteLine($"correlation of gamma and delta {fit.Correlation("gamma", "delta"):f2}");
        TimeSeries prediction = fit.Predict(test.Times);
        TimeSeries persistence = Forecaster.Persistence(train, test.Times);
        for (int row = 0; row < test.Count; row++)
        {
            Console.WriteLine(
                $"{test.Times[row]}   hare {prediction[row, 0],5:f1} ({test[row, 0],4:f1})   lynx {prediction[row, 1],5:f1} ({test[row, 1],4:f1})"
            );
        }

        double[] errors = [.. Enumerable.Range(0, 2).Select(column => Rmse(prediction, test, column))];
        double[] naive = [.. Enumerable.Range(0, 2).Select(column => Rmse(persistence, test, column))];
        Check.That(
            fit.Status == ParameterFitStatus.Converged && fit.Parameters.All(p => p.IsDetermined && p.StandardError < 0.5 * p.Value),
            "predator and prey: converged, every parameter determined"
        );
        Check.That(
            errors[0] < naive[0] && errors[1] < naive[1],
            $"predator and prey: RMSE {errors[0]:f1} and {errors[1]:f1}, against {naive[0]:f1} and {naive[1]:f1} of persistence"
        );
    }

    private static double Rmse(TimeSeries forecast, TimeSeries truth, int column) =>
        Math.Sqrt(Enumerable.Range(0, truth.Count).Average(row => Math.Pow(forecast[row, column] - truth[row, column], 2)));

    /// <summary>examples/data, beside the folder of this file.</summary>
    private static string Data([CallerFilePath] string file = "") => Path.Combine(Path.GetDirectoryName(file)!, "..", "data");
}
