/// The code of docs/FSharp.md, as it stands there: a page whose code does not compile or run fails here.
module DocSnippets

open System
open System.IO
open System.Threading
open Continuum
open TorchSharp
open Expecto

module private GenericFields =
    open RealOperators

    /// Prey and predator.
    [<Struct>]
    type LotkaVolterra =
        interface IGenericField with
            member _.Size = 2
            member _.ParameterCount = 4

            member _.Evaluate(_, y, p, dydt) =
                dydt[0] <- y[0] * (p[0] - p[1] * y[1])
                dydt[1] <- y[1] * (p[3] * y[0] - p[2])

open GenericFields

let private near tolerance (expected: float) what (actual: float) =
    Expect.isTrue (abs (actual - expected) <= tolerance) $"{what}: {actual}, expected {expected}"

/// The lines between "// name" and "// end", without lines marked "// test", at the margin.
let private snippets (path: string) = [
    let mutable current: ResizeArray<string> = null

    for line in File.ReadLines path do
        let text = line.Trim()

        if text = "// end" then
            let margin =
                current
                |> Seq.filter (fun l -> l <> "")
                |> Seq.map (fun l -> l.Length - l.TrimStart().Length)
                |> Seq.min

            let cut (l: string) = if l = "" then "" else l.Substring margin
            yield String.Join("\n", Seq.map cut current)
            current <- null
        elif not (isNull current) then
            if not (text.EndsWith "// test") then
                current.Add line
        elif text.StartsWith "// " && not (text.Contains "///") && not (text[3..].Contains ' ') then
            current <- ResizeArray()
]

let private root = Path.Combine(__SOURCE_DIRECTORY__, "..")

let tests =
    testList "Docs" [
        for page, source, count in
            [
                "CSharp.md", "FacadeTests/DocSnippets.cs", 16
                "FSharp.md", "DocSnippets.fs", 11
                "Numbers.md", "FacadeTests/NumberSnippets.cs", 3
                "Numbers.md", "NumberSnippets.fs", 3
                "Stochastic.md", "FacadeTests/StochasticSnippets.cs", 6
                "Stochastic.md", "StochasticSnippets.fs", 1
                "Controlled.md", "FacadeTests/ControlledSnippets.cs", 1
                "Controlled.md", "ControlledSnippets.fs", 2
                "Models.md", "FacadeTests/ModelSnippets.cs", 8
                "Models.md", "ModelSnippets.fs", 3
                "Operators.md", "FacadeTests/OperatorSnippets.cs", 1
                "Operators.md", "OperatorSnippets.fs", 2
            ] do
            test $"{page} holds the code of {source} that runs here" {
                let text = File.ReadAllText(Path.Combine(root, "docs", page))
                let found = snippets (Path.Combine(__SOURCE_DIRECTORY__, source))
                Expect.equal found.Length count "snippets"

                for snippet in found do
                    Expect.stringContains text snippet page
            }

        test "numbers" {
            // numbers
            let field = VectorField(fun t y dydt -> dydt[0] <- -0.5 * y[0])
            let options = { SolveOptions.create 1e-8 1e-10 with SaveAt = Times [| 0.0; 5.0; 10.0 |] }
            let solution = ArrayOde.solve Methods.Tsit5 options field 0.0 10.0 [| 100.0 |]

            match Solution.toResult solution with
            | Ok solution -> printfn $"{solution.States[2][0]}"
            | Error error -> eprintfn $"{error.Status} at {error.Time}: {error.Message}" // error.Partial holds the rest
            // end
            near 1e-6 (100.0 * exp -5.0) "the end" solution.FinalState[0]
        }

        test "events" {
            // events
            let bounce: Event<float[]> = {
                Name = "floor"
                Condition = fun _ y -> y[0]
                Crossing = Falling
                Apply = ValueSome(fun _ y -> [| y[0]; -0.9 * y[1] |])
                Terminal = false
                MaxOccurrences = Int32.MaxValue
            }

            let fall =
                VectorField(fun _ y dydt ->
                    dydt[0] <- y[1]
                    dydt[1] <- -9.81)

            let options = {
                SolveOptions.create 1e-6 1e-9 with
                    Events = [| bounce |]
                    SaveAt = DenseOutput
            }

            let ball = ArrayOde.solve Methods.Tsit5 options fall 0.0 3.0 [| 1.0; 0.0 |]

            for hit in ball.Occurrences do
                printfn $"floor at {hit.Time:f4}, speed {hit.Before[1]:f3} -> {hit.After[1]:f3}"

            let height = (ball.Dense.Value.At 0.2)[0] // any time of the span
            // end
            near 1e-6 (sqrt (2.0 / 9.81)) "first bounce" ball.Occurrences[0].Time
            near 1e-6 (1.0 - 0.5 * 9.81 * 0.04) "height" height
        }

        test "systems" {
            // systems
            let kinetics =
                OdeSystem
                    .OfField(
                        VectorField(fun _ y dydt ->
                            dydt[0] <- -0.04 * y[0] + 1e4 * y[1] * y[2]
                            dydt[1] <- 0.04 * y[0] - 1e4 * y[1] * y[2] - 3e7 * y[1] * y[1]
                            dydt[2] <- y[0] + y[1] + y[2] - 1.0), // an algebraic equation: 0 = ...
                        3
                    )
                    .WithMass([| 1.0; 1.0; 0.0 |])
                    .WithoutTime()

            let options = SolveOptions.create 1e-8 1e-12

            let solution =
                ArrayOde.solveSystem (Rosenbrock RosenbrockMethods.Rodas5P) options kinetics 0.0 1e5 [| 1.0; 0.0; 0.0 |]

            printfn
                $"{solution.Status}: {solution.FinalState[0]}, {solution.Statistics.Implicit.Factorisations} factorisations"
            // end
            near 1e-8 0.017865921142322 "a" solution.FinalState[0]
            Expect.equal solution.Status Status.Success solution.Message
        }

        test "sensitivities" {
            // sensitivities
            let rates = [| 1.5; 1.0; 3.0; 1.0 |]
            let hares = SensitivityProblem.OfGeneric(LotkaVolterra(), rates) // a field over numbers, see Numbers.md
            let options = { SolveOptions.create 1e-8 1e-10 with SaveAt = Times [| 2.0; 5.0 |] }
            let forward = Sensitivity.forward Automatic options Everything hares 0.0 5.0 [| 1.0; 1.0 |]
            let preyByAlpha = forward.States[1][0, 2] // at t = 5: columns are the initial values, then the parameters
            // end
            let moved d =
                (ArrayOde.solveSystem
                    Automatic
                    options
                    (OdeSystem.OfGeneric(LotkaVolterra(), [| 1.5 + d; 1.0; 3.0; 1.0 |]))
                    0.0
                    5.0
                    [| 1.0; 1.0 |])
                    .FinalState[0]

            near 1e-3 ((moved 1e-3 - moved -1e-3) / 2e-3) "prey by alpha" preyByAlpha
        }

        test "estimation" {
            // estimation
            let times = [| 0.5..0.5..8.0 |]
            let rate = MechanisticModel.OfNamed(NamedProblems.byName "logistic")
            let observed = [| for t in times -> 4.0 / (1.0 + 9.0 * exp (-0.9 * t)) + 0.02 * sin (7.0 * t) |]

            let problem: EstimationProblem = {
                Simulator = rate.Simulator(RungeKutta Methods.Tsit5, 1e-8, 1e-10)
                Parameters = [|
                    ParameterEstimation.positive "rate" 0.3 0.01 10.0
                    ParameterEstimation.positive "capacity" 2.0 0.1 100.0
                |]
                InitialState = [| ParameterEstimation.parameter "y" 0.5 0.0 10.0 |]
                Start = 0.0
                Columns = [| { Name = "y"; Component = 0; Logarithmic = false; Deviation = nan } |]
                Times = times
                Values = array2D [ for y in observed -> [ y ] ]
                Segments = 0
                MaxIterations = 100
            }

            let estimation = ParameterEstimation.run problem null CancellationToken.None

            for p in estimation.Parameters do
                printfn $"{p.Name} = {p.Value:g4} +- {p.StandardError:g2}"
            // end
            near 0.05 0.9 "rate" estimation.Parameters[0].Value
            near 0.05 4.0 "capacity" estimation.Parameters[1].Value
        }

        test "doses and jumps" {
            // doses
            let dose time : Scheduled<float[]> = { Time = time; Apply = fun _ y -> [| y[0] + 50.0 |] }
            let field = VectorField(fun t y dydt -> dydt[0] <- (if t < 3.0 then -0.2 else -0.4) * y[0])

            let options = {
                SolveOptions.create 1e-6 1e-9 with
                    Scheduled = [| dose 0.0; dose 6.0 |]
                    Jumps = [| 3.0 |] // the elimination changes abruptly there
            }

            let dosed = ArrayOde.solve Methods.Tsit5 options field 0.0 12.0 [| 0.0 |]
            // end
            near 1e-3 ((50.0 * exp -1.8 + 50.0) * exp -2.4) "two doses" dosed.FinalState[0]
        }

        test "tensors and gradients" {
            // gradients
            NativeLibraries.ensure ()
            use _ = torch.NewDisposeScope() // frees every tensor made below

            for way in
                [
                    Differentiation.Recorded
                    Differentiation.DiscreteDefault
                    Differentiation.BacksolveDefault
                    Differentiation.ReversibleDefault
                ] do
                let rate = torch.tensor([| 0.5 |]).clone().requires_grad_ true
                let field = TensorField.autonomous [ rate ] (fun y -> rate.neg().mul y)
                let options = { TensorOptions.create 1e-8 1e-10 with Differentiation = way }
                let start = torch.ones (1L, dtype = torch.float64)
                let solution = (TensorOde.solve options field 0.0 1.0 start).EnsureSuccess()
                solution.Final.sum().backward()
                printfn $"{rate.grad.ToDouble():f6}" // -exp(-0.5)
                near 1e-5 (-exp -0.5) "gradient" (rate.grad.ToDouble()) // test
            // end
        }

        test "batch per sample" {
            // batch
            use _ = torch.NewDisposeScope()
            let field = TensorField.autonomous [] (fun y -> y.neg ())
            let start = torch.ones (3L, 1L, dtype = torch.float64)
            // Sample i runs from 0 to its own end, with its own steps.
            let options = BatchOptions.create 1e-8 1e-10 (Array.zeroCreate 3) [| 1.0; 2.0; 3.0 |]
            let batch = BatchOde.solve options field start

            for i in 0..2 do
                printfn $"{batch.Status[i]} at {batch.FinalTimes[i]}: {batch.Final[int64 i].ToDouble()}"
            // end
            near 1e-6 (exp -3.0) "the last" (batch.Final[2L].ToDouble())
        }

        test "a neural ODE" {
            // network
            use _ = torch.NewDisposeScope()
            torch.manual_seed 1L |> ignore
            let network = torch.nn.Sequential(torch.nn.Linear(2L, 16L), torch.nn.Tanh(), torch.nn.Linear(16L, 2L))
            let adam = torch.optim.Adam(network.parameters (), lr = 0.01)
            let field = TensorField.ofModule network
            let start = torch.randn (32L, 2L)
            let target = start * exp -1.0

            let loss () =
                let solution = (TensorOde.solve (TensorOptions.create 1e-3 1e-4) field 0.0 1.0 start).EnsureSuccess()
                (solution.Final - target).square().mean()

            for _ in 1..50 do
                use _ = torch.NewDisposeScope()
                adam.zero_grad ()
                (loss ()).backward()
                adam.step () |> ignore
            // end
            Expect.isTrue (loss().ToDouble() < 0.05) "it learned"
        }

        test "Diff" {
            // diff
            use _ = torch.NewDisposeScope()
            let x = torch.tensor([| 1.0; 2.0 |]).clone()
            let f (x: Tensor) = (x * x).sum() // a scalar function
            let gradient = Diff.grad f x
            let hessian = Diff.hessian f x
            let jacobian = Diff.jacobian (fun x -> x * x) x
            // end
            near 1e-12 4.0 "gradient" (gradient[1L].ToDouble())
            near 1e-12 2.0 "hessian" (hessian[0L, 0L].ToDouble())
            near 1e-12 4.0 "jacobian" (jacobian[1L, 1L].ToDouble())
        }

        test "fit and forecast" {
            // fit
            let times = Array.init 15 float
            let values = array2D [ for t in times -> [ 10.0 * exp (0.1 * t) ] ]

            let options = {
                TrainingOptions.Default with
                    Kind = ModelKind.Mechanistic
                    Prior = "exponential"
                    Iterations = 100
                    Seed = 1
            }

            let fit = Fit.run options "t" [| "x" |] times values null CancellationToken.None
            use model = fit.Model
            let mutable evaluations = fit.Evaluations // counted on by forecasts
            let forecast = model.Forecast([| 16.0; 18.0 |], &evaluations) // (times, columns)
            // end
            let truth = 10.0 * exp 1.8
            Expect.isTrue (abs (forecast[1, 0] - truth) < 0.2 * truth) $"forecast {forecast[1, 0]}"
        }
    ]
