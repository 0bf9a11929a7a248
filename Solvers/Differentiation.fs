// The ways to differentiate a solve, as values of one type, and what a solve on tensors returns.
namespace Continuum

open System
open TorchSharp

/// How much a Discrete backward sweep may store.
type DiscreteOptions = {
    /// Most states kept from the forward solve; 0 keeps the state at the start of every graph window.
    /// With a bound, the sweep recomputes what was not kept.
    MaxCheckpoints: int
    /// Steps that share one autograd graph during the sweep: larger is a little faster, memory grows with it.
    GraphWindow: int
}

/// How a continuous adjoint is solved.
type BacksolveOptions = {
    /// Relative tolerance of the backward solve; NaN takes the forward one.
    Rtol: float
    /// Absolute tolerance of the backward solve; NaN takes the forward one.
    Atol: float
    /// Leave the parameters' part of the adjoint out of error control (Kidger, Chen and Lyons 2021).
    Seminorm: bool
    /// Told when the state reconstructed at the start differs from the initial state by more than a hundred tolerances: the
    /// gradient is then unreliable. Arguments: the scaled difference, and a sentence. Null writes to the standard error.
    OnDrift: Action<float, string>
}

/// How a reversible solve is differentiated.
type ReversibleOptions = {
    /// Coupling in (0, 1] of McCallum and Foster's scheme; the backward error grows like coupling^-n between checkpoints.
    /// A mode that decays at rate r needs a coupling below exp(-r h): the default 0.9 leaves room, 0.999 does not suit dissipative problems.
    Coupling: float
    /// Steps between stored states; 0 takes as many as keep rounding errors, which grow like coupling^-n and with the field's
    /// own rates, below an estimated 1e-10 (1e-5 below float64), at most 256.
    CheckpointEvery: int
    /// As in BacksolveOptions; told once a sweep when a reconstructed state misses a stored one by more than 1e-6 of its size (1e-3
    /// below float64).
    OnDrift: Action<float, string>
}

/// Reporting that a backward sweep lost its way.
[<RequireQualifiedAccess>]
module internal Drift =
    /// Tells the handler; without one, the standard error.
    let report (handler: Action<float, string>) (size: float) (text: string) =
        if isNull handler then
            eprintfn "continuum: warning: %s" text
        else
            handler.Invoke(size, text)

/// How gradients flow through a solve. All return gradients for the initial state, the field's parameters and the times.
[<RequireQualifiedAccess>]
type Differentiation =
    /// No gradient; the cheapest.
    | None
    /// Autograd through every step: exact for the discrete solution, twice differentiable, memory grows with steps times graph.
    | Recorded
    /// One node per solve; stores states, replays steps one window at a time in the backward sweep: exact for the discrete
    /// solution, once differentiable, memory independent of the field's graph. The default.
    | Discrete of DiscreteOptions
    /// The continuous adjoint, solved backward in one sweep over all save times: memory of one state, gradients only as
    /// accurate as the reconstruction of the state.
    | Backsolve of BacksolveOptions
    /// Steps that can be undone algebraically: exact for the discrete solution with memory of sparse checkpoints.
    | Reversible of ReversibleOptions

    /// Discrete, every window start kept, eight steps a window.
    static member DiscreteDefault = Differentiation.Discrete { MaxCheckpoints = 0; GraphWindow = 8 }

    /// Backsolve at the forward tolerances with the seminorm.
    static member BacksolveDefault =
        Differentiation.Backsolve { Rtol = nan; Atol = nan; Seminorm = true; OnDrift = null }

    /// Reversible with coupling 0.9, which damps the second state of dissipative problems too; checkpoints keep its drift small.
    static member ReversibleDefault =
        Differentiation.Reversible { Coupling = 0.9; CheckpointEvery = 0; OnDrift = null }

/// Times as tensors (0-d, or 1-d for Save) whose gradients are wanted; null where not. Their values replace the plain times.
type TrackedTimes = {
    /// Start of the span (0-d), or null.
    Start: Tensor
    /// End of the span (0-d), or null.
    End: Tensor
    /// Save times (1-d, monotone in the direction of the span), or null.
    Save: Tensor
}

/// An event in a solve on tensors.
[<Sealed>]
type TensorOccurrence internal (event: int, time: float, timeTensor: Tensor, before: Tensor, after: Tensor) =
    /// Index into the solve's events.
    member _.Event = event
    /// When, as a number.
    member _.Time = time
    /// When, as a tensor (0-d, float64) that carries the gradient.
    member _.TimeTensor = timeTensor
    /// The state just before it.
    member _.Before = before
    /// The state just after it.
    member _.After = after

/// A solve that did not reach its end.
[<Sealed>]
type SolveFailedException(status: Status, time: float, message: string, inner: exn) =
    inherit Exception(message, inner)
    /// Why.
    member _.Status = status
    /// The time reached.
    member _.Time = time

/// The result of a solve on tensors. Owns its tensors: dispose it, or let the enclosing dispose scope do so (but for the
/// tensors of Dense, which only its own Dispose frees).
[<Sealed>]
type TensorSolution
    internal
    (
        raw: Solution<Tensor>,
        states: Tensor,
        final: Tensor,
        occurrences: TensorOccurrence[],
        errorEstimate: Tensor,
        stiffnessEstimate: Tensor
    ) =
    /// How the solve ended.
    member _.Status = raw.Status
    /// One line for people; empty on success.
    member _.Message = raw.Message
    /// Saved times (as many as saved states).
    member _.Times = raw.Times
    /// Saved states stacked along a new first dimension: (times, ...state shape).
    member _.States = states
    /// Time reached.
    member _.FinalTime = raw.FinalTime
    /// State there.
    member _.Final = final
    /// Events in order.
    member _.Occurrences = occurrences
    /// Counts and heuristics as numbers.
    member _.Statistics = raw.Statistics
    /// Continuous output (SaveAt.DenseOutput, without gradient unless Recorded), or ValueNone. Lives until this is disposed.
    member _.Dense = raw.Dense
    /// Exception behind Status.FieldThrew, or null.
    member _.Exception = raw.Exception
    /// Differentiable sum of |h| times the norm of the local error (0-d); null unless Heuristics.
    member _.ErrorEstimate = errorEstimate
    /// Differentiable sum of the stiffness estimates (0-d); null unless Heuristics and the method has the stages for it.
    member _.StiffnessEstimate = stiffnessEstimate

    /// Throws SolveFailedException unless the solve ended well.
    member this.EnsureSuccess() =
        match raw.Status with
        | Status.Success
        | Status.Terminated -> this
        | _ -> raise (SolveFailedException(raw.Status, raw.FinalTime, raw.Message, raw.Exception))

    /// Takes the states of dense output out of the scopes of the solve, which they outlive; Dispose frees them.
    static member internal DetachDense(raw: Solution<Tensor>) : Solution<Tensor> =
        match raw.Dense with
        | ValueSome(:? IHoldsStates<Tensor> as dense) -> dense.ForEach(fun x -> x.DetachFromDisposeScope() |> ignore)
        | _ -> ()

        raw

    /// The same outcome with other states.
    member internal _.With(states: Tensor, final: Tensor) =
        new TensorSolution(raw, states, final, occurrences, errorEstimate, stiffnessEstimate)

    /// Hands the results to the enclosing dispose scope.
    member internal this.MoveToOuterScope() =
        let move (x: Tensor) =
            if not (isNull x) then
                x.MoveToOuterDisposeScope() |> ignore

        move states
        move final
        move errorEstimate
        move stiffnessEstimate

        for occurrence in occurrences do
            move occurrence.TimeTensor
            move occurrence.Before
            move occurrence.After

        this

    interface IDisposable with
        member _.Dispose() =
            let free (x: Tensor) =
                if not (isNull x) then
                    x.Dispose()

            free states
            free final
            free errorEstimate
            free stiffnessEstimate

            match raw.Dense with
            | ValueSome(:? IHoldsStates<Tensor> as dense) -> dense.ForEach free
            | _ -> ()

            for occurrence in occurrences do
                free occurrence.TimeTensor
                free occurrence.Before
                free occurrence.After
