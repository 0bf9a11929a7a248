// Where a solve stands, for the loop and the event handling that share it.
namespace Continuum

open System

/// The mutable state of one solve: the clock, the next step, the outcome so far.
[<Sealed>]
type internal SolveState<'S>
    (stepper: IStepper<'S>, record: SolveRecord<'S>, fixedStep: float voption, direction: float, t0: float) =

    let mutable t = t0
    let mutable pending = false
    let mutable anchor = t0
    let mutable anchorCount = 0
    let mutable status = Status.Success
    let mutable message = ""
    let mutable finished = false

    member _.Stepper = stepper
    member _.Direction = direction
    member _.Adaptive = fixedStep.IsNone
    /// Length of fixed steps; NaN when steps are adaptive.
    member val FixedStep = ValueOption.defaultValue nan fixedStep

    /// Current time.
    member _.Time
        with get () = t
        and set value = t <- value

    /// Length (> 0) of the next step to try.
    member val Step = 0.0 with get, set
    /// Whether the last attempted step was not accepted: its memory scope is the innermost one.
    member _.Pending = pending
    member _.Status = status
    member _.Message = message
    member _.Finished = finished

    /// End of the next fixed step: counted from the last stop, so that rounding does not add up.
    member this.NextFixedEnd = anchor + direction * this.FixedStep * float (anchorCount + 1)
    /// A fixed step was completed.
    member _.CountFixed() = anchorCount <- anchorCount + 1

    /// Fixed steps are counted from here.
    member _.Anchor(time: float) =
        anchor <- time
        anchorCount <- 0

    /// Attempts a step; its scaled error.
    member _.Attempt(length: float, tEnd: float) =
        pending <- false
        let error = stepper.Try(length, tEnd)
        pending <- true
        error

    /// Moves the attempted step to tEnd into the past.
    member _.Accept(length: float, tEnd: float) =
        record.Accepting(length, tEnd)
        stepper.Accept()
        pending <- false
        t <- tEnd

    /// A change of the state between steps.
    member this.Restart(time: float, state: 'S) =
        stepper.Start(time, state)
        this.Anchor time

    /// Ends the solve.
    member _.Finish(which: Status, text: string) =
        status <- which
        message <- text
        finished <- true
