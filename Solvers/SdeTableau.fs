// Tableaus of stochastic Runge-Kutta methods as checked data.
//   Z_s = y + h sum_j a_sj f_j + sum_j g_j x_sj,   f_j = f(t + c_j h, Z_j),   g_j = g(t + c_j h, Z_j)
//   y1  = y + h sum_j b_j f_j + sum_j g_j x_j
// where every x is a sum of five functionals of the path over the step, with the weights W, H, R, Q, C of the tableau:
//   W, H (space-time area), sqrt|h|, (W^2 - |h|) / (2 sqrt|h|), (W^3 - 3|h| W) / (6 |h|); the last three componentwise.
namespace Continuum

open System
open System.Collections.Generic
open System.IO
open System.Text.Json

/// The strong orders of a method by class of noise; NaN where it does not converge or must not be used.
[<Struct>]
type StrongOrders = {
    /// For any noise.
    General: float
    /// For commutative noise.
    Commutative: float
    /// For scalar and diagonal noise.
    Elementwise: float
    /// For additive noise.
    Additive: float
} with

    /// The order for a class of noise.
    member orders.For(noise: NoiseKind) =
        match noise with
        | NoiseKind.General -> orders.General
        | NoiseKind.Commutative -> orders.Commutative
        | NoiseKind.Additive -> orders.Additive
        | _ -> orders.Elementwise

/// The weights of one row on the diffusion values before it; rows are as long as the row of f, missing functionals empty.
type internal NoiseRow = { W: Rational[]; H: Rational[]; R: Rational[]; Q: Rational[]; C: Rational[] }

/// A product g_j x of a row: the index j of the diffusion value and the index of x among the distinct ones of the tableau.
[<Struct>]
type internal NoiseTerm = { Stage: int; Vector: int }

/// What the stepper reads.
type internal RawSdeTableau = {
    C: float[]
    A: float[][]
    Terms: NoiseTerm[][]
    B: float[]
    Result: NoiseTerm[]
    /// Error weights; empty without an estimate.
    Error: float[]
    ErrorTerms: NoiseTerm[]
    /// Weights (W, H, R, Q, C) of the distinct noise vectors.
    Vectors: float[][]
    /// How many of them the result needs; those after are the error estimate's.
    Needed: int
    NeedsDrift: bool[]
    NeedsDiffusion: bool[]
}

/// The coefficients as read.
type internal SdeReading = {
    C: Rational[]
    A: Rational[][]
    Noise: NoiseRow[]
    B: Rational[]
    Result: NoiseRow
    /// Empty without an estimate.
    Error: Rational[]
    ErrorNoise: NoiseRow
}

/// What is said of a method.
type internal SdeFacts = {
    Name: string
    Source: string
    Calculus: CalculusKind voption
    Strong: StrongOrders
    Weak: float
    Embedded: float
}

/// The reading of a tableau's text and what must hold of it.
module internal SdeTableauChecks =
    let functionals = [| "W"; "H"; "R"; "Q"; "C" |]

    let fault (what: string) = raise (InvalidDataException what)

    let find (parent: JsonElement) (name: string) =
        match parent.TryGetProperty name with
        | true, value -> value
        | _ -> fault $"the property \"{name}\" is missing"

    let has (parent: JsonElement) (name: string) = fst (parent.TryGetProperty name)

    let number (e: JsonElement) =
        match e.GetString() |> Rational.TryParse with
        | true, value -> value
        | _ -> fault $"\"{e.GetString()}\" is no number"

    let numbers (e: JsonElement) = [| for item in e.EnumerateArray() -> number item |]
    let rows (e: JsonElement) = [| for row in e.EnumerateArray() -> numbers row |]

    let sum (row: Rational[]) = Array.fold (+) Rational.Zero row

    /// Decimals are printed with 40 digits.
    let agree (a: Rational) (b: Rational) = abs ((a - b).ToDouble()) < 1e-30

    let length what expected (row: Rational[]) =
        if row.Length <> expected then
            fault $"{what} has {row.Length} entries, expected {expected}"

    let noiseRow (pick: string -> Rational[]) : NoiseRow = {
        W = pick "W"
        H = pick "H"
        R = pick "R"
        Q = pick "Q"
        C = pick "C"
    }

    let weights (row: NoiseRow) (j: int) =
        [| row.W; row.H; row.R; row.Q; row.C |]
        |> Array.map (fun list -> if j < list.Length then list[j] else Rational.Zero)

    let order (root: JsonElement) name = if has root name then (find root name).GetDouble() else nan

    /// Rows of the noise in the stages, one for each, from the lists under "aW", "aH", ...
    let noiseRows (root: JsonElement) (stages: int) =
        let given =
            functionals |> Array.map (fun f -> if has root ("a" + f) then rows (find root ("a" + f)) else [||])

        Array.init stages (fun s ->
            noiseRow (fun f ->
                let list = given[Array.IndexOf(functionals, f)]
                if s < list.Length then list[s] else [||]))

    let read (root: JsonElement) : SdeReading =
        let list key = if has root key then numbers (find root key) else [||]
        let c = numbers (find root "c")

        {
            C = c
            A = rows (find root "a")
            Noise = noiseRows root c.Length
            B = list "b"
            Result = noiseRow (fun f -> list ("b" + f))
            Error = list "b_err"
            ErrorNoise = noiseRow (fun f -> list ("b" + f + "_err"))
        }

    let private sums (stages: int) (what: string) (expected: int) (row: Rational[]) =
        if row.Length > 0 && row.Length <> stages then
            length what stages row

        if not (agree (sum row) (Rational.OfInt expected)) then
            fault $"{what} sums to {sum row}, not to {expected}"

    let check (r: SdeReading) =
        let stages = r.C.Length

        if r.A.Length <> stages then
            fault $"a has {r.A.Length} rows, expected {stages}"

        length "b" stages r.B

        for s in 0 .. stages - 1 do
            length $"a[{s + 1}]" s r.A[s]
            let isEmpty = r.A[s] |> Array.forall (fun x -> x.IsZero)

            if not isEmpty && not (agree (sum r.A[s]) r.C[s]) then
                fault $"a[{s + 1}] sums to {sum r.A[s]}, not to its node {r.C[s]}"

        let sums = sums stages
        sums "b" 1 r.B
        sums "bW" 1 r.Result.W
        sums "bH" 0 r.Result.H
        sums "bR" 0 r.Result.R
        sums "bQ" 0 r.Result.Q
        sums "bC" 0 r.Result.C
        sums "b_err" 0 r.Error
        sums "bW_err" 0 r.ErrorNoise.W
        sums "bH_err" 0 r.ErrorNoise.H

    let calculus (root: JsonElement) =
        match (find root "calculus").GetString() with
        | "Ito" -> ValueSome CalculusKind.Ito
        | "Stratonovich" -> ValueSome CalculusKind.Stratonovich
        | "both" -> ValueNone
        | other -> fault $"the calculus \"{other}\" is unknown"

    let facts (root: JsonElement) : SdeFacts =
        let strong = find root "strong_order"

        {
            Name = (find root "name").GetString()
            Source = (find root "source").GetString()
            Calculus = calculus root
            Strong = {
                General = order strong "general"
                Commutative = order strong "commutative"
                Elementwise = order strong "elementwise"
                Additive = order strong "additive"
            }
            Weak = order root "weak_order"
            Embedded = order root "embedded_order"
        }

/// A stochastic Runge-Kutta method: checked coefficients and what follows from them. Immutable.
[<Sealed; AllowNullLiteral(false)>]
type SdeTableau internal (facts: SdeFacts, reading: SdeReading) =
    let {
            C = c
            A = a
            Noise = noise
            B = b
            Result = result
            Error = error
            ErrorNoise = errorNoise
        } =
        reading

    let stages = c.Length
    let floats (row: Rational[]) = row |> Array.map (fun x -> x.ToDouble())

    let vectors = List<Rational[]>()

    let vectorOf (weights: Rational[]) =
        match vectors.FindIndex(fun known -> Array.forall2 (=) known weights) with
        | -1 ->
            vectors.Add weights
            vectors.Count - 1
        | found -> found

    let terms (row: NoiseRow) (count: int) = [|
        for j in 0 .. count - 1 do
            let weights = SdeTableauChecks.weights row j

            if not (Array.forall (fun (x: Rational) -> x.IsZero) weights) then
                { Stage = j; Vector = vectorOf weights }
    |]

    let stageTerms = noise |> Array.mapi (fun s row -> terms row s)
    let resultTerms = terms result stages
    let needed = vectors.Count
    let errorTerms = if error.Length = 0 then [||] else terms errorNoise stages

    let usesDrift j =
        let at (row: Rational[]) = j < row.Length && not row[j].IsZero
        Array.exists at a || at b || at error

    let usesDiffusion j =
        let at (list: NoiseTerm[]) = list |> Array.exists (fun term -> term.Stage = j)
        Array.exists at stageTerms || at resultTerms || at errorTerms

    let uses functional = vectors.Exists(fun weights -> not weights[functional].IsZero)

    let raw = {
        C = floats c
        A = Array.map floats a
        Terms = stageTerms
        B = floats b
        Result = resultTerms
        Error = floats error
        ErrorTerms = errorTerms
        Vectors = vectors.ToArray() |> Array.map floats
        Needed = needed
        NeedsDrift = Array.init stages usesDrift
        NeedsDiffusion = Array.init stages usesDiffusion
    }

    /// The name used in the literature.
    member _.Name = facts.Name

    /// Where the coefficients were printed.
    member _.Source = facts.Source

    /// The calculus of the equations that it solves; ValueNone where both agree (additive noise).
    member _.Calculus = facts.Calculus

    /// Strong orders by class of noise.
    member _.StrongOrders = facts.Strong

    /// Weak order.
    member _.WeakOrder = facts.Weak

    /// Strong order of the embedded formula for the noise that the method is made for; NaN without an error estimate.
    member _.EmbeddedOrder = facts.Embedded

    /// Number of stages, where a value for f and a value for g at different places count twice.
    member _.Stages = stages

    /// What it needs of the path.
    member _.Level = if uses 1 then LevyLevel.SpaceTime else LevyLevel.Increments

    /// Whether it takes powers of increments componentwise, so that it suits scalar and diagonal noise only.
    member _.IsElementwise = uses 2 || uses 3 || uses 4

    /// Whether it estimates its local error.
    member _.HasErrorEstimate = error.Length > 0

    /// The nodes.
    member internal _.Nodes = c
    /// The rows of the drift.
    member internal _.DriftRows = a
    /// The rows of the diffusion.
    member internal _.NoiseRows = noise
    /// The weights of the drift in the result.
    member internal _.DriftWeights = b
    /// The weights of the diffusion in the result.
    member internal _.NoiseWeights = result
    /// The weights of the drift in the error estimate.
    member internal _.ErrorWeights = error
    /// The weights of the diffusion in the error estimate.
    member internal _.ErrorNoise = errorNoise
    /// For the stepper; never written.
    member internal _.Raw = raw

    /// The name.
    override _.ToString() = facts.Name

    /// Reads a coefficient file, one JSON object: "name", "source", "calculus" ("Ito", "Stratonovich" or "both"), "strong_order" (numbers
    /// under "general", "commutative", "elementwise", "additive"), "weak_order", "c", "a", and for each functional of the head of this
    /// file "aW", "aH", "aR", "aQ", "aC" where not zero; the same with b for the result, and "b_err", "bW_err", ... with "embedded_order"
    /// where there is an estimate. Every coefficient is text, an integer, a fraction or a decimal with all its digits.
    /// ArgumentException, naming the entry, where one is missing, lists do not fit, a row of a that is not zero does not sum to its node, b or bW
    /// do not sum to 1, or the other weights of the result and all of the error estimate do not sum to 0.
    static member Parse(json: string) : SdeTableau =
        try
            use document = JsonDocument.Parse json
            let reading = SdeTableauChecks.read document.RootElement
            SdeTableauChecks.check reading
            SdeTableau(SdeTableauChecks.facts document.RootElement, reading)
        with
        | :? InvalidDataException as e ->
            raise (ArgumentException($"Not a stochastic tableau: {e.Message}.", nameof json))
        | :? JsonException as e -> raise (ArgumentException($"Not a JSON text: {e.Message}", nameof json))
        | :? InvalidOperationException -> raise (ArgumentException("An entry is not of its kind.", nameof json))
