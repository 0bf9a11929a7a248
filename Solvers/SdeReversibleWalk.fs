// Back over the steps of a reversible stochastic solve, from sparse checkpoints: what was stored, and the walk itself.
namespace Continuum

open System
open System.Collections.Generic
open TorchSharp

/// What the backward sweep needs of a forward solve: its steps as numbers and a pair of states after every so many of them.
[<Sealed>]
type internal SdeReversibleTape(every: int, heuristics: SdeHeuristics<SdePair>) =
    inherit SdeTape<SdePair>(heuristics)
    let marks = List<int>()
    let pairs = List<Tensor>()

    /// How many steps came before each stored pair; increasing, not 0.
    member _.Marks = marks
    /// y and z of each mark.
    member _.Pairs = pairs

    /// Stores the pair that the steps so far have reached.
    member this.Mark(pair: SdePair) =
        if this.Steps.Count > 0 && (marks.Count = 0 || marks[marks.Count - 1] < this.Steps.Count) then
            marks.Add this.Steps.Count
            pairs.Add(pair.Y.alias().DetachFromDisposeScope())
            pairs.Add(pair.Z.alias().DetachFromDisposeScope())

    /// The stored pairs as one tensor (none for none) in the innermost scope; frees them.
    member _.Pack() : Tensor[] =
        let packed = if pairs.Count = 0 then [||] else [| torch.stack (pairs.ToArray()) |]

        for x in pairs do
            x.Dispose()

        pairs.Clear()
        packed

    override this.Before pair =
        if this.Steps.Count % every = 0 then
            this.Mark pair

    override _.Estimated() = ()

/// The backward sweep over a tape. cotangent gives that of a saved value, null for none. checkpoints: the pairs at the marks, the last one
/// at the end. With `repair` a stretch that was not reconstructed to `target` is taken again from stored states that lie closer.
[<Sealed>]
type internal SdeReversibleWalk
    (
        driver: SdeDriver,
        kernel: ISdeKernel<SdePair, Tensor>,
        sweep: SdeReverseSweep,
        steps: SdeStep[],
        saves: SdeSaves,
        cotangent: int -> Tensor,
        parameters: Tensor[],
        target: float,
        repair: bool
    ) =
    let sums: Tensor[] = Array.zeroCreate parameters.Length
    let mutable allowed = Int32.MaxValue
    let mutable worst = 0.0
    let mutable worstTime = nan

    let receive position =
        match saves.EndOf position with
        | null -> ()
        | list ->
            for index in list do
                match cotangent index with
                | null -> ()
                | bar -> sweep.Receive bar

    let sidesOf position : SideCotangent[] =
        match saves.InsideOf position with
        | null -> [||]
        | list -> [|
            for struct (time, index) in list do
                match cotangent index with
                | null -> ()
                | bar -> { Time = time; Cotangent = bar }
          |]

    let addSums (found: Tensor[]) =
        for i in 0 .. found.Length - 1 do
            if not (isNull found[i]) then
                if isNull sums[i] then
                    sums[i] <- found[i].clone().MoveToOuterDisposeScope()
                else
                    sums[i].add_ found[i] |> ignore

    /// How far the sweep is from what was stored where it stands, relative to the states.
    let miss (y: Tensor) (z: Tensor) (other: Tensor) =
        use _ = torch.NewDisposeScope()
        let length (x: Tensor) = x.norm().ToDouble()
        let gap = Math.Max(length (sweep.Y.sub y), length (sweep.Z.sub z))
        if gap = 0.0 then 0.0 else gap / Math.Max(length y, length other)

    let timesOf low high = [|
        steps[low].From
        for i in low .. high - 1 do
            steps[i].To
    |]

    /// Steps [low, high) undone from the pair at high; what came out is compared with the pair at low. The relative gap.
    let walk
        (low: int)
        (high: int)
        (struct (yLow: Tensor, zLow: Tensor))
        (struct (yHigh: Tensor, zHigh: Tensor))
        gradients
        =
        driver.Prepare(timesOf low high)
        sweep.Place(steps[high - 1].To, yHigh, zHigh)

        for i in high - 1 .. -1 .. low do
            sweep.Pull(steps[i], sidesOf i, gradients)
            receive i

        miss yLow zLow yHigh

    let note position gap =
        // NaN counts as worst.
        if not (gap <= worst) then
            worst <- if Double.IsNaN gap then infinity else gap
            worstTime <- steps[position].From

    /// The pairs after low, low + every, ... below high, by taking the steps again.
    let replay
        (low: int)
        (high: int)
        (every: int)
        (struct (y: Tensor, z: Tensor))
        : List<struct (int * Tensor * Tensor)> =
        let found = List<struct (int * Tensor * Tensor)>()
        let mutable pair = SdePair(y.alias (), z.alias (), null, null)
        kernel.Start()

        for i in low .. high - 1 do
            if (i - low) % every = 0 then
                found.Add(struct (i, pair.Y.alias (), pair.Z.alias ()))

            if i < high - 1 then
                use _ = torch.NewDisposeScope()
                let step = steps[i]
                let next = kernel.Step(step.From, step.Length, driver.Along(step.From, step.To), pair, null)
                let kept = next.Map(fun x -> x.alias().MoveToOuterDisposeScope())
                pair.Free()
                pair <- kept

        pair.Free()
        found

    let rec stretch (low: int) (high: int) (lower: struct (Tensor * Tensor)) (upper: struct (Tensor * Tensor)) =
        if high - low > allowed then
            split low high lower upper
        else
            let before = sweep.Snapshot()
            use gradients = new GradientAccumulator(parameters)
            let gap = walk low high lower upper gradients

            if repair && not (gap <= target) && high - low > 1 then
                (gradients :> IDisposable).Dispose()
                sweep.Restore before
                before.Free()
                allowed <- max 1 ((high - low) / 8)
                split low high lower upper
            else
                before.Free()
                note low gap
                use _ = torch.NewDisposeScope()
                addSums (gradients.ResultOrNull())

    and split low high lower upper =
        let inner = replay low high allowed lower
        let mutable upper = upper
        let mutable top = high

        for n in inner.Count - 1 .. -1 .. 0 do
            let struct (i, y, z) = inner[n]
            stretch i top (struct (y, z)) upper
            upper <- struct (y, z)
            top <- i

        for struct (_, y, z) in inner do
            y.Dispose()
            z.Dispose()

    /// Largest relative gap between a reconstructed and a stored state.
    member _.Worst = worst
    /// When it was found.
    member _.WorstTime = worstTime

    /// The cotangent of the initial state, and those of the parameters (null where none).
    member _.Run(initial: Tensor, marks: int[], stored: int -> struct (Tensor * Tensor)) : struct (Tensor * Tensor[]) =
        receive steps.Length

        for n in marks.Length - 1 .. -1 .. 0 do
            let low = if n = 0 then 0 else marks[n - 1]
            let lower = if n = 0 then struct (initial, initial) else stored (n - 1)
            stretch low marks[n] lower (stored n)

        use gradients = new GradientAccumulator(parameters)
        let start = sweep.Finish gradients
        addSums (gradients.ResultOrNull())
        struct (start, sums)
