// Penalties on the heuristics of a solver in a loss: Pal et al. 2021.
namespace Continuum

open TorchSharp

/// Weights of the solver's estimates of its error and of the stiffness along the paths, in a loss.
[<Struct>]
type internal SolverPenalty(errorWeight: float, stiffnessWeight: float) =
    /// Whether the solve must make the estimates.
    member _.IsWanted = errorWeight > 0.0 || stiffnessWeight > 0.0

    /// ArgumentException for a negative weight.
    member _.Check() =
        OptionChecks.notNegative "ErrorPenalty" errorWeight
        OptionChecks.notNegative "StiffnessPenalty" stiffnessWeight

    /// The loss with the penalties of a batch of so many paths, for whose error the estimate is a norm over them all.
    member this.AddTo(loss: Tensor, paths: int, error: Tensor, stiffness: Tensor) : Tensor =
        if this.IsWanted then
            use byError = (errorWeight / sqrt (float paths)).ToScalar()
            use byStiffness = stiffnessWeight.ToScalar()
            loss.add(error.mul byError).add(stiffness.mul byStiffness)
        else
            loss
