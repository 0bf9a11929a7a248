namespace Continuum

open System
open System.Runtime.InteropServices
open TorchSharp

/// Raised where forward mode cannot pass; `Autograd.jvp` then takes two reverse sweeps instead.
type internal ForwardModeUnsupportedException(message: string) =
    inherit Exception(message)

/// Whether this thread is evaluating a function that is being differentiated: see `Diff`.
[<Sealed; AbstractClass>]
type internal Nesting private () =

    [<ThreadStatic; DefaultValue>]
    static val mutable private depth: int

    /// Run the body as part of a function that is being differentiated.
    static member Run(body: unit -> 'T) : 'T =
        Nesting.depth <- Nesting.depth + 1

        try
            body ()
        finally
            Nesting.depth <- Nesting.depth - 1

    /// `f` at `x`, as part of a function that is being differentiated.
    static member Apply (f: Tensor -> Tensor) (x: Tensor) : Tensor =
        match Nesting.Run(fun () -> f x) with
        | null -> raise (InvalidOperationException "The function to differentiate returned null.")
        | y -> y

    /// Whether a derivative at `x` must be differentiable itself.
    static member Records(x: Tensor) : bool = torch.is_grad_enabled () && (Nesting.depth > 0 || x.requires_grad)

[<UnmanagedFunctionPointer(CallingConvention.Cdecl)>]
type internal EnterDualLevel = delegate of unit -> uint64

/// Forward-mode differentiation with libtorch's dual tensors, which TorchSharp does not bind.
///
/// libtorch knows one dual level at a time, global to the process, and a second `enter_dual_level` ends the process.
/// So the level is entered once, at the first use, and never left; all tangents live at level 0. Two tangents at one
/// level would be confused, hence a dual computation inside another one on the same thread is refused (`IsActive`).
[<Sealed; AbstractClass>]
type internal Dual private () =

    [<ThreadStatic; DefaultValue>]
    static val mutable private active: bool

    static let text =
        """
def make(x: Tensor, v: Tensor) -> Tensor:
    return torch._make_dual(x, v, 0)

def unpack(y: Tensor) -> List[Tensor]:
    primal, tangent = torch._unpack_dual(y, 0)
    return [primal, tangent]
"""

    static let symbol = "_ZN5torch8autograd10forward_ad16enter_dual_levelEv"
    static let flag = "Continuum.DualLevelEntered"

    static let libraries = [| "libtorch_cpu.so"; "libtorch_cpu.dylib"; "torch_cpu" |]

    // Two load contexts of this assembly share the process's one level: the flag is process-wide.
    static let enter (address: nativeint) =
        lock (typeof<torch>) (fun () ->
            if isNull (AppContext.GetData flag) then
                Marshal.GetDelegateForFunctionPointer<EnterDualLevel>(address).Invoke() |> ignore
                AppContext.SetData(flag, box true))

    static let unit' =
        lazy
            (let find (name: string) =
                let mutable library = 0n
                let mutable address = 0n

                if
                    NativeLibrary.TryLoad(name, typeof<torch>.Assembly, Nullable(), &library)
                    && NativeLibrary.TryGetExport(library, symbol, &address)
                then
                    Some address
                else
                    None

             torch.is_grad_enabled () |> ignore // loads libtorch the way TorchSharp wants it

             libraries
             |> Array.tryPick find
             |> Option.map (fun address ->
                 let unit' = torch.jit.compile text
                 enter address
                 unit'))

    // An escape from forward mode, also for tests.
    static let disabled () =
        match AppContext.TryGetSwitch "Continuum.DisableForwardMode" with
        | true, answer -> answer
        | _ -> false

    /// Whether this libtorch offers forward mode.
    static member IsAvailable = not (disabled ()) && unit'.Value.IsSome

    /// Whether this thread is inside a dual computation.
    static member IsActive = Dual.active

    // TorchSharp counts the wrapper of an undefined tensor as live and never disposes it: take it out of the count.
    static member private Unpack(y: Tensor) : struct (Tensor * Tensor) =
        use scope = torch.NewDisposeScope()
        let parts = unit'.Value.Value.invoke<Tensor[]>("unpack", [| box y |])
        let primal = parts[0].MoveToOuterDisposeScope()

        if parts[1].IsInvalid then
            scope.MarkAsDisposed parts[1]
            struct (primal, null)
        else
            struct (primal, parts[1].MoveToOuterDisposeScope())

    /// `f` at `x` with the tangent `v`: the value and the tangent (null when the value does not depend on x).
    static member Run (f: Tensor -> Tensor) (x: Tensor) (v: Tensor) : struct (Tensor * Tensor) =
        // A tangent with a graph refers back to its dual tensor: a cycle that only leaving the level would free, and
        // that hangs the process in exit(). Hence no recording, and no derivative inside.
        use _ = torch.no_grad ()
        Dual.active <- true

        try
            let dual = unit'.Value.Value.invoke<Tensor>("make", [| box x; box v |])
            Dual.Unpack(Nesting.Apply f dual)
        finally
            Dual.active <- false

    /// Whether `x` carries a tangent.
    static member IsDual(x: Tensor) : bool =
        use _ = torch.NewDisposeScope()
        let struct (_, tangent) = Dual.Unpack x
        not (isNull tangent)

    /// Whether `error` says that an operation has no forward derivative.
    static member IsUnsupported(error: exn) =
        let refused (message: string) = message.Contains "forward AD" || message.Contains "jvp is not implemented"

        match error with
        | :? ForwardModeUnsupportedException -> true
        | :? ExternalException -> refused error.Message
        | :? InvalidOperationException when (error.InnerException :? ExternalException) ->
            refused error.InnerException.Message
        | _ -> false

    /// Refuse what would lose a tangent without a word.
    static member Refuse(what: string) =
        if Dual.active then
            raise (ForwardModeUnsupportedException $"{what} does not carry tangents.")
