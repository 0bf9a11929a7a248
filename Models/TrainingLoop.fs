// The training loop of neural models: iterations over mini-batches, one loss or several that alternate, validation with early stopping,
// averaging, checkpoints with exact resume.
namespace Continuum

open System
open System.Collections.Generic
open System.Diagnostics
open System.IO
open System.Threading
open TorchSharp

/// One iteration, as a loss sees it.
[<Sealed>]
type internal TrainingStep(iteration: int, generator: torch.Generator) =
    let mutable evaluations = 0L
    /// Iterations done before it; the batch is a function of it (MiniBatches), so that resuming needs no state of its own.
    member _.Iteration = iteration
    /// The training's generator, for noise; its state is stored in checkpoints.
    member _.Generator = generator
    /// Evaluations of the right-hand side counted so far.
    member _.Evaluations = evaluations
    /// Counts evaluations of the right-hand side.
    member _.Count(more: int64) = evaluations <- evaluations + more

/// A loss and the parameters that move to lower it.
type internal TrainingObjective = {
    /// For messages and reports, such as "generator".
    Name: string
    /// What moves, by name; names are unique over all objectives.
    Parameters: (string * Modules.Parameter)[]
    /// A factor on the learning rate for a parameter, by its name.
    RateOf: string -> float
    /// Updates of this objective in an iteration.
    Repeats: int
    /// The loss (0-d), or null where a solve failed; a SolveFailedException says the same.
    Loss: TrainingStep -> Tensor
    /// Called after each update without gradients: constraints, such as weights clipped into a box.
    AfterStep: unit -> unit
} with

    /// One loss over these parameters, nothing after a step.
    static member Create(parameters: (string * Modules.Parameter)[], loss: TrainingStep -> Tensor) : TrainingObjective = {
        Name = "training"
        Parameters = parameters
        RateOf = fun _ -> 1.0
        Repeats = 1
        Loss = loss
        AfterStep = ignore
    }

/// What is trained.
type internal TrainingTask = {
    /// Kind of the model's checkpoints.
    Kind: string
    /// The model's configuration as JSON, as it is now: training may change it.
    Config: unit -> string
    /// What the result depends on besides the options, such as a digest of the data: names and values.
    Fingerprint: (string * obj) list
    /// The losses, in the order in which they alternate.
    Objectives: TrainingObjective[]
    /// What checkpoints hold besides the parameters: tensors of the model, and state of the losses.
    Extra: unit -> NamedArray[]
    /// Takes state of the losses back from a checkpoint of a training that goes on.
    Restore: Checkpoint -> unit
    /// A number to be lowered that decides on stopping and on the best parameters, computed without gradients.
    Validate: (TrainingStep -> float) voption
}

/// A run of the loop and everything that changes in it.
[<Sealed>]
type private LoopRun(options: TrainingLoopOptions, task: TrainingTask) =
    let parameters = task.Objectives |> Array.collect _.Parameters
    let fingerprint = ConfigText.write (TrainingLoopOptions.pairs options @ task.Fingerprint)
    let generator = new torch.Generator(uint64 options.Seed)
    let counters = Counters.zero ()
    let history = LearningCurve()
    let best = new ParameterSnapshot("best.", parameters)
    let average = new ParameterSnapshot("average.", parameters)
    let clock = Stopwatch.StartNew()
    let averageFrom = options.Iterations - int (options.Averaging * float options.Iterations)
    let mutable before = 0.0

    /// An optimiser for each factor on the rate, for each objective.
    let mutable movers: struct (float * Modules.OptimizerHelper)[][] = [||]

    let free () =
        for struct (_, optimizer) in Array.concat movers do
            optimizer.Dispose()

        movers <- [||]

    let renew () =
        free ()

        let mover (factor: float, group: (string * Modules.Parameter)[]) =
            let rate = options.LearningRate * factor
            struct (factor, Optimizers.create options.Optimizer rate options.WeightDecay (Array.map snd group))

        movers <-
            task.Objectives
            |> Array.map (fun o -> o.Parameters |> Array.groupBy (fst >> o.RateOf) |> Array.map mover)

    let clearGradients () = Optimizers.clearGradients (Array.map snd parameters)

    let counted (action: TrainingStep -> 'result) (failed: 'result) : 'result =
        let step = TrainingStep(counters.Iteration, generator)

        let result =
            try
                action step
            with :? SolveFailedException ->
                failed

        counters.Evaluations <- counters.Evaluations + step.Evaluations
        result

    /// One update of one objective; false where the loss or its gradient is not finite.
    let update (objective: TrainingObjective) (groups: struct (float * Modules.OptimizerHelper)[]) =
        use _ = torch.NewDisposeScope()
        let loss = counted objective.Loss null
        let value = if isNull loss then nan else loss.ToDouble()

        let norm =
            if Double.IsFinite value then
                clearGradients ()
                Autograd.backward loss
                Optimizers.clip (objective.Parameters |> Array.map snd) options.ClipNorm
            else
                nan

        if not (Double.IsFinite norm) then
            false
        else
            let rate =
                options.LearningRate
                * Math.Pow(0.5, float counters.Halvings)
                * Optimizers.rateFactor options.Schedule counters.Iteration options.Iterations

            for struct (factor, optimizer) in groups do
                Optimizers.setRate optimizer (rate * factor)
                optimizer.step () |> ignore

            use _ = torch.no_grad ()
            objective.AfterStep()
            counters.Loss <- value
            history.Add value
            true

    let validate (measure: TrainingStep -> float) =
        use _ = torch.NewDisposeScope()
        use _ = torch.no_grad ()
        let value = counted measure infinity
        if Double.IsNaN value then infinity else value

    /// Ranks the present parameters; without a validation the latest ones are kept, to return to after a failure.
    let check () =
        match task.Validate with
        | ValueSome measure ->
            counters.Validation <- validate measure

            if counters.Validation < counters.Best then
                counters.Best <- counters.Validation
                counters.Stale <- 0
                best.Take()
            else
                counters.Stale <- counters.Stale + 1
        | ValueNone -> best.Take()

        history.Close(counters.Iteration, counters.Validation)

    let retry () =
        if counters.Halvings >= 6 then
            let remedy = "lower the learning rate, or check the scale of the data"
            raise (TrainingException($"the loss is not finite at iteration {counters.Iteration}; {remedy}", null))

        best.Restore()
        counters.Halvings <- counters.Halvings + 1
        counters.Stale <- 0
        renew ()

    let finished () =
        counters.Iteration >= options.Iterations
        || (task.Validate.IsSome && options.Patience > 0 && counters.Stale >= options.Patience)

    let seconds () = before + clock.Elapsed.TotalSeconds

    /// Leaves the best, or the mean, in the parameters; true for the mean.
    let settle () =
        match task.Validate with
        | ValueSome measure when average.Count > 0 ->
            average.Restore()
            let mean = validate measure

            if mean <= counters.Best then
                counters.Best <- mean
                true
            else
                best.Restore()
                false
        | ValueSome _ ->
            best.Restore()
            false
        | ValueNone ->
            average.Restore()
            average.Count > 0

    /// What a training that is not finished needs to go on.
    let running () = [|
        yield! best.Store()
        yield! average.Store()
        TrainingState.ofGenerator generator

        for i in 0 .. movers.Length - 1 do
            for j in 0 .. movers[i].Length - 1 do
                let struct (_, optimizer) = movers[i][j]
                TrainingState.ofOptimizer $".{i}.{j}" optimizer
    |]

    let save (finished: bool) (averaged: bool) =
        if not (String.IsNullOrWhiteSpace options.CheckpointPath) then
            counters.Seconds <- seconds ()

            let checkpoint: Checkpoint = {
                Kind = task.Kind
                Config = task.Config()
                Training = TrainingState.write fingerprint finished averaged
                Tensors = [|
                    for name, parameter in parameters do
                        NamedArray.FromTensor(name, parameter)

                    yield! task.Extra()
                    Counters.store counters
                    history.Store()
                    yield! (if finished then [||] else running ())
                |]
            }

            checkpoint.Save options.CheckpointPath

    let takeCounters (found: Counters) =
        counters.Iteration <- found.Iteration
        counters.Evaluations <- found.Evaluations
        counters.Best <- found.Best
        counters.Stale <- found.Stale
        counters.Halvings <- found.Halvings
        counters.Loss <- found.Loss
        counters.Validation <- found.Validation
        before <- found.Seconds

    let takeRunning (stored: Checkpoint) =
        use _ = torch.NewDisposeScope()
        best.Load stored
        average.Load stored
        renew ()

        // Optimisers have no state before their first step.
        if counters.Iteration > 0 then
            for i in 0 .. movers.Length - 1 do
                for j in 0 .. movers[i].Length - 1 do
                    let struct (_, optimizer) = movers[i][j]
                    TrainingState.toOptimizer $".{i}.{j}" optimizer stored

        TrainingState.toGenerator generator stored
        task.Restore stored

    /// Puts the run where the checkpoint was written.
    let restore (path: string) : StoredTraining =
        let stored = Checkpoint.Load(path, task.Kind)
        let training = TrainingState.read path stored fingerprint
        stored.CopyTo(seq { for name, parameter in parameters -> KeyValuePair(name, parameter :> Tensor) })
        takeCounters (Counters.load path (stored.Find "training.counters"))
        history.Load stored

        if not training.Finished then
            takeRunning stored

        training

    let report (progress: Action<TrainingReport>) =
        if not (isNull progress) then
            progress.Invoke {
                Phase = "training"
                Iteration = counters.Iteration
                Iterations = options.Iterations
                Loss = counters.Loss
                ValidationLoss = counters.Validation
                Evaluations = counters.Evaluations
                Elapsed = TimeSpan.FromSeconds(seconds ())
            }

    /// One iteration; false where it failed and the run went back.
    let iterate () =
        let mutable ok = true

        for i in 0 .. task.Objectives.Length - 1 do
            for _ in 1 .. task.Objectives[i].Repeats do
                ok <- ok && update task.Objectives[i] movers[i]

        if not ok then
            retry ()
        else
            counters.Iteration <- counters.Iteration + 1

            if counters.Iteration > averageFrom then
                average.Average()

            if counters.Iteration % options.ValidateEvery = 0 || counters.Iteration = options.Iterations then
                check ()

        ok

    let train (progress: Action<TrainingReport>) (cancellation: CancellationToken) =
        while not (finished ()) do
            if cancellation.IsCancellationRequested then
                save false false
                raise (OperationCanceledException cancellation)

            if iterate () then
                report progress

                if counters.Iteration % options.CheckpointEvery = 0 && not (finished ()) then
                    save false false

        let averaged = settle ()
        save true averaged
        averaged

    /// The whole training.
    member _.Run(progress: Action<TrainingReport>, cancellation: CancellationToken) : TrainingSummary =
        let stored =
            if options.Resume && File.Exists options.CheckpointPath then
                ValueSome(restore options.CheckpointPath)
            else
                renew ()
                best.Take()
                ValueNone

        let averaged =
            match stored with
            | ValueSome training when training.Finished -> training.Averaged
            | _ -> train progress cancellation

        {
            Iterations = counters.Iteration
            Loss = counters.Loss
            Validation = (if task.Validate.IsSome then counters.Best else nan)
            StoppedEarly = counters.Iteration < options.Iterations
            Averaged = averaged
            Evaluations = counters.Evaluations
            Elapsed = TimeSpan.FromSeconds(seconds ())
            Curve = history.Points
        }

    interface IDisposable with
        member _.Dispose() =
            clearGradients ()
            free ()
            (best :> IDisposable).Dispose()
            (average :> IDisposable).Dispose()
            generator.Dispose()

/// Training.
[<RequireQualifiedAccess>]
module internal TrainingLoop =
    /// Refuses, before anything is computed, a path that cannot be written or holds something else than an earlier state of such a training.
    let private checkPath (options: TrainingLoopOptions) (task: TrainingTask) =
        let path = options.CheckpointPath

        if not (String.IsNullOrWhiteSpace path) then
            let folder = IO.Path.GetDirectoryName(IO.Path.GetFullPath path)

            if not (IO.Directory.Exists folder) then
                raise (
                    IO.DirectoryNotFoundException
                        $"cannot write the checkpoint '{path}': the folder '{folder}' does not exist; create it first or choose another folder"
                )

            if IO.Directory.Exists path then
                raise (IO.IOException $"cannot write the checkpoint '{path}': it is a folder; give the name of a file")

            if not options.Resume && IO.File.Exists path then
                let isState =
                    try
                        Checkpoint.Load(path, task.Kind).Training <> ""
                    with :? IO.InvalidDataException ->
                        false

                if not isState then
                    raise (
                        IO.IOException
                            $"'{path}' exists and is no checkpoint of such a training; choose another CheckpointPath, or delete the file"
                    )

    /// Trains the task's parameters in place: everything random comes from options.Seed and the task, so the same call gives the same
    /// parameters bit for bit, also when it was interrupted and resumed (the caller builds the model again as for a new training; the
    /// checkpoint's values replace its own). A loss or a gradient that is not finite sends it back to the best parameters with half the
    /// learning rate, six times at most. In the end the parameters are the best by validation, or the mean, or the last.
    /// `progress` (may be null) is called after every iteration.
    /// ArgumentException for wrong options or a checkpoint of other options or data, TrainingException when the loss does not stay
    /// finite, OperationCanceledException when cancelled (after a checkpoint, if a path is given), InvalidDataException for a damaged
    /// or foreign checkpoint, IOException for a path in a missing folder or at a file of another kind.
    let run
        (options: TrainingLoopOptions)
        (task: TrainingTask)
        (progress: Action<TrainingReport>)
        (cancellation: CancellationToken)
        : TrainingSummary =
        TrainingLoopOptions.check options
        checkPath options task

        TrainingState.withThreads options.Threads (fun () ->
            use run = new LoopRun(options, task)
            run.Run(progress, cancellation))
