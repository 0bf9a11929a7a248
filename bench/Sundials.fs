/// The peer: our driver of SUNDIALS, built here when gcc and Debian's libsundials-dev are.
module Continuum.Bench.Sundials

open System
open System.Diagnostics
open System.Globalization
open System.IO
open System.Runtime.InteropServices
open System.Text.Json
open Continuum.Bench.Measure

/// What the driver reports.
type Outcome = {
    Seconds: float
    /// Processor time of a solve in seconds.
    Cpu: float
    Evaluations: int
    Steps: int
    State: float[]
}

let private run (program: string) (arguments: string[]) =
    let info = ProcessStartInfo(program, RedirectStandardOutput = true, RedirectStandardError = true)

    for argument in arguments do
        info.ArgumentList.Add argument

    try
        use child = Process.Start info
        let text = child.StandardOutput.ReadToEndAsync()
        child.StandardError.ReadToEnd() |> ignore
        child.WaitForExit()
        if child.ExitCode = 0 then text.Result else null
    with :? ComponentModel.Win32Exception ->
        null

/// Path of a driver built from bench/sundials/<name>.c, or null when it cannot be built here.
let private build (name: string) (libraries: string) =
    if isNull root then
        null
    else
        let source = Path.Combine(root, "bench", "sundials", name + ".c")
        let folder = Path.Combine(root, "artifacts", "sundials")
        let binary = Path.Combine(folder, name)

        if File.Exists binary && File.GetLastWriteTimeUtc binary > File.GetLastWriteTimeUtc source then
            binary
        else
            Directory.CreateDirectory folder |> ignore

            let arguments = Array.append [| "-O3"; "-march=native"; source; "-o"; binary |] (libraries.Split ' ')
            if isNull (run "gcc" arguments) then null else binary

/// Path of the driver of small problems, or null.
let driver =
    lazy
        (build
            "sundials_bench"
            "-lsundials_cvode -lsundials_arkode -lsundials_nvecserial -lsundials_sunmatrixdense -lsundials_sunlinsoldense -lsundials_sunnonlinsolfixedpoint -lm")

/// Path of the driver of banded problems, or null.
let bandedDriver =
    lazy
        (build
            "banded_bench"
            "-lsundials_cvode -lsundials_nvecserial -lsundials_sunmatrixband -lsundials_sunlinsolband -lm")

/// Runs a driver; ValueNone when it is not there or fails.
let private askWith
    (files: string[])
    (driver: string)
    (problem: string)
    (variant: string)
    (rtol: float)
    (atol: float)
    (runs: int)
    =
    if isNull driver then
        ValueNone
    else
        let text (x: float) = x.ToString("R", CultureInfo.InvariantCulture)

        let arguments = [| problem; variant; text rtol; text atol; string runs; "0.05" |]

        match run driver (Array.append arguments files) with
        | null -> ValueNone
        | output ->
            use document = JsonDocument.Parse output
            let read (name: string) = document.RootElement.GetProperty name

            ValueSome {
                Seconds = read("median").GetDouble()
                Cpu = read("cpu").GetDouble()
                Evaluations = read("nfe").GetInt32()
                Steps = read("steps").GetInt32()
                State = [|
                    for x in read("y").EnumerateArray() do
                        x.GetDouble()
                |]
            }

let private ask driver problem = askWith [||] driver problem

/// A small problem with a method of the first driver.
let solve problem method rtol atol runs : Outcome voption = ask driver.Value problem method rtol atol runs

/// A banded problem with CVODE BDF; jacobian is "dq" (its own difference quotients) or "analytic".
let solveBanded problem jacobian rtol atol runs : Outcome voption =
    ask bandedDriver.Value problem jacobian rtol atol runs

/// The ensemble of the first driver over values of its parameter; State holds all final states, one after another.
let solveEnsemble (method: string) (rtol: float) (atol: float) (runs: int) (values: float[]) : Outcome voption =
    let input = Path.GetTempFileName()
    let output = Path.GetTempFileName()

    try
        File.WriteAllBytes(input, MemoryMarshal.AsBytes(ReadOnlySpan<float> values).ToArray())

        match askWith [| input; output |] driver.Value "ensemble" method rtol atol runs with
        | ValueNone -> ValueNone
        | ValueSome outcome ->
            let states = MemoryMarshal.Cast<byte, float>(ReadOnlySpan<byte>(File.ReadAllBytes output)).ToArray()
            ValueSome { outcome with State = states }
    finally
        File.Delete input
        File.Delete output
