// Learning operators from data.
namespace Continuum

open System
open System.Threading
open TorchSharp

/// Training and evaluation of operators.
[<RequireQualifiedAccess>]
module OperatorTraining =

    let private bad (text: string) = raise (ArgumentException text)

    let private checkOptions (o: OperatorTrainingOptions) =
        OptionChecks.atLeast 1 "Epochs" o.Epochs
        OptionChecks.atLeast 1 "Unroll" o.Rollout.Unroll
        OptionChecks.atLeast 0 "Pushforward" o.Rollout.Pushforward

        if not (o.Rollout.Noise >= 0.0 && Double.IsFinite o.Rollout.Noise) then
            bad $"Noise must not be negative; got {o.Rollout.Noise}."

        if not (o.Growth >= 0.0 && o.Growth <= 1.0) then
            bad $"Growth is a share of the iterations, from 0 to 1; got {o.Growth}."

        if o.Strides.Length = 0 then
            bad "Training needs at least one stride; 1 takes all points."

        o.Strides
        |> Array.iteri (fun i s ->
            if s < 1 then
                bad $"Stride {i} is {s}; strides are at least 1.")

    /// The Fourier neural operator inside of wrappers.
    let rec private fourier (model: NeuralOperator) : Fno voption =
        match model with
        | :? Fno as fno -> ValueSome fno
        | :? ScaledOperator as scaled -> fourier scaled.Inner
        | :? Autoregressive as motion -> fourier motion.Inner
        | _ -> ValueNone

    /// What takes modes into use before an iteration: the numbers depend on the iteration alone, so that a resumed training has the same.
    let private growing (o: OperatorTrainingOptions) (model: NeuralOperator) : int -> unit =
        if o.Growth = 0.0 then
            ignore
        else
            match fourier model with
            | ValueSome fno when fno.ActiveModes <> fno.Options.Modes ->
                let first, all = fno.ActiveModes, fno.Options.Modes
                // The last iteration has all.
                let until = max 1.0 (min (o.Growth * float o.Loop.Iterations) (float (o.Loop.Iterations - 1)))

                fun iteration ->
                    let wanted =
                        Array.map2
                            (fun a b -> a + min (b - a) (int (float (b - a + 1) * float iteration / until)))
                            first
                            all

                    if wanted <> fno.ActiveModes then
                        fno.Grow wanted
            // Grown already.
            | ValueSome fno when not (isNull fno.Options.FirstModes) && fno.Options.FirstModes.Length > 0 -> ignore
            | _ ->
                bad
                    "Growth takes waiting modes of an Fno into use, and there are none: the first modes must be fewer than all modes. Without first modes there is no growth (Growth = 0)."

    let private maskOf (input: OperatorInput) (truth: Field) =
        if isNull (box input.Mask) then
            None
        elif OperatorLosses.same input.Mask.Discretisation truth.Discretisation then
            Some input.Mask
        else
            Some(new Field(truth.Discretisation, OperatorValues.mask truth.Discretisation input.Mask))

    let private prediction
        (population: int)
        (samples: int[])
        (input: OperatorInput)
        (image: Field)
        (truth: Field)
        : OperatorPrediction = {
        Inputs = input.Functions
        Prediction = image
        Truth = Some truth
        Mask = maskOf input truth
        Samples = samples
        Population = population
    }

    /// The loss of one batch of an operator of motions: frames drawn from the whole motion.
    let private motionLoss
        (o: OperatorTrainingOptions)
        (model: Autoregressive)
        (total: OperatorPrediction -> Tensor)
        (step: TrainingStep)
        (population: int)
        (samples: int[])
        (struct (input: OperatorInput, truth: Field))
        : Tensor =
        let components = int64 model.Components
        let frames = torch.cat ([| input.Functions[0].Values; truth.Values |], 1L)
        let count = int (frames.shape[1] / components)
        let needed = model.History + o.Rollout.Pushforward + o.Rollout.Unroll

        if count < needed then
            bad
                $"Motions have {count} frames; {model.History} that the operator sees, {o.Rollout.Pushforward} of pushforward and {o.Rollout.Unroll} to learn need {needed}."

        let drawn (most: int) =
            torch.randint(int64 most + 1L, [| 1L |], generator = step.Generator, dtype = torch.int64).ToInt64()

        let first = drawn (count - needed)
        let pushed = int (drawn o.Rollout.Pushforward)

        let at (frame: int64) (length: int) = frames.narrow (1L, frame * components, int64 length * components)

        let window = at first model.History

        let mutable window =
            if o.Rollout.Noise = 0.0 then
                window
            else
                let noise = torch.randn (window.shape, dtype = Nullable window.dtype, generator = step.Generator)

                window.add ((noise.``to`` window.device).mul(o.Rollout.Noise * window.std().ToDouble()))

        use pass = new OperatorPass(window.dtype, window.device, input.Parameters)

        do
            use _ = torch.no_grad ()

            for _ in 1..pushed do
                window <- model.Moved(window, model.Step(pass, input, window))

        let images = Array.zeroCreate<Tensor> o.Rollout.Unroll

        for i in 0 .. images.Length - 1 do
            images[i] <- model.Step(pass, input, window)

            if i < images.Length - 1 then
                window <- model.Moved(window, images[i])

        let wanted = at (first + int64 (model.History + pushed)) o.Rollout.Unroll
        let image = if images.Length = 1 then images[0] else torch.cat (images, 1L)
        let points = input.Functions[0].Discretisation
        total (prediction population samples input (new Field(points, image)) (new Field(points, wanted)))

    /// The image of all samples, in batches, at the points of the data's output (or given points): (samples, channels, points) on the CPU. No gradients.
    let predictAt (model: NeuralOperator) (data: OperatorDataset) (batchSize: int) (target: Discretisation) : Field =
        OperatorSamples.check model "data" data
        OptionChecks.atLeast 1 "batchSize" batchSize
        use _ = torch.NewDisposeScope()
        use _ = torch.no_grad ()
        let device = (model.parameters () |> Seq.head).device
        let target = if isNull (box target) then (snd data.Output).Discretisation else target

        if target.CloudCount > 1 && target.CloudCount <> data.Count then
            bad
                $"Images are wanted on {target.CloudCount} clouds and there are {data.Count} samples; give one cloud for each, or one for all."

        let parts =
            OperatorSamples.batches data.Count batchSize
            |> Array.map (fun indices ->
                use _ = torch.NewDisposeScope()
                let struct (input, _) = OperatorSamples.take device data indices

                let asked = if target.CloudCount > 1 then input.Target else target

                let image = model.Apply(OperatorInput(input.Functions, input.Parameters, input.Mask, asked))
                image.Values.cpu().MoveToOuterDisposeScope())

        new Field(target, (torch.cat (parts, 0L)).MoveToOuterDisposeScope())

    /// The image of all samples at the points of the data's output.
    let predict (model: NeuralOperator) (data: OperatorDataset) (batchSize: int) : Field =
        predictAt model data batchSize Unchecked.defaultof<Discretisation>

    /// A copy of data with these images as their output.
    let withImages (data: OperatorDataset) (images: Field) : OperatorDataset =
        let copy = data.To images.Values.dtype
        (snd copy.Output :> IDisposable).Dispose()

        new OperatorDataset(
            copy.Inputs,
            (fst copy.Output, images),
            copy.ParameterNames,
            copy.Parameters,
            copy.Mask,
            copy.Times,
            copy.Source
        )

    /// Errors in several norms, of one pass through the model.
    let private errorsIn
        (norms: FieldNorm[])
        (model: NeuralOperator)
        (data: OperatorDataset)
        (batchSize: int)
        : float[][] =
        use _ = torch.no_grad ()
        let device = (model.parameters () |> Seq.head).device

        let batches =
            OperatorSamples.batches data.Count batchSize
            |> Array.map (fun indices ->
                use _ = torch.NewDisposeScope()
                let struct (input, truth) = OperatorSamples.take device data indices
                let image = model.Apply input
                let options = { LossOptions.Default with Mask = maskOf input truth }

                norms |> Array.map (fun norm -> Tensors.toArray (OperatorLosses.distances norm options image truth)))

        Array.init norms.Length (fun i -> batches |> Array.collect (fun batch -> batch[i]))

    /// The relative distance of each sample's image from the truth, a row for each of several norms.
    let errorsOf (norms: FieldNorm[]) (model: NeuralOperator) (data: OperatorDataset) (batchSize: int) : float[][] =
        OperatorSamples.check model "data" data
        OptionChecks.atLeast 1 "batchSize" batchSize
        errorsIn norms model data batchSize

    /// The relative distance of each sample's image from the truth in a norm.
    let errors (norm: FieldNorm) (model: NeuralOperator) (data: OperatorDataset) (batchSize: int) : float[] =
        (errorsOf [| norm |] model data batchSize)[0]

    /// A number of the data, so that a resumed training is one of the same.
    let private digest (data: OperatorDataset) =
        use _ = torch.NewDisposeScope()
        // Samples by place, so that another order is other data.
        let sum (x: Tensor) =
            let own = x.``to``(torch.float64).flatten(1L).square().sum [| 1L |]
            own.mul(torch.arange(1L, own.shape[0] + 1L).``to`` torch.float64).sum().ToDouble()

        let mask = if isNull (box data.Mask) then [||] else [| data.Mask.Values |]
        let parameters = if isNull data.Parameters then [||] else [| data.Parameters |]
        let fields = Array.append data.Inputs [| data.Output |] |> Array.map (fun (_, f) -> f.Values)
        let all = Array.concat [ fields; mask; parameters ]
        let text = all |> Array.map (fun x -> (sum x).ToString "r") |> String.concat "/"
        $"{data.Count} samples, {text}"

    let private task
        (o: OperatorTrainingOptions)
        (model: NeuralOperator)
        (train: OperatorDataset)
        (validation: OperatorDataset)
        (strided: OperatorDataset[])
        (grow: int -> unit)
        : TrainingTask =
        let device = (model.parameters () |> Seq.head).device
        let batches = MiniBatches(train.Count, o.Loop.BatchSize, o.Loop.Seed)
        let balance = LossBalance(o.Balance, o.Terms.Length)

        let total (p: OperatorPrediction) : Tensor =
            let values = LossTerms.values o.Terms p
            let numbers = values |> Array.map Tensors.toFloat

            if Array.forall Double.IsFinite numbers then
                LossTerms.weighted balance o.Terms values numbers
            else
                // The loop takes back what led here.
                values |> Array.reduce (fun a b -> a.add b)

        let resolution (step: TrainingStep) : OperatorDataset =
            if strided.Length = 1 then
                strided[0]
            elif o.Resolutions = ResolutionPlan.Curriculum then
                strided[min (strided.Length - 1) (step.Iteration * strided.Length / o.Loop.Iterations)]
            else
                use drawn =
                    torch.randint (int64 strided.Length, [| 1L |], generator = step.Generator, dtype = torch.int64)

                strided[int (drawn.ToInt64())]

        let loss (step: TrainingStep) : Tensor =
            grow step.Iteration
            let data = resolution step
            let indices = batches.At step.Iteration
            step.Count(int64 indices.Length)
            let struct (input, truth) = OperatorSamples.take device data indices
            let seen = FieldSymmetries.draw o.Symmetries model.Domain.Dimension step.Generator
            let mask = if isNull (box input.Mask) then input.Mask else seen input.Mask
            let truth = seen truth
            let input = OperatorInput(Array.map seen input.Functions, input.Parameters, mask, truth.Discretisation)
            let sample = struct (input, truth)

            match model with
            | :? Autoregressive as motion -> motionLoss o motion total step train.Count indices sample
            | _ -> total (prediction train.Count indices input (model.Apply input) truth)

        let measure (data: OperatorDataset) (_: TrainingStep) =
            errorsIn [| FieldNorm.L2 |] model data o.Loop.BatchSize |> Array.head |> Array.average

        {
            Kind = OperatorFile.checkpointKind
            Config = fun () -> OperatorFile.config model
            Fingerprint = [
                "epochs", box o.Epochs
                "terms", box (o.Terms |> Array.map (fun t -> $"{t.Name} x {t.Weight:r}"))
                "balance", box (o.Balance.ToString())
                "strides", box o.Strides
                "resolutions", box o.Resolutions
                "symmetries", box o.Symmetries
                "growth", box o.Growth
                "unroll", box o.Rollout.Unroll
                "pushforward", box o.Rollout.Pushforward
                "noise", box o.Rollout.Noise
                "model", box (OperatorFile.config model)
                "data", box (digest train)
                "validation", box (if isNull (box validation) then "none" else digest validation)
            ]
            Objectives = [| TrainingObjective.Create(OperatorFile.parameters model, loss) |]
            Extra =
                fun () ->
                    use _ = torch.NewDisposeScope()
                    [| NamedArray.FromTensor("training.balance", Tensors.vector balance.State) |]
            Restore = fun checkpoint -> balance.Restore((checkpoint.Find "training.balance").ToDoubles())
            Validate = (if isNull (box validation) then ValueNone else ValueSome(measure validation))
        }

    /// Applies the model to one sample, so that points that it cannot take are refused before hours are spent.
    let private tryOut (o: OperatorTrainingOptions) (model: NeuralOperator) (data: OperatorDataset) =
        use _ = torch.NewDisposeScope()
        use _ = torch.no_grad ()
        let device = (model.parameters () |> Seq.head).device
        let struct (input, _) = OperatorSamples.take device data [| 0 |]

        match model with
        | :? Autoregressive as motion ->
            let window = input.Functions[0].Values
            use pass = new OperatorPass(window.dtype, window.device, input.Parameters)
            motion.Step(pass, input, window) |> ignore
        | _ -> model.Apply input |> ignore

        match fourier model with
        | ValueSome fno when o.Growth > 0.0 && input.Functions[0].Discretisation.IsProduct ->
            let all = SpectralBasis.ofDomain model.Domain fno.Options.Padding fno.Options.Modes
            Array.iteri2 SpectralBasis.demand all input.Functions[0].Discretisation.Axes
        | _ -> ()

    /// Trains an operator in place. With validation data (null for none) its parameters in the end are those of the best mean relative L2 error; without, the last.
    /// Everything random comes from the seed: the same call gives the same operator bit for bit, also when it was interrupted and resumed from its checkpoint, in
    /// as many slices as one likes. `progress` (may be null) is called after every iteration.
    /// ArgumentException for wrong options, data that do not fit the model, and strides that its points do not allow; TrainingException when the loss does not stay
    /// finite; OperationCanceledException when cancelled (after a checkpoint, if a path is given); InvalidDataException for a damaged or foreign checkpoint;
    /// IOException for a checkpoint's path in a missing folder, or at a file that is no state of such a training.
    let fit
        (options: OperatorTrainingOptions)
        (model: NeuralOperator)
        (train: OperatorDataset)
        (validation: OperatorDataset)
        (progress: Action<TrainingReport>)
        (cancellation: CancellationToken)
        : TrainingSummary =
        ArgumentNullException.ThrowIfNull(model, nameof model)
        ArgumentNullException.ThrowIfNull(train, nameof train)
        NativeLibraries.ensure ()
        checkOptions options
        OperatorSamples.check model "training data" train

        if not (isNull (box validation)) then
            OperatorSamples.check model "validation data" validation

        for name, field in Array.append train.Inputs [| train.Output |] do
            FieldSymmetries.check name options.Symmetries field

        let perEpoch = (train.Count + options.Loop.BatchSize - 1) / max 1 options.Loop.BatchSize

        OptionChecks.atLeast 1 "BatchSize" options.Loop.BatchSize
        OptionChecks.atLeast 1 "ValidateEvery" options.Loop.ValidateEvery
        let iterations = int64 options.Epochs * int64 perEpoch
        let validateEvery = int64 options.Loop.ValidateEvery * int64 perEpoch

        if iterations > int64 Int32.MaxValue then
            bad
                $"{options.Epochs} epochs of {perEpoch} batches are {iterations} iterations; at most {Int32.MaxValue} are counted."

        let loop = {
            options.Loop with
                Iterations = int iterations
                ValidateEvery = int (min validateEvery (int64 Int32.MaxValue))
        }

        let d = model.Domain.Dimension

        let strided = Collections.Generic.List<OperatorDataset>()

        try
            for s in options.Strides do
                strided.Add(if s = 1 then train else train.Stride(Array.create d s))

            for data in strided do
                tryOut options model data

            if not (isNull (box validation)) then
                tryOut options model validation

            let options = { options with Loop = loop }
            let grow = growing options model
            let task = task options model train validation (strided.ToArray()) grow
            let summary = TrainingLoop.run loop task progress cancellation
            // A training that had come to its end before has made no iteration here.
            grow (summary.Iterations - 1)
            summary
        finally
            for data in strided do
                if not (Object.ReferenceEquals(data, train)) then
                    (data :> IDisposable).Dispose()

    let private scalarScale (data: OperatorDataset) : ChannelScale =
        if isNull data.Parameters then
            ChannelScale.Identity 0
        else
            use _ = torch.NewDisposeScope()
            let wide = data.Parameters.``to`` torch.float64
            let means = Tensors.toArray (wide.mean ([| 0L |]))

            let deviations =
                Tensors.toArray (wide.std (0L, false))
                |> Array.mapi (fun i d -> if d > 1e-12 * (1.0 + abs means[i]) then d else 1.0)

            { Means = means; Deviations = deviations }

    /// The scales of a data set's functions and parameters by quadrature (where the mask is), around an operator for scaled ones.
    let scaled (data: OperatorDataset) (inner: NeuralOperator) : ScaledOperator =
        OperatorSamples.check inner "data" data
        use _ = torch.NewDisposeScope()
        let inputs = data.Inputs |> Array.map (fun (_, f) -> ChannelScale.Of(f, data.Mask))

        new ScaledOperator(inner, inputs, ChannelScale.Of(snd data.Output, data.Mask), scalarScale data)

    /// The same around one step of motions: frames of inputs and outputs of the data share the scale of their components.
    /// ArgumentException where frames of so many components do not make up the channels of the data and of the step.
    let scaledStep (data: OperatorDataset) (components: int) (step: NeuralOperator) : ScaledOperator =
        let first = snd data.Inputs[0]
        let output = snd data.Output

        if
            components < 1
            || first.Channels % components <> 0
            || output.Channels % components <> 0
            || step.InputChannels[0] <> first.Channels
            || step.OutputChannels <> components
        then
            bad
                $"Frames of {components} components must make up the {first.Channels} channels of the first input and the {output.Channels} of the output, and the step go from {first.Channels} channels to {components}; it goes from {step.InputChannels[0]} to {step.OutputChannels}."

        if not (first.Discretisation.Equals output.Discretisation) then
            bad
                $"The frames of the input lie on {first.Discretisation} and those of the output on {output.Discretisation}; motions keep their points."

        use _ = torch.NewDisposeScope()
        let frames = torch.cat ([| first.Values; output.Values |], 1L)
        let shape = frames.shape
        let each = Array.concat [ [| shape[0] * shape[1] / int64 components; int64 components |]; shape[2..] ]
        // Each frame under the mask of its sample.
        let mask =
            if isNull (box data.Mask) || data.Mask.Batch = 1L then
                data.Mask
            else
                new Field(
                    data.Mask.Discretisation,
                    data.Mask.Values.repeat_interleave (shape[1] / int64 components, 0L)
                )

        let own = ChannelScale.Of(new Field(output.Discretisation, frames.reshape each), mask)
        let history = step.InputChannels[0] / components

        let repeated = {
            Means = Array.init (history * components) (fun i -> own.Means[i % components])
            Deviations = Array.init (history * components) (fun i -> own.Deviations[i % components])
        }

        let others = data.Inputs[1..] |> Array.map (fun (_, f) -> ChannelScale.Of(f, data.Mask))
        new ScaledOperator(step, Array.append [| repeated |] others, own, scalarScale data)
