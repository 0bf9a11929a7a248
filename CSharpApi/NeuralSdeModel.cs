extern alias core;

using System;
using System.Collections.Generic;
using System.IO;
using System.Linq;
using System.Threading;
using Core = core::Continuum;

namespace Continuum;

/// <summary>
/// A stochastic differential equation dx = f dt + L dW with networks for drift f and diffusion L, fitted to time series by the likelihood of
/// their transitions; x is the data or its logarithm.
/// </summary>
/// <remarks>It owns native memory: dispose it. One thread may use it at a time.</remarks>
/// <example><code>
/// var (train, held) = TimeSeries.ReadCsv("eu-stock-markets.csv").Split(1997);
/// using var model = NeuralSdeModel.Fit(train);
/// SimulatedPaths paths = model.Simulate(1000, held.Times, seed: 1);
/// var fan = paths.Quantiles(0.05, 0.5, 0.95);
/// </code></example>
public sealed class NeuralSdeModel : IPathModel, IDisposable
{
    private readonly Core.NeuralSdeModel _model;

    private NeuralSdeModel(Core.NeuralSdeModel model, Core.NeuralSdeFit? fit)
    {
        _model = model;
        TrainingLoss = fit?.TrainingLoss ?? double.NaN;
        ValidationLoss = fit?.ValidationLoss ?? double.NaN;
        Iterations = fit?.Training.Iterations ?? 0;
    }

    /// <summary>The names of the columns, in the order of the data.</summary>
    public IReadOnlyList<string> ColumnNames => _model.Config.Columns;

    /// <summary>The name of the time column.</summary>
    public string TimeName => _model.Config.TimeName;

    /// <summary>The first time of the training data.</summary>
    public double FirstTime => _model.Config.Origin;

    /// <summary>The last time of the training data: simulations without a history start there.</summary>
    public double LastTime => _model.LastTime;

    /// <summary>The median step of the training data.</summary>
    public double TypicalStep => _model.Config.TimeUnit;

    /// <summary>Whether logarithms are modelled.</summary>
    public bool IsLogarithmic => _model.Config.Logarithm;

    /// <summary>Minus the mean log density of the training transitions, in the units of <see cref="LogDensities"/>; NaN for a model from a file.</summary>
    public double TrainingLoss { get; }

    /// <summary>The same of the validation transitions; NaN where there are none and for a model from a file.</summary>
    public double ValidationLoss { get; }

    /// <summary>Iterations done by the fit; 0 for a model from a file.</summary>
    public int Iterations { get; }

    /// <summary>Fits a neural SDE to a series with at least ten rows.</summary>
    /// <param name="data">The observations.</param>
    /// <param name="options">The model and its training; null for the defaults.</param>
    /// <param name="progress">Told after every iteration.</param>
    /// <param name="cancellationToken">Stops the fit between two iterations, after a checkpoint where a path for one is given.</param>
    /// <exception cref="ArgumentException">
    /// An option is out of range, the data do not suit it (a constant column, a value without logarithm), or a checkpoint was made with others.
    /// </exception>
    /// <exception cref="FitException">The loss did not stay finite.</exception>
    /// <exception cref="OperationCanceledException">The fit was cancelled.</exception>
    /// <exception cref="InvalidDataException">The checkpoint to resume from is damaged or foreign.</exception>
    public static NeuralSdeModel Fit(
        TimeSeries data,
        NeuralSdeOptions? options = null,
        IProgress<FitProgress>? progress = null,
        CancellationToken cancellationToken = default
    )
    {
        ArgumentNullException.ThrowIfNull(data);
        return Fit([data], options, progress, cancellationToken);
    }

    /// <summary>As the overload for one series, for several of the same columns; simulations go on from the end of the last.</summary>
    /// <param name="series">The observations.</param>
    /// <param name="options">The model and its training; null for the defaults.</param>
    /// <param name="progress">Told after every iteration.</param>
    /// <param name="cancellationToken">Stops the fit between two iterations, after a checkpoint where a path for one is given.</param>
    /// <exception cref="ArgumentException">An option is out of range, or the data do not suit it.</exception>
    /// <exception cref="FitException">The loss did not stay finite.</exception>
    /// <exception cref="OperationCanceledException">The fit was cancelled.</exception>
    /// <exception cref="InvalidDataException">The checkpoint to resume from is damaged or foreign.</exception>
    public static NeuralSdeModel Fit(
        IReadOnlyList<TimeSeries> series,
        NeuralSdeOptions? options = null,
        IProgress<FitProgress>? progress = null,
        CancellationToken cancellationToken = default
    )
    {
        Core.NeuralSdeFit fit = Interop.FitPaths(
            Core.NeuralSdeFitModule.run,
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
    public static NeuralSdeModel Load(string path)
    {
        ArgumentException.ThrowIfNullOrWhiteSpace(path);
        return new(Core.NeuralSdeModel.Load(path), null);
    }

    /// <summary>Writes the model as a safetensors file, atomically: its simulations after <see cref="Load"/> are the same bit for bit.</summary>
    /// <exception cref="IOException">The file could not be written; an old one is unchanged.</exception>
    public void Save(string path)
    {
        ArgumentException.ThrowIfNullOrWhiteSpace(path);
        _model.Save(path);
    }

    /// <summary>Simulates paths by steps of Euler and Maruyama, about one median step of the data long.</summary>
    /// <param name="paths">The number of paths.</param>
    /// <param name="times">Rising times after the end of the history.</param>
    /// <param name="seed">Path i depends on the seed and i alone, not on the number of paths.</param>
    /// <param name="history">What the paths go on from; null for the data that the model was fitted to.</param>
    /// <exception cref="ArgumentException">The history does not suit the model, or times do not rise from its end.</exception>
    /// <exception cref="FitException">A path left the range of numbers.</exception>
    public SimulatedPaths Simulate(int paths, IReadOnlyList<double> times, int seed = 0, TimeSeries? history = null) =>
        Simulate(paths, times, 1, seed, history);

    /// <summary>As the overload without it, with every step cut into <paramref name="substeps"/>.</summary>
    /// <param name="paths">The number of paths.</param>
    /// <param name="times">Rising times after the end of the history.</param>
    /// <param name="substeps">Steps of the solver in a median step of the data; more matter only where the model sees state or time.</param>
    /// <param name="seed">Path i depends on the seed and i alone, not on the number of paths.</param>
    /// <param name="history">What the paths go on from; null for the data that the model was fitted to.</param>
    /// <exception cref="ArgumentException">The history does not suit the model, or times do not rise from its end.</exception>
    /// <exception cref="FitException">A path left the range of numbers.</exception>
    public SimulatedPaths Simulate(int paths, IReadOnlyList<double> times, int substeps, int seed, TimeSeries? history)
    {
        ArgumentNullException.ThrowIfNull(times);
        double[,,] values = _model.Simulate(Interop.History(history), [.. times], Interop.Seed(seed), 0, paths, substeps);
        return values.Cast<double>().All(double.IsFinite)
            ? new(TimeName, ColumnNames, times, values)
            : throw new FitException("a simulated path leaves the range of numbers; ask for earlier times or fit another model");
    }

    /// <summary>
    /// The log density of every transition of a series, in the units of the increments (of the logarithm, where that is modelled):
    /// comparable with <see cref="GeometricBrownianModel.LogDensities"/>.
    /// </summary>
    /// <param name="data">The series; without a history its memory starts empty.</param>
    /// <param name="history">The rows before it: the first transition then starts at their last row.</param>
    /// <exception cref="ArgumentException">The data do not suit the model.</exception>
    public IReadOnlyList<double> LogDensities(TimeSeries data, TimeSeries? history = null)
    {
        ArgumentNullException.ThrowIfNull(data);
        double[] all = _model.LogDensities(Interop.Path(data.After(history)));
        return history is null ? all : all[^data.Count..];
    }

    /// <summary>The sum of <see cref="LogDensities"/>.</summary>
    /// <param name="data">The series.</param>
    /// <param name="history">The rows before it.</param>
    /// <exception cref="ArgumentException">The data do not suit the model.</exception>
    public double LogLikelihood(TimeSeries data, TimeSeries? history = null) => LogDensities(data, history).Sum();

    /// <summary>
    /// The volatilities per root of time that the model gives at each row for the time after it, from the rows up to it; of the logarithm, where
    /// that is modelled.
    /// </summary>
    /// <exception cref="ArgumentException">The data do not suit the model.</exception>
    public TimeSeries Volatilities(TimeSeries data)
    {
        ArgumentNullException.ThrowIfNull(data);
        return new(data.TimeName, data.ColumnNames, data.Times, _model.Volatilities(Interop.Path(data)));
    }

    /// <summary>Frees the model.</summary>
    public void Dispose() => ((IDisposable)_model).Dispose();
}
