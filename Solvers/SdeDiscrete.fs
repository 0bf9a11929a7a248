// Differentiating a stochastic solve exactly with little memory: the forward solve runs without a graph and leaves its steps as numbers; the
// backward sweep takes them again along the same path from stored states, one window of steps at a time, under autograd.
namespace Continuum

open System
open System.Collections.Generic
open TorchSharp

/// How the error estimate after a step was found.
type internal ErrorSource =
    /// Nobody asked.
    | NoError
    /// By the method itself.
    | OwnEstimate
    /// By comparison with two half steps.
    | HalvesOfStep
    /// This step and the one before are halves; by comparison with the whole.
    | WholeOfHalves

/// Records a forward solve. A window never begins between two halves of a step: `together` is 2 where steps come in halves, else 1.
[<Sealed>]
type internal SdeDiscreteTape
    (options: DiscreteOptions, together: int, ownEstimate: bool, heuristics: SdeHeuristics<Tensor>) =
    inherit SdeTape<Tensor>(heuristics)
    let errors = Dictionary<int, ErrorSource>()
    let checkpoints = List<struct (int * Tensor)>()
    let mutable stride = together * max 1 ((options.GraphWindow + together - 1) / together)
    let mutable next = 0

    /// Where the error after a step came from; steps without are left out.
    member _.Errors = errors
    /// States and how many steps came before them.
    member _.Checkpoints = checkpoints

    override this.Before y =
        let count = this.Steps.Count

        if count >= next then
            checkpoints.Add(struct (count, y.alias().DetachFromDisposeScope()))
            next <- count + stride

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

    override this.Estimated() =
        let last = this.Steps.Count - 1

        errors[last] <-
            if ownEstimate then OwnEstimate
            elif together = 2 then WholeOfHalves
            else HalvesOfStep

/// Takes steps again.
[<Sealed>]
type internal SdeReplay
    (
        driver: SdeDriver,
        kernel: ISdeKernel<Tensor, Tensor>,
        steps: SdeStep[],
        saves: SdeSaves,
        errors: Dictionary<int, ErrorSource>
    ) =
    let step (t: float) (tEnd: float) (y: Tensor) = kernel.Step(t, tEnd - t, driver.Along(t, tEnd), y, y)

    /// |h| times the norm of the error after step i from y to next; null where nobody asked. `earlier` is the state before the step before.
    let error (i: int) (earlier: Tensor) (y: Tensor) (next: Tensor) : Tensor =
        let { From = t; To = tEnd } = steps[i]

        let found, length =
            match errors.TryGetValue i with
            | true, OwnEstimate -> kernel.ErrorEstimate null, tEnd - t
            | true, HalvesOfStep ->
                let middle = driver.Snap(t, t + 0.5 * (tEnd - t))
                (step t middle y |> step middle tEnd).sub next, tEnd - t
            | true, WholeOfHalves ->
                let start = steps[i - 1].From
                next.sub (step start tEnd earlier), tEnd - start
            | _ -> null, 0.0

        if isNull found then null else SdeHeuristics<Tensor>.Error(length, found)

    /// Steps [low, high) from a state. `visit` sees the saved values that have a cotangent, with it, and the heuristics likewise.
    member _.Run(low: int, high: int, start: Tensor, bars: SdeCotangents, visit: Tensor -> Tensor -> unit) : Tensor =
        driver.Prepare [|
            steps[low].From
            for i in low .. high - 1 do
                steps[i].To
        |]

        kernel.Start()
        let mutable earlier = start
        let mutable state = start

        for i in low .. high - 1 do
            let { From = t; To = tEnd } = steps[i]
            let next = step t tEnd state

            if not (isNull bars.Errors) then
                match error i earlier state next with
                | null -> ()
                | found -> visit found bars.Errors

            if not (isNull bars.Stiffness) then
                visit (SdeHeuristics<Tensor>.Stiffness(driver.At, t, state, next)) bars.Stiffness

            match saves.InsideOf i with
            | null -> ()
            | list ->
                for struct (r, index) in list do
                    match bars.Of index with
                    | null -> ()
                    | bar -> visit (step t r state) bar

            match saves.EndOf(i + 1) with
            | null -> ()
            | list ->
                for index in list do
                    match bars.Of index with
                    | null -> ()
                    | bar -> visit next bar

            earlier <- state
            state <- next

        state

/// Solving with the discrete adjoint.
[<RequireQualifiedAccess>]
module internal SdeDiscrete =

    /// The backward sweep: windows of `window` steps, each from a state that was stored or is found again.
    let private sweep
        (replay: SdeReplay)
        (window: int)
        (steps: int)
        (checkpoints: struct (int * Tensor)[])
        (bars: SdeCotangents)
        (accumulator: GradientAccumulator)
        : Tensor =
        let nothing = { bars with Of = (fun _ -> null); Errors = null; Stiffness = null }

        /// One graph over [low, high): from the cotangent of its end to the one of its start.
        let graph low high (start: Tensor) (adjoint: Tensor) : Tensor =
            use _ = torch.NewDisposeScope()
            use _ = torch.enable_grad ()
            let leaf = start.detach().requires_grad_ true
            let outputs = List<Tensor>()
            let cotangents = List<Tensor>()

            let add (value: Tensor) (bar: Tensor) =
                if value.requires_grad then
                    outputs.Add value
                    cotangents.Add(bar.reshape value.shape)

            let finish = replay.Run(low, high, leaf, bars, add)
            add finish adjoint
            let through = accumulator.Backward(outputs.ToArray(), cotangents.ToArray(), [| leaf |])
            through[0].MoveToOuterDisposeScope()

        /// Backward over [low, high) from a stored state, in graphs of one window each.
        let stretch low high (start: Tensor) (adjoint: Tensor) : Tensor =
            use _ = torch.NewDisposeScope()
            let inner = List<struct (int * Tensor)>([ struct (low, start) ])

            for first in low..window .. high - window - 1 do
                use _ = torch.NewDisposeScope()
                let struct (_, state) = inner[inner.Count - 1]
                let next = replay.Run(first, first + window, state, nothing, (fun _ _ -> ()))
                inner.Add(struct (first + window, next.alias().MoveToOuterDisposeScope()))

            let mutable adjoint = adjoint
            let mutable top = high

            for n in inner.Count - 1 .. -1 .. 0 do
                let struct (i, state) = inner[n]
                adjoint <- graph i top state adjoint
                top <- i

            adjoint.MoveToOuterDisposeScope()

        let mutable adjoint = torch.zeros_like bars.Initial
        let mutable top = steps

        for n in checkpoints.Length - 1 .. -1 .. 0 do
            let struct (low, state) = checkpoints[n]
            adjoint <- stretch low top state adjoint
            top <- low

        adjoint

    /// Solves forward without recording, one node in the graph; see Differentiation.Discrete.
    let solve (options: DiscreteOptions) (task: SdeTask) : TensorSolution =
        let own = task.FreshKernel().HasErrorEstimate

        // Adaptive steps without an estimate of the method's own are taken as two halves.
        let together =
            match task.Options.Control with
            | Adaptive _ when not own -> 2
            | _ -> 1

        let window = together * max 1 ((options.GraphWindow + together - 1) / together)
        let mutable steps: SdeStep[] = [||]
        let mutable marks: int[] = [||]
        let mutable saves = Unchecked.defaultof<SdeSaves>
        let mutable errors: Dictionary<int, ErrorSource> = null

        let heuristics =
            if task.Options.Heuristics then
                SdeHeuristics<Tensor>(SdeTermsAt task.Terms, id)
            else
                Unchecked.defaultof<_>

        let forward () : SdeForward =
            let tape = SdeDiscreteTape(options, together, own, heuristics)
            let raw = task.Run tape
            steps <- tape.Steps.ToArray()
            saves <- tape.Saves
            errors <- tape.Errors
            marks <- [| for struct (i, _) in tape.Checkpoints -> i |]
            saves.AtEnd(steps.Length, raw.States.Length)
            let kept = [| for struct (_, state) in tape.Checkpoints -> state |]
            let packed = if kept.Length = 0 then [||] else [| torch.stack kept |]

            for state in kept do
                state.Dispose()

            { Raw = raw; Saved = packed }

        let backward (bars: SdeCotangents) : struct (Tensor * Tensor[]) =
            let driver = SdeDriver(task.Terms, task.Path, task.Initial)
            let replay = SdeReplay(driver, task.FreshKernel(), steps, saves, errors)
            use accumulator = new GradientAccumulator(task.Terms.Parameters)
            let checkpoints = marks |> Array.mapi (fun n i -> struct (i, bars.Saved[0].[int64 n]))
            let adjoint = sweep replay window steps.Length checkpoints bars accumulator
            let mutable start = adjoint

            match saves.EndOf 0 with
            | null -> ()
            | list ->
                for index in list do
                    match bars.Of index with
                    | null -> ()
                    | bar -> start <- start.add bar

            struct (start, accumulator.ResultOrNull())

        SdeNode.solve task heuristics forward backward
