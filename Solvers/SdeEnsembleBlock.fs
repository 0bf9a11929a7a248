// Workers of an ensemble: each fills blocks of paths, in lanes or one by one.
namespace Continuum

#nowarn "3535" "3536"

open System
open System.Collections.Generic

/// Paths of one equation with initial states and parameters of their own or shared.
type SdeEnsembleProblem = {
    /// Start of the span.
    Start: float
    /// End of the span.
    End: float
    /// Number of paths.
    Count: int
    /// Initial states: one for all, or one for each path.
    Initial: float[][]
    /// Parameters: empty for those of the equation, one set for all, or one for each path.
    Parameters: float[][]
    /// Number of the first path; the others follow. Ensembles that are to be joined start where the other ends.
    FirstPath: int64
}

/// What the workers are told.
type internal SdeEnsembleTask = {
    Scheme: SdeScheme
    Terms: ArraySdeTerms
    Parameters: float[]
    Options: ArraySdeOptions
    Spec: BrownianSpec
    Problem: SdeEnsembleProblem
    /// Saved times; of all paths the same.
    Times: float[]
    Plan: SdePlan
    Chunks: SdeChunks
} with

    member task.State(i: int) =
        let list = task.Problem.Initial
        if list.Length = 1 then list[0] else list[i]

    member task.Values(i: int) =
        match task.Problem.Parameters with
        | [||] -> task.Parameters
        | [| one |] -> one
        | list -> list[i]

/// A worker that solves path after path, and what all workers have in common. For one thread.
type internal SdeBlock(task: SdeEnsembleTask) =
    let n = task.Terms.Size
    let width = task.Chunks.Block
    let rows = task.Times.Length + 1
    let buffer: float[] = Array.zeroCreate (rows * n * width)
    let failed: bool[] = Array.zeroCreate width

    /// Component c of path i of the block at saved time r in Buffer[(r n + c) Width + i]; the last row is the end.
    member _.Buffer = buffer
    /// Saved times and the end.
    member _.Rows = rows
    /// Paths that did not reach their end.
    member _.Failed = failed
    /// The same with what happened; grows until it is taken.
    member val Failures = List<SdeFailure>() with get, set

    member private this.Fail(first: int, i: int, status, message, time) =
        failed[i] <- true
        this.Failures.Add { Path = first + i; Status = status; Message = message; Time = time }

    member private _.Put(row: int, i: int, state: float[]) =
        for c in 0 .. n - 1 do
            buffer[(row * n + c) * width + i] <- if isNull state then nan else state[c]

    /// Solves one path alone.
    member this.Single(first: int, i: int) =
        let path = BrownianPath(task.Spec, task.Problem.FirstPath + int64 (first + i))
        let span = task.Problem

        let solution =
            ArraySdeRun.run
                task.Scheme
                task.Terms
                (task.Values(first + i))
                task.Options
                path
                span.Start
                span.End
                (task.State(first + i))

        for row in 0 .. rows - 2 do
            this.Put(row, i, (if row < solution.States.Length then solution.States[row] else null))

        this.Put(rows - 1, i, solution.FinalState)

        if solution.Status <> Status.Success then
            this.Fail(first, i, solution.Status, solution.Message, solution.FinalTime)

    /// Marks paths as cancelled.
    member this.Cancel(first: int, count: int) =
        for i in 0 .. count - 1 do
            for row in 0 .. rows - 1 do
                this.Put(row, i, null)

            this.Fail(first, i, Status.Cancelled, "Cancelled before its end.", nan)

    /// Fills the buffer with `count` paths from `first` on.
    abstract Fill: first: int * count: int -> unit

    default this.Fill(first, count) =
        for i in 0 .. count - 1 do
            if task.Options.Cancellation.IsCancellationRequested then
                this.Cancel(first + i, 1)
            else
                this.Single(first, i)

    /// The same with the failures forgotten before.
    member this.Run(first: int, count: int) =
        Array.Clear failed
        this.Fill(first, count)

/// The increments of groups of eight paths as noise vectors in lanes.
[<Sealed>]
type internal SdeLaneNoise(spec: BrownianSpec, groups: int) =
    let m = spec.Dimension
    let batch = 8 * groups
    let row has (count: int) : float[] = if has then Array.zeroCreate (count * batch) else null
    let w = row true m
    let h = row (spec.Level <> LevyLevel.Increments) m
    let k = row (spec.Level = LevyLevel.SpaceTimeTime) m
    let a = row (spec.Level = LevyLevel.Area) (m * m)
    let spare = row (spec.Level = LevyLevel.Area) (m * m)
    let step: BrownianStep<float[]> = { W = w; H = h; K = k; A = a }
    let mutable paths = Unchecked.defaultof<HostBrownianBatch>

    /// Rows of one number for each path to groups of lanes.
    let arrange (source: ReadOnlySpan<float>) (count: int) (sign: float) (dest: float[]) =
        if count = 1 && sign > 0.0 then
            source.CopyTo(Span<float> dest)
        else
            for j in 0 .. count - 1 do
                for group in 0 .. groups - 1 do
                    for lane in 0..7 do
                        dest[(group * count + j) * 8 + lane] <- sign * source[j * batch + group * 8 + lane]

    /// Turns to the paths from this number on; beyond the last number there is that path again.
    member _.Start(first: int64) =
        let numbers =
            if first + int64 batch <= 4294967296L then
                PathNumbers.From(first, batch)
            else
                PathNumbers.Chosen(Array.init batch (fun i -> Math.Min(first + int64 i, 4294967295L)))

        if isNull (box paths) then
            paths <- HostBrownianBatch(spec, numbers)
        else
            paths.Restart numbers

    /// The path over a whole cell, in memory that the next call overwrites.
    member _.Cell(cell: int) =
        let source = paths.Cell cell
        let size = m * batch
        arrange (source.Slice(0, size)) m 1.0 w

        if not (isNull h) then
            arrange (source.Slice(size, size)) m 1.0 h

        if not (isNull k) then
            arrange (source.Slice(2 * size, size)) m 1.0 k

        step

    /// The path over [s, t] (or backward), in memory that the next call overwrites.
    member _.Step(s: float, t: float) =
        let piece = paths.Forward(s, t)
        let size = m * batch
        let sign row = HostBrownianBatch.Sign(row, s, t)
        arrange (ReadOnlySpan<float>(piece, 0, size)) m (sign 0) w

        if not (isNull h) then
            arrange (ReadOnlySpan<float>(piece, size, size)) m (sign 1) h

        if not (isNull k) then
            arrange (ReadOnlySpan<float>(piece, 2 * size, size)) m (sign 2) k

        if not (isNull a) then
            HostBrownianBatch.Area(m, batch, 2, sign 0, piece, Span<float> spare)
            arrange (ReadOnlySpan<float> spare) (m * m) 1.0 a

        step

/// A worker that takes groups of eight paths through the same fixed steps at once.
[<Sealed>]
type internal SdeLaneBlock<'G when 'G: struct and 'G :> IGenericSde>(task: SdeEnsembleTask, field: 'G) =
    inherit SdeBlock(task)
    let terms = task.Terms
    let n = terms.Size
    let groups = task.Chunks.Groups
    let width = task.Chunks.Block
    let plan = task.Plan
    let parameters: float[] = Array.zeroCreate (groups * terms.ParameterCount * 8)
    let kernel = ArraySdeKernels.explicit<Lanes, 'G> task.Scheme terms field parameters groups
    let noise = SdeLaneNoise(task.Spec, groups)
    let side: float[] = Array.zeroCreate (n * width)
    let mutable y: float[] = Array.zeroCreate (n * width)
    let mutable next: float[] = Array.zeroCreate (n * width)

    /// The cell that is a step, or -1.
    let cells =
        let grid = BrownianGrid task.Spec

        Array.map2
            (fun (from: float) (until: float) ->
                let first = grid.Boundary from

                if task.Spec.Level <> LevyLevel.Area && first >= 0 && grid.Boundary until = first + 1 then
                    first
                else
                    -1)
            plan.From
            plan.To

    /// Numbers of one path into its lane.
    let scatter (values: float[]) (count: int) (i: int) (dest: float[]) =
        for c in 0 .. count - 1 do
            dest[(i / 8 * count + c) * 8 + i % 8] <- values[c]

    let start (first: int) (count: int) =
        for i in 0 .. width - 1 do
            // beyond the last path there is that path again
            let path = first + Math.Min(i, count - 1)
            scatter (task.State path) n i y
            scatter (task.Values path) terms.ParameterCount i parameters

        noise.Start(task.Problem.FirstPath + int64 first)

    /// A state as a row of the buffer.
    let keep (buffer: float[]) (row: int) (state: float[]) =
        if n = 1 then
            Array.blit state 0 buffer (row * width) width
        else
            for group in 0 .. groups - 1 do
                for c in 0 .. n - 1 do
                    Array.blit state ((group * n + c) * 8) buffer ((row * n + c) * width + group * 8) 8

    /// All steps; false where cancelled.
    member private this.Steps() : bool =
        let buffer = this.Buffer
        let mutable save = 0
        let mutable step = 0

        while save < plan.Saves.Length && plan.Saves[save].Step < 0 do
            keep buffer save y
            save <- save + 1

        while step < plan.From.Length && not task.Options.Cancellation.IsCancellationRequested do
            let t = plan.From[step]
            let tEnd = plan.To[step]
            let b = if cells[step] >= 0 then noise.Cell cells[step] else noise.Step(t, tEnd)
            next <- kernel.Step(t, tEnd - t, b, y, next)

            while save < plan.Saves.Length && plan.Saves[save].Step = step do
                if plan.Saves[save].IsEnd then
                    keep buffer save next
                else
                    let r = plan.Saves[save].Time
                    keep buffer save (kernel.Step(t, r - t, noise.Step(t, r), y, side))

                save <- save + 1

            let free = y
            y <- next
            next <- free
            step <- step + 1

        keep buffer (this.Rows - 1) y
        step = plan.From.Length

    /// Paths whose end is not finite are solved again alone, to learn where and why: no step comes back from infinity.
    member private this.Check(first: int, count: int) =
        let last = (this.Rows - 1) * n * width

        for i in 0 .. count - 1 do
            let mutable finite = true

            for c in 0 .. n - 1 do
                finite <- finite && Double.IsFinite(this.Buffer[last + c * width + i])

            if not finite then
                this.Single(first, i)

    override this.Fill(first, count) =
        start first count

        let ended =
            try
                ValueSome(this.Steps())
            with _ ->
                // Who threw is not known yet: each of them alone.
                ValueNone

        match ended with
        | ValueSome true -> this.Check(first, count)
        | ValueSome false -> this.Cancel(first, count)
        | ValueNone ->
            for i in 0 .. count - 1 do
                this.Single(first, i)
