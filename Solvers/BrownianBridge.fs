// The law of the two parts of a piece of Brownian motion, given the whole.
namespace Continuum

open System

/// Coefficients of an exact bridge: a piece of length h with (W, H, K) is cut after l into parts 1 and 2 (q = h - l). With Z1, Z2, Z3
/// standard normal
///   W1 = ww W + wh H + wk K + z11 Z1                W2 = W - W1
///   H1 = hh1 H + hk1 K + z21 Z1 + z22 Z2            H2 = hh2 H + hk2 K + z21' Z1 + z22' Z2
///   K1 = kk1 K + z31 Z1 + z32 Z2 + z33 Z3           K2 = kk2 K + z31' Z1 + z32' Z2 + z33' Z3
/// (levels without K or H leave theirs out).
[<Sealed; AllowNullLiteral>]
type internal Bridge() =
    member val Length1 = 0.0 with get, set
    member val Length2 = 0.0 with get, set
    member val WW = 0.0 with get, set
    member val WH = 0.0 with get, set
    member val WK = 0.0 with get, set
    member val WZ = 0.0 with get, set
    member val HH1 = 0.0 with get, set
    member val HK1 = 0.0 with get, set
    member val HZ11 = 0.0 with get, set
    member val HZ12 = 0.0 with get, set
    member val KK1 = 0.0 with get, set
    member val KZ11 = 0.0 with get, set
    member val KZ12 = 0.0 with get, set
    member val KZ13 = 0.0 with get, set
    member val HH2 = 0.0 with get, set
    member val HK2 = 0.0 with get, set
    member val HZ21 = 0.0 with get, set
    member val HZ22 = 0.0 with get, set
    member val KK2 = 0.0 with get, set
    member val KZ21 = 0.0 with get, set
    member val KZ22 = 0.0 with get, set
    member val KZ23 = 0.0 with get, set

/// The bridges. Foster, Lyons and Oberhauser 2020 (W, H); Jelincic, Foster and Kidger 2024 (midpoints with K).
[<RequireQualifiedAccess>]
module internal BrownianBridge =

    let private incrementsAt (l: float) (q: float) =
        let h = l + q
        Bridge(Length1 = l, Length2 = q, WW = l / h, WZ = sqrt (l * q / h))

    let private spaceTimeAt (l: float) (q: float) =
        let h = l + q
        let x = l / h
        let y = q / h
        // In parts of h, so that nothing under- or overflows.
        let v = 0.5 * sqrt (x * y / (x * x * x + y * y * y)) * sqrt h
        let a = v * x * x
        let b = v * y * y

        Bridge(
            Length1 = l,
            Length2 = q,
            WW = x,
            WH = 6.0 * x * y,
            WZ = 2.0 * (a * x + b * y),
            HH1 = x * x,
            HZ11 = -a,
            HZ12 = v / sqrt 3.0 * y,
            HH2 = y * y,
            HZ21 = -b,
            HZ22 = -(v / sqrt 3.0 * x)
        )

    /// How (W, H, K) of two parts of relative lengths x + y = 1 make that of the whole (Chen): columns of part 1, then of part 2.
    let private chen (x: float) (y: float) =
        struct (array2D [ [ 1.0; 0.0; 0.0 ]; [ 0.5 * y; x; 0.0 ]; [ y * (y - x) / 12.0; 0.5 * x * y; x * x ] ],
                array2D [ [ 1.0; 0.0; 0.0 ]; [ -0.5 * x; y; 0.0 ]; [ x * (x - y) / 12.0; -0.5 * x * y; y * y ] ])

    let private variance = [| 1.0; 1.0 / 12.0; 1.0 / 720.0 |]

    /// Gaussian conditioning for h = 1 of the smaller part (length x, Chen matrix a) on the whole: mean matrix g (upper triangular),
    /// noise l (lower triangular), and those of the other part (Chen matrix b), which the whole and the smaller part determine.
    let private condition (x: float) (a: float[,]) (b: float[,]) =
        let g = Array2D.init 3 3 (fun i j -> x * variance[i] * a[j, i] / variance[j])

        let c =
            Array2D.init 3 3 (fun i j ->
                let prior = if i = j then x * variance[i] else 0.0
                prior - Seq.sum (seq { for k in 0..2 -> g[i, k] * variance[k] * g[j, k] }))

        let l = Array2D.zeroCreate 3 3

        for i in 0..2 do
            for j in 0..i do
                let rest = c[i, j] - Seq.sum (seq { for k in 0 .. j - 1 -> l[i, k] * l[j, k] })
                l[i, j] <- if i = j then sqrt (Math.Max(rest, 0.0)) else rest / l[j, j]

        // whole = a part + b other; b is lower triangular.
        let solve (right: int -> int -> float) =
            let other = Array2D.zeroCreate 3 3

            for j in 0..2 do
                for i in 0..2 do
                    let known = Seq.sum (seq { for k in 0 .. i - 1 -> b[i, k] * other[k, j] })
                    other[i, j] <- (right i j - known) / b[i, i]

            other

        let times (m: float[,]) i j = Seq.sum (seq { for k in 0..2 -> a[i, k] * m[k, j] })
        let g' = solve (fun i j -> (if i = j then 1.0 else 0.0) - times g i j)
        let l' = solve (fun i j -> -(times l i j))
        struct (g, l, g', l')

    let private spaceTimeTimeAt (length1: float) (length2: float) =
        let h = length1 + length2
        let x = length1 / h
        let y = length2 / h
        let struct (a, b) = chen x y

        let struct (g1, l1, g2, l2) =
            if x <= y then
                condition x a b
            else
                let struct (g2, l2, g1, l1) = condition y b a
                struct (g1, l1, g2, l2)

        let s = sqrt h

        Bridge(
            Length1 = length1,
            Length2 = length2,
            WW = g1[0, 0],
            WH = g1[0, 1],
            WK = g1[0, 2],
            WZ = s * l1[0, 0],
            HH1 = g1[1, 1],
            HK1 = g1[1, 2],
            HZ11 = s * l1[1, 0],
            HZ12 = s * l1[1, 1],
            KK1 = g1[2, 2],
            KZ11 = s * l1[2, 0],
            KZ12 = s * l1[2, 1],
            KZ13 = s * l1[2, 2],
            HH2 = g2[1, 1],
            HK2 = g2[1, 2],
            HZ21 = s * l2[1, 0],
            HZ22 = s * l2[1, 1],
            KK2 = g2[2, 2],
            KZ21 = s * l2[2, 0],
            KZ22 = s * l2[2, 1],
            KZ23 = s * l2[2, 2]
        )

    let private spaceTimeTimeHalves (h: float) =
        let s = sqrt h
        let z = 0.25
        let x1 = sqrt (1.0 / 768.0)
        let x2 = sqrt (1.0 / 2880.0)

        Bridge(
            Length1 = 0.5 * h,
            Length2 = 0.5 * h,
            WW = 0.5,
            WH = 1.5,
            WK = 0.0,
            WZ = z * s,
            HH1 = 0.25,
            HK1 = 3.75,
            HZ11 = -0.5 * z * s,
            HZ12 = x1 * s * 1.0,
            KK1 = 0.125,
            KZ11 = 0.0,
            KZ12 = -0.5 * x1 * s,
            KZ13 = x2 * s,
            HH2 = 0.25,
            HK2 = -3.75,
            HZ21 = -0.5 * z * s,
            HZ22 = -(x1 * s),
            KK2 = 0.125,
            KZ21 = 0.0,
            KZ22 = -0.5 * x1 * s,
            KZ23 = -(x2 * s)
        )

    /// The piece of length l + q cut after l.
    let at (level: LevyLevel) (l: float) (q: float) : Bridge =
        match level with
        | LevyLevel.Increments -> incrementsAt l q
        | LevyLevel.SpaceTimeTime -> spaceTimeTimeAt l q
        | _ -> spaceTimeAt l q

    /// The piece of length h cut in half.
    let halves (level: LevyLevel) (h: float) : Bridge =
        match level with
        | LevyLevel.SpaceTimeTime -> spaceTimeTimeHalves h
        | _ -> at level (0.5 * h) (0.5 * h)
