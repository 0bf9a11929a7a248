extern alias core;

using System;
using Core = core::Continuum;

namespace Continuum;

/// <summary>
/// A separable Hamiltonian system H = T(p, t) + V(q, t): the velocity dq/dt = ∂T/∂p and the force dp/dt = −∂V/∂q.
/// </summary>
/// <remarks>Solve it with <see cref="Ode.SolveHamiltonian(Hamiltonian, double, double, ReadOnlySpan{double}, ReadOnlySpan{double}, HamiltonianOptions)"/>.</remarks>
public sealed class Hamiltonian
{
    /// <summary>A system from its velocity and its force.</summary>
    /// <param name="velocity">Writes dq/dt of (t, p).</param>
    /// <param name="force">Writes dp/dt of (t, q).</param>
    /// <exception cref="ArgumentNullException">One of the two is null.</exception>
    public Hamiltonian(VectorField velocity, VectorField force)
    {
        ArgumentNullException.ThrowIfNull(velocity);
        ArgumentNullException.ThrowIfNull(force);
        Inner = new(Interop.Field(velocity), Interop.Field(force));
        Field = Inner.Field.Invoke;
    }

    private Hamiltonian(Core.Hamiltonian inner)
    {
        Inner = inner;
        Field = inner.Field.Invoke;
    }

    /// <summary>The same equations as one field on the state (q; p), for methods that do not look at the splitting.</summary>
    public VectorField Field { get; }

    internal Core.Hamiltonian Inner { get; }

    /// <summary>Newton's equations: T = Σ pᵢ² / (2 mᵢ).</summary>
    /// <param name="masses">A mass above 0 for each momentum.</param>
    /// <param name="force">Writes dp/dt of (t, q).</param>
    /// <exception cref="ArgumentNullException"><paramref name="force"/> is null.</exception>
    /// <exception cref="ArgumentException">A mass is not finite or not above 0.</exception>
    public static Hamiltonian Newton(ReadOnlySpan<double> masses, VectorField force)
    {
        ArgumentNullException.ThrowIfNull(force);
        return new(Core.Hamiltonian.Newton(masses.ToArray(), Interop.Field(force)));
    }
}
