/// Log-returns of four stock indices: which form of a neural SDE validation inside the training days picks, and what that one does on the
/// held-out last fifth, which takes no part in the choice.
module Continuum.Bench.StudyMarkets

open System
open System.Globalization
open System.IO
open System.Threading
open Continuum
open Continuum.Bench.Measure

let private read () =
    let lines = File.ReadAllLines(Path.Combine(root, "examples", "data", "eu-stock-markets.csv"))
    let columns = lines[0].Split(',')[1..] |> Array.map _.Trim('"')

    let rows =
        lines[1..]
        |> Array.map (fun line ->
            line.Split ',' |> Array.map (fun cell -> Double.Parse(cell, CultureInfo.InvariantCulture)))

    let path: ObservedPath = {
        Times = rows |> Array.map Array.head
        Values = Array2D.init rows.Length columns.Length (fun i j -> rows[i].[j + 1])
    }

    struct (columns, path)

let private forms =
    let all = NeuralSdeOptions.Default

    [|
        "half-lives 5 and 40 (the default)", all
        "half-life 20", { all with HalfLives = [| 20.0 |] }
        "half-lives 2, 10 and 60", { all with HalfLives = [| 2.0; 10.0; 60.0 |] }
        "five last returns", { all with HalfLives = [||]; Lags = 5 }
        "the state alone", { all with HalfLives = [||]; Level = Nullable true }
        "half-lives 5 and 40, no penalty, drift network", { all with Penalty = Nullable 0.0; DriftHidden = [| 16 |] }
    |]

/// Log densities a day above those of geometric Brownian motion, over the rows from `start` to `stop` of a model of those before.
let private gain (options: NeuralSdeOptions) columns (path: ObservedPath) start stop seed =
    let train = path.Slice(0, start)

    use model =
        (NeuralSdeFit.run { options with Loop.Seed = seed } "time" columns [| train |] null CancellationToken.None)
            .Model

    let simple = GeometricBrownian.fit true columns [| train |]
    let seen = path.Slice(0, stop)
    let ours = model.LogDensities seen
    let theirs = GeometricBrownian.logDensities simple [| seen |]
    Array.init (stop - start) (fun k -> ours[start - 1 + k] - theirs[start - 1 + k])

let run (settings: Settings) =
    let struct (columns, path) = read ()
    let held = path.Rows / 5
    let train = path.Rows - held
    let seeds = min 5 settings.Runs

    let validated =
        forms
        |> Array.map (fun (name, options) ->
            let folds = [| train * 6 / 10, train * 8 / 10; train * 8 / 10, train |]

            let gains =
                folds |> Array.map (fun (start, stop) -> Array.average (gain options columns path start stop 0))

            print settings {
                line "study_markets" $"validation: {name}" 1 nan with
                    Notes =
                        $"gain a day over geometric Brownian motion {gains[0]:F3} and {gains[1]:F3} on two stretches of training days"
            }

            name, options, Array.average gains)

    let name, options, _ = validated |> Array.maxBy (fun (_, _, g) -> g)
    let days = Array.init seeds (fun seed -> gain options columns path train path.Rows seed)
    let struct (mean, deviation) = StudyPatients.meanAndDeviation (Array.map Array.average days)
    let daily = Array.init held (fun k -> days |> Array.averageBy (fun d -> d[k]))
    let struct (_, spread) = StudyPatients.meanAndDeviation daily

    print settings {
        line "study_markets" $"held out: {name}" seeds nan with
            Notes =
                $"gain a day {mean:F3}, deviation over seeds {deviation:F3}, standard error over {held} days {spread / sqrt (float held):F3}"
    }
