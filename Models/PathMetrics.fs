// How far two samples of paths are from each other: marginals time by time, autocorrelations, signatures; with permutation p-values.
namespace Continuum

open System
open TorchSharp

/// A distance between two samples of paths and what chance alone would give.
type PathDistance = {
    /// The distance.
    Value: float
    /// Share of random regroupings of the pooled paths with a distance at least as large (Phipson and Smyth 2010, so never 0): small
    /// where the samples differ. NaN where no permutations were asked for. Meant for independent paths: overlapping windows of one
    /// series make it too small.
    PValue: float
    /// Mean of the distance over the regroupings: what two samples of one law would give.
    Chance: float
}

/// Distances between two samples of paths, (paths, times, columns) each, of the same times and columns.
[<RequireQualifiedAccess>]
module PathMetrics =
    let private bad (text: string) = raise (ArgumentException text)

    let private check (a: float[,,]) (b: float[,,]) =
        let text (x: float[,,]) = $"{x.GetLength 0} x {x.GetLength 1} x {x.GetLength 2}"

        if a.GetLength 1 <> b.GetLength 1 || a.GetLength 2 <> b.GetLength 2 then
            bad $"the samples differ in times or columns: {text a} and {text b} (paths, times, columns)"

        if a.GetLength 0 < 2 || b.GetLength 0 < 2 || a.GetLength 1 < 1 then
            bad $"each sample needs two paths or more and one time or more; got {text a} and {text b}"

    let private column (x: float[,,]) time c = Array.init (x.GetLength 0) (fun p -> x[p, time, c])

    /// The largest difference between the two empirical distribution functions (Kolmogorov and Smirnov).
    let kolmogorovSmirnov (a: float[]) (b: float[]) : float =
        let a, b = Array.sort a, Array.sort b
        let mutable i, j, largest = 0, 0, 0.0

        while i < a.Length && j < b.Length do
            let x = min a[i] b[j]

            while i < a.Length && a[i] <= x do
                i <- i + 1

            while j < b.Length && b[j] <= x do
                j <- j + 1

            largest <- max largest (abs (float i / float a.Length - float j / float b.Length))

        largest

    /// The Wasserstein-1 distance of two empirical distributions: the area between their distribution functions.
    let wasserstein (a: float[]) (b: float[]) : float =
        let a, b = Array.sort a, Array.sort b
        let mutable i, j, area = 0, 0, 0.0
        let mutable last = min a[0] b[0]

        while i < a.Length || j < b.Length do
            let x =
                if i = a.Length then b[j]
                elif j = b.Length then a[i]
                else min a[i] b[j]

            area <- area + (x - last) * abs (float i / float a.Length - float j / float b.Length)
            last <- x

            while i < a.Length && a[i] <= x do
                i <- i + 1

            while j < b.Length && b[j] <= x do
                j <- j + 1

        area

    let private marginal (distance: float[] -> float[] -> float) (a: float[,,]) (b: float[,,]) : float[,] =
        check a b
        Array2D.init (a.GetLength 1) (a.GetLength 2) (fun t c -> distance (column a t c) (column b t c))

    /// Kolmogorov-Smirnov distances of the marginals, (times, columns).
    let marginalKolmogorovSmirnov (a: float[,,]) (b: float[,,]) : float[,] = marginal kolmogorovSmirnov a b

    /// Wasserstein-1 distances of the marginals, (times, columns), in the data's units.
    let marginalWasserstein (a: float[,,]) (b: float[,,]) : float[,] = marginal wasserstein a b

    /// Increments between successive times, (paths, times - 1, columns); of logarithms where `logarithm` holds.
    let increments (logarithm: bool) (x: float[,,]) : float[,,] =
        let value v = if logarithm then log v else v

        Array3D.init (x.GetLength 0) (max 0 (x.GetLength 1 - 1)) (x.GetLength 2) (fun p t c ->
            value x[p, t + 1, c] - value x[p, t, c])

    // Sums of one path from which autocorrelations of any group of paths follow: of x, of x^2, and for each lag of
    // x_t x_(t+l) and of x_t + x_(t+l).
    let private sums (lags: int) (x: float[,,]) (transform: float -> float) : float[][] =
        let times = x.GetLength 1
        let width = 2 + 2 * lags

        Array.init (x.GetLength 0) (fun p ->
            let result = Array.zeroCreate (width * x.GetLength 2)

            for c in 0 .. x.GetLength 2 - 1 do
                let values = Array.init times (fun t -> transform x[p, t, c])
                result[c * width] <- Array.sum values
                result[c * width + 1] <- values |> Array.sumBy (fun v -> v * v)

                for lag in 1..lags do
                    for t in 0 .. times - 1 - lag do
                        let at = c * width + 2 * lag
                        result[at] <- result[at] + values[t] * values[t + lag]
                        result[at + 1] <- result[at + 1] + values[t] + values[t + lag]

            result)

    /// Autocorrelations (columns, lags 1 to `lags`) from the sums over a group of paths; the mean is the group's.
    let private correlations (lags: int) (times: int) (group: float[][]) : float[] =
        let total = Array.copy group[0]

        for p in 1 .. group.Length - 1 do
            for k in 0 .. total.Length - 1 do
                total[k] <- total[k] + group[p][k]

        let width = 2 + 2 * lags
        let count = float (group.Length * times)

        [|
            for c in 0 .. total.Length / width - 1 do
                let mean = total[c * width] / count
                let variance = total[c * width + 1] / count - mean * mean

                for lag in 1..lags do
                    let pairs = float (group.Length * (times - lag))
                    let product = total[c * width + 2 * lag] / pairs
                    let covariance = product - mean * total[c * width + 2 * lag + 1] / pairs + mean * mean
                    if variance > 0.0 then covariance / variance else 0.0
        |]

    /// Autocorrelations (columns, lags) of a sample of paths (paths, times, columns), about the mean over all paths and times; of the squares
    /// about the mean where `squared` holds (volatility clustering). ArgumentException unless 1 <= lags < times.
    let autocorrelation (lags: int) (squared: bool) (x: float[,,]) : float[,] =
        let times = x.GetLength 1

        if lags < 1 || lags >= times then
            bad $"the lags must be at least 1 and below the {times} times; got {lags}"

        let transform = if squared then (fun v -> v * v) else id
        let flat = correlations lags times (sums lags x transform)
        Array2D.init (x.GetLength 2) lags (fun c l -> flat[c * lags + l])

    /// A statistic of two groups of paths and its law under random regrouping.
    let private permuted
        (statistic: int[] -> int[] -> float)
        (first: int)
        (second: int)
        (permutations: int)
        (seed: int)
        : PathDistance =
        let all = Array.init (first + second) id
        let value = statistic (Array.sub all 0 first) (Array.sub all first second)

        if permutations < 1 then
            { Value = value; PValue = nan; Chance = nan }
        else
            let random = Random seed
            let mutable above, sum = 0, 0.0

            for _ in 1..permutations do
                random.Shuffle all
                let shuffled = statistic (Array.sub all 0 first) (Array.sub all first second)
                sum <- sum + shuffled

                if shuffled >= value - 1e-15 * abs value then
                    above <- above + 1

            {
                Value = value
                PValue = float (1 + above) / float (1 + permutations)
                Chance = sum / float permutations
            }

    /// The distance of the autocorrelations (of increments, say) of two samples: root mean square difference over columns and lags.
    let autocorrelationDistance
        (lags: int)
        (squared: bool)
        (permutations: int)
        (seed: int)
        (a: float[,,])
        (b: float[,,])
        : PathDistance =
        check a b
        let times = a.GetLength 1

        if lags < 1 || lags >= times then
            bad $"the lags must be at least 1 and below the {times} times; got {lags}"

        let transform = if squared then (fun v -> v * v) else id
        let pooled = Array.append (sums lags a transform) (sums lags b transform)

        let statistic (one: int[]) (two: int[]) =
            let x = correlations lags times (one |> Array.map (fun p -> pooled[p]))
            let y = correlations lags times (two |> Array.map (fun p -> pooled[p]))
            Array.map2 (fun u v -> (u - v) * (u - v)) x y |> Array.average |> sqrt

        permuted statistic (a.GetLength 0) (b.GetLength 0) permutations seed

    /// The mean over times and columns of a marginal distance: Kolmogorov-Smirnov, or Wasserstein-1 divided by the pooled standard
    /// deviation of its column at that time.
    let marginalDistance (smirnov: bool) (permutations: int) (seed: int) (a: float[,,]) (b: float[,,]) : PathDistance =
        check a b
        let times, columns = a.GetLength 1, a.GetLength 2
        let first = a.GetLength 0

        let pooled = [|
            for t in 0 .. times - 1 do
                for c in 0 .. columns - 1 -> Array.append (column a t c) (column b t c)
        |]

        let scales =
            pooled
            |> Array.map (fun values ->
                let mean = Array.average values
                let spread = values |> Array.averageBy (fun v -> (v - mean) * (v - mean)) |> sqrt
                if spread > 0.0 then spread else 1.0)

        let statistic (one: int[]) (two: int[]) =
            let distance k (values: float[]) =
                let x, y = one |> Array.map (fun p -> values[p]), two |> Array.map (fun p -> values[p])
                if smirnov then kolmogorovSmirnov x y else wasserstein x y / scales[k]

            pooled |> Array.mapi distance |> Array.average

        permuted statistic first (b.GetLength 0) permutations seed

    /// The squared maximum mean discrepancy, unbiased (Gretton et al. 2012, equation 3), from the matrix of kernel values of the pooled
    /// paths, those of the first sample in front. The unbiased estimate may be below 0.
    let discrepancy (kernel: float[,]) (first: int) (permutations: int) (seed: int) : PathDistance =
        let total = kernel.GetLength 0

        if kernel.GetLength 1 <> total || first < 2 || total - first < 2 then
            bad
                $"the kernel matrix is {total} x {kernel.GetLength 1} with {first} paths of the first sample; both samples need two or more"

        let statistic (one: int[]) (two: int[]) =
            let within (group: int[]) =
                let mutable sum = 0.0

                for i in group do
                    for j in group do
                        if i <> j then
                            sum <- sum + kernel[i, j]

                sum / float (group.Length * (group.Length - 1))

            let mutable across = 0.0

            for i in one do
                for j in two do
                    across <- across + kernel[i, j]

            within one + within two - 2.0 * across / float (one.Length * two.Length)

        permuted statistic first (total - first) permutations seed

    /// Paths as a tensor (paths, times, columns), float64 on the CPU.
    let toTensor (x: float[,,]) : Tensor =
        let shape = [| x.GetLongLength 0; x.GetLongLength 1; x.GetLongLength 2 |]
        Tensors.ofArray (x |> Seq.cast<float> |> Seq.toArray) shape torch.float64 torch.CPU

    /// A tensor (paths, times, columns) as paths, without a graph. ArgumentException for another number of dimensions.
    let ofTensor (x: Tensor) : float[,,] =
        if x.dim () <> 3L then
            bad $"paths have shape (paths, times, columns); got {Tensors.shapeText x}"

        let values = Tensors.toArray x
        let times, columns = int x.shape[1], int x.shape[2]
        Array3D.init (int x.shape[0]) times columns (fun p t c -> values[(p * times + t) * columns + c])

    /// The squared maximum mean discrepancy of two samples of paths in the kernel of their signatures, unbiased, with the law under regrouping.
    /// The channels are divided by their standard deviation over both samples once, before regrouping, where the options say so.
    /// ArgumentException as SignatureKernel.
    let signatureDiscrepancy
        (options: SignatureKernelOptions)
        (permutations: int)
        (seed: int)
        (a: float[,,])
        (b: float[,,])
        : PathDistance =
        check a b
        use _ = torch.NewDisposeScope()
        use _ = torch.no_grad ()
        let x, y = toTensor a, toTensor b

        let struct (x, y) = if options.Standardise then SignatureKernel.standardise x y else struct (x, y)

        let features =
            SignatureKernel.features { options with Standardise = false } (torch.cat ([| x; y |], 0L))

        let kernel = torch.matmul (features, features.t ())
        let total = a.GetLength 0 + b.GetLength 0
        let values = Tensors.toArray kernel
        discrepancy (Array2D.init total total (fun i j -> values[i * total + j])) (a.GetLength 0) permutations seed

    /// The same distance without regrouping on tensors (paths, times, columns): 0-d and differentiable in both, so that it can be a loss.
    let signatureLoss (options: SignatureKernelOptions) (a: Tensor) (b: Tensor) : Tensor =
        SignatureKernel.mmd options a b
