/// What stochastic solves are given: tableaus, methods and equations that do not fit, bad input.
module SdeInputTests

open System
open Continuum
open Expecto
open TorchSharp

let private plain (step: float) = { TensorSdeOptions.fixedSteps step with Differentiation = Differentiation.None }

let private throwsWith (parts: string list) (action: unit -> unit) =
    let caught =
        try
            action ()
            None
        with :? ArgumentException as error ->
            Some error.Message

    match caught with
    | None -> failtest "no ArgumentException"
    | Some message ->
        for part in parts do
            Expect.stringContains message part "the message"

// ------------------------------------------------------------------------------------------------------------- tableaus

let private one = Rational.One
let private zero = Rational.Zero
let private ratio p q = Rational.Create(bigint (p: int), bigint (q: int))
let private at (row: Rational[]) j = if j < row.Length then row[j] else zero

/// Sums of a row over W and over H.
let private totals (row: NoiseRow) (count: int) =
    let sum (list: Rational[]) = Seq.init count (at list) |> Seq.fold (+) zero
    struct (sum row.W, sum row.H)

let private near (a: Rational) (b: Rational) = abs ((a - b).ToDouble()) < 1e-30

let private over (n: int) (term: int -> Rational) = Seq.init n term |> Seq.fold (+) zero

let private tableaus =
    testList "tableaus" [
        for tableau in SdeTableaus.all () do
            let stages = tableau.Stages
            let b = tableau.DriftWeights
            let g = tableau.NoiseWeights
            let rows = tableau.NoiseRows |> Array.mapi (fun s row -> totals row s)
            let w j = let struct (w, _) = rows[j] in w
            let h j = let struct (_, h) = rows[j] in h

            if tableau.Calculus = ValueSome CalculusKind.Stratonovich && not tableau.IsElementwise then
                testCase $"{tableau.Name}: the Stratonovich term of second order"
                <| fun () ->
                    // (D g) g (w W + h H) (W', H') must be W W / 2 and nothing else.
                    Expect.isTrue (near (over stages (fun j -> at g.W j * w j)) (ratio 1 2)) "W W"
                    Expect.isTrue (near (over stages (fun j -> at g.W j * h j + at g.H j * w j)) zero) "W H"
                    Expect.isTrue (near (over stages (fun j -> at g.H j * h j)) zero) "H H"

            if tableau.StrongOrders.Additive >= 1.5 && not tableau.IsElementwise then
                testCase $"{tableau.Name}: additive noise to order 3/2"
                <| fun () ->
                    // f' times the integral of W, h (W/2 + H); f'' times the mean of the integral of W^2, h^2/2; f' f and time.
                    Expect.isTrue (near (over stages (fun j -> b[j] * w j)) (ratio 1 2)) "W"
                    Expect.isTrue (near (over stages (fun j -> b[j] * h j)) one) "H"
                    let square j = w j * w j + h j * h j * ratio 1 12
                    Expect.isTrue (near (over stages (fun j -> b[j] * square j)) (ratio 1 2)) "squares"
                    Expect.isTrue (near (over stages (fun j -> b[j] * tableau.Nodes[j])) (ratio 1 2)) "time"

        testCase "an inconsistent one is refused with the entry"
        <| fun () ->
            let text (b: string) (a: string) =
                $"{{\"name\": \"X\", \"source\": \"\", \"calculus\": \"Ito\", \"strong_order\": {{\"general\": 0.5}}, \"weak_order\": 1, \"c\": [\"0\", \"1\"], \"a\": [[], [\"{a}\"]], \"b\": [{b}], \"bW\": [\"1\", \"0\"]}}"

            SdeTableau.Parse(text "\"1/2\", \"1/2\"" "1") |> ignore
            throwsWith [ "b sums to" ] (fun () -> SdeTableau.Parse(text "\"1/2\", \"1/3\"" "1") |> ignore)
            throwsWith [ "a[2]"; "node" ] (fun () -> SdeTableau.Parse(text "\"1/2\", \"1/2\"" "2/3") |> ignore)
            throwsWith [ "b has 1 entries" ] (fun () -> SdeTableau.Parse(text "\"1\"" "1") |> ignore)
            throwsWith [ "number" ] (fun () -> SdeTableau.Parse(text "\"x\", \"1/2\"" "1") |> ignore)
            throwsWith [ "JSON" ] (fun () -> SdeTableau.Parse "{" |> ignore)
            throwsWith [ "missing" ] (fun () -> SdeTableau.Parse "{}" |> ignore)

        testCase "one of one's own becomes a method of the calculus and noise that it suits"
        <| fun () ->
            let tableau name = SdeTableaus.all () |> Array.find (fun t -> t.Name = name)
            let own = SdeMethods.ofTableau<Stratonovich, GeneralNoise>(tableau "Heun")
            Expect.equal own.Name "Heun" "name"

            throwsWith [ "Stratonovich"; "Ito" ] (fun () ->
                SdeMethods.ofTableau<Ito, GeneralNoise>(tableau "Heun") |> ignore)

            throwsWith [ "General" ] (fun () -> SdeMethods.ofTableau<Ito, GeneralNoise>(tableau "SRA1") |> ignore)

            throwsWith [ "Commutative" ] (fun () ->
                SdeMethods.ofTableau<Ito, CommutativeNoise>(tableau "SRID2") |> ignore)

        testCase "types refuse noise that a method cannot take"
        <| fun () ->
            let methods = typeof<SdeMethod<Ito, DiagonalNoise>>.Assembly.GetType "Continuum.SdeMethods"

            let refuses (name: string) (argument: Type) =
                try
                    methods.GetMethod(name).MakeGenericMethod argument |> ignore
                    false
                with :? ArgumentException ->
                    true

            Expect.isTrue (refuses "srid2" typeof<GeneralNoise>) "SRID2 with general noise"
            Expect.isTrue (refuses "srid2" typeof<AdditiveNoise>) "SRID2 with a matrix"
            Expect.isFalse (refuses "srid2" typeof<ScalarNoise>) "SRID2 with scalar noise"
            Expect.isFalse (refuses "heun" typeof<GeneralNoise>) "Heun with general noise"
    ]

// ------------------------------------------------------------------------------------------------------------- bad input

let private badInput =
    let state = lazy (torch.ones([| 3L; 2L |], dtype = torch.float64).DetachFromDisposeScope())
    let drift (_: Tensor) (y: Tensor) = y
    let general m g = Sde.general<Stratonovich> m [] drift (fun _ y -> g y)
    let run sde = TensorSde.simulate (plain 0.1) SdeMethods.heun sde 1UL 0.0 1.0 state.Value |> ignore
    let good = Sde.diagonal<Stratonovich> [] drift drift

    let path dimension level =
        TensorBrownian.For({ BrownianSpec.create 0.0 1.0 dimension 1UL with Level = level }, state.Value, 0L)

    testList "bad input" [
        testCase "a diffusion of the wrong shape: both shapes and the noise"
        <| fun () ->
            throwsWith [ "general"; "[3, 2, 4]"; "[3, 2]" ] (fun () -> run (general 4 (fun y -> torch.ones_like y)))

            throwsWith [ "[3, 2, 4]"; "[3, 2, 3]" ] (fun () ->
                run (general 4 (fun y -> y.unsqueeze(-1L).expand(3L, 2L, 3L))))

            throwsWith [ "diagonal"; "[3, 2]"; "[3, 2, 2]" ] (fun () ->
                TensorSde.simulate
                    (plain 0.1)
                    SdeMethods.heun
                    (Sde.diagonal<Stratonovich> [] drift (fun _ y -> torch.diag_embed y))
                    1UL
                    0.0
                    1.0
                    state.Value
                |> ignore)

            throwsWith [ "additive"; "[2, 3]"; "[3, 2]" ] (fun () ->
                TensorSde.simulate
                    (plain 0.1)
                    SdeMethods.sra1
                    (Sde.additive<Ito> 3 [] drift (fun t -> torch.ones ([| 3L; 2L |], dtype = t.dtype)))
                    1UL
                    0.0
                    1.0
                    state.Value
                |> ignore)

        testCase "a drift of the wrong shape"
        <| fun () ->
            throwsWith [ "drift"; "[3, 2]"; "[3, 1]" ] (fun () ->
                let sde = Sde.diagonal<Stratonovich> [] (fun _ y -> y.narrow (1L, 0L, 1L)) drift
                TensorSde.simulate (plain 0.1) SdeMethods.heun sde 1UL 0.0 1.0 state.Value |> ignore)

        testCase "a path that does not fit"
        <| fun () ->
            let solve (path: IBrownian<Tensor>) t0 t1 =
                TensorSde.solve (plain 0.1) SdeMethods.spark good path t0 t1 state.Value |> ignore

            throwsWith [ "2 Brownian motions"; "3" ] (fun () -> solve (path 3 LevyLevel.SpaceTime) 0.0 1.0)
            throwsWith [ "SPaRK"; "SpaceTime"; "Increments" ] (fun () -> solve (path 2 LevyLevel.Increments) 0.0 1.0)
            throwsWith [ "[0, 2]"; "[0, 1]" ] (fun () -> solve (path 2 LevyLevel.SpaceTime) 0.0 2.0)

            let batch =
                TensorBrownian.For(
                    { BrownianSpec.create 0.0 1.0 2 1UL with Level = LevyLevel.SpaceTime },
                    torch.ones ([| 4L; 2L |], dtype = torch.float64),
                    0L
                )

            throwsWith [ "[4, 2]"; "[3, 2]" ] (fun () -> solve batch 0.0 1.0)
            Expect.throwsT<ArgumentNullException> (fun () -> solve (Unchecked.defaultof<_>) 0.0 1.0) "null"

            throwsWith [ "Milstein"; "Area"; "SpaceTime" ] (fun () ->
                let sde = general 2 (fun y -> y.unsqueeze(-1L).expand(3L, 2L, 2L))

                TensorSde.solve
                    (plain 0.1)
                    SdeMethods.milsteinStratonovich
                    sde
                    (path 2 LevyLevel.SpaceTime)
                    0.0
                    1.0
                    state.Value
                |> ignore)

        testCase "options that contradict the span"
        <| fun () ->
            let run options = TensorSde.simulate options SdeMethods.heun good 1UL 0.0 1.0 state.Value |> ignore
            throwsWith [ "fixed step"; "-0.1" ] (fun () -> run (plain -0.1))
            throwsWith [ "fixed step"; "0" ] (fun () -> run (plain 0.0))
            throwsWith [ "monotone" ] (fun () -> run { plain 0.1 with SaveAt = Times [| 0.5; 0.2 |] })
            throwsWith [ "outside"; "-1" ] (fun () -> run { plain 0.1 with SaveAt = Times [| -1.0 |] })

            throwsWith [ "zero length" ] (fun () ->
                TensorSde.simulate (plain 0.1) SdeMethods.heun good 1UL 0.5 0.5 state.Value |> ignore)

        testCase "states that are none"
        <| fun () ->
            let run (y: Tensor) =
                TensorSde.solve (plain 0.1) SdeMethods.heun good (path 2 LevyLevel.Increments) 0.0 1.0 y |> ignore

            throwsWith [ "empty" ] (fun () -> run (torch.ones ([| 0L; 2L |])))
            throwsWith [ "floating" ] (fun () -> run (torch.ones ([| 3L; 2L |], dtype = torch.int64)))
            throwsWith [ "number" ] (fun () -> run (torch.ones ([||], dtype = torch.float64)))

            throwsWith [ "number" ] (fun () ->
                TensorSde.simulate
                    (plain 0.1)
                    SdeMethods.heun
                    good
                    1UL
                    0.0
                    1.0
                    (torch.ones ([||], dtype = torch.float64))
                |> ignore)

            throwsWith [ "atol"; "[2]"; "[3, 2]" ] (fun () ->
                let adaptive = TensorSdeOptions.adaptive 1e-3 1e-3
                let tolerance = { adaptive.Tolerance with AtolPer = ValueSome(Tensors.vector [| 1e-3; 1e-3 |]) }

                TensorSde.simulate { adaptive with Tolerance = tolerance } SdeMethods.heun good 1UL 0.0 1.0 state.Value
                |> ignore)

        testCase "a single column of general noise needs no area"
        <| fun () ->
            let sde = Sde.general<Stratonovich> 1 [] drift (fun _ y -> y.unsqueeze -1L)

            use solution =
                TensorSde.simulate (plain 0.1) SdeMethods.milsteinStratonovich sde 1UL 0.0 1.0 state.Value

            Expect.equal solution.Status Status.Success solution.Message
    ]

let tests = testList "stochastic input" [ tableaus; badInput ]
