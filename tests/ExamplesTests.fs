/// The examples run as their readers run them, and end in their own checks.
module ExamplesTests

open System
open System.Diagnostics
open System.IO
open Expecto

/// artifacts/bin/Tests/<configuration>/ holds this assembly.
let private here = DirectoryInfo(AppContext.BaseDirectory.TrimEnd(Path.DirectorySeparatorChar))

let private configuration = here.Name
let private root = here.Parent.Parent.Parent.Parent.FullName

let private run (arguments: string list) =
    let start = ProcessStartInfo("dotnet", arguments, WorkingDirectory = root)
    start.RedirectStandardOutput <- true
    start.RedirectStandardError <- true
    use child = Process.Start start
    let errors = child.StandardError.ReadToEndAsync()
    let output = child.StandardOutput.ReadToEnd()
    child.WaitForExit()
    Expect.equal child.ExitCode 0 $"dotnet {String.Join(' ', arguments)}\n{output}\n{errors.Result}"
    Expect.stringContains output "OK" "the last line says so"

let private program = Path.Combine(root, "artifacts", "bin", "Examples", configuration, "Examples.dll")

/// continuum.fsx takes the release build unless told otherwise.
let private define = if configuration = "debug" then "--define:CONTINUUM_DEBUG" else "--optimize+"

let private scripts =
    Directory.GetFiles(Path.Combine(root, "examples", "FSharp"), "??_*.fsx") |> Array.sort

let tests =
    testList "Examples" [
        for number in 1 .. scripts.Length do
            test $"C# example {number}" { run [ program; string number ] }

        for script in scripts do
            test $"F# script {Path.GetFileName script}" { run [ "fsi"; define; script ] }

        test "every C# example has an F# twin" {
            let names folder pattern =
                Directory.GetFiles(Path.Combine(root, "examples", folder), pattern)
                |> Array.map (fun (path: string) -> Path.GetFileNameWithoutExtension path)
                |> set

            Expect.equal (names "FSharp" "??_*.fsx") (names "CSharp" "??_*.cs") "the same names"
        }
    ]
