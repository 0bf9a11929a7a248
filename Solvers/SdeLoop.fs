// The loop over the steps of a stochastic equation, fixed or adaptive, over any state. It knows kernels and paths only.
//
// Adaptive steps look at the path up to the end of the step that they try. Where a try is rejected, what was seen there must not be lost,
// or the accepted steps would be chosen by their noise: the times looked at are kept, and later steps end at each of them. Foster and
// Jelincic 2023, On the convergence of adaptive approximations for stochastic differential equations, arXiv:2311.14201.
namespace Continuum

open System
open System.Collections.Generic

/// One solve. freshKernel makes a kernel for dense output; observer may be null. The caller's memory scope receives the results.
[<Sealed>]
type internal SdeIntegration<'S, 'X, 'P when 'P :> INormedSpace<'S>>
    (
        kernel: ISdeKernel<'S, 'X>,
        freshKernel: unit -> ISdeKernel<'S, 'X>,
        space: 'P,
        path: IBrownian<'X>,
        observer: ISdeObserver<'S>,
        options: SolveOptions<'S>,
        t0: float,
        t1: float
    ) =
    let direction = if t1 > t0 then 1.0 else -1.0
    let before a b = direction * (b - a) > 0.0
    let record = SdeRecord<'S, 'X, 'P>(kernel, space, path, observer, options, t0, t1)
    let difference = [| -1.0 |]

    let stops =
        match options.SaveAt with
        | StepValues times -> times |> Array.filter (fun time -> before t0 time && before time t1)
        | _ -> [||]
        |> fun inner -> Array.append inner [| t1 |]

    let mutable t = t0
    let mutable y = Unchecked.defaultof<'S>
    let mutable spare = Unchecked.defaultof<'S>
    let mutable status = Status.Success
    let mutable message = ""
    let mutable finished = false
    let mutable failure: exn = null

    let finish which text =
        status <- which
        message <- text
        finished <- true

    let inScope (body: unit -> 'R) : 'R =
        let scope = space.OpenScope()

        try
            body ()
        finally
            if not (isNull scope) then
                scope.Dispose()

    /// next, already out of every scope of the step, becomes the state.
    let moveTo (time: float) (next: 'S) =
        spare <- y
        space.Free y
        y <- next
        t <- time

    let step (from: float) (tEnd: float) (state: 'S) (dest: 'S) =
        kernel.Step(from, tEnd - from, path.Step(from, tEnd), state, dest)

    let worst (candidate: 'S) = space.WorstComponent(y, candidate, 0.0, difference, [| candidate |], 1)

    let mayGoOn (attempts: int) =
        if options.Cancellation.IsCancellationRequested then
            finish Status.Cancelled $"Cancelled at t = {t}."
            false
        elif attempts >= options.MaxSteps then
            finish
                Status.MaxStepsReached
                $"{options.MaxSteps} steps did not reach the end: stopped at t = {t} of [{t0}, {t1}]; raise MaxSteps, take longer steps or loosen the tolerances."

            false
        else
            true

    /// The second of two half steps from (t, y), and the first: the better value that errors are measured by.
    let halves (middle: float) (tEnd: float) : struct (float * 'S * 'S) =
        let first = step t middle y (space.Allocate y)
        struct (middle, first, step middle tEnd first (space.Allocate y))

    let middleOf (tEnd: float) = path.Snap(t, t + 0.5 * (tEnd - t))

    // ------------------------------------------------------------------------------------------------------ fixed steps

    let errorOfFixed (tEnd: float) (candidate: 'S) : 'S =
        if not options.Heuristics then
            Unchecked.defaultof<'S>
        elif kernel.HasErrorEstimate then
            kernel.ErrorEstimate(space.Allocate y)
        else
            let struct (_, _, fine) = halves (middleOf tEnd) tEnd
            space.Combine(space.Allocate y, fine, 1.0, difference, [| candidate |], 1)

    let fixedStep (tEnd: float) =
        let next =
            inScope (fun () ->
                let candidate = step t tEnd y spare

                if kernel.Difficulty <> Status.Success then
                    finish
                        kernel.Difficulty
                        $"The equations of the implicit step from t = {t} with the length {abs (tEnd - t)} could not be solved; take a shorter step, or check the drift there."

                    ValueNone
                elif not (space.IsFinite candidate) then
                    finish
                        Status.NonFinite
                        $"The solution is not finite after the step from t = {t} with length {abs (tEnd - t)} ({worst candidate}); take a smaller step, or check drift and diffusion there."

                    ValueNone
                else
                    let error = errorOfFixed tEnd candidate
                    record.Stepped(t, tEnd, y, candidate, true)
                    record.Accepted(tEnd - t, error)
                    ValueSome(space.Keep candidate))

        match next with
        | ValueSome next -> moveTo tEnd next
        | ValueNone -> ()

    let runFixed (length: float) =
        let ends = SdeDefaults.grid t0 length stops options.MaxSteps
        path.Prepare(Array.append [| t0 |] ends)
        let mutable i = 0

        while not finished && i < ends.Length do
            if mayGoOn i then
                fixedStep ends[i]
                record.Report(t, length)
                i <- i + 1

    // --------------------------------------------------------------------------------------------------- adaptive steps

    /// Ends of rejected tries that no step has reached yet, the nearest on top.
    let pending = Stack<float>()
    let mutable stopIndex = 0
    let mutable length = 0.0

    let feedback =
        match options.Control with
        | Adaptive(ValueSome feedback) -> feedback
        | _ -> SdeDefaults.feedback kernel.ErrorOrder

    let control = ControllerState feedback

    let shortest () = Math.Max(options.MinStep, 16.0 * (Math.BitIncrement(abs t) - abs t))

    /// Where the next try ends: at the first time that must be an end, or at a good time before it.
    let nextEnd () =
        let stop = stops[stopIndex]

        let limit =
            if pending.Count > 0 && before (pending.Peek()) stop then
                pending.Peek()
            else
                stop

        let rest = abs (limit - t)
        // Snap may add a sixteenth.
        let wanted = Math.Min(length, options.MaxStep / 1.0625)

        if wanted >= rest * (1.0 - 1e-9) then
            limit
        else
            // Two equal steps rather than a full one and a crumb.
            let target = path.Snap(t, t + direction * (if 2.0 * wanted > rest then 0.5 * rest else wanted))
            if before target limit then target else limit

    /// A try that ended at tEnd and looked at the path there and in the middle was rejected.
    let remember (middle: float) (tEnd: float) =
        if before tEnd stops[stopIndex] && not (pending.Count > 0 && pending.Peek() = tEnd) then
            pending.Push tEnd

        if not (Double.IsNaN middle) then
            pending.Push middle

    let forget () =
        while pending.Count > 0 && not (before t (pending.Peek())) do
            pending.Pop() |> ignore

    let failTooSmall (error: float) (candidate: 'S) =
        if kernel.Difficulty <> Status.Success then
            finish
                kernel.Difficulty
                $"The equations of the implicit step could not be solved at t = {t} however short the step; check the drift there."
        elif Double.IsFinite error then
            finish
                Status.StepTooSmall
                $"The step size fell below {shortest ():g3} at t = {t} ({worst candidate} is largest); the tolerances cannot be met along this path: loosen them, take a method of higher strong order or for stiff drift, or give the path a finer resolution."
        else
            finish
                Status.NonFinite
                $"The state, the drift or the diffusion is not finite just after t = {t} ({worst candidate}); check them there, or bound the span before the singularity."

    /// A try in a scope of its own; where it is accepted, the ends of its one or two steps and its error, out of that scope.
    let attempt (tEnd: float) : struct (float * 'S)[] voption * 'S =
        inScope (fun () ->
            let h = tEnd - t
            let coarse = step t tEnd y spare
            let solved = kernel.Difficulty = Status.Success
            let middle = if kernel.HasErrorEstimate then nan else middleOf tEnd
            let resolved = Double.IsNaN middle || (before t middle && before middle tEnd)

            let struct (norm, points, error) =
                if not solved || not resolved then
                    struct (infinity, [||], Unchecked.defaultof<'S>)
                elif kernel.HasErrorEstimate then
                    let error = kernel.ErrorEstimate(space.Allocate y)
                    let norm = space.ErrorNorm(y, coarse, 1.0, [| 1.0 |], [| error |], 1)
                    struct (norm, [| struct (tEnd, coarse) |], error)
                else
                    let struct (_, first, fine) = halves middle tEnd
                    let error = space.Combine(space.Allocate y, fine, 1.0, difference, [| coarse |], 1)
                    let norm = space.ErrorNorm(y, fine, 1.0, [| 1.0 |], [| error |], 1)
                    struct (norm, [| struct (middle, first); struct (tEnd, fine) |], error)

            let good = kernel.Difficulty = Status.Success && norm <= 1.0

            if good && points |> Array.forall (fun (struct (_, state)) -> space.IsFinite state) then
                let factor = control.Accept norm
                let next = abs h * factor
                // A step cut short by a stop says little about the next one.
                length <- if abs h < 0.999 * length then Math.Max(length, next) else next
                let kept = points |> Array.map (fun (struct (time, state)) -> struct (time, space.Keep state))

                let error =
                    if options.Heuristics && not (isNull (box error)) then
                        space.Keep error
                    else
                        Unchecked.defaultof<'S>

                ValueSome kept, error
            else
                record.Rejected()
                length <- abs h * control.Reject norm

                if resolved then
                    remember middle tEnd

                if not resolved || length < shortest () then
                    failTooSmall norm coarse

                ValueNone, Unchecked.defaultof<'S>)

    /// From (t, y) to the next accepted state.
    let advance () =
        inScope (fun () ->
            kernel.Hold(t, y)
            let mutable points = ValueNone
            let mutable error = Unchecked.defaultof<'S>
            let mutable h = 0.0

            while points.IsNone && not finished && mayGoOn record.Attempts do
                let tEnd = nextEnd ()

                if not (before t tEnd) then
                    failTooSmall 1.0 y
                else
                    let found, itsError = attempt tEnd
                    points <- found
                    error <- itsError
                    h <- tEnd - t

            kernel.Start()

            match points with
            | ValueSome points ->
                let mutable from = t
                let mutable state = y

                for i in 0 .. points.Length - 1 do
                    let struct (time, next) = points[i]
                    record.Stepped(from, time, state, next, (i = points.Length - 1))
                    from <- time
                    state <- next

                record.Accepted(h, error)
                ValueSome(struct (from, space.Keep state))
            | ValueNone -> ValueNone)

    let runAdaptive () =
        let longest = Math.Min(options.MaxStep, abs (t1 - t0))

        length <-
            match options.InitialStep with
            | ValueSome step -> Math.Min(step, longest)
            | ValueNone -> SdeDefaults.firstStep kernel space options.Tolerance t y longest

        while not finished && stopIndex < stops.Length do
            match advance () with
            | ValueSome(struct (time, next)) ->
                moveTo time next
                forget ()

                if t = stops[stopIndex] then
                    stopIndex <- stopIndex + 1

                record.Report(t, length)
            | ValueNone -> ()

    // -------------------------------------------------------------------------------------------------------- the solve

    let firstLine (text: string) =
        match text.IndexOf '\n' with
        | -1 -> text
        | i -> text.Substring(0, i).TrimEnd()

    let solution () : Solution<'S> =
        record.SaveEnd(t, space.Copy y)

        {
            Status = status
            Message = message
            Times = record.Times.ToArray()
            States = record.States.ToArray()
            FinalTime = t
            FinalState = space.Copy y
            Occurrences = [||]
            Dense = record.Dense(freshKernel ())
            Statistics = record.Statistics
            Choices = [| { Time = t0; Method = kernel.Name; Reason = "asked for" } |]
            Exception = failure
        }

    /// Solves from y0. Wrong shapes are ArgumentException; what else goes wrong on the way is in the status.
    member _.Run(y0: 'S) : Solution<'S> =
        y <- space.Copy y0
        spare <- space.Allocate y0
        record.Begin y

        try
            if not (space.IsFinite y) then
                finish Status.NonFinite $"The initial state is not finite ({worst y}); check the input at t = {t0}."
            else
                match options.Control with
                | Fixed length -> runFixed length
                | Adaptive _ -> runAdaptive ()
        with
        | :? OperationCanceledException when options.Cancellation.IsCancellationRequested ->
            finish Status.Cancelled $"Cancelled at t = {t}."
        | :? SdeShapeException -> reraise ()
        | error ->
            failure <- error

            finish
                Status.FieldThrew
                $"{error.GetType().Name} from the drift or the diffusion, in the step from t = {t}: {firstLine error.Message}"

        let result = solution ()
        space.Free y
        result
