/// What tests of files share.
module FileClaims

open System
open System.Collections.Generic
open System.IO
open System.IO.Compression
open System.Text
open Continuum
open Claims
open Expecto
open FsCheck.FSharp
open TorchSharp

/// A test that gets a path in a folder of its own.
let withPath name (run: string -> unit) =
    testCase name (fun () -> inFolder (fun folder -> run (Path.Combine(folder, "file.bin"))))

let failureOf (action: unit -> 'result) : exn =
    let outcome =
        try
            action () |> ignore
            None
        with error ->
            Some error

    Expect.isSome outcome "an exception was expected"
    outcome.Value

/// The action fails with this type and one line that holds all the parts.
let failsWith<'error, 'result when 'error :> exn> (parts: string list) (action: unit -> 'result) =
    let error = failureOf action
    Expect.isTrue (error :? 'error) $"{error.GetType().Name}: {error.Message}"
    Expect.isFalse (error.Message.Contains '\n') $"one line: {error.Message}"

    for part in parts do
        Expect.stringContains error.Message part "message"

let noLeftovers (path: string) =
    let names = Directory.GetFiles(Path.GetDirectoryName path) |> Array.map Path.GetFileName
    Expect.isEmpty (names |> Array.filter (fun name -> name.StartsWith ".continuum-")) "temporary files"

/// Reads damaged copies of a file: no exception but the one that files promise.
let onlyRefuses name (golden: byte[]) (read: string -> unit) =
    let damage = Gen.zip (Gen.choose (0, golden.Length - 1)) (Gen.choose (0, 255))

    testPropertyWithConfig { FsCheckConfig.defaultConfig with maxTest = 1000 } name
    <| Prop.forAll (Arb.fromGen damage) (fun (place, value) ->
        inFolder (fun folder ->
            let path = Path.Combine(folder, "a")
            let bytes = Array.copy golden
            bytes[place] <- byte value
            File.WriteAllBytes(path, bytes)

            try
                read path
            with :? InvalidDataException as error ->
                Expect.isFalse (error.Message.Contains '\n') "one line"))
