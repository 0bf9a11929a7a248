/// Derivatives of solves on arrays: forward sensitivities and adjoints against differences, closed forms and each other.
module SensitivityTests

#nowarn "3535" "3536"

open System
open Continuum
open Continuum.Properties
open Claims
open SensitivityProblems
open SensitivityProblems.GenericFields
open Expecto

let private explicitTests =
    testList "explicit" [
        for tableau in explicitMethods do
            test $"forward = adjoint, with output inside of steps, {tableau.Name}" {
                holds (SensitivityLaws.forwardIsAdjoint 1e-11 (lotka (RungeKutta tableau) (tight saves)))
                holds (SensitivityLaws.forwardIsAdjoint 1e-11 (pendulum (RungeKutta tableau) (tight pendulumSaves)))
            }

            test $"the gradient is the one of the discrete solution, {tableau.Name}" {
                let case = pendulum (RungeKutta tableau) (fixedSteps 0.2 pendulumSaves)
                holds (SensitivityLaws.adjointIsDifference 1e-2 1e-8 case)
                holds (SensitivityLaws.hessianIsDifference 1e-2 1e-8 case)
            }

        test "backward in time, from a later start to an earlier end" {
            let case = {
                pendulum (RungeKutta Methods.Tsit5) (fixedSteps 0.1 (Times [| 3.5; 2.22; 0.5 |])) with
                    Start = 3.5
                    End = 0.5
            }

            holds (SensitivityLaws.forwardIsAdjoint 1e-11 case)
            holds (SensitivityLaws.adjointIsDifference 1e-2 1e-8 case)
        }
    ]


/// Fixed steps whose nonlinear systems are solved to rounding, nearly.
let private solvedSteps (method: Method) =
    match method with
    | Bdf _ -> {
        SolveOptions.create 1e-10 1e-10 with
            SaveAt = pendulumSaves
            Control = Fixed 0.01
      }
    | _ -> {
        SolveOptions.create 1e-12 1e-13 with
            SaveAt = pendulumSaves
            Control = Fixed 0.1
      }

/// What holds for every method for stiff problems.
let private stiffLaws (method: Method) (tolerance: float) = [
    test $"forward = adjoint on stiff problems, {method.Name}" {
        let kinetics = robertson method (stiffOptions tolerance [| 0.3; 40.0; 1e4 |])
        holds (SensitivityLaws.forwardIsAdjoint 1e-9 kinetics)
        let oscillator = vanDerPol method (stiffOptions tolerance [| 0.4; 0.9; 1.5 |])
        holds (SensitivityLaws.forwardIsAdjoint 1e-9 oscillator)
    }

    test $"the gradient is the one of the discrete solution, {method.Name}" {
        let case = pendulum method (solvedSteps method)
        holds (SensitivityLaws.forwardIsAdjoint 1e-10 case)
        holds (SensitivityLaws.adjointIsDifference 1e-2 1e-6 case)
    }

    test $"Hessian-vector products, {method.Name}" {
        holds (SensitivityLaws.hessianIsDifference 1e-2 1e-6 (pendulum method (solvedSteps method)))
    }
]

let private rosenbrockTests =
    testList "Rosenbrock" [
        for method in rosenbrockMethods do
            yield! stiffLaws method (if method.Order < 3 then 1e-4 else 1e-8)

        test "Robertson's kinetics to t = 1e4: the gradient is the one of tight solves" {
            let case = robertson (Rosenbrock RosenbrockMethods.Rodas5P) (stiffOptions 1e-10 [| 40.0; 1e4 |])
            // initial values of the fast species are not moved below zero
            let case = { case with Initial = [| 1.0; 1e-5; 0.1 |] }
            holds (SensitivityLaws.adjointIsDifference 1e-2 1e-5 case)
        }
    ]

let private implicitMethods = [
    Esdirk EsdirkMethods.TrBdf2, 1e-5
    Esdirk EsdirkMethods.Kvaerno5, 1e-8
    Esdirk EsdirkMethods.KenCarp4, 1e-7
    Bdf 5, 1e-7
    Bdf 2, 1e-5
]

let private implicitTests =
    testList "implicit" [
        for method, tolerance in implicitMethods do
            yield! stiffLaws method tolerance

        test "methods agree on the gradient of Robertson's kinetics to t = 1e4" {
            let gradient method =
                let case = robertson method (stiffOptions 1e-9 [| 40.0; 1e4 |])

                let result =
                    Sensitivity.gradientBy
                        (ValueSome SensitivityMode.Adjoint)
                        method
                        case.Options
                        (WeighingLoss())
                        (case.Problem case.Parameters)
                        case.Start
                        case.End
                        case.Initial

                // in the logarithms of the rates, so that their sizes compare
                Array.map2 (*) result.Parameters case.Parameters

            let expected = gradient (Rosenbrock RosenbrockMethods.Rodas5P)

            for method in [ Esdirk EsdirkMethods.Kvaerno5; Bdf 5 ] do
                Array.iter2 (close $"{method.Name} against Rodas5P" 1e-4) (gradient method) expected
        }
    ]

let private chaosTests =
    testList "chaos" [
        for stop in [ 1.0; 5.0; 10.0 ] do
            test $"the discrete gradient stays exact over {stop} units of Lorenz" {
                let case = lorenz stop
                holds (SensitivityLaws.forwardIsAdjoint 1e-9 case)
                // the step of the differences shrinks as the solution's sensitivity grows
                holds (SensitivityLaws.adjointIsDifference (1e-3 * exp (-0.9 * stop)) 1e-5 case)
            }
    ]

let private closedFormTests =
    testList "closed forms" [
        test "logistic growth: all derivatives at all times" {
            let r, k, y0 = 0.9, 4.0, 0.3
            let times = [| 0.5; 1.3; 4.0 |]

            let result =
                Sensitivity.forward
                    (RungeKutta Methods.Dop853)
                    (tight (Times times))
                    Everything
                    (ofField (Logistic()) [| r; k |])
                    0.0
                    4.0
                    [| y0 |]

            times
            |> Array.iteri (fun at t ->
                let e = exp (-r * t)
                let d = y0 + (k - y0) * e
                close $"y({t})" 1e-9 result.Solution.States[at].[0] (k * y0 / d)
                close $"dy/dy0 at {t}" 1e-8 result.States[at].[0, 0] (k * k * e / (d * d))
                close $"dy/dr at {t}" 1e-8 result.States[at].[0, 1] (k * y0 * (k - y0) * t * e / (d * d))
                close $"dy/dk at {t}" 1e-8 result.States[at].[0, 2] (y0 * y0 * (1.0 - e) / (d * d)))
        }

        test "directions are sums of columns" {
            let run columns =
                Sensitivity.forward
                    (RungeKutta Methods.Tsit5)
                    (tight EndOnly)
                    columns
                    (ofField (LotkaVolterra()) [| 1.5; 1.0; 0.8; 3.0 |])
                    0.0
                    2.0
                    [| 1.0; 0.7 |]

            let all = (run Everything).Final
            let initial = Array2D.init 2 1 (fun i _ -> 0.3 - float i)
            let parameters = Array2D.init 4 1 (fun i _ -> 0.2 * float i)
            let along = (run (Directions(initial, parameters))).Final

            for i in 0..1 do
                let expected =
                    Seq.sum (seq { for j in 0..1 -> all[i, j] * initial[j, 0] })
                    + Seq.sum (seq { for j in 0..3 -> all[i, 2 + j] * parameters[j, 0] })

                close "derivative along a direction" 1e-12 along[i, 0] expected

            let byParameters = (run Parameters).Final
            let byInitial = (run InitialValues).Final
            Expect.equal byParameters[1, 3] all[1, 5] "columns of parameters"
            Expect.equal byInitial[1, 1] all[1, 1] "columns of initial values"
        }

        test "moving the ends of the span" {
            let value t0 t1 =
                Sensitivity.gradient
                    (RungeKutta Methods.Dop853)
                    (tight EndOnly)
                    (WeighingLoss())
                    (ofField (DrivenPendulum()) [| 2.0; 0.1; 0.5 |])
                    t0
                    t1
                    [| 1.0; -0.2 |]

            let here = value 0.5 3.5
            let h = 1e-3
            close "start" 1e-5 here.Start (((value (0.5 + h) 3.5).Value - (value (0.5 - h) 3.5).Value) / (2.0 * h))
            close "end" 1e-5 here.End (((value 0.5 (3.5 + h)).Value - (value 0.5 (3.5 - h)).Value) / (2.0 * h))
        }
    ]

let private choiceTests =
    testList "choice" [
        test "small problems go forward, large ones backward, and the result says so" {
            let gradient (case: SensitivityCase) =
                Sensitivity.gradient
                    case.Method
                    case.Options
                    (WeighingLoss())
                    (case.Problem case.Parameters)
                    case.Start
                    case.End
                    case.Initial

            let small = gradient (lotka (RungeKutta Methods.Tsit5) (tight saves))
            Expect.equal small.Choice.Mode SensitivityMode.Forward "6 inputs"
            Expect.stringContains small.Choice.Reason "6" "the reason names the size"
            let large = gradient ring
            Expect.equal large.Choice.Mode SensitivityMode.Adjoint "140 inputs"
            holds (SensitivityLaws.forwardIsAdjoint 1e-11 ring)
        }

        test "bounded storage gives the same gradient" {
            let case = lotka (RungeKutta Methods.Tsit5) (tight saves)

            let gradient states =
                Sensitivity.adjoint
                    case.Method
                    case.Options
                    { MaxStates = states }
                    (fun solution ->
                        struct (0.0,
                                {
                                    OutcomeCotangents.Zero with
                                        States =
                                            solution.States
                                            |> Array.mapi (fun i y -> Array.map (fun v -> v + float i) y)
                                }))
                    (case.Problem case.Parameters)
                    case.Start
                    case.End
                    case.Initial

            let all = gradient 0
            Expect.isGreaterThan all.Solution.Statistics.Accepted 30 "several stretches"

            for states in [ 1; 2; 7; 1000 ] do
                let bounded = gradient states
                Expect.equal bounded.InitialValues all.InitialValues $"{states} states: initial values"
                Expect.equal bounded.Parameters all.Parameters $"{states} states: parameters"
        }

        test "a failed solve keeps its status; gradients are NaN, sensitivities cover the part before" {
            let options = { tight (Times [| 0.1; 3.0 |]) with MaxSteps = 20 }

            let run =
                Sensitivity.forward
                    (RungeKutta Methods.Tsit5)
                    options
                    Everything
                    (ofField (LotkaVolterra()) [| 1.5; 1.0; 0.8; 3.0 |])
                    0.0
                    3.0
                    [| 1.0; 0.7 |]

            Expect.equal run.Solution.Status Status.MaxStepsReached "status"
            Expect.equal run.States.Length 1 "one saved"
            Expect.isTrue (Double.IsFinite run.Final[1, 5]) "derivatives of what was reached"

            let gradient =
                Sensitivity.gradient
                    (RungeKutta Methods.Tsit5)
                    options
                    (WeighingLoss())
                    (ofField (LotkaVolterra()) [| 1.5; 1.0; 0.8; 3.0 |])
                    0.0
                    3.0
                    [| 1.0; 0.7 |]

            Expect.isTrue (Double.IsNaN gradient.Value && Double.IsNaN gradient.Parameters[0]) "no gradient"
        }
    ]

/// Lotka-Volterra as a delegate, with or without its derivatives.
let private delegateTests =
    testList "delegates" [
        for method in [ RungeKutta Methods.Tsit5; Esdirk EsdirkMethods.Kvaerno5; Bdf 5 ] do
            test $"as over numbers, {method.Name}" {
                let case = lotka method { SolveOptions.create 1e-7 1e-9 with SaveAt = saves }

                let run problem =
                    (Sensitivity.forward case.Method case.Options Everything problem 0.0 3.0 case.Initial).Final

                let expected = run (case.Problem case.Parameters)
                let given = run (delegates true case.Parameters)
                let differences = run (delegates false case.Parameters)

                // Newton's method sees another Jacobian, and may take other steps
                let tolerance = if method.Name = "Tsit5" then 1e-12 else 1e-4

                for i in 0..1 do
                    for j in 0..5 do
                        close $"given ({i}, {j})" tolerance given[i, j] expected[i, j]
                        close $"differences ({i}, {j})" (Math.Max(tolerance, 1e-6)) differences[i, j] expected[i, j]
            }

        test "what a delegate cannot give is refused with the remedy" {
            let problem = delegates true [| 1.5; 1.0; 0.8; 3.0 |]
            let y0 = [| 1.0; 0.7 |]

            let adjoint () =
                Sensitivity.gradientBy
                    (ValueSome SensitivityMode.Adjoint)
                    (RungeKutta Methods.Tsit5)
                    (tight saves)
                    (WeighingLoss())
                    problem
                    0.0
                    3.0
                    y0
                |> ignore

            Expect.throwsT<ArgumentException> adjoint "adjoint"

            let rosenbrock () =
                Sensitivity.forward (Rosenbrock RosenbrockMethods.Rodas5P) (tight saves) Everything problem 0.0 3.0 y0
                |> ignore

            Expect.throwsT<ArgumentException> rosenbrock "second derivatives"

            let chosen =
                Sensitivity.gradient (RungeKutta Methods.Tsit5) (tight saves) (WeighingLoss()) problem 0.0 3.0 y0

            Expect.equal chosen.Choice.Mode SensitivityMode.Forward "the automatic choice knows"
        }
    ]

/// Robertson's kinetics as a differential-algebraic system: the third species by conservation.
let private robertsonDae: SensitivityCase = {
    Name = "Robertson as a DAE"
    Method = Rosenbrock RosenbrockMethods.Rodas5P
    Options = stiffOptions 1e-9 [| 0.3; 40.0; 1e3 |]
    Problem = fun p -> (ofField (RobertsonDae()) p).WithMass [| 1.0; 1.0; 0.0 |]
    Parameters = [| 0.04; 1e4; 3e7 |]
    Start = 0.0
    End = 1e3
    Initial = [| 1.0; 0.0; 0.0 |]
}

let private massTests =
    testList "mass matrix" [
        test "a DAE has the derivatives of the equations that it stands for" {
            let run (case: SensitivityCase) =
                Sensitivity.forward
                    case.Method
                    case.Options
                    Parameters
                    (case.Problem case.Parameters)
                    case.Start
                    case.End
                    case.Initial

            let dae = run robertsonDae

            let ode = run { robertson robertsonDae.Method robertsonDae.Options with End = 1e3 }

            for at in 0..2 do
                for i in 0..2 do
                    for j in 0..2 do
                        close $"save {at}, ({i}, {j})" 1e-5 dae.States[at].[i, j] ode.States[at].[i, j]

            holds (SensitivityLaws.forwardIsAdjoint 1e-8 robertsonDae)
        }
    ]

let tests =
    testList "Sensitivity" [
        SensitivityEventTests.automaticTests
        explicitTests
        rosenbrockTests
        implicitTests
        chaosTests
        closedFormTests
        choiceTests
        delegateTests
        massTests
        SensitivityEventTests.eventTests
    ]
