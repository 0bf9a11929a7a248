// Operators as right-hand sides of differential equations between functions.
namespace Continuum

open System
open TorchSharp

/// A learned operator as a vector field: solvers, their adjoints and stochastic terms take it as they take any other.
[<RequireQualifiedAccess>]
module OperatorDynamics =

    let private image
        (model: NeuralOperator)
        (points: Discretisation)
        (others: Field[])
        (parameters: Tensor)
        (y: Tensor)
        : Tensor =
        let functions = Array.append [| new Field(points, y) |] others
        (model.Apply(OperatorInput(functions, parameters, Unchecked.defaultof<Field>, points))).Values

    let private check (model: NeuralOperator) =
        ArgumentNullException.ThrowIfNull(model, nameof model)

        if model.InputChannels[0] <> model.OutputChannels then
            OperatorChecks.bad
                $"dy/dt = G(y) needs an operator whose first input has as many channels as its image; got {model.InputChannels[0]} and {model.OutputChannels}."

    /// dy/dt = G(y, others, parameters): the state is a tensor (batch, channels, points) of functions at these points, the first input function of G; the other input
    /// functions and the scalar parameters stay as they are. Gradients reach the initial state and the operator's parameters by every way to differentiate a solve.
    /// ArgumentException for an operator whose image is no derivative of its first input.
    let fieldWith
        (model: NeuralOperator)
        (points: Discretisation)
        (others: Field[])
        (parameters: Tensor)
        : TensorField =
        check model
        let tracked = seq { for p in model.parameters () -> p :> Tensor }
        TensorField.autonomous tracked (image model points others parameters)

    /// dy/dt = G(y).
    let field (model: NeuralOperator) (points: Discretisation) : TensorField = fieldWith model points [||] null

    /// dy/dt = L y + G(y) as `field`, with L y computed by a function of yours, such as a Laplacian by GridCalculus: the known part of an equation.
    let fieldBeside (model: NeuralOperator) (points: Discretisation) (known: Field -> Field) : TensorField =
        check model
        let tracked = seq { for p in model.parameters () -> p :> Tensor }

        TensorField.autonomous tracked (fun y ->
            (image model points [||] null y).add((known (new Field(points, y))).Values))

    /// The system dy = G(y) dt + s(y) dW with independent noise on every value, s given by a function of values.
    let diagonalNoise<'C when 'C :> Calculus>
        (model: NeuralOperator)
        (points: Discretisation)
        (noise: Tensor -> Tensor)
        : Sde<'C, DiagonalNoise> =
        check model
        let tracked = seq { for p in model.parameters () -> p :> Tensor }
        Sde.diagonal<'C> tracked (fun _ y -> image model points [||] null y) (fun _ y -> noise y)
