using System;
using System.Collections.Generic;
using System.Linq;

namespace Continuum.Cli;

/// <summary>A method with what it takes, found by name.</summary>
/// <param name="Name">The name used in the literature; Milstein's methods have one for each calculus.</param>
/// <param name="Inner">The method itself, an <see cref="ISdeMethod{TCalculus, TNoise}"/>.</param>
/// <param name="Takes">Calculus and noise that it takes, for people.</param>
/// <param name="Differentiates">It takes the derivative of the diffusion for general noise, and a square root has none at 0.</param>
internal sealed record StochasticMethod(string Name, object Inner, string Takes, bool Differentiates)
{
    /// <summary>All that step on numbers; reversible Heun is for gradients on tensors.</summary>
    internal static IReadOnlyList<StochasticMethod> All { get; } =
        [
            Of(SdeMethods.EulerMaruyama, "any noise"),
            Of(SdeMethods.Milstein, "any noise", differentiates: true),
            Of(SdeMethods.MilsteinFree, "any noise"),
            Of(SdeMethods.Srid2, "scalar and diagonal noise"),
            Of(SdeMethods.DriftImplicitEuler, "any noise"),
            Of(SdeMethods.Sra1, "additive noise"),
            Of(SdeMethods.Shark, "additive noise"),
            Of(SdeMethods.Sea, "additive noise"),
            Of(SdeMethods.EulerHeun, "any noise"),
            Of(SdeMethods.Heun, "any noise"),
            Of(SdeMethods.Midpoint, "any noise"),
            Of(SdeMethods.Ralston, "any noise"),
            Of(SdeMethods.Spark, "any noise"),
            Of(SdeMethods.GeneralShark, "any noise"),
            Of(SdeMethods.SlowRk, "any noise"),
            Of(SdeMethods.MilsteinStratonovich, "any noise", differentiates: true) with { Name = nameof(SdeMethods.MilsteinStratonovich) },
            Of(SdeMethods.MilsteinFreeStratonovich, "any noise") with { Name = nameof(SdeMethods.MilsteinFreeStratonovich) },
            Of(SdeMethods.LogOde, "any noise", differentiates: true),
        ];

    internal static StochasticMethod? Find(string name) => All.FirstOrDefault(method => string.Equals(method.Name, name, StringComparison.OrdinalIgnoreCase));

    /// <summary>The method for an equation, or null where it is for another calculus or class of noise.</summary>
    internal ISdeMethod<TCalculus, TNoise>? For<TCalculus, TNoise>()
        where TCalculus : Calculus
        where TNoise : IGeneralNoise => Inner as ISdeMethod<TCalculus, TNoise>;

    private static StochasticMethod Of<TCalculus, TNoise>(ISdeMethod<TCalculus, TNoise> method, string noise, bool differentiates = false)
        where TCalculus : Calculus
        where TNoise : IGeneralNoise => new(method.Name, method, $"{noise}{Sense<TCalculus>()}", differentiates);

    private static string Sense<TCalculus>() => typeof(TCalculus) == typeof(Calculus) ? "" : $" in the sense of {typeof(TCalculus).Name}";
}
