extern alias core;

using Core = core::Continuum;

namespace Continuum;

/// <summary>
/// A one-step method for equations of a calculus and a class of noise; a method for a wider class is one for each class within it. The
/// methods are in <see cref="SdeMethods"/>.
/// </summary>
/// <remarks>
/// Every method can take adaptive steps: where it has no error estimate of its own, a step is compared with two half steps along the same
/// path.
/// </remarks>
/// <typeparam name="TCalculus"><see cref="Ito"/>, <see cref="Stratonovich"/>, or <see cref="Calculus"/> for both.</typeparam>
/// <typeparam name="TNoise">The widest class of noise that it takes.</typeparam>
public interface ISdeMethod<in TCalculus, in TNoise>
    where TCalculus : Calculus
    where TNoise : IGeneralNoise
{
    /// <summary>The name used in the literature.</summary>
    string Name { get; }

    internal Core.SdeScheme Scheme { get; }
}

/// <summary>The methods for stochastic differential equations, with their orders and costs in evaluations a step.</summary>
public static class SdeMethods
{
    /// <summary>Euler–Maruyama, Itô: strong order 1/2, for additive noise 1; weak order 1. One drift, one diffusion.</summary>
    public static ISdeMethod<Ito, IGeneralNoise> EulerMaruyama { get; } =
        new Method<Ito, IGeneralNoise>(Core.SdeMethods.eulerMaruyama<Core.GeneralNoise>().Scheme);

    /// <summary>
    /// Milstein with the exact derivative of the diffusion, Itô: strong order 1. Equations given as delegates have no derivatives; take
    /// <see cref="MilsteinFree"/>.
    /// </summary>
    public static ISdeMethod<Ito, IGeneralNoise> Milstein { get; } =
        new Method<Ito, IGeneralNoise>(Core.SdeMethods.milstein<Core.GeneralNoise>().Scheme);

    /// <summary>Milstein with differences instead of derivatives, Itô: strong order 1. General noise needs the Lévy area.</summary>
    public static ISdeMethod<Ito, IGeneralNoise> MilsteinFree { get; } =
        new Method<Ito, IGeneralNoise>(Core.SdeMethods.milsteinFree<Core.GeneralNoise>().Scheme);

    /// <summary>Rößler's SRID2, Itô, scalar and diagonal noise: strong order 3/2. Three drifts, four diffusions. Rößler 2010.</summary>
    public static ISdeMethod<Ito, IElementwiseNoise> Srid2 { get; } =
        new Method<Ito, IElementwiseNoise>(Core.SdeMethods.srid2<Core.ElementwiseNoise>().Scheme);

    /// <summary>The drift-implicit Euler method for stiff drifts, Itô: strong order 1/2, for additive noise 1.</summary>
    public static ISdeMethod<Ito, IGeneralNoise> DriftImplicitEuler { get; } =
        new Method<Ito, IGeneralNoise>(Core.SdeMethods.driftImplicitEuler<Core.GeneralNoise>().Scheme);

    /// <summary>SRA1, additive noise: strong order 3/2. Two drifts, two diffusions. Rößler 2010.</summary>
    public static ISdeMethod<Calculus, IAdditiveNoise> Sra1 { get; } =
        new Method<Calculus, IAdditiveNoise>(Core.SdeMethods.sra1<Core.Ito>().Scheme);

    /// <summary>ShARK, additive noise: strong order 3/2 with a smaller error than SRA1. Foster, dos Reis and Strange 2023.</summary>
    public static ISdeMethod<Calculus, IAdditiveNoise> Shark { get; } =
        new Method<Calculus, IAdditiveNoise>(Core.SdeMethods.shark<Core.Ito>().Scheme);

    /// <summary>The shifted Euler method, additive noise: strong order 1 with a small error; one drift. Foster et al. 2023.</summary>
    public static ISdeMethod<Calculus, IAdditiveNoise> Sea { get; } =
        new Method<Calculus, IAdditiveNoise>(Core.SdeMethods.sea<Core.Ito>().Scheme);

    /// <summary>Euler–Heun, Stratonovich: strong order 1 for commutative noise, 1/2 for general. One drift, two diffusions.</summary>
    public static ISdeMethod<Stratonovich, IGeneralNoise> EulerHeun { get; } =
        new Method<Stratonovich, IGeneralNoise>(Core.SdeMethods.eulerHeun<Core.GeneralNoise>().Scheme);

    /// <summary>Heun's method, Stratonovich: strong order 1 for commutative noise, 1/2 for general. Two drifts, two diffusions.</summary>
    public static ISdeMethod<Stratonovich, IGeneralNoise> Heun { get; } =
        new Method<Stratonovich, IGeneralNoise>(Core.SdeMethods.heun<Core.GeneralNoise>().Scheme);

    /// <summary>The midpoint rule, Stratonovich: orders and cost of Heun's method.</summary>
    public static ISdeMethod<Stratonovich, IGeneralNoise> Midpoint { get; } =
        new Method<Stratonovich, IGeneralNoise>(Core.SdeMethods.midpoint<Core.GeneralNoise>().Scheme);

    /// <summary>Ralston's method, Stratonovich: orders and cost of Heun's method.</summary>
    public static ISdeMethod<Stratonovich, IGeneralNoise> Ralston { get; } =
        new Method<Stratonovich, IGeneralNoise>(Core.SdeMethods.ralston<Core.GeneralNoise>().Scheme);

    /// <summary>
    /// SPaRK, Stratonovich: strong order 3/2 for additive, 1 for commutative, 1/2 for general noise, with an error estimate: the choice
    /// for adaptive steps. Three drifts, three diffusions. Foster and Jelinčič 2023.
    /// </summary>
    public static ISdeMethod<Stratonovich, IGeneralNoise> Spark { get; } =
        new Method<Stratonovich, IGeneralNoise>(Core.SdeMethods.spark<Core.GeneralNoise>().Scheme);

    /// <summary>GeneralShARK, Stratonovich: the orders of SPaRK with two drifts and three diffusions. Foster et al. 2023.</summary>
    public static ISdeMethod<Stratonovich, IGeneralNoise> GeneralShark { get; } =
        new Method<Stratonovich, IGeneralNoise>(Core.SdeMethods.generalShark<Core.GeneralNoise>().Scheme);

    /// <summary>SlowRK, Stratonovich: strong order 3/2 for commutative noise, 1/2 for general. Foster et al. 2023.</summary>
    public static ISdeMethod<Stratonovich, IGeneralNoise> SlowRk { get; } =
        new Method<Stratonovich, IGeneralNoise>(Core.SdeMethods.slowRk<Core.GeneralNoise>().Scheme);

    /// <summary>Milstein with the exact derivative of the diffusion, Stratonovich: strong order 1.</summary>
    public static ISdeMethod<Stratonovich, IGeneralNoise> MilsteinStratonovich { get; } =
        new Method<Stratonovich, IGeneralNoise>(Core.SdeMethods.milsteinStratonovich<Core.GeneralNoise>().Scheme);

    /// <summary>Milstein with central differences, Stratonovich: strong order 1.</summary>
    public static ISdeMethod<Stratonovich, IGeneralNoise> MilsteinFreeStratonovich { get; } =
        new Method<Stratonovich, IGeneralNoise>(Core.SdeMethods.milsteinFreeStratonovich<Core.GeneralNoise>().Scheme);

    /// <summary>
    /// The log-ODE method, Stratonovich: strong order 1 for all noise. General noise needs derivatives and the Lévy area. Castell and
    /// Gaines 1995.
    /// </summary>
    public static ISdeMethod<Stratonovich, IGeneralNoise> LogOde { get; } =
        new Method<Stratonovich, IGeneralNoise>(Core.SdeMethods.logOde<Core.GeneralNoise>().Scheme);

    /// <summary>
    /// Reversible Heun, Stratonovich: strong order 1 for commutative noise, 1/2 for general; one drift, one diffusion; gradients on tensors that
    /// are exact with flat memory (<see cref="Gradient.Reversible"/>). Stable only near the imaginary axis. Kidger et al. 2021.
    /// </summary>
    public static ISdeMethod<Stratonovich, IGeneralNoise> ReversibleHeun { get; } =
        new Method<Stratonovich, IGeneralNoise>(Core.SdeMethods.reversibleHeun<Core.GeneralNoise>().Scheme);

    private sealed class Method<TCalculus, TNoise>(Core.SdeScheme scheme) : ISdeMethod<TCalculus, TNoise>
        where TCalculus : Calculus
        where TNoise : IGeneralNoise
    {
        public string Name => Core.SdeSchemes.name(scheme);

        Core.SdeScheme ISdeMethod<TCalculus, TNoise>.Scheme => scheme;

        public override string ToString() => Name;
    }
}
