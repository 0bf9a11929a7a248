using System;
using System.IO;
using System.Linq;
using Continuum;

namespace Examples;

/// <summary>
/// Four European stock indices, 1991 to 1998: a neural SDE learns how calm and nervous times follow each other, which geometric Brownian
/// motion cannot know, and gives the held-out last fifth a higher likelihood. Few iterations, so that it takes seconds.
/// </summary>
internal static class Markets
{
    internal static void Run()
    {
        TimeSeries data = TimeSeries.ReadCsv(Path.Combine(LynxHare.Data(), "eu-stock-markets.csv"));
        double until = data.Times[(int)(0.8 * data.Count)];
        TimeSeries train = data.Slice(data.Times[0], until);
        TimeSeries test = data.Slice(Math.BitIncrement(until), data.Times[^1]);

        GeometricBrownianModel simple = GeometricBrownianModel.Fit(train);
        using NeuralSdeModel model = NeuralSdeModel.Fit(train, new NeuralSdeOptions { Iterations = 300, Seed = 1 });
        double gain = (model.LogLikelihood(test, train) - simple.LogLikelihood(test, train)) / test.Count;
        Console.WriteLine($"log-likelihood of {test.Count} held-out days: {gain:f3} a day above geometric Brownian motion");

        // A fan of paths from the end of the training data on.
        SimulatedPaths paths = model.Simulate(200, [.. test.Times.Take(100)], seed: 1);
        foreach (TimeSeries quantile in paths.Quantiles(0.05, 0.5, 0.95))
        {
            Console.WriteLine($"DAX after {quantile.Count} days: {quantile[quantile.Count - 1, 0]:f0} (it was {test[quantile.Count - 1, 0]:f0})");
        }

        Check.That(gain > 0.02, "markets: the neural SDE is ahead on days that it has not seen");
    }
}
