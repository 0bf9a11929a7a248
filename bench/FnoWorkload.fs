/// The two-dimensional Fourier neural operator: ours beside the same network from bare calls of libtorch with fast Fourier transforms.
module Continuum.Bench.FnoWorkload

open System
open Continuum
open Continuum.Bench.Measure
open TorchSharp

let private size = 64L
let private modes = 12
let private width = 32
let private batch = 8

/// The literature's form by hand: rfft2, two corners of 12 x 12 modes, irfft2, a 1 x 1 convolution and GELU.
type private ByHand(generator: torch.Generator) =
    let parameter (shape: int64[]) (scale: float) =
        let value = torch.randn (shape, generator = generator)
        new Modules.Parameter(value.mul (scale.ToScalar()))

    let m = int64 modes
    let c = int64 width
    let corners = Array.init 4 (fun _ -> Array.init 2 (fun _ -> parameter [| c; c; m; m; 2L |] 0.02))
    let skips = Array.init 4 (fun _ -> parameter [| c; c; 1L; 1L |] 0.17)
    let offsets = Array.init 4 (fun _ -> parameter [| c |] 0.1)
    let lift = parameter [| c; 3L; 1L; 1L |] 0.5
    let first = parameter [| 128L; c; 1L; 1L |] 0.17
    let firstOffset = parameter [| 128L |] 0.1
    let last = parameter [| 1L; 128L; 1L; 1L |] 0.1

    let conv (x: Tensor) (weight: Tensor) (bias: Tensor) = torch.nn.functional.conv2d (x, weight, bias)

    let spectral (x: Tensor) (weights: Modules.Parameter[]) =
        let hat = torch.fft.rfft2 (x, norm = FFTNormType.Forward)
        let weight i = torch.view_as_complex (weights[i] :> Tensor)
        let low = torch.einsum ("bixy,ioxy->boxy", [| hat.narrow(2L, 0L, m).narrow(3L, 0L, m); weight 0 |])

        let high =
            torch.einsum ("bixy,ioxy->boxy", [| hat.narrow(2L, size - m, m).narrow(3L, 0L, m); weight 1 |])

        let middle = torch.zeros ([| x.shape[0]; c; size - 2L * m; m |], dtype = Nullable hat.dtype)
        let columns = torch.cat ([| low; middle; high |], 2L)
        let rest = torch.zeros ([| x.shape[0]; c; size; size / 2L + 1L - m |], dtype = Nullable hat.dtype)

        torch.fft.irfft2 (torch.cat ([| columns; rest |], 3L), [| size; size |], norm = FFTNormType.Forward)

    member _.Parameters = [|
        yield! Array.concat corners
        yield! skips
        yield! offsets
        lift
        first
        firstOffset
        last
    |]

    member _.Call(x: Tensor) : Tensor =
        let mutable v = conv x lift null

        for i in 0..3 do
            v <- (spectral v corners[i]).add_(conv v skips[i] offsets[i])

            if i < 3 then
                v <- torch.nn.functional.gelu v

        conv (torch.nn.functional.gelu (conv v first firstOffset)) last null

let private places =
    let axis = torch.arange(size).``to``(torch.float32).div((float size).ToScalar())
    let x = axis.reshape([| 1L; 1L; size; 1L |]).expand([| int64 batch; 1L; size; size |])
    let y = axis.reshape([| 1L; 1L; 1L; size |]).expand([| int64 batch; 1L; size; size |])
    (torch.cat ([| x; y |], 1L)).DetachFromDisposeScope()

let private data () =
    use generator = new torch.Generator(3UL)
    torch.randn ([| int64 batch; 1L; size; size |], generator = generator)

/// Ours: coordinates as the workload has them, on a torus.
let private ours (generator: torch.Generator) =
    let options = { FnoOptions.Create [| modes; modes |] with Positions = false }
    new Fno(Domain.Torus 2, [| 3 |], 1, 0, options, torch.float32, generator)

let private lines (settings: Settings) (name: string) (variants: (string * (unit -> unit))[]) =
    let samples = sampleTogether settings.Runs (Array.map snd variants)

    variants
    |> Array.iteri (fun i (variant, _) ->
        print settings {
            line name variant settings.Runs (median samples[i].Wall) with
                Overhead = ratio samples[i] samples[0]
                Notes = $"by processor time {cpuRatio samples[i] samples[0]:f3} x"
        })

let forward (settings: Settings) =
    use _ = torch.NewDisposeScope()
    use generator = new torch.Generator(1UL)
    let hand = ByHand generator
    use model = ours generator
    let grid = Discretisation.Uniform(Domain.Torus 2, [| int size; int size |])
    let x = data ()

    lines settings "fno2d_forward" [|
        "bare libtorch",
        fun () ->
            use _ = torch.NewDisposeScope()
            use _ = torch.no_grad ()
            hand.Call(torch.cat ([| x; places |], 1L)) |> ignore
        "Fno",
        fun () ->
            use _ = torch.NewDisposeScope()
            use _ = torch.no_grad ()
            model.Apply(new Field(grid, torch.cat ([| x; places |], 1L))) |> ignore
    |]

let train (settings: Settings) =
    use _ = torch.NewDisposeScope()
    use generator = new torch.Generator(1UL)
    let hand = ByHand generator
    use model = ours generator
    let grid = Discretisation.Uniform(Domain.Torus 2, [| int size; int size |])
    let x = data ()
    let target = x.sin ()
    let adam (parameters: seq<Modules.Parameter>) = torch.optim.Adam(parameters, 1e-3)
    use handAdam = adam hand.Parameters
    use ourAdam = adam (model.parameters ())

    let step (optimizer: Modules.OptimizerHelper) (call: Tensor -> Tensor) =
        use _ = torch.NewDisposeScope()
        optimizer.zero_grad ()
        let loss = (call (torch.cat ([| x; places |], 1L))).sub(target).square().mean()
        Autograd.backward loss
        optimizer.step () |> ignore

    lines settings "fno2d_train" [|
        "bare libtorch", fun () -> step handAdam hand.Call
        "Fno", fun () -> step ourAdam (fun x -> model.Apply(new Field(grid, x)).Values)
    |]
