// The addresses of normal numbers: each is a function of seed, path, place in the tree and index, so that nothing need be remembered.
namespace Continuum

#nowarn "9"

open System
open System.Runtime.CompilerServices
open System.Runtime.InteropServices
open System.Runtime.Intrinsics
open Microsoft.FSharp.NativeInterop

/// The numbers of the paths of a batch: consecutive, or any.
[<Sealed>]
type internal PathNumbers private (first: uint32, chosen: uint32[], count: int) =
    let last = first + uint32 (max 0 (count - 1))

    /// first, first + 1, ..
    static member From(first: int64, count: int) =
        if first < 0L || first + int64 count > 4294967296L then
            raise (ArgumentOutOfRangeException(nameof first, first, "Path numbers lie in 0 .. 2^32 - 1."))

        PathNumbers(uint32 first, null, count)

    /// These.
    static member Chosen(numbers: int64[]) =
        for number in numbers do
            if number < 0L || number > 4294967295L then
                raise (ArgumentOutOfRangeException(nameof numbers, number, "Path numbers lie in 0 .. 2^32 - 1."))

        PathNumbers(0u, Array.map uint32 numbers, numbers.Length)

    /// How many.
    member _.Count = count

    /// The number of the b-th path.
    member _.Item
        with get (b: int) = if isNull chosen then first + uint32 b else chosen[b]

    /// The numbers of paths b to b + 7; beyond the end that of the last.
    member _.Lanes(b: int) : Vector512<uint64> =
        if isNull chosen then
            let from =
                Vector512.Create(uint64 first + uint64 b) + Vector512.Create(0UL, 1UL, 2UL, 3UL, 4UL, 5UL, 6UL, 7UL)

            if b + 8 <= count then
                from
            else
                Vector512.Min(from, Vector512.Create(uint64 last))
        else
            let at i = uint64 chosen[Math.Min(b + i, count - 1)]
            Vector512.Create(at 0, at 1, at 2, at 3, at 4, at 5, at 6, at 7)

/// Where a run of normal numbers starts: three words of the counter (the fourth is the path), and how they go on. Each counter
/// holds two numbers.
[<Struct>]
type internal DrawAddress = {
    C1: uint32
    C2: uint32
    C3: uint32
    /// Counters go on in (C1, C2) as one 64-bit number; otherwise in C3.
    Stream: bool
} with

    /// The k-th counter from here.
    member a.Counter(k: int) : struct (uint32 * uint32 * uint32) =
        if a.Stream then
            let at = (uint64 a.C1 ||| (uint64 a.C2 <<< 32)) + uint64 k
            struct (uint32 at, uint32 (at >>> 32), 0u)
        else
            struct (a.C1, a.C2, a.C3 + uint32 k)

    /// The k-th counter and the seven that follow.
    [<MethodImpl(MethodImplOptions.AggressiveInlining)>]
    member a.Lanes(k: int) : struct (Vector512<uint64> * Vector512<uint64> * Vector512<uint64>) =
        let ahead = Vector512.Create(uint64 k) + Vector512.Create(0UL, 1UL, 2UL, 3UL, 4UL, 5UL, 6UL, 7UL)

        if a.Stream then
            let at = Vector512.Create(uint64 a.C1 ||| (uint64 a.C2 <<< 32)) + ahead
            struct (at, Vector512.ShiftRightLogical(at, 32), Vector512<uint64>.Zero)
        else
            struct (Vector512.Create(uint64 a.C1), Vector512.Create(uint64 a.C2), Vector512.Create(uint64 a.C3) + ahead)

/// The kinds of addresses, and normals at them.
[<RequireQualifiedAccess>]
module internal NormalDraws =

    /// The numbers of whole cells, one unbroken sequence for each path: from the even index 2 pair on.
    let cells (pair: int64) : DrawAddress = { C1 = uint32 pair; C2 = uint32 (pair >>> 32); C3 = 0u; Stream = true }

    /// The numbers that split a node of the tree in a cell; heap is its place there, the cell itself being 1.
    let node (cell: int) (heap: uint32) : DrawAddress = { C1 = uint32 cell; C2 = heap; C3 = 1u; Stream = false }

    /// The numbers of a leaf's area.
    let area (cell: int) (heap: uint32) : DrawAddress = {
        C1 = uint32 cell
        C2 = heap
        C3 = 0x80000000u
        Stream = false
    }

    /// The numbers that split a node's area.
    let areaSplit (cell: int) (heap: uint32) : DrawAddress = {
        C1 = uint32 cell
        C2 = heap
        C3 = 0xC0000000u
        Stream = false
    }

    let private onePath (key: uint64) (path: uint32) (address: DrawAddress) (skip: int) (values: Span<float>) =
        let calls = (values.Length + skip + 1) / 2
        let spare = NativePtr.stackalloc<float> 16
        let mutable k = 0

        // Fewer counters than this cost less one by one.
        while calls - k >= 3 do
            let struct (c1, c2, c3) = address.Lanes k
            let struct (low, high) = Philox.lanes key (Vector512.Create(uint64 path)) c1 c2 c3
            Vector512.Store(NormalQuantile.uniformLanes low, spare)
            Vector512.Store(NormalQuantile.uniformLanes high, NativePtr.add spare 8)

            for lane in 0 .. Math.Min(8, calls - k) - 1 do
                let place = 2 * (k + lane) - skip

                if place >= 0 then
                    values[place] <- NativePtr.get spare lane

                if place + 1 < values.Length then
                    values[place + 1] <- NativePtr.get spare (8 + lane)

            k <- k + 8

        while k < calls do
            let struct (c1, c2, c3) = address.Counter k
            let struct (low, high) = Philox.bits key path c1 c2 c3
            let place = 2 * k - skip

            if place >= 0 then
                values[place] <- NormalQuantile.uniform low

            if place + 1 < values.Length then
                values[place + 1] <- NormalQuantile.uniform high

            k <- k + 1

    let private manyPaths
        (key: uint64)
        (paths: PathNumbers)
        (address: DrawAddress)
        (skip: int)
        (count: int)
        (values: Span<float>)
        =
        let batch = paths.Count
        let whole = batch &&& ~~~7
        let first = &MemoryMarshal.GetReference values
        let spare = NativePtr.stackalloc<float> 8

        for k in 0 .. (count + skip + 1) / 2 - 1 do
            let struct (c1, c2, c3) = address.Counter k
            let c1 = Vector512.Create(uint64 c1)
            let c2 = Vector512.Create(uint64 c2)
            let c3 = Vector512.Create(uint64 c3)
            let row = 2 * k - skip
            let mutable b = 0

            while b < whole do
                let struct (low, high) = Philox.lanes key (paths.Lanes b) c1 c2 c3

                if row >= 0 then
                    Vector512.StoreUnsafe(NormalQuantile.uniformLanes low, &first, unativeint (row * batch + b))

                if row + 1 < count then
                    Vector512.StoreUnsafe(NormalQuantile.uniformLanes high, &first, unativeint ((row + 1) * batch + b))

                b <- b + 8

            if b < batch then
                let struct (low, high) = Philox.lanes key (paths.Lanes b) c1 c2 c3

                if row >= 0 then
                    Vector512.Store(NormalQuantile.uniformLanes low, spare)
                    Span<float>(NativePtr.toVoidPtr spare, batch - b).CopyTo(values.Slice(row * batch + b))

                if row + 1 < count then
                    Vector512.Store(NormalQuantile.uniformLanes high, spare)
                    Span<float>(NativePtr.toVoidPtr spare, batch - b).CopyTo(values.Slice((row + 1) * batch + b))

    /// Standard normals: for each path `count` numbers from the address on, after leaving out the first `skip` (0 or 1); number j of
    /// path b at values[j * paths.Count + b]. values has count * paths.Count elements.
    let fill (key: uint64) (paths: PathNumbers) (address: DrawAddress) (skip: int) (count: int) (values: Span<float>) =
        if values.Length <> count * paths.Count then
            raise (ArgumentException $"{count} numbers of {paths.Count} paths do not fill {values.Length} places.")

        if paths.Count = 1 then
            onePath key paths[0] address skip values
        else
            manyPaths key paths address skip count values

        NormalQuantile.transform values
