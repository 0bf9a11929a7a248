// What the backward sweeps of a stochastic solve need of the forward one: its steps as numbers, where the saved values lie, and one node
// of the graph that holds them all.
namespace Continuum

open System
open System.Collections.Generic
open TorchSharp

/// A solve of an equation on tensors. FreshKernel makes kernels of its method for this equation and states like Initial.
type internal SdeTask = {
    Terms: SdeTerms
    Path: IBrownian<Tensor>
    FreshKernel: unit -> ISdeKernel<Tensor, Tensor>
    Options: SolveOptions<Tensor>
    Start: float
    End: float
    Initial: Tensor
} with

    /// The forward solve without a graph, watched by an observer.
    member this.Run(observer: ISdeObserver<Tensor>) : Solution<Tensor> =
        SdeIntegration<Tensor, Tensor, TensorSpace>(
            this.FreshKernel(),
            this.FreshKernel,
            TensorSpace(this.Options.Tolerance, false),
            this.Path,
            observer,
            this.Options,
            this.Start,
            this.End
        )
            .Run
            this.Initial

/// An accepted step of the trajectory.
[<Struct>]
type internal SdeStep = {
    From: float
    To: float
} with

    /// Signed length.
    member this.Length = this.To - this.From

/// The cotangent of a saved value inside a step.
[<Struct; NoEquality; NoComparison>]
type internal SideCotangent = { Time: float; Cotangent: Tensor }

/// Where the saved values of a solve lie: at the ends of steps, or inside them.
[<Sealed>]
type internal SdeSaves() =
    let atPosition = Dictionary<int, List<int>>()
    let inside = Dictionary<int, List<struct (float * int)>>()

    let add (table: Dictionary<int, List<'V>>) key value =
        match table.TryGetValue key with
        | true, list -> list.Add value
        | _ -> table[key] <- List<'V>([ value ])

    let find (table: Dictionary<int, List<'V>>) key : List<'V> =
        match table.TryGetValue key with
        | true, list -> list
        | _ -> null

    /// Value `index` is the state after so many steps.
    member _.AtEnd(position: int, index: int) = add atPosition position index
    /// Value `index` lies at a time inside the step after so many steps.
    member _.Inside(position: int, time: float, index: int) = add inside position (struct (time, index))
    /// The values that are the state after so many steps, or null.
    member _.EndOf(position: int) = find atPosition position
    /// The values inside the step after so many steps, or null.
    member _.InsideOf(position: int) = find inside position

/// Notes the steps and the saved values of a solve. heuristics may be null.
[<AbstractClass>]
type internal SdeTape<'S>(heuristics: SdeHeuristics<'S>) =
    let steps = List<SdeStep>()
    let saves = SdeSaves()
    let summed = not (isNull (box heuristics))

    /// The steps accepted so far.
    member _.Steps = steps
    /// Where the saved values lie.
    member _.Saves = saves
    /// A step from this state is about to be noted.
    abstract Before: y: 'S -> unit
    /// There is an error estimate of the last step, or the last two.
    abstract Estimated: unit -> unit

    interface ISdeObserver<'S> with
        member this.Stepped(t, tEnd, y, y1) =
            this.Before y
            steps.Add { From = t; To = tEnd }

            if summed then
                (heuristics :> ISdeObserver<'S>).Stepped(t, tEnd, y, y1)

        member this.Estimated(h, error) =
            this.Estimated()

            if summed then
                (heuristics :> ISdeObserver<'S>).Estimated(h, error)

        member _.Saved(index, r) =
            if steps.Count = 0 || steps[steps.Count - 1].To = r then
                saves.AtEnd(steps.Count, index)
            else
                saves.Inside(steps.Count - 1, r, index)

/// What the backward sweep of one node gets.
[<NoEquality; NoComparison>]
type internal SdeCotangents = {
    /// The initial state, detached.
    Initial: Tensor
    /// The cotangent of a saved value, or of the final state after the last of them; null where it is zero.
    Of: int -> Tensor
    /// The cotangent (0-d) of the sum of the error estimates; null where it is zero.
    Errors: Tensor
    /// The cotangent (0-d) of the sum of the stiffness estimates; null where it is zero.
    Stiffness: Tensor
    /// What the forward solve saved.
    Saved: Tensor[]
}

/// What the forward solve of one node leaves. Its tensors belong to the innermost scope.
[<NoEquality; NoComparison>]
type internal SdeForward = {
    Raw: Solution<Tensor>
    /// For the backward sweep; saved natively.
    Saved: Tensor[]
}

/// The cotangents of a step's stiffness estimate.
[<RequireQualifiedAccess>]
module internal SdeStiffness =
    /// From the cotangent (0-d) of the estimate along the step from (t, y) to y1 to those of y and y1; parameters go to the accumulator.
    let pull
        (at: SdeTermsAt)
        (t: float)
        (y: Tensor)
        (y1: Tensor)
        (bar: Tensor)
        (gradients: GradientAccumulator)
        : struct (Tensor * Tensor) =
        let struct (from, towards, estimate) =
            use _ = torch.enable_grad ()
            let from = y.detach().requires_grad_ true
            let towards = y1.detach().requires_grad_ true
            struct (from, towards, SdeHeuristics<Tensor>.Stiffness(at, t, from, towards))

        let found = gradients.Backward([| estimate |], [| bar.reshape estimate.shape |], [| from; towards |])
        struct (found[0], found[1])

/// One node of the graph for a whole solve.
[<RequireQualifiedAccess>]
module internal SdeNode =
    let private out (x: Tensor) = if isNull x then null else x.MoveToOuterDisposeScope()

    /// The sums of the heuristics as one number each, and the evaluations they cost.
    let private withHeuristics (heuristics: SdeHeuristics<'S>) (raw: Solution<Tensor>) : Solution<Tensor> =
        if isNull (box heuristics) then
            raw
        else
            let number (x: Tensor) = if isNull x then nan else x.ToDouble()

            {
                raw with
                    Statistics = {
                        raw.Statistics with
                            Evaluations = raw.Statistics.Evaluations + heuristics.Evaluations
                            ErrorEstimate = number heuristics.Errors
                            StiffnessEstimate = number heuristics.Stiffnesses
                    }
            }

    /// A solve without a node: its states are their own gradient carriers, or have none.
    let plain (heuristics: SdeHeuristics<'S>) (raw: Solution<Tensor>) (y0: Tensor) : TensorSolution =
        let raw = TensorSolution.DetachDense raw |> withHeuristics heuristics

        let states =
            if raw.States.Length = 0 then
                torch.empty (Array.append [| 0L |] y0.shape, dtype = y0.dtype, device = y0.device)
            else
                torch.stack raw.States

        let own (x: Tensor) =
            if isNull x then
                null
            else
                use x = x
                x.alias ()

        let struct (errors, stiffness) =
            if isNull (box heuristics) then
                struct (null, null)
            else
                struct (own heuristics.Errors, own heuristics.Stiffnesses)

        new TensorSolution(raw, states, raw.FinalState.alias (), [||], errors, stiffness)

    /// The inputs are the initial state and the equation's parameters; `backward` returns the gradients of both (null for none). The
    /// heuristics, null for none, are those that `forward` sums up; they are freed here.
    let solve
        (task: SdeTask)
        (heuristics: SdeHeuristics<'S>)
        (forward: unit -> SdeForward)
        (backward: SdeCotangents -> struct (Tensor * Tensor[]))
        : TensorSolution =
        let y0 = task.Initial
        let parameters = task.Terms.Parameters
        let size = y0.numel ()
        let mutable raw = Unchecked.defaultof<Solution<Tensor>>
        // Offsets of the two sums in the flat result, -1 for none.
        let mutable errorsAt = -1L
        let mutable stiffnessAt = -1L

        let run () : struct (Tensor * Tensor[]) =
            use _ = torch.NewDisposeScope()
            let found = forward ()
            raw <- TensorSolution.DetachDense found.Raw |> withHeuristics heuristics

            let struct (errors, stiffness) =
                if isNull (box heuristics) then
                    struct (null, null)
                else
                    struct (heuristics.Errors, heuristics.Stiffnesses)

            let pieces = List<Tensor>()

            for state in raw.States do
                pieces.Add(state.reshape -1L)

            pieces.Add(raw.FinalState.reshape -1L)
            let mutable next = size * int64 pieces.Count

            let place (sum: Tensor) =
                if isNull sum then
                    -1L
                else
                    use sum = sum
                    pieces.Add(sum.reshape(1L).``to``(y0.dtype, y0.device).clone())
                    next <- next + 1L
                    next - 1L

            errorsAt <- place errors
            stiffnessAt <- place stiffness
            let flat = torch.cat (pieces.ToArray())
            // The inputs too: a change in place before the backward sweep is then an error, not a wrong gradient.
            struct (out flat, Array.concat [ [| y0 |]; parameters; found.Saved |> Array.map out ])

        let sweep (context: VjpContext) (gradient: Tensor) : Tensor[] =
            use _ = torch.NewDisposeScope()
            use _ = torch.no_grad ()
            let initial = context.Saved[0].detach()
            let count = int64 raw.States.Length + 1L
            let rows = gradient.narrow(0L, 0L, count * size).reshape(count, size)
            let live = rows.abs().amax([| 1L |]) |> Tensors.toArray

            let sumAt (at: int64) =
                if at < 0L then
                    null
                else
                    let bar = gradient.select (0L, at)
                    if bar.ToDouble() = 0.0 then null else bar

            let struct (start, found) =
                backward {
                    Initial = initial
                    Of = fun i -> if live[i] = 0.0 then null else rows.select(0L, int64 i).reshape initial.shape
                    Errors = sumAt errorsAt
                    Stiffness = sumAt stiffnessAt
                    Saved =
                        Array.sub context.Saved (parameters.Length + 1) (context.Saved.Length - parameters.Length - 1)
                }

            Array.append [| start |] found |> Array.map out

        let flat = Autograd.customVjp (Array.append [| y0 |] parameters) run sweep
        let n = int64 raw.States.Length
        let states = flat.narrow(0L, 0L, n * size).reshape(Array.append [| n |] y0.shape)
        let final = flat.narrow(0L, n * size, size).reshape y0.shape
        let number (at: int64) = if at < 0L then null else flat.select (0L, at)
        new TensorSolution(raw, states, final, [||], number errorsAt, number stiffnessAt)
