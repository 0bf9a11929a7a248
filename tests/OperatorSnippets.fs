/// The F# code of docs/Operators.md, as it stands there.
module OperatorSnippets

open System
open System.Threading
open Continuum
open Expecto
open TorchSharp

let tests =
    testList "Docs of operators" [
        test "a Fourier neural operator of Burgers' equation" {
            let samples, epochs = 24, 2
            // fno
            let data =
                Burgers.generate
                    { BurgersOptions.Default with Grid = 64; SolveGrid = 256 }
                    (Generation.Create(samples, 0))

            let single = data.To torch.float32
            let train, test = single.Range(0, samples - 8), single.Range(samples - 8, 8)
            use generator = new torch.Generator(0UL)

            let network =
                new Fno(
                    Domain.Torus 1,
                    [| 1 |],
                    1,
                    0,
                    { FnoOptions.Create [| 12 |] with Width = 16 },
                    torch.float32,
                    generator
                )

            let model = OperatorTraining.scaled train network
            let options = { OperatorTrainingOptions.Default with Epochs = epochs }
            let summary = OperatorTraining.fit options model train test null CancellationToken.None
            let errors = OperatorTraining.errors FieldNorm.L2 model test 8
            // end
            Expect.equal summary.Iterations 2 "iterations"
            Expect.isLessThan (Array.average errors) 1.5 "errors"
        }

        test "an operator in an equation" {
            use _ = torch.NewDisposeScope()
            use generator = new torch.Generator(0UL)
            let options = { FnoOptions.Create [| 4 |] with Width = 4; Layers = 1 }
            use model = new Fno(Domain.Torus 1, [| 1 |], 1, 0, options, torch.float64, generator)

            let y0 =
                FieldValues.ofFunction 1 torch.float64 (Discretisation.Uniform(Domain.Torus 1, [| 16 |])) (fun x -> [|
                    sin (2.0 * Math.PI * x[0])
                |])
            // dynamics
            let grid = Discretisation.Uniform(Domain.Torus 1, [| 16 |])
            let field = OperatorDynamics.fieldBeside model grid GridCalculus.laplacian // dy/dt = Laplace y + G(y)
            let solution = TensorOde.solve (TensorOptions.create 1e-6 1e-6) field 0.0 0.01 y0.Values
            // end
            Expect.isFalse (isNull (solution.EnsureSuccess()).Final) "the end"
        }
    ]
