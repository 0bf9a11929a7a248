// Cubic splines through values at equal distances whose third derivative is continuous at the first and the last inner knot.
namespace Continuum

open System

/// Interpolation and, at the ends, extrapolation by the not-a-knot cubic spline.
[<RequireQualifiedAccess>]
module internal NotAKnotSpline =

    /// Second derivatives at the knots 0, 1, .., n - 1 of the spline through y (n >= 4).
    let private curvatures (y: float[]) : float[] =
        let n = y.Length
        let difference j = y[j + 1] - 2.0 * y[j] + y[j - 1]
        let m = Array.zeroCreate n
        // At equal distances the condition is M0 = 2 M1 - M2: with it the first inner equation reads 6 M1 = 6 (second difference).
        m[1] <- difference 1
        m[n - 2] <- difference (n - 2)
        // M(j-1) + 4 M(j) + M(j+1) = 6 difference j for the knots between.
        let inner = n - 4
        let upper = Array.zeroCreate (max 0 inner)
        let right = Array.zeroCreate (max 0 inner)

        for k in 0 .. inner - 1 do
            let j = k + 2
            let before = if k = 0 then 0.0 else 1.0
            let known = (if k = 0 then m[1] else 0.0) + (if k = inner - 1 then m[n - 2] else 0.0)
            let pivot = 4.0 - (if k = 0 then 0.0 else before * upper[k - 1])
            upper[k] <- 1.0 / pivot
            right[k] <- (6.0 * difference j - known - (if k = 0 then 0.0 else right[k - 1])) / pivot

        for k in inner - 1 .. -1 .. 0 do
            m[k + 2] <- right[k] - (if k = inner - 1 then 0.0 else upper[k] * m[k + 3])

        m[0] <- 2.0 * m[1] - m[2]
        m[n - 1] <- 2.0 * m[n - 2] - m[n - 3]
        m

    /// Values at t (in units of the knots' distance, knot 0 at 0) of the spline through y.
    let values (y: float[]) (t: float[]) : float[] =
        if y.Length < 4 then
            raise (ArgumentException $"A not-a-knot spline needs at least four values; got {y.Length}.")

        let m = curvatures y

        t
        |> Array.map (fun t ->
            let j = max 0 (min (y.Length - 2) (int (floor t)))
            let b = t - float j
            let a = 1.0 - b
            a * y[j] + b * y[j + 1] + ((a * a * a - a) * m[j] + (b * b * b - b) * m[j + 1]) / 6.0)

    /// The tensor product of the spline: n x n values, row-major, at the points t of each axis.
    let square (n: int) (y: float[]) (t: float[]) : float[] =
        let rows = Array.init n (fun i -> values y[i * n .. i * n + n - 1] t)
        let columns = Array.init t.Length (fun j -> values (Array.init n (fun i -> rows[i].[j])) t)
        Array.init (t.Length * t.Length) (fun p -> columns[p % t.Length].[p / t.Length])
