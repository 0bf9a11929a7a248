/// What tests claim again and again.
module Claims

open System
open System.IO
open Continuum.Properties
open Expecto

/// The law holds; else its own words say by how much it does not.
let holds (law: LawResult) = Expect.isTrue law.Holds (string law)

/// The law is broken, as it must be for what is wrong on purpose.
let fails (law: LawResult) = Expect.isFalse law.Holds (string law)

/// All laws hold.
let allHold (laws: LawResult seq) =
    let broken = laws |> Seq.filter (fun law -> not law.Holds) |> Seq.map string |> String.concat "\n"
    Expect.equal broken "" "laws"

/// The message, of one line, of the error that the action ends with.
let messageOf<'error when 'error :> exn> (action: unit -> unit) : string =
    let message =
        try
            action ()
            null
        with :? 'error as error ->
            error.Message

    if isNull message then
        failtestf "expected %s, nothing was thrown" typeof<'error>.Name

    Expect.isFalse (message.Contains '\n') $"one line: {message}"
    message

/// The action ends with an error of this type whose message has all these parts.
let failsWith<'error when 'error :> exn> (parts: string list) (action: unit -> unit) =
    let message = messageOf<'error> action

    for part in parts do
        Expect.stringContains message part "the message"

/// The action ends with an ArgumentException whose message has all these parts.
let refused (parts: string list) (action: unit -> unit) = failsWith<ArgumentException> parts action

/// The action ends with an ArgumentException whose message has this part.
let refuses (part: string) (action: unit -> unit) = refused [ part ] action

/// Runs the body with a new folder, which is deleted afterwards.
let inFolder (body: string -> unit) =
    let folder = Directory.CreateTempSubdirectory("continuum-").FullName

    try
        body folder
    finally
        Directory.Delete(folder, recursive = true)
