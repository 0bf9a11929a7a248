/// Reference problems with closed forms, published values or agreement of independent methods, for every method on arrays.
module ReferenceTests

#nowarn "3535" "3536"

open System
open Continuum
open Expecto

let private options rtol atol : SolveOptions<float[]> = { SolveOptions.create rtol atol with MaxSteps = 400_000 }

let private system n (f: float -> float[] -> float[]) =
    OdeSystem.OfField(VectorField(fun t y dydt -> (f t (y.ToArray())).AsSpan().CopyTo dydt), n)

let private explicitMethods =
    [ Methods.Tsit5; Methods.Dopri5; Methods.Vern7; Methods.Vern9; Methods.Dop853 ]
    |> List.map RungeKutta

let private stiffMethods = [
    Rosenbrock RosenbrockMethods.Rosenbrock23
    Rosenbrock RosenbrockMethods.Rodas5P
    Esdirk EsdirkMethods.Kvaerno3
    Esdirk EsdirkMethods.Kvaerno5
    Esdirk EsdirkMethods.KenCarp4
    Esdirk EsdirkMethods.TrBdf2
    Bdf 5
]

let private solve method options problem t0 t1 y0 = ArrayOde.solveSystem method options problem t0 t1 y0

let private reached method options problem t0 t1 y0 =
    let solution = solve method options problem t0 t1 y0
    Expect.equal solution.Status Status.Success $"{method.Name}: {solution.Message}"
    solution

let private distance (a: float[]) (b: float[]) = Array.map2 (fun (x: float) y -> abs (x - y)) a b |> Array.max

let private within (method: Method) what (error: float) bound =
    Expect.isTrue (error <= bound) $"{method.Name}, {what}: error {error:g3}, allowed {bound:g3}"

/// rtol 1e-7 for methods of order 2 and 3, whose steps are many below it.
let private fine (method: Method) = if method.Order <= 3 then 1e-7 else 1e-10

// ------------------------------------------------------------------------------------------------------------- orbits

/// Restricted three bodies. Arenstorf 1963; Hairer, Norsett and Wanner I, II.0.
let private arenstorf =
    let small = 0.012277471
    let large = 1.0 - small

    system 4 (fun _ y ->
        let first = ((y[0] + small) ** 2.0 + y[1] * y[1]) ** 1.5
        let second = ((y[0] - large) ** 2.0 + y[1] * y[1]) ** 1.5

        [|
            y[2]
            y[3]
            y[0] + 2.0 * y[3] - large * (y[0] + small) / first - small * (y[0] - large) / second
            y[1] - 2.0 * y[2] - large * y[1] / first - small * y[1] / second
        |])

let private arenstorfStart = [| 0.994; 0.0; 0.0; -2.00158510637908252240537862224 |]
let private arenstorfPeriod = 17.0652165601579625588917206249

let private kepler =
    system 4 (fun _ y ->
        let cube = (y[0] * y[0] + y[1] * y[1]) ** 1.5
        [| y[2]; y[3]; -y[0] / cube; -y[1] / cube |])

/// Seven stars. Hairer, Norsett and Wanner I, II.10.
let private pleiades =
    system 28 (fun _ y ->
        let slope = Array.zeroCreate 28

        for i in 0..6 do
            slope[i] <- y[14 + i]
            slope[7 + i] <- y[21 + i]

            for j in 0..6 do
                if i <> j then
                    let dx, dy = y[j] - y[i], y[7 + j] - y[7 + i]
                    let pull = float (j + 1) / (dx * dx + dy * dy) ** 1.5
                    slope[14 + i] <- slope[14 + i] + pull * dx
                    slope[21 + i] <- slope[21 + i] + pull * dy

        slope)

let private pleiadesStart =
    Array.concat [
        [| 3.0; 3.0; -1.0; -3.0; 2.0; -2.0; 2.0 |]
        [| 3.0; -3.0; 2.0; 0.0; 0.0; -4.0; 4.0 |]
        [| 0.0; 0.0; 0.0; 0.0; 0.0; 1.75; -1.5 |]
        [| 0.0; 0.0; 0.0; -1.25; 1.0; 0.0; 0.0 |]
    ]

let private orbits =
    testList "orbits" [
        test "Arenstorf's orbit closes, forward and backward" {
            for method in explicitMethods do
                for tolerance, bound in [ 1e-9, 1e-4; 1e-12, 1e-7 ] do
                    let run t0 t1 =
                        (reached method (options tolerance tolerance) arenstorf t0 t1 arenstorfStart).FinalState

                    within method $"at {tolerance}" (distance (run 0.0 arenstorfPeriod) arenstorfStart) bound
                    within method $"back at {tolerance}" (distance (run arenstorfPeriod 0.0) arenstorfStart) bound
        }
        test "ten Kepler orbits of eccentricity 0.9 close, forward and backward" {
            let start = [| 0.1; 0.0; 0.0; sqrt 19.0 |]

            for method in explicitMethods do
                for finish in [ 20.0 * Math.PI; -20.0 * Math.PI ] do
                    let solution = reached method (options 1e-12 1e-12) kepler 0.0 finish start
                    within method $"to {finish}" (distance solution.FinalState start) 2e-6
        }
        test "the Pleiades: explicit, Rosenbrock and multistep methods agree, and return" {
            let reference =
                (reached (RungeKutta Methods.Vern9) (options 1e-13 1e-13) pleiades 0.0 3.0 pleiadesStart).FinalState

            for method, bound in
                [
                    RungeKutta Methods.Tsit5, 1e-6
                    RungeKutta Methods.Dop853, 1e-5
                    Rosenbrock RosenbrockMethods.Rodas5P, 1e-5
                    Bdf 5, 1e-3
                ] do
                let there = reached method (options 1e-9 1e-9) pleiades 0.0 3.0 pleiadesStart
                let back = reached method (options 1e-9 1e-9) pleiades 3.0 0.0 there.FinalState
                within method "there" (distance there.FinalState reference) bound
                within method "back" (distance back.FinalState pleiadesStart) (10.0 * bound)
        }
        test "a free rigid body keeps its two invariants with every method" {
            let body = system 3 (fun _ y -> [| -2.0 * y[1] * y[2]; 1.25 * y[0] * y[2]; -0.5 * y[0] * y[1] |])

            let invariants (y: float[]) = [|
                1.25 * y[0] * y[0] + 2.0 * y[1] * y[1]
                0.5 * y[1] * y[1] + 1.25 * y[2] * y[2]
            |]

            let start = [| 1.0; 0.0; 0.9 |]

            for method in explicitMethods @ stiffMethods do
                let tolerance = fine method
                let solution = reached method (options tolerance tolerance) body 0.0 20.0 start
                let drift = distance (invariants solution.FinalState) (invariants start)
                within method "drift" drift (1000.0 * tolerance)
        }
    ]

// ---------------------------------------------------------------------------------------------------------- kinetics

let private robertson =
    system 3 (fun _ y ->
        let a, b, c = 0.04 * y[0], 1e4 * y[1] * y[2], 3e7 * y[1] * y[1]
        [| b - a; a - b - c; c |])

let private robertsonWithConservation =
    (system 3 (fun _ y ->
        let a, b, c = 0.04 * y[0], 1e4 * y[1] * y[2], 3e7 * y[1] * y[1]
        [| b - a; a - b - c; y[0] + y[1] + y[2] - 1.0 |]))
        .WithMass
        [| 1.0; 1.0; 0.0 |]

let private oregonator =
    system 3 (fun _ y -> [|
        77.27 * (y[1] + y[0] * (1.0 - 8.375e-6 * y[0] - y[1]))
        (y[2] - (1.0 + y[0]) * y[1]) / 77.27
        0.161 * (y[0] - y[2])
    |])

let private vanDerPol epsilon =
    (system 2 (fun _ y -> [| y[1]; ((1.0 - y[0] * y[0]) * y[1] - y[0]) / epsilon |]))
        .WithJacobian(fun _ y j ->
            j[0, 1] <- 1.0
            j[1, 0] <- (-2.0 * y[0] * y[1] - 1.0) / epsilon
            j[1, 1] <- (1.0 - y[0] * y[0]) / epsilon)

let private kinetics =
    testList "kinetics" [
        test "Robertson to 1e11 by differences, as ODE and DAE, at any absolute tolerance" {
            // Hairer and Wanner, IVP test set: y1(1e11).
            let exact = 0.2083340149701255e-07

            for method in stiffMethods do
                for problem in [ robertson; robertsonWithConservation ] do
                    for atol in [ 1e-8; 1e-10; 1e-12; 1e-14 ] do
                        let solution = reached method (options 1e-4 atol) problem 0.0 1e11 [| 1.0; 0.0; 0.0 |]
                        let y = solution.FinalState
                        within method $"y1, atol {atol}" (abs (y[0] - exact)) (2e-3 * exact + 4.0 * atol)
                        within method "conservation" (abs (Array.sum y - 1.0)) 1e-9
                        Expect.isTrue (Array.min y >= -atol) $"{method.Name}: negative {y}"
                        Expect.isLessThan solution.Statistics.Accepted 2000 $"{method.Name}: steps at atol {atol}"
        }
        test "the Oregonator after more than one period" {
            // Mazzia and Magherini, test set for IVP solvers; confirmed by three methods at 1e-10.
            let exact = [| 1.000814870318523; 1228.178521549917; 132.0554942846706 |]

            for method, bound in
                [
                    Rosenbrock RosenbrockMethods.Rodas5P, 1e-5
                    Esdirk EsdirkMethods.Kvaerno5, 1e-3
                    Esdirk EsdirkMethods.KenCarp4, 1e-3
                    Bdf 5, 1e-3
                ] do
                let solution = reached method (options 1e-6 1e-6) oregonator 0.0 360.0 [| 1.0; 2.0; 3.0 |]
                let relative = Array.map2 (/) solution.FinalState exact
                within method "relative" (distance relative [| 1.0; 1.0; 1.0 |]) bound
        }
        test "van der Pol with mu = 1e6: all stiff methods reach the same point" {
            // y(2) in time scaled by mu, where the fast time is 1e-12; Rodas5P, Kvaerno5 and KenCarp4 agree at 1e-8.
            let exact = [| 1.70554624; -0.89347634 |]

            for method in stiffMethods do
                let tolerance = 1e-5
                let solution = reached method (options tolerance tolerance) (vanDerPol 1e-12) 0.0 2.0 [| 2.0; -0.66 |]
                within method "state" (distance solution.FinalState exact) 5e-3
        }
        test "van der Pol with mu = 1e6 by differences: the automatic choice gets through" {
            let plain = system 2 (fun _ y -> [| y[1]; ((1.0 - y[0] * y[0]) * y[1] - y[0]) * 1e12 |])

            for tolerance in [ 1e-4; 1e-6 ] do
                let solution = reached Automatic (options tolerance tolerance) plain 0.0 2.0 [| 2.0; -0.66 |]
                within Automatic "state" (distance solution.FinalState [| 1.70554624; -0.89347634 |]) 5e-3
        }
        test "errors shrink with the tolerance on the Brusselator" {
            let field =
                system 2 (fun _ y -> [| 1.0 + y[0] * y[0] * y[1] - 4.0 * y[0]; 3.0 * y[0] - y[0] * y[0] * y[1] |])

            let run method tolerance =
                (reached method (options tolerance tolerance) field 0.0 20.0 [| 1.5; 3.0 |]).FinalState

            let exact = run (RungeKutta Methods.Vern9) 1e-13

            for method in explicitMethods @ stiffMethods do
                let loose = distance (run method 1e-4) exact
                let tight = distance (run method 1e-7) exact
                // Three orders in the tolerance are at least one in the error, also of second order methods and lucky loose solves.
                within method "tight" tight (loose / 10.0 + 1e-9)
        }
    ]

// --------------------------------------------------------------------------------------------- stiff forcing and DAEs

let private forced rate (shift: float) =
    let phase t = t - shift

    system 1 (fun t y -> [| -rate * (y[0] - cos (phase t)) - sin (phase t) |])

let private stiffForcing =
    testList "stiff forcing" [
        test "Prothero and Robinson: step values follow the forcing at every tolerance" {
            for method in stiffMethods do
                for rate in [ 1e3; 1e6 ] do
                    for tolerance in [ 1e-4; 1e-6 ] do
                        let o = { options tolerance tolerance with SaveAt = EverySteps }
                        let solution = reached method o (forced rate 0.0) 0.5 10.0 [| cos 0.5 |]

                        let error =
                            Array.map2 (fun t (y: float[]) -> abs (y[0] - cos t)) solution.Times solution.States
                            |> Array.max

                        within method $"rate {rate}, tolerance {tolerance}" error (100.0 * tolerance)
        }
        test "differences in time do not limit Rosenbrock methods, nor does a late clock" {
            let rodas = Rosenbrock RosenbrockMethods.Rodas5P
            let tight = reached rodas (options 1e-10 1e-10) (forced 1e3 0.0) 0.5 10.0 [| cos 0.5 |]
            within rodas "tight" (abs (tight.FinalState[0] - cos 10.0)) 1e-8
            Expect.isLessThan tight.Statistics.Accepted 4000 "steps at 1e-10"
            let late = 1e9
            let there = reached rodas (options 1e-6 1e-8) (forced 10.0 late) late (late + 10.0) [| 1.0 |]
            let here = reached rodas (options 1e-6 1e-8) (forced 10.0 0.0) 0.0 10.0 [| 1.0 |]
            within rodas "late" (abs (there.FinalState[0] - cos 10.0)) 1e-5
            let steps = float there.Statistics.Accepted / float here.Statistics.Accepted
            Expect.isTrue (steps < 1.2) $"a late clock costs {steps} times the steps"
        }
        test "a singular mass matrix that is not diagonal, from inconsistent values, both ways" {
            // s = y1 + y2: s' = -s + z, z' = -z, 0 = y1 - 2 y2 - sin t.
            let field =
                (system 3 (fun t y ->
                    let a = y[2] - y[0] - y[1]
                    [| a; a + y[0] - 2.0 * y[1] - sin t; -y[2] |]))
                    .WithMass(array2D [ [ 1.0; 1.0; 0.0 ]; [ 1.0; 1.0; 0.0 ]; [ 0.0; 0.0; 1.0 ] ])

            let exact t =
                let sum = (1.0 + t) * exp -t
                let second = (sum - sin t) / 3.0
                [| sum - second; second; exp -t |]

            for method in stiffMethods do
                let o = { options 1e-6 1e-6 with SaveAt = EverySteps }
                let solution = reached method o field 0.0 5.0 [| 2.0; -1.0; 1.0 |]

                let error = Array.map2 (fun t y -> distance y (exact t)) solution.Times solution.States |> Array.max

                within method "forward" error 1e-4
                let back = reached method o field 5.0 0.0 (exact 5.0)
                within method "backward" (distance back.FinalState (exact 0.0)) 1e-2
        }
    ]

// ----------------------------------------------------------------------------------- dense output, events, doses, clocks

/// y' = ((-0.1, 2), (-2, -0.1)) y.
let private spiral = system 2 (fun _ y -> [| 2.0 * y[1] - 0.1 * y[0]; -2.0 * y[0] - 0.1 * y[1] |])

let private spiralAt t =
    let size = exp (-0.1 * t)
    [| size * cos (2.0 * t); -size * sin (2.0 * t) |]

let private services =
    testList "output" [
        test "dense output is as good as the steps, forward and backward" {
            for method in explicitMethods @ stiffMethods do
                for t0, t1 in [ 0.0, 10.0; 10.0, 0.0 ] do
                    let o = { options 1e-6 1e-6 with SaveAt = DenseOutput }
                    let solution = reached method o spiral t0 t1 (spiralAt t0)
                    let dense = solution.Dense.Value

                    let atSteps =
                        Array.map2 (fun t y -> distance y (spiralAt t)) solution.Times solution.States |> Array.max

                    let between =
                        Array.pairwise solution.Times
                        |> Array.collect (fun (a, b) ->
                            Array.init 9 (fun k ->
                                let t = a + (b - a) * float (k + 1) / 10.0
                                distance (dense.At t) (spiralAt t)))
                        |> Array.max

                    within method $"dense from {t0}" between (5.0 * atSteps + 1e-6)

                    let times = Array.init 41 (fun k -> t0 + (t1 - t0) * float k / 40.0)
                    let saved = reached method { o with SaveAt = Times times } spiral t0 t1 (spiralAt t0)

                    let difference = Array.map2 (fun t y -> distance y (dense.At t)) times saved.States |> Array.max

                    within method "saved as dense" difference 1e-9
        }
        test "crossings at tight tolerances, forward and backward" {
            let crossing = {
                Name = "zero"
                Condition = fun _ (y: float[]) -> y[0]
                Crossing = Either
                Apply = ValueNone
                Terminal = false
                MaxOccurrences = Int32.MaxValue
            }

            let exact = Array.init 6 (fun k -> (float k + 0.5) * Math.PI / 2.0)

            for method in explicitMethods @ stiffMethods do
                let tolerance = fine method
                let o = { options tolerance tolerance with Events = [| crossing |] }

                for t0, t1, wanted in [ 0.0, 10.0, exact; 10.0, 0.0, Array.rev exact ] do
                    let solution = reached method o spiral t0 t1 (spiralAt t0)
                    let times = solution.Occurrences |> Array.map _.Time
                    Expect.equal times.Length 6 $"{method.Name}: crossings from {t0}"
                    within method $"times from {t0}" (distance times wanted) (2000.0 * tolerance)
        }
        test "doses at one time, a declared jump and save times on them" {
            let doses = [| 2.0; 4.0; 4.0; 6.0 |]

            let exact rate t =
                let kept (since: float) = exp (-rate * (t - since))
                let given = doses |> Array.sumBy (fun d -> if t > d then kept d else 0.0)
                kept 0.0 + given + (if t > 3.0 then 0.5 * (1.0 - kept 3.0) else 0.0)

            for method in explicitMethods @ stiffMethods do
                // Ten thousand a unit of time is for stiff methods.
                for rate in (if List.contains method stiffMethods then [ 0.7; 1e4 ] else [ 0.7 ]) do
                    let field = system 1 (fun t y -> [| -rate * y[0] + (if t < 3.0 then 0.0 else 0.5 * rate) |])

                    let o = {
                        options 1e-7 1e-9 with
                            Scheduled = doses |> Array.map (fun t -> { Time = t; Apply = fun _ y -> [| y[0] + 1.0 |] })
                            Jumps = [| 3.0 |]
                            SaveAt = Times [| 0.0; 1.0; 2.0; 2.5; 3.0; 3.5; 4.0; 5.0; 6.0; 7.0 |]
                    }

                    let solution = reached method o field 0.0 7.0 [| 1.0 |]

                    let error =
                        Array.map2 (fun t (y: float[]) -> abs (y[0] - exact rate t)) solution.Times solution.States
                        |> Array.max

                    within method $"rate {rate}" error 1e-4
        }
        test "the largest step, the shortest and the longest spans" {
            for method in explicitMethods @ stiffMethods do
                let limited = reached method { options 1e-4 1e-4 with MaxStep = 0.01 } spiral 0.0 1.0 (spiralAt 0.0)

                Expect.isLessThanOrEqual limited.Statistics.LargestStep (0.01 * (1.0 + 1e-9)) method.Name
                let tiny = reached method (options 1e-6 1e-8) spiral 0.0 1e-13 (spiralAt 0.0)
                within method "tiny" (distance tiny.FinalState (spiralAt 1e-13)) 1e-15
                let slow = system 1 (fun _ y -> [| 1e-14 * (2.0 - y[0]) |])
                let long = reached method (options 1e-6 1e-8) slow 0.0 1e16 [| 1.0 |]
                within method "long" (abs (long.FinalState[0] - 2.0)) 1e-5
        }
    ]

// -------------------------------------------------------------------------------------------------------- what goes wrong

let private failures =
    testList "failures" [
        test "towards a singularity the clock never stands still" {
            let blowup = system 1 (fun _ y -> [| y[0] * y[0] |])

            for method in explicitMethods @ stiffMethods do
                let o = { options 1e-5 1e-8 with SaveAt = EverySteps }
                let solution = solve method o blowup 0.0 2.0 [| 1.0 |]

                // An implicit method may lose Newton's iteration before its error estimate gives up.
                Expect.contains
                    [ Status.StepTooSmall; Status.NewtonDiverged ]
                    solution.Status
                    $"{method.Name}: {solution.Message}"

                within method "where" (abs (solution.FinalTime - 1.0)) 1e-2
                Expect.stringContains solution.Message "component 0" "component"

                for a, b in Array.pairwise solution.Times do
                    Expect.isLessThan a b $"{method.Name}: time moves"

                if List.contains method stiffMethods then
                    Expect.isFalse (solution.Message.Contains "take a stiff method") "no advice to do what is done"
        }
        test "a dose without a consistent state ends the solve with its own status" {
            // 0 = z^2 - y, and the dose makes y negative.
            let field = (system 2 (fun _ y -> [| 0.0; y[1] * y[1] - y[0] |])).WithMass [| 1.0; 0.0 |]

            let dosed after = {
                options 1e-6 1e-9 with
                    Scheduled = [| { Time = 0.5; Apply = fun _ y -> [| after; y[1] |] } |]
                    SaveAt = EverySteps
            }

            for method in stiffMethods do
                let good = reached method (dosed 4.0) field 0.0 1.0 [| 1.0; 1.0 |]
                within method "good" (distance good.FinalState [| 4.0; 2.0 |]) 1e-6
                let bad = solve method (dosed -3.0) field 0.0 1.0 [| 1.0; 1.0 |]

                Expect.contains
                    [ Status.SingularMatrix; Status.InconsistentInitialValues ]
                    bad.Status
                    $"{method.Name}: {bad.Message}"

                Expect.equal bad.FinalTime 0.5 "where"
                Expect.isGreaterThan bad.States.Length 1 "what went before"
        }
        test "a dose of the wrong length is named, and what went before is kept" {
            for method in explicitMethods @ stiffMethods do
                let o = {
                    options 1e-6 1e-9 with
                        Scheduled = [| { Time = 0.5; Apply = fun _ _ -> [| 4.0 |] } |]
                }

                let solution = solve method o spiral 0.0 1.0 (spiralAt 0.0)
                Expect.equal solution.Status Status.FieldThrew method.Name
                Expect.stringContains solution.Message "scheduled change at t = 0.5" "what"
                Expect.equal solution.FinalState.Length 2 "state before"
        }
    ]

// ------------------------------------------------------------------------------------------------------- exact gradients

module private Written =
    open RealOperators

    /// Decay p0 and turning p1.
    [<Struct>]
    type Spiral =
        interface IGenericField with
            member _.Size = 2
            member _.ParameterCount = 2

            member _.Evaluate(_, y, p, d) =
                d[0] <- p[1] * y[1] - p[0] * y[0]
                d[1] <- -(p[1] * y[0]) - p[0] * y[1]

    /// Decay p0; p1 is a level or a dose.
    [<Struct>]
    type Decay =
        interface IGenericField with
            member _.Size = 1
            member _.ParameterCount = 2
            member _.Evaluate(_, y, p, d) = d[0] <- -(p[0] * y[0])

    type Level() =
        interface IGenericCondition with
            member _.Evaluate(_, y, p) = y[0] - p[1]

    type Dose() =
        interface IGenericChange with
            member _.Apply(_, y, p, after) = after[0] <- y[0] + p[1]

    type Cubes() =
        interface IGenericLoss with
            member _.Evaluate(_, states, _, _) =
                let mutable sum = real 0.0

                for i in 0 .. states.Length - 1 do
                    sum <- sum + states[i] * states[i] * states[i]

                sum

let private gradients =
    let methods = explicitMethods @ stiffMethods

    testList "exact gradients" [
        test "states of a spiral for initial values and parameters; both ways agree; Hessian product" {
            let decay, turn = 0.3, 2.0
            let problem = SensitivityProblem.OfGeneric(Written.Spiral(), [| decay; turn |])
            let times = [| 0.7; 1.9; 3.0 |]

            for method in methods do
                let tolerance = if method.Order <= 3 then 1e-6 else 1e-10
                let bound = 2000.0 * tolerance
                let o = { options tolerance tolerance with SaveAt = Times times }
                let result = Sensitivity.forward method o Everything problem 0.0 3.0 [| 1.0; 0.0 |]

                times
                |> Array.iteri (fun at t ->
                    let size = exp (-decay * t)
                    let c, s = size * cos (turn * t), size * sin (turn * t)
                    let exact = array2D [ [ c; s; -t * c; -t * s ]; [ -s; c; t * s; -t * c ] ]

                    for i in 0..1 do
                        for j in 0..3 do
                            within method $"({i}, {j})" (abs (result.States[at][i, j] - exact[i, j])) bound)

                let gradient mode =
                    let g =
                        Sensitivity.gradientBy (ValueSome mode) method o (Written.Cubes()) problem 0.0 3.0 [|
                            1.0
                            0.2
                        |]

                    Array.append g.InitialValues g.Parameters

                let backward = gradient SensitivityMode.Adjoint
                within method "both ways" (distance (gradient SensitivityMode.Forward) backward) 1e-12

                let product =
                    Sensitivity.hessianVector method o (Written.Cubes()) [| 0.3; -0.2 |] [| 0.0; 0.0 |] problem 0.0 3.0 [|
                        1.0
                        0.2
                    |]

                // The loss is a cubic form of the initial values: its Hessian by them, times v, in closed form.
                let exact = [|
                    for j in 0..1 do
                        times
                        |> Array.sumBy (fun t ->
                            let size = exp (-decay * t)
                            let c, s = size * cos (turn * t), size * sin (turn * t)
                            let rows = [| [| c; s |]; [| -s; c |] |]

                            rows
                            |> Array.sumBy (fun row ->
                                6.0 * (row[0] * 1.0 + row[1] * 0.2) * (row[0] * 0.3 - row[1] * 0.2) * row[j]))
                |]

                within method "Hessian" (distance product.InitialValues exact) (10.0 * bound)
        }
        test "times of events, and doses at one time" {
            let rate, level, start = 1.3, 0.4, 2.0
            let doses = [| 1.0; 2.0; 2.0; 3.5 |]

            for method in methods do
                let tolerance = if method.Order <= 3 then 1e-6 else 1e-10
                let bound = 2000.0 * tolerance

                let event = {
                    Name = "level"
                    Condition = Written.Level()
                    Crossing = Falling
                    Change = ValueNone
                    Terminal = true
                    MaxOccurrences = Int32.MaxValue
                }

                let problem = SensitivityProblem.OfGeneric(Written.Decay(), [| rate; level |])

                let stopped =
                    Sensitivity.forward
                        method
                        (options tolerance tolerance)
                        Everything
                        (problem.WithEvents [| event |])
                        0.0
                        10.0
                        [| start |]

                let time = log (start / level) / rate
                let exact = [| 1.0 / (rate * start); -time / rate; -1.0 / (rate * level) |]
                within method "event" (distance stopped.Occurrences[0].Time exact) bound

                within
                    method
                    "state there"
                    (distance [| for j in 0..2 -> stopped.Final[0, j] |] [| 0.0; 0.0; 1.0 |])
                    bound

                let dosed = problem.WithDoses(doses |> Array.map (fun t -> { Time = t; Change = Written.Dose() }))

                let final =
                    (Sensitivity.forward method (options tolerance tolerance) Everything dosed 0.0 5.0 [| start |])
                        .Final

                let kept since = exp (-rate * (5.0 - since))

                let exact = [|
                    kept 0.0
                    -5.0 * start * kept 0.0 - level * (doses |> Array.sumBy (fun d -> (5.0 - d) * kept d))
                    doses |> Array.sumBy kept
                |]

                within method "doses" (distance [| for j in 0..2 -> final[0, j] |] exact) bound
        }
    ]

let tests = testList "reference" [ orbits; kinetics; stiffForcing; services; failures; gradients ]
