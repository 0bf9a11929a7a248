namespace Continuum

open System
open System.Collections.Generic

/// libtorch could not be made to load. The message says what was looked for, where, what was found and what to do.
[<Sealed>]
type LibtorchException(message: string, cause: exn) =
    inherit Exception(message, cause)

    /// An error without an underlying exception.
    new(message: string) = LibtorchException(message, null)

/// One native library of this process.
type NativeLibraryInfo = {
    /// The file's name as libtorch knows it, such as `libtorch_cpu`.
    Name: string
    /// The file it was loaded from, empty when it is not loaded.
    Path: string
}

/// Something that keeps libtorch, or part of it, from working.
type NativeProblem = {
    /// What is wrong.
    What: string
    /// What to do about it.
    Remedy: string
}

/// What `continuum doctor` prints: the system, the libraries that were loaded and from where, devices, threads, problems.
type NativeReport = {
    /// The operating system's own description.
    OperatingSystem: string
    /// The process's architecture, such as `X64`.
    Architecture: string
    /// The portable runtime identifier that NuGet packages use, such as `linux-x64`.
    RuntimeIdentifier: string
    /// The .NET runtime's description.
    DotNet: string
    /// The version of Continuum.Core.
    ContinuumVersion: string
    /// The version of TorchSharp.
    TorchSharpVersion: string
    /// The libtorch version that TorchSharp was built for.
    LibtorchVersion: string
    /// The value of CONTINUUM_LIBTORCH, empty when it is not set.
    ContinuumLibtorch: string
    /// True when tensors can be made.
    IsUsable: bool
    /// libtorch_cpu, libtorch_cuda, LibTorchSharp and libstdc++, loaded or not.
    Libraries: IReadOnlyList<NativeLibraryInfo>
    /// The newest GLIBCXX version of the libstdc++ in use; empty outside Linux.
    NewestGlibcxx: string
    /// True when the LibTorchSharp in use is a copy that goes on without a version of libstdc++.
    IsRelaxed: bool
    /// Why a relaxed copy is used, empty when it is not.
    RelaxedBecause: string
    /// Threads inside one libtorch operation; 0 when libtorch is not loaded.
    Threads: int
    /// Threads across libtorch operations; 0 when libtorch is not loaded.
    InteropThreads: int
    /// True when libtorch can use a CUDA device.
    IsCudaAvailable: bool
    /// The CUDA devices (`cuda:0`, ...); TorchSharp does not expose their names.
    CudaDevices: IReadOnlyList<string>
    /// What is wrong and what to do, empty when all is well.
    Problems: IReadOnlyList<NativeProblem>
}
