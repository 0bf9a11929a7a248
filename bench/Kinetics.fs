/// The workloads stiff_vdp, stiff_rober and stiff_hires: implicit methods beside CVODE's BDF with its dense solver.
module Continuum.Bench.Kinetics

open System
open Continuum
open Continuum.Bench.Measure

/// van der Pol's oscillator with mu = 1000.
[<Struct>]
type VanDerPolField =
    interface IField<float[], float> with
        member _.Eval(_, y, dydt) =
            dydt[0] <- y[1]
            dydt[1] <- 1000.0 * (1.0 - y[0] * y[0]) * y[1] - y[0]
            dydt

/// Robertson's kinetics.
[<Struct>]
type RobertsonField =
    interface IField<float[], float> with
        member _.Eval(_, y, dydt) =
            let a = 0.04 * y[0]
            let b = 1e4 * y[1] * y[2]
            let c = 3e7 * y[1] * y[1]
            dydt[0] <- b - a
            dydt[1] <- a - b - c
            dydt[2] <- c
            dydt

/// HIRES.
[<Struct>]
type HiresField =
    interface IField<float[], float> with
        member _.Eval(_, y, dydt) =
            let q = 280.0 * y[5] * y[7]
            dydt[0] <- -1.71 * y[0] + 0.43 * y[1] + 8.32 * y[2] + 0.0007
            dydt[1] <- 1.71 * y[0] - 8.75 * y[1]
            dydt[2] <- -10.03 * y[2] + 0.43 * y[3] + 0.035 * y[4]
            dydt[3] <- 8.32 * y[1] + 1.71 * y[2] - 1.12 * y[3]
            dydt[4] <- -1.745 * y[4] + 0.43 * y[5] + 0.43 * y[6]
            dydt[5] <- -q + 0.69 * y[3] + 1.71 * y[4] - 0.43 * y[5] + 0.69 * y[6]
            dydt[6] <- q - 1.81 * y[6]
            dydt[7] <- 1.81 * y[6] - q
            dydt

let private vanDerPolJacobian =
    JacobianFunction(fun _ y j ->
        j[0, 1] <- 1.0
        j[1, 0] <- -2000.0 * y[0] * y[1] - 1.0
        j[1, 1] <- 1000.0 * (1.0 - y[0] * y[0]))

let private robertsonJacobian =
    JacobianFunction(fun _ y j ->
        j[0, 0] <- -0.04
        j[0, 1] <- 1e4 * y[2]
        j[0, 2] <- 1e4 * y[1]
        j[1, 0] <- 0.04
        j[1, 1] <- -1e4 * y[2] - 6e7 * y[1]
        j[1, 2] <- -1e4 * y[1]
        j[2, 1] <- 6e7 * y[1])

let private hiresJacobian =
    JacobianFunction(fun _ y j ->
        let a = 280.0 * y[7]
        let b = 280.0 * y[5]
        j[0, 0] <- -1.71
        j[0, 1] <- 0.43
        j[0, 2] <- 8.32
        j[1, 0] <- 1.71
        j[1, 1] <- -8.75
        j[2, 2] <- -10.03
        j[2, 3] <- 0.43
        j[2, 4] <- 0.035
        j[3, 1] <- 8.32
        j[3, 2] <- 1.71
        j[3, 3] <- -1.12
        j[4, 4] <- -1.745
        j[4, 5] <- 0.43
        j[4, 6] <- 0.43
        j[5, 3] <- 0.69
        j[5, 4] <- 1.71
        j[5, 5] <- -a - 0.43
        j[5, 6] <- 0.69
        j[5, 7] <- -b
        j[6, 5] <- a
        j[6, 6] <- -1.81
        j[6, 7] <- b
        j[7, 5] <- -a
        j[7, 6] <- 1.81
        j[7, 7] <- -b)

/// A problem of the set, with its reference at the end.
type private Problem = {
    Name: string
    System: OdeSystem
    Jacobian: JacobianFunction
    End: float
    Initial: float[]
    Reference: float[]
}

let private problems = [|
    {
        Name = "vdp"
        System = OdeSystem.OfStruct(VanDerPolField(), 2).WithoutTime()
        Jacobian = vanDerPolJacobian
        End = 2000.0
        Initial = [| 2.0; 0.0 |]
        Reference = [| 1.706167732170483; -0.8928097010247975e-3 |]
    }
    {
        Name = "rober"
        System = OdeSystem.OfStruct(RobertsonField(), 3).WithoutTime()
        Jacobian = robertsonJacobian
        End = 1e5
        Initial = [| 1.0; 0.0; 0.0 |]
        Reference = [| 0.017865921142322477; 7.274751468528758e-08; 0.9821340061101627 |]
    }
    {
        Name = "hires"
        System = OdeSystem.OfStruct(HiresField(), 8).WithoutTime()
        Jacobian = hiresJacobian
        End = 321.8122
        Initial = [| 1.0; 0.0; 0.0; 0.0; 0.0; 0.0; 0.0; 0.0057 |]
        Reference = [|
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
|]

/// Largest relative error, of sizes above 1e-9.
let private errorOf (reference: float[]) (y: float[]) =
    Array.fold2 (fun worst a b -> max worst (abs (a - b) / max (abs b) 1e-9)) 0.0 y reference

let private methods = [|
    "bdf", Bdf 5
    "rosenbrock23", Rosenbrock RosenbrockMethods.Rosenbrock23
    "rodas5p", Rosenbrock RosenbrockMethods.Rodas5P
    "kvaerno5", Esdirk EsdirkMethods.Kvaerno5
    "kencarp4", Esdirk EsdirkMethods.KenCarp4
|]

let private runProblem (settings: Settings) (problem: Problem) =
    let workload = $"stiff_{problem.Name}"
    let options: SolveOptions<float[]> = SolveOptions.create 1e-6 1e-9
    let given = problem.System.WithJacobian problem.Jacobian
    let solve method system = ArrayOde.solveSystem method options system 0.0 problem.End problem.Initial

    let variants = [|
        for name, method in methods do
            name, method, given

        "bdf differences", Bdf 5, problem.System
    |]

    let ask () = Sundials.solve problem.Name "bdf" 1e-6 1e-9 settings.Runs
    let before = ask ()

    let series =
        variants
        |> Array.map (fun (_, method, system) -> fun () -> solve method system |> ignore)
        |> sampleTogether settings.Runs

    let after = ask ()

    let ours =
        Array.map2
            (fun (name, method, system) (times: Series) ->
                let solution: Solution<float[]> = solve method system
                let statistics = solution.Statistics

                {
                    line workload name settings.Runs (median times.Wall) with
                        Evaluations = statistics.Evaluations
                        Steps = statistics.Accepted
                        Rejected = statistics.Rejected
                        Error = errorOf problem.Reference solution.FinalState
                        Allocated = allocated (fun () -> solve method system |> ignore)
                        Notes =
                            $"{1e3 * median times.Cpu:f4} ms of processor time; {statistics.Implicit.Jacobians} Jacobians, {statistics.Implicit.Factorisations} factorisations"
                })
            variants
            series

    for line in ours do
        print settings line

    match before, after with
    | ValueSome one, ValueSome two ->
        let seconds = Math.Min(one.Seconds, two.Seconds)
        let cpu = Math.Min(one.Cpu, two.Cpu)
        let error = errorOf problem.Reference one.State

        print settings {
            line workload "sundials bdf" settings.Runs seconds with
                Evaluations = one.Evaluations
                Steps = one.Steps
                Error = error
                Notes = $"the faster of a run before ours and one after; {1e3 * cpu:f4} ms of processor time"
        }

        for mine, times in Array.zip ours series do
            let comparable = if mine.Error <= error then "" else ", but a larger error"

            print settings {
                line workload "summary" settings.Runs nan with
                    Notes =
                        $"{mine.Variant} / sundials bdf = {mine.Seconds / seconds:f3} at error {mine.Error:e1} against {error:e1}{comparable}; "
                        + $"by processor time {median times.Cpu / cpu:f3}"
            }
    | _ ->
        print settings {
            line workload "summary" settings.Runs nan with
                Notes = "no SUNDIALS: it needs gcc and libsundials-dev"
        }

/// Runs the problem of that name.
let run (name: string) (settings: Settings) = problems |> Array.find (fun p -> p.Name = name) |> runProblem settings
