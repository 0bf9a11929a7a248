/// Work against precision: evaluations, time and true error over tolerances, for sets of problems.
module Continuum.Bench.WorkPrecision

open System
open Continuum
open Continuum.Bench.Measure
open Continuum.Bench.Nonstiff

/// One method on one set at one tolerance: sums over the problems, geometric mean of their errors.
type Point = {
    Method: string
    Rtol: float
    Evaluations: int
    Accepted: int
    Rejected: int
    Seconds: float
    Error: float
}

/// A problem with the state at its end.
type Reference = { Problem: Problem; Exact: float[] }

let private options rtol atol = { SolveOptions.create<float[]> rtol atol with MaxSteps = 10_000_000 }

let solve (method: Method) (rtol: float) (problem: Problem) =
    ArrayOde.solveSystem method (options rtol (rtol * problem.Scale)) problem.System 0.0 problem.End problem.Initial

/// The end of a problem by one method, and its largest relative difference from another's.
let reference (method: Method, rtol: float) (other: Method, otherRtol: float) (problem: Problem) =
    let finish method rtol =
        let solution = solve method rtol problem

        if solution.Status <> Status.Success then
            raise (InvalidOperationException $"No reference for {problem.Name}: {solution.Message}")

        solution.FinalState

    let exact = finish method rtol
    let check = finish other otherRtol
    let scale = Array.fold (fun m x -> max m (abs x)) 0.0 exact
    let difference = Array.fold2 (fun m a b -> max m (abs (a - b))) 0.0 exact check / scale
    { Problem = problem; Exact = exact }, difference

/// Largest difference of a component, at least a rounding error.
let largest (_: Problem) (exact: float[]) (y: float[]) = Array.fold2 (fun m a b -> max m (abs (a - b))) 1e-17 exact y

/// Largest difference of a component over its size or the scale of the problem.
let relative (problem: Problem) (exact: float[]) (y: float[]) =
    Array.fold2 (fun m a b -> max m (abs (a - b) / (abs a + problem.Scale))) 1e-17 exact y

/// The methods at each tolerance. A method that fails on a problem has no point there.
let measure (runs: int) (error: Problem -> float[] -> float[] -> float) methods (tolerances: float[]) references = [|
    for rtol in tolerances do
        let solveAll method () = references |> Array.map (fun r -> solve method rtol r.Problem)

        let outcomes =
            methods
            |> Array.map (fun (name, method) -> name, method, solveAll method ())
            |> Array.filter (fun (_, _, solutions) -> solutions |> Array.forall (fun s -> s.Status = Status.Success))

        // The first tolerance compiles the loops that all of them run.
        let sample = if rtol = Array.head tolerances then sampleTogether else sampleWarm
        let times = sample runs (outcomes |> Array.map (fun (_, method, _) -> solveAll method >> ignore))

        for (name, _, solutions), series in Array.zip outcomes times do
            let total f = solutions |> Array.sumBy (fun (s: Solution<float[]>) -> f s.Statistics)

            yield {
                Method = name
                Rtol = rtol
                Evaluations = total _.Evaluations
                Accepted = total _.Accepted
                Rejected = total _.Rejected
                Seconds = median series.Cpu
                Error =
                    Array.map2
                        (fun r (s: Solution<float[]>) -> log (error r.Problem r.Exact s.FinalState))
                        references
                        solutions
                    |> Array.average
                    |> exp
            }
|]

/// Work of a method at an error, between its points (both logarithmic); NaN outside of them.
let workAt (work: Point -> float) (points: Point[]) (error: float) =
    points
    |> Array.sortByDescending _.Error
    |> Array.pairwise
    |> Array.tryFind (fun (a, b) -> a.Error >= error && error >= b.Error)
    |> function
        | None -> nan
        | Some(a, b) ->
            let s = log (a.Error / error) / log (a.Error / b.Error)
            exp ((1.0 - s) * log (work a) + s * log (work b))

let report (settings: Settings) workload (points: Point[]) =
    for p in points do
        print settings {
            line workload $"{p.Method} {p.Rtol:g2}" settings.Runs p.Seconds with
                Evaluations = p.Evaluations
                Steps = p.Accepted
                Rejected = p.Rejected
                Error = p.Error
        }

let private published = [|
    // Evaluations and error on this set of the Fortran codes DOPRI5 and DOP853 (Hairer, Norsett and Wanner, as in scipy 1.10.1's
    // ode) and of scipy's own DOP853, rtol = atol = 1e-3, 1e-6, 1e-9; the script is peers/detest.py.
    "Dopri5", "DOPRI5", 1e-3, 4334, 7.72e-3
    "Dopri5", "DOPRI5", 1e-6, 11054, 5.64e-6
    "Dopri5", "DOPRI5", 1e-9, 34808, 3.56e-9
    "Dop853", "DOP853", 1e-3, 6258, 2.19e-4
    "Dop853", "DOP853", 1e-6, 11066, 8.49e-7
    "Dop853", "DOP853", 1e-9, 21586, 1.11e-9
    "Dop853", "scipy DOP853", 1e-3, 5774, 3.19e-4
    "Dop853", "scipy DOP853", 1e-6, 10286, 1.00e-6
    "Dop853", "scipy DOP853", 1e-9, 20186, 1.07e-9
|]

let private compare settings (points: Point[]) =
    for mine, theirs, tolerance, evaluations, error in published do
        let own = points |> Array.filter (fun p -> p.Method = mine)

        match own |> Array.tryFind (fun p -> p.Rtol = tolerance) with
        | None -> ()
        | Some same ->
            let equal = workAt (fun p -> float p.Evaluations) own error / float evaluations

            print settings {
                line "work_precision" $"{mine} / {theirs} {tolerance:g2}" settings.Runs nan with
                    Notes =
                        $"evaluations {float same.Evaluations / float evaluations:f3} at this tolerance (error {same.Error:e2} against {error:e2}), {equal:f3} at equal error"
            }

let private tolerances first last = [| for k in first..last -> Math.Pow(10.0, -float k) |]

let private noteReferences settings set differences (problems: Problem[]) text =
    let worst = Array.max differences

    print settings {
        line "work_precision" $"{set} references" settings.Runs nan with
            Notes =
                $"{text} by at most {worst:e1} of the largest component ({problems[Array.findIndex ((=) worst) differences].Name})"
    }

let nonstiff (settings: Settings) =
    let references, differences =
        problems
        |> Array.map (reference (RungeKutta Methods.Vern9, 1e-14) (RungeKutta Methods.Dop853, 1e-13))
        |> Array.unzip

    noteReferences settings "nonstiff" differences problems "Vern9 at 1e-14; Dop853 at 1e-13 differs"

    let explicit =
        [| Methods.Bosh3; Methods.Dopri5; Methods.Tsit5; Methods.Vern7; Methods.Dop853; Methods.Vern9 |]
        |> Array.map (fun method -> method.Name, RungeKutta method)

    let methods = Array.append explicit [| "Automatic", Automatic |]
    let points = measure settings.Runs largest methods (tolerances 3 11) references
    report settings "nonstiff" points
    compare settings points

    Plots.save "nonstiff" "25 non-stiff problems" [|
        for p in points -> p.Method, p.Error, float p.Evaluations, p.Seconds
    |]

let stiff (settings: Settings) =
    let references, differences =
        Stiff.problems
        |> Array.map (reference (Rosenbrock RosenbrockMethods.Rodas5P, 1e-11) (Esdirk EsdirkMethods.Kvaerno5, 1e-10))
        |> Array.unzip

    noteReferences settings "stiff" differences Stiff.problems "Rodas5P at 1e-11; Kvaerno5 at 1e-10 differs"

    let methods = [|
        "Rosenbrock23", Rosenbrock RosenbrockMethods.Rosenbrock23
        "Rodas5P", Rosenbrock RosenbrockMethods.Rodas5P
        "KenCarp4", Esdirk EsdirkMethods.KenCarp4
        "Kvaerno5", Esdirk EsdirkMethods.Kvaerno5
        "Bdf", Bdf 5
        "Automatic", Automatic
    |]

    let all = [|
        for r in references do
            let points = measure settings.Runs relative methods (tolerances 3 8) [| r |]
            report settings r.Problem.Name points
            yield! points
    |]

    // Sums and geometric means over the problems.
    let points = [|
        for (method, rtol), group in all |> Array.groupBy (fun p -> p.Method, p.Rtol) do
            if group.Length = references.Length then
                yield {
                    Method = method
                    Rtol = rtol
                    Evaluations = group |> Array.sumBy _.Evaluations
                    Accepted = group |> Array.sumBy _.Accepted
                    Rejected = group |> Array.sumBy _.Rejected
                    Seconds = group |> Array.sumBy _.Seconds
                    Error = group |> Array.averageBy (fun p -> log p.Error) |> exp
                }
    |]

    report settings "stiff" points
    Plots.save "stiff" "five stiff problems" [| for p in points -> p.Method, p.Error, float p.Evaluations, p.Seconds |]
