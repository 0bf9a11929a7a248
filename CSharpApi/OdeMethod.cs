extern alias core;

using System;
using System.Collections.Generic;
using System.Linq;
using Core = core::Continuum;

namespace Continuum;

/// <summary>A one-step method for ordinary differential equations.</summary>
/// <remarks>Methods are immutable and shared; a method's coefficients are read and checked on first use.</remarks>
public sealed class OdeMethod
{
    private readonly Lazy<Core.Method> _method;

    private OdeMethod(string name, Func<Core.Method> method)
    {
        Name = name;
        _method = new Lazy<Core.Method>(method);
    }

    /// <summary>
    /// The automatic choice, the default on numbers: an explicit method chosen by the tolerance (<see cref="Tsit5"/>, <see cref="Vern7"/> or
    /// <see cref="Vern9"/>) as long as stability does not limit its steps, a stiff one (Rodas5P, or <see cref="Bdf"/> for more than 32 components) where it
    /// does, and back. <see cref="Solution.Methods"/> says what was taken, when and why. On numbers only.
    /// </summary>
    public static OdeMethod Automatic { get; } = new(nameof(Automatic), () => Core.Method.Automatic);

    /// <summary>The explicit Euler method: order 1, fixed steps.</summary>
    public static OdeMethod Euler { get; } = Known(nameof(Euler));

    /// <summary>The explicit midpoint rule: order 2, fixed steps.</summary>
    public static OdeMethod Midpoint { get; } = Known(nameof(Midpoint));

    /// <summary>The explicit trapezoidal rule: order 2, adaptive.</summary>
    public static OdeMethod Heun { get; } = Known(nameof(Heun));

    /// <summary>Ralston's method: order 2, adaptive.</summary>
    public static OdeMethod Ralston { get; } = Known(nameof(Ralston));

    /// <summary>The Bogacki–Shampine 3(2) pair: adaptive, cheap at loose tolerances.</summary>
    public static OdeMethod Bosh3 { get; } = Known(nameof(Bosh3));

    /// <summary>The classical Runge–Kutta method: order 4, fixed steps.</summary>
    public static OdeMethod Rk4 { get; } = Known(nameof(Rk4));

    /// <summary>Kutta's 3/8 rule: order 4, fixed steps.</summary>
    public static OdeMethod ThreeEighths { get; } = Known(nameof(ThreeEighths));

    /// <summary>The Dormand–Prince 5(4) pair: adaptive.</summary>
    public static OdeMethod Dopri5 { get; } = Known(nameof(Dopri5));

    /// <summary>The Tsitouras 5(4) pair: adaptive; the default on tensors and the usual first choice.</summary>
    public static OdeMethod Tsit5 { get; } = Known(nameof(Tsit5));

    /// <summary>Verner's 7(6) pair: adaptive, for tight tolerances.</summary>
    public static OdeMethod Vern7 { get; } = Known(nameof(Vern7));

    /// <summary>The 8(5,3) method of Hairer, Nørsett and Wanner: adaptive, for tight tolerances.</summary>
    public static OdeMethod Dop853 { get; } = Known(nameof(Dop853));

    /// <summary>Verner's 9(8) pair: adaptive, for the tightest tolerances.</summary>
    public static OdeMethod Vern9 { get; } = Known(nameof(Vern9));

    /// <summary>
    /// Reversible Heun (Kidger, Foster, Li and Lyons 2021): order 2, one evaluation a step, algebraically reversible; on tensors only.
    /// </summary>
    public static OdeMethod ReversibleHeun { get; } = new(nameof(ReversibleHeun), () => Core.Method.ReversibleHeun);

    /// <summary>
    /// Backward differentiation formulas of order 1 to 5 with variable order and steps, for stiff problems: on numbers, and on tensors
    /// for values without gradients.
    /// </summary>
    public static OdeMethod Bdf { get; } = new(nameof(Bdf), () => Core.Method.NewBdf(5));

    /// <summary>
    /// The Rosenbrock 2(3) pair of ode23s (Shampine and Reichelt 1997): for stiff problems at loose tolerances.
    /// </summary>
    public static OdeMethod Rosenbrock23 { get; } =
        new(nameof(Rosenbrock23), () => Core.Method.NewRosenbrock(Core.RosenbrockMethods.Rosenbrock23));

    /// <summary>
    /// Rodas5P (Steinebach 2023), order 5: for stiff problems and differential-algebraic equations at medium to tight tolerances.
    /// </summary>
    public static OdeMethod Rodas5P { get; } = new(nameof(Rodas5P), () => Core.Method.NewRosenbrock(Core.RosenbrockMethods.Rodas5P));

    /// <summary>
    /// The ESDIRK method of Kennedy and Carpenter (2003): order 4, adaptive, for stiff problems; on numbers and tensors. With its explicit
    /// companion it takes split fields (<see cref="Ode.SolveSplit"/>).
    /// </summary>
    public static OdeMethod KenCarp4 { get; } = new(nameof(KenCarp4), () => Core.Method.NewEsdirk(Core.EsdirkMethods.KenCarp4));

    /// <summary>The ESDIRK method of Kværnø (2004): order 5, adaptive, for stiff problems; on numbers and tensors.</summary>
    public static OdeMethod Kvaerno5 { get; } = new(nameof(Kvaerno5), () => Core.Method.NewEsdirk(Core.EsdirkMethods.Kvaerno5));

    /// <summary>
    /// The trapezoidal rule followed by BDF2 as an ESDIRK method (Bank et al. 1985; Hosea and Shampine 1996): order 2, adaptive, for stiff
    /// problems at loose tolerances; on numbers and tensors.
    /// </summary>
    public static OdeMethod TrBdf2 { get; } = new(nameof(TrBdf2), () => Core.Method.NewEsdirk(Core.EsdirkMethods.TrBdf2));

    /// <summary>The ESDIRK method of Kværnø (2004): order 3, adaptive, for stiff problems; on numbers and tensors.</summary>
    public static OdeMethod Kvaerno3 { get; } = new(nameof(Kvaerno3), () => Core.Method.NewEsdirk(Core.EsdirkMethods.Kvaerno3));

    /// <summary>The methods for stiff problems that work on numbers and on tensors, by order.</summary>
    public static IReadOnlyList<OdeMethod> Stiff { get; } = [Rosenbrock23, TrBdf2, Kvaerno3, KenCarp4, Rodas5P, Kvaerno5];

    /// <summary>The Runge–Kutta methods, by order.</summary>
    public static IReadOnlyList<OdeMethod> All { get; } =
        [Euler, Midpoint, Heun, Ralston, Bosh3, Rk4, ThreeEighths, Dopri5, Tsit5, Vern7, Dop853, Vern9];

    /// <summary>The name in the literature, as <see cref="FromName"/> takes it.</summary>
    public string Name { get; }

    /// <summary>The order of convergence.</summary>
    public int Order => Inner.Order;

    /// <summary>Whether the method estimates its local error, so that steps can be adaptive.</summary>
    public bool IsAdaptive =>
        Inner switch
        {
            Core.Method.RungeKutta method => method.Item.IsAdaptive,
            Core.Method.Coupled method => method.Item1.IsAdaptive,
            _ => true,
        };

    internal Core.Method Inner => _method.Value;

    /// <summary>The tableau behind the method, whose error estimate steers the steps; null for reversible Heun.</summary>
    internal Core.Tableau? Tableau =>
        Inner switch
        {
            Core.Method.RungeKutta method => method.Item,
            Core.Method.Coupled method => method.Item1,
            _ => null,
        };

    /// <summary>The method of that name, in upper or lower case.</summary>
    /// <exception cref="ArgumentException">No method has that name; the message lists those there are.</exception>
    public static OdeMethod FromName(string name)
    {
        ArgumentException.ThrowIfNullOrWhiteSpace(name);
        IEnumerable<OdeMethod> known = All.Concat(Stiff).Append(Automatic).Append(ReversibleHeun).Append(Bdf);
        return known.FirstOrDefault(method => string.Equals(method.Name, name, StringComparison.OrdinalIgnoreCase))
            ?? throw new ArgumentException(
                $"No method is named '{name}'. Known: {string.Join(", ", known.Select(method => method.Name))}.",
                nameof(name)
            );
    }

    /// <summary>
    /// McCallum and Foster's (2024) reversible form of a Runge–Kutta method: same order, twice the evaluations; on tensors only.
    /// </summary>
    /// <param name="method">A Runge–Kutta method.</param>
    /// <param name="coupling">The coupling of the two states, in (0, 1].</param>
    /// <exception cref="ArgumentException"><paramref name="method"/> is not a Runge–Kutta method.</exception>
    /// <exception cref="ArgumentOutOfRangeException"><paramref name="coupling"/> is not in (0, 1].</exception>
    public static OdeMethod Reversible(OdeMethod method, double coupling = 0.9)
    {
        ArgumentNullException.ThrowIfNull(method);
        if (!(coupling > 0 && coupling <= 1))
        {
            throw new ArgumentOutOfRangeException(nameof(coupling), coupling, "The coupling must lie in (0, 1].");
        }

        return method.Inner is Core.Method.RungeKutta inner
            ? new($"Reversible({method.Name})", () => Core.Method.NewCoupled(inner.Item, coupling))
            : throw new ArgumentException($"{method.Name} is not a Runge–Kutta method; make Tsit5 or another one reversible.", nameof(method));
    }

    /// <summary>
    /// <see cref="Bdf"/> with a lower largest order. Orders 1 and 2 are stable for everything that decays; 3, 4 and 5 only within 86, 73
    /// and 52 degrees of the negative real axis, so for oscillations that are hardly damped take 2.
    /// </summary>
    /// <param name="maxOrder">The largest order, 1 to 5.</param>
    /// <exception cref="ArgumentOutOfRangeException"><paramref name="maxOrder"/> is not in 1 to 5.</exception>
    public static OdeMethod BdfUpTo(int maxOrder) =>
        maxOrder is >= 1 and <= 5
            ? new($"Bdf({maxOrder})", () => Core.Method.NewBdf(maxOrder))
            : throw new ArgumentOutOfRangeException(nameof(maxOrder), maxOrder, "The largest order of Bdf is 1 to 5.");

    /// <summary>The name.</summary>
    public override string ToString() => Name;

    private static OdeMethod Known(string name) => new(name, () => Core.Method.NewRungeKutta(Core.Methods.ByName(name)));
}
