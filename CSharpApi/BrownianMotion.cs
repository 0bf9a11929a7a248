extern alias core;

using System;
using Microsoft.FSharp.Core;
using Core = core::Continuum;

namespace Continuum;

/// <summary>
/// m Brownian motions on an interval, or rather all their paths: a path is a function of this record and of its number. It does not
/// depend on the order of queries, on other paths, on threads, on the machine or on the device.
/// </summary>
/// <remarks>
/// The interval is divided into equal cells with independent increments; within a cell values come from a tree of exact Brownian bridges.
/// Coarser steps add up cells exactly, so that one path can be stepped through coarsely and finely.
/// </remarks>
public sealed record BrownianMotion
{
    /// <summary>The first time.</summary>
    public required double Start { get; init; }

    /// <summary>The last time, after <see cref="Start"/>.</summary>
    public required double End { get; init; }

    /// <summary>The number of Brownian motions. Default: 1.</summary>
    public int Dimension { get; init; } = 1;

    /// <summary>The seed. Default: 0.</summary>
    public ulong Seed { get; init; }

    /// <summary>The number of cells: for fixed steps one each, for adaptive steps 1, the default.</summary>
    public int Cells { get; init; } = 1;

    /// <summary>What is known of a step beside its increment; paths of different levels are different paths. Default: increments alone.</summary>
    public LevyLevel Level { get; init; }

    /// <summary>Levels of the tree below a cell, 0 to 31. Default: 30.</summary>
    public int Resolution { get; init; } = 30;

    /// <summary>Levels below a cell at which Lévy areas are drawn, 0 to 31; null, the default: 3 where there are several cells, else 12.</summary>
    public int? LeafDepth { get; init; }

    /// <summary>The covariance of the motions per unit of time, m x m, symmetric and positive definite; null, the default: independent ones.</summary>
    public double[,]? Correlation { get; init; }

    /// <summary>One path.</summary>
    /// <param name="number">Its number, 0 to 2^32 - 1.</param>
    /// <exception cref="ArgumentException">The motion or the number makes no sense; the message says what does not.</exception>
    public BrownianPath Path(long number = 0) => new(new Core.BrownianPath(Spec(), number));

    internal Core.BrownianSpec Spec() =>
        Core.BrownianSpecModule.check(
            new(
                Start,
                End,
                Cells,
                Dimension,
                Seed,
                (Core.LevyLevel)(int)Level,
                Resolution,
                LeafDepth is int depth ? FSharpValueOption<int>.NewValueSome(depth) : FSharpValueOption<int>.ValueNone,
                Correlation
            )
        );
}

/// <summary>One path of Brownian motions. For one thread at a time, since it remembers how it came to its last answer.</summary>
public sealed class BrownianPath
{
    private readonly Core.BrownianPath _inner;

    internal BrownianPath(Core.BrownianPath inner) => _inner = inner;

    /// <summary>The path's number.</summary>
    public long Number => _inner.Number;

    /// <summary>W at a time, 0 at the start of the path: one number for each Brownian motion.</summary>
    /// <exception cref="ArgumentOutOfRangeException"><paramref name="t"/> is outside of the path.</exception>
    public double[] Value(double t) => _inner.Value(t);

    /// <summary>W over an interval, and what else the level gives; backward where <paramref name="t"/> is before <paramref name="s"/>.</summary>
    /// <exception cref="ArgumentOutOfRangeException">A time is outside of the path.</exception>
    public BrownianIncrement Step(double s, double t)
    {
        Core.BrownianStep<double[]> step = _inner.Step(s, t);
        return new(step.W, step.H, step.K, step.A);
    }
}

/// <summary>A Brownian path over an interval; what is beyond the level of the path is null.</summary>
/// <param name="W">The increments, m numbers.</param>
/// <param name="H">Space-time Lévy areas, m numbers.</param>
/// <param name="K">Space-time-time Lévy areas, m numbers.</param>
/// <param name="A">Lévy areas, m x m row by row.</param>
public sealed record BrownianIncrement(double[] W, double[]? H, double[]? K, double[]? A);
