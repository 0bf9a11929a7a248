// Solving with fixed steps, without a gradient or with one through all steps.
namespace Continuum

open System
open System.Collections.Generic
open TorchSharp

/// The outcome of a solve along a path as a solution on tensors.
[<RequireQualifiedAccess>]
module internal CdeResults =
    /// From what was saved; hands the tensors to the enclosing scope by MoveToOuterScope, which the caller calls.
    let create
        (name: string)
        (ended: CdeEnd)
        (times: float[])
        (finalTime: float)
        (states: Tensor)
        (final: Tensor)
        (statistics: Statistics)
        (inner: exn)
        : TensorSolution =
        let raw: Solution<Tensor> = {
            Status = ended.Status
            Message = ended.Message
            Times = times
            States = [||]
            FinalTime = finalTime
            FinalState = final
            Occurrences = [||]
            Dense = ValueNone
            Statistics = statistics
            Choices = [| { Time = nan; Method = name; Reason = "asked for" } |]
            Exception = inner
        }

        new TensorSolution(raw, states, final, [||], null, null)

    /// Saved states along a new first dimension.
    let stack (states: seq<Tensor>) (z0: Tensor) : Tensor =
        match Seq.toArray states with
        | [||] -> torch.empty (Array.append [| 0L |] z0.shape, dtype = z0.dtype, device = z0.device)
        | some -> torch.stack some

/// What a solve came to.
type internal CdeAdvance = {
    Final: Tensor
    Ended: CdeEnd
    FinalTime: float
    Statistics: Statistics
    Exception: exn
}

/// Solving with fixed steps.
[<RequireQualifiedAccess>]
module internal CdeFixed =

    /// All steps of a plan; see CdeRun.Forward.
    let advance (plan: CdePlan) (run: CdeRun) (path: ControlPath) (z0: Tensor) (table: Tensor) visit : CdeAdvance =
        let struct (final, ended) = run.Forward(z0, table, visit)
        let taken = Array.sub plan.Length 0 ended.Steps

        {
            Final = final
            Ended = ended
            FinalTime = (if ended.Steps = plan.Start.Length then path.End else plan.Start[ended.Steps])
            Statistics = {
                Evaluations = run.Evaluations
                Accepted = ended.Steps
                Rejected = 0
                SmallestStep = (if taken.Length = 0 then nan else Array.min taken)
                LargestStep = (if taken.Length = 0 then nan else Array.max taken)
                ErrorEstimate = nan
                StiffnessEstimate = nan
                LargestStabilityRatio = nan
                Implicit = ImplicitWork.Zero
            }
            Exception = null
        }

    /// Without a graph, or with one through every step where gradients are enabled.
    let solvePlain (tableau: Tableau) (options: CdeOptions) (field: CdeField) (path: ControlPath) (z0: Tensor) =
        use _ = torch.NewDisposeScope()
        let saves = CdeOptions.saveTimes options path
        let plan = CdePlan.create options.Steps saves path
        let nodes = CdeNodes.create tableau options.Form path
        let run = CdeRun(tableau, plan, nodes, field, options)
        let table = CdeNodes.directions plan nodes options.Form path
        let kept = List<Tensor>()

        let visit n (state: Tensor) =
            if kept.Count < plan.SavedAfter.Length && plan.SavedAfter[kept.Count] = n then
                kept.Add(state.alias().DetachFromDisposeScope())

        let found = advance plan run path z0 table visit
        let states = CdeResults.stack kept z0

        for state in kept do
            state.Dispose()

        let times = Array.sub saves 0 kept.Count

        let solution =
            CdeResults.create tableau.Name found.Ended times found.FinalTime states found.Final found.Statistics null

        solution.MoveToOuterScope()
