using System;
using System.Diagnostics;
using Spectre.Console;

namespace Continuum.Cli;

/// <summary>
/// Shows the progress of a fit on the error stream, which leaves the output to the results: a bar on a terminal, a line
/// now and then elsewhere.
/// </summary>
internal abstract class ProgressView : IProgress<FitProgress>
{
    public abstract void Report(FitProgress value);

    /// <summary>Runs a fit that reports its progress; `counted` is what its evaluations are.</summary>
    internal static T Run<T>(bool quiet, string start, Func<IProgress<FitProgress>?, T> fit, string counted = "evaluations")
    {
        if (quiet)
        {
            return fit(null);
        }

        if (Console.IsErrorRedirected)
        {
            return fit(new Lines(counted));
        }

        IAnsiConsole terminal = AnsiConsole.Create(new AnsiConsoleSettings { Out = new AnsiConsoleOutput(Console.Error) });
        return terminal
            .Progress()
            .Columns(new SpinnerColumn(), new TaskDescriptionColumn { Alignment = Justify.Left }, new ProgressBarColumn { Width = 16 }, new PercentageColumn())
            .Start(context => fit(new Bar(context.AddTask(start), counted)));
    }

    /// <summary>Where the fit stands, for a line of a log.</summary>
    private static string State(FitProgress now, string counted)
    {
        string validation = double.IsFinite(now.ValidationLoss) ? $" (held back: {Numbers.Short(now.ValidationLoss)})" : "";
        return $"loss {Numbers.Short(now.Loss)}{validation}, {now.Evaluations} {counted}, {Numbers.Duration(now.Elapsed)}";
    }

    private sealed class Lines(string counted) : ProgressView
    {
        private static readonly TimeSpan s_pause = TimeSpan.FromSeconds(2);
        private readonly Stopwatch _sinceLine = Stopwatch.StartNew();
        private string _phase = "";

        public override void Report(FitProgress value)
        {
            if (value.Phase != _phase || _sinceLine.Elapsed > s_pause)
            {
                _phase = value.Phase;
                _sinceLine.Restart();
                Console.Error.WriteLine($"{value.Phase} {value.Iteration}/{value.Iterations}: {State(value, counted)}");
            }
        }
    }

    private sealed class Bar(ProgressTask task, string counted) : ProgressView
    {
        public override void Report(FitProgress value)
        {
            task.MaxValue = Math.Max(1, value.Iterations);
            task.Value = value.Iteration;
            task.Description = Markup.Escape(
                $"{value.Phase} {value.Iteration}/{value.Iterations}, loss {Numbers.Short(value.Loss)}, {value.Evaluations} {counted}"
            );
        }
    }
}
