// Viscous Burgers flow as an operator: from the velocity at time 0 to that at time 1. A Fourier neural operator learns it on 64 points from data that
// our own solver makes, and answers on 256 points.
#load "continuum.fsx"

open System
open System.Threading
open Continuum
open TorchSharp

NativeLibraries.ensure ()
torch.set_num_threads 1

// 256 points; every fourth is what the operator learns from.
let fine =
    (Burgers.generate { BurgersOptions.Default with Grid = 256; SolveGrid = 512 } (Generation.Create(240, 0))).To
        torch.float32

let coarse = fine.Stride [| 4 |]
let train, test = coarse.Range(0, 200), coarse.Range(200, 40)

let model =
    use generator = new torch.Generator(0UL)

    let network =
        new Fno(Domain.Torus 1, [| 1 |], 1, 0, { FnoOptions.Create [| 12 |] with Width = 24 }, torch.float32, generator)

    OperatorTraining.scaled train network

let options = { OperatorTrainingOptions.Default with Epochs = 25; Loop.LearningRate = 5e-3 }

let summary =
    OperatorTraining.fit options model train Unchecked.defaultof<OperatorDataset> null CancellationToken.None

let error data = OperatorTraining.errors FieldNorm.L2 model data 20 |> Array.average
let onCoarse = error test
let onFine = error (fine.Range(200, 40))
printfn $"{model.ParameterCount} parameters, {summary.Iterations} iterations in {summary.Elapsed.TotalSeconds:f0} s"
printfn $"relative L2 error on new samples: {onCoarse:p2} on 64 points, {onFine:p2} on 256"

// The mean velocity is conserved by the equation; how well has the operator learned it?
let images = OperatorTraining.predict model test 20

let drift =
    let change = (FieldValues.mean images).sub(FieldValues.mean (snd test.Inputs[0]))
    change.abs().max().ToDouble()

printfn $"largest change of the mean velocity: {drift:g2}"
check (onCoarse < 0.08) $"the error is {onCoarse:f4}"
check (onFine < 1.2 * onCoarse) $"on finer points the error is {onFine:f4}"
