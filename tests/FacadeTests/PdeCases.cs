using System;
using System.Collections.Generic;
using System.IO;
using System.Linq;
using System.Threading;
using Continuum;

namespace Facade;

/// <summary>Data for operators of partial differential equations.</summary>
internal static class PdeCases
{
    internal static IEnumerable<(string Name, Action Body)> All =>
        [
            ("PDE data from C#: every generator, with progress", Generated),
            ("PDE data from C#: arrays, parts and files", FromArrays),
            ("PDE data from C#: random fields", RandomFields),
            ("PDE data from C#: cancellation and refusals", Refused),
        ];

    private static void Generated()
    {
        List<GenerationProgress> seen = [];
        OperatorData[] all =
        [
            PdeData.Darcy(new() { Samples = 2, Grid = 9, FineGrid = 0, Progress = new Immediate(seen.Add) }),
            PdeData.Burgers(new() { Samples = 2, Grid = 16, Times = [0.1] }),
            PdeData.NavierStokes(new() { Samples = 2, Grid = 12, InputTimes = [0], Times = [0.1] }),
            PdeData.NavierStokes(NavierStokesOptions.ForcingToVorticity with { Samples = 2, Grid = 12, Times = [0.1] }),
            PdeData.Poisson(new() { Samples = 2, Grid = 9, Boundary = BoundaryCondition.Dirichlet }),
            PdeData.Heat(new() { Samples = 2, Grid = 9, Dimension = 1 }),
            PdeData.Advection(new() { Samples = 2, Grid = 9, Times = [1.0] }),
            PdeData.Wave(new() { Samples = 2, Grid = 9, RandomVelocity = true }),
        ];
        Check.Same(seen[^1], new GenerationProgress(2, 2), "progress");
        string[] names = [.. all.Select(data => $"{string.Join("+", data.Inputs.Select(input => input.Name))}>{data.Output.Name}")];
        string[] expected = ["a>u", "u0>u", "w>w later", "f>w", "f>u", "u0>u", "u0>u", "u0+v0>u"];
        Check.That(names.SequenceEqual(expected), $"{string.Join(", ", names)}");
        Check.That(all.All(data => data.Count == 2 && data.Source.StartsWith('{')), $"counts and sources");
        // Velocity 1 along each axis of the unit torus: after one period the state is back.
        double gap = all[6].Values("u").Zip(all[6].Values("u0"), (a, b) => Math.Abs(a - b)).Max();
        Check.Near(gap, 0, 1e-12, "one period");
        Array.ForEach(all, data => data.Dispose());
    }

    private static void RandomFields()
    {
        FunctionArray fields = PdeData.RandomFields(RandomFieldOptions.Matern(0.5, 0.05, variance: 4, dimension: 1) with { Samples = 400, Grid = 128 });
        Check.Same(string.Join(",", fields.Shape), "400,128", "shape");
        double variance = fields.Values.Select(v => v * v).Average();
        Check.That(Math.Abs(variance - 4) < 0.4, $"variance {variance} of 4");
        // The exponential covariance: exp(-distance / length) at a distance of 0.05.
        double near = Enumerable.Range(0, 400).SelectMany(s => Enumerable.Range(0, 120).Select(j => fields.Values[(s * 128) + j] * fields.Values[(s * 128) + j + 6])).Average();
        Check.That(Math.Abs((near / variance) - Math.Exp(-6.0 / 128 / 0.05)) < 0.05, $"correlation {near / variance}");
        Check.Throws<ArgumentException>(() => RandomFieldOptions.Matern(-1, 0.1));
        Check.Throws<ArgumentException>(() => fields.Save("fields.csv"));
    }

    private static void FromArrays()
    {
        FunctionArray a = new("a", [3, 4], [.. Enumerable.Range(0, 12).Select(i => (double)i)]);
        FunctionArray u = new("u", [3, 2, 4], [.. Enumerable.Range(0, 24).Select(i => (double)i)]);
        using OperatorData data = OperatorData.FromArrays([a], u, dimension: 1, boundary: BoundaryCondition.Periodic, source: "numbers");
        Check.Same(data.Output.Channels, 2, "channels");
        Check.That(data.Inputs[0].Points.SequenceEqual([4]), $"{data}");
        (OperatorData first, OperatorData others) = data.Split(1);
        using (first)
        using (others)
        {
            Check.Same(others.Count, 2, "the others");
            Check.That(others.Values("u").SequenceEqual(u.Values.Skip(8)), $"their values");
            using OperatorData thin = others.Stride(2);
            Check.That(thin.Values("a").SequenceEqual([4.0, 6, 8, 10]), $"every second point: {string.Join(", ", thin.Values("a"))}");
            string path = Path.Combine(Path.GetTempPath(), $"continuum-{Guid.NewGuid():N}.h5");
            try
            {
                others.Save(path);
                using OperatorData back = OperatorData.Load(path);
                Check.That(back.Values("a").SequenceEqual(others.Values("a")) && back.Source == "numbers", $"{back}");
                Check.That(OperatorData.Arrays(path)["output/values"].SequenceEqual([2L, 2, 4]), $"arrays");
            }
            finally
            {
                File.Delete(path);
            }
        }

        Check.Holds(Check.Throws<ArgumentException>(() => OperatorData.FromArrays([a], u, dimension: 3)).Message, "3 axes");
        Check.Holds(Check.Throws<ArgumentException>(() => data.Split(3)).Message, "give 1 to 2");
        Check.Holds(Check.Throws<ArgumentException>(() => data.Values("b")).Message, "the inputs are a");
    }

    private static void Refused()
    {
        using CancellationTokenSource source = new();
        source.Cancel();
        Check.Throws<OperationCanceledException>(() => PdeData.Heat(new() { CancellationToken = source.Token }));
        Check.Holds(Check.Throws<ArgumentException>(() => PdeData.Darcy(new() { Grid = 10 })).Message, "multiple of 9");
        Check.Throws<ArithmeticException>(() => PdeData.Burgers(new() { Samples = 1, Grid = 64, Viscosity = 1e-5, Sigma = 2500, Step = 0.5 }));
        Check.Throws<ArgumentNullException>(() => OperatorData.FromArrays(null!, null!, 1));
    }

    private sealed class Immediate(Action<GenerationProgress> report) : IProgress<GenerationProgress>
    {
        public void Report(GenerationProgress value) => report(value);
    }
}
