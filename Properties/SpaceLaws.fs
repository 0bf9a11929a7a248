namespace Continuum.Properties

open System
open Continuum
open TorchSharp

/// The laws of state spaces: one field gives one result, whatever holds its numbers.
[<RequireQualifiedAccess>]
module SpaceLaws =

    let private sampleTimes (problem: OdeProblem) =
        Array.init 5 (fun i -> problem.Start + (problem.End - problem.Start) * (float i + 1.0) / 5.0)

    let private options<'S> tolerance (problem: OdeProblem) : SolveOptions<'S> = {
        SolveOptions.create tolerance tolerance with
            SaveAt = Times(sampleTimes problem)
    }

    let private succeed (solution: Solution<'S>) =
        match Solution.toResult solution with
        | Ok solution -> solution
        | Error error -> raise (SolveFailedException(error.Status, error.Time, error.Message, error.Partial.Exception))

    let private onArray method tolerance (problem: OdeProblem) =
        ArrayOde.solve method (options tolerance problem) problem.Field problem.Start problem.End problem.Initial
        |> succeed

    let private result law allowed (expected: float[][]) steps (found: float[][]) (otherSteps: int) =
        let gap =
            Array.fold2
                (fun worst (a: float[]) (b: float[]) ->
                    let size = Array.fold (fun size x -> max size (abs x)) 1.0 a
                    Array.fold2 (fun worst x y -> max worst (abs (x - y) / size)) worst a b)
                0.0
                expected
                found

        {
            Law = law
            Holds = gap <= allowed && steps = otherSteps
            Detail = $"relative gap %.1e{gap}, allowed %.1e{allowed}; {steps} and {otherSteps} steps"
        }

    /// A field written on tensors (the state as one vector, float64) is solved as the same field on arrays: the same steps, and
    /// the states between and at their ends to a relative gap.
    let tensors
        (method: Tableau)
        (tolerance: float)
        (allowed: float)
        (problem: OdeProblem)
        (field: TensorField)
        : LawResult =
        use _ = torch.NewDisposeScope()
        use _ = torch.no_grad ()
        let array = onArray method tolerance problem

        let options = {
            TensorOptions.create tolerance tolerance with
                Method = RungeKutta method
                Solve = options tolerance problem
                Differentiation = Differentiation.None
        }

        let tensor =
            (TensorOde.solve options field problem.Start problem.End (Tensors.vector problem.Initial)).EnsureSuccess()

        let states =
            Array.init array.Times.Length (fun i -> Tensors.toArray (tensor.States.select (0L, int64 i)))

        result
            $"{method.Name}: tensors give the result of arrays, on {problem.Name}"
            allowed
            array.States
            array.Statistics.Accepted
            states
            tensor.Statistics.Accepted

    /// A state cut into a pair is solved as the whole: the same steps, and states to a relative gap.
    /// ArgumentException if the state has fewer than two components.
    let pairs (method: Tableau) (tolerance: float) (allowed: float) (problem: OdeProblem) : LawResult =
        let n = problem.Initial.Length

        if n < 2 then
            raise (ArgumentException $"The state of {problem.Name} has {n} component; a pair needs two or more.")

        let half = n / 2
        let array = onArray method tolerance problem
        let reals = RealSpace(Tolerance.create tolerance tolerance)

        let field = {
            new IField<struct (float[] * float[]), float> with
                member _.Eval(t, struct (a, b), struct (da, db)) =
                    let whole = Array.append a b
                    let slope = Array.zeroCreate<float> n
                    problem.Field.Invoke(t, ReadOnlySpan<float> whole, Span<float> slope)
                    Array.blit slope 0 da 0 half
                    Array.blit slope half db 0 (n - half)
                    struct (da, db)
        }

        let cut = struct (Array.take half problem.Initial, Array.skip half problem.Initial)

        let pair =
            ArrayOde.solveIn
                (PairSpace<float[], float[], RealSpace, RealSpace>(reals, reals, Rms))
                method
                (options tolerance problem)
                field
                problem.Start
                problem.End
                cut
            |> succeed

        result
            $"{method.Name}: a pair gives the result of an array, on {problem.Name}"
            allowed
            array.States
            array.Statistics.Accepted
            (pair.States |> Array.map (fun (struct (a, b)) -> Array.append a b))
            pair.Statistics.Accepted

    /// A state cut into its components, an array of arrays, is solved as the whole: the same steps, and states to a relative gap.
    let arrays (method: Tableau) (tolerance: float) (allowed: float) (problem: OdeProblem) : LawResult =
        let array = onArray method tolerance problem
        let reals = RealSpace(Tolerance.create tolerance tolerance)

        let field = {
            new IField<float[][], float> with
                member _.Eval(t, y, dydt) =
                    let slope = Array.zeroCreate<float> y.Length
                    problem.Field.Invoke(t, ReadOnlySpan<float>(Array.concat y), Span<float> slope)
                    slope |> Array.iteri (fun i value -> dydt[i].[0] <- value)
                    dydt
        }

        let leaves =
            ArrayOde.solveIn
                (ArraySpace<float[], RealSpace>(reals, Rms))
                method
                (options tolerance problem)
                field
                problem.Start
                problem.End
                (problem.Initial |> Array.map Array.singleton)
            |> succeed

        result
            $"{method.Name}: an array of arrays gives the result of an array, on {problem.Name}"
            allowed
            array.States
            array.Statistics.Accepted
            (leaves.States |> Array.map Array.concat)
            leaves.Statistics.Accepted

    /// Every law of spaces that needs no second form of the field.
    let all (method: Tableau) (tolerance: float) (problem: OdeProblem) : LawResult[] = [|
        if problem.Initial.Length >= 2 then
            pairs method tolerance 1e-9 problem
        arrays method tolerance 1e-9 problem
    |]
