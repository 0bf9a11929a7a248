// Linear algebra with constant coefficients on arrays of numbers that carry derivatives. Such maps act on a value and on each of its
// derivatives alike, so the array is taken for what it is in memory: rows of doubles.
namespace Continuum

// Interfaces with static members on type variables, as in Numbers.fs.
#nowarn "3535" "3536"

open System
open System.Numerics
open System.Runtime.CompilerServices
open System.Runtime.InteropServices

/// Arrays of numbers as rows of doubles: row i is x[i], its first entry the value of x[i].
[<RequireQualifiedAccess>]
module internal NumberRows =

    /// Doubles of one number.
    let width<'B when 'B: struct> : int = Unsafe.SizeOf<'B>() / sizeof<float>

    /// The memory of an array.
    let doubles (x: 'B[]) : Span<float> when 'B: struct =
        if x.Length = 0 then
            Span<float>.Empty
        else
            MemoryMarshal.CreateSpan(&Unsafe.As<'B, float>(&x[0]), x.Length * width<'B>)

    /// The value of entry i.
    let value (x: 'B[]) (i: int) : float when 'B: struct = (doubles x)[i * width<'B>]

    /// The values of the first entries into dest, as many as it has.
    let values (x: 'B[]) (dest: float[]) =
        let raw = doubles x
        let width = width<'B>

        for i in 0 .. dest.Length - 1 do
            dest[i] <- raw[i * width]

    /// Constants, without derivatives.
    let constants<'B when 'B: struct and 'B :> IReal<'B>> (x: float[]) : 'B[] = Array.map (fun v -> 'B.Of v) x

    /// dest <- dest + s x, all of dest.
    let add (s: float) (x: Span<float>) (dest: Span<float>) =
        let mutable i = 0

        if s <> 0.0 then
            if Vector.IsHardwareAccelerated then
                let lanes = Vector<float>.Count
                let factor = Vector<float> s

                while i <= dest.Length - lanes do
                    let at = dest.Slice i

                    (Vector<float>(Span<float>.op_Implicit at: ReadOnlySpan<float>)
                     + factor * Vector<float>(Span<float>.op_Implicit(x.Slice i): ReadOnlySpan<float>))
                        .CopyTo
                        at

                    i <- i + lanes

            while i < dest.Length do
                dest[i] <- dest[i] + s * x[i]
                i <- i + 1

    /// dest <- y + h sum_{j < count} w_j k_j over the whole arrays.
    let combine (y: 'B[]) (h: float) (w: float[]) (k: 'B[][]) (count: int) (dest: 'B[]) =
        let target = doubles dest
        target.Clear()

        for j in 0 .. count - 1 do
            add w[j] (doubles k[j]) target

        let start = doubles y

        for i in 0 .. target.Length - 1 do
            target[i] <- start[i] + h * target[i]
