// Reversible Heun for stochastic equations: the step, its algebraic inverse and its exact adjoint.
// Kidger, Foster, Li and Lyons 2021, algorithms 1 and 2, in a symmetric form: with d_i = f_i h + g_i W,
//   z1 = 2 y0 - z0 + d0,   y1 = (z0 + z1) / 2 + d1 / 2   and back   z0 = 2 y1 - z1 - d1,   y0 = (z0 + z1) / 2 - d0 / 2.
namespace Continuum

open System
open TorchSharp

/// The two sums of a step; both are their own inverse with the sign turned. Results are fresh, and recorded where gradients are on.
[<Struct>]
type internal HeunAlgebra(noise: NoiseAlgebra) =
    /// 2 y - z + sign (f h + g W).
    member _.Mirror(y: Tensor, z: Tensor, f: Tensor, g: Tensor, h: float, w: Tensor, sign: float) : Tensor =
        if noise.IsElementwise && not (torch.is_grad_enabled ()) && HostHeun.suits y z f g w then
            HostHeun.sum 2.0 y -1.0 z (sign * h) f sign g w
        else
            use length = (sign * h).ToScalar()
            let sum = y.sub(z).add_ y
            sum.add_ (f, length) |> ignore
            noise.Add(sum, g, w, sign)
            sum

    /// (z0 + z1 + sign (f h + g W)) / 2.
    member _.Meet(z0: Tensor, z1: Tensor, f: Tensor, g: Tensor, h: float, w: Tensor, sign: float) : Tensor =
        if noise.IsElementwise && not (torch.is_grad_enabled ()) && HostHeun.suits z0 z1 f g w then
            HostHeun.sum 0.5 z0 0.5 z1 (0.5 * sign * h) f (0.5 * sign) g w
        else
            use half = 0.5.ToScalar()
            use length = (0.5 * sign * h).ToScalar()
            let sum = z0.add(z1).mul_ half
            sum.add_ (f, length) |> ignore
            noise.Add(sum, g, w, 0.5 * sign)
            sum

/// Reversible Heun (Stratonovich): one evaluation of drift and diffusion a step; strong order 1 for commutative noise, 1/2 for general.
[<Sealed>]
type internal SdeHeunKernel(driver: SdeDriver) =
    let noise = driver.Algebra
    let algebra = HeunAlgebra noise
    let kind = driver.Terms.Noise
    let mutable last = struct (null, null, null, null)
    let mutable length = 0.0
    let mutable increment: Tensor = null

    interface ISdeKernel<SdePair, Tensor> with
        member _.Name = "ReversibleHeun"
        member _.Level = LevyLevel.Increments
        member _.StrongOrder = if kind = NoiseKind.General then 0.5 else 1.0
        member _.ErrorOrder = if kind = NoiseKind.Additive then 1.5 else 1.0
        member _.HasErrorEstimate = true
        member _.Start() = ()
        member _.Hold(_, _) = ()

        member _.Step(t, h, b, y, _) =
            let struct (f, g) = if isNull y.F then driver.Evaluate(t, y.Z) else struct (y.F, y.G)
            let w = driver.Convert b.W
            let z1 = algebra.Mirror(y.Y, y.Z, f, g, h, w, 1.0)
            let struct (f1, g1) = driver.Evaluate(t + h, z1)
            last <- struct (f, g, f1, g1)
            length <- h
            increment <- w
            SdePair(algebra.Meet(y.Z, z1, f1, g1, h, w, 1.0), z1, f1, g1)

        member _.ErrorEstimate _ =
            let struct (f, g, f1, g1) = last
            let sum = f1.sub(f).mul((0.5 * length))
            noise.Add(sum, g1.sub g, increment, 0.5)
            SdePair.Alone sum

        member _.Drift(t, y, _) =
            let struct (f, _) = driver.Evaluate(t, y.Y)
            SdePair.Alone f

        member _.Spread(t, y, _) =
            let struct (_, g) = driver.Evaluate(t, y.Y)
            SdePair.Alone(noise.Spread(g, y.Y))

        member _.Difficulty = Status.Success
        member _.DriftEvaluations = driver.Evaluations
        member _.DiffusionEvaluations = driver.Evaluations
        member _.Work = ImplicitWork.Zero

/// The sweep of reversible Heun: one graph over drift and diffusion, and one sweep over it, for each step. With Y, Z the cotangents of y, z it keeps a = Y / 2 and s = -Z, for which a step is
///   s <- J' - s,  a <- a + s  with J' the product of the cotangents (h + h') a of f and a (W + W')' of g with their Jacobians,
/// where h', W' belong to the later step. What saved values add to the cotangents of f and g goes into extraF and extraG.
[<Sealed>]
type internal SdeHeunSweep(driver: SdeDriver, like: Tensor) =
    inherit SdeReverseSweep()
    let noise = driver.Algebra
    let algebra = HeunAlgebra noise
    let mutable y: Tensor = null
    let mutable leaf: Tensor = null
    let mutable f: Tensor = null
    let mutable g: Tensor = null
    let mutable a = torch.zeros_like like
    let mutable s = torch.zeros_like like
    let mutable later = 0.0
    let mutable noiseLater: Tensor = null
    let mutable extraF: Tensor = null
    let mutable extraG: Tensor = null

    let half = 0.5

    let free (x: Tensor) =
        if not (isNull x) then
            x.Dispose()

    /// Out of the innermost scope; an alias of what does not belong to it (a field may return a parameter).
    let keep (scope: DisposeScope) (x: Tensor) =
        if isNull x then null
        elif scope.Contains x then x.MoveToOuterDisposeScope()
        else x.alias().MoveToOuterDisposeScope()

    let plus (sum: Tensor) (term: Tensor) = if isNull sum then term else sum.add term

    let addExtra (bar: Tensor) (length: float) (w: Tensor) =
        use length = length.ToScalar()
        extraF <- plus extraF (bar.mul length)
        extraG <- plus extraG (noise.Pull(g, bar, w))

    /// The cotangents of f and g where the sweep stands: of the step before it (of length h) and of the one after.
    let slopeBars (h: float) (w: Tensor) : struct (Tensor * Tensor) =
        if noise.IsElementwise && not (isNull w) && not (isNull noiseLater) && HostHeun.triple a w noiseLater then
            let struct (fBar, gBar) = HostHeun.bars (later + h) a w noiseLater
            struct (plus extraF fBar, plus extraG gBar)
        else
            use length = (later + h).ToScalar()
            let fBar = plus extraF (a.mul length)

            let both =
                if isNull w then noiseLater
                elif isNull noiseLater then w
                else w.add noiseLater

            struct (fBar, (if isNull both then extraG else plus extraG (noise.Pull(g, a, both))))

    /// Half the cotangent of y here. The later step passed its part on before this was added.
    let receive (bar: Tensor) =
        a <- a.add bar

        if not (isNull noiseLater) then
            addExtra bar -later (noiseLater.neg ())

    let pullSlopes
        (gradients: GradientAccumulator)
        (leaf: Tensor)
        (f: Tensor)
        (g: Tensor)
        (fBar: Tensor)
        (gBar: Tensor)
        =
        if isNull gBar then
            gradients.Backward([| f |], [| fBar |], [| leaf |])[0]
        else
            gradients.Backward([| f; g |], [| fBar; gBar |], [| leaf |])[0]

    /// A saved value inside the step that starts where the sweep stands: a step of its own, that the trajectory does not see.
    let side (gradients: GradientAccumulator) (time: float) (h: float) (w: Tensor) (at: SideCotangent) =
        let r = at.Time - time
        let wr = driver.Increment(time, at.Time)
        let z = algebra.Mirror(y, leaf, f, g, r, wr, 1.0)
        let struct (fR, gR) = driver.Graph(at.Time, z)
        use length = r.ToScalar()
        let bar = at.Cotangent.mul half
        let through = pullSlopes gradients z fR gR (bar.mul length) (noise.Pull(gR, bar, wr))
        let sum = bar.add through
        a <- a.add sum
        s <- s.add through
        addExtra sum (r - h) (wr.sub w)

    /// The error estimate of the step between (f0, g0) and (f, g): e = ((f - f0) h + (g - g0) W) / 2, in the sum |h| |e|.
    let estimate (errorBar: Tensor) (h: float) (w: Tensor) (f0: Tensor) (g0: Tensor) : Tensor =
        let e = f.sub(f0).mul_((0.5 * h))
        noise.Add(e, g.sub g0, w, 0.5)
        let norm = e.norm ()

        if norm.ToDouble() = 0.0 then
            null
        else
            e.mul_(errorBar).div_(norm).mul_(0.5 * abs h)

    override _.Y = y
    override _.Z = leaf

    override _.Snapshot() = SdeBars.Copy([| a; s; noiseLater; extraF; extraG |], later)

    override _.Restore bars =
        for x in [| a; s; noiseLater; extraF; extraG |] do
            free x

        let own = SdeBars.Copy(bars.Tensors, bars.Later)
        later <- own.Later
        a <- own.Tensors[0]
        s <- own.Tensors[1]
        noiseLater <- own.Tensors[2]
        extraF <- own.Tensors[3]
        extraG <- own.Tensors[4]

    override _.Place(t, yNew, zNew) =
        let old = struct (y, leaf, f, g)
        use scope = torch.NewDisposeScope()
        let leafNew = zNew.detach ()
        let struct (fNew, gNew) = driver.Graph(t, leafNew)
        y <- yNew.alias().MoveToOuterDisposeScope()
        leaf <- keep scope leafNew
        f <- keep scope fNew
        g <- keep scope gNew
        let struct (y, leaf, f, g) = old
        free y
        free leaf
        free f
        free g

    override _.Receive cotangent =
        use scope = torch.NewDisposeScope()
        let old = [| a; extraF; extraG |]
        receive (cotangent.mul half)
        a <- keep scope a
        extraF <- keep scope extraF
        extraG <- keep scope extraG

        for x, now in Array.zip old [| a; extraF; extraG |] do
            if not (Object.ReferenceEquals(x, now)) then
                free x

    override this.Pull(step, sides, gradients) =
        use scope = torch.NewDisposeScope()
        let h = step.Length
        let w = driver.Increment(step.From, step.To)
        let z0 = algebra.Mirror(y, leaf, f, g, h, w, -1.0)
        let struct (f0, g0) = driver.Graph(step.From, z0)
        let y0 = algebra.Meet(z0, leaf, f0, g0, h, w, -1.0)
        let old = [| y; leaf; f; g; a; s; noiseLater; extraF; extraG |]

        let startBar =
            if isNull this.StiffnessBar then
                null
            else
                let struct (startBar, endBar) = SdeStiffness.pull driver.At step.From y0 y this.StiffnessBar gradients
                receive (endBar.mul half)
                startBar

        let struct (fBar, gBar) = slopeBars h w
        let eBar = if isNull this.ErrorBar then null else estimate this.ErrorBar h w f0 g0

        let struct (fBar, gBar) =
            if isNull eBar then
                struct (fBar, gBar)
            else
                struct (fBar.add (eBar, h), gBar.add (noise.Pull(g, eBar, w)))

        let through = pullSlopes gradients leaf f g fBar gBar

        if HostHeun.triple a s through then
            let struct (sNew, aNew) = HostHeun.next through s a
            s <- sNew
            a <- aNew
        else
            s <- through.sub s
            a <- a.add s

        y <- y0
        leaf <- z0
        f <- f0
        g <- g0
        extraF <- null
        extraG <- null

        for at in sides do
            side gradients step.From h w at

        if not (isNull eBar) then
            addExtra (eBar.neg ()) h w

        later <- h
        noiseLater <- w

        if not (isNull startBar) then
            receive (startBar.mul half)

        y <- keep scope y
        leaf <- keep scope leaf
        f <- keep scope f
        g <- keep scope g
        a <- keep scope a
        s <- keep scope s
        noiseLater <- keep scope noiseLater
        extraF <- keep scope extraF
        extraG <- keep scope extraG

        for x in old do
            free x

    override _.Finish gradients =
        if isNull leaf then
            // Not a single step.
            a.add a
        else
            let struct (fBar, gBar) = slopeBars 0.0 null
            let through = pullSlopes gradients leaf f g fBar gBar
            a.add(a).sub(s).add through
