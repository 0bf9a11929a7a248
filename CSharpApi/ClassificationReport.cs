extern alias core;

using System;
using System.Collections.Generic;
using System.Globalization;
using System.Linq;
using Core = core::Continuum;

namespace Continuum;

/// <summary>A number with its 95 % interval.</summary>
/// <param name="Value">The estimate.</param>
/// <param name="Lower">The lower end.</param>
/// <param name="Upper">The upper end.</param>
public readonly record struct Interval(double Value, double Lower, double Upper)
{
    /// <summary>The estimate and the interval with three decimals.</summary>
    public override string ToString() =>
        double.IsNaN(Lower)
            ? Value.ToString("F3", CultureInfo.InvariantCulture)
            : string.Create(CultureInfo.InvariantCulture, $"{Value:F3} [{Lower:F3}, {Upper:F3}]");
}

/// <summary>A point of a receiver operating characteristic.</summary>
/// <param name="FalsePositiveRate">The share of class 0 that scores at least the threshold.</param>
/// <param name="TruePositiveRate">The share of class 1 that does.</param>
public readonly record struct RocPoint(double FalsePositiveRate, double TruePositiveRate);

/// <summary>How good predicted probabilities of classes are.</summary>
public sealed class ClassificationReport
{
    private readonly int[] _labels;
    private readonly double[] _scores;

    /// <summary>Compares probabilities with classes.</summary>
    /// <param name="labels">The class of each subject, from 0.</param>
    /// <param name="probabilities">The probability of each class, of shape (subjects, classes).</param>
    /// <exception cref="ArgumentException">The lengths differ, nothing is given, or a label is out of range.</exception>
    public ClassificationReport(IReadOnlyList<int> labels, double[,] probabilities)
    {
        ArgumentNullException.ThrowIfNull(labels);
        ArgumentNullException.ThrowIfNull(probabilities);
        _labels = [.. labels];
        Accuracy = Core.ClassificationMetrics.accuracy(_labels, probabilities);
        LogLoss = Core.ClassificationMetrics.logLoss(_labels, probabilities);
        bool both = _labels.Distinct().Count() > 1;
        _scores = probabilities.GetLength(1) == 2 ? [.. Enumerable.Range(0, _labels.Length).Select(i => probabilities[i, 1])] : [];
        if (_scores.Length > 0)
        {
            Brier = Core.ClassificationMetrics.brier(_labels, _scores);
            AveragePrecision = both ? Core.ClassificationMetrics.averagePrecision(_labels, _scores) : double.NaN;
            Auroc = both ? Convert(Core.ClassificationMetrics.aurocInterval(_labels, _scores)) : new(double.NaN, double.NaN, double.NaN);
        }
        else
        {
            double macro = both ? Core.ClassificationMetrics.macroAuroc(_labels, probabilities) : double.NaN;
            Auroc = new(macro, double.NaN, double.NaN);
        }
    }

    /// <summary>The number of subjects.</summary>
    public int Count => _labels.Length;

    /// <summary>
    /// The area under the receiver operating characteristic with DeLong's interval; the mean over the classes, without one, where there are more
    /// than two. NaN where all subjects have one class.
    /// </summary>
    public Interval Auroc { get; }

    /// <summary>The share of subjects whose most probable class is theirs.</summary>
    public double Accuracy { get; }

    /// <summary>The mean of -log of the probability of the true class.</summary>
    public double LogLoss { get; }

    /// <summary>The mean squared distance of the probability of class 1 from the class; NaN for more than two classes.</summary>
    public double Brier { get; } = double.NaN;

    /// <summary>The mean precision over the subjects of class 1; NaN for more than two classes.</summary>
    public double AveragePrecision { get; } = double.NaN;

    /// <summary>The receiver operating characteristic from (0, 0) to (1, 1); tied scores make one point.</summary>
    /// <exception cref="InvalidOperationException">There are more than two classes, or one alone was seen.</exception>
    public IReadOnlyList<RocPoint> RocCurve()
    {
        double positive = _labels.Count(label => label == 1);
        double negative = _labels.Length - positive;
        if (_scores.Length == 0 || positive == 0 || negative == 0)
        {
            throw new InvalidOperationException("a receiver operating characteristic needs subjects of two classes");
        }

        List<RocPoint> points = [new(0, 0)];
        (double ones, double zeros) = (0, 0);
        foreach (IGrouping<double, int> tied in Enumerable.Range(0, Count).GroupBy(i => _scores[i]).OrderByDescending(group => group.Key))
        {
            ones += tied.Count(i => _labels[i] == 1);
            zeros += tied.Count(i => _labels[i] == 0);
            points.Add(new(zeros / negative, ones / positive));
        }

        return points;
    }

    /// <summary>The AUROC of this report minus that of another on the same subjects, with DeLong's interval for correlated curves.</summary>
    /// <exception cref="ArgumentException">The subjects' classes differ, there are more than two, or one alone was seen.</exception>
    public Interval AurocMinus(ClassificationReport other)
    {
        ArgumentNullException.ThrowIfNull(other);
        return _scores.Length > 0 && other._scores.Length > 0 && _labels.SequenceEqual(other._labels)
            ? Convert(Core.ClassificationMetrics.aurocDifference(_labels, _scores, other._scores))
            : throw new ArgumentException("the reports are not about the same subjects with two classes", nameof(other));
    }

    /// <summary>The numbers in one line.</summary>
    public override string ToString() =>
        string.Create(CultureInfo.InvariantCulture, $"AUROC {Auroc}, accuracy {Accuracy:F3}, log loss {LogLoss:F3} ({Count} subjects)");

    private static Interval Convert(Core.MetricInterval interval) => new(interval.Value, interval.Lower, interval.Upper);
}
