namespace Continuum.Properties

open System
open Continuum

/// Laws of ensembles of stochastic equations on arrays, on a method, an equation and a problem of yours.
[<RequireQualifiedAccess>]
module SdeEnsembleLaws =
    let private same (a: float) (b: float) = BitConverter.DoubleToInt64Bits a = BitConverter.DoubleToInt64Bits b

    let private on threads = { SdeEnsembleOptions.Default with Threads = threads }

    let private solve options ensemble method (sde: ArraySde<'C, 'N>) spec problem =
        SdeEnsemble.solve options ensemble method sde spec problem

    let private bitwise law (count: int) (difference: int -> string) =
        let wrong =
            seq { 0 .. count - 1 }
            |> Seq.map (fun i -> i, difference i)
            |> Seq.filter (fun (_, text) -> text <> "")
            |> Seq.toArray

        {
            Law = law
            Holds = wrong.Length = 0
            Detail =
                if wrong.Length = 0 then
                    $"{count} paths"
                else
                    $"{wrong.Length} of {count} paths differ, the first is {fst wrong[0]}: {snd wrong[0]}"
        }

    /// What differs between two states, or "".
    let private stateDifference (what: string) (a: float[]) (b: float[]) =
        match Seq.tryFindIndex id (Seq.map2 (fun x y -> not (same x y)) a b) with
        | Some c -> $"{what}, component {c}: {a[c]:R} and {b[c]:R}"
        | None -> ""

    /// Path i of one ensemble and j of another.
    let private pathDifference (a: SdeEnsembleSolution) (i: int) (b: SdeEnsembleSolution) (j: int) =
        let times = a.Times

        if a.Status i <> b.Status j || a.Message i <> b.Message j then
            $"{a.Status i} ({a.Message i}) and {b.Status j} ({b.Message j})"
        else
            seq {
                stateDifference "final state" (a.FinalState i) (b.FinalState j)

                for s in 0 .. times.Length - 1 do
                    stateDifference $"state at {times[s]}" (a.Samples[s].State i) (b.Samples[s].State j)
            }
            |> Seq.tryFind (fun text -> text <> "")
            |> Option.defaultValue ""

    /// A path of the ensemble is, bit for bit, the single solve along the path of its number: states, status and message.
    let memberIsSingleSolve
        (options: ArraySdeOptions)
        (method: SdeMethod<'C, 'N>)
        (sde: ArraySde<'C, 'N>)
        (spec: BrownianSpec)
        (problem: SdeEnsembleProblem)
        : LawResult =
        let ensemble = solve options (on 1) method sde spec problem
        let times = ensemble.Times

        let single i =
            let own =
                match problem.Parameters with
                | [||] -> sde
                | [| one |] -> sde.WithParameters one
                | list -> sde.WithParameters list[i]

            let y0 = if problem.Initial.Length = 1 then problem.Initial[0] else problem.Initial[i]
            let path = BrownianPath(spec, problem.FirstPath + int64 i)
            ArraySde.solve options method own path problem.Start problem.End y0

        bitwise $"a path of an ensemble is a solve of its own ({method.Name})" problem.Count (fun i ->
            let one = single i

            if one.Status <> ensemble.Status i || one.Message <> ensemble.Message i then
                $"{ensemble.Status i} ({ensemble.Message i}), alone {one.Status} ({one.Message})"
            elif times.Length > 0 && one.Status = Status.Success && one.States.Length <> times.Length then
                $"{times.Length} saved states, alone {one.States.Length}"
            else
                seq {
                    stateDifference "final state" (ensemble.FinalState i) one.FinalState

                    for s in 0 .. Math.Min(times.Length, one.States.Length) - 1 do
                        stateDifference $"state at {times[s]}" (ensemble.Samples[s].State i) one.States[s]
                }
                |> Seq.tryFind (fun text -> text <> "")
                |> Option.defaultValue "")

    let private statisticsAgree (a: SdeStatistics) (b: SdeStatistics) =
        a.Count = b.Count
        && Array.forall2 same a.Mean b.Mean
        && Seq.forall2 same (Seq.cast<float> a.Covariance) (Seq.cast<float> b.Covariance)
        && Array.forall2 same a.Minimum b.Minimum
        && Array.forall2 same a.Maximum b.Maximum

    let private allStatistics (solution: SdeEnsembleSolution) =
        Array.append (solution.Samples |> Array.map (fun sample -> sample.Statistics)) [| solution.Final.Statistics |]

    /// The same bits of every path and every statistic on one thread and on several.
    let independentOfThreads options method (sde: ArraySde<'C, 'N>) spec problem : LawResult =
        let one = solve options (on 1) method sde spec problem

        let others =
            [| 2; 3; 7 |] |> Array.map (fun threads -> solve options (on threads) method sde spec problem)

        let paths =
            bitwise "an ensemble does not depend on threads" one.Count (fun i ->
                others
                |> Seq.map (fun other -> pathDifference one i other i)
                |> Seq.tryFind (fun text -> text <> "")
                |> Option.defaultValue "")

        let statistics =
            others
            |> Array.forall (fun other -> Array.forall2 statisticsAgree (allStatistics one) (allStatistics other))

        {
            paths with
                Holds = paths.Holds && statistics
                Detail = $"{paths.Detail}; statistics agree: {statistics}"
        }

    /// The same bits in an ensemble of other paths: cut in three parts, and each tenth path alone.
    let independentOfOthers options method (sde: ArraySde<'C, 'N>) spec (problem: SdeEnsembleProblem) : LawResult =
        let whole = solve options (on 1) method sde spec problem
        let count = problem.Count

        let part (from: int) (until: int) =
            let cut (list: 'A[]) = if list.Length = count && count > 1 then list[from .. until - 1] else list

            solve options (on 1) method sde spec {
                problem with
                    Count = until - from
                    FirstPath = problem.FirstPath + int64 from
                    Initial = cut problem.Initial
                    Parameters = cut problem.Parameters
            }

        let cuts = [| 0; count / 3; count / 2; count |] |> Array.distinct

        let pieces =
            Array.pairwise cuts |> Array.map (fun (from, until) -> struct (from, until, part from until))

        bitwise "a path does not depend on the others" count (fun i ->
            let struct (from, _, piece) =
                pieces |> Array.find (fun struct (from, until, _) -> i >= from && i < until)

            let inPiece = pathDifference whole i piece (i - from)

            if inPiece <> "" || i % 10 <> 0 then
                inPiece
            else
                pathDifference whole i (part i (i + 1)) 0)

    /// What is kept of the paths when only moments are asked for is what follows from their states, bit for bit.
    let momentsAreThoseOfSamples options method (sde: ArraySde<'C, 'N>) spec problem : LawResult =
        let samples = solve options (on 2) method sde spec problem
        let moments = solve options { on 2 with Keep = SdeKeep.Moments } method sde spec problem
        let pairs = Array.zip (allStatistics samples) (allStatistics moments)

        {
            Law = "moments kept on the way are those of the states"
            Holds = pairs |> Array.forall (fun (a, b) -> statisticsAgree a b)
            Detail =
                pairs
                |> Array.map (fun (a, b) ->
                    $"t = {a.Time}: means {a.Mean[0]:R} and {b.Mean[0]:R} of {a.Count} and {b.Count} paths")
                |> String.concat "; "
        }

    /// All laws.
    let all options method (sde: ArraySde<'C, 'N>) spec problem : LawResult[] = [|
        memberIsSingleSolve options method sde spec problem
        independentOfThreads options method sde spec problem
        independentOfOthers options method sde spec problem
        momentsAreThoseOfSamples options method sde spec problem
    |]

    /// Along the same paths the error at the end falls with the method's strong order for the equation's noise: the slope of the root mean
    /// square over the paths lies in [order - 0.2, order + 0.6]. exact gives the state at the end from a path's number; the cells
    /// of the spec are those of the longest step.
    let strongConvergence
        (method: SdeMethod<'C, 'N>)
        (sde: ArraySde<'C, 'N>)
        (spec: BrownianSpec)
        (problem: SdeEnsembleProblem)
        (exact: int64 -> float[])
        (steps: int[])
        : LawResult =
        let truth = Array.init problem.Count (fun i -> exact (problem.FirstPath + int64 i))

        let pairs =
            steps
            |> Array.map (fun n ->
                let h = abs (problem.End - problem.Start) / float n
                let solution = solve (ArraySdeOptions.fixedSteps h) (on 1) method sde spec problem
                let mutable sum = 0.0

                for i in 0 .. problem.Count - 1 do
                    let state = solution.FinalState i

                    for c in 0 .. state.Length - 1 do
                        let e = state[c] - truth[i][c]
                        sum <- sum + e * e

                struct (h, sqrt (sum / float (problem.Count * sde.Size))))

        let order = method.StrongOrder sde.Noise
        let observed = Slope.observed pairs

        {
            Law = $"{method.Name} on arrays converges with strong order {order}"
            Holds = observed >= order - 0.2 && observed <= order + 0.6
            Detail = $"observed order %.2f{observed}; " + Slope.describe pairs
        }
