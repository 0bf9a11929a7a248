namespace Continuum.Properties

#nowarn "3535" "3536"

open System
open Continuum
open TorchSharp

/// What every single Brownian path of a spec has to satisfy: consistency to rounding, and the same bits however it is asked for.
/// Times are fractions of the path.
[<RequireQualifiedAccess>]
module BrownianPathLaws =

    let private at (spec: BrownianSpec) (fraction: float) = spec.Start + (spec.End - spec.Start) * fraction

    let private times (fractions: float[]) = fractions |> Array.map (fun x -> $"%g{x}") |> String.concat ", "

    let private chenH (h1: float) (h2: float) (a: BrownianStep<float[]>) (b: BrownianStep<float[]>) i =
        (h2 * (b.H[i] + 0.5 * a.W[i]) + h1 * (a.H[i] - 0.5 * b.W[i])) / (h1 + h2)

    let private chenK (h1: float) (h2: float) (a: BrownianStep<float[]>) (b: BrownianStep<float[]>) i =
        let h = h1 + h2

        let ends = h2 * (h2 - h1) / 12.0 * a.W[i] + h1 * (h1 - h2) / 12.0 * b.W[i]

        (h1 * h1 * a.K[i] + h2 * h2 * b.K[i] + 0.5 * h1 * h2 * (a.H[i] - b.H[i]) + ends) / (h * h)

    /// Two steps are the step over both (Chen's identity): W, H, K and A to rounding.
    let chen (fractions: float[]) (spec: BrownianSpec) : LawResult =
        let m = spec.Dimension

        let gaps =
            seq {
                for number in 0L .. 4L do
                    let path = BrownianPath(spec, number)

                    for i in 0 .. fractions.Length - 3 do
                        for j in i + 1 .. fractions.Length - 2 do
                            for k in j + 1 .. fractions.Length - 1 do
                                let s = at spec fractions[i]
                                let t = at spec fractions[j]
                                let u = at spec fractions[k]
                                let a = path.Step(s, t)
                                let b = path.Step(t, u)
                                let c = path.Step(s, u)
                                let root = sqrt (u - s)

                                for e in 0 .. m - 1 do
                                    struct ("W", (a.W[e] + b.W[e] - c.W[e]) / root)

                                    if not (isNull c.H) then
                                        struct ("H", (chenH (t - s) (u - t) a b e - c.H[e]) / root)

                                    if not (isNull c.K) then
                                        struct ("K", (chenK (t - s) (u - t) a b e - c.K[e]) / root)

                                if not (isNull c.A) then
                                    for p in 0 .. m - 1 do
                                        for q in 0 .. m - 1 do
                                            let joint = 0.5 * (a.W[p] * b.W[q] - a.W[q] * b.W[p])
                                            let gap = a.A[p * m + q] + b.A[p * m + q] + joint - c.A[p * m + q]
                                            struct ("A", gap / (u - s))
            }

        let struct (name, size) = BrownianSamples.worst gaps

        {
            Law = $"{spec.Level}, {spec.Cells} cells: two steps are the step over both, between {times fractions}"
            Holds = abs size < 2e-13
            Detail = $"{name} differs by {size:e1} of its size"
        }

    let private bits (x: float[]) = if isNull x then Array.empty else x |> Array.map BitConverter.DoubleToInt64Bits

    let private same (a: BrownianStep<float[]>) (b: BrownianStep<float[]>) =
        bits a.W = bits b.W && bits a.H = bits b.H && bits a.K = bits b.K && bits a.A = bits b.A

    /// Queries return the same bits in any order, from objects old and new; backward steps are those of the path run backward.
    let queryOrder (fractions: float[]) (spec: BrownianSpec) : LawResult =
        let queries = [|
            for a in fractions do
                for b in fractions do
                    if a <> b then
                        struct (at spec a, at spec b)
        |]

        let alone = queries |> Array.map (fun struct (s, t) -> BrownianPath(spec, 3L).Step(s, t))

        let differing (order: int[]) =
            let path = BrownianPath(spec, 3L)

            order
            |> Array.sumBy (fun q ->
                let struct (s, t) = queries[q]
                if same (path.Step(s, t)) alone[q] then 0 else 1)

        let forward = [| 0 .. queries.Length - 1 |]
        let shuffled = Array.copy forward
        Random(1).Shuffle shuffled

        let reversed =
            queries
            |> Array.sumBy (fun struct (s, t) ->
                let a = BrownianPath(spec, 3L).Step(s, t)
                let b = BrownianPath(spec, 3L).Step(t, s)
                let negative (x: float[]) = if isNull x then null else Array.map (~-) x
                let values (x: float[]) = if isNull x then Array.empty else x

                if
                    values b.W = values (negative a.W)
                    && values b.H = values a.H
                    && values b.K = values (negative a.K)
                    && values b.A = values (negative a.A)
                then
                    0
                else
                    1)

        let counts = [| differing forward; differing (Array.rev forward); differing shuffled; reversed |]

        {
            Law = $"{spec.Level}, {spec.Cells} cells: the answer to a query depends on nothing asked before"
            Holds = Array.forall ((=) 0) counts
            Detail =
                $"of {queries.Length} queries {counts[0]} differ forward, {counts[1]} backward, {counts[2]} shuffled, and {counts[3]} from "
                + "their reverse"
        }

    /// BrownianPath, BrownianLanes and TensorBrownian, in one batch or in parts, give the same bits; float32 the same rounded.
    let sameEverywhere (fractions: float[]) (spec: BrownianSpec) : LawResult =
        use _ = torch.NewDisposeScope()
        let m = spec.Dimension
        let first = 5L
        let lanes = BrownianLanes(spec, first)
        let tensor dtype count from = new TensorBrownian(spec, [| count |], first + from, dtype, torch.CPU)
        use whole = tensor torch.float64 11L 0L
        use rounded = tensor torch.float32 11L 0L
        use left = tensor torch.float64 3L 0L
        use right = tensor torch.float64 8L 3L
        let numbers = Array.init 11 (fun b -> first + 10L - int64 b)
        use chosen = new TensorBrownian(spec, [| 11L |], numbers, torch.float64, torch.CPU)
        let room size present : Lanes[] = Array.zeroCreate (if present then size else 0)
        let hasH = spec.Level <> LevyLevel.Increments
        let hasA = spec.Level = LevyLevel.Area
        let w = room m true
        let h = room m hasH
        let k = room m (spec.Level = LevyLevel.SpaceTimeTime)
        let a = room (m * m) hasA
        let mutable differing = 0
        let mutable compared = 0

        let check (x: float, y: float) =
            compared <- compared + 1

            if x <> y then
                differing <- differing + 1

        let ofStep (s: BrownianStep<Tensor>) =
            [| s.W; s.H; s.K; s.A |] |> Array.map (fun x -> if isNull x then Array.empty else Tensors.toArray x)

        for f in fractions do
            for g in fractions do
                if f <> g then
                    let s = at spec f
                    let t = at spec g
                    lanes.Fill(s, t, Span w, Span h, Span k, Span a)
                    let inLanes = [| w; h; k; a |]
                    let all = ofStep (whole.Step(s, t))
                    let single = ofStep (rounded.Step(s, t))
                    let backward = ofStep (chosen.Step(s, t))
                    let parts = Array.map2 Array.append (ofStep (left.Step(s, t))) (ofStep (right.Step(s, t)))

                    for b in 0..10 do
                        let step = BrownianPath(spec, first + int64 b).Step(s, t)

                        [| step.W; step.H; step.K; step.A |]
                        |> Array.iteri (fun row values ->
                            if not (isNull values) then
                                let n = values.Length

                                for e in 0 .. n - 1 do
                                    check (values[e], all[row][b * n + e])
                                    check (values[e], parts[row][b * n + e])
                                    check (values[e], backward[row][(10 - b) * n + e])
                                    check (float (float32 values[e]), single[row][b * n + e])

                                    if b < 8 then
                                        check (values[e], inLanes[row].[e].[b]))

        {
            Law =
                $"{spec.Level}, {spec.Cells} cells: arrays, lanes, tensors and parts of a batch hold the same paths, bit for bit"
            Holds = differing = 0
            Detail = $"{differing} of {compared} numbers differ"
        }

    /// Snap stays within a sixteenth of the step, on the far side of its start, and keeps the ends.
    let snap (spec: BrownianSpec) : LawResult =
        let path = BrownianPath(spec, 0L)
        let random = Random 5
        let mutable wrong = 0
        let tries = 2000

        for _ in 1..tries do
            let s = at spec (random.NextDouble())
            let h = (spec.End - spec.Start) * Math.Pow(10.0, -5.0 * random.NextDouble())
            let backward = random.Next 2 = 1

            let t = if backward then Math.Max(s - h, spec.Start) else Math.Min(s + h, spec.End)

            let snapped = path.Snap(s, t)
            let slack = abs (t - s) / 16.0 + 1e-12 * (abs spec.Start + abs spec.End)
            let keepsEnd = (t <> spec.Start && t <> spec.End) || snapped = t

            if not (abs (snapped - t) <= slack && (snapped > s) = (t > s) && snapped <> s && keepsEnd) then
                wrong <- wrong + 1

        {
            Law = $"{spec.Level}, {spec.Cells} cells: snapped times lie within a sixteenth of the step"
            Holds = wrong = 0
            Detail = $"{wrong} of {tries} do not"
        }
