namespace Continuum

open System
open System.IO
open System.Text

/// Steps of `AtomicFile.Write`.
module private Replacing =
    /// Why a write failed and what to do about it, naming the path.
    let explain (path: string) (folder: string) (error: exn) : exn =
        match error with
        | :? UnauthorizedAccessException ->
            let remedy = "choose another folder or change its permissions"
            UnauthorizedAccessException($"cannot write '{path}': no access to the folder '{folder}'; {remedy}", error)
        | _ ->
            let reason = error.Message.ReplaceLineEndings(" ").TrimEnd('.')
            let remedy = $"check the free space and the permissions of the folder '{folder}'"
            IOException($"cannot write '{path}': {reason}; {remedy}", error)

    let isFileError (error: exn) = error :? IOException || error :? UnauthorizedAccessException

    /// The file that the path finally names: a link is written through, not replaced by a file.
    let target (path: string) =
        let file = FileInfo(Path.GetFullPath path)

        if isNull file.LinkTarget then
            file.FullName
        else
            file.ResolveLinkTarget(returnFinalTarget = true).FullName

    /// Device files (`/dev/stdout`, `/dev/null`) are written in place: a rename would replace the device.
    let isDevice (path: string) =
        not (OperatingSystem.IsWindows())
        && path.StartsWith("/dev/", StringComparison.Ordinal)
        && not (path.StartsWith("/dev/shm/", StringComparison.Ordinal))

    /// Refuses a path that no file can be written to, before anything is created.
    let check (path: string) (target: string) (folder: string) =
        if Directory.Exists target then
            raise (IOException $"cannot write '{path}': it is a folder; give the path of a file")

        if not (Directory.Exists folder) then
            let remedy = "create it first or choose another folder"
            raise (DirectoryNotFoundException $"cannot write '{path}': the folder '{folder}' does not exist; {remedy}")

        if File.Exists target && File.GetAttributes(target).HasFlag FileAttributes.ReadOnly then
            let remedy = "make it writable or choose another name"
            raise (UnauthorizedAccessException $"cannot write '{path}': the file is read-only; {remedy}")

    /// Removes what a failed write left; the failure itself is what the caller must hear of.
    let discard (file: string) =
        try
            File.Delete file
        with error when isFileError error ->
            ()

/// <summary>
/// Writes whole files so that a reader finds either the old content or the new one, never half of it: the content goes
/// to a temporary file beside the target, is flushed to the disk, and takes the target's name by one rename.
/// </summary>
/// <remarks>
/// If anything fails, the temporary file is removed and an old file keeps its content. A symbolic link is followed and the
/// permissions of an old file are kept. A process killed in the middle may leave a file `.continuum-….tmp`, never a broken target.
/// </remarks>
[<AbstractClass; Sealed>]
type AtomicFile =
    /// <summary>Replaces or creates the file at <paramref name="path"/> with what <paramref name="write"/> writes.</summary>
    /// <param name="path">The file; its folder must exist.</param>
    /// <param name="write">Writes the content to a seekable stream; an exception of its own passes through unchanged.</param>
    /// <exception cref="T:System.IO.IOException">The path is a folder, its folder is missing, the disk is full, or the rename failed.</exception>
    /// <exception cref="T:System.UnauthorizedAccessException">The folder is not writable or the file is read-only.</exception>
    static member Write(path: string, write: Action<Stream>) : unit =
        ArgumentException.ThrowIfNullOrWhiteSpace(path, nameof path)
        ArgumentNullException.ThrowIfNull(write, nameof write)

        if Replacing.isDevice path then
            use device = new FileStream(path, FileMode.Open, FileAccess.Write)
            write.Invoke device
        else
            AtomicFile.Replace(path, write)

    /// <summary>Writes a text as UTF-8 without a byte order mark; errors as <see cref="M:Continuum.AtomicFile.Write"/>.</summary>
    static member WriteAllText(path: string, text: string) : unit =
        AtomicFile.WriteAllBytes(path, UTF8Encoding(false).GetBytes text)

    /// <summary>Writes bytes; errors as <see cref="M:Continuum.AtomicFile.Write"/>.</summary>
    static member WriteAllBytes(path: string, bytes: byte[]) : unit =
        AtomicFile.Write(path, fun stream -> stream.Write(bytes, 0, bytes.Length))

    /// <summary>Opens an existing file for sequential reading; the counterpart for readers outside the core.</summary>
    /// <exception cref="T:System.IO.FileNotFoundException">There is no such file; the message names the path.</exception>
    /// <exception cref="T:System.IO.IOException">The path is a folder.</exception>
    static member OpenRead(path: string) : Stream = FileFormat.openRead path

    static member private Replace(path: string, write: Action<Stream>) =
        let explained folder step =
            try
                step ()
            with error when Replacing.isFileError error ->
                raise (Replacing.explain path folder error)

        let target = explained path (fun () -> Replacing.target path)
        let folder = Path.GetDirectoryName target
        Replacing.check path target folder
        let beside = Path.Combine(folder, $".continuum-{Guid.NewGuid():N}.tmp")
        let create () = new FileStream(beside, FileMode.CreateNew, FileAccess.ReadWrite, FileShare.None, 65536)

        let fill () =
            use stream = explained folder create

            // A full disk is a plain IOException; a derived one (a missing input, say) is the writer's own affair.
            try
                write.Invoke stream
            with error when error.GetType() = typeof<IOException> ->
                raise (Replacing.explain path folder error)

            explained folder (fun () -> stream.Flush(flushToDisk = true))

        let rename () =
            if File.Exists target && not (OperatingSystem.IsWindows()) then
                File.SetUnixFileMode(beside, File.GetUnixFileMode target)

            File.Move(beside, target, overwrite = true)

        try
            fill ()
            explained folder rename
        with _ ->
            Replacing.discard beside
            reraise ()
