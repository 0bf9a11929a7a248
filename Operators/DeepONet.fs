// Deep operator networks.
namespace Continuum

open System
open TorchSharp

/// How a deep operator network reads its input functions.
type FunctionEncoder =
    /// Inner products with learned functions, by quadrature: any points, also clouds.
    | Projection = 0
    /// Values at fixed sensors, uniform points of the domain, to which functions are resampled.
    | Sensors = 1

/// The architecture of a deep operator network.
type DeepONetOptions = {
    /// How input functions are read.
    Encoder: FunctionEncoder
    /// Learned functions that an input function is projected on, or sensors on each axis.
    Readings: int
    /// Functions that the image is a sum of.
    Basis: int
    /// Hidden widths of the branch, from readings to coefficients.
    Branch: int[]
    /// Hidden widths of the trunk, from places to the functions of the sum (and, for Projection, to those projected on).
    Trunk: int[]
    /// The nonlinearity.
    Activation: OperatorActivation
} with

    /// 64 projections, 64 functions, two hidden layers of 128 in the branch and in the trunk.
    static member Default = {
        Encoder = FunctionEncoder.Projection
        Readings = 64
        Basis = 64
        Branch = [| 128; 128 |]
        Trunk = [| 128; 128 |]
        Activation = OperatorActivation.Gelu
    }

/// g(y) = b + sum over j of w_j t_j(y): a branch network gives the coefficients w from what is read of the input functions and from the scalar parameters, a
/// trunk network the functions t (Lu et al. 2021). Inputs are read by quadrature or at fixed sensors, so it may be given functions on any points and
/// asked for its image at any points.
[<Sealed>]
type DeepONet
    (
        domain: Domain,
        inputs: int[],
        outputs: int,
        parameters: int,
        options: DeepONetOptions,
        dtype: torch.ScalarType,
        generator: torch.Generator
    ) as this =
    inherit NeuralOperator(nameof DeepONet, domain, inputs, outputs, parameters)

    do
        OperatorChecks.positive "The number of readings" options.Readings
        OperatorChecks.positive "The number of functions of the sum" options.Basis
        OperatorChecks.precision dtype

    let positions = new Positions(domain)

    let network (inputs: int) (hidden: int[]) (outputs: int) =
        new PointwiseMlp(inputs, hidden, outputs, options.Activation, dtype, generator)

    let sensors =
        if options.Encoder = FunctionEncoder.Sensors then
            Discretisation.Uniform(domain, Array.create domain.Dimension options.Readings)
        else
            Unchecked.defaultof<Discretisation>

    /// For each input function its numbers for the branch, and how they are found: (batch, readings).
    let readers: (int * (OperatorPass -> Field -> Tensor))[] =
        inputs
        |> Array.mapi (fun i channels ->
            if options.Encoder = FunctionEncoder.Sensors then
                let count = channels * int (Array.fold (*) 1L sensors.Shape)
                count, (fun _ field -> (OperatorValues.at sensors field).reshape([| field.Batch; int64 count |]))
            else
                let against = network positions.Channels options.Trunk (channels * options.Readings)
                this.register_module ($"encoder{i}", against)

                options.Readings,
                (fun pass field ->
                    let at = field.Discretisation
                    let values = field.Values
                    let functions = against.Values(positions.Values(at, values.dtype, values.device))
                    let clouds = functions.shape[0]
                    let weighted = values.mul(pass.Shares at).reshape([| field.Batch; 1L; -1L |])
                    // (1 or clouds, readings, channels x points) against (batch, channels x points)
                    let flat = functions.reshape ([| clouds; int64 options.Readings; -1L |])
                    (Tensors.matmul flat (weighted.transpose (1L, 2L))).squeeze -1L))

    let branch = network (Array.sumBy fst readers + parameters) options.Branch (outputs * options.Basis)

    let trunk = network positions.Channels options.Trunk options.Basis

    do
        this.register_module ("branch", branch)
        this.register_module ("trunk", trunk)
        use _ = torch.NewDisposeScope()
        let zeros = torch.zeros ([| int64 outputs; 1L |], dtype = Nullable dtype)
        this.register_parameter ("offset", Owned.parameter zeros)

    /// The architecture.
    member _.Options = options

    override _.Kind = "deeponet"

    override this.Config =
        OperatorConfig.write domain inputs outputs parameters (Seq.head (this.parameters ())).dtype options

    override this.Evaluate(pass, input) =
        let batch = input.Batch

        let readings = [|
            yield! Array.map2 (fun (_, read) field -> read pass (input.Visible field)) readers input.Functions

            if parameters > 0 then
                input.Parameters
        |]

        let given = torch.cat (readings, 1L)

        let coefficients =
            (branch.Values(given.unsqueeze -1L)).reshape([| batch; int64 outputs; int64 options.Basis |])

        let first = input.Functions[0].Values
        let functions = trunk.Values(positions.Values(input.Target, first.dtype, first.device))
        let flat = functions.reshape ([| functions.shape[0]; int64 options.Basis; -1L |])
        let image = (Tensors.matmul coefficients flat).add(this.get_parameter "offset")
        let shaped = image.reshape (Array.append [| batch; int64 outputs |] input.Target.Shape)

        input.Masked shaped
