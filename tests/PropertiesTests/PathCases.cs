using System;
using System.Collections.Generic;
using System.Linq;
using Continuum;
using Continuum.Properties;
using TorchSharp;
using static TorchSharp.torch;

namespace OwnModel;

/// <summary>The laws of equations along paths, of signatures and of models of series, run on models written in C#, right and wrong ones.</summary>
internal static class PathCases
{
    internal static IEnumerable<(string Name, Action Body)> All =>
        [
            ("a price keeps the laws of stochastic equations", Price),
            ("a growth whose closed form forgets Ito's correction is found", WrongClosedForm),
            ("a pendulum in noise, with its drift in both calculi", TwoDrifts),
            ("a conversion with the wrong sign is found", WrongConversion),
            ("noise that does not commute, with Levy areas", General),
            ("noise of another class than claimed is found", WrongNoise),
            ("a drift with a memory is found", ForgetfulDrift),
            ("the gradients of a stochastic equation", SdeGradients),
            ("a drift that cuts its gradient off is found", CutDrift),
            ("a field along a path", Field),
            ("a field that mixes samples is found", MixingField),
            ("a field that looks at a clock is found", ClockField),
            ("the gradients of a field along a path", FieldGradients),
            ("a field that cuts its gradient off is found", CutField),
            ("the library's signatures on my paths", LibrarySignature),
            ("a signature of my own", OwnSignature),
            ("a signature by right end points is found", WrongSignature),
            ("a running mean is a causal model", RunningMean),
            ("an acausal model is found", Acausal),
            ("a model that sees the padding is found", Padded),
        ];

    private static Tensor Table(int rows, int columns, Func<int, double> value) =>
        Tensors.ofArray([.. Enumerable.Range(0, rows * columns).Select(value)], [rows, columns], ScalarType.Float64, CPU);

    /// <summary>The law is among those that fail.</summary>
    private static void Fails(IEnumerable<LawResult> results, string law)
    {
        if (!results.Any(result => !result.Holds && result.Law.Contains(law, StringComparison.Ordinal)))
        {
            throw new InvalidOperationException($"'{law}' is not among the failing laws: " + string.Join("; ", results));
        }
    }

    private static IReadOnlyList<LawResult> Growth(double correction)
    {
        using var scope = NewDisposeScope();
        var mu = Tensors.vector([0.3, -0.4]);
        var sigma = Tensors.vector([0.6, 0.4]);
        var start = Table(200, 2, i => 1 + (0.4 * Math.Sin(1.7 * i)));
        return Laws.OfSde(
            "price",
            CalculusKind.Ito,
            NoiseKind.Diagonal,
            0,
            (t, y) => y * mu,
            (t, y) => y * sigma,
            null,
            0.0,
            1.0,
            start,
            w => start * ((w * sigma) + mu - (correction * sigma * sigma)).exp(),
            16);
    }

    // docs/Laws.md shows this case.
    private static void Price()
    {
        using var scope = NewDisposeScope();
        Tensor start = full([200, 1], 100.0, dtype: ScalarType.Float64);
        Laws.EnsureAll(
            Laws.OfSde(
                "my price",
                CalculusKind.Ito,
                NoiseKind.Diagonal,
                0,
                (t, y) => y * 0.06,
                (t, y) => y * 0.3,
                (t, y) => y * (0.06 - (0.5 * 0.3 * 0.3)),
                0.0,
                1.0,
                start,
                w => start * ((w * 0.3) + 0.06 - (0.5 * 0.3 * 0.3)).exp(),
                16));
        Laws.EnsureAll(Growth(0.5));
    }

    private static void WrongClosedForm() => Fails(Growth(0), "converges with strong order");

    // A pendulum pushed at random, in Stratonovich's sense; its drift in Ito's has half the diffusion's derivative along itself more.
    private static IReadOnlyList<LawResult> Pushed(double sign)
    {
        using var scope = NewDisposeScope();
        static Tensor Drift(Tensor t, Tensor y) => cat([y.narrow(-1, 1, 1), -y.narrow(-1, 0, 1).sin() + (0.2 * t.cos())], -1);
        static Tensor Diffusion(Tensor t, Tensor y) => cat([0.3 * y.narrow(-1, 0, 1).cos(), 0.5 * y.narrow(-1, 1, 1)], -1);
        Tensor OtherDrift(Tensor t, Tensor y)
        {
            var along = cat([-0.09 * y.narrow(-1, 0, 1).sin() * y.narrow(-1, 0, 1).cos(), 0.25 * y.narrow(-1, 1, 1)], -1);
            return Drift(t, y) + (sign * 0.5 * along);
        }

        return Laws.OfSde(
            "pushed pendulum",
            CalculusKind.Stratonovich,
            NoiseKind.Scalar,
            1,
            Drift,
            Diffusion,
            OtherDrift,
            0.0,
            1.0,
            Table(200, 2, i => Math.Sin(1.7 * i)),
            null,
            16);
    }

    private static void TwoDrifts() => Laws.EnsureAll(Pushed(1));

    private static void WrongConversion() => Fails(Pushed(-1), "agree along a path");

    // Columns (1, 0, 0) and (0, 1, y0): they do not commute.
    private static IReadOnlyList<LawResult> Heisenberg(NoiseKind noise)
    {
        using var scope = NewDisposeScope();
        return Laws.OfSde(
            "area",
            CalculusKind.Stratonovich,
            noise,
            2,
            (t, y) => -0.5 * y,
            (t, y) =>
            {
                var zero = zeros_like(y.select(-1, 0));
                var one = ones_like(zero);
                return stack([stack([one, zero], -1), stack([zero, one], -1), stack([zero, y.select(-1, 0)], -1)], -2);
            },
            null,
            0.0,
            1.0,
            Table(100, 3, i => Math.Sin(1.7 * i)),
            null,
            4);
    }

    private static void General() => Laws.EnsureAll(Heisenberg(NoiseKind.General));

    private static void WrongNoise()
    {
        Fails(Heisenberg(NoiseKind.Commutative), "the noise of area is commutative");
        Fails(Heisenberg(NoiseKind.Additive), "the noise of area is additive");
    }

    private static void ForgetfulDrift()
    {
        using var scope = NewDisposeScope();
        int calls = 0;
        Fails(
            Laws.OfSde(
                "memory",
                CalculusKind.Ito,
                NoiseKind.Diagonal,
                0,
                (t, y) => -y + (1e-4 * ++calls),
                (t, y) => 0.1 * y,
                null,
                0.0,
                1.0,
                Table(50, 1, i => 1 + (0.1 * i)),
                null,
                16),
            "saving inside steps does not change the trajectory");
    }

    private static IReadOnlyList<LawResult> Gradients(CalculusKind calculus, bool cut)
    {
        using var scope = NewDisposeScope();
        var rate = Tensors.vector([0.7]).requires_grad_();
        var size = Tensors.vector([0.3, 0.2]).requires_grad_();
        return Laws.OfSdeGradients(
            "decay",
            calculus,
            NoiseKind.Diagonal,
            0,
            (t, y) => -rate * (cut ? y.detach() : y).sin(),
            (t, y) => size * (1 + (0.5 * y * y)).sqrt(),
            [rate, size],
            0.0,
            1.0,
            Table(3, 2, i => Math.Sin(1.7 * i)),
            [0.4, 1.0],
            10);
    }

    private static void SdeGradients()
    {
        Laws.EnsureAll(Gradients(CalculusKind.Ito, cut: false));
        Laws.EnsureAll(Gradients(CalculusKind.Stratonovich, cut: false));
    }

    private static void CutDrift() => Fails(Gradients(CalculusKind.Ito, cut: true), "the limit of difference quotients");

    /// <summary>Values of three series with two channels at seven rows.</summary>
    private static Tensor Rows() => Table(21, 2, i => Math.Sin((1.3 * i) + 0.2)).reshape(3, 7, 2);

    private static Tensor Weight() => Table(4, 8, i => 0.4 * Math.Cos(0.7 * i));

    private static Tensor States() => Table(3, 4, i => 0.5 * Math.Sin(2.1 * i));

    // docs/Laws.md names this case.
    private static void Field()
    {
        using var scope = NewDisposeScope();
        var weight = Weight();
        Laws.EnsureAll(Laws.OfCde("my field", z => z.matmul(weight).tanh().reshape([.. z.shape[..^1], 4, 2]), Rows(), States()));
    }

    private static void MixingField()
    {
        using var scope = NewDisposeScope();
        var weight = Weight();
        Fails(
            Laws.OfCde("normalised", z => (z - z.mean([0], keepdim: true)).matmul(weight).tanh().reshape([.. z.shape[..^1], 4, 2]), Rows(), States()),
            "a series in a batch is solved as alone");
    }

    private static void ClockField()
    {
        using var scope = NewDisposeScope();
        var weight = Weight();
        int calls = 0;
        Fails(
            Laws.OfCde("clock", z => z.matmul(weight).tanh().reshape([.. z.shape[..^1], 4, 2]) * (1 + (1e-4 * ++calls)), Rows(), States()),
            "the speed along a curve does not matter");
    }

    private static IReadOnlyList<LawResult> FieldGradients(bool cut)
    {
        using var scope = NewDisposeScope();
        var weight = Weight().requires_grad_();
        return Laws.OfCdeGradients(
            "field",
            z => (cut ? z.detach() : z).matmul(weight).tanh().reshape([.. z.shape[..^1], 4, 2]),
            [weight],
            Rows(),
            States());
    }

    private static void FieldGradients() => Laws.EnsureAll(FieldGradients(cut: false));

    private static void CutField() => Fails(FieldGradients(cut: true), "the limit of difference quotients");

    private static void LibrarySignature()
    {
        using var scope = NewDisposeScope();
        Laws.EnsureAll(Laws.OfSignature(null, 3, Rows()));
    }

    /// <summary>To depth 2: increments, and the integral of the path from its start, taken at this place of each segment, against itself.</summary>
    private static Tensor Area(Tensor path, double place)
    {
        long n = path.shape[^2];
        var step = path.narrow(-2, 1, n - 1) - path.narrow(-2, 0, n - 1);
        var at = path.narrow(-2, 0, n - 1) - path.narrow(-2, 0, 1) + (place * step);
        return cat([step.sum(-2), at.transpose(-1, -2).matmul(step).flatten(-2)], -1);
    }

    private static void OwnSignature()
    {
        using var scope = NewDisposeScope();
        Laws.EnsureAll(Laws.OfSignature(path => Area(path, 0.5), 2, Rows()));
    }

    private static void WrongSignature()
    {
        using var scope = NewDisposeScope();
        var found = Laws.OfSignature(path => Area(path, 1), 2, Rows());
        Fails(found, "the shuffle identity");
        Fails(found, "a straight line");
        Fails(found, "cutting segments and waiting change nothing");
    }

    private static readonly double[][] s_times = [[0, 1, 2.5, 3], [0.5, 0.7, 4, 6, 7, 9], [1, 2, 3]];

    private static readonly double[][,] s_values =
    [
        new double[,] { { 1, 2 }, { double.NaN, 1 }, { 0.5, 3 }, { 2, double.NaN } },
        new double[,] { { 0, 1 }, { 2, 2 }, { 1, 5 }, { double.NaN, 4 }, { 3, 0 }, { 1, 1 } },
        new double[,] { { 4, 1 }, { 2, 2 }, { 7, 1 } },
    ];

    /// <summary>Mean of what was observed of each channel at the visits before end(visit).</summary>
    private static double[,] Means(double[,] values, Func<int, int> end)
    {
        double[,] means = new double[values.GetLength(0), values.GetLength(1)];
        for (int i = 0; i < values.GetLength(0); i++)
        {
            for (int j = 0; j < values.GetLength(1); j++)
            {
                means[i, j] = Enumerable.Range(0, end(i)).Select(k => values[k, j]).Where(double.IsFinite).DefaultIfEmpty(0).Average();
            }
        }

        return means;
    }

    private static void RunningMean() =>
        Laws.EnsureAll(Laws.OfSeriesModel((times, values) => [.. values.Select(own => Means(own, i => i + 1))], s_times, s_values));

    private static void Acausal() =>
        Fails(
            Laws.OfSeriesModel(
                (times, values) => [.. values.Select(own => Means(own, i => Math.Min(i + 2, own.GetLength(0))))],
                s_times,
                s_values),
            "does not depend on later visits");

    private static void Padded() =>
        Fails(
            Laws.OfSeriesModel(
                (times, values) =>
                {
                    int longest = values.Max(own => own.GetLength(0));
                    return [.. values.Select(own => Scaled(Means(own, i => i + 1), 1.0 / longest))];
                },
                s_times,
                s_values),
            "padding changes nothing");

    private static double[,] Scaled(double[,] values, double factor)
    {
        double[,] scaled = (double[,])values.Clone();
        for (int i = 0; i < values.GetLength(0); i++)
        {
            for (int j = 0; j < values.GetLength(1); j++)
            {
                scaled[i, j] *= factor;
            }
        }

        return scaled;
    }
}
