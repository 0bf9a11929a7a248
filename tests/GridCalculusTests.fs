/// Derivatives of fields and what is made of them.
module GridCalculusTests

open System
open Continuum
open Continuum.Properties
open Claims
open Expecto
open TorchSharp

let private line (points: AxisPoints) = Discretisation.Product [| points |]

let private uneven (axis: Axis) n =
    Array.init n (fun j ->
        let t = (float j + 0.4) / float n
        axis.Start + axis.Length * (t + 0.05 * sin (2.0 * Math.PI * t) / (2.0 * Math.PI)))
    |> fun x -> line (AxisPoints.At(axis, x))

let private axis boundary = Axis(-0.5, 1.7, boundary)

let private random (shape: int64[]) =
    use generator = new torch.Generator(12UL)
    torch.randn (shape, dtype = Nullable torch.float64, generator = generator)

let private box (boundary: Boundary) (sizes: int[]) (layout: PointLayout) =
    let axes =
        sizes
        |> Array.mapi (fun i n -> AxisPoints.Uniform(Axis(0.3, 1.0 + 0.5 * float i, boundary), n, layout))

    Discretisation.Product axes

let private laws = [
    test "Fourier derivatives are exact on periodic grids, odd, even and at cell centres" {
        allHold [
            for layout in [ PointLayout.Periodic; PointLayout.Cells ] do
                for sizes in [ [| 8 |]; [| 9 |]; [| 6; 7 |]; [| 4; 5; 6 |] ] do
                    GridCalculusLaws.exact GridCalculus.derivative (box Boundary.Periodic sizes layout)
        ]
    }

    test "differences are exact for polynomials of low degree, on open axes of all kinds" {
        allHold [
            for n in [ 4; 5; 6; 9 ] do
                GridCalculusLaws.exact GridCalculus.derivative (box Boundary.Open [| n; n + 1 |] PointLayout.Nodes)
                GridCalculusLaws.exact GridCalculus.derivative (box Boundary.Open [| n |] PointLayout.Cells)
                GridCalculusLaws.exact GridCalculus.derivative (uneven (axis Boundary.Open) n)
        ]
    }

    test "series derivatives are exact for cosines and sines" {
        allHold [
            for boundary, layout in
                [
                    Boundary.Neumann, PointLayout.Nodes
                    Boundary.Neumann, PointLayout.Cells
                    Boundary.Dirichlet, PointLayout.Nodes
                    Boundary.Dirichlet, PointLayout.Cells
                    Boundary.Dirichlet, PointLayout.Interior
                ] do
                for sizes in [ [| 7 |]; [| 6; 5 |] ] do
                    GridCalculusLaws.exact GridCalculus.seriesDerivative (box boundary sizes layout)
        ]
    }

    test "differences have order 4, also at the ends, on irregular points and where the function obeys no condition" {
        allHold [
            for order in [ 1; 2 ] do
                let law = GridCalculusLaws.order GridCalculus.derivative order 3.6 40

                for boundary in [ Boundary.Open; Boundary.Dirichlet; Boundary.Neumann ] do
                    law (fun n -> line (AxisPoints.Uniform(axis boundary, n, PointLayout.Nodes)))
                    law (fun n -> line (AxisPoints.Uniform(axis boundary, n, PointLayout.Cells)))
                    law (uneven (axis boundary))

                law (uneven (axis Boundary.Periodic))

            GridCalculusLaws.order GridCalculus.derivative 1 8.0 12 (fun n ->
                line (AxisPoints.Uniform(axis Boundary.Periodic, n)))
        ]
    }

    test "the divergence of a curl is zero, parts are integrated, the Laplacian has its inverse" {
        allHold [
            let torus sizes = box Boundary.Periodic sizes PointLayout.Periodic

            for sizes in [ [| 6; 7 |]; [| 8; 4 |] ] do
                GridCalculusLaws.divergenceOfCurl GridCalculus.divergence GridCalculus.streamVelocity (torus sizes)

            for boundary, layout in [ Boundary.Periodic, PointLayout.Cells; Boundary.Open, PointLayout.Nodes ] do
                GridCalculusLaws.divergenceOfCurl
                    GridCalculus.divergence
                    GridCalculus.curl
                    (box boundary [| 6; 7; 8 |] layout)

            for sizes in [ [| 7 |]; [| 8 |]; [| 6; 7 |]; [| 4; 5; 6 |] ] do
                GridCalculusLaws.byParts GridCalculus.derivative (torus sizes)
                GridCalculusLaws.inverse GridCalculus.laplacian GridCalculus.invertLaplacian (torus sizes)
        ]
    }

    test "wrong derivatives are reported" {
        // Two-point differences; the highest mode kept; the sign of one term of the curl.
        let crude axis order (field: Field) =
            let dim = int64 (axis + 2)
            let h = field.Discretisation.Axes[axis].Spacing
            let d = field.Values.roll(-1L, dim).sub(field.Values).div h
            field.With(if order = 1 then d else d.roll(-1L, dim).sub(d).div h)

        let torus = box Boundary.Periodic [| 8 |] PointLayout.Periodic
        Expect.isFalse (GridCalculusLaws.exact crude torus).Holds "exact"
        Expect.isFalse (GridCalculusLaws.byParts crude torus).Holds "parts"
        let grid n = line (AxisPoints.Uniform(axis Boundary.Periodic, n))
        Expect.isFalse (GridCalculusLaws.order crude 1 3.6 40 grid).Holds "order"

        let gradient (field: Field) = GridCalculus.gradient field
        let plane = box Boundary.Periodic [| 6; 7 |] PointLayout.Periodic

        Expect.isFalse
            (GridCalculusLaws.divergenceOfCurl GridCalculus.divergence gradient plane).Holds
            "a gradient is no curl"

        Expect.isFalse (GridCalculusLaws.inverse GridCalculus.laplacian id plane).Holds "inverse"
    }
]

let private near (tolerance: float) (what: string) (a: Tensor) (b: Tensor) =
    Expect.isLessThan (a.sub(b).abs().max().ToDouble()) tolerance what

let private examples = [
    test "gradient, divergence, Laplacian and curl of known fields" {
        use _ = torch.NewDisposeScope()
        let grid = box Boundary.Open [| 6; 7; 8 |] PointLayout.Nodes
        let field f = FieldValues.ofFunction 2 torch.float64 grid f
        let scalar = field (fun x -> [| x[0] * x[0] * x[1]; x[1] * x[2] |])
        let gradient = field (fun x -> [| 2.0 * x[0] * x[1]; x[0] * x[0]; 0.0; 0.0; x[2]; x[1] |])
        near 1e-11 "gradient" (GridCalculus.gradient scalar).Values gradient.Values
        near 1e-10 "Laplacian" (GridCalculus.laplacian scalar).Values (field (fun x -> [| 2.0 * x[1]; 0.0 |])).Values
        let vector = field (fun x -> [| x[1] * x[2]; x[0] * x[0]; x[0] * x[1] * x[2] |])
        near 1e-11 "divergence" (GridCalculus.divergence vector).Values (field (fun x -> [| x[0] * x[1] |])).Values
        let curl = field (fun x -> [| x[0] * x[2]; x[1] - x[1] * x[2]; 2.0 * x[0] - x[2] |])
        near 1e-11 "curl" (GridCalculus.curl vector).Values curl.Values
        let plane = FieldValues.ofFunction 1 torch.float64 (box Boundary.Open [| 6; 7 |] PointLayout.Nodes)
        let flat = plane (fun x -> [| x[0] * x[1]; x[0] * x[0] |])
        near 1e-11 "curl in the plane" (GridCalculus.curl flat).Values (plane (fun x -> [| x[0] |])).Values
        let psi = plane (fun x -> [| x[0] * x[1] * x[1] |])
        let velocity = plane (fun x -> [| 2.0 * x[0] * x[1]; -x[1] * x[1] |])
        near 1e-11 "stream velocity" (GridCalculus.streamVelocity psi).Values velocity.Values
    }

    test "the inverse Laplacian by sines, cosines and a mixture" {
        use _ = torch.NewDisposeScope()
        let pi = Math.PI

        let check (axes: AxisPoints[]) (u: float[] -> float) (eigenvalue: float) =
            let grid = Discretisation.Product axes
            let f = FieldValues.ofFunction 1 torch.float64 grid (fun x -> [| eigenvalue * u x |])
            let wanted = FieldValues.ofFunction 1 torch.float64 grid (fun x -> [| u x |])
            near 1e-12 $"{grid}" (GridCalculus.invertLaplacian f).Values wanted.Values

        let points (axis: Axis) n layout = AxisPoints.Uniform(axis, n, layout)
        let sine = points (Axis.Dirichlet 2.0) 6 PointLayout.Interior
        check [| sine |] (fun x -> sin (1.5 * pi * x[0])) (-2.25 * pi * pi)
        let cosine = points (Axis.Neumann 1.0) 5 PointLayout.Cells
        check [| cosine; sine |] (fun x -> cos (2.0 * pi * x[0]) * sin (0.5 * pi * x[1])) (-4.25 * pi * pi)
        let wave = points (Axis.Periodic 1.0) 7 PointLayout.Periodic

        check
            [| wave; sine; wave |]
            (fun x -> cos (2.0 * pi * x[0]) * sin (0.5 * pi * x[1]) * sin (4.0 * pi * x[2]))
            (-20.25 * pi * pi)
    }

    test "gradients, a sample alone, dtypes, and no tensor left behind" {
        use _ = torch.NewDisposeScope()
        let axes = [| AxisPoints.Uniform(Axis.Periodic 1.0, 6); AxisPoints.Uniform(Axis.Neumann 1.0, 7) |]
        let grid = Discretisation.Product axes

        let maps = [
            "derivative", 2, GridCalculus.derivative 0 1
            "second derivative", 2, GridCalculus.derivative 1 2
            "series derivative", 2, GridCalculus.seriesDerivative 1 1
            "gradient", 2, GridCalculus.gradient
            "divergence", 2, GridCalculus.divergence
            "Laplacian", 2, GridCalculus.laplacian
            "curl", 2, GridCalculus.curl
            "stream velocity", 1, GridCalculus.streamVelocity
            "inverse Laplacian", 1, GridCalculus.invertLaplacian
        ]

        for name, channels, map in maps do
            let x = random [| 3L; int64 channels; 6L; 7L |]
            let leaf = x.detach().requires_grad_ true
            let before = Tensors.live ()
            let y = map (new Field(grid, leaf))
            Expect.equal (Tensors.live ()) (before + 1L) $"{name}: one tensor"
            let v = torch.randn_like y.Values
            let pulled = (Autograd.vjp [| y.Values |] [| leaf |] [| v |])[0]
            let u = torch.randn_like x
            let w = map (new Field(grid, u))
            let left, right = w.Values.mul(v).sum().ToDouble(), pulled.mul(u).sum().ToDouble()
            Expect.isLessThan (abs (left - right)) (1e-11 * (1.0 + abs left)) $"{name}: <D u, v> = <u, D' v>"
            let alone = map (new Field(grid, x.narrow (0L, 1L, 1L)))
            near 1e-11 $"{name}: a sample alone" alone.Values (y.Values.narrow (0L, 1L, 1L))
            let single = map (new Field(grid, x.float ()))
            Expect.equal single.Values.dtype torch.float32 $"{name}: dtype"
    }

    test "what it refuses" {
        use _ = torch.NewDisposeScope()
        let plane = box Boundary.Periodic [| 4; 4 |] PointLayout.Periodic
        let two = new Field(plane, torch.ones ([| 1L; 2L; 4L; 4L |], dtype = torch.float64))
        let three = new Field(plane, torch.ones ([| 1L; 3L; 4L; 4L |], dtype = torch.float64))
        let cloud = Discretisation.Cloud(Domain.Torus 1, Array2D.init 3 1 (fun i _ -> 0.3 * float i))
        let scattered = new Field(cloud, torch.ones ([| 1L; 1L; 3L |], dtype = torch.float64))
        let few = line (AxisPoints.Uniform(Axis.Open 1.0, 2))
        let short = new Field(few, torch.ones ([| 1L; 1L; 2L |], dtype = torch.float64))
        refuses "need a product of axes" (fun () -> GridCalculus.laplacian scattered |> ignore)
        refuses "no axis 2" (fun () -> GridCalculus.derivative 2 1 two |> ignore)
        refuses "order 1 or 2; got 3" (fun () -> GridCalculus.derivative 0 3 two |> ignore)
        refuses "needs 3 points" (fun () -> GridCalculus.derivative 0 2 short |> ignore)
        refuses "the field has 3" (fun () -> GridCalculus.divergence three |> ignore)
        refuses "two or three axes" (fun () -> GridCalculus.curl short |> ignore)
        refuses "one channel on two axes" (fun () -> GridCalculus.streamVelocity two |> ignore)
        refuses "inverse Laplacian needs" (fun () -> GridCalculus.invertLaplacian short |> ignore)
        refuses "neither cosine nor sine" (fun () -> GridCalculus.seriesDerivative 0 1 two |> ignore)
    }
]

let all = testList "Grid calculus" (laws @ examples)
