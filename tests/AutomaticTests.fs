/// The automatic choice: what it takes, when it changes, what it costs.
module AutomaticTests

open System
open Continuum
open Continuum.Properties
open Expecto

let private field (f: float -> float[] -> float[]) =
    VectorField(fun t y dydt -> (f t (y.ToArray())).AsSpan().CopyTo dydt)

let private solve method options system t0 t1 y0 =
    let solution = ArrayOde.solveSystem method options system t0 t1 y0
    Expect.equal solution.Status Status.Success solution.Message
    solution

let private automatic options system t1 y0 = solve Automatic options system 0.0 t1 y0
let private rodas = Rosenbrock RosenbrockMethods.Rodas5P

let private relative (a: float[]) (b: float[]) =
    Array.fold2 (fun worst x y -> max worst (abs (x - y) / (abs x + 1e-12))) 0.0 a b

let private names (solution: Solution<float[]>) = solution.Choices |> Array.map _.Method

// -------------------------------------------------------------------------------------------------------- problems

/// van der Pol as y'' = mu ((1 - y^2) y' - y), mu = 1 / 0.003: seven jumps up to t = 6.
let private relaxation =
    OdeSystem.OfField(
        VectorField(fun _ y dydt ->
            dydt[0] <- y[1]
            dydt[1] <- ((1.0 - y[0] * y[0]) * y[1] - y[0]) / 0.003),
        2
    )

let private robertson =
    VectorField(fun _ y dydt ->
        let a = 0.04 * y[0]
        let b = 1e4 * y[1] * y[2]
        let c = 3e7 * y[1] * y[1]
        dydt[0] <- b - a
        dydt[1] <- a - b - c
        dydt[2] <- c)

let private hires =
    OdeSystem.OfField(
        VectorField(fun _ y dydt ->
            let a = 280.0 * y[5] * y[7]
            dydt[0] <- -1.71 * y[0] + 0.43 * y[1] + 8.32 * y[2] + 0.0007
            dydt[1] <- 1.71 * y[0] - 8.75 * y[1]
            dydt[2] <- -10.03 * y[2] + 0.43 * y[3] + 0.035 * y[4]
            dydt[3] <- 8.32 * y[1] + 1.71 * y[2] - 1.12 * y[3]
            dydt[4] <- -1.745 * y[4] + 0.43 * y[5] + 0.43 * y[6]
            dydt[5] <- -a + 0.69 * y[3] + 1.71 * y[4] - 0.43 * y[5] + 0.69 * y[6]
            dydt[6] <- a - 1.81 * y[6]
            dydt[7] <- -a + 1.81 * y[6]),
        8
    )

/// Heat on n points, stiff from n = 30 on.
let private heat n =
    let rate = float ((n + 1) * (n + 1))

    OdeSystem
        .OfField(
            VectorField(fun _ y dydt ->
                for i in 0 .. n - 1 do
                    let left = if i > 0 then y[i - 1] else 0.0
                    let right = if i < n - 1 then y[i + 1] else 0.0
                    dydt[i] <- rate * (left - 2.0 * y[i] + right)),
            n
        )
        .WithBand(1, 1)

/// y' = -k(t) (y - cos t) - sin t, solved by cos t; k is 1e4 between 10 and 20 and 1 elsewhere.
let private stiffBetween =
    let rate t = 1.0 + 1e4 * 0.5 * (tanh (10.0 * (t - 10.0)) - tanh (10.0 * (t - 20.0)))
    OdeSystem.OfField(field (fun t y -> [| -(rate t) * (y[0] - cos t) - sin t |]), 1)

let private orbit e =
    [| 1.0 - e; 0.0; 0.0; sqrt ((1.0 + e) / (1.0 - e)) |],
    field (fun _ y ->
        let r3 = Math.Pow(y[0] * y[0] + y[1] * y[1], 1.5)
        [| y[2]; y[3]; -y[0] / r3; -y[1] / r3 |])

let private calmProblems = [
    "decay", [| 1.0 |], field (fun _ y -> [| -y[0] |]), 5.0
    "oscillator", [| 1.0; 0.0 |], field (fun _ y -> [| y[1]; -y[0] |]), 50.0
    "fast oscillator", [| 1.0; 0.0 |], field (fun _ y -> [| y[1]; -1e4 * y[0] |]), 1.0
    "Lotka-Volterra", [| 1.0; 1.0 |], Problems.lotkaVolterra.Field, 20.0
    "logarithmic", [| 1.0; Math.E |], Problems.logarithmic.Field, 1.5
    "orbit", fst (orbit 0.5), snd (orbit 0.5), 20.0
    "Lorenz",
    [| 1.0; 1.0; 1.0 |],
    field (fun _ y -> [| 10.0 * (y[1] - y[0]); y[0] * (28.0 - y[2]) - y[1]; y[0] * y[1] - 8.0 / 3.0 * y[2] |]),
    10.0
    "free fall", [| 1.0; 0.0 |], field (fun _ y -> [| y[1]; -9.81 |]), 1000.0
    "constant", [| 1.0; 2.0 |], field (fun _ _ -> [| 0.0; 0.0 |]), 1000.0
    "growth", [| 1.0 |], field (fun _ y -> [| y[0] |]), 20.0
]

// ----------------------------------------------------------------------------------------------------------- tests

let private calm =
    testCase "problems that are not stiff stay with the explicit method, at its number of evaluations"
    <| fun () ->
        for rtol, explicit in
            [
                1e-2, Methods.Tsit5
                1e-4, Methods.Tsit5
                1e-6, Methods.Tsit5
                1e-7, Methods.Vern7
                1e-10, Methods.Vern9
            ] do
            for name, y0, f, t1 in calmProblems do
                // Two steps a radian of a badly scaled oscillator: |dk| / |dg| then says little about the eigenvalues.
                if not (rtol = 1e-2 && name = "fast oscillator") then
                    let options = SolveOptions.create rtol (1e-3 * rtol)
                    let system = OdeSystem.OfField(f, y0.Length)
                    let chosen = automatic options system t1 y0
                    let alone = solve (RungeKutta explicit) options system 0.0 t1 y0
                    Expect.equal (names chosen) [| explicit.Name |] $"{name} at {rtol}"

                    Expect.equal
                        chosen.Statistics.Evaluations
                        alone.Statistics.Evaluations
                        $"{name} at {rtol}: evaluations"

                    Expect.equal chosen.FinalState alone.FinalState $"{name} at {rtol}: the same solution"

let private relaxes =
    testCase "van der Pol takes both methods in turn, within few steps and near the reference"
    <| fun () ->
        let y0 = [| 2.0; 0.0 |]
        let exact = (solve rodas (SolveOptions.create 1e-10 1e-12) relaxation 0.0 6.0 y0).FinalState

        for rtol, atol, most, error in [ 1e-3, 1e-6, 625, 0.05; 1e-5, 1e-5, 800, 0.01 ] do
            let solution = automatic (SolveOptions.create rtol atol) relaxation 6.0 y0
            let s = solution.Statistics
            Expect.isLessThan (s.Accepted + s.Rejected) most $"attempts at {rtol}"

            for name in [ "Tsit5"; "Rodas5P" ] do
                let times = names solution |> Array.filter ((=) name) |> Array.length
                Expect.isGreaterThanOrEqual times 4 $"{name} at {rtol}: {solution.Choices.Length} choices"

            Expect.isLessThan (abs (solution.FinalState[0] - exact[0])) error $"position at {rtol}"

        // at a tighter tolerance the switches cost no accuracy
        let solution = automatic (SolveOptions.create 1e-6 1e-9) relaxation 6.0 y0
        Expect.isLessThan (relative exact solution.FinalState) 1e-4 "error at 1e-6"

let private kinetics =
    testCase "Robertson and HIRES: stiff soon, and right"
    <| fun () ->
        let check name (exact: float[]) atol (solution: Solution<float[]>) =
            Expect.equal (names solution).[1] "Rodas5P" name

            let error =
                Array.fold2 (fun w x y -> max w (abs (x - y) / (abs x + 1e3 * atol))) 0.0 exact solution.FinalState

            Expect.isLessThan error 1e-4 $"{name}: error"

        let solution =
            automatic (SolveOptions.create 1e-6 1e-10) (OdeSystem.OfField(robertson, 3)) 1e5 [| 1.0; 0.0; 0.0 |]

        check "Robertson" [| 0.017865921142322477; 7.274751468528758e-08; 0.9821340061101627 |] 1e-10 solution
        Expect.isLessThan solution.Statistics.Evaluations 4000 "Robertson: evaluations"
        Expect.isGreaterThan solution.Statistics.Implicit.Jacobians 10 "Jacobians are counted"

        let y0 = [| 1.0; 0.0; 0.0; 0.0; 0.0; 0.0; 0.0; 0.0057 |]

        automatic (SolveOptions.create 1e-6 1e-9) hires 321.8122 y0
        |> check
            "HIRES"
            [|
                0.7371312573325668e-3
                0.1442485726316185e-3
                0.5888729740967575e-4
                0.1175651343283149e-2
                0.2386356198831331e-2
                0.6238968252742796e-2
                0.2849998395185769e-2
                0.2850001604814231e-2
            |]
            1e-9

let private thereAndBack =
    testCase "a problem that turns stiff and back is followed both ways, and the choices say when and why"
    <| fun () ->
        let solution = automatic (SolveOptions.create 1e-6 1e-9) stiffBetween 40.0 [| 1.0 |]
        Expect.equal (names solution) [| "Tsit5"; "Rodas5P"; "Tsit5" |] "choices"
        let times = solution.Choices |> Array.map _.Time
        Expect.equal times[0] 0.0 "the start"
        Expect.isTrue (times[1] > 9.0 && times[1] < 11.0) $"stiff from {times[1]}"
        Expect.isTrue (times[2] > 19.5 && times[2] < 22.0) $"calm from {times[2]}"
        Expect.stringContains solution.Choices[1].Reason "of Tsit5's stability interval for" "why stiff"
        Expect.stringContains solution.Choices[2].Reason "stayed below" "why back"
        Expect.isLessThan (abs (solution.FinalState[0] - cos 40.0)) 1e-5 "error"

let private dense =
    testCase "dense output and events go across changes of method"
    <| fun () ->
        let rises: Event<float[]> = {
            Name = "y = 0"
            Condition = fun _ y -> y[0]
            Crossing = Rising
            Apply = ValueNone
            Terminal = false
            MaxOccurrences = Int32.MaxValue
        }

        let options = {
            SolveOptions.create<float[]> 1e-7 1e-9 with
                SaveAt = DenseOutput
                Events = [| rises |]
        }

        let solution = automatic options stiffBetween 40.0 [| 1.0 |]
        Expect.isGreaterThan solution.Choices.Length 2 "changes"

        for k in 0..1000 do
            let t = 0.04 * float k
            Expect.isLessThan (abs (solution.Dense.Value.At(t).[0] - cos t)) 1e-5 $"at t = {t}"

        let expected = [| for k in 0..5 -> (1.5 + 2.0 * float k) * Math.PI |]
        Expect.equal solution.Occurrences.Length expected.Length "occurrences"

        for o, t in Array.zip solution.Occurrences expected do
            Expect.isLessThan (abs (o.Time - t)) 1e-5 $"event at {t}"

let private choices =
    testCase "size, mass matrices and split fields decide the stiff method"
    <| fun () ->
        let options = SolveOptions.create 1e-5 1e-8
        let small = automatic options (heat 30) 0.5 (Array.create 30 1.0)
        Expect.equal (names small).[1] "Rodas5P" "30 unknowns"
        let large = automatic options (heat 100) 0.5 (Array.create 100 1.0)
        Expect.equal (names large).[1] "Bdf" "100 unknowns"
        // slowest mode: exp(-pi^2 t)
        let slow = Array.init 100 (fun i -> sin (Math.PI * float (i + 1) / 101.0))
        let decayed = automatic options (heat 100) 0.1 slow
        let rate = 2.0 * 101.0 * 101.0 * (1.0 - cos (Math.PI / 101.0))

        for i in 0..99 do
            Expect.isLessThan (abs (decayed.FinalState[i] - slow[i] * exp (-0.1 * rate))) 1e-3 "slowest mode"

        let algebraic =
            OdeSystem
                .OfField(
                    VectorField(fun t y dydt ->
                        robertson.Invoke(t, y, dydt)
                        dydt[2] <- y[0] + y[1] + y[2] - 1.0),
                    3
                )
                .WithMass([| 1.0; 1.0; 0.0 |])

        let dae = automatic (SolveOptions.create 1e-6 1e-10) algebraic 1e5 [| 1.0; 0.0; 0.0 |]
        Expect.equal (names dae) [| "Rodas5P" |] "mass matrix"
        Expect.stringContains dae.Choices[0].Reason "mass matrix" "reason"
        Expect.isLessThan (abs (dae.FinalState[0] - 0.017865921142322477)) 1e-6 "Robertson as a DAE"

        let split =
            OdeSystem
                .OfField(field (fun _ y -> [| -1000.0 * y[0] |]), 1)
                .WithExplicitPart(field (fun t _ -> [| 1000.0 * cos t - sin t |]))

        let imex = automatic options split 5.0 [| 1.0 |]
        Expect.equal (names imex) [| "KenCarp4" |] "split field"
        Expect.isLessThan (abs (imex.FinalState[0] - cos 5.0)) 1e-4 "split field: error"

let private ways =
    testCase "backward in time, with fixed steps, and with a controller of the caller's"
    <| fun () ->
        let options = SolveOptions.create 1e-6 1e-9
        // stiff when run backward: y' = 1000 (y - cos t) - sin t
        let reversed = OdeSystem.OfField(field (fun t y -> [| 1000.0 * (y[0] - cos t) - sin t |]), 1)
        let back = solve Automatic options reversed 10.0 0.0 [| cos 10.0 + 1.0 |]
        Expect.equal (names back) [| "Tsit5"; "Rodas5P" |] "backward"
        Expect.isLessThan (abs (back.FinalState[0] - 1.0)) 1e-5 "backward: error"

        let decay = OdeSystem.OfField(field (fun _ y -> [| -y[0] |]), 1)
        let steps = { options with Control = Fixed 0.1 }
        let one = automatic steps decay 1.0 [| 1.0 |]
        let other = solve (RungeKutta Methods.Tsit5) steps decay 0.0 1.0 [| 1.0 |]
        Expect.equal one.FinalState other.FinalState "fixed steps are Tsit5's"

        let told = { options with Control = Adaptive(ValueSome(Controller.integral 5)) }
        let stiff = automatic told stiffBetween 40.0 [| 1.0 |]
        Expect.isLessThan (abs (stiff.FinalState[0] - cos 40.0)) 1e-4 "a controller of one's own"
        Expect.contains (names stiff) "Rodas5P" "a controller of one's own: choices"

let private spectrum =
    testCase "the spectral radius of dense and banded matrices, with complex pairs, as they change"
    <| fun () ->
        let radius shape (matrices: float[] list) =
            let estimate = SpectralEstimate shape
            matrices |> List.map estimate.Radius

        // rotation by a right angle times 50, badly scaled: eigenvalues +-50i
        let rotation = [| 0.0; 0.5; -5000.0; 0.0 |]

        for value in radius (MatrixShape.Dense 2) [ rotation; rotation; rotation ] do
            Expect.isTrue (value > 25.0 && value < 100.0) $"complex pair: {value}"

        let diagonal a b c = [| a; 0.0; 0.0; 0.0; b; 0.0; 0.0; 0.0; c |]

        match
            radius (MatrixShape.Dense 3) [
                diagonal 1.0 -7.0 3.0
                diagonal 1.0 -7.0 3.0
                diagonal 100.0 -7.0 3.0
                diagonal 100.0 -7.0 3.0
            ]
        with
        | [ first; second; changing; changed ] ->
            Expect.isGreaterThan changing 20.0 "changing"
            Expect.isTrue (first > 5.0 && first < 8.0) $"first {first}"
            Expect.isTrue (second > 6.0 && second < 7.5) $"second {second}"
            Expect.isTrue (changed > 50.0 && changed < 110.0) $"changed {changed}"
        | _ -> failtest "three values"

        let n = 40
        let shape = MatrixShape.Band(n, 1, 1)

        let laplace = Array.init shape.Length (fun at -> if at % 3 = 1 then -2.0 else 1.0)

        let value = radius shape [ laplace; laplace; laplace; laplace ] |> List.last
        Expect.isTrue (value > 3.0 && value <= 4.0) $"Laplacian {value}"

/// Method.Automatic: one list for all of it.
let tests =
    testList "Automatic" [ calm; relaxes; kinetics; thereAndBack; dense; choices; ways; spectrum ]
