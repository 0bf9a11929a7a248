// Patients with primary biliary cirrhosis, seen at irregular visits with missing values: who of those at risk after three years dies or is
// transplanted within the next three? A neural controlled equation reads the visits up to then; logistic regression reads the last values.
#load "continuum.fsx"

open System
open System.Globalization
open System.IO
open System.Threading
open Continuum

let lines = File.ReadAllLines(Path.Combine(__SOURCE_DIRECTORY__, "..", "data", "pbcseq.csv"))

let names = lines[0].Split ',' |> Array.map (fun name -> name.Trim '"')
let rows = lines[1..] |> Array.map (fun line -> line.Split ',' |> Array.map (fun cell -> cell.Trim '"'))
let text name = rows |> Array.map (fun row -> row[Array.IndexOf(names, name)])

let number name =
    text name
    |> Array.map (fun cell ->
        match cell with
        | "NA" -> nan
        | "f" -> 0.0
        | "m" -> 1.0
        | _ -> Double.Parse(cell, CultureInfo.InvariantCulture))

let named list = list |> Array.map (fun name -> name, number name)

let visits =
    IrregularSeries.FromColumns(
        text "id",
        number "day",
        named [|
            "ascites"
            "hepato"
            "spiders"
            "edema"
            "bili"
            "chol"
            "albumin"
            "alk.phos"
            "ast"
            "platelet"
            "protime"
            "stage"
        |],
        named [| "age"; "sex"; "trt" |],
        named [| "futime"; "status" |],
        [||]
    )

/// At risk after three years, with a known outcome three years later, and what was known at the landmark.
let atRisk =
    let landmark, horizon = 3.0 * 365.25, 3.0 * 365.25

    let known =
        [| 0 .. visits.Count - 1 |]
        |> Array.filter (fun i ->
            let outcome = visits.Subjects[i].Target
            outcome[0] > landmark && (outcome[1] > 0.0 || outcome[0] >= landmark + horizon))

    let part = visits.Subset known

    let labels =
        part.Subjects
        |> Array.map (fun subject ->
            let happened = subject.Target[1] > 0.0 && subject.Target[0] <= landmark + horizon
            [| (if happened then 1.0 else 0.0) |])

    part.WithTargets([| "event" |], labels).Until landmark

let labels (data: IrregularSeries) = data.Subjects |> Array.map (fun subject -> int subject.Target[0])
let fold = LogisticRegression.stratifiedFolds 3 (labels atRisk) 1

let part belongs =
    atRisk.Subset [|
        for i in 0 .. atRisk.Count - 1 do
            if belongs fold[i] then
                i
    |]

let train = part (fun f -> f <> 0)
let test = part (fun f -> f = 0)

printfn
    $"{visits.Count} patients, {atRisk.Count} at risk whose outcome is known, {Array.sum (labels atRisk)} with an event"

let options = {
    NeuralCdeOptions.Default with
        State = 4
        Hidden = [||]
        FieldRate = 0.1
        ValidationFraction = 0.0
        Loop = {
            TrainingLoopOptions.Default with
                Iterations = 150
                LearningRate = 5e-3
                WeightDecay = 0.3
                Averaging = 0.3
                Patience = 0
                Seed = 1
        }
}

let fit = NeuralCde.fit options train null CancellationToken.None
let chances = fit.Model.Predict test

let auroc =
    ClassificationMetrics.aurocInterval (labels test) (Array.init test.Count (fun i -> chances[i, 1]))

let rival =
    let last = LastValues.fit (SeriesScaling.fit null train) train

    let simple =
        LogisticRegression.fitCrossValidated
            [| 0.3; 1.0; 3.0; 10.0; 30.0; 100.0 |]
            5
            0
            (LastValues.table last train)
            (labels train)

    ClassificationMetrics.aurocInterval (labels test) (simple.Predict(LastValues.table last test))

printfn
    $"AUROC on {test.Count} held-out patients: neural CDE {auroc.Value:f3}, logistic regression on last values {rival.Value:f3}"

// The risk of one patient as visits arrive: the model is causal, so row i uses visits up to i alone.
let course = (fit.Model.PredictOverTime test)[0]

printfn
    "risk of %s: %s"
    test.Subjects[0].Id
    (String.Join(", ", [ for i in 0 .. course.GetLength 0 - 1 -> course[i, 1].ToString "p0" ]))

let file = Path.Combine(Path.GetTempPath(), $"patients-{Guid.NewGuid():n}.safetensors")
fit.Model.Save file
let again = NeuralCde.load file
File.Delete file
check (auroc.Value > 0.7) $"patients: the held-out AUROC is {auroc.Value:f3}"
check (again.Predict test = chances) "patients: a model from its file predicts the same"
(again :> IDisposable).Dispose()
(fit.Model :> IDisposable).Dispose()
