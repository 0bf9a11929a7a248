using System;
using System.Collections.Generic;
using System.Diagnostics;
using System.IO;
using System.Linq;
using System.Threading;

namespace Continuum.Cli;

/// <summary>One `continuum simulate` of a named problem.</summary>
internal sealed class SimulateRun
{
    private const int DefaultPaths = 10_000;
    private const double DefaultStep = 0.01;
    private const long MostNumbers = 200_000_000;

    private readonly StochasticProblem _problem;
    private readonly SimulateArguments _arguments;
    private readonly double[] _parameters;
    private readonly double[] _initial;
    private readonly double _to;
    private readonly double _step;
    private readonly int _paths;
    private readonly StochasticMethod _method;

    private SimulateRun(StochasticProblem problem, SimulateArguments arguments)
    {
        _problem = problem;
        _arguments = arguments;
        Dictionary<string, double> given = Given(problem, arguments.Assignments);
        _parameters = [.. problem.Parameters.Select(pair => given.GetValueOrDefault(pair.Key, pair.Value))];
        _initial = [.. problem.States.Select(pair => given.GetValueOrDefault(pair.Key, pair.Value))];
        _to = arguments.To ?? problem.Span;
        _step = arguments.Step ?? DefaultStep;
        _paths = arguments.Paths ?? DefaultPaths;
        _method = problem.Method(arguments.Method ?? (arguments.IsAdaptive ? SdeMethods.Spark.Name : problem.Usual));
        if (arguments.IsAdaptive && arguments.Step is not null)
        {
            throw new UsageException("--step is for fixed steps, --rtol and --atol are for adaptive ones; give one or the other");
        }

        if (_to <= 0)
        {
            throw new UsageException($"a simulation runs from 0 to a time above it; --to is {Numbers.Exact(_to)}");
        }

        long numbers = (long)_paths * (1 + (arguments.Save ?? 0)) * problem.States.Count;
        if (numbers > MostNumbers)
        {
            throw new UsageException($"{_paths} paths with --save {arguments.Save ?? 1} are {numbers} numbers to keep, more than {MostNumbers}; take fewer");
        }
    }

    internal static int Run(StochasticProblem problem, SimulateArguments arguments)
    {
        SimulateRun run = new(problem, arguments);
        foreach (string file in new[] { arguments.Out, arguments.Plot }.OfType<string>())
        {
            OutputFolder.Open(Path.GetDirectoryName(file) is { Length: > 0 } folder ? folder : ".", Path.GetFileName(file));
        }

        using Interruption interruption = new();
        try
        {
            return run.Run(interruption.Token);
        }
        catch (OperationCanceledException)
        {
            Failure.Report("interrupted; nothing was written");
            return interruption.ExitCode;
        }
    }

    private static Dictionary<string, double> Given(StochasticProblem problem, IReadOnlyList<Assignment> assignments)
    {
        string[] known = [.. problem.Parameters.Concat(problem.States).Select(pair => pair.Key)];
        Dictionary<string, double> given = [];
        foreach (Assignment assignment in assignments)
        {
            if (!known.Contains(assignment.Name))
            {
                throw new UsageException($"--set {assignment.Name}: {problem.Name} has {string.Join(", ", known)}");
            }

            if (assignment is not Assignment.Value value)
            {
                throw new UsageException($"--set {assignment.Name}: simulate takes one value, such as {assignment.Name}=1");
            }

            if (!given.TryAdd(value.Name, value.Number))
            {
                throw new UsageException($"--set gives {value.Name} twice; give it once");
            }
        }

        return given;
    }

    private int Run(CancellationToken cancellation)
    {
        Stopwatch clock = Stopwatch.StartNew();
        SdeOptions options = Options(cancellation);
        SdeEnsembleSolution solution = FitSession.Checked(() =>
            SolveProgressView.Run(
                _arguments.Quiet,
                "simulating",
                progress =>
                    _problem.Solve(_method, _to, _parameters, _initial, _paths, options, new() { Threads = _arguments.Threads, Progress = progress })
            )
        );
        cancellation.ThrowIfCancellationRequested();
        TimeSpan elapsed = clock.Elapsed;
        bool[] failed = new bool[_paths];
        foreach (SdePathFailure failure in solution.Failures)
        {
            failed[failure.Path] = true;
        }

        List<string> written = Write(solution, failed);
        if (!_arguments.Quiet)
        {
            Print(solution, elapsed, written);
        }

        if (solution.Failures.Count > 0)
        {
            Failure.Report(
                $"{solution.Failures.Count} of {_paths} paths did not reach the end; the first, path {solution.Failures[0].Path + 1}: {solution.Failures[0].Message}"
            );
        }

        return solution.Failures.Count == _paths ? ExitCode.Failure : ExitCode.Success;
    }

    /// <summary>The library's options: its defaults except for what was asked.</summary>
    private SdeOptions Options(CancellationToken cancellation)
    {
        SdeOptions options = new()
        {
            Seed = (ulong)_arguments.Seed,
            SaveAt = _arguments.Save is { } count ? SaveAt.Grid(0, _to, count) : SaveAt.EndOnly,
            CancellationToken = cancellation,
        };
        options = _arguments.IsAdaptive ? options : options with { FixedStep = _step, MaxSteps = int.MaxValue };
        options = _arguments.RelTol is { } relative ? options with { RelTol = relative } : options;
        options = _arguments.AbsTol is { } absolute ? options with { AbsTol = absolute } : options;
        return _arguments.MaxSteps is { } most ? options with { MaxSteps = most } : options;
    }

    private void Print(SdeEnsembleSolution solution, TimeSpan elapsed, List<string> written)
    {
        IEnumerable<KeyValuePair<string, double>> used = _problem.Parameters.Select((pair, k) => new KeyValuePair<string, double>(pair.Key, _parameters[k]));
        IEnumerable<KeyValuePair<string, double>> start = _problem.States.Select((pair, k) => new KeyValuePair<string, double>(pair.Key, _initial[k]));
        Console.WriteLine($"{_problem.Name} with {string.Join(", ", used.Concat(start).Select(pair => $"{pair.Key} = {Numbers.Tick(pair.Value)}"))}");
        SdeOptions options = Options(default);
        string steps = _arguments.IsAdaptive
            ? $"adaptive steps (rtol {Numbers.Exact(options.RelTol)}, atol {Numbers.Exact(options.AbsTol)})"
            : $"steps of {Numbers.Exact(_step)}";
        string sense = _problem.IsIto(_method) ? "" : " (its equation in the sense of Stratonovich)";
        Console.WriteLine(
            $"{_paths} paths from 0 to {Numbers.Exact(_to)} in {steps} by {_method.Name}{sense}, seed {_arguments.Seed}, {elapsed.TotalSeconds:0.000} s; at the end:"
        );
        SimulateReport.Print(
            [.. _problem.States.Select(pair => pair.Key)],
            [.. _problem.States.Select((_, k) => solution.Final.Component(k))],
            _problem.Closed?.Invoke(_parameters, _initial, _to)
        );
        if (written.Count > 0)
        {
            FitReport.PrintFiles(written);
        }
    }

    private List<string> Write(SdeEnsembleSolution solution, bool[] failed)
    {
        List<string> written = [];
        string[] names = [.. _problem.States.Select(pair => pair.Key)];
        byte[]? picture = _arguments.Plot is null ? null : SimulatePlot.Draw($"{_problem.Name}: {_paths} paths", names, solution, _arguments.IsSvg);
        if (_arguments.Out is { } table)
        {
            OutputFolder.Write(table, writer => WriteTable(writer, names, solution, failed));
            written.Add(table);
        }

        if (picture is not null)
        {
            OutputFolder.Write(_arguments.Plot!, picture);
            written.Add(_arguments.Plot!);
        }

        return written;
    }

    /// <summary>The paths that reached their end: number from 1, time where several were kept, states.</summary>
    private void WriteTable(TextWriter writer, string[] names, SdeEnsembleSolution solution, bool[] failed)
    {
        bool several = _arguments.Save is not null;
        writer.WriteLine(string.Join(',', names.Prepend("t").Prepend("path")));
        for (int path = 0; path < _paths; path++)
        {
            if (failed[path])
            {
                continue;
            }

            foreach (SdeSample sample in several ? solution.Samples : [solution.Final])
            {
                writer.Write($"{path + 1},{Numbers.Exact(sample.Time)}");
                foreach (double component in sample.State(path))
                {
                    writer.Write(',');
                    writer.Write(Numbers.Exact(component));
                }

                writer.WriteLine();
            }
        }
    }
}
