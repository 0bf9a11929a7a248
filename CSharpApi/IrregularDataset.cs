extern alias core;

using System;
using System.Collections.Generic;
using System.IO;
using System.Linq;
using Core = core::Continuum;

namespace Continuum;

/// <summary>
/// Irregular series of many subjects: visits at times of their own, values that may be missing, covariates that do not change, and a class or
/// numbers to be predicted. Immutable.
/// </summary>
/// <example><code>
/// var data = IrregularDataset.ReadCsv("visits.csv", new() { IdColumn = "id", TimeColumn = "day", LabelColumn = "ill" });
/// var (train, test) = data.Split(0.8);
/// using var model = NeuralCdeModel.Fit(train);
/// Console.WriteLine(model.Evaluate(test));
/// </code></example>
public sealed class IrregularDataset
{
    private readonly string[]? _classNames;

    internal IrregularDataset(Core.IrregularSeries inner, string timeName, string[]? classNames)
    {
        Inner = inner;
        TimeName = timeName;
        _classNames = classNames;
    }

    /// <summary>A data set from times and values of each subject, and its class where known.</summary>
    /// <param name="times">Rising times of the visits of each subject.</param>
    /// <param name="values">The values of each subject, of shape (visits, channels); NaN where missing.</param>
    /// <param name="labels">The class of each subject, from 0; null where there is none.</param>
    /// <param name="channels">The names of the channels; null for x0, x1, ...</param>
    /// <exception cref="ArgumentException">
    /// Lengths disagree, a subject has no visit, times do not rise, or a value is infinite; the message names the subject. A channel may be without
    /// any value: models predict such subjects, only fits refuse.
    /// </exception>
    public IrregularDataset(
        IReadOnlyList<double[]> times,
        IReadOnlyList<double[,]> values,
        IReadOnlyList<int>? labels = null,
        IReadOnlyList<string>? channels = null
    )
        : this(times, values, labels is null ? null : [.. labels.Select(label => new[] { (double)label })], channels, ["label"]) =>
        _classNames = labels is null ? null : [.. Enumerable.Range(0, 1 + Math.Max(1, labels.Max())).Select(k => $"{k}")];

    /// <summary>A data set from times and values of each subject, and numbers to be predicted for it.</summary>
    /// <param name="times">Rising times of the visits of each subject.</param>
    /// <param name="values">The values of each subject, of shape (visits, channels); NaN where missing.</param>
    /// <param name="targets">What is to be predicted for each subject; null where nothing is.</param>
    /// <param name="channels">The names of the channels; null for x0, x1, ...</param>
    /// <param name="targetNames">The names of the targets; null for y0, y1, ...</param>
    /// <exception cref="ArgumentException">As for the other constructor.</exception>
    public IrregularDataset(
        IReadOnlyList<double[]> times,
        IReadOnlyList<double[,]> values,
        IReadOnlyList<double[]>? targets,
        IReadOnlyList<string>? channels = null,
        IReadOnlyList<string>? targetNames = null
    )
    {
        ArgumentNullException.ThrowIfNull(times);
        ArgumentNullException.ThrowIfNull(values);
        if (times.Count != values.Count || (targets is not null && targets.Count != times.Count))
        {
            throw new ArgumentException(
                $"{times.Count} series of times, {values.Count} of values and {targets?.Count ?? times.Count} targets do not fit each other"
            );
        }

        for (int i = 0; i < times.Count; i++)
        {
            string? missing =
                times[i] is null ? nameof(times)
                : values[i] is null ? nameof(values)
                : targets is not null && targets[i] is null ? nameof(targets)
                : null;
            if (missing is not null)
            {
                throw new ArgumentException($"the {missing} of subject '{i}' are null; give them, or leave the subject out", missing);
            }
        }

        int width = values.Count > 0 ? values[0].GetLength(1) : 0;
        string[] names = targets is { Count: > 0 } ? [.. targetNames ?? [.. targets[0].Select((_, k) => $"y{k}")]] : [];
        Core.IrregularSubject[] subjects =
        [
            .. times.Select(
                (time, i) => new Core.IrregularSubject($"{i}", new([.. time], (double[,])values[i].Clone()), [], targets is null ? [] : [.. targets[i]], null)
            ),
        ];
        TimeName = "time";
        Inner = Core.IrregularSeries.Create([.. channels ?? [.. Enumerable.Range(0, width).Select(k => $"x{k}")]], [], names, [], subjects);
    }

    /// <summary>The name of time.</summary>
    public string TimeName { get; }

    /// <summary>The number of subjects.</summary>
    public int Count => Inner.Count;

    /// <summary>The subjects' names.</summary>
    public IReadOnlyList<string> Ids => [.. Inner.Subjects.Select(subject => subject.Id)];

    /// <summary>The names of the observed quantities.</summary>
    public IReadOnlyList<string> Channels => Inner.Channels;

    /// <summary>The names of the covariates.</summary>
    public IReadOnlyList<string> Statics => Inner.StaticNames;

    /// <summary>The names of what is to be predicted; empty where nothing is.</summary>
    public IReadOnlyList<string> TargetNames => Inner.TargetNames;

    /// <summary>The names of the classes; empty where there are none.</summary>
    public IReadOnlyList<string> ClassNames => _classNames ?? [];

    /// <summary>The class of each subject.</summary>
    /// <exception cref="InvalidOperationException">There are no classes.</exception>
    public IReadOnlyList<int> Labels =>
        _classNames is not null
            ? [.. Inner.Subjects.Select(subject => (int)subject.Target[0])]
            : throw new InvalidOperationException("the data have no classes; read them with a label column, or make them with AtLandmark");

    internal Core.IrregularSeries Inner { get; }

    /// <summary>Reads a CSV file in long format: a header, then a row for each visit; empty cells and NA are missing values.</summary>
    /// <param name="path">The file, UTF-8.</param>
    /// <param name="options">The roles of the columns; null for the defaults.</param>
    /// <exception cref="TimeSeriesFormatException">The file is not such a table; the message names line, column and remedy.</exception>
    /// <exception cref="FileNotFoundException">There is no such file.</exception>
    public static IrregularDataset ReadCsv(string path, IrregularCsvOptions? options = null)
    {
        ArgumentException.ThrowIfNullOrWhiteSpace(path);
        return IrregularCsv.Read(path, options ?? new());
    }

    /// <summary>The times of a subject's visits.</summary>
    /// <exception cref="ArgumentOutOfRangeException">There is no such subject.</exception>
    public IReadOnlyList<double> Times(int subject) => At(subject).Path.Times;

    /// <summary>The values of a subject, of shape (visits, channels), NaN where missing; a copy.</summary>
    /// <exception cref="ArgumentOutOfRangeException">There is no such subject.</exception>
    public double[,] Values(int subject) => (double[,])At(subject).Path.Values.Clone();

    /// <summary>What is to be predicted for a subject.</summary>
    /// <exception cref="ArgumentOutOfRangeException">There is no such subject.</exception>
    public IReadOnlyList<double> Targets(int subject) => At(subject).Target;

    /// <summary>The subjects at these indices, in this order.</summary>
    /// <exception cref="ArgumentOutOfRangeException">There is no such subject.</exception>
    public IrregularDataset Subset(IReadOnlyList<int> indices)
    {
        ArgumentNullException.ThrowIfNull(indices);
        foreach (int index in indices)
        {
            At(index);
        }

        return new(Inner.Subset([.. indices]), TimeName, _classNames);
    }

    /// <summary>Splits the subjects at random, every class alike where there are classes.</summary>
    /// <param name="share">The share of subjects in the first part, between 0 and 1.</param>
    /// <param name="seed">The same seed gives the same split.</param>
    /// <exception cref="ArgumentOutOfRangeException">One part would be empty.</exception>
    public (IrregularDataset Train, IrregularDataset Test) Split(double share, int seed = 0)
    {
        Random random = new(seed);
        List<int> train = [];
        List<int> test = [];
        foreach (IGrouping<int, int> group in Enumerable.Range(0, Count).GroupBy(i => _classNames is null ? 0 : (int)Inner.Subjects[i].Target[0]).OrderBy(g => g.Key))
        {
            int[] members = [.. group];
            random.Shuffle(members);
            int count = (int)Math.Round(Math.Clamp(share, 0, 1) * members.Length, MidpointRounding.AwayFromZero);
            train.AddRange(members.Take(count));
            test.AddRange(members.Skip(count));
        }

        return train.Count > 0 && test.Count > 0
            ? (Subset([.. train.Order()]), Subset([.. test.Order()]))
            : throw new ArgumentOutOfRangeException(nameof(share), share, $"this share of {Count} subjects leaves one part empty");
    }

    /// <summary>What was known at a time: the visits up to and at it. Subjects without any by then are left out.</summary>
    /// <exception cref="ArgumentException">No subject has a visit by then.</exception>
    public IrregularDataset Until(double time) => new(Inner.Until(time), TimeName, _classNames);

    /// <summary>The first visits of each subject alone, for forecasts of those after them.</summary>
    /// <param name="visits">How many of each subject are kept: 1 at least, and no more than it has.</param>
    /// <exception cref="ArgumentException">There is not one number for each subject, or a channel has no value left.</exception>
    /// <exception cref="ArgumentOutOfRangeException">A subject has not so many visits; the message names it.</exception>
    public IrregularDataset FirstVisits(IReadOnlyList<int> visits)
    {
        ArgumentNullException.ThrowIfNull(visits);
        if (visits.Count != Count)
        {
            throw new ArgumentException($"{visits.Count} numbers of visits for {Count} subjects", nameof(visits));
        }

        Core.IrregularSubject Cut(Core.IrregularSubject subject, int kept) =>
            kept >= 1 && kept <= subject.Path.Rows
                ? new(subject.Id, subject.Path.Slice(0, kept), subject.Statics, subject.Target, null)
                : throw new ArgumentOutOfRangeException(nameof(visits), kept, $"subject '{subject.Id}' has {subject.Path.Rows} visits");
        Core.IrregularSubject[] subjects = [.. Inner.Subjects.Select((subject, i) => Cut(subject, visits[i]))];
        return new(Core.IrregularSeries.Create(Inner.Channels, Inner.StaticNames, Inner.TargetNames, [], subjects), TimeName, _classNames);
    }

    /// <summary>
    /// The question whether a subject at risk at a landmark has an event within a horizon, from the visits up to the landmark alone: class 1 with the
    /// event, 0 without. Subjects whose time ended by the landmark, and those without an event whose time ended within the horizon
    /// (nobody knows their class), are left out, and so are those without a visit by the landmark.
    /// </summary>
    /// <param name="timeColumn">The target that tells when a subject's time ended.</param>
    /// <param name="statusColumn">The target that tells how.</param>
    /// <param name="events">The values of the status that are an event; all others are none.</param>
    /// <param name="landmark">The time from which is predicted.</param>
    /// <param name="horizon">The length of time that is predicted, above 0.</param>
    /// <exception cref="ArgumentException">There is no such target, no horizon, or no subject is left.</exception>
    public IrregularDataset AtLandmark(string timeColumn, string statusColumn, IReadOnlyList<double> events, double landmark, double horizon)
    {
        ArgumentNullException.ThrowIfNull(events);
        if (!(horizon > 0 && double.IsFinite(landmark + horizon)))
        {
            throw new ArgumentException($"the horizon must be above 0; got {TimeSeries.Text(horizon)}", nameof(horizon));
        }

        int time = Target(timeColumn);
        int status = Target(statusColumn);
        bool Happened(Core.IrregularSubject subject) => events.Contains(subject.Target[status]);
        int[] kept =
        [
            .. Enumerable.Range(0, Count).Where(i =>
            {
                Core.IrregularSubject subject = Inner.Subjects[i];
                return subject.Target[time] > landmark && (Happened(subject) || subject.Target[time] >= landmark + horizon);
            }),
        ];
        if (kept.Length == 0)
        {
            throw new ArgumentException(
                $"no subject is at risk at {TimeSeries.Text(landmark)} and known until {TimeSeries.Text(landmark + horizon)}; choose another landmark or horizon"
            );
        }

        Core.IrregularSeries part = Inner.Subset(kept);
        double[][] labels =
        [
            .. part.Subjects.Select(subject => new[] { Happened(subject) && subject.Target[time] <= landmark + horizon ? 1.0 : 0.0 }),
        ];
        return new(part.WithTargets(["event"], labels).Until(landmark), TimeName, ["no event", "event"]);
    }

    private int Target(string name)
    {
        int index = Array.IndexOf(Inner.TargetNames, name);
        return index >= 0
            ? index
            : throw new ArgumentException($"there is no target '{name}'; the targets are {TimeSeries.Names(TargetNames)}: name them when reading");
    }

    private Core.IrregularSubject At(int subject) =>
        subject >= 0 && subject < Count
            ? Inner.Subjects[subject]
            : throw new ArgumentOutOfRangeException(nameof(subject), subject, $"subjects are counted from 0 to {Count - 1}");
}
