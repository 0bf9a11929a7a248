// Eight independent numbers in one SIMD register.
namespace Continuum

#nowarn "3535" "3536"

open System
open System.Numerics
open System.Runtime.CompilerServices
open System.Runtime.Intrinsics

/// Eight doubles that go through the same operations, each lane alone: AVX-512 in one register; older machines in two or four, with
/// the same bits. Arithmetic is that of Real bit for bit; exp, log, sin and cos agree with Math within two units in the last place,
/// tanh within four (Math's own is off by two).
[<Struct; NoComparison>]
type Lanes(value: Vector512<float>) =
    /// Number of lanes.
    static member Count = 8

    /// The register.
    member _.Value = value

    /// One lane.
    member _.Item
        with get (lane: int) = value.GetElement lane

    /// The same with another number in one lane.
    member _.With(lane: int, x: float) = Lanes(value.WithElement(lane, x))

    /// The first eight numbers of a span. IndexOutOfRangeException or ArgumentOutOfRangeException where it has fewer.
    static member Of(values: ReadOnlySpan<float>) = Lanes(Vector512.Create<float> values)

    /// All bits of a lane where a < b, none elsewhere.
    [<MethodImpl(MethodImplOptions.AggressiveInlining)>]
    static member internal LessThan(a: Lanes, b: Lanes) = Vector512.LessThan(a.Value, b.Value)

    /// x in the lanes of the mask, y in the others.
    [<MethodImpl(MethodImplOptions.AggressiveInlining)>]
    static member internal Select(mask: Vector512<float>, x: Lanes, y: Lanes) =
        Lanes(Vector512.ConditionalSelect(mask, x.Value, y.Value))

    /// The lanes in brackets.
    override _.ToString() = value.ToString()

    interface IAdditionOperators<Lanes, Lanes, Lanes> with
        [<MethodImpl(MethodImplOptions.AggressiveInlining)>]
        static member op_Addition(a, b) = Lanes(a.Value + b.Value)

    interface ISubtractionOperators<Lanes, Lanes, Lanes> with
        [<MethodImpl(MethodImplOptions.AggressiveInlining)>]
        static member op_Subtraction(a, b) = Lanes(a.Value - b.Value)

    interface IMultiplyOperators<Lanes, Lanes, Lanes> with
        [<MethodImpl(MethodImplOptions.AggressiveInlining)>]
        static member op_Multiply(a, b) = Lanes(a.Value * b.Value)

    interface IDivisionOperators<Lanes, Lanes, Lanes> with
        [<MethodImpl(MethodImplOptions.AggressiveInlining)>]
        static member op_Division(a, b) = Lanes(a.Value / b.Value)

    interface IUnaryNegationOperators<Lanes, Lanes> with
        [<MethodImpl(MethodImplOptions.AggressiveInlining)>]
        static member op_UnaryNegation a = Lanes(-a.Value)

    interface IReal<Lanes> with
        [<MethodImpl(MethodImplOptions.AggressiveInlining)>]
        static member Of x = Lanes(Vector512.Create x)

        [<MethodImpl(MethodImplOptions.AggressiveInlining)>]
        static member Sqrt x = Lanes(Vector512.Sqrt x.Value)

        static member Exp x = Lanes(LaneFunctions.exp x.Value)
        static member Log x = Lanes(LaneFunctions.log x.Value)
        static member Sin x = Lanes(LaneFunctions.sin x.Value)
        static member Cos x = Lanes(LaneFunctions.cos x.Value)
        static member Tanh x = Lanes(LaneFunctions.tanh x.Value)
        static member Pow(x, p) = Lanes(LaneFunctions.pow x.Value p)

        [<MethodImpl(MethodImplOptions.AggressiveInlining)>]
        static member Abs x = Lanes(Vector512.Abs x.Value)

        [<MethodImpl(MethodImplOptions.AggressiveInlining)>]
        static member Min(a, b) = Lanes(Vector512.Min(a.Value, b.Value))

        [<MethodImpl(MethodImplOptions.AggressiveInlining)>]
        static member Max(a, b) = Lanes(Vector512.Max(a.Value, b.Value))

        [<MethodImpl(MethodImplOptions.AggressiveInlining)>]
        static member IfLess(a, b, x, y) =
            Lanes(Vector512.ConditionalSelect(Vector512.LessThan(a.Value, b.Value), x.Value, y.Value))
