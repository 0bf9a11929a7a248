extern alias core;

using System;
using System.Collections.Generic;
using static TorchSharp.torch;
using Core = core::Continuum;

namespace Continuum;

/// <summary>
/// Signatures and log-signatures of paths: the iterated integrals that summarise a piecewise linear path however it was sampled. On tensors
/// (..., points, channels), differentiable; or on arrays.
/// </summary>
public static class Signatures
{
    /// <summary>The number of coordinates of a signature of this depth.</summary>
    public static int Size(int channels, int depth) => Core.Signature.size(channels, depth);

    /// <summary>The number of coordinates of a log-signature of this depth.</summary>
    public static int LogSize(int channels, int depth) => Core.Signature.logSize(channels, depth);

    /// <summary>The names of a signature's coordinates, letters from 1: "1", "2", "1,1", "1,2", ...</summary>
    public static IReadOnlyList<string> Names(int channels, int depth) => Core.Signature.names(channels, depth);

    /// <summary>The names of a log-signature's coordinates, Lyndon brackets: "1", "2", "[1,2]", ...</summary>
    public static IReadOnlyList<string> LogNames(int channels, int depth) => Core.Signature.logNames(channels, depth);

    /// <summary>The signature of each path: (..., points, channels) to (..., size).</summary>
    /// <exception cref="ArgumentException">The depth or the shape makes no sense, or values are missing.</exception>
    public static Tensor Compute(Tensor path, int depth)
    {
        ContinuumRuntime.EnsureLoaded();
        return Core.Signature.ofPath(depth, path);
    }

    /// <summary>The log-signature of each path in the Lyndon basis: (..., points, channels) to (..., log size).</summary>
    /// <exception cref="ArgumentException">The depth or the shape makes no sense, or values are missing.</exception>
    public static Tensor Log(Tensor path, int depth)
    {
        ContinuumRuntime.EnsureLoaded();
        return Core.Signature.logOfPath(depth, path);
    }

    /// <summary>The signature of one path given by its points.</summary>
    /// <exception cref="ArgumentException">The depth or the points make no sense, or values are missing.</exception>
    public static double[] Compute(IReadOnlyList<double[]> path, int depth)
    {
        ArgumentNullException.ThrowIfNull(path);
        ContinuumRuntime.EnsureLoaded();
        return Core.Signature.ofArray(depth, [.. path]);
    }

    /// <summary>The log-signature of one path given by its points.</summary>
    /// <exception cref="ArgumentException">The depth or the points make no sense, or values are missing.</exception>
    public static double[] Log(IReadOnlyList<double[]> path, int depth)
    {
        ArgumentNullException.ThrowIfNull(path);
        ContinuumRuntime.EnsureLoaded();
        return Core.Signature.logOfArray(depth, [.. path]);
    }

    /// <summary>The log-signatures over consecutive windows of this many segments: (..., windows, log size).</summary>
    /// <exception cref="ArgumentException">The depth, the window or the shape makes no sense, or values are missing.</exception>
    public static Tensor LogWindows(Tensor path, int depth, int segments)
    {
        ContinuumRuntime.EnsureLoaded();
        return Core.SignatureWindows.logSignature(depth, Core.Windows.NewEvery(segments), path);
    }

    /// <summary>
    /// The squared maximum mean discrepancy between the laws that two sets of paths (paths, points, channels) were drawn from, by truncated
    /// signatures: 0-d, unbiased, so that it may be negative where they agree.
    /// </summary>
    /// <exception cref="ArgumentException">The sets do not fit each other, or are too small.</exception>
    public static Tensor Mmd(Tensor x, Tensor y, int depth = 4)
    {
        ContinuumRuntime.EnsureLoaded();
        Core.SignatureKernelOptions d = Core.SignatureKernel.defaults;
        return Core.SignatureKernel.mmd(new(depth, d.TimeChannel, d.Basepoint, d.Standardise, d.Scale, d.Normalise), x, y);
    }
}
