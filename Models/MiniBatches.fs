// Mini-batches that are a pure function of the seed and the iteration, so that a resumed training sees the same ones without any state.
namespace Continuum

open System
open TorchSharp

/// Mini-batches of the indices 0 .. count - 1. Every epoch is a new random order of all indices, cut into batches of `batchSize` (the last
/// one may be shorter); the order of epoch e depends on the seed and e alone.
[<Sealed>]
type MiniBatches(count: int, batchSize: int, seed: int) =
    do
        if count < 1 then
            raise (ArgumentException $"there is nothing to draw batches from; got {count} samples")

        if batchSize < 1 then
            raise (ArgumentException $"a batch needs at least 1 sample; got {batchSize}")

    let perEpoch = (count + batchSize - 1) / batchSize
    let mutable epoch = -1
    let mutable order: int[] = [||]

    /// A bijective mix of the two (Steele, Lea and Flood 2014). libtorch's generator on the CPU reads the lower 32 bits of a seed only,
    /// so these must depend on both.
    let mixed (seed: int) (epoch: int) : uint64 =
        let mutable z = (uint64 seed <<< 32) + uint64 epoch + 0x9E3779B97F4A7C15UL
        z <- (z ^^^ (z >>> 30)) * 0xBF58476D1CE4E5B9UL
        z <- (z ^^^ (z >>> 27)) * 0x94D049BB133111EBUL
        z ^^^ (z >>> 31)

    let orderOf (wanted: int) =
        if wanted <> epoch then
            use _ = torch.NewDisposeScope()
            use generator = new torch.Generator(mixed seed wanted)
            let random = torch.randperm (int64 count, dtype = Nullable torch.int64, generator = generator)
            order <- random.data<int64>().ToArray() |> Array.map int
            epoch <- wanted

        order

    /// Batches of an epoch.
    member _.PerEpoch = perEpoch

    /// The indices of the batch of this iteration (from 0), rising. A batch that holds every index comes in order in every epoch.
    member _.At(iteration: int) : int[] =
        if iteration < 0 then
            raise (ArgumentOutOfRangeException(nameof iteration, iteration, "iterations count from 0"))

        if batchSize >= count then
            Array.init count id
        else
            let order = orderOf (iteration / perEpoch)
            let first = iteration % perEpoch * batchSize
            Array.sub order first (min batchSize (count - first)) |> Array.sort
