/// The laws of Properties on models as a team would bring them, from F# and from C#; and that each fails on a model that breaks it.
module LawTests

open System
open Continuum
open Continuum.Properties
open Claims
open Expecto
open TorchSharp

let private events =
    testList "events" [
        for method in [ Methods.Bosh3; Methods.Tsit5; Methods.Dopri5; Methods.Vern7; Methods.Dop853; Methods.Vern9 ] do
            for problem in [ EventProblems.ball; EventProblems.harmonic ] do
                testCase $"{method.Name}: {problem.Name}"
                <| fun () -> EventLaws.all method 1e-9 problem |> Array.iter holds

        testCase "backward in time"
        <| fun () ->
            let back = { EventProblems.harmonic with End = -12.0 }

            let backward: EventProblem = {
                back with
                    Times =
                        ValueSome(fun y -> Array.init 8 (fun k -> Math.Atan2(y[1], y[0]) + (0.5 - float k) * Math.PI))
            }

            EventLaws.all Methods.Tsit5 1e-9 backward |> Array.iter holds
    ]

/// A pendulum with a forcing that depends on time, a clock for each sample.
let private pendulums mix : BatchProblem =
    let field =
        TensorField.create [] (fun t y ->
            let angle = y.narrow (1L, 0L, 1L)
            let speed = y.narrow (1L, 1L, 1L)
            let pull: Tensor = angle.sin().neg().add(t.mul(2.0.ToScalar()).sin().mul(0.3.ToScalar()))
            let pull = if mix then pull.sub (angle.mean().mul(0.01.ToScalar())) else pull
            torch.cat ([| speed; pull |], 1L))

    {
        Name = "forced pendulums"
        Field = field
        Starts = [| 0.0; 1.0; 5.0; -1.0 |]
        Ends = [| 4.0; -3.0; 6.5; 7.0 |]
        Initial = Tensors.ofArray [| 0.1; 0.0; 1.0; 0.5; -2.0; 1.5; 0.5; 2.5 |] [| 4L; 2L |] torch.float64 torch.CPU
    }

let private batches =
    testList "batches" [
        for method in [ Methods.Bosh3; Methods.Tsit5; Methods.Dopri5; Methods.Vern7; Methods.Dop853 ] do
            testCase method.Name
            <| fun () -> BatchLaws.all (RungeKutta method) 1e-6 (pendulums false) |> Array.iter holds
    ]

let private logarithmicOnTensors factor =
    TensorField.create [] (fun t y ->
        let twice: Tensor = t.mul (2.0.ToScalar())
        let logs = y.log().flip [| 0L |]
        let signs = Tensors.vector [| 1.0; -factor |]
        y.mul(logs).mul(signs).mul twice)

let private spaces =
    testList "spaces" [
        for method in Methods.All |> Seq.filter _.IsAdaptive do
            testCase method.Name
            <| fun () ->
                let tolerance = if method.Order <= 3 then 1e-6 else 1e-8
                holds (SpaceLaws.tensors method tolerance 1e-9 Problems.logarithmic (logarithmicOnTensors 1.0))

                for problem in [ Problems.logarithmic; Problems.cosine; Problems.lotkaVolterra ] do
                    SpaceLaws.all method tolerance problem |> Array.iter holds
    ]

let private leaf (values: float[]) = (Tensors.vector values).requires_grad_ true

/// Lotka-Volterra, whose derivative for a parameter a careless author may have cut off.
let private lotkaVolterra cut : GradientProblem =
    let p = leaf [| 1.5; 1.0; 3.0; 1.0 |]

    let field =
        TensorField.create [ p ] (fun _ y ->
            let a, b = y.[0L], y.[1L]
            let death = if cut then p.[2L].detach() else p.[2L]
            torch.stack [| p.[0L] * a - p.[1L] * a * b; p.[3L] * a * b - death * b |])

    {
        Name = "Lotka-Volterra"
        Field = field
        Start = 0.0
        End = 4.0
        Initial = Tensors.vector [| 1.0; 1.0 |]
        SaveTimes = [| 1.5; 4.0 |]
    }

/// y' = r y from y0 = 1.2: exp(r t) y0.
let private growth () : GradientProblem =
    let r = leaf [| 0.7 |]

    {
        Name = "growth"
        Field = TensorField.create [ r ] (fun _ y -> y.mul r)
        Start = 0.0
        End = 2.0
        Initial = Tensors.vector [| 1.2 |]
        SaveTimes = [| 0.5; 2.0 |]
    }

let private growthJacobian rate t = array2D [ [ exp (rate * t); 1.2 * t * exp (rate * t) ] ]

let private gradients =
    testList "gradients" [
        for tableau in [ Methods.Tsit5; Methods.Dopri5; Methods.Dop853 ] do
            testCase $"all ways agree, {tableau.Name}"
            <| fun () -> GradientLaws.allAgree tableau 1e-10 1e-8 1e-6 (lotkaVolterra false) |> Array.iter holds

        for name, way in
            [
                "Recorded", Differentiation.Recorded
                "Discrete", Differentiation.DiscreteDefault
                "Backsolve", Differentiation.BacksolveDefault
            ] do
            testCase $"{name} gives the closed form's gradient"
            <| fun () ->
                holds (
                    GradientLaws.agreesWithClosedForm
                        (RungeKutta Methods.Dopri5)
                        1e-11
                        1e-8
                        (growth ())
                        (growthJacobian 0.7)
                        way
                )
    ]

let private ownModel =
    testList "a model of one's own" [
        // docs/Laws.md shows this case.
        testCase "from F#"
        <| fun () ->
            let pendulum: OdeProblem = {
                Name = "my pendulum"
                Field =
                    VectorField(fun t y dydt ->
                        dydt[0] <- y[1]
                        dydt[1] <- -(sin y[0]) + 0.1 * cos t)
                Start = 0.0
                End = 3.0
                Initial = [| 1.0; 0.0 |]
                Exact = ValueNone
            }

            for law in OdeLaws.all Methods.Tsit5 pendulum do
                Expect.isTrue law.Holds (string law)

        for struct (name, body) in OwnModel.Cases.All do
            testCase $"from C#: {name}" body.Invoke
    ]

/// A field that changes with every call: not a function of (t, y).
let private forgetful () =
    let mutable calls = 0

    VectorField(fun _ y dydt ->
        calls <- calls + 1
        dydt[0] <- -y[0] + 1e-4 * float calls)

let private own: OdeProblem = {
    Problems.cosine with
        Name = "a field with a memory"
        Field = forgetful ()
        Exact = ValueNone
}

let private mutations =
    testList "a law that is broken fails" [
        testCase "order: a method that claims more than it has"
        <| fun () ->
            let heun =
                Tableau.Define("Boaster", 3, [| "0"; "1" |], [| [||]; [| "1" |] |], [| "1/2"; "1/2" |], "made up")

            fails (OdeLaws.convergence heun Problems.cosine)
            Expect.exists (OrderConditions.all heun) (fun law -> not law.Holds) "order conditions"

        testCase "order: a closed form of another field"
        <| fun () ->
            let other = {
                Problems.cosine with
                    Exact = ValueSome(fun t -> [| exp (sin t) + 1e-6 * t |])
            }

            fails (OdeLaws.convergence Methods.Dopri5 other)
            fails (OdeLaws.denseConvergence Methods.Dopri5 other)

        testCase "time reversal, flow, there and back: a field with a memory"
        <| fun () ->
            fails (OdeLaws.timeReversal Methods.Tsit5 own)
            fails (OdeLaws.roundTrip Methods.Tsit5 1e-8 1e3 own)
            fails (OdeLaws.semigroup Methods.Tsit5 1e-8 1e3 own)

        testCase "events: other gravity, a condition without a zero, a field with a memory"
        <| fun () ->
            let ball = EventProblems.ball

            fails (
                EventLaws.closedForm Methods.Tsit5 1e-9 1e-6 {
                    ball with
                        Times = ball.Times |> ValueOption.map (fun times -> times >> Array.map (fun t -> 1.0001 * t))
                }
            )

            // An event that nobody listed: the list has one flight too few.
            let short = ball.Times |> ValueOption.map (fun times -> times >> Array.skip 1)
            fails (EventLaws.closedForm Methods.Tsit5 1e-9 1e-6 { ball with Times = short })

            let step = { ball.Event with Condition = fun _ y -> if y[0] > 0.0 then 1.0 else -1.0 }
            fails (EventLaws.onZero Methods.Tsit5 1e-9 1e-7 { ball with Event = step })
            let never = { ball.Event with Condition = fun _ _ -> 1.0 }
            fails (EventLaws.onZero Methods.Tsit5 1e-9 1e-7 { ball with Event = never })
            let mutable calls = 0

            let drifting =
                VectorField(fun _ y dydt ->
                    calls <- calls + 1
                    dydt[0] <- y[1]
                    dydt[1] <- -9.81 + 1e-6 * float calls)

            fails (EventLaws.saveTimes Methods.Tsit5 1e-9 { ball with Field = drifting })
            fails (EventLaws.mirrored Methods.Tsit5 1e-9 { ball with Field = drifting })

        testCase "batches: a field that looks at the mean of the batch"
        <| fun () ->
            for law in BatchLaws.all (RungeKutta Methods.Tsit5) 1e-6 (pendulums true) do
                fails law

        testCase "spaces: another field on tensors; a field with a memory"
        <| fun () ->
            fails (SpaceLaws.tensors Methods.Tsit5 1e-8 1e-9 Problems.logarithmic (logarithmicOnTensors 1.00001))
            fails (SpaceLaws.arrays Methods.Tsit5 1e-8 1e-9 own)

            let two =
                let mutable calls = 0

                {
                    Problems.lotkaVolterra with
                        Field =
                            VectorField(fun t y dydt ->
                                calls <- calls + 1
                                Problems.lotkaVolterra.Field.Invoke(t, y, dydt)
                                dydt[0] <- dydt[0] + 1e-5 * float calls)
                }

            fails (SpaceLaws.pairs Methods.Tsit5 1e-8 1e-9 two)

        testCase "gradients: a parameter cut off from the graph; another closed form"
        <| fun () ->
            let found = GradientLaws.allAgree Methods.Tsit5 1e-10 1e-8 1e-6 (lotkaVolterra true)
            let quotients, ways = found |> Array.partition (fun law -> law.Law.Contains "quotients")
            // The ways agree with each other on the gradient of what the field tracks; the difference quotients do not.
            Array.iter holds ways
            Array.iter fails quotients

            fails (
                GradientLaws.agreesWithClosedForm
                    (RungeKutta Methods.Dopri5)
                    1e-11
                    1e-8
                    (growth ())
                    (growthJacobian 0.701)
                    Differentiation.DiscreteDefault
            )
    ]

let tests = testList "Laws" [ events; batches; spaces; gradients; ownModel; mutations ]
