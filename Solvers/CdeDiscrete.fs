// Solving as one node of the graph: the forward solve stores states now and then, the backward sweep takes its steps again from them,
// window by window, under autograd. Fixed steps, and those that were accepted by an adaptive solve.
namespace Continuum

open System
open System.Collections.Generic
open TorchSharp

/// States of a forward solve that its node needs, each with the number of steps before it, in order.
[<Sealed>]
type internal CdeTape() =
    let kept = List<struct (int * Tensor)>()
    let stored = List<struct (int * Tensor)>()

    let own (state: Tensor) = state.alias().DetachFromDisposeScope()
    let counts (list: List<struct (int * Tensor)>) = [| for struct (n, _) in list -> n |]
    let states (list: List<struct (int * Tensor)>) = torch.stack [| for struct (_, state) in list -> state |]

    /// Number of kept states.
    member _.Count = kept.Count
    /// A state of the result.
    member _.Keep(n: int, state: Tensor) = kept.Add(struct (n, own state))
    /// A state from which the backward sweep starts anew.
    member _.Store(n: int, state: Tensor) = stored.Add(struct (n, own state))

    /// The last state, where it is not among the kept ones.
    member _.Close(n: int, final: Tensor) =
        if kept.Count = 0 || (let struct (last, _) = kept[kept.Count - 1] in last <> n) then
            kept.Add(struct (n, own final))

    /// Stores no more than this many (0: any number), evenly.
    member _.Thin(most: int) =
        if most > 0 && stored.Count > most then
            let every = (stored.Count + most - 1) / most

            for i in stored.Count - 1 .. -1 .. 0 do
                if (i + 1) % every <> 0 then
                    let struct (_, state) = stored[i]
                    state.Dispose()
                    stored.RemoveAt i

    member _.KeptAfter = counts kept
    member _.StoredAfter = counts stored
    /// Kept states along a new first dimension.
    member _.Kept: Tensor = states kept
    /// Stored states along a new first dimension; null without any.
    member _.Stored: Tensor = if stored.Count = 0 then null else states stored

    interface IDisposable with
        member _.Dispose() =
            for struct (_, state) in Seq.append kept stored do
                state.Dispose()

/// Solving as one node.
[<RequireQualifiedAccess>]
module internal CdeDiscrete =

    /// The node of a forward solve that was taken: the kept states, (kept, ...state).
    let private node
        (discrete: DiscreteOptions)
        (run: CdeRun)
        (field: CdeField)
        (z0: Tensor)
        (table: Tensor)
        (tape: CdeTape)
        : Tensor =
        let keptAfter, storedAfter = tape.KeptAfter, tape.StoredAfter

        let forward () : struct (Tensor * Tensor[]) =
            use _ = torch.NewDisposeScope()
            let states = tape.Stored
            let extra = if isNull states then [||] else [| states.MoveToOuterDisposeScope() |]
            // The inputs are saved too: a change in place before the backward sweep is then an error, not a wrong gradient.
            struct (tape.Kept.MoveToOuterDisposeScope(), Array.concat [ [| z0; table |]; field.Parameters; extra ])

        let backward (context: VjpContext) (gradient: Tensor) : Tensor[] =
            use _ = torch.NewDisposeScope()
            let saved = context.Saved

            let stored = [|
                struct (0, saved[0])

                for i in 0 .. storedAfter.Length - 1 do
                    struct (storedAfter[i], saved[saved.Length - 1].[int64 i])
            |]

            let places = Dictionary<int, int64>()
            keptAfter |> Array.iteri (fun i n -> places[n] <- int64 i)

            let cotangent n =
                match places.TryGetValue n with
                | true, row -> gradient.[row]
                | _ -> null

            let tableGradient = if context.Needs[1] then torch.zeros_like saved[1] else null
            use sums = new GradientAccumulator(field.Parameters)
            let window = max 1 discrete.GraphWindow
            let zero = torch.zeros_like saved[0]
            let adjoint = run.Backward(window, stored, saved[1], zero, cotangent, sums, tableGradient)

            Array.append [| adjoint; tableGradient |] (sums.Result())
            |> Array.map (fun g -> if isNull g then null else g.MoveToOuterDisposeScope())

        Autograd.customVjp (Array.append [| z0; table |] field.Parameters) forward backward

    /// The solution from the node, or from the plain states where the solve failed: then nothing is differentiated.
    let finish (value: unit -> Tensor) (name: string) (tape: CdeTape) (saves: float[]) (found: CdeAdvance) =
        let reached = tape.Count
        tape.Close(found.Ended.Steps, found.Final)

        let all = if found.Ended.Status = Status.Success then value () else tape.Kept
        let states = all.narrow (0L, 0L, int64 reached)
        let final = all.[all.shape[0] - 1L]
        let times = Array.sub saves 0 reached

        let solution =
            CdeResults.create name found.Ended times found.FinalTime states final found.Statistics found.Exception

        solution.MoveToOuterScope()

    /// With fixed steps.
    let solveFixed
        (discrete: DiscreteOptions)
        (tableau: Tableau)
        (options: CdeOptions)
        field
        (path: ControlPath)
        (z0: Tensor)
        =
        use _ = torch.NewDisposeScope()
        use tape = new CdeTape()
        let saves = CdeOptions.saveTimes options path
        let plan = CdePlan.create options.Steps saves path
        let nodes = CdeNodes.create tableau options.Form path
        let run = CdeRun(tableau, plan, nodes, field, options)
        let table = CdeNodes.directions plan nodes options.Form path
        let window = max 1 discrete.GraphWindow
        let windows = (run.Steps + window - 1) / window

        let stride =
            if discrete.MaxCheckpoints > 0 then
                window * max 1 ((windows + discrete.MaxCheckpoints - 1) / discrete.MaxCheckpoints)
            else
                window

        let visit n (state: Tensor) =
            if tape.Count < plan.SavedAfter.Length && plan.SavedAfter[tape.Count] = n then
                tape.Keep(n, state)

            if n > 0 && n % stride = 0 && n < run.Steps then
                tape.Store(n, state)

        let found =
            use _ = torch.no_grad ()
            CdeFixed.advance plan run path z0 table visit

        finish (fun () -> node discrete run field z0 table tape) tableau.Name tape saves found

    /// With adaptive steps: those that were accepted, their lengths held.
    let solveAdaptive
        (discrete: DiscreteOptions)
        (tableau: Tableau)
        (options: CdeOptions)
        field
        (path: ControlPath)
        (z0: Tensor)
        =
        use _ = torch.NewDisposeScope()
        use tape = new CdeTape()
        let saves = CdeOptions.saveTimes options path
        let stretches = CdePieces.segments saves path
        let knots = path.RawKnots
        let window = max 1 discrete.GraphWindow
        let piece, offset, length, start = List<int>(), List<float>(), List<float>(), List<float>()

        let keep (t: float) (state: Tensor) =
            if tape.Count < saves.Length && saves[tape.Count] = t then
                tape.Keep(piece.Count, state)

        let visit n _ (solution: TensorSolution) =
            let stretch = stretches[n]
            let times = solution.Times

            for i in 1 .. times.Length - 1 do
                piece.Add stretch.Piece
                offset.Add times[i - 1]
                length.Add(times[i] - times[i - 1])
                start.Add(knots[stretch.Piece] + times[i - 1])

                if piece.Count % window = 0 then
                    use state = (solution.States.[int64 i]).clone()
                    tape.Store(piece.Count, state)

            if solution.Status = Status.Success then
                keep stretch.End solution.Final

        let found =
            use _ = torch.no_grad ()
            keep path.Start z0
            CdePieces.advance options Differentiation.None field path stretches z0 visit

        tape.Thin discrete.MaxCheckpoints

        let value () =
            let plan = {
                Piece = piece.ToArray()
                Offset = offset.ToArray()
                Length = length.ToArray()
                Start = start.ToArray()
                SavedAfter = [||]
            }

            let nodes = CdeNodes.create tableau CdeForm.Rate path
            let run = CdeRun(tableau, plan, nodes, field, options)
            node discrete run field z0 (CdeNodes.directions plan nodes CdeForm.Rate path) tape

        finish value tableau.Name tape saves found
