namespace Continuum

open System
open System.Collections.Generic
open System.Diagnostics
open System.Runtime.ExceptionServices
open System.Runtime.InteropServices
open TorchSharp

// The only gateway to libtorch's autograd. Raw `torch.autograd.grad` ends the process on any libtorch error and so does
// an exception that leaves a custom backward; nothing here does either.
//
// Two routes lead into the engine, both report errors as exceptions:
//   native    torch.autograd.backward with explicit inputs, gradients read from `.grad`. The fastest, but it accumulates
//             into the inputs' `.grad`, leaves `retain_grad` on for good on non-leaf inputs, makes a tensor <-> grad
//             cycle (and a warning) under create_graph, and two threads with a shared input would mix their sums.
//   script    torch.autograd.grad inside a TorchScript function. Costs some 40 us more, touches no `.grad`.
// So: first order, all inputs leaves and none in use by another thread -> native; everything else -> script.

/// What the backward of a custom node is told: see `Autograd.customVjp`.
[<Sealed>]
type VjpContext internal (saved: Tensor[], needs: bool[], recording: bool) =

    /// The tensors that forward saved, unpacked: an input that was saved still carries its graph, an intermediate does
    /// not. The node owns them: they are disposed when the backward returns.
    member _.Saved = saved

    /// For each input, whether its gradient is asked for. Entries of inputs that are not may be null.
    member _.Needs = needs

    /// True when the caller wants to differentiate the gradients again (create_graph): what backward computes from
    /// saved inputs and the cotangent is then recorded; what depends on anything else is a constant.
    member _.CreateGraph = recording

/// One run of the engine on this thread: where node bodies leave their exceptions.
[<Sealed; AllowNullLiteral>]
type internal Sweep private (parent: Sweep) =

    [<ThreadStatic; DefaultValue>]
    static val mutable private current: Sweep

    [<ThreadStatic; DefaultValue>]
    static val mutable private owned: List<Tensor>

    [<ThreadStatic; DefaultValue>]
    static val mutable private held: List<Tensor>

    // The last exception of a node that ran on a thread without a sweep, one of libtorch's device threads, and when.
    static let mutable orphan: struct (int64 * exn) = struct (0L, null)
    static let gate = obj ()

    let start = Stopwatch.GetTimestamp()

    member val Error: exn = null with get, set

    /// Dispose what earlier nodes returned on this thread: the engine has copied the handles by now.
    static member Release() =
        if not (isNull Sweep.owned) && Sweep.owned.Count > 0 then
            for tensor in Sweep.owned do
                tensor.Dispose()

            Sweep.owned.Clear()

        if not (isNull Sweep.held) then
            Sweep.held.Clear()

    /// Keep a tensor that is on its way to the engine alive, and dispose it at the next `Release`. TorchSharp drops
    /// its reference before the engine has copied the handle, so an unrooted one may be finalised too early.
    static member Own(tensor: Tensor) =
        if isNull Sweep.owned then
            Sweep.owned <- List<Tensor>()

        Sweep.owned.Add tensor

    /// The same for a tensor that somebody else disposes.
    static member Hold(tensor: Tensor) =
        if isNull Sweep.held then
            Sweep.held <- List<Tensor>()

        Sweep.held.Add tensor

    static member private Managed(error: ExternalException) : exn =
        let line = error.Message.Split('\n')[0]
        InvalidOperationException($"Differentiation failed: {line}", error)

    /// Leave the exception of a node for the sweep that runs it.
    static member Stash(error: exn) =
        let error =
            match error with
            | :? ExternalException as native -> Sweep.Managed native
            | other -> other

        match Sweep.current with
        | null -> lock gate (fun () -> orphan <- struct (Stopwatch.GetTimestamp(), error))
        | sweep when isNull sweep.Error -> sweep.Error <- error
        | _ -> ()

    // The engine stopped at a poisoned gradient (see CustomNode): if no node of this thread says why, a device thread's does.
    member private _.Adopt() : exn =
        lock gate (fun () ->
            match orphan with
            | struct (time, error) when time >= start ->
                orphan <- struct (0L, null)
                error
            | _ -> null)

    /// Run the engine: rethrows what a node threw, else the engine's own error as an InvalidOperationException.
    static member Run(engine: unit -> 'T) : 'T =
        Sweep.Release()
        let sweep = Sweep Sweep.current
        Sweep.current <- sweep

        try
            let result =
                try
                    engine ()
                with :? ExternalException as error ->
                    if isNull sweep.Error then
                        sweep.Error <- sweep.Adopt()

                    if isNull sweep.Error then
                        sweep.Error <- Sweep.Managed error

                    Unchecked.defaultof<'T>

            if not (isNull sweep.Error) then
                ExceptionDispatchInfo.Capture(sweep.Error).Throw()

            result
        finally
            Sweep.current <- sweep.Parent
            Sweep.Release()

    member private _.Parent = parent

/// What a custom node carries from its forward to its backward.
[<Sealed; AllowNullLiteral>]
type internal NodeCall(needs: bool[], body: VjpContext -> Tensor -> Tensor[]) =
    member _.Needs = needs
    member _.Body = body
    member val Output: Tensor = null with get, set
    member val Saved: List<Tensor> = null with get, set

/// The one autograd node of the suite; its behaviour comes in a NodeCall as the last argument of `apply`.
[<Sealed; AllowNullLiteral>]
type internal CustomNode() =
    inherit torch.autograd.SingleTensorFunction<CustomNode>()

    // A gradient that the engine refuses on whatever device, so that the sweep stops with an error that even a caller
    // of raw `.backward()` sees as an exception.
    static member private Poison(needs: bool[], gradients: List<Tensor>) =
        gradients.Clear()

        for need in needs do
            let poison = if need then torch.empty ([| 1L |], device = torch.device "meta") else null
            gradients.Add poison

            if need then
                Sweep.Own poison

    static member private Gradients(call: NodeCall, ctx: torch.autograd.AutogradContext, cotangent: Tensor) =
        let needs = call.Needs
        use scope = torch.NewDisposeScope()

        if cotangent.IsInvalid then
            Array.zeroCreate<Tensor> needs.Length
        else
            let context = VjpContext(ctx.get_saved_variables().ToArray(), needs, torch.is_grad_enabled ())
            let gradients = call.Body context cotangent

            if isNull gradients || gradients.Length <> needs.Length then
                let got = if isNull gradients then 0 else gradients.Length
                raise (ArgumentException $"A custom vjp with {needs.Length} inputs returned {got} gradients.")

            for i in 0 .. needs.Length - 1 do
                let gradient = gradients[i]

                if not needs[i] then
                    gradients[i] <- null
                elif not (isNull gradient) && not (Object.ReferenceEquals(gradient, cotangent)) then
                    if scope.Contains gradient then
                        Sweep.Own(gradient.MoveToOuterDisposeScope())
                    else
                        Sweep.Hold gradient

            gradients

    override _.Name = "Continuum.CustomVjp"

    override _.forward(ctx, [<ParamArray>] vars) =
        let call = vars[vars.Length - 1] :?> NodeCall
        // An undefined cotangent stays undefined: TorchSharp would copy zeros from a cache that a dispose scope may have emptied.
        ctx.set_materialize_grads false
        ctx.save_for_backward call.Saved
        ctx.save_data ("call", call)
        call.Output

    override _.backward(ctx, cotangent) =
        let call = ctx.get_data "call" :?> NodeCall
        let result = List<Tensor>(call.Needs.Length + 1)

        try
            Sweep.Release()
            result.AddRange(CustomNode.Gradients(call, ctx, cotangent))
        with error ->
            Sweep.Stash error

            try
                CustomNode.Poison(call.Needs, result)
            with _ ->
                result.Clear()
                result.AddRange(Array.zeroCreate<Tensor> call.Needs.Length)

        Sweep.Own cotangent
        result.Add null // the NodeCall argument
        result

/// Which leaves have their `.grad` in use by a native sweep, by the address of the libtorch tensor. A thread may nest its
/// own sweeps (each puts `.grad` back), another thread has to take the other route.
[<Sealed; AllowNullLiteral>]
type internal Claim private (keys: nativeint[], previous: struct (int * int64)[]) =

    static let table = Dictionary<nativeint, struct (int * int64)>()
    static let mutable lastToken = 0L

    // at::Tensor is one intrusive pointer, so the first word behind a handle names the tensor whatever the wrapper.
    static member private Key(tensor: Tensor) = Marshal.ReadIntPtr tensor.Handle

    member _.Release() =
        lock table (fun () ->
            for i in keys.Length - 1 .. -1 .. 0 do
                match previous[i] with
                | struct (_, 0L) -> table.Remove keys[i] |> ignore
                | earlier -> table[keys[i]] <- earlier)

    /// A claim on all the tensors, or null when another thread holds one of them or one of them comes twice.
    static member TryAll(tensors: Tensor[]) : Claim =
        let keys = Array.map Claim.Key tensors
        let previous = Array.zeroCreate<struct (int * int64)> keys.Length
        let thread = Environment.CurrentManagedThreadId

        lock table (fun () ->
            lastToken <- lastToken + 1L
            let token = lastToken
            let mutable count = 0
            let mutable free = true

            while free && count < keys.Length do
                match table.TryGetValue keys[count] with
                | true, struct (holder, earlier) when holder <> thread || earlier = token -> free <- false
                | _, earlier ->
                    previous[count] <- earlier
                    table[keys[count]] <- struct (thread, token)
                    count <- count + 1

            let claim = Claim(Array.sub keys 0 count, previous)

            if free then
                claim
            else
                claim.Release()
                null)

/// The two routes into the engine, for outputs and inputs that all require grad.
module internal Engine =

    let private text =
        """
def vjp(outputs: List[Tensor], inputs: List[Tensor], cotangents: List[Tensor], retain: bool, create: bool) -> List[Tensor]:
    seeds: List[Optional[Tensor]] = []
    for c in cotangents:
        seeds.append(c)
    found = torch.autograd.grad(outputs, inputs, seeds, retain, create, True)
    result: List[Tensor] = []
    for g in found:
        if g is None:
            result.append(torch.zeros([0], dtype=11))
        else:
            result.append(g)
    return result
"""

    let private unit' = lazy (torch.jit.compile text)

    /// Gradients without touching any `.grad`; null where an output does not depend on the input.
    let script (outputs: Tensor[]) (inputs: Tensor[]) (cotangents: Tensor[]) (retain: bool) (create: bool) : Tensor[] =
        let arguments = [| box outputs; box inputs; box cotangents; box (retain || create); box create |]
        let found = Sweep.Run(fun () -> unit'.Value.invoke<Tensor[]>("vjp", arguments))

        for i in 0 .. found.Length - 1 do
            if found[i].dtype = torch.bool then
                found[i].Dispose()
                found[i] <- null

        found

    /// Take `.grad` away from the leaves; the caller puts it back by `restore`.
    let setAside (leaves: Tensor[]) : Tensor[] =
        leaves
        |> Array.map (fun leaf ->
            match leaf.grad with
            | null -> null
            | grad ->
                leaf.grad <- null
                grad.DetachFromDisposeScope())

    /// Put `.grad` back as it was.
    let restore (leaves: Tensor[]) (saved: Tensor[]) : unit =
        for i in 0 .. leaves.Length - 1 do
            leaves[i].grad <- saved[i]

            if not (isNull saved[i]) then
                saved[i].Dispose()

    /// Accumulate into the `.grad` of `inputs`.
    let accumulate (outputs: Tensor[]) (inputs: Tensor[]) (cotangents: Tensor[]) (retain: bool) : unit =
        Sweep.Run(fun () -> torch.autograd.backward (outputs, cotangents, Nullable retain, false, inputs))

    /// Gradients of leaves by way of their `.grad`, which is as before when this returns.
    let native (outputs: Tensor[]) (leaves: Tensor[]) (cotangents: Tensor[]) (retain: bool) : Tensor[] =
        let saved = setAside leaves

        try
            accumulate outputs leaves cotangents retain
            leaves |> Array.map _.grad
        finally
            restore leaves saved
