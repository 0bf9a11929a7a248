/// A neural ODE on tensors: what the solver costs beside its field, and what each way to differentiate costs.
module Continuum.Bench.NeuralOde

open System
open Continuum
open Continuum.Bench.Measure
open Continuum.Bench.Network
open TorchSharp

let private saves = Array.init 10 (fun k -> float k / 9.0)

let private optionsAt tolerance differentiation = {
    TensorOptions.create tolerance tolerance with
        Method = RungeKutta Methods.Dopri5
        Solve = { SolveOptions.create tolerance tolerance with SaveAt = Times saves }
        Differentiation = differentiation
}

let private network dtype = Mlp([| 2; 64; 64; 2 |], 4.0, dtype)

let private solve differentiation tolerance (field: TensorField) (y0: Tensor) =
    TensorOde.solve (optionsAt tolerance differentiation) field 0.0 1.0 y0

/// Largest absolute difference over all saves from float64 at 1e-12.
let private errorOf (field: TensorField) y0 =
    use _ = torch.NewDisposeScope()
    use _ = torch.no_grad ()
    let ours = (solve Differentiation.None 1e-5 field y0).EnsureSuccess()

    let exact =
        (solve Differentiation.None 1e-12 (network torch.float64).Field (inputs 256 2 torch.float64)).EnsureSuccess()

    ours.States.``to``(torch.float64).sub(exact.States).abs().max().ToDouble()

let forward (settings: Settings) =
    use _ = torch.NewDisposeScope()
    let field = (network torch.float32).Field
    let y0 = inputs 256 2 torch.float32

    let whole () =
        use _ = torch.no_grad ()
        use _ = solve Differentiation.None 1e-5 field y0
        ()

    let bare () =
        use _ = torch.no_grad ()
        use _ = torch.NewDisposeScope()
        field.Eval(null, y0) |> ignore

    let samples = sampleTogether settings.Runs [| whole; bare |]

    let statistics =
        use solution = solve Differentiation.None 1e-5 field y0
        solution.Statistics

    print settings {
        line "neural_ode_forward" "dopri5" settings.Runs (median samples[0].Wall) with
            Evaluations = statistics.Evaluations
            Steps = statistics.Accepted
            Rejected = statistics.Rejected
            Error = errorOf field y0
            Overhead = ratio samples[0] samples[1] / float statistics.Evaluations
            Allocated = allocated whole
            Notes =
                $"bare field {1e6 * median samples[1].Wall:f1} us; "
                + $"overhead by processor time {cpuRatio samples[0] samples[1] / float statistics.Evaluations:f3}"
    }

/// Parameter index and flat element of the gradients that are compared with finite differences.
let private probes = [| struct (0, 0); struct (0, 21); struct (1, 3); struct (2, 327); struct (4, 84) |]

let private loss (states: Tensor) (y0: Tensor) =
    let scale = Array.init 10 (fun k -> 1.0 - float k / 9.0)
    let factors = (Tensors.ofArray scale [| 10L; 1L; 1L |] y0.dtype torch.CPU)
    states.sub(factors.mul y0).pow(2.0.ToScalar()).mean()

let private finiteDifferences () =
    use _ = torch.NewDisposeScope()
    use _ = torch.no_grad ()
    let network = network torch.float64
    let y0 = inputs 256 2 torch.float64

    let at () =
        use _ = torch.NewDisposeScope()
        (loss (solve Differentiation.None 1e-11 network.Field y0).States y0).ToDouble()

    probes
    |> Array.map (fun (struct (p, element)) ->
        let entry = network.Parameters[p].view(-1L).[int64 element]
        let original = entry.ToDouble()
        let step = 1e-5
        entry.fill_ ((original + step).ToScalar()) |> ignore
        let above = at ()
        entry.fill_ ((original - step).ToScalar()) |> ignore
        let below = at ()
        entry.fill_ (original.ToScalar()) |> ignore
        (above - below) / (2.0 * step))

let train (settings: Settings) =
    use _ = torch.NewDisposeScope()
    let differences = finiteDifferences ()
    let largest = differences |> Array.map abs |> Array.max
    let y0 = inputs 256 2 torch.float32

    let ways = [|
        "recorded", Differentiation.Recorded
        "discrete", Differentiation.DiscreteDefault
        "discrete window 1", Differentiation.Discrete { MaxCheckpoints = 0; GraphWindow = 1 }
        "discrete window 1000", Differentiation.Discrete { MaxCheckpoints = 0; GraphWindow = 1000 }
        "backsolve", Differentiation.BacksolveDefault
        "reversible", Differentiation.ReversibleDefault
    |]

    let prepare (way: Differentiation) =
        let network = network torch.float32
        let field = network.Field
        let optimizer = torch.optim.Adam(Seq.ofArray network.Parameters, 1e-3)
        let original = network.Parameters |> Array.map (fun p -> p.detach().clone())

        let gradients () =
            optimizer.zero_grad ()
            use solution = solve way 1e-5 field y0
            use value = loss (solution.EnsureSuccess().States) y0
            Autograd.backward value
            solution.Statistics

        let mutable steps = 0

        let step () =
            // The weights go back every eighth step, or the field that is timed would not be the one of the other ways.
            if steps % 8 = 0 then
                use _ = torch.no_grad ()
                Array.iter2 (fun (p: Modules.Parameter) (o: Tensor) -> p.copy_ o |> ignore) network.Parameters original

            steps <- steps + 1
            use _ = torch.NewDisposeScope()
            gradients () |> ignore
            optimizer.step () |> ignore

        let report () =
            use _ = torch.NewDisposeScope()

            do
                use _ = torch.no_grad ()
                Array.iter2 (fun (p: Modules.Parameter) (o: Tensor) -> p.copy_ o |> ignore) network.Parameters original

            let statistics = gradients ()

            let error =
                Array.map2
                    (fun (struct (p, element)) difference ->
                        let gradient = network.Parameters[p].grad.view(-1L).[int64 element].ToDouble()
                        abs (gradient - difference) / largest)
                    probes
                    differences
                |> Array.max

            struct (statistics, error)

        struct (step, report)

    let plain = network torch.float32

    let forward () =
        use _ = torch.no_grad ()
        use _ = solve Differentiation.None 1e-5 plain.Field y0
        ()

    let ready =
        ways
        |> Array.map (fun (name, way) ->
            let struct (step, report) = prepare way

            try
                step ()
                name, ValueSome(struct (step, report)), ""
            with :? ArgumentException as error ->
                name, ValueNone, error.Message)

    let actions =
        ready
        |> Array.choose (fun (_, work, _) ->
            match work with
            | ValueSome(struct (step, _)) -> Some step
            | ValueNone -> None)

    let samples = sampleTogether settings.Runs (Array.append [| forward |] actions)

    let statistics =
        use _ = torch.no_grad ()
        use solution = solve Differentiation.None 1e-5 plain.Field y0
        solution.Statistics

    print settings {
        line "neural_ode_train" "none (forward only)" settings.Runs (median samples[0].Wall) with
            Evaluations = statistics.Evaluations
            Steps = statistics.Accepted
            Rejected = statistics.Rejected
            Allocated = allocated forward
    }

    let mutable next = 0

    for name, work, note in ready do
        match work with
        | ValueSome(struct (step, report)) ->
            next <- next + 1
            let struct (statistics, error) = report ()

            print settings {
                line "neural_ode_train" name settings.Runs (median samples[next].Wall) with
                    Evaluations = statistics.Evaluations
                    Steps = statistics.Accepted
                    Rejected = statistics.Rejected
                    Error = error
                    Allocated = allocated step
                    Notes =
                        $"{ratio samples[next] samples[0]:f2} x the forward without gradient ({cpuRatio samples[next] samples[0]:f2} x by processor time); forward evaluations counted"
            }
        | ValueNone -> print settings { line "neural_ode_train" name 0 nan with Notes = $"skipped: {note}" }
