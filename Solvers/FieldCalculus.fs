// A generic field with its first and second derivatives over any number: forward along a direction by Dual, backward by a tape. Over
// Real these make gradients, over Partials eight columns of a sensitivity matrix, over Dual Hessian-vector products.
namespace Continuum

#nowarn "3535" "3536"

open System

/// How many infinitesimals in a row a number carries: products of more vanish. A linear or Newton iteration whose matrix is exact in
/// values gains one order with each round, so this many rounds make its derivatives exact.
[<RequireQualifiedAccess>]
module internal Nilpotency =
    let rec private ofType (number: Type) =
        if number = typeof<Real> then
            0
        elif number = typeof<Partials> then
            1
        elif number.IsGenericType then
            1 + ofType (number.GetGenericArguments()[0])
        else
            invalidOp $"Numbers of type {number.Name} are not known to the sensitivities."

    /// Of a kind of number.
    let degree<'B> = ofType typeof<'B>

/// The derivatives of a generic field with its parameters.
[<Sealed>]
type internal GenericCalculus<'B, 'G when 'B: struct and 'B :> IReal<'B> and 'G: struct and 'G :> IGenericField>
    (field: 'G, parameters: 'B[]) =
    let mutable field = field
    let n = field.Size
    let m = parameters.Length
    let parameterBar: 'B[] = Array.zeroCreate m
    let zero = 'B.Of 0.0

    // J v
    let yDual: Dual<'B>[] = Array.zeroCreate n
    let pDual = parameters |> Array.map (fun p -> Dual<'B>(p, zero))
    let fDual: Dual<'B>[] = Array.zeroCreate n
    // c^T J
    let tape = Tape<'B>()
    let yBack: Reverse<'B>[] = Array.zeroCreate n
    let pBack: Reverse<'B>[] = Array.zeroCreate m
    let fBack: Reverse<'B>[] = Array.zeroCreate n
    // the gradient of c^T J v: a tape over duals
    let second = lazy Tape<Dual<'B>>()
    let yBackDual = lazy (Array.zeroCreate<Reverse<Dual<'B>>> n)
    let pBackDual = lazy (Array.zeroCreate<Reverse<Dual<'B>>> m)
    let fBackDual = lazy (Array.zeroCreate<Reverse<Dual<'B>>> n)
    // values of J
    let y8: Partials[] = Array.zeroCreate n
    let p8: Partials[] = Array.zeroCreate m
    let f8: Partials[] = Array.zeroCreate n

    let mutable evaluations = 0

    let constant8 (x: float) = Partials(x, Runtime.Intrinsics.Vector512<float>.Zero)

    interface IFieldCalculus<'B> with
        member _.Size = n
        member _.ParameterCotangent = parameterBar
        member _.Evaluations = evaluations

        member _.Slope(t, y, dest) =
            evaluations <- evaluations + 1
            field.Evaluate<'B>('B.Of t, ReadOnlySpan<'B>(y, 0, n), ReadOnlySpan<'B> parameters, Span<'B>(dest, 0, n))

        member _.Along(t, y, s, v, dest) =
            for i in 0 .. n - 1 do
                yDual[i] <- Dual<'B>(y[i], (if isNull v then zero else v[i]))

            evaluations <- evaluations + 1

            field.Evaluate<Dual<'B>>(
                Dual<'B>('B.Of t, 'B.Of s),
                ReadOnlySpan<Dual<'B>> yDual,
                ReadOnlySpan<Dual<'B>> pDual,
                Span<Dual<'B>> fDual
            )

            for i in 0 .. n - 1 do
                dest[i] <- fDual[i].Tangent

        member _.Pull(t, y, c, yBar, wantsParameters) =
            tape.Reset()

            for i in 0 .. n - 1 do
                yBack[i] <- tape.Variable y[i]

            for i in 0 .. m - 1 do
                pBack[i] <-
                    if wantsParameters then
                        tape.Variable parameters[i]
                    else
                        Reverse<'B>(parameters[i], 0, null)

            evaluations <- evaluations + 1

            field.Evaluate<Reverse<'B>>(
                Reverse<'B>('B.Of t, 0, null),
                ReadOnlySpan<Reverse<'B>> yBack,
                ReadOnlySpan<Reverse<'B>> pBack,
                Span<Reverse<'B>> fBack
            )

            tape.Backward(ReadOnlySpan<Reverse<'B>> fBack, ReadOnlySpan<'B>(c, 0, n))

            for i in 0 .. n - 1 do
                yBar[i] <- yBar[i] + tape.Adjoint yBack[i]

            if wantsParameters then
                for i in 0 .. m - 1 do
                    parameterBar[i] <- parameterBar[i] + tape.Adjoint pBack[i]

        member _.PullAlong(t, y, s, v, c, yBar) =
            let tape = second.Value
            let yBack = yBackDual.Value
            let pBack = pBackDual.Value
            let fBack = fBackDual.Value
            tape.Reset()

            for i in 0 .. n - 1 do
                yBack[i] <- tape.Variable(Dual<'B>(y[i], v[i]))

            for i in 0 .. m - 1 do
                pBack[i] <- tape.Variable pDual[i]

            evaluations <- evaluations + 1

            field.Evaluate<Reverse<Dual<'B>>>(
                Reverse<Dual<'B>>(Dual<'B>('B.Of t, 'B.Of s), 0, null),
                ReadOnlySpan<Reverse<Dual<'B>>> yBack,
                ReadOnlySpan<Reverse<Dual<'B>>> pBack,
                Span<Reverse<Dual<'B>>> fBack
            )

            // Seeds without tangent: the adjoints are c^T J, their tangents its derivative along (s, v).
            tape.ClearAdjoints()

            for i in 0 .. n - 1 do
                tape.Seed(fBack[i], Dual<'B>(c[i], zero))

            tape.Sweep()

            for i in 0 .. n - 1 do
                yBar[i] <- yBar[i] + (tape.Adjoint yBack[i]).Tangent

            for i in 0 .. m - 1 do
                parameterBar[i] <- parameterBar[i] + (tape.Adjoint pBack[i]).Tangent

        member _.Jacobian(t, y, dest) =
            for i in 0 .. m - 1 do
                p8[i] <- constant8 (NumberRows.value parameters i)

            for i in 0 .. n - 1 do
                y8[i] <- constant8 (NumberRows.value y i)

            let mutable first = 0

            while first < n do
                let last = min (first + 8) n - 1

                for j in first..last do
                    y8[j] <- Partials.Variable(y8[j].Value, j - first)

                evaluations <- evaluations + 1

                field.Evaluate<Partials>(
                    constant8 t,
                    ReadOnlySpan<Partials> y8,
                    ReadOnlySpan<Partials> p8,
                    Span<Partials> f8
                )

                for i in 0 .. n - 1 do
                    for j in first..last do
                        dest[i * n + j] <- f8[i][j - first]

                for j in first..last do
                    y8[j] <- constant8 y8[j].Value

                first <- first + 8
