// The drift-implicit Euler method for stiff drifts on arrays: y1 = y + h f(t1, y1) + g(t, y) W.
namespace Continuum

#nowarn "3535" "3536"

open System

/// The drift of an equation as a field of an ordinary one, for its exact Jacobian.
[<Struct; NoComparison; NoEquality>]
type internal SdeDrift<'G when 'G: struct and 'G :> IGenericSde>(equation: 'G) =
    interface IGenericField with
        member _.Size = equation.Size
        member _.ParameterCount = equation.ParameterCount
        member _.Evaluate(t, y, p, dydt) = equation.Drift(t, y, p, dydt)

/// A step of the drift-implicit Euler method by Newton's iteration with the Jacobian of the drift, formed anew where a correction shrank by
/// less than ten, and damped where the residual grows. Kloeden and Platen 1992, section 12.2.
[<Sealed>]
type internal ArrayDriftImplicit<'P when 'P: struct and 'P :> ISdeCalculusSpace<float[], float[], float[]>>
    (space: 'P, noise: NoiseKind, linear: ArrayLinearSystem, like: float[]) =
    let mutable space = space
    let n = like.Length
    let order = if noise = NoiseKind.Additive then 1.0 else 0.5
    let right = space.Allocate like
    let slope = space.Allocate like
    let change = space.Allocate like
    let correction = space.Allocate like
    let g: float[][] = [| space.AllocateDiffusion like |]
    let x: float[][] = Array.zeroCreate 1
    let mutable difficulty = Status.Success
    let mutable drifts = 0
    let mutable diffusions = 0
    let mutable iterations = 0
    let mutable failures = 0

    /// Iterations before a step counts as failed.
    let most = 15
    let tolerance = 1e-11

    let drift t y dest =
        drifts <- drifts + 1
        space.Drift(t, y, dest)

    let factorise (t: float) (h: float) (y: float[]) =
        linear.Linearise(t, y, drift t y slope)
        linear.Factorise h

    /// The residual right + h f(t, y) - y, in change; its largest component.
    let residual (t: float) (h: float) (y: float[]) =
        drift t y slope |> ignore
        let mutable largest = 0.0

        for i in 0 .. n - 1 do
            change[i] <- right[i] + h * slope[i] - y[i]
            largest <- Math.Max(largest, abs change[i])

        largest

    /// Goes back half of the last correction for as long as it made the residual grow: Newton's method may leave the domain of the drift.
    let rec damped (t: float) (h: float) (y: float[]) (before: float) (halvings: int) =
        let now = residual t h y

        if now <= before || halvings = 0 then
            now
        else
            for i in 0 .. n - 1 do
                correction[i] <- 0.5 * correction[i]
                y[i] <- y[i] - correction[i]

            damped t h y before (halvings - 1)

    /// Largest correction in units of the state.
    let size (y: float[]) =
        let mutable mean = 0.0

        for i in 0 .. n - 1 do
            mean <- mean + Math.Max(abs y[i], abs right[i])

        mean <- mean / float n
        let mutable worst = 0.0

        for i in 0 .. n - 1 do
            let scale = Math.Max(abs y[i], abs right[i]) + mean + 1e-30
            worst <- Math.Max(worst, abs correction[i] / scale)

        worst

    /// Solves y = right + h f(t, y) from the guess in y.
    let solve (t: float) (h: float) (y: float[]) =
        let mutable last = nan
        let mutable stale = true
        let mutable count = 0
        let mutable running = true
        let mutable error = infinity
        Array.Clear correction
        difficulty <- Status.Success

        while running do
            error <- damped t h y error 8

            if stale && not (factorise t h y) then
                difficulty <- Status.SingularMatrix

            linear.Solve(change, correction) |> ignore
            let now = size y

            for i in 0 .. n - 1 do
                y[i] <- y[i] + correction[i]

            count <- count + 1
            stale <- not (now < 0.1 * last) && count > 1
            last <- now

            if difficulty = Status.Success && (not (Double.IsFinite now) || count = most && now > tolerance) then
                difficulty <- Status.NewtonDiverged

            running <- difficulty = Status.Success && now > tolerance

        iterations <- iterations + count

        if difficulty <> Status.Success then
            failures <- failures + 1

    interface ISdeKernel<float[], float[]> with
        member _.Name = "DriftImplicitEuler"
        member _.Level = LevyLevel.Increments
        member _.StrongOrder = order
        member _.ErrorOrder = order + 0.5
        member _.HasErrorEstimate = false
        member _.Start() = ()
        member _.Hold(_, _) = ()

        member _.Step(t, h, b, y, dest) =
            diffusions <- diffusions + 1
            g[0] <- space.Diffusion(t, y, g[0])
            x[0] <- b.W
            space.Combine(right, y, [||], [||], 0, g, x, 1) |> ignore
            SdeSums.copy dest y n
            solve (t + h) h dest
            dest

        member _.ErrorEstimate _ = null
        member _.Drift(t, y, dest) = drift t y dest

        member _.Spread(t, y, dest) =
            diffusions <- diffusions + 1
            space.Spread(dest, y, space.Diffusion(t, y, g[0]))

        member _.Difficulty = difficulty
        member _.DriftEvaluations = drifts + linear.Evaluations
        member _.DiffusionEvaluations = diffusions

        member _.Work = { linear.Work with NewtonIterations = iterations; NewtonFailures = failures }
