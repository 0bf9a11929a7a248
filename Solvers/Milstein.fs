// Milstein's method and its forms: one stochastic Taylor term beyond Euler, with derivatives of the diffusion or without.
//   y1 = y + h f + g W + sum_kl I_kl (D g_l) g_k,   I = 1/2 (W W' - |h| 1) + A in Ito's sense, without |h| in Stratonovich's.
// A = 0 for noise that commutes (its part of the sum cancels).
namespace Continuum

open System

/// What the kernels of this file share.
[<AbstractClass>]
type internal MilsteinBase<'S, 'X, 'G, 'P when 'P: struct and 'P :> ISdeCalculusSpace<'S, 'X, 'G>>
    (name: string, calculus: CalculusKind, noise: NoiseKind, space: 'P, like: 'S) =
    let mutable space = space
    let isGeneral = noise = NoiseKind.General
    let mutable heldTime = nan
    let mutable heldF = space.Allocate like
    let ownF = space.Allocate like
    let spreadG = space.AllocateDiffusion like
    let matrix = space.AllocateNoise()

    /// Evaluations of the drift.
    member val Drifts = 0 with get, set
    /// Evaluations of the diffusion.
    member val Diffusions = 0 with get, set

    /// f(t, y), kept or new.
    member this.StartDrift(t: float, y: 'S) : 'S =
        if t = heldTime then
            heldF
        else
            this.Drifts <- this.Drifts + 1
            space.Drift(t, y, ownF)

    /// The iterated integrals of the step.
    member _.Integrals(h: float, b: BrownianStep<'X>) : 'X =
        let q = if calculus = CalculusKind.Ito then abs h else 0.0
        space.Iterated(matrix, b.W, (if isGeneral then b.A else Unchecked.defaultof<'X>), q)

    /// The state after the step.
    abstract Advance: t: float * h: float * b: BrownianStep<'X> * y: 'S * dest: 'S -> 'S

    interface ISdeKernel<'S, 'X> with
        member _.Name = name
        member _.Level = if isGeneral then LevyLevel.Area else LevyLevel.Increments
        member _.StrongOrder = 1.0
        member _.ErrorOrder = 1.5
        member _.HasErrorEstimate = false
        member _.Start() = heldTime <- nan

        member this.Hold(t, y) =
            this.Drifts <- this.Drifts + 1
            heldF <- space.Drift(t, y, heldF)
            heldTime <- t

        member this.Step(t, h, b, y, dest) = this.Advance(t, h, b, y, dest)
        member _.ErrorEstimate _ = Unchecked.defaultof<'S>

        member this.Drift(t, y, dest) =
            this.Drifts <- this.Drifts + 1
            space.Drift(t, y, dest)

        member this.Spread(t, y, dest) =
            this.Diffusions <- this.Diffusions + 1
            space.Spread(dest, y, space.Diffusion(t, y, spreadG))

        member _.Difficulty = Status.Success
        member this.DriftEvaluations = this.Drifts
        member this.DiffusionEvaluations = this.Diffusions
        member _.Work = ImplicitWork.Zero

/// With the derivative of the diffusion. Milstein 1975.
[<Sealed>]
type internal MilsteinKernel<'S, 'X, 'G, 'P when 'P: struct and 'P :> ISdeCalculusSpace<'S, 'X, 'G>>
    (calculus: CalculusKind, noise: NoiseKind, space: 'P, like: 'S) =
    inherit MilsteinBase<'S, 'X, 'G, 'P>("Milstein", calculus, noise, space, like)
    let mutable space = space
    let ownG = space.AllocateDiffusion like
    let ownD = space.Allocate like
    let weights = [| 0.0; 1.0 |]
    let slopes: 'S[] = Array.zeroCreate 2
    let g: 'G[] = Array.zeroCreate 1
    let x: 'X[] = Array.zeroCreate 1

    override this.Advance(t, h, b, y, dest) =
        slopes[0] <- this.StartDrift(t, y)
        x[0] <- b.W
        weights[0] <- h
        this.Diffusions <- this.Diffusions + 1

        if noise = NoiseKind.Additive then
            g[0] <- space.Diffusion(t, y, ownG)
            space.Combine(dest, y, weights, slopes, 1, g, x, 1)
        else
            let struct (value, term) = space.WithDerivative(t, y, this.Integrals(h, b), ownG, ownD)
            g[0] <- value
            slopes[1] <- term
            space.Combine(dest, y, weights, slopes, 2, g, x, 1)

/// With central differences of the diffusion along its columns instead, two evaluations for each Brownian motion:
/// (D g_l) g_k ~ (g_l(y + r g_k) - g_l(y - r g_k)) / (2 r), r = sqrt|h|. Kloeden and Platen 1992, section 11.1.
[<Sealed>]
type internal MilsteinFreeKernel<'S, 'X, 'G, 'P when 'P: struct and 'P :> ISdeCalculusSpace<'S, 'X, 'G>>
    (calculus: CalculusKind, noise: NoiseKind, space: 'P, like: 'S) =
    inherit MilsteinBase<'S, 'X, 'G, 'P>("MilsteinFree", calculus, noise, space, like)
    let mutable space = space
    let m = if noise = NoiseKind.Additive then 0 else space.NoiseSize
    let count = 1 + 2 * m
    let ownG = Array.init count (fun _ -> space.AllocateDiffusion like)
    let ownX = Array.init count (fun _ -> space.AllocateNoise())
    let unit' = space.AllocateNoise()
    let mutable stage = space.Allocate like
    let weights = [| 0.0 |]
    let none: float[] = [||]
    let slopes: 'S[] = Array.zeroCreate 1
    let g: 'G[] = Array.zeroCreate count
    let x: 'X[] = Array.zeroCreate count
    let startG: 'G[] = Array.zeroCreate 1
    let startX: 'X[] = Array.zeroCreate 1

    override this.Advance(t, h, b, y, dest) =
        slopes[0] <- this.StartDrift(t, y)
        weights[0] <- h
        let root = sqrt (abs h)
        g[0] <- space.Diffusion(t, y, ownG[0])
        x[0] <- b.W
        startG[0] <- g[0]
        this.Diffusions <- this.Diffusions + count

        if m > 0 then
            let integrals = this.Integrals(h, b)

            for k in 0 .. m - 1 do
                for side in 0..1 do
                    let sign = if side = 0 then 1.0 else -1.0
                    let i = 1 + 2 * k + side
                    startX[0] <- space.Unit(unit', b.W, k, sign * root)
                    stage <- space.Combine(stage, y, none, slopes, 0, startG, startX, 1)
                    g[i] <- space.Diffusion(t, stage, ownG[i])
                    x[i] <- space.Row(ownX[i], integrals, k, sign / (2.0 * root))

        space.Combine(dest, y, weights, slopes, 1, g, x, count)
