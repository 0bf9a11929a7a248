using System;
using System.Collections.Generic;
using System.IO;
using System.Linq;

namespace Continuum.Cli;

/// <summary>Reads the user's CSV file; asking for a column that it does not have is a wrong command line, the rest a wrong file.</summary>
internal static class DataFile
{
    internal static TimeSeries Read(string path, string? time, IReadOnlyList<string>? columns, bool dropMissing)
    {
        CheckExists(path);
        TimeSeriesCsvOptions options = new()
        {
            TimeColumn = time,
            ValueColumns = columns,
            Missing = dropMissing ? MissingValues.DropRow : MissingValues.Error,
        };
        try
        {
            return TimeSeries.ReadCsv(path, options);
        }
        catch (TimeSeriesFormatException failure) when (IsAskedFor(failure, (columns ?? []).Append(time)))
        {
            throw new UsageException(failure.Message, failure);
        }
    }

    /// <summary>Reads a CSV file in long format.</summary>
    internal static IrregularDataset ReadLong(string path, IrregularCsvOptions options)
    {
        CheckExists(path);
        IEnumerable<string?> asked = (options.Channels ?? []).Concat(options.Statics).Concat(options.Targets);
        try
        {
            return IrregularDataset.ReadCsv(path, options);
        }
        catch (TimeSeriesFormatException failure) when (IsAskedFor(failure, asked.Append(options.IdColumn).Append(options.TimeColumn).Append(options.LabelColumn)))
        {
            throw new UsageException(failure.Message, failure);
        }
    }

    /// <summary>Refuses, in one line, what is no file.</summary>
    internal static void CheckExists(string path, string wanted = "a CSV file")
    {
        if (Directory.Exists(path))
        {
            throw new IOException($"{path} is a folder; give {wanted}");
        }

        if (!File.Exists(path))
        {
            throw new FileNotFoundException($"{path}: there is no such file; check the path (the current folder is {Directory.GetCurrentDirectory()})");
        }
    }

    /// <summary>Whether the defect is in the header, at a column that the command line names.</summary>
    private static bool IsAskedFor(TimeSeriesFormatException failure, IEnumerable<string?> asked) =>
        failure.Column is { } column
        && asked.Contains(column)
        && failure.Line == 1 + File.ReadLines(failure.Path).TakeWhile(string.IsNullOrWhiteSpace).Count();
}
