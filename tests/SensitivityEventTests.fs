/// Derivatives of solves with events, and through the automatic choice of a method.
module SensitivityEventTests

#nowarn "3535" "3536"

open System
open Continuum
open Continuum.Properties
open Claims
open SensitivityProblems
open SensitivityProblems.GenericFields
open Expecto

let private bounce most : GenericEvent = {
    Name = "bounce"
    Condition = Height()
    Crossing = Falling
    Change = ValueSome(Bounce())
    Terminal = false
    MaxOccurrences = most
}

let private ball options = {
    Name = "bouncing ball"
    Method = RungeKutta Methods.Tsit5
    Options = options
    Problem = fun p -> (ofField (Ball()) p).WithEvents [| bounce 10 |]
    Parameters = [| 9.81; 0.8 |]
    Start = 0.0
    End = 3.7
    Initial = [| 1.0; 0.5 |]
}

let eventTests =
    testList "events" [
        test "ten bounces: times and speeds differentiated as in closed form" {
            let case = ball (tight (Times [| 3.68 |]))

            let run =
                Sensitivity.forward
                    case.Method
                    case.Options
                    Everything
                    (case.Problem case.Parameters)
                    case.Start
                    case.End
                    case.Initial

            let g, kept = case.Parameters[0], case.Parameters[1]
            let x, v = case.Initial[0], case.Initial[1]
            let impact = sqrt (v * v + 2.0 * g * x)
            Expect.equal run.Occurrences.Length 10 "ten bounces"

            for k in 0..9 do
                // t_k = (v + impact) / g + 2 impact (kept + ... + kept^k) / g
                let sum = Seq.sum (seq { for i in 1..k -> Math.Pow(kept, float i) })
                let sum' = Seq.sum (seq { for i in 1..k -> float i * Math.Pow(kept, float i - 1.0) })
                let factor = (1.0 + 2.0 * sum) / g
                let time = run.Occurrences[k].Time
                close $"time {k} by height" 1e-8 time[0] (factor * g / impact)
                close $"time {k} by speed" 1e-8 time[1] (1.0 / g + factor * v / impact)

                close
                    $"time {k} by gravity"
                    1e-8
                    time[2]
                    (-(v + impact) / (g * g) - 2.0 * impact * sum / (g * g) + factor * x / impact)

                close $"time {k} by restitution" 1e-8 time[3] (2.0 * impact * sum' / g)

                // the speed after bounce k is impact kept^(k + 1)
                let after = run.Occurrences[k].After
                let power = Math.Pow(kept, float k + 1.0)
                close $"speed after {k} by height" 1e-8 after[1, 0] (power * g / impact)

                close
                    $"speed after {k} by restitution"
                    1e-8
                    after[1, 3]
                    (impact * (float k + 1.0) * Math.Pow(kept, float k))

                Expect.isTrue (abs run.Occurrences[k].Before[0, 2] < 1e-8) "the height at a bounce stays zero"
        }

        test "through events and doses: forward = adjoint = differences, Hessian too" {
            let case =
                let plain = ball (tight (Times [| 0.2; 1.4; 2.9; 3.68 |]))

                {
                    plain with
                        Problem =
                            fun p ->
                                (plain.Problem p).WithDoses [|
                                    { Time = 1.2; Change = Kick 0.05 }
                                    { Time = 2.2; Change = Kick -0.03 }
                                |]
                }

            holds (SensitivityLaws.forwardIsAdjoint 1e-10 case)
            holds (SensitivityLaws.adjointIsDifference 1e-4 1e-7 case)
            holds (SensitivityLaws.hessianIsDifference 1e-4 1e-6 case)
        }

        test "a terminal event: the end moves with the inputs" {
            let case = {
                ball (tight EndOnly) with
                    Problem =
                        fun p ->
                            (ofField (Ball()) p).WithEvents [| { bounce 1 with Terminal = true; Change = ValueNone } |]
            }

            let run =
                Sensitivity.forward
                    case.Method
                    case.Options
                    Everything
                    (case.Problem case.Parameters)
                    case.Start
                    case.End
                    case.Initial

            let impact = sqrt (0.25 + 2.0 * 9.81)
            close "landing speed by height" 1e-9 run.Final[1, 0] (-9.81 / impact)
            Expect.isTrue (abs run.Final[0, 0] < 1e-9) "the height where it lands stays zero"
            holds (SensitivityLaws.forwardIsAdjoint 1e-10 case)
        }
    ]

let automaticTests =
    let methods (case: SensitivityCase) =
        let result =
            Sensitivity.forward
                case.Method
                case.Options
                Everything
                (case.Problem case.Parameters)
                case.Start
                case.End
                case.Initial

        result.Solution.Choices |> Array.map _.Method

    testList "automatic choice" [
        test "a solve that goes on with Rodas5P, and back" {
            let case = {
                vanDerPol Automatic (stiffOptions 1e-7 [| 0.4; 0.9; 1.5; 4.0 |]) with
                    Parameters = [| 1e4; 0.3 |]
                    End = 4.0
            }

            Expect.containsAll (methods case) [| "Vern7"; "Rodas5P" |] "both methods made steps"
            holds (SensitivityLaws.forwardIsAdjoint 1e-8 case)
            let single = { case with Method = Rosenbrock RosenbrockMethods.Rodas5P; End = 1.5 }

            let final (case: SensitivityCase) =
                (Sensitivity.forward
                    case.Method
                    { case.Options with SaveAt = EndOnly }
                    Everything
                    (case.Problem case.Parameters)
                    0.0
                    1.5
                    case.Initial)
                    .Final

            let mixed, expected = final case, final single

            for i in 0..1 do
                for j in 0..3 do
                    if abs expected[i, j] > 1e-6 then
                        close $"entry ({i}, {j})" 1e-3 mixed[i, j] expected[i, j]
        }

        test "a solve that goes on with BDF" {
            let case = {
                Name = "chain of 40 species"
                Method = Automatic
                Options = { SolveOptions.create 1e-6 1e-9 with SaveAt = Times [| 0.05; 1.0 |] }
                Problem = ofField (Chain 40)
                Parameters = [| 400.0; 2.0 |]
                Start = 0.0
                End = 1.0
                Initial = Array.init 40 (fun i -> 0.3 + 0.2 * sin (0.7 * float i))
            }

            Expect.containsAll (methods case) [| "Tsit5"; "Bdf" |] "both methods made steps"
            holds (SensitivityLaws.forwardIsAdjoint 1e-8 case)
        }

        test "a delegate, stiff and not" {
            let run p t1 =
                let problem = delegates false p
                Sensitivity.forward Automatic (tight (Times [| t1 |])) Everything problem 0.0 t1 [| 1.0; 0.7 |]

            let result = run [| 1.5; 1.0; 0.8; 3.0 |] 3.0
            Expect.equal result.Solution.Choices[0].Method "Vern9" "not stiff"

            let expected =
                Sensitivity.forward
                    (RungeKutta Methods.Vern9)
                    (tight (Times [| 3.0 |]))
                    Everything
                    (ofField (LotkaVolterra()) [| 1.5; 1.0; 0.8; 3.0 |])
                    0.0
                    3.0
                    [| 1.0; 0.7 |]

            for i in 0..1 do
                for j in 0..5 do
                    close $"({i}, {j})" 1e-5 result.Final[i, j] expected.Final[i, j]
        }
    ]
