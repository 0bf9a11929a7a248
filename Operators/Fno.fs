// Fourier neural operators in one to three dimensions.
namespace Continuum

open System
open TorchSharp

/// What a block adds to its kernel integral, or to its pointwise network.
type OperatorSkip =
    /// Nothing.
    | None = 0
    /// W v + b at every point.
    | Linear = 1
    /// v itself.
    | Identity = 2
    /// v times one number for each channel.
    | Gate = 3

/// How scalar parameters enter.
type ScalarUse =
    /// As constant functions beside the inputs.
    | Channels = 0
    /// As the factors and offsets of the blocks' norms (adaptive instance normalisation).
    | Norms = 1

/// The architecture of a Fourier neural operator.
type FnoOptions = {
    /// Channels inside.
    Width: int
    /// Modes kept on each axis.
    Modes: int[]
    /// Blocks.
    Layers: int
    /// Width of the hidden layer that lifts the inputs to Width channels; 0 lifts linearly.
    Lifting: int
    /// Width of the hidden layer that projects to the outputs; 0 projects linearly.
    Projection: int
    /// How spectral weights are stored.
    Weights: SpectralWeightKind
    /// The share of the dense parameters that factorised weights keep.
    Rank: float
    /// On open axes the period is (1 + Padding) lengths.
    Padding: float
    /// Modes in use at first; empty for all. More are taken into use by Grow.
    FirstModes: int[]
    /// The skip around the kernel integral of each block.
    Skip: OperatorSkip
    /// Hidden width of the pointwise network after each block as a multiple of Width; 0 for none.
    Mlp: float
    /// The norm after each kernel integral.
    Norm: FunctionNormKind
    /// The nonlinearity.
    Activation: OperatorActivation
    /// Whether the place of each point is given beside the inputs. Without it, on a torus, the operator commutes with translations.
    Positions: bool
    /// How scalar parameters enter.
    Scalars: ScalarUse
    /// Whether the outputs are added to the last channels of the first input (the latest frame of a motion): the operator learns the change.
    Residual: bool
} with

    /// Four blocks of width 32 with linear skips and these modes on each axis: Li et al. 2021.
    static member Create(modes: int[]) = {
        Width = 32
        Modes = modes
        Layers = 4
        Lifting = 0
        Projection = 128
        Weights = SpectralWeightKind.Dense
        Rank = 0.5
        Padding = 0.25
        FirstModes = [||]
        Skip = OperatorSkip.Linear
        Mlp = 0.0
        Norm = FunctionNormKind.None
        Activation = OperatorActivation.Gelu
        Positions = true
        Scalars = ScalarUse.Channels
        Residual = false
    }

    /// A tensorised operator (TFNO): Tucker factors with a tenth of the dense parameters. Kossaifi et al. 2023.
    static member Tensorised(modes: int[]) = {
        FnoOptions.Create modes with
            Weights = SpectralWeightKind.Tucker
            Rank = 0.1
    }

/// A skip connection.
[<Sealed>]
type internal SkipLayer
    (kind: OperatorSkip, inputs: int, outputs: int, dtype: torch.ScalarType, generator: torch.Generator) as this =
    inherit torch.nn.Module(nameof SkipLayer)

    do
        if inputs <> outputs && (kind = OperatorSkip.Identity || kind = OperatorSkip.Gate) then
            OperatorChecks.bad $"A skip of kind {kind} needs as many outputs as inputs; got {inputs} and {outputs}."

    let add: Tensor -> Tensor -> Tensor =
        match kind with
        | OperatorSkip.Linear ->
            let linear = new PointwiseLinear(inputs, outputs, true, dtype, generator)
            this.register_module ("linear", linear)
            fun x y -> (linear.Values x).add_ y
        | OperatorSkip.Identity -> fun x y -> y.add x
        | OperatorSkip.Gate ->
            let gate = new SoftGate(inputs, dtype)
            this.register_module ("gate", gate)
            fun x y -> y.add (gate.Values x)
        | OperatorSkip.None -> fun _ y -> y
        | other -> raise (ArgumentOutOfRangeException(nameof kind, other, "not a kind of skip"))

    /// The sum of the skip of x and y.
    member _.Add(x: Tensor, y: Tensor) : Tensor = add x y

/// One block: nonlinearity of the norm of the kernel integral and its skip; then the pointwise network and its skip, if there is one.
[<Sealed>]
type internal OperatorBlock
    (
        domain: Domain,
        modes: int[],
        inputs: int,
        outputs: int,
        parameters: int,
        isLast: bool,
        options: FnoOptions,
        dtype: torch.ScalarType,
        generator: torch.Generator
    ) as this =
    inherit torch.nn.Module(nameof OperatorBlock)

    let kernel =
        let spectral = {
            SpectralOptions.Weights = options.Weights
            Rank = options.Rank
            Padding = options.Padding
            FirstModes =
                (if isNull options.FirstModes || options.FirstModes.Length = 0 then
                     null
                 else
                     options.FirstModes)
        }

        new SpectralConvolution(domain, modes, inputs, outputs, spectral, dtype, generator)

    let skip = new SkipLayer(options.Skip, inputs, outputs, dtype, generator)

    /// The norm of values at these points.
    let norm: OperatorPass -> Discretisation -> Tensor -> Tensor =
        let adaptive = if options.Scalars = ScalarUse.Norms then parameters else 0

        if options.Norm = FunctionNormKind.None && adaptive = 0 then
            fun _ _ x -> x
        else
            let layer = new FunctionNorm(outputs, options.Norm, adaptive, dtype)
            this.register_module ("norm", layer)
            fun pass at x -> layer.Pass(pass, at, at, x)

    let activate (x: Tensor) = if isLast then x else OperatorActivations.apply options.Activation x

    /// The pointwise network and its skip.
    let after: Tensor -> Tensor =
        if options.Mlp > 0.0 then
            let hidden = max 1 (int (Math.Round(options.Mlp * float outputs)))
            let mlp = new PointwiseMlp(outputs, [| hidden |], outputs, options.Activation, dtype, generator)
            let gate = new SkipLayer(OperatorSkip.Gate, outputs, outputs, dtype, generator)
            this.register_module ("mlp", mlp)
            this.register_module ("mlpSkip", gate)
            fun x -> activate (gate.Add(x, mlp.Values x))
        else
            id

    do
        this.register_module ("kernel", kernel)
        this.register_module ("skip", skip)

    member _.Kernel = kernel

    /// `resample` brings the skips' values to the target.
    member _.Pass
        (
            pass: OperatorPass,
            source: Discretisation,
            target: Discretisation,
            mask: Tensor,
            resample: Tensor -> Tensor,
            x: Tensor
        ) : Tensor =
        let integral = kernel.Pass(pass, source, target, FieldValues.masked mask x)
        after (activate (skip.Add(resample x, norm pass target integral)))

/// What the models of this family do with inputs before the first block and with channels after the last.
[<Sealed>]
type internal OperatorEnds
    (
        domain: Domain,
        inputs: int[],
        outputs: int,
        parameters: int,
        first: int,
        last: int,
        options: FnoOptions,
        dtype: torch.ScalarType,
        generator: torch.Generator
    ) as this =
    inherit torch.nn.Module(nameof OperatorEnds)

    let positions = new Positions(domain)
    let places = if options.Positions then positions.Channels else 0
    let scalars = if options.Scalars = ScalarUse.Channels then parameters else 0

    let channels = Array.sum inputs + scalars + places

    let network (inputs: int) (hidden: int) (outputs: int) =
        let hidden = if hidden > 0 then [| hidden |] else [||]
        new PointwiseMlp(inputs, hidden, outputs, options.Activation, dtype, generator)

    let lifting = network channels options.Lifting first
    let projection = network last options.Projection outputs

    do
        if options.Residual && inputs[0] < outputs then
            OperatorChecks.bad
                $"A residual operator adds its {outputs} outputs to the first input function, which has {inputs[0]} channels; it needs at least as many."

        this.register_module ("lifting", lifting)
        this.register_module ("projection", projection)

    /// Everything that is given, as channels at the points of the first input function, lifted.
    member _.Lift(input: OperatorInput, mask: Tensor) : Tensor =
        let at = input.Functions[0].Discretisation
        // What the mask hides is not carried to other points.
        let values = input.Functions |> Array.map (fun f -> OperatorValues.at at (input.Visible f))
        let shape = values[0].shape
        let wide (count: int64) = Array.append [| shape[0]; count |] shape[2..]

        let all = [|
            yield! values

            if scalars > 0 then
                let ones = Array.create (shape.Length - 2) 1L

                let flat = input.Parameters.reshape (Array.append [| shape[0]; int64 scalars |] ones)

                flat.expand (wide (int64 scalars))

            if places > 0 then
                positions.Values(at, values[0].dtype, values[0].device).expand(wide (int64 places))
        |]

        let joined = if all.Length = 1 then all[0] else torch.cat (all, 1L)
        lifting.Values(FieldValues.masked mask joined)

    /// The outputs at the points of the first input function.
    member _.Project(input: OperatorInput, x: Tensor) : Tensor =
        let y = projection.Values x

        if options.Residual then
            y.add ((input.Visible input.Functions[0]).Values.narrow(1L, 0L, int64 outputs))
        else
            y

/// Kernel integrals of few modes alternate with pointwise maps: v' = s(K v + W v + b) between a lifting and a projection, in one to three dimensions
/// (Li et al. 2021, Kossaifi et al. 2023). Works on every discretisation of its domain, point clouds included, that holds its modes.
[<Sealed>]
type Fno
    (
        domain: Domain,
        inputs: int[],
        outputs: int,
        parameters: int,
        options: FnoOptions,
        dtype: torch.ScalarType,
        generator: torch.Generator
    ) as this =
    inherit NeuralOperator(nameof Fno, domain, inputs, outputs, parameters)

    do
        OperatorChecks.positive "The number of layers" options.Layers
        OperatorChecks.positive "The width" options.Width
        OperatorChecks.precision dtype

        if not (options.Mlp >= 0.0 && Double.IsFinite options.Mlp) then
            OperatorChecks.bad
                $"The width of the pointwise network is a multiple of Width, not negative (0 for none); got {options.Mlp}."

        ArgumentNullException.ThrowIfNull(options.Modes, "Modes")

    let ends =
        new OperatorEnds(domain, inputs, outputs, parameters, options.Width, options.Width, options, dtype, generator)

    let blocks =
        Array.init options.Layers (fun i ->
            let isLast = i = options.Layers - 1

            new OperatorBlock(
                domain,
                options.Modes,
                options.Width,
                options.Width,
                parameters,
                isLast,
                options,
                dtype,
                generator
            ))

    do
        this.register_module ("ends", ends)
        blocks |> Array.iteri (fun i block -> this.register_module ($"block{i}", block))

    /// The architecture.
    member _.Options = options

    /// The modes in use on each axis.
    member _.ActiveModes = blocks[0].Kernel.ActiveModes

    /// Takes more modes into use in every block; the operator stays what it was until their weights learn.
    member _.Grow(modes: int[]) =
        for block in blocks do
            block.Kernel.Grow modes

    override _.Kind = "fno"

    override this.Config =
        let active = blocks[0].Kernel.ActiveModes
        let first = if active = options.Modes then [||] else active
        let options = { options with FirstModes = first }
        OperatorConfig.write domain inputs outputs parameters (Seq.head (this.parameters ())).dtype options

    override _.Evaluate(pass, input) =
        let at = input.Functions[0].Discretisation
        let mask = if isNull (box input.Mask) then null else input.Mask.Values
        let mutable x = ends.Lift(input, mask)

        for block in blocks do
            x <- block.Pass(pass, at, at, mask, id, x)

        let y = ends.Project(input, x)
        OperatorValues.between at input.Target y |> input.Masked
