// Brownian motion with drift of logarithms: the model that any model of prices has to beat.
namespace Continuum

open System
open TorchSharp

/// Geometric Brownian motion with correlated noise: d log y = m dt + L dW, L L' = Covariance. With Logarithm false, Brownian motion with
/// drift of y itself. Both per unit of time.
type GeometricBrownian = {
    /// Names of the columns.
    Columns: string[]
    /// The logarithm is modelled, else the value.
    Logarithm: bool
    /// m, per column. The Ito drift of y is (m + Covariance_jj / 2) y.
    Drift: float[]
    /// Covariance of the increments per unit of time, (columns, columns).
    Covariance: float[,]
} with

    /// The lower triangular L with L L' = Covariance.
    member this.Factor: float[,] =
        let n = this.Columns.Length
        let factor = Array2D.zeroCreate n n

        for i in 0 .. n - 1 do
            for j in 0..i do
                let mutable sum = this.Covariance[i, j]

                for k in 0 .. j - 1 do
                    sum <- sum - factor[i, k] * factor[j, k]

                factor[i, j] <- if i = j then sqrt sum else sum / factor[j, j]

        factor

/// Fitting and likelihood of geometric Brownian motion.
[<RequireQualifiedAccess>]
module GeometricBrownian =
    let private bad (text: string) = raise (ArgumentException text)

    let private transform (logarithm: bool) (value: float) = if logarithm then log value else value

    /// Increments of every transition with the lengths of their steps.
    let internal increments (logarithm: bool) (paths: ObservedPath[]) : struct (float * float[])[] = [|
        for path in paths do
            for k in 0 .. path.Rows - 2 do
                let step = path.Times[k + 1] - path.Times[k]

                struct (step,
                        Array.init path.Columns (fun j ->
                            transform logarithm path.Values[k + 1, j] - transform logarithm path.Values[k, j]))
    |]

    /// Maximum likelihood in closed form, from transitions of any lengths: m = sum of increments / sum of steps, Covariance = mean of
    /// (increment - m step)(increment - m step)' / step. ArgumentException for unsuitable data, a value without logarithm, a constant
    /// column, and columns that depend on each other linearly.
    let fit (logarithm: bool) (columns: string[]) (paths: ObservedPath[]) : GeometricBrownian =
        ObservedPaths.check 3 false columns paths

        if logarithm then
            ObservedPaths.checkPositive columns paths

        let n = columns.Length
        let steps = increments logarithm paths
        let total = steps |> Array.sumBy (fun struct (h, _) -> h)
        let drift = Array.init n (fun j -> (steps |> Array.sumBy (fun struct (_, r) -> r[j])) / total)

        let covariance =
            Array2D.init n n (fun i j ->
                steps |> Array.averageBy (fun struct (h, r) -> (r[i] - drift[i] * h) * (r[j] - drift[j] * h) / h))

        let model = {
            Columns = columns
            Logarithm = logarithm
            Drift = drift
            Covariance = covariance
        }

        for j in 0 .. n - 1 do
            if not (covariance[j, j] > 1e-24 * (1.0 + drift[j] * drift[j])) then
                bad
                    $"the column '{columns[j]}' has no noise: it is constant or a straight line; leave it out or take a model without noise"

        let factor = model.Factor

        for j in 0 .. n - 1 do
            if not (factor[j, j] * factor[j, j] > 1e-10 * covariance[j, j]) then
                bad
                    $"the increments of the column '{columns[j]}' are a combination of those of the columns before it; leave it out"

        model

    /// The log density of every transition, in the units of the increments (of the logarithm, where it is modelled).
    let logDensities (model: GeometricBrownian) (paths: ObservedPath[]) : float[] =
        let n = model.Columns.Length
        let factor = model.Factor
        let logDeterminant = Seq.sum (seq { for j in 0 .. n - 1 -> log factor[j, j] })

        increments model.Logarithm paths
        |> Array.map (fun struct (h, r) ->
            let z = Array.zeroCreate n
            let root = sqrt h

            for i in 0 .. n - 1 do
                let mutable sum = (r[i] - model.Drift[i] * h) / root

                for k in 0 .. i - 1 do
                    sum <- sum - factor[i, k] * z[k]

                z[i] <- sum / factor[i, i]

            let square = z |> Array.sumBy (fun v -> v * v)
            -0.5 * (square + float n * log (2.0 * Math.PI * h)) - logDeterminant)

    /// Simulates paths `first` to first + count - 1 of the infinitely many of this seed from values `start` at time t0 on: values (paths, times,
    /// columns) at rising times after t0. Exact in law; path p depends on the seed and p alone. ArgumentException for a start of
    /// another number of columns or without logarithm, and times that do not rise.
    let simulate
        (model: GeometricBrownian)
        (start: float[])
        (t0: float)
        (times: float[])
        (seed: uint64)
        (first: int)
        (count: int)
        : float[,,] =
        let n = model.Columns.Length

        if start.Length <> n then
            bad $"the start has {start.Length} values, the model {n} columns"

        if model.Logarithm && start |> Array.exists (fun v -> not (v > 0.0)) then
            let list = String.Join(", ", start)
            bad $"a start has a logarithm only above 0; got {list}"

        PathRequest.checkPaths first count
        PathRequest.checkTimes t0 false times
        let factor = model.Factor
        let result = Array3D.zeroCreate count times.Length n
        let x = Array.init count (fun _ -> start |> Array.map (transform model.Logarithm))

        if times.Length > 0 then
            let spec = BrownianSpec.fixedSteps 0.0 (float times.Length) times.Length n seed
            use brownian = new TensorBrownian(spec, [| int64 count |], int64 first, torch.float64, torch.CPU)

            for k in 0 .. times.Length - 1 do
                use w = brownian.Step(float k, float (k + 1)).W
                let w = Tensors.toArray w
                let h = times[k] - (if k = 0 then t0 else times[k - 1])

                for p in 0 .. count - 1 do
                    for i in 0 .. n - 1 do
                        let mutable noise = 0.0

                        for j in 0..i do
                            noise <- noise + factor[i, j] * w[p * n + j]

                        x[p][i] <- x[p][i] + model.Drift[i] * h + sqrt h * noise
                        result[p, k, i] <- if model.Logarithm then exp (x[p][i]) else x[p][i]

        result

    /// Kind of the checkpoints of geometric Brownian motion.
    let checkpointKind = "geometric-brownian"

    /// Writes the model atomically.
    let save (path: string) (model: GeometricBrownian) : unit =
        let n = model.Columns.LongLength
        let covariance = model.Covariance |> Seq.cast<float> |> Seq.toArray

        let checkpoint: Checkpoint = {
            Kind = checkpointKind
            Config = ConfigText.write [ "columns", model.Columns; "logarithm", model.Logarithm ]
            Training = ""
            Tensors = [|
                NamedArray.FromDoubles("drift", [| n |], model.Drift)
                NamedArray.FromDoubles("covariance", [| n; n |], covariance)
            |]
        }

        checkpoint.Save path

    /// Reads a model. InvalidDataException for a damaged or foreign file, FileNotFoundException for a missing one.
    let load (path: string) : GeometricBrownian =
        let checkpoint = Checkpoint.Load(path, checkpointKind)
        let r = ConfigReader(path, checkpoint.Config)
        let columns: string[] = r.List "columns"
        let n = columns.Length

        let drift, covariance =
            (checkpoint.Find "drift").ToDoubles(), (checkpoint.Find "covariance").ToDoubles()

        if drift.Length <> n || covariance.Length <> n * n then
            r.Damaged "its tensors do not fit its columns"

        {
            Columns = columns
            Logarithm = r.Get "logarithm"
            Drift = drift
            Covariance = Array2D.init n n (fun i j -> covariance[i * n + j])
        }
