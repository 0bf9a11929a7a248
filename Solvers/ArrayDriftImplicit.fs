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
/// less than ten. Kloeden and Platen 1992, section 12.2.
[<Sealed>]
type internal ArrayDriftImplicit<'P when 'P: struct and 'P :> ISdeCalculusSpace<float[], float[], float[]>>
    (space: 'P, noise: NoiseKind, linear: ArrayLinearSystem, like: float[]) =
    let mutable space = space
    let n = like.Length
    let order = if noise = NoiseKind.Additive then 1.0 else 0.5
    let right = space.Allocate like
    let slope = space.Allocate like
    let change = space.Allocate like
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

    /// Newton's correction of y, in change.
    let correct (t: float) (h: float) (y: float[]) =
        drift t y slope |> ignore

        for i in 0 .. n - 1 do
            change[i] <- right[i] + h * slope[i] - y[i]

        linear.Solve(change, change) |> ignore

    /// Largest correction in units of the state.
    let size (y: float[]) =
        let mutable mean = 0.0

        for i in 0 .. n - 1 do
            mean <- mean + Math.Max(abs y[i], abs right[i])

        mean <- mean / float n
        let mutable worst = 0.0

        for i in 0 .. n - 1 do
            let scale = Math.Max(abs y[i], abs right[i]) + mean + 1e-30
            worst <- Math.Max(worst, abs change[i] / scale)

        worst

    /// Solves y = right + h f(t, y) from the guess in y.
    let solve (t: float) (h: float) (y: float[]) =
        let mutable last = nan
        let mutable stale = true
        let mutable count = 0
        let mutable running = true
        difficulty <- Status.Success

        while running do
            if stale && not (factorise t h y) then
                difficulty <- Status.SingularMatrix

            correct t h y
            let now = size y

            for i in 0 .. n - 1 do
                y[i] <- y[i] + change[i]

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

        member _.Work = {
            linear.Work with
                NewtonIterations = iterations
                NewtonFailures = failures
        }
