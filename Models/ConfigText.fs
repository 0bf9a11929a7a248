// Configurations of models as JSON text in checkpoints: writing, and reading with errors that name the file.
namespace Continuum

open System
open System.Text.Json
open System.Text.Json.Nodes

/// Writes configurations.
module internal ConfigText =
    let private array (values: seq<'value>) =
        JsonArray [| for value in values -> JsonValue.Create<'value> value :> JsonNode |]

    let private node (value: obj) : JsonNode =
        match value with
        | :? int as v -> JsonValue.Create<int> v
        | :? float as v -> JsonValue.Create<float> v
        | :? bool as v -> JsonValue.Create<bool> v
        | :? (int[]) as v -> array v
        | :? (float[]) as v -> array v
        | :? (string[]) as v -> array v
        | :? string as v -> JsonValue.Create<string> v
        | null -> JsonValue.Create<string> "auto"
        | other -> JsonValue.Create<string>(other.ToString().ReplaceLineEndings " ")

    /// Names and values as a JSON object: numbers, booleans and arrays as they are, null (an unset Nullable) as "auto", the rest as text.
    let write (pairs: (string * obj) list) : string =
        let json = JsonObject()

        for name, value in pairs do
            json[name] <- node value

        json.ToJsonString()

/// Reads the configuration that ConfigText.write wrote; `path` names the file in messages.
[<Sealed>]
type internal ConfigReader(path: string, text: string) =
    let damaged (reason: string) : 'value =
        let reason = reason.ReplaceLineEndings " "
        FileFormat.invalid path $"the configuration of the model is damaged ({reason})" "save the model again"

    let guarded (action: unit -> 'value) : 'value =
        try
            action ()
        with
        | :? JsonException
        | :? FormatException
        | :? InvalidOperationException
        | :? ArgumentException
        | :? NullReferenceException as error -> damaged error.Message

    let json = guarded (fun () -> JsonNode.Parse(text).AsObject())

    /// InvalidDataException with this reason.
    member _.Damaged(reason: string) : unit = damaged reason

    /// One value.
    member _.Get(key: string) : 'value =
        match json[key] with
        | null -> damaged $"it has no '{key}'"
        | node -> guarded (fun () -> node.GetValue<'value>())

    /// A list of values.
    member _.List(key: string) : 'value[] =
        match json[key] with
        | null -> damaged $"it has no '{key}'"
        | list -> guarded (fun () -> [| for node in list.AsArray() -> node.GetValue<'value>() |])

    /// A member of an enumeration by its name.
    member this.Enum<'value when 'value: struct and 'value: (new: unit -> 'value) and 'value :> ValueType>
        (key: string)
        : 'value =
        let name: string = this.Get key
        guarded (fun () -> Enum.Parse<'value> name)
