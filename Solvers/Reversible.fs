// Steps that can be undone algebraically, so that the backward sweep needs no stored trajectory: it runs the forward
// solve in reverse, from sparse checkpoints, and differentiates each step where it stands.
namespace Continuum

open System
open System.Collections.Generic
open TorchSharp

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
            bad
                $"{tableau.Name} by itself is not reversible; wrap it as Reversible({tableau.Name}), with a coupling such as 0.9."
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
            bad "Reversible cannot step back over events or scheduled changes; differentiate by Discrete."

        if solveOptions.SaveAt.IsDenseOutput then
            bad
                "Reversible has no differentiable dense output; save the wanted Times, which become step ends, or differentiate by Discrete."

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
                    $"Reversible reconstructed the state at t = {worstTime:g6} with a relative error of {worst:g3}, so its gradient is unreliable; use a smaller CheckpointEvery (it was {every}), a coupling nearer 1, or differentiate by Discrete."

            Array.append [| pair.GradY |] (gradients.Result())
            |> Array.map (fun g -> if isNull g then null else g.MoveToOuterDisposeScope())

        let flat = Autograd.customVjp (Array.append [| y0 |] field.Parameters) forward backward
        let n = int64 raw.States.Length
        let states = flat.narrow(0L, 0L, n * size).reshape(Array.append [| n |] y0.shape)
        new TensorSolution(raw, states, flat.narrow(0L, n * size, size).reshape y0.shape, [||], null, null)
