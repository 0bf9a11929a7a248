// The loop of a batch whose samples each have a clock: the bookkeeping of Integrate on arrays, the arithmetic on one tensor.
namespace Continuum

open System
open System.Collections.Generic
open TorchSharp

/// A forward solve, never recorded by autograd. Owns the current state and slope until Dispose; the pieces and inputs that it
/// collects join the dispose scope that was innermost at construction.
[<Sealed>]
type internal BatchLoop(options: BatchOptions, field: TensorField, y0: Tensor, keepInputs: bool) =
    let events = options.Events
    let batch = int y0.shape[0]

    let stepper = new BatchStepper(options, field, y0)
    let clocks = BatchClocks(options, stepper.Kernel.DefaultFeedback, batch)
    let finder = BatchFinder(options, stepper, clocks, batch)

    let saveTimes =
        match options.SaveTimes with
        | ValueSome times -> times
        | ValueNone -> Array.init batch (fun _ -> [||])

    let t = clocks.T
    let h = clocks.H
    let tEnd = clocks.TEnd
    let running = clocks.Running
    let nextSave = Array.zeroCreate<int> batch
    // the watch for accumulating events
    let crowded = Array.zeroCreate<int> batch
    let lastEvent = Array.create batch nan
    // results
    let pieces = Array.init 4 (fun _ -> List<Tensor>())
    let slots = List<struct (int * int)>()
    let happened = List<struct (int * int * float)>()
    let rounds = List<BatchRound>()
    let inputs = List<Tensor>()
    let mutable startRows: int[] = [||]
    let mutable error: exn = null
    let mutable attempts = 0
    let mutable y = y0.detach().DetachFromDisposeScope()
    let mutable slope: Tensor = null
    // where the field of each sample was last finite, if anywhere
    let safeT = Array.copy options.T0
    let safeKnown = Array.zeroCreate<bool> batch
    let mutable safe: Tensor = null

    let replace (current: byref<Tensor>) (next: Tensor) =
        let old = current
        current <- next.alias().DetachFromDisposeScope()

        if not (isNull old) then
            old.Dispose()

    let emit (piece: BatchPiece) (value: Tensor) =
        pieces[BatchPieces.index piece].Add(value.alias().DetachFromDisposeScope())

    let ensureSlope () =
        if isNull slope then
            replace &slope (stepper.Slope(t, y))

    /// Saves what falls into the steps about to be accepted.
    let save (hT: Tensor) (candidate: Tensor) (advance: bool[]) : SaveGroup[] =
        let groups = List<SaveGroup>()

        let add (samples: int[]) theta (value: Tensor) =
            groups.Add { Samples = samples; Theta = theta; Offset = slots.Count }
            emit SavedRows (BatchTensors.rows samples value)

            for i in samples do
                slots.Add(struct (nextSave[i], i))
                nextSave[i] <- nextSave[i] + 1

        let due () =
            Array.init batch id
            |> Array.filter (fun i ->
                advance[i]
                && nextSave[i] < saveTimes[i].Length
                && not (clocks.Before(i, tEnd[i], saveTimes[i].[nextSave[i]])))

        let mutable waiting = due ()

        while waiting.Length > 0 do
            let ends, inner = waiting |> Array.partition (fun i -> saveTimes[i].[nextSave[i]] = tEnd[i])

            if ends.Length > 0 then
                add ends null candidate

            if inner.Length > 0 then
                let theta = Array.zeroCreate<float> batch

                for i in inner do
                    theta[i] <- (saveTimes[i].[nextSave[i]] - t[i]) / h[i]

                stepper.EnsureExtras(t, hT, y)
                add inner theta (stepper.Interpolate(hT, y, theta))

            waiting <- due ()

        groups.ToArray()

    let watchCrowding (which: int[]) (full: float[]) =
        for i in 0 .. batch - 1 do
            if which[i] >= 0 then
                let near = 1e-12 * Math.Max(abs t[i], abs full[i])
                crowded[i] <- if abs (t[i] - lastEvent[i]) <= near then crowded[i] + 1 else 0
                lastEvent[i] <- t[i]

                if running[i] && crowded[i] > 1000 then
                    clocks.Fail(
                        i,
                        Status.TooManyEvents,
                        $"events accumulate at t = {t[i]} (more than 1000 within rounding of it); make one of them terminal or limit MaxOccurrences."
                    )

    /// Applies the events at the (new) current times to the current state.
    let applyEvents (fired: int[][]) (full: float[]) (which: int[]) (advance: bool[]) : EventGroup[] =
        let groups = List<EventGroup>()
        let jumped = Array.zeroCreate<bool> batch

        for e in 0 .. events.Length - 1 do
            let samples = fired[e] |> Array.filter (fun i -> running[i])

            if samples.Length > 0 then
                groups.Add { Event = e; Fired = samples; Offset = happened.Count }
                let was = y.alias ()

                match events[e].Apply with
                | ValueSome change ->
                    let next = TensorField.verify y (change (BatchTensors.column t y) was)
                    replace &y (torch.where (BatchTensors.mask (BatchTensors.bits batch samples) y, next, was))
                | ValueNone -> ()

                emit EventTimes (torch.zeros ([| int64 samples.Length |], dtype = y.dtype, device = y.device))
                emit EventBefores (BatchTensors.rows samples was)
                emit EventAfters (BatchTensors.rows samples y)

                for i in samples do
                    happened.Add(struct (e, i, t[i]))
                    finder.Counts[e].[i] <- finder.Counts[e].[i] + 1

                    if events[e].Apply.IsSome then
                        jumped[i] <- true

                    if events[e].Terminal then
                        running[i] <- false
                        clocks.Status[i] <- Status.Terminated
                        clocks.Messages[i] <- $"Sample {i}: event '{events[e].Name}' ended the solve at t = {t[i]}."

        finder.MoveAfterEvents(finder.Conditions(t, y), advance, fired, jumped)

        if Array.contains true jumped then
            let flaws = Tensors.toArray (BatchTensors.blemish y)

            for i in 0 .. batch - 1 do
                if jumped[i] && running[i] then
                    clocks.Anchor i

                    if flaws[i] <> 0.0 then
                        clocks.Fail(
                            i,
                            Status.NonFinite,
                            $"an event's Apply returned a state that is not finite at t = {t[i]}; check it."
                        )

            if Array.contains true running && not (isNull slope) then
                replace &slope (torch.where (BatchTensors.mask jumped y, stepper.Slope(t, y), slope))

        watchCrowding which full
        groups.ToArray()

    /// Notes the state before the step, with a harmless one for samples that do not advance.
    let remember (advance: bool[]) : struct (float[] * Tensor) =
        let active = BatchTensors.mask advance y
        let donor = Array.IndexOf(advance, true)
        let from = Array.init batch (fun i -> if advance[i] || safeKnown[i] then int64 i else int64 donor)
        let mixed = if isNull safe then y else torch.where (active, y, safe)

        let times =
            Array.init batch (fun i ->
                if advance[i] then t[i]
                elif safeKnown[i] then safeT[i]
                else t[donor])

        let input =
            if from |> Array.mapi (fun i source -> source = int64 i) |> Array.forall id then
                mixed
            else
                use plain = torch.tensor from
                use copy = plain.clone ()
                mixed.index_select (0L, copy.``to`` y.device)

        for i in 0 .. batch - 1 do
            if advance[i] then
                safeT[i] <- t[i]
                safeKnown[i] <- true

        replace &safe mixed
        struct (times, input.alias().DetachFromDisposeScope())

    /// Makes the attempted steps of the samples in advance current.
    let accept (hT: Tensor) (candidate: Tensor) (advance: bool[]) (which: int[]) (full: float[]) (values: float[][]) =
        let fired =
            if Array.exists (fun e -> e >= 0) which then
                finder.Together(which, values)
            else
                [||]

        let saves = save hT candidate advance

        let struct (times, input) = if keepInputs then remember advance else struct (null, null)

        let taken = Array.init batch (fun i -> if advance[i] then h[i] else 0.0)
        let ends = Array.init batch (fun i -> if advance[i] then tEnd[i] else t[i])
        let mask = BatchTensors.mask advance y
        replace &y (torch.where (mask, candidate, y))

        match stepper.Kernel.EndSlope with
        | null ->
            slope.Dispose()
            slope <- null
        | last -> replace &slope (torch.where (mask, last, slope))

        for i in 0 .. batch - 1 do
            if advance[i] then
                clocks.Advance i

        let changes =
            if fired.Length > 0 then
                applyEvents fired full which advance
            else
                finder.Move(values, advance)
                [||]

        // The end of the span, unless an event or its jump ended the sample there.
        for i in 0 .. batch - 1 do
            if running[i] && not (clocks.Before(i, t[i], options.T1[i])) then
                running[i] <- false

        if keepInputs then
            inputs.Add input

            rounds.Add {
                T = times
                H = taken
                TEnd = ends
                Active = advance
                Saves = saves
                Events = changes
            }

    let step () =
        use _ = torch.NewDisposeScope()
        clocks.Plan()

        if Array.contains true running then
            ensureSlope ()
            attempts <- attempts + 1
            let hT = BatchTensors.column h y
            let candidate = stepper.Step(t, hT, y, slope)
            let troubles = stepper.Kernel.Troubles
            let errors = stepper.Errors(y, hT, candidate)
            let advance = Array.init batch (fun i -> running[i] && errors[i] <= 1.0)
            let full = Array.copy h
            let nothing = struct (Array.create batch 2.0, Array.create batch -1, [||])

            let struct (theta, which, values) =
                if events.Length > 0 && Array.contains true advance then
                    finder.Find(y, hT, candidate, advance)
                else
                    nothing

            for i in 0 .. batch - 1 do
                if advance[i] && running[i] then
                    if which[i] < 0 then
                        clocks.Control(i, errors[i])
                elif running[i] then
                    clocks.Reject(i, errors[i], (if isNull troubles then Status.Success else troubles[i]))
                else
                    advance[i] <- false

            if Array.contains true advance then
                if Array.exists (fun e -> e >= 0) which then
                    let struct (hT, candidate, values) = finder.StepTo(y, hT, slope, theta, which)
                    accept hT candidate advance which full values
                else
                    accept hT candidate advance which full values

    let report () =
        if not (isNull options.Progress) then
            options.Progress.Invoke {
                Round = attempts
                Running = running |> Array.sumBy (fun on -> if on then 1 else 0)
                Fraction =
                    Array.init batch (fun i ->
                        if running[i] then
                            (t[i] - options.T0[i]) / (options.T1[i] - options.T0[i])
                        else
                            1.0)
                    |> Array.average
                Accepted = Array.sum clocks.Accepted
                Rejected = Array.sum clocks.Rejected
                Evaluations = stepper.Kernel.Evaluations
            }

    let start () =
        use _ = torch.NewDisposeScope()

        let atStart = [|
            for i in 0 .. batch - 1 do
                if saveTimes[i].Length > 0 && saveTimes[i].[0] = t[i] then
                    i
        |]

        startRows <- atStart

        if atStart.Length > 0 then
            emit SavedRows (BatchTensors.rows atStart y)

            for i in atStart do
                slots.Add(struct (0, i))
                nextSave[i] <- 1

        let flaws = Tensors.toArray (BatchTensors.blemish y)

        for i in 0 .. batch - 1 do
            if flaws[i] <> 0.0 then
                clocks.Fail(i, Status.NonFinite, $"the initial state is not finite; check the input at t = {t[i]}.")
            elif options.T0[i] = options.T1[i] then
                running[i] <- false

        if Array.contains true running then
            match options.Control, options.InitialStep with
            | Fixed _, _ -> ()
            | _, ValueSome step ->
                for i in 0 .. batch - 1 do
                    clocks.Length[i] <- Math.Min(step, BatchStepper.Longest(options, i))
            | _, ValueNone ->
                ensureSlope ()
                let lengths = stepper.InitialSteps(t, y, slope)
                Array.blit lengths 0 clocks.Length 0 batch

            if events.Length > 0 then
                finder.Start(finder.Conditions(t, y))

    let firstLine (text: string) =
        let lines = text.Split '\n'
        lines[0].TrimEnd()

    member _.Run() =
        try
            use _ = torch.no_grad ()
            start ()

            while Array.contains true running do
                if options.Cancellation.IsCancellationRequested then
                    clocks.FailAll(Status.Cancelled, "cancelled.")
                else
                    step ()
                    report ()
        with
        | :? OperationCanceledException when options.Cancellation.IsCancellationRequested ->
            clocks.FailAll(Status.Cancelled, "cancelled.")
        | problem ->
            error <- problem

            clocks.FailAll(
                Status.FieldThrew,
                $"{problem.GetType().Name} from the field, an event or a jump: {firstLine problem.Message}"
            )

    member _.Status = clocks.Status
    member _.Messages = clocks.Messages
    member _.Times = t
    member _.Accepted = clocks.Accepted
    member _.Rejected = clocks.Rejected
    member _.Evaluations = stepper.Kernel.Evaluations
    member _.Error = error
    /// Current state.
    member _.State = y
    /// For each sample the number of its save times that were reached.
    member _.SavedCounts = nextSave
    /// Samples whose initial state was saved: the first rows.
    member _.StartRows = startRows
    /// (slot, sample) of every saved row.
    member _.Slots = slots
    /// (event, sample, time) of every occurrence.
    member _.Happened = happened
    member _.Rounds = rounds
    member _.Inputs = inputs

    /// Saved rows, event times (zeros here), states before and after events: lists to concatenate.
    member _.Pieces = pieces

    interface IDisposable with
        member _.Dispose() =
            (stepper :> IDisposable).Dispose()
            y.Dispose()

            if not (isNull slope) then
                slope.Dispose()

            if not (isNull safe) then
                safe.Dispose()

            for list in pieces do
                for tensor in list do
                    tensor.Dispose()

            for tensor in inputs do
                tensor.Dispose()
