extern alias core;

using System;
using Core = core::Continuum;

namespace Continuum;

/// <summary>
/// How gradients flow through a solve on tensors: to the initial state, the parameters and the tracked times.
/// </summary>
public sealed class Gradient
{
    private readonly string _text;

    private Gradient(Core.Differentiation value, string text)
    {
        Value = value;
        _text = text;
    }

    /// <summary>No gradient; the cheapest.</summary>
    public static Gradient None { get; } = new(Core.Differentiation.None, nameof(None));

    /// <summary>
    /// Autograd through every step: exact for the discrete solution, differentiable again, memory grows with steps times the field's graph.
    /// </summary>
    public static Gradient Recorded { get; } = new(Core.Differentiation.Recorded, nameof(Recorded));

    internal Core.Differentiation Value { get; }

    /// <summary>
    /// One node per solve: stores states, replays the steps in the backward sweep. Exact for the discrete solution; the default.
    /// </summary>
    /// <param name="maxCheckpoints">The most states kept; the sweep recomputes the others. 0, the default, keeps one every window.</param>
    /// <param name="graphWindow">Steps that share one graph in the sweep.</param>
    /// <exception cref="ArgumentOutOfRangeException">
    /// <paramref name="maxCheckpoints"/> is negative or <paramref name="graphWindow"/> is not positive.
    /// </exception>
    public static Gradient Discrete(int maxCheckpoints = 0, int graphWindow = 8)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(maxCheckpoints);
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(graphWindow);
        return new(Core.Differentiation.NewDiscrete(new(maxCheckpoints, graphWindow)), nameof(Discrete));
    }

    /// <summary>
    /// The continuous adjoint, solved backward: memory of one state, gradients as accurate as the reconstruction of the state.
    /// </summary>
    /// <param name="relTol">The relative tolerance of the backward solve; null takes the forward one.</param>
    /// <param name="absTol">The absolute tolerance of the backward solve; null takes the forward one.</param>
    /// <param name="seminorm">Leaves the parameters' part out of error control (Kidger, Chen and Lyons 2021).</param>
    /// <param name="onDrift">
    /// Told the scaled difference and a sentence when the reconstructed initial state is far off, so that the gradient is unreliable;
    /// null writes to the standard error.
    /// </param>
    public static Gradient Backsolve(
        double? relTol = null,
        double? absTol = null,
        bool seminorm = true,
        Action<double, string>? onDrift = null
    ) =>
        new(Core.Differentiation.NewBacksolve(new(relTol ?? double.NaN, absTol ?? double.NaN, seminorm, onDrift)), nameof(Backsolve));

    /// <summary>
    /// Steps that are undone algebraically: exact for the discrete solution, memory of sparse checkpoints. A Runge–Kutta method is
    /// made reversible; see <see cref="OdeMethod.Reversible"/> and <see cref="OdeMethod.ReversibleHeun"/>.
    /// </summary>
    /// <param name="coupling">The coupling for a plain Runge–Kutta method, in (0, 1].</param>
    /// <param name="checkpointEvery">Steps between stored states; 0 chooses.</param>
    /// <param name="onDrift">Told when a reconstructed state misses a stored one; null writes to the standard error.</param>
    /// <exception cref="ArgumentOutOfRangeException">
    /// <paramref name="coupling"/> is not in (0, 1], or <paramref name="checkpointEvery"/> is negative.
    /// </exception>
    public static Gradient Reversible(double coupling = 0.9, int checkpointEvery = 0, Action<double, string>? onDrift = null)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(checkpointEvery);
        if (!(coupling > 0 && coupling <= 1))
        {
            throw new ArgumentOutOfRangeException(nameof(coupling), coupling, "The coupling must lie in (0, 1].");
        }

        return new(Core.Differentiation.NewReversible(new(coupling, checkpointEvery, onDrift)), nameof(Reversible));
    }

    /// <summary>The choice in words.</summary>
    public override string ToString() => _text;
}
