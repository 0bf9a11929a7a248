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

    /// The gradient of the loss from a closed form: from the Jacobian of the state at a time for the initial state and then the
    /// parameters, flattened (rows: components of the state). A way to differentiate agrees with it to a relative gap.
    let agreesWithClosedForm
        (method: Method)
        (tolerance: float)
        (gap: float)
        (problem: GradientProblem)
        (jacobian: float -> float[,])
        (way: Differentiation)
        : LawResult =
        let found = gradient method tolerance problem way
        use _ = torch.NewDisposeScope()
        let options = optionsOf method tolerance problem Differentiation.None

        let solution =
            (TensorOde.solve options problem.Field problem.Start problem.End problem.Initial).EnsureSuccess()

        let states = solution.States.detach().clone().requires_grad_ true
        let value = loss states
        let cotangents = Autograd.vjp [| value |] [| states |] [| torch.ones_like value |]
        let slopes = Tensors.toArray cotangents[0]
        let n = slopes.Length / problem.SaveTimes.Length
        let expected = Array.zeroCreate<float> found.Length

        problem.SaveTimes
        |> Array.iteri (fun k t ->
            let matrix = jacobian t

            for i in 0 .. n - 1 do
                for j in 0 .. expected.Length - 1 do
                    expected[j] <- expected[j] + slopes[k * n + i] * matrix[i, j])

        let worst = relativeGap found expected

        {
            Law = $"the gradient on {problem.Name} is the closed form's"
            Holds = worst <= gap
            Detail = $"relative gap %.1e{worst}, allowed %.1e{gap}"
        }

    /// All exact ways to differentiate agree with each other and with difference quotients. Those of one discrete solution agree
    /// to a relative gap: Recorded, Discrete, and Discrete with three checkpoints on the tableau; Recorded and Reversible on the
    /// coupled tableau. The two solutions differ by their truncation errors, and difference quotients by rounding: all five agree
    /// with the central differences of the tableau to a gap of their own. Tolerances far below that gap keep the steps from moving
    /// with the parameters.
    let allAgree
        (tableau: Tableau)
        (tolerance: float)
        (gap: float)
        (differenceGap: float)
        (problem: GradientProblem)
        : LawResult[] =
        let plain = RungeKutta tableau
        let coupled = Coupled(tableau, 0.9)
        let find method (name, way) = name, gradient method tolerance problem way

        let groups = [|
            [|
                "Recorded", Differentiation.Recorded
                "Discrete", Differentiation.DiscreteDefault
                "Discrete with 3 checkpoints", Differentiation.Discrete { MaxCheckpoints = 3; GraphWindow = 2 }
            |]
            |> Array.map (find plain)
            [|
                "Recorded, coupled", Differentiation.Recorded
                "Reversible, coupled", Differentiation.ReversibleDefault
            |]
            |> Array.map (find coupled)
        |]

        let quotients = finiteDifference plain tolerance 1e-6 problem

        let law what worst allowed = {
            Law = $"{tableau.Name}: {what}, on {problem.Name}"
            Holds = worst <= allowed
            Detail = $"relative gap %.1e{worst}, allowed %.1e{allowed}"
        }

        [|
            for group in groups do
                let first, expected = group[0]

                for name, found in Array.tail group do
                    law $"the gradients of {name} and {first} agree" (relativeGap found expected) gap

                for name, found in group do
                    law $"{name} gives the limit of difference quotients" (relativeGap found quotients) differenceGap
        |]
