// What a solve of a stochastic equation chooses where the caller does not: feedback, a first step, the grid of fixed steps.
namespace Continuum

open System
open System.Collections.Generic

/// Choices of the loop.
[<RequireQualifiedAccess>]
module internal SdeDefaults =
    /// Feedback for an error estimate that shrinks like h^order and is itself random: gains lower than for ordinary equations.
    let feedback (order: float) : Feedback = {
        Beta1 = 0.4 / order
        Beta2 = -0.1 / order
        Beta3 = 0.0
        Safety = 0.9
        MinFactor = 0.2
        MaxFactor = 5.0
    }

    /// A first step from the sizes of drift and noise at the start: with the times T in which each of them alone would move the state by
    /// its own magnitude, the local error relative to that magnitude is about (h/T)^order.
    let firstStep
        (kernel: ISdeKernel<'S, 'X>)
        (space: INormedSpace<'S>)
        (tolerance: Tolerance<'S>)
        (t: float)
        (y: 'S)
        (longest: float)
        : float =
        let scope = space.OpenScope()

        try
            let zero = space.Combine(space.Allocate y, y, -1.0, [| 1.0 |], [| y |], 1)
            // In units of atol + rtol |y|, that is of relative magnitude times epsilon.
            let epsilon =
                if tolerance.Rtol > 0.0 then
                    Math.Min(tolerance.Rtol, 0.1)
                else
                    Math.Min(tolerance.Atol, 1e-2)

            let drift = epsilon * space.ScaledDistance(kernel.Drift(t, y, space.Allocate y), zero, y)
            let noise = epsilon * space.ScaledDistance(kernel.Spread(t, y, space.Allocate y), zero, y)
            let time = Math.Min(1.0 / Math.Max(drift, 1e-300), 1.0 / Math.Max(noise * noise, 1e-300))
            let step = 0.5 * time * Math.Pow(epsilon, 1.0 / kernel.ErrorOrder)

            if Double.IsFinite step then
                Math.Clamp(step, 1e-6 * longest, longest)
            else
                1e-3 * longest
        finally
            if not (isNull scope) then
                scope.Dispose()

    /// The ends of fixed steps: the grid of this length from t0 in the direction of the stops, and the stops, the last of which is the end. No
    /// more than most + 1 of them.
    let grid (t0: float) (length: float) (stops: float[]) (most: int) : float[] =
        let direction = if stops[stops.Length - 1] > t0 then 1.0 else -1.0
        let before a b = direction * (b - a) > 0.0
        let slack = direction * 1e-9 * length
        let ends = List<float>()
        let mutable k = 1
        let mutable next = 0

        while next < stops.Length && ends.Count <= most do
            let point = t0 + direction * length * float k

            if before (point + slack) stops[next] then
                ends.Add point
                k <- k + 1
            else
                // the grid meets the stop
                if not (before (stops[next] + slack) point) then
                    k <- k + 1

                ends.Add stops[next]
                next <- next + 1

        ends.ToArray()
