/// Solving on tensors and differentiating the solves.
module GradientTests

open System
open Continuum
open Continuum.Properties
open Claims
open Expecto
open TorchSharp

let private f64 (values: float[]) = Tensors.vector values
let private leaf (values: float[]) = (Tensors.vector values).requires_grad_ true
let private scalar (x: float) = x.ToScalar()

let private lotkaVolterra () =
    let p = leaf [| 1.5; 1.0; 3.0; 1.0 |]

    let field =
        TensorField.create [ p ] (fun _ y ->
            let a, b = y.[0L], y.[1L]
            torch.stack [| p.[0L] * a - p.[1L] * a * b; p.[3L] * a * b - p.[2L] * b |])

    {
        Name = "Lotka-Volterra"
        Field = field
        Start = 0.0
        End = 10.0
        Initial = f64 [| 1.0; 1.0 |]
        SaveTimes = [| 2.5; 7.0; 10.0 |]
    }

let private vanDerPol () =
    let mu = leaf [| 1.0 |]

    let field =
        TensorField.create [ mu ] (fun _ y ->
            let a, b = y.[0L], y.[1L]
            torch.stack [| b; mu.[0L] * (torch.ones_like a - a * a) * b - a |])

    {
        Name = "van der Pol"
        Field = field
        Start = 0.0
        End = 20.0
        Initial = f64 [| 2.0; 0.0 |]
        SaveTimes = [| 5.0; 20.0 |]
    }

let private lorenz () =
    let p = leaf [| 10.0; 28.0; 8.0 / 3.0 |]

    let field =
        TensorField.create [ p ] (fun _ y ->
            let a, b, c = y.[0L], y.[1L], y.[2L]
            torch.stack [| p.[0L] * (b - a); a * (p.[1L] - c) - b; a * b - p.[2L] * c |])

    {
        Name = "Lorenz"
        Field = field
        Start = 0.0
        End = 1.0
        Initial = f64 [| 1.0; 1.0; 1.0 |]
        SaveTimes = [| 0.4; 1.0 |]
    }

let private forced () =
    let w = leaf [| 0.7; -0.4 |]

    let field = TensorField.create [ w ] (fun t y -> (y * w).add((t * 2.0).sin() * y.flip [| 0L |]))

    {
        Name = "a forced linear system"
        Field = field
        Start = 0.3
        End = 2.0
        Initial = f64 [| 1.0; -0.5 |]
        SaveTimes = [| 0.9; 2.0 |]
    }

let private problems = [ lotkaVolterra; vanDerPol; lorenz; forced ]

let private bounded = Differentiation.Discrete { MaxCheckpoints = 3; GraphWindow = 2 }

let private agreement =
    testList "ways to differentiate agree" [
        for make in problems do
            let problem = make ()

            for method in [ Methods.Dopri5; Methods.Tsit5; Methods.Dop853 ] do
                testCase $"{problem.Name}, {method.Name}: Discrete = Recorded to 1e-10"
                <| fun () ->
                    holds (
                        GradientLaws.agree
                            (RungeKutta method)
                            1e-7
                            1e-10
                            problem
                            Differentiation.DiscreteDefault
                            Differentiation.Recorded
                    )

            testCase $"{problem.Name}: bounded checkpoints change nothing"
            <| fun () ->
                holds (
                    GradientLaws.agree
                        (RungeKutta Methods.Tsit5)
                        1e-7
                        1e-12
                        problem
                        bounded
                        Differentiation.DiscreteDefault
                )

        testCase "Backsolve agrees where the flow can be reversed"
        <| fun () ->
            holds (
                GradientLaws.agree
                    (RungeKutta Methods.Tsit5)
                    1e-10
                    1e-6
                    (lotkaVolterra ())
                    Differentiation.BacksolveDefault
                    Differentiation.Recorded
            )

            holds (
                GradientLaws.agree
                    (RungeKutta Methods.Tsit5)
                    1e-10
                    1e-6
                    (forced ())
                    Differentiation.BacksolveDefault
                    Differentiation.Recorded
            )

        testCase "Backsolve warns where it cannot"
        <| fun () ->
            let mutable drift = 0.0
            let handler = Action<float, string>(fun size _ -> drift <- size)
            let way = Differentiation.Backsolve { Rtol = nan; Atol = nan; Seminorm = true; OnDrift = handler }
            GradientLaws.gradient (RungeKutta Methods.Dopri5) 1e-6 (vanDerPol ()) way |> ignore
            Expect.isGreaterThan drift 100.0 "drift"

        testCase "gradients are limits of difference quotients"
        <| fun () ->
            for make in [ lotkaVolterra; lorenz; forced ] do
                holds (
                    GradientLaws.agreesWithDifferences
                        (RungeKutta Methods.Dop853)
                        1e-12
                        1e-6
                        (make ())
                        Differentiation.DiscreteDefault
                )
    ]

let private optionsWith way save = {
    TensorOptions.create 1e-10 1e-10 with
        Differentiation = way
        Solve = { SolveOptions.create 1e-10 1e-10 with SaveAt = save }
}

let private value (x: Tensor) = Tensors.toFloat x

let private ways = [
    "Recorded", Differentiation.Recorded
    "Discrete", Differentiation.DiscreteDefault
    "bounded Discrete", bounded
]

let private timesAndEvents =
    testList "times and events" [
        for name, way in ways @ [ "Backsolve", Differentiation.BacksolveDefault ] do
            testCase $"{name}: gradients of start, end and save times"
            <| fun () ->
                use _ = torch.NewDisposeScope()
                // y' = -y, y(t) = exp(t0 - t): all derivatives are known
                let field = TensorField.create [] (fun _ y -> y.neg ())
                let t0 = (torch.tensor (0.2, dtype = torch.float64)).requires_grad_ true
                let t1 = (torch.tensor (1.5, dtype = torch.float64)).requires_grad_ true
                let save = leaf [| 0.5; 1.1 |]
                let y0 = leaf [| 1.0 |]

                let options = {
                    optionsWith way (Times [| 0.5; 1.1 |]) with
                        Times = ValueSome { Start = t0; End = t1; Save = save }
                }

                let solution = TensorOde.solve options field 0.2 1.5 y0
                let total = solution.States.sum().add(solution.Final.sum () * 10.0)
                let g = Autograd.vjp [| total |] [| t0; t1; save; y0 |] [| torch.ones_like total |]
                let a, b, c = exp -0.3, exp -0.9, exp -1.3

                let check part expected actual =
                    Expect.isTrue (abs (expected - actual) < 1e-7) $"{part}: {expected} {actual}"

                check "start" (a + b + 10.0 * c) (value g[0])
                check "end" (-10.0 * c) (value g[1])
                check "save" -a (Tensors.toArray g[2]).[0]
                check "save" -b (Tensors.toArray g[2]).[1]
                check "y0" (a + b + 10.0 * c) (value g[3])

        for name, way in ways do
            testCase $"{name}: gradients through event time, jump, state and parameters"
            <| fun () ->
                use _ = torch.NewDisposeScope()
                // A ball from height x0 bounces once with restitution e under gravity g; closed forms follow.
                let p = leaf [| 9.81; 0.8 |]
                let field = TensorField.create [ p ] (fun _ y -> torch.stack [| y.[1L]; p.[0L].neg() |])
                let y0 = leaf [| 1.3; 0.0 |]

                let bounce: TensorEvent = {
                    Name = "bounce"
                    Condition = fun _ y -> y.[0L]
                    Crossing = Falling
                    Apply = ValueSome(fun _ y -> torch.stack [| y.[0L]; p.[1L].neg() * y.[1L] |])
                    Terminal = false
                    MaxOccurrences = 1
                }

                let options = { optionsWith way EndOnly with Events = [| bounce |] }
                let solution = (TensorOde.solve options field 0.0 0.9 y0).EnsureSuccess()
                let x0, g, e, t = 1.3, 9.81, 0.8, 0.9
                let hit = sqrt (2.0 * x0 / g)
                let occurrence = solution.Occurrences[0]

                let check part expected actual =
                    Expect.isTrue (abs (expected - actual) < 1e-8) $"{part}: {expected} {actual}"

                check "time" hit (value occurrence.TimeTensor)

                let dTime =
                    Autograd.vjpRetain [| occurrence.TimeTensor |] [| y0; p |] [|
                        torch.ones_like occurrence.TimeTensor
                    |]

                check "dt/dx0" (0.5 * hit / x0) (Tensors.toArray dTime[0]).[0]
                check "dt/dg" (-0.5 * hit / g) (Tensors.toArray dTime[1]).[0]
                // height at t: e g hit (t - hit) - g (t - hit)^2 / 2
                let height = solution.Final.[0L]
                let late = t - hit
                check "height" (e * g * hit * late - 0.5 * g * late * late) (value height)
                let dHeight = Autograd.vjp [| height |] [| y0; p |] [| torch.ones_like height |]
                let dHit = e * g * (late - hit) + g * late
                check "dh/dx0" (dHit * 0.5 * hit / x0) (Tensors.toArray dHeight[0]).[0]
                check "dh/de" (g * hit * late) (Tensors.toArray dHeight[1]).[1]

                check
                    "dh/dg"
                    (e * hit * late - 0.5 * late * late - dHit * 0.5 * hit / g)
                    (Tensors.toArray dHeight[1]).[0]

        testCase "second derivatives where Recorded"
        <| fun () ->
            use _ = torch.NewDisposeScope()
            let rate = leaf [| 0.7 |]
            let field = TensorField.create [ rate ] (fun _ y -> rate * y)

            let solution =
                TensorOde.solve (optionsWith Differentiation.Recorded EndOnly) field 0.0 2.0 (f64 [| 1.0 |])

            let y = solution.Final.sum ()
            let first = Autograd.vjpGraph [| y |] [| rate |] [| torch.ones_like y |]
            let second = Autograd.vjp [| first[0].sum() |] [| rate |] [| torch.ones_like (first[0].sum()) |]
            let expected = 4.0 * exp 1.4
            Expect.isTrue (abs (value second[0] - expected) < 1e-6) $"{value second[0]} {expected}"

        testCase "heuristics are differentiable, Discrete = Recorded"
        <| fun () ->
            let gradient way =
                use _ = torch.NewDisposeScope()
                let problem = vanDerPol ()

                let options = {
                    optionsWith way EndOnly with
                        Solve = { SolveOptions.create 1e-5 1e-5 with Heuristics = true }
                }

                let solution = TensorOde.solve options problem.Field 0.0 3.0 problem.Initial
                let total = solution.ErrorEstimate.mul(scalar 1e6).add solution.StiffnessEstimate
                let g = Autograd.vjp [| total |] problem.Field.Parameters [| torch.ones_like total |]
                value total, value g[0]

            let v1, g1 = gradient Differentiation.Recorded
            let v2, g2 = gradient Differentiation.DiscreteDefault
            Expect.isTrue (abs (v1 - v2) <= 1e-9 * abs v1) $"values {v1} {v2}"
            Expect.isTrue (abs (g1 - g2) <= 1e-8 * abs g1 && g1 <> 0.0) $"gradients {g1} {g2}"
    ]

let private hygiene =
    testList "hygiene" [
        testCase "tensor results equal array results"
        <| fun () ->
            use _ = torch.NewDisposeScope()
            let problem = lorenz ()

            let field =
                VectorField(fun _ y d ->
                    d[0] <- 10.0 * (y[1] - y[0])
                    d[1] <- y[0] * (28.0 - y[2]) - y[1]
                    d[2] <- y[0] * y[1] - 8.0 / 3.0 * y[2])

            let a = ArrayOde.solve Methods.Dopri5 (SolveOptions.create 1e-8 1e-8) field 0.0 1.0 [| 1.0; 1.0; 1.0 |]

            let options = {
                optionsWith Differentiation.None EndOnly with
                    Method = RungeKutta Methods.Dopri5
                    Solve = SolveOptions.create 1e-8 1e-8
            }

            let b = TensorOde.solve options problem.Field 0.0 1.0 problem.Initial
            Expect.equal b.Statistics.Accepted a.Statistics.Accepted "steps"

            Array.iter2
                (fun x y -> Expect.isTrue (abs (x - y) < 1e-10) $"{x} {y}")
                a.FinalState
                (Tensors.toArray b.Final)

        for name, way in ways @ [ "None", Differentiation.None; "Backsolve", Differentiation.BacksolveDefault ] do
            testCase $"{name} leaves only its results"
            <| fun () ->
                let problem = lotkaVolterra ()

                let once () =
                    let initial = problem.Initial.clone().requires_grad_ true

                    let options = {
                        optionsWith way (Times [| 1.0; 2.0 |]) with
                            Solve = { SolveOptions.create 1e-6 1e-6 with SaveAt = Times [| 1.0; 2.0 |] }
                    }

                    let solution = TensorOde.solve options problem.Field 0.0 3.0 initial

                    if way <> Differentiation.None then
                        use total = solution.States.sum ()
                        use seed = torch.ones_like total

                        let g =
                            Autograd.vjp [| total |] (Array.append [| initial |] problem.Field.Parameters) [| seed |]

                        for x in g do
                            x.Dispose()

                    (solution :> IDisposable).Dispose()
                    initial.Dispose()

                once ()
                let before = Tensors.live ()

                for _ in 1..5 do
                    once ()

                Expect.equal (Tensors.live ()) before "live tensors"

        testCase "recorded and unrecorded steps give the same bits"
        <| fun () ->
            use _ = torch.NewDisposeScope()

            for dtype in [ torch.float32; torch.float64 ] do
                for n in [ 2L; 3L; 7L; 64L; 1000L ] do
                    let values = torch.arange (n, dtype = dtype)
                    let y0 = (values * 0.37).sin()
                    let rate = (values * 0.11 + 0.3).cos()
                    let field = TensorField.create [] (fun t y -> y.mul(rate).add(t.sin ()))

                    let final way =
                        let options = { TensorOptions.create 1e-5 1e-5 with Differentiation = way }
                        Tensors.toArray (TensorOde.solve options field 0.0 2.0 y0).Final

                    Expect.equal (final Differentiation.Recorded) (final Differentiation.None) $"{dtype}, {n} elements"

        testCase "dense output of tensors outlives the solve and is freed with it"
        <| fun () ->
            let before = Tensors.live ()
            let field = TensorField.create [] (fun _ y -> y.neg ())
            use y0 = f64 [| 1.0; 2.0 |]

            using (TensorOde.solve (optionsWith Differentiation.None DenseOutput) field 0.0 2.0 y0) (fun solution ->
                use at = solution.Dense.Value.At 1.234
                Expect.isTrue (abs ((Tensors.toArray at).[1] - 2.0 * exp -1.234) < 1e-9) "value")

            y0.Dispose()
            Expect.equal (Tensors.live ()) before "live tensors"

        testCase "an untracked tensor is named, a wrong shape too"
        <| fun () ->
            use _ = torch.NewDisposeScope()
            let w = leaf [| 2.0 |]
            let careless = TensorField.create [] (fun _ y -> w * y)

            let message action =
                try
                    action () |> ignore
                    ""
                with :? ArgumentException as error ->
                    error.Message

            Expect.stringContains
                (message (fun () ->
                    TensorOde.solve
                        (optionsWith Differentiation.DiscreteDefault EndOnly)
                        careless
                        0.0
                        1.0
                        (leaf [| 1.0 |])))
                "parameters"
                "untracked"

            let threshold = leaf [| 0.5 |]

            let crossing: TensorEvent = {
                Name = "threshold"
                Condition = fun _ y -> y.[0L] - threshold.[0L]
                Crossing = Either
                Apply = ValueNone
                Terminal = true
                MaxOccurrences = 1
            }

            let decay = TensorField.create [] (fun _ y -> y.neg ())

            let watched = {
                optionsWith Differentiation.DiscreteDefault EndOnly with
                    Events = [| crossing |]
            }

            Expect.stringContains
                (message (fun () -> TensorOde.solve watched decay 0.0 1.0 (leaf [| 1.0 |])))
                "event 'threshold'"
                "untracked in an event"

            let wrong = TensorField.create [] (fun _ y -> y.reshape [| 1L; -1L |])
            let solution = TensorOde.solve (optionsWith Differentiation.None EndOnly) wrong 0.0 1.0 (f64 [| 1.0 |])
            Expect.equal solution.Status Status.FieldThrew "status"
            Expect.stringContains solution.Message "shape" "wrong shape"

        testCase "parameters changed in place before the backward sweep are an error, not a wrong gradient"
        <| fun () ->
            use _ = torch.NewDisposeScope()
            let problem = lotkaVolterra ()

            let solution =
                TensorOde.solve
                    (optionsWith Differentiation.DiscreteDefault EndOnly)
                    problem.Field
                    0.0
                    1.0
                    problem.Initial

            let total = solution.Final.sum ()

            using (torch.no_grad ()) (fun _ -> problem.Field.Parameters[0].add_(scalar 0.1) |> ignore)

            Expect.throws
                (fun () -> Autograd.vjp [| total |] problem.Field.Parameters [| torch.ones_like total |] |> ignore)
                "in place"
    ]

let tests = testList "TensorOde" [ agreement; timesAndEvents; hygiene ]
