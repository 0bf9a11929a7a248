namespace Continuum

open System

/// Why coefficients do not make a tableau.
type TableauError = {
    /// The name of the method.
    Method: string
    /// The entry at fault, with stages counted from 1 as papers do: "a[3,2]", "b", "c[4]".
    Entry: string
    /// What is wrong with it, with the numbers.
    Problem: string
} with

    /// One sentence with the method, the entry and the problem.
    member e.Message = $"{e.Method}: {e.Entry} {e.Problem}."

    /// The message.
    override e.ToString() = e.Message

/// A printed number: where it stands, its exact value and the unit of its last place (0 if exact).
[<Struct; NoComparison>]
type internal Printed = { Entry: string; Text: string; Value: Rational voption; Unit: Rational }

/// Coefficients read, the extra stages joined to the stages.
[<NoComparison>]
type internal Reading = {
    Stages: int
    Nodes: Printed[]
    Rows: Printed[][]
    Result: Printed[]
    Errors: Printed[][]
    DenseOrder: int
    Dense: Printed[][]
}

/// The checks between the printed text and a tableau.
module internal Consistency =

    let fault (k: Coefficients) entry problem = {
        Method = (if String.IsNullOrWhiteSpace k.Name then "(unnamed)" else k.Name)
        Entry = entry
        Problem = problem
    }

    let read entry (text: string) =
        match Rational.Read(if isNull text then "" else text) with
        | ValueSome(struct (value, unit)) -> { Entry = entry; Text = text; Value = ValueSome value; Unit = unit }
        | ValueNone -> { Entry = entry; Text = text; Value = ValueNone; Unit = Rational.Zero }

    let exactly value = { Entry = ""; Text = ""; Value = ValueSome value; Unit = Rational.Zero }

    let value (p: Printed) = ValueOption.defaultValue Rational.Zero p.Value

    let list name texts = texts |> Array.mapi (fun i -> read $"{name}[{i + 1}]")

    let lists name first texts =
        texts |> Array.mapi (fun i row -> row |> Array.mapi (fun j -> read $"{name}[{first + i},{j + 1}]"))

    /// sum plus - sum minus, and how far from 0 the printing may leave it: a unit in the last place
    /// of every decimal, but never more than the rounding of 16-digit data. Fractions leave nothing.
    let imbalance (plus: Printed[]) (minus: Printed[]) =
        let sum (f: Printed -> Rational) terms = terms |> Array.fold (fun total p -> total + f p) Rational.Zero
        let residual = (sum value plus - sum value minus).ToDouble()
        let both = Array.append plus minus
        let size = both |> Array.sumBy (fun p -> abs ((value p).ToDouble()))
        let units = both |> Array.sumBy (fun p -> p.Unit.ToDouble())
        struct (abs residual, min units (1e-15 * max 1.0 size))

    let agree plus minus =
        let struct (residual, tolerance) = imbalance plus minus
        residual <= tolerance

    /// Row i, continued with zeros, is the row given, up to the printing.
    let sameRow (row: Printed[]) (other: Printed[]) =
        let at (r: Printed[]) j = if j < r.Length then [| r[j] |] else [||]
        Seq.forall (fun j -> agree (at row j) (at other j)) (seq { 0 .. max row.Length other.Length - 1 })

    let isEndSlope (nodes: Printed[]) (rows: Printed[][]) result i =
        agree [| nodes[i] |] [| exactly Rational.One |] && sameRow rows[i] result

    /// The cubic Hermite interpolant as b_i(theta); it needs the slope at t1, one more stage for a
    /// method without it.
    let hermite order (nodes: Printed[]) (rows: Printed[][]) (result: Printed[]) =
        let stages = result.Length
        let hasEnd = isEndSlope nodes rows result (stages - 1)
        let last = if hasEnd then stages - 1 else stages
        let n = Rational.OfInt

        let weights i =
            let b = if i < stages then value result[i] else Rational.Zero
            let start = if i = 0 then Rational.One else Rational.Zero
            let final = if i = last then Rational.One else Rational.Zero

            [| start; n 3 * b - n 2 * start - final; start + final - n 2 * b |] |> Array.map exactly

        struct (min 3 order,
                (if hasEnd then [||] else [| exactly Rational.One |]),
                (if hasEnd then [||] else [| result |]),
                Array.init (last + 1) weights)

    let reading (k: Coefficients) : Reading =
        let stages = k.C.Length
        let nodes = list "c" k.C
        let rows = lists "a" 1 k.A
        let result = list "b" k.B

        let against entry (bHat: string[]) =
            Array.map2
                (fun b (hat: Printed) ->
                    match hat.Value with
                    | ValueSome weight -> { hat with Value = ValueSome(value b - weight); Unit = b.Unit + hat.Unit }
                    | ValueNone -> hat)
                result
                (list entry bHat)

        let struct (denseOrder, extraNodes, extraRows, weights) =
            match k.Dense with
            | None -> hermite k.Order nodes rows result
            | Some d -> struct (d.Order, list "c_extra" d.CExtra, lists "a_extra" 1 d.AExtra, lists "dense" 1 d.Weights)

        {
            Stages = stages
            Nodes = Array.append nodes extraNodes
            Rows = Array.append rows extraRows
            Result = result
            Errors =
                match k.Error with
                | NoPair -> [||]
                | EmbeddedFormula bHat -> [| against "b_hat" bHat |]
                | TwoCombinations(fifth, third) -> [| list "b_err" fifth; list "b_err_third" third |]
            DenseOrder = denseOrder
            Dense = weights
        }

    let shapes (k: Coefficients) : TableauError seq =
        let stages = k.C.Length

        let count entry expected found =
            seq {
                if expected <> found then
                    fault k entry $"has {found} entries, expected {expected}"
            }

        let triangle name first (rows: string[][]) =
            rows |> Seq.mapi (fun i row -> count $"{name}[{i + 1}]" (first + i) row.Length) |> Seq.concat

        seq {
            if String.IsNullOrWhiteSpace k.Name then
                fault k "name" "is empty"

            if stages = 0 then
                fault k "c" "has no entries: a method has at least one stage"

            if k.Order < 1 then
                fault k "order" $"is {k.Order}, expected at least 1"

            if (k.EmbeddedOrder > 0) <> (k.Error <> NoPair) then
                fault k "embedded_order" $"is {k.EmbeddedOrder}, expected 0 exactly for a method without error weights"

            yield! count "a" stages k.A.Length
            yield! triangle "a" 0 k.A
            yield! count "b" stages k.B.Length

            match k.Error with
            | NoPair -> ()
            | EmbeddedFormula bHat -> yield! count "b_hat" stages bHat.Length
            | TwoCombinations(fifth, third) ->
                yield! count "b_err" stages fifth.Length
                yield! count "b_err_third" stages third.Length

            match k.Dense with
            | None -> ()
            | Some d ->
                if d.Order < 1 then
                    fault k "dense.order" $"is {d.Order}, expected at least 1"

                yield! count "a_extra" d.CExtra.Length d.AExtra.Length
                yield! triangle "a_extra" stages d.AExtra
                yield! count "dense" (stages + d.CExtra.Length) d.Weights.Length

                for i, row in Seq.indexed d.Weights do
                    yield! count $"dense[{i + 1}]" (max 1 d.Weights[0].Length) row.Length
        }

    let conditions (k: Coefficients) (r: Reading) : TableauError seq =
        let numbers =
            Seq.concat [ Seq.ofArray r.Nodes; Seq.concat r.Rows; Seq.ofArray r.Result; Seq.concat r.Errors ]

        let balanced entry law plus minus =
            seq {
                let struct (residual, tolerance) = imbalance plus minus

                if not (residual <= tolerance) then
                    fault k entry $"breaks {law} by {residual:g3}, more than the {tolerance:g3} its printing allows"
            }

        let stage i = if i < r.Stages then $"a[{i + 1}]" else $"a_extra[{i + 1 - r.Stages}]"

        seq {
            for number in Seq.append numbers (Seq.concat r.Dense) do
                if number.Value.IsNone then
                    fault k number.Entry $"is '{number.Text}', neither an integer, a fraction nor a decimal number"

            yield! balanced "b" "sum b = 1" r.Result [| exactly Rational.One |]

            for i in 0 .. r.Rows.Length - 1 do
                yield! balanced (stage i) $"sum a[{i + 1},j] = c[{i + 1}]" r.Rows[i] [| r.Nodes[i] |]

            for i in 0 .. r.Errors.Length - 1 do
                let entry = if k.Error.IsEmbeddedFormula then "b_hat" else [| "b_err"; "b_err_third" |][i]
                yield! balanced entry "sum (b - bHat) = 0" r.Errors[i] [||]

            for i in 0 .. r.Dense.Length - 1 do
                let weight = if i < r.Stages then [| r.Result[i] |] else [||]
                yield! balanced $"dense[{i + 1}]" $"b[{i + 1}](theta = 1) = b[{i + 1}]" r.Dense[i] weight
        }
