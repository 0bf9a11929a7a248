namespace Continuum

open System
open System.Runtime.InteropServices
open TorchSharp

/// The type of the elements of a stored array.
type ElementType =
    /// IEEE 754 binary64.
    | Float64 = 0
    /// IEEE 754 binary32.
    | Float32 = 1
    /// IEEE 754 binary16.
    | Float16 = 2
    /// The upper half of a binary32.
    | BFloat16 = 3
    /// Signed, 64 bits.
    | Int64 = 4
    /// Signed, 32 bits.
    | Int32 = 5
    /// Signed, 16 bits.
    | Int16 = 6
    /// Signed, 8 bits.
    | Int8 = 7
    /// Unsigned, 8 bits.
    | UInt8 = 8
    /// One byte: 0 false, else true.
    | Bool = 9

/// What the file formats and libtorch call an element type.
type internal Element = {
    Type: ElementType
    Bytes: int
    Safetensors: string
    /// Kind and size of a numpy descriptor; empty where numpy has no such type.
    Numpy: string
    Scalar: torch.ScalarType
}

module internal Element =
    let private row kind bytes safetensors numpy scalar = {
        Type = kind
        Bytes = bytes
        Safetensors = safetensors
        Numpy = numpy
        Scalar = scalar
    }

    /// In the order in which the reference implementation of safetensors lays tensors out: widest first.
    let all = [|
        row ElementType.Int64 8 "I64" "i8" torch.ScalarType.Int64
        row ElementType.Float64 8 "F64" "f8" torch.ScalarType.Float64
        row ElementType.Float32 4 "F32" "f4" torch.ScalarType.Float32
        row ElementType.Int32 4 "I32" "i4" torch.ScalarType.Int32
        row ElementType.BFloat16 2 "BF16" "" torch.ScalarType.BFloat16
        row ElementType.Float16 2 "F16" "f2" torch.ScalarType.Float16
        row ElementType.Int16 2 "I16" "i2" torch.ScalarType.Int16
        row ElementType.Int8 1 "I8" "i1" torch.ScalarType.Int8
        row ElementType.UInt8 1 "U8" "u1" torch.ScalarType.Byte
        row ElementType.Bool 1 "BOOL" "b1" torch.ScalarType.Bool
    |]

    let tryFind (predicate: Element -> bool) = Array.tryFind predicate all

    let find (kind: ElementType) =
        match tryFind (fun e -> e.Type = kind) with
        | Some element -> element
        | None -> raise (ArgumentOutOfRangeException(nameof kind, kind, "not an element type"))

    let names = all |> Array.map _.Safetensors |> String.concat ", "

/// Shapes as the file formats state them.
module internal Shape =
    /// The number of elements, or nothing if a size is negative or the product leaves int64.
    let tryCount (shape: int64[]) =
        let times count size =
            match count with
            | ValueSome n when size >= 0L && (size = 0L || n <= Int64.MaxValue / size) -> ValueSome(n * size)
            | _ -> ValueNone

        Array.fold times (ValueSome 1L) shape

    let text (shape: int64[]) =
        let sizes = shape |> Seq.truncate 8 |> Seq.map string |> String.concat ", "
        if shape.Length > 8 then $"({sizes}, …)" else $"({sizes})"

module private Decode =
    let map<'stored, 'value when 'stored: struct and 'stored: (new: unit -> 'stored) and 'stored :> ValueType>
        (convert: 'stored -> 'value)
        (data: byte[])
        =
        let stored = MemoryMarshal.Cast<byte, 'stored>(ReadOnlySpan data)
        let values = Array.zeroCreate stored.Length

        for i in 0 .. stored.Length - 1 do
            values[i] <- convert stored[i]

        values

    let ofBFloat16 (bits: uint16) = BitConverter.UInt32BitsToSingle(uint32 bits <<< 16)

    let encode<'value when 'value: struct and 'value: (new: unit -> 'value) and 'value :> ValueType>
        (values: 'value[])
        =
        MemoryMarshal.AsBytes(ReadOnlySpan values).ToArray()

/// <summary>
/// An array as it lies in a file: a name, an element type, a shape and the elements as little-endian bytes in C order
/// (the last index runs fastest). It does not depend on libtorch; <see cref="M:Continuum.NamedArray.ToTensor"/> copies it there.
/// </summary>
/// <remarks>Neither the bytes nor the shape are copied at construction: leave them unchanged. At most 2 GB per array.</remarks>
[<Sealed; AllowNullLiteral>]
type NamedArray(name: string, dtype: ElementType, shape: int64[], data: byte[]) =
    do
        ArgumentNullException.ThrowIfNull(name, nameof name)
        ArgumentNullException.ThrowIfNull(shape, nameof shape)
        ArgumentNullException.ThrowIfNull(data, nameof data)
        let size = int64 (Element.find dtype).Bytes

        match Shape.tryCount shape with
        | ValueSome count when data.LongLength % size = 0L && count = data.LongLength / size -> ()
        | _ ->
            let message =
                $"array '{name}' of shape {Shape.text shape} and type {dtype} does not fit {data.LongLength} bytes"

            raise (ArgumentException(message, nameof data))

    /// The array's name, unique within a file.
    member _.Name = name

    /// The type of the elements.
    member _.DType = dtype

    /// The sizes, outermost first; empty for a single number.
    member _.Shape = shape

    /// The elements as little-endian bytes in C order.
    member _.Data = data

    /// The number of elements.
    member _.Count = data.Length / (Element.find dtype).Bytes

    /// The same array, sharing its bytes, under another name.
    member _.WithName(newName: string) = NamedArray(newName, dtype, shape, data)

    /// An array of binary64 numbers of the given shape.
    static member FromDoubles(name: string, shape: int64[], values: float[]) =
        NamedArray(name, ElementType.Float64, shape, Decode.encode values)

    /// An array of binary32 numbers of the given shape.
    static member FromSingles(name: string, shape: int64[], values: float32[]) =
        NamedArray(name, ElementType.Float32, shape, Decode.encode values)

    /// An array of 64-bit integers of the given shape.
    static member FromInt64s(name: string, shape: int64[], values: int64[]) =
        NamedArray(name, ElementType.Int64, shape, Decode.encode values)

    /// The elements in C order as binary64 numbers, whatever their type: exact except for 64-bit integers beyond 2^53; true is 1.
    member _.ToDoubles() : float[] =
        match dtype with
        | ElementType.Float64 -> Decode.map<float, _> id data
        | ElementType.Float32 -> Decode.map<float32, _> float data
        | ElementType.Float16 -> Decode.map<Half, _> Half.op_Explicit data
        | ElementType.BFloat16 -> Decode.map<uint16, _> (Decode.ofBFloat16 >> float) data
        | ElementType.Int64 -> Decode.map<int64, _> float data
        | ElementType.Int32 -> Decode.map<int32, _> float data
        | ElementType.Int16 -> Decode.map<int16, _> float data
        | ElementType.Int8 -> Decode.map<sbyte, _> float data
        | ElementType.UInt8 -> Array.map float data
        | _ -> data |> Array.map (fun b -> if b = 0uy then 0.0 else 1.0)

    /// The elements in C order as binary32 numbers, rounded to nearest where the stored type is wider.
    member this.ToSingles() : float32[] =
        match dtype with
        | ElementType.Float32 -> Decode.map<float32, _> id data
        | _ -> this.ToDoubles() |> Array.map float32

    /// <summary>The elements in C order as 64-bit integers; true is 1.</summary>
    /// <exception cref="T:System.InvalidOperationException">The array holds floating-point numbers.</exception>
    member _.ToInt64s() : int64[] =
        match dtype with
        | ElementType.Int64 -> Decode.map<int64, _> id data
        | ElementType.Int32 -> Decode.map<int32, _> int64 data
        | ElementType.Int16 -> Decode.map<int16, _> int64 data
        | ElementType.Int8 -> Decode.map<sbyte, _> int64 data
        | ElementType.UInt8 -> Array.map int64 data
        | ElementType.Bool -> data |> Array.map (fun b -> if b = 0uy then 0L else 1L)
        | _ -> raise (InvalidOperationException $"array '{name}' holds {dtype}, not integers; read it with ToDoubles")

    /// A new CPU tensor of the same shape and element type that owns its memory; it joins the current dispose scope.
    member _.ToTensor() : Tensor =
        // libtorch's own memory is aligned to 64 bytes; a tensor over a .NET array is not, and some kernels crash on it.
        let tensor = torch.empty (shape, dtype = (Element.find dtype).Scalar, device = torch.CPU)

        if data.Length > 0 then
            tensor.bytes <- Span data

        tensor

    /// <summary>Copies a tensor of any device, strides and gradient state; the tensor itself is left alone.</summary>
    /// <exception cref="T:System.ArgumentException">The tensor is complex, sparse, larger than 2 GB or of another type that files do not hold.</exception>
    static member FromTensor(name: string, tensor: Tensor) : NamedArray =
        ArgumentNullException.ThrowIfNull(name, nameof name)
        ArgumentNullException.ThrowIfNull(tensor, nameof tensor)
        let refuse defect remedy = raise (ArgumentException($"tensor '{name}' {defect}; {remedy}", nameof tensor))

        match Element.tryFind (fun e -> e.Scalar = tensor.dtype) with
        | None when torch.is_complex tensor ->
            refuse $"is complex ({tensor.dtype})" "store torch.view_as_real of it, with a last axis of size 2"
        | None -> refuse $"has the element type {tensor.dtype}" $"convert it to one of {Element.names}"
        | Some _ when tensor.is_sparse -> refuse "is sparse" "store its to_dense()"
        | Some element when tensor.numel () > int64 (Array.MaxLength / element.Bytes) ->
            refuse $"has {tensor.numel ()} elements, more than 2 GB" "split it into parts"
        | Some element ->
            use _ = torch.NewDisposeScope()
            let plain = tensor.detach().cpu().contiguous()
            let bytes = if plain.numel () = 0L then [||] else plain.bytes.ToArray()
            NamedArray(name, element.Type, Array.copy tensor.shape, bytes)

    /// Equal name, element type, shape and bytes (so a NaN equals the same NaN, and 0.0 differs from -0.0).
    override _.Equals(other: obj) =
        match other with
        | :? NamedArray as other ->
            name = other.Name
            && dtype = other.DType
            && shape = other.Shape
            && data.AsSpan().SequenceEqual(ReadOnlySpan other.Data)
        | _ -> false

    /// A hash of name, element type and number of bytes.
    override _.GetHashCode() = HashCode.Combine(name, dtype, data.Length)

    /// The name, the element type and the shape on one line.
    override _.ToString() = $"{name}: {dtype} {Shape.text shape}"
