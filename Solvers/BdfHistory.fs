// What a multistep method remembers: the last values of the solution, as increments, and the polynomials through them.
namespace Continuum

open System

/// Dense output of one accepted step: the polynomial through its end and the values before it.
[<Sealed>]
type internal BdfDenseStep<'S, 'P when 'P: struct and 'P :> INormedSpace<'S>>
    (space: 'P, t0: float, tEnd: float, y1: 'S, increments: 'S[], backward: float[]) =
    interface IHoldsStates<'S> with
        member _.ForEach visit =
            visit y1
            Array.iter visit increments

    interface IDenseSolution<'S> with
        member _.Start = t0
        member _.End = tEnd

        member _.At t =
            let degree = increments.Length
            let distances = backward |> Array.map (fun b -> (t - tEnd) + b)
            let basis = Array.zeroCreate (degree + 1)
            let weights = Array.zeroCreate degree
            BdfFormula.basis distances degree basis
            BdfFormula.values basis degree weights
            let mutable space = space
            space.Combine(space.Allocate y1, y1, 1.0, weights, increments, degree)

/// The last increments of the solution, newest first, with the lengths of their intervals. Before the first step there is one: a
/// piece of the tangent, so that formulas start at order 1 without a past.
[<Sealed>]
type internal BdfHistory<'S, 'P when 'P: struct and 'P :> INormedSpace<'S>>(space: 'P, like: 'S) =
    let mutable space = space
    let most = BdfFormula.maxOrder
    let increments: 'S[] = Array.init (most + 1) (fun _ -> space.Allocate like)
    let gaps: float[] = Array.zeroCreate (most + 1)
    let distances: float[] = Array.zeroCreate (most + 2)
    let basis: float[] = Array.zeroCreate (most + 2)
    let weights: float[] = Array.zeroCreate (most + 2)
    let terms: 'S[] = Array.zeroCreate (most + 2)
    let mutable known = 0
    let mutable tangent = true

    /// Distances from the end of the attempted step to the values before it, newest first.
    member _.Distances = distances
    member _.Increments = increments
    /// Increments known.
    member _.Known = known
    /// Whether the only increment is a piece of the tangent.
    member _.IsTangent = tangent

    /// Forgets everything; from here on one increment counts as known, see Tangent.
    member _.Clear() =
        if not tangent then
            for j in 0 .. known - 1 do
                space.Free increments[j]

        known <- 1
        tangent <- true

    /// The tangent as the value a thousandth of the step before the start: divided differences with it are the confluent ones but
    /// for a thousandth.
    member _.Tangent(slope: 'S, zero: 'S, h: float) =
        gaps[0] <- 1e-3 * h
        weights[0] <- gaps[0]
        terms[0] <- slope
        increments[0] <- space.Combine(increments[0], zero, 1.0, weights, terms, 1)

    /// Before an attempt of length h.
    member _.Measure(h: float) =
        distances[0] <- h

        for j in 0..most do
            distances[j + 1] <- distances[j] + gaps[j]

    /// Weights at the end of the attempted step: extrapolation by the polynomial of a degree, and the part of h P' that is known
    /// when the increment of the step is multiplied by lead.
    member _.Weights(degree: int, h: float, lead: float, values: float[], slopes: float[]) =
        BdfFormula.basis distances degree basis
        BdfFormula.values basis degree values
        BdfFormula.slopes distances basis degree h lead slopes

    /// Scaled local error that the formula of an order has on the attempted step, which ends with this increment.
    member _.ErrorAt(order: int, increment: 'S, y: 'S, candidate: 'S) =
        BdfFormula.basis distances order basis
        BdfFormula.values basis order weights
        terms[0] <- increment

        for j in order - 1 .. -1 .. 0 do
            terms[j + 1] <- increments[j]
            weights[j + 1] <- -weights[j]

        weights[0] <- 1.0
        space.ErrorNorm(y, candidate, BdfFormula.errorConstant distances order, weights, terms, order + 1)

    /// Adds the increment of an accepted step of length h and returns storage that is free now. A step much shorter than the last
    /// one (cut by a stop or an event) takes the place of the value before it: quotients over very short intervals amplify noise.
    member _.Push(increment: 'S, h: float) : 'S =
        if tangent then
            increments[0] <- space.Keep increments[0]

        if not tangent && abs h < 0.01 * abs gaps[0] then
            let before = increments[0]
            weights[0] <- 1.0
            terms[0] <- increment
            increments[0] <- space.Keep(space.Combine(before, before, 1.0, weights, terms, 1))
            gaps[0] <- gaps[0] + h

            if not (obj.ReferenceEquals(box before, box increments[0])) then
                space.Free before

            increment
        else
            let oldest = increments[most]

            if known > most then
                space.Free oldest

            for j in most .. -1 .. 1 do
                increments[j] <- increments[j - 1]
                gaps[j] <- gaps[j - 1]

            increments[0] <- space.Keep increment
            gaps[0] <- h
            known <- Math.Min(known + 1, most + 1)
            tangent <- false
            oldest

    /// The polynomial of the attempted step at theta: of the order's degree through the candidate and the values before it.
    member _.Interpolate(theta: float, h: float, order: int, increment: 'S, candidate: 'S) =
        let nodes =
            Array.init (order + 1) (fun j -> if j = 0 then (theta - 1.0) * h else theta * h + distances[j - 1] - h)

        BdfFormula.basis nodes order basis
        BdfFormula.values basis order weights
        terms[0] <- increment

        for j in 1 .. order - 1 do
            terms[j] <- increments[j - 1]

        space.Combine(space.Allocate candidate, candidate, 1.0, weights, terms, order)

    /// The same polynomial as an object with values of its own.
    member _.DenseStep(t0: float, tEnd: float, order: int, increment: 'S, candidate: 'S) : IDenseSolution<'S> =
        let backward = Array.init (order + 1) (fun j -> if j = 0 then 0.0 else distances[j - 1])

        let own =
            Array.init order (fun j -> space.Keep(space.Copy(if j = 0 then increment else increments[j - 1])))

        BdfDenseStep<'S, 'P>(space, t0, tEnd, space.Keep(space.Copy candidate), own, backward)
