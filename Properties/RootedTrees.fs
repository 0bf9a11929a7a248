namespace Continuum.Properties

open System
open System.Collections.Generic
open System.Numerics
open Continuum

/// A rooted tree: one condition that a Runge-Kutta method of its order must satisfy.
type RootedTree = {
    /// The number of nodes.
    Order: int
    /// The density: the order times the densities of the branches.
    Gamma: int
    /// The branches at the root, as positions in RootedTrees.upTo; never increasing.
    Branches: int list
}

/// Rooted trees and the order conditions of Runge-Kutta methods: a method has order p if and only
/// if sum b_i Phi_i(t) = 1 / gamma(t) for every tree t of at most p nodes, where Phi_i of the single
/// node is 1 and otherwise the product over the branches u of sum a_ij Phi_j(u).
/// Source: Butcher 1963; Hairer, Norsett and Wanner 1993, II.2, Theorem 2.13.
///
/// Sums are fixed-point integers of 300 bits after the point, 90 digits: exact fractions of the
/// 300-digit entries of Vern9 would grow without bound, and the rounding left (below 1e-80) is far
/// under the last digit of any printed coefficient.
[<RequireQualifiedAccess>]
module RootedTrees =

    [<Literal>]
    let private Bits = 300

    /// The highest order enumerated.
    [<Literal>]
    let MaxOrder = 10

    /// Multisets of the trees given, of the total order given, as never increasing positions.
    let rec private forests (trees: RootedTree[]) largest total : int list list =
        if total = 0 then
            [ [] ]
        else
            [
                for first in 0..largest do
                    if trees[first].Order <= total then
                        for rest in forests trees first (total - trees[first].Order) do
                            first :: rest
            ]

    let private grow (trees: RootedTree[]) order =
        forests trees (trees.Length - 1) (order - 1)
        |> List.map (fun branches -> {
            Order = order
            Gamma = order * List.fold (fun product u -> product * trees[u].Gamma) 1 branches
            Branches = branches
        })
        |> Array.ofList
        |> Array.append trees

    let private all = lazy (Array.fold grow [||] [| 1..MaxOrder |])

    /// The trees of at most that many nodes, the smaller first: 1, 1, 2, 4, 9, 20, 48, 115, 286, 719
    /// of them for 1 to 10 nodes. ArgumentOutOfRangeException if the order is not 1 to 10.
    let upTo (order: int) : RootedTree[] =
        if order < 1 || order > MaxOrder then
            raise (
                ArgumentOutOfRangeException(nameof order, order, $"Trees are enumerated for orders 1 to {MaxOrder}.")
            )

        all.Value |> Array.takeWhile (fun tree -> tree.Order <= order)

    let private fixedPoint (x: Rational) = x.ToFixedPoint Bits
    let private times (x: BigInteger) (y: BigInteger) = (x * y) >>> Bits

    let private dot (row: BigInteger[]) (vector: BigInteger[]) =
        let mutable total = BigInteger.Zero

        for j in 0 .. row.Length - 1 do
            if not row[j].IsZero then
                total <- total + row[j] * vector[j]

        total >>> Bits

    let private toFloat (x: BigInteger) = Rational.Create(x, BigInteger.One <<< Bits).ToDouble()
    let private numbers (row: IReadOnlyList<Rational>) = row |> Seq.map fixedPoint |> Array.ofSeq

    /// The elementary weights Phi_i of every tree up to an order, over the stages and extra stages.
    let private weights (tableau: ExactTableau) (trees: RootedTree[]) : BigInteger[][] =
        let rows = tableau.A |> Seq.map numbers |> Array.ofSeq
        let one = BigInteger.One <<< Bits
        let largest = trees[trees.Length - 1].Order

        // propagated.[t].[i] = sum_j a_ij Phi_j(t), made once for every tree that can be a branch
        let propagated: BigInteger[][] = Array.zeroCreate trees.Length

        trees
        |> Array.mapi (fun t tree ->
            let phi =
                Array.init rows.Length (fun i ->
                    tree.Branches |> List.fold (fun product u -> times product (propagated[u][i])) one)

            if tree.Order < largest then
                propagated[t] <- rows |> Array.map (fun row -> dot row phi)

            phi)

    let private oneOver (n: int) = Rational.Create(BigInteger.One, BigInteger n) |> fixedPoint

    /// The largest residual per order, of weights on the first stages against target / gamma.
    let private residuals order (combine: RootedTree -> BigInteger[] -> float) (tableau: ExactTableau) : float[] =
        let trees = upTo order
        let found = Array.create order 0.0

        Array.iter2
            (fun tree phi -> found[tree.Order - 1] <- max found[tree.Order - 1] (combine tree phi))
            trees
            (weights tableau trees)

        found

    let private against (b: BigInteger[]) (tree: RootedTree) phi = abs (toFloat (dot b phi - oneOver tree.Gamma))

    /// On exact coefficients, implicit ones too: for each order from 1 to the one given, the largest
    /// |sum b_i Phi_i - 1/gamma| over its trees.
    let exactOrderResiduals (exact: ExactTableau) (order: int) : float[] =
        residuals order (against (numbers exact.B)) exact

    /// For each order from 1 to the one given, the largest |sum b_i Phi_i - 1/gamma| over its trees.
    let orderResiduals (tableau: Tableau) (order: int) : float[] = exactOrderResiduals tableau.Exact order

    /// The largest |sum b_i Phi_i - 1/gamma| over the trees of at most that order.
    let orderResidual (tableau: Tableau) (order: int) : float = Array.max (orderResiduals tableau order)

    /// On exact coefficients, implicit ones too: the residuals of each embedded formula.
    let exactEmbeddedResiduals (exact: ExactTableau) (order: int) : float[][] = [|
        for weights in exact.Error do
            let bHat = Array.map2 (-) (numbers exact.B) (numbers weights)
            residuals order (against bHat) exact
    |]

    /// For each embedded formula (none, one, or fifth then third for DOP853), the largest residual
    /// of its conditions for each order from 1 to the one given.
    let embeddedResiduals (tableau: Tableau) (order: int) : float[][] = exactEmbeddedResiduals tableau.Exact order

    /// The largest residual of the conditions of at most that order on the embedded formula, the
    /// fifth-order one of DOP853; 0 for a method without one.
    let embeddedResidual (tableau: Tableau) (order: int) : float =
        match embeddedResiduals tableau order with
        | [||] -> 0.0
        | formulas -> Array.max formulas[0]

    /// For each order from 1 to the one given, the largest residual of the continuous extension: the
    /// coefficient of theta^p in sum b_i(theta) Phi_i(t) must be 1/gamma(t) for p the order of the
    /// tree and 0 for every other p.
    let exactDenseResiduals (exact: ExactTableau) (order: int) : float[] =
        let polynomials = exact.Dense |> Seq.map numbers |> Array.ofSeq
        let degree = polynomials[0].Length
        let byPower = Array.init degree (fun p -> polynomials |> Array.map (fun b -> b[p]))

        let worst (tree: RootedTree) phi =
            Seq.max (
                seq {
                    for p in 1 .. max degree tree.Order do
                        let found = if p <= degree then dot byPower[p - 1] phi else BigInteger.Zero
                        let wanted = if p = tree.Order then oneOver tree.Gamma else BigInteger.Zero
                        abs (toFloat (found - wanted))
                }
            )

        residuals order worst exact

    /// The same for an explicit method.
    let denseResiduals (tableau: Tableau) (order: int) : float[] = exactDenseResiduals tableau.Exact order

    /// The largest residual of the continuous extension over the trees of at most that order.
    let denseResidual (tableau: Tableau) (order: int) : float = Array.max (denseResiduals tableau order)

    /// The largest |sum_j a_ij - c_i| over the stages and extra stages: with it, the conditions,
    /// which are those of autonomous systems, hold for f that depends on t.
    let rowResidual (tableau: Tableau) : float =
        Seq.map2 (fun row c -> abs (toFloat (Array.sum (numbers row) - fixedPoint c))) tableau.Exact.A tableau.Exact.C
        |> Seq.max
