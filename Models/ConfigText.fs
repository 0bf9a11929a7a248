// Configurations of models as JSON text in checkpoints: writing, and reading with errors that name the file.
namespace Continuum

open System
open System.Reflection
open System.Text.Json
open System.Text.Json.Nodes
open FSharp.Reflection

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

    /// The key of a record's field: its name with a small first letter.
    let key (field: PropertyInfo) = JsonNamingPolicy.CamelCase.ConvertName field.Name

    /// A record as a JSON object: its fields by name, in their order.
    let ofRecord (record: 'record) : string =
        write [ for field in FSharpType.GetRecordFields typeof<'record> -> key field, field.GetValue record ]

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

    /// A record that ConfigText.ofRecord wrote: numbers, booleans, texts, lists of them, and members of enumerations by name.
    member this.Record<'record>() : 'record =
        let read (field: PropertyInfo) : obj =
            let key = ConfigText.key field

            match field.PropertyType with
            | t when t = typeof<int> -> this.Get<int> key
            | t when t = typeof<float> -> this.Get<float> key
            | t when t = typeof<bool> -> this.Get<bool> key
            | t when t = typeof<string> -> this.Get<string> key
            | t when t = typeof<int[]> -> this.List<int> key
            | t when t = typeof<float[]> -> this.List<float> key
            | t when t = typeof<string[]> -> this.List<string> key
            | t when t.IsEnum -> guarded (fun () -> Enum.Parse(t, this.Get<string> key))
            | t -> raise (NotSupportedException $"a configuration cannot hold a {t.Name}, such as {field.Name}")

        let values = FSharpType.GetRecordFields typeof<'record> |> Array.map read
        FSharpValue.MakeRecord(typeof<'record>, values) :?> 'record
