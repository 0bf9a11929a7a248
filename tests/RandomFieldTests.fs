/// Series of the axes and Gaussian random fields.
module RandomFieldTests

open System
open Continuum
open Continuum.Properties
open Claims
open Expecto
open TorchSharp

let private gap (a: Tensor) (b: Tensor) = a.sub(b).abs().max().ToDouble()
let private f64 = torch.float64
let private torus n = Discretisation.Uniform(Domain.Torus 2, [| n; n |])

let private layouts = [
    Boundary.Periodic, PointLayout.Periodic
    Boundary.Periodic, PointLayout.Cells
    Boundary.Dirichlet, PointLayout.Nodes
    Boundary.Dirichlet, PointLayout.Interior
    Boundary.Dirichlet, PointLayout.Cells
    Boundary.Neumann, PointLayout.Nodes
    Boundary.Neumann, PointLayout.Cells
]

let series =
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
            refuses "is open" (fun () -> AxisSeries.count (points (Axis.Open 1.0)) |> ignore)
            refuses "odd number" (fun () -> AxisSeries.synthesis (points (Axis.Periodic 1.0)) 1 c |> ignore)
            refuses "hold 6 functions" (fun () -> AxisSeries.analysis (points (Axis.Dirichlet 1.0)) 7 1 c |> ignore)
        }
    ]

let private boxes = [
    Domain.Torus 1
    Domain.Cube(2, 1.5, Boundary.Neumann)
    Domain([| Axis.Periodic 2.0; Axis.Dirichlet 1.0 |])
    Domain([| Axis.Periodic 1.0; Axis.Dirichlet 1.0; Axis.Neumann 1.5 |])
]

let gaussian =
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
            refuses "tau = 0" (sample { law with ZeroMean = false } points)
            refuses "lives on" (sample law (torus 8))
            refuses "sigma > 0" (sample { law with Sigma = -1.0 } points)
            refuses "at least one" (fun () -> GaussianField.sample law points (Generation.Create(0, 0)) |> ignore)
        }
    ]
