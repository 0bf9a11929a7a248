extern alias core;

using System.Collections.Generic;
using System.Linq;
using Core = core::Continuum;

namespace Continuum;

/// <summary>A solution with its derivatives for initial values and parameters.</summary>
public sealed class SensitivitySolution
{
    internal SensitivitySolution(Core.ForwardSensitivities raw, Solution solution)
    {
        Solution = solution;
        int size = solution.FinalState.Length;
        int columns = raw.Final.GetLength(1);
        ByInitialState = [.. raw.States.Select(matrix => Columns(matrix, 0, size))];
        ByParameters = [.. raw.States.Select(matrix => Columns(matrix, size, columns - size))];
        FinalByInitialState = Columns(raw.Final, 0, size);
        FinalByParameters = Columns(raw.Final, size, columns - size);
    }

    /// <summary>The solution.</summary>
    public Solution Solution { get; }

    /// <summary>For every saved time, entry (i, j): the derivative of component i for initial value j.</summary>
    public IReadOnlyList<double[,]> ByInitialState { get; }

    /// <summary>For every saved time, entry (i, j): the derivative of component i for parameter j.</summary>
    public IReadOnlyList<double[,]> ByParameters { get; }

    /// <summary>The same at the end of the span for the initial values.</summary>
    public double[,] FinalByInitialState { get; }

    /// <summary>The same at the end of the span for the parameters.</summary>
    public double[,] FinalByParameters { get; }

    private static double[,] Columns(double[,] matrix, int first, int count)
    {
        double[,] part = new double[matrix.GetLength(0), count];
        for (int i = 0; i < part.GetLength(0); i++)
        {
            for (int j = 0; j < count; j++)
            {
                part[i, j] = matrix[i, first + j];
            }
        }

        return part;
    }
}
