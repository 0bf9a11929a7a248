module CdeModelTests

open System
open System.IO
open System.Threading
open Continuum
open Continuum.Properties
open Claims
open Expecto
open TorchSharp

let private temporary () = Path.Combine(Path.GetTempPath(), $"continuum-cde-{Guid.NewGuid():N}.safetensors")
let private fit options data = NeuralCde.fit options data null CancellationToken.None

let private normal (random: Random) =
    sqrt (-2.0 * log (1.0 - random.NextDouble())) * cos (2.0 * Math.PI * random.NextDouble())

/// Rising times in [0, 1], at least two.
let private visits (random: Random) (least: int) (most: int) =
    Array.init (random.Next(least, most + 1)) (fun _ -> random.NextDouble()) |> Array.sort

let private subject id times values target : IrregularSubject = {
    Id = id
    Path = { Times = times; Values = values }
    Statics = [||]
    Target = target
    VisitTargets = null
}

/// Circles run through at random speeds from random angles, a third of the values missing; class 1 turns left. Whatever the last values
/// are, both classes are equally likely.
let internal circles (seed: int) (count: int) : IrregularSeries =
    let random = Random seed

    let one i =
        let label = i % 2
        let times = visits random 5 9
        let sign = if label = 1 then 1.0 else -1.0
        let phase, speed = 2.0 * Math.PI * random.NextDouble(), 3.0 + 2.0 * random.NextDouble()

        let values =
            Array2D.init times.Length 2 (fun k j ->
                if random.NextDouble() < 0.33 then
                    nan
                else
                    let angle = phase + sign * speed * times[k]
                    (if j = 0 then cos angle else sin angle) + 0.05 * normal random)

        subject $"s{i}" times values [| float label |]

    IrregularSeries.Create([| "x"; "y" |], [||], [| "class" |], [||], Array.init count one)

/// Paths with a jump; the targets are the integral of the path over time, and the time of the jump.
let private integrals (seed: int) (count: int) : IrregularSeries =
    let random = Random seed

    let one i =
        let times = Array.append [| 0.0 |] (visits random 4 8)
        let level, slope = normal random, normal random
        let value t = level + slope * t

        let integral = Array.pairwise times |> Array.sumBy (fun (s, t) -> (t - s) * 0.5 * (value s + value t))

        let values = Array2D.init times.Length 1 (fun k _ -> value times[k])
        subject $"s{i}" times values [| integral; slope |]

    IrregularSeries.Create([| "x" |], [||], [| "integral"; "slope" |], [||], Array.init count one)

/// Noisy oscillations of one frequency, two channels, with missing values.
let private oscillators (seed: int) (count: int) : IrregularSeries =
    let random = Random seed

    let one i =
        let times = Array.init 10 (fun k -> 0.25 * (float k + 0.5 * random.NextDouble()))
        let phase, size = 2.0 * Math.PI * random.NextDouble(), 0.7 + 0.6 * random.NextDouble()

        let values =
            Array2D.init times.Length 2 (fun k j ->
                if random.NextDouble() < 0.2 then
                    nan
                else
                    let angle = phase + 3.0 * times[k]
                    size * (if j = 0 then cos angle else -(sin angle)) + 0.02 * normal random)

        subject $"s{i}" times values [||]

    IrregularSeries.Create([| "position"; "speed" |], [||], [||], [||], Array.init count one)

let private labels (data: IrregularSeries) = data.Subjects |> Array.map (fun s -> int s.Target[0])

let private chances (table: float[,]) = Array.init (table.GetLength 0) (fun i -> table[i, 1])

let private quick = {
    NeuralCdeOptions.Default with
        State = 8
        Hidden = [| 16 |]
        Scheme = ControlScheme.Linear
        Method = "Heun"
        Differentiation = Differentiation.Recorded
        Loop = {
            TrainingLoopOptions.Default with
                Iterations = 120
                BatchSize = 32
                LearningRate = 0.03
                Patience = 0
        }
}

/// A model after a handful of iterations: for what does not need a good one.
let private hasty = {
    quick with
        Differentiation = Differentiation.DiscreteDefault
        Loop = { quick.Loop with Iterations = 8; ValidateEvery = 3 }
}

let private learns name (options: NeuralCdeOptions) (least: float) =
    testCase name
    <| fun () ->
        let result = fit options (circles 1 160)
        use model = result.Model
        let held = circles 2 200
        let auroc = ClassificationMetrics.auroc (labels held) (chances (model.Predict held))
        Expect.isGreaterThan auroc least $"AUROC of the direction of rotation {auroc:F3}"

let private classifiers =
    testList "classifiers see the order of visits" [
        learns "Hermite" { quick with Scheme = ControlScheme.Hermite; Method = "Rk4" } 0.9
        learns
            "rectilinear, gated"
            {
                quick with
                    Scheme = ControlScheme.Rectilinear
                    Gated = true
                    Method = "Euler"
            }
            0.9
        learns "linear, two layers" { quick with Scheme = ControlScheme.Linear; Layers = 2; Method = "Heun" } 0.9

        learns
            "log-signatures of depth 2"
            {
                quick with
                    Depth = 2
                    Window = 4
                    Intensity = false
                    Scheme = ControlScheme.Linear
            }
            0.9

        testCase "and last values do not"
        <| fun () ->
            let training, held = circles 1 160, circles 2 200
            let features = LastValues.fit (SeriesScaling.fit null training) training

            let model =
                LogisticRegression.fitCrossValidated
                    [| 0.1; 1.0; 10.0 |]
                    4
                    0
                    (LastValues.table features training)
                    (labels training)

            let auroc = ClassificationMetrics.auroc (labels held) (model.Predict(LastValues.table features held))
            Expect.isLessThan auroc 0.65 $"AUROC of last values {auroc:F3}"
    ]

let private regressors =
    testCase "a regressor learns functionals of the path"
    <| fun () ->
        let options = { quick with Task = NeuralCdeTask.Regression; Loop.Iterations = 200 }
        let result = fit options (integrals 1 160)
        use model = result.Model
        let held = integrals 2 100
        let predicted = model.Predict held

        for j in 0..1 do
            let target = held.Subjects |> Array.map (fun s -> s.Target[j])
            let mean = Array.average target
            let error = target |> Array.mapi (fun i y -> (predicted[i, j] - y) ** 2.0) |> Array.average
            let spread = target |> Array.averageBy (fun y -> (y - mean) ** 2.0)

            Expect.isLessThan
                (error / spread)
                0.25
                $"share of variance of target {j} not explained: {error / spread:F4}"

let private forecasters =
    testCase "a forecaster beats the last known value"
    <| fun () ->
        let options = {
            quick with
                Task = NeuralCdeTask.Forecast
                Horizon = 5
                ForecastStep = 0.2
                Loop.Iterations = 200
        }

        let result = fit options (oscillators 1 80)
        use model = result.Model
        let whole = oscillators 2 60
        let history = whole.Until 1.8
        let later = whole.Subjects |> Array.map (fun s -> s.Path.Times |> Array.filter (fun t -> t > 1.8))
        let forecast = model.Forecast(history, later)
        let mutable own, still, count = 0.0, 0.0, 0

        for i in 0 .. whole.Count - 1 do
            let path = whole.Subjects[i].Path
            let first = path.Rows - later[i].Length
            let known = NeuralCdePaths.lastKnown model.Config history.Subjects[i]

            for k in 0 .. later[i].Length - 1 do
                for j in 0..1 do
                    let truth = path.Values[first + k, j]

                    if not (Double.IsNaN truth) then
                        let last = SeriesScaling.unscale model.Config.Scaling j known[first - 1, j]
                        own <- own + (forecast[i][k, j] - truth) ** 2.0
                        still <- still + (last - truth) ** 2.0
                        count <- count + 1

        Expect.isLessThan
            (own / still)
            0.25
            $"mean squared error {own / float count:F4} against {still / float count:F4}"

let private perVisit =
    testCase "a model of visits predicts at each from those before"
    <| fun () ->
        // The running mean of the values so far.
        let random = Random 5

        let one i =
            let times = visits random 4 7
            let values = Array2D.init times.Length 1 (fun _ _ -> normal random)
            let mean k = Seq.average (seq { for r in 0..k -> values[r, 0] })

            let targets = Array2D.init times.Length 1 (fun k _ -> if k % 3 = 1 then nan else mean k)
            { subject $"s{i}" times values [||] with VisitTargets = targets }

        let data = IrregularSeries.Create([| "x" |], [||], [||], [| "mean" |], Array.init 160 one)

        let options = {
            quick with
                Task = NeuralCdeTask.Regression
                PerVisit = true
                Scheme = ControlScheme.Rectilinear
                Method = "Euler"
                Loop.Iterations = 200
        }

        let result = fit options (data.Subset [| 0..119 |])
        use model = result.Model
        let held = data.Subset [| 120..159 |]
        let predicted = model.PredictOverTime held
        let mutable error, spread = 0.0, 0.0

        held.Subjects
        |> Array.iteri (fun i s ->
            for k in 0 .. s.Path.Rows - 1 do
                if not (Double.IsNaN s.VisitTargets[k, 0]) then
                    error <- error + (predicted[i][k, 0] - s.VisitTargets[k, 0]) ** 2.0
                    spread <- spread + s.VisitTargets[k, 0] ** 2.0)

        Expect.isLessThan (error / spread) 0.25 $"share of the running means not explained {error / spread:F3}"

let private bits (table: float[,]) = table |> Seq.cast<float> |> Seq.map BitConverter.DoubleToInt64Bits |> Seq.toArray

let private repeatable =
    testList "files, seeds and memory" [
        testCase "the same seed gives the same model, another one another"
        <| fun () ->
            let data = circles 3 24

            let predictions seed =
                use model = (fit { hasty with Loop.Seed = seed } data).Model
                bits (model.Predict data)

            Expect.equal (predictions 1) (predictions 1) "bit for bit"
            Expect.notEqual (predictions 1) (predictions 2) "another seed"

        testCase "a saved model predicts the same numbers"
        <| fun () ->
            let path = temporary ()

            try
                for options in
                    [
                        hasty
                        { hasty with Layers = 2; Gated = true; Scheme = ControlScheme.Rectilinear }
                        { hasty with Depth = 2; Window = 3 }
                    ] do
                    let data = circles 3 24
                    use model = (fit options data).Model
                    model.Save path
                    use again = NeuralCde.load path
                    Expect.equal (bits (again.Predict data)) (bits (model.Predict data)) "bit for bit"

                let data = oscillators 3 10

                let times =
                    data.Subjects
                    |> Array.map (fun s -> Array.last s.Path.Times)
                    |> Array.map (fun t -> [| t + 0.1; t + 0.7 |])

                use model = (fit { hasty with Task = NeuralCdeTask.Forecast } data).Model
                model.Save path
                use again = NeuralCde.load path
                let all (m: NeuralCdeModel) = m.Forecast(data, times) |> Array.collect bits
                Expect.equal (all again) (all model) "forecasts bit for bit"
            finally
                File.Delete path

        testCase "an interrupted training goes on as if it had not been"
        <| fun () ->
            let path = temporary ()
            let data = circles 3 30

            try
                use whole = (fit hasty data).Model
                let options = { hasty with Loop.CheckpointPath = path; Loop.Resume = true }
                use source = new CancellationTokenSource()

                let progress =
                    Action<TrainingReport>(fun r ->
                        if r.Iteration = 5 then
                            source.Cancel())

                Expect.throwsT<OperationCanceledException>
                    (fun () -> NeuralCde.fit options data progress source.Token |> ignore)
                    "cancelled"

                use part = NeuralCde.load path
                Expect.equal part.Config.Outputs [| "0"; "1" |] "a checkpoint of a training is a model too"
                use parts = (fit options data).Model
                Expect.equal (bits (parts.Predict data)) (bits (whole.Predict data)) "bit for bit"
            finally
                File.Delete path

        testCase "no tensor is left behind"
        <| fun () ->
            let data, path = circles 3 24, temporary ()

            let everything (options: NeuralCdeOptions) (data: IrregularSeries) =
                use model = (fit options data).Model
                model.Save path
                use again = NeuralCde.load path

                if options.Task = NeuralCdeTask.Forecast then
                    let last = data.Subjects |> Array.map (fun s -> [| Array.last s.Path.Times + 0.5 |])
                    again.Forecast(data, last) |> ignore
                else
                    again.Predict data |> ignore

                    if options.Depth = 1 then
                        again.PredictOverTime data |> ignore
                        use stream = new NeuralCdeStream(again, [||])
                        stream.Push(0.1, [| 0.5; nan |]) |> ignore
                        stream.Push(0.4, [| 0.2; 0.3 |]) |> ignore

            try
                for options, data in
                    [
                        hasty, data
                        { hasty with Depth = 2; Window = 3 }, data
                        { hasty with Task = NeuralCdeTask.Forecast }, oscillators 3 10
                    ] do
                    everything options data
                    let before = Tensors.live ()
                    everything options data
                    Expect.equal (Tensors.live ()) before "live tensors"
            finally
                File.Delete path
    ]

let private laws =
    testList "laws" [
        for name, options in
            [
                "Hermite", { hasty with Scheme = ControlScheme.Hermite; Method = "Rk4" }
                "rectilinear, two gated layers",
                { hasty with Scheme = ControlScheme.Rectilinear; Layers = 2; Gated = true }
                "log-signatures", { hasty with Depth = 2; Window = 4 }
            ] do
            testCase name
            <| fun () ->
                let data = circles 3 24
                use model = (fit options data).Model
                holds (CdeModelLaws.batching model data)
                holds (CdeModelLaws.padding model data)

                if options.Depth = 1 then
                    holds (CdeModelLaws.causality model data)
                    holds (CdeModelLaws.truncation model data)
                    holds (CdeModelLaws.streaming model data)

        testCase "a path that looks ahead breaks causality"
        <| fun () ->
            let data = circles 3 24
            use model = (fit { hasty with Causal = false; Scheme = ControlScheme.NaturalCubic } data).Model
            Expect.isFalse (CdeModelLaws.causality model data).Holds "natural cubic"
            holds (CdeModelLaws.batching model data)

        testCase "forecasts"
        <| fun () ->
            let data = oscillators 3 10
            use model = (fit { hasty with Task = NeuralCdeTask.Forecast } data).Model
            holds (CdeModelLaws.forecastBatching model data)
            holds (CdeModelLaws.forecastContinuation model data)
    ]

let private refused =
    testList "what is refused, and why" [
        let data = circles 3 12

        let says name (parts: string list) (options: NeuralCdeOptions) (data: IrregularSeries) =
            testCase name
            <| fun () ->
                let text = messageOf<ArgumentException>(fun () -> (fit options data).Model |> ignore)

                for part in parts do
                    Expect.stringContains text part "the message"

        says
            "a spline for a causal model"
            [ "natural cubic"; "Hermite" ]
            { hasty with Scheme = ControlScheme.NaturalCubic }
            data

        says "an unknown method" [ "Rk5" ] { hasty with Method = "Rk5" } data

        says
            "log-signatures at every visit"
            [ "Depth = 1" ]
            { hasty with Depth = 2; Task = NeuralCdeTask.Forecast }
            data

        says "one class" [ "classes [1]"; "two" ] hasty (data.Subset [| 1; 3; 5; 7 |])

        says
            "a class that is no whole number"
            [ "subject 's0'"; "0.5" ]
            hasty
            (data.WithTargets([| "class" |], Array.init 12 (fun i -> [| 0.5 + float i |])))

        says "no targets" [ "subject 's0' has no target" ] hasty (data.WithTargets([| "class" |], Array.create 12 [||]))

        says
            "weights of classes"
            [ "3 ClassWeights for 2 outputs" ]
            { hasty with ClassWeights = [| 1.0; 1.0; 1.0 |] }
            data

        let withSecond (value: float) =
            let change (subject: IrregularSubject) =
                let values = subject.Path.Values |> Array2D.mapi (fun _ j v -> if j = 1 then value else v)
                { subject with Path = { subject.Path with Values = values } }

            IrregularSeries.Create(data.Channels, [||], data.TargetNames, [||], Array.map change data.Subjects)

        says "a channel that was never measured" [ "channel 'y' has no value"; "leave" ] hasty (withSecond nan)
        says "numbers whose squares overflow" [ "subject 's0'"; "'y'"; "too large" ] hasty (withSecond 1e300)

        says
            "targets whose squares overflow"
            [ "subject 's0'"; "1E+300"; "target 'class'" ]
            { hasty with Task = NeuralCdeTask.Regression }
            (data.WithTargets([| "class" |], Array.init 12 (fun i -> [| 1e300 * float (1 + i) |])))

        says
            "a class below 0"
            [ "subject 's0' has the class -1"; "0, 1, 2" ]
            hasty
            (data.WithTargets([| "class" |], Array.init 12 (fun i -> [| float (i % 2) - 1.0 |])))

        testCase "new subjects in whom a channel was never measured are predicted, and alone as among others"
        <| fun () ->
            use model = (fit hasty data).Model
            let odd = withSecond nan

            let alone =
                IrregularSeries.Create(data.Channels, [||], [||], [||], [| { odd.Subjects[2] with Target = [||] } |])

            let among = Array.append [| odd.Subjects[2] |] data.Subjects

            let beside =
                IrregularSeries.Create(
                    data.Channels,
                    [||],
                    data.TargetNames,
                    [||],
                    among |> Array.mapi (fun i s -> { s with Id = $"n{i}" })
                )

            Expect.equal (model.Predict alone) (model.Predict(beside.Subset [| 0 |])) "the same chances"
            let course (subjects: IrregularSeries) = Array.head (model.PredictOverTime subjects)
            Expect.equal (course alone) (course (beside.Subset [| 0 |])) "over time"

        testCase "other channels than those of the fit"
        <| fun () ->
            use model = (fit hasty data).Model
            let other = IrregularSeries.Create([| "y"; "x" |], [||], [| "class" |], [||], data.Subjects)
            let text = messageOf<ArgumentException>(fun () -> model.Predict other |> ignore)
            Expect.stringContains text "[x, y], the data [y, x]" "both lists"

        testCase "a forecast into the past"
        <| fun () ->
            use model = (fit { hasty with Task = NeuralCdeTask.Forecast } data).Model
            let times = data.Subjects |> Array.map (fun s -> [| s.Path.Times[0] |])

            Expect.stringContains
                (messageOf<ArgumentException>(fun () -> model.Forecast(data, times) |> ignore))
                "subject 's0'"
                "who"

        testCase "one visit, and a channel without a value, are no obstacle"
        <| fun () ->
            use model = (fit hasty data).Model
            let one = subject "one" [| 0.3 |] (array2D [ [ nan; 0.5 ] ]) [| 0.0 |]
            let all = Array.append data.Subjects [| one |]
            let beside = IrregularSeries.Create(data.Channels, [||], data.TargetNames, [||], all)
            let chance = (model.Predict beside)[data.Count, 1]
            Expect.isTrue (chance > 0.0 && chance < 1.0) $"a chance: {chance}"
    ]

let private several =
    testCase "three classes, covariates and class weights"
    <| fun () ->
        let random = Random 8

        let one i =
            let times = visits random 2 4

            {
                subject $"s{i}" times (Array2D.init times.Length 1 (fun _ _ -> normal random)) [| float (i % 3) |] with
                    Statics = [| float (i % 3); (if i % 4 = 0 then nan else normal random) |]
            }

        let data =
            IrregularSeries.Create([| "x" |], [| "group"; "gap" |], [| "class" |], [||], Array.init 60 one)

        let options = { quick with ClassNames = [| "a"; "b"; "c" |]; Loop.Iterations = 60 }
        use plain = (fit options data).Model
        let p = plain.Predict data
        Expect.equal plain.Config.Outputs [| "a"; "b"; "c" |] "names"
        let truth = data.Subjects |> Array.map (fun s -> int s.Target[0])
        Expect.isGreaterThan (ClassificationMetrics.accuracy truth p) 0.9 "a covariate tells the class"

        for i in 0 .. data.Count - 1 do
            Expect.floatClose Accuracy.high (p[i, 0] + p[i, 1] + p[i, 2]) 1.0 "probabilities"

        // Classes 0 and 1 weigh nothing.
        use tilted = (fit { options with ClassWeights = [| 0.0; 0.0; 1.0 |] } data).Model
        let q = tilted.Predict data
        let mean (table: float[,]) = Seq.average (seq { for i in 0 .. data.Count - 1 -> table[i, 2] })
        Expect.isGreaterThan (mean q) (mean p + 0.2) $"the only class that counts: {mean q:F2} against {mean p:F2}"

let tests =
    testList "NeuralCde" [ classifiers; regressors; forecasters; perVisit; several; repeatable; refused; laws ]
