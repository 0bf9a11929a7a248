// Seeds of Brownian paths that belong to the iterations of a training.
namespace Continuum

/// Seeds that are functions of the training's seed and the iteration alone.
[<RequireQualifiedAccess>]
module internal SdeSeeds =
    /// A bijective mix of the two (Steele, Lea and Flood 2014); negative iterations are for what is drawn outside of the training.
    let ofIteration (seed: int) (iteration: int) : uint64 =
        let mutable z = (uint64 (uint32 seed) <<< 32) + uint64 (uint32 iteration) + 0x9E3779B97F4A7C15UL
        z <- (z ^^^ (z >>> 30)) * 0xBF58476D1CE4E5B9UL
        z <- (z ^^^ (z >>> 27)) * 0x94D049BB133111EBUL
        z ^^^ (z >>> 31)
