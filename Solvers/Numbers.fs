// Numbers as the fields of small systems see them: a field written once over IReal runs on double, on SIMD lanes (several
// trajectories at once) and on dual numbers (exact derivatives).
namespace Continuum

// Interfaces with static members and their use on type variables are what this file is about.
#nowarn "3535" "3536"

open System
open System.Globalization
open System.Numerics
open System.Runtime.InteropServices

/// A real number, or several independent ones in lanes, or one with derivatives. There is no order on it, because lanes may
/// disagree: branch by IfLess, Min, Max and Abs, which act per lane. Operations are those of IEEE 754 and of Math, to the ulp.
type IReal<'T when 'T: struct and 'T :> IReal<'T>> =
    inherit IAdditionOperators<'T, 'T, 'T>
    inherit ISubtractionOperators<'T, 'T, 'T>
    inherit IMultiplyOperators<'T, 'T, 'T>
    inherit IDivisionOperators<'T, 'T, 'T>
    inherit IUnaryNegationOperators<'T, 'T>
    /// The constant x in every lane, with derivative 0.
    static abstract Of: x: float -> 'T
    /// Square root.
    static abstract Sqrt: x: 'T -> 'T
    /// e^x.
    static abstract Exp: x: 'T -> 'T
    /// Natural logarithm.
    static abstract Log: x: 'T -> 'T
    /// Sine of radians.
    static abstract Sin: x: 'T -> 'T
    /// Cosine of radians.
    static abstract Cos: x: 'T -> 'T
    /// Hyperbolic tangent.
    static abstract Tanh: x: 'T -> 'T
    /// x^p for a constant p.
    static abstract Pow: x: 'T * p: float -> 'T
    /// Absolute value; its derivative at 0 is 0.
    static abstract Abs: x: 'T -> 'T
    /// The smaller one, per lane.
    static abstract Min: a: 'T * b: 'T -> 'T
    /// The larger one, per lane.
    static abstract Max: a: 'T * b: 'T -> 'T
    /// x where a < b, else y; per lane.
    static abstract IfLess: a: 'T * b: 'T * x: 'T * y: 'T -> 'T

/// Powers with constant exponents, the same on every kind of number.
[<RequireQualifiedAccess>]
module internal ConstantPower =
    /// Whether x^p is made of products, which are exact to the ulp and cheap in lanes.
    let isProduct (p: float) = p = 1.0 || p = 2.0 || p = 3.0 || p = 4.0 || p = -1.0

    /// x^p.
    let of' (x: float) (p: float) =
        if p = 2.0 then x * x
        elif p = 1.0 then x
        elif p = 3.0 then x * x * x
        elif p = 4.0 then (x * x) * (x * x)
        elif p = -1.0 then 1.0 / x
        else Math.Pow(x, p)

/// A right-hand side y' = f(t, y; p) written once over IReal. Implement it as a struct, so that every use is compiled for it.
type IGenericField =
    /// Components of the state.
    abstract Size: int
    /// Parameters that Evaluate reads.
    abstract ParameterCount: int

    /// Writes f(t, y; p) into dydt (as long as y, not cleared before the call).
    abstract Evaluate<'T when 'T: struct and 'T :> IReal<'T>> :
        t: 'T * y: ReadOnlySpan<'T> * p: ReadOnlySpan<'T> * dydt: Span<'T> -> unit

/// A double as a number for generic fields. Laid out as a double, so that spans of one are spans of the other (Real.Of).
[<Struct; NoComparison>]
type Real(value: float) =
    /// The double.
    member _.Value = value

    /// The same memory as numbers.
    static member Of(values: Span<float>) : Span<Real> = MemoryMarshal.Cast<float, Real> values

    /// The same memory as numbers.
    static member Of(values: ReadOnlySpan<float>) : ReadOnlySpan<Real> = MemoryMarshal.Cast<float, Real> values

    /// The double in the shortest form that reads back.
    override _.ToString() = value.ToString(CultureInfo.InvariantCulture)

    interface IAdditionOperators<Real, Real, Real> with
        static member op_Addition(a, b) = Real(a.Value + b.Value)

    interface ISubtractionOperators<Real, Real, Real> with
        static member op_Subtraction(a, b) = Real(a.Value - b.Value)

    interface IMultiplyOperators<Real, Real, Real> with
        static member op_Multiply(a, b) = Real(a.Value * b.Value)

    interface IDivisionOperators<Real, Real, Real> with
        static member op_Division(a, b) = Real(a.Value / b.Value)

    interface IUnaryNegationOperators<Real, Real> with
        static member op_UnaryNegation a = Real(-a.Value)

    interface IReal<Real> with
        static member Of x = Real x
        static member Sqrt x = Real(Math.Sqrt x.Value)
        static member Exp x = Real(Math.Exp x.Value)
        static member Log x = Real(Math.Log x.Value)
        static member Sin x = Real(Math.Sin x.Value)
        static member Cos x = Real(Math.Cos x.Value)
        static member Tanh x = Real(Math.Tanh x.Value)
        static member Pow(x, p) = Real(ConstantPower.of' x.Value p)
        static member Abs x = Real(Math.Abs x.Value)
        static member Min(a, b) = Real(Math.Min(a.Value, b.Value))
        static member Max(a, b) = Real(Math.Max(a.Value, b.Value))
        static member IfLess(a, b, x, y) = if a.Value < b.Value then x else y

/// Operators and functions for fields written over IReal; open it inside the field's type or module. The arithmetic ones take
/// floats and ints too, so nothing is lost by shadowing. Between a constant and a number the dot is on the number's side:
/// 2.5 *. x, x ./ 2.0.
module RealOperators =
    /// a + b.
    let inline (+) (a: 'T :> IAdditionOperators<'T, 'T, 'T>) (b: 'T) : 'T = 'T.op_Addition (a, b)
    /// a - b.
    let inline (-) (a: 'T :> ISubtractionOperators<'T, 'T, 'T>) (b: 'T) : 'T = 'T.op_Subtraction (a, b)
    /// a * b.
    let inline (*) (a: 'T :> IMultiplyOperators<'T, 'T, 'T>) (b: 'T) : 'T = 'T.op_Multiply (a, b)
    /// a / b.
    let inline (/) (a: 'T :> IDivisionOperators<'T, 'T, 'T>) (b: 'T) : 'T = 'T.op_Division (a, b)
    /// -a.
    let inline (~-) (a: 'T :> IUnaryNegationOperators<'T, 'T>) : 'T = 'T.op_UnaryNegation a
    /// A constant as a number.
    let inline real (c: float) : 'T when 'T: struct and 'T :> IReal<'T> = 'T.Of c
    /// Constant plus number.
    let inline (+.) (c: float) (x: 'T when 'T: struct and 'T :> IReal<'T>) : 'T = 'T.op_Addition ('T.Of c, x)
    /// Constant minus number.
    let inline (-.) (c: float) (x: 'T when 'T: struct and 'T :> IReal<'T>) : 'T = 'T.op_Subtraction ('T.Of c, x)
    /// Constant times number.
    let inline ( *. ) (c: float) (x: 'T when 'T: struct and 'T :> IReal<'T>) : 'T = 'T.op_Multiply ('T.Of c, x)
    /// Constant over number.
    let inline (/.) (c: float) (x: 'T when 'T: struct and 'T :> IReal<'T>) : 'T = 'T.op_Division ('T.Of c, x)
    /// Number plus constant.
    let inline (.+) (x: 'T when 'T: struct and 'T :> IReal<'T>) (c: float) : 'T = 'T.op_Addition (x, 'T.Of c)
    /// Number minus constant.
    let inline (.-) (x: 'T when 'T: struct and 'T :> IReal<'T>) (c: float) : 'T = 'T.op_Subtraction (x, 'T.Of c)
    /// Number times constant.
    let inline (.*) (x: 'T when 'T: struct and 'T :> IReal<'T>) (c: float) : 'T = 'T.op_Multiply (x, 'T.Of c)
    /// Number over constant.
    let inline (./) (x: 'T when 'T: struct and 'T :> IReal<'T>) (c: float) : 'T = 'T.op_Division (x, 'T.Of c)
    /// Square root.
    let inline sqrt (x: 'T when 'T: struct and 'T :> IReal<'T>) : 'T = 'T.Sqrt x
    /// e^x.
    let inline exp (x: 'T when 'T: struct and 'T :> IReal<'T>) : 'T = 'T.Exp x
    /// Natural logarithm.
    let inline log (x: 'T when 'T: struct and 'T :> IReal<'T>) : 'T = 'T.Log x
    /// Sine of radians.
    let inline sin (x: 'T when 'T: struct and 'T :> IReal<'T>) : 'T = 'T.Sin x
    /// Cosine of radians.
    let inline cos (x: 'T when 'T: struct and 'T :> IReal<'T>) : 'T = 'T.Cos x
    /// Hyperbolic tangent.
    let inline tanh (x: 'T when 'T: struct and 'T :> IReal<'T>) : 'T = 'T.Tanh x
    /// x^p for a constant p.
    let inline pow (x: 'T when 'T: struct and 'T :> IReal<'T>) (p: float) : 'T = 'T.Pow(x, p)
    /// Absolute value.
    let inline abs (x: 'T when 'T: struct and 'T :> IReal<'T>) : 'T = 'T.Abs x
    /// The smaller one, per lane.
    let inline min (a: 'T when 'T: struct and 'T :> IReal<'T>) (b: 'T) : 'T = 'T.Min(a, b)
    /// The larger one, per lane.
    let inline max (a: 'T when 'T: struct and 'T :> IReal<'T>) (b: 'T) : 'T = 'T.Max(a, b)
    /// x where a < b, else y; per lane.
    let inline ifLess (a: 'T when 'T: struct and 'T :> IReal<'T>) (b: 'T) (x: 'T) (y: 'T) : 'T = 'T.IfLess(a, b, x, y)
