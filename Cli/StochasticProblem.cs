using System;
using System.Collections.Generic;
using System.Linq;

namespace Continuum.Cli;

/// <summary>Mean and variance of a state in closed form; NaN where there is none.</summary>
internal readonly record struct Moments(double Mean, double Variance);

/// <summary>A named stochastic equation in the sense of Itô, with usual values and its moments where they are known.</summary>
internal abstract class StochasticProblem(string name, string about, double span)
{
    internal string Name { get; } = name;

    internal string About { get; } = about;

    /// <summary>The usual end time; the start is 0.</summary>
    internal double Span { get; } = span;

    internal required IReadOnlyList<KeyValuePair<string, double>> States { get; init; }

    internal required IReadOnlyList<KeyValuePair<string, double>> Parameters { get; init; }

    /// <summary>Moments of the states from parameters, initial states and time; null where no closed form is known.</summary>
    internal Func<double[], double[], double, Moments[]>? Closed { get; init; }

    /// <summary>The methods that suit it, the usual one first.</summary>
    internal abstract IReadOnlyList<string> Methods { get; }

    /// <summary>The named problems.</summary>
    internal static IReadOnlyList<StochasticProblem> All { get; } = StochasticProblems.Make();

    /// <summary>Simulates paths from 0 on.</summary>
    internal abstract SdeEnsembleSolution Solve(
        string method,
        double to,
        double[] parameters,
        double[] initial,
        int paths,
        SdeOptions options,
        SdeEnsembleOptions ensemble
    );

    internal static StochasticProblem? Find(string name) => All.FirstOrDefault(problem => string.Equals(problem.Name, name, StringComparison.OrdinalIgnoreCase));
}

/// <summary>A named equation with its class of noise.</summary>
internal sealed class StochasticProblem<TNoise>(
    string name,
    string about,
    double span,
    SdeEquation<Ito, TNoise> equation,
    params ISdeMethod<Ito, TNoise>[] methods
) : StochasticProblem(name, about, span)
    where TNoise : IGeneralNoise
{
    internal override IReadOnlyList<string> Methods => [.. methods.Select(method => method.Name)];

    internal override SdeEnsembleSolution Solve(
        string method,
        double to,
        double[] parameters,
        double[] initial,
        int paths,
        SdeOptions options,
        SdeEnsembleOptions ensemble
    ) => Sde.SolveEnsemble(equation.WithParameters(parameters), methods.First(m => m.Name == method), 0, to, initial, paths, options, ensemble);
}
