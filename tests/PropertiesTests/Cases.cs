using System;
using System.Collections.Generic;
using System.Linq;
using Continuum;
using Continuum.Properties;
using static TorchSharp.torch;

namespace OwnModel;

/// <summary>The laws run on models written in C#; tests/LawTests.fs hands these cases to Expecto.</summary>
public static class Cases
{
    private const double Omega = 1.3;

    public static IEnumerable<(string Name, Action Body)> All =>
        [
            ("a pendulum keeps the laws of solving", Pendulum),
            ("a spring in closed form, by Dopri5", Spring),
            ("a spring's zeros", Zeros),
            ("a spring on arrays and on tensors", TwoForms),
            ("a batch of springs", Batch),
            ("the gradients of a spring", Gradients),
            ("stiff kinetics with a Jacobian of their own", Kinetics),
            ("a wrong Jacobian is found", WrongJacobian),
            ("derivatives of a field over numbers", Derivatives),
            ("an ensemble of a field over numbers", Ensemble),
            ("a swing as a Hamiltonian", Swing),
            ("the order conditions of a method", OrderConditionsHold),
            ("EnsureAll names the failing laws", Failing),
            .. PathCases.All,
            .. OperatorCases.All,
        ];

    // docs/Laws.md shows this case.
    private static void Pendulum()
    {
        VectorField pendulum = (t, y, dydt) =>
        {
            dydt[0] = y[1];
            dydt[1] = -Math.Sin(y[0]) + (0.1 * Math.Cos(t));
        };

        Laws.EnsureAll(Laws.OfField("my pendulum", pendulum, 0.0, 3.0, [1.0, 0.0]));
    }

    private static void Spring() =>
        Laws.EnsureAll(Laws.OfField("spring", SpringOnArrays, 0.0, 3.0, [1.0, 0.0], Exact, Methods.Dopri5));

    private static void Zeros() =>
        Laws.EnsureAll(
            Laws.OfEvent(
                "spring",
                SpringOnArrays,
                0.0,
                10.0,
                [1.0, 0.0],
                (t, y) => y[0],
                Crossing.Falling,
                null,
                y => [.. Enumerable.Range(0, 3).Select(k => ((2.0 * k) + 0.5) * Math.PI / Omega)],
                null));

    private static void TwoForms() =>
        Laws.EnsureAll(
            Laws.OfTwoForms(
                "spring",
                SpringOnArrays,
                (t, y) => stack([y[1], y[0] * (-Omega * Omega)]),
                0.0,
                3.0,
                [1.0, 0.0],
                Methods.Dop853));

    private static void Batch()
    {
        using var scope = NewDisposeScope();
        var initial = Tensors.ofArray([1.0, 0.0, 0.5, -1.0, 2.0, 0.3], [3, 2], ScalarType.Float64, CPU);
        Laws.EnsureAll(
            Laws.OfBatch(
                "springs",
                (t, y) => cat([y.narrow(1, 1, 1), y.narrow(1, 0, 1).sin() * t.cos()], 1),
                null,
                [0.0, 1.0, 2.0],
                [3.0, -1.0, 7.0],
                initial,
                null));
    }

    private static void Gradients()
    {
        using var scope = NewDisposeScope();
        var stiffness = Tensors.vector([Omega * Omega]).requires_grad_();
        Laws.EnsureAll(
            Laws.OfGradients(
                "spring",
                (t, y) => stack([y[1], -stiffness[0] * y[0]]),
                [stiffness],
                0.0,
                2.0,
                Tensors.vector([1.0, 0.0]),
                [1.0, 2.0],
                null));
    }

    // Two species in fast exchange, one of them consumed; the rate of the exchange is wrong in the Jacobian where factor is not 1.
    private static IReadOnlyList<LawResult> Exchange(double factor)
    {
        VectorField field = (t, y, dydt) =>
        {
            dydt[0] = (-1000 * y[0]) + (900 * y[1]);
            dydt[1] = (1000 * y[0]) - (900 * y[1]) - (y[1] * y[1]);
        };
        OdeSystem plain = OdeSystem.OfField(field, 2);
        OdeSystem given = plain.WithJacobian((t, y, jacobian) =>
        {
            jacobian[0, 0] = -1000 * factor;
            jacobian[0, 1] = 900;
            jacobian[1, 0] = 1000;
            jacobian[1, 1] = -900 - (2 * y[1]);
        });
        return Laws.OfSystem("exchange", given, plain, 0.0, 5.0, [1.0, 0.5], 1e-6, null, Method.NewBdf(5));
    }

    private static void Kinetics() => Laws.EnsureAll(Exchange(1));

    private static void WrongJacobian()
    {
        if (Exchange(1.01).All(law => law.Holds))
        {
            throw new InvalidOperationException("a Jacobian that is one percent off passed");
        }
    }

    private static void Derivatives() =>
        Laws.EnsureAll(Laws.OfSensitivities("growth", new Growth(), [0.8, 3.0], 0.0, 2.0, [0.4], 0.05, null));

    private static void Ensemble() =>
        Laws.EnsureAll(
            Laws.OfEnsemble(new Growth(), [.. Enumerable.Range(0, 21).Select(i => new[] { 0.3 + (0.1 * i), 3.0 })], 0.0, 4.0, [0.4], null));

    private static void Swing() =>
        Laws.EnsureAll(
            Laws.OfHamiltonian(
                "swing",
                (t, p, dqdt) => dqdt[0] = p[0],
                (t, q, dpdt) => dpdt[0] = -Math.Sin(q[0]),
                (t, q, p) => (0.5 * p[0] * p[0]) - Math.Cos(q[0]),
                true,
                0.0,
                3.0,
                [1.0],
                [0.2],
                0.1,
                null));

    private static void OrderConditionsHold() => Laws.EnsureAll(Laws.OfMethod(Methods.Tsit5));

    private static void Failing()
    {
        // The closed form of another frequency.
        var found = Laws.OfField("spring", SpringOnArrays, 0.0, 3.0, [1.0, 0.0], t => [Math.Cos(t), -Math.Sin(t)], null);

        try
        {
            Laws.EnsureAll(found);
        }
        catch (InvalidOperationException error) when (error.Message.Contains("Tsit5 converges with order 5 on spring", StringComparison.Ordinal))
        {
            return;
        }

        throw new InvalidOperationException("a wrong closed form passed: " + string.Join("; ", found));
    }

    private static void SpringOnArrays(double t, ReadOnlySpan<double> y, Span<double> dydt)
    {
        dydt[0] = y[1];
        dydt[1] = -Omega * Omega * y[0];
    }

    private readonly struct Growth : IGenericField
    {
        public int Size => 1;

        public int ParameterCount => 2;

        public void Evaluate<T>(T t, ReadOnlySpan<T> y, ReadOnlySpan<T> p, Span<T> dydt)
            where T : struct, IReal<T> => dydt[0] = p[0] * y[0] * (T.Of(1) - (y[0] / p[1]));
    }

    private static double[] Exact(double t) => [Math.Cos(Omega * t), -Omega * Math.Sin(Omega * t)];
}
