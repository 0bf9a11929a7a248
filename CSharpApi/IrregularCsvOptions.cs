using System.Collections.Generic;

namespace Continuum;

/// <summary>How <see cref="IrregularDataset.ReadCsv"/> reads a file in long format: a header, then a row for each visit of each subject.</summary>
public sealed record IrregularCsvOptions
{
    /// <summary>The column that tells subjects apart: any text. Default: the column called id, else the first.</summary>
    public string? IdColumn { get; init; }

    /// <summary>The time column. Default: the column called time, t, day or year (in this order, ignoring case).</summary>
    public string? TimeColumn { get; init; }

    /// <summary>
    /// The observed columns, in the order wanted. Default: all that have no other role and hold at least one number; a word in such a column is an
    /// error. Name them for subjects to be predicted: a column that is empty in their file is then read as missing.
    /// </summary>
    public IReadOnlyList<string>? Channels { get; init; }

    /// <summary>Columns that do not change within a subject and help to predict. A column of two words becomes 0 and 1 in their order.</summary>
    public IReadOnlyList<string> Statics { get; init; } = [];

    /// <summary>The column of classes, the same in all rows of a subject: numbers or words.</summary>
    public string? LabelColumn { get; init; }

    /// <summary>
    /// Columns of numbers that are to be predicted, the same in all rows of a subject; or what <see cref="IrregularDataset.AtLandmark"/> makes labels
    /// of. They exclude <see cref="LabelColumn"/>.
    /// </summary>
    public IReadOnlyList<string> Targets { get; init; } = [];

    /// <summary>The cell separator. Default: the one of comma, semicolon and tab that the header has most of.</summary>
    public char? Delimiter { get; init; }
}
