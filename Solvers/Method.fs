// The methods as values of one type: what a solve on arrays or tensors can be asked to step with.
namespace Continuum

/// A method for stepping y' = f(t, y).
type Method =
    /// An explicit tableau.
    | RungeKutta of Tableau
    /// Reversible Heun (Kidger, Foster, Li and Lyons 2021): order 2, one evaluation a step, algebraically reversible;
    /// stable only near the imaginary axis (|lambda h| <= 1 there). On tensors only.
    | ReversibleHeun
    /// McCallum and Foster's (2024) reversible wrapper of a tableau: same order, twice the evaluations, algebraically reversible.
    /// On tensors only.
    | Coupled of Tableau * coupling: float
    /// A Rosenbrock method, for stiff problems and mass matrices.
    | Rosenbrock of RosenbrockTableau
    /// Backward differentiation formulas of order 1 to maxOrder (at most 5), order and step chosen on the way; for stiff problems,
    /// mass matrices and differential-algebraic equations. Lower maxOrder to 2 where oscillations are hardly damped: higher orders
    /// are A(alpha)-stable only (86, 73 and 51.8 degrees). Fixed steps begin at order 1 and climb by one a step. On tensors with one
    /// clock, for values without gradients.
    | Bdf of maxOrder: int
    /// An ESDIRK method, for stiff problems and mass matrices; an additive one for split fields too.
    | Esdirk of EsdirkTableau
    /// An explicit method as long as stability does not limit its steps, a stiff one where it does, and back; with a mass matrix the
    /// stiff one from the start. Both are chosen by tolerance and size; the solution's Choices say what was taken, when and why.
    /// On arrays only.
    | Automatic

    /// Order of convergence; Automatic: of its methods at moderate tolerances.
    member this.Order =
        match this with
        | RungeKutta tableau
        | Coupled(tableau, _) -> tableau.Order
        | Esdirk tableau -> tableau.Order
        | ReversibleHeun -> 2
        | Rosenbrock tableau -> tableau.Order
        | Bdf maxOrder -> maxOrder
        | Automatic -> 5

    /// Name for reports.
    member this.Name =
        match this with
        | RungeKutta tableau -> tableau.Name
        | Esdirk tableau -> tableau.Name
        | Coupled(tableau, _) -> $"Reversible({tableau.Name})"
        | ReversibleHeun -> "ReversibleHeun"
        | Rosenbrock tableau -> tableau.Name
        | Bdf 5 -> "Bdf"
        | Bdf maxOrder -> $"Bdf({maxOrder})"
        | Automatic -> "Automatic"
