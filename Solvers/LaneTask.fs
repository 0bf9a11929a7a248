// What a worker of an ensemble is told, and the memory that it works in.
namespace Continuum

#nowarn "9" "51" "3535" "3536"

open System
open System.Runtime.InteropServices
open System.Runtime.Intrinsics
open System.Threading
open Microsoft.FSharp.NativeInterop

/// Numbers in lanes outside of the managed heap, aligned to cache lines.
[<Sealed>]
type internal LaneMemory(count: int) =
    let block = NativeMemory.AlignedAlloc(unativeint (64 * max 1 count), 64un)
    let first: nativeptr<Vector512<float>> = NativePtr.ofVoidPtr block

    do NativeMemory.Clear(block, unativeint (64 * max 1 count))

    member _.At(i: int) : nativeptr<Vector512<float>> = NativePtr.add first i
    member _.Span(i: int, length: int) = Span<Lanes>(NativePtr.toVoidPtr (NativePtr.add first i), length)
    member _.ReadOnly(i: int, length: int) = ReadOnlySpan<Lanes>(NativePtr.toVoidPtr (NativePtr.add first i), length)

    interface IDisposable with
        member _.Dispose() = NativeMemory.AlignedFree block

/// Per-component tolerances, expanded.
type internal LaneTolerance = {
    Rtol: float[]
    Atol: float[]
    /// One pair for all components: the norm then sums in threes, as RealSpace does.
    IsUniform: bool
    IsMaximum: bool
}

/// What the worker is told about the ensemble.
type internal LaneTask = {
    Tableau: Tableau
    Feedback: Feedback
    Tolerance: LaneTolerance
    Options: SolveOptions<float[]>
    Problem: EnsembleProblem
    Solution: EnsembleSolution
    /// The next trajectory, or -1.
    Next: Func<int>
    /// Told after each trajectory that ended.
    Ended: Action
}
