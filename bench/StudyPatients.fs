/// Patients with irregular visits and missing values: a neural CDE beside logistic regression on last values, by nested cross-validation.
module Continuum.Bench.StudyPatients

open System
open System.Globalization
open System.IO
open System.Threading
open Continuum
open Continuum.Bench.Measure

let private year = 365.25

let private number (cell: string) =
    match cell with
    | "NA" -> nan
    | "f" -> 0.0
    | "m" -> 1.0
    | _ -> Double.Parse(cell, CultureInfo.InvariantCulture)

let private visits () =
    let table =
        File.ReadAllLines(Path.Combine(root, "examples", "data", "pbcseq.csv"))
        |> Array.map (fun line -> line.Split ',' |> Array.map _.Trim('"'))

    let rows = table[1..]
    let text name = rows |> Array.map (fun row -> row[Array.IndexOf(table[0], name)])
    let named (names: string) = names.Split ' ' |> Array.map (fun name -> name, Array.map number (text name))

    IrregularSeries.FromColumns(
        text "id",
        Array.map number (text "day"),
        named "ascites hepato spiders edema bili chol albumin alk.phos ast platelet protime stage",
        named "age sex trt",
        named "futime status",
        [||]
    )

/// At risk at the landmark and known at the horizon, with the visits up to the landmark: does an event fall between?
let private atRisk (landmark: float) (horizon: float) (data: IrregularSeries) =
    let part =
        data.Subset [|
            for i in 0 .. data.Count - 1 do
                let outcome = data.Subjects[i].Target

                if outcome[0] > landmark * year && (outcome[1] > 0.0 || outcome[0] >= (landmark + horizon) * year) then
                    i
        |]

    let happened (subject: IrregularSubject) =
        subject.Target[1] > 0.0 && subject.Target[0] <= (landmark + horizon) * year

    let labels = part.Subjects |> Array.map (fun s -> [| (if happened s then 1.0 else 0.0) |])
    part.WithTargets([| "event" |], labels).Until(landmark * year)

let private labels (data: IrregularSeries) = data.Subjects |> Array.map (fun s -> int s.Target[0])

let private small = {
    NeuralCdeOptions.Default with
        State = 4
        Hidden = [||]
        FieldRate = 0.1
        ValidationFraction = 0.0
        Differentiation = Differentiation.Recorded
        Loop = {
            TrainingLoopOptions.Default with
                Iterations = 150
                LearningRate = 5e-3
                WeightDecay = 0.3
                Averaging = 0.3
                Patience = 0
        }
}

/// The small form that the facade offers, without and with hidden layers, and the form for large data.
let private forms = [|
    "small", small
    "small, hidden layer", { small with State = 8; Hidden = [| 16 |] }
    "large", { NeuralCdeOptions.Default with Differentiation = Differentiation.Recorded }
|]

let private neural (options: NeuralCdeOptions) (train: IrregularSeries) (held: IrregularSeries) seed =
    use model = (NeuralCde.fit { options with Loop.Seed = seed } train null CancellationToken.None).Model
    let chances = model.Predict held
    Array.init held.Count (fun i -> chances[i, 1])

let private logistic (train: IrregularSeries) (held: IrregularSeries) seed =
    let last = LastValues.fit (SeriesScaling.fit null train) train

    let model =
        LogisticRegression.fitCrossValidated
            [| 0.3; 1.0; 3.0; 10.0; 30.0; 100.0 |]
            5
            seed
            (LastValues.table last train)
            (labels train)

    model.Predict(LastValues.table last held)

/// A prediction for every subject from the other folds.
let private outOfFold folds seed (data: IrregularSeries) (predict: IrregularSeries -> IrregularSeries -> float[]) =
    let fold = LogisticRegression.stratifiedFolds folds (labels data) seed
    let result = Array.zeroCreate data.Count

    for f in 0 .. folds - 1 do
        let where belongs = Array.init data.Count id |> Array.filter (fun i -> belongs fold[i])
        let held = where (fun k -> k = f)
        let chances = predict (data.Subset(where (fun k -> k <> f))) (data.Subset held)
        held |> Array.iteri (fun k i -> result[i] <- chances[k])

    result

let private logLoss (data: IrregularSeries) (chances: float[]) =
    let table = Array2D.init chances.Length 2 (fun i k -> if k = 1 then chances[i] else 1.0 - chances[i])
    ClassificationMetrics.logLoss (labels data) table

/// Mean and sample deviation.
let meanAndDeviation (values: float[]) =
    let mean = Array.average values
    let square = values |> Array.sumBy (fun v -> (v - mean) * (v - mean))
    struct (mean, sqrt (square / float (max 1 (values.Length - 1))))

/// For each seed a split into five folds; the form of the neural CDE is chosen inside the training patients of each fold.
let private study (settings: Settings) name (seeds: int) (data: IrregularSeries) =
    let chosen = Collections.Generic.List<string>()

    let pick (train: IrregularSeries) seed =
        let loss (_, options) = logLoss train (outOfFold 3 seed train (fun a b -> neural options a b seed))

        let found = forms |> Array.minBy loss
        chosen.Add(fst found)
        snd found

    let runs =
        Array.init seeds (fun seed ->
            let ours =
                outOfFold 5 seed data (fun a b ->
                    if forms.Length = 1 then
                        neural small a b seed
                    else
                        neural (pick a seed) a b seed)

            let theirs = outOfFold 5 seed data (fun a b -> logistic a b seed)
            let difference = ClassificationMetrics.aurocDifference (labels data) ours theirs
            struct (ours, theirs, difference))

    let report variant (predictions: float[][]) notes =
        let struct (mean, deviation) =
            meanAndDeviation (predictions |> Array.map (ClassificationMetrics.auroc (labels data)))

        let struct (loss, lossDeviation) = meanAndDeviation (predictions |> Array.map (logLoss data))

        print settings {
            line "study_patients" $"{name}: {variant}" seeds nan with
                Notes = $"AUROC {mean:F3} +- {deviation:F3}, log loss {loss:F3} +- {lossDeviation:F3}{notes}"
        }

    let picked =
        chosen |> Seq.countBy id |> Seq.map (fun (form, n) -> $"{form} {n} times") |> String.concat ", "

    let differences =
        runs
        |> Array.map (fun (struct (_, _, d)) -> $"{d.Value:F3} [{d.Lower:F3}, {d.Upper:F3}]")
        |> String.concat "; "

    report "neural CDE" (runs |> Array.map (fun (struct (o, _, _)) -> o)) $"; chosen: {picked}"

    report
        "logistic regression"
        (runs |> Array.map (fun (struct (_, t, _)) -> t))
        $"; difference for each seed: {differences}"

let run (settings: Settings) =
    let data = visits ()
    let seeds = min 5 settings.Runs
    let later = atRisk 2.0 3.0 data
    study settings $"after 2 years, within 3 ({later.Count} patients, {Array.sum (labels later)} events)" seeds later
