/// Layers between function spaces: what they compute, and that it does not depend on points.
module OperatorLayerTests

open System
open Continuum
open Continuum.Properties
open Claims
open Expecto
open TorchSharp

let private f64 = torch.float64

let private gap (a: Tensor) (b: Tensor) = a.sub(b).abs().max().ToDouble()

let private seeded (seed: uint64) (make: torch.Generator -> 'layer) : 'layer =
    use generator = new torch.Generator(seed)
    make generator

let private spectral domain modes inputs outputs options =
    seeded 1UL (fun g -> new SpectralConvolution(domain, modes, inputs, outputs, options, f64, g))

let private plain domain modes = spectral domain modes 2 3 SpectralOptions.Default

let private uniform domain (sizes: int list) = Discretisation.Uniform(domain, List.toArray sizes)

let private laidOut (axes: (Axis * int * PointLayout) list) =
    Discretisation.Product [| for axis, n, layout in axes -> AxisPoints.Uniform(axis, n, layout) |]

let private to' (layer: OperatorLayer) (field: Field) (target: Discretisation) = layer.Apply(field, target)

let private torus1 = Domain.Torus 1
let private torus2 = Domain.Torus 2

/// u from its Fourier coefficients, each multiplied by R_k, by the textbook on one axis.
let private byHand (weights: Tensor) (modes: int) (values: Tensor) =
    let n = values.shape[2]
    let hat = torch.fft.rfft (values, norm = FFTNormType.Forward)
    let kept = hat.narrow (2L, 0L, int64 modes)
    let mixed = torch.einsum ("bik,kio->bok", [| kept; weights |])

    let rest =
        torch.zeros ([| values.shape[0]; mixed.shape[1]; n / 2L + 1L - int64 modes |], dtype = Nullable mixed.dtype)

    torch.fft.irfft (torch.cat ([| mixed; rest |], 2L), n, norm = FFTNormType.Forward)

let private spectralTests =
    testList "spectral convolution" [
        test "is the textbook's multiplication of Fourier coefficients" {
            use _ = torch.NewDisposeScope()
            use layer = plain torus1 [| 6 |]
            let field = OperatorLaws.field (uniform torus1 [ 31 ]) 2 2 1 12
            let expected = byHand (layer.DenseWeights()) 6 field.Values
            Expect.isLessThan (gap (layer.Apply field).Values expected) 1e-13 "gap"
        }

        for name, domain, modes, grids in
            [
                "one periodic axis",
                torus1,
                [| 4 |],
                [ uniform torus1 [ 9 ]; uniform torus1 [ 16 ]; uniform torus1 [ 33 ] ]
                "a periodic axis of another length",
                Domain [| Axis(-1.0, 2.5, Boundary.Periodic) |],
                [| 4 |],
                [
                    for n, layout in [ 8, PointLayout.Periodic; 13, PointLayout.Periodic; 11, PointLayout.Cells ] ->
                        laidOut [ Axis(-1.0, 2.5, Boundary.Periodic), n, layout ]
                ]
                "two periodic axes", torus2, [| 4; 3 |], [ uniform torus2 [ 8; 9 ]; uniform torus2 [ 15; 8 ] ]
                "three periodic axes",
                Domain.Torus 3,
                [| 3; 3; 3 |],
                [ uniform (Domain.Torus 3) [ 6; 7; 8 ]; uniform (Domain.Torus 3) [ 9; 6; 7 ] ]
            ] do
            test $"{name}: the same function from every grid that holds the modes" {
                use layer = plain domain modes
                let at = grids[grids.Length - 1]
                holds (OperatorLaws.exact name (to' layer) (List.toArray grids) at 2)
            }

        let mixed = Domain [| Axis.Neumann 1.0; Axis.Periodic 2.0; Axis.Dirichlet 1.5 |]

        test "cosine, Fourier and sine axes together: the same function from every layout" {
            use layer = plain mixed [| 4; 3; 4 |]

            let grid cells nodes (n: int) =
                laidOut [ mixed[0], n, cells; mixed[1], n + 1, PointLayout.Periodic; mixed[2], n + 2, nodes ]

            let grids = [|
                grid PointLayout.Cells PointLayout.Nodes 7
                grid PointLayout.Nodes PointLayout.Interior 8
                grid PointLayout.Nodes PointLayout.Cells 9
                grid PointLayout.Cells PointLayout.Interior 6
            |]

            holds (OperatorLaws.exact "mixed axes" (to' layer) grids grids[3] 2)
        }

        test "one mode on an axis behind a Fourier axis" {
            for axis in [ Axis.Neumann 1.0; Axis.Dirichlet 1.0 ] do
                let domain = Domain [| Axis.Periodic 1.0; axis |]
                use layer = plain domain [| 3; 1 |]
                let grids = [| uniform domain [ 7; 8 ]; uniform domain [ 8; 13 ] |]
                holds (OperatorLaws.exact "one mode" (to' layer) grids grids[0] 2)
        }

        test "a periodic axis in front of a Dirichlet axis" {
            let domain = Domain [| Axis.Periodic 1.0; Axis.Dirichlet 1.0 |]
            use layer = plain domain [| 3; 4 |]
            let grids = [| uniform domain [ 7; 8 ]; uniform domain [ 8; 13 ] |]
            holds (OperatorLaws.exact "mixed axes" (to' layer) grids grids[0] 2)
        }

        test "open axes: order 4 from the end corrections, and 1e-7 at 257 nodes" {
            let domain = Domain.Cube(2, 1.0, Boundary.Open)
            use layer = plain domain [| 3; 3 |]
            let grids = [| for n in [ 17; 33; 65; 129 ] -> uniform domain [ n; n ] |]
            holds (OperatorLaws.converges "open axes" (to' layer) grids (uniform domain [ 9; 9 ]) 2 11.0)

            let cells = [|
                for n in [ 16; 32; 64; 128 ] ->
                    laidOut [ domain[0], n, PointLayout.Cells; domain[1], n, PointLayout.Cells ]
            |]

            holds (OperatorLaws.converges "open cells" (to' layer) cells (uniform domain [ 9; 9 ]) 2 11.0)
        }

        test "irregular points: order 2; points of Gauss and Legendre: to rounding" {
            let domain = Domain [| Axis.Open 1.0 |]
            use layer = plain domain [| 4 |]

            let bend (n: int) =
                Array.init n (fun j -> let z = float j / float (n - 1) in z + 0.1 * sin (2.0 * Math.PI * z) / Math.PI)

            let grids = [|
                for n in [ 17; 33; 65; 129; 1025 ] -> Discretisation.Product [| AxisPoints.At(domain[0], bend n) |]
            |]

            holds (OperatorLaws.converges "irregular points" (to' layer) grids (uniform domain [ 9 ]) 2 3.6)

            let gauss = [|
                for n in [ 14; 17; 25 ] -> Discretisation.Product [| AxisPoints.GaussLegendre(domain[0], n) |]
            |]

            holds (OperatorLaws.exact "Gauss and Legendre" (to' layer) gauss (uniform domain [ 9 ]) 2)
        }

        test "a cloud with the points and weights of a grid is that grid" {
            use _ = torch.NewDisposeScope()
            let domain = Domain [| Axis.Periodic 1.0; Axis.Neumann 2.0 |]
            use layer = plain domain [| 3; 4 |]
            let grid = uniform domain [ 8; 9 ]
            let field = OperatorLaws.field grid 2 2 3 2
            let x = Tensors.toArray (grid.Coordinates(f64, torch.CPU))
            let points = Array2D.init 72 2 (fun j i -> x[72 * i + j])
            let cloud = Discretisation.Cloud(domain, points, Tensors.toArray (grid.Weights(f64, torch.CPU)))
            let onCloud = new Field(cloud, field.Values.reshape ([| 2L; 2L; 72L |]))
            let image = (layer.Apply onCloud).Values
            Expect.isLessThan (gap image ((layer.Apply field).Values.reshape image.shape)) 1e-12 "from cloud to cloud"
            let back = layer.Apply(onCloud, grid)
            Expect.isLessThan (gap back.Values (layer.Apply field).Values) 1e-12 "from cloud to grid"
        }

        test "a batch of unlike clouds: each sample by its own points" {
            use _ = torch.NewDisposeScope()
            let domain = Domain [| Axis.Periodic 1.0 |]
            use layer = plain domain [| 3 |]

            let cloud n phase =
                Array2D.init n 1 (fun j _ -> (float j + phase) / float n), Array.create n (1.0 / float n)

            let (p, v), (q, w) = cloud 9 0.2, cloud 12 0.7
            let both = Discretisation.Clouds(domain, [| p; q |], [| v; w |])
            let field = OperatorLaws.field both 1 2 4 2
            let values = (layer.Apply(field, uniform domain [ 8 ])).Values

            for s, (points, weights) in [ 0, (p, v); 1, (q, w) ] do
                let alone = Discretisation.Cloud(domain, points, weights)
                let one = OperatorLaws.field alone 1 2 4 2
                let image = (layer.Apply(one, uniform domain [ 8 ])).Values
                Expect.isLessThan (gap image (values.narrow (0L, int64 s, 1L))) 1e-12 $"sample {s}"
        }

        test "commutes with translations, maps samples by themselves, has the right gradients" {
            use layer = plain torus2 [| 4; 3 |]
            let grid = uniform torus2 [ 12; 9 ]
            holds (OperatorLaws.translation "spectral" layer.Apply grid 2)
            holds (OperatorLaws.batchIndependence "spectral" layer.Apply grid 2)
            holds (OperatorLaws.gradients "spectral" layer.Apply (layer.parameters ()) grid 2)
        }

        test "the laws report a layer that reads its grid, and one that mixes its batch" {
            let pixels (field: Field) = field.With(field.Values.sub (field.Values.roll (1L, 2L)))
            let read (field: Field) (target: Discretisation) = FieldResampling.upto target (pixels field)
            let grids = [| for n in [ 9; 17; 33 ] -> uniform torus1 [ n ] |]
            fails (OperatorLaws.exact "differences of pixels" read grids grids[0] 1)
            let mixing (field: Field) = field.With(field.Values.sub (field.Values.mean ([| 0L |], true)))
            fails (OperatorLaws.batchIndependence "mixing" mixing grids[0] 1)
            let fixedPlace (field: Field) = field.With(field.Values.mul (torch.arange(9).``to``(f64)))
            fails (OperatorLaws.translation "a fixed place" fixedPlace grids[0] 1)
        }
    ]

let private weightTests =
    let kinds = [ SpectralWeightKind.Cp; SpectralWeightKind.Tucker; SpectralWeightKind.TensorTrain ]

    testList "spectral weights" [
        for kind in kinds do
            test $"{kind}: the same as dense weights of its product, with fewer parameters" {
                use _ = torch.NewDisposeScope()
                let options = { SpectralOptions.Default with Weights = kind; Rank = 0.2 }
                use layer = spectral torus2 [| 4; 4 |] 6 5 options
                use dense = spectral torus2 [| 4; 4 |] 6 5 SpectralOptions.Default
                let share = float layer.ParameterCount / float dense.ParameterCount
                Expect.isLessThan share 0.3 "share of the parameters"
                Expect.isGreaterThan share 0.08 "share of the parameters"
                let weight = dense.parameters () |> Seq.head

                use _ = torch.no_grad ()
                weight.copy_ (torch.view_as_real (layer.DenseWeights())) |> ignore
                let field = OperatorLaws.field (uniform torus2 [ 9; 12 ]) 2 6 5 3
                Expect.isLessThan (gap (layer.Apply field).Values (dense.Apply field).Values) 1e-12 "gap"
            }

            test $"{kind}: entries have the deviation of dense ones" {
                use _ = torch.NewDisposeScope()
                let options = { SpectralOptions.Default with Weights = kind; Rank = 0.3 }
                use layer = spectral torus2 [| 8; 8 |] 16 16 options

                let deviation =
                    (torch.view_as_real (layer.DenseWeights())).square().sum([| -1L |]).mean().sqrt().ToDouble()

                Expect.floatClose { absolute = 0.0; relative = 0.35 } deviation 0.25 "sqrt (2 / 32)"
            }

        test "Cp, by its definition" {
            use _ = torch.NewDisposeScope()
            let options = { SpectralOptions.Default with Weights = SpectralWeightKind.Cp; Rank = 0.5 }
            use layer = spectral torus1 [| 4 |] 2 3 options

            let parts =
                layer.named_parameters ()
                |> Seq.map (fun struct (n, p) -> n, torch.view_as_complex (p :> Tensor))
                |> dict

            let part i = parts[$"weights.factor{i}"]
            let rank = parts["weights.scale"].shape[0]
            let w = layer.DenseWeights()

            for k in 0L .. 3L do
                for i in 0L .. 1L do
                    for o in 0L .. 2L do
                        let mutable sum = System.Numerics.Complex.Zero

                        for r in 0L .. rank - 1L do
                            let entry (t: Tensor) (a: int64) = t[a, r].ToComplex64()

                            sum <-
                                sum
                                + entry (part 0) k
                                  * entry (part 1) i
                                  * entry (part 2) o
                                  * parts["weights.scale"].[r].ToComplex64()

                        Expect.isLessThan (System.Numerics.Complex.Abs(sum - w[k, i, o].ToComplex64())) 1e-13 "entry"
        }

        test "separable weights keep channels apart" {
            use _ = torch.NewDisposeScope()
            let options = { SpectralOptions.Default with Weights = SpectralWeightKind.Separable }
            use layer = spectral torus2 [| 3; 3 |] 2 2 options
            let grid = uniform torus2 [ 8; 8 ]
            let field = OperatorLaws.field grid 1 2 6 2
            let first = field.Values.clone ()
            first.narrow(1L, 1L, 1L).zero_() |> ignore
            let image = (layer.Apply field).Values
            let alone = (layer.Apply(field.With first)).Values
            Expect.isLessThan (gap (image.narrow (1L, 0L, 1L)) (alone.narrow (1L, 0L, 1L))) 1e-13 "channel 0"
            Expect.isLessThan (alone.narrow(1L, 1L, 1L).abs().max().ToDouble()) 1e-13 "channel 1"
            refused [ "2"; "3" ] (fun () -> (spectral torus2 [| 3; 3 |] 2 3 options).Dispose())
        }

        for kind in SpectralWeightKind.Dense :: kinds do
            test $"{kind}: taking more modes into use keeps the function, and they learn" {
                use _ = torch.NewDisposeScope()
                let options = { SpectralOptions.Default with Weights = kind; FirstModes = [| 2; 3 |] }
                use layer = spectral torus2 [| 5; 6 |] 2 2 options
                let field = OperatorLaws.field (uniform torus2 [ 13; 14 ]) 2 2 7 5
                let before = (layer.Apply field).Values
                Expect.equal layer.ActiveModes [| 2; 3 |] "at first"
                layer.Grow [| 4; 3 |]
                layer.Grow [| 5; 6 |]
                Expect.equal layer.ActiveModes [| 5; 6 |] "in the end"
                let after = (layer.Apply field).Values
                Expect.isLessThan (gap before after) 1e-13 "the function"
                Autograd.backward ((layer.Apply field).Values.square().sum())

                let learns =
                    layer.parameters ()
                    |> Seq.exists (fun p ->
                        (p.eq(0.0.ToScalar()).logical_and(p.grad.ne (0.0.ToScalar()))).any().ToBoolean())

                Expect.isTrue learns "zero weights have gradients"

                for p in layer.parameters () do
                    p.grad <- null

                refused [ "4"; "5" ] (fun () -> layer.Grow [| 4; 6 |])
                refused [ "7" ] (fun () -> layer.Grow [| 7; 6 |])
            }
    ]

let private pointwiseTests =
    testList "pointwise layers and norms" [
        test "a linear map at every point" {
            use _ = torch.NewDisposeScope()
            use layer = seeded 2UL (fun g -> new PointwiseLinear(2, 3, true, f64, g))
            let field = OperatorLaws.field (uniform torus2 [ 5; 6 ]) 2 2 8 2
            let weight = Seq.head (layer.parameters ()) :> Tensor
            let bias = Seq.last (layer.parameters ()) :> Tensor
            let expected = torch.einsum ("oi,bixy->boxy", [| weight; field.Values |])

            Expect.isLessThan
                (gap (layer.Apply field).Values (expected.add (bias.reshape ([| 3L; 1L; 1L |]))))
                1e-13
                "gap"
        }

        test "gradients of networks, gates and norms" {
            let grid = uniform torus1 [ 7 ]

            for layer in
                [
                    seeded 3UL (fun g -> new PointwiseMlp(2, [| 4 |], 3, OperatorActivation.Gelu, f64, g))
                    :> OperatorLayer
                    new SoftGate(2, f64)
                    new FunctionNorm(2, FunctionNormKind.Instance, 0, f64)
                    new FunctionNorm(2, FunctionNormKind.Layer, 0, f64)
                ] do
                use layer = layer
                holds (OperatorLaws.gradients (layer.GetName()) layer.Apply (layer.parameters ()) grid 2)
                holds (OperatorLaws.batchIndependence (layer.GetName()) layer.Apply grid 2)
        }

        test "a norm gives mean 0 and deviation 1 over the domain, wherever points are dense" {
            use _ = torch.NewDisposeScope()
            let domain = Domain [| Axis.Open 2.0 |]
            let dense (n: int) = Array.init n (fun j -> 2.0 * Math.Pow(float j / float (n - 1), 2.0))
            let crowded = Discretisation.Product [| AxisPoints.At(domain[0], dense 400) |]
            let field = FieldValues.ofFunction 1 f64 crowded (fun x -> [| x[0]; 3.0 + sin x[0] |])
            use layer = new FunctionNorm(2, FunctionNormKind.Instance, 0, f64)
            let image = layer.Apply field
            let mean = Tensors.toArray (FieldValues.mean image)
            let square = Tensors.toArray (FieldValues.mean (image.With(image.Values.square ())))
            Expect.all mean (fun m -> abs m < 1e-12) "means"
            Expect.all square (fun s -> abs (s - 1.0) < 1e-3) "mean squares"
            // x on [0, 2] has mean 1 and variance 1/3: the image of x at 2 is sqrt 3
            let last = image.Values[0L, 0L, 399L].ToDouble()
            Expect.floatClose { absolute = 1e-3; relative = 0.0 } last (sqrt 3.0) "at the end"
            // as the mean of the values it would be another function
            let byCount =
                (2.0 - field.Values[0L, 0L].mean().ToDouble()) / field.Values[0L, 0L].std(false).ToDouble()

            Expect.isGreaterThan (abs (byCount - sqrt 3.0)) 0.1 "not by counting points"
        }

        test "an adaptive norm takes its factors from scalar parameters" {
            use _ = torch.NewDisposeScope()
            use layer = new FunctionNorm(1, FunctionNormKind.Instance, 2, f64)
            let field = OperatorLaws.field (uniform torus1 [ 9 ]) 2 1 9 2
            let parameters = Tensors.ofArray [| 1.0; 0.0; 0.0; 2.0 |] [| 2L; 2L |] f64 torch.CPU
            let start = (layer.Apply(field, field.Discretisation, parameters)).Values

            let adaptive =
                layer.named_parameters () |> Seq.pick (fun struct (n, p) -> if n = "adaptive" then Some p else None)

            do
                use _ = torch.no_grad ()
                adaptive.copy_ (Tensors.ofArray [| 3.0; 0.5; -1.0; 0.25 |] [| 2L; 2L |] f64 torch.CPU) |> ignore

            let image = (layer.Apply(field, field.Discretisation, parameters)).Values
            // sample 0: factor 1 + 3, offset -1; sample 1: factor 1 + 1, offset 0.5
            let expected =
                torch.cat (
                    [|
                        start[0L].mul(4.0.ToScalar()).sub(1.0.ToScalar())
                        start[1L].mul(2.0.ToScalar()).add(0.5.ToScalar())
                    |]
                )

            Expect.isLessThan (gap (image.reshape expected.shape) expected) 1e-12 "gap"
            refused [ "2"; "0" ] (fun () -> layer.Apply field |> ignore)
        }

        test "a resampling layer is the same function at other points" {
            use layer = new Resampling()
            let grids = [| for n in [ 7; 8; 15 ] -> uniform torus1 [ n ] |]
            holds (OperatorLaws.exact "resampling" (to' layer) grids grids[0] 2)
        }

        test "positions: waves on periodic axes, places on others" {
            use _ = torch.NewDisposeScope()
            let domain = Domain [| Axis(1.0, 2.0, Boundary.Periodic); Axis(-1.0, 4.0, Boundary.Open) |]
            use layer = new Positions(domain)
            let field = FieldValues.ofFunction 1 f64 (uniform domain [ 4; 5 ]) (fun _ -> [| 7.0 |])
            let image = (layer.Apply field).Values
            let at c = image[0L, int64 c, 1L, 3L].ToDouble()
            Expect.equal layer.Channels 3 "channels"
            Expect.floatClose Accuracy.high (at 0) 7.0 "the input"
            Expect.floatClose Accuracy.high (at 1 + 1.0) 1.0 "cos of a quarter"
            Expect.floatClose Accuracy.high (at 2) 1.0 "sin of a quarter"
            Expect.floatClose Accuracy.high (at 3) 0.75 "three quarters"
        }
    ]

let private refusals =
    testList "refusals" [
        test "more modes than the grid holds: both numbers and the remedy" {
            use layer = plain torus2 [| 8; 8 |]

            refused [ "Axis 0"; "8 modes"; "12 points"; "6"; "15" ] (fun () ->
                layer.Apply(OperatorLaws.field (uniform torus2 [ 12; 20 ]) 1 2 1 2) |> ignore)

            let cloud = Discretisation.Cloud(torus2, array2D [ [ 0.1; 0.2 ]; [ 0.3; 0.4 ] ])

            refused [ "2 points"; "225" ] (fun () -> layer.Apply(OperatorLaws.field cloud 1 2 1 2) |> ignore)
        }

        test "other domains, channels and dtypes" {
            use layer = plain torus1 [| 3 |]
            let other = Domain [| Axis.Periodic 2.0 |]

            refused [ "[0, 2)"; "[0, 1)" ] (fun () ->
                layer.Apply(OperatorLaws.field (uniform other [ 9 ]) 1 2 1 2) |> ignore)

            refused [ "2 channels"; "3" ] (fun () ->
                layer.Apply(OperatorLaws.field (uniform torus1 [ 9 ]) 1 3 1 2) |> ignore)

            use _ = torch.NewDisposeScope()
            let single = OperatorLaws.field (uniform torus1 [ 9 ]) 1 2 1 2

            refused [ "Float32"; "Float64" ] (fun () ->
                layer.Apply(single.With(single.Values.``to`` torch.float32)) |> ignore)
        }

        test "options" {
            refused [ "modes"; "2" ] (fun () -> (plain torus2 [| 3 |]).Dispose())
            refused [ "0 modes" ] (fun () -> (plain torus1 [| 0 |]).Dispose())
            let rank = { SpectralOptions.Default with Weights = SpectralWeightKind.Cp; Rank = 1.5 }
            refused [ "1.5" ] (fun () -> (spectral torus1 [| 3 |] 2 2 rank).Dispose())

            refused [ "-1" ] (fun () ->
                (spectral torus1 [| 3 |] 2 2 { SpectralOptions.Default with Padding = -1.0 }).Dispose())
        }

        test "pointwise layers cannot change points" {
            use layer = new SoftGate(2, f64)

            refused [ "cannot go" ] (fun () ->
                layer.Apply(OperatorLaws.field (uniform torus1 [ 9 ]) 1 2 1 2, uniform torus1 [ 8 ]) |> ignore)
        }
    ]

let private memory =
    test "layers leave no tensor behind but their image" {
        use _ = torch.NewDisposeScope()
        use layer = plain torus2 [| 4; 3 |]
        let field = OperatorLaws.field (uniform torus2 [ 12; 9 ]) 2 2 1 2
        layer.Apply(field).Values.Dispose()
        let before = Tensors.live ()
        let image = layer.Apply field
        Expect.equal (Tensors.live () - before) 1L "one image"
        image.Values.Dispose()
        let cloud = Discretisation.Cloud(torus1, Array2D.init 20 1 (fun j _ -> float j / 20.0))
        use line = plain torus1 [| 3 |]
        let onCloud = OperatorLaws.field cloud 1 2 1 2
        let before = Tensors.live ()
        (line.Apply onCloud).Values.Dispose()
        Expect.equal (Tensors.live () - before) 0L "clouds"
    }

let all = testList "Operator layers" [ spectralTests; weightTests; pointwiseTests; refusals; memory ]
