// From 64 random bits to a normal number, with the same bits of the result on every machine: only +, -, *, / and sqrt, each correctly
// rounded, never fused, in one fixed order; no library function.
namespace Continuum

#nowarn "9"

open System
open System.Numerics
open System.Runtime.CompilerServices
open System.Runtime.InteropServices
open System.Runtime.Intrinsics
open Microsoft.FSharp.NativeInterop

/// The normal quantile by Wichura 1988, algorithm AS 241 (PPND16): relative error about 1e-16. Uniforms are odd multiples of 2^-53:
/// strictly inside (0, 1) and symmetric about 1/2, so that every difference below is exact.
[<RequireQualifiedAccess>]
module internal NormalQuantile =

    /// |u - 1/2| up to here is the centre.
    [<Literal>]
    let Centre = 0.425

    /// The centre's coefficients, from the highest power down: numerator, denominator.
    let CentreTop = [|
        2.5090809287301226727e3
        3.3430575583588128105e4
        6.7265770927008700853e4
        4.5921953931549871457e4
        1.3731693765509461125e4
        1.9715909503065514427e3
        1.3314166789178437745e2
        3.3871328727963666080e0
    |]

    let CentreBottom = [|
        5.2264952788528545610e3
        2.8729085735721942674e4
        3.9307895800092710610e4
        2.1213794301586595867e4
        5.3941960214247511077e3
        6.8718700749205790830e2
        4.2313330701600911252e1
        1.0
    |]

    /// The tail's, for sqrt(-log p) up to 5.
    let TailTop = [|
        7.74545014278341407640e-4
        2.27238449892691845833e-2
        2.41780725177450611770e-1
        1.27045825245236838258e0
        3.64784832476320460504e0
        5.76949722146069140550e0
        4.63033784615654529590e0
        1.42343711074968357734e0
    |]

    let TailBottom = [|
        1.05075007164441684324e-9
        5.47593808499534494600e-4
        1.51986665636164571966e-2
        1.48103976427480074590e-1
        6.89767334985100004550e-1
        1.67638483018380384940e0
        2.05319162663775882187e0
        1.0
    |]

    /// And beyond 5.
    let FarTop = [|
        2.01033439929228813265e-7
        2.71155556874348757815e-5
        1.24266094738807843860e-3
        2.65321895265761230930e-2
        2.96560571828504891230e-1
        1.78482653991729133580e0
        5.46378491116411436990e0
        6.65790464350110377720e0
    |]

    let FarBottom = [|
        2.04426310338993978564e-15
        1.42151175831644588870e-7
        1.84631831751005468180e-5
        7.86869131145613259100e-4
        1.48753612908506148525e-2
        1.36929880922735805310e-1
        5.99832206555887937690e-1
        1.0
    |]

    /// log(1 + f) = 2 artanh(s), s = f/(2 + f): the coefficients 2/21, 2/19, .., 2/3 of the series in s^2.
    let LogSeries = [| for k in 21..-2..3 -> 2.0 / float k |]

    /// ln 2: the first 32 bits, and the rest.
    [<Literal>]
    let Ln2Short = 0.693147180369123816490

    [<Literal>]
    let Ln2Rest = 1.90821492927058770002e-10

    /// Bits of sqrt(1/2), from which exponents are counted.
    [<Literal>]
    let RootHalf = 0x3FE6A09E667F3BCDL

    [<Literal>]
    let private TwoPow52 = 4503599627370496.0

    type private V = Vector512<float>

    /// The uniform number of 64 random bits.
    let uniform (bits: uint64) : float =
        BitConverter.UInt64BitsToDouble((bits >>> 12) ||| 0x3FF0000000000000UL) - 1.0
        + 1.1102230246251565e-16

    /// The same in lanes.
    [<MethodImpl(MethodImplOptions.AggressiveInlining)>]
    let uniformLanes (bits: Vector512<uint64>) : V =
        let one = Vector512.ShiftRightLogical(bits, 12) ||| Vector512.Create 0x3FF0000000000000UL
        one.AsDouble() - Vector512.Create 1.0 + Vector512.Create 1.1102230246251565e-16

    let inline private polynomial ([<InlineIfLambda>] constant: float -> 'V) (c: float[]) (r: 'V) : 'V =
        ((((((constant c[0] * r + constant c[1]) * r + constant c[2]) * r + constant c[3]) * r + constant c[4])
          * r
          + constant c[5])
         * r
         + constant c[6])
        * r
        + constant c[7]

    let inline private logarithmOf
        ([<InlineIfLambda>] constant: float -> 'V)
        (e: 'V) // power of two
        (m: 'V) // in [sqrt(1/2), sqrt 2)
        : 'V =
        let c = LogSeries
        let f = m - constant 1.0
        let s = f / (f + constant 2.0)
        let z = s * s
        let p = constant c[0] * z + constant c[1]
        let p = p * z + constant c[2]
        let p = p * z + constant c[3]
        let p = p * z + constant c[4]
        let p = p * z + constant c[5]
        let p = p * z + constant c[6]
        let p = p * z + constant c[7]
        let p = p * z + constant c[8]
        let p = p * z + constant c[9]
        // s (2 + z p), the large part last.
        e * constant Ln2Short + (s * constant 2.0 + (s * z * p + e * constant Ln2Rest))

    /// The quantile at 1/2 + q, |q| <= 0.425.
    let private central (q: float) =
        let r = 0.180625 - q * q
        q * (polynomial id CentreTop r / polynomial id CentreBottom r)

    let private centralLanes (q: V) : V =
        let inline constant (x: float) = Vector512.Create x
        let r = constant 0.180625 - q * q
        q * (polynomial constant CentreTop r / polynomial constant CentreBottom r)

    /// Natural logarithm of a positive normal number.
    let logarithm (x: float) : float =
        let bits = BitConverter.DoubleToInt64Bits x
        let power = (bits - RootHalf) >>> 52
        logarithmOf id (float power) (BitConverter.Int64BitsToDouble(bits - (power <<< 52)))

    /// The same in lanes, for numbers in (0, 1).
    let logarithmLanes (x: V) : V =
        let bits = x.AsInt64()
        // counted from 2^-2048, so that shifts and the conversion see positive numbers
        let power =
            Vector512.ShiftRightLogical(bits - Vector512.Create RootHalf + Vector512.Create(2048L <<< 52), 52)

        let m = (bits - Vector512.ShiftLeft(power - Vector512.Create 2048L, 52)).AsDouble()

        let two52 = Vector512.Create TwoPow52
        let e = (power ||| two52.AsInt64()).AsDouble() - two52 - Vector512.Create 2048.0
        logarithmOf (fun c -> Vector512.Create c) e m

    /// The quantile at 1/2 + q, |q| > 0.425.
    let private tail (q: float) =
        let r = sqrt (-(logarithm (0.5 - abs q)))

        let size =
            if r <= 5.0 then
                let r = r - 1.6
                polynomial id TailTop r / polynomial id TailBottom r
            else
                let r = r - 5.0
                polynomial id FarTop r / polynomial id FarBottom r

        if q < 0.0 then -size else size

    let private tailLanes (q: V) : V =
        let inline constant (x: float) = Vector512.Create x
        let r = Vector512.Sqrt(-(logarithmLanes (constant 0.5 - Vector512.Abs q)))
        let far = Vector512.GreaterThan(r, constant 5.0)
        let near = r - constant 1.6
        let mutable size = polynomial constant TailTop near / polynomial constant TailBottom near

        if far.AsInt64() <> Vector512<int64>.Zero then
            let r = r - constant 5.0

            size <-
                Vector512.ConditionalSelect(far, polynomial constant FarTop r / polynomial constant FarBottom r, size)

        (size.AsInt64() ||| (q.AsInt64() &&& Vector512.Create Int64.MinValue)).AsDouble()

    /// The standard normal quantile of u, an odd multiple of 2^-53 in (0, 1).
    let quantile (u: float) : float =
        let q = u - 0.5
        if abs q <= Centre then central q else tail q

    // The centre of all numbers first; what lies in the tails (15 %) is collected and done in full registers.
    [<Literal>]
    let private Chunk = 512

    let private transformChunk (values: Span<float>) (places: nativeptr<int>) (tails: nativeptr<float>) =
        let first = &MemoryMarshal.GetReference values
        let whole = values.Length &&& ~~~7
        let mutable count = 0
        let mutable i = 0

        while i < whole do
            let q = Vector512.LoadUnsafe(&first, unativeint i) - Vector512.Create 0.5
            Vector512.StoreUnsafe(centralLanes q, &first, unativeint i)

            let mutable outside =
                Vector512.ExtractMostSignificantBits(Vector512.GreaterThan(Vector512.Abs q, Vector512.Create Centre))

            while outside <> 0UL do
                let lane = BitOperations.TrailingZeroCount outside
                NativePtr.set places count (i + lane)
                NativePtr.set tails count (q.GetElement lane)
                count <- count + 1
                outside <- outside &&& (outside - 1UL)

            i <- i + 8

        while i < values.Length do
            values[i] <- quantile values[i]
            i <- i + 1

        if count > 0 then
            for k in count .. ((count + 7) &&& ~~~7) - 1 do
                NativePtr.set tails k 0.45

            let mutable k = 0

            while k < count do
                Vector512.Store(tailLanes (Vector512.Load(NativePtr.add tails k)), NativePtr.add tails k)
                k <- k + 8

            for k in 0 .. count - 1 do
                values[NativePtr.get places k] <- NativePtr.get tails k

    // Of few numbers, those in the tails are done one by one.
    let private transformFew (values: Span<float>) =
        let first = &MemoryMarshal.GetReference values
        let whole = values.Length &&& ~~~7
        let mutable i = 0

        while i < whole do
            let u = Vector512.LoadUnsafe(&first, unativeint i)
            let q = u - Vector512.Create 0.5
            let mask = Vector512.GreaterThan(Vector512.Abs q, Vector512.Create Centre)
            let mutable outside = Vector512.ExtractMostSignificantBits mask
            let value = centralLanes q

            if outside = 0UL then
                Vector512.StoreUnsafe(value, &first, unativeint i)
            else
                // Where it is not central the uniform number stays, and is read again.
                Vector512.StoreUnsafe(Vector512.ConditionalSelect(mask, u, value), &first, unativeint i)

                while outside <> 0UL do
                    let place = i + BitOperations.TrailingZeroCount outside
                    values[place] <- tail (values[place] - 0.5)
                    outside <- outside &&& (outside - 1UL)

            i <- i + 8

        while i < values.Length do
            values[i] <- quantile values[i]
            i <- i + 1

    /// Replaces uniforms by their normal quantiles.
    let transform (values: Span<float>) =
        if values.Length < 64 then
            transformFew values
        else
            let places = NativePtr.stackalloc<int> Chunk
            let tails = NativePtr.stackalloc<float> Chunk
            let mutable i = 0

            while i < values.Length do
                let length = Math.Min(Chunk, values.Length - i)
                transformChunk (values.Slice(i, length)) places tails
                i <- i + length
