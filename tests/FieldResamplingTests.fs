/// The same function at other points: all kinds of axes.
module FieldResamplingTests

open System
open Continuum
open Continuum.Properties
open Claims
open Expecto
open TorchSharp

let private axis boundary = Axis(-0.5, 1.7, boundary)

let private line (points: AxisPoints) = Discretisation.Product [| points |]

/// n points of every layout that the condition allows.
let private layouts boundary (sizes: int list) = [
    for layout in Enum.GetValues<PointLayout>() do
        for n in sizes do
            let allowed =
                match layout, boundary with
                | PointLayout.Periodic, Boundary.Periodic
                | PointLayout.Cells, _
                | PointLayout.Interior, Boundary.Dirichlet -> true
                | PointLayout.Nodes, _ -> boundary <> Boundary.Periodic && n > 3
                | _ -> false

            if allowed then
                line (AxisPoints.Uniform(axis boundary, n, layout))
]

/// n points on the axis, unevenly, without its ends.
let private uneven boundary n =
    let a = axis boundary

    Array.init n (fun j ->
        let t = (float j + 0.4) / float n
        a.Start + a.Length * (t + 0.05 * sin (7.0 * t) / 7.0))
    |> fun x -> line (AxisPoints.At(a, x))

let private cloud (domain: Domain) n seed =
    let random = Random(seed)

    let points =
        Array2D.init n domain.Dimension (fun _ i -> domain[i].Start + domain[i].Length * random.NextDouble())

    Discretisation.Cloud(domain, points)

let private upto = FieldResampling.upto

let private random (dtype: torch.ScalarType) seed (shape: int64[]) =
    use generator = new torch.Generator(uint64 (seed: int))
    torch.randn (shape, dtype = Nullable dtype, generator = generator)

let private mixed =
    Domain [| Axis.Periodic 2.0; Axis(0.0, 1.5, Boundary.Dirichlet); Axis(-1.0, 2.0, Boundary.Open) |]

let private transforms = [
    for boundary in [ Boundary.Neumann; Boundary.Dirichlet ] do
        test
            $"{boundary}: coefficients are those of the series, forward and inverse, and derivatives are its derivatives" {
            use _ = torch.NewDisposeScope()

            for grid in layouts boundary [ 1; 2; 5; 8 ] do
                let points = grid.Axes[0]
                let count = TrigonometricTransforms.count points
                let c = random torch.float64 3 [| 2L; int64 count; 3L |]
                let values = TrigonometricTransforms.values points 1 c
                let first = if boundary = Boundary.Neumann then 0 else 1
                // The sums themselves, by their definition.
                let angle j i =
                    Math.PI * float (first + i) * (points.Coordinates[j] - points.Axis.Start) / points.Axis.Length

                let sum (f: int -> float -> float) =
                    let matrix =
                        Array.init (points.Count * count) (fun at -> f (at % count) (angle (at / count) (at % count)))

                    let m = Tensors.ofArray matrix [| int64 points.Count; int64 count |] torch.float64 torch.CPU
                    torch.einsum ("jk,bkc->bjc", m, c)

                let k i = Math.PI * float (first + i) / points.Axis.Length

                let expected =
                    if boundary = Boundary.Neumann then
                        sum (fun _ a -> cos a)
                    else
                        sum (fun _ a -> sin a)

                let slope =
                    if boundary = Boundary.Neumann then
                        sum (fun i a -> -(k i) * sin a)
                    else
                        sum (fun i a -> k i * cos a)

                let gap (a: Tensor) (b: Tensor) =
                    if a.NumberOfElements = 0L then 0.0 else a.sub(b).abs().max().ToDouble()

                Expect.isLessThan (gap values expected) 1e-13 $"values on {grid}"
                Expect.isLessThan (gap (TrigonometricTransforms.coefficients points 1 values) c) 1e-13 $"back on {grid}"
                let slopes = TrigonometricTransforms.slopes points 1 c
                Expect.isLessThan (gap slopes slope) 1e-12 $"slopes on {grid}"
        }

        test $"{boundary}: the transforms are linear with the right gradients, and leave nothing behind" {
            use _ = torch.NewDisposeScope()

            for grid in layouts boundary [ 4; 5 ] do
                let points = grid.Axes[0]
                let x = random torch.float64 4 [| int64 points.Count |]
                let leaf = x.detach().requires_grad_ true
                let before = Tensors.live ()
                let c = TrigonometricTransforms.coefficients points 0 leaf
                let y = TrigonometricTransforms.values points 0 c
                Expect.equal (Tensors.live ()) (before + 2L) "two tensors"
                let v = random torch.float64 5 y.shape
                let pulled = (Autograd.vjp [| y |] [| leaf |] [| v |])[0]
                let u = random torch.float64 6 x.shape
                let w = TrigonometricTransforms.values points 0 (TrigonometricTransforms.coefficients points 0 u)
                let gap = abs (w.mul(v).sum().ToDouble() - pulled.mul(u).sum().ToDouble())
                Expect.isLessThan gap 1e-12 "<T u, v> = <u, T' v>"

                let single = TrigonometricTransforms.coefficients points 0 (x.float ())
                Expect.equal single.dtype torch.float32 "dtype"
        }
]

let private axes = [
    for boundary in [ Boundary.Periodic; Boundary.Neumann; Boundary.Dirichlet; Boundary.Open ] do
        test $"{boundary}: functions that both grids hold are exact, between all layouts and at irregular points" {
            allHold [
                for source in layouts boundary [ 4; 7; 8 ] do
                    for target in layouts boundary [ 1; 4; 5; 8; 12 ] do
                        FieldResamplingLaws.exact upto source target

                    FieldResamplingLaws.exact upto source (uneven boundary 6)
                    FieldResamplingLaws.exact upto source (cloud source.Domain 9 2)
            ]
        }

    for boundary in [ Boundary.Periodic; Boundary.Neumann; Boundary.Dirichlet ] do
        test $"{boundary}: any values come back from finer grids" {
            allHold [
                for source in layouts boundary [ 5; 6 ] do
                    // Nodes of Dirichlet axes hold functions that vanish at the ends.
                    if not (boundary = Boundary.Dirichlet && source.Axes[0].Layout = PointLayout.Nodes) then
                        for target in layouts boundary [ 8; 9 ] do
                            FieldResamplingLaws.thereAndBack upto source target
            ]
        }

    test "a periodic function's highest mode at cell centres is a sine" {
        use _ = torch.NewDisposeScope()
        let circle = Axis.Periodic 1.0
        let cells = line (AxisPoints.Uniform(circle, 4, PointLayout.Cells))
        let wave points = FieldValues.ofFunction 1 torch.float64 points (fun x -> [| sin (4.0 * Math.PI * x[0]) |])

        for target in
            [
                line (AxisPoints.Uniform(circle, 12))
                line (AxisPoints.At(circle, [| 0.03; 0.2; 0.55; 0.81 |]))
                line (AxisPoints.Uniform(circle, 4))
            ] do
            Expect.isLessThan
                ((upto target (wave cells)).Values.sub((wave target).Values).abs().max().ToDouble())
                1e-13
                $"{target}"
    }

    test "the two ends of a Dirichlet axis hold zero" {
        use _ = torch.NewDisposeScope()
        let ends = line (AxisPoints.Uniform(axis Boundary.Dirichlet, 2, PointLayout.Nodes))
        let inner = line (AxisPoints.Uniform(axis Boundary.Dirichlet, 5, PointLayout.Cells))
        Expect.isFalse (TrigonometricTransforms.has ends.Axes[0]) "no series"
        let zero = FieldValues.ofFunction 1 torch.float64 ends (fun _ -> [| 0.0 |])
        let one = FieldValues.ofFunction 1 torch.float64 inner (fun _ -> [| 1.0 |])

        for field, target in [ zero, inner; zero, cloud ends.Domain 4 1; one, ends ] do
            Expect.isLessThan ((upto target field).Values.abs().max().ToDouble()) 1e-14 $"{target}"
    }

    test "order 4 from open and irregular points, at once the spectral rates of the others" {
        allHold [
            for boundary in [ Boundary.Periodic; Boundary.Neumann; Boundary.Open ] do
                FieldResamplingLaws.order upto 3.6 32 (uneven boundary) (uneven boundary 45)

            FieldResamplingLaws.order upto 3.6 32 (uneven Boundary.Dirichlet) (uneven Boundary.Dirichlet 45)

            FieldResamplingLaws.order
                upto
                3.6
                32
                (fun n -> line (AxisPoints.Uniform(axis Boundary.Open, n)))
                (cloud (Domain [| axis Boundary.Open |]) 40 1)

            FieldResamplingLaws.order
                upto
                8.0
                8
                (fun n -> line (AxisPoints.Uniform(axis Boundary.Neumann, n)))
                (cloud (Domain [| axis Boundary.Neumann |]) 40 1)
        ]
    }
]

let private several = [
    test "three unlike axes, to grids and clouds" {
        let source = Discretisation.Uniform(mixed, [| 6; 5; 7 |])

        allHold [
            FieldResamplingLaws.exact upto source (Discretisation.Uniform(mixed, [| 9; 4; 5 |]))
            FieldResamplingLaws.exact
                upto
                source
                (Discretisation.Uniform(
                    mixed,
                    [| 4; 8; 7 |],
                    [| PointLayout.Cells; PointLayout.Interior; PointLayout.Cells |]
                ))
            FieldResamplingLaws.exact upto source (cloud mixed 20 3)
        ]
    }

    test "clouds of each sample: a sample alone gives the same, padding and all" {
        use _ = torch.NewDisposeScope()
        let source = Discretisation.Uniform(mixed, [| 6; 5; 7 |])
        let x = random torch.float64 8 [| 2L; 3L; 6L; 5L; 7L |]
        let random = Random 4

        let points n = Array2D.init n 3 (fun _ i -> mixed[i].Start + mixed[i].Length * random.NextDouble())
        let few, many = points 3, points 5
        let weights n = Array.create n 1.0
        let both = Discretisation.Clouds(mixed, [| few; many |], [| weights 3; weights 5 |])
        let together = upto both (new Field(source, x))
        Expect.equal together.Values.shape [| 2L; 3L; 5L |] "shape"
        let alone = upto (Discretisation.Cloud(mixed, many)) (new Field(source, x.narrow (0L, 1L, 1L)))

        Expect.isLessThan
            (alone.Values.sub(together.Values.narrow (0L, 1L, 1L)).abs().max().ToDouble())
            1e-14
            "sample 1"

        let alone = upto (Discretisation.Cloud(mixed, few)) (new Field(source, x.narrow (0L, 0L, 1L)))
        let found = together.Values.narrow(0L, 0L, 1L).narrow(2L, 0L, 3L)
        Expect.isLessThan (alone.Values.sub(found).abs().max().ToDouble()) 1e-14 "sample 0"
    }

    test "gradients, dtypes, the same points, and no tensor left behind" {
        use _ = torch.NewDisposeScope()
        let source = Discretisation.Uniform(mixed, [| 6; 5; 7 |])
        let shape = [| 2L; 1L; 6L; 5L; 7L |]

        for target in [ Discretisation.Uniform(mixed, [| 4; 8; 9 |]); cloud mixed 6 1 ] do
            let leaf = (random torch.float64 9 shape).requires_grad_ true
            let before = Tensors.live ()
            let y = upto target (new Field(source, leaf))
            Expect.equal (Tensors.live ()) (before + 1L) "one tensor"
            let v = random torch.float64 10 y.Values.shape
            let pulled = (Autograd.vjp [| y.Values |] [| leaf |] [| v |])[0]
            let u = random torch.float64 11 shape
            let w = upto target (new Field(source, u))
            let gap = abs (w.Values.mul(v).sum().ToDouble() - pulled.mul(u).sum().ToDouble())
            Expect.isLessThan gap 1e-11 "<R u, v> = <u, R' v>"
            let single = upto target (new Field(source, u.float ()))
            Expect.equal single.Values.dtype torch.float32 "dtype"
            Expect.isLessThan (single.Values.double().sub(w.Values).abs().max().ToDouble()) 1e-4 "float32"

        let x = new Field(source, random torch.float64 9 shape)
        let before = Tensors.live ()
        let same = upto (Discretisation.Uniform(mixed, [| 6; 5; 7 |])) x
        Expect.equal (Tensors.live ()) (before + 1L) "one handle"
        Expect.isFalse (Object.ReferenceEquals(same.Values, x.Values)) "a handle of its own"
        Expect.equal (Tensors.toArray same.Values) (Tensors.toArray x.Values) "the same values"
    }

    test "a resampling by the nearest point, and one that forgets where cells lie, are reported" {
        let nearest (target: Discretisation) (field: Field) =
            let from = field.Discretisation.Axes[0].Coordinates

            let places =
                target.Axes[0].Coordinates
                |> Array.map (fun t -> int64 (Seq.minBy (fun j -> abs (from[j] - t)) (seq { 0 .. from.Length - 1 })))

            new Field(target, field.Values.index_select (2L, torch.tensor(places).clone()))

        let offsetForgotten (target: Discretisation) (field: Field) =
            new Field(target, SpectralResampling.resample [| target.Axes[0].Count |] field.Values)

        let grid layout n = line (AxisPoints.Uniform(axis Boundary.Periodic, n, layout))
        use _ = torch.NewDisposeScope()
        let source = grid PointLayout.Periodic 8
        Expect.isFalse (FieldResamplingLaws.exact nearest source (grid PointLayout.Periodic 12)).Holds "nearest"

        Expect.isFalse
            (FieldResamplingLaws.order nearest 3.6 32 (uneven Boundary.Open) (uneven Boundary.Open 45)).Holds
            "its order"

        Expect.isFalse (FieldResamplingLaws.exact offsetForgotten source (grid PointLayout.Cells 12)).Holds "offset"
    }

    test "what it refuses" {
        use _ = torch.NewDisposeScope()
        let torus = Domain.Torus 1
        let grid = Discretisation.Uniform(torus, [| 4 |])
        let x = new Field(grid, torch.ones ([| 2L; 1L; 4L |], dtype = torch.float64))
        let scattered = cloud torus 4 1
        let atCloud = new Field(scattered, torch.ones ([| 2L; 1L; 4L |], dtype = torch.float64))

        refuses "domains must be equal" (fun () ->
            upto (Discretisation.Uniform(Domain.Torus 2, [| 4; 4 |])) x |> ignore)

        refuses "map it to a grid" (fun () -> upto grid atCloud |> ignore)
        let one = Array2D.create 1 1 0.5
        let three = Discretisation.Clouds(torus, [| one; one; one |], [| [| 1.0 |]; [| 1.0 |]; [| 1.0 |] |])
        refuses "2 samples and there are 3 clouds" (fun () -> upto three x |> ignore)
        let points = AxisPoints.Uniform(Axis.Neumann 1.0, 4)
        let transform points dim (x: Tensor) () = TrigonometricTransforms.coefficients points dim x |> ignore
        refuses "neither cosine nor sine" (transform grid.Axes[0] 2 x.Values)
        refuses "must have the size 4" (transform points 1 x.Values)
        refuses "no axis 3" (transform points 3 x.Values)
        refuses "Int64" (transform points 0 (torch.ones ([| 4L |], dtype = torch.int64)))
        refuses "needs 3 nodes" (fun () -> LocalPolynomials.weights 2 0.0 [| 0.0; 1.0 |] |> ignore)
        refuses "Nodes coincide" (fun () -> LocalPolynomials.weights 1 0.0 [| 0.0; 0.0 |] |> ignore)
    }
]

let all = testList "Field resampling" (transforms @ axes @ several)
