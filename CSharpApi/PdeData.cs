extern alias core;

using System;
using System.Linq;
using TorchSharp;
using Core = core::Continuum;

namespace Continuum;

/// <summary>
/// Generators of data for learning operators of partial differential equations. Everything is reproducible: a sample depends on the seed and on its
/// number alone. An equation whose solution breaks off throws <see cref="ArithmeticException"/>, options that contradict each other
/// <see cref="ArgumentException"/>, a signalled token <see cref="OperationCanceledException"/>.
/// </summary>
public static class PdeData
{
    /// <summary>Darcy flow: from the coefficient `a` to the pressure `u`.</summary>
    /// <param name="options">Null for the defaults.</param>
    public static OperatorData Darcy(DarcyOptions? options = null)
    {
        DarcyOptions o = options ?? new();
        Core.DarcyOptions equation = new(
            grid: o.Grid,
            fineGrid: o.FineGrid,
            alpha: o.Alpha,
            tau: o.Tau,
            coefficient: (Core.DarcyCoefficient)Interop.Defined(o.Coefficient),
            high: o.High,
            low: o.Low,
            logScale: o.LogScale,
            forcing: o.Forcing,
            scheme: (Core.DarcyScheme)Interop.Defined(o.Scheme),
            cellMeans: o.CellMeans
        );
        return new(Core.Darcy.generate(equation, Generation(o)));
    }

    /// <summary>Burgers' equation: from the initial state `u0` to `u` at later times.</summary>
    /// <param name="options">Null for the defaults.</param>
    public static OperatorData Burgers(BurgersOptions? options = null)
    {
        BurgersOptions o = options ?? new();
        ArgumentNullException.ThrowIfNull(o.Times);
        Core.BurgersOptions equation = new(
            grid: o.Grid,
            solveGrid: o.SolveGrid,
            viscosity: o.Viscosity,
            times: [.. o.Times],
            step: o.Step,
            sigma: o.Sigma,
            tau: o.Tau,
            alpha: o.Alpha,
            zeroMean: o.ZeroMean
        );
        return new(Core.Burgers.generate(equation, Generation(o)));
    }

    /// <summary>
    /// Flow in two dimensions: from the vorticity `w` at the input times to `w later`, or from the random forcing `f` to `w`.
    /// </summary>
    /// <param name="options">Null for the defaults.</param>
    public static OperatorData NavierStokes(NavierStokesOptions? options = null)
    {
        NavierStokesOptions o = options ?? new();
        ArgumentNullException.ThrowIfNull(o.InputTimes);
        ArgumentNullException.ThrowIfNull(o.Times);
        Core.NavierStokesOptions equation = new(
            length: o.Length,
            grid: o.Grid,
            solveGrid: o.SolveGrid,
            viscosity: o.Viscosity,
            drag: o.Drag,
            inputTimes: [.. o.InputTimes],
            times: [.. o.Times],
            step: o.Step,
            spinUp: o.SpinUp,
            forcing: (Core.VorticityForcing)Interop.Defined(o.Forcing),
            forcingWave: o.ForcingWave,
            sigma: o.Sigma,
            tau: o.Tau,
            alpha: o.Alpha,
            method: Core.ExponentialMethod.IntegratingFactorRk4
        );
        return new(Core.NavierStokes.generate(equation, Generation(o)));
    }

    /// <summary>Poisson's equation: from the source `f` to `u`.</summary>
    /// <param name="options">Null for the defaults.</param>
    public static OperatorData Poisson(PoissonOptions? options = null)
    {
        PoissonOptions o = options ?? new();
        return new(Core.Poisson.generate(State(o), Generation(o)));
    }

    /// <summary>The heat equation: from the initial state `u0` to `u` at later times.</summary>
    /// <param name="options">Null for the defaults.</param>
    public static OperatorData Heat(HeatOptions? options = null)
    {
        HeatOptions o = options ?? new();
        ArgumentNullException.ThrowIfNull(o.Times);
        Core.HeatOptions equation = new(initial: State(o), diffusivity: o.Diffusivity, times: [.. o.Times]);
        return new(Core.Heat.generate(equation, Generation(o)));
    }

    /// <summary>Transport at constant velocity: from the initial state `u0` to `u` at later times.</summary>
    /// <param name="options">Null for the defaults.</param>
    public static OperatorData Advection(AdvectionOptions? options = null)
    {
        AdvectionOptions o = options ?? new();
        ArgumentNullException.ThrowIfNull(o.Times);
        double[] velocity = o.Velocity is null ? [.. Enumerable.Repeat(1.0, o.Dimension)] : [.. o.Velocity];
        Core.AdvectionOptions equation = new(initial: State(o), velocity: velocity, times: [.. o.Times]);
        return new(Core.Advection.generate(equation, Generation(o)));
    }

    /// <summary>The wave equation: from the initial state `u0` (and the velocity `v0`) to `u`, whose components are u and u_t.</summary>
    /// <param name="options">Null for the defaults.</param>
    public static OperatorData Wave(WaveOptions? options = null)
    {
        WaveOptions o = options ?? new();
        ArgumentNullException.ThrowIfNull(o.Times);
        Core.WaveOptions equation = new(initial: State(o), speed: o.Speed, randomVelocity: o.RandomVelocity, times: [.. o.Times]);
        return new(Core.Wave.generate(equation, Generation(o)));
    }

    /// <summary>Gaussian random fields, without an equation: inputs for an operator, coefficients or initial states of one's own.</summary>
    /// <param name="options">Null for the defaults.</param>
    /// <returns>The array `g` of shape (samples, points of each axis).</returns>
    public static FunctionArray RandomFields(RandomFieldOptions? options = null)
    {
        RandomFieldOptions o = options ?? new();
        Core.RandomState state = State(o);
        using Core.Field field = Core.GaussianField.sample(state.Law, state.Points, Generation(o));
        return new("g", [o.Samples, .. Enumerable.Repeat(o.Grid, o.Dimension)], Core.Tensors.toArray(field.Values));
    }

    internal static Core.Boundary Boundary(BoundaryCondition? condition) =>
        condition switch
        {
            null => Core.Boundary.Open,
            BoundaryCondition.Periodic => Core.Boundary.Periodic,
            BoundaryCondition.Dirichlet => Core.Boundary.Dirichlet,
            BoundaryCondition.Neumann => Core.Boundary.Neumann,
            _ => throw new ArgumentOutOfRangeException(nameof(condition), condition, "not a boundary condition"),
        };

    private static Core.RandomState State(RandomStateOptions o) =>
        new(
            domain: Core.Domain.Cube(o.Dimension, o.Length, Boundary(o.Boundary)),
            sizes: [.. Enumerable.Repeat(o.Grid, o.Dimension)],
            sigma: o.Sigma ?? Math.Pow(o.Tau, o.Alpha - (0.5 * o.Dimension)),
            tau: o.Tau,
            alpha: o.Alpha,
            zeroMean: o.ZeroMean
        );

    private static Core.Generation Generation(PdeDataOptions o) =>
        new(
            samples: o.Samples,
            first: o.FirstSample,
            seed: o.Seed,
            batch: 0,
            dType: o.SinglePrecision ? torch.ScalarType.Float32 : torch.ScalarType.Float64,
            progress: o.Progress is { } progress ? (completed, total) => progress.Report(new(completed, total)) : null,
            cancellation: o.CancellationToken
        );
}
