// The continuous adjoint of a stochastic equation along its own path, in Stratonovich form:
//   dy = f dt + g o dW,   da = -a df/dy dt - a dg/dy o dW,   d(gradient) = -a df/dtheta dt - a dg/dtheta o dW,   solved from the end back.
// Pathwise it is an ordinary adjoint, driven by the same path run backward. Li, Wong, Chen and Duvenaud 2020; Kidger 2022, section 5.2.3.
namespace Continuum

open System
open System.Collections.Generic
open TorchSharp

/// The backward solve by Heun's method (strong order 1 for commutative noise, 1/2 for general), in steps between given times. With
/// tolerances a step is halved until its error estimate meets them; the path's values in between are exact. The driver's equation is a
/// Stratonovich one.
[<Sealed>]
type internal SdeAdjointSweep
    (driver: SdeDriver, parameters: Tensor[], tolerance: Tolerance<Tensor> voption, maxSteps: int) =
    // Without tolerances every attempt counts, so that one accumulator serves them all; else each attempt has its own.
    let shared =
        match tolerance with
        | ValueNone -> ValueSome(new GradientAccumulator(parameters))
        | ValueSome _ -> ValueNone

    let sums: Tensor[] = Array.zeroCreate parameters.Length
    let mutable y: Tensor = null
    let mutable a: Tensor = null
    let mutable attempts = 0

    let fail (status: Status) (t: float) (why: string) =
        raise (
            SolveFailedException(
                status,
                t,
                $"The backward solve of the continuous adjoint failed at t = {t}: {why}; differentiate by Discrete, which takes the forward steps again.",
                null
            )
        )

    /// f h + g W at (t, y), and the product of its Jacobian with the cotangent; the parameters' part is added up.
    let stage
        (t: float)
        (h: float)
        (w: Tensor)
        (at: Tensor)
        (bar: Tensor)
        (gradients: GradientAccumulator)
        : struct (Tensor * Tensor) =
        let struct (leaf, sum) =
            use _ = torch.enable_grad ()
            let leaf = at.detach().requires_grad_ true
            let struct (f, g) = driver.Evaluate(t, leaf)
            let sum = f.mul h
            driver.Algebra.Add(sum, g, w, 1.0)
            struct (leaf, sum)

        let through = gradients.Backward([| sum |], [| bar |], [| leaf |])[0]
        struct (sum.detach (), through)

    let addSums (found: Tensor[]) =
        for i in 0 .. found.Length - 1 do
            if not (isNull found[i]) then
                if isNull sums[i] then
                    sums[i] <- found[i].clone().DetachFromDisposeScope()
                else
                    sums[i].add_ found[i] |> ignore

    /// One step from t to tEnd. The new y and a, and the scaled error.
    let heun (t: float) (tEnd: float) (gradients: GradientAccumulator) : struct (Tensor * Tensor * float) =
        let h = tEnd - t
        let w = driver.Increment(t, tEnd)
        // Both stages weigh a half; with half the cotangent the parameters' sums come out right, up to the sign.
        use half = 0.5.ToScalar()
        let struct (k1, j1) = stage t h w y (a.mul half) gradients
        let predicted = a.add (j1, -2.0)
        let struct (k2, j2) = stage tEnd h w (y.add k1) (predicted.mul half) gradients
        let yNew = y.add(k1, half).add_(k2, half)
        let aNew = a.sub(j1).sub_ j2

        let error =
            match tolerance with
            | ValueNone -> 0.0
            | ValueSome tolerance ->
                let space = TensorSpace(tolerance, false) :> INormedSpace<Tensor>
                let weights = [| -0.5; 0.5 |]
                let first = space.ErrorNorm(y, yNew, 1.0, weights, [| k1; k2 |], 2)
                let second = space.ErrorNorm(a, aNew, 2.0, weights, [| j1; j2 |], 2)
                Math.Max(first, second)

        struct (yNew, aNew, error)

    /// The solution where the sweep stands.
    member _.Y = y

    /// Puts the sweep on the end of the solve, without cotangents.
    member _.Place(final: Tensor) =
        y <- final.alias().DetachFromDisposeScope()
        a <- torch.zeros_like(final).DetachFromDisposeScope()

    /// Adds the cotangent of a value at this time.
    member _.Receive(cotangent: Tensor) =
        let sum = a.add(cotangent).DetachFromDisposeScope()
        a.Dispose()
        a <- sum

    /// Solves from t back to tEnd.
    /// SolveFailedException where it is not finite or needs too many steps.
    member this.Step(t: float, tEnd: float) : unit =
        attempts <- attempts + 1

        if attempts > maxSteps then
            fail Status.MaxStepsReached t $"{maxSteps} steps did not suffice"

        let accepted =
            use _ = torch.NewDisposeScope()

            let move (yNew: Tensor) (aNew: Tensor) =
                y.Dispose()
                a.Dispose()
                y <- yNew.DetachFromDisposeScope()
                a <- aNew.DetachFromDisposeScope()

            match shared with
            | ValueSome gradients ->
                let struct (yNew, aNew, _) = heun t tEnd gradients
                move yNew aNew
                ValueNone
            | ValueNone ->
                use gradients = new GradientAccumulator(parameters)
                let struct (yNew, aNew, error) = heun t tEnd gradients

                if not (Double.IsFinite error) then
                    fail Status.NonFinite t "the state or the adjoint is not finite"

                let middle = driver.Snap(t, t + 0.5 * (tEnd - t))
                let shortest = 1e-12 * Math.Max(abs t, abs tEnd)

                if error <= 1.0 || middle = t || middle = tEnd || abs (tEnd - t) < shortest then
                    addSums (gradients.ResultOrNull())
                    move yNew aNew
                    ValueNone
                else
                    ValueSome middle

        match accepted with
        | ValueNone -> ()
        | ValueSome middle ->
            this.Step(t, middle)
            this.Step(middle, tEnd)

    /// The cotangent of the initial state and those of the parameters (null where none) in the innermost scope.
    member _.Result() : struct (Tensor * Tensor[]) =
        let found =
            match shared with
            | ValueSome gradients -> gradients.ResultOrNull()
            | ValueNone -> sums

        struct (a.alias (), found |> Array.map (fun x -> if isNull x then null else x.neg ()))

    interface IDisposable with
        member _.Dispose() =
            match shared with
            | ValueSome gradients -> (gradients :> IDisposable).Dispose()
            | ValueNone -> ()

            for x in Array.append [| y; a |] sums do
                if not (isNull x) then
                    x.Dispose()

/// Solving with the continuous adjoint.
[<RequireQualifiedAccess>]
module internal SdeBacksolve =

    /// Notes steps and saved values only.
    [<Sealed>]
    type private StepTape<'S>() =
        inherit SdeTape<'S>(Unchecked.defaultof<_>)
        override _.Before _ = ()
        override _.Estimated() = ()

    /// The Stratonovich form of the equation.
    let private stratonovich (terms: SdeTerms) : SdeTerms =
        if terms.Calculus = CalculusKind.Ito && terms.Noise <> NoiseKind.Additive then
            SdeConversion.toStratonovich(Sde<Ito, GeneralNoise> terms).Terms
        else
            terms

    /// The tolerances of the backward solve where the caller gives any, or the forward steps are adaptive; else its steps are the forward ones.
    let private toleranceOf (options: BacksolveOptions) (task: SdeTask) : Tolerance<Tensor> voption =
        let forward = task.Options.Tolerance
        let given = not (Double.IsNaN options.Rtol && Double.IsNaN options.Atol)

        match task.Options.Control with
        | Fixed _ when not given -> ValueNone
        | _ ->
            ValueSome {
                forward with
                    Rtol = (if Double.IsNaN options.Rtol then forward.Rtol else options.Rtol)
                    Atol = (if Double.IsNaN options.Atol then forward.Atol else options.Atol)
                    RtolPer = ValueNone
                    AtolPer = ValueNone
            }

    let private warn
        (options: BacksolveOptions)
        (tolerance: Tolerance<Tensor> voption)
        (found: Tensor)
        (initial: Tensor)
        =
        let advice =
            "so its gradient is unreliable; take shorter steps, or differentiate by Discrete or Reversible"

        match tolerance with
        | ValueSome tolerance ->
            let space = TensorSpace(tolerance, false) :> INormedSpace<Tensor>
            let drift = space.ScaledDistance(found, initial, initial)

            if not (drift <= 100.0) then
                Drift.report
                    options.OnDrift
                    drift
                    $"Backsolve reconstructed the initial state with an error of {drift:g3} tolerances, {advice}."
        | ValueNone ->
            let size = Math.Max(initial.norm().ToDouble(), 1e-300)
            let drift = found.sub(initial).norm().ToDouble() / size

            if not (drift <= 0.1) then
                Drift.report
                    options.OnDrift
                    drift
                    $"Backsolve reconstructed the initial state with a relative error of {drift:g3}, {advice}."

    /// run: the forward solve, and its steps.
    let private solveBy
        (run: unit -> struct (Solution<Tensor> * SdeStep seq))
        (options: BacksolveOptions)
        (task: SdeTask)
        : TensorSolution =
        if task.Options.Heuristics then
            raise (
                ArgumentException
                    "A continuous adjoint does not see the steps, so Backsolve cannot differentiate the error heuristics; differentiate by Discrete or Recorded."
            )

        let mutable times: float[] = [||]
        let mutable saved: float[] = [||]

        let forward () : SdeForward =
            let struct (raw, steps) = run ()
            saved <- Array.append raw.Times [| raw.FinalTime |]
            times <- Array.append [| task.Start |] [| for step in steps -> step.To |]
            { Raw = raw; Saved = [| raw.FinalState.alias () |] }

        let backward (bars: SdeCotangents) : struct (Tensor * Tensor[]) =
            let driver = SdeDriver(stratonovich task.Terms, task.Path, task.Initial)
            let tolerance = toleranceOf options task
            use sweep = new SdeAdjointSweep(driver, task.Terms.Parameters, tolerance, task.Options.MaxSteps)
            sweep.Place bars.Saved[0]
            let direction = if task.End > task.Start then -1.0 else 1.0
            let grid = Array.append times saved |> Array.distinct |> Array.sortBy (fun t -> direction * t)
            driver.Prepare grid

            for i in 0 .. grid.Length - 1 do
                if i > 0 then
                    sweep.Step(grid[i - 1], grid[i])

                for k in 0 .. saved.Length - 1 do
                    if saved[k] = grid[i] then
                        match bars.Of k with
                        | null -> ()
                        | bar -> sweep.Receive bar

            warn options tolerance sweep.Y bars.Initial
            sweep.Result()

        SdeNode.solve task Unchecked.defaultof<SdeHeuristics<Tensor>> forward backward

    /// Solves forward without recording, one node in the graph; see Differentiation.Backsolve. Its gradient is that of the equation along the
    /// path, to the accuracy of the backward solve, and not that of the discrete solution.
    let solve (options: BacksolveOptions) (task: SdeTask) : TensorSolution =
        let run () =
            let tape = StepTape<Tensor>()
            let raw = task.Run tape
            struct (raw, tape.Steps :> seq<_>)

        solveBy run options task

    /// The same for a method with a second state.
    let solvePair (options: BacksolveOptions) (scheme: SdeReversibleScheme) (task: SdeTask) : TensorSolution =
        let run () =
            let tape = StepTape<SdePair>()
            let raw = SdeReversible.run scheme task false tape
            struct (SdePairs.solution raw, tape.Steps :> seq<_>)

        solveBy run options task
