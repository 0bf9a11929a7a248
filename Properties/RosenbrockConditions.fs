namespace Continuum.Properties

open Continuum

/// The order conditions of Rosenbrock-Wanner methods with the exact Jacobian, over rooted trees: sum b_i Phi_i(t) = 1 / gamma(t), where
/// Phi_i of the single node is 1, of a root with one branch u sum (alpha + Gamma)_ij Phi_j(u), and of a root with several the product of
/// sum alpha_ij Phi_j(u). Source: Hairer and Wanner II, IV.7, Theorem 7.4. Coefficients are doubles here: residuals of 1e-13 are rounding.
[<RequireQualifiedAccess>]
module RosenbrockConditions =

    /// Rounding of transformed coefficients that are printed to 16 digits.
    let defaultTolerance = 2e-12

    /// Phi of every tree up to an order.
    let private weights (form: RosenbrockForm) (trees: RootedTree[]) : float[][] =
        let stages = form.B.Length
        let phi = Array.zeroCreate<float[]> trees.Length

        let apply (matrix: int -> int -> float) (u: int) =
            Array.init stages (fun i -> Array.init stages (fun j -> matrix i j * phi[u][j]) |> Array.sum)

        for t in 0 .. trees.Length - 1 do
            phi[t] <-
                match trees[t].Branches with
                | [] -> Array.create stages 1.0
                | [ u ] -> apply (fun i j -> form.Alpha[i, j] + form.Gamma[i, j]) u
                | several -> several |> List.map (apply (fun i j -> form.Alpha[i, j])) |> List.reduce (Array.map2 (*))

        phi

    /// Largest residual of each order.
    let private residuals (form: RosenbrockForm) (order: int) (miss: RootedTree -> float[] -> float) : float[] =
        let trees = RootedTrees.upTo order
        let phi = weights form trees

        Array.init order (fun q ->
            Array.map2 (fun (tree: RootedTree) phi -> if tree.Order = q + 1 then miss tree phi else 0.0) trees phi
            |> Array.max)

    let private dot (b: float[]) (phi: float[]) = Array.fold2 (fun s x y -> s + x * y) 0.0 b phi

    /// Residuals of a quadrature's weights.
    let private ofWeights form b order = residuals form order (fun tree phi -> abs (dot b phi - 1.0 / float tree.Gamma))

    /// Residuals of the continuous extension: theta^q / gamma(t) for a tree of q nodes, nothing at the other powers.
    let private ofDense (form: RosenbrockForm) order =
        residuals form order (fun tree phi ->
            form.Dense
            |> Array.mapi (fun p b -> abs (dot b phi - (if p + 1 = tree.Order then 1.0 / float tree.Gamma else 0.0)))
            |> Array.max)

    let private verdict law (tolerance: float) order (found: float[]) = {
        Law = $"{law} has order {order} and no higher"
        Holds =
            found |> Array.take order |> Array.forall (fun r -> r <= tolerance)
            && found[order] > 1e3 * tolerance
        Detail =
            found
            |> Array.mapi (fun i r -> $"{i + 1}: %.1e{r}")
            |> String.concat ", "
            |> sprintf "residuals by order %s"
    }

    /// The result, the formula that the error is estimated against, and the continuous extension have their orders, and no higher ones.
    let all (tableau: RosenbrockTableau) : LawResult list =
        let form = tableau.Untransformed
        let hat = Array.map2 (-) form.B form.Error

        [
            verdict $"{tableau.Name}: b" defaultTolerance tableau.Order (ofWeights form form.B (tableau.Order + 1))
            verdict
                $"{tableau.Name}: the companion formula"
                defaultTolerance
                tableau.EmbeddedOrder
                (ofWeights form hat (tableau.EmbeddedOrder + 1))
            verdict
                $"{tableau.Name}: the continuous extension"
                defaultTolerance
                tableau.DenseOrder
                (ofDense form (tableau.DenseOrder + 1))
        ]
