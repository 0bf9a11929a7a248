// Finding the events of all samples inside an attempted step of the batch.
namespace Continuum

open System
open System.Collections.Generic
open TorchSharp

/// The event functions along the steps: signs, counts, and the search. Events.fs and Integrate have the same rules for one state.
[<Sealed>]
type internal BatchFinder(options: BatchOptions, stepper: BatchStepper, clocks: BatchClocks, batch: int) =
    let events = options.Events
    let t = clocks.T
    let h = clocks.H
    let tEnd = clocks.TEnd
    let running = clocks.Running
    // sign before the step, and occurrences: [event][sample]
    let signs = Array.init events.Length (fun _ -> Array.zeroCreate<int> batch)
    let counts = Array.init events.Length (fun _ -> Array.zeroCreate<int> batch)

    let side x =
        if x > 0.0 then 1
        elif x < 0.0 then -1
        else 0

    /// Event e on the whole batch.
    let condition e (times: float[]) (state: Tensor) : Tensor =
        let value = events[e].Condition (BatchTensors.column times state) state

        if isNull value || value.numel () <> int64 batch then
            let shape = if isNull value then "null" else Tensors.shapeText value

            raise (
                ArgumentException
                    $"Event '{events[e].Name}' must return one number for each of the {batch} samples (shape [{batch}]); it returned {shape}."
            )

        value.reshape(-1L).``to`` torch.float64

    /// All events on the whole batch: [event][sample].
    let conditions (times: float[]) (state: Tensor) : float[][] =
        if events.Length = 0 then
            [||]
        else
            use _ = torch.NewDisposeScope()

            torch.cat (Array.init events.Length (fun e -> condition e times state))
            |> Tensors.toArray
            |> Array.chunkBySize batch

    let along (hT: Tensor) (y: Tensor) (thetas: float[]) : struct (float[] * Tensor) =
        let times = Array.init batch (fun i -> t[i] + thetas[i] * h[i])
        struct (times, stepper.Interpolate(hT, y, thetas))

    let valuesAlong (hT: Tensor) (y: Tensor) e (thetas: float[]) : float[] =
        use _ = torch.NewDisposeScope()
        let struct (times, state) = along hT y thetas
        Tensors.toArray (condition e times state)

    /// How often each event happened: [event][sample].
    member _.Counts = counts

    /// All events on the whole batch: [event][sample].
    member _.Conditions(times: float[], state: Tensor) : float[][] = conditions times state

    /// The signs at the start.
    member _.Start(values: float[][]) =
        values |> Array.iteri (fun e row -> row |> Array.iteri (fun i g -> signs[e][i] <- side g))

    /// The signs after steps of the samples in advance that no event ended.
    member _.Move(values: float[][], advance: bool[]) =
        for e in 0 .. events.Length - 1 do
            for i in 0 .. batch - 1 do
                if advance[i] && side values[e].[i] <> 0 then
                    signs[e][i] <- side values[e].[i]

    /// The signs after steps and events; jumped samples have a new state, whose signs are taken as they are.
    member this.MoveAfterEvents(values: float[][], advance: bool[], fired: int[][], jumped: bool[]) =
        let wasBefore = signs |> Array.map Array.copy
        this.Move(values, advance)

        for e in 0 .. events.Length - 1 do
            for i in 0 .. batch - 1 do
                if jumped[i] then
                    signs[e][i] <- side values[e].[i]

            for i in fired[e] do
                signs[e][i] <-
                    // Rounding decides on which side of its own zero a fired event stands: look again a little later.
                    if events[e].Apply.IsSome then
                        0
                    else
                        match events[e].Crossing with
                        | Rising -> 1
                        | Falling -> -1
                        | Either -> if wasBefore[e][i] <> 0 then -wasBefore[e][i] else signs[e][i]

    /// Finds the first event within the attempted step of every sample that would advance: theta (above 1: none) and which;
    /// samples with an event function that is not a number fail. Also the event functions at the end of the step.
    member _.Find(y: Tensor, hT: Tensor, candidate: Tensor, advance: bool[]) : struct (float[] * int[] * float[][]) =
        let grid = CrossingSearch.Grid
        stepper.EnsureExtras(t, hT, y)

        let values = // [grid point][event][sample]
            grid
            |> Array.mapi (fun g theta ->
                use _ = torch.NewDisposeScope()

                if g = 0 then
                    conditions t y
                elif g = grid.Length - 1 then
                    conditions tEnd candidate
                else
                    let struct (times, state) = along hT y (Array.create batch theta)
                    conditions times state)

        let least = Array.create batch 2.0
        let which = Array.create batch -1
        let searches = List<struct (int * int * CrossingSearch)>()

        for i in 0 .. batch - 1 do
            if advance[i] then
                for e in 0 .. events.Length - 1 do
                    if running[i] && counts[e][i] < events[e].MaxOccurrences then
                        let mine = values |> Array.map (fun at -> at[e][i])

                        if mine |> Array.exists (Double.IsFinite >> not) then
                            clocks.Fail(
                                i,
                                Status.NonFinite,
                                $"event '{events[e].Name}' (index {e}) is not finite in the step from t = {t[i]} to {tEnd[i]}; it must be finite on the trajectory."
                            )
                        else
                            let resolution = 2.0 * Math.Max(abs t[i], abs tEnd[i]) * 1.2e-16 / abs h[i] + 1e-15

                            searches.Add(
                                struct (i, e, CrossingSearch(mine, signs[e][i], events[e].Crossing, resolution))
                            )

        CrossingSearches.run batch (valuesAlong hT y) searches

        for struct (i, e, search) in searches do
            if running[i] && search.Theta < least[i] then
                least[i] <- search.Theta
                which[i] <- e

        struct (least, which, values[values.Length - 1])

    /// Retakes the step so that it ends at the events found, correcting their places by step values. Others repeat
    /// their step. Returns the lengths, the states and the event functions there.
    member _.StepTo
        (y: Tensor, hT: Tensor, slope: Tensor, theta: float[], which: int[])
        : struct (Tensor * Tensor * float[][]) =
        let full = Array.copy h
        let fired i = which[i] >= 0
        let inside i = fired i && theta[i] < 1.0
        let slopes = Array.create batch nan

        for e in which |> Array.filter (fun e -> e >= 0) |> Array.distinct do
            let width = theta |> Array.map (fun x -> Math.Min(1e-4, 0.5 * (1.0 - Math.Min(x, 1.0)) + 1e-9))
            let at sign = Array.init batch (fun i -> if inside i then theta[i] + sign * width[i] else 1.0)
            let left = valuesAlong hT y e (at -1.0)
            let right = valuesAlong hT y e (at 1.0)

            for i in 0 .. batch - 1 do
                if inside i && which[i] = e then
                    slopes[i] <- (right[i] - left[i]) / (2.0 * width[i] * full[i])

        for i in 0 .. batch - 1 do
            if inside i then
                h[i] <- theta[i] * full[i]
                tEnd[i] <- t[i] + h[i]

        let last = Array.create batch infinity
        let mutable hT = hT
        let mutable candidate: Tensor = null
        let mutable values: float[][] = [||]
        let mutable round = 0

        while round < 8 do
            hT <- BatchTensors.column h y
            candidate <- stepper.Step(t, hT, y, slope)
            values <- conditions tEnd candidate
            let mutable changed = false

            for i in 0 .. batch - 1 do
                if inside i && round < 7 then
                    let g = values[which[i]][i]
                    let next = -g / slopes[i]

                    if
                        g <> 0.0
                        && Double.IsFinite next
                        && abs next < 0.5 * abs last[i]
                        && abs next > 1e-15 * Math.Max(abs tEnd[i], abs h[i])
                        && clocks.Direction[i] * (h[i] + next) > 0.0
                        && abs (h[i] + next) <= abs full[i]
                    then
                        last[i] <- next
                        h[i] <- h[i] + next
                        tEnd[i] <- t[i] + h[i]
                        changed <- true

            round <- if changed then round + 1 else 99

        struct (hT, candidate, values)

    /// The events that fire at the ends of the steps: for each event the samples, in order.
    member _.Together(which: int[], values: float[][]) : int[][] =
        Array.init events.Length (fun e ->
            Array.init batch id
            |> Array.filter (fun i ->
                which[i] >= 0
                && (which[i] = e
                    || (counts[e][i] < events[e].MaxOccurrences
                        && signs[e][i] <> 0
                        && (match events[e].Crossing with
                            | Either -> true
                            | Rising -> signs[e][i] < 0
                            | Falling -> signs[e][i] > 0)
                        && (side values[e].[i] <> signs[e][i] || abs values[e].[i] < 1e-14)))))
