// The options of a solve: defaults, and what contradicts the span.
namespace Continuum

open System
open System.Threading

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

    /// The same with events and doses whose states are checked for their length, so that a wrong one is named where it is made.
    let internal checkedChanges (size: int) (options: SolveOptions<float[]>) : SolveOptions<float[]> =
        let checkedState what (apply: float -> float[] -> float[]) =
            fun t y ->
                let after = apply t y

                if isNull after || after.Length <> size then
                    let length = if isNull after then 0 else after.Length
                    bad $"{what} at t = {t} returned a state of {length} components; it must have {size}."

                after

        if options.Events.Length = 0 && options.Scheduled.Length = 0 then
            options
        else
            {
                options with
                    Events =
                        options.Events
                        |> Array.map (fun e -> {
                            e with
                                Apply = ValueOption.map (checkedState $"Event '{e.Name}'") e.Apply
                        })
                    Scheduled =
                        options.Scheduled
                        |> Array.map (fun d -> { d with Apply = checkedState "The scheduled change" d.Apply })
            }
