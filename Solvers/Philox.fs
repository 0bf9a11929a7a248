// A random function: 128 random bits for each counter under each key, with no state at all. Salmon, Moraes, Dror and Shaw 2011,
// "Parallel random numbers: as easy as 1, 2, 3": Philox4x32 with ten rounds, which passes BigCrush.
namespace Continuum

open System.Runtime.CompilerServices
open System.Runtime.Intrinsics
open System.Runtime.Intrinsics.X86

/// Philox4x32-10 for one counter, or eight counters at once with the same bits.
[<RequireQualifiedAccess>]
module internal Philox =

    /// Multipliers of the first and third word.
    [<Literal>]
    let M0 = 0xD2511F53u

    [<Literal>]
    let M1 = 0xCD9E8D57u

    /// What a round adds to the two words of the key.
    [<Literal>]
    let W0 = 0x9E3779B9u

    [<Literal>]
    let W1 = 0xBB67AE85u

    /// The 128 bits of a counter, low word first.
    let bits (key: uint64) (c0: uint32) (c1: uint32) (c2: uint32) (c3: uint32) : struct (uint64 * uint64) =
        let mutable x0 = c0
        let mutable x1 = c1
        let mutable x2 = c2
        let mutable x3 = c3
        let mutable k0 = uint32 key
        let mutable k1 = uint32 (key >>> 32)

        for _ in 1..10 do
            let p0 = uint64 M0 * uint64 x0
            let p1 = uint64 M1 * uint64 x2
            x0 <- uint32 (p1 >>> 32) ^^^ x1 ^^^ k0
            x1 <- uint32 p1
            x2 <- uint32 (p0 >>> 32) ^^^ x3 ^^^ k1
            x3 <- uint32 p0
            k0 <- k0 + W0
            k1 <- k1 + W1

        struct (uint64 x0 ||| (uint64 x1 <<< 32), uint64 x2 ||| (uint64 x3 <<< 32))

    /// The products of the low halves of a and m.
    [<MethodImpl(MethodImplOptions.AggressiveInlining)>]
    let product (a: Vector512<uint64>) (m: Vector512<uint64>) : Vector512<uint64> =
        if Avx512F.IsSupported then
            Avx512F.Multiply(a.AsUInt32(), m.AsUInt32())
        elif Avx2.IsSupported then
            Vector512.Create(
                Avx2.Multiply(a.GetLower().AsUInt32(), m.GetLower().AsUInt32()),
                Avx2.Multiply(a.GetUpper().AsUInt32(), m.GetUpper().AsUInt32())
            )
        else
            (a &&& Vector512.Create 0xFFFFFFFFUL) * m

    /// The same for eight counters, a word of each in every lane (its upper half is not looked at).
    [<MethodImpl(MethodImplOptions.AggressiveInlining)>]
    let lanes
        (key: uint64)
        (c0: Vector512<uint64>)
        (c1: Vector512<uint64>)
        (c2: Vector512<uint64>)
        (c3: Vector512<uint64>)
        : struct (Vector512<uint64> * Vector512<uint64>) =
        let m0 = Vector512.Create(uint64 M0)
        let m1 = Vector512.Create(uint64 M1)
        let mutable x0 = c0
        let mutable x1 = c1
        let mutable x2 = c2
        let mutable x3 = c3
        let mutable k0 = uint32 key
        let mutable k1 = uint32 (key >>> 32)

        // Upper halves fill with what does not matter: only low halves enter a product.
        for _ in 1..10 do
            let p0 = product x0 m0
            let p1 = product x2 m1
            x0 <- Vector512.ShiftRightLogical(p1, 32) ^^^ x1 ^^^ Vector512.Create(uint64 k0)
            x1 <- p1
            x2 <- Vector512.ShiftRightLogical(p0, 32) ^^^ x3 ^^^ Vector512.Create(uint64 k1)
            x3 <- p0
            k0 <- k0 + W0
            k1 <- k1 + W1

        let low = Vector512.Create 0xFFFFFFFFUL

        struct ((x0 &&& low) ||| Vector512.ShiftLeft(x1, 32), (x2 &&& low) ||| Vector512.ShiftLeft(x3, 32))
