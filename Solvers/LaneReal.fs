// A double as a lane sees it.
namespace Continuum

#nowarn "3535" "3536"

open System
open System.Numerics
open System.Runtime.CompilerServices
open System.Runtime.Intrinsics

/// A double whose functions are those of Lanes: what one lane computes, alone, and so the same bits on every machine. A single solve over it
/// is a lane of an ensemble, bit for bit. Laid out as a double.
[<Struct; NoComparison>]
type internal LaneReal(value: float) =
    /// The double.
    member _.Value = value

    static member inline private Through(x: LaneReal, [<InlineIfLambda>] f: Vector512<float> -> Vector512<float>) =
        LaneReal((f (Vector512.Create x.Value)).GetElement 0)

    interface IAdditionOperators<LaneReal, LaneReal, LaneReal> with
        [<MethodImpl(MethodImplOptions.AggressiveInlining)>]
        static member op_Addition(a, b) = LaneReal(a.Value + b.Value)

    interface ISubtractionOperators<LaneReal, LaneReal, LaneReal> with
        [<MethodImpl(MethodImplOptions.AggressiveInlining)>]
        static member op_Subtraction(a, b) = LaneReal(a.Value - b.Value)

    interface IMultiplyOperators<LaneReal, LaneReal, LaneReal> with
        [<MethodImpl(MethodImplOptions.AggressiveInlining)>]
        static member op_Multiply(a, b) = LaneReal(a.Value * b.Value)

    interface IDivisionOperators<LaneReal, LaneReal, LaneReal> with
        [<MethodImpl(MethodImplOptions.AggressiveInlining)>]
        static member op_Division(a, b) = LaneReal(a.Value / b.Value)

    interface IUnaryNegationOperators<LaneReal, LaneReal> with
        [<MethodImpl(MethodImplOptions.AggressiveInlining)>]
        static member op_UnaryNegation a = LaneReal(-a.Value)

    interface IReal<LaneReal> with
        static member Of x = LaneReal x
        static member Sqrt x = LaneReal(Math.Sqrt x.Value)
        static member Exp x = LaneReal.Through(x, (fun v -> LaneFunctions.exp v))
        static member Log x = LaneReal.Through(x, (fun v -> LaneFunctions.log v))
        static member Sin x = LaneReal.Through(x, (fun v -> LaneFunctions.sin v))
        static member Cos x = LaneReal.Through(x, (fun v -> LaneFunctions.cos v))
        static member Tanh x = LaneReal.Through(x, (fun v -> LaneFunctions.tanh v))
        static member Pow(x, p) = LaneReal(ConstantPower.of' x.Value p)
        static member Abs x = LaneReal(Math.Abs x.Value)
        static member Min(a, b) = LaneReal(Math.Min(a.Value, b.Value))
        static member Max(a, b) = LaneReal(Math.Max(a.Value, b.Value))
        static member IfLess(a, b, x, y) = if a.Value < b.Value then x else y
