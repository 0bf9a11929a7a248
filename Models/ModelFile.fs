// What all models in files have in common.
namespace Continuum

open System
open System.Collections.Generic
open TorchSharp

/// Parameters by name, checkpoints of models alone, models that are freed when what they are made for fails.
[<RequireQualifiedAccess>]
module internal ModelFile =
    /// The parameters of a network, their names after a prefix, in a fixed order.
    let parameters (prefix: string) (network: torch.nn.Module) : (string * Modules.Parameter)[] = [|
        for struct (name, parameter) in network.named_parameters () -> prefix + name, parameter
    |]

    /// The result of an action that makes or trains a model, which is disposed of when the action throws.
    let guarded (model: 'model :> IDisposable) (action: unit -> 'result) : 'result =
        try
            action ()
        with _ ->
            model.Dispose()
            reraise ()

    /// The checkpoint of a model alone; training adds its own state.
    let checkpoint (kind: string) (config: string) (tensors: (string * #Tensor)[]) : Checkpoint = {
        Kind = kind
        Config = config
        Training = ""
        Tensors = [| for name, tensor in tensors -> NamedArray.FromTensor(name, tensor) |]
    }

    /// A fresh model with the values of a checkpoint in these tensors of it; InvalidDataException, and the model freed, where one is missing
    /// or has another shape.
    let filled (checkpoint: Checkpoint) (tensors: (string * #Tensor)[]) (model: 'model :> IDisposable) : 'model =
        guarded model (fun () ->
            checkpoint.CopyTo(seq { for name, tensor in tensors -> KeyValuePair(name, tensor :> Tensor) })
            model)
