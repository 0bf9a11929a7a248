using System;
using System.Collections.Generic;
using System.Linq;
using Continuum;

namespace Facade;

/// <summary>Events on numbers.</summary>
internal static class EventCases
{
    private static readonly SolveOptions s_tight = new() { RelTol = 1e-10, AbsTol = 1e-12 };

    internal static IEnumerable<(string Name, Action Body)> All =>
        [
            ("a bouncing ball bounces when it must", BouncingBall),
            ("a terminal event ends the solve", Terminal),
            ("direction and number of occurrences", Directions),
            ("an event's exception is reported", Throws),
        ];

    private static void Oscillator(double t, ReadOnlySpan<double> y, Span<double> dydt)
    {
        dydt[0] = y[1];
        dydt[1] = -y[0];
    }

    private static void BouncingBall()
    {
        // Dropped from 5 with g = 10: the first impact at 1, then after 2 r, 2 r^2, ... for a restitution r.
        OdeEvent impact = new()
        {
            Name = "impact",
            Condition = (_, y) => y[0],
            Direction = EventDirection.Falling,
            Apply = (_, y) =>
            {
                y[0] = 0;
                y[1] = -0.8 * y[1];
            },
        };
        VectorField fall = (_, y, dydt) =>
        {
            dydt[0] = y[1];
            dydt[1] = -10;
        };
        Solution solution = Ode.Solve(fall, 0, 5, [5, 0], s_tight with { Events = [impact] });
        double[] expected = [1, 1 + 1.6, 1 + 1.6 + 1.28, 1 + 1.6 + 1.28 + 1.024];
        Check.Same(solution.Events.Count, expected.Length, "bounces");
        for (int i = 0; i < expected.Length; i++)
        {
            EventOccurrence bounce = solution.Events[i];
            Check.Near(bounce.Time, expected[i], 1e-9, $"bounce {i}");
            Check.Near(bounce.After[1], -0.8 * bounce.Before[1], 1e-12, $"speed after bounce {i}");
            Check.Same(bounce.Name, "impact", "name");
        }

        double since = 5 - expected[^1];
        Check.Near(solution.FinalState[0], (Math.Pow(0.8, 4) * 10 * since) - (5 * since * since), 1e-8, "height at 5");
    }

    private static void Terminal()
    {
        OdeEvent top = new() { Condition = (_, y) => y[1], Terminal = true };
        Solution solution = Ode.Solve(Oscillator, 0, 100, [0, 1], s_tight with { Events = [top], SaveAt = SaveAt.Dense });
        Check.Same(solution.Status, SolveStatus.Terminated, "status");
        Check.That(solution.IsComplete, $"not complete");
        Check.Near(solution.FinalTime, Math.PI / 2, 1e-9, "time");
        Check.Near(solution.FinalState[0], 1, 1e-9, "top");
        Check.Near(solution.At(1)[0], Math.Sin(1), 1e-7, "dense before the event");
        Check.Holds(solution.Message, "event");
    }

    private static void Directions()
    {
        OdeEvent Zero(EventDirection direction, int most = int.MaxValue) =>
            new()
            {
                Name = $"{direction}",
                Condition = (_, y) => y[0],
                Direction = direction,
                MaxOccurrences = most,
            };

        OdeEvent[] events = [Zero(EventDirection.Rising), Zero(EventDirection.Falling), Zero(EventDirection.Either), Zero(EventDirection.Either, 2)];
        Solution solution = Ode.Solve(Oscillator, 0, 20, [0, 1], s_tight with { Events = events });
        double[] Times(int index) => [.. solution.Events.Where(e => e.Event == index).Select(e => e.Time / Math.PI)];
        string seen = string.Join("; ", Enumerable.Range(0, 4).Select(i => string.Join(", ", Times(i).Select(t => $"{t:f6}"))));
        Check.Same(seen, "2.000000, 4.000000, 6.000000; 1.000000, 3.000000, 5.000000; 1.000000, 2.000000, 3.000000, 4.000000, 5.000000, 6.000000; 1.000000, 2.000000", "times in units of pi");
    }

    private static void Throws()
    {
        OdeEvent broken = new() { Condition = (t, _) => t > 0.3 ? throw new NotSupportedException("no such event") : 1 };
        SolveException failure = Check.Throws<SolveException>(() => Ode.Solve(Oscillator, 0, 1, [0, 1], new() { Events = [broken] }));
        Check.Same(failure.Status, SolveStatus.FieldThrew, "status");
        Check.Holds(failure.Message, "no such event");
    }
}
