namespace Continuum

open System
open System.Collections.Generic

/// How a method estimates its local error. All weights are b - bHat over the stages, so the error
/// vector of a step is h * sum w_i k_i and the weights sum to 0.
type ErrorEstimate =
    /// No estimate: fixed steps only.
    | NoEstimate
    /// One embedded formula.
    | Embedded of weights: float[]
    /// The pair of DOP853: with the scaled norms e5 and e3 of the two combinations the error is
    /// e5^2 / sqrt(e5^2 + 0.01 e3^2), and 0 if both are 0 (Hairer, Norsett and Wanner 1993, II.10).
    | Dop853Pair of fifth: float[] * third: float[]

/// The continuous extension y(t0 + theta h) = y0 + h * sum b_i(theta) k_i over the stages and the
/// extra stages.
type DenseOutput = {
    /// The order to which y(t0 + theta h) holds at every theta in [0, 1].
    Order: int
    /// The nodes of the extra stages, evaluated only when a value inside the step is asked for.
    ExtraC: float[]
    /// The rows of the extra stages: row i has stages + i entries.
    ExtraA: float[][]
    /// Weights.[i].[p] multiplies theta^(p+1) for stage i, over the stages and the extra stages.
    Weights: float[][]
}

/// The float arrays of a tableau without copies, for the steppers of this assembly; they only read.
type internal RawTableau = {
    C: float[]
    A: float[][]
    B: float[]
    Error: ErrorEstimate
    Dense: DenseOutput
}

/// The exact coefficients of a tableau: what the laws prove, with no rounding.
[<NoComparison; ReferenceEquality>]
type ExactTableau = {
    /// The nodes of the stages, then of the extra stages of the continuous extension.
    C: IReadOnlyList<Rational>
    /// The rows of the stages, then of the extra stages; row i has i entries.
    A: IReadOnlyList<IReadOnlyList<Rational>>
    /// The weights of the result, one per stage.
    B: IReadOnlyList<Rational>
    /// The error weights b - bHat: no list, one, or two for DOP853 (fifth, third).
    Error: IReadOnlyList<IReadOnlyList<Rational>>
    /// The coefficients of theta, theta^2, ... in b_i(theta), for every stage and extra stage.
    Dense: IReadOnlyList<IReadOnlyList<Rational>>
}

/// The stability of explicit methods on the negative real axis.
module private RealAxis =

    /// The largest x with |R(-s)| at most 1 for 0 <= s <= x, R the stability polynomial
    /// 1 + sum z^k b A^(k-1) 1. No explicit method of s stages passes 2 s^2. The slack of 1e-12
    /// while searching keeps an undamped Chebyshev method, whose |R| touches 1, from ending early.
    let size (raw: RawTableau) =
        let stages = raw.B.Length
        let dot (x: float[]) (y: float[]) = Seq.fold2 (fun total p q -> total + p * q) 0.0 x y

        let polynomial =
            Array.init stages ignore
            |> Array.mapFold
                (fun (powers: float[]) () -> dot raw.B powers, raw.A |> Array.map (fun row -> dot row powers))
                (Array.create stages 1.0)
            |> fst

        let isWithin bound x = abs (1.0 - x * Array.foldBack (fun r rest -> r - x * rest) polynomial 0.0) <= bound

        let rec bisect low high =
            let middle = 0.5 * (low + high)

            if middle <= low || middle >= high then low
            elif isWithin 1.0 middle then bisect middle high
            else bisect low middle

        let step = 1.0 / 256.0
        let limit = 2.0 * float (stages * stages) + step
        let mutable x = 0.0

        while x < limit && isWithin (1.0 + 1e-12) (x + step) do
            x <- x + step

        bisect x (x + step)

/// An explicit Runge-Kutta method: checked coefficients and the facts derived from them. Immutable;
/// make one with Tableau.create, Tableau.Define or Tableau.Parse, or take one from Methods.
[<Sealed; AllowNullLiteral(false)>]
type Tableau private (k: Coefficients, r: Reading) =
    let exact (numbers: Printed[]) =
        numbers |> Array.map Consistency.value |> Array.AsReadOnly :> IReadOnlyList<Rational>

    let exactRows rows = rows |> Array.map exact |> Array.AsReadOnly :> IReadOnlyList<IReadOnlyList<Rational>>
    let floats (numbers: Printed[]) = numbers |> Array.map (fun p -> (Consistency.value p).ToDouble())
    let stages = r.Stages

    let raw: RawTableau = {
        C = floats r.Nodes[.. stages - 1]
        A = r.Rows[.. stages - 1] |> Array.map floats
        B = floats r.Result
        Error =
            match r.Errors with
            | [| weights |] -> Embedded(floats weights)
            | [| fifth; third |] -> Dop853Pair(floats fifth, floats third)
            | _ -> NoEstimate
        Dense = {
            Order = r.DenseOrder
            ExtraC = floats r.Nodes[stages..]
            ExtraA = r.Rows[stages..] |> Array.map floats
            Weights = r.Dense |> Array.map floats
        }
    }

    let endSlope =
        match Seq.tryFind (Consistency.isEndSlope r.Nodes r.Rows r.Result) (seq { 0 .. r.Nodes.Length - 1 }) with
        | Some stage -> stage
        | None -> -1

    let stiffnessPair =
        let isOne i = Consistency.agree [| r.Nodes[i] |] [| Consistency.exactly Rational.One |]
        let ones = [| stages - 1 .. -1 .. 0 |] |> Array.filter isOne
        let differ (j, i) = not (Consistency.sameRow r.Rows[j] r.Rows[i])

        match Seq.tryFind differ (Seq.pairwise ones) with
        | Some(j, i) -> struct (i, j)
        | None -> struct (-1, -1)

    let radius = RealAxis.size raw

    let exactTableau = {
        C = exact r.Nodes
        A = exactRows r.Rows
        B = exact r.Result
        Error = exactRows r.Errors
        Dense = exactRows r.Dense
    }

    let readOnly (numbers: float[]) = Array.AsReadOnly numbers :> IReadOnlyList<float>

    /// The name used in the literature.
    member _.Name = k.Name

    /// The order of the result b: the local error is O(h^(Order + 1)).
    member _.Order = k.Order

    /// The order of the embedded formula; 0 without one. DOP853 names its fifth-order formula.
    member _.EmbeddedOrder = k.EmbeddedOrder

    /// The power of h with which the error estimate shrinks, the reciprocal of the exponent of a
    /// step controller: min(Order, EmbeddedOrder) + 1 for an embedded pair, 8 for DOP853 (the fifth
    /// order twice less the third), 0 without an estimate.
    member _.ErrorOrder =
        match raw.Error with
        | NoEstimate -> 0
        | Embedded _ -> min k.Order k.EmbeddedOrder + 1
        | Dop853Pair _ -> 8

    /// The number of stages of a step, without the extra stages of the continuous extension.
    member _.Stages = stages

    /// The nodes c, one per stage.
    member _.C = readOnly raw.C

    /// The rows of A; row i has i entries.
    member _.A = raw.A |> Array.map readOnly |> Array.AsReadOnly :> IReadOnlyList<IReadOnlyList<float>>

    /// The weights b of the result.
    member _.B = readOnly raw.B

    /// The error estimate, weights b - bHat; a fresh copy.
    member _.Error =
        match raw.Error with
        | NoEstimate -> NoEstimate
        | Embedded weights -> Embedded(Array.copy weights)
        | Dop853Pair(fifth, third) -> Dop853Pair(Array.copy fifth, Array.copy third)

    /// The continuous extension; a fresh copy.
    member _.Dense: DenseOutput = {
        Order = raw.Dense.Order
        ExtraC = Array.copy raw.Dense.ExtraC
        ExtraA = Array.map Array.copy raw.Dense.ExtraA
        Weights = Array.map Array.copy raw.Dense.Weights
    }

    /// The arrays themselves, for the steppers; never written.
    member internal _.Raw = raw

    /// The exact coefficients, as printed.
    member _.Exact = exactTableau

    /// True if the method estimates its error and so can choose its steps.
    member _.IsAdaptive = not (Array.isEmpty r.Errors)

    /// First same as last: the last stage is the slope at the end of the step (its row is b, its
    /// node 1), so it is the first stage of the next step.
    member _.Fsal = endSlope = stages - 1

    /// The stage, counted from 0 over the stages and the extra stages, that is f(t1, y1): its node
    /// is 1 and its row is b. -1 if there is none.
    member _.EndSlope = endSlope

    /// The last two stages, counted from 0, with node 1 and different rows: both are slopes at t1
    /// of values g_i and g_j, so |k_i - k_j| / |g_i - g_j| estimates the stiffest eigenvalue.
    /// (-1, -1) if there are none. Source: Hairer and Wanner 1996, Solving ODEs II, IV.2.
    member _.StiffnessPair: struct (int * int) = stiffnessPair

    /// The size of the stability interval on the negative real axis: the largest x with |R(-s)| at
    /// most 1 for all s in [0, x], computed from the stability polynomial.
    member _.StabilityRadius: float = radius

    /// Where the coefficients were printed.
    member _.Source = k.Source

    /// The name.
    override _.ToString() = k.Name

    /// Checks printed coefficients and derives the rest. Error, naming the method, the entry and the
    /// numbers, if the shapes do not fit, a number cannot be read, a row of A does not sum to its c,
    /// b does not sum to 1, the error weights do not sum to 0 or b_i(theta = 1) is not b_i. Fractions
    /// must satisfy these exactly; decimals to the digits printed, and to 16 digits at least. The order itself is a
    /// law, not a check: see Continuum.Properties.OrderConditions.
    static member create(coefficients: Coefficients) : Result<Tableau, TableauError> =
        match Seq.tryHead (Consistency.shapes coefficients) with
        | Some problem -> Error problem
        | None ->
            let reading = Consistency.reading coefficients

            match Seq.tryHead (Consistency.conditions coefficients reading) with
            | Some problem -> Error problem
            | None -> Ok(Tableau(coefficients, reading))

    /// As create, for C#. ArgumentException with the message of the TableauError if it fails.
    static member Define(coefficients: Coefficients) : Tableau =
        match Tableau.create coefficients with
        | Ok tableau -> tableau
        | Error problem -> raise (ArgumentException(problem.Message, nameof coefficients))

    /// A method of one's own with an embedded formula and the cubic Hermite interpolant, from printed
    /// numbers: nodes c, rows a (row i has i entries), weights b and bHat. ArgumentException naming
    /// the entry if the coefficients are not consistent.
    static member Define
        (
            name: string,
            order: int,
            embeddedOrder: int,
            c: string[],
            a: string[][],
            b: string[],
            bHat: string[],
            source: string
        ) : Tableau =
        ArgumentNullException.ThrowIfNull(c, nameof c)
        ArgumentNullException.ThrowIfNull(a, nameof a)
        ArgumentNullException.ThrowIfNull(b, nameof b)
        ArgumentNullException.ThrowIfNull(bHat, nameof bHat)

        Tableau.Define {
            Name = name
            Order = order
            EmbeddedOrder = embeddedOrder
            C = c
            A = a
            B = b
            Error = EmbeddedFormula bHat
            Dense = None
            Source = source
        }

    /// A method of one's own for fixed steps, with the cubic Hermite interpolant, from printed numbers:
    /// nodes c, rows a (row i has i entries) and weights b. ArgumentException naming the entry if the
    /// coefficients are not consistent.
    static member Define(name: string, order: int, c: string[], a: string[][], b: string[], source: string) : Tableau =
        ArgumentNullException.ThrowIfNull(c, nameof c)
        ArgumentNullException.ThrowIfNull(a, nameof a)
        ArgumentNullException.ThrowIfNull(b, nameof b)

        Tableau.Define {
            Name = name
            Order = order
            EmbeddedOrder = 0
            C = c
            A = a
            B = b
            Error = NoPair
            Dense = None
            Source = source
        }

    /// Reads a coefficient file (see Coefficients.ofJson) and checks it. ArgumentException naming the
    /// property or the entry if the text is not such a file or the coefficients are not consistent.
    static member Parse(json: string) : Tableau =
        match Coefficients.ofJson json with
        | Ok coefficients -> Tableau.Define coefficients
        | Error problem -> raise (ArgumentException($"Not a tableau: {problem}.", nameof json))
