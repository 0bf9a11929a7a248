using System;
using System.Collections.Generic;
using System.Linq;
using Continuum;
using TorchSharp;
using static TorchSharp.torch;

namespace Facade;

/// <summary>Stochastic equations from C#.</summary>
internal static class SdeCases
{
    private const double Mu = 0.06;
    private const double Sigma = 0.4;

    internal static IEnumerable<(string Name, Action Body)> All =>
        [
            ("a stochastic equation on delegates follows its closed form on the same path", ClosedForm),
            ("a stochastic equation over numbers is the one on delegates, bit for bit", AsDelegates),
            ("a method for wider noise takes narrower noise, in both calculi", Wider),
            ("a path is a function of seed and number", Paths),
            ("an ensemble of paths is its single solves", Members),
            ("moments of an ensemble without its states", Moments),
            ("a stochastic equation on tensors is the one on numbers", Tensors),
            ("gradients of a stochastic solve: reversible Heun is the recorded one", Gradients),
            ("the calculi convert into each other on tensors", Conversion),
            ("misuse of stochastic solves is an ArgumentException with the numbers", Misuse),
            ("a failed stochastic solve throws with its solution, or returns false", Failure),
        ];

    private static SdeEquation<Ito, IScalarNoise> Delegates => StochasticEquation.Ito.Scalar(1, (_, y, f) => f[0] = Mu * y[0], (_, y, g) => g[0] = Sigma * y[0]);

    private static BrownianMotion Motion(int cells) => new() { Start = 0, End = 1, Seed = 11, Cells = cells };

    private static double Exact(BrownianMotion motion) => Math.Exp(Mu - (0.5 * Sigma * Sigma) + (Sigma * motion.Path().Value(1)[0]));

    private static void ClosedForm()
    {
        BrownianMotion motion = Motion(4096);
        double error = Math.Abs(Sde.Solve(Delegates, SdeMethods.MilsteinFree, 0, 1, [1], new() { FixedStep = 1.0 / 4096, Brownian = motion }).FinalState[0] - Exact(motion));
        Check.That(error < 1e-3, $"Milstein is off by {error}");
        Solution adaptive = Sde.Solve(Delegates, SdeMethods.MilsteinFree, 0, 1, [1], new() { RelTol = 1e-4, AbsTol = 1e-6, Brownian = Motion(1), SaveAt = SaveAt.EverySteps });
        Check.Near(adaptive.FinalState[0], Exact(Motion(1)), 5e-3, "adaptive steps");
        Check.That(adaptive.Times.Count > 10, $"only {adaptive.Times.Count} times");
    }

    private static void AsDelegates()
    {
        SdeOptions options = new() { FixedStep = 0.01, Seed = 3 };
        double expected = Sde.Solve(Delegates, SdeMethods.EulerMaruyama, 0, 1, [1], options).FinalState[0];
        double actual = Sde.Solve(StochasticEquation.Ito.Scalar(default(Gbm), Mu, Sigma), SdeMethods.EulerMaruyama, 0, 1, [1], options).FinalState[0];
        Check.Near(actual, expected, 0, "the same numbers");
    }

    private static void Wider()
    {
        var additive = StochasticEquation.Ito.Additive(1, 1, (_, y, f) => f[0] = -y[0], (_, g) => g[0] = 0.5);
        SdeOptions options = new() { FixedStep = 1.0 / 512, Seed = 5, Brownian = Motion(512) with { Level = LevyLevel.SpaceTime } };
        double[] ends =
        [
            Sde.Solve(additive, SdeMethods.EulerMaruyama, 0, 1, [1], options).FinalState[0],
            Sde.Solve(additive, SdeMethods.Sra1, 0, 1, [1], options).FinalState[0],
            Sde.Solve(additive, SdeMethods.Shark, 0, 1, [1], options).FinalState[0],
        ];
        Check.That(ends.Max() - ends.Min() < 3e-3, $"{string.Join(", ", ends)}");
    }

    private static void Paths()
    {
        BrownianMotion motion = new() { Start = 0, End = 2, Dimension = 3, Seed = 42, Level = LevyLevel.Area, Correlation = new double[,] { { 1, 0.5, 0 }, { 0.5, 1, 0 }, { 0, 0, 1 } } };
        BrownianPath one = motion.Path(9);
        BrownianPath two = motion.Path(9);
        double[] late = one.Value(1.7);
        Check.That(two.Value(0.3).Length == 3 && two.Value(1.7).SequenceEqual(late), $"another order gives another path");
        BrownianIncrement whole = one.Step(0.5, 1);
        BrownianIncrement back = one.Step(1, 0.5);
        Check.That(whole.A!.Length == 9 && whole.W.Zip(back.W, (a, b) => a + b).All(x => x == 0), $"there and back differ");
        Check.Near(whole.A[1] + whole.A[3], 0, 1e-15, "the area is antisymmetric");
    }

    private static void Members()
    {
        var gbm = StochasticEquation.Ito.Scalar(default(Gbm), Mu, Sigma);
        SdeOptions options = new() { FixedStep = 0.05, Seed = 8, SaveAt = SaveAt.Times(0.5, 1) };
        SdeEnsembleSolution runs = Sde.SolveEnsemble(gbm, SdeMethods.Milstein, 0, 1, [1], 100, options);
        Solution alone = Sde.Solve(gbm, SdeMethods.Milstein, 0, 1, [1], options with { FirstPath = 37 });
        Check.Same(runs.Final.State(37)[0], alone.FinalState[0], "path 37");
        Check.Same(runs.Samples[0].State(37)[0], alone.States[0][0], "path 37 at 0.5");
        SdeEnsembleSolution other = Sde.SolveEnsemble(gbm, SdeMethods.Milstein, 0, 1, [1], 100, options, new() { Threads = 1 });
        Check.That(runs.FinalStates.SequenceEqual(other.FinalStates), $"threads change the paths");
        double[][] starts = [[1], [2]];
        SdeEnsembleSolution pair = Sde.SolveEnsemble(gbm, SdeMethods.Milstein, 0, 1, starts, [[Mu, Sigma]], options);
        Check.Same(pair.Count, 2, "paths");
    }

    private static void Moments()
    {
        var gbm = StochasticEquation.Ito.Scalar(default(Gbm), Mu, Sigma);
        SdeOptions options = new() { FixedStep = 0.02, Seed = 1 };
        SdeEnsembleSolution kept = Sde.SolveEnsemble(gbm, SdeMethods.Milstein, 0, 1, [1], 20_000, options);
        SdeEnsembleSolution moments = Sde.SolveEnsemble(gbm, SdeMethods.Milstein, 0, 1, [1], 20_000, options, new() { MomentsOnly = true });
        Check.Same(moments.Final.Mean[0], kept.Final.Mean[0], "the mean");
        double off = Math.Abs(kept.Final.Mean[0] - Math.Exp(Mu)) / kept.Final.StandardError[0];
        Check.That(off < 4.5, $"the mean is {off} standard errors off");
        Check.Throws<InvalidOperationException>(() => moments.Final.State(0));
    }

    private static void Tensors()
    {
        using IDisposable scope = NewDisposeScope();
        var gbm = StochasticEquation.Ito.Scalar((_, y) => y * Mu, (_, y) => y * Sigma);
        using TensorSolution solution = Sde.Solve(gbm, SdeMethods.EulerMaruyama, 0, 1, ones(4, 1, dtype: ScalarType.Float64), new() { FixedStep = 0.01, Seed = 3 });
        double expected = Sde.Solve(Delegates, SdeMethods.EulerMaruyama, 0, 1, [1], new SdeOptions { FixedStep = 0.01, Seed = 3, FirstPath = 2 }).FinalState[0];
        Check.Near(solution.FinalState[2, 0].ToDouble(), expected, 1e-12, "sample 2 is path 2");
    }

    private static void Gradients()
    {
        using IDisposable scope = NewDisposeScope();
        double Slope(Gradient gradient)
        {
            Tensor rate = tensor(0.3, dtype: ScalarType.Float64).requires_grad_(true);
            var equation = StochasticEquation.Stratonovich.Diagonal((_, y) => -rate * y, (_, y) => y.sin() * rate, [rate]);
            using TensorSolution solution = Sde.Solve(equation, SdeMethods.ReversibleHeun, 0, 1, ones(3, 2, dtype: ScalarType.Float64), new() { FixedStep = 0.02, Gradient = gradient, Seed = 2 });
            solution.FinalState.square().mean().backward();
            return rate.grad!.ToDouble();
        }

        double recorded = Slope(Gradient.Recorded);
        Check.Near(Slope(Gradient.Reversible()), recorded, 1e-10, "reversible");
        Check.Near(Slope(Gradient.Discrete()), recorded, 1e-10, "discrete");
    }

    private static void Conversion()
    {
        using IDisposable scope = NewDisposeScope();
        var ito = StochasticEquation.Ito.Diagonal((_, y) => -y, (_, y) => y * 0.5);
        TensorSdeOptions options = new() { FixedStep = 1.0 / 2048, Brownian = Motion(2048) };
        Tensor start = ones(1, dtype: ScalarType.Float64);
        using TensorSolution one = Sde.Solve(ito, SdeMethods.Milstein, 0, 1, start, options);
        using TensorSolution two = Sde.Solve(ito.ToStratonovich(), SdeMethods.Heun, 0, 1, start, options);
        Check.Near(two.FinalState.ToDouble(), one.FinalState.ToDouble(), 1e-3, "the same process");
        Check.Near(ito.ToStratonovich().ToIto().Parameters.Count, 0, 0, "there and back");
    }

    private static void Misuse()
    {
        Check.Holds(Check.Throws<ArgumentException>(() => Sde.Solve(Delegates, SdeMethods.Milstein, 0, 1, [1], new() { FixedStep = 0.1 })).Message, "MilsteinFree");
        Check.Holds(Check.Throws<ArgumentException>(() => Sde.Solve(Delegates, SdeMethods.EulerMaruyama, 0, 1, [1, 2], new() { FixedStep = 0.1 })).Message, "2");
        Check.Throws<ArgumentException>(() => Sde.Solve(Delegates, SdeMethods.EulerMaruyama, 0, 1, [1], new() { FixedStep = -0.1 }));
        Check.Throws<ArgumentException>(() => new BrownianMotion { Start = 1, End = 0 }.Path());
        Check.Throws<ArgumentException>(() => StochasticEquation.Ito.Diagonal(default(Gbm), 1));
        using IDisposable scope = NewDisposeScope();
        var wrong = StochasticEquation.Ito.General(3, (_, y) => y, (_, y) => y);
        Check.Holds(Check.Throws<ArgumentException>(() => Sde.Solve(wrong, SdeMethods.EulerMaruyama, 0, 1, ones(5, 2), new() { FixedStep = 0.1 })).Message, "3");
    }

    private static void Failure()
    {
        var explosive = StochasticEquation.Ito.Scalar(1, (_, y, f) => f[0] = y[0] * y[0] * y[0], (_, _, g) => g[0] = 0);
        SdeOptions options = new() { FixedStep = 0.1 };
        Check.That(!Sde.TrySolve(explosive, SdeMethods.EulerMaruyama, 0, 10, [5], out Solution partial, options), $"it did not explode");
        Check.Same(partial.Status, SolveStatus.NonFinite, "status");
        Check.Same(Check.Throws<SolveException>(() => Sde.Solve(explosive, SdeMethods.EulerMaruyama, 0, 10, [5], options)).Status, SolveStatus.NonFinite, "status");
    }

    private readonly struct Gbm : IGenericSde
    {
        public int Size => 1;

        public int NoiseSize => 1;

        public int ParameterCount => 2;

        public void Drift<T>(T t, ReadOnlySpan<T> y, ReadOnlySpan<T> p, Span<T> f)
            where T : struct, IReal<T> => f[0] = p[0] * y[0];

        public void Diffusion<T>(T t, ReadOnlySpan<T> y, ReadOnlySpan<T> p, Span<T> g)
            where T : struct, IReal<T> => g[0] = p[1] * y[0];
    }
}
