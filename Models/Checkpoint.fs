namespace Continuum

open System
open System.Collections.Generic
open System.IO
open System.Text.Json
open TorchSharp

module private CheckpointKeys =
    /// The newest layout of checkpoints that this version reads, and the one it writes.
    let schema = 1

    let schemaKey = "continuum.schema"
    let kindKey = "continuum.kind"
    let configKey = "continuum.config"
    let trainingKey = "continuum.training"
    let versionKey = "continuum.version"

    let version = typeof<NamedArray>.Assembly.GetName().Version.ToString 3

    let isJson (text: string) =
        try
            use _ = JsonDocument.Parse text
            true
        with :? JsonException ->
            false

    let find (metadata: IReadOnlyDictionary<string, string>) key =
        match metadata.TryGetValue key with
        | true, value -> value
        | _ -> ""

    /// Refuses foreign files and newer schemas.
    let check path (metadata: IReadOnlyDictionary<string, string>) =
        let foreign defect =
            FileFormat.invalid path $"not a Continuum checkpoint: {defect}" "read plain tensors with Safetensors.Read"

        match metadata.TryGetValue schemaKey with
        | true, text ->
            match Int32.TryParse text with
            | true, found when found > schema ->
                let writer = find metadata versionKey
                let written = if writer = "" then "" else $", written by Continuum {FileFormat.quoted writer}"

                let defect =
                    $"it has checkpoint schema {found}{written}; this is Continuum {version}, which reads up to {schema}"

                FileFormat.invalid path defect "update Continuum"
            | true, found when found >= 1 -> ()
            | _ -> foreign $"its '{schemaKey}' is {FileFormat.quoted text}"
        | _ ->
            match metadata.TryGetValue "format" with
            | true, format -> foreign $"it was written by {FileFormat.quoted format} and has no '{schemaKey}'"
            | _ -> foreign $"it has no '{schemaKey}'"

/// <summary>
/// Everything that is needed to use a model again or to go on training it, in one safetensors file: the tensors, and as metadata
/// the kind of model, its configuration and the state of its training.
/// </summary>
/// <remarks>Other programs can read the tensors: the file is plain safetensors.</remarks>
type Checkpoint = {
    /// What the tensors are, such as `hybrid-ode`; decides which model reads them.
    Kind: string
    /// The model's configuration as JSON text.
    Config: string
    /// The state of training (epoch, optimiser settings, seeds) as JSON text, or empty.
    Training: string
    /// Parameters, buffers, optimiser moments and whatever else must survive.
    Tensors: NamedArray[]
} with

    /// <summary>The tensor of this name.</summary>
    /// <exception cref="T:System.IO.InvalidDataException">The checkpoint has no such tensor; the message lists those it has.</exception>
    member this.Find(name: string) : NamedArray =
        match this.Tensors |> Array.tryFind (fun a -> a.Name = name) with
        | Some array -> array
        | None ->
            let names =
                this.Tensors |> Seq.truncate 8 |> Seq.map (fun a -> FileFormat.quoted a.Name) |> String.concat ", "

            let defect =
                $"the checkpoint of kind {FileFormat.quoted this.Kind} has no tensor {FileFormat.quoted name}"

            let remedy = $"it has {this.Tensors.Length}: {names}; was it saved by another model or version?"
            raise (InvalidDataException $"{defect}; {remedy}")

    /// <summary>
    /// Copies tensors of the checkpoint into existing ones of the same names, such as a module's parameters and buffers, without
    /// recording gradients. All are checked before the first is changed; tensors of the checkpoint that nobody asks for are ignored.
    /// </summary>
    /// <exception cref="T:System.IO.InvalidDataException">A tensor is missing, or its shape differs; the message names it.</exception>
    member this.CopyTo(targets: seq<KeyValuePair<string, Tensor>>) : unit =
        let pairs = [| for target in targets -> this.Find target.Key, target.Value |]

        for stored, target in pairs do
            if stored.Shape <> target.shape then
                let defect = $"tensor '{stored.Name}' has the shape {Shape.text stored.Shape} in the checkpoint"
                let remedy = "build the model with the checkpoint's configuration"
                raise (InvalidDataException $"{defect} but {Shape.text target.shape} in the model; {remedy}")

        use _ = torch.no_grad ()

        for stored, target in pairs do
            use _ = torch.NewDisposeScope()
            target.copy_ (stored.ToTensor()) |> ignore

    /// <summary>Writes the checkpoint atomically: a crash leaves the previous one.</summary>
    /// <exception cref="T:System.ArgumentException">The kind is empty, the configuration or training state is not JSON, or two tensors share a name.</exception>
    /// <exception cref="T:System.IO.IOException">The file could not be written; an old one is unchanged.</exception>
    member this.Save(path: string) : unit =
        if String.IsNullOrWhiteSpace this.Kind then
            raise (ArgumentException "a checkpoint needs a kind, such as 'hybrid-ode'")

        if not (CheckpointKeys.isJson this.Config) then
            raise (ArgumentException "the Config of a checkpoint must be JSON text; write {} for none")

        if this.Training <> "" && not (CheckpointKeys.isJson this.Training) then
            raise (ArgumentException "the Training of a checkpoint must be JSON text or empty")

        let metadata = Dictionary<string, string>()
        metadata[CheckpointKeys.schemaKey] <- string CheckpointKeys.schema
        metadata[CheckpointKeys.kindKey] <- this.Kind
        metadata[CheckpointKeys.configKey] <- this.Config
        metadata[CheckpointKeys.trainingKey] <- this.Training
        metadata[CheckpointKeys.versionKey] <- CheckpointKeys.version
        Safetensors.Write(path, this.Tensors, metadata)

    /// <summary>Reads a checkpoint of any kind.</summary>
    /// <exception cref="T:System.IO.InvalidDataException">The file is damaged, is not a Continuum checkpoint, or has a newer schema.</exception>
    /// <exception cref="T:System.IO.FileNotFoundException">There is no such file.</exception>
    static member Load(path: string) : Checkpoint =
        // The header first: a foreign file is refused before its data is read.
        CheckpointKeys.check path (Safetensors.ReadMetadata path)
        let file = Safetensors.Read path
        let value key = CheckpointKeys.find file.Metadata key

        let checkpoint = {
            Kind = value CheckpointKeys.kindKey
            Config = value CheckpointKeys.configKey
            Training = value CheckpointKeys.trainingKey
            Tensors = file.Arrays
        }

        let damaged key = FileFormat.invalid path $"the checkpoint's '{key}' is missing or damaged" "save it again"

        if checkpoint.Kind = "" then
            damaged CheckpointKeys.kindKey

        if not (CheckpointKeys.isJson checkpoint.Config) then
            damaged CheckpointKeys.configKey

        if checkpoint.Training <> "" && not (CheckpointKeys.isJson checkpoint.Training) then
            damaged CheckpointKeys.trainingKey

        checkpoint

    /// <summary>Reads a checkpoint of the given kind.</summary>
    /// <exception cref="T:System.IO.InvalidDataException">As for the other overload, or the checkpoint is of another kind.</exception>
    static member Load(path: string, kind: string) : Checkpoint =
        let checkpoint = Checkpoint.Load path

        if checkpoint.Kind <> kind then
            let defect = $"it is a checkpoint of kind {FileFormat.quoted checkpoint.Kind}, not '{kind}'"
            FileFormat.invalid path defect "give a checkpoint of that kind or load it with its own model"

        checkpoint
