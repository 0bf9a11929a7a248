using System;
using System.Diagnostics;

namespace Continuum;

/// <summary>Passes on the first report, then one every 50 ms, and at the end the last.</summary>
internal sealed class ProgressReporter(IProgress<SolveProgress> receiver)
{
    private static readonly TimeSpan s_interval = TimeSpan.FromMilliseconds(50);
    private long _last;
    private SolveProgress? _pending;

    internal static ProgressReporter? For(IProgress<SolveProgress>? receiver) => receiver is null ? null : new(receiver);

    internal void Report(SolveProgress progress)
    {
        if (_last != 0 && Stopwatch.GetElapsedTime(_last) < s_interval)
        {
            _pending = progress;
            return;
        }

        _last = Stopwatch.GetTimestamp();
        _pending = null;
        receiver.Report(progress);
    }

    internal void Finish()
    {
        if (_pending is SolveProgress progress)
        {
            _pending = null;
            receiver.Report(progress);
        }
    }
}
