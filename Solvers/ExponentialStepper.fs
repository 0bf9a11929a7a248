// Exponential Runge-Kutta steps with coefficients cached per step length.
namespace Continuum

open System

/// Evaluation of the continuous extension.
[<RequireQualifiedAccess>]
module internal ExponentialDense =
    /// The value at theta from the start y, the four N and the correction at the end (null for none), which enters with theta.
    let at (space: IDiagonalSpace<'S>) (h: float) (theta: float) (y: 'S) (n: 'S[]) (correction: 'S) : 'S =
        let own = space.OpenScope()

        try
            let row = ExponentialTableau.dense space h theta

            let value =
                if isNull (box correction) then
                    space.Combine(space.Allocate y, row.E, y, row.C, n, row.From)
                else
                    let weights = Array.append row.C [| space.Mix(theta, [||], [||]) |]
                    let parts = Array.append n [| correction |]
                    space.Combine(space.Allocate y, row.E, y, weights, parts, [| 0; 1; 2; 3; 4 |])

            space.Keep value
        finally
            if not (isNull own) then
                own.Dispose()

/// Dense output of one accepted exponential step.
[<Sealed>]
type internal ExponentialDenseStep<'S>
    (space: IDiagonalSpace<'S>, t0: float, h: float, tEnd: float, y0: 'S, n: 'S[], correction: 'S) =
    interface IHoldsStates<'S> with
        member _.ForEach visit =
            visit y0
            Array.iter visit n
            // one tensor for all steps, so visited often: detaching and freeing twice are harmless
            Array.iter visit space.Held

            if not (isNull (box correction)) then
                visit correction

    interface IDenseSolution<'S> with
        member _.Start = t0
        member _.End = tEnd
        member _.At t = ExponentialDense.at space h (if h = 0.0 then 0.0 else (t - t0) / h) y0 n correction

/// A stepper of either exponential method over any space. 'F evaluates N.
[<Sealed>]
type internal ExponentialStepper<'S, 'F when 'F :> IField<'S, float>>
    (method: ExponentialMethod, space: IDiagonalSpace<'S>, field: 'F, like: 'S) =
    let mutable field = field
    let n: 'S[] = Array.init 4 (fun _ -> space.Allocate like)
    let mutable stage = space.Allocate like
    let mutable rows: ExponentialRow<'S>[] = [||]
    let mutable rowsFor = nan
    let mutable t = 0.0
    let mutable h = 0.0
    let mutable tEnd = 0.0
    let mutable y = Unchecked.defaultof<'S>
    let mutable candidate = space.Allocate like
    let mutable spare = space.Allocate like
    let mutable correction = Unchecked.defaultof<'S>
    let mutable correctionKnown = false
    let mutable scope: IDisposable = null
    let mutable started = false
    let mutable attempted = false
    let mutable evaluations = 0

    let closeScope () =
        if not (isNull scope) then
            scope.Dispose()
            scope <- null

    let freeRows () =
        ExponentialTableau.visit rows space.Free
        rows <- [||]
        rowsFor <- nan

    /// The loop's steps differ by the rounding of the clock; the coefficients of one of them serve all.
    let ensureRows (length: float) (finish: float) =
        let ulp x = Math.BitIncrement(abs x) - abs x

        if not (abs (length - rowsFor) <= 4.0 * Math.Max(ulp t, ulp finish)) then
            freeRows ()
            let own = space.OpenScope()

            try
                let made = ExponentialTableau.rows space method length

                ExponentialTableau.visit made (fun c -> space.Keep c |> ignore)
                rows <- made
                rowsFor <- length
            finally
                if not (isNull own) then
                    own.Dispose()

    let evaluate (i: int) (time: float) (state: 'S) =
        evaluations <- evaluations + 1
        n[i] <- field.Eval(time, state, n[i])

    let combine (row: ExponentialRow<'S>) (dest: 'S) = space.Combine(dest, row.E, y, row.C, n, row.From)

    let step (dest: 'S) =
        evaluate 0 t y

        for i in 1..3 do
            stage <- combine rows[i - 1] stage
            evaluate i (if i = 3 then tEnd else t + 0.5 * h) stage

        combine rows[3] dest

    /// What the continuous extension misses at the end of a step of the integrating factor; of order h^5.
    let ensureCorrection () =
        if not correctionKnown then
            correction <-
                match method with
                | Etdrk4 -> Unchecked.defaultof<'S>
                | IntegratingFactorRk4 ->
                    let end' = ExponentialDense.at space h 1.0 y n Unchecked.defaultof<'S>
                    let one = space.Mix(1.0, [||], [||])
                    let minus = space.Mix(-1.0, [||], [||])
                    space.Combine(space.Allocate y, one, candidate, [| minus |], [| end' |], [| 0 |])

            correctionKnown <- true

    let release () =
        if started then
            closeScope ()
            space.Free y
            started <- false

    interface IStepper<'S> with
        member _.ErrorOrder = 4
        member _.IsAdaptive = false
        member _.DefaultFeedback = Controller.integral 4

        member _.Start(time, state) =
            let copy = space.Copy state
            release ()
            t <- time
            y <- copy
            started <- true
            attempted <- false

        member _.InitialStep(_, longest) = longest

        member _.Try(length, finish) =
            closeScope ()
            ensureRows length finish
            scope <- space.OpenScope()
            h <- length
            tEnd <- finish
            correctionKnown <- false
            attempted <- true

            try
                candidate <- step spare
                0.0
            with _ ->
                closeScope ()
                reraise ()

        member _.Accept() =
            let next = space.Keep candidate
            spare <- y
            space.Free y
            y <- next
            closeScope ()
            t <- tEnd
            attempted <- false

        member _.Time = t
        member _.State = y
        member _.Candidate = candidate

        member _.Interpolate theta =
            ensureCorrection ()
            ExponentialDense.at space h theta y n correction

        member _.DenseStep() =
            ensureCorrection ()
            let keep x = space.Keep(space.Copy x)

            let kept = if isNull (box correction) then Unchecked.defaultof<'S> else keep correction

            ExponentialDenseStep<'S>(space, t, h, tEnd, keep y, Array.map keep n, kept)

        member _.Evaluations = evaluations
        member _.Heuristics() = struct (nan, nan)
        member _.StabilityRadius = nan
        member _.WorstComponent() = space.WorstComponent(if attempted then candidate else y)
        member _.Factor(_, _) = nan
        member _.Difficulty = Status.Success
        member _.Work = ImplicitWork.Zero

        member _.Choices = [| { Time = nan; Method = string method; Reason = "asked for" } |]

        member _.Dispose() =
            release ()
            freeRows ()
