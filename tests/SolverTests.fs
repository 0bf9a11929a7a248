/// The loop on arrays: laws on every method, events, jumps, saving, failures.
module SolverTests

open System
open System.Threading
open Continuum
open Continuum.Properties
open Claims
open Expecto

let private options rtol : SolveOptions<float[]> = SolveOptions.create rtol rtol

let private decay = VectorField(fun _ y dydt -> dydt[0] <- -y[0])

/// Free fall: (height, velocity), g = 9.81.
let private fall =
    VectorField(fun _ y dydt ->
        dydt[0] <- y[1]
        dydt[1] <- -9.81)

let private event name condition crossing apply terminal : Event<float[]> = {
    Name = name
    Condition = condition
    Crossing = crossing
    Apply = apply
    Terminal = terminal
    MaxOccurrences = Int32.MaxValue
}

let private close name expected actual tolerance =
    Expect.isTrue (abs (expected - actual) <= tolerance) $"{name}: expected {expected}, got {actual}"

let private laws =
    testList "laws of every method" [
        for method in Methods.All do
            testCase $"{method.Name}: order, non-autonomous"
            <| fun () ->
                holds (OdeLaws.convergence method Problems.logarithmic)
                holds (OdeLaws.convergence method Problems.cosine)

            testCase $"{method.Name}: order of dense output"
            <| fun () -> holds (OdeLaws.denseConvergence method Problems.logarithmic)

            testCase $"{method.Name}: time reversal"
            <| fun () -> holds (OdeLaws.timeReversal method Problems.logarithmic)

            testCase $"{method.Name}: linearity"
            <| fun () ->
                holds (OdeLaws.linearity method [| [| -1.0; 2.0; 0.3 |]; [| 0.1; -0.5; 1.0 |]; [| -2.0; 0.0; 0.4 |] |])

            if method.IsAdaptive then
                testCase $"{method.Name}: flow, there and back, step values"
                <| fun () ->
                    let tolerance = if method.Order <= 3 then 1e-6 else 1e-9
                    holds (OdeLaws.semigroup method tolerance 2e3 Problems.lotkaVolterra)
                    holds (OdeLaws.roundTrip method tolerance 2e3 Problems.lotkaVolterra)
                    holds (OdeLaws.stepValues method tolerance 2e3 Problems.logarithmic)

        testCase "a wrong method breaks the law of convergence"
        <| fun () ->
            // Kutta's third-order tableau with one node moved (and its row with it): order 1 or 2 on a non-autonomous problem.
            let broken =
                Tableau.Define(
                    "Broken",
                    3,
                    [| "0"; "1/3"; "1" |],
                    [| [||]; [| "1/3" |]; [| "-1"; "2" |] |],
                    [| "1/6"; "2/3"; "1/6" |],
                    "made wrong on purpose"
                )

            Expect.isFalse (OdeLaws.convergence broken Problems.logarithmic).Holds "must not have order 3"
    ]

let private saving =
    testList "saving" [
        testCase "times, step values, every step, dense agree with the exact solution"
        <| fun () ->
            let times = [| 0.0; 0.1; 0.77; 2.0; 3.0 |]

            for save in [ Times times; StepValues times ] do
                let solution = ArrayOde.solve Methods.Dopri5 { options 1e-9 with SaveAt = save } decay 0.0 3.0 [| 2.0 |]
                Expect.equal solution.Times times "times"

                for i in 0 .. times.Length - 1 do
                    close $"y({times[i]})" (2.0 * exp -times[i]) solution.States[i].[0] 1e-8

            let every =
                ArrayOde.solve Methods.Tsit5 { options 1e-6 with SaveAt = EverySteps } decay 0.0 3.0 [| 2.0 |]

            Expect.equal every.Times.Length (every.Statistics.Accepted + 1) "start and every accepted step"

            let dense =
                ArrayOde.solve Methods.Dop853 { options 1e-10 with SaveAt = DenseOutput } decay 3.0 0.0 [| 2.0 |]

            close "dense, backward" (2.0 * exp 1.77) (dense.Dense.Value.At 1.23).[0] 1e-8
            Expect.throwsT<ArgumentOutOfRangeException> (fun () -> dense.Dense.Value.At 3.1 |> ignore) "outside"

        testCase "y0 is not changed and the end is a step value"
        <| fun () ->
            let y0 = [| 1.0 |]
            let solution = ArrayOde.solve Methods.Vern7 (options 1e-11) decay 0.0 1.0 y0
            Expect.equal y0 [| 1.0 |] "y0"
            Expect.equal solution.FinalTime 1.0 "end"
            close "end" (exp -1.0) solution.FinalState[0] 1e-11

        testCase "statistics count what happened"
        <| fun () ->
            let mutable calls = 0

            let counted =
                VectorField(fun _ y dydt ->
                    calls <- calls + 1
                    dydt[0] <- -50.0 * y[0])

            let solution =
                ArrayOde.solve Methods.Dopri5 { options 1e-6 with Heuristics = true } counted 0.0 1.0 [| 1.0 |]

            let s = solution.Statistics
            Expect.equal s.Evaluations calls "evaluations"
            Expect.equal calls (2 + 6 * (s.Accepted + s.Rejected)) "FSAL: six a step, two at the start"
            Expect.isTrue (s.SmallestStep > 0.0 && s.SmallestStep <= s.LargestStep) "steps"
            // The Lipschitz estimate sees lambda = 50 at every step.
            close "stiffness" 50.0 (s.StiffnessEstimate / float s.Accepted) 1e-6
            Expect.isTrue (s.ErrorEstimate > 0.0) "error estimate"
    ]

let private events =
    testList "events" [
        testCase "a terminal event stops at the closed form time"
        <| fun () ->
            let hit = event "half" (fun _ y -> y[0] - 0.5) Falling ValueNone true

            let solution =
                ArrayOde.solve Methods.Tsit5 { options 1e-10 with Events = [| hit |] } decay 0.0 5.0 [| 1.0 |]

            Expect.equal solution.Status Status.Terminated "status"
            close "time" (log 2.0) solution.FinalTime 1e-10
            close "state" 0.5 solution.FinalState[0] 1e-13

        testCase "ten bounces of a ball"
        <| fun () ->
            let e = 0.8

            let bounce = event "bounce" (fun _ y -> y[0]) Falling (ValueSome(fun _ y -> [| 0.0; -e * y[1] |])) false

            let solution =
                ArrayOde.solve
                    Methods.Dopri5
                    {
                        options 1e-10 with
                            Events = [| { bounce with MaxOccurrences = 10 } |]
                            SaveAt = Times [| 1.0 |]
                    }
                    fall
                    0.0
                    3.9
                    [| 1.0; 0.0 |]

            let t1 = sqrt (2.0 / 9.81)
            let mutable expected = t1
            let mutable flight = 2.0 * e * t1

            for occurrence in solution.Occurrences do
                close "bounce" expected occurrence.Time 1e-10
                expected <- expected + flight
                flight <- flight * e

            Expect.isGreaterThanOrEqual solution.Occurrences.Length 9 "bounces"

        testCase "two crossings inside one step are both found"
        <| fun () ->
            // y = t; g = (t - 1)(t - 1.05) dips below zero between the samples of a long step
            let clock = VectorField(fun _ _ dydt -> dydt[0] <- 1.0)
            let dip = event "dip" (fun _ y -> (y[0] - 1.0) * (y[0] - 1.05)) Either ValueNone false

            let solution =
                ArrayOde.solve
                    Methods.Tsit5
                    { options 1e-6 with Events = [| dip |]; InitialStep = ValueSome 2.0 }
                    clock
                    0.0
                    2.0
                    [| 0.0 |]

            Expect.equal (solution.Occurrences |> Array.map (fun o -> Math.Round(o.Time, 9))) [| 1.0; 1.05 |] "times"

        testCase "directions, several events, repeated, backward time"
        <| fun () ->
            let oscillator =
                VectorField(fun _ y dydt ->
                    dydt[0] <- y[1]
                    dydt[1] <- -y[0])

            let events = [|
                event "up" (fun _ y -> y[0]) Rising ValueNone false
                event "down" (fun _ y -> y[0]) Falling ValueNone false
                event "speed" (fun _ y -> y[1]) Either ValueNone false
            |]

            for direction in [ 1.0; -1.0 ] do
                let solution =
                    ArrayOde.solve
                        Methods.Dop853
                        { options 1e-11 with Events = events }
                        oscillator
                        0.0
                        (direction * 12.0)
                        [| 0.0; 1.0 |]

                // y = sin t from a zero at the start, which is no crossing
                let times which = solution.Occurrences |> Array.filter (fun o -> o.Event = which) |> Array.map _.Time

                let compare name (expected: float[]) (found: float[]) =
                    Expect.equal found.Length expected.Length $"{name}: {found}"
                    Array.iter2 (fun a b -> close name a b 1e-9) expected found

                let pi = Math.PI
                compare "up" [| direction * 2.0 * pi |] (times (if direction > 0.0 then 0 else 1))
                compare "down" [| direction * pi; direction * 3.0 * pi |] (times (if direction > 0.0 then 1 else 0))
                compare "speed" [| for k in 0..3 -> direction * (0.5 + float k) * pi |] (times 2)

        testCase "a scheduled dose is applied at its time"
        <| fun () ->
            let dose = { Time = 1.0; Apply = fun _ (y: float[]) -> [| y[0] + 1.0 |] }

            let solution =
                ArrayOde.solve
                    Methods.Tsit5
                    {
                        options 1e-10 with
                            Scheduled = [| dose |]
                            SaveAt = Times [| 0.5; 1.0; 2.0 |]
                    }
                    decay
                    0.0
                    2.0
                    [| 1.0 |]

            close "after" (exp -2.0 + exp -1.0) solution.FinalState[0] 1e-9
            close "before" (exp -0.5) solution.States[0].[0] 1e-9

        testCase "simultaneous events both fire"
        <| fun () ->
            let clock = VectorField(fun _ _ dydt -> dydt[0] <- 1.0)

            let both = [|
                event "a" (fun _ y -> y[0] - 0.3) Either ValueNone false
                event "b" (fun _ y -> 0.3 - y[0]) Either ValueNone false
            |]

            let solution = ArrayOde.solve Methods.Tsit5 { options 1e-8 with Events = both } clock 0.0 1.0 [| 0.0 |]
            Expect.equal (solution.Occurrences |> Array.map _.Event |> Array.sort) [| 0; 1 |] "both"
    ]

let private jumps =
    testList "discontinuous fields" [
        testCase "a declared jump is never straddled and saves evaluations"
        <| fun () ->
            let jump = 0.731
            let seen = ResizeArray<float>()

            let forced =
                VectorField(fun t y dydt ->
                    seen.Add t
                    dydt[0] <- (if t < jump then 0.0 else 1.0) - y[0])

            let declared =
                ArrayOde.solve Methods.Dopri5 { options 1e-9 with Jumps = [| jump |] } forced 0.0 2.0 [| 0.0 |]

            close "value" (1.0 - exp -(2.0 - jump)) declared.FinalState[0] 1e-9
            Expect.isFalse (seen.Contains jump) "f is never asked at the jump itself"
            let plain = ArrayOde.solve Methods.Dopri5 (options 1e-9) forced 0.0 2.0 [| 0.0 |]
            Expect.isLessThan declared.Statistics.Evaluations plain.Statistics.Evaluations "evaluations"

            let atStart =
                ArrayOde.solve Methods.Dopri5 { options 1e-9 with Jumps = [| 0.0; 2.0 |] } decay 0.0 2.0 [| 1.0 |]

            Expect.equal atStart.FinalTime 2.0 "a jump at the ends"
            close "value" (exp -2.0) atStart.FinalState[0] 1e-8
    ]

let private failures =
    testList "failures" [
        testCase "blow-up names time and component and keeps the partial solution"
        <| fun () ->
            let explode =
                VectorField(fun _ y dydt ->
                    dydt[0] <- 0.0
                    dydt[1] <- y[1] * y[1])

            let solution =
                ArrayOde.solve Methods.Tsit5 { options 1e-8 with SaveAt = EverySteps } explode 0.0 2.0 [| 1.0; 1.0 |]

            Expect.isTrue
                (solution.Status = Status.StepTooSmall || solution.Status = Status.NonFinite)
                (string solution.Status)

            close "time" 1.0 solution.FinalTime 1e-3
            Expect.stringContains solution.Message "component 1" "component"
            Expect.isGreaterThan solution.States.Length 5 "partial"
            Expect.isError (Solution.toResult solution) "result"

        testCase "NaN from the field"
        <| fun () ->
            let bad = VectorField(fun t y dydt -> dydt[0] <- if t > 0.5 then nan else -y[0])
            let solution = ArrayOde.solve Methods.Dopri5 (options 1e-6) bad 0.0 1.0 [| 1.0 |]
            Expect.equal solution.Status Status.NonFinite "status"
            Expect.isTrue (solution.FinalTime <= 0.5 && solution.FinalTime > 0.4) $"time {solution.FinalTime}"

        testCase "an exception of the field is kept"
        <| fun () ->
            let bad =
                VectorField(fun t _ _ ->
                    if t > 0.5 then
                        raise (InvalidOperationException "no more"))

            let solution = ArrayOde.solve Methods.Dopri5 (options 1e-6) bad 0.0 1.0 [| 1.0 |]
            Expect.equal solution.Status Status.FieldThrew "status"
            Expect.stringContains solution.Message "no more" "message"
            Expect.isTrue (solution.Exception :? InvalidOperationException) "exception"

        testCase "step limit, cancellation, progress"
        <| fun () ->
            let few = ArrayOde.solve Methods.Dopri5 { options 1e-9 with MaxSteps = 3 } decay 0.0 10.0 [| 1.0 |]
            Expect.equal few.Status Status.MaxStepsReached "limit"
            use source = new CancellationTokenSource()
            let mutable reports = 0

            let progress =
                Action<StepReport>(fun r ->
                    reports <- reports + 1

                    if r.Fraction > 0.3 then
                        source.Cancel())

            let cancelled =
                ArrayOde.solve
                    Methods.Dopri5
                    { options 1e-9 with Progress = progress; Cancellation = source.Token }
                    decay
                    0.0
                    10.0
                    [| 1.0 |]

            Expect.equal cancelled.Status Status.Cancelled "cancelled"
            Expect.isGreaterThan reports 1 "reports"

        testCase "bad options say what is wrong"
        <| fun () ->
            let refuses change (part: string) =
                try
                    ArrayOde.solve Methods.Dopri5 (change (options 1e-6)) decay 0.0 1.0 [| 1.0 |] |> ignore
                    failtest $"accepted: {part}"
                with :? ArgumentException as error ->
                    Expect.stringContains error.Message part "message"

            refuses (fun o -> { o with SaveAt = Times [| 2.0 |] }) "outside"
            refuses (fun o -> { o with SaveAt = Times [| 0.5; 0.5 |] }) "monotone"
            refuses (fun o -> { o with Control = Fixed -1.0 }) "fixed step"
            refuses (fun o -> { o with Tolerance = { o.Tolerance with Rtol = -1.0 } }) "rtol"
            refuses (fun o -> { o with MaxSteps = 0 }) "MaxSteps"

            refuses
                (fun o -> { o with Tolerance = { o.Tolerance with AtolPer = ValueSome [| -1e-6 |] } })
                "not negative"

            Expect.throwsT<ArgumentException> (fun () -> SolveOptions.create<float[]> 0.0 0.0 |> ignore) "tolerances"

            Expect.throwsT<ArgumentException>
                (fun () -> ArrayOde.solve Methods.Dopri5 (options 1e-6) decay 1.0 1.0 [| 1.0 |] |> ignore)
                "span"

            Expect.throwsT<ArgumentException>
                (fun () -> ArrayOde.solve Methods.Rk4 (options 1e-6) decay 0.0 1.0 [| 1.0 |] |> ignore)
                "adaptive"
    ]

let private spaces =
    testList "spaces" [
        testCase "pairs and arrays of spaces give the numbers of one array"
        <| fun () ->
            let lv a b = struct (1.5 * a - a * b, -3.0 * b + a * b)

            let one =
                ArrayOde.solve Methods.Tsit5 (options 1e-8) Problems.lotkaVolterra.Field 0.0 5.0 [| 1.0; 1.0 |]

            let reals = RealSpace(Tolerance.create 1e-8 1e-8)

            let pairField = {
                new IField<struct (float[] * float[]), float> with
                    member _.Eval(_, struct (a, b), struct (da, db)) =
                        let struct (x, y) = lv a[0] b[0]
                        da[0] <- x
                        db[0] <- y
                        struct (da, db)
            }

            let pair =
                ArrayOde.solveIn
                    (PairSpace<float[], float[], RealSpace, RealSpace>(reals, reals, Rms))
                    Methods.Tsit5
                    (SolveOptions.create 1e-8 1e-8)
                    pairField
                    0.0
                    5.0
                    (struct ([| 1.0 |], [| 1.0 |]))

            let struct (a, b) = pair.FinalState
            Expect.equal [| a[0]; b[0] |] one.FinalState "pair, bit for bit"

            let arrayField = {
                new IField<float[][], float> with
                    member _.Eval(_, y, d) =
                        let struct (p, q) = lv y[0].[0] y[1].[0]
                        d[0].[0] <- p
                        d[1].[0] <- q
                        d
            }

            let array =
                ArrayOde.solveIn
                    (ArraySpace<float[], RealSpace>(reals, Rms))
                    Methods.Tsit5
                    (SolveOptions.create 1e-8 1e-8)
                    arrayField
                    0.0
                    5.0
                    [| [| 1.0 |]; [| 1.0 |] |]

            Expect.equal (Array.concat array.FinalState) one.FinalState "array, bit for bit"

        testCase "long arrays (SIMD) equal short ones, tolerances per component count"
        <| fun () ->
            let n = 37

            let field =
                VectorField(fun t y dydt ->
                    for i in 0 .. y.Length - 1 do
                        dydt[i] <- -(1.0 + float i * 0.01) * y[i] * cos t)

            let fixedStep = { options 1e-6 with Control = Fixed 0.05 }
            let long = ArrayOde.solve Methods.Dopri5 fixedStep field 0.0 2.0 (Array.init n (fun i -> 1.0 + float i))

            let short =
                ArrayOde.solve Methods.Dopri5 fixedStep field 0.0 2.0 (Array.init 3 (fun i -> 1.0 + float i))

            for i in 0..2 do
                close "component" short.FinalState[i] long.FinalState[i] 1e-13

            let per = {
                options 1e-3 with
                    Tolerance = {
                        Tolerance.create 1e-3 1e-3 with
                            AtolPer = ValueSome [| 1e-10 |]
                            RtolPer = ValueSome [| 1e-10 |]
                    }
            }

            let tightPer = ArrayOde.solve Methods.Tsit5 per decay 0.0 1.0 [| 1.0 |]
            close "per component" (exp -1.0) tightPer.FinalState[0] 1e-9
    ]

let tests = testList "ArrayOde" [ laws; saving; events; jumps; failures; spaces ]
