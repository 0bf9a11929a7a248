using System;
using Continuum;

namespace Examples;

/// <summary>Radioactive decay, y' = -k y: the first solve, compared with its closed form.</summary>
internal static class Decay
{
    internal static void Run()
    {
        const double k = 0.5;

        Solution solution = Ode.Solve(
            (t, y, dydt) => dydt[0] = -k * y[0],
            t0: 0,
            t1: 10,
            y0: [100],
            new SolveOptions
            {
                RelTol = 1e-8,
                AbsTol = 1e-10,
                SaveAt = SaveAt.Grid(0, 10, 6),
            }
        );

        double worst = 0;
        for (int i = 0; i < solution.Times.Count; i++)
        {
            double exact = 100 * Math.Exp(-k * solution.Times[i]);
            worst = Math.Max(worst, Math.Abs(solution.States[i][0] - exact) / exact);
            Console.WriteLine($"t = {solution.Times[i],4}   y = {solution.States[i][0]:f8}   exact = {exact:f8}");
        }

        Check.That(worst < 1e-7, $"decay: largest relative error {worst:e1} in {solution.Statistics.Accepted} steps");
    }
}
