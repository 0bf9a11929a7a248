using System;
using System.Collections.Generic;
using System.CommandLine;
using System.IO;
using System.Linq;
using Spectre.Console;

namespace Continuum.Cli;

/// <summary>`continuum forecast`: goes on from a fitted model.</summary>
internal static class ForecastCommand
{
    private const int MostRows = 1_000_000;

    private const string Epilogue = """
        The forecast begins one step after the last time that the model was fitted to, and always includes the time --to.
        An existing file is replaced.

        Examples:
          continuum forecast out/lynx-hare/model.safetensors --to 1930
          continuum forecast out/lynx-hare/model.safetensors --to 1930 --step 0.25 --out lynx.csv --plot lynx.png
        """;

    private static readonly Argument<string> s_checkpoint = new("checkpoint") { Description = "The model.safetensors that continuum fit wrote" };
    private static readonly Option<double?> s_to = Arguments.Number("--to", "The last time to forecast", "time", positive: false);
    private static readonly Option<double?> s_step = Arguments.Number("--step", "The time between rows [default: that of the data]", "dt", positive: true);
    private static readonly Option<string?> s_out = Arguments.Text("--out", "The CSV file to write [default: forecast.csv in the current folder]", "file");
    private static readonly Option<string?> s_plot = Arguments.Text("--plot", "Draw fitted curve and forecast into this PNG file too", "file");

    internal static Command Create()
    {
        s_to.Required = true;
        Command command = new("forecast", "Forecasts with a fitted model beyond the times that it was fitted to.") { s_checkpoint, s_to, s_step, s_out, s_plot };
        command.SetAction(Run);
        Help.Extend(command, Epilogue);
        return command;
    }

    private static int Run(ParseResult parsed)
    {
        string output = parsed.GetValue(s_out) ?? "forecast.csv";
        string? plot = parsed.GetValue(s_plot);
        if (plot is not null && !plot.EndsWith(".png", StringComparison.OrdinalIgnoreCase))
        {
            throw new UsageException($"--plot wants a PNG file, not '{plot}'; give it the ending .png");
        }

        using Forecaster model = Load(parsed.GetRequiredValue(s_checkpoint));
        double[] times = Times(model, parsed.GetValue(s_to)!.Value, parsed.GetValue(s_step) ?? model.TypicalStep);
        List<string> files = plot is null ? [output] : [output, plot];
        files.ForEach(file => OutputFolder.Open(Folder(file), Path.GetFileName(file)));
        TimeSeries forecast = model.Forecast(times);
        byte[]? picture = plot is null ? null : FitPlot.Draw(Path.GetFileNameWithoutExtension(plot), model, null, null, times[^1]);
        forecast.WriteCsv(output);
        if (picture is not null)
        {
            OutputFolder.Write(plot!, picture);
        }

        AnsiConsole.Write(Tables.Of(forecast));
        FitReport.PrintFiles(files);
        return ExitCode.Success;
    }

    private static string Folder(string file) => Path.GetDirectoryName(file) is { Length: > 0 } folder ? folder : ".";

    private static Forecaster Load(string path) =>
        Directory.Exists(path)
            ? throw new UsageException($"{path} is a folder; give the file model.safetensors in it")
            : File.Exists(path)
                ? Forecaster.Load(path)
                : throw new FileNotFoundException($"{path}: there is no such file; continuum fit writes model.safetensors");

    /// <summary>The times after the model's last, a step apart, and the last one asked for.</summary>
    private static double[] Times(Forecaster model, double to, double step)
    {
        double last = model.LastTime;
        if (to <= last)
        {
            throw new UsageException($"--to {Numbers.Exact(to)} is not after {Numbers.Exact(last)}, the last time that the model was fitted to; give a later time");
        }

        double count = Math.Ceiling((to - last) / step - 1e-9);
        return count <= MostRows
            ? [.. Enumerable.Range(1, Math.Max(0, (int)count - 1)).Select(k => last + k * step), to]
            : throw new UsageException($"--step {Numbers.Exact(step)} up to {Numbers.Exact(to)} makes {Numbers.Short(count)} rows, more than {MostRows}; give a larger step");
    }
}
