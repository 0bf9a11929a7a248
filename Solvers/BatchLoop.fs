// The loop of a batch whose samples each have a clock: the bookkeeping of Integrate on arrays, the arithmetic on one tensor.
namespace Continuum

open System
open System.Collections.Generic
open TorchSharp

/// A forward solve, never recorded by autograd. Owns the current state and slope until Dispose; the pieces and inputs that it
/// collects join the dispose scope that was innermost at construction.
[<Sealed>]
type internal BatchLoop(options: BatchOptions, field: TensorField, y0: Tensor, keepInputs: bool) =
    let tableau = options.Tableau
    let events = options.Events
    let batch = int y0.shape[0]

    let kernel =
        RungeKuttaKernel<Tensor, Tensor, TensorClock, TensorClockField>(
            tableau,
            TensorClock(),
            TensorClockField field,
            y0
        )

    let k = kernel.K
    let space = TensorClock() :> IStateSpace<Tensor, Tensor>

    let adaptive, feedback, fixedStep =
        match options.Control with
        | Fixed step -> false, Controller.integral 1, step
        | Adaptive(ValueSome feedback) -> true, feedback, nan
        | Adaptive ValueNone ->
            // the defaults of RungeKuttaStepper
            match tableau.Raw.Error with
            | Dop853Pair _ -> true, Controller.dop853, nan
            | _ when tableau.Name = "Dopri5" -> true, Controller.piDopri5, nan
            | _ -> true, Controller.pi (max 1 tableau.ErrorOrder), nan

    let control = Array.init batch (fun _ -> ControllerState feedback)
    let direction = Array.init batch (fun i -> if options.T1[i] >= options.T0[i] then 1.0 else -1.0)
    let before i a b = direction[i] * (b - a) > 0.0

    let saveTimes =
        match options.SaveTimes with
        | ValueSome times -> times
        | ValueNone -> Array.init batch (fun _ -> [||])

    // clocks: current time, length that the next step would like, attempted signed step and its end
    let t = Array.copy options.T0
    let length = Array.zeroCreate<float> batch
    let h = Array.zeroCreate<float> batch
    let tEnd = Array.zeroCreate<float> batch
    let anchorCount = Array.zeroCreate<int> batch
    let anchor = Array.copy options.T0
    let running = Array.create batch true
    let status = Array.create batch Status.Success
    let messages = Array.create batch ""
    let accepted = Array.zeroCreate<int> batch
    let rejected = Array.zeroCreate<int> batch
    let nextSave = Array.zeroCreate<int> batch
    // events: sign before the step, occurrences, and the watch for accumulation
    let signs = Array.init events.Length (fun _ -> Array.zeroCreate<int> batch)
    let counts = Array.init events.Length (fun _ -> Array.zeroCreate<int> batch)
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
    let mutable extras = false

    let side x =
        if x > 0.0 then 1
        elif x < 0.0 then -1
        else 0

    let replace (current: byref<Tensor>) (next: Tensor) =
        let old = current
        current <- next.alias().DetachFromDisposeScope()

        if not (isNull old) then
            old.Dispose()

    let fail i which (text: string) =
        running[i] <- false
        status[i] <- which
        messages[i] <- $"Sample {i}: {text}"

    let failAll which text =
        for i in 0 .. batch - 1 do
            if running[i] then
                fail i which text

    let time (values: float[]) = if field.Autonomous then null else BatchTensors.column values y

    let emit (piece: BatchPiece) (value: Tensor) =
        pieces[BatchPieces.index piece].Add(value.alias().DetachFromDisposeScope())

    let perSample (x: Tensor) = x.reshape [| int64 batch; -1L |]

    /// Root mean squares of each sample, in float64 so that they do not depend on the layout.
    let rms (x: Tensor) = (perSample (x.pow (2.0.ToScalar()))).mean([| 1L |], ``type`` = Nullable torch.float64).sqrt()

    let scale (magnitude: Tensor) = magnitude.mul(options.Rtol.ToScalar()).add_(options.Atol.ToScalar())

    /// Zero for each sample whose values are all finite, else NaN.
    let blemish (x: Tensor) = (perSample (x.mul (0.0.ToScalar()))).sum(1L).``to`` torch.float64

    /// The scaled errors of the attempted step, NaN where the candidate is not finite; one read.
    let errors (hT: Tensor) (candidate: Tensor) : float[] =
        let weighted (w: float[]) =
            let mutable sum: Tensor = null

            for j in 0 .. tableau.Stages - 1 do
                if w[j] <> 0.0 then
                    use scalar = w[j].ToScalar()
                    sum <- if isNull sum then k[j].mul scalar else sum.add_ (k[j], scalar)

            rms ((sum.mul hT).div_(scale (torch.maximum (y.abs (), candidate.abs ()))))

        let flaw = blemish candidate

        match tableau.Raw.Error with
        | _ when not adaptive -> Tensors.toArray flaw
        | NoEstimate -> Tensors.toArray flaw
        | Embedded w -> Tensors.toArray ((weighted w).add flaw)
        | Dop853Pair(w5, w3) ->
            let both = Tensors.toArray (torch.cat [| (weighted w5).add flaw; weighted w3 |])

            Array.init batch (fun i ->
                let e5, e3 = both[i], both[batch + i]
                if e5 = 0.0 && e3 = 0.0 then 0.0 else e5 * e5 / sqrt (e5 * e5 + 0.01 * e3 * e3))

    let ensureSlope () =
        if isNull slope then
            kernel.FirstSlope(time t, y)
            replace &slope k[0]

    /// Hairer's first step length of each sample: RungeKuttaStepper.InitialStep on arrays.
    let chooseInitialSteps () =
        use _ = torch.NewDisposeScope()
        let longest i = Math.Min(options.MaxStep, abs (options.T1[i] - options.T0[i]))

        match options.InitialStep with
        | ValueSome step ->
            for i in 0 .. batch - 1 do
                length[i] <- Math.Min(step, longest i)
        | ValueNone ->
            ensureSlope ()
            let weight = scale (y.abs ())
            let d0 = Tensors.toArray (rms (y.div weight))
            let d1 = Tensors.toArray (rms (slope.div weight))

            let h0 =
                Array.init batch (fun i ->
                    if not (Double.IsFinite d0[i] && Double.IsFinite d1[i]) then 1e-6
                    elif d0[i] < 1e-5 || d1[i] < 1e-5 then 1e-6
                    else 0.01 * d0[i] / d1[i])
                |> Array.mapi (fun i step -> Math.Min(step, longest i))

            let trial = BatchTensors.column (Array.mapi (fun i step -> direction[i] * step) h0) y

            let next =
                kernel.Slope(
                    time (Array.init batch (fun i -> t[i] + direction[i] * h0[i])),
                    space.Combine(y, y, trial, [| 1.0 |], [| slope |], 1),
                    y
                )

            let d2 = Tensors.toArray (rms (next.sub(slope).div_ weight))

            for i in 0 .. batch - 1 do
                length[i] <-
                    if h0[i] = 0.0 || not (Double.IsFinite d0[i] && Double.IsFinite d1[i]) then
                        h0[i]
                    else
                        let worst = Math.Max(d1[i], d2[i] / h0[i])

                        let h1 =
                            if not (Double.IsFinite(d2[i] / h0[i])) then h0[i] * 0.1
                            elif worst <= 1e-15 then Math.Max(1e-6, h0[i] * 1e-3)
                            else Math.Pow(0.01 / worst, 1.0 / float (max 1 tableau.ErrorOrder))

                        Math.Min(Math.Min(100.0 * h0[i], h1), longest i)

    /// What each sample attempts next: zero for those that are done.
    let plan () =
        for i in 0 .. batch - 1 do
            if running[i] && accepted[i] + rejected[i] >= options.MaxSteps then
                fail
                    i
                    Status.MaxStepsReached
                    $"{options.MaxSteps} steps did not reach the end: stopped at t = {t[i]} of [{options.T0[i]}, {options.T1[i]}] with step {length[i]:g3}; raise MaxSteps, loosen the tolerances, or use a stiff method."

            if not running[i] then
                h[i] <- 0.0
                tEnd[i] <- t[i]
            else
                let stop = options.T1[i]
                let remaining = stop - t[i]

                if adaptive then
                    let step = Math.Min(length[i], options.MaxStep)

                    if step * (1.0 + 1e-10) >= abs remaining then
                        h[i] <- remaining
                        tEnd[i] <- stop
                    else
                        h[i] <- direction[i] * step
                        tEnd[i] <- t[i] + direction[i] * step
                else
                    let next = anchor[i] + direction[i] * fixedStep * float (anchorCount[i] + 1)

                    if not (before i (next + direction[i] * fixedStep * 1e-10) stop) then
                        h[i] <- remaining
                        tEnd[i] <- stop
                    else
                        h[i] <- next - t[i]
                        tEnd[i] <- next

    /// Books an attempt that was not accepted.
    let reject i (e: float) =
        if not adaptive then
            fail
                i
                Status.NonFinite
                $"the solution is not finite after the step from t = {t[i]} with length {abs h[i]}; take a smaller step, or check the field there."
        else
            rejected[i] <- rejected[i] + 1
            length[i] <- abs h[i] * control[i].Reject e
            let least = Math.Max(options.MinStep, 4.0 * (Math.BitIncrement(abs t[i]) - abs t[i]))

            if length[i] < least then
                if Double.IsFinite e then
                    fail
                        i
                        Status.StepTooSmall
                        $"the step size fell below {least:g3} at t = {t[i]}; the problem is stiff, singular or discontinuous there: loosen the tolerances or use a stiff method."
                else
                    fail
                        i
                        Status.NonFinite
                        $"the field or the state is not finite just after t = {t[i]}; check the field there, or bound the span before the singularity."

    /// Event e on the whole batch.
    let condition e (times: float[]) (state: Tensor) : Tensor =
        let value = events[e].Condition (BatchTensors.column times y) state

        if isNull value || value.numel () <> int64 batch then
            let shape = if isNull value then "null" else Tensors.shapeText value

            raise (
                ArgumentException
                    $"Event '{events[e].Name}' must return one number for each of the {batch} samples (shape [{batch}]); it returned {shape}."
            )

        value.reshape(-1L).``to`` torch.float64

    /// All events on the whole batch: [event][sample].
    let conditions (times: float[]) (state: Tensor) : float[][] =
        if events.Length = 0 then
            [||]
        else
            use _ = torch.NewDisposeScope()

            torch.cat (Array.init events.Length (fun e -> condition e times state))
            |> Tensors.toArray
            |> Array.chunkBySize batch

    /// Dense output at one theta for each sample, and the times there.
    let along (hT: Tensor) (thetas: float[]) : struct (float[] * Tensor) =
        if not extras then
            kernel.ExtraStages(time t, hT, y)
            extras <- true

        struct (Array.init batch (fun i -> t[i] + thetas[i] * h[i]), BatchTensors.interpolate tableau k hT y thetas)

    let valuesAlong (hT: Tensor) e (thetas: float[]) : float[] =
        use _ = torch.NewDisposeScope()
        let struct (times, state) = along hT thetas
        Tensors.toArray (condition e times state)

    /// Finds the first event within the attempted step of every sample that would advance: theta (above 1: none) and which;
    /// samples with an event function that is not a number fail. Also the event functions at the end of the step.
    let findEvents (hT: Tensor) (candidate: Tensor) (advance: bool[]) : struct (float[] * int[] * float[][]) =
        let grid = CrossingSearch.Grid

        let values = // [grid point][event][sample]
            grid
            |> Array.mapi (fun g theta ->
                use _ = torch.NewDisposeScope()

                if g = 0 then
                    conditions t y
                elif g = grid.Length - 1 then
                    conditions tEnd candidate
                else
                    let struct (times, state) = along hT (Array.create batch theta)
                    conditions times state)

        let least = Array.create batch 2.0
        let which = Array.create batch -1
        let searches = List<struct (int * int * CrossingSearch)>()

        for i in 0 .. batch - 1 do
            if advance[i] then
                for e in 0 .. events.Length - 1 do
                    if running[i] && counts[e][i] < events[e].MaxOccurrences then
                        let mine = values |> Array.map (fun at -> at[e][i])

                        if mine |> Array.exists (Double.IsFinite >> not) then
                            fail
                                i
                                Status.NonFinite
                                $"event '{events[e].Name}' (index {e}) is not finite in the step from t = {t[i]} to {tEnd[i]}; it must be finite on the trajectory."
                        else
                            let resolution = 2.0 * Math.Max(abs t[i], abs tEnd[i]) * 1.2e-16 / abs h[i] + 1e-15

                            searches.Add(
                                struct (i, e, CrossingSearch(mine, signs[e][i], events[e].Crossing, resolution))
                            )

        CrossingSearches.run batch (valuesAlong hT) searches

        for struct (i, e, search) in searches do
            if running[i] && search.Theta < least[i] then
                least[i] <- search.Theta
                which[i] <- e

        struct (least, which, values[values.Length - 1])

    /// Retakes the step so that it ends at the events found, correcting their places by step values. Others repeat their step.
    let stepToEvents (hT: Tensor) (theta: float[]) (which: int[]) : struct (Tensor * Tensor) =
        let full = Array.copy h
        let fired i = which[i] >= 0
        let inside i = fired i && theta[i] < 1.0
        let slopes = Array.create batch nan

        for e in which |> Array.filter (fun e -> e >= 0) |> Array.distinct do
            let width = theta |> Array.map (fun x -> Math.Min(1e-4, 0.5 * (1.0 - Math.Min(x, 1.0)) + 1e-9))
            let at sign = Array.init batch (fun i -> if inside i then theta[i] + sign * width[i] else 1.0)
            let left = valuesAlong hT e (at -1.0)
            let right = valuesAlong hT e (at 1.0)

            for i in 0 .. batch - 1 do
                if inside i && which[i] = e then
                    slopes[i] <- (right[i] - left[i]) / (2.0 * width[i] * full[i])

        for i in 0 .. batch - 1 do
            if inside i then
                h[i] <- theta[i] * full[i]
                tEnd[i] <- t[i] + h[i]

        let last = Array.create batch infinity
        let mutable hT = hT
        let mutable candidate: Tensor = null
        let mutable round = 0

        while round < 8 do
            hT <- BatchTensors.column h y
            candidate <- kernel.Step(time t, hT, y, y)
            extras <- false
            let values = conditions tEnd candidate
            let mutable changed = false

            for i in 0 .. batch - 1 do
                if inside i && round < 7 then
                    let g = values[which[i]][i]
                    let next = -g / slopes[i]

                    if
                        g <> 0.0
                        && Double.IsFinite next
                        && abs next < 0.5 * abs last[i]
                        && abs next > 1e-15 * Math.Max(abs tEnd[i], abs h[i])
                        && direction[i] * (h[i] + next) > 0.0
                        && abs (h[i] + next) <= abs full[i]
                    then
                        last[i] <- next
                        h[i] <- h[i] + next
                        tEnd[i] <- t[i] + h[i]
                        changed <- true

            round <- if changed then round + 1 else 99

        struct (hT, candidate)

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
                advance[i] && nextSave[i] < saveTimes[i].Length && not (before i tEnd[i] saveTimes[i].[nextSave[i]]))

        let mutable waiting = due ()

        while waiting.Length > 0 do
            let ends, inner = waiting |> Array.partition (fun i -> saveTimes[i].[nextSave[i]] = tEnd[i])

            if ends.Length > 0 then
                add ends null candidate

            if inner.Length > 0 then
                let theta = Array.zeroCreate<float> batch

                for i in inner do
                    theta[i] <- (saveTimes[i].[nextSave[i]] - t[i]) / h[i]

                let struct (_, value) = along hT theta
                add inner theta value

            waiting <- due ()

        groups.ToArray()

    /// The events that fire at the ends of the steps: for each event the samples, in order.
    let together (which: int[]) (values: float[][]) : int[][] =
        Array.init events.Length (fun e ->
            Array.init batch id
            |> Array.filter (fun i ->
                which[i] >= 0
                && (which[i] = e
                    || (counts[e][i] < events[e].MaxOccurrences
                        && signs[e][i] <> 0
                        && (match events[e].Crossing with
                            | Either -> true
                            | Rising -> signs[e][i] < 0
                            | Falling -> signs[e][i] > 0)
                        && (side values[e].[i] <> signs[e][i] || abs values[e].[i] < 1e-14)))))

    let watchCrowding (which: int[]) (full: float[]) =
        for i in 0 .. batch - 1 do
            if which[i] >= 0 then
                let near = 1e-12 * Math.Max(abs t[i], abs full[i])
                crowded[i] <- if abs (t[i] - lastEvent[i]) <= near then crowded[i] + 1 else 0
                lastEvent[i] <- t[i]

                if running[i] && crowded[i] > 1000 then
                    fail
                        i
                        Status.TooManyEvents
                        $"events accumulate at t = {t[i]} (more than 1000 within rounding of it); make one of them terminal or limit MaxOccurrences."

    /// Applies the events at the (new) current times to the current state.
    let applyEvents (fired: int[][]) (full: float[]) (which: int[]) (advance: bool[]) : EventGroup[] =
        let groups = List<EventGroup>()
        let wasBefore = signs |> Array.map Array.copy
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
                    counts[e][i] <- counts[e][i] + 1

                    if events[e].Apply.IsSome then
                        jumped[i] <- true

                    if events[e].Terminal then
                        running[i] <- false
                        status[i] <- Status.Terminated
                        messages[i] <- $"Sample {i}: event '{events[e].Name}' ended the solve at t = {t[i]}."

        let values = conditions t y

        for e in 0 .. events.Length - 1 do
            for i in 0 .. batch - 1 do
                let s = side values[e].[i]

                if advance[i] && (jumped[i] || s <> 0) then
                    signs[e][i] <- s

            for i in fired[e] do
                signs[e][i] <-
                    // Rounding decides on which side of its own zero a fired event stands: look again a little later.
                    if events[e].Apply.IsSome then
                        0
                    else
                        match events[e].Crossing with
                        | Rising -> 1
                        | Falling -> -1
                        | Either -> if wasBefore[e][i] <> 0 then -wasBefore[e][i] else signs[e][i]

        if Array.contains true jumped then
            let flaws = Tensors.toArray (blemish y)

            for i in 0 .. batch - 1 do
                if jumped[i] && running[i] then
                    anchor[i] <- t[i]
                    anchorCount[i] <- 0

                    if flaws[i] <> 0.0 then
                        fail
                            i
                            Status.NonFinite
                            $"an event's Apply returned a state that is not finite at t = {t[i]}; check it."

            if Array.contains true running && not (isNull slope) then
                kernel.FirstSlope(time t, y)
                replace &slope (torch.where (BatchTensors.mask jumped y, k[0], slope))

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
        let fired = if Array.exists (fun e -> e >= 0) which then together which values else [||]
        let saves = save hT candidate advance

        let struct (times, input) = if keepInputs then remember advance else struct (null, null)

        let taken = Array.init batch (fun i -> if advance[i] then h[i] else 0.0)
        let ends = Array.init batch (fun i -> if advance[i] then tEnd[i] else t[i])
        let mask = BatchTensors.mask advance y
        replace &y (torch.where (mask, candidate, y))

        if tableau.Fsal then
            replace &slope (torch.where (mask, k[tableau.Stages - 1], slope))
        else
            slope.Dispose()
            slope <- null

        for i in 0 .. batch - 1 do
            if advance[i] then
                accepted[i] <- accepted[i] + 1
                t[i] <- tEnd[i]
                anchorCount[i] <- anchorCount[i] + 1

        let changes =
            if fired.Length > 0 then
                applyEvents fired full which advance
            else
                for e in 0 .. events.Length - 1 do
                    for i in 0 .. batch - 1 do
                        if advance[i] && side values[e].[i] <> 0 then
                            signs[e][i] <- side values[e].[i]

                [||]

        // The end of the span, unless an event or its jump ended the sample there.
        for i in 0 .. batch - 1 do
            if running[i] && not (before i t[i] options.T1[i]) then
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
        plan ()

        if Array.contains true running then
            ensureSlope ()
            attempts <- attempts + 1
            k[0] <- slope
            extras <- false
            let hT = BatchTensors.column h y
            let candidate = kernel.Step(time t, hT, y, y)
            let errors = errors hT candidate
            let advance = Array.init batch (fun i -> running[i] && errors[i] <= 1.0)
            let full = Array.copy h
            let nothing = struct (Array.create batch 2.0, Array.create batch -1, [||])

            let struct (theta, which, values) =
                if events.Length > 0 && Array.contains true advance then
                    findEvents hT candidate advance
                else
                    nothing

            for i in 0 .. batch - 1 do
                if advance[i] && running[i] then
                    if adaptive && which[i] < 0 then
                        let next = abs h[i] * control[i].Accept errors[i]
                        // A step cut short by a stop says little about the next one.
                        length[i] <- if abs h[i] < length[i] then Math.Max(length[i], next) else next
                elif running[i] then
                    reject i errors[i]
                else
                    advance[i] <- false

            if Array.contains true advance then
                if Array.exists (fun e -> e >= 0) which then
                    let struct (hT, candidate) = stepToEvents hT theta which
                    accept hT candidate advance which full (conditions tEnd candidate)
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
                Accepted = Array.sum accepted
                Rejected = Array.sum rejected
                Evaluations = kernel.Evaluations
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

        let flaws = Tensors.toArray (blemish y)

        for i in 0 .. batch - 1 do
            if flaws[i] <> 0.0 then
                fail i Status.NonFinite $"the initial state is not finite; check the input at t = {t[i]}."
            elif options.T0[i] = options.T1[i] then
                running[i] <- false

        if Array.contains true running then
            if adaptive then
                chooseInitialSteps ()

            conditions t y
            |> Array.iteri (fun e values -> values |> Array.iteri (fun i g -> signs[e][i] <- side g))

    let firstLine (text: string) =
        let lines = text.Split '\n'
        lines[0].TrimEnd()

    member _.Run() =
        try
            use _ = torch.no_grad ()
            start ()

            while Array.contains true running do
                if options.Cancellation.IsCancellationRequested then
                    failAll Status.Cancelled "cancelled."
                else
                    step ()
                    report ()
        with
        | :? OperationCanceledException when options.Cancellation.IsCancellationRequested ->
            failAll Status.Cancelled "cancelled."
        | problem ->
            error <- problem

            failAll
                Status.FieldThrew
                $"{problem.GetType().Name} from the field, an event or a jump: {firstLine problem.Message}"

    member _.Status = status
    member _.Messages = messages
    member _.Times = t
    member _.Accepted = accepted
    member _.Rejected = rejected
    member _.Evaluations = kernel.Evaluations
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
