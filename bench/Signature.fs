/// Signatures and log-ODEs beside the field of a neural CDE and a loop over time.
module Continuum.Bench.Signature

open System
open Continuum
open Continuum.Bench.Measure
open Continuum.Bench.Network
open TorchSharp

let private depth = 3

/// x[b, k] = (s, sin(5s + 0.1b), cos(3s - 0.2b), s sin(0.3b + 2s)), s = k/99.
let private paths (dtype: torch.ScalarType) : Tensor =
    let value n =
        let b, k, c = float (n / 400), float (n / 4 % 100), n % 4
        let s = k / 99.0

        match c with
        | 0 -> s
        | 1 -> sin (5.0 * s + 0.1 * b)
        | 2 -> cos (3.0 * s - 0.2 * b)
        | _ -> s * sin (0.3 * b + 2.0 * s)

    Tensors.ofArray (Array.init (128 * 400) value) [| 128L; 100L; 4L |] dtype torch.CPU

/// tanh(MLP 32-64-128) as 32 x 4.
let private fieldOf (network: Mlp) (z: Tensor) : Tensor = (network.Call z).tanh().reshape(Array.append z.shape [| 4L |])

/// A loop over the observations: the signature so far times the exponential of the next increment.
let private loop (path: Tensor) : Tensor =
    use _ = torch.NewDisposeScope()
    let rest = torch.zeros ([| 128L; int64 (TensorAlgebra.size 4 depth - 4) |], dtype = path.dtype)

    let exponential (k: int64) =
        let increment = path.select(1L, k + 1L).sub(path.select (1L, k))
        TensorAlgebra.exp 4 depth (torch.cat ([| increment; rest |], 1L))

    let mutable signature = exponential 0L

    for k in 1L .. path.shape[1] - 2L do
        let next = TensorAlgebra.multiply 4 depth signature (exponential k)
        signature.Dispose()
        signature <- next

    signature.MoveToOuterDisposeScope()

let private quiet (compute: unit -> Tensor) () =
    use _ = torch.no_grad ()
    use _ = compute ()
    ()

/// Largest difference of float32 log-signatures from float64 ones, relative to the largest coordinate.
let private errorOf (path: Tensor) =
    use _ = torch.NewDisposeScope()
    let exact = Signature.logOfPath depth (paths torch.float64)
    let found = (Signature.logOfPath depth path).``to`` torch.float64
    found.sub(exact).abs().max().ToDouble() / exact.abs().max().ToDouble()

let logSignature (settings: Settings) =
    use _ = torch.NewDisposeScope()
    let network = Mlp([| 32; 64; 128 |], 1.0, torch.float32)
    let z = inputs 128 32 torch.float32
    let path = paths torch.float32

    let gradient () =
        use _ = torch.NewDisposeScope()
        let x = path.detach().requires_grad_ true
        let logs = Signature.logOfPath depth x
        Autograd.vjp [| logs |] [| x |] [| torch.ones_like logs |] |> ignore

    let bare () =
        use _ = torch.no_grad ()
        use _ = torch.NewDisposeScope()
        fieldOf network z |> ignore

    let variants = [|
        "signature", quiet (fun () -> Signature.ofPath depth path)
        "log-signature", quiet (fun () -> Signature.logOfPath depth path)
        "log-signature depth 2", quiet (fun () -> Signature.logOfPath 2 path)
        "log-signature depth 4", quiet (fun () -> Signature.logOfPath 4 path)
        "with its gradient", gradient
        "all prefixes", quiet (fun () -> Signature.stream depth path)
        "windows of 10", quiet (fun () -> SignatureWindows.logSignature depth (Windows.Every 10) path)
        "expanding windows of 10", quiet (fun () -> SignatureWindows.logSignature depth (Windows.Expanding 10) path)
        "loop over time", quiet (fun () -> loop path)
    |]

    let samples = sampleTogether settings.Runs (Array.append [| bare |] (Array.map snd variants))
    let slow = samples[samples.Length - 1]

    variants
    |> Array.iteri (fun i (name, action) ->
        let series = samples[i + 1]

        print settings {
            line "log_signature" name settings.Runs (median series.Wall) with
                Error = if name = "log-signature" then errorOf path else nan
                Overhead = ratio series samples[0]
                Allocated = allocated action
                Notes =
                    $"overhead: evaluations of the field ({1e6 * median samples[0].Wall:f0} us each), by processor time "
                    + $"{cpuRatio series samples[0]:f1}; the loop takes {cpuRatio slow series:f1} times as long"
        })

let logOde (settings: Settings) =
    use _ = torch.NewDisposeScope()
    let network = Mlp([| 32; 64; 128 |], 1.0, torch.float32)
    let parameters = network.Parameters |> Array.map (fun p -> p :> Tensor)
    let z = inputs 128 32 torch.float32
    let field = LogOde.brackets parameters (fieldOf network)

    let options way = {
        TensorOptions.create 1e-3 1e-3 with
            Method = RungeKutta Methods.Heun
            Differentiation = way
            Solve = { SolveOptions.create 1e-3 1e-3 with Control = Fixed 1.0 }
    }

    let bare () =
        use _ = torch.no_grad ()
        use _ = torch.NewDisposeScope()
        fieldOf network z |> ignore

    for depth in 1..3 do
        let driver = LogOde.driver depth (Windows.Every 25) null (paths torch.float32)

        let forward () =
            use _ = torch.no_grad ()
            use _ = torch.NewDisposeScope()
            LogOde.solve (options Differentiation.None) field driver z |> ignore

        let train way () =
            use _ = torch.NewDisposeScope()
            let solution = LogOde.solve (options way) field driver z
            let loss = solution.Final.square().mean()
            Autograd.vjp [| loss |] parameters [| torch.ones_like loss |] |> ignore

        let variants = [|
            "forward", forward
            "gradient, recorded", train Differentiation.Recorded
            "gradient, discrete", train Differentiation.DiscreteDefault
        |]

        let evaluations =
            use _ = torch.no_grad ()
            (LogOde.solve (options Differentiation.None) field driver z).Evaluations

        let samples = sampleTogether settings.Runs (Array.append [| bare |] (Array.map snd variants))

        variants
        |> Array.iteri (fun i (name, _) ->
            print settings {
                line "log_ode" $"depth {depth}, {name}" settings.Runs (median samples[i + 1].Wall) with
                    Evaluations = evaluations
                    Overhead = ratio samples[i + 1] samples[0] / float evaluations
                    Notes =
                        "overhead: evaluations of the bare field for one of the log-ODE's, by processor time "
                        + $"{cpuRatio samples[i + 1] samples[0] / float evaluations:f1}"
            })
