// Numbers as the fields of small systems see them: a field written once over IReal runs on double, on SIMD lanes (several
// trajectories at once) and on dual numbers (exact derivatives).
namespace Continuum

// Interfaces with static members and their use on type variables are what this file is about.
#nowarn "3535" "3536"

open System
open System.Numerics

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

/// A right-hand side y' = f(t, y; p) written once over IReal. Implement it as a struct, so that every use is compiled for it.
type IGenericField =
    /// Components of the state.
    abstract Size: int
    /// Parameters that Evaluate reads.
    abstract ParameterCount: int

    /// Writes f(t, y; p) into dydt (as long as y, not cleared before the call).
    abstract Evaluate<'T when 'T: struct and 'T :> IReal<'T>> :
        t: 'T * y: ReadOnlySpan<'T> * p: ReadOnlySpan<'T> * dydt: Span<'T> -> unit
