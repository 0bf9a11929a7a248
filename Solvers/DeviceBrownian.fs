// Pieces of Brownian paths in tensors on any device: HostBrownian in operations of libtorch, with the same roundings.
namespace Continuum

open System
open TorchSharp

/// Rows W, H, K of m numbers for each path, (rows * m, paths), and A, (pairs, paths), float64. The tensors are never written: storage
/// means these fields. They belong to no dispose scope.
[<Sealed>]
type internal DevicePiece() =
    let mutable vectors: Tensor = null
    let mutable area: Tensor = null

    let keep (value: Tensor) = if isNull value then null else value.DetachFromDisposeScope()

    let free (value: Tensor) =
        if not (isNull value) then
            value.Dispose()

    member _.Vectors = vectors
    member _.Area = area

    /// Takes these in place of the old.
    member _.Set(newVectors: Tensor, newArea: Tensor) =
        let oldVectors = vectors
        let oldArea = area
        vectors <- keep newVectors
        area <- keep newArea
        free oldVectors
        free oldArea

    interface IDisposable with
        member this.Dispose() = this.Set(null, null)

/// The algebra of such pieces.
[<Sealed>]
type internal DeviceBrownian(spec: BrownianSpec, grid: BrownianGrid, numbers: PathNumbers, device: torch.Device) =
    let m = spec.Dimension
    let level = spec.Level

    let rows =
        match level with
        | LevyLevel.Increments -> 1
        | LevyLevel.SpaceTimeTime -> 3
        | _ -> 2

    let areaRows = if level = LevyLevel.Area then BrownianArea.pairs m else 0
    let perCell = rows * m
    let paths = (TensorNormals.paths numbers device).DetachFromDisposeScope()
    let pieces = Collections.Generic.List<DevicePiece>()
    // Cells drawn ahead, and how many to draw at once.
    let block = new DevicePiece()
    let mutable blockStart = 0
    let mutable blockCount = 0
    let mutable ahead = 1

    let indices (pick: int * int -> int) =
        if areaRows = 0 then
            null
        else
            let pairs = [|
                for i in 0 .. m - 2 do
                    for j in i + 1 .. m - 1 -> int64 (pick (i, j))
            |]

            use _ = torch.NewDisposeScope()
            torch.tensor(pairs).clone().``to``(device).DetachFromDisposeScope()

    let firstIndex = indices fst
    let secondIndex = indices snd
    let times = TensorNumbers.times
    let part (row: int) (x: Tensor) = x.narrow (0L, int64 (row * m), int64 m)

    /// A sum of multiples, in this order, every product and sum rounded.
    let combine (terms: (float * Tensor)[]) =
        let factor, first = terms[0]
        let result = times factor first

        for i in 1 .. terms.Length - 1 do
            let factor, term = terms[i]
            result.add_ (times factor term) |> ignore

        result

    let ofPair (index: Tensor) (x: Tensor) = x.index_select (0L, index)
    let wi (x: Tensor) = ofPair firstIndex (part 0 x)
    let wj (x: Tensor) = ofPair secondIndex (part 0 x)
    let hi (x: Tensor) = ofPair firstIndex (part 1 x)
    let hj (x: Tensor) = ofPair secondIndex (part 1 x)

    let leafVariance (h: float) (x: Tensor) =
        let squares = (hi x).square().add((hj x).square())
        TensorNumbers.plus (h * h * 0.05) (times (h * 0.2) squares)

    let leafMean (x: Tensor) = (hi x).mul(wj x).sub((wi x).mul(hj x))

    let joint (first: Tensor) (second: Tensor) = times 0.5 ((wi first).mul(wj second).sub((wj first).mul(wi second)))

    let drawArea (h: float) address (x: Tensor) =
        let z = TensorNormals.draw spec.Seed paths address 0 areaRows
        (leafMean x).add((TensorNormals.squareRoot (leafVariance h x)).mul z)

    let divideArea (bridge: Bridge) address (area: Tensor) (first: Tensor) (second: Tensor) =
        let z = TensorNormals.draw spec.Seed paths address 0 areaRows
        let mean1 = leafMean first
        let total = area.sub (joint first second)
        let rest = total.sub(mean1).sub(leafMean second)
        let v1 = leafVariance bridge.Length1 first
        let v2 = leafVariance bridge.Length2 second
        let share = v1.div (v1.add v2)
        let a1 = mean1.add (share.mul(rest).add((TensorNormals.squareRoot (share.mul v2)).mul z))
        struct (a1, total.sub a1)

    let split (c: Bridge) (x: Tensor) (z: Tensor) =
        let w = part 0 x
        let z1 = part 0 z

        match rows with
        | 1 ->
            let w1 = combine [| c.WW, w; c.WZ, z1 |]
            struct (w1, w.sub w1)
        | 2 ->
            let h = part 1 x
            let z2 = part 1 z
            let w1 = combine [| c.WW, w; c.WH, h; c.WZ, z1 |]
            let h1 = combine [| c.HH1, h; c.HZ11, z1; c.HZ12, z2 |]
            let h2 = combine [| c.HH2, h; c.HZ21, z1; c.HZ22, z2 |]
            struct (torch.cat ([| w1; h1 |], 0L), torch.cat ([| w.sub w1; h2 |], 0L))
        | _ ->
            let h = part 1 x
            let k = part 2 x
            let z2 = part 1 z
            let z3 = part 2 z
            let w1 = combine [| c.WW, w; c.WH, h; c.WK, k; c.WZ, z1 |]
            let h1 = combine [| c.HH1, h; c.HK1, k; c.HZ11, z1; c.HZ12, z2 |]
            let h2 = combine [| c.HH2, h; c.HK2, k; c.HZ21, z1; c.HZ22, z2 |]
            let k1 = combine [| c.KK1, k; c.KZ11, z1; c.KZ12, z2; c.KZ13, z3 |]
            let k2 = combine [| c.KK2, k; c.KZ21, z1; c.KZ22, z2; c.KZ23, z3 |]
            struct (torch.cat ([| w1; h1; k1 |], 0L), torch.cat ([| w.sub w1; h2; k2 |], 0L))

    let append (length1: float) (length2: float) (a: Tensor) (b: Tensor) =
        let x = length1 / (length1 + length2)
        let y = length2 / (length1 + length2)
        let w1 = part 0 a
        let w2 = part 0 b
        let w = w1.add w2

        let h () =
            let ends = (times (0.5 * y) w1).sub(times (0.5 * x) w2)
            (combine [| x, part 1 a; y, part 1 b |]).add ends

        let k () =
            let inner = (part 1 a).sub(part 1 b)
            let ends = combine [| y * (y - x) / 12.0, w1; x * (x - y) / 12.0, w2 |]
            (combine [| x * x, part 2 a; y * y, part 2 b; 0.5 * x * y, inner |]).add ends

        match rows with
        | 1 -> w
        | 2 -> torch.cat ([| w; h () |], 0L)
        | _ -> torch.cat ([| w; h (); k () |], 0L)

    let remove (length1: float) (length2: float) (whole: Tensor) (first: Tensor) =
        let x = length1 / (length1 + length2)
        let y = length2 / (length1 + length2)
        let w1 = part 0 first
        let w2 = (part 0 whole).sub w1

        if rows = 1 then
            w2
        else
            let ends = (times (0.5 * y) w1).sub(times (0.5 * x) w2)
            let h1 = part 1 first
            let h2 = (part 1 whole).sub(times x h1).sub(ends).div(TensorNumbers.filled y w1)

            if rows = 2 then
                torch.cat ([| w2; h2 |], 0L)
            else
                let ends = combine [| y * (y - x) / 12.0, w1; x * (x - y) / 12.0, w2 |]
                let inner = times (0.5 * x * y) (h1.sub h2)
                let k1 = times (x * x) (part 2 first)
                let k2 = (part 2 whole).sub(k1).sub(inner).sub(ends).div(TensorNumbers.filled (y * y) w1)
                torch.cat ([| w2; h2; k2 |], 0L)

    let factors =
        let root = sqrt grid.Width
        [| root; root * sqrt (1.0 / 12.0); root * sqrt (1.0 / 720.0) |]

    let cell (index: int) =
        if index < blockStart || index >= blockStart + blockCount then
            // A march backward draws what lies before.
            let first =
                if blockCount > 0 && index = blockStart - 1 then
                    Math.Max(0, index + 1 - ahead)
                else
                    index

            let count = Math.Max(index + 1 - first, Math.Min(ahead, spec.Cells - first))
            let start = int64 first * int64 perCell
            let address = NormalDraws.cells (start / 2L)
            let z = TensorNormals.draw spec.Seed paths address (int (start % 2L)) (count * perCell)
            let z = z.reshape (int64 count, int64 rows, int64 m, -1L)

            let scaled = Array.init rows (fun r -> times factors[r] (z.narrow (1L, int64 r, 1L)))

            block.Set(torch.cat(scaled, 1L).reshape(int64 count, int64 perCell, -1L), null)
            blockStart <- first
            blockCount <- count

        block.Vectors.select (0L, int64 (index - blockStart))

    let orNull condition (value: unit -> Tensor) = if condition then value () else null

    /// Rows of W, H, K: m each.
    member _.Rows = rows
    /// Rows of A.
    member _.AreaRows = areaRows

    /// Draw this many cells at once.
    member _.Ahead
        with get () = ahead
        and set (value: int) = ahead <- value

    interface IBrownianAlgebra<DevicePiece> with
        member _.Create() =
            let piece = new DevicePiece()
            pieces.Add piece
            piece

        member _.Cell(index, area, into) =
            use _ = torch.NewDisposeScope()
            let x = cell index
            into.Set(x, orNull area (fun () -> drawArea grid.Width (NormalDraws.area index 1u) x))

        member _.Split(bridge, role, place, whole, first, second) =
            use _ = torch.NewDisposeScope()
            let z = TensorNormals.draw spec.Seed paths (NormalDraws.node place.Cell place.Heap) 0 perCell
            let struct (x, y) = split bridge whole.Vectors z

            match role with
            | AreaRole.Draw ->
                let area1 = drawArea bridge.Length1 (NormalDraws.area place.Cell (2u * place.Heap)) x
                let area2 = drawArea bridge.Length2 (NormalDraws.area place.Cell (2u * place.Heap + 1u)) y
                first.Set(x, area1)
                second.Set(y, area2)
            | AreaRole.Divide ->
                let struct (area1, area2) =
                    divideArea bridge (NormalDraws.areaSplit place.Cell place.Heap) whole.Area x y

                first.Set(x, area1)
                second.Set(y, area2)
            | _ ->
                first.Set(x, null)
                second.Set(y, null)

        member _.Append(length1, length2, into, piece) =
            use _ = torch.NewDisposeScope()

            let area () = into.Area.add(piece.Area).add(joint into.Vectors piece.Vectors)

            let area = orNull (areaRows > 0) area
            into.Set(append length1 length2 into.Vectors piece.Vectors, area)

        member _.Remove(length1, length2, whole, first, into) =
            use _ = torch.NewDisposeScope()
            let x = remove length1 length2 whole.Vectors first.Vectors
            let area () = whole.Area.sub(first.Area).sub(joint first.Vectors x)
            into.Set(x, orNull (areaRows > 0) area)

        member _.Copy(source, into) =
            use _ = torch.NewDisposeScope()
            into.Set(source.Vectors.alias (), orNull (not (isNull source.Area)) (fun () -> source.Area.alias ()))

        member _.Clear into =
            use _ = torch.NewDisposeScope()

            let zeros (count: int) =
                torch.zeros (int64 count, int64 numbers.Count, dtype = torch.float64, device = device)

            into.Set(zeros perCell, orNull (areaRows > 0) (fun () -> zeros areaRows))

    interface IDisposable with
        member _.Dispose() =
            for piece in pieces do
                (piece :> IDisposable).Dispose()

            (block :> IDisposable).Dispose()
            paths.Dispose()

            if areaRows > 0 then
                firstIndex.Dispose()
                secondIndex.Dispose()
