// Differentiating a solve exactly with little memory: the forward solve runs without a graph and leaves a list of
// what it did; the backward sweep replays that list from stored states, one window of steps at a time, under autograd.
namespace Continuum

open System
open System.Collections.Generic
open TorchSharp

/// One thing the forward solve did.
type internal TapeEntry =
    /// An accepted step.
    | Stepped of time: float * h: float
    /// A change of the state at an event or a scheduled time; a declared jump when both are -1.
    | ChangedBy of time: float * event: int * scheduled: int

/// Which part of the flat result of a solve's node a value is.
[<Struct>]
type internal OutputPiece =
    | SavedState of index: int
    | FinalState
    | EventTime of occurrence: int
    | EventBefore of occurrence2: int
    | EventAfter of occurrence3: int
    | ErrorSum
    | StiffnessSum

/// Records a forward solve.
[<Sealed>]
type internal Tape(options: DiscreteOptions) =
    let entries = List<TapeEntry>()
    // saved values: index of the entry they belong to (-1: the start), theta, result index
    let saves = List<struct (int * float * int)>()
    let checkpoints = List<struct (int * Tensor)>()
    let mutable stride = max 1 options.GraphWindow
    let mutable next = 0

    member _.Entries = entries
    member _.Saves = saves
    member _.Checkpoints = checkpoints

    interface IStepObserver<Tensor> with
        member _.Accepting(stepper, h) =
            if entries.Count >= next then
                checkpoints.Add(struct (entries.Count, stepper.State.alias().DetachFromDisposeScope()))
                next <- entries.Count + stride

                if options.MaxCheckpoints > 0 && checkpoints.Count > max 2 options.MaxCheckpoints then
                    // Thin out: keep every other one, from the first, and store half as often from now on.
                    for i in checkpoints.Count - 1 .. -1 .. 0 do
                        if i % 2 = 1 then
                            let struct (_, state) = checkpoints[i]
                            state.Dispose()
                            checkpoints.RemoveAt i

                    stride <- stride * 2
                    let struct (last, _) = checkpoints[checkpoints.Count - 1]
                    next <- last + stride

            entries.Add(Stepped(stepper.Time, h))

        member _.Saved(index, theta) = saves.Add(struct ((if theta < 0.0 then -1 else entries.Count - 1), theta, index))

        member _.Changed(time, event, scheduled) = entries.Add(ChangedBy(time, event, scheduled))

/// The differentiable heuristics of one step.
[<RequireQualifiedAccess>]
module internal StepHeuristics =
    /// |h| times the norm of the error estimate, and the stiffness ratio (null without estimate or stages for it).
    let ofStep
        (kernel: RungeKuttaKernel<Tensor, float, TensorSpace, ScalarClockField>)
        (h: float)
        (y: Tensor)
        (y1: Tensor)
        : struct (Tensor * Tensor) =
        let k = kernel.K
        let tableau = kernel.Tableau

        let error =
            match tableau.Raw.Error with
            | NoEstimate -> null
            | Embedded w
            | Dop853Pair(w, _) ->
                let mutable sum: Tensor = null

                for j in 0 .. tableau.Stages - 1 do
                    if w[j] <> 0.0 then
                        let term = k[j].mul((h * w[j]))
                        sum <- if isNull sum then term else sum.add term

                sum.norm().mul(abs h)

        let struct (i, j) = tableau.StiffnessPair

        let stiffness =
            if i < 0 then
                null
            else
                let state = if tableau.Fsal then y1 else kernel.LastStage
                let distance = state.sub(kernel.StiffStage).norm()

                if distance.ToDouble() = 0.0 then
                    y.sum().mul(0.0)
                else
                    k[j].sub(k[i]).norm().div distance

        struct (error, stiffness)

/// Takes steps again under autograd. What Dense and Heuristics say is about the last step.
type internal IReplay =
    inherit IDisposable
    /// The state was changed: the slope is taken anew.
    abstract Restart: unit -> unit
    abstract Step: t: float * h: float * y: Tensor -> Tensor
    /// Dense output of the last step, which went from y.
    abstract Dense: theta: float * y: Tensor -> Tensor
    /// As StepHeuristics.ofStep.
    abstract Heuristics: y: Tensor * y1: Tensor -> struct (Tensor * Tensor)

/// Steps of an explicit tableau again.
[<Sealed>]
type internal ExplicitReplay(tableau: Tableau, space: TensorSpace, field: TensorField, like: Tensor) =
    let kernel =
        RungeKuttaKernel<Tensor, float, TensorSpace, ScalarClockField>(tableau, space, ScalarClockField field, like)

    let k = kernel.K
    let mutable slopeKnown = false
    let mutable extras = false
    let mutable time = 0.0
    let mutable length = 0.0

    interface IReplay with
        member _.Restart() = slopeKnown <- false

        member _.Step(t, h, y) =
            if slopeKnown then
                kernel.Promote(tableau.Stages - 1, k[tableau.Stages - 1])
            else
                kernel.FirstSlope(t, y)

            slopeKnown <- tableau.Fsal
            extras <- false
            time <- t
            length <- h
            kernel.Step(t, h, y, y)

        member _.Dense(theta, y) =
            if not extras then
                kernel.ExtraStages(time, length, y)
                extras <- true

            let weights = BatchTensors.weights tableau.Raw.Dense.Weights theta
            (space :> INormedSpace<Tensor>).Combine(y, y, length, weights, k, weights.Length)

        member _.Heuristics(y, y1) = StepHeuristics.ofStep kernel length y y1
        member _.Dispose() = ()

/// Steps of another kernel again.
[<Sealed>]
type internal KernelReplay(kernel: ITensorKernel, space: TensorSpace, field: TensorField) =
    let mutable slope: Tensor = null
    let mutable time: Tensor = null
    let mutable length: Tensor = null
    let mutable h = 0.0

    interface IReplay with
        member _.Restart() = slope <- null

        member _.Step(t, step, y) =
            h <- step
            time <- TensorField.time field t y
            length <- torch.tensor (h, dtype = y.dtype, device = y.device)

            if isNull slope then
                slope <- kernel.Slope(time, y)

            let next = kernel.Step(time, length, y, slope)
            slope <- kernel.EndSlope
            next

        member _.Dense(theta, y) =
            kernel.EnsureExtras(time, length, y)
            let weights = BatchTensors.weights kernel.Dense theta
            (space :> INormedSpace<Tensor>).Combine(y, y, h, weights, kernel.Slopes, weights.Length)

        member _.Heuristics(_, _) = struct (null, null)
        member _.Dispose() = kernel.Dispose()

/// The backward sweep over a tape.
[<Sealed>]
type internal DiscreteSweep
    (
        // makes what takes the steps again, for states like this one
        replayFor: Tensor -> IReplay,
        field: TensorField,
        events: TensorEvent[],
        scheduled: Scheduled<Tensor>[],
        options: DiscreteOptions,
        entries: TapeEntry[],
        saves: struct (int * float * int)[],
        /// gradient of a piece of the result, null where there is none
        cotangent: OutputPiece -> Tensor,
        accumulator: GradientAccumulator
    ) =
    let savesAfter =
        let table = Dictionary<int, List<struct (float * int)>>()

        for struct (entry, theta, index) in saves do
            match table.TryGetValue entry with
            | true, list -> list.Add(struct (theta, index))
            | _ ->
                let list = List<struct (float * int)>()
                list.Add(struct (theta, index))
                table[entry] <- list

        table

    // entry index -> number of the occurrence, in order
    let occurrenceOf =
        let table = Dictionary<int, int>()
        let mutable count = 0

        entries
        |> Array.iteri (fun i entry ->
            match entry with
            | ChangedBy(_, event, _) when event >= 0 ->
                table[i] <- count
                count <- count + 1
            | _ -> ())

        table

    let wantsHeuristics = not (isNull (cotangent ErrorSum)) || not (isNull (cotangent StiffnessSum))

    /// Replays entries [low, high) from a state; visit sees every output that a cotangent may exist for.
    let replay (low: int) (high: int) (start: Tensor) (visit: OutputPiece -> Tensor -> unit) : Tensor =
        use steps = replayFor start
        let mutable state = start

        for i in low .. high - 1 do
            match entries[i] with
            | Stepped(t, h) ->
                let next = steps.Step(t, h, state)

                match savesAfter.TryGetValue i with
                | true, list ->
                    for struct (theta, index) in list do
                        if theta = 1.0 then
                            visit (SavedState index) next
                        elif not (isNull (cotangent (SavedState index))) then
                            visit (SavedState index) (steps.Dense(theta, state))
                | _ -> ()

                if wantsHeuristics then
                    let struct (error, stiffness) = steps.Heuristics(state, next)

                    if not (isNull error) then
                        visit ErrorSum error

                    if not (isNull stiffness) then
                        visit StiffnessSum stiffness

                state <- next
            | ChangedBy(t, event, dose) ->
                steps.Restart()
                let time = torch.tensor (t, dtype = state.dtype, device = state.device)

                if dose < 0 && event < 0 then
                    // A declared jump: the state is continuous, the slope is taken anew.
                    ()
                elif dose >= 0 then
                    state <- scheduled[dose].Apply t state
                else
                    let struct (tau, before, after, resumed) = TimeGradient.applyEvent field events[event] time state
                    let occurrence = occurrenceOf[i]
                    visit (EventTime occurrence) tau
                    visit (EventBefore occurrence) before
                    visit (EventAfter occurrence) after
                    state <- resumed

                match savesAfter.TryGetValue i with
                | true, list ->
                    for struct (_, index) in list do
                        visit (SavedState index) state
                | _ -> ()

        state

    /// One graph over [low, high): from the cotangent of its end to the one of its start.
    let window (low: int) (high: int) (start: Tensor) (adjoint: Tensor) : Tensor =
        use scope = torch.NewDisposeScope()
        use _ = torch.enable_grad ()
        let leaf = start.detach().requires_grad_ true
        let outputs = List<Tensor>()
        let cotangents = List<Tensor>()

        let visit piece (value: Tensor) =
            match cotangent piece with
            | null -> ()
            | g when value.requires_grad ->
                outputs.Add value
                cotangents.Add(g.reshape value.shape)
            | _ -> ()

        let finish = replay low high leaf visit

        if finish.requires_grad then
            outputs.Add finish
            cotangents.Add adjoint

        let gradients = accumulator.Backward(outputs.ToArray(), cotangents.ToArray(), [| leaf |])
        gradients[0].MoveToOuterDisposeScope()

    /// Backward over [low, high) from a stored state, splitting long stretches into graphs of GraphWindow steps.
    let stretch (low: int) (high: int) (start: Tensor) (adjoint: Tensor) : Tensor =
        let size = max 1 options.GraphWindow

        if high - low <= size then
            window low high start adjoint
        else
            use _ = torch.NewDisposeScope()
            let inner = List<struct (int * Tensor)>()
            inner.Add(struct (low, start))

            for first in low..size .. high - size - 1 do
                use _ = torch.NewDisposeScope()
                use _ = torch.no_grad ()
                let struct (_, state) = inner[inner.Count - 1]
                let next = replay first (first + size) state (fun _ _ -> ())
                inner.Add(struct (first + size, next.alias().MoveToOuterDisposeScope()))

            let mutable adjoint = adjoint
            let mutable end' = high

            for n in inner.Count - 1 .. -1 .. 0 do
                let struct (i, state) = inner[n]
                adjoint <- window i end' state adjoint
                end' <- i

            adjoint.MoveToOuterDisposeScope()

    /// The gradient of the initial state; parameters accumulate.
    member _.Run(y0: Tensor, checkpoints: struct (int * Tensor)[]) : Tensor =
        use scope = torch.NewDisposeScope()

        let orZero (g: Tensor) = if isNull g then torch.zeros_like y0 else g.reshape(y0.shape).clone()

        let mutable adjoint = orZero (cotangent FinalState)
        let mutable high = entries.Length

        for n in checkpoints.Length - 1 .. -1 .. 0 do
            let struct (low, state) = checkpoints[n]
            adjoint <- stretch low high state adjoint
            high <- low

        // Changes before the first step have no checkpoint of their own.
        if high > 0 then
            adjoint <- stretch 0 high y0 adjoint

        match savesAfter.TryGetValue -1 with
        | true, list ->
            for struct (_, index) in list do
                match cotangent (SavedState index) with
                | null -> ()
                | g -> adjoint <- adjoint.add (g.reshape y0.shape)
        | _ -> ()

        adjoint.MoveToOuterDisposeScope()
