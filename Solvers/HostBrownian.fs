// Pieces of Brownian paths in host memory.
namespace Continuum

open System

/// Pieces of a batch of paths as arrays of rows of paths.Count numbers: W (m rows), H, K or A (a row for each pair i < j), for
/// independent Brownian motions; the correlation comes in at the very end.
[<Sealed>]
type internal HostBrownian(spec: BrownianSpec, grid: BrownianGrid, numbers: PathNumbers) =
    let mutable paths = numbers
    let m = spec.Dimension
    let batch = paths.Count
    let level = spec.Level

    do
        if float batch * float (m * m + 3 * m) > 2147483647.0 then
            raise (ArgumentException $"{batch} paths of {m} Brownian motions are too many at once; split the batch.")

    let n = m * batch

    let rows =
        match level with
        | LevyLevel.Increments -> 1
        | LevyLevel.SpaceTimeTime -> 3
        | _ -> 2

    let areaRows = if level = LevyLevel.Area then BrownianArea.pairs m else 0
    let size = rows * n + areaRows * batch
    let normals: float[] = Array.zeroCreate (Math.Max(rows * n, areaRows * batch))
    let perCell = rows * m
    // A counter holds two numbers, which may belong to two cells; of single paths a few counters at once fill the registers.
    let paired = perCell % 2 = 1

    let largestBlock =
        let wanted = Math.Max(1, 256 / Math.Max(1, perCell * batch))
        if paired then Math.Max(2, wanted &&& ~~~1) else wanted

    let mutable block: float[] = Array.empty
    let mutable blockStart = -1
    let mutable blockCount = 0

    let factors =
        let root = sqrt grid.Width
        [| root; root * sqrt (1.0 / 12.0); root * sqrt (1.0 / 720.0) |]

    /// Draws the normals of cells first .. first + count - 1 into block.
    let fillBlock (first: int) (count: int) =
        let needed = count * perCell * batch

        if block.Length < needed then
            block <- Array.zeroCreate needed

        let start = int64 first * int64 perCell
        let values = Span<float>(block, 0, needed)
        NormalDraws.fill spec.Seed paths (NormalDraws.cells (start / 2L)) (int (start % 2L)) (count * perCell) values

        for cell in 0 .. count - 1 do
            for row in 0 .. rows - 1 do
                BrownianKernels.scale factors[row] (values.Slice((cell * rows + row) * n, n))

        blockStart <- first
        blockCount <- count

    /// Where in block the cell is.
    let find (cell: int) =
        if cell < blockStart || cell >= blockStart + blockCount then
            // A march along the cells draws ahead; a lone query does not.
            let forward = blockCount > 0 && cell = blockStart + blockCount
            let backward = blockCount > 0 && cell = blockStart - 1
            let even (x: int) = if paired then x &&& ~~~1 else x

            if backward then
                let first = even (Math.Max(0, cell + 1 - largestBlock))
                fillBlock first (cell + 1 - first)
            else
                let first = even cell

                let wanted =
                    if forward then largestBlock
                    elif paired then 2
                    else 1

                fillBlock first (Math.Max(cell - first + 1, Math.Min(wanted, spec.Cells - first)))

        (cell - blockStart) * perCell * batch

    /// Numbers of a piece.
    member _.Size = size
    /// Rows of W, H, K: m each.
    member _.Rows = rows
    /// Numbers of one of them.
    member _.RowSize = n
    /// Rows of A.
    member _.AreaRows = areaRows
    /// Paths.
    member _.Batch = batch

    /// From now on these paths, as many as before.
    member _.Restart(numbers: PathNumbers) =
        if numbers.Count <> batch then
            raise (ArgumentException $"There are {batch} paths; got the numbers of {numbers.Count}.")

        paths <- numbers
        blockStart <- -1
        blockCount <- 0

    /// The cell as numbers in memory that the next call overwrites: W, H, K.
    member _.CellSpan(cell: int) : ReadOnlySpan<float> =
        let at = find cell
        ReadOnlySpan<float>(block, at, perCell * batch)

    interface IBrownianAlgebra<float[]> with
        member _.Create() = Array.zeroCreate size

        member this.Cell(cell, area, into) =
            this.CellSpan(cell).CopyTo(Span<float> into)

            if area then
                let z = Span<float>(normals, 0, areaRows * batch)
                NormalDraws.fill spec.Seed paths (NormalDraws.area cell 1u) 0 areaRows z
                BrownianArea.draw m batch grid.Width z into

        member _.Split(bridge, role, place, whole, first, second) =
            let z = Span<float>(normals, 0, rows * n)
            NormalDraws.fill spec.Seed paths (NormalDraws.node place.Cell place.Heap) 0 perCell z

            match rows with
            | 1 -> BrownianKernels.splitIncrements bridge n whole z first second
            | 2 -> BrownianKernels.splitSpaceTime bridge n whole z first second
            | _ -> BrownianKernels.splitSpaceTimeTime bridge n whole z first second

            let z = Span<float>(normals, 0, areaRows * batch)

            match role with
            | AreaRole.Draw ->
                NormalDraws.fill spec.Seed paths (NormalDraws.area place.Cell (2u * place.Heap)) 0 areaRows z
                BrownianArea.draw m batch bridge.Length1 z first
                NormalDraws.fill spec.Seed paths (NormalDraws.area place.Cell (2u * place.Heap + 1u)) 0 areaRows z
                BrownianArea.draw m batch bridge.Length2 z second
            | AreaRole.Divide ->
                NormalDraws.fill spec.Seed paths (NormalDraws.areaSplit place.Cell place.Heap) 0 areaRows z
                BrownianArea.divide m batch bridge.Length1 bridge.Length2 z whole first second
            | _ -> ()

        member _.Append(length1, length2, into, piece) =
            if areaRows > 0 then
                BrownianArea.append m batch into piece

            BrownianKernels.append rows length1 length2 n into piece

        member _.Remove(length1, length2, whole, first, into) =
            BrownianKernels.remove rows length1 length2 n whole first into

            if areaRows > 0 then
                BrownianArea.remove m batch whole first into

        member _.Copy(source, into) = source.CopyTo(into, 0)
        member _.Clear into = Array.Clear into
