// Coefficients of Rosenbrock methods as checked data.
namespace Continuum

open System
open System.IO
open System.Text.Json

/// A Rosenbrock-Wanner method as its order conditions read it: k_i = h f(y + sum alpha_ij k_j) + h J sum Gamma_ij k_j,
/// y1 = y + sum b_i k_i. Hairer and Wanner II, IV.7, equation (7.4).
type RosenbrockForm = {
    /// Strictly lower triangular (stages, stages).
    Alpha: float[,]
    /// Lower triangular, gamma on the diagonal.
    Gamma: float[,]
    /// Weights of the result.
    B: float[]
    /// Weights of the error estimate.
    Error: float[]
    /// Dense.[p] are the weights of theta^(p+1).
    Dense: float[][]
}

/// A Rosenbrock-Wanner method for M y' = f(t, y) in the form without matrix products (Hairer and Wanner II, IV.7). With W = M - h gamma J:
/// W u_i = h gamma (f(t + c_i h, y + sum_j a_ij u_j) + h d_i df/dt) + gamma M sum_j C_ij u_j, and y1 = y + sum_i b_i u_i.
[<Sealed>]
type RosenbrockTableau
    private
    (
        name: string,
        order: int,
        embeddedOrder: int,
        gamma: float,
        c: float[],
        d: float[],
        a: float[][],
        cc: float[][],
        b: float[],
        error: float[],
        denseOrder: int,
        dense: float[][],
        source: string
    ) =
    let stages = b.Length

    // The last stage is evaluated at the new state: its slope serves the next step.
    let fsal =
        c[stages - 1] = 1.0
        && b[stages - 1] = 0.0
        && Array.forall2 (=) a[stages - 1] (Array.sub b 0 (stages - 1))

    /// Name in the literature.
    member _.Name = name
    /// Order of the result.
    member _.Order = order
    /// Order of the formula that the error is estimated against.
    member _.EmbeddedOrder = embeddedOrder
    /// Order of the continuous extension.
    member _.DenseOrder = denseOrder
    /// Stages: evaluations (but for one where the last slope is the next first one) and linear solves of a step.
    member _.Stages = stages
    /// Whether the last stage is evaluated at the new state.
    member _.Fsal = fsal
    /// The factor of h J in the matrix.
    member _.Gamma = gamma
    /// Where the coefficients come from.
    member _.Source = source
    /// The exponent denominator of step control: the smaller order of the pair plus one.
    member _.ErrorOrder = 1 + min order embeddedOrder
    member internal _.C = c
    member internal _.D = d
    member internal _.A = a
    member internal _.Coupling = cc
    member internal _.B = b
    /// Weights of the error estimate over the stages.
    member internal _.Error = error
    /// Dense.[i].[p] multiplies theta^(p+1) for stage i.
    member internal _.Dense = dense

    /// The name.
    override _.ToString() = name

    /// The limit of the stability function at infinity; 0 for an L-stable method, if A-stable.
    member _.StabilityAtInfinity =
        // As z = h lambda goes to infinity, W u_i = ... leaves u_i = -(1 + sum a_ij u_j) (in units of y), whatever C is.
        let u = Array.zeroCreate stages

        for i in 0 .. stages - 1 do
            u[i] <- -1.0 - Array.sum (Array.mapi (fun j x -> x * u[j]) a[i])

        1.0 + Array.sum (Array.map2 (*) b u)

    /// Gamma = (1/gamma - C)^-1.
    member private _.Gammas() : float[,] =
        let gammas = Array2D.zeroCreate<float> stages stages

        for j in 0 .. stages - 1 do
            for i in j .. stages - 1 do
                let mutable s = if i = j then 1.0 else 0.0

                for k in j .. i - 1 do
                    s <- s + cc[i][k] * gammas[k, j]

                gammas[i, j] <- s * gamma

        gammas

    /// The coefficients as the order conditions read them: Gamma = (1/gamma - C)^-1, alpha = a Gamma, weights times Gamma.
    member this.Untransformed: RosenbrockForm =
        let gammas = this.Gammas()

        let times (row: float[]) =
            Array.init stages (fun j ->
                let mutable s = 0.0

                for k in 0 .. row.Length - 1 do
                    s <- s + row[k] * gammas[k, j]

                s)

        let alpha = a |> Array.map times

        {
            Alpha = Array2D.init stages stages (fun i j -> alpha[i][j])
            Gamma = gammas
            B = times b
            Error = times error
            Dense = Array.init dense[0].Length (fun p -> times (dense |> Array.map (fun row -> row[p])))
        }

    static member private Check(tableau: RosenbrockTableau, fail: string -> unit) =
        let stages = tableau.Stages

        let size name expected actual =
            if expected <> actual then
                fail $"{name} has {actual} entries, expected {expected}"

        size "c" stages tableau.C.Length
        size "d" stages tableau.D.Length
        size "a" stages tableau.A.Length
        size "C" stages tableau.Coupling.Length
        size "b_err" stages tableau.Error.Length
        size "dense" stages tableau.Dense.Length

        for i in 0 .. stages - 1 do
            size $"a[{i + 1}]" i tableau.A[i].Length
            size $"C[{i + 1}]" i tableau.Coupling[i].Length
            size $"dense[{i + 1}]" tableau.Dense[0].Length tableau.Dense[i].Length

        let gammas = tableau.Gammas()
        let rowSums = Array.init stages (fun i -> Array.sum (Array.init stages (fun j -> gammas[i, j])))
        let weighted (row: float[]) = Array.sum (Array.mapi (fun i x -> x * rowSums[i]) row)
        let scale (row: float[]) = 1.0 + Array.sum (Array.mapi (fun i x -> abs (x * rowSums[i])) row)

        let agree entry law (expected: float) actual size =
            if not (abs (expected - actual) <= 1e-12 * size) then
                fail $"{entry} breaks {law}: {actual} instead of {expected}"

        for i in 0 .. stages - 1 do
            agree $"a[{i + 1}]" "c = sum alpha" tableau.C[i] (weighted tableau.A[i]) (scale tableau.A[i])
            agree $"C[{i + 1}]" "d = sum gamma" tableau.D[i] rowSums[i] (scale tableau.B)
            let atEnd = Array.sum tableau.Dense[i]
            agree $"dense[{i + 1}]" "b(theta = 1) = b" tableau.B[i] atEnd (scale tableau.Dense[i])

        agree "b" "sum b = 1" 1.0 (weighted tableau.B) (scale tableau.B)
        agree "b_err" "sum (b - bHat) = 0" 0.0 (weighted tableau.Error) (scale tableau.Error)

    /// Reads and checks coefficients: JSON with name, order, embedded_order, gamma, c, d, a, C, b, b_err, dense.order, dense.weights
    /// and source, every number a string. InvalidDataException naming the entry that is missing, or breaks a condition.
    static member Parse(json: string) : RosenbrockTableau =
        let number (text: string) =
            match Rational.Read text with
            | ValueSome(struct (value, _)) -> value.ToDouble()
            | ValueNone ->
                raise (InvalidDataException $"'{text}' is neither an integer, a fraction nor a decimal number.")

        try
            use document = JsonDocument.Parse json
            let root = document.RootElement
            let list (e: JsonElement) = [| for item in e.EnumerateArray() -> number (item.GetString()) |]
            let lists (e: JsonElement) = [| for row in e.EnumerateArray() -> list row |]
            let get (name: string) = root.GetProperty name
            let dense = get "dense"
            let name = get("name").GetString()

            let tableau =
                RosenbrockTableau(
                    name,
                    get("order").GetInt32(),
                    get("embedded_order").GetInt32(),
                    number (get("gamma").GetString()),
                    list (get "c"),
                    list (get "d"),
                    lists (get "a"),
                    lists (get "C"),
                    list (get "b"),
                    list (get "b_err"),
                    dense.GetProperty("order").GetInt32(),
                    lists (dense.GetProperty "weights"),
                    get("source").GetString()
                )

            RosenbrockTableau.Check(tableau, fun text -> raise (InvalidDataException $"{name}: {text}."))
            tableau
        with
        | :? JsonException as e -> raise (InvalidDataException($"Not a JSON text: {e.Message}", e))
        | :? System.Collections.Generic.KeyNotFoundException as e ->
            raise (InvalidDataException($"A property is missing: {e.Message}", e))
        | :? InvalidOperationException as e ->
            raise (InvalidDataException($"A property is not of its kind: {e.Message}", e))

/// The catalogue of Rosenbrock methods, read on first use.
[<AbstractClass; Sealed>]
type RosenbrockMethods private () =
    static let load (name: string) =
        lazy
            (use stream = typeof<RosenbrockTableau>.Assembly.GetManifestResourceStream $"tableau.{name}.json"
             use reader = new StreamReader(stream)
             RosenbrockTableau.Parse(reader.ReadToEnd()))

    static let rosenbrock23 = load "rosenbrock23"
    static let rodas5P = load "rodas5p"

    /// The modified Rosenbrock 2(3) pair of ode23s: order 2, L-stable, two evaluations a step. For loose tolerances (down to 1e-4).
    /// Error estimate against order 3. Continuous extension of order 2.
    /// Source: Shampine and Reichelt 1997.
    static member Rosenbrock23: RosenbrockTableau = rosenbrock23.Value

    /// Rodas5P: order 5, eight stages, L-stable and stiffly accurate, for stiff problems and differential-algebraic equations of index 1.
    /// Error estimate of order 4. Continuous extension of order 4.
    /// Source: Steinebach 2023.
    static member Rodas5P: RosenbrockTableau = rodas5P.Value

    /// Both, by order.
    static member All: RosenbrockTableau[] = [| rosenbrock23.Value; rodas5P.Value |]
