namespace Continuum.Properties

open System
open Continuum

/// Laws of ensembles, on a field and a problem of yours.
[<RequireQualifiedAccess>]
module EnsembleLaws =
    let private same (a: float) (b: float) = BitConverter.DoubleToInt64Bits a = BitConverter.DoubleToInt64Bits b

    /// Status, counts, times and every saved number of trajectory i of one ensemble and j of another, bit for bit.
    let private equal (a: EnsembleSolution) (i: int) (b: EnsembleSolution) (j: int) =
        let x, y = a.Solution i, b.Solution j

        x.Status = y.Status
        && x.Message = y.Message
        && x.Statistics.Evaluations = y.Statistics.Evaluations
        && x.Statistics.Accepted = y.Statistics.Accepted
        && x.Statistics.Rejected = y.Statistics.Rejected
        && same x.FinalTime y.FinalTime
        && Array.forall2 same x.FinalState y.FinalState
        && x.States.Length = y.States.Length
        && Array.forall2 (Array.forall2 same) x.States y.States

    let private differing (count: int) (equal: int -> bool) =
        let wrong = Seq.filter (equal >> not) (seq { 0 .. count - 1 }) |> Seq.toArray

        if wrong.Length = 0 then
            $"{count} trajectories"
        else
            $"{wrong.Length} of {count} differ, the first is {wrong[0]}"

    let private bitwise law (count: int) equal = {
        Law = law
        Holds = Seq.forall equal (seq { 0 .. count - 1 })
        Detail = differing count equal
    }

    let private on threads = { EnsembleOptions.Default with Threads = threads }

    let private pick (order: int[]) (problem: EnsembleProblem) =
        let each (list: 'A[]) = if list.Length = 1 then list else order |> Array.map (fun i -> list[i])

        {
            Starts = each problem.Starts
            Ends = each problem.Ends
            Initial = each problem.Initial
            Parameters = each problem.Parameters
        }

    /// A trajectory of the ensemble is the solve of that trajectory alone by the scalar loop: the same steps, and the same states to
    /// the given difference (rounding grows along unstable trajectories).
    let memberIsSingleSolve<'G when 'G: struct and 'G :> IGenericField>
        (difference: float)
        (method: Tableau)
        (options: SolveOptions<float[]>)
        (field: 'G)
        (problem: EnsembleProblem)
        =
        let ensemble = Ensemble.solve method options EnsembleOptions.Default field problem
        let at (list: 'A[]) i = if list.Length = 1 then list[0] else list[i]
        let mutable worst = 0.0
        let mutable steps = ""

        for i in 0 .. problem.Count - 1 do
            let one = GenericField<'G>(field, at problem.Parameters i)

            let single =
                ArrayOde.solveField method options one (at problem.Starts i) (at problem.Ends i) (at problem.Initial i)

            let mine = ensemble.Solution i

            if
                steps = ""
                && (mine.Status <> single.Status
                    || mine.Statistics.Accepted <> single.Statistics.Accepted
                    || mine.Statistics.Rejected <> single.Statistics.Rejected)
            then
                steps <-
                    $"trajectory {i}: {mine.Status} with {mine.Statistics.Accepted} + {mine.Statistics.Rejected} steps, alone {single.Status} with {single.Statistics.Accepted} + {single.Statistics.Rejected}; "

            let compare (a: float[]) (b: float[]) =
                for c in 0 .. a.Length - 1 do
                    worst <- max worst (abs (a[c] - b[c]) / (1.0 + abs b[c]))

            compare mine.FinalState single.FinalState
            Array.iter2 compare mine.States single.States

        {
            Law = $"a member of an ensemble is a solve of its own ({method.Name})"
            Holds = steps = "" && worst <= difference
            Detail = $"{steps}largest relative difference {worst:g3}"
        }

    /// The same bits on one thread and on several.
    let independentOfThreads<'G when 'G: struct and 'G :> IGenericField> method options (field: 'G) problem =
        let one = Ensemble.solve method options (on 1) field problem

        let many =
            [| 2; 3; 7 |] |> Array.map (fun threads -> Ensemble.solve method options (on threads) field problem)

        bitwise "an ensemble does not depend on threads" one.Count (fun i ->
            many |> Array.forall (fun other -> equal one i other i))

    /// The same bits in another order, so with other neighbours in the lanes.
    let independentOfOrder<'G when 'G: struct and 'G :> IGenericField> method options (field: 'G) problem =
        let one = Ensemble.solve method options (on 1) field problem
        let order = Array.init one.Count id
        Random(17).Shuffle order
        let other = Ensemble.solve method options (on 1) field (pick order problem)

        bitwise "an ensemble does not depend on the order of its trajectories" one.Count (fun i ->
            equal one order[i] other i)

    /// The same bits for a trajectory that is the whole ensemble.
    let independentOfOthers<'G when 'G: struct and 'G :> IGenericField> method options (field: 'G) problem =
        let all = Ensemble.solve method options (on 1) field problem

        bitwise "a trajectory does not depend on the others" all.Count (fun i ->
            let alone = Ensemble.solve method options (on 1) field (pick [| i |] problem)
            equal all i alone 0)

    /// All laws; difference as in memberIsSingleSolve.
    let all<'G when 'G: struct and 'G :> IGenericField> difference method options (field: 'G) problem = [|
        memberIsSingleSolve difference method options field problem
        independentOfThreads method options field problem
        independentOfOrder method options field problem
        independentOfOthers method options field problem
    |]
