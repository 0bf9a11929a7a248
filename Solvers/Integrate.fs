// The one loop under a scalar clock: attempt, control, find events, save, count. It knows interfaces only, so every
// method family and state space runs through it.
namespace Continuum

open System
open System.Collections.Generic
open System.Threading

/// Continuous output over all accepted steps.
[<Sealed>]
type internal DenseSolution<'S>(steps: IDenseSolution<'S>[], start: float, finish: float) =
    let direction = if finish >= start then 1.0 else -1.0

    interface IHoldsStates<'S> with
        member _.ForEach visit =
            for step in steps do
                match step with
                | :? IHoldsStates<'S> as step -> step.ForEach visit
                | _ -> ()

    interface IDenseSolution<'S> with
        member _.Start = start
        member _.End = finish

        member _.At t =
            if not (direction * (t - start) >= 0.0 && direction * (finish - t) >= 0.0) then
                raise (
                    ArgumentOutOfRangeException(
                        nameof t,
                        t,
                        $"The dense solution covers {start} to {finish}; extend the span of the solve to evaluate it at {t}."
                    )
                )

            // The last step that starts at or before t: after an event that moved the state, the value after it.
            let mutable low = 0
            let mutable high = steps.Length - 1

            while low < high do
                let middle = (low + high + 1) / 2

                if direction * (t - steps[middle].Start) >= 0.0 then
                    low <- middle
                else
                    high <- middle - 1

            steps[low].At t

/// Default options and checks.
[<RequireQualifiedAccess>]
module SolveOptions =
    /// Adaptive steps, end state only, no events.
    let create<'S> (rtol: float) (atol: float) : SolveOptions<'S> = {
        Control = Adaptive ValueNone
        Tolerance = Tolerance.create rtol atol
        SaveAt = EndOnly
        Events = [||]
        Scheduled = [||]
        Jumps = [||]
        InitialStep = ValueNone
        MaxStep = infinity
        MinStep = 0.0
        MaxSteps = 100_000
        Heuristics = false
        Progress = null
        Cancellation = CancellationToken.None
    }

    let private bad (text: string) = raise (ArgumentException text)

    /// Throws ArgumentException, naming the option, its value and the remedy, where options contradict the span.
    let check (options: SolveOptions<'S>) (t0: float) (t1: float) =
        if not (Double.IsFinite t0 && Double.IsFinite t1) then
            bad $"The span must be finite; got [{t0}, {t1}]."

        if t0 = t1 then
            bad $"The span [{t0}, {t1}] has zero length; give an end time that differs from the start."

        Tolerance.create<'S> options.Tolerance.Rtol options.Tolerance.Atol |> ignore

        match options.Control with
        | Fixed step when not (Double.IsFinite step) || step <= 0.0 ->
            bad $"A fixed step must be finite and > 0 (its direction comes from the span); got {step}."
        | _ -> ()

        match options.InitialStep with
        | ValueSome step when not (Double.IsFinite step) || step <= 0.0 ->
            bad $"The initial step must be finite and > 0; got {step}."
        | _ -> ()

        if Double.IsNaN options.MaxStep || options.MaxStep <= 0.0 then
            bad $"The largest step must be > 0; got {options.MaxStep}."

        if not (Double.IsFinite options.MinStep) || options.MinStep < 0.0 then
            bad $"The smallest step must be finite and >= 0; got {options.MinStep}."

        if options.MinStep > options.MaxStep then
            bad
                $"The smallest step ({options.MinStep}) is larger than the largest ({options.MaxStep}); lower MinStep or raise MaxStep."

        if options.MaxSteps <= 0 then
            bad $"MaxSteps must be > 0; got {options.MaxSteps}."

        let direction = if t1 > t0 then 1.0 else -1.0

        match options.SaveAt with
        | Times times
        | StepValues times ->
            if times.Length = 0 then
                bad "The list of save times is empty; use EndOnly, or give at least one time."

            for i in 0 .. times.Length - 1 do
                if not (direction * (times[i] - t0) >= 0.0 && direction * (t1 - times[i]) >= 0.0) then
                    bad $"Save time {times[i]} (index {i}) lies outside of the span [{t0}, {t1}]."

                if i > 0 && not (direction * (times[i] - times[i - 1]) > 0.0) then
                    bad
                        $"Save times must be strictly monotone in the direction of the span; index {i} ({times[i]}) follows {times[i - 1]}."
        | _ -> ()

        for dose in options.Scheduled do
            if not (direction * (dose.Time - t0) >= 0.0 && direction * (t1 - dose.Time) >= 0.0) then
                bad $"Scheduled time {dose.Time} lies outside of the span [{t0}, {t1}]."

        for jump in options.Jumps do
            if not (Double.IsFinite jump) then
                bad $"Jump times must be finite; got {jump}."

/// What a driver beside the loop may watch (adjoints record steps with it). Called with the step still attempted.
type internal IStepObserver<'S> =
    /// Before an accepted step becomes current: stepper.Time is its start, h its signed length.
    abstract Accepting: stepper: IStepper<'S> * h: float -> unit
    /// A saved value: the index into the results, its theta in the step about to be accepted (1 is its end), or -1 when it is the
    /// state at the start of the solve.
    abstract Saved: index: int * theta: float -> unit
    /// An event or scheduled change replaced the state between steps; both indices are -1 at a declared jump, where only the
    /// slope is new.
    abstract Changed: time: float * event: int * scheduled: int -> unit

/// The adaptive loop.
[<RequireQualifiedAccess>]
module internal Integrate =

    /// What can stop a step before the step size does.
    [<Struct>]
    type private Stop = {
        At: float
        /// -1, or index of the scheduled change
        Scheduled: int
        /// NaN, or the declared jump that this stop precedes by one ulp
        Jump: float
    }

    let private firstLine (text: string) =
        match text.IndexOf '\n' with
        | -1 -> text
        | i -> text.Substring(0, i).TrimEnd()

    let run
        (stepper: IStepper<'S>)
        (copy: 'S -> 'S)
        // moves a value of the attempted step out of its memory scope
        (keep: 'S -> 'S)
        (isFinite: 'S -> bool)
        (observer: IStepObserver<'S>)
        (options: SolveOptions<'S>)
        (t0: float)
        (t1: float)
        (y0: 'S)
        : Solution<'S> =
        SolveOptions.check options t0 t1
        let direction = if t1 > t0 then 1.0 else -1.0
        let before a b = direction * (b - a) > 0.0

        let adaptive, feedback, fixedStep =
            match options.Control with
            | Fixed step -> false, stepper.DefaultFeedback, step
            | Adaptive _ when not stepper.IsAdaptive ->
                raise (
                    ArgumentException
                        "This method has no error estimate, so its steps cannot be adaptive; choose a fixed step, or a method with an embedded pair such as Tsit5 or Dopri5."
                )
            | Adaptive(ValueSome feedback) -> true, feedback, nan
            | Adaptive ValueNone -> true, stepper.DefaultFeedback, nan

        let control = ControllerState feedback
        let events = options.Events
        let hasEvents = events.Length > 0

        let beside (time: float) (sign: float) = if sign > 0.0 then Math.BitIncrement time else Math.BitDecrement time

        let stops =
            let list = List<Stop>()
            list.Add { At = t1; Scheduled = -1; Jump = nan }

            match options.SaveAt with
            | StepValues times ->
                for time in times do
                    list.Add { At = time; Scheduled = -1; Jump = nan }
            | _ -> ()

            options.Scheduled
            |> Array.iteri (fun i dose -> list.Add { At = dose.Time; Scheduled = i; Jump = nan })

            for jump in options.Jumps do
                // A jump at the start only moves the start; one at the end or outside is never stepped over.
                if before t0 jump && before jump t1 then
                    list.Add { At = beside jump -direction; Scheduled = -1; Jump = jump }

            // Stable: a scheduled change keeps its place among equal times.
            list.ToArray() |> Array.sortBy (fun stop -> direction * stop.At)

        let times = List<float>()
        let states = List<'S>()
        let occurrences = List<Occurrence<'S>>()
        let denseSteps = List<IDenseSolution<'S>>()
        let counts = Array.zeroCreate<int> events.Length
        let signs = Array.zeroCreate<int> events.Length
        let mutable accepted = 0
        let mutable rejected = 0
        let mutable smallest = infinity
        let mutable largest = 0.0
        let mutable errorSum = 0.0
        let mutable stiffnessSum = 0.0
        let mutable stiffnessSeen = false
        let mutable stabilityRatio = nan

        let saveTimes =
            match options.SaveAt with
            | Times times
            | StepValues times -> times
            | _ -> [||]

        let everyStep =
            match options.SaveAt with
            | EverySteps
            | DenseOutput -> true
            | _ -> false

        let dense = options.SaveAt.IsDenseOutput
        let mutable nextSave = 0

        let save theta time (state: 'S) =
            if not (isNull (box observer)) then
                observer.Saved(times.Count, theta)

            times.Add time
            states.Add state

        let mutable status = Status.Success
        let mutable message = ""
        let mutable failure: exn = null
        let mutable failedStep = 0.0
        let mutable finished = false

        let fail which text =
            status <- which
            message <- text
            finished <- true

        stepper.Start((if Array.contains t0 options.Jumps then beside t0 direction else t0), copy y0)
        let mutable t = t0
        let mutable stopIndex = 0
        let mutable h = 0.0
        let mutable anchor = t0
        let mutable anchorCount = 0
        let mutable crowded = 0
        let mutable lastEventTime = nan
        // Zeno sequences of each event with a change: time of the last occurrence, last gap, and the gap that a run of ever
        // shorter ones began with.
        let lastTimes = Array.create events.Length nan
        let lastGaps = Array.create events.Length nan
        let firstGaps = Array.create events.Length nan
        let shorter = Array.zeroCreate<int> events.Length
        // An attempted step was not accepted, so its memory scope is the innermost one.
        let mutable pending = false

        let attempt (step: float) (tEnd: float) =
            pending <- false
            let error = stepper.Try(step, tEnd)
            pending <- true
            error

        /// An event function; the event is named where it is not a number.
        let eventValue i time (state: 'S) =
            let value = events[i].Condition time state

            if Double.IsNaN value then
                raise (ArithmeticException $"Event '{events[i].Name}' (index {i}) is NaN at t = {time}.")

            value

        /// A change of the state between steps.
        let restart time (state: 'S) =
            stepper.Start(time, state)
            anchor <- time
            anchorCount <- 0

            // The state moved: signs are taken anew.
            for i in 0 .. signs.Length - 1 do
                signs[i] <- sign (eventValue i time state)

        /// Everything due at the current time; moves stopIndex on.
        let processStops () =
            while not finished && stopIndex < stops.Length && not (before t stops[stopIndex].At) do
                let stop = stops[stopIndex]
                stopIndex <- stopIndex + 1

                if stop.Scheduled >= 0 then
                    let after = options.Scheduled[stop.Scheduled].Apply t stepper.State

                    if not (isNull (box observer)) then
                        observer.Changed(t, -1, stop.Scheduled)

                    restart t after
                elif not (Double.IsNaN stop.Jump) then
                    // Step over the discontinuity: the state is continuous, the field is evaluated anew one ulp after it.
                    let after = beside stop.Jump direction

                    while nextSave < saveTimes.Length && not (before after saveTimes[nextSave]) do
                        save 1.0 saveTimes[nextSave] (copy stepper.State)
                        nextSave <- nextSave + 1

                    let kept = Array.copy signs

                    if not (isNull (box observer)) then
                        observer.Changed(after, -1, -1)

                    restart after stepper.State
                    Array.blit kept 0 signs 0 signs.Length
                    t <- after
                else
                    anchor <- t
                    anchorCount <- 0

        /// Event functions on the interpolant: the earliest crossing, or a theta above 1.
        let findEvent (stepStart: float) (stepLength: float) =
            let states = Array.zeroCreate<'S>(Events.samples + 1)
            let known = Array.zeroCreate<bool>(Events.samples + 1)

            let at (theta: float) =
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

            let mutable best = struct (2.0, -1)

            for i in 0 .. events.Length - 1 do
                if counts[i] < events[i].MaxOccurrences then
                    let g theta = eventValue i (stepStart + theta * stepLength) (at theta)

                    let struct (bracket, _) = Events.firstCrossing g signs[i] events[i].Crossing

                    match bracket with
                    | ValueSome(struct (a, b)) ->
                        let gb = g b

                        // Right after an event, rounding may have put the start on the far side of its zero: move inside.
                        let a, ga =
                            seq {
                                yield a

                                for k in [ 40; 30; 20; 10; 5; 2 ] do
                                    yield a + (b - a) * Math.Pow(2.0, -float k)
                            }
                            |> Seq.map (fun a -> a, g a)
                            |> Seq.tryFind (fun (_, ga) -> ga <> 0.0 && sign ga <> sign gb)
                            |> Option.defaultValue (b, gb)

                        let theta =
                            if a = b then
                                b
                            else
                                Events.root
                                    g
                                    a
                                    ga
                                    b
                                    gb
                                    (4.0 * Math.Max(abs stepStart, abs (stepStart + stepLength)) * 1.2e-16
                                     / abs stepLength
                                     + 1e-15)

                        let struct (least, _) = best

                        if theta < least then
                            best <- struct (theta, i)
                    | ValueNone -> ()

            best

        /// Signs at the end of the attempted step, for events that did not fire.
        let updateSigns time (state: 'S) =
            for i in 0 .. events.Length - 1 do
                let s = sign (eventValue i time state)

                if s <> 0 then
                    signs[i] <- s

        let trackStep (h: float) =
            accepted <- accepted + 1
            let length = abs h
            smallest <- Math.Min(smallest, length)
            largest <- Math.Max(largest, length)

            if options.Heuristics then
                let struct (error, stiffness) = stepper.Heuristics()
                errorSum <- errorSum + error * length

                if not (Double.IsNaN stiffness) then
                    stiffnessSum <- stiffnessSum + stiffness
                    stiffnessSeen <- true
                    let ratio = stiffness * length / stepper.StabilityRadius

                    if not (ratio <= stabilityRatio) then
                        stabilityRatio <- ratio

            if not (isNull (box observer)) then
                observer.Accepting(stepper, h)

        let valuesWithin (h: float) (tEnd: float) = [|
            let mutable i = nextSave

            while i < saveTimes.Length && not (before tEnd saveTimes[i]) do
                let time = saveTimes[i]

                if time = tEnd then
                    yield struct (1.0, time, keep (copy stepper.Candidate))
                else
                    let theta = (time - stepper.Time) / h
                    yield struct (theta, time, keep (stepper.Interpolate theta))

                i <- i + 1
        |]

        /// Moves the attempted step [t, tEnd] into the past.
        let accept (h: float) (tEnd: float) =
            // First what evaluates the field and may throw: a step that fails here was not taken.
            let values =
                if nextSave < saveTimes.Length && not (before tEnd saveTimes[nextSave]) then
                    valuesWithin h tEnd
                else
                    [||]

            if dense then
                denseSteps.Add(stepper.DenseStep())

            trackStep h

            for struct (theta, time, value) in values do
                save theta time value

            nextSave <- nextSave + values.Length

            if everyStep then
                save 1.0 tEnd (keep (copy stepper.Candidate))

            stepper.Accept()
            pending <- false
            t <- tEnd

        let report () =
            if not (isNull options.Progress) then
                options.Progress.Invoke {
                    Time = t
                    Step = h
                    Fraction = (t - t0) / (t1 - t0)
                    Accepted = accepted
                    Rejected = rejected
                    Evaluations = stepper.Evaluations
                }

        /// Ever shorter times between occurrences: the next step must be short enough to see the next one, and a millionth of
        /// the first gap is the end of such a sequence (beyond it the state would slip through the surface unseen).
        let watchGaps i =
            let gap = abs (t - lastTimes[i])
            lastTimes[i] <- t

            if gap < lastGaps[i] then
                if adaptive then
                    h <- Math.Min(h, 100.0 * gap)

                let least = if adaptive then 0.0 else 1e-3 * fixedStep

                shorter[i] <- shorter[i] + 1

                if shorter[i] >= 4 && gap < Math.Max(1e-6 * firstGaps[i], least) then
                    fail
                        Status.TooManyEvents
                        $"Event '{events[i].Name}' accumulates at t = {t}: its occurrences follow each other ever faster, the last after {gap:g3}; make it terminal, limit MaxOccurrences, or end the sequence in its change (a ball comes to rest)."
            else
                firstGaps[i] <- gap
                shorter[i] <- 0

            lastGaps[i] <- gap

        /// Steps to the event found at theta and applies it. The end of the step is a step value, polished by secant steps.
        let handleEvent (theta: float) (index: int) (stepLength: float) (tEnd: float) =
            let start = t
            let condition = eventValue index
            let mutable hEvent = theta * stepLength
            let mutable tEvent = if theta >= 1.0 then tEnd else start + hEvent

            if theta < 1.0 then
                // Slope of g from the interpolant, for corrections by step values.
                let delta = Math.Min(1e-4, 0.5 * (1.0 - theta) + 1e-9) * stepLength
                let gLeft = condition (start + hEvent - delta) (stepper.Interpolate((hEvent - delta) / stepLength))
                let gRight = condition (start + hEvent + delta) (stepper.Interpolate((hEvent + delta) / stepLength))
                let slope = (gRight - gLeft) / (2.0 * delta)
                let mutable slope = slope
                let mutable round = 0
                let mutable correction = infinity
                let mutable last = nan

                while round < 8 do
                    tEvent <- start + hEvent
                    attempt hEvent tEvent |> ignore
                    let g = condition tEvent stepper.Candidate

                    // secant: the slope of the last correction, where it changed g
                    if Double.IsFinite correction && g <> last then
                        slope <- (g - last) / correction

                    let next = -g / slope

                    if
                        g <> 0.0
                        && Double.IsFinite next
                        && abs next < 0.5 * abs correction
                        && abs next > 1e-15 * Math.Max(abs tEvent, abs hEvent)
                        && direction * (hEvent + next) > 0.0
                        && abs (hEvent + next) <= abs stepLength
                    then
                        last <- g
                        correction <- next
                        hEvent <- hEvent + next
                        round <- round + 1
                    else
                        round <- 99

                // The last correction moved the end of the step: take the step that is recorded.
                if round < 99 then
                    tEvent <- start + hEvent
                    attempt hEvent tEvent |> ignore

            // All events that cross at this very time fire together, in list order.
            let scale = 1e-12 * Math.Max(abs tEvent, abs stepLength)

            let together = [|
                for i in 0 .. events.Length - 1 do
                    if i = index then
                        yield i
                    elif counts[i] < events[i].MaxOccurrences && signs[i] <> 0 then
                        let g = eventValue i tEvent stepper.Candidate
                        let s = sign g

                        let wanted =
                            match events[i].Crossing with
                            | Either -> true
                            | Rising -> signs[i] < 0
                            | Falling -> signs[i] > 0

                        if wanted && (s <> signs[i] || abs g < 1e-14) then
                            yield i
            |]

            accept hEvent tEvent

            // A fixed step that ends at the event is done; the next one must not have length zero.
            if tEvent = tEnd then
                anchorCount <- anchorCount + 1

            if abs (tEvent - lastEventTime) <= scale then
                crowded <- crowded + 1
            else
                crowded <- 0

            lastEventTime <- tEvent
            let wasBefore = Array.copy signs
            updateSigns t stepper.State

            for i in together do
                if not finished then
                    counts[i] <- counts[i] + 1
                    let state = copy stepper.State

                    match events[i].Apply with
                    | ValueSome change ->
                        let after = change t state

                        if not (isNull (box observer)) then
                            observer.Changed(t, i, -1)

                        occurrences.Add { Event = i; Time = t; Before = state; After = copy after }
                        restart t after
                        // Rounding decides on which side of its own zero a fired event stands: look again a little later.
                        signs[i] <- 0

                        if not events[i].Terminal && counts[i] < events[i].MaxOccurrences then
                            watchGaps i
                    | ValueNone ->
                        occurrences.Add { Event = i; Time = t; Before = state; After = state }

                        if not (isNull (box observer)) then
                            observer.Changed(t, i, -1)

                        // On the far side of this crossing by definition, whatever rounding says.
                        signs[i] <-
                            match events[i].Crossing with
                            | Rising -> 1
                            | Falling -> -1
                            | Either -> if wasBefore[i] <> 0 then -wasBefore[i] else signs[i]

                    if events[i].Terminal then
                        status <- Status.Terminated
                        message <- $"Event '{events[i].Name}' ended the solve at t = {t}."
                        finished <- true

            if not finished && crowded > 1000 then
                fail
                    Status.TooManyEvents
                    $"Events accumulate at t = {t} (more than 1000 within rounding of it); make one of them terminal or limit MaxOccurrences."

        let step () =
            let remaining = stops[stopIndex].At - t

            let hTry, tEnd =
                if adaptive then
                    let length = Math.Min(h, options.MaxStep)

                    if length * (1.0 + 1e-10) >= abs remaining then
                        remaining, stops[stopIndex].At
                    else
                        let tEnd = t + direction * length
                        direction * length, tEnd
                else
                    let tEnd = anchor + direction * fixedStep * float (anchorCount + 1)

                    if not (before (tEnd + direction * fixedStep * 1e-10) stops[stopIndex].At) then
                        remaining, stops[stopIndex].At
                    else
                        tEnd - t, tEnd

            failedStep <- hTry
            let error = attempt hTry tEnd

            // Fixed steps are taken whatever the error estimate says, unless it is not a number.
            if (error <= 1.0 || not adaptive && not (Double.IsNaN error)) && isFinite stepper.Candidate then
                let struct (theta, index) = if hasEvents then findEvent t hTry else struct (2.0, -1)

                if index >= 0 then
                    handleEvent theta index hTry tEnd
                else
                    if hasEvents then
                        updateSigns tEnd stepper.Candidate

                    // asked before Accept, while the stepper still knows the attempt
                    let own = if adaptive then stepper.Factor(true, error) else nan
                    accept hTry tEnd
                    anchorCount <- anchorCount + 1

                    if adaptive then
                        let factor = control.Accept error
                        let next = abs hTry * (if Double.IsNaN own then factor else own)
                        // A step cut short by a stop says little about the next one.
                        h <- if abs hTry < h then Math.Max(h, next) else next

                report ()
            elif not adaptive then
                fail
                    Status.NonFinite
                    $"The solution is not finite after the step from t = {t} with length {abs hTry} ({stepper.WorstComponent()}); take a smaller step, or check the field there."
            else
                rejected <- rejected + 1
                let own = stepper.Factor(false, error)
                let factor = control.Reject error
                h <- abs hTry * (if Double.IsNaN own then factor else own)
                let least = Math.Max(options.MinStep, 4.0 * (Math.BitIncrement(abs t) - abs t))

                if h < least then
                    let part = stepper.WorstComponent()

                    if stepper.Difficulty = Status.SingularMatrix then
                        fail
                            Status.SingularMatrix
                            $"The matrix M - g J of the implicit step is singular at t = {t} however short the step; check the Jacobian there, and that a singular mass matrix leaves a system of index 1 (as many algebraic equations as algebraic variables, each solvable for its own)."
                    elif stepper.Difficulty = Status.NewtonDiverged then
                        fail
                            Status.NewtonDiverged
                            $"Newton's method for the implicit step fails at t = {t} however short the step; check a Jacobian of your own against the field, that the field is smooth there, and the initial values of algebraic variables."
                    elif Double.IsFinite error then
                        fail
                            Status.StepTooSmall
                            $"The step size fell below {least:g3} at t = {t} ({part} dominates the error); the problem is stiff, singular or discontinuous there: loosen the tolerances, declare jumps, or use a stiff method."
                    elif isFinite stepper.Candidate && options.Tolerance.Atol = 0.0 then
                        fail
                            Status.NonFinite
                            $"The scaled error is not finite at t = {t} ({part}) though the state is: where a component is zero an absolute tolerance of 0 allows no error; set atol > 0."
                    else
                        fail
                            Status.NonFinite
                            $"The field or the state is not finite just after t = {t} ({part}); check the field there, or bound the span before the singularity."

        try
            try
                if nextSave < saveTimes.Length && saveTimes[0] = t0 then
                    save -1.0 t0 (copy y0)
                    nextSave <- 1

                if everyStep then
                    save -1.0 t0 (copy y0)

                t <- stepper.Time

                if not (isFinite y0) then
                    fail
                        Status.NonFinite
                        $"The initial state is not finite ({stepper.WorstComponent()}); check the input at t = {t0}."
                else
                    processStops ()

                    if adaptive then
                        let longest = Math.Min(options.MaxStep, abs (t1 - t0))

                        h <-
                            match options.InitialStep with
                            | ValueSome step -> Math.Min(step, longest)
                            | ValueNone -> stepper.InitialStep(direction, longest)

                    if hasEvents then
                        updateSigns t stepper.State

                while not finished && stopIndex < stops.Length do
                    if options.Cancellation.IsCancellationRequested then
                        fail Status.Cancelled $"Cancelled at t = {t}."
                    elif accepted + rejected >= options.MaxSteps then
                        fail
                            Status.MaxStepsReached
                            $"{options.MaxSteps} steps did not reach the end: stopped at t = {t} of [{t0}, {t1}] with step {h:g3}; raise MaxSteps, loosen the tolerances, or use a stiff method."
                    else
                        step ()
                        processStops ()
            with
            | :? OperationCanceledException when options.Cancellation.IsCancellationRequested ->
                fail Status.Cancelled $"Cancelled at t = {t}."
            | error ->
                failure <- error

                fail
                    Status.FieldThrew
                    $"{error.GetType().Name} from the field, an event or a change, in the step from t = {t}: {firstLine error.Message}"

            let last () =
                let state = copy stepper.State
                if pending then keep state else state

            if options.SaveAt.IsEndOnly then
                save 1.0 t (last ())

            {
                Status = status
                Message = message
                Times = times.ToArray()
                States = states.ToArray()
                FinalTime = t
                FinalState = last ()
                Occurrences = occurrences.ToArray()
                Dense =
                    if dense && denseSteps.Count > 0 then
                        ValueSome(DenseSolution<'S>(denseSteps.ToArray(), t0, t) :> IDenseSolution<'S>)
                    else
                        ValueNone
                Statistics = {
                    Evaluations = stepper.Evaluations
                    Accepted = accepted
                    Rejected = rejected
                    SmallestStep = if accepted = 0 then nan else smallest
                    LargestStep = if accepted = 0 then nan else largest
                    ErrorEstimate = if options.Heuristics then errorSum else nan
                    StiffnessEstimate = if stiffnessSeen then stiffnessSum else nan
                    LargestStabilityRatio = stabilityRatio
                    Implicit = stepper.Work
                }
                Choices =
                    stepper.Choices |> Array.map (fun c -> if Double.IsNaN c.Time then { c with Time = t0 } else c)
                Exception = failure
            }
        finally
            stepper.Dispose()
