namespace Continuum

open System
open System.Buffers.Binary
open System.Collections.Generic
open System.IO
open System.IO.Compression
open System.Text
open System.Text.RegularExpressions

// The format: numpy/lib/format.py, "Format Version 1.0" to "3.0" (also NEP 1).

module private NpyFormat =
    let private magic = Array.append [| 0x93uy |] "NUMPY"B

    let private resave = "save it again with numpy.save"

    /// The header is a Python dictionary literal; only the three fields of the format are looked at, nothing is evaluated.
    let private field (pattern: string) (header: string) =
        let found = Regex.Match(header, pattern, RegexOptions.CultureInvariant, TimeSpan.FromSeconds 5.)
        if found.Success then Some found.Groups[1].Value else None

    let private parseElement file (header: string) =
        let unsupported (what: string) =
            let remedy = "save it as float64, float32, int64 or another plain number type"
            FileFormat.invalid file $"its element type {FileFormat.quoted what} is not one that Continuum reads" remedy

        match field """['"]descr['"]\s*:\s*['"]([^'"]*)['"]""" header with
        | None when header.Contains "'descr'" -> unsupported "structured"
        | None -> FileFormat.invalid file "the header has no 'descr'" resave
        | Some descr when descr.Length = 3 && "<>|=".Contains descr[0] ->
            match Element.tryFind (fun e -> e.Numpy = descr.Substring 1) with
            | Some element -> element, descr[0] = '>'
            | None -> unsupported descr
        | Some descr -> unsupported descr

    let private parseShape file (header: string) =
        let damaged text =
            FileFormat.invalid file $"the header's shape {FileFormat.quoted text} is not a list of sizes" resave

        match field """['"]shape['"]\s*:\s*\(([^)]*)\)""" header with
        | None -> FileFormat.invalid file "the header has no 'shape'" resave
        | Some text ->
            let parts = text.Split(',', StringSplitOptions.TrimEntries)
            // Python writes (3,) for one size: an empty part may only be the last one.
            let sizes = if parts[parts.Length - 1] = "" then parts[.. parts.Length - 2] else parts

            sizes
            |> Array.map (fun part ->
                match Int64.TryParse(part.TrimEnd 'L') with
                | true, size when size >= 0L -> size
                | _ -> damaged text)

    let private parseFortran file (header: string) =
        match field """['"]fortran_order['"]\s*:\s*(True|False)""" header with
        | Some order -> order = "True"
        | None -> FileFormat.invalid file "the header has no 'fortran_order'" resave

    /// From first index fastest to last index fastest.
    let private fromFortran (shape: int64[]) (size: int) (data: byte[]) =
        let result = Array.zeroCreate data.Length
        let strides = Array.scan (fun stride n -> stride * int n) 1 shape
        let index = Array.zeroCreate<int64> shape.Length
        let mutable source = 0

        for target in 0 .. data.Length / size - 1 do
            Buffer.BlockCopy(data, source * size, result, target * size, size)
            let mutable axis = shape.Length - 1
            let mutable carry = true

            while carry && axis >= 0 do
                index[axis] <- index[axis] + 1L
                source <- source + strides[axis]
                carry <- index[axis] = shape[axis]

                if carry then
                    source <- source - strides[axis + 1]
                    index[axis] <- 0L
                    axis <- axis - 1

        result

    let private swapBytes (size: int) (data: byte[]) =
        for start in 0..size .. data.Length - size do
            Array.Reverse(data, start, size)

    /// The header's text, with the number of bytes before the data.
    let private readHeader file (stream: Stream) (length: int64) =
        let foreign defect = FileFormat.invalid file $"not a .npy array: {defect}" "give a file saved by numpy.save"

        if length < 10L then
            foreign $"it has only {length} bytes"

        let first = FileFormat.readExactly file "the header" stream 8

        if not (first.AsSpan(0, 6).SequenceEqual(ReadOnlySpan magic)) then
            foreign "it does not begin with the mark of the format"

        let lengthBytes =
            match first[6], first[7] with
            | 1uy, 0uy -> 2
            | 2uy, 0uy
            | 3uy, 0uy -> 4
            | major, minor ->
                FileFormat.invalid file $"it has the format version {major}.{minor}" "save it with version 1, 2 or 3"

        let raw = FileFormat.readExactly file "the header length" stream lengthBytes

        let headerBytes =
            if lengthBytes = 2 then
                int64 (BinaryPrimitives.ReadUInt16LittleEndian(ReadOnlySpan raw))
            else
                int64 (BinaryPrimitives.ReadUInt32LittleEndian(ReadOnlySpan raw))

        let start = int64 (8 + lengthBytes) + headerBytes

        // A header of three fields is short; numpy itself refuses more than 10000 characters.
        if start > length || headerBytes > 1_000_000L then
            let defect = $"it announces a header of {headerBytes} bytes in a file of {length}"
            FileFormat.invalid file defect "the file is damaged: copy or download it again"

        Encoding.UTF8.GetString(FileFormat.readExactly file "the header" stream (int headerBytes)), start

    /// Reads an array from a stream of `length` bytes; `file` is what errors call it.
    let read (file: string) (name: string) (stream: Stream) (length: int64) =
        let header, start = readHeader file stream length
        let element, bigEndian = parseElement file header
        let shape = parseShape file header
        let fortran = parseFortran file header
        let dataBytes = length - start

        match Shape.tryCount shape with
        | ValueSome count when dataBytes % int64 element.Bytes = 0L && count = dataBytes / int64 element.Bytes -> ()
        | _ ->
            let defect =
                $"the shape {Shape.text shape} of {element.Type} does not fit the {dataBytes} bytes that follow"

            FileFormat.invalid file defect "it is truncated or damaged: copy or download it again"

        if dataBytes > int64 Array.MaxLength then
            FileFormat.invalid file "the array is larger than 2 GB" "split it into parts before saving"

        let data = FileFormat.readExactly file "the data" stream (int dataBytes)

        if bigEndian then
            swapBytes element.Bytes data

        let inOrder =
            if fortran && shape.Length > 1 && data.Length > 0 then
                fromFortran shape element.Bytes data
            else
                data

        NamedArray(name, element.Type, shape, inOrder)

    /// Version 1.0, C order, with the padding that numpy writes: room for the first size to grow, then a multiple of 64.
    let private header (array: NamedArray) =
        let element = Element.find array.DType

        if element.Numpy = "" then
            let message = $"array '{array.Name}': numpy has no {array.DType}; convert it to float32"
            raise (ArgumentException(message, nameof array))

        let sizes = array.Shape |> Array.map string |> String.concat ", "
        let comma = if array.Shape.Length = 1 then "," else ""
        let order = if element.Bytes = 1 then "|" else "<"

        let room =
            if array.Shape.Length = 0 then
                0
            else
                max 0 (21 - (string array.Shape[0]).Length)

        let text =
            $"{{'descr': '{order}{element.Numpy}', 'fortran_order': False, 'shape': ({sizes}{comma}), }}"
            + String(' ', room)

        let total = (10 + text.Length + 1 + 63) / 64 * 64
        Encoding.ASCII.GetBytes(text.PadRight(total - 11) + "\n")

    /// Checks the array and returns what writes it.
    let writer (array: NamedArray) : Stream -> unit =
        ArgumentNullException.ThrowIfNull(array, nameof array)
        let header = header array
        let length = BitConverter.GetBytes(uint16 header.Length)

        fun stream ->
            stream.Write(magic, 0, magic.Length)
            stream.Write([| 1uy; 0uy |], 0, 2)
            stream.Write(length, 0, 2)
            stream.Write(header, 0, header.Length)
            stream.Write(array.Data, 0, array.Data.Length)

/// The checksum of zip entries (ISO 3309): .NET stores it when writing but does not compare it when reading.
module private Crc32 =
    let private table =
        let step value _ = if value &&& 1u = 1u then 0xEDB88320u ^^^ (value >>> 1) else value >>> 1
        Array.init 256 (fun i -> Seq.fold step (uint32 i) (seq { 1..8 }))

    let compute (bytes: byte[]) =
        let mutable value = UInt32.MaxValue

        for b in bytes do
            value <- table[int ((value ^^^ uint32 b) &&& 0xFFu)] ^^^ (value >>> 8)

        ~~~value

/// <summary>
/// Reads and writes numpy's .npy files: versions 1 to 3, either byte order, C or Fortran order; element types
/// f8 f4 f2 i8 i4 i2 i1 u1 b1. Pickled objects and structured types are refused, never evaluated.
/// </summary>
[<AbstractClass; Sealed>]
type Npy =
    /// <summary>Reads an array into C order and little-endian bytes; its name is the file's name without the extension.</summary>
    /// <exception cref="T:System.IO.InvalidDataException">The file is damaged, of another format, or of an unsupported element type.</exception>
    /// <exception cref="T:System.IO.FileNotFoundException">There is no such file.</exception>
    static member Read(path: string) : NamedArray =
        use stream = FileFormat.openRead path
        NpyFormat.read path (Path.GetFileNameWithoutExtension path) stream stream.Length

    /// <summary>Writes an array atomically, byte for byte as numpy.save would (version 1.0, C order); its name is not stored.</summary>
    /// <exception cref="T:System.ArgumentException">The array is BFloat16, which numpy does not have.</exception>
    /// <exception cref="T:System.IO.IOException">The file could not be written; an old one is unchanged.</exception>
    static member Write(path: string, array: NamedArray) : unit =
        let write = NpyFormat.writer array
        AtomicFile.Write(path, fun stream -> write stream)

    /// <summary>Reads an array to a CPU tensor, which joins the current dispose scope; errors as <see cref="M:Continuum.Npy.Read"/>.</summary>
    static member ReadTensor(path: string) : Tensor = Npy.Read(path).ToTensor()

    /// <summary>Writes a tensor of any device and strides; errors as <see cref="M:Continuum.Npy.Write"/>.</summary>
    static member WriteTensor(path: string, tensor: Tensor) : unit =
        Npy.Write(path, NamedArray.FromTensor(Path.GetFileNameWithoutExtension path, tensor))

/// <summary>Reads and writes numpy's .npz files: zip archives of .npy arrays, stored or deflated.</summary>
[<AbstractClass; Sealed>]
type Npz =
    static member private ReadEntry(path: string, entry: ZipArchiveEntry) : NamedArray =
        let file = $"{path}/{entry.FullName}"

        if not (entry.FullName.EndsWith(".npy", StringComparison.Ordinal)) then
            FileFormat.invalid file "the entry is not a .npy array" "give an archive saved by numpy.savez"

        if entry.Length > int64 Array.MaxLength then
            FileFormat.invalid file "the entry is larger than 2 GB" "split the array into parts before saving"

        use stream = entry.Open()
        let bytes = FileFormat.readExactly file "the entry" stream (int entry.Length)

        if Crc32.compute bytes <> entry.Crc32 then
            FileFormat.invalid file "the entry does not match its checksum" "it is damaged: copy or download it again"

        use content = new MemoryStream(bytes)
        NpyFormat.read file (entry.FullName.Substring(0, entry.FullName.Length - 4)) content content.Length

    /// <summary>Reads all arrays in the order of the archive.</summary>
    /// <exception cref="T:System.IO.InvalidDataException">The archive or an entry is damaged or not an array; the message names the entry.</exception>
    /// <exception cref="T:System.IO.FileNotFoundException">There is no such file.</exception>
    static member Read(path: string) : NamedArray[] =
        use stream = FileFormat.openRead path
        let remedy = "give an archive saved by numpy.savez, or copy it again"

        let opened =
            try
                new ZipArchive(stream, ZipArchiveMode.Read)
            with :? InvalidDataException ->
                FileFormat.invalid path "not a .npz file: it is not a complete zip archive" remedy

        use archive = opened
        let names = HashSet<string>()

        [|
            for entry in archive.Entries do
                if not (names.Add entry.FullName) then
                    FileFormat.invalid path $"the archive holds {FileFormat.quoted entry.FullName} twice" remedy

                try
                    Npz.ReadEntry(path, entry)
                with :? InvalidDataException as error when not (error.Message.StartsWith "'") ->
                    let reason = error.Message.ReplaceLineEndings(" ").TrimEnd('.')
                    FileFormat.invalid path $"the entry {FileFormat.quoted entry.FullName} is damaged ({reason})" remedy
        |]

    /// <summary>Writes arrays atomically as a deflated archive; equal arrays give equal bytes (entries carry no date).</summary>
    /// <exception cref="T:System.ArgumentException">Two arrays share a name, or one is BFloat16.</exception>
    /// <exception cref="T:System.IO.IOException">The file could not be written; an old one is unchanged.</exception>
    static member Write(path: string, arrays: seq<NamedArray>) : unit =
        let writers = [| for array in arrays -> array.Name, NpyFormat.writer array |]

        match writers |> Array.countBy fst |> Array.tryFind (fun (_, count) -> count > 1) with
        | Some(name, _) -> raise (ArgumentException($"two arrays are called '{name}'; rename one", nameof arrays))
        | None -> ()

        AtomicFile.Write(
            path,
            fun stream ->
                use archive = new ZipArchive(stream, ZipArchiveMode.Create, leaveOpen = true)

                for name, write in writers do
                    let entry = archive.CreateEntry(name + ".npy", CompressionLevel.Optimal)
                    entry.LastWriteTime <- DateTimeOffset(1980, 1, 1, 0, 0, 0, TimeSpan.Zero)
                    use content = entry.Open()
                    write content
        )

    /// <summary>Reads all arrays to CPU tensors, which join the current dispose scope; errors as <see cref="M:Continuum.Npz.Read"/>.</summary>
    static member ReadTensors(path: string) : IReadOnlyDictionary<string, Tensor> =
        let tensors = Dictionary<string, Tensor>()

        for array in Npz.Read path do
            tensors.Add(array.Name, array.ToTensor())

        tensors

    /// <summary>Writes tensors of any device and strides; errors as <see cref="M:Continuum.Npz.Write"/>.</summary>
    static member WriteTensors(path: string, tensors: seq<KeyValuePair<string, Tensor>>) : unit =
        Npz.Write(path, [| for pair in tensors -> NamedArray.FromTensor(pair.Key, pair.Value) |])
