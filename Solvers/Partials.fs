// Eight forward derivatives at once, in one SIMD register.
namespace Continuum

#nowarn "3535" "3536"

open System
open System.Numerics
open System.Runtime.CompilerServices
open System.Runtime.Intrinsics

/// A double with eight partial derivatives: one evaluation of a field on these gives eight columns of its Jacobian.
[<Struct; NoComparison>]
type Partials(value: float, partials: Vector512<float>) =
    /// Number of partial derivatives.
    static member Count = 8

    /// The number itself.
    member _.Value = value
    /// Its eight partial derivatives.
    member _.Derivatives = partials

    /// One partial derivative.
    member _.Item
        with get (i: int) = partials.GetElement i

    /// The variable number i of eight: derivative 1 with respect to itself.
    static member Variable(x: float, i: int) = Partials(x, Vector512<float>.Zero.WithElement(i, 1.0))

    /// f(x) with f'(x) = slope: the chain rule.
    [<MethodImpl(MethodImplOptions.AggressiveInlining)>]
    static member private Chain(x: Partials, value: float, slope: float) =
        Partials(value, Vector512.Multiply(x.Derivatives, slope))

    /// The value, then the partial derivatives.
    override _.ToString() = $"{value} + {partials} e"

    interface IAdditionOperators<Partials, Partials, Partials> with
        [<MethodImpl(MethodImplOptions.AggressiveInlining)>]
        static member op_Addition(a, b) = Partials(a.Value + b.Value, a.Derivatives + b.Derivatives)

    interface ISubtractionOperators<Partials, Partials, Partials> with
        [<MethodImpl(MethodImplOptions.AggressiveInlining)>]
        static member op_Subtraction(a, b) = Partials(a.Value - b.Value, a.Derivatives - b.Derivatives)

    interface IMultiplyOperators<Partials, Partials, Partials> with
        [<MethodImpl(MethodImplOptions.AggressiveInlining)>]
        static member op_Multiply(a, b) =
            Partials(
                a.Value * b.Value,
                Vector512.Multiply(a.Derivatives, b.Value) + Vector512.Multiply(b.Derivatives, a.Value)
            )

    interface IDivisionOperators<Partials, Partials, Partials> with
        [<MethodImpl(MethodImplOptions.AggressiveInlining)>]
        static member op_Division(a, b) =
            let q = a.Value / b.Value
            Partials(q, Vector512.Divide(a.Derivatives - Vector512.Multiply(b.Derivatives, q), b.Value))

    interface IUnaryNegationOperators<Partials, Partials> with
        [<MethodImpl(MethodImplOptions.AggressiveInlining)>]
        static member op_UnaryNegation a = Partials(-a.Value, -a.Derivatives)

    interface IReal<Partials> with
        static member Of x = Partials(x, Vector512<float>.Zero)

        static member Sqrt x =
            let root = Math.Sqrt x.Value
            Partials.Chain(x, root, 0.5 / root)

        static member Exp x =
            let power = Math.Exp x.Value
            Partials.Chain(x, power, power)

        static member Log x = Partials.Chain(x, Math.Log x.Value, 1.0 / x.Value)

        static member Sin x =
            let struct (sine, cosine) = Math.SinCos x.Value
            Partials.Chain(x, sine, cosine)

        static member Cos x =
            let struct (sine, cosine) = Math.SinCos x.Value
            Partials.Chain(x, cosine, -sine)

        static member Tanh x =
            let value = Math.Tanh x.Value
            Partials.Chain(x, value, 1.0 - value * value)

        static member Pow(x, p) =
            let slope = Slope.ofPow (Real x.Value) p
            Partials.Chain(x, ConstantPower.of' x.Value p, slope.Value)

        static member Abs x = Partials.Chain(x, Math.Abs x.Value, (Slope.signed (Real x.Value) (Real 1.0)).Value)

        static member Min(a, b) =
            Partials(Math.Min(a.Value, b.Value), (if b.Value < a.Value then b.Derivatives else a.Derivatives))

        static member Max(a, b) =
            Partials(Math.Max(a.Value, b.Value), (if a.Value < b.Value then b.Derivatives else a.Derivatives))

        static member IfLess(a, b, x, y) = if a.Value < b.Value then x else y
