using System;
using System.Collections.Generic;
using System.CommandLine;
using System.Linq;

namespace Continuum.Cli;

/// <summary>`continuum solve`: the options and their meaning.</summary>
internal static class SolveCommand
{
    private const string Epilogue = """
        Rules:
          --set gives a parameter or an initial value (by the state's name) and may be repeated:
            rho=20                     this value
            rho=0:28:1000              1000 equally spaced values from 0 to 28; several ranges make a grid
            rho=normal(28,1)           mean and standard deviation          (quote distributions in a shell)
            rho=uniform(20,30)         between the two
            rho=lognormal(28,0.1)      median, and standard deviation of the logarithm
            rho=loguniform(1,100)      between the two, the logarithm uniform
          Distributions draw --runs samples at every point of the grid. A draw depends on the seed, the name and the sample's number
          alone: not on threads, other values or the number of samples.
          Without --method, one run is solved by the automatic choice. Several go through the explicit method that it takes for the
          first of them, eight at a time in SIMD lanes; runs that are too stiff for it, and all if the first is, go through the
          automatic choice one by one. Results do not depend on --threads.
          --out: one run gives t and the states; several give the run's number, what varies (initial values as name_start), status,
          t and the states, one row a run or one a run and time with --save. A run that failed ends in a row with its status.
          --plot: states over time for one run; with --save all runs faint, their median and 5-95 % band; else the final states over
          one range, as a map over two, or as histograms.
          Existing files are replaced, each whole, when all is solved.

        Examples:
          continuum solve --list
          continuum solve lorenz --out lorenz.csv --plot lorenz.png
          continuum solve lorenz --set rho=0:28:1000 --to 10 --out runs.csv --plot runs.png
          continuum solve one-compartment --set 'clearance=lognormal(5,0.3)' --set 'absorption=lognormal(1,0.3)' --runs 500 --save 97 --plot doses.png

        Exit codes: 0 done, 1 every run failed or a file cannot be written, 2 wrong command line, 130 ended by Ctrl+C.
        """;

    private static readonly OdeMethod[] s_methods = [OdeMethod.Automatic, .. OdeMethod.All.Where(method => method.IsAdaptive), .. OdeMethod.Stiff, OdeMethod.Bdf];

    private static readonly Argument<string?> s_problem = new("problem")
    {
        Description = "The name of the problem; --list shows them",
        Arity = ArgumentArity.ZeroOrOne,
    };

    private static readonly Option<bool> s_list = new("--list") { Description = "List the problems with their states, parameters and usual values" };

    private static readonly Option<string[]> s_set = new("--set")
    {
        Description = "A parameter or an initial value: name=value, name=first:last:count or name=distribution; may be repeated",
        HelpName = "name=...",
        Arity = ArgumentArity.OneOrMore,
    };

    private static readonly Option<int?> s_runs = Arguments.Integer("--runs", "Samples of the distributions [default: 100]");
    private static readonly Option<int?> s_seed = Arguments.Integer("--seed", "Seed of the samples [default: 0]", least: 0);
    private static readonly Option<double?> s_from = Arguments.Number("--from", "The start time [default: 0]", "time", positive: false);
    private static readonly Option<double?> s_to = Arguments.Number("--to", "The end time [default: the problem's usual span]", "time", positive: false);

    private static readonly Option<int?> s_save = Arguments.Integer(
        "--save",
        "Equally spaced times to keep of every run, both ends included [default: 200 of one run, the end of several]",
        least: 2
    );

    private static readonly Option<OdeMethod?> s_method = new("--method")
    {
        Description = $"{string.Join(", ", s_methods.Select(method => method.Name))} [default: see the rules]",
        HelpName = "name",
        CustomParser = result =>
            Arguments.Read(
                result,
                text => Array.Find(s_methods, method => string.Equals(method.Name, text, StringComparison.OrdinalIgnoreCase)),
                string.Join(" or ", s_methods.Select(method => method.Name))
            ),
    };

    private static readonly Option<double?> s_rtol = Arguments.Number("--rtol", "The relative tolerance [default: 1e-6]", "x", positive: true);
    private static readonly Option<double?> s_atol = Arguments.Number("--atol", "The absolute tolerance [default: 1e-9]", "x", positive: true);
    private static readonly Option<int?> s_maxSteps = Arguments.Integer("--max-steps", "Attempted steps after which a run fails [default: 100000]");
    private static readonly Option<int?> s_threads = Arguments.Integer("--threads", "Threads to work on [default: all processors]");
    private static readonly Option<string?> s_out = Arguments.Text("--out", "Write the results to this CSV file", "file");
    private static readonly Option<string?> s_plot = Arguments.Text("--plot", "Draw the results into this .png or .svg file", "file");
    private static readonly Option<bool> s_quiet = new("--quiet") { Description = "Print nothing but failures" };

    internal static Command Create()
    {
        Command command = new("solve", "Solves a named problem, once or for ranges and distributions of its parameters.")
        {
            s_problem, s_list, s_set, s_runs, s_seed, s_from, s_to, s_save, s_method, s_rtol, s_atol, s_maxSteps, s_threads, s_out, s_plot, s_quiet,
        };
        command.SetAction(parsed => parsed.GetValue(s_list) ? ProblemList.Print(parsed.GetValue(s_problem)) : SolveRun.Run(Read(parsed)));
        Help.Extend(command, parsed => $"{About(parsed)}{Epilogue}");
        return command;
    }

    private static SolveArguments Read(ParseResult parsed)
    {
        NamedProblem problem = ProblemList.Find(parsed.GetValue(s_problem));
        double from = parsed.GetValue(s_from) ?? 0;
        double to = parsed.GetValue(s_to) ?? problem.Span;
        string? plot = parsed.GetValue(s_plot);
        if (from == to)
        {
            throw new UsageException($"the solve begins and ends at {Numbers.Exact(to)}; give another --from or --to");
        }

        if (plot is not null && !plot.EndsWith(".png", StringComparison.OrdinalIgnoreCase) && !plot.EndsWith(".svg", StringComparison.OrdinalIgnoreCase))
        {
            throw new UsageException($"--plot wants a PNG or SVG file, not '{plot}'; give it the ending .png or .svg");
        }

        return new()
        {
            Problem = problem,
            Assignments = [.. (parsed.GetValue(s_set) ?? []).Select(Assignment.Parse)],
            Samples = parsed.GetValue(s_runs),
            Seed = parsed.GetValue(s_seed) ?? 0,
            From = from,
            To = to,
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

    /// <summary>The problem that help was asked for, if one is named.</summary>
    private static string About(ParseResult parsed) =>
        NamedProblem.All.FirstOrDefault(problem => string.Equals(problem.Name, parsed.GetValue(s_problem), StringComparison.OrdinalIgnoreCase)) is { } problem
            ? $"{ProblemList.Describe(problem)}\n\n"
            : "";
}
