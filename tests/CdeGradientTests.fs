/// Differentiating solves of controlled differential equations, and solving along paths that are still observed.
module CdeGradientTests

open System
open CdeTests
open Continuum
open Continuum.Properties
open Expecto
open TorchSharp

let private ways (scheme: ControlScheme) =
    let problem () = problem scheme

    let options = {
        CdeOptions.create () with
            SaveAt = CdeSave.Observations
            Steps = CdeSteps.PerPiece 2
    }

    let way differentiation = { options with Differentiation = differentiation }
    let recorded = way Differentiation.Recorded

    testList $"{scheme}" [
        testCase "Recorded gives the limit of difference quotients"
        <| fun () -> holds (CdeLaws.gradientOfDifferences 1e-7 (problem ()) recorded)

        testCase "Discrete = Recorded, with few checkpoints too"
        <| fun () ->
            for discrete in
                [
                    { MaxCheckpoints = 0; GraphWindow = 8 }
                    { MaxCheckpoints = 0; GraphWindow = 1 }
                    { MaxCheckpoints = 2; GraphWindow = 1 }
                    { MaxCheckpoints = 0; GraphWindow = 3 }
                    { MaxCheckpoints = 0; GraphWindow = 1000 }
                ] do
                holds (CdeLaws.sameGradient 1e-11 (problem ()) (way (Differentiation.Discrete discrete)) recorded)

        testCase "increments: Discrete = Recorded = difference quotients"
        <| fun () ->
            let discrete = {
                way Differentiation.DiscreteDefault with
                    Form = CdeForm.Increments
                    Method = RungeKutta Methods.Heun
            }

            let recorded = { discrete with Differentiation = Differentiation.Recorded }
            holds (CdeLaws.sameGradient 1e-11 (problem ()) discrete recorded)
            holds (CdeLaws.gradientOfDifferences 1e-7 (problem ()) discrete)

        testCase "Backsolve agrees to its tolerance"
        <| fun () ->
            let fine = { way Differentiation.BacksolveDefault with Steps = CdeSteps.PerPiece 12 }
            let same = { fine with Differentiation = Differentiation.Recorded }
            holds (CdeLaws.sameGradient 1e-5 (problem ()) fine same)

            let adaptive = {
                CdeOptions.adaptive 1e-8 1e-8 with
                    Differentiation = Differentiation.BacksolveDefault
                    SaveAt = CdeSave.Observations
            }

            holds (CdeLaws.sameGradient 1e-5 (problem ()) adaptive same)

        testCase "Reversible = Recorded of the coupled method"
        <| fun () ->
            let reversible = way Differentiation.ReversibleDefault
            let coupled = { recorded with Method = Coupled(Methods.Rk4, 0.9) }
            holds (CdeLaws.sameGradient 1e-10 (problem ()) reversible coupled)
            let heun = { reversible with Method = ReversibleHeun }

            holds (
                CdeLaws.sameGradient 1e-10 (problem ()) heun { heun with Differentiation = Differentiation.Recorded }
            )

        testCase "adaptive: Discrete = Recorded"
        <| fun () ->
            let adaptive way = {
                CdeOptions.adaptive 1e-8 1e-8 with
                    Differentiation = way
                    SaveAt = CdeSave.Observations
            }

            let recorded = adaptive Differentiation.Recorded
            holds (CdeLaws.sameGradient 1e-10 (problem ()) (adaptive Differentiation.DiscreteDefault) recorded)
            let few = adaptive (Differentiation.Discrete { MaxCheckpoints = 2; GraphWindow = 1 })
            holds (CdeLaws.sameGradient 1e-10 (problem ()) few recorded)

            if scheme = ControlScheme.Hermite then
                let quick = {
                    CdeOptions.adaptive 1e-6 1e-6 with
                        Differentiation = Differentiation.Recorded
                }

                holds (CdeLaws.gradientOfDifferences 1e-3 (problem ()) quick)
    ]

let private gradients =
    testList "gradients" [
        yield! List.map ways schemes

        testCase "a field that uses the parameter, a fused product, and save times inside of pieces"
        <| fun () ->
            use _ = torch.NewDisposeScope()
            let problem = problem ControlScheme.Hermite
            let w = (random 31L [| 3L; 5L |]).requires_grad_ true
            let matrix (t: Tensor) (z: Tensor) = z.add(t.sin ()).tanh().unsqueeze(-1L).mul w
            let timed = CdeField.timed 5 [ w ] matrix
            let fused = timed.WithProduct(fun t z dx -> z.add(t.sin ()).tanh().mul(torch.matmul (dx, w.t ())))

            let options = {
                CdeOptions.create () with
                    SaveAt = CdeSave.Times [| 0.0; 0.3; 1.0; 2.5; 4.0 |]
                    Steps = CdeSteps.Fixed 0.4
            }

            let discrete = { problem with Field = fused }
            let plain = { problem with Field = timed }
            let recorded = { options with Differentiation = Differentiation.Recorded }

            let found =
                GradientLaws.relativeGap (CdeLaws.gradient options discrete) (CdeLaws.gradient recorded plain)

            Expect.isLessThan found 1e-12 $"gap {found}"
            let adaptive = { CdeOptions.adaptive 1e-10 1e-10 with SaveAt = options.SaveAt }
            let fine = { options with Steps = CdeSteps.Fixed 0.02 }
            holds (CdeLaws.sameGradient 1e-6 plain adaptive fine)

        testCase "second derivatives where Recorded"
        <| fun () ->
            use _ = torch.NewDisposeScope()
            let problem = problem ControlScheme.Hermite
            let options = { CdeOptions.create () with Differentiation = Differentiation.Recorded }
            use path = ControlPath.create problem.Control problem.Series
            let z = problem.Initial.detach().clone().requires_grad_ true
            let final = (TensorCde.solve options problem.Field path z).Final

            let g =
                (Autograd.vjpGraph [| final.pow(2.0.ToScalar()).sum() |] [| z |] [|
                    torch.ones ([||], dtype = torch.float64)
                |])[0]

            let v = torch.ones_like z
            let product = (Autograd.vjp [| g |] [| z |] [| v |])[0]

            let slope (shift: float) =
                let z = problem.Initial.detach().add(shift.ToScalar()).requires_grad_ true
                let final = (TensorCde.solve options problem.Field path z).Final

                (Autograd.vjp [| final.pow(2.0.ToScalar()).sum() |] [| z |] [|
                    torch.ones ([||], dtype = torch.float64)
                |])[0]

            let quotient = (slope 1e-5).sub(slope -1e-5).div(2e-5.ToScalar())
            let gap = product.sub(quotient).abs().max().ToDouble()
            Expect.isLessThan gap 1e-7 $"gap {gap}"
    ]

let private streams =
    testList "streams" [
        for scheme in [ ControlScheme.Rectilinear; ControlScheme.Hermite; ControlScheme.Linear ] do
            testCase $"{scheme}: pushed one by one as in one solve"
            <| fun () ->
                let series =
                    let values = random 37L [| 2L; 6L; 2L |]
                    let hidden = (random 38L [| 2L; 6L; 2L |]).gt(0.7.ToScalar())
                    let times = (random 39L [| 2L; 6L |]).abs().add(0.1.ToScalar()).cumsum 1L
                    SeriesBatch.ofTensors null times (values.masked_fill (hidden, nan.ToScalar())) null

                let initial (x: Tensor) = x.narrow(1L, 0L, 3L).tanh()

                let problem = {
                    Name = "random rows"
                    Field = smooth 4
                    Series = series
                    Control = {
                        ControlOptions.causal scheme with
                            Intensity = IntensityChannels.Chosen [| 1 |]
                            FirstSlope =
                                (if scheme = ControlScheme.Hermite then Tensors.vector [| 0.3; -0.2 |] else null)
                    }
                    Initial = null
                }

                holds (CdeLaws.streaming 1e-14 (rk Methods.Rk4) initial problem)
                holds (CdeLaws.streaming 1e-6 (CdeOptions.adaptive 1e-8 1e-8) initial problem)

        testCase "a restored stream goes on as the saved one, and nothing is left behind"
        <| fun () ->
            let initial (x: Tensor) = x.narrow(1L, 0L, 3L).tanh()
            // Counters, so that what was counted must be restored too.
            let control = {
                ControlOptions.causal ControlScheme.Hermite with
                    Intensity = IntensityChannels.Every
            }

            let field = smooth 5
            let make () = new CdeStream(field, control, rk Methods.Rk4, Func<_, _> initial, 1, 2)

            let rows =
                Array.init 20 (fun k -> [| sin (float k); (if k % 3 = 1 then nan else cos (2.0 * float k)) |])

            use stream = make ()

            for k in 0..9 do
                stream.Push(0.3 * float k, rows[k]) |> ignore

            use other = make ()
            other.Restore(stream.Save())
            let before = Tensors.live ()

            for k in 10..19 do
                let one = stream.Push(0.3 * float k, rows[k])
                let two = other.Push(0.3 * float k, rows[k])
                Expect.equal two one "the same bits"

            Expect.equal (Tensors.live ()) before "live tensors"
            Expect.equal stream.Observations 20 "observations"
            // Counters enter the states by their increments alone.
            Expect.equal (other.Save()) (stream.Save()) "all that they remember"

        testCase "what a stream refuses"
        <| fun () ->
            let initial (x: Tensor) = x.narrow (1L, 0L, 3L)

            let make control channels =
                new CdeStream(smooth 3, control, rk Methods.Rk4, Func<_, _> initial, 1, channels)

            throws<ArgumentException> "natural cubic" (fun () ->
                make (ControlOptions.create ControlScheme.NaturalCubic) 2 |> ignore)

            throws<ArgumentException> "causal" (fun () ->
                make (ControlOptions.create ControlScheme.Hermite) 2 |> ignore)

            throws<ArgumentException> "the field takes 3" (fun () ->
                make (ControlOptions.causal ControlScheme.Hermite) 5 |> ignore)

            use stream = make (ControlOptions.causal ControlScheme.Hermite) 2
            stream.Push(1.0, [| 0.0; 1.0 |]) |> ignore
            throws<ArgumentException> "times must increase" (fun () -> stream.Push(1.0, [| 0.0; 1.0 |]) |> ignore)

            throws<ArgumentException> "infinite value in channel 1" (fun () ->
                stream.Push(2.0, [| 0.0; infinity |]) |> ignore)

            throws<ArgumentException> "2 channels" (fun () -> stream.Push(2.0, [| 0.0 |]) |> ignore)
            Expect.equal stream.Observations 1 "a refused row leaves no trace"
    ]

let all = testList "CDE, gradients and streams" [ gradients; streams ]
