using System;
using System.Collections.Generic;
using System.IO;
using System.Linq;
using Continuum;

namespace Facade;

/// <summary>Data sets of irregular series, neural CDEs and their baseline through the facade.</summary>
internal static class NeuralCdeCases
{
    private static readonly NeuralCdeOptions s_quick = NeuralCdeOptions.Small with { Iterations = 150, FieldRate = 1, WeightDecay = 0.03, LearningRate = 0.02 };

    internal static IEnumerable<(string Name, Action Body)> All =>
        [
            ("a classifier of irregular series learns what last values do not tell", Classifies),
            ("a data set is read from a long table", Reads),
            ("defects of a long table name line and column", Defects),
            ("words among the numbers of a long table are defects", Words),
            ("new subjects in whom a channel was never measured are predicted", NewSubjects),
            ("bad arrays of irregular series name the subject", BadArrays),
            ("landmarks: at risk, known, and nothing later", Landmarks),
            ("splits keep the shares of classes", Splits),
            ("first visits", FirstVisits),
            ("regressors and forecasters", Others),
            ("reports of classes", Reports),
        ];

    /// <summary>Series that rise (1) or fall (0) and end about the same, at irregular times, a third of the values missing.</summary>
    private static IrregularDataset Slopes(int subjects, int seed)
    {
        Random random = new(seed);
        double[][] times = new double[subjects][];
        double[][,] values = new double[subjects][,];
        int[] labels = new int[subjects];
        for (int i = 0; i < subjects; i++)
        {
            int visits = random.Next(5, 12);
            labels[i] = i % 2;
            times[i] = [.. Enumerable.Range(0, visits).Select(_ => random.NextDouble()).Order()];
            values[i] = new double[visits, 2];
            for (int k = 0; k < visits; k++)
            {
                double slope = labels[i] == 1 ? 1 : -1;
                values[i][k, 0] = random.Next(3) == 0 ? double.NaN : (slope * (times[i][k] - times[i][^1])) + (0.1 * (random.NextDouble() - 0.5));
                values[i][k, 1] = random.NextDouble();
            }
        }

        return new(times, values, labels, ["y", "noise"]);
    }

    private static void FirstVisits()
    {
        IrregularDataset data = Slopes(6, 2);
        int[] kept = [1, 2, 3, 4, 5, data.Times(5).Count];
        IrregularDataset first = data.FirstVisits(kept);
        for (int i = 0; i < data.Count; i++)
        {
            Check.Same(string.Join(",", first.Times(i)), string.Join(",", data.Times(i).Take(kept[i])), "times");
            Check.Same(first.Values(i)[kept[i] - 1, 1], data.Values(i)[kept[i] - 1, 1], "values");
        }

        Check.Same(string.Join(",", first.Labels), string.Join(",", data.Labels), "classes");
        Check.Throws<ArgumentOutOfRangeException>(() => data.FirstVisits([1, 1, 1, 0, 1, 1]));
        Check.Throws<ArgumentOutOfRangeException>(() => data.FirstVisits([1, 1, 1, 1, 1, 99]));
        Check.Throws<ArgumentException>(() => data.FirstVisits([1]));
    }

    private static void Classifies()
    {
        (IrregularDataset train, IrregularDataset test) = Slopes(200, 1).Split(0.6);
        using NeuralCdeModel model = NeuralCdeModel.Fit(train, s_quick);
        ClassificationReport report = model.Evaluate(test);
        ClassificationReport simple = LastValueClassifier.Fit(train).Evaluate(test);
        Check.That(report.Auroc.Value > 0.9, $"the neural CDE: {report}");
        Check.That(simple.Auroc.Value < report.Auroc.Value, $"last values: {simple}");
        Check.That(report.AurocMinus(simple).Lower > 0, $"the difference: {report.AurocMinus(simple)}");
        Check.Same(model.PredictOverTime(test)[0].GetLength(0), test.Times(0).Count, "a prediction at every visit");
        Check.Same(model.PredictClasses(test).Count, test.Count, "classes");
        string file = Path.GetTempFileName();
        try
        {
            model.Save(file);
            using NeuralCdeModel again = NeuralCdeModel.Load(file);
            Check.That(again.Predict(test).Cast<double>().SequenceEqual(model.Predict(test).Cast<double>()), $"the same predictions after loading");
        }
        finally
        {
            File.Delete(file);
        }
    }

    private static T WithFile<T>(string text, Func<string, T> body)
    {
        string file = Path.GetTempFileName();
        try
        {
            File.WriteAllText(file, text);
            return body(file);
        }
        finally
        {
            File.Delete(file);
        }
    }

    private const string Table = """
        id,day,sex,a,b,word,ill
        p1,0,f,1,NA,x,no
        p2,0,m,,4,y,yes
        p1,3,f,2,5,z,no
        p2,1.5,m,3,.,x,yes
        """;

    private static readonly IrregularCsvOptions s_roles = new() { Statics = ["sex"], LabelColumn = "ill" };

    private static void Reads()
    {
        IrregularDataset data = WithFile(Table, file => IrregularDataset.ReadCsv(file, s_roles));
        Check.Same(data.Count, 2, "subjects");
        Check.Same(string.Join(',', data.Channels), "a,b", "channels; words are left out");
        Check.Same(string.Join(',', data.ClassNames), "no,yes", "classes");
        Check.Same(string.Join(',', data.Labels), "0,1", "labels");
        Check.Same(string.Join(',', data.Times(1)), "0,1.5", "times of the second");
        Check.That(double.IsNaN(data.Values(0)[0, 1]) && data.Values(0)[1, 1] == 5, $"missing and present values");
        Check.Same(data.TimeName, "day", "the time column");
        Check.Same(data.Until(0).Times(0).Count, 1, "visits by day 0");
    }

    private static void Defects()
    {
        void Refused(string from, string to, IrregularCsvOptions roles, params string[] parts)
        {
            string message = Check
                .Throws<TimeSeriesFormatException>(() => WithFile(Table.Replace(from, to, StringComparison.Ordinal), file => IrregularDataset.ReadCsv(file, roles)))
                .Message;
            foreach (string part in parts)
            {
                Check.Holds(message, part);
            }
        }

        Refused("p1,3,", "p1,0,", s_roles, "line 4", "'day'", "'p1'", "line 2");
        Refused("p1,3,f", "p1,3,m", s_roles, "line 4", "'sex'", "must not change");
        Refused("p2,1.5,m,3", "p2,1.5,m,three", s_roles with { Channels = ["a", "b"] }, "line 5", "'a'", "'three'");
        Refused("p2,1.5", "p2,NA", s_roles, "line 5", "'day'", "missing");
        Refused("p2,1.5,m", "p2,1.5", s_roles, "line 5", "6 cells");
        Refused("sex", "gender", s_roles, "line 1", "'sex'", "no such column");
        Refused("ill", "ill", s_roles with { Statics = ["sex", "ill"] }, "line 1", "'ill'", "two roles");
    }

    private static void Words()
    {
        IrregularDataset Read(string text, IrregularCsvOptions? options = null) => WithFile(text, file => IrregularDataset.ReadCsv(file, options));
        string typo = Table.Replace("p2,1.5,m,3", "p2,1.5,m,z", StringComparison.Ordinal);
        string message = Check.Throws<TimeSeriesFormatException>(() => Read(typo, s_roles)).Message;
        foreach (string part in new[] { "line 5", "'a'", "'z'", "NA", "name the channels" })
        {
            Check.Holds(message, part);
        }

        Check.Same(string.Join(',', Read(typo, s_roles with { Channels = ["b"] }).Channels), "b", "named channels leave the column out");
        message = Check.Throws<TimeSeriesFormatException>(() => Read("id,day,x\n1,0,2\n1,1,z\n")).Message;
        Check.Holds(message, "line 3");
        Check.Holds(message, "'z'");
        Check.Holds(Check.Throws<TimeSeriesFormatException>(() => Read("id,day,x\n1,0,u\n1,1,v\n")).Message, "name the channels");
        IrregularDataset empty = Read("id,day,x,y\n1,0,2,NA\n1,1,3,\n", new() { Channels = ["x", "y"] });
        Check.That(double.IsNaN(empty.Values(0)[1, 1]), $"a named channel may be empty");
    }

    private static void NewSubjects()
    {
        IrregularDataset train = Slopes(40, 5);
        using NeuralCdeModel model = NeuralCdeModel.Fit(train, s_quick with { Iterations = 5 });
        LastValueClassifier simple = LastValueClassifier.Fit(train);
        double[,] values = train.Values(3);
        for (int visit = 0; visit < values.GetLength(0); visit++)
        {
            values[visit, 1] = double.NaN;
        }

        double[] times = [.. train.Times(3)];
        IrregularDataset alone = new([times], [values], channels: ["y", "noise"]);
        IrregularDataset subset = new IrregularDataset([times, [.. train.Times(0)]], [values, train.Values(0)], channels: ["y", "noise"]).Subset([0]);
        Check.That(model.Predict(alone).Cast<double>().SequenceEqual(model.Predict(subset).Cast<double>()), $"alone as one of several");
        Check.That(double.IsFinite(simple.Predict(alone)[0, 1]), $"by last values: {simple.Predict(alone)[0, 1]}");
        IrregularDataset without = new([times, times], [values, values], [0, 1], ["y", "noise"]);
        Check.Holds(Check.Throws<ArgumentException>(() => NeuralCdeModel.Fit(without, s_quick)).Message, "'noise' has no value");
        Check.Holds(Check.Throws<ArgumentException>(() => LastValueClassifier.Fit(new([times, times, times, times], [values, values, values, values], [0, 1, 0, 1], ["y", "noise"]))).Message, "'noise' has no value");
    }

    private static void BadArrays()
    {
        string Refused(Func<IrregularDataset> make) => Check.Throws<ArgumentException>(() => make()).Message;
        double[] times = [0, 1];
        double[,] values = { { 1, 2 }, { 3, 4 } };
        Check.Holds(Refused(() => new IrregularDataset([times, times], [values, null!])), "values of subject '1' are null");
        Check.Holds(Refused(() => new IrregularDataset([null!], [values])), "times of subject '0' are null");
        Check.Holds(Refused(() => new IrregularDataset([times, times], [values, values], [[1.0], null!])), "targets of subject '1' are null");
        Check.Holds(Refused(() => new IrregularDataset([times], [new double[3, 3]], channels: ["a", "b"])), "a row for each time");
        double[,] large = { { 1, 2 }, { 3, 1e300 } };
        IrregularDataset overflowing = new([times, times, times, times], [values, values, values, large], [0, 1, 0, 1]);
        foreach (Action fit in new Action[] { () => NeuralCdeModel.Fit(overflowing, s_quick), () => LastValueClassifier.Fit(overflowing) })
        {
            string message = Check.Throws<ArgumentException>(fit).Message;
            Check.Holds(message, "visit 1 of subject '3'");
            Check.Holds(message, "'x1'");
        }

        Check.Holds(Check.Throws<ArgumentException>(() => NeuralCdeModel.Fit(new([times, times], [values, values], [-1, 1]), s_quick)).Message, "subject '0' has the class -1");
    }

    private static void Landmarks()
    {
        const string Follow = """
            id,day,x,end,status
            early,0,1,4,1
            event,0,1,12,2
            event,8,2,12,2
            event,11,3,12,2
            later,0,1,30,1
            gone,0,1,15,0
            well,0,1,25,0
            late,11,1,25,0
            """;
        IrregularDataset all = WithFile(Follow, file => IrregularDataset.ReadCsv(file, new() { Targets = ["end", "status"] }));
        IrregularDataset data = all.AtLandmark("end", "status", [1, 2], 10, 10);
        Check.Same(string.Join(',', data.Ids), "event,later,well", "at risk at day 10, known at day 20, seen by day 10");
        Check.Same(string.Join(',', data.Labels), "1,0,0", "the event comes by day 20");
        Check.Same(string.Join(',', data.Times(0)), "0,8", "nothing after the landmark");
        Check.Holds(Check.Throws<ArgumentException>(() => all.AtLandmark("end", "state", [1], 1, 1)).Message, "'state'");
        Check.Throws<ArgumentException>(() => all.AtLandmark("end", "status", [1], 1, 0));
        Check.Throws<ArgumentException>(() => all.AtLandmark("end", "status", [1], 100, 1));
    }

    private static void Splits()
    {
        IrregularDataset data = Slopes(50, 2);
        (IrregularDataset train, IrregularDataset test) = data.Split(0.8, seed: 3);
        Check.Same(train.Labels.Sum(), 20, "ones to fit");
        Check.Same(test.Labels.Sum(), 5, "ones held out");
        Check.Same(train.Ids.Concat(test.Ids).Distinct().Count(), 50, "all subjects, each once");
        Check.That(train.Ids.SequenceEqual(data.Split(0.8, seed: 3).Train.Ids), $"the same seed");
        Check.Throws<ArgumentOutOfRangeException>(() => data.Split(1));
    }

    private static void Others()
    {
        IrregularDataset slopes = Slopes(60, 4);
        double[][] times = [.. Enumerable.Range(0, 60).Select(i => slopes.Times(i).ToArray())];
        double[][,] values = [.. Enumerable.Range(0, 60).Select(slopes.Values)];
        double[][] targets = [.. slopes.Labels.Select(label => new[] { 10.0 * label })];
        using NeuralCdeModel regressor = NeuralCdeModel.Fit(new IrregularDataset(times, values, targets), s_quick);
        Check.Same(regressor.Task, NeuralCdeTask.Regression, "numbers make a regressor");
        double[,] predicted = regressor.Predict(new IrregularDataset(times, values));
        double error = Math.Sqrt(Enumerable.Range(0, 60).Average(i => Math.Pow(predicted[i, 0] - targets[i][0], 2)));
        Check.That(error < 4, $"the root mean square error {error}, 5 without a model");
        using NeuralCdeModel forecaster = NeuralCdeModel.Fit(new IrregularDataset(times, values), s_quick with { Iterations = 5 });
        double[,] ahead = forecaster.Forecast(new IrregularDataset(times, values), [.. times.Select(time => new[] { time[^1] + 0.1, time[^1] + 0.2 })])[0];
        Check.That(ahead.GetLength(0) == 2 && ahead.GetLength(1) == 2 && ahead.Cast<double>().All(double.IsFinite), $"a forecast of two channels at two times");
        Check.Throws<InvalidOperationException>(() => forecaster.Predict(slopes));
        Check.Throws<InvalidOperationException>(() => regressor.Evaluate(slopes));
    }

    private static void Reports()
    {
        double[,] chances = { { 0.9, 0.1 }, { 0.6, 0.4 }, { 0.65, 0.35 }, { 0.2, 0.8 } };
        ClassificationReport report = new([0, 0, 1, 1], chances);
        Check.Near(report.Auroc.Value, 0.75, 1e-15, "three of four pairs are in order");
        Check.Near(report.Accuracy, 0.75, 1e-15, "three of four");
        Check.Same(string.Join(' ', report.RocCurve().Select(p => $"{p.FalsePositiveRate},{p.TruePositiveRate}")), "0,0 0,0.5 0.5,0.5 0.5,1 1,1", "the curve");
        Check.That(double.IsNaN(new ClassificationReport([1, 1, 1, 1], chances).Auroc.Value), $"no AUROC of one class");
        Check.Throws<ArgumentException>(() => Check.Same(new ClassificationReport([0, 1], chances).Count, 4, "two labels for four subjects"));
    }
}
