using System;
using System.Collections.Generic;
using System.IO;
using System.Linq;
using System.Threading;

namespace Continuum.Cli;

/// <summary>One `continuum fit`: reads, checks, trains, compares, and only then writes the results.</summary>
internal sealed class FitRun
{
    private const string ForecastFile = "forecast.csv";
    private const string PlotFile = "fit.png";

    private readonly FitArguments _arguments;
    private readonly TimeSeries _train;
    private readonly TimeSeries? _heldOut;
    private readonly OutputFolder _folder;
    private readonly string _checkpoint;

    private FitRun(FitArguments arguments)
    {
        _arguments = arguments;
        TimeSeries data = DataFile.Read(arguments.Csv, arguments.TimeColumn, arguments.Columns, arguments.DropMissing);
        (_train, _heldOut) = arguments.Split.Apply(data);
        ContinuumRuntime.EnsureLoaded();
        _folder = OutputFolder.Open(arguments.Folder, FitSession.ModelFile, FitSession.TrainingFile, ForecastFile, PlotFile);
        _checkpoint = _folder.PathOf(FitSession.TrainingFile);
    }

    internal static int Run(FitArguments arguments)
    {
        FitRun run = new(arguments);
        return FitSession.Run(run._checkpoint, arguments.Resume, arguments.Quiet, run.Run);
    }

    private void Run(CancellationToken cancellation)
    {
        using Forecaster model = Fit(_arguments.Options(_checkpoint), cancellation);
        TimeSeries forecast = model.Forecast(_heldOut?.Times ?? Beyond());
        List<KeyValuePair<string, TimeSeries>> rivals = _heldOut is null ? [] : [.. Rivals(model, cancellation)];
        List<string> written = Write(model, forecast);
        if (!_arguments.Quiet)
        {
            FitReport.Print(model, _train);
            if (_heldOut is not null)
            {
                FitReport.PrintErrors(_heldOut, [new(FitCommand.Name(model.Model), forecast), .. rivals]);
            }

            FitReport.PrintFiles(written);
        }
    }

    private Forecaster Fit(FitOptions options, CancellationToken cancellation) =>
        FitSession.Checked(() =>
            ProgressView.Run(_arguments.Quiet, $"fitting the {FitCommand.Name(options.Model)} model", progress => Forecaster.Fit(_train, options, progress, cancellation))
        );

    /// <summary>Simpler forecasts of the held-out times: the mechanism without a network, and the last value for ever.</summary>
    private IEnumerable<KeyValuePair<string, TimeSeries>> Rivals(Forecaster model, CancellationToken cancellation)
    {
        if (model.Model == ForecastModelKind.Hybrid)
        {
            FitOptions options = new()
            {
                Model = ForecastModelKind.Mechanistic,
                Prior = model.Prior,
                Iterations = _arguments.Iterations ?? 0,
                Seed = _arguments.Seed,
                Threads = _arguments.Threads,
            };
            TimeSeries? plain = null;
            try
            {
                using Forecaster mechanism = Fit(options, cancellation);
                plain = mechanism.Forecast(_heldOut!.Times);
            }
            catch (FitException failure)
            {
                Failure.Report($"the plain mechanism is left out of the comparison: {failure.Message}");
            }

            if (plain is not null)
            {
                yield return new($"plain {model.Prior}", plain);
            }
        }

        yield return new("persistence", Forecaster.Persistence(_train, _heldOut!.Times));
    }

    private double[] Beyond()
    {
        int count = Math.Max(1, (int)Math.Round(0.3 * _train.Count));
        double step = (_train.Times[^1] - _train.Times[0]) / (_train.Count - 1);
        return [.. Enumerable.Range(1, count).Select(k => _train.Times[^1] + k * step)];
    }

    private List<string> Write(Forecaster model, TimeSeries forecast)
    {
        // The picture first: the one that may fail for reasons of its own, while nothing of an earlier fit is replaced yet.
        byte[]? picture = _arguments.Plot ? FitPlot.Draw(_arguments.DataName, model, _train, _heldOut, forecast.Times[^1]) : null;
        List<string> written = [_folder.PathOf(FitSession.ModelFile), _folder.PathOf(ForecastFile)];
        model.Save(written[0]);
        forecast.WriteCsv(written[1]);
        if (picture is not null)
        {
            written.Add(_folder.PathOf(PlotFile));
            OutputFolder.Write(written[^1], picture);
        }

        File.Delete(_checkpoint);
        return written;
    }
}
