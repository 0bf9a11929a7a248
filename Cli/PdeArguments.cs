using System;
using System.Collections.Generic;
using System.Linq;

namespace Continuum.Cli;

/// <summary>What `continuum pde generate` was asked to do; null where the equation's own default holds.</summary>
internal sealed record PdeArguments
{
    internal required PdeKind Kind { get; init; }

    internal required string Out { get; init; }

    internal int Samples { get; init; }

    internal int Seed { get; init; }

    internal int First { get; init; }

    internal int? Grid { get; init; }

    internal int? FineGrid { get; init; }

    internal int? Dimension { get; init; }

    internal BoundaryCondition? Boundary { get; init; }

    internal double? Length { get; init; }

    internal double? Alpha { get; init; }

    internal double? Tau { get; init; }

    internal double? Sigma { get; init; }

    internal double? Smoothness { get; init; }

    internal double? Correlation { get; init; }

    internal double? Viscosity { get; init; }

    internal double? Speed { get; init; }

    internal double[]? Times { get; init; }

    internal double[]? InputTimes { get; init; }

    internal double? Step { get; init; }

    internal double? SpinUp { get; init; }

    internal double? High { get; init; }

    internal double? Low { get; init; }

    internal bool Lognormal { get; init; }

    internal bool Literature { get; init; }

    internal bool CellMeans { get; init; }

    internal VorticityForcing? Forcing { get; init; }

    internal bool Float32 { get; init; }

    internal bool Quiet { get; init; }
}

/// <summary>An equation of `continuum pde generate`, with the options that it understands.</summary>
internal sealed record PdeKind(string Name, string About, Func<PdeArguments, PdeDataOptions> Options, IReadOnlyList<string> Understands)
{
    private static readonly string[] s_state = ["--dimension", "--boundary", "--length", "--alpha", "--tau", "--sigma"];

    private static readonly string[] s_flow =
    [
        "--fine-grid", "--length", "--alpha", "--tau", "--sigma", "--viscosity", "--times", "--input-times", "--step", "--spin-up", "--forcing",
    ];

    internal static IReadOnlyList<PdeKind> All { get; } =
    [
        new("darcy", "from a rough coefficient to the pressure", Darcy, ["--fine-grid", "--alpha", "--tau", "--high", "--low", "--lognormal", "--literature", "--cell-means"]),
        new("burgers", "from the initial state to later ones, one dimension", Burgers, ["--fine-grid", "--alpha", "--tau", "--sigma", "--viscosity", "--times", "--step"]),
        new("navier-stokes", "vorticity in two dimensions, from earlier frames to later ones", a => Flow(a, new()), s_flow),
        new("kolmogorov", "the same with Kolmogorov forcing, after a spin-up", a => Flow(a, NavierStokesOptions.Kolmogorov), s_flow),
        new("forcing", "from a random forcing to the vorticity, from rest", a => Flow(a, NavierStokesOptions.ForcingToVorticity), s_flow),
        new("poisson", "from the source to the solution, exact", a => State(a, new PoissonOptions()), s_state),
        new("heat", "from the initial state to later ones, exact", Heat, [.. s_state, "--viscosity", "--times"]),
        new("advection", "transport at speed 1 along each axis, exact", Advection, [.. s_state, "--speed", "--times"]),
        new("random-field", "Gaussian random functions alone, an array `g` in a .npz or .npy file", Fields, [.. s_state, "--smoothness", "--correlation"]),
        new("wave", "from the initial state to later ones with their velocities, exact", Wave, [.. s_state, "--speed", "--times"]),
    ];

    /// <summary>The equation of this name.</summary>
    internal static PdeKind Find(string name) =>
        All.FirstOrDefault(kind => string.Equals(kind.Name, name, StringComparison.OrdinalIgnoreCase))
        ?? throw new UsageException($"'{name}' is no equation; there are {string.Join(", ", All.Select(kind => kind.Name))}");

    /// <summary>Makes the data.</summary>
    internal static OperatorData Generate(PdeDataOptions options) =>
        options switch
        {
            DarcyOptions o => PdeData.Darcy(o),
            BurgersOptions o => PdeData.Burgers(o),
            NavierStokesOptions o => PdeData.NavierStokes(o),
            PoissonOptions o => PdeData.Poisson(o),
            HeatOptions o => PdeData.Heat(o),
            AdvectionOptions o => PdeData.Advection(o),
            WaveOptions o => PdeData.Wave(o),
            _ => throw new ArgumentOutOfRangeException(nameof(options)),
        };

    private static DarcyOptions Darcy(PdeArguments a)
    {
        if (a.Lognormal && (a.High ?? a.Low) is not null)
        {
            throw new UsageException("--high and --low are the two values of a coefficient that jumps; they mean nothing with --lognormal");
        }

        DarcyOptions o = new();
        int grid = a.Grid ?? o.Grid;
        return o with
        {
            Grid = grid,
            // 421 points hold 85, 61, 43 and 29; others are solved on the grid itself.
            FineGrid = a.FineGrid ?? (grid > 1 && (o.FineGrid - 1) % (grid - 1) == 0 ? o.FineGrid : 0),
            Alpha = a.Alpha ?? o.Alpha,
            Tau = a.Tau ?? o.Tau,
            High = a.High ?? o.High,
            Low = a.Low ?? o.Low,
            Coefficient = a.Lognormal ? DarcyCoefficient.Lognormal : DarcyCoefficient.Piecewise,
            Scheme = a.Literature ? DarcyScheme.Literature : DarcyScheme.Harmonic,
            CellMeans = a.CellMeans,
        };
    }

    private static BurgersOptions Burgers(PdeArguments a)
    {
        BurgersOptions o = new();
        return o with
        {
            Grid = a.Grid ?? o.Grid,
            SolveGrid = a.FineGrid ?? o.SolveGrid,
            Viscosity = a.Viscosity ?? o.Viscosity,
            Times = a.Times ?? o.Times,
            Step = a.Step ?? o.Step,
            Sigma = a.Sigma ?? o.Sigma,
            Tau = a.Tau ?? o.Tau,
            Alpha = a.Alpha ?? o.Alpha,
        };
    }

    private static NavierStokesOptions Flow(PdeArguments a, NavierStokesOptions o) =>
        o with
        {
            Length = a.Length ?? o.Length,
            Grid = a.Grid ?? o.Grid,
            SolveGrid = a.FineGrid ?? o.SolveGrid,
            Viscosity = a.Viscosity ?? o.Viscosity,
            InputTimes = a.InputTimes ?? o.InputTimes,
            Times = a.Times ?? o.Times,
            Step = a.Step ?? o.Step,
            SpinUp = a.SpinUp ?? o.SpinUp,
            Forcing = a.Forcing ?? o.Forcing,
            Sigma = a.Sigma ?? o.Sigma,
            Tau = a.Tau ?? o.Tau,
            Alpha = a.Alpha ?? o.Alpha,
        };

    private static RandomStateOptions State(PdeArguments a, RandomStateOptions o) =>
        o with
        {
            Dimension = a.Dimension ?? o.Dimension,
            Grid = a.Grid ?? o.Grid,
            Length = a.Length ?? o.Length,
            Boundary = a.Boundary ?? o.Boundary,
            Sigma = a.Sigma,
            Tau = a.Tau ?? o.Tau,
            Alpha = a.Alpha ?? o.Alpha,
        };

    private static RandomFieldOptions Fields(PdeArguments a)
    {
        if (a.Float32)
        {
            throw new UsageException("--float32 means nothing to random-field, whose arrays have 64 bits");
        }

        if (a.Smoothness is null && a.Correlation is null)
        {
            return (RandomFieldOptions)State(a, new RandomFieldOptions());
        }

        if (a.Smoothness is not { } smoothness || a.Correlation is not { } length || (a.Alpha ?? a.Tau ?? a.Sigma) is not null)
        {
            throw new UsageException("a Matern field has --smoothness and --correlation, and neither --alpha, --tau nor --sigma");
        }

        RandomFieldOptions o = RandomFieldOptions.Matern(smoothness, length, dimension: a.Dimension ?? 2);
        return o with { Grid = a.Grid ?? o.Grid, Length = a.Length ?? o.Length, Boundary = a.Boundary ?? o.Boundary };
    }

    private static HeatOptions Heat(PdeArguments a)
    {
        HeatOptions o = (HeatOptions)State(a, new HeatOptions());
        return o with { Diffusivity = a.Viscosity ?? o.Diffusivity, Times = a.Times ?? o.Times };
    }

    private static AdvectionOptions Advection(PdeArguments a)
    {
        AdvectionOptions o = (AdvectionOptions)State(a, new AdvectionOptions());
        return o with { Velocity = [.. Enumerable.Repeat(a.Speed ?? 1, o.Dimension)], Times = a.Times ?? o.Times };
    }

    private static WaveOptions Wave(PdeArguments a)
    {
        WaveOptions o = (WaveOptions)State(a, new WaveOptions());
        return o with { Speed = a.Speed ?? o.Speed, Times = a.Times ?? o.Times };
    }
}
