namespace Continuum

open System
open System.IO

/// What the readers share: opening a file, exact reads, names and errors that stay on one line.
module internal FileFormat =
    let private oneLine (text: string) = String.map (fun c -> if Char.IsControl c then '?' else c) text

    /// A name out of a file, fit for an error message: control characters replaced, at most 80 characters, quoted.
    let quoted (name: string) =
        let shown = if name.Length > 80 then name.Substring(0, 80) + "…" else name
        $"'{oneLine shown}'"

    /// The error of a damaged or foreign file: names the file, the defect and the remedy.
    let invalid (file: string) (defect: string) (remedy: string) : 'result =
        raise (InvalidDataException $"'{oneLine file}': {defect}; {remedy}")

    /// Opens an existing file for reading; a missing file or a folder is an error that names the path and the remedy.
    let openRead (path: string) =
        ArgumentException.ThrowIfNullOrWhiteSpace(path, nameof path)

        if Directory.Exists path then
            raise (IOException $"cannot read '{path}': it is a folder; give the path of a file")

        if not (File.Exists path) then
            let message = $"cannot read '{path}': there is no such file; check the path"
            raise (FileNotFoundException(message, path))

        new FileStream(path, FileMode.Open, FileAccess.Read, FileShare.Read, 65536, FileOptions.SequentialScan)

    /// Reads exactly `count` bytes; `what` names them in the error if the file ends before.
    let readExactly (file: string) (what: string) (stream: Stream) (count: int) : byte[] =
        let bytes = Array.zeroCreate count
        let read = stream.ReadAtLeast(bytes.AsSpan(), count, throwOnEndOfStream = false)

        if read < count then
            invalid
                file
                $"{what} should have {count} bytes but the file ends after {read} of them"
                "it is truncated: copy or download it again"

        bytes
