// The steps that all paths of an ensemble with fixed steps take, and where values are saved among them.
namespace Continuum

open System
open System.Collections.Generic

/// Where a value is saved: after this step (-1: at the start), at its end or at a time within.
[<Struct>]
type internal SdeSave = { Step: int; Time: float; IsEnd: bool }

/// The loop's own grid. Learnt from the loop by a run of an equation without motion, so that both can never disagree.
type internal SdePlan = {
    /// Starts of the steps.
    From: float[]
    /// Ends of the steps.
    To: float[]
    /// The saves, in order.
    Saves: SdeSave[]
    /// Their times as they are reported.
    Times: float[]
    /// Whether the allowed steps reach the end.
    IsComplete: bool
} with

    /// No steps.
    static member Nothing: SdePlan = { From = [||]; To = [||]; Saves = [||]; Times = [||]; IsComplete = false }

/// Steps that stay where they are.
[<Sealed>]
type private Standstill() =
    interface ISdeKernel<float[], float[]> with
        member _.Name = ""
        member _.Level = LevyLevel.Increments
        member _.StrongOrder = 1.0
        member _.ErrorOrder = 1.0
        member _.HasErrorEstimate = false
        member _.Start() = ()
        member _.Hold(_, _) = ()

        member _.Step(_, _, _, y, dest) =
            dest[0] <- y[0]
            dest

        member _.ErrorEstimate dest = dest
        member _.Drift(_, _, dest) = dest
        member _.Spread(_, _, dest) = dest
        member _.Difficulty = Status.Success
        member _.DriftEvaluations = 0
        member _.DiffusionEvaluations = 0
        member _.Work = ImplicitWork.Zero

/// A path that nobody looks at.
[<Sealed>]
type private Silence(start: float, finish: float) =
    interface IBrownian<float[]> with
        member _.Start = start
        member _.End = finish
        member _.Dimension = 1
        member _.Level = LevyLevel.Increments
        member _.Step(_, _) = Unchecked.defaultof<BrownianStep<float[]>>
        member _.Snap(_, t) = t
        member _.Prepare _ = ()

/// Writes down what the loop announces.
[<Sealed>]
type private Listener() =
    member val From = List<float>()
    member val To = List<float>()
    member val Saves = List<SdeSave>()

    interface ISdeObserver<float[]> with
        member this.Stepped(t, tEnd, _, _) =
            this.From.Add t
            this.To.Add tEnd

        member this.Estimated(_, _) = ()

        member this.Saved(_, r) =
            let last = this.To.Count - 1

            this.Saves.Add { Step = last; Time = r; IsEnd = last < 0 || r = this.To[last] }

/// Construction.
[<RequireQualifiedAccess>]
module internal SdePlan =
    /// The steps of a solve with fixed steps.
    let ofOptions (options: SolveOptions<float[]>) (t0: float) (t1: float) : SdePlan =
        let listener = Listener()
        let path = Silence(Math.Min(t0, t1), Math.Max(t0, t1))
        let kernel = Standstill()
        let options = { options with Progress = null; Tolerance = Tolerance.create 1.0 1.0 }

        let solution =
            SdeIntegration<float[], float[], RealSpace>(
                kernel,
                (fun () -> kernel),
                RealSpace options.Tolerance,
                path,
                listener,
                options,
                t0,
                t1
            )
                .Run
                [| 0.0 |]

        let endOnly = options.SaveAt.IsEndOnly

        {
            From = listener.From.ToArray()
            To = listener.To.ToArray()
            Saves = if endOnly then [||] else listener.Saves.ToArray()
            Times = if endOnly then [||] else solution.Times
            IsComplete = solution.Status = Status.Success
        }
