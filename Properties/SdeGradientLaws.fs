namespace Continuum.Properties

open System
open Continuum
open TorchSharp

/// A stochastic initial value problem on tensors with its path: laws about its gradients can be tried on it.
type SdeGradientProblem<'C, 'N when 'C :> Calculus and 'N :> GeneralNoise> = {
    /// For messages.
    Name: string
    /// The equation, with its parameters (leaves that require a gradient).
    Sde: Sde<'C, 'N>
    /// The path; it must cover the span.
    Path: IBrownian<Tensor>
    /// Start of the span.
    Start: float
    /// End of the span.
    End: float
    /// Initial state, float64.
    Initial: Tensor
    /// Times at which the loss looks at the solution.
    SaveTimes: float[]
}

/// The laws of differentiating a stochastic solve along one path.
[<RequireQualifiedAccess>]
module SdeGradientLaws =

    /// A loss that weighs every saved value differently.
    let private loss (states: Tensor) : Tensor =
        use _ = torch.NewDisposeScope()
        let weights = torch.arange (states.numel (), dtype = states.dtype)
        let weights = weights.mul((0.7).ToScalar()).add((0.3).ToScalar()).cos().reshape states.shape
        states.mul(weights).sum().add(states.pow(2.0.ToScalar()).sum().mul((0.05).ToScalar())).MoveToOuterDisposeScope()

    let private solve (options: TensorSdeOptions) method (problem: SdeGradientProblem<'C, 'N>) way (initial: Tensor) =
        let options = { options with SaveAt = Times problem.SaveTimes; Differentiation = way }
        let solution = TensorSde.solve options method problem.Sde problem.Path problem.Start problem.End initial
        solution.EnsureSuccess()

    let private valueOf (options: TensorSdeOptions) (solution: TensorSolution) =
        if options.Heuristics && not (isNull solution.ErrorEstimate) then
            let weighed = (loss solution.States).add(solution.ErrorEstimate, (0.3).ToScalar())

            if isNull solution.StiffnessEstimate then
                weighed
            else
                weighed.add (solution.StiffnessEstimate, (0.01).ToScalar())
        else
            loss solution.States

    /// The gradient of the loss for the initial state and the parameters, flattened into one array. With options.Heuristics the loss
    /// weighs the heuristics too. SaveAt and Differentiation of the options are not looked at.
    let gradient
        (options: TensorSdeOptions)
        (method: SdeMethod<'C, 'N>)
        (problem: SdeGradientProblem<'C, 'N>)
        (way: Differentiation)
        : float[] =
        use _ = torch.NewDisposeScope()
        let initial = problem.Initial.detach().clone().requires_grad_ true
        let solution = solve options method problem way initial
        let inputs = Array.append [| initial |] problem.Sde.Terms.Parameters
        let value = valueOf options solution
        Autograd.vjp [| value |] inputs [| torch.ones_like value |] |> Array.collect Tensors.toArray

    /// Central differences of the loss along the same path, for the initial state and the parameters (which are changed and put back).
    let finiteDifference
        (options: TensorSdeOptions)
        (method: SdeMethod<'C, 'N>)
        (step: float)
        (problem: SdeGradientProblem<'C, 'N>)
        (way: Differentiation)
        : float[] =
        use _ = torch.NewDisposeScope()
        use _ = torch.no_grad ()
        let initial = problem.Initial.detach().clone()

        let value () =
            use _ = torch.NewDisposeScope()
            (valueOf options (solve options method problem way initial)).ToDouble()

        [|
            for x in Array.append [| initial |] problem.Sde.Terms.Parameters do
                let flat = x.reshape -1L

                for i in 0L .. flat.numel () - 1L do
                    let at = flat.[i]
                    let centre = at.ToDouble()
                    at.fill_ ((centre + step).ToScalar()) |> ignore
                    let above = value ()
                    at.fill_ ((centre - step).ToScalar()) |> ignore
                    let below = value ()
                    at.fill_ (centre.ToScalar()) |> ignore
                    yield (above - below) / (2.0 * step)
        |]

    let private result law found allowed = {
        Law = law
        Holds = found <= allowed
        Detail = $"relative gap %.1e{found}, allowed %.1e{allowed}"
    }

    let private nameOf (way: Differentiation) = (string way).Split([| ' '; '\n' |])[0]

    /// Two ways to differentiate one discrete solution agree to a relative gap.
    let agree
        (options: TensorSdeOptions)
        (method: SdeMethod<'C, 'N>)
        (gap: float)
        (problem: SdeGradientProblem<'C, 'N>)
        (one: Differentiation)
        (other: Differentiation)
        : LawResult =
        let a = gradient options method problem one
        let b = gradient options method problem other

        result
            $"{method.Name}: {nameOf one} and {nameOf other} give the same gradient on {problem.Name}"
            (GradientLaws.relativeGap a b)
            gap

    /// The gradient is the limit of difference quotients along the same path. For fixed steps, so that the quotient sees no change of
    /// steps.
    let agreesWithDifferences
        (options: TensorSdeOptions)
        (method: SdeMethod<'C, 'N>)
        (gap: float)
        (problem: SdeGradientProblem<'C, 'N>)
        (way: Differentiation)
        : LawResult =
        let a = gradient options method problem way
        let b = finiteDifference options method 1e-5 problem way

        result
            $"{method.Name}: the gradient by {nameOf way} on {problem.Name} is the limit of difference quotients"
            (GradientLaws.relativeGap a b)
            gap

    /// Mean gap between the gradients and the closed form's over problems that differ in their path: the mean over all entries of the
    /// root mean square over the problems, for each number of steps.
    let private gaps
        (method: SdeMethod<'C, 'N>)
        (problems: (SdeGradientProblem<'C, 'N> * (unit -> float[]))[])
        (way: Differentiation)
        (steps: int[])
        : float[] =
        let expected = problems |> Array.map (fun (_, exact) -> exact ())

        steps
        |> Array.map (fun n ->
            let squares =
                problems
                |> Array.mapi (fun k (problem, _) ->
                    let length = (problem.End - problem.Start) / float n
                    let found = gradient (TensorSdeOptions.fixedSteps (abs length)) method problem way
                    Array.map2 (fun a b -> (a - b) * (a - b)) found expected[k] |> Array.average)

            sqrt (Array.average squares))

    /// The gradient converges to the exact one with the strong order of the method: the slope of the gap over the numbers of
    /// steps (at least two, increasing), over problems that differ in their path, lies within `slack` of `order`. exact: the gradient of
    /// the loss in closed form, as `closedForm` makes it.
    let converges
        (method: SdeMethod<'C, 'N>)
        (order: float)
        (slack: float)
        (problems: (SdeGradientProblem<'C, 'N> * (unit -> float[]))[])
        (way: Differentiation)
        (steps: int[])
        : LawResult =
        let found = gaps method problems way steps
        let span = (fst problems[0]).End - (fst problems[0]).Start
        let pairs = Array.map2 (fun n gap -> struct (abs span / float n, gap)) steps found
        let slope = Slope.observed pairs
        let name = (fst problems[0]).Name

        {
            Law = $"{method.Name}: the gradient by {nameOf way} on {name} converges with the order of the method"
            Holds = abs (slope - order) <= slack
            Detail = $"slope %.2f{slope}, expected %.2f{order} within %.2f{slack}; {Slope.describe pairs}"
        }

    /// The gradient of the loss where the solution is known: solution gives the saved states (times, ...) from the initial state and the
    /// equation's parameters, recorded by autograd.
    let closedForm (problem: SdeGradientProblem<'C, 'N>) (solution: Tensor -> Tensor[] -> Tensor) : float[] =
        use _ = torch.NewDisposeScope()
        let initial = problem.Initial.detach().clone().requires_grad_ true
        let parameters = problem.Sde.Terms.Parameters
        let value = loss (solution initial parameters)
        let inputs = Array.append [| initial |] parameters
        Autograd.vjp [| value |] inputs [| torch.ones_like value |] |> Array.collect Tensors.toArray

    /// Second derivatives: the product of the Hessian with a direction, by Recorded, is the difference quotient of gradients.
    let secondOrder
        (options: TensorSdeOptions)
        (method: SdeMethod<'C, 'N>)
        (gap: float)
        (problem: SdeGradientProblem<'C, 'N>)
        : LawResult =
        use _ = torch.NewDisposeScope()
        let way = Differentiation.Recorded

        let gradientsAt (initial: Tensor) =
            let solution = solve options method problem way initial
            let value = valueOf options solution
            let inputs = Array.append [| initial |] problem.Sde.Terms.Parameters
            struct (inputs, Autograd.vjpGraph [| value |] inputs [| torch.ones_like value |])

        let direction = torch.ones_like(problem.Initial).mul_((0.8).ToScalar())
        let initial = problem.Initial.detach().clone().requires_grad_ true
        let struct (inputs, first) = gradientsAt initial
        let along = first[0].mul(direction).sum()

        let product =
            Autograd.vjp [| along |] inputs [| torch.ones_like along |] |> Array.collect Tensors.toArray

        let step = 1e-5

        let shifted sign =
            let at = {
                problem with
                    Initial = problem.Initial.add (direction, (sign * step).ToScalar())
            }

            gradient options method at way

        let quotient = Array.map2 (fun a b -> (a - b) / (2.0 * step)) (shifted 1.0) (shifted -1.0)

        result
            $"{method.Name}: second derivatives on {problem.Name} are the limit of difference quotients of gradients"
            (GradientLaws.relativeGap product quotient)
            gap

    /// A reversible sweep that stores nothing but the end of the solve gives the gradient of one that stores every state.
    let reverses
        (options: TensorSdeOptions)
        (method: SdeMethod<'C, 'N>)
        (coupling: float)
        (gap: float)
        (problem: SdeGradientProblem<'C, 'N>)
        : LawResult =
        let every n = Differentiation.Reversible { Coupling = coupling; CheckpointEvery = n; OnDrift = null }

        result
            $"{method.Name}: undoing steps gives the states of {problem.Name} back"
            (GradientLaws.relativeGap
                (gradient options method problem (every Int32.MaxValue))
                (gradient options method problem (every 1)))
            gap

    /// Every exact way to differentiate this method agrees with Recorded to a relative gap: Discrete, Discrete with few checkpoints, and
    /// Reversible where the method is reversible Heun.
    let allAgree
        (options: TensorSdeOptions)
        (method: SdeMethod<'C, 'N>)
        (gap: float)
        (problem: SdeGradientProblem<'C, 'N>)
        : LawResult[] = [|
        for way in
            [|
                Differentiation.DiscreteDefault
                Differentiation.Discrete { MaxCheckpoints = 3; GraphWindow = 2 }
                if method.Name = "ReversibleHeun" then
                    Differentiation.ReversibleDefault
            |] do
            agree options method gap problem way Differentiation.Recorded
    |]
