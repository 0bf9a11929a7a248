using System;
using System.Collections.Generic;
using System.IO;
using System.Linq;

namespace Continuum.Cli;

/// <summary>A learned operator on samples that it was not trained on: errors, pictures and tables.</summary>
internal sealed class OperatorResults
{
    internal const string MetricsFile = "metrics.csv";
    internal const string ReportFile = "report.html";

    /// <summary>Samples whose means the spectra and the errors of frames are.</summary>
    private const int MostInMeans = 64;

    private readonly OperatorModel _model;
    private readonly OperatorData _test;
    private readonly int _first;

    /// <param name="model">The operator.</param>
    /// <param name="test">The samples.</param>
    /// <param name="first">The number of the first of them in their file.</param>
    /// <param name="strides">Other resolutions to compare at, each every k-th point of the samples.</param>
    internal OperatorResults(OperatorModel model, OperatorData test, int first, IEnumerable<int> strides)
    {
        _model = model;
        _test = test;
        _first = first;
        Evaluations = FitSession.Checked<IReadOnlyList<OperatorEvaluation>>(() => [model.Evaluate(test), .. strides.Where(stride => stride > 1).Select(EvaluateAt)]);
    }

    /// <summary>On the samples' own points, then on those of the strides.</summary>
    internal IReadOnlyList<OperatorEvaluation> Evaluations { get; }

    internal static IReadOnlyList<string> Header { get; } =
        ["points", "L2 mean", "L2 median", "L2 worst", "H1 mean", "H1 median", "H1 worst"];

    /// <summary>A row for each resolution.</summary>
    internal IEnumerable<IReadOnlyList<string>> Rows() =>
        Evaluations.Select(e =>
            (IReadOnlyList<string>)
                [
                    string.Join(" x ", e.Points),
                    .. new[] { e.MeanL2, e.MedianL2, e.WorstL2, e.MeanH1, e.MedianH1, e.WorstH1 }.Select(Numbers.Short),
                ]
        );

    /// <summary>The best, the median and the worst sample, the errors of frames, and the spectra.</summary>
    internal IEnumerable<Picture> Pictures()
    {
        if (!_test.Output.IsGrid || _test.Inputs.Any(input => !input.IsGrid))
        {
            yield break;
        }

        IReadOnlyList<int> ranking = Evaluations[0].Ranking;
        (string Name, int Sample)[] shown = [("best", ranking[0]), ("median", ranking[(ranking.Count - 1) / 2]), ("worst", ranking[^1])];
        using OperatorData few = _test.Take([.. shown.Select(pair => pair.Sample)]);
        using OperatorData images = _model.Predict(few);
        for (int k = 0; k < shown.Length; k++)
        {
            (string name, int sample) = shown[k];
            string text = $"The {name} sample, number {_first + sample}: relative L2 error {Numbers.Short(Evaluations[0].RelativeL2[sample])}";
            yield return new($"sample-{name}.png", text, SamplePlot.Draw(few, images, k));
        }

        using OperatorData some = _test.Range(0, Math.Min(_test.Count, MostInMeans));
        using OperatorData means = _model.Predict(some);
        if (_test.Times.Count > 1)
        {
            string text = $"Relative error of each frame, root of the mean squares at the points, mean over {some.Count} samples.";
            yield return new("frames.png", text, CurvePlot.Frames(_test.Times, FrameErrors(some, means)));
        }

        if (_test.Output.IsUniform)
        {
            yield return Spectrum(some, means);
        }
    }

    /// <summary>The errors of each sample.</summary>
    internal void WriteMetrics(TextWriter writer)
    {
        OperatorEvaluation errors = Evaluations[0];
        writer.WriteLine("sample,relative_l2,relative_h1");
        for (int k = 0; k < errors.RelativeL2.Count; k++)
        {
            writer.WriteLine($"{_first + k},{Numbers.Exact(errors.RelativeL2[k])},{Numbers.Exact(errors.RelativeH1[k])}");
        }
    }

    private OperatorEvaluation EvaluateAt(int stride)
    {
        using OperatorData coarse = _test.Stride([.. Enumerable.Repeat(stride, _test.Output.Points.Count)]);
        return _model.Evaluate(coarse);
    }

    private static Picture Spectrum(OperatorData truth, OperatorData images)
    {
        string name = truth.Output.Name;
        bool windowed = truth.Boundaries.Any(condition => condition != BoundaryCondition.Periodic);
        string how = windowed ? " Values on axes that are not periodic are multiplied by sin² from end to end first." : "";
        string text =
            $"Energy by wave number, mean over {truth.Count} samples: squared Fourier coefficients of the values at the points, summed where |k| rounds to the same number; below 1e-18 of the largest left out.{how}";
        return new("spectrum.png", text, CurvePlot.Spectrum(name, truth.Spectrum(name), images.Spectrum(name)));
    }

    private static double[] FrameErrors(OperatorData truth, OperatorData images)
    {
        double[] wanted = truth.Values(truth.Output.Name);
        double[] given = images.Values(images.Output.Name);
        int frames = truth.Times.Count;
        int size = wanted.Length / truth.Count / frames;
        double[] errors = new double[frames];
        for (int block = 0; block < truth.Count * frames; block++)
        {
            double square = 0;
            double difference = 0;
            for (int k = block * size; k < (block + 1) * size; k++)
            {
                square += wanted[k] * wanted[k];
                difference += (given[k] - wanted[k]) * (given[k] - wanted[k]);
            }

            errors[block % frames] += Math.Sqrt(difference / square) / truth.Count;
        }

        return errors;
    }
}
