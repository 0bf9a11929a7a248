// A fitted model with everything that is needed to use it again: coordinates, right-hand side, initial states, files.
namespace Continuum

open System
open System.Collections.Generic
open System.IO
open System.Text.Json
open System.Text.Json.Nodes
open TorchSharp

/// What the right-hand side is made of.
type ModelKind =
    /// A mechanistic law plus a network.
    | Hybrid = 0
    /// A network.
    | NeuralOde = 1
    /// A mechanistic law.
    | Mechanistic = 2

/// What must be known to build the same model again.
type ModelConfig = {
    /// What the right-hand side is made of.
    Kind: ModelKind
    /// The law; not used by ModelKind.NeuralOde.
    Mechanism: Mechanism
    /// Widths of the hidden layers.
    Hidden: int[]
    /// Nonlinearity of the network.
    Activation: Activation
    /// The network sees time.
    TimeInput: bool
    /// Seed of the network's first weights and of the order of the mini-batches.
    Seed: int
    /// Scaling of the data.
    Coordinates: Coordinates
    /// Scaled times of the fitted initial states, rising, the first one 0.
    Nodes: float[]
    /// Last time of the training data.
    LastTime: float
}

/// Configurations as JSON.
module internal ModelConfig =
    let private array (values: seq<'value>) =
        JsonArray [| for value in values -> JsonValue.Create<'value> value :> JsonNode |]

    let toJson (config: ModelConfig) : string =
        let c = config.Coordinates
        let json = JsonObject()
        json["model"] <- config.Kind.ToString()
        json["prior"] <- Mechanism.name config.Mechanism

        json["prey"] <-
            (match config.Mechanism with
             | LotkaVolterra prey -> prey
             | _ -> 0)

        json["hidden"] <- array config.Hidden
        json["activation"] <- config.Activation.ToString()
        json["timeInput"] <- config.TimeInput
        json["seed"] <- config.Seed
        json["columns"] <- array c.Columns
        json["timeName"] <- c.TimeName
        json["positive"] <- c.Positive
        json["origin"] <- c.Origin
        json["timeUnit"] <- c.TimeUnit
        json["scale"] <- array c.Scale
        json["offset"] <- array c.Offset
        json["spread"] <- array c.Spread
        json["nodes"] <- array config.Nodes
        json["lastTime"] <- config.LastTime
        json.ToJsonString()

    let ofJson (path: string) (text: string) : ModelConfig =
        try
            let json = JsonNode.Parse(text).AsObject()
            let get (key: string) : 'value = json[key].GetValue<'value>()
            let list (key: string) : 'value[] = [| for node in json[key].AsArray() -> node.GetValue<'value>() |]
            let columns: string[] = list "columns"

            let mechanism =
                match Mechanism.parse (get "prior") columns.Length with
                | LotkaVolterra _ -> LotkaVolterra(if get "prey" = 0 then 0 else 1)
                | other -> other

            let config = {
                Kind = Enum.Parse<ModelKind>(get "model": string)
                Mechanism = mechanism
                Hidden = list "hidden"
                Activation = Enum.Parse<Activation>(get "activation": string)
                TimeInput = get "timeInput"
                Seed = get "seed"
                Coordinates = {
                    Columns = columns
                    TimeName = get "timeName"
                    Positive = get "positive"
                    Origin = get "origin"
                    TimeUnit = get "timeUnit"
                    Scale = list "scale"
                    Offset = list "offset"
                    Spread = list "spread"
                }
                Nodes = list "nodes"
                LastTime = get "lastTime"
            }

            let d = columns.Length
            let c = config.Coordinates

            if
                d = 0
                || c.Scale.Length <> d
                || c.Offset.Length <> d
                || c.Spread.Length <> d
                || config.Nodes.Length = 0
            then
                raise (FormatException "its lists differ in length")

            config
        with
        | :? JsonException
        | :? FormatException
        | :? InvalidOperationException
        | :? ArgumentException
        | :? NullReferenceException as error ->
            let reason = error.Message.ReplaceLineEndings " "
            FileFormat.invalid path $"the configuration of the model is damaged ({reason})" "save the model again"

/// A model of a time series: a right-hand side in scaled coordinates and the fitted initial states. Dispose it.
[<Sealed>]
type ForecastModel internal (config: ModelConfig, law: MechanisticOde, network: NeuralOde, nodes: Modules.Parameter) =
    let model: OdeModel =
        match config.Kind with
        | ModelKind.Hybrid -> new HybridOde(law, network)
        | ModelKind.NeuralOde -> network
        | _ -> law

    let mutable disposed = false

    /// The configuration.
    member _.Config = config
    /// The last time of the training data.
    member _.LastTime = config.LastTime
    /// The right-hand side.
    member _.Ode = model
    member internal _.Law = law
    member internal _.Network = network
    member internal _.NodeStates = nodes

    /// Names and values of the law's parameters in the data's units; empty for a neural ODE.
    member _.Parameters: KeyValuePair<string, float>[] =
        if isNull law then
            [||]
        else
            law.Parameters |> Array.map (fun (name, value) -> KeyValuePair(name, value))

    /// Standard errors of Parameters, NaN where the data do not determine one; empty where the law was not fitted alone.
    member val ParameterErrors: float[] = [||] with get, set

    /// Everything trainable by name, in a fixed order.
    member internal _.Trainable: (string * Modules.Parameter)[] = [|
        yield! ModelFile.parameters "model." model
        "nodes", nodes
    |]

    /// The states at the given times in the data's units, (times, columns). Starts from the last fitted initial state at or before each time, so
    /// the value after the last initial state is one trajectory. `evaluations` counts evaluations of the right-hand side.
    /// ArgumentException for a time before the first or not finite, SolveFailedException when the trajectory leaves every bound.
    member _.Forecast(times: float[], evaluations: byref<int64>) : float[,] =
        ObjectDisposedException.ThrowIf(disposed, typeof<ForecastModel>)
        let c = config.Coordinates
        let result = Array2D.zeroCreate times.Length c.Dimension
        let taus = times |> Array.map c.Tau

        for i in 0 .. times.Length - 1 do
            if not (taus[i] >= -1e-9) || not (Double.IsFinite taus[i]) then
                raise (
                    ArgumentException
                        $"the time {times[i]} is before the first training time {c.Origin}; a forecast starts there"
                )

        let owner (tau: float) = max 0 (Array.FindLastIndex(config.Nodes, fun node -> node <= tau + 1e-9))
        use _ = torch.NewDisposeScope()
        use _ = torch.no_grad ()
        let starts = Tensors.toArray nodes
        let groups = taus |> Array.indexed |> Array.groupBy (fun (_, tau) -> owner tau)
        let mutable count = 0L

        for k, members in groups do
            let start = config.Nodes[k]
            let state = Array.sub starts (k * c.Dimension) c.Dimension

            let write i (z: float[]) =
                for j in 0 .. c.Dimension - 1 do
                    result[i, j] <- c.ToValue(j, z[j])

            let atNode, later = members |> Array.partition (fun (_, tau) -> tau - start <= 1e-9)

            for i, _ in atNode do
                write i state

            if later.Length > 0 then
                let offsets = later |> Array.map (fun (_, tau) -> tau - start) |> Array.distinct |> Array.sort
                let options = TensorOptions.create 1e-8 1e-9
                let solve = { options.Solve with SaveAt = Times offsets }
                let y0 = Tensors.ofArray state [| 1L; int64 c.Dimension |] torch.float64 torch.CPU
                let from = Tensors.ofArray [| start |] [| 1L; 1L |] torch.float64 torch.CPU
                let options = { options with Solve = solve; Differentiation = Differentiation.None }
                use solution = TensorOde.solve options (model.Field from) 0.0 offsets[offsets.Length - 1] y0
                count <- count + int64 solution.Statistics.Evaluations
                let states = Tensors.toArray (solution.EnsureSuccess().States)

                for i, tau in later do
                    let row = Array.BinarySearch(offsets, tau - start)
                    write i (Array.sub states (row * c.Dimension) c.Dimension)

        evaluations <- evaluations + count
        result

    /// The checkpoint of the model alone; training adds its own state.
    member internal this.ToCheckpoint(training: string, extra: NamedArray[]) : Checkpoint =
        let alone = ModelFile.checkpoint ForecastModel.CheckpointKind (ModelConfig.toJson config) this.Trainable
        { alone with Training = training; Tensors = Array.append alone.Tensors extra }

    /// Kind of the checkpoints of forecast models.
    static member CheckpointKind = "forecast-model"

    /// A model with fresh parameters: theta of the law (ignored by a neural ODE) and initial states (nodes, columns), scaled.
    static member internal Create
        (config: ModelConfig, theta: float[], states: float[], generator: torch.Generator)
        : ForecastModel =
        use _ = torch.NewDisposeScope()
        let c = config.Coordinates

        let law =
            if config.Kind = ModelKind.NeuralOde then
                null
            else
                new MechanisticOde(config.Mechanism, c, theta)

        let network =
            if config.Kind = ModelKind.Mechanistic then
                null
            else
                let lastScale = if config.Kind = ModelKind.Hybrid then 0.0 else 0.1
                let period = if config.TimeInput then max 1.0 (c.Tau config.LastTime) else 0.0
                new NeuralOde(c, config.Hidden, config.Activation, lastScale, period, generator)

        let shape = [| int64 config.Nodes.Length; int64 c.Dimension |]
        new ForecastModel(config, law, network, Owned.parameter (Tensors.ofArray states shape torch.float64 torch.CPU))

    /// The model of a checkpoint. InvalidDataException, one line, where the file is damaged or foreign; `path` names it in messages.
    static member internal OfCheckpoint(path: string, checkpoint: Checkpoint) : ForecastModel =
        let config = ModelConfig.ofJson path checkpoint.Config
        let c = config.Coordinates
        let size = Array.fold (fun n s -> n * int s) 1 (Mechanism.shape config.Mechanism c.Dimension)
        use generator = new torch.Generator(0UL)

        let model =
            ForecastModel.Create(
                config,
                Array.zeroCreate size,
                Array.zeroCreate (config.Nodes.Length * c.Dimension),
                generator
            )

        ModelFile.filled checkpoint model.Trainable model

    /// Reads a model. InvalidDataException for a damaged or foreign file, FileNotFoundException for a missing one.
    static member Load(path: string) : ForecastModel =
        ForecastModel.OfCheckpoint(path, Checkpoint.Load(path, ForecastModel.CheckpointKind))

    /// Writes the model atomically, with the misfit and the evaluations of its fit.
    member this.Save(path: string, loss: float, evaluations: int64) =
        ObjectDisposedException.ThrowIf(disposed, typeof<ForecastModel>)
        use summary = Tensors.vector [| loss; float evaluations |]
        use errors = Tensors.vector this.ParameterErrors

        this
            .ToCheckpoint(
                "",
                [|
                    NamedArray.FromTensor("fit.summary", summary)

                    if this.ParameterErrors.Length > 0 then
                        NamedArray.FromTensor("fit.errors", errors)
                |]
            )
            .Save
            path

    interface IDisposable with
        member _.Dispose() =
            if not disposed then
                disposed <- true
                model.Dispose()
                nodes.Dispose()
