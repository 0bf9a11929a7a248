// The record of a forward solve, and walks over it in both directions with numbers that carry derivatives.
namespace Continuum

#nowarn "3535" "3536"

open System
open System.Collections.Generic

/// Which part of a solve's outcome a value is.
[<Struct>]
type internal OutcomePiece =
    | SavedAt of saved: int
    | AtEnd
    | TimeOf of occurrence: int
    | BeforeEvent of before: int
    | AfterEvent of after: int

/// What a forward solve did, in order.
[<Sealed>]
type internal SolveTrace(entries: SolveEntry[], unknowns: float[][], saves: struct (int * float * int)[]) =
    let savesAfter =
        let table = Dictionary<int, List<struct (float * int)>>()

        for struct (entry, theta, index) in saves do
            match table.TryGetValue entry with
            | true, list -> list.Add(struct (theta, index))
            | _ ->
                let list = List<struct (float * int)>()
                list.Add(struct (theta, index))
                table[entry] <- list

        table

    let none = List<struct (float * int)>()

    // entry index -> number of the occurrence, in order
    let occurrences =
        let mutable count = 0

        entries
        |> Array.map (fun entry ->
            match entry with
            | ChangedBy(_, event, _) when event >= 0 ->
                count <- count + 1
                count - 1
            | _ -> -1)

    // whether a step starts afresh: the first, after a change, with another method
    let fresh =
        let mutable last = -1

        entries
        |> Array.map (fun entry ->
            match entry with
            | Stepped step ->
                let isFresh = step.Method <> last
                last <- step.Method
                isFresh
            | ChangedBy _ ->
                last <- -1
                false)

    member _.Entries = entries
    /// What the implicit steps found, for each entry.
    member _.Unknowns = unknowns

    /// Saved values that belong to an entry (-1: the start): theta in the step, index into the results.
    member _.SavesAfter(entry: int) : List<struct (float * int)> =
        match savesAfter.TryGetValue entry with
        | true, list -> list
        | _ -> none

    member _.OccurrenceOf(entry: int) = occurrences[entry]
    member _.IsFresh(entry: int) = fresh[entry]

/// Records a forward solve. methodOf numbers the method that makes the step about to be accepted.
[<Sealed>]
type internal TraceRecorder(methodOf: IStepper<float[]> -> int) =
    let entries = List<SolveEntry>()
    let unknowns = List<float[]>()
    let saves = List<struct (int * float * int)>()

    member _.Finish() : SolveTrace = SolveTrace(entries.ToArray(), unknowns.ToArray(), saves.ToArray())

    interface IStepObserver<float[]> with
        member _.Accepting(stepper, h) =
            let working =
                match stepper with
                | :? AutomaticStepper as automatic -> automatic.Active
                | other -> other

            let struct (order, found) =
                match working with
                | :? IStepUnknowns<float[]> as details -> struct (details.Order, Array.concat details.Unknowns)
                | _ -> struct (0, null)

            entries.Add(
                Stepped {
                    Time = stepper.Time
                    Length = h
                    Method = methodOf stepper
                    Order = order
                    Index = entries.Count
                }
            )

            unknowns.Add found

        member _.Saved(index, theta) = saves.Add(struct ((if theta < 0.0 then -1 else entries.Count - 1), theta, index))

        member _.Changed(time, event, scheduled) =
            entries.Add(ChangedBy(time, event, scheduled))
            unknowns.Add null

/// Makes the changes of a solve again over numbers 'B, and transposes them.
type internal IChangeReplay<'B> =
    /// state <- the state from which the solve goes on after the change; visit sees an event's time (one number) and the states around it.
    abstract Apply:
        time: float *
        event: int *
        scheduled: int *
        state: 'B[] *
        visit: (OutcomePiece -> 'B[] -> unit) *
        occurrence: int ->
            unit

    /// adjoint: from the cotangent after the change to the one before it. cotangent gives those of an event's pieces (null for zero).
    abstract Pull:
        time: float *
        event: int *
        scheduled: int *
        state: 'B[] *
        adjoint: 'B[] *
        cotangent: (OutcomePiece -> 'B[]) *
        occurrence: int ->
            unit

/// A replay whose state is shorter than that of another one in the same solve: the rest is zero.
[<Sealed>]
type internal PaddedReplay<'B when 'B: struct and 'B :> IReal<'B>>(replay: IStepReplay<'B>, length: int) =
    let own = replay.StateLength
    let start: 'B[] = Array.zeroCreate own
    let finish: 'B[] = Array.zeroCreate own
    let bar: 'B[] = Array.zeroCreate own
    let take (source: 'B[]) (dest: 'B[]) = Array.Copy(source, dest, own)

    let give (source: 'B[]) (dest: 'B[]) =
        source.CopyTo(dest, 0)
        Array.Clear(dest, own, length - own)

    interface IStepReplay<'B> with
        member _.StateLength = length

        member _.Begin(step, state) =
            take state start
            replay.Begin(step, start)
            give start state

        member _.PullBegin(step, state, adjoint) =
            take state start
            take adjoint bar
            replay.PullBegin(step, start, bar)
            give bar adjoint

        member _.Step(step, state, dest) =
            take state start
            replay.Step(step, start, finish)
            give finish dest

        member _.Interpolate(theta, dest) = replay.Interpolate(theta, dest)
        member _.PullInterpolated(theta, c) = replay.PullInterpolated(theta, c)

        member _.Pull adjoint =
            take adjoint bar
            replay.Pull bar
            give bar adjoint

/// Walks over a record with the replays of its methods.
[<Sealed>]
type internal SolveSweep<'B when 'B: struct and 'B :> IReal<'B>>
    (record: SolveTrace, size: int, replays: IStepReplay<'B>[], changes: IChangeReplay<'B>) =
    let entries = record.Entries
    let length = replays |> Array.fold (fun most replay -> max most replay.StateLength) size

    let replays =
        replays
        |> Array.map (fun replay -> if replay.StateLength = length then replay else PaddedReplay<'B>(replay, length))

    let scratch: 'B[] = Array.zeroCreate length
    let inner: 'B[] = Array.zeroCreate size

    let components (state: 'B[]) = if state.Length = size then state else Array.sub state 0 size

    let addTo (x: 'B[]) (dest: 'B[]) =
        let source = NumberRows.doubles x
        NumberRows.add 1.0 source ((NumberRows.doubles dest).Slice(0, source.Length))

    /// Walks over entries [low, high) from a state, which it changes; keep sees the state before each entry.
    let walk (low: int) (high: int) (state: 'B[]) (keep: int -> 'B[] -> unit) (visit: OutcomePiece -> 'B[] -> unit) =
        for i in low .. high - 1 do
            match entries[i] with
            | Stepped step ->
                let replay = replays[step.Method]

                if record.IsFresh i then
                    replay.Begin(step, state)

                keep i state
                replay.Step(step, state, scratch)

                for struct (theta, index) in record.SavesAfter i do
                    if theta = 1.0 then
                        visit (SavedAt index) (components scratch)
                    else
                        replay.Interpolate(theta, inner)
                        visit (SavedAt index) inner

                scratch.CopyTo(state, 0)
            | ChangedBy(time, event, scheduled) ->
                keep i state

                if event >= 0 || scheduled >= 0 then
                    changes.Apply(time, event, scheduled, state, visit, record.OccurrenceOf i)

                for struct (_, index) in record.SavesAfter i do
                    visit (SavedAt index) (components state)

    let ignored (_: OutcomePiece) (_: 'B[]) = ()

    let pullEntry (i: int) (state: 'B[]) (adjoint: 'B[]) (cotangent: OutcomePiece -> 'B[]) =
        let saves = record.SavesAfter i

        let addSaved keepInner =
            for struct (theta, index) in saves do
                match cotangent (SavedAt index) with
                | null -> ()
                | c when theta = 1.0 || not keepInner -> addTo c adjoint
                | _ -> ()

        match entries[i] with
        | Stepped step ->
            let replay = replays[step.Method]
            addSaved true
            replay.Step(step, state, scratch)

            for struct (theta, index) in saves do
                if theta <> 1.0 then
                    match cotangent (SavedAt index) with
                    | null -> ()
                    | c -> replay.PullInterpolated(theta, c)

            replay.Pull adjoint

            if record.IsFresh i then
                replay.PullBegin(step, state, adjoint)
        | ChangedBy(time, event, scheduled) ->
            addSaved false

            if event >= 0 || scheduled >= 0 then
                changes.Pull(time, event, scheduled, state, adjoint, cotangent, record.OccurrenceOf i)

    let extended (y0: 'B[]) : 'B[] =
        let state: 'B[] = Array.zeroCreate length
        y0.CopyTo(state, 0)
        state

    /// Shows every piece of the outcome to visit; the array it sees is only lent.
    member _.Forward(y0: 'B[], visit: OutcomePiece -> 'B[] -> unit) : unit =
        let state = extended y0

        for struct (_, index) in record.SavesAfter -1 do
            visit (SavedAt index) y0

        walk 0 entries.Length state (fun _ _ -> ()) visit
        visit AtEnd (components state)

    /// The cotangent of the initial state, from the cotangents of the pieces of the outcome (null where zero). At most maxStates states are
    /// stored, beside those of one stretch between them (0: all); the stretches are walked again in the backward sweep.
    member _.Backward(y0: 'B[], cotangent: OutcomePiece -> 'B[], maxStates: int) : 'B[] =
        let count = entries.Length

        let stride =
            if maxStates <= 0 || count <= maxStates then
                count
            else
                (count + maxStates - 1) / maxStates

        let stride = max 1 stride
        let adjoint: 'B[] = Array.zeroCreate length

        match cotangent AtEnd with
        | null -> ()
        | c -> c.CopyTo(adjoint, 0)

        // The starts of the stretches; the last stretch is stored whole in the first walk.
        let stretches = (count + stride - 1) / stride
        let starts: 'B[][] = Array.zeroCreate (max 1 stretches)
        let states: 'B[][] = Array.zeroCreate (min stride count)
        let state = extended y0

        for s in 0 .. stretches - 1 do
            starts[s] <- Array.copy state
            let low = s * stride
            let high = min count (low + stride)

            let keep =
                if s = stretches - 1 then
                    fun i (x: 'B[]) -> states[i - low] <- Array.copy x
                else
                    fun _ _ -> ()

            walk low high state keep ignored

        for s in stretches - 1 .. -1 .. 0 do
            let low = s * stride
            let high = min count (low + stride)

            if s < stretches - 1 then
                walk low high (Array.copy starts[s]) (fun i x -> states[i - low] <- Array.copy x) ignored

            for i in high - 1 .. -1 .. low do
                pullEntry i states[i - low] adjoint cotangent
                states[i - low] <- null

        for struct (_, index) in record.SavesAfter -1 do
            match cotangent (SavedAt index) with
            | null -> ()
            | c -> addTo c adjoint

        Array.sub adjoint 0 size
