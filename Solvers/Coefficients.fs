namespace Continuum

open System.IO
open System.Text.Json

/// The error weights of a method, as its paper prints them.
type PrintedError =
    /// No error estimate: the method runs with fixed steps.
    | NoPair
    /// The weights of the embedded formula, one per stage.
    | EmbeddedFormula of bHat: string[]
    /// The two error combinations of DOP853, b - bHat already formed, one weight per stage:
    /// of order 5 and of order 3 (Hairer, Norsett and Wanner 1993, II.10).
    | TwoCombinations of fifth: string[] * third: string[]

/// The continuous extension of a method, as its paper prints it: y(t0 + theta h) = y0 + h sum
/// b_i(theta) k_i over the stages and the extra stages.
type PrintedDense = {
    /// The order to which y(t0 + theta h) holds at every theta.
    Order: int
    /// The nodes of the extra stages; empty when the step's own stages suffice.
    CExtra: string[]
    /// The rows of the extra stages: row i has stages + i entries.
    AExtra: string[][]
    /// For every stage, then every extra stage, the coefficients of theta, theta^2, ... in b_i.
    Weights: string[][]
}

/// A Butcher tableau as a paper prints it. Every number is text: an integer, a fraction "-2/9" or a
/// decimal "0.25" or "-4.46e-2" with all its digits, and is read exactly.
type Coefficients = {
    /// The name of the method, as used in the literature.
    Name: string
    /// The order of the result b.
    Order: int
    /// The order of the embedded formula; 0 without one.
    EmbeddedOrder: int
    /// The nodes, one per stage; the first is 0.
    C: string[]
    /// The rows of the explicit part: row i has i entries, so the first is empty.
    A: string[][]
    /// The weights of the result, one per stage.
    B: string[]
    /// The error weights.
    Error: PrintedError
    /// The continuous extension; None takes the cubic Hermite interpolant through the values and
    /// slopes at both ends of the step, of order 3 or the order of the method if that is lower.
    Dense: PrintedDense option
    /// Where the coefficients were printed: author, year, title or table.
    Source: string
}

/// Reading of coefficient files.
[<RequireQualifiedAccess>]
module Coefficients =

    /// Reads a coefficient file, one JSON object: "name", "order", "embedded_order", "c", "a", "b",
    /// then "b_hat", or "b_err" and "b_err_third" (DOP853), or neither; "dense" with "order",
    /// "c_extra", "a_extra" and "weights", or nothing for the Hermite interpolant; "source".
    /// Every coefficient is a string. Error, naming the property, if one is missing or not of its
    /// kind, or if the text is not JSON.
    let ofJson (json: string) : Result<Coefficients, string> =
        let orEmpty (value: string) = if isNull value then "" else value

        let find (parent: JsonElement) (name: string) =
            match parent.TryGetProperty name with
            | true, value -> value
            | _ -> raise (InvalidDataException $"the property \"{name}\" is missing")

        let has (parent: JsonElement) (name: string) = fst (parent.TryGetProperty name)

        let read name (kind: string) (reader: JsonElement -> 'a) (value: JsonElement) =
            try
                reader value
            with :? System.InvalidOperationException ->
                raise (InvalidDataException $"the property \"{name}\" is not {kind}")

        let text parent name = find parent name |> read name "a string" (fun e -> orEmpty (e.GetString()))
        let whole parent name = find parent name |> read name "an integer" (fun e -> e.GetInt32())
        let strings (e: JsonElement) = [| for item in e.EnumerateArray() -> orEmpty (item.GetString()) |]
        let list parent name = find parent name |> read name "a list of strings" strings

        let lists parent name =
            find parent name
            |> read name "a list of lists of strings" (fun e -> [| for row in e.EnumerateArray() -> strings row |])

        let error root =
            if has root "b_hat" then
                EmbeddedFormula(list root "b_hat")
            elif has root "b_err" then
                TwoCombinations(list root "b_err", list root "b_err_third")
            else
                NoPair

        let dense (d: JsonElement) = {
            Order = whole d "order"
            CExtra = list d "c_extra"
            AExtra = lists d "a_extra"
            Weights = lists d "weights"
        }

        try
            use document = JsonDocument.Parse json
            let root = document.RootElement

            Ok {
                Name = text root "name"
                Order = whole root "order"
                EmbeddedOrder = whole root "embedded_order"
                C = list root "c"
                A = lists root "a"
                B = list root "b"
                Error = error root
                Dense = if has root "dense" then Some(dense (find root "dense")) else None
                Source = text root "source"
            }
        with
        | :? InvalidDataException as e -> Error e.Message
        | :? JsonException as e -> Error $"not a JSON text: {e.Message}"
        | :? System.InvalidOperationException -> Error "the text is not a JSON object"
        | :? System.FormatException -> Error "an order is not an integer of 32 bits"
