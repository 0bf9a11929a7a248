/// The kinds of numbers that generic fields run on: double, lanes, dual numbers, partial derivatives, the tape.
module NumberTests

#nowarn "3535" "3536"

open System
open System.Runtime.InteropServices
open Continuum
open Continuum.Properties
open Claims
open Expecto

module Written =
    open RealOperators

    /// The Lorenz system with its three parameters.
    type internal Lorenz = NamedFields.Lorenz

    /// Every operation of IReal, in time, state and parameters, through the operators for F#.
    [<Struct>]
    type Everything =
        interface IGenericField with
            member _.Size = 11
            member _.ParameterCount = 9

            member _.Evaluate(t, y, p, dydt) =
                dydt[0] <- sqrt (1.0 +. y[0] * y[0]) + p[0] * t
                dydt[1] <- exp (-y[1]) * sin (p[1] * t)
                dydt[2] <- log (2.5 +. abs y[2]) / p[2]
                dydt[3] <- cos (y[3] - y[10]) .* 3.0
                dydt[4] <- tanh (y[4] * p[3]) ./ (8.0 / 3.0)
                dydt[5] <- pow (abs y[5]) 1.7 + pow y[6] 3.0 - pow y[7] -1.0
                dydt[6] <- min (y[6] * p[4]) (y[7] + p[5]) + max y[8] (p[6] - y[9])
                dydt[7] <- ifLess y[0] y[1] (y[2] * p[7]) (y[3] / p[8])
                dydt[8] <- ifLess y[1] y[0] (y[2] * p[7]) (y[3] / p[8])
                dydt[9] <- 1.0 -. y[9] * (y[10] .- 0.5)
                dydt[10] <- 2.0 /. (real 3.0 + y[10] * y[10]) + pow y[9] 2.0 * pow y[8] 4.0

    /// Another function on double than on other numbers.
    [<Struct>]
    type Broken =
        interface IGenericField with
            member _.Size = 1
            member _.ParameterCount = 0

            member _.Evaluate<'T when 'T: struct and 'T :> IReal<'T>>
                (_: 'T, y: ReadOnlySpan<'T>, _: ReadOnlySpan<'T>, dydt: Span<'T>)
                =
                dydt[0] <- if typeof<'T> = typeof<Real> then y[0] else y[0] * y[0]

    /// A scalar function of many variables: Rosenbrock's, chained.
    let valley<'T when 'T: struct and 'T :> IReal<'T>> (x: 'T[]) : 'T =
        let mutable s = 'T.Of 0.0

        for i in 0 .. x.Length - 2 do
            let a = x[i + 1] - x[i] * x[i]
            let b = 1.0 -. x[i]
            s <- s + 100.0 *. a * a + b * b

        s

open Written

/// A function of IReal with the double function and its derivative.
type private Case =
    abstract Name: string
    abstract Real: float -> float
    abstract Slope: float -> float
    abstract Apply<'T when 'T: struct and 'T :> IReal<'T>> : 'T -> 'T

let private cases: Case[] = [|
    {
        new Case with
            member _.Name = "sqrt"
            member _.Real x = Math.Sqrt x
            member _.Slope x = 0.5 / Math.Sqrt x
            member _.Apply x = RealOperators.sqrt x
    }
    {
        new Case with
            member _.Name = "exp"
            member _.Real x = Math.Exp x
            member _.Slope x = Math.Exp x
            member _.Apply x = RealOperators.exp x
    }
    {
        new Case with
            member _.Name = "log"
            member _.Real x = Math.Log x
            member _.Slope x = 1.0 / x
            member _.Apply x = RealOperators.log x
    }
    {
        new Case with
            member _.Name = "sin"
            member _.Real x = Math.Sin x
            member _.Slope x = Math.Cos x
            member _.Apply x = RealOperators.sin x
    }
    {
        new Case with
            member _.Name = "cos"
            member _.Real x = Math.Cos x
            member _.Slope x = -(Math.Sin x)
            member _.Apply x = RealOperators.cos x
    }
    {
        new Case with
            member _.Name = "tanh"
            member _.Real x = Math.Tanh x
            member _.Slope x = 1.0 / (Math.Cosh x * Math.Cosh x)
            member _.Apply x = RealOperators.tanh x
    }
    {
        new Case with
            member _.Name = "pow 1.7"
            member _.Real x = Math.Pow(x, 1.7)
            member _.Slope x = 1.7 * Math.Pow(x, 0.7)
            member _.Apply x = RealOperators.pow x 1.7
    }
    {
        new Case with
            member _.Name = "pow 3"
            member _.Real x = Math.Pow(x, 3.0)
            member _.Slope x = 3.0 * x * x
            member _.Apply x = RealOperators.pow x 3.0
    }
    {
        new Case with
            member _.Name = "pow -1"
            member _.Real x = Math.Pow(x, -1.0)
            member _.Slope x = -1.0 / (x * x)
            member _.Apply x = RealOperators.pow x -1.0
    }
    {
        new Case with
            member _.Name = "pow 0"
            member _.Real x = Math.Pow(x, 0.0)
            member _.Slope x = 0.0 * x
            member _.Apply x = RealOperators.pow x 0.0
    }
    {
        new Case with
            member _.Name = "abs"
            member _.Real x = Math.Abs x
            member _.Slope x = float (sign x)
            member _.Apply x = RealOperators.abs x
    }
|]

/// Units in the last place between two doubles; 0 for NaN and NaN.
let private ulps (a: float) (b: float) =
    if Double.IsNaN a && Double.IsNaN b then
        0L
    else
        let line (x: float) =
            let bits = BitConverter.DoubleToInt64Bits x
            if bits < 0L then Int64.MinValue - bits else bits

        if Double.IsNaN a || Double.IsNaN b then
            Int64.MaxValue
        else
            abs (line a - line b)

let private special = [|
    0.0
    1.0
    -1.0
    0.5
    1e-300
    5e-324
    2.2250738585072014e-308
    1e-8
    -1e-17
    709.78
    -745.1
    710.0
    -746.0
    1e300
    -1e300
    1048576.0
    1048577.0
    -3e7
    Math.PI
    0.5 * Math.PI
    355.0
    infinity
    -infinity
    nan
|]

let private inputs =
    let random = Random 7

    Array.append special [|
        for scale in [| 1e-3; 1.0; 30.0; 700.0; 1e5 |] do
            for _ in 1..2000 do
                yield scale * (2.0 * random.NextDouble() - 1.0)
    |]

let private eight (x: float[]) = Lanes.Of(ReadOnlySpan<float> x)

/// A matrix-vector view of derivative tests: points where nothing has a kink.
let private y11 = Array.init 11 (fun i -> 0.4 + 0.31 * sin (1.3 * float i))
let private p9 = Array.init 9 (fun i -> 1.1 + 0.5 * cos (2.1 * float i))

/// Math's own tanh is off by two.
let private most name = if name = "tanh" then 4L else 2L

let private lanes =
    testList "lanes" [
        for case in cases do
            testCase $"{case.Name} agrees with Math to {most case.Name} ulp, special values included"
            <| fun () ->
                for chunk in Array.chunkBySize 8 inputs do
                    let result = case.Apply(eight chunk)

                    for i in 0 .. chunk.Length - 1 do
                        let expected = case.Real chunk[i]

                        Expect.isLessThanOrEqual
                            (ulps result[i] expected)
                            (most case.Name)
                            $"{case.Name} {chunk[i]:r}: {result[i]:r} against {expected:r}"

            testCase $"{case.Name} of a lane does not depend on the other lanes"
            <| fun () ->
                for i in 0..8 .. inputs.Length - 8 do
                    let alone = case.Apply(eight (Array.create 8 inputs[i]))
                    let mixed = case.Apply(eight [| for k in 0..7 -> inputs[(i + 37 * k) % inputs.Length] |])
                    Expect.equal (ulps alone[3] mixed[0]) 0L $"{case.Name} {inputs[i]:r}"

        testCase "arithmetic and choices are those of double bit for bit"
        <| fun () ->
            let random = Random 3
            let pick () = Array.init 8 (fun _ -> inputs[random.Next inputs.Length])

            for _ in 1..500 do
                let a, b = pick (), pick ()
                let la, lb = eight a, eight b

                let check name (l: Lanes) (f: float -> float -> float) =
                    for i in 0..7 do
                        let same = ulps l[i] (f a[i] b[i]) = 0L
                        Expect.isTrue same $"{name} {a[i]:r} {b[i]:r}: {l[i]:r} against {f a[i] b[i]:r}"

                let inline call f = f la lb
                check "+" (call RealOperators.(+)) (+)
                check "-" (call RealOperators.(-)) (-)
                check "*" (call RealOperators.(*)) (*)
                check "/" (call RealOperators.(/)) (/)
                check "min" (call RealOperators.min) (fun a b -> Math.Min(a, b))
                check "max" (call RealOperators.max) (fun a b -> Math.Max(a, b))

                check "ifLess" (RealOperators.ifLess la lb la (RealOperators.(~-) lb)) (fun a b ->
                    if a < b then a else -b)

        testCase "with replaces one lane; too short a span is refused"
        <| fun () ->
            let l = (eight [| 1.0 .. 8.0 |]).With(2, -5.0)
            Expect.equal [| for i in 0..7 -> l[i] |] [| 1.0; 2.0; -5.0; 4.0; 5.0; 6.0; 7.0; 8.0 |] ""
            Expect.throws (fun () -> eight [| 1.0 |] |> ignore) "one number"
    ]

/// A scalar function of one variable and its derivative by each kind of number.
let private derivatives =
    let near (x: float) (y: float) = abs (x - y) <= 1e-13 * (1.0 + abs x + abs y)
    let points = [| 0.31; 0.99; 1.7; 4.2; 25.0 |]

    testList "derivatives" [
        for case in cases do
            testCase $"of {case.Name}: dual, partials and tape give the analytic one"
            <| fun () ->
                for x in points do
                    let slope = case.Slope x
                    let dual = case.Apply(Dual<Real>(Real x, Real 2.0))
                    Expect.isTrue (near dual.Tangent.Value (2.0 * slope)) $"dual at {x}: {dual} against {slope}"
                    Expect.equal dual.Value.Value (case.Apply(Real x)).Value "value"
                    let partials = case.Apply(Partials.Variable(x, 5))
                    Expect.isTrue (near partials[5] slope) $"partials at {x}: {partials[5]} against {slope}"
                    Expect.equal partials[4] 0.0 "another variable"
                    Expect.equal partials.Value dual.Value.Value "value"
                    let tape = Tape<Real>()
                    let v = tape.Variable(Real x)
                    let output = case.Apply v
                    let outputs = [| output |]
                    let seeds = [| Real 3.0 |]
                    tape.Backward(ReadOnlySpan<Reverse<Real>> outputs, ReadOnlySpan<Real> seeds)
                    let adjoint = tape.Adjoint(v).Value
                    Expect.isTrue (near adjoint (3.0 * slope)) $"tape at {x}: {adjoint} against {slope}"

            testCase $"of {case.Name}, twice: nested duals give the derivative of the analytic one"
            <| fun () ->
                for x in points do
                    let h = 1e-5 * x
                    let expected = (case.Slope(x + h) - case.Slope(x - h)) / (2.0 * h)
                    let inner = Dual<Real>(Real x, Real 1.0)
                    let twice = case.Apply(Dual<Dual<Real>>(inner, Dual<Real>(Real 1.0, Real 0.0)))
                    let second = twice.Tangent.Tangent.Value
                    Expect.isLessThan (abs (second - expected)) (1e-7 * (1.0 + abs expected)) $"{case.Name} at {x}"

                    let mixed =
                        case.Apply(
                            Dual<Partials>(
                                Partials.Variable(x, 2),
                                Partials(1.0, Partials.Variable(0.0, 2).Derivatives * 0.0)
                            )
                        )

                    Expect.isTrue (near mixed.Tangent[2] second) $"dual over partials at {x}"

        testCase "at a kink abs has derivative 0, and a constant has none"
        <| fun () ->
            let zero = Dual<Real>(Real 0.0, Real 1.0)
            Expect.equal (RealOperators.abs zero).Tangent.Value 0.0 "abs"
            let constant: Dual<Real> = RealOperators.real 3.0
            Expect.equal constant.Tangent.Value 0.0 "constant"

        for law in FieldLaws.all (Lorenz()) 0.3 [| 1.2; -0.7; 14.0 |] [| 10.0; 28.0; 8.0 / 3.0 |] do
            testCase $"Lorenz: {law.Law}" <| fun () -> holds law

        for law in FieldLaws.all (Everything()) 0.3 y11 p9 do
            testCase $"every operation: {law.Law}" <| fun () -> holds law

        testCase "the Jacobian of Lorenz is the analytic one"
        <| fun () ->
            let d = FieldDerivatives<Lorenz>(Lorenz())
            let y, p = [| 1.2; -0.7; 14.0 |], [| 10.0; 28.0; 8.0 / 3.0 |]
            let jacobian = Array.zeroCreate 9
            d.Jacobian(0.0, ReadOnlySpan<float> y, ReadOnlySpan<float> p, Span<float> jacobian)
            let expected = [| -10.0; 10.0; 0.0; 28.0 - 14.0; -1.0; -1.2; -0.7; 1.2; -8.0 / 3.0 |]
            Expect.equal jacobian expected ""

        testCase "nothing is allocated after the first use"
        <| fun () ->
            let d = FieldDerivatives<Everything>(Everything())
            let j, w, byY, byP = Array.zeroCreate 121, Array.create 11 1.0, Array.zeroCreate 11, Array.zeroCreate 9

            let use' () =
                d.Jacobian(0.1, ReadOnlySpan<float> y11, ReadOnlySpan<float> p9, Span<float> j)
                d.Jvp(0.1, ReadOnlySpan<float> y11, ReadOnlySpan<float> p9, ReadOnlySpan<float> w, Span<float> byY)

                d.Vjp(
                    0.1,
                    ReadOnlySpan<float> y11,
                    ReadOnlySpan<float> p9,
                    ReadOnlySpan<float> w,
                    Span<float> byY,
                    Span<float> byP
                )
                |> ignore

            use' ()
            let before = GC.GetAllocatedBytesForCurrentThread()

            for _ in 1..100 do
                use' ()

            Expect.equal (GC.GetAllocatedBytesForCurrentThread() - before) 0L "bytes"

        testCase "sizes that do not fit are refused with both numbers"
        <| fun () ->
            let d = FieldDerivatives<Lorenz>(Lorenz())

            Expect.throwsC
                (fun () ->
                    d.Jacobian(0.0, ReadOnlySpan<float> y11, ReadOnlySpan<float> p9, Span<float>(Array.zeroCreate 9)))
                (fun error -> Expect.stringContains error.Message "3" error.Message)
    ]

/// Second derivatives of a scalar function of many variables.
let private second =
    let x = [| 0.4; -0.3; 1.2; 0.9 |]
    let v = [| 1.0; 0.5; -0.25; 2.0 |]

    let gradient (at: float[]) =
        let tape = Tape<Real>()
        let inputs = at |> Array.map (fun x -> tape.Variable(Real x))
        let output = valley inputs
        tape.ClearAdjoints()
        tape.Seed(output, Real 1.0)
        tape.Sweep()
        inputs |> Array.map (fun i -> tape.Adjoint(i).Value)

    testList "second derivatives" [
        testCase "the tape's gradient is the duals' gradient"
        <| fun () ->
            let slopes = gradient x

            for i in 0..3 do
                let along = valley (x |> Array.mapi (fun j x -> Dual<Real>(Real x, Real(if i = j then 1.0 else 0.0))))
                Expect.floatClose Accuracy.high slopes[i] along.Tangent.Value $"component {i}"

        testCase "the tape over duals gives Hessian-vector products"
        <| fun () ->
            let slopes = gradient x
            let tape = Tape<Dual<Real>>()
            let inputs = Array.map2 (fun x v -> tape.Variable(Dual<Real>(Real x, Real v))) x v
            let output = valley inputs
            tape.ClearAdjoints()
            tape.Seed(output, Dual<Real>(Real 1.0, Real 0.0))
            tape.Sweep()

            for i in 0..3 do
                let h = 1e-6
                let at s = (gradient (Array.map2 (fun x v -> x + s * v) x v))[i]
                let expected = (at h - at -h) / (2.0 * h)
                let adjoint = tape.Adjoint inputs[i]
                Expect.floatClose Accuracy.medium adjoint.Tangent.Value expected $"H v, component {i}"
                Expect.floatClose Accuracy.high adjoint.Value.Value slopes[i] $"gradient, component {i}"

        testCase "nesting deeper: the tape over duals of duals gives third derivatives"
        <| fun () ->
            // f = exp(2 x): f' = 2 f, third derivative 8 f
            let tape = Tape<Dual<Dual<Real>>>()
            let zero, one = Dual<Real>(Real 0.0, Real 0.0), Dual<Real>(Real 1.0, Real 0.0)
            let input = tape.Variable(Dual<Dual<Real>>(Dual<Real>(Real 0.3, Real 1.0), one))
            let output = RealOperators.exp (RealOperators.( *. ) 2.0 input)
            tape.ClearAdjoints()
            tape.Seed(output, Dual<Dual<Real>>(one, zero))
            tape.Sweep()
            let third = tape.Adjoint(input).Tangent.Tangent.Value
            Expect.floatClose Accuracy.high third (8.0 * exp 0.6) ""
    ]

let private tape =
    testList "tape" [
        testCase "shared subexpressions add up, several outputs and seeds"
        <| fun () ->
            let tape = Tape<Real>()
            let a, b = tape.Variable(Real 2.0), tape.Variable(Real 3.0)
            let product = RealOperators.(*) a b
            let sum = RealOperators.(+) product a
            let outputs, seeds = [| sum; product |], [| Real 1.0; Real 10.0 |]
            tape.Backward(ReadOnlySpan<Reverse<Real>> outputs, ReadOnlySpan<Real> seeds)
            Expect.equal (tape.Adjoint a).Value 34.0 "da"
            Expect.equal (tape.Adjoint b).Value 22.0 "db"

        testCase "constants are not recorded, and an output may be a constant or an input"
        <| fun () ->
            let tape = Tape<Real>()
            let a = tape.Variable(Real 2.0)
            let constant: Reverse<Real> = RealOperators.exp (RealOperators.real 1.0)
            Expect.equal tape.Count 1 "entries"
            let outputs, seeds = [| a; constant |], [| Real 4.0; Real 5.0 |]
            tape.Backward(ReadOnlySpan<Reverse<Real>> outputs, ReadOnlySpan<Real> seeds)
            Expect.equal (tape.Adjoint a).Value 4.0 "input"
            Expect.equal (tape.Adjoint constant).Value 0.0 "constant"

        testCase "grows, and starts anew after a reset"
        <| fun () ->
            let tape = Tape<Real>()

            for round in 1..3 do
                tape.Reset()
                let a = tape.Variable(Real 1.0)
                let mutable s = a

                for _ in 1..1000 do
                    s <- RealOperators.(+) s a

                let outputs, seeds = [| s |], [| Real 1.0 |]
                tape.Backward(ReadOnlySpan<Reverse<Real>> outputs, ReadOnlySpan<Real> seeds)
                Expect.equal (tape.Adjoint a).Value 1001.0 $"round {round}"
                Expect.equal tape.Count 1001 "entries"

        testCase "a seed before the adjoints are cleared, and seeds that do not fit, are refused"
        <| fun () ->
            let tape = Tape<Real>()
            let a = tape.Variable(Real 1.0)
            Expect.throws (fun () -> tape.Seed(a, Real 1.0)) "seed"
            let outputs, seeds = [| a |], [| Real 1.0; Real 2.0 |]

            Expect.throws
                (fun () -> tape.Backward(ReadOnlySpan<Reverse<Real>> outputs, ReadOnlySpan<Real> seeds))
                "seeds"
    ]

let private fields =
    testList "generic fields" [
        testCase "Real is laid out as a double"
        <| fun () ->
            let values = [| 1.5; -2.5; nan |]
            let reals = Real.Of(ReadOnlySpan<float> values)
            Expect.equal [| reals[0].Value; reals[1].Value |] [| 1.5; -2.5 |] ""
            Expect.equal (Marshal.SizeOf<Real>()) 8 "size"

        testCase "a generic field solves as the delegate with the same arithmetic, bit for bit"
        <| fun () ->
            let sigma, rho, beta = 10.0, 28.0, 8.0 / 3.0

            let field =
                VectorField(fun _ y dydt ->
                    dydt[0] <- sigma * (y[1] - y[0])
                    dydt[1] <- y[0] * (rho - y[2]) - y[1]
                    dydt[2] <- y[0] * y[1] - beta * y[2])

            let options = SolveOptions.create 1e-8 1e-8
            let y0 = [| 1.0; 1.0; 1.0 |]
            let expected = ArrayOde.solve Methods.Tsit5 options field 0.0 10.0 y0
            let generic = GenericField<Lorenz>(Lorenz(), [| sigma; rho; beta |])
            let actual = ArrayOde.solveField Methods.Tsit5 options generic 0.0 10.0 y0
            Expect.equal actual.FinalState expected.FinalState "state"
            Expect.equal actual.Statistics.Evaluations expected.Statistics.Evaluations "evaluations"

        testCase "wrong numbers of parameters and components are refused"
        <| fun () ->
            let refused parameters y = Expect.throws (fun () -> GenericField<Lorenz>.Check(Lorenz(), parameters, y)) ""
            refused null [| 1.0; 1.0; 1.0 |]
            refused [| 1.0 |] [| 1.0; 1.0; 1.0 |]
            refused [| 1.0; 2.0; 3.0 |] [| 1.0 |]
            GenericField<Lorenz>.Check(Lorenz(), [| 1.0; 2.0; 3.0 |], [| 1.0; 1.0; 1.0 |])

        testCase "the laws fail on a field that is not the same function on every number"
        <| fun () ->
            let law = FieldLaws.derivativesAreDifferences (Broken()) 0.0 [| 0.7 |] [||]
            Expect.isFalse law.Holds (string law)
            Expect.isFalse (FieldLaws.lanesAreReal (Broken()) 0.0 [| 0.7 |] [||]).Holds "lanes"
    ]

let tests = testList "Numbers" [ lanes; derivatives; second; tape; fields ]
