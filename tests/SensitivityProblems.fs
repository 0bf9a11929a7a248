/// Problems whose derivatives the tests compare: fields written over numbers, with start values and parameters.
module SensitivityProblems

#nowarn "3535" "3536"

open System
open Continuum
open Continuum.Properties
open Expecto

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

    type internal Lorenz = NamedFields.Lorenz

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

let ofField (field: 'G) p = SensitivityProblem.OfGeneric(field, p)

let tight save = { SolveOptions.create 1e-10 1e-12 with SaveAt = save }
let fixedSteps h save = { SolveOptions.create 1e-6 1e-9 with SaveAt = save; Control = Fixed h }

let lotka method options = {
    Name = "Lotka-Volterra"
    Method = method
    Options = options
    Problem = ofField (LotkaVolterra())
    Parameters = [| 1.5; 1.0; 0.8; 3.0 |]
    Start = 0.0
    End = 3.0
    Initial = [| 1.0; 0.7 |]
}

let pendulum method options = {
    Name = "driven pendulum"
    Method = method
    Options = options
    Problem = ofField (DrivenPendulum())
    Parameters = [| 2.0; 0.1; 0.5 |]
    Start = 0.5
    End = 3.5
    Initial = [| 1.0; -0.2 |]
}

let ring = {
    Name = "ring of 28 states and 112 parameters"
    Method = RungeKutta Methods.Tsit5
    Options = tight (Times [| 0.3; 1.0; 1.7 |])
    Problem = ofField (Ring 28)
    Parameters = Array.init 112 (fun i -> 0.6 + 0.4 * sin (1.1 * float i))
    Start = 0.0
    End = 2.0
    Initial = Array.init 28 (fun i -> cos (float i))
}

let close name tolerance (actual: float) (expected: float) =
    let error = abs (actual - expected) / (1e-12 + abs expected)
    Expect.isTrue (error <= tolerance) $"{name}: {actual} for {expected}, relative error {error:g3}"

let explicitMethods = [ Methods.Bosh3; Methods.Dopri5; Methods.Tsit5; Methods.Dop853; Methods.Vern7 ]

/// Save times inside of steps and at ends.
let saves = Times [| 0.0; 0.37; 1.1; 1.6; 3.0 |]
let pendulumSaves = Times [| 0.5; 0.81; 1.9; 3.5 |]

let lorenz stop = {
    Name = "Lorenz"
    Method = RungeKutta Methods.Tsit5
    Options = fixedSteps 0.01 (StepValues [| stop |])
    Problem = ofField (Lorenz())
    Parameters = [| 10.0; 28.0; 8.0 / 3.0 |]
    Start = 0.0
    End = stop
    Initial = [| 1.0; 1.0; 1.0 |]
}

let robertson method options = {
    Name = "Robertson"
    Method = method
    Options = options
    Problem = ofField (Robertson())
    Parameters = [| 0.04; 1e4; 3e7 |]
    Start = 0.0
    End = 1e4
    Initial = [| 1.0; 0.0; 0.0 |]
}

let vanDerPol method options = {
    Name = "van der Pol"
    Method = method
    Options = options
    Problem = ofField (VanDerPol())
    Parameters = [| 1e3; 0.3 |]
    Start = 0.0
    End = 1.5
    Initial = [| 2.0; -0.66 |]
}

let stiffOptions tolerance times = { SolveOptions.create tolerance (1e-4 * tolerance) with SaveAt = Times times }

let rosenbrockMethods = [ Rosenbrock RosenbrockMethods.Rosenbrock23; Rosenbrock RosenbrockMethods.Rodas5P ]

let delegates (given: bool) p =
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
