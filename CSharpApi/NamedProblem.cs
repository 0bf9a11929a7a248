extern alias core;

using System;
using System.Collections.Generic;
using System.Linq;
using Core = core::Continuum;

namespace Continuum;

/// <summary>A problem from the literature: a model with the span that it is usually solved over.</summary>
public sealed class NamedProblem
{
    private NamedProblem(Core.NamedProblem inner)
    {
        Inner = inner;
        Model = new MechanisticModel(Core.MechanisticModel.OfNamed(inner), inner.Name);
    }

    /// <summary>Every named problem.</summary>
    public static IReadOnlyList<NamedProblem> All { get; } = [.. Core.NamedProblems.all.Select(problem => new NamedProblem(problem))];

    /// <summary>The name, in lower case with hyphens.</summary>
    public string Name => Inner.Name;

    /// <summary>One line: subject and source.</summary>
    public string About => Inner.About;

    /// <summary>The usual end of the span, which starts at 0.</summary>
    public double Span => Inner.Span;

    /// <summary>The equations, with the names and usual values of states and parameters.</summary>
    public MechanisticModel Model { get; }

    internal Core.NamedProblem Inner { get; }

    /// <summary>The problem of that name, in upper or lower case.</summary>
    /// <exception cref="ArgumentException">There is none; the message lists those there are.</exception>
    public static NamedProblem ByName(string name)
    {
        ArgumentException.ThrowIfNullOrWhiteSpace(name);
        return All.FirstOrDefault(problem => string.Equals(problem.Name, name, StringComparison.OrdinalIgnoreCase))
            ?? throw new ArgumentException($"No problem is named '{name}'. Known: {string.Join(", ", All.Select(problem => problem.Name))}.", nameof(name));
    }

    /// <summary>The name.</summary>
    public override string ToString() => Name;
}
