/// Learning operators: what is reached, and that interruptions, resolutions and motions change nothing that they should not.
module OperatorTrainingTests

open System
open System.IO
open System.Threading
open Continuum
open Continuum.Properties
open Claims
open Expecto
open TorchSharp

let private f64 = torch.float64

let private torus1 = Domain.Torus 1
let private none<'t> = Unchecked.defaultof<'t>

let private dataset (input: Field) (output: Field) (times: float[]) =
    new OperatorDataset([| "f", input |], ("u", output), [||], null, none, times, "")

/// u' of random functions.
let private derivatives (n: int) (count: int) (seed: int) =
    let grid = Discretisation.Uniform(torus1, [| n |])
    let f = OperatorLaws.field grid count 1 seed 3
    dataset f (f.With(f.Values.roll(-1L, 2L).sub(f.Values.roll (1L, 2L)).mul((0.1 * float n / 2.0).ToScalar()))) [||]

/// Waves that move by 0.05 a frame: one frame in, five out.
let private waves (n: int) (count: int) =
    let grid = Discretisation.Uniform(torus1, [| n |])
    let random = Random 3

    let frames =
        Array.init count (fun _ ->
            let a, b, p, q = random.NextDouble(), random.NextDouble(), random.NextDouble(), random.NextDouble()

            FieldValues.ofFunction 1 f64 grid (fun x ->
                Array.init 6 (fun t ->
                    let z = 2.0 * Math.PI * (x[0] - 0.05 * float t)
                    a * sin (z + 6.28 * p) + b * cos (2.0 * z + 6.28 * q)))
            |> _.Values)

    use all = torch.cat (frames, 0L)
    let part first length = new Field(grid, (all.narrow (1L, first, length)).clone())
    dataset (part 0L 1L) (part 1L 5L) [| for t in 1..5 -> float t |]

let private network inputs outputs =
    use generator = new torch.Generator(2UL)

    let options = {
        FnoOptions.Create [| 6 |] with
            Width = 6
            Layers = 2
            Projection = 8
            Positions = false
    }

    new Fno(torus1, [| inputs |], outputs, 0, options, f64, generator)

let private options epochs = {
    OperatorTrainingOptions.Default with
        Epochs = epochs
        Loop = { OperatorTrainingOptions.Default.Loop with BatchSize = 8; LearningRate = 1e-2 }
}

let private bits (model: NeuralOperator) = model.parameters () |> Seq.collect Tensors.toArray |> Seq.toArray

let private poisson =
    test "one linear spectral layer learns the Poisson equation to 1e-6" {
        use _ = torch.NewDisposeScope()
        let grid = Discretisation.Uniform(Domain.Torus 1, [| 32 |])
        let f = OperatorLaws.field grid 24 1 1 7
        let f = f.With(f.Values.sub (f.Values.mean ([| 2L |], true)))
        let u = Poisson.solve f
        use generator = new torch.Generator(1UL)

        use layer =
            new SpectralConvolution(Domain.Torus 1, [| 8 |], 1, 1, SpectralOptions.Default, f64, generator)

        use adam = torch.optim.Adam(layer.parameters (), 0.05, beta2 = 0.99)
        let steps = 800

        for i in 0 .. steps - 1 do
            use _ = torch.NewDisposeScope()

            for group in adam.ParamGroups do
                group.LearningRate <- 0.05 * Math.Pow(1e-4, float i / float steps)

            adam.zero_grad ()
            Autograd.backward ((layer.Apply f).Values.sub(u.Values).square().mean())
            adam.step () |> ignore

        for p in layer.parameters () do
            p.grad <- null

        let fine = OperatorLaws.field (Discretisation.Uniform(Domain.Torus 1, [| 45 |])) 8 1 99 7
        let fine = fine.With(fine.Values.sub (fine.Values.mean ([| 2L |], true)))

        let errors =
            OperatorLosses.distances FieldNorm.L2 LossOptions.Default (layer.Apply fine) (Poisson.solve fine)

        Expect.isLessThan (errors.max().ToDouble()) 1e-6 "relative L2, other functions on another grid"
    }

let private fitting =
    testList "fit" [
        test "an FNO learns a derivative, and carries it to other grids" {
            use train = derivatives 24 48 1
            use validation = derivatives 24 12 2
            use model = OperatorTraining.scaled train (network 1 1)
            let summary = OperatorTraining.fit (options 30) model train validation null CancellationToken.None
            Expect.isLessThan summary.Validation 0.06 "validation"
            let errors = OperatorTraining.errors FieldNorm.L2 model validation 5
            Expect.floatClose Accuracy.high (Array.average errors) summary.Validation "the best parameters are kept"
            Expect.equal summary.Curve.Length 30 "a point for each epoch"
            Expect.isLessThan summary.Curve[29].Loss summary.Curve[0].Loss "the curve falls"
            use finer = derivatives 48 12 2
            // The finer data hold another difference quotient; the trained one is what the model carries over.
            let carried = OperatorTraining.predict model finer 5
            use coarse = OperatorTraining.predict model validation 5
            let thinned = FieldResampling.upto coarse.Discretisation carried
            let gap = OperatorLosses.distance FieldNorm.L2 LossOptions.Default thinned coarse
            Expect.isLessThan (gap.ToDouble()) 0.02 "the same operator on 48 points"
        }

        test "in slices it is bit for bit the uninterrupted training, loss weights included" {
            use train = derivatives 16 20 1
            use validation = derivatives 16 6 2

            let with' path resume = {
                options 4 with
                    Terms = [|
                        LossTerms.distance "L2" 1.0 FieldNorm.L2 LossOptions.Default
                        LossTerms.distance "H1" 0.5 FieldNorm.H1 LossOptions.Default
                    |]
                    Balance = BalanceRule.ReLoBRaLoDefault 3UL
                    Loop = {
                        (options 4).Loop with
                            CheckpointPath = path
                            CheckpointEvery = 1
                            Resume = resume
                    }
            }

            use whole = network 1 1

            let reference =
                OperatorTraining.fit (with' null false) whole train validation null CancellationToken.None

            let path = Path.Combine(Path.GetTempPath(), $"operator-{Guid.NewGuid():N}.safetensors")

            try
                use sliced = network 1 1
                let mutable finished = false
                let mutable slices = 0
                let mutable curve = [||]

                while not finished do
                    slices <- slices + 1
                    use stop = new CancellationTokenSource()
                    let mutable done' = 0

                    let count =
                        Action<TrainingReport>(fun _ ->
                            done' <- done' + 1

                            if done' = 5 then
                                stop.Cancel())

                    try
                        let summary =
                            OperatorTraining.fit (with' path (slices > 1)) sliced train validation count stop.Token

                        curve <- summary.Curve
                        finished <- true
                    with :? OperationCanceledException ->
                        ()

                Expect.isGreaterThan slices 2 "slices"
                Expect.equal (bits sliced) (bits whole) "parameters"
                Expect.equal curve reference.Curve "the curve"
                use loaded = OperatorFile.load path
                Expect.equal (bits loaded) (bits whole) "the checkpoint is a model"

                use other = derivatives 16 20 5

                for train, validation in [ other, validation; train, other ] do
                    refused [ "other options or data" ] (fun () ->
                        use again = network 1 1

                        OperatorTraining.fit (with' path true) again train validation null CancellationToken.None
                        |> ignore)
            finally
                File.Delete path
        }

        for plan in [ ResolutionPlan.Mixed; ResolutionPlan.Curriculum ] do
            test $"several resolutions, {plan}" {
                use train = derivatives 48 24 1
                let o = { options 6 with Strides = [| 4; 2; 1 |]; Resolutions = plan }
                use model = network 1 1
                let before = OperatorTraining.errors FieldNorm.L2 model train 8 |> Array.average
                OperatorTraining.fit o model train none null CancellationToken.None |> ignore

                Expect.isLessThan
                    (OperatorTraining.errors FieldNorm.L2 model train 8 |> Array.average)
                    (0.7 * before)
                    "error"

                use again = network 1 1
                OperatorTraining.fit o again train none null CancellationToken.None |> ignore
                Expect.equal (bits again) (bits model) "seeded"
            }

        test "symmetries: every drawn view of a solution is a solution, and all of them are drawn" {
            use _ = torch.NewDisposeScope()

            for domain, layout in
                [
                    Domain.Torus 2, PointLayout.Periodic
                    Domain.Cube(2, 1.0, Boundary.Dirichlet), PointLayout.Nodes
                    Domain.Cube(2, 1.0, Boundary.Neumann), PointLayout.Cells
                ] do
                let grid = Discretisation.Uniform(domain, [| 12; 12 |], [| layout; layout |])
                let f = OperatorLaws.field grid 1 1 4 3
                let u = GridCalculus.laplacian f
                use generator = new torch.Generator(4UL)

                let views =
                    List.init 80 (fun _ ->
                        let seen = FieldSymmetries.draw BoxSymmetries.All 2 generator
                        let image, wanted = GridCalculus.laplacian (seen f), seen u
                        let gap = image.Values.sub(wanted.Values).abs().max().ToDouble()
                        Expect.isLessThan gap 1e-8 $"{layout}"
                        Tensors.toArray (seen f).Values |> Array.take 30 |> Array.map (fun v -> Math.Round(v, 9)))

                Expect.equal (List.distinct views).Length 8 "views"
        }

        test "symmetries are refused where points are not alike" {
            use train = derivatives 16 4 1
            use model = network 1 1
            let fit' o = OperatorTraining.fit o model train none null CancellationToken.None |> ignore
            fit' { options 1 with Symmetries = BoxSymmetries.All }
            let long = Discretisation.Uniform(Domain.Torus 2, [| 16; 8 |])
            let field = OperatorLaws.field long 4 1 1 2
            use data = dataset field (field.With(field.Values.clone ())) [||]
            use generator = new torch.Generator(2UL)
            use plane = new Fno(Domain.Torus 2, [| 1 |], 1, 0, FnoOptions.Create [| 3; 3 |], f64, generator)

            refused [ "axis 1"; "8 points"; "reflections" ] (fun () ->
                OperatorTraining.fit
                    { options 1 with Symmetries = BoxSymmetries.All }
                    plane
                    data
                    none
                    null
                    CancellationToken.None
                |> ignore)
        }

        test "motions: one step learned with unrolling, pushforward and noise, rolled out" {
            use train = waves 16 32
            use model = new Autoregressive(OperatorTraining.scaledStep train 1 (network 1 1), 1, 5)

            let o = { options 60 with Rollout = { Unroll = 2; Pushforward = 1; Noise = 0.001 } }

            OperatorTraining.fit o model train none null CancellationToken.None |> ignore
            let errors = OperatorTraining.errors FieldNorm.L2 model train 8
            Expect.isLessThan (Array.average errors) 0.1 "five frames from one"

            refused [ "6 frames"; "8" ] (fun () ->
                let o = { o with Rollout = { o.Rollout with Pushforward = 5 } }
                OperatorTraining.fit o model train none null CancellationToken.None |> ignore)
        }

        test "modes are taken into use while it trains, also across interruptions, and the file knows how many" {
            use train = derivatives 16 20 1

            let fresh () =
                use generator = new torch.Generator(2UL)
                let fno = { FnoOptions.Create [| 6 |] with Width = 6; Layers = 1; FirstModes = [| 2 |] }
                new Fno(torus1, [| 1 |], 1, 0, fno, f64, generator)

            let with' path resume = {
                options 6 with
                    Growth = 0.5
                    Loop = {
                        (options 6).Loop with
                            CheckpointPath = path
                            CheckpointEvery = 1
                            Resume = resume
                    }
            }

            use whole = fresh ()
            let seen = Collections.Generic.List<int>()
            let note = Action<TrainingReport>(fun _ -> seen.Add whole.ActiveModes[0])
            OperatorTraining.fit (with' null false) whole train none note CancellationToken.None |> ignore
            // 18 iterations, half of them for five values.
            Expect.sequenceEqual (Seq.distinct seen) [ 2; 3; 4; 5; 6 ] "one after another"
            Expect.equal seen[8] 6 "all after half of the training"

            inFolder (fun folder ->
                let path = IO.Path.Combine(folder, "part.safetensors")
                use stop = new CancellationTokenSource()
                let mutable count = 0

                let cancel =
                    Action<TrainingReport>(fun _ ->
                        count <- count + 1

                        if count = 5 then
                            stop.Cancel())

                use part = fresh ()

                Expect.throwsT<OperationCanceledException>
                    (fun () -> OperatorTraining.fit (with' path false) part train none cancel stop.Token |> ignore)
                    "stopped"

                use stored = OperatorFile.load path
                Expect.equal (bits stored) (bits part) "the checkpoint is the model, modes included"
                use input = OperatorLaws.field (Discretisation.Uniform(torus1, [| 16 |])) 1 1 3 3
                let image (m: NeuralOperator) = Tensors.toArray (m.Apply input).Values
                Expect.equal (image stored) (image part) "and has its images"
                use again = fresh ()
                OperatorTraining.fit (with' path true) again train none null CancellationToken.None |> ignore
                Expect.equal (bits again) (bits whole) "as without the interruption")

            inFolder (fun folder ->
                let path = IO.Path.Combine(folder, "whole.safetensors")
                use first = fresh ()
                OperatorTraining.fit (with' path false) first train none null CancellationToken.None |> ignore
                use again = fresh ()
                OperatorTraining.fit (with' path true) again train none null CancellationToken.None |> ignore
                Expect.equal again.ActiveModes [| 6 |] "modes of a training that had come to its end"
                Expect.equal (bits again) (bits first) "and its parameters"
                // A few iterations are enough, and a grown operator is trained on.
                use short = fresh ()
                let few = { with' null false with Growth = 1.0; Epochs = 1 }
                OperatorTraining.fit few short train none null CancellationToken.None |> ignore
                Expect.equal short.ActiveModes [| 6 |] "all in the last iteration"
                OperatorTraining.fit few short train none null CancellationToken.None |> ignore)

            refused [ "first modes"; "Growth = 0" ] (fun () ->
                use all = network 1 1
                OperatorTraining.fit (with' null false) all train none null CancellationToken.None |> ignore)
        }

        test "physics instead of data: the residual alone teaches the Poisson equation" {
            use _ = torch.NewDisposeScope()
            let grid = Discretisation.Uniform(torus1, [| 32 |])
            let f = OperatorLaws.field grid 24 1 1 3
            let f = f.With(f.Values.sub (f.Values.mean ([| 2L |], true)))
            use data = dataset f (Poisson.solve f) [||]
            use generator = new torch.Generator(1UL)

            let linear = {
                FnoOptions.Create [| 4 |] with
                    Width = 1
                    Layers = 1
                    Projection = 0
                    Positions = false
                    Skip = OperatorSkip.None
            }

            use model = new Fno(torus1, [| 1 |], 1, 0, linear, f64, generator)

            let mean (image: Field) = image.Values.mean().square()

            let o = {
                options 300 with
                    Terms = [|
                        LossTerms.residual "Poisson" 1.0 LossOptions.Default (fun inputs image ->
                            Poisson.residual inputs[0] image)
                        LossTerms.ofFunction "mean" 1.0 (fun p -> mean p.Prediction)
                    |]
                    Loop = { (options 1).Loop with BatchSize = 24; LearningRate = 0.03; WeightDecay = 0.0 }
            }

            OperatorTraining.fit o model data none null CancellationToken.None |> ignore
            Expect.isLessThan (OperatorTraining.errors FieldNorm.L2 model data 24 |> Array.average) 0.05 "error"
        }
    ]

let private weighted =
    testList "parts that count" [
        test "scales are those of the part where the mask is" {
            use _ = torch.NewDisposeScope()
            let grid = Discretisation.Uniform(Domain [| Axis.Open 2.0 |], [| 33 |], [| PointLayout.Cells |])
            let mask = FieldValues.ofFunction 1 f64 grid (fun x -> [| (if x[0] < 1.0 then 1.0 else 0.0) |])
            let wild = FieldValues.ofFunction 2 f64 grid (fun x -> [| if x[0] < 1.0 then 3.0 + x[0] else 1e6 |])
            let scale = ChannelScale.Of(wild, mask)

            let inside = [|
                for x in grid.Axes[0].Coordinates do
                    if x < 1.0 then
                        3.0 + x
            |]

            Expect.floatClose
                { absolute = 1e-3; relative = 0.0 }
                scale.Means[0]
                (Array.average inside)
                "mean, equal weights but at the end"

            Expect.isLessThan scale.Deviations[0] 0.4 "deviation"
            let everywhere = ChannelScale.Of wild
            Expect.isGreaterThan everywhere.Deviations[0] 1e5 "without the mask"

            refused [ "0 everywhere" ] (fun () ->
                ChannelScale.Of(wild, mask.With(torch.zeros_like mask.Values)) |> ignore)
        }

        test "sample weights go with the samples, whatever the batch" {
            use _ = torch.NewDisposeScope()
            let grid = Discretisation.Uniform(torus1, [| 16 |])
            let truth = OperatorLaws.field grid 6 1 1 2
            let guess = OperatorLaws.field grid 6 1 2 2
            let weights = [| 0.0; 3.0; 1.0; 0.5; 0.0; 2.0 |]

            let term =
                LossTerms.distance "d" 1.0 FieldNorm.L2 { LossOptions.Default with SampleWeights = Some weights }

            let take (field: Field) (rows: int[]) = FieldParts.take rows field

            let valueOf (samples: int[]) (rows: int[]) =
                (term.Evaluate {
                    Inputs = [||]
                    Prediction = take guess rows
                    Truth = Some(take truth rows)
                    Mask = None
                    Samples = samples
                    Population = 6
                })
                    .ToDouble()

            let value rows = valueOf rows rows
            let whole = value [| 0..5 |]
            let batches = [ [| 4; 1 |]; [| 0; 5 |]; [| 3; 2 |] ]
            Expect.floatClose Accuracy.high (List.averageBy value batches) whole "the mean over batches"
            Expect.equal (value [| 0; 4 |]) 0.0 "weights of zero"

            let each = OperatorLosses.distances FieldNorm.L2 LossOptions.Default guess truth |> Tensors.toArray
            let wanted = (Array.map2 (*) weights each |> Array.sum) / Array.sum weights
            Expect.floatClose Accuracy.high whole wanted "the weighted mean"
            use more = derivatives 16 7 1

            refused [ "6 sample weights"; "7 samples" ] (fun () ->
                use model = network 1 1

                OperatorTraining.fit { options 1 with Terms = [| term |] } model more none null CancellationToken.None
                |> ignore)
        }

        test "samples of weight zero teach nothing" {
            use train = derivatives 16 12 1
            use wrong = derivatives 16 12 1
            (snd wrong.Output).Values.narrow(0L, 6L, 6L).mul_(-1.0.ToScalar()) |> ignore

            let o = {
                options 8 with
                    Terms = [|
                        LossTerms.distance "d" 1.0 FieldNorm.L2 {
                            LossOptions.Default with
                                SampleWeights = Some [| for i in 0..11 -> if i < 6 then 1.0 else 0.0 |]
                        }
                    |]
            }

            let learn data =
                let model = network 1 1
                OperatorTraining.fit o model data none null CancellationToken.None |> ignore
                model

            use a = learn train
            use b = learn wrong
            Expect.equal (bits a) (bits b) "the same operator"
        }
    ]

let private differing =
    test "a checkpoint of other options names the option, and no more" {
        use train = derivatives 16 6 1

        inFolder (fun folder ->
            let path = Path.Combine(folder, "a.safetensors")

            let fit width resume =
                use generator = new torch.Generator(2UL)
                let fno = { FnoOptions.Create [| 3 |] with Width = width; Layers = 1 }
                use model = new Fno(torus1, [| 1 |], 1, 0, fno, f64, generator)

                let o = {
                    options 1 with
                        Loop = { (options 1).Loop with CheckpointPath = path; Resume = resume }
                }

                OperatorTraining.fit o model train none null CancellationToken.None |> ignore

            fit 4 false
            let text = messageOf<ArgumentException>(fun () -> fit 5 true)
            Expect.stringContains text "model.config.options.width was 4 and is 5" "what differs"
            Expect.isLessThan text.Length 400 text)
    }

let private refusals =
    testList "refusals" [
        test "data that do not fit the model" {
            use train = derivatives 16 4 1

            let fit (model: NeuralOperator) o =
                OperatorTraining.fit o model train none null CancellationToken.None |> ignore

            use two = network 2 1
            refused [ "training data"; "[1]"; "[2]" ] (fun () -> fit two (options 1))
            use model = network 1 1
            refused [ "Stride 0" ] (fun () -> fit model { options 1 with Strides = [| 0 |] })
            refused [ "16"; "3" ] (fun () -> fit model { options 1 with Strides = [| 3 |] })
            refused [ "Axis 0"; "6 modes"; "8 points" ] (fun () -> fit model { options 1 with Strides = [| 2 |] })
            refused [ "Epochs" ] (fun () -> fit model (options 0))

            // Nothing is trained before all resolutions have been tried.
            let mutable iterations = 0
            let note = Action<TrainingReport>(fun _ -> iterations <- iterations + 1)

            let tried o validation = OperatorTraining.fit o model train validation note CancellationToken.None |> ignore

            for plan in [ ResolutionPlan.Mixed; ResolutionPlan.Curriculum ] do
                refused [ "6 modes"; "8 points" ] (fun () ->
                    tried { options 1 with Strides = [| 1; 2 |]; Resolutions = plan } none)

            use few = derivatives 8 2 1
            refused [ "6 modes"; "8 points" ] (fun () -> tried (options 1) few)
            let waiting = { options 1 with Growth = 1.0; Strides = [| 1; 2 |] }

            refused [ "6 modes"; "8 points" ] (fun () ->
                use generator = new torch.Generator(2UL)
                let fno = { FnoOptions.Create [| 6 |] with Width = 6; FirstModes = [| 2 |] }
                use growing = new Fno(torus1, [| 1 |], 1, 0, fno, f64, generator)
                OperatorTraining.fit waiting growing train none note CancellationToken.None |> ignore)

            refuses "iterations" (fun () ->
                tried { options Int32.MaxValue with Loop = { (options 1).Loop with BatchSize = 1 } } none)

            refuses "1024" (fun () -> tried { options 1 with Loop = { (options 1).Loop with Threads = 2000 } } none)

            let at path = { options 1 with Loop = { (options 1).Loop with CheckpointPath = path } }

            inFolder (fun folder ->
                let missing = Path.Combine(folder, "none", "a.safetensors")
                failsWith<DirectoryNotFoundException> [ "'" + missing + "'" ] (fun () -> tried (at missing) none)
                let other = Path.Combine(folder, "data.csv")
                File.WriteAllText(other, "x\n1\n")
                failsWith<IOException> [ "no checkpoint"; "data.csv" ] (fun () -> tried (at other) none)
                Expect.equal (File.ReadAllText other) "x\n1\n" "the file is kept")

            Expect.equal iterations 0 "iterations"

            refused [ "Frames of 2 components"; "1 channels" ] (fun () ->
                OperatorTraining.scaledStep train 2 model |> ignore)

            use single = train.To torch.float32

            refused [ "Float32"; "To" ] (fun () -> OperatorTraining.errors FieldNorm.L2 model single 4 |> ignore)
        }
    ]

let private memory =
    test "training and evaluation leave no tensor behind, also where they are refused" {
        use train = derivatives 16 6 1
        use model = network 1 1

        let wrongStride () =
            refuses "3" (fun () ->
                OperatorTraining.fit
                    { options 1 with Strides = [| 2; 3 |] }
                    model
                    train
                    none
                    null
                    CancellationToken.None
                |> ignore)

        wrongStride ()
        OperatorTraining.fit (options 1) model train none null CancellationToken.None |> ignore
        let before = Tensors.live ()
        OperatorTraining.fit (options 1) model train none null CancellationToken.None |> ignore
        wrongStride ()
        OperatorTraining.errors FieldNorm.H1 model train 4 |> ignore
        (OperatorTraining.predict model train 4).Values.Dispose()
        Expect.equal (Tensors.live () - before) 0L "live tensors"
    }

let all = testList "Operator training" [ poisson; fitting; weighted; differing; refusals; memory ]
