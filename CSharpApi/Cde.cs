extern alias core;

using System;
using System.Collections.Generic;
using static TorchSharp.torch;
using Core = core::Continuum;

namespace Continuum;

/// <summary>
/// F of a controlled equation dz = F(z) dX on tensors: from a state (..., n) to a matrix (..., n, channels), and the tensors that it reads.
/// </summary>
public sealed class CdeField
{
    private CdeField(Core.CdeField inner) => Inner = inner;

    /// <summary>The channels of the paths that it takes, time and intensities included.</summary>
    public int Channels => Inner.Channels;

    internal Core.CdeField Inner { get; }

    /// <summary>A field from a function.</summary>
    /// <param name="channels">The channels of the path.</param>
    /// <param name="f">From z (..., n) to (..., n, channels).</param>
    /// <param name="parameters">The tensors that it reads and whose gradients are wanted; null for none.</param>
    /// <exception cref="ArgumentException">There is no channel.</exception>
    public static CdeField Create(int channels, Func<Tensor, Tensor> f, IEnumerable<Tensor>? parameters = null)
    {
        ArgumentNullException.ThrowIfNull(f);
        return new(new Core.CdeField((_, z) => f(z), channels, parameters ?? [], true));
    }

    /// <summary>A field given by its product with a direction, for fields that need not form the matrix.</summary>
    /// <param name="channels">The channels of the path.</param>
    /// <param name="product">From z (..., n) and dx (..., channels) to F(z) dx, shaped as z.</param>
    /// <param name="parameters">The tensors that it reads and whose gradients are wanted; null for none.</param>
    /// <exception cref="ArgumentException">There is no channel.</exception>
    public static CdeField FromProduct(int channels, Func<Tensor, Tensor, Tensor> product, IEnumerable<Tensor>? parameters = null)
    {
        ArgumentNullException.ThrowIfNull(product);
        return new(new Core.CdeField((_, z, dx) => product(z, dx), channels, parameters ?? [], true));
    }

    /// <summary>A network from (..., n) to (..., n * channels) as a field; its outputs fill the matrix row by row.</summary>
    /// <param name="channels">The channels of the path.</param>
    /// <param name="network">The network; its parameters are the field's.</param>
    /// <exception cref="ArgumentException">There is no channel.</exception>
    public static CdeField FromModule(int channels, nn.Module<Tensor, Tensor> network) =>
        new(Core.CdeFieldModule.ofModule(channels, network));
}

/// <summary>Solves controlled differential equations dz = F(z) dX: what irregular observations do to a state.</summary>
public static class Cde
{
    /// <summary>
    /// Solves dz = F(z) dX along the whole path. Gradients flow to the initial state, the field's parameters and the path's data as
    /// <see cref="CdeOptions.Gradient"/> says.
    /// </summary>
    /// <param name="field">F.</param>
    /// <param name="path">X. Steps never reach over a knot.</param>
    /// <param name="z0">The initial state (..., n) with the batch of the path, usually a map of <see cref="ControlPath.First"/>; (n) is where all series start; not changed.</param>
    /// <param name="options">Method, steps, gradient, what to save; null takes RK4 with one step from knot to knot.</param>
    /// <exception cref="ArgumentException">Channels, shapes, dtypes or an option do not fit; the message names them.</exception>
    /// <exception cref="SolveException">The solve failed on the way; the exception carries the solution up to there.</exception>
    /// <exception cref="OperationCanceledException">The cancellation token was signalled.</exception>
    /// <exception cref="LibtorchMissingException">libtorch could not be loaded.</exception>
    public static TensorSolution Solve(CdeField field, ControlPath path, Tensor z0, CdeOptions? options = null)
    {
        ArgumentNullException.ThrowIfNull(field);
        ArgumentNullException.ThrowIfNull(path);
        ArgumentNullException.ThrowIfNull(z0);
        ContinuumRuntime.EnsureLoaded();
        options ??= new();
        TensorSolution solution = new(Core.TensorCde.solve(Interop.Options(options), field.Inner, path.Inner, z0), []);
        if (solution.IsComplete)
        {
            return solution;
        }

        if (solution.Status != SolveStatus.Cancelled)
        {
            throw new SolveException(solution);
        }

        solution.Dispose();
        throw new OperationCanceledException(solution.Message, options.CancellationToken);
    }
}
