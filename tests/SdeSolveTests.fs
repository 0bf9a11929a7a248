/// Stochastic solves on tensors beside the laws: directions, saving, gradients of the steps, heuristics, memory, statuses.
module SdeSolveTests

open System
open System.Threading
open Continuum
open Continuum.Properties
open Claims
open Expecto
open TorchSharp

let private scalar (x: float) = x.ToScalar()

let private matrix (rows: int) (columns: int) (values: float[]) =
    Tensors.ofArray values [| int64 rows; int64 columns |] torch.float64 torch.CPU

let private plain (step: float) = { TensorSdeOptions.fixedSteps step with Differentiation = Differentiation.None }

// ------------------------------------------------------------------------------------------------------------ directions

let private directions =
    testList "backward in time" [
        for method in [ SdeMethods.eulerMaruyama; SdeMethods.milstein; SdeMethods.srid2 ] do
            testCase $"{method.Name}, Ito's integral in the direction of the solve"
            <| fun () ->
                let mu, sigma = 0.3, 0.7
                let y0 = torch.linspace(0.5, 1.5, 400L, dtype = torch.float64).reshape(400L, 1L)

                let problem: SdeProblem<Ito, DiagonalNoise> = {
                    Name = "geometric Brownian motion run backward"
                    Sde = Sde.diagonal<Ito> [] (fun _ y -> y.mul (scalar mu)) (fun _ y -> y.mul (scalar sigma))
                    Start = 1.0
                    End = 0.0
                    Initial = y0
                    Level = LevyLevel.Increments
                    Exact =
                        fun path ->
                            let w = path.Step(1.0, 0.0).W
                            y0.mul (w.mul(scalar sigma).add(scalar (-mu - 0.5 * sigma * sigma)).exp())
                }

                holds (SdeLaws.strongConvergence method problem [| 8; 16; 32; 64 |])

        testCase "adaptive steps there and back"
        <| fun () ->
            use _ = torch.NewDisposeScope()
            let problem = SdeProblems.growing 10
            use path = SdeProblems.path problem 1 LevyLevel.SpaceTime 5UL

            let options = {
                TensorSdeOptions.adaptive 1e-4 1e-4 with
                    Differentiation = Differentiation.None
            }

            let there = TensorSde.solve options SdeMethods.slowRk problem.Sde path 0.0 1.0 problem.Initial

            let back =
                TensorSde.solve options SdeMethods.slowRk problem.Sde path 1.0 0.0 (there.EnsureSuccess().Final)

            let gap = back.EnsureSuccess().Final.sub(problem.Initial).abs().max().ToDouble()
            Expect.isLessThan gap 1e-2 "return"
    ]

// ---------------------------------------------------------------------------------------------------------------- saving

let private saving =
    testList "saving" [
        testCase "fixed steps lie on one grid, with stops in between and a last one cut short"
        <| fun () ->
            use _ = torch.NewDisposeScope()
            let problem = SdeProblems.growing 2
            use inner = SdeProblems.path problem 1 LevyLevel.Increments 5UL
            let watched = WatchedPath inner
            let options = { plain 0.3 with SaveAt = StepValues [| 0.1; 0.6 |] }
            let solution = TensorSde.solve options SdeMethods.heun problem.Sde watched 0.0 1.0 problem.Initial
            let ends = watched.Queries |> Seq.map (fun struct (_, t) -> t) |> Seq.toList

            for found, wanted in List.zip ends [ 0.1; 0.3; 0.6; 0.9; 1.0 ] do
                Expect.floatClose Accuracy.high found wanted "step end"

            Expect.equal solution.Times [| 0.1; 0.6 |] "times"
            Expect.equal solution.States.shape[0] 2L "states"
            Expect.equal solution.Statistics.Accepted 5 "steps"

        testCase "times on the grid are step values though rounding moves them"
        <| fun () ->
            use _ = torch.NewDisposeScope()
            let problem = SdeProblems.growing 2
            use inner = SdeProblems.path problem 10 LevyLevel.Increments 5UL
            let watched = WatchedPath inner
            let times = Array.init 10 (fun k -> 1.0 - float (9 - k) * 0.1)
            let options = { plain 0.1 with SaveAt = Times times }
            let solution = TensorSde.solve options SdeMethods.heun problem.Sde watched 0.0 1.0 problem.Initial
            Expect.equal watched.Queries.Count 10 "no side steps"
            Expect.equal solution.Times times "the times asked for"

        testCase "EverySteps and the start"
        <| fun () ->
            use _ = torch.NewDisposeScope()
            let problem = SdeProblems.growing 2
            let options = { plain 0.25 with SaveAt = EverySteps }
            let solution = TensorSde.simulate options SdeMethods.heun problem.Sde 5UL 0.0 1.0 problem.Initial
            Expect.equal solution.Times [| 0.0; 0.25; 0.5; 0.75; 1.0 |] "times"
            let first = solution.States.select(0L, 0L).sub(problem.Initial).abs().max().ToDouble()
            Expect.equal first 0.0 "start"
            let last = solution.States.select(0L, 4L).sub(solution.Final).abs().max().ToDouble()
            Expect.equal last 0.0 "end"

        testCase "dense output stays within the span and carries gradients where recorded"
        <| fun () ->
            use _ = torch.NewDisposeScope()
            let problem = SdeProblems.growing 2

            let options = {
                TensorSdeOptions.fixedSteps 0.25 with
                    SaveAt = DenseOutput
                    Differentiation = Differentiation.Recorded
            }

            let y0 = problem.Initial.detach().requires_grad_ true
            use path = SdeProblems.path problem 1 LevyLevel.Increments 5UL
            use solution = TensorSde.solve options SdeMethods.heun problem.Sde path 0.0 1.0 y0
            let dense = solution.Dense.Value
            Expect.throwsT<ArgumentOutOfRangeException> (fun () -> dense.At 1.1 |> ignore) "outside"
            let value = dense.At 0.6
            Expect.isTrue value.requires_grad "recorded"

            let direct =
                TensorSde.solve { options with SaveAt = EndOnly } SdeMethods.heun problem.Sde path 0.0 0.6 y0

            let gradient (x: Tensor) =
                Autograd.vjpRetain [| x |] [| y0 |] [| torch.ones_like x |] |> Array.head |> Tensors.toArray

            Expect.equal (gradient value) (gradient direct.Final) "gradient"
    ]

// ------------------------------------------------------------------------------------------------------------- gradients

/// Nonlinear drift and diffusion with a parameter in each; the noise is matrix-valued and does not commute.
let private parametric<'C when 'C :> Calculus> (a: Tensor) (b: Tensor) : Sde<'C, GeneralNoise> =
    Sde.general<'C> 2 [ a; b ] (fun t y -> y.sin().mul(a).sub(t.mul y)) (fun _ y ->
        let x, z = y.select (-1L, 0L), y.select (-1L, 1L)

        torch.stack (
            [|
                torch.stack ([| z.cos().mul(b.select (0L, 0L)); x.mul (scalar 0.3) |], -1L)
                torch.stack ([| z.mul(x).mul(b.select (0L, 1L)); x.sin () |], -1L)
            |],
            -1L
        ))

/// Largest difference between the recorded gradient of a loss and central differences.
let private gradientGap (solve: Sde<'C, 'N> -> Tensor -> Tensor) (make: Tensor -> Tensor -> Sde<'C, 'N>) =
    use _ = torch.NewDisposeScope()
    let a = Tensors.vector([| 0.7; -0.4 |]).requires_grad_ true
    let b = Tensors.vector([| 0.5; 0.3 |]).requires_grad_ true
    let y0 = (matrix 2 2 [| 0.4; -0.3; 0.8; 0.2 |]).requires_grad_ true
    let sde = make a b

    let loss () : Tensor =
        let final: Tensor = solve sde y0
        let first = final.select (-1L, 0L)
        final.pow(scalar 2.0).sum().add(first.sum ())

    let value = loss ()
    let inputs = [| y0; a; b |]
    let exact = Autograd.vjp [| value |] inputs [| torch.ones_like value |] |> Array.collect Tensors.toArray
    use _ = torch.no_grad ()

    let differences = [|
        for x in inputs do
            let flat = x.reshape -1L

            for i in 0L .. flat.numel () - 1L do
                let entry = flat.[i]
                let centre = entry.ToDouble()
                entry.fill_ (scalar (centre + 1e-5)) |> ignore
                let above = (loss ()).ToDouble()
                entry.fill_ (scalar (centre - 1e-5)) |> ignore
                let below = (loss ()).ToDouble()
                entry.fill_ (scalar centre) |> ignore
                (above - below) / 2e-5
    |]

    Array.map2 (fun x y -> abs (x - y)) exact differences |> Array.max

let private recorded = {
    TensorSdeOptions.fixedSteps 0.125 with
        Differentiation = Differentiation.Recorded
}

let private spec level = { BrownianSpec.fixedSteps 0.0 1.0 8 2 11UL with Level = level }

let private along (method: SdeMethod<'C, 'N>) (level: LevyLevel) (sde: Sde<'C, 'N>) (y0: Tensor) =
    use path = TensorBrownian.For(spec level, y0, 0L)
    (TensorSde.solve recorded method sde path 0.0 1.0 y0).EnsureSuccess().Final

let private gradients =
    testList "recorded gradients" [
        for method in
            [
                SdeMethods.eulerMaruyama
                SdeMethods.milstein
                SdeMethods.milsteinFree
                SdeMethods.driftImplicitEuler
            ] do
            testCase $"{method.Name} against differences"
            <| fun () -> Expect.isLessThan (gradientGap (along method LevyLevel.Area) parametric<Ito>) 1e-7 "gap"

        for method in
            [ SdeMethods.logOde; SdeMethods.milsteinStratonovich; SdeMethods.spark; SdeMethods.reversibleHeun ] do
            testCase $"{method.Name}, Stratonovich, against differences"
            <| fun () ->
                Expect.isLessThan (gradientGap (along method LevyLevel.Area) parametric<Stratonovich>) 1e-7 "gap"

        for method in [ SdeMethods.milstein; SdeMethods.srid2 ] do
            testCase $"{method.Name} with diagonal noise against differences"
            <| fun () ->
                let make (a: Tensor) (b: Tensor) =
                    Sde.diagonal<Ito> [ a; b ] (fun t y -> y.sin().mul(a).sub(t.mul y)) (fun _ y -> y.cos().mul b)

                Expect.isLessThan (gradientGap (along method LevyLevel.SpaceTime) make) 1e-7 "gap"

        testCase "a converted equation's gradient against differences"
        <| fun () ->
            let make a b = SdeConversion.toStratonovich (parametric<Ito> a b)
            Expect.isLessThan (gradientGap (along SdeMethods.heun LevyLevel.Increments) make) 1e-7 "gap"

        testCase "second derivatives of implicit steps"
        <| fun () ->
            use _ = torch.NewDisposeScope()
            let a = Tensors.vector([| -1.5 |]).requires_grad_ true
            let y0 = (matrix 1 1 [| 0.8 |]).requires_grad_ true
            let sde = Sde.diagonal<Ito> [ a ] (fun _ y -> y.pow(scalar 3.0).mul a) (fun _ y -> y.mul (scalar 0.4))

            let solve () =
                use path = TensorBrownian.For(BrownianSpec.fixedSteps 0.0 1.0 8 1 3UL, y0, 0L)
                (TensorSde.solve recorded SdeMethods.driftImplicitEuler sde path 0.0 1.0 y0).EnsureSuccess().Final.sum()

            let first () =
                let value = solve ()
                (Autograd.vjpGraph [| value |] [| a |] [| torch.ones_like value |])[0]

            let slope = first ()
            let found = Autograd.vjp [| slope |] [| a |] [| torch.ones_like slope |]
            let second = found[0].ToDouble()

            let slopeAt (shift: float) =
                use _ = torch.no_grad ()
                a.add_ (scalar shift) |> ignore
                use _ = torch.enable_grad ()
                let value = (first ()).ToDouble()
                use _ = torch.no_grad ()
                a.sub_ (scalar shift) |> ignore
                value

            let difference = (slopeAt 1e-5 - slopeAt -1e-5) / 2e-5
            Expect.isLessThan (abs (second - difference)) 1e-7 $"{second} against {difference}"
    ]

// ----------------------------------------------------------------------------------------- stiffness, heuristics, memory

let private behaviour =
    testList "behaviour" [
        testCase "drift-implicit Euler stays stable where the explicit method explodes"
        <| fun () ->
            use _ = torch.NewDisposeScope()
            let sde = Sde.diagonal<Ito> [] (fun _ y -> y.mul (scalar -400.0)) (fun _ y -> torch.ones_like y)
            let y0 = torch.ones ([| 200L; 2L |], dtype = torch.float64)
            let final method = (TensorSde.simulate (plain 0.05) method sde 1UL 0.0 1.0 y0).EnsureSuccess().Final
            Expect.isLessThan ((final SdeMethods.driftImplicitEuler).abs().max().ToDouble()) 0.2 "implicit"
            Expect.isGreaterThan ((final SdeMethods.eulerMaruyama).abs().max().ToDouble()) 1e6 "explicit"

        testCase "drift-implicit steps stay where the drift is defined: the root of the square-root diffusion"
        <| fun () ->
            use _ = torch.NewDisposeScope()
            // Alfonsi 2005: the implicit equation has one positive solution, and Newton's method may miss it.
            let kappa, theta, xi = 2.0, 0.09, 0.5
            let pull = (4.0 * kappa * theta - xi * xi) / 8.0

            let drift (y: Tensor) = y.reciprocal().mul(scalar pull).sub(y.mul (scalar (0.5 * kappa)))

            let sde =
                Sde.additive<Ito> 1 [] (fun _ y -> drift y) (fun _ ->
                    Tensors.ofArray [| 0.5 * xi |] [| 1L; 1L |] torch.float64 torch.CPU)

            let y0 = torch.full ([| 500L; 1L |], scalar 0.3, dtype = torch.float64)
            let options = { plain 0.02 with SaveAt = EverySteps }

            let solution =
                (TensorSde.simulate options SdeMethods.driftImplicitEuler sde 29UL 0.0 1.0 y0).EnsureSuccess()

            let smallest = solution.States.min().ToDouble()
            Expect.isGreaterThan smallest 0.0 $"smallest root {smallest}"

        testCase "heuristics: sums over steps, the same with and without a graph, differentiable"
        <| fun () ->
            use _ = torch.NewDisposeScope()
            let rate = Tensors.vector([| -3.0 |]).requires_grad_ true
            let sde = Sde.diagonal<Stratonovich> [ rate ] (fun _ y -> y.mul rate) (fun _ y -> y.mul (scalar 0.2))
            let y0 = torch.ones ([| 5L; 1L |], dtype = torch.float64)

            let options = {
                TensorSdeOptions.fixedSteps 0.1 with
                    Heuristics = true
                    Differentiation = Differentiation.Recorded
            }

            for method in [ SdeMethods.spark; SdeMethods.heun ] do
                let solution = TensorSde.simulate options method sde 1UL 0.0 1.0 y0

                let bare =
                    TensorSde.simulate { options with Differentiation = Differentiation.None } method sde 1UL 0.0 1.0 y0
                // A linear drift has the Lipschitz constant |rate| in every one of ten steps.
                Expect.floatClose Accuracy.high solution.Statistics.StiffnessEstimate 30.0 "stiffness"
                Expect.isGreaterThan solution.Statistics.ErrorEstimate 0.0 "error"

                Expect.floatClose
                    Accuracy.high
                    bare.Statistics.ErrorEstimate
                    solution.Statistics.ErrorEstimate
                    "error, no graph"

                let sum = solution.StiffnessEstimate
                let found = Autograd.vjp [| sum |] [| rate |] [| torch.ones_like sum |]
                let gradient = found[0].ToDouble()
                Expect.floatClose Accuracy.high gradient -10.0 "d |rate| / d rate, ten times"

        testCase "float32 states on a float64 path, and one path for a batch"
        <| fun () ->
            use _ = torch.NewDisposeScope()
            let sde = Sde.diagonal<Stratonovich> [] (fun _ y -> y.neg ()) (fun _ y -> y.mul (scalar 0.3))
            let y0 = torch.ones ([| 3L; 2L |], dtype = torch.float32)
            use path = new TensorBrownian(BrownianSpec.create 0.0 1.0 2 7UL, [||], 0L, torch.float64, torch.CPU)
            let solution = TensorSde.solve (plain 0.1) SdeMethods.heun sde path 0.0 1.0 y0
            Expect.equal solution.Final.dtype torch.float32 "dtype"
            let rows = Tensors.toArray solution.Final
            Expect.equal rows[0..1] rows[4..5] "rows share the path"

        testCase "a state without a batch"
        <| fun () ->
            use _ = torch.NewDisposeScope()
            let problem = SdeProblems.twistedStratonovich 1
            let y0 = problem.Initial.reshape 2L
            let single = TensorSde.simulate (plain 0.1) SdeMethods.milsteinStratonovich problem.Sde 4UL 0.0 1.0 y0

            let batch =
                TensorSde.simulate (plain 0.1) SdeMethods.milsteinStratonovich problem.Sde 4UL 0.0 1.0 problem.Initial

            let gap =
                batch.EnsureSuccess().Final.reshape(2L).sub(single.EnsureSuccess().Final).abs().max().ToDouble()

            Expect.isLessThan gap 1e-14 "same as a batch of one"

        testCase "nothing is left in memory but the results"
        <| fun () ->
            let count (action: unit -> unit) =
                action ()
                let before = Tensors.live ()
                action ()
                Tensors.live () - before

            let problem = SdeProblems.twistedStratonovich 3
            let ito = SdeProblems.twisted 3

            let fixedSteps = {
                TensorSdeOptions.fixedSteps 0.4 with
                    SaveAt = Times [| 0.33; 0.8 |]
                    Heuristics = true
            }

            let adaptive = {
                TensorSdeOptions.adaptive 0.5 0.5 with
                    SaveAt = DenseOutput
                    InitialStep = ValueSome 1.0
            }

            for way in [ Differentiation.None; Differentiation.Recorded ] do
                for options in [ fixedSteps; adaptive ] do
                    let options = { options with Differentiation = way }

                    for method in
                        [ SdeMethods.heun; SdeMethods.spark; SdeMethods.logOde; SdeMethods.milsteinStratonovich ] do
                        let run () =
                            use solution = TensorSde.simulate options method problem.Sde 1UL 0.0 1.0 problem.Initial
                            solution.EnsureSuccess() |> ignore

                        Expect.equal (count run) 0L $"{method.Name}, {way}"

                    for method in [ SdeMethods.milsteinFree; SdeMethods.driftImplicitEuler ] do
                        let run () =
                            use solution = TensorSde.simulate options method ito.Sde 1UL 0.0 1.0 ito.Initial
                            solution.EnsureSuccess() |> ignore

                        Expect.equal (count run) 0L $"{method.Name}, {way}"

        testCase "memory stays flat over the steps"
        <| fun () ->
            let problem = SdeProblems.growing 3
            let counts = Collections.Generic.List<int64>()

            for options in [ plain 0.02; { TensorSdeOptions.adaptive 1e-1 1e-1 with MaxStep = 0.02 } ] do
                let options = { options with Differentiation = Differentiation.None }
                counts.Clear()
                let watching = { options with Progress = Action<_>(fun _ -> counts.Add(Tensors.live ())) }
                use solution = TensorSde.simulate watching SdeMethods.heun problem.Sde 1UL 0.0 1.0 problem.Initial
                solution.EnsureSuccess() |> ignore
                Expect.isGreaterThanOrEqual counts.Count 50 "steps"
                Expect.equal counts[counts.Count - 2] counts[1] "live tensors after the second step and near the end"

        testCase "statuses: exploding, throwing, cancelled, out of steps"
        <| fun () ->
            use _ = torch.NewDisposeScope()
            let y0 = torch.ones ([| 2L; 1L |], dtype = torch.float64)
            let noise (_: Tensor) (y: Tensor) = y
            let explosive = Sde.diagonal<Ito> [] (fun _ y -> y.pow (scalar 3.0)) noise
            let solution = TensorSde.simulate (plain 0.5) SdeMethods.eulerMaruyama explosive 1UL 0.0 20.0 y0
            Expect.equal solution.Status Status.NonFinite solution.Message
            Expect.stringContains solution.Message "component" "where"

            let adaptive = {
                TensorSdeOptions.adaptive 1e-3 1e-3 with
                    Differentiation = Differentiation.None
            }

            let solution = TensorSde.simulate adaptive SdeMethods.srid2 explosive 1UL 0.0 20.0 y0
            Expect.isTrue (solution.Status = Status.NonFinite || solution.Status = Status.StepTooSmall) solution.Message

            let thrower =
                Sde.diagonal<Ito>
                    []
                    (fun t y -> if t.ToDouble() > 0.5 then raise (InvalidOperationException "no further") else y)
                    noise

            let solution = TensorSde.simulate (plain 0.1) SdeMethods.eulerMaruyama thrower 1UL 0.0 1.0 y0
            Expect.equal solution.Status Status.FieldThrew solution.Message
            Expect.stringContains solution.Message "no further" "message"
            Expect.isLessThan (abs (solution.FinalTime - 0.6)) 1e-9 "reached"
            let calm = Sde.diagonal<Ito> [] (fun _ y -> y) noise
            use source = new CancellationTokenSource()
            let seen = Collections.Generic.List<StepReport>()

            let report (step: StepReport) =
                seen.Add step

                if seen.Count = 3 then
                    source.Cancel()

            let options = { plain 0.1 with Cancellation = source.Token; Progress = Action<_> report }
            let solution = TensorSde.simulate options SdeMethods.eulerMaruyama calm 1UL 0.0 1.0 y0
            Expect.equal solution.Status Status.Cancelled solution.Message
            Expect.equal seen.Count 3 "reports"
            Expect.floatClose Accuracy.high seen[2].Fraction 0.3 "fraction"

            let solution =
                TensorSde.simulate { plain 0.1 with MaxSteps = 4 } SdeMethods.eulerMaruyama calm 1UL 0.0 1.0 y0

            Expect.equal solution.Status Status.MaxStepsReached solution.Message
            let solution = TensorSde.simulate { adaptive with MaxSteps = 4 } SdeMethods.srid2 calm 1UL 0.0 1.0 y0
            Expect.equal solution.Status Status.MaxStepsReached solution.Message
    ]

let tests = testList "stochastic solves" [ directions; saving; gradients; behaviour ]
