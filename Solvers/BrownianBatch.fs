// A batch of paths in host memory, ready for use: what BrownianPath, BrownianLanes and TensorBrownian share.
namespace Continuum

open System

/// A batch of paths in host memory: queries in either direction, correlated.
[<Sealed>]
type internal HostBrownianBatch(spec: BrownianSpec, paths: PathNumbers) =
    let grid = BrownianGrid(spec)
    let algebra = HostBrownian(spec, grid, paths)
    let tree = BrownianTree<float[]>(spec, grid, algebra)

    let correlation =
        if isNull spec.Correlation then
            null
        else
            BrownianCorrelation(spec, algebra.Size, algebra.Rows, algebra.AreaRows, algebra.Batch)

    let single: float[] = if isNull correlation then Array.empty else Array.zeroCreate algebra.Size

    let correlated piece = if isNull correlation then piece else correlation.Apply piece

    member _.Grid = grid
    /// W, H, K.
    member _.Rows = algebra.Rows
    /// Numbers in each.
    member _.RowSize = algebra.RowSize

    /// From now on these paths, as many as before.
    member _.Restart(numbers: PathNumbers) =
        algebra.Restart numbers
        tree.Restart()

    /// The path over the interval between two times, in the order of time: rows W, H, K, pairs of A, each of a number for every path. To
    /// be read before the next query.
    member _.Forward(s: float, t: float) : float[] = correlated (if s <= t then tree.Query(s, t) else tree.Query(t, s))

    /// W, H, K of one cell. To be read before the next query.
    member _.Cell(index: int) : ReadOnlySpan<float> =
        if index < 0 || index >= spec.Cells then
            raise (ArgumentOutOfRangeException(nameof index, index, $"The path has cells 0 to {spec.Cells - 1}."))

        if isNull correlation then
            algebra.CellSpan index
        else
            (algebra :> IBrownianAlgebra<float[]>).Cell(index, false, single)
            ReadOnlySpan<float>(correlation.Apply single, 0, algebra.Rows * algebra.RowSize)

    /// The factor of a row for the direction of time: W, K and A change their sign, H does not.
    static member Sign(row: int, s: float, t: float) = if t < s && row <> 1 then -1.0 else 1.0

    /// A as matrices (i, j), each of a number for every path, from a piece.
    static member Area(m: int, batch: int, rows: int, sign: float, piece: float[], into: Span<float>) =
        let mutable row = rows * m * batch

        for i in 0 .. m - 1 do
            into.Slice((i * m + i) * batch, batch).Clear()

            for j in i + 1 .. m - 1 do
                for b in 0 .. batch - 1 do
                    let value = sign * piece[row + b]
                    into[(i * m + j) * batch + b] <- value
                    into[(j * m + i) * batch + b] <- -value

                row <- row + batch
