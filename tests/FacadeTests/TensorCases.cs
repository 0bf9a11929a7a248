using System;
using System.Collections.Generic;
using System.Linq;
using System.Threading;
using Continuum;
using TorchSharp;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace Facade;

/// <summary>Solves on tensors, and their gradients.</summary>
internal static class TensorCases
{
    private static readonly TensorSolveOptions s_tight = new() { RelTol = 1e-10, AbsTol = 1e-12 };

    internal static IEnumerable<(string Name, Action Body)> All =>
        [
            ("a batch decays as it must", Decay),
            ("gradients of every kind match the closed form", Gradients),
            ("gradients of the times match the closed form", TimeGradients),
            ("a module's parameters get gradients without being listed", NeuralOde),
            ("a gradient through an event", EventGradient),
            ("scheduled changes, saved times and dense output on tensors", Saving),
            ("a tensor that would lose its gradient is refused", Untracked),
            ("stiff methods on tensors, their gradients, and what is refused", Stiff),
            ("failures carry the partial solution", Failure),
            ("async on tensors keeps gradients", Async),
            ("a solve leaves no tensor behind", NoLeak),
        ];

    private static Tensor Numbers(params double[] values) => tensor(values, dtype: float64).clone();

    private static void Decay()
    {
        using IDisposable scope = NewDisposeScope();
        Tensor y0 = rand(4, 3);
        Tensor rates = Numbers(1, 2, 3).to(float32);
        TensorSolution solution = Ode.Solve((_, y) => -(y * rates), 0, 1, y0, new() { SaveAt = SaveAt.Times(0, 0.5, 1) });
        Check.Same(string.Join(",", solution.States.shape), "3,4,3", "shape");
        double error = (solution.FinalState - (y0 * (-rates).exp())).abs().max().ToDouble();
        Check.That(error < 1e-5, $"error {error}");
        Check.Same(solution.Status, SolveStatus.Success, "status");
    }

    private static void Stiff()
    {
        // y' = rate (y - cos t) - sin t, from 1: cos t, and d y(T)/d y0 = exp(rate T) is zero.
        foreach (OdeMethod method in OdeMethod.Stiff.Skip(1))
        {
            foreach (Gradient gradient in new[] { Gradient.Recorded, Gradient.Discrete() })
            {
                using IDisposable scope = NewDisposeScope();
                Tensor rate = Numbers(-1e5).requires_grad_(true);
                Tensor y0 = ones(2, 1, dtype: float64).requires_grad_(true);
                TensorSolveOptions options = new()
                {
                    Method = method,
                    RelTol = 1e-6,
                    AbsTol = 1e-8,
                    Parameters = [rate],
                    Gradient = gradient,
                };
                TensorSolution solution = Ode.Solve((t, y) => (rate * (y - t.cos())) - t.sin(), 0, 1, y0, options);
                double error = (solution.FinalState - Math.Cos(1)).abs().max().ToDouble();
                Check.That(error < 1e-5, $"{method}: error {error}");
                solution.FinalState.sum().backward();
                Check.That(y0.grad is not null && y0.grad.abs().max().ToDouble() < 1e-6, $"{method}: gradient of y0");
                Check.That(rate.grad is not null && rate.grad.abs().max().ToDouble() < 1e-6, $"{method}: gradient of the rate");
            }
        }

        ArgumentException refused = Check.Throws<ArgumentException>(() =>
            Ode.Solve((_, y) => -y, 0, 1, Numbers(1).requires_grad_(true), new() { Method = OdeMethod.Bdf })
        );
        Check.That(refused.Message.Contains("Rodas5P", StringComparison.Ordinal), $"message: {refused.Message}");
    }

    private static void Gradients()
    {
        // y(T) = y0 exp(a T): d/dy0 = exp(a T), d/da = T y0 exp(a T).
        foreach (Gradient gradient in new[] { Gradient.Recorded, Gradient.Discrete(), Gradient.Discrete(5, 2), Gradient.Backsolve() })
        {
            using IDisposable scope = NewDisposeScope();
            Tensor a = Numbers(-0.7).requires_grad_(true);
            Tensor y0 = Numbers(1.3).requires_grad_(true);
            TensorSolution solution = Ode.Solve(
                (_, y) => a * y,
                0,
                2,
                y0,
                s_tight with
                {
                    Parameters = [a],
                    Gradient = gradient,
                }
            );
            solution.FinalState.sum().backward();
            Check.Near(y0.grad!.item<double>(), Math.Exp(-1.4), 1e-7, $"{gradient}: gradient of y0");
            Check.Near(a.grad!.item<double>(), 2 * 1.3 * Math.Exp(-1.4), 1e-7, $"{gradient}: gradient of a");
        }

        using Tensor still = Numbers(1).requires_grad_(true);
        using TensorSolution plain = Ode.Solve((_, y) => -y, 0, 1, still, s_tight with { Gradient = Gradient.None });
        Check.That(!plain.FinalState.requires_grad, $"Gradient.None recorded a gradient");
    }

    private static void TimeGradients()
    {
        using IDisposable scope = NewDisposeScope();
        Tensor start = Numbers(0.2).requires_grad_(true);
        Tensor end = Numbers(1.1).requires_grad_(true);
        TensorSolution solution = Ode.Solve((t, y) => y * t, 0, 1, Numbers(1), s_tight with { StartTime = start, EndTime = end });
        solution.FinalState.sum().backward();
        double value = Math.Exp(0.5 * ((1.1 * 1.1) - (0.2 * 0.2)));
        Check.Near(solution.FinalState.item<double>(), value, 1e-8, "value at the tracked times");
        Check.Near(end.grad!.item<double>(), 1.1 * value, 1e-7, "gradient of the end");
        Check.Near(start.grad!.item<double>(), -0.2 * value, 1e-7, "gradient of the start");
    }

    private static void NeuralOde()
    {
        using IDisposable scope = NewDisposeScope();
        _ = manual_seed(3);
        Sequential network = nn.Sequential(nn.Linear(2, 8), nn.Tanh(), nn.Linear(8, 2));
        _ = network.to(float64);
        Tensor y0 = Numbers(0.4, -0.2).reshape(1, 2);

        double Loss() => Ode.Solve(network, 0, 1, y0, s_tight).FinalState.square().sum().ToDouble();

        Ode.Solve(network, 0, 1, y0, s_tight).FinalState.square().sum().backward();
        foreach (Parameter parameter in network.parameters())
        {
            double gradient = parameter.grad!.flatten()[0].ToDouble();
            using IDisposable off = no_grad();
            Tensor entry = parameter.flatten()[0];
            double old = entry.ToDouble();
            _ = entry.fill_(old + 1e-5);
            double above = Loss();
            _ = entry.fill_(old - 1e-5);
            double below = Loss();
            _ = entry.fill_(old);
            Check.Near(gradient, (above - below) / 2e-5, 1e-7, "gradient against a difference");
        }

        network.Dispose();
    }

    private static void EventGradient()
    {
        // Dropped from h: it lands at sqrt(2 h / g), whose derivative is 1 / sqrt(2 h g).
        using IDisposable scope = NewDisposeScope();
        Tensor height = Numbers(5).requires_grad_(true);
        Tensor y0 = cat([height, Numbers(0)]);
        TensorOdeEvent impact = new()
        {
            Name = "impact",
            Condition = (_, y) => y[0],
            Direction = EventDirection.Falling,
            Terminal = true,
        };
        Tensor gravity = Numbers(0, -10);
        Tensor map = tensor(new double[,] { { 0, 1 }, { 0, 0 } }).clone();
        TensorSolution solution = Ode.Solve((_, y) => map.mv(y) + gravity, 0, 3, y0, s_tight with { Events = [impact] });
        Check.Same(solution.Status, SolveStatus.Terminated, "status");
        Check.Same(solution.Events[0].Name, "impact", "name");
        Check.Near(solution.Events[0].Time, 1, 1e-9, "time");
        solution.Events[0].TimeTensor.backward();
        Check.Near(height.grad!.item<double>(), 0.1, 1e-8, "gradient of the time");
    }

    private static void Saving()
    {
        using IDisposable scope = NewDisposeScope();
        TensorScheduledChange dose = new(1, (_, y) => y + 2);
        TensorSolution solution = Ode.Solve(
            (_, y) => -y,
            0,
            2,
            Numbers(1),
            s_tight with
            {
                ScheduledChanges = [dose],
                SaveAt = SaveAt.Dense,
                AbsTolPerComponent = Numbers(1e-12),
            }
        );
        Check.Near(solution.FinalState.item<double>(), (Math.Exp(-1) + 2) * Math.Exp(-1), 1e-9, "after the dose");

        // The continuous output outlives the scopes of the solve under every gradient.
        Tensor wanted = Numbers(1).requires_grad_(true);
        foreach (Gradient gradient in new[] { Gradient.Recorded, Gradient.Discrete(), Gradient.Backsolve() })
        {
            TensorSolution tracked = Ode.Solve((_, y) => -y, 0, 2, wanted, s_tight with { SaveAt = SaveAt.Dense, Gradient = gradient });
            Check.Near(tracked.At(0.7).item<double>(), Math.Exp(-0.7), 1e-8, $"{gradient}: dense");
        }

        Check.Near(solution.At(0.5).item<double>(), Math.Exp(-0.5), 1e-8, "dense before");
        Check.Near(solution.At(1.5).item<double>(), (Math.Exp(-1) + 2) * Math.Exp(-0.5), 1e-8, "dense after");
    }

    private static void Untracked()
    {
        using IDisposable scope = NewDisposeScope();
        Tensor a = Numbers(2).requires_grad_(true);
        Tensor y0 = Numbers(1).requires_grad_(true);
        ArgumentException refused = Check.Throws<ArgumentException>(() => Ode.Solve((_, y) => a * y, 0, 1, y0));
        Check.Holds(refused.Message, "arameters");
        _ = Check.Throws<ArgumentException>(() => Ode.Solve((_, y) => y, 0, 1, tensor(new long[] { 1 })));
        _ = Check.Throws<ArgumentNullException>(() => Ode.Solve((_, y) => y, 0, 1, (Tensor)null!));
    }

    private static void Failure()
    {
        using IDisposable scope = NewDisposeScope();
        SolveException failure = Check.Throws<SolveException>(() => Ode.Solve((_, y) => y * y, 0, 2, Numbers(0.1, 1), s_tight));
        Check.Near(failure.Time, 1, 1e-3, "time of the blow-up");
        Check.Same(failure.Component, "[1]", "component");
        Check.That(failure.PartialTensors is { IsComplete: false }, $"no partial solution");
        SolveException shape = Check.Throws<SolveException>(() => Ode.Solve((_, y) => y.sum(), 0, 1, Numbers(1, 2)));
        Check.Same(shape.Status, SolveStatus.FieldThrew, "status");
        Check.Holds(shape.Message, "shape");
        using CancellationTokenSource source = new();
        source.Cancel();
        TensorSolveOptions cancelled = new() { CancellationToken = source.Token };
        _ = Check.Throws<OperationCanceledException>(() => Ode.Solve((_, y) => y, 0, 1, Numbers(1), cancelled));
        Check.That(!Ode.TrySolve((_, y) => y, 0, 1, Numbers(1), out TensorSolution partial, cancelled), $"it ran");
        Check.Same(partial.Status, SolveStatus.Cancelled, "status");
    }

    private static void Async()
    {
        using IDisposable scope = NewDisposeScope();
        Tensor y0 = Numbers(1).requires_grad_(true);
        using (TensorSolution solution = Ode.SolveAsync((_, y) => -y, 0, 1, y0, s_tight).GetAwaiter().GetResult())
        {
            solution.FinalState.sum().backward();
            Check.Near(y0.grad!.item<double>(), Math.Exp(-1), 1e-8, "gradient");
        }

        using IDisposable off = no_grad();
        using TensorSolution plain = Ode.SolveAsync((_, y) => -y, 0, 1, y0, s_tight).GetAwaiter().GetResult();
        Check.That(!plain.FinalState.requires_grad, $"the caller's no_grad was lost");
    }

    private static void NoLeak()
    {
        using Tensor y0 = Numbers(1, 2).requires_grad_(true);
        Func<Tensor, Tensor, Tensor> field = (_, y) => -y;

        void Once()
        {
            using TensorSolution solution = Ode.Solve(field, 0, 1, y0, s_tight with { SaveAt = SaveAt.Dense, Gradient = Gradient.None });
            bool complete = Ode.TrySolve((_, y) => y * y, 0, 2, y0, out TensorSolution partial, new() { Gradient = Gradient.None });
            partial.Dispose();
            Check.That(!complete, $"no blow-up");
        }

        Once();
        long before = DisposeScopeManager.Statistics.ThreadTotalLiveCount;
        Once();
        Check.Same(DisposeScopeManager.Statistics.ThreadTotalLiveCount, before, "live tensors");
    }
}
