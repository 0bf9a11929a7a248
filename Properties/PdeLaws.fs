namespace Continuum.Properties

open System
open Continuum
open TorchSharp

/// Laws of generators of data and of the right-hand sides that belong to them, on fields in float64.
[<RequireQualifiedAccess>]
module PdeLaws =

    let private law name holds detail = { Law = name; Holds = holds; Detail = detail }

    /// A quantity whose derivative is weight(u) does not change under u' = f(u): (weight(u), f(u)) = 0 to rounding, sample by sample.
    let conserves (quantity: string) (weight: Field -> Field) (f: Field -> Field) (u: Field) : LawResult =
        use _ = torch.NewDisposeScope()
        use w = weight u
        use slope = f u
        let change = FieldValues.inner w slope |> Tensors.toArray
        let sizes = (FieldValues.norm w).mul(FieldValues.norm slope) |> Tensors.toArray
        let worst = Array.map2 (fun (c: float) size -> abs c / size) change sizes |> Array.max
        law $"{quantity} is conserved" (worst < 1e-12) $"largest relative change {worst:g3}"

    /// The quantity changes at the stated rate: (weight(u), f(u)) = rate(u), sample by sample.
    let balances (quantity: string) (weight: Field -> Field) (rate: Field -> Tensor) (f: Field -> Field) (u: Field) =
        use _ = torch.NewDisposeScope()
        use w = weight u
        use slope = f u
        let change = FieldValues.inner w slope |> Tensors.toArray
        let expected = rate u |> Tensors.toArray
        let worst = Array.map2 (fun (c: float) e -> abs (c - e) / abs e) change expected |> Array.max
        law $"{quantity} changes at its rate" (worst < 1e-10) $"largest relative gap {worst:g3}"

    /// Halving the step divides the error by 2^order: `solve` gives the solution for a step; compared with a quarter of the smallest.
    let temporalOrder (name: string) (order: float) (steps: float[]) (solve: float -> Tensor) : LawResult =
        use _ = torch.NewDisposeScope()
        let reference = solve (Array.last steps / 4.0)
        let errors = steps |> Array.map (fun h -> (solve h).sub(reference).abs().max().ToDouble())

        let observed =
            Math.Log(errors[errors.Length - 2] / errors[errors.Length - 1])
            / Math.Log(steps[steps.Length - 2] / steps[steps.Length - 1])

        let text = String.Join(", ", errors |> Array.map (fun e -> e.ToString "g3"))
        law $"{name} has order {order} in time" (abs (observed - order) < 0.35) $"observed {observed:f2}, errors {text}"

    /// `slope` is the derivative of the flow: (flow(h) - flow(-h)) / 2h at the start, extrapolated; `flow` gives the state after a short time.
    let slopeOfFlow (name: string) (flow: float -> Tensor) (slope: Tensor) : LawResult =
        use _ = torch.NewDisposeScope()
        // Order 4 from times 0, h, .., 4 h.
        let difference (h: float) =
            let at (k: float) = flow (k * h)
            let sum = at(0.0).mul(Tensors.scalar -25.0).add((at 1.0).mul(Tensors.scalar 48.0))
            let sum = sum.add((at 2.0).mul(Tensors.scalar -36.0)).add((at 3.0).mul(Tensors.scalar 16.0))
            sum.add((at 4.0).mul(Tensors.scalar -3.0)).div(Tensors.scalar (12.0 * h))

        let size = slope.abs().max().ToDouble()
        let gap h = (difference h).sub(slope).abs().max().ToDouble() / size
        let coarse, fine = gap 2e-3, gap 1e-3

        law
            $"{name} is the slope of its flow"
            (fine < 1e-3 && fine < coarse / 8.0 || fine < 1e-9)
            $"relative gaps {coarse:g3}, {fine:g3}"

    /// Samples of one number are one function: at points that two grids share, both have the same values.
    let sameAtSharedPoints (name: string) (coarse: Field) (fine: Field) (every: int) : LawResult =
        use _ = torch.NewDisposeScope()
        let d = coarse.Discretisation.Shape.Length
        let mutable thin = fine.Values

        for axis in 2 .. d + 1 do
            let count = coarse.Values.shape[axis]
            use places = torch.arange (0L, count * int64 every, int64 every)
            thin <- thin.index_select (int64 axis, places)

        let gap = thin.sub(coarse.Values).abs().max().ToDouble()
        let size = coarse.Values.abs().max().ToDouble()
        law $"{name} is one function on two grids" (gap < 1e-11 * size) $"largest gap {gap:g3} of {size:g3}"
