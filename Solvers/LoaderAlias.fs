namespace Continuum

open System
open System.IO
open System.Runtime.InteropServices

/// Makes one loaded library answer to another path, on Linux.
///
/// TorchSharp's type initialiser asks the runtime for `torch_cpu`, which finds the application's own libtorch by its path even
/// when CONTINUUM_LIBTORCH's is loaded already. Two libtorch in one process end it: both register the same operators. glibc looks
/// for a path among the names of loaded libraries before it opens a file, so while TorchSharp starts, the chosen library
/// bears the path of the other one. The name lies in `struct link_map` (link.h), which is what dlopen returns.
[<RequireQualifiedAccess>]
module internal LoaderAlias =

    // l_addr comes first, l_name second.
    let private nameOffset = 8

    [<Literal>]
    let private LazyNoLoad = 5 // RTLD_LAZY ||| RTLD_NOLOAD

    [<DllImport("libdl.so.2", CharSet = CharSet.Ansi)>]
    extern nativeint private dlopen([<MarshalAs(UnmanagedType.LPUTF8Str)>] string path, int flags)

    let private isLoadedAs path (handle: nativeint) = dlopen (path, LazyNoLoad) = handle

    /// The path by which the runtime would load `file` for an assembly in `folder`, if there is such a file.
    let probedPath (folder: string) (file: string) : string option =
        let directories =
            match AppContext.GetData "NATIVE_DLL_SEARCH_DIRECTORIES" with
            | :? string as list -> list.Split(Path.PathSeparator, StringSplitOptions.RemoveEmptyEntries)
            | _ -> [||]

        Array.append directories [| folder |]
        |> Array.filter (String.IsNullOrEmpty >> not)
        |> Array.map (fun directory -> Path.Combine(directory, file))
        |> Array.tryFind File.Exists

    /// Runs `action` while the loaded library `path` also answers to `alias`. None, and nothing is run, where this system's loader
    /// does not take it: that is tried, without loading anything, before the action runs.
    let during (path: string) (alias: string) (action: unit -> 'a) : 'a option =
        let handle = NativeLibrary.Load path
        let slot = handle + nativeint nameOffset
        let original = Marshal.ReadIntPtr slot

        if isLoadedAs alias handle then
            Some(action ())
        elif Path.GetFileName(Marshal.PtrToStringUTF8 original) <> Path.GetFileName path then
            // Not glibc's link_map: leave it alone.
            None
        else
            let name = Marshal.StringToCoTaskMemUTF8 alias

            try
                Marshal.WriteIntPtr(slot, name)
                if isLoadedAs alias handle then Some(action ()) else None
            finally
                Marshal.WriteIntPtr(slot, original)
                Marshal.FreeCoTaskMem name
