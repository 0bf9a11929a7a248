/// Distances of fields, terms of losses and their balance.
module OperatorLossTests

open System
open Continuum
open Continuum.Properties
open Claims
open Expecto
open TorchSharp

let holds (results: LawResult seq) =
    let failed = results |> Seq.filter (fun r -> not r.Holds) |> Seq.map string |> String.concat "\n"
    Expect.equal failed "" "laws"

let pi = Math.PI
let line (points: AxisPoints) = Discretisation.Product [| points |]
let circle n = line (AxisPoints.Uniform(Axis.Periodic 2.0, n))
let torus (sizes: int[]) = Discretisation.Uniform(Domain.Torus sizes.Length, sizes)
let opened n = line (AxisPoints.Uniform(Axis(-0.5, 2.0, Boundary.Open), n))

let cells boundary n = line (AxisPoints.Uniform(Axis(-0.5, 2.0, boundary), n, PointLayout.Cells))

let uneven n =
    let at j =
        let t = float j / float (n - 1)
        -0.5 + 2.0 * (t + 0.05 * sin (2.0 * pi * t))

    line (AxisPoints.At(Axis(-0.5, 2.0, Boundary.Open), Array.init n at))

let field (grid: Discretisation) f = FieldValues.ofFunction 1 torch.float64 grid f
let absolute = { LossOptions.Default with Relative = false }
let relative = LossOptions.Default

let private near (tolerance: float) (what: string) (wanted: float) (found: float) =
    Expect.isLessThan (abs (found - wanted)) (tolerance * (1.0 + abs wanted)) $"{what}: {found}, not {wanted}"

let private value (t: Tensor) = t.ToDouble()

/// The integral of f over [-0.5, 1.5].
let integral (f: float -> float) =
    let rule = AxisPoints.GaussLegendre(Axis(-0.5, 2.0, Boundary.Open), 40)
    Array.map2 (fun x w -> w * f x) rule.Coordinates rule.Weights |> Array.sum

let private closed = [
    test "norms of waves: L2, H1 and Sobolev" {
        use _ = torch.NewDisposeScope()
        let grid = circle 9
        let k = 2.0 * pi * 3.0 / 2.0
        let a = field grid (fun x -> [| 1.7 * sin (k * x[0]) |])
        let b = field grid (fun x -> [| 0.5 * sin (k * x[0]) |])
        // The integral of sin^2 over the length 2 is 1.
        near 1e-12 "absolute" 1.2 (value (OperatorLosses.distance L2 absolute a b))
        near 1e-12 "relative" 2.4 (value (OperatorLosses.distance L2 relative a b))
        near 1e-12 "H1" (1.2 * sqrt (1.0 + k * k)) (value (OperatorLosses.distance H1 absolute a b))

        for s in [ -1.5; 0.0; 0.5; 1.0; 2.0 ] do
            let wanted = 1.2 * Math.Pow(1.0 + k * k, 0.5 * s)
            near 1e-12 $"Sobolev {s}" wanted (value (OperatorLosses.distance (Sobolev s) absolute a b))

        // Any values on an odd grid: the Sobolev norm of order 1 is H1, that of order 0 is L2.
        let any (seed: int) =
            use generator = new torch.Generator(uint64 seed)
            let plane = torus [| 5; 7 |]
            new Field(plane, torch.randn ([| 2L; 2L; 5L; 7L |], dtype = Nullable torch.float64, generator = generator))

        for norm, other in [ Sobolev 1.0, H1; Sobolev 0.0, L2 ] do
            let of' norm = value (OperatorLosses.distance norm relative (any 1) (any 2))
            near 1e-12 $"{norm} is {other}" (of' other) (of' norm)
    }

    test "channels together and apart, sample weights, and truths of zero" {
        use _ = torch.NewDisposeScope()
        let grid = circle 4

        let constant (samples: float[][]) =
            let flat = [|
                for s in samples do
                    for c in s do
                        for _ in 1..4 -> c
            |]

            new Field(
                grid,
                Tensors.ofArray flat [| samples.LongLength; samples[0].LongLength; 4L |] torch.float64 torch.CPU
            )

        let a = constant [| [| 1.0; 30.0 |]; [| 2.0; 10.0 |] |]
        let b = constant [| [| 2.0; 40.0 |]; [| 2.0; 20.0 |] |]
        let each options = Tensors.toArray (OperatorLosses.distances L2 options a b)
        let together = [| sqrt 101.0 / sqrt 1604.0; 10.0 / sqrt 404.0 |]
        let apart = [| 0.5 * (0.5 + 0.25); 0.5 * (0.0 + 0.5) |]
        Array.iter2 (near 1e-12 "together") together (each relative)
        Array.iter2 (near 1e-12 "apart") apart (each { relative with Channels = ChannelRule.Mean })
        let weighted = { relative with SampleWeights = Some [| 3.0; 1.0 |] }

        near
            1e-12
            "weighted"
            ((3.0 * together[0] + together[1]) / 4.0)
            (value (OperatorLosses.distance L2 weighted a b))

        let nothing = constant [| [| 0.0; 0.0 |]; [| 0.0; 0.0 |] |]
        let floored = Tensors.toArray (OperatorLosses.distances L2 { relative with Floor = 0.5 } a nothing)
        near 1e-12 "floor: root mean square over 0.5" (sqrt 901.0 / 0.5) floored[0]

        for norm in [ L2; H1; Sobolev 1.0 ] do
            let leaf = b.Values.detach().requires_grad_ true
            let loss = OperatorLosses.distance norm relative (b.With leaf) b
            Expect.equal (value loss) 0.0 "no distance"
            let slope = (Autograd.vjp [| loss |] [| leaf |] [| torch.ones_like loss |])[0]
            Expect.equal (slope.abs().max().ToDouble()) 0.0 "no gradient, and no NaN"
            let loss = OperatorLosses.distance norm relative (b.With leaf) nothing
            let slope = (Autograd.vjp [| loss |] [| leaf |] [| torch.ones_like loss |])[0]
            Expect.isTrue (slope.isfinite().all().ToBoolean() && Double.IsFinite(value loss)) "zero truth"
    }

    test "bands hold the errors of their modes" {
        use _ = torch.NewDisposeScope()
        let grid = torus [| 16; 15 |]

        let wave a b c x = [|
            a * cos (2.0 * pi * Array.get x 0)
            + b * sin (2.0 * pi * (3.0 * x[0] - 4.0 * x[1]))
            + c * cos (2.0 * pi * 7.0 * x[1])
        |]

        let prediction, truth = field grid (wave 1.0 2.0 5.0), field grid (wave 2.0 2.5 4.0)

        let bands options =
            Tensors.toArray (OperatorLosses.bandDistances [| 0.0; 2.0; 5.0; 6.0; infinity |] options prediction truth)
        // |k| = 1, 5 and 7; cos^2 has the integral 1/2. The edge 5 belongs to the band above.
        // Rounding within the empty band is divided by the floor.
        Array.iter2 (near 1e-8 "relative") [| 0.5; 0.0; 0.2; 0.25 |] (bands relative)
        Array.iter2 (near 1e-12 "absolute") [| sqrt 0.5; 0.0; 0.5 * sqrt 0.5; sqrt 0.5 |] (bands absolute)

        let mean =
            value (OperatorLosses.bandDistance [| 0.0; 2.0; 5.0; 6.0; infinity |] relative prediction truth)

        near 1e-8 "mean" (0.95 / 4.0) mean
        // All bands together are the L2 distance.
        let total = bands absolute |> Array.sumBy (fun b -> b * b) |> sqrt
        near 1e-12 "Parseval" (value (OperatorLosses.distance L2 absolute prediction truth)) total
    }

    test "a mask takes part of the domain" {
        use _ = torch.NewDisposeScope()
        let grid = cells Boundary.Neumann 8
        let half = field grid (fun x -> [| if x[0] < 0.5 then 1.0 else 0.0 |])
        let a = field grid (fun x -> [| if x[0] < 0.5 then 3.0 else 100.0 |])
        let b = field grid (fun _ -> [| 1.0 |])
        near 1e-12 "absolute" 2.0 (value (OperatorLosses.distance L2 { absolute with Mask = Some half } a b))
        near 1e-12 "relative" 2.0 (value (OperatorLosses.distance L2 { relative with Mask = Some half } a b))
        near 1e-12 "size" (sqrt (9.0 / 2.0)) (value (OperatorLosses.size { absolute with Mask = Some half } a))
        // Two clouds, one shorter: padding counts nothing.
        let points (x: float[]) = Array2D.init x.Length 1 (fun i _ -> x[i])
        let domain = Domain [| Axis.Open 1.0 |]

        let clouds =
            Discretisation.Clouds(
                domain,
                [| points [| 0.2 |]; points [| 0.1; 0.7 |] |],
                [| [| 1.0 |]; [| 0.25; 0.75 |] |]
            )

        let at (v: float[]) = new Field(clouds, Tensors.ofArray v [| 2L; 1L; 2L |] torch.float64 torch.CPU)

        let found =
            Tensors.toArray (
                OperatorLosses.distances L2 absolute (at [| 2.0; 99.0; 1.0; 3.0 |]) (at [| 0.0; 0.0; 0.0; 1.0 |])
            )

        Array.iter2 (near 1e-12 "clouds") [| 2.0; sqrt (0.25 + 0.75 * 4.0) |] found
    }

    test "divergence, boundary and initial values of known fields" {
        use _ = torch.NewDisposeScope()
        let grid = torus [| 8; 9 |]
        let flow = field grid (fun x -> [| sin (2.0 * pi * x[0]); 0.0 |])
        near 1e-12 "divergence" (2.0 * pi * sqrt 0.5) (value (OperatorLosses.divergence absolute flow))
        let psi = field grid (fun x -> [| sin (2.0 * pi * (x[0] + x[1])) |])

        near
            1e-11
            "of a stream function"
            0.0
            (value (OperatorLosses.divergence absolute (GridCalculus.streamVelocity psi)))
        // [0, 1] x [0, 2], open: f = x + y^2 at x = 0 and 1.
        let box layout =
            Discretisation.Product [|
                AxisPoints.Uniform(Axis.Open 1.0, 9, layout)
                AxisPoints.Uniform(Axis.Open 2.0, 9, layout)
            |]

        let f = fun (x: float[]) -> [| x[0] + x[1] |]
        // The integrals of y^2 and (1 + y)^2 over [0, 2].
        let faces = 8.0 / 3.0 + 26.0 / 3.0

        for layout in [ PointLayout.Nodes; PointLayout.Cells ] do
            let p = field (box layout) f
            near 1e-12 $"{layout}: against zero" (sqrt faces) (value (FaceLosses.boundary [| 0 |] relative p None))
            let g = field (box layout) (fun x -> [| (f x)[0] + 1.0 + x[0] * (1.0 - x[0]) |])
            // The difference is 1 on two sides of length 2.
            let wanted = 2.0

            near
                1e-12
                $"{layout}: against given values"
                wanted
                (value (FaceLosses.boundary [| 0 |] absolute p (Some g)))

            let start = field (Discretisation.Product [| (box layout).Axes[1] |]) (fun y -> [| y[0] + 0.5 |])
            near 1e-12 $"{layout}: initial" (0.5 * sqrt 2.0) (value (FaceLosses.initial 0 absolute p start))
            near 1e-12 $"{layout}: at the same points" (sqrt 2.0) (value (FaceLosses.initial 0 absolute p g))
            let size = sqrt (integral (fun y -> (y + 1.0) ** 2.0))
            near 1e-12 $"{layout}: relative" (0.5 * sqrt 2.0 / size) (value (FaceLosses.initial 0 relative p start))

        // On a line the faces are two points.
        let p = field (opened 5) (fun x -> [| x[0] |])
        near 1e-12 "a line" (sqrt 2.5) (value (FaceLosses.boundary [| 0 |] absolute p None))
        let mask = field (opened 5) (fun x -> [| if x[0] > 0.0 then 1.0 else 0.0 |])
        near 1e-12 "masked" 1.5 (value (FaceLosses.boundary [| 0 |] { absolute with Mask = Some mask } p None))
    }
]

let wavy (x: float[]) = [| exp (sin (2.0 * x[0])) |]
let straight (x: float[]) = [| 1.0 + 0.5 * x[0] |]

let private refusals = [
    test "no tensor left behind" {
        use _ = torch.NewDisposeScope()
        let plane = torus [| 4; 4 |]
        let p, t = field plane (fun x -> [| x[0]; x[1] |]), field plane (fun x -> [| x[1]; 1.0 |])
        let open' = opened 5
        let q, s = field open' wavy, field open' straight
        let mask = field plane (fun x -> [| x[0] |])
        let masked = { relative with Mask = Some mask; SampleWeights = Some [| 2.0 |] }

        let losses: (string * (unit -> Tensor)) list = [
            "L2", (fun () -> OperatorLosses.distance L2 masked p t)
            "H1", (fun () -> OperatorLosses.distance H1 masked p t)
            "Sobolev", (fun () -> OperatorLosses.distance (Sobolev 1.0) relative p t)
            "bands", (fun () -> OperatorLosses.bandDistance [| 0.0; 2.0 |] relative p t)
            "size", (fun () -> OperatorLosses.size masked p)
            "divergence", (fun () -> OperatorLosses.divergence masked p)
            "boundary", (fun () -> FaceLosses.boundary [| 0 |] relative q (Some s))
            "initial", (fun () -> FaceLosses.initial 0 relative q s)
        ]

        for name, loss in losses do
            let before = Tensors.live ()
            let found = loss ()
            Expect.equal (Tensors.live ()) (before + 1L) $"{name}: one tensor"
            Expect.equal found.shape [||] $"{name}: no axes"
    }

    test "what they refuse" {
        use _ = torch.NewDisposeScope()
        let p, other = field (circle 4) straight, field (circle 5) straight
        let q = field (opened 5) straight
        let l2 options p t () = OperatorLosses.distance L2 options p t |> ignore
        refuses "resample one of them" (l2 relative p other)
        refuses "must be equal" (l2 relative p (field (circle 4) (fun _ -> [| 1.0; 2.0 |])))
        refuses "must be equal" (l2 relative p (p.With(p.Values.float ())))
        refuses "The mask is" (l2 { relative with Mask = Some other } p p)
        refuses "floor is 0" (l2 { relative with Floor = 0.0 } p p)
        refuses "2 sample weights" (l2 { relative with SampleWeights = Some [| 1.0; 1.0 |] } p p)
        refuses "some positive" (l2 { relative with SampleWeights = Some [| 0.0 |] } p p)
        let norm n options p () = OperatorLosses.distance n options p p |> ignore
        refuses "uniform points on periodic axes" (norm (Sobolev 1.0) relative q)
        refuses "no mask" (norm (Sobolev 1.0) { relative with Mask = Some p } p)
        let cloud = Discretisation.Cloud(Domain.Torus 1, Array2D.init 3 1 (fun i _ -> 0.3 * float i))
        refuses "product of axes" (norm H1 relative (field cloud straight))
        let bands edges p () = OperatorLosses.bandDistance edges relative p p |> ignore
        refuses "rising edges" (bands [| 0.0; 2.0; 2.0 |] p)
        refuses "periodic axes" (bands [| 0.0; 2.0 |] q)
        let boundary axes p given () = FaceLosses.boundary axes relative p given |> ignore
        refuses "has no ends" (boundary [| 0 |] p None)
        refuses "no axis 1" (boundary [| 1 |] q None)
        refuses "No axes were named" (boundary [||] q None)
        refuses "must be equal" (boundary [| 0 |] q (Some p))
        refuses "product of axes" (boundary [| 0 |] (field cloud straight) None)
        refuses "all axes but 0" (fun () -> FaceLosses.initial 0 relative q p |> ignore)
    }
]

let all = testList "Operator losses" (closed @ refusals)
