using System;

namespace Continuum;

/// <summary>
/// A file is not a usable time series. The message is one line: file, line, column, what is wrong and what to do.
/// </summary>
public sealed class TimeSeriesFormatException : FormatException
{
    internal TimeSeriesFormatException(string path, int line, string? column, string defect, string remedy, Exception? inner = null)
        : base(OneLine($"{path}, line {line}{(column is null ? "" : $", column '{column}'")}: {defect}; {remedy}"), inner)
    {
        Path = path;
        Line = line;
        Column = column;
    }

    /// <summary>The file as the caller named it.</summary>
    public string Path { get; }

    /// <summary>The line of the file, counted from 1.</summary>
    public int Line { get; }

    /// <summary>The column's name, where the defect is in one column.</summary>
    public string? Column { get; }

    private static string OneLine(string text) => text.ReplaceLineEndings(" ");
}
