// Elementary functions of eight doubles at once. The framework's own take another path when any lane leaves the common range,
// so that a lane's bits depend on its neighbours; here each lane is a function of itself alone, on every machine.
namespace Continuum

open System
open System.Runtime.CompilerServices
open System.Runtime.Intrinsics

/// exp, log, sin, cos and tanh in lanes, to about an ulp (tanh two). Argument reductions after Cody and Waite 1980.
[<RequireQualifiedAccess>]
module internal LaneFunctions =
    type private V = Vector512<float>

    let inline private all (x: float) = Vector512.Create x
    let inline private allBits (x: int64) = Vector512.Create x
    let inline private fma (a: V) (b: V) (c: V) = Vector512.FusedMultiplyAdd(a, b, c)
    let inline private bits (x: V) = x.AsInt64()
    let inline private number (x: Vector512<int64>) = x.AsDouble()

    // Added to a number below 2^51 in size it leaves the nearest integer in the low bits.
    [<Literal>]
    let private Rounder = 6755399441055744.0

    // ln 2 and pi/2 in parts.
    [<Literal>]
    let private Ln2 = 0.6931471805599453

    [<Literal>]
    let private Ln2Rest = 2.3190468138462996e-17

    // The first 32 bits of ln 2 and the rest: an exponent times the first is exact.
    [<Literal>]
    let private Ln2Short = 0.693147180369123816490

    [<Literal>]
    let private Ln2ShortRest = 1.90821492927058770002e-10

    [<Literal>]
    let private HalfPi = 1.5707963267948966

    [<Literal>]
    let private HalfPiRest = 6.123233995736766e-17

    [<Literal>]
    let private HalfPiRest2 = -1.4973849048591833e-33

    /// e^r - 1 for |r| <= ln(2)/2, by its Taylor series.
    let inline private expReduced (r: V) =
        let p = all (1.0 / 6227020800.0)
        let p = fma p r (all (1.0 / 479001600.0))
        let p = fma p r (all (1.0 / 39916800.0))
        let p = fma p r (all (1.0 / 3628800.0))
        let p = fma p r (all (1.0 / 362880.0))
        let p = fma p r (all (1.0 / 40320.0))
        let p = fma p r (all (1.0 / 5040.0))
        let p = fma p r (all (1.0 / 720.0))
        let p = fma p r (all (1.0 / 120.0))
        let p = fma p r (all (1.0 / 24.0))
        let p = fma p r (all (1.0 / 6.0))
        let p = fma p r (all 0.5)
        fma (r * r) p r

    /// The integer k nearest x / ln 2 (in the low bits, and as a number) and x - k ln 2.
    let inline private reduceExp (x: V) =
        let shifted = fma x (all (1.0 / Ln2)) (all Rounder)
        let k = shifted - all Rounder
        let r = fma k (all -Ln2Rest) (fma k (all -Ln2) x)
        struct (bits shifted - allBits (BitConverter.DoubleToInt64Bits Rounder), r)

    /// e^x.
    let exp (x: V) : V =
        // Beyond these the result is 0 or infinite anyway.
        let struct (k, r) = reduceExp (Vector512.Max(Vector512.Min(x, all 800.0), all -800.0))
        let value = all 1.0 + expReduced r
        // 2^k as a product of two, for results near the ends of the range.
        let shifted = k + allBits 4096L
        let half = Vector512.ShiftRightLogical(shifted, 1)
        let inline power (part: Vector512<int64>) = number (Vector512.ShiftLeft(part - allBits 1025L, 52))
        value * power half * power (shifted - half)

    /// Natural logarithm.
    let log (x: V) : V =
        let small = Vector512.LessThan(x, all 2.2250738585072014e-308)
        let normal = Vector512.ConditionalSelect(small, x * all 18014398509481984.0, x)
        let offset = Vector512.ConditionalSelect(small, all (2048.0 + 54.0), all 2048.0)
        // normal = 2^e m with m in [sqrt(1/2), sqrt 2)
        let shifted =
            bits normal - allBits (BitConverter.DoubleToInt64Bits(Math.Sqrt 0.5)) + allBits (2048L <<< 52)

        let power = Vector512.ShiftRightLogical(shifted, 52)
        let m = number (bits normal - Vector512.ShiftLeft(power - allBits 2048L, 52))
        let two52 = all 4503599627370496.0
        let e = number (power ||| bits two52) - two52 - offset
        let f = m - all 1.0
        let s = f / (all 1.0 + m)
        let z = s * s
        let p = all (2.0 / 23.0)
        let p = fma p z (all (2.0 / 21.0))
        let p = fma p z (all (2.0 / 19.0))
        let p = fma p z (all (2.0 / 17.0))
        let p = fma p z (all (2.0 / 15.0))
        let p = fma p z (all (2.0 / 13.0))
        let p = fma p z (all (2.0 / 11.0))
        let p = fma p z (all (2.0 / 9.0))
        let p = fma p z (all (2.0 / 7.0))
        let p = fma p z (all (2.0 / 5.0))
        let p = fma p z (all (2.0 / 3.0))
        // log(1 + f) = 2 artanh s, arranged so that f, which is exact, carries the leading bits.
        let half = all 0.5 * f * f
        let tail = fma e (all Ln2ShortRest) (s * fma z p half)
        let value = fma e (all Ln2Short) (f - (half - tail))
        let value = Vector512.ConditionalSelect(Vector512.Equals(x, all infinity), x, value)
        let value = Vector512.ConditionalSelect(Vector512.Equals(x, all 0.0), all -infinity, value)
        Vector512.ConditionalSelect(Vector512.GreaterThanOrEqual(x, all 0.0), value, all nan)

    /// sin(x + turns pi/2) for |x| <= 2^20.
    let inline private sinTurned (x: V) (turns: int64) =
        let shifted = fma x (all (1.0 / HalfPi)) (all Rounder)
        let n = shifted - all Rounder
        let r = fma n (all -HalfPiRest2) (fma n (all -HalfPiRest) (fma n (all -HalfPi) x))
        let quadrant = bits shifted + allBits turns
        let z = r * r
        let s = all (1.0 / 355687428096000.0)
        let s = fma s z (all (-1.0 / 1307674368000.0))
        let s = fma s z (all (1.0 / 6227020800.0))
        let s = fma s z (all (-1.0 / 39916800.0))
        let s = fma s z (all (1.0 / 362880.0))
        let s = fma s z (all (-1.0 / 5040.0))
        let s = fma s z (all (1.0 / 120.0))
        let s = fma s z (all (-1.0 / 6.0))
        let sine = fma (r * z) s r
        let c = all (-1.0 / 6402373705728000.0)
        let c = fma c z (all (1.0 / 20922789888000.0))
        let c = fma c z (all (-1.0 / 87178291200.0))
        let c = fma c z (all (1.0 / 479001600.0))
        let c = fma c z (all (-1.0 / 3628800.0))
        let c = fma c z (all (1.0 / 40320.0))
        let c = fma c z (all (-1.0 / 720.0))
        let c = fma c z (all (1.0 / 24.0))
        let half = all 0.5 * z
        let w = all 1.0 - half
        let cosine = w + (((all 1.0 - w) - half) + z * z * c)
        let even = Vector512.Equals(quadrant &&& allBits 1L, allBits 0L).AsDouble()
        let value = Vector512.ConditionalSelect(even, sine, cosine)
        number (bits value ^^^ Vector512.ShiftLeft(quadrant &&& allBits 2L, 62))

    /// The lanes of value where |x| <= 2^20, else f of the lane.
    let inline private beyond (x: V) (value: V) ([<InlineIfLambda>] f: float -> float) =
        let near = Vector512.LessThanOrEqual(Vector512.Abs x, all 1048576.0)

        if Vector512.EqualsAll(near.AsInt64(), Vector512<int64>.AllBitsSet) then
            value
        else
            let mutable value = value

            for i in 0..7 do
                if not (Math.Abs(x.GetElement i) <= 1048576.0) then
                    value <- value.WithElement(i, f (x.GetElement i))

            value

    /// Sine of radians.
    let sin (x: V) : V = beyond x (sinTurned x 0L) Math.Sin

    /// Cosine of radians.
    let cos (x: V) : V = beyond x (sinTurned x 1L) Math.Cos

    /// Hyperbolic tangent, through e^(2|x|) - 1, which keeps small results accurate.
    let tanh (x: V) : V =
        let struct (k, r) = reduceExp (Vector512.Min(Vector512.Abs x * all 2.0, all 44.0))
        let scale = number (Vector512.ShiftLeft(k + allBits 1023L, 52))
        let grown = fma scale (expReduced r) (scale - all 1.0)
        let value = grown / (grown + all 2.0)
        number (bits value ||| (bits x &&& allBits Int64.MinValue))

    /// x^p for a constant p.
    let pow (x: V) (p: float) : V =
        if p = 2.0 then
            x * x
        elif p = 1.0 then
            x
        elif p = 3.0 then
            x * x * x
        elif p = 4.0 then
            let square = x * x
            square * square
        elif p = -1.0 then
            all 1.0 / x
        else
            let mutable value = x

            for i in 0..7 do
                value <- value.WithElement(i, Math.Pow(x.GetElement i, p))

            value
