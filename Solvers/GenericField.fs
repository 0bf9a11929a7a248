// Generic fields in use: on double, and for their derivatives.
namespace Continuum

#nowarn "3535" "3536"

open System

/// A generic field with its parameters as a field on arrays; the solver's loop is compiled for it.
[<Struct>]
type GenericField<'G when 'G: struct and 'G :> IGenericField>(field: 'G, parameters: float[]) =
    /// The parameters, as long as ParameterCount; read at every evaluation.
    member _.Parameters = parameters

    /// Throws ArgumentException where the state or the parameters do not have the field's sizes.
    static member Check(field: 'G, parameters: float[], y: float[]) =
        if isNull parameters then
            raise (
                ArgumentNullException(
                    nameof parameters,
                    "The parameters are null; a field without any takes an empty array."
                )
            )

        if parameters.Length <> field.ParameterCount then
            raise (
                ArgumentException(
                    $"The field reads {field.ParameterCount} parameters; got {parameters.Length}.",
                    nameof parameters
                )
            )

        if not (isNull y) && y.Length <> field.Size then
            raise (ArgumentException($"The field has {field.Size} components; the state has {y.Length}.", nameof y))

    interface IField<float[], float> with
        member _.Eval(t, y, dydt) =
            field.Evaluate<Real>(
                Real t,
                Real.Of(ReadOnlySpan<float>(y)),
                Real.Of(ReadOnlySpan<float>(parameters)),
                Real.Of(Span<float>(dydt))
            )

            dydt

/// Exact derivatives of a generic field. Holds the scratch they need: nothing is allocated after the first call of each member.
/// One thread at a time. Matrices are row-major: row i holds the derivatives of component i.
[<Sealed>]
type FieldDerivatives<'G when 'G: struct and 'G :> IGenericField>(field: 'G) =
    let field = field
    let n = field.Size
    let m = field.ParameterCount
    let y8: Partials[] = Array.zeroCreate n
    let p8: Partials[] = Array.zeroCreate m
    let f8: Partials[] = Array.zeroCreate n
    let y1: Dual<Real>[] = Array.zeroCreate n
    let p1: Dual<Real>[] = Array.zeroCreate m
    let f1: Dual<Real>[] = Array.zeroCreate n
    let tape = lazy Tape<Real>()
    let yBack: Reverse<Real>[] = Array.zeroCreate n
    let pBack: Reverse<Real>[] = Array.zeroCreate m
    let fBack: Reverse<Real>[] = Array.zeroCreate n

    let constant8 (x: float) = Partials(x, Runtime.Intrinsics.Vector512<float>.Zero)

    let check name (expected: int) (actual: int) =
        if actual <> expected then
            raise (ArgumentException $"{name} needs {expected} entries; got {actual}.")

    let checkPoint (y: ReadOnlySpan<float>) (p: ReadOnlySpan<float>) =
        check "The state" n y.Length
        check "The parameters" m p.Length

    let constants8 (y: ReadOnlySpan<float>) (p: ReadOnlySpan<float>) =
        for i in 0 .. n - 1 do
            y8[i] <- constant8 y[i]

        for i in 0 .. m - 1 do
            p8[i] <- constant8 p[i]

    let evaluate8 (t: Partials) =
        field.Evaluate<Partials>(t, ReadOnlySpan<Partials> y8, ReadOnlySpan<Partials> p8, Span<Partials> f8)

    /// Columns first .. first + 7 of the derivatives, from f8.
    let copyColumns (first: int) (columns: int) (dest: Span<float>) =
        for i in 0 .. n - 1 do
            for j in first .. min (first + 8) columns - 1 do
                dest[i * columns + j] <- f8[i][j - first]

    /// The field.
    member _.Field = field

    /// df/dy (n x n) at (t, y; p): n/8 evaluations, rounded up.
    member _.Jacobian(t: float, y: ReadOnlySpan<float>, p: ReadOnlySpan<float>, dest: Span<float>) =
        checkPoint y p
        check "The Jacobian" (n * n) dest.Length
        constants8 y p
        let mutable first = 0

        while first < n do
            for j in first .. min (first + 8) n - 1 do
                y8[j] <- Partials.Variable(y[j], j - first)

            evaluate8 (constant8 t)
            copyColumns first n dest

            for j in first .. min (first + 8) n - 1 do
                y8[j] <- constant8 y[j]

            first <- first + 8

    /// df/dp (n x parameters) at (t, y; p).
    member _.ParameterJacobian(t: float, y: ReadOnlySpan<float>, p: ReadOnlySpan<float>, dest: Span<float>) =
        checkPoint y p
        check "The parameter Jacobian" (n * m) dest.Length
        constants8 y p
        let mutable first = 0

        while first < m do
            for j in first .. min (first + 8) m - 1 do
                p8[j] <- Partials.Variable(p[j], j - first)

            evaluate8 (constant8 t)
            copyColumns first m dest

            for j in first .. min (first + 8) m - 1 do
                p8[j] <- constant8 p[j]

            first <- first + 8

    /// The directional derivative df/dt dt + df/dy dy + df/dp dp (n) at (t, y; p). An empty dy or dp counts as zero.
    member _.Directional
        (
            t: float,
            y: ReadOnlySpan<float>,
            p: ReadOnlySpan<float>,
            dt: float,
            dy: ReadOnlySpan<float>,
            dp: ReadOnlySpan<float>,
            dest: Span<float>
        ) =
        checkPoint y p
        check "The result" n dest.Length

        if dy.Length <> 0 then
            check "The direction of the state" n dy.Length

        if dp.Length <> 0 then
            check "The direction of the parameters" m dp.Length

        for i in 0 .. n - 1 do
            y1[i] <- Dual<Real>(Real y[i], Real(if dy.Length = 0 then 0.0 else dy[i]))

        for i in 0 .. m - 1 do
            p1[i] <- Dual<Real>(Real p[i], Real(if dp.Length = 0 then 0.0 else dp[i]))

        let t1 = Dual<Real>(Real t, Real dt)
        field.Evaluate<Dual<Real>>(t1, ReadOnlySpan<Dual<Real>> y1, ReadOnlySpan<Dual<Real>> p1, Span<Dual<Real>> f1)

        for i in 0 .. n - 1 do
            dest[i] <- f1[i].Tangent.Value

    /// df/dt (n) at (t, y; p).
    member this.TimeDerivative(t: float, y: ReadOnlySpan<float>, p: ReadOnlySpan<float>, dest: Span<float>) =
        this.Directional(t, y, p, 1.0, ReadOnlySpan<float>.Empty, ReadOnlySpan<float>.Empty, dest)

    /// The Jacobian-vector product df/dy v (n) at (t, y; p).
    member this.Jvp
        (t: float, y: ReadOnlySpan<float>, p: ReadOnlySpan<float>, v: ReadOnlySpan<float>, dest: Span<float>)
        =
        check "The direction of the state" n v.Length
        this.Directional(t, y, p, 0.0, v, ReadOnlySpan<float>.Empty, dest)

    /// The vector-Jacobian products w df/dy (n) and w df/dp (parameters) at (t, y; p), and w df/dt as the result: one evaluation
    /// and one sweep whatever the sizes. byY and byP are overwritten; pass an empty byP to leave the parameters out.
    member _.Vjp
        (
            t: float,
            y: ReadOnlySpan<float>,
            p: ReadOnlySpan<float>,
            w: ReadOnlySpan<float>,
            byY: Span<float>,
            byP: Span<float>
        ) : float =
        checkPoint y p
        check "The vector" n w.Length
        check "The result" n byY.Length

        if byP.Length <> 0 then
            check "The result for the parameters" m byP.Length

        let tape = tape.Value
        tape.Reset()
        let tBack = tape.Variable(Real t)

        for i in 0 .. n - 1 do
            yBack[i] <- tape.Variable(Real y[i])

        for i in 0 .. m - 1 do
            pBack[i] <-
                if byP.Length = 0 then
                    Reverse<Real>(Real p[i], 0, null)
                else
                    tape.Variable(Real p[i])

        field.Evaluate<Reverse<Real>>(
            tBack,
            ReadOnlySpan<Reverse<Real>> yBack,
            ReadOnlySpan<Reverse<Real>> pBack,
            Span<Reverse<Real>> fBack
        )

        tape.Backward(ReadOnlySpan<Reverse<Real>> fBack, Real.Of w)

        for i in 0 .. n - 1 do
            byY[i] <- tape.Adjoint(yBack[i]).Value

        for i in 0 .. byP.Length - 1 do
            byP[i] <- tape.Adjoint(pBack[i]).Value

        tape.Adjoint(tBack).Value
