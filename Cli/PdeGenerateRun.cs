using System;
using System.Diagnostics;
using System.Globalization;
using System.IO;
using System.Linq;
using Spectre.Console;

namespace Continuum.Cli;

/// <summary>Runs `continuum pde generate`.</summary>
internal static class PdeGenerateRun
{
    private static readonly string[] s_endings = [".h5", ".hdf5", ".npz"];
    private static readonly string[] s_arrayEndings = [".npz", ".npy"];

    internal static int Run(PdeArguments arguments)
    {
        bool isArray = arguments.Kind.Options(arguments) is RandomFieldOptions;
        CheckFile(arguments.Out, isArray ? s_arrayEndings : s_endings);
        using Interruption interruption = new();
        Stopwatch watch = Stopwatch.StartNew();
        try
        {
            string summary = isArray ? GenerateArray(arguments, interruption) : GenerateData(arguments, interruption);
            if (!arguments.Quiet)
            {
                Console.WriteLine($"{arguments.Kind.Name}: {summary}");
                Console.WriteLine($"{arguments.Out}: {Size(arguments.Out)}, {Cli.Numbers.Duration(watch.Elapsed)}");
            }

            return ExitCode.Success;
        }
        catch (OperationCanceledException)
        {
            Failure.Report($"interrupted: '{arguments.Out}' was not written");
            return interruption.ExitCode;
        }
        catch (ArithmeticException failure)
        {
            Failure.Report(failure.Message);
            return ExitCode.Failure;
        }
        catch (ArgumentException failure)
        {
            throw new UsageException(Failure.Refusal(failure).TrimEnd('.'));
        }
    }

    internal static string Size(string path)
    {
        double bytes = new FileInfo(path).Length;
        return bytes < 1e6 ? string.Create(CultureInfo.InvariantCulture, $"{bytes / 1e3:0.0} kB") : string.Create(CultureInfo.InvariantCulture, $"{bytes / 1e6:0.0} MB");
    }

    private static string GenerateData(PdeArguments arguments, Interruption interruption)
    {
        using OperatorData data = Generate(arguments, interruption, PdeKind.Generate);
        interruption.Token.ThrowIfCancellationRequested();
        data.Save(arguments.Out);
        return PdeInfo.Summary(data);
    }

    private static string GenerateArray(PdeArguments arguments, Interruption interruption)
    {
        FunctionArray fields = Generate(arguments, interruption, options => PdeData.RandomFields((RandomFieldOptions)options));
        interruption.Token.ThrowIfCancellationRequested();
        fields.Save(arguments.Out);
        return $"{arguments.Samples} samples, {fields.Name} ({string.Join(" x ", fields.Shape.Skip(1))})";
    }

    private static T Generate<T>(PdeArguments arguments, Interruption interruption, Func<PdeDataOptions, T> make) =>
        PdeProgressView.Run(
            arguments.Quiet,
            arguments.Kind.Name,
            progress =>
                make(
                    arguments.Kind.Options(arguments) with
                    {
                        Samples = arguments.Samples,
                        FirstSample = arguments.First,
                        Seed = arguments.Seed,
                        SinglePrecision = arguments.Float32,
                        Progress = progress,
                        CancellationToken = interruption.Token,
                    }
                )
        );

    /// <summary>Refuses, before anything is computed, a file of operator data that could not be written.</summary>
    internal static void CheckFile(string path) => CheckFile(path, s_endings);

    private static void CheckFile(string path, string[] endings)
    {
        if (!endings.Contains(Path.GetExtension(path), StringComparer.OrdinalIgnoreCase))
        {
            throw new UsageException($"--out wants a file ending in {string.Join(", ", endings[..^1])} or {endings[^1]}, not '{path}'");
        }

        string folder = Path.GetDirectoryName(Path.GetFullPath(path))!;
        if (!Directory.Exists(folder))
        {
            throw new DirectoryNotFoundException($"cannot write '{path}': the folder '{folder}' does not exist; create it first or choose another folder");
        }
    }

    /// <summary>A bar on a terminal's error stream, nothing elsewhere.</summary>
    private sealed class PdeProgressView(ProgressTask task) : IProgress<GenerationProgress>
    {
        public void Report(GenerationProgress value)
        {
            task.MaxValue = value.Total;
            task.Value = value.Completed;
            task.Description = $"{value.Completed} of {value.Total} samples";
        }

        internal static T Run<T>(bool quiet, string start, Func<IProgress<GenerationProgress>?, T> generate)
        {
            if (quiet || Console.IsErrorRedirected)
            {
                return generate(null);
            }

            IAnsiConsole terminal = AnsiConsole.Create(new AnsiConsoleSettings { Out = new AnsiConsoleOutput(Console.Error) });
            return terminal
                .Progress()
                .AutoClear(true)
                .Columns(new SpinnerColumn(), new TaskDescriptionColumn { Alignment = Justify.Left }, new ProgressBarColumn { Width = 24 }, new PercentageColumn(), new RemainingTimeColumn())
                .Start(context => generate(new PdeProgressView(context.AddTask(Markup.Escape(start)))));
        }
    }
}
