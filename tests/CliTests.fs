module CliTests

open System
open System.Diagnostics
open System.IO
open System.Threading
open Continuum
open Claims
open Expecto

/// The command line as it was built beside these tests: artifacts/bin/Cli/<configuration>/Continuum.Cli.dll.
let program =
    let own = DirectoryInfo(AppContext.BaseDirectory.TrimEnd Path.DirectorySeparatorChar)
    Path.Combine(own.Parent.Parent.FullName, "Cli", own.Name, "Continuum.Cli.dll")

/// The folder of the repository, which holds the examples.
let repository =
    let rec up (folder: DirectoryInfo) =
        match folder with
        | null -> failtest "the tests do not run below the repository"
        | _ when File.Exists(Path.Combine(folder.FullName, "Suite.sln")) -> folder.FullName
        | _ -> up folder.Parent

    up (DirectoryInfo AppContext.BaseDirectory)

let private lynxHare = Path.Combine(repository, "examples", "data", "lynx-hare.csv")

let start (folder: string) (arguments: string list) =
    let info =
        ProcessStartInfo(
            "dotnet",
            WorkingDirectory = folder,
            RedirectStandardOutput = true,
            RedirectStandardError = true
        )

    for argument in program :: arguments do
        info.ArgumentList.Add argument

    Process.Start info

type Outcome = { Code: int; Output: string; Error: string }

let finish (running: Process) =
    use running = running
    let output = running.StandardOutput.ReadToEndAsync()
    let error = running.StandardError.ReadToEndAsync()

    if not (running.WaitForExit 120_000) then
        running.Kill()
        failtest "the command line did not end in two minutes"

    { Code = running.ExitCode; Output = output.Result; Error = error.Result }

let run folder arguments = start folder arguments |> finish

let expect code (outcome: Outcome) =
    Expect.equal outcome.Code code $"exit code; output:\n{outcome.Output}\nerrors:\n{outcome.Error}"

let private write folder name (text: string) =
    let path = Path.Combine(folder, name)
    File.WriteAllText(path, text)
    path

let files folder = Directory.GetFiles folder |> Array.map Path.GetFileName |> Array.sort

/// One line that begins with the program's name and says all of `parts`, no other output, and nothing written.
let expectRefusal folder code (parts: string list) (outcome: Outcome) =
    expect code outcome
    Expect.equal outcome.Output "" "nothing is printed beside the error"
    let lines = outcome.Error.TrimEnd('\n').Split '\n'
    Expect.hasLength lines 1 $"one line, not\n{outcome.Error}"
    Expect.stringStarts lines[0] "continuum: " "the line names the program"

    for part in parts do
        Expect.stringContains lines[0] part "the line says what, where and what to do"

    Expect.isFalse (Directory.Exists(Path.Combine(folder, "out"))) "no folder for results is made"

/// Rows of a prey and a predator that go round once in about 6 time units.
let private shortCsv =
    String.concat "\n" [
        "t,prey,predator"
        for k in 0..11 do
            let phase = float k * 0.5
            $"{k},%.4f{2.0 + sin phase},%.4f{1.5 + 0.5 * sin (phase - 1.2)}"
    ]
    + "\n"

let private refusal name (csv: string) (arguments: string list) code parts =
    test name {
        inFolder (fun folder ->
            write folder "data.csv" csv |> ignore
            run folder ([ "fit"; "data.csv" ] @ arguments) |> expectRefusal folder code parts
            Expect.equal (files folder) [| "data.csv" |] "nothing is written")
    }

let private refusesFiles =
    testList "refuses files" [
        refusal "empty" "" [] 1 [ "data.csv, line 1"; "empty" ]
        refusal "without rows" "t,x\n" [] 1 [ "data.csv"; "no rows" ]
        refusal "with a short row" "t,x,y\n0,1,2\n1,2\n2,3,4\n" [] 1 [ "data.csv, line 3" ]
        refusal "with text among numbers" "t,x\n0,1\n1,abc\n2,3\n" [] 1 [
            "line 3, column 'x'"
            "'abc' is not a number"
        ]
        refusal "with NaN" "t,x\n0,1\n1,NaN\n2,3\n" [] 1 [ "line 3, column 'x'"; "missing"; "--drop-missing" ]
        refusal "with an infinite number" "t,x\n0,1\n1,inf\n2,3\n" [] 1 [ "line 3, column 'x'" ]
        refusal "with a time twice" "t,x\n0,1\n1,2\n1,3\n" [] 1 [ "line 4, column 't'"; "repeats" ]
        refusal "with times out of order" "t,x\n0,1\n2,2\n1,3\n" [] 1 [ "line 4, column 't'"; "sort" ]

        test "that are not there" {
            inFolder (fun folder ->
                run folder [ "fit"; "gone.csv" ]
                |> expectRefusal folder 1 [ "gone.csv"; "no such file"; "check the path" ])
        }

        test "that are folders" {
            inFolder (fun folder -> run folder [ "fit"; "." ] |> expectRefusal folder 1 [ "is a folder" ])
        }
    ]

let private refusesArguments =
    testList "refuses arguments" [
        refusal "unknown option" shortCsv [ "--modle"; "hybrid" ] 2 [
            "'--modle' is no option of continuum fit"
            "--help"
        ]
        refusal "unknown model" shortCsv [ "--model"; "magic" ] 2 [ "hybrid or neural-ode or mechanistic"; "'magic'" ]
        refusal "unknown prior" shortCsv [ "--prior"; "magic"; "--out"; "." ] 2 [ "'magic'"; "lotka-volterra" ]
        refusal "unknown column" shortCsv [ "--columns"; "prey,fox" ] 2 [ "column 'fox'"; "'predator'" ]
        refusal "unknown time column" shortCsv [ "--time"; "day" ] 2 [ "column 'day'"; "'t'" ]
        refusal "iterations below 1" shortCsv [ "--iterations"; "0" ] 2 [ "--iterations wants a whole number"; "'0'" ]
        refusal "a learning rate of 0" shortCsv [ "--learning-rate"; "0" ] 2 [
            "--learning-rate wants a number above 0"
        ]
        refusal "hidden layers that are not numbers" shortCsv [ "--hidden"; "16,x" ] 2 [ "--hidden wants"; "'16,x'" ]
        refusal "a split that is not a number" shortCsv [ "--split"; "half" ] 2 [ "--split wants"; "'half'"; "70%" ]
        refusal "a split too early" shortCsv [ "--split"; "1" ] 2 [ "leaves 2 rows to fit"; "0 to 11"; "later" ]
        refusal "a split at the end" shortCsv [ "--split"; "11" ] 2 [ "holds out no rows"; "100%" ]
        refusal "a folder that cannot be made" shortCsv [ "--out"; "data.csv/below" ] 1 [ "data.csv/below"; "--out" ]

        test "an unknown command" {
            inFolder (fun folder -> run folder [ "fti" ] |> expectRefusal folder 2 [ "'fti'"; "--help" ])
        }

        test "fit without a file" {
            inFolder (fun folder -> run folder [ "fit" ] |> expectRefusal folder 2 [ "csv"; "continuum fit --help" ])
        }
    ]

let private quickFit folder extra =
    let csv = write folder "short.csv" shortCsv
    run folder ([ "fit"; csv; "--iterations"; "3"; "--out"; "results" ] @ extra) |> expect 0
    Path.Combine(folder, "results", "model.safetensors")

let private fits =
    testList "fit" [
        test "writes model, forecast and picture, and reports errors" {
            inFolder (fun folder ->
                let csv = write folder "short.csv" shortCsv
                let outcome = run folder [ "fit"; csv; "--iterations"; "3" ]
                expect 0 outcome

                for part in [ "RMSE"; "prey"; "predator"; "hybrid"; "persistence"; "model.safetensors"; "fit.png" ] do
                    Expect.stringContains outcome.Output part "the report"

                let results = Path.Combine(folder, "out", "short")

                Expect.equal
                    (files results)
                    [| "fit.png"; "forecast.csv"; "model.safetensors" |]
                    "the files, no others"

                let picture = File.ReadAllBytes(Path.Combine(results, "fit.png"))
                Expect.equal picture[1..3] "PNG"B "a PNG file"
                Expect.isGreaterThan picture.Length 5000 "with something in it"
                let forecast = TimeSeries.ReadCsv(Path.Combine(results, "forecast.csv"))
                Expect.sequenceEqual forecast.Times [ 8.0; 9.0; 10.0; 11.0 ] "the last 30 % of 12 rows are held out"
                Expect.sequenceEqual forecast.ColumnNames [ "prey"; "predator" ] "the columns of the data")
        }

        test "holds out 1915 to 1920 of the lynx and the hares" {
            inFolder (fun folder ->
                run folder [
                    "fit"
                    lynxHare
                    "--iterations"
                    "2"
                    "--out"
                    "."
                    "--no-plot"
                    "--model"
                    "mechanistic"
                ]
                |> expect 0

                let forecast = TimeSeries.ReadCsv(Path.Combine(folder, "forecast.csv"))
                Expect.sequenceEqual forecast.Times [ 1915.0 .. 1920.0 ] "the held-out years"
                Expect.equal (files folder) [| "forecast.csv"; "model.safetensors" |] "no picture")
        }

        test "prints nothing when quiet, and forecasts beyond the end when nothing is held out" {
            inFolder (fun folder ->
                let csv = write folder "short.csv" shortCsv

                let arguments = [
                    "fit"
                    csv
                    "--iterations"
                    "2"
                    "--quiet"
                    "--split"
                    "100%"
                    "--model"
                    "neural-ode"
                    "--out"
                    "."
                ]

                let outcome = run folder arguments
                expect 0 outcome
                Expect.equal (outcome.Output + outcome.Error) "" "no output"
                let forecast = TimeSeries.ReadCsv(Path.Combine(folder, "forecast.csv"))
                Expect.sequenceEqual forecast.Times [ 12.0; 13.0; 14.0; 15.0 ] "30 % more")
        }
    ]

let private long = [
    "fit"
    lynxHare
    "--model"
    "neural-ode"
    "--hidden"
    "4"
    "--iterations"
    "150"
    "--no-plot"
    "--out"
    "."
]

let private checkpointOf folder = Path.Combine(folder, "training.safetensors")

/// Starts a fit and waits for its first checkpoint.
let private startLong folder =
    let running = start folder long
    let clock = Stopwatch.StartNew()

    while not (File.Exists(checkpointOf folder)) && not running.HasExited && clock.Elapsed.TotalSeconds < 60.0 do
        Thread.Sleep 5

    Expect.isTrue (File.Exists(checkpointOf folder)) "a checkpoint appears"
    Expect.isFalse running.HasExited "the fit is not done yet"
    running

let private uninterrupted =
    lazy
        (let folder = Directory.CreateTempSubdirectory("continuum-cli-").FullName

         try
             run folder long |> expect 0
             File.ReadAllText(Path.Combine(folder, "forecast.csv"))
         finally
             Directory.Delete(folder, recursive = true))

let private resumes folder =
    run folder (long @ [ "--resume" ]) |> expect 0

    Expect.equal
        (File.ReadAllText(Path.Combine(folder, "forecast.csv")))
        uninterrupted.Value
        "as without the interruption"

    Expect.isFalse (File.Exists(checkpointOf folder)) "the state of training is removed when it is done"

let private interruptions =
    testList "interrupted fit" [
        test "goes on after kill -9 as if nothing had been" {
            inFolder (fun folder ->
                use running = startLong folder
                running.Kill()
                running.WaitForExit()
                Expect.isFalse (File.Exists(Path.Combine(folder, "model.safetensors"))) "no model before the end"
                Expect.isFalse (File.Exists(Path.Combine(folder, "forecast.csv"))) "no forecast before the end"
                resumes folder)
        }

        test "saves its state on Ctrl+C and says how to go on" {
            if OperatingSystem.IsWindows() then
                skiptest "needs kill"

            inFolder (fun folder ->
                let running = startLong folder
                use signal = Process.Start("kill", [ "-INT"; string running.Id ])
                signal.WaitForExit()
                let outcome = finish running
                expect 130 outcome
                let last = outcome.Error.TrimEnd('\n').Split '\n' |> Array.last
                Expect.stringStarts last "continuum: interrupted" "the last line"
                Expect.stringContains last "--resume" "how to go on"
                Expect.equal (files folder) [| "training.safetensors" |] "the state of training and nothing else"
                resumes folder)
        }
    ]

let private forecasts =
    testList "forecast" [
        test "goes on from a model to the time asked for" {
            inFolder (fun folder ->
                let model = quickFit folder [ "--no-plot" ]
                let outcome = run folder [ "forecast"; model; "--to"; "10.5"; "--plot"; "curve.png" ]
                expect 0 outcome
                Expect.stringContains outcome.Output "predator" "the table"
                let forecast = TimeSeries.ReadCsv(Path.Combine(folder, "forecast.csv"))
                Expect.sequenceEqual forecast.Times [ 8.0; 9.0; 10.0; 10.5 ] "a step apart, and the time asked for"
                Expect.isTrue (File.Exists(Path.Combine(folder, "curve.png"))) "the picture"
                let fitted = TimeSeries.ReadCsv(Path.Combine(folder, "results", "forecast.csv"))
                Expect.floatClose Accuracy.high (forecast[0, 0]) (fitted[0, 0]) "the same model as when it was fitted"
                run folder [ "forecast"; model; "--to"; "8"; "--step"; "0.25"; "--out"; "fine.csv" ] |> expect 0
                Expect.equal (TimeSeries.ReadCsv(Path.Combine(folder, "fine.csv")).Count) 4 "rows of the given step"

                for arguments, code, parts in
                    [
                        [ "--to"; "7" ], 2, [ "--to 7"; "later" ]
                        [ "--to"; "soon" ], 2, [ "--to wants a number"; "'soon'" ]
                        [], 2, [ "--to"; "required" ]
                        [ "--to"; "9"; "--step"; "0" ], 2, [ "--step wants a number above 0" ]
                        [ "--to"; "9"; "--step"; "1e-9" ], 2, [ "larger step" ]
                        [ "--to"; "9"; "--plot"; "x.txt" ], 2, [ ".png" ]
                        [ "--to"; "9"; "--out"; "short.csv/x.csv" ], 1, [ "short.csv"; "--out" ]
                    ] do
                    run folder ([ "forecast"; model ] @ arguments) |> expectRefusal folder code parts)
        }

        test "refuses files that are not checkpoints" {
            inFolder (fun folder ->
                let csv = write folder "data.csv" shortCsv
                let model = quickFit folder [ "--no-plot" ]
                let bytes = File.ReadAllBytes model
                File.WriteAllBytes(Path.Combine(folder, "cut.safetensors"), bytes[.. bytes.Length / 2])
                File.WriteAllBytes(Path.Combine(folder, "empty.safetensors"), [||])

                Safetensors.Write(
                    Path.Combine(folder, "foreign.safetensors"),
                    [ NamedArray.FromTensor("w", TorchSharp.torch.ones 3L) ]
                )

                for file in [ csv; "cut.safetensors"; "empty.safetensors"; "foreign.safetensors"; "gone.safetensors" ] do
                    run folder [ "forecast"; file; "--to"; "20" ] |> expectRefusal folder 1 [ file ]

                Expect.isFalse (File.Exists(Path.Combine(folder, "forecast.csv"))) "nothing is written")
        }
    ]

let tests =
    testList "continuum" [
        test "doctor finds this installation in order" {
            inFolder (fun folder ->
                let outcome = run folder [ "doctor" ]
                expect 0 outcome

                for part in [ "libtorch_cpu"; "LibTorchSharp"; "threads"; "devices"; "patched"; "All is well" ] do
                    Expect.stringContains outcome.Output part "the report")
        }

        test "prints help with examples and its version" {
            inFolder (fun folder ->
                for arguments in
                    [
                        []
                        [ "--help" ]
                        [ "fit"; "--help" ]
                        [ "forecast"; "--help" ]
                        [ "solve"; "--help" ]
                        [ "doctor"; "--help" ]
                    ] do
                    let outcome = run folder arguments
                    expect 0 outcome
                    Expect.stringContains outcome.Output "Example" "examples"

                Expect.stringStarts (run folder [ "--version" ]).Output "0." "the version")
        }

        refusesFiles
        refusesArguments
        fits
        interruptions
        forecasts
    ]
