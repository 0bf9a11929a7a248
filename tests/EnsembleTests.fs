/// Ensembles: lanes against single solves, independence of threads, lanes and order, failures that stay alone.
module EnsembleTests

#nowarn "3535" "3536"

open System
open System.Threading
open Continuum
open Continuum.Properties
open Claims
open Expecto

module GenericFields =
    open RealOperators

    /// A forced pendulum with friction: length, friction and forcing are parameters; depends on time.
    [<Struct>]
    type Pendulum =
        interface IGenericField with
            member _.Size = 2
            member _.ParameterCount = 3

            member _.Evaluate(t, y, p, dydt) =
                dydt[0] <- y[1]
                dydt[1] <- p[2] * cos t - p[1] * y[1] - sin y[0] / p[0]

    /// Five components in a ring, polynomial: arithmetic only.
    [<Struct>]
    type Ring =
        interface IGenericField with
            member _.Size = 5
            member _.ParameterCount = 1

            member _.Evaluate(t, y, p, dydt) =
                for i in 0..4 do
                    let left, right = y[(i + 4) % 5], y[(i + 1) % 5]
                    dydt[i] <- p[0] * (right - left) * y[i] - 0.1 *. t * y[i]

    /// y' = y^2 p: leaves every bound at 1/(p y0).
    [<Struct>]
    type Exploding =
        interface IGenericField with
            member _.Size = 1
            member _.ParameterCount = 1
            member _.Evaluate(_, y, p, dydt) = dydt[0] <- p[0] * y[0] * y[0]

    /// sqrt of a state that falls below zero where p > 0.
    [<Struct>]
    type Rooted =
        interface IGenericField with
            member _.Size = 1
            member _.ParameterCount = 1
            member _.Evaluate(_, y, p, dydt) = dydt[0] <- -p[0] + 0.0 *. sqrt y[0]

    /// Throws on its two hundredth evaluation in any lanes and on every one after it.
    [<Struct>]
    type Throwing(calls: int[]) =
        interface IGenericField with
            member _.Size = 1
            member _.ParameterCount = 0

            member _.Evaluate(_, y, _, dydt) =
                if Interlocked.Increment(&calls[0]) >= 200 then
                    invalidOp "the pump is broken"

                dydt[0] <- -y[0]

open GenericFields

let private first (solution: EnsembleSolution) i = (solution.FinalState i)[0]

let private random = Random 5

let private pendulums: EnsembleProblem = {
    Starts = [| 0.0 |]
    Ends = [| 7.0 |]
    Initial = Array.init 61 (fun _ -> [| 4.0 * random.NextDouble() - 2.0; random.NextDouble() |])
    Parameters =
        Array.init 61 (fun _ -> [| 0.2 + random.NextDouble(); 0.3 * random.NextDouble(); random.NextDouble() |])
}

let private rings: EnsembleProblem = {
    Starts = [| 0.0 |]
    Ends = Array.init 37 (fun i -> if i % 3 = 0 then -2.0 else 1.0 + 0.1 * float i)
    Initial = [| [| 1.0; 0.5; 0.8; 1.2; 0.9 |] |]
    Parameters = Array.init 37 (fun i -> [| 0.1 * float i |])
}

let private options = SolveOptions.create<float[]> 1e-7 1e-9

let private laws =
    testList "laws" [
        for method in [ Methods.Tsit5; Methods.Dopri5; Methods.Bosh3; Methods.Vern7; Methods.Dop853 ] do
            for law in EnsembleLaws.all 1e-9 method options (Pendulum()) pendulums do
                testCase $"{method.Name}, pendulums: {law.Law}" <| fun () -> holds law

        for law in EnsembleLaws.all 1e-12 Methods.Tsit5 options (Ring()) rings do
            testCase $"rings, spans of their own, backward too: {law.Law}" <| fun () -> holds law

        let saving = { options with SaveAt = Times [| 0.0; 0.1; 2.5; 2.6; 7.0 |] }

        for method in [ Methods.Tsit5; Methods.Dop853 ] do
            for law in EnsembleLaws.all 1e-9 method saving (Pendulum()) pendulums do
                testCase $"{method.Name}, save times: {law.Law}" <| fun () -> holds law

        let others = {
            options with
                Tolerance = {
                    Tolerance.create 1e-6 1e-8 with
                        AtolPer = ValueSome [| 1e-8; 1e-4 |]
                        Norm = Maximum
                }
                MaxStep = 0.4
                InitialStep = ValueSome 0.01
                Control = Adaptive(ValueSome(Controller.pid 0.3 0.4 0.1 5))
        }

        for law in EnsembleLaws.all 1e-9 Methods.Tsit5 others (Pendulum()) pendulums do
            testCase $"tolerances per component, PID, largest step: {law.Law}" <| fun () -> holds law

        testCase "what lanes do not do goes through the scalar loop: fixed steps, every step, events"
        <| fun () ->
            let fixed' = { options with Control = Fixed 0.05; SaveAt = EverySteps }
            EnsembleLaws.memberIsSingleSolve 0.0 Methods.Rk4 fixed' (Pendulum()) pendulums |> holds
            let dense = { options with SaveAt = DenseOutput }
            let solution = Ensemble.solve Methods.Tsit5 dense EnsembleOptions.Default (Pendulum()) pendulums
            Expect.isTrue (solution.Solution 3).Dense.IsSome "dense output"
    ]

let private failures =
    testList "failures" [
        testCase "a trajectory that explodes or is not a number leaves the others as they are"
        <| fun () ->
            let problem = {
                Starts = [| 0.0 |]
                Ends = [| 1.0 |]
                Initial = Array.init 20 (fun i -> [| if i = 6 then nan else 1.0 |])
                Parameters =
                    Array.init 20 (fun i -> [|
                        if i = 4 then 2.0
                        elif i = 9 then nan
                        else 0.5
                    |])
            }

            let solution = Ensemble.solve Methods.Tsit5 options EnsembleOptions.Default (Exploding()) problem
            Expect.equal solution.Failed 3 "failures"

            for i in 0..19 do
                if i = 4 then
                    Expect.isTrue
                        (solution.Status i = Status.StepTooSmall || solution.Status i = Status.NonFinite)
                        "explodes"

                    Expect.floatClose Accuracy.medium solution.FinalTimes[i] 0.5 "time"
                    Expect.stringContains (solution.Message i) "component 0" "message"
                elif i = 6 then
                    Expect.equal (solution.Status i) Status.NonFinite "initial state"
                    Expect.stringContains (solution.Message i) "initial state" "message"
                elif i = 9 then
                    Expect.equal (solution.Status i) Status.NonFinite "parameter"
                    Expect.equal solution.FinalTimes[i] 0.0 "time"
                else
                    Expect.equal (solution.Status i) Status.Success $"{i}"
                    Expect.floatClose Accuracy.medium (first solution i) 2.0 $"{i}"

        testCase "a field that leaves its domain: not finite, and the time where"
        <| fun () ->
            let problem = {
                Starts = [| 0.0 |]
                Ends = [| 2.0 |]
                Initial = [| [| 1.0 |] |]
                Parameters = [| [| 1.0 |]; [| 0.25 |]; [| 0.0 |] |]
            }

            let solution = Ensemble.solve Methods.Tsit5 options EnsembleOptions.Default (Rooted()) problem
            Expect.equal [ for i in 0..2 -> solution.Status i ] [ Status.NonFinite; Status.Success; Status.Success ] ""
            Expect.floatClose Accuracy.medium solution.FinalTimes[0] 1.0 "time"

        testCase "too many steps"
        <| fun () ->
            let few = { options with MaxSteps = 20 }
            let solution = Ensemble.solve Methods.Tsit5 few EnsembleOptions.Default (Pendulum()) pendulums
            Expect.equal solution.Failed 61 ""
            Expect.equal (solution.Status 5) Status.MaxStepsReached ""
            Expect.equal (solution.Accepted 5 + solution.Rejected 5) 20 "steps"
            // step lengths hang on rounding of small errors, and so does where the twentieth step ends
            EnsembleLaws.memberIsSingleSolve 1e-5 Methods.Tsit5 few (Pendulum()) pendulums |> holds

        testCase "a field that throws ends its trajectories with the message, and the solve returns"
        <| fun () ->
            let problem = {
                Starts = [| 0.0 |]
                Ends = [| 1.0 |]
                Initial = Array.init 50 (fun i -> [| float i |])
                Parameters = [| [||] |]
            }

            let solution =
                Ensemble.solve Methods.Tsit5 options EnsembleOptions.Default (Throwing(Array.zeroCreate 1)) problem

            let threw = [
                for i in 0..49 do
                    if solution.Status i = Status.FieldThrew then
                        i
            ]

            Expect.isNonEmpty threw "some"
            Expect.stringContains (solution.Message threw[0]) "the pump is broken" ""
            Expect.isNotNull (solution.Solution threw[0]).Exception "exception"

            for i in 0..49 do
                if not (List.contains i threw) then
                    Expect.equal (solution.Status i) Status.Success $"{i}"

        testCase "nonsense is refused with the numbers"
        <| fun () ->
            let refused text (problem: EnsembleProblem) =
                Expect.throwsC
                    (fun () ->
                        Ensemble.solve Methods.Tsit5 options EnsembleOptions.Default (Pendulum()) problem |> ignore)
                    (fun error -> Expect.stringContains error.Message text "")

            refused "61" { pendulums with Ends = [| 1.0; 2.0 |] }
            refused "component" { pendulums with Initial = [| [| 1.0 |] |] }
            refused "reads 3" { pendulums with Parameters = [| [| 1.0 |] |] }
            refused "zero length" { pendulums with Ends = [| 0.0 |] }
    ]

let private running =
    testList "running" [
        testCase "progress counts to the end, one call at a time"
        <| fun () ->
            let seen = ResizeArray<EnsembleReport>()
            let progress = { Threads = 2; Progress = Action<EnsembleReport> seen.Add }

            let many = {
                pendulums with
                    Initial = Array.init 500 (fun i -> [| 0.001 * float i; 0.0 |])
                    Parameters = [| [| 1.0; 0.1; 0.2 |] |]
            }

            Ensemble.solve Methods.Tsit5 options progress (Pendulum()) many |> ignore
            let counts = seen |> Seq.map _.Completed |> Seq.toList
            Expect.equal (List.last counts) 500 "all"
            Expect.equal counts (List.sort counts) "growing"
            Expect.isGreaterThan counts.Length 3 "several"

        testCase "cancellation: what was done stays, the rest says so"
        <| fun () ->
            use source = new CancellationTokenSource()

            let watch (report: EnsembleReport) =
                if report.Completed >= 64 then
                    source.Cancel()

            let cancelling = { Threads = 1; Progress = Action<EnsembleReport> watch }

            let many = {
                pendulums with
                    Initial = Array.init 500 (fun i -> [| 0.001 * float i; 0.0 |])
                    Parameters = [| [| 1.0; 0.1; 0.2 |] |]
            }

            let watched = { options with Cancellation = source.Token }
            let solution = Ensemble.solve Methods.Tsit5 watched cancelling (Pendulum()) many
            let of' status = Seq.length (Seq.filter (fun i -> solution.Status i = status) (seq { 0..499 }))
            Expect.isGreaterThanOrEqual (of' Status.Success) 64 "done"
            Expect.equal (of' Status.Success + of' Status.Cancelled) 500 "all"
            Expect.isGreaterThan (of' Status.Cancelled) 300 "rest"
            Expect.equal (solution.FinalState 499) [| 0.499; 0.0 |] "initial state of what was not started"

        testCase "delegates and stiff methods run trajectory by trajectory on all threads"
        <| fun () ->
            let system i =
                OdeSystem.OfField(VectorField(fun _ y dydt -> dydt[0] <- -(10.0 + float i) * (y[0] - 1.0)), 1)

            let problem = {
                Starts = [| 0.0 |]
                Ends = [| 1.0 |]
                Initial = Array.init 20 (fun _ -> [| 2.0 |])
                Parameters = [| [||] |]
            }

            let solution =
                Ensemble.solveSystems
                    (RungeKutta Methods.Tsit5)
                    options
                    { EnsembleOptions.Default with Threads = 2 }
                    system
                    problem

            for i in 0..19 do
                Expect.floatClose Accuracy.medium (first solution i) (1.0 + exp (-(10.0 + float i))) $"{i}"
    ]

let tests = testList "Ensembles" [ laws; failures; running ]
