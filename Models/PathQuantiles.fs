// Quantiles of simulated paths, time by time: the numbers of a fan chart.
namespace Continuum

open System

/// Quantiles over paths.
[<RequireQualifiedAccess>]
module PathQuantiles =
    let private bad (text: string) = raise (ArgumentException text)

    /// The quantile of sorted values by linear interpolation between order statistics (Hyndman and Fan 1996, type 7).
    let ofSorted (sorted: float[]) (probability: float) : float =
        let place = probability * float (sorted.Length - 1)
        let below = int (floor place)
        let above = min (sorted.Length - 1) (below + 1)
        sorted[below] + (place - float below) * (sorted[above] - sorted[below])

    /// Quantiles (times, columns, probabilities) of paths (paths, times, columns). ArgumentException for no paths and for a probability
    /// outside of 0 to 1.
    let over (probabilities: float[]) (paths: float[,,]) : float[,,] =
        if paths.GetLength 0 = 0 then
            bad "there are no paths; simulate at least one"

        for p in probabilities do
            if not (p >= 0.0 && p <= 1.0) then
                bad $"a probability lies between 0 and 1; got {p}"

        let times, columns = paths.GetLength 1, paths.GetLength 2
        let result = Array3D.zeroCreate times columns probabilities.Length

        for t in 0 .. times - 1 do
            for c in 0 .. columns - 1 do
                let sorted = Array.init (paths.GetLength 0) (fun p -> paths[p, t, c]) |> Array.sort

                for q in 0 .. probabilities.Length - 1 do
                    result[t, c, q] <- ofSorted sorted probabilities[q]

        result

    /// The share of probability-level intervals that hold the observed values (times, columns): for each of the central intervals of these
    /// probabilities, the share of (time, column) pairs inside. A well calibrated simulation gives about the probabilities themselves.
    let coverage (probabilities: float[]) (paths: float[,,]) (observed: float[,]) : float[] =
        let times, columns = paths.GetLength 1, paths.GetLength 2

        if observed.GetLength 0 <> times || observed.GetLength 1 <> columns then
            bad
                $"the observations are {observed.GetLength 0} x {observed.GetLength 1}, the paths have {times} times and {columns} columns"

        probabilities
        |> Array.map (fun probability ->
            let tail = 0.5 * (1.0 - probability)
            let bounds = over [| tail; 1.0 - tail |] paths
            let mutable inside = 0

            for t in 0 .. times - 1 do
                for c in 0 .. columns - 1 do
                    if observed[t, c] >= bounds[t, c, 0] && observed[t, c] <= bounds[t, c, 1] then
                        inside <- inside + 1

            float inside / float (times * columns))
