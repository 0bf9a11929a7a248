using System;
using System.Collections.Generic;
using System.Linq;
using Continuum;
using Continuum.Properties;
using TorchSharp;
using static TorchSharp.torch;

namespace OwnModel;

/// <summary>The laws of maps between function spaces, run on maps written in C#, right and wrong ones.</summary>
internal static class OperatorCases
{
    internal static IEnumerable<(string Name, Action Body)> All =>
        [
            ("a diffusion over some time is an operator", Diffusion),
            ("a stencil of pixels is found", Stencil),
            ("a map that mixes samples is found", Mixing),
            ("a map that looks at places is found", Places),
        ];

    private static IReadOnlyList<LawResult> Try(string name, Func<Tensor, Tensor> apply) =>
        Laws.OfOperator(name, apply, 1, 2.0, Boundary.Periodic, 1, [12, 24, 48], 4, translates: true);

    /// <summary>The heat equation on [0, 2) for 0.01, in Fourier space, after squaring.</summary>
    private static Tensor Heat(Tensor u)
    {
        long n = u.shape[^1];
        using Tensor k = arange(0, (n / 2) + 1, dtype: ScalarType.Float64) * Math.PI;
        using Tensor damping = (k * k * -0.01).exp();
        return fft.irfft(fft.rfft(u * u) * damping, n);
    }

    private static void Diffusion() => Laws.EnsureAll(Try("diffusion", Heat));

    private static void Stencil() => Fails(Try("neighbours", u => (u.roll(1, -1) - u) * u), "converges");

    private static void Mixing() => Fails(Try("mixing", u => Heat(u) - u.mean([0], keepdim: true)), "by itself");

    private static void Places() => Fails(Try("places", u => u * linspace(0, 1, u.shape[^1], ScalarType.Float64)), "translations");

    private static void Fails(IReadOnlyList<LawResult> results, string law)
    {
        if (!results.Any(result => !result.Holds && result.Law.Contains(law, StringComparison.Ordinal)))
        {
            throw new InvalidOperationException($"'{law}' is not among the failing laws: " + string.Join("; ", results));
        }
    }
}
