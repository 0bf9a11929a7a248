// Derivatives backward over any kind of number: a tape of elementary operations with their local derivatives.
namespace Continuum

#nowarn "3535" "3536"

open System
open System.Numerics
open RealOperators

/// One operation on the tape: the two numbers it was made of and the derivatives with respect to them.
[<Struct>]
type internal TapeEntry<'N> = { First: int; Second: int; ByFirst: 'N; BySecond: 'N }

/// A record of operations on Reverse<'N> numbers. Make variables, evaluate, then sweep backward. Reset and use it again: after the
/// first use nothing is allocated. One thread at a time.
[<Sealed; AllowNullLiteral>]
type Tape<'N when 'N: struct and 'N :> IReal<'N>>() =
    // Entry 0 stands for every constant: what flows into it is dropped.
    let mutable entries: TapeEntry<'N>[] = Array.zeroCreate 256
    let mutable adjoints: 'N[] = Array.zeroCreate 256
    let mutable count = 1
    let mutable swept = 1

    /// Variables and operations recorded since Reset.
    member _.Count = count - 1

    /// Forgets everything; numbers made before are no longer valid.
    member _.Reset() =
        count <- 1
        swept <- 1

    member internal _.Record(first: int, byFirst: 'N, second: int, bySecond: 'N) : int =
        if count = entries.Length then
            Array.Resize(&entries, 2 * count)

        let i = count
        entries[i] <- { First = first; Second = second; ByFirst = byFirst; BySecond = bySecond }
        count <- i + 1
        i

    /// Clears all adjoints, for a new set of seeds.
    member _.ClearAdjoints() =
        if adjoints.Length < entries.Length then
            adjoints <- Array.zeroCreate entries.Length

        Array.Fill(adjoints, 'N.Of 0.0, 0, count)
        swept <- count

    member internal _.SeedEntry(index: int, seed: 'N) =
        if index >= swept then
            raise (InvalidOperationException "Call ClearAdjoints after the evaluation and before the first Seed.")

        adjoints[index] <- adjoints[index] + seed

    member internal _.AdjointOf(index: int) : 'N = if index = 0 then 'N.Of 0.0 else adjoints[index]

    /// Propagates the seeds to everything the outputs were made of.
    member _.Sweep() =
        for i in swept - 1 .. -1 .. 1 do
            let entry = entries[i]
            let adjoint = adjoints[i]
            adjoints[entry.First] <- adjoints[entry.First] + adjoint * entry.ByFirst
            adjoints[entry.Second] <- adjoints[entry.Second] + adjoint * entry.BySecond

/// A number that remembers on a tape how it was made; constants are on no tape. 'N may carry derivatives itself:
/// Reverse<Dual<Real>> gives Hessian-vector products. Do not mix numbers of two tapes in one expression.
[<Struct; NoComparison; NoEquality>]
type Reverse<'N when 'N: struct and 'N :> IReal<'N>> internal (value: 'N, index: int, tape: Tape<'N>) =
    /// The number itself.
    member _.Value: 'N = value
    member internal _.Index: int = index
    member internal _.Tape: Tape<'N> = tape

    /// The value.
    override _.ToString() = value.ToString()

    static member inline private Unary(x: Reverse<'N>, value: 'N, [<InlineIfLambda>] slope: unit -> 'N) =
        if isNull x.Tape then
            Reverse<'N>(value, 0, null)
        else
            Reverse<'N>(value, x.Tape.Record(x.Index, slope (), 0, 'N.Of 0.0), x.Tape)

    static member inline private Binary
        (
            a: Reverse<'N>,
            b: Reverse<'N>,
            value: 'N,
            [<InlineIfLambda>] byA: unit -> 'N,
            [<InlineIfLambda>] byB: unit -> 'N
        ) =
        let tape = if isNull a.Tape then b.Tape else a.Tape

        if isNull tape then
            Reverse<'N>(value, 0, null)
        else
            Reverse<'N>(value, tape.Record(a.Index, byA (), b.Index, byB ()), tape)

    interface IAdditionOperators<Reverse<'N>, Reverse<'N>, Reverse<'N>> with
        static member op_Addition(a, b) =
            Reverse<'N>.Binary(a, b, a.Value + b.Value, (fun () -> 'N.Of 1.0), (fun () -> 'N.Of 1.0))

    interface ISubtractionOperators<Reverse<'N>, Reverse<'N>, Reverse<'N>> with
        static member op_Subtraction(a, b) =
            Reverse<'N>.Binary(a, b, a.Value - b.Value, (fun () -> 'N.Of 1.0), (fun () -> 'N.Of -1.0))

    interface IMultiplyOperators<Reverse<'N>, Reverse<'N>, Reverse<'N>> with
        static member op_Multiply(a, b) =
            Reverse<'N>.Binary(a, b, a.Value * b.Value, (fun () -> b.Value), (fun () -> a.Value))

    interface IDivisionOperators<Reverse<'N>, Reverse<'N>, Reverse<'N>> with
        static member op_Division(a, b) =
            let q = a.Value / b.Value
            Reverse<'N>.Binary(a, b, q, (fun () -> 1.0 /. b.Value), (fun () -> -(q / b.Value)))

    interface IUnaryNegationOperators<Reverse<'N>, Reverse<'N>> with
        static member op_UnaryNegation a = Reverse<'N>.Unary(a, -a.Value, (fun () -> 'N.Of -1.0))

    interface IReal<Reverse<'N>> with
        static member Of x = Reverse<'N>('N.Of x, 0, null)

        static member Sqrt x =
            let root = 'N.Sqrt x.Value
            Reverse<'N>.Unary(x, root, (fun () -> 0.5 /. root))

        static member Exp x =
            let power = 'N.Exp x.Value
            Reverse<'N>.Unary(x, power, (fun () -> power))

        static member Log x = Reverse<'N>.Unary(x, 'N.Log x.Value, (fun () -> 1.0 /. x.Value))
        static member Sin x = Reverse<'N>.Unary(x, 'N.Sin x.Value, (fun () -> 'N.Cos x.Value))
        static member Cos x = Reverse<'N>.Unary(x, 'N.Cos x.Value, (fun () -> -('N.Sin x.Value)))

        static member Tanh x =
            let value = 'N.Tanh x.Value
            Reverse<'N>.Unary(x, value, (fun () -> 1.0 -. value * value))

        static member Pow(x, p) = Reverse<'N>.Unary(x, 'N.Pow(x.Value, p), (fun () -> Slope.ofPow x.Value p))
        static member Abs x = Reverse<'N>.Unary(x, 'N.Abs x.Value, (fun () -> Slope.signed x.Value ('N.Of 1.0)))

        static member Min(a, b) =
            let one, zero = 'N.Of 1.0, 'N.Of 0.0
            let byA () = 'N.IfLess(b.Value, a.Value, zero, one)
            Reverse<'N>.Binary(a, b, 'N.Min(a.Value, b.Value), byA, (fun () -> 'N.IfLess(b.Value, a.Value, one, zero)))

        static member Max(a, b) =
            let one, zero = 'N.Of 1.0, 'N.Of 0.0
            let byA () = 'N.IfLess(a.Value, b.Value, zero, one)
            Reverse<'N>.Binary(a, b, 'N.Max(a.Value, b.Value), byA, (fun () -> 'N.IfLess(a.Value, b.Value, one, zero)))

        static member IfLess(a, b, x, y) =
            let one, zero = 'N.Of 1.0, 'N.Of 0.0
            let byX () = 'N.IfLess(a.Value, b.Value, one, zero)
            let byY () = 'N.IfLess(a.Value, b.Value, zero, one)
            Reverse<'N>.Binary(x, y, 'N.IfLess(a.Value, b.Value, x.Value, y.Value), byX, byY)

/// The tape's view of numbers.
type Tape<'N when 'N: struct and 'N :> IReal<'N>> with
    /// A new independent variable with this value.
    member this.Variable(x: 'N) : Reverse<'N> =
        let zero = 'N.Of 0.0
        Reverse<'N>(x, this.Record(0, zero, 0, zero), this)

    /// Adds the seed to the adjoint of an output. Call ClearAdjoints first; a constant takes no seed.
    member this.Seed(output: Reverse<'N>, seed: 'N) = this.SeedEntry(output.Index, seed)

    /// Derivative of the seeded outputs with respect to a number, after Sweep; 0 for a constant.
    member this.Adjoint(x: Reverse<'N>) : 'N = this.AdjointOf x.Index

    /// The three calls for outputs and their seeds at once.
    member this.Backward(outputs: ReadOnlySpan<Reverse<'N>>, seeds: ReadOnlySpan<'N>) =
        if outputs.Length <> seeds.Length then
            raise (ArgumentException $"{outputs.Length} outputs need as many seeds; got {seeds.Length}.")

        this.ClearAdjoints()

        for i in 0 .. outputs.Length - 1 do
            this.Seed(outputs[i], seeds[i])

        this.Sweep()
