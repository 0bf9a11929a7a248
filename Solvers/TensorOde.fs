// Ordinary differential equations on tensors: the front door, with every way to differentiate.
namespace Continuum

open System
open System.Collections.Generic
open TorchSharp

/// Solving y' = f(t, y) on tensors of any shape, with one step size for the whole state.
[<RequireQualifiedAccess>]
module TensorOde =

    let private bad (text: string) = raise (ArgumentException text)

    let private reachesUntracked (field: TensorField) (evaluate: unit -> Tensor) =
        Untracked.reaches field.Parameters evaluate

    let private lost (what: string) (field: TensorField) = Untracked.lost what "field" field.Parameters

    /// ArgumentException when the field reads a tensor that wants a gradient and is not among its parameters: the nodes of
    /// Discrete, Backsolve and Reversible would silently return no gradient for it.
    let checkTracking (field: TensorField) (t: float) (y: Tensor) : unit =
        if not field.TrackingChecked then
            if reachesUntracked field (fun () -> field.Eval(TensorField.time field t y, y.detach ())) then
                lost "The field" field

            field.TrackingChecked <- true

    /// The same for what events and scheduled changes read.
    let private checkChanges (field: TensorField) (options: TensorOptions) (t: float) (y: Tensor) : unit =
        let time () = torch.tensor (t, dtype = y.dtype, device = y.device)

        for event in options.Events do
            if reachesUntracked field (fun () -> event.Condition (time ()) (y.detach ())) then
                lost $"The condition of event '{event.Name}'" field

            match event.Apply with
            | ValueSome change when reachesUntracked field (fun () -> change (time ()) (y.detach ())) ->
                lost $"The change at event '{event.Name}'" field
            | _ -> ()

        for dose in options.Solve.Scheduled do
            if reachesUntracked field (fun () -> dose.Apply t (y.detach ())) then
                lost $"The scheduled change at t = {dose.Time}" field

    let private isImplicit (method: Method) =
        match method with
        | RungeKutta _
        | ReversibleHeun
        | Coupled _ -> false
        | _ -> true

    /// What takes the steps of an implicit method.
    let private kernelOf
        (options: TensorOptions)
        (field: TensorField)
        (t0: float)
        (y0: Tensor)
        : Tensor -> ITensorKernel =
        let joint = SampleIndependence.isJoint field (TensorField.time field t0 y0) y0
        TensorKernels.create options.Method field joint options.Solve.Tolerance

    let private stepperOf
        (options: TensorOptions)
        (space: TensorSpace)
        (field: TensorField)
        t0
        (y0: Tensor)
        : IStepper<Tensor> =
        match options.Method with
        | RungeKutta tableau ->
            new RungeKuttaStepper<Tensor, TensorSpace, ScalarClockField>(tableau, space, ScalarClockField field, y0)
        | ReversibleHeun
        | Coupled _ -> Reversible.stepper options.Method space field y0
        | Bdf maxOrder ->
            BdfFormula.check maxOrder
            BdfFormula.checkControl options.Solve.Control
            let joint = SampleIndependence.isJoint field (TensorField.time field t0 y0) y0
            let linear = new TensorClockSystem(field, joint)

            new BdfStepper<Tensor, TensorSpace, ScalarClockField>(
                options.Method.Name,
                maxOrder,
                space,
                ScalarClockField field,
                linear,
                y0
            )
        | _ -> new TensorKernelStepper(kernelOf options field t0 y0 y0, space, field)

    let private replayOf (options: TensorOptions) (field: TensorField) t0 (y0: Tensor) : Tensor -> IReplay =
        let space = TensorSpace(Tolerance.create 1e-6 1e-6, true)

        match options.Method with
        | RungeKutta tableau -> fun like -> new ExplicitReplay(tableau, space, field, like)
        | _ ->
            let kernelFor = kernelOf options field t0 y0
            fun like -> new KernelReplay(kernelFor like, space, field)

    let private plainEvent (event: TensorEvent) (change: (float -> Tensor -> Tensor) voption) : Event<Tensor> = {
        Name = event.Name
        Condition =
            fun t y ->
                use _ = torch.NewDisposeScope()
                use _ = torch.no_grad ()
                let value = event.Condition (torch.tensor (t, dtype = y.dtype, device = y.device)) y

                if value.numel () <> 1L then
                    let shape = value.shape |> Array.map string |> String.concat ", "

                    bad
                        $"Event '{event.Name}' must return one number; it returned shape [{shape}]. For one event per sample give the samples clocks of their own."

                value.ToDouble()
        Crossing = event.Crossing
        Apply = change
        Terminal = event.Terminal
        MaxOccurrences = event.MaxOccurrences
    }

    let private timeTensor (t: float) (y: Tensor) = torch.tensor (t, dtype = y.dtype, device = y.device)

    /// Changes at events without gradient.
    let private forwardEvents (events: TensorEvent[]) =
        events
        |> Array.map (fun event ->
            plainEvent event (event.Apply |> ValueOption.map (fun change -> fun t y -> change (timeTensor t y) y)))

    let private run (told: TensorOptions) recording observer events field t0 t1 (y0: Tensor) =
        let options = told.Solve

        let space = TensorSpace(options.Tolerance, recording)
        let stepper = stepperOf told space field t0 y0
        let normed = space :> INormedSpace<Tensor>

        Integrate.run stepper normed.Copy normed.Keep normed.IsFinite observer { options with Events = events } t0 t1 y0
        |> TensorSolution.DetachDense

    let private stack (states: Tensor[]) (y0: Tensor) =
        if states.Length = 0 then
            torch.empty (Array.append [| 0L |] y0.shape, dtype = y0.dtype, device = y0.device)
        else
            torch.stack states

    // -------------------------------------------------------------------------------------------- without a node

    let private solvePlain (options: TensorOptions) field t0 t1 y0 =
        use _ = torch.no_grad ()

        let raw = run options false Unchecked.defaultof<_> (forwardEvents options.Events) field t0 t1 y0

        let occurrences =
            raw.Occurrences
            |> Array.map (fun o ->
                TensorOccurrence(
                    o.Event,
                    o.Time,
                    torch.tensor (o.Time, dtype = torch.float64),
                    o.Before.alias (),
                    o.After.alias ()
                ))

        let number value =
            if Double.IsNaN value then
                null
            else
                torch.tensor (value, dtype = y0.dtype, device = y0.device)

        new TensorSolution(
            raw,
            stack raw.States y0,
            raw.FinalState.alias (),
            occurrences,
            number raw.Statistics.ErrorEstimate,
            number raw.Statistics.StiffnessEstimate
        )

    let private solveRecorded (options: TensorOptions) (field: TensorField) t0 t1 (y0: Tensor) =
        let taus = List<struct (Tensor * Tensor * Tensor)>()

        let events =
            options.Events
            |> Array.map (fun event ->
                plainEvent
                    event
                    (ValueSome(fun t y ->
                        let struct (tau, before, after, resumed) =
                            TimeGradient.applyEvent field event (timeTensor t y) y

                        taus.Add(struct (tau, before, after))
                        resumed)))

        let mutable errors: Tensor = null
        let mutable stiffness: Tensor = null

        let add (sum: Tensor) (term: Tensor) =
            if isNull term then sum
            elif isNull sum then term.MoveToOuterDisposeScope()
            else sum.add(term).MoveToOuterDisposeScope()

        let observer = {
            new IStepObserver<Tensor> with
                member _.Accepting(stepper, h) =
                    if options.Solve.Heuristics then
                        match stepper with
                        | :? RungeKuttaStepper<Tensor, TensorSpace, ScalarClockField> as stepper ->
                            let view = stepper :> IStepper<Tensor>
                            let struct (e, s) = StepHeuristics.ofStep stepper.Kernel h view.State view.Candidate
                            errors <- add errors e
                            stiffness <- add stiffness s
                        | _ -> ()

                member _.Saved(_, _) = ()
                member _.Changed(_, _, _) = ()
        }

        let raw = run options true observer events field t0 t1 y0

        let occurrences =
            raw.Occurrences
            |> Array.mapi (fun i o ->
                let struct (tau, before, after) = taus[i]
                let exact = torch.tensor (o.Time, dtype = torch.float64)
                let time = exact.add (tau.sub(tau.detach ()).``to``(torch.float64, torch.CPU))
                TensorOccurrence(o.Event, o.Time, time, before.alias (), after.alias ()))

        new TensorSolution(raw, stack raw.States y0, raw.FinalState.alias (), occurrences, errors, stiffness)

    // ------------------------------------------------------------------------------------------------ the discrete node

    let private solveDiscrete
        (discrete: DiscreteOptions)
        (options: TensorOptions)
        (field: TensorField)
        t0
        t1
        (y0: Tensor)
        =
        let size = y0.numel ()
        let mutable raw = Unchecked.defaultof<Solution<Tensor>>
        let mutable tape: Tape = Unchecked.defaultof<Tape>
        let mutable entries: TapeEntry[] = [||]
        let mutable saves: struct (int * float * int)[] = [||]
        let mutable checkpointEntries: int[] = [||]
        let heuristics = options.Solve.Heuristics
        let replayFor = replayOf options field t0 y0

        /// Where a piece lies in the flat result: offset and length.
        let place piece : struct (int64 * int64) =
            let n = int64 raw.States.Length
            let tail = (n + 1L) * size
            let each = 1L + 2L * size

            match piece with
            | SavedState i -> struct (int64 i * size, size)
            | FinalState -> struct (n * size, size)
            | EventTime i -> struct (tail + int64 i * each, 1L)
            | EventBefore i -> struct (tail + int64 i * each + 1L, size)
            | EventAfter i -> struct (tail + int64 i * each + 1L + size, size)
            | ErrorSum -> struct (tail + int64 raw.Occurrences.Length * each, 1L)
            | StiffnessSum -> struct (tail + int64 raw.Occurrences.Length * each + 1L, 1L)

        let forward () : struct (Tensor * Tensor[]) =
            use _ = torch.NewDisposeScope()
            tape <- Tape discrete
            raw <- run options false tape (forwardEvents options.Events) field t0 t1 y0

            let number value =
                let value = if Double.IsNaN value then 0.0 else value
                torch.empty([| 1L |], dtype = y0.dtype, device = y0.device).fill_ value

            let pieces = [|
                for state in raw.States do
                    yield state.reshape -1L
                yield raw.FinalState.reshape -1L
                for o in raw.Occurrences do
                    yield number o.Time
                    yield o.Before.reshape -1L
                    yield o.After.reshape -1L
                if heuristics then
                    yield number raw.Statistics.ErrorEstimate
                    yield number raw.Statistics.StiffnessEstimate
            |]

            let flat = torch.cat pieces
            entries <- tape.Entries.ToArray()
            saves <- tape.Saves.ToArray()
            checkpointEntries <- [| for struct (i, _) in tape.Checkpoints -> i |]
            let kept = [| for struct (_, state) in tape.Checkpoints -> state |]

            let saved =
                if kept.Length = 0 then
                    [||]
                else
                    [| torch.stack(kept).MoveToOuterDisposeScope() |]

            for state in kept do
                state.Dispose()

            struct (flat.MoveToOuterDisposeScope(), saved)

        let backward (context: VjpContext) (gradient: Tensor) : Tensor[] =
            use _ = torch.NewDisposeScope()
            let saved = context.Saved
            let initial = saved[0]

            let checkpoints =
                checkpointEntries |> Array.mapi (fun i entry -> struct (entry, saved[saved.Length - 1].[int64 i]))

            let scalarGradient piece =
                let struct (offset, length) = place piece
                let g = gradient.narrow (0L, offset, length)
                if g.ToDouble() = 0.0 then null else g

            let errors = if heuristics then scalarGradient ErrorSum else null
            let stiffness = if heuristics then scalarGradient StiffnessSum else null

            let cotangent piece =
                match piece with
                | ErrorSum -> errors
                | StiffnessSum -> stiffness
                | _ ->
                    let struct (offset, length) = place piece
                    gradient.narrow (0L, offset, length)

            use accumulator = new GradientAccumulator(field.Parameters)

            let sweep =
                DiscreteSweep(
                    replayFor,
                    field,
                    options.Events,
                    options.Solve.Scheduled,
                    discrete,
                    entries,
                    saves,
                    cotangent,
                    accumulator
                )

            let adjoint = sweep.Run(initial, checkpoints)

            Array.append [| adjoint |] (accumulator.Result())
            |> Array.map (fun g -> if isNull g then null else g.MoveToOuterDisposeScope())

        let flat =
            Autograd.customVjp
                (Array.append [| y0 |] field.Parameters)
                (fun () ->
                    let struct (flat, saved) = forward ()
                    // The inputs are saved too: a change in place before the backward sweep is then an error, not a wrong gradient.
                    struct (flat, Array.concat [ [| y0 |]; field.Parameters; saved ]))
                backward

        let piece which (shape: int64[]) =
            let struct (offset, length) = place which
            flat.narrow(0L, offset, length).reshape shape

        let n = int64 raw.States.Length
        let states = flat.narrow(0L, 0L, n * size).reshape(Array.append [| n |] y0.shape)

        let occurrences =
            raw.Occurrences
            |> Array.mapi (fun i o ->
                let tau = piece (EventTime i) [||]
                let exact = torch.tensor (o.Time, dtype = torch.float64)
                let time = exact.add (tau.sub(tau.detach ()).``to``(torch.float64, torch.CPU))
                TensorOccurrence(o.Event, o.Time, time, piece (EventBefore i) y0.shape, piece (EventAfter i) y0.shape))

        let number which value = if heuristics && not (Double.IsNaN value) then piece which [||] else null

        new TensorSolution(
            raw,
            states,
            piece FinalState y0.shape,
            occurrences,
            number ErrorSum raw.Statistics.ErrorEstimate,
            number StiffnessSum raw.Statistics.StiffnessEstimate
        )

    // --------------------------------------------------------------------------------------------------- the front door

    /// What is not differentiable for implicit methods.
    let private checkImplicit (options: TensorOptions) (field: TensorField) =
        if isImplicit options.Method then
            if options.Method.IsBdf then
                bad
                    $"{options.Method.Name} on tensors gives values only; to differentiate a stiff solve take Rodas5P or Kvaerno5, or ask for no gradient."

            if options.Solve.Heuristics then
                bad
                    $"The heuristics of {options.Method.Name} are not differentiable; leave Heuristics out, or ask for no gradient."

            if not (isNull field.Mass) && (options.Events.Length > 0 || options.Times.IsSome) then
                bad
                    "Gradients through the times of events and of the span need y' = f(t, y), and the field has a mass matrix; leave out events and tracked times, or ask for no gradient."

    let private numberOf (name: string) (t: Tensor) =
        if t.numel () <> 1L then
            bad $"{name} as a tensor must hold one number; its shape has {t.numel ()}."

        use plain = t.detach().cpu()
        plain.ToDouble()

    /// Solves y' = f(t, y) from y(t0) = y0 to t1. Gradients flow to y0, the field's Parameters and options.Times as
    /// options.Differentiation says, when gradients are enabled and any of them requires one.
    /// ArgumentException for misuse (shapes, options, an untracked tensor); failures while solving are in the Status.
    let solve (options: TensorOptions) (field: TensorField) (t0: float) (t1: float) (y0: Tensor) : TensorSolution =
        NativeLibraries.ensure ()

        if isNull y0 || y0.numel () = 0L then
            bad "The initial state is empty; give a tensor with at least one element."

        if not (y0.is_floating_point ()) then
            bad
                $"The initial state must be a floating point tensor; its dtype is {y0.dtype}. Convert it with .to(torch.float64)."

        if isNull field then
            raise (ArgumentNullException(nameof field, "The field is null; give a TensorField."))

        let checkShape (name: string) (per: Tensor voption) =
            match per with
            | ValueSome per when not (Seq.forall2 (=) per.shape y0.shape && per.dim () = y0.dim ()) ->
                let show (x: Tensor) = x.shape |> Array.map string |> String.concat ", "

                bad
                    $"{name} per component has shape [{show per}] and the state has [{show y0}]; give one entry for each component."
            | ValueSome per when not (Tensors.toArray per |> Array.forall (fun x -> Double.IsFinite x && x >= 0.0)) ->
                bad $"{name} per component must be finite and not negative. Typical values are 1e-3 to 1e-9."
            | _ -> ()

        checkShape "rtol" options.Solve.Tolerance.RtolPer
        checkShape "atol" options.Solve.Tolerance.AtolPer

        let times =
            match options.Times with
            | ValueSome times -> times
            | ValueNone -> { Start = null; End = null; Save = null }

        let t0 = if isNull times.Start then t0 else numberOf "The start time" times.Start
        let t1 = if isNull times.End then t1 else numberOf "The end time" times.End

        let options =
            if isNull times.Save then
                options
            else
                use plain = times.Save.detach().``to``(torch.float64, torch.CPU)
                let values = plain.contiguous().data<float>().ToArray()

                let saveAt =
                    match options.Solve.SaveAt with
                    | StepValues _ -> StepValues values
                    | _ -> Times values

                { options with Solve = { options.Solve with SaveAt = saveAt } }

        // Also where no gradient is wanted: the solution must not depend on that.
        let options =
            match options.Differentiation with
            | Differentiation.Reversible reversible ->
                let struct (method, solve) = Reversible.prepare reversible options.Method options.Solve options.Events
                { options with Method = method; Solve = solve }
            | _ -> options

        SolveOptions.check options.Solve t0 t1
        TensorKernels.refuseMass options.Method field
        let wants (x: Tensor) = not (isNull x) && x.requires_grad

        let needed =
            torch.is_grad_enabled ()
            && (wants y0
                || Array.exists wants field.Parameters
                || wants times.Start
                || wants times.End
                || wants times.Save
                || options.Differentiation.IsRecorded)

        if needed && not options.Differentiation.IsNone then
            checkImplicit options field

        use scope = torch.NewDisposeScope()

        let start =
            if needed && wants times.Start then
                TimeGradient.shift field (timeTensor t0 y0) ((TimeGradient.zeroDelta times.Start y0).neg()) y0
            else
                y0

        let check () =
            if options.CheckTracking then
                checkTracking field t0 y0
                checkChanges field options t0 y0

        let tableauOnly () =
            match options.Method with
            | RungeKutta tableau -> tableau
            | method when isImplicit method ->
                bad
                    $"Backsolve integrates the adjoint backward by an explicit method, which {method.Name} suggests is too stiff; differentiate {method.Name} by Discrete or Recorded."
            | _ ->
                bad
                    "Backsolve needs a Runge-Kutta tableau as its method; for a reversible method differentiate by Reversible or Recorded."

        let discreteOnly () =
            match options.Method with
            | ReversibleHeun
            | Coupled _ ->
                bad
                    "Discrete needs a method that is not reversible; for a reversible one differentiate by Reversible or Recorded."
            | _ -> ()

        let solution =
            match options.Differentiation with
            | _ when not needed -> solvePlain options field t0 t1 start
            | Differentiation.None -> solvePlain options field t0 t1 start
            | Differentiation.Recorded -> solveRecorded options field t0 t1 start
            | Differentiation.Discrete discrete ->
                check ()
                discreteOnly ()
                solveDiscrete discrete options field t0 t1 start
            | Differentiation.Backsolve backsolve ->
                check ()
                Backsolve.solve backsolve (tableauOnly ()) options.Solve options.Events field t0 t1 start
            | Differentiation.Reversible reversible ->
                check ()
                Reversible.solve reversible options.Method options.Solve options.Events field t0 t1 start

        /// States at tracked times move with them.
        let result =
            if not needed || not (wants times.End || wants times.Save) then
                solution
            else
                let reachedEnd = solution.Status = Status.Success

                let moveEnd (y: Tensor) =
                    if wants times.End && reachedEnd then
                        TimeGradient.shift field (timeTensor t1 y) (TimeGradient.zeroDelta times.End y) y
                    else
                        y

                let states =
                    match options.Solve.SaveAt with
                    | Times _
                    | StepValues _ when wants times.Save ->
                        torch.stack [|
                            for i in 0 .. solution.Times.Length - 1 do
                                let y = solution.States.[int64 i]

                                yield
                                    TimeGradient.shift
                                        field
                                        (timeTensor solution.Times[i] y)
                                        (TimeGradient.zeroDelta times.Save.[int64 i] y)
                                        y
                        |]
                    | EndOnly when solution.Times.Length = 1 -> moveEnd(solution.States.[0L]).unsqueeze 0L
                    | _ -> solution.States

                solution.With(states, moveEnd solution.Final)

        result.MoveToOuterScope()
