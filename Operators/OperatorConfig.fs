// Configurations of operators as JSON.
namespace Continuum

open System
open System.Text.Json.Nodes
open TorchSharp

/// Configurations.
[<RequireQualifiedAccess>]
module internal OperatorConfig =

    /// The function spaces, the dtype and a record of options as one JSON object.
    let write
        (domain: Domain)
        (inputs: int[])
        (outputs: int)
        (parameters: int)
        (dtype: torch.ScalarType)
        (options: 'record)
        : string =
        let spaces =
            ConfigText.write [
                "starts", box (domain.Axes |> Array.map _.Start)
                "lengths", box (domain.Axes |> Array.map _.Length)
                "boundaries", box (domain.Axes |> Array.map (fun a -> a.Boundary.ToString()))
                "inputs", box inputs
                "outputs", outputs
                "parameters", parameters
                "dtype", (if dtype = torch.float64 then "float64" else "float32")
            ]

        let json = JsonNode.Parse(spaces).AsObject()
        json["options"] <- JsonNode.Parse(ConfigText.ofRecord options)
        json.ToJsonString()

    /// A configuration inside of another, with its kind.
    let nested (kind: string) (config: string) : JsonNode =
        let json = JsonObject()
        json["kind"] <- JsonValue.Create<string> kind
        json["config"] <- JsonNode.Parse config
        json
