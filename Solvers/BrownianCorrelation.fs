// Correlated noise: a linear map of independent Brownian motions.
namespace Continuum

open System

/// W = L Z for rows in host memory, H and K likewise, A = L A_Z L^T.
[<Sealed; AllowNullLiteral>]
type internal BrownianCorrelation(spec: BrownianSpec, size: int, rows: int, areaRows: int, batch: int) =
    let m = spec.Dimension
    let l = BrownianSpec.factor m spec.Correlation
    let result: float[] = Array.zeroCreate size
    let half: float[] = if areaRows > 0 then Array.zeroCreate (m * m * batch) else Array.empty

    /// target += factor * source over a row.
    let accumulate (factor: float) (source: ReadOnlySpan<float>) (target: Span<float>) =
        for b in 0 .. target.Length - 1 do
            target[b] <- target[b] + factor * source[b]

    let pairRow i j = i * m - i * (i + 1) / 2 + (j - i - 1)

    let area (piece: float[]) =
        let start = rows * m * batch
        Array.Clear half

        // half = A L^T, then the upper triangle of L half.
        for j in 0 .. m - 1 do
            for k in 0 .. m - 1 do
                let target = Span<float>(half, (k * m + j) * batch, batch)

                for q in 0..j do
                    if k <> q then
                        let row = start + pairRow (Math.Min(k, q)) (Math.Max(k, q)) * batch
                        let factor = if k < q then l[j, q] else -l[j, q]
                        accumulate factor (ReadOnlySpan<float>(piece, row, batch)) target

        for i in 0 .. m - 2 do
            for j in i + 1 .. m - 1 do
                let target = Span<float>(result, start + pairRow i j * batch, batch)
                target.Clear()

                for k in 0..i do
                    accumulate l[i, k] (ReadOnlySpan<float>(half, (k * m + j) * batch, batch)) target

    /// The correlated piece, in memory that the next call overwrites.
    member _.Apply(piece: float[]) : float[] =
        for r in 0 .. rows - 1 do
            for i in 0 .. m - 1 do
                let target = Span<float>(result, (r * m + i) * batch, batch)
                target.Clear()

                for k in 0..i do
                    accumulate l[i, k] (ReadOnlySpan<float>(piece, (r * m + k) * batch, batch)) target

        if areaRows > 0 then
            area piece

        result
