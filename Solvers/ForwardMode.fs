namespace Continuum

open System
open System.Runtime.InteropServices
open TorchSharp

/// Raised where forward mode cannot pass; `Autograd.jvp` then takes two reverse sweeps instead.
type internal ForwardModeUnsupportedException(message: string) =
    inherit Exception(message)

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

    static member IsAvailable = unit'.Value.IsSome

    /// Whether this thread is inside a dual computation.
    static member IsActive = Dual.active

    static member private Unpack(y: Tensor) : struct (Tensor * Tensor) =
        let parts = unit'.Value.Value.invoke<Tensor[]> ("unpack", [| box y |])

        if parts[1].IsInvalid then
            Tensors.forget parts[1]
            struct (parts[0], null)
        else
            struct (parts[0], parts[1])

    /// `f` at `x` with the tangent `v`: the value and the tangent (null when the value does not depend on x).
    static member Run (f: Tensor -> Tensor) (x: Tensor) (v: Tensor) : struct (Tensor * Tensor) =
        Dual.active <- true

        try
            let dual = unit'.Value.Value.invoke<Tensor> ("make", [| box x; box v |])
            Dual.Unpack(f dual)
        finally
            Dual.active <- false

    /// Whether `x` carries a tangent.
    static member IsDual(x: Tensor) : bool =
        use _ = torch.NewDisposeScope()
        let struct (_, tangent) = Dual.Unpack x
        not (isNull tangent)

    /// Whether `error` says that an operation has no forward derivative.
    static member IsUnsupported(error: exn) =
        match error with
        | :? ForwardModeUnsupportedException -> true
        | :? ExternalException ->
            error.Message.Contains "forward AD" || error.Message.Contains "jvp is not implemented"
        | _ -> false
