/// Training a neural SDE on tensors: what each method and each way to differentiate costs beside its own forward solve, and how its memory
/// grows with the number of steps.
module Continuum.Bench.NeuralSdeTrain

open System
open System.Globalization
open Continuum
open Continuum.Bench.Measure
open Continuum.Bench.Network
open Continuum.Bench.NeuralSde
open TorchSharp

/// A method with a way to differentiate it, as one forward solve without gradient and one training step (forward, mean of squares,
/// backward).
type private Variant = { Name: string; Forward: unit -> unit; Train: unit -> unit }

let private solve steps way (method: SdeMethod<'C, DiagonalNoise>) (networks: Networks) (seed: uint64) (y0: Tensor) =
    let step = 1.0 / float steps
    let options = { TensorSdeOptions.fixedSteps step with Differentiation = way }
    let path = TensorSde.path options method (networks.Sde<'C>()) seed 0.0 1.0 y0
    struct (path, (TensorSde.solve options method (networks.Sde<'C>()) path 0.0 1.0 y0).EnsureSuccess())

let private variant (networks: Networks) (y0: Tensor) name way (method: SdeMethod<'C, DiagonalNoise>) : Variant =
    let mutable seed = 0UL

    let next () =
        seed <- seed + 1UL
        seed

    let forward () =
        use _ = torch.no_grad ()
        let struct (path, solution) = solve 100 way method networks (next ()) y0
        use _ = path
        use _ = solution
        ()

    let train () =
        use _ = torch.NewDisposeScope()

        for p in networks.Parameters do
            if not (isNull p.grad) then
                p.grad.zero_ () |> ignore

        let struct (path, solution) = solve 100 way method networks (next ()) y0
        use _ = path
        Autograd.backward (solution.Final.pow(2.0.ToScalar()).mean())

    { Name = $"{method.Name} {name}"; Forward = forward; Train = train }

/// What no exact backward sweep without a stored graph can do without: drift and diffusion once a step with a graph, and its sweep.
let private bareSweep (networks: Networks) (y0: Tensor) () =
    use gradients = new GradientAccumulator(Array.map (fun p -> p :> Tensor) networks.Parameters)
    use bar = torch.ones_like y0

    for _ in 1..100 do
        use _ = torch.NewDisposeScope()
        let leaf = y0.detach().requires_grad_ true

        gradients.Backward([| networks.Drift leaf; networks.Diffusion leaf |], [| bar; bar |], [| leaf |])
        |> ignore

let train (settings: Settings) =
    use _ = torch.NewDisposeScope()
    let networks = Networks torch.float32
    let y0 = inputs 256 8 torch.float32

    let floor =
        let forward = (variant networks y0 "" Differentiation.Recorded SdeMethods.reversibleHeun).Forward
        sampleTogether settings.Runs [| forward; bareSweep networks y0 |]

    print settings {
        line "neural_sde_train" "bare sweep" settings.Runs (median floor[1].Wall) with
            Steps = 100
            Notes =
                $"drift and diffusion once a step with a graph and its sweep, nothing else: {ratio floor[1] floor[0]:f2} x the forward of reversible Heun ({cpuRatio floor[1] floor[0]:f2} x by processor time)"
    }

    let make name way method = variant networks y0 name way method

    let variants = [|
        make "reversible" Differentiation.ReversibleDefault SdeMethods.reversibleHeun
        make "recorded" Differentiation.Recorded SdeMethods.reversibleHeun
        make "backsolve" Differentiation.BacksolveDefault SdeMethods.reversibleHeun
        make "recorded" Differentiation.Recorded SdeMethods.eulerMaruyama
        make "discrete" Differentiation.DiscreteDefault SdeMethods.eulerMaruyama
        make "recorded" Differentiation.Recorded SdeMethods.milstein
        make "discrete" Differentiation.DiscreteDefault SdeMethods.milstein
        make "recorded" Differentiation.Recorded SdeMethods.srid2
        make "discrete" Differentiation.DiscreteDefault SdeMethods.srid2
        make "discrete" Differentiation.DiscreteDefault SdeMethods.heun
        make "reversible (coupled)" Differentiation.ReversibleDefault SdeMethods.heun
    |]

    for v in variants do
        let samples = sampleTogether settings.Runs [| v.Forward; v.Train |]
        let forward = samples[0]
        let train = samples[1]
        let wall = ratio train forward
        let cpu = cpuRatio train forward

        print settings {
            line "neural_sde_train" v.Name settings.Runs (median train.Wall) with
                Steps = 100
                Overhead = wall
                Allocated = allocated v.Train
                Notes =
                    $"forward without gradient {1e3 * median forward.Wall:f2} ms; forward and backward {wall:f2} x of it ({cpu:f2} x by processor time), "
                    + $"so the backward sweep alone {wall - 1.0:f2} x ({cpu - 1.0:f2} x)"
        }

/// In the child: one training step with so many steps of reversible Heun; prints how far the resident peak rose, in MiB.
let child (way: string) (steps: int) =
    let networks = Networks torch.float32
    let y0 = inputs 256 8 torch.float32

    let once way steps =
        use _ = torch.NewDisposeScope()

        let struct (path, solution) =
            match way with
            | "recorded" -> solve steps Differentiation.Recorded SdeMethods.reversibleHeun networks 1UL y0
            | "discrete" -> solve steps Differentiation.DiscreteDefault SdeMethods.eulerHeun networks 1UL y0
            | "checkpointed" ->
                let way = Differentiation.Discrete { MaxCheckpoints = 16; GraphWindow = 8 }
                solve steps way SdeMethods.eulerHeun networks 1UL y0
            | "backsolve" -> solve steps Differentiation.BacksolveDefault SdeMethods.eulerHeun networks 1UL y0
            | _ -> solve steps Differentiation.ReversibleDefault SdeMethods.reversibleHeun networks 1UL y0

        use _ = path
        Autograd.backward (solution.Final.pow(2.0.ToScalar()).mean())

    once way 20
    let before = peakResident ()
    once way steps
    Console.WriteLine((peakResident () - before).ToString("R", CultureInfo.InvariantCulture))

// A small first generation: else what the collector has not looked at yet hides what the solver keeps.
let private measure (way: string) (steps: int) =
    Measure.child [ "DOTNET_GCgen0size", "100000" ] [ "--memory-sde"; way; string steps ]

let memory (settings: Settings) =
    for way, most in
        [|
            "reversible", 10000
            "backsolve", 10000
            "checkpointed", 10000
            "discrete", 10000
            "recorded", 1000
        |] do
        let rises = [|
            for steps in [| 100; 1000; 10000 |] do
                if steps <= most then
                    $"{measure way steps:f1} MiB with {steps}"
        |]

        let text = String.Join(", ", rises)

        print settings {
            line "neural_sde_train" $"memory {way}" 1 nan with
                Steps = most
                Notes = $"batch 256 x 8, float32: the resident peak rises by {text} steps"
        }
