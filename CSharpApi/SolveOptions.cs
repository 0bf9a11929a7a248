using System;
using System.Collections.Generic;
using System.Threading;
using static TorchSharp.torch;

namespace Continuum;

/// <summary>How the scaled local error is reduced to one number.</summary>
public enum ToleranceNorm
{
    /// <summary>The root mean square over all components.</summary>
    Rms,

    /// <summary>The largest component.</summary>
    Maximum,
}

/// <summary>What every solve can be told, on numbers or on tensors.</summary>
public abstract record SolveSettings
{
    private protected SolveSettings() { }

    /// <summary>The method. Default: <see cref="OdeMethod.Automatic"/> on numbers, <see cref="OdeMethod.Tsit5"/> on tensors.</summary>
    public OdeMethod Method { get; init; } = OdeMethod.Automatic;

    /// <summary>The relative tolerance.</summary>
    public double RelTol { get; init; } = 1e-6;

    /// <summary>The absolute tolerance, in units of the state.</summary>
    public double AbsTol { get; init; } = 1e-9;

    /// <summary>How the errors of the components become one number. Default: their root mean square.</summary>
    public ToleranceNorm Norm { get; init; }

    /// <summary>The length (above 0) of fixed steps; null, the default, adapts them.</summary>
    public double? FixedStep { get; init; }

    /// <summary>How adaptive steps are controlled; null, the default, takes the method's own controller.</summary>
    public StepController? Controller { get; init; }

    /// <summary>What is kept. Default: the state at the end.</summary>
    public SaveAt SaveAt { get; init; } = SaveAt.EndOnly;

    /// <summary>Times where the field is discontinuous; no step crosses one. Times outside of the span are allowed.</summary>
    public IReadOnlyList<double> Jumps { get; init; } = [];

    /// <summary>The length of the first step tried; null, the default, estimates one.</summary>
    public double? InitialStep { get; init; }

    /// <summary>The longest step allowed.</summary>
    public double MaxStep { get; init; } = double.PositiveInfinity;

    /// <summary>The solve fails when the error asks for steps below this; 0, the default, means the resolution of the time.</summary>
    public double MinStep { get; init; }

    /// <summary>The number of attempted steps after which the solve fails.</summary>
    public int MaxSteps { get; init; } = 100_000;

    /// <summary>Collects the solver's error and stiffness estimates over the solve, at a small cost a step.</summary>
    public bool Heuristics { get; init; }

    /// <summary>Told about progress: at the first accepted step, then at most twenty times a second, and at the end.</summary>
    public IProgress<SolveProgress>? Progress { get; init; }

    /// <summary>Polled before every step.</summary>
    public CancellationToken CancellationToken { get; init; }
}

/// <summary>Options of a solve on numbers.</summary>
/// <remarks>Immutable; vary one with a <c>with</c> expression. Default tolerances: 1e-6 relative, 1e-9 absolute.</remarks>
public sealed record SolveOptions : SolveSettings
{
    /// <summary>Relative tolerances, one for each component, in place of <see cref="SolveSettings.RelTol"/>.</summary>
    public IReadOnlyList<double>? RelTolPerComponent { get; init; }

    /// <summary>Absolute tolerances, one for each component, in place of <see cref="SolveSettings.AbsTol"/>.</summary>
    public IReadOnlyList<double>? AbsTolPerComponent { get; init; }

    /// <summary>Events to find.</summary>
    public IReadOnlyList<OdeEvent> Events { get; init; } = [];

    /// <summary>Changes at known times.</summary>
    public IReadOnlyList<ScheduledChange> ScheduledChanges { get; init; } = [];
}

/// <summary>Options of a solve on tensors.</summary>
/// <remarks>Immutable; vary one with a <c>with</c> expression. Default tolerances: 1e-5 relative, 1e-7 absolute, for float32.</remarks>
public sealed record TensorSolveOptions : SolveSettings
{
    /// <summary>The default options.</summary>
    public TensorSolveOptions()
    {
        Method = OdeMethod.Tsit5;
        RelTol = 1e-5;
        AbsTol = 1e-7;
    }

    /// <summary>Relative tolerances shaped as the state, in place of <see cref="SolveSettings.RelTol"/>.</summary>
    public Tensor? RelTolPerComponent { get; init; }

    /// <summary>Absolute tolerances shaped as the state, in place of <see cref="SolveSettings.AbsTol"/>.</summary>
    public Tensor? AbsTolPerComponent { get; init; }

    /// <summary>Events to find.</summary>
    public IReadOnlyList<TensorOdeEvent> Events { get; init; } = [];

    /// <summary>Changes at known times.</summary>
    public IReadOnlyList<TensorScheduledChange> ScheduledChanges { get; init; } = [];

    /// <summary>The tensors that the field, the events and the changes read and whose gradients are wanted. A module's own are known.</summary>
    public IReadOnlyList<Tensor> Parameters { get; init; } = [];

    /// <summary>How gradients flow through the solve. Default: <see cref="Gradient.Discrete"/>.</summary>
    public Gradient Gradient { get; init; } = Gradient.Discrete();

    /// <summary>The start time as a tensor of one number whose gradient is wanted; its value replaces the plain start time.</summary>
    public Tensor? StartTime { get; init; }

    /// <summary>The end time as a tensor of one number whose gradient is wanted; its value replaces the plain end time.</summary>
    public Tensor? EndTime { get; init; }

    /// <summary>The save times as a 1-d tensor whose gradient is wanted; its values replace those of <see cref="SaveAt.Times"/>.</summary>
    public Tensor? SaveTimes { get; init; }

    /// <summary>
    /// Checks, with one evaluation of the field, that no tensor it reads would lose its gradient for want of being a parameter.
    /// Default: true.
    /// </summary>
    public bool CheckTracking { get; init; } = true;
}
