// The arithmetic of pieces in host memory: bridges and Chen's identity on rows of numbers, in registers and in the same order one by one,
// so that a number's bits do not depend on its neighbours.
namespace Continuum

open System
open System.Runtime.InteropServices
open System.Runtime.Intrinsics

/// Loops over rows. A piece of level W, H, K is one array of rows W, H, K, each of n numbers; no multiplication is fused with an addition.
[<RequireQualifiedAccess>]
module internal BrownianKernels =

    type private V = Vector512<float>

    let inline private load (x: Span<float>) (i: int) : V =
        Vector512.LoadUnsafe(&MemoryMarshal.GetReference x, unativeint i)

    let inline private store (value: V) (x: Span<float>) (i: int) =
        Vector512.StoreUnsafe(value, &MemoryMarshal.GetReference x, unativeint i)

    let inline private wide (x: float) = Vector512.Create x

    /// W1 and W2 of a bridge without H.
    let splitIncrements (c: Bridge) (n: int) (piece: float[]) (z: Span<float>) (first: float[]) (second: float[]) =
        let x = Span<float>(piece, 0, n)
        let a = Span<float>(first, 0, n)
        let b = Span<float>(second, 0, n)
        let z = z.Slice(0, n)
        let ww = c.WW
        let wz = c.WZ
        let mutable i = 0

        while i <= n - 8 do
            let w = load x i
            let w1 = wide ww * w + wide wz * load z i
            store w1 a i
            store (w - w1) b i
            i <- i + 8

        while i < n do
            let w = x[i]
            let w1 = ww * w + wz * z[i]
            a[i] <- w1
            b[i] <- w - w1
            i <- i + 1

    /// The same with H.
    let splitSpaceTime (c: Bridge) (n: int) (piece: float[]) (z: Span<float>) (first: float[]) (second: float[]) =
        let x = Span<float>(piece, 0, 2 * n)
        let a = Span<float>(first, 0, 2 * n)
        let b = Span<float>(second, 0, 2 * n)
        let z = z.Slice(0, 2 * n)
        let mutable i = 0

        while i <= n - 8 do
            let w = load x i
            let h = load x (n + i)
            let z1 = load z i
            let z2 = load z (n + i)
            let w1 = wide c.WW * w + wide c.WH * h + wide c.WZ * z1
            store w1 a i
            store (w - w1) b i
            store (wide c.HH1 * h + wide c.HZ11 * z1 + wide c.HZ12 * z2) a (n + i)
            store (wide c.HH2 * h + wide c.HZ21 * z1 + wide c.HZ22 * z2) b (n + i)
            i <- i + 8

        while i < n do
            let w = x[i]
            let h = x[n + i]
            let z1 = z[i]
            let z2 = z[n + i]
            let w1 = c.WW * w + c.WH * h + c.WZ * z1
            a[i] <- w1
            b[i] <- w - w1
            a[n + i] <- c.HH1 * h + c.HZ11 * z1 + c.HZ12 * z2
            b[n + i] <- c.HH2 * h + c.HZ21 * z1 + c.HZ22 * z2
            i <- i + 1

    /// The same with H and K.
    let splitSpaceTimeTime (c: Bridge) (n: int) (piece: float[]) (z: Span<float>) (first: float[]) (second: float[]) =
        for i in 0 .. n - 1 do
            let w = piece[i]
            let h = piece[n + i]
            let k = piece[2 * n + i]
            let z1 = z[i]
            let z2 = z[n + i]
            let z3 = z[2 * n + i]
            let w1 = c.WW * w + c.WH * h + c.WK * k + c.WZ * z1
            first[i] <- w1
            second[i] <- w - w1
            first[n + i] <- c.HH1 * h + c.HK1 * k + c.HZ11 * z1 + c.HZ12 * z2
            second[n + i] <- c.HH2 * h + c.HK2 * k + c.HZ21 * z1 + c.HZ22 * z2
            first[2 * n + i] <- c.KK1 * k + c.KZ11 * z1 + c.KZ12 * z2 + c.KZ13 * z3
            second[2 * n + i] <- c.KK2 * k + c.KZ21 * z1 + c.KZ22 * z2 + c.KZ23 * z3

    /// x *= factor.
    let scale (factor: float) (x: Span<float>) =
        let mutable i = 0

        while i <= x.Length - 8 do
            store (wide factor * load x i) x i
            i <- i + 8

        while i < x.Length do
            x[i] <- factor * x[i]
            i <- i + 1

    /// Coefficients of Chen's identity for parts of relative lengths x and y: H = x H1 + y H2 + (y/2) W1 - (x/2) W2 and
    /// K = x^2 K1 + y^2 K2 + (xy/2) (H1 - H2) + y (y - x)/12 W1 + x (x - y)/12 W2.
    /// into <- into followed by piece. rows: 1 (W), 2 (W, H) or 3 (W, H, K).
    let append (rows: int) (length1: float) (length2: float) (n: int) (into: float[]) (piece: float[]) =
        let x = length1 / (length1 + length2)
        let y = length2 / (length1 + length2)
        let w1 = Span<float>(into, 0, n)
        let w2 = Span<float>(piece, 0, n)

        if rows > 2 then
            let xx = x * x
            let yy = y * y
            let xy = 0.5 * x * y
            let a = y * (y - x) / 12.0
            let b = x * (x - y) / 12.0

            for i in 0 .. n - 1 do
                into[2 * n + i] <-
                    xx * into[2 * n + i]
                    + yy * piece[2 * n + i]
                    + xy * (into[n + i] - piece[n + i])
                    + (a * w1[i] + b * w2[i])

        if rows > 1 then
            let h1 = Span<float>(into, n, n)
            let h2 = Span<float>(piece, n, n)
            let x2 = 0.5 * x
            let y2 = 0.5 * y
            let mutable i = 0

            while i <= n - 8 do
                store (wide x * load h1 i + wide y * load h2 i + (wide y2 * load w1 i - wide x2 * load w2 i)) h1 i

                i <- i + 8

            while i < n do
                h1[i] <- x * h1[i] + y * h2[i] + (y2 * w1[i] - x2 * w2[i])
                i <- i + 1

        let mutable i = 0

        while i <= n - 8 do
            store (load w1 i + load w2 i) w1 i
            i <- i + 8

        while i < n do
            w1[i] <- w1[i] + w2[i]
            i <- i + 1

    /// into <- what follows `first` in `whole`.
    let remove
        (rows: int)
        (length1: float)
        (length2: float)
        (n: int)
        (whole: float[])
        (first: float[])
        (into: float[])
        =
        let x = length1 / (length1 + length2)
        let y = length2 / (length1 + length2)

        for i in 0 .. n - 1 do
            let w2 = whole[i] - first[i]
            into[i] <- w2

            if rows > 1 then
                let h2 = (whole[n + i] - x * first[n + i] - (0.5 * y * first[i] - 0.5 * x * w2)) / y
                into[n + i] <- h2

                if rows > 2 then
                    let ends = y * (y - x) / 12.0 * first[i] + x * (x - y) / 12.0 * w2

                    into[2 * n + i] <-
                        (whole[2 * n + i] - x * x * first[2 * n + i] - 0.5 * x * y * (first[n + i] - h2) - ends)
                        / (y * y)
