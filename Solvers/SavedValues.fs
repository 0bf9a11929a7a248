// What every solve keeps on its way, whatever its steps are: saved values, counts of steps.
namespace Continuum

open System
open System.Collections.Generic

/// Saved values of a solve in progress and the times that are still wanted.
[<Sealed>]
type internal SavedValues<'S>(saveAt: SaveAt, t0: float, t1: float) =
    let direction = if t1 > t0 then 1.0 else -1.0

    let wanted =
        match saveAt with
        | Times times
        | StepValues times -> times
        | _ -> [||]

    let mutable next = 0

    /// Times of what was saved.
    member val Times = List<float>()
    /// States that were saved.
    member val States = List<'S>()
    /// Every step is kept for dense output.
    member _.IsDense = saveAt.IsDenseOutput
    /// The state at the end of every step is saved.
    member _.IsEveryStep = saveAt.IsDenseOutput || saveAt.IsEverySteps
    /// The wanted times, in the direction of the solve.
    member _.Wanted = wanted
    /// Index of the first wanted time that was not saved.
    member _.Next = next
    /// So many more of the wanted times were saved.
    member _.Advance(count: int) = next <- next + count
    /// Whether one time comes before another in the direction of the solve.
    member _.IsBefore(a: float, b: float) = direction * (b - a) > 0.0
    /// Whether wanted time i is there and not after a time.
    member this.IsDue(i: int, time: float) = i < wanted.Length && not (this.IsBefore(time, wanted[i]))
    /// Whether the state at the start is wanted by its time.
    member _.WantsStart = wanted.Length > 0 && wanted[0] = t0

    /// Saves a state.
    member this.Add(time: float, state: 'S) =
        this.Times.Add time
        this.States.Add state

/// Counts of the steps of a solve in progress, and their shortest and longest.
[<Sealed>]
type internal StepTally() =
    let mutable accepted = 0
    let mutable rejected = 0
    let mutable smallest = infinity
    let mutable largest = 0.0

    /// Attempted steps so far.
    member _.Attempts = accepted + rejected

    /// A step of signed length h was accepted.
    member _.Accepted(h: float) =
        accepted <- accepted + 1
        smallest <- Math.Min(smallest, abs h)
        largest <- Math.Max(largest, abs h)

    /// A step was rejected.
    member _.Rejected() = rejected <- rejected + 1

    /// Tells where the solve from t0 to t1 stands.
    member _.Report(progress: Action<StepReport>, t0, t1, time: float, step: float, evaluations: int) =
        if not (isNull progress) then
            progress.Invoke {
                Time = time
                Step = step
                Fraction = (time - t0) / (t1 - t0)
                Accepted = accepted
                Rejected = rejected
                Evaluations = evaluations
            }

    /// The statistics, without heuristics.
    member _.Statistics(evaluations: int, work: ImplicitWork) : Statistics = {
        Evaluations = evaluations
        Accepted = accepted
        Rejected = rejected
        SmallestStep = if accepted = 0 then nan else smallest
        LargestStep = if accepted = 0 then nan else largest
        ErrorEstimate = nan
        StiffnessEstimate = nan
        LargestStabilityRatio = nan
        Implicit = work
    }
