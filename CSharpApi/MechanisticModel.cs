extern alias core;

using System;
using System.Collections.Generic;
using System.Linq;
using Core = core::Continuum;

namespace Continuum;

/// <summary>A model y' = f(t, y; p) whose states and parameters have names and usual values.</summary>
/// <remarks>Immutable; several threads may use one.</remarks>
public sealed class MechanisticModel
{
    internal MechanisticModel(Core.MechanisticModel inner, string name)
    {
        Inner = inner;
        Name = name;
        States = [.. inner.States.Select(state => new KeyValuePair<string, double>(state.Name, state.Value))];
        Parameters = [.. inner.Parameters.Select(parameter => new KeyValuePair<string, double>(parameter.Name, parameter.Value))];
    }

    /// <summary>The name.</summary>
    public string Name { get; }

    /// <summary>The components of the state and their usual initial values.</summary>
    public IReadOnlyList<KeyValuePair<string, double>> States { get; }

    /// <summary>The parameters and their usual values.</summary>
    public IReadOnlyList<KeyValuePair<string, double>> Parameters { get; }

    internal Core.MechanisticModel Inner { get; }

    /// <summary>A model from the literature by name, such as "lotka-volterra" or "sir"; <see cref="NamedProblem.All"/> lists them.</summary>
    /// <exception cref="ArgumentException">There is no such model; the message lists those there are.</exception>
    public static MechanisticModel Named(string name) => NamedProblem.ByName(name).Model;

    /// <summary>The name.</summary>
    public override string ToString() => Name;

    internal double[] InitialValues() => [.. States.Select(state => state.Value)];

    internal double[] ParameterValues() => [.. Parameters.Select(parameter => parameter.Value)];
}
