using System;
using Continuum;
using TorchSharp;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace Examples;

/// <summary>
/// A neural ODE (Chen et al. 2018): a network learns the vector field y' = A y³ of a spiral from windows of its trajectory, with
/// TorchSharp's Adam and gradients through the solver.
/// </summary>
internal static class Spiral
{
    private const int Count = 200;
    private const int Window = 10;
    private const double Span = 10;
    private const double WindowSpan = (Window - 1) * Span / (Count - 1);

    internal static void Run()
    {
        ContinuumRuntime.EnsureLoaded();
        using IDisposable scope = NewDisposeScope();
        set_num_threads(1);
        _ = manual_seed(1);

        Tensor a = tensor(new float[,] { { -0.1f, -2 }, { 2, -0.1f } }).clone();
        Tensor start = tensor(new float[,] { { 2, 0 } }).clone();
        Tensor truth = Ode.Solve((_, y) => y.pow(3).mm(a), 0, Span, start, new() { SaveAt = SaveAt.Grid(0, Span, Count) }).States.squeeze(1);

        using Cubic network = new();
        optim.Optimizer adam = optim.Adam(network.parameters(), lr: 0.01);
        Random random = new(1);
        TensorSolveOptions options = new()
        {
            RelTol = 1e-3,
            AbsTol = 1e-4,
            SaveAt = SaveAt.Grid(0, WindowSpan, Window),
        };

        double first = Evaluate(network, truth, options);
        for (int iteration = 0; iteration < 150; iteration++)
        {
            using IDisposable inner = NewDisposeScope();
            long[] from = new long[32];
            for (int i = 0; i < from.Length; i++)
            {
                from[i] = random.Next(Count - Window + 1);
            }

            adam.zero_grad();
            Loss(network, truth, from, options).backward();
            _ = adam.step();
        }

        double last = Evaluate(network, truth, options);
        Console.WriteLine($"mean squared error over all windows: {first:g3} before, {last:g3} after training");
        Check.That(last < first / 50, $"spiral: the loss fell by a factor of {first / last:f0}");
    }

    private static double Evaluate(Cubic network, Tensor truth, TensorSolveOptions options)
    {
        using IDisposable scope = NewDisposeScope();
        using IDisposable off = no_grad();
        long[] all = new long[Count - Window + 1];
        for (int i = 0; i < all.Length; i++)
        {
            all[i] = i;
        }

        return Loss(network, truth, all, options).ToDouble();
    }

    /// <summary>The mean squared error of the solutions that start at the given rows: one batch, one solve.</summary>
    private static Tensor Loss(Cubic network, Tensor truth, long[] from, TensorSolveOptions options)
    {
        Tensor rows = tensor(from).clone();
        TensorSolution solution = Ode.Solve(network, 0, WindowSpan, truth[rows], options);
        Tensor steps = arange(Window).unsqueeze(1);
        return (solution.States - truth[steps + rows]).square().mean();
    }

    /// <summary>y ↦ MLP(y³), as in the original demonstration.</summary>
    private sealed class Cubic : nn.Module<Tensor, Tensor>
    {
        private readonly Sequential _layers = nn.Sequential(nn.Linear(2, 50), nn.Tanh(), nn.Linear(50, 2));

        internal Cubic()
            : base(nameof(Cubic))
        {
            register_module("layers", _layers);
        }

        public override Tensor forward(Tensor input) => _layers.call(input.pow(3));
    }
}
