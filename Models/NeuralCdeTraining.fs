// The losses of neural controlled differential equations and the split of the subjects, as a task for the training loop.
namespace Continuum

open System
open TorchSharp

/// What a loss compares for one subject: states at some visits (-1: the end) with what should be read off them.
type internal CdeSample = {
    /// The visit whose state is read; -1 for the state at the end.
    Visit: int
    /// Targets, scaled; NaN where unknown. A forecast has one row of channels for each offset, as changes against the last known values.
    Targets: float[]
    /// Scaled times of a forecast since the visit.
    Offsets: float[]
}

/// Samples of the subjects.
[<RequireQualifiedAccess>]
module internal CdeSamples =
    let private scaled (config: NeuralCdeConfig) (j: int) (raw: float) =
        if config.Task = NeuralCdeTask.Regression then
            (raw - config.TargetMean[j]) / config.TargetDeviation[j]
        else
            raw

    let private forecasts (config: NeuralCdeConfig) (horizon: int) (subject: IrregularSubject) : CdeSample[] =
        let path = SeriesScaling.path config.Scaling subject.Path
        let known = NeuralCdePaths.lastKnown config subject

        [|
            for cut in 0 .. path.Rows - 2 do
                let later = [| cut + 1 .. min (path.Rows - 1) (cut + horizon) |]

                {
                    Visit = cut
                    Offsets = later |> Array.map (fun k -> path.Times[k] - path.Times[cut])
                    Targets = [|
                        for k in later do
                            for j in 0 .. path.Columns - 1 -> path.Values[k, j] - known[cut, j]
                    |]
                }
        |]

    /// What is known of a subject; none for a forecast of a subject with one visit.
    let create (config: NeuralCdeConfig) (horizon: int) (subject: IrregularSubject) : CdeSample[] =
        if config.Task = NeuralCdeTask.Forecast then
            forecasts config horizon subject
        elif config.PerVisit then
            let rows, columns = subject.VisitTargets.GetLength 0, subject.VisitTargets.GetLength 1

            [|
                for i in 0 .. rows - 1 do
                    let targets = Array.init columns (fun j -> scaled config j subject.VisitTargets[i, j])

                    if not (Array.forall Double.IsNaN targets) then
                        { Visit = i; Targets = targets; Offsets = [||] }
            |]
        else
            [|
                {
                    Visit = -1
                    Targets = Array.mapi (scaled config) subject.Target
                    Offsets = [||]
                }
            |]

/// Losses on a batch.
[<RequireQualifiedAccess>]
module internal CdeLoss =
    let private indices (values: int64[]) : Tensor = torch.tensor(values).clone()

    /// Mean squared distance over the known targets; 0 where nothing is known.
    let private squared (predicted: Tensor) (targets: float[]) : Tensor =
        let wanted = Tensors.ofArray targets predicted.shape torch.float64 torch.CPU
        let known = wanted.isnan().logical_not()
        let difference = predicted.sub(wanted).masked_fill(known.logical_not (), 0.0)
        let count = targets |> Array.filter (fun v -> not (Double.IsNaN v)) |> Array.length
        difference.square().sum().div(float (max 1 count))

    let private crossEntropy (weights: Tensor) (logits: Tensor) (labels: float[]) : Tensor =
        let wanted = indices (labels |> Array.map int64)
        torch.nn.functional.cross_entropy (logits, wanted, weight = weights)

    /// The loss of a batch of subjects with their samples: cross-entropy, or the mean squared distance in scaled units; null where no
    /// sample has a target. `weights`: of the classes, or null.
    let value
        (model: NeuralCdeModel)
        (inputs: CdeInputs)
        (samples: CdeSample[][])
        (weights: Tensor)
        (differentiation: Differentiation)
        (count: int64 -> unit)
        : Tensor =
        let config = model.Config
        let everyVisit = config.PerVisit || config.Task = NeuralCdeTask.Forecast
        let flat = samples |> Array.concat

        if flat.Length = 0 then
            null
        else
            let states = model.Encode(inputs, everyVisit, differentiation, count)

            /// Rows of (visits, subjects, width) at the samples' visits.
            let chosen (x: Tensor) =
                let place b (s: CdeSample) = int64 (s.Visit * samples.Length + b)
                let places = samples |> Array.mapi (fun b mine -> mine |> Array.map (place b)) |> Array.concat
                x.reshape([| -1L; x.shape[2] |]).index_select(0L, indices places)

            let read () =
                if everyVisit then
                    chosen (model.ReadVisits(states, inputs))
                else
                    model.ReadEnd(states, inputs)

            let targets = flat |> Array.collect _.Targets

            match config.Task with
            | NeuralCdeTask.Classification -> crossEntropy weights (read ()) targets
            | NeuralCdeTask.Regression -> squared (read ()) targets
            | _ ->
                let changes = model.Decode(chosen states, flat |> Array.map _.Offsets, differentiation, count)
                let row = int (changes.shape[1] * changes.shape[2])
                let pad (s: CdeSample) = Array.append s.Targets (Array.create (row - s.Targets.Length) nan)
                squared changes (flat |> Array.collect pad)

/// Training tasks.
[<RequireQualifiedAccess>]
module internal NeuralCdeTraining =
    /// Subjects to train on and subjects to validate on, each rising; classes are split alike. No validation where it would have fewer than 2
    /// subjects or training fewer than 2.
    let split (options: NeuralCdeOptions) (data: IrregularSeries) : struct (int[] * int[]) =
        let random = Random options.Loop.Seed

        let classOf (i: int) =
            let target = data.Subjects[i].Target

            if options.Task = NeuralCdeTask.Classification && not options.PerVisit && target.Length > 0 then
                target[0]
            else
                0.0

        let held = [|
            for _, members in Array.init data.Count id |> Array.groupBy classOf |> Array.sortBy fst do
                let shuffled = Array.copy members
                random.Shuffle shuffled
                yield! Array.truncate (int (round (options.ValidationFraction * float members.Length))) shuffled
        |]

        let all = Array.init data.Count id

        if held.Length < 2 || data.Count - held.Length < 2 then
            struct (all, [||])
        else
            struct (Array.except held all, Array.sort held)

    /// Options besides those of the loop that change the result.
    let private fingerprint
        (options: NeuralCdeOptions)
        (config: NeuralCdeConfig)
        (data: IrregularSeries)
        : (string * obj) list = [
        "model", NeuralCdeConfig.toJson config
        "classWeights", options.ClassWeights
        "validationFraction", options.ValidationFraction
        "fieldRate", options.FieldRate
        "horizon", options.Horizon
        "differentiation", options.Differentiation
        "data", data.Digest
    ]

    /// Trains the model on the subjects of `training`, and validates it on those of `held` (none: to the last iteration).
    let run
        (options: NeuralCdeOptions)
        (model: NeuralCdeModel)
        (data: IrregularSeries)
        (training: int[])
        (held: int[])
        progress
        cancellation
        : TrainingSummary =
        let config = model.Config
        use _ = torch.NewDisposeScope()

        let weights =
            if isNull options.ClassWeights then
                null
            else
                Tensors.vector options.ClassWeights

        let samplesOf (part: IrregularSeries) = part.Subjects |> Array.map (CdeSamples.create config options.Horizon)
        let part = data.Subset training
        let samples = samplesOf part

        if samples |> Array.forall Array.isEmpty then
            raise (
                ArgumentException
                    "no subject has anything to be trained on: targets at visits, or a second visit to forecast"
            )

        use inputs = NeuralCdePaths.create config part
        let batches = MiniBatches(training.Length, options.Loop.BatchSize, options.Loop.Seed)

        let loss (step: TrainingStep) : Tensor =
            use _ = torch.NewDisposeScope()
            let batch = batches.At step.Iteration
            use chosen = inputs.Select batch
            let mine = batch |> Array.map (fun i -> samples[i])
            let value = CdeLoss.value model chosen mine weights options.Differentiation step.Count

            // A batch without a single known target teaches nothing.
            if isNull value then
                (model.Trainable |> Array.map (fun (_, p) -> p.sum().mul(0.0)) |> Array.reduce (fun a b -> a.add b))
                    .MoveToOuterDisposeScope()
            else
                value.MoveToOuterDisposeScope()

        let validation =
            if held.Length = 0 then
                ValueNone
            else
                let part = data.Subset held
                let samples = samplesOf part

                if samples |> Array.forall Array.isEmpty then
                    ValueNone
                else
                    let inputs = NeuralCdePaths.create config part

                    ValueSome(
                        struct (inputs,
                                fun (step: TrainingStep) ->
                                    (CdeLoss.value model inputs samples weights Differentiation.None step.Count)
                                        .ToDouble())
                    )

        let task: TrainingTask = {
            Kind = NeuralCdeModel.CheckpointKind
            Config = fun () -> NeuralCdeConfig.toJson config
            Fingerprint = fingerprint options config data
            Objectives = [|
                {
                    TrainingObjective.Create(model.Trainable, loss) with
                        RateOf = fun name -> if name.Contains "field" then options.FieldRate else 1.0
                }
            |]
            Extra = fun () -> [||]
            Restore = ignore
            Validate = validation |> ValueOption.map (fun (struct (_, measure)) -> measure)
        }

        try
            TrainingLoop.run options.Loop task progress cancellation
        finally
            match validation with
            | ValueSome(struct (inputs, _)) -> (inputs :> IDisposable).Dispose()
            | ValueNone -> ()
