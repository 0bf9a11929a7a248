// Backsolve and Reversible along a path, as one node of the graph: the states at the ends of its smooth stretches are stored, and the
// backward sweep solves each stretch once more, from its own start, by the way to differentiate that was asked for. A reconstruction of the
// state so never reaches over more than one stretch.
namespace Continuum

open System
open System.Collections.Generic
open TorchSharp

/// The node of a solve over stretches.
[<RequireQualifiedAccess>]
module internal CdeAdjoint =

    /// One stretch backward: from the cotangent of its end to that of its start; gradients of B, 2 C and 3 D of its piece are added
    /// to the rows of sums that are not null.
    let private pull
        (options: CdeOptions)
        (field: CdeField)
        (knots: float[])
        (stretch: CdeSegment)
        (guess: float)
        (start: Tensor)
        (coefficients: Tensor[])
        (rows: Tensor[])
        (adjoint: Tensor)
        (accumulator: GradientAccumulator)
        : Tensor =
        use _ = torch.NewDisposeScope()
        use _ = torch.enable_grad ()
        let wanted i = not (isNull rows[i]) && not (isNull coefficients[i])
        let leaf = start.detach().requires_grad_ true

        let own =
            coefficients
            |> Array.mapi (fun i x ->
                if isNull x then null
                elif wanted i then x.detach().requires_grad_ true
                else x.detach ())

        let ode = CdePieces.fieldOn field knots[stretch.Piece] own[0] own[1] own[2]
        let length = stretch.Until - stretch.From
        let told = CdePieces.optionsOn options options.Differentiation length guess 0 ignore
        let solution = (TensorOde.solve told ode stretch.From stretch.Until leaf).EnsureSuccess()
        let leaves = [| 0; 1; 2 |] |> Array.filter wanted
        let inputs = Array.append [| leaf |] (leaves |> Array.map (fun i -> own[i]))
        let found = accumulator.Backward([| solution.Final |], [| adjoint |], inputs)
        use _ = torch.no_grad ()
        leaves |> Array.iteri (fun n i -> rows[i].add_ found[n + 1] |> ignore)
        found[0].MoveToOuterDisposeScope()

    /// Solves forward without a graph; see the top of the file.
    let solve (options: CdeOptions) (field: CdeField) (path: ControlPath) (z0: Tensor) : TensorSolution =
        use _ = torch.NewDisposeScope()
        use tape = new CdeTape()
        let saves = CdeOptions.saveTimes options path
        let stretches = CdePieces.segments saves path
        let knots = path.RawKnots
        let guesses = Array.create stretches.Length nan

        let keep n (t: float) (state: Tensor) =
            if tape.Count < saves.Length && saves[tape.Count] = t then
                tape.Keep(n, state)

        let visit n guess (solution: TensorSolution) =
            guesses[n] <- guess

            if solution.Status = Status.Success then
                keep (n + 1) stretches[n].End solution.Final
                tape.Store(n + 1, solution.Final)

        let way =
            if options.Differentiation.IsReversible then
                options.Differentiation
            else
                Differentiation.None

        let found =
            use _ = torch.no_grad ()
            keep 0 path.Start z0
            CdePieces.advance options way field path stretches z0 visit

        let found = { found with Ended = { found.Ended with Steps = stretches.Length } }
        let pieces = path.Coefficients
        let given = [| pieces.B; pieces.C; pieces.D |]
        let present = given |> Array.filter (isNull >> not)

        let value () =
            let keptAfter = tape.KeptAfter

            let forward () : struct (Tensor * Tensor[]) =
                use _ = torch.NewDisposeScope()
                let states = tape.Stored.MoveToOuterDisposeScope()

                struct (tape.Kept.MoveToOuterDisposeScope(),
                        Array.concat [ [| z0; states |]; present; field.Parameters ])

            let backward (context: VjpContext) (gradient: Tensor) : Tensor[] =
                use _ = torch.NewDisposeScope()
                let saved = context.Saved
                let places = Dictionary<int, int64>()
                keptAfter |> Array.iteri (fun i n -> places[n] <- int64 i)
                use accumulator = new GradientAccumulator(field.Parameters)

                let sums =
                    Array.init 3 (fun i ->
                        if i < present.Length && context.Needs[1 + i] then
                            torch.zeros_like saved[2 + i]
                        else
                            null)

                let factors = [| 1.0; 2.0; 3.0 |]

                let total n (adjoint: Tensor) =
                    match places.TryGetValue n with
                    | true, row -> adjoint.add gradient.[row]
                    | _ -> adjoint

                let mutable adjoint = total stretches.Length (torch.zeros_like saved[0])

                for n in stretches.Length - 1 .. -1 .. 0 do
                    let k = int64 stretches[n].Piece
                    let row (x: Tensor) = if isNull x then null else x.select (0L, k)

                    let coefficients =
                        Array.init 3 (fun i ->
                            if i >= present.Length then null
                            elif i = 0 then row saved[2]
                            else (row saved[2 + i]).mul(factors[i]))

                    let start = if n = 0 then saved[0] else saved[1].[int64 (n - 1)]

                    let before =
                        pull
                            options
                            field
                            knots
                            stretches[n]
                            guesses[n]
                            start
                            coefficients
                            (Array.map row sums)
                            adjoint
                            accumulator

                    adjoint <- total n before

                let ofPath = present |> Array.mapi (fun i _ -> if isNull sums[i] then null else sums[i].mul(factors[i]))

                Array.concat [ [| adjoint |]; ofPath; accumulator.Result() ]
                |> Array.map (fun g -> if isNull g then null else g.MoveToOuterDisposeScope())

            Autograd.customVjp (Array.concat [ [| z0 |]; present; field.Parameters ]) forward backward

        CdeDiscrete.finish value options.Method.Name tape saves found
