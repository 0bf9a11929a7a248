namespace Continuum.Properties

open System
open Continuum

/// The law of the Levy area, for a spec of level Area: two of its Brownian motions, without correlation, over an interval given by
/// fractions of the path. Exact in the limit of many leaves; over eight or more, no feasible sample tells the difference.
[<RequireQualifiedAccess>]
module LevyAreaLaws =

    let private sample (paths: int) (spec: BrownianSpec) (a: float) (b: float) =
        if spec.Level <> LevyLevel.Area then
            raise (ArgumentException $"These are laws of level Area; got a spec of level {spec.Level}.")

        let at x = spec.Start + (spec.End - spec.Start) * x
        let spec = { spec with Correlation = null }
        (BrownianSamples.collect spec paths [| struct (at a, at b) |])[0]

    let private result law (spec: BrownianSpec) (a: float) (b: float) limit deviations =
        let struct (name, size) = BrownianSamples.worst deviations

        {
            Law = $"Area, {spec.Cells} cells, over %g{a} .. %g{b} of the path: {law}"
            Holds = abs size < limit
            Detail = $"{name} is {size:f2} standard errors off"
        }

    let private momentsOf (spec: BrownianSpec) (a: float) (b: float) (piece: PathSamples) =
        let h = piece.Length
        let m = spec.Dimension
        let area = piece.A[1]
        let with' (other: float[]) = Array.map2 (*) area other
        let products = Array.map2 (*) piece.W[0] piece.W[1]

        result "moments and symmetry" spec a b 5.0 [
            struct ("the mean", BrownianSamples.deviation 0.0 area)
            struct ("the variance", BrownianSamples.deviation (0.25 * h * h) (area |> Array.map (fun x -> x * x)))

            struct ("the fourth moment",
                    BrownianSamples.deviation (0.3125 * h * h * h * h) (area |> Array.map (fun x -> x * x * x * x)))

            struct ("the covariance with W0", BrownianSamples.deviation 0.0 (with' piece.W[0]))
            struct ("the covariance with H1", BrownianSamples.deviation 0.0 (with' piece.H[1]))
            struct ("the covariance with W0 W1", BrownianSamples.deviation 0.0 (with' products))
            struct ("antisymmetry", (if Array.forall2 (fun x y -> x = -y) area piece.A[m] then 0.0 else infinity))
        ]

    let private characteristicOf (spec: BrownianSpec) (a: float) (b: float) (piece: PathSamples) =

        result "the characteristic function" spec a b 5.0 [
            for x in [ 0.5; 1.0; 2.0; 4.0; 8.0; 12.0 ] do
                let frequency = x / piece.Length
                let cosines = piece.A[1] |> Array.map (fun v -> cos (frequency * v))
                let sines = piece.A[1] |> Array.map (fun v -> sin (frequency * v))
                struct ($"its real part at {x}/h", BrownianSamples.deviation (1.0 / cosh (0.5 * x)) cosines)
                struct ($"its imaginary part at {x}/h", BrownianSamples.deviation 0.0 sines)
        ]

    let private givenIncrementOf (spec: BrownianSpec) (a: float) (b: float) (piece: PathSamples) =
        let h = piece.Length

        let squares = Array.map2 (fun x y -> (x * x + y * y) / h) piece.W[0] piece.W[1]

        result "the law given W" spec a b 5.0 [
            for x in [ 1.0; 2.0; 4.0; 8.0 ] do
                let y = 0.5 * x

                let gaps =
                    Array.map2
                        (fun area square -> cos (x / h * area) - y / sinh y * exp (0.5 * square * (1.0 - y / tanh y)))
                        piece.A[1]
                        squares

                let against (weight: float -> float) = Array.map2 (fun gap square -> gap * weight square) gaps squares
                struct ($"the characteristic function at {x}/h", BrownianSamples.deviation 0.0 gaps)
                struct ($"the same times |W|^2, {x}/h", BrownianSamples.deviation 0.0 (against id))
                struct ($"the same for small W, {x}/h", BrownianSamples.deviation 0.0 (against (fun s -> exp -s)))
        ]

    let private givenSpaceTimeAreaOf (spec: BrownianSpec) (a: float) (b: float) (piece: PathSamples) =
        let h = piece.Length

        let rest =
            Array.init piece.A[1].Length (fun p ->
                piece.A[1][p] - (piece.H[0][p] * piece.W[1][p] - piece.W[0][p] * piece.H[1][p]))

        let size = Array.map2 (fun x y -> (x * x + y * y) / h) piece.H[0] piece.H[1]

        let excess = Array.map2 (fun r s -> r * r / (h * h) - 0.05 - 0.2 * s) rest size
        let times (x: float[]) (y: float[]) = Array.map2 (*) x y
        let increments = Array.map2 (fun x y -> (x * x + y * y) / h) piece.W[0] piece.W[1]

        result "mean and variance given W and H" spec a b 5.0 [
            struct ("the mean", BrownianSamples.deviation 0.0 rest)
            struct ("the mean times H0", BrownianSamples.deviation 0.0 (times rest piece.H[0]))
            struct ("the mean times H0 W1", BrownianSamples.deviation 0.0 (times rest (times piece.H[0] piece.W[1])))
            struct ("the mean times W0 H1", BrownianSamples.deviation 0.0 (times rest (times piece.W[0] piece.H[1])))
            struct ("the variance", BrownianSamples.deviation 0.0 excess)
            struct ("the variance times |H|^2", BrownianSamples.deviation 0.0 (times excess size))
            struct ("the variance times |W|^2", BrownianSamples.deviation 0.0 (times excess increments))
        ]

    /// Mean 0, variance h^2/4, fourth moment 5 h^4/16; uncorrelated with W, H and their products; antisymmetric. Over the part of
    /// the path between two fractions of it, paths 0 .. paths - 1 (a multiple of 8).
    let moments (paths: int) (a: float) (b: float) (spec: BrownianSpec) : LawResult =
        momentsOf spec a b (sample paths spec a b)

    /// E exp(i x A) = 1/cosh(x h/2). Levy 1951.
    let characteristic (paths: int) (a: float) (b: float) (spec: BrownianSpec) : LawResult =
        characteristicOf spec a b (sample paths spec a b)

    /// E (exp(i x A) | W) = y / sinh y exp(|W|^2/(2h) (1 - y coth y)), y = x h/2: tested against functions of W. Levy 1951.
    let givenIncrement (paths: int) (a: float) (b: float) (spec: BrownianSpec) : LawResult =
        givenIncrementOf spec a b (sample paths spec a b)

    /// E (A | W, H) = H0 W1 - W0 H1 and Var (A | W, H) = h^2/20 + h/5 (H0^2 + H1^2). Foster and Habermann 2023.
    let givenSpaceTimeArea (paths: int) (a: float) (b: float) (spec: BrownianSpec) : LawResult =
        givenSpaceTimeAreaOf spec a b (sample paths spec a b)

    /// All of them over the whole path, a part between grid points, and a part between other times.
    let all (paths: int) (spec: BrownianSpec) : LawResult[] = [|
        for struct (a, b) in [ struct (0.0, 1.0); struct (0.25, 0.5); struct (0.11, 0.73) ] do
            let piece = sample paths spec a b
            momentsOf spec a b piece
            characteristicOf spec a b piece
            givenIncrementOf spec a b piece
            givenSpaceTimeAreaOf spec a b piece
    |]
