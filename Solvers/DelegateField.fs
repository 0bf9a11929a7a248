// Fields given as delegates, for forward sensitivities: derivatives given, or by central differences.
namespace Continuum

#nowarn "3535" "3536"

open System
open System.Runtime.Intrinsics

/// y' = f(t, y; p) on arrays: writes f(t, y; p) into dydt (as long as y, not cleared before the call).
type ParameterField = delegate of t: float * y: ReadOnlySpan<float> * p: ReadOnlySpan<float> * dydt: Span<float> -> unit

/// Derivatives of a field on arrays: writes df/dy (size x size) or df/dp (size x parameters), row-major, every entry.
type ParameterFieldJacobian =
    delegate of t: float * y: ReadOnlySpan<float> * p: ReadOnlySpan<float> * entries: Span<float> -> unit

/// A delegate with derivatives: given, or (null) by central differences of the cube root of rounding.
[<Sealed>]
type internal DelegateDerivatives
    (
        field: ParameterField,
        byState: ParameterFieldJacobian,
        byParameters: ParameterFieldJacobian,
        size: int,
        parameters: float[]
    ) =
    let n = size
    let m = parameters.Length
    let above: float[] = Array.zeroCreate n
    let below: float[] = Array.zeroCreate n
    let mutable evaluations = 0

    let invoke (t: float) (y: float[]) (p: float[]) (dest: float[]) =
        evaluations <- evaluations + 1
        field.Invoke(t, ReadOnlySpan<float> y, ReadOnlySpan<float> p, Span<float> dest)

    /// Column j of df/dx by moving x[j]; evaluate is f with x as moved. floor is the size below which x[j] counts as that large.
    let difference (x: float[]) (columns: int) (entries: float[]) (evaluate: float[] -> unit) =
        let largest = x |> Array.fold (fun most v -> max most (abs v)) 0.0
        let floor = if largest = 0.0 then 1.0 else 1e-3 * largest

        for j in 0 .. columns - 1 do
            let centre = x[j]
            let h = 6e-6 * Math.Max(abs centre, floor)
            x[j] <- centre + h
            evaluate above
            x[j] <- centre - h
            evaluate below
            x[j] <- centre

            for i in 0 .. n - 1 do
                entries[i * columns + j] <- (above[i] - below[i]) / (2.0 * h)

    member _.Evaluations = evaluations
    member _.Slope(t, y, dest) = invoke t y parameters dest

    /// df/dy, row-major. y is put back as it was.
    member _.ByState(t: float, y: float[], entries: float[]) =
        if isNull byState then
            difference y n entries (fun dest -> invoke t y parameters dest)
        else
            byState.Invoke(t, ReadOnlySpan<float> y, ReadOnlySpan<float> parameters, Span<float> entries)

    /// df/dp, row-major.
    member _.ByParameters(t: float, y: float[], entries: float[]) =
        if isNull byParameters then
            let p = Array.copy parameters
            difference p m entries (fun dest -> invoke t y p dest)
        else
            byParameters.Invoke(t, ReadOnlySpan<float> y, ReadOnlySpan<float> parameters, Span<float> entries)

/// First derivatives of a delegate along eight directions: enough for forward sensitivities of methods that need no second ones.
[<Sealed>]
type internal DelegateTangents(derivatives: DelegateDerivatives, parameters: Partials[], n: int) =
    let m = parameters.Length
    let y: float[] = Array.zeroCreate n
    let slope: float[] = Array.zeroCreate n
    let byState: float[] = Array.zeroCreate (n * n)
    let byParameters: float[] = Array.zeroCreate (n * m)
    let unused = Array.zeroCreate<Partials> m

    let refuse () : unit =
        raise (NotSupportedException "A field given as a delegate has first derivatives only, forward.")

    interface IFieldCalculus<Partials> with
        member _.Size = n
        member _.Evaluations = derivatives.Evaluations
        member _.ParameterCotangent = unused

        member _.Slope(t, state, dest) =
            NumberRows.values state y
            derivatives.Slope(t, y, slope)
            derivatives.ByState(t, y, byState)

            if m > 0 then
                derivatives.ByParameters(t, y, byParameters)

            for i in 0 .. n - 1 do
                let mutable sum = Vector512<float>.Zero

                for j in 0 .. n - 1 do
                    sum <- sum + Vector512.Multiply(state[j].Derivatives, byState[i * n + j])

                for j in 0 .. m - 1 do
                    sum <- sum + Vector512.Multiply(parameters[j].Derivatives, byParameters[i * m + j])

                dest[i] <- Partials(slope[i], sum)

        member _.Jacobian(t, state, dest) =
            NumberRows.values state y
            derivatives.ByState(t, y, byState)
            byState.AsSpan().CopyTo dest

        member _.Pull(_, _, _, _, _) = refuse ()
        member _.Along(_, _, _, _, _) = refuse ()
        member _.PullAlong(_, _, _, _, _, _) = refuse ()

/// Values of a delegate, for Newton's method.
[<Sealed>]
type internal DelegateValues(derivatives: DelegateDerivatives, n: int) =
    let y: float[] = Array.zeroCreate n
    let slope: float[] = Array.zeroCreate n
    let byState: float[] = Array.zeroCreate (n * n)

    let refuse () : unit =
        raise (NotSupportedException "A field given as a delegate has first derivatives only, forward.")

    interface IFieldCalculus<Real> with
        member _.Size = n
        member _.Evaluations = derivatives.Evaluations
        member _.ParameterCotangent = [||]

        member _.Slope(t, state, dest) =
            NumberRows.values state y
            derivatives.Slope(t, y, slope)

            for i in 0 .. n - 1 do
                dest[i] <- Real slope[i]

        member _.Jacobian(t, state, dest) =
            NumberRows.values state y
            derivatives.ByState(t, y, byState)
            byState.AsSpan().CopyTo dest

        member _.Pull(_, _, _, _, _) = refuse ()
        member _.Along(_, _, _, _, _) = refuse ()
        member _.PullAlong(_, _, _, _, _, _) = refuse ()
