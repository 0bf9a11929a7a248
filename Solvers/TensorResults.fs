// The outcome of a solve on tensors whose states are their own gradient carriers (or have none).
namespace Continuum

open TorchSharp

/// From the loop's solution to the public one.
[<RequireQualifiedAccess>]
module internal TensorResults =
    /// Stacks the saved states and hands everything to the enclosing dispose scope.
    let plain (y0: Tensor) (raw: Solution<Tensor>) : TensorSolution =
        let states =
            if raw.States.Length = 0 then
                torch.empty (Array.append [| 0L |] y0.shape, dtype = y0.dtype, device = y0.device)
            else
                torch.stack raw.States

        let occurrences =
            raw.Occurrences
            |> Array.map (fun o ->
                TensorOccurrence(
                    o.Event,
                    o.Time,
                    torch.tensor (o.Time, dtype = torch.float64),
                    o.Before.alias (),
                    o.After.alias ()
                ))

        let solution = new TensorSolution(raw, states, raw.FinalState.alias (), occurrences, null, null)
        solution.MoveToOuterScope()
