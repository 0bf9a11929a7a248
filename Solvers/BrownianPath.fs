namespace Continuum

open System

/// One Brownian path on arrays: the path with this number (0 .. 2^32 - 1) of a spec. W, H and K have m numbers, A the m x m of a
/// matrix, row by row. The path is a function of spec and number alone; an object is for one thread at a time, since it
/// remembers how it came to its last answer. ArgumentException and ArgumentOutOfRangeException as for BrownianSpec.check; and where a
/// time is outside of the path.
[<Sealed>]
type BrownianPath(spec: BrownianSpec, number: int64) =
    let spec = BrownianSpec.check spec
    let m = spec.Dimension
    let batch = HostBrownianBatch(spec, PathNumbers.From(number, 1))
    let hasArea = spec.Level = LevyLevel.Area
    // W at the start of each cell, as far as asked for.
    let sums = Collections.Generic.List<float>(Array.zeroCreate<float> m)

    let copy (row: int) (s: float) (t: float) (piece: float[]) (into: Span<float>) =
        if into.Length <> m then
            raise (ArgumentException $"The path has {m} Brownian motions; got room for {into.Length} numbers.")

        let sign = HostBrownianBatch.Sign(row, s, t)

        for i in 0 .. m - 1 do
            into[i] <- sign * piece[row * m + i]

    let has (row: int) (name: string) =
        if row >= batch.Rows then
            raise (ArgumentException $"A path of level {spec.Level} has no {name}; ask for a higher level in its spec.")

    /// The zeroth path.
    new(spec) = BrownianPath(spec, 0L)

    /// What the path is a function of.
    member _.Spec = spec
    /// Its number.
    member _.Number = number

    /// W_t - W_s into w (m numbers), without allocating.
    member _.Increment(s: float, t: float, w: Span<float>) = copy 0 s t (batch.Forward(s, t)) w

    /// W, H, K (m numbers each) and A (m x m) over [s, t], without allocating. Empty spans are left out; the others must be in the
    /// spec's level, else ArgumentException.
    member _.Fill(s: float, t: float, w: Span<float>, h: Span<float>, k: Span<float>, a: Span<float>) =
        let piece = batch.Forward(s, t)

        if w.Length > 0 then
            copy 0 s t piece w

        if h.Length > 0 then
            has 1 "H"
            copy 1 s t piece h

        if k.Length > 0 then
            has 2 "K"
            copy 2 s t piece k

        if a.Length > 0 then
            if not hasArea || a.Length <> m * m then
                raise (
                    ArgumentException
                        $"A has {m} x {m} numbers, at level Area; got room for {a.Length} at level {spec.Level}."
                )

            HostBrownianBatch.Area(m, 1, 2, HostBrownianBatch.Sign(0, s, t), piece, a)

    /// W_t - W_Start into w (m numbers). Remembers the sums over whole cells (m numbers for each cell before t).
    member _.Value(t: float, w: Span<float>) =
        let cell = batch.Grid.Place(t).Cell

        while sums.Count <= cell * m do
            let at = sums.Count / m - 1
            let increments = batch.Cell at

            for i in 0 .. m - 1 do
                sums.Add(sums[at * m + i] + increments[i])

        let rest = batch.Forward(batch.Grid.TimeOf cell, t)

        for i in 0 .. m - 1 do
            w[i] <- sums[cell * m + i] + rest[i]

    /// W_t - W_Start.
    member this.Value(t: float) : float[] =
        let w = Array.zeroCreate m
        this.Value(t, Span w)
        w

    /// Time that is near t and cheap; see IBrownian.
    member _.Snap(s: float, t: float) = batch.Grid.Snap(s, t)

    /// The path over [s, t] (or backward) in fresh arrays.
    member _.Step(s: float, t: float) : BrownianStep<float[]> =
        let piece = batch.Forward(s, t)

        let row r =
            if r < batch.Rows then
                let values = Array.zeroCreate m
                copy r s t piece (Span values)
                values
            else
                null

        let area =
            if hasArea then
                let values = Array.zeroCreate (m * m)
                HostBrownianBatch.Area(m, 1, 2, HostBrownianBatch.Sign(0, s, t), piece, Span values)
                values
            else
                null

        { W = row 0; H = row 1; K = row 2; A = area }

    interface IBrownian<float[]> with
        member _.Start = spec.Start
        member _.End = spec.End
        member _.Dimension = m
        member _.Level = spec.Level
        member this.Step(s, t) = this.Step(s, t)
        member this.Snap(s, t) = this.Snap(s, t)
        member _.Prepare _ = ()
