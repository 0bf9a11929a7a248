extern alias core;

using System;
using System.Collections.Generic;
using System.Threading;
using Core = core::Continuum;

namespace Continuum;

/// <summary>How far a generation of data is.</summary>
/// <param name="Completed">Samples done.</param>
/// <param name="Total">All samples.</param>
public readonly record struct GenerationProgress(int Completed, int Total);

/// <summary>What every generator of data can be told. Sample i depends on the seed and on i alone, not on how many are made.</summary>
public abstract record PdeDataOptions
{
    private protected PdeDataOptions() { }

    /// <summary>The number of samples. Default: 1000.</summary>
    public int Samples { get; init; } = 1000;

    /// <summary>The number of the first sample. Default: 0.</summary>
    public int FirstSample { get; init; }

    /// <summary>The seed of all that is random. Default: 0.</summary>
    public int Seed { get; init; }

    /// <summary>Keeps values with 32 bits; the computation has 64. Default: false.</summary>
    public bool SinglePrecision { get; init; }

    /// <summary>Told after every few samples.</summary>
    public IProgress<GenerationProgress>? Progress { get; init; }

    /// <summary>Ends the generation with <see cref="OperationCanceledException"/>.</summary>
    public CancellationToken CancellationToken { get; init; }
}

/// <summary>How the coefficient of a face between two nodes is made.</summary>
public enum DarcyScheme
{
    /// <summary>Harmonic means: fluxes through layers are exact.</summary>
    Harmonic,

    /// <summary>The published benchmark's scheme: splines between cell centres and nodes, arithmetic means.</summary>
    Literature,
}

/// <summary>How Darcy's coefficient is made from a Gaussian field g.</summary>
public enum DarcyCoefficient
{
    /// <summary>One value where g is positive, another elsewhere.</summary>
    Piecewise,

    /// <summary>The exponential of g.</summary>
    Lognormal,
}

/// <summary>-div(a grad u) = f on the unit square with u = 0 on the boundary, for random a. The defaults are those of the published benchmark.</summary>
public sealed record DarcyOptions : PdeDataOptions
{
    /// <summary>Points of the result on each axis, both ends included. Default: 85.</summary>
    public int Grid { get; init; } = 85;

    /// <summary>
    /// Points on which the equation is solved, of which every (FineGrid - 1) / (Grid - 1)-th is kept; 0 solves on Grid itself. Default: 421.
    /// </summary>
    public int FineGrid { get; init; } = 421;

    /// <summary>The exponent of the Gaussian field's covariance (-Laplace + Tau²)^-Alpha. Default: 2.</summary>
    public double Alpha { get; init; } = 2;

    /// <summary>Its inverse length. Default: 3.</summary>
    public double Tau { get; init; } = 3;

    /// <summary>From the field to the coefficient. Default: two values.</summary>
    public DarcyCoefficient Coefficient { get; init; }

    /// <summary>The coefficient where the field is not negative. Default: 12.</summary>
    public double High { get; init; } = 12;

    /// <summary>The coefficient where the field is negative. Default: 3.</summary>
    public double Low { get; init; } = 3;

    /// <summary>The factor of the field in the exponent of lognormal coefficients. Default: 1.</summary>
    public double LogScale { get; init; } = 1;

    /// <summary>f, a constant. Default: 1.</summary>
    public double Forcing { get; init; } = 1;

    /// <summary>The discretisation. Default: harmonic means.</summary>
    public DarcyScheme Scheme { get; init; }

    /// <summary>
    /// Gives the coefficient at the kept points as means over the cells around them instead of the values there: a coefficient that jumps between the points is
    /// not known from its values at few of them. Default: false.
    /// </summary>
    public bool CellMeans { get; init; }
}

/// <summary>u_t + (u²/2)_x = ν u_xx on [0, 1), periodic, from a Gaussian random state.</summary>
public sealed record BurgersOptions : PdeDataOptions
{
    /// <summary>Points of the result. Default: 1024.</summary>
    public int Grid { get; init; } = 1024;

    /// <summary>Points on which the equation is solved, a multiple of Grid; 0, the default, for Grid itself.</summary>
    public int SolveGrid { get; init; }

    /// <summary>ν. Default: 0.1.</summary>
    public double Viscosity { get; init; } = 0.1;

    /// <summary>The times of the output, rising. Default: 1.</summary>
    public IReadOnlyList<double> Times { get; init; } = [1.0];

    /// <summary>The longest step. Default: 0.005.</summary>
    public double Step { get; init; } = 0.005;

    /// <summary>The factor of the initial state's standard deviation. Default: 25.</summary>
    public double Sigma { get; init; } = 25;

    /// <summary>Its inverse length. Default: 5.</summary>
    public double Tau { get; init; } = 5;

    /// <summary>Its exponent. Default: 2.</summary>
    public double Alpha { get; init; } = 2;

    /// <summary>Whether initial states have mean zero. Default: false.</summary>
    public bool ZeroMean { get; init; }
}

/// <summary>What drives the vorticity.</summary>
public enum VorticityForcing
{
    /// <summary>Nothing.</summary>
    None,

    /// <summary>0.1 (sin 2π(x + y)/L + cos 2π(x + y)/L).</summary>
    Diagonal,

    /// <summary>-k cos(2π k y/L).</summary>
    Kolmogorov,

    /// <summary>A Gaussian random field, new in each sample: the input; the flow starts at rest.</summary>
    Random,
}

/// <summary>w_t + u·grad w = ν Laplace w - drag w + f for the vorticity w on the torus [0, L)².</summary>
public sealed record NavierStokesOptions : PdeDataOptions
{
    /// <summary>L. Default: 1.</summary>
    public double Length { get; init; } = 1;

    /// <summary>Points of the result on each axis. Default: 64.</summary>
    public int Grid { get; init; } = 64;

    /// <summary>Points on which the equation is solved, a multiple of Grid; 0, the default, for Grid itself.</summary>
    public int SolveGrid { get; init; }

    /// <summary>ν. Default: 0.001.</summary>
    public double Viscosity { get; init; } = 1e-3;

    /// <summary>Linear friction. Default: 0.</summary>
    public double Drag { get; init; }

    /// <summary>The times of the input's frames, from 0 on, rising; random forcing does not look at them. Default: 1, 2, .., 10.</summary>
    public IReadOnlyList<double> InputTimes { get; init; } = [1, 2, 3, 4, 5, 6, 7, 8, 9, 10];

    /// <summary>The times of the output's frames, rising. Default: 20.</summary>
    public IReadOnlyList<double> Times { get; init; } = [20];

    /// <summary>The longest step. Default: 0.01.</summary>
    public double Step { get; init; } = 0.01;

    /// <summary>Time that the flow runs before time 0. Default: 0.</summary>
    public double SpinUp { get; init; }

    /// <summary>The forcing. Default: diagonal.</summary>
    public VorticityForcing Forcing { get; init; } = VorticityForcing.Diagonal;

    /// <summary>k of Kolmogorov forcing. Default: 4.</summary>
    public int ForcingWave { get; init; } = 4;

    /// <summary>The factor of the standard deviation of the random initial vorticity, or of the random forcing. Default: 7 to the power of 1.5.</summary>
    public double Sigma { get; init; } = Math.Pow(7, 1.5);

    /// <summary>Its inverse length. Default: 7.</summary>
    public double Tau { get; init; } = 7;

    /// <summary>Its exponent. Default: 2.5.</summary>
    public double Alpha { get; init; } = 2.5;

    /// <summary>Kolmogorov flow on [0, 2π)² at Reynolds number 100: from the state after a spin-up of 10 to that one time unit later.</summary>
    public static NavierStokesOptions Kolmogorov { get; } =
        new()
        {
            Length = 2 * Math.PI,
            Viscosity = 0.01,
            InputTimes = [0],
            Times = [1],
            Step = 0.005,
            SpinUp = 10,
            Forcing = VorticityForcing.Kolmogorov,
        };

    /// <summary>From a random forcing on [0, 2π)² to the vorticity at time 5, from rest, at Reynolds number 500.</summary>
    public static NavierStokesOptions ForcingToVorticity { get; } =
        new()
        {
            Length = 2 * Math.PI,
            Viscosity = 1.0 / 500,
            Times = [5],
            Forcing = VorticityForcing.Random,
            Sigma = Math.Sqrt(27),
            Tau = 3,
            Alpha = 4,
        };
}

/// <summary>What functions do at the ends of an axis.</summary>
public enum BoundaryCondition
{
    /// <summary>The end is the start again.</summary>
    Periodic,

    /// <summary>The value is zero.</summary>
    Dirichlet,

    /// <summary>The slope is zero.</summary>
    Neumann,
}

/// <summary>Gaussian random functions with covariance Sigma² (-Laplace + Tau²)^-Alpha on a box with equal sides.</summary>
public abstract record RandomStateOptions : PdeDataOptions
{
    private protected RandomStateOptions() { }

    /// <summary>1, 2 or 3. Default: 2.</summary>
    public int Dimension { get; init; } = 2;

    /// <summary>
    /// Points on each axis: the end excluded on periodic axes, both ends included under zero values, cell centres under zero slopes. Default: 64.
    /// </summary>
    public int Grid { get; init; } = 64;

    /// <summary>The length of each side. Default: 1.</summary>
    public double Length { get; init; } = 1;

    /// <summary>What holds at the ends of each axis. Default: periodic.</summary>
    public BoundaryCondition Boundary { get; init; }

    /// <summary>The factor of the standard deviation; null, the default, for Tau to the power of Alpha - Dimension / 2.</summary>
    public double? Sigma { get; init; }

    /// <summary>The inverse length. Default: 5.</summary>
    public double Tau { get; init; } = 5;

    /// <summary>The exponent. Default: 2.5.</summary>
    public double Alpha { get; init; } = 2.5;

    /// <summary>Whether the functions have mean zero, where constants satisfy the conditions. Default: true.</summary>
    public bool ZeroMean { get; init; } = true;
}

/// <summary>Gaussian random fields with covariance Sigma² (-Laplace + Tau²)^-Alpha on a box with equal sides.</summary>
public sealed record RandomFieldOptions : RandomStateOptions
{
    /// <summary>
    /// Fields whose covariance is near to Matérn's of this smoothness ν, correlation length and variance, where the length is short against the box:
    /// Alpha = ν + dimension / 2, Tau = √(2ν) / length.
    /// </summary>
    /// <param name="smoothness">ν: 0.5 is the exponential covariance, larger is smoother.</param>
    /// <param name="correlationLength">The length over which values are alike.</param>
    /// <param name="variance">The variance at a point.</param>
    /// <param name="dimension">1, 2 or 3. Alpha and Sigma follow from it: change it here, not in the result.</param>
    /// <exception cref="ArgumentException">A number is not positive, or the dimension is not 1, 2 or 3.</exception>
    public static RandomFieldOptions Matern(double smoothness, double correlationLength, double variance = 1, int dimension = 2)
    {
        Core.GaussianFieldOptions law = Core.GaussianField.matern(Core.Domain.Torus(dimension), smoothness, correlationLength, variance);
        return new()
        {
            Dimension = dimension,
            Sigma = law.Sigma,
            Tau = law.Tau,
            Alpha = law.Alpha,
            ZeroMean = law.ZeroMean,
        };
    }
}

/// <summary>-Laplace u = f for random f, solved exactly in series.</summary>
public sealed record PoissonOptions : RandomStateOptions;

/// <summary>u_t = κ Laplace u from a random state, solved exactly in series.</summary>
public sealed record HeatOptions : RandomStateOptions
{
    /// <summary>κ. Default: 0.01.</summary>
    public double Diffusivity { get; init; } = 0.01;

    /// <summary>The times of the output, rising. Default: 1.</summary>
    public IReadOnlyList<double> Times { get; init; } = [1.0];
}

/// <summary>u_t + c·grad u = 0 from a random state on a torus, solved exactly in series.</summary>
public sealed record AdvectionOptions : RandomStateOptions
{
    /// <summary>c, one number for each axis; null, the default, for 1 along each.</summary>
    public IReadOnlyList<double>? Velocity { get; init; }

    /// <summary>The times of the output, rising. Default: 0.5.</summary>
    public IReadOnlyList<double> Times { get; init; } = [0.5];
}

/// <summary>u_tt = c² Laplace u from a random state, solved exactly in series; the output has two components, u and u_t.</summary>
public sealed record WaveOptions : RandomStateOptions
{
    /// <summary>c. Default: 1.</summary>
    public double Speed { get; init; } = 1;

    /// <summary>Draws the initial velocity too, as a second input; otherwise it is zero. Default: false.</summary>
    public bool RandomVelocity { get; init; }

    /// <summary>The times of the output, rising. Default: 0.5.</summary>
    public IReadOnlyList<double> Times { get; init; } = [0.5];
}
