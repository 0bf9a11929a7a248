// Direct solution of dense and banded linear systems in place: LU with partial pivoting, without allocation after construction.
// Small systems are what implicit steps of mechanistic models solve, thousands of times: no call overhead, no copies.
namespace Continuum

open System
open System.Numerics

/// Which entries of a square matrix are stored, row after row.
[<Struct>]
type MatrixShape = {
    /// Rows and columns.
    Size: int
    /// Diagonals stored below the main one; Size - 1 on both sides is a dense matrix.
    Lower: int
    /// Diagonals stored above the main one.
    Upper: int
} with

    /// All entries, row-major.
    static member Dense size = { Size = size; Lower = size - 1; Upper = size - 1 }

    /// The diagonals from -lower to upper; entry (i, j) is at i * (lower + upper + 1) + j - i + lower, entries outside of the
    /// matrix are stored but not used.
    static member Band(size, lower, upper) = {
        Size = size
        Lower = Math.Min(lower, size - 1)
        Upper = Math.Min(upper, size - 1)
    }

    /// Whether every entry is stored, row-major.
    member s.IsDense = s.Lower = s.Size - 1 && s.Upper = s.Size - 1
    /// Stored entries a row.
    member s.Width = if s.IsDense then s.Size else s.Lower + s.Upper + 1
    /// Stored entries.
    member s.Length = s.Size * s.Width
    /// Entry (i, j) is stored at i * Stride + j + Offset.
    member s.Stride = if s.IsDense then s.Size else s.Lower + s.Upper
    /// See Stride.
    member s.Offset = if s.IsDense then 0 else s.Lower
    /// Whether entry (i, j) is stored.
    member s.Contains(i: int, j: int) = j - i <= s.Upper && i - j <= s.Lower

/// Loops over rows of numbers, in SIMD registers where they are long enough.
module internal Rows =

    /// a[i..] <- a[i..] - m * b[j..], count numbers.
    let subtract (a: Span<float>) (m: float) (b: ReadOnlySpan<float>) =
        let mutable i = 0

        if Vector.IsHardwareAccelerated && a.Length >= Vector<float>.Count then
            let lanes = Vector<float>.Count
            let factor = Vector<float> m

            while i <= a.Length - lanes do
                (Vector<float>(a.Slice i) - factor * Vector<float>(b.Slice i)).CopyTo(a.Slice i)
                i <- i + lanes

        while i < a.Length do
            a[i] <- a[i] - m * b[i]
            i <- i + 1

    /// sum a_i b_i.
    let dot (a: ReadOnlySpan<float>) (b: ReadOnlySpan<float>) =
        let mutable i = 0
        let mutable s = 0.0

        if Vector.IsHardwareAccelerated && a.Length >= 2 * Vector<float>.Count then
            let lanes = Vector<float>.Count
            let mutable sum = Vector<float>.Zero

            while i <= a.Length - lanes do
                sum <- sum + Vector<float>(a.Slice i) * Vector<float>(b.Slice i)
                i <- i + lanes

            s <- Vector.Sum sum

        while i < a.Length do
            s <- s + a[i] * b[i]
            i <- i + 1

        s

    /// dest <- -g * source.
    let negativeMultiple (g: float) (source: float[]) (dest: float[]) =
        let mutable i = 0

        if Vector.IsHardwareAccelerated && source.Length >= Vector<float>.Count then
            let lanes = Vector<float>.Count
            let factor = Vector<float> -g

            while i <= source.Length - lanes do
                (factor * Vector<float>(source, i)).CopyTo(dest, i)
                i <- i + lanes

        while i < source.Length do
            dest[i] <- -g * source[i]
            i <- i + 1

/// Dense LU factorisation with partial pivoting of a row-major matrix that is written into Values before.
/// Golub and Van Loan, Matrix Computations, 3.4.
[<Sealed>]
type DenseLu(n: int) =
    let a: float[] = Array.zeroCreate (n * n)
    let pivots: int[] = Array.zeroCreate n
    let inverse: float[] = Array.zeroCreate n

    let swap (k: int) (p: int) =
        let first = Span<float>(a, k * n, n)
        let second = Span<float>(a, p * n, n)

        for j in 0 .. n - 1 do
            let kept = first[j]
            first[j] <- second[j]
            second[j] <- kept

    /// Entry (i, j) at i * n + j. Factorise overwrites it with the factors.
    member _.Values = a

    /// False where the matrix is singular to the last bit, or not finite.
    member _.Factorise() : bool =
        let mutable regular = true
        let mutable k = 0

        while regular && k < n do
            let mutable p = k
            let mutable best = abs a[k * n + k]

            for i in k + 1 .. n - 1 do
                let candidate = abs a[i * n + k]

                if candidate > best then
                    best <- candidate
                    p <- i

            // A NaN anywhere reaches the pivot of its row or column.
            if not (best > 0.0 && best < infinity) then
                regular <- false
            else
                pivots[k] <- p

                if p <> k then
                    swap k p

                let inv = 1.0 / a[k * n + k]
                inverse[k] <- inv
                let rest = n - k - 1
                let row = k * n + k + 1

                for i in k + 1 .. n - 1 do
                    let at = i * n + k
                    let m = a[at] * inv
                    a[at] <- m

                    if rest >= 8 then
                        Rows.subtract (Span<float>(a, at + 1, rest)) m (ReadOnlySpan<float>(a, row, rest))
                    else
                        for j in 0 .. rest - 1 do
                            a[at + 1 + j] <- a[at + 1 + j] - m * a[row + j]

                k <- k + 1

        regular

    /// Replaces x by the solution of A x' = x with the factorisation last made.
    member _.Solve(x: float[]) =
        for k in 0 .. n - 2 do
            let p = pivots[k]

            if p <> k then
                let kept = x[k]
                x[k] <- x[p]
                x[p] <- kept

        if n < 16 then
            // By columns: the updates of one column do not wait for each other.
            for k in 0 .. n - 2 do
                let xk = x[k]

                for i in k + 1 .. n - 1 do
                    x[i] <- x[i] - a[i * n + k] * xk

            for k = n - 1 downto 0 do
                let xk = x[k] * inverse[k]
                x[k] <- xk

                for i in 0 .. k - 1 do
                    x[i] <- x[i] - a[i * n + k] * xk
        else
            for i in 1 .. n - 1 do
                x[i] <- x[i] - Rows.dot (ReadOnlySpan<float>(a, i * n, i)) (ReadOnlySpan<float>(x, 0, i))

            for i = n - 1 downto 0 do
                let rest = n - i - 1
                let s = Rows.dot (ReadOnlySpan<float>(a, i * n + i + 1, rest)) (ReadOnlySpan<float>(x, i + 1, rest))
                x[i] <- (x[i] - s) * inverse[i]

    /// Replaces the rows of x (n rows of width numbers, row after row) by the solution of A X' = X: width right-hand sides at once.
    member _.SolveRows(x: Span<float>, width: int) =
        for k in 0 .. n - 2 do
            DenseLu.SwapRows(x, width, k, pivots[k])

        for i in 1 .. n - 1 do
            let row = x.Slice(i * width, width)

            for k in 0 .. i - 1 do
                Rows.subtract row a[i * n + k] (Span<float>.op_Implicit(x.Slice(k * width, width)))

        for i = n - 1 downto 0 do
            let row = x.Slice(i * width, width)

            for k in i + 1 .. n - 1 do
                Rows.subtract row a[i * n + k] (Span<float>.op_Implicit(x.Slice(k * width, width)))

            for j in 0 .. width - 1 do
                row[j] <- row[j] * inverse[i]

    /// The same for A^T X' = X.
    member _.SolveRowsTransposed(x: Span<float>, width: int) =
        for i in 0 .. n - 1 do
            let row = x.Slice(i * width, width)

            for k in 0 .. i - 1 do
                Rows.subtract row a[k * n + i] (Span<float>.op_Implicit(x.Slice(k * width, width)))

            for j in 0 .. width - 1 do
                row[j] <- row[j] * inverse[i]

        for i = n - 2 downto 0 do
            let row = x.Slice(i * width, width)

            for k in i + 1 .. n - 1 do
                Rows.subtract row a[k * n + i] (Span<float>.op_Implicit(x.Slice(k * width, width)))

        for k = n - 2 downto 0 do
            DenseLu.SwapRows(x, width, k, pivots[k])

    static member private SwapRows(x: Span<float>, width: int, k: int, p: int) =
        if p <> k then
            for j in 0 .. width - 1 do
                let kept = x[k * width + j]
                x[k * width + j] <- x[p * width + j]
                x[p * width + j] <- kept

/// Banded LU factorisation with partial pivoting. While rows are eliminated they are kept left-aligned on the current column,
/// so that an exchange of rows and the fill above the upper diagonals need no room beyond lower + upper + 1 numbers a row.
/// Martin and Wilkinson 1967, Solution of symmetric and unsymmetric band equations, Numerische Mathematik 9.
[<Sealed>]
type BandedLu(n: int, lower: int, upper: int) =
    let width = lower + upper + 1
    let a: float[] = Array.zeroCreate (n * width)
    let multipliers: float[] = Array.zeroCreate (n * max 1 lower)
    let pivots: int[] = Array.zeroCreate n
    let inverse: float[] = Array.zeroCreate n

    /// Moves the first rows to the left: entry 0 of every row is its first column inside of the matrix.
    let alignFirstRows () =
        for i in 0 .. (min lower n) - 1 do
            let gap = lower - i
            let row = Span<float>(a, i * width, width)
            row.Slice(gap).CopyTo row
            row.Slice(width - gap).Clear()

    /// Entries beyond the last column count as zero.
    let clearLastRows () =
        for i in (max 0 (n - upper)) .. n - 1 do
            let inside = lower + n - i

            if inside < width then
                Span<float>(a, i * width + inside, width - inside).Clear()

    let eliminate (k: int) (i: int) (m: float) =
        let pivotRow = k * width
        let row = i * width

        if width >= 9 then
            // The row moves one to the left while it is updated; loads come before the store of the same place.
            let lanes = Vector<float>.Count
            let factor = Vector<float> m
            let mutable j = 1

            while j <= width - lanes do
                (Vector<float>(a, row + j) - factor * Vector<float>(a, pivotRow + j)).CopyTo(a, row + j - 1)
                j <- j + lanes

            while j < width do
                a[row + j - 1] <- a[row + j] - m * a[pivotRow + j]
                j <- j + 1
        else
            for j in 1 .. width - 1 do
                a[row + j - 1] <- a[row + j] - m * a[pivotRow + j]

        a[row + width - 1] <- 0.0

    /// One diagonal on either side: the recurrence in registers.
    let factoriseTridiagonal () =
        let mutable regular = true
        // The row in elimination: columns k, k + 1, k + 2.
        let mutable d = a[0]
        let mutable e = a[1]
        let mutable f = 0.0
        let mutable k = 0

        while k < n - 1 do
            let next = 3 * (k + 1)
            let nd = a[next]
            let ne = a[next + 1]
            let nf = a[next + 2]
            let exchange = abs nd > abs d
            let pivot = if exchange then nd else d
            let inv = 1.0 / pivot
            let m = (if exchange then d else nd) * inv

            if not (abs pivot > 0.0 && abs pivot < infinity) then
                regular <- false

            inverse[k] <- inv
            multipliers[k] <- m
            pivots[k] <- if exchange then k + 1 else k

            if exchange then
                a[3 * k + 1] <- ne * inv
                a[3 * k + 2] <- nf * inv
                d <- e - m * ne
                e <- f - m * nf
            else
                a[3 * k + 1] <- e * inv
                a[3 * k + 2] <- f * inv
                d <- ne - m * e
                e <- nf - m * f

            f <- 0.0
            k <- k + 1

        pivots[n - 1] <- n - 1
        inverse[n - 1] <- 1.0 / d
        a[3 * (n - 1) + 1] <- 0.0
        a[3 * (n - 1) + 2] <- 0.0
        regular && abs d > 0.0 && abs d < infinity

    let factoriseBand () =
        let mutable regular = true
        let mutable k = 0

        while regular && k < n do
            let last = min (k + lower) (n - 1)
            let mutable p = k
            let mutable best = abs a[k * width]

            for i in k + 1 .. last do
                let candidate = abs a[i * width]

                if candidate > best then
                    best <- candidate
                    p <- i

            if not (best > 0.0 && best < infinity) then
                regular <- false
            else
                pivots[k] <- p

                if p <> k then
                    for j in 0 .. width - 1 do
                        let kept = a[k * width + j]
                        a[k * width + j] <- a[p * width + j]
                        a[p * width + j] <- kept

                let inv = 1.0 / a[k * width]
                inverse[k] <- inv

                for i in k + 1 .. last do
                    let m = a[i * width] * inv
                    multipliers[k * lower + i - k - 1] <- m
                    eliminate k i m

                // Unit upper triangle: back substitution then waits for one multiplication less.
                for j in 1 .. width - 1 do
                    a[k * width + j] <- a[k * width + j] * inv

                k <- k + 1

        regular

    let solveTridiagonal (x: float[]) =
        let mutable current = x[0]

        for k in 0 .. n - 2 do
            let next = x[k + 1]

            if pivots[k] = k then
                x[k] <- current
                current <- next - multipliers[k] * current
            else
                x[k] <- next
                current <- current - multipliers[k] * next

        let mutable after = current * inverse[n - 1]
        let mutable beyond = 0.0
        x[n - 1] <- after

        for i = n - 2 downto 0 do
            let value = x[i] * inverse[i] - a[3 * i + 2] * beyond - a[3 * i + 1] * after
            x[i] <- value
            beyond <- after
            after <- value

    let solveBand (x: float[]) =
        for k in 0 .. n - 1 do
            let p = pivots[k]

            if p <> k then
                let kept = x[k]
                x[k] <- x[p]
                x[p] <- kept

            let xk = x[k]

            for i in k + 1 .. min (k + lower) (n - 1) do
                x[i] <- x[i] - multipliers[k * lower + i - k - 1] * xk

        for i = n - 1 downto 0 do
            let count = min (width - 1) (n - 1 - i)
            let mutable s = x[i] * inverse[i]

            if count >= 16 then
                s <- s - Rows.dot (ReadOnlySpan<float>(a, i * width + 1, count)) (ReadOnlySpan<float>(x, i + 1, count))
            else
                for j = count downto 1 do
                    s <- s - a[i * width + j] * x[i + j]

            x[i] <- s

    let isTridiagonal = lower = 1 && upper = 1

    /// Entry (i, j) of the band at i * (lower + upper + 1) + j - i + lower. Factorise overwrites it with the factors.
    member _.Values = a

    /// False where the matrix is singular to the last bit, or not finite.
    member _.Factorise() : bool =
        clearLastRows ()
        alignFirstRows ()
        if isTridiagonal then factoriseTridiagonal () else factoriseBand ()

    /// Replaces x by the solution of A x' = x with the factorisation last made.
    member _.Solve(x: float[]) = if isTridiagonal then solveTridiagonal x else solveBand x
