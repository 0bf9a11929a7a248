// What a batched solve did, and doing it again under autograd: all of it (Recorded) or one round at a time, backward (Discrete).
namespace Continuum

open System
open TorchSharp

/// States saved in a round: those of some samples, at one theta each (null: at the end of their steps). Offset is the place of
/// the first one among all saved rows.
type internal SaveGroup = { Samples: int[]; Theta: float[]; Offset: int }

/// An event that some samples had at the ends of their steps of a round. Offset counts all occurrences before.
type internal EventGroup = { Event: int; Fired: int[]; Offset: int }

/// One round of accepted steps. Samples that did not advance have H = 0 and a time at which their field was evaluated before.
type internal BatchRound = {
    T: float[]
    H: float[]
    TEnd: float[]
    Active: bool[]
    Saves: SaveGroup[]
    Events: EventGroup[]
}

/// The differentiable results of a solve, as rows.
[<Struct>]
type internal BatchPiece =
    | SavedRows
    | EventTimes
    | EventBefores
    | EventAfters

/// The pieces in the order in which results list them.
[<RequireQualifiedAccess>]
module internal BatchPieces =
    /// Place in that order.
    let index piece =
        match piece with
        | SavedRows -> 0
        | EventTimes -> 1
        | EventBefores -> 2
        | EventAfters -> 3

/// One round again.
[<RequireQualifiedAccess>]
module internal BatchReplay =

    /// TimeGradient.throughEvent for the samples of a mask; nothing of the others enters, not even as zero times NaN.
    /// Returns the times, the states there, and the zeros that carry the times' gradient.
    let private through
        (field: TensorField)
        (condition: Tensor -> Tensor -> Tensor)
        (fired: Tensor)
        (t: Tensor)
        (y: Tensor)
        =
        let one = torch.ones_like t

        let rate =
            use _ = torch.enable_grad ()
            let time = t.detach().requires_grad_ true
            let state = y.detach().requires_grad_ true
            let g = condition time state
            let parts = Autograd.vjp [| g |] [| time; state |] [| torch.ones_like g |]
            use _ = torch.no_grad ()
            let slope = field.Eval((if field.Autonomous then null else t.detach ()), state.detach ())
            let along = parts[1].mul(slope).reshape([| t.shape[0]; -1L |]).sum(1L).reshape t.shape
            let total = parts[0].add(along).detach()
            torch.where (fired, total, one)

        let g = condition t y
        let residual = g.sub(g.detach ()).reshape(t.shape).``to`` y.dtype
        let masked = torch.where (fired, residual, torch.zeros_like t)
        let delta = masked.div(rate).neg()
        struct (t.add delta, TimeGradient.shift field t delta y, delta)

    /// The state after the round from the state before it. input is that state again, without gradient, where a sample advances,
    /// and elsewhere a state where the field is known to be finite. emit sees each piece and its offset.
    let round
        (kernelFor: Tensor -> ITensorKernel)
        (field: TensorField)
        (events: TensorEvent[])
        (round: BatchRound)
        (input: Tensor)
        (y: Tensor)
        (emit: BatchPiece -> int -> Tensor -> unit)
        : Tensor =
        let active = BatchTensors.mask round.Active y
        let start = torch.where (active, y, input)

        use kernel = kernelFor start
        let t = if field.Autonomous then null else BatchTensors.column round.T y
        let h = BatchTensors.column round.H y
        let stepped = kernel.Step(t, h, start, kernel.Slope(t, start))

        for group in round.Saves do
            let value =
                if isNull group.Theta then
                    stepped
                else
                    kernel.EnsureExtras(t, h, start)
                    BatchTensors.interpolate kernel.Dense kernel.Slopes h start group.Theta

            emit SavedRows group.Offset (BatchTensors.rows group.Samples value)

        let mutable state = stepped

        for group in round.Events do
            let event = events[group.Event]
            let bits = BatchTensors.bits round.T.Length group.Fired
            let fired = BatchTensors.mask bits y
            // The others look like one that fired: the condition and the jump are defined there.
            let donor = group.Fired[0]
            let at = torch.where (fired, state, state.detach().narrow(0L, int64 donor, 1L))
            let time = BatchTensors.column (Array.mapi (fun i on -> round.TEnd[if on then i else donor]) bits) y
            let struct (tau, before, delta) = through field event.Condition fired time at

            let after =
                match event.Apply with
                | ValueSome change -> torch.where (fired, change tau before, before)
                | ValueNone -> before

            emit EventTimes group.Offset ((BatchTensors.rows group.Fired tau).reshape -1L)
            emit EventBefores group.Offset (BatchTensors.rows group.Fired before)
            emit EventAfters group.Offset (BatchTensors.rows group.Fired after)

            let next =
                if event.Terminal then
                    after
                elif event.Apply.IsNone then
                    at
                // The clock goes on from the located time, which does not move with the event: flow back to it.
                else
                    TimeGradient.shift field time (delta.neg ()) after

            state <- torch.where (fired, next, state)

        torch.where (active, state, y)
