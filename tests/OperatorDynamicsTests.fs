/// Operators as right-hand sides of differential equations.
module OperatorDynamicsTests

open System
open System.IO
open Continuum
open Continuum.Properties
open Claims
open OperatorModelCases
open Expecto
open TorchSharp

let dynamics =
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
