/// ESDIRK methods: their coefficients, laws measured from steps, references of stiff problems, split fields, and failures.
module EsdirkTests

open System
open Continuum
open Continuum.Properties
open Claims
open Expecto

let private solved (solution: Solution<float[]>) =
    Expect.equal solution.Status Status.Success solution.Message
    solution

let private options tolerance : SolveOptions<float[]> = SolveOptions.create tolerance (1e-3 * tolerance)

let private gap (reference: float[]) (y: float[]) =
    Array.fold2 (fun worst r x -> max worst (abs (x - r) / max 1e-9 (abs r))) 0.0 reference y

// ------------------------------------------------------------------------------------------------------ problems

let private logarithmic =
    OdeSystem.OfField(
        VectorField(fun t y dydt ->
            dydt[0] <- 2.0 * t * y[0] * log y[1]
            dydt[1] <- -2.0 * t * y[1] * log y[0]),
        2
    )

let private logarithmicAt t = [| exp (sin (t * t)); exp (cos (t * t)) |]

/// The same in two parts that both depend on time and state: neither is linear nor commutes with the other.
let private logarithmicSplit =
    OdeSystem
        .OfField(
            VectorField(fun t y dydt ->
                dydt[0] <- 2.0 * t * y[0] * log y[1] - sin t * y[1]
                dydt[1] <- 0.5 * y[0]),
            2
        )
        .WithExplicitPart(
            VectorField(fun t y dydt ->
                dydt[0] <- sin t * y[1]
                dydt[1] <- -2.0 * t * y[1] * log y[0] - 0.5 * y[0])
        )

let private vanDerPol =
    OdeSystem
        .OfField(
            VectorField(fun _ y dydt ->
                dydt[0] <- y[1]
                dydt[1] <- 1000.0 * (1.0 - y[0] * y[0]) * y[1] - y[0]),
            2
        )
        .WithJacobian(
            JacobianFunction(fun _ y jacobian ->
                jacobian[0, 1] <- 1.0
                jacobian[1, 0] <- -2000.0 * y[0] * y[1] - 1.0
                jacobian[1, 1] <- 1000.0 * (1.0 - y[0] * y[0]))
        )

let private kinetics (y: ReadOnlySpan<float>) (dydt: Span<float>) =
    dydt[0] <- -0.04 * y[0] + 1e4 * y[1] * y[2]
    dydt[2] <- 3e7 * y[1] * y[1]
    dydt[1] <- -dydt[0] - dydt[2]

let private robertson = OdeSystem.OfField(VectorField(fun _ y dydt -> kinetics y dydt), 3)

let private robertsonAlgebraic =
    OdeSystem
        .OfField(
            VectorField(fun _ y dydt ->
                kinetics y dydt
                dydt[2] <- y[0] + y[1] + y[2] - 1.0),
            3
        )
        .WithMass([| 1.0; 1.0; 0.0 |])

let private robertsonAt1e5 = [| 0.017865921142322477; 7.274751468528758e-08; 0.9821340061101627 |]

let private hires =
    OdeSystem.OfField(
        VectorField(fun _ y dydt ->
            dydt[0] <- -1.71 * y[0] + 0.43 * y[1] + 8.32 * y[2] + 0.0007
            dydt[1] <- 1.71 * y[0] - 8.75 * y[1]
            dydt[2] <- -10.03 * y[2] + 0.43 * y[3] + 0.035 * y[4]
            dydt[3] <- 8.32 * y[1] + 1.71 * y[2] - 1.12 * y[3]
            dydt[4] <- -1.745 * y[4] + 0.43 * y[5] + 0.43 * y[6]
            dydt[5] <- -280.0 * y[5] * y[7] + 0.69 * y[3] + 1.71 * y[4] - 0.43 * y[5] + 0.69 * y[6]
            dydt[6] <- 280.0 * y[5] * y[7] - 1.81 * y[6]
            dydt[7] <- -280.0 * y[5] * y[7] + 1.81 * y[6]),
        8
    )

let private hiresStart = [| 1.0; 0.0; 0.0; 0.0; 0.0; 0.0; 0.0; 0.0057 |]

let private hiresAtEnd = [|
    0.7371312573325668e-3
    0.1442485726316185e-3
    0.5888729740967575e-4
    0.1175651343283149e-2
    0.2386356198831331e-2
    0.6238968252742796e-2
    0.2849998395185769e-2
    0.2850001604814231e-2
|]

// --------------------------------------------------------------------------------------------------------- tables

let private coefficients: EsdirkCoefficients = {
    Name = "Implicit Euler behind an explicit stage"
    Order = 1
    EmbeddedOrder = 1
    C = [| "0"; "1" |]
    A = [| [| "0" |]; [| "0"; "1" |] |]
    AExplicit = [||]
    B = [| "0"; "1" |]
    BHat = [| "1"; "0" |]
    Dense = None
    DenseSplit = None
    Source = "this test"
}

let private tables =
    testList "coefficients" [
        for tableau in EsdirkMethods.All do
            testCase $"{tableau.Name} has its orders, no more"
            <| fun () -> EsdirkConditions.all tableau |> List.iter holds

        testCase "a wrong order is seen"
        <| fun () ->
            let tableau = EsdirkTableau.Define coefficients
            Expect.equal tableau.Gamma 1.0 "gamma"
            EsdirkConditions.all (EsdirkTableau.Define { coefficients with Order = 2 }) |> List.head |> fails

        testCase "a wrong entry is named"
        <| fun () ->
            let refused (change: EsdirkCoefficients) (words: string) =
                match EsdirkTableau.create change with
                | Ok _ -> failtest $"accepted without '{words}'"
                | Error error -> Expect.stringContains error.Message words "the message"

            refused { coefficients with A = [| [| "0" |]; [| "0.1"; "1" |] |] } "sum a[2,j] = c[2]"
            refused { coefficients with B = [| "1"; "0" |] } "stiff accuracy"
            refused { coefficients with A = [| [| "0" |]; [| "1" |] |] } "a[2] has 1 entries, expected 2"
            refused { coefficients with BHat = [| "1"; "x" |] } "'x'"

        testCase "only TrBdf2's embedded formula is unbounded at infinity"
        <| fun () ->
            let unbounded = EsdirkMethods.All |> Array.filter (fun m -> not m.ErrorIsBounded)
            Expect.equal (unbounded |> Array.map _.Name) [| "TrBdf2" |] "unbounded"
    ]

// ----------------------------------------------------------------------------------------------------------- laws

let private laws =
    testList "laws" [
        for tableau in EsdirkMethods.All do
            testCase $"{tableau.Name} converges"
            <| fun () ->
                EsdirkLaws.convergence tableau logarithmic 0.0 1.5 (logarithmicAt 0.0) (logarithmicAt 1.5) |> holds
                EsdirkLaws.denseConvergence tableau logarithmic 0.0 1.5 logarithmicAt |> holds

            testCase $"{tableau.Name} is L-stable" <| fun () -> EsdirkLaws.lStability tableau |> holds

            testCase $"{tableau.Name} converges on stiff problems"
            <| fun () ->
                EsdirkLaws.stiffOrder tableau -1e3 1.7 |> holds
                EsdirkLaws.stiffOrder tableau -1e6 1.7 |> holds

            testCase $"{tableau.Name} keeps mass"
            <| fun () -> EsdirkLaws.invariant tableau robertson 0.0 1e4 [| 1.0; 0.0; 0.0 |] [| 1.0; 1.0; 1.0 |] |> holds

            testCase $"{tableau.Name} satisfies algebraic equations"
            <| fun () ->
                EsdirkLaws.constraints tableau robertsonAlgebraic 0.0 1e4 [| 1.0; 0.0; 0.0 |] 1e-5 (fun _ y ->
                    Array.sum y - 1.0)
                |> holds

        testCase "a quantity that is not kept is seen"
        <| fun () ->
            EsdirkLaws.invariant EsdirkMethods.Kvaerno5 robertson 0.0 1e4 [| 1.0; 0.0; 0.0 |] [| 1.0; 2.0; 1.0 |]
            |> fails
    ]

// ----------------------------------------------------------------------------------------------------- references

let private references =
    testList "references" [
        for tableau, factor in
            [
                EsdirkMethods.Kvaerno5, 50.0
                EsdirkMethods.KenCarp4, 50.0
                EsdirkMethods.Kvaerno3, 200.0
                EsdirkMethods.TrBdf2, 1000.0
            ] do
            let reaches name system t1 y0 (reference: float[]) =
                testCase $"{tableau.Name}: {name}"
                <| fun () ->
                    let tolerance = 1e-6

                    let solution = ArrayOde.solveSystem (Esdirk tableau) (options tolerance) system 0.0 t1 y0 |> solved

                    let error = gap reference solution.FinalState
                    Expect.isLessThan error (factor * tolerance) $"relative error of {tableau.Name} on {name}"
                    let work = solution.Statistics.Implicit
                    Expect.isLessThan work.Jacobians solution.Statistics.Accepted "Jacobians serve several steps"

            reaches "van der Pol" vanDerPol 2000.0 [| 2.0; 0.0 |] [| 1.706167732170483; -0.8928097010247975e-3 |]
            reaches "Robertson" robertson 1e5 [| 1.0; 0.0; 0.0 |] robertsonAt1e5
            reaches "Robertson as a DAE" robertsonAlgebraic 1e5 [| 1.0; 0.0; 0.0 |] robertsonAt1e5
            reaches "HIRES" hires 321.8122 hiresStart hiresAtEnd

        testCase "a full mass matrix, backward in time"
        <| fun () ->
            // M y' = M (y1 cos t, -y2) has the solutions (exp sin t, exp -t)
            let mass = array2D [ [ 2.0; 1.0 ]; [ 0.5; 3.0 ] ]

            let system =
                OdeSystem
                    .OfField(
                        VectorField(fun t y dydt ->
                            let a = y[0] * cos t
                            let b = -y[1]
                            dydt[0] <- 2.0 * a + b
                            dydt[1] <- 0.5 * a + 3.0 * b),
                        2
                    )
                    .WithMass
                    mass

            let solution =
                ArrayOde.solveSystem
                    (Esdirk EsdirkMethods.Kvaerno5)
                    { options 1e-8 with SaveAt = DenseOutput }
                    system
                    2.0
                    0.5
                    [| exp (sin 2.0); exp -2.0 |]
                |> solved

            let exact t = [| exp (sin t); exp -t |]
            Expect.isLessThan (gap (exact 0.5) solution.FinalState) 1e-6 "end"
            Expect.isLessThan (gap (exact 1.234) (solution.Dense.Value.At 1.234)) 1e-6 "dense output"

        testCase "the slope at the start of a DAE solves the differentiated constraint"
        <| fun () ->
            // y1' = -y1, 0 = y2 - y1^2 - t: y2' = 2 y1 y1' + 1
            let system =
                OdeSystem
                    .OfField(
                        VectorField(fun t y dydt ->
                            dydt[0] <- -y[0]
                            dydt[1] <- y[1] - y[0] * y[0] - t),
                        2
                    )
                    .WithMass([| 1.0; 0.0 |])

            let linear = new ArrayLinear(system.LinearSystem(Tolerance.create 1e-6 1e-9))

            use stepper =
                new EsdirkStepper<_, _, SpanField, _, _>(
                    EsdirkMethods.Kvaerno5,
                    false,
                    RealSpace(Tolerance.create 1e-6 1e-9),
                    SpanField(
                        VectorField(fun t y dydt ->
                            dydt[0] <- -y[0]
                            dydt[1] <- y[1] - y[0] * y[0] - t)
                    ),
                    NoField<float[], float>(),
                    linear,
                    true,
                    [| 0.0; 0.0 |]
                )

            let loop: IStepper<float[]> = stepper
            loop.Start(0.5, [| 1.0; 1.5 |])
            loop.InitialStep(1.0, 1.0) |> ignore
            let slope = stepper.Kernel.K[0]
            Expect.floatClose Accuracy.medium slope[0] -1.0 "differential part"
            Expect.floatClose Accuracy.medium slope[1] -1.0 "algebraic part: 2 y1 y1' + 1"
    ]

// --------------------------------------------------------------------------------------------------- split fields

/// Diffusion of u on n inner points of [0, 1] with the reaction u (1 - u)(u - a), ends held at 0; diffusion is the stiff part.
let private reactionDiffusion n =
    let scale = 0.02 * float ((n + 1) * (n + 1))

    let diffusion =
        VectorField(fun _ y dydt ->
            for i in 0 .. n - 1 do
                let left = if i = 0 then 0.0 else y[i - 1]
                let right = if i = n - 1 then 0.0 else y[i + 1]
                dydt[i] <- scale * (left - 2.0 * y[i] + right))

    let reaction u = 10.0 * u * (1.0 - u) * (u - 0.25)

    let split =
        OdeSystem
            .OfField(diffusion, n)
            .WithBand(1, 1)
            .WithExplicitPart(
                VectorField(fun _ y dydt ->
                    for i in 0 .. n - 1 do
                        dydt[i] <- reaction y[i])
            )

    let whole =
        OdeSystem
            .OfField(
                VectorField(fun t y dydt ->
                    diffusion.Invoke(t, y, dydt)

                    for i in 0 .. n - 1 do
                        dydt[i] <- dydt[i] + reaction y[i]),
                n
            )
            .WithBand(1, 1)

    let start = Array.init n (fun i -> sin (Math.PI * float (i + 1) / float (n + 1)) ** 2.0)
    split, whole, start

let private split =
    testList "split fields" [
        testCase "KenCarp4 has coupled order 4"
        <| fun () ->
            EsdirkLaws.convergence
                EsdirkMethods.KenCarp4
                logarithmicSplit
                0.0
                1.5
                (logarithmicAt 0.0)
                (logarithmicAt 1.5)
            |> holds

            EsdirkLaws.denseConvergence EsdirkMethods.KenCarp4 logarithmicSplit 0.0 1.5 logarithmicAt |> holds

        testCase "reaction and diffusion: the split solve is the whole one"
        <| fun () ->
            let split, whole, start = reactionDiffusion 60

            let solve system tolerance =
                ArrayOde.solveSystem (Esdirk EsdirkMethods.KenCarp4) (options tolerance) system 0.0 2.0 start
                |> solved

            let reference =
                ArrayOde.solveSystem (Esdirk EsdirkMethods.Kvaerno5) (options 1e-9) whole 0.0 2.0 start |> solved

            let imex = solve split 1e-6
            Expect.isLessThan (gap reference.FinalState imex.FinalState) 1e-4 "relative error"
            Expect.equal imex.Choices[0].Method "KenCarp4 (IMEX)" "what was used"
            // the diffusion is linear: Newton's method needs hardly more than one iteration for a stage
            let stages = 5 * (imex.Statistics.Accepted + imex.Statistics.Rejected)
            Expect.isLessThan imex.Statistics.Implicit.NewtonIterations (3 * stages) "iterations"

        testCase "what cannot be split is refused"
        <| fun () ->
            let refused method (system: OdeSystem) (words: string) =
                let message =
                    try
                        ArrayOde.solveSystem method (options 1e-6) system 0.0 1.0 [| 1.0; 1.0 |] |> ignore
                        ""
                    with :? ArgumentException as error ->
                        error.Message

                Expect.stringContains message words "the message"

            refused (Esdirk EsdirkMethods.Kvaerno5) logarithmicSplit "KenCarp4"
            refused (RungeKutta Methods.Tsit5) logarithmicSplit "split"
            refused (Esdirk EsdirkMethods.KenCarp4) (logarithmicSplit.WithMass([| 1.0; 2.0 |])) "mass matrix"
    ]

// -------------------------------------------------------------------------------------------------------- failures

let private failing name status (words: string) (system: OdeSystem) (control: StepControl) =
    testCase name
    <| fun () ->
        let told = { options 1e-6 with SaveAt = EverySteps; Control = control }
        let y0 = Array.create system.Size 1.0
        let solution = ArrayOde.solveSystem (Esdirk EsdirkMethods.Kvaerno5) told system 0.0 2.0 y0
        Expect.equal solution.Status status solution.Message
        Expect.stringContains solution.Message words "the message"
        Expect.isNonEmpty solution.States "the partial solution"

let private failures =
    let pole = VectorField(fun t y dydt -> dydt[0] <- if t > 1.0 then nan else -y[0])
    let adaptive = Adaptive ValueNone

    testList "failures" [
        failing
            "a field without a value beyond t = 1"
            Status.NonFinite
            "component 0"
            (OdeSystem.OfField(pole, 1))
            adaptive

        failing
            "a field that throws"
            Status.FieldThrew
            "no value"
            (OdeSystem.OfField(
                VectorField(fun t y dydt ->
                    if t > 1.0 then
                        invalidOp "no value"

                    dydt[0] <- -y[0]),
                1
            ))
            adaptive

        failing
            "an algebraic equation that does not hold its variable"
            Status.SingularMatrix
            "index above 1"
            (OdeSystem
                .OfField(
                    VectorField(fun _ y dydt ->
                        dydt[0] <- y[1]
                        dydt[1] <- y[0] - 1.0),
                    2
                )
                .WithMass([| 1.0; 0.0 |])
                .WithJacobian(
                    JacobianFunction(fun _ _ jacobian ->
                        jacobian[0, 1] <- 0.0
                        jacobian[1, 0] <- 1.0)
                ))
            adaptive

        failing
            "a Jacobian of the wrong sign, with fixed steps"
            Status.NewtonDiverged
            "shorter step"
            (OdeSystem
                .OfField(VectorField(fun _ y dydt -> dydt[0] <- -1e3 * y[0]), 1)
                .WithJacobian(JacobianFunction(fun _ _ jacobian -> jacobian[0, 0] <- 1e3)))
            (Fixed 0.5)

        testCase "a wrong Jacobian costs steps, not accuracy"
        <| fun () ->
            let system =
                OdeSystem
                    .OfField(VectorField(fun t y dydt -> dydt[0] <- -200.0 * (y[0] - cos t)), 1)
                    .WithJacobian(JacobianFunction(fun _ _ jacobian -> jacobian[0, 0] <- -60.0))

            let solution =
                ArrayOde.solveSystem (Esdirk EsdirkMethods.Kvaerno5) (options 1e-7) system 0.0 2.0 [| 0.0 |]
                |> solved

            let exact = (cos 2.0 + sin 2.0 / 200.0) / (1.0 + 1.0 / 40000.0)
            Expect.isLessThan (gap [| exact |] solution.FinalState) 1e-5 "relative error"
    ]

// ------------------------------------------------------------------------------------------------------- machinery

let private machinery =
    testList "machinery" [
        testCase "no allocation per step"
        <| fun () ->
            let bytes t1 =
                let solve () =
                    ArrayOde.solveSystem (Esdirk EsdirkMethods.Kvaerno5) (options 1e-6) vanDerPol 0.0 t1 [| 2.0; 0.0 |]

                solve () |> ignore
                let before = GC.GetAllocatedBytesForCurrentThread()
                let solution = solve ()
                struct (GC.GetAllocatedBytesForCurrentThread() - before, solution.Statistics.Accepted)

            let struct (few, short) = bytes 0.5
            let struct (many, long) = bytes 2000.0
            Expect.isGreaterThan long (short + 200) "the longer solve takes more steps"
            Expect.isLessThan (many - few) 256L "bytes beyond the short solve"

        testCase "a controller of the caller's is followed"
        <| fun () ->
            let run control =
                ArrayOde.solveSystem
                    (Esdirk EsdirkMethods.KenCarp4)
                    { options 1e-6 with Control = control }
                    hires
                    0.0
                    321.8122
                    hiresStart
                |> solved

            let own = run (Adaptive ValueNone)
            let theirs = run (Adaptive(ValueSome { Controller.integral 4 with Safety = 0.5 }))
            Expect.isGreaterThan theirs.Statistics.Accepted own.Statistics.Accepted "a careful controller steps shorter"
            Expect.isLessThan (gap hiresAtEnd theirs.FinalState) 1e-4 "relative error"

        testCase "events and jumps of the state"
        <| fun () ->
            // y' = -1000 (y - 1), lifted to 3 whenever it has come down to 1.5
            let system = OdeSystem.OfField(VectorField(fun _ y dydt -> dydt[0] <- -1000.0 * (y[0] - 1.0)), 1)

            let told = {
                options 1e-8 with
                    Events = [|
                        {
                            Name = "low"
                            Condition = fun _ y -> y[0] - 1.5
                            Crossing = Falling
                            Apply = ValueSome(fun _ _ -> [| 3.0 |])
                            Terminal = false
                            MaxOccurrences = 20
                        }
                    |]
            }

            let solution =
                ArrayOde.solveSystem (Esdirk EsdirkMethods.Kvaerno5) told system 0.0 1.0 [| 3.0 |] |> solved

            Expect.equal solution.Occurrences.Length 20 "occurrences"

            solution.Occurrences
            |> Array.iteri (fun i o ->
                Expect.isLessThan (abs (o.Time - float (i + 1) * log 4.0 / 1000.0)) 1e-7 $"time of occurrence {i}")
    ]

let tests = testList "Esdirk" [ tables; laws; references; split; failures; machinery ]
