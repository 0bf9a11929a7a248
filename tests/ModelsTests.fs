module ModelsTests

open System
open System.Collections.Generic
open System.IO
open System.Threading
open Continuum
open Claims
open Expecto
open TorchSharp

let private temporary () = Path.Combine(Path.GetTempPath(), $"continuum-models-{Guid.NewGuid():N}.safetensors")

/// Noiseless predator-prey data: x' = x (0.6 - 0.03 p), p' = p (-0.8 + 0.025 x).
let private lotkaVolterra (rows: int) (step: float) =
    let field =
        VectorField(fun _ y dydt ->
            dydt[0] <- y[0] * (0.6 - 0.03 * y[1])
            dydt[1] <- y[1] * (-0.8 + 0.025 * y[0]))

    let times = Array.init rows (fun i -> 1900.0 + step * float i)
    let options = { SolveOptions.create 1e-10 1e-10 with SaveAt = Times times }
    let solution = ArrayOde.solve Methods.Tsit5 options field times[0] times[rows - 1] [| 30.0; 8.0 |]
    let values = Array2D.init rows 2 (fun i j -> solution.States[i][j])
    TimeSeries("year", [| "hare"; "lynx" |], times, values)

let private short = lotkaVolterra 12 1.0
let private silent: IProgress<FitProgress> = null
let private future = [| 1911.0; 1911.5; 1914.0; 1918.0 |]

let private fit (options: FitOptions) = Forecaster.Fit(short, options, silent, CancellationToken.None)

let private tiny = FitOptions(Iterations = 24, Hidden = [| 4 |])

let private values (forecaster: Forecaster) =
    forecaster.Forecast(future).Values
    |> Seq.cast<float>
    |> Seq.map BitConverter.DoubleToInt64Bits
    |> Seq.toArray

let private fitted options =
    use forecaster = fit options
    values forecaster

let private refusal options = messageOf<ArgumentException>(fun () -> (fit options).Dispose())

/// Calls back on the thread of the fit, unlike Progress.
type private Callback(report: FitProgress -> unit) =
    interface IProgress<FitProgress> with
        member _.Report value = report value

let private interruptedAt (iteration: int) (options: FitOptions) =
    use source = new CancellationTokenSource()

    let progress =
        Callback(fun r ->
            if r.Iteration = iteration then
                source.Cancel())

    Expect.throwsT<OperationCanceledException>
        (fun () -> Forecaster.Fit(short, options, progress, source.Token).Dispose())
        "cancelled"

/// Section of hazards: a scope's end must not delete the parameters of a module made inside it.
let private scopes =
    testList "scopes and threads" [
        testCase "a network made inside a dispose scope keeps its parameters"
        <| fun () ->
            use generator = new torch.Generator(3UL)
            let made = torch.NewDisposeScope()
            let network = new Mlp(2, [| 5 |], 2, Activation.Tanh, 1.0, generator)
            made.Dispose()
            use _ = torch.NewDisposeScope()
            Expect.equal (network.state_dict().Count) 4 "two layers of weights and biases"
            let y = network.call (torch.ones ([| 3L; 2L |], dtype = torch.float64))
            Expect.isTrue (Tensors.toArray y |> Array.forall Double.IsFinite) "a forward pass"
            Expect.isTrue (network.parameters () |> Seq.forall (fun p -> not p.IsInvalid)) "alive"

        testCase "no guard survives an await: solves on other threads leave this one's mode alone"
        <| fun () ->
            let solveAway () =
                task {
                    do! System.Threading.Tasks.Task.Yield()
                    use _ = torch.NewDisposeScope()
                    let field = TensorField.create [] (fun _ y -> y.neg ())
                    let options = { TensorOptions.create 1e-6 1e-6 with Differentiation = Differentiation.None }
                    return Tensors.toArray (TensorOde.solve options field 0.0 1.0 (Tensors.vector [| 1.0 |])).Final
                }

            let results = System.Threading.Tasks.Task.WhenAll [| for _ in 1..8 -> solveAway () |]

            for result in results.Result do
                Expect.isLessThan (abs (result[0] - exp -1.0)) 1e-5 "value"

            Expect.isTrue (torch.is_grad_enabled ()) "gradients are still on here"
    ]

let tests =
    testList "Models" [
        scopes

        test "the parameters of noiseless Lotka-Volterra data are recovered to 1e-3" {
            let data = lotkaVolterra 16 1.0

            use forecaster =
                Forecaster.Fit(data, FitOptions(Model = ForecastModelKind.Mechanistic), silent, CancellationToken.None)

            let expected = [ "alpha", 0.6; "beta", 0.03; "gamma", 0.8; "delta", 0.025 ]

            for name, value in expected do
                let found = forecaster.Parameters |> Seq.find (fun p -> p.Key = name)
                Expect.isLessThan (abs (found.Value / value - 1.0)) 1e-3 $"{name} is {found.Value}, not {value}"
        }

        test "the prey may be the second column" {
            let swapped = Array2D.init short.Count 2 (fun i j -> short.Values[i, 1 - j])
            let data = TimeSeries("year", [| "lynx"; "hare" |], short.Times, swapped)
            let options = FitOptions(Model = ForecastModelKind.Mechanistic, Iterations = 40)
            use forecaster = Forecaster.Fit(data, options, silent, CancellationToken.None)
            let alpha = forecaster.Parameters |> Seq.find (fun p -> p.Key = "alpha")
            Expect.floatClose { absolute = 0.1; relative = 0.0 } alpha.Value 0.6 "growth of the prey"
        }

        test "a saved model forecasts bit for bit what it forecast before" {
            let path = temporary ()

            try
                use forecaster = fit tiny
                forecaster.Save path
                use loaded = Forecaster.Load path
                Expect.equal (values loaded) (values forecaster) "forecasts"
                Expect.equal loaded.TrainingLoss forecaster.TrainingLoss "loss"
                Expect.equal loaded.Model ForecastModelKind.Hybrid "kind"
                Expect.equal loaded.Prior "lotka-volterra" "prior"
                Expect.equal (loaded.FirstTime, loaded.LastTime, loaded.TypicalStep) (1900.0, 1911.0, 1.0) "span"
                Expect.equal (Seq.toList loaded.ColumnNames) [ "hare"; "lynx" ] "columns"
            finally
                File.Delete path
        }

        test "the same seed repeats a fit, another does not" {
            let seeded seed =
                fitted (FitOptions(Model = ForecastModelKind.NeuralOde, Iterations = 24, Hidden = [| 4 |], Seed = seed))

            let first = seeded 0
            Expect.equal (seeded 0) first "same seed"
            Expect.notEqual (seeded 1) first "other seed"
        }

        testList "an interrupted and resumed fit is bit for bit the uninterrupted one" [
            for name, kind, window, stops in
                [
                    "hybrid", ForecastModelKind.Hybrid, 0, [ 2; 11; 18; 22 ]
                    "neural, mini-batches of windows", ForecastModelKind.NeuralOde, 3, [ 5; 15 ]
                ] do
                test name {
                    let path = temporary ()

                    let options resume =
                        FitOptions(
                            Model = kind,
                            Iterations = 24,
                            Hidden = [| 4 |],
                            WindowLength = window,
                            CheckpointPath = path,
                            CheckpointEvery = 7,
                            Resume = resume
                        )

                    try
                        let whole =
                            fitted (FitOptions(Model = kind, Iterations = 24, Hidden = [| 4 |], WindowLength = window))

                        for stop in stops do
                            interruptedAt stop (options true)

                        Expect.equal (fitted (options true)) whole "forecasts"
                        Expect.equal (fitted (options true)) whole "a finished checkpoint is read, not trained on"
                    finally
                        File.Delete path
                }
        ]

        testList "and so it is for every optimiser, within a phase" [
            for kind in Enum.GetValues<OptimizerKind>() do
                test $"{kind}" {
                    let path = temporary ()

                    let options = {
                        TrainingOptions.Default with
                            Kind = ModelKind.NeuralOde
                            Hidden = [| 4 |]
                            Iterations = 24
                            Optimizer = kind
                    }

                    let run options progress token =
                        let result =
                            Fit.run
                                options
                                short.TimeName
                                (Seq.toArray short.ColumnNames)
                                (Seq.toArray short.Times)
                                short.Values
                                progress
                                token

                        use model = result.Model
                        model.Trainable |> Array.collect (fun (_, p) -> Tensors.toArray p)

                    try
                        let whole = run options null CancellationToken.None
                        let options = { options with CheckpointPath = path; CheckpointEvery = 5; Resume = true }

                        for stop in [ 3; 15; 21 ] do
                            use source = new CancellationTokenSource()

                            let progress =
                                Action<TrainingReport>(fun r ->
                                    if r.Iteration = stop then
                                        source.Cancel())

                            Expect.throwsT<OperationCanceledException>
                                (fun () -> run options progress source.Token |> ignore)
                                "cancelled"

                        Expect.equal (run options null CancellationToken.None) whole "parameters, bit for bit"
                    finally
                        File.Delete path
                }
        ]

        test "a checkpoint of other options or data is refused" {
            let path = temporary ()

            let options =
                FitOptions(Iterations = 8, Hidden = [| 4 |], CheckpointPath = path, CheckpointEvery = 4, Resume = true)

            try
                fitted options |> ignore
                let changed = FitOptions(Iterations = 8, Hidden = [| 5 |], CheckpointPath = path, Resume = true)
                Expect.stringContains (refusal changed) "hidden was 4 and is 5" "names the option"

                let other () = Forecaster.Fit(lotkaVolterra 11 1.0, options, silent, CancellationToken.None).Dispose()

                Expect.stringContains (messageOf<ArgumentException> other) "other data" "names the data"
                File.WriteAllText(path, "no checkpoint")
                messageOf<InvalidDataException>(fun () -> (fit options).Dispose()) |> ignore
                messageOf<InvalidDataException>(fun () -> Forecaster.Load(path).Dispose()) |> ignore
            finally
                File.Delete path
        }

        test "positive states stay positive far beyond the data, whatever the network" {
            for kind in [ ForecastModelKind.NeuralOde; ForecastModelKind.Hybrid ] do
                use forecaster = fit (FitOptions(Model = kind, Iterations = 10, Hidden = [| 4 |]))
                let forecast = forecaster.Forecast [| for i in 0..60 -> 1900.0 + float i |]
                Expect.isGreaterThan (forecast.Values |> Seq.cast<float> |> Seq.min) 0.0 $"{kind}"
        }

        test "training stops early and keeps the parameters of the best validation loss" {
            let losses = List<float>()

            let seen =
                Action<TrainingReport>(fun r ->
                    if r.Phase = "network" then
                        losses.Add r.ValidationLoss)

            let options = {
                TrainingOptions.Default with
                    Hidden = [| 4 |]
                    LearningRate = 0.2
                    Patience = 1
                    Iterations = 200
            }

            let noisy = Array2D.mapi (fun i j v -> v * (1.0 + 0.2 * sin (7.0 * float (i + 2 * j)))) short.Values
            let times = Seq.toArray short.Times
            let result = Fit.run options "year" [| "hare"; "lynx" |] times noisy seen CancellationToken.None
            use _ = result.Model :> IDisposable
            Expect.isLessThan losses.Count 50 "fewer iterations than the 55 of the phase"
            // At this learning rate the first check, with a network that is zero still, is the best one.
            Expect.equal (Seq.min losses) losses[0] "the validation loss rises"
            use correction = result.Model.Network.Rate(null, result.Model.NodeStates)
            Expect.equal (Tensors.toArray correction) [| 0.0; 0.0 |] "the network is the one of the first check"
            Expect.isTrue (Double.IsFinite result.Loss) "finite"
        }

        test "logistic, linear and exponential laws are recovered" {
            let times = Array.init 20 (fun i -> 0.5 * float i)
            let series f = TimeSeries("t", [| "y" |], times, Array2D.init 20 1 (fun i _ -> f times[i]))

            let parameters prior data =
                let options = FitOptions(Model = ForecastModelKind.Mechanistic, Prior = prior, Iterations = 200)
                use forecaster = Forecaster.Fit(data, options, silent, CancellationToken.None)
                forecaster.Parameters |> Seq.map _.Value |> Seq.toArray

            let close expected found =
                Array.iter2
                    (fun e f -> Expect.isLessThan (abs (f - e)) (0.01 * abs e) $"{f} instead of {e}")
                    expected
                    found

            close [| 0.8; 50.0 |] (parameters "logistic" (series (fun t -> 50.0 / (1.0 + 9.0 * exp (-0.8 * t)))))
            close [| -0.3 |] (parameters "exponential" (series (fun t -> 7.0 * exp (-0.3 * t))))
            close [| -0.5; 1.0 |] (parameters "linear" (series (fun t -> 2.0 - 5.0 * exp (-0.5 * t))))
        }

        test "irregular times and a network that sees time" {
            let times = Array.init 14 (fun i -> float i + 0.3 * sin (float (5 * i)))
            let values = Array2D.init 14 1 (fun i _ -> sin (0.5 * times[i]))

            let options = {
                TrainingOptions.Default with
                    Kind = ModelKind.NeuralOde
                    Hidden = [| 4 |]
                    TimeInput = true
                    Iterations = 20
                    WindowLength = 4
                    BatchSize = 2
            }

            let result = Fit.run options "t" [| "y" |] times values null CancellationToken.None
            use model = result.Model
            let mutable evaluations = 0L
            let forecast = model.Forecast([| 3.3; 20.0 |], &evaluations)
            Expect.isTrue (forecast |> Seq.cast<float> |> Seq.forall Double.IsFinite) "finite"
        }

        test "wrong options and data are refused in one line" {
            Expect.stringContains
                (refusal (FitOptions(Prior = "lotka")))
                "lotka-volterra, logistic, linear, exponential"
                "prior"

            Expect.stringContains (refusal (FitOptions(Iterations = -1))) "-1" "iterations"
            Expect.stringContains (refusal (FitOptions(Hidden = [||]))) "Hidden" "hidden"
            Expect.stringContains (refusal (FitOptions(TrainUntil = 1901.0))) "2 rows" "too few rows"
            Expect.stringContains (refusal (FitOptions(Resume = true))) "CheckpointPath" "resume"
            let signed = TimeSeries("t", [| "y" |], [| 0.0; 1.0; 2.0 |], array2D [ [ 1.0 ]; [ 0.0 ]; [ 2.0 ] ])

            let positive () =
                Forecaster
                    .Fit(signed, FitOptions(Positive = true, Prior = "linear"), silent, CancellationToken.None)
                    .Dispose()

            Expect.stringContains (messageOf<ArgumentException> positive) "row 2 (t 1) has y = 0" "names the row"
            use forecaster = fit (FitOptions(Model = ForecastModelKind.Mechanistic, Iterations = 4))
            messageOf<ArgumentException>(fun () -> forecaster.Forecast [| 1890.0 |] |> ignore) |> ignore
        }

        test "persistence repeats the last row" {
            let forecast = Forecaster.Persistence(short, future)
            Expect.equal forecast.Count 4 "rows"
            Expect.equal forecast[3, 1] short[11, 1] "value"
        }

        test "fitting, saving and forecasting leave no tensor behind" {
            let path = temporary ()

            let once () =
                use forecaster =
                    fit (FitOptions(Iterations = 16, Hidden = [| 4 |], CheckpointPath = path, CheckpointEvery = 5))

                values forecaster |> ignore
                forecaster.Save path
                use loaded = Forecaster.Load path
                values loaded |> ignore

            try
                once ()
                let before = Tensors.live ()
                once ()
                Expect.equal (Tensors.live ()) before "live tensors"
            finally
                File.Delete path
        }

        test "a network starts as zero where asked, from its generator alone" {
            use generator = new torch.Generator(3UL)
            use zero = new Mlp(2, [| 5 |], 2, Activation.Tanh, 0.0, generator)
            use x = Tensors.ofArray [| 1.0; -2.0 |] [| 1L; 2L |] torch.float64 torch.CPU
            use y = zero.forward x
            Expect.equal (Tensors.toArray y) [| 0.0; 0.0 |] "zero"

            let weights activation =
                use generator = new torch.Generator(3UL)
                use network = new Mlp(2, [| 5 |], 1, activation, 1.0, generator)
                use y = network.forward x
                Tensors.toArray y

            Expect.equal (weights Activation.Silu) (weights Activation.Silu) "repeats"
            Expect.equal (weights Activation.Softplus) (weights Activation.Softplus) "repeats"
        }
    ]
