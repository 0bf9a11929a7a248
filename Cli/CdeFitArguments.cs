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

    /// <summary>The columns of numbers to predict.</summary>
    internal IReadOnlyList<string> Targets { get; init; } = [];

    /// <summary>The task asked for; null takes the one that the other options ask for.</summary>
    internal NeuralCdeTask? Asked { get; init; }

    private bool HasClasses => Label is not null || EventTime is not null || EventStatus is not null;

    /// <summary>The task: numbers where there are targets, else classes.</summary>
    /// <exception cref="UsageException">The options do not say what to predict, or ask for two things.</exception>
    internal NeuralCdeTask Task()
    {
        NeuralCdeTask task = Asked ?? (Targets.Count > 0 ? NeuralCdeTask.Regression : NeuralCdeTask.Classification);
        string? defect = task switch
        {
            NeuralCdeTask.Classification when Targets.Count > 0 => "--targets are numbers, for --task regression; classes come from --label or an event",
            NeuralCdeTask.Classification when !HasClasses && Landmark is null && Horizon is null =>
                "neural-cde needs what to predict: --label COLUMN; or --event-time, --event-status, --landmark and --horizon; or --targets COLUMNS; or --task forecast",
            NeuralCdeTask.Regression when Targets.Count == 0 => "--task regression needs --targets, the columns of numbers to predict",
            NeuralCdeTask.Regression when HasClasses => "--label and events are for --task classification, --targets for regression; give one",
            NeuralCdeTask.Regression when Horizon is not null => "--horizon is for an event or a forecast, not for --task regression",
            NeuralCdeTask.Forecast when HasClasses || Targets.Count > 0 =>
                "a forecast is one of the channels themselves: --label, --targets, --event-time and --event-status are not for --task forecast",
            NeuralCdeTask.Forecast when Horizon is not null && Landmark is null => "--horizon of a forecast is a length of time after --landmark; give both",
            _ => null,
        };
        return defect is null ? task : throw new UsageException(defect);
    }

    /// <summary>The data with what the task predicts, from the visits that may be seen.</summary>
    /// <exception cref="UsageException">The options name a column that is not there, both a label and an event, or half an event.</exception>
    internal IrregularDataset Read(NeuralCdeTask task) =>
        task switch
        {
            NeuralCdeTask.Classification => ReadClasses(),
            NeuralCdeTask.Regression => Seen(DataFile.ReadLong(Common.Csv, Options(Targets))),
            _ => DataFile.ReadLong(Common.Csv, Options([])),
        };

    private IrregularDataset Seen(IrregularDataset data) => Landmark is { } time ? FitSession.Checked(() => data.Until(time)) : data;

    private IrregularDataset ReadClasses()
    {
        if (Label is not null)
        {
            return EventTime is not null || EventStatus is not null || Landmark is not null || Horizon is not null
                ? throw new UsageException("--label and the options of an event exclude each other; give one")
                : DataFile.ReadLong(Common.Csv, Options([]) with { LabelColumn = Label });
        }

        if (EventTime is null || EventStatus is null || Landmark is null || Horizon is null)
        {
            throw new UsageException("an event needs all of --event-time, --event-status, --landmark and --horizon");
        }

        IrregularDataset all = DataFile.ReadLong(Common.Csv, Options([EventTime, EventStatus.Value.Column]));
        return FitSession.Checked(() => all.AtLandmark(EventTime, EventStatus.Value.Column, EventStatus.Value.Events, Landmark.Value, Horizon.Value));
    }

    private IrregularCsvOptions Options(IReadOnlyList<string> targets) =>
        new()
        {
            IdColumn = Id,
            TimeColumn = Common.TimeColumn,
            Channels = Common.Columns,
            Statics = Statics,
            Targets = targets,
        };
}
