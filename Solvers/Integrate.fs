// The one loop under a scalar clock: attempt, control, find events, save, count. It knows interfaces only, so every
// method family and state space runs through it.
//   SolveRecord: what is kept; SolveState: clock and outcome; EventHandling: events; here: stops, steps, control.
namespace Continuum

open System
open System.Collections.Generic

/// What can stop a step before the step size does.
[<Struct>]
type internal Stop = {
    At: float
    /// -1, or index of the scheduled change
    Scheduled: int
    /// NaN, or the declared jump that this stop precedes by one ulp
    Jump: float
}

/// The stops of a solve in the direction of integration.
[<RequireQualifiedAccess>]
module internal Stops =
    /// The next number in this direction.
    let beside (time: float) (direction: float) =
        if direction > 0.0 then Math.BitIncrement time else Math.BitDecrement time

    let ofOptions (options: SolveOptions<'S>) (t0: float) (t1: float) =
        let direction = if t1 > t0 then 1.0 else -1.0
        let before a b = direction * (b - a) > 0.0
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

/// One solve. keep moves a value of the attempted step out of its memory scope; observer may be null.
[<Sealed>]
type internal Integration<'S>
    (
        stepper: IStepper<'S>,
        copy: 'S -> 'S,
        keep: 'S -> 'S,
        isFinite: 'S -> bool,
        observer: IStepObserver<'S>,
        options: SolveOptions<'S>,
        t0: float,
        t1: float
    ) =
    let direction = if t1 > t0 then 1.0 else -1.0

    let struct (fixedStep, feedback) =
        match options.Control with
        | Fixed step -> struct (ValueSome step, stepper.DefaultFeedback)
        | Adaptive _ when not stepper.IsAdaptive ->
            raise (
                ArgumentException
                    "This method has no error estimate, so its steps cannot be adaptive; choose a fixed step, or a method with an embedded pair such as Tsit5 or Dopri5."
            )
        | Adaptive(ValueSome feedback) -> struct (ValueNone, feedback)
        | Adaptive ValueNone -> struct (ValueNone, stepper.DefaultFeedback)

    let adaptive = fixedStep.IsNone
    let control = ControllerState feedback
    let record = SolveRecord<'S>(stepper, copy, keep, observer, options, t0, t1)
    let solve = SolveState<'S>(stepper, record, fixedStep, direction, t0)
    let events = EventHandling<'S>(solve, options.Events, copy, observer)
    let hasEvents = options.Events.Length > 0
    let stops = Stops.ofOptions options t0 t1
    let mutable stopIndex = 0
    let mutable failure: exn = null

    /// Everything due at the current time; moves stopIndex on.
    let processStops () =
        while not solve.Finished
              && stopIndex < stops.Length
              && not (direction * (stops[stopIndex].At - solve.Time) > 0.0) do
            let stop = stops[stopIndex]
            stopIndex <- stopIndex + 1

            if stop.Scheduled >= 0 then
                let after = options.Scheduled[stop.Scheduled].Apply solve.Time stepper.State

                if not (isNull (box observer)) then
                    observer.Changed(solve.Time, -1, stop.Scheduled)

                events.Restart(solve.Time, after)
            elif not (Double.IsNaN stop.Jump) then
                // Step over the discontinuity: the state is continuous, the field is evaluated anew one ulp after it.
                let after = Stops.beside stop.Jump direction
                record.SkipTo after

                if not (isNull (box observer)) then
                    observer.Changed(after, -1, -1)

                events.RestartSameState(after, stepper.State)
                solve.Time <- after
            else
                solve.Anchor solve.Time

    /// The shortest step from here: shorter ones hardly move the clock. Near t = 0 an ulp is a denormal number, and arithmetic ends
    /// before it.
    let shortest () =
        let t = abs solve.Time
        Math.Max(Math.Max(options.MinStep, 1e-290), 4.0 * (Math.BitIncrement t - t))

    /// Signed length and end of the next step: as long as control, the largest step and the next stop allow.
    let nextStep () : struct (float * float) =
        let t = solve.Time
        let stop = stops[stopIndex].At

        if adaptive then
            // Towards a singularity accepted steps shrink too, and must not stand still; the shortest one is tried, and fails or not.
            let length = Math.Max(Math.Min(solve.Step, options.MaxStep), shortest ())

            if length * (1.0 + 1e-10) >= abs (stop - t) then
                struct (stop - t, stop)
            else
                struct (direction * length, t + direction * length)
        else
            let tEnd = solve.NextFixedEnd

            if direction * (stop - (tEnd + direction * solve.FixedStep * 1e-10)) > 0.0 then
                struct (tEnd - t, tEnd)
            else
                struct (stop - t, stop)

    let acceptPlain (h: float) (tEnd: float) (error: float) =
        if hasEvents then
            events.UpdateSigns(tEnd, stepper.Candidate)

        // asked before Accept, while the stepper still knows the attempt
        let own = if adaptive then stepper.Factor(true, error) else nan
        solve.Accept(h, tEnd)
        solve.CountFixed()

        if adaptive then
            let factor = control.Accept error
            let next = abs h * (if Double.IsNaN own then factor else own)
            // A step cut short by a stop says little about the next one.
            solve.Step <- if abs h < solve.Step then Math.Max(solve.Step, next) else next

    /// Whether the steps are implicit, so that advice to take a stiff method is none.
    let isImplicit () = stepper.Work.Factorisations > 0

    /// The step size is at its end: says why.
    let failTooSmall (least: float) (error: float) =
        let t = solve.Time
        let part = stepper.WorstComponent()

        if stepper.Difficulty = Status.SingularMatrix then
            solve.Finish(
                Status.SingularMatrix,
                $"The matrix M - g J of the implicit step is singular at t = {t} ({part}) however short the step; check the Jacobian there, and that a singular mass matrix leaves a system of index 1 (as many algebraic equations as algebraic variables, each solvable for its own)."
            )
        elif stepper.Difficulty = Status.NewtonDiverged then
            solve.Finish(
                Status.NewtonDiverged,
                $"Newton's method for the implicit step fails at t = {t} ({part}) however short the step: the solution may be singular there; check a Jacobian of your own against the field, that the field is smooth, and the initial values of algebraic variables."
            )
        elif Double.IsFinite error then
            solve.Finish(
                Status.StepTooSmall,
                if isImplicit () then
                    $"The step size fell below {least:g3} at t = {t} ({part} dominates the error); the solution is singular or the field discontinuous there, or rounding in the field exceeds the tolerances: loosen the tolerances, declare jumps, or bound the span before the singularity."
                else
                    $"The step size fell below {least:g3} at t = {t} ({part} dominates the error); the problem is stiff, singular or discontinuous there: take a stiff method such as Rodas5P or the automatic choice, loosen the tolerances, or declare jumps."
            )
        elif isFinite stepper.Candidate && options.Tolerance.Atol = 0.0 then
            solve.Finish(
                Status.NonFinite,
                $"The scaled error is not finite at t = {t} ({part}) though the state is: where a component is zero an absolute tolerance of 0 allows no error; set atol > 0."
            )
        else
            solve.Finish(
                Status.NonFinite,
                $"The field or the state is not finite just after t = {t} ({part}); check the field there, or bound the span before the singularity."
            )

    let reject (h: float) (error: float) =
        record.Rejected()
        let own = stepper.Factor(false, error)
        let factor = control.Reject error
        solve.Step <- abs h * (if Double.IsNaN own then factor else own)
        let least = shortest ()

        if solve.Step < least then
            failTooSmall least error

    let step () =
        let struct (h, tEnd) = nextStep ()
        let error = solve.Attempt(h, tEnd)

        // Fixed steps are taken whatever the error estimate says, unless there is no candidate.
        let solved = not (Double.IsNaN error) && stepper.Difficulty = Status.Success

        if (error <= 1.0 || not adaptive && solved) && isFinite stepper.Candidate then
            let struct (theta, index) = if hasEvents then events.Find h else struct (2.0, -1)

            if index >= 0 then
                events.Handle(theta, index, h, tEnd)
            else
                acceptPlain h tEnd error

            record.Report(solve.Time, solve.Step)
        elif adaptive then
            reject h error
        elif stepper.Difficulty = Status.SingularMatrix || stepper.Difficulty = Status.NewtonDiverged then
            solve.Finish(
                stepper.Difficulty,
                $"The equations of the implicit step from t = {solve.Time} with the fixed length {abs h} could not be solved; take a shorter step or adaptive ones, or check the Jacobian there."
            )
        else
            solve.Finish(
                Status.NonFinite,
                $"The solution is not finite after the step from t = {solve.Time} with length {abs h} ({stepper.WorstComponent()}); take a smaller step, or check the field there."
            )

    let start (y0: 'S) =
        record.Begin y0
        solve.Time <- stepper.Time

        if not (isFinite y0) then
            solve.Finish(
                Status.NonFinite,
                $"The initial state is not finite ({stepper.WorstComponent()}); check the input at t = {t0}."
            )
        else
            processStops ()

            if adaptive then
                let longest = Math.Min(options.MaxStep, abs (t1 - t0))

                solve.Step <-
                    match options.InitialStep with
                    | ValueSome step -> Math.Min(step, longest)
                    | ValueNone -> stepper.InitialStep(direction, longest)

            if hasEvents then
                events.UpdateSigns(solve.Time, stepper.State)

    let loop () =
        while not solve.Finished && stopIndex < stops.Length do
            if options.Cancellation.IsCancellationRequested then
                solve.Finish(Status.Cancelled, $"Cancelled at t = {solve.Time}.")
            elif record.Attempts >= options.MaxSteps then
                let remedy =
                    if isImplicit () then
                        "raise MaxSteps, loosen the tolerances, or take a method of higher order"
                    else
                        "raise MaxSteps, loosen the tolerances, or take a stiff method such as Rodas5P or the automatic choice"

                solve.Finish(
                    Status.MaxStepsReached,
                    $"{options.MaxSteps} steps did not reach the end: stopped at t = {solve.Time} of [{t0}, {t1}] with step {solve.Step:g3}; {remedy}."
                )
            else
                step ()
                processStops ()

    let firstLine (text: string) =
        match text.IndexOf '\n' with
        | -1 -> text
        | i -> text.Substring(0, i).TrimEnd()

    let lastState () =
        let state = copy stepper.State
        if solve.Pending then keep state else state

    let solution () =
        if options.SaveAt.IsEndOnly then
            record.SaveEnd(solve.Time, lastState ())

        {
            Status = solve.Status
            Message = solve.Message
            Times = record.Times.ToArray()
            States = record.States.ToArray()
            FinalTime = solve.Time
            FinalState = lastState ()
            Occurrences = events.Occurrences.ToArray()
            Dense = record.Dense solve.Time
            Statistics = record.Statistics
            Choices = stepper.Choices |> Array.map (fun c -> if Double.IsNaN c.Time then { c with Time = t0 } else c)
            Exception = failure
        }

    member _.Run(y0: 'S) : Solution<'S> =
        stepper.Start((if Array.contains t0 options.Jumps then Stops.beside t0 direction else t0), copy y0)

        try
            try
                start y0
                loop ()
            with
            | :? OperationCanceledException when options.Cancellation.IsCancellationRequested ->
                solve.Finish(Status.Cancelled, $"Cancelled at t = {solve.Time}.")
            | :? InconsistentException as error ->
                // A dose or an event moved the state to where the algebraic equations have no solution.
                solve.Finish(error.Status, error.Message)
            | error ->
                failure <- error

                solve.Finish(
                    Status.FieldThrew,
                    $"{error.GetType().Name} from the field, an event or a change, in the step from t = {solve.Time}: {firstLine error.Message}"
                )

            solution ()
        finally
            stepper.Dispose()

/// The door to the loop.
[<RequireQualifiedAccess>]
module internal Integrate =
    /// Drives a stepper from (t0, y0) to t1 and disposes it. copy, keep and isFinite are the space's; observer may be null.
    let run
        (stepper: IStepper<'S>)
        (copy: 'S -> 'S)
        (keep: 'S -> 'S)
        (isFinite: 'S -> bool)
        (observer: IStepObserver<'S>)
        (options: SolveOptions<'S>)
        (t0: float)
        (t1: float)
        (y0: 'S)
        : Solution<'S> =
        SolveOptions.check options t0 t1
        Integration<'S>(stepper, copy, keep, isFinite, observer, options, t0, t1).Run y0
