extern alias core;

using System;
using System.Collections.Generic;
using System.Globalization;
using System.IO;
using System.Linq;
using CsvHelper;
using Core = core::Continuum;

namespace Continuum;

/// <summary>Reads a CSV file in long format into an <see cref="IrregularDataset"/>.</summary>
internal sealed class IrregularCsv
{
    private const string NamedRemedy = "correct the cell, leave it empty or write NA where the value is missing, or code the column as numbers";
    private const string AutomaticRemedy =
        "other cells of the column are numbers: correct it, leave it empty or write NA where the value is missing, or name the channels, without this column";
    private const string TimeRemedy = "convert dates to numbers, such as days or years";
    private static readonly string[] s_timeNames = ["time", "t", "day", "year"];

    private readonly string _path;
    private readonly string[] _header;
    private readonly int _headerLine;
    private readonly List<string[]> _rows = [];
    private readonly List<int> _lines = [];

    private IrregularCsv(string path, string[] header, int headerLine)
    {
        _path = path;
        _header = header;
        _headerLine = headerLine;
    }

    internal static IrregularDataset Read(string path, IrregularCsvOptions options)
    {
        using Stream stream = Core.AtomicFile.OpenRead(path);
        CsvReaderOptions format = new()
        {
            Separator = options.Delimiter ?? TimeSeriesCsv.Detect(stream),
            HasHeader = false,
            TrackLineNumbers = true,
            MalformedData = CsvMalformedDataHandling.Throw,
        };
        using CsvReader csv = CsvReader.Create(stream, format);
        try
        {
            IrregularCsv table = TimeSeriesCsv.ReadRow(csv) is { } header
                ? new(path, header, TimeSeriesCsv.Line(csv))
                : throw new TimeSeriesFormatException(path, 1, null, "the file is empty", "give a file with a header and a row for each visit");
            table.ReadRows(csv);
            return table.Build(options);
        }
        catch (CsvFormatException error)
        {
            throw TimeSeriesCsv.Malformed(path, error);
        }
    }

    private void ReadRows(CsvReader csv)
    {
        if (_header.GroupBy(name => name).FirstOrDefault(group => group.Count() > 1) is { } twice)
        {
            throw Error(_headerLine, twice.Key, "two columns have this name", "rename one");
        }

        while (TimeSeriesCsv.ReadRow(csv) is { } cells)
        {
            _rows.Add(cells);
            _lines.Add(TimeSeriesCsv.Line(csv));
            if (cells.Length != _header.Length)
            {
                throw Error(
                    _lines[^1],
                    null,
                    $"the row has {cells.Length} cells but the header has {_header.Length}",
                    "give every row as many cells as the header"
                );
            }
        }

        if (_rows.Count == 0)
        {
            throw Error(_headerLine, null, "the file has a header but no rows", "add a row for each visit");
        }
    }

    private IrregularDataset Build(IrregularCsvOptions options)
    {
        if (options.LabelColumn is not null && options.Targets.Count > 0)
        {
            throw new ArgumentException($"{nameof(options.LabelColumn)} and {nameof(options.Targets)} exclude each other; give one");
        }

        int id = options.IdColumn is { } wanted ? IndexOf(wanted) : Math.Max(0, Named("id"));
        int time = options.TimeColumn is { } asked ? IndexOf(asked) : TimeColumn();
        int[] statics = [.. options.Statics.Select(IndexOf)];
        int[] targets = [.. options.Targets.Select(IndexOf)];
        int? label = options.LabelColumn is { } name ? IndexOf(name) : null;
        int[] taken = [id, time, .. statics, .. targets, .. label is { } column ? [column] : Array.Empty<int>()];
        if (taken.GroupBy(index => index).FirstOrDefault(group => group.Count() > 1) is { } twice)
        {
            throw Error(_headerLine, _header[twice.Key], "the column has two roles", "give it one");
        }

        int[] channels = options.Channels is { } given
            ? [.. given.Select(IndexOf)]
            : [.. Enumerable.Range(0, _header.Length).Where(index => !taken.Contains(index) && HoldsNumbers(index))];
        if (channels.FirstOrDefault(taken.Contains, -1) is >= 0 and int shared)
        {
            throw Error(_headerLine, _header[shared], "the column is a channel and has another role", "give it one");
        }

        return channels.Length == 0
            ? throw Error(_headerLine, null, "no column holds numbers and is left for the channels", "name the channels")
            : Assemble(id, time, channels, statics, targets, label, options.Channels is null ? AutomaticRemedy : NamedRemedy);
    }

    private IrregularDataset Assemble(int id, int time, int[] channels, int[] statics, int[] targets, int? label, string remedy)
    {
        string[] ids = [.. Enumerable.Range(0, _rows.Count).Select(row => Present(row, id, "subject"))];
        double[] times = [.. Enumerable.Range(0, _rows.Count).Select(row => Number(row, time, Present(row, time, "time"), TimeRemedy))];
        Tuple<string, double[]>[] observed = [.. channels.Select(column => Numbers(column, remedy))];
        CheckVisits(ids, times, _header[time]);
        Tuple<string, double[]>[] constant = [.. statics.Select(column => Constant(ids, column, Numbers(column, NamedRemedy)))];
        Tuple<string, double[]>[] wanted;
        string[]? classes = null;
        if (label is { } labels)
        {
            (double[] codes, classes) = Classes(labels);
            wanted = [Constant(ids, labels, new(_header[labels], codes))];
        }
        else
        {
            wanted = [.. targets.Select(column => Complete(column, Constant(ids, column, Numbers(column, NamedRemedy))))];
        }

        return new(Core.IrregularSeries.FromColumns(ids, times, observed, constant, wanted, []), _header[time], classes);
    }

    /// <summary>Column as numbers, NaN where missing; two words become 0 and 1.</summary>
    private Tuple<string, double[]> Numbers(int column, string remedy)
    {
        string[] cells = [.. _rows.Select(row => row[column])];
        string[] words = [.. cells.Where(cell => !TimeSeriesCsv.IsMissing(cell)).Distinct().Order(StringComparer.Ordinal)];
        bool coded = words.Length == 2 && Array.TrueForAll(words, word => !TimeSeriesCsv.TryNumber(word, out _));
        return new(
            _header[column],
            [
                .. cells.Select((cell, row) =>
                    TimeSeriesCsv.IsMissing(cell) ? double.NaN
                    : coded ? Array.IndexOf(words, cell)
                    : Number(row, column, cell, remedy)
                ),
            ]
        );
    }

    private double Number(int row, int column, string cell, string remedy) =>
        TimeSeriesCsv.TryNumber(cell, out double value) && double.IsFinite(value)
            ? value
            : throw Error(
                _lines[row],
                _header[column],
                $"'{cell}' is not a number",
                TimeSeriesCsv.NumberRemedy(cell, remedy)
            );

    private string Present(int row, int column, string what) =>
        TimeSeriesCsv.IsMissing(_rows[row][column])
            ? throw Error(_lines[row], _header[column], $"the {what} is missing", "fill it in or remove the row")
            : _rows[row][column];

    private (double[] Codes, string[] Names) Classes(int column)
    {
        string[] cells = [.. Enumerable.Range(0, _rows.Count).Select(row => Present(row, column, "class"))];
        string[] distinct = [.. cells.Distinct()];
        string[] names = Array.TrueForAll(distinct, cell => TimeSeriesCsv.TryNumber(cell, out _))
            ? [.. distinct.OrderBy(cell => double.Parse(cell, CultureInfo.InvariantCulture))]
            : [.. distinct.Order(StringComparer.Ordinal)];
        return ([.. cells.Select(cell => (double)Array.IndexOf(names, cell))], names);
    }

    private void CheckVisits(string[] ids, double[] times, string name)
    {
        Dictionary<string, int> last = [];
        for (int row = 0; row < ids.Length; row++)
        {
            if (last.TryGetValue(ids[row], out int before) && !(times[row] > times[before]))
            {
                throw Error(
                    _lines[row],
                    name,
                    $"the time {TimeSeries.Text(times[row])} of subject '{ids[row]}' does not come after {TimeSeries.Text(times[before])} in line {_lines[before]}",
                    "sort the rows by time and keep one of each time"
                );
            }

            last[ids[row]] = row;
        }
    }

    private Tuple<string, double[]> Constant(string[] ids, int column, Tuple<string, double[]> values)
    {
        Dictionary<string, int> first = [];
        for (int row = 0; row < ids.Length; row++)
        {
            if (!first.TryAdd(ids[row], row) && !values.Item2[row].Equals(values.Item2[first[ids[row]]]))
            {
                throw Error(
                    _lines[row],
                    _header[column],
                    $"'{_rows[row][column]}' of subject '{ids[row]}' is '{_rows[first[ids[row]]][column]}' in line {_lines[first[ids[row]]]}",
                    "it must not change within a subject: correct it, or make it a channel"
                );
            }
        }

        return values;
    }

    private Tuple<string, double[]> Complete(int column, Tuple<string, double[]> values)
    {
        int missing = Array.FindIndex(values.Item2, double.IsNaN);
        return missing < 0 ? values : throw Error(_lines[missing], _header[column], "the target is missing", "fill it in or leave the subject out");
    }

    /// <summary>Whether a column has a number: it is then a channel, and words in it are defects.</summary>
    private bool HoldsNumbers(int column) => _rows.Exists(row => !TimeSeriesCsv.IsMissing(row[column]) && TimeSeriesCsv.TryNumber(row[column], out _));

    private int TimeColumn() =>
        s_timeNames.Select(Named).FirstOrDefault(index => index >= 0, -1) is >= 0 and int found ? found
        : throw Error(_headerLine, null, "no column is called time, t, day or year", $"name the time column; the columns are {TimeSeries.Names(_header)}");

    private int Named(string name) => Array.FindIndex(_header, column => column.Equals(name, StringComparison.OrdinalIgnoreCase));

    private int IndexOf(string name)
    {
        int index = Array.IndexOf(_header, name);
        return index >= 0 ? index : throw Error(_headerLine, name, "there is no such column", $"the columns are {TimeSeries.Names(_header)}");
    }

    private TimeSeriesFormatException Error(int line, string? column, string defect, string remedy) => new(_path, line, column, defect, remedy);
}
