/// What derivatives of a solve on arrays cost beside the solve: forward sensitivities and the adjoint.
module Continuum.Bench.Sensitivities

#nowarn "3535" "3536"

open System
open Continuum
open Continuum.Bench.Measure

/// Fields written over numbers.
module Fields =
    open RealOperators

    [<Struct>]
    type LotkaVolterra =
        interface IGenericField with
            member _.Size = 2
            member _.ParameterCount = 4

            member _.Evaluate(_, y, p, dydt) =
                let x, z = y[0], y[1]
                dydt[0] <- p[0] * x - p[1] * x * z
                dydt[1] <- p[2] * x * z - p[3] * z

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

    /// A ring of species, each driven by its two neighbours: four parameters for each.
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

    /// The sum of all saved values, squared.
    [<Sealed>]
    type Squares() =
        interface IGenericLoss with
            member _.Evaluate(_, states, _, _) =
                let mutable sum = real 0.0

                for i in 0 .. states.Length - 1 do
                    sum <- sum + states[i] * states[i]

                sum

open Fields

type private Case = {
    Name: string
    Method: Method
    Tolerance: float
    Problem: SensitivityProblem
    Field: IFieldDoor
    Times: float[]
    Initial: float[]
}

/// The plain solve, with the field's type known.
and private IFieldDoor =
    abstract Solve: Method -> SolveOptions<float[]> -> float -> float[] -> Solution<float[]>

let private door (field: 'G) (parameters: float[]) = {
    new IFieldDoor with
        member _.Solve method options stop y0 =
            ArrayOde.solveSystem method options (OdeSystem.OfGeneric(field, parameters)) 0.0 stop y0
}

let private case name method tolerance (field: 'G) parameters times initial = {
    Name = name
    Method = method
    Tolerance = tolerance
    Problem = SensitivityProblem.OfGeneric(field, parameters)
    Field = door field parameters
    Times = times
    Initial = initial
}

let private cases = [|
    let tsit5 = RungeKutta Methods.Tsit5
    let tens = [| for i in 1..20 -> 0.5 * float i |]
    case "lotka_volterra tsit5" tsit5 1e-6 (LotkaVolterra()) [| 1.5; 1.0; 1.0; 3.0 |] tens [| 1.0; 1.0 |]

    for method in [| Rosenbrock RosenbrockMethods.Rodas5P; Esdirk EsdirkMethods.Kvaerno5; Bdf 5 |] do
        let decades = [| for i in -1 .. 4 -> Math.Pow(10.0, float i) |]

        case $"robertson {method.Name.ToLowerInvariant()}" method 1e-6 (Robertson()) [| 0.04; 1e4; 3e7 |] decades [|
            1.0
            0.0
            0.0
        |]

    let ring = Array.init 112 (fun i -> 0.6 + 0.4 * sin (1.1 * float i))
    let start = Array.init 28 (fun i -> cos (float i))
    case "ring_28_112 tsit5" tsit5 1e-6 (Ring 28) ring tens start
    case "ring_28_112 rodas5p" (Rosenbrock RosenbrockMethods.Rodas5P) 1e-6 (Ring 28) ring tens start
|]

let run (settings: Settings) =
    for case in cases do
        let stop = Array.last case.Times

        let options = {
            SolveOptions.create case.Tolerance (1e-4 * case.Tolerance) with
                SaveAt = Times case.Times
        }

        let gradient mode () =
            Sensitivity.gradientBy (ValueSome mode) case.Method options (Squares()) case.Problem 0.0 stop case.Initial

        let product () =
            let m = case.Problem.Parameters.Length
            let ones n = Array.create n 1.0
            let n = case.Initial.Length

            Sensitivity.hessianVector
                case.Method
                options
                (Squares())
                (ones n)
                (ones m)
                case.Problem
                0.0
                stop
                case.Initial

        let solve () = case.Field.Solve case.Method options stop case.Initial
        let forward = gradient SensitivityMode.Forward
        let adjoint = gradient SensitivityMode.Adjoint

        let series =
            sampleTogether settings.Runs [| solve >> ignore; forward >> ignore; adjoint >> ignore; product >> ignore |]

        let difference =
            let a, b = (forward ()).Parameters, (adjoint ()).Parameters
            let size = b |> Array.fold (fun most x -> max most (abs x)) 0.0
            (Array.fold2 (fun most x y -> max most (abs (x - y))) 0.0 a b) / size

        let statistics = (solve ()).Statistics

        [| "solve"; "forward"; "adjoint"; "hessian_vector" |]
        |> Array.iteri (fun i name ->
            print settings {
                line "sensitivity" $"{case.Name} {name}" settings.Runs (median series[i].Wall) with
                    Evaluations = if i = 0 then statistics.Evaluations else -1
                    Steps = if i = 0 then statistics.Accepted else -1
                    Overhead = if i = 0 then nan else cpuRatio series[i] series[0]
                    Error = if i = 2 then difference else nan
                    Notes =
                        if i = 0 then
                            ""
                        elif i = 2 then
                            "overhead: over the solve, processor time; error: against forward"
                        else
                            "overhead: over the solve, processor time"
            })
