extern alias core;

using System;
using System.Collections.Generic;
using System.Linq;
using Core = core::Continuum;

namespace Continuum;

/// <summary>
/// Logistic regression on the last observed value of each channel, the covariates and the time of the last visit: what a model of whole series
/// has to beat. Missing values take the median, with an indicator; the ridge penalty comes from cross-validation.
/// </summary>
public sealed class LastValueClassifier
{
    private static readonly double[] s_penalties = [0.3, 1, 3, 10, 30, 100];

    private readonly Core.LastValues _table;
    private readonly Core.LogisticModel _model;

    private LastValueClassifier(Core.LastValues table, Core.LogisticModel model)
    {
        _table = table;
        _model = model;
    }

    /// <summary>The ridge penalty that cross-validation chose.</summary>
    public double Penalty => _model.Penalty;

    /// <summary>Fits the regression to data of two classes.</summary>
    /// <param name="data">The training subjects.</param>
    /// <param name="seed">The seed of the folds.</param>
    /// <exception cref="ArgumentException">The data have not two classes, or too few subjects of one.</exception>
    /// <exception cref="InvalidOperationException">The data have no classes.</exception>
    public static LastValueClassifier Fit(IrregularDataset data, int seed = 0)
    {
        ArgumentNullException.ThrowIfNull(data);
        int[] labels = [.. data.Labels];
        int least = Enumerable.Range(0, 2).Min(k => labels.Count(label => label == k));
        if (least < 2)
        {
            throw new ArgumentException($"logistic regression needs two subjects or more of each of two classes; one has {least}", nameof(data));
        }

        Core.LastValues table = Core.LastValuesModule.fit(Core.SeriesScalingModule.fit(null, data.Inner), data.Inner);
        double[,] features = Core.LastValuesModule.table(table, data.Inner);
        return new(table, Core.LogisticRegression.fitCrossValidated(s_penalties, Math.Min(5, least), seed, features, labels));
    }

    /// <summary>The probability of both classes, of shape (subjects, 2).</summary>
    /// <exception cref="ArgumentException">The data have other channels or covariates.</exception>
    public double[,] Predict(IrregularDataset data)
    {
        ArgumentNullException.ThrowIfNull(data);
        double[] chances = _model.Predict(Core.LastValuesModule.table(_table, data.Inner));
        double[,] probabilities = new double[chances.Length, 2];
        for (int i = 0; i < chances.Length; i++)
        {
            probabilities[i, 0] = 1 - chances[i];
            probabilities[i, 1] = chances[i];
        }

        return probabilities;
    }

    /// <summary>How good the predicted classes of labelled subjects are.</summary>
    /// <exception cref="ArgumentException">The data have other channels or covariates.</exception>
    /// <exception cref="InvalidOperationException">The data have no classes.</exception>
    public ClassificationReport Evaluate(IrregularDataset data)
    {
        ArgumentNullException.ThrowIfNull(data);
        return new(data.Labels, Predict(data));
    }
}
