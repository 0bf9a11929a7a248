extern alias core;

using System;
using System.Collections.Generic;
using System.IO;
using System.Linq;
using System.Threading;
using Core = core::Continuum;

namespace Continuum;

/// <summary>A differential equation fitted to a time series, and its forecasts.</summary>
/// <remarks>It owns native memory: dispose it. One thread may use it at a time.</remarks>
public sealed class Forecaster : IDisposable
{
    private readonly Core.ForecastModel _model;
    private long _evaluations;
    private bool _disposed;

    private Forecaster(Core.ForecastModel model, double trainingLoss, long evaluations)
    {
        _model = model;
        TrainingLoss = trainingLoss;
        _evaluations = evaluations;
    }

    /// <summary>The names of the columns, in the order of the data.</summary>
    public IReadOnlyList<string> ColumnNames => _model.Config.Coordinates.Columns;

    /// <summary>The name of the time column.</summary>
    public string TimeName => _model.Config.Coordinates.TimeName;

    /// <summary>The first time of the training data; forecasts start there.</summary>
    public double FirstTime => _model.Config.Coordinates.Origin;

    /// <summary>The last time of the training data.</summary>
    public double LastTime => _model.LastTime;

    /// <summary>The median step of the training data.</summary>
    public double TypicalStep => _model.Config.Coordinates.TimeUnit;

    /// <summary>What the right-hand side is made of.</summary>
    public ForecastModelKind Model => (ForecastModelKind)(int)_model.Config.Kind;

    /// <summary>The law's name; "none" for a neural ODE.</summary>
    public string Prior =>
        Model == ForecastModelKind.NeuralOde ? "none" : Core.MechanismModule.name(_model.Config.Mechanism);

    /// <summary>The law's parameters in the units of the data; empty for a neural ODE.</summary>
    public IReadOnlyList<KeyValuePair<string, double>> Parameters => _model.Parameters;

    /// <summary>
    /// The standard errors of <see cref="Parameters"/>, NaN where the data do not determine one; empty unless the model is
    /// <see cref="ForecastModelKind.Mechanistic"/>.
    /// </summary>
    public IReadOnlyList<double> ParameterErrors => _model.ParameterErrors;

    /// <summary>
    /// The mean squared misfit of the fitted trajectories over the training rows, in units of each column's variance (that of its
    /// logarithm when states are positive).
    /// </summary>
    public double TrainingLoss { get; }

    /// <summary>Evaluations of the right-hand side so far, in fitting and forecasting.</summary>
    public long Evaluations => _evaluations;

    /// <summary>The seed of the fit.</summary>
    public int Seed => _model.Config.Seed;

    /// <summary>Fits a model to a time series with at least three rows.</summary>
    /// <param name="data">The observations.</param>
    /// <param name="options">The model and how to fit it; null for the defaults.</param>
    /// <param name="progress">Told after every iteration; it may come from another thread, as its implementation decides.</param>
    /// <param name="cancellationToken">Stops the fit between two iterations, after a checkpoint where a path for one is given.</param>
    /// <exception cref="ArgumentException">An option is out of range, the data do not suit it, or a checkpoint to resume was made with others.</exception>
    /// <exception cref="FitException">The loss did not stay finite.</exception>
    /// <exception cref="OperationCanceledException">The fit was cancelled.</exception>
    /// <exception cref="InvalidDataException">The checkpoint to resume from is damaged or foreign.</exception>
    /// <exception cref="IOException">A checkpoint could not be written.</exception>
    public static Forecaster Fit(
        TimeSeries data,
        FitOptions? options = null,
        IProgress<FitProgress>? progress = null,
        CancellationToken cancellationToken = default
    )
    {
        ArgumentNullException.ThrowIfNull(data);
        options ??= new FitOptions();
        Core.TrainingOptions training = Translate(options);
        TimeSeries rows = Training(data, options.TrainUntil);
        Core.FitResult result = Interop.Fitted(() =>
            Core.Fit.run(
                training,
                rows.TimeName,
                [.. rows.ColumnNames],
                [.. rows.Times],
                rows.Values,
                Interop.Report(progress),
                cancellationToken
            )
        );
        return new Forecaster(result.Model, result.Loss, result.Evaluations);
    }

    /// <summary>Reads a model that <see cref="Save"/> wrote, or a checkpoint of a fit.</summary>
    /// <exception cref="InvalidDataException">The file is damaged, or holds something else.</exception>
    /// <exception cref="FileNotFoundException">There is no such file.</exception>
    public static Forecaster Load(string path)
    {
        ArgumentException.ThrowIfNullOrWhiteSpace(path);
        Core.FitResult result = Core.Fit.load(path);
        return new Forecaster(result.Model, result.Loss, result.Evaluations);
    }

    /// <summary>Writes the model as a safetensors file, atomically: its forecasts after <see cref="Load"/> are the same bit for bit.</summary>
    /// <exception cref="IOException">The file could not be written; an old one is unchanged.</exception>
    public void Save(string path)
    {
        ArgumentException.ThrowIfNullOrWhiteSpace(path);
        ObjectDisposedException.ThrowIf(_disposed, this);
        _model.Save(path, TrainingLoss, _evaluations);
    }

    /// <summary>
    /// The states at rising times at or after <see cref="FirstTime"/>. They follow the last fitted initial state at or before each time,
    /// so that everything after <see cref="LastTime"/> continues one trajectory.
    /// </summary>
    /// <exception cref="ArgumentException">There is no time, a time is too early or not finite, or times do not rise.</exception>
    /// <exception cref="FitException">The trajectory leaves every bound before the last time.</exception>
    public TimeSeries Forecast(IReadOnlyList<double> times)
    {
        ArgumentNullException.ThrowIfNull(times);
        ObjectDisposedException.ThrowIf(_disposed, this);
        try
        {
            double[,] values = _model.Forecast([.. times], ref _evaluations);
            return values.Cast<double>().All(double.IsFinite)
                ? new TimeSeries(TimeName, ColumnNames, times, values)
                : throw new FitException("the forecast leaves the range of numbers; ask for earlier times or fit another model");
        }
        catch (Core.SolveFailedException error)
        {
            double reached = FirstTime + (error.Time * TypicalStep);
            throw new FitException(
                $"the forecast fails about {TimeSeries.Text(reached)}: {error.Message.ReplaceLineEndings(" ")}",
                error
            );
        }
    }

    /// <summary>The forecast that everything stays as in the last row of <paramref name="train"/>: what a model has to beat.</summary>
    /// <exception cref="ArgumentException">There is no time, or times do not rise.</exception>
    public static TimeSeries Persistence(TimeSeries train, IReadOnlyList<double> times)
    {
        ArgumentNullException.ThrowIfNull(train);
        ArgumentNullException.ThrowIfNull(times);
        double[,] values = new double[times.Count, train.ColumnNames.Count];
        for (int row = 0; row < times.Count; row++)
        {
            for (int column = 0; column < train.ColumnNames.Count; column++)
            {
                values[row, column] = train[train.Count - 1, column];
            }
        }

        return new TimeSeries(train.TimeName, train.ColumnNames, times, values);
    }

    /// <summary>Frees the model.</summary>
    public void Dispose()
    {
        _disposed = true;
        ((IDisposable)_model).Dispose();
    }

    private static TimeSeries Training(TimeSeries data, double? until)
    {
        if (until is not double time)
        {
            return data;
        }

        int count = data.Times.Count(t => t <= time);
        return count >= 3
            ? data.Slice(data.Times[0], time)
            : throw new ArgumentException(
                $"{count} rows lie at or before TrainUntil = {TimeSeries.Text(time)}; fitting needs at least three, and the series starts at {TimeSeries.Text(data.Times[0])}"
            );
    }

    private static Core.TrainingOptions Translate(FitOptions options)
    {
        if (!Enum.IsDefined(options.Model))
        {
            throw new ArgumentException($"there is no model {options.Model}; use Hybrid, NeuralOde or Mechanistic");
        }

        return Core.TrainingOptions.Create(
            (Core.ModelKind)(int)options.Model,
            options.Prior ?? "auto",
            [.. options.Hidden ?? []],
            options.Positive,
            options.Iterations,
            options.LearningRate,
            options.Seed,
            options.WindowLength,
            options.CheckpointPath,
            options.CheckpointEvery,
            options.Resume,
            options.Threads
        );
    }
}
