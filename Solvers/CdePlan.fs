// Fixed steps along a path, and what the path tells each of their stages, computed for all steps at once.
namespace Continuum

open System
open System.Collections.Generic
open TorchSharp

/// The steps of a solve with fixed steps: each inside one piece.
type internal CdePlan = {
    /// Piece of each step.
    Piece: int[]
    /// Start of each step within its piece.
    Offset: float[]
    /// Length of each step.
    Length: float[]
    /// Parameter at the start of each step.
    Start: float[]
    /// Steps taken before each saved state.
    SavedAfter: int[]
}

/// Fixed steps.
[<RequireQualifiedAccess>]
module internal CdePlan =

    /// Steps over each piece, that end at its knots and at the times saved inside.
    let create (steps: CdeSteps) (saves: float[]) (path: ControlPath) : CdePlan =
        let knots = path.RawKnots
        let piece, offset, length, start = List<int>(), List<float>(), List<float>(), List<float>()
        let savedAfter = Array.zeroCreate<int> saves.Length
        let mutable next = 0

        let passSaves (t: float) =
            while next < saves.Length && saves[next] <= t do
                savedAfter[next] <- piece.Count
                next <- next + 1

        passSaves knots[0]

        for k in 0 .. knots.Length - 2 do
            let whole = knots[k + 1] - knots[k]

            let longest =
                match steps with
                | CdeSteps.PerPiece count -> whole / float count
                | CdeSteps.Fixed most -> most
                | CdeSteps.Adaptive _ -> whole

            let cut (from: float) (until: float) =
                let count = max 1 (int (ceil ((until - from) / longest - 1e-9)))
                let h = (until - from) / float count

                for i in 0 .. count - 1 do
                    piece.Add k
                    offset.Add(from + float i * h)
                    length.Add h
                    start.Add(knots[k] + from + float i * h)

            let mutable from = 0.0

            while next < saves.Length && saves[next] < knots[k + 1] do
                let until = saves[next] - knots[k]
                cut from until
                from <- until
                passSaves saves[next]

            cut from whole
            passSaves knots[k + 1]

        {
            Piece = piece.ToArray()
            Offset = offset.ToArray()
            Length = length.ToArray()
            Start = start.ToArray()
            SavedAfter = savedAfter
        }

/// Which of a step's directions each stage of a method takes.
type internal CdeNodes = {
    /// Places within a step, from 0 to 1, at which the path is asked.
    Places: float[]
    /// Index into Places for each stage.
    OfStage: int[]
}

/// What the path tells the stages.
[<RequireQualifiedAccess>]
module internal CdeNodes =
    /// One direction for all stages where the path is straight over a step or taken by its increments, else one for each node.
    let create (tableau: Tableau) (form: CdeForm) (path: ControlPath) : CdeNodes =
        let c = tableau.Raw.C

        if form.IsIncrements || path.IsPiecewiseLinear then
            { Places = [| 0.0 |]; OfStage = Array.zeroCreate c.Length }
        else
            let places = Array.distinct c

            {
                Places = places
                OfStage = c |> Array.map (fun x -> Array.IndexOf(places, x))
            }

    /// One number for each step, of the shape (steps, 1, ...) and the dtype of the coefficients; one number where all are equal.
    let private column (values: float[]) (like: Tensor) : Tensor =
        if Array.forall (fun x -> x = values[0]) values then
            torch.tensor (values[0], dtype = like.dtype, device = like.device)
        else
            let shape = Array.init (int (like.dim ())) (fun i -> if i = 0 then values.LongLength else 1L)
            Tensors.ofArray values shape like.dtype like.device

    /// h X' at each place of each step, or the increments of the steps: (steps, places, ...batch, channels). Recorded where the path is.
    let directions (plan: CdePlan) (nodes: CdeNodes) (form: CdeForm) (path: ControlPath) : Tensor =
        use _ = torch.NewDisposeScope()
        let pieces = path.Coefficients

        let straightThrough =
            plan.Piece.Length = path.Pieces && Array.forall2 (=) plan.Piece [| 0 .. path.Pieces - 1 |]

        let ofSteps (x: Tensor) =
            if straightThrough then
                x
            else
                use plain = torch.tensor (plan.Piece |> Array.map int64)
                x.index_select (0L, plain.clone().``to`` x.device)

        let b = ofSteps pieces.B
        let h = column plan.Length b

        let all =
            if isNull pieces.C then
                [| b.mul h |]
            elif form.IsIncrements then
                let power (p: float) =
                    let difference =
                        Array.map2 (fun u (h: float) -> Math.Pow(u + h, p) - Math.Pow(u, p)) plan.Offset plan.Length

                    column difference b

                [| b.mul(h).add((ofSteps pieces.C).mul(power 2.0)).add((ofSteps pieces.D).mul(power 3.0)) |]
            else
                let c = ofSteps pieces.C
                let d = ofSteps pieces.D

                nodes.Places
                |> Array.map (fun place ->
                    let u = Array.map2 (fun u h -> u + place * h) plan.Offset plan.Length

                    if Array.forall (fun x -> x = 0.0) u then
                        b.mul h
                    else
                        let linear = column (Array.map2 (fun u h -> 2.0 * u * h) u plan.Length) b
                        let square = column (Array.map2 (fun u h -> 3.0 * u * u * h) u plan.Length) b
                        b.mul(h).add(c.mul linear).add(d.mul square))

        let table = if all.Length = 1 then all[0].unsqueeze 1L else torch.stack (all, 1L)
        table.MoveToOuterDisposeScope()
