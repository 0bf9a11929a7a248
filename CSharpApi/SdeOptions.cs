using System;
using System.Threading;

namespace Continuum;

/// <summary>What every solve of a stochastic equation can be told, on numbers or on tensors.</summary>
public abstract record SdeSettings
{
    private protected SdeSettings() { }

    /// <summary>The length (above 0) of fixed steps; null, the default, adapts them. Fixed steps are the fast ones, most of all in ensembles.</summary>
    public double? FixedStep { get; init; }

    /// <summary>The relative tolerance of adaptive steps. Default: 1e-3.</summary>
    public double RelTol { get; init; } = 1e-3;

    /// <summary>The absolute tolerance of adaptive steps, in units of the state. Default: 1e-4.</summary>
    public double AbsTol { get; init; } = 1e-4;

    /// <summary>How the errors of the components become one number. Default: their root mean square.</summary>
    public ToleranceNorm Norm { get; init; }

    /// <summary>
    /// What is kept. Default: the state at the end. Values between steps are never interpolated: each is a step of the method from the
    /// start of the step that it lies in, along the path's own increments.
    /// </summary>
    public SaveAt SaveAt { get; init; } = SaveAt.EndOnly;

    /// <summary>The seed of the path, where <see cref="Brownian"/> is null: equal seeds give equal paths on every machine.</summary>
    public ulong Seed { get; init; }

    /// <summary>The Brownian motion; null, the default, makes one from the seed as the method needs it.</summary>
    public BrownianMotion? Brownian { get; init; }

    /// <summary>The number of the path, or of the first of several. Default: 0.</summary>
    public long FirstPath { get; init; }

    /// <summary>The length of the first adaptive step; null, the default, estimates one.</summary>
    public double? InitialStep { get; init; }

    /// <summary>The longest adaptive step.</summary>
    public double MaxStep { get; init; } = double.PositiveInfinity;

    /// <summary>The solve fails when the error asks for steps below this; 0, the default, means the resolution of the time.</summary>
    public double MinStep { get; init; }

    /// <summary>The number of attempted steps after which the solve fails.</summary>
    public int MaxSteps { get; init; } = 1_000_000;

    /// <summary>Told about progress: at the first accepted step, then at most twenty times a second, and at the end.</summary>
    public IProgress<SolveProgress>? Progress { get; init; }

    /// <summary>Polled before every step.</summary>
    public CancellationToken CancellationToken { get; init; }
}

/// <summary>Options of a solve of a stochastic equation on numbers.</summary>
/// <remarks>Immutable; vary one with a <c>with</c> expression.</remarks>
public sealed record SdeOptions : SdeSettings;

/// <summary>Options of a solve of a stochastic equation on tensors.</summary>
/// <remarks>Immutable; vary one with a <c>with</c> expression.</remarks>
public sealed record TensorSdeOptions : SdeSettings
{
    /// <summary>How gradients flow through the solve. Default: <see cref="Gradient.Discrete"/>.</summary>
    public Gradient Gradient { get; init; } = Gradient.Discrete();

    /// <summary>Collects the solver's error and stiffness estimates over the solve as differentiable numbers, at a cost a step.</summary>
    public bool Heuristics { get; init; }

    /// <summary>
    /// Checks that no tensor that drift or diffusion reads would lose its gradient for want of being a parameter. Default: true.
    /// </summary>
    public bool CheckTracking { get; init; } = true;
}

/// <summary>How an ensemble of paths is run and what it keeps. Paths and statistics do not depend on the threads.</summary>
public sealed record SdeEnsembleOptions
{
    /// <summary>The threads to work on; null, the default, takes all processors.</summary>
    public int? Threads { get; init; }

    /// <summary>
    /// Keeps means, covariances and extremes alone, so that memory does not grow with the number of paths. Default: false, the states of all
    /// paths at the saved times and at the end.
    /// </summary>
    public bool MomentsOnly { get; init; }

    /// <summary>Told now and then, by one thread at a time.</summary>
    public IProgress<EnsembleProgress>? Progress { get; init; }
}
