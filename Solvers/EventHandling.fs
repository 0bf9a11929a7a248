// Events of a solve under a scalar clock: found on the interpolant of each accepted step, polished to a step value, applied.
namespace Continuum

open System
open System.Collections.Generic

/// Ever shorter times between the occurrences of an event (a Zeno sequence, as of a bouncing ball).
[<Sealed>]
type internal ZenoWatch<'S>(solve: SolveState<'S>, events: Event<'S>[]) =
    let lastTimes = Array.create events.Length nan
    let lastGaps = Array.create events.Length nan
    /// the gap that a run of ever shorter ones began with
    let firstGaps = Array.create events.Length nan
    let shorter = Array.zeroCreate<int> events.Length
    let mutable crowded = 0
    let mutable lastEventTime = nan

    /// An event with a change happened: the next step must be short enough to see the next one, and a millionth of the first
    /// gap is the end of such a sequence (beyond it the state would slip through the surface unseen).
    member _.Changed(i: int) =
        let t = solve.Time
        let gap = abs (t - lastTimes[i])
        lastTimes[i] <- t

        if gap < lastGaps[i] then
            if solve.Adaptive then
                solve.Step <- Math.Min(solve.Step, 100.0 * gap)

            let least = if solve.Adaptive then 0.0 else 1e-3 * solve.FixedStep

            shorter[i] <- shorter[i] + 1

            if shorter[i] >= 4 && gap < Math.Max(1e-6 * firstGaps[i], least) then
                solve.Finish(
                    Status.TooManyEvents,
                    $"Event '{events[i].Name}' accumulates at t = {t}: its occurrences follow each other ever faster, the last after {gap:g3}; make it terminal, limit MaxOccurrences, or end the sequence in its change (a ball comes to rest)."
                )
        else
            firstGaps[i] <- gap
            shorter[i] <- 0

        lastGaps[i] <- gap

    /// Occurrences so close that rounding cannot tell their times apart.
    member _.Crowd(time: float, scale: float) =
        crowded <- if abs (time - lastEventTime) <= scale then crowded + 1 else 0
        lastEventTime <- time

    member _.CheckCrowd() =
        if not solve.Finished && crowded > 1000 then
            solve.Finish(
                Status.TooManyEvents,
                $"Events accumulate at t = {solve.Time} (more than 1000 within rounding of it); make one of them terminal or limit MaxOccurrences."
            )

/// Finds, polishes and applies the events of a solve. observer may be null.
[<Sealed>]
type internal EventHandling<'S>(solve: SolveState<'S>, events: Event<'S>[], copy: 'S -> 'S, observer: IStepObserver<'S>)
    =

    let stepper = solve.Stepper
    let counts = Array.zeroCreate<int> events.Length
    // Sign of each event function on the current side of the trajectory; 0: not known.
    let signs = Array.zeroCreate<int> events.Length
    let occurrences = List<Occurrence<'S>>()
    let zeno = ZenoWatch<'S>(solve, events)

    /// An event function; the event is named where it is not a number.
    let valueOf i time (state: 'S) =
        let value = events[i].Condition time state

        if Double.IsNaN value then
            raise (ArithmeticException $"Event '{events[i].Name}' (index {i}) is NaN at t = {time}.")

        value

    /// The state inside the attempted step, remembered at the sample points that all events share.
    let sampled () =
        let states = Array.zeroCreate<'S>(Events.samples + 1)
        let known = Array.zeroCreate<bool>(Events.samples + 1)

        fun (theta: float) ->
            let scaled = theta * float Events.samples
            let j = int scaled

            if float j = scaled then
                if not known[j] then
                    states[j] <-
                        if j = 0 then stepper.State
                        elif j = Events.samples then stepper.Candidate
                        else stepper.Interpolate theta

                    known[j] <- true

                states[j]
            else
                stepper.Interpolate theta

    /// The root inside the bracket [a, b]. Right after an event, rounding may have put the start on the far side of its zero:
    /// then the bracket's start moves inside.
    let rootWithin (g: float -> float) (a: float) (b: float) (tolerance: float) =
        let gb = g b

        let a, ga =
            seq {
                yield a

                for k in [ 40; 30; 20; 10; 5; 2 ] do
                    yield a + (b - a) * Math.Pow(2.0, -float k)
            }
            |> Seq.map (fun a -> a, g a)
            |> Seq.tryFind (fun (_, ga) -> ga <> 0.0 && sign ga <> sign gb)
            |> Option.defaultValue (b, gb)

        if a = b then b else Events.root g a ga b gb tolerance

    /// Slope of the event function by the interpolant, over the step's time, for corrections by step values.
    let slopeAt index (theta: float) (length: float) =
        let start = solve.Time
        let h = theta * length
        let delta = Math.Min(1e-4, 0.5 * (1.0 - theta) + 1e-9) * length
        let gLeft = valueOf index (start + h - delta) (stepper.Interpolate((h - delta) / length))
        let gRight = valueOf index (start + h + delta) (stepper.Interpolate((h + delta) / length))
        (gRight - gLeft) / (2.0 * delta)

    /// Makes the event at theta the end of an attempted step, so that its state is a step value: secant steps on the step's
    /// length. Returns that length and end.
    let polish (theta: float) (index: int) (length: float) (tEnd: float) : struct (float * float) =
        let start = solve.Time

        if theta >= 1.0 then
            struct (theta * length, tEnd)
        else
            let mutable h = theta * length
            let mutable tEvent = start + h
            let mutable slope = slopeAt index theta length
            let mutable round = 0
            let mutable correction = infinity
            let mutable last = nan

            while round < 8 do
                tEvent <- start + h
                solve.Attempt(h, tEvent) |> ignore
                let g = valueOf index tEvent stepper.Candidate

                // secant: the slope of the last correction, where it changed g
                if Double.IsFinite correction && g <> last then
                    slope <- (g - last) / correction

                let next = -g / slope

                if
                    g <> 0.0
                    && Double.IsFinite next
                    && abs next < 0.5 * abs correction
                    && abs next > 1e-15 * Math.Max(abs tEvent, abs h)
                    && solve.Direction * (h + next) > 0.0
                    && abs (h + next) <= abs length
                then
                    last <- g
                    correction <- next
                    h <- h + next
                    round <- round + 1
                else
                    round <- 99

            // The last correction moved the end of the step: take the step that is recorded.
            if round < 99 then
                tEvent <- start + h
                solve.Attempt(h, tEvent) |> ignore

            struct (h, tEvent)

    /// All events that cross at the end of the attempted step fire together, in list order.
    let together index (time: float) = [|
        for i in 0 .. events.Length - 1 do
            if i = index then
                yield i
            elif counts[i] < events[i].MaxOccurrences && signs[i] <> 0 then
                let g = valueOf i time stepper.Candidate

                let wanted =
                    match events[i].Crossing with
                    | Either -> true
                    | Rising -> signs[i] < 0
                    | Falling -> signs[i] > 0

                if wanted && (sign g <> signs[i] || abs g < 1e-14) then
                    yield i
    |]

    let updateSigns time (state: 'S) =
        for i in 0 .. events.Length - 1 do
            let s = sign (valueOf i time state)

            if s <> 0 then
                signs[i] <- s

    let restart time (state: 'S) =
        solve.Restart(time, state)

        // The state moved: signs are taken anew.
        for i in 0 .. signs.Length - 1 do
            signs[i] <- sign (valueOf i time state)

    let notify i =
        if not (isNull (box observer)) then
            observer.Changed(solve.Time, i, -1)

    let fire i (wasBefore: int[]) =
        counts[i] <- counts[i] + 1
        let t = solve.Time
        let state = copy stepper.State

        match events[i].Apply with
        | ValueSome change ->
            let after = change t state
            notify i
            occurrences.Add { Event = i; Time = t; Before = state; After = copy after }
            restart t after
            // Rounding decides on which side of its own zero a fired event stands: look again a little later.
            signs[i] <- 0

            if not events[i].Terminal && counts[i] < events[i].MaxOccurrences then
                zeno.Changed i
        | ValueNone ->
            occurrences.Add { Event = i; Time = t; Before = state; After = state }
            notify i

            // On the far side of this crossing by definition, whatever rounding says.
            signs[i] <-
                match events[i].Crossing with
                | Rising -> 1
                | Falling -> -1
                | Either -> if wasBefore[i] <> 0 then -wasBefore[i] else signs[i]

        if events[i].Terminal then
            solve.Finish(Status.Terminated, $"Event '{events[i].Name}' ended the solve at t = {t}.")

    member _.Occurrences = occurrences

    /// A change of the state between steps.
    member _.Restart(time: float, state: 'S) = restart time state

    /// The field changed between steps and the state did not: which side the events are on stays known.
    member _.RestartSameState(time: float, state: 'S) =
        let kept = Array.copy signs
        restart time state
        Array.blit kept 0 signs 0 signs.Length

    /// Signs at the end of a step without events.
    member _.UpdateSigns(time: float, state: 'S) = updateSigns time state

    /// The earliest crossing on the interpolant of the attempted step from the current time: its theta and the event's index,
    /// or a theta above 1 and -1.
    member _.Find(length: float) : struct (float * int) =
        let start = solve.Time
        let at = sampled ()
        let resolution = 4.0 * Math.Max(abs start, abs (start + length)) * 1.2e-16 / abs length + 1e-15
        let mutable best = struct (2.0, -1)

        for i in 0 .. events.Length - 1 do
            if counts[i] < events[i].MaxOccurrences then
                let g theta = valueOf i (start + theta * length) (at theta)
                let struct (bracket, _) = Events.firstCrossing g signs[i] events[i].Crossing

                match bracket with
                | ValueSome(struct (a, b)) ->
                    let theta = rootWithin g a b resolution
                    let struct (least, _) = best

                    if theta < least then
                        best <- struct (theta, i)
                | ValueNone -> ()

        best

    /// Steps to the event found at theta of the attempted step and applies it.
    member _.Handle(theta: float, index: int, length: float, tEnd: float) =
        let struct (hEvent, tEvent) = polish theta index length tEnd
        let firing = together index tEvent
        solve.Accept(hEvent, tEvent)

        // A fixed step that ends at the event is done; the next one must not have length zero.
        if tEvent = tEnd then
            solve.CountFixed()

        zeno.Crowd(tEvent, 1e-12 * Math.Max(abs tEvent, abs length))
        let wasBefore = Array.copy signs
        updateSigns solve.Time stepper.State

        for i in firing do
            if not solve.Finished then
                fire i wasBefore

        zeno.CheckCrowd()
