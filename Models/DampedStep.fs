// One step of bounded, damped linear least squares.
namespace Continuum

open System
open MathNet.Numerics.LinearAlgebra

/// The linear algebra of Levenberg-Marquardt: dense least squares by singular values.
[<RequireQualifiedAccess>]
module internal DampedStep =
    let private dot (j: float[,]) (column: int) (r: float[]) =
        let mutable s = 0.0

        for i in 0 .. r.Length - 1 do
            s <- s + j[i, column] * r[i]

        s

    /// Euclidean norms of the columns.
    let norms (j: float[,]) =
        Array.init (j.GetLength 1) (fun c ->
            let mutable s = 0.0

            for i in 0 .. j.GetLength 0 - 1 do
                s <- s + j[i, c] * j[i, c]

            sqrt s)

    /// Gradient J'r of half the sum of squares.
    let gradient (j: float[,]) (r: float[]) = Array.init (j.GetLength 1) (fun c -> dot j c r)

    /// r + J v.
    let predict (j: float[,]) (r: float[]) (v: float[]) =
        Array.init r.Length (fun i ->
            let mutable s = r[i]

            for c in 0 .. v.Length - 1 do
                s <- s + j[i, c] * v[c]

            s)

    /// argmin |r + J v|^2 + damping |D v|^2 over the free columns; the others stay at v.
    let private solveFree (j: float[,]) (r: float[]) (scale: float[]) (damping: float) (v: float[]) (free: bool[]) =
        let columns = [| for c in 0 .. v.Length - 1 -> c |] |> Array.filter (fun c -> free[c])
        let m, k = r.Length, columns.Length

        if k > 0 then
            let target = Array.copy r

            for c in 0 .. v.Length - 1 do
                if not free[c] && v[c] <> 0.0 then
                    for i in 0 .. m - 1 do
                        target[i] <- target[i] + j[i, c] * v[c]

            // Scaled columns, and a block of sqrt(damping) below them: the normal equations would square the condition.
            let root = sqrt damping

            let matrix =
                Matrix<float>
                    .Build.Dense(
                        m + k,
                        k,
                        fun i c ->
                            if i < m then j[i, columns[c]] / scale[columns[c]]
                            elif i - m = c then root
                            else 0.0
                    )

            let right = Vector<float>.Build.Dense(m + k, fun i -> if i < m then -target[i] else 0.0)
            let solution = matrix.QR().Solve right

            for c in 0 .. k - 1 do
                v[columns[c]] <- solution[c] / scale[columns[c]]

    /// The damped step with lower <= v <= upper. A component that would cross its bound is put on it and the others are found anew.
    let solve (j: float[,]) (r: float[]) (scale: float[]) (damping: float) (lower: float[]) (upper: float[]) : float[] =
        let q = scale.Length
        let v = Array.zeroCreate q
        let gradient = gradient j r
        // Held where a bound stops descent, or where nothing depends on it.
        let free =
            Array.init q (fun c ->
                upper[c] > lower[c]
                && not (lower[c] >= 0.0 && gradient[c] > 0.0)
                && not (upper[c] <= 0.0 && gradient[c] < 0.0))

        let mutable again = true

        while again do
            again <- false

            for c in 0 .. q - 1 do
                if free[c] then
                    v[c] <- 0.0

            solveFree j r scale damping v free

            for c in 0 .. q - 1 do
                if free[c] && (v[c] < lower[c] || v[c] > upper[c]) then
                    v[c] <- Math.Clamp(v[c], lower[c], upper[c])
                    free[c] <- false
                    again <- true

        v

    /// (J'J)^-1 of the columns given, and the columns that J does not determine: those with a part of more than 0.1 in a direction whose
    /// singular value is below `cut` times the largest (of J with columns of norm one). With such directions the inverse is that of the rest.
    let covariance (j: float[,]) (columns: int[]) (cut: float) : struct (float[,] * int[]) =
        let norms = norms j
        let m, k = j.GetLength 0, columns.Length
        let size c = if norms[c] = 0.0 then 1.0 else norms[c]

        let matrix =
            Matrix<float>.Build.Dense(max m k, k, fun i c -> if i < m then j[i, columns[c]] / size columns[c] else 0.0)

        let svd = matrix.Svd true
        let largest = if k = 0 then 0.0 else svd.S[0]
        let weak = [| for s in 0 .. k - 1 -> not (svd.S[s] > cut * largest) |]

        let inverse =
            Array2D.init k k (fun a b ->
                let mutable sum = 0.0

                for s in 0 .. k - 1 do
                    if not weak[s] then
                        sum <- sum + svd.VT[s, a] * svd.VT[s, b] / (svd.S[s] * svd.S[s])

                sum / (size columns[a] * size columns[b]))

        let undetermined = [|
            for c in 0 .. k - 1 do
                if Seq.exists (fun s -> weak[s] && abs svd.VT[s, c] > 0.1) (seq { 0 .. k - 1 }) then
                    columns[c]
        |]

        struct (inverse, undetermined)
