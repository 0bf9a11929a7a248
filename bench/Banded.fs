/// Two semi-discretised partial differential equations of 1,000 unknowns, beside CVODE's BDF with the band solver.
module Continuum.Bench.Banded

open System
open Continuum
open Continuum.Bench.Measure

/// u_t = u_xx on (0, 1), u = 0 at both ends.
[<Struct>]
type HeatField =
    interface IField<float[], float> with
        member _.Eval(_, y, dydt) =
            let n = y.Length
            let c = float (n + 1) * float (n + 1)
            dydt[0] <- c * (y[1] - 2.0 * y[0])

            for i in 1 .. n - 2 do
                dydt[i] <- c * (y[i - 1] - 2.0 * y[i] + y[i + 1])

            dydt[n - 1] <- c * (y[n - 2] - 2.0 * y[n - 1])
            dydt

/// Brusselator with diffusion 1/50, u and v interleaved; u = 1, v = 3 at both ends. Hairer and Wanner II, IV.10.
[<Struct>]
type BrusselatorField =
    interface IField<float[], float> with
        member _.Eval(_, y, dydt) =
            let m = y.Length / 2
            let c = float (m + 1) * float (m + 1) / 50.0

            for i in 0 .. m - 1 do
                let u = y[2 * i]
                let v = y[2 * i + 1]
                let uLeft = if i > 0 then y[2 * i - 2] else 1.0
                let vLeft = if i > 0 then y[2 * i - 1] else 3.0
                let uRight = if i < m - 1 then y[2 * i + 2] else 1.0
                let vRight = if i < m - 1 then y[2 * i + 3] else 3.0
                let reaction = u * u * v
                dydt[2 * i] <- 1.0 + reaction - 4.0 * u + c * (uLeft - 2.0 * u + uRight)
                dydt[2 * i + 1] <- 3.0 * u - reaction + c * (vLeft - 2.0 * v + vRight)

            dydt

let private heatJacobian =
    JacobianFunction(fun _ y j ->
        let n = y.Length
        let c = float (n + 1) * float (n + 1)

        for i in 0 .. n - 1 do
            j[i, i] <- -2.0 * c

            if i > 0 then
                j[i, i - 1] <- c

            if i < n - 1 then
                j[i, i + 1] <- c)

let private brusselatorJacobian =
    JacobianFunction(fun _ y j ->
        let m = y.Length / 2
        let c = float (m + 1) * float (m + 1) / 50.0

        for i in 0 .. m - 1 do
            let u = y[2 * i]
            let v = y[2 * i + 1]
            let k = 2 * i
            j[k, k] <- 2.0 * u * v - 4.0 - 2.0 * c
            j[k, k + 1] <- u * u
            j[k + 1, k] <- 3.0 - 2.0 * u * v
            j[k + 1, k + 1] <- -u * u - 2.0 * c

            if i > 0 then
                j[k, k - 2] <- c
                j[k + 1, k - 1] <- c

            if i < m - 1 then
                j[k, k + 2] <- c
                j[k + 1, k + 3] <- c)

let private unknowns = 1000

let private heatStart =
    Array.init unknowns (fun i ->
        let x = float (i + 1) / float (unknowns + 1)
        sin (Math.PI * x) + 0.5 * sin (7.0 * Math.PI * x) + x * (1.0 - x))

let private brusselatorStart =
    Array.init unknowns (fun k ->
        let x = float (k / 2 + 1) / float (unknowns / 2 + 1)
        if k % 2 = 0 then 1.0 + sin (2.0 * Math.PI * x) else 3.0)

let private methods = [|
    "bdf", Bdf 5
    "rodas5p", Rosenbrock RosenbrockMethods.Rodas5P
    "kvaerno5", Esdirk EsdirkMethods.Kvaerno5
|]

let private options rtol atol : SolveOptions<float[]> = SolveOptions.create rtol atol

/// Largest difference over the largest size.
let private errorOf (reference: float[]) (y: float[]) =
    Array.fold2 (fun worst a b -> max worst (abs (a - b))) 0.0 y reference
    / Array.fold (fun worst b -> max worst (abs b)) 0.0 reference

let private runProblem (settings: Settings) problem (system: OdeSystem) jacobian (y0: float[]) t1 =
    let workload = $"banded {problem}"
    let given = system.WithJacobian jacobian
    let solve method system rtol atol = ArrayOde.solveSystem method (options rtol atol) system 0.0 t1 y0
    let reference = (solve (Bdf 5) given 1e-11 1e-14).FinalState

    let variants = [|
        for name, method in methods do
            $"{name} differences", method, system, 1e-6
            $"{name} given", method, given, 1e-6

        // so that an error a hair above the peer's does not leave the comparison open
        "bdf given, 5e-7", Bdf 5, given, 5e-7
    |]

    let peers = [| "dq"; "analytic" |]
    let ask () = peers |> Array.map (fun jacobian -> Sundials.solveBanded problem jacobian 1e-6 1e-9 settings.Runs)
    let before = ask ()

    let series =
        variants
        |> Array.map (fun (_, method, system, rtol) -> fun () -> solve method system rtol (1e-3 * rtol) |> ignore)
        |> sampleTogether settings.Runs

    let after = ask ()

    let ours =
        Array.map2
            (fun (name, method, system, rtol) (times: Series) ->
                let again () = solve method system rtol (1e-3 * rtol)
                let solution = again ()
                let statistics = solution.Statistics

                {
                    line workload name settings.Runs (median times.Wall) with
                        Evaluations = statistics.Evaluations
                        Steps = statistics.Accepted
                        Rejected = statistics.Rejected
                        Error = errorOf reference solution.FinalState
                        Allocated = allocated (again >> ignore)
                        Notes =
                            $"{1e3 * median times.Cpu:f4} ms of processor time; {statistics.Implicit.Jacobians} Jacobians, {statistics.Implicit.Factorisations} factorisations"
                })
            variants
            series

    for line in ours do
        print settings line

    let theirs =
        Array.zip3 peers before after
        |> Array.choose (fun (name, first, second) ->
            match first, second with
            | ValueSome(one: Sundials.Outcome), ValueSome(two: Sundials.Outcome) ->
                Some(name, one, Math.Min(one.Seconds, two.Seconds), Math.Min(one.Cpu, two.Cpu))
            | _ -> None)

    for name, one, seconds, cpu in theirs do
        print settings {
            line workload $"sundials bdf {name}" settings.Runs seconds with
                Evaluations = one.Evaluations
                Steps = one.Steps
                Error = errorOf reference one.State
                Notes = $"the faster of a run before ours and one after; {1e3 * cpu:f4} ms of processor time"
        }

    match Sundials.solveBanded problem "analytic" 1e-10 1e-13 1 with
    | ValueSome tight ->
        print settings {
            line workload "summary" settings.Runs nan with
                Notes = $"CVODE at 1e-10 lies {errorOf reference tight.State:e1} from the reference"
        }
    | ValueNone ->
        print settings {
            line workload "summary" settings.Runs nan with
                Notes = "no SUNDIALS: it needs gcc and libsundials-dev"
        }

    if theirs.Length > 0 then
        let name, fastest, seconds, cpu = theirs |> Array.minBy (fun (_, _, _, cpu) -> cpu)
        let error = errorOf reference fastest.State

        for mine, times in Array.zip ours series do
            if mine.Error <= error then
                print settings {
                    line workload "summary" settings.Runs nan with
                        Notes =
                            $"{mine.Variant} / sundials bdf {name} = {mine.Seconds / seconds:f3} at error {mine.Error:e1} against {error:e1}; "
                            + $"by processor time {median times.Cpu / cpu:f3}"
                }

let run (settings: Settings) =
    runProblem settings "heat" (OdeSystem.OfStruct(HeatField(), unknowns).WithBand(1, 1)) heatJacobian heatStart 0.2

    let brusselator = OdeSystem.OfStruct(BrusselatorField(), unknowns).WithBand(2, 2)
    runProblem settings "brusselator" brusselator brusselatorJacobian brusselatorStart 10.0
