// Operators in the units of their data, and operators that are applied again and again.
namespace Continuum

open System
open System.Text.Json.Nodes
open TorchSharp

/// Mean and deviation of channels over a set of functions.
type ChannelScale = {
    /// One for each channel.
    Means: float[]
    /// One for each channel, positive.
    Deviations: float[]
} with

    /// Leaves values as they are.
    static member Identity(channels: int) = {
        Means = Array.zeroCreate channels
        Deviations = Array.create channels 1.0
    }

    /// Of each channel over all functions of a field, by quadrature over the domain. A channel that is constant keeps the deviation 1.
    static member Of(field: Field) : ChannelScale = ChannelScale.Of(field, Unchecked.defaultof<Field>)

    /// The same over the part of the domain where a mask is (one channel, for one sample or each, at any points; null for none): the mask multiplies the weights.
    static member Of(field: Field, mask: Field) : ChannelScale =
        use _ = torch.NewDisposeScope()
        use _ = torch.no_grad ()

        let weights =
            let own = FieldValues.weights (field.With(field.Values.``to`` torch.float64))
            let shape = Array.concat [ [| field.Batch; 1L |]; field.Values.shape[2..] ]

            if isNull (box mask) then
                own.expand shape
            else
                own.mul((OperatorValues.mask field.Discretisation mask).``to`` torch.float64).expand shape

        let total = weights.sum().ToDouble()

        if not (total > 0.0) then
            OperatorChecks.bad "The mask is 0 everywhere: there is no part of the domain to take means over."

        let wide = FieldValues.masked (weights.gt(0.0).``to`` torch.float64) (field.Values.``to`` torch.float64)
        let rest = Array.append [| 0L |] (Array.init (wide.shape.Length - 2) (fun i -> int64 i + 2L))
        let mean (x: Tensor) = x.mul(weights).sum(rest).div total
        let means = mean wide
        let ones = Array.create (wide.shape.Length - 2) 1L
        let centred = wide.sub (means.reshape (Array.append [| means.shape[0] |] ones))
        let variances = mean (centred.square ())
        let means = Tensors.toArray means

        let deviations =
            Tensors.toArray variances
            |> Array.mapi (fun i v -> if sqrt v > 1e-12 * (1.0 + abs means[i]) then sqrt v else 1.0)

        { Means = means; Deviations = deviations }

/// Another operator between functions in units of their own: channels of inputs are taken less their mean over their deviation, those of the image back,
/// so that the inner operator sees numbers near 1. The numbers are constants, stored with the model.
[<Sealed>]
type ScaledOperator(inner: NeuralOperator, inputs: ChannelScale[], output: ChannelScale, scalars: ChannelScale) as this
    =
    inherit
        NeuralOperator(
            nameof ScaledOperator,
            inner.Domain,
            inner.InputChannels,
            inner.OutputChannels,
            inner.ScalarParameters
        )

    do
        let check (what: string) (channels: int) (scale: ChannelScale) =
            if scale.Means.Length <> channels || scale.Deviations.Length <> channels then
                OperatorChecks.bad
                    $"The scale of {what} has {scale.Means.Length} means and {scale.Deviations.Length} deviations; it needs {channels}."

            scale.Deviations
            |> Array.iteri (fun i d ->
                if not (d > 0.0 && Double.IsFinite d && Double.IsFinite scale.Means[i]) then
                    OperatorChecks.bad $"The scale of channel {i} of {what} is not finite and positive.")

        if inputs.Length <> inner.InputChannels.Length then
            OperatorChecks.bad $"{inner.InputChannels.Length} input functions need as many scales; got {inputs.Length}."

        Array.iteri2 (fun i channels scale -> check $"input function {i}" channels scale) inner.InputChannels inputs
        check "the output" inner.OutputChannels output
        check "the scalar parameters" inner.ScalarParameters scalars
        this.register_module ("inner", inner)

    let constants (like: Tensor) (points: int) (scale: ChannelScale) =
        let shape = Array.append [| int64 scale.Means.Length |] (Array.create points 1L)
        let make (values: float[]) = Tensors.ofArray values shape like.dtype like.device
        struct (make scale.Means, make scale.Deviations)

    let isIdentity (scale: ChannelScale) = Array.forall ((=) 0.0) scale.Means && Array.forall ((=) 1.0) scale.Deviations

    let down (points: int) (scale: ChannelScale) (x: Tensor) =
        if isIdentity scale then
            x
        else
            let struct (means, deviations) = constants x points scale
            x.sub(means).div deviations

    let up (points: int) (scale: ChannelScale) (x: Tensor) =
        if isIdentity scale then
            x
        else
            let struct (means, deviations) = constants x points scale
            x.mul(deviations).add means

    /// The operator between scaled functions.
    member _.Inner = inner
    /// Scales of the input functions.
    member _.InputScales = Array.copy inputs
    /// Scale of the image.
    member _.OutputScale = output
    /// Scale of the scalar parameters.
    member _.ScalarScale = scalars

    override _.Kind = "scaled"

    override _.Config =
        let numbers (values: float[]) = JsonArray [| for v in values -> JsonValue.Create<float> v :> JsonNode |]

        let scale (s: ChannelScale) =
            let json = JsonObject()
            json["means"] <- numbers s.Means
            json["deviations"] <- numbers s.Deviations
            json :> JsonNode

        let json = JsonObject()
        json["inputs"] <- JsonArray(Array.map scale inputs)
        json["output"] <- scale output
        json["scalars"] <- scale scalars
        json["inner"] <- OperatorConfig.nested inner.Kind inner.Config
        json.ToJsonString()

    override _.Evaluate(pass, input) =
        let functions =
            Array.map2
                (fun (f: Field) scale -> f.With(down (f.Values.shape.Length - 2) scale f.Values))
                input.Functions
                inputs

        let given = if isNull input.Parameters then null else down 0 scalars input.Parameters

        let image = inner.Evaluate(pass.With given, OperatorInput(functions, given, input.Mask, input.Target))
        let image = up (image.shape.Length - 2) output image

        input.Masked image

/// An operator from the last `history` frames of a motion to the next one, applied again and again: frame n + 1 from frames n - history + 1 .. n.
/// Its first input function has history x components channels, the oldest frame first; its image has steps x components, frame after frame.
[<Sealed>]
type Autoregressive(inner: NeuralOperator, history: int, steps: int) as this =
    inherit
        NeuralOperator(
            nameof Autoregressive,
            inner.Domain,
            inner.InputChannels,
            inner.OutputChannels * max 1 steps,
            inner.ScalarParameters
        )

    do
        OperatorChecks.positive "The number of frames that are seen" history
        OperatorChecks.positive "The number of steps" steps

        if inner.InputChannels[0] <> history * inner.OutputChannels then
            OperatorChecks.bad
                $"{history} frames of {inner.OutputChannels} components make {history * inner.OutputChannels} channels of the first input function; the operator takes {inner.InputChannels[0]}."

        this.register_module ("inner", inner)

    let components = int64 inner.OutputChannels

    /// The window moved by one frame.
    let moved (window: Tensor) (frame: Tensor) =
        if history = 1 then
            frame
        else
            torch.cat ([| window.narrow (1L, components, window.shape[1] - components); frame |], 1L)

    /// The operator of one step.
    member _.Inner = inner
    /// Frames that it sees.
    member _.History = history
    /// Frames that it gives.
    member _.Steps = steps
    /// Channels of a frame.
    member _.Components = inner.OutputChannels

    /// One step from a window of frames; the rest of the input stays.
    member internal _.Step(pass: OperatorPass, input: OperatorInput, window: Tensor) : Tensor =
        let functions = Array.copy input.Functions
        functions[0] <- functions[0].With window
        inner.Evaluate(pass, OperatorInput(functions, input.Parameters, input.Mask, functions[0].Discretisation))

    /// The window after one more frame.
    member internal _.Moved(window: Tensor, frame: Tensor) : Tensor = moved window frame

    override _.Kind = "autoregressive"

    override _.Config =
        let json = JsonObject()
        json["history"] <- JsonValue.Create<int> history
        json["steps"] <- JsonValue.Create<int> steps
        json["inner"] <- OperatorConfig.nested inner.Kind inner.Config
        json.ToJsonString()

    override this.Evaluate(pass, input) =
        let frames = Array.zeroCreate<Tensor> steps
        let mutable window = input.Functions[0].Values

        for i in 0 .. steps - 1 do
            frames[i] <- this.Step(pass, input, window)

            if i < steps - 1 then
                window <- moved window frames[i]

        let all = if steps = 1 then frames[0] else torch.cat (frames, 1L)
        OperatorValues.between input.Functions[0].Discretisation input.Target all |> input.Masked
