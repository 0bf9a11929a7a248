// What reads tensors that nobody would return a gradient for.
namespace Continuum

open System
open TorchSharp

/// One node of the graph for a whole solve returns gradients for the parameters that it was told of, and silently none for any other tensor.
[<RequireQualifiedAccess>]
module internal Untracked =
    /// Whether parameters that are not leaves hide what a value reads: it cannot be told apart from them.
    let isBlind (parameters: Tensor[]) : bool = parameters |> Array.exists (fun p -> p.requires_grad && not p.is_leaf)

    /// Whether a value depends on a tensor that wants a gradient and is not among the parameters; false where it cannot be told, or where
    /// the evaluation throws (the solve itself will report that).
    let reaches (parameters: Tensor[]) (evaluate: unit -> Tensor) : bool =
        if isBlind parameters then
            false
        else
            use _ = torch.NewDisposeScope()
            use _ = torch.enable_grad ()
            let tracked = parameters |> Array.filter _.requires_grad

            try
                for p in tracked do
                    p.requires_grad_ false |> ignore

                try
                    evaluate().requires_grad
                with _ ->
                    false
            finally
                for p in tracked do
                    p.requires_grad_ true |> ignore

    /// ArgumentException: `what` of a field or an equation reads such a tensor.
    let lost (what: string) (owner: string) (parameters: Tensor[]) : unit =
        raise (
            ArgumentException
                $"{what} reads a tensor that requires a gradient but is not among the {owner}'s {parameters.Length} parameters, so its gradient would be lost; add it to the {owner}'s parameters, or differentiate by Recorded."
        )
