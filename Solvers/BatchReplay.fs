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

/// Tensors with one number for each sample.
[<RequireQualifiedAccess>]
module internal BatchTensors =
    /// (batch, 1, ..., 1) with as many dimensions as y.
    let shape (y: Tensor) = Array.init (int (y.dim ())) (fun d -> if d = 0 then y.shape[0] else 1L)

    /// One number for each sample, in y's dtype.
    let column (values: float[]) (y: Tensor) : Tensor = Tensors.ofArray values (shape y) y.dtype y.device

    /// One truth value for each sample.
    let mask (bits: bool[]) (y: Tensor) : Tensor =
        use plain = torch.tensor bits
        use copy = plain.clone ()
        use there = copy.``to`` y.device
        there.reshape (shape y)

    /// Some samples.
    let rows (samples: int[]) (y: Tensor) : Tensor =
        if samples.Length = int y.shape[0] then
            y // the samples are distinct and in order
        else
            use plain = torch.tensor (samples |> Array.map int64)
            use copy = plain.clone ()
            y.index_select (0L, copy.``to`` y.device)

    /// Truth values that are set for some samples.
    let bits (batch: int) (samples: int[]) =
        let bits = Array.zeroCreate<bool> batch

        for i in samples do
            bits[i] <- true

        bits

    /// (batch, rest).
    let perSample (x: Tensor) : Tensor = x.reshape [| x.shape[0]; -1L |]

    /// Zero for each sample whose values are all finite, else NaN; float64.
    let blemish (x: Tensor) : Tensor = (perSample (x.mul (0.0.ToScalar()))).sum(1L).``to`` torch.float64

    /// The weights of dense output at theta.
    let weights (tableau: Tableau) (theta: float) =
        tableau.Raw.Dense.Weights
        |> Array.map (fun row -> Array.foldBack (fun coefficient s -> theta * (coefficient + s)) row 0.0)

    /// Dense output of a step at one theta for each sample.
    let interpolate (tableau: Tableau) (k: Tensor[]) (h: Tensor) (y: Tensor) (theta: float[]) : Tensor =
        let all = theta |> Array.map (weights tableau)
        let mutable sum: Tensor = null

        for j in 0 .. all[0].Length - 1 do
            let w = all |> Array.map (fun row -> row[j])

            if Array.exists (fun x -> x <> 0.0) w then
                let term = k[j].mul(column w y)
                sum <- if isNull sum then term else sum.add term

        if isNull sum then y.alias () else y.add (h.mul sum)

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
        (tableau: Tableau)
        (field: TensorField)
        (events: TensorEvent[])
        (round: BatchRound)
        (input: Tensor)
        (y: Tensor)
        (emit: BatchPiece -> int -> Tensor -> unit)
        : Tensor =
        let active = BatchTensors.mask round.Active y
        let start = torch.where (active, y, input)

        let kernel =
            RungeKuttaKernel<Tensor, Tensor, TensorClock, TensorClockField>(
                tableau,
                TensorClock(),
                TensorClockField field,
                start
            )

        let t = if field.Autonomous then null else BatchTensors.column round.T y
        let h = BatchTensors.column round.H y
        kernel.FirstSlope(t, start)
        let stepped = kernel.Step(t, h, start, start)
        let mutable extras = false

        for group in round.Saves do
            let value =
                if isNull group.Theta then
                    stepped
                else
                    if not extras then
                        kernel.ExtraStages(t, h, start)
                        extras <- true

                    BatchTensors.interpolate tableau kernel.K h start group.Theta

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
