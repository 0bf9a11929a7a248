// Right-hand sides to be trained: a mechanistic law, a network, or the sum of both, all in scaled coordinates.
namespace Continuum

open System
open TorchSharp

/// dz/dtau = f(tau, z) in scaled coordinates, batched: z is (batch, dimension). A module whose parameters are the model's.
[<AbstractClass; AllowNullLiteral>]
type OdeModel(name: string) =
    inherit torch.nn.Module<Tensor, Tensor>(name)

    /// The rate at scaled times tau (batch, 1), null for a model that does not look at time, and states z (batch, dimension).
    abstract Rate: tau: Tensor * z: Tensor -> Tensor
    /// Whether Rate reads tau.
    abstract UsesTime: bool

    /// Rate of a model that does not look at time.
    override this.forward(z: Tensor) = this.Rate(null, z)

    /// The model as a field for TensorOde. `start` (batch, 1) is the scaled time at the solver's time 0, sample by sample; null is 0.
    member this.Field(start: Tensor) : TensorField =
        let parameters = Seq.cast<Tensor>(this.parameters ())

        if this.UsesTime then
            let rate (t: Tensor) (z: Tensor) =
                let tau = if isNull start then t.expand ([| z.shape[0]; 1L |]) else start.add t
                this.Rate(tau, z)

            TensorField.create parameters rate
        else
            TensorField.autonomous parameters (fun z -> this.Rate(null, z))

/// A mechanistic law with trainable parameters; `theta` holds their first values in the law's own layout.
[<Sealed; AllowNullLiteral>]
type MechanisticOde(mechanism: Mechanism, coordinates: Coordinates, theta: float[]) as this =
    inherit OdeModel(nameof MechanisticOde)
    let dimension = coordinates.Dimension
    let shape = Mechanism.shape mechanism dimension
    let parameter = Owned.parameter (Tensors.ofArray theta shape torch.float64 torch.CPU)

    let signs =
        match Mechanism.signs mechanism dimension with
        | [||] -> null
        | values -> Owned.constant values shape

    let offset = Owned.constant coordinates.Offset [| int64 dimension |]

    do
        this.register_parameter ("theta", parameter)
        this.register_buffer ("offset", offset)

        if not (isNull signs) then
            this.register_buffer ("signs", signs)

    /// The law.
    member _.Mechanism = mechanism
    /// Names and values of the parameters, in the data's units.
    member _.Parameters = Mechanism.parameters mechanism coordinates (Tensors.toArray parameter)
    override _.UsesTime = false

    override _.Rate(_, z) = Mechanism.rate mechanism coordinates.Positive signs offset parameter z

/// A network as the rate: dz/dtau = net(z / spread), or net(z / spread, tau / period) with `timeInput`.
[<Sealed; AllowNullLiteral>]
type NeuralOde
    (
        coordinates: Coordinates,
        hidden: int[],
        activation: Activation,
        lastScale: float,
        period: float,
        generator: torch.Generator
    ) as this =
    inherit OdeModel(nameof NeuralOde)
    let dimension = coordinates.Dimension
    let timeInput = period > 0.0

    let network =
        new Mlp((if timeInput then dimension + 1 else dimension), hidden, dimension, activation, lastScale, generator)

    let inverse = Owned.constant (coordinates.Spread |> Array.map (fun s -> 1.0 / s)) [| int64 dimension |]

    do
        this.register_module ("network", network)
        this.register_buffer ("inverse", inverse)

    override _.UsesTime = timeInput

    override _.Rate(tau, z) =
        let scaled = z.mul inverse

        if timeInput then
            use factor = (1.0 / period).ToScalar()
            network.forward (torch.cat ([| scaled; tau.mul factor |], 1L))
        else
            network.forward scaled

/// A mechanistic law plus a network that corrects it: in positive coordinates the network adds to the growth rates.
[<Sealed>]
type HybridOde(law: MechanisticOde, correction: NeuralOde) as this =
    inherit OdeModel(nameof HybridOde)

    do
        this.register_module ("law", law)
        this.register_module ("correction", correction)

    /// The mechanistic part.
    member _.Law = law
    /// The network part.
    member _.Correction = correction
    override _.UsesTime = correction.UsesTime
    override _.Rate(tau, z) = law.Rate(tau, z).add(correction.Rate(tau, z))
