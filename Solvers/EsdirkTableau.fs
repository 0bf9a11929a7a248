namespace Continuum

open System
open System.Collections.Generic
open System.IO
open System.Text.Json

/// An ESDIRK method as a paper prints it: singly diagonally implicit Runge-Kutta with an explicit first stage, stiffly accurate.
/// With AExplicit it is additive (IMEX): y' = fE + fI takes AExplicit for fE, A for fI and the same weights for both.
/// Numbers are text, as in Coefficients.
type EsdirkCoefficients = {
    /// The name of the method, as used in the literature.
    Name: string
    /// The order of the result b.
    Order: int
    /// The order of the embedded formula.
    EmbeddedOrder: int
    /// The nodes, one per stage; the first is 0, the last is 1.
    C: string[]
    /// The rows of the implicit part: row i has i entries counted from 1, the last of them gamma, but 0 in the first row.
    A: string[][]
    /// The rows of the explicit part, row i with i - 1 entries; empty for a method that is not additive.
    AExplicit: string[][]
    /// The weights of the result: the last row of A.
    B: string[]
    /// The weights of the embedded formula.
    BHat: string[]
    /// The continuous extension for y' = f (no extra stages); None takes the cubic Hermite interpolant.
    Dense: PrintedDense option
    /// The continuous extension for y' = fE + fI; None where the method is not additive.
    DenseSplit: PrintedDense option
    /// Where the coefficients were printed.
    Source: string
}

/// The float arrays of an ESDIRK method without copies, for the steppers; they only read.
type internal RawEsdirk = {
    Gamma: float
    C: float[]
    /// Strictly lower part: row i has i entries, counted from 0.
    A: float[][]
    AExplicit: float[][]
    B: float[]
    Error: float[]
    /// Weights.[i].[p] multiplies theta^(p+1).
    Dense: float[][]
    DenseSplit: float[][]
}

/// Reading and checking what a paper prints.
module internal EsdirkChecks =
    let ofJson (json: string) : EsdirkCoefficients =
        use document = JsonDocument.Parse json
        let root = document.RootElement

        let has (name: string) = fst (root.TryGetProperty name)

        let find (parent: JsonElement) (name: string) =
            match parent.TryGetProperty name with
            | true, value -> value
            | _ -> raise (InvalidDataException $"the property \"{name}\" is missing")

        let strings (e: JsonElement) = [| for item in e.EnumerateArray() -> item.GetString() |]
        let rows (e: JsonElement) = [| for row in e.EnumerateArray() -> strings row |]

        let dense name =
            if has name then
                let d = find root name

                Some {
                    Order = (find d "order").GetInt32()
                    CExtra = [||]
                    AExtra = [||]
                    Weights = rows (find d "weights")
                }
            else
                None

        {
            Name = (find root "name").GetString()
            Order = (find root "order").GetInt32()
            EmbeddedOrder = (find root "embedded_order").GetInt32()
            C = strings (find root "c")
            A = rows (find root "a")
            AExplicit = if has "a_explicit" then rows (find root "a_explicit") else [||]
            B = strings (find root "b")
            BHat = strings (find root "b_hat")
            Dense = dense "dense"
            DenseSplit = dense "dense_split"
            Source = (find root "source").GetString()
        }

    let fault (k: EsdirkCoefficients) entry problem : TableauError = {
        Method = (if String.IsNullOrWhiteSpace k.Name then "(unnamed)" else k.Name)
        Entry = entry
        Problem = problem
    }

    let shapes (k: EsdirkCoefficients) : TableauError seq =
        let stages = k.C.Length

        let count entry expected found =
            seq {
                if expected <> found then
                    fault k entry $"has {found} entries, expected {expected}"
            }

        let polynomials entry (dense: PrintedDense option) =
            match dense with
            | None -> Seq.empty
            | Some d ->
                Seq.concat [
                    count entry stages d.Weights.Length
                    d.Weights |> Seq.collect (fun row -> count entry d.Weights[0].Length row.Length)
                ]

        seq {
            if String.IsNullOrWhiteSpace k.Name then
                fault k "name" "is empty"

            if stages < 2 then
                fault k "c" $"has {stages} entries: the first stage is explicit, so there are at least two"

            if k.Order < 1 || k.EmbeddedOrder < 1 then
                fault k "order" $"and embedded order are {k.Order} and {k.EmbeddedOrder}, expected at least 1"

            yield! count "a" stages k.A.Length

            for i, row in Seq.indexed k.A do
                yield! count $"a[{i + 1}]" (i + 1) row.Length

            yield! count "b" stages k.B.Length
            yield! count "b_hat" stages k.BHat.Length

            if k.AExplicit.Length > 0 then
                yield! count "a_explicit" stages k.AExplicit.Length

                for i, row in Seq.indexed k.AExplicit do
                    yield! count $"a_explicit[{i + 1}]" i row.Length

            yield! polynomials "dense" k.Dense
            yield! polynomials "dense_split" k.DenseSplit

            if k.DenseSplit.IsSome <> (k.AExplicit.Length > 0) then
                fault k "dense_split" "must be given exactly for an additive method"
        }

/// An ESDIRK method: checked coefficients and the facts derived from them. Immutable; make one with EsdirkTableau.Define, or take
/// one from EsdirkMethods.
[<Sealed; AllowNullLiteral(false)>]
type EsdirkTableau private (k: EsdirkCoefficients) =
    let nodes = Consistency.list "c" k.C
    let rows = Consistency.lists "a" 1 k.A
    let explicitRows = Consistency.lists "a_explicit" 1 k.AExplicit
    let result = Consistency.list "b" k.B
    let embedded = Consistency.list "b_hat" k.BHat
    let stages = nodes.Length

    let struct (denseOrder, dense) =
        match k.Dense with
        | Some d -> struct (d.Order, Consistency.lists "dense" 1 d.Weights)
        | None ->
            let struct (order, _, _, weights) = Consistency.hermite k.Order nodes rows result
            struct (order, weights)

    let denseSplit =
        match k.DenseSplit with
        | Some d -> Consistency.lists "dense_split" 1 d.Weights
        | None -> [||]

    let problems: TableauError seq =
        let one = Consistency.exactly Rational.One
        let zero = Consistency.exactly Rational.Zero
        let gamma = rows[stages - 1][stages - 1]

        let balanced entry law plus minus =
            seq {
                let struct (residual, tolerance) = Consistency.imbalance plus minus

                if not (residual <= tolerance) then
                    EsdirkChecks.fault
                        k
                        entry
                        $"breaks {law} by {residual:g3}, more than the {tolerance:g3} its printing allows"
            }

        let ends name (weights: Printed[][]) =
            weights
            |> Seq.mapi (fun i row ->
                balanced $"{name}[{i + 1}]" $"b[{i + 1}](theta = 1) = b[{i + 1}]" row [| result[i] |])
            |> Seq.concat

        seq {
            for number in
                Seq.concat [
                    Seq.ofArray nodes
                    Seq.concat rows
                    Seq.concat explicitRows
                    Seq.ofArray result
                    Seq.ofArray embedded
                ] do
                if number.Value.IsNone then
                    EsdirkChecks.fault
                        k
                        number.Entry
                        $"is '{number.Text}', neither an integer, a fraction nor a decimal number"

            yield! balanced "b" "sum b = 1" result [| one |]
            yield! balanced "b_hat" "sum b_hat = 1" embedded [| one |]
            yield! balanced "a[1,1]" "an explicit first stage" [| rows[0][0] |] [| zero |]
            yield! balanced "c" "c[last] = 1" [| nodes[stages - 1] |] [| one |]

            for i in 0 .. stages - 1 do
                yield! balanced $"a[{i + 1}]" $"sum a[{i + 1},j] = c[{i + 1}]" rows[i] [| nodes[i] |]

                if i > 0 then
                    yield! balanced $"a[{i + 1},{i + 1}]" "a common gamma" [| rows[i][i] |] [| gamma |]

            for i in 0 .. stages - 1 do
                yield! balanced "b" "b = the last row of a (stiff accuracy)" [| result[i] |] [| rows[stages - 1][i] |]

            for i in 0 .. explicitRows.Length - 1 do
                let struct (residual, tolerance) = Consistency.imbalance explicitRows[i] [| nodes[i] |]

                // Kennedy and Carpenter print fractions that are themselves rounded, to 25 digits.
                if not (residual <= max tolerance 1e-24) then
                    EsdirkChecks.fault k $"a_explicit[{i + 1}]" $"breaks sum = c[{i + 1}] by {residual:g3}"

            yield! ends "dense" dense
            yield! ends "dense_split" denseSplit
        }

    let exact (numbers: Printed[]) =
        numbers |> Array.map Consistency.value |> Array.AsReadOnly :> IReadOnlyList<Rational>

    let exactRows (rows: Printed[][]) =
        rows |> Array.map exact |> Array.AsReadOnly :> IReadOnlyList<IReadOnlyList<Rational>>

    let floats (numbers: Printed[]) = numbers |> Array.map (fun p -> (Consistency.value p).ToDouble())

    let error =
        lazy
            (Array.map2 (fun b hat -> Consistency.exactly (Consistency.value b - Consistency.value hat)) result embedded)

    let raw =
        lazy
            ({
                Gamma = (Consistency.value result[stages - 1]).ToDouble()
                C = floats nodes
                A = rows |> Array.mapi (fun i (row: Printed[]) -> floats row[.. i - 1])
                AExplicit = Array.map floats explicitRows
                B = floats result
                Error = floats error.Value
                Dense = Array.map floats dense
                DenseSplit = Array.map floats denseSplit
            }
            : RawEsdirk)

    // sum e_j k_j on y' = lambda y grows like h lambda (e_1 - e~ A~^-1 a_1), where ~ leaves the first stage out
    let errorIsBounded =
        lazy
            (let raw = raw.Value
             let g = Array.zeroCreate<float> stages

             for i in 1 .. stages - 1 do
                 let mutable s = raw.A[i][0]

                 for j in 1 .. i - 1 do
                     s <- s - raw.A[i][j] * g[j]

                 g[i] <- s / raw.Gamma

             let growth = raw.Error[0] - Array.sum (Array.map2 (*) raw.Error[1..] g[1..])
             abs growth < 1e-12)

    let exactOf rows weights = {
        C = exact nodes
        A = exactRows rows
        B = exact result
        Error = exactRows [| error.Value |]
        Dense = exactRows weights
    }

    member private _.Problems = problems

    /// The name used in the literature.
    member _.Name = k.Name

    /// The order of the result: the local error is O(h^(Order + 1)) where the problem is not stiff; stiff components may show the
    /// stage order 2 instead.
    member _.Order = k.Order

    /// The order of the embedded formula.
    member _.EmbeddedOrder = k.EmbeddedOrder

    /// The power of h with which the error estimate shrinks: min(Order, EmbeddedOrder) + 1.
    member _.ErrorOrder = min k.Order k.EmbeddedOrder + 1

    /// The number of stages, the explicit first one included. A step solves Stages - 1 systems.
    member _.Stages = stages

    /// The common diagonal entry of A.
    member _.Gamma = raw.Value.Gamma

    /// The order of the continuous extension for y' = f.
    member _.DenseOrder = denseOrder

    /// The order of the continuous extension for y' = fE + fI; 0 where the method is not additive.
    member _.DenseSplitOrder =
        match k.DenseSplit with
        | Some d -> d.Order
        | None -> 0

    /// Whether the embedded formula, too, stays bounded for components that decay infinitely fast; otherwise the stepper filters the
    /// estimate through the factored matrix (Hosea and Shampine 1996).
    member _.ErrorIsBounded = errorIsBounded.Value

    /// Whether the method has an explicit companion for split fields (IMEX).
    member _.IsAdditive = explicitRows.Length > 0

    /// The exact coefficients of the implicit method, the diagonal included: row i of A has i + 1 entries, counted from 0.
    member _.Exact = exactOf rows dense

    /// The exact coefficients of the explicit companion, with the continuous extension for split fields; ValueNone without one.
    member this.ExactExplicit =
        if this.IsAdditive then
            ValueSome(exactOf explicitRows denseSplit)
        else
            ValueNone

    /// Where the coefficients were printed.
    member _.Source = k.Source

    /// The arrays themselves, for the steppers; never written.
    member internal _.Raw = raw.Value

    /// The name.
    override _.ToString() = k.Name

    /// Checks printed coefficients and derives the rest. Error, naming the method, the entry and the numbers, if the shapes do not
    /// fit, a number cannot be read, a row does not sum to its node, the first stage is not explicit, the diagonal has no common
    /// gamma, b is not the last row of A, weights do not sum to 1 or a continuous extension misses b at theta = 1. The orders are
    /// laws, not checks: see Continuum.Properties.EsdirkLaws.
    static member create(coefficients: EsdirkCoefficients) : Result<EsdirkTableau, TableauError> =
        match Seq.tryHead (EsdirkChecks.shapes coefficients) with
        | Some problem -> Error problem
        | None ->
            let tableau = EsdirkTableau coefficients

            match Seq.tryHead tableau.Problems with
            | Some problem -> Error problem
            | None -> Ok tableau

    /// As create. ArgumentException naming the entry if the coefficients are not consistent.
    static member Define(coefficients: EsdirkCoefficients) : EsdirkTableau =
        match EsdirkTableau.create coefficients with
        | Ok tableau -> tableau
        | Error problem -> raise (ArgumentException(problem.Message, nameof coefficients))

/// The catalogue of ESDIRK methods; each is read from its coefficient file in this assembly on first use, checked, and shared.
/// All are L-stable, stiffly accurate, of stage order 2, and take singular mass matrices (index 1).
[<AbstractClass; Sealed>]
type EsdirkMethods private () =
    static let load (name: string) =
        Lazy<EsdirkTableau>(fun () ->
            let file = $"tableau.{name.ToLowerInvariant()}.json"
            use stream = typeof<EsdirkTableau>.Assembly.GetManifestResourceStream file
            use reader = new StreamReader(stream)
            EsdirkTableau.Define(EsdirkChecks.ofJson (reader.ReadToEnd())))

    static let trBdf2 = load "TrBdf2"
    static let kvaerno3 = load "Kvaerno3"
    static let kenCarp4 = load "KenCarp4"
    static let kvaerno5 = load "Kvaerno5"

    /// The trapezoidal rule followed by BDF2: order 2, three stages (two solved). Error estimate from a formula of order 3.
    /// Continuous extension of order 2. For loose tolerances.
    /// Source: Bank et al. 1985; Hosea and Shampine 1996.
    static member TrBdf2: EsdirkTableau = trBdf2.Value

    /// Kvaerno's 3(2) pair: order 3, four stages (three solved). Continuous extension of order 3 (cubic Hermite).
    /// Source: Kvaerno 2004.
    static member Kvaerno3: EsdirkTableau = kvaerno3.Value

    /// Kennedy and Carpenter's ARK4(3)6L[2]SA: order 4, six stages (five solved), with an explicit companion for split fields
    /// y' = fE + fI (coupled order 4). Error estimate of order 3. Continuous extension of order 4 for y' = f, the only one of the
    /// stages with b_2(theta) = 0 (Kennedy and Carpenter print one of order 3), and of coupled order 3 for split fields, with the
    /// least residuals of order 4.
    /// Source: Kennedy and Carpenter 2003.
    static member KenCarp4: EsdirkTableau = kenCarp4.Value

    /// Kvaerno's 5(4) pair with gamma = 0.26: order 5, seven stages (six solved), one of them beyond the step (c = 1.23).
    /// Error estimate of order 4. Continuous extension of order 4 with continuous slopes: b_2(theta) = 0, the quadrature conditions
    /// sum b_i c_i^k = theta^(k+1)/(k+1), k = 0..3, and the least residuals of order 5; the share of the last two stages, whose
    /// slopes count alike up to order 5, is a cubic that keeps the slopes at both ends.
    /// Source: Kvaerno 2004.
    static member Kvaerno5: EsdirkTableau = kvaerno5.Value

    /// Every method of the catalogue, by order.
    static member All: EsdirkTableau[] = [| trBdf2.Value; kvaerno3.Value; kenCarp4.Value; kvaerno5.Value |]
