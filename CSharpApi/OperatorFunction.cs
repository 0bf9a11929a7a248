extern alias core;

using System;
using System.Collections.Generic;
using System.IO;
using System.Linq;
using Core = core::Continuum;

namespace Continuum;

/// <summary>One function of operator data.</summary>
/// <param name="Name">Its name.</param>
/// <param name="Channels">Numbers of values at each point; frames times components where the data have times.</param>
/// <param name="Points">Points on each axis, or the points of the largest cloud.</param>
/// <param name="Description">Where the points lie, in words.</param>
/// <param name="Coordinates">The coordinates of the points on each axis; none of clouds.</param>
/// <param name="IsUniform">Whether the points of every axis have equal distances.</param>
public sealed record OperatorFunction(
    string Name,
    int Channels,
    IReadOnlyList<int> Points,
    string Description,
    IReadOnlyList<IReadOnlyList<double>> Coordinates,
    bool IsUniform
)
{
    /// <summary>Whether the points are a product of points on axes, and not a cloud.</summary>
    public bool IsGrid => Coordinates.Count > 0;
}

/// <summary>An array of numbers in memory: samples first, then channels or times where there are several, then the points of each axis.</summary>
/// <param name="Name">The name of the function.</param>
/// <param name="Shape">The sizes, outermost first.</param>
/// <param name="Values">The numbers, the last index fastest.</param>
public sealed record FunctionArray(string Name, IReadOnlyList<int> Shape, double[] Values)
{
    /// <summary>Writes the array to a .npz file, under its name, or a .npy file; whole or not at all.</summary>
    /// <exception cref="ArgumentException">Another ending, or a shape that does not hold as many values.</exception>
    /// <exception cref="IOException">The file could not be written; an old one is unchanged.</exception>
    public void Save(string path)
    {
        ArgumentException.ThrowIfNullOrWhiteSpace(path);
        switch (Path.GetExtension(path).ToUpperInvariant())
        {
            case ".NPZ":
                Core.Npz.Write(path, [ToNamed()]);
                break;
            case ".NPY":
                Core.Npy.Write(path, ToNamed());
                break;
            default:
                throw new ArgumentException($"'{path}' has an ending that arrays are not written with; give .npz or .npy.");
        }
    }

    internal Core.NamedArray ToNamed()
    {
        ArgumentNullException.ThrowIfNull(Name);
        ArgumentNullException.ThrowIfNull(Shape);
        ArgumentNullException.ThrowIfNull(Values);
        double wanted = Shape.Aggregate(1.0, (product, size) => product * size);
        return wanted == Values.Length && Shape.All(size => size >= 0)
            ? Core.NamedArray.FromDoubles(Name, [.. Shape.Select(size => (long)size)], Values)
            : throw new ArgumentException($"'{Name}' has the shape [{string.Join(", ", Shape)}] of {wanted} values; {Values.Length} values were given.");
    }
}

/// <summary>A number of the equation that varies from sample to sample.</summary>
/// <param name="Name">Its name.</param>
/// <param name="Values">Its value in each sample.</param>
public sealed record SampleParameter(string Name, IReadOnlyList<double> Values);
