namespace Continuum.Properties

#nowarn "3535" "3536"

open System
open Continuum

/// What many paths did over one interval: for each Brownian motion (or pair i, j of A at i * m + j) a number for each path.
type internal PathSamples = { Length: float; W: float[][]; H: float[][]; K: float[][]; A: float[][] }

/// Samples of paths, and how far they are from a law.
[<RequireQualifiedAccess>]
module internal BrownianSamples =

    /// Paths 0 .. count - 1 (a multiple of 8) over these intervals.
    let collect (spec: BrownianSpec) (count: int) (intervals: struct (float * float)[]) : PathSamples[] =
        let m = spec.Dimension
        let hasH = spec.Level <> LevyLevel.Increments
        let hasK = spec.Level = LevyLevel.SpaceTimeTime
        let hasA = spec.Level = LevyLevel.Area
        let columns size present = Array.init (if present then size else 0) (fun _ -> Array.zeroCreate<float> count)

        let samples =
            intervals
            |> Array.map (fun struct (s, t) -> {
                Length = abs (t - s)
                W = columns m true
                H = columns m hasH
                K = columns m hasK
                A = columns (m * m) hasA
            })

        let paths = BrownianLanes(spec, 0L)
        let room size present : Lanes[] = Array.zeroCreate (if present then size else 0)
        let w = room m true
        let h = room m hasH
        let k = room m hasK
        let a = room (m * m) hasA

        let put (from: int) (lanes: Lanes[]) (into: float[][]) =
            for c in 0 .. lanes.Length - 1 do
                for lane in 0..7 do
                    into[c][from + lane] <- lanes[c][lane]

        for from in 0..8 .. count - 8 do
            paths.Restart(int64 from)

            for q in 0 .. intervals.Length - 1 do
                let struct (s, t) = intervals[q]
                paths.Fill(s, t, Span w, Span h, Span k, Span a)
                put from w samples[q].W
                put from h samples[q].H
                put from k samples[q].K
                put from a samples[q].A

        samples

    /// The rows of a piece scaled to variance 1, with their names.
    let standardised (name: string) (piece: PathSamples) : struct (string * float[])[] =
        let scaled (letter: string) (variance: float) (rows: float[][]) =
            rows
            |> Array.mapi (fun c row ->
                let factor = 1.0 / sqrt (variance * piece.Length)
                struct ($"{letter}{c}{name}", row |> Array.map (fun x -> factor * x)))

        Array.concat [ scaled "W" 1.0 piece.W; scaled "H" (1.0 / 12.0) piece.H; scaled "K" (1.0 / 720.0) piece.K ]

    /// Distribution function of N(0, 1). Marsaglia 2004.
    let normal (x: float) =
        if x < -8.0 then
            0.0
        elif x > 8.0 then
            1.0
        else
            let mutable term = x
            let mutable sum = 0.0
            let mutable k = 1.0

            while abs term > 1e-18 do
                sum <- sum + term
                k <- k + 2.0
                term <- term * x * x / k

            0.5 + sum * exp (-0.5 * x * x) / sqrt (2.0 * Math.PI)

    /// sqrt(n) times the Kolmogorov-Smirnov distance of a sample from a distribution function: above 2.5 once in 100,000 samples.
    let distance (cdf: float -> float) (sample: float[]) =
        let sorted = Array.sort sample
        let n = float sorted.Length
        let mutable worst = 0.0

        for i in 0 .. sorted.Length - 1 do
            let p = cdf sorted[i]
            worst <- Math.Max(worst, Math.Max(float (i + 1) / n - p, p - float i / n))

        worst * sqrt n

    /// How many standard errors the mean of a sample is from its expectation.
    let deviation (expected: float) (sample: float[]) =
        let mean = Array.average sample
        let variance = sample |> Array.averageBy (fun x -> (x - mean) * (x - mean))
        (mean - expected) / sqrt (variance / float sample.Length)

    /// The worst of named numbers.
    let worst (values: seq<struct (string * float)>) =
        values |> Seq.maxBy (fun struct (_, value) -> if Double.IsNaN value then infinity else abs value)

    /// Deviations of means, variances, fourth moments, and of all products of two and of two squares from those of independent N(0, 1).
    let private independence (rows: struct (string * float[])[]) =
        let root = sqrt (float (let struct (_, first) = rows[0] in first.Length))

        let deviations (struct (name, x: float[])) = [
            struct ($"mean of {name}", root * Array.average x)
            struct ($"variance of {name}", root * (Array.averageBy (fun v -> v * v) x - 1.0) / sqrt 2.0)
            struct ($"fourth moment of {name}", root * (Array.averageBy (fun v -> v * v * v * v) x - 3.0) / sqrt 96.0)
        ]

        let joint (struct (name1, x: float[])) (struct (name2, y: float[])) =
            let mutable products = 0.0
            let mutable squares = 0.0

            for i in 0 .. x.Length - 1 do
                let p = x[i] * y[i]
                products <- products + p
                squares <- squares + p * p

            let n = float x.Length

            [
                struct ($"{name1} {name2}", root * products / n)
                struct ($"{name1}^2 {name2}^2", root * (squares / n - 1.0) / sqrt 8.0)
            ]

        [
            for i in 0 .. rows.Length - 1 do
                yield! deviations rows[i]

                for j in 0 .. i - 1 do
                    yield! joint rows[j] rows[i]
        ]

    /// Whether these rows are independent N(0, 1): moments and Kolmogorov-Smirnov.
    let areIndependentNormal (law: string) (rows: struct (string * float[])[]) : LawResult =
        let struct (moment, size) = worst (independence rows)

        let struct (shape, far) =
            worst (rows |> Seq.map (fun struct (name, x) -> struct (name, distance normal x)))

        {
            Law = law
            Holds = abs size < 5.0 && far < 2.5
            Detail =
                $"{moment} is {size:f2} standard errors off; the distance of {shape} from N(0, 1) is {far:f2} (both the worst of "
                + $"{rows.Length} rows)"
        }
