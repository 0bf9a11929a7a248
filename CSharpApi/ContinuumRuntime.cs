extern alias core;

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
}
