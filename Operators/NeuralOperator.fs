// What all models of operators have in common.
namespace Continuum

open System
open TorchSharp

/// What an operator is applied to: one or several input functions, scalar parameters, a mask, and where the image is wanted.
[<Sealed>]
type OperatorInput(functions: Field[], parameters: Tensor, mask: Field, target: Discretisation) =
    do
        ArgumentNullException.ThrowIfNull(functions, nameof functions)

        if functions.Length = 0 then
            OperatorChecks.bad "An operator needs at least one input function."

        let batch = functions[0].Batch

        functions
        |> Array.iteri (fun i f ->
            if f.Values.dtype <> functions[0].Values.dtype then
                OperatorChecks.bad
                    $"Input function 0 is {functions[0].Values.dtype}, input function {i} {f.Values.dtype}; convert one of them."

            if f.Batch <> batch then
                OperatorChecks.bad $"Input function 0 has a batch of {batch}, input function {i} of {f.Batch}.")

        OperatorChecks.parameters parameters functions[0].Values

        if not (isNull (box mask)) then
            if mask.Channels <> 1 || not (mask.Discretisation.Equals functions[0].Discretisation) then
                OperatorChecks.bad "A mask has one channel, at the points of the first input function."

            if mask.Values.dtype <> functions[0].Values.dtype then
                OperatorChecks.bad
                    $"The mask is {mask.Values.dtype} and the functions {functions[0].Values.dtype}; convert one of them."

            if mask.Batch <> 1L && mask.Batch <> batch then
                OperatorChecks.bad $"A mask is one for all samples or one for each of {batch}; got {mask.Batch}."

        if not (isNull (box target)) then
            OperatorChecks.clouds target batch

    let target = if isNull (box target) then functions[0].Discretisation else target

    /// One input function, its image wanted at its own points.
    new(input: Field)= OperatorInput([| input |], null, Unchecked.defaultof<Field>, Unchecked.defaultof<Discretisation>)

    /// The input functions; they may lie on different discretisations.
    member _.Functions = functions
    /// Scalar parameters, (batch, parameters); null for none.
    member _.Parameters = parameters
    /// 1 where the domain is and 0 elsewhere, one channel at the points of the first input function; null for none.
    member _.Mask = mask
    /// Where the image is wanted; without a choice the points of the first input function.
    member _.Target = target
    /// Number of samples.
    member _.Batch = functions[0].Batch

    /// An input function, zero where the mask is.
    member internal _.Visible(field: Field) : Field =
        if isNull (box mask) then
            field
        else
            field.With(FieldValues.masked (OperatorValues.mask field.Discretisation mask) field.Values)

    /// Values at the points of Target, zero where the mask is.
    member internal _.Masked(values: Tensor) : Tensor =
        if isNull (box mask) then
            values
        else
            FieldValues.masked (OperatorValues.mask target mask) values

/// A learned map between function spaces. What it computes depends on the functions, not on their discretisation, up to errors that vanish as the
/// points are refined.
[<AbstractClass>]
type NeuralOperator(name: string, domain: Domain, inputs: int[], outputs: int, parameters: int) =
    inherit torch.nn.Module(name)

    do
        if inputs.Length = 0 then
            OperatorChecks.bad "An operator takes at least one input function."

        inputs
        |> Array.iteri (fun i c -> OperatorChecks.positive $"The number of channels of input function {i}" c)

        OperatorChecks.positive "The number of output channels" outputs

        if parameters < 0 then
            OperatorChecks.bad $"The number of scalar parameters must not be negative; got {parameters}."

    /// The domain of all its functions.
    member _.Domain = domain
    /// Channels of each input function.
    member _.InputChannels = Array.copy inputs
    /// Channels of the image.
    member _.OutputChannels = outputs
    /// Scalar parameters of each sample.
    member _.ScalarParameters = parameters

    /// Name of the kind in files, such as "fno".
    abstract member Kind: string
    /// The configuration as JSON: with it and the parameters the model can be made again.
    abstract member Config: string

    /// The values of the image at the points of input.Target.
    abstract member Evaluate: pass: OperatorPass * input: OperatorInput -> Tensor

    /// Real parameters, in all.
    member this.ParameterCount = this.parameters () |> Seq.sumBy (fun (p: Modules.Parameter) -> p.numel ())

    /// The image of the input functions at input.Target: a fresh field; gradients flow.
    /// ArgumentException, naming sizes and remedy, for functions of other domains or numbers of channels, missing parameters, and grids that the model cannot take.
    member this.Apply(input: OperatorInput) : Field =
        ArgumentNullException.ThrowIfNull(input, nameof input)
        NativeLibraries.ensure ()

        if input.Functions.Length <> inputs.Length then
            OperatorChecks.bad $"{name} takes {inputs.Length} input functions; got {input.Functions.Length}."

        input.Functions
        |> Array.iteri (fun i f ->
            if f.Channels <> inputs[i] then
                OperatorChecks.bad $"Input function {i} of {name} has {inputs[i]} channels; got {f.Channels}."

            OperatorChecks.domain name domain f.Discretisation)

        OperatorChecks.domain name domain input.Target

        let given = if isNull input.Parameters then 0L else input.Parameters.shape[1]

        if given <> int64 parameters then
            OperatorChecks.bad $"{name} takes {parameters} scalar parameters for each sample; got {given}."

        let first = input.Functions[0].Values

        for parameter in this.parameters () |> Seq.truncate 1 do
            OperatorChecks.dtype name parameter first

        use _ = torch.NewDisposeScope()
        use pass = new OperatorPass(first.dtype, first.device, input.Parameters)
        let values = this.Evaluate(pass, input)

        let values = if Object.ReferenceEquals(values, first) then values.alias () else values

        new Field(input.Target, values.MoveToOuterDisposeScope())

    /// The image of one input function at its own points.
    member this.Apply(input: Field) : Field = this.Apply(OperatorInput input)
