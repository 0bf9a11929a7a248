// What a solve of a controlled differential equation is told.
namespace Continuum

open System
open System.Threading

/// How the path drives a step.
[<RequireQualifiedAccess>]
type CdeForm =
    /// As the ordinary equation z' = F(z) X'(t): every stage sees the derivative where it stands, on the side of its own piece.
    /// Full order of the method.
    | Rate
    /// As dz = F(z) dX over the increment of each step, X_(t+h) - X_t, for every stage: the path between the ends of a step does not matter.
    /// The same numbers as Rate where the path is straight over each step; otherwise of order 2 at most.
    | Increments

/// The steps of a solve. A step never reaches over a knot of the path.
[<RequireQualifiedAccess>]
type CdeSteps =
    /// This many equal steps between neighbouring knots.
    | PerPiece of count: int
    /// The fewest equal steps between neighbouring knots that are no longer than this.
    | Fixed of length: float
    /// As long as the tolerances allow, and ending at each knot.
    | Adaptive of rtol: float * atol: float

/// Which states are kept.
[<RequireQualifiedAccess>]
type CdeSave =
    /// The one at the end. A series shorter than others has stood still since its own end.
    | End
    /// Those at the observations that the path was made from, ControlPath.Observations.
    | Observations
    /// Those at these values of the path's parameter, increasing. Steps end there, as at knots: nothing is interpolated.
    | Times of float[]

/// Everything a solve can be told beside the field and the path.
type CdeOptions = {
    /// An explicit method: RungeKutta of any tableau, ReversibleHeun or Coupled.
    Method: Method
    /// How the path drives a step.
    Form: CdeForm
    /// The steps.
    Steps: CdeSteps
    /// The states that are kept.
    SaveAt: CdeSave
    /// How gradients flow to the initial state, the field's parameters and the path's data.
    Differentiation: Differentiation
    /// Check once per field that every tracked tensor it reads is among its Parameters (costs one evaluation).
    CheckTracking: bool
    /// Steps allowed.
    MaxSteps: int
    /// Polled before every step, or every piece.
    Cancellation: CancellationToken
}

/// Usual options.
[<RequireQualifiedAccess>]
module CdeOptions =
    /// RK4 with one step between neighbouring knots, as an ordinary equation; the state at the end; discrete gradients.
    let create () : CdeOptions = {
        Method = RungeKutta Methods.Rk4
        Form = CdeForm.Rate
        Steps = CdeSteps.PerPiece 1
        SaveAt = CdeSave.End
        Differentiation = Differentiation.DiscreteDefault
        CheckTracking = true
        MaxSteps = 1_000_000
        Cancellation = CancellationToken.None
    }

    /// Tsit5 with adaptive steps that end at the knots.
    let adaptive (rtol: float) (atol: float) : CdeOptions = {
        create () with
            Method = RungeKutta Methods.Tsit5
            Steps = CdeSteps.Adaptive(rtol, atol)
    }

    let private bad (text: string) = raise (ArgumentException text)

    /// ArgumentException for options that contradict each other or the path.
    let internal check (options: CdeOptions) (path: ControlPath) : unit =
        match options.Steps with
        | CdeSteps.PerPiece count when count < 1 ->
            bad $"There is at least one step between neighbouring knots; got {count}."
        | CdeSteps.Fixed length when not (Double.IsFinite length && length > 0.0) ->
            bad $"A fixed step must be finite and > 0; got {length}."
        | CdeSteps.Adaptive(rtol, atol) -> Tolerance.create<Tensor> rtol atol |> ignore
        | _ -> ()

        match options.Method, options.Form, options.Steps with
        | (RungeKutta _ | ReversibleHeun | Coupled _), CdeForm.Rate, _
        | RungeKutta _, CdeForm.Increments, (CdeSteps.PerPiece _ | CdeSteps.Fixed _) -> ()
        | _, CdeForm.Increments, CdeSteps.Adaptive _ ->
            bad
                "Steps on increments have fixed lengths: a method's error estimate does not see the path in between. Step by rates instead."
        | (ReversibleHeun | Coupled _), CdeForm.Increments, _ ->
            bad
                $"{options.Method.Name} steps by rates here, not by increments; step by rates, or take a Runge-Kutta tableau."
        | _ -> bad $"{options.Method.Name} is not explicit; take RungeKutta of a tableau, ReversibleHeun or Coupled."

        if options.MaxSteps < 1 then
            bad $"MaxSteps must be > 0; got {options.MaxSteps}."

        match options.SaveAt with
        | CdeSave.Times times ->
            if times.Length = 0 then
                bad "The list of save times is empty; take CdeSave.End, or give at least one time."

            for i in 0 .. times.Length - 1 do
                if not (times[i] >= path.Start && times[i] <= path.End) then
                    bad
                        $"Save time {times[i]} (index {i}) lies outside of the path, which runs from {path.Start} to {path.End}."

                if i > 0 && not (times[i] > times[i - 1]) then
                    bad $"Save times must increase; index {i} ({times[i]}) follows {times[i - 1]}."
        | _ -> ()

    /// The values of the parameter whose states are kept.
    let internal saveTimes (options: CdeOptions) (path: ControlPath) : float[] =
        match options.SaveAt with
        | CdeSave.End -> [| path.End |]
        | CdeSave.Observations -> path.Observations
        | CdeSave.Times times -> Array.copy times
