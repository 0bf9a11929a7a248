extern alias core;

using System;
using System.Collections.Generic;
using static TorchSharp.torch;
using Core = core::Continuum;

namespace Continuum;

/// <summary>
/// Solves a controlled equation along a series that is still being observed: push an observation, get the state there. The states are those
/// of <see cref="Cde.Solve"/> on the causal path through the same rows. Memory does not grow. For one thread; owns tensors: dispose it.
/// </summary>
public sealed class StreamingCde : IDisposable
{
    private readonly Core.CdeStream _inner;

    /// <summary>A stream of one series.</summary>
    /// <param name="field">F of dz = F(z) dX.</param>
    /// <param name="channels">The channels of the data, without time and intensities.</param>
    /// <param name="initial">The initial state (1, n) from the path's first value (1, channels of the path).</param>
    /// <param name="control">
    /// The path: <see cref="ControlOptions.Causal"/> is taken for granted; null takes rectilinear paths.
    /// </param>
    /// <param name="options">Method and steps; null takes RK4 with one step from knot to knot.</param>
    /// <exception cref="ArgumentException">The scheme is not causal, or channels do not fit; the message names them.</exception>
    public StreamingCde(
        CdeField field,
        int channels,
        Func<Tensor, Tensor> initial,
        ControlOptions? control = null,
        CdeOptions? options = null
    )
    {
        ArgumentNullException.ThrowIfNull(field);
        ArgumentNullException.ThrowIfNull(initial);
        ContinuumRuntime.EnsureLoaded();
        ControlOptions causal = (control ?? new ControlOptions { Scheme = ControlScheme.Rectilinear }) with { Causal = true };
        _inner = new(field.Inner, Interop.Options(causal), Interop.Options(options ?? new()), initial, 1, channels);
    }

    /// <summary>The observations so far.</summary>
    public int Observations => _inner.Observations;

    /// <summary>The state after an observation, as plain numbers.</summary>
    /// <param name="time">Its time, after that of the one before.</param>
    /// <param name="values">A number for each channel, NaN where missing.</param>
    /// <exception cref="ArgumentException">The time does not rise, or values are infinite or too few.</exception>
    /// <exception cref="SolveException">The solve failed.</exception>
    public IReadOnlyList<double> Push(double time, params double[] values)
    {
        try
        {
            return _inner.Push(time, values);
        }
        catch (Core.SolveFailedException failure)
        {
            throw Interop.Failure(failure);
        }
    }

    /// <summary>Everything the stream remembers, for <see cref="Restore"/>.</summary>
    /// <exception cref="InvalidOperationException">Nothing was pushed yet.</exception>
    public StreamingCdeState Save() => new(_inner.Save());

    /// <summary>Goes on from where another stream of the same kind was saved: what comes is what would have come there.</summary>
    /// <exception cref="ArgumentException">The state has other sizes.</exception>
    public void Restore(StreamingCdeState state)
    {
        ArgumentNullException.ThrowIfNull(state);
        _inner.Restore(state.Inner);
    }

    /// <summary>Frees the tensors.</summary>
    public void Dispose() => ((IDisposable)_inner).Dispose();
}

/// <summary>What a stream remembers of the observations so far.</summary>
public sealed class StreamingCdeState
{
    internal StreamingCdeState(Core.CdeStreamState inner) => Inner = inner;

    /// <summary>The observations so far.</summary>
    public int Observations => Inner.Observations;

    /// <summary>The state of the equation.</summary>
    public IReadOnlyList<double> State => Inner.State;

    internal Core.CdeStreamState Inner { get; }
}
