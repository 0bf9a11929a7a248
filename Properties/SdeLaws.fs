namespace Continuum.Properties

open System
open System.Collections.Generic
open Continuum
open TorchSharp

/// A path that notes what it is asked: laws about what a solver looks at.
[<Sealed>]
type WatchedPath(inner: IBrownian<Tensor>) =
    let queries = List<struct (float * float)>()

    /// The intervals asked for so far, in order.
    member _.Queries = queries

    interface IBrownian<Tensor> with
        member _.Start = inner.Start
        member _.End = inner.End
        member _.Dimension = inner.Dimension
        member _.Level = inner.Level

        member _.Step(s, t) =
            queries.Add(struct (s, t))
            inner.Step(s, t)

        member _.Snap(s, t) = inner.Snap(s, t)
        member _.Prepare times = inner.Prepare times

/// The laws of solving a stochastic equation on tensors. Each takes a method and a problem (which may be your own model) and says
/// whether the law holds, with the numbers.
[<RequireQualifiedAccess>]
module SdeLaws =
    let private seed = 20260UL

    let private levelOf (method: SdeMethod<'C, 'N>) (problem: SdeProblem<'C, 'N>) : LevyLevel =
        let needs = method.Level problem.Sde.Terms.Noise

        if needs = LevyLevel.Area || problem.Level = LevyLevel.Area then
            LevyLevel.Area
        else
            enum<LevyLevel>(Math.Max(int needs, int problem.Level))

    let private solve options method (problem: SdeProblem<'C, 'N>) (path: IBrownian<Tensor>) =
        (TensorSde.solve options method problem.Sde path problem.Start problem.End problem.Initial).EnsureSuccess()

    let private fixedSteps (problem: SdeProblem<'C, 'N>) (count: int) = {
        TensorSdeOptions.fixedSteps (abs (problem.End - problem.Start) / float count) with
            Differentiation = Differentiation.None
    }

    let private rms (a: Tensor) (b: Tensor) = a.sub(b).pow(2.0.ToScalar()).mean().sqrt().ToDouble()
    let private largest (a: Tensor) (b: Tensor) = a.sub(b).abs().max().ToDouble()

    let private inScope (body: unit -> LawResult) : LawResult =
        use _ = torch.NewDisposeScope()
        use _ = torch.no_grad ()
        body ()

    /// The errors at the end along one batch of paths, root mean square, for these numbers of steps.
    let private errors (method: SdeMethod<'C, 'N>) (problem: SdeProblem<'C, 'N>) (steps: int[]) =
        use path = SdeProblems.path problem (Array.min steps) (levelOf method problem) seed
        let exact = problem.Exact path

        steps
        |> Array.map (fun n ->
            use _ = torch.NewDisposeScope()
            let final = (solve (fixedSteps problem n) method problem path).Final
            struct (1.0 / float n, rms final exact))

    /// The diffusion is of the class that is claimed for it, at the start and the initial states: SdeProbe's number is 0 up to rounding. The equation is
    /// any with this diffusion (additive noise given as general, so that the state can be seen).
    let noiseClass (claimed: NoiseKind) (problem: SdeProblem<'C, 'N>) : LawResult =
        let probe =
            match claimed with
            | NoiseKind.Additive -> SdeProbe.isAdditive
            | NoiseKind.Diagonal -> SdeProbe.isDiagonal
            | NoiseKind.Commutative -> SdeProbe.commutes
            | _ -> fun _ _ _ -> 0.0

        let found = probe problem.Sde problem.Start problem.Initial
        let name = (string claimed).ToLowerInvariant()

        {
            Law = $"the noise of {problem.Name} is {name}"
            Holds = found <= 1e-9
            Detail = $"relative distance from it %.1e{found}"
        }

    /// With fixed steps the error along the same path falls at least with the method's strong order for the problem's noise: the observed slope
    /// is not below it by more than 0.2. (On problems that suit a method it may well be above.)
    let strongConvergence (method: SdeMethod<'C, 'N>) (problem: SdeProblem<'C, 'N>) (steps: int[]) : LawResult =
        inScope (fun () ->
            let order = method.StrongOrder problem.Sde.Terms.Noise
            let pairs = errors method problem steps
            let observed = Slope.observed pairs

            {
                Law = $"{method.Name} converges with strong order {order} on {problem.Name}"
                Holds = observed >= order - 0.2
                Detail = $"observed order %.2f{observed}; " + Slope.describe pairs
            })

    /// The method reproduces the solution in one step, up to rounding.
    let exactInOneStep (method: SdeMethod<'C, 'N>) (problem: SdeProblem<'C, 'N>) : LawResult =
        inScope (fun () ->
            let struct (_, error) = (errors method problem [| 1 |])[0]

            {
                Law = $"{method.Name} is exact in one step on {problem.Name}"
                Holds = error <= 1e-12
                Detail = $"root mean square error %.1e{error}"
            })

    /// The mean of the end state converges with the method's weak order: differences to the exact solution along the same paths, whose
    /// standard errors must be small beside them. The slope lies in [order - 0.3, order + 0.6].
    let weakConvergence (method: SdeMethod<'C, 'N>) (problem: SdeProblem<'C, 'N>) (steps: int[]) : LawResult =
        inScope (fun () ->
            use path = SdeProblems.path problem (Array.min steps) (levelOf method problem) seed
            let exact = problem.Exact path

            let found =
                steps
                |> Array.map (fun n ->
                    use _ = torch.NewDisposeScope()

                    let difference =
                        (solve (fixedSteps problem n) method problem path).Final.sub(exact).select(-1L, 0L)

                    let mean = abs (difference.mean().ToDouble())
                    let noise = difference.std().ToDouble() / sqrt (float (difference.numel ()))
                    struct (1.0 / float n, mean, noise))

            let pairs = found |> Array.map (fun struct (h, mean, _) -> struct (h, mean))
            let observed = Slope.observed pairs
            let clear = found |> Array.forall (fun struct (_, mean, noise) -> mean > 5.0 * noise)

            {
                Law = $"{method.Name} converges with weak order {method.WeakOrder} on {problem.Name}"
                Holds = clear && observed >= method.WeakOrder - 0.3 && observed <= method.WeakOrder + 0.6
                Detail = $"observed order %.2f{observed}, above the sampling error: {clear}; " + Slope.describe pairs
            })

    /// Without noise the method is one for ordinary equations, of this order: slope within [order - 0.25, order + 1]. The problem's
    /// diffusion must vanish; its Exact gives the solution.
    let deterministicLimit (method: SdeMethod<'C, 'N>) (order: int) (problem: SdeProblem<'C, 'N>) : LawResult =
        inScope (fun () ->
            let pairs = errors method problem [| 8; 16; 32; 64 |]
            let observed = Slope.observed pairs

            {
                Law = $"{method.Name} without noise converges with order {order} on {problem.Name}"
                Holds = observed >= float order - 0.25 && observed <= float order + 1.0
                Detail = $"observed order %.2f{observed}; " + Slope.describe pairs
            })

    /// Two methods for the same process (in one calculus or the other, the second problem the conversion of the first) come together along
    /// one path: their difference falls with the lower of their strong orders, less 0.2.
    let agreement
        (method: SdeMethod<'C, 'N>)
        (problem: SdeProblem<'C, 'N>)
        (other: SdeMethod<'D, 'N>)
        (converted: SdeProblem<'D, 'N>)
        (steps: int[])
        : LawResult =
        inScope (fun () ->
            let noise = problem.Sde.Terms.Noise
            let order = Math.Min(method.StrongOrder noise, other.StrongOrder noise)

            let level =
                if int (levelOf method problem) >= int (levelOf other converted) then
                    levelOf method problem
                else
                    levelOf other converted

            use path = SdeProblems.path problem (Array.min steps) level seed

            let pairs =
                steps
                |> Array.map (fun n ->
                    use _ = torch.NewDisposeScope()
                    let one = (solve (fixedSteps problem n) method problem path).Final
                    let two = (solve (fixedSteps converted n) other converted path).Final
                    struct (1.0 / float n, rms one two))

            let observed = Slope.observed pairs
            let struct (_, last) = pairs[pairs.Length - 1]

            {
                Law = $"{method.Name} on {problem.Name} and {other.Name} on its conversion agree along a path"
                Holds = last <= 1e-11 || observed >= order - 0.2
                Detail = $"observed order %.2f{observed}; " + Slope.describe pairs
            })

    /// Solving there and back along the same path returns to the start with the method's strong order, less 0.2 (Stratonovich only).
    let roundTrip
        (method: SdeMethod<Stratonovich, 'N>)
        (problem: SdeProblem<Stratonovich, 'N>)
        (steps: int[])
        : LawResult =
        inScope (fun () ->
            let order = method.StrongOrder problem.Sde.Terms.Noise
            use path = SdeProblems.path problem (Array.min steps) (levelOf method problem) seed

            let pairs =
                steps
                |> Array.map (fun n ->
                    use _ = torch.NewDisposeScope()
                    let options = fixedSteps problem n
                    let there = (solve options method problem path).Final
                    let back = TensorSde.solve options method problem.Sde path problem.End problem.Start there
                    struct (1.0 / float n, rms (back.EnsureSuccess().Final) problem.Initial))

            let observed = Slope.observed pairs

            {
                Law = $"{method.Name}: there and back along one path, on {problem.Name}"
                Holds = observed >= order - 0.2
                Detail = $"observed order %.2f{observed}; " + Slope.describe pairs
            })

    /// A value saved at r inside a step is what solving to r gives, and the dense output gives it too, both to the last bit.
    let outputIsASolution (method: SdeMethod<'C, 'N>) (problem: SdeProblem<'C, 'N>) (steps: int) : LawResult =
        inScope (fun () ->
            use path = SdeProblems.path problem steps (levelOf method problem) seed
            let span = problem.End - problem.Start
            let times = [| 0.11; 0.1101; 0.5; 0.77; 1.0 |] |> Array.map (fun x -> problem.Start + x * span)
            let options = fixedSteps problem steps
            let saved = (solve { options with SaveAt = Times times } method problem path).States
            let dense = (solve { options with SaveAt = DenseOutput } method problem path).Dense.Value

            let gaps =
                times
                |> Array.mapi (fun i r ->
                    let direct = TensorSde.solve options method problem.Sde path problem.Start r problem.Initial
                    let value = saved.select (0L, int64 i)
                    Math.Max(largest (direct.EnsureSuccess().Final) value, largest (dense.At r) value))

            {
                Law = $"{method.Name}: output at a time is the solution to that time, on {problem.Name}"
                Holds = Array.max gaps = 0.0
                Detail = gaps |> Array.map (fun gap -> $"%.1e{gap}") |> String.concat ", "
            })

    /// Saving values inside steps does not change the trajectory, with fixed and with adaptive steps.
    let savesDisturbNothing (method: SdeMethod<'C, 'N>) (problem: SdeProblem<'C, 'N>) (tolerance: float) : LawResult =
        inScope (fun () ->
            use path = SdeProblems.path problem 1 (levelOf method problem) seed
            let span = problem.End - problem.Start
            let times = Array.init 9 (fun i -> problem.Start + span * (float i + 0.37) / 9.0)

            let adaptive = {
                TensorSdeOptions.adaptive tolerance tolerance with
                    Differentiation = Differentiation.None
            }

            let gaps =
                [| fixedSteps problem 8; adaptive |]
                |> Array.map (fun options ->
                    let plain = solve { options with SaveAt = EverySteps } method problem path
                    let saving = solve { options with SaveAt = Times times } method problem path
                    largest plain.Final saving.Final)

            {
                Law = $"{method.Name}: saving inside steps does not change the trajectory, on {problem.Name}"
                Holds = Array.max gaps = 0.0
                Detail = $"largest change %.1e{gaps[0]} with fixed steps, %.1e{gaps[1]} with adaptive ones"
            })

    /// Adaptive solves come closer to the solution as the tolerance falls: each tenth of it takes the error down by at least `factor`.
    let adaptiveConvergence
        (method: SdeMethod<'C, 'N>)
        (problem: SdeProblem<'C, 'N>)
        (tolerances: float[])
        (factor: float)
        : LawResult =
        inScope (fun () ->
            use path = SdeProblems.path problem 1 (levelOf method problem) seed
            let exact = problem.Exact path

            let found =
                tolerances
                |> Array.map (fun tolerance ->
                    use _ = torch.NewDisposeScope()

                    let options = {
                        TensorSdeOptions.adaptive tolerance tolerance with
                            Differentiation = Differentiation.None
                    }

                    let solution = solve options method problem path

                    struct (tolerance,
                            rms solution.Final exact,
                            solution.Statistics.Accepted,
                            solution.Statistics.Rejected))

            let falls =
                found
                |> Seq.pairwise
                |> Seq.forall (fun (struct (t0, e0, _, _), struct (t1, e1, _, _)) ->
                    e1 <= e0 / Math.Pow(factor, Math.Log10(t0 / t1)))

            {
                Law = $"{method.Name} with adaptive steps converges on {problem.Name}"
                Holds = falls
                Detail =
                    found
                    |> Array.map (fun struct (t, e, a, r) -> $"tolerance %.0e{t}: %.1e{e} ({a} steps, {r} rejected)")
                    |> String.concat ", "
            })

    /// An adaptive solve is the composition of the method's own steps between its ends (through the middle, where steps are taken in halves), to the
    /// last bit.
    let adaptiveStepsAreSteps (method: SdeMethod<'C, 'N>) (problem: SdeProblem<'C, 'N>) (tolerance: float) : LawResult =
        inScope (fun () ->
            use path = SdeProblems.path problem 1 (levelOf method problem) seed

            let options = {
                TensorSdeOptions.adaptive tolerance tolerance with
                    Differentiation = Differentiation.None
                    SaveAt = EverySteps
            }

            let solution = solve options method problem path
            let ends = solution.Times

            let step (from: float) (towards: float) (y: Tensor) =
                let single = { options with Control = Fixed(abs (towards - from)); SaveAt = EndOnly }
                (TensorSde.solve single method problem.Sde path from towards y).EnsureSuccess().Final

            let gaps =
                Array.init (ends.Length - 1) (fun i ->
                    let start = solution.States.select (0L, int64 i)
                    let finish = solution.States.select (0L, int64 (i + 1))
                    let a, b = ends[i], ends[i + 1]

                    let again =
                        if method.HasErrorEstimate then
                            step a b start
                        else
                            let middle = path.Snap(a, a + 0.5 * (b - a))
                            step a middle start |> step middle b

                    largest again finish)

            {
                Law = $"{method.Name}: adaptive steps are the method's own, on {problem.Name}"
                Holds = gaps.Length > 2 && Array.max gaps = 0.0
                Detail = $"largest difference %.1e{Array.max gaps} over {gaps.Length} steps"
            })

    /// Every end of an attempted step becomes the end of a step: nothing that was seen of the path is skipped after a rejection.
    let rejectedEndsAreKept (method: SdeMethod<'C, 'N>) (problem: SdeProblem<'C, 'N>) (tolerance: float) : LawResult =
        inScope (fun () ->
            use inner = SdeProblems.path problem 1 (levelOf method problem) seed
            let path = WatchedPath inner

            let options = {
                TensorSdeOptions.adaptive tolerance tolerance with
                    Differentiation = Differentiation.None
                    SaveAt = EverySteps
                    // far too long, so that tries are rejected
                    InitialStep = ValueSome(abs (problem.End - problem.Start))
            }

            let solution = solve options method problem path
            let ends = solution.Times
            let known = HashSet<float> ends
            let asked = HashSet<struct (float * float)> path.Queries

            // An end of a step, or the middle of one that was taken in halves.
            let isReached (t: float) =
                known.Contains t
                || (let i = Array.FindIndex(ends, fun e -> e > t)
                    asked.Contains(struct (ends[i - 1], t)) && asked.Contains(struct (t, ends[i])))

            let missed = path.Queries |> Seq.filter (fun struct (_, t) -> not (isReached t)) |> Seq.length

            {
                Law = $"{method.Name}: every time that was looked at is stepped to, on {problem.Name}"
                Holds = missed = 0 && solution.Statistics.Rejected >= 3
                Detail =
                    $"{missed} of {path.Queries.Count} ends missed; {solution.Statistics.Accepted} steps, {solution.Statistics.Rejected} rejected"
            })
