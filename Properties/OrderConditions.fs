namespace Continuum.Properties

open Continuum

/// The laws of a tableau: it has the orders it claims, and no more. They are proved on the exact
/// coefficients, for every rooted tree, with no step taken. Try them on a tableau of your own:
/// OrderConditions.all tableau.
[<RequireQualifiedAccess>]
module OrderConditions =

    /// The residual below which a condition holds: well under a unit roundoff of 1.1e-16, above the
    /// 30 printed digits of DOP853. Coefficients printed to 16 digits need a tolerance of their own.
    let defaultTolerance = 1e-24

    let private show (residuals: float[]) =
        residuals
        |> Array.mapi (fun i residual -> $"{i + 1}: %.1e{residual}")
        |> String.concat ", "
        |> sprintf "residuals by order %s"

    let private reaches law tolerance order (residuals: float[]) = {
        Law = law
        Holds = residuals |> Array.take order |> Array.forall (fun residual -> residual <= tolerance)
        Detail = show residuals
    }

    /// Every row of A sums to its node c.
    let rows (tolerance: float) (tableau: Tableau) : LawResult =
        let residual = RootedTrees.rowResidual tableau

        {
            Law = $"{tableau.Name}: the rows of A sum to c"
            Holds = residual <= tolerance
            Detail = $"residual %.1e{residual}"
        }

    /// All conditions up to the order of the method hold.
    let order (tolerance: float) (tableau: Tableau) : LawResult =
        RootedTrees.orderResiduals tableau tableau.Order
        |> reaches $"{tableau.Name}: b has order {tableau.Order}" tolerance tableau.Order

    /// A condition of the next order fails, so the order is not understated. Orders up to 9.
    let orderIsSharp (tolerance: float) (tableau: Tableau) : LawResult =
        let residuals = RootedTrees.orderResiduals tableau (tableau.Order + 1)

        {
            Law = $"{tableau.Name}: b has no higher order than {tableau.Order}"
            Holds = residuals[tableau.Order] > tolerance
            Detail = show residuals
        }

    /// The order of each embedded formula: the EmbeddedOrder, and for DOP853 then 3.
    let private embeddedOrders (tableau: Tableau) =
        if tableau.Error.IsDop853Pair then
            [| tableau.EmbeddedOrder; 3 |]
        else
            [| tableau.EmbeddedOrder |]

    /// All conditions up to the embedded order hold for b - w, w the error weights; and those of the
    /// next order do not, so that the estimate sees the error. One result per embedded formula, none
    /// for a method without an estimate.
    let embedded (tolerance: float) (tableau: Tableau) : LawResult list =
        let orders = embeddedOrders tableau

        RootedTrees.embeddedResiduals tableau (Array.max orders + 1)
        |> Array.mapi (fun i residuals -> {
            Law = $"{tableau.Name}: the embedded formula {i + 1} has order {orders[i]} and no higher"
            Holds =
                residuals |> Array.take orders[i] |> Array.forall (fun residual -> residual <= tolerance)
                && residuals[orders[i]] > tolerance
            Detail = show residuals
        })
        |> List.ofArray

    /// All conditions up to the order of the continuous extension hold for every power of theta.
    let dense (tolerance: float) (tableau: Tableau) : LawResult =
        let order = tableau.Dense.Order

        RootedTrees.denseResiduals tableau order
        |> reaches $"{tableau.Name}: the continuous extension has order {order} at every theta" tolerance order

    /// A condition of the next order fails for the continuous extension. Orders up to 9.
    let denseIsSharp (tolerance: float) (tableau: Tableau) : LawResult =
        let order = tableau.Dense.Order
        let residuals = RootedTrees.denseResiduals tableau (order + 1)

        {
            Law = $"{tableau.Name}: the continuous extension has no higher order than {order}"
            Holds = residuals[order] > tolerance
            Detail = show residuals
        }

    /// Every law of a tableau, at a tolerance.
    let within (tolerance: float) (tableau: Tableau) : LawResult list = [
        rows tolerance tableau
        order tolerance tableau
        orderIsSharp tolerance tableau
        yield! embedded tolerance tableau
        dense tolerance tableau
        denseIsSharp tolerance tableau
    ]

    /// Every law of a tableau, at the default tolerance.
    let all (tableau: Tableau) : LawResult list = within defaultTolerance tableau
