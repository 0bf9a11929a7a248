// The stages of one ESDIRK step, alone or with an explicit companion (IMEX), written once for every space and clock.
namespace Continuum

open System

/// No explicit part.
[<Struct>]
type internal NoField<'S, 'T> =
    interface IField<'S, 'T> with
        member _.Eval(_, _, dest) = dest

/// The stages of a step of M y' = f(t, y), or of y' = fE(t, y) + f(t, y) when split. Slopes k, with M k = f at the stages, are the
/// unknowns; those of the explicit part stand behind each implicit one. Whoever drives the stages decides when Newton's iteration
/// for one of them ends, because that takes a norm, and norms are a matter of the clock.
[<Sealed>]
type internal EsdirkKernel<'S, 'T, 'P, 'F, 'E, 'L
    when 'P: struct
    and 'P :> IStateSpace<'S, 'T>
    and 'F :> IField<'S, 'T>
    and 'E :> IField<'S, 'T>
    and 'L :> ILinearSystem<'S, 'T>>
    (
        tableau: EsdirkTableau,
        split: bool,
        space: 'P,
        field: 'F,
        explicitField: 'E,
        system: 'L,
        // one unit of the clock: sums without a step length are made with it
        unit: 'T,
        like: 'S
    ) =
    // mutable: an immutable struct field would be copied before each call on it
    let mutable space = space
    let mutable system = system
    let mutable field = field
    let mutable explicitField = explicitField
    let raw = tableau.Raw
    let stages = tableau.Stages
    let width = if split then 2 else 1
    let total = stages * width

    // [x0; x1; ...] as [x0; e0; x1; e1; ...] when split
    let widened (implicitPart: float[]) (explicitPart: float[]) =
        if split then
            Array.init (2 * implicitPart.Length) (fun j ->
                if j % 2 = 0 then implicitPart[j / 2] else explicitPart[j / 2])
        else
            implicitPart

    let a = raw.A |> Array.mapi (fun i row -> widened row (if split then raw.AExplicit[i] else row))
    let b = widened raw.B raw.B
    let error = widened raw.Error raw.Error
    let diagonal = [| raw.Gamma |]
    let minus = [| -1.0 |]
    let plus = [| 1.0 |]
    // as weights beside a first slope taken whole
    let errorBeside = error |> Array.mapi (fun j w -> if j = 0 then w - 1.0 else w)

    let dense =
        if split then
            raw.DenseSplit |> Array.collect (fun row -> [| row; row |])
        else
            raw.Dense

    let k: 'S[] = Array.init total (fun _ -> space.Allocate like)
    let single: 'S[] = [| space.Allocate like |]
    let mutable basis = space.Allocate like
    let mutable stage = space.Allocate like
    let mutable value = space.Allocate like
    let mutable residual = space.Allocate like
    let mutable mass = space.Allocate like
    let mutable stageTime = Unchecked.defaultof<'T>
    let mutable evaluations = 0

    /// Slopes in stage order; index 0 is the slope at the start. When split, each explicit slope follows its implicit one.
    member _.K = k
    /// Entries of K for each stage.
    member _.Width = width
    /// Weights.[i].[p] of theta^(p+1) for each entry of K.
    member _.Dense = dense
    /// Evaluations of the fields, both parts counted.
    member _.Evaluations = evaluations

    /// The implicit field itself.
    member _.Field(t: 'T, y: 'S, dest: 'S) : 'S =
        evaluations <- evaluations + 1
        field.Eval(t, y, dest)

    /// The explicit slope at the start of a step.
    member _.FirstExplicitSlope(t: 'T, y: 'S) =
        evaluations <- evaluations + 1
        k[1] <- explicitField.Eval(t, y, k[1])

    /// Starts stage s (from 1): what earlier stages contribute to it.
    member _.Begin(s: int, t: 'T, h: 'T, y: 'S) =
        basis <- space.Combine(basis, y, h, a[s], k, s * width)
        stageTime <- space.Advance(t, h, raw.C[s])

    /// Sets the slope of stage s to first + sum w_j slopes_j.
    member _.Predict(s: int, first: 'S, weights: float[], slopes: 'S[], count: int) =
        k[s * width] <- space.Combine(k[s * width], first, unit, weights, slopes, count)

    /// One correction of Newton's method for stage s with the factored W = M - g J, g near h gamma; relaxation scales it.
    /// Returns the correction of the slope before scaling; valid until the next call.
    member _.Correct(s: int, h: 'T, relaxation: float[]) : 'S =
        let i = s * width
        single[0] <- k[i]
        stage <- space.Combine(stage, basis, h, diagonal, single, 1)
        evaluations <- evaluations + 1
        value <- field.Eval(stageTime, stage, value)

        if not system.HasIdentityMass then
            mass <- system.MassTimes(k[i], mass)
            single[0] <- mass

        residual <- space.Combine(residual, value, unit, minus, single, 1)
        residual <- system.Solve(residual, residual)
        single[0] <- residual
        k[i] <- space.Combine(k[i], k[i], unit, relaxation, single, 1)
        residual

    /// The value at stage s, from its slope.
    member _.StageValue(s: int, h: 'T, dest: 'S) : 'S =
        single[0] <- k[s * width]
        space.Combine(dest, basis, h, diagonal, single, 1)

    /// Ends stage s when split: the explicit slope at its value.
    member this.ExplicitSlope(s: int, h: 'T) =
        stage <- this.StageValue(s, h, stage)
        evaluations <- evaluations + 1
        k[s * width + 1] <- explicitField.Eval(stageTime, stage, k[s * width + 1])

    /// The new state after the last stage: that stage itself (stiff accuracy), or the sum with both parts.
    member this.Result(h: 'T, y: 'S, dest: 'S) : 'S =
        if split then
            space.Combine(dest, y, h, b, k, total)
        else
            this.StageValue(stages - 1, h, dest)

    /// sum_j e_j k_j: h times it is the difference from the embedded formula.
    member _.ErrorSlope(dest: 'S) : 'S = space.Combine(dest, k[0], unit, errorBeside, k, total)

    /// W^-1 M e: components that the step damps are damped in the error too, and algebraic variables follow the others.
    member _.Filter(e: 'S) : 'S =
        if system.HasIdentityMass then
            system.Solve(e, e)
        else
            mass <- system.MassTimes(e, mass)
            system.Solve(mass, e)

    /// f(t, y) - M slope, in dest.
    member _.Defect(value: 'S, slope: 'S, dest: 'S) : 'S =
        mass <- system.MassTimes(slope, mass)
        single[0] <- mass
        space.Combine(dest, value, unit, minus, single, 1)

    /// a + g b.
    member _.Sum(a: 'S, g: 'T, b: 'S, dest: 'S) : 'S =
        single[0] <- b
        space.Combine(dest, a, g, plus, single, 1)

    /// A copy of y.
    member _.CopyTo(y: 'S, dest: 'S) : 'S = space.Combine(dest, y, unit, plus, k, 0)
