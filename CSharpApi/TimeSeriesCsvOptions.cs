using System.Collections.Generic;

namespace Continuum;

/// <summary>What <see cref="TimeSeries.ReadCsv"/> does with a value that is missing: an empty cell, NA, N/A, NaN, null or none.</summary>
public enum MissingValues
{
    /// <summary>A missing value is an error that names its line and column.</summary>
    Error,

    /// <summary>A row with a missing value is left out of the series. A missing time is an error still.</summary>
    DropRow,
}

/// <summary>How <see cref="TimeSeries.ReadCsv"/> reads a file. The defaults suit a file with a header and numbers.</summary>
public sealed record TimeSeriesCsvOptions
{
    /// <summary>The time column. Default: the column called time, t or year (in this order, ignoring case), else the first.</summary>
    public string? TimeColumn { get; init; }

    /// <summary>The value columns, in the order wanted. Default: all others that hold numbers; columns of text alone are left out.</summary>
    public IReadOnlyList<string>? ValueColumns { get; init; }

    /// <summary>The cell separator. Default: the one of comma, semicolon and tab that the header has most of.</summary>
    public char? Delimiter { get; init; }

    /// <summary>What to do with missing values. Default: an error.</summary>
    public MissingValues Missing { get; init; }
}
