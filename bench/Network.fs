/// The networks and inputs in closed form that every language can rebuild.
module Continuum.Bench.Network

open Continuum
open TorchSharp

let private u (x: float) =
    let v = 43758.5453 * sin x
    2.0 * (v - floor v) - 1.0

/// The weight (out, in) and bias (out) of a layer, all indices from 0.
let layer (index: int) (fanIn: int) (fanOut: int) (gain: float) : struct (float[] * float[]) =
    let scale = gain * sqrt (3.0 / float fanIn)
    let l = 37.719 * float (index + 1)

    let weight =
        Array.init (fanOut * fanIn) (fun n ->
            scale * u (12.9898 * float (n / fanIn + 1) + 78.233 * float (n % fanIn + 1) + l))

    let bias = Array.init fanOut (fun i -> 0.1 * u (4.1414 * float (i + 1) + 9.7531 * float (index + 1)))
    struct (weight, bias)

/// y0[b, d] = 2 sin(0.7 b + 1.3 d + 0.2).
let inputs (batch: int) (dim: int) (dtype: torch.ScalarType) : Tensor =
    let data =
        Array.init (batch * dim) (fun n -> 2.0 * sin (0.7 * float (n / dim) + 1.3 * float (n % dim) + 0.2))

    Tensors.ofArray data [| int64 batch; int64 dim |] dtype torch.CPU

/// A multilayer perceptron with tanh between its layers, numbered from `first`: weight, bias, weight, bias, ...
type Mlp(widths: int[], gain: float, dtype: torch.ScalarType, first: int) =
    let parameters: Modules.Parameter[] = [|
        for l in 0 .. widths.Length - 2 do
            let struct (weight, bias) = layer (first + l) widths[l] widths[l + 1] gain
            let shape = [| int64 widths[l + 1]; int64 widths[l] |]
            torch.nn.Parameter(Tensors.ofArray weight shape dtype torch.CPU)
            torch.nn.Parameter(Tensors.ofArray bias [| int64 bias.Length |] dtype torch.CPU)
    |]

    let layers = parameters.Length / 2

    /// Layers from 0.
    new(widths, gain, dtype) = Mlp(widths, gain, dtype, 0)

    member _.Parameters = parameters

    member _.Call(y: Tensor) =
        let mutable x = y

        for l in 0 .. layers - 1 do
            x <- torch.nn.functional.linear (x, parameters[2 * l], parameters[2 * l + 1])

            if l < layers - 1 then
                x <- torch.tanh x

        x

    /// The network as a field that does not look at the time.
    member this.Field = TensorField.autonomous (Seq.cast<Tensor> parameters) this.Call
