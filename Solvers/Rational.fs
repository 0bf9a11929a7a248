namespace Continuum

open System
open System.Globalization
open System.Numerics
open System.Runtime.InteropServices

/// An exact rational number in lowest terms: what a paper prints, with no rounding. Coefficients
/// are read, checked and proved as rationals; only the steppers see floats.
[<StructuralEquality; NoComparison>]
type Rational = private {
    Num: BigInteger
    Den: BigInteger
} with

    /// The numerator; it carries the sign.
    member x.Numerator = x.Num

    /// The denominator, at least 1.
    member x.Denominator = x.Den

    /// True for 0.
    member x.IsZero = x.Num.IsZero

    /// The quotient of two integers, reduced to lowest terms. DivideByZeroException if the
    /// denominator is 0.
    static member Create(numerator: BigInteger, denominator: BigInteger) : Rational =
        if denominator.IsZero then
            raise (DivideByZeroException "The denominator of a rational number is 0.")

        let divisor = BigInteger.GreatestCommonDivisor(numerator, denominator)
        let divisor = if denominator.Sign < 0 then -divisor else divisor

        { Num = numerator / divisor; Den = denominator / divisor }

    /// The integer n.
    static member OfInt(n: int) : Rational = { Num = BigInteger n; Den = BigInteger.One }

    /// 0.
    static member Zero: Rational = Rational.OfInt 0

    /// 1.
    static member One: Rational = Rational.OfInt 1

    /// The exact sum.
    static member (+)(x: Rational, y: Rational) : Rational =
        if x.IsZero then y
        elif y.IsZero then x
        else Rational.Create(x.Num * y.Den + y.Num * x.Den, x.Den * y.Den)

    /// The negative.
    static member (~-)(x: Rational) : Rational = { x with Num = -x.Num }

    /// The exact difference.
    static member (-)(x: Rational, y: Rational) : Rational = x + -y

    /// The exact product.
    static member (*)(x: Rational, y: Rational) : Rational =
        if x.IsZero || y.IsZero then
            Rational.Zero
        else
            Rational.Create(x.Num * y.Num, x.Den * y.Den)

    /// The exact quotient. DivideByZeroException if the divisor is 0.
    static member (/)(x: Rational, y: Rational) : Rational = Rational.Create(x.Num * y.Den, x.Den * y.Num)

    /// The nearest double, ties to even, in the normal range. A fraction of 300-digit integers is
    /// rounded once, where dividing two rounded doubles would round three times or overflow.
    member x.ToDouble() : float =
        if x.Num.IsZero then
            0.0
        else
            // 61 or 62 bits of quotient; the lowest is kept odd when a remainder is left, so that
            // a tie is not seen where there is none.
            let magnitude = BigInteger.Abs x.Num
            let shift = 61 - int (magnitude.GetBitLength() - x.Den.GetBitLength())
            let dividend = if shift > 0 then magnitude <<< shift else magnitude
            let divisor = if shift < 0 then x.Den <<< -shift else x.Den
            let struct (quotient, rest) = BigInteger.DivRem(dividend, divisor)
            let bits = int64 quotient ||| (if rest.IsZero then 0L else 1L)
            Math.ScaleB(float bits, -shift) * float x.Num.Sign

    /// The integer m with m / 2^bits nearest to it: a fixed-point copy, wrong by at most
    /// 2^-(bits+1), for long products whose exact fractions would grow without bound.
    member x.ToFixedPoint(bits: int) : BigInteger =
        let half = BigInteger.One <<< bits

        let struct (quotient, rest) =
            BigInteger.DivRem(x.Num * half * BigInteger 2 + x.Den, x.Den * BigInteger 2)

        if rest.Sign < 0 then quotient - BigInteger.One else quotient

    /// "p/q", or "p" for an integer; reading it back gives the same number.
    override x.ToString() =
        let num = x.Num.ToString CultureInfo.InvariantCulture

        if x.Den.IsOne then
            num
        else
            num + "/" + x.Den.ToString CultureInfo.InvariantCulture

    /// The value of a printed number and the unit of its last printed place: 0 for an integer or a
    /// fraction, which are exact, and 1e-4 for "0.0250".
    static member internal Read(text: string) : struct (Rational * Rational) voption =
        let isDigits (part: string) = part <> "" && String.forall Char.IsAsciiDigit part
        let integer (digits: string) = BigInteger.Parse(digits, CultureInfo.InvariantCulture)
        let trimmed = text.Trim()
        let isNegative = trimmed.StartsWith '-'
        let signed (digits: string) = if isNegative then -(integer digits) else integer digits
        let unsigned = if isNegative || trimmed.StartsWith '+' then trimmed.Substring 1 else trimmed

        let decimal (whole: string) (fraction: string) (exponent: int) =
            let places = fraction.Length - exponent
            let power = BigInteger.Pow(BigInteger 10, abs places)
            let one = BigInteger.One
            let unit = if places > 0 then Rational.Create(one, power) else Rational.Create(power, one)
            let value = Rational.Create(signed (whole + fraction), one) * unit
            ValueSome(struct (value, (if fraction = "" && exponent = 0 then Rational.Zero else unit)))

        let mantissa (digits: string) exponent =
            match digits.Split '.' with
            | [| whole |] when isDigits whole -> decimal whole "" exponent
            | [| whole; fraction |] when isDigits (whole + fraction) -> decimal whole fraction exponent
            | _ -> ValueNone

        match unsigned.Split '/' with
        | [| p; q |] when isDigits p && isDigits q && not (integer q).IsZero ->
            ValueSome(struct (Rational.Create(signed p, integer q), Rational.Zero))
        | [| whole |] ->
            match whole.Split('e', 'E') with
            | [| digits |] -> mantissa digits 0
            | [| digits; e |] when isDigits (e.TrimStart('+', '-')) && e.TrimStart('+', '-').Length <= 4 ->
                match Int32.TryParse(e, NumberStyles.AllowLeadingSign, CultureInfo.InvariantCulture) with
                | true, exponent -> mantissa digits exponent
                | _ -> ValueNone
            | _ -> ValueNone
        | _ -> ValueNone

    /// Reads "3", "-2/9", "0.25" or "-4.46e-2" exactly, in the invariant culture. False, with 0, for
    /// anything else; a decimal exponent may have at most four digits.
    static member TryParse(text: string, [<Out>] value: byref<Rational>) : bool =
        match Rational.Read text with
        | ValueSome(struct (number, _)) ->
            value <- number
            true
        | ValueNone ->
            value <- Rational.Zero
            false

    /// Reads "3", "-2/9", "0.25" or "-4.46e-2" exactly, in the invariant culture. FormatException
    /// for anything else.
    static member Parse(text: string) : Rational =
        match Rational.Read text with
        | ValueSome(struct (number, _)) -> number
        | ValueNone -> raise (FormatException $"'{text}' is neither an integer, a fraction nor a decimal number.")
