using System;
using System.Collections.Generic;
using System.Linq;
using Continuum;

namespace Facade;

/// <summary>Derivatives of solves on numbers.</summary>
internal static class SensitivityCases
{
    internal static IEnumerable<(string Name, Action Body)> All =>
        [
            ("sensitivities of logistic growth are those of the closed form", Logistic),
            ("a delegate gives the sensitivities of the field over numbers", Delegates),
            ("the automatic choice is differentiated, and told; for a delegate it is settled by a solve beforehand", Settled),
            ("gradients forward and backward agree and say how they were found", Gradients),
            ("what cannot be differentiated is refused with the remedy", Refusals),
        ];

    private readonly struct LogisticField : IGenericField
    {
        public int Size => 1;

        public int ParameterCount => 2;

        public void Evaluate<T>(T t, ReadOnlySpan<T> y, ReadOnlySpan<T> p, Span<T> dydt)
            where T : struct, IReal<T> => dydt[0] = p[0] * y[0] * (1 - (y[0] / p[1]));
    }

    private static SolveOptions Tight => new() { RelTol = 1e-10, AbsTol = 1e-12, SaveAt = SaveAt.Times(0.5, 2) };

    private static void Logistic()
    {
        const double r = 0.9;
        const double k = 4;
        const double y0 = 0.3;
        SensitivitySolution run = Ode.SolveWithSensitivities(new LogisticField(), [r, k], 0, 2, [y0], Tight);
        double e = Math.Exp(-r * 2);
        double d = y0 + ((k - y0) * e);
        Check.Near(run.ByInitialState[1][0, 0], k * k * e / (d * d), 1e-8, "by initial value");
        Check.Near(run.ByParameters[1][0, 0], k * y0 * (k - y0) * 2 * e / (d * d), 1e-8, "by rate");
        Check.Near(run.FinalByParameters[0, 1], y0 * y0 * (1 - e) / (d * d), 1e-8, "by capacity");
        Check.Near(run.FinalByInitialState[0, 0], run.ByInitialState[1][0, 0], 1e-15, "the end is the last saved time");
        Check.Same(run.Solution.Times.Count, 2, "saved times");
    }

    private static void Delegates()
    {
        ParameterField field = (_, y, p, dydt) => dydt[0] = p[0] * y[0] * (1 - (y[0] / p[1]));
        SensitivitySolution expected = Ode.SolveWithSensitivities(new LogisticField(), [0.9, 4], 0, 2, [0.3], Tight);
        SensitivitySolution actual = Ode.SolveWithSensitivities(
            field,
            [0.9, 4],
            0,
            2,
            [0.3],
            Tight,
            byState: (_, y, p, entries) => entries[0] = p[0] * (1 - (2 * y[0] / p[1]))
        );
        Check.Near(actual.FinalByInitialState[0, 0], expected.FinalByInitialState[0, 0], 1e-9, "by initial value");
        Check.Near(actual.FinalByParameters[0, 1], expected.FinalByParameters[0, 1], 1e-6, "by capacity, by differences");
    }

    private static void Gradients()
    {
        static LossDerivatives Loss(Solution solution) =>
            new(
                solution.States.Sum(state => state[0] * state[0]),
                [.. solution.States.Select(state => new[] { 2 * state[0] })]
            );

        LossGradient chosen = Ode.Gradient(new LogisticField(), [0.9, 4], 0, 2, [0.3], Loss, Tight);
        LossGradient adjoint = Ode.Gradient(new LogisticField(), [0.9, 4], 0, 2, [0.3], Loss, Tight, SensitivityWay.Adjoint);
        Check.Same(chosen.Way, SensitivityWay.Forward, "three inputs");
        Check.Holds(chosen.Reason, "3 states and parameters");
        Check.Same(adjoint.Way, SensitivityWay.Adjoint, "asked for");
        Check.Near(adjoint.InitialState[0], chosen.InitialState[0], 1e-11, "initial value");
        Check.Near(adjoint.Parameters[1], chosen.Parameters[1], 1e-11, "capacity");
        Check.Same(adjoint.Value, chosen.Value, "loss");
    }

    private static void Refusals()
    {
        SolveOptions options = Tight with { Events = [new OdeEvent { Condition = (_, y) => y[0] - 0.5 }] };
        Check.Throws<ArgumentException>(() => Ode.SolveWithSensitivities(new LogisticField(), [0.9, 4], 0, 2, [0.3], options));
        Check.Throws<ArgumentException>(() => Ode.SolveWithSensitivities(new LogisticField(), [0.9], 0, 2, [0.3], Tight));
        Check.Throws<ArgumentException>(() =>
            Ode.Gradient(new LogisticField(), [0.9, 4], 0, 2, [0.3], _ => new LossDerivatives(0, []), Tight)
        );
    }

    private static void Settled()
    {
        SolveOptions plain = new() { RelTol = 1e-6 };
        Solution calm = Ode.SolveWithSensitivities(new LogisticField(), [0.9, 4], 0, 2, [0.3], plain).Solution;
        Check.Same(calm.Methods[0].Method, "Tsit5", "not stiff");
        Solution stiff = Ode.SolveWithSensitivities(new LogisticField(), [2e4, 4], 0, 2, [0.3], plain).Solution;
        Check.Same(stiff.Methods[^1].Method, "Rodas5P", "stiff");
        Check.Holds(stiff.Methods[^1].Reason, "stability interval");
        SensitivitySolution f = Ode.SolveWithSensitivities(
            (t, y, p, dydt) => dydt[0] = p[0] * y[0] * (1 - (y[0] / p[1])),
            [2e4, 4],
            0,
            2,
            [0.3],
            plain
        );
        Check.Same(f.Solution.Methods[0].Method, "Kvaerno5", "stiff, without second derivatives");
        Check.Near(f.FinalByParameters[0, 1], 1, 1e-6, "the state ends at the capacity");
    }
}
