// U-shaped neural operators.
namespace Continuum

open System
open TorchSharp

/// The architecture of a U-shaped neural operator. Arrays have one entry for each block.
type UnoOptions = {
    /// Channels that each block gives.
    Widths: int[]
    /// Modes kept by each block: those of its axes, block after block.
    Modes: int[]
    /// Points of each block's image as a multiple of those that come in; their product is usually 1.
    Scalings: float[]
    /// Width of the hidden layer that lifts the inputs; 0 lifts linearly.
    Lifting: int
    /// Width of the hidden layer that projects to the outputs; 0 projects linearly.
    Projection: int
    /// How spectral weights are stored.
    Weights: SpectralWeightKind
    /// The share of the dense parameters that factorised weights keep.
    Rank: float
    /// On open axes the period is (1 + Padding) lengths.
    Padding: float
    /// The skip around the kernel integral of each block: Linear or None.
    Skip: OperatorSkip
    /// The norm after each kernel integral.
    Norm: FunctionNormKind
    /// The nonlinearity.
    Activation: OperatorActivation
    /// Whether the place of each point is given beside the inputs.
    Positions: bool
    /// How scalar parameters enter.
    Scalars: ScalarUse
    /// Whether the outputs are added to the last channels of the first input.
    Residual: bool
} with

    /// Five blocks of this width: down to half of the points for three blocks, and back; these modes on every axis of the outer blocks, half of them inside.
    static member Create(dimension: int, modes: int, width: int) = {
        Widths = [| width; width; width; width; width |]
        Modes =
            [| modes; max 1 (modes / 2); max 1 (modes / 2); max 1 (modes / 2); modes |]
            |> Array.collect (Array.create dimension)
        Scalings = [| 1.0; 0.5; 1.0; 1.0; 2.0 |]
        Lifting = 0
        Projection = 4 * width
        Weights = SpectralWeightKind.Dense
        Rank = 0.5
        Padding = 0.25
        Skip = OperatorSkip.Linear
        Norm = FunctionNormKind.None
        Activation = OperatorActivation.Gelu
        Positions = true
        Scalars = ScalarUse.Channels
        Residual = false
    }

    /// What block i has in common with those of a Fourier neural operator.
    member internal o.Block(dimension: int, i: int) : FnoOptions = {
        Width = o.Widths[i]
        Modes = o.Modes[i * dimension .. (i + 1) * dimension - 1]
        Layers = 1
        Lifting = o.Lifting
        Projection = o.Projection
        Weights = o.Weights
        Rank = o.Rank
        Padding = o.Padding
        FirstModes = [||]
        Skip = o.Skip
        Mlp = 0.0
        Norm = o.Norm
        Activation = o.Activation
        Positions = o.Positions
        Scalars = o.Scalars
        Residual = o.Residual
    }

/// A U-shaped neural operator (Rahman, Ross and Azizzadenesheli 2023): blocks whose images lie on coarser, then on finer points, those on the way back
/// also seeing what the blocks of the way down gave. Kernel integrals give their images at any points; skips are brought there by the series of the domain, not by
/// pixel interpolation, so the operator is the same on every grid, up to errors that vanish as it is refined. For products of points on axes.
[<Sealed>]
type Uno
    (
        domain: Domain,
        inputs: int[],
        outputs: int,
        parameters: int,
        options: UnoOptions,
        dtype: torch.ScalarType,
        generator: torch.Generator
    ) as this =
    inherit NeuralOperator(nameof Uno, domain, inputs, outputs, parameters)

    let count = options.Widths.Length
    let d = domain.Dimension

    do
        OperatorChecks.precision dtype

        if count = 0 || options.Modes.Length <> count * d || options.Scalings.Length <> count then
            OperatorChecks.bad
                $"{count} blocks on {d} axes need {count} widths, {count * d} modes and {count} scalings; got {options.Modes.Length} modes and {options.Scalings.Length} scalings."

        if options.Skip <> OperatorSkip.Linear && options.Skip <> OperatorSkip.None then
            OperatorChecks.bad $"The widths of blocks change, so skips are Linear or None; got {options.Skip}."

        options.Scalings
        |> Array.iteri (fun i s ->
            if not (s > 0.0 && Double.IsFinite s) then
                OperatorChecks.bad $"Scaling {i} is {s}; it must be positive.")

    /// The block whose image is seen again by block i; -1 for none.
    let seen (i: int) =
        let other = count - 1 - i
        if other < i then other else -1

    let width i = options.Widths[i]

    let ends =
        new OperatorEnds(
            domain,
            inputs,
            outputs,
            parameters,
            width 0,
            width (count - 1),
            options.Block(d, 0),
            dtype,
            generator
        )

    let blocks =
        Array.init count (fun i ->
            let before = width (max 0 (i - 1))
            let incoming = before + (if seen i >= 0 && i > 0 then width (seen i) else 0)
            let isLast = i = count - 1

            new OperatorBlock(
                domain,
                options.Modes[i * d .. (i + 1) * d - 1],
                incoming,
                width i,
                parameters,
                isLast,
                options.Block(d, i),
                dtype,
                generator
            ))

    do
        this.register_module ("ends", ends)
        blocks |> Array.iteri (fun i block -> this.register_module ($"block{i}", block))

    let scaled (grid: Discretisation) (factor: float) : Discretisation =
        if abs (factor - 1.0) < 1e-12 then
            grid
        else
            grid.Axes
            |> Array.map (fun axis ->
                let layout =
                    if axis.Layout = PointLayout.Irregular then
                        AxisPoints.UsualLayout axis.Axis
                    else
                        axis.Layout

                let n =
                    if layout = PointLayout.Nodes then
                        int (Math.Round(factor * float (axis.Count - 1))) + 1
                    else
                        int (Math.Round(factor * float axis.Count))

                AxisPoints.Uniform(axis.Axis, max 1 n, layout))
            |> Discretisation.Product

    /// The points of each block's image, from those of the first input function.
    let gridsOf (at: Discretisation) : Discretisation[] =
        let factors = Array.scan (*) 1.0 options.Scalings
        Array.init count (fun i -> scaled at factors[i + 1])

    /// Throws ArgumentException, naming the points of the input, where some block's points do not hold its modes.
    let demand (at: Discretisation) (grids: Discretisation[]) =
        let lacking (grids: Discretisation[]) (at: Discretisation) (axis: int) =
            Seq.init count id
            |> Seq.tryPick (fun i ->
                let basis =
                    (SpectralBasis.ofDomain domain options.Padding options.Modes[i * d .. (i + 1) * d - 1])[axis]

                [| (if i = 0 then at else grids[i - 1]); grids[i] |]
                |> Array.tryPick (fun grid ->
                    let most = SpectralBasis.mostModes basis grid.Axes[axis]

                    if most < basis.Modes then
                        Some(struct (i, basis.Modes, grid.Axes[axis].Count, most))
                    else
                        None))

        for axis in 0 .. d - 1 do
            match lacking grids at axis with
            | None -> ()
            | Some(struct (block, modes, points, most)) ->
                let own = at.Axes[axis]

                let layout =
                    if own.Layout = PointLayout.Irregular then
                        AxisPoints.UsualLayout own.Axis
                    else
                        own.Layout

                let isEnough n =
                    let axes = at.Axes
                    axes[axis] <- AxisPoints.Uniform(own.Axis, n, layout)
                    let finer = Discretisation.Product axes
                    lacking (gridsOf finer) finer axis |> Option.isNone

                let remedy =
                    match
                        Seq.init 12 (fun i -> own.Count <<< (i + 1))
                        |> Seq.tryFind (fun n -> n < 1_000_000 && isEnough n)
                    with
                    | None -> ""
                    | Some found ->
                        let mutable low, high = own.Count, found

                        while high - low > 1 do
                            let middle = (low + high) / 2
                            if isEnough middle then high <- middle else low <- middle

                        $"give the input {high} points or more on this axis, or "

                OperatorChecks.bad
                    $"Block {block} keeps {modes} modes on axis {axis}, where it has {points} of the input's {own.Count} points, which hold {most} at most; {remedy}keep at most {most} modes in that block."

    /// The architecture.
    member _.Options = options

    override _.Kind = "uno"

    override this.Config =
        OperatorConfig.write domain inputs outputs parameters (Seq.head (this.parameters ())).dtype options

    override _.Evaluate(pass, input) =
        let at = input.Functions[0].Discretisation

        if not at.IsProduct then
            OperatorChecks.bad
                $"A U-shaped operator needs a product of points on axes, to make coarser ones of it; got {at}. Resample the functions, or take an Fno."

        let mask = if isNull (box input.Mask) then null else input.Mask.Values
        let images = Array.zeroCreate<Tensor> count
        let grids = gridsOf at
        demand at grids
        let mutable x = ends.Lift(input, mask)
        let mutable grid = at

        for i in 0 .. count - 1 do
            if i > 0 && seen i >= 0 then
                let j = seen i
                x <- torch.cat ([| x; OperatorValues.between grids[j] grid images[j] |], 1L)

            let target = grids[i]
            let source = grid
            let bring (v: Tensor) = OperatorValues.between source target v

            x <- blocks[i].Pass(pass, source, target, (if i = 0 then mask else null), bring, x)

            images[i] <- x
            grid <- target

        let y = ends.Project(input, OperatorValues.between grid at x)
        OperatorValues.between at input.Target y |> input.Masked
