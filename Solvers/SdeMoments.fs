// Mean and covariance of many paths, the same bits however the paths are shared among threads.
namespace Continuum

open System
open System.Runtime.InteropServices
open System.Runtime.Intrinsics

/// Statistics over the paths of an ensemble at one time, over those that ended well.
type SdeStatistics = {
    /// The time.
    Time: float
    /// How many paths.
    Count: int64
    /// Mean of each component; NaN without paths.
    Mean: float[]
    /// Covariance of the components (n x n), with Count - 1 in the denominator; NaN for fewer than two paths.
    Covariance: float[,]
    /// Smallest value of each component.
    Minimum: float[]
    /// Largest value of each component.
    Maximum: float[]
} with

    /// Variance of each component.
    member s.Variance = Array.init s.Mean.Length (fun i -> s.Covariance[i, i])

    /// Standard error of each mean: the standard deviation of the Monte Carlo error.
    member s.StandardError = Array.init s.Mean.Length (fun i -> sqrt (s.Covariance[i, i] / float s.Count))

/// Mean and sums of products of n components. Values come in blocks whose bounds depend on the paths' numbers alone; blocks make
/// chunks and chunks the whole, always in the order of the paths. Merging after Chan, Golub and LeVeque 1983.
[<Sealed>]
type internal SdeMoments(n: int) =
    let mutable count = 0L
    let mean: float[] = Array.zeroCreate n
    let products: float[] = Array.zeroCreate (n * n)
    let minimum: float[] = Array.create n infinity
    let maximum: float[] = Array.create n -infinity
    let blockMean: float[] = Array.zeroCreate n
    let mutable rows: float[] = Array.empty

    /// Sums in four chains, so that registers of four and machines without them agree.
    static let sum (x: ReadOnlySpan<float>) =
        let mutable four = Vector256<float>.Zero
        let first = &MemoryMarshal.GetReference x
        let mutable i = 0

        while i <= x.Length - 4 do
            four <- four + Vector256.LoadUnsafe(&first, unativeint i)
            i <- i + 4

        let mutable total = (four[0] + four[1]) + (four[2] + four[3])

        while i < x.Length do
            total <- total + x[i]
            i <- i + 1

        total

    static let dot (x: ReadOnlySpan<float>) (y: ReadOnlySpan<float>) =
        let mutable four = Vector256<float>.Zero
        let first = &MemoryMarshal.GetReference x
        let second = &MemoryMarshal.GetReference y
        let mutable i = 0

        while i <= x.Length - 4 do
            four <- four + Vector256.LoadUnsafe(&first, unativeint i) * Vector256.LoadUnsafe(&second, unativeint i)
            i <- i + 4

        let mutable total = (four[0] + four[1]) + (four[2] + four[3])

        while i < x.Length do
            total <- total + x[i] * y[i]
            i <- i + 1

        total

    /// Puts a set with this count, mean and products behind.
    let append (itsCount: int64) (itsMean: float[]) (itsProduct: int -> int -> float) =
        let total = float (count + itsCount)
        let share = float itsCount / total
        let weight = float count * share

        for i in 0 .. n - 1 do
            let di = itsMean[i] - mean[i]

            for j in 0..i do
                let dj = itsMean[j] - mean[j]
                products[i * n + j] <- products[i * n + j] + itsProduct i j + di * dj * weight

        for i in 0 .. n - 1 do
            mean[i] <- mean[i] + (itsMean[i] - mean[i]) * share

        count <- count + itsCount

    /// How many values so far.
    member _.Count = count
    member private _.Mean = mean
    member private _.Products = products
    member private _.Minimum = minimum
    member private _.Maximum = maximum

    /// A block: component c of path i at values[offset + c componentStride + i pathStride]; without those whose failed[failedFrom + i].
    member _.AddBlock
        (
            values: float[],
            offset: int,
            componentStride: int,
            pathStride: int,
            length: int,
            failed: bool[],
            failedFrom: int
        ) =
        if rows.Length < n * length then
            rows <- Array.zeroCreate (n * length)

        let mutable kept = 0

        for i in 0 .. length - 1 do
            if isNull failed || not failed[failedFrom + i] then
                for c in 0 .. n - 1 do
                    rows[c * length + kept] <- values[offset + c * componentStride + i * pathStride]

                kept <- kept + 1

        if kept > 0 then
            for c in 0 .. n - 1 do
                let row = Span<float>(rows, c * length, kept)
                let centre = sum (Span<float>.op_Implicit row) / float kept
                blockMean[c] <- centre

                for i in 0 .. kept - 1 do
                    let x = row[i]
                    minimum[c] <- Math.Min(minimum[c], x)
                    maximum[c] <- Math.Max(maximum[c], x)
                    row[i] <- x - centre

            append (int64 kept) blockMean (fun i j ->
                dot (ReadOnlySpan<float>(rows, i * length, kept)) (ReadOnlySpan<float>(rows, j * length, kept)))

    /// The paths of another one behind those of this one.
    member _.Append(other: SdeMoments) =
        if other.Count > 0L then
            append other.Count other.Mean (fun i j -> other.Products[i * n + j])

            for c in 0 .. n - 1 do
                minimum[c] <- Math.Min(minimum[c], other.Minimum[c])
                maximum[c] <- Math.Max(maximum[c], other.Maximum[c])

    /// As statistics at a time.
    member _.At(time: float) : SdeStatistics =
        let none x = if count = 0L then nan else x

        {
            Time = time
            Count = count
            Mean = Array.map none mean
            Covariance =
                Array2D.init n n (fun i j ->
                    if count < 2L then
                        nan
                    else
                        products[Math.Max(i, j) * n + Math.Min(i, j)] / float (count - 1L))
            Minimum = Array.map none minimum
            Maximum = Array.map none maximum
        }

/// How the paths of an ensemble are cut into blocks and chunks: by their number and the size of a state alone.
[<Struct>]
type internal SdeChunks(count: int, size: int) =
    /// Groups of eight paths that are stepped together.
    member _.Groups = Math.Clamp(16 / size, 1, 16)
    /// Paths of a block.
    member this.Block = 8 * this.Groups

    /// Paths of a chunk, the unit of work of a thread: 256 chunks where there are many paths.
    member this.Chunk =
        let blocks = (count + this.Block - 1) / this.Block
        this.Block * Math.Max(1, (blocks + 255) / 256)

    /// Number of chunks.
    member this.Count = (count - 1) / this.Chunk + 1
