namespace Continuum.Properties

open System
open Continuum
open TorchSharp

/// A batch of initial value problems with a clock for each sample: laws about its independence can be tried on it.
type BatchProblem = {
    /// For messages.
    Name: string
    /// The field, as BatchOde takes it: t of shape (batch, 1, ..., 1), y of shape (batch, ...).
    Field: TensorField
    /// Start time of each sample.
    Starts: float[]
    /// End time of each sample.
    Ends: float[]
    /// Initial states, shape (batch, ...), float64.
    Initial: Tensor
}

/// The laws of batches: a sample's result is its own affair. They fail for a field that mixes samples.
[<RequireQualifiedAccess>]
module BatchLaws =

    let private solve (method: Method) tolerance way (problem: BatchProblem) (samples: int[]) (y0: Tensor) =
        let pick (values: float[]) = samples |> Array.map (fun i -> values[i])

        let options = {
            BatchOptions.create tolerance tolerance (pick problem.Starts) (pick problem.Ends) with
                Method = method
                Differentiation = way
        }

        (BatchOde.solve options problem.Field y0).EnsureSuccess()

    let private rows (x: Tensor) (samples: int[]) = torch.stack (samples |> Array.map (fun i -> x.select (0L, int64 i)))

    let private gapOf (a: Tensor) (b: Tensor) =
        use _ = torch.NewDisposeScope()
        let size = max 1.0 (b.abs().max().ToDouble())
        a.sub(b).abs().max().ToDouble() / size

    /// The samples' steps (accepted, rejected) and largest relative gap of their final states against the whole batch.
    let private compare method tolerance (problem: BatchProblem) (compositions: int[][]) =
        use _ = torch.NewDisposeScope()
        use _ = torch.no_grad ()
        let everyone = [| 0 .. problem.Starts.Length - 1 |]
        let whole = solve method tolerance Differentiation.None problem everyone problem.Initial
        let mutable gap = 0.0
        let mutable otherSteps = 0

        for samples in compositions do
            let part = solve method tolerance Differentiation.None problem samples (rows problem.Initial samples)

            samples
            |> Array.iteri (fun place i ->
                if part.Accepted[place] <> whole.Accepted[i] || part.Rejected[place] <> whole.Rejected[i] then
                    otherSteps <- otherSteps + 1

                gap <- max gap (gapOf (part.Final.select (0L, int64 place)) (whole.Final.select (0L, int64 i))))

        struct (gap, otherSteps)

    let private result law allowed (struct (gap, otherSteps)) = {
        Law = law
        Holds = otherSteps = 0 && gap <= allowed
        Detail = $"{otherSteps} samples took other steps; relative gap %.1e{gap}, allowed %.1e{allowed}"
    }

    /// Each sample is solved in the batch as it is alone: the same counts of steps, and states to a relative gap.
    let alone (method: Method) (tolerance: float) (allowed: float) (problem: BatchProblem) : LawResult =
        Array.init problem.Starts.Length Array.singleton
        |> compare method tolerance problem
        |> result $"{method.Name}: a sample in a batch is solved as it is alone, on {problem.Name}" allowed

    /// Reversing the batch, and adding samples to it, changes no sample: the same counts of steps, and states to a relative gap.
    let composition (method: Method) (tolerance: float) (allowed: float) (problem: BatchProblem) : LawResult =
        let everyone = [| 0 .. problem.Starts.Length - 1 |]

        [| Array.rev everyone; Array.concat [ everyone; Array.rev everyone; [| 0 |] ] |]
        |> compare method tolerance problem
        |> result $"{method.Name}: a sample does not depend on the rest of the batch, on {problem.Name}" allowed

    /// The gradient of a sample's final state for its initial state is the one it has alone, and no other sample has a share in it.
    let gradients (method: Method) (tolerance: float) (allowed: float) (problem: BatchProblem) : LawResult =
        use _ = torch.NewDisposeScope()
        let everyone = [| 0 .. problem.Starts.Length - 1 |]
        let way = Differentiation.DiscreteDefault

        let gradient (samples: int[]) (watched: int) =
            let y0 = (rows (problem.Initial.detach ()) samples).requires_grad_ true
            let solution = solve method tolerance way problem samples y0
            let final = solution.Final.select (0L, int64 watched)
            let loss = final.mul(final).sum().add(final.sum ())
            (Autograd.vjp [| loss |] [| y0 |] [| torch.ones_like loss |])[0]

        let mutable gap = 0.0
        let mutable leak = 0.0

        for i in everyone do
            use _ = torch.NewDisposeScope()
            let together = gradient everyone i
            let single = gradient [| i |] 0
            gap <- max gap (gapOf (together.select (0L, int64 i)) (single.select (0L, 0L)))

            for j in everyone do
                if j <> i then
                    leak <- max leak (together.select(0L, int64 j).abs().max().ToDouble())

        {
            Law = $"{method.Name}: a sample's gradient is its own, on {problem.Name}"
            Holds = gap <= allowed && leak = 0.0
            Detail = $"relative gap %.1e{gap}, allowed %.1e{allowed}; share of other samples %.1e{leak}, allowed 0"
        }

    /// Every law of batches, at a tolerance, with gaps of rounding's size.
    let all (method: Method) (tolerance: float) (problem: BatchProblem) : LawResult[] = [|
        alone method tolerance 1e-9 problem
        composition method tolerance 1e-9 problem
        gradients method tolerance 1e-8 problem
    |]
