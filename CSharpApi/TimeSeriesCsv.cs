extern alias core;

using System;
using System.Collections.Generic;
using System.Globalization;
using System.IO;
using System.Linq;
using CsvHelper;

namespace Continuum;

/// <summary>
/// Reads a CSV file into a <see cref="TimeSeries"/>. Which columns are text is known only at the end of the file, so bad cells
/// are remembered per column and judged there; the defect that comes first in the file is the one reported.
/// </summary>
internal sealed class TimeSeriesCsv
{
    private static readonly string[] s_timeNames = ["time", "t", "year"];
    private static readonly string[] s_missing = ["", "NA", "N/A", "NaN", "null", "none", "."];

    private readonly string _path;
    private readonly TimeSeriesCsvOptions _options;
    private readonly string[] _header;
    private readonly int _headerLine;
    private readonly int _time;
    private readonly int[] _candidates;
    private readonly bool[] _hasNumber;
    private readonly BadCell?[] _firstMissing;
    private readonly BadCell?[] _firstText;
    private readonly List<double> _times = [];
    private readonly List<double[]> _rows = [];
    private int _firstRowLine;
    private int _previousLine;

    private TimeSeriesCsv(string path, TimeSeriesCsvOptions options, string[] header, int headerLine)
    {
        _path = path;
        _options = options;
        _header = header;
        _headerLine = headerLine;
        CheckHeader();
        _time = TimeColumn();
        _candidates = ValueColumns();
        _hasNumber = new bool[_header.Length];
        _firstMissing = new BadCell?[_header.Length];
        _firstText = new BadCell?[_header.Length];
    }

    private readonly record struct BadCell(int Line, string Text, bool IsMissing);

    internal static TimeSeries Read(string path, TimeSeriesCsvOptions options)
    {
        using Stream stream = core::Continuum.AtomicFile.OpenRead(path);
        CsvReaderOptions format = new()
        {
            Separator = options.Delimiter ?? Detect(stream),
            HasHeader = false,
            TrackLineNumbers = true,
            MalformedData = CsvMalformedDataHandling.Throw,
        };
        using CsvReader csv = CsvReader.Create(stream, format);
        try
        {
            return ReadRow(csv) is { } header
                ? new TimeSeriesCsv(path, options, header, Line(csv)).ReadRows(csv)
                : throw new TimeSeriesFormatException(path, 1, null, "the file is empty", "give a file with a header and rows of numbers");
        }
        catch (CsvFormatException error)
        {
            throw Malformed(path, error);
        }
    }

    internal static TimeSeriesFormatException Malformed(string path, CsvFormatException error) =>
        new(path, (int)error.LineNumber, null, "a quotation mark is out of place or never closed", "quote whole cells or remove the mark", error);

    internal static int Line(CsvReader csv) => checked((int)csv.LineNumber);

    /// <summary>The cells of the next line that is not blank, or null at the end.</summary>
    internal static string[]? ReadRow(CsvReader csv)
    {
        while (csv.Read())
        {
            string[] cells = [.. Enumerable.Range(0, csv.FieldCount).Select(i => csv.GetString(i).Trim())];
            if (cells.Length > 1 || cells[0].Length > 0)
            {
                return cells;
            }
        }

        return null;
    }

    /// <summary>The separator that the header, outside quotes, has most of. The rows do not vote: they may hold decimal commas.</summary>
    internal static char Detect(Stream stream)
    {
        using StreamReader text = new(stream, leaveOpen: true);
        string? header = text.ReadLine();
        while (header is not null && string.IsNullOrWhiteSpace(header))
        {
            header = text.ReadLine();
        }

        stream.Position = 0;
        string unquoted = string.Concat((header ?? "").Split('"').Where((_, part) => part % 2 == 0));
        return ",;\t".MaxBy(delimiter => unquoted.Count(c => c == delimiter));
    }

    private TimeSeriesFormatException Error(int line, string? column, string defect, string remedy) =>
        new(_path, line, column, defect, remedy);

    private void CheckHeader()
    {
        if (Array.TrueForAll(_header, name => TryNumber(name, out _)))
        {
            throw Error(_headerLine, null, "the first line holds numbers instead of column names", "add a header such as time,x,y");
        }

        int unnamed = Array.IndexOf(_header, "");
        if (unnamed >= 0)
        {
            throw Error(_headerLine, null, $"column {unnamed + 1} has no name", "name it in the header or remove it");
        }

        string? twice = _header.GroupBy(name => name).FirstOrDefault(group => group.Count() > 1)?.Key;
        if (twice is not null)
        {
            throw Error(_headerLine, twice, "two columns have this name", "rename one");
        }
    }

    private int TimeColumn()
    {
        if (_options.TimeColumn is { } wanted)
        {
            return IndexOf(wanted);
        }

        IEnumerable<int> known = s_timeNames.Select(name =>
            Array.FindIndex(_header, column => column.Equals(name, StringComparison.OrdinalIgnoreCase)));
        return Math.Max(0, known.Append(0).First(index => index >= 0));
    }

    private int[] ValueColumns()
    {
        if (_options.ValueColumns is { } wanted)
        {
            int[] chosen = [.. wanted.Select(IndexOf)];
            int repeated = Array.FindIndex(chosen, (index) => index == _time || chosen.Count(other => other == index) > 1);
            return repeated < 0
                ? chosen
                : throw Error(_headerLine, wanted[repeated], "the column is asked for twice, or is the time column", "ask for it once");
        }

        return [.. Enumerable.Range(0, _header.Length).Where(index => index != _time)];
    }

    private int IndexOf(string name)
    {
        int index = Array.IndexOf(_header, name);
        return index >= 0
            ? index
            : throw Error(_headerLine, name, "there is no such column", $"the columns are {TimeSeries.Names(_header)}");
    }

    private TimeSeries ReadRows(CsvReader csv)
    {
        TimeSeriesFormatException? defect = null;
        try
        {
            while (ReadRow(csv) is { } cells)
            {
                AddRow(cells, Line(csv));
            }
        }
        catch (TimeSeriesFormatException found)
        {
            defect = found;
        }
        catch (CsvFormatException error)
        {
            defect = Malformed(_path, error);
        }

        int[] columns = [.. _candidates.Where(IsValueColumn)];
        ThrowFirst(columns, defect);
        return Build(columns);
    }

    private void AddRow(string[] cells, int line)
    {
        if (cells.Length != _header.Length)
        {
            throw Error(
                line,
                null,
                $"the row has {cells.Length} cells but the header has {_header.Length}",
                "give every row as many cells as the header"
            );
        }

        double time = Time(cells[_time], line);
        double[] row = new double[_candidates.Length];
        for (int i = 0; i < row.Length; i++)
        {
            row[i] = Value(cells[_candidates[i]], _candidates[i], line);
        }

        _firstRowLine = _times.Count == 0 ? line : _firstRowLine;
        _previousLine = line;
        _times.Add(time);
        _rows.Add(row);
    }

    private double Time(string cell, int line)
    {
        if (!TryNumber(cell, out double time) || !double.IsFinite(time))
        {
            throw IsMissing(cell)
                ? Error(line, _header[_time], $"the time is missing ('{cell}')", "give the time or remove the row")
                : Error(line, _header[_time], $"the time '{cell}' is not a finite number", NumberRemedy(cell, "convert dates to numbers, such as days or years"));
        }

        if (_times.Count > 0 && time <= _times[^1])
        {
            string now = TimeSeries.Text(time);
            string before = TimeSeries.Text(_times[^1]);
            throw time == _times[^1]
                ? Error(line, _header[_time], $"the time {now} repeats the time of line {_previousLine}", "keep one row per time")
                : Error(line, _header[_time], $"the time {now} comes after {before} in line {_previousLine}", "sort the rows by time");
        }

        return time;
    }

    /// <summary>The number in a cell, or NaN for a cell that is remembered as bad.</summary>
    private double Value(string cell, int column, int line)
    {
        if (TryNumber(cell, out double value) && double.IsFinite(value))
        {
            _hasNumber[column] = true;
            return value;
        }

        if (!IsMissing(cell))
        {
            _firstText[column] ??= new BadCell(line, cell, IsMissing: false);
        }
        else if (_options.Missing == MissingValues.Error)
        {
            _firstMissing[column] ??= new BadCell(line, cell, IsMissing: true);
        }

        return double.NaN;
    }

    /// <summary>A column of text alone is no value column, unless it was asked for.</summary>
    private bool IsValueColumn(int column) =>
        _options.ValueColumns is not null || _hasNumber[column] || _firstText[column] is null;

    private void ThrowFirst(int[] columns, TimeSeriesFormatException? defect)
    {
        (int Column, BadCell Cell)[] bad =
        [
            .. from column in columns
               from cell in new[] { _firstMissing[column], _firstText[column] }
               where cell is not null
               orderby cell.Value.Line
               select (column, cell.Value),
        ];
        if (bad.Length > 0 && (defect is null || bad[0].Cell.Line <= defect.Line))
        {
            throw CellError(_header[bad[0].Column], bad[0].Cell);
        }

        if (defect is not null)
        {
            throw defect;
        }
    }

    private TimeSeriesFormatException CellError(string column, BadCell cell)
    {
        if (cell.IsMissing)
        {
            string what = cell.Text.Length == 0 ? "the cell is empty" : $"the value is missing ('{cell.Text}')";
            return Error(cell.Line, column, what, "fill it in, remove the row, leave the column out, or read with Missing = DropRow");
        }

        return TryNumber(cell.Text, out _)
            ? Error(cell.Line, column, $"'{cell.Text}' is not a finite number", "correct the cell or remove the row")
            : Error(cell.Line, column, $"'{cell.Text}' is not a number", NumberRemedy(cell.Text, "correct the cell or leave the column out"));
    }

    private TimeSeries Build(int[] columns)
    {
        if (columns.Length == 0)
        {
            throw Error(_headerLine, null, "no column but the time holds numbers", "add a value column, or give the delimiter");
        }

        int[] places = [.. columns.Select(column => Array.IndexOf(_candidates, column))];
        int[] kept = [.. Enumerable.Range(0, _rows.Count).Where(row => Array.TrueForAll(places, place => !double.IsNaN(_rows[row][place])))];
        CheckCount(kept.Length);
        double[,] values = new double[kept.Length, places.Length];
        for (int row = 0; row < kept.Length; row++)
        {
            for (int column = 0; column < places.Length; column++)
            {
                values[row, column] = _rows[kept[row]][places[column]];
            }
        }

        return new TimeSeries(_header[_time], [.. columns.Select(column => _header[column])], [.. kept.Select(row => _times[row])], values);
    }

    private void CheckCount(int kept)
    {
        if (_rows.Count == 0)
        {
            throw Error(_headerLine, null, "the file has a header but no rows", "add at least two rows of numbers");
        }

        if (_rows.Count == 1)
        {
            throw Error(_firstRowLine, null, "this is the only row", "a time series needs at least two");
        }

        if (kept < 2)
        {
            throw Error(
                _firstRowLine,
                null,
                $"{kept} of {_rows.Count} rows are without missing values",
                "a time series needs at least two: choose other value columns"
            );
        }
    }

    internal static bool TryNumber(string cell, out double value) =>
        double.TryParse(cell, NumberStyles.Float, CultureInfo.InvariantCulture, out value) && !IsMissing(cell);

    internal static bool IsMissing(string cell) => s_missing.Contains(cell, StringComparer.OrdinalIgnoreCase);

    internal static string NumberRemedy(string cell, string otherwise) =>
        double.TryParse(cell.Replace(',', '.'), NumberStyles.Float, CultureInfo.InvariantCulture, out _)
            ? "write numbers with a decimal point"
            : otherwise;
}
