// Operators in files, and operators made from their configuration.
namespace Continuum

open System
open System.Text.Json.Nodes
open TorchSharp

/// Operators from configurations and checkpoints.
[<RequireQualifiedAccess>]
module OperatorFile =

    let private kind = "operator"

    /// The function spaces of a configuration.
    type private Spaces = {
        Domain: Domain
        Inputs: int[]
        Outputs: int
        Parameters: int
        DType: torch.ScalarType
        Options: ConfigReader
    }

    let private node (path: string) (json: JsonNode) (key: string) : JsonNode =
        match json[key] with
        | null -> FileFormat.invalid path $"the configuration of the operator has no '{key}'" "save the model again"
        | found -> found

    let private spaces (path: string) (json: JsonNode) : Spaces =
        let reader = ConfigReader(path, json.ToJsonString())
        let starts: float[] = reader.List "starts"
        let lengths: float[] = reader.List "lengths"
        let boundaries: string[] = reader.List "boundaries"

        let axis i =
            match Enum.TryParse<Boundary> boundaries[i] with
            | true, boundary -> Axis(starts[i], lengths[i], boundary)
            | _ -> FileFormat.invalid path $"'{boundaries[i]}' is no boundary condition" "save the model again"

        if lengths.Length <> starts.Length || boundaries.Length <> starts.Length then
            reader.Damaged "the axes do not agree"

        {
            Domain = Domain(Array.init starts.Length axis)
            Inputs = reader.List "inputs"
            Outputs = reader.Get "outputs"
            Parameters = reader.Get "parameters"
            DType = (if reader.Get "dtype" = "float64" then torch.float64 else torch.float32)
            Options = ConfigReader(path, (node path json "options").ToJsonString())
        }

    let private scale (path: string) (json: JsonNode) : ChannelScale =
        let reader = ConfigReader(path, json.ToJsonString())

        { Means = reader.List "means"; Deviations = reader.List "deviations" }

    let rec private make (path: string) (generator: torch.Generator) (model: JsonNode) : NeuralOperator =
        let config = node path model "config"
        let kind = (node path model "kind").GetValue<string>()
        let inner () = make path generator (node path config "inner")

        match kind with
        | "fno" ->
            let s = spaces path config
            new Fno(s.Domain, s.Inputs, s.Outputs, s.Parameters, s.Options.Record<FnoOptions>(), s.DType, generator)
        | "uno" ->
            let s = spaces path config
            new Uno(s.Domain, s.Inputs, s.Outputs, s.Parameters, s.Options.Record<UnoOptions>(), s.DType, generator)
        | "deeponet" ->
            let s = spaces path config
            let options = s.Options.Record<DeepONetOptions>()
            new DeepONet(s.Domain, s.Inputs, s.Outputs, s.Parameters, options, s.DType, generator)
        | "scaled" ->
            let inputs = [| for s in (node path config "inputs").AsArray() -> scale path s |]
            let output = scale path (node path config "output")
            new ScaledOperator(inner (), inputs, output, scale path (node path config "scalars"))
        | "autoregressive" ->
            let reader = ConfigReader(path, config.ToJsonString())
            new Autoregressive(inner (), reader.Get "history", reader.Get "steps")
        | other -> FileFormat.invalid path $"it holds an operator of the kind '{other}'" "update Continuum"

    /// A new operator with the configuration of another, its parameters drawn from this generator.
    let like (generator: torch.Generator) (model: NeuralOperator) : NeuralOperator =
        ArgumentNullException.ThrowIfNull(model, nameof model)
        make "(a model)" generator (OperatorConfig.nested model.Kind model.Config)

    /// The configuration of an operator with its kind, as it is stored in checkpoints.
    let internal config (model: NeuralOperator) : string =
        (OperatorConfig.nested model.Kind model.Config).ToJsonString()

    /// Parameters by name, in a fixed order.
    let internal parameters (model: NeuralOperator) = ModelFile.parameters "model." model

    /// Kind of the checkpoints of operators.
    let internal checkpointKind = kind

    /// The operator of a checkpoint, also of one that a training wrote. InvalidDataException, naming the file, where it is damaged or holds something else.
    let load (path: string) : NeuralOperator =
        ArgumentException.ThrowIfNullOrWhiteSpace(path, nameof path)
        NativeLibraries.ensure ()
        let checkpoint = Checkpoint.Load(path, kind)

        let json =
            try
                JsonNode.Parse checkpoint.Config
            with :? System.Text.Json.JsonException ->
                null

        if isNull json then
            FileFormat.invalid path "the configuration of the operator is damaged" "save the model again"

        use generator = new torch.Generator(0UL)

        let model =
            try
                make path generator json
            with
            | :? ArgumentException as error ->
                FileFormat.invalid
                    path
                    $"the configuration of the operator is damaged ({error.Message})"
                    "save the model again"
            | :? InvalidOperationException as error ->
                FileFormat.invalid
                    path
                    $"the configuration of the operator is damaged ({error.Message})"
                    "save the model again"

        try
            ModelFile.filled checkpoint (parameters model) model
        with :? System.IO.InvalidDataException as error ->
            FileFormat.invalid path (error.Message.TrimEnd '.') "save the model again"

    /// Writes an operator as a safetensors file, atomically: after `load` it computes the same bit for bit.
    let save (path: string) (model: NeuralOperator) : unit =
        ArgumentException.ThrowIfNullOrWhiteSpace(path, nameof path)
        ArgumentNullException.ThrowIfNull(model, nameof model)
        (ModelFile.checkpoint kind (config model) (parameters model)).Save path
