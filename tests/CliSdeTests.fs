/// The commands about stochastic and controlled equations: simulate, and fit of neural SDEs and CDEs.
module CliSdeTests

open System
open System.Globalization
open System.IO
open Expecto
open Claims
open CliTests

let private number (text: string) = Double.Parse(text, CultureInfo.InvariantCulture)

let private lines folder (name: string) = File.ReadAllLines(Path.Combine(folder, name))

let private expectPicture folder name =
    let bytes = File.ReadAllBytes(Path.Combine(folder, name))
    Expect.equal bytes[1..3] "PNG"B "a PNG file"
    Expect.isGreaterThan bytes.Length 5000 $"{name} has something in it"

/// A random walk of logarithms in two columns.
let private prices folder =
    let random = Random 3
    let mutable x, y = 0.0, 0.0

    let rows = [
        for i in 0..119 ->
            x <- x + 0.02 * (random.NextDouble() - 0.45)
            y <- y + 0.03 * (random.NextDouble() - 0.5)
            FormattableString.Invariant $"{i},{100.0 * exp x},{50.0 * exp y}"
    ]

    File.WriteAllLines(Path.Combine(folder, "prices.csv"), "day,a,b" :: rows)

/// Visits of 60 subjects; those whose values rise have the event early.
let private visits folder =
    let random = Random 5

    let rows = [
        for i in 0..59 do
            let rises = i % 2 = 0
            let sex = if i % 3 = 0 then "f" else "m"

            for k in 0..4 do
                let noise = 0.2 * random.NextDouble()
                let value = (if rises then float k else 2.0) + noise
                let cell = if k = 2 then "NA" else value.ToString CultureInfo.InvariantCulture

                FormattableString.Invariant
                    $"s{i},{10 * k},{cell},{noise},{sex},{(if rises then 60 else 200)},{(if rises then 1 else 0)}"
    ]

    File.WriteAllLines(Path.Combine(folder, "visits.csv"), "id,day,value,noise,sex,end,status" :: rows)

/// Five visits of 50 subjects whose values change at a rate of their own, which is the same number in all their rows.
let private slopes folder =
    let random = Random 8

    let rows = [
        for i in 0..49 do
            let rate, start = 2.0 * random.NextDouble() - 0.5, random.NextDouble()

            for k in 0..4 do
                let day = float k + 0.5 * random.NextDouble()

                let cell =
                    if k = 1 && i % 5 = 0 then
                        ""
                    else
                        (start + rate * day).ToString CultureInfo.InvariantCulture

                FormattableString.Invariant $"s{i},{day},{cell},{rate}"
    ]

    File.WriteAllLines(Path.Combine(folder, "slopes.csv"), "id,day,value,rate" :: rows)

let private simulations =
    testList "simulate" [
        test "geometric Brownian motion has its moments, whatever the threads" {
            inFolder (fun folder ->
                let arguments = [ "simulate"; "gbm"; "--set"; "mu=0.1"; "--paths"; "4000"; "--step"; "0.02" ]
                let outcome = run folder (arguments @ [ "--out"; "end.csv"; "--plot"; "end.png" ])
                expect 0 outcome
                Expect.equal outcome.Error "" "no failures, and no progress in a pipe"

                for part in [ "4000 paths"; "Milstein"; "closed form"; "1.1052"; "end.csv" ] do
                    Expect.stringContains outcome.Output part "the report"

                let rows = lines folder "end.csv"
                Expect.equal rows[0] "path,t,x" "the header"
                let values = rows[1..] |> Array.map (fun row -> row.Split(',')[2] |> number)
                Expect.hasLength values 4000 "a row for each path"
                let error = 4.0 * 0.2 * 1.11 / sqrt 4000.0
                Expect.floatClose { absolute = error; relative = 0.0 } (Array.average values) (exp 0.1) "the mean"
                expectPicture folder "end.png"
                run folder (arguments @ [ "--threads"; "1"; "--out"; "again.csv"; "--quiet" ]) |> expect 0
                Expect.equal (lines folder "again.csv") rows "the same paths on one thread")
        }

        test "methods in the sense of Stratonovich go along the paths of those in the sense of Ito" {
            inFolder (fun folder ->
                let ends problem set method =
                    let all = [
                        yield! [
                            "simulate"
                            problem
                            "--method"
                            method
                            "--paths"
                            "100"
                            "--step"
                            "0.002"
                            "--quiet"
                        ]
                        yield! [ "--set"; set; "--out"; "end.csv" ]
                    ]

                    run folder all |> expect 0
                    (lines folder "end.csv")[1..] |> Array.map (fun row -> Array.map number (row.Split(',')[2..]))

                // The noise is large enough for a wrong correction to move the paths by several times what is allowed.
                for problem, set, ito, allowed in
                    [
                        "gbm", "sigma=0.8", "Milstein", [ 0.01 ]
                        "cir", "sigma=0.4", "MilsteinFree", [ 0.02 ]
                        "heston", "xi=0.5", "EulerMaruyama", [ 0.03; 0.1 ]
                    ] do
                    let one, other = ends problem set ito, ends problem set "Heun"

                    for state in 0 .. one[0].Length - 1 do
                        let mean = one |> Array.averageBy (fun y -> abs y[state])
                        let gap = Array.map2 (fun (a: float[]) (b: float[]) -> abs (a[state] - b[state])) one other
                        Expect.isLessThan (Array.average gap / mean) allowed[state] $"{problem}, state {state}")
        }

        test "adaptive steps come closer as the tolerance falls" {
            inFolder (fun folder ->
                let solve rtol =
                    let tolerance = [ "--rtol"; rtol; "--atol"; rtol; "--out"; "end.csv" ]
                    let outcome = run folder ([ "simulate"; "double-well"; "--to"; "3"; "--paths"; "50" ] @ tolerance)
                    expect 0 outcome
                    Expect.stringContains outcome.Output $"adaptive steps (rtol {rtol}, atol {rtol})" "the report"
                    (lines folder "end.csv")[1..] |> Array.map (fun row -> number (row.Split(',')[2]))

                let loose, tight, best = solve "0.1", solve "0.001", solve "1E-05"
                let gap = Array.map2 (fun a b -> abs (a - b)) best >> Array.average
                Expect.isLessThan (gap tight) (0.1 * gap loose) "closer to the tightest"

                let failed = run folder [ "simulate"; "ou"; "--rtol"; "1e-6"; "--max-steps"; "2"; "--paths"; "2" ]

                expect 1 failed
                Expect.stringContains failed.Error "2 of 2 paths did not reach the end" "steps run out")
        }

        test "saved times, the list, and refusals" {
            inFolder (fun folder ->
                let save = [
                    "simulate"
                    "heston"
                    "--paths"
                    "20"
                    "--save"
                    "3"
                    "--out"
                    "h.csv"
                    "--plot"
                    "h.png"
                ]

                run folder save |> expect 0
                let rows = lines folder "h.csv"
                Expect.equal rows[0] "path,t,s,v" "the header"
                Expect.hasLength rows 61 "20 paths at 3 times"

                Expect.equal
                    (rows[1..3] |> Array.map (fun row -> (row.Split ',')[1]))
                    [| "0"; "0.5"; "1" |]
                    "the times"

                expectPicture folder "h.png"
                let list = run folder [ "simulate"; "--list" ]
                Expect.stringContains list.Output "double-well" "the list"
                let refused arguments parts = run folder ("simulate" :: arguments) |> expectRefusal folder 2 parts
                refused [ "nothing" ] [ "nothing"; "heston" ]
                refused [ "gbm"; "--set"; "nu=1" ] [ "nu"; "sigma" ]
                refused [ "gbm"; "--set"; "mu=0:1:3" ] [ "mu"; "one value" ]
                refused [ "cir"; "--method"; "Milstein" ] [ "Milstein"; "derivative"; "EulerMaruyama, MilsteinFree" ]

                refused [ "heston"; "--method"; "srid2" ] [
                    "SRID2 is for scalar and diagonal"
                    "general noise"
                    "Heun"
                ]

                refused [ "ou"; "--method"; "rk4" ] [ "'rk4'"; "SRA1"; "Heun" ]
                refused [ "gbm"; "--rtol"; "1e-3"; "--step"; "0.1" ] [ "--step"; "--rtol" ]
                refused [ "ou"; "--to"; "-1" ] [ "--to" ])
        }
    ]

let private fits =
    testList "fit" [
        test "a neural SDE: files, report, resume, simulation" {
            inFolder (fun folder ->
                prices folder
                let arguments = [ "fit"; "prices.csv"; "--model"; "neural-sde"; "--iterations"; "5"; "--paths"; "100" ]
                let outcome = run folder arguments
                expect 0 outcome

                for part in
                    [ "84 rows"; "36 held-out rows"; "log density"; "signature MMD"; "95 %"; "Brownian motion" ] do
                    Expect.stringContains outcome.Output part "the report"

                let out = Path.Combine(folder, "out", "prices")
                Expect.equal (files out) [| "fit.png"; "model.safetensors"; "quantiles.csv" |] "the files, no others"
                expectPicture out "fit.png"
                let rows = lines out "quantiles.csv"
                Expect.stringStarts rows[0] "day,a_q0.025,a_q0.05" "the header"
                Expect.hasLength rows 37 "a row for each held-out time"
                let model = Path.Combine("out", "prices", "model.safetensors")
                let simulate = [ "simulate"; model; "--to"; "90"; "--paths"; "3" ]
                run folder (simulate @ [ "--out"; "p.csv"; "--plot"; "p.png" ]) |> expect 0
                let paths = lines folder "p.csv"
                Expect.equal paths[0] "path,day,a,b" "the header"
                Expect.hasLength paths 22 "3 paths of 7 days"
                let early = run folder [ "simulate"; model; "--to"; "80" ]
                expect 2 early
                Expect.stringContains early.Error "--to 80 is not after 83" "the refusal")
        }

        test "a neural CDE of an event after a landmark" {
            inFolder (fun folder ->
                visits folder

                let arguments = [
                    "fit"
                    "visits.csv"
                    "--model"
                    "neural-cde"
                    "--static"
                    "sex"
                    "--event-time"
                    "end"
                    "--event-status"
                    "status=1"
                    "--landmark"
                    "40"
                    "--horizon"
                    "50"
                    "--iterations"
                    "10"
                ]

                let outcome = run folder arguments
                expect 0 outcome

                for part in
                    [ "2 channels and 1 covariates"; "42 subjects"; "18 held-out"; "AUROC"; "logistic regression" ] do
                    Expect.stringContains outcome.Output part "the report"

                let out = Path.Combine(folder, "out", "visits")
                Expect.equal (files out) [| "model.safetensors"; "predictions.csv"; "roc.png" |] "the files, no others"
                expectPicture out "roc.png"
                let rows = lines out "predictions.csv"
                Expect.equal rows[0] "id,class,p_no event,p_event" "the header"
                Expect.hasLength rows 19 "a row for each held-out subject")
        }

        test "a neural CDE of numbers" {
            inFolder (fun folder ->
                slopes folder
                let fit = [ "fit"; "slopes.csv"; "--model"; "neural-cde"; "--iterations"; "80"; "--targets"; "rate" ]
                let outcome = run folder fit
                expect 0 outcome

                for part in [ "35 subjects"; "15 held-out"; "RMSE"; "R²"; "mean of the others" ] do
                    Expect.stringContains outcome.Output part "the report"

                let out = Path.Combine(folder, "out", "slopes")
                Expect.equal (files out) [| "fit.png"; "model.safetensors"; "predictions.csv" |] "the files, no others"
                expectPicture out "fit.png"
                let rows = lines out "predictions.csv"
                Expect.equal rows[0] "id,rate,rate_predicted" "the header"
                let numbers = rows[1..] |> Array.map (fun row -> row.Split(',')[1..] |> Array.map number)
                Expect.hasLength numbers 15 "a row for each held-out subject"
                let mean = numbers |> Array.averageBy Array.head
                let model = numbers |> Array.averageBy (fun pair -> (pair[0] - pair[1]) ** 2.0)
                let plain = numbers |> Array.averageBy (fun pair -> (pair[0] - mean) ** 2.0)
                Expect.isLessThan model (0.7 * plain) "it has learned something")
        }

        test "a neural CDE that forecasts its channels" {
            inFolder (fun folder ->
                slopes folder

                let fit = [ "fit"; "slopes.csv"; "--model"; "neural-cde"; "--task"; "forecast"; "--columns"; "value" ]
                let outcome = run folder (fit @ [ "--iterations"; "120" ])
                expect 0 outcome

                for part in [ "15 visits of 15 held-out"; "RMSE"; "MAE"; "last value" ] do
                    Expect.stringContains outcome.Output part "the report"

                let out = Path.Combine(folder, "out", "slopes")
                Expect.equal (files out) [| "fit.png"; "model.safetensors"; "predictions.csv" |] "the files, no others"
                let rows = lines out "predictions.csv"
                Expect.equal rows[0] "id,day,value,value_forecast" "the header"
                let numbers = rows[1..] |> Array.map (fun row -> row.Split(',')[1..] |> Array.map number)

                let source =
                    lines folder "slopes.csv" |> Array.map (fun row -> row.Split ',') |> Array.groupBy Array.head

                let before (row: string) =
                    let _, visits = source |> Array.find (fun (id, _) -> id = row.Split(',')[0])
                    number visits[visits.Length - 2].[2]

                let model = numbers |> Array.averageBy (fun row -> (row[1] - row[2]) ** 2.0)

                let carried =
                    Array.map2 (fun row (now: float[]) -> (before row - now[1]) ** 2.0) rows[1..] numbers
                    |> Array.average

                Expect.isLessThan model (0.7 * carried) $"better than the last value; {outcome.Output}"

                let landmark =
                    run folder (fit @ [ "--iterations"; "2"; "--landmark"; "2.6"; "--horizon"; "0.9"; "--no-plot" ])

                expect 0 landmark
                Expect.stringContains landmark.Output "after 2.6" "the landmark"

                for row in (lines out "predictions.csv")[1..] do
                    let day = number (row.Split(',')[1])
                    Expect.isTrue (day > 2.6 && day <= 3.5) $"{row} lies within the horizon")
        }

        test "tasks that the options do not fit are refused" {
            inFolder (fun folder ->
                slopes folder

                let refused arguments parts =
                    run folder ([ "fit"; "slopes.csv"; "--model"; "neural-cde" ] @ arguments)
                    |> expectRefusal folder 2 parts

                refused [ "--task"; "regression" ] [ "--targets" ]
                refused [ "--task"; "classification"; "--targets"; "rate" ] [ "--targets"; "--label" ]
                refused [ "--targets"; "rate"; "--label"; "value" ] [ "--label"; "--targets"; "give one" ]

                run folder [ "fit"; "slopes.csv"; "--model"; "neural-cde"; "--targets"; "value" ]
                |> expectRefusal folder 1 [ "'value'"; "within a subject" ]

                refused [ "--targets"; "slope" ] [ "'slope'"; "no such column" ]
                refused [ "--task"; "forecast"; "--label"; "rate" ] [ "--label"; "forecast" ]
                refused [ "--task"; "forecast"; "--horizon"; "2" ] [ "--landmark" ]
                refused [ "--task"; "forecast"; "--landmark"; "90" ] [ "15 held-out"; "landmark" ]
                refused [ "--task"; "guess" ] [ "classification or regression or forecast"; "guess" ]

                run folder [ "fit"; "slopes.csv"; "--task"; "forecast" ]
                |> expectRefusal folder 2 [ "--task"; "hybrid" ])
        }

        test "options of another model and half an event are refused" {
            inFolder (fun folder ->
                visits folder
                prices folder
                let refused arguments parts = run folder ("fit" :: arguments) |> expectRefusal folder 2 parts
                refused [ "prices.csv"; "--landmark"; "1" ] [ "--landmark"; "hybrid" ]
                refused [ "prices.csv"; "--model"; "neural-sde"; "--prior"; "auto" ] [ "--prior"; "neural-sde" ]
                refused [ "visits.csv"; "--model"; "neural-cde" ] [ "--label" ]
                refused [ "visits.csv"; "--model"; "neural-cde"; "--event-time"; "end" ] [ "--event-status" ]
                refused [ "visits.csv"; "--model"; "neural-cde"; "--label"; "x" ] [ "'x'"; "line 1"; "no such column" ]
                refused [ "visits.csv"; "--model"; "neural" ] [ "neural-sde" ]

                // A word in a column of numbers is no reason to leave the column out without a word.
                let rows = File.ReadAllLines(Path.Combine(folder, "visits.csv"))
                let cells = rows[4].Split ','
                cells[2] <- "z"
                rows[4] <- String.Join(",", cells)
                File.WriteAllLines(Path.Combine(folder, "typo.csv"), rows)

                run folder [ "fit"; "typo.csv"; "--model"; "neural-cde"; "--label"; "status"; "--static"; "sex" ]
                |> expectRefusal folder 1 [ "typo.csv, line 5, column 'value'"; "'z'"; "NA" ])
        }
    ]

let tests = testList "CliSde" [ simulations; fits ]
