/// Burgers' equation and flow in two dimensions.
module FlowTests

open System
open Continuum
open Continuum.Properties
open Claims
open Expecto
open TorchSharp

let private gap (a: Tensor) (b: Tensor) = a.sub(b).abs().max().ToDouble()
let private f64 = torch.float64
let private torus n = Discretisation.Uniform(Domain.Torus 2, [| n; n |])
let private wave = 2.0 * Math.PI

let burgers =
    testList "PDE data: Burgers' equation" [
        test "the solution of Cole and Hopf, at order 4 in time" {
            use _ = torch.NewDisposeScope()
            let nu, t = 0.1, 0.3
            let points = Discretisation.Uniform(Domain.Torus 1, [| 64 |])
            let u0 = FieldValues.ofFunction 1 f64 points (fun x -> [| sin (wave * x[0]) |])
            // phi = exp(-int u / 2 nu) solves the heat equation, u = -2 nu phi_x / phi.
            let phi =
                FieldValues.ofFunction 1 f64 points (fun x -> [| exp (cos (wave * x[0]) / (4.0 * Math.PI * nu)) |])

            let later = Heat.solve nu t phi
            let slope = Advection.rightHandSide [| -1.0 |] later
            let exact = slope.Values.div(later.Values).mul(Tensors.scalar (-2.0 * nu))
            let error h = gap (Burgers.solve nu h [| t |] u0).Values exact
            Expect.isLessThan (error 0.005) 1e-8 "at steps of 0.005"
            Expect.floatClose { absolute = 0.2; relative = 0.0 } (Math.Log2(error 0.02 / error 0.01)) 4.0 "order"
        }

        test "data: several times, mean kept, right-hand side" {
            use _ = torch.NewDisposeScope()

            let o = {
                BurgersOptions.Default with
                    Grid = 32
                    SolveGrid = 64
                    Times = [| 0.25; 0.5; 1.0 |]
            }

            let before = Tensors.live ()
            use data = Burgers.generate o (Generation.Create(5, 7))
            Expect.equal (Tensors.live ()) (before + 2L) "two tensors"
            let u0, u = (data.Input "u0").Values, (snd data.Output).Values
            Expect.equal u.shape [| 5L; 3L; 32L |] "frames"
            Expect.sequenceEqual data.Times o.Times "times"

            let alone =
                Burgers.generate { o with Times = [| 0.5 |] } { Generation.Create(2, 7) with First = 3; Batch = 1 }

            Expect.isLessThan
                (gap (u.narrow(0L, 3L, 2L).narrow(1L, 1L, 1L)) (snd alone.Output).Values)
                1e-9
                "one frame of two samples"

            use same = Burgers.generate o { Generation.Create(2, 7) with First = 3; Batch = 1 }
            Expect.equal (gap (u.narrow (0L, 3L, 2L)) (snd same.Output).Values) 0.0 "the same samples, to the bit"
            Expect.isLessThan (gap (u.mean [| 2L |]) (u0.mean([| 2L |]).expand([| 5L; 3L |]))) 1e-7 "mean"

            let points = Discretisation.Uniform(Domain.Torus 1, [| 48 |])

            let field =
                FieldValues.ofFunction 1 f64 points (fun x -> [|
                    0.3 + cos (wave * x[0]) + 0.5 * sin (wave * 2.0 * x[0])
                |])

            let flow t = (Burgers.solve 0.02 1e-4 [| t |] field).Values
            allHold [ PdeLaws.slopeOfFlow "Burgers' right-hand side" flow (Burgers.rightHandSide 0.02 field).Values ]
        }

        test "a step too long is an error that says so, and cancellation ends a solve" {
            let o = {
                BurgersOptions.Default with
                    Grid = 64
                    Viscosity = 1e-5
                    Sigma = 2500.0
                    Step = 0.5
            }

            try
                Burgers.generate o (Generation.Create(2, 0)) |> ignore
                failtest "expected an error"
            with :? ArithmeticException as error ->
                Expect.stringContains error.Message "shorten the step" "message"

            refuses "positive and finite" (fun () ->
                Burgers.generate { o with Viscosity = 0.0 } (Generation.Create(1, 0)) |> ignore)

            refuses "must be a multiple" (fun () ->
                Burgers.generate { o with SolveGrid = 100 } (Generation.Create(1, 0)) |> ignore)

            use source = new Threading.CancellationTokenSource()
            source.Cancel()
            let g = { Generation.Create(1, 0) with Cancellation = source.Token }

            Expect.throwsT<OperationCanceledException>
                (fun () -> Burgers.generate BurgersOptions.Default g |> ignore)
                "cancelled"
        }
    ]

/// Vorticities of order ten on the unit torus.
let private vorticity n =
    let law = {
        GaussianField.create (Domain.Torus 2) (Math.Pow(7.0, 1.5)) 7.0 2.5 with
            Modes = [| 9; 9 |]
    }

    let values = (GaussianField.sample law (torus n) (Generation.Create(2, 1)))
    values.With(values.Values.mul (Tensors.scalar 30.0))

let private streamFunction (w: Field) : Field = Poisson.solve w

let private free = {
    NavierStokesOptions.Default with
        Forcing = VorticityForcing.None
        InputTimes = [| 0.0 |]
}

let flow =
    testList "PDE data: flow in two dimensions" [
        test "the vortices of Taylor and Green decay exactly" {
            use _ = torch.NewDisposeScope()
            let w = FieldValues.ofFunction 1 f64 (torus 16) (fun x -> [| sin (wave * x[0]) * sin (wave * x[1]) |])
            let o = { free with Viscosity = 0.01; Times = [| 0.5; 1.0 |]; Step = 0.1 }
            let later = (NavierStokes.solve o w).Values
            let decay t = w.Values.mul (Tensors.scalar (exp (-2.0 * wave * wave * 0.01 * t)))
            Expect.isLessThan (gap (later.narrow (1L, 0L, 1L)) (decay 0.5)) 1e-13 "t = 0.5"
            Expect.isLessThan (gap (later.narrow (1L, 1L, 1L)) (decay 1.0)) 1e-13 "t = 1"
        }

        test "transport keeps energy and enstrophy; with viscosity, drag and forcing they balance" {
            use _ = torch.NewDisposeScope()

            for n in [ 24; 27; 32 ] do
                let w = vorticity n
                let inviscid = NavierStokes.rightHandSide 0.0 0.0 null
                let force = NavierStokes.forcing { free with Forcing = VorticityForcing.Diagonal } (torus n)
                let full = NavierStokes.rightHandSide 1e-3 0.1 (force.unsqueeze 0L)

                let enstrophyRate (w: Field) =
                    // -nu |grad w|^2 - drag |w|^2 + (f, w)
                    let curved = (FieldValues.inner w (AxisSeries.laplacian w)).mul(Tensors.scalar 1e-3)
                    let forced = FieldValues.inner w (w.With(force.expand(w.Values.shape).contiguous()))
                    curved.sub((FieldValues.inner w w).mul(Tensors.scalar 0.1)).add forced

                let energyRate (w: Field) =
                    let psi = streamFunction w
                    let viscous = (FieldValues.inner w w).mul(Tensors.scalar -1e-3)
                    let forced = FieldValues.inner psi (w.With(force.expand(w.Values.shape).contiguous()))
                    viscous.sub((FieldValues.inner psi w).mul(Tensors.scalar 0.1)).add forced

                allHold [
                    PdeLaws.conserves "enstrophy" (fun w -> w.With(w.Values.alias ())) inviscid w
                    PdeLaws.conserves "energy" streamFunction inviscid w
                    PdeLaws.balances "enstrophy" (fun w -> w.With(w.Values.alias ())) enstrophyRate full w
                    PdeLaws.balances "energy" streamFunction energyRate full w
                ]
        }

        test "velocity is free of divergence and its curl is the vorticity" {
            use _ = torch.NewDisposeScope()
            let w = vorticity 24
            let u = NavierStokes.velocity w
            let channel (i: int64) = u.With(u.Values.narrow (1L, i, 1L))
            // Advection's right-hand side with velocity -e is the derivative along e.
            let along e i = (Advection.rightHandSide e (channel i)).Values
            let size = w.Values.abs().max().ToDouble()
            let divergence = (along [| -1.0; 0.0 |] 0L).add(along [| 0.0; -1.0 |] 1L)
            Expect.isLessThan (divergence.abs().max().ToDouble()) (1e-12 * size) "divergence"
            let curl = (along [| -1.0; 0.0 |] 1L).sub(along [| 0.0; -1.0 |] 0L)
            Expect.isLessThan (gap curl w.Values) (1e-12 * size) "curl"
        }

        test "order 4 in time with both methods, the flow's slope is the right-hand side, the mean stays zero" {
            use _ = torch.NewDisposeScope()
            let w = vorticity 24
            let o = { free with Forcing = VorticityForcing.Diagonal; Times = [| 0.16 |] }

            for method in [ IntegratingFactorRk4; Etdrk4 ] do
                let solve h = (NavierStokes.solve { o with Method = method; Step = h } w).Values
                allHold [ PdeLaws.temporalOrder $"{method}" 4.0 [| 0.01; 0.005 |] solve ]
                Expect.isLessThan (solve(0.02).mean([| 2L; 3L |]).abs().max().ToDouble()) 1e-13 "mean vorticity"

            let force = (NavierStokes.forcing o (torus 24)).unsqueeze 0L
            let flow t = (NavierStokes.solve { o with Times = [| t |]; Step = 1e-3 } w).Values

            allHold [
                PdeLaws.slopeOfFlow "the vorticity equation" flow (NavierStokes.rightHandSide 1e-3 0.0 force w).Values
            ]
        }

        test "data: frames in and out, Kolmogorov flow, forcing to vorticity" {
            use _ = torch.NewDisposeScope()

            let o = {
                NavierStokesOptions.Default with
                    Grid = 12
                    SolveGrid = 24
                    InputTimes = [| 0.0; 0.1 |]
                    Times = [| 0.1; 0.2; 0.3 |]
            }

            let before = Tensors.live ()
            use data = NavierStokes.generate o (Generation.Create(3, 1))
            Expect.equal (Tensors.live ()) (before + 2L) "two tensors"
            let input, output = (data.Input "w").Values, (snd data.Output).Values
            Expect.equal input.shape [| 3L; 2L; 12L; 12L |] "input frames"
            Expect.equal output.shape [| 3L; 3L; 12L; 12L |] "output frames"
            Expect.equal (gap (input.select (1L, 1L)) (output.select (1L, 0L))) 0.0 "a time in both"
            use part = NavierStokes.generate o { Generation.Create(1, 1) with First = 2 }
            Expect.equal (gap (output.narrow (0L, 2L, 1L)) (snd part.Output).Values) 0.0 "sample 2 alone, to the bit"

            // The laminar flow of Kolmogorov forcing is steady: w = -k cos(k y) / (nu k^2).
            let k = {
                NavierStokesOptions.Kolmogorov with
                    Grid = 16
                    SpinUp = 0.0
                    Times = [| 0.5 |]
                    Viscosity = 1.0
            }

            let points = Discretisation.Uniform(Domain.Cube(2, wave, Boundary.Periodic), [| 16; 16 |])
            let laminar = FieldValues.ofFunction 1 f64 points (fun x -> [| -0.25 * cos (4.0 * x[1]) |])

            Expect.isLessThan
                (gap (NavierStokes.solve { k with Method = Etdrk4 } laminar).Values laminar.Values)
                1e-13
                "laminar flow"

            use spun = NavierStokes.generate { k with SpinUp = 0.2 } (Generation.Create(1, 0))
            use still = NavierStokes.generate { k with InputTimes = [| 0.2 |] } (Generation.Create(1, 0))
            Expect.isLessThan (gap (spun.Input "w").Values (still.Input "w").Values) 1e-12 "spin-up"

            // From rest, w = t f to first order.
            let f = {
                NavierStokesOptions.ForcingToVorticity with
                    Grid = 16
                    Times = [| 1e-4 |]
                    Step = 1e-5
            }

            use data = NavierStokes.generate f (Generation.Create(2, 0))
            let force, w = (data.Input "f").Values, (snd data.Output).Values

            Expect.isLessThan
                (gap (w.div (Tensors.scalar 1e-4)) force)
                (1e-3 * force.abs().max().ToDouble())
                "from rest"
        }

        test "what it refuses" {
            let make o () = NavierStokes.generate o (Generation.Create(1, 0)) |> ignore
            refuses "must be a multiple" (make { free with SolveGrid = 100 })
            refuses "rise" (make { free with Times = [| 2.0; 1.0 |] })
            refuses "wave 40" (make { NavierStokesOptions.Kolmogorov with ForcingWave = 40 })

            refuses "torus of length 1" (fun () ->
                let points = Discretisation.Uniform(Domain.Cube(2, 2.0, Boundary.Periodic), [| 8; 8 |])
                NavierStokes.solve free (FieldValues.ofFunction 1 f64 points (fun _ -> [| 0.0 |])) |> ignore)
        }
    ]
