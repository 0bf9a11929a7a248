using System;
using System.Collections.Generic;
using System.IO;
using System.Linq;
using System.Threading;

namespace Continuum.Cli;

/// <summary>One `continuum fit --model neural-sde`: trains, simulates the held-out times, compares with geometric Brownian motion, writes.</summary>
internal sealed class SdeFitRun
{
    private const string QuantilesFile = "quantiles.csv";
    private const string PlotFile = "fit.png";

    /// <summary>Fewer rows say nothing about a volatility that changes.</summary>
    private const int LeastRows = 20;

    private readonly FitArguments _arguments;
    private readonly int _paths;
    private readonly TimeSeries _train;
    private readonly TimeSeries? _heldOut;
    private readonly OutputFolder _folder;
    private readonly string _checkpoint;

    private SdeFitRun(FitArguments arguments, int paths)
    {
        _arguments = arguments;
        _paths = paths;
        TimeSeries data = DataFile.Read(arguments.Csv, arguments.TimeColumn, arguments.Columns, arguments.DropMissing);
        (_train, _heldOut) = arguments.Split.Apply(data);
        if (_train.Count < LeastRows)
        {
            throw new UsageException($"{_train.Count} rows to fit are too few for a neural SDE, which needs {LeastRows}; choose a later --split or more data");
        }

        ContinuumRuntime.EnsureLoaded();
        _folder = OutputFolder.Open(arguments.Folder, FitSession.ModelFile, FitSession.TrainingFile, QuantilesFile, PlotFile);
        _checkpoint = _folder.PathOf(FitSession.TrainingFile);
    }

    internal static int Run(FitArguments arguments, int paths)
    {
        SdeFitRun run = new(arguments, paths);
        return FitSession.Run(run._checkpoint, arguments.Resume, arguments.Quiet, run.Run);
    }

    private void Run(CancellationToken cancellation)
    {
        GeometricBrownianModel brownian = FitSession.Checked(() => GeometricBrownianModel.Fit(_train));
        using NeuralSdeModel model = FitSession.Checked(() =>
            ProgressView.Run(_arguments.Quiet, "fitting the neural SDE", progress => NeuralSdeModel.Fit(_train, Options(), progress, cancellation))
        );
        double[] times = [.. _heldOut?.Times ?? Beyond()];
        SimulatedPaths fan = model.Simulate(_paths, times, _arguments.Seed);
        SimulatedPaths rival = brownian.Simulate(_paths, times, _arguments.Seed);
        SdeComparison? comparison = _heldOut is null ? null : SdeComparison.Make(model, brownian, fan, rival, _train, _heldOut, _arguments.Seed);
        cancellation.ThrowIfCancellationRequested();
        List<string> written = Write(model, fan, rival);
        if (!_arguments.Quiet)
        {
            Print(model, brownian);
            comparison?.Print(_heldOut!);
            FitReport.PrintFiles(written);
        }
    }

    private NeuralSdeOptions Options()
    {
        NeuralSdeOptions options = new()
        {
            Seed = _arguments.Seed,
            Threads = _arguments.Threads,
            CheckpointPath = _checkpoint,
            Resume = _arguments.Resume && File.Exists(_checkpoint),
        };
        options = _arguments.Hidden is { } hidden ? options with { Hidden = hidden } : options;
        options = _arguments.Iterations is { } iterations ? options with { Iterations = iterations } : options;
        return _arguments.LearningRate is { } rate ? options with { LearningRate = rate } : options;
    }

    private IEnumerable<double> Beyond()
    {
        double step = (_train.Times[^1] - _train.Times[0]) / (_train.Count - 1);
        return Enumerable.Range(1, Math.Max(1, (int)Math.Round(0.3 * _train.Count))).Select(k => _train.Times[^1] + k * step);
    }

    private void Print(NeuralSdeModel model, GeometricBrownianModel brownian)
    {
        Console.WriteLine(
            $"neural SDE of {(model.IsLogarithmic ? "logarithms" : "values")}: {_train.Count} rows from {Numbers.Exact(_train.Times[0])} to {Numbers.Exact(_train.Times[^1])}, "
                + $"{model.Iterations} iterations, loss {Numbers.Short(model.TrainingLoss)}, seed {_arguments.Seed}"
        );
        IEnumerable<string> constants = brownian.ColumnNames.Select(
            (name, j) => $"{name} {Numbers.Short(brownian.Drift[j])} and {Numbers.Short(brownian.Volatility[j])}"
        );
        Console.WriteLine(
            $"{SdeComparison.BaselineName(brownian)}, drift and volatility per unit of {model.TimeName}: {string.Join(", ", constants)}"
        );
    }

    private List<string> Write(NeuralSdeModel model, SimulatedPaths fan, SimulatedPaths rival)
    {
        // The picture first: the one that may fail for reasons of its own, while nothing of an earlier fit is replaced yet.
        byte[]? picture = _arguments.Plot
            ? FanPlot.Draw($"{_arguments.DataName}: {fan.Count} paths of a neural SDE", fan, _train, _heldOut, rival, "Brownian", svg: false)
            : null;
        List<string> written = [_folder.PathOf(FitSession.ModelFile), _folder.PathOf(QuantilesFile)];
        model.Save(written[0]);
        fan.WriteQuantilesCsv(written[1], FanPlot.Probabilities);
        if (picture is not null)
        {
            written.Add(_folder.PathOf(PlotFile));
            OutputFolder.Write(written[^1], picture);
        }

        File.Delete(_checkpoint);
        return written;
    }
}
