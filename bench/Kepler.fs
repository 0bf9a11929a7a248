/// Kepler's problem over many orbits: the symplectic methods beside DOP853 at equal work.
module Continuum.Bench.Kepler

open System
open Continuum
open Continuum.Bench.Measure

/// The equations of motion as a struct: the steps are compiled for it.
[<Struct>]
type KeplerMotion =
    interface ISeparable with
        member _.Velocity(_, p, dqdt) =
            dqdt[0] <- p[0]
            dqdt[1] <- p[1]

        member _.Force(_, q, dpdt) =
            let r2 = q[0] * q[0] + q[1] * q[1]
            let scale = -1.0 / (r2 * sqrt r2)
            dpdt[0] <- scale * q[0]
            dpdt[1] <- scale * q[1]

/// The same as one field.
[<Struct>]
type KeplerField =
    interface IField<float[], float> with
        member _.Eval(_, y, dydt) =
            let r2 = y[0] * y[0] + y[1] * y[1]
            let scale = -1.0 / (r2 * sqrt r2)
            dydt[0] <- y[2]
            dydt[1] <- y[3]
            dydt[2] <- scale * y[0]
            dydt[3] <- scale * y[1]
            dydt

let private eccentricity = 0.3
let private orbits = 1000.0
let private finish = 2.0 * Math.PI * orbits
let private q0 = [| 1.0 - eccentricity; 0.0 |]
let private p0 = [| 0.0; sqrt ((1.0 + eccentricity) / (1.0 - eccentricity)) |]

let private energy (y: float[]) = 0.5 * (y[2] * y[2] + y[3] * y[3]) - 1.0 / sqrt (y[0] * y[0] + y[1] * y[1])

/// Largest energy error over step values, in the first and in the last tenth.
let private drift (solution: Solution<float[]>) =
    let first = energy solution.States[0]
    let errors = solution.States |> Array.map (fun y -> abs (energy y - first))
    let tenth = errors.Length / 10
    struct (Array.max errors[..tenth], Array.max errors[errors.Length - tenth ..])

/// Distance from the start after whole orbits: the error of the phase.
let private phase (y: float[]) = sqrt ((y[0] - q0[0]) ** 2.0 + (y[1] - q0[1]) ** 2.0)

let run (settings: Settings) =
    // about this many forces an orbit, whatever the method
    for budget in [ 200; 1000 ] do
        let symplectic (method: Splitting) save =
            let options = {
                FixedSteps.every (2.0 * Math.PI * float method.Forces / float budget) with
                    SaveAt = save
            }

            HamiltonianOde.solveSeparable method options (KeplerMotion()) 0.0 finish q0 p0

        let fixedField (method: Tableau) save =
            let stages = if method.Fsal then method.Stages - 1 else method.Stages

            let options: SolveOptions<float[]> = {
                FixedSteps.every (2.0 * Math.PI * float stages / float budget) with
                    SaveAt = save
            }

            ArrayOde.solveField method options (KeplerField()) 0.0 finish (Array.append q0 p0)

        let variants = [|
            for method in Splitting.all do
                method.Name, symplectic method
            "KahanLi8 compensated", symplectic (Splitting.compensated Splitting.kahanLi8)
            "Rk4", fixedField Methods.Rk4
            "Dop853", fixedField Methods.Dop853
        |]

        for name, solve in variants do
            let seconds = sample settings.Runs (fun () -> solve EndOnly |> ignore)
            let solution = solve EverySteps
            let struct (early, late) = drift solution

            print settings {
                line "kepler" $"{name} {budget}/orbit" settings.Runs seconds with
                    Evaluations = solution.Statistics.Evaluations
                    Steps = solution.Statistics.Accepted
                    Error = late
                    Allocated = allocated (fun () -> solve EndOnly |> ignore)
                    Notes =
                        $"energy error in the first tenth {early:e1}, position after {orbits} orbits {phase solution.FinalState:e1}"
            }
