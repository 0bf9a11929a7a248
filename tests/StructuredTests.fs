/// Symplectic methods on Hamiltonian systems, exponential methods on semilinear ones.
module StructuredTests

open System
open System.Numerics
open Continuum
open Continuum.Properties
open Claims
open Expecto
open TorchSharp

// ------------------------------------------------------------------------------------------------------- symplectic

let private laws =
    testList "laws" [
        for method in Splitting.all do
            for problem in HamiltonianProblems.all do
                testCase $"{method.Name} on {problem.Name}"
                <| fun () -> SymplecticLaws.all method 0.1 problem |> Array.iter holds

        testCase "compensated summation keeps the laws"
        <| fun () ->
            for problem in [ HamiltonianProblems.driven; HamiltonianProblems.kepler 0.3 ] do
                SymplecticLaws.all (Splitting.compensated Splitting.kahanLi8) 0.1 problem |> Array.iter holds
    ]

let private along (method: Tableau) (h: float) steps (problem: HamiltonianProblem) =
    let options: SolveOptions<float[]> = { FixedSteps.every h with SaveAt = EverySteps }
    let y0 = Array.append problem.Positions problem.Momenta
    ArrayOde.solve method options problem.Hamiltonian.Field 0.0 (h * float steps) y0

let private mutations =
    testList "a law that is broken fails" [
        testCase "RK4 is not symplectic and its energy error grows"
        <| fun () ->
            let problem = HamiltonianProblems.kepler 0.3
            let solution = along Methods.Rk4 0.1 5000 problem
            fails (SymplecticLaws.boundedEnergy "RK4" problem.Energy.Value solution)

            let map (y0: float[]) =
                (ArrayOde.solve Methods.Rk4 (FixedSteps.every 0.1) problem.Hamiltonian.Field 0.0 0.3 y0).FinalState

            let y0 = Array.append problem.Positions problem.Momenta
            fails (SymplecticLaws.symplecticMap "RK4" 1e-9 map y0)

        testCase "McAte4 with the roles of kick and drift exchanged has order 3"
        <| fun () ->
            let m = Splitting.mcAte4

            let wrong =
                Splitting.create "wrong" 4 3 (Array.append m.Kick[..3] [| 0.0 |]) (Array.append m.Drift[1..] [| 0.0 |])

            fails (SymplecticLaws.convergence wrong (HamiltonianProblems.kepler 0.3))
            // and it does not claim 4 where T is not quadratic
            holds (SymplecticLaws.convergence m HamiltonianProblems.relativistic)
            fails (SymplecticLaws.convergence { m with GeneralOrder = 4 } HamiltonianProblems.relativistic)

        testCase "wrong coefficients, a force of another potential, a method that is not symmetric"
        <| fun () ->
            let y = Splitting.yoshida6
            let drift = Array.copy y.Drift
            drift[1] <- drift[1] + 1e-4
            drift[2] <- drift[2] - 1e-4
            fails (SymplecticLaws.convergence { y with Drift = drift } HamiltonianProblems.pendulum)
            fails (SymplecticLaws.reversibility Splitting.ruth3 HamiltonianProblems.pendulum)

            // a force that is no gradient
            let spiral = {
                HamiltonianProblems.henonHeiles with
                    Hamiltonian =
                        Hamiltonian(
                            VectorField(fun _ p dqdt -> p.CopyTo dqdt),
                            VectorField(fun _ q dpdt ->
                                dpdt[0] <- -q[0] - 0.1 * q[1]
                                dpdt[1] <- -q[1] + 0.1 * q[0])
                        )
            }

            fails (SymplecticLaws.symplectic Splitting.stormerVerlet 0.1 spiral)
    ]

let private finalOf (solution: Solution<'S>) =
    Expect.equal solution.Status Status.Success solution.Message
    solution.FinalState

let private loop =
    testList "through the loop" [
        testCase "Poincare section: events on the section, at the times of a tight reference"
        <| fun () ->
            let problem = HamiltonianProblems.henonHeiles

            let section: Event<float[]> = {
                Name = "x = 0"
                Condition = fun _ y -> y[0]
                Crossing = Rising
                Apply = ValueNone
                Terminal = false
                MaxOccurrences = Int32.MaxValue
            }

            let options = { FixedSteps.every 0.1 with Events = [| section |] }

            let found =
                HamiltonianOde.solve
                    Splitting.kahanLi8
                    options
                    problem.Hamiltonian
                    0.0
                    50.0
                    problem.Positions
                    problem.Momenta

            let tight = { SolveOptions.create 1e-12 1e-13 with Events = [| section |] }
            let y0 = Array.append problem.Positions problem.Momenta
            let reference = ArrayOde.solve Methods.Vern9 tight problem.Hamiltonian.Field 0.0 50.0 y0
            Expect.isGreaterThan found.Occurrences.Length 5 "sections"
            Expect.equal found.Occurrences.Length reference.Occurrences.Length "as many"

            for a, b in Array.zip found.Occurrences reference.Occurrences do
                Expect.floatClose { absolute = 1e-9; relative = 0.0 } a.Time b.Time "time"
                Expect.isLessThan (abs a.Before[0]) 1e-10 "on the section"

        testCase "save times, a kick at a known time, backward"
        <| fun () ->
            // A free particle that is pushed at t = 1: q = t, then 1 + 3 (t - 1).
            let free = Hamiltonian.Newton([| 2.0 |], VectorField(fun _ _ dpdt -> dpdt[0] <- 0.0))

            let options = {
                FixedSteps.every 0.3 with
                    SaveAt = Times [| 0.5; 1.0; 1.5; 2.0 |]
                    Scheduled = [| { Time = 1.0; Apply = fun _ y -> [| y[0]; y[1] + 4.0 |] } |]
            }

            for method in Splitting.all do
                let solution = HamiltonianOde.solve method options free 0.0 2.0 [| 0.0 |] [| 2.0 |]
                finalOf solution |> ignore

                for y, expected in Array.zip solution.States [| 0.5; 1.0; 2.5; 4.0 |] do
                    Expect.floatClose Accuracy.high y[0] expected method.Name

                let back = HamiltonianOde.solve method (FixedSteps.every 0.3) free 2.0 0.0 [| 4.0 |] [| 2.0 |]

                Expect.floatClose Accuracy.high (Array.head (finalOf back)) 2.0 "backward"

        testCase "no allocation per step"
        <| fun () ->
            let problem = HamiltonianProblems.kepler 0.3

            for method in [ Splitting.stormerVerlet; Splitting.compensated Splitting.kahanLi8 ] do
                let run steps =
                    let before = GC.GetAllocatedBytesForCurrentThread()

                    HamiltonianOde.solve
                        method
                        (FixedSteps.every 0.01)
                        problem.Hamiltonian
                        0.0
                        (0.01 * float steps)
                        problem.Positions
                        problem.Momenta
                    |> finalOf
                    |> ignore

                    GC.GetAllocatedBytesForCurrentThread() - before

                run 10 |> ignore
                let few = run 10
                Expect.isLessThan (run 2000 - few) 512L $"{method.Name}: bytes for 1990 further steps"

        testCase "compensated summation: energy at rounding level over a thousand orbits"
        <| fun () ->
            let problem = HamiltonianProblems.kepler 0.3
            let h = 2.0 * Math.PI / 200.0

            let times = [| for i in 1..20 -> 50.0 * 2.0 * Math.PI * float i |]

            let drift method =
                let options = { FixedSteps.every h with SaveAt = Times times }

                let y0 = Array.append problem.Positions problem.Momenta
                let energy (y: float[]) = problem.Energy.Value 0.0 y[..1] y[2..]

                let states =
                    (HamiltonianOde.solve
                        method
                        options
                        problem.Hamiltonian
                        0.0
                        times[19]
                        problem.Positions
                        problem.Momenta)
                        .States

                states |> Array.map (fun y -> abs (energy y - energy y0)) |> Array.max

            let plain = drift Splitting.kahanLi8
            let compensated = drift (Splitting.compensated Splitting.kahanLi8)
            Expect.isLessThan compensated 1e-14 $"compensated; plain {plain}"
            Expect.isLessThan (3.0 * compensated) plain "visibly better"

        testCase "misuse and failures"
        <| fun () ->
            let problem = HamiltonianProblems.pendulum

            let refuses (part: string) (options: SolveOptions<float[]>) q p =
                let message =
                    try
                        HamiltonianOde.solve Splitting.ruth3 options problem.Hamiltonian 0.0 1.0 q p |> ignore
                        "no exception"
                    with :? ArgumentException as error ->
                        error.Message

                Expect.stringContains message part part

            refuses "fixed step" (SolveOptions.create 1e-6 1e-6) [| 1.0 |] [| 0.0 |]
            refuses "momentum" (FixedSteps.every 0.1) [| 1.0 |] [||]
            refuses "empty" (FixedSteps.every 0.1) [||] [||]
            Expect.throwsT<ArgumentException> (fun () -> Splitting.create "x" 1 1 [| 0.9 |] [| 1.0 |] |> ignore) "sum"

            Expect.throwsT<ArgumentException>
                (fun () -> Hamiltonian.Newton([| 0.0 |], problem.Hamiltonian.Force) |> ignore)
                "mass"

            let collapse =
                Hamiltonian(
                    problem.Hamiltonian.Velocity,
                    VectorField(fun t _ dpdt -> dpdt[0] <- if t > 0.5 then nan else 0.0)
                )

            let solution =
                HamiltonianOde.solve Splitting.yoshida6 (FixedSteps.every 0.1) collapse 0.0 1.0 [| 0.0 |] [| 1.0 |]

            Expect.equal solution.Status Status.NonFinite "status"
            Expect.isTrue (solution.FinalTime > 0.3 && solution.FinalTime <= 0.5) "partial solution"
            Expect.stringContains solution.Message "component" "which"

            let throwing = Hamiltonian(problem.Hamiltonian.Velocity, VectorField(fun _ _ _ -> failwith "no force"))

            let solution =
                HamiltonianOde.solve Splitting.yoshida6 (FixedSteps.every 0.1) throwing 0.0 1.0 [| 0.0 |] [| 1.0 |]

            Expect.equal solution.Status Status.FieldThrew "status"
    ]

let private f64 (values: float[]) = Tensors.vector values

/// sin q by q, as the pendulum's force.
let private tensorPendulum =
    TensorHamiltonian(
        TensorField.autonomous [] (fun p -> p.mul (1.0.ToScalar())),
        TensorField.create [] (fun t q -> q.sin().neg().add(t.cos().mul(0.5.ToScalar())))
    )

let private tensors =
    testList "on tensors" [
        testCase "a batch gives what its members give on arrays; no tensor is left"
        <| fun () ->
            let array =
                Hamiltonian(
                    VectorField(fun _ p dqdt -> p.CopyTo dqdt),
                    VectorField(fun t q dpdt -> dpdt[0] <- -(sin q[0]) + 0.5 * cos t)
                )

            let before = Tensors.live ()

            for method in Splitting.all do
                use q0 = f64 [| 0.1; 1.0; -2.0 |]
                use p0 = f64 [| 0.5; 0.0; 1.0 |]

                for save in [ EndOnly; DenseOutput; Times [| 0.35; 1.1; 3.0 |] ] do
                    let options = { FixedSteps.every 0.1 with SaveAt = save }
                    use solution = HamiltonianOde.solveTensors method options tensorPendulum 0.0 3.0 q0 p0

                    Expect.equal
                        (solution.EnsureSuccess().States.shape)
                        [| int64 solution.Times.Length; 2L; 3L |]
                        "shape"

                    let final = Tensors.toArray solution.Final

                    let single =
                        HamiltonianOde.solve method { FixedSteps.every 0.1 with SaveAt = DenseOutput } array 0.0 3.0 [|
                            1.0
                        |] [| 0.0 |]

                    Expect.floatClose Accuracy.high final[1] single.FinalState[0] method.Name
                    Expect.floatClose Accuracy.high final[4] single.FinalState[1] method.Name

                    match solution.Dense with
                    | ValueSome dense ->
                        use at = dense.At 1.234

                        Expect.floatClose
                            Accuracy.high
                            ((Tensors.toArray at).[1])
                            ((single.Dense.Value.At 1.234).[0])
                            "dense"
                    | ValueNone -> ()

            Expect.equal (Tensors.live ()) before "live tensors"

        testCase "gradients of a recorded solve are those of difference quotients"
        <| fun () ->
            let before = Tensors.live ()

            do
                use _ = torch.NewDisposeScope()
                let k = (f64 [| 1.3 |]).requires_grad_ true
                let q0 = (f64 [| 0.4; 1.0 |]).requires_grad_ true
                let p0 = f64 [| 0.0; 0.2 |]

                let make (k: Tensor) =
                    TensorHamiltonian(
                        TensorField.autonomous [] (fun p -> p.mul (1.0.ToScalar())),
                        TensorField.autonomous [ k ] (fun q -> q.sin().mul(k).neg())
                    )

                let value (k: Tensor) (q0: Tensor) =
                    (HamiltonianOde.solveTensors Splitting.mcAte4 (FixedSteps.every 0.1) (make k) 0.0 2.0 q0 p0)
                        .Final.square()
                        .sum()

                (value k q0).backward()
                use _ = torch.no_grad ()
                let delta = 1e-5

                let quotient (up: Tensor) (down: Tensor) atK =
                    if atK then
                        (Tensors.toFloat (value up q0) - Tensors.toFloat (value down q0)) / (2.0 * delta)
                    else
                        (Tensors.toFloat (value k up) - Tensors.toFloat (value k down)) / (2.0 * delta)

                let step = f64 [| delta |]
                let slope = quotient (k.add step) (k.sub step) true
                Expect.floatClose { absolute = 1e-8; relative = 1e-7 } (Tensors.toFloat k.grad) slope "k"
                let first = f64 [| delta; 0.0 |]
                let slope = quotient (q0.add first) (q0.sub first) false
                Expect.floatClose { absolute = 1e-8; relative = 1e-7 } ((Tensors.toArray q0.grad).[0]) slope "q0"

            Expect.equal (Tensors.live ()) before "live tensors"
    ]

// ------------------------------------------------------------------------------------------------------ exponential

let private methods = [ Etdrk4; IntegratingFactorRk4 ]

/// Viscous Burgers on [0, 2 pi): u_t = nu u_xx - u u_x with Cole and Hopf's closed form
/// u = 2 nu e^(-nu t) sin x / (2 + e^(-nu t) cos x).
let private nu = 0.5

let private burgersExact n t =
    Array.init n (fun i ->
        let x = 2.0 * Math.PI * float i / float n
        let decay = exp (-nu * t)
        2.0 * nu * decay * sin x / (2.0 + decay * cos x))

let private burgersError method (dtype: torch.ScalarType) n steps =
    use _ = torch.NewDisposeScope()
    let waves = torch.arange(int64 (n / 2 + 1)).``to`` dtype
    let linear = waves.square().mul((-nu).ToScalar())

    let complexType =
        if dtype = torch.float32 then
            torch.ScalarType.ComplexFloat32
        else
            torch.ScalarType.ComplexFloat64

    let wave = torch.complex(torch.zeros_like waves, waves).``to`` complexType

    let nonlinear =
        TensorField.autonomous [] (fun v ->
            let u = torch.fft.irfft (v, int64 n)
            torch.fft.rfft(u.square ()).mul(wave).mul((-0.5).ToScalar()))

    let start = torch.fft.rfft ((f64 (burgersExact n 0.0)).``to`` dtype)

    let solution =
        SemilinearOde.solveTensors method (FixedSteps.every (2.0 / float steps)) linear nonlinear 0.0 2.0 start

    let final = torch.fft.irfft (solution.EnsureSuccess().Final, int64 n)
    Array.map2 (fun a b -> abs (a - b)) (Tensors.toArray final) (burgersExact n 2.0) |> Array.max

let private exponentialLaws =
    testList "laws" [
        for method in methods do
            testCase $"{method}: order, dense output, exactness"
            <| fun () ->
                for problem in
                    [
                        SemilinearProblems.manufactured [| -1.0; 0.5; -2.0 |]
                        SemilinearProblems.manufactured [| -3.0; 0.0 |]
                    ] do
                    ExponentialLaws.all method problem |> Array.iter holds

                for h in [ 0.01; 1.0; 10.0 ] do
                    holds (ExponentialLaws.exactForConstant method [| -1e4; -1.0; -1e-9; 0.0; 1.0 |] 0.0 h)

        testCase "Etdrk4 is exact for constant N, however stiff L"
        <| fun () ->
            for h in [ 0.01; 1.0; 10.0 ] do
                holds (ExponentialLaws.exactForConstant Etdrk4 [| -1e6; -30.0; -1.0; -1e-3; -1e-9; 0.0; 1.0 |] 2.5 h)

            // An integrating factor is not.
            fails (ExponentialLaws.exactForConstant IntegratingFactorRk4 [| -30.0 |] 2.5 1.0)

        testCase "no step is too long for L"
        <| fun () ->
            for largest in [ -1e2; -1e4; -1e6; -1e8 ] do
                let problem = SemilinearProblems.manufactured [| -1.0; largest |]
                holds (ExponentialLaws.stiffly Etdrk4 0.1 1e-4 problem)
                holds (ExponentialLaws.stiffly Etdrk4 0.025 1e-6 problem)

        testCase "phi functions near and far from 0, real and complex"
        <| fun () ->
            for z in
                [
                    Complex.Zero
                    Complex(1e-12, 0.0)
                    Complex(0.999, 0.0)
                    Complex(1.0, 0.0)
                    Complex(-1.0, 0.0)
                    Complex(-0.7, 0.7)
                    Complex(0.0, 2.0 * Math.PI)
                    Complex(0.0, 40.0)
                    Complex(-300.0, 5.0)
                    Complex(-1e5, 0.0)
                    Complex(3.0, -2.0)
                ] do
                holds (ExponentialLaws.phi z)

        testCase "a law that is broken fails"
        <| fun () ->
            let problem = SemilinearProblems.manufactured [| -1.0; 0.5 |]
            // N without its time: an autonomous impostor
            let frozen = VectorField(fun _ y dest -> problem.Nonlinear.Invoke(0.0, y, dest))
            fails (ExponentialLaws.convergence Etdrk4 { problem with Nonlinear = frozen })

            fails (
                ExponentialLaws.stiffly IntegratingFactorRk4 0.1 1e-4 (SemilinearProblems.manufactured [| -1.0; -1e4 |])
            )
    ]

let private spectral =
    testList "spectral" [
        for method in methods do
            testCase $"{method}: Burgers by complex tensors converges to Cole and Hopf with order 4"
            <| fun () ->
                let coarse = burgersError method torch.float64 64 10
                let fine = burgersError method torch.float64 64 20
                Expect.isLessThan fine 1e-5 $"error {fine}"
                Expect.isGreaterThan (coarse / fine) 11.0 $"{coarse} to {fine}"
                Expect.isLessThan (burgersError method torch.float32 64 40) 2e-5 "single precision"

        testCase "Kuramoto-Sivashinsky: order 4 against a fine solution, on complex arrays as on tensors"
        <| fun () ->
            // v_t = (k^2 - k^4) v - i k/2 F(u^2) on [0, 32 pi), Kassam and Trefethen's start; 64 modes, to t = 8.
            use _ = torch.NewDisposeScope()
            let n = 128
            let waves = Array.init (n / 2 + 1) (fun k -> float k / 16.0)
            let linear = f64 (waves |> Array.map (fun k -> k * k - k * k * k * k))
            // the highest wave has no odd derivative
            let half = f64 (waves |> Array.mapi (fun i k -> if i = n / 2 then 0.0 else -0.5 * k))
            let factor = torch.complex (torch.zeros_like half, half)

            let field =
                TensorField.autonomous [] (fun v -> torch.fft.rfft(torch.fft.irfft(v, int64 n).square()).mul factor)

            let u0 =
                f64 (
                    Array.init n (fun i ->
                        let x = 32.0 * Math.PI * float i / float n
                        cos (x / 16.0) * (1.0 + sin (x / 16.0)))
                )

            let start = torch.fft.rfft u0

            let final h =
                (SemilinearOde.solveTensors Etdrk4 (FixedSteps.every h) linear field 0.0 8.0 start)
                    .EnsureSuccess()
                    .Final

            let gap (a: Tensor) (b: Tensor) = a.sub(b).abs().max().ToDouble() / float n
            let reference = final 0.0625
            let coarse = gap (final 0.5) reference
            let fine = gap (final 0.25) reference
            Expect.isGreaterThan (coarse / fine) 10.0 $"{coarse} to {fine}"
            Expect.isLessThan fine 1e-4 "accuracy"

            // The same on Complex[], N through the tensors.
            let toComplex (v: Tensor) =
                let pairs = Tensors.toArray (torch.view_as_real (v.contiguous ()))
                Array.init (pairs.Length / 2) (fun i -> Complex(pairs[2 * i], pairs[2 * i + 1]))

            let term =
                ComplexVectorField(fun _ v dest ->
                    use _ = torch.NewDisposeScope()
                    let v = v.ToArray()
                    let real = f64 (v |> Array.map _.Real)
                    let imaginary = f64 (v |> Array.map _.Imaginary)
                    let value = field.Eval(null, torch.complex (real, imaginary))
                    (toComplex value).AsSpan().CopyTo dest)

            let arrays =
                SemilinearOde.solveComplex
                    Etdrk4
                    (FixedSteps.every 0.5)
                    (Tensors.toArray linear |> Array.map (fun x -> Complex(x, 0.0)))
                    term
                    0.0
                    8.0
                    (toComplex start)

            let same =
                Array.map2 (fun (a: Complex) b -> Complex.Abs(a - b)) (finalOf arrays) (toComplex (final 0.5))
                |> Array.max

            Expect.isLessThan same 1e-9 "arrays and tensors"
    ]

let private exponentialTensors =
    testList "on tensors" [
        testCase "a complex L rotates exactly; dense output, save times and backward"
        <| fun () ->
            let linear = [| Complex(0.0, 40.0); Complex(-0.5, 3.0) |]
            let y0 = [| Complex(1.0, 0.0); Complex(0.0, 2.0) |]
            let none = ComplexVectorField(fun _ _ dest -> dest.Clear())
            let exact t = Array.map2 (fun (l: Complex) y -> Complex.Exp(l * Complex(t, 0.0)) * y) linear y0
            let gap a b = Array.map2 (fun (x: Complex) y -> Complex.Abs(x - y)) a b |> Array.max

            for method in methods do
                let options = { FixedSteps.every 0.7 with SaveAt = DenseOutput }
                let solution = SemilinearOde.solveComplex method options linear none 0.0 3.0 y0
                Expect.isLessThan (gap (finalOf solution) (exact 3.0)) 1e-13 "end"
                Expect.isLessThan (gap (solution.Dense.Value.At 1.234) (exact 1.234)) 1e-13 "dense"
                let back = SemilinearOde.solveComplex method (FixedSteps.every 0.7) linear none 3.0 0.0 (exact 3.0)
                Expect.isLessThan (gap (finalOf back) y0) 1e-12 "back"

        testCase "no tensor is left, one scope or many steps"
        <| fun () ->
            let before = Tensors.live ()

            do
                use linear = f64 [| -100.0; -1.0; 0.0 |]
                use y0 = f64 [| 1.0; 2.0; 3.0 |]

                let field = TensorField.create [] (fun t y -> y.sin().mul t)

                for method in methods do
                    for save in [ EndOnly; EverySteps; DenseOutput; Times [| 0.33; 0.5 |]; StepValues [| 0.33; 0.5 |] ] do
                        let options = { FixedSteps.every 0.1 with SaveAt = save }
                        use solution = SemilinearOde.solveTensors method options linear field 0.0 1.0 y0
                        solution.EnsureSuccess() |> ignore
                        Expect.equal solution.Statistics.Evaluations (4 * solution.Statistics.Accepted) "evaluations"

                        match solution.Dense with
                        | ValueSome dense ->
                            use at = dense.At 0.777
                            Expect.isTrue (Tensors.toArray at |> Array.forall Double.IsFinite) "dense"
                        | ValueNone -> ()

                        // the number of live tensors does not depend on the number of steps
                        let counts = System.Collections.Generic.List<int64>()

                        let watch = {
                            options with
                                SaveAt = EndOnly
                                Control = Fixed 0.01
                                Progress = Action<StepReport>(fun _ -> counts.Add(Tensors.live ()))
                        }

                        use _ = SemilinearOde.solveTensors method watch linear field 0.0 1.0 y0
                        Expect.equal counts[90] counts[5] "live tensors inside the solve"

            Expect.equal (Tensors.live ()) before "live tensors"

        testCase "gradients for y0, L and a parameter are those of difference quotients"
        <| fun () ->
            for method in methods do
                use _ = torch.NewDisposeScope()
                // entries on both sides of |h L| = 1, and zero
                let linear = (f64 [| -30.0; -0.5; 0.0 |]).requires_grad_ true
                let a = (f64 [| 0.7 |]).requires_grad_ true
                let y0 = (f64 [| 0.5; 1.0; -1.0 |]).requires_grad_ true
                let field (a: Tensor) = TensorField.create [ a ] (fun t y -> y.sin().mul(a).add t)

                let value (linear: Tensor) (a: Tensor) (y0: Tensor) =
                    (SemilinearOde.solveTensors method (FixedSteps.every 0.1) linear (field a) 0.0 1.0 y0)
                        .Final.square()
                        .sum()

                (value linear a y0).backward()
                use _ = torch.no_grad ()

                let quotient (evaluate: Tensor -> Tensor) (x: Tensor) i =
                    let delta = f64 (Array.init (int (x.numel ())) (fun j -> if i = j then 1e-5 else 0.0))
                    (Tensors.toFloat (evaluate (x.add delta)) - Tensors.toFloat (evaluate (x.sub delta))) / 2e-5

                let agree name (x: Tensor) evaluate =
                    for i in 0 .. int (x.numel ()) - 1 do
                        let g = (Tensors.toArray x.grad)[i]

                        Expect.floatClose
                            { absolute = 1e-8; relative = 1e-6 }
                            g
                            (quotient evaluate x i)
                            $"{method} {name} {i}"

                agree "L" linear (fun x -> value x a y0)
                agree "a" a (fun x -> value linear x y0)
                agree "y0" y0 (fun x -> value linear a x)

        testCase "misuse and failures"
        <| fun () ->
            use _ = torch.NewDisposeScope()
            let y0 = f64 [| 1.0; 2.0 |]
            let field = TensorField.autonomous [] (fun y -> y.neg ())

            let refuses (part: string) (body: unit -> unit) =
                let message =
                    try
                        body ()
                        "no exception"
                    with :? ArgumentException as error ->
                        error.Message

                Expect.stringContains message part part

            let solve options linear y0 = SemilinearOde.solveTensors Etdrk4 options linear field 0.0 1.0 y0 |> ignore
            refuses "fixed step" (fun () -> solve (SolveOptions.create 1e-6 1e-6) y0 y0)
            refuses "broadcast" (fun () -> solve (FixedSteps.every 0.1) (f64 [| 1.0; 2.0; 3.0 |]) y0)
            refuses "complex" (fun () -> solve (FixedSteps.every 0.1) (torch.complex (y0, y0)) y0)
            refuses "finite" (fun () -> solve (FixedSteps.every 0.1) (f64 [| nan; 0.0 |]) y0)

            let arrays linear y0 =
                SemilinearOde.solve Etdrk4 (FixedSteps.every 0.1) linear (VectorField(fun _ _ _ -> ())) 0.0 1.0 y0
                |> ignore

            refuses "diagonal" (fun () -> arrays [| 1.0 |] [| 1.0; 2.0 |])
            refuses "entry 1" (fun () -> arrays [| 1.0; infinity |] [| 1.0; 2.0 |])

            let blowUp =
                SemilinearOde.solve
                    Etdrk4
                    (FixedSteps.every 0.1)
                    [| -1.0; -1.0 |]
                    (VectorField(fun t _ dest ->
                        dest[0] <- 0.0
                        dest[1] <- if t > 0.5 then nan else 0.0))
                    0.0
                    1.0
                    [| 1.0; 1.0 |]

            Expect.equal blowUp.Status Status.NonFinite "status"
            Expect.stringContains blowUp.Message "component 1" "which"
    ]

let private exponentialLoop =
    testList "through the loop" [
        testCase "events, a dose, and a coefficient per step length only"
        <| fun () ->
            // y' = -3 y + 0, a dose of 1 at t = 1, the end at y = 0.1
            let options = {
                FixedSteps.every 0.25 with
                    Scheduled = [| { Time = 1.0; Apply = fun _ y -> [| y[0] + 1.0 |] } |]
                    Events = [|
                        {
                            Name = "y = 0.1"
                            Condition = fun t y -> if t <= 1.0 then 1.0 else y[0] - 0.1
                            Crossing = Falling
                            Apply = ValueNone
                            Terminal = true
                            MaxOccurrences = Int32.MaxValue
                        }
                    |]
            }

            for method in methods do
                let solution =
                    SemilinearOde.solve method options [| -3.0 |] (VectorField(fun _ _ d -> d.Clear())) 0.0 5.0 [|
                        1.0
                    |]

                Expect.equal solution.Status Status.Terminated solution.Message
                let expected = 1.0 + log ((exp -3.0 + 1.0) / 0.1) / 3.0
                Expect.floatClose { absolute = 1e-12; relative = 0.0 } solution.FinalTime expected "time"

        testCase "no allocation per step on arrays"
        <| fun () ->
            let linear = Array.init 16 (fun i -> -float(i * i))
            let y0 = Array.create 16 1.0

            let field =
                VectorField(fun t y d ->
                    for i in 0 .. y.Length - 1 do
                        d[i] <- sin (y[i] + t))

            let run steps =
                let before = GC.GetAllocatedBytesForCurrentThread()
                // t0 far from zero: the lengths of steps differ by rounding
                SemilinearOde.solve Etdrk4 (FixedSteps.every 0.01) linear field 100.0 (100.0 + 0.01 * float steps) y0
                |> finalOf
                |> ignore

                GC.GetAllocatedBytesForCurrentThread() - before

            run 10 |> ignore
            let few = run 10
            Expect.isLessThan (run 2000 - few) 512L "bytes for 1990 further steps"
    ]

let tests =
    testList "Structured" [
        testList "symplectic" [ laws; mutations; loop; tensors ]
        testList "exponential" [ exponentialLaws; spectral; exponentialTensors; exponentialLoop ]
    ]
