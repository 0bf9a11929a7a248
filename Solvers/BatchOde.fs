// Batches whose samples each have a clock of their own: the front door.
namespace Continuum

open System
open System.Collections.Generic
open TorchSharp

/// Solving y' = f(t, y) for a batch (dimension 0 of the state) in which every sample has its own span, steps, save times,
/// events and status, in one tensor. A sample's steps and result do not depend on the others, as long as the field itself
/// treats samples independently; one that fails or finishes is left alone from then on. For one step size for the whole
/// batch (fewer rounds on similar samples) use TensorOde.
[<RequireQualifiedAccess>]
module BatchOde =

    let private bad (text: string) = raise (ArgumentException text)

    /// The pieces as tensors: saved rows, event times, states before and after; null where there are none.
    let private gather (pieces: seq<List<Tensor>>) : Tensor[] =
        pieces
        |> Seq.map (fun list -> if list.Count = 0 then null else torch.cat (list.ToArray()))
        |> Seq.toArray

    /// The solution from its tensors.
    let private assemble (options: BatchOptions) (loop: BatchLoop) (y0: Tensor) (pieces: Tensor[]) (final: Tensor) =
        let batch = int y0.shape[0]
        let tail = Array.tail y0.shape

        let states, times =
            match options.SaveTimes with
            | ValueNone -> final.unsqueeze 0L, loop.Times |> Array.map Array.singleton
            | ValueSome all ->
                let slots = all |> Array.map Array.length |> Array.max
                let rows = loop.Slots.Count
                let index = Array.create (slots * batch) (int64 rows)
                loop.Slots |> Seq.iteri (fun row struct (slot, sample) -> index[slot * batch + sample] <- int64 row)

                let missing = torch.empty(Array.append [| 1L |] tail, dtype = y0.dtype, device = y0.device).fill_ nan

                let pool = if rows = 0 then missing else torch.cat [| pieces[0]; missing |]
                let plain = torch.tensor(index).clone().``to`` y0.device
                let states = pool.index_select(0L, plain).reshape(Array.append [| int64 slots; int64 batch |] tail)
                states, Array.init batch (fun i -> Array.truncate loop.SavedCounts[i] all[i])

        let occurrences = Array.init batch (fun _ -> List<TensorOccurrence>())

        loop.Happened
        |> Seq.iteri (fun n struct (event, sample, time) ->
            let tau = pieces[1].[int64 n]
            let exact = torch.tensor (time, dtype = torch.float64)
            let tensor = exact.add (tau.sub(tau.detach ()).``to``(torch.float64, torch.CPU))
            let before, after = pieces[2].[int64 n], pieces[3].[int64 n]
            occurrences[sample].Add(TensorOccurrence(event, time, tensor, before, after)))

        new BatchSolution(
            loop.Status,
            loop.Messages,
            times,
            states,
            loop.Times,
            final,
            occurrences |> Array.map (fun list -> list.ToArray()),
            loop.Accepted,
            loop.Rejected,
            loop.Evaluations,
            loop.Error
        )

    let private plain options (loop: BatchLoop) y0 =
        use _ = torch.no_grad ()
        assemble options loop y0 (gather loop.Pieces) (loop.State.alias ())

    /// Every round again, under autograd.
    let private recorded (options: BatchOptions) (field: TensorField) (loop: BatchLoop) (y0: Tensor) =
        let pieces = Array.init 4 (fun _ -> List<Tensor>())
        let kernelFor = BatchOptions.kernel options field

        if loop.StartRows.Length > 0 then
            pieces[0].Add(BatchTensors.rows loop.StartRows y0)

        let mutable state = y0.alias ()

        for r in 0 .. loop.Rounds.Count - 1 do
            use _ = torch.NewDisposeScope()

            let emit piece _ (value: Tensor) =
                pieces[BatchPieces.index piece].Add(value.alias().MoveToOuterDisposeScope())

            let next = BatchReplay.round kernelFor field options.Events loop.Rounds[r] loop.Inputs[r] state emit

            state.Dispose()
            state <- next.MoveToOuterDisposeScope()

        assemble options loop y0 (gather pieces) state

    /// One node: the backward sweep replays the rounds from the last to the first.
    let private discrete (options: BatchOptions) (field: TensorField) (loop: BatchLoop) (y0: Tensor) =
        let batch = y0.shape[0]
        let each = y0.numel () / batch
        let rows = int64 loop.Slots.Count
        let happened = int64 loop.Happened.Count
        let rounds = loop.Rounds.ToArray()
        let startRows = loop.StartRows
        let kernelFor, events = BatchOptions.kernel options field, options.Events
        let parameters = field.Parameters
        // Rows, times, befores, afters, final state: where each begins in the flat result, and the length of one entry.
        let sizes = [| rows * each; happened; happened * each; happened * each; batch * each |]
        let starts = sizes |> Array.scan (+) 0L
        let entry = [| each; 1L; each; each |]

        let forward () : struct (Tensor * Tensor[]) =
            let flat =
                torch.cat [|
                    for piece in gather loop.Pieces do
                        if not (isNull piece) then
                            yield piece.reshape -1L
                    yield loop.State.reshape -1L
                |]

            let inputs = if rounds.Length = 0 then [||] else [| torch.stack (loop.Inputs.ToArray()) |]
            // The inputs are saved too: a change in place before the backward sweep is then an error, not a wrong gradient.
            struct (flat, Array.concat [ [| y0 |]; parameters; inputs ])

        let backward (context: VjpContext) (gradient: Tensor) : Tensor[] =
            use _ = torch.NewDisposeScope()
            let initial = context.Saved[0]
            let inputs = context.Saved[context.Saved.Length - 1]
            use accumulator = new GradientAccumulator(parameters)
            let mutable adjoint = gradient.narrow(0L, starts[4], sizes[4]).reshape initial.shape

            for r in rounds.Length - 1 .. -1 .. 0 do
                use _ = torch.NewDisposeScope()
                use _ = torch.enable_grad ()
                let leaf = inputs[int64 r].detach().requires_grad_ true
                let outputs = List<Tensor>()
                let cotangents = List<Tensor>()

                let emit piece (offset: int) (value: Tensor) =
                    if value.requires_grad then
                        let p = BatchPieces.index piece
                        let first = starts[p] + int64 offset * entry[p]
                        outputs.Add value
                        cotangents.Add(gradient.narrow(0L, first, value.numel ()).reshape value.shape)

                let finish = BatchReplay.round kernelFor field events rounds[r] leaf leaf emit
                let active = BatchTensors.mask rounds[r].Active leaf
                outputs.Add finish
                cotangents.Add(torch.where (active, adjoint, torch.zeros_like adjoint))
                let found = accumulator.Backward(outputs.ToArray(), cotangents.ToArray(), [| leaf |])
                // Samples that rested pass their cotangent on untouched.
                adjoint <- torch.where(active, found[0], adjoint).MoveToOuterDisposeScope()

            if startRows.Length > 0 then
                let saved = gradient.narrow (0L, 0L, int64 startRows.Length * each)
                let index = torch.tensor(startRows |> Array.map int64).clone().``to`` gradient.device
                let shape = Array.append [| int64 startRows.Length |] (Array.tail initial.shape)
                adjoint <- adjoint.index_add (0L, index, saved.reshape shape, 1.0)

            Array.append [| adjoint |] (accumulator.Result())
            |> Array.map (fun g -> if isNull g then null else g.MoveToOuterDisposeScope())

        let flat = Autograd.customVjp (Array.append [| y0 |] parameters) forward backward
        let tail = Array.tail y0.shape

        let pieces =
            Array.init 4 (fun p ->
                let count = sizes[p] / entry[p]

                if count = 0L then null
                elif p = 1 then flat.narrow (0L, starts[p], count)
                else flat.narrow(0L, starts[p], sizes[p]).reshape(Array.append [| count |] tail))

        assemble options loop y0 pieces (flat.narrow(0L, starts[4], sizes[4]).reshape y0.shape)

    /// The check of TensorOde, with times of the batch's shape.
    let private checkTracking (options: BatchOptions) (field: TensorField) (y0: Tensor) =
        if options.CheckTracking && not field.TrackingChecked then
            use _ = torch.NewDisposeScope()
            let time = if field.Autonomous then null else BatchTensors.column options.T0 y0
            let fixedTime = TensorField(Func<_, _, _>(fun _ y -> field.Eval(time, y)), field.Parameters, true)
            TensorOde.checkTracking fixedTime options.T0[0] y0
            field.TrackingChecked <- true

    /// Solves y' = f(t, y) for every sample of y0 (shape (batch, ...)) over its own span. The field gets t of shape
    /// (batch, 1, ..., 1), in y's dtype. Gradients flow to y0 and the field's Parameters (Recorded: to everything that the
    /// field and the events read), also through event times. Recorded runs the accepted steps a second time, recording;
    /// the field must therefore be deterministic, as for Discrete. ArgumentException for misuse; failures while solving
    /// are in the Status of their samples, an exception of the field or an event ends all samples that still run.
    let solve (options: BatchOptions) (field: TensorField) (y0: Tensor) : BatchSolution =
        NativeLibraries.ensure ()

        if isNull (box field) then
            raise (ArgumentNullException(nameof field))

        if isNull y0 || y0.dim () = 0L || y0.numel () = 0L then
            bad "The initial state needs a batch dimension and at least one element: shape (batch, ...)."

        if not (y0.is_floating_point ()) then
            bad
                $"The initial state must be a floating point tensor; its dtype is {y0.dtype}. Convert it with .to(torch.float64)."

        BatchOptions.check options (int y0.shape[0])

        match options.Method with
        | RungeKutta _ -> ()
        | _ ->
            use _ = torch.NewDisposeScope()
            SampleIndependence.demand field (if field.Autonomous then null else BatchTensors.column options.T0 y0) y0

        if not (isNull field.Mass) && options.Events.Length > 0 && not options.Differentiation.IsNone then
            bad
                "Gradients through the times of events need y' = f(t, y), and the field has a mass matrix; leave out the events, or ask for no gradient."

        match options.Differentiation with
        | Differentiation.None
        | Differentiation.Recorded -> ()
        | Differentiation.Discrete discrete when discrete.MaxCheckpoints > 0 ->
            bad
                $"BatchOde's Discrete keeps the state of every round; MaxCheckpoints must be 0, got {discrete.MaxCheckpoints}. Split the spans to bound memory."
        | Differentiation.Discrete _ -> ()
        | other ->
            bad
                $"BatchOde differentiates by Recorded or Discrete (or None), not by {other}; use one of these, or one clock for the whole batch."

        let wants (x: Tensor) = x.requires_grad

        let needed =
            torch.is_grad_enabled ()
            && not options.Differentiation.IsNone
            && (wants y0 || Array.exists wants field.Parameters || options.Differentiation.IsRecorded)

        if needed && options.Differentiation.IsDiscrete then
            checkTracking options field y0

        use _ = torch.NewDisposeScope()
        use loop = new BatchLoop(options, field, y0, needed)
        loop.Run()

        let solution =
            match options.Differentiation with
            // After an exception the last round may be half done: its states are worth having, their gradients are not.
            | _ when not needed || not (isNull loop.Error) -> plain options loop y0
            | Differentiation.Recorded -> recorded options field loop y0
            | _ -> discrete options field loop y0

        solution.MoveToOuterScope()
