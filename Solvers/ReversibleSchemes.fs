// One reversible step and its algebra, forward and back: reversible Heun and the coupled form of a tableau.
// Reversible Heun: Kidger, Foster, Li and Lyons 2021. The coupling of any tableau: McCallum and Foster 2024.
namespace Continuum

open System
open System.Collections.Generic
open TorchSharp

/// An accepted step, with the very numbers that the forward solve used.
[<Struct>]
type internal ReversibleStep = {
    From: float
    To: float
    /// Signed length; To - From up to rounding.
    H: float
    /// The first step after Start: its second state was set to its first.
    Fresh: bool
}

/// A pair of states and its cotangents on the way back.
[<Struct; NoEquality; NoComparison>]
type internal ReversiblePair = {
    Y: Tensor
    Z: Tensor
    GradY: Tensor
    GradZ: Tensor
    /// Cotangent of the slope at Z that the later step left for the earlier one; null for none.
    GradSlope: Tensor
    /// Z as a leaf and the slope there with its graph, where the scheme has them already; else null.
    Leaf: Tensor
    Slope: Tensor
} with

    member private this.All = [| this.Y; this.Z; this.GradY; this.GradZ; this.GradSlope; this.Leaf; this.Slope |]

    /// Hands everything to the enclosing scope.
    member this.MoveOut() =
        for x in this.All do
            if not (isNull x) then
                x.MoveToOuterDisposeScope() |> ignore

    member this.Free() =
        for x in this.All do
            if not (isNull x) then
                x.Dispose()

/// A map (y, z) -> (y1, z1) with an algebraic inverse.
[<AbstractClass>]
type internal ReversibleScheme() =
    /// For reports.
    abstract Name: string
    abstract ErrorOrder: int
    abstract IsAdaptive: bool
    abstract Feedback: Feedback
    abstract StabilityRadius: float
    abstract Evaluations: int
    /// The slope at the end of a step is the first one of the next.
    abstract SharesSlope: bool
    /// f(t, x).
    abstract SlopeAt: t: float * x: Tensor -> Tensor
    /// y1, given the slope at (t, z).
    abstract First: t: float * tEnd: float * h: float * y: Tensor * z: Tensor * slope: Tensor -> Tensor
    /// z1 and the slope at the end, after First.
    abstract Second: tEnd: float * h: float * z: Tensor * y1: Tensor -> struct (Tensor * Tensor)
    /// Scaled norm of the error estimate of the step that First took; 0 without one.
    abstract ErrorNorm: h: float * y: Tensor * y1: Tensor -> float
    /// The weights and slopes whose sum is the error estimate; null weights without one.
    abstract Estimate: struct (float[] * Tensor[] * int)
    /// Undoes a step and carries the cotangents through it; the parameters' part goes to the accumulator. Every tensor
    /// of the result is fresh.
    abstract Pull: step: ReversibleStep * pair: ReversiblePair * gradients: GradientAccumulator -> ReversiblePair
    /// Carries what is left in GradSlope to Z.
    abstract Settle: t: float * pair: ReversiblePair * gradients: GradientAccumulator -> ReversiblePair

/// Reversible Heun. space decides whether sums may be written in place.
[<Sealed>]
type internal HeunScheme(space: TensorSpace, field: TensorField) =
    inherit ReversibleScheme()

    let normed = space :> INormedSpace<Tensor>
    let eval = ScalarClockField field :> IField<Tensor, float>
    let slopes: Tensor[] = Array.zeroCreate 2
    let half = [| 0.5; 0.5 |]
    let difference = [| -0.5; 0.5 |]
    let mutable second: Tensor = null
    let mutable evaluations = 0

    let slopeAt t x =
        evaluations <- evaluations + 1
        eval.Eval(t, x, x)

    /// The slope with its graph.
    let graph (t: float) (z: Tensor) : struct (Tensor * Tensor) =
        use _ = torch.enable_grad ()
        let leaf = z.detach().requires_grad_ true
        struct (leaf, slopeAt t leaf)

    override _.SharesSlope = true
    override _.Name = "ReversibleHeun"
    override _.ErrorOrder = 2
    override _.IsAdaptive = true
    override _.Feedback = Controller.pi 2
    override _.StabilityRadius = nan
    override _.Evaluations = evaluations
    override _.SlopeAt(t, x) = slopeAt t x

    override _.First(_, tEnd, h, y, z, slope) =
        slopes[0] <- slope
        // 2 y - z
        let mirrored = y.add (y.sub z)
        second <- normed.Combine(mirrored, mirrored, h, [| 1.0 |], slopes, 1)
        slopes[1] <- slopeAt tEnd second
        normed.Combine(y, y, h, half, slopes, 2)

    override _.Second(_, _, _, _) = struct (second, slopes[1])
    override _.ErrorNorm(h, y, y1) = normed.ErrorNorm(y, y1, h, difference, slopes, 2)
    override _.Estimate = struct (difference, slopes, 2)

    override _.Pull(step, pair, gradients) =
        let struct (leaf1, slope1) =
            if isNull pair.Leaf then
                graph step.To pair.Z
            else
                struct (pair.Leaf, pair.Slope)

        let f1 = slope1.detach ()
        use halfStep = (0.5 * step.H).ToScalar()
        use whole = step.H.ToScalar()
        let weighted = pair.GradY.mul halfStep
        let gradSlope1 = if isNull pair.GradSlope then weighted else weighted.add pair.GradSlope
        let gradZ1 = pair.GradZ.add (gradients.Backward([| slope1 |], [| gradSlope1 |], [| leaf1 |])[0])
        let z = pair.Y.add(pair.Y.sub pair.Z).sub(f1.mul whole)
        let struct (leaf, slope) = graph step.From z
        let f = slope.detach ()

        {
            Y = pair.Y.sub (f.add(f1).mul halfStep)
            Z = z
            GradY = pair.GradY.add (gradZ1, 2.0)
            GradZ = gradZ1.neg ()
            GradSlope = weighted.add (gradZ1, whole)
            Leaf = leaf
            Slope = slope
        }

    override _.Settle(t, pair, gradients) =
        if isNull pair.GradSlope then
            pair
        else
            let struct (leaf, slope) = if isNull pair.Leaf then graph t pair.Z else struct (pair.Leaf, pair.Slope)
            let through = gradients.Backward([| slope |], [| pair.GradSlope |], [| leaf |])[0]

            {
                pair with
                    GradZ = pair.GradZ.add through
                    GradSlope = null
                    Leaf = null
                    Slope = null
            }

/// A tableau's increment Psi_h applied forward from z and backward from y: y1 = c y + (1 - c) z + Psi_h(t, z),
/// z1 = z - Psi_-h(t1, y1).
[<Sealed>]
type internal CoupledScheme(tableau: Tableau, coupling: float, space: TensorSpace, field: TensorField, like: Tensor) =
    inherit ReversibleScheme()

    let normed = space :> INormedSpace<Tensor>

    let kernel () =
        RungeKuttaKernel<Tensor, float, TensorSpace, ScalarClockField>(tableau, space, ScalarClockField field, like)

    let onward = kernel ()
    let backward = kernel ()
    let b = tableau.Raw.B
    let count = if tableau.Fsal then tableau.Stages - 1 else tableau.Stages

    let estimates =
        match tableau.Raw.Error with
        | NoEstimate -> [||]
        | Embedded w -> [| w |]
        | Dop853Pair(fifth, third) -> [| fifth; third |]

    /// whole - length * (sum of b k) with the stages k of Psi_h(t, leaf), under autograd.
    let graph
        (kernel: RungeKuttaKernel<Tensor, float, TensorSpace, ScalarClockField>)
        (t: float)
        (h: float)
        (from: Tensor)
        (length: float)
        (whole: Tensor)
        =
        use _ = torch.enable_grad ()
        let leaf = from.detach().requires_grad_ true
        kernel.FirstSlope(t, leaf)
        kernel.InnerStages(t, h, leaf)
        struct (leaf, normed.Combine(whole, whole, -length, b, kernel.K, count))

    override _.SharesSlope = false
    override _.Name = $"Reversible({tableau.Name})"
    override _.ErrorOrder = tableau.ErrorOrder
    override _.IsAdaptive = tableau.IsAdaptive
    override _.Feedback = StepDefaults.feedback tableau
    override _.StabilityRadius = tableau.StabilityRadius
    override _.Evaluations = onward.Evaluations + backward.Evaluations
    override _.SlopeAt(t, x) = onward.Slope(t, x, x)

    override _.First(t, _, h, y, z, slope) =
        onward.K[0] <- slope

        if tableau.Fsal && estimates.Length > 0 then
            // The embedded formula uses the slope at z + Psi.
            onward.Step(t, h, z, z) |> ignore
        else
            onward.InnerStages(t, h, z)

        let mixed = if coupling = 1.0 then y else y.mul(coupling).add(z, 1.0 - coupling)

        normed.Combine(mixed, mixed, h, b, onward.K, count)

    override _.Second(tEnd, h, z, y1) =
        backward.FirstSlope(tEnd, y1)
        backward.InnerStages(tEnd, -h, y1)
        struct (normed.Combine(z, z, h, b, backward.K, count), backward.K[0])

    override _.ErrorNorm(h, y, y1) =
        let norm w = normed.ErrorNorm(y, y1, h, w, onward.K, tableau.Stages)

        match estimates with
        | [||] -> 0.0
        | [| w |] -> norm w
        | _ ->
            let e5 = norm estimates[0]
            let e3 = norm estimates[1]
            if e5 = 0.0 && e3 = 0.0 then 0.0 else e5 * e5 / sqrt (e5 * e5 + 0.01 * e3 * e3)

    override _.Estimate =
        struct ((if estimates.Length = 0 then null else estimates[0]), onward.K, tableau.Stages)

    override _.Pull(step, pair, gradients) =
        // z1 = z - Psi_-h(t1, y1), so the cotangent of z1 enters z = z1 + Psi_-h with the opposite sign.
        let struct (leafY, z) = graph backward step.To -step.H pair.Y step.H pair.Z
        let through = gradients.Backward([| z |], [| pair.GradZ.neg () |], [| leafY |])
        let gradY = pair.GradY.add through[0]
        let z = z.detach ()
        // y1 = c y + (1 - c) z + Psi_h(t, z): the same with the rest c y + (1 - c) z.
        let struct (leafZ, rest) = graph onward step.From step.H z step.H pair.Y
        let through = gradients.Backward([| rest |], [| gradY.neg () |], [| leafZ |])
        let rest = rest.detach ()

        {
            Y = rest.add(z, coupling - 1.0).div(coupling)
            Z = z
            GradY = gradY.mul coupling
            GradZ = pair.GradZ.add(gradY, 1.0 - coupling).add through[0]
            GradSlope = null
            Leaf = null
            Slope = null
        }

    override _.Settle(_, pair, _) = pair
