// Batches of paths as tensors: from host memory, or on a device.
namespace Continuum

open System
open System.Runtime.InteropServices
open TorchSharp

/// What TensorBrownian asks of where the paths are made.
type internal ITensorPaths =
    inherit IDisposable
    /// The grid of the paths.
    abstract Grid: BrownianGrid
    /// The path over [s, t] (or backward) as fresh tensors of the batch's shape.
    abstract Step: s: float * t: float -> BrownianStep<Tensor>
    /// Cells that may be drawn at once, since they will be asked for in this order.
    abstract Announce: cells: int -> unit

/// Shape, dtype and device of the results.
type internal TensorPathsLayout = {
    /// Shape of the batch.
    Batch: int64[]
    Dtype: torch.ScalarType
    Device: torch.Device
}

/// Rows of numbers for each path into the memory of tensors.
[<RequireQualifiedAccess>]
module internal BrownianRows =

    // Paths whose numbers stay in cache while they are turned from rows into columns.
    [<Literal>]
    let private Tile = 64

    let private turn32 (columns: int) (batch: int) (sign: float) (rows: ReadOnlySpan<float>) (into: Span<float32>) =
        let mutable from = 0

        while from < batch do
            let last = Math.Min(from + Tile, batch)

            for c in 0 .. columns - 1 do
                let row = rows.Slice(c * batch, batch)

                for b in from .. last - 1 do
                    into[b * columns + c] <- float32 (sign * row[b])

            from <- last

    let private turn64 (columns: int) (batch: int) (sign: float) (rows: ReadOnlySpan<float>) (into: Span<float>) =
        let mutable from = 0

        while from < batch do
            let last = Math.Min(from + Tile, batch)

            for c in 0 .. columns - 1 do
                let row = rows.Slice(c * batch, batch)

                for b in from .. last - 1 do
                    into[b * columns + c] <- sign * row[b]

            from <- last

    /// sign * rows (columns, batch) as (batch, columns) into a contiguous tensor of as many elements.
    let write (columns: int) (batch: int) (sign: float) (rows: ReadOnlySpan<float>) (into: Tensor) =
        if into.dtype = torch.float32 then
            turn32 columns batch sign rows (MemoryMarshal.Cast<byte, float32> into.bytes)
        else
            turn64 columns batch sign rows (MemoryMarshal.Cast<byte, float> into.bytes)

/// Paths made in host memory, for tensors there.
[<Sealed>]
type internal HostTensorPaths(spec: BrownianSpec, numbers: PathNumbers, layout: TensorPathsLayout) =
    let m = spec.Dimension
    let count = numbers.Count
    let host = HostBrownianBatch(spec, numbers)
    let hasArea = spec.Level = LevyLevel.Area
    let vectors = Array.append layout.Batch [| int64 m |]
    let matrices = Array.append vectors [| int64 m |]
    let area: float[] = if hasArea then Array.zeroCreate (m * m * count) else Array.empty

    let fresh (shape: int64[]) = torch.empty (shape, dtype = layout.Dtype, device = torch.CPU)

    let row (index: int) (s: float) (t: float) (piece: float[]) =
        if index < host.Rows then
            let rows = ReadOnlySpan<float>(piece, index * host.RowSize, host.RowSize)
            let result = fresh vectors
            BrownianRows.write m count (HostBrownianBatch.Sign(index, s, t)) rows result
            result
        else
            null

    interface ITensorPaths with
        member _.Grid = host.Grid
        member _.Announce _ = ()

        member _.Step(s, t) =
            let piece = host.Forward(s, t)

            let areaOf () =
                HostBrownianBatch.Area(m, count, 2, HostBrownianBatch.Sign(0, s, t), piece, Span area)
                let result = fresh matrices
                BrownianRows.write (m * m) count 1.0 (ReadOnlySpan<float> area) result
                result

            {
                W = row 0 s t piece
                H = row 1 s t piece
                K = row 2 s t piece
                A = if hasArea then areaOf () else null
            }

        member _.Dispose() = ()

/// Paths made on the device itself.
[<Sealed>]
type internal DeviceTensorPaths(spec: BrownianSpec, numbers: PathNumbers, layout: TensorPathsLayout) =
    let m = spec.Dimension
    let grid = BrownianGrid(spec)
    let algebra = new DeviceBrownian(spec, grid, numbers, layout.Device)
    let tree = BrownianTree<DevicePiece>(spec, grid, algebra)
    let factor = if isNull spec.Correlation then null else BrownianSpec.factor m spec.Correlation
    let hasArea = spec.Level = LevyLevel.Area
    let vectors = Array.append layout.Batch [| int64 m |]
    let matrices = Array.append vectors [| int64 m |]
    // Numbers drawn at once take some dozen times their memory for a moment.
    let most = Math.Max(1, 4194304 / (algebra.Rows * m * numbers.Count))

    let row (x: Tensor) (r: int) = x.narrow (0L, int64 r, 1L)

    /// Row i of L x, summed in the order of HostBrownianBatch.
    let correlatedRow (x: Tensor) (first: int) (i: int) =
        let result = TensorNumbers.times factor[i, 0] (row x first)

        for k in 1..i do
            result.add_ (TensorNumbers.times factor[i, k] (row x (first + k))) |> ignore

        result

    let correlated (x: Tensor) =
        if isNull factor then
            x
        else
            torch.cat (
                [|
                    for r in 0 .. algebra.Rows - 1 do
                        for i in 0 .. m - 1 -> correlatedRow x (r * m) i
                |],
                0L
            )

    /// Rows (i, j) of the whole matrix, from the rows of pairs i < j.
    let matrix (pairs: Tensor) =
        let both = torch.cat ([| pairs; pairs.neg (); torch.zeros_like (row pairs 0) |], 0L)

        let pick =
            Array.init (m * m) (fun e ->
                let i = e / m
                let j = e % m
                let pair i j = i * m - i * (i + 1) / 2 + (j - i - 1)

                if i < j then int64 (pair i j)
                elif i > j then int64 (algebra.AreaRows + pair j i)
                else int64 (2 * algebra.AreaRows))

        both.index_select (0L, torch.tensor(pick).``to`` layout.Device)

    /// A -> L A L^T on rows of whole matrices: the upper triangle in the order of HostBrownianBatch, and its reflection.
    let correlatedArea (whole: Tensor) =
        let half =
            Array2D.init m m (fun k j ->
                let mutable sum: Tensor = null

                for q in 0..j do
                    if k <> q then
                        let term = TensorNumbers.times factor[j, q] (row whole (k * m + q))
                        sum <- if isNull sum then term else sum.add term

                if isNull sum then torch.zeros_like (row whole 0) else sum)

        let upper = [|
            for i in 0 .. m - 2 do
                for j in i + 1 .. m - 1 do
                    let result = TensorNumbers.times factor[i, 0] half[0, j]

                    for k in 1..i do
                        result.add_ (TensorNumbers.times factor[i, k] half[k, j]) |> ignore

                    result
        |]

        matrix (torch.cat (upper, 0L))

    /// Rows (columns, paths) as a tensor of the batch's shape.
    let shaped (shape: int64[]) (sign: float) (rows: Tensor) =
        let signed = if sign < 0.0 then rows.neg () else rows
        signed.t().contiguous().``to``(layout.Dtype).reshape(shape).clone()

    interface ITensorPaths with
        member _.Grid = grid
        member _.Announce cells = algebra.Ahead <- Math.Max(1, Math.Min(cells, most))

        member _.Step(s, t) =
            use _ = torch.NewDisposeScope()
            use _ = torch.no_grad ()
            let piece = if s <= t then tree.Query(s, t) else tree.Query(t, s)
            let x = correlated piece.Vectors

            let vector r =
                if r < algebra.Rows then
                    let sign = HostBrownianBatch.Sign(r, s, t)
                    (shaped vectors sign (x.narrow (0L, int64 (r * m), int64 m))).MoveToOuterDisposeScope()
                else
                    null

            let area () =
                let whole = matrix piece.Area
                let whole = if isNull factor then whole else correlatedArea whole
                (shaped matrices (HostBrownianBatch.Sign(0, s, t)) whole).MoveToOuterDisposeScope()

            {
                W = vector 0
                H = vector 1
                K = vector 2
                A = if hasArea then area () else null
            }

        member _.Dispose() = (algebra :> IDisposable).Dispose()
