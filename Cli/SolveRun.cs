using System;
using System.Collections.Generic;
using System.Diagnostics;
using System.IO;
using System.Linq;
using System.Threading;

namespace Continuum.Cli;

/// <summary>One `continuum solve`: plans the runs, solves them, and only then writes.</summary>
internal sealed class SolveRun
{
    private const int SingleRunTimes = 200;
    private const int CurvePoints = 2000;
    private const long MostNumbers = 400_000_000;

    private readonly SolveArguments _arguments;
    private readonly RunPlan _plan;
    private readonly SolveOptions _options;
    private readonly CancellationToken _cancellation;
    private string _choice = "";
    private int _done;

    private SolveRun(SolveArguments arguments, RunPlan plan, CancellationToken cancellation)
    {
        _arguments = arguments;
        _plan = plan;
        _cancellation = cancellation;
        _options = arguments.Options(arguments.Save ?? (plan.IsSingle ? SingleRunTimes : null)) with { CancellationToken = cancellation };
    }

    internal static int Run(SolveArguments arguments)
    {
        RunPlan plan = RunPlan.Make(arguments.Problem, arguments.Assignments, arguments.Samples, arguments.Seed);
        long numbers = (long)plan.Count * (arguments.Save ?? 1) * arguments.Problem.Model.States.Count;
        if (numbers > MostNumbers)
        {
            throw new UsageException($"{plan.Count} runs with --save {arguments.Save} are {numbers} numbers to keep, more than {MostNumbers}; take fewer");
        }

        foreach (string file in new[] { arguments.Out, arguments.Plot }.OfType<string>())
        {
            OutputFolder.Open(Path.GetDirectoryName(file) is { Length: > 0 } folder ? folder : ".", Path.GetFileName(file));
        }

        using Interruption interruption = new();
        SolveRun run = new(arguments, plan, interruption.Token);
        try
        {
            return run.Run();
        }
        catch (OperationCanceledException)
        {
            Failure.Report($"interrupted; {run._done} of {plan.Count} runs were done and nothing was written");
            return interruption.ExitCode;
        }
    }

    private int Run()
    {
        Stopwatch clock = Stopwatch.StartNew();
        RunResults results = Solve();
        TimeSpan elapsed = clock.Elapsed;
        List<string> written = Write(results);
        if (!_arguments.Quiet)
        {
            SolveReport.Print(_arguments, _plan, results, _choice, elapsed);
            if (written.Count > 0)
            {
                FitReport.PrintFiles(written);
            }
        }

        return SolveReport.ReportFailures(_arguments.Problem, results) ? ExitCode.Failure : ExitCode.Success;
    }

    private RunResults Solve()
    {
        try
        {
            return _plan.IsSingle ? new RunResults(Single(_options)) : Many();
        }
        catch (ArgumentException failure)
        {
            throw new UsageException(Failure.Refusal(failure), failure);
        }
    }

    /// <summary>The first run by itself, complete or not.</summary>
    private Solution Single(SolveOptions options)
    {
        try
        {
            return _arguments.Problem.Model.Solve(_arguments.From, _arguments.To, _plan.Parameters[0], _plan.InitialStates[0], options);
        }
        catch (SolveException failure) when (failure.Partial is not null)
        {
            return failure.Partial;
        }
    }

    /// <summary>
    /// Without a method asked for, the explicit one that the automatic choice takes for the first run goes over all of them in lanes, and what it
    /// cannot finish is solved again by the automatic choice, which goes over all runs where the first is stiff.
    /// </summary>
    private RunResults Many()
    {
        OdeMethod method = _arguments.Method ?? Choose();
        EnsembleSolution first = Ensemble(method, _plan.Parameters, _plan.InitialStates, "solving");
        int[] again = _arguments.Method is null && method != OdeMethod.Automatic ? [.. Enumerable.Range(0, first.Count).Where(run => MayBeStiff(first.Status(run)))] : [];
        if (again.Length == 0)
        {
            return new RunResults(first, [], null);
        }

        _choice += $"; {SolveReport.Count(again.Length, "run")} that {method.Name} did not finish went through the automatic choice";
        return new RunResults(first, again, Ensemble(OdeMethod.Automatic, Of(_plan.Parameters, again), Of(_plan.InitialStates, again), "solving the stiff ones"));
    }

    private static IReadOnlyList<double[]> Of(IReadOnlyList<double[]> values, int[] runs) => values.Count == 1 ? values : [.. runs.Select(run => values[run])];

    private static bool MayBeStiff(SolveStatus status) => status is SolveStatus.MaxStepsReached or SolveStatus.StepTooSmall or SolveStatus.NonFinite;

    private OdeMethod Choose()
    {
        IReadOnlyList<MethodChoice> used = Single(_options with { SaveAt = SaveAt.EndOnly }).Methods;
        MethodChoice? stiff = used.FirstOrDefault(choice => OdeMethod.All.All(method => method.Name != choice.Method));
        _choice = stiff is null ? $"{used[0].Method} in lanes: the first run is not stiff" : $"Automatic for each run: the first is stiff ({stiff.Method}: {stiff.Reason})";
        return stiff is null ? OdeMethod.FromName(used[0].Method) : OdeMethod.Automatic;
    }

    private EnsembleSolution Ensemble(OdeMethod method, IReadOnlyList<double[]> parameters, IReadOnlyList<double[]> states, string what)
    {
        EnsembleSolution solution = SolveProgressView.Run(
            _arguments.Quiet,
            what,
            progress =>
                _arguments.Problem.Model.SolveEnsemble(
                    _arguments.From,
                    _arguments.To,
                    parameters,
                    states,
                    _options with
                    {
                        Method = method,
                    },
                    new EnsembleOptions { Threads = _arguments.Threads, Progress = progress }
                )
        );
        _done += Enumerable.Range(0, solution.Count).Count(run => solution.Status(run) is SolveStatus.Success or SolveStatus.Terminated);
        _cancellation.ThrowIfCancellationRequested();
        return solution;
    }

    /// <summary>One run with times enough for a smooth curve, by the same steps; several as they are.</summary>
    private RunResults Drawn(RunResults results) =>
        _plan.IsSingle && !(_arguments.Save > CurvePoints)
            ? new RunResults(Single(_options with { SaveAt = SaveAt.Grid(_arguments.From, _arguments.To, CurvePoints) }))
            : results;

    private List<string> Write(RunResults results)
    {
        List<string> written = [];
        // The picture first: the one that may fail for reasons of its own, while nothing is replaced yet.
        byte[]? picture = _arguments.Plot is null ? null : SolvePlot.Draw(_arguments.Problem, _plan, Drawn(results), _arguments.Save is not null, _arguments.IsSvg);
        _cancellation.ThrowIfCancellationRequested();
        if (_arguments.Out is { } table)
        {
            OutputFolder.Write(table, writer => RunTable.Write(writer, _arguments.Problem, _plan, results));
            written.Add(table);
        }

        if (picture is not null)
        {
            OutputFolder.Write(_arguments.Plot!, picture);
            written.Add(_arguments.Plot!);
        }

        return written;
    }
}
