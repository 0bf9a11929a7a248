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

    interface IHoldsStates<'S> with
        member _.ForEach visit = Array.iter visit states

    interface IDenseSolution<'S> with
        member _.Start = start
        member _.End = finish

        member _.At t =
            let low = DenseSpan.locate start finish times.Length (fun i -> times[i]) t
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
    let saved = SavedValues<'S>(options.SaveAt, t0, t1)
    let tally = StepTally()
    let watched = not (isNull (box observer))
    let starts = List<float>()
    let startStates = List<'S>()

    let save r (state: 'S) =
        if watched then
            observer.Saved(saved.Times.Count, r)

        saved.Add(r, state)

    /// Whether r is the time tEnd but for rounding of the grid.
    let isAt (r: float) (t: float) (tEnd: float) =
        abs (r - tEnd) <= 1e-12 * abs (tEnd - t) + 2.0 * Math.BitIncrement(abs tEnd) - 2.0 * abs tEnd

    /// Attempted steps so far.
    member _.Attempts = tally.Attempts
    member _.Times = saved.Times
    member _.States = saved.States

    /// The initial state.
    member _.Begin(y0: 'S) =
        if saved.WantsStart then
            save t0 (space.Copy y0)
            saved.Advance 1

        if saved.IsEveryStep then
            save t0 (space.Copy y0)

        if saved.IsDense then
            starts.Add t0
            startStates.Add(space.Copy y0)

    /// A step of the trajectory, within its memory scope; `whole` where it ends an accepted step (and not the first half of one).
    member _.Stepped(t: float, tEnd: float, y: 'S, y1: 'S, whole: bool) =
        if watched then
            observer.Stepped(t, tEnd, y, y1)

        while saved.Next < saved.Wanted.Length
              && (saved.IsBefore(saved.Wanted[saved.Next], tEnd) || isAt saved.Wanted[saved.Next] t tEnd) do
            let r = saved.Wanted[saved.Next]

            if isAt r t tEnd then
                save tEnd (space.Keep(space.Copy y1))
                // reported as asked for
                saved.Times[saved.Times.Count - 1] <- r
            else
                save r (space.Keep(SideStep.take kernel path t y r (space.Allocate y)))

            saved.Advance 1

        if saved.IsEveryStep && whole then
            save tEnd (space.Keep(space.Copy y1))

        if saved.IsDense then
            starts.Add tEnd
            startStates.Add(space.Keep(space.Copy y1))

    /// The accepted step of signed length h and its error estimate.
    member _.Accepted(h: float, error: 'S) =
        tally.Accepted h

        if watched && options.Heuristics && not (isNull (box error)) then
            observer.Estimated(h, error)

    member _.Rejected() = tally.Rejected()

    /// The state where the solve stopped, where only that is asked for.
    member _.SaveEnd(time: float, state: 'S) =
        if options.SaveAt.IsEndOnly then
            save time state

    member _.Report(time: float, step: float) =
        tally.Report(options.Progress, t0, t1, time, step, kernel.DriftEvaluations)

    /// Dense output by this kernel, which nobody else uses.
    member _.Dense(own: ISdeKernel<'S, 'X>) : IDenseSolution<'S> voption =
        if saved.IsDense then
            ValueSome(SdeDense<'S, 'X, 'P>(own, space, path, starts.ToArray(), startStates.ToArray()))
        else
            ValueNone

    member _.Statistics = tally.Statistics(kernel.DriftEvaluations, kernel.Work)
