// One step of a stochastic equation, over any space: what the loop and the ways to differentiate see of a method, and the
// stages of every stochastic Runge-Kutta tableau, written once.
namespace Continuum

open System

/// Drift, diffusion or noise of a shape that the equation cannot have: the caller's mistake, never a status of the solve.
[<Sealed>]
type internal SdeShapeException(message: string) =
    inherit ArgumentException(message)

/// One step of a method. Its result depends on its arguments alone; what Step keeps is for the calls that ask about the last step.
/// Recorded by autograd where the caller has gradients on. dest is a hint, as in ISdeSpace.
type internal ISdeKernel<'S, 'X> =
    /// Name of the method.
    abstract Name: string
    /// What it needs of the path.
    abstract Level: LevyLevel
    /// Its strong order for the equation's noise.
    abstract StrongOrder: float
    /// Power of h with which the error estimate shrinks (of the method's own local error where there is none): strong order + 1/2.
    abstract ErrorOrder: float
    /// Whether ErrorEstimate exists.
    abstract HasErrorEstimate: bool
    /// Forgets what Hold kept.
    abstract Start: unit -> unit
    /// Evaluates what every step from (t, y) begins with, in the caller's memory scope; steps from time t reuse it until Start.
    /// Never needed: it saves evaluations where several steps start at one place.
    abstract Hold: t: float * y: 'S -> unit
    /// The state after a step of signed length h from (t, y) along the path b.
    abstract Step: t: float * h: float * b: BrownianStep<'X> * y: 'S * dest: 'S -> 'S
    /// The error estimate of the last step (a difference of two formulas), in its memory scope and before any other call.
    abstract ErrorEstimate: dest: 'S -> 'S
    /// f(t, y), counted.
    abstract Drift: t: float * y: 'S * dest: 'S -> 'S
    /// Componentwise size of the noise at (t, y), counted.
    abstract Spread: t: float * y: 'S * dest: 'S -> 'S
    /// Why the last step has no solution; Status.Success where it has one.
    abstract Difficulty: Status
    /// Evaluations of the drift so far.
    abstract DriftEvaluations: int
    /// Evaluations of the diffusion so far.
    abstract DiffusionEvaluations: int
    /// What implicit steps cost so far.
    abstract Work: ImplicitWork

/// The distinct noise vectors of a tableau over one step.
[<Sealed>]
type internal NoiseVectors<'S, 'X, 'G, 'P when 'P: struct and 'P :> ISdeSpace<'S, 'X, 'G>>
    (vectors: float[][], needed: int, space: 'P) =
    let mutable space = space
    let uses index = vectors |> Array.exists (fun v -> v[index] <> 0.0)
    let needsOnes = uses 2 || uses 3
    let needsSquare = uses 3
    let needsCube = uses 4

    let isUnit (v: float[]) index =
        v |> Array.indexed |> Array.forall (fun (i, x) -> x = (if i = index then 1.0 else 0.0))
    // 0: a sum; 1: W itself; 2: H itself
    let kind =
        vectors
        |> Array.map (fun v ->
            if isUnit v 0 then 1
            elif isUnit v 1 then 2
            else 0)

    let basis: 'X[] = Array.zeroCreate 5
    let ones = if needsOnes then space.AllocateNoise() else Unchecked.defaultof<'X>
    let square = if needsSquare then space.AllocateNoise() else Unchecked.defaultof<'X>
    let cube = if needsCube then space.AllocateNoise() else Unchecked.defaultof<'X>
    let own = kind |> Array.map (fun k -> if k = 0 then space.AllocateNoise() else Unchecked.defaultof<'X>)
    let values: 'X[] = Array.zeroCreate vectors.Length
    let weights = vectors |> Array.map (fun _ -> Array.zeroCreate<float> 5)
    let mutable length = nan

    /// Weights on W, H, 1, W^2, W^3 for this length of step.
    let scale (h: float) =
        if h <> length then
            length <- h
            let q = abs h
            let root = sqrt q

            for i in 0 .. vectors.Length - 1 do
                let v = vectors[i]
                let w = weights[i]
                w[0] <- v[0] - 0.5 * v[4]
                w[1] <- v[1]
                w[2] <- (v[2] - 0.5 * v[3]) * root
                w[3] <- if v[3] = 0.0 then 0.0 else v[3] / (2.0 * root)
                w[4] <- if v[4] = 0.0 then 0.0 else v[4] / (6.0 * q)

    let form i =
        values[i] <-
            match kind[i] with
            | 1 -> basis[0]
            | 2 -> basis[1]
            | _ -> space.Noise(own[i], weights[i], basis, 5)

    /// The vectors of the last Prepare.
    member _.Values = values

    /// Forms what the step needs.
    member _.Prepare(h: float, b: BrownianStep<'X>) =
        scale h
        basis[0] <- b.W
        basis[1] <- b.H

        if needsOnes then
            basis[2] <- space.Power(ones, b.W, 0)

        if needsSquare then
            basis[3] <- space.Power(square, b.W, 2)

        if needsCube then
            basis[4] <- space.Power(cube, b.W, 3)

        for i in 0 .. needed - 1 do
            form i

    /// Forms what only the error estimate needs.
    member _.PrepareError() =
        for i in needed .. values.Length - 1 do
            form i

/// A row of a tableau with its weights for one length of step and room for the terms of the noise.
[<Sealed>]
type internal SdeRow<'X, 'G>(weights: float[], terms: NoiseTerm[]) =
    let scaled: float[] = Array.zeroCreate weights.Length
    let g: 'G[] = Array.zeroCreate terms.Length
    let x: 'X[] = Array.zeroCreate terms.Length

    /// Nothing is added: the row is y itself.
    member _.IsEmpty = terms.Length = 0 && Array.forall ((=) 0.0) weights
    member _.Weights = scaled
    member _.G = g
    member _.X = x

    /// For this length of step.
    member _.Scale(h: float) =
        for j in 0 .. weights.Length - 1 do
            scaled[j] <- h * weights[j]

    /// With these diffusion values and noise vectors.
    member _.Gather(values: 'G[], vectors: 'X[]) =
        for k in 0 .. terms.Length - 1 do
            g[k] <- values[terms[k].Stage]
            x[k] <- vectors[terms[k].Vector]

/// The stages of a stochastic Runge-Kutta tableau over any space. noise is the equation's.
[<Sealed>]
type internal StochasticRungeKutta<'S, 'X, 'G, 'P when 'P: struct and 'P :> ISdeSpace<'S, 'X, 'G>>
    (tableau: SdeTableau, noise: NoiseKind, space: 'P, like: 'S) =
    // mutable: an immutable struct field would be copied before each call on it
    let mutable space = space
    let raw = tableau.Raw
    let stages = tableau.Stages
    let vectors = NoiseVectors<'S, 'X, 'G, 'P>(raw.Vectors, raw.Needed, space)
    let rows = Array.init stages (fun s -> SdeRow<'X, 'G>(raw.A[s], raw.Terms[s]))
    let result = SdeRow<'X, 'G>(raw.B, raw.Result)
    let error = SdeRow<'X, 'G>(raw.Error, raw.ErrorTerms)
    let needsDrift = raw.NeedsDrift
    let needsDiffusion = raw.NeedsDiffusion

    let ownF: 'S[] =
        Array.init stages (fun s -> if needsDrift[s] then space.Allocate like else Unchecked.defaultof<'S>)

    let ownG: 'G[] =
        Array.init stages (fun s ->
            if needsDiffusion[s] then
                space.AllocateDiffusion like
            else
                Unchecked.defaultof<'G>)

    let f: 'S[] = Array.copy ownF
    let g: 'G[] = Array.copy ownG
    let mutable stage = space.Allocate like
    let mutable length = nan
    let mutable heldTime = nan
    let mutable heldF = if needsDrift[0] then space.Allocate like else Unchecked.defaultof<'S>

    let mutable heldG =
        if needsDiffusion[0] then
            space.AllocateDiffusion like
        else
            Unchecked.defaultof<'G>

    let mutable start = like

    let spreadG =
        if needsDiffusion[0] then
            space.AllocateDiffusion like
        else
            Unchecked.defaultof<'G>

    let mutable drifts = 0
    let mutable diffusions = 0

    let scale (h: float) =
        if h <> length then
            length <- h

            for row in rows do
                row.Scale h

            result.Scale h
            error.Scale h

    let drift t y dest =
        drifts <- drifts + 1
        space.Drift(t, y, dest)

    let diffusion t y dest =
        diffusions <- diffusions + 1
        space.Diffusion(t, y, dest)

    let combine (row: SdeRow<'X, 'G>) (dest: 'S) (y: 'S) (count: int) =
        row.Gather(g, vectors.Values)
        space.Combine(dest, y, row.Weights, f, count, row.G, row.X, row.G.Length)

    let evaluate s t z =
        if needsDrift[s] then
            f[s] <- drift t z ownF[s]

        if needsDiffusion[s] then
            g[s] <- diffusion t z ownG[s]

    interface ISdeKernel<'S, 'X> with
        member _.Name = tableau.Name
        member _.Level = tableau.Level
        member _.StrongOrder = tableau.StrongOrders.For noise

        member _.ErrorOrder =
            let order = tableau.StrongOrders.For noise

            0.5
            + (if tableau.HasErrorEstimate then
                   Math.Min(order, tableau.EmbeddedOrder)
               else
                   order)

        member _.HasErrorEstimate = tableau.HasErrorEstimate
        member _.Start() = heldTime <- nan

        member _.Hold(t, y) =
            if needsDrift[0] then
                heldF <- drift t y heldF

            if needsDiffusion[0] then
                heldG <- diffusion t y heldG

            heldTime <- t

        member _.Step(t, h, b, y, dest) =
            scale h
            vectors.Prepare(h, b)
            start <- y

            if t = heldTime then
                f[0] <- heldF
                g[0] <- heldG
            else
                evaluate 0 t y

            for s in 1 .. stages - 1 do
                let time = t + raw.C[s] * h

                if rows[s].IsEmpty then
                    evaluate s time y
                else
                    stage <- combine rows[s] stage y s
                    evaluate s time stage

            combine result dest y stages

        member _.ErrorEstimate dest =
            vectors.PrepareError()
            combine error dest (space.Zero(dest, start)) stages

        member _.Drift(t, y, dest) = drift t y dest
        member _.Spread(t, y, dest) = space.Spread(dest, y, diffusion t y spreadG)
        member _.Difficulty = Status.Success
        member _.DriftEvaluations = drifts
        member _.DiffusionEvaluations = diffusions
        member _.Work = ImplicitWork.Zero
