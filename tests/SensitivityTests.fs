module SensitivityTests

#nowarn "3535" "3536"

open System
open Continuum
open Continuum.Properties
open Claims
open Expecto

// ---------------------------------------------------------------------------------------------------------- problems

/// Fields, conditions and changes written over numbers.
module GenericFields =
    open RealOperators

    /// Predator and prey, four parameters.
    [<Struct>]
    type LotkaVolterra =
        interface IGenericField with
            member _.Size = 2
            member _.ParameterCount = 4

            member _.Evaluate(_, y, p, dydt) =
                let x, z = y[0], y[1]
                dydt[0] <- p[0] * x - p[1] * x * z
                dydt[1] <- p[2] * x * z - p[3] * z

    /// A pendulum with a driving force that depends on time: non-autonomous, with elementary functions.
    [<Struct>]
    type DrivenPendulum =
        interface IGenericField with
            member _.Size = 2
            member _.ParameterCount = 3

            member _.Evaluate(t, y, p, dydt) =
                dydt[0] <- y[1]
                dydt[1] <- -(p[0] * sin y[0]) - p[1] * y[1] + p[2] * cos (1.7 *. t)

    [<Struct>]
    type Lorenz =
        interface IGenericField with
            member _.Size = 3
            member _.ParameterCount = 3

            member _.Evaluate(_, y, p, dydt) =
                dydt[0] <- p[0] * (y[1] - y[0])
                dydt[1] <- y[0] * (p[1] - y[2]) - y[1]
                dydt[2] <- y[0] * y[1] - p[2] * y[2]

    /// Logistic growth with rate p0 and capacity p1.
    [<Struct>]
    type Logistic =
        interface IGenericField with
            member _.Size = 1
            member _.ParameterCount = 2
            member _.Evaluate(_, y, p, dydt) = dydt[0] <- p[0] * y[0] * (1.0 -. y[0] / p[1])

    /// Free fall with gravity p0; p1 is the fraction of speed kept at a bounce.
    [<Struct>]
    type Ball =
        interface IGenericField with
            member _.Size = 2
            member _.ParameterCount = 2

            member _.Evaluate(_, y, p, dydt) =
                dydt[0] <- y[1]
                dydt[1] <- -p[0]

    /// Robertson's kinetics with rates p.
    [<Struct>]
    type Robertson =
        interface IGenericField with
            member _.Size = 3
            member _.ParameterCount = 3

            member _.Evaluate(_, y, p, dydt) =
                let slow = p[0] * y[0]
                let back = p[1] * y[1] * y[2]
                let fast = p[2] * y[1] * y[1]
                dydt[0] <- back - slow
                dydt[1] <- slow - back - fast
                dydt[2] <- fast

    /// The same with conservation in place of the third equation.
    [<Struct>]
    type RobertsonDae =
        interface IGenericField with
            member _.Size = 3
            member _.ParameterCount = 3

            member _.Evaluate(_, y, p, dydt) =
                let slow = p[0] * y[0]
                let back = p[1] * y[1] * y[2]
                dydt[0] <- back - slow
                dydt[1] <- slow - back - p[2] * y[1] * y[1]
                dydt[2] <- y[0] + y[1] + y[2] .- 1.0

    /// Van der Pol's oscillator with stiffness p0, forced by p1 cos t.
    [<Struct>]
    type VanDerPol =
        interface IGenericField with
            member _.Size = 2
            member _.ParameterCount = 2

            member _.Evaluate(t, y, p, dydt) =
                dydt[0] <- y[1]
                dydt[1] <- p[0] * ((1.0 -. y[0] * y[0]) * y[1] - y[0]) + p[1] * cos t

    /// A ring of species with a rate for every neighbour pair: more than a hundred parameters.
    [<Struct>]
    type Ring(size: int) =
        interface IGenericField with
            member _.Size = size
            member _.ParameterCount = 4 * size

            member _.Evaluate(_, y, p, dydt) =
                for i in 0 .. size - 1 do
                    let left = y[(i + size - 1) % size]
                    let right = y[(i + 1) % size]
                    let at = 4 * i

                    dydt[i] <- p[at] * tanh (p[at + 1] * left + p[at + 2] * right) - p[at + 3] * y[i]

    /// A chain of diffusing species with a reaction: stiff for strong diffusion.
    [<Struct>]
    type Chain(size: int) =
        interface IGenericField with
            member _.Size = size
            member _.ParameterCount = 2

            member _.Evaluate(_, y, p, dydt) =
                for i in 0 .. size - 1 do
                    let left = y[(if i = 0 then 0 else i - 1)]
                    let right = y[(if i = size - 1 then size - 1 else i + 1)]
                    dydt[i] <- p[0] * (left - 2.0 *. y[i] + right) + p[1] * y[i] * (1.0 -. y[i])

    [<Sealed>]
    type Height() =
        interface IGenericCondition with
            member _.Evaluate(_, y, _) = y[0]

    [<Sealed>]
    type Bounce() =
        interface IGenericChange with
            member _.Apply(_, y, p, after) =
                after[0] <- real 0.0
                after[1] <- -(p[1] * y[1])

    [<Sealed>]
    type Kick(strength: float) =
        interface IGenericChange with
            member _.Apply(t, y, p, after) = after[1] <- y[1] + strength *. p[0] * y[0] + 0.1 *. t

open GenericFields

let private ofField (field: 'G) p = SensitivityProblem.OfGeneric(field, p)

let private tight save = { SolveOptions.create 1e-10 1e-12 with SaveAt = save }
let private fixedSteps h save = { SolveOptions.create 1e-6 1e-9 with SaveAt = save; Control = Fixed h }

let private lotka method options = {
    Name = "Lotka-Volterra"
    Method = method
    Options = options
    Problem = ofField (LotkaVolterra())
    Parameters = [| 1.5; 1.0; 0.8; 3.0 |]
    Start = 0.0
    End = 3.0
    Initial = [| 1.0; 0.7 |]
}

let private pendulum method options = {
    Name = "driven pendulum"
    Method = method
    Options = options
    Problem = ofField (DrivenPendulum())
    Parameters = [| 2.0; 0.1; 0.5 |]
    Start = 0.5
    End = 3.5
    Initial = [| 1.0; -0.2 |]
}

let private ring = {
    Name = "ring of 28 states and 112 parameters"
    Method = RungeKutta Methods.Tsit5
    Options = tight (Times [| 0.3; 1.0; 1.7 |])
    Problem = ofField (Ring 28)
    Parameters = Array.init 112 (fun i -> 0.6 + 0.4 * sin (1.1 * float i))
    Start = 0.0
    End = 2.0
    Initial = Array.init 28 (fun i -> cos (float i))
}

// ------------------------------------------------------------------------------------------------------------- tests

let private close name tolerance (actual: float) (expected: float) =
    let error = abs (actual - expected) / (1e-12 + abs expected)
    Expect.isTrue (error <= tolerance) $"{name}: {actual} for {expected}, relative error {error:g3}"

let private explicitMethods = [ Methods.Bosh3; Methods.Dopri5; Methods.Tsit5; Methods.Dop853; Methods.Vern7 ]

/// Save times inside of steps and at ends.
let private saves = Times [| 0.0; 0.37; 1.1; 1.6; 3.0 |]
let private pendulumSaves = Times [| 0.5; 0.81; 1.9; 3.5 |]

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

let private lorenz stop = {
    Name = "Lorenz"
    Method = RungeKutta Methods.Tsit5
    Options = fixedSteps 0.01 (StepValues [| stop |])
    Problem = ofField (Lorenz())
    Parameters = [| 10.0; 28.0; 8.0 / 3.0 |]
    Start = 0.0
    End = stop
    Initial = [| 1.0; 1.0; 1.0 |]
}

let private robertson method options = {
    Name = "Robertson"
    Method = method
    Options = options
    Problem = ofField (Robertson())
    Parameters = [| 0.04; 1e4; 3e7 |]
    Start = 0.0
    End = 1e4
    Initial = [| 1.0; 0.0; 0.0 |]
}

let private vanDerPol method options = {
    Name = "van der Pol"
    Method = method
    Options = options
    Problem = ofField (VanDerPol())
    Parameters = [| 1e3; 0.3 |]
    Start = 0.0
    End = 1.5
    Initial = [| 2.0; -0.66 |]
}

let private stiffOptions tolerance times = {
    SolveOptions.create tolerance (1e-4 * tolerance) with
        SaveAt = Times times
}

let private rosenbrockMethods = [ Rosenbrock RosenbrockMethods.Rosenbrock23; Rosenbrock RosenbrockMethods.Rodas5P ]

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
let private delegates (given: bool) p =
    let field =
        ParameterField(fun _ y p dydt ->
            dydt[0] <- p[0] * y[0] - p[1] * y[0] * y[1]
            dydt[1] <- p[2] * y[0] * y[1] - p[3] * y[1])

    let byState =
        ParameterFieldJacobian(fun _ y p entries ->
            entries[0] <- p[0] - p[1] * y[1]
            entries[1] <- -p[1] * y[0]
            entries[2] <- p[2] * y[1]
            entries[3] <- p[2] * y[0] - p[3])

    let byParameters =
        ParameterFieldJacobian(fun _ y _ entries ->
            entries.Clear()
            entries[0] <- y[0]
            entries[1] <- -y[0] * y[1]
            entries[6] <- y[0] * y[1]
            entries[7] <- -y[1])

    if given then
        SensitivityProblem.OfDelegates(field, 2, p, byState, byParameters)
    else
        SensitivityProblem.OfDelegates(field, 2, p, null, null)

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

// ------------------------------------------------------------------------------------------------------------ events

let private bounce most : GenericEvent = {
    Name = "bounce"
    Condition = Height()
    Crossing = Falling
    Change = ValueSome(Bounce())
    Terminal = false
    MaxOccurrences = most
}

let private ball options = {
    Name = "bouncing ball"
    Method = RungeKutta Methods.Tsit5
    Options = options
    Problem = fun p -> (ofField (Ball()) p).WithEvents [| bounce 10 |]
    Parameters = [| 9.81; 0.8 |]
    Start = 0.0
    End = 3.7
    Initial = [| 1.0; 0.5 |]
}

let private eventTests =
    testList "events" [
        test "ten bounces: times and speeds differentiated as in closed form" {
            let case = ball (tight (Times [| 3.68 |]))

            let run =
                Sensitivity.forward
                    case.Method
                    case.Options
                    Everything
                    (case.Problem case.Parameters)
                    case.Start
                    case.End
                    case.Initial

            let g, kept = case.Parameters[0], case.Parameters[1]
            let x, v = case.Initial[0], case.Initial[1]
            let impact = sqrt (v * v + 2.0 * g * x)
            Expect.equal run.Occurrences.Length 10 "ten bounces"

            for k in 0..9 do
                // t_k = (v + impact) / g + 2 impact (kept + ... + kept^k) / g
                let sum = Seq.sum (seq { for i in 1..k -> Math.Pow(kept, float i) })
                let sum' = Seq.sum (seq { for i in 1..k -> float i * Math.Pow(kept, float i - 1.0) })
                let factor = (1.0 + 2.0 * sum) / g
                let time = run.Occurrences[k].Time
                close $"time {k} by height" 1e-8 time[0] (factor * g / impact)
                close $"time {k} by speed" 1e-8 time[1] (1.0 / g + factor * v / impact)

                close
                    $"time {k} by gravity"
                    1e-8
                    time[2]
                    (-(v + impact) / (g * g) - 2.0 * impact * sum / (g * g) + factor * x / impact)

                close $"time {k} by restitution" 1e-8 time[3] (2.0 * impact * sum' / g)

                // the speed after bounce k is impact kept^(k + 1)
                let after = run.Occurrences[k].After
                let power = Math.Pow(kept, float k + 1.0)
                close $"speed after {k} by height" 1e-8 after[1, 0] (power * g / impact)

                close
                    $"speed after {k} by restitution"
                    1e-8
                    after[1, 3]
                    (impact * (float k + 1.0) * Math.Pow(kept, float k))

                Expect.isTrue (abs run.Occurrences[k].Before[0, 2] < 1e-8) "the height at a bounce stays zero"
        }

        test "through events and doses: forward = adjoint = differences, Hessian too" {
            let case =
                let plain = ball (tight (Times [| 0.2; 1.4; 2.9; 3.68 |]))

                {
                    plain with
                        Problem =
                            fun p ->
                                (plain.Problem p).WithDoses [|
                                    { Time = 1.2; Change = Kick 0.05 }
                                    { Time = 2.2; Change = Kick -0.03 }
                                |]
                }

            holds (SensitivityLaws.forwardIsAdjoint 1e-10 case)
            holds (SensitivityLaws.adjointIsDifference 1e-4 1e-7 case)
            holds (SensitivityLaws.hessianIsDifference 1e-4 1e-6 case)
        }

        test "a terminal event: the end moves with the inputs" {
            let case = {
                ball (tight EndOnly) with
                    Problem =
                        fun p ->
                            (ofField (Ball()) p).WithEvents [| { bounce 1 with Terminal = true; Change = ValueNone } |]
            }

            let run =
                Sensitivity.forward
                    case.Method
                    case.Options
                    Everything
                    (case.Problem case.Parameters)
                    case.Start
                    case.End
                    case.Initial

            let impact = sqrt (0.25 + 2.0 * 9.81)
            close "landing speed by height" 1e-9 run.Final[1, 0] (-9.81 / impact)
            Expect.isTrue (abs run.Final[0, 0] < 1e-9) "the height where it lands stays zero"
            holds (SensitivityLaws.forwardIsAdjoint 1e-10 case)
        }
    ]

let private automaticTests =
    let methods (case: SensitivityCase) =
        let result =
            Sensitivity.forward
                case.Method
                case.Options
                Everything
                (case.Problem case.Parameters)
                case.Start
                case.End
                case.Initial

        result.Solution.Choices |> Array.map _.Method

    testList "automatic choice" [
        test "a solve that goes on with Rodas5P, and back" {
            let case = {
                vanDerPol Automatic (stiffOptions 1e-7 [| 0.4; 0.9; 1.5; 4.0 |]) with
                    Parameters = [| 1e4; 0.3 |]
                    End = 4.0
            }

            Expect.containsAll (methods case) [| "Vern7"; "Rodas5P" |] "both methods made steps"
            holds (SensitivityLaws.forwardIsAdjoint 1e-8 case)
            let single = { case with Method = Rosenbrock RosenbrockMethods.Rodas5P; End = 1.5 }

            let final (case: SensitivityCase) =
                (Sensitivity.forward
                    case.Method
                    { case.Options with SaveAt = EndOnly }
                    Everything
                    (case.Problem case.Parameters)
                    0.0
                    1.5
                    case.Initial)
                    .Final

            let mixed, expected = final case, final single

            for i in 0..1 do
                for j in 0..3 do
                    if abs expected[i, j] > 1e-6 then
                        close $"entry ({i}, {j})" 1e-3 mixed[i, j] expected[i, j]
        }

        test "a solve that goes on with BDF" {
            let case = {
                Name = "chain of 40 species"
                Method = Automatic
                Options = { SolveOptions.create 1e-6 1e-9 with SaveAt = Times [| 0.05; 1.0 |] }
                Problem = ofField (Chain 40)
                Parameters = [| 400.0; 2.0 |]
                Start = 0.0
                End = 1.0
                Initial = Array.init 40 (fun i -> 0.3 + 0.2 * sin (0.7 * float i))
            }

            Expect.containsAll (methods case) [| "Tsit5"; "Bdf" |] "both methods made steps"
            holds (SensitivityLaws.forwardIsAdjoint 1e-8 case)
        }

        test "a delegate, stiff and not" {
            let run p t1 =
                let problem = delegates false p
                Sensitivity.forward Automatic (tight (Times [| t1 |])) Everything problem 0.0 t1 [| 1.0; 0.7 |]

            let result = run [| 1.5; 1.0; 0.8; 3.0 |] 3.0
            Expect.equal result.Solution.Choices[0].Method "Vern9" "not stiff"

            let expected =
                Sensitivity.forward
                    (RungeKutta Methods.Vern9)
                    (tight (Times [| 3.0 |]))
                    Everything
                    (ofField (LotkaVolterra()) [| 1.5; 1.0; 0.8; 3.0 |])
                    0.0
                    3.0
                    [| 1.0; 0.7 |]

            for i in 0..1 do
                for j in 0..5 do
                    close $"({i}, {j})" 1e-5 result.Final[i, j] expected.Final[i, j]
        }
    ]

let tests =
    testList "Sensitivity" [
        automaticTests
        explicitTests
        rosenbrockTests
        implicitTests
        chaosTests
        closedFormTests
        choiceTests
        delegateTests
        massTests
        eventTests
    ]
