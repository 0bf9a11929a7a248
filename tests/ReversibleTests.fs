module ReversibleTests

open System
open System.Collections.Generic
open Expecto
open TorchSharp
open Continuum

let private tensor (values: float[]) = Tensors.vector values

/// Largest difference, relative to the largest entry of the second.
let private miss (a: Tensor) (b: Tensor) =
    let scale = b.abs().max().ToDouble()
    a.sub(b).abs().max().ToDouble() / (if scale = 0.0 then 1.0 else scale)

let private lotkaVolterra (p: Tensor) =
    TensorField.autonomous [ p ] (fun y ->
        let product = y.[0L].mul y.[1L]
        let a = p.[0L].mul(y.[0L]).sub(p.[1L].mul product)
        let b = p.[2L].mul(product).sub(p.[3L].mul y.[1L])
        torch.stack [| a; b |])

let private vanDerPol (p: Tensor) =
    TensorField.autonomous [ p ] (fun y ->
        let square = y.[0L].mul y.[0L]
        let b = p.[0L].mul(y.[1L]).mul(square.neg().add(1.0.ToScalar())).sub y.[0L]
        torch.stack [| y.[1L]; b |])

let private lorenz (p: Tensor) =
    TensorField.autonomous [ p ] (fun y ->
        let a = p.[0L].mul(y.[1L].sub y.[0L])
        let b = y.[0L].mul(p.[1L].sub y.[2L]).sub y.[1L]
        let c = y.[0L].mul(y.[1L]).sub(p.[2L].mul y.[2L])
        torch.stack [| a; b; c |])

/// y1' = y1 cos t, y2' = -2 t y2^2.
let private clocked =
    TensorField.create [] (fun t y ->
        torch.stack [| y.[0L].mul(t.cos ()); y.[1L].mul(y.[1L]).mul(t).mul((-2.0).ToScalar()) |])

let private clockedExact t = tensor [| exp (sin t); 1.0 / (1.0 + t * t) |]

let private coupled coupling t1 = [
    for tableau in [ Methods.Tsit5; Methods.Dopri5; Methods.Dop853 ] do
        $"{tableau.Name} coupled {coupling}", Coupled(tableau, coupling), 1e-8, t1
]

let private heun t1 = [ "Heun", ReversibleHeun, 1e-4, t1 ]

let private problems = [
    "Lotka-Volterra", lotkaVolterra, [| 1.5; 1.0; 1.0; 3.0 |], [| 1.0; 1.0 |], coupled 0.9 10.0 @ heun 10.0
    // Not Dop853: its few long steps amplify rounding here (1e-6 to 3e-6, and 6e-8 even with every state stored).
    // Contraction: a coupling near 1 does not damp the second state's own mode, and reversible Heun never does.
    "van der Pol", vanDerPol, [| 1.0 |], [| 2.0; 0.0 |], List.take 2 (coupled 0.9 20.0) @ heun 2.0
    "Lorenz", lorenz, [| 10.0; 28.0; 8.0 / 3.0 |], [| 1.0; 2.0; 20.0 |], coupled 0.9 1.0 @ heun 0.2
]

let private options (method: Method) (saveAt: SaveAt) (tolerance: float) differentiation =
    let basic = TensorOptions.create tolerance tolerance

    {
        basic with
            Method = method
            Differentiation = differentiation
            Solve = { basic.Solve with SaveAt = saveAt }
    }

let private reversible every drift =
    Differentiation.Reversible { Coupling = 0.999; CheckpointEvery = every; OnDrift = drift }

let private silent = Action<float, string>(fun _ _ -> ())

/// States and gradients of a loss that reads every saved value and the final one: result, d/dy0, d/dp.
let private gradients
    (options: TensorOptions)
    (field: Tensor -> TensorField)
    (p: float[])
    (y0: float[])
    (t0: float)
    (t1: float)
    =
    let p = (tensor p).requires_grad_ true
    let y0 = (tensor y0).requires_grad_ true
    let solution = (TensorOde.solve options (field p) t0 t1 y0).EnsureSuccess()
    let count = solution.States.numel ()
    let weights = torch.linspace(0.5, 1.5, count, dtype = torch.float64).reshape solution.States.shape
    let loss = solution.States.mul(weights).sum().add(solution.Final.mul(solution.Final).sum())
    let found = Autograd.vjp [| loss |] [| y0; p |] [| torch.ones_like loss |]
    struct (solution.States.detach (), found[0], found[1], solution.Statistics.Accepted)

let private inverse =
    testList "a step then its inverse returns the start" [
        for name, make in
            [
                "Heun", (fun space field _ -> HeunScheme(space, field) :> ReversibleScheme)
                "Tsit5", (fun space field y -> CoupledScheme(Methods.Tsit5, 0.999, space, field, y))
                "Rk4", (fun space field y -> CoupledScheme(Methods.Rk4, 0.9, space, field, y))
                "Dop853", (fun space field y -> CoupledScheme(Methods.Dop853, 1.0, space, field, y))
            ] do
            test name {
                use _ = torch.NewDisposeScope()
                use _ = torch.no_grad ()
                let space = TensorSpace(Tolerance.create 1e-6 1e-6, true)
                let y = tensor [| 1.2; 0.7 |]
                let z = tensor [| 1.19; 0.71 |]
                let scheme = make space clocked y
                let step = { From = 0.4; To = 0.65; H = 0.25; Fresh = false }
                let y1 = scheme.First(0.4, 0.65, 0.25, y, z, scheme.SlopeAt(0.4, z))
                let struct (z1, _) = scheme.Second(0.65, 0.25, z, y1)
                let none = torch.zeros_like y
                use sums = new GradientAccumulator [||]

                let pair = {
                    Y = y1
                    Z = z1
                    GradY = none
                    GradZ = none
                    GradSlope = null
                    Leaf = null
                    Slope = null
                }

                let back = scheme.Pull(step, pair, sums)
                Expect.isGreaterThan (miss y1 y) 1e-2 "the step moves"
                Expect.isLessThan (miss back.Y y) 1e-12 "first state"
                Expect.isLessThan (miss back.Z z) 1e-12 "second state"
            }
    ]

let private order =
    testList "order on a field that depends on time" [
        for name, method, order, steps in
            [
                "Bosh3", Coupled(Methods.Bosh3, 0.999), 3.0, 40
                "Rk4", Coupled(Methods.Rk4, 0.999), 4.0, 20
                "Dopri5", Coupled(Methods.Dopri5, 0.999), 5.0, 20
                "reversible Heun", ReversibleHeun, 2.0, 80
            ] do
            test name {
                use _ = torch.NewDisposeScope()

                let error (n: int) =
                    let basic = options method EndOnly 1e-10 Differentiation.None
                    let fixedSteps = { basic with Solve = { basic.Solve with Control = Fixed(2.0 / float n) } }
                    let solution = (TensorOde.solve fixedSteps clocked 0.0 2.0 (tensor [| 1.0; 1.0 |])).EnsureSuccess()
                    Expect.equal solution.Statistics.Accepted n "steps"
                    miss solution.Final (clockedExact 2.0)

                let slope = Math.Log2(error steps / error (2 * steps))
                // With a coupling near 1 the leading error term nearly cancels between the two states.
                Expect.isTrue (slope > order - 0.35 && slope < order + 1.35) $"slope {slope}"
            }

        test "dense output is third order" {
            use _ = torch.NewDisposeScope()

            for method in [ Coupled(Methods.Dopri5, 0.999); ReversibleHeun ] do
                let basic = options method DenseOutput 1e-10 Differentiation.None
                let steps = if method.Order = 2 then 2000 else 100
                let solve = { basic with Solve = { basic.Solve with Control = Fixed(2.0 / float steps) } }
                let solution = (TensorOde.solve solve clocked 0.0 2.0 (tensor [| 1.0; 1.0 |])).EnsureSuccess()
                let saved = options method (Times [| 0.731; 1.377 |]) 1e-10 Differentiation.None
                let between = { saved with Solve = { saved.Solve with Control = Fixed(2.0 / float steps) } }
                let other = (TensorOde.solve between clocked 0.0 2.0 (tensor [| 1.0; 1.0 |])).EnsureSuccess()

                [| 0.731; 1.377 |]
                |> Array.iteri (fun i t ->
                    let value = solution.Dense.Value.At t
                    Expect.isLessThan (miss value (clockedExact t)) 2e-6 $"{method.Order}: at {t}"
                    Expect.isLessThan (miss other.States.[int64 i] value) 1e-12 "the same between steps")
        }
    ]

let private agreement =
    testList "gradient equals the recorded one" [
        for name, field, p, y0, methods in problems do
            for methodName, method, tolerance, t1 in methods do
                test $"{name} T={t1}, {methodName}" {
                    use _ = torch.NewDisposeScope()
                    let saveAt = StepValues [| 0.0; 0.21 * t1; 0.5 * t1; 0.83 * t1; t1 |]

                    let run differentiation =
                        gradients (options method saveAt tolerance differentiation) field p y0 0.0 t1

                    let struct (states, dy, dp, steps) = run Differentiation.Recorded

                    for every in [ 0; 16 ] do
                        let worst = List<float>()
                        let drift = Action<float, string>(fun size _ -> worst.Add size)
                        let struct (states', dy', dp', steps') = run (reversible every drift)
                        let a, b = miss dy' dy, miss dp' dp
                        printfn $"{name} T={t1}, {methodName}, every {every}: {steps} steps, dy0 {a:g2}, dp {b:g2}"
                        Expect.equal steps' steps "steps"
                        Expect.isLessThan (miss states' states) 1e-15 "states"
                        Expect.isLessThan a 1e-8 "initial state"
                        Expect.isLessThan b 1e-8 "parameters"
                        Expect.isEmpty worst "no drift"
                }

        test "with jumps, every step saved, backward in time" {
            use _ = torch.NewDisposeScope()
            // The rate switches sign at each jump.
            let field (p: Tensor) =
                TensorField.create [ p ] (fun t y ->
                    let rate =
                        if t.ToDouble() < 1.0 then 1.0
                        elif t.ToDouble() < 2.5 then -2.0
                        else 0.5

                    p.[0L].mul(y).mul(rate.ToScalar()).add(p.[1L].mul(y.sin ())))

            for methodName, method, tolerance, _ in coupled 0.99 3.0 @ heun 3.0 do
                for start, finish in [ 0.0, 3.0; 3.0, 0.0 ] do
                    let run saveAt differentiation =
                        let basic = options method saveAt tolerance differentiation
                        let jumps = { basic with Solve = { basic.Solve with Jumps = [| 0.0; 1.0; 2.5 |] } }
                        gradients jumps field [| 0.8; 0.3 |] [| 1.0; -0.4; 2.0 |] start finish

                    for saveAt in
                        [
                            EverySteps
                            EndOnly
                            StepValues(Array.sort [| 1.0; 1.7 |] |> if start > finish then Array.rev else id)
                        ] do
                        let struct (_, dy, dp, steps) = run saveAt Differentiation.Recorded
                        let struct (_, dy', dp', steps') = run saveAt (reversible 7 null)
                        Expect.equal steps' steps "steps"
                        Expect.isLessThan (miss dy' dy) 1e-9 $"initial state, {methodName} from {start}"
                        Expect.isLessThan (miss dp' dp) 1e-9 $"parameters, {methodName} from {start}"
        }

        test "a tableau is coupled, with and without gradients" {
            use _ = torch.NewDisposeScope()
            let times = Times [| 1.0; 2.2 |]

            let run method saveAt differentiation =
                gradients
                    (options method saveAt 1e-7 differentiation)
                    lotkaVolterra
                    [| 1.5; 1.0; 1.0; 3.0 |]
                    [| 1.0; 1.0 |]
                    0.0
                    3.0

            let struct (states, dy, _, _) =
                run (Coupled(Methods.Tsit5, 0.999)) (StepValues [| 1.0; 2.2 |]) Differentiation.Recorded

            let struct (states', dy', _, _) = run (RungeKutta Methods.Tsit5) times (reversible 0 null)
            Expect.isLessThan (miss states' states) 1e-15 "states"
            Expect.isLessThan (miss dy' dy) 1e-10 "gradient"
            let plain = options (RungeKutta Methods.Tsit5) times 1e-7 (reversible 0 null)

            let free =
                TensorOde.solve plain (lotkaVolterra (tensor [| 1.5; 1.0; 1.0; 3.0 |])) 0.0 3.0 (tensor [| 1.0; 1.0 |])

            Expect.isLessThan (miss free.States states) 1e-15 "without gradients"
        }

        test "single precision" {
            use _ = torch.NewDisposeScope()
            let network = torch.nn.Linear(3L, 3L)
            let field = TensorField.ofModule network
            let y0 = torch.linspace(-1.0, 1.0, 12L).reshape(4L, 3L).requires_grad_ true
            let inputs = Array.append [| y0 |] field.Parameters

            let run differentiation =
                let solution =
                    TensorOde.solve
                        (options (Coupled(Methods.Tsit5, 0.99)) EndOnly 1e-4 differentiation)
                        field
                        0.0
                        2.0
                        y0

                let loss = solution.EnsureSuccess().Final.pow(2.0.ToScalar()).sum()
                Autograd.vjp [| loss |] inputs [| torch.ones_like loss |]

            let expected = run Differentiation.Recorded
            let found = run (reversible 0 null)

            for i in 0 .. inputs.Length - 1 do
                Expect.isLessThan (miss found[i] expected[i]) 1e-4 $"input {i}"
        }
    ]

let private memory =
    testList "memory" [
        test "nothing stays" {
            let run method every =
                use _ = torch.NewDisposeScope()

                gradients
                    (options method (StepValues [| 1.0; 2.0; 3.0 |]) 1e-6 (reversible every null))
                    lotkaVolterra
                    [| 1.5; 1.0; 1.0; 3.0 |]
                    [| 1.0; 1.0 |]
                    0.0
                    3.0
                |> ignore

            for method in [ Coupled(Methods.Tsit5, 0.999); Coupled(Methods.Dop853, 0.999); ReversibleHeun ] do
                run method 0
                let before = Tensors.live ()

                for every in [ 1; 5; 0 ] do
                    run method every

                Expect.equal (Tensors.live ()) before $"{method.Order}"
        }

        test "without scopes around it, only the results stay" {
            let field = lotkaVolterra (tensor [| 1.5; 1.0; 1.0; 3.0 |])
            let y0 = (tensor [| 1.0; 1.0 |]).requires_grad_ true

            let solve method saveAt differentiation =
                TensorOde.solve (options method saveAt 1e-6 differentiation) field 0.0 3.0 y0

            use warm = solve ReversibleHeun EndOnly (reversible 0 null)
            Expect.equal warm.Status Status.Success "warm-up"

            for method in [ Coupled(Methods.Tsit5, 0.999); ReversibleHeun ] do
                for differentiation in [ reversible 3 null; Differentiation.None ] do
                    let before = Tensors.live ()
                    let solution = solve method (Times [| 1.0; 2.0 |]) differentiation
                    (solution :> IDisposable).Dispose()
                    Expect.equal (Tensors.live ()) before $"{differentiation}"
        }

        test "stored states follow CheckpointEvery, live tensors do not follow the steps" {
            let most method (steps: int) every =
                use _ = torch.NewDisposeScope()
                let mutable largest = 0L
                let start = Tensors.live ()

                let field =
                    TensorField.autonomous [] (fun y ->
                        largest <- Math.Max(largest, Tensors.live () - start)
                        y.cos ())

                let basic = options method EndOnly 1e-6 (reversible every silent)
                let solve = { basic with Solve = { basic.Solve with Control = Fixed(1.0 / float steps) } }
                let y0 = (tensor [| 0.1; 0.2 |]).requires_grad_ true
                let solution = TensorOde.solve solve field 0.0 1.0 y0
                let loss = solution.Final.sum ()
                Autograd.vjp [| loss |] [| y0 |] [| torch.ones_like loss |] |> ignore
                largest

            for method in [ Coupled(Methods.Rk4, 0.999); ReversibleHeun ] do
                let few = most method 20 10_000
                Expect.isLessThanOrEqual (most method 500 10_000) (few + 2L) "no checkpoints"
                let sparse = most method 500 20
                let dense = most method 500 10
                Expect.isLessThanOrEqual sparse (few + 2L * 25L) "25 checkpoints"
                Expect.isLessThanOrEqual (abs (dense - sparse - 2L * 25L)) 4L "25 more"
        }

        test "automatic stride" {
            let stride coupling dtype =
                Reversible.stride
                    { Coupling = 0.999; CheckpointEvery = 0; OnDrift = null }
                    (Coupled(Methods.Rk4, coupling))
                    dtype

            Expect.equal (stride 0.999 torch.float64) 256 "0.999"
            Expect.equal (stride 0.5 torch.float64) 25 "0.5"
            Expect.equal (stride 0.5 torch.float32) 6 "0.5, single"
            Expect.equal (stride 1.0 torch.float64) 256 "1"
            Expect.equal (stride 1e-300 torch.float64) 1 "tiny"
        }
    ]

let private misuse =
    let p = [| 1.5; 1.0; 1.0; 3.0 |]

    let refused (text: string) (change: TensorOptions -> TensorOptions) =
        use _ = torch.NewDisposeScope()
        let basic = options (RungeKutta Methods.Tsit5) EndOnly 1e-6 (reversible 0 null)

        for wanted in [ true; false ] do
            let y0 = (tensor [| 1.0; 1.0 |]).requires_grad_ wanted

            try
                TensorOde.solve (change basic) (lotkaVolterra (tensor p)) 0.0 1.0 y0 |> ignore
                failtest "was accepted"
            with :? ArgumentException as error ->
                Expect.stringContains error.Message text "message"

    let scheduled (basic: TensorOptions) : TensorOptions = {
        basic with
            Solve = { basic.Solve with Scheduled = [| { Time = 0.5; Apply = fun _ y -> y } |] }
    }

    let event: TensorEvent = {
        Name = "zero"
        Condition = fun _ (y: Tensor) -> y.sum ()
        Crossing = Either
        Apply = ValueNone
        Terminal = false
        MaxOccurrences = 1
    }

    let withCoupling coupling = Differentiation.Reversible { Coupling = coupling; CheckpointEvery = 0; OnDrift = null }

    testList "misuse" [
        test "events" { refused "differentiate by Discrete" (fun o -> { o with Events = [| event |] }) }
        test "scheduled changes" { refused "differentiate by Discrete" scheduled }
        test "dense output" {
            refused "differentiate by Discrete" (fun o -> { o with Solve = { o.Solve with SaveAt = DenseOutput } })
        }
        test "checkpoints" { refused "CheckpointEvery" (fun o -> { o with Differentiation = reversible -1 null }) }
        for coupling in [ 0.0; -0.5; 1.5; nan ] do
            test $"coupling {coupling}" {
                refused "(0, 1]" (fun o -> { o with Differentiation = withCoupling coupling })
                refused "(0, 1]" (fun o -> { o with Method = Coupled(Methods.Rk4, coupling) })
            }
        test "adaptive steps without an estimate" {
            refused "no error estimate" (fun o -> { o with Method = RungeKutta Methods.Rk4 })
        }
        test "a field that throws in the backward sweep" {
            use _ = torch.NewDisposeScope()
            let mutable armed = false

            let field =
                TensorField.autonomous [] (fun y ->
                    if armed then
                        raise (TimeoutException "enough")

                    y.neg ())

            let y0 = (tensor [| 1.0 |]).requires_grad_ true
            let before = Tensors.live ()

            for method in [ Coupled(Methods.Tsit5, 0.999); ReversibleHeun ] do
                armed <- false
                use _ = torch.NewDisposeScope()
                let solution = TensorOde.solve (options method EndOnly 1e-4 (reversible 0 null)) field 0.0 1.0 y0
                armed <- true
                let loss = solution.Final.sum ()
                Expect.throwsT<TimeoutException> (fun () -> Autograd.backward loss) "rethrown"

            Expect.equal (Tensors.live ()) before "live"
        }
        test "a solve that fails keeps its partial gradient" {
            use _ = torch.NewDisposeScope()
            let field = TensorField.autonomous [] (fun y -> y.mul y)

            for method in [ Coupled(Methods.Tsit5, 0.999); ReversibleHeun ] do
                let run differentiation =
                    let basic = options method EndOnly 1e-6 differentiation
                    let limited = { basic with Solve = { basic.Solve with MaxSteps = 30 } }
                    let y0 = (tensor [| 1.0 |]).requires_grad_ true
                    let solution = TensorOde.solve limited field 0.0 2.0 y0
                    Expect.equal solution.Status Status.MaxStepsReached "status"
                    let loss = solution.Final.sum ()
                    (Autograd.vjp [| loss |] [| y0 |] [| torch.ones_like loss |])[0]

                Expect.isLessThan (miss (run (reversible 0 silent)) (run Differentiation.Recorded)) 1e-6 "gradient"
        }
    ]

let private drift =
    testList "drift" [
        test "is reported for a small coupling without checkpoints, and cured by them" {
            use _ = torch.NewDisposeScope()

            let run every =
                let told = List<struct (float * string)>()
                let handler = Action<float, string>(fun size text -> told.Add(struct (size, text)))
                let method = Coupled(Methods.Tsit5, 0.5)
                let differentiation = reversible every handler

                gradients
                    (options method EndOnly 1e-8 differentiation)
                    lotkaVolterra
                    [| 1.5; 1.0; 1.0; 3.0 |]
                    [| 1.0; 1.0 |]
                    0.0
                    10.0
                |> ignore

                told

            let told = run 100_000
            Expect.equal told.Count 1 "once a sweep"
            let struct (size, text) = told[0]
            Expect.isGreaterThan size 1e-6 "size"
            Expect.stringContains text "CheckpointEvery" "remedy"
            Expect.isEmpty (run 0) "automatic checkpoints"
        }

        test "is reported when the state becomes infinite on the way back" {
            use _ = torch.NewDisposeScope()
            let told = List<float>()
            let handler = Action<float, string>(fun size _ -> told.Add size)
            let basic = options (Coupled(Methods.Rk4, 0.01)) EndOnly 1e-8 (reversible 100_000 handler)
            let solve = { basic with Solve = { basic.Solve with Control = Fixed 0.01 } }
            gradients solve lotkaVolterra [| 1.5; 1.0; 1.0; 3.0 |] [| 1.0; 1.0 |] 0.0 5.0 |> ignore
            Expect.equal (Seq.toList told) [ infinity ] "size"
        }
    ]

let tests = testList "Reversible" [ inverse; order; agreement; memory; misuse; drift ]
