using System;
using System.Collections.Generic;
using System.Linq;

namespace Continuum;

/// <summary>How far an operator's images are from the truth.</summary>
/// <param name="RelativeL2">
/// For each sample the relative distance in the L2 norm, by the quadrature of the points, under the mask where there is one. A truth of root mean square below 1e-6
/// counts as 1e-6: a sample whose truth is zero gives a huge number; look at the median.
/// </param>
/// <param name="RelativeH1">The same in the H1 norm, which counts first derivatives too; NaN at clouds of points, which have no derivatives.</param>
/// <param name="Points">The points of each axis on which they were compared.</param>
public sealed record OperatorEvaluation(IReadOnlyList<double> RelativeL2, IReadOnlyList<double> RelativeH1, IReadOnlyList<int> Points)
{
    /// <summary>Mean of <see cref="RelativeL2"/>.</summary>
    public double MeanL2 => RelativeL2.Average();

    /// <summary>Mean of <see cref="RelativeH1"/>.</summary>
    public double MeanH1 => RelativeH1.Average();

    /// <summary>Median of <see cref="RelativeL2"/>.</summary>
    public double MedianL2 => Median(RelativeL2);

    /// <summary>Median of <see cref="RelativeH1"/>.</summary>
    public double MedianH1 => Median(RelativeH1);

    /// <summary>The largest of <see cref="RelativeL2"/>.</summary>
    public double WorstL2 => RelativeL2.Max();

    /// <summary>The largest of <see cref="RelativeH1"/>.</summary>
    public double WorstH1 => RelativeH1.Max();

    /// <summary>The sample of the largest <see cref="RelativeL2"/>.</summary>
    public int Worst => Ranking[^1];

    /// <summary>The samples from the smallest <see cref="RelativeL2"/> to the largest.</summary>
    public IReadOnlyList<int> Ranking => [.. Enumerable.Range(0, RelativeL2.Count).OrderBy(sample => RelativeL2[sample])];

    private static double Median(IReadOnlyList<double> values)
    {
        double[] rising = [.. values.Order()];
        return 0.5 * (rising[(rising.Length - 1) / 2] + rising[rising.Length / 2]);
    }
}

/// <summary>A point of a learning curve.</summary>
/// <param name="Iteration">Iterations done.</param>
/// <param name="Loss">The mean loss since the point before.</param>
/// <param name="Validation">The mean relative L2 error over the validation data; NaN without any.</param>
public readonly record struct LearningPoint(int Iteration, double Loss, double Validation);
