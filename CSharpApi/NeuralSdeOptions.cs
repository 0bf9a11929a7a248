extern alias core;

using System.Collections.Generic;
using Core = core::Continuum;

namespace Continuum;

/// <summary>How <see cref="NeuralSdeModel.Fit(TimeSeries, NeuralSdeOptions?, System.IProgress{FitProgress}?, System.Threading.CancellationToken)"/> fits a neural SDE.</summary>
/// <remarks>
/// The defaults suit returns whose volatility comes in clusters: 1500 iterations of 256 transitions, stopped early by the last fifth of the data.
/// </remarks>
public sealed record NeuralSdeOptions : PathTrainingSettings
{
    /// <summary>The defaults.</summary>
    public NeuralSdeOptions()
    {
        Iterations = 1500;
        BatchSize = 256;
        WeightDecay = 0.01;
        Patience = 20;
    }

    /// <summary>Model logarithms, as for prices. Default (null): when every value is above 0.</summary>
    public bool? Logarithm { get; init; }

    /// <summary>
    /// Drift and diffusion see the state itself, for states that return to a region. Default (null): unless logarithms are modelled of
    /// columns none of which returns to a mean by the test of Dickey and Fuller (1979) at 1 %.
    /// </summary>
    public bool? Level { get; init; }

    /// <summary>Drift and diffusion see time.</summary>
    public bool TimeInput { get; init; }

    /// <summary>The columns' noise is correlated.</summary>
    public bool Correlated { get; init; } = true;

    /// <summary>
    /// Half-lives, in median steps of the data, of the averages of past increments and their squares that drift and diffusion see: these
    /// make volatility cluster. Empty: the state alone is seen.
    /// </summary>
    public IReadOnlyList<double> HalfLives { get; init; } = [5, 40];

    /// <summary>The number of past increments that drift and diffusion see.</summary>
    public int Lags { get; init; }

    /// <summary>The widths of the diffusion network's hidden layers.</summary>
    public IReadOnlyList<int> Hidden { get; init; } = [16];

    /// <summary>The widths of the drift network's hidden layers; empty for a linear drift.</summary>
    public IReadOnlyList<int> DriftHidden { get; init; } = [];

    /// <summary>The nonlinearity of the networks.</summary>
    public NeuralActivation Activation { get; init; } = NeuralActivation.Tanh;

    /// <summary>The least volatility of a column, in units of its mean volatility; between 0 and 1.</summary>
    public double Floor { get; init; } = 0.05;

    /// <summary>
    /// Transitions have the mean and covariance of one Euler step (error h^2) instead of the midpoint rule on the equations of both (error h^3).
    /// </summary>
    public bool EulerDensity { get; init; }

    /// <summary>
    /// The weight of the mean square of what the networks add to a constant drift and a volatility in proportion to the memory. It would also
    /// hold a state back from its mean. Default (null): 10 where the model does not see the level, else 0.
    /// </summary>
    public double? Penalty { get; init; }

    /// <summary>The share of each series' transitions, at its end, that decides when training stops; 0 for no early stopping.</summary>
    public double ValidationFraction { get; init; } = 0.2;

    internal Core.NeuralSdeOptions Inner() =>
        new(
            Logarithm,
            Level,
            TimeInput,
            Correlated,
            [.. HalfLives ?? []],
            Lags,
            [.. Hidden ?? []],
            [.. DriftHidden ?? []],
            Interop.Activation(Activation),
            Floor,
            EulerDensity ? Core.TransitionDensity.Euler : Core.TransitionDensity.Midpoint,
            Penalty,
            ValidationFraction,
            Loop(Core.OptimizerKind.AdamW, Core.LearningRateSchedule.Cosine)
        );
}
