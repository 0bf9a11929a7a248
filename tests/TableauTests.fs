module TableauTests

open System
open System.IO
open System.Numerics
open System.Text.Json
open Claims
open Expecto
open FsCheck
open Continuum
open Continuum.Properties

let private file (name: string) =
    use stream =
        typeof<Tableau>.Assembly.GetManifestResourceStream $"tableau.{name.ToLowerInvariant()}.json"

    use reader = new StreamReader(stream)
    reader.ReadToEnd()

let private coefficients name = Expect.wantOk (Coefficients.ofJson (file name)) "the coefficient file is read"

let private made coefficients =
    match Tableau.create coefficients with
    | Ok tableau -> tableau
    | Error problem -> failtest problem.Message

let private problem coefficients =
    match Tableau.create coefficients with
    | Ok _ -> failtest "the coefficients were accepted"
    | Error problem -> problem

/// The coefficients with the number at an index shifted by a small exact amount.
let private shift (amount: Rational) index (numbers: string[]) =
    numbers
    |> Array.mapi (fun j text -> if j = index then string (Rational.Parse text + amount) else text)

let private tiny = Rational.Parse "1e-12"

/// Kutta's third-order method: no continuous extension is printed with it.
let private kutta3 = {
    Name = "Kutta3"
    Order = 3
    EmbeddedOrder = 0
    C = [| "0"; "1/2"; "1" |]
    A = [| [||]; [| "1/2" |]; [| "-1"; "2" |] |]
    B = [| "1/6"; "2/3"; "1/6" |]
    Error = NoPair
    Dense = None
    Source = "Kutta 1901"
}

let private rationals =
    testList "Rational" [
        testCase "text is read exactly"
        <| fun () ->
            for text, expected in
                [
                    "3", "3"
                    "-2/9", "-2/9"
                    "4/6", "2/3"
                    "0.25", "1/4"
                    "-4.46e-2", "-223/5000"
                    "+1.5E+1", "15"
                    ".5", "1/2"
                    "2.", "2"
                    "-0.5", "-1/2"
                ] do
                Expect.equal (string (Rational.Parse text)) expected text

        testCase "text that is not a number is refused"
        <| fun () ->
            for text in [ ""; "x"; "1/0"; "1/2/3"; "1.2.3"; "."; "1e"; "1e99999"; "--1"; "1,5"; "NaN"; "1/-2"; "e5" ] do
                Expect.isFalse (fst (Rational.TryParse text)) $"'{text}'"

        testProperty "a double printed and read is the same double"
        <| fun (NormalFloat x) -> (Rational.Parse(x.ToString "R")).ToDouble() = x

        testProperty "halfway between two doubles goes to the even one, past it to the nearer"
        <| fun (NormalFloat drawn) ->
            let x = drawn + 1.0
            let next = Math.BitIncrement x
            let exact (y: float) = Rational.Parse(y.ToString "E1100")
            let middle = (exact x + exact next) / Rational.OfInt 2
            let even = if BitConverter.DoubleToInt64Bits x % 2L = 0L then x else next

            middle.ToDouble() = even
            && (middle + Rational.Parse "1e-900").ToDouble() = next
            && (middle - Rational.Parse "1e-900").ToDouble() = x

        testProperty "a fixed-point copy is within half a unit"
        <| fun (p: int) (NonZeroInt q) ->
            let x = Rational.Create(BigInteger p, BigInteger q)
            let copy = Rational.Create(x.ToFixedPoint 40, BigInteger.One <<< 40)
            abs ((x - copy).ToDouble()) <= Math.ScaleB(0.5, -40)
    ]

let private trees =
    testList "RootedTrees" [
        testCase "the trees of 1 to 10 nodes are counted"
        <| fun () ->
            let counts = RootedTrees.upTo 10 |> Array.countBy _.Order |> Array.map snd
            Expect.equal counts [| 1; 1; 2; 4; 9; 20; 48; 115; 286; 719 |] "Hairer, Norsett and Wanner, Table II.2.1"

        testCase "the tall tree has density n!, the bushy one n"
        <| fun () ->
            for n in 2..9 do
                let gammas = RootedTrees.upTo n |> Array.filter (fun tree -> tree.Order = n) |> Array.map _.Gamma

                Expect.equal (Array.max gammas) (Seq.fold (*) 1 [ 1..n ]) "tall"
                Expect.equal (Array.min gammas) n "bushy"
    ]

let private catalogue =
    testList "Methods" [
        for name in Methods.Names do
            test $"{name} obeys the order conditions it claims, and no more" {
                OrderConditions.all (Methods.ByName name) |> List.iter holds
            }

        test "the catalogue is complete, by order, each under its own name" {
            Expect.equal (Methods.All |> Array.map _.Name) Methods.Names "names"
            Expect.equal Methods.All.Length 12 "count"
            Expect.isAscending (Methods.All |> Array.map _.Order) "orders"
        }

        test "a method is found by name in any case; an unknown name lists the known ones" {
            Expect.isTrue (obj.ReferenceEquals(Methods.ByName "dopri5", Methods.Dopri5)) "shared"
            Expect.isFalse (fst (Methods.TryFind "Dopri6")) "unknown"

            Expect.throwsC (fun () -> Methods.ByName "Dopri6" |> ignore) (fun e ->
                Expect.stringContains e.Message "Dopri5, Tsit5, Vern7" "the known names")
        }

        test "FSAL, the end slope and the stiffness pair are derived" {
            let facts (t: Tableau) = t.Name, t.Fsal, t.EndSlope, t.StiffnessPair

            let expected = [|
                "Euler", false, -1, struct (-1, -1)
                "Midpoint", false, -1, struct (-1, -1)
                "Heun", false, -1, struct (-1, -1)
                "Ralston", false, -1, struct (-1, -1)
                "Bosh3", true, 3, struct (-1, -1)
                "Rk4", false, -1, struct (-1, -1)
                "ThreeEighths", false, -1, struct (-1, -1)
                "Dopri5", true, 6, struct (5, 6)
                "Tsit5", true, 6, struct (5, 6)
                "Vern7", false, 10, struct (8, 9)
                "Dop853", false, 12, struct (-1, -1)
                "Vern9", false, 16, struct (14, 15)
            |]

            Expect.equal (Methods.All |> Array.map facts) expected "facts"
        }

        test "the stability interval is that of the coefficient file" {
            for tableau in Methods.All do
                use document = JsonDocument.Parse(file tableau.Name)
                let printed = document.RootElement.GetProperty("real_axis").GetString()
                let expected = (Rational.Parse printed).ToDouble()
                Expect.floatClose Accuracy.high tableau.StabilityRadius expected tableau.Name
        }

        test "an estimate shrinks with the power of h of its weights" {
            let orders = Methods.All |> Array.filter _.IsAdaptive |> Array.map (fun t -> t.Name, t.ErrorOrder)

            Expect.equal
                orders
                [|
                    "Heun", 2
                    "Ralston", 2
                    "Bosh3", 3
                    "Dopri5", 5
                    "Tsit5", 5
                    "Vern7", 7
                    "Dop853", 8
                    "Vern9", 9
                |]
                "error orders"
        }

        test "no caller can change a method of the catalogue" {
            let dopri5 = Methods.Dopri5
            let weights, error = dopri5.Dense.Weights, dopri5.Error
            let before = weights[0][1]
            weights[0][1] <- 7.0

            match error with
            | Embedded weights -> weights[0] <- 7.0
            | _ -> failtest "Dopri5 has an embedded formula"

            Array.fill Methods.All 0 12 Methods.Rk4
            Array.fill Methods.Names 0 12 "Rk4"
            Expect.equal (dopri5.Dense.Weights[0][1]) before "dense weight"

            Expect.equal
                dopri5.Error
                (Embedded [|
                    71.0 / 57600.0
                    0.0
                    -71.0 / 16695.0
                    71.0 / 1920.0
                    -17253.0 / 339200.0
                    22.0 / 525.0
                    -1.0 / 40.0
                |])
                "weights"

            Expect.equal (Array.head Methods.All).Name "Euler" "catalogue"
            Expect.equal (Array.head Methods.Names) "Euler" "names"
            Expect.isFalse (box dopri5.C :? (float[])) "the nodes are read only"
        }
    ]

let private mutations =
    testList "a changed coefficient breaks a law" [
        let caught change (k: Coefficients) =
            let results = OrderConditions.all (made k)
            let broken = results |> List.filter (fun result -> not result.Holds)
            Expect.isNonEmpty broken $"{k.Name} with {change} passes every law"

        for name in [ "Rk4"; "Dopri5"; "Vern7" ] do
            test $"{name}: 1e-12 moved between two entries of a row of A" {
                let k = coefficients name

                for i in 2 .. k.A.Length - 1 do
                    let row = k.A[i] |> shift tiny (i - 1) |> shift -tiny 0
                    let a = k.A |> Array.mapi (fun r old -> if r = i then row else old)
                    caught $"row {i + 1}" { k with A = a }
            }

            test $"{name}: 1e-12 moved between two weights of b" {
                let k = coefficients name
                let b = k.B |> shift tiny 0 |> shift -tiny (k.B.Length - 1)
                // the Hermite interpolant, which has b inside, keeps the construction consistent
                caught "b" { k with B = b; Dense = None }
            }

        test "Dopri5: 1e-12 moved between two embedded weights" {
            match (coefficients "Dopri5").Error with
            | EmbeddedFormula bHat ->
                let bHat = bHat |> shift tiny 2 |> shift -tiny 3
                caught "bHat" { coefficients "Dopri5" with Error = EmbeddedFormula bHat }
            | _ -> failtest "Dopri5 has an embedded formula"
        }

        test "Dopri5: 1e-12 moved between two powers of theta" {
            let k = coefficients "Dopri5"
            let dense = Option.get k.Dense

            for i in 0 .. dense.Weights.Length - 1 do
                let row = dense.Weights[i] |> shift tiny 1 |> shift -tiny 2
                let weights = dense.Weights |> Array.mapi (fun r old -> if r = i then row else old)
                caught $"dense row {i + 1}" { k with Dense = Some { dense with Weights = weights } }
        }

        test "an order overstated or understated by one" {
            caught "order 6" { coefficients "Dopri5" with Order = 6 }
            caught "order 4" { coefficients "Dopri5" with Order = 4 }
            caught "embedded order 5" { coefficients "Dopri5" with EmbeddedOrder = 5 }
            caught "embedded order 3" { coefficients "Dopri5" with EmbeddedOrder = 3 }
        }

        test "the interpolant of Vern7 is not of order 7, as published" {
            let k = coefficients "Vern7"
            caught "order 7" { k with Dense = k.Dense |> Option.map (fun dense -> { dense with Order = 7 }) }
        }
    ]

let private own =
    testList "Tableau.create" [
        test "without a printed extension the Hermite interpolant obeys its laws" {
            let tableau = made kutta3
            OrderConditions.all tableau |> List.iter holds
            Expect.equal (tableau.Dense.Order, tableau.EndSlope) (3, 3) "one extra stage, the slope at the end"
        }

        test "the Hermite interpolant of Bosh3 is the printed one, with no extra stage" {
            let derived = made { coefficients "Bosh3" with Dense = None }
            Expect.equal derived.Dense Methods.Bosh3.Dense "dense"
        }

        test "coefficients rounded to 16 digits are accepted, and keep their order to rounding" {
            let k = coefficients "Tsit5"
            let rounded (text: string) = (Rational.Parse text).ToDouble().ToString "E15"

            let tableau =
                made {
                    k with
                        C = Array.map rounded k.C
                        A = Array.map (Array.map rounded) k.A
                        B = Array.map rounded k.B
                        Error = NoPair
                        EmbeddedOrder = 0
                        Dense = None
                }

            OrderConditions.within 1e-13 tableau |> List.iter holds
            Expect.isTrue tableau.Fsal "FSAL"
        }

        test "an error names the method, the entry and the numbers" {
            let k = coefficients "Rk4"
            let bosh3 = coefficients "Bosh3"
            let row i entries = k.A |> Array.mapi (fun r old -> if r = i then entries else old)

            for wrong, entry, words in
                [
                    { k with Name = " " }, "name", "is empty"
                    { k with C = [||] }, "c", "at least one stage"
                    { k with Order = 0 }, "order", "is 0"
                    { k with EmbeddedOrder = 3 }, "embedded_order", "is 3"
                    { k with B = [| "1/2"; "1/2" |] }, "b", "has 2 entries, expected 4"
                    { k with A = row 2 [| "0" |] }, "a[3]", "has 1 entries, expected 2"
                    { k with A = row 2 [| "0"; "one half" |] }, "a[3,2]", "'one half'"
                    { k with A = row 2 [| "0"; "1/3" |] }, "a[3]", "by 0.167"
                    { k with C = [| "0"; "0.5"; "0.51"; "1" |] }, "a[3]", "sum a[3,j] = c[3]"
                    { k with B = [| "1/6"; "1/3"; "1/3"; "1/5" |] }, "b", "sum b = 1"
                    { bosh3 with Error = EmbeddedFormula [| "7/24"; "1/4"; "1/3"; "1/7" |] },
                    "b_hat",
                    "sum (b - bHat) = 0"
                    { bosh3 with Error = EmbeddedFormula [| "7/24" |] }, "b_hat", "has 1 entries"
                    {
                        k with
                            Dense =
                                k.Dense
                                |> Option.map (fun d -> {
                                    d with
                                        Weights = Array.permute (fun i -> (i + 1) % 4) d.Weights
                                })
                    },
                    "dense[2]",
                    "b[2](theta = 1) = b[2]"
                ] do
                let found = problem wrong
                Expect.equal found.Entry entry found.Message
                Expect.stringContains found.Message words "the words"
                Expect.equal found.Method (if wrong.Name = " " then "(unnamed)" else wrong.Name) "the method"
        }

        test "Define and Parse throw what create returns" {
            Expect.throwsC (fun () -> Tableau.Define { kutta3 with B = [| "1"; "0"; "1" |] } |> ignore) (fun e ->
                Expect.stringContains e.Message "Kutta3: b breaks sum b = 1" "the message")

            Expect.throwsC (fun () -> Tableau.Parse "{\"name\": \"X\"}" |> ignore) (fun e ->
                Expect.stringContains e.Message "the property \"order\" is missing" "the message")

            for text in [ ""; "[]"; "3"; "{\"name\": 3}"; "{\"name\": \"X\", \"order\": 1.5}" ] do
                Expect.throwsT<ArgumentException> (fun () -> Tableau.Parse text |> ignore) text

            let own = Tableau.Define("Kutta3", 3, kutta3.C, kutta3.A, kutta3.B, "Kutta 1901")
            Expect.equal own.Exact.B.Count 3 "stages"
        }
    ]

/// The laws and examples of exact numbers, tableaus and the catalogue.
let tests = testList "Tableau" [ rationals; trees; catalogue; mutations; own ]
