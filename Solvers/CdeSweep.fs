// Fixed steps along a path, forward and backward: with a graph through all steps, or without one and again, window by window, in the
// backward sweep.
namespace Continuum

open System
open System.Collections.Generic
open TorchSharp

/// How a run of fixed steps ended.
[<Struct>]
type internal CdeEnd = {
    Status: Status
    Message: string
    /// Steps taken.
    Steps: int
}

/// A solve with fixed steps.
[<Sealed>]
type internal CdeRun(tableau: Tableau, plan: CdePlan, nodes: CdeNodes, field: CdeField, options: CdeOptions) =
    let places = nodes.Places.Length
    let steps = plan.Piece.Length
    let stepper = CdeStepper(tableau, nodes, field)

    /// One tensor for each direction of some steps, in order.
    let unbound (directions: Tensor) : Tensor[] = directions.flatten(0L, 1L).unbind 0

    let isFinite (z: Tensor) (isLast: bool) =
        if HostTensors.suits z then
            HostTensors.isFinite z
        else
            // A number that is not finite stays so: elsewhere one look at the end says it.
            not isLast || (TensorSpace(Tolerance.create 1.0 1.0, false) :> INormedSpace<Tensor>).IsFinite z

    /// Steps [low, high) from z over directions of these steps; visit sees the state after each and may keep it.
    let advance (low: int) (high: int) (z: Tensor) (directions: Tensor[]) (visit: int -> Tensor -> unit) : Tensor =
        let mutable state = z

        for n in low .. high - 1 do
            let dx = ReadOnlySpan<Tensor>(directions, (n - low) * places, places)
            state <- stepper.Step(plan.Start[n], plan.Length[n], state, dx)
            visit (n + 1) state

        state

    member _.Steps = steps
    member _.Evaluations = stepper.Evaluations

    /// All steps from z. saved sees the number of steps before and the state, in a scope that ends after the call, for every step (0 too);
    /// what it keeps it moves out. Where gradients are enabled all steps are recorded. The final state is moved to the scope outside.
    member _.Forward(z: Tensor, table: Tensor, visit: int -> Tensor -> unit) : struct (Tensor * CdeEnd) =
        use _ = torch.NewDisposeScope()
        let directions = unbound table
        let mutable state = z
        let mutable n = 0
        let mutable status = Status.Success
        let mutable message = ""
        visit 0 z

        while status = Status.Success && n < steps do
            if options.Cancellation.IsCancellationRequested then
                status <- Status.Cancelled
                message <- $"Cancelled at {plan.Start[n]}."
            elif n >= options.MaxSteps then
                status <- Status.MaxStepsReached

                message <-
                    $"{options.MaxSteps} steps did not reach the end of the path: stopped at {plan.Start[n]}; raise MaxSteps or take longer steps."
            else
                use scope = torch.NewDisposeScope()
                let dx = ReadOnlySpan<Tensor>(directions, n * places, places)
                let next = stepper.Step(plan.Start[n], plan.Length[n], state, dx)

                if isFinite next (n = steps - 1) then
                    n <- n + 1
                    visit n next

                    if n > 1 then
                        state.Dispose()

                    state <- next.alias().MoveToOuterDisposeScope()
                else
                    status <- Status.NonFinite

                    message <-
                        $"The state is not finite after the step from {plan.Start[n]} with length {plan.Length[n]}; take more steps a piece, rescale the path's channels, or check the field there."

        struct ((if n = 0 then z.alias () else state).MoveToOuterDisposeScope(),
                { Status = status; Message = message; Steps = n })

    /// One graph over steps [low, high) from a stored state: from the cotangent of its end to the one of its start. cotangent
    /// gives that of the state after a number of steps, or null. Directions' gradients go to tableGradient where that is not null.
    member private _.Window
        (
            low,
            high,
            start: Tensor,
            table: Tensor,
            adjoint: Tensor,
            cotangent: int -> Tensor,
            sums: GradientAccumulator,
            tableGradient: Tensor
        ) : Tensor =
        use _ = torch.NewDisposeScope()
        use _ = torch.enable_grad ()
        let leaf = start.detach().requires_grad_ true
        let own = table.narrow(0L, int64 low, int64 (high - low)).detach()
        let wanted = not (isNull tableGradient)

        if wanted then
            own.requires_grad <- true

        let outputs, cotangents = List<Tensor>(), List<Tensor>()

        let visit n (state: Tensor) =
            if n < high && state.requires_grad then
                match cotangent n with
                | null -> ()
                | g ->
                    outputs.Add state
                    cotangents.Add g

        let last = advance low high leaf (unbound own) visit
        outputs.Add last
        cotangents.Add adjoint
        let inputs = if wanted then [| leaf; own |] else [| leaf |]
        let found = sums.Backward(outputs.ToArray(), cotangents.ToArray(), inputs)

        if wanted then
            use _ = torch.no_grad ()
            tableGradient.narrow(0L, int64 low, int64 (high - low)).copy_ found[1] |> ignore

        found[0].MoveToOuterDisposeScope()

    /// The gradient of the initial state; parameters' go to sums, directions' to tableGradient (zeros before, or null).
    /// stored: states before steps, increasing from 0; final: cotangent of the last state beside the one that cotangent gives.
    member this.Backward
        (
            window: int,
            stored: struct (int * Tensor)[],
            table: Tensor,
            final: Tensor,
            cotangent: int -> Tensor,
            sums: GradientAccumulator,
            tableGradient: Tensor
        ) : Tensor =
        use _ = torch.NewDisposeScope()

        let total (n: int) (adjoint: Tensor) =
            match cotangent n with
            | null -> adjoint
            | g -> adjoint.add g

        /// States at the starts of windows within [low, high), of which only the first is stored.
        let starts low high (state: Tensor) =
            let inner = List<struct (int * Tensor)>()
            inner.Add(struct (low, state))

            for from in low..window .. high - window - 1 do
                use _ = torch.NewDisposeScope()
                use _ = torch.no_grad ()
                let struct (_, state) = inner[inner.Count - 1]
                let directions = unbound (table.narrow (0L, int64 from, int64 window))
                let next = advance from (from + window) state directions (fun _ _ -> ())
                inner.Add(struct (from + window, next.alias().DetachFromDisposeScope()))

            inner

        let mutable adjoint = total steps final
        let mutable high = steps

        for s in stored.Length - 1 .. -1 .. 0 do
            let struct (low, state) = stored[s]

            if low < high then
                let inner = starts low high state

                for i in inner.Count - 1 .. -1 .. 0 do
                    let struct (from, start) = inner[i]
                    let before = this.Window(from, high, start, table, adjoint, cotangent, sums, tableGradient)
                    adjoint <- total from before
                    high <- from

                    if i > 0 then
                        start.Dispose()

        adjoint.MoveToOuterDisposeScope()
