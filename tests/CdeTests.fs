/// Solving controlled differential equations.
module CdeTests

open System
open Continuum
open Continuum.Properties
open Expecto
open TorchSharp

let internal holds (law: LawResult) = Expect.isTrue law.Holds (string law)

let internal throws<'E when 'E :> exn> (part: string) (action: unit -> unit) =
    try
        action ()
        failtest $"expected an error that says '{part}'"
    with :? 'E as error ->
        Expect.stringContains error.Message part "the message"

let internal random (seed: int64) (shape: int64[]) : Tensor =
    use generator = new torch.Generator(uint64 seed)
    torch.randn (shape, dtype = Nullable torch.float64, generator = generator)

let internal rk name = {
    CdeOptions.create () with
        Method = RungeKutta name
        Differentiation = Differentiation.None
}

/// Matrices of norm about a half, so that steps of one piece are within the asymptotic range.
let private matrices () = (random 3L [| 3L; 4L; 4L |]).mul(0.25.ToScalar()).requires_grad_ true

let private walk () = random 5L [| 2L; 6L; 3L |]
let private z0 () = random 7L [| 2L; 4L |]

/// A nonlinear field of 3 state components and this many channels, with three parameters.
let internal smooth (channels: int) : CdeField =
    let w = (random 11L [| 3L; 3L |]).mul(0.6.ToScalar()).requires_grad_ true
    let v = (random 12L [| int64 channels; 3L; 3L |]).mul(0.5.ToScalar()).requires_grad_ true
    let b = (random 13L [| 3L; int64 channels |]).mul(0.3.ToScalar()).requires_grad_ true

    CdeField.create channels [ w; v; b ] (fun z ->
        let h = torch.tanh (torch.matmul (z, w))
        torch.einsum("...j,cji->...ic", h, v).add(b).tanh())

/// Two series of five rows at times of their own, with holes, the second shorter.
let internal irregular () : SeriesBatch =
    let times = [| [| 0.0; 0.7; 1.1; 2.0; 3.5 |]; [| 0.2; 0.9; 1.6; 2.2 |] |]

    let values = [|
        [| [| 0.3; -0.5 |]; [| 0.8; nan |]; [| nan; 0.4 |]; [| -0.2; 0.9 |]; [| 0.5; 0.1 |] |]
        [| [| nan; 0.6 |]; [| -0.4; 0.2 |]; [| 0.1; nan |]; [| 0.7; -0.3 |] |]
    |]

    SeriesBatch.ofArrays null times values

let internal problem (scheme: ControlScheme) : CdeProblem =
    let series = irregular ()

    {
        Name = $"an irregular {scheme} path"
        Field = smooth 5
        Series = series
        Control = { ControlOptions.create scheme with Intensity = IntensityChannels.Every }
        Initial = random 17L [| 2L; 3L |]
    }

let internal schemes = [
    ControlScheme.Linear
    ControlScheme.Rectilinear
    ControlScheme.Hermite
    ControlScheme.NaturalCubic
]

let private convergence =
    testList "order" [
        for tableau in
            [
                Methods.Euler
                Methods.Heun
                Methods.Midpoint
                Methods.Rk4
                Methods.Bosh3
                Methods.Tsit5
                Methods.Dopri5
            ] do
            for form in [ CdeForm.Rate; CdeForm.Increments ] do
                testCase $"{tableau.Name}, {form}: along a path with kinks as on a smooth one"
                <| fun () ->
                    use _ = torch.NewDisposeScope()
                    let path = ControlPath.linear [| 0.0; 1.0; 2.5; 3.0; 4.0; 5.5 |] (walk ())
                    holds (CdeLaws.convergence { rk tableau with Form = form } (matrices ()) path (z0 ()))

        for method in [ Coupled(Methods.Rk4, 0.99); ReversibleHeun ] do
            testCase $"{method.Name}: along a path with kinks"
            <| fun () ->
                use _ = torch.NewDisposeScope()
                let path = ControlPath.linear [| 0.0; 1.0; 2.5; 3.0; 4.0; 5.5 |] (walk ())
                holds (CdeLaws.convergence { rk Methods.Rk4 with Method = method } (matrices ()) path (z0 ()))

        testCase "Euler with a step a knot sees every increment once"
        <| fun () ->
            use _ = torch.NewDisposeScope()
            // dz = dX: the state is z0 plus the whole increment, exactly.
            let values = walk ()

            let field =
                CdeField.create 3 [] (fun z -> torch.eye(3L, dtype = torch.float64).expand([| z.shape[0]; 3L; 3L |]))

            let path = ControlPath.linear [| 0.0; 1.0; 2.0; 3.0; 4.0; 5.0 |] values
            let start = torch.zeros ([| 2L; 3L |], dtype = torch.float64)

            for options in
                [
                    rk Methods.Euler
                    { rk Methods.Euler with Form = CdeForm.Increments }
                    { rk Methods.Euler with Differentiation = Differentiation.BacksolveDefault }
                    rk Methods.Rk4
                    CdeOptions.adaptive 1e-6 1e-8
                ] do
                let final = (TensorCde.solve { options with SaveAt = CdeSave.Observations } field path start).States
                let expected = values.transpose(0L, 1L).sub((values.narrow (1L, 0L, 1L)).transpose(0L, 1L))
                let gap = final.sub(expected).abs().max().ToDouble()
                Expect.isLessThan gap 1e-12 $"{options.Method.Name}, {options.Form}: gap {gap}"

        testCase "adaptive steps end at knots and meet the tolerance"
        <| fun () ->
            use _ = torch.NewDisposeScope()
            let path = ControlPath.linear [| 0.0; 1.0; 2.5; 3.0; 4.0; 5.5 |] (walk ())
            let exact = LinearCde.exact (matrices ()) path (z0 ())
            let field = LinearCde.field (matrices ())

            for tolerance in [ 1e-5; 1e-8 ] do
                let options = {
                    CdeOptions.adaptive tolerance tolerance with
                        Differentiation = Differentiation.None
                }

                let solution = (TensorCde.solve options field path (z0 ())).EnsureSuccess()
                let gap = solution.Final.sub(exact).abs().max().ToDouble()
                Expect.isLessThan gap (100.0 * tolerance) $"tolerance {tolerance}: gap {gap}"
                // No step was rejected for a kink: five pieces, all smooth.
                Expect.isLessThan solution.Statistics.Rejected 5 "rejected steps"

        testCase "Rate has the method's order on smooth pieces, Increments order 2"
        <| fun () ->
            let problem = problem ControlScheme.NaturalCubic
            holds (CdeLaws.order (rk Methods.Rk4) 4.0 problem)
            holds (CdeLaws.order { rk Methods.Rk4 with Form = CdeForm.Increments } 2.0 problem)

        testCase "float32 loses no side of a knot"
        <| fun () ->
            use _ = torch.NewDisposeScope()
            let knots = Array.init 6 (fun i -> 4096.0 + float i)
            let path = ControlPath.linear knots (walk ())
            let exact = LinearCde.exact (matrices ()) path (z0 ())
            let single = (matrices ()).detach().``to``(torch.float32)
            let field = LinearCde.field single
            let start = (z0 ()).``to`` torch.float32

            for options in [ { rk Methods.Rk4 with Steps = CdeSteps.PerPiece 8 }; CdeOptions.adaptive 1e-5 1e-5 ] do
                let final = (TensorCde.solve options field (path.Detached torch.float32) start).EnsureSuccess().Final
                let gap = final.``to``(torch.float64).sub(exact).abs().max().ToDouble()
                Expect.isLessThan gap 1e-3 $"{options.Steps}: gap {gap}"
    ]

let private invariance =
    testList "invariance" [
        testCase "the speed along a curve does not matter"
        <| fun () ->
            let one = [| 0.0; 1.0; 2.0; 3.0; 4.0; 5.0 |]
            let other = [| -3.0; -2.9; 0.0; 0.01; 7.0; 100.0 |]
            let field = LinearCde.field (matrices ())
            holds (CdeLaws.reparameterisation (rk Methods.Rk4) 1e-13 field (walk ()) one other (z0 ()))
            holds (CdeLaws.reparameterisation (CdeOptions.adaptive 1e-9 1e-9) 1e-7 field (walk ()) one other (z0 ()))

        testCase "a knot on a straight line changes nothing"
        <| fun () ->
            let knots = [| 0.0; 1.0; 2.5; 3.0; 4.0; 5.5 |]
            let field = LinearCde.field (matrices ())
            let options = { rk Methods.Dop853 with Steps = CdeSteps.PerPiece 4 }
            holds (CdeLaws.collinearKnots options 1e-10 field knots (walk ()) (z0 ()))

        testCase "there and back again"
        <| fun () ->
            let field = LinearCde.field (matrices ())
            let options = { rk Methods.Dop853 with Steps = CdeSteps.PerPiece 4 }
            holds (CdeLaws.thereAndBack options 1e-10 field (walk ()) (z0 ()))

        for scheme in schemes do
            testCase $"{scheme}: rows after the end change nothing"
            <| fun () ->
                holds (CdeLaws.padding (rk Methods.Rk4) 3 (problem scheme))

                let shared =
                    SeriesBatch.ofTensors
                        null
                        (Tensors.vector [| 0.0; 0.5; 2.0; 2.2; 3.0 |])
                        (random 23L [| 3L; 5L; 2L |])
                        [| 5; 3; 1 |]

                let problem = { problem scheme with Series = shared; Initial = random 29L [| 3L; 3L |] }

                holds (CdeLaws.padding (rk Methods.Rk4) 3 problem)

                if scheme <> ControlScheme.Rectilinear then
                    holds (
                        CdeLaws.padding (rk Methods.Rk4) 3 {
                            problem with
                                Control = { problem.Control with Clock = ControlClock.Times }
                        }
                    )

        for scheme in schemes do
            testCase $"{scheme}: the end state of a shorter series is the one of the series alone"
            <| fun () ->
                use _ = torch.NewDisposeScope()
                let problem = problem scheme
                use path = ControlPath.create problem.Control problem.Series
                let both = TensorCde.solve (rk Methods.Rk4) problem.Field path problem.Initial

                use alone =
                    ControlPath.create
                        problem.Control
                        (SeriesBatch.ofArrays null [| problem.Series.TimesOf 1 |] [|
                            [| [| nan; 0.6 |]; [| -0.4; 0.2 |]; [| 0.1; nan |]; [| 0.7; -0.3 |] |]
                        |])

                let one = TensorCde.solve (rk Methods.Rk4) problem.Field alone (problem.Initial.narrow (0L, 1L, 1L))
                let gap = both.Final.[1L].sub(one.Final.[0L]).abs().max().ToDouble()
                Expect.isLessThan gap 1e-13 $"gap {gap}"

        for scheme in [ ControlScheme.Rectilinear; ControlScheme.Hermite; ControlScheme.Linear ] do
            testCase $"{scheme}, causal: what comes later does not change what was"
            <| fun () ->
                let problem = problem scheme
                let control = { ControlOptions.causal scheme with Intensity = IntensityChannels.Every }
                let problem = { problem with Control = control }

                for from in 1..3 do
                    holds (CdeLaws.causality (rk Methods.Rk4) from 0 problem)

        testCase "a natural cubic path is not causal, and the law sees it"
        <| fun () ->
            let problem = problem ControlScheme.NaturalCubic
            let law = CdeLaws.causality (rk Methods.Rk4) 3 0 problem
            Expect.isFalse law.Holds (string law)

        testCase "an interpolating Hermite path waits for a channel's next value and no longer"
        <| fun () ->
            let problem = problem ControlScheme.Hermite
            // no channel misses two rows in a row, and the first value of a channel holds from the start
            holds (CdeLaws.causality (rk Methods.Rk4) 4 1 problem)
    ]

let private misuse =
    testList "misuse and failures" [
        testCase "shapes and channels, both in the message"
        <| fun () ->
            use _ = torch.NewDisposeScope()
            let path = ControlPath.linear [| 0.0; 1.0 |] (random 41L [| 2L; 2L; 3L |])
            let start = random 42L [| 2L; 4L |]
            let solve options field = TensorCde.solve options field path start |> ignore
            let wrong = CdeField.create 3 [] (fun z -> z.unsqueeze(-1L).expand([| 2L; 4L; 2L |]))
            throws<ArgumentException> "[2, 4, 3]; it returned [2, 4, 2]" (fun () -> solve (rk Methods.Rk4) wrong)
            let narrow = CdeField.create 2 [] (fun z -> z.unsqueeze(-1L).expand([| 2L; 4L; 2L |]))
            throws<ArgumentException> "3 channels" (fun () -> solve (rk Methods.Rk4) narrow)
            let good = CdeField.create 3 [] (fun z -> z.unsqueeze(-1L).expand([| 2L; 4L; 3L |]))

            throws<ArgumentException> "dtype" (fun () ->
                TensorCde.solve (rk Methods.Rk4) good path (torch.ones ([| 2L; 4L |], dtype = torch.int64))
                |> ignore)

            throws<ArgumentException> "Float32" (fun () ->
                TensorCde.solve (rk Methods.Rk4) good path (start.``to`` torch.float32) |> ignore)

            throws<ArgumentException> "at least one step" (fun () ->
                solve { rk Methods.Rk4 with Steps = CdeSteps.PerPiece 0 } good)

            throws<ArgumentException> "outside of the path" (fun () ->
                solve { rk Methods.Rk4 with SaveAt = CdeSave.Times [| 2.0 |] } good)

            throws<ArgumentException> "not explicit" (fun () -> solve { rk Methods.Rk4 with Method = Bdf 5 } good)
            let increments = { CdeOptions.adaptive 1e-6 1e-6 with Form = CdeForm.Increments }
            throws<ArgumentException> "Step by rates" (fun () -> solve increments good)

        testCase "a tracked tensor that is no parameter"
        <| fun () ->
            use _ = torch.NewDisposeScope()
            let path = ControlPath.linear [| 0.0; 1.0 |] (random 41L [| 2L; 2L; 1L |])
            let w = torch.ones ([| 3L; 1L |], dtype = torch.float64, requires_grad = true)
            let field = CdeField.create 1 [] (fun z -> z.unsqueeze(-1L).mul w)
            let start = (random 42L [| 2L; 3L |]).requires_grad_ true

            throws<ArgumentException> "not among" (fun () ->
                TensorCde.solve (CdeOptions.create ()) field path start |> ignore)

        testCase "a state that blows up says where"
        <| fun () ->
            use _ = torch.NewDisposeScope()
            let values = Tensors.ofArray [| 0.0; 1.0; 2.0; 3.0 |] [| 4L; 1L |] torch.float64 torch.CPU
            let path = ControlPath.linear [| 0.0; 1.0; 2.0; 3.0 |] values

            let field =
                CdeField.create 1 [] (fun z -> z.pow(2.0.ToScalar()).mul(1e3.ToScalar()).exp().unsqueeze -1L)

            for options in [ rk Methods.Rk4; CdeOptions.adaptive 1e-6 1e-6 ] do
                let solution = TensorCde.solve options field path (torch.ones ([| 1L |], dtype = torch.float64))
                Expect.notEqual solution.Status Status.Success $"{options.Steps}"
                Expect.stringContains solution.Message "from" "says where"

        testCase "a batch of any shape, and a path without one"
        <| fun () ->
            use _ = torch.NewDisposeScope()
            let field = smooth 2
            let values = random 51L [| 2L; 3L; 5L; 2L |]
            let plain = { ControlOptions.create ControlScheme.Hermite with TimeChannel = false }
            let path = ControlPath.ofTensor plain values
            let start = random 52L [| 2L; 3L; 3L |]
            let whole = TensorCde.solve (rk Methods.Rk4) field path start
            let one = ControlPath.ofTensor plain values.[1L, 2L]
            let single = TensorCde.solve (rk Methods.Rk4) field one start.[1L, 2L]
            let gap = whole.Final.[1L, 2L].sub(single.Final).abs().max().ToDouble()
            Expect.isLessThan gap 1e-14 $"gap {gap}"
            let shared = TensorCde.solve (rk Methods.Rk4) field one start
            Expect.equal shared.Final.shape [| 2L; 3L; 3L |] "one path drives a batch of states"
            let gap = shared.Final.[1L, 2L].sub(single.Final).abs().max().ToDouble()
            Expect.isLessThan gap 1e-14 $"gap {gap}"

        testCase
            "batches that do not go together are errors of their own, on a field that was used before and in a later evaluation"
        <| fun () ->
            use _ = torch.NewDisposeScope()
            let plain = { ControlOptions.create ControlScheme.Hermite with TimeChannel = false }
            let path (n: int) = ControlPath.ofTensor plain (random 53L [| int64 n; 5L; 2L |])
            let field = smooth 2
            let start = random 54L [| 4L; 3L |]
            (TensorCde.solve (rk Methods.Rk4) field (path 4) start).EnsureSuccess() |> ignore
            let solve path start () = TensorCde.solve (rk Methods.Rk4) field path start |> ignore
            throws<ArgumentException> "the path a batch of [2]" (solve (path 2) start)
            throws<ArgumentException> "the path a batch of [4]" (solve (path 4) (random 54L [| 5L; 3L |]))
            let mutable calls = 0

            let changing =
                CdeField.create 2 [] (fun z ->
                    calls <- calls + 1
                    let n = if calls > 3 then 7L else z.shape[0]
                    torch.ones ([| n; 3L; 2L |], dtype = torch.float64))

            throws<ArgumentException> "[7, 3, 2]" (fun () ->
                TensorCde.solve (rk Methods.Rk4) changing (path 4) start |> ignore)

        testCase "a state without a batch is where all series start, with the sum of their gradients"
        <| fun () ->
            use _ = torch.NewDisposeScope()
            let plain = { ControlOptions.create ControlScheme.Hermite with TimeChannel = false }
            use path = ControlPath.ofTensor plain (random 55L [| 4L; 5L; 2L |])
            let field = smooth 2
            let start = random 56L [| 3L |]
            let many = start.expand([| 4L; 3L |]).clone()

            for way in [ Differentiation.Recorded; Differentiation.DiscreteDefault; Differentiation.ReversibleDefault ] do
                let gradient (start: Tensor) =
                    let leaf = start.detach().requires_grad_ true
                    let options = { rk Methods.Rk4 with Differentiation = way }
                    let final = (TensorCde.solve options field path leaf).EnsureSuccess().Final
                    struct (final, (Autograd.vjp [| final |] [| leaf |] [| torch.ones_like final |])[0])

                let struct (one, oneGradient) = gradient start
                let struct (all, allGradient) = gradient many
                Expect.equal (Tensors.toArray one) (Tensors.toArray all) "states"
                let gap = allGradient.sum(0L).sub(oneGradient).abs().max().ToDouble()
                Expect.isLessThan gap 1e-12 $"{way}: gap {gap}"

        testCase "solves leave nothing behind but their results"
        <| fun () ->
            let problem = problem ControlScheme.Hermite

            for way in
                [
                    Differentiation.None
                    Differentiation.Recorded
                    Differentiation.DiscreteDefault
                    Differentiation.Backsolve {
                        Rtol = nan
                        Atol = nan
                        Seminorm = true
                        OnDrift = Action<_, _>(fun _ _ -> ())
                    }
                    Differentiation.ReversibleDefault
                ] do
                for steps in [ CdeSteps.PerPiece 1; CdeSteps.Adaptive(1e-5, 1e-5) ] do
                    let options = {
                        CdeOptions.adaptive 1e-5 1e-5 with
                            Differentiation = way
                            Steps = steps
                            SaveAt = CdeSave.Observations
                    }

                    let once () =
                        use _ = torch.NewDisposeScope()
                        use path = ControlPath.create problem.Control problem.Series
                        use z = problem.Initial.detach().clone().requires_grad_ true
                        use solution = TensorCde.solve options problem.Field path z

                        if not way.IsNone then
                            use value = solution.States.sum ()
                            Autograd.backward value

                            for p in problem.Field.Parameters do
                                use g = p.grad
                                p.grad <- null

                            use g = z.grad
                            z.grad <- null

                    once ()
                    let before = Tensors.live ()
                    once ()
                    Expect.equal (Tensors.live ()) before $"live tensors, {options.Differentiation}, {steps}"

        testCase "as an ordinary equation"
        <| fun () ->
            use _ = torch.NewDisposeScope()
            let problem = problem ControlScheme.NaturalCubic
            use path = ControlPath.create problem.Control problem.Series
            let ode = TensorCde.asOde problem.Field path

            let options = {
                TensorOptions.create 1e-9 1e-9 with
                    Solve = { SolveOptions.create 1e-9 1e-9 with Jumps = path.Knots }
                    Differentiation = Differentiation.None
            }

            let one = (TensorOde.solve options ode path.Start path.End problem.Initial).EnsureSuccess().Final
            let other = (TensorCde.solve (CdeOptions.adaptive 1e-9 1e-9) problem.Field path problem.Initial).Final
            let gap = one.sub(other).abs().max().ToDouble()
            Expect.isLessThan gap 1e-7 $"gap {gap}"
    ]

let all = testList "CDE" [ convergence; invariance; misuse ]
