using System;
using System.Runtime.InteropServices;
using System.Threading;

namespace Continuum.Cli;

/// <summary>Turns the first Ctrl+C or termination signal into a cancellation; the second ends the process at once.</summary>
internal sealed class Interruption : IDisposable
{
    private readonly CancellationTokenSource _source = new();
    private readonly PosixSignalRegistration _interrupt;
    private readonly PosixSignalRegistration _terminate;

    internal Interruption()
    {
        _interrupt = PosixSignalRegistration.Create(PosixSignal.SIGINT, context => Cancel(context, 2));
        _terminate = PosixSignalRegistration.Create(PosixSignal.SIGTERM, context => Cancel(context, 15));
    }

    internal CancellationToken Token => _source.Token;

    /// <summary>The exit code of the signal that came: 130 for Ctrl+C.</summary>
    internal int ExitCode { get; private set; } = Cli.ExitCode.Signal + 2;

    public void Dispose()
    {
        _interrupt.Dispose();
        _terminate.Dispose();
        _source.Dispose();
    }

    private void Cancel(PosixSignalContext context, int signal)
    {
        if (!_source.IsCancellationRequested)
        {
            context.Cancel = true;
            ExitCode = Cli.ExitCode.Signal + signal;
            _source.Cancel();
        }
    }
}
