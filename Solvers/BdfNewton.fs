// Simplified Newton iteration of a backward differentiation formula, with its Jacobian and factorisation kept over many steps.
namespace Continuum

open System

/// Solves M (known + lead u) / h = f(tEnd, y + u) for the increment u. Convergence test and reuse of the matrices as in VODE (Brown,
/// Byrne and Hindmarsh 1989), with tighter constants: errors of the iteration disturb the estimates of high orders, and then steps.
[<Sealed>]
type internal BdfNewton<'S, 'P, 'F when 'P: struct and 'P :> INormedSpace<'S> and 'F :> IField<'S, float>>
    (space: 'P, field: 'F, linear: ILinearSystem<'S, float>, like: 'S) =
    let mutable space = space
    let mutable field = field
    let identity = linear.HasIdentityMass
    let one = [| 1.0 |]
    let corrector = [| 1.0; 0.0 |]
    let single: 'S[] = Array.zeroCreate 1
    let pair: 'S[] = Array.zeroCreate 2
    // Jacobians of small systems are cheap, and a fresh one saves iterations.
    let oldestJacobian = if space.Size like <= 16 then 10 else 20
    let oldestFactors = 20
    /// Relative change of gamma = h / lead that asks for new factors; below it corrections are scaled.
    let drift = 0.2
    /// Error of the iteration allowed, in units of the tolerance of a step.
    let accuracy = 0.02
    let mostIterations = 3
    let mutable slope = space.Allocate like
    let mutable residual = space.Allocate like
    let mutable massed = space.Allocate like
    let mutable increment = space.Allocate like
    let mutable candidate = space.Allocate like
    let mutable evaluations = 0
    let mutable iterations = 0
    let mutable failures = 0
    let mutable linearised = false
    let mutable factored = false
    let mutable gammaFactored = 1.0
    let mutable jacobianAge = 0
    let mutable factorAge = 0
    let mutable rate = 1.0
    let mutable difficulty = Status.Success

    let evaluate (time: float) (state: 'S) =
        evaluations <- evaluations + 1
        slope <- field.Eval(time, state, slope)

    let factorise (tEnd: float) (gamma: float) (fresh: bool) =
        if fresh then
            linear.Linearise(tEnd, candidate, slope)
            linearised <- true
            jacobianAge <- 0

        factored <- linear.Factorise gamma
        gammaFactored <- gamma
        factorAge <- 0
        rate <- 1.0
        factored

    /// Sets the candidate to y + u and evaluates the field there.
    let put (y: 'S) (u: 'S) (tEnd: float) =
        single[0] <- u
        candidate <- space.Combine(candidate, y, 1.0, one, single, 1)
        evaluate tEnd candidate

    /// f - M (known + lead u) / h.
    let computeResidual (known: 'S) (u: 'S) (h: float) =
        if identity then
            pair[0] <- known
            pair[1] <- u
            residual <- space.Combine(residual, slope, -1.0 / h, corrector, pair, 2)
        else
            single[0] <- u
            residual <- space.Combine(residual, known, corrector[1], one, single, 1)
            massed <- linear.MassTimes(residual, massed)
            single[0] <- massed
            residual <- space.Combine(residual, slope, -1.0 / h, one, single, 1)

    /// Iterates from the predicted increment, at which the field is known; whether it converged.
    let iterate (y: 'S) (tEnd: float) (h: float) (known: 'S) (predicted: 'S) (errorConstant: float) =
        let gamma = h / corrector[1]
        // factors of an old gamma over- or undershoot by about this much
        let scale = gamma * 2.0 / (1.0 + gamma / gammaFactored)
        let mutable current = predicted
        let mutable count = 0
        let mutable previous = 0.0
        let mutable converged = false

        while not converged && count < mostIterations do
            if count > 0 then
                evaluate tEnd candidate

            iterations <- iterations + 1
            computeResidual known current h
            residual <- linear.Solve(residual, residual)
            single[0] <- residual
            let size = space.ErrorNorm(y, candidate, scale, one, single, 1)
            increment <- space.Combine(increment, current, scale, one, single, 1)
            current <- increment
            single[0] <- current
            candidate <- space.Combine(candidate, y, 1.0, one, single, 1)

            if count > 0 then
                rate <- Math.Max(0.3 * rate, size / previous)

            converged <- size * Math.Min(1.0, rate) * errorConstant <= accuracy
            count <- count + 1

            if not (Double.IsFinite size) || count > 1 && size > 2.0 * previous then
                count <- mostIterations

            previous <- size

        converged

    /// The increment of the step, after Solve.
    member _.Increment
        with get () = increment
        and set value = increment <- value

    /// The new state, after Solve.
    member _.Candidate
        with get () = candidate
        and set value = candidate <- value

    member _.Evaluations = evaluations + linear.Evaluations
    member _.Difficulty = difficulty

    member _.Work = { linear.Work with NewtonIterations = iterations; NewtonFailures = failures }

    /// Forgets Jacobian and factors: the state was moved.
    member _.Forget() =
        linearised <- false
        factored <- false

    /// After an accepted step.
    member _.Age() =
        jacobianAge <- jacobianAge + 1
        factorAge <- factorAge + 1

    /// Whether the iteration from the predicted increment converged; if not, Difficulty says why.
    member _.Solve(y: 'S, tEnd: float, h: float, lead: float, known: 'S, predicted: 'S, errorConstant: float) =
        corrector[1] <- lead
        let gamma = h / lead
        put y predicted tEnd
        let stale = not factored || abs (gamma / gammaFactored - 1.0) > drift || factorAge >= oldestFactors
        let fresh = stale && (not linearised || jacobianAge >= oldestJacobian)
        let mutable regular = not stale || factorise tEnd gamma fresh
        let mutable converged = regular && iterate y tEnd h known predicted errorConstant

        if not converged && not fresh then
            put y predicted tEnd
            regular <- factorise tEnd gamma true
            converged <- regular && iterate y tEnd h known predicted errorConstant

        if converged then
            difficulty <- Status.Success
        else
            failures <- failures + 1
            factored <- false
            linearised <- false

            difficulty <-
                if not (space.IsFinite slope) then Status.NonFinite
                elif regular then Status.NewtonDiverged
                else Status.SingularMatrix

        converged
