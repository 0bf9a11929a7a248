namespace Continuum

open System
open System.Collections.Generic
open System.IO
open System.Reflection
open System.Runtime.InteropServices
open System.Security.Cryptography
open System.Threading
open TorchSharp
open Continuum.NativeFolders

/// Finds libtorch and loads it, with TorchSharp's shim, before TorchSharp looks for them.
///
/// TorchSharp 0.107's libLibTorchSharp.so asks for GLIBCXX_3.4.32 (gcc 13), which Debian 12, Ubuntu 22.04 and most clusters lack,
/// for a marker that nothing calls; a copy whose version is weak loads there (see ElfVersions). CONTINUUM_LIBTORCH names a
/// folder with another libtorch, such as a Python install's.
[<RequireQualifiedAccess>]
module NativeLibraries =

    /// The environment variable that names a folder with another libtorch.
    [<Literal>]
    let Variable = "CONTINUUM_LIBTORCH"

    /// The files mapped into this process whose names start with `name`; empty outside Linux.
    let private mapped (name: string) =
        if not isLinux then
            [||]
        else
            File.ReadAllLines "/proc/self/maps"
            |> Array.choose (fun line ->
                match line.IndexOf '/' with
                | -1 -> None
                | at -> Some line[at..])
            |> Array.filter (fun path -> Path.GetFileName(path).StartsWith(name, StringComparison.Ordinal))
            |> Array.distinct

    let private firstMapped name = mapped name |> Array.tryHead |> Option.defaultValue ""

    /// The libstdc++ that the shim will bind to: the .NET runtime has loaded it before us.
    let private libstdcxx =
        lazy
            (if firstMapped ElfVersions.LibStdCxx = "" then
                 NativeLibrary.TryLoad ElfVersions.LibStdCxx |> ignore

             // The mapped file is libstdc++.so.6.0.30 where the link is libstdc++.so.6.
             firstMapped ElfVersions.LibStdCxx)

    let private available =
        lazy
            (match libstdcxx.Value with
             | "" -> [||]
             | path ->
                 match ElfVersions.defined path (File.ReadAllBytes path) with
                 | Ok versions -> versions
                 | Error _ -> [||])

    let private problems = List<NativeProblem>()

    /// TorchSharp appends its whole loading trace to a message.
    let private firstLine (failure: exn) = failure.Message.Split('\n') |> Array.head |> _.Trim()

    let private load (path: string) =
        try
            NativeLibrary.Load path
        with :? DllNotFoundException as failure ->
            let reason =
                failure.Message.Split('\n') |> Array.map _.Trim() |> Array.filter ((<>) "") |> String.concat "; "

            raise (
                LibtorchException(
                    $"{path} exists but the system's loader refuses it: {reason}. Install the library it misses (ldd {path} lists \
                      them), or set {Variable} to the folder of a libtorch {libtorchVersion} that loads here, such as a Python \
                      install's torch/lib.",
                    failure
                )
            )

    let private searched (folders: string[]) = String.Join(", ", folders)

    /// Loads libtorch from one folder; CUDA's part may fail (no driver), which leaves the CPU.
    let private loadLibtorchFrom (folder: string) =
        load (Path.Combine(folder, cpuFile)) |> ignore
        let cuda = Path.Combine(folder, fileName "torch_cuda")

        if File.Exists cuda then
            try
                load cuda |> ignore
            with :? LibtorchException as failure ->
                problems.Add {
                    What = $"CUDA is not available: {failure.Message}"
                    Remedy =
                        "Install the NVIDIA driver and put the folders of CUDA's libraries (beside a Python install's torch they are \
                         site-packages/nvidia/*/lib) on LD_LIBRARY_PATH."
                }

        // The shim names libtorch too, and a copy in the user's cache has no libtorch beside it.
        let umbrella = Path.Combine(folder, fileName "torch")

        if File.Exists umbrella then
            load umbrella |> ignore

    /// The folder that CONTINUUM_LIBTORCH names, or the `lib` below it when it names the torch package itself.
    let private chosenFolder () =
        match Environment.GetEnvironmentVariable Variable with
        | null
        | "" -> None
        | folder ->
            let candidates = [| folder; Path.Combine(folder, "lib") |] |> Array.map Path.GetFullPath
            let holds folder = File.Exists(Path.Combine(folder, cpuFile))

            match Array.tryFind holds candidates with
            | Some found -> Some found
            | None ->
                raise (
                    LibtorchException(
                        $"{Variable} is {folder}, but neither it nor its folder lib holds {cpuFile}. Set it to the folder \
                          that holds libtorch {libtorchVersion}'s libraries (python3 -c \"import torch, os; \
                          print(os.path.join(os.path.dirname(torch.__file__), 'lib'))\" prints a Python install's), or unset it."
                    )
                )

    let private loadLibtorch () =
        let folders = libtorchFolders ()
        let holds folder = File.Exists(Path.Combine(folder, cpuFile))

        match chosenFolder () with
        | Some folder -> loadLibtorchFrom folder
        | None when not isLinux -> ()
        | None ->
            match Array.tryFind holds folders with
            | Some folder -> loadLibtorchFrom folder
            | None ->
                // LD_LIBRARY_PATH and /etc/ld.so.conf may know one.
                match NativeLibrary.TryLoad cpuFile with
                | true, _ -> NativeLibrary.TryLoad(fileName "torch") |> ignore
                | _ ->
                    raise (
                        LibtorchException(
                            $"libtorch {libtorchVersion} was not found: {cpuFile} is not in {searched folders}, and the \
                              system's loader knows none. Add the package libtorch-cpu-{rid} {libtorchVersion} to the \
                              application (in a script: #r \"nuget: libtorch-cpu-{rid}, {libtorchVersion}\"), or set {Variable} \
                              to a folder with libtorch's libraries, such as a Python install's torch/lib."
                        )
                    )

    let private cacheRoot () =
        match Environment.GetEnvironmentVariable "XDG_CACHE_HOME" with
        | null
        | "" -> Path.Combine(Environment.GetFolderPath Environment.SpecialFolder.UserProfile, ".cache", "continuum")
        | folder -> Path.Combine(folder, "continuum")

    let private writeCopy (folder: string) (image: byte[]) =
        let path = Path.Combine(Directory.CreateDirectory(folder).FullName, shimFile)

        // Compare the content rather than trust the name: a copy cut short or tampered with is replaced.
        if not (File.Exists path && File.ReadAllBytes(path).AsSpan().SequenceEqual(ReadOnlySpan image)) then
            ElfVersions.writeAtomically path image

        path

    /// Where the relaxed copy lies: the user's cache, keyed by the original's content, or else a private temporary folder.
    let private cache (original: byte[]) image =
        let key = Convert.ToHexStringLower(SHA256.HashData original)[..15]

        try
            writeCopy (Path.Combine(cacheRoot (), key)) image
        with
        | :? IOException
        | :? UnauthorizedAccessException -> writeCopy (Directory.CreateTempSubdirectory("continuum-").FullName) image

    /// The shim that loads on this system: the original, or a relaxed copy of it.
    let private loadableShim (path: string) =
        let original = File.ReadAllBytes path

        match ElfVersions.relax path available.Value original with
        | Error reason ->
            raise (
                LibtorchException(
                    $"{reason}. The libstdc++ in use is {libstdcxx.Value}, which reaches {ElfVersions.newestGlibcxx available.Value}. \
                      Install the libstdc++ of gcc 13 or newer (conda install -c conda-forge libstdcxx-ng, or a newer distribution) \
                      and put its folder on LD_LIBRARY_PATH."
                )
            )
        | Ok copy when copy.Relaxed.Length = 0 -> path
        | Ok copy -> cache original copy.Image

    let private findShim () =
        let folders = [| yield! shimFolders (); yield! chosenFolder () |> Option.toArray |]

        let paths = folders |> Array.map (fun folder -> Path.Combine(folder, shimFile))

        match Array.tryFind File.Exists paths with
        | Some path -> path
        | None ->
            raise (
                LibtorchException(
                    $"TorchSharp's native half was not found: {shimFile} is not in {searched folders}. It comes with \
                      the package TorchSharp {versionOf torchSharp}, for linux-x64, win-x64, win-arm64 and osx-arm64 (this is {rid}): \
                      build the application with its RuntimeIdentifier set, or copy the file beside TorchSharp.dll."
                )
            )

    /// Points TorchSharp's DllImports at the shim in hand, whatever lies beside TorchSharp.dll.
    let private resolveTo (shim: nativeint) =
        try
            NativeLibrary.SetDllImportResolver(
                torchSharp,
                DllImportResolver(fun name _ _ -> if name = "LibTorchSharp" then shim else 0n)
            )
        with :? InvalidOperationException ->
            // Somebody else resolves for TorchSharp; the dynamic loader still finds the loaded shim by its soname.
            ()

    /// Runs `action`, in which TorchSharp loads `library` by name, so that it gets the one that is loaded already.
    let private keeping library action =
        let file = fileName library

        match firstMapped file, LoaderAlias.probedPath (folderOf torchSharp) file with
        | loaded, Some own when loaded <> "" && loaded <> own ->
            if (LoaderAlias.during loaded own action).IsNone then
                raise (
                    LibtorchException(
                        $"{loaded} is loaded, but TorchSharp would also load {own}, and two libtorch in one process end it. Build the \
                          application without its own libtorch (dotnet build -p:TorchBackend=none), remove the libtorch files from \
                          {Path.GetDirectoryName own}, or unset {Variable}."
                    )
                )
        | _ -> action ()

    let private startTorchSharp () =
        torch.TryInitializeDeviceType DeviceType.CPU |> ignore

        if firstMapped "libtorch_cuda.so" <> "" then
            torch.TryInitializeDeviceType DeviceType.CUDA |> ignore

    /// Runs TorchSharp's type initialiser, which repeats the loading by name and keeps its failure for ever.
    let private initialise () =
        try
            keeping "torch_cpu" (fun () -> keeping "torch_cuda" startTorchSharp)
        with
        | :? TypeInitializationException
        | :? DllNotFoundException
        | :? NotSupportedException as failure ->
            let reason = firstLine (failure.GetBaseException())

            raise (
                LibtorchException(
                    $"TorchSharp {versionOf torchSharp} did not start: {reason} If the program used TorchSharp before Continuum, call \
                      NativeLibraries.ensure() first; otherwise add the package libtorch-cpu-{rid} {libtorchVersion} to the \
                      application or set {Variable} to a folder with libtorch {libtorchVersion}.",
                    failure
                )
            )

    let private loadAll () =
        problems.Clear()

        // A program that used TorchSharp before us has loaded both; loading another pair would put two libtorch in one process.
        if firstMapped "libLibTorchSharp.so" = "" then
            if firstMapped "libtorch_cpu.so" = "" then
                loadLibtorch ()

            if isLinux then
                findShim () |> loadableShim |> load |> resolveTo

        initialise ()

    let private gate = obj ()
    let mutable private ready = false

    /// Makes TorchSharp usable in this process: loads libtorch and TorchSharp's shim from CONTINUUM_LIBTORCH, from beside the
    /// application or from the NuGet packages, relaxing the shim where this system's libstdc++ is older than gcc 13's. Safe to
    /// call from any thread, any number of times; costs a field read after the first. Throws LibtorchException where it cannot.
    [<CompiledName("Ensure")>]
    let ensure () : unit =
        if not (Volatile.Read &ready) then
            lock gate (fun () ->
                if not ready then
                    loadAll ()
                    Volatile.Write(&ready, true))

    let private libraries () =
        let row name file : NativeLibraryInfo = { Name = name; Path = firstMapped file }

        [|
            row "libtorch_cpu" "libtorch_cpu.so"
            row "libtorch_cuda" "libtorch_cuda.so"
            row "LibTorchSharp" "libLibTorchSharp.so"
            { Name = "libstdc++"; Path = if isLinux then libstdcxx.Value else "" }
        |]

    /// Why the loaded shim goes on without a libstdc++ version; empty when it is the original. Read from the file itself, as
    /// it may have been relaxed when the application was built.
    let private relaxation () =
        match firstMapped "libLibTorchSharp.so" with
        | path when File.Exists path ->
            match ElfVersions.required path (File.ReadAllBytes path) with
            | Ok needs when needs |> Array.exists (fun need -> need.Weak && need.Version = ElfVersions.Relaxable) ->
                $"TorchSharp's own asks for {ElfVersions.Relaxable}; this system's libstdc++ reaches \
                  {ElfVersions.newestGlibcxx available.Value}"
            | _ -> ""
        | _ -> ""

    /// A libtorch that is not the one CONTINUUM_LIBTORCH asks for, and two in one process, are silent otherwise.
    let private conflicts () = [|
        let loaded = mapped "libtorch_cpu.so"

        if loaded.Length > 1 then
            {
                What = $"Two libtorch are loaded: {searched loaded}."
                Remedy = "Remove the libtorch files from the application's folder, or unset CONTINUUM_LIBTORCH."
            }

        match
            (try
                chosenFolder ()
             with :? LibtorchException ->
                 None),
            loaded
        with
        | Some folder, [| only |] when Path.GetDirectoryName only <> folder -> {
            What = $"{Variable} asks for {folder}, but {only} was loaded before Continuum looked."
            Remedy = "Call NativeLibraries.ensure() before the first use of TorchSharp."
          }
        | _ -> ()
    |]

    let private tryEnsure () =
        try
            ensure ()
            None
        with :? LibtorchException as failure ->
            Some {
                What = failure.Message
                Remedy = "Do what the message says, then run `continuum doctor` again."
            }

    /// What the system offers, what was loaded from where, and what is wrong. Loads libtorch if it can and does not throw when
    /// it cannot: the failure is then among the problems.
    [<CompiledName("Report")>]
    let report () : NativeReport =
        let failure = tryEnsure ()
        let usable = failure.IsNone
        let cuda = usable && torch.cuda.is_available ()
        let devices = if cuda then torch.cuda.device_count () else 0

        {
            OperatingSystem = RuntimeInformation.OSDescription
            Architecture = string RuntimeInformation.ProcessArchitecture
            RuntimeIdentifier = rid
            DotNet = RuntimeInformation.FrameworkDescription
            ContinuumVersion = versionOf (Assembly.GetExecutingAssembly())
            TorchSharpVersion = versionOf torchSharp
            LibtorchVersion = libtorchVersion
            ContinuumLibtorch = Environment.GetEnvironmentVariable Variable |> Option.ofObj |> Option.defaultValue ""
            IsUsable = usable
            Libraries = libraries ()
            NewestGlibcxx = if isLinux then ElfVersions.newestGlibcxx available.Value else ""
            IsRelaxed = relaxation () <> ""
            RelaxedBecause = relaxation ()
            Threads = if usable then torch.get_num_threads () else 0
            InteropThreads = if usable then torch.get_num_interop_threads () else 0
            IsCudaAvailable = cuda
            CudaDevices = Array.init devices (fun index -> $"cuda:{index}")
            Problems = [| yield! Option.toArray failure; yield! problems; yield! conflicts () |]
        }
