/// Generators of data for partial differential equations: fields, solvers and right-hand sides against closed forms.
module PdeDataTests

open System
open Continuum
open Continuum.Properties
open Expecto
open TorchSharp

let private holds (results: LawResult seq) =
    let failed = results |> Seq.filter (fun r -> not r.Holds) |> Seq.map string |> String.concat "\n"
    Expect.equal failed "" "laws"

let private message (part: string) (action: unit -> unit) =
    try
        action ()
        failtest $"expected an error that says '{part}'"
    with :? ArgumentException as error ->
        Expect.stringContains error.Message part "the message"

let private gap (a: Tensor) (b: Tensor) = a.sub(b).abs().max().ToDouble()
let private f64 = torch.float64
let private torus n = Discretisation.Uniform(Domain.Torus 2, [| n; n |])
let private wave = 2.0 * Math.PI

let private layouts = [
    Boundary.Periodic, PointLayout.Periodic
    Boundary.Periodic, PointLayout.Cells
    Boundary.Dirichlet, PointLayout.Nodes
    Boundary.Dirichlet, PointLayout.Interior
    Boundary.Dirichlet, PointLayout.Cells
    Boundary.Neumann, PointLayout.Nodes
    Boundary.Neumann, PointLayout.Cells
]

let private series =
    testList "PDE data: series of an axis" [
        test "synthesis gives the values of the functions, analysis gives the coefficients back" {
            use _ = torch.NewDisposeScope()
            use generator = new torch.Generator(3UL)

            for boundary, layout in layouts do
                for n in [ 6; 7; 32 ] do
                    let axis = Axis(0.3, 2.5, boundary)
                    let points = AxisPoints.Uniform(axis, n, layout)
                    let m = AxisSeries.count points
                    let c = torch.randn ([| 2L; int64 m; 3L |], dtype = Nullable f64, generator = generator)
                    let values = AxisSeries.synthesis points 1 c

                    let basis = [|
                        for j in 0 .. m - 1 do
                            for x in points.Coordinates -> AxisSeries.value axis j x
                    |]

                    let basis = Tensors.ofArray basis [| int64 m; int64 n |] f64 torch.CPU
                    let direct = torch.einsum ("bjc,jx->bxc", c, basis)
                    Expect.isLessThan (gap values direct) 1e-12 $"values, {points}"
                    Expect.isLessThan (gap (AxisSeries.analysis points 0 1 values) c) 1e-13 $"coefficients, {points}"

                    // Irregular points take the product with the functions.
                    let irregular = AxisPoints.At(axis, points.Coordinates)
                    Expect.isLessThan (gap (AxisSeries.synthesis irregular 1 c) direct) 1e-12 $"irregular, {points}"
        }

        test "what it refuses" {
            let c = torch.ones ([| 1L; 4L |], dtype = f64)
            let points axis = AxisPoints.Uniform(axis, 8)
            message "is open" (fun () -> AxisSeries.count (points (Axis.Open 1.0)) |> ignore)
            message "odd number" (fun () -> AxisSeries.synthesis (points (Axis.Periodic 1.0)) 1 c |> ignore)
            message "hold 6 functions" (fun () -> AxisSeries.analysis (points (Axis.Dirichlet 1.0)) 7 1 c |> ignore)
        }
    ]

let private boxes = [
    Domain.Torus 1
    Domain.Cube(2, 1.5, Boundary.Neumann)
    Domain([| Axis.Periodic 2.0; Axis.Dirichlet 1.0 |])
    Domain([| Axis.Periodic 1.0; Axis.Dirichlet 1.0; Axis.Neumann 1.5 |])
]

let private gaussian =
    testList "PDE data: Gaussian fields" [
        test "variances and covariances are those of the closed form" {
            for domain in boxes do
                use _ = torch.NewDisposeScope()
                let law = { GaussianField.create domain 2.0 3.0 2.0 with ZeroMean = false }
                let points = Discretisation.Uniform(domain, Array.create domain.Dimension 8)
                let samples = 2000
                let values = GaussianField.values law 11 0 0 samples points
                let flat = values.reshape ([| int64 samples; -1L |])
                let modes = GaussianField.modesOn law points
                let x = points.Coordinates(f64, torch.CPU).reshape([| int64 domain.Dimension; -1L |])
                let n = int x.shape[1]
                let at (p: int) = x.select (1L, int64 p) |> Tensors.toArray
                let column (p: int) = flat.select (1L, int64 p)

                for p, q in [ n / 3, n / 3; n / 2 + 3, n / 2 + 3; n / 3, n / 3 + 1; n / 3, n - 2 ] do
                    let exact = GaussianField.covariance law modes (at p) (at q)
                    let products = (column p).mul(column q)
                    let mean = products.mean().ToDouble()
                    let error = products.std().ToDouble() / sqrt (float samples)

                    Expect.isLessThan
                        (abs (mean - exact))
                        (4.5 * error + 1e-12)
                        $"{domain}, points {p} and {q}: {mean}, exact {exact}"
        }

        test "a sample is one function: a finer grid keeps its coefficients and adds further ones" {
            for domain in boxes do
                use _ = torch.NewDisposeScope()
                let law = GaussianField.create domain 2.0 3.0 2.5
                let grid n = Discretisation.Uniform(domain, Array.create domain.Dimension n)
                let coarse, fine = grid 7, grid 13
                let band = GaussianField.modesOn law coarse
                let series points = GaussianField.coefficients law 5 0 3 2 (GaussianField.modesOn law points)
                let mutable kept = series fine

                for axis in 0 .. domain.Dimension - 1 do
                    kept <- kept.narrow (int64 (axis + 1), 0L, int64 band[axis])

                Expect.equal (gap kept (series coarse)) 0.0 $"{domain}: the coarse band, to the bit"
                let limited = { law with Modes = band }
                let sample points = GaussianField.sample limited points { Generation.Create(2, 5) with First = 3 }
                let there = (sample fine).Values
                let expected = AxisSeries.synthesisBox fine (AxisSeries.analysisBox coarse (sample coarse).Values)
                Expect.isLessThan (gap there expected) 1e-13 $"{domain}: the band-limited function"
        }

        test "sample i depends on the seed and on i alone; seeds differ" {
            use _ = torch.NewDisposeScope()
            let domain = Domain.Torus 2
            let law = GaussianField.create domain 7.0 7.0 2.5
            let make g = (GaussianField.sample law (torus 16) g).Values
            let all = make (Generation.Create(9, 4))
            let part = make { Generation.Create(3, 4) with First = 5; Batch = 2 }
            Expect.equal (gap (all.narrow (0L, 5L, 3L)) part) 0.0 "samples 5 to 7"
            Expect.isGreaterThan (gap all (make (Generation.Create(9, 5)))) 0.01 "another seed"
        }

        test "Matern's field has the stated variance and correlation on a large box" {
            let domain = Domain.Cube(2, 10.0, Boundary.Periodic)
            let law = GaussianField.matern domain 1.5 0.5 2.0
            let modes = [| 201; 201 |]
            let at r = GaussianField.covariance law modes [| 5.0; 5.0 |] [| 5.0 + r; 5.0 |]
            Expect.floatClose { absolute = 5e-3; relative = 0.0 } (at 0.0) 2.0 "variance"
            // nu = 3/2: (1 + s) exp(-s), s = sqrt 3 r / length.
            let s = sqrt 3.0 * 0.4 / 0.5
            Expect.floatClose { absolute = 5e-3; relative = 0.0 } (at 0.4) (2.0 * (1.0 + s) * exp -s) "at 0.4"
        }

        test "what it refuses" {
            let law = GaussianField.create (Domain.Torus 1) 1.0 0.0 2.0
            let points = Discretisation.Uniform(Domain.Torus 1, [| 8 |])
            let sample law points () = GaussianField.sample law points (Generation.Create(1, 0)) |> ignore
            message "tau = 0" (sample { law with ZeroMean = false } points)
            message "lives on" (sample law (torus 8))
            message "sigma > 0" (sample { law with Sigma = -1.0 } points)
            message "at least one" (fun () -> GaussianField.sample law points (Generation.Create(0, 0)) |> ignore)
        }
    ]

let private square n0 n1 = Discretisation.Uniform(Domain.Cube(2, 1.0, Boundary.Open), [| n0; n1 |])

let private manufactured n0 n1 =
    let points = square n0 n1
    let s (x: float) = sin (Math.PI * x)
    let c (x: float) = cos (Math.PI * x)
    let a = FieldValues.ofFunction 1 f64 points (fun x -> [| 1.0 + 0.5 * x[0] * x[1] |])
    let u = FieldValues.ofFunction 1 f64 points (fun x -> [| s x[0] * s x[1] |])

    let f =
        FieldValues.ofFunction 1 f64 points (fun x -> [|
            2.0 * Math.PI * Math.PI * s x[0] * s x[1] * (1.0 + 0.5 * x[0] * x[1])
            - 0.5 * Math.PI * (x[1] * c x[0] * s x[1] + x[0] * s x[0] * c x[1])
        |])

    struct (a, u, f)

let private darcy =
    testList "PDE data: Darcy flow" [
        test "a smooth solution is met at order 2, also on grids of odd and unlike sizes" {
            use _ = torch.NewDisposeScope()

            let error n =
                let struct (a, u, f) = manufactured n (n + 3)
                gap (Darcy.solve a f).Values u.Values

            let coarse, fine = error 30, error 59

            Expect.floatClose
                { absolute = 0.1; relative = 0.0 }
                (Math.Log2(coarse / fine))
                2.0
                $"errors {coarse}, {fine}"
        }

        test "layers: the flux through them is exact" {
            use _ = torch.NewDisposeScope()
            // A long strip with a load on one line across it: far from the ends of the strip the solution depends on x alone, and the value at the
            // load is that of two resistances in parallel.
            let domain = Domain([| Axis.Open 1.0; Axis.Open 40.0 |])
            let points = Discretisation.Uniform(domain, [| 33; 65 |])
            let h, loaded, jump = 1.0 / 32.0, 20, 15.5 / 32.0
            let a = FieldValues.ofFunction 1 f64 points (fun x -> [| if x[0] < jump then 12.0 else 3.0 |])

            let load =
                FieldValues.ofFunction 1 f64 points (fun x -> [|
                    if abs (x[0] - float loaded * h) < 1e-9 then 1.0 else 0.0
                |])

            let u = (Darcy.solve a load).Values.select(3L, 32L) |> Tensors.toArray
            let below = jump / 12.0 + (float loaded * h - jump) / 3.0
            let above = (1.0 - float loaded * h) / 3.0

            Expect.floatClose
                { absolute = 0.0; relative = 1e-8 }
                u[loaded]
                (h / (1.0 / below + 1.0 / above))
                "at the load"

            Expect.floatClose
                { absolute = 0.0; relative = 1e-8 }
                u[8]
                (u[loaded] * (0.25 / 12.0) / below)
                "in the other layer"
        }

        test "symmetric coefficients give symmetric pressures" {
            use _ = torch.NewDisposeScope()
            let points = square 30 30
            let disc (x: float[]) = (x[0] - 0.5) ** 2.0 + (x[1] - 0.5) ** 2.0 < 0.08
            let a = FieldValues.ofFunction 1 f64 points (fun x -> [| if disc x then 12.0 else 3.0 |])
            let f = FieldValues.ofFunction 1 f64 points (fun _ -> [| 1.0 |])
            let u = (Darcy.solve a f).Values
            let size = u.max().ToDouble()
            Expect.isLessThan (gap u (u.transpose (2L, 3L))) (1e-9 * size) "x and y"
            Expect.isLessThan (gap u (u.flip [| 2L |])) (1e-9 * size) "x and 1 - x"
            Expect.isGreaterThan (u.narrow(2L, 1L, 28L).narrow(3L, 1L, 28L).min().ToDouble()) 0.0 "positive inside"
        }

        test "data satisfy the discrete equation, whose residual is differentiable" {
            use _ = torch.NewDisposeScope()

            for kind in [ DarcyCoefficient.Piecewise; DarcyCoefficient.Lognormal ] do
                let o = { DarcyOptions.Default with Grid = 44; FineGrid = 0; Coefficient = kind }
                use data = Darcy.generate o (Generation.Create(3, 2))
                let r = Darcy.residual 1.0 (data.Input "a") (snd data.Output)
                Expect.isLessThan (r.Values.abs().max().ToDouble()) 1e-7 "residual of the data, f = 1"

            let o = { DarcyOptions.Default with Grid = 7; FineGrid = 0 }
            use data = Darcy.generate o (Generation.Create(1, 2))
            let a, u = data.Input "a", snd data.Output
            let leaf = u.Values.detach().requires_grad_ true
            let loss (x: Tensor) = (Darcy.residual 1.5 a (u.With x)).Values.square().sum()
            let slope = (Autograd.vjp [| loss leaf |] [| leaf |] [| torch.ones ([||], dtype = f64) |])[0]
            let direction = torch.arange(49L, dtype = f64).cos().reshape(u.Values.shape)
            let step = Tensors.scalar 1e-6
            let there (sign: float) = (loss (u.Values.add (direction.mul(step).mul(Tensors.scalar sign)))).ToDouble()
            let expected = (there 1.0 - there -1.0) / 2e-6

            Expect.floatClose
                { absolute = 0.0; relative = 1e-6 }
                (slope.mul(direction).sum().ToDouble())
                expected
                "gradient"
        }

        test "the published scheme: splines between cell centres and nodes, arithmetic means" {
            use _ = torch.NewDisposeScope()
            // A cubic is its own spline, also outside of the knots.
            let cubic x = x * x * x - 2.0 * x * x + 1.0
            let at = [| -0.5; 0.3; 4.7; 8.5 |]
            let spline = NotAKnotSpline.values (Array.init 9 (fun j -> cubic (float j))) at
            Array.iter2 (fun (v: float) x -> Expect.floatClose Accuracy.high v (cubic x) $"spline at {x}") spline at
            // Smooth coefficients: both schemes go to the same solution.
            let o scheme n = {
                DarcyOptions.Default with
                    Grid = n
                    FineGrid = 0
                    Scheme = scheme
                    Coefficient = DarcyCoefficient.Lognormal
                    Alpha = 6.0
            }

            let mean scheme n =
                (snd (Darcy.generate (o scheme n) (Generation.Create(1, 3))).Output).Values.max().ToDouble()

            let difference n = abs (mean DarcyScheme.Literature n / mean DarcyScheme.Harmonic n - 1.0)
            Expect.isLessThan (difference 61) 3e-3 "largest pressure on 61 points"
        }

        test "every fifth point of a finer solution; no tensor left behind; cancellation" {
            use scope = torch.NewDisposeScope()
            let fine = { DarcyOptions.Default with Grid = 31; FineGrid = 0 }
            let before = Tensors.live ()
            let coarse = Darcy.generate { fine with Grid = 7; FineGrid = 31 } (Generation.Create(2, 0))
            Expect.equal (Tensors.live ()) (before + 2L) "a and u"
            let whole = Darcy.generate fine (Generation.Create(2, 0))
            let thin = whole.Stride [| 5; 5 |]
            Expect.equal (gap (snd thin.Output).Values (snd coarse.Output).Values) 0.0 "u"
            Expect.equal (gap (thin.Input "a").Values (coarse.Input "a").Values) 0.0 "a"
            let both = (coarse.Input "a").Values

            Expect.isTrue
                (both.eq(Tensors.scalar 12.0).logical_or(both.eq (Tensors.scalar 3.0)).all().ToBoolean())
                "two values"

            use source = new Threading.CancellationTokenSource()
            let seen = Collections.Generic.List<int>()

            let g = {
                Generation.Create(6, 0) with
                    Batch = 2
                    Cancellation = source.Token
                    Progress =
                        Action<int, int>(fun samples all ->
                            seen.Add samples
                            Expect.equal all 6 "all"

                            if samples = 4 then
                                source.Cancel())
            }

            Expect.throwsT<OperationCanceledException>
                (fun () -> Darcy.generate { fine with Grid = 9 } g |> ignore)
                "cancelled"

            Expect.sequenceEqual seen [ 2; 4 ] "progress until then"
            ignore scope
        }

        test "what it refuses" {
            let make o () = Darcy.generate o (Generation.Create(1, 0)) |> ignore
            message "multiple of 84" (make { DarcyOptions.Default with FineGrid = 400 })
            message "positive and finite" (make { DarcyOptions.Default with Low = 0.0 })
            let struct (a, _, f) = manufactured 6 6
            message "sample 0 at node (0, 0)" (fun () -> Darcy.solve (a.With(a.Values.neg ())) f |> ignore)

            message "both ends included" (fun () ->
                Darcy.solve (FieldValues.ofFunction 1 f64 (torus 6) (fun _ -> [| 1.0 |])) f |> ignore)
        }
    ]

let private burgers =
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
            holds [ PdeLaws.slopeOfFlow "Burgers' right-hand side" flow (Burgers.rightHandSide 0.02 field).Values ]
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

            message "positive and finite" (fun () ->
                Burgers.generate { o with Viscosity = 0.0 } (Generation.Create(1, 0)) |> ignore)

            message "must be a multiple" (fun () ->
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

let private flow =
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

                holds [
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
                holds [ PdeLaws.temporalOrder $"{method}" 4.0 [| 0.01; 0.005 |] solve ]
                Expect.isLessThan (solve(0.02).mean([| 2L; 3L |]).abs().max().ToDouble()) 1e-13 "mean vorticity"

            let force = (NavierStokes.forcing o (torus 24)).unsqueeze 0L
            let flow t = (NavierStokes.solve { o with Times = [| t |]; Step = 1e-3 } w).Values

            holds [
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
            message "must be a multiple" (make { free with SolveGrid = 100 })
            message "rise" (make { free with Times = [| 2.0; 1.0 |] })
            message "wave 40" (make { NavierStokesOptions.Kolmogorov with ForcingWave = 40 })

            message "torus of length 1" (fun () ->
                let points = Discretisation.Uniform(Domain.Cube(2, 2.0, Boundary.Periodic), [| 8; 8 |])
                NavierStokes.solve free (FieldValues.ofFunction 1 f64 points (fun _ -> [| 0.0 |])) |> ignore)
        }
    ]

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
                let state n = {
                    RandomState.On(domain, Array.create domain.Dimension n) with
                        ZeroMean = false
                }

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

                holds [
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

            holds [
                PdeLaws.slopeOfFlow
                    "advection"
                    (fun t -> (Advection.solve o.Velocity t u0).Values)
                    (Advection.rightHandSide o.Velocity u0).Values
            ]

            message "periodic" (fun () ->
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

                holds [
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
                holds [ PdeLaws.sameAtSharedPoints $"heat on {domain}" (run coarse) (run fine) 2 ]
        }
    ]

let tests = testList "PDE data" [ series; gaussian; darcy; burgers; flow; exact ]
