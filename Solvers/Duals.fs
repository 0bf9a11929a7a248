// Forward derivatives along one direction, over any kind of number.
namespace Continuum

#nowarn "3535" "3536"

open System.Numerics
open RealOperators

/// The derivative factors of the elementary functions, over any number.
[<RequireQualifiedAccess>]
module internal Slope =
    /// p x^(p-1), the derivative of x^p.
    let inline ofPow<'N when 'N: struct and 'N :> IReal<'N>> (x: 'N) (p: float) : 'N =
        if p = 0.0 then 'N.Of 0.0
        elif p = 1.0 then 'N.Of 1.0
        else p *. 'N.Pow(x, Operators.(-) p 1.0)

    /// x with the sign of s, 0 where s is 0 (the derivative of |s| along x).
    let inline signed<'N when 'N: struct and 'N :> IReal<'N>> (s: 'N) (x: 'N) : 'N =
        let zero = 'N.Of 0.0
        'N.IfLess(zero, s, x, 'N.IfLess(s, zero, -x, s * zero))

/// A number with a derivative along one direction: value + tangent e, e^2 = 0. 'N may be another number with derivatives:
/// Dual<Dual<Real>> gives second derivatives, Dual<Partials> the derivative of eight partial derivatives.
[<Struct; NoComparison>]
type Dual<'N when 'N: struct and 'N :> IReal<'N>>(value: 'N, tangent: 'N) =
    /// The number itself.
    member _.Value = value
    /// Its derivative along the direction that the inputs' tangents give.
    member _.Tangent = tangent

    /// The value, then the tangent.
    override _.ToString() = $"{value} + {tangent} e"

    interface IAdditionOperators<Dual<'N>, Dual<'N>, Dual<'N>> with
        static member op_Addition(a, b) = Dual<'N>(a.Value + b.Value, a.Tangent + b.Tangent)

    interface ISubtractionOperators<Dual<'N>, Dual<'N>, Dual<'N>> with
        static member op_Subtraction(a, b) = Dual<'N>(a.Value - b.Value, a.Tangent - b.Tangent)

    interface IMultiplyOperators<Dual<'N>, Dual<'N>, Dual<'N>> with
        static member op_Multiply(a, b) = Dual<'N>(a.Value * b.Value, a.Tangent * b.Value + a.Value * b.Tangent)

    interface IDivisionOperators<Dual<'N>, Dual<'N>, Dual<'N>> with
        static member op_Division(a, b) =
            let q = a.Value / b.Value
            Dual<'N>(q, (a.Tangent - q * b.Tangent) / b.Value)

    interface IUnaryNegationOperators<Dual<'N>, Dual<'N>> with
        static member op_UnaryNegation a = Dual<'N>(-a.Value, -a.Tangent)

    interface IReal<Dual<'N>> with
        static member Of x = Dual<'N>('N.Of x, 'N.Of 0.0)

        static member Sqrt x =
            let root = 'N.Sqrt x.Value
            Dual<'N>(root, 0.5 *. x.Tangent / root)

        static member Exp x =
            let power = 'N.Exp x.Value
            Dual<'N>(power, x.Tangent * power)

        static member Log x = Dual<'N>('N.Log x.Value, x.Tangent / x.Value)
        static member Sin x = Dual<'N>('N.Sin x.Value, x.Tangent * 'N.Cos x.Value)
        static member Cos x = Dual<'N>('N.Cos x.Value, -(x.Tangent * 'N.Sin x.Value))

        static member Tanh x =
            let value = 'N.Tanh x.Value
            Dual<'N>(value, x.Tangent * (1.0 -. value * value))

        static member Pow(x, p) = Dual<'N>('N.Pow(x.Value, p), x.Tangent * Slope.ofPow x.Value p)
        static member Abs x = Dual<'N>('N.Abs x.Value, Slope.signed x.Value x.Tangent)

        static member Min(a, b) = Dual<'N>('N.Min(a.Value, b.Value), 'N.IfLess(b.Value, a.Value, b.Tangent, a.Tangent))

        static member Max(a, b) = Dual<'N>('N.Max(a.Value, b.Value), 'N.IfLess(a.Value, b.Value, b.Tangent, a.Tangent))

        static member IfLess(a, b, x, y) =
            Dual<'N>('N.IfLess(a.Value, b.Value, x.Value, y.Value), 'N.IfLess(a.Value, b.Value, x.Tangent, y.Tangent))
