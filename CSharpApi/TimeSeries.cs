using System;
using System.Collections.Generic;
using System.Globalization;
using System.IO;
using System.Linq;
using CsvHelper;

namespace Continuum;

/// <summary>Observed values at strictly rising times: one row per time, one column per quantity, all finite.</summary>
/// <remarks>Times need not be equally spaced. A series does not change after construction.</remarks>
public sealed class TimeSeries
{
    private readonly double[] _times;
    private readonly string[] _columnNames;
    private readonly double[,] _values;

    /// <summary>A series of the given times and values, which are copied.</summary>
    /// <param name="timeName">The name of the time column.</param>
    /// <param name="columnNames">The names of the value columns; all names must differ.</param>
    /// <param name="times">Strictly rising times, at least one.</param>
    /// <param name="values">The values, of shape (times, columns).</param>
    /// <exception cref="ArgumentException">The shapes disagree, a name repeats, a time does not rise, or a number is not finite.</exception>
    public TimeSeries(string timeName, IReadOnlyList<string> columnNames, IReadOnlyList<double> times, double[,] values)
    {
        ArgumentException.ThrowIfNullOrWhiteSpace(timeName);
        ArgumentNullException.ThrowIfNull(columnNames);
        ArgumentNullException.ThrowIfNull(times);
        ArgumentNullException.ThrowIfNull(values);
        TimeName = timeName;
        _columnNames = [.. columnNames];
        _times = [.. times];
        _values = (double[,])values.Clone();
        Check();
    }

    /// <summary>The name of the time column.</summary>
    public string TimeName { get; }

    /// <summary>The names of the value columns.</summary>
    public IReadOnlyList<string> ColumnNames => _columnNames;

    /// <summary>The times, strictly rising.</summary>
    public IReadOnlyList<double> Times => _times;

    /// <summary>The number of rows.</summary>
    public int Count => _times.Length;

    /// <summary>The values, of shape (<see cref="Count"/>, columns): the series' own array, to be read only.</summary>
    public double[,] Values => _values;

    /// <summary>The value at a row and a column, both counted from 0.</summary>
    public double this[int row, int column] => _values[row, column];

    /// <summary>A copy of one column.</summary>
    /// <exception cref="ArgumentException">There is no such column; the message lists those there are.</exception>
    public double[] Column(string name)
    {
        int column = Array.IndexOf(_columnNames, name);
        return column >= 0
            ? [.. Enumerable.Range(0, Count).Select(row => _values[row, column])]
            : throw new ArgumentException($"there is no column '{name}'; the columns are {Names(_columnNames)}", nameof(name));
    }

    /// <summary>Reads a CSV file with a header: numbers with a decimal point, times strictly rising, at least two rows.</summary>
    /// <param name="path">The file, UTF-8.</param>
    /// <param name="options">Which columns, which separator, and what to do with missing values.</param>
    /// <exception cref="TimeSeriesFormatException">The file is not such a table; the message names line, column and remedy.</exception>
    /// <exception cref="FileNotFoundException">There is no such file.</exception>
    public static TimeSeries ReadCsv(string path, TimeSeriesCsvOptions? options = null)
    {
        ArgumentException.ThrowIfNullOrWhiteSpace(path);
        return TimeSeriesCsv.Read(path, options ?? new TimeSeriesCsvOptions());
    }

    /// <summary>Writes a CSV file that <see cref="ReadCsv"/> reads back exactly; atomic, so an old file is replaced whole or not at all.</summary>
    /// <exception cref="IOException">The file could not be written.</exception>
    /// <exception cref="UnauthorizedAccessException">The folder is not writable.</exception>
    public void WriteCsv(string path)
    {
        ArgumentException.ThrowIfNullOrWhiteSpace(path);
        AtomicFile.Write(path, WriteCsv);
    }

    /// <summary>The rows with <paramref name="from"/> ≤ time ≤ <paramref name="to"/>.</summary>
    /// <exception cref="ArgumentException">No row lies there.</exception>
    public TimeSeries Slice(double from, double to)
    {
        int start = Array.FindIndex(_times, time => time >= from);
        int stop = Array.FindLastIndex(_times, time => time <= to) + 1;
        return start >= 0 && start < stop
            ? Rows(start, stop)
            : throw new ArgumentException($"no time lies between {Text(from)} and {Text(to)}; the series runs from {Span()}", nameof(from));
    }

    /// <summary>Splits the series for fitting and checking: the rows with time ≤ <paramref name="time"/>, and the rest.</summary>
    /// <exception cref="ArgumentOutOfRangeException">One of the two parts would be empty.</exception>
    public (TimeSeries Train, TimeSeries Test) Split(double time)
    {
        int count = _times.Count(t => t <= time);
        return count > 0 && count < Count
            ? (Rows(0, count), Rows(count, Count))
            : throw new ArgumentOutOfRangeException(
                nameof(time),
                $"splitting at {Text(time)} leaves one part empty; the series runs from {Span()}"
            );
    }

    internal static string Text(double number) => number.ToString("R", CultureInfo.InvariantCulture);

    internal static string Names(IEnumerable<string> names) => string.Join(", ", names.Select(name => $"'{name}'"));

    private string Span() => $"{Text(_times[0])} to {Text(_times[^1])}";

    private TimeSeries Rows(int start, int stop)
    {
        double[,] values = new double[stop - start, _columnNames.Length];
        Array.Copy(_values, start * _columnNames.Length, values, 0, values.Length);
        return new TimeSeries(TimeName, _columnNames, _times[start..stop], values);
    }

    private void Check()
    {
        if (_times.Length == 0 || _values.GetLength(0) != _times.Length || _values.GetLength(1) != _columnNames.Length)
        {
            string shape = $"({_values.GetLength(0)}, {_values.GetLength(1)})";
            throw new ArgumentException(
                $"values of shape {shape} do not fit {_times.Length} times (at least one) and {_columnNames.Length} columns"
            );
        }

        if (_columnNames.Append(TimeName).Distinct().Count() <= _columnNames.Length)
        {
            throw new ArgumentException($"a column name repeats: {Names(_columnNames.Prepend(TimeName))}");
        }

        int stuck = Enumerable.Range(1, Count - 1).FirstOrDefault(i => !(_times[i] > _times[i - 1]));
        if (stuck > 0)
        {
            throw new ArgumentException(
                $"times must rise strictly: time {stuck} is {Text(_times[stuck])} after {Text(_times[stuck - 1])}"
            );
        }

        if (!_times.All(double.IsFinite) || !_values.Cast<double>().All(double.IsFinite))
        {
            throw new ArgumentException("times and values must be finite numbers");
        }
    }

    private void WriteCsv(Stream stream)
    {
        using CsvWriter csv = CsvWriter.Create(stream, new CsvWriterOptions { NewLine = "\n" }, leaveOpen: true);
        foreach (string name in _columnNames.Prepend(TimeName))
        {
            csv.WriteField(name);
        }

        csv.EndRecord();
        for (int row = 0; row < Count; row++)
        {
            csv.WriteField(Text(_times[row]));
            for (int column = 0; column < _columnNames.Length; column++)
            {
                csv.WriteField(Text(_values[row, column]));
            }

            csv.EndRecord();
        }
    }
}
