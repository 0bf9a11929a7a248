extern alias core;

using System;
using System.Collections.Generic;
using System.IO;
using System.Linq;
using System.Threading;
using Core = core::Continuum;

namespace Continuum;

/// <summary>How <see cref="LatentSdeModel.Fit"/> fits a latent SDE.</summary>
public sealed record LatentSdeOptions : PathTrainingSettings
{
    /// <summary>The defaults: 600 iterations of 32 windows of 30 rows.</summary>
    public LatentSdeOptions()
    {
        Iterations = 600;
        BatchSize = 32;
        LearningRate = 0.01;
    }

    /// <summary>Model logarithms. Default (null): when every value is above 0.</summary>
    public bool? Logarithm { get; init; }

    /// <summary>The number of latent components.</summary>
    public int LatentSize { get; init; } = 4;

    /// <summary>The size of the encoder's state.</summary>
    public int ContextSize { get; init; } = 16;

    /// <summary>The widths of the drifts' hidden layers.</summary>
    public IReadOnlyList<int> Hidden { get; init; } = [32];

    /// <summary>The widths of the decoder's hidden layers; empty for a linear one.</summary>
    public IReadOnlyList<int> DecoderHidden { get; init; } = [];

    /// <summary>The nonlinearity of the networks.</summary>
    public NeuralActivation Activation { get; init; } = NeuralActivation.Softplus;

    /// <summary>The least diffusion of a latent component per root of the median step.</summary>
    public double Floor { get; init; } = 0.05;

    /// <summary>
    /// The standard deviation of observations about the decoded state, in units of each column's own: a small one leaves the fluctuations of
    /// the data to the diffusion.
    /// </summary>
    public double ObservationNoise { get; init; } = 0.1;

    /// <summary>The observation noise is learned, from that value on.</summary>
    public bool LearnNoise { get; init; }

    /// <summary>Steps of the solver in a median step of the data.</summary>
    public int StepsPerUnit { get; init; } = 1;

    /// <summary>The rows of the windows that long series are cut into; 0: series as they are.</summary>
    public int Window { get; init; } = 30;

    /// <summary>The share of the iterations in which the weight of the divergence grows to <see cref="KlWeight"/>.</summary>
    public double KlWarmup { get; init; } = 0.3;

    /// <summary>The weight of the divergence of posterior and prior; 1 gives the evidence lower bound.</summary>
    public double KlWeight { get; init; } = 1;

    /// <summary>The weight of the solver's error estimate (Pal et al. 2021); 0 for none.</summary>
    public double ErrorPenalty { get; init; }

    /// <summary>The weight of the solver's stiffness estimate; 0 for none.</summary>
    public double StiffnessPenalty { get; init; }

    internal Core.LatentSdeOptions Inner() =>
        new(
            Logarithm,
            LatentSize,
            ContextSize,
            [.. Hidden ?? []],
            [.. DecoderHidden ?? []],
            Interop.Activation(Activation),
            Floor,
            ObservationNoise,
            LearnNoise,
            StepsPerUnit,
            Window,
            KlWarmup,
            KlWeight,
            ErrorPenalty,
            StiffnessPenalty,
            Loop(Core.OptimizerKind.Adam, Core.LearningRateSchedule.Cosine)
        );
}

/// <summary>
/// A latent SDE: a stochastic equation that is not observed itself, its decoder, and a posterior given data, fitted by the evidence lower bound
/// (Li, Wong, Chen and Duvenaud 2020).
/// </summary>
/// <remarks>It owns native memory: dispose it. One thread may use it at a time.</remarks>
public sealed class LatentSdeModel : IDisposable
{
    private readonly Core.LatentSdeModel _model;

    private LatentSdeModel(Core.LatentSdeModel model, Core.LatentSdeFit? fit)
    {
        _model = model;
        EvidenceLowerBound = fit?.EvidenceLowerBound ?? double.NaN;
        KullbackLeibler = fit?.KullbackLeibler ?? double.NaN;
        NoiseToData = fit?.NoiseToData ?? double.NaN;
    }

    /// <summary>The names of the columns.</summary>
    public IReadOnlyList<string> ColumnNames => _model.Config.Columns;

    /// <summary>The name of time.</summary>
    public string TimeName => _model.Config.TimeName;

    /// <summary>The evidence lower bound per observed value at the end of the fit, in scaled coordinates; NaN for a model from a file.</summary>
    public double EvidenceLowerBound { get; }

    /// <summary>The divergence of posterior and prior per observed value; NaN for a model from a file.</summary>
    public double KullbackLeibler { get; }

    /// <summary>
    /// What the latent noise contributes to an observed step, in units of the data's own: near 0, the diffusion has collapsed. NaN for a model from a file.
    /// </summary>
    public double NoiseToData { get; }

    /// <summary>Fits a latent SDE to series of the same columns.</summary>
    /// <param name="series">The observations.</param>
    /// <param name="options">The model and its training; null for the defaults.</param>
    /// <param name="progress">Told after every iteration.</param>
    /// <param name="cancellationToken">Stops the fit between two iterations, after a checkpoint where a path for one is given.</param>
    /// <exception cref="ArgumentException">An option is out of range, or the data do not suit it.</exception>
    /// <exception cref="FitException">The loss did not stay finite.</exception>
    /// <exception cref="OperationCanceledException">The fit was cancelled.</exception>
    /// <exception cref="InvalidDataException">The checkpoint to resume from is damaged or foreign.</exception>
    public static LatentSdeModel Fit(
        IReadOnlyList<TimeSeries> series,
        LatentSdeOptions? options = null,
        IProgress<FitProgress>? progress = null,
        CancellationToken cancellationToken = default
    )
    {
        Core.LatentSdeFit fit = Interop.FitPaths(
            Core.LatentSdeFitModule.run,
            (options ?? new()).Inner(),
            series,
            progress,
            cancellationToken
        );
        return new(fit.Model, fit);
    }

    /// <summary>Reads a model that <see cref="Save"/> wrote, or a checkpoint of a fit.</summary>
    /// <exception cref="InvalidDataException">The file is damaged, or holds something else.</exception>
    /// <exception cref="FileNotFoundException">There is no such file.</exception>
    public static LatentSdeModel Load(string path)
    {
        ArgumentException.ThrowIfNullOrWhiteSpace(path);
        return new(Core.LatentSdeModel.Load(path), null);
    }

    /// <summary>Writes the model as a safetensors file, atomically.</summary>
    /// <exception cref="IOException">The file could not be written; an old one is unchanged.</exception>
    public void Save(string path)
    {
        ArgumentException.ThrowIfNullOrWhiteSpace(path);
        _model.Save(path);
    }

    /// <summary>Samples of the prior: new paths like those of the data.</summary>
    /// <param name="paths">The number of paths.</param>
    /// <param name="times">Rising times after a start of 0, which itself is allowed.</param>
    /// <param name="seed">Path i depends on the seed and i alone.</param>
    /// <param name="observationNoise">Adds the noise of observations.</param>
    /// <exception cref="ArgumentException">Times do not rise from 0.</exception>
    public SimulatedPaths Sample(int paths, IReadOnlyList<double> times, int seed = 0, bool observationNoise = true)
    {
        ArgumentNullException.ThrowIfNull(times);
        return new(TimeName, ColumnNames, times, _model.Sample([.. times], Interop.Seed(seed), 0, paths, observationNoise));
    }

    /// <summary>Paths of the posterior given a series: within the series they reconstruct it, after its end they forecast.</summary>
    /// <param name="series">The series.</param>
    /// <param name="paths">The number of paths.</param>
    /// <param name="times">Rising times from the series' first on.</param>
    /// <param name="seed">Path i depends on the seed and i alone.</param>
    /// <param name="observationNoise">Adds the noise of observations.</param>
    /// <exception cref="ArgumentException">The series or the times do not suit the model.</exception>
    public SimulatedPaths Simulate(TimeSeries series, int paths, IReadOnlyList<double> times, int seed = 0, bool observationNoise = true)
    {
        ArgumentNullException.ThrowIfNull(series);
        ArgumentNullException.ThrowIfNull(times);
        double[,,] values = _model.Simulate(Interop.Path(series), [.. times], Interop.Seed(seed), 0, paths, observationNoise);
        return new(TimeName, ColumnNames, times, values);
    }

    /// <summary>Frees the model.</summary>
    public void Dispose() => ((IDisposable)_model).Dispose();
}
