/// How the memory of a training step grows with the number of steps. Each measurement is a process of its own.
module Continuum.Bench.Memory

open System
open System.Globalization
open Continuum
open Continuum.Bench.Measure
open Continuum.Bench.Network
open TorchSharp

/// In the child: one solve with its backward sweep; prints how far the resident peak rose above the start, in MiB.
let child (way: string) (steps: int) =
    let network = Mlp([| 2; 512; 512; 2 |], 1.0, torch.float32)
    let field = network.Field
    let y0 = inputs 512 2 torch.float32

    let differentiation =
        match way with
        | "recorded" -> Differentiation.Recorded
        | "backsolve" -> Differentiation.BacksolveDefault
        | "reversible" -> Differentiation.ReversibleDefault
        | _ -> Differentiation.DiscreteDefault

    let options steps = {
        TensorOptions.create 1e-5 1e-5 with
            Method = RungeKutta Methods.Rk4
            Solve = { SolveOptions.create 1e-5 1e-5 with Control = Fixed(1.0 / float steps) }
            Differentiation = differentiation
    }

    let once steps =
        use _ = torch.NewDisposeScope()
        use solution = TensorOde.solve (options steps) field 0.0 1.0 y0
        use loss = solution.EnsureSuccess().Final.pow(2.0.ToScalar()).mean()
        Autograd.backward loss

    once 2
    let before = peakResident ()
    once steps
    Console.WriteLine((peakResident () - before).ToString("R", CultureInfo.InvariantCulture))

let private measure (way: string) (steps: int) = Measure.child [] [ "--memory"; way; string steps ]

let run (settings: Settings) =
    for way in [| "recorded"; "discrete"; "backsolve"; "reversible" |] do
        let few = measure way 16
        let many = measure way 160

        print settings {
            line "neural_ode_train" $"memory {way}" 1 nan with
                Steps = 160
                Notes =
                    if Double.IsNaN few || Double.IsNaN many then
                        "skipped: this way does not run"
                    else
                        $"rk4, MLP 2-512-512-2, batch 512: resident peak rises by {few:f1} MiB with 16 steps, {many:f1} MiB with 160"
        }
