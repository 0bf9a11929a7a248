// An enzyme turns a into b: a + e <-> c -> e + b, and b decays. Binding is ten thousand times faster than decay, so the equations are stiff.
// They are solved, as a differential-algebraic system too, and three rates are estimated from noisy measurements.
#load "continuum.fsx"

open System
open System.Threading
open Continuum

module Field =
    open RealOperators // sqrt, log and the like are those of fields' numbers here

    /// States a, e, c, b; rates of binding, unbinding, turnover, decay. Conserving: equation 1 is the conservation of the enzyme
    /// instead of its rate.
    [<Struct>]
    type Cycle = {
        Conserving: bool
    } with

        interface IGenericField with
            member _.Size = 4
            member _.ParameterCount = 4

            member this.Evaluate(_, y, p, dydt) =
                let bound = p[0] * y[0] * y[1] - p[1] * y[2]
                let turned = p[2] * y[2]
                dydt[0] <- -bound
                dydt[1] <- if this.Conserving then y[1] + y[2] .- 0.05 else turned - bound
                dydt[2] <- bound - turned
                dydt[3] <- turned - p[3] * y[3]

open Field

let rates = [| 1e4; 50.0; 20.0; 0.3 |]
let times = Array.init 41 (fun i -> 0.25 * float i)
let options = { SolveOptions.create 1e-8 1e-12 with SaveAt = Times times }

let solve conserving (mass: float[]) start =
    let system = OdeSystem.OfGeneric({ Conserving = conserving }, rates).WithMass mass
    ArrayOde.solveSystem Method.Automatic options system 0.0 10.0 start

let exact = solve false [| 1.0; 1.0; 1.0; 1.0 |] [| 1.0; 0.05; 0.0; 0.0 |]

for choice in exact.Choices do
    printfn $"from t = {choice.Time:g3}: {choice.Method}, {choice.Reason}"

// 0.04 is a guess: the algebraic equation determines it
let conserved = solve true [| 1.0; 0.0; 1.0; 1.0 |] [| 1.0; 0.04; 0.0; 0.0 |]

let apart =
    Array.map2 (Array.map2 (fun (x: float) y -> abs (x - y))) conserved.States exact.States
    |> Array.concat
    |> Array.max

check (apart < 1e-6) $"kinetics: the algebraic form differs by {apart:e1}"

let random = Random 3

let normal () = sqrt (-2.0 * log (1.0 - random.NextDouble())) * cos (2.0 * Math.PI * random.NextDouble())

let measured =
    array2D [ for state in exact.States -> [ state[0] + 0.005 * normal (); state[3] + 0.005 * normal () ] ]

let named (list: (string * float) list) : NamedValue[] = [| for name, value in list -> { Name = name; Value = value } |]

let model =
    MechanisticModel.OfGeneric(
        { Conserving = false },
        named [ "a", 1.0; "e", 0.05; "c", 0.0; "b", 0.0 ],
        named [ "bind", 1e4; "unbind", 50.0; "turn", 10.0; "decay", 1.0 ]
    )

let column name index : ObservedColumn = {
    Name = name
    Component = index
    Logarithmic = false
    Deviation = nan // unknown: estimated from the residuals
}

let problem: EstimationProblem = {
    Simulator = model.Simulator(Method.Rosenbrock RosenbrockMethods.Rodas5P, 1e-8, 1e-10)
    Parameters = [|
        {
            ParameterEstimation.positive "bind" 3e3 1.0 1e7 with
                Prior = ParameterPrior.LogNormal(1e4, 1.0)
        }
        ParameterEstimation.known "unbind" 50.0
        ParameterEstimation.positive "turn" 10.0 0.01 1e3
        ParameterEstimation.parameter "decay" 1.0 0.0 10.0
    |]
    InitialState = model.States |> Array.map (fun state -> ParameterEstimation.known state.Name state.Value)
    Start = 0.0
    Columns = [| column "a" 0; column "b" 3 |]
    Times = times
    Values = measured
    Segments = 0 // chosen by the number of rows
    MaxIterations = 200
}

let fit = ParameterEstimation.run problem null CancellationToken.None
printfn $"{fit.Message}"

for rate in fit.Parameters do
    printfn $"{rate.Name, -7}{rate.Value, 10:g4} +- {rate.StandardError, -8:g2} [{rate.Lower95:g4}, {rate.Upper95:g4}]"

// Correlations are those of the numbers searched, named in SearchedNames: bind, turn, decay
printfn $"correlation of bind and turn {fit.Correlations[0, 1]:f2}"

check
    (fit.Status = EstimationStatus.Converged
     && Array.forall2
         (fun (rate: Estimate) truth -> abs (rate.Value - truth) <= 3.0 * rate.StandardError)
         fit.Parameters
         rates)
    "kinetics: every rate within three standard errors"
