using System;
using System.Collections.Generic;
using System.Threading.Tasks;
using Continuum;

namespace Facade;

/// <summary>Systems with Jacobians, structure and mass matrices.</summary>
internal static class SystemCases
{
    internal static IEnumerable<(string Name, Action Body)> All =>
        [
            ("Robertson's kinetics by Rodas5P, with and without its Jacobian", Robertson),
            ("Robertson's kinetics as a differential-algebraic equation from a rough start", Algebraic),
            ("a band, a pattern and a mass matrix", Structure),
            ("every stiff method on Robertson's kinetics", StiffMethods),
            ("a system of a field over numbers has the exact Jacobian", ExactJacobian),
            ("a split field: stiff relaxation solved for, the drive taken as it comes", Split),
            ("systems refuse what makes no sense", Misuse),
        ];

    private static readonly SolveOptions s_stiff = new() { Method = OdeMethod.Rodas5P };

    // To an accuracy far beyond that of the methods compared with it.
    private static readonly Lazy<double> s_kineticsAtThousand = new(
        () =>
            Ode.Solve(
                new OdeSystem(Kinetics, 3).WithJacobian(KineticsJacobian).WithoutTime(),
                0,
                1e3,
                [1, 0, 0],
                new() { Method = OdeMethod.Rodas5P, RelTol = 1e-11, AbsTol = 1e-16 }
            ).FinalState[0]
    );

    private static void Kinetics(double t, ReadOnlySpan<double> y, Span<double> dydt)
    {
        double slow = 0.04 * y[0];
        double back = 1e4 * y[1] * y[2];
        double fast = 3e7 * y[1] * y[1];
        dydt[0] = back - slow;
        dydt[1] = slow - back - fast;
        dydt[2] = fast;
    }

    private static void KineticsJacobian(double t, ReadOnlySpan<double> y, JacobianMatrix jacobian)
    {
        jacobian[0, 0] = -0.04;
        jacobian[0, 1] = 1e4 * y[2];
        jacobian[0, 2] = 1e4 * y[1];
        jacobian[1, 0] = 0.04;
        jacobian[1, 1] = (-1e4 * y[2]) - (6e7 * y[1]);
        jacobian[1, 2] = -1e4 * y[1];
        jacobian[2, 1] = 6e7 * y[1];
    }

    private static void Robertson()
    {
        OdeSystem system = new OdeSystem(Kinetics, 3).WithoutTime();
        foreach (OdeSystem one in new[] { system, system.WithJacobian(KineticsJacobian) })
        {
            Solution solution = Ode.Solve(one, 0, 1e5, [1, 0, 0], s_stiff);
            Check.Near(solution.FinalState[0], 0.017865921142322477, 1e-7, "y1");
            Check.Near(solution.FinalState[2], 0.9821340061101627, 1e-7, "y3");
        }

        Check.Near(system.Jacobian(0, [1, 1e-5, 0.1])[1, 1], -1e3 - 600, 1, "difference");
        Solution awaited = Task.Run(() => Ode.SolveAsync(system, 0, 1e5, [1, 0, 0], s_stiff)).GetAwaiter().GetResult();
        Check.Near(awaited.FinalState[0], 0.017865921142322477, 1e-7, "y1, awaited");
        Solution loose = Ode.Solve(system, 0, 10, [1, 0, 0], new() { Method = OdeMethod.Rosenbrock23, RelTol = 1e-4 });
        Check.Near(loose.FinalState[0], 0.8413699238, 1e-3, "Rosenbrock23");
    }

    private static void Algebraic()
    {
        OdeSystem system = new OdeSystem(
            (t, y, dydt) =>
            {
                Kinetics(t, y, dydt);
                dydt[2] = y[0] + y[1] + y[2] - 1;
            },
            3
        ).WithMass([1, 1, 0]);
        Solution solution = Ode.Solve(system, 0, 1e5, [1, 0, 0.3], s_stiff);
        Check.Near(solution.FinalState[0], 0.017865921142322477, 1e-7, "y1");
        bool complete = Ode.TrySolve(system.WithStartValues(StartValues.Check), 0, 1, [1, 0, 0.3], out Solution refused, s_stiff);
        Check.That(!complete, $"refused");
        Check.Same(refused.Status, SolveStatus.InconsistentInitialValues, refused.Message);
    }

    private static void Structure()
    {
        OdeSystem heat = new(
            (t, y, dydt) =>
            {
                for (int i = 0; i < y.Length; i++)
                {
                    dydt[i] = 100 * ((i > 0 ? y[i - 1] : 0) - (2 * y[i]) + (i < y.Length - 1 ? y[i + 1] : 0));
                }
            },
            30
        );
        double[] start = new double[30];
        start[15] = 1;
        int[][] rows = new int[30][];
        for (int i = 0; i < 30; i++)
        {
            rows[i] = [Math.Max(0, i - 1), i, Math.Min(29, i + 1)];
        }

        Solution dense = Ode.Solve(heat, 0, 1, start, s_stiff);
        Solution banded = Ode.Solve(heat.WithBand(1, 1), 0, 1, start, s_stiff);
        Solution sparse = Ode.Solve(heat.WithSparsity(rows), 0, 1, start, s_stiff);
        Check.Near(banded.FinalState[15], dense.FinalState[15], 1e-7, "band");
        Check.Near(sparse.FinalState[15], dense.FinalState[15], 1e-7, "pattern");
        Check.That(banded.Statistics.Evaluations < dense.Statistics.Evaluations, $"a band saves evaluations");
        OdeSystem heavy = new OdeSystem((_, y, dydt) => dydt[0] = -y[0], 1).WithMass(new double[,] { { 2 } });
        Check.Near(Ode.Solve(heavy, 0, 2, [1], s_stiff).FinalState[0], Math.Exp(-1), 1e-6, "2 y' = -y");
    }

    private static void StiffMethods()
    {
        OdeSystem system = new OdeSystem(Kinetics, 3).WithoutTime();
        foreach (OdeMethod method in OdeMethod.Stiff)
        {
            Solution solution = Ode.Solve(system, 0, 1e3, [1, 0, 0], new() { Method = method, RelTol = 1e-5, AbsTol = 1e-10 });
            Check.Near(solution.FinalState[0], s_kineticsAtThousand.Value, 1e-3 * s_kineticsAtThousand.Value, $"y1 by {method}");
            Check.That(solution.Statistics.Accepted < 1000, $"{method}: {solution.Statistics.Accepted} steps");
            Check.Same(OdeMethod.FromName(method.Name.ToUpperInvariant()), method, "by name");
        }
    }

    private static void ExactJacobian()
    {
        double[] p = [10, 28, 8.0 / 3.0];
        double[] y = [1.5, -2.5, 20];
        OdeSystem system = OdeSystem.Create(default(EnsembleCases.LorenzField), p);
        p[1] = 0; // copied before
        double[,] jacobian = system.Jacobian(0, y);
        double[,] expected =
        {
            { -10, 10, 0 },
            { 28 - y[2], -1, -y[0] },
            { y[1], y[0], -8.0 / 3.0 },
        };
        for (int i = 0; i < 3; i++)
        {
            for (int j = 0; j < 3; j++)
            {
                Check.Same(jacobian[i, j], expected[i, j], $"entry ({i}, {j})");
            }
        }

        Solution implicitly = Ode.Solve(system, 0, 2, [1, 1, 1], new() { Method = OdeMethod.Rodas5P, RelTol = 1e-9, AbsTol = 1e-9 });
        Solution explicitly = Ode.Solve(default(EnsembleCases.LorenzField), [10, 28, 8.0 / 3.0], 0, 2, [1, 1, 1], new() { RelTol = 1e-10 });
        Check.Near(implicitly.FinalState[0], explicitly.FinalState[0], 1e-6, "x");
        Check.Holds(Check.Throws<ArgumentException>(() => OdeSystem.Create(default(EnsembleCases.LorenzField), [1])).Message, "1");
    }

    private static void Split()
    {
        // y' = -1e5 (y - cos t) - sin t, from y(0) = 1: y = cos t. The relaxation is stiff, the rest is not.
        int drives = 0;
        VectorField relaxation = (t, y, dydt) => dydt[0] = -1e5 * (y[0] - Math.Cos(t));
        VectorField drive = (t, _, dydt) =>
        {
            drives++;
            dydt[0] = -Math.Sin(t);
        };
        SolveOptions options = new() { Method = OdeMethod.KenCarp4, RelTol = 1e-5, AbsTol = 1e-7 };
        Solution split = Ode.SolveSplit(drive, relaxation, 0, 2, [1], options);
        Check.Near(split.FinalState[0], Math.Cos(2), 1e-5, "y(2)");
        // An explicit method would need 60,000 for its stability.
        Check.That(drives > 0 && split.Statistics.Accepted < 1000, $"{split.Statistics.Accepted} steps");
        Solution chosen = Ode.SolveSplit(drive, relaxation, 0, 2, [1], options with { Method = OdeMethod.Automatic });
        Check.Same(chosen.Methods[0].Method, "KenCarp4", chosen.Methods[0].Reason);
        OdeSystem system = new OdeSystem(relaxation, 1).WithJacobian((_, _, j) => j[0, 0] = -1e5).WithExplicitPart(drive);
        Check.Near(Ode.Solve(system, 0, 2, [1], options).FinalState[0], Math.Cos(2), 1e-5, "y(2) with the Jacobian of the stiff part");
        ArgumentException error = Check.Throws<ArgumentException>(
            () => Ode.SolveSplit(drive, relaxation, 0, 2, [1], options with { Method = OdeMethod.Kvaerno5 })
        );
        Check.Holds(error.Message, "KenCarp4");
    }

    private static void Misuse()
    {
        OdeSystem system = new(Kinetics, 3);
        Check.Holds(Check.Throws<ArgumentException>(() => system.WithBand(-1, 0)).Message, "-1 below");
        Check.Holds(Check.Throws<ArgumentException>(() => system.WithMass([1])).Message, "got 1");
        Check.Holds(Check.Throws<ArgumentException>(() => Ode.Solve(system, 0, 1, [1], s_stiff)).Message, "1 components");
        SolveOptions explicitMethod = new() { Method = OdeMethod.Tsit5 };
        ArgumentException error = Check.Throws<ArgumentException>(
            () => Ode.Solve(system.WithMass([1, 1, 0]), 0, 1, [1, 0, 0], explicitMethod)
        );
        Check.Holds(error.Message, "mass matrix");
    }
}
