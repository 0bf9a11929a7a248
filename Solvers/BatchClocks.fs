// The parts of the batched loop: the arithmetic of one step of all samples, and the clocks.
namespace Continuum

open System
open TorchSharp

/// One step of all samples with a length for each, its errors and its dense output. Without memory of the clocks.
[<Sealed>]
type internal BatchStepper(options: BatchOptions, field: TensorField, like: Tensor) =
    let batch = int like.shape[0]
    let kernel = BatchOptions.kernel options field like
    let time (values: float[]) (y: Tensor) = if field.Autonomous then null else BatchTensors.column values y

    /// Root mean squares of each sample, in float64 so that they do not depend on the layout.
    let rms (x: Tensor) = (BatchTensors.perSample (x.pow 2.0)).mean([| 1L |], ``type`` = Nullable torch.float64).sqrt()

    let scale (magnitude: Tensor) = magnitude.mul(options.Rtol).add_(options.Atol)

    /// Longest step of sample i.
    static member Longest(options: BatchOptions, i: int) =
        Math.Min(options.MaxStep, abs (options.T1[i] - options.T0[i]))

    /// The method's arithmetic.
    member _.Kernel = kernel

    /// The field at (t, y).
    member _.Slope(t: float[], y: Tensor) : Tensor = kernel.Slope(time t y, y)

    /// The state after a step from (t, y), slope being the field there.
    member _.Step(t: float[], hT: Tensor, y: Tensor, slope: Tensor) : Tensor = kernel.Step(time t y, hT, y, slope)

    /// Evaluates what dense output of the attempted step needs beside its stages, in the present dispose scope.
    member _.EnsureExtras(t: float[], hT: Tensor, y: Tensor) = kernel.EnsureExtras(time t y, hT, y)

    /// Dense output of the attempted step, after EnsureExtras.
    member _.Interpolate(hT: Tensor, y: Tensor, thetas: float[]) : Tensor =
        BatchTensors.interpolate kernel.Dense kernel.Slopes hT y thetas

    /// The scaled errors of the attempted step, NaN where the candidate is not finite; one read.
    member _.Errors(y: Tensor, hT: Tensor, candidate: Tensor) : float[] =
        let weight = lazy (scale (torch.maximum (y.abs (), candidate.abs ())))
        let scaled (estimate: Tensor) = rms (estimate.div weight.Value)
        let flaw = BatchTensors.blemish candidate

        match (if options.Control.IsFixed then [||] else kernel.Errors hT) with
        | [||] -> Tensors.toArray flaw
        | [| estimate |] -> Tensors.toArray ((scaled estimate).add flaw)
        | pair ->
            let both = Tensors.toArray (torch.cat [| (scaled pair[0]).add flaw; scaled pair[1] |])

            Array.init batch (fun i ->
                let e5, e3 = both[i], both[batch + i]
                if e5 = 0.0 && e3 = 0.0 then 0.0 else e5 * e5 / sqrt (e5 * e5 + 0.01 * e3 * e3))

    /// Hairer's first step length of each sample: RungeKuttaStepper.InitialStep on arrays. slope is the field at (t, y).
    member _.InitialSteps(t: float[], y: Tensor, slope: Tensor) : float[] =
        use _ = torch.NewDisposeScope()
        let direction i = if options.T1[i] >= options.T0[i] then 1.0 else -1.0
        let weight = scale (y.abs ())
        let d0 = Tensors.toArray (rms (y.div weight))
        let d1 = Tensors.toArray (rms (slope.div weight))

        let h0 =
            Array.init batch (fun i ->
                if not (Double.IsFinite d0[i] && Double.IsFinite d1[i]) then 1e-6
                elif d0[i] < 1e-5 || d1[i] < 1e-5 then 1e-6
                else 0.01 * d0[i] / d1[i])
            |> Array.mapi (fun i step -> Math.Min(step, BatchStepper.Longest(options, i)))

        let trial = BatchTensors.column (Array.mapi (fun i step -> direction i * step) h0) y

        let times = Array.init batch (fun i -> t[i] + direction i * h0[i])
        let next = kernel.Slope(time times y, y.add (trial.mul slope))

        let d2 = Tensors.toArray (rms (next.sub(slope).div_ weight))

        Array.init batch (fun i ->
            if h0[i] = 0.0 || not (Double.IsFinite d0[i] && Double.IsFinite d1[i]) then
                h0[i]
            else
                let worst = Math.Max(d1[i], d2[i] / h0[i])

                let h1 =
                    if not (Double.IsFinite(d2[i] / h0[i])) then h0[i] * 0.1
                    elif worst <= 1e-15 then Math.Max(1e-6, h0[i] * 1e-3)
                    else Math.Pow(0.01 / worst, 1.0 / float (max 1 kernel.ErrorOrder))

                Math.Min(Math.Min(100.0 * h0[i], h1), BatchStepper.Longest(options, i)))

    interface IDisposable with
        member _.Dispose() = kernel.Dispose()

/// Time, step length, step control and status of every sample; public arrays, in the manner of a struct of arrays.
[<Sealed>]
type internal BatchClocks(options: BatchOptions, defaults: Feedback, batch: int) =
    let adaptive, feedback, fixedStep =
        match options.Control with
        | Fixed step -> false, Controller.integral 1, step
        | Adaptive(ValueSome feedback) -> true, feedback, nan
        | Adaptive ValueNone -> true, defaults, nan

    let control = Array.init batch (fun _ -> ControllerState feedback)
    let direction = Array.init batch (fun i -> if options.T1[i] >= options.T0[i] then 1.0 else -1.0)
    let before i a b = direction[i] * (b - a) > 0.0

    // current time, length that the next step would like, attempted signed step and its end
    let t = Array.copy options.T0
    let length = Array.zeroCreate<float> batch
    let h = Array.zeroCreate<float> batch
    let tEnd = Array.zeroCreate<float> batch
    // fixed steps are counted from an anchor, so that rounding does not add up
    let anchorCount = Array.zeroCreate<int> batch
    let anchor = Array.copy options.T0
    let running = Array.create batch true
    let status = Array.create batch Status.Success
    let messages = Array.create batch ""
    let accepted = Array.zeroCreate<int> batch
    let rejected = Array.zeroCreate<int> batch

    let fail i which (text: string) =
        running[i] <- false
        status[i] <- which
        messages[i] <- $"Sample {i}: {text}"

    member _.T = t
    member _.Length = length
    member _.H = h
    member _.TEnd = tEnd
    member _.Running = running
    member _.Status = status
    member _.Messages = messages
    member _.Accepted = accepted
    member _.Rejected = rejected
    member _.Direction = direction
    /// Whether a comes before b in the direction of sample i.
    member _.Before(i, a, b) = before i a b
    /// Whether any sample runs.
    member _.AnyRunning = Array.contains true running
    /// Ends a sample with this status.
    member _.Fail(i, which, text) = fail i which text

    /// Ends every sample that still runs.
    member _.FailAll(which, text) =
        for i in 0 .. batch - 1 do
            if running[i] then
                fail i which text

    /// Books the accepted step of sample i.
    member _.Advance(i: int) =
        accepted[i] <- accepted[i] + 1
        t[i] <- tEnd[i]
        anchorCount[i] <- anchorCount[i] + 1

    /// Counts fixed steps from the present time on.
    member _.Anchor(i: int) =
        anchor[i] <- t[i]
        anchorCount[i] <- 0

    /// Chooses the next length after a step of this scaled error.
    member _.Control(i: int, error: float) =
        if adaptive then
            let next = abs h[i] * control[i].Accept error
            // A step cut short by a stop says little about the next one.
            length[i] <- if abs h[i] < length[i] then Math.Max(length[i], next) else next

    /// What each sample attempts next: zero for those that are done.
    member _.Plan() =
        for i in 0 .. batch - 1 do
            if running[i] && accepted[i] + rejected[i] >= options.MaxSteps then
                fail
                    i
                    Status.MaxStepsReached
                    $"{options.MaxSteps} steps did not reach the end: stopped at t = {t[i]} of [{options.T0[i]}, {options.T1[i]}] with step {length[i]:g3}; raise MaxSteps, loosen the tolerances, or use a stiff method."

            if not running[i] then
                h[i] <- 0.0
                tEnd[i] <- t[i]
            else
                let stop = options.T1[i]
                let remaining = stop - t[i]

                if adaptive then
                    let step = Math.Min(length[i], options.MaxStep)

                    if step * (1.0 + 1e-10) >= abs remaining then
                        h[i] <- remaining
                        tEnd[i] <- stop
                    else
                        h[i] <- direction[i] * step
                        tEnd[i] <- t[i] + direction[i] * step
                else
                    let next = anchor[i] + direction[i] * fixedStep * float (anchorCount[i] + 1)

                    if not (before i (next + direction[i] * fixedStep * 1e-10) stop) then
                        h[i] <- remaining
                        tEnd[i] <- stop
                    else
                        h[i] <- next - t[i]
                        tEnd[i] <- next

    /// Books an attempt that was not accepted; trouble says why there was no candidate, if that is known.
    member _.Reject(i: int, e: float, trouble: Status) =
        if not adaptive then
            fail
                i
                (if trouble = Status.Success then Status.NonFinite else trouble)
                $"no finite solution after the step from t = {t[i]} with length {abs h[i]}; take a smaller step, or check the field there."
        else
            rejected[i] <- rejected[i] + 1
            length[i] <- abs h[i] * control[i].Reject e
            let least = Math.Max(options.MinStep, 4.0 * (Math.BitIncrement(abs t[i]) - abs t[i]))

            if length[i] < least then
                match trouble with
                | Status.SingularMatrix ->
                    fail
                        i
                        trouble
                        $"the matrix M - g df/dy of the implicit steps stayed singular at t = {t[i]} however short the step; check the Jacobian and the mass matrix there."
                | Status.NewtonDiverged ->
                    fail
                        i
                        trouble
                        $"Newton's iteration failed at t = {t[i]} however short the step; check the field there, or its Jacobian if it is given."
                | _ when Double.IsFinite e ->
                    fail
                        i
                        Status.StepTooSmall
                        $"the step size fell below {least:g3} at t = {t[i]}; the problem is stiff, singular or discontinuous there: loosen the tolerances or use a stiff method."
                | _ ->
                    fail
                        i
                        Status.NonFinite
                        $"the field or the state is not finite just after t = {t[i]}; check the field there, or bound the span before the singularity."
