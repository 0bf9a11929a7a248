/// The command `continuum solve`, against solves through the core.
module CliSolveTests

open System
open System.Diagnostics
open System.Globalization
open System.IO
open System.Threading
open Continuum
open Expecto
open Claims
open CliTests

let private solve folder arguments = run folder ("solve" :: arguments)

/// The header and the rows of a CSV file.
let private table folder (name: string) =
    let lines = File.ReadAllLines(Path.Combine(folder, name))
    lines[0].Split ',', lines[1..] |> Array.map (fun line -> line.Split ',')

let private number (text: string) = Double.Parse(text, CultureInfo.InvariantCulture)

/// The numbers of a column.
let private column (name: string) (header: string[], rows: string[][]) =
    let at = Array.IndexOf(header, name)
    Expect.isGreaterThanOrEqual at 0 $"a column {name} among {header}"
    rows |> Array.map (fun row -> row[at])

let private numbers name table = column name table |> Array.map number

let private model (name: string) = MechanisticModel.OfNamed(NamedProblems.byName name)

let private values (named: NamedValue[]) = named |> Array.map _.Value

/// A picture of some substance.
let private expectPicture folder name =
    let bytes = File.ReadAllBytes(Path.Combine(folder, name))

    if Path.GetExtension name = ".png" then
        Expect.equal bytes[1..3] "PNG"B "a PNG file"
    else
        Expect.stringContains (Text.Encoding.UTF8.GetString bytes) "<svg" "an SVG file"

    Expect.isGreaterThan bytes.Length 5000 $"{name} has something in it"

let private range (first: float) (last: float) count =
    Array.init count (fun k ->
        if k = count - 1 then
            last
        else
            first + (last - first) * float k / float (count - 1))

let private grid t1 count = range 0.0 t1 count

let private ensembles =
    testList "ranges" [
        test "a thousand runs are those of the core, whatever the threads" {
            inFolder (fun folder ->
                let arguments = [ "lorenz"; "--set"; "rho=0:28:1000"; "--to"; "10" ]
                let outcome = solve folder (arguments @ [ "--out"; "runs.csv"; "--plot"; "runs.png" ])
                expect 0 outcome
                Expect.equal outcome.Error "" "no failures, and no progress in a pipe"

                for part in [ "1000 runs"; "evaluations"; "Tsit5 in lanes"; "median"; "runs.csv"; "runs.png" ] do
                    Expect.stringContains outcome.Output part "the report"

                Expect.equal (files folder) [| "runs.csv"; "runs.png" |] "the files, no others"
                expectPicture folder "runs.png"
                let header, rows = table folder "runs.csv"
                Expect.equal header [| "run"; "rho"; "status"; "t"; "x"; "y"; "z" |] "the header"
                let lorenz = model "lorenz"
                let rhos = range 0.0 28.0 1000

                let expected =
                    lorenz.SolveEnsemble(
                        RungeKutta Methods.Tsit5,
                        SolveOptions.create 1e-6 1e-9,
                        EnsembleOptions.Default,
                        {
                            Starts = [| 0.0 |]
                            Ends = [| 10.0 |]
                            Initial = [| values lorenz.States |]
                            Parameters = rhos |> Array.map (fun rho -> [| 10.0; rho; 8.0 / 3.0 |])
                        }
                    )

                Expect.equal rows.Length 1000 "a row for each run"

                for i in 0..999 do
                    let start = [| $"{i + 1}"; rhos[i].ToString("R", CultureInfo.InvariantCulture); "Success"; "10" |]
                    Expect.equal (Array.truncate 4 rows[i]) start $"run {i + 1}"
                    let state = rows[i] |> Array.skip 4 |> Array.map number
                    Expect.equal state (expected.FinalState i) "the state, to the last digit"

                solve folder (arguments @ [ "--out"; "one.csv"; "--threads"; "1"; "--quiet" ]) |> expect 0
                let text name = File.ReadAllText(Path.Combine(folder, name))
                Expect.equal (text "one.csv") (text "runs.csv") "one thread gives the same")
        }

        test "multiply to a grid, of initial values too, the first slowest" {
            inFolder (fun folder ->
                let arguments = [ "--set"; "mu=5:1:3"; "--set"; "y=1:2:2"; "--set"; "v=0.5"; "--to"; "3" ]

                let outcome = solve folder ([ "van-der-pol"; "--out"; "grid.csv"; "--plot"; "grid.png" ] @ arguments)

                expect 0 outcome
                Expect.stringContains outcome.Output "v = 0.5" "what is fixed is said"
                expectPicture folder "grid.png"
                let result = table folder "grid.csv"
                Expect.equal (fst result) [| "run"; "mu"; "y_start"; "status"; "t"; "y"; "v" |] "the header"
                Expect.equal (numbers "mu" result) [| 5.0; 5.0; 3.0; 3.0; 1.0; 1.0 |] "mu"
                Expect.equal (numbers "y_start" result) [| 1.0; 2.0; 1.0; 2.0; 1.0; 2.0 |] "y at the start"
                let field = model "van-der-pol"
                let mus, starts, ends = numbers "mu" result, numbers "y_start" result, numbers "y" result
                let options = SolveOptions.create 1e-11 1e-12

                for i in 0..5 do
                    let y0 = [| starts[i]; 0.5 |]

                    let exact = field.Solve(RungeKutta Methods.Vern9, options, [| mus[i] |], 0.0, 3.0, y0)

                    Expect.floatClose { absolute = 1e-4; relative = 1e-4 } ends[i] exact.FinalState[0] $"run {i + 1}")
        }

        test "stiff runs among others are solved by the automatic choice" {
            inFolder (fun folder ->
                for range, said in [ "mu=1:1000:3", "did not finish"; "mu=1000:1:3", "the first is stiff" ] do
                    let outcome = solve folder [ "van-der-pol"; "--set"; range; "--out"; "vdp.csv" ]
                    expect 0 outcome
                    Expect.stringContains outcome.Output said "how it was solved"

                    Expect.equal
                        (table folder "vdp.csv" |> column "status")
                        (Array.create 3 "Success")
                        "all are solved")
        }
    ]

let private singles =
    testList "one run" [
        test "is the core's automatic solve at 200 times" {
            inFolder (fun folder ->
                let outcome =
                    solve folder [
                        "Robertson"
                        "--set"
                        "k1=0.05"
                        "--to"
                        "100"
                        "--out"
                        "one.csv"
                        "--plot"
                        "one.svg"
                    ]

                expect 0 outcome

                for part in [ "k1 = 0.05"; "1 run,"; "method: Tsit5"; "method: Rodas5P"; "stability"; "at t = 100" ] do
                    Expect.stringContains outcome.Output part "the report"

                expectPicture folder "one.svg"
                let header, rows = table folder "one.csv"
                Expect.equal header [| "t"; "a"; "b"; "c" |] "the header"
                let robertson = model "robertson"
                let options = { SolveOptions.create 1e-6 1e-9 with SaveAt = Times(grid 100.0 200) }

                let expected =
                    robertson.Solve(
                        Method.Automatic,
                        options,
                        [| 0.05; 3e7; 1e4 |],
                        0.0,
                        100.0,
                        values robertson.States
                    )

                let rows = rows |> Array.map (Array.map number)
                Expect.equal (rows |> Array.map Array.head) expected.Times "the times"
                Expect.equal (rows |> Array.map Array.tail) expected.States "the states")
        }

        test "takes method, tolerances, span and number of times" {
            inFolder (fun folder ->
                let arguments = [
                    "exponential"
                    "--from"
                    "-1"
                    "--to"
                    "1"
                    "--save"
                    "3"
                    "--method"
                    "vern7"
                    "--rtol"
                    "1e-12"
                    "--atol"
                    "1e-13"
                ]

                let outcome = solve folder (arguments @ [ "--out"; "a/b/one.csv" ])
                expect 0 outcome
                Expect.stringContains outcome.Output "Vern7" "the method"
                let result = table folder "a/b/one.csv"
                Expect.equal (numbers "t" result) [| -1.0; 0.0; 1.0 |] "the times"

                for t, y in Array.zip (numbers "t" result) (numbers "y" result) do
                    Expect.floatClose { absolute = 1e-10; relative = 0.0 } y (exp (-t - 1.0)) $"at {t}")
        }
    ]

let private draws =
    testList "distributions" [
        test "repeat with the seed, and do not depend on other values or the number of runs" {
            inFolder (fun folder ->
                let drawn extra =
                    let arguments = [ "lotka-volterra"; "--set"; "beta=normal(1,0.1)"; "--to"; "1" ]
                    solve folder (arguments @ extra @ [ "--out"; "runs.csv"; "--quiet" ]) |> expect 0
                    table folder "runs.csv" |> numbers "beta"

                let first = drawn []
                Expect.hasLength first 100 "a hundred runs"
                Expect.equal (drawn []) first "again"
                Expect.equal (drawn [ "--runs"; "7" ]) first[..6] "fewer"

                Expect.equal
                    (drawn [ "--set"; "alpha=uniform(1,2)"; "--set"; "prey=1:2:2"; "--threads"; "1" ])
                    (Array.append first first)
                    "beside others, at every point of a grid"

                let other = drawn [ "--seed"; "1" ]
                Expect.isTrue (Array.forall2 (<>) first other) "another seed draws others")
        }

        test "have their quantiles" {
            inFolder (fun folder ->
                // Of 4000 draws the share below a quantile p is within 4 sqrt(p (1 - p) / 4000) of p but for one in 16,000 tries.
                for text, quantiles in
                    [
                        "normal(3,0.5)", [ 0.5, 3.0; 0.8413447, 3.5; 0.0227501, 2.0 ]
                        "uniform(-1,3)", [ 0.25, 0.0; 0.9, 2.6; 0.0, -1.0; 1.0, 3.0 ]
                        "lognormal(2,0.3)", [ 0.5, 2.0; 0.8413447, 2.0 * exp 0.3 ]
                        "loguniform(0.1,10)", [ 0.5, 1.0; 0.25, 0.1 ** 0.5; 0.0, 0.1; 1.0, 10.0 ]
                    ] do
                    solve folder [
                        "exponential"
                        "--set"
                        $"y={text}"
                        "--to"
                        "0.001"
                        "--runs"
                        "4000"
                        "--out"
                        "d.csv"
                        "--quiet"
                    ]
                    |> expect 0

                    let drawn = table folder "d.csv" |> numbers "y_start"

                    for p, quantile in quantiles do
                        let share = float (drawn |> Array.filter (fun x -> x < quantile) |> Array.length) / 4000.0

                        Expect.isLessThanOrEqual
                            (abs (share - p))
                            (4.0 * sqrt (p * (1.0 - p) / 4000.0))
                            $"{text}: the share of draws below {quantile} is {share}, expected {p}")
        }

        test "keep and draw whole trajectories with --save, else histograms" {
            inFolder (fun folder ->
                let arguments = [ "sir"; "--set"; "beta=lognormal(0.4,0.2)"; "--runs"; "5" ]
                solve folder (arguments @ [ "--save"; "4"; "--out"; "runs.csv"; "--plot"; "band.png" ]) |> expect 0
                solve folder (arguments @ [ "--plot"; "histogram.svg" ]) |> expect 0
                expectPicture folder "band.png"
                expectPicture folder "histogram.svg"
                let result = table folder "runs.csv"

                Expect.equal
                    (column "run" result)
                    [|
                        for run in 1..5 do
                            for _ in 1..4 -> string run
                    |]
                    "a row for each run and time"

                Expect.equal
                    (numbers "t" result |> Array.truncate 5)
                    [| 0.0; 40.0; 80.0; 120.0; 0.0 |]
                    "equally spaced times, again for each run")
        }
    ]

let private failures =
    testList "failures" [
        test "of some runs are counted, and their rows have a status" {
            inFolder (fun folder ->
                // y' = y (1 - y) from below 0 is infinite after a finite time.
                let outcome =
                    solve folder [ "logistic"; "--set"; "y=-1:1:3"; "--out"; "runs.csv"; "--plot"; "runs.png" ]

                expect 0 outcome

                for part in [ "continuum: 1 of 3 runs"; "run 1:"; "t = 0.69" ] do
                    Expect.stringContains outcome.Error part "the failure"

                let result = table folder "runs.csv"
                let statuses = column "status" result
                Expect.notEqual statuses[0] "Success" "the first failed"
                Expect.equal statuses[1..] [| "Success"; "Success" |] "the others did not"
                Expect.floatClose Accuracy.medium (Array.head (numbers "t" result)) (log 2.0) "how far the first came")
        }

        test "of every run make the command fail, what there is being written" {
            inFolder (fun folder ->
                for extra in [ []; [ "--set"; "rho=20:28:3" ] ] do
                    let outcome =
                        solve folder ([ "lorenz"; "--max-steps"; "5"; "--out"; "x.csv"; "--plot"; "x.png" ] @ extra)

                    expect 1 outcome
                    Expect.stringContains outcome.Error "raise --max-steps" "what to do"
                    let _, rows = table folder "x.csv"
                    Expect.isNonEmpty rows "the partial solutions")
        }

        test "Ctrl+C leaves nothing half-written" {
            if OperatingSystem.IsWindows() then
                skiptest "needs kill"

            inFolder (fun folder ->
                let running =
                    start folder [ "solve"; "lorenz"; "--set"; "rho=0:28:500000"; "--to"; "2000"; "--out"; "runs.csv" ]

                let clock = Stopwatch.StartNew()

                // The start takes about 0.3 s of a processor.
                while running.TotalProcessorTime.TotalSeconds < 1.0 && clock.Elapsed.TotalSeconds < 60.0 do
                    Thread.Sleep 20

                use signal = Process.Start("kill", [ "-INT"; string running.Id ])
                signal.WaitForExit()
                let outcome = finish running
                expect 130 outcome
                Expect.stringStarts outcome.Error "continuum: interrupted; " "why"
                Expect.stringContains outcome.Error "of 500000 runs" "how far it came"
                Expect.equal (files folder) [||] "nothing is written")
        }
    ]

let private refusals =
    test "refuses what cannot be solved" {
        inFolder (fun folder ->
            [
                [ "lorentz" ], 2, [ "'lorentz'"; "lorenz, roessler" ]
                [], 2, [ "name of a problem"; "--list" ]
                [ "lorenz"; "--set"; "roh=1" ], 2, [ "--set roh"; "sigma, rho, beta"; "x, y, z" ]
                [ "lorenz"; "--set"; "rho=1:2" ], 2, [ "rho=1:2"; "first:last:count" ]
                [ "lorenz"; "--set"; "rho=1:2:1" ], 2, [ "rho=1:2:1"; "2 to" ]
                [ "lorenz"; "--set"; "rho=cauchy(1,2)" ], 2, [ "cauchy"; "loguniform(a,b)" ]
                [ "lorenz"; "--set"; "rho=normal(1,-1)" ], 2, [ "needs a deviation above 0" ]
                [ "lorenz"; "--set"; "rho=1"; "--set"; "rho=2" ], 2, [ "rho twice" ]
                [ "lorenz"; "--runs"; "5" ], 2, [ "--runs"; "distributions" ]
                [ "lorenz"; "--method"; "Euler" ], 2, [ "--method wants Automatic or"; "'Euler'" ]
                [ "lorenz"; "--set"; "x=1:2:9000000"; "--set"; "y=1:2:9" ], 2, [ "more than 10000000 runs" ]
                [ "lorenz"; "--plot"; "x.jpg" ], 2, [ ".png or .svg" ]
                [ "lorenz"; "--out"; "/dev/null/x.csv" ], 1, [ "/dev/null"; "--out" ]
            ]
            |> List.map (fun (arguments, code, parts) -> start folder ("solve" :: arguments), code, parts)
            |> List.iter (fun (running, code, parts) -> finish running |> expectRefusal folder code parts)

            Expect.equal (files folder) [||] "nothing is written")
    }

let private explanations =
    test "lists the problems and explains one" {
        inFolder (fun folder ->
            let list = solve folder [ "--list" ]
            expect 0 list

            for problem in NamedProblems.all do
                Expect.stringContains list.Output $"{problem.Name}: {problem.About}" "the problem"

            Expect.stringContains list.Output "sigma = 10, rho = 28, beta = 2.666667" "usual values"
            let help = solve folder [ "sir"; "--help" ]
            expect 0 help

            for part in [ "susceptible = 0.99"; "--set"; "loguniform"; "continuum solve lorenz --set rho=0:28:1000" ] do
                Expect.stringContains help.Output part "the help"

            let quiet = solve folder [ "sir"; "--quiet" ]
            expect 0 quiet
            Expect.equal (quiet.Output + quiet.Error) "" "no output")
    }

let tests = testList "continuum solve" [ ensembles; singles; draws; failures; refusals; explanations ]
