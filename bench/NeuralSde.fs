/// A neural SDE on tensors: what the solver costs beside a loop written by hand over the same increments.
module Continuum.Bench.NeuralSde

open System
open Continuum
open Continuum.Bench.Measure
open Continuum.Bench.Network
open TorchSharp

let private steps = 100
let private step = 1.0 / float steps

/// Drift MLP 8-64-8, diffusion 0.5 sigmoid(MLP 8-64-8) with layers numbered from 2.
type Networks(dtype: torch.ScalarType) =
    let drift = Mlp([| 8; 64; 8 |], 1.0, dtype, 0)
    let diffusion = Mlp([| 8; 64; 8 |], 1.0, dtype, 2)
    let half = 0.5.ToScalar()

    member _.Parameters = Array.append drift.Parameters diffusion.Parameters
    member _.Drift(y: Tensor) = drift.Call y
    member _.Diffusion(y: Tensor) = diffusion.Call(y).sigmoid().mul half

    member this.Sde<'C when 'C :> Calculus>() : Sde<'C, DiagonalNoise> =
        Sde.diagonal<'C> (Seq.cast<Tensor> this.Parameters) (fun _ y -> this.Drift y) (fun _ y -> this.Diffusion y)

/// The paths of one run: a new seed for each, drawn while the steps are taken.
let private pathOf (seed: uint64) (level: LevyLevel) (y0: Tensor) =
    TensorBrownian.For({ BrownianSpec.fixedSteps 0.0 1.0 steps 8 seed with Level = level }, y0, 0L)

/// y + f dt + g W, by hand.
let private bareEuler (networks: Networks) (seed: uint64) (y0: Tensor) : Tensor =
    use _ = torch.no_grad ()
    use _ = torch.NewDisposeScope()
    use path = pathOf seed LevyLevel.Increments y0
    let dt = step.ToScalar()
    let one = 1.0.ToScalar()
    let mutable y = y0.alias ()

    for k in 0 .. steps - 1 do
        use _ = torch.NewDisposeScope()
        let f = networks.Drift y
        let g = networks.Diffusion y
        let w = path.Step(float k * step, float (k + 1) * step).W
        let next = y.add(f, dt).addcmul_(g, w, one)
        y.Dispose()
        y <- next.MoveToOuterDisposeScope()

    y.MoveToOuterDisposeScope()

/// The two sums of Heun's method, by hand.
let private bareHeun (networks: Networks) (seed: uint64) (y0: Tensor) : Tensor =
    use _ = torch.no_grad ()
    use _ = torch.NewDisposeScope()
    use path = pathOf seed LevyLevel.Increments y0
    let dt = step.ToScalar()
    let halfStep = (0.5 * step).ToScalar()
    let one = 1.0.ToScalar()
    let half = 0.5.ToScalar()
    let mutable y = y0.alias ()

    for k in 0 .. steps - 1 do
        use _ = torch.NewDisposeScope()
        let f = networks.Drift y
        let g = networks.Diffusion y
        let w = path.Step(float k * step, float (k + 1) * step).W
        let z = y.add(f, dt).addcmul_(g, w, one)
        let f1 = networks.Drift z
        let g1 = networks.Diffusion z
        let next = y.add(f, halfStep).add_(f1, halfStep).addcmul_(g, w, half).addcmul_(g1, w, half)
        y.Dispose()
        y <- next.MoveToOuterDisposeScope()

    y.MoveToOuterDisposeScope()

let private ours (method: SdeMethod<'C, DiagonalNoise>) (networks: Networks) (seed: uint64) (y0: Tensor) =
    use _ = torch.no_grad ()
    let sde = networks.Sde<'C>()
    (TensorSde.simulate (TensorSdeOptions.fixedSteps step) method sde seed 0.0 1.0 y0).EnsureSuccess()

/// Mean square at the end and its standard error over the batch.
let private moments (final: Tensor) =
    use _ = torch.NewDisposeScope()
    let squares = final.``to``(torch.float64).pow(2.0.ToScalar()).mean [| 1L |]
    let mean = squares.mean().ToDouble()
    let spread = squares.std().ToDouble()
    struct (mean, spread / sqrt (float squares.shape[0]))

let forward (settings: Settings) =
    use _ = torch.NewDisposeScope()
    let networks = Networks torch.float32
    let y0 = inputs 256 8 torch.float32
    let mutable seed = 0UL

    let next () =
        seed <- seed + 1UL
        seed

    let solving (method: SdeMethod<'C, DiagonalNoise>) () =
        use _ = ours method networks (next ()) y0
        ()

    let bare (loop: Networks -> uint64 -> Tensor -> Tensor) () =
        use _ = loop networks (next ()) y0
        ()

    let increments () =
        use path = pathOf (next ()) LevyLevel.Increments y0

        for k in 0 .. steps - 1 do
            use _ = torch.NewDisposeScope()
            path.Step(float k * step, float (k + 1) * step) |> ignore

    let variants = [|
        "bare Euler-Maruyama", bare bareEuler, ValueNone
        "EulerMaruyama", solving SdeMethods.eulerMaruyama<DiagonalNoise>, ValueSome 0
        "bare Heun", bare bareHeun, ValueNone
        "Heun", solving SdeMethods.heun<DiagonalNoise>, ValueSome 2
        "Milstein", solving SdeMethods.milstein<DiagonalNoise>, ValueNone
        "MilsteinFree", solving SdeMethods.milsteinFree<DiagonalNoise>, ValueNone
        "SRID2", solving SdeMethods.srid2<DiagonalNoise>, ValueNone
        "increments alone", increments, ValueNone
    |]

    let samples = sampleTogether settings.Runs (variants |> Array.map (fun (_, action, _) -> action))

    variants
    |> Array.iteri (fun i (name, action, against) ->
        print settings {
            line "neural_sde_forward" name settings.Runs (median samples[i].Wall) with
                Steps = steps
                Overhead =
                    (match against with
                     | ValueSome j -> ratio samples[i] samples[j]
                     | ValueNone -> nan)
                Allocated = allocated action
                Notes =
                    (match against with
                     | ValueSome j -> $"by processor time {cpuRatio samples[i] samples[j]:f3} x"
                     | ValueNone -> $"{ratio samples[i] samples[0]:f2} x bare Euler-Maruyama")
        })

    use solution = ours SdeMethods.eulerMaruyama<DiagonalNoise> networks 1UL y0
    let struct (mean, error) = moments solution.Final

    print settings {
        line "neural_sde_forward" "EulerMaruyama, seed 1" 0 nan with
            Notes = $"mean square at the end {mean:f4} +- {error:f4}"
    }
