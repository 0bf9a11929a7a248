using System;
using System.Collections.Generic;
using System.Linq;

namespace Continuum.Cli;

/// <summary>Mean and variance of a state in closed form; NaN where there is none.</summary>
internal readonly record struct Moments(double Mean, double Variance);

/// <summary>
/// A named stochastic equation in the sense of Itô, its equivalent in that of Stratonovich, usual values, and its moments where they are known.
/// </summary>
internal abstract class StochasticProblem(string name, string about, string noise, double span)
{
    internal string Name { get; } = name;

    internal string About { get; } = about;

    /// <summary>Its class of noise, for people.</summary>
    internal string Noise { get; } = noise;

    /// <summary>The usual end time; the start is 0.</summary>
    internal double Span { get; } = span;

    internal required IReadOnlyList<KeyValuePair<string, double>> States { get; init; }

    internal required IReadOnlyList<KeyValuePair<string, double>> Parameters { get; init; }

    /// <summary>Moments of the states from parameters, initial states and time; null where no closed form is known.</summary>
    internal Func<double[], double[], double, Moments[]>? Closed { get; init; }

    /// <summary>Its diffusion has a derivative everywhere.</summary>
    internal bool IsSmooth { get; init; } = true;

    /// <summary>The method for fixed steps where none is asked for.</summary>
    internal required string Usual { get; init; }

    /// <summary>The methods that suit it in the sense of Itô.</summary>
    internal IReadOnlyList<string> ItoMethods => [.. Suiting.Where(IsIto).Select(method => method.Name)];

    /// <summary>The methods that suit its equivalent in the sense of Stratonovich alone.</summary>
    internal IReadOnlyList<string> StratonovichMethods => [.. Suiting.Where(method => !IsIto(method)).Select(method => method.Name)];

    /// <summary>The named problems.</summary>
    internal static IReadOnlyList<StochasticProblem> All { get; } = StochasticProblems.Make();

    private IEnumerable<StochasticMethod> Suiting => StochasticMethod.All.Where(method => Takes(method) && (IsSmooth || !method.Differentiates));

    /// <summary>The method of this name.</summary>
    /// <exception cref="UsageException">There is none, or it does not suit the problem.</exception>
    internal StochasticMethod Method(string asked)
    {
        string suiting = string.Join(", ", Suiting.Select(method => method.Name));
        StochasticMethod found =
            StochasticMethod.Find(asked) ?? throw new UsageException($"no method is named '{asked}'; {Name} is solved by {suiting}");
        return Suiting.Contains(found) ? found
            : Takes(found) ? throw new UsageException($"{found.Name} takes the derivative of the diffusion, and that of {Name} has none at 0; take {suiting}")
            : throw new UsageException($"{found.Name} is for {found.Takes}, and {Name} has {Noise} noise; take {suiting}");
    }

    /// <summary>Whether the method solves the equation as it stands, not its equivalent.</summary>
    internal abstract bool IsIto(StochasticMethod method);

    /// <summary>Simulates paths from 0 on.</summary>
    internal abstract SdeEnsembleSolution Solve(
        StochasticMethod method,
        double to,
        double[] parameters,
        double[] initial,
        int paths,
        SdeOptions options,
        SdeEnsembleOptions ensemble
    );

    internal static StochasticProblem? Find(string name) => All.FirstOrDefault(problem => string.Equals(problem.Name, name, StringComparison.OrdinalIgnoreCase));

    private protected abstract bool Takes(StochasticMethod method);
}

/// <summary>A named equation with its class of noise.</summary>
/// <param name="name">Its name.</param>
/// <param name="about">The equation.</param>
/// <param name="noise">Its class of noise, for people.</param>
/// <param name="span">The usual end time.</param>
/// <param name="ito">The equation in the sense of Itô.</param>
/// <param name="stratonovich">
/// The same process in the sense of Stratonovich: its drift is less by half the derivative of the diffusion along itself.
/// </param>
internal sealed class StochasticProblem<TNoise>(
    string name,
    string about,
    string noise,
    double span,
    SdeEquation<Ito, TNoise> ito,
    SdeEquation<Stratonovich, TNoise> stratonovich
) : StochasticProblem(name, about, noise, span)
    where TNoise : IGeneralNoise
{
    internal override bool IsIto(StochasticMethod method) => method.For<Ito, TNoise>() is not null;

    internal override SdeEnsembleSolution Solve(
        StochasticMethod method,
        double to,
        double[] parameters,
        double[] initial,
        int paths,
        SdeOptions options,
        SdeEnsembleOptions ensemble
    ) =>
        method.For<Ito, TNoise>() is { } plain
            ? Sde.SolveEnsemble(ito.WithParameters(parameters), plain, 0, to, initial, paths, options, ensemble)
            : Sde.SolveEnsemble(stratonovich.WithParameters(parameters), method.For<Stratonovich, TNoise>()!, 0, to, initial, paths, options, ensemble);

    private protected override bool Takes(StochasticMethod method) => IsIto(method) || method.For<Stratonovich, TNoise>() is not null;
}
