// The Hudson Bay lynx and hare: a Lotka-Volterra law plus a small network, fitted to 1900-1914, forecasts 1915-1920.
// Few iterations, so that it takes seconds; the defaults of TrainingOptions train longer.
#load "continuum.fsx"

open System
open System.Globalization
open System.IO
open System.Threading
open Continuum

/// Year, hare, lynx. (The C# facade has a CSV reader with all checks.)
let rows = [|
    for line in Seq.skip 1 (File.ReadLines(Path.Combine(__SOURCE_DIRECTORY__, "..", "data", "lynx-hare.csv"))) ->
        line.Split ',' |> Array.map (fun cell -> Double.Parse(cell, CultureInfo.InvariantCulture))
|]

let train, test = rows |> Array.partition (fun row -> row[0] <= 1914.0)
let options = { TrainingOptions.Default with Iterations = 200; Seed = 1 }

let fit =
    let times = train |> Array.map Array.head
    let values = train |> Array.map Array.tail |> array2D
    Fit.run options "year" [| "hare"; "lynx" |] times values null CancellationToken.None

let mutable evaluations = fit.Evaluations
let forecast = fit.Model.Forecast(test |> Array.map Array.head, &evaluations)
printfn $"{options.Kind}, {evaluations} evaluations, training loss {fit.Loss:g3}"

for i in 0 .. test.Length - 1 do
    let row = test[i]
    printfn $"{row[0]}   hare {forecast[i, 0], 5:f1} ({row[1], 4:f1})   lynx {forecast[i, 1], 5:f1} ({row[2], 4:f1})"

/// Root mean square error of a column (0 or 1) of a prediction (row of the test, column).
let rmse (predict: int -> int -> float) column =
    test
    |> Array.mapi (fun i row -> (predict i column - row[column + 1]) ** 2.0)
    |> Array.average
    |> sqrt

let errors = Array.init 2 (rmse (fun i column -> forecast[i, column]))
let naive = Array.init 2 (rmse (fun _ column -> (Array.last train)[column + 1]))
let positive = forecast |> Seq.cast<float> |> Seq.forall (fun value -> value > 0.0)
(fit.Model :> IDisposable).Dispose()

check
    (positive && errors[0] < naive[0] && errors[1] < naive[1])
    $"lynx and hare: RMSE {errors[0]:f1} and {errors[1]:f1}, against {naive[0]:f1} and {naive[1]:f1} of persistence"
