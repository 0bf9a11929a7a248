using System;
using System.Collections.Generic;
using System.Linq;
using Continuum;

namespace Examples;

/// <summary>
/// The Lorenz attractor with events: upward crossings of the plane z = 27 (a Poincaré section), and an end as soon as z exceeds 45.
/// The crossings are found again from the dense output.
/// </summary>
internal static class LorenzEvent
{
    internal static void Run()
    {
        OdeEvent section = new()
        {
            Name = "z = 27",
            Condition = (t, y) => y[2] - 27,
            Direction = EventDirection.Rising,
        };
        OdeEvent summit = new()
        {
            Name = "z = 45",
            Condition = (t, y) => y[2] - 45,
            Terminal = true,
        };

        Solution solution = Ode.Solve(
            Lorenz,
            t0: 0,
            t1: 40,
            y0: [-8, 8, 27],
            new SolveOptions
            {
                Method = OdeMethod.Vern7,
                RelTol = 1e-10,
                AbsTol = 1e-10,
                SaveAt = SaveAt.Dense,
                Events = [section, summit],
            }
        );

        double[] found = [.. solution.Events.Where(e => e.Name == section.Name).Select(e => e.Time)];
        double[] again = [.. RisingZeros(t => solution.At(t)[2] - 27, 0, solution.FinalTime)];
        double worst = found.Zip(again, (a, b) => Math.Abs(a - b)).DefaultIfEmpty(double.NaN).Max();

        Console.WriteLine($"{solution.Message}");
        Console.WriteLine($"{found.Length} upward crossings of z = 27, the first at {string.Join(", ", found.Take(3).Select(t => $"{t:f6}"))}");

        Check.That(
            solution.Status == SolveStatus.Terminated && Math.Abs(solution.FinalState[2] - 45) < 1e-9,
            $"lorenz: ended on z = {solution.FinalState[2]:f9} at t = {solution.FinalTime:f4}"
        );
        Check.That(
            found.Length == again.Length && worst < 1e-7,
            $"lorenz: {found.Length} events agree with the dense output within {worst:e1}"
        );
    }

    private static void Lorenz(double t, ReadOnlySpan<double> y, Span<double> dydt)
    {
        dydt[0] = 10 * (y[1] - y[0]);
        dydt[1] = (y[0] * (28 - y[2])) - y[1];
        dydt[2] = (y[0] * y[1]) - (8.0 / 3 * y[2]);
    }

    /// <summary>Zeros of g where it rises, by bisection on a grid.</summary>
    private static IEnumerable<double> RisingZeros(Func<double, double> g, double start, double end)
    {
        const double step = 1e-3;
        for (double low = start; low < end; low += step)
        {
            double high = Math.Min(low + step, end);
            if (g(low) < 0 && g(high) >= 0)
            {
                double left = low;
                while (high - left > 1e-13 * high)
                {
                    double middle = 0.5 * (left + high);
                    if (middle == left || middle == high)
                    {
                        break;
                    }

                    (left, high) = g(middle) < 0 ? (middle, high) : (left, middle);
                }

                yield return high;
            }
        }
    }
}
