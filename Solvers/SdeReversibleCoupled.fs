// Any Stratonovich method made reversible by a second state: McCallum and Foster 2024.
//   y1 = c (y0 - z0) + S(t0, z0),   z1 = z0 + y1 - S'(t1, y1)   with S a step of the method and S' its step backward along the same path.
// Undone by   z0 = z1 - y1 + S'(t1, y1),   y0 = z0 + (y1 - S(t0, z0)) / c.
namespace Continuum

open System
open TorchSharp

/// Steps along the reversed path.
[<RequireQualifiedAccess>]
module internal ReversedStep =
    let private negated (x: Tensor) = if isNull x then null else x.neg ()

    /// -W, H, -K, -A.
    let ofStep (b: BrownianStep<Tensor>) : BrownianStep<Tensor> = {
        W = b.W.neg ()
        H = b.H
        K = negated b.K
        A = negated b.A
    }

/// The coupled form of a method as a kernel of pairs. Both kernels are the method's, one for steps onward and one for steps backward.
[<Sealed>]
type internal SdeCoupledKernel
    (onward: ISdeKernel<Tensor, Tensor>, backward: ISdeKernel<Tensor, Tensor>, coupling: float) =
    interface ISdeKernel<SdePair, Tensor> with
        member _.Name = $"Reversible({onward.Name})"
        member _.Level = onward.Level
        member _.StrongOrder = onward.StrongOrder
        member _.ErrorOrder = onward.ErrorOrder
        member _.HasErrorEstimate = onward.HasErrorEstimate

        member _.Start() =
            onward.Start()
            backward.Start()

        member _.Hold(t, y) = onward.Hold(t, y.Z)

        member _.Step(t, h, b, y, _) =
            let y1 = y.Y.sub(y.Z).mul_(coupling).add_(onward.Step(t, h, b, y.Z, y.Z))
            let back = backward.Step(t + h, -h, ReversedStep.ofStep b, y1, y1)
            SdePair(y1, y.Z.add(y1).sub_ back, null, null)

        member _.ErrorEstimate _ = SdePair.Alone(onward.ErrorEstimate null)
        member _.Drift(t, y, _) = SdePair.Alone(onward.Drift(t, y.Y, null))
        member _.Spread(t, y, _) = SdePair.Alone(onward.Spread(t, y.Y, null))

        member _.Difficulty =
            if onward.Difficulty <> Status.Success then
                onward.Difficulty
            else
                backward.Difficulty

        member _.DriftEvaluations = onward.DriftEvaluations + backward.DriftEvaluations
        member _.DiffusionEvaluations = onward.DiffusionEvaluations + backward.DiffusionEvaluations
        member _.Work = onward.Work

/// The sweep of a coupled method: two graphs of a step each, one for each of the two maps that make a step.
[<Sealed>]
type internal SdeCoupledSweep(kernel: ISdeKernel<Tensor, Tensor>, driver: SdeDriver, coupling: float, like: Tensor) =
    inherit SdeReverseSweep()

    let mutable y: Tensor = null
    let mutable z: Tensor = null
    let mutable barY = torch.zeros_like like
    let mutable barZ = torch.zeros_like like

    let free (x: Tensor) =
        if not (isNull x) then
            x.Dispose()

    /// A step from a leaf, recorded.
    let graph (t: float) (h: float) (b: BrownianStep<Tensor>) (from: Tensor) : struct (Tensor * Tensor) =
        use _ = torch.enable_grad ()
        let leaf = from.detach().requires_grad_ true
        struct (leaf, kernel.Step(t, h, b, leaf, leaf))

    /// The error norm of the step just recorded times |h|, or null where nobody asks.
    let errorNorm (errorBar: Tensor) (h: float) : Tensor =
        if isNull errorBar || not kernel.HasErrorEstimate then
            null
        else
            use _ = torch.enable_grad ()
            (kernel.ErrorEstimate null).norm().mul(abs h)

    /// y_r = c (y - z) + S_r(t, z) inside the step that starts at t.
    let side (gradients: GradientAccumulator) (t: float) (y0Bar: Tensor) (z0Bar: Tensor) (at: SideCotangent) =
        let struct (leaf, step) = graph t (at.Time - t) (driver.Along(t, at.Time)) z
        let bar = at.Cotangent
        let through = gradients.Backward([| step |], [| bar |], [| leaf |])[0]
        y0Bar.add_ (bar, coupling) |> ignore
        z0Bar.add_(through).add_(bar, -coupling) |> ignore

    override _.Y = y
    override _.Z = z
    override _.Snapshot() = SdeBars.Copy([| barY.clone (); barZ.clone () |], 0.0)

    override _.Restore bars =
        free barY
        free barZ
        barY <- bars.Tensors[0].clone()
        barZ <- bars.Tensors[1].clone()

    override _.Place(_, yNew, zNew) =
        free y
        free z
        y <- yNew.alias ()
        z <- zNew.alias ()

    override _.Receive cotangent =
        let sum = barY.add cotangent
        free barY
        barY <- sum

    override this.Pull(step, sides, gradients) =
        use scope = torch.NewDisposeScope()
        let h = step.Length
        let b = driver.Along(step.From, step.To)
        // z1 = z0 + y1 - S'(t1, y1)
        let struct (leafY, back) = graph step.To -h (ReversedStep.ofStep b) y
        let z0 = z.sub(y).add_(back.detach ())
        // y1 = c (y0 - z0) + S(t0, z0)
        let struct (leafZ, onward) = graph step.From h b z0
        let error = errorNorm this.ErrorBar h
        let y0 = y.sub(onward.detach ()).div_(coupling).add_ z0

        let struct (startBar, endBar) =
            if isNull this.StiffnessBar then
                struct (null, barY)
            else
                let struct (startBar, endBar) = SdeStiffness.pull driver.At step.From y0 y this.StiffnessBar gradients
                struct (startBar, endBar.add barY)

        let through = gradients.Backward([| back |], [| barZ.neg () |], [| leafY |])[0]
        let y1Bar = endBar.add(barZ).add_ through

        let through =
            if isNull error then
                gradients.Backward([| onward |], [| y1Bar |], [| leafZ |])[0]
            else
                gradients.Backward([| onward; error |], [| y1Bar; this.ErrorBar.reshape error.shape |], [| leafZ |])[0]

        let y0Bar = y1Bar.mul coupling
        let z0Bar = barZ.add(through).sub_ y0Bar

        if not (isNull startBar) then
            y0Bar.add_ startBar |> ignore

        for x in [| y; z; barY; barZ |] do
            free x

        y <- y0.MoveToOuterDisposeScope()
        z <- z0.MoveToOuterDisposeScope()

        for at in sides do
            use _ = torch.NewDisposeScope()
            side gradients step.From y0Bar z0Bar at

        barY <- y0Bar.MoveToOuterDisposeScope()
        barZ <- z0Bar.MoveToOuterDisposeScope()

    override _.Finish _ = barY.add barZ
