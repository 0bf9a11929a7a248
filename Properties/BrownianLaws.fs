namespace Continuum.Properties

#nowarn "3535" "3536"

open System
open Continuum

/// What a Brownian path has to satisfy, for any spec. Laws of distribution take the number of paths (a multiple of 8) and look at
/// paths 0, 1, .. of the spec without its correlation, so that they say the same on every run.
[<RequireQualifiedAccess>]
module BrownianLaws =

    let private at (spec: BrownianSpec) (fraction: float) = spec.Start + (spec.End - spec.Start) * fraction

    let private plain (spec: BrownianSpec) = { spec with Correlation = null }

    let private times (fractions: float[]) = fractions |> Array.map (fun x -> $"%g{x}") |> String.concat ", "

    /// The pieces between these fractions of the path are independent, each with its W, H and K independent, normal, and of variance
    /// h, h/12, h/720. As pieces make up the whole by Chen's identity, this is also the law of the parts given the whole.
    let pieces (paths: int) (fractions: float[]) (spec: BrownianSpec) : LawResult =
        let intervals = Array.pairwise fractions |> Array.map (fun (a, b) -> struct (at spec a, at spec b))

        BrownianSamples.collect (plain spec) paths intervals
        |> Array.mapi (fun i piece -> BrownianSamples.standardised $" of piece {i}" piece)
        |> Array.concat
        |> BrownianSamples.areIndependentNormal
            $"{spec.Level}, {spec.Cells} cells: pieces between {times fractions} of the path are independent and normal"

    /// A query's law does not depend on what is asked beside it: intervals that overlap have the covariance of their intersection.
    let overlap (paths: int) (fractions: float[]) (spec: BrownianSpec) : LawResult =
        let intervals = [|
            for i in 0 .. fractions.Length - 1 do
                for j in i + 1 .. fractions.Length - 1 -> struct (at spec fractions[i], at spec fractions[j])
        |]

        let samples = BrownianSamples.collect (plain spec) paths intervals

        let deviations =
            seq {
                for p in 0 .. intervals.Length - 1 do
                    for q in 0..p do
                        let struct (s1, t1) = intervals[p]
                        let struct (s2, t2) = intervals[q]
                        let common = Math.Max(0.0, Math.Min(t1, t2) - Math.Max(s1, s2))
                        let products = Array.map2 (*) samples[p].W[0] samples[q].W[0]
                        struct ($"[%g{s1}, %g{t1}] and [%g{s2}, %g{t2}]", BrownianSamples.deviation common products)
            }

        let struct (name, size) = BrownianSamples.worst deviations

        {
            Law =
                $"{spec.Level}, {spec.Cells} cells: increments over overlapping intervals between {times fractions} covary by their intersection"
            Holds = abs size < 5.0
            Detail = $"the covariance of {name} is {size:f2} standard errors off"
        }

    /// H, K and A are the integrals that define them: sums over n small steps that know W alone come as near as they must. A is
    /// compared over its leaves, since what W does inside of a leaf is independent of the leaf's area.
    let definition (spec: BrownianSpec) : LawResult =
        let m = spec.Dimension

        let n =
            if spec.Level = LevyLevel.Area then
                spec.Cells <<< BrownianSpec.leafDepth spec
            else
                2048

        let length = spec.End - spec.Start
        let step = length / float n
        let gaps = Collections.Generic.List<struct (string * float)>()

        for number in 0L .. 3L do
            let path = BrownianPath(plain spec, number)
            let whole = path.Step(spec.Start, spec.End)
            let h = Array.zeroCreate<float> m
            let k = Array.zeroCreate<float> m
            let a = Array.zeroCreate<float>(m * m)
            let w = Array.zeroCreate<float> m
            let dw = Array.zeroCreate<float> m

            for i in 0 .. n - 1 do
                path.Increment(at spec (float i / float n), at spec (float (i + 1) / float n), Span dw)
                let middle = (float i + 0.5) * step

                for c in 0 .. m - 1 do
                    let bridge = w[c] + 0.5 * dw[c] - middle / length * whole.W[c]
                    h[c] <- h[c] + bridge * step / length
                    k[c] <- k[c] + bridge * (0.5 * length - middle) * step / (length * length)

                    for d in 0 .. m - 1 do
                        a[c * m + d] <- a[c * m + d] + 0.5 * (w[c] * dw[d] - dw[c] * w[d])

                for c in 0 .. m - 1 do
                    w[c] <- w[c] + dw[c]

            // Standard deviations of what the small steps do not see.
            let spreadH = sqrt (step * step / (12.0 * length))

            for c in 0 .. m - 1 do
                gaps.Add(struct ("W", 1e9 * (w[c] - whole.W[c]) / sqrt length))

                if not (isNull whole.H) then
                    gaps.Add(struct ("H", (h[c] - whole.H[c]) / spreadH))

                if not (isNull whole.K) then
                    gaps.Add(struct ("K", (k[c] - whole.K[c]) / (0.3 * spreadH)))

                if not (isNull whole.A) then
                    for d in 0 .. m - 1 do
                        if c <> d then
                            let spread = sqrt (0.25 * step * length)
                            gaps.Add(struct ("A", (a[c * m + d] - whole.A[c * m + d]) / spread))

        let struct (name, size) = BrownianSamples.worst gaps

        {
            Law = $"{spec.Level}, {spec.Cells} cells: W, H, K and A are what sums over {n} increments come near"
            Holds = abs size < 5.0
            Detail = $"{name} differs by {size:f2} standard deviations of what {n} increments leave open"
        }

    /// W has the covariance that the spec asks for, over a step of the length of a third of the path.
    let correlation (paths: int) (spec: BrownianSpec) : LawResult =
        let m = spec.Dimension
        let samples = BrownianSamples.collect spec paths [| struct (at spec 0.125, at spec 0.46) |]
        let piece = samples[0]

        let wanted i j =
            if not (isNull spec.Correlation) then spec.Correlation[i, j]
            elif i = j then 1.0
            else 0.0

        let deviations =
            seq {
                for i in 0 .. m - 1 do
                    for j in 0..i do
                        let products (x: float[][]) = Array.map2 (*) x[i] x[j]
                        let expected = wanted i j * piece.Length
                        struct ($"W{i} W{j}", BrownianSamples.deviation expected (products piece.W))

                        if piece.H.Length > 0 then
                            struct ($"H{i} H{j}", BrownianSamples.deviation (expected / 12.0) (products piece.H))

                        if piece.K.Length > 0 then
                            struct ($"K{i} K{j}", BrownianSamples.deviation (expected / 720.0) (products piece.K))
            }

        let struct (name, size) = BrownianSamples.worst deviations

        {
            Law = $"{spec.Level}: Brownian motions have the covariance asked for"
            Holds = abs size < 5.0
            Detail = $"the covariance {name} is {size:f2} standard errors off"
        }

    /// Fractions of a path for the laws of bits and rounding: grid points, cells' boundaries, and times between.
    let private usual = [| 0.0; 0.1; 0.25; 1.0 / 3.0; 0.3333; 0.5; 0.625; 0.77; 1.0 |]

    /// All of them, with this many paths (a multiple of 8) for laws of distribution.
    let all (paths: int) (spec: BrownianSpec) : LawResult[] = [|
        pieces paths [| 0.0; 1.0 |] spec
        pieces paths [| 0.0; 0.5; 1.0 |] spec
        pieces paths [| 0.0; 0.25; 0.5; 0.75; 1.0 |] spec
        pieces paths [| 0.0; 0.1; 0.37; 0.44; 1.0 |] spec
        overlap paths [| 0.0; 0.3; 0.75; 0.9 |] spec
        BrownianPathLaws.chen usual spec
        BrownianPathLaws.queryOrder usual spec
        BrownianPathLaws.sameEverywhere [| 0.0; 0.25; 0.3333; 0.77; 1.0 |] spec
        definition spec
        correlation paths spec
        BrownianPathLaws.snap spec
    |]
