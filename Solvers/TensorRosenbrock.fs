// Rosenbrock steps on tensors, under one clock or a clock for each sample.
namespace Continuum

open System
open TorchSharp

/// Why systems gave no candidate, from which of their matrices were singular (null: none).
[<RequireQualifiedAccess>]
module internal Troubles =
    let ofSingular (singular: bool[]) : Status[] =
        if isNull singular then
            null
        else
            singular |> Array.map (fun bad -> if bad then Status.SingularMatrix else Status.Success)

/// Rosenbrock tableaus. joint: the state is one system; else each sample is one. Where gradients are enabled the Jacobian is
/// recorded too, so that the derivative of a step has the second derivatives of the field in it.
[<Sealed>]
type internal RosenbrockTensorKernel(tableau: RosenbrockTableau, field: TensorField, joint: bool, like: Tensor) =
    let linear = new TensorLinearSystem(field, joint)
    let system = linear :> ILinearSystem<Tensor, Tensor>

    let kernel =
        RosenbrockKernel<Tensor, Tensor, TensorClock, TensorClockField, TensorLinearSystem>(
            tableau,
            TensorClock(),
            TensorClockField field,
            linear,
            like,
            null,
            null
        )

    // Where the Jacobian and the time slope were formed last: a step that is tried again needs no others.
    let mutable place: Tensor = null
    let mutable timeSlope: Tensor = null

    let forgetTime () =
        if not (isNull timeSlope) then
            timeSlope.Dispose()
            timeSlope <- null

    let linearise (t: Tensor) (y: Tensor) (slope: Tensor) =
        if not (Object.ReferenceEquals(place, y)) || torch.is_grad_enabled () then
            system.Linearise(t, y, slope)
            forgetTime ()

            match system.TimeSlope(t, y, slope, null) with
            | null -> ()
            | found -> timeSlope <- found.DetachFromDisposeScope()

            place <- y

    interface ITensorKernel with
        member _.Name = tableau.Name
        member _.ErrorOrder = tableau.ErrorOrder
        member _.IsAdaptive = true
        member _.DefaultFeedback = Controller.pi tableau.ErrorOrder
        member _.StabilityRadius = nan
        member _.Slope(t, y) = kernel.Slope(t, y, y)

        member _.Step(t, h, y, slope) =
            linearise t y slope
            system.Factorise(h.mul tableau.Gamma) |> ignore
            kernel.Step(t, h, y, slope, timeSlope, y)

        member _.EndSlope = if tableau.Fsal then kernel.LastSlope else null
        member _.Errors h = [| (BatchTensors.plainSum tableau.Error kernel.K).mul_ h |]
        member _.Troubles = Troubles.ofSingular linear.Matrices.Singular
        member _.EnsureExtras(_, _, _) = ()
        member _.Slopes = kernel.K
        member _.Dense = tableau.Dense
        member _.Evaluations = kernel.Evaluations + system.Evaluations
        member _.Work = system.Work

        member _.Dispose() =
            forgetTime ()
            place <- null
            system.Dispose()
