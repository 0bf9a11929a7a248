/// Losses of several terms and the balance of their factors.
module LossTermTests

open System
open Continuum
open Claims
open Expecto
open TorchSharp

let private near (what: string) (wanted: float[]) (found: float[]) =
    Expect.equal found.Length wanted.Length $"{what}: how many"

    Array.iter2
        (fun w f -> Expect.isLessThan (abs (w - f)) (1e-12 * (1.0 + abs w)) $"{what}: {f}, not {w}")
        wanted
        found

let private softmax (x: float[]) =
    let powers = Array.map exp x
    powers |> Array.map (fun p -> p / Array.sum powers)

/// Falling values of three terms at step t.
let private values (t: int) = [| exp (-0.1 * float t); 3.0 / float (1 + t); 0.5 + 0.2 * cos (float t) |]

let private balance = [
    test "SoftAdapt's factors by its formulas" {
        let rule = LossBalance(SoftAdapt(0.7, false, false), 3)
        near "no change known" (Array.create 3 (1.0 / 3.0)) (rule.Next(values 0))
        let change = Array.map2 (-) (values 1) (values 0)
        near "the softmax of changes" (softmax (change |> Array.map (fun s -> 0.7 * s))) (rule.Next(values 1))
        let change = Array.map2 (-) (values 2) (values 1)
        near "of the last step" (softmax (change |> Array.map (fun s -> 0.7 * s))) (rule.Next(values 2))

        let full = LossBalance(SoftAdapt(0.7, true, true), 3)
        full.Next(values 0) |> ignore
        let change = Array.map2 (-) (values 1) (values 0)
        let size = change |> Array.sumBy abs
        let powers = Array.map2 (fun v s -> v * exp (0.7 * s / size)) (values 1) change
        near "weighted and normalised" (powers |> Array.map (fun p -> p / Array.sum powers)) (full.Next(values 1))

        // The term that falls more slowly weighs more; equal changes weigh alike, however large.
        let slow = LossBalance(BalanceRule.SoftAdaptDefault, 2)
        slow.Next [| 1e6; 1e6 |] |> ignore
        let factors = slow.Next [| 1e6 - 5.0; 1e6 - 1.0 |]
        Expect.isGreaterThan factors[1] factors[0] "slower"
        near "alike" [| 0.5; 0.5 |] (slow.Next [| 1e6 - 1005.0; 1e6 - 1001.0 |])
    }

    test "ReLoBRaLo's factors by its formulas, without and with lookback" {
        let relative temperature (now: float[]) (past: float[]) =
            Array.map2 (fun a b -> a / (temperature * b)) now past |> softmax |> Array.map (fun b -> 3.0 * b)

        let combine alpha = Array.map2 (fun old recent -> alpha * old + (1.0 - alpha) * recent)
        // Saudade 1 keeps the old factors, 0 looks back to the start at each step.
        let keep = LossBalance(ReLoBRaLo(0.8, 0.5, 1.0, 3UL), 3)
        let back = LossBalance(ReLoBRaLo(0.8, 0.5, 0.0, 3UL), 3)
        near "at first" [| 1.0; 1.0; 1.0 |] (keep.Next(values 0))
        back.Next(values 0) |> ignore
        let mutable old = [| 1.0; 1.0; 1.0 |]

        for t in 1..5 do
            let recent = relative 0.5 (values t) (values (t - 1))
            old <- combine 0.8 old recent
            let found = keep.Next(values t)
            near $"kept, step {t}" old found
            Expect.isLessThan (abs (Array.sum found - 3.0)) 1e-12 "the sum is the number of terms"

            near
                $"from the start, step {t}"
                (combine 0.8 (relative 0.5 (values t) (values 0)) recent)
                (back.Next(values t))
    }

    test "the lookback has its probability, and its draws are those of the seed" {
        // With alpha = 1 the factors are the old ones or those from the start, which differ at every step.
        let run seed =
            let rule = LossBalance(ReLoBRaLo(1.0, 1.0, 0.75, seed), 2)
            let at (t: int) = [| 1.0 + 0.001 * float t; 1.0 |]
            let mutable before = rule.Next(at 0)

            [|
                for t in 1..4000 do
                    let now = rule.Next(at t)
                    now = before
                    before <- now
            |]

        let kept = run 5UL |> Array.filter id |> Array.length
        // Four standard deviations of the binomial distribution.
        Expect.isLessThan (abs (float kept - 3000.0)) (4.0 * sqrt (4000.0 * 0.75 * 0.25)) $"{kept} of 4000 kept"
        Expect.equal (run 5UL) (run 5UL) "the same seed"
        Expect.notEqual (run 5UL) (run 6UL) "another seed"
    }

    test "a restored balance goes on as if it had never stopped" {
        for rule in [ Constant; SoftAdapt(0.3, true, false); ReLoBRaLo(0.9, 0.2, 0.5, 11UL) ] do
            let whole = LossBalance(rule, 3)
            let first = LossBalance(rule, 3)

            for t in 0..6 do
                whole.Next(values t) |> ignore
                first.Next(values t) |> ignore

            let second = LossBalance(rule, 3)
            second.Restore first.State
            Expect.equal second.Factors whole.Factors "the factors"

            for t in 7..20 do
                Expect.equal (second.Next(values t)) (whole.Next(values t)) $"{rule}, step {t}: bit for bit"
    }

    test "what a balance refuses" {
        let of' rule n () = LossBalance(rule, n) |> ignore
        refuses "at least one term" (of' Constant 0)
        refuses "must be finite" (of' (SoftAdapt(nan, false, false)) 2)
        refuses "temperature must be positive" (of' (ReLoBRaLo(0.9, 0.0, 0.9, 1UL)) 2)
        refuses "Alpha is 1.5" (of' (ReLoBRaLo(1.5, 0.1, 0.9, 1UL)) 2)
        let rule = LossBalance(BalanceRule.ReLoBRaLoDefault 1UL, 2)
        refuses "of 2 terms; got 3" (fun () -> rule.Next [| 1.0; 2.0; 3.0 |] |> ignore)
        refuses "term 1 is NaN" (fun () -> rule.Next [| 1.0; nan |] |> ignore)
        refuses "has 7 numbers; got 3" (fun () -> rule.Restore [| 1.0; 2.0; 3.0 |])
        refuses "whole number" (fun () -> rule.Restore [| 0.5; 1.0; 1.0; 1.0; 1.0; 1.0; 1.0 |])
        refuses "term 0 is -1" (fun () -> rule.Next [| -1.0; 1.0 |] |> ignore)
        // Energies may be negative; constant factors and changes take them.
        near "constant" [| 1.0; 1.0 |] (LossBalance(Constant, 2).Next [| -1.0; 1.0 |])
        near "changes" [| 0.5; 0.5 |] (LossBalance(BalanceRule.SoftAdaptDefault, 2).Next [| -1.0; 1.0 |])
        // A term of zero stays finite.
        rule.Next [| 0.0; 1.0 |] |> ignore
        Expect.isTrue (rule.Next [| 0.0; 0.5 |] |> Array.forall Double.IsFinite) "zero"
        Expect.isTrue (rule.Next [| 1.0; 0.5 |] |> Array.forall Double.IsFinite) "zero before"
    }
]

let private grid =
    Discretisation.Product [| AxisPoints.Uniform(Axis.Open 1.0, 9); AxisPoints.Uniform(Axis.Dirichlet 1.0, 8) |]

let private field f = FieldValues.ofFunction 2 torch.float64 grid f

let private terms = [
    LossTerms.distance "data" 2.0 L2 LossOptions.Default
    LossTerms.boundary "ends" 0.5 [| 1 |] false LossOptions.Default
    LossTerms.boundary "ends of the truth" 0.5 [| 1 |] true LossOptions.Default
    LossTerms.initial "start" 1.0 0 LossOptions.Default (fun inputs -> inputs[0])
    LossTerms.divergence "divergence" 0.1 LossOptions.Default
    // du/dt = a with a the second input.
    LossTerms.residual "equation" 3.0 LossOptions.Default (fun inputs u ->
        let rate = GridCalculus.derivative 0 1 u
        u.With(rate.Values.sub inputs[1].Values))
]

let private prediction (values: Tensor) : OperatorPrediction = {
    Inputs = [| field (fun x -> [| x[1]; 1.0 |]); field (fun x -> [| 1.0; x[1] |]) |]
    Prediction = new Field(grid, values)
    Truth = Some(field (fun x -> [| x[1] + x[0]; 1.0 + x[0] * x[1] |]))
    Mask = None
    Samples = [||]
    Population = 0
}

let private sums = [
    test "the sum of the terms, their values, gradients, and no tensor left behind" {
        use _ = torch.NewDisposeScope()
        let terms = Array.ofList terms
        let truth = field (fun x -> [| x[1] + x[0]; 1.0 + x[0] * x[1] |])
        let exact = prediction truth.Values
        let own = LossTerms.values terms exact |> Array.map _.ToDouble()
        // The truth starts at the first input and obeys the equation; it does not vanish at the ends.
        near "terms" [| 0.0; own[1]; 0.0; 0.0; own[4]; own[5] |] own
        Expect.isLessThan own[5] 1e-12 "equation"
        Expect.isGreaterThan own[1] 1.0 "ends"

        use generator = new torch.Generator(4UL)
        let noise = torch.randn ([| 2L; 2L; 9L; 8L |], dtype = Nullable torch.float64, generator = generator)
        let leaf = noise.detach().requires_grad_ true
        let seen = prediction leaf
        let before = Tensors.live ()
        let balance = LossBalance(Constant, terms.Length)
        let struct (total, numbers) = LossTerms.total balance terms seen
        Expect.equal (Tensors.live ()) (before + 1L) "one tensor"
        let wanted = Array.map2 (fun (t: LossTerm) v -> t.Weight * v) terms numbers |> Array.sum
        near "weights" [| wanted |] [| total.ToDouble() |]
        let slope = (Autograd.vjp [| total |] [| leaf |] [| torch.ones_like total |])[0]
        let direction = torch.randn_like noise

        let at h =
            (LossTerms.total balance terms (prediction (noise.add (direction, (h: float))))
             |> fun (struct (t, _)) -> t.ToDouble())

        let difference = (at 1e-5 - at -1e-5) / 2e-5
        let found = slope.mul(direction).sum().ToDouble()
        Expect.isLessThan (abs (found - difference)) (1e-6 * (1.0 + abs found)) "gradient"

        // Factors of a balance multiply the weights.
        let soft = LossBalance(SoftAdapt(0.1, false, false), terms.Length)
        let struct (first, _) = LossTerms.total soft terms seen
        near "a balance" [| total.ToDouble() / float terms.Length |] [| first.ToDouble() |]
    }

    test "terms use the mask of the prediction, unless they have their own" {
        use _ = torch.NewDisposeScope()
        let mask (c: float) = field (fun x -> [| if x[0] < 0.5 then c else 0.0 |])
        let p = prediction (field (fun x -> [| 5.0 * x[0]; 2.0 |])).Values
        let term options = LossTerms.distance "data" 1.0 L2 options

        let own options p =
            let found = LossTerms.values [| term options |] p
            found[0].ToDouble()

        let absolute = { LossOptions.Default with Relative = false }
        let wanted = own { absolute with Mask = Some(mask 1.0) } p
        let seen = { p with Mask = Some(mask 1.0) }
        Expect.equal (own absolute seen) wanted "the prediction's"
        near "its own" [| 2.0 * wanted |] [| own { absolute with Mask = Some(mask 4.0) } seen |]
        Expect.notEqual (own absolute p) wanted "none"
    }

    test "what terms refuse" {
        use _ = torch.NewDisposeScope()
        let p = prediction (field (fun x -> [| x[0]; 2.0 |])).Values
        let values terms p () = LossTerms.values terms p |> ignore
        let data = LossTerms.distance "data" 1.0 L2 LossOptions.Default
        refuses "at least one term" (values [||] p)
        refuses "2 terms are named 'data'" (values [| data; data |] p)
        refuses "prediction has none" (values [| data |] { p with Truth = None })

        refuses
            "shape [2, 2, 9, 8]"
            (values [| LossTerms.ofFunction "field" 1.0 (fun p -> p.Prediction.Values.mul 2.0) |] p)

        refuses "weights must be finite" (fun () -> LossTerms.distance "data" -1.0 L2 LossOptions.Default |> ignore)
        refuses "of 3 terms; got 1" (fun () -> LossTerms.total (LossBalance(Constant, 3)) [| data |] p |> ignore)
    }
]

let all = testList "Operator losses: terms" (balance @ sums)
