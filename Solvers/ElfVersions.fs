namespace Continuum

open System
open System.Buffers.Binary
open System.IO
open System.Text

// The part of the ELF format that says which symbol versions a shared object defines (SHT_GNU_verdef) and
// requires (SHT_GNU_verneed): Linux Standard Base Core 5.0, chapter 10.7 "Symbol Versioning".
// build/RelaxShim.cs holds the same patch for MSBuild, whose inline tasks cannot be F# and whose process should
// not load our assemblies; a test asserts that both write the same bytes.

/// One symbol version that a shared object requires of another.
type ElfRequirement = {
    /// The DT_SONAME it must come from, such as `libstdc++.so.6`.
    Library: string
    /// The version's name, such as `GLIBCXX_3.4.32`.
    Version: string
    /// The number that .gnu.version uses for this version.
    Index: uint16
    /// True when VER_FLG_WEAK is set: the dynamic loader then goes on without the version.
    Weak: bool
    /// Where `vna_flags` lies in the file.
    FlagsOffset: int
}

/// A copy of a shared object whose missing versions are weak.
type ElfRelaxation = {
    /// The bytes to write; equal to the source's when nothing was missing.
    Image: byte[]
    /// The versions that were made weak, empty when nothing was missing.
    Relaxed: string[]
}

/// Reads symbol versions of 64-bit little-endian ELF files and relaxes the one that TorchSharp's shim asks too much of.
[<RequireQualifiedAccess>]
module ElfVersions =

    /// The library whose versions differ between distributions.
    [<Literal>]
    let LibStdCxx = "libstdc++.so.6"

    /// gcc 13's version. Its only symbol is a marker that makes the linker ask for a libstdc++ which initialises
    /// iostreams itself; nothing calls it, so doing without it is safe.
    [<Literal>]
    let Relaxable = "GLIBCXX_3.4.32"

    /// The marker, `std::ios_base_library_init()`.
    [<Literal>]
    let Marker = "_ZSt21ios_base_library_initv"

    [<Literal>]
    let private WeakFlag = 0x2us

    type private Section = { Kind: uint32; Offset: int; Size: int; Link: int; Entries: int }

    let private u16 (image: byte[]) at = BinaryPrimitives.ReadUInt16LittleEndian(ReadOnlySpan(image, at, 2))

    let private u32 (image: byte[]) at = BinaryPrimitives.ReadUInt32LittleEndian(ReadOnlySpan(image, at, 4))

    let private int32At image at = Checked.int (u32 image at)

    let private int64At (image: byte[]) at =
        Checked.int (BinaryPrimitives.ReadUInt64LittleEndian(ReadOnlySpan(image, at, 8)))

    let private text (image: byte[]) at = Encoding.UTF8.GetString(image, at, Array.IndexOf(image, 0uy, at) - at)

    let private isElf64 (image: byte[]) =
        image.Length > 64
        && image.AsSpan(0, 4).SequenceEqual(ReadOnlySpan [| 0x7fuy; byte 'E'; byte 'L'; byte 'F' |])
        && image[4] = 2uy
        && image[5] = 1uy

    let private sections image =
        let table = int64At image 0x28
        let stride = int (u16 image 0x3a)

        Array.init (int (u16 image 0x3c)) (fun i ->
            let at = table + i * stride

            {
                Kind = u32 image (at + 4)
                Offset = int64At image (at + 24)
                Size = int64At image (at + 32)
                Link = int32At image (at + 40)
                Entries = int32At image (at + 44)
            })

    let private ofKind kind (all: Section[]) = all |> Array.filter (fun section -> section.Kind = kind)

    let private dynsym = 11u
    let private verdef = 0x6ffffffdu
    let private verneed = 0x6ffffffeu
    let private versym = 0x6fffffffu

    /// Offsets of a chain of `count` entries, each holding the distance to the next one at `link`.
    let private chain image first count link =
        Array.unfold
            (fun (at, left) -> if left = 0 then None else Some(at, (at + int32At image (at + link), left - 1)))
            (first, count)

    /// Runs a reader; a file that is no ELF, or ends early, becomes a message instead of an exception.
    let private reading (what: string) image (read: unit -> 'a) =
        if not (isElf64 image) then
            Error $"{what} is not a 64-bit little-endian ELF file"
        else
            try
                Ok(read ())
            with
            | :? ArgumentException
            | :? OverflowException
            | :? IndexOutOfRangeException -> Error $"{what} is an ELF file whose tables point outside it: it is damaged"

    let private definedIn image =
        let all = sections image

        [|
            for section in ofKind verdef all do
                for at in chain image section.Offset section.Entries 16 do
                    let first = at + int32At image (at + 12)
                    text image (all[section.Link].Offset + int32At image first)
        |]

    let private requiredIn image =
        let all = sections image

        [|
            for section in ofKind verneed all do
                let names = all[section.Link].Offset

                for at in chain image section.Offset section.Entries 12 do
                    let library = text image (names + int32At image (at + 4))

                    for aux in chain image (at + int32At image (at + 8)) (int (u16 image (at + 2))) 12 do
                        {
                            Library = library
                            Version = text image (names + int32At image (aux + 8))
                            Index = u16 image (aux + 6)
                            Weak = u16 image (aux + 4) &&& WeakFlag <> 0us
                            FlagsOffset = aux + 4
                        }
        |]

    /// Names of the dynamic symbols bound to a version.
    let private symbolsOf image (index: uint16) =
        let all = sections image

        [|
            for versions in ofKind versym all do
                let symbols = all[versions.Link]
                let names = all[symbols.Link].Offset

                for i in 0 .. versions.Size / 2 - 1 do
                    // The top bit only says "hidden".
                    if u16 image (versions.Offset + 2 * i) &&& 0x7fffus = index then
                        text image (names + int32At image (symbols.Offset + 24 * i))
        |]

    let private hasSymbols image = ofKind dynsym (sections image) |> Array.isEmpty |> not

    /// The symbol versions that the shared object in `image` defines; `what` names it in the message of a refusal.
    let defined (what: string) (image: byte[]) : Result<string[], string> =
        reading what image (fun () -> definedIn image)

    /// The symbol versions that the shared object in `image` requires of others.
    let required (what: string) (image: byte[]) : Result<ElfRequirement[], string> =
        reading what image (fun () -> requiredIn image)

    /// The newest `GLIBCXX_x.y.z` among version names, or an empty string.
    let newestGlibcxx (versions: string seq) : string =
        versions
        |> Seq.choose (fun name ->
            match name.Split('_') with
            | [| "GLIBCXX"; number |] ->
                match Version.TryParse number with
                | true, version -> Some(version, name)
                | _ -> None
            | _ -> None)
        |> Seq.sortDescending
        |> Seq.tryHead
        |> Option.map snd
        |> Option.defaultValue ""

    /// Requirements on libstdc++ that are neither among `available` nor weak already.
    let private missing available image =
        requiredIn image
        |> Array.filter (fun need ->
            need.Library = LibStdCxx && not need.Weak && not (Array.contains need.Version available))

    /// A copy of `image` in which the libstdc++ version that `available` lacks is weak. Refuses, with the reason, a file that
    /// is no ELF, one that lacks anything but GLIBCXX_3.4.32, and one that uses that version for more than the marker:
    /// those need the newer libstdc++ in earnest.
    let relax (what: string) (available: string[]) (image: byte[]) : Result<ElfRelaxation, string> =
        let attempt () =
            let lacking = missing available image
            let foreign = lacking |> Array.filter (fun need -> need.Version <> Relaxable)

            let inUse =
                lacking
                |> Array.collect (fun need -> symbolsOf image need.Index)
                |> Array.filter (fun symbol -> symbol <> Marker)

            if foreign.Length > 0 then
                let names = foreign |> Array.map _.Version |> String.concat ", "
                Error $"{what} needs {names} of {LibStdCxx}, which this system's lacks and which cannot be done without"
            elif inUse.Length > 0 then
                let names = inUse |> Array.truncate 3 |> String.concat ", "
                Error $"{what} calls {names} of {Relaxable}, which this system's {LibStdCxx} lacks"
            elif lacking.Length > 0 && not (hasSymbols image) then
                Error $"{what} has no dynamic symbol table, so what it uses of {Relaxable} cannot be checked"
            else
                let copy = Array.copy image

                for need in lacking do
                    let flags = u16 image need.FlagsOffset ||| WeakFlag
                    BinaryPrimitives.WriteUInt16LittleEndian(Span(copy, need.FlagsOffset, 2), flags)

                Ok { Image = copy; Relaxed = lacking |> Array.map _.Version }

        reading what image attempt |> Result.bind id

    /// Writes `image` to `path` by a temporary file beside it and a rename: a reader sees the old file or the whole new one, two
    /// writers cannot mix, and a hard link at `path` is replaced, never written through.
    let writeAtomically (path: string) (image: byte[]) : unit =
        let temporary = $"{path}.{Environment.ProcessId}.{Guid.NewGuid():N}"

        try
            File.WriteAllBytes(temporary, image)
            File.Move(temporary, path, overwrite = true)
        finally
            File.Delete temporary
