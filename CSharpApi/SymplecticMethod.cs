extern alias core;

using System.Collections.Generic;
using Core = core::Continuum;

namespace Continuum;

/// <summary>A symplectic method for separable Hamiltonians: fixed steps, an energy error that stays bounded over very long times.</summary>
public sealed class SymplecticMethod
{
    private SymplecticMethod(Core.Splitting inner) => Inner = inner;

    /// <summary>Störmer–Verlet (leapfrog): order 2, one force a step.</summary>
    public static SymplecticMethod StormerVerlet { get; } = new(Core.SplittingModule.stormerVerlet);

    /// <summary>Ruth's method: order 3, three forces a step.</summary>
    public static SymplecticMethod Ruth3 { get; } = new(Core.SplittingModule.ruth3);

    /// <summary>
    /// The method of McLachlan and Atela: four forces a step, order 4 for a kinetic energy quadratic in p and free of time, else order 3.
    /// </summary>
    public static SymplecticMethod McAte4 { get; } = new(Core.SplittingModule.mcAte4);

    /// <summary>Yoshida's method: order 6, seven forces a step.</summary>
    public static SymplecticMethod Yoshida6 { get; } = new(Core.SplittingModule.yoshida6);

    /// <summary>The method of Kahan and Li: order 8, seventeen forces a step.</summary>
    public static SymplecticMethod KahanLi8 { get; } = new(Core.SplittingModule.kahanLi8);

    /// <summary>The methods, by order.</summary>
    public static IReadOnlyList<SymplecticMethod> All { get; } = [StormerVerlet, Ruth3, McAte4, Yoshida6, KahanLi8];

    /// <summary>The name in the literature.</summary>
    public string Name => Inner.Name;

    /// <summary>The order where T is quadratic in p and does not depend on time.</summary>
    public int Order => Inner.Order;

    /// <summary>The order for any separable Hamiltonian.</summary>
    public int GeneralOrder => Inner.GeneralOrder;

    /// <summary>Evaluations of the force in a step.</summary>
    public int Forces => Inner.Forces;

    internal Core.Splitting Inner { get; }

    /// <summary>
    /// The same method with compensated summation, on numbers only: worth its small cost in long runs whose steps are accurate to rounding.
    /// </summary>
    public SymplecticMethod Compensated() => new(Core.SplittingModule.compensated(Inner));

    /// <summary>The name.</summary>
    public override string ToString() => Name;
}
