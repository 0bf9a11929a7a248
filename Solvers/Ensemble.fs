// Many trajectories: in lanes inside a thread, on all processors outside.
namespace Continuum

open System
open System.Runtime.ExceptionServices
open System.Threading
open System.Threading.Tasks

/// Hands out trajectories to threads, counts the ended ones and reports.
[<Sealed>]
type internal EnsembleQueue(count: int, options: EnsembleOptions) =
    // Small enough to share the end of the work evenly, large enough that threads rarely meet.
    let block = 32
    let gate = obj ()
    let mutable taken = 0
    let mutable ended = 0
    let mutable reported = 0

    /// The first of the next few trajectories, or a number not below the count.
    member _.Take() = Interlocked.Add(&taken, block) - block
    member _.Block = block
    member _.Count = count

    /// Counts ended trajectories.
    member _.Ended(more: int) =
        let now = Interlocked.Add(&ended, more)

        if not (isNull options.Progress) then
            lock gate (fun () ->
                if now > reported then
                    reported <- now
                    options.Progress.Invoke { Completed = now; Total = count })

/// One thread's share of the queue.
[<Sealed>]
type internal EnsembleShare(queue: EnsembleQueue) =
    let mutable next = 0
    let mutable last = 0
    let mutable ended = 0

    /// The next trajectory, or -1.
    member _.Next() =
        if next = last then
            next <- min queue.Count (queue.Take())
            last <- min queue.Count (next + queue.Block)

        if next = last then
            -1
        else
            next <- next + 1
            next - 1

    /// One more has ended; told to the queue in blocks.
    member this.Ended() =
        ended <- ended + 1

        if ended = queue.Block then
            this.Flush()

    /// Tells the queue about the rest.
    member _.Flush() =
        if ended > 0 then
            queue.Ended ended
            ended <- 0

/// Solving y' = f(t, y; p) for many initial states and parameters.
[<RequireQualifiedAccess>]
module Ensemble =
    let private bad (text: string) = raise (ArgumentException text)

    let private check (size: int) (parameterCount: int) (options: SolveOptions<float[]>) (problem: EnsembleProblem) =
        let count = problem.Count

        let lengths name (length: int) =
            if length <> 1 && length <> count then
                bad $"{name}: give one for all trajectories or one for each; got {length} for {count} trajectories."

        if isNull problem.Initial || isNull problem.Parameters || isNull problem.Starts || isNull problem.Ends then
            bad
                "Starts, ends, initial states and parameters of an ensemble must not be null; a field without parameters takes one empty array."

        lengths "Starts" problem.Starts.Length
        lengths "Ends" problem.Ends.Length
        lengths "Initial states" problem.Initial.Length
        lengths "Parameters" problem.Parameters.Length

        problem.Initial
        |> Array.iteri (fun i y ->
            let length = if isNull y then 0 else y.Length

            if length <> size then
                bad $"Initial state {i} has {length} components; the field has {size}.")

        problem.Parameters
        |> Array.iteri (fun i p ->
            let length = if isNull p then 0 else p.Length

            if length <> parameterCount then
                bad $"Parameter set {i} has {length} entries; the field reads {parameterCount}.")

        let spans = max problem.Starts.Length problem.Ends.Length

        for i in 0 .. spans - 1 do
            SolveOptions.check options (problem.Start i) (problem.End i)

    let private threads (options: EnsembleOptions) count =
        if options.Threads < 0 then
            bad $"Threads must be positive, or 0 for all processors; got {options.Threads}."

        max 1 (min (if options.Threads = 0 then Environment.ProcessorCount else options.Threads) count)

    /// Runs the work on so many threads, the caller's among them; the first exception is thrown when all are done.
    let private onThreads (threads: int) (work: unit -> unit) =
        let gate = obj ()
        let failed: ExceptionDispatchInfo ref = ref null

        let guarded () =
            try
                work ()
            with error ->
                lock gate (fun () ->
                    if isNull failed.Value then
                        failed.Value <- ExceptionDispatchInfo.Capture error)

        let others =
            Array.init (threads - 1) (fun _ -> Task.Factory.StartNew(guarded, TaskCreationOptions.LongRunning))

        guarded ()
        Task.WaitAll others

        if not (isNull failed.Value) then
            failed.Value.Throw()

    /// Any solver for each trajectory on all processors: solve i is called once for each i in [0, count), by several threads at
    /// once, and must not depend on the order. For stiff methods and whatever else solves one trajectory at a time. An exception of
    /// solve is thrown on when all threads are done.
    let solveEach
        (ensemble: EnsembleOptions)
        (cancellation: CancellationToken)
        (count: int)
        (size: int)
        (solve: int -> Solution<float[]>)
        : EnsembleSolution =
        let queue = EnsembleQueue(count, ensemble)
        let solution = EnsembleSolution(count, size, [||], "")

        let work () =
            let share = EnsembleShare queue
            let mutable i = share.Next()

            while i >= 0 do
                if cancellation.IsCancellationRequested then
                    solution.FinalStateSpan(i).Fill nan
                    solution.Finish(i, Status.Cancelled, "Cancelled before its start.", nan)
                else
                    solution.Keep(i, solve i)

                share.Ended()
                i <- share.Next()

            share.Flush()

        onThreads (threads ensemble count) work
        solution

    let private laneTolerance (tolerance: Tolerance<float[]>) size : LaneTolerance =
        let expand scalar (per: float[] voption) =
            match per with
            | ValueSome(per: float[]) when per.Length <> size ->
                bad $"Tolerances per component have {per.Length} entries; the state has {size}."
            | ValueSome per -> per
            | ValueNone -> Array.create size scalar

        {
            Rtol = expand tolerance.Rtol tolerance.RtolPer
            Atol = expand tolerance.Atol tolerance.AtolPer
            IsUniform = tolerance.RtolPer.IsNone && tolerance.AtolPer.IsNone
            IsMaximum = tolerance.Norm.IsMaximum
        }

    /// Whether the lanes do what the options ask for; the rest is solved one by one.
    let private suitsLanes (method: Tableau) (options: SolveOptions<float[]>) =
        method.IsAdaptive
        && options.Control.IsAdaptive
        && (options.SaveAt.IsEndOnly || options.SaveAt.IsTimes)
        && options.Events.Length = 0
        && options.Scheduled.Length = 0
        && options.Jumps.Length = 0
        && not options.Heuristics
        && isNull options.Progress

    let private solveLanes<'G when 'G: struct and 'G :> IGenericField>
        (method: Tableau)
        (options: SolveOptions<float[]>)
        (ensemble: EnsembleOptions)
        (field: 'G)
        (problem: EnsembleProblem)
        =
        let count = problem.Count

        let saveTimes =
            match options.SaveAt with
            | Times times -> times
            | _ -> [||]

        let queue = EnsembleQueue(count, ensemble)
        let solution = EnsembleSolution(count, field.Size, saveTimes, method.Name)

        let task next ended = {
            Tableau = method
            Feedback =
                match options.Control with
                | Adaptive(ValueSome feedback) -> feedback
                | _ -> StepDefaults.feedback method
            Tolerance = laneTolerance options.Tolerance field.Size
            Options = options
            Problem = problem
            Solution = solution
            Next = next
            Ended = ended
        }

        /// One trajectory alone, after a field threw with others beside it.
        let solveAlone (i: int) (ended: Action) =
            let mutable given = false

            let next () =
                if given then
                    -1
                else
                    given <- true
                    i

            solution.Restart i
            use lanes = new EnsembleLanes<'G>(field, task next ended)

            try
                lanes.Run()
            with error ->
                solution.Throw(i, error)
                let text = (error.Message.Split '\n')[0]

                lanes.Abandon(
                    Status.FieldThrew,
                    fun t -> $"{error.GetType().Name} from the field in the step from t = {t}: {text}"
                )

        let work () =
            let share = EnsembleShare queue
            let ended = Action share.Ended
            let mutable finished = false

            while not finished do
                use lanes = new EnsembleLanes<'G>(field, task (Func<int> share.Next) ended)

                try
                    lanes.Run()
                    finished <- true
                with _ ->
                    // Who threw is not known yet: each of them alone.
                    for i in lanes.Pending do
                        solveAlone i ended

            // After a cancellation: what was never started.
            let mutable i = share.Next()

            while i >= 0 do
                problem.State(i).AsSpan().CopyTo(solution.FinalStateSpan i)
                solution.Finish(i, Status.Cancelled, "Cancelled before its start.", problem.Start i)
                share.Ended()
                i <- share.Next()

            share.Flush()

        onThreads (threads ensemble count) work
        solution

    /// Solves a generic field for every trajectory of the problem with an explicit tableau: eight trajectories at a time in lanes,
    /// on all processors. What the lanes do not do (fixed steps, events, scheduled changes, jumps, step values, every step, dense
    /// output) is solved trajectory by trajectory by the scalar loop. Results do not depend on threads, on the order of the
    /// trajectories or on what the others are. ArgumentException where sizes, spans or options make no sense; whatever goes wrong
    /// while solving is in the status of its trajectory.
    let solve<'G when 'G: struct and 'G :> IGenericField>
        (method: Tableau)
        (options: SolveOptions<float[]>)
        (ensemble: EnsembleOptions)
        (field: 'G)
        (problem: EnsembleProblem)
        : EnsembleSolution =
        check field.Size field.ParameterCount options problem

        if suitsLanes method options then
            solveLanes method options ensemble field problem
        else
            solveEach ensemble options.Cancellation problem.Count field.Size (fun i ->
                let one = GenericField<'G>(field, problem.Values i)
                ArrayOde.solveField method options one (problem.Start i) (problem.End i) (problem.State i))

    /// Solves a field on arrays for every trajectory, one at a time on all processors: make gives the system with the parameters of
    /// trajectory i, called on the thread that solves it. For stiff methods, mass matrices and fields that are not generic.
    let solveSystems
        (method: Method)
        (options: SolveOptions<float[]>)
        (ensemble: EnsembleOptions)
        (make: int -> OdeSystem)
        (problem: EnsembleProblem)
        : EnsembleSolution =
        if isNull problem.Initial || problem.Initial.Length = 0 || isNull problem.Initial[0] then
            bad "An ensemble needs at least one initial state."

        let size = problem.Initial[0].Length

        let parameterCount =
            if isNull problem.Parameters || problem.Parameters.Length = 0 then
                0
            else
                problem.Parameters[0].Length

        check size parameterCount options problem

        solveEach ensemble options.Cancellation problem.Count size (fun i ->
            ArrayOde.solveSystem method options (make i) (problem.Start i) (problem.End i) (problem.State i))

    /// Solves a generic field once, by any method: loops are compiled for the field, methods for stiff problems take its exact Jacobian.
    let solveOne<'G when 'G: struct and 'G :> IGenericField>
        (method: Method)
        (options: SolveOptions<float[]>)
        (field: 'G)
        (parameters: float[])
        (t0: float)
        (t1: float)
        (y0: float[])
        : Solution<float[]> =
        GenericField<'G>.Check(field, parameters, y0)

        ArrayOde.solveSystem method options (OdeSystem.OfGeneric(field, parameters)) t0 t1 y0

    /// As solve, by any method: explicit tableaus in lanes, others trajectory by trajectory on all processors.
    let solveWith<'G when 'G: struct and 'G :> IGenericField>
        (method: Method)
        (options: SolveOptions<float[]>)
        (ensemble: EnsembleOptions)
        (field: 'G)
        (problem: EnsembleProblem)
        : EnsembleSolution =
        match method with
        | RungeKutta tableau -> solve tableau options ensemble field problem
        | method ->
            check field.Size field.ParameterCount options problem
            solveSystems method options ensemble (fun i -> OdeSystem.OfGeneric(field, problem.Values i)) problem
