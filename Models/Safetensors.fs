namespace Continuum

open System
open System.Buffers.Binary
open System.Collections.Generic
open System.IO
open System.Text
open System.Text.Encodings.Web
open System.Text.Json

// The format: github.com/huggingface/safetensors, README, section "Format".

/// What the header says of one tensor; the offsets count from the end of the header.
type private Entry = { Name: string; Element: Element; Shape: int64[]; Start: int64; End: int64 }

module private Header =
    /// The limit of the reference implementation.
    let maxBytes = 100_000_000L

    let private resave = "save it again with the program that made it"

    /// The properties of a JSON object; a repeated name is an error, where JSON readers would silently keep one of the two.
    let private properties file what (json: JsonElement) =
        if json.ValueKind <> JsonValueKind.Object then
            FileFormat.invalid file $"{what} is not a JSON object" resave

        let found = Dictionary<string, JsonElement>()

        for property in json.EnumerateObject() do
            if not (found.TryAdd(property.Name, property.Value)) then
                FileFormat.invalid file $"{what} names {FileFormat.quoted property.Name} twice" resave

        found

    let private text file what (json: JsonElement) =
        if json.ValueKind = JsonValueKind.String then
            json.GetString()
        else
            FileFormat.invalid file $"{what} is not a string" resave

    let private sizes file what (json: JsonElement) =
        let size (item: JsonElement) =
            match item.ValueKind with
            | JsonValueKind.Number ->
                match item.TryGetInt64() with
                | true, n when n >= 0L -> n
                | _ -> FileFormat.invalid file $"{what} holds {FileFormat.quoted (item.GetRawText())}" resave
            | _ -> FileFormat.invalid file $"{what} holds something that is not a number" resave

        if json.ValueKind = JsonValueKind.Array then
            json.EnumerateArray() |> Seq.map size |> Seq.toArray
        else
            FileFormat.invalid file $"{what} is not a list of numbers" resave

    let private entry file name json =
        let tensor = $"tensor {FileFormat.quoted name}"
        let fields = properties file tensor json

        let field key =
            match fields.TryGetValue key with
            | true, value -> value
            | _ -> FileFormat.invalid file $"{tensor} has no '{key}'" resave

        let dtype = text file $"'dtype' of {tensor}" (field "dtype")
        let shape = sizes file $"'shape' of {tensor}" (field "shape")

        let element =
            match Element.tryFind (fun e -> e.Safetensors = dtype) with
            | Some element -> element
            | None ->
                let remedy = $"convert it to one of {Element.names} before saving"

                FileFormat.invalid
                    file
                    $"{tensor} has the element type {FileFormat.quoted dtype}, which Continuum does not read"
                    remedy

        let start, stop =
            match sizes file $"'data_offsets' of {tensor}" (field "data_offsets") with
            | [| start; stop |] when start <= stop -> start, stop
            | _ -> FileFormat.invalid file $"'data_offsets' of {tensor} is not a pair of rising numbers" resave

        match Shape.tryCount shape with
        | ValueSome count when (stop - start) % int64 element.Bytes = 0L && count = (stop - start) / int64 element.Bytes ->
            ()
        | _ ->
            let needed = $"the shape {Shape.text shape} of {dtype}"
            FileFormat.invalid file $"{tensor}: {needed} does not fit its {stop - start} bytes" resave

        if stop - start > int64 Array.MaxLength then
            FileFormat.invalid file $"{tensor} is larger than 2 GB" "split it into parts before saving"

        { Name = name; Element = element; Shape = shape; Start = start; End = stop }

    /// Every byte of the data must belong to exactly one tensor, as the reference demands: nothing hides, nothing is read twice.
    let private checkLayout file (dataBytes: int64) (entries: Entry[]) =
        let mutable position = 0L
        let mutable previous = ""

        for entry in entries do
            let tensor = FileFormat.quoted entry.Name

            if entry.End > dataBytes then
                let defect = $"tensor {tensor} ends at byte {entry.End} of the data, but the file holds {dataBytes}"
                FileFormat.invalid file defect "it is truncated: copy or download it again"

            if entry.Start < position then
                FileFormat.invalid file $"tensors {previous} and {tensor} overlap" resave

            if entry.Start > position then
                let defect =
                    $"bytes {position} to {entry.Start} of the data, before tensor {tensor}, belong to no tensor"

                FileFormat.invalid file defect resave

            position <- entry.End
            previous <- tensor

        if position < dataBytes then
            FileFormat.invalid file $"the last {dataBytes - position} bytes of the data belong to no tensor" resave

    let private parseDocument file (root: JsonElement) =
        let fields = properties file "the header" root

        let metadata =
            match fields.TryGetValue "__metadata__" with
            | true, json ->
                let found = properties file "'__metadata__'" json

                found
                |> Seq.map (fun p -> KeyValuePair(p.Key, text file $"metadata {FileFormat.quoted p.Key}" p.Value))
            | _ -> Seq.empty

        let entries = [|
            for field in fields do
                if field.Key <> "__metadata__" then
                    entry file field.Key field.Value
        |]

        Dictionary metadata, entries |> Array.sortBy (fun e -> e.Start, e.End)

    /// Metadata and tensors in the order of their data, all offsets checked against the size of the data.
    let parse (file: string) (dataBytes: int64) (header: byte[]) =
        try
            let strict = UTF8Encoding(false, throwOnInvalidBytes = true)
            use document = JsonDocument.Parse(strict.GetString header)
            let metadata, entries = parseDocument file document.RootElement
            checkLayout file dataBytes entries
            metadata, entries
        with
        | :? JsonException as error ->
            let place =
                $"at byte {error.BytePositionInLine.GetValueOrDefault()} of line {error.LineNumber.GetValueOrDefault() + 1L}"

            FileFormat.invalid
                file
                $"the header is not valid JSON ({place})"
                "the file is damaged: copy or download it again"
        | :? DecoderFallbackException
        | :? InvalidOperationException ->
            FileFormat.invalid file "the header is not valid UTF-8" "the file is damaged: copy or download it again"

    /// Reads the length and the header; tells a file of another format from a damaged one.
    let read (file: string) (stream: Stream) =
        let foreign defect =
            FileFormat.invalid
                file
                $"not a safetensors file: {defect}"
                "give a file saved by safetensors or by Continuum"

        if stream.Length < 8L then
            foreign $"it has only {stream.Length} bytes"

        let first = FileFormat.readExactly file "the header length" stream 8
        let length = BinaryPrimitives.ReadUInt64LittleEndian(ReadOnlySpan first)

        if first[0] = byte 'P' && first[1] = byte 'K' then
            foreign "it is a zip archive, such as .npz or .pt"

        if length > uint64 (stream.Length - 8L) then
            foreign $"it announces a header of {length} bytes but has {stream.Length} bytes in all (or it is truncated)"

        if length > uint64 maxBytes then
            FileFormat.invalid file $"the header of {length} bytes is over the format's limit of {maxBytes}" resave

        let header = FileFormat.readExactly file "the header" stream (int length)

        if header.Length < 2 || header[0] <> byte '{' then
            foreign "its header does not begin with '{'"

        parse file (stream.Length - 8L - int64 length) header

    /// The header as bytes, padded with spaces so that the data begins at a multiple of 8.
    let write (arrays: NamedArray[]) (metadata: IReadOnlyDictionary<string, string>) =
        use buffer = new MemoryStream()
        let options = JsonWriterOptions(Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping)

        let writeJson () =
            use json = new Utf8JsonWriter(buffer, options)
            json.WriteStartObject()

            if metadata.Count > 0 then
                json.WriteStartObject "__metadata__"

                for key in metadata.Keys |> Seq.sortWith (fun a b -> String.CompareOrdinal(a, b)) do
                    json.WriteString(key, metadata[key])

                json.WriteEndObject()

            let mutable offset = 0L

            for array in arrays do
                json.WriteStartObject array.Name
                json.WriteString("dtype", (Element.find array.DType).Safetensors)
                json.WriteStartArray "shape"
                array.Shape |> Array.iter json.WriteNumberValue
                json.WriteEndArray()
                json.WriteStartArray "data_offsets"
                json.WriteNumberValue offset
                offset <- offset + array.Data.LongLength
                json.WriteNumberValue offset
                json.WriteEndArray()
                json.WriteEndObject()

            json.WriteEndObject()

        writeJson ()

        while buffer.Length % 8L <> 0L do
            buffer.WriteByte(byte ' ')

        buffer.ToArray()

/// The content of a safetensors file.
[<Sealed>]
type SafetensorsFile internal (path: string, metadata: IReadOnlyDictionary<string, string>, arrays: NamedArray[]) =
    /// The file that was read.
    member _.Path = path

    /// The string map `__metadata__`; empty if the file has none.
    member _.Metadata = metadata

    /// The arrays in the order of their data in the file.
    member _.Arrays = arrays

    /// <summary>The array of this name.</summary>
    /// <exception cref="T:System.IO.InvalidDataException">The file has no array of this name; the message names both.</exception>
    member _.Find(name: string) : NamedArray =
        match arrays |> Array.tryFind (fun a -> a.Name = name) with
        | Some array -> array
        | None ->
            let names =
                arrays |> Seq.truncate 8 |> Seq.map (fun a -> FileFormat.quoted a.Name) |> String.concat ", "

            FileFormat.invalid path $"there is no tensor {FileFormat.quoted name}" $"it has {arrays.Length}: {names}"

/// <summary>
/// Reads and writes the safetensors format, which PyTorch, JAX and others share: an 8-byte little-endian header length, a JSON
/// header, and the raw little-endian data. Element types F64 F32 F16 BF16 I64 I32 I16 I8 U8 BOOL; at most 2 GB per tensor.
/// </summary>
/// <remarks>Files are read as if hostile: every defect is an InvalidDataException of one line with the file, the defect and the remedy.</remarks>
[<AbstractClass; Sealed>]
type Safetensors =
    /// <summary>Reads all arrays and the metadata.</summary>
    /// <exception cref="T:System.IO.InvalidDataException">The file is damaged, of another format, or holds an unsupported element type.</exception>
    /// <exception cref="T:System.IO.FileNotFoundException">There is no such file.</exception>
    static member Read(path: string) : SafetensorsFile =
        use stream = FileFormat.openRead path
        let metadata, entries = Header.read path stream

        let array entry =
            let what = $"tensor {FileFormat.quoted entry.Name}"
            let data = FileFormat.readExactly path what stream (int (entry.End - entry.Start))
            NamedArray(entry.Name, entry.Element.Type, entry.Shape, data)

        SafetensorsFile(path, metadata, Array.map array entries)

    /// <summary>Reads the metadata alone, without the tensors' data; errors as <see cref="M:Continuum.Safetensors.Read"/>.</summary>
    static member ReadMetadata(path: string) : IReadOnlyDictionary<string, string> =
        use stream = FileFormat.openRead path
        let metadata, _ = Header.read path stream
        metadata

    /// <summary>
    /// Writes arrays and metadata atomically, laid out as the reference implementation does: widest element type first, then by name.
    /// </summary>
    /// <exception cref="T:System.ArgumentException">Two arrays share a name, or one is called `__metadata__`.</exception>
    /// <exception cref="T:System.IO.IOException">The file could not be written; an old one is unchanged.</exception>
    static member Write(path: string, arrays: seq<NamedArray>, metadata: IReadOnlyDictionary<string, string>) : unit =
        let rank (array: NamedArray) = Element.all |> Array.findIndex (fun e -> e.Type = array.DType)

        let laidOut =
            arrays
            |> Seq.toArray
            |> Array.sortWith (fun a b ->
                match compare (rank a) (rank b) with
                | 0 -> String.CompareOrdinal(a.Name, b.Name)
                | order -> order)

        let names = HashSet<string>()

        for array in laidOut do
            if array.Name = "__metadata__" then
                raise (ArgumentException("no tensor may be called '__metadata__': the format reserves it; rename it"))

            if not (names.Add array.Name) then
                raise (ArgumentException($"two tensors are called '{array.Name}'; rename one", nameof arrays))

        let header = Header.write laidOut metadata
        let length = Array.zeroCreate 8
        BinaryPrimitives.WriteInt64LittleEndian(Span length, header.LongLength)

        AtomicFile.Write(
            path,
            fun stream ->
                stream.Write(length, 0, length.Length)
                stream.Write(header, 0, header.Length)

                for array in laidOut do
                    stream.Write(array.Data, 0, array.Data.Length)
        )

    /// <summary>Writes arrays without metadata; see the other overload.</summary>
    static member Write(path: string, arrays: seq<NamedArray>) : unit = Safetensors.Write(path, arrays, Dictionary())

    /// <summary>Reads all tensors to the CPU; they join the current dispose scope. Errors as <see cref="M:Continuum.Safetensors.Read"/>.</summary>
    static member ReadTensors(path: string) : IReadOnlyDictionary<string, Tensor> =
        let tensors = Dictionary<string, Tensor>()

        for array in Safetensors.Read(path).Arrays do
            tensors.Add(array.Name, array.ToTensor())

        tensors

    /// <summary>Writes tensors of any device and strides, such as a module's state_dict, with metadata.</summary>
    /// <exception cref="T:System.ArgumentException">A tensor is complex, sparse, or of a type that the format does not hold.</exception>
    static member WriteTensors
        (path: string, tensors: seq<KeyValuePair<string, Tensor>>, metadata: IReadOnlyDictionary<string, string>)
        : unit =
        let arrays = tensors |> Seq.map (fun pair -> NamedArray.FromTensor(pair.Key, pair.Value)) |> Seq.toArray
        Safetensors.Write(path, arrays, metadata)

    /// <summary>Writes tensors without metadata; see the other overload.</summary>
    static member WriteTensors(path: string, tensors: seq<KeyValuePair<string, Tensor>>) : unit =
        Safetensors.WriteTensors(path, tensors, Dictionary())
