/// Models of operators: the laws of maps between function spaces, files, inputs of all kinds.
module OperatorModelTests

open System
open System.IO
open Continuum
open Continuum.Properties
open Claims
open OperatorModelCases
open Expecto
open TorchSharp

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

let all =
    testList "Operator models" [
        lawTests
        OperatorInputTests.inputTests
        OperatorDynamicsTests.dynamics
        files
        moved
        memory
    ]
