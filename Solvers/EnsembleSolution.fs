// What a solve of many trajectories is told beside the problem, and what it returns.
namespace Continuum

open System

/// How far an ensemble has come.
[<Struct>]
type EnsembleReport = {
    /// Trajectories that ended, well or not.
    Completed: int
    /// Trajectories in all.
    Total: int
}

/// How an ensemble is run; results do not depend on it.
type EnsembleOptions = {
    /// Threads to work on; 0 takes all processors.
    Threads: int
    /// Called by one thread at a time, after every few dozen trajectories; null for none.
    Progress: Action<EnsembleReport>
} with

    /// All processors, no progress.
    static member Default: EnsembleOptions = { Threads = 0; Progress = null }

/// Trajectories of one field, each from an initial state of its own and with parameters and a span of its own where given.
type EnsembleProblem = {
    /// Start of the spans: one for all, or one for each trajectory.
    Starts: float[]
    /// Ends of the spans: one for all, or one for each trajectory.
    Ends: float[]
    /// Initial states: one for all, or one for each trajectory.
    Initial: float[][]
    /// Parameters: one set for all, or one for each trajectory.
    Parameters: float[][]
} with

    /// Number of trajectories: that of the longest list.
    member this.Count =
        max (max this.Starts.Length this.Ends.Length) (max this.Initial.Length this.Parameters.Length)

    member internal this.Start i = if this.Starts.Length = 1 then this.Starts[0] else this.Starts[i]
    member internal this.End i = if this.Ends.Length = 1 then this.Ends[0] else this.Ends[i]
    member internal this.State i = if this.Initial.Length = 1 then this.Initial[0] else this.Initial[i]
    member internal this.Values i = if this.Parameters.Length = 1 then this.Parameters[0] else this.Parameters[i]

/// The results of an ensemble, one of everything for each trajectory.
[<Sealed>]
type EnsembleSolution internal (count: int, size: int, saveTimes: float[], method: string) =
    let statuses: Status[] = Array.zeroCreate count
    let messages: string[] = Array.create count ""
    let finalTimes: float[] = Array.zeroCreate count
    let finalStates: float[] = Array.zeroCreate (count * size)
    let counts: int[] = Array.zeroCreate (3 * count)
    let steps: float[] = Array.zeroCreate (2 * count)
    let saved: float[] = Array.zeroCreate (count * saveTimes.Length * size)
    let savedCounts: int[] = if saveTimes.Length = 0 then null else Array.zeroCreate count
    let whole: Solution<float[]>[] = Array.zeroCreate count
    let errors: exn[] = Array.zeroCreate count

    let check (i: int) =
        if i < 0 || i >= count then
            raise (ArgumentOutOfRangeException(nameof i, i, $"The ensemble has {count} trajectories, numbered from 0."))

    /// Number of trajectories.
    member _.Count = count
    /// Components of a state.
    member _.Size = size
    /// How each trajectory ended.
    member _.Statuses = ReadOnlySpan<Status> statuses
    /// Final states one after another (count x size).
    member _.FinalStates = ReadOnlySpan<float> finalStates
    /// Times reached.
    member _.FinalTimes = ReadOnlySpan<float> finalTimes

    /// Trajectories that did not end well (neither Success nor Terminated).
    member _.Failed =
        let mutable failed = 0

        for status in statuses do
            if status <> Status.Success && status <> Status.Terminated then
                failed <- failed + 1

        failed

    /// How trajectory i ended. ArgumentOutOfRangeException where there is none.
    member _.Status(i: int) =
        check i
        statuses[i]

    /// Why, for people; empty after a success.
    member _.Message(i: int) =
        check i
        messages[i]

    /// State of trajectory i at its end.
    member _.FinalState(i: int) : float[] =
        check i
        finalStates[i * size .. (i + 1) * size - 1]

    /// Accepted steps of trajectory i.
    member _.Accepted(i: int) =
        check i
        counts[3 * i + 1]

    /// Rejected steps of trajectory i.
    member _.Rejected(i: int) =
        check i
        counts[3 * i + 2]

    /// Evaluations of the field by trajectory i.
    member _.Evaluations(i: int) =
        check i
        counts[3 * i]

    /// Everything about trajectory i, as from a solve of its own.
    member this.Solution(i: int) : Solution<float[]> =
        check i

        if not (isNull (box whole[i])) then
            whole[i]
        else
            let savedCount = if isNull savedCounts then 0 else savedCounts[i]
            let first = i * saveTimes.Length

            {
                Status = statuses[i]
                Message = messages[i]
                Times = if isNull savedCounts then [| finalTimes[i] |] else saveTimes[.. savedCount - 1]
                States =
                    if isNull savedCounts then
                        [| this.FinalState i |]
                    else
                        Array.init savedCount (fun s -> saved[(first + s) * size .. (first + s + 1) * size - 1])
                FinalTime = finalTimes[i]
                FinalState = this.FinalState i
                Occurrences = [||]
                Dense = ValueNone
                Statistics = {
                    Evaluations = counts[3 * i]
                    Accepted = counts[3 * i + 1]
                    Rejected = counts[3 * i + 2]
                    SmallestStep = steps[2 * i]
                    LargestStep = steps[2 * i + 1]
                    ErrorEstimate = nan
                    StiffnessEstimate = nan
                    LargestStabilityRatio = nan
                    Implicit = ImplicitWork.Zero
                }
                Choices = [| { Time = nan; Method = method; Reason = "asked for" } |]
                Exception = errors[i]
            }

    // The rest is for the workers; each writes only about its own trajectories.
    member internal _.SaveTimes = saveTimes
    member internal _.FinalStateSpan(i: int) = Span<float>(finalStates, i * size, size)

    member internal _.SavedCount(i: int) = savedCounts[i]

    member internal _.NextSaved(i: int) : Span<float> =
        let at = i * saveTimes.Length + savedCounts[i]
        savedCounts[i] <- savedCounts[i] + 1
        Span<float>(saved, at * size, size)

    member internal _.Finish(i: int, status: Status, message: string, time: float) =
        statuses[i] <- status
        messages[i] <- message
        finalTimes[i] <- time

    member internal _.CountWork
        (i: int, evaluations: int, accepted: int, rejected: int, smallest: float, largest: float)
        =
        counts[3 * i] <- evaluations
        counts[3 * i + 1] <- accepted
        counts[3 * i + 2] <- rejected
        steps[2 * i] <- if accepted = 0 then nan else smallest
        steps[2 * i + 1] <- if accepted = 0 then nan else largest

    member internal this.Keep(i: int, solution: Solution<float[]>) =
        whole[i] <- solution
        let s = solution.Statistics
        this.Finish(i, solution.Status, solution.Message, solution.FinalTime)
        this.CountWork(i, s.Evaluations, s.Accepted, s.Rejected, s.SmallestStep, s.LargestStep)
        solution.FinalState.AsSpan().CopyTo(this.FinalStateSpan i)

    member internal _.Throw(i: int, error: exn) = errors[i] <- error

    /// Forgets what was saved of a trajectory that starts anew.
    member internal _.Restart(i: int) =
        if not (isNull savedCounts) then
            savedCounts[i] <- 0
