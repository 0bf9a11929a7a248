// The state of a training in its checkpoint: options, counters, random numbers, the optimiser's moments.
namespace Continuum

open System
open System.Text.Json.Nodes
open TorchSharp

/// What a checkpoint says of the training that wrote it.
type internal StoredTraining = {
    /// The options that change the result, as JSON.
    Options: string
    /// Whether it came to its end.
    Finished: bool
    /// Whether its parameters are a mean over iterations.
    Averaged: bool
}

/// Writing and reading the state of a training.
[<RequireQualifiedAccess>]
module internal TrainingState =
    /// The options of a fingerprint that differ from another's, as text; empty when all agree.
    let differences (stored: string) (wanted: string) : string =
        let text (node: JsonNode) =
            match node with
            | null -> "nothing"
            | :? JsonValue -> node.ToString()
            | _ -> node.ToJsonString()

        let short (node: JsonNode) =
            let all = text node
            if all.Length > 80 then all.Substring(0, 77) + ".." else all

        /// An object, also one that is written as a text.
        let asObject (node: JsonNode) : JsonObject =
            match node with
            | :? JsonObject as own -> own
            | :? JsonValue as value when value.GetValueKind() = Text.Json.JsonValueKind.String ->
                let written = value.GetValue<string>()

                if written.StartsWith '{' then
                    try
                        JsonNode.Parse(written).AsObject()
                    with :? Text.Json.JsonException ->
                        null
                else
                    null
            | _ -> null

        let rec compare (name: string) (a: JsonNode) (b: JsonNode) : string list =
            if text a = text b then
                []
            else
                match asObject a, asObject b with
                | null, _
                | _, null -> [ $"{name} was {short a} and is {short b}" ]
                | a, b -> [
                    let keysOf (json: JsonObject) = [ for pair in json -> pair.Key ]
                    let keys = List.distinct (keysOf b @ keysOf a)

                    for key in keys do
                        // Options that earlier versions did not have, or wrote no more, are told only inside of objects that must be alike.
                        if name <> "" || b.ContainsKey key then
                            yield! compare (if name = "" then key else $"{name}.{key}") a[key] b[key]
                  ]

        compare "" (JsonNode.Parse stored) (JsonNode.Parse wanted) |> String.concat ", "

    /// The text of Checkpoint.Training.
    let write (options: string) (finished: bool) (averaged: bool) : string =
        let json = JsonObject()
        json["options"] <- options
        json["finished"] <- finished
        json["averaged"] <- averaged
        json.ToJsonString()

    /// Reads the state in the checkpoint of this path for a training with `wanted` options, as JSON. InvalidDataException where there is
    /// none or it is damaged, ArgumentException, naming what differs, for other options.
    let read (path: string) (checkpoint: Checkpoint) (wanted: string) : StoredTraining =
        if checkpoint.Training = "" then
            FileFormat.invalid path "it holds a model but no state of training" "start again without resuming"

        let json = JsonNode.Parse(checkpoint.Training).AsObject()

        let stored =
            match json["options"], json["finished"] with
            | null, _
            | _, null -> FileFormat.invalid path "the state of the training is damaged" "start again without resuming"
            | options, finished -> {
                Options = options.GetValue<string>()
                Finished = finished.GetValue<bool>()
                // Forecast models have no mean, and did not say so in earlier versions.
                Averaged =
                    match json["averaged"] with
                    | null -> false
                    | averaged -> averaged.GetValue<bool>()
              }

        match differences stored.Options wanted with
        | "" -> stored
        | changed ->
            raise (
                ArgumentException
                    $"the checkpoint '{path}' was made with other options or data ({changed}); resume with the same ones or start again"
            )

    let private blob (name: string) (bytes: byte[]) = NamedArray(name, ElementType.UInt8, [| bytes.LongLength |], bytes)

    /// The state of the training's random numbers.
    let ofGenerator (generator: torch.Generator) : NamedArray =
        use state = generator.get_state ()
        blob "training.generator" (state.bytes.ToArray())

    /// Puts it back.
    let toGenerator (generator: torch.Generator) (checkpoint: Checkpoint) =
        use _ = torch.NewDisposeScope()
        generator.set_state (checkpoint.Find("training.generator").ToTensor())

    /// The moments and counts of the optimiser of this name.
    let ofOptimizer (name: string) (optimizer: Modules.OptimizerHelper) : NamedArray =
        blob ("training.optimizer" + name) (Optimizers.state optimizer)

    /// Puts them back.
    let toOptimizer (name: string) (optimizer: Modules.OptimizerHelper) (checkpoint: Checkpoint) =
        Optimizers.restore optimizer (checkpoint.Find("training.optimizer" + name)).Data

    /// Runs a training with so many threads of libtorch.
    let withThreads (count: int) (training: unit -> 'result) : 'result =
        let before = torch.get_num_threads ()
        torch.set_num_threads count

        try
            training ()
        finally
            torch.set_num_threads before
