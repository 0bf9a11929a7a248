/// Models of operators: the laws of maps between function spaces, files, inputs of all kinds.
module OperatorModelTests

open System
open System.IO
open Continuum
open Continuum.Properties
open Claims
open Expecto
open TorchSharp

let private f64 = torch.float64

let private gap (a: Tensor) (b: Tensor) = a.sub(b).abs().max().ToDouble()

let private seeded (make: torch.Generator -> 'model) : 'model =
    use generator = new torch.Generator(5UL)
    make generator

let private uniform domain (sizes: int list) = Discretisation.Uniform(domain, List.toArray sizes)

let private small (modes: int[]) = { FnoOptions.Create modes with Width = 4; Layers = 2; Projection = 6 }

let private fno domain inputs (options: FnoOptions) : NeuralOperator =
    seeded (fun g -> new Fno(domain, inputs, 1, 0, options, f64, g))

let private unoOptions dimension = { UnoOptions.Create(dimension, 3, 4) with Projection = 6 }

let private uno domain : NeuralOperator =
    seeded (fun g -> new Uno(domain, [| 1 |], 1, 0, unoOptions domain.Dimension, f64, g))

let private deepONet domain encoder : NeuralOperator =
    let options = {
        DeepONetOptions.Default with
            Encoder = encoder
            Readings = 5
            Basis = 4
            Branch = [| 6 |]
            Trunk = [| 6 |]
    }

    seeded (fun g -> new DeepONet(domain, [| 1 |], 2, 0, options, f64, g))

let private at (model: NeuralOperator) (field: Field) (target: Discretisation) =
    model.Apply(OperatorInput([| field |], null, Unchecked.defaultof<Field>, target))

let private torus1 = Domain.Torus 1
let private torus2 = Domain.Torus 2
let private square = Domain.Cube(2, 1.0, Boundary.Open)

let private mixed = Domain [| Axis.Periodic 1.0; Axis.Neumann 1.0 |]

/// Name, model, grids of growing size, the least factor by which the error falls.
let private models: (string * (unit -> NeuralOperator) * Discretisation list * float) list = [
    "FNO 1-D",
    (fun () -> fno torus1 [| 1 |] (small [| 5 |])),
    [ for n in [ 10; 20; 40; 80 ] -> uniform torus1 [ n ] ],
    4.0
    "FNO 2-D",
    (fun () -> fno torus2 [| 1 |] (small [| 3; 3 |])),
    [ for n in [ 9; 18; 36 ] -> uniform torus2 [ n; n + 1 ] ],
    4.0
    "FNO 3-D",
    (fun () -> fno (Domain.Torus 3) [| 1 |] (small [| 2; 2; 2 |])),
    [ for n in [ 6; 10; 16 ] -> uniform (Domain.Torus 3) [ n; n; n ] ],
    3.0
    "FNO on an open square, with norms and pointwise networks",
    (fun () ->
        fno square [| 1 |] {
            small [| 3; 3 |] with
                Mlp = 1.0
                Norm = FunctionNormKind.Instance
                Skip = OperatorSkip.Gate
        }),
    [ for n in [ 13; 25; 49; 97 ] -> uniform square [ n; n ] ],
    6.0
    "TFNO",
    (fun () -> fno torus2 [| 1 |] { small [| 3; 3 |] with Weights = SpectralWeightKind.Tucker; Rank = 0.3 }),
    [ for n in [ 9; 18; 36 ] -> uniform torus2 [ n; n ] ],
    4.0
    "FNO, periodic beside Neumann",
    (fun () -> fno mixed [| 1 |] (small [| 3; 4 |])),
    [ for n in [ 9; 18; 36 ] -> uniform mixed [ n; n ] ],
    3.0
    "U-NO, periodic", (fun () -> uno torus2), [ for n in [ 12; 24; 48 ] -> uniform torus2 [ n; n ] ], 4.0
    "U-NO, odd sizes", (fun () -> uno torus1), [ for n in [ 13; 27; 55 ] -> uniform torus1 [ n ] ], 4.0
    "DeepONet by quadrature",
    (fun () -> deepONet square FunctionEncoder.Projection),
    [ for n in [ 9; 17; 33 ] -> uniform square [ n; n ] ],
    6.0
    "DeepONet with sensors",
    (fun () -> deepONet torus2 FunctionEncoder.Sensors),
    [ for n in [ 6; 12; 24 ] -> uniform torus2 [ n; n ] ],
    1.0
]

let private lawTests =
    testList "laws" [
        for name, make, grids, factor in models do
            let coarse = grids[0]

            test $"{name}: converges as its input is refined" {
                use model = make ()
                holds (OperatorLaws.converges name (at model) (List.toArray grids) coarse 1 factor)
            }

            test $"{name}: maps samples by themselves, has the right gradients, comes back from a file" {
                use model = make ()
                holds (OperatorLaws.batchIndependence name model.Apply coarse 1)
                holds (OperatorLaws.gradients name model.Apply (model.parameters ()) coarse 1)
                use _ = torch.NewDisposeScope()
                let path = Path.Combine(Path.GetTempPath(), $"operator-{Guid.NewGuid():N}.safetensors")

                try
                    OperatorFile.save path model
                    use again = OperatorFile.load path
                    let field = OperatorLaws.field coarse 2 1 3 2

                    Expect.equal
                        (Tensors.toArray (again.Apply field).Values)
                        (Tensors.toArray (model.Apply field).Values)
                        "bits"

                    Expect.equal again.Config model.Config "configuration"
                finally
                    File.Delete path
            }

        test "on a torus, without places: FNO and U-NO commute with translations" {
            use f = fno torus2 [| 1 |] { small [| 3; 3 |] with Positions = false; Norm = FunctionNormKind.Layer }
            holds (OperatorLaws.translation "FNO" f.Apply (uniform torus2 [ 8; 9 ]) 1)
        }

        test "with places the law of translations is seen to fail" {
            use f = fno torus2 [| 1 |] (small [| 3; 3 |])
            Expect.isFalse (OperatorLaws.translation "FNO" f.Apply (uniform torus2 [ 8; 9 ]) 1).Holds "holds"
        }

        test "after training the law of refinement holds as before" {
            use _ = torch.NewDisposeScope()
            use model = fno torus1 [| 1 |] (small [| 5 |])
            use adam = torch.optim.Adam(model.parameters (), 0.02)
            let field = OperatorLaws.field (uniform torus1 [ 24 ]) 4 1 9 2
            let truth = field.Values.square ()
            let loss () = (model.Apply field).Values.sub(truth).square().mean()
            let before = (loss ()).ToDouble()

            for _ in 1..60 do
                use _ = torch.NewDisposeScope()
                adam.zero_grad ()
                (loss ()).backward()
                adam.step () |> ignore

            for p in model.parameters () do
                p.grad <- null

            Expect.isLessThan ((loss ()).ToDouble()) (0.1 * before) "it learned"
            let grids = [| for n in [ 12; 24; 48; 96 ] -> uniform torus1 [ n ] |]
            holds (OperatorLaws.converges "a trained FNO" (at model) grids grids[0] 1 3.0)
        }

        test "an FNO is the same function on irregular points and on clouds, up to quadrature" {
            use _ = torch.NewDisposeScope()
            use model = fno square [| 1 |] (small [| 3; 3 |])
            let at' = uniform square [ 9; 9 ]
            let reference = (at model (OperatorLaws.field (uniform square [ 97; 97 ]) 2 1 4 2) at').Values

            let bend (n: int) =
                Array.init n (fun j -> let z = float j / float (n - 1) in z - 0.12 * sin (2.0 * Math.PI * z) / Math.PI)

            let errors =
                [ 17; 33; 65 ]
                |> List.map (fun n ->
                    let irregular = Discretisation.Product [| for i in 0..1 -> AxisPoints.At(square[i], bend n) |]
                    gap (at model (OperatorLaws.field irregular 2 1 4 2) at').Values reference)

            Expect.isLessThan errors[1] (errors[0] / 3.0) "order 2"
            Expect.isLessThan errors[2] (errors[1] / 3.0) "order 2"
            let gauss = Discretisation.Product [| for i in 0..1 -> AxisPoints.GaussLegendre(square[i], 24) |]
            let x = Tensors.toArray (gauss.Coordinates(f64, torch.CPU))
            let points = Array2D.init 576 2 (fun j i -> x[576 * i + j])
            let cloud = Discretisation.Cloud(square, points, Tensors.toArray (gauss.Weights(f64, torch.CPU)))
            let onCloud = model.Apply(OperatorLaws.field cloud 2 1 4 2)
            let onGrid = model.Apply(OperatorLaws.field gauss 2 1 4 2)

            Expect.isLessThan
                (gap onCloud.Values (onGrid.Values.reshape onCloud.Values.shape))
                1e-10
                "cloud = grid of the same points"
        }

        test "a U-NO at twice the points is near itself (pixel interpolation and corner padding are not)" {
            use _ = torch.NewDisposeScope()
            use model = uno torus2
            let coarse, fine = uniform torus2 [ 16; 16 ], uniform torus2 [ 32; 32 ]
            let a = at model (OperatorLaws.field coarse 2 1 6 2) coarse
            let b = at model (OperatorLaws.field fine 2 1 6 2) coarse
            Expect.isLessThan (gap a.Values b.Values / b.Values.abs().max().ToDouble()) 1e-2 "relative gap"
        }
    ]

let private inputTests =
    testList "inputs" [
        test "several functions on unlike points, parameters as channels" {
            use _ = torch.NewDisposeScope()
            use model = seeded (fun g -> new Fno(torus1, [| 1; 2 |], 1, 2, small [| 3 |], f64, g))
            let parameters = Tensors.ofArray [| 1.0; 2.0; 3.0; 4.0 |] [| 2L; 2L |] f64 torch.CPU

            let image n m =
                let functions = [|
                    OperatorLaws.field (uniform torus1 [ n ]) 2 1 1 2
                    OperatorLaws.field (uniform torus1 [ m ]) 2 2 2 2
                |]

                (model.Apply(OperatorInput(functions, parameters, Unchecked.defaultof<Field>, uniform torus1 [ 8 ])))
                    .Values

            Expect.isLessThan (gap (image 64 9) (image 64 24)) 1e-10 "the second function on 9 or 24 points"

            let one = [| OperatorLaws.field (uniform torus1 [ 8 ]) 2 1 1 2 |]

            refused [ "2 input functions"; "1" ] (fun () ->
                model.Apply(
                    OperatorInput(one, parameters, Unchecked.defaultof<Field>, Unchecked.defaultof<Discretisation>)
                )
                |> ignore)

            refused [ "2 scalar parameters"; "0" ] (fun () ->
                model.Apply(
                    OperatorInput(
                        Array.append one [| OperatorLaws.field (uniform torus1 [ 8 ]) 2 2 1 2 |],
                        null,
                        Unchecked.defaultof<Field>,
                        Unchecked.defaultof<Discretisation>
                    )
                )
                |> ignore)
        }

        for scalars in [ ScalarUse.Channels; ScalarUse.Norms ] do
            test $"scalar parameters as {scalars} change the image of their own sample" {
                use _ = torch.NewDisposeScope()
                let options = { small [| 3 |] with Scalars = scalars; Norm = FunctionNormKind.Instance }
                use model = seeded (fun g -> new Fno(torus1, [| 1 |], 1, 1, options, f64, g))

                do
                    use _ = torch.no_grad ()

                    for struct (name, p) in model.named_parameters () do
                        if name.EndsWith("adaptive", StringComparison.Ordinal) then
                            p.add_ (0.3.ToScalar()) |> ignore

                let field = OperatorLaws.field (uniform torus1 [ 9 ]) 2 1 1 2

                let image (values: float[]) =
                    let p = Tensors.ofArray values [| 2L; 1L |] f64 torch.CPU

                    (model.Apply(
                        OperatorInput([| field |], p, Unchecked.defaultof<Field>, Unchecked.defaultof<Discretisation>)
                    ))
                        .Values

                let a, b = image [| 1.0; 2.0 |], image [| 1.0; 3.0 |]
                Expect.isLessThan (gap a[0L] b[0L]) 1e-14 "sample 0"
                Expect.isGreaterThan (gap a[1L] b[1L]) 1e-4 "sample 1"
            }

        test "what a mask hides has no influence, and the image is zero there" {
            use _ = torch.NewDisposeScope()

            for model in [ fno square [| 1 |] (small [| 3; 3 |]); uno square ] do
                use model = model
                let grid = uniform square [ 13; 13 ]
                let mask = FieldValues.ofFunction 1 f64 grid (fun x -> [| (if x[0] + x[1] < 1.2 then 1.0 else 0.0) |])
                let field = OperatorLaws.field grid 2 1 1 2
                let noise = field.Values.add (mask.Values.sub(1.0.ToScalar()).mul(7.0.ToScalar()))

                let image (values: Tensor) =
                    (model.Apply(OperatorInput([| field.With values |], null, mask, grid))).Values

                let a = image field.Values
                Expect.isLessThan (gap a (image noise)) 1e-12 "hidden values"
                Expect.isLessThan (a.mul(mask.Values.sub (1.0.ToScalar())).abs().max().ToDouble()) 1e-14 "zero outside"
                Expect.isGreaterThan (a.abs().max().ToDouble()) 1e-6 "not zero inside"
        }

        test "what stands under a mask may be anything, NaN too" {
            use _ = torch.NewDisposeScope()

            for model in [ fno square [| 1 |] (small [| 3; 3 |]); uno square ] do

                let scale = { Means = [| 0.3 |]; Deviations = [| 2.0 |] }
                use model = new ScaledOperator(model, [| scale |], scale, ChannelScale.Identity 0)
                let grid = uniform square [ 13; 13 ]
                let mask = FieldValues.ofFunction 1 f64 grid (fun x -> [| (if x[0] + x[1] < 1.2 then 1.0 else 0.0) |])
                let field = OperatorLaws.field grid 2 1 1 2

                let holes =
                    torch.where (mask.Values.gt (0.5.ToScalar()), field.Values, torch.full_like (field.Values, nan))

                let image (values: Tensor) =
                    (model.Apply(OperatorInput([| field.With values |], null, mask, grid))).Values

                Expect.equal (gap (image field.Values) (image holes)) 0.0 "image"
                let options = { LossOptions.Default with Mask = Some mask }

                let truth (values: Tensor) =
                    OperatorLosses.distance FieldNorm.L2 options (field.With(image field.Values)) (field.With values)

                Expect.equal ((truth holes).ToDouble()) ((truth field.Values).ToDouble()) "distance"
        }

        test "an integral may be asked at a few points, or at one" {
            use _ = torch.NewDisposeScope()
            let field = OperatorLaws.field (uniform torus2 [ 12; 12 ]) 2 1 1 2

            use layer =
                seeded (fun g -> new SpectralConvolution(torus2, [| 4; 4 |], 1, 1, SpectralOptions.Default, f64, g))

            let whole = (layer.Apply field).Values
            let few = layer.Apply(field, uniform torus2 [ 3; 2 ])

            let shared =
                whole.index_select(2L, torch.tensor [| 0L; 4L; 8L |]).index_select(3L, torch.tensor [| 0L; 6L |])

            Expect.isLessThan (gap few.Values shared) 1e-10 "a grid of 3 x 2"
            let one = Discretisation.Cloud(torus2, array2D [ [ 1.0 / 3.0; 0.5 ] ])
            let single = (layer.Apply(field, one)).Values.reshape(2L, 1L)
            Expect.isLessThan (gap single (whole.select(2L, 4L).select(2L, 6L))) 1e-10 "one point of a cloud"

            refused [ "4 modes"; "6 points" ] (fun () ->
                layer.Apply(OperatorLaws.field (uniform torus2 [ 6; 12 ]) 1 1 1 2) |> ignore)

            use model = fno torus2 [| 1 |] (small [| 4; 4 |])
            Expect.equal (at model field one).Values.shape [| 2L; 1L; 1L |] "a model, too"
        }

        test "a U-shaped operator names the points of its input that its blocks need" {
            use _ = torch.NewDisposeScope()
            let options = { unoOptions 1 with Modes = [| 3; 8; 8; 8; 3 |] }
            use model = seeded (fun g -> new Uno(torus1, [| 1 |], 1, 0, options, f64, g))
            let field n = OperatorLaws.field (uniform torus1 [ n ]) 1 1 1 2

            refused [ "Block 1 keeps 8 modes"; "10 of the input's 20 points"; "30 points" ] (fun () ->
                model.Apply(field 20) |> ignore)

            model.Apply(field 30) |> ignore
            refused [ "29 points" ] (fun () -> model.Apply(field 29) |> ignore)
        }

        test "means of hidden functions on interior points are of order 3" {
            use _ = torch.NewDisposeScope()
            let walls = Domain [| Axis.Dirichlet 1.0 |]
            use pass = new OperatorPass(f64, torch.CPU, null)

            let error n =
                let grid = Discretisation.Uniform(walls, [| n |], [| PointLayout.Interior |])
                let f = FieldValues.ofFunction 1 f64 grid (fun x -> [| exp (2.0 * x[0]) |])
                abs ((f.Values.mul(pass.Shares grid).sum().ToDouble()) - (exp 2.0 - 1.0) / 2.0)

            Expect.isGreaterThan (error 20 / error 41) 6.5 "halving the distances"

            for n in [ 1; 2; 3; 4; 5; 9 ] do
                let grid = Discretisation.Uniform(walls, [| n |], [| PointLayout.Interior |])
                Expect.floatClose Accuracy.high ((pass.Shares grid).sum().ToDouble()) 1.0 $"{n} points"
        }

        test "half precision and missing options are refused by name" {
            refused [ "float32 or float64" ] (fun () ->
                seeded (fun g -> new Fno(torus1, [| 1 |], 1, 0, small [| 3 |], torch.float16, g)) |> ignore)

            refused [ "Modes" ] (fun () -> fno torus1 [| 1 |] (small null) |> ignore)
            use plain = fno torus1 [| 1 |] { small [| 3 |] with FirstModes = null }
            Expect.isGreaterThan plain.ParameterCount 0L "no first modes"
        }

        test "a residual operator adds to its input" {
            use _ = torch.NewDisposeScope()
            let options = small [| 3 |]
            use plain = fno torus1 [| 1 |] options
            use residual = fno torus1 [| 1 |] { options with Residual = true }
            let field = OperatorLaws.field (uniform torus1 [ 9 ]) 2 1 1 2

            Expect.isLessThan
                (gap (residual.Apply field).Values ((plain.Apply field).Values.add field.Values))
                1e-13
                "gap"
        }

        test "taking modes into use keeps an FNO" {
            use _ = torch.NewDisposeScope()

            use model =
                seeded (fun g -> new Fno(torus1, [| 1 |], 1, 0, { small [| 6 |] with FirstModes = [| 2 |] }, f64, g))

            let field = OperatorLaws.field (uniform torus1 [ 16 ]) 2 1 1 2
            let before = (model.Apply field).Values
            model.Grow [| 6 |]
            Expect.equal model.ActiveModes [| 6 |] "modes"
            Expect.isLessThan (gap before (model.Apply field).Values) 1e-13 "gap"
        }

        test "a grown operator comes back from its file as it is" {
            use _ = torch.NewDisposeScope()
            let options = { small [| 6 |] with FirstModes = [| 2 |] }
            use model = seeded (fun g -> new Fno(torus1, [| 1 |], 1, 0, options, f64, g))
            model.Grow [| 5 |]

            do
                use _ = torch.no_grad ()

                for p in model.parameters () do
                    p.add_ (0.01.ToScalar()) |> ignore

            let path = Path.Combine(Path.GetTempPath(), $"operator-{Guid.NewGuid():N}.safetensors")
            OperatorFile.save path model
            use again = OperatorFile.load path
            File.Delete path
            let field = OperatorLaws.field (uniform torus1 [ 16 ]) 2 1 1 2

            Expect.equal
                (Tensors.toArray (again.Apply field).Values)
                (Tensors.toArray (model.Apply field).Values)
                "bits"
        }

        test "asked on other points a masked image is zero outside, and hidden functions converge on Dirichlet axes" {
            use _ = torch.NewDisposeScope()
            use model = fno torus1 [| 1 |] (small [| 3 |])
            let grid = uniform torus1 [ 16 ]
            let inside (x: float[]) = [| (if x[0] < 0.5 then 1.0 else 0.0) |]
            let mask = FieldValues.ofFunction 1 f64 grid inside
            let field = OperatorLaws.field grid 2 1 1 2
            let image = model.Apply(OperatorInput([| field |], null, mask, uniform torus1 [ 64 ]))
            Expect.equal (image.Values.narrow(2L, 34L, 28L).abs().max().ToDouble()) 0.0 "outside"
            Expect.isGreaterThan (image.Values.abs().max().ToDouble()) 1e-3 "inside"

            let walls = Domain [| Axis.Dirichlet 1.0 |]
            use fixedEnds = fno walls [| 1 |] (small [| 3 |])

            let gaps =
                [ 17; 33; 65 ]
                |> List.map (fun n ->
                    let coarse, fine = uniform walls [ n ], uniform walls [ 2 * n - 1 ]
                    let asked = at fixedEnds (OperatorLaws.field coarse 1 1 1 2) fine
                    gap asked.Values (fixedEnds.Apply(OperatorLaws.field fine 1 1 1 2)).Values)

            Expect.isLessThan gaps[2] (gaps[0] / 8.0) "asked on finer points"
        }

        test "what does not go together is refused before libtorch sees it" {
            use _ = torch.NewDisposeScope()
            use net = deepONet torus1 FunctionEncoder.Projection
            let cloud = array2D [ [ 0.1 ]; [ 0.2 ]; [ 0.3 ] ]

            let two =
                Discretisation.Clouds(torus1, [| cloud; cloud |], [| [| 1.0; 1.0; 1.0 |]; [| 1.0; 1.0; 1.0 |] |])

            let field = OperatorLaws.field (uniform torus1 [ 9 ]) 3 1 1 2
            refused [ "2 clouds"; "3 samples" ] (fun () -> at net field two |> ignore)
            let options = { small [| 3 |] with Scalars = ScalarUse.Norms }
            use adaptive = seeded (fun g -> new Fno(torus1, [| 1 |], 1, 1, options, f64, g))
            let single = torch.ones ([| 3L; 1L |], dtype = Nullable torch.float32)

            refused [ "Float32"; "Float64" ] (fun () ->
                adaptive.Apply(
                    OperatorInput([| field |], single, Unchecked.defaultof<Field>, Unchecked.defaultof<Discretisation>)
                )
                |> ignore)
        }

        test "scaled operators see scaled functions" {
            use _ = torch.NewDisposeScope()
            use inner = fno torus1 [| 1 |] (small [| 3 |])
            let input = { Means = [| 2.0 |]; Deviations = [| 4.0 |] }
            let output = { Means = [| -1.0 |]; Deviations = [| 0.5 |] }
            use scaled = new ScaledOperator(inner, [| input |], output, ChannelScale.Identity 0)
            let field = OperatorLaws.field (uniform torus1 [ 9 ]) 2 1 1 2

            let expected =
                (inner.Apply(field.With(field.Values.sub(2.0.ToScalar()).div(4.0.ToScalar()))))
                    .Values.mul(0.5.ToScalar())
                    .sub(1.0.ToScalar())

            Expect.isLessThan (gap (scaled.Apply field).Values expected) 1e-13 "gap"

            let path = Path.Combine(Path.GetTempPath(), $"operator-{Guid.NewGuid():N}.safetensors")
            OperatorFile.save path scaled
            use again = OperatorFile.load path
            File.Delete path

            Expect.equal
                (Tensors.toArray (again.Apply field).Values)
                (Tensors.toArray (scaled.Apply field).Values)
                "bits"

            let of' =
                ChannelScale.Of(
                    FieldValues.ofFunction 1 f64 (uniform torus1 [ 16 ]) (fun x -> [|
                        3.0 + sin (2.0 * Math.PI * x[0])
                        5.0
                    |])
                )

            Expect.floatClose Accuracy.high of'.Means[0] 3.0 "mean"
            Expect.floatClose Accuracy.high of'.Deviations[0] (sqrt 0.5) "deviation"
            Expect.equal of'.Deviations[1] 1.0 "a constant channel"
        }

        test "an autoregressive operator is one operator again and again" {
            use _ = torch.NewDisposeScope()
            use one = seeded (fun g -> new Fno(torus1, [| 4 |], 2, 0, small [| 3 |], f64, g))
            use motion = new Autoregressive(one, 2, 3)
            let field = OperatorLaws.field (uniform torus1 [ 9 ]) 2 4 1 2
            let first = (one.Apply field).Values

            let second =
                (one.Apply(field.With(torch.cat ([| field.Values.narrow (1L, 2L, 2L); first |], 1L)))).Values

            let third = (one.Apply(field.With(torch.cat ([| first; second |], 1L)))).Values
            Expect.isLessThan (gap (motion.Apply field).Values (torch.cat ([| first; second; third |], 1L))) 1e-13 "gap"
            refused [ "6"; "4" ] (fun () -> new Autoregressive(one, 3, 3) |> ignore)
        }
    ]

let private dynamics =
    testList "as a vector field" [
        test "gradients through a solve: stored steps and recorded steps agree, and with central differences" {
            use _ = torch.NewDisposeScope()
            use model = fno torus1 [| 1 |] { small [| 3 |] with Width = 3 }
            let grid = uniform torus1 [ 8 ]
            let y0 = (OperatorLaws.field grid 2 1 1 2).Values.requires_grad_()
            let field = OperatorDynamics.field model grid

            let loss (way: Differentiation) (y: Tensor) =
                let options = { TensorOptions.create 1e-9 1e-9 with Differentiation = way }
                let solution = (TensorOde.solve options field 0.0 1.0 y).EnsureSuccess()
                solution.Final.square().sum()

            let slopes way =
                Autograd.backward (loss way y0)
                let all = Array.append [| y0.grad.clone () |] [| for p in model.parameters () -> p.grad.clone () |]
                y0.grad <- null

                for p in model.parameters () do
                    p.grad <- null

                all

            let recorded = slopes Differentiation.Recorded
            let discrete = slopes Differentiation.DiscreteDefault
            Array.iter2 (fun a b -> Expect.isLessThan (gap a b) 1e-9 "recorded and discrete") recorded discrete

            use _ = torch.no_grad ()
            let direction = y0.cos ()
            let shifted (s: float) = (loss Differentiation.None (y0.add (direction.mul (s.ToScalar())))).ToDouble()
            let slope = (shifted 1e-4 - shifted -1e-4) / 2e-4

            Expect.floatClose
                { absolute = 1e-6; relative = 1e-5 }
                (recorded[0].mul(direction).sum().ToDouble())
                slope
                "central difference"
        }

        test "stiff methods and the adjoint equation give the same solution and slopes" {
            use _ = torch.NewDisposeScope()
            use model = fno torus1 [| 1 |] { small [| 3 |] with Width = 3 }
            let grid = uniform torus1 [ 8 ]
            let y0 = (OperatorLaws.field grid 1 1 1 2).Values.requires_grad_()
            let field = OperatorDynamics.field model grid

            let solved method way =
                let options = { TensorOptions.create 1e-8 1e-8 with Method = method; Differentiation = way }

                let final = (TensorOde.solve options field 0.0 0.05 y0).EnsureSuccess().Final
                Autograd.backward (final.square().sum())

                let all = [|
                    yield final.detach ()
                    yield y0.grad.clone ()
                    for p in model.parameters () -> p.grad.clone ()
                |]

                y0.grad <- null

                for p in model.parameters () do
                    p.grad <- null

                all

            let reference = solved (RungeKutta Methods.Tsit5) Differentiation.Recorded

            for name, method, way in
                [
                    "Backsolve", RungeKutta Methods.Tsit5, Differentiation.BacksolveDefault
                    "Rodas5P", Rosenbrock RosenbrockMethods.Rodas5P, Differentiation.DiscreteDefault
                    "Kvaerno5", Esdirk EsdirkMethods.Kvaerno5, Differentiation.DiscreteDefault
                    "Kvaerno5, recorded", Esdirk EsdirkMethods.Kvaerno5, Differentiation.Recorded
                ] do
                Array.iter2
                    (fun (a: Tensor) b -> Expect.isLessThan (gap a b) (1e-5 * (1.0 + a.abs().max().ToDouble())) name)
                    reference
                    (solved method way)
        }

        test "the known part of an equation beside a learned one" {
            use _ = torch.NewDisposeScope()
            use model = fno torus1 [| 1 |] (small [| 3 |])

            do
                use _ = torch.no_grad ()

                for p in model.parameters () do
                    p.zero_ () |> ignore

            // Nothing is learned yet: the heat equation alone.
            let grid = uniform torus1 [ 16 ]
            let field = OperatorDynamics.fieldBeside model grid GridCalculus.laplacian
            let y0 = FieldValues.ofFunction 1 f64 grid (fun x -> [| sin (2.0 * Math.PI * x[0]) |])
            use solution = TensorOde.solve (TensorOptions.create 1e-9 1e-9) field 0.0 0.01 y0.Values
            let expected = y0.Values.mul ((exp (-4.0 * Math.PI * Math.PI * 0.01)).ToScalar())
            Expect.isLessThan (gap solution.Final expected) 1e-7 "heat"
        }

        test "with noise" {
            use _ = torch.NewDisposeScope()
            use _ = torch.no_grad ()
            use model = fno torus1 [| 1 |] (small [| 3 |])
            let grid = uniform torus1 [ 8 ]
            let y0 = (OperatorLaws.field grid 2 1 1 2).Values
            let sde = OperatorDynamics.diagonalNoise<Ito> model grid (fun y -> y.mul (0.1.ToScalar()))
            let options = TensorSdeOptions.fixedSteps 0.05

            let run seed =
                (TensorSde.simulate options SdeMethods.eulerMaruyama<DiagonalNoise> sde seed 0.0 0.5 y0)
                    .EnsureSuccess()
                    .Final

            Expect.equal (run 1UL).shape y0.shape "shape"
            Expect.isGreaterThan (gap (run 1UL) (run 2UL)) 1e-4 "seeds differ"
        }

        test "an operator whose image is no derivative" {
            use model = deepONet torus1 FunctionEncoder.Projection
            refused [ "1"; "2" ] (fun () -> OperatorDynamics.field model (uniform torus1 [ 8 ]) |> ignore)
        }
    ]

let private files =
    test "damaged files and files of other things name the file" {
        let path = Path.Combine(Path.GetTempPath(), $"operator-{Guid.NewGuid():N}.safetensors")

        let refuses word =
            try
                (OperatorFile.load path).Dispose()
                failtest "nothing was refused"
            with :? InvalidDataException as error ->
                Expect.stringContains error.Message (Path.GetFileName path) "the file"
                Expect.stringContains error.Message word "the reason"

        try
            use model = fno torus1 [| 1 |] (small [| 3 |])
            OperatorFile.save path model
            let bytes = File.ReadAllBytes path
            File.WriteAllBytes(path, bytes[.. bytes.Length / 2])
            refuses ""
            let stored: Checkpoint = { Kind = "operator"; Config = "{}"; Training = ""; Tensors = [||] }
            stored.Save path
            refuses "config"

            {
                stored with
                    Config = (OperatorFile.config model).Replace("\"fno\"", "\"other\"")
            }
                .Save
                path

            refuses "other"
            { stored with Config = (OperatorFile.config model).Replace("Periodic", "Wavy") }.Save path
            refuses "Wavy"
            { stored with Config = OperatorFile.config model }.Save path
            refuses "model."
        finally
            File.Delete path
    }

let private moved =
    test "a model that is moved works on (another dtype here, another device alike) and remembers it in its file" {
        use _ = torch.NewDisposeScope()

        for name, make, grids, _ in models do
            use model = make ()
            let field = OperatorLaws.field grids[0] 2 1 3 2
            let image = (model.Apply field).Values
            model.``to`` torch.float32 |> ignore
            let single = model.Apply(field.With(field.Values.``to`` torch.float32))
            Expect.equal single.Values.dtype torch.float32 name
            Expect.isLessThan (gap (single.Values.``to`` f64) image / image.abs().max().ToDouble()) 1e-4 name
            Expect.stringContains model.Config "float32" name
    }

let private memory =
    test "models leave no tensor behind but their image" {
        use _ = torch.NewDisposeScope()

        for _, make, grids, _ in models do
            use model = make ()
            let field = OperatorLaws.field grids[0] 2 1 3 2
            (model.Apply field).Values.Dispose()
            let before = Tensors.live ()
            (model.Apply field).Values.Dispose()
            Expect.equal (Tensors.live () - before) 0L (model.GetName())
    }

let all = testList "Operator models" [ lawTests; inputTests; dynamics; files; moved; memory ]
