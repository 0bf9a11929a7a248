using System;

namespace Continuum;

/// <summary>
/// A right-hand side y' = f(t, y; p) written once over <see cref="IReal{T}"/>. Implement it as a struct, so that every use is compiled
/// for it: single solves at the speed of a hand-written loop, ensembles in SIMD lanes, exact derivatives.
/// </summary>
public interface IGenericField
{
    /// <summary>The number of components of the state.</summary>
    int Size { get; }

    /// <summary>The number of parameters that <see cref="Evaluate{T}"/> reads.</summary>
    int ParameterCount { get; }

    /// <summary>Writes f(t, y; p) into <paramref name="dydt"/>.</summary>
    /// <param name="t">The time.</param>
    /// <param name="y">The state; valid during the call only.</param>
    /// <param name="p">The parameters.</param>
    /// <param name="dydt">Receives the derivative, as long as <paramref name="y"/>; not cleared before the call.</param>
    void Evaluate<T>(T t, ReadOnlySpan<T> y, ReadOnlySpan<T> p, Span<T> dydt)
        where T : struct, IReal<T>;
}

/// <summary>A right-hand side y' = f(t, y; p) with parameters, on doubles.</summary>
/// <param name="t">The time.</param>
/// <param name="y">The state; valid during the call only.</param>
/// <param name="p">The parameters.</param>
/// <param name="dydt">Receives the derivative, as long as <paramref name="y"/>; not cleared before the call.</param>
public delegate void ParameterField(double t, ReadOnlySpan<double> y, ReadOnlySpan<double> p, Span<double> dydt);
