// What 04_LynxHare does with a network, with four parameters: Lotka-Volterra fitted to the pelts of 1900-1914, with standard errors, and the
// years 1915-1920 predicted.
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

let model =
    NamedProblems.all
    |> Array.find (fun problem -> problem.Name = "lotka-volterra")
    |> MechanisticModel.OfNamed

/// Counts vary over a factor of twenty, so errors are relative.
let column name index : ObservedColumn = { Name = name; Component = index; Logarithmic = true; Deviation = nan }

let problem: EstimationProblem = {
    Simulator = model.Simulator(RungeKutta Methods.Tsit5, 1e-8, 1e-10)
    Parameters = [|
        ParameterEstimation.positive "alpha" 1.0 1e-3 10.0
        ParameterEstimation.positive "beta" 0.05 1e-5 1.0
        ParameterEstimation.positive "gamma" 1.0 1e-3 10.0
        ParameterEstimation.positive "delta" 0.05 1e-5 1.0
    |]
    InitialState = [|
        ParameterEstimation.positive "prey" train[0].[1] 0.0 infinity
        ParameterEstimation.positive "predator" train[0].[2] 0.0 infinity
    |]
    Start = 1900.0
    Columns = [| column "hare" 0; column "lynx" 1 |]
    Times = train |> Array.map Array.head
    Values = train |> Array.map Array.tail |> array2D
    Segments = 0
    MaxIterations = 200
}

let fit = ParameterEstimation.run problem null CancellationToken.None
printfn $"{fit.Message}"

for e in Array.append fit.Parameters fit.InitialState do
    printfn $"{e.Name, -9}{e.Value, 8:g3} +- {e.StandardError, -8:g2} [{e.Lower95:g3}, {e.Upper95:g3}]"

let prediction =
    let options = {
        SolveOptions.create 1e-8 1e-10 with
            SaveAt = Times(test |> Array.map Array.head)
    }

    let values: Estimate[] -> float[] = Array.map _.Value
    model.Solve(Method.Automatic, options, values fit.Parameters, 1900.0, 1920.0, values fit.InitialState)

for row, state in Array.zip test prediction.States do
    printfn $"{row[0]}   hare {state[0], 5:f1} ({row[1], 4:f1})   lynx {state[1], 5:f1} ({row[2], 4:f1})"

/// Root mean square error of a column (0 or 1) of a prediction (row of the test, column).
let rmse (predict: int -> int -> float) column =
    test
    |> Array.mapi (fun i row -> (predict i column - row[column + 1]) ** 2.0)
    |> Array.average
    |> sqrt

let errors = Array.init 2 (rmse (fun i column -> prediction.States[i][column]))
let naive = Array.init 2 (rmse (fun _ column -> (Array.last train)[column + 1]))

check
    (fit.Status = EstimationStatus.Converged
     && fit.Parameters |> Array.forall (fun p -> p.Determined && p.StandardError < 0.5 * p.Value))
    "predator and prey: converged, every parameter determined"

check
    (errors[0] < naive[0] && errors[1] < naive[1])
    $"predator and prey: RMSE {errors[0]:f1} and {errors[1]:f1}, against {naive[0]:f1} and {naive[1]:f1} of persistence"
