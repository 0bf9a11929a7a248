/// What models of operators take: several inputs, parameters, masks, points, and what they refuse.
module OperatorInputTests

open System
open System.IO
open Continuum
open Continuum.Properties
open Claims
open OperatorModelCases
open Expecto
open TorchSharp

let inputTests =
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

        test "an H1 distance under a mask is that of the part under it, whatever stands elsewhere" {
            use _ = torch.NewDisposeScope()

            for domain in [ square; torus2 ] do
                let grid = uniform domain [ 24; 24 ]
                let inside (x: float[]) = x[0] < 0.6 && x[1] < 0.7
                let mask = FieldValues.ofFunction 1 f64 grid (fun x -> [| if inside x then 1.0 else 0.0 |])
                let options = { LossOptions.Default with Mask = Some mask; Relative = false }

                let size (elsewhere: float) =
                    let f =
                        FieldValues.ofFunction 1 f64 grid (fun x -> [|
                            if inside x then 2.0 * x[0] - x[1] else elsewhere
                        |])

                    let zero = f.With(torch.zeros_like f.Values)
                    (OperatorLosses.distance FieldNorm.H1 options f zero).ToDouble()

                Expect.equal (size 1e6) (size 0.0) "what stands elsewhere"
                Expect.equal (size nan) (size 0.0) "NaN"

                // Slopes 2 and -1: their part of the square is 5 times the area between neighbours.
                let l2 (elsewhere: float) =
                    let f =
                        FieldValues.ofFunction 1 f64 grid (fun x -> [|
                            if inside x then 2.0 * x[0] - x[1] else elsewhere
                        |])

                    (OperatorLosses.distance FieldNorm.L2 options f (f.With(torch.zeros_like f.Values))).ToDouble()

                // Slopes 2 and -1 everywhere: five times the weights under the mask.
                let slopes = Math.Pow(size 0.0, 2.0) - Math.Pow(l2 0.0, 2.0)
                let area = (FieldValues.integral mask).ToDouble()
                Expect.floatClose Accuracy.high slopes (5.0 * area) $"slopes on {domain}"

                // The gradient, too, is that of what is under the mask.
                let f = FieldValues.ofFunction 1 f64 grid (fun x -> [| if inside x then 2.0 * x[0] else nan |])

                for norm in [ FieldNorm.L2; FieldNorm.H1 ] do
                    let guess = (OperatorLaws.field grid 1 1 3 2).Values.requires_grad_()
                    Autograd.backward (OperatorLosses.distance norm options (f.With guess) f)
                    Expect.isTrue (guess.grad.isfinite().all().ToBoolean()) $"gradient in {norm}"
                    Expect.isGreaterThan (guess.grad.abs().max().ToDouble()) 0.0 "not zero"

                // Half a weight everywhere is half of the square.
                let whole = FieldValues.ofFunction 1 f64 grid (fun x -> [| x[0] |])

                let square (weight: float) =
                    let o = { options with Mask = Some(whole.With(torch.full_like (whole.Values, weight))) }

                    Math.Pow(
                        (OperatorLosses.distance FieldNorm.H1 o whole (whole.With(torch.zeros_like whole.Values)))
                            .ToDouble(),
                        2.0
                    )

                Expect.floatClose Accuracy.high (square 0.5) (0.5 * square 1.0) "weights"

            // A mask that hides nothing: the derivatives of the whole domain, to second order.
            let error n =
                let grid = uniform torus2 [ n; n ]
                let f = OperatorLaws.field grid 1 1 3 2
                let zero = f.With(torch.zeros_like f.Values)

                let all = {
                    LossOptions.Default with
                        Relative = false
                        Mask = Some(f.With(torch.ones_like f.Values))
                }

                let whole = { all with Mask = None }
                let size o = (OperatorLosses.distance FieldNorm.H1 o f zero).ToDouble()
                abs (size all - size whole)

            Expect.isGreaterThan (error 16 / error 32) 3.5 "order 2"
        }

        test "what a mask hides is not carried to other points: second inputs, residuals" {
            use _ = torch.NewDisposeScope()
            let grid, finer = uniform square [ 13; 13 ], uniform square [ 25; 25 ]
            let inside (x: float[]) = x[0] + x[1] < 1.2
            let mask = FieldValues.ofFunction 1 f64 grid (fun x -> [| if inside x then 1.0 else 0.0 |])

            let under (points: Discretisation) (hidden: float) (field: Field) =
                let nearest = OperatorValues.mask points mask

                field.With(
                    torch.where (nearest.gt (0.5.ToScalar()), field.Values, torch.full_like (field.Values, hidden))
                )

            use two = fno square [| 1; 1 |] (small [| 3; 3 |])
            use residual = fno square [| 1 |] { small [| 3; 3 |] with Residual = true }
            let a, b = OperatorLaws.field grid 2 1 1 2, OperatorLaws.field finer 2 1 2 2

            let images hidden = [
                (two.Apply(OperatorInput([| a; under finer hidden b |], null, mask, grid))).Values
                (residual.Apply(OperatorInput([| under grid hidden a |], null, mask, finer))).Values
            ]

            for other in [ 5.0; nan ] do
                List.iter2 (fun x y -> Expect.equal (gap x y) 0.0 $"hidden {other}") (images 0.0) (images other)
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

            refused [ "weights"; "smaller width" ] (fun () ->
                fno torus1 [| 1 |] { small [| 3 |] with Width = 1_000_000 } |> ignore)

            refused [ "weights"; "fewer modes" ] (fun () ->
                fno torus1 [| 1 |] (small [| Int32.MaxValue / 4 |]) |> ignore)

            refused [ "not negative" ] (fun () -> fno torus1 [| 1 |] { small [| 3 |] with Mlp = -1.0 } |> ignore)
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
