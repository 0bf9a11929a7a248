using System;
using System.Collections.Generic;
using System.Threading;
using static TorchSharp.torch;

namespace Continuum;

/// <summary>What every solve with fixed steps can be told.</summary>
public abstract record FixedStepSettings
{
    private protected FixedStepSettings() { }

    /// <summary>The length (above 0) of the steps; the last one before a stop is shortened.</summary>
    public required double Step { get; init; }

    /// <summary>What is kept. Default: the state at the end.</summary>
    public SaveAt SaveAt { get; init; } = SaveAt.EndOnly;

    /// <summary>The number of steps after which the solve fails. Default: no limit.</summary>
    public int MaxSteps { get; init; } = int.MaxValue;

    /// <summary>Told about progress: at the first step, then at most twenty times a second, and at the end.</summary>
    public IProgress<SolveProgress>? Progress { get; init; }

    /// <summary>Polled before every step.</summary>
    public CancellationToken CancellationToken { get; init; }
}

/// <summary>Options of a Hamiltonian solve on numbers. States are (q; p) in one array.</summary>
public sealed record HamiltonianOptions : FixedStepSettings
{
    /// <summary>The method. Default: <see cref="SymplecticMethod.Yoshida6"/>.</summary>
    public SymplecticMethod Method { get; init; } = SymplecticMethod.Yoshida6;

    /// <summary>Events to find.</summary>
    public IReadOnlyList<OdeEvent> Events { get; init; } = [];

    /// <summary>Changes at known times.</summary>
    public IReadOnlyList<ScheduledChange> ScheduledChanges { get; init; } = [];
}

/// <summary>Options of a Hamiltonian solve on tensors.</summary>
public sealed record TensorHamiltonianOptions : FixedStepSettings
{
    /// <summary>The method. Default: <see cref="SymplecticMethod.Yoshida6"/>.</summary>
    public SymplecticMethod Method { get; init; } = SymplecticMethod.Yoshida6;

    /// <summary>The tensors that the velocity and the force read and whose gradients are wanted.</summary>
    public IReadOnlyList<Tensor> Parameters { get; init; } = [];
}

/// <summary>An exponential method of order 4 for y' = L y + N(t, y) with diagonal L.</summary>
public enum ExponentialMethod
{
    /// <summary>Exponential time differencing (Cox and Matthews 2002): exact for constant N; the choice where L is stiff.</summary>
    Etdrk4,

    /// <summary>RK4 on e^(−Lt) y, the integrating factor (Lawson 1967): exact for N = 0; its error grows with a stiff L.</summary>
    IntegratingFactorRk4,
}

/// <summary>Options of a semilinear solve on real numbers.</summary>
public sealed record SemilinearOptions : FixedStepSettings
{
    /// <summary>The method. Default: <see cref="ExponentialMethod.Etdrk4"/>.</summary>
    public ExponentialMethod Method { get; init; }

    /// <summary>Events to find.</summary>
    public IReadOnlyList<OdeEvent> Events { get; init; } = [];

    /// <summary>Changes at known times.</summary>
    public IReadOnlyList<ScheduledChange> ScheduledChanges { get; init; } = [];
}

/// <summary>Options of a semilinear solve on complex numbers.</summary>
public sealed record ComplexSemilinearOptions : FixedStepSettings
{
    /// <summary>The method. Default: <see cref="ExponentialMethod.Etdrk4"/>.</summary>
    public ExponentialMethod Method { get; init; }
}

/// <summary>Options of a semilinear solve on tensors.</summary>
public sealed record TensorSemilinearOptions : FixedStepSettings
{
    /// <summary>The method. Default: <see cref="ExponentialMethod.Etdrk4"/>.</summary>
    public ExponentialMethod Method { get; init; }

    /// <summary>The tensors that N reads and whose gradients are wanted.</summary>
    public IReadOnlyList<Tensor> Parameters { get; init; } = [];
}
