namespace Continuum

#nowarn "9" "3535" "3536"

open System
open System.Runtime.InteropServices

/// Eight Brownian paths of consecutive numbers, one in each lane: lane i has the bits of BrownianPath(spec, number + i). W, H and K are m
/// lanes, A m x m. Nothing is allocated by a query. An object is for one thread at a time. Errors as for BrownianPath.
[<Sealed>]
type BrownianLanes(spec: BrownianSpec, number: int64) =
    let mutable first = number
    let spec = BrownianSpec.check spec
    let m = spec.Dimension
    let batch = HostBrownianBatch(spec, PathNumbers.From(number, 8))
    let hasArea = spec.Level = LevyLevel.Area

    let numbers (lanes: Span<Lanes>) = MemoryMarshal.Cast<Lanes, float> lanes

    let copy (row: int) (s: float) (t: float) (piece: float[]) (into: Span<Lanes>) =
        if into.Length <> m then
            raise (ArgumentException $"The paths have {m} Brownian motions; got room for {into.Length} numbers.")

        if row >= batch.Rows then
            raise (
                ArgumentException $"Paths of level {spec.Level} have no H or K; ask for a higher level in their spec."
            )

        let source = ReadOnlySpan<float>(piece, row * 8 * m, 8 * m)
        let target = numbers into

        if HostBrownianBatch.Sign(row, s, t) > 0.0 then
            source.CopyTo target
        else
            for i in 0 .. source.Length - 1 do
                target[i] <- -source[i]

    /// What the paths are functions of.
    member _.Spec = spec
    /// The number of lane 0.
    member _.First = first

    /// Makes this object the paths number, number + 1, .., for less than a new one costs.
    member _.Restart(number: int64) =
        batch.Restart(PathNumbers.From(number, 8))
        first <- number

    /// W_t - W_s into w (m lanes).
    member _.Increment(s: float, t: float, w: Span<Lanes>) = copy 0 s t (batch.Forward(s, t)) w

    /// W over one cell (0 .. Cells - 1) into w (m lanes), and H into h if it is not empty.
    member _.Cell(index: int, w: Span<Lanes>, h: Span<Lanes>) =
        let cell = batch.Cell index
        cell.Slice(0, 8 * m).CopyTo(numbers w)

        if h.Length > 0 then
            cell.Slice(8 * m, 8 * m).CopyTo(numbers h)

    /// W, H, K (m lanes each) and A (m x m) over [s, t]; empty spans are left out, the others must be in the spec's level.
    member _.Fill(s: float, t: float, w: Span<Lanes>, h: Span<Lanes>, k: Span<Lanes>, a: Span<Lanes>) =
        let piece = batch.Forward(s, t)

        if w.Length > 0 then
            copy 0 s t piece w

        if h.Length > 0 then
            copy 1 s t piece h

        if k.Length > 0 then
            copy 2 s t piece k

        if a.Length > 0 then
            if not hasArea || a.Length <> m * m then
                raise (
                    ArgumentException
                        $"A has {m} x {m} numbers, at level Area; got room for {a.Length} at level {spec.Level}."
                )

            HostBrownianBatch.Area(m, 8, 2, HostBrownianBatch.Sign(0, s, t), piece, numbers a)

    /// Time that is near t and cheap; see IBrownian.
    member _.Snap(s: float, t: float) = batch.Grid.Snap(s, t)
