namespace Continuum.Properties

open System
open Continuum
open TorchSharp

/// A differentiable initial value problem on tensors: laws about its gradients can be tried on it.
type GradientProblem = {
    /// For messages.
    Name: string
    /// The field, with its parameters (leaves that require a gradient).
    Field: TensorField
    /// Start of the span.
    Start: float
    /// End of the span.
    End: float
    /// Initial state, float64.
    Initial: Tensor
    /// Times at which the loss looks at the solution.
    SaveTimes: float[]
}

/// The laws of differentiating a solve: independent ways give the same gradient.
[<RequireQualifiedAccess>]
module GradientLaws =

    /// A loss that weighs every saved value differently.
    let private loss (states: Tensor) : Tensor =
        use _ = torch.NewDisposeScope()
        let weights = torch.arange (states.numel (), dtype = states.dtype)
        let weights = weights.mul((0.7).ToScalar()).add((0.3).ToScalar()).cos().reshape states.shape
        states.mul(weights).sum().add(states.pow(2.0.ToScalar()).sum().mul((0.05).ToScalar())).MoveToOuterDisposeScope()

    let private optionsOf (method: Method) (tolerance: float) (problem: GradientProblem) way : TensorOptions = {
        TensorOptions.create tolerance tolerance with
            Method = method
            Solve = {
                SolveOptions.create tolerance tolerance with
                    SaveAt = StepValues problem.SaveTimes
            }
            Differentiation = way
    }

    /// The gradient of the loss for the initial state and the parameters, flattened into one array.
    let gradient (method: Method) (tolerance: float) (problem: GradientProblem) (way: Differentiation) : float[] =
        use _ = torch.NewDisposeScope()
        let initial = problem.Initial.detach().clone().requires_grad_ true
        let options = optionsOf method tolerance problem way
        let solution = (TensorOde.solve options problem.Field problem.Start problem.End initial).EnsureSuccess()
        let inputs = Array.append [| initial |] problem.Field.Parameters
        let value = loss solution.States
        let gradients = Autograd.vjp [| value |] inputs [| torch.ones_like value |]
        gradients |> Array.collect Tensors.toArray

    /// Central differences of the loss for the initial state and the parameters (which are changed and put back).
    let finiteDifference (method: Method) (tolerance: float) (step: float) (problem: GradientProblem) : float[] =
        use _ = torch.NewDisposeScope()
        use _ = torch.no_grad ()
        let initial = problem.Initial.detach().clone()
        let options = optionsOf method tolerance problem Differentiation.None

        let value () =
            use _ = torch.NewDisposeScope()
            let solution = (TensorOde.solve options problem.Field problem.Start problem.End initial).EnsureSuccess()
            (loss solution.States).ToDouble()

        [|
            for x in Array.append [| initial |] problem.Field.Parameters do
                let flat = x.reshape -1L

                for i in 0L .. flat.numel () - 1L do
                    let at = flat.[i]
                    let centre = at.ToDouble()
                    let delta = step * max 1.0 (abs centre)
                    at.fill_ ((centre + delta).ToScalar()) |> ignore
                    let above = value ()
                    at.fill_ ((centre - delta).ToScalar()) |> ignore
                    let below = value ()
                    at.fill_ (centre.ToScalar()) |> ignore
                    yield (above - below) / (2.0 * delta)
        |]

    /// Largest difference relative to the largest entry.
    let relativeGap (a: float[]) (b: float[]) : float =
        let size = b |> Array.fold (fun worst x -> max worst (abs x)) 1e-300
        Array.fold2 (fun worst x y -> max worst (abs (x - y))) 0.0 a b / size

    /// Two ways to differentiate agree to a relative gap.
    let agree
        (method: Method)
        (tolerance: float)
        (gap: float)
        (problem: GradientProblem)
        (one: Differentiation)
        (other: Differentiation)
        : LawResult =
        let a = gradient method tolerance problem one
        let b = gradient method tolerance problem other
        let found = relativeGap a b
        let name (way: Differentiation) = (string way).Split([| ' '; '\n' |])[0]

        {
            Law = $"{name one} and {name other} give the same gradient on {problem.Name}"
            Holds = found <= gap
            Detail = $"relative gap %.1e{found}, allowed %.1e{gap}"
        }

    /// A way to differentiate agrees with central differences of a solve with fixed steps (so that the difference quotient sees
    /// no change of steps).
    let agreesWithDifferences
        (method: Method)
        (tolerance: float)
        (gap: float)
        (problem: GradientProblem)
        (way: Differentiation)
        : LawResult =
        let a = gradient method tolerance problem way
        let b = finiteDifference method tolerance 1e-6 problem
        let found = relativeGap a b

        {
            Law = $"the gradient on {problem.Name} is the limit of difference quotients"
            Holds = found <= gap
            Detail = $"relative gap %.1e{found}, allowed %.1e{gap}"
        }
