extern alias core;

using System;
using System.Collections.Generic;
using System.IO;
using System.Linq;
using System.Threading;
using Core = core::Continuum;

namespace Continuum;

/// <summary>How <see cref="SdeGanModel.Fit"/> trains an SDE-GAN.</summary>
public sealed record SdeGanOptions : PathTrainingSettings
{
    /// <summary>The defaults: 1000 iterations of 128 paths with Adadelta, the weights of the last half averaged.</summary>
    public SdeGanOptions()
    {
        Iterations = 1000;
        BatchSize = 128;
        LearningRate = 0.1;
        ClipNorm = double.PositiveInfinity;
        Averaging = 0.5;
    }

    /// <summary>Model logarithms. Default (null): when every value is above 0.</summary>
    public bool? Logarithm { get; init; }

    /// <summary>The size of the generator's state.</summary>
    public int HiddenSize { get; init; } = 16;

    /// <summary>The number of Brownian motions.</summary>
    public int NoiseSize { get; init; } = 3;

    /// <summary>The size of the normal vector that initial states are made of.</summary>
    public int InitialNoiseSize { get; init; } = 5;

    /// <summary>The widths of the hidden layers of every network.</summary>
    public IReadOnlyList<int> Hidden { get; init; } = [16];

    /// <summary>The size of the discriminator's state.</summary>
    public int DiscriminatorSize { get; init; } = 16;

    /// <summary>The generator takes midpoint steps with recorded gradients instead of reversible Heun ones.</summary>
    public bool MidpointSolver { get; init; }

    /// <summary>Solver steps in a step of the data.</summary>
    public int StepsPerUnit { get; init; } = 1;

    /// <summary>The gain on the first weights of the network of initial states.</summary>
    public double InitialGain { get; init; } = 3;

    /// <summary>The gain on the first weights of drift and diffusion.</summary>
    public double FieldGain { get; init; } = 1;

    /// <summary>A factor on the generator's learning rate.</summary>
    public double GeneratorRate { get; init; } = 1;

    /// <summary>A factor on the discriminator's learning rate. It must lead: where both learn alike the generator's noise dies out.</summary>
    public double DiscriminatorRate { get; init; } = 10;

    /// <summary>A further factor for the networks of initial states.</summary>
    public double InitialRate { get; init; } = 10;

    /// <summary>Updates of the discriminator in an iteration.</summary>
    public int DiscriminatorSteps { get; init; } = 1;

    /// <summary>The weight of the generator's error estimate; 0 for none.</summary>
    public double ErrorPenalty { get; init; }

    /// <summary>The weight of the generator's stiffness estimate; 0 for none.</summary>
    public double StiffnessPenalty { get; init; }

    internal Core.SdeGanOptions Inner() =>
        new(
            Logarithm,
            HiddenSize,
            NoiseSize,
            InitialNoiseSize,
            [.. Hidden ?? []],
            DiscriminatorSize,
            MidpointSolver ? Core.SdeGanSolver.Midpoint : Core.SdeGanSolver.ReversibleHeun,
            StepsPerUnit,
            InitialGain,
            FieldGain,
            GeneratorRate,
            DiscriminatorRate,
            InitialRate,
            DiscriminatorSteps,
            ErrorPenalty,
            StiffnessPenalty,
            Loop(Core.SdeGanOptions.Default.Loop.Optimizer, Core.LearningRateSchedule.Constant)
        );
}

/// <summary>
/// An SDE whose paths a neural CDE cannot tell from the data: a generator trained against a discriminator (Kidger, Foster, Li and Lyons 2021).
/// </summary>
/// <remarks>It owns native memory: dispose it. One thread may use it at a time.</remarks>
public sealed class SdeGanModel : IDisposable
{
    private readonly Core.SdeGanModel _model;

    private SdeGanModel(Core.SdeGanModel model) => _model = model;

    /// <summary>The names of the columns.</summary>
    public IReadOnlyList<string> ColumnNames => _model.Config.Columns;

    /// <summary>The name of time.</summary>
    public string TimeName => _model.Config.TimeName;

    /// <summary>The times of generated paths, those of the training data counted from 0.</summary>
    public IReadOnlyList<double> Times => [.. Enumerable.Range(0, _model.Config.Steps + 1).Select(k => k * _model.Config.TimeUnit)];

    /// <summary>Trains a generator on many paths of the same columns and length.</summary>
    /// <param name="series">The paths, equally spaced in time.</param>
    /// <param name="options">The networks and their training; null for the defaults.</param>
    /// <param name="progress">Told after every iteration.</param>
    /// <param name="cancellationToken">Stops the training between two iterations, after a checkpoint where a path for one is given.</param>
    /// <exception cref="ArgumentException">An option is out of range, or the data do not suit it.</exception>
    /// <exception cref="FitException">The loss did not stay finite.</exception>
    /// <exception cref="OperationCanceledException">The training was cancelled.</exception>
    /// <exception cref="InvalidDataException">The checkpoint to resume from is damaged or foreign.</exception>
    public static SdeGanModel Fit(
        IReadOnlyList<TimeSeries> series,
        SdeGanOptions? options = null,
        IProgress<FitProgress>? progress = null,
        CancellationToken cancellationToken = default
    )
    {
        Core.SdeGanFit fit = Interop.FitPaths(
            Core.SdeGanFitModule.run,
            (options ?? new()).Inner(),
            series,
            progress,
            cancellationToken
        );
        return new(fit.Model);
    }

    /// <summary>Reads a model that <see cref="Save"/> wrote.</summary>
    /// <exception cref="InvalidDataException">The file is damaged, or holds something else.</exception>
    /// <exception cref="FileNotFoundException">There is no such file.</exception>
    public static SdeGanModel Load(string path)
    {
        ArgumentException.ThrowIfNullOrWhiteSpace(path);
        return new(Core.SdeGanModel.Load(path));
    }

    /// <summary>Writes the model as a safetensors file, atomically.</summary>
    /// <exception cref="IOException">The file could not be written; an old one is unchanged.</exception>
    public void Save(string path)
    {
        ArgumentException.ThrowIfNullOrWhiteSpace(path);
        _model.Save(path);
    }

    /// <summary>Draws new paths at <see cref="Times"/>.</summary>
    /// <param name="paths">The number of paths.</param>
    /// <param name="seed">Path i depends on the seed and i alone.</param>
    /// <exception cref="ArgumentException">No paths are asked for.</exception>
    public SimulatedPaths Simulate(int paths, int seed = 0)
    {
        return new(TimeName, ColumnNames, Times, _model.Simulate(Interop.Seed(seed), 0, paths));
    }

    /// <summary>Frees the model.</summary>
    public void Dispose() => ((IDisposable)_model).Dispose();
}
