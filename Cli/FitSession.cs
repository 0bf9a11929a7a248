using System;
using System.IO;
using System.Threading;

namespace Continuum.Cli;

/// <summary>What all fits do about their checkpoint: say that an old one is replaced, and how to go on after an interruption.</summary>
internal static class FitSession
{
    internal const string ModelFile = "model.safetensors";
    internal const string TrainingFile = "training.safetensors";

    /// <summary>Runs a fit and turns its interruption into an exit code.</summary>
    internal static int Run(string checkpoint, bool resume, bool quiet, Action<CancellationToken> fit)
    {
        using Interruption interruption = new();
        try
        {
            if (!resume && !quiet && File.Exists(checkpoint))
            {
                Console.Error.WriteLine($"starting anew: {checkpoint} of a fit that was ended early is replaced (--resume goes on with it)");
            }

            fit(interruption.Token);
            return ExitCode.Success;
        }
        catch (OperationCanceledException)
        {
            Failure.Report(
                File.Exists(checkpoint)
                    ? $"interrupted; {checkpoint} holds the state of training: run the same command with --resume to go on"
                    : "interrupted before training began; nothing was written"
            );
            return interruption.ExitCode;
        }
    }

    /// <summary>What the library refuses is a wrong command line.</summary>
    internal static T Checked<T>(Func<T> work)
    {
        try
        {
            return work();
        }
        catch (ArgumentException failure)
        {
            throw new UsageException(Failure.Refusal(failure), failure);
        }
    }
}
