// Small networks in float64 for right-hand sides, seeded by a generator of their own.
namespace Continuum

open System
open TorchSharp

/// The nonlinearity between the layers of a network.
type Activation =
    /// Hyperbolic tangent: bounded, so a correction stays bounded far from the data.
    | Tanh = 0
    /// log(1 + exp x).
    | Softplus = 1
    /// x times its logistic function.
    | Silu = 2

/// Tensors that belong to modules.
module internal Owned =
    /// A parameter with this initial value that no dispose scope owns (a scope's end would delete it from the module).
    let parameter (value: Tensor) : Modules.Parameter =
        let parameter = new Modules.Parameter(value, true)
        parameter.DetachFromDisposeScope() |> ignore
        parameter

    /// A constant that no dispose scope owns.
    let constant (values: float[]) (shape: int64[]) : Tensor =
        (Tensors.ofArray values shape torch.float64 torch.CPU).DetachFromDisposeScope()

/// A fully connected network from (batch, inputs) to (batch, outputs), float64 on the CPU.
/// Weights are uniform with variance 1/fan-in (LeCun 1998) from the generator alone, biases zero; those of the last layer
/// are multiplied by `lastScale`, so 0 makes a network that starts as zero and 1 the usual initialisation.
/// Parameters: weight0 (first width, inputs), bias0, weight1, and so on.
[<Sealed>]
type Mlp(inputs: int, hidden: int[], outputs: int, activation: Activation, lastScale: float, generator: torch.Generator) as this
    =
    inherit torch.nn.Module<Tensor, Tensor>(nameof Mlp)

    do
        if inputs < 1 || outputs < 1 || Array.exists (fun width -> width < 1) hidden then
            let widths = String.Join(", ", hidden)

            raise (
                ArgumentException
                    $"every layer needs a width of at least 1; got {inputs} inputs, [{widths}] hidden, {outputs} outputs"
            )

    let sizes = Array.concat [ [| inputs |]; hidden; [| outputs |] ]

    let weights =
        Array.init (sizes.Length - 1) (fun layer ->
            use _ = torch.NewDisposeScope()
            let shape = [| int64 sizes[layer + 1]; int64 sizes[layer] |]
            let bound = sqrt (3.0 / float sizes[layer]) * (if layer = sizes.Length - 2 then lastScale else 1.0)
            let uniform = torch.rand (shape, dtype = Nullable torch.float64, generator = generator)
            Owned.parameter ((uniform * (2.0 * bound)) - bound))

    let biases =
        Array.init weights.Length (fun layer ->
            use _ = torch.NewDisposeScope()
            Owned.parameter (torch.zeros ([| int64 sizes[layer + 1] |], dtype = Nullable torch.float64)))

    do
        for layer in 0 .. weights.Length - 1 do
            this.register_parameter ($"weight{layer}", weights[layer])
            this.register_parameter ($"bias{layer}", biases[layer])

    /// Widths from the inputs to the outputs.
    member _.Sizes = Array.copy sizes

    /// The network's value, (batch, inputs) to (batch, outputs).
    override _.forward(x: Tensor) : Tensor =
        let mutable value = x

        for layer in 0 .. weights.Length - 1 do
            let linear = torch.nn.functional.linear (value, weights[layer], biases[layer])

            value <-
                if layer = weights.Length - 1 then
                    linear
                else
                    match activation with
                    | Activation.Tanh -> linear.tanh ()
                    | Activation.Softplus -> torch.nn.functional.softplus linear
                    | Activation.Silu -> torch.nn.functional.silu linear
                    | other -> raise (ArgumentOutOfRangeException(nameof activation, other, "not an activation"))

        value
