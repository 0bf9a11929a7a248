/// Backward differentiation formulas: their algebra at forced orders, and solves of stiff problems.
module BdfTests

open System
open Continuum
open Continuum.Properties
open Expecto
open TorchSharp

let private field (f: float -> float[] -> float[]) =
    VectorField(fun t y dydt -> (f t (y.ToArray())).AsSpan().CopyTo dydt)

let private options rtol : SolveOptions<float[]> = SolveOptions.create rtol (1e-3 * rtol)

let private largest (a: float[]) (b: float[]) = Array.fold2 (fun worst x y -> max worst (abs (x - y))) 0.0 a b

let private solved (solution: Solution<float[]>) =
    Expect.equal solution.Status Status.Success solution.Message
    solution

let private bdf options system t0 t1 y0 = ArrayOde.solveSystem (Bdf 5) options system t0 t1 y0 |> solved

// ------------------------------------------------------------------------------------------------- forced orders

/// A stepper at a fixed order on exact past values, at time 0.
let private stepperAt order tolerance (system: OdeSystem) (exact: float -> float[]) (gaps: float[]) =
    let tolerance: Tolerance<float[]> = Tolerance.create tolerance tolerance
    let like = exact 0.0

    let stepper =
        system.Accept
            {
                new IFieldVisitor<IStepper<float[]> * (float[][] -> unit)> with
                    member _.Visit<'F when 'F: struct and 'F :> IField<float[], float>>(f: 'F) =
                        let linear = system.LinearSystem tolerance

                        let stepper =
                            new BdfStepper<float[], RealSpace, 'F>("Bdf", order, RealSpace tolerance, f, linear, like)

                        stepper, (fun past -> stepper.Seed(past, gaps, order))
            }

    let stepper, seed = stepper
    stepper.Start(0.0, like)
    let times = Array.scan (fun t gap -> t - gap) 0.0 gaps
    seed (Array.map exact times[1..])
    stepper

let private step (stepper: IStepper<float[]>) h =
    let error = stepper.Try(h, stepper.Time + h)
    Expect.equal stepper.Difficulty Status.Success "Newton's method converges"
    stepper.Accept()
    error

/// y' = p'(t) + lambda (y - p(t)), solved by p.
let private prothero lambda (p: float -> float) (slope: float -> float) =
    let field = field (fun t y -> [| slope t + lambda * (y[0] - p t) |])
    OdeSystem.OfField(field, 1).WithJacobian(fun _ _ j -> j[0, 0] <- lambda)

let private polynomials =
    testCase "order q with arbitrary steps is exact on polynomials of degree q"
    <| fun () ->
        let random = Random 5

        for order in 1..5 do
            let c = Array.init (order + 1) (fun _ -> random.NextDouble() - 0.5)
            let p t = Array.foldBack (fun ci sum -> ci + t * sum) c 0.0

            let slope t = Seq.sum (seq { for k in 1..order -> float k * c[k] * Math.Pow(t, float (k - 1)) })

            let gaps = Array.init order (fun _ -> 0.05 + 0.1 * random.NextDouble())
            let system = prothero -3.0 p slope
            let stepper = stepperAt order 1e-10 system (fun t -> [| p t |]) gaps

            for _ in 1..12 do
                let error = step stepper (0.05 + 0.1 * random.NextDouble())
                Expect.isLessThan error 1e-2 $"order {order}: the estimate vanishes (tolerance 1e-10)"

            Expect.isLessThan (abs (stepper.State[0] - p stepper.Time)) 1e-11 $"order {order}: the solution is exact"

let private errorOver order (system: OdeSystem) (exact: float -> float[]) (t1: float) steps =
    let h = t1 / float steps
    let stepper = stepperAt order 1e-12 system exact (Array.create order h)

    Seq.max (
        seq {
            for _ in 1..steps do
                step stepper h |> ignore
                largest stepper.State (exact stepper.Time)
        }
    )

let private observed coarse fine = Math.Log2(coarse / fine)

let private convergence =
    testList "order of convergence" [
        for order in 1..5 do
            testCase $"order {order}, non-autonomous, and stiff"
            <| fun () ->
                let cosine =
                    OdeSystem
                        .OfField(field (fun t y -> [| y[0] * y[0] * cos t |]), 1)
                        .WithJacobian(fun t y j -> j[0, 0] <- 2.0 * y[0] * cos t)

                let exact t = [| 1.0 / (2.0 - sin t) |]
                let n = [| 400; 200; 100; 60; 50 |][order - 1]
                let p = observed (errorOver order cosine exact 2.0 n) (errorOver order cosine exact 2.0 (2 * n))
                Expect.isTrue (abs (p - float order) < 0.25) $"observed order {p} of {order}"

                let stiff = prothero -1e6 sin cos
                let exact t = [| sin t |]
                let p = observed (errorOver order stiff exact 2.0 25) (errorOver order stiff exact 2.0 50)
                Expect.isTrue (p > float order - 0.3) $"stiff: observed order {p} of {order}"
    ]

/// Whether steps of y' = lambda y with h = 1, lambda = z e^(i (pi - angle)), decay.
let private decays order (angle: float) (z: float) =
    let a = -z * cos (angle * Math.PI / 180.0)
    let b = z * sin (angle * Math.PI / 180.0)

    let system =
        OdeSystem
            .OfField(field (fun _ y -> [| a * y[0] - b * y[1]; b * y[0] + a * y[1] |]), 2)
            .WithJacobian(fun _ _ j ->
                j[0, 0] <- a
                j[0, 1] <- -b
                j[1, 0] <- b
                j[1, 1] <- a)

    // any past will do
    let random = Random 1
    let past = Array.init 8 (fun _ -> [| random.NextDouble(); random.NextDouble() |])
    let stepper = stepperAt order 1e-3 system (fun t -> past[int -t]) (Array.create order 1.0)
    let size (y: float[]) = sqrt (y[0] * y[0] + y[1] * y[1])

    for _ in 1..300 do
        step stepper 1.0 |> ignore

    let early = size stepper.State

    for _ in 1..100 do
        step stepper 1.0 |> ignore

    size stepper.State <= early * 1.0000001 || early < 1e-200

let private stability =
    testList "stability on the test equation" [
        for order, angle in [ 1, 90.0; 2, 90.0; 3, 86.03; 4, 73.35; 5, 51.84 ] do
            testCase $"order {order} is A(alpha)-stable with alpha = {angle} degrees"
            <| fun () ->
                let sizes = [| for k in 0..36 -> Math.Pow(10.0, -1.5 + float k / 12.0) |]
                let inside = angle - 1.0
                let bad = sizes |> Array.filter (fun z -> not (decays order inside z))
                Expect.isEmpty bad $"steps decay at {inside} degrees for all |h lambda|"

                if angle < 90.0 then
                    let outside = angle + 2.0
                    Expect.exists sizes (fun z -> not (decays order outside z)) $"and grow somewhere at {outside}"

        testCase "stiff decay: one step from any past ends at the equilibrium"
        <| fun () ->
            for order in 1..5 do
                let system = prothero -1e13 (fun _ -> 2.0) (fun _ -> 0.0)
                let past = Random 3
                let stepper = stepperAt order 1e-3 system (fun _ -> [| past.NextDouble() |]) (Array.create order 1.0)
                step stepper 1.0 |> ignore
                Expect.isLessThan (abs (stepper.State[0] - 2.0)) 1e-9 $"order {order}"
    ]

let private denseOrder =
    testCase "dense output has the order of the step, ends at its ends, and outlives it"
    <| fun () ->
        for order in 1..5 do
            let exact t = [| sin (t + 1.0) |]

            let system = prothero -2.0 (fun t -> sin (t + 1.0)) (fun t -> cos (t + 1.0))

            let worst h =
                let stepper = stepperAt order 1e-12 system exact (Array.create order h)
                stepper.Try(h, h) |> ignore
                let dense = stepper.DenseStep()
                Expect.equal (stepper.Interpolate 1.0) stepper.Candidate "theta = 1 is the candidate"
                Expect.isLessThan (largest (stepper.Interpolate 0.0) stepper.State) 1e-15 "theta = 0 is the state"
                let middle = stepper.Interpolate 0.37
                stepper.Accept()
                stepper.Try(h, 2.0 * h) |> ignore
                stepper.Accept()
                Expect.isLessThan (largest (dense.At(0.37 * h)) middle) 1e-14 "the object says the same later"

                [ 0.1; 0.3; 0.5; 0.7; 0.9 ]
                |> List.map (fun theta -> largest (dense.At(theta * h)) (exact (theta * h)))
                |> List.max

            let p = observed (worst 0.2) (worst 0.1)
            Expect.isTrue (abs (p - float (order + 1)) < 0.35) $"order {order}: error of order {p} in h"

// ---------------------------------------------------------------------------------------------------------- solves

let private vdp =
    OdeSystem.OfField(field (fun _ y -> [| y[1]; 1000.0 * (1.0 - y[0] * y[0]) * y[1] - y[0] |]), 2)

let private robertson =
    field (fun _ y ->
        let a = 0.04 * y[0]
        let b = 1e4 * y[1] * y[2]
        let c = 3e7 * y[1] * y[1]
        [| -a + b; a - b - c; c |])

let private rober = OdeSystem.OfField(robertson, 3)

let private hires =
    OdeSystem.OfField(
        field (fun _ y ->
            let q = 280.0 * y[5] * y[7]

            [|
                -1.71 * y[0] + 0.43 * y[1] + 8.32 * y[2] + 0.0007
                1.71 * y[0] - 8.75 * y[1]
                -10.03 * y[2] + 0.43 * y[3] + 0.035 * y[4]
                8.32 * y[1] + 1.71 * y[2] - 1.12 * y[3]
                -1.745 * y[4] + 0.43 * y[5] + 0.43 * y[6]
                -q + 0.69 * y[3] + 1.71 * y[4] - 0.43 * y[5] + 0.69 * y[6]
                q - 1.81 * y[6]
                -q + 1.81 * y[6]
            |]),
        8
    )

let private references = [
    "van der Pol", vdp, 2000.0, [| 2.0; 0.0 |], [| 1.706167732170483; -0.8928097010247975e-3 |]
    "Robertson", rober, 1e5, [| 1.0; 0.0; 0.0 |], [| 0.017865921142322477; 7.274751468528758e-08; 0.9821340061101627 |]
    "Robertson to 1e11",
    rober,
    1e11,
    [| 1.0; 0.0; 0.0 |],
    [| 0.2083340149701255e-7; 0.8333360770334713e-13; 0.9999999791665050 |]
    "HIRES",
    hires,
    321.8122,
    [| 1.0; 0.0; 0.0; 0.0; 0.0; 0.0; 0.0; 0.0057 |],
    [|
        0.7371312573325668e-3
        0.1442485726316185e-3
        0.5888729740967575e-4
        0.1175651343283149e-2
        0.2386356198831331e-2
        0.6238968252742796e-2
        0.2849998395185769e-2
        0.2850001604814231e-2
    |]
]

let private errorOf (reference: float[]) (y: float[]) =
    Array.fold2 (fun worst a b -> max worst (abs (a - b) / max (abs b) 1e-9)) 0.0 y reference

let private stiffSet =
    testList "reference problems" [
        for name, system, t1, y0, reference in references do
            testCase $"{name}: the error follows the tolerance"
            <| fun () ->
                let tolerance rtol : SolveOptions<float[]> = SolveOptions.create rtol (1e-8 * rtol)

                let errors =
                    [ 1e-4; 1e-6; 1e-8 ]
                    |> List.map (fun rtol -> errorOf reference (bdf (tolerance rtol) system 0.0 t1 y0).FinalState)

                for rtol, error in List.zip [ 1e-4; 1e-6; 1e-8 ] errors do
                    Expect.isLessThan error (300.0 * rtol) $"at rtol {rtol}"

                let slope = Math.Log10(errors[0] / errors[2]) / 4.0
                Expect.isTrue (slope > 0.6 && slope < 1.4) $"errors {errors}: exponent {slope} of the tolerance"
    ]

let private invariant =
    testCase "linear invariants hold to rounding at every step"
    <| fun () ->
        let solution = bdf { options 1e-6 with SaveAt = EverySteps } rober 0.0 1e5 [| 1.0; 0.0; 0.0 |]

        let drift = solution.States |> Array.map (fun y -> abs (Array.sum y - 1.0)) |> Array.max
        // The Jacobian is a difference quotient, so Newton's corrections conserve the sum to their own accuracy only.
        Expect.isLessThan drift 1e-9 "differences"

        let exact =
            rober.WithJacobian(fun _ y j ->
                j[0, 0] <- -0.04
                j[0, 1] <- 1e4 * y[2]
                j[0, 2] <- 1e4 * y[1]
                j[1, 0] <- 0.04
                j[1, 1] <- -1e4 * y[2] - 6e7 * y[1]
                j[1, 2] <- -1e4 * y[1]
                j[2, 1] <- 6e7 * y[1])

        let solution = bdf { options 1e-6 with SaveAt = EverySteps } exact 0.0 1e5 [| 1.0; 0.0; 0.0 |]

        let drift = solution.States |> Array.map (fun y -> abs (Array.sum y - 1.0)) |> Array.max
        Expect.isLessThan drift 1e-13 $"given Jacobian, {solution.States.Length} steps"

let private dae =
    testCase "Robertson as a differential-algebraic equation"
    <| fun () ->
        let system =
            OdeSystem
                .OfField(
                    field (fun _ y ->
                        let b = 1e4 * y[1] * y[2]
                        [| -0.04 * y[0] + b; 0.04 * y[0] - b - 3e7 * y[1] * y[1]; y[0] + y[1] + y[2] - 1.0 |]),
                    3
                )
                .WithMass([| 1.0; 1.0; 0.0 |])

        let solution = bdf { options 1e-7 with SaveAt = EverySteps } system 0.0 1e5 [| 1.0; 0.0; 0.0 |]

        let residual = solution.States |> Array.map (fun y -> abs (Array.sum y - 1.0)) |> Array.max
        Expect.isLessThan residual 1e-9 "residual of the algebraic equation at every accepted step"
        let _, _, _, _, reference = references[1]
        Expect.isLessThan (errorOf reference solution.FinalState) 1e-4 "reference"

        // a mass matrix that mixes the equations is the same problem
        let mixed =
            OdeSystem
                .OfField(
                    field (fun t y ->
                        let d = -50.0 * (y[0] - cos t)
                        [| d + y[1]; d - y[1] |]),
                    2
                )
                .WithMass(array2D [ [ 1.0; 1.0 ]; [ 1.0; -1.0 ] ])

        // rows added: 2 y0' = 2 d; subtracted: 2 y1' = 2 y1
        let solution = bdf (options 1e-8) mixed 0.0 1.0 [| 1.0; 1.0 |]
        Expect.isLessThan (abs (solution.FinalState[1] - Math.E)) 1e-5 "full mass matrix"

let private restarts =
    testCase "changes of the state restart at order 1 and keep the accuracy; marks do not disturb"
    <| fun () ->
        // y' = -100 (y - cos t) with a dose of 1 at t = 1: the deviation decays like exp(-100 (t - 1))
        let system = OdeSystem.OfField(field (fun t y -> [| -100.0 * (y[0] - cos t) |]), 1)

        let smooth t = (10000.0 * cos t + 100.0 * sin t) / 10001.0
        let y0 = [| smooth 0.0 |]

        let exact t = smooth t + (if t < 1.0 then 0.0 else exp (-100.0 * (t - 1.0)))

        let times = [| for k in 1..40 -> 0.05 * float k |]

        let event name target : Event<float[]> = {
            Name = name
            Condition = fun t _ -> t - target
            Crossing = Either
            Apply = ValueNone
            Terminal = false
            MaxOccurrences = Int32.MaxValue
        }

        let solution =
            bdf
                {
                    options 1e-7 with
                        SaveAt = Times times
                        Scheduled = [| { Time = 1.0; Apply = fun _ y -> [| y[0] + 1.0 |] } |]
                        Events = [| event "mark" 0.5; event "another" 0.5000001; event "late" 1.7 |]
                }
                system
                0.0
                2.0
                y0

        Expect.equal solution.Occurrences.Length 3 "marks"

        for time, state in Array.zip solution.Times solution.States do
            // the value saved at the dose itself is the one before it
            let expected = if time = 1.0 then smooth 1.0 else exact time
            Expect.isLessThan (abs (state[0] - expected)) 2e-6 $"t = {time}"

let private reversal =
    testCase "forward and back returns to the start"
    <| fun () ->
        let problem = Problems.lotkaVolterra
        let system = OdeSystem.OfField(problem.Field, 2)
        let there = bdf (options 1e-10) system 0.0 5.0 problem.Initial
        let back = bdf (options 1e-10) system 5.0 0.0 there.FinalState
        Expect.isLessThan (largest back.FinalState problem.Initial) 1e-6 "distance"

let private fixedSteps =
    testCase "fixed steps climb to the largest order"
    <| fun () ->
        let system = prothero -5.0 sin cos

        let run order =
            ArrayOde.solveSystem (Bdf order) { options 1e-12 with Control = Fixed 0.01 } system 0.0 3.0 [| 0.0 |]
            |> solved
            |> fun s -> abs (s.FinalState[0] - sin 3.0)

        // errors of the start decay, so that the order at the end is seen
        let errors = List.map run [ 1..5 ]

        for one, next in List.pairwise errors do
            Expect.isLessThan next (0.2 * one) $"errors of orders 1 to 5: {errors}"

let private allocation =
    testCase "no allocation per step"
    <| fun () ->
        let f = VectorField(fun t y dydt -> dydt[0] <- -50.0 * (y[0] - cos t))
        let system = OdeSystem.OfField(f, 1)

        let bytes t1 =
            let run () = bdf (options 1e-6) system 0.0 t1 [| 1.0 |] |> ignore
            run ()
            let before = GC.GetAllocatedBytesForCurrentThread()
            run ()
            GC.GetAllocatedBytesForCurrentThread() - before

        Expect.isTrue (bytes 200.0 - bytes 10.0 < 200L) $"{bytes 10.0} bytes to t = 10, {bytes 200.0} to t = 200"

let private failures =
    testList "what goes wrong" [
        testCase "a field that is not finite"
        <| fun () ->
            let system = OdeSystem.OfField(field (fun t y -> [| y[0] * sqrt (1.0 - t) |]), 1)
            let solution = ArrayOde.solveSystem (Bdf 5) (options 1e-6) system 0.0 2.0 [| 1.0 |]
            Expect.equal solution.Status Status.NonFinite solution.Message
            Expect.isGreaterThan solution.FinalTime 0.99 "the part before is kept"

        testCase "a wrong Jacobian"
        <| fun () ->
            let system =
                OdeSystem
                    .OfField(field (fun _ y -> [| -1e6 * (y[0] * y[0] * y[0] - 1.0) |]), 1)
                    .WithJacobian(fun _ _ j -> j[0, 0] <- 6e6)

            let few = { options 1e-6 with MaxSteps = 1000 }
            let solution = ArrayOde.solveSystem (Bdf 5) few system 0.0 2.0 [| 2.0 |]
            Expect.equal solution.Status Status.MaxStepsReached "steps become as short as an explicit method's"
            Expect.isGreaterThan solution.Statistics.Implicit.NewtonFailures 10 "because Newton's method fails"
            let stubborn = { options 1e-6 with Control = Fixed 0.1 }
            let solution = ArrayOde.solveSystem (Bdf 5) stubborn system 0.0 2.0 [| 2.0 |]
            Expect.equal solution.Status Status.NewtonDiverged solution.Message

        testCase "an index above one"
        <| fun () ->
            let system =
                OdeSystem
                    .OfField(field (fun t y -> [| y[1]; y[0] - sin t |]), 2)
                    .WithMass([| 0.0; 0.0 |])
                    .WithJacobian(fun _ _ j -> j[0, 1] <- 1.0)

            let solution = ArrayOde.solveSystem (Bdf 5) (options 1e-6) system 0.0 2.0 [| 0.0; 0.0 |]
            Expect.equal solution.Status Status.SingularMatrix solution.Message

        testCase "an order that does not exist"
        <| fun () ->
            for order in [ 0; 6 ] do
                Expect.throwsT<ArgumentException>
                    (fun () ->
                        ArrayOde.solveSystem (Bdf order) (options 1e-6) rober 0.0 1.0 [| 1.0; 0.0; 0.0 |] |> ignore)
                    "order"
    ]

let private onTensors =
    testCase "on tensors the steps are those on arrays"
    <| fun () ->
        // one relaxation oscillator, mu = 50, on both
        let onArrays =
            OdeSystem
                .OfField(field (fun t y -> [| y[1]; 50.0 * (1.0 - y[0] * y[0]) * y[1] - y[0] + sin t |]), 2)
                .WithJacobian(fun _ y j ->
                    j[0, 1] <- 1.0
                    j[1, 0] <- -100.0 * y[0] * y[1] - 1.0
                    j[1, 1] <- 50.0 * (1.0 - y[0] * y[0]))

        let onTensors =
            TensorField.create Seq.empty (fun t y ->
                let x = y.narrow (1L, 0L, 1L)
                let v = y.narrow (1L, 1L, 1L)
                let one = torch.ones_like x
                let force = one.sub(x.mul x).mul(v).mul(50.0.ToScalar()).sub(x).add(t.sin ())
                torch.cat ([| v; force |], 1L))

        let arrays = bdf (options 1e-6) onArrays 0.0 20.0 [| 2.0; 0.0 |]

        let told = {
            TensorOptions.create 1e-6 1e-9 with
                Method = Bdf 5
                Differentiation = Differentiation.None
        }

        use y0 = torch.tensor([| 2.0; 0.0 |]).reshape(1L, 2L)
        let tensors = (TensorOde.solve told onTensors 0.0 20.0 y0).EnsureSuccess()
        let accepted = tensors.Statistics.Accepted
        let difference = abs (accepted - arrays.Statistics.Accepted)
        Expect.isLessThan difference (2 + accepted / 50) $"steps: {accepted} and {arrays.Statistics.Accepted}"
        let final = tensors.Final.cpu().data<float>().ToArray()
        Expect.isLessThan (largest final arrays.FinalState) 1e-4 $"{final} and {arrays.FinalState}"

        // gradients are refused by name
        y0.requires_grad <- true

        Expect.throwsT<ArgumentException>
            (fun () ->
                TensorOde.solve { told with Differentiation = Differentiation.Recorded } onTensors 0.0 1.0 y0
                |> ignore)
            "no gradients"

let private sharedLaws =
    let holds (law: LawResult) = Expect.isTrue law.Holds (string law)

    testList "laws of implicit methods" [
        testCase "algebraic equations at every step"
        <| fun () ->
            let residual (_: float) (y: float[]) = abs (Array.sum y - 1.0)
            let y0 = [| 1.0; 0.0; 0.0 |]
            holds (StiffLaws.algebraicResidual (Bdf 5) StiffProblems.robertsonAlgebraic residual 1e-5 1e4 y0)

        for problem in [ StiffProblems.protheroRobinson -1e4; StiffProblems.algebraic; StiffProblems.massive ] do
            testCase $"{problem.Name}: the solution at the end"
            <| fun () -> holds (StiffLaws.reference (Bdf 5) 1e-6 100.0 1e-9 problem)
    ]

let private controlled =
    testCase "a step controller of the caller's is refused, not ignored"
    <| fun () ->
        let told = Adaptive(ValueSome(Controller.integral 2))
        let decay = OdeSystem.OfField(field (fun _ y -> [| -y[0] |]), 1)

        let refused (solve: unit -> unit) =
            let error = Expect.throwsC solve id
            Expect.isTrue (error :? ArgumentException) $"{error.GetType().Name}"
            Expect.stringContains error.Message "leave the controller out" "what to do"

        refused (fun () ->
            ArrayOde.solveSystem (Bdf 5) { options 1e-6 with Control = told } decay 0.0 1.0 [| 1.0 |] |> ignore)

        let onTensors = TensorField.create Seq.empty (fun _ y -> y.neg ())
        let tensorOptions = TensorOptions.create 1e-6 1e-9

        let told' = {
            tensorOptions with
                Method = Bdf 5
                Differentiation = Differentiation.None
                Solve = { tensorOptions.Solve with Control = told }
        }

        refused (fun () ->
            use y0 = torch.ones (1L, dtype = torch.float64)
            TensorOde.solve told' onTensors 0.0 1.0 y0 |> ignore)

        // without one it solves, and the automatic choice takes one for its explicit half
        bdf (options 1e-6) decay 0.0 1.0 [| 1.0 |] |> ignore

        ArrayOde.solveSystem Automatic { options 1e-6 with Control = told } decay 0.0 1.0 [| 1.0 |]
        |> solved
        |> ignore

let tests =
    testList "Bdf" [
        controlled
        sharedLaws
        onTensors
        polynomials
        convergence
        stability
        denseOrder
        stiffSet
        invariant
        dae
        restarts
        reversal
        fixedSteps
        allocation
        failures
    ]
