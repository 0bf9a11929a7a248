// Logistic regression with a ridge penalty, by Newton's method: the baseline that a model of whole series has to beat.
namespace Continuum

open System
open MathNet.Numerics.LinearAlgebra

/// A fitted logistic regression: the chance of label 1 is 1 / (1 + exp(-(Intercept + sum of Coefficients * standardised features))).
type LogisticModel = {
    /// Means of the features over the training rows.
    Mean: float[]
    /// Standard deviations of the features, 1 where they do not vary.
    Deviation: float[]
    /// Weights of the standardised features.
    Coefficients: float[]
    /// The chance's logit at the mean.
    Intercept: float
    /// The penalty it was fitted with.
    Penalty: float
    /// Newton steps taken.
    Iterations: int
} with

    /// The chance of label 1 for each row of (rows, features). ArgumentException for another number of features.
    member this.Predict(features: float[,]) : float[] =
        if features.GetLength 1 <> this.Mean.Length then
            raise (
                ArgumentException
                    $"the features are {features.GetLength 0} x {features.GetLength 1}; the model has {this.Mean.Length} features"
            )

        Array.init (features.GetLength 0) (fun i ->
            let mutable logit = this.Intercept

            for j in 0 .. this.Mean.Length - 1 do
                logit <- logit + this.Coefficients[j] * (features[i, j] - this.Mean[j]) / this.Deviation[j]

            1.0 / (1.0 + exp -logit))

/// Fitting logistic regressions.
[<RequireQualifiedAccess>]
module LogisticRegression =
    let private bad (text: string) = raise (ArgumentException text)

    let private check (features: float[,]) (labels: int[]) (weights: float[]) =
        let rows, columns = features.GetLength 0, features.GetLength 1

        if rows = 0 || columns = 0 then
            bad $"the features are {rows} x {columns}; at least one row and one column are needed"

        if labels.Length <> rows then
            bad $"{labels.Length} labels for {rows} rows of features"

        if not (isNull weights) && weights.Length <> rows then
            bad $"{weights.Length} weights for {rows} rows of features"

        for i in 0 .. rows - 1 do
            if labels[i] <> 0 && labels[i] <> 1 then
                bad $"label {i} is {labels[i]}; it must be 0 or 1"

            for j in 0 .. columns - 1 do
                if not (Double.IsFinite features[i, j]) then
                    bad
                        $"feature {j} of row {i} is {features[i, j]}; fill missing values in first, such as by the last ones"

    let private logistic (x: float) = 1.0 / (1.0 + exp -x)

    /// log(1 + exp x) without overflow.
    let private softplus (x: float) = max x 0.0 + Math.Log(1.0 + exp -(abs x))

    let private standardise (features: float[,]) =
        let rows, columns = features.GetLength 0, features.GetLength 1
        let column j = Array.init rows (fun i -> features[i, j])
        let mean = Array.init columns (column >> Array.average)

        let deviation =
            Array.init columns (fun j ->
                let spread = sqrt (column j |> Array.averageBy (fun v -> (v - mean[j]) ** 2.0))
                if spread > 1e-12 * (1.0 + abs mean[j]) then spread else 1.0)

        struct (mean, deviation)

    /// The maximum of the weighted log-likelihood minus penalty / 2 times the sum of squared coefficients of the standardised features (the
    /// intercept is free), by Newton's method with halved steps. `weights` (one for each row) may be null. ArgumentException for arrays
    /// that do not fit, features that are not finite, labels other than 0 and 1, a negative penalty, and labels of one class only.
    let fit (penalty: float) (features: float[,]) (labels: int[]) (weights: float[]) : LogisticModel =
        check features labels weights

        if not (penalty >= 0.0 && Double.IsFinite penalty) then
            bad $"the penalty must not be negative; got {penalty}"

        if Array.forall ((=) labels[0]) labels then
            bad $"all {labels.Length} labels are {labels[0]}; both classes are needed"

        let rows, columns = features.GetLength 0, features.GetLength 1
        let struct (mean, deviation) = standardise features

        /// The intercept's column of ones comes last.
        let x =
            Matrix<float>
                .Build.Dense(
                    rows,
                    columns + 1,
                    fun i j -> if j = columns then 1.0 else (features[i, j] - mean[j]) / deviation[j]
                )

        let vector (count: int) (f: int -> float) = Vector<float>.Build.Dense(count, f)
        let w = vector rows (fun i -> if isNull weights then 1.0 else weights[i])
        let y = vector rows (fun i -> float labels[i])
        // A trace of a penalty keeps the Hessian regular where features are collinear.
        let ridge = vector (columns + 1) (fun j -> if j = columns then 1e-10 else penalty + 1e-10)

        let loss (b: Vector<float>) =
            let eta = x * b
            let misfit = Seq.sum (Seq.init rows (fun i -> w[i] * (softplus eta[i] - y[i] * eta[i])))
            misfit + 0.5 * (ridge.PointwiseMultiply(b) * b)

        let rec newton (b: Vector<float>) value iteration =
            let p = (x * b).Map(Func<_, _> logistic)
            let gradient = x.TransposeThisAndMultiply(w.PointwiseMultiply(p - y)) + ridge.PointwiseMultiply b
            let curvature = w.PointwiseMultiply(p.PointwiseMultiply(1.0 - p))
            let hessian = x.TransposeThisAndMultiply(x.MapIndexed(fun i _ v -> curvature[i] * v))

            for j in 0..columns do
                hessian[j, j] <- hessian[j, j] + ridge[j]

            let step = hessian.Solve gradient

            let rec shorten factor =
                let next = b - factor * step
                let found = loss next

                if found <= value || factor < 1e-6 then
                    struct (next, found)
                else
                    shorten (0.5 * factor)

            let struct (next, found) = shorten 1.0

            if value - found <= 1e-12 * (1.0 + abs value) || iteration >= 100 then
                struct (next, iteration)
            else
                newton next found (iteration + 1)

        let zero = vector (columns + 1) (fun _ -> 0.0)
        let struct (b, iterations) = newton zero (loss zero) 1

        {
            Mean = mean
            Deviation = deviation
            Coefficients = Array.init columns (fun j -> b[j])
            Intercept = b[columns]
            Penalty = penalty
            Iterations = iterations
        }

    /// Rows in `folds` parts of equal class shares, as a part's number for each row; the order is random by the seed.
    let stratifiedFolds (folds: int) (labels: int[]) (seed: int) : int[] =
        if folds < 2 || folds > labels.Length then
            bad $"the number of folds must lie between 2 and the {labels.Length} rows; got {folds}"

        let random = Random seed
        let part = Array.zeroCreate labels.Length
        let mutable next = 0

        for _, members in Array.init labels.Length id |> Array.groupBy (fun i -> labels[i]) |> Array.sortBy fst do
            let shuffled = Array.copy members
            random.Shuffle shuffled

            for i in shuffled do
                part[i] <- next % folds
                next <- next + 1

        part

    let private rowsOf (features: float[,]) (rows: int[]) =
        Array2D.init rows.Length (features.GetLength 1) (fun i j -> features[rows[i], j])

    /// The penalty with the smallest log loss over stratified cross-validation, then the fit to all rows with it. ArgumentException as
    /// for fit, and where a fold would leave one class only.
    let fitCrossValidated
        (penalties: float[])
        (folds: int)
        (seed: int)
        (features: float[,])
        (labels: int[])
        : LogisticModel =
        if penalties.Length = 0 then
            bad "no penalties given"

        let part = stratifiedFolds folds labels seed

        let loss (penalty: float) =
            seq {
                for fold in 0 .. folds - 1 do
                    let pick keep = Array.filter (fun i -> keep (part[i] = fold)) (Array.init labels.Length id)
                    let train, held = pick not, pick id
                    let model = fit penalty (rowsOf features train) (train |> Array.map (fun i -> labels[i])) null
                    let chances = model.Predict(rowsOf features held)

                    for k in 0 .. held.Length - 1 do
                        let p = if labels[held[k]] = 1 then chances[k] else 1.0 - chances[k]
                        -log(max 1e-15 p)
            }
            |> Seq.average

        fit (Array.minBy loss penalties) features labels null
