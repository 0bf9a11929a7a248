// Mechanistic right-hand sides by name, with parameters read from data by linear regression as a first guess.
namespace Continuum

open System
open TorchSharp

/// A mechanistic law for a vector of quantities y.
type Mechanism =
    /// Prey x and predator p: x' = x (alpha - beta p), p' = p (-gamma + delta x). `prey` is the prey's column, 0 or 1. Lotka 1925, Volterra 1926.
    | LotkaVolterra of prey: int
    /// y' = rate y (1 - y / capacity) for every column. Verhulst 1838.
    | Logistic
    /// y' = rate y for every column.
    | Exponential
    /// y' = A y + b.
    | Linear

/// Ordinary least squares for a handful of unknowns.
module internal LeastSquares =
    /// Minimises |X c - y|^2 + ridge * trace(X'X) |c|^2 by the normal equations and elimination with pivoting.
    let solve (rows: float[][]) (y: float[]) (ridge: float) : float[] =
        let n = rows[0].Length

        let a =
            Array2D.init n (n + 1) (fun i j ->
                rows |> Array.mapi (fun r row -> row[i] * (if j < n then row[j] else y[r])) |> Array.sum)

        let trace = Seq.sum (seq { for i in 0 .. n - 1 -> a[i, i] })

        for i in 0 .. n - 1 do
            a[i, i] <- a[i, i] + ridge * trace + 1e-300

        for i in 0 .. n - 1 do
            let pivot = Seq.maxBy (fun r -> abs a[r, i]) (seq { i .. n - 1 })

            for j in 0..n do
                let swap = a[i, j]
                a[i, j] <- a[pivot, j]
                a[pivot, j] <- swap

            for r in 0 .. n - 1 do
                if r <> i then
                    let factor = a[r, i] / a[i, i]

                    for j in i..n do
                        a[r, j] <- a[r, j] - factor * a[i, j]

        Array.init n (fun i -> a[i, n] / a[i, i])

/// Names, parameters, right-hand sides and first guesses of mechanistic laws.
[<RequireQualifiedAccess>]
module Mechanism =
    /// The names that `parse` knows.
    let names = [| "lotka-volterra"; "logistic"; "linear"; "exponential" |]

    /// The name of a law.
    let name mechanism =
        match mechanism with
        | LotkaVolterra _ -> "lotka-volterra"
        | Logistic -> "logistic"
        | Linear -> "linear"
        | Exponential -> "exponential"

    /// The law of this name for `dimension` columns (prey first for "lotka-volterra"). ArgumentException for an unknown name,
    /// listing the known ones, and for "lotka-volterra" with another number of columns than two.
    let parse (text: string) (dimension: int) =
        match text with
        | "lotka-volterra" when dimension <> 2 ->
            raise (
                ArgumentException
                    $"the prior 'lotka-volterra' needs two columns, the data have {dimension}; choose columns or another prior"
            )
        | "lotka-volterra" -> LotkaVolterra 0
        | "logistic" -> Logistic
        | "linear" -> Linear
        | "exponential" -> Exponential
        | _ ->
            let known = String.Join(", ", names)
            raise (ArgumentException $"there is no prior '{text}'; known are auto, {known}")

    /// Shape of the parameter tensor theta.
    let internal shape mechanism (dimension: int) =
        let d = int64 dimension

        match mechanism with
        | LotkaVolterra _
        | Logistic -> [| 2L; d |]
        | Exponential -> [| 1L; d |]
        | Linear -> [| d; d + 1L |]

    /// Signs that turn exp(theta) into coefficients: row 0 growth, row 1 interaction. Empty where theta is used as it is.
    let internal signs mechanism (dimension: int) : float[] =
        match mechanism with
        | LotkaVolterra 0 -> [| 1.0; -1.0; -1.0; 1.0 |]
        | LotkaVolterra _ -> [| -1.0; 1.0; 1.0; -1.0 |]
        | Logistic -> Array.append (Array.create dimension 1.0) (Array.create dimension -1.0)
        | Exponential
        | Linear -> [||]

    /// dz/dtau of the law: theta of `shape`, `signs` as a tensor of the same shape (or null), z (batch, dimension), offset (dimension).
    let internal rate mechanism positive (signs: Tensor) (offset: Tensor) (theta: Tensor) (z: Tensor) : Tensor =
        let w = if positive then z.exp () else z.add offset
        let perCapita (growth: Tensor) = if positive then growth else w.mul growth
        let pair () = theta.exp().mul signs

        match mechanism with
        | LotkaVolterra _ ->
            let coefficients = pair ()
            perCapita (coefficients.[0L].addcmul(coefficients.[1L], w.flip 1L, 1.0))
        | Logistic ->
            let coefficients = pair ()
            perCapita (coefficients.[0L].addcmul(coefficients.[1L], w, 1.0))
        | Exponential -> perCapita (theta.expand_as(z).clone())
        | Linear ->
            let d = theta.shape[0]
            let rate = torch.nn.functional.linear (w, theta.narrow (1L, 0L, d), theta.select (1L, d))
            if positive then rate.div w else rate

    /// Parameters by name, in the data's units, from theta's values.
    let parameters mechanism (c: Coordinates) (theta: float[]) : (string * float)[] =
        let d = c.Dimension
        let s = c.Scale
        let rate value = value / c.TimeUnit

        match mechanism with
        | LotkaVolterra prey ->
            let predator = 1 - prey

            [|
                "alpha", rate (exp theta[prey])
                "beta", rate (exp theta[2 + prey]) / s[predator]
                "gamma", rate (exp theta[predator])
                "delta", rate (exp theta[2 + predator]) / s[prey]
            |]
        | Logistic -> [|
            for j in 0 .. d - 1 do
                $"rate[{c.Columns[j]}]", rate (exp theta[j])
                $"capacity[{c.Columns[j]}]", exp (theta[j] - theta[d + j]) * s[j]
          |]
        | Exponential -> [|
            for j in 0 .. d - 1 do
                $"rate[{c.Columns[j]}]", rate theta[j]
          |]
        | Linear -> [|
            for i in 0 .. d - 1 do
                for j in 0 .. d - 1 do
                    $"A[{c.Columns[i]},{c.Columns[j]}]", rate theta[i * (d + 1) + j] * s[i] / s[j]

                $"b[{c.Columns[i]}]", rate theta[i * (d + 1) + d] * s[i]
          |]

    /// First guesses of theta, best first, from scaled times and scaled values z (rows of the data): regression of difference
    /// quotients on the law's terms averaged over each interval (the integral form of gradient matching), and variants
    /// of it where the regression contradicts the law's signs. For Lotka-Volterra also decides which column is the prey.
    let internal guesses mechanism (c: Coordinates) (tau: float[]) (z: float[][]) : (Mechanism * float[])[] =
        let d = c.Dimension
        let w = z |> Array.map (Array.mapi (fun j x -> if c.Positive then exp x else x + c.Offset[j]))
        let intervals = [| 0 .. tau.Length - 2 |]
        let middle j = intervals |> Array.map (fun i -> 0.5 * (w[i][j] + w[i + 1][j]))
        let span i = tau[i + 1] - tau[i]

        /// Growth per head of a column over each interval.
        let growth j =
            intervals
            |> Array.map (fun i ->
                if c.Positive then
                    (z[i + 1][j] - z[i][j]) / span i
                else
                    let centre = 0.5 * (w[i + 1][j] + w[i][j])
                    (w[i + 1][j] - w[i][j]) / span i / (if abs centre > 1e-3 then centre else 1e-3))

        let regress target (features: float[][]) =
            LeastSquares.solve (intervals |> Array.map (fun i -> features |> Array.map (fun f -> f[i]))) target 1e-9

        let ones = intervals |> Array.map (fun _ -> 1.0)
        let size (values: float[]) = max 1e-3 (sqrt (Array.averageBy (fun v -> v * v) values))

        match mechanism with
        | LotkaVolterra _ ->
            let signed prey =
                let fits = [| for j in 0..1 -> regress (growth j) [| ones; middle (1 - j) |] |]
                let sign j = if j = prey then 1.0 else -1.0

                let agreement =
                    Seq.sum (
                        seq {
                            for j in 0..1 -> (if sign j * fits[j][0] > 0.0 && sign j * fits[j][1] < 0.0 then 1 else 0)
                        }
                    )

                let usual j factor =
                    let level = Array.average (middle (1 - j))
                    let rate = factor * size (growth j)
                    struct (rate, rate / max 1e-3 level)

                let theta factor = [|
                    let pairs = [|
                        for j in 0..1 ->
                            let a, b = sign j * fits[j][0], -(sign j) * fits[j][1]

                            if factor = 0.0 && a > 0.0 && b > 0.0 then struct (a, b)
                            elif factor = 0.0 then usual j 1.0
                            else usual j factor
                    |]

                    for struct (a, _) in pairs do
                        log a

                    for struct (_, b) in pairs do
                        log b
                |]

                agreement, [| for factor in [| 0.0; 1.0; 0.5; 2.0 |] -> LotkaVolterra prey, theta factor |]

            [| signed 0; signed 1 |] |> Array.sortBy (fun (agreement, _) -> -agreement) |> Array.collect snd
        | Logistic ->
            let fit j =
                let coefficients = regress (growth j) [| ones; middle j |]
                let a, q = coefficients[0], -coefficients[1]

                if a > 0.0 && q > 0.0 then
                    a, q
                else
                    size (growth j), size (growth j) / (2.0 * max 1e-3 (Array.max (middle j)))

            let fits = [| for j in 0 .. d - 1 -> fit j |]
            [| mechanism, Array.append (fits |> Array.map (fst >> log)) (fits |> Array.map (snd >> log)) |]
        | Exponential -> [| mechanism, [| for j in 0 .. d - 1 -> Array.average (growth j) |] |]
        | Linear ->
            let features = Array.append [| for j in 0 .. d - 1 -> middle j |] [| ones |]

            let row ridge i =
                let slopes = intervals |> Array.map (fun k -> (w[k + 1][i] - w[k][i]) / span k)

                LeastSquares.solve
                    (intervals |> Array.map (fun k -> features |> Array.map (fun f -> f[k])))
                    slopes
                    ridge

            [|
                for ridge in [| 1e-9; 1e-2 |] ->
                    mechanism,
                    [|
                        for i in 0 .. d - 1 do
                            yield! row ridge i
                    |]
            |]
