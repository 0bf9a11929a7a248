// Steps that can be undone algebraically, so that the backward sweep needs no stored trajectory: it runs the forward
// solve in reverse, from sparse checkpoints, and differentiates each step where it stands.
// Reversible Heun: Kidger, Foster, Li and Lyons 2021. The coupling of any tableau: McCallum and Foster 2024.
namespace Continuum

open System
open System.Collections.Generic
open TorchSharp

/// An accepted step, with the very numbers that the forward solve used.
[<Struct>]
type internal ReversibleStep = {
    From: float
    To: float
    /// Signed length; To - From up to rounding.
    H: float
    /// The first step after Start: its second state was set to its first.
    Fresh: bool
}

/// A pair of states and its cotangents on the way back.
[<Struct; NoEquality; NoComparison>]
type internal ReversiblePair = {
    Y: Tensor
    Z: Tensor
    GradY: Tensor
    GradZ: Tensor
    /// Cotangent of the slope at Z that the later step left for the earlier one; null for none.
    GradSlope: Tensor
    /// Z as a leaf and the slope there with its graph, where the scheme has them already; else null.
    Leaf: Tensor
    Slope: Tensor
} with

    member private this.All = [| this.Y; this.Z; this.GradY; this.GradZ; this.GradSlope; this.Leaf; this.Slope |]

    /// Hands everything to the enclosing scope.
    member this.MoveOut() =
        for x in this.All do
            if not (isNull x) then
                x.MoveToOuterDisposeScope() |> ignore

    member this.Free() =
        for x in this.All do
            if not (isNull x) then
                x.Dispose()

/// A map (y, z) -> (y1, z1) with an algebraic inverse.
[<AbstractClass>]
type internal ReversibleScheme() =
    /// For reports.
    abstract Name: string
    abstract ErrorOrder: int
    abstract IsAdaptive: bool
    abstract Feedback: Feedback
    abstract StabilityRadius: float
    abstract Evaluations: int
    /// The slope at the end of a step is the first one of the next.
    abstract SharesSlope: bool
    /// f(t, x).
    abstract SlopeAt: t: float * x: Tensor -> Tensor
    /// y1, given the slope at (t, z).
    abstract First: t: float * tEnd: float * h: float * y: Tensor * z: Tensor * slope: Tensor -> Tensor
    /// z1 and the slope at the end, after First.
    abstract Second: tEnd: float * h: float * z: Tensor * y1: Tensor -> struct (Tensor * Tensor)
    /// Scaled norm of the error estimate of the step that First took; 0 without one.
    abstract ErrorNorm: h: float * y: Tensor * y1: Tensor -> float
    /// The weights and slopes whose sum is the error estimate; null weights without one.
    abstract Estimate: struct (float[] * Tensor[] * int)
    /// Undoes a step and carries the cotangents through it; the parameters' part goes to the accumulator. Every tensor
    /// of the result is fresh.
    abstract Pull: step: ReversibleStep * pair: ReversiblePair * gradients: GradientAccumulator -> ReversiblePair
    /// Carries what is left in GradSlope to Z.
    abstract Settle: t: float * pair: ReversiblePair * gradients: GradientAccumulator -> ReversiblePair

/// Reversible Heun. space decides whether sums may be written in place.
[<Sealed>]
type internal HeunScheme(space: TensorSpace, field: TensorField) =
    inherit ReversibleScheme()

    let normed = space :> INormedSpace<Tensor>
    let eval = ScalarClockField field :> IField<Tensor, float>
    let slopes: Tensor[] = Array.zeroCreate 2
    let half = [| 0.5; 0.5 |]
    let difference = [| -0.5; 0.5 |]
    let mutable second: Tensor = null
    let mutable evaluations = 0

    let slopeAt t x =
        evaluations <- evaluations + 1
        eval.Eval(t, x, x)

    /// The slope with its graph.
    let graph (t: float) (z: Tensor) : struct (Tensor * Tensor) =
        use _ = torch.enable_grad ()
        let leaf = z.detach().requires_grad_ true
        struct (leaf, slopeAt t leaf)

    override _.SharesSlope = true
    override _.Name = "ReversibleHeun"
    override _.ErrorOrder = 2
    override _.IsAdaptive = true
    override _.Feedback = Controller.pi 2
    override _.StabilityRadius = nan
    override _.Evaluations = evaluations
    override _.SlopeAt(t, x) = slopeAt t x

    override _.First(_, tEnd, h, y, z, slope) =
        slopes[0] <- slope
        // 2 y - z
        let mirrored = y.add (y.sub z)
        second <- normed.Combine(mirrored, mirrored, h, [| 1.0 |], slopes, 1)
        slopes[1] <- slopeAt tEnd second
        normed.Combine(y, y, h, half, slopes, 2)

    override _.Second(_, _, _, _) = struct (second, slopes[1])
    override _.ErrorNorm(h, y, y1) = normed.ErrorNorm(y, y1, h, difference, slopes, 2)
    override _.Estimate = struct (difference, slopes, 2)

    override _.Pull(step, pair, gradients) =
        let struct (leaf1, slope1) =
            if isNull pair.Leaf then
                graph step.To pair.Z
            else
                struct (pair.Leaf, pair.Slope)

        let f1 = slope1.detach ()
        let halfStep = (0.5 * step.H).ToScalar()
        let whole = step.H.ToScalar()
        let weighted = pair.GradY.mul halfStep
        let gradSlope1 = if isNull pair.GradSlope then weighted else weighted.add pair.GradSlope
        let gradZ1 = pair.GradZ.add (gradients.Backward([| slope1 |], [| gradSlope1 |], [| leaf1 |])[0])
        let z = pair.Y.add(pair.Y.sub pair.Z).sub(f1.mul whole)
        let struct (leaf, slope) = graph step.From z
        let f = slope.detach ()

        {
            Y = pair.Y.sub (f.add(f1).mul halfStep)
            Z = z
            GradY = pair.GradY.add (gradZ1, 2.0.ToScalar())
            GradZ = gradZ1.neg ()
            GradSlope = weighted.add (gradZ1, whole)
            Leaf = leaf
            Slope = slope
        }

    override _.Settle(t, pair, gradients) =
        if isNull pair.GradSlope then
            pair
        else
            let struct (leaf, slope) = if isNull pair.Leaf then graph t pair.Z else struct (pair.Leaf, pair.Slope)
            let through = gradients.Backward([| slope |], [| pair.GradSlope |], [| leaf |])[0]

            {
                pair with
                    GradZ = pair.GradZ.add through
                    GradSlope = null
                    Leaf = null
                    Slope = null
            }

/// A tableau's increment Psi_h applied forward from z and backward from y: y1 = c y + (1 - c) z + Psi_h(t, z),
/// z1 = z - Psi_-h(t1, y1).
[<Sealed>]
type internal CoupledScheme(tableau: Tableau, coupling: float, space: TensorSpace, field: TensorField, like: Tensor) =
    inherit ReversibleScheme()

    let normed = space :> INormedSpace<Tensor>

    let kernel () =
        RungeKuttaKernel<Tensor, float, TensorSpace, ScalarClockField>(tableau, space, ScalarClockField field, like)

    let onward = kernel ()
    let backward = kernel ()
    let b = tableau.Raw.B
    let count = if tableau.Fsal then tableau.Stages - 1 else tableau.Stages

    let estimates =
        match tableau.Raw.Error with
        | NoEstimate -> [||]
        | Embedded w -> [| w |]
        | Dop853Pair(fifth, third) -> [| fifth; third |]

    /// whole - length * (sum of b k) with the stages k of Psi_h(t, leaf), under autograd.
    let graph
        (kernel: RungeKuttaKernel<Tensor, float, TensorSpace, ScalarClockField>)
        (t: float)
        (h: float)
        (from: Tensor)
        (length: float)
        (whole: Tensor)
        =
        use _ = torch.enable_grad ()
        let leaf = from.detach().requires_grad_ true
        kernel.FirstSlope(t, leaf)
        kernel.InnerStages(t, h, leaf)
        struct (leaf, normed.Combine(whole, whole, -length, b, kernel.K, count))

    override _.SharesSlope = false
    override _.Name = $"Reversible({tableau.Name})"
    override _.ErrorOrder = tableau.ErrorOrder
    override _.IsAdaptive = tableau.IsAdaptive
    override _.Feedback = StepDefaults.feedback tableau
    override _.StabilityRadius = tableau.StabilityRadius
    override _.Evaluations = onward.Evaluations + backward.Evaluations
    override _.SlopeAt(t, x) = onward.Slope(t, x, x)

    override _.First(t, _, h, y, z, slope) =
        onward.K[0] <- slope

        if tableau.Fsal && estimates.Length > 0 then
            // The embedded formula uses the slope at z + Psi.
            onward.Step(t, h, z, z) |> ignore
        else
            onward.InnerStages(t, h, z)

        let mixed =
            if coupling = 1.0 then
                y
            else
                y.mul(coupling.ToScalar()).add(z, (1.0 - coupling).ToScalar())

        normed.Combine(mixed, mixed, h, b, onward.K, count)

    override _.Second(tEnd, h, z, y1) =
        backward.FirstSlope(tEnd, y1)
        backward.InnerStages(tEnd, -h, y1)
        struct (normed.Combine(z, z, h, b, backward.K, count), backward.K[0])

    override _.ErrorNorm(h, y, y1) =
        let norm w = normed.ErrorNorm(y, y1, h, w, onward.K, tableau.Stages)

        match estimates with
        | [||] -> 0.0
        | [| w |] -> norm w
        | _ ->
            let e5 = norm estimates[0]
            let e3 = norm estimates[1]
            if e5 = 0.0 && e3 = 0.0 then 0.0 else e5 * e5 / sqrt (e5 * e5 + 0.01 * e3 * e3)

    override _.Estimate =
        struct ((if estimates.Length = 0 then null else estimates[0]), onward.K, tableau.Stages)

    override _.Pull(step, pair, gradients) =
        // z1 = z - Psi_-h(t1, y1), so the cotangent of z1 enters z = z1 + Psi_-h with the opposite sign.
        let struct (leafY, z) = graph backward step.To -step.H pair.Y step.H pair.Z
        let through = gradients.Backward([| z |], [| pair.GradZ.neg () |], [| leafY |])
        let gradY = pair.GradY.add through[0]
        let z = z.detach ()
        // y1 = c y + (1 - c) z + Psi_h(t, z): the same with the rest c y + (1 - c) z.
        let struct (leafZ, rest) = graph onward step.From step.H z step.H pair.Y
        let through = gradients.Backward([| rest |], [| gradY.neg () |], [| leafZ |])
        let rest = rest.detach ()

        {
            Y = rest.add(z, (coupling - 1.0).ToScalar()).div(coupling.ToScalar())
            Z = z
            GradY = gradY.mul (coupling.ToScalar())
            GradZ = pair.GradZ.add(gradY, (1.0 - coupling).ToScalar()).add through[0]
            GradSlope = null
            Leaf = null
            Slope = null
        }

    override _.Settle(_, pair, _) = pair

/// The stepper of both schemes. The second state starts equal to the first at every Start. Dense output is the cubic Hermite interpolant of
/// the first state, from slopes that the step has anyway: order 3, or the scheme's if that is lower.
type internal ReversibleStepper(scheme: ReversibleScheme, space: TensorSpace) =
    let normed = space :> INormedSpace<Tensor>
    let mutable t = 0.0
    let mutable h = 0.0
    let mutable tEnd = 0.0
    let mutable y: Tensor = null
    let mutable z: Tensor = null
    let mutable slope: Tensor = null
    let mutable y1: Tensor = null
    let mutable z1: Tensor = null
    let mutable endSlope: Tensor = null
    let mutable scope: IDisposable = null
    let mutable started = false
    let mutable fresh = false
    let mutable finished = false
    let mutable leaving: Action<Tensor, Tensor> = null

    let closeScope () =
        if not (isNull scope) then
            scope.Dispose()
            scope <- null

    let freeSlope () =
        if not (isNull slope) then
            normed.Free slope
            slope <- null

    let ensureSlope () =
        if isNull slope then
            use _ = normed.OpenScope()
            slope <- normed.Keep(scheme.SlopeAt(t, z))

    /// The second half of the attempted step.
    let finish () =
        if not finished then
            let struct (other, last) = scheme.Second(tEnd, h, z, y1)
            z1 <- other
            endSlope <- last
            finished <- true

    let release () =
        if started then
            closeScope ()

            if not (isNull leaving) then
                leaving.Invoke(y, z)

            normed.Free y
            normed.Free z
            freeSlope ()
            started <- false

    /// Told the pair of states that a new Start or Dispose is about to drop.
    member _.Leaving
        with get () = leaving
        and set value = leaving <- value

    /// The second state.
    member _.Second = z
    /// No step was accepted since Start.
    member _.Fresh = fresh
    /// Where the attempted step ends.
    member _.End = tEnd

    /// |h| times the field's Lipschitz constant, as seen along the attempted step.
    member _.Expansion =
        finish ()
        let from = if scheme.SharesSlope then z1 else y1
        let distance = normed.Distance(from, z)

        if distance = 0.0 then
            0.0
        else
            abs h * normed.Distance(endSlope, slope) / distance

    /// Does what the attempted step still lacks, so that Accept cannot fail.
    member _.Complete() = finish ()

    interface IStepper<Tensor> with
        member _.ErrorOrder = scheme.ErrorOrder
        member _.IsAdaptive = scheme.IsAdaptive
        member _.DefaultFeedback = scheme.Feedback

        member _.Start(time, state) =
            // Copy before releasing: the new state may be the old one.
            let first = normed.Copy state
            let second = normed.Copy state
            release ()
            t <- time
            y <- first
            z <- second
            started <- true
            fresh <- true

        member _.InitialStep(direction, longest) =
            ensureSlope ()
            let evaluate time state = scheme.SlopeAt(time, state)
            StepDefaults.firstStep space evaluate scheme.ErrorOrder direction longest t z slope

        member _.Try(step, stepEnd) =
            closeScope ()
            ensureSlope ()
            scope <- normed.OpenScope()
            h <- step
            tEnd <- stepEnd
            finished <- false

            try
                y1 <- scheme.First(t, tEnd, h, y, z, slope)
                let error = scheme.ErrorNorm(h, y, y1)

                if error <= 1.0 then
                    finish ()
                    // Nobody else looks at the second state.
                    if normed.IsFinite z1 then error else nan
                else
                    error
            with _ ->
                closeScope ()
                reraise ()

        member _.Accept() =
            finish ()
            let first = normed.Keep y1
            let second = normed.Keep z1
            let next = if scheme.SharesSlope then normed.Keep endSlope else null
            normed.Free y
            normed.Free z
            freeSlope ()
            closeScope ()
            y <- first
            z <- second
            slope <- next
            t <- tEnd
            fresh <- false

        member _.Time = t
        member _.State = y
        member _.Candidate = y1

        member _.Interpolate theta =
            finish ()
            let rest = 1.0 - theta
            let along = theta * theta * (3.0 - 2.0 * theta)
            let moved = normed.Combine(y, y, along, [| 1.0; -1.0 |], [| y1; y |], 2)
            let bend = [| theta * rest * rest; -theta * theta * rest |]
            normed.Combine(moved, moved, h, bend, [| slope; endSlope |], 2)

        member _.DenseStep() =
            finish ()
            let zero = normed.Combine(y, y, -1.0, [| 1.0 |], [| y |], 1)
            let k = [| slope; endSlope; y1; y |]
            let part w = normed.Keep(normed.Combine(zero, zero, 1.0, w, k, 4))

            let q = [|
                part [| 1.0; 0.0; 0.0; 0.0 |]
                part [| -2.0; -1.0; 3.0 / h; -3.0 / h |]
                part [| 1.0; 1.0; -2.0 / h; 2.0 / h |]
            |]

            DenseStep<Tensor, TensorSpace>(space, t, h, tEnd, normed.Keep(normed.Copy y), q)

        member _.Evaluations = scheme.Evaluations

        member _.Heuristics() =
            match scheme.Estimate with
            | struct (null, _, _) -> struct (nan, nan)
            | struct (w, k, count) -> struct (normed.Distance(normed.Combine(y, y, h, w, k, count), y), nan)

        member _.StabilityRadius = scheme.StabilityRadius

        member _.WorstComponent() =
            let struct (w, k, count) = scheme.Estimate

            if isNull scope then normed.WorstComponent(y, y, 0.0, [| 1.0 |], [| y |], 1)
            elif isNull w then normed.WorstComponent(y, y1, 0.0, [| 1.0 |], [| y1 |], 1)
            else normed.WorstComponent(y, y1, h, w, k, count)

        member _.Factor(_, _) = nan
        member _.Difficulty = Status.Success
        member _.Work = ImplicitWork.Zero
        member _.Choices = [| { Time = nan; Method = scheme.Name; Reason = "asked for" } |]
        member _.Dispose() = release ()

/// Reversible Heun as a stepper: order 2, one evaluation a step.
[<Sealed>]
type internal ReversibleHeunStepper(space: TensorSpace, field: TensorField) =
    inherit ReversibleStepper(HeunScheme(space, field), space)

/// The coupled reversible form of a tableau as a stepper. like: any tensor of the state's shape.
[<Sealed>]
type internal CoupledStepper(tableau: Tableau, coupling: float, space: TensorSpace, field: TensorField, like: Tensor) =
    inherit ReversibleStepper(CoupledScheme(tableau, coupling, space, field, like), space)

/// What the backward sweep needs of a forward solve: the steps as numbers, and a pair of states now and then: after
/// `every` steps, or before the logarithm of the growth of errors on the way back is estimated to exceed `most`.
[<Sealed>]
type internal ReversibleTape(every: int, most: float, coupling: float) =
    let steps = List<ReversibleStep>()
    // Index of the saved value -> how many steps came before it.
    let saves = List<struct (int * int)>()
    let marks = List<int>()
    let pairs = List<Tensor>()
    let mutable last = 0
    let mutable growth = 0.0

    let store (y: Tensor) (z: Tensor) =
        marks.Add steps.Count
        pairs.Add(y.alias().DetachFromDisposeScope())
        pairs.Add(z.alias().DetachFromDisposeScope())
        last <- steps.Count
        growth <- 0.0

    member _.Steps = steps
    member _.Saves = saves
    /// How many steps came before each stored pair; increasing, the last one is the number of steps.
    member _.Marks = marks
    /// y and z of each mark.
    member _.Pairs = pairs

    /// Watches a stepper: the end of every stretch of steps is stored.
    member _.Watch(stepper: ReversibleStepper) =
        stepper.Leaving <-
            fun y z ->
                if steps.Count > last then
                    store y z

    interface IStepObserver<Tensor> with
        member _.Accepting(stepper, h) =
            let own = stepper :?> ReversibleStepper
            own.Complete()

            // Twice: the trajectory rarely runs along the direction that expands most.
            let expansion = if most < infinity then 2.0 * own.Expansion - Math.Log coupling else 0.0

            if steps.Count - last >= every || steps.Count > last && not (growth + expansion <= most) then
                store stepper.State own.Second

            growth <- growth + expansion

            steps.Add { From = stepper.Time; To = own.End; H = h; Fresh = own.Fresh }

        member _.Saved(index, theta) = saves.Add(struct (index, (if theta < 0.0 then 0 else steps.Count)))

        member _.Changed(_, _, _) = ()

/// Solving with steps that are undone in the backward sweep.
[<RequireQualifiedAccess>]
module internal Reversible =

    let private bad (text: string) = raise (ArgumentException text)

    /// The stepper of a reversible method.
    let stepper (method: Method) (space: TensorSpace) (field: TensorField) (y0: Tensor) : ReversibleStepper =
        match method with
        | ReversibleHeun -> new ReversibleHeunStepper(space, field)
        | Coupled(tableau, coupling) ->
            if not (coupling > 0.0 && coupling <= 1.0) then
                bad $"The coupling of a reversible method must lie in (0, 1]; got {coupling}. A good choice is 0.9."

            new CoupledStepper(tableau, coupling, space, field, y0)
        | RungeKutta tableau ->
            bad $"{tableau.Name} by itself is not reversible; wrap it as Method.Coupled({tableau.Name}, 0.9)."
        | implicit -> bad $"{implicit.Name} is not reversible; take Discrete or Recorded to differentiate it."

    let private scheme (method: Method) (space: TensorSpace) (field: TensorField) (like: Tensor) : ReversibleScheme =
        match method with
        | Coupled(tableau, coupling) -> CoupledScheme(tableau, coupling, space, field, like)
        | _ -> HeunScheme(space, field)

    /// The method and options that a reversible solve runs with: a tableau is coupled, save times become step ends.
    /// ArgumentException for what cannot be reversed.
    let prepare
        (options: ReversibleOptions)
        (method: Method)
        (solveOptions: SolveOptions<Tensor>)
        (events: TensorEvent[])
        : struct (Method * SolveOptions<Tensor>) =
        if events.Length > 0 || solveOptions.Scheduled.Length > 0 then
            bad "Reversible cannot step back over events or scheduled changes; use Differentiation.Discrete."

        if solveOptions.SaveAt.IsDenseOutput then
            bad
                "Reversible has no differentiable dense output; save the wanted Times, which become step ends, or use Differentiation.Discrete."

        if options.CheckpointEvery < 0 then
            bad
                $"CheckpointEvery must be >= 0; got {options.CheckpointEvery}. Zero chooses a number of steps from the coupling."

        let method =
            match method with
            | RungeKutta tableau -> Coupled(tableau, options.Coupling)
            | other -> other

        match method with
        | Coupled(_, coupling) when not (coupling > 0.0 && coupling <= 1.0) ->
            bad $"The coupling of a reversible method must lie in (0, 1]; got {coupling}. A good choice is 0.9."
        | _ -> ()

        let saveAt =
            match solveOptions.SaveAt with
            | Times times -> StepValues times
            | other -> other

        struct (method, { solveOptions with SaveAt = saveAt })

    /// How much a rounding error may grow between checkpoints; a hundred times as much is reported.
    let private bound (dtype: torch.ScalarType) = if dtype = torch.float64 then 1e-8 else 1e-5

    /// Steps between checkpoints.
    let stride (options: ReversibleOptions) (method: Method) (dtype: torch.ScalarType) : int =
        if options.CheckpointEvery > 0 then
            options.CheckpointEvery
        else
            match method with
            | Coupled(_, coupling) when coupling < 1.0 ->
                let rounding = if dtype = torch.float64 then 2.2e-16 else 1.2e-7
                let most = Math.Log(bound dtype / rounding) / -(Math.Log coupling)
                int (Math.Clamp(Math.Floor most, 1.0, 256.0))
            | _ -> 256

    /// Solves forward without recording, one node in the graph; see Differentiation.Reversible.
    let solve
        (options: ReversibleOptions)
        (method: Method)
        (solveOptions: SolveOptions<Tensor>)
        (events: TensorEvent[])
        (field: TensorField)
        (t0: float)
        (t1: float)
        (y0: Tensor)
        : TensorSolution =
        let struct (method, solveOptions) = prepare options method solveOptions events
        let every = stride options method y0.dtype
        let size = y0.numel ()
        let mutable raw = Unchecked.defaultof<Solution<Tensor>>
        let mutable steps: ReversibleStep[] = [||]
        let mutable marks: int[] = [||]
        // savedAfter[n]: which saved values are the state after n steps; the final state is the last value.
        let savedAfter = Dictionary<int, List<int>>()

        let forward () : struct (Tensor * Tensor[]) =
            use _ = torch.NewDisposeScope()
            let space = TensorSpace(solveOptions.Tolerance, false)
            let normed = space :> INormedSpace<Tensor>

            let most =
                if options.CheckpointEvery > 0 then
                    infinity
                else
                    let rounding, target = if y0.dtype = torch.float64 then 2.2e-16, 1e-10 else 1.2e-7, 1e-5
                    Math.Log(target / rounding)

            let coupling =
                match method with
                | Coupled(_, coupling) -> coupling
                | _ -> 1.0

            let tape = ReversibleTape(every, most, coupling)
            let stepper = stepper method space field y0
            tape.Watch stepper

            raw <-
                Integrate.run
                    stepper
                    normed.Copy
                    normed.Keep
                    normed.IsFinite
                    tape
                    { solveOptions with Events = [||] }
                    t0
                    t1
                    y0

            steps <- tape.Steps.ToArray()
            marks <- tape.Marks.ToArray()

            let file index position =
                match savedAfter.TryGetValue position with
                | true, list -> list.Add index
                | _ -> savedAfter[position] <- List<int>([ index ])

            for struct (index, position) in tape.Saves do
                file index position

            file raw.States.Length steps.Length

            let flat =
                torch.cat [|
                    for state in raw.States do
                        yield state.reshape -1L
                    yield raw.FinalState.reshape -1L
                |]

            let pairs =
                if tape.Pairs.Count = 0 then
                    [||]
                else
                    [| torch.stack(tape.Pairs.ToArray()).MoveToOuterDisposeScope() |]

            for x in tape.Pairs do
                x.Dispose()

            struct (flat.MoveToOuterDisposeScope(), Array.concat [ [| y0 |]; field.Parameters; pairs ])

        let backward (context: VjpContext) (gradient: Tensor) : Tensor[] =
            use _ = torch.NewDisposeScope()
            use _ = torch.no_grad ()
            let saved = context.Saved
            let initial = saved[0].detach()
            use gradients = new GradientAccumulator(field.Parameters)
            let scheme = scheme method (TensorSpace(solveOptions.Tolerance, true)) field initial

            /// The pair that was stored at a mark.
            let stored n =
                let all = saved[saved.Length - 1]
                struct (all.[int64 (2 * n)], all.[int64 (2 * n + 1)])

            /// The cotangent of the first state after n steps, with what the result's values there add.
            let received n (adjoint: Tensor) =
                match savedAfter.TryGetValue n with
                | true, list ->
                    let mutable sum = adjoint

                    for i in list do
                        sum <- sum.add (gradient.narrow(0L, int64 i * size, size).reshape initial.shape)

                    sum
                | _ -> adjoint

            let mutable worst = 0.0
            let mutable worstTime = nan

            let compare time (pair: ReversiblePair) (y: Tensor) (z: Tensor) (largest: float) =
                use _ = torch.NewDisposeScope()
                let length (x: Tensor) = x.norm().ToDouble()
                let miss = Math.Max(length (pair.Y.sub y), length (pair.Z.sub z))
                let scale = Math.Max(largest, length y)
                let drift = if miss = 0.0 then 0.0 else miss / scale

                // NaN counts as worst.
                if not (drift <= worst) then
                    worst <- if Double.IsNaN drift then infinity else drift
                    worstTime <- time

            let mutable pair = {
                Y = initial
                Z = initial
                GradY = received steps.Length (torch.zeros_like initial)
                GradZ = torch.zeros_like initial
                GradSlope = null
                Leaf = null
                Slope = null
            }

            for n in marks.Length - 1 .. -1 .. 0 do
                use _ = torch.NewDisposeScope()
                let low = if n = 0 then 0 else marks[n - 1]
                let struct (y, z) = stored n
                pair <- { pair with Y = y; Z = z; Leaf = null; Slope = null }
                let size = y.norm().ToDouble()
                let incoming = [| pair.GradY; pair.GradZ; pair.GradSlope |]
                let mutable own = false

                for i in marks[n] - 1 .. -1 .. low do
                    use _ = torch.NewDisposeScope()
                    let earlier = scheme.Pull(steps[i], pair, gradients)
                    let earlier = { earlier with GradY = received i earlier.GradY }
                    earlier.MoveOut()

                    if own then
                        pair.Free()

                    own <- true
                    pair <- earlier

                let first = steps[low]

                let struct (y, z) =
                    if low = 0 then
                        struct (initial, initial)
                    else
                        let struct (y, z) = stored (n - 1)
                        if first.Fresh then struct (y, y) else struct (y, z)

                compare first.From pair y z size
                pair <- { pair with Y = y; Z = z; Leaf = null; Slope = null }

                if first.Fresh then
                    let settled = scheme.Settle(first.From, pair, gradients)

                    pair <- {
                        settled with
                            GradY = settled.GradY.add settled.GradZ
                            GradZ = torch.zeros_like initial
                    }

                for x in [| pair.GradY; pair.GradZ; pair.GradSlope |] do
                    if not (isNull x) then
                        x.MoveToOuterDisposeScope() |> ignore

                for x in incoming do
                    if not (isNull x) then
                        x.Dispose()

            let limit = 100.0 * bound initial.dtype

            if not (worst <= limit) then
                Drift.report
                    options.OnDrift
                    worst
                    $"Reversible reconstructed the state at t = {worstTime:g6} with a relative error of {worst:g3}, so its gradient is unreliable; use a smaller CheckpointEvery (it was {every}), a coupling nearer 1, or Differentiation.Discrete."

            Array.append [| pair.GradY |] (gradients.Result())
            |> Array.map (fun g -> if isNull g then null else g.MoveToOuterDisposeScope())

        let flat = Autograd.customVjp (Array.append [| y0 |] field.Parameters) forward backward
        let n = int64 raw.States.Length
        let states = flat.narrow(0L, 0L, n * size).reshape(Array.append [| n |] y0.shape)
        new TensorSolution(raw, states, flat.narrow(0L, n * size, size).reshape y0.shape, [||], null, null)
