// Training of forecast models: phases, mini-batches of windows, early stopping, checkpoints and exact resume.
namespace Continuum

open System
open System.Diagnostics
open System.Threading
open TorchSharp

/// One run of training: the model, the data and everything that changes.
[<Sealed>]
type internal TrainingRun
    (
        options: TrainingOptions,
        data: WindowedData,
        raw: NamedArray[],
        model: ForecastModel,
        generator: torch.Generator,
        counters: Counters
    ) =
    let phases = TrainingPlan.phases options data.Rows
    let windows = TrainingPlan.windows options data.Rows
    let total = phases |> Array.sumBy _.Iterations
    let before = phases |> Array.map _.Iterations |> Array.scan (+) 0
    let best = new ParameterSnapshot("best.", model.Trainable)
    let clock = Stopwatch.StartNew()
    let secondsBefore = counters.Seconds
    let mutable optimizer: Modules.OptimizerHelper = null
    let mutable scheduler: torch.optim.lr_scheduler.LRScheduler = null

    let moving (phase: Phase) =
        model.Trainable
        |> Array.filter (fun (name, _) ->
            if name = "nodes" then not phase.FromData
            elif name.EndsWith("theta", StringComparison.Ordinal) then phase.Law
            else phase.Network)

    let rate (phase: Phase) = phase.LearningRate * Math.Pow(0.5, float counters.Halvings)

    let begin' (phase: Phase) =
        if not (isNull optimizer) then
            optimizer.Dispose()

        let parameters = moving phase |> Array.map snd
        optimizer <- Optimizers.create options.Optimizer (rate phase) options.WeightDecay parameters
        scheduler <- TrainingPlan.schedule options phase.Iterations (rate phase) optimizer
        Optimizers.clearGradients (model.Trainable |> Array.map snd)

    /// Windows of the phase: every start in the data, or those of multiple shooting, without rows after the training rows.
    let windowsOf (phase: Phase) =
        if phase.FromData then
            let length = min 5 (phase.Rows - 1)
            [| for first in 0 .. phase.Rows - 1 - length -> { First = first; Last = first + length } |]
        else
            windows
            |> Array.filter (fun w -> w.First < phase.Rows - 1)
            |> Array.map (fun w -> { w with Last = min w.Last (phase.Rows - 1) })

    let batchOf (all: Window[]) : int[] =
        if all.Length <= options.BatchSize then
            [| 0 .. all.Length - 1 |]
        else
            use order = torch.randperm (int64 all.Length, dtype = Nullable torch.int64, generator = generator)
            Array.sub (Tensors.toArray order |> Array.map int) 0 options.BatchSize |> Array.sort

    let rows (indices: int[]) (tensor: Tensor) =
        tensor.index_select (0L, torch.tensor(indices |> Array.map int64, dtype = Nullable torch.int64).clone())

    let weighted (weight: float) (loss: Tensor) = loss.mul weight

    /// The loss on a mini-batch; null where the solve failed.
    let lossOf (phase: Phase) (all: Window[]) (batch: int[]) : Tensor =
        let chosen = batch |> Array.map (fun i -> all[i])
        let nodes: Tensor = model.NodeStates

        let states =
            if phase.FromData then
                data.At(chosen |> Array.map _.First)
            else
                rows batch nodes

        let struct (predictions, cost) =
            data.Predict(model.Ode, chosen, states, options.Differentiation, options.Rtol)

        counters.Evaluations <- counters.Evaluations + int64 cost

        if isNull predictions then
            null
        else
            let misfit = data.Misfit(predictions, chosen, 0, phase.Rows - 1)

            let loss =
                if phase.FromData then
                    misfit
                else
                    // The initial states are fitted to their own rows as well, with the weight of one row of the window.
                    let share = float chosen.Length / float (chosen |> Array.sumBy (fun w -> w.Last - w.First))
                    let start = data.Distance(states, data.At(chosen |> Array.map _.First))
                    let fitted = misfit.add (weighted share start)

                    // The end of a window must meet the next initial state.
                    let joints = [|
                        for k in 0 .. batch.Length - 1 do
                            if batch[k] + 1 < all.Length then
                                k
                    |]

                    if joints.Length = 0 then
                        fitted
                    else
                        let longest = predictions.shape[1]
                        let last = (rows joints predictions).select(1L, longest - 1L)
                        let next = rows (joints |> Array.map (fun k -> batch[k] + 1)) nodes
                        fitted.add (weighted options.Continuity (data.Distance(last, next)))

            if phase.Network && model.Config.Kind = ModelKind.Hybrid && options.Penalty > 0.0 then
                let tau =
                    if model.Ode.UsesTime then
                        Tensors.ofArray data.Tau [| int64 data.Rows; 1L |] torch.float64 torch.CPU
                    else
                        null

                let correction = model.Network.Rate(tau, data.All)
                loss.add (weighted options.Penalty (correction.square().mean()))
            else
                loss

    /// The misfit of one trajectory over the validation rows, from the last initial state before them.
    let validate (phase: Phase) =
        use _ = torch.NewDisposeScope()
        use _ = torch.no_grad ()
        let k = Array.FindLastIndex(windows, fun w -> w.First < phase.Rows)
        let window = { First = windows[k].First; Last = data.Rows - 1 }
        let nodes: Tensor = model.NodeStates
        let states = if phase.FromData then data.At [| window.First |] else rows [| k |] nodes

        let struct (predictions, cost) =
            data.Predict(model.Ode, [| window |], states, Differentiation.None, options.Rtol)

        counters.Evaluations <- counters.Evaluations + int64 cost

        if isNull predictions then
            infinity
        else
            (data.Misfit(predictions, [| window |], phase.Rows, data.Rows - 1)).ToDouble()

    /// One step; false where the loss is not finite.
    let step (phase: Phase) (all: Window[]) =
        use _ = torch.NewDisposeScope()
        let batch = batchOf all
        let loss = lossOf phase all batch
        let value = if isNull loss then nan else loss.ToDouble()

        if not (Double.IsFinite value) then
            false
        else
            counters.Loss <- value

            if phase.Validated then
                if counters.Iteration % 5 = 0 then
                    counters.Validation <- validate phase

                    if counters.Validation < counters.Best then
                        counters.Best <- counters.Validation
                        counters.Stale <- 0
                        best.Take()
                    else
                        counters.Stale <- counters.Stale + 1
            elif batch.Length = all.Length && value < counters.Best then
                counters.Best <- value
                best.Take()

            let parameters = moving phase |> Array.map snd
            optimizer.zero_grad ()
            Autograd.backward loss
            torch.nn.utils.clip_grad_norm_ (parameters, options.ClipNorm) |> ignore
            optimizer.step () |> ignore

            if not (isNull scheduler) then
                scheduler.step ()

            true

    let report (progress: Action<TrainingReport>) =
        if not (isNull progress) then
            let phase = phases[min counters.Phase (phases.Length - 1)]

            progress.Invoke {
                Phase = phase.Name
                Iteration = min total (before[min counters.Phase (phases.Length - 1)] + counters.Iteration)
                Iterations = total
                Loss = counters.Loss
                ValidationLoss = counters.Validation
                Evaluations = counters.Evaluations
                Elapsed = TimeSpan.FromSeconds(secondsBefore + clock.Elapsed.TotalSeconds)
            }

    /// Time spent so far.
    member _.Seconds = secondsBefore + clock.Elapsed.TotalSeconds

    /// The whole state as a checkpoint.
    member _.Checkpoint(finished: bool) : Checkpoint =
        counters.Seconds <- secondsBefore + clock.Elapsed.TotalSeconds

        let running = [|
            if not finished then
                yield! best.Store()
                TrainingState.ofGenerator generator

                if not (isNull optimizer) && counters.Iteration > 0 then
                    TrainingState.ofOptimizer "" optimizer
        |]

        let training = TrainingState.write (TrainingPlan.fingerprint options) finished false
        model.ToCheckpoint(training, Array.concat [ [| Counters.store counters |]; raw; running ])

    /// Puts the run where the checkpoint was written.
    member _.Restore(checkpoint: Checkpoint) =
        best.Load checkpoint
        TrainingState.toGenerator generator checkpoint

        if counters.Phase < phases.Length then
            begin' phases[counters.Phase]

            if counters.Iteration > 0 then
                if not (isNull scheduler) then
                    for _ in 1 .. counters.Iteration do
                        scheduler.step ()

                TrainingState.toOptimizer "" optimizer checkpoint

    /// Trains to the end of the last phase.
    member this.Run(progress: Action<TrainingReport>, cancellation: CancellationToken) =
        let save finished =
            if not (String.IsNullOrWhiteSpace options.CheckpointPath) then
                this.Checkpoint(finished).Save options.CheckpointPath

        let pollCancellation () =
            if cancellation.IsCancellationRequested then
                save false
                raise (OperationCanceledException cancellation)

        /// From the best values, with half the learning rate.
        let retry (phase: Phase) =
            if counters.Halvings >= 6 || best.Count = 0 then
                let iteration = before[counters.Phase] + counters.Iteration
                let remedy = "lower the learning rate, choose another prior, or shorten the windows"

                raise (
                    TrainingException(
                        $"the loss is not finite at iteration {iteration} (phase '{phase.Name}'); {remedy}",
                        null
                    )
                )

            best.Restore()
            counters.Halvings <- counters.Halvings + 1
            counters.Stale <- 0
            begin' phase

            for _ in 1 .. (if isNull scheduler then 0 else counters.Iteration) do
                scheduler.step ()

        while counters.Phase < phases.Length do
            let phase = phases[counters.Phase]
            let all = windowsOf phase

            if counters.Iteration = 0 then
                begin' phase

                if best.Count = 0 then
                    best.Take()

            let stopped () = phase.Validated && counters.Stale > options.Patience

            while counters.Iteration < phase.Iterations && not (stopped ()) do
                pollCancellation ()

                if step phase all then
                    counters.Iteration <- counters.Iteration + 1
                    report progress

                    if (before[counters.Phase] + counters.Iteration) % options.CheckpointEvery = 0 then
                        save false
                else
                    retry phase

            if counters.Best < infinity then
                best.Restore()

            best.Clear()
            counters.Phase <- counters.Phase + 1
            counters.Iteration <- 0
            counters.Best <- infinity
            counters.Stale <- 0
            counters.Halvings <- 0
            counters.Validation <- nan

        save true

    interface IDisposable with
        member _.Dispose() =
            (best :> IDisposable).Dispose()

            if not (isNull optimizer) then
                optimizer.Dispose()
                optimizer <- null
