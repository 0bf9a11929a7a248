using System;
using System.Collections.Generic;
using System.Linq;
using System.Numerics;
using System.Threading;
using Continuum;
using TorchSharp;
using static TorchSharp.torch;

namespace Facade;

/// <summary>Hamiltonian and semilinear solves.</summary>
internal static class StructuredCases
{
    internal static IEnumerable<(string Name, Action Body)> All =>
        [
            ("every symplectic method solves Kepler's problem at its order and keeps the energy", Kepler),
            ("events, scheduled changes and dense output of a Hamiltonian solve", Section),
            ("a batch of pendulums on tensors, with a gradient", TensorPendulums),
            ("semilinear systems on real, complex and tensor states", Semilinear),
            ("misuse and failures of structured solves", Failures),
        ];

    private static readonly Hamiltonian s_kepler = Hamiltonian.Newton(
        [1, 1],
        (_, q, dpdt) =>
        {
            double r2 = (q[0] * q[0]) + (q[1] * q[1]);
            double scale = -1 / (r2 * Math.Sqrt(r2));
            dpdt[0] = scale * q[0];
            dpdt[1] = scale * q[1];
        }
    );

    private static Tensor Numbers(params double[] values) => tensor(values, dtype: float64).clone();

    private static double Energy(double[] y) =>
        (((y[2] * y[2]) + (y[3] * y[3])) / 2) - (1 / Math.Sqrt((y[0] * y[0]) + (y[1] * y[1])));

    private static void Kepler()
    {
        // Eccentricity 0.2, from perihelion; one period is 2 pi.
        double[] q0 = [0.8, 0];
        double[] p0 = [0, Math.Sqrt(1.5)];
        foreach (SymplecticMethod method in SymplecticMethod.All)
        {
            double Error(int steps)
            {
                HamiltonianOptions options = new() { Step = 2 * Math.PI / steps, Method = method };
                double[] y = Ode.SolveHamiltonian(s_kepler, 0, 2 * Math.PI, q0, p0, options).FinalState;
                return Math.Abs(y[0] - 0.8) + Math.Abs(y[1]);
            }

            int coarse = method.Order >= 8 ? 30 : method.Order >= 6 ? 80 : 400;
            double order = Math.Log2(Error(coarse) / Error(2 * coarse));
            Check.That(order > method.Order - 0.5, $"{method}: observed order {order}");

            Solution orbit = Ode.SolveHamiltonian(
                s_kepler,
                0,
                400,
                q0,
                p0,
                new()
                {
                    Step = 0.05,
                    Method = method.Compensated(),
                    SaveAt = SaveAt.EverySteps,
                }
            );
            double worst = orbit.States.Max(y => Math.Abs(Energy(y) - Energy(orbit.States[0])));
            Check.That(worst < 1e-2, $"{method}: energy error {worst}");
            Check.Same(orbit.Statistics.Evaluations, orbit.Statistics.Accepted * method.Forces, "forces");
            Check.Same(orbit.Methods[0].Method, method.Name, "method");
        }

        // The same equations for a method that does not look at the splitting.
        double[] other = Ode.Solve(s_kepler.Field, 0, 2 * Math.PI, [.. q0, .. p0], new() { RelTol = 1e-10, AbsTol = 1e-10 }).FinalState;
        Check.Near(other[0], 0.8, 1e-7, "by Tsit5");
    }

    private static void Section()
    {
        Hamiltonian spring = new((_, p, dqdt) => p.CopyTo(dqdt), (_, q, dpdt) => dpdt[0] = -q[0]);
        OdeEvent zero = new() { Condition = (_, y) => y[0], Direction = EventDirection.Rising };
        Solution solution = Ode.SolveHamiltonian(
            spring,
            0,
            20,
            [1],
            [0],
            new()
            {
                Step = 0.1,
                Method = SymplecticMethod.KahanLi8,
                SaveAt = SaveAt.Dense,
                Events = [zero],
            }
        );
        Check.Same(solution.Events.Count, 3, "events");
        Check.Near(solution.Events[1].Time, 3.5 * Math.PI, 1e-10, "time");
        Check.Near(solution.At(7.77)[0], Math.Cos(7.77), 1e-10, "dense output");
        HamiltonianOptions kicked = new() { Step = 0.05, ScheduledChanges = [new(1, (_, y) => y[1] += 2)] };
        double expected = Math.Cos(3) + (2 * Math.Sin(2));
        Check.Near(Ode.SolveHamiltonian(spring, 0, 3, [1], [0], kicked).FinalState[0], expected, 1e-8, "kick");
    }

    private static void TensorPendulums()
    {
        using IDisposable scope = NewDisposeScope();
        Tensor q0 = Numbers(0.1, 1, 2);
        Tensor length = Numbers(1.5).requires_grad_(true);
        TensorSolution solution = Ode.SolveHamiltonian(
            (_, p) => p * 1,
            (_, q) => -q.sin() / length,
            0,
            2,
            q0,
            zeros_like(q0),
            new()
            {
                Step = 0.05,
                Parameters = [length],
                SaveAt = SaveAt.Times(1, 2),
            }
        );
        Check.Same(string.Join(",", solution.States.shape), "2,2,3", "shape");
        Hamiltonian single = new((_, p, dqdt) => p.CopyTo(dqdt), (_, q, dpdt) => dpdt[0] = -Math.Sin(q[0]) / 1.5);
        double[] alone = Ode.SolveHamiltonian(single, 0, 2, [2], [0], new() { Step = 0.05 }).FinalState;
        Check.Near(solution.FinalState[0, 2].ToDouble(), alone[0], 1e-13, "as alone");
        solution.FinalState[0, 2].backward();
        double Shifted(double l)
        {
            Hamiltonian other = new((_, p, dqdt) => p.CopyTo(dqdt), (_, q, dpdt) => dpdt[0] = -Math.Sin(q[0]) / l);
            return Ode.SolveHamiltonian(other, 0, 2, [2], [0], new() { Step = 0.05 }).FinalState[0];
        }

        Check.Near(length.grad!.item<double>(), (Shifted(1.5 + 1e-5) - Shifted(1.5 - 1e-5)) / 2e-5, 1e-8, "gradient");
    }

    private static void Semilinear()
    {
        // y' = l (y - cos t) - sin t, solved by cos t: as L = l, N = -l cos t - sin t.
        foreach (ExponentialMethod method in Enum.GetValues<ExponentialMethod>())
        {
            foreach (double l in new[] { -2.0, 0.5 })
            {
                VectorField n = (t, y, result) => result[0] = (-l * Math.Cos(t)) - Math.Sin(t);
                double Error(double step) =>
                    Math.Abs(
                        Ode.SolveSemilinear([l], n, 0, 2, [1], new() { Step = step, Method = method }).FinalState[0] - Math.Cos(2)
                    );
                double order = Math.Log2(Error(0.1) / Error(0.05));
                Check.That(order > 3.5, $"{method}: observed order {order}");
            }

            Complex rotation = new(0, 5);
            ComplexSolution turned = Ode.SolveSemilinear(
                [rotation],
                (_, _, result) => result.Clear(),
                0,
                3,
                [Complex.One],
                new()
                {
                    Step = 1,
                    Method = method,
                    SaveAt = SaveAt.Dense,
                }
            );
            Check.Near((turned.FinalState[0] - Complex.Exp(3 * rotation)).Magnitude, 0, 1e-13, "rotation");
            Check.Near((turned.At(1.7)[0] - Complex.Exp(1.7 * rotation)).Magnitude, 0, 1e-13, "dense rotation");
            Check.Same(turned.Statistics.Accepted, 3, "steps");
        }

        // A stiff one in single precision, and no step too long for it.
        using IDisposable scope = NewDisposeScope();
        Tensor linear = Numbers(-1e6, -1).to(float32);
        TensorSolution stiff = Ode.SolveSemilinear(linear, (t, y) => ones_like(y), 0, 2, zeros(3, 2), new() { Step = 0.5 });
        Check.Near(stiff.FinalState[2, 1].ToDouble(), 1 - Math.Exp(-2), 1e-6, "single precision");
        Check.Near(stiff.FinalState[0, 0].ToDouble() * 1e6, 1, 1e-5, "stiff component");
    }

    private static void Failures()
    {
        Hamiltonian fall = Hamiltonian.Newton([1], (_, _, dpdt) => dpdt[0] = -1);
        Check.Holds(
            Check.Throws<ArgumentException>(() => Ode.SolveHamiltonian(fall, 0, 1, [0], [0, 1], new() { Step = 0.1 })).Message,
            "momentum"
        );
        Check.Holds(Check.Throws<ArgumentException>(() => Ode.SolveHamiltonian(fall, 0, 1, [0], [0], new() { Step = 0 })).Message, "> 0");
        Check.Holds(Check.Throws<ArgumentException>(() => Hamiltonian.Newton([-1], (_, _, _) => { })).Message, "mass");
        using CancellationTokenSource source = new();
        source.Cancel();
        _ = Check.Throws<OperationCanceledException>(() =>
            Ode.SolveHamiltonian(fall, 0, 1, [0], [0], new() { Step = 0.1, CancellationToken = source.Token })
        );
        SolveException failure = Check.Throws<SolveException>(() =>
            Ode.SolveSemilinear(
                [Complex.One],
                (t, _, result) => result[0] = t > 0.5 ? double.NaN : 0,
                0,
                1,
                [Complex.One],
                new() { Step = 0.1, SaveAt = SaveAt.EverySteps }
            )
        );
        Check.Same(failure.Status, SolveStatus.NonFinite, "status");
        Check.That(failure.PartialComplex!.Times.Count > 3, $"{failure.PartialComplex.Times.Count} times");
        Check.Same(failure.Component, "0", "component");
    }
}
