extern alias core;

using System;
using System.Collections.Generic;
using System.IO;
using System.Threading;
using Core = core::Continuum;

namespace Continuum;

/// <summary>
/// A neural controlled differential equation dz = f(z) dX along the path X through a subject's visits: a classifier, regressor or forecaster
/// of irregular series with missing values (Kidger, Morrill, Foster and Lyons 2020), or of log-signatures over windows of them.
/// </summary>
/// <remarks>It owns native memory: dispose it. One thread may use it at a time.</remarks>
public sealed class NeuralCdeModel : IDisposable
{
    private readonly Core.NeuralCdeModel _model;

    private NeuralCdeModel(Core.NeuralCdeModel model, Core.TrainingSummary? training)
    {
        _model = model;
        TrainingLoss = training?.Loss ?? double.NaN;
        ValidationLoss = training?.Validation ?? double.NaN;
        Iterations = training?.Iterations ?? 0;
    }

    /// <summary>What the model predicts.</summary>
    public NeuralCdeTask Task => (NeuralCdeTask)(int)_model.Config.Task;

    /// <summary>The names of the channels that it needs.</summary>
    public IReadOnlyList<string> Channels => _model.Config.Channels;

    /// <summary>The names of the covariates that it needs.</summary>
    public IReadOnlyList<string> Statics => _model.Config.Statics;

    /// <summary>The names of what is predicted: classes, targets or channels.</summary>
    public IReadOnlyList<string> Outputs => _model.Config.Outputs;

    /// <summary>The loss of the last iteration of the fit: cross-entropy, or mean squared distance in units of variances; NaN for a model from a file.</summary>
    public double TrainingLoss { get; }

    /// <summary>The best loss over the validation subjects; NaN where there were none, and for a model from a file.</summary>
    public double ValidationLoss { get; }

    /// <summary>Iterations done by the fit; 0 for a model from a file.</summary>
    public int Iterations { get; }

    /// <summary>Fits a model: a classifier where the data have classes, a regressor where they have targets, else a forecaster.</summary>
    /// <param name="data">The training subjects.</param>
    /// <param name="options">The model and its training; null for the defaults.</param>
    /// <param name="progress">Told after every iteration.</param>
    /// <param name="cancellationToken">Stops the fit between two iterations, after a checkpoint where a path for one is given.</param>
    /// <exception cref="ArgumentException">An option is out of range, or the data have not what the task needs; the message names the subject.</exception>
    /// <exception cref="FitException">The loss did not stay finite.</exception>
    /// <exception cref="OperationCanceledException">The fit was cancelled.</exception>
    /// <exception cref="InvalidDataException">The checkpoint to resume from is damaged or foreign.</exception>
    public static NeuralCdeModel Fit(
        IrregularDataset data,
        NeuralCdeOptions? options = null,
        IProgress<FitProgress>? progress = null,
        CancellationToken cancellationToken = default
    )
    {
        ArgumentNullException.ThrowIfNull(data);
        Core.NeuralCdeFit fit = Interop.Fitted(() =>
            Core.NeuralCde.fit((options ?? new()).Inner(data), data.Inner, Interop.Report(progress), cancellationToken)
        );
        return new(fit.Model, fit.Training);
    }

    /// <summary>Reads a model that <see cref="Save"/> wrote, or a checkpoint of a fit.</summary>
    /// <exception cref="InvalidDataException">The file is damaged, or holds something else.</exception>
    /// <exception cref="FileNotFoundException">There is no such file.</exception>
    public static NeuralCdeModel Load(string path)
    {
        ArgumentException.ThrowIfNullOrWhiteSpace(path);
        return new(Core.NeuralCde.load(path), null);
    }

    /// <summary>Writes the model as a safetensors file, atomically: its predictions after <see cref="Load"/> are the same bit for bit.</summary>
    /// <exception cref="IOException">The file could not be written; an old one is unchanged.</exception>
    public void Save(string path)
    {
        ArgumentException.ThrowIfNullOrWhiteSpace(path);
        _model.Save(path);
    }

    /// <summary>Predictions from whole series, of shape (subjects, outputs): the probability of each class, or the targets in their own units.</summary>
    /// <exception cref="ArgumentException">The data have other channels or covariates than the model was fitted to.</exception>
    /// <exception cref="InvalidOperationException">The model is a forecaster.</exception>
    public double[,] Predict(IrregularDataset data)
    {
        ArgumentNullException.ThrowIfNull(data);
        return _model.Predict(data.Inner);
    }

    /// <summary>The most probable class of each subject, as an index into <see cref="Outputs"/>.</summary>
    /// <exception cref="ArgumentException">The data have other channels or covariates than the model was fitted to.</exception>
    /// <exception cref="InvalidOperationException">The model is no classifier.</exception>
    public IReadOnlyList<int> PredictClasses(IrregularDataset data)
    {
        DemandClasses();
        return Core.ClassificationMetrics.classes(Predict(data));
    }

    /// <summary>
    /// Predictions as the visits arrive: for each subject (visits, outputs), row i from the visits up to i. Of a causal model it uses nothing later.
    /// </summary>
    /// <exception cref="ArgumentException">The data have other channels or covariates than the model was fitted to.</exception>
    /// <exception cref="InvalidOperationException">The model is a forecaster, or one of log-signatures.</exception>
    public IReadOnlyList<double[,]> PredictOverTime(IrregularDataset data)
    {
        ArgumentNullException.ThrowIfNull(data);
        return _model.PredictOverTime(data.Inner);
    }

    /// <summary>The channels at later times of each subject, of shape (times, channels), in the units of the data.</summary>
    /// <param name="data">The subjects.</param>
    /// <param name="times">For each subject rising times after its last visit.</param>
    /// <exception cref="ArgumentException">Times do not rise from a subject's last visit, or the data have other channels.</exception>
    /// <exception cref="InvalidOperationException">The model is no forecaster.</exception>
    public IReadOnlyList<double[,]> Forecast(IrregularDataset data, IReadOnlyList<double[]> times)
    {
        ArgumentNullException.ThrowIfNull(data);
        ArgumentNullException.ThrowIfNull(times);
        return _model.Forecast(data.Inner, [.. times]);
    }

    /// <summary>How good the predicted classes of labelled subjects are.</summary>
    /// <exception cref="ArgumentException">The data have other channels or covariates than the model was fitted to.</exception>
    /// <exception cref="InvalidOperationException">The model is no classifier, or the data have no classes.</exception>
    public ClassificationReport Evaluate(IrregularDataset data)
    {
        ArgumentNullException.ThrowIfNull(data);
        DemandClasses();
        return new(data.Labels, Predict(data));
    }

    /// <summary>Frees the model.</summary>
    public void Dispose() => ((IDisposable)_model).Dispose();

    private void DemandClasses()
    {
        if (Task != NeuralCdeTask.Classification)
        {
            throw new InvalidOperationException($"this model is for {Task}, not for classes");
        }
    }
}
