using System;
using System.Collections.Generic;
using System.Linq;
using Spectre.Console;

namespace Continuum.Cli;

/// <summary>Tables for the terminal; without a frame where the output goes to a file or a program.</summary>
internal static class Tables
{
    private const int MostRows = 24;

    internal static Table Create() =>
        new Table { Border = Console.IsOutputRedirected ? TableBorder.Simple : TableBorder.Rounded };

    /// <summary>A series, its middle left out where it is long.</summary>
    internal static Table Of(TimeSeries series)
    {
        Table table = Create();
        foreach (string name in series.ColumnNames.Prepend(series.TimeName))
        {
            table.AddColumn(new TableColumn(Markup.Escape(name)).RightAligned());
        }

        foreach (int row in Rows(series.Count))
        {
            string[] cells = row < 0
                ? [.. Enumerable.Repeat("...", series.ColumnNames.Count + 1)]
                : [series.Times[row].ToString("G10"), .. Enumerable.Range(0, series.ColumnNames.Count).Select(column => Numbers.Short(series[row, column]))];
            table.AddRow(cells);
        }

        return table;
    }

    /// <summary>The rows to show, -1 for those left out.</summary>
    private static IEnumerable<int> Rows(int count) =>
        count <= MostRows
            ? Enumerable.Range(0, count)
            : [.. Enumerable.Range(0, MostRows / 2), -1, .. Enumerable.Range(count - MostRows / 2, MostRows / 2)];
}
