using System;
using System.Collections.Generic;
using System.Linq;

namespace Continuum.Cli;

/// <summary>A term of --loss with its weight.</summary>
internal sealed record LossChoice(LossKind Kind, double Weight)
{
    /// <summary>Terms such as `l2,h1:0.5`; null where the text is none.</summary>
    internal static IReadOnlyList<LossChoice>? Parse(string text)
    {
        List<LossChoice> terms = [];
        foreach (string part in text.Split(',', StringSplitOptions.TrimEntries))
        {
            int colon = part.IndexOf(':');
            string name = colon < 0 ? part : part[..colon];
            double weight = 1;
            if (
                LossKind.All.FirstOrDefault(kind => kind.Name == name) is not { } found
                || terms.Any(term => term.Kind == found)
                || (colon >= 0 && !(Arguments.TryNumber(part[(colon + 1)..], out weight) && weight > 0))
            )
            {
                return null;
            }

            terms.Add(new(found, weight));
        }

        return terms;
    }

    /// <summary>The term for these data.</summary>
    internal OperatorLoss Make(OperatorData data) => Kind.Make(data, Weight);

    public override string ToString() => Weight == 1 ? Kind.Name : $"{Kind.Name}:{Numbers.Exact(Weight)}";
}

/// <summary>A term that --loss knows.</summary>
internal sealed record LossKind(string Name, string About, Func<OperatorData, double, OperatorLoss> Make)
{
    internal static IReadOnlyList<LossKind> All { get; } =
    [
        new("l2", "relative distance in the L2 norm (the default)", (_, weight) => OperatorLoss.L2(weight)),
        new("h1", "the same in the H1 norm, which counts slopes", (_, weight) => OperatorLoss.H1(weight)),
        new("h2", "the same in the Sobolev norm of order 2, on periodic axes", (_, weight) => OperatorLoss.Sobolev(2, weight)),
        new("bands", "mean of the relative distances in octaves of wave numbers, on periodic axes", (data, weight) => OperatorLoss.Bands(Octaves(data), weight)),
        new("boundary", "distance from the truth at the ends of axes that are not periodic", Boundary),
        new("divergence", "divergence of an image that is a vector", (_, weight) => OperatorLoss.Divergence(weight)),
        new("darcy", "residual of -div(a grad u) = 1, a the input", (_, weight) => OperatorLoss.DarcyResidual(1, weight)),
        new("poisson", "residual of -Laplace u = f, f the input", (_, weight) => OperatorLoss.PoissonResidual(weight)),
    ];

    /// <summary>0, 2, 4, 8 and so on up to the highest wave number of the points.</summary>
    private static List<double> Octaves(OperatorData data)
    {
        List<double> edges = [0, 2];
        double most = 0.5 * data.Output.Points.Max() * Math.Sqrt(data.Output.Points.Count);
        while (edges[^1] < most)
        {
            edges.Add(2 * edges[^1]);
        }

        return edges;
    }

    private static OperatorLoss Boundary(OperatorData data, double weight)
    {
        int[] axes = [.. Enumerable.Range(0, data.Boundaries.Count).Where(axis => data.Boundaries[axis] != BoundaryCondition.Periodic)];
        return axes.Length > 0
            ? OperatorLoss.Boundary(axes, fromTruth: true, weight)
            : throw new UsageException("--loss boundary: all axes of the data are periodic and have no ends; leave the term out");
    }
}
