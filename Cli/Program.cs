using System;
using System.Collections.Generic;
using System.CommandLine;
using System.CommandLine.Parsing;
using System.Linq;

namespace Continuum.Cli;

/// <summary>The command line: reads it, runs a command, turns every failure into one line and an exit code.</summary>
internal static class Program
{
    private const string Epilogue = """
        Examples:
          continuum fit examples/data/lynx-hare.csv
          continuum forecast out/lynx-hare/model.safetensors --to 1930
          continuum solve lorenz --set rho=0:28:1000 --to 10 --out runs.csv --plot runs.png
          continuum simulate gbm --paths 100000 --plot gbm.png
          continuum pde generate darcy --n 1000 --grid 85 --out darcy.h5
          continuum operator train darcy.h5
          continuum doctor

        Exit codes: 0 done, 1 a file, the training, every run or the installation failed, 2 wrong command line, 130 ended by Ctrl+C.
        A failure is one line on the error stream; with the environment variable CONTINUUM_TRACE=1 its stack follows.
        """;

    internal static int Main(string[] arguments)
    {
        try
        {
            ParseResult parsed = Root().Parse(arguments.Length == 0 ? ["--help"] : arguments);
            return parsed.Errors.Count == 0
                ? parsed.Invoke(new InvocationConfiguration { EnableDefaultExceptionHandler = false, ProcessTerminationTimeout = null })
                : throw new UsageException($"{Defect(parsed)}; see {Name(parsed)} --help");
        }
        catch (Exception failure)
        {
            return Failure.Report(failure);
        }
    }

    private static RootCommand Root()
    {
        RootCommand root = new("Learns the differential equation behind time series, ordinary, stochastic or controlled, and forecasts with it; solves known ones; learns operators between functions.")
        {
            FitCommand.Create(),
            ForecastCommand.Create(),
            SolveCommand.Create(),
            SimulateCommand.Create(),
            PdeCommand.Create(),
            OperatorCommand.Create(),
            DoctorCommand.Create(),
        };
        Help.Extend(root, Epilogue);
        return root;
    }

    private static string Defect(ParseResult parsed) =>
        parsed.UnmatchedTokens is [string stranger, ..]
            ? $"'{stranger}' is no {(stranger.StartsWith('-') ? "option" : "command or argument")} of {Name(parsed)}"
            : parsed.Errors[0].Message.TrimEnd('.');

    /// <summary>The command with those that it belongs to, such as `continuum pde generate`.</summary>
    private static string Name(ParseResult parsed) => string.Join(' ', Path(parsed.CommandResult).Prepend("continuum"));

    private static IEnumerable<string> Path(CommandResult result) =>
        result.Command is RootCommand ? [] : [.. result.Parent is CommandResult parent ? Path(parent) : [], result.Command.Name];
}
