// Many paths of a stochastic equation on arrays: in lanes inside of a thread, on all processors outside.
namespace Continuum

#nowarn "3535" "3536"

open System
open System.Collections.Generic
open System.Runtime.ExceptionServices
open System.Threading.Tasks

/// What an ensemble remembers of its paths.
[<RequireQualifiedAccess>]
type SdeKeep =
    /// The states of all paths at the saved times and at the end.
    | Samples
    /// Mean, covariance and extremes at the saved times and at the end: memory does not grow with the number of paths.
    | Moments

/// How an ensemble of paths is run. Paths and statistics do not depend on threads.
type SdeEnsembleOptions = {
    /// Threads to work on; 0 takes all processors.
    Threads: int
    /// What is remembered.
    Keep: SdeKeep
    /// Called by one thread at a time, now and then; null for none.
    Progress: Action<EnsembleReport>
} with

    /// All processors, all states, no progress.
    static member Default: SdeEnsembleOptions = { Threads = 0; Keep = SdeKeep.Samples; Progress = null }

/// Collects what the workers found, chunk by chunk.
[<Sealed>]
type internal SdeHarvest(task: SdeEnsembleTask, ensemble: SdeEnsembleOptions) =
    let n = task.Terms.Size
    let count = task.Problem.Count
    let rows = task.Times.Length + 1
    let chunks = task.Chunks
    let keepsSamples = ensemble.Keep.IsSamples

    let samples: float[][] =
        Array.init rows (fun _ -> if keepsSamples then Array.zeroCreate (count * n) else null)

    let moments: SdeMoments[][] =
        Array.init chunks.Count (fun _ -> if keepsSamples then [||] else Array.init rows (fun _ -> SdeMoments n))

    let failures: List<SdeFailure>[] = Array.zeroCreate chunks.Count
    let gate = obj ()
    let mutable completed = 0

    let report (more: int) =
        if not (isNull ensemble.Progress) then
            lock gate (fun () ->
                completed <- completed + more
                ensemble.Progress.Invoke { Completed = completed; Total = count })

    /// The block of `length` paths from `first` on.
    let take (chunk: int) (block: SdeBlock) (first: int) (length: int) =
        let width = chunks.Block

        for row in 0 .. rows - 1 do
            if keepsSamples then
                let states = samples[row]

                if n = 1 then
                    Array.Copy(block.Buffer, row * width, states, first, length)
                else
                    for i in 0 .. length - 1 do
                        for c in 0 .. n - 1 do
                            states[(first + i) * n + c] <- block.Buffer[(row * n + c) * width + i]
            else
                let sums = moments[chunk]
                sums[row].AddBlock(block.Buffer, row * n * width, width, 1, length, block.Failed, 0)

    /// Solves a chunk with this worker.
    member _.Chunk(chunk: int, block: SdeBlock) =
        let last = Math.Min(count, (chunk + 1) * chunks.Chunk)
        let mutable first = chunk * chunks.Chunk

        while first < last do
            let length = Math.Min(chunks.Block, last - first)

            if task.Options.Cancellation.IsCancellationRequested then
                Array.Clear block.Failed
                block.Cancel(first, length)
            else
                block.Run(first, length)

            take chunk block first length
            report length
            first <- first + length

        failures[chunk] <- block.Failures
        block.Failures <- List<SdeFailure>()

    /// Everything together, in the order of the paths.
    member _.Solution() : SdeEnsembleSolution =
        let failures = failures |> Seq.collect id |> Seq.sortBy (fun failure -> failure.Path) |> Seq.toArray
        let failed: bool[] = if failures.Length = 0 then null else Array.zeroCreate count

        for failure in failures do
            failed[failure.Path] <- true

        let times = Array.append task.Times [| task.Problem.End |]

        let statistics row =
            if keepsSamples then
                ValueNone
            else
                let total = SdeMoments n

                for part in moments do
                    total.Append part[row]

                ValueSome(total.At(times[row]))

        let sample row = SdeSample(times[row], count, n, samples[row], failed, failures.Length, statistics row)

        SdeEnsembleSolution(
            count,
            n,
            task.Problem.End,
            SdeSchemes.name task.Scheme,
            failures,
            Array.init (rows - 1) sample,
            sample (rows - 1)
        )

/// Solving a stochastic equation along many paths of a Brownian motion.
[<RequireQualifiedAccess>]
module SdeEnsemble =
    let private bad (text: string) = raise (ArgumentException text)

    let private check
        (terms: ArraySdeTerms)
        (options: ArraySdeOptions)
        (ensemble: SdeEnsembleOptions)
        (problem: SdeEnsembleProblem)
        =
        let count = problem.Count

        if count < 1 then
            bad $"An ensemble has at least one path; Count is {count}."

        if ensemble.Threads < 0 then
            bad $"Threads must be positive, or 0 for all processors; got {ensemble.Threads}."

        if problem.FirstPath < 0L || problem.FirstPath + int64 count > 4294967296L then
            bad $"Paths have numbers 0 to 2^32 - 1; {count} paths from {problem.FirstPath} on go beyond."

        if isNull problem.Initial || isNull problem.Parameters then
            bad
                "Initial states and parameters of an ensemble must not be null; where paths have no parameters of their own, give an empty list."

        if problem.Initial.Length <> 1 && problem.Initial.Length <> count then
            bad
                $"Initial states: give one for all paths or one for each; got {problem.Initial.Length} for {count} paths."

        if problem.Parameters.Length > 1 && problem.Parameters.Length <> count then
            bad
                $"Parameters: give none, one set for all paths or one for each; got {problem.Parameters.Length} for {count} paths."

        problem.Initial |> Array.iteri (fun i y -> ArraySdeRun.checkState terms $"Initial state {i}" y)

        problem.Parameters
        |> Array.iteri (fun i p ->
            let length = if isNull p then 0 else p.Length

            if length <> terms.ParameterCount then
                bad $"Parameter set {i} has {length} entries; the equation reads {terms.ParameterCount}.")

        if int64 count * int64 terms.Size > int64 Array.MaxLength && ensemble.Keep.IsSamples then
            bad
                $"{count} states of {terms.Size} components do not fit into an array; keep moments, or solve the paths in parts, each from its first path on."

        match options.SaveAt, options.Control with
        | DenseOutput, _ -> bad "An ensemble keeps values at times, no dense output; take Times, or solve single paths."
        | EverySteps, Adaptive _ ->
            bad "Adaptive steps differ from path to path; take Times for an ensemble, or fixed steps."
        | _ -> ()

    /// Whether lanes do what is asked for; the rest is solved path by path.
    let private suitsLanes (scheme: SdeScheme) (terms: ArraySdeTerms) (options: ArraySdeOptions) (plan: SdePlan) =
        terms.IsGeneric && options.Control.IsFixed && not scheme.IsDriftImplicitEuler && plan.IsComplete

    let private worker (task: SdeEnsembleTask) : SdeBlock =
        if suitsLanes task.Scheme task.Terms task.Options task.Plan then
            task.Terms.Accept
                {
                    new ISdeVisitor<SdeBlock> with
                        member _.Visit<'G when 'G: struct and 'G :> IGenericSde>(field: 'G) =
                            new SdeLaneBlock<'G>(task, field)
                }
        else
            SdeBlock task

    let private run (threads: int) (task: SdeEnsembleTask) (harvest: SdeHarvest) =
        let threads = if threads = 0 then Environment.ProcessorCount else threads
        let chunks = task.Chunks.Count

        if threads = 1 || chunks = 1 then
            let block = worker task

            for chunk in 0 .. chunks - 1 do
                harvest.Chunk(chunk, block)
        else
            try
                Parallel.For(
                    0,
                    chunks,
                    ParallelOptions(MaxDegreeOfParallelism = threads),
                    (fun () -> worker task),
                    (fun chunk _ block ->
                        harvest.Chunk(chunk, block)
                        block),
                    ignore
                )
                |> ignore
            with :? AggregateException as errors ->
                ExceptionDispatchInfo.Throw errors.InnerExceptions[0]

    /// Solves the equation along paths FirstPath, FirstPath + 1, .. of a spec. Fixed steps of an IGenericSde by an explicit method go through
    /// lanes, eight paths in each, all on one grid; adaptive steps, delegates and the drift-implicit method go path by path. Both use
    /// all processors. A path is, bit for bit, the ArraySde.solve along BrownianPath(spec, its number): it does not depend on threads, on
    /// the other paths or on their order. One that fails is in Failures with its status and touches no other.
    ///
    /// ArgumentException for misuse, as ArraySde.solve, and where counts, sizes and options do not go together (both numbers are
    /// named). A path cancelled on the way has NaN for all its values.
    let solve
        (options: ArraySdeOptions)
        (ensemble: SdeEnsembleOptions)
        (method: SdeMethod<'C, 'N>)
        (sde: ArraySde<'C, 'N>)
        (spec: BrownianSpec)
        (problem: SdeEnsembleProblem)
        : SdeEnsembleSolution =
        ArgumentNullException.ThrowIfNull(sde, nameof sde)
        let terms = sde.Terms
        let spec = BrownianSpec.check spec
        let t0 = problem.Start
        let t1 = problem.End
        ArraySdeRun.check method.Scheme terms options t0 t1
        check terms options ensemble problem
        ArraySdeRun.checkPath method.Scheme terms spec.Dimension spec.Level spec.Start spec.End t0 t1
        let options = { options with Progress = null }
        let isFixed = options.Control.IsFixed

        let plan =
            if isFixed then
                SdePlan.ofOptions
                    (ArraySdeOptions.toSolve { options with Cancellation = Threading.CancellationToken.None })
                    t0
                    t1
            else
                SdePlan.Nothing

        let times =
            match options.SaveAt with
            | EndOnly -> [||]
            | Times times
            | StepValues times -> times
            | _ -> plan.Times

        let task = {
            Scheme = method.Scheme
            Terms = terms
            Parameters = sde.Parameters
            Options = options
            Spec = spec
            Problem = problem
            Times = times
            Plan = plan
            Chunks = SdeChunks(problem.Count, terms.Size)
        }

        ArraySdeRun.checkStart terms (task.Values 0) t0 (task.State 0)
        let harvest = SdeHarvest(task, ensemble)
        run ensemble.Threads task harvest
        harvest.Solution()

    /// Solves along the paths of a seed (see ArraySde.spec).
    let simulate
        (options: ArraySdeOptions)
        (ensemble: SdeEnsembleOptions)
        (method: SdeMethod<'C, 'N>)
        (sde: ArraySde<'C, 'N>)
        (seed: uint64)
        (problem: SdeEnsembleProblem)
        : SdeEnsembleSolution =
        solve options ensemble method sde (ArraySde.spec options method sde seed problem.Start problem.End) problem

    /// `count` paths from one initial state.
    let from (y0: float[]) (count: int) (start: float) (finish: float) : SdeEnsembleProblem = {
        Start = start
        End = finish
        Count = count
        Initial = [| y0 |]
        Parameters = [||]
        FirstPath = 0L
    }
