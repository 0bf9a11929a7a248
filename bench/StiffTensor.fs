/// The workload stiff_tensor: a batch of van der Pol oscillators, a clock for each, beside the same solves one by one on arrays.
module Continuum.Bench.StiffTensor

open System
open Continuum
open Continuum.Bench.Measure
open TorchSharp

let private batch = 256
let private finish = 100.0
let private stiffness = Array.init batch (fun i -> 50.0 + 100.0 * float i / float (batch - 1))

let private field () =
    let mu = Tensors.ofArray stiffness [| int64 batch; 1L |] torch.float64 torch.CPU

    TensorField.autonomous [] (fun y ->
        let x, v = y.narrow (1L, 0L, 1L), y.narrow (1L, 1L, 1L)
        torch.cat ([| v; mu.mul((torch.ones_like x).sub(x.mul x)).mul(v).sub x |], 1L))

let private system (mu: float) =
    let field =
        VectorField(fun _ y dydt ->
            dydt[0] <- y[1]
            dydt[1] <- mu * (1.0 - y[0] * y[0]) * y[1] - y[0])

    let jacobian =
        JacobianFunction(fun _ y j ->
            j[0, 1] <- 1.0
            j[1, 0] <- -2.0 * mu * y[0] * y[1] - 1.0
            j[1, 1] <- mu * (1.0 - y[0] * y[0]))

    OdeSystem.OfField(field, 2).WithJacobian jacobian

let private options method : BatchOptions = {
    BatchOptions.create 1e-5 1e-7 (Array.zeroCreate batch) (Array.create batch finish) with
        Method = method
        Differentiation = Differentiation.None
}

let private report (settings: Settings) (method: Method) =
    use _ = torch.NewDisposeScope()
    let field = field ()
    let start = Tensors.ofArray [| 2.0; 0.0 |] [| 1L; 2L |] torch.float64 torch.CPU
    let y0 = start.repeat (int64 batch, 1L)
    let systems = stiffness |> Array.map system
    let plain = SolveOptions.create 1e-5 1e-7

    let together () =
        use solution = BatchOde.solve (options method) field y0
        solution.EnsureSuccess() |> ignore

    let alone () =
        for system in systems do
            ArrayOde.solveSystem method plain system 0.0 finish [| 2.0; 0.0 |] |> ignore

    let samples = sampleTogether settings.Runs [| together; alone |]
    let solution = BatchOde.solve (options method) field y0

    let gap =
        systems
        |> Array.mapi (fun i system ->
            let expected = (ArrayOde.solveSystem method plain system 0.0 finish [| 2.0; 0.0 |]).FinalState
            let found = solution.Final[int64 i]
            abs (found[0L].ToDouble() - expected[0]))
        |> Array.max

    let each (series: Series) = 1e6 * median series.Cpu / float batch

    print settings {
        line "stiff_tensor" method.Name settings.Runs (median samples[0].Wall) with
            Evaluations = solution.Evaluations
            Steps = Array.sum solution.Accepted
            Rejected = Array.sum solution.Rejected
            Error = gap
            Overhead = cpuRatio samples[0] samples[1]
            Notes =
                $"{batch} samples; processor time a sample {each samples[0]:f0} us, on arrays {each samples[1]:f0} us; error: largest difference of x from arrays"
    }

let run (settings: Settings) =
    report settings (Rosenbrock RosenbrockMethods.Rodas5P)
    report settings (Esdirk EsdirkMethods.Kvaerno5)
