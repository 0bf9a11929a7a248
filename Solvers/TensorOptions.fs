// What a solve on tensors is told.
namespace Continuum

open TorchSharp

/// Everything a solve on tensors can be told.
type TensorOptions = {
    /// The one-step method.
    Method: Method
    /// Steps, tolerances, saving, jumps, scheduled changes, limits. Its Events are ignored: use the field below.
    Solve: SolveOptions<Tensor>
    /// Differentiable events.
    Events: TensorEvent[]
    /// How gradients flow through the solve.
    Differentiation: Differentiation
    /// Times whose gradients are wanted.
    Times: TrackedTimes voption
    /// Check once per field that every tracked tensor it reads is among its Parameters (costs one evaluation).
    CheckTracking: bool
}

/// Default options on tensors.
[<RequireQualifiedAccess>]
module TensorOptions =
    /// Tsit5, adaptive, discrete gradients, end state only.
    let create (rtol: float) (atol: float) = {
        Method = RungeKutta Methods.Tsit5
        Solve = SolveOptions.create rtol atol
        Events = [||]
        Differentiation = Differentiation.DiscreteDefault
        Times = ValueNone
        CheckTracking = true
    }
