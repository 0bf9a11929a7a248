namespace Continuum.Properties

open System
open Continuum

/// The laws of ESDIRK methods measured from steps, on problems of your own too.
[<RequireQualifiedAccess>]
module EsdirkLaws =
    let private largest (a: float[]) (b: float[]) = Array.fold2 (fun worst x y -> max worst (abs (x - y))) 0.0 a b

    let private run (tableau: EsdirkTableau) options (system: OdeSystem) t0 t1 y0 =
        let solution = ArrayOde.solveSystem (Esdirk tableau) options system t0 t1 y0

        match Solution.toResult solution with
        | Ok solution -> solution
        | Error error -> raise (SolveFailedException(error.Status, error.Time, error.Message, error.Partial.Exception))

    let private steps h save : SolveOptions<float[]> = {
        SolveOptions.create 1e-12 1e-12 with
            Control = Fixed h
            SaveAt = save
    }

    /// Errors at the end against the step length, with 2^k start steps, k = 0 .. doublings.
    let private errors tableau system t0 t1 (y0: float[]) (exact: float[]) start doublings =
        Array.init (doublings + 1) (fun k ->
            let h = (t1 - t0) / float (start <<< k)
            struct (abs h, largest exact (run tableau (steps (abs h) EndOnly) system t0 t1 y0).FinalState))

    /// With fixed steps the error at the end falls with the method's order: the observed slope lies in [order - 0.25, order + 1].
    /// Holds on smooth problems that are not stiff; a split system is solved with both parts of an additive method.
    let convergence
        (tableau: EsdirkTableau)
        (system: OdeSystem)
        (t0: float)
        (t1: float)
        (y0: float[])
        (exact: float[])
        : LawResult =
        let pairs = errors tableau system t0 t1 y0 exact 16 4
        let observed = Slope.observed pairs

        {
            Law = $"{tableau.Name} converges with order {tableau.Order}"
            Holds = observed >= float tableau.Order - 0.25 && observed <= float tableau.Order + 1.0
            Detail = $"observed order %.2f{observed}; " + Slope.describe pairs
        }

    /// The continuous extension between step values converges with the smaller of the method's order and one more than the
    /// extension's. exact is the solution at a time.
    let denseConvergence
        (tableau: EsdirkTableau)
        (system: OdeSystem)
        (t0: float)
        (t1: float)
        (exact: float -> float[])
        : LawResult =
        let order = if system.IsSplit then tableau.DenseSplitOrder else tableau.DenseOrder
        let expected = min tableau.Order (order + 1)

        let pairs =
            Array.init 4 (fun k ->
                let n = 16 <<< k
                let h = (t1 - t0) / float n
                let dense = (run tableau (steps (abs h) DenseOutput) system t0 t1 (exact t0)).Dense.Value

                let worst =
                    Array.max [|
                        for theta in [ 0.13; 0.37; 0.5; 0.71; 0.93 ] do
                            let t = t0 + (float (n / 2) + theta) * h
                            largest (exact t) (dense.At t)
                    |]

                struct (abs h, worst))

        let observed = Slope.observed pairs

        {
            Law = $"the continuous extension of {tableau.Name} converges with order {expected}"
            Holds = observed >= float expected - 0.3
            Detail = $"observed order %.2f{observed}; " + Slope.describe pairs
        }

    /// y' = lambda (y - phi(t)) + phi'(t), phi = sin t (Prothero and Robinson 1974).
    let private protheroRobinson (lambda: float) =
        OdeSystem
            .OfField(VectorField(fun t y dydt -> dydt[0] <- lambda * (y[0] - sin t) + cos t), 1)
            .WithJacobian(JacobianFunction(fun _ _ jacobian -> jacobian[0, 0] <- lambda))

    /// On the stiff problem of Prothero and Robinson with rate lambda < 0 the error falls at least with this order. Order reduction is
    /// to be expected: the stage order is 2, so for h lambda large errors are O(h^2 / lambda) or O(h^3 / lambda), whatever the order.
    let stiffOrder (tableau: EsdirkTableau) (lambda: float) (atLeast: float) : LawResult =
        let pairs = errors tableau (protheroRobinson lambda) 0.0 1.0 [| 0.0 |] [| sin 1.0 |] 8 3
        let observed = Slope.observed pairs
        let struct (_, finest) = Array.last pairs

        {
            Law = $"{tableau.Name} converges on Prothero and Robinson's problem with lambda = %g{lambda}"
            Holds = finest < 1e-10 || observed >= atLeast
            Detail = $"observed order %.2f{observed}; " + Slope.describe pairs
        }

    /// R(z), measured by one step of length 1 on y' = z y.
    let stabilityFunction (tableau: EsdirkTableau) (re: float) (im: float) : Numerics.Complex =
        let system =
            OdeSystem
                .OfField(
                    VectorField(fun _ y dydt ->
                        dydt[0] <- re * y[0] - im * y[1]
                        dydt[1] <- im * y[0] + re * y[1]),
                    2
                )
                .WithJacobian(
                    JacobianFunction(fun _ _ jacobian ->
                        jacobian[0, 0] <- re
                        jacobian[0, 1] <- -im
                        jacobian[1, 0] <- im
                        jacobian[1, 1] <- re)
                )

        let y = (run tableau (steps 1.0 EndOnly) system 0.0 1.0 [| 1.0; 0.0 |]).FinalState
        Numerics.Complex(y[0], y[1])

    /// A-stability on the imaginary axis and in the left half-plane, and L-stability: R(z) vanishes at infinity.
    let lStability (tableau: EsdirkTableau) : LawResult =
        let sizes = [| 0.1; 0.5; 1.0; 2.0; 3.0; 5.0; 8.0; 12.0; 20.0; 50.0; 200.0; 1e4 |]
        let size (z: Numerics.Complex) = Numerics.Complex.Abs z

        let worst =
            Array.max [|
                for s in sizes do
                    size (stabilityFunction tableau 0.0 s)
                    size (stabilityFunction tableau (-0.1 * s) s)
                    size (stabilityFunction tableau -s s)
                    size (stabilityFunction tableau -s 0.0)
            |]

        let far = size (stabilityFunction tableau -1e9 0.0)

        {
            Law = $"{tableau.Name} is A-stable and R(-infinity) = 0"
            Holds = worst <= 1.0 + 1e-12 && far <= 1e-7
            Detail = $"largest |R| %.15f{worst}, |R(-1e9)| %.1e{far}"
        }

    /// A linear invariant w of the field (w f = 0) is kept at every accepted step, up to rounding.
    let invariant
        (tableau: EsdirkTableau)
        (system: OdeSystem)
        (t0: float)
        (t1: float)
        (y0: float[])
        (w: float[])
        : LawResult =
        let value (y: float[]) = Array.fold2 (fun sum a b -> sum + a * b) 0.0 w y
        let solution = run tableau { SolveOptions.create 1e-5 1e-8 with SaveAt = EverySteps } system t0 t1 y0

        let drift = solution.States |> Array.map (fun y -> abs (value y - value y0)) |> Array.max

        {
            Law = $"{tableau.Name} keeps the linear invariant"
            Holds = drift <= 1e-12 * (abs (value y0) + 1.0)
            Detail = $"largest drift %.1e{drift} over {solution.States.Length} states"
        }

    /// The algebraic equations, constraint(t, y) = 0, hold at every accepted step, up to a share of the tolerance.
    let constraints
        (tableau: EsdirkTableau)
        (system: OdeSystem)
        (t0: float)
        (t1: float)
        (y0: float[])
        (tolerance: float)
        (residual: float -> float[] -> float)
        : LawResult =
        let solution =
            run tableau { SolveOptions.create tolerance (1e-3 * tolerance) with SaveAt = EverySteps } system t0 t1 y0

        let worst = Array.map2 (fun t y -> abs (residual t y)) solution.Times solution.States |> Array.max

        {
            Law = $"{tableau.Name} satisfies the algebraic equations at every step"
            Holds = worst <= tolerance
            Detail = $"largest residual %.1e{worst} over {solution.States.Length} states at tolerance %.0e{tolerance}"
        }
