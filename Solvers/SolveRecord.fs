// What a solve keeps on its way: saved values, dense output, statistics.
namespace Continuum

open System
open System.Collections.Generic

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

/// Saved values, dense output and statistics of a solve in progress. keep moves a value of the attempted step out of its
/// memory scope; observer may be null.
[<Sealed>]
type internal SolveRecord<'S>
    (
        stepper: IStepper<'S>,
        copy: 'S -> 'S,
        keep: 'S -> 'S,
        observer: IStepObserver<'S>,
        options: SolveOptions<'S>,
        t0: float,
        t1: float
    ) =
    let direction = if t1 > t0 then 1.0 else -1.0
    let before a b = direction * (b - a) > 0.0
    let times = List<float>()
    let states = List<'S>()
    let denseSteps = List<IDenseSolution<'S>>()
    let dense = options.SaveAt.IsDenseOutput
    let everyStep = dense || options.SaveAt.IsEverySteps

    let saveTimes =
        match options.SaveAt with
        | Times times
        | StepValues times -> times
        | _ -> [||]

    let mutable nextSave = 0
    let mutable accepted = 0
    let mutable rejected = 0
    let mutable smallest = infinity
    let mutable largest = 0.0
    let mutable errorSum = 0.0
    let mutable stiffnessSum = 0.0
    let mutable stiffnessSeen = false
    let mutable stabilityRatio = nan

    let save theta time (state: 'S) =
        if not (isNull (box observer)) then
            observer.Saved(times.Count, theta)

        times.Add time
        states.Add state

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

    let noteHeuristics (length: float) =
        let struct (error, stiffness) = stepper.Heuristics()
        errorSum <- errorSum + error * length

        if not (Double.IsNaN stiffness) then
            stiffnessSum <- stiffnessSum + stiffness
            stiffnessSeen <- true
            let ratio = stiffness * length / stepper.StabilityRadius

            if not (ratio <= stabilityRatio) then
                stabilityRatio <- ratio

    let noteStep (h: float) =
        accepted <- accepted + 1
        let length = abs h
        smallest <- Math.Min(smallest, length)
        largest <- Math.Max(largest, length)

        if options.Heuristics then
            noteHeuristics length

        if not (isNull (box observer)) then
            observer.Accepting(stepper, h)

    /// Attempted steps so far.
    member _.Attempts = accepted + rejected
    member _.Times = times
    member _.States = states

    /// The value at the start, where it is asked for.
    member _.Begin(y0: 'S) =
        if saveTimes.Length > 0 && saveTimes[0] = t0 then
            save -1.0 t0 (copy y0)
            nextSave <- 1

        if everyStep then
            save -1.0 t0 (copy y0)

    /// The attempted step of length h to tEnd is about to become current.
    member _.Accepting(h: float, tEnd: float) =
        // First what evaluates the field and may throw: a step that fails here was not taken.
        let values =
            if nextSave < saveTimes.Length && not (before tEnd saveTimes[nextSave]) then
                valuesWithin h tEnd
            else
                [||]

        if dense then
            denseSteps.Add(stepper.DenseStep())

        noteStep h

        for struct (theta, time, value) in values do
            save theta time value

        nextSave <- nextSave + values.Length

        if everyStep then
            save 1.0 tEnd (keep (copy stepper.Candidate))

    /// Save times that the clock passes without a step (over a declared jump) get the current state.
    member _.SkipTo(time: float) =
        while nextSave < saveTimes.Length && not (before time saveTimes[nextSave]) do
            save 1.0 saveTimes[nextSave] (copy stepper.State)
            nextSave <- nextSave + 1

    member _.Rejected() = rejected <- rejected + 1

    /// The state where the solve stopped.
    member _.SaveEnd(time: float, state: 'S) = save 1.0 time state

    member _.Report(time: float, step: float) =
        if not (isNull options.Progress) then
            options.Progress.Invoke {
                Time = time
                Step = step
                Fraction = (time - t0) / (t1 - t0)
                Accepted = accepted
                Rejected = rejected
                Evaluations = stepper.Evaluations
            }

    member _.Dense(finish: float) =
        if denseSteps.Count > 0 then
            ValueSome(DenseSolution<'S>(denseSteps.ToArray(), t0, finish) :> IDenseSolution<'S>)
        else
            ValueNone

    member _.Statistics = {
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
