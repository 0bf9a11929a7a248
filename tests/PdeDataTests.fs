/// Equations with exact solutions, and all tests of generated data.
module PdeDataTests

open System
open Continuum
open Continuum.Properties
open Claims
open Expecto
open TorchSharp

let private gap (a: Tensor) (b: Tensor) = a.sub(b).abs().max().ToDouble()
let private f64 = torch.float64
let private wave = 2.0 * Math.PI

let private square n0 n1 = Discretisation.Uniform(Domain.Cube(2, 1.0, Boundary.Open), [| n0; n1 |])

let private states = [
    for b in [ Boundary.Periodic; Boundary.Dirichlet; Boundary.Neumann ] do
        for d in 1..3 -> Domain.Cube(d, 1.5, b)
]

let private exact =
    testList "PDE data: equations with exact solutions" [
        test "Poisson: closed forms, data satisfy the equation, one function on two grids" {
            use _ = torch.NewDisposeScope()
            let points = Discretisation.Uniform(Domain.Cube(2, 1.0, Boundary.Dirichlet), [| 9; 12 |])

            let u =
                FieldValues.ofFunction 1 f64 points (fun x -> [| sin (Math.PI * x[0]) * sin (2.0 * Math.PI * x[1]) |])

            let f = u.With(u.Values.mul (Tensors.scalar (5.0 * Math.PI * Math.PI)))
            Expect.isLessThan (gap (Poisson.solve f).Values u.Values) 1e-14 "sines"

            for domain in states do
                let state n = RandomState.On(domain, Array.create domain.Dimension n)

                let withMean () = Poisson.generate { state 9 with ZeroMean = false } (Generation.Create(1, 1))

                if domain[0].Boundary = Boundary.Dirichlet then
                    (withMean () :> IDisposable).Dispose()
                else
                    refuses "no solution" (fun () -> withMean () |> ignore)

                use data = Poisson.generate (state 9) (Generation.Create(2, 1))
                let r = Poisson.residual (data.Input "f") (snd data.Output)
                Expect.isLessThan (r.Values.abs().max().ToDouble()) 1e-11 $"residual, {domain}"
        }

        test "heat: closed form, semigroup, right-hand side" {
            use _ = torch.NewDisposeScope()
            let points = Discretisation.Uniform(Domain.Cube(1, 2.0, Boundary.Neumann), [| 16 |])
            let u = FieldValues.ofFunction 1 f64 points (fun x -> [| 0.5 + cos (1.5 * Math.PI * x[0]) |])
            let decay = exp (-2.25 * Math.PI * Math.PI * 0.1 * 0.7)

            let expected =
                FieldValues.ofFunction 1 f64 points (fun x -> [| 0.5 + decay * cos (1.5 * Math.PI * x[0]) |])

            Expect.isLessThan (gap (Heat.solve 0.1 0.7 u).Values expected.Values) 1e-14 "a cosine"

            for domain in states do
                let initial = RandomState.On(domain, Array.create domain.Dimension 9)
                let o = { HeatOptions.Default with Initial = initial; Times = [| 0.4; 1.0 |] }
                use data = Heat.generate o (Generation.Create(2, 3))
                let u0, u = data.Input "u0", (snd data.Output).Values
                let frame (i: int64) = u0.With(u.narrow (1L, i, 1L))
                Expect.isLessThan (gap (Heat.solve 0.01 0.4 u0).Values (frame 0L).Values) 1e-13 $"first frame, {domain}"

                Expect.isLessThan
                    (gap (Heat.solve 0.01 0.6 (frame 0L)).Values (frame 1L).Values)
                    1e-13
                    $"on from there, {domain}"

                allHold [
                    PdeLaws.slopeOfFlow
                        $"heat on {domain}"
                        (fun t -> (Heat.solve 0.01 t u0).Values)
                        (Heat.rightHandSide 0.01 u0).Values
                ]
        }

        test "advection: norm kept, the identity after one period, right-hand side" {
            use _ = torch.NewDisposeScope()
            let domain = Domain([| Axis.Periodic 1.0; Axis.Periodic 2.0 |])

            let o = {
                Initial = RandomState.On(domain, [| 16; 15 |])
                Velocity = [| 1.0; -2.0 |]
                Times = [| 0.37; 1.0 |]
            }

            use data = Advection.generate o (Generation.Create(2, 3))
            let u0, u = data.Input "u0", (snd data.Output).Values
            Expect.isLessThan (gap (u.narrow (1L, 1L, 1L)) u0.Values) 1e-14 "one period"
            let moved = u0.With(u.narrow (1L, 0L, 1L))
            Expect.isLessThan (gap (FieldValues.norm moved) (FieldValues.norm u0)) 1e-14 "norm"
            let points = Discretisation.Uniform(Domain.Torus 1, [| 11 |])
            let at t = FieldValues.ofFunction 1 f64 points (fun x -> [| sin (wave * (x[0] - t)) |])
            Expect.isLessThan (gap (Advection.solve [| 1.0 |] 0.23 (at 0.0)).Values (at 0.23).Values) 1e-14 "a sine"

            allHold [
                PdeLaws.slopeOfFlow
                    "advection"
                    (fun t -> (Advection.solve o.Velocity t u0).Values)
                    (Advection.rightHandSide o.Velocity u0).Values
            ]

            refuses "periodic" (fun () ->
                Advection.solve [| 1.0; 1.0 |] 0.1 (FieldValues.ofFunction 1 f64 (square 6 6) (fun _ -> [| 0.0 |]))
                |> ignore)
        }

        test "waves: closed form, energy kept, there and back" {
            use _ = torch.NewDisposeScope()
            let points = Discretisation.Uniform(Domain.Cube(1, 1.0, Boundary.Dirichlet), [| 17 |])

            let at t =
                FieldValues.ofFunction 1 f64 points (fun x -> [|
                    sin (2.0 * Math.PI * x[0]) * cos (6.0 * Math.PI * t)
                    -6.0 * Math.PI * sin (2.0 * Math.PI * x[0]) * sin (6.0 * Math.PI * t)
                |])

            Expect.isLessThan (gap (Wave.solve 3.0 0.21 (at 0.0)).Values (at 0.21).Values) 1e-13 "a standing wave"

            for domain in states do
                let initial = {
                    RandomState.On(domain, Array.create domain.Dimension 9) with
                        ZeroMean = false
                }

                let o = {
                    Initial = initial
                    Speed = 1.5
                    RandomVelocity = true
                    Times = [| 0.2; 0.7 |]
                }

                use data = Wave.generate o (Generation.Create(2, 3))

                let start =
                    (data.Input "u0").With(torch.cat ([| (data.Input "u0").Values; (data.Input "v0").Values |], 1L))

                let frame (i: int64) = start.With((snd data.Output).Values.narrow(1L, 2L * i, 2L))
                Expect.isLessThan (gap (Wave.energy 1.5 (frame 1L)) (Wave.energy 1.5 start)) 1e-11 $"energy, {domain}"

                Expect.isLessThan
                    (gap (Wave.solve 1.5 0.5 (frame 0L)).Values (frame 1L).Values)
                    1e-12
                    $"frames, {domain}"

                Expect.isLessThan (gap (Wave.solve 1.5 -0.7 (frame 1L)).Values start.Values) 1e-12 $"back, {domain}"

                allHold [
                    PdeLaws.slopeOfFlow
                        $"waves on {domain}"
                        (fun t -> (Wave.solve 1.5 t start).Values)
                        (Wave.rightHandSide 1.5 start).Values
                ]
        }

        test "the same sample at points that two grids share, for band-limited states" {
            use _ = torch.NewDisposeScope()

            for domain, coarse, fine in [ Domain.Torus 2, 12, 24; Domain.Cube(2, 1.0, Boundary.Dirichlet), 13, 25 ] do
                let sample n =
                    let state = RandomState.On(domain, [| n; n |])
                    let law = { state.Law with Modes = [| 9; 9 |] }
                    GaussianField.sample law state.Points (Generation.Create(2, 8))

                let run n = Heat.solve 0.02 0.5 (sample n)
                allHold [ PdeLaws.sameAtSharedPoints $"heat on {domain}" (run coarse) (run fine) 2 ]
        }
    ]

let tests =
    testList "PDE data" [
        RandomFieldTests.series
        RandomFieldTests.gaussian
        DarcyTests.darcy
        FlowTests.burgers
        FlowTests.flow
        exact
    ]
