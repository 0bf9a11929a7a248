// Dense output from values and slopes at several nodes of a step.
namespace Continuum

open System

/// Hermite interpolation at nodes in [0, 1]: y(theta) = y_0 + sum_i>0 A_i (y_i - y_0) + h sum_i B_i f_i, of degree 2 nodes - 1.
[<RequireQualifiedAccess>]
module internal Hermite =
    /// Evenly spaced nodes, both ends included, for which the error of one step, h^(2 nodes), keeps a global order.
    let nodes (order: int) : float[] =
        let count = max 2 ((order + 1) / 2)
        Array.init count (fun i -> float i / float (count - 1))

    /// Writes h B_0 .. h B_m, A_1 .. A_m at theta.
    let weights (nodes: float[]) (h: float) (theta: float) (into: float[]) =
        let n = nodes.Length

        for i in 0 .. n - 1 do
            let mutable lagrange = 1.0
            let mutable slope = 0.0

            for j in 0 .. n - 1 do
                if j <> i then
                    lagrange <- lagrange * (theta - nodes[j]) / (nodes[i] - nodes[j])
                    slope <- slope + 1.0 / (nodes[i] - nodes[j])

            let away = theta - nodes[i]
            into[i] <- h * away * lagrange * lagrange

            if i > 0 then
                into[n - 1 + i] <- (1.0 - 2.0 * slope * away) * lagrange * lagrange

/// Dense output of one accepted step: the start, and the slopes and differences that Hermite.weights weighs.
[<Sealed>]
type internal HermiteStep<'S, 'P when 'P: struct and 'P :> INormedSpace<'S>>
    (space: 'P, nodes: float[], t0: float, h: float, tEnd: float, y0: 'S, parts: 'S[]) =
    interface IHoldsStates<'S> with
        member _.ForEach visit =
            visit y0
            Array.iter visit parts

    interface IDenseSolution<'S> with
        member _.Start = t0
        member _.End = tEnd

        member _.At t =
            let theta = if h = 0.0 then 0.0 else (t - t0) / h
            let weights = Array.zeroCreate parts.Length
            Hermite.weights nodes h theta weights
            let mutable space = space
            space.Combine(space.Allocate y0, y0, 1.0, weights, parts, parts.Length)
