using System;
using System.CommandLine;
using System.IO;
using System.Linq;

namespace Continuum.Cli;

/// <summary>`continuum simulate`: the options and their meaning.</summary>
internal static class SimulateCommand
{
    private const string Epilogue = """
        Rules:
          A fitted model (the model.safetensors of continuum fit --model neural-sde) goes on from the end of its data to --to, by
          default in steps of the data; --step gives other times. --out takes all paths, a row for each path and time; --plot draws
          a fan chart.
          A named problem runs from 0 in fixed steps, eight paths at a time in SIMD lanes, on all processors; --rtol or --atol takes
          adaptive steps instead, path by path. --set gives parameters and initial values: mu=0.05. Printed are mean, deviation,
          the standard error of the mean and quantiles at the end, beside mean and deviation in closed form where they are known.
          --out takes the final states, one row a path, or with --save one row a path and time; --plot draws histograms of the
          final states, or with --save fan charts.
          The equations are in the sense of Ito. For a method in the sense of Stratonovich the drift is corrected, so that it is the
          same process. cir and heston have a square root, cut off at 0: near it no method has its full order.
          A path depends on the seed and its number alone: not on --threads or --paths.
          Existing files are replaced, each whole, when all is done.

        Examples:
          continuum simulate --list
          continuum simulate gbm --set mu=0.05 --paths 100000 --to 1 --step 0.01 --out end.csv --plot histogram.png
          continuum simulate heston --paths 2000 --save 101 --plot fan.png
          continuum simulate cir --method Heun --step 0.02
          continuum simulate double-well --rtol 1e-4 --paths 2000 --plot wells.png
          continuum simulate out/eu-stock-markets/model.safetensors --to 2000 --paths 1000 --seed 1 --out paths.csv --plot fan.png

        Exit codes: 0 done, 1 every path failed or a file is bad or cannot be written, 2 wrong command line, 130 ended by Ctrl+C.
        """;

    private static readonly Argument<string?> s_subject = new("what")
    {
        Description = "A fitted model, or the name of a problem; --list shows them",
        Arity = ArgumentArity.ZeroOrOne,
    };

    private static readonly Option<bool> s_list = new("--list") { Description = "List the problems with their states, parameters, usual values and methods" };

    private static readonly Option<string[]> s_set = new("--set")
    {
        Description = "A parameter or an initial value of a problem: name=value; may be repeated",
        HelpName = "name=x",
        Arity = ArgumentArity.OneOrMore,
    };

    private static readonly Option<int?> s_paths = Arguments.Integer("--paths", "The number of paths [default: 1000 of a model, 10000 of a problem]", least: 2);
    private static readonly Option<int?> s_seed = Arguments.Integer("--seed", "Seed of the noise [default: 0]", least: 0);
    private static readonly Option<double?> s_to = Arguments.Number("--to", "The end time [default: the problem's usual span; a model needs it]", "time", positive: false);
    private static readonly Option<double?> s_step = Arguments.Number("--step", "The fixed step [default: that of the data, 0.01 of a problem]", "dt", positive: true);
    private static readonly Option<int?> s_save = Arguments.Integer("--save", "Equally spaced times of a problem to keep, both ends included [default: the end]", least: 2);
    private static readonly Option<string?> s_method = Arguments.Text(
        "--method",
        $"The method for a problem; --list shows those that suit it [default: its usual one, {SdeMethods.Spark.Name} for adaptive steps]",
        "name"
    );

    private static readonly Option<double?> s_rtol = Arguments.Number("--rtol", "The relative tolerance of adaptive steps of a problem [default: 1e-3]", "x", positive: true);
    private static readonly Option<double?> s_atol = Arguments.Number("--atol", "The absolute tolerance of adaptive steps of a problem [default: 1e-4]", "x", positive: true);
    private static readonly Option<int?> s_maxSteps = Arguments.Integer("--max-steps", "Attempted steps after which a path of a problem fails [default: 1000000 adaptive ones]");
    private static readonly Option<int?> s_threads = Arguments.Integer("--threads", "Threads for a problem [default: all processors]");
    private static readonly Option<string?> s_out = Arguments.Text("--out", "Write the paths or final states to this CSV file", "file");
    private static readonly Option<string?> s_plot = Arguments.Text("--plot", "Draw them into this .png or .svg file", "file");
    private static readonly Option<bool> s_quiet = new("--quiet") { Description = "Print nothing but failures" };

    internal static Command Create()
    {
        Command command = new("simulate", "Simulates random paths of a fitted neural SDE, or of a named stochastic equation.")
        {
            s_subject, s_list, s_set, s_paths, s_seed, s_to, s_step, s_save, s_method, s_rtol, s_atol, s_maxSteps, s_threads, s_out, s_plot, s_quiet,
        };
        command.SetAction(parsed => parsed.GetValue(s_list) ? List() : Run(Read(parsed)));
        Help.Extend(command, Epilogue);
        return command;
    }

    private static int Run(SimulateArguments arguments)
    {
        if (StochasticProblem.Find(arguments.Subject) is { } problem)
        {
            return SimulateRun.Run(problem, arguments);
        }

        return File.Exists(arguments.Subject) || arguments.Subject.EndsWith(".safetensors", StringComparison.OrdinalIgnoreCase)
            ? SimulateModelRun.Run(arguments)
            : throw new UsageException($"'{arguments.Subject}' is no file and no problem; known problems: {Names()}");
    }

    private static int List()
    {
        Console.WriteLine(string.Join("\n\n", StochasticProblem.All.Select(SimulateReport.Describe)));
        return ExitCode.Success;
    }

    private static SimulateArguments Read(ParseResult parsed)
    {
        string? plot = parsed.GetValue(s_plot);
        if (plot is not null && !plot.EndsWith(".png", StringComparison.OrdinalIgnoreCase) && !plot.EndsWith(".svg", StringComparison.OrdinalIgnoreCase))
        {
            throw new UsageException($"--plot wants a PNG or SVG file, not '{plot}'; give it the ending .png or .svg");
        }

        return new()
        {
            Subject = parsed.GetValue(s_subject) ?? throw new UsageException($"simulate needs a fitted model or the name of a problem: {Names()}"),
            Assignments = [.. (parsed.GetValue(s_set) ?? []).Select(Assignment.Parse)],
            Paths = parsed.GetValue(s_paths),
            Seed = parsed.GetValue(s_seed) ?? 0,
            To = parsed.GetValue(s_to),
            Step = parsed.GetValue(s_step),
            Save = parsed.GetValue(s_save),
            Method = parsed.GetValue(s_method),
            RelTol = parsed.GetValue(s_rtol),
            AbsTol = parsed.GetValue(s_atol),
            MaxSteps = parsed.GetValue(s_maxSteps),
            Threads = parsed.GetValue(s_threads),
            Out = parsed.GetValue(s_out),
            Plot = plot,
            Quiet = parsed.GetValue(s_quiet),
        };
    }

    private static string Names() => string.Join(", ", StochasticProblem.All.Select(problem => problem.Name));
}
