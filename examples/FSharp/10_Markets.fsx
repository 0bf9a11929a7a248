// Four European stock indices, 1991 to 1998: a neural SDE learns how calm and nervous times follow each other, which geometric Brownian
// motion cannot know, and gives the held-out last fifth a higher likelihood. Few iterations, so that it takes seconds.
#load "continuum.fsx"

open System
open System.Globalization
open System.IO
open System.Threading
open Continuum

let lines = File.ReadAllLines(Path.Combine(__SOURCE_DIRECTORY__, "..", "data", "eu-stock-markets.csv"))

let columns = lines[0].Split(',')[1..] |> Array.map (fun name -> name.Trim '"')

let rows =
    lines[1..]
    |> Array.map (fun line ->
        line.Split ',' |> Array.map (fun cell -> Double.Parse(cell, CultureInfo.InvariantCulture)))

let data: ObservedPath = {
    Times = rows |> Array.map Array.head
    Values = Array2D.init rows.Length columns.Length (fun i j -> rows[i].[j + 1])
}

let days = data.Rows / 5
let train = data.Slice(0, data.Rows - days)
let options = { NeuralSdeOptions.Default with Loop.Iterations = 300; Loop.Seed = 1 }
let fit = NeuralSdeFit.run options "time" columns [| train |] null CancellationToken.None
let model = fit.Model
let lastDays (densities: float[]) = Array.skip (densities.Length - days) densities
let simple = GeometricBrownian.fit true columns [| train |]

let gain =
    Array.average (lastDays (model.LogDensities data))
    - Array.average (lastDays (GeometricBrownian.logDensities simple [| data |]))

printfn $"log-likelihood of {days} held-out days: {gain:f3} a day above geometric Brownian motion"

// A fan of paths from the end of the training data on.
let times = Array.sub data.Times (data.Rows - days) 100
let paths = model.Simulate(ValueNone, times, 1UL, 0, 200, 1)
let fan = PathQuantiles.over [| 0.05; 0.5; 0.95 |] paths

for q in 0..2 do
    printfn $"DAX after 100 days: {fan[99, 0, q]:f0} (it was {data.Values[data.Rows - days + 99, 0]:f0})"

check (gain > 0.02) "markets: the neural SDE is ahead on days that it has not seen"
(model :> IDisposable).Dispose()
