// What a solve of many paths of a stochastic equation returns.
namespace Continuum

open System
open System.Collections.Generic
open System.Threading.Tasks

/// A path that did not reach its end.
type SdeFailure = {
    /// Its index in the ensemble.
    Path: int
    /// Why.
    Status: Status
    /// The same for people, as from a solve of its own.
    Message: string
    /// Time reached; NaN where the path was cancelled.
    Time: float
}

/// How often values fell between edges.
type SdeHistogram = {
    /// Edges e_0 < e_1 < .. < e_k.
    Edges: float[]
    /// Values in [e_i, e_(i+1)), the last interval with its right end: k numbers.
    Counts: int64[]
    /// Values below e_0.
    Below: int64
    /// Values above e_k.
    Above: int64
}

/// The states of all paths of an ensemble at one time. Values are null where only moments were kept.
[<Sealed>]
type SdeSample
    internal
    (time: float, count: int, size: int, values: float[], failed: bool[], failures: int, moments: SdeStatistics voption)
    =
    let need what =
        if isNull values then
            raise (
                InvalidOperationException
                    $"{what} needs the states of the paths, and only moments were kept; solve again and keep the samples."
            )

    let check (column: int) =
        if column < 0 || column >= size then
            raise (ArgumentOutOfRangeException(nameof column, column, $"The state has components 0 to {size - 1}."))

    let collect () =
        let chunks = SdeChunks(count, size)
        let parts = Array.init chunks.Count (fun _ -> SdeMoments size)
        let block = chunks.Block
        let chunk = chunks.Chunk

        Parallel.For(
            0,
            chunks.Count,
            fun c ->
                for first in c * chunk .. block .. Math.Min(count, (c + 1) * chunk) - 1 do
                    parts[c].AddBlock(values, first * size, 1, size, Math.Min(block, count - first), failed, first)
        )
        |> ignore

        let total = SdeMoments size

        for part in parts do
            total.Append part

        total.At time

    let statistics =
        lazy
            (match moments with
             | ValueSome known -> known
             | ValueNone -> collect ())

    /// The time.
    member _.Time = time
    /// Number of paths, failed ones among them.
    member _.Count = count
    /// Components of a state.
    member _.Size = size

    /// The states one after another (count x size); NaN where a failed path never came.
    /// InvalidOperationException where only moments were kept.
    member _.Values: ReadOnlySpan<float> =
        need "A sample"
        ReadOnlySpan<float> values

    /// The state of one path. ArgumentOutOfRangeException where there is none; InvalidOperationException where only moments were kept.
    member _.State(path: int) : float[] =
        need "A state"

        if path < 0 || path >= count then
            raise (ArgumentOutOfRangeException(nameof path, path, $"The ensemble has paths 0 to {count - 1}."))

        values[path * size .. (path + 1) * size - 1]

    /// Mean, covariance and extremes over the paths that ended well. Sums run in the order of the paths in blocks: the same bits
    /// for any number of threads, and whether states were kept or not.
    member _.Statistics = statistics.Value

    /// One component of the paths that ended well, in the order of the paths.
    member _.Component(column: int) : float[] =
        need "A component"
        check column
        let kept = Array.zeroCreate (count - failures)
        let mutable next = 0

        for i in 0 .. count - 1 do
            if isNull failed || not failed[i] then
                kept[next] <- values[i * size + column]
                next <- next + 1

        kept

    /// Quantiles of a component at probabilities in [0, 1], linear between order statistics (definition 7 of Hyndman and Fan 1996); NaN
    /// without paths. ArgumentOutOfRangeException for a component or probability out of range; InvalidOperationException where
    /// only moments were kept.
    member this.Quantiles(column: int, probabilities: float[]) : float[] =
        for p in probabilities do
            if not (p >= 0.0 && p <= 1.0) then
                raise (ArgumentOutOfRangeException(nameof probabilities, p, "Probabilities lie in [0, 1]."))

        let sorted = this.Component column
        Array.Sort sorted

        probabilities
        |> Array.map (fun p ->
            if sorted.Length = 0 then
                nan
            else
                let at = p * float (sorted.Length - 1)
                let low = int (floor at)
                let high = Math.Min(low + 1, sorted.Length - 1)
                let weight = at - float low
                // no difference of infinite values where none is needed
                if weight = 0.0 then
                    sorted[low]
                else
                    sorted[low] + weight * (sorted[high] - sorted[low]))

    /// Counts of a component between increasing edges, two or more. ArgumentException where edges do not increase; InvalidOperationException
    /// where only moments were kept.
    member this.Histogram(column: int, edges: float[]) : SdeHistogram =
        if edges.Length < 2 || Seq.exists (fun (a, b) -> not (a < b)) (Seq.pairwise edges) then
            raise (
                ArgumentException(
                    "A histogram needs two or more edges, each larger than the one before it.",
                    nameof edges
                )
            )

        let counts: int64[] = Array.zeroCreate (edges.Length - 1)
        let mutable below = 0L
        let mutable above = 0L
        let last = edges.Length - 1

        for x in this.Component column do
            if x < edges[0] then
                below <- below + 1L
            elif x > edges[last] then
                above <- above + 1L
            else
                let found = Array.BinarySearch(edges, x)
                let bin = if found >= 0 then found else ~~~found - 1
                counts[Math.Min(bin, last - 1)] <- counts[Math.Min(bin, last - 1)] + 1L

        { Edges = Array.copy edges; Counts = counts; Below = below; Above = above }

/// The results of an ensemble of paths.
[<Sealed>]
type SdeEnsembleSolution
    internal
    (
        count: int,
        size: int,
        finalTime: float,
        method: string,
        failures: SdeFailure[],
        samples: SdeSample[],
        final: SdeSample
    ) =
    let byPath = Dictionary<int, SdeFailure>()

    do
        for failure in failures do
            byPath[failure.Path] <- failure

    let find (path: int) =
        if path < 0 || path >= count then
            raise (ArgumentOutOfRangeException(nameof path, path, $"The ensemble has paths 0 to {count - 1}."))

        match byPath.TryGetValue path with
        | true, failure -> ValueSome failure
        | _ -> ValueNone

    /// Number of paths.
    member _.Count = count
    /// Components of a state.
    member _.Size = size
    /// Name of the method.
    member _.Method = method
    /// Paths that did not reach their end, in order.
    member _.Failures = failures
    /// How many they are.
    member _.Failed = failures.Length

    /// How a path ended.
    member _.Status(path: int) =
        match find path with
        | ValueSome failure -> failure.Status
        | ValueNone -> Status.Success

    /// Why, for people; empty after a success.
    member _.Message(path: int) =
        match find path with
        | ValueSome failure -> failure.Message
        | ValueNone -> ""

    /// Time that a path reached.
    member _.FinalTime(path: int) =
        match find path with
        | ValueSome failure -> failure.Time
        | ValueNone -> finalTime

    /// Saved times; empty where only the end was asked for.
    member _.Times = samples |> Array.map (fun sample -> sample.Time)
    /// The paths at each saved time.
    member _.Samples = samples
    /// The paths where they ended.
    member _.Final = final
    /// Final states one after another (count x size); of a failed path the last state that it reached.
    member _.FinalStates = final.Values
    /// Final state of a path.
    member _.FinalState(path: int) = final.State path

    /// Quantiles of a component at every saved time: times x probabilities. For fan charts.
    member _.Bands(column: int, probabilities: float[]) : float[][] =
        Array.Parallel.map (fun (sample: SdeSample) -> sample.Quantiles(column, probabilities)) samples
