using System;
using System.Collections.Generic;
using System.Linq;
using Spectre.Console;

namespace Continuum.Cli;

/// <summary>A neural SDE beside Brownian motion on held-out data.</summary>
internal sealed class SdeComparison
{
    private static readonly double[] s_bands = [0.5, 0.8, 0.95];

    private readonly List<(string Name, string Neural, string Brownian)> _rows = [];
    private readonly string _baseline;
    private readonly bool _chance;

    private SdeComparison(string baseline, bool chance)
    {
        _baseline = baseline;
        _chance = chance;
    }

    internal static string BaselineName(GeometricBrownianModel model) => model.IsLogarithmic ? "geometric Brownian motion" : "Brownian motion with drift";

    internal static SdeComparison Make(
        NeuralSdeModel model,
        GeometricBrownianModel brownian,
        SimulatedPaths fan,
        SimulatedPaths rival,
        TimeSeries train,
        TimeSeries heldOut,
        int seed
    )
    {
        bool windows = heldOut.Count >= 8;
        SdeComparison result = new(BaselineName(brownian), windows);
        double[] neural = [.. model.LogDensities(heldOut, train)];
        double[] simple = [.. brownian.LogDensities(heldOut, train)];
        double[] gain = [.. neural.Zip(simple, (a, b) => a - b)];
        double mean = gain.Average();
        double error = Math.Sqrt(gain.Average(value => (value - mean) * (value - mean)) / gain.Length);
        result.Add("log density per row", neural.Average(), simple.Average());
        result._rows.Add(("  gain", $"{Numbers.Short(mean)} ± {Numbers.Short(error)}", ""));
        IReadOnlyList<double> inside = fan.Coverage(heldOut, s_bands);
        IReadOnlyList<double> rivals = rival.Coverage(heldOut, s_bands);
        for (int k = 0; k < s_bands.Length; k++)
        {
            result._rows.Add(($"inside the {100 * s_bands[k]:0} % band", $"{100 * inside[k]:0} %", $"{100 * rivals[k]:0} %"));
        }

        if (windows)
        {
            PathComparisonOptions options = new() { Seed = seed };
            PathComparison a = PathComparison.HeldOut(model, train, heldOut, options);
            PathComparison b = PathComparison.HeldOut(brownian, train, heldOut, options);
            result.Add("signature MMD", a.Signature, b.Signature);
            result.Add("Kolmogorov-Smirnov", a.KolmogorovSmirnov, b.KolmogorovSmirnov);
            result.Add("Wasserstein-1", a.Wasserstein, b.Wasserstein);
            result.Add("correlation of returns", a.ReturnCorrelation, b.ReturnCorrelation);
            result.Add("correlation of squares", a.SquaredReturnCorrelation, b.SquaredReturnCorrelation);
        }

        return result;
    }

    internal void Print(TimeSeries heldOut)
    {
        Console.WriteLine($"the {heldOut.Count} held-out rows from {Numbers.Exact(heldOut.Times[0])} to {Numbers.Exact(heldOut.Times[^1])}:");
        Table table = Tables.Create();
        table.AddColumn("measure");
        table.AddColumn(new TableColumn("neural SDE").RightAligned());
        table.AddColumn(new TableColumn("Brownian motion").RightAligned());
        foreach ((string name, string neural, string brownian) in _rows)
        {
            table.AddRow(Markup.Escape(name), neural, brownian);
        }

        AnsiConsole.Write(table);
        if (_chance)
        {
            Console.WriteLine(
                "log density: more is better, the gain with its standard error. The last five are distances of windows of the held-out rows from paths "
                    + "that go on from the rows before them: less is better, what chance alone gives in brackets. "
                    + $"Brownian motion: {_baseline}."
            );
        }
    }

    private void Add(string name, double neural, double brownian) => _rows.Add((name, Numbers.Short(neural), Numbers.Short(brownian)));

    private void Add(string name, PathDistance neural, PathDistance brownian) => _rows.Add((name, Text(neural), Text(brownian)));

    private static string Text(PathDistance distance) => $"{Numbers.Short(distance.Value)} ({Numbers.Short(distance.Chance)})";
}
