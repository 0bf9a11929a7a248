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
    let saved = SavedValues<'S>(options.SaveAt, t0, t1)
    let tally = StepTally()
    let denseSteps = List<IDenseSolution<'S>>()
    let mutable errorSum = 0.0
    let mutable stiffnessSum = 0.0
    let mutable stiffnessSeen = false
    let mutable stabilityRatio = nan

    let save theta time (state: 'S) =
        if not (isNull (box observer)) then
            observer.Saved(saved.Times.Count, theta)

        saved.Add(time, state)

    let valuesWithin (h: float) (tEnd: float) = [|
        let mutable i = saved.Next

        while saved.IsDue(i, tEnd) do
            let time = saved.Wanted[i]

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
        tally.Accepted h

        if options.Heuristics then
            noteHeuristics (abs h)

        if not (isNull (box observer)) then
            observer.Accepting(stepper, h)

    /// Attempted steps so far.
    member _.Attempts = tally.Attempts
    member _.Times = saved.Times
    member _.States = saved.States

    /// The value at the start, where it is asked for.
    member _.Begin(y0: 'S) =
        if saved.WantsStart then
            save -1.0 t0 (copy y0)
            saved.Advance 1

        if saved.IsEveryStep then
            save -1.0 t0 (copy y0)

    /// The attempted step of length h to tEnd is about to become current.
    member _.Accepting(h: float, tEnd: float) =
        // First what evaluates the field and may throw: a step that fails here was not taken.
        let values = if saved.IsDue(saved.Next, tEnd) then valuesWithin h tEnd else [||]

        if saved.IsDense then
            denseSteps.Add(stepper.DenseStep())

        noteStep h

        for struct (theta, time, value) in values do
            save theta time value

        saved.Advance values.Length

        if saved.IsEveryStep then
            save 1.0 tEnd (keep (copy stepper.Candidate))

    /// Save times that the clock passes without a step (over a declared jump) get the current state.
    member _.SkipTo(time: float) =
        while saved.IsDue(saved.Next, time) do
            save 1.0 saved.Wanted[saved.Next] (copy stepper.State)
            saved.Advance 1

    member _.Rejected() = tally.Rejected()

    /// The state where the solve stopped.
    member _.SaveEnd(time: float, state: 'S) = save 1.0 time state

    member _.Report(time: float, step: float) = tally.Report(options.Progress, t0, t1, time, step, stepper.Evaluations)

    member _.Dense(finish: float) =
        if denseSteps.Count > 0 then
            ValueSome(DenseSolution<'S>(denseSteps.ToArray(), t0, finish) :> IDenseSolution<'S>)
        else
            ValueNone

    member _.Statistics = {
        tally.Statistics(stepper.Evaluations, stepper.Work) with
            ErrorEstimate = if options.Heuristics then errorSum else nan
            StiffnessEstimate = if stiffnessSeen then stiffnessSum else nan
            LargestStabilityRatio = stabilityRatio
    }
