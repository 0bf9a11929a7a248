using System;
using System.Collections.Generic;
using System.Linq;
using System.Threading;
using Continuum;

namespace Facade;

/// <summary>Fields written over numbers, single and in ensembles.</summary>
internal static class EnsembleCases
{
    private static readonly double[][] s_rho = [.. Enumerable.Range(0, 100).Select(i => new[] { 10.0, 0.28 * (i + 1), 8.0 / 3.0 })];

    internal static IEnumerable<(string Name, Action Body)> All =>
        [
            ("a field over numbers solves as the delegate, bit for bit", AsDelegate),
            ("every operation of a number is that of Math", Operations),
            ("stiff methods take a field over numbers", Stiff),
            ("an ensemble is its single solves, from lanes and from a delegate", Members),
            ("an ensemble does not depend on threads", Threads),
            ("saved times of a trajectory, events one by one", Saving),
            ("a failed trajectory stays alone and says why", Failure),
            ("progress and cancellation of an ensemble", Running),
            ("misuse of ensembles is an ArgumentException with the numbers", Misuse),
            ("a solve of a field over numbers allocates nothing per step", NoAllocation),
        ];

    private static void Lorenz(double t, ReadOnlySpan<double> y, ReadOnlySpan<double> p, Span<double> dydt)
    {
        dydt[0] = p[0] * (y[1] - y[0]);
        dydt[1] = y[0] * (p[1] - y[2]) - y[1];
        dydt[2] = y[0] * y[1] - p[2] * y[2];
    }

    private static void AsDelegate()
    {
        double[] p = [10, 28, 8.0 / 3.0];
        Solution expected = Ode.Solve((t, y, dydt) => Lorenz(t, y, p, dydt), 0, 10, [1, 1, 1]);
        Solution actual = Ode.Solve(default(LorenzField), p, 0, 10, [1, 1, 1]);
        Check.That(expected.FinalState.SequenceEqual(actual.FinalState), $"{actual.FinalState[0]:R}, {expected.FinalState[0]:R}");
        Check.Same(actual.Statistics.Evaluations, expected.Statistics.Evaluations, "evaluations");
    }

    private static void Operations()
    {
        double[] Slopes(double x) => Ode.Solve(default(EveryOperation), [x], 0, 1, new double[13], new() { FixedStep = 1, Method = OdeMethod.Euler }).FinalState;
        foreach (double x in (double[])[0.3, 1.7])
        {
            double[] expected =
            [
                2 + x, x + 2, 2 - x, x - 2, 2 / x, x / 2, -x,
                Math.Sqrt(x) + Math.Exp(x), Math.Log(x) * Math.Sin(x), Math.Cos(x) / Math.Tanh(x),
                Math.Pow(x, 1.5) + Math.Abs(x - 1), Math.Min(x, 1) - Math.Max(x, 0.5), x < 1 ? 3 : 4,
            ];
            double[] actual = Slopes(x);
            for (int i = 0; i < expected.Length; i++)
            {
                Check.Near(actual[i], expected[i], 1e-15 * (1 + Math.Abs(expected[i])), $"operation {i} at {x}");
            }
        }
    }

    private static void Stiff()
    {
        Solution solution = Ode.Solve(default(FastDecay), [1e4], 0, 1, [2], new() { Method = OdeMethod.Bdf });
        Check.Near(solution.FinalState[0], Math.Sin(1), 1e-4, "y(1)");
        Check.That(solution.Statistics.Accepted < 1000, $"accepted {solution.Statistics.Accepted}");
        EnsembleSolution many = Ode.SolveEnsemble(default(FastDecay), 0, 1, [[2]], [[1e4], [1e3]], new() { Method = OdeMethod.Bdf });
        Check.That(many[0].FinalState.SequenceEqual(solution.FinalState), $"{many[0].FinalState[0]:R}, {solution.FinalState[0]:R}");
    }

    private static void Members()
    {
        EnsembleSolution lanes = Ode.SolveEnsemble(default(LorenzField), 0, 1, [[1, 1, 1]], s_rho);
        EnsembleSolution delegates = Ode.SolveEnsemble(Lorenz, 0, 1, [[1, 1, 1]], s_rho);
        Check.Same(lanes.Count, 100, "count");
        Check.That(lanes.IsComplete && delegates.IsComplete, $"{lanes.Failed} and {delegates.Failed} failed");
        for (int i = 0; i < 100; i++)
        {
            Solution single = Ode.Solve(default(LorenzField), s_rho[i], 0, 1, [1, 1, 1]);
            Check.Same(lanes[i].Statistics.Accepted, single.Statistics.Accepted, $"steps of {i}");
            for (int c = 0; c < 3; c++)
            {
                Check.Near(lanes.FinalState(i)[c], single.FinalState[c], 1e-10, $"{i}, {c}");
                Check.Same(lanes.FinalStates[3 * i + c], lanes.FinalState(i)[c], "flat");
                Check.Same(delegates.FinalState(i)[c], single.FinalState[c], $"delegate {i}, {c}");
            }
        }
    }

    private static void Threads()
    {
        double[] One(int threads) =>
            Ode.SolveEnsemble(default(LorenzField), 0, 1, [[1, 1, 1]], s_rho, null, new() { Threads = threads }).FinalStates.ToArray();
        double[] alone = One(1);
        Check.That(alone.SequenceEqual(One(2)) && alone.SequenceEqual(One(5)), $"threads change the result");
    }

    private static void Saving()
    {
        SolveOptions grid = new() { SaveAt = SaveAt.Grid(0, 1, 5) };
        Solution third = Ode.SolveEnsemble(default(LorenzField), 0, 1, [[1, 1, 1]], s_rho, grid)[3];
        Solution single = Ode.Solve(default(LorenzField), s_rho[3], 0, 1, [1, 1, 1], grid);
        Check.That(third.Times.SequenceEqual(single.Times), $"{third.Times.Count} times");
        Check.Near(third.States[2][1], single.States[2][1], 1e-10, "in between");

        OdeEvent top = new() { Name = "top", Condition = (t, y) => y[0] - 2, Terminal = true };
        EnsembleSolution stopped = Ode.SolveEnsemble(default(LorenzField), 0, 1, [[1, 1, 1]], s_rho, new() { Events = [top] });
        Check.Same(stopped.Status(99), SolveStatus.Terminated, "status");
        Check.Near(stopped.FinalState(99)[0], 2, 1e-9, "at the event");
        Check.Same(stopped[99].Events[0].Name, "top", "event");
    }

    private static void Failure()
    {
        EnsembleSolution solution = Ode.SolveEnsemble(default(LorenzField), 0, 1, [[1, 1, 1]], [s_rho[0], [10, double.NaN, 1], s_rho[2]]);
        Check.Same(solution.Failed, 1, "failed");
        Check.Same(solution.Status(1), SolveStatus.NonFinite, "status");
        Check.Holds(solution.Message(1), "t = 0");
        Check.Same(solution.Status(2), SolveStatus.Success, "neighbour");
        Check.Throws<ArgumentOutOfRangeException>(() => solution.Status(3));
    }

    private static void Running()
    {
        using CancellationTokenSource source = new();
        double[][] many = [.. Enumerable.Repeat(s_rho, 5).SelectMany(rho => rho)];
        Told told = new(progress =>
        {
            if (progress.Completed >= 100)
            {
                source.Cancel();
            }
        });
        EnsembleOptions one = new() { Threads = 1, Progress = told };
        EnsembleSolution solution = Ode.SolveEnsemble(default(LorenzField), 0, 1, [[1, 1, 1]], many, new() { CancellationToken = source.Token }, one);
        Check.Same(solution.Status(0), SolveStatus.Success, "first");
        Check.Same(solution.Status(499), SolveStatus.Cancelled, "last");
        Check.Same(told.Last.Total, 500, "total");
    }

    private static void Misuse()
    {
        Check.Holds(Check.Throws<ArgumentException>(() => Ode.Solve(default(LorenzField), [1], 0, 1, [1, 1, 1])).Message, "3 parameters");
        Check.Holds(Check.Throws<ArgumentException>(() => Ode.Solve(default(LorenzField), [1, 1, 1], 0, 1, [1])).Message, "3 components");
        Check.Holds(
            Check.Throws<ArgumentException>(() => Ode.SolveEnsemble(default(LorenzField), 0, 1, [[1, 1, 1], [1, 1, 1]], s_rho)).Message,
            "2 for 100"
        );
        Check.Throws<ArgumentException>(
            () => Ode.SolveEnsemble(default(LorenzField), 0, 1, [[1, 1, 1]], s_rho, null, new() { Threads = 0 })
        );
        Check.Throws<ArgumentException>(
            () => Ode.SolveEnsemble(default(LorenzField), 0, 1, [[1, 1, 1]], s_rho, new() { Progress = new Progress<SolveProgress>() })
        );
        Check.Throws<ArgumentNullException>(() => Ode.SolveEnsemble(default(LorenzField), 0, 1, null!, s_rho));
    }

    private static void NoAllocation()
    {
        double[] p = [10, 28, 8.0 / 3.0];
        long Bytes(double end)
        {
            Ode.Solve(default(LorenzField), p, 0, end, [1, 1, 1]);
            long before = GC.GetAllocatedBytesForCurrentThread();
            Ode.Solve(default(LorenzField), p, 0, end, [1, 1, 1]);
            return GC.GetAllocatedBytesForCurrentThread() - before;
        }

        Check.Near(Bytes(50), Bytes(5), 256, "bytes of a long and a short solve");
    }

    private sealed class Told(Action<EnsembleProgress> action) : IProgress<EnsembleProgress>
    {
        internal EnsembleProgress Last { get; private set; }

        public void Report(EnsembleProgress value)
        {
            Last = value;
            action(value);
        }
    }

    internal readonly struct LorenzField : IGenericField
    {
        public int Size => 3;

        public int ParameterCount => 3;

        public void Evaluate<T>(T t, ReadOnlySpan<T> y, ReadOnlySpan<T> p, Span<T> dydt)
            where T : struct, IReal<T>
        {
            dydt[0] = p[0] * (y[1] - y[0]);
            dydt[1] = y[0] * (p[1] - y[2]) - y[1];
            dydt[2] = y[0] * y[1] - p[2] * y[2];
        }
    }

    private readonly struct FastDecay : IGenericField
    {
        public int Size => 1;

        public int ParameterCount => 1;

        public void Evaluate<T>(T t, ReadOnlySpan<T> y, ReadOnlySpan<T> p, Span<T> dydt)
            where T : struct, IReal<T> => dydt[0] = T.Cos(t) - p[0] * (y[0] - T.Sin(t));
    }

    private readonly struct EveryOperation : IGenericField
    {
        public int Size => 13;

        public int ParameterCount => 1;

        public void Evaluate<T>(T t, ReadOnlySpan<T> y, ReadOnlySpan<T> p, Span<T> dydt)
            where T : struct, IReal<T>
        {
            T x = p[0];
            T one = T.Constant(1);
            dydt[0] = 2 + x;
            dydt[1] = x + 2;
            dydt[2] = 2 - x;
            dydt[3] = x - 2;
            dydt[4] = 2 / x;
            dydt[5] = x / 2;
            dydt[6] = -x;
            dydt[7] = T.Sqrt(x) + T.Exp(x);
            dydt[8] = T.Log(x) * T.Sin(x);
            dydt[9] = T.Cos(x) / T.Tanh(x);
            dydt[10] = T.Pow(x, 1.5) + T.Abs(x - one);
            dydt[11] = T.Min(x, one) - T.Max(x, T.Constant(0.5));
            dydt[12] = T.IfLess(x, one, 3 * one, one * 4);
        }
    }
}
