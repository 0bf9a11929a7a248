using System;
using System.Collections.Generic;
using System.Linq;
using Continuum;
using TorchSharp;
using static TorchSharp.torch;

namespace Facade;

/// <summary>Controlled equations, paths and signatures from C#.</summary>
internal static class CdeCases
{
    internal static IEnumerable<(string Name, Action Body)> All =>
        [
            ("a linear controlled equation follows its closed form", ClosedForm),
            ("irregular series of unlike lengths and missing values make one path", Irregular),
            ("a stream of observations is the solve along the causal path", Streaming),
            ("gradients of a controlled solve reach data, parameters and start", Gradients),
            ("signatures from arrays and tensors", SignatureCase),
            ("misuse of controlled equations is an ArgumentException that names series and row", Misuse),
        ];

    private static void ClosedForm()
    {
        using IDisposable scope = NewDisposeScope();
        // dz = z dX with X straight: z = z0 exp(X - X0), whatever the knots.
        CdeField field = CdeField.Create(1, z => z.unsqueeze(-1));
        ControlPath path = ControlPath.Linear([0, 1, 3], tensor(new[] { 0.0, 0.5, -0.25 }, dtype: ScalarType.Float64).clone().reshape(3, 1));
        using TensorSolution solution = Cde.Solve(field, path, ones(1, dtype: ScalarType.Float64), new() { Method = OdeMethod.Dopri5, RelTol = 1e-10, AbsTol = 1e-10 });
        Check.Near(solution.FinalState.ToDouble(), Math.Exp(-0.25), 1e-8, "z");
    }

    private static void Irregular()
    {
        using ObservedSeries series = ObservedSeries.FromArrays(
            [[[1, double.NaN], [2, 5], null, [4, 6]], [[0, 1], [1, 1]]],
            [[0, 0.5, 2, 3], [0, 7]],
            ["a", "b"]
        );
        Check.Same(series.Count, 2, "series");
        using ControlPath path = ControlPath.Create(series, new() { Scheme = ControlScheme.Linear, Intensities = true });
        Check.Same(path.Channels, 5, "channels: time, two counters, two data");
        using Tensor last = path.Last;
        Check.Near(last[0, 3].ToDouble(), 4, 1e-12, "the last value of a");
        Check.Near(last[1, 0].ToDouble(), 7, 1e-12, "the last time of b");
    }

    private static void Streaming()
    {
        using IDisposable scope = NewDisposeScope();
        CdeField field = CdeField.Create(2, z => stack([z.sin(), z.cos()], -1));
        ControlOptions control = new() { Scheme = ControlScheme.Rectilinear, Causal = true };
        double[] times = [0, 1, 2.5, 3];
        double[] values = [0.1, 0.7, double.NaN, -0.4];
        using StreamingCde stream = new(field, 1, first => first.sum(-1, keepdim: true), control);
        double[] states = [.. times.Zip(values, (t, x) => stream.Push(t, x)[0])];
        using ObservedSeries series = ObservedSeries.FromArrays([[.. values.Select(x => new[] { x })]], [times]);
        using ControlPath path = ControlPath.Create(series, control);
        using TensorSolution offline = Cde.Solve(field, path, path.First.sum(-1, keepdim: true), new() { Save = CdeSave.Observations });
        for (int i = 0; i < 4; i++)
        {
            Check.Near(states[i], offline.States[i].ToDouble(), 1e-12, $"state {i}");
        }
    }

    private static void Gradients()
    {
        using IDisposable scope = NewDisposeScope();
        Tensor data = rand(2, 6, 1, dtype: ScalarType.Float64).requires_grad_(true);
        Tensor weight = tensor(0.5, dtype: ScalarType.Float64).requires_grad_(true);
        Tensor[] Slopes(Gradient gradient)
        {
            data.grad = null;
            weight.grad = null;
            CdeField field = CdeField.Create(2, z => (z * weight).tanh().unsqueeze(-1).expand(-1, -1, 2), [weight]);
            using ObservedSeries series = ObservedSeries.FromTensor(data);
            using ControlPath path = ControlPath.Create(series);
            using TensorSolution solution = Cde.Solve(field, path, ones(2, 3, dtype: ScalarType.Float64), new() { Gradient = gradient });
            solution.FinalState.sum().backward();
            return [data.grad!.clone(), weight.grad!.clone()];
        }

        Tensor[] recorded = Slopes(Gradient.Recorded);
        Tensor[] discrete = Slopes(Gradient.Discrete());
        Check.That(recorded.Zip(discrete, (a, b) => (a - b).abs().max().ToDouble()).Max() < 1e-12, $"recorded and discrete differ");
        Check.That(recorded[0].abs().sum().ToDouble() > 0, $"no gradient for the data");
    }

    private static void SignatureCase()
    {
        // A unit square run around once: its Levy area is its area.
        double[][] square = [[0, 0], [1, 0], [1, 1], [0, 1], [0, 0]];
        double[] log = Signatures.Log(square, 2);
        Check.Near(log[2], 1, 1e-12, "the area of the square");
        Check.Same(string.Join(" ", Signatures.LogNames(2, 3)), "1 2 [1,2] [1,[1,2]] [[1,2],2]", "names");
        using IDisposable scope = NewDisposeScope();
        Tensor path = rand(3, 10, 2, dtype: ScalarType.Float64);
        Check.That(Signatures.Compute(path, 3).shape.SequenceEqual([3L, Signatures.Size(2, 3)]), $"a wrong shape");
        Check.That(Signatures.LogWindows(path, 2, 3).shape.SequenceEqual([3L, 3L, 3L]), $"a wrong number of windows");
    }

    private static void Misuse()
    {
        Check.Holds(
            Check.Throws<ArgumentException>(() => ObservedSeries.FromArrays([[[1], [2]], [[1], [2]]], [[0, 1], [1, 1]], ["patient 6", "patient 7"])).Message,
            "patient 7"
        );
        using IDisposable scope = NewDisposeScope();
        using ObservedSeries series = ObservedSeries.FromArrays([[[1], [2]]]);
        using ControlPath path = ControlPath.Create(series);
        CdeField field = CdeField.Create(3, z => z.unsqueeze(-1).expand(-1, -1, 3));
        Check.Holds(Check.Throws<ArgumentException>(() => Cde.Solve(field, path, ones(1, 2, dtype: ScalarType.Float64))).Message, "2 channels");
        Check.Throws<ArgumentException>(() => new StreamingCde(field, 1, first => first, new() { Scheme = ControlScheme.NaturalCubic }).Dispose());
    }
}
