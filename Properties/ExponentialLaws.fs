namespace Continuum.Properties

open System
open System.Numerics
open Continuum

/// A semilinear system y' = L y + N(t, y) with diagonal L on real numbers: yours, or one of SemilinearProblems.
type SemilinearProblem = {
    /// For messages.
    Name: string
    /// L's diagonal.
    Linear: float[]
    /// N.
    Nonlinear: VectorField
    /// Start of the span.
    Start: float
    /// End of the span.
    End: float
    /// State at the start.
    Initial: float[]
    /// The solution at a time, where it is known; ValueNone takes a Vern9 solution at 1e-13 instead (L must then not be stiff).
    Exact: (float -> float[]) voption
}

/// Semilinear systems with closed forms.
[<RequireQualifiedAccess>]
module SemilinearProblems =

    /// Coupled and non-autonomous, with this linear part and N of size 1 however stiff that is:
    /// N_i = cos(t + i) + 0.5 (y_i y_j - u_i u_j) + 0.2 (sin y_j - sin u_j), j the next component, and the solution
    /// u_i = (sin(t + i) - L_i cos(t + i)) / (1 + L_i^2).
    let manufactured (linear: float[]) : SemilinearProblem =
        let n = linear.Length

        let u i t =
            let l = linear[i]
            (sin (t + float i) - l * cos (t + float i)) / (1.0 + l * l)

        {
            Name = $"a manufactured system with L from {Array.min linear} to {Array.max linear}"
            Linear = linear
            Nonlinear =
                VectorField(fun t y dest ->
                    for i in 0 .. n - 1 do
                        let j = (i + 1) % n
                        let product = y[i] * y[j] - u i t * u j t
                        dest[i] <- cos (t + float i) + 0.5 * product + 0.2 * (sin y[j] - sin (u j t)))
            Start = 0.0
            End = 2.0
            Initial = Array.init n (fun i -> u i 0.0)
            Exact = ValueSome(fun t -> Array.init n (fun i -> u i t))
        }

/// The laws of exponential methods. Each takes a method and, where it needs one, a problem.
[<RequireQualifiedAccess>]
module ExponentialLaws =

    let private distance (a: float[]) (b: float[]) = Array.fold2 (fun worst x y -> max worst (abs (x - y))) 0.0 a b

    let private solve method options (problem: SemilinearProblem) =
        let solution =
            SemilinearOde.solve
                method
                options
                problem.Linear
                problem.Nonlinear
                problem.Start
                problem.End
                problem.Initial

        match Solution.toResult solution with
        | Ok solution -> solution
        | Error error -> raise (SolveFailedException(error.Status, error.Time, error.Message, error.Partial.Exception))

    let private reference (problem: SemilinearProblem) : float -> float[] =
        match problem.Exact with
        | ValueSome exact -> exact
        | ValueNone ->
            let field =
                VectorField(fun t y dydt ->
                    problem.Nonlinear.Invoke(t, y, dydt)

                    for i in 0 .. y.Length - 1 do
                        dydt[i] <- dydt[i] + problem.Linear[i] * y[i])

            let options: SolveOptions<float[]> = { SolveOptions.create 1e-13 1e-13 with SaveAt = DenseOutput }
            (ArrayOde.solve Methods.Vern9 options field problem.Start problem.End problem.Initial).Dense.Value.At

    let private converges what (expected: float) (problem: SemilinearProblem) error =
        let pairs =
            [| 16; 32; 64; 128 |]
            |> Array.map (fun n -> struct ((problem.End - problem.Start) / float n, error n))

        let observed = Slope.observed pairs

        {
            Law = $"{what} converges with order {expected} on {problem.Name}"
            Holds = observed >= expected - 0.3
            Detail = $"observed order %.2f{observed}; " + Slope.describe pairs
        }

    /// With fixed steps the error at the end falls with order 4. Holds where L is not stiff; see stiffly.
    let convergence (method: ExponentialMethod) (problem: SemilinearProblem) : LawResult =
        let exact = reference problem problem.End

        converges (string method) 4.0 problem (fun n ->
            let h = abs (problem.End - problem.Start) / float n
            (solve method (FixedSteps.every h) problem).FinalState |> distance exact)

    /// Dense output, between the steps, has local error O(h^4).
    let denseConvergence (method: ExponentialMethod) (problem: SemilinearProblem) : LawResult =
        let exact = reference problem

        converges $"dense output of {method}" 4.0 problem (fun n ->
            let h = (problem.End - problem.Start) / float n
            let solution = solve method { FixedSteps.every (abs h) with SaveAt = DenseOutput } problem

            [| 0.13; 0.37; 0.5; 0.71; 0.93 |]
            |> Array.map (fun theta ->
                let t = problem.Start + (float (n / 2) + theta) * h
                distance (exact t) (solution.Dense.Value.At t))
            |> Array.max)

    /// However stiff L, the solution with steps of length h is within the tolerance: no step is too long for L. The order may fall
    /// to 2 there (Hochbruck and Ostermann 2005), and to 1 where N's own derivatives grow with L.
    let stiffly (method: ExponentialMethod) (h: float) (tolerance: float) (problem: SemilinearProblem) : LawResult =
        let exact = reference problem problem.End
        let gap = (solve method (FixedSteps.every h) problem).FinalState |> distance exact

        {
            Law = $"{method} takes steps of {h} on {problem.Name}"
            Holds = gap <= tolerance
            Detail = $"error %.1e{gap}, tolerance %.0e{tolerance}"
        }

    /// N = 0, or for Etdrk4 any constant N, is solved exactly with one step however long, to rounding. L's entries should be of
    /// either sign and of very different sizes; e^(L h) must not overflow.
    let exactForConstant (method: ExponentialMethod) (linear: float[]) (constant: float) (h: float) : LawResult =
        let n = linear.Length
        let y0 = Array.init n (fun i -> 1.0 + 0.1 * float i)

        let problem = {
            Name = $"constant N = {constant}"
            Linear = linear
            Nonlinear = VectorField(fun _ _ dest -> dest.Fill constant)
            Start = 0.0
            End = h
            Initial = y0
            Exact = ValueNone
        }

        let found = (solve method (FixedSteps.every h) problem).FinalState

        let worst =
            Array.init n (fun i ->
                // (e^x - 1) / x without cancellation, or without overflow
                let x = linear[i] * h

                let first =
                    if x = 0.0 then 1.0
                    elif abs x > 1.0 then (exp x - 1.0) / x
                    else exp (0.5 * x) * sinh (0.5 * x) / (0.5 * x)

                let exact = exp x * y0[i] + h * constant * first
                abs (found[i] - exact) / max 1.0 (abs exact))
            |> Array.max

        {
            Law = $"{method} is exact for constant N = {constant} in one step of {h}"
            Holds = worst <= 1e-12
            Detail = $"largest relative error %.1e{worst}"
        }

    /// phi_1 to phi_3 agree with means over circles around z (Cauchy), which Kassam and Trefethen use; to 1e-13 of
    /// the largest value on the circle.
    let phi (z: Complex) : LawResult =
        let struct (_, first, second, third) = Phi.all z
        let points = 64
        // not through 0, where the plain formulas cancel
        let radius = if abs (Complex.Abs z - 2.0) < 0.9 then 3.5 else 2.0

        let direct (x: Complex) =
            let one = (Complex.Exp x - Complex.One) / x
            let two = (one - Complex.One) / x
            [| one; two; (two - Complex(0.5, 0.0)) / x |]

        let values =
            Array.init points (fun k ->
                direct (z + Complex.FromPolarCoordinates(radius, 2.0 * Math.PI * (float k + 0.5) / float points)))

        let mean i = (values |> Array.fold (fun s (v: Complex[]) -> s + v[i]) Complex.Zero) / Complex(float points, 0.0)

        let gap =
            [| first; second; third |]
            |> Array.mapi (fun i value ->
                let size = values |> Array.map (fun v -> Complex.Abs v[i]) |> Array.max
                Complex.Abs(value - mean i) / size)
            |> Array.max

        {
            Law = $"phi functions at {z} are those of the contour integral"
            Holds = gap <= 1e-13
            Detail = $"largest relative gap %.1e{gap}"
        }

    /// Every law of a method on a problem that is not stiff.
    let all (method: ExponentialMethod) (problem: SemilinearProblem) : LawResult[] = [|
        convergence method problem
        denseConvergence method problem
        exactForConstant method problem.Linear 0.0 3.0

        if method = Etdrk4 then
            exactForConstant method problem.Linear 1.7 3.0
    |]
