using System;

namespace Continuum;

/// <summary>The sense of a stochastic integral, as a type: equations and methods of different calculi do not fit together. Never an object.</summary>
public abstract class Calculus
{
    private protected Calculus() { }
}

/// <summary>Itô's integral: the integrand at the left end of each step. No chain rule.</summary>
public sealed class Ito : Calculus
{
    private Ito() { }
}

/// <summary>Stratonovich's integral: the integrand at the midpoint. Obeys the ordinary chain rule.</summary>
public sealed class Stratonovich : Calculus
{
    private Stratonovich() { }
}

/// <summary>
/// The class of an equation's noise, as a type: each method says the widest class that it takes, and takes its subclasses too. This one
/// is any matrix g(t, y) with a column for each Brownian motion.
/// </summary>
public interface IGeneralNoise { }

/// <summary>A matrix whose columns commute as vector fields: high order then needs no Lévy area. The caller's promise.</summary>
public interface ICommutativeNoise : IGeneralNoise { }

/// <summary>One number of g for each component of the state.</summary>
public interface IElementwiseNoise : ICommutativeNoise { }

/// <summary>One Brownian motion drives all components: g has the shape of the state.</summary>
public interface IScalarNoise : IElementwiseNoise { }

/// <summary>A Brownian motion for each component, and g_i depends on y_i alone wherever a method uses derivatives of g.</summary>
public interface IDiagonalNoise : IElementwiseNoise { }

/// <summary>g does not depend on the state; both calculi agree.</summary>
public interface IAdditiveNoise : ICommutativeNoise { }

/// <summary>What is known of a Brownian path beside its increments W over a step of length h; each level includes those above it.</summary>
public enum LevyLevel
{
    /// <summary>W alone.</summary>
    Increments,

    /// <summary>H = (1/h) ∫ (W_r - (r - s)/h W) dr, normal with variance h/12 and independent of W: space-time Lévy area.</summary>
    SpaceTime,

    /// <summary>K = (1/h²) ∫ (W_r - (r - s)/h W) (h/2 - (r - s)) dr, normal with variance h/720: space-time-time Lévy area.</summary>
    SpaceTimeTime,

    /// <summary>H, and the matrix A_ij = 1/2 ∫ (W^i dW^j - W^j dW^i): Lévy area.</summary>
    Area,
}

/// <summary>A diffusion that does not see the state.</summary>
/// <param name="t">The time.</param>
/// <param name="g">Receives g(t), n x m row by row; not cleared before the call.</param>
public delegate void AdditiveDiffusion(double t, Span<double> g);

/// <summary>
/// Drift and diffusion written once over <see cref="IReal{T}"/>. Implement it as a struct, so that every use is compiled for it: single
/// paths at the speed of a hand-written loop, ensembles in SIMD lanes, exact derivatives for Milstein's method.
/// </summary>
public interface IGenericSde
{
    /// <summary>The number n of components of the state.</summary>
    int Size { get; }

    /// <summary>The number m of Brownian motions: n for diagonal noise, 1 for scalar noise.</summary>
    int NoiseSize { get; }

    /// <summary>The number of parameters that <see cref="Drift{T}"/> and <see cref="Diffusion{T}"/> read.</summary>
    int ParameterCount { get; }

    /// <summary>Writes f(t, y; p) into <paramref name="f"/>.</summary>
    /// <param name="t">The time.</param>
    /// <param name="y">The state; valid during the call only.</param>
    /// <param name="p">The parameters.</param>
    /// <param name="f">Receives the drift, as long as <paramref name="y"/>; not cleared before the call.</param>
    void Drift<T>(T t, ReadOnlySpan<T> y, ReadOnlySpan<T> p, Span<T> f)
        where T : struct, IReal<T>;

    /// <summary>Writes g(t, y; p) into <paramref name="g"/>.</summary>
    /// <param name="t">The time.</param>
    /// <param name="y">The state; valid during the call only. Additive noise must not look at it.</param>
    /// <param name="p">The parameters.</param>
    /// <param name="g">
    /// Receives the diffusion: n numbers for scalar and diagonal noise, else n x m, row by row; not cleared before the call.
    /// </param>
    void Diffusion<T>(T t, ReadOnlySpan<T> y, ReadOnlySpan<T> p, Span<T> g)
        where T : struct, IReal<T>;
}
