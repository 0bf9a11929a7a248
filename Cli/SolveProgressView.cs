using System;
using Spectre.Console;

namespace Continuum.Cli;

/// <summary>The progress of many runs: a bar on a terminal's error stream, nothing elsewhere.</summary>
internal sealed class SolveProgressView : IProgress<EnsembleProgress>
{
    private readonly ProgressTask _task;

    private SolveProgressView(ProgressTask task) => _task = task;

    public void Report(EnsembleProgress value)
    {
        _task.MaxValue = value.Total;
        _task.Value = value.Completed;
        _task.Description = $"{value.Completed} of {value.Total} runs";
    }

    internal static T Run<T>(bool quiet, string start, Func<IProgress<EnsembleProgress>?, T> solve)
    {
        if (quiet || Console.IsErrorRedirected)
        {
            return solve(null);
        }

        IAnsiConsole terminal = AnsiConsole.Create(new AnsiConsoleSettings { Out = new AnsiConsoleOutput(Console.Error) });
        return terminal
            .Progress()
            .AutoClear(true)
            .Columns(new SpinnerColumn(), new TaskDescriptionColumn { Alignment = Justify.Left }, new ProgressBarColumn { Width = 24 }, new PercentageColumn())
            .Start(context => solve(new SolveProgressView(context.AddTask(Markup.Escape(start)))));
    }
}
