using System;
using System.Collections.Generic;
using System.Linq;
using System.Threading;
using System.Threading.Tasks;
using Continuum;

namespace Facade;

/// <summary>Solves on numbers against closed forms, and their failures.</summary>
internal static class SolveCases
{
    private static readonly SolveOptions s_tight = new() { RelTol = 1e-10, AbsTol = 1e-12 };

    internal static IEnumerable<(string Name, Action Body)> All =>
        [
            ("the defaults solve decay to their tolerance", Defaults),
            ("the default method turns to a stiff one and says why", DefaultTurnsStiff),
            ("every Runge-Kutta method solves a rotation at its order", EveryMethod),
            ("a field that depends on time", TimeDependent),
            ("backward in time returns to the start", Backward),
            ("fixed steps end on the grid", FixedSteps),
            ("saved times, step times and every step", Saving),
            ("dense output between the steps", Dense),
            ("a tolerance per component steers the steps", PerComponent),
            ("controllers reach the same answer", Controllers),
            ("jumps and scheduled changes", Changes),
            ("heuristics are collected when asked for", Heuristics),
            ("the initial state and the saved states are independent copies", Copies),
            ("a blow-up throws with time, component and the partial solution", BlowUp),
            ("TrySolve returns the partial solution", TrySolve),
            ("an exception of the field is the inner exception", FieldThrows),
            ("misuse is an ArgumentException that names the option", Misuse),
            ("cancellation stops a solve", Cancels),
            ("cancellation from inside a solve", CancelsInside),
            ("progress begins, ends, and stays below twenty reports a second", Progress),
            ("SolveAsync gives the same bits, and cancels", Async),
            ("the wrapper allocates nothing per step", NoAllocation),
            ("methods have names", Names),
            ("a stiff problem by backward differentiation formulas", Stiff),
        ];

    private static void Decay(double t, ReadOnlySpan<double> y, Span<double> dydt) => dydt[0] = -y[0];

    private static void Rotation(double t, ReadOnlySpan<double> y, Span<double> dydt)
    {
        dydt[0] = y[1];
        dydt[1] = -y[0];
    }

    private static void Defaults()
    {
        Solution solution = Ode.Solve(Decay, 0, 2, [3]);
        Check.Near(solution.FinalState[0], 3 * Math.Exp(-2), 1e-6, "y(2)");
        Check.Same(solution.Status, SolveStatus.Success, "status");
        Check.Same(solution.Times.Count, 1, "saved times");
        Check.Same(solution.FinalTime, 2.0, "final time");
        Check.That(solution.Statistics.Accepted > 3, $"accepted {solution.Statistics.Accepted}");
        Check.That(solution.Message.Length == 0, $"message '{solution.Message}'");
    }

    private static void EveryMethod()
    {
        foreach (OdeMethod method in OdeMethod.All)
        {
            double Error(double step)
            {
                double[] y = Ode.Solve(Rotation, 0, 2, [0, 1], new() { Method = method, FixedStep = step }).FinalState;
                return Math.Abs(y[0] - Math.Sin(2)) + Math.Abs(y[1] - Math.Cos(2));
            }

            double coarse = method.Order >= 7 ? 0.5 : 0.1;
            // The embedded error is far above the tolerance at these steps, and must not matter.
            double order = Math.Log2(Error(coarse) / Error(coarse / 2));
            Check.That(order > method.Order - 0.4, $"{method}: observed order {order}, stated {method.Order}");
            if (method.IsAdaptive)
            {
                Solution solution = Ode.Solve(Rotation, 0, 2, [0, 1], s_tight with { Method = method, RelTol = 1e-7, AbsTol = 1e-7 });
                Check.Near(solution.FinalState[0], Math.Sin(2), 1e-5, $"{method} sin 2");
            }
        }
    }

    private static void TimeDependent()
    {
        Solution solution = Ode.Solve((t, y, dydt) => dydt[0] = 2 * t * y[0], 0, 1.5, [1], s_tight);
        Check.Near(solution.FinalState[0], Math.Exp(2.25), 1e-8, "y(1.5)");
    }

    private static void Backward()
    {
        Solution forward = Ode.Solve(Rotation, 0, 5, [0.3, 0.4], s_tight);
        Solution back = Ode.Solve(Rotation, 5, 0, forward.FinalState, s_tight with { SaveAt = SaveAt.Times(5, 2.5, 0) });
        Check.Near(back.FinalState[0], 0.3, 1e-8, "y0");
        Check.Near(back.FinalState[1], 0.4, 1e-8, "y1");
        Check.Near(back.States[1][0], (0.3 * Math.Cos(2.5)) + (0.4 * Math.Sin(2.5)), 1e-8, "half way");
    }

    private static void FixedSteps()
    {
        Solution solution = Ode.Solve(
            Decay,
            0,
            1,
            [1],
            new()
            {
                Method = OdeMethod.Rk4,
                FixedStep = 0.1,
                SaveAt = SaveAt.EverySteps,
            }
        );
        Check.Same(solution.Times.Count, 11, "times");
        Check.Near(solution.Times[5], 0.5, 1e-15, "sixth time");
        double factor = 1 - 0.1 + (0.01 / 2) - (0.001 / 6) + (0.0001 / 24);
        Check.Near(solution.FinalState[0], Math.Pow(factor, 10), 1e-14, "RK4's own value");
    }

    private static void Saving()
    {
        double[] times = [0, 0.3, 1.7, 2];
        foreach (SaveAt saveAt in new[] { SaveAt.Times(times), SaveAt.StepTimes(times) })
        {
            Solution solution = Ode.Solve(Rotation, 0, 2, [0, 1], s_tight with { SaveAt = saveAt });
            Check.That(solution.Times.SequenceEqual(times), $"times {string.Join(", ", solution.Times)}");
            for (int i = 0; i < times.Length; i++)
            {
                Check.Near(solution.States[i][0], Math.Sin(times[i]), 1e-8, $"{saveAt}, y({times[i]})");
            }
        }

        Check.That(SaveAt.Grid(0, 1, 3) is not null, $"a grid");
        Solution grid = Ode.Solve(Rotation, 0, 1, [0, 1], new() { SaveAt = SaveAt.Grid(0, 1, 5) });
        Check.That(grid.Times.SequenceEqual([0, 0.25, 0.5, 0.75, 1]), $"grid {string.Join(", ", grid.Times)}");
        Check.Same(grid.Component(1).Length, 5, "component");
    }

    private static void Dense()
    {
        Solution solution = Ode.Solve(Rotation, 0, 10, [0, 1], s_tight with { SaveAt = SaveAt.Dense });
        Check.That(solution.IsDense, $"not dense");
        for (double t = 0; t <= 10; t += 0.0371)
        {
            Check.Near(solution.At(t)[0], Math.Sin(t), 1e-7, $"y({t})");
        }

        _ = Check.Throws<ArgumentOutOfRangeException>(() => solution.At(10.5));
        Solution plain = Ode.Solve(Rotation, 0, 1, [0, 1]);
        Check.Holds(Check.Throws<InvalidOperationException>(() => plain.At(0.5)).Message, "SaveAt.Dense");
    }

    private static void PerComponent()
    {
        VectorField scales = (t, y, dydt) =>
        {
            dydt[0] = -y[0];
            dydt[1] = 1e6 * Math.Cos(t);
        };
        SolveOptions loose = new() { RelTolPerComponent = [1e-9, 1e-2], AbsTolPerComponent = [1e-9, 1e3] };
        Solution both = Ode.Solve(scales, 0, 3, [1, 0], loose);
        Check.Near(both.FinalState[0], Math.Exp(-3), 1e-7, "the tight component");
        SolveOptions swapped = new() { RelTolPerComponent = [1e-2, 1e-9], AbsTolPerComponent = [1, 1e-3] };
        Solution other = Ode.Solve(scales, 0, 3, [1, 0], swapped);
        Check.Near(other.FinalState[1], 1e6 * Math.Sin(3), 1e-1, "the other tight component");
        Check.That(
            Math.Abs(other.FinalState[0] - Math.Exp(-3)) > 1e-12,
            $"the loose component is as exact as the tight one: {other.FinalState[0]:R}"
        );
        ArgumentException wrong = Check.Throws<ArgumentException>(() => Ode.Solve(Decay, 0, 1, [1], new() { AbsTolPerComponent = [1, 2] }));
        Check.Holds(wrong.Message, "2 entries");
    }

    private static void Controllers()
    {
        foreach (
            StepController controller in new[]
            {
                StepController.I,
                StepController.PI,
                StepController.Pid(0.3, 0.3, 0.05),
                StepController.PI with
                {
                    Safety = 0.8,
                },
            }
        )
        {
            Solution solution = Ode.Solve(Rotation, 0, 20, [0, 1], s_tight with { Controller = controller, Norm = ToleranceNorm.Maximum });
            Check.Near(solution.FinalState[0], Math.Sin(20), 1e-7, $"{controller}");
        }
    }

    private static void Changes()
    {
        // y' = -y with a dose of 2 at t = 1, twice; and a field that switches at t = 1.5.
        SolveOptions doses = s_tight with
        {
            ScheduledChanges = [new(1, (_, y) => y[0] += 2), new(2, (t, y) => y[0] += t)],
        };
        double expected = (((Math.Exp(-1) + 2) * Math.Exp(-1)) + 2) * Math.Exp(-1);
        Check.Near(Ode.Solve(Decay, 0, 3, [1], doses).FinalState[0], expected, 1e-9, "doses");
        Solution switched = Ode.Solve((t, _, dydt) => dydt[0] = t < 1.5 ? 1 : -1, 0, 2, [0], s_tight with { Jumps = [1.5] });
        Check.Near(switched.FinalState[0], 1, 1e-12, "switch");
        Check.Same(switched.Statistics.Rejected, 0, "rejected steps at a declared jump");
    }

    private static void Heuristics()
    {
        SolveStatistics with = Ode.Solve(Rotation, 0, 5, [0, 1], new() { Heuristics = true }).Statistics;
        Check.That(with.ErrorEstimate > 0 && with.StiffnessEstimate > 0, $"{with}");
        SolveStatistics without = Ode.Solve(Rotation, 0, 5, [0, 1]).Statistics;
        Check.That(double.IsNaN(without.ErrorEstimate), $"{without}");
        Check.That(with.SmallestStep <= with.LargestStep && with.Evaluations > with.Accepted, $"{with}");
    }

    private static void Copies()
    {
        double[] start = [0, 1];
        Solution solution = Ode.Solve(Rotation, 0, 1, start, new() { SaveAt = SaveAt.EverySteps });
        Check.Same(start[0], 0.0, "the caller's array");
        solution.States[0][0] = 99;
        Check.Same(start[0], 0.0, "the caller's array after a write to the result");
        solution.States[^1][0] = 99;
        Check.That(solution.FinalState[0] < 1, $"final state {solution.FinalState[0]}");
    }

    private static Solution Explode(out SolveException failure)
    {
        VectorField squared = (t, y, dydt) =>
        {
            dydt[0] = 0;
            dydt[1] = y[1] * y[1];
        };
        failure = Check.Throws<SolveException>(() => Ode.Solve(squared, 0, 2, [1, 1], new() { SaveAt = SaveAt.EverySteps }));
        return failure.Partial ?? throw new InvalidOperationException("no partial solution");
    }

    private static void BlowUp()
    {
        Solution partial = Explode(out SolveException failure);
        Check.That(failure.Status is SolveStatus.StepTooSmall or SolveStatus.NonFinite, $"{failure.Status}");
        Check.Near(failure.Time, 1, 1e-3, "time of the blow-up");
        Check.Same(failure.Component, "1", "component");
        Check.Same(failure.Message, partial.Message, "message");
        Check.That(!partial.IsComplete && partial.Times.Count > 5, $"{partial.Times.Count} times");
        int half = partial.Times.ToList().FindIndex(t => t > 0.5);
        Check.Near(partial.States[half][1] * (1 - partial.Times[half]), 1, 1e-4, "1 / (1 - t)");
    }

    private static void TrySolve()
    {
        Check.That(Ode.TrySolve(Decay, 0, 1, [1], out Solution good), $"{good.Message}");
        Check.That(!Ode.TrySolve(Decay, 0, 1, [1], out Solution bad, new() { MaxSteps = 2 }), $"two steps sufficed");
        Check.Same(bad.Status, SolveStatus.MaxStepsReached, "status");
        Check.Holds(bad.Message, "MaxSteps");
        Check.That(bad.FinalTime is > 0 and < 1, $"final time {bad.FinalTime}");
    }

    private static void FieldThrows()
    {
        VectorField late = (t, y, dydt) => dydt[0] = t > 0.5 ? throw new NotSupportedException("beyond the model") : 1;
        SolveException failure = Check.Throws<SolveException>(() => Ode.Solve(late, 0, 1, [1]));
        Check.Same(failure.Status, SolveStatus.FieldThrew, "status");
        Check.That(failure.InnerException is NotSupportedException, $"{failure.InnerException}");
        Check.Holds(failure.Message, "beyond the model");
        Check.Same(failure.Component, null, "component");
    }

    private static void Misuse()
    {
        static void Refuses(string part, double t1, double[] y0, SolveOptions options) =>
            Check.Holds(Check.Throws<ArgumentException>(() => Ode.Solve(Decay, 0, t1, y0, options)).Message, part);

        Refuses("empty", 1, [], new());
        Refuses("zero length", 0, [1], new());
        Refuses("must be finite", double.NaN, [1], new());
        Refuses("not negative", 1, [1], new() { RelTol = -1 });
        Refuses("error estimate", 1, [1], new() { Method = OdeMethod.Rk4 });
        Refuses("outside", 1, [1], new() { SaveAt = SaveAt.Times(0.5, 2) });
        Refuses("monotone", 1, [1], new() { SaveAt = SaveAt.Times(0.5, 0.2) });
        Refuses("outside", 1, [1], new() { ScheduledChanges = [new(2, (_, _) => { })] });
        Refuses("exclude", 1, [1], new() { FixedStep = 0.1, Controller = StepController.I });
        Refuses("Safety", 1, [1], new() { Controller = StepController.I with { Safety = 2 } });
        Refuses("PID", 1, [1], new() { Controller = StepController.Pid(0, 0, 0) });
        Refuses("tensors", 1, [1], new() { Method = OdeMethod.ReversibleHeun });
        _ = Check.Throws<ArgumentNullException>(() => Ode.Solve((VectorField)null!, 0, 1, [1]));
    }

    private static void DefaultTurnsStiff()
    {
        static void Robertson(double t, ReadOnlySpan<double> y, Span<double> dydt)
        {
            double forward = 0.04 * y[0];
            double back = 1e4 * y[1] * y[2];
            double third = 3e7 * y[1] * y[1];
            dydt[0] = back - forward;
            dydt[1] = forward - back - third;
            dydt[2] = third;
        }

        Solution solution = Ode.Solve(Robertson, 0, 1e5, [1, 0, 0], new() { AbsTol = 1e-10 });
        Check.That(solution.Methods.Select(choice => choice.Method).SequenceEqual(["Tsit5", "Rodas5P"]), $"{string.Join("; ", solution.Methods)}");
        Check.That(solution.Methods[1].Time is > 0 and < 10, $"stiff from {solution.Methods[1].Time}");
        Check.Holds(solution.Methods[1].Reason, "stability interval");
        Check.That(Math.Abs(solution.FinalState[0] - 0.017865921142322477) < 1e-6, $"y1 = {solution.FinalState[0]}");
        Check.Same(new SolveOptions().Method, OdeMethod.Automatic, "default on numbers");
        Check.Same(new TensorSolveOptions().Method, OdeMethod.Tsit5, "default on tensors");
    }

    private static void Cancels()
    {
        using CancellationTokenSource source = new();
        source.Cancel();
        SolveOptions options = new() { CancellationToken = source.Token };
        OperationCanceledException cancelled = Check.Throws<OperationCanceledException>(() => Ode.Solve(Decay, 0, 1, [1], options));
        Check.Same(cancelled.CancellationToken, source.Token, "token");
        Check.That(!Ode.TrySolve(Decay, 0, 1, [1], out Solution partial, options), $"it ran");
        Check.Same(partial.Status, SolveStatus.Cancelled, "status");
    }

    private static void CancelsInside()
    {
        using CancellationTokenSource source = new();
        VectorField field = (t, y, dydt) =>
        {
            if (t > 0.5)
            {
                source.Cancel();
            }

            dydt[0] = 1;
        };
        SolveOptions options = new() { CancellationToken = source.Token, MaxStep = 0.01 };
        Check.That(!Ode.TrySolve(field, 0, 1, [0], out Solution partial, options), $"it ran to the end");
        Check.That(partial.FinalTime is > 0.48 and < 0.53, $"stopped at {partial.FinalTime}");
    }

    private sealed class Recorder : IProgress<SolveProgress>
    {
        internal List<SolveProgress> Reports { get; } = [];

        public void Report(SolveProgress value) => Reports.Add(value);
    }

    private static void Progress()
    {
        Recorder recorder = new();
        Solution solution = Ode.Solve(Rotation, 0, 50, [0, 1], s_tight with { Progress = recorder });
        Check.That(recorder.Reports.Count >= 2, $"{recorder.Reports.Count} reports");
        Check.That(recorder.Reports.Count < solution.Statistics.Accepted, $"{recorder.Reports.Count} reports");
        Check.Same(recorder.Reports[0].Accepted, 1, "first report");
        Check.Same(recorder.Reports[^1].Accepted, solution.Statistics.Accepted, "last report");
        Check.Near(recorder.Reports[^1].Fraction, 1, 1e-12, "last fraction");
        Check.That(recorder.Reports.Zip(recorder.Reports.Skip(1)).All(pair => pair.First.Time < pair.Second.Time), $"times do not rise");
    }

    private static void Async()
    {
        double[] expected = Ode.Solve(Rotation, 0, 7, [0, 1]).FinalState;
        double[] actual = Ode.SolveAsync(Rotation, 0, 7, [0, 1]).GetAwaiter().GetResult().FinalState;
        Check.That(expected.SequenceEqual(actual), $"{actual[0]:R} is not {expected[0]:R}");

        using CancellationTokenSource source = new();
        using ManualResetEventSlim started = new();
        VectorField slow = (t, y, dydt) =>
        {
            started.Set();
            dydt[0] = 1;
        };
        SolveOptions endless = new() { FixedStep = 1e-9, MaxSteps = int.MaxValue };
        Task<Solution> running = Ode.SolveAsync(slow, 0, 1, [0], endless, source.Token);
        started.Wait();
        source.Cancel();
        _ = Check.Throws<OperationCanceledException>(() => running.GetAwaiter().GetResult());
        Check.That(running.IsCanceled, $"the task is {running.Status}");
        _ = Check.Throws<SolveException>(() => Ode.SolveAsync(Decay, 0, 1, [1], new() { MaxSteps = 1 }).GetAwaiter().GetResult());
    }

    private static void NoAllocation()
    {
        static long Allocated(int steps)
        {
            SolveOptions options = new() { FixedStep = 1.0 / steps };
            _ = Ode.Solve(Rotation, 0, 1, [0, 1], options);
            long before = GC.GetAllocatedBytesForCurrentThread();
            _ = Ode.Solve(Rotation, 0, 1, [0, 1], options);
            return GC.GetAllocatedBytesForCurrentThread() - before;
        }

        long few = Allocated(100);
        long many = Allocated(50_000);
        Check.That(many - few < 1000, $"{few} bytes for 100 steps, {many} for 50,000");
    }

    private static void Names()
    {
        foreach (OdeMethod method in OdeMethod.All)
        {
            Check.Same(OdeMethod.FromName(method.Name.ToUpperInvariant()), method, method.Name);
        }

        Check.Same(OdeMethod.FromName("reversibleHeun"), OdeMethod.ReversibleHeun, "reversible Heun");
        Check.Holds(Check.Throws<ArgumentException>(() => OdeMethod.FromName("rk45")).Message, "Tsit5");
        Check.Same(OdeMethod.Reversible(OdeMethod.Tsit5).Order, 5, "order");
        _ = Check.Throws<ArgumentException>(() => OdeMethod.Reversible(OdeMethod.ReversibleHeun));
        _ = Check.Throws<ArgumentOutOfRangeException>(() => OdeMethod.Reversible(OdeMethod.Tsit5, 2));
    }

    private static void Stiff()
    {
        VectorField robertson = (_, y, dydt) =>
        {
            double a = 0.04 * y[0];
            double b = 1e4 * y[1] * y[2];
            double c = 3e7 * y[1] * y[1];
            dydt[0] = b - a;
            dydt[1] = a - b - c;
            dydt[2] = c;
        };
        SolveOptions options = new() { Method = OdeMethod.Bdf, RelTol = 1e-8, AbsTol = 1e-14 };
        Solution solution = Ode.Solve(robertson, 0, 1e5, [1, 0, 0], options);
        Check.Near(solution.FinalState[0], 0.017865921142322477, 1e-7, "first component");
        Check.Near(solution.FinalState[2], 0.9821340061101627, 1e-6, "third component");
        Check.Same(OdeMethod.BdfUpTo(2).Name, "Bdf(2)", "name");
        Check.Same(OdeMethod.FromName("bdf"), OdeMethod.Bdf, "by name");
        _ = Check.Throws<ArgumentOutOfRangeException>(() => OdeMethod.BdfUpTo(6));
    }
}
