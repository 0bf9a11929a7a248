namespace Continuum

open System
open System.IO
open System.Reflection
open System.Runtime.InteropServices
open TorchSharp

/// What the native libraries are called on this system, and the folders where they may lie.
module internal NativeFolders =

    let isLinux = OperatingSystem.IsLinux()

    let rid =
        let system =
            if OperatingSystem.IsWindows() then "win"
            elif OperatingSystem.IsMacOS() then "osx"
            else "linux"

        $"{system}-{RuntimeInformation.ProcessArchitecture.ToString().ToLowerInvariant()}"

    let fileName library =
        if OperatingSystem.IsWindows() then $"{library}.dll"
        elif OperatingSystem.IsMacOS() then $"lib{library}.dylib"
        else $"lib{library}.so"

    let cpuFile = fileName "torch_cpu"
    let shimFile = fileName "LibTorchSharp"

    let torchSharp = typeof<torch>.Assembly

    let versionOf (assembly: Assembly) =
        match assembly.GetCustomAttribute<AssemblyInformationalVersionAttribute>() with
        | null -> assembly.GetName().Version.ToString()
        | attribute -> attribute.InformationalVersion.Split('+')[0]

    /// Read from metadata: running TorchSharp's type initialiser is what we are preparing for.
    let libtorchVersion =
        match typeof<torch>.GetField("libtorchPackageVersion", BindingFlags.Static ||| BindingFlags.NonPublic) with
        | null -> "2.10.0"
        | field -> String.Join('.', (string (field.GetRawConstantValue())).Split('.')[..2])

    let folderOf (assembly: Assembly) = if assembly.Location = "" then "" else Path.GetDirectoryName assembly.Location

    let private packageRoots () =
        let home = Environment.GetFolderPath Environment.SpecialFolder.UserProfile

        [|
            Environment.GetEnvironmentVariable "NUGET_PACKAGES"
            // packages/torchsharp/<version>/lib/<framework>: where a script's #r "nuget: ..." loads TorchSharp from.
            match Path.GetFullPath(Path.Combine(folderOf torchSharp, "..", "..", "..")) with
            | folder when Path.GetFileName folder = "torchsharp" -> Path.GetDirectoryName folder
            | _ -> ()
            if home <> "" then
                Path.Combine(home, ".nuget", "packages")
        |]
        |> Array.filter (String.IsNullOrEmpty >> not)

    let private besideUs () =
        [| AppContext.BaseDirectory; folderOf torchSharp; folderOf (Assembly.GetExecutingAssembly()) |]
        |> Array.filter ((<>) "")
        |> Array.map (Path.GetFullPath >> Path.TrimEndingDirectorySeparator)
        |> Array.distinct
        |> Array.collect (fun folder -> [| folder; Path.Combine(folder, "runtimes", rid, "native") |])

    let private inPackages name version =
        packageRoots ()
        |> Array.map (fun root -> Path.Combine(root, name, version, "runtimes", rid, "native"))

    let libtorchFolders () =
        Array.append (besideUs ()) (inPackages $"libtorch-cpu-{rid}" libtorchVersion) |> Array.distinct

    let shimFolders () = Array.append (besideUs ()) (inPackages "torchsharp" (versionOf torchSharp)) |> Array.distinct
