// Stochastic solves whose backward sweep needs no stored trajectory: it undoes the forward steps along the same path, from sparse
// checkpoints, and differentiates each step where it stands. Exact for the discrete solution, with steps of any lengths.
namespace Continuum

open System
open TorchSharp

/// How a reversible solve takes its steps.
[<RequireQualifiedAccess>]
type internal SdeReversibleScheme =
    /// Reversible Heun.
    | Heun
    /// The task's method, coupled with a second state.
    | Coupled of coupling: float

/// Solving with steps that the backward sweep undoes.
[<RequireQualifiedAccess>]
module internal SdeReversible =

    let private bad (text: string) = raise (ArgumentException text)

    /// The scheme of Differentiation.Reversible for a method that is not reversible by itself. ArgumentException for an Ito method: its
    /// steps backward along the path would converge to another equation.
    let coupled (options: ReversibleOptions) (task: SdeTask) : SdeReversibleScheme =
        if not (options.Coupling > 0.0 && options.Coupling <= 1.0) then
            bad $"The coupling of a reversible method must lie in (0, 1]; got {options.Coupling}. A good choice is 0.9."

        if task.Terms.Calculus = CalculusKind.Ito && task.Terms.Noise <> NoiseKind.Additive then
            bad
                "Reversible steps run along the path in both directions, which Ito integrals do not allow: convert the equation to Stratonovich form and take a Stratonovich method (reversible Heun is the cheapest), or differentiate by Discrete."

        SdeReversibleScheme.Coupled options.Coupling

    let private check (options: ReversibleOptions) (scheme: SdeReversibleScheme) (task: SdeTask) =
        if options.CheckpointEvery < 0 then
            bad $"CheckpointEvery must be >= 0; got {options.CheckpointEvery}. Zero lets the sweep choose."

        if task.Options.SaveAt.IsDenseOutput then
            bad "Reversible has no differentiable dense output; save the wanted Times, or differentiate by Recorded."

        if task.Options.Heuristics && not scheme.IsHeun && not (task.FreshKernel().HasErrorEstimate) then
            bad
                $"{task.FreshKernel().Name} has no error estimate of its own, and Reversible cannot differentiate the comparison with half steps; leave Heuristics out, or differentiate by Discrete."

    let private driverOf (task: SdeTask) = SdeDriver(task.Terms, task.Path, task.Initial)

    let private kernelOf (scheme: SdeReversibleScheme) (task: SdeTask) : ISdeKernel<SdePair, Tensor> =
        match scheme with
        | SdeReversibleScheme.Heun -> SdeHeunKernel(driverOf task)
        | SdeReversibleScheme.Coupled coupling -> SdeCoupledKernel(task.FreshKernel(), task.FreshKernel(), coupling)

    let private sweepOf (scheme: SdeReversibleScheme) (task: SdeTask) (driver: SdeDriver) : SdeReverseSweep =
        match scheme with
        | SdeReversibleScheme.Heun -> new SdeHeunSweep(driver, task.Initial)
        | SdeReversibleScheme.Coupled coupling ->
            new SdeCoupledSweep(task.FreshKernel(), driver, coupling, task.Initial)

    let private optionsOf (options: SolveOptions<Tensor>) : SolveOptions<SdePair> = {
        Control = options.Control
        Tolerance = Tolerance.create options.Tolerance.Rtol options.Tolerance.Atol
        SaveAt = options.SaveAt
        Events = [||]
        Scheduled = [||]
        Jumps = options.Jumps
        InitialStep = options.InitialStep
        MaxStep = options.MaxStep
        MinStep = options.MinStep
        MaxSteps = options.MaxSteps
        Heuristics = options.Heuristics
        Progress = options.Progress
        Cancellation = options.Cancellation
    }

    /// Runs the loop. recording: under autograd, through every step. observer may be null.
    let run
        (scheme: SdeReversibleScheme)
        (task: SdeTask)
        (recording: bool)
        (observer: ISdeObserver<SdePair>)
        : Solution<SdePair> =
        let space = SdePairSpace(TensorSpace(task.Options.Tolerance, recording))

        SdeIntegration<SdePair, Tensor, SdePairSpace>(
            kernelOf scheme task,
            (fun () -> kernelOf scheme task),
            space,
            task.Path,
            observer,
            optionsOf task.Options,
            task.Start,
            task.End
        )
            .Run(SdePair.Of task.Initial)

    /// Sums of the heuristics of pairs, or null where nobody asks.
    let private heuristicsOf (task: SdeTask) : SdeHeuristics<SdePair> =
        if task.Options.Heuristics then
            SdeHeuristics<SdePair>(SdeTermsAt task.Terms, _.Y)
        else
            Unchecked.defaultof<_>

    /// Steps one after the other, recorded where gradients are on.
    let plain (scheme: SdeReversibleScheme) (task: SdeTask) (recording: bool) : TensorSolution =
        let heuristics = heuristicsOf task

        let observer =
            if task.Options.Heuristics then
                heuristics :> ISdeObserver<SdePair>
            else
                Unchecked.defaultof<_>

        let raw = run scheme task recording observer |> SdePairs.solution
        SdeNode.plain heuristics raw task.Initial

    /// How much of the state a reconstruction may miss before its stretch is taken again; a hundred times as much is reported.
    let private target (dtype: torch.ScalarType) = if dtype = torch.float64 then 1e-10 else 1e-5

    /// Steps between checkpoints where the caller leaves them to us.
    let private stride = 256

    /// Solves forward without recording, one node in the graph; see Differentiation.Reversible.
    let solve (options: ReversibleOptions) (scheme: SdeReversibleScheme) (task: SdeTask) : TensorSolution =
        check options scheme task
        let automatic = options.CheckpointEvery = 0
        let every = if automatic then stride else options.CheckpointEvery
        let heuristics = heuristicsOf task
        let mutable steps: SdeStep[] = [||]
        let mutable marks: int[] = [||]
        let mutable saves = Unchecked.defaultof<SdeSaves>

        let forward () : SdeForward =
            let tape = SdeReversibleTape(every, heuristics)

            try
                let raw = run scheme task false tape
                tape.Mark raw.FinalState
                steps <- tape.Steps.ToArray()
                marks <- tape.Marks.ToArray()
                saves <- tape.Saves
                saves.AtEnd(steps.Length, raw.States.Length)
                { Raw = SdePairs.solution raw; Saved = tape.Pack() }
            finally
                for x in tape.Pairs do
                    x.Dispose()

        let backward (bars: SdeCotangents) : struct (Tensor * Tensor[]) =
            let driver = driverOf task
            let sweep = sweepOf scheme task driver
            sweep.ErrorBar <- bars.Errors
            sweep.StiffnessBar <- bars.Stiffness

            let walk =
                SdeReversibleWalk(
                    driver,
                    kernelOf scheme task,
                    sweep,
                    steps,
                    saves,
                    bars.Of,
                    task.Terms.Parameters,
                    target task.Initial.dtype,
                    automatic
                )

            let stored n = struct (bars.Saved[0].[int64 (2 * n)], bars.Saved[0].[int64 (2 * n + 1)])
            let result = walk.Run(bars.Initial, marks, stored)

            if not (walk.Worst <= 100.0 * target task.Initial.dtype) then
                Drift.report
                    options.OnDrift
                    walk.Worst
                    $"Reversible reconstructed the state at t = {walk.WorstTime:g6} with a relative error of {walk.Worst:g3}, so its gradient is unreliable; use a smaller CheckpointEvery (it was {every}; 0 mends this by itself), shorter steps, or differentiate by Discrete."

            result

        SdeNode.solve task heuristics forward backward
