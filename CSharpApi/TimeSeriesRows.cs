using System;
using System.Linq;

namespace Continuum;

/// <summary>Rows of series put together.</summary>
internal static class TimeSeriesRows
{
    /// <summary>The rows of a history, then those of the series.</summary>
    /// <exception cref="ArgumentException">The columns differ, or the series does not begin after the history.</exception>
    internal static TimeSeries After(this TimeSeries series, TimeSeries? history)
    {
        if (history is null)
        {
            return series;
        }

        if (!history.ColumnNames.SequenceEqual(series.ColumnNames))
        {
            throw new ArgumentException(
                $"the history has the columns {TimeSeries.Names(history.ColumnNames)}, the series {TimeSeries.Names(series.ColumnNames)}; give the same"
            );
        }

        double[,] values = new double[history.Count + series.Count, series.ColumnNames.Count];
        Array.Copy(history.Values, values, history.Values.Length);
        Array.Copy(series.Values, 0, values, history.Values.Length, series.Values.Length);
        return new TimeSeries(series.TimeName, series.ColumnNames, [.. history.Times, .. series.Times], values);
    }
}
