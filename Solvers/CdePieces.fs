// Solving as an ordinary equation, one piece of the path after the other: the field of a piece is smooth, so a step ends at each knot,
// the derivative is that of the right side, and error estimates and adjoints never see a kink.
namespace Continuum

open System
open System.Collections.Generic
open TorchSharp

/// A stretch of the path within one piece; offsets count from the piece's knot, End is where it ends on the path.
[<Struct>]
type internal CdeSegment = { Piece: int; From: float; Until: float; End: float }

/// The right-hand side F(z) X' on the pieces of a path.
[<RequireQualifiedAccess>]
module internal CdePieces =

    /// B + 2 C u + 3 D u^2 from B, 2 C and 3 D; null for straight pieces.
    let private slope (b: Tensor) (twoC: Tensor) (threeD: Tensor) (u: Tensor) : Tensor =
        if isNull twoC then b else b.add (u.mul (twoC.add (u.mul threeD)))

    let private wanted (x: Tensor) = not (isNull x) && x.requires_grad

    /// z' = F(z) (B + 2 C u + 3 D u^2) on one piece; its clock u counts from the knot, so that float32 loses no side.
    let fieldOn (field: CdeField) (start: float) (b: Tensor) (twoC: Tensor) (threeD: Tensor) : TensorField =
        let parameters = Array.append field.Parameters ([| b; twoC; threeD |] |> Array.filter wanted)
        let straight = isNull twoC

        let eval (u: Tensor) (z: Tensor) =
            let t = if field.Autonomous then null else u.add start
            field.Product(t, z, slope b twoC threeD u)

        TensorField(Func<_, _, _>(eval), parameters, straight && field.Autonomous)

    /// The whole path as one right-hand side. At a knot the derivative is that of the piece to the right.
    let wholeField (field: CdeField) (path: ControlPath) : TensorField =
        let pieces = path.Coefficients
        let knots = path.RawKnots
        let coefficients = [| pieces.B; pieces.C; pieces.D |] |> Array.filter wanted

        let eval (t: Tensor) (z: Tensor) =
            let now = Math.Clamp(t.detach().ToDouble(), path.Start, path.End)

            let k =
                match Array.BinarySearch(knots, now) with
                | at when at < 0 -> ~~~at - 1
                | at -> min at (path.Pieces - 1)

            let of' (x: Tensor) (factor: float) = if isNull x then null else (x.select (0L, int64 k)).mul(factor)

            let u = t.sub knots[k]
            let direction = slope (pieces.B.select (0L, int64 k)) (of' pieces.C 2.0) (of' pieces.D 3.0) u
            field.Product((if field.Autonomous then null else t), z, direction)

        TensorField(Func<_, _, _>(eval), Array.append field.Parameters coefficients, false)

    /// The stretches of the path that end at its knots and at the times saved inside of pieces.
    let segments (saves: float[]) (path: ControlPath) : CdeSegment[] =
        let knots = path.RawKnots
        let mutable next = 0

        [|
            for k in 0 .. path.Pieces - 1 do
                let mutable from = 0.0

                while next < saves.Length && saves[next] <= knots[k] do
                    next <- next + 1

                while next < saves.Length && saves[next] < knots[k + 1] do
                    { Piece = k; From = from; Until = saves[next] - knots[k]; End = saves[next] }
                    from <- saves[next] - knots[k]
                    next <- next + 1

                { Piece = k; From = from; Until = knots[k + 1] - knots[k]; End = knots[k + 1] }
        |]

    let private add (sum: Statistics) (part: Statistics) : Statistics =
        let least (a: float) b =
            if Double.IsNaN a then b
            elif Double.IsNaN b then a
            else min a b

        let most (a: float) b =
            if Double.IsNaN a then b
            elif Double.IsNaN b then a
            else max a b

        {
            sum with
                Evaluations = sum.Evaluations + part.Evaluations
                Accepted = sum.Accepted + part.Accepted
                Rejected = sum.Rejected + part.Rejected
                SmallestStep = least sum.SmallestStep part.SmallestStep
                LargestStep = most sum.LargestStep part.LargestStep
                LargestStabilityRatio = most sum.LargestStabilityRatio part.LargestStabilityRatio
        }

    let private nothing = StepTally().Statistics(0, ImplicitWork.Zero)

    /// The options of the solve over a stretch of this length; guess: the step length to begin with, NaN for none; told gets the one
    /// that step control would try next.
    let optionsOn
        (options: CdeOptions)
        (way: Differentiation)
        (length: float)
        (guess: float)
        (used: int)
        (told: float -> unit)
        : TensorOptions =
        let control, tolerance =
            match options.Steps with
            | CdeSteps.PerPiece count -> Fixed(length / float count), Tolerance.create 1e-6 1e-6
            | CdeSteps.Fixed most -> Fixed(length / max 1.0 (ceil (length / most - 1e-9))), Tolerance.create 1e-6 1e-6
            | CdeSteps.Adaptive(rtol, atol) -> Adaptive ValueNone, Tolerance.create rtol atol

        {
            TensorOptions.create 1e-6 1e-6 with
                Method = options.Method
                Differentiation = way
                CheckTracking = false
                Solve = {
                    SolveOptions.create 1e-6 1e-6 with
                        Control = control
                        Tolerance = tolerance
                        SaveAt = (if options.Steps.IsAdaptive && way.IsNone then EverySteps else EndOnly)
                        InitialStep = (if Double.IsNaN guess then ValueNone else ValueSome(min guess length))
                        MaxSteps = max 1 (options.MaxSteps - used)
                        Cancellation = options.Cancellation
                        Progress =
                            (if options.Steps.IsAdaptive then
                                 Action<StepReport>(fun report -> told report.Step)
                             else
                                 null)
                }
        }

    /// One tensor for each piece: B, 2 C and 3 D; nulls for straight pieces.
    let unbound (path: ControlPath) : struct (Tensor[] * Tensor[] * Tensor[]) =
        let pieces = path.Coefficients

        let each (x: Tensor) (factor: float) =
            if isNull x then Array.zeroCreate path.Pieces
            elif factor = 1.0 then x.unbind 0
            else x.mul(factor).unbind 0

        struct (each pieces.B 1.0, each pieces.C 2.0, each pieces.D 3.0)

    /// Solves over one stretch after the other, by the way to differentiate given. visit sees each stretch's number, guess and
    /// solution in a scope that ends after the call; what it keeps it moves out. The final state is moved to the scope outside.
    let advance
        (options: CdeOptions)
        (way: Differentiation)
        (field: CdeField)
        (path: ControlPath)
        (stretches: CdeSegment[])
        (z0: Tensor)
        (visit: int -> float -> TensorSolution -> unit)
        : CdeAdvance =
        use _ = torch.NewDisposeScope()
        let knots = path.RawKnots
        let struct (b, twoC, threeD) = unbound path
        let mutable state = z0
        let mutable total = nothing
        // the step length that step control would try next, handed from stretch to stretch
        let guess = ref nan
        let mutable failure = ValueNone
        let mutable n = 0

        while failure.IsNone && n < stretches.Length do
            use scope = torch.NewDisposeScope()
            let stretch = stretches[n]
            let k = stretch.Piece
            let length = stretch.Until - stretch.From
            let ode = fieldOn field knots[k] b[k] twoC[k] threeD[k]
            let first = guess.Value
            let options = optionsOn options way length first total.Accepted (fun next -> guess.Value <- next)
            let solution = TensorOde.solve options ode stretch.From stretch.Until state
            total <- add total solution.Statistics
            let next = solution.Final.alias().MoveToOuterDisposeScope()
            visit n first solution

            if solution.Status <> Status.Success then
                let text =
                    $"Between the knots {knots[k]} and {knots[k + 1]} of the path (times in what follows count from {knots[k]}): {solution.Message}"

                let ended = { Status = solution.Status; Message = text; Steps = total.Accepted }
                failure <- ValueSome(struct (ended, knots[k] + solution.FinalTime, solution.Exception))

            if n > 0 then
                state.Dispose()

            state <- next
            n <- n + 1

        let struct (ended, time, inner) =
            match failure with
            | ValueSome found -> found
            | ValueNone -> struct ({ Status = Status.Success; Message = ""; Steps = total.Accepted }, path.End, null)

        {
            Final = state.MoveToOuterDisposeScope()
            Ended = ended
            FinalTime = time
            Statistics = total
            Exception = inner
        }

    /// Without a graph, or with one through every step where gradients are enabled.
    let solvePlain (options: CdeOptions) (field: CdeField) (path: ControlPath) (z0: Tensor) : TensorSolution =
        use _ = torch.NewDisposeScope()
        let saves = CdeOptions.saveTimes options path
        let stretches = segments saves path
        let kept = List<Tensor>()

        if saves[0] = path.Start then
            kept.Add(z0.alias().DetachFromDisposeScope())

        let visit n _ (solution: TensorSolution) =
            if
                solution.Status = Status.Success
                && kept.Count < saves.Length
                && saves[kept.Count] = stretches[n].End
            then
                kept.Add(solution.Final.alias().DetachFromDisposeScope())

        let way =
            if options.Differentiation.IsReversible then options.Differentiation
            elif torch.is_grad_enabled () then Differentiation.Recorded
            else Differentiation.None

        let found = advance options way field path stretches z0 visit
        let states = CdeResults.stack kept z0

        for state in kept do
            state.Dispose()

        let times = Array.sub saves 0 kept.Count

        let solution =
            CdeResults.create
                options.Method.Name
                found.Ended
                times
                found.FinalTime
                states
                found.Final
                found.Statistics
                found.Exception

        solution.MoveToOuterScope()
