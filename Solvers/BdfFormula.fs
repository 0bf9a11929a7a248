// The scalars of backward differentiation formulas with variable steps: extrapolation, differentiation, error constants.
namespace Continuum

/// Polynomials through past values of a solution, as weights on the increments between them.
///
/// distances[j] = x - t_j for the nodes j = 0 .. degree, newest first, where x is the time at which a polynomial is wanted. The
/// increments are v_j = y_j - y_(j+1), one fewer than nodes, and P(x) = y_0 + sum_j weights[j] v_j: rounding errors are relative to
/// the increments, and P conserves what every increment conserves (a linear invariant).
[<RequireQualifiedAccess>]
module internal BdfFormula =
    /// Highest order: BDF6 is hardly stable and BDF7 not at all. Hairer, Norsett and Wanner I, section III.3.
    let maxOrder = 5

    /// ArgumentException unless 1 <= order <= 5.
    let check (order: int) =
        if order < 1 || order > maxOrder then
            raise (System.ArgumentException $"The largest order of Bdf lies between 1 and {maxOrder}; got {order}.")

    /// ArgumentException where steps are to follow a controller of the caller's: order and step are chosen together.
    let checkControl (control: Continuum.StepControl) =
        match control with
        | Continuum.Adaptive(ValueSome _) ->
            raise (
                System.ArgumentException
                    "Bdf chooses its order and its steps together and follows no other step controller; leave the controller out, or take a method of fixed order such as Rodas5P."
            )
        | _ -> ()

    /// Lagrange's basis polynomials of the nodes 0 .. degree at x.
    let basis (distances: float[]) (degree: int) (basis: float[]) =
        for j in 0..degree do
            let mutable above = 1.0
            let mutable below = 1.0

            for m in 0..degree do
                if m <> j then
                    above <- above * distances[m]
                    below <- below * (distances[m] - distances[j])

            basis[j] <- above / below

    /// Weights of P(x) - y_0 on the increments.
    let values (basis: float[]) (degree: int) (weights: float[]) =
        let mutable sum = 0.0

        for j in degree - 1 .. -1 .. 0 do
            sum <- sum - basis[j + 1]
            weights[j] <- sum

    /// sum_(j < count) scale / distances[j]: the derivative of log |(x - t_0) ... (x - t_(count - 1))|, times scale.
    let leading (distances: float[]) (count: int) (scale: float) =
        let mutable sum = 0.0

        for j in 0 .. count - 1 do
            sum <- sum + scale / distances[j]

        sum

    /// Weights of scale P'(x) - lead (P(x) - y_0) on the increments; no node may be x.
    let slopes (distances: float[]) (basis: float[]) (degree: int) (scale: float) (lead: float) (weights: float[]) =
        let total = leading distances (degree + 1) scale - lead
        let mutable sum = 0.0

        for j in degree - 1 .. -1 .. 0 do
            sum <- sum - basis[j + 1] * (total - scale / distances[j + 1])
            weights[j] <- sum

    /// Local error over the distance of y_n from its predictor, for the formula of an order. The predictor has this degree through the
    /// nodes 0 .. order; y_n satisfies the slope relation with the leading coefficient of the first `order` nodes and the true solution
    /// the same relation with all of them.
    let errorConstant (distances: float[]) (order: int) =
        let last = 1.0 / distances[order]
        last / (leading distances order 1.0 + last)
