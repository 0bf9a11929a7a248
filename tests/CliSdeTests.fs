/// The commands about stochastic and controlled equations: simulate, and fit of neural SDEs and CDEs.
module CliSdeTests

open System
open System.Globalization
open System.IO
open Expecto
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
                refused [ "cir"; "--method"; "Milstein" ] [ "cir"; "EulerMaruyama" ]
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
