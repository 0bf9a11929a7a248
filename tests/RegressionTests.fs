/// Hard cases of events, gradients and input that other tests do not reach.
module RegressionTests

open System
open Continuum
open Expecto
open TorchSharp

let private options rtol : SolveOptions<float[]> = SolveOptions.create rtol rtol
let private f64 (values: float[]) = Tensors.vector values
let private leaf (values: float[]) = (Tensors.vector values).requires_grad_ true
let private scalar (x: float) = x.ToScalar()

let private close name expected actual tolerance =
    Expect.isTrue (abs (expected - actual) <= tolerance) $"{name}: expected {expected}, got {actual}"

let private event name condition crossing apply terminal : Event<float[]> = {
    Name = name
    Condition = condition
    Crossing = crossing
    Apply = apply
    Terminal = terminal
    MaxOccurrences = Int32.MaxValue
}

/// y' = 1.
let private clock = VectorField(fun _ _ d -> d[0] <- 1.0)

let private fall =
    VectorField(fun _ y d ->
        d[0] <- y[1]
        d[1] <- -9.81)

let private message action =
    try
        action () |> ignore
        "nothing was thrown"
    with :? ArgumentException as error ->
        error.Message

let private eventTimes (solution: Solution<'S>) = solution.Occurrences |> Array.map (fun o -> o.Time)

let private eventCases =
    testList "events" [
        for control in [ Adaptive ValueNone; Fixed 0.25 ] do
            for crossing in [ Either; Rising ] do
                testCase $"a zero exactly at the end of a step fires once, {control}, {crossing}"
                <| fun () ->
                    let at = event "half" (fun _ y -> y[0] - 0.5) crossing ValueNone false

                    let solution =
                        ArrayOde.solve
                            Methods.Tsit5
                            {
                                options 1e-8 with
                                    Control = control
                                    Events = [| at |]
                                    SaveAt = StepValues [| 0.5; 1.0 |]
                            }
                            clock
                            0.0
                            1.0
                            [| 0.0 |]

                    Expect.equal solution.Status Status.Success solution.Message
                    Expect.equal solution.Occurrences.Length 1 "once"
                    close "time" 0.5 solution.Occurrences[0].Time 1e-14
                    Expect.equal solution.Times [| 0.5; 1.0 |] "saves"

        testCase "an event at the end of the span fires; one at its start does not"
        <| fun () ->
            let ends = event "end" (fun t _ -> t - 1.0) Either ValueNone false
            let starts = event "start" (fun _ y -> y[0]) Either ValueNone true

            let solution =
                ArrayOde.solve Methods.Tsit5 { options 1e-8 with Events = [| ends; starts |] } clock 0.0 1.0 [| 0.0 |]

            Expect.equal solution.Status Status.Success solution.Message
            Expect.equal (solution.Occurrences |> Array.map (fun o -> o.Event)) [| 0 |] "only the end"

        testCase "an event at a dose and at a declared jump"
        <| fun () ->
            let at = event "half" (fun _ y -> y[0] - 0.5) Rising ValueNone false

            let run change =
                ArrayOde.solve Methods.Tsit5 (change { options 1e-8 with Events = [| at |] }) clock 0.0 1.0 [| 0.0 |]

            let dose =
                run (fun o -> { o with Scheduled = [| { Time = 0.5; Apply = fun _ y -> [| y[0] + 1.0 |] } |] })

            Expect.equal dose.Status Status.Success dose.Message
            close "dose" 2.0 dose.FinalState[0] 1e-12
            let jump = run (fun o -> { o with Jumps = [| 0.5 |] })
            Expect.equal jump.Occurrences.Length 1 "once at a jump"
            close "jump" 0.5 jump.Occurrences[0].Time 1e-12

        testCase "the earlier of two terminal events wins"
        <| fun () ->
            let late = event "late" (fun _ y -> y[0] - 0.6) Rising ValueNone true
            let early = event "early" (fun _ y -> y[0] - 0.59) Rising ValueNone true

            let solution =
                ArrayOde.solve Methods.Dopri5 { options 1e-8 with Events = [| late; early |] } clock 0.0 1.0 [| 0.0 |]

            Expect.equal solution.Status Status.Terminated solution.Message
            Expect.equal (solution.Occurrences |> Array.map (fun o -> o.Event)) [| 1 |] "early"
            close "time" 0.59 solution.FinalTime 1e-13

        testCase "touching zero without crossing is no event"
        <| fun () ->
            let touch = event "touch" (fun _ y -> (y[0] - 0.5) ** 2.0) Either ValueNone true

            let solution =
                ArrayOde.solve Methods.Tsit5 { options 1e-8 with Events = [| touch |] } clock 0.0 1.0 [| 0.0 |]

            Expect.equal solution.FinalTime 1.0 solution.Message

        testCase "MaxOccurrences, backward in time, explicit time"
        <| fun () ->
            let wave = {
                event "wave" (fun t _ -> sin (10.0 * t)) Either ValueNone false with
                    MaxOccurrences = 3
            }

            let solution =
                ArrayOde.solve Methods.Tsit5 { options 1e-8 with Events = [| wave |] } clock 1.5 0.0 [| 0.0 |]

            let times = eventTimes solution
            Expect.equal times.Length 3 "three"

            for i in 0..2 do
                close "time" (Math.PI * float (4 - i) / 10.0) times[i] 1e-12

        testCase "a jump that lands beyond the surface does not fire again"
        <| fun () ->
            let at = event "half" (fun _ y -> y[0] - 0.5) Rising (ValueSome(fun _ y -> [| y[0] + 1.0 |])) false

            let solution =
                ArrayOde.solve Methods.Tsit5 { options 1e-8 with Events = [| at |] } clock 0.0 1.0 [| 0.0 |]

            Expect.equal solution.Occurrences.Length 1 "once"
            close "end" 2.0 solution.FinalState[0] 1e-12

        testCase "dense output before and after an event"
        <| fun () ->
            let at = event "half" (fun _ y -> y[0] - 0.5) Rising (ValueSome(fun _ y -> [| y[0] + 1.0 |])) true

            let solution =
                ArrayOde.solve
                    Methods.Tsit5
                    {
                        options 1e-8 with
                            Events = [| { at with Terminal = false } |]
                            SaveAt = DenseOutput
                    }
                    clock
                    0.0
                    1.0
                    [| 0.0 |]

            let time = solution.Occurrences[0].Time
            close "before" 0.499 (solution.Dense.Value.At(time - 1e-3)).[0] 1e-10
            close "after" 1.5 (solution.Dense.Value.At time).[0] 1e-10

        testCase "bounces that accumulate end in bounded time, never under the floor without a word"
        <| fun () ->
            let floor =
                event "floor" (fun _ y -> y[0]) Falling (ValueSome(fun _ y -> [| y[0]; -0.5 * y[1] |])) false

            // falls for sqrt(2 / g), then bounces of twice that, halved each time
            let rest = 3.0 * sqrt (2.0 / 9.81)

            for method in [ Methods.Tsit5; Methods.Dop853 ] do
                for control, tolerance in [ Adaptive ValueNone, 1e-5; Fixed 0.01, 1e-3 ] do
                    let solution =
                        ArrayOde.solve method { options 1e-8 with Events = [| floor |]; Control = control } fall 0.0 3.0 [|
                            1.0
                            0.0
                        |]

                    Expect.equal
                        solution.Status
                        Status.TooManyEvents
                        $"{solution.Message}, the ball is at {solution.FinalState[0]}"

                    close "comes to rest" rest solution.FinalTime tolerance
                    Expect.stringContains solution.Message "accumulates" "says why"

        testCase "an event that throws or is NaN is named, what was done is kept"
        <| fun () ->
            let nanAfter = event "odd" (fun t _ -> if t > 0.5 then nan else 1.0) Either ValueNone false
            let nanAtStart = event "odd" (fun _ _ -> nan) Either ValueNone false
            let throws = event "odd" (fun t _ -> if t > 0.5 then failwith "boom" else 1.0) Either ValueNone false

            for event, word in [ nanAfter, "odd"; nanAtStart, "odd"; throws, "boom" ] do
                let solution =
                    ArrayOde.solve Methods.Tsit5 { options 1e-8 with Events = [| event |]; MaxStep = 0.1 } clock 0.0 1.0 [|
                        0.0
                    |]

                Expect.equal solution.Status Status.FieldThrew "status"
                Expect.stringContains solution.Message word "named"
                Expect.isTrue (Double.IsFinite solution.FinalState[0]) "partial"
    ]

let private inputCases =
    testList "input" [
        testCase "nothing, NaN and shapes"
        <| fun () ->
            let solve field y0 = ArrayOde.solve Methods.Tsit5 (options 1e-6) field 0.0 1.0 y0
            Expect.stringContains (message (fun () -> solve null [| 1.0 |])) "field" "null field"
            Expect.stringContains (message (fun () -> solve clock null)) "empty" "null y0"
            Expect.stringContains (message (fun () -> solve clock [||])) "empty" "empty y0"
            Expect.equal (solve clock [| nan |]).Status Status.NonFinite "NaN"
            use _ = torch.NewDisposeScope()
            let field = TensorField.create [] (fun _ y -> y.neg ())
            let plain = TensorOptions.create 1e-6 1e-6
            let y0 = f64 [| 1.0; 2.0 |]
            Expect.stringContains (message (fun () -> TensorOde.solve plain null 0.0 1.0 y0)) "field" "null field"
            Expect.stringContains (message (fun () -> TensorOde.solve plain field 0.0 1.0 null)) "empty" "null y0"

            Expect.stringContains
                (message (fun () -> TensorOde.solve plain field 0.0 1.0 (torch.ones (2L, dtype = torch.int64))))
                "floating"
                "integers"

            let per = {
                plain with
                    Solve = {
                        plain.Solve with
                            Tolerance = { plain.Solve.Tolerance with AtolPer = ValueSome(f64 [| 1e-6; 1e-6; 1e-6 |]) }
                    }
            }

            Expect.stringContains (message (fun () -> TensorOde.solve per field 0.0 1.0 y0)) "shape" "tolerance"

            let nan = TensorOde.solve plain field 0.0 1.0 (f64 [| nan; 1.0 |])
            Expect.equal nan.Status Status.NonFinite "NaN"

            Expect.stringContains
                (message (fun () ->
                    ArrayOde.solve Methods.Tsit5 { options 1e-6 with MinStep = 0.1; MaxStep = 0.01 } clock 0.0 1.0 [|
                        0.0
                    |]))
                "MinStep"
                "steps"

        testCase "a zero scale names the tolerance"
        <| fun () ->
            let solution =
                ArrayOde.solve
                    Methods.Tsit5
                    (SolveOptions.create 1e-6 0.0)
                    (VectorField(fun _ y d -> d[0] <- y[0]))
                    0.0
                    1.0
                    [| 0.0 |]

            Expect.isTrue
                (solution.Status = Status.Success || solution.Message.Contains "atol")
                $"{solution.Status}: {solution.Message}"

        testCase "large and small time scales, long first steps, close step values"
        <| fun () ->
            let decay rate = VectorField(fun _ y d -> d[0] <- -rate * y[0])
            let far = ArrayOde.solve Methods.Tsit5 (options 1e-8) (decay 1.0) 1e9 (1e9 + 1.0) [| 1.0 |]
            close "far" (exp -1.0) far.FinalState[0] 1e-6
            let small = ArrayOde.solve Methods.Tsit5 (options 1e-8) (decay 1e9) 0.0 1e-9 [| 1.0 |]
            close "small" (exp -1.0) small.FinalState[0] 1e-6

            let long =
                ArrayOde.solve
                    Methods.Tsit5
                    {
                        options 1e-8 with
                            InitialStep = ValueSome 1e6
                            SaveAt = StepValues [| 0.0; 0.5; Math.BitIncrement 0.5; 1.0 |]
                    }
                    (decay 1.0)
                    0.0
                    1.0
                    [| 1.0 |]

            Expect.equal long.Times.Length 4 long.Message
            close "long" (exp -1.0) long.FinalState[0] 1e-6

        testCase "a tolerance below rounding ends with a status"
        <| fun () ->
            let solution =
                ArrayOde.solve
                    Methods.Dop853
                    (SolveOptions.create 1e-17 1e-17)
                    (VectorField(fun t y d -> d[0] <- cos (10.0 * t) * y[0]))
                    1.0
                    2.0
                    [| 1.0 |]

            Expect.isTrue (solution.Status = Status.Success || solution.Message <> "") $"{solution.Status}"

        testCase "a field that throws in the extra stages takes its step back"
        <| fun () ->
            use _ = torch.NewDisposeScope()
            let w = leaf [| 0.7 |]
            let mutable calls = Int32.MaxValue
            let mutable armed = false

            // fails at the nodes of Dop853's extra stages only
            let field =
                TensorField.create [ w ] (fun _ y ->
                    if armed then
                        calls <- calls - 1

                        if calls < 0 then
                            failwith "late"

                    w * y)

            let gradient way =
                calls <- 14
                armed <- true

                let plain = {
                    TensorOptions.create 1e-3 1e-3 with
                        Method = RungeKutta Methods.Dop853
                        Differentiation = way
                        CheckTracking = false
                        Solve = {
                            SolveOptions.create 1e-3 1e-3 with
                                InitialStep = ValueSome 0.1
                                Control = Fixed 0.1
                                SaveAt = Times [| 0.05; 0.3 |]
                        }
                }

                let solution = TensorOde.solve plain field 0.0 0.3 (f64 [| 1.0 |])
                armed <- false
                Expect.equal solution.Status Status.FieldThrew "status"
                Expect.equal solution.FinalTime 0.0 "time"
                Expect.equal solution.Times.Length 0 "nothing saved"
                (Autograd.vjp [| solution.Final.sum().add(w.sum().mul(scalar 0.0)) |] [| w |] [| Tensors.scalar 1.0 |])[0]

            Expect.equal (Tensors.toArray (gradient Differentiation.DiscreteDefault)).[0] 0.0 "nothing depends on w yet"
    ]

let private ways = [
    "Recorded", Differentiation.Recorded
    "Discrete", Differentiation.DiscreteDefault
    "bounded Discrete", Differentiation.Discrete { MaxCheckpoints = 3; GraphWindow = 2 }
]

/// Loss and gradients of one solve, by every way and by central differences in the leaves.
let private agree name tolerance (leaves: Tensor[]) (loss: Differentiation -> Tensor) =
    testCase name
    <| fun () ->
        use _ = torch.NewDisposeScope()

        let differences =
            leaves
            |> Array.map (fun x ->
                let start = Tensors.toArray x

                let set (values: float[]) =
                    use _ = torch.no_grad ()
                    x.copy_ (f64(values).reshape x.shape) |> ignore

                let d =
                    start
                    |> Array.mapi (fun i v ->
                        let at delta =
                            set (Array.updateAt i (v + delta) start)
                            Tensors.toFloat (loss Differentiation.Recorded)

                        (at 1e-5 - at -1e-5) / 2e-5)

                set start
                d)

        for way, differentiation in ways do
            let total = loss differentiation
            let g = Autograd.vjp [| total |] leaves [| torch.ones_like total |]

            for j in 0 .. leaves.Length - 1 do
                let actual = Tensors.toArray g[j]

                for i in 0 .. actual.Length - 1 do
                    close
                        $"{way}, leaf {j}, entry {i}"
                        differences[j].[i]
                        actual[i]
                        (tolerance * (1.0 + abs differences[j].[i]))

let private with' way save events scheduled jumps = {
    TensorOptions.create 1e-10 1e-10 with
        Differentiation = way
        Events = events
        Solve = {
            SolveOptions.create 1e-10 1e-10 with
                SaveAt = save
                Scheduled = scheduled
                Jumps = jumps
        }
}

let private gradientCases =
    testList "gradients" [
        let p = leaf [| 9.81; 0.8; 0.1 |]
        let y0 = leaf [| 1.3; 0.2 |]
        let ball = TensorField.create [ p ] (fun _ y -> torch.stack [| y.[1L]; p.[0L].neg() |])

        let floor: TensorEvent = {
            Name = "floor"
            Condition = fun t y -> y.[0L] - p.[2L] * t
            Crossing = Falling
            Apply = ValueSome(fun _ y -> torch.stack [| y.[0L]; p.[1L].neg() * y.[1L] |])
            Terminal = false
            MaxOccurrences = Int32.MaxValue
        }

        agree "two bounces on a floor that rises (its speed a parameter)" 1e-6 [| y0; p |] (fun way ->
            let s =
                (TensorOde.solve (with' way (Times [| 0.3; 0.8; 1.6 |]) [| floor |] [||] [||]) ball 0.0 1.6 y0)
                    .EnsureSuccess()

            Expect.isGreaterThanOrEqual s.Occurrences.Length 2 "bounces"
            let second = s.Occurrences[1]

            s.States
                .sum()
                .add(s.Final.[0L] * 2.0)
                .add(second.TimeTensor)
                .add(second.Before.[1L] * 0.3)
                .add(second.After.[1L] * 0.7))

        agree "terminal event: time and state" 1e-6 [| y0; p |] (fun way ->
            let s =
                TensorOde.solve (with' way EverySteps [| { floor with Terminal = true } |] [||] [||]) ball 0.0 5.0 y0

            Expect.equal s.Status Status.Terminated s.Message
            s.Final.sum().add(s.Occurrences[0].TimeTensor * 3.0))

        agree "backward in time with a jump" 1e-6 [| y0; p |] (fun way ->
            let back = { floor with Crossing = Either; MaxOccurrences = 1 }
            let s = (TensorOde.solve (with' way EndOnly [| back |] [||] [||]) ball 0.0 -0.9 y0).EnsureSuccess()
            Expect.equal s.Occurrences.Length 1 "one"
            s.Final.sum().add(s.Occurrences[0].TimeTensor))

        let rate = leaf [| 0.7; 0.4 |]
        let one = leaf [| 1.5 |]
        let decay = TensorField.create [ rate ] (fun _ y -> rate.[0L].neg() * y)

        agree "a dose whose amount is a parameter, saved before it and after" 1e-7 [| one; rate |] (fun way ->
            let dose: Scheduled<Tensor>[] = [|
                { Time = 0.0; Apply = fun _ y -> y + rate.[1L] }
                { Time = 0.5; Apply = fun _ y -> y * rate.[1L] }
                { Time = 1.0; Apply = fun _ y -> y + rate.[1L] }
            |]

            let s =
                (TensorOde.solve (with' way (Times [| 0.0; 0.5; 1.0 |]) [||] dose [||]) decay 0.0 1.0 one)
                    .EnsureSuccess()

            (s.States.squeeze 1L * f64 [| 1.0; 2.0; 3.0 |]).sum().add(s.Final.sum ()))

        let switched =
            TensorField.create [ rate ] (fun t y ->
                if t.ToDouble() < 0.5 then rate.[0L].neg() * y else rate.[1L] * y * y)

        agree "a field with declared jumps" 1e-7 [| one; rate |] (fun way ->
            let s =
                (TensorOde.solve (with' way (Times [| 0.4; 0.5; 0.6 |]) [||] [||] [| 0.5 |]) switched 0.0 1.0 one)
                    .EnsureSuccess()

            s.States.sum().add(s.Final.sum ()))

        agree "parameters that are not leaves, shared by two solves and used twice" 1e-7 [| rate |] (fun way ->
            let w = rate * rate
            let field = TensorField.create [ w ] (fun _ y -> (w.[0L].neg() * y).add(w.[1L] * w.[0L]))
            let run t y = (TensorOde.solve (with' way EndOnly [||] [||] [||]) field 0.0 t y).Final
            let first = run 1.0 (f64 [| 1.0 |])
            (run 0.5 first).sum().add(first.sum ()))

        agree "batches, some save times, one parameter without gradient" 1e-7 [| rate |] (fun way ->
            let frozen = f64 [| 0.3 |]
            let y = f64([| 1.0; 2.0; 3.0; 4.0; 5.0; 6.0 |]).reshape [| 3L; 2L |]
            let field = TensorField.create [ rate; frozen ] (fun _ y -> (y * rate).sin() * frozen)
            let s = TensorOde.solve (with' way (Times [| 0.2; 0.4; 0.9 |]) [||] [||] [||]) field 0.0 1.0 y
            s.States.[1L].pow(scalar 2.0).sum())

        testCase "a partial result has its gradient"
        <| fun () ->
            let gradient way =
                use _ = torch.NewDisposeScope()
                let field = TensorField.create [ rate ] (fun _ y -> rate.[0L] * y * y)
                let s = TensorOde.solve (with' way EverySteps [||] [||] [||]) field 0.0 3.0 (f64 [| 1.0 |])
                Expect.notEqual s.Status Status.Success "blows up at 1/0.7"
                let total = s.States.[5L].sum()
                Tensors.toFloat (Autograd.vjp [| total |] [| rate |] [| torch.ones_like total |]).[0].[0L]

            let a = gradient Differentiation.Recorded
            let b = gradient Differentiation.DiscreteDefault
            Expect.isTrue (Double.IsFinite a) "finite"
            close "same" a b (1e-9 * abs a)

        testCase "backward twice, no_grad outside, a field that throws going back"
        <| fun () ->
            use _ = torch.NewDisposeScope()
            let mutable fails = false

            let field =
                TensorField.create [ rate ] (fun _ y ->
                    if fails then
                        failwith "backward boom"

                    rate.[0L] * y)

            let solve () =
                (TensorOde.solve
                    (with' Differentiation.DiscreteDefault EndOnly [||] [||] [||])
                    field
                    0.0
                    1.0
                    (f64 [| 1.0 |]))
                    .Final.sum()

            let y = solve ()
            let once = (Autograd.vjpRetain [| y |] [| rate |] [| torch.ones_like y |]).[0]
            let twice = (Autograd.vjpRetain [| y |] [| rate |] [| torch.ones_like y |]).[0]
            Expect.equal (Tensors.toArray twice) (Tensors.toArray once) "twice"
            fails <- true

            let text =
                try
                    Autograd.vjp [| y |] [| rate |] [| torch.ones_like y |] |> ignore
                    "nothing"
                with error ->
                    string error

            Expect.stringContains text "backward boom" "managed exception"
            fails <- false
            use _ = torch.no_grad ()
            Expect.isFalse (solve ()).requires_grad "no gradient"

        testCase "a field that throws at the start is in the status, whatever the gradient"
        <| fun () ->
            use _ = torch.NewDisposeScope()
            let field = TensorField.create [ rate ] (fun _ _ -> failwith "at once")

            for _, way in ways do
                let s = TensorOde.solve (with' way EndOnly [||] [||] [||]) field 0.0 1.0 (leaf [| 1.0 |])
                Expect.equal s.Status Status.FieldThrew "status"

        testCase "float32: Discrete = Recorded"
        <| fun () ->
            let gradient way =
                use _ = torch.NewDisposeScope()
                let w = (torch.tensor ([| 0.7f; -0.3f |])).requires_grad_ true
                let field = TensorField.create [ w ] (fun _ y -> (w * y).sin())
                let y0 = torch.ones (2L, dtype = torch.float32)
                let s = TensorOde.solve { TensorOptions.create 1e-4 1e-4 with Differentiation = way } field 0.0 2.0 y0
                let total = s.Final.sum ()
                Tensors.toArray (Autograd.vjp [| total |] [| w |] [| torch.ones_like total |]).[0]

            Array.iter2
                (fun a b -> close "gradient" a b 1e-5)
                (gradient Differentiation.Recorded)
                (gradient Differentiation.DiscreteDefault)

        testCase "a condition cut off from its inputs is an error, not NaN"
        <| fun () ->
            use _ = torch.NewDisposeScope()

            let cut: TensorEvent = {
                floor with
                    Condition = fun _ y -> (y.detach ()).[0L]
                    Terminal = true
            }

            let s = TensorOde.solve (with' Differentiation.Recorded EndOnly [| cut |] [||] [||]) ball 0.0 2.0 y0
            Expect.equal s.Status Status.FieldThrew s.Message
            Expect.stringContains s.Message "rate of change" "says why"
    ]

let tests = testList "Regression" [ eventCases; inputCases; gradientCases ]
