// A kernel on tensors as a stepper under one clock.
namespace Continuum

open System
open TorchSharp

/// Steps a state on tensors by a kernel: the implicit methods of solves with one step size. Recorded where gradients are enabled.
[<Sealed>]
type internal TensorKernelStepper(kernel: ITensorKernel, tensors: TensorSpace, field: TensorField) =
    let space = tensors :> INormedSpace<Tensor>
    let unit' = [| 1.0 |]
    let mutable t = 0.0
    let mutable h = 0.0
    let mutable tEnd = 0.0
    let mutable y: Tensor = null
    let mutable slope: Tensor = null
    let mutable time: Tensor = null
    let mutable length: Tensor = null
    let mutable candidate: Tensor = null
    let mutable errors: Tensor[] = [||]
    let mutable scope: IDisposable = null
    let mutable difficulty = Status.Success

    let closeScope () =
        errors <- [||]

        if not (isNull scope) then
            scope.Dispose()
            scope <- null

    let freeSlope () =
        if not (isNull slope) then
            slope.Dispose()
            slope <- null

    let evaluate (time: float) (state: Tensor) = kernel.Slope(TensorField.time field time state, state)

    let ensureSlope () =
        if isNull slope then
            use _ = torch.NewDisposeScope()
            slope <- space.Keep(evaluate t y)

    let release () =
        closeScope ()
        freeSlope ()

        if not (isNull y) then
            y.Dispose()
            y <- null

    let norm () =
        match errors with
        | [||] -> if space.IsFinite candidate then 0.0 else nan
        | _ -> space.ErrorNorm(y, candidate, 1.0, unit', errors, 1)

    let weights theta = BatchTensors.weights kernel.Dense theta

    interface IStepper<Tensor> with
        member _.ErrorOrder = kernel.ErrorOrder
        member _.IsAdaptive = kernel.IsAdaptive
        member _.DefaultFeedback = kernel.DefaultFeedback

        member _.Start(startTime, state) =
            let copy = space.Copy state
            release ()
            t <- startTime
            y <- copy.DetachFromDisposeScope()

        member _.InitialStep(direction, longest) =
            ensureSlope ()
            StepDefaults.firstStep tensors evaluate kernel.ErrorOrder direction longest t y slope

        member _.Try(step, stepEnd) =
            closeScope ()
            ensureSlope ()
            scope <- space.OpenScope()
            h <- step
            tEnd <- stepEnd
            difficulty <- Status.Success

            try
                time <- TensorField.time field t y
                length <- torch.tensor (h, dtype = y.dtype, device = y.device)
                candidate <- kernel.Step(time, length, y, slope)

                use _ = torch.no_grad ()
                errors <- kernel.Errors length

                match kernel.Troubles with
                | null -> ()
                | troubles ->
                    for trouble in troubles do
                        if trouble <> Status.Success then
                            difficulty <- trouble

                if difficulty = Status.Success then
                    norm ()
                elif space.IsFinite slope then
                    infinity
                else
                    // A field that is not finite is that, not a singular matrix.
                    difficulty <- Status.Success
                    nan
            with _ ->
                closeScope ()
                reraise ()

        member _.Accept() =
            let next = candidate.alias().DetachFromDisposeScope()
            y.Dispose()
            y <- next

            match kernel.EndSlope with
            | null -> freeSlope ()
            | last ->
                let next = last.alias().DetachFromDisposeScope()
                freeSlope ()
                slope <- next

            closeScope ()
            t <- tEnd

        member _.Time = t
        member _.State = y
        member _.Candidate = candidate

        member _.Interpolate theta =
            kernel.EnsureExtras(time, length, y)
            space.Combine(y, y, h, weights theta, kernel.Slopes, kernel.Dense.Length)

        member _.DenseStep() =
            kernel.EnsureExtras(time, length, y)
            let zero = torch.zeros_like y
            let degree = kernel.Dense |> Array.fold (fun most row -> max most row.Length) 0

            let q =
                Array.init degree (fun p ->
                    let column = kernel.Dense |> Array.map (fun row -> if p < row.Length then row[p] else 0.0)
                    space.Keep(space.Combine(zero, zero, 1.0, column, kernel.Slopes, column.Length)))

            DenseStep<Tensor, TensorSpace>(tensors, t, h, tEnd, space.Keep(space.Copy y), q)

        member _.Evaluations = kernel.Evaluations

        member _.Heuristics() =
            if errors.Length = 0 then
                struct (nan, nan)
            else
                use _ = torch.no_grad ()
                use norm = errors[0].norm()
                struct (norm.ToDouble(), nan)

        member _.StabilityRadius = kernel.StabilityRadius

        member _.WorstComponent() =
            use _ = torch.no_grad ()

            if errors.Length > 0 then
                space.WorstComponent(y, candidate, 1.0, unit', errors, 1)
            elif not (isNull slope) then
                space.WorstComponent(y, y, 0.0, unit', [| slope |], 1)
            else
                space.WorstComponent(y, y, 0.0, [| 0.0 |], [| y |], 1)

        member _.Factor(_, _) = nan
        member _.Difficulty = difficulty
        member _.Work = kernel.Work
        member _.Choices = [| { Time = nan; Method = kernel.Name; Reason = "asked for" } |]

        member _.Dispose() =
            release ()
            kernel.Dispose()
