module AutogradTests

open System
open System.Threading.Tasks
open Continuum
open Expecto
open TorchSharp

let private leaf (values: float[]) =
    let x = Tensors.vector values
    x.requires_grad <- true
    x

let private numbers (tensor: Tensor) = Tensors.toArray tensor

/// The number of live tensors that 200 rounds of `body` leave behind.
let private growth (body: unit -> unit) =
    body ()
    let before = Tensors.live ()

    for _ in 1..200 do
        body ()

    Tensors.live () - before

let private field (weight: Tensor) (x: Tensor) = (weight * x).sin()

// A node as the adjoints make them: its backward replays the field, differentiates it and sums over parameters.
let private solve (weight: Tensor) (x: Tensor) =
    Autograd.customVjp [| x; weight |] (fun () -> struct (field weight x, [| x; weight |])) (fun context cotangent ->
        use _ = torch.enable_grad ()
        use sums = new GradientAccumulator([| weight |])
        let start = context.Saved[0].detach().requires_grad_()
        let byStart = sums.Backward([| field weight start |], [| cotangent |], [| start |])
        [| byStart[0]; sums.Result()[0] |])

let private accumulator =
    testList "GradientAccumulator" [
        test "sums over sweeps, returns the gradients of the step's own inputs, and puts .grad back" {
            use _ = torch.NewDisposeScope()
            let weight, unused, constant = leaf [| 2.0; 3.0 |], leaf [| 1.0 |], Tensors.vector [| 1.0 |]
            weight.grad <- Tensors.vector [| 7.0; 8.0 |]
            use sums = new GradientAccumulator([| weight; unused; constant |])

            for k in 1..3 do
                let x = leaf [| float k; 1.0 |]

                let byInputs =
                    sums.Backward([| weight * x |], [| Tensors.vector [| 1.0; 10.0 |] |], [| x; leaf [| 0.0 |] |])

                Expect.equal (numbers byInputs[0]) [| 2.0; 30.0 |] "by the input"
                Expect.equal (numbers byInputs[1]) [| 0.0 |] "by an unused input"

            let constants = sums.Backward([| constant |], [| constant |], [| weight |])
            Expect.equal (numbers constants[0]) [| 0.0; 0.0 |] "nothing requires grad"
            let result = sums.ResultOrNull()
            Expect.equal (numbers result[0]) [| 6.0; 30.0 |] "the sum"
            Expect.isTrue (isNull result[1] && isNull result[2]) "not reached"
            Expect.equal (numbers weight.grad) [| 7.0; 8.0 |] "the parameter's own .grad"
            Expect.throwsT<ObjectDisposedException> (fun () -> sums.Result() |> ignore) "ended"
        }

        test "puts .grad back after an error, and without a result" {
            use _ = torch.NewDisposeScope()
            let weight = leaf [| 2.0 |]
            weight.grad <- Tensors.vector [| 7.0 |]

            Expect.throwsT<InvalidOperationException>
                (fun () ->
                    use sums = new GradientAccumulator([| weight |])
                    let y = weight * weight

                    for _ in 1..2 do
                        sums.Backward([| y |], [| torch.ones_like y |], [||]) |> ignore)
                "the graph is used up"

            Expect.equal (numbers weight.grad) [| 7.0 |] "as before"
        }

        test "nests on one thread" {
            use _ = torch.NewDisposeScope()
            let weight = leaf [| 2.0 |]
            use outer = new GradientAccumulator([| weight |])
            outer.Backward([| weight * 3.0 |], [| Tensors.vector [| 1.0 |] |], [||]) |> ignore
            let inner = (Autograd.vjp [| weight * 5.0 |] [| weight |] [| Tensors.vector [| 1.0 |] |])[0]
            outer.Backward([| weight * 4.0 |], [| Tensors.vector [| 1.0 |] |], [||]) |> ignore
            Expect.equal (numbers inner) [| 5.0 |] "inside"
            Expect.equal (numbers (outer.Result()[0])) [| 7.0 |] "outside"
        }

        test "threads that share parameters do not mix their sums" {
            use weight = leaf [| 0.5; -0.25 |]

            let sum (k: int) =
                use _ = torch.NewDisposeScope()
                use sums = new GradientAccumulator([| weight |])

                for i in 1..20 do
                    let x = Tensors.vector [| float k; float i |]
                    sums.Backward([| field weight x |], [| torch.ones_like x |], [||]) |> ignore

                let direct = Autograd.vjp [| field weight weight |] [| weight |] [| torch.ones_like weight |]
                Array.append (numbers (sums.Result()[0])) (numbers direct[0])

            let expected = Array.init 16 sum
            let found = Array.zeroCreate<float[]> 16

            Parallel.For(0, 16, ParallelOptions(MaxDegreeOfParallelism = 4), (fun k -> found[k] <- sum k))
            |> ignore

            for k in 0..15 do
                let error = Array.fold2 (fun worst a b -> max worst (abs (a - b))) 0.0 found[k] expected[k]
                Expect.isLessThan error 1e-12 $"task {k}"

            Expect.isNull weight.grad "nothing left in .grad"
        }

        test "parameters that are no leaves" {
            use _ = torch.NewDisposeScope()
            let root = leaf [| 2.0 |]
            let weight = root * 3.0
            use sums = new GradientAccumulator([| weight |])

            for _ in 1..2 do
                sums.Backward([| weight * 5.0 |], [| Tensors.vector [| 1.0 |] |], [||]) |> ignore

            Expect.equal (numbers (sums.Result()[0])) [| 10.0 |] "the sum"
        }
    ]

let private nodes =
    testList "customVjp" [
        test "a node that differentiates inside its backward" {
            use _ = torch.NewDisposeScope()
            let weight, x = leaf [| 3.0; 4.0 |], leaf [| 1.0; 2.0 |]

            let gradients y =
                Autograd.vjp [| y |] [| x; weight |] [| Tensors.vector [| 1.0; -2.0 |] |] |> Array.map numbers

            Expect.equal (gradients (solve weight x)) (gradients (field weight x)) "as recorded"
            Expect.isTrue (isNull weight.grad && isNull x.grad) "no .grad"
        }

        test "a node inside the backward of a node" {
            use _ = torch.NewDisposeScope()
            let weight, x = leaf [| 3.0; 4.0 |], leaf [| 1.0; 2.0 |]

            let outer =
                Autograd.customVjp [| x |] (fun () -> struct (field weight x, [| x |])) (fun context cotangent ->
                    use _ = torch.enable_grad ()
                    let start = context.Saved[0].detach().requires_grad_()
                    Autograd.vjp [| solve weight start |] [| start |] [| cotangent |])

            let pull y = Autograd.vjp [| y |] [| x |] [| torch.ones_like x |] |> Array.item 0 |> numbers
            Expect.equal (pull outer) (pull (field weight x)) "as recorded"
        }

        test "an exception two nodes deep comes out as it went in" {
            use _ = torch.NewDisposeScope()
            let x = leaf [| 1.0 |]

            let failing (x: Tensor) =
                Autograd.customVjp [| x |] (fun () -> struct (x * 2.0, [||])) (fun _ _ ->
                    raise (TimeoutException "deep"))

            let outer =
                Autograd.customVjp [| x |] (fun () -> struct (x * 2.0, [| x |])) (fun context cotangent ->
                    use _ = torch.enable_grad ()
                    let start = context.Saved[0].detach().requires_grad_()
                    Autograd.vjp [| failing start |] [| start |] [| cotangent |])

            let error = Expect.throwsC (fun () -> Autograd.backward (outer.sum ())) id
            Expect.equal (error.GetType(), error.Message) (typeof<TimeoutException>, "deep") "unchanged"
        }

        test "a scalar input, an input without gradient, an output that is an input" {
            use _ = torch.NewDisposeScope()
            let x, constant = (Tensors.scalar 3.0).requires_grad_(), Tensors.scalar 5.0
            let mutable needs = [||]

            let y =
                Autograd.customVjp [| x; constant |] (fun () -> struct (x, [||])) (fun context cotangent ->
                    needs <- context.Needs
                    [| cotangent; null |])

            let pulled = Autograd.vjp [| y |] [| x |] [| Tensors.scalar 2.0 |]
            Expect.equal (numbers pulled[0]) [| 2.0 |] "identity"
            Expect.equal needs [| true; false |] "which gradients are asked for"
            Expect.isFalse (Object.ReferenceEquals(x, y)) "a fresh tensor"
        }

        test "without recording no node is made" {
            use _ = torch.NewDisposeScope()
            let x = leaf [| 1.0 |]
            use _ = torch.no_grad ()
            Expect.isFalse (solve x x).requires_grad "no_grad"
        }

        test "nothing stays behind: outside scopes, inside, across, and when the graph is dropped" {
            use weight = leaf [| 3.0; 4.0 |]
            use x = leaf [| 1.0; 2.0 |]
            use one = torch.ones_like x

            let sweep (y: Tensor) =
                for gradient in Autograd.vjp [| y |] [| x; weight |] [| one |] do
                    gradient.Dispose()

            let outside () =
                use y = solve weight x
                sweep y

            let inside () =
                use _ = torch.NewDisposeScope()
                sweep (solve weight x)

            let across () =
                let forward () =
                    use _ = torch.NewDisposeScope()
                    (solve weight (x * 2.0)).MoveToOuterDisposeScope()

                use y = forward ()
                sweep y

            let dropped () = (solve weight x).Dispose()

            for name, body in [ "outside", outside; "inside", inside; "across", across; "dropped", dropped ] do
                Expect.equal (growth body) 0L name
        }
    ]

let tests = testSequenced (testList "Autograd" [ accumulator; nodes ])
