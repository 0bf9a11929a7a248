using System;
using System.Linq;
using Continuum;

namespace Examples;

/// <summary>
/// The outer solar system (Sun with the inner planets, Jupiter, Saturn, Uranus, Neptune, Pluto) over 30,000 years with a symplectic
/// method, from the positions and velocities of 5 September 1994 in Hairer, Lubich and Wanner (2006), I.2.4. Units: astronomical
/// units, days, solar masses.
/// </summary>
internal static class SolarSystem
{
    private const double Gravity = 2.95912208286e-4;
    private const double Year = 365.25;

    private static readonly double[] s_masses = [1.00000597682, 9.54786104043e-4, 2.85583733151e-4, 4.37273164546e-5, 5.17759138449e-5, 1 / 1.3e8];

    private static readonly double[] s_positions =
    [
        .. new double[] { 0, 0, 0 },
        .. new[] { -3.5023653, -3.8169847, -1.5507963 },
        .. new[] { 9.0755314, -3.0458353, -1.6483708 },
        .. new[] { 8.3101420, -16.2901086, -7.2521278 },
        .. new[] { 11.4707666, -25.7294829, -10.8169456 },
        .. new[] { -15.5387357, -25.2225594, -3.1902382 },
    ];

    private static readonly double[] s_velocities =
    [
        .. new double[] { 0, 0, 0 },
        .. new[] { 0.00565429, -0.00412490, -0.00190589 },
        .. new[] { 0.00168318, 0.00483525, 0.00192462 },
        .. new[] { 0.00354178, 0.00137102, 0.00055029 },
        .. new[] { 0.00288930, 0.00114527, 0.00039677 },
        .. new[] { 0.00276725, -0.00170702, -0.00136504 },
    ];

    internal static void Run()
    {
        double[] masses = [.. s_masses.SelectMany(m => Enumerable.Repeat(m, 3))];
        double[] p0 = [.. masses.Zip(s_velocities, (m, v) => m * v)];
        Hamiltonian system = Hamiltonian.Newton(masses, Attraction);

        // Steps of half a year, saved every 200: at a step's end, so not interpolated.
        Solution solution = Ode.SolveHamiltonian(
            system,
            t0: 0,
            t1: 30_000 * Year,
            s_positions,
            p0,
            new()
            {
                Method = SymplecticMethod.Yoshida6.Compensated(),
                Step = Year / 2,
                SaveAt = SaveAt.Times([.. Enumerable.Range(0, 301).Select(i => 100 * i * Year)]),
            }
        );

        double[] drift = Relative(solution, Energy);
        double early = drift.Take(76).Max();
        double late = drift.Skip(225).Max();
        double rotation = Relative(solution, y => AngularMomentum(y)[2]).Max();
        Console.WriteLine(
            $"{solution.Statistics.Accepted} steps; relative energy error {early:e1} in the first quarter, {late:e1} in the last; angular momentum {rotation:e1}"
        );

        Check.That(late < 1.5 * early && late < 1e-5, $"solar system: the energy error stays at {late:e1} over 30,000 years");
        Check.That(rotation < 1e-12, $"solar system: angular momentum kept within {rotation:e1}");
        Check.That(
            solution.States.All(y => Distance(y, 0, 1) is > 4.8 and < 5.6),
            $"solar system: Jupiter stays between 4.8 and 5.6 astronomical units from the Sun"
        );
    }

    private static void Attraction(double t, ReadOnlySpan<double> q, Span<double> dpdt)
    {
        dpdt.Clear();
        for (int i = 0; i < s_masses.Length; i++)
        {
            for (int j = 0; j < i; j++)
            {
                double x = q[3 * i] - q[3 * j];
                double y = q[(3 * i) + 1] - q[(3 * j) + 1];
                double z = q[(3 * i) + 2] - q[(3 * j) + 2];
                double r2 = (x * x) + (y * y) + (z * z);
                double pull = Gravity * s_masses[i] * s_masses[j] / (r2 * Math.Sqrt(r2));
                Pull(dpdt.Slice(3 * i, 3), -pull, x, y, z);
                Pull(dpdt.Slice(3 * j, 3), pull, x, y, z);
            }
        }
    }

    private static void Pull(Span<double> dpdt, double scale, double x, double y, double z)
    {
        dpdt[0] += scale * x;
        dpdt[1] += scale * y;
        dpdt[2] += scale * z;
    }

    /// <summary>How far a quantity of (q; p) is from its first value, at every saved time.</summary>
    private static double[] Relative(Solution solution, Func<double[], double> quantity)
    {
        double first = quantity(solution.States[0]);
        return [.. solution.States.Select(y => Math.Abs((quantity(y) - first) / first))];
    }

    private static double Distance(double[] y, int i, int j) =>
        Math.Sqrt(Enumerable.Range(0, 3).Sum(axis => Math.Pow(y[(3 * i) + axis] - y[(3 * j) + axis], 2)));

    private static double Energy(double[] y)
    {
        double energy = 0;
        for (int i = 0; i < s_masses.Length; i++)
        {
            energy += y.AsSpan(18 + (3 * i), 3).ToArray().Sum(p => p * p) / (2 * s_masses[i]);
            for (int j = 0; j < i; j++)
            {
                energy -= Gravity * s_masses[i] * s_masses[j] / Distance(y, i, j);
            }
        }

        return energy;
    }

    private static double[] AngularMomentum(double[] y)
    {
        double[] sum = new double[3];
        for (int i = 0; i < 18; i += 3)
        {
            for (int axis = 0; axis < 3; axis++)
            {
                int next = (axis + 1) % 3;
                int last = (axis + 2) % 3;
                sum[axis] += (y[i + next] * y[18 + i + last]) - (y[i + last] * y[18 + i + next]);
            }
        }

        return sum;
    }
}
