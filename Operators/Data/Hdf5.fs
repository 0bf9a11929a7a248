// Arrays in HDF5 files, which are also MATLAB's files from version 7.3 on.
namespace Continuum

open System
open System.IO
open PureHDF

/// The arrays of an HDF5 file, by their paths.
module internal Hdf5 =

    let private copyAgain = "it is truncated or not an HDF5 file: copy or download it again"

    /// The first bytes of an HDF5 file, at 0 or, behind a block of the writer's own, at 512, 1024, ..
    let private signature = [| 0x89uy; byte 'H'; byte 'D'; byte 'F'; 0x0duy; 0x0auy; 0x1auy; 0x0auy |]

    /// Where the file's contents start, or nothing.
    let private start (stream: Stream) : int64 voption =
        let read = Array.zeroCreate signature.Length

        let rec search (at: int64) =
            if at + 8L > stream.Length then
                ValueNone
            else
                stream.Position <- at
                stream.ReadExactly(read, 0, read.Length)

                if read = signature then
                    ValueSome at
                else
                    search (if at = 0L then 512L else 2L * at)

        search 0L

    /// The length that the file states of itself, if its addresses have eight bytes; 0 if unknown. Superblock versions 0 to 3.
    let private statedLength (stream: Stream) (at: int64) : int64 =
        let head = Array.zeroCreate<byte> 64
        stream.Position <- at
        let count = stream.ReadAtLeast(head.AsSpan(), head.Length, throwOnEndOfStream = false)
        let address (place: int) = BitConverter.ToInt64(head, place)

        if count < head.Length then 0L
        elif head[8] >= 2uy && head[9] = 8uy then address 28
        elif head[8] = 0uy && head[13] = 8uy then address 40
        elif head[8] = 1uy && head[13] = 8uy then address 44
        else 0L

    /// Opens a file, gives it to `body`, and turns what the library throws at a damaged file into InvalidDataException.
    let openFile (path: string) (body: IH5Group -> 'result) : 'result =
        use stream = FileFormat.openRead path

        match start stream with
        | ValueNone ->
            let remedy =
                if Path.GetExtension(path).ToLowerInvariant() = ".mat" then
                    "save it in MATLAB with the option '-v7.3'"
                else
                    copyAgain

            FileFormat.invalid path "it does not hold the signature of an HDF5 file" remedy
        | ValueSome at ->
            let stated = statedLength stream at

            if stated > stream.Length then
                FileFormat.invalid
                    path
                    $"it should have {stated} bytes and has {stream.Length}"
                    "it is truncated: copy or download it again"

            stream.Position <- 0L

        try
            use file = H5File.Open(stream, true)
            body file
        with
        | :? InvalidDataException -> reraise ()
        | error ->
            let reason = error.Message.ReplaceLineEndings(" ").TrimEnd('.')
            FileFormat.invalid path $"it cannot be read ({reason})" copyAgain

    /// The paths of all arrays with their shapes.
    let list (root: IH5Group) : (string * int64[])[] =
        let rec below (prefix: string) (group: IH5Group) = [|
            for child in group.Children() do
                match child with
                | :? IH5Dataset as data -> prefix + data.Name, data.Space.Dimensions |> Array.map int64
                | :? IH5Group as inner when not (inner.Name.StartsWith '#') ->
                    yield! below (prefix + inner.Name + "/") inner
                | _ -> ()
        |]

        below "" root

    let private find (file: string) (root: IH5Group) (path: string) : IH5Dataset =
        let rec search (group: IH5Group) (parts: string list) =
            match parts with
            | [] -> FileFormat.invalid file $"{FileFormat.quoted path} is a group" "name an array in it"
            | name :: rest when group.LinkExists name ->
                match group.Get name, rest with
                | (:? IH5Dataset as data), [] -> data
                | (:? IH5Group as inner), _ -> search inner rest
                | _ -> FileFormat.invalid file $"{FileFormat.quoted path} is not an array" "name an array"
            | _ ->
                let names = list root |> Seq.map fst |> Seq.truncate 12 |> String.concat ", "
                FileFormat.invalid file $"it has no array {FileFormat.quoted path}" $"it holds: {names}"

        search root (List.ofArray (path.Split '/'))

    let private bytesOf (values: 'T[]) : byte[] when 'T: struct =
        let bytes = Array.zeroCreate (Buffer.ByteLength values)
        Buffer.BlockCopy(values, 0, bytes, 0, bytes.Length)
        bytes

    /// An array by its path: floating point, or integers.
    let read (file: string) (root: IH5Group) (path: string) : NamedArray =
        let data = find file root path
        let shape = data.Space.Dimensions |> Array.map int64
        let size = data.Type.Size

        let unsupported () =
            FileFormat.invalid
                file
                $"the elements of {FileFormat.quoted path} ({data.Type.Class}, {size} bytes) are not plain numbers"
                "save them as float64 or float32"

        match Shape.tryCount shape with
        | ValueSome count when count * int64 size < int64 Int32.MaxValue -> ()
        | _ -> FileFormat.invalid file $"{FileFormat.quoted path} of shape {Shape.text shape} is over 2 GB" "split it"

        let kind, bytes =
            match data.Type.Class, size with
            | H5DataTypeClass.FloatingPoint, 8 -> ElementType.Float64, bytesOf (data.Read<float[]>())
            | H5DataTypeClass.FloatingPoint, 4 -> ElementType.Float32, bytesOf (data.Read<float32[]>())
            | H5DataTypeClass.FixedPoint, 8 -> ElementType.Int64, bytesOf (data.Read<int64[]>())
            | H5DataTypeClass.FixedPoint, 4 -> ElementType.Int32, bytesOf (data.Read<int[]>())
            | H5DataTypeClass.FixedPoint, 2 -> ElementType.Int16, bytesOf (data.Read<int16[]>())
            | H5DataTypeClass.FixedPoint, 1 -> ElementType.UInt8, data.Read<byte[]>()
            | _ -> unsupported ()

        NamedArray(path, kind, shape, bytes)

    let private dataset (array: NamedArray) : obj =
        let shape = array.Shape |> Array.map uint64
        let typed (values: 'T[]) = H5Dataset<'T[]>(values, fileDims = shape) :> obj

        let plain (make: int -> 'T[]) =
            let values = make array.Count
            Buffer.BlockCopy(array.Data, 0, values, 0, array.Data.Length)
            typed values

        match array.DType with
        | ElementType.Float64 -> plain (fun n -> Array.zeroCreate<float> n)
        | ElementType.Float32 -> plain (fun n -> Array.zeroCreate<float32> n)
        | ElementType.Int64 -> plain (fun n -> Array.zeroCreate<int64> n)
        | ElementType.UInt8 -> plain (fun n -> Array.zeroCreate<byte> n)
        | other ->
            raise (ArgumentException $"'{array.Name}' has elements of type {other}, which are not written to HDF5.")

    /// Writes arrays whose names are their paths ('/' makes groups), with numbers as attributes of the file: beside it, then renamed.
    let write (path: string) (attributes: (string * int64) list) (arrays: NamedArray[]) =
        let file = H5File()

        for name, value in attributes do
            file.Attributes[name] <- value

        let rec place (group: H5Group) (parts: string list) (value: obj) =
            match parts with
            | [ name ] -> group[name] <- value
            | name :: rest ->
                if not (group.ContainsKey name) then
                    group[name] <- H5Group()

                place (group[name] :?> H5Group) rest value
            | [] -> ()

        for array in arrays do
            place file (List.ofArray (array.Name.Split '/')) (dataset array)

        AtomicFile.Write(path, (fun stream -> file.Write stream))
