// Fitting a model to a time series: first guesses, a run of training, and resuming one.
namespace Continuum

open System
open System.Diagnostics
open System.IO
open System.Threading
open TorchSharp

/// A fitted model and what the fit cost.
type FitResult = {
    /// The model; the caller disposes it.
    Model: ForecastModel
    /// Mean squared misfit of the final trajectories over all rows, in units of each column's variance (of its logarithm, for positive states).
    Loss: float
    /// Evaluations of the right-hand side.
    Evaluations: int64
    /// Time spent, with that before a resume.
    Elapsed: TimeSpan
}

/// Fitting models to time series.
[<RequireQualifiedAccess>]
module Fit =
    let private rawData (times: float[]) (values: float[,]) =
        use t = Tensors.vector times

        use flat =
            Tensors.vector [|
                for i in 0 .. values.GetLength 0 - 1 do
                    for j in 0 .. values.GetLength 1 - 1 -> values[i, j]
            |]

        use v = flat.reshape ([| values.GetLongLength 0; values.GetLongLength 1 |])
        [| NamedArray.FromTensor("data.times", t); NamedArray.FromTensor("data.values", v) |]

    /// Misfit of the multiple-shooting windows started at the given states, or in the data (null).
    let private misfit
        (data: WindowedData)
        (model: OdeModel)
        (windows: Window[])
        (states: Tensor)
        : struct (float * int) =
        use _ = torch.NewDisposeScope()
        use _ = torch.no_grad ()
        let states = if isNull states then data.At(windows |> Array.map _.First) else states
        let struct (predictions, cost) = data.Predict(model, windows, states, Differentiation.None, 1e-5)

        if isNull predictions then
            struct (infinity, cost)
        else
            let value = (data.Misfit(predictions, windows, 0, data.Rows - 1)).ToDouble()
            struct ((if Double.IsFinite value then value else infinity), cost)

    /// The best of the law's first guesses.
    let private firstGuess mechanism (c: Coordinates) (data: WindowedData) (windows: Window[]) (counters: Counters) =
        let score (mechanism, theta) =
            use law = new MechanisticOde(mechanism, c, theta)
            let struct (value, cost) = misfit data law windows null
            counters.Evaluations <- counters.Evaluations + int64 cost
            value

        Mechanism.guesses mechanism c data.Tau data.Scaled
        |> Array.filter (fun (_, theta) -> Array.forall Double.IsFinite theta)
        |> fun candidates ->
            if candidates.Length = 0 then
                raise (
                    TrainingException(
                        $"the prior '{Mechanism.name mechanism}' finds no finite first guess in these data; choose another prior",
                        null
                    )
                )
            else
                Array.minBy score candidates

    let private chooseMechanism (options: TrainingOptions) (c: Coordinates) =
        match options.Prior with
        | "auto" when c.Dimension = 2 && c.Positive -> LotkaVolterra 0
        | "auto" -> Linear
        | name -> Mechanism.parse name c.Dimension

    let private start (options: TrainingOptions) timeName columns times values (counters: Counters) generator =
        let positive = if options.Positive.HasValue then Some options.Positive.Value else None
        let c = Coordinates.create timeName columns times values positive
        let mechanism = chooseMechanism options c
        let data = new WindowedData(c, times, values)
        let windows = TrainingPlan.windows options times.Length

        let mechanism, theta =
            if options.Kind = ModelKind.NeuralOde then
                mechanism, [||]
            else
                firstGuess mechanism c data windows counters

        let config = {
            Kind = options.Kind
            Mechanism = mechanism
            Hidden = options.Hidden
            Activation = options.Activation
            TimeInput = options.TimeInput
            Seed = options.Seed
            Coordinates = c
            Nodes = windows |> Array.map (fun w -> data.Tau[w.First])
            LastTime = times[times.Length - 1]
        }

        let states = windows |> Array.collect (fun w -> data.Scaled[w.First])
        struct (data, ForecastModel.Create(config, theta, states, generator))

    let private resume (options: TrainingOptions) (raw: NamedArray[]) times values =
        let path = options.CheckpointPath
        let checkpoint = Checkpoint.Load(path, ForecastModel.CheckpointKind)

        let stored = TrainingState.read path checkpoint (TrainingPlan.fingerprint options)

        for array in raw do
            if not (checkpoint.Find(array.Name).Equals array) then
                raise (
                    ArgumentException
                        $"the checkpoint '{path}' was made with other data; resume with the same ones or start again"
                )

        let counters = Counters.load path (checkpoint.Find "training.counters")
        let model = ForecastModel.OfCheckpoint(path, checkpoint)
        let data = new WindowedData(model.Config.Coordinates, times, values)
        struct (data, model, counters, (if stored.Finished then null else box checkpoint))

    /// A mechanistic law alone: no training, but parameter estimation.
    let private estimate
        (options: TrainingOptions)
        timeName
        columns
        times
        values
        (progress: Action<TrainingReport>)
        cancellation
        =
        let clock = Stopwatch.StartNew()
        let positive = if options.Positive.HasValue then Some options.Positive.Value else None
        let c = Coordinates.create timeName columns times values positive
        let mechanism = chooseMechanism options c
        use data = new WindowedData(c, times, values)
        let iterations = if options.Iterations > 0 then options.Iterations else 200

        let tell (report: EstimationReport) (evaluations: int64) =
            if not (isNull progress) then
                progress.Invoke {
                    Phase = "estimation"
                    Iteration = report.Iteration
                    Iterations = iterations
                    Loss = 2.0 * report.Objective / float (times.Length * c.Dimension)
                    ValidationLoss = nan
                    Evaluations = evaluations
                    Elapsed = clock.Elapsed
                }

        let guesses = Mechanism.guesses mechanism c data.Tau data.Scaled
        let fitted = LawEstimation.run guesses c data.Tau data.Scaled iterations tell cancellation

        let config = {
            Kind = ModelKind.Mechanistic
            Mechanism = fitted.Mechanism
            Hidden = options.Hidden
            Activation = options.Activation
            TimeInput = options.TimeInput
            Seed = options.Seed
            Coordinates = c
            Nodes = [| 0.0 |]
            LastTime = times[times.Length - 1]
        }

        use generator = new torch.Generator(uint64 options.Seed)
        let model = ForecastModel.Create(config, fitted.Theta, fitted.State, generator)
        model.ParameterErrors <- fitted.Errors

        {
            Model = model
            Loss = fitted.Loss
            Evaluations = int64 fitted.Evaluations
            Elapsed = clock.Elapsed
        }

    /// Training of a model with a network.
    let private train
        (options: TrainingOptions)
        timeName
        columns
        times
        values
        (progress: Action<TrainingReport>)
        cancellation
        : FitResult =
        use generator = new torch.Generator(uint64 options.Seed)
        let raw = rawData times values

        let struct (data, model, counters, checkpoint) =
            if options.Resume && File.Exists options.CheckpointPath then
                resume options raw times values
            else
                let counters = Counters.zero ()
                let struct (data, model) = start options timeName columns times values counters generator
                struct (data, model, counters, null)

        use data = data

        ModelFile.guarded model (fun () ->
            use training = new TrainingRun(options, data, raw, model, generator, counters)
            let finished = counters.Phase >= (TrainingPlan.phases options data.Rows).Length

            if not finished then
                match checkpoint with
                | :? Checkpoint as checkpoint -> training.Restore checkpoint
                | _ -> ()

                training.Run(progress, cancellation)
                counters.Seconds <- training.Seconds

            let windows = TrainingPlan.windows options data.Rows
            let struct (loss, _) = misfit data model.Ode windows model.NodeStates

            {
                Model = model
                Loss = loss
                Evaluations = counters.Evaluations
                Elapsed = TimeSpan.FromSeconds counters.Seconds
            })

    /// Fits a model to values of shape (times, columns) at rising times. A mechanistic law alone is fitted by parameter estimation (its
    /// parameters get standard errors; it takes no checkpoints), the others are trained. Everything random comes from options.Seed: the same call gives the same
    /// model bit for bit, also when it was interrupted and resumed. `progress` (may be null) is called after every iteration.
    /// ArgumentException for wrong options or data, TrainingException when the loss does not stay finite, OperationCanceledException when
    /// cancelled (after a checkpoint, if a path is given), InvalidDataException for a damaged or foreign checkpoint.
    let run
        (options: TrainingOptions)
        (timeName: string)
        (columns: string[])
        (times: float[])
        (values: float[,])
        (progress: Action<TrainingReport>)
        (cancellation: CancellationToken)
        : FitResult =
        NativeLibraries.ensure ()
        TrainingPlan.check options

        TrainingState.withThreads options.Threads (fun () ->
            if options.Kind = ModelKind.Mechanistic then
                estimate options timeName columns times values progress cancellation
            else
                train options timeName columns times values progress cancellation)

    /// Reads a fitted model, or the model of a training's checkpoint. InvalidDataException for a damaged or foreign file,
    /// FileNotFoundException for a missing one.
    let load (path: string) : FitResult =
        NativeLibraries.ensure ()
        let checkpoint = Checkpoint.Load(path, ForecastModel.CheckpointKind)
        let find name = checkpoint.Tensors |> Array.tryFind (fun array -> array.Name = name)

        let loss, evaluations, seconds =
            match find "fit.summary" |> Option.map _.ToDoubles(), find "training.counters" with
            | Some [| loss; evaluations |], _ -> loss, int64 evaluations, 0.0
            | _, Some stored ->
                let counters = Counters.load path stored
                counters.Loss, counters.Evaluations, counters.Seconds
            | _ -> nan, 0L, 0.0

        let model = ForecastModel.OfCheckpoint(path, checkpoint)

        match find "fit.errors" with
        | Some errors -> model.ParameterErrors <- errors.ToDoubles()
        | None -> ()

        {
            Model = model
            Loss = loss
            Evaluations = evaluations
            Elapsed = TimeSpan.FromSeconds seconds
        }
