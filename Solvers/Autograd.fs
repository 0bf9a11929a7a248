namespace Continuum

open System
open System.Collections.Generic
open TorchSharp

/// Reverse-mode differentiation that throws managed exceptions instead of ending the process, and custom nodes.
[<RequireQualifiedAccess>]
module Autograd =

    let private check (outputs: Tensor[]) (inputs: Tensor[]) (cotangents: Tensor[]) =
        ArgumentNullException.ThrowIfNull outputs
        ArgumentNullException.ThrowIfNull inputs
        ArgumentNullException.ThrowIfNull cotangents

        if outputs.Length <> cotangents.Length then
            raise (ArgumentException $"{outputs.Length} outputs but {cotangents.Length} cotangents.")

        for i in 0 .. outputs.Length - 1 do
            let output, cotangent = outputs[i], cotangents[i]

            if output.shape.AsSpan().SequenceEqual(cotangent.shape) |> not || output.dtype <> cotangent.dtype then
                let one = $"{Tensors.shapeText output} {output.dtype}"
                let two = $"{Tensors.shapeText cotangent} {cotangent.dtype}"
                raise (ArgumentException $"Output {i} has shape {one}, its cotangent {two}.")

    // Only what requires grad may go into the engine. Most calls need no copy.
    let private tracked (tensors: Tensor[]) : Tensor[] =
        if Array.TrueForAll(tensors, _.requires_grad) then
            tensors
        else
            Array.filter _.requires_grad tensors

    let private trackedCotangents (outputs: Tensor[]) (live: Tensor[]) (cotangents: Tensor[]) =
        if Object.ReferenceEquals(outputs, live) then
            cotangents
        else
            Array.zip outputs cotangents |> Array.filter (fun (o, _) -> o.requires_grad) |> Array.map snd

    let private spread (inputs: Tensor[]) (live: Tensor[]) (found: Tensor[]) : Tensor[] =
        if Object.ReferenceEquals(inputs, live) then
            found
        else
            let mutable next = -1

            inputs
            |> Array.map (fun input ->
                if input.requires_grad then
                    next <- next + 1
                    found[next]
                else
                    null)

    let private solve createGraph retainGraph (outputs: Tensor[]) (inputs: Tensor[]) (cotangents: Tensor[]) =
        check outputs inputs cotangents

        Dual.Refuse "A gradient"

        let ys = tracked outputs
        let xs = tracked inputs

        if ys.Length = 0 || xs.Length = 0 then
            Array.zeroCreate<Tensor> inputs.Length
        else
            let vs = trackedCotangents outputs ys cotangents
            let leaves = not createGraph && Array.TrueForAll(xs, _.is_leaf)
            let claim = if leaves then Claim.TryAll xs else null

            let found =
                if isNull claim then
                    Engine.script ys xs vs retainGraph createGraph
                else
                    try
                        Engine.native ys xs vs retainGraph
                    finally
                        claim.Release()

            spread inputs xs found

    let private zerosForNull (inputs: Tensor[]) (gradients: Tensor[]) =
        for i in 0 .. inputs.Length - 1 do
            if isNull gradients[i] then
                gradients[i] <- torch.zeros_like inputs[i]

        gradients

    /// The product of the cotangents with the Jacobian of `outputs` by `inputs`: one gradient for each input, of its shape.
    /// Inputs may be leaves or intermediate tensors; an input that no output depends on gets zeros. The graph is used up,
    /// `.grad` of the inputs is left as it was. Thread-safe, also when threads share inputs (network parameters).
    /// Throws ArgumentException when an output and its cotangent differ in shape or dtype, InvalidOperationException for
    /// an error of the engine (graph used up, tensor modified in place), and what a custom node threw.
    /// A result may share memory with a cotangent: do not write into it.
    let vjp (outputs: Tensor[]) (inputs: Tensor[]) (cotangents: Tensor[]) : Tensor[] =
        solve false false outputs inputs cotangents |> zerosForNull inputs

    /// As `vjp`, with null (and no allocation) for an input that no output depends on.
    let vjpOrNull (outputs: Tensor[]) (inputs: Tensor[]) (cotangents: Tensor[]) : Tensor[] =
        solve false false outputs inputs cotangents

    /// As `vjp`; the graph stays for further sweeps.
    let vjpRetain (outputs: Tensor[]) (inputs: Tensor[]) (cotangents: Tensor[]) : Tensor[] =
        solve false true outputs inputs cotangents |> zerosForNull inputs

    /// As `vjp`, with gradients that can be differentiated again (create_graph); the graph stays.
    let vjpGraph (outputs: Tensor[]) (inputs: Tensor[]) (cotangents: Tensor[]) : Tensor[] =
        solve true true outputs inputs cotangents |> zerosForNull inputs

    /// Accumulate the gradients of a scalar loss into the `.grad` of every leaf, as `loss.backward()` does, and rethrow
    /// what a custom node threw. Throws ArgumentException when `loss` has several elements or does not require grad.
    let backward (loss: Tensor) : unit =
        ArgumentNullException.ThrowIfNull loss

        if loss.numel () <> 1L then
            raise (ArgumentException $"A loss has one element, this one has shape {Tensors.shapeText loss}.")

        if not loss.requires_grad then
            raise (ArgumentException "The loss does not depend on any tensor that requires grad.")

        Sweep.Run(fun () -> loss.backward ())

    /// A node of the graph with a gradient rule of its own. `forward` runs once, now, without recording, and returns the
    /// output and the tensors that `backward` will need: they are saved natively, live as long as the graph does and are
    /// checked for in-place changes. `backward` gets them and the cotangent of the output, and returns one gradient
    /// (shape of the input) or null for each input. It may run on another thread, and several times under
    /// `vjpRetain`; it runs in a dispose scope of its own, so it needs no care for temporaries. Recording is off in it
    /// unless the caller asked for a graph: a body that differentiates opens `torch.enable_grad()`.
    ///
    /// An exception thrown by `backward` stops the sweep: `Autograd.backward`, `vjp` and the others rethrow it, raw
    /// `Tensor.backward()` throws libtorch's complaint about the gradient that stands in for it.
    /// Everything that `backward` captures lives as long as the graph: capture no tensor, save it.
    let customVjp
        (inputs: Tensor[])
        (forward: unit -> struct (Tensor * Tensor[]))
        (backward: VjpContext -> Tensor -> Tensor[])
        : Tensor =
        ArgumentNullException.ThrowIfNull inputs

        if Dual.IsActive && Array.exists Dual.IsDual inputs then
            Dual.Refuse "A custom node"

        Sweep.Release()
        use scope = torch.NewDisposeScope()

        let run () =
            use _ = torch.no_grad ()
            let struct (output, saved) = forward ()
            // The node is hung onto the output, which therefore must not be somebody else's tensor.
            struct ((if scope.Contains output then output else output.clone ()), saved)

        let struct (output, saved) = run ()
        let needs = inputs |> Array.map _.requires_grad

        if torch.is_grad_enabled () && Array.contains true needs then
            let call = NodeCall(needs, backward, Output = output, Saved = List<Tensor> saved)
            let arguments = Array.zeroCreate<obj>(inputs.Length + 1)
            Array.blit (Array.map box inputs) 0 arguments 0 inputs.Length
            arguments[inputs.Length] <- call
            let result = CustomNode.apply arguments
            call.Output <- null
            call.Saved <- null
            result.MoveToOuterDisposeScope()
        else
            output.MoveToOuterDisposeScope()

    /// A private copy of the handle of `x` to differentiate by: connected to the graph (and the tangent) of x when the
    /// derivative is to be differentiable, else a leaf.
    let internal pointOf (record: bool) (x: Tensor) : Tensor =
        let own = if record then x.view_as x else x.detach ()

        if not own.requires_grad then
            own.requires_grad <- true

        own

    /// A fresh handle of a result, in the scope around the innermost one.
    let internal keep (record: bool) (result: Tensor) : Tensor =
        let own = if record then result.alias () else result.detach ()
        own.MoveToOuterDisposeScope()

    // J v = d(w' J)/dw v for any w.
    let private twiceReverse record (f: Tensor -> Tensor) (x: Tensor) (v: Tensor) : struct (Tensor * Tensor) =
        let own = pointOf record x
        let y = Nesting.Apply f own

        if not y.requires_grad then
            struct (y, null)
        else
            let w = torch.zeros_like y
            w.requires_grad <- true
            let pulled = vjpGraph [| y |] [| own |] [| w |]
            let pushed = if record then vjpGraph pulled [| w |] [| v |] else vjp pulled [| w |] [| v |]
            struct (y, pushed[0])

    /// The value of `f` at `x` and the product of its Jacobian with the tangent `v` (same shape, dtype and device as x;
    /// any shape; the product has the shape of the value). Forward mode where libtorch offers it: one evaluation of f,
    /// whatever its size, without a graph (the AppContext switch `Continuum.DisableForwardMode` turns it off). Otherwise, and where an
    /// operation in f refuses forward mode (custom nodes and inner derivatives do), f is evaluated anew and two reverse sweeps follow.
    /// Inside another derivative, or when x or v requires grad, both results can be differentiated again; else they are
    /// constants. They may share memory with x and v: do not write into them.
    /// Throws ArgumentException when x and v differ in shape or dtype or are not real, and what f throws.
    let jvp (f: Tensor -> Tensor) (x: Tensor) (v: Tensor) : struct (Tensor * Tensor) =
        ArgumentNullException.ThrowIfNull x
        ArgumentNullException.ThrowIfNull v
        Dual.Refuse "A derivative"
        let one = $"{Tensors.shapeText x} {x.dtype}"

        if not (x.shape.AsSpan().SequenceEqual v.shape) || x.dtype <> v.dtype then
            raise (ArgumentException $"The point has shape {one}, the tangent {Tensors.shapeText v} {v.dtype}.")

        if not (x.is_floating_point ()) then
            raise (ArgumentException $"Only real tensors can be differentiated by, this one is {one}.")

        let record = Nesting.Records x || (torch.is_grad_enabled () && v.requires_grad)
        use _ = torch.NewDisposeScope()
        use _ = torch.enable_grad ()

        let forward =
            if record || not Dual.IsAvailable then
                ValueNone
            else
                try
                    ValueSome(Dual.Run f x v)
                with error when Dual.IsUnsupported error ->
                    ValueNone

        let struct (y, tangent) =
            match forward with
            | ValueSome found -> found
            | ValueNone -> twiceReverse record f x v

        let tangent = if isNull tangent then torch.zeros_like y else tangent
        let value = keep record y
        struct (value, keep record tangent)

/// Sums gradients of the same parameters over many sweeps, as the backward pass of a solver needs: libtorch adds in
/// place into `.grad`, which is set aside at construction and put back by `Result` or `Dispose`. When another thread is
/// using the `.grad` of a parameter at the time, or a parameter is not a leaf, the sums are kept apart instead: slower,
/// same result. One accumulator belongs to one thread; accumulators nest like scopes.
[<Sealed>]
type GradientAccumulator(parameters: Tensor[]) =
    let tracked = parameters |> Array.filter _.requires_grad
    let claim = if Array.TrueForAll(tracked, _.is_leaf) then Claim.TryAll tracked else null
    let aside = if isNull claim then null else Engine.setAside tracked
    let sums = if isNull claim then Array.zeroCreate<Tensor> tracked.Length else null
    let mutable finished = false

    let add (i: int) (gradient: Tensor) =
        if not (isNull gradient) then
            use _ = torch.no_grad ()

            let sum =
                match sums[i] with
                | null -> gradient.alias ()
                | earlier ->
                    let sum = earlier.add gradient
                    earlier.Dispose()
                    sum

            sums[i] <- sum.DetachFromDisposeScope()
            gradient.Dispose()

    let apart (outputs: Tensor[]) (cotangents: Tensor[]) (leaves: Tensor[]) =
        let found = Engine.script outputs (Array.append tracked leaves) cotangents false false
        Array.iteri add (Array.sub found 0 tracked.Length)
        Array.sub found tracked.Length leaves.Length

    let native (outputs: Tensor[]) (cotangents: Tensor[]) (leaves: Tensor[]) =
        let saved = Engine.setAside leaves

        try
            Engine.accumulate outputs (Array.append tracked leaves) cotangents false
            leaves |> Array.map _.grad
        finally
            Engine.restore leaves saved

    let finish () =
        if not finished then
            finished <- true

            if isNull claim then
                for sum in sums do
                    if not (isNull sum) then
                        sum.Dispose()
            else
                Engine.restore tracked aside
                claim.Release()

    /// One sweep from `outputs` with `cotangents` (same shapes): adds to the parameters' sums and returns the gradients of
    /// `extraInputs`, zeros where nothing depends on one. The extra inputs are tensors of this step that are no
    /// parameters, usually the leaf that the step was replayed from. Uses the graph up. Throws as `Autograd.vjp` does.
    member _.Backward(outputs: Tensor[], cotangents: Tensor[], extraInputs: Tensor[]) : Tensor[] =
        ObjectDisposedException.ThrowIf(finished, typeof<GradientAccumulator>)

        if outputs.Length <> cotangents.Length then
            raise (ArgumentException $"{outputs.Length} outputs but {cotangents.Length} cotangents.")

        let results = Array.zeroCreate<Tensor> extraInputs.Length
        let keep = outputs |> Array.map _.requires_grad

        let select (tensors: Tensor[]) =
            tensors |> Array.indexed |> Array.filter (fun (i, _) -> keep[i]) |> Array.map snd

        let all = Array.TrueForAll(keep, id)
        let ys = if all then outputs else select outputs
        let vs = if all then cotangents else select cotangents

        let places = [|
            for i in 0 .. extraInputs.Length - 1 do
                if extraInputs[i].requires_grad then
                    i
        |]

        let leaves = places |> Array.map (fun i -> extraInputs[i])

        if ys.Length > 0 && tracked.Length + leaves.Length > 0 then
            let found = if isNull claim then apart ys vs leaves else native ys vs leaves
            Array.iteri (fun k i -> results[i] <- found[k]) places

        for i in 0 .. results.Length - 1 do
            if isNull results[i] then
                results[i] <- torch.zeros_like extraInputs[i]

        results

    /// The sums, one for each parameter, null for a parameter that no sweep reached; ends the accumulation.
    member _.ResultOrNull() : Tensor[] =
        ObjectDisposedException.ThrowIf(finished, typeof<GradientAccumulator>)
        let mutable next = -1

        let results =
            parameters
            |> Array.map (fun parameter ->
                if not parameter.requires_grad then
                    null
                else
                    next <- next + 1

                    if not (isNull claim) then tracked[next].grad
                    elif isNull sums[next] then null
                    else sums[next].alias())

        finish ()
        results

    /// The sums, one for each parameter, zeros for a parameter that no sweep reached; ends the accumulation.
    member this.Result() : Tensor[] =
        let results = this.ResultOrNull()

        for i in 0 .. results.Length - 1 do
            if isNull results[i] then
                results[i] <- torch.zeros_like parameters[i]

        results

    interface IDisposable with
        member _.Dispose() = finish ()
