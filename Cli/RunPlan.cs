using System;
using System.Collections.Generic;
using System.Linq;

namespace Continuum.Cli;

/// <summary>The runs of a solve: ranges multiplied to a grid, times the samples of the distributions.</summary>
/// <remarks>The first range varies slowest, the sample fastest; every point of the grid has the same samples.</remarks>
internal sealed class RunPlan
{
    private const int MostRuns = 10_000_000;
    private const int DefaultSamples = 100;

    private readonly Assignment[] _varied;
    private readonly int _samples;
    private readonly int _seed;

    private RunPlan(NamedProblem problem, Assignment[] assignments, int samples, int seed)
    {
        _seed = seed;
        _samples = samples;
        _varied = [.. assignments.Where(a => a is not Assignment.Value)];
        Sweeps = [.. _varied.OfType<Assignment.Sweep>()];
        long count = Sweeps.Aggregate((long)samples, (product, sweep) => Math.Min(product * sweep.Count, int.MaxValue));
        Count = count <= MostRuns ? (int)count : throw new UsageException($"the ranges and --runs make more than {MostRuns} runs; give fewer values");
        Names = [.. _varied.Select(a => problem.Model.States.Any(state => state.Key == a.Name) ? $"{a.Name}_start" : a.Name)];
        Parameters = Values(problem.Model.Parameters, assignments);
        InitialStates = Values(problem.Model.States, assignments);
    }

    internal int Count { get; }

    /// <summary>Whether nothing varies.</summary>
    internal bool IsSingle => _varied.Length == 0;

    internal bool HasDraws => _varied.Any(a => a is Assignment.Draw);

    /// <summary>The ranges, in the order given.</summary>
    internal IReadOnlyList<Assignment.Sweep> Sweeps { get; }

    /// <summary>What varies, as columns are called: initial values end in _start.</summary>
    internal IReadOnlyList<string> Names { get; }

    /// <summary>One set for all runs, or one for each.</summary>
    internal IReadOnlyList<double[]> Parameters { get; }

    /// <summary>One state for all runs, or one for each.</summary>
    internal IReadOnlyList<double[]> InitialStates { get; }

    /// <exception cref="UsageException">A name is unknown or set twice, or there are too many runs.</exception>
    internal static RunPlan Make(NamedProblem problem, IReadOnlyList<Assignment> assignments, int? samples, int seed)
    {
        string[] known = [.. problem.Model.Parameters.Concat(problem.Model.States).Select(pair => pair.Key)];
        if (assignments.FirstOrDefault(a => !known.Contains(a.Name)) is { } stranger)
        {
            string parameters = problem.Model.Parameters.Count == 0 ? "no parameters" : $"the parameters {List(problem.Model.Parameters)}";
            throw new UsageException($"--set {stranger.Name}: {problem.Name} has {parameters} and the states {List(problem.Model.States)}");
        }

        if (assignments.GroupBy(a => a.Name).FirstOrDefault(group => group.Count() > 1) is { } twice)
        {
            throw new UsageException($"--set gives {twice.Key} twice; give it once");
        }

        bool draws = assignments.Any(a => a is Assignment.Draw);
        return samples is not null && !draws
            ? throw new UsageException("--runs counts the samples of distributions and there is none; give one, such as --set 'name=normal(1,0.1)'")
            : new RunPlan(problem, [.. assignments], draws ? samples ?? DefaultSamples : 1, seed);
    }

    /// <summary>The values in a run of what varies.</summary>
    internal double[] Varied(int run) => [.. _varied.Select(a => At(a, run))];

    private static string List(IEnumerable<KeyValuePair<string, double>> values) => string.Join(", ", values.Select(pair => pair.Key));

    private double[][] Values(IReadOnlyList<KeyValuePair<string, double>> usual, Assignment[] assignments)
    {
        (int Index, Assignment Assignment)[] given =
        [
            .. assignments.Select(a => (usual.Select(pair => pair.Key).ToList().IndexOf(a.Name), a)).Where(pair => pair.Item1 >= 0),
        ];
        double[] basis = [.. usual.Select(pair => pair.Value)];
        int count = given.Any(pair => pair.Assignment is not Assignment.Value) ? Count : 1;
        return
        [
            .. Enumerable.Range(0, count).Select(run =>
            {
                double[] values = [.. basis];
                foreach ((int index, Assignment assignment) in given)
                {
                    values[index] = At(assignment, run);
                }

                return values;
            }),
        ];
    }

    private double At(Assignment assignment, int run) =>
        assignment switch
        {
            Assignment.Value value => value.Number,
            Assignment.Sweep sweep => sweep.At(run / Stride(sweep) % sweep.Count),
            Assignment.Draw draw => draw.At(_seed, run % _samples),
            _ => throw new InvalidOperationException($"{assignment} is not handled"),
        };

    /// <summary>The runs for which a range keeps its value.</summary>
    private int Stride(Assignment.Sweep sweep) =>
        Sweeps.SkipWhile(other => other.Name != sweep.Name).Skip(1).Aggregate(_samples, (product, later) => product * later.Count);
}
