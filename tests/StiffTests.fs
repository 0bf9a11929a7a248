/// Rosenbrock methods on arrays, mass matrices, differential-algebraic equations.
module StiffTests

open System
open Continuum
open Continuum.Properties
open Claims
open Expecto

let private options rtol atol : SolveOptions<float[]> = SolveOptions.create rtol atol

let private rodas5P = Rosenbrock RosenbrockMethods.Rodas5P
let private rosenbrock23 = Rosenbrock RosenbrockMethods.Rosenbrock23

/// Fields written once over numbers.
module Fields =
    open RealOperators

    /// HIRES: 8 equations. Schaefer 1975.
    [<Struct>]
    type Hires =
        interface IGenericField with
            member _.Size = 8
            member _.ParameterCount = 0

            member _.Evaluate(_, y, _, d) =
                let bind = 280.0 *. (y[5] * y[7])
                d[0] <- -1.71 *. y[0] + 0.43 *. y[1] + 8.32 *. y[2] .+ 0.0007
                d[1] <- 1.71 *. y[0] - 8.75 *. y[1]
                d[2] <- -10.03 *. y[2] + 0.43 *. y[3] + 0.035 *. y[4]
                d[3] <- 8.32 *. y[1] + 1.71 *. y[2] - 1.12 *. y[3]
                d[4] <- -1.745 *. y[4] + 0.43 *. y[5] + 0.43 *. y[6]
                d[5] <- -bind + 0.69 *. y[3] + 1.71 *. y[4] - 0.43 *. y[5] + 0.69 *. y[6]
                d[6] <- bind - 1.81 *. y[6]
                d[7] <- -bind + 1.81 *. y[6]

    /// y_i' = p y_(i-1) - y_i^2 + sin(t) y_(i+1), ten of them.
    [<Struct>]
    type Chain =
        interface IGenericField with
            member _.Size = 10
            member _.ParameterCount = 1

            member _.Evaluate(t, y, p, d) =
                for i in 0..9 do
                    let left = if i > 0 then p[0] * y[i - 1] else real 0.0
                    let right = if i < 9 then sin t * y[i + 1] else real 0.0
                    d[i] <- left - y[i] * y[i] + right

let private hiresStart = [| 1.0; 0.0; 0.0; 0.0; 0.0; 0.0; 0.0; 0.0057 |]

let private hiresProblem = {
    Name = "HIRES"
    System = OdeSystem.OfGeneric(Fields.Hires(), [||]).WithoutTime()
    Start = 0.0
    End = 321.8122
    Initial = hiresStart
    Exact =
        fun _ -> [|
            0.7371312573325668e-3
            0.1442485726316185e-3
            0.5888729740967575e-4
            0.1175651343283149e-2
            0.2386356198831331e-2
            0.6238968252742796e-2
            0.2849998395185769e-2
            0.2850001604814231e-2
        |]
}

let private vanDerPol = {
    Name = "van der Pol, mu = 1000"
    System =
        OdeSystem
            .OfField(
                VectorField(fun _ y dydt ->
                    dydt[0] <- y[1]
                    dydt[1] <- 1000.0 * (1.0 - y[0] * y[0]) * y[1] - y[0]),
                2
            )
            .WithoutTime()
    Start = 0.0
    End = 2000.0
    Initial = [| 2.0; 0.0 |]
    Exact = fun _ -> [| 1.706167732170483; -0.8928097010247975e-3 |]
}

let private robertsonEnd = [| 0.017865921142322477; 7.274751468528758e-08; 0.9821340061101627 |]

let private robertsonProblem name system = {
    Name = name
    System = system
    Start = 0.0
    End = 1e5
    Initial = [| 1.0; 0.0; 0.0 |]
    Exact = fun _ -> robertsonEnd
}

let private laws =
    testList "laws" [
        for tableau in RosenbrockMethods.All do
            testCase $"order conditions over rooted trees, {tableau.Name}"
            <| fun () ->
                for law in RosenbrockConditions.all tableau do
                    Expect.isTrue law.Holds (string law)

        for tableau in RosenbrockMethods.All do
            let method = Rosenbrock tableau

            testCase $"{tableau.Name}: order, non-autonomous, with mass, differential-algebraic"
            <| fun () ->
                holds (StiffLaws.convergence method (StiffProblems.ofProblem Problems.logarithmic))
                holds (StiffLaws.convergence method (StiffProblems.ofProblem Problems.cosine))
                holds (StiffLaws.convergence method StiffProblems.massive)
                holds (StiffLaws.convergence method StiffProblems.algebraic)

            testCase $"{tableau.Name}: order of dense output"
            <| fun () ->
                holds (
                    StiffLaws.denseConvergence method tableau.DenseOrder (StiffProblems.ofProblem Problems.logarithmic)
                )

                holds (StiffLaws.denseConvergence method tableau.DenseOrder StiffProblems.massive)

            testCase $"{tableau.Name}: L-stable, by its tableau and by its steps"
            <| fun () ->
                Expect.isLessThan (abs tableau.StabilityAtInfinity) 1e-9 "R(infinity)"
                holds (StiffLaws.stability method true)

            testCase $"{tableau.Name}: Robertson's masses are preserved"
            <| fun () ->
                holds (
                    StiffLaws.linearInvariant method StiffProblems.robertson [| 1.0; 1.0; 1.0 |] 1e4 [| 1.0; 0.0; 0.0 |]
                )

            testCase $"{tableau.Name}: algebraic equations hold at every step"
            <| fun () ->
                let residual _ (y: float[]) = y[0] + y[1] + y[2] - 1.0

                holds (
                    StiffLaws.algebraicResidual method StiffProblems.robertsonAlgebraic residual 1e-5 1e4 [|
                        1.0
                        0.0
                        0.0
                    |]
                )

        testCase "stiff order: Prothero and Robinson"
        <| fun () ->
            holds (StiffLaws.stiffConvergence rosenbrock23 1.0)
            holds (StiffLaws.stiffConvergence rodas5P 3.0)

        testCase "a law fails where it should: a method does not have a higher order, a mass left out is seen"
        <| fun () ->
            let law = StiffLaws.stiffConvergence rosenbrock23 4.0
            Expect.isFalse law.Holds (string law)

            let massless = {
                StiffProblems.massive with
                    System = StiffProblems.massive.System.WithMass [| 1.0; 1.0 |]
            }

            let law = StiffLaws.convergence rodas5P massless
            Expect.isFalse law.Holds (string law)
    ]

let private jacobians =
    testList "Jacobians" [
        testCase "by dual numbers = by differences = given; structure does not change them"
        <| fun () ->
            let y = Array.init 10 (fun i -> 1.0 + 0.2 * sin (3.0 * float i))
            let exact = OdeSystem.OfGeneric(Fields.Chain(), [| 0.7 |])
            let rows = Array.init 10 (fun i -> [| for j in max 0 (i - 1) .. min 9 (i + 1) -> j |])

            let given =
                exact.WithJacobian(
                    JacobianFunction(fun t y j ->
                        for i in 0..9 do
                            j[i, i] <- -2.0 * y[i]

                            if i > 0 then
                                j[i, i - 1] <- 0.7

                            if i < 9 then
                                j[i, i + 1] <- sin t)
                )

            for other in [ given; given.WithBand(1, 1); exact.WithBand(1, 1); exact.WithSparsity rows ] do
                holds (StiffLaws.jacobian exact other 1e-15 0.4 y)

            let plain =
                OdeSystem.OfField(
                    VectorField(fun t y d ->
                        for i in 0..9 do
                            let left = if i > 0 then 0.7 * y[i - 1] else 0.0
                            let right = if i < 9 then sin t * y[i + 1] else 0.0
                            d[i] <- left - y[i] * y[i] + right),
                    10
                )

            for other in [ plain; plain.WithBand(1, 1); plain.WithSparsity rows ] do
                holds (StiffLaws.jacobian exact other 1e-7 0.4 y)

            let wrong = exact.WithJacobian(JacobianFunction(fun _ _ j -> j[0, 0] <- 1.0))
            Expect.isFalse (StiffLaws.jacobian exact wrong 1e-7 0.4 y).Holds "a wrong one is seen"

        testCase "the time slope comes with the Jacobian and steps are those of the other sources"
        <| fun () ->
            let y = Array.init 10 (fun i -> 1.0 + 0.2 * sin (3.0 * float i))
            let o = options 1e-7 1e-9
            let exact = OdeSystem.OfGeneric(Fields.Chain(), [| 0.7 |])
            let one = ArrayOde.solveSystem rodas5P o exact 0.0 5.0 y

            for other in [ exact.WithBand(1, 1) ] do
                let two = ArrayOde.solveSystem rodas5P o other 0.0 5.0 y
                Expect.equal two.Statistics.Accepted one.Statistics.Accepted "steps"
                Array.iter2 (fun a b -> Expect.floatClose Accuracy.high a b "state") one.FinalState two.FinalState

            let reference = ArrayOde.solveSystem (RungeKutta Methods.Vern9) (options 1e-12 1e-12) exact 0.0 5.0 y
            Array.iter2 (fun a b -> Expect.isLessThan (abs (a - b)) 1e-6 "true") one.FinalState reference.FinalState
    ]

let private references =
    testList "reference problems" [
        testCase "van der Pol, Robertson, HIRES at their tolerances"
        <| fun () ->
            for problem, floor in
                [
                    vanDerPol, 1e-9
                    robertsonProblem "Robertson" StiffProblems.robertson, 1e-9
                    robertsonProblem "Robertson as a DAE" StiffProblems.robertsonAlgebraic, 1e-9
                    hiresProblem, 1e-9
                ] do
                holds (StiffLaws.reference rodas5P 1e-6 10.0 floor problem)
                holds (StiffLaws.reference rosenbrock23 1e-4 60.0 floor problem)

        testCase "Robertson as a differential-algebraic equation to t = 1e11"
        <| fun () ->
            for method in [ rodas5P; rosenbrock23 ] do
                let solution =
                    ArrayOde.solveSystem method (options 1e-6 1e-12) StiffProblems.robertsonAlgebraic 0.0 1e11 [|
                        1.0
                        0.0
                        0.0
                    |]

                Expect.equal solution.Status Status.Success solution.Message
                // Mazzia and Magherini's test set at t = 1e11
                Expect.isLessThan (abs (solution.FinalState[0] - 0.2083340149701255e-7)) 1e-10 "y1"
                Expect.isLessThan (abs (solution.FinalState[1] - 0.8333360770334713e-13)) 1e-15 "y2"
                Expect.isLessThan (abs (solution.FinalState[2] - 0.9999999791665050)) 1e-10 "y3"

        testCase "work is counted and steps allocate nothing"
        <| fun () ->
            let solve t1 = ArrayOde.solveSystem rodas5P (options 1e-6 1e-9) hiresProblem.System 0.0 t1 hiresStart

            let solution = solve 321.8122
            let s = solution.Statistics
            Expect.equal s.Implicit.Factorisations (s.Accepted + s.Rejected) "a factorisation an attempt"
            Expect.equal s.Implicit.Jacobians s.Accepted "a Jacobian a state"
            Expect.equal s.Implicit.Solves (8 * (s.Accepted + s.Rejected)) "a solve a stage"

            let bytes t1 =
                solve t1 |> ignore
                let before = GC.GetAllocatedBytesForCurrentThread()
                solve t1 |> ignore
                GC.GetAllocatedBytesForCurrentThread() - before

            Expect.equal (bytes 321.8122) (bytes 1.0) "more steps, the same bytes"

        testCase "backward in time, events, saved times and dense output"
        <| fun () ->
            let spring =
                OdeSystem.OfField(
                    VectorField(fun _ y d ->
                        d[0] <- y[1]
                        d[1] <- -y[0]),
                    2
                )

            let back = ArrayOde.solveSystem rodas5P (options 1e-9 1e-9) spring 1.0 0.0 [| cos 1.0; -sin 1.0 |]
            Expect.isLessThan (abs (back.FinalState[0] - 1.0)) 1e-7 "back at 1"

            let crossing: Event<float[]> = {
                Name = "zero"
                Condition = fun _ y -> y[0]
                Crossing = Falling
                Apply = ValueNone
                Terminal = true
                MaxOccurrences = 1
            }

            let stopped =
                ArrayOde.solveSystem rodas5P { options 1e-9 1e-9 with Events = [| crossing |] } spring 0.0 5.0 [|
                    1.0
                    0.0
                |]

            Expect.equal stopped.Status Status.Terminated "stopped"
            Expect.isLessThan (abs (stopped.FinalTime - Math.PI / 2.0)) 1e-7 "at pi/2"

            let saved =
                ArrayOde.solveSystem
                    rodas5P
                    { options 1e-9 1e-9 with SaveAt = Times [| 0.0; 0.3; 1.1; 2.0 |] }
                    spring
                    0.0
                    2.0
                    [| 1.0; 0.0 |]

            Array.iter2
                (fun t (y: float[]) -> Expect.isLessThan (abs (y[0] - cos t)) 1e-6 $"at {t}")
                saved.Times
                saved.States
    ]

/// y1' = -y1 + y2, 0 = y2 + y2^3 - y1 with an event-like change; consistent only where the cubic holds.
let private cubic =
    OdeSystem
        .OfField(
            VectorField(fun _ y d ->
                d[0] <- -y[0] + y[1]
                d[1] <- y[1] + y[1] * y[1] * y[1] - y[0]),
            2
        )
        .WithMass
        [| 1.0; 0.0 |]

let private algebraic =
    testList "algebraic equations" [
        testCase "initial values are made consistent, differential ones kept; checked or trusted on request"
        <| fun () ->
            let solve system y0 =
                ArrayOde.solveSystem rodas5P { options 1e-8 1e-8 with SaveAt = EverySteps } system 0.0 1.0 y0

            let solution = solve cubic [| 10.0; -3.0 |]
            Expect.equal solution.Status Status.Success solution.Message
            Expect.equal (solution.States[0][0]) 10.0 "the differential variable stays"
            Expect.isLessThan (abs (solution.States[0][1] - 2.0)) 1e-9 "2 + 8 = 10"
            let kept = solve cubic [| 10.0; 2.0 |]
            Expect.equal (kept.States[0]) [| 10.0; 2.0 |] "consistent values are not touched"
            let refused = solve (cubic.WithStartValues StartValues.Check) [| 10.0; 2.1 |]
            Expect.equal refused.Status Status.InconsistentInitialValues "checked"
            Expect.stringContains refused.Message "equation 1" "names the equation"
            let fine = solve (cubic.WithStartValues StartValues.Check) [| 10.0; 2.0 |]
            Expect.equal fine.Status Status.Success fine.Message

        testCase "a mass matrix singular in its own way: combinations of equations and of variables"
        <| fun () ->
            // u = y1 + y2 obeys u' = -u; y1 - y2 = t is algebraic. M = [1 1; 2 2], f = (-u, -2 u + (y1 - y2 - t)).
            let system =
                OdeSystem
                    .OfField(
                        VectorField(fun t y d ->
                            let u = y[0] + y[1]
                            d[0] <- -u
                            d[1] <- -2.0 * u + (y[0] - y[1] - t)),
                        2
                    )
                    .WithMass(array2D [ [ 1.0; 1.0 ]; [ 2.0; 2.0 ] ])

            let solution =
                ArrayOde.solveSystem rodas5P { options 1e-8 1e-8 with SaveAt = EverySteps } system 0.0 1.0 [|
                    3.0
                    0.0
                |]

            Expect.equal solution.Status Status.Success solution.Message
            Expect.isLessThan (abs (solution.States[0][0] - 1.5) + abs (solution.States[0][1] - 1.5)) 1e-12 "start"
            let u = 3.0 * exp -1.0
            Expect.isLessThan (abs (solution.FinalState[0] - 0.5 * (u + 1.0))) 1e-6 "y1"
            Expect.isLessThan (abs (solution.FinalState[1] - 0.5 * (u - 1.0))) 1e-6 "y2"

        testCase "after a dose the algebraic variables follow"
        <| fun () ->
            let dose: Scheduled<float[]> = { Time = 0.5; Apply = fun _ y -> [| y[0] + 20.0; y[1] |] }

            let solution =
                ArrayOde.solveSystem
                    rodas5P
                    { options 1e-8 1e-8 with Scheduled = [| dose |]; SaveAt = EverySteps }
                    cubic
                    0.0
                    1.0
                    [| 10.0; 2.0 |]

            Expect.equal solution.Status Status.Success solution.Message

            for y in solution.States |> Array.filter (fun y -> y[0] > 20.0) do
                Expect.isLessThan (abs (y[1] + y[1] ** 3.0 - y[0])) 1e-4 "consistent after the dose"

        testCase "no solution of the algebraic equation, an index above 1"
        <| fun () ->
            let impossible =
                OdeSystem
                    .OfField(
                        VectorField(fun _ y d ->
                            d[0] <- -y[0]
                            d[1] <- y[1] * y[1] + 1.0),
                        2
                    )
                    .WithMass
                    [| 1.0; 0.0 |]

            let solution = ArrayOde.solveSystem rodas5P (options 1e-6 1e-6) impossible 0.0 1.0 [| 1.0; 1.0 |]
            Expect.equal solution.Status Status.InconsistentInitialValues solution.Message
            Expect.stringContains solution.Message "equation 1" "names the equation"

            // index 2: the constraint does not contain the algebraic variable
            let pendulumLike =
                OdeSystem
                    .OfField(
                        VectorField(fun _ y d ->
                            d[0] <- y[1]
                            d[1] <- y[0] - 1.0),
                        2
                    )
                    .WithMass
                    [| 1.0; 0.0 |]

            let solution = ArrayOde.solveSystem rodas5P (options 1e-6 1e-6) pendulumLike 0.0 1.0 [| 1.0; 0.0 |]
            Expect.equal solution.Status Status.SingularMatrix solution.Message
            Expect.stringContains solution.Message "index" "says why"
    ]

let private failures =
    testList "failures" [
        let solve method system t1 y0 o = ArrayOde.solveSystem method o system 0.0 t1 y0

        for method in [ rodas5P; rosenbrock23 ] do
            testCase $"{method.Name}: a field that becomes NaN or throws keeps the solution before"
            <| fun () ->
                let nanField = OdeSystem.OfField(VectorField(fun t _ d -> d[0] <- if t > 0.5 then nan else 1.0), 1)
                let solution = solve method nanField 1.0 [| 0.0 |] { options 1e-6 1e-6 with SaveAt = EverySteps }
                Expect.equal solution.Status Status.NonFinite solution.Message
                Expect.isTrue (solution.FinalTime > 0.4 && solution.FinalTime <= 0.5) $"stopped at {solution.FinalTime}"
                Expect.isGreaterThan solution.States.Length 1 "partial solution"

                let throwing =
                    OdeSystem.OfField(
                        VectorField(fun t _ d ->
                            if t > 0.5 then
                                invalidOp "out of range"

                            d[0] <- 1.0),
                        1
                    )

                let solution = solve method throwing 1.0 [| 0.0 |] (options 1e-6 1e-6)
                Expect.equal solution.Status Status.FieldThrew solution.Message
                Expect.stringContains solution.Message "out of range" "carries the text"

                let nanAtStart = OdeSystem.OfField(VectorField(fun _ _ d -> d[0] <- nan), 1)
                let solution = solve method nanAtStart 1.0 [| 0.0 |] (options 1e-6 1e-6)
                Expect.equal solution.Status Status.NonFinite solution.Message

            testCase $"{method.Name}: a Jacobian that is not finite, a singular mass matrix that nothing completes"
            <| fun () ->
                let nanJacobian =
                    OdeSystem
                        .OfField(VectorField(fun _ y d -> d[0] <- -y[0]), 1)
                        .WithJacobian(JacobianFunction(fun _ _ j -> j[0, 0] <- nan))

                let solution = solve method nanJacobian 1.0 [| 1.0 |] (options 1e-6 1e-6)
                Expect.equal solution.Status Status.SingularMatrix solution.Message
                Expect.stringContains solution.Message "Jacobian" "says where to look"

                let nothing =
                    OdeSystem
                        .OfField(
                            VectorField(fun _ y d ->
                                d[0] <- -y[0]
                                d[1] <- 0.0),
                            2
                        )
                        .WithMass([| 1.0; 0.0 |])
                        .WithStartValues
                        StartValues.Trust

                let solution = solve method nothing 1.0 [| 1.0; 1.0 |] (options 1e-6 1e-6)
                Expect.equal solution.Status Status.SingularMatrix solution.Message

            testCase $"{method.Name}: blow-up and impossible tolerances end with a status"
            <| fun () ->
                let blowUp = OdeSystem.OfField(VectorField(fun _ y d -> d[0] <- y[0] * y[0]), 1)
                let solution = solve method blowUp 2.0 [| 1.0 |] (options 1e-6 1e-6)

                Expect.isTrue
                    (solution.Status = Status.StepTooSmall || solution.Status = Status.NonFinite)
                    solution.Message

                Expect.isLessThan (abs (solution.FinalTime - 1.0)) 1e-3 "near the singularity"

                let solution =
                    solve method vanDerPol.System 2000.0 [| 2.0; 0.0 |] { options 1e-16 1e-300 with MaxSteps = 2000 }

                Expect.isTrue
                    (solution.Status = Status.MaxStepsReached || solution.Status = Status.StepTooSmall)
                    solution.Message

        testCase "coefficients are checked when read"
        <| fun () ->
            use stream = typeof<RosenbrockTableau>.Assembly.GetManifestResourceStream "tableau.rosenbrock23.json"
            use reader = new IO.StreamReader(stream)
            let text = reader.ReadToEnd()
            RosenbrockTableau.Parse text |> ignore

            for before, after, named in
                [
                    "\"1/2\"", "\"1/3\"", "c = sum alpha"
                    "[\n  \"-0.569", "[\n  \"-0.568", "bHat"
                    "8.2426", "8.2427", "theta = 1"
                    "\"b_err\"", "\"b_errr\"", "missing"
                ] do
                Expect.throwsC (fun () -> RosenbrockTableau.Parse(text.Replace(before, after)) |> ignore) (fun e ->
                    Expect.stringContains e.Message named "names the condition")
    ]

let tests = testList "Stiff" [ laws; jacobians; references; algebraic; failures ]
