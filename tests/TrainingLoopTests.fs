module TrainingLoopTests

open System
open System.IO
open System.Threading
open Continuum
open Expecto
open TorchSharp

let private temporary () = Path.Combine(Path.GetTempPath(), $"continuum-loop-{Guid.NewGuid():N}.safetensors")

let private inputs = Array.init 24 (fun i -> -1.5 + 0.125 * float i)
let private target (x: float) = sin (2.0 * x)

/// A network that learns a sine; the parameters after training, and the summary. `spoil` may replace a loss.
let private train (options: TrainingLoopOptions) validated (spoil: TrainingStep -> Tensor -> Tensor) progress token =
    use generator = new torch.Generator(uint64 options.Seed)
    use network = new Mlp(1, [| 8 |], 1, Activation.Tanh, 1.0, generator)
    let parameters = [| for struct (name, parameter) in network.named_parameters () -> name, parameter |]
    use x = Tensors.ofArray inputs [| 24L; 1L |] torch.float64 torch.CPU
    use y = Tensors.ofArray (Array.map target inputs) [| 24L; 1L |] torch.float64 torch.CPU
    let batches = MiniBatches(24, options.BatchSize, options.Seed)

    let loss (step: TrainingStep) =
        use _ = torch.NewDisposeScope()
        let index = torch.tensor(batches.At step.Iteration |> Array.map int64).clone()
        let predicted = network.call (x.index_select (0L, index))
        // Noise from the loop's generator: its state must survive a resume.
        let noise = torch.randn ([| 1L |], dtype = Nullable torch.float64, generator = step.Generator)
        step.Count 1L
        let misfit = predicted.sub(y.index_select (0L, index)).square().mean()
        (spoil step (misfit.add (noise.mul(predicted.mean ()).mul((0.01).ToScalar()).sum()))).MoveToOuterDisposeScope()

    let task = {
        Kind = "test-network"
        Config = fun () -> "{}"
        Fingerprint = [ "data", "sine" ]
        Objectives = [| TrainingObjective.Create(parameters, loss) |]
        Extra = fun () -> [||]
        Restore = ignore
        Validate =
            if validated then
                ValueSome(fun _ -> network.call(x).sub(y).square().mean().ToDouble())
            else
                ValueNone
    }

    let summary = TrainingLoop.run options task progress token
    struct (parameters |> Array.collect (snd >> Tensors.toArray), summary)

let private plain _ (loss: Tensor) = loss

let private quick = {
    TrainingLoopOptions.Default with
        Iterations = 30
        BatchSize = 7
        LearningRate = 0.02
        ValidateEvery = 5
}

let private run options validated = train options validated plain null CancellationToken.None

let private cancelAt (iteration: int) options validated =
    use source = new CancellationTokenSource()

    let progress =
        Action<TrainingReport>(fun r ->
            if r.Iteration = iteration then
                source.Cancel())

    Expect.throwsT<OperationCanceledException>
        (fun () -> train options validated plain progress source.Token |> ignore)
        "cancelled"

let private resumes name (options: TrainingLoopOptions) validated =
    testCase name
    <| fun () ->
        let path = temporary ()

        try
            let struct (whole, _) = run options validated
            let options = { options with CheckpointPath = path; Resume = true; CheckpointEvery = 4 }
            cancelAt 3 options validated
            cancelAt 17 options validated
            let struct (parts, summary) = run options validated
            Expect.equal summary.Iterations options.Iterations "iterations"
            Expect.equal parts whole "bit for bit as without the interruptions"
            let struct (again, _) = run options validated
            Expect.equal again whole "a finished training is only read"
        finally
            File.Delete path

let private resuming =
    testList "exact resume" [
        for kind in Enum.GetValues<OptimizerKind>() do
            resumes $"{kind}" { quick with Optimizer = kind } false

        resumes "Adadelta" { quick with Optimizer = Optimizers.adadelta; LearningRate = 1.0 } false
        resumes "validation and averaging" { quick with Averaging = 0.6 } true

        testCase "other options or data are refused"
        <| fun () ->
            let path = temporary ()

            try
                let options = { quick with CheckpointPath = path; Resume = true }
                cancelAt 6 options false

                let message =
                    try
                        run { options with LearningRate = 0.5 } false |> ignore
                        ""
                    with :? ArgumentException as error ->
                        error.Message

                Expect.stringContains message "learningRate was 0.02 and is 0.5" "what differs"
            finally
                File.Delete path
    ]

let private choosing =
    testList "what is kept" [
        testCase "the best parameters by validation, and an early stop"
        <| fun () ->
            // After 40 iterations the loss turns round: the parameters get worse and worse.
            let spoil (step: TrainingStep) (loss: Tensor) = if step.Iteration > 40 then loss.neg () else loss

            let options = {
                quick with
                    Iterations = 300
                    Patience = 4
                    Schedule = LearningRateSchedule.Constant
            }

            let best = ref infinity

            let watch =
                Action<TrainingReport>(fun r ->
                    if r.Iteration % 5 = 0 then
                        best.Value <- min best.Value r.ValidationLoss)

            let struct (_, summary) = train options true spoil watch CancellationToken.None
            Expect.isTrue summary.StoppedEarly $"stopped after {summary.Iterations}"
            Expect.isLessThan summary.Iterations 80 "soon after the turn"
            Expect.equal summary.Validation best.Value "the best validation is the result's"

        testCase "the mean of the last iterations"
        <| fun () ->
            let snapshots = ResizeArray<float[]>()
            let options = { quick with Averaging = 0.2; Seed = 3 }
            let struct (last, _) = run { options with Averaging = 0.0 } false
            let struct (mean, summary) = run options false
            Expect.isTrue summary.Averaged "averaged"

            for iterations in 25..30 do
                // Constant rates, so that a shorter training is the start of a longer one.
                let shorter = { options with Iterations = iterations; Averaging = 0.0 }
                let struct (values, _) = run { shorter with Schedule = LearningRateSchedule.Constant } false
                snapshots.Add values

            let struct (constant, _) = run { options with Schedule = LearningRateSchedule.Constant } false

            let expected =
                Array.init last.Length (fun i -> Seq.averageBy (fun (s: float[]) -> s[i]) (Seq.skip 0 snapshots))

            // 30 - 6 = 24: iterations 25 to 30 are averaged.
            Array.iteri2 (fun i a b -> Expect.floatClose Accuracy.high a b $"parameter {i}") constant expected
            Expect.notEqual mean last "the mean is not the last"

        testCase "a loss that is not finite sends it back to half the rate, six times at most"
        <| fun () ->
            let failures = ref 0

            let once (step: TrainingStep) (loss: Tensor) =
                if step.Iteration = 10 && failures.Value < 2 then
                    failures.Value <- failures.Value + 1
                    loss.mul (nan.ToScalar())
                else
                    loss

            let struct (values, _) = train quick false once null CancellationToken.None
            Expect.all values Double.IsFinite "finite parameters"
            Expect.equal failures.Value 2 "tried again"

            let always (_: TrainingStep) (loss: Tensor) = loss.mul (nan.ToScalar())

            let message =
                try
                    train quick false always null CancellationToken.None |> ignore
                    ""
                with :? TrainingException as error ->
                    error.Message

            Expect.stringContains message "not finite at iteration 0" "where"

        testCase "a gradient that is not finite does not reach the parameters"
        <| fun () ->
            // sqrt of zero: the value is finite, the derivative is not.
            let spoil (step: TrainingStep) (loss: Tensor) =
                if step.Iteration = 5 && step.Generator.get_state().bytes[0] >= 0uy then
                    loss.add (loss.sub(loss).sqrt())
                else
                    loss

            Expect.throwsT<TrainingException>
                (fun () -> train quick false spoil null CancellationToken.None |> ignore)
                "the same gradient at every retry"
    ]

let private alternating =
    testCase "objectives alternate, each with its own parameters, rates, repeats and constraint"
    <| fun () ->
        let parameter value = Owned.parameter (Tensors.vector [| value |])
        use a = parameter 3.0
        use b = parameter -2.0
        let order = ResizeArray<string>()

        let objective name (p: Modules.Parameter) (other: Tensor) repeats rate after = {
            Name = name
            Parameters = [| name, p |]
            RateOf = fun _ -> rate
            Repeats = repeats
            Loss =
                fun _ ->
                    order.Add name
                    p.sub(other.detach ()).square().sum()
            AfterStep = after
        }

        let box () = b.clamp_ ((-1.5).ToScalar(), (1.5).ToScalar()) |> ignore

        let task = {
            Kind = "test-pair"
            Config = fun () -> "{}"
            Fingerprint = []
            Objectives = [| objective "a" a b 1 1.0 ignore; objective "b" b a 2 0.0 box |]
            Extra = fun () -> [||]
            Restore = ignore
            Validate = ValueNone
        }

        let options = {
            quick with
                Iterations = 3
                Optimizer = OptimizerKind.Sgd
                Schedule = LearningRateSchedule.Constant
                ClipNorm = infinity
                LearningRate = 0.25
        }

        TrainingLoop.run options task null CancellationToken.None |> ignore

        Expect.equal
            (List.ofSeq order)
            [
                for _ in 1..3 do
                    yield! [ "a"; "b"; "b" ]
            ]
            "order"

        Expect.equal (Tensors.toFloat b) -1.5 "the constraint, and a rate of 0"
        Expect.isLessThan (Tensors.toFloat a) 3.0 "a moves"

let private batches =
    testCase "mini-batches: every epoch has every index once, and depends on seed and iteration alone"
    <| fun () ->
        let one, two = MiniBatches(10, 4, 7), MiniBatches(10, 4, 7)

        for epoch in 0..4 do
            let all = [| for i in 0..2 -> one.At(3 * epoch + i) |] |> Array.concat
            Expect.equal (Array.sort all) [| 0..9 |] $"epoch {epoch}"

        Expect.equal (two.At 7) (one.At 7) "without the batches before"
        Expect.notEqual (MiniBatches(10, 4, 8).At 0) (one.At 0) "another seed"
        Expect.notEqual [ for i in 0..2 -> one.At i ] [ for i in 3..5 -> one.At i ] "another epoch"

let private clean =
    testCase "no tensor is left behind"
    <| fun () ->
        let options = { quick with Averaging = 0.5 }
        run options true |> ignore
        let before = Tensors.live ()
        run options true |> ignore
        Expect.equal (Tensors.live ()) before "live tensors"

let private refused =
    testCase "options out of range are named"
    <| fun () ->
        let message options =
            try
                run options false |> ignore
                ""
            with :? ArgumentException as error ->
                error.Message

        Expect.stringContains (message { quick with Iterations = 0 }) "Iterations must be at least 1; got 0" "count"
        Expect.stringContains (message { quick with ClipNorm = 0.0 }) "ClipNorm must be positive" "clip"

        Expect.stringContains
            (message { quick with Averaging = 1.5 })
            "Averaging must lie between 0 and 1; got 1.5"
            "share"

        Expect.stringContains (message { quick with Resume = true }) "CheckpointPath" "resume"

let tests = testList "TrainingLoop" [ resuming; choosing; alternating; batches; clean; refused ]
