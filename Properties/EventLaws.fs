namespace Continuum.Properties

open System
open Continuum

/// An initial value problem with one event: laws about its event times can be tried on it.
type EventProblem = {
    /// For messages.
    Name: string
    /// The right-hand side.
    Field: VectorField
    /// Start of the span.
    Start: float
    /// End of the span.
    End: float
    /// State at the start.
    Initial: float[]
    /// The event; its Apply may change the state.
    Event: Event<float[]>
    /// From the initial state, the event times in the order of integration; those outside of the span, or after the event's
    /// MaxOccurrences, do not count. ValueNone where no closed form is known.
    Times: (float[] -> float[]) voption
}

/// Events with closed forms.
[<RequireQualifiedAccess>]
module EventProblems =

    let private event name condition crossing apply most : Event<float[]> = {
        Name = name
        Condition = condition
        Crossing = crossing
        Apply = apply
        Terminal = false
        MaxOccurrences = most
    }

    /// A ball dropped from 1 m under 9.81 m/s^2 that keeps 0.8 of its speed at each of its first eight bounces.
    let ball: EventProblem =
        let gravity = 9.81
        let kept = 0.8
        let bounces = 8

        {
            Name = "a bouncing ball"
            Field =
                VectorField(fun _ y dydt ->
                    dydt[0] <- y[1]
                    dydt[1] <- -gravity)
            Start = 0.0
            End = 3.5
            Initial = [| 1.0; 0.0 |]
            Event = event "bounce" (fun _ y -> y[0]) Falling (ValueSome(fun _ y -> [| 0.0; -kept * y[1] |])) bounces
            Times =
                ValueSome(fun y ->
                    let impact = sqrt (y[1] * y[1] + 2.0 * gravity * y[0])

                    Array.init (bounces - 1) (fun k -> 2.0 * impact * Math.Pow(kept, float k + 1.0) / gravity)
                    |> Array.scan (+) ((y[1] + impact) / gravity))
        }

    /// The zeros of the harmonic oscillator y'' = -y, in both directions.
    let harmonic: EventProblem = {
        Name = "zeros of a harmonic oscillator"
        Field =
            VectorField(fun _ y dydt ->
                dydt[0] <- y[1]
                dydt[1] <- -y[0])
        Start = 0.0
        End = 12.0
        Initial = [| 1.0; 0.5 |]
        Event = event "zero" (fun _ y -> y[0]) Either ValueNone Int32.MaxValue
        Times =
            // y = r cos(t - phase)
            ValueSome(fun y -> Array.init 8 (fun k -> Math.Atan2(y[1], y[0]) + (float k - 1.5) * Math.PI))
    }

/// The laws of finding events. Each takes a method and a problem, which may be your own model.
[<RequireQualifiedAccess>]
module EventLaws =

    let private run (method: Tableau) tolerance save (problem: EventProblem) =
        let options: SolveOptions<float[]> = {
            SolveOptions.create tolerance tolerance with
                Events = [| problem.Event |]
                SaveAt = save
        }

        let solution = ArrayOde.solve method options problem.Field problem.Start problem.End problem.Initial

        match Solution.toResult solution with
        | Ok solution -> solution
        | Error error -> raise (SolveFailedException(error.Status, error.Time, error.Message, error.Partial.Exception))

    let private inside (problem: EventProblem) (times: float[]) =
        let direction = float (sign (problem.End - problem.Start))
        let length = abs (problem.End - problem.Start)

        times
        |> Array.filter (fun t ->
            let since = direction * (t - problem.Start)
            since > 1e-12 * length && since <= length)
        |> Array.truncate problem.Event.MaxOccurrences

    let private show (times: float[]) =
        let shown = times |> Array.truncate 6 |> Array.map (fun t -> $"%.6g{t}") |> String.concat ", "
        if times.Length > 6 then shown + ", ..." else shown

    /// The event times are those of the closed form: as many, each within an allowed error.
    /// ArgumentException if the problem has no closed form.
    let closedForm (method: Tableau) (tolerance: float) (allowed: float) (problem: EventProblem) : LawResult =
        let closed =
            match problem.Times with
            | ValueSome times -> times
            | ValueNone ->
                raise (ArgumentException $"{problem.Name} has no closed form; give its Times, or leave this law out.")

        let expected = inside problem (closed problem.Initial)
        let found = (run method tolerance EndOnly problem).Occurrences |> Array.map _.Time

        let worst =
            if found.Length <> expected.Length then
                infinity
            else
                Array.fold2 (fun worst a b -> max worst (abs (a - b))) 0.0 found expected

        {
            Law = $"{method.Name}: event times are those of the closed form, on {problem.Name}"
            Holds = worst <= allowed
            Detail =
                if found.Length = expected.Length then
                    $"worst error %.1e{worst} of {found.Length} events, allowed %.1e{allowed}"
                else
                    $"found {found.Length} events at {show found}; expected {expected.Length} at {show expected}"
        }

    /// At every event the condition is zero to an allowed size, and there is at least one event.
    let onZero (method: Tableau) (tolerance: float) (allowed: float) (problem: EventProblem) : LawResult =
        let found = (run method tolerance EndOnly problem).Occurrences

        let worst =
            found |> Array.fold (fun worst o -> max worst (abs (problem.Event.Condition o.Time o.Before))) 0.0

        {
            Law = $"{method.Name}: the condition is zero at its events, on {problem.Name}"
            Holds = found.Length > 0 && worst <= allowed
            Detail = $"largest |g| %.1e{worst} over {found.Length} events, allowed %.1e{allowed}"
        }

    let private same (negate: bool) (a: Occurrence<float[]>[]) (b: Occurrence<float[]>[]) =
        a.Length = b.Length
        && Array.forall2
            (fun (x: Occurrence<float[]>) (y: Occurrence<float[]>) ->
                x.Time = (if negate then -y.Time else y.Time) && x.Before = y.Before && x.After = y.After)
            a
            b

    /// Events do not depend on what is saved: the same bits with the end only, every step, dense output and a list of times.
    let saveTimes (method: Tableau) (tolerance: float) (problem: EventProblem) : LawResult =
        let times =
            Array.init 17 (fun i -> problem.Start + (problem.End - problem.Start) * (float i + 0.5) / 17.0)

        let expected = (run method tolerance EndOnly problem).Occurrences

        let differing =
            [| "EverySteps", EverySteps; "DenseOutput", DenseOutput; "Times", Times times |]
            |> Array.filter (fun (_, save) -> not (same false expected (run method tolerance save problem).Occurrences))
            |> Array.map fst

        {
            Law = $"{method.Name}: events do not depend on the times that are saved, on {problem.Name}"
            Holds = differing.Length = 0
            Detail =
                if differing.Length = 0 then
                    $"{expected.Length} events, the same bits"
                else
                    "other events with " + String.concat ", " differing
        }

    /// Events forward are the events backward of the mirrored field -f(-t), bit for bit.
    let mirrored (method: Tableau) (tolerance: float) (problem: EventProblem) : LawResult =
        let mirror: EventProblem = {
            problem with
                Field =
                    VectorField(fun t y dydt ->
                        problem.Field.Invoke(-t, y, dydt)

                        for i in 0 .. dydt.Length - 1 do
                            dydt[i] <- -dydt[i])
                Start = -problem.Start
                End = -problem.End
                Event = {
                    problem.Event with
                        Condition = fun t y -> problem.Event.Condition -t y
                        Apply = problem.Event.Apply |> ValueOption.map (fun apply -> fun t y -> apply -t y)
                }
        }

        let ahead = (run method tolerance EndOnly problem).Occurrences
        let back = (run method tolerance EndOnly mirror).Occurrences

        {
            Law = $"{method.Name}: events backward are events forward of the mirrored field, on {problem.Name}"
            Holds = same true ahead back
            Detail = $"at {show (ahead |> Array.map _.Time)} and {show (back |> Array.map _.Time)}"
        }

    /// Every law of events, at a tolerance: times within a thousand of it, conditions within a hundred.
    let all (method: Tableau) (tolerance: float) (problem: EventProblem) : LawResult[] = [|
        if problem.Times.IsSome then
            closedForm method tolerance (1e3 * tolerance) problem
        onZero method tolerance (1e2 * tolerance) problem
        saveTimes method tolerance problem
        mirrored method tolerance problem
    |]
