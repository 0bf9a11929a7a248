namespace Continuum.Properties

#nowarn "3535" "3536"

open System
open Continuum
open RealOperators

/// A sum of all saved values and event times with weights of their own, squares included.
[<Sealed>]
type WeighingLoss() =
    interface IGenericLoss with
        member _.Evaluate<'T when 'T: struct and 'T :> IReal<'T>>
            (_: ReadOnlySpan<float>, states: ReadOnlySpan<'T>, eventTimes: ReadOnlySpan<'T>, p: ReadOnlySpan<'T>)
            : 'T =
            let mutable sum: 'T = real 0.0

            for i in 0 .. states.Length - 1 do
                let weight = Math.Cos(0.7 * float i + 0.3)
                sum <- sum + weight *. states[i] + 0.05 *. states[i] * states[i]

            for i in 0 .. eventTimes.Length - 1 do
                sum <- sum + Math.Cos(1.3 * float i + 0.2) *. eventTimes[i]

            for i in 0 .. p.Length - 1 do
                sum <- sum + 0.01 *. p[i] * p[i]

            sum

namespace Continuum.Properties

open System
open Continuum

/// A solve on arrays with its parameters: laws about its derivatives can be tried on it. The loss is one that weighs every saved value
/// differently, and every event time.
type SensitivityCase = {
    /// For messages.
    Name: string
    /// The method.
    Method: Method
    /// Steps, tolerances, save times. No events: they are the problem's.
    Options: SolveOptions<float[]>
    /// The problem made with these values of the parameters.
    Problem: float[] -> SensitivityProblem
    /// The values of the parameters.
    Parameters: float[]
    /// Start of the span.
    Start: float
    /// End of the span.
    End: float
    /// State at the start.
    Initial: float[]
}

/// The laws of sensitivities on arrays: independent ways give the same derivatives.
[<RequireQualifiedAccess>]
module SensitivityLaws =
    let private loss = WeighingLoss()

    let private distance (a: float[]) (b: float[]) =
        let size = Array.fold (fun most x -> max most (abs x)) 1e-300 b
        (Array.fold2 (fun most x y -> max most (abs (x - y))) 0.0 a b) / size

    let private gradientOf (mode: SensitivityMode) (case: SensitivityCase) (p: float[]) (y0: float[]) =
        let gradient =
            Sensitivity.gradientBy
                (ValueSome mode)
                case.Method
                case.Options
                loss
                (case.Problem p)
                case.Start
                case.End
                y0

        struct (gradient.Value, Array.append gradient.InitialValues gradient.Parameters)

    let private verdict law (case: SensitivityCase) (error: float) (tolerance: float) = {
        Law = $"{law} ({case.Name}, {case.Method.Name})"
        // a NaN must not pass
        Holds = error <= tolerance
        Detail = $"relative difference {error:g3}, allowed {tolerance:g3}"
    }

    /// The gradient by tangents is the gradient by the adjoint, to a relative difference (1e-10 says: both are exact).
    let forwardIsAdjoint (tolerance: float) (case: SensitivityCase) : LawResult =
        let struct (_, forward) = gradientOf SensitivityMode.Forward case case.Parameters case.Initial
        let struct (_, adjoint) = gradientOf SensitivityMode.Adjoint case case.Parameters case.Initial
        verdict "forward sensitivities = adjoint" case (distance forward adjoint) tolerance

    /// Central differences, of fourth order, of a function of initial values and parameters along coordinate j of both together.
    let private difference (case: SensitivityCase) (step: float) (f: float[] -> float[] -> float[]) (j: int) =
        let n = case.Initial.Length

        let at s =
            let move (x: float[]) k = Array.mapi (fun i v -> if i = k then v + s else v) x

            if j < n then
                f case.Parameters (move case.Initial j)
            else
                f (move case.Parameters (j - n)) case.Initial

        let centre = if j < n then case.Initial[j] else case.Parameters[j - n]
        let h = step * (1e-3 + abs centre)
        let slope h = Array.map2 (fun a b -> (a - b) / (2.0 * h)) (at h) (at -h)
        Array.map2 (fun coarse fine -> (4.0 * fine - coarse) / 3.0) (slope h) (slope (0.5 * h))

    let private inputs (case: SensitivityCase) = case.Initial.Length + case.Parameters.Length

    /// The gradient is the one of finite differences of the loss. With fixed steps both are of the same discrete solution; with adaptive
    /// ones the differences need tight tolerances.
    let adjointIsDifference (step: float) (tolerance: float) (case: SensitivityCase) : LawResult =
        let struct (_, adjoint) = gradientOf SensitivityMode.Adjoint case case.Parameters case.Initial

        let value p y0 =
            let struct (value, _) = gradientOf SensitivityMode.Adjoint case p y0
            [| value |]

        let differences = Array.init (inputs case) (fun j -> (difference case step value j)[0])
        verdict "gradient = finite differences" case (distance adjoint differences) tolerance

    let private product (case: SensitivityCase) (direction: float[]) =
        let n = case.Initial.Length

        let result =
            Sensitivity.hessianVector
                case.Method
                case.Options
                loss
                direction[.. n - 1]
                direction[n..]
                (case.Problem case.Parameters)
                case.Start
                case.End
                case.Initial

        struct (Array.append result.Gradient.InitialValues result.Gradient.Parameters,
                Array.append result.InitialValues result.Parameters)

    /// The Hessian by products with unit vectors: symmetric to 1e-9, its gradient the adjoint's to 1e-8 (implicit steps are
    /// solved to rounding again), its columns the differences of
    /// gradients to the tolerance.
    let hessianIsDifference (step: float) (tolerance: float) (case: SensitivityCase) : LawResult =
        let count = inputs case
        let struct (_, adjoint) = gradientOf SensitivityMode.Adjoint case case.Parameters case.Initial

        let results =
            Array.init count (fun j -> product case (Array.init count (fun i -> if i = j then 1.0 else 0.0)))

        let hessian = results |> Array.map (fun struct (_, column) -> column)
        let same = results |> Array.map (fun struct (gradient, _) -> distance gradient adjoint) |> Array.max
        let size = hessian |> Array.concat |> Array.fold (fun most x -> max most (abs x)) 1e-300

        let asymmetry =
            seq {
                for i in 0 .. count - 1 do
                    for j in 0 .. i - 1 do
                        abs (hessian[i][j] - hessian[j][i]) / size
            }
            |> Seq.fold max 0.0

        let gradients p y0 =
            let struct (_, g) = gradientOf SensitivityMode.Adjoint case p y0
            g

        let differences = Array.init count (difference case step gradients)
        let error = distance (Array.concat hessian) (Array.concat differences)

        {
            Law = $"Hessian-vector products = differences of gradients ({case.Name}, {case.Method.Name})"
            Holds = error <= tolerance && asymmetry <= 1e-9 && same <= 1e-8
            Detail =
                $"relative difference {error:g3}, allowed {tolerance:g3}; asymmetry {asymmetry:g3}; gradient {same:g3}"
        }
