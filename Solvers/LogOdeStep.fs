// The stochastic log-ODE method: the step along a path is the flow, over one unit of time, of the field that the path's log-signature names.
//   dz/ds = h f + g W + sum_{k < l} [g_k, g_l] A_kl,   [g_k, g_l] = (D g_l) g_k - (D g_k) g_l
// Castell and Gaines 1995; Kloeden and Platen 1992, section 10.4. For noise that commutes the brackets vanish.
namespace Continuum

open System

/// Names of the log-ODE methods.
[<RequireQualifiedAccess>]
module internal LogOdeName =
    /// With the flow's tableau where it is not the usual one.
    let ofFlow (flow: Tableau) =
        if Object.ReferenceEquals(flow, Methods.Rk4) then
            "LogOde"
        else
            $"LogOde({flow.Name})"

/// A step of the log-ODE method; the flow is approximated by one step of a Runge-Kutta tableau.
[<Sealed>]
type internal LogOdeKernel<'S, 'X, 'G, 'P when 'P: struct and 'P :> ISdeCalculusSpace<'S, 'X, 'G>>
    (tableau: Tableau, noise: NoiseKind, space: 'P, like: 'S) =
    let mutable space = space
    let raw = tableau.Raw
    let stages = tableau.Stages
    let isGeneral = noise = NoiseKind.General
    let k = Array.init stages (fun _ -> space.Allocate like)
    let mutable stage = space.Allocate like
    let zero = space.Allocate like
    let ownF = space.Allocate like
    let ownD = space.Allocate like
    let ownG = space.AllocateDiffusion like
    let weights = [| 0.0; 1.0 |]
    let slopes: 'S[] = Array.zeroCreate 2
    let g: 'G[] = Array.zeroCreate 1
    let x: 'X[] = Array.zeroCreate 1
    let noG: 'G[] = [||]
    let noX: 'X[] = [||]
    let mutable drifts = 0
    let mutable diffusions = 0

    /// The field at stage s.
    let slope s (t: float) (b: BrownianStep<'X>) (zero: 'S) (z: 'S) =
        drifts <- drifts + 1
        diffusions <- diffusions + 1
        slopes[0] <- space.Drift(t, z, ownF)

        let count =
            if isGeneral then
                // sum_kl A_kl (D g_l) g_k is the sum of the brackets, since A is skew.
                let struct (value, brackets) = space.WithDerivative(t, z, b.A, ownG, ownD)
                g[0] <- value
                slopes[1] <- brackets
                2
            else
                g[0] <- space.Diffusion(t, z, ownG)
                1

        k[s] <- space.Combine(k[s], zero, weights, slopes, count, g, x, 1)

    interface ISdeKernel<'S, 'X> with
        member _.Name = LogOdeName.ofFlow tableau
        member _.Level = if isGeneral then LevyLevel.Area else LevyLevel.Increments
        member _.StrongOrder = 1.0
        member _.ErrorOrder = 1.5
        member _.HasErrorEstimate = false
        member _.Start() = ()
        member _.Hold(_, _) = ()

        member _.Step(t, h, b, y, dest) =
            weights[0] <- h
            x[0] <- b.W
            let zero = space.Zero(zero, y)
            slope 0 t b zero y

            for s in 1 .. stages - 1 do
                stage <- space.Combine(stage, y, raw.A[s], k, s, noG, noX, 0)
                slope s (t + raw.C[s] * h) b zero stage

            space.Combine(dest, y, raw.B, k, stages, noG, noX, 0)

        member _.ErrorEstimate _ = Unchecked.defaultof<'S>

        member _.Drift(t, y, dest) =
            drifts <- drifts + 1
            space.Drift(t, y, dest)

        member _.Spread(t, y, dest) =
            diffusions <- diffusions + 1
            space.Spread(dest, y, space.Diffusion(t, y, ownG))

        member _.Difficulty = Status.Success
        member _.DriftEvaluations = drifts
        member _.DiffusionEvaluations = diffusions
        member _.Work = ImplicitWork.Zero
