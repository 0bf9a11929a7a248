extern alias core;

using System;
using System.Collections.Generic;
using System.IO;
using System.Linq;
using CsvHelper;
using Core = core::Continuum;

namespace Continuum;

/// <summary>Many paths of the same quantities at the same times: simulations, or observed series cut to the same length.</summary>
public sealed class SimulatedPaths
{
    private readonly double[,,] _values;
    private readonly double[] _times;
    private readonly string[] _columnNames;

    /// <summary>Paths of the given values, which are copied.</summary>
    /// <param name="timeName">The name of time.</param>
    /// <param name="columnNames">The names of the quantities.</param>
    /// <param name="times">Strictly rising times.</param>
    /// <param name="values">The values, of shape (paths, times, columns).</param>
    /// <exception cref="ArgumentException">The shapes disagree, there is nothing, or a time does not rise.</exception>
    public SimulatedPaths(string timeName, IReadOnlyList<string> columnNames, IReadOnlyList<double> times, double[,,] values)
    {
        ArgumentException.ThrowIfNullOrWhiteSpace(timeName);
        ArgumentNullException.ThrowIfNull(columnNames);
        ArgumentNullException.ThrowIfNull(times);
        ArgumentNullException.ThrowIfNull(values);
        TimeName = timeName;
        _columnNames = [.. columnNames];
        _times = [.. times];
        _values = (double[,,])values.Clone();
        if (values.Length == 0 || values.GetLength(1) != _times.Length || values.GetLength(2) != _columnNames.Length)
        {
            throw new ArgumentException(
                $"values of shape ({values.GetLength(0)}, {values.GetLength(1)}, {values.GetLength(2)}) do not fit {_times.Length} times and {_columnNames.Length} columns of at least one path"
            );
        }

        if (Enumerable.Range(1, _times.Length - 1).Any(i => !(_times[i] > _times[i - 1])))
        {
            throw new ArgumentException("times must rise strictly");
        }
    }

    /// <summary>The name of time.</summary>
    public string TimeName { get; }

    /// <summary>The names of the quantities.</summary>
    public IReadOnlyList<string> ColumnNames => _columnNames;

    /// <summary>The times, strictly rising.</summary>
    public IReadOnlyList<double> Times => _times;

    /// <summary>The number of paths.</summary>
    public int Count => _values.GetLength(0);

    /// <summary>The values, of shape (paths, times, columns): the object's own array, to be read only.</summary>
    public double[,,] Values => _values;

    /// <summary>The value of a path at a time and a column, all counted from 0.</summary>
    public double this[int path, int time, int column] => _values[path, time, column];

    /// <summary>One path as a series.</summary>
    /// <exception cref="ArgumentOutOfRangeException">There is no such path.</exception>
    /// <exception cref="ArgumentException">The path left the range of numbers.</exception>
    public TimeSeries Path(int index)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(index);
        ArgumentOutOfRangeException.ThrowIfGreaterThanOrEqual(index, Count);
        return Series((time, column) => _values[index, time, column]);
    }

    /// <summary>The mean over the paths at every time.</summary>
    public TimeSeries Mean() =>
        Series((time, column) => Enumerable.Range(0, Count).Average(path => _values[path, time, column]));

    /// <summary>Quantiles over the paths at every time, one series for each probability: the lines of a fan chart.</summary>
    /// <param name="probabilities">Between 0 and 1.</param>
    /// <exception cref="ArgumentException">A probability is out of range.</exception>
    public IReadOnlyList<TimeSeries> Quantiles(params IReadOnlyList<double> probabilities)
    {
        ArgumentNullException.ThrowIfNull(probabilities);
        double[,,] quantiles = Core.PathQuantiles.over([.. probabilities], _values);
        return [.. Enumerable.Range(0, probabilities.Count).Select(k => Series((time, column) => quantiles[time, column, k]))];
    }

    /// <summary>
    /// For central intervals of these probabilities, the share of observed values inside them. A calibrated simulation gives about the
    /// probabilities themselves; the values of one series hang together, so expect some distance.
    /// </summary>
    /// <param name="observed">A series at the same times and of the same columns.</param>
    /// <param name="probabilities">Between 0 and 1.</param>
    /// <exception cref="ArgumentException">The series has other times or columns.</exception>
    public IReadOnlyList<double> Coverage(TimeSeries observed, params IReadOnlyList<double> probabilities)
    {
        ArgumentNullException.ThrowIfNull(observed);
        ArgumentNullException.ThrowIfNull(probabilities);
        return observed.Times.SequenceEqual(_times) && observed.ColumnNames.SequenceEqual(_columnNames)
            ? Core.PathQuantiles.coverage([.. probabilities], _values, observed.Values)
            : throw new ArgumentException(
                $"the series has {observed.Count} times and the columns {TimeSeries.Names(observed.ColumnNames)}; simulate at its times and columns ({_times.Length} times, {TimeSeries.Names(_columnNames)} now)",
                nameof(observed)
            );
    }

    /// <summary>Writes all paths as CSV, atomically: path (from 1), time and columns, a row for each path and time.</summary>
    /// <exception cref="IOException">The file could not be written.</exception>
    public void WriteCsv(string path)
    {
        ArgumentException.ThrowIfNullOrWhiteSpace(path);
        Core.AtomicFile.Write(path, WritePaths);
    }

    /// <summary>
    /// Writes quantiles as CSV, atomically: time, and for each column and probability a column such as x_q0.05.
    /// </summary>
    /// <exception cref="ArgumentException">A probability is out of range.</exception>
    /// <exception cref="IOException">The file could not be written.</exception>
    public void WriteQuantilesCsv(string path, params IReadOnlyList<double> probabilities)
    {
        ArgumentNullException.ThrowIfNull(probabilities);
        IReadOnlyList<TimeSeries> quantiles = Quantiles(probabilities);
        string[] names = [.. from column in _columnNames from p in probabilities select $"{column}_q{TimeSeries.Text(p)}"];
        double[,] values = new double[_times.Length, names.Length];
        for (int time = 0; time < _times.Length; time++)
        {
            for (int k = 0; k < names.Length; k++)
            {
                values[time, k] = quantiles[k % probabilities.Count][time, k / probabilities.Count];
            }
        }

        new TimeSeries(TimeName, names, _times, values).WriteCsv(path);
    }

    private TimeSeries Series(Func<int, int, double> value)
    {
        double[,] values = new double[_times.Length, _columnNames.Length];
        for (int time = 0; time < _times.Length; time++)
        {
            for (int column = 0; column < _columnNames.Length; column++)
            {
                values[time, column] = value(time, column);
            }
        }

        return new TimeSeries(TimeName, _columnNames, _times, values);
    }

    private void WritePaths(Stream stream)
    {
        using CsvWriter csv = CsvWriter.Create(stream, new CsvWriterOptions { NewLine = "\n" }, leaveOpen: true);
        foreach (string name in _columnNames.Prepend(TimeName).Prepend("path"))
        {
            csv.WriteField(name);
        }

        csv.EndRecord();
        for (int path = 0; path < Count; path++)
        {
            for (int time = 0; time < _times.Length; time++)
            {
                csv.WriteField((path + 1).ToString(System.Globalization.CultureInfo.InvariantCulture));
                csv.WriteField(TimeSeries.Text(_times[time]));
                for (int column = 0; column < _columnNames.Length; column++)
                {
                    csv.WriteField(TimeSeries.Text(_values[path, time, column]));
                }

                csv.EndRecord();
            }
        }
    }
}
