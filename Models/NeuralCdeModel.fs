// A neural controlled differential equation with everything that is needed to use it: scaling, networks, predictions, files.
namespace Continuum

open System
open System.Collections.Generic
open TorchSharp

/// A classifier, regressor or forecaster of irregular series with missing values:
///   z(first) = initial(X(first), covariates),   dz = F(z) dX,   prediction = readout(z, X, covariates)
/// along a path X through time, counters of observations and the scaled data (Kidger, Morrill, Foster and Lyons 2020), or along
/// its log-signatures over windows (Morrill, Salvi, Kidger and Foster 2021). A forecast goes on from z at the last visit by an ordinary equation and is
/// read off as a change against the last known values. Made by NeuralCde.fit and NeuralCde.load; dispose it.
[<Sealed>]
type NeuralCdeModel internal (config: NeuralCdeConfig, networks: NeuralCdeNetworks) =
    let mutable disposed = false
    let tableau = RungeKutta(Methods.ByName config.Method)

    let solveOptions (save: CdeSave) (differentiation: Differentiation) = {
        CdeOptions.create () with
            Method = tableau
            Steps = CdeSteps.PerPiece config.StepsPerPiece
            SaveAt = save
            Differentiation = differentiation
            // The networks' parameters are the field's by construction.
            CheckTracking = false
    }

    let softmax (x: Tensor) = torch.nn.functional.softmax (x, -1L)

    /// (..., outputs) as the caller sees it: probabilities, or numbers in the data's units.
    let present (x: Tensor) : Tensor =
        match config.Task with
        | NeuralCdeTask.Classification -> softmax x
        | NeuralCdeTask.Regression ->
            let vector (values: float[]) = Tensors.vector values
            x.mul(vector config.TargetDeviation).add(vector config.TargetMean)
        | _ -> x

    /// Subjects that go through the networks together.
    let chunks (data: IrregularSeries) =
        Array.init data.Count id
        |> Array.chunkBySize 256
        |> Array.map (fun indices -> struct (indices, data.Subset indices))

    let refuseForecast (what: string) =
        if config.Task = NeuralCdeTask.Forecast then
            raise (
                InvalidOperationException
                    $"{what} is for classifiers and regressors; this model forecasts: call Forecast"
            )

    /// The configuration.
    member _.Config = config

    member internal _.Networks = networks

    /// Options of a solve along the path.
    member internal _.SolveOptions(save: CdeSave, differentiation: Differentiation) = solveOptions save differentiation

    /// What is read off, as the caller sees it.
    member internal _.Present(x: Tensor) : Tensor = present x

    /// Everything trainable by name, in a fixed order.
    member internal _.Trainable = ModelFile.parameters "model." networks

    /// States of the equation, (subjects, layers * state) at the end, or (visits, subjects, layers * state) at every visit. A subject with fewer
    /// visits than the batch stands still after its last one. `count` is told the evaluations of the field.
    member internal _.Encode(inputs: CdeInputs, everyVisit: bool, differentiation, count: int64 -> unit) : Tensor =
        let save = if everyVisit then CdeSave.Observations else CdeSave.End
        let z0 = networks.Initial(inputs.Values.select (0L, 0L), inputs.Statics)
        let solution = TensorCde.solve (solveOptions save differentiation) networks.Field inputs.Path z0
        count (int64 solution.Statistics.Evaluations)
        let solution = solution.EnsureSuccess()
        if everyVisit then solution.States else solution.Final

    /// What is read off the states at the end, (subjects, outputs).
    member internal _.ReadEnd(z: Tensor, inputs: CdeInputs) : Tensor =
        networks.Read(z, inputs.Values.select (0L, inputs.Values.shape[0] - 1L), inputs.Statics)

    /// What is read off the states at every visit, (visits, subjects, outputs).
    member internal _.ReadVisits(z: Tensor, inputs: CdeInputs) : Tensor =
        let statics =
            if isNull inputs.Statics then
                null
            else
                inputs.Statics.unsqueeze(0L).expand([| z.shape[0]; z.shape[1]; inputs.Statics.shape[1] |])

        networks.Read(z, inputs.Values, statics)

    /// Changes against the last known values after these scaled times since the visit of z: z (samples, layers * state), offsets[i]
    /// rising and above 0; result (samples, most offsets, channels), without meaning where a sample has fewer.
    member internal _.Decode(z: Tensor, offsets: float[][], differentiation, count: int64 -> unit) : Tensor =
        let most = max 1 (offsets |> Array.map Array.length |> Array.max)

        /// Times of a sample's own steps, and which step ends at each offset.
        let grid (mine: float[]) =
            let times = ResizeArray [ 0.0 ]

            let ends =
                mine
                |> Array.map (fun target ->
                    let last = times[times.Count - 1]
                    let pieces = max 1 (int (ceil ((target - last) / config.ForecastStep - 1e-9)))

                    for k in 1..pieces do
                        times.Add(if k = pieces then target else last + (target - last) * float k / float pieces)

                    times.Count - 1)

            struct (times.ToArray(), ends)

        let grids = offsets |> Array.map grid
        let knots = max 2 (grids |> Array.map (fun (struct (times, _)) -> times.Length) |> Array.max)

        let clock =
            grids
            |> Array.collect (fun (struct (times, _)) -> Array.init knots (fun k -> times[min k (times.Length - 1)]))

        let values = Tensors.ofArray clock [| offsets.LongLength; int64 knots; 1L |] torch.float64 torch.CPU
        use path = ControlPath.linear (Array.init knots float) values

        let options = {
            solveOptions CdeSave.Observations differentiation with
                Steps = CdeSteps.PerPiece 1
        }

        let solution = TensorCde.solve options networks.DecoderField path z
        count (int64 solution.Statistics.Evaluations)
        let states = solution.EnsureSuccess().States

        // Beyond a sample's own offsets stands the readout of its first state, which nobody looks at.
        let places =
            grids
            |> Array.mapi (fun i (struct (_, ends)) ->
                Array.init most (fun k -> if k < ends.Length then int64 (ends[k] * offsets.Length + i) else int64 i))
            |> Array.concat

        let index = torch.tensor(places).clone()
        let chosen = states.reshape([| -1L; states.shape[2] |]).index_select(0L, index)
        networks.Read(chosen, null, null).reshape [| offsets.LongLength; int64 most; -1L |]

    /// Predictions from whole series, (subjects, outputs): the probability of each class, or the targets in their own units. A model of
    /// visits predicts at the last one. ArgumentException for other channels or covariates than the model was fitted to,
    /// InvalidOperationException for a forecaster.
    member this.Predict(data: IrregularSeries) : float[,] =
        ObjectDisposedException.ThrowIf(disposed, typeof<NeuralCdeModel>)
        refuseForecast (nameof this.Predict)
        let result = Array2D.zeroCreate data.Count config.Outputs.Length

        for struct (indices, part) in chunks data do
            use _ = torch.NewDisposeScope()
            use _ = torch.no_grad ()
            use inputs = NeuralCdePaths.create config part
            let z = this.Encode(inputs, false, Differentiation.None, ignore)
            let values = Tensors.toArray (present (this.ReadEnd(z, inputs)))

            for k in 0 .. indices.Length - 1 do
                for j in 0 .. config.Outputs.Length - 1 do
                    result[indices[k], j] <- values[k * config.Outputs.Length + j]

        result

    /// Predictions as the visits arrive: for each subject (visits, outputs), row i from the visits up to i. A causal model uses nothing
    /// later.
    /// InvalidOperationException for a forecaster and for a model of log-signatures, which has states at the ends of its windows only.
    member this.PredictOverTime(data: IrregularSeries) : float[,][] =
        ObjectDisposedException.ThrowIf(disposed, typeof<NeuralCdeModel>)
        refuseForecast (nameof this.PredictOverTime)

        if config.IsRough then
            raise (
                InvalidOperationException
                    "a model of log-signatures has no state at every visit; fit one with Depth = 1 and Window = 1"
            )

        let outputs = config.Outputs.Length
        let result = Array.zeroCreate data.Count

        for struct (indices, part) in chunks data do
            use _ = torch.NewDisposeScope()
            use _ = torch.no_grad ()
            use inputs = NeuralCdePaths.create config part
            let z = this.Encode(inputs, true, Differentiation.None, ignore)
            let values = Tensors.toArray (present (this.ReadVisits(z, inputs)))

            for k in 0 .. indices.Length - 1 do
                result[indices[k]] <-
                    Array2D.init inputs.Rows[k] outputs (fun i j -> values[(i * indices.Length + k) * outputs + j])

        result

    /// The channels at later times: times[i], rising and after the last visit of subject i; for each subject (times, channels) in the
    /// data's units. ArgumentException, naming the subject, for times that do not rise or are not after its last visit;
    /// InvalidOperationException for a classifier or regressor.
    member this.Forecast(data: IrregularSeries, times: float[][]) : float[,][] =
        ObjectDisposedException.ThrowIf(disposed, typeof<NeuralCdeModel>)

        if config.Task <> NeuralCdeTask.Forecast then
            raise (InvalidOperationException "this model does not forecast; fit one with Task = NeuralCdeTask.Forecast")

        if times.Length <> data.Count then
            raise (ArgumentException $"{times.Length} lists of times for {data.Count} subjects")

        let offsetsOf i (subject: IrregularSubject) =
            let last = subject.Path.Times[subject.Path.Rows - 1]

            times[i]
            |> Array.mapi (fun k t ->
                let before = if k = 0 then last else times[i][k - 1]

                if not (t > before && Double.IsFinite t) then
                    raise (
                        ArgumentException
                            $"the forecast of subject '{subject.Id}' has the time {t} after {before}; times must rise from its last visit at {last} on"
                    )

                (t - last) / config.Scaling.TimeUnit)

        let offsets = Array.mapi offsetsOf data.Subjects
        let result = Array.zeroCreate data.Count

        for struct (indices, part) in chunks data do
            let mine = indices |> Array.map (fun i -> offsets[i])
            let channels = config.Channels.Length
            use _ = torch.NewDisposeScope()
            use _ = torch.no_grad ()
            use inputs = NeuralCdePaths.create config part
            let z = this.Encode(inputs, false, Differentiation.None, ignore)
            let changes = this.Decode(z, mine, Differentiation.None, ignore)
            let most = int changes.shape[1]
            let values = Tensors.toArray changes

            for k in 0 .. indices.Length - 1 do
                let subject = part.Subjects[k]
                let known = NeuralCdePaths.lastKnown config subject

                result[indices[k]] <-
                    Array2D.init mine[k].Length channels (fun i j ->
                        known[subject.Path.Rows - 1, j] + values[(k * most + i) * channels + j]
                        |> SeriesScaling.unscale config.Scaling j)

        result

    /// Kind of the checkpoints.
    static member CheckpointKind = "neural-cde"

    /// Writes the model atomically. IOException where the file cannot be written.
    member this.Save(path: string) : unit =
        ObjectDisposedException.ThrowIf(disposed, typeof<NeuralCdeModel>)
        (ModelFile.checkpoint NeuralCdeModel.CheckpointKind (NeuralCdeConfig.toJson config) this.Trainable).Save path

    /// A model with fresh weights from config.Seed.
    static member internal Create(config: NeuralCdeConfig) : NeuralCdeModel =
        use _ = torch.NewDisposeScope()
        use generator = new torch.Generator(uint64 config.Seed)
        new NeuralCdeModel(config, new NeuralCdeNetworks(config, NeuralCdePaths.channelScale config, generator))

    /// Reads a model, or the model of a training's checkpoint. InvalidDataException for a damaged or foreign file, FileNotFoundException
    /// for a missing one.
    static member internal Load(path: string) : NeuralCdeModel =
        let checkpoint = Checkpoint.Load(path, NeuralCdeModel.CheckpointKind)
        let model = NeuralCdeModel.Create(NeuralCdeConfig.ofJson path checkpoint.Config)
        ModelFile.filled checkpoint model.Trainable model

    interface IDisposable with
        member _.Dispose() =
            if not disposed then
                disposed <- true
                networks.Dispose()
