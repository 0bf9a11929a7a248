using System.Collections.Generic;

namespace Continuum.Cli;

/// <summary>What `continuum fit --model neural-cde` was asked to do, beside what all fits are.</summary>
internal sealed record CdeFitArguments
{
    internal required FitArguments Common { get; init; }

    internal string? Id { get; init; }

    internal IReadOnlyList<string> Statics { get; init; } = [];

    internal string? Label { get; init; }

    internal string? EventTime { get; init; }

    /// <summary>The status column and the values that are an event.</summary>
    internal (string Column, double[] Events)? EventStatus { get; init; }

    internal double? Landmark { get; init; }

    internal double? Horizon { get; init; }

    /// <summary>The data with one class for each subject, from the visits that may be seen.</summary>
    /// <exception cref="UsageException">Neither a label nor an event is given, or both, or half an event.</exception>
    internal IrregularDataset Read()
    {
        bool parts = EventTime is not null || EventStatus is not null || Landmark is not null || Horizon is not null;
        if (Label is not null)
        {
            return parts
                ? throw new UsageException("--label and the options of an event exclude each other; give one")
                : DataFile.ReadLong(Common.Csv, Options([]) with { LabelColumn = Label });
        }

        if (EventTime is null || EventStatus is null || Landmark is null || Horizon is null)
        {
            throw new UsageException(
                parts
                    ? "an event needs all of --event-time, --event-status, --landmark and --horizon"
                    : "neural-cde needs what to predict: --label COLUMN, or --event-time, --event-status, --landmark and --horizon"
            );
        }

        IrregularDataset all = DataFile.ReadLong(Common.Csv, Options([EventTime, EventStatus.Value.Column]));
        return FitSession.Checked(() => all.AtLandmark(EventTime, EventStatus.Value.Column, EventStatus.Value.Events, Landmark.Value, Horizon.Value));
    }

    private IrregularCsvOptions Options(string[] targets) =>
        new()
        {
            IdColumn = Id,
            TimeColumn = Common.TimeColumn,
            Channels = Common.Columns,
            Statics = Statics,
            Targets = targets,
        };
}
