extern alias core;

using System;
using System.Collections.Generic;
using System.Runtime.CompilerServices;
using static TorchSharp.torch;
using Core = core::Continuum;

namespace Continuum;

/// <summary>
/// Makes stochastic equations dy = f(t, y) dt + g(t, y) dW, with their calculus and class of noise in their type, so that a method that
/// does not suit them does not compile.
/// </summary>
/// <example><code>
/// var gbm = StochasticEquation.Ito.Scalar(1, (t, y, f) => f[0] = 0.05 * y[0], (t, y, g) => g[0] = 0.2 * y[0]);
/// </code></example>
public static class StochasticEquation
{
    /// <summary>Equations in the sense of Itô.</summary>
    public static EquationBuilder<Ito> Ito { get; } = new(Core.CalculusKind.Ito);

    /// <summary>Equations in the sense of Stratonovich.</summary>
    public static EquationBuilder<Stratonovich> Stratonovich { get; } = new(Core.CalculusKind.Stratonovich);
}

/// <summary>A stochastic equation on numbers: on delegates, or written once over numbers with its parameters. Immutable.</summary>
/// <typeparam name="TCalculus">Its calculus.</typeparam>
/// <typeparam name="TNoise">Its class of noise.</typeparam>
public sealed class SdeEquation<TCalculus, TNoise>
    where TCalculus : Calculus
    where TNoise : IGeneralNoise
{
    private readonly double[] _parameters;

    internal SdeEquation(Core.ArraySdeTerms terms, double[] parameters)
    {
        Inner = new(terms, parameters);
        _parameters = parameters;
    }

    /// <summary>The number of components of the state.</summary>
    public int Size => Inner.Size;

    /// <summary>The number of Brownian motions.</summary>
    public int NoiseSize => Inner.NoiseSize;

    /// <summary>The parameters.</summary>
    public IReadOnlyList<double> Parameters => _parameters;

    internal Core.ArraySde<Core.Ito, Core.GeneralNoise> Inner { get; }

    /// <summary>The same equation with other parameters.</summary>
    /// <exception cref="ArgumentException">They are not as many as the equation reads.</exception>
    public SdeEquation<TCalculus, TNoise> WithParameters(params ReadOnlySpan<double> parameters) => new(Inner.Terms, parameters.ToArray());
}

/// <summary>A stochastic equation on tensors of shape (..., n). Immutable.</summary>
/// <typeparam name="TCalculus">Its calculus.</typeparam>
/// <typeparam name="TNoise">Its class of noise.</typeparam>
public sealed class TensorSdeEquation<TCalculus, TNoise>
    where TCalculus : Calculus
    where TNoise : IGeneralNoise
{
    internal TensorSdeEquation(Core.SdeTerms terms) => Terms = terms;

    /// <summary>The tensors that drift and diffusion read and whose gradients are wanted.</summary>
    public IReadOnlyList<Tensor> Parameters => Terms.Parameters;

    internal Core.SdeTerms Terms { get; }

    /// <summary>The same process in the sense of Itô: the drift changes by half the derivative of the diffusion along itself.</summary>
    public TensorSdeEquation<Ito, TNoise> ToIto() =>
        new(
            Terms.Calculus == Core.CalculusKind.Ito
                ? Terms
                : Core.SdeConversion.toIto(new Core.Sde<Core.Stratonovich, Core.GeneralNoise>(Terms)).Terms
        );

    /// <summary>The same process in the sense of Stratonovich: the drift changes by half the derivative of the diffusion along itself.</summary>
    public TensorSdeEquation<Stratonovich, TNoise> ToStratonovich() =>
        new(
            Terms.Calculus == Core.CalculusKind.Stratonovich
                ? Terms
                : Core.SdeConversion.toStratonovich(new Core.Sde<Core.Ito, Core.GeneralNoise>(Terms)).Terms
        );
}

/// <summary>Makes equations of one calculus, by class of noise.</summary>
/// <typeparam name="TCalculus">The calculus.</typeparam>
public sealed class EquationBuilder<TCalculus>
    where TCalculus : Calculus
{
    private readonly Core.CalculusKind _calculus;

    internal EquationBuilder(Core.CalculusKind calculus) => _calculus = calculus;

    /// <summary>A Brownian motion for each of n components, on doubles.</summary>
    /// <param name="size">The number n of components.</param>
    /// <param name="drift">Writes f(t, y), n numbers.</param>
    /// <param name="diffusion">Writes g(t, y), n numbers.</param>
    /// <exception cref="ArgumentException">The size is below 1.</exception>
    /// <exception cref="ArgumentNullException">A delegate is null.</exception>
    public SdeEquation<TCalculus, IDiagonalNoise> Diagonal(int size, VectorField drift, VectorField diffusion) =>
        Delegates<IDiagonalNoise>(Core.NoiseKind.Diagonal, size, size, drift, diffusion);

    /// <summary>One Brownian motion for all n components, on doubles.</summary>
    /// <param name="size">The number n of components.</param>
    /// <param name="drift">Writes f(t, y), n numbers.</param>
    /// <param name="diffusion">Writes g(t, y), n numbers.</param>
    /// <exception cref="ArgumentException">The size is below 1.</exception>
    /// <exception cref="ArgumentNullException">A delegate is null.</exception>
    public SdeEquation<TCalculus, IScalarNoise> Scalar(int size, VectorField drift, VectorField diffusion) =>
        Delegates<IScalarNoise>(Core.NoiseKind.Scalar, size, 1, drift, diffusion);

    /// <summary>m Brownian motions, on doubles.</summary>
    /// <param name="size">The number n of components.</param>
    /// <param name="noiseSize">The number m of Brownian motions.</param>
    /// <param name="drift">Writes f(t, y), n numbers.</param>
    /// <param name="diffusion">Writes g(t, y), n x m row by row.</param>
    /// <exception cref="ArgumentException">A size is below 1.</exception>
    /// <exception cref="ArgumentNullException">A delegate is null.</exception>
    public SdeEquation<TCalculus, IGeneralNoise> General(int size, int noiseSize, VectorField drift, VectorField diffusion) =>
        Delegates<IGeneralNoise>(Core.NoiseKind.General, size, noiseSize, drift, diffusion);

    /// <summary>m Brownian motions whose columns commute as vector fields, on doubles.</summary>
    /// <param name="size">The number n of components.</param>
    /// <param name="noiseSize">The number m of Brownian motions.</param>
    /// <param name="drift">Writes f(t, y), n numbers.</param>
    /// <param name="diffusion">Writes g(t, y), n x m row by row.</param>
    /// <exception cref="ArgumentException">A size is below 1.</exception>
    /// <exception cref="ArgumentNullException">A delegate is null.</exception>
    public SdeEquation<TCalculus, ICommutativeNoise> Commutative(int size, int noiseSize, VectorField drift, VectorField diffusion) =>
        Delegates<ICommutativeNoise>(Core.NoiseKind.Commutative, size, noiseSize, drift, diffusion);

    /// <summary>m Brownian motions with a diffusion that does not see the state, on doubles.</summary>
    /// <param name="size">The number n of components.</param>
    /// <param name="noiseSize">The number m of Brownian motions.</param>
    /// <param name="drift">Writes f(t, y), n numbers.</param>
    /// <param name="diffusion">Writes g(t), n x m row by row.</param>
    /// <exception cref="ArgumentException">A size is below 1.</exception>
    /// <exception cref="ArgumentNullException">A delegate is null.</exception>
    public SdeEquation<TCalculus, IAdditiveNoise> Additive(int size, int noiseSize, VectorField drift, AdditiveDiffusion diffusion)
    {
        ArgumentNullException.ThrowIfNull(diffusion);
        return Delegates<IAdditiveNoise>(Core.NoiseKind.Additive, size, noiseSize, drift, (t, _, g) => diffusion(t, g));
    }

    /// <summary>A Brownian motion for each component, written once over numbers.</summary>
    /// <typeparam name="TField">The struct that implements drift and diffusion.</typeparam>
    /// <param name="field">Drift and diffusion.</param>
    /// <param name="parameters">Their parameters, which are copied.</param>
    /// <exception cref="ArgumentException">Sizes do not go together; both are named.</exception>
    public SdeEquation<TCalculus, IDiagonalNoise> Diagonal<TField>(TField field, params ReadOnlySpan<double> parameters)
        where TField : struct, IGenericSde => Generic<IDiagonalNoise, TField>(Core.NoiseKind.Diagonal, field, parameters);

    /// <summary>One Brownian motion for all components, written once over numbers.</summary>
    /// <typeparam name="TField">The struct that implements drift and diffusion.</typeparam>
    /// <param name="field">Drift and diffusion.</param>
    /// <param name="parameters">Their parameters, which are copied.</param>
    /// <exception cref="ArgumentException">Sizes do not go together; both are named.</exception>
    public SdeEquation<TCalculus, IScalarNoise> Scalar<TField>(TField field, params ReadOnlySpan<double> parameters)
        where TField : struct, IGenericSde => Generic<IScalarNoise, TField>(Core.NoiseKind.Scalar, field, parameters);

    /// <summary>m Brownian motions, written once over numbers.</summary>
    /// <typeparam name="TField">The struct that implements drift and diffusion.</typeparam>
    /// <param name="field">Drift and diffusion.</param>
    /// <param name="parameters">Their parameters, which are copied.</param>
    /// <exception cref="ArgumentException">Sizes do not go together; both are named.</exception>
    public SdeEquation<TCalculus, IGeneralNoise> General<TField>(TField field, params ReadOnlySpan<double> parameters)
        where TField : struct, IGenericSde => Generic<IGeneralNoise, TField>(Core.NoiseKind.General, field, parameters);

    /// <summary>m Brownian motions whose columns commute as vector fields, written once over numbers.</summary>
    /// <typeparam name="TField">The struct that implements drift and diffusion.</typeparam>
    /// <param name="field">Drift and diffusion.</param>
    /// <param name="parameters">Their parameters, which are copied.</param>
    /// <exception cref="ArgumentException">Sizes do not go together; both are named.</exception>
    public SdeEquation<TCalculus, ICommutativeNoise> Commutative<TField>(TField field, params ReadOnlySpan<double> parameters)
        where TField : struct, IGenericSde => Generic<ICommutativeNoise, TField>(Core.NoiseKind.Commutative, field, parameters);

    /// <summary>m Brownian motions with a diffusion that does not look at the state, written once over numbers.</summary>
    /// <typeparam name="TField">The struct that implements drift and diffusion.</typeparam>
    /// <param name="field">Drift and diffusion.</param>
    /// <param name="parameters">Their parameters, which are copied.</param>
    /// <exception cref="ArgumentException">Sizes do not go together; both are named.</exception>
    public SdeEquation<TCalculus, IAdditiveNoise> Additive<TField>(TField field, params ReadOnlySpan<double> parameters)
        where TField : struct, IGenericSde => Generic<IAdditiveNoise, TField>(Core.NoiseKind.Additive, field, parameters);

    /// <summary>A Brownian motion for each component, on tensors.</summary>
    /// <param name="drift">From (t, y) to a tensor shaped as y; t is 0-d, with the dtype and device of y.</param>
    /// <param name="diffusion">From (t, y) to a tensor shaped as y.</param>
    /// <param name="parameters">The tensors that they read and whose gradients are wanted; null for none.</param>
    /// <exception cref="ArgumentNullException">A function is null.</exception>
    public TensorSdeEquation<TCalculus, IDiagonalNoise> Diagonal(
        Func<Tensor, Tensor, Tensor> drift,
        Func<Tensor, Tensor, Tensor> diffusion,
        IEnumerable<Tensor>? parameters = null
    ) => Tensors<IDiagonalNoise>(Core.NoiseKind.Diagonal, 0, drift, diffusion, parameters);

    /// <summary>One Brownian motion for all components, on tensors.</summary>
    /// <param name="drift">From (t, y) to a tensor shaped as y; t is 0-d, with the dtype and device of y.</param>
    /// <param name="diffusion">From (t, y) to a tensor shaped as y.</param>
    /// <param name="parameters">The tensors that they read and whose gradients are wanted; null for none.</param>
    /// <exception cref="ArgumentNullException">A function is null.</exception>
    public TensorSdeEquation<TCalculus, IScalarNoise> Scalar(
        Func<Tensor, Tensor, Tensor> drift,
        Func<Tensor, Tensor, Tensor> diffusion,
        IEnumerable<Tensor>? parameters = null
    ) => Tensors<IScalarNoise>(Core.NoiseKind.Scalar, 1, drift, diffusion, parameters);

    /// <summary>m Brownian motions, on tensors.</summary>
    /// <param name="noiseSize">The number m of Brownian motions.</param>
    /// <param name="drift">From (t, y) to a tensor shaped as y; t is 0-d, with the dtype and device of y.</param>
    /// <param name="diffusion">From (t, y) to a tensor of shape (..., n, m).</param>
    /// <param name="parameters">The tensors that they read and whose gradients are wanted; null for none.</param>
    /// <exception cref="ArgumentException"><paramref name="noiseSize"/> is below 1.</exception>
    /// <exception cref="ArgumentNullException">A function is null.</exception>
    public TensorSdeEquation<TCalculus, IGeneralNoise> General(
        int noiseSize,
        Func<Tensor, Tensor, Tensor> drift,
        Func<Tensor, Tensor, Tensor> diffusion,
        IEnumerable<Tensor>? parameters = null
    ) => Tensors<IGeneralNoise>(Core.NoiseKind.General, noiseSize, drift, diffusion, parameters);

    /// <summary>m Brownian motions whose columns commute as vector fields, on tensors.</summary>
    /// <param name="noiseSize">The number m of Brownian motions.</param>
    /// <param name="drift">From (t, y) to a tensor shaped as y; t is 0-d, with the dtype and device of y.</param>
    /// <param name="diffusion">From (t, y) to a tensor of shape (..., n, m).</param>
    /// <param name="parameters">The tensors that they read and whose gradients are wanted; null for none.</param>
    /// <exception cref="ArgumentException"><paramref name="noiseSize"/> is below 1.</exception>
    /// <exception cref="ArgumentNullException">A function is null.</exception>
    public TensorSdeEquation<TCalculus, ICommutativeNoise> Commutative(
        int noiseSize,
        Func<Tensor, Tensor, Tensor> drift,
        Func<Tensor, Tensor, Tensor> diffusion,
        IEnumerable<Tensor>? parameters = null
    ) => Tensors<ICommutativeNoise>(Core.NoiseKind.Commutative, noiseSize, drift, diffusion, parameters);

    /// <summary>m Brownian motions with a diffusion that does not see the state, on tensors.</summary>
    /// <param name="noiseSize">The number m of Brownian motions.</param>
    /// <param name="drift">From (t, y) to a tensor shaped as y; t is 0-d, with the dtype and device of y.</param>
    /// <param name="diffusion">From t to a tensor of shape (n, m) or (..., n, m).</param>
    /// <param name="parameters">The tensors that they read and whose gradients are wanted; null for none.</param>
    /// <exception cref="ArgumentException"><paramref name="noiseSize"/> is below 1.</exception>
    /// <exception cref="ArgumentNullException">A function is null.</exception>
    public TensorSdeEquation<TCalculus, IAdditiveNoise> Additive(
        int noiseSize,
        Func<Tensor, Tensor, Tensor> drift,
        Func<Tensor, Tensor> diffusion,
        IEnumerable<Tensor>? parameters = null
    )
    {
        ArgumentNullException.ThrowIfNull(diffusion);
        return Tensors<IAdditiveNoise>(Core.NoiseKind.Additive, noiseSize, drift, (t, _) => diffusion(t), parameters);
    }

    private SdeEquation<TCalculus, TNoise> Delegates<TNoise>(
        Core.NoiseKind noise,
        int size,
        int noiseSize,
        VectorField drift,
        VectorField diffusion
    )
        where TNoise : IGeneralNoise
    {
        ArgumentNullException.ThrowIfNull(drift);
        ArgumentNullException.ThrowIfNull(diffusion);
        Core.SdeDelegates field = new(size, noiseSize, 0, (t, y, _, f) => drift(t, y, f), (t, y, _, g) => diffusion(t, y, g));
        return Make<TNoise, Core.SdeDelegates>(noise, field, []);
    }

    private SdeEquation<TCalculus, TNoise> Generic<TNoise, TField>(Core.NoiseKind noise, TField field, ReadOnlySpan<double> parameters)
        where TNoise : IGeneralNoise
        where TField : struct, IGenericSde => Make<TNoise, CoreSde<TField>>(noise, new(field), parameters.ToArray());

    private SdeEquation<TCalculus, TNoise> Make<TNoise, TInner>(Core.NoiseKind noise, TInner field, double[] parameters)
        where TNoise : IGeneralNoise
        where TInner : struct, Core.IGenericSde =>
        new(
            _calculus == Core.CalculusKind.Ito
                ? Core.GenericSde.make<Core.Ito, Core.GeneralNoise, TInner>(noise, parameters, field).Terms
                : Core.GenericSde.make<Core.Stratonovich, Core.GeneralNoise, TInner>(noise, parameters, field).Terms,
            parameters
        );

    private TensorSdeEquation<TCalculus, TNoise> Tensors<TNoise>(
        Core.NoiseKind noise,
        int noiseSize,
        Func<Tensor, Tensor, Tensor> drift,
        Func<Tensor, Tensor, Tensor> diffusion,
        IEnumerable<Tensor>? parameters
    )
        where TNoise : IGeneralNoise
    {
        ArgumentNullException.ThrowIfNull(drift);
        ArgumentNullException.ThrowIfNull(diffusion);
        return new(new Core.SdeTerms(_calculus, noise, noiseSize, drift, diffusion, [.. parameters ?? []], false));
    }
}

/// <summary>An equation of the facade as the core sees it: the same memory, read as the facade's numbers.</summary>
internal readonly struct CoreSde<TField>(TField field) : Core.IGenericSde
    where TField : struct, IGenericSde
{
    private readonly TField _field = field;

    public int Size => _field.Size;

    public int NoiseSize => _field.NoiseSize;

    public int ParameterCount => _field.ParameterCount;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public void Drift<T>(T t, ReadOnlySpan<T> y, ReadOnlySpan<T> p, Span<T> dest)
        where T : struct, Core.IReal<T> => _field.Drift(new Number<T>(t), NumberSpans.Read(y), NumberSpans.Read(p), NumberSpans.Write(dest));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public void Diffusion<T>(T t, ReadOnlySpan<T> y, ReadOnlySpan<T> p, Span<T> dest)
        where T : struct, Core.IReal<T> => _field.Diffusion(new Number<T>(t), NumberSpans.Read(y), NumberSpans.Read(p), NumberSpans.Write(dest));
}
