using System;
using System.Collections.Generic;
using System.Linq;

namespace Continuum;

/// <summary>How far an operator's images are from the truth.</summary>
/// <param name="RelativeL2">For each sample the relative distance in the L2 norm, by the quadrature of the points.</param>
/// <param name="RelativeH1">The same in the H1 norm, which counts first derivatives too.</param>
/// <param name="Points">The points of each axis on which they were compared.</param>
public sealed record OperatorEvaluation(IReadOnlyList<double> RelativeL2, IReadOnlyList<double> RelativeH1, IReadOnlyList<int> Points)
{
    /// <summary>Mean of <see cref="RelativeL2"/>.</summary>
    public double MeanL2 => RelativeL2.Average();

    /// <summary>Mean of <see cref="RelativeH1"/>.</summary>
    public double MeanH1 => RelativeH1.Average();

    /// <summary>The largest of <see cref="RelativeL2"/>.</summary>
    public double WorstL2 => RelativeL2.Max();

    /// <summary>The sample of the largest.</summary>
    public int Worst => RelativeL2.Select((value, index) => (value, index)).Max().index;
}

/// <summary>A point of a learning curve.</summary>
/// <param name="Iteration">Iterations done.</param>
/// <param name="Loss">The mean loss since the point before.</param>
/// <param name="Validation">The mean relative L2 error over the validation data; NaN without any.</param>
public readonly record struct LearningPoint(int Iteration, double Loss, double Validation);
