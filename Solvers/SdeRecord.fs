// What a solve of a stochastic equation keeps on its way: saved values, dense output, statistics.
namespace Continuum

open System
open System.Collections.Generic

/// What a driver beside the loop may watch (the ways to differentiate record steps with it). Called within one memory scope, that of the
/// step: what is to outlive it must be kept.
type internal ISdeObserver<'S> =
    /// A step of the trajectory from (t, y) to (tEnd, y1) was accepted. An adaptive step by halves announces each half.
    abstract Stepped: t: float * tEnd: float * y: 'S * y1: 'S -> unit
    /// The error estimate of the step of signed length h that the last one or two Stepped made up. Only with Heuristics.
    abstract Estimated: h: float * error: 'S -> unit
    /// Saved value `index` is the state at time r: the end of the step announced last where r is its end, else a step from its start to r
    /// along the same path; the initial state where no step was announced.
    abstract Saved: index: int * r: float -> unit

/// Values between steps: a step of the method from the start of the step that contains them, along the path's own increments. It is a
/// sample of the method's law and never linear.
[<RequireQualifiedAccess>]
module internal SideStep =
    /// The state at r from (t, y), in the innermost memory scope.
    let take (kernel: ISdeKernel<'S, 'X>) (path: IBrownian<'X>) (t: float) (y: 'S) (r: float) (dest: 'S) : 'S =
        kernel.Step(t, r - t, path.Step(t, r), y, dest)

/// Dense output of a solve: the starts of its steps, from which a value at any time is one step away. Needs the path for as long as it is
/// used. Recorded where gradients are on.
[<Sealed>]
type internal SdeDense<'S, 'X, 'P when 'P :> INormedSpace<'S>>
    (kernel: ISdeKernel<'S, 'X>, space: 'P, path: IBrownian<'X>, times: float[], states: 'S[]) =
    let start = times[0]
    let finish = times[times.Length - 1]
    let direction = if finish >= start then 1.0 else -1.0

    interface IHoldsStates<'S> with
        member _.ForEach visit = Array.iter visit states

    interface IDenseSolution<'S> with
        member _.Start = start
        member _.End = finish

        member _.At t =
            if not (direction * (t - start) >= 0.0 && direction * (finish - t) >= 0.0) then
                raise (
                    ArgumentOutOfRangeException(
                        nameof t,
                        t,
                        $"The dense solution covers {start} to {finish}; extend the span of the solve to evaluate it at {t}."
                    )
                )

            let mutable low = 0
            let mutable high = times.Length - 1

            while low < high do
                let middle = (low + high + 1) / 2

                if direction * (t - times[middle]) >= 0.0 then
                    low <- middle
                else
                    high <- middle - 1

            let y = states[low]

            if t = times[low] then
                space.Copy y
            else
                lock kernel (fun () ->
                    let scope = space.OpenScope()

                    try
                        space.Keep(SideStep.take kernel path times[low] y t (space.Allocate y))
                    finally
                        if not (isNull scope) then
                            scope.Dispose())

/// Saved values, dense output and statistics of a solve in progress. observer may be null.
[<Sealed>]
type internal SdeRecord<'S, 'X, 'P when 'P :> INormedSpace<'S>>
    (
        kernel: ISdeKernel<'S, 'X>,
        space: 'P,
        path: IBrownian<'X>,
        observer: ISdeObserver<'S>,
        options: SolveOptions<'S>,
        t0: float,
        t1: float
    ) =
    let direction = if t1 > t0 then 1.0 else -1.0
    let before a b = direction * (b - a) > 0.0
    let watched = not (isNull (box observer))
    let times = List<float>()
    let states = List<'S>()
    let starts = List<float>()
    let startStates = List<'S>()
    let dense = options.SaveAt.IsDenseOutput
    let everyStep = dense || options.SaveAt.IsEverySteps

    let saveTimes =
        match options.SaveAt with
        | Times times
        | StepValues times -> times
        | _ -> [||]

    let mutable nextSave = 0
    let mutable accepted = 0
    let mutable rejected = 0
    let mutable smallest = infinity
    let mutable largest = 0.0

    let save r (state: 'S) =
        if watched then
            observer.Saved(times.Count, r)

        times.Add r
        states.Add state

    /// Whether r is the time tEnd but for rounding of the grid.
    let isAt (r: float) (t: float) (tEnd: float) =
        abs (r - tEnd) <= 1e-12 * abs (tEnd - t) + 2.0 * Math.BitIncrement(abs tEnd) - 2.0 * abs tEnd

    /// Attempted steps so far.
    member _.Attempts = accepted + rejected
    member _.Times = times
    member _.States = states

    /// The initial state.
    member _.Begin(y0: 'S) =
        if saveTimes.Length > 0 && saveTimes[0] = t0 then
            save t0 (space.Copy y0)
            nextSave <- 1

        if everyStep then
            save t0 (space.Copy y0)

        if dense then
            starts.Add t0
            startStates.Add(space.Copy y0)

    /// A step of the trajectory, within its memory scope; `whole` where it ends an accepted step (and not the first half of one).
    member _.Stepped(t: float, tEnd: float, y: 'S, y1: 'S, whole: bool) =
        if watched then
            observer.Stepped(t, tEnd, y, y1)

        while nextSave < saveTimes.Length && (before saveTimes[nextSave] tEnd || isAt saveTimes[nextSave] t tEnd) do
            let r = saveTimes[nextSave]

            if isAt r t tEnd then
                save tEnd (space.Keep(space.Copy y1))
                // reported as asked for
                times[times.Count - 1] <- r
            else
                save r (space.Keep(SideStep.take kernel path t y r (space.Allocate y)))

            nextSave <- nextSave + 1

        if everyStep && whole then
            save tEnd (space.Keep(space.Copy y1))

        if dense then
            starts.Add tEnd
            startStates.Add(space.Keep(space.Copy y1))

    /// The accepted step of signed length h and its error estimate.
    member _.Accepted(h: float, error: 'S) =
        accepted <- accepted + 1
        smallest <- Math.Min(smallest, abs h)
        largest <- Math.Max(largest, abs h)

        if watched && options.Heuristics && not (isNull (box error)) then
            observer.Estimated(h, error)

    member _.Rejected() = rejected <- rejected + 1

    /// The state where the solve stopped, where only that is asked for.
    member _.SaveEnd(time: float, state: 'S) =
        if options.SaveAt.IsEndOnly then
            save time state

    member _.Report(time: float, step: float) =
        if not (isNull options.Progress) then
            options.Progress.Invoke {
                Time = time
                Step = step
                Fraction = (time - t0) / (t1 - t0)
                Accepted = accepted
                Rejected = rejected
                Evaluations = kernel.DriftEvaluations
            }

    /// Dense output by this kernel, which nobody else uses.
    member _.Dense(own: ISdeKernel<'S, 'X>) : IDenseSolution<'S> voption =
        if dense then
            ValueSome(SdeDense<'S, 'X, 'P>(own, space, path, starts.ToArray(), startStates.ToArray()))
        else
            ValueNone

    member _.Statistics = {
        Evaluations = kernel.DriftEvaluations
        Accepted = accepted
        Rejected = rejected
        SmallestStep = if accepted = 0 then nan else smallest
        LargestStep = if accepted = 0 then nan else largest
        ErrorEstimate = nan
        StiffnessEstimate = nan
        LargestStabilityRatio = nan
        Implicit = kernel.Work
    }
