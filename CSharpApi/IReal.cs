using System;

namespace Continuum;

/// <summary>A number that a field written once runs on: a double, eight doubles in SIMD lanes, or a number with derivatives.</summary>
/// <remarks>
/// There is no order on it, because lanes may disagree: branch by <see cref="IfLess"/>, <see cref="Min"/>, <see cref="Max"/> and
/// <see cref="Abs"/>, which act per lane. Operations are those of <see cref="Math"/>, to a few units in the last place. The solvers bring
/// the implementations; fields only use it.
/// </remarks>
/// <typeparam name="T">The number itself.</typeparam>
public interface IReal<T>
    where T : struct, IReal<T>
{
    /// <summary>a + b.</summary>
    static abstract T operator +(T a, T b);

    /// <summary>Constant plus number.</summary>
    static abstract T operator +(double a, T b);

    /// <summary>Number plus constant.</summary>
    static abstract T operator +(T a, double b);

    /// <summary>a - b.</summary>
    static abstract T operator -(T a, T b);

    /// <summary>Constant minus number.</summary>
    static abstract T operator -(double a, T b);

    /// <summary>Number minus constant.</summary>
    static abstract T operator -(T a, double b);

    /// <summary>a * b.</summary>
    static abstract T operator *(T a, T b);

    /// <summary>Constant times number.</summary>
    static abstract T operator *(double a, T b);

    /// <summary>Number times constant.</summary>
    static abstract T operator *(T a, double b);

    /// <summary>a / b.</summary>
    static abstract T operator /(T a, T b);

    /// <summary>Constant over number.</summary>
    static abstract T operator /(double a, T b);

    /// <summary>Number over constant.</summary>
    static abstract T operator /(T a, double b);

    /// <summary>-a.</summary>
    static abstract T operator -(T a);

    /// <summary>A constant as a number.</summary>
    static abstract T Constant(double x);

    /// <summary>Square root.</summary>
    static abstract T Sqrt(T x);

    /// <summary>e to the power of x.</summary>
    static abstract T Exp(T x);

    /// <summary>Natural logarithm.</summary>
    static abstract T Log(T x);

    /// <summary>Sine of radians.</summary>
    static abstract T Sin(T x);

    /// <summary>Cosine of radians.</summary>
    static abstract T Cos(T x);

    /// <summary>Hyperbolic tangent.</summary>
    static abstract T Tanh(T x);

    /// <summary>x to the power of a constant.</summary>
    static abstract T Pow(T x, double p);

    /// <summary>Absolute value; its derivative at 0 is 0.</summary>
    static abstract T Abs(T x);

    /// <summary>The smaller one, per lane.</summary>
    static abstract T Min(T a, T b);

    /// <summary>The larger one, per lane.</summary>
    static abstract T Max(T a, T b);

    /// <summary><paramref name="x"/> where a is below b, else <paramref name="y"/>; per lane.</summary>
    static abstract T IfLess(T a, T b, T x, T y);
}
