/// Work-precision diagrams as PNG, in bench/plots.
module Continuum.Bench.Plots

open System
open System.Globalization
open System.IO
open ScottPlot

let private power (x: float) = String.Format(CultureInfo.InvariantCulture, "1e{0:0.#}", x)

let private draw (title: string) (what: string) (points: (string * float * float)[]) : Plot =
    let plot = new Plot()
    let palette = Palettes.Category10()

    for i, (method, own) in points |> Array.groupBy (fun (method, _, _) -> method) |> Array.indexed do
        let own = own |> Array.sortByDescending (fun (_, error, _) -> error)
        let x = own |> Array.map (fun (_, error, _) -> log10 error)
        let y = own |> Array.map (fun (_, _, work) -> log10 work)
        let curve = plot.Add.Scatter(x, y, palette.GetColor i)
        curve.LegendText <- method
        curve.LineWidth <- 2f
        curve.MarkerSize <- 6f

    plot.Title title
    plot.XLabel "geometric mean of the errors"
    plot.YLabel what
    plot.Axes.Bottom.TickGenerator <- TickGenerators.NumericAutomatic(LabelFormatter = power)
    plot.Axes.Left.TickGenerator <- TickGenerators.NumericAutomatic(LabelFormatter = power)
    plot.ShowLegend(Edge.Right) |> ignore
    plot

let private target = Path.Combine(__SOURCE_DIRECTORY__, "plots")

/// Error against evaluations and against seconds: NAME_evaluations.png and NAME_seconds.png.
let save (name: string) (title: string) (points: (string * float * float * float)[]) =
    Directory.CreateDirectory target |> ignore

    for suffix, what, pick in
        [
            "evaluations", "evaluations of the field", (fun (_, _, e, _) -> e)
            "seconds", "processor seconds", (fun (_, _, _, s) -> s)
        ] do
        use plot = draw title what (points |> Array.map (fun ((m, error, _, _) as p) -> m, error, pick p))
        plot.SavePng(Path.Combine(target, $"{name}_{suffix}.png"), 900, 600) |> ignore
