// How good predicted probabilities are.
namespace Continuum

open System
open MathNet.Numerics.Distributions

/// A number with its 95% interval.
type MetricInterval = {
    /// The estimate.
    Value: float
    /// Lower end.
    Lower: float
    /// Upper end.
    Upper: float
    /// Its standard error.
    Error: float
}

/// Measures of predictions of classes. Labels are 0 and 1 (binary) or class indices from 0; scores are any numbers that rise with the chance
/// of 1; probabilities lie in [0, 1]. ArgumentException for arrays of different lengths, empty ones, and labels out of range.
[<RequireQualifiedAccess>]
module ClassificationMetrics =
    let private bad (text: string) = raise (ArgumentException text)

    let private sameLength (labels: int[]) count =
        if labels.Length <> count then
            bad $"{labels.Length} labels and {count} predictions"

        if count = 0 then
            bad "no predictions given"

    let private binary (labels: int[]) (scores: float[]) =
        sameLength labels scores.Length

        for i in 0 .. labels.Length - 1 do
            if labels[i] <> 0 && labels[i] <> 1 then
                bad $"label {i} is {labels[i]}; it must be 0 or 1"

            if Double.IsNaN scores[i] then
                bad $"prediction {i} is NaN"

    let private bothClasses (labels: int[]) =
        let ones = Array.sum labels

        if ones = 0 || ones = labels.Length then
            bad $"all {labels.Length} labels are {labels[0]}; both classes are needed"

    /// Ranks from 1, tied values sharing their mean rank.
    let private midranks (values: float[]) : float[] =
        let order = Array.init values.Length id |> Array.sortBy (fun i -> values[i])
        let ranks = Array.zeroCreate values.Length
        let mutable first = 0

        while first < order.Length do
            let mutable last = first

            while last + 1 < order.Length && values[order[last + 1]] = values[order[first]] do
                last <- last + 1

            for k in first..last do
                ranks[order[k]] <- 0.5 * float (first + last) + 1.0

            first <- last + 1

        ranks

    /// For each positive the share of negatives below it, and for each negative the share of positives above it, ties counting half (the
    /// placements of DeLong 1988, by the midranks of Sun and Xu 2014).
    let private placements (labels: int[]) (scores: float[]) : struct (float[] * float[]) =
        binary labels scores
        bothClasses labels
        let pick label = Array.filter (fun i -> labels[i] = label) (Array.init labels.Length id)
        let positive, negative = pick 1, pick 0
        let m, n = float positive.Length, float negative.Length
        let all = midranks scores
        let within (indices: int[]) = midranks (indices |> Array.map (fun i -> scores[i]))
        let ofPositive = Array.map2 (fun i r -> (all[i] - r) / n) positive (within positive)
        let ofNegative = Array.map2 (fun i r -> 1.0 - (all[i] - r) / m) negative (within negative)
        struct (ofPositive, ofNegative)

    let private covariance (x: float[]) (y: float[]) =
        if x.Length < 2 then
            0.0
        else
            let mx, my = Array.average x, Array.average y
            Array.fold2 (fun sum a b -> sum + (a - mx) * (b - my)) 0.0 x y / float (x.Length - 1)

    /// Area under the receiver operating characteristic: the chance that a random 1 scores above a random 0, ties counting half.
    let auroc (labels: int[]) (scores: float[]) : float =
        let struct (positive, _) = placements labels scores
        Array.average positive

    /// The AUROC with DeLong's standard error and a normal interval (DeLong, DeLong and Clarke-Pearson 1988), cut to [0, 1].
    let aurocInterval (labels: int[]) (scores: float[]) : MetricInterval =
        let struct (positive, negative) = placements labels scores
        let value = Array.average positive

        let variance =
            covariance positive positive / float positive.Length
            + covariance negative negative / float negative.Length

        let error = sqrt variance

        {
            Value = value
            Lower = max 0.0 (value - 1.959963984540054 * error)
            Upper = min 1.0 (value + 1.959963984540054 * error)
            Error = error
        }

    /// AUROC of the first scores minus that of the second on the same subjects, with DeLong's interval for correlated curves.
    let aurocDifference (labels: int[]) (first: float[]) (second: float[]) : MetricInterval =
        let struct (p1, n1) = placements labels first
        let struct (p2, n2) = placements labels second
        let value = Array.average p1 - Array.average p2
        let dp, dn = Array.map2 (-) p1 p2, Array.map2 (-) n1 n2
        let error = sqrt (covariance dp dp / float dp.Length + covariance dn dn / float dn.Length)

        {
            Value = value
            Lower = value - 1.959963984540054 * error
            Upper = value + 1.959963984540054 * error
            Error = error
        }

    /// The two-sided chance of a difference at least so large if there were none: normal, from a difference with its error.
    let pValue (difference: MetricInterval) : float =
        if difference.Error = 0.0 then
            (if difference.Value = 0.0 then 1.0 else 0.0)
        else
            2.0 * Normal.CDF(0.0, 1.0, -abs(difference.Value / difference.Error))

    /// Mean precision over the positives, each at its own score, from the highest down; ties are one step (a random order has the share of
    /// positives).
    let averagePrecision (labels: int[]) (scores: float[]) : float =
        binary labels scores
        bothClasses labels
        let groups = Array.zip scores labels |> Array.groupBy fst |> Array.sortByDescending fst
        let mutable hits, seen, sum = 0, 0, 0.0

        for _, members in groups do
            let found = members |> Array.sumBy snd
            hits <- hits + found
            seen <- seen + members.Length
            sum <- sum + float found * float hits / float seen

        sum / float hits

    /// Mean squared distance of the probability of 1 from the label (Brier 1950).
    let brier (labels: int[]) (probabilities: float[]) : float =
        binary labels probabilities
        Array.averageBy id (Array.map2 (fun y p -> (float y - p) ** 2.0) labels probabilities)

    /// The class of the largest probability in each row of (subjects, classes); the first of equal ones.
    let classes (probabilities: float[,]) : int[] =
        Array.init (probabilities.GetLength 0) (fun i ->
            let mutable best = 0

            for k in 1 .. probabilities.GetLength 1 - 1 do
                if probabilities[i, k] > probabilities[i, best] then
                    best <- k

            best)

    /// Share of subjects whose most probable class is theirs; probabilities (subjects, classes).
    let accuracy (labels: int[]) (probabilities: float[,]) : float =
        sameLength labels (probabilities.GetLength 0)
        let found = classes probabilities
        Array.averageBy (fun i -> if found[i] = labels[i] then 1.0 else 0.0) (Array.init labels.Length id)

    /// Mean of -log of the probability of the true class, probabilities (subjects, classes) kept above 1e-15.
    let logLoss (labels: int[]) (probabilities: float[,]) : float =
        sameLength labels (probabilities.GetLength 0)
        let count = probabilities.GetLength 1

        Array.init labels.Length id
        |> Array.averageBy (fun i ->
            if labels[i] < 0 || labels[i] >= count then
                bad $"label {i} is {labels[i]}; there are {count} classes"

            -log(max 1e-15 probabilities[i, labels[i]]))

    /// Mean over the classes of the AUROC of each against the rest; classes without both kinds of subjects are left out.
    let macroAuroc (labels: int[]) (probabilities: float[,]) : float =
        sameLength labels (probabilities.GetLength 0)

        [|
            for k in 0 .. probabilities.GetLength 1 - 1 do
                let mine = labels |> Array.map (fun label -> if label = k then 1 else 0)
                let ones = Array.sum mine

                if ones > 0 && ones < mine.Length then
                    auroc mine (Array.init labels.Length (fun i -> probabilities[i, k]))
        |]
        |> fun values ->
            if values.Length = 0 then
                bad $"all {labels.Length} labels are {labels[0]}; at least two classes are needed"

            Array.average values
