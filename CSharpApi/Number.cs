extern alias core;

using System;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using Core = core::Continuum;

namespace Continuum;

/// <summary>A number of the core as the facade's fields see it; laid out as the number itself.</summary>
internal readonly struct Number<TInner>(TInner value) : IReal<Number<TInner>>
    where TInner : struct, Core.IReal<TInner>
{
    private readonly TInner _value = value;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Number<TInner> operator +(Number<TInner> a, Number<TInner> b) => new(a._value + b._value);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Number<TInner> operator +(double a, Number<TInner> b) => new(TInner.Of(a) + b._value);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Number<TInner> operator +(Number<TInner> a, double b) => new(a._value + TInner.Of(b));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Number<TInner> operator -(Number<TInner> a, Number<TInner> b) => new(a._value - b._value);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Number<TInner> operator -(double a, Number<TInner> b) => new(TInner.Of(a) - b._value);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Number<TInner> operator -(Number<TInner> a, double b) => new(a._value - TInner.Of(b));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Number<TInner> operator *(Number<TInner> a, Number<TInner> b) => new(a._value * b._value);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Number<TInner> operator *(double a, Number<TInner> b) => new(TInner.Of(a) * b._value);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Number<TInner> operator *(Number<TInner> a, double b) => new(a._value * TInner.Of(b));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Number<TInner> operator /(Number<TInner> a, Number<TInner> b) => new(a._value / b._value);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Number<TInner> operator /(double a, Number<TInner> b) => new(TInner.Of(a) / b._value);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Number<TInner> operator /(Number<TInner> a, double b) => new(a._value / TInner.Of(b));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Number<TInner> operator -(Number<TInner> a) => new(-a._value);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Number<TInner> Constant(double x) => new(TInner.Of(x));

    public static Number<TInner> Sqrt(Number<TInner> x) => new(TInner.Sqrt(x._value));

    public static Number<TInner> Exp(Number<TInner> x) => new(TInner.Exp(x._value));

    public static Number<TInner> Log(Number<TInner> x) => new(TInner.Log(x._value));

    public static Number<TInner> Sin(Number<TInner> x) => new(TInner.Sin(x._value));

    public static Number<TInner> Cos(Number<TInner> x) => new(TInner.Cos(x._value));

    public static Number<TInner> Tanh(Number<TInner> x) => new(TInner.Tanh(x._value));

    public static Number<TInner> Pow(Number<TInner> x, double p) => new(TInner.Pow(x._value, p));

    public static Number<TInner> Abs(Number<TInner> x) => new(TInner.Abs(x._value));

    public static Number<TInner> Min(Number<TInner> a, Number<TInner> b) => new(TInner.Min(a._value, b._value));

    public static Number<TInner> Max(Number<TInner> a, Number<TInner> b) => new(TInner.Max(a._value, b._value));

    public static Number<TInner> IfLess(Number<TInner> a, Number<TInner> b, Number<TInner> x, Number<TInner> y) =>
        new(TInner.IfLess(a._value, b._value, x._value, y._value));
}

/// <summary>A field of the facade as the core sees it: the same memory, read as the facade's numbers.</summary>
internal readonly struct CoreField<TField>(TField field) : Core.IGenericField
    where TField : struct, IGenericField
{
    private readonly TField _field = field;

    public int Size => _field.Size;

    public int ParameterCount => _field.ParameterCount;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public void Evaluate<T>(T t, ReadOnlySpan<T> y, ReadOnlySpan<T> p, Span<T> dydt)
        where T : struct, Core.IReal<T> => _field.Evaluate(new Number<T>(t), NumberSpans.Read(y), NumberSpans.Read(p), NumberSpans.Write(dydt));
}

/// <summary>Spans of the core's numbers as the facade's, in the same memory.</summary>
internal static class NumberSpans
{
    // Not MemoryMarshal.Cast, which refuses numbers that hold references (those on a tape).
    internal static ReadOnlySpan<Number<T>> Read<T>(ReadOnlySpan<T> span)
        where T : struct, Core.IReal<T> =>
        MemoryMarshal.CreateReadOnlySpan(ref Unsafe.As<T, Number<T>>(ref MemoryMarshal.GetReference(span)), span.Length);

    internal static Span<Number<T>> Write<T>(Span<T> span)
        where T : struct, Core.IReal<T> =>
        MemoryMarshal.CreateSpan(ref Unsafe.As<T, Number<T>>(ref MemoryMarshal.GetReference(span)), span.Length);
}
