/// A neural CDE on tensors: what coefficients, solver and each way to differentiate cost beside the field.
module Continuum.Bench.NeuralCde

open System
open Continuum
open Continuum.Bench.Measure
open Continuum.Bench.Network
open TorchSharp

let private batch = 128
let private length = 100
let private hidden = 32
let private channels = 4
let private dtype = torch.float32

/// x[b, k] = (s, sin(5 s + 0.1 b), cos(3 s - 0.2 b), s sin(0.3 b + 2 s)), s = k / 99; the first channel is the time.
let private observations () : Tensor =
    let data =
        Array.init (batch * length * channels) (fun i ->
            let b, k = float (i / channels / length), float (i / channels % length)
            let s = k / float (length - 1)

            match i % channels with
            | 0 -> s
            | 1 -> sin (5.0 * s + 0.1 * b)
            | 2 -> cos (3.0 * s - 0.2 * b)
            | _ -> s * sin (0.3 * b + 2.0 * s))

    Tensors.ofArray data [| int64 batch; int64 length; int64 channels |] dtype torch.CPU

let private control scheme = { ControlOptions.create scheme with TimeChannel = false }

/// tanh(MLP 32-64-128) as 32 x 4, and the linear map of the first observation.
type private Model() =
    let network = Mlp([| hidden; 64; hidden * channels |], 1.0, dtype)

    let first =
        let struct (weight, bias) = layer 7 channels hidden 1.0

        [|
            torch.nn.Parameter(Tensors.ofArray weight [| int64 hidden; int64 channels |] dtype torch.CPU)
            torch.nn.Parameter(Tensors.ofArray bias [| int64 hidden |] dtype torch.CPU)
        |]

    member _.Field =
        CdeField.create channels (Seq.cast<Tensor> network.Parameters) (fun z ->
            (network.Call z).tanh().reshape [| z.shape[0]; int64 hidden; int64 channels |])

    member _.Initial(x: Tensor) = torch.nn.functional.linear (x, first[0], first[1])
    member _.Parameters = Array.append network.Parameters first

let private optionsFor differentiation = {
    CdeOptions.create () with
        Differentiation = differentiation
        CheckTracking = false
}

let coefficients (settings: Settings) =
    use _ = torch.NewDisposeScope()
    let values = observations ()

    let missing =
        values.masked_fill (
            torch.rand(values.shape, generator = new torch.Generator(3UL)).gt(0.7.ToScalar()),
            nan.ToScalar()
        )

    for scheme in
        [
            ControlScheme.Linear
            ControlScheme.Rectilinear
            ControlScheme.Hermite
            ControlScheme.NaturalCubic
        ] do
        let make (data: Tensor) () =
            use _ = torch.no_grad ()
            use path = ControlPath.ofTensor (ControlOptions.create scheme) data
            ()

        let tracked () =
            use data = values.detach().requires_grad_ true
            use path = ControlPath.ofTensor (ControlOptions.create scheme) data
            use sum = path.Coefficients.B.sum ()
            Autograd.backward sum
            use gradient = data.grad
            data.grad <- null

        let samples = sampleTogether settings.Runs [| make values; make missing; tracked |]
        let names = [| ""; ", 30% missing"; ", with gradient to the data" |]

        for i in 0..2 do
            print settings {
                line "neural_cde_coeffs" $"{scheme}{names[i]}" settings.Runs (median samples[i].Wall) with
                    Notes =
                        $"{batch} series of {length} rows, {channels} channels and time; processor time {1e3 * median samples[i].Cpu:f2} ms"
            }

/// Directions as the steps see them, one for each evaluation.
let private directions (path: ControlPath) : Tensor[] =
    let tableau = Methods.Rk4
    let plan = CdePlan.create (CdeSteps.PerPiece 1) [| path.End |] path
    let nodes = CdeNodes.create tableau CdeForm.Rate path
    let table = (CdeNodes.directions plan nodes CdeForm.Rate path).flatten(0L, 1L).unbind 0
    let places = nodes.Places.Length

    [|
        for n in 0 .. path.Pieces - 1 do
            for s in 0..3 -> table[n * places + nodes.OfStage[s]]
    |]

let forward (settings: Settings) =
    use _ = torch.NewDisposeScope()
    use _ = torch.no_grad ()
    let model = Model()

    for scheme in [ ControlScheme.Hermite; ControlScheme.NaturalCubic ] do
        use path = ControlPath.ofTensor (control scheme) (observations ())
        let z0 = model.Initial path.First
        let field = model.Field

        let solve () =
            use _ = TensorCde.solve (optionsFor Differentiation.None) field path z0
            ()

        let dx = directions path

        let bare () =
            for direction in dx do
                use _ = torch.NewDisposeScope()
                field.Product(null, z0, direction) |> ignore

        let adaptive () =
            let options = { CdeOptions.adaptive 1e-3 1e-4 with Differentiation = Differentiation.None }
            use _ = TensorCde.solve options field path z0
            ()

        let jumps () =
            // The whole path as one equation whose steps end an ulp before each knot and go on an ulp after it.
            let options = {
                TensorOptions.create 1e-3 1e-4 with
                    Differentiation = Differentiation.None
                    Solve = { SolveOptions.create 1e-3 1e-4 with Jumps = path.Knots }
            }

            use _ = TensorOde.solve options (TensorCde.asOde field path) path.Start path.End z0
            ()

        let samples = sampleTogether settings.Runs [| solve; bare; adaptive; jumps |]
        use counted = TensorCde.solve (CdeOptions.adaptive 1e-3 1e-4) field path z0

        print settings {
            line "neural_cde_forward" $"{scheme}, rk4" settings.Runs (median samples[0].Wall) with
                Evaluations = dx.Length
                Steps = path.Pieces
                Overhead = ratio samples[0] samples[1]
                Allocated = allocated solve
                Notes =
                    $"bare: {dx.Length} products F(z) dx, {1e6 * median samples[1].Wall / float dx.Length:f1} us each; "
                    + $"by processor time {cpuRatio samples[0] samples[1]:f3}"
        }

        print settings {
            line "neural_cde_forward" $"{scheme}, adaptive" settings.Runs (median samples[2].Wall) with
                Evaluations = counted.Statistics.Evaluations
                Steps = counted.Statistics.Accepted
                Rejected = counted.Statistics.Rejected
                Overhead = (ratio samples[2] samples[1]) * float dx.Length / float counted.Statistics.Evaluations
                Notes = "Tsit5, rtol 1e-3, atol 1e-4, steps end at knots, piece by piece"
        }

        print settings {
            line "neural_cde_forward" $"{scheme}, jumps" settings.Runs (median samples[3].Wall) with
                Notes =
                    $"the same by TensorOde.solve with Jumps at the knots; {ratio samples[3] samples[2]:f2} x piece by piece"
        }

/// Bare work of a training step: evaluations F(z) dx, and vector-Jacobian products of `window` evaluations at a time; `plain` adds as
/// many evaluations without a graph.
let private bareWork (field: CdeField) (z: Tensor) (dx: Tensor[]) (window: int) (plain: bool) () =
    if plain then
        use _ = torch.no_grad ()

        for direction in dx do
            use _ = torch.NewDisposeScope()
            field.Product(null, z, direction) |> ignore

    use sums = new GradientAccumulator(field.Parameters)

    for chunk in Array.chunkBySize window dx do
        use _ = torch.NewDisposeScope()
        use _ = torch.enable_grad ()
        let states = chunk |> Array.map (fun _ -> z.detach().requires_grad_ true)
        let outputs = Array.map2 (fun s direction -> field.Product(null, s, direction)) states chunk
        sums.Backward(outputs, (outputs |> Array.map (fun _ -> z.detach ())), states) |> ignore

    for g in sums.Result() do
        if not (isNull g) then
            g.Dispose()

let private trainOn (schemes: ControlScheme list) (names: string list) (settings: Settings) =
    use _ = torch.NewDisposeScope()

    for scheme in schemes do
        let model = Model()
        use path = ControlPath.ofTensor (control scheme) (observations ())
        let field = model.Field
        let first = path.First

        let step (way: Differentiation) () =
            use _ = torch.NewDisposeScope()
            let z0 = model.Initial first
            let solution = (TensorCde.solve (optionsFor way) field path z0).EnsureSuccess()
            Autograd.backward (solution.Final.pow(2.0.ToScalar()).mean())

            for p in model.Parameters do
                use g = p.grad
                p.grad <- null

        let z = (use _ = torch.no_grad () in model.Initial first)

        let dx =
            use _ = torch.no_grad ()
            directions path

        let window = 8 * 4

        let ways =
            [|
                "recorded", Differentiation.Recorded, 0
                "discrete", Differentiation.DiscreteDefault, 1
                "discrete window 25", Differentiation.Discrete { MaxCheckpoints = 0; GraphWindow = 25 }, 2
                "backsolve", Differentiation.BacksolveDefault, 1
                "reversible", Differentiation.ReversibleDefault, 1
            |]
            |> Array.filter (fun (name, _, _) -> List.contains name names)

        let bares = [|
            bareWork field z dx dx.Length false, "evaluations with a graph, one vector-Jacobian product of all"
            bareWork field z dx window true,
            "evaluations without a graph and with one, a vector-Jacobian product of 32 at a time"
            bareWork field z dx 100 true,
            "evaluations without a graph and with one, a vector-Jacobian product of 100 at a time"
        |]

        let actions = Array.append (ways |> Array.map (fun (_, way, _) -> step way)) (Array.map fst bares)
        let samples = sampleTogether settings.Runs actions

        ways
        |> Array.iteri (fun i (name, _, which) ->
            let work = samples[ways.Length + which]

            print settings {
                line "neural_cde_train" $"{scheme}, {name}" settings.Runs (median samples[i].Wall) with
                    Evaluations = dx.Length
                    Steps = path.Pieces
                    Overhead = ratio samples[i] work
                    Notes =
                        $"bare ({snd bares[which]}) {1e3 * median work.Wall:f1} ms; by processor time {cpuRatio samples[i] work:f3}"
            })

let private schemes = [ ControlScheme.Hermite; ControlScheme.NaturalCubic ]

let train (settings: Settings) =
    trainOn schemes [ "recorded"; "discrete"; "discrete window 25"; "backsolve"; "reversible" ] settings
