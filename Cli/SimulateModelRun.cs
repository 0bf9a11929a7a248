using System;
using System.IO;
using System.Linq;

namespace Continuum.Cli;

/// <summary>One `continuum simulate` of a fitted neural SDE.</summary>
internal static class SimulateModelRun
{
    private const int DefaultPaths = 1000;
    private const long MostNumbers = 100_000_000;

    internal static int Run(SimulateArguments arguments)
    {
        if (
            arguments.Assignments.Count > 0
            || arguments.Save is not null
            || arguments.Method is not null
            || arguments.IsAdaptive
            || arguments.MaxSteps is not null
            || arguments.Threads is not null
        )
        {
            throw new UsageException("--set, --save, --method, --rtol, --atol, --max-steps and --threads are for named problems, not for a fitted model");
        }

        using NeuralSdeModel model = Load(arguments.Subject);
        int paths = arguments.Paths ?? DefaultPaths;
        double[] times = Times(model, arguments, paths);
        string[] files = [.. new[] { arguments.Out, arguments.Plot }.OfType<string>()];
        foreach (string file in files)
        {
            OutputFolder.Open(Path.GetDirectoryName(file) is { Length: > 0 } folder ? folder : ".", Path.GetFileName(file));
        }

        SimulatedPaths simulated = model.Simulate(paths, times, arguments.Seed);
        Write(arguments, simulated);
        if (!arguments.Quiet)
        {
            Console.WriteLine($"{paths} paths from {Numbers.Exact(model.LastTime)} to {Numbers.Exact(times[^1])}, seed {arguments.Seed}; at the end:");
            SimulateReport.Print(
                model.ColumnNames,
                [.. model.ColumnNames.Select((_, column) => Enumerable.Range(0, paths).Select(path => simulated[path, times.Length - 1, column]).ToArray())],
                null
            );
            if (files.Length > 0)
            {
                FitReport.PrintFiles(files);
            }
        }

        return ExitCode.Success;
    }

    private static NeuralSdeModel Load(string path) =>
        Directory.Exists(path)
            ? throw new UsageException($"{path} is a folder; give the file model.safetensors in it")
            : File.Exists(path)
                ? NeuralSdeModel.Load(path)
                : throw new FileNotFoundException($"{path}: there is no such file; continuum fit --model neural-sde writes model.safetensors");

    private static void Write(SimulateArguments arguments, SimulatedPaths simulated)
    {
        // The picture first: the one that may fail for reasons of its own.
        byte[]? picture = arguments.Plot is null
            ? null
            : FanPlot.Draw($"{simulated.Count} paths of {Path.GetFileName(arguments.Subject)}", simulated, null, null, null, "", arguments.IsSvg);
        if (arguments.Out is { } table)
        {
            simulated.WriteCsv(table);
        }

        if (picture is not null)
        {
            OutputFolder.Write(arguments.Plot!, picture);
        }
    }

    /// <summary>The times after the model's last, a step apart, and the last one asked for.</summary>
    private static double[] Times(NeuralSdeModel model, SimulateArguments arguments, int paths)
    {
        double last = model.LastTime;
        double to = arguments.To ?? throw new UsageException($"a fitted model needs --to, a time after {Numbers.Exact(last)}, where its data end");
        double step = arguments.Step ?? model.TypicalStep;
        if (to <= last)
        {
            throw new UsageException($"--to {Numbers.Exact(to)} is not after {Numbers.Exact(last)}, the last time that the model was fitted to; give a later time");
        }

        double count = Math.Ceiling((to - last) / step - 1e-9);
        return count * paths * model.ColumnNames.Count <= MostNumbers
            ? [.. Enumerable.Range(1, Math.Max(0, (int)count - 1)).Select(k => last + k * step), to]
            : throw new UsageException(
                $"--step {Numbers.Exact(step)} up to {Numbers.Exact(to)} makes {Numbers.Short(count)} times of {paths} paths, more than {MostNumbers} numbers; take fewer"
            );
    }
}
