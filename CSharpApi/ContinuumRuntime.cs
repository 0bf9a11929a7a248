extern alias core;

using System;
using TorchSharp;
using Core = core::Continuum;

namespace Continuum;

/// <summary>The native half of the library: libtorch, which solves on tensors need and solves on numbers do not.</summary>
public static class ContinuumRuntime
{
    /// <summary>
    /// Loads libtorch, from the folder that the environment variable CONTINUUM_LIBTORCH names, from beside the application or from the
    /// NuGet packages. Call it before the first use of TorchSharp where the application carries no libtorch of its own; solves on
    /// tensors call it themselves. Safe to call often and from any thread.
    /// </summary>
    /// <exception cref="LibtorchMissingException">libtorch was not found or does not load; the message says what to do.</exception>
    public static void EnsureLoaded()
    {
        try
        {
            Core.NativeLibraries.Ensure();
        }
        catch (Core.LibtorchException failure)
        {
            throw new LibtorchMissingException(failure.Message, failure);
        }
    }

    /// <summary>
    /// Threads that libtorch uses for one operation, in the whole process; at first one for each core. Trainings have a number of their own
    /// (<see cref="TrainingSettings.Threads"/>) and put this one back when they end.
    /// </summary>
    /// <exception cref="ArgumentOutOfRangeException">The number is not positive, or above 1024: libtorch makes as many threads as it is told.</exception>
    /// <exception cref="LibtorchMissingException">libtorch was not found or does not load.</exception>
    public static int Threads
    {
        get
        {
            EnsureLoaded();
            return torch.get_num_threads();
        }
        set
        {
            ArgumentOutOfRangeException.ThrowIfNegativeOrZero(value);
            ArgumentOutOfRangeException.ThrowIfGreaterThan(value, 1024);
            EnsureLoaded();
            torch.set_num_threads(value);
        }
    }
}
