using System.Collections.Generic;

namespace Continuum;

/// <summary>One native library of this process.</summary>
/// <param name="Name">The file's name as libtorch knows it, such as <c>libtorch_cpu</c>.</param>
/// <param name="Path">The file it was loaded from, empty when it is not loaded.</param>
public sealed record DoctorLibrary(string Name, string Path);

/// <summary>Something that keeps libtorch, or part of it, from working.</summary>
/// <param name="What">What is wrong.</param>
/// <param name="Remedy">What to do about it.</param>
public sealed record DoctorProblem(string What, string Remedy);

/// <summary>The system, the native libraries and where they came from, devices, threads, and what is wrong.</summary>
public sealed record DoctorReport
{
    /// <summary>The operating system's own description.</summary>
    public required string OperatingSystem { get; init; }

    /// <summary>The process's architecture, such as <c>X64</c>.</summary>
    public required string Architecture { get; init; }

    /// <summary>The portable runtime identifier that NuGet packages use, such as <c>linux-x64</c>.</summary>
    public required string RuntimeIdentifier { get; init; }

    /// <summary>The .NET runtime's description.</summary>
    public required string DotNet { get; init; }

    /// <summary>The version of Continuum.</summary>
    public required string ContinuumVersion { get; init; }

    /// <summary>The version of TorchSharp.</summary>
    public required string TorchSharpVersion { get; init; }

    /// <summary>The libtorch version that TorchSharp was built for.</summary>
    public required string LibtorchVersion { get; init; }

    /// <summary>The value of CONTINUUM_LIBTORCH, empty when it is not set.</summary>
    public required string ContinuumLibtorch { get; init; }

    /// <summary>True when tensors can be made.</summary>
    public required bool IsUsable { get; init; }

    /// <summary>libtorch's CPU and CUDA parts, TorchSharp's native half and libstdc++, loaded or not.</summary>
    public required IReadOnlyList<DoctorLibrary> Libraries { get; init; }

    /// <summary>The newest GLIBCXX version of the libstdc++ in use; empty outside Linux.</summary>
    public required string NewestGlibcxx { get; init; }

    /// <summary>True when TorchSharp's native half is a copy that does without a version of libstdc++.</summary>
    public required bool IsRelaxed { get; init; }

    /// <summary>Why such a copy is used, empty when it is not.</summary>
    public required string RelaxedBecause { get; init; }

    /// <summary>Threads inside one libtorch operation; 0 when libtorch is not loaded.</summary>
    public required int Threads { get; init; }

    /// <summary>Threads across libtorch operations; 0 when libtorch is not loaded.</summary>
    public required int InteropThreads { get; init; }

    /// <summary>True when libtorch can use a CUDA device.</summary>
    public required bool IsCudaAvailable { get; init; }

    /// <summary>The CUDA devices (<c>cuda:0</c>, ...).</summary>
    public required IReadOnlyList<string> CudaDevices { get; init; }

    /// <summary>What is wrong and what to do, empty when all is well.</summary>
    public required IReadOnlyList<DoctorProblem> Problems { get; init; }
}
