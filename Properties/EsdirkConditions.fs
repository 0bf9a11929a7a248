namespace Continuum.Properties

open System.Numerics
open Continuum

/// The laws of an ESDIRK tableau, proved on its exact coefficients for every rooted tree; those of an additive one for every tree
/// with branches of two colours, implicit and explicit. Source: Hairer, Norsett and Wanner 1993, II.15; Kennedy and Carpenter 2003.
[<RequireQualifiedAccess>]
module EsdirkConditions =
    /// The residual below which a condition holds: the explicit fractions of KenCarp4 are printed to 25 digits.
    let tolerance = 1e-23

    [<Literal>]
    let private Bits = 300

    let private fixedPoint (x: Rational) = x.ToFixedPoint Bits
    let private times (x: BigInteger) (y: BigInteger) = (x * y) >>> Bits
    let private toFloat (x: BigInteger) = Rational.Create(x, BigInteger.One <<< Bits).ToDouble()

    /// A tree with coloured branches as its elementary weights over the stages, its order and its density.
    type private Coloured = { Order: int; Gamma: int; Phi: BigInteger[] }

    /// All trees of at most that order, the rows of each colour given. The order in which branches are grown makes duplicates, which
    /// do no harm to a maximum.
    let private trees (order: int) (colours: BigInteger[][][]) : Coloured list =
        let stages = colours[0].Length
        let single = { Order = 1; Gamma = 1; Phi = Array.create stages (BigInteger.One <<< Bits) }

        let propagate (rows: BigInteger[][]) (phi: BigInteger[]) =
            rows |> Array.map (fun row -> (Array.mapi (fun j a -> a * phi[j]) row |> Array.sum) >>> Bits)

        // forests of a total order, as (product of weights, product of densities)
        let rec grow (smaller: Coloured list) total : (BigInteger[] * int) list =
            if total = 0 then
                [ single.Phi, 1 ]
            else
                [
                    for tree in smaller do
                        if tree.Order <= total then
                            for rows in colours do
                                let branch = propagate rows tree.Phi

                                for phi, gamma in grow smaller (total - tree.Order) do
                                    Array.map2 times branch phi, gamma * tree.Gamma
                ]

        let rec upTo n =
            if n = 1 then
                [ single ]
            else
                let smaller = upTo (n - 1)

                smaller @ [ for phi, gamma in grow smaller (n - 1) -> { Order = n; Gamma = n * gamma; Phi = phi } ]

        upTo order

    let private rowsOf (exact: ExactTableau) =
        let rows = exact.A |> Seq.map (Seq.map fixedPoint >> Array.ofSeq) |> Array.ofSeq

        rows
        |> Array.map (fun row -> Array.append row (Array.create (rows.Length - row.Length) BigInteger.Zero))

    let private over (order: int) (trees: Coloured list) (residual: Coloured -> float) =
        Array.init order (fun p ->
            trees |> List.filter (fun tree -> tree.Order = p + 1) |> List.map residual |> List.max)

    /// The residuals by order of the weights b of an additive pair, over trees of both colours.
    let coupledResiduals (implicitPart: ExactTableau) (explicitPart: ExactTableau) (order: int) : float[] =
        let b = implicitPart.B |> Seq.map fixedPoint |> Array.ofSeq

        over order (trees order [| rowsOf implicitPart; rowsOf explicitPart |]) (fun tree ->
            let sum = Array.map2 times b tree.Phi |> Array.sum
            abs (toFloat sum - 1.0 / float tree.Gamma))

    /// The same of the continuous extension for split fields, for every power of theta.
    let coupledDenseResiduals (implicitPart: ExactTableau) (explicitPart: ExactTableau) (order: int) : float[] =
        let weights = explicitPart.Dense |> Seq.map (Seq.map fixedPoint >> Array.ofSeq) |> Array.ofSeq
        let degree = weights[0].Length

        over order (trees order [| rowsOf implicitPart; rowsOf explicitPart |]) (fun tree ->
            Array.max [|
                for p in 1 .. max degree tree.Order do
                    let sum =
                        if p <= degree then
                            Array.map2 (fun (row: BigInteger[]) phi -> times row[p - 1] phi) weights tree.Phi
                            |> Array.sum
                        else
                            BigInteger.Zero

                    abs (toFloat sum - (if p = tree.Order then 1.0 / float tree.Gamma else 0.0))
            |])

    let private reaches law order (residuals: float[]) (tolerance: float) = {
        Law = law
        Holds =
            residuals |> Array.take order |> Array.forall (fun residual -> residual <= tolerance)
            && (residuals.Length = order || residuals[order] > 1e-6)
        Detail = residuals |> Array.map (sprintf "%.1e") |> String.concat ", " |> sprintf "residuals by order %s"
    }

    /// Every law of a tableau: the orders of b, of the embedded formula and of the continuous extension, each exactly as claimed; for
    /// an additive method the same for both colours.
    let all (tableau: EsdirkTableau) : LawResult list =
        let exact = tableau.Exact
        let name = tableau.Name
        // sums in double precision
        let rounded = 1e-15

        [
            reaches
                $"{name}: b has order {tableau.Order} and no higher"
                tableau.Order
                (RootedTrees.exactOrderResiduals exact (tableau.Order + 1))
                tolerance

            reaches
                $"{name}: the embedded formula has order {tableau.EmbeddedOrder} and no higher"
                tableau.EmbeddedOrder
                (RootedTrees.exactEmbeddedResiduals exact (tableau.EmbeddedOrder + 1) |> Array.head)
                tolerance

            reaches
                $"{name}: the continuous extension has order {tableau.DenseOrder} and no higher"
                tableau.DenseOrder
                (RootedTrees.exactDenseResiduals exact (tableau.DenseOrder + 1))
                tolerance

            match tableau.ExactExplicit with
            | ValueSome companion ->
                reaches
                    $"{name}: the pair has coupled order {tableau.Order} and no higher"
                    tableau.Order
                    (coupledResiduals exact companion (tableau.Order + 1))
                    rounded

                reaches
                    $"{name}: the continuous extension for split fields has coupled order {tableau.DenseSplitOrder} and no higher"
                    tableau.DenseSplitOrder
                    (coupledDenseResiduals exact companion (tableau.DenseSplitOrder + 1))
                    rounded
            | ValueNone -> ()
        ]
