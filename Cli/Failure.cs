using System;
using System.IO;

namespace Continuum.Cli;

/// <summary>An exception as one line for people, and as an exit code.</summary>
internal static class Failure
{
    /// <summary>Set to anything, it makes failures print their stack too.</summary>
    private const string TraceVariable = "CONTINUUM_TRACE";

    internal static int Report(Exception failure)
    {
        Report(Text(failure));
        if (!string.IsNullOrEmpty(Environment.GetEnvironmentVariable(TraceVariable)))
        {
            Console.Error.WriteLine(failure);
        }

        return failure is UsageException ? ExitCode.Usage : ExitCode.Failure;
    }

    internal static void Report(string message) => Console.Error.WriteLine($"continuum: {message.ReplaceLineEndings(" ").Trim()}");

    /// <summary>What the library refuses, whichever of its arguments it names.</summary>
    internal static string Refusal(ArgumentException failure) => failure.ParamName is null ? failure.Message : Text(failure);

    /// <summary>What a message of the library says, in the words of the command line.</summary>
    internal static string Text(Exception failure) =>
        failure switch
        {
            ArgumentException { ParamName: { } name } => failure.Message.Replace($" (Parameter '{name}')", "", StringComparison.Ordinal),
            TimeSeriesFormatException => failure.Message.Replace("read with Missing = DropRow", "give --drop-missing", StringComparison.Ordinal),
            UsageException or FormatException or IOException or InvalidDataException or UnauthorizedAccessException => failure.Message,
            OutOfMemoryException => "there is not enough memory; fit fewer rows, use smaller --hidden layers, or solve fewer runs",
            _ when failure.GetType().Namespace == nameof(Continuum) => failure.Message,
            _ => $"unexpected {failure.GetType().Name}: {failure.Message}; please report it with the output of the same command and {TraceVariable}=1",
        };
}
