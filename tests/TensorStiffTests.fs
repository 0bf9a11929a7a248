module TensorStiffTests

open System
open Expecto
open TorchSharp
open Continuum
open Continuum.Properties

let private values (shape: int64[]) (data: float[]) : Tensor = Tensors.ofArray data shape torch.float64 torch.CPU

let private largest (a: Tensor) (b: Tensor) =
    use _ = torch.NewDisposeScope()
    a.sub(b).abs().max().ToDouble()

let private number (x: float) = x.ToScalar()
let private column i (y: Tensor) = y.narrow (1L, int64 i, 1L)

/// Robertson's kinetics with rates of their own for each sample: shape (batch, 1) each.
let private robertson (k1: Tensor) (k2: Tensor) (k3: Tensor) =
    TensorField.autonomous [ k1; k2; k3 ] (fun y ->
        let a, b, c = column 0 y, column 1 y, column 2 y
        let first = k1.mul a
        let second = k2.mul(b).mul b
        let third = k3.mul(b).mul c
        torch.cat ([| third.sub first; first.sub(second).sub third; second |], 1L))

/// y1' = t y0 y1, y0' = sin(t) - y0^2 for every sample.
let private driven =
    TensorField.create [] (fun t y ->
        let a, b = column 0 y, column 1 y
        torch.cat ([| t.sin().sub(a.mul a); t.mul(a).mul b |], 1L))

let private drivenJacobian (t: float) (a: float) (b: float) = [| -2.0 * a; 0.0; t * b; t * a |]

/// y' = A y with one matrix for the flattened state.
let private coupled (matrix: Tensor) =
    TensorField.autonomous [] (fun y -> matrix.matmul(y.reshape (-1L, 1L)).reshape y.shape)

let private jacobians =
    testList "Jacobians" [
        test "of independent samples, with one time and with a time for each" {
            use _ = torch.NewDisposeScope()
            let y = values [| 3L; 2L |] [| 0.5; -1.0; 2.0; 0.25; -0.75; 3.0 |]
            let times = [| 0.3; -1.2; 2.0 |]

            let expected (t: int -> float) =
                values [| 3L; 2L; 2L |] [|
                    for i in 0..2 do
                        yield! drivenJacobian (t i) (y[int64 i, 0L].ToDouble()) (y[int64 i, 1L].ToDouble())
                |]

            let jacobian = TensorJacobian(driven, false)
            let own = values [| 3L; 1L |] times
            Expect.isLessThan (largest (jacobian.Form(own, y, false)) (expected (fun i -> times[i]))) 1e-14 "per sample"
            let one = torch.tensor (0.7, dtype = torch.float64)
            Expect.isLessThan (largest (jacobian.Form(one, y, false)) (expected (fun _ -> 0.7))) 1e-14 "one time"
        }

        test "of fields that read one row for each sample" {
            use _ = torch.NewDisposeScope()
            let k1 = values [| 2L; 1L |] [| 0.04; 0.1 |]
            let k2 = values [| 2L; 1L |] [| 3e7; 1e3 |]
            let k3 = values [| 2L; 1L |] [| 1e4; 7.0 |]
            let y = values [| 2L; 3L |] [| 0.9; 1e-5; 0.1; 0.5; 0.2; 0.3 |]
            let found = TensorJacobian(robertson k1 k2 k3, false).Form(null, y, false)

            let row i =
                let at (x: Tensor) = x[int64 i, 0L].ToDouble()
                let b, c = y[int64 i, 1L].ToDouble(), y[int64 i, 2L].ToDouble()
                let p, q, r = at k1, 2.0 * at k2 * b, at k3

                [| -p; r * c; r * b; p; -q - r * c; -r * b; 0.0; q; 0.0 |]

            let expected = values [| 2L; 3L; 3L |] (Array.append (row 0) (row 1))
            Expect.isLessThan (largest found expected) 1e-9 "Jacobian"
        }

        test "df/dt, of joint states, of fields that do not depend on the state" {
            use _ = torch.NewDisposeScope()
            let y = values [| 2L; 2L |] [| 0.5; -1.0; 2.0; 0.25 |]
            let t = values [| 2L; 1L |] [| 0.3; 1.1 |]
            let slope = TensorJacobian(driven, false).TimeSlope(t, y, false)
            let expected = values [| 2L; 2L |] [| cos 0.3; -0.5; cos 1.1; 0.5 |]
            Expect.isLessThan (largest slope expected) 1e-14 "df/dt"
            let matrix = values [| 4L; 4L |] (Array.init 16 (fun i -> cos (float i)))
            let joint = coupled matrix
            Expect.isLessThan (largest (TensorJacobian(joint, true).Form(null, y, false)[0L]) matrix) 1e-14 "joint"
            let constant = TensorField.create [] (fun _ y -> torch.ones_like y)
            let zero = TensorJacobian(constant, false).Form(t, y, false)
            Expect.equal (zero.abs().max().ToDouble()) 0.0 "constant field"
        }

        test "recorded ones carry second derivatives for the state and the parameters" {
            use _ = torch.NewDisposeScope()
            let p = (values [| 1L |] [| 1.5 |]).requires_grad_ true
            // f = p y^3: J = 3 p y^2, dJ/dy = 6 p y, dJ/dp = 3 y^2
            let field = TensorField.autonomous [ p ] (fun y -> y.pow(number 3.0).mul p)

            for perSample in [ false; true ] do
                let y = (values [| 2L; 1L |] [| 0.5; 2.0 |]).requires_grad_ true

                let used =
                    if perSample then
                        field
                    else
                        field.WithJacobian(fun _ y -> y.mul(y).mul(p).mul(number 3.0))

                let matrix = TensorJacobian(used, false).Form(null, y, true)
                let found = Autograd.vjp [| matrix.sum () |] [| y; p |] [| torch.ones_like (matrix.sum ()) |]
                Expect.isLessThan (largest found[0] (values [| 2L; 1L |] [| 4.5; 18.0 |])) 1e-12 "by y"
                Expect.isLessThan (largest found[1] (values [| 1L |] [| 3.0 * 4.25 |])) 1e-12 "by p"
        }

        test "whether samples depend on each other" {
            use _ = torch.NewDisposeScope()
            let y = values [| 5L; 2L |] (Array.init 10 (fun i -> 0.3 + float i))
            let t = torch.tensor (0.5, dtype = torch.float64)
            Expect.isTrue (SampleIndependence.holds driven t y) "independent"
            let mean = TensorField.autonomous [] (fun y -> y.sub (y.mean ([| 0L |], true)))
            Expect.isFalse (SampleIndependence.holds mean null y) "mean"
            let neighbours = TensorField.autonomous [] (fun y -> y.add (y.roll (1L, 0L)))
            Expect.isFalse (SampleIndependence.holds neighbours null y) "neighbours"
            Expect.isFalse (SampleIndependence.holds (driven.AsJoint()) t y) "declared"
        }
    ]

let private systems =
    testList "linear systems" [
        test "solve M - g J with a g for each sample; a singular one spoils only its own sample" {
            use _ = torch.NewDisposeScope()
            // J = diag(1, 2): singular at g = 1 and g = 1/2
            let scale = values [| 2L |] [| 1.0; 2.0 |]
            let field = TensorField.autonomous [] (fun y -> y.mul scale)
            let y = torch.ones ([| 3L; 2L |], dtype = torch.float64)
            use own = new TensorLinearSystem(field, false)
            let system = own :> ILinearSystem<Tensor, Tensor>
            system.Linearise(null, y, y)
            Expect.isTrue (system.Factorise(values [| 3L; 1L |] [| 0.25; 1.0; -1.0 |])) "factorised"
            let x = system.Solve(y, y)
            Expect.isLessThan (largest x[0L] (values [| 2L |] [| 1.0 / 0.75; 2.0 |])) 1e-14 "first"
            Expect.isTrue (Double.IsNaN(x[1L, 0L].ToDouble())) "singular"
            Expect.isLessThan (largest x[2L] (values [| 2L |] [| 0.5; 1.0 / 3.0 |])) 1e-14 "third"
            Expect.equal own.Matrices.Singular [| false; true; false |] "which"
            Expect.isTrue (system.Factorise(values [| 3L; 1L |] [| 0.25; 0.25; 0.25 |])) "again"
            Expect.isNull own.Matrices.Singular "none"
        }

        test "take a mass matrix, one g for all, count their work, leak nothing" {
            let before = Tensors.live ()

            let run () =
                use _ = torch.NewDisposeScope()
                let mass = values [| 2L; 2L |] [| 2.0; 0.0; 0.0; 0.0 |]
                let field = (TensorField.autonomous [] (fun y -> y.neg ())).WithMass mass
                let y = torch.ones ([| 3L; 2L |], dtype = torch.float64)
                use own = new TensorLinearSystem(field, false)
                let system = own :> ILinearSystem<Tensor, Tensor>
                use _ = torch.no_grad ()
                system.Linearise(null, y, y)
                Expect.isFalse (own.Matrices.Factorise -2.0) "2 - 2 = 0"
                Expect.isTrue (own.Matrices.Factorise 0.5) "diag(2.5, 0.5)"
                let x = system.Solve(y, y)
                Expect.isLessThan (largest x[2L] (values [| 2L |] [| 0.4; 2.0 |])) 1e-14 "solution"
                Expect.isLessThan (largest (system.MassTimes(y, y)) (mass.sum(1L).expand_as y)) 1e-15 "M v"
                Expect.equal (system.Work.Jacobians, system.Work.Factorisations, system.Work.Solves) (1, 2, 1) "work"

            run ()
            run ()
            Expect.equal (Tensors.live ()) before "live tensors"
        }
    ]

/// van der Pol's oscillator in Lienard-free form, stiffness mu of each sample, shape (batch, 1).
let private vanDerPol (mu: Tensor) =
    TensorField.autonomous [ mu ] (fun y ->
        let x, v = column 0 y, column 1 y
        let one = torch.ones_like x
        torch.cat ([| v; mu.mul(one.sub (x.mul x)).mul(v).sub x |], 1L))

/// Prothero and Robinson's problem with rate lambda: the solution is cos t from 1.
let private prothero (lambda: float) =
    TensorField.create [] (fun t y -> y.sub(t.cos ()).mul(number lambda).sub(t.sin ()))

let private stiffMethods = [
    Rosenbrock RosenbrockMethods.Rosenbrock23
    Rosenbrock RosenbrockMethods.Rodas5P
    Esdirk EsdirkMethods.Kvaerno5
    Esdirk EsdirkMethods.KenCarp4
]

let private batch method rtol atol t1 = {
    BatchOptions.create rtol atol (Array.zeroCreate (Array.length t1)) t1 with
        Method = method
        Differentiation = Differentiation.None
}

let private joint method rtol atol = {
    TensorOptions.create rtol atol with
        Method = method
        Differentiation = Differentiation.None
}

let private solves =
    testList "solves" [
        test "a stiff solution with time-dependent forcing, one clock and a clock for each sample" {
            use _ = torch.NewDisposeScope()
            let y0 = torch.ones ([| 3L; 1L |], dtype = torch.float64)
            let field = prothero -1e6

            for method in stiffMethods do
                let tolerance = if method.Order < 4 then 1e-4 else 1e-6
                let one = (TensorOde.solve (joint method tolerance 1e-8) field 0.0 3.0 y0).EnsureSuccess()
                let expected = torch.full_like (y0, number (cos 3.0))
                Expect.isLessThan (largest one.Final expected) (10.0 * tolerance) method.Name
                let ends = [| 3.0; 1.0; 2.0 |]
                let own = (BatchOde.solve (batch method tolerance 1e-8 ends) field y0).EnsureSuccess()
                let expected = values [| 3L; 1L |] (Array.map cos ends)
                Expect.isLessThan (largest own.Final expected) (10.0 * tolerance) method.Name
                Expect.isLessThan (Array.max own.Accepted) 300 $"{method.Name}: steps"
        }

        test "tensors and arrays agree, Rosenbrock methods step by step" {
            use _ = torch.NewDisposeScope()
            let mu = torch.full ([| 1L; 1L |], number 100.0, dtype = torch.float64)
            let y0 = values [| 1L; 2L |] [| 2.0; 0.0 |]

            let field =
                VectorField(fun _ y dydt ->
                    dydt[0] <- y[1]
                    dydt[1] <- 100.0 * (1.0 - y[0] * y[0]) * y[1] - y[0])

            let jacobian =
                JacobianFunction(fun _ y matrix ->
                    matrix[0, 1] <- 1.0
                    matrix[1, 0] <- -200.0 * y[0] * y[1] - 1.0
                    matrix[1, 1] <- 100.0 * (1.0 - y[0] * y[0]))

            let system = (OdeSystem.OfField(field, 2)).WithJacobian(jacobian)

            for method in stiffMethods do
                let tolerance = if method.Order < 4 then 1e-3 else 1e-5
                let options = SolveOptions.create tolerance 1e-5
                let arrays = ArrayOde.solveSystem method options system 0.0 100.0 [| 2.0; 0.0 |]

                Expect.equal arrays.Status Status.Success arrays.Message
                let one = (TensorOde.solve (joint method tolerance 1e-5) (vanDerPol mu) 0.0 100.0 y0).EnsureSuccess()
                let own = (BatchOde.solve (batch method tolerance 1e-5 [| 100.0 |]) (vanDerPol mu) y0).EnsureSuccess()
                let expected = values [| 1L; 2L |] arrays.FinalState
                Expect.equal own.Accepted[0] one.Statistics.Accepted $"{method.Name}: accepted alone"

                if method.IsEsdirk then
                    // On arrays these keep their matrices and choose their own step lengths.
                    Expect.isLessThan (largest one.Final expected) (100.0 * tolerance) $"{method.Name}: state"
                else
                    Expect.equal one.Statistics.Accepted arrays.Statistics.Accepted $"{method.Name}: accepted"
                    Expect.equal one.Statistics.Rejected arrays.Statistics.Rejected $"{method.Name}: rejected"
                    Expect.isLessThan (largest one.Final expected) 1e-7 $"{method.Name}: state"

                Expect.isLessThan (largest own.Final one.Final) 1e-9 $"{method.Name}: state alone"
        }

        test "Robertson's kinetics with rates of their own; float32; joint states; a vector" {
            use _ = torch.NewDisposeScope()
            let k1 = values [| 2L; 1L |] [| 0.04; 0.08 |]
            let k2 = values [| 2L; 1L |] [| 3e7; 1e7 |]
            let k3 = values [| 2L; 1L |] [| 1e4; 2e4 |]
            let y0 = values [| 2L; 3L |] [| 1.0; 0.0; 0.0; 1.0; 0.0; 0.0 |]

            for method in stiffMethods do
                let tolerance = if method.Order < 4 then 1e-4 else 1e-8
                let field = robertson k1 k2 k3
                let own = (BatchOde.solve (batch method tolerance 1e-12 [| 40.0; 40.0 |]) field y0).EnsureSuccess()
                // Hairer and Wanner II, section IV.10; value at t = 40 of the usual reference solution
                let reference = values [| 3L |] [| 0.7158270688; 9.185534765e-6; 0.2841637457 |]
                Expect.isLessThan (largest own.Final[0L] reference) (30.0 * tolerance) $"{method.Name}: Robertson"
                let sums = own.Final.sum 1L
                Expect.isLessThan (largest sums (torch.ones_like sums)) 1e-9 "mass"
                let single = own.Final[1L].clone()
                let alone = vanDerPol (torch.full ([| 1L; 1L |], number 100.0, dtype = torch.float32))
                let start = (values [| 1L; 2L |] [| 2.0; 0.0 |]).``to`` torch.float32
                let small = (BatchOde.solve (batch method 1e-4 1e-5 [| 50.0 |]) alone start).EnsureSuccess()
                Expect.equal small.Final.dtype torch.float32 "dtype"
                let flat = field.AsJoint()
                let whole = (TensorOde.solve (joint method tolerance 1e-12) flat 0.0 40.0 y0).EnsureSuccess()
                Expect.isLessThan (largest whole.Final[1L] single) (30.0 * tolerance) "joint"

                let vector =
                    TensorField.autonomous [] (fun y ->
                        torch.stack [| y[1L]; y[0L].mul(number -100.0).sub(y[1L].mul(number 1000.0)) |])

                let line =
                    (TensorOde.solve (joint method 1e-6 1e-9) vector 0.0 5.0 (values [| 2L |] [| 1.0; 0.0 |]))
                        .EnsureSuccess()

                let slow = -500.0 + sqrt (250000.0 - 100.0)
                let fast = -1000.0 - slow
                let expected = (fast * exp (slow * 5.0)) / (fast - slow)
                Expect.isLessThan (abs (line.Final[0L].ToDouble() - expected)) 1e-5 "vector"
        }

        test "a singular or a diverging sample fails alone, with its status" {
            use _ = torch.NewDisposeScope()
            // blows up at t = 1 / y0
            let square = TensorField.autonomous [] (fun y -> y.mul y)
            let y0 = values [| 3L; 1L |] [| 1.0; -1.0; nan |]

            for method in stiffMethods do
                let solution = BatchOde.solve (batch method 1e-6 1e-8 [| 2.0; 2.0; 2.0 |]) square y0
                Expect.notEqual solution.Status[0] Status.Success "blows up"
                Expect.equal solution.Status[1] Status.Success "decays"
                Expect.equal solution.Status[2] Status.NonFinite "not a number"
                Expect.isLessThan (abs (solution.Final[1L, 0L].ToDouble() + 1.0 / 3.0)) 1e-4 "value"

            // 0 y' = 1 - y is regular, 0 y' = 1 is not
            let slope = values [| 2L; 1L |] [| 1.0; 0.0 |]
            let field = TensorField.autonomous [] (fun y -> (torch.ones_like y).sub(y.mul slope))
            let massive = field.WithMass(torch.zeros ([| 1L; 1L |], dtype = torch.float64))
            let y0 = torch.ones ([| 2L; 1L |], dtype = torch.float64)

            let solution =
                BatchOde.solve (batch (Rosenbrock RosenbrockMethods.Rodas5P) 1e-6 1e-8 [| 1.0; 1.0 |]) massive y0

            Expect.equal solution.Status [| Status.Success; Status.SingularMatrix |] "mass"
            Expect.stringContains solution.Messages[1] "singular" "message"
        }

        test "an index-1 system; wrong uses are refused with their remedy" {
            use _ = torch.NewDisposeScope()
            // y' = -100 z + cos t, 0 = y - z
            let field =
                TensorField.create [] (fun t y ->
                    let a, b = column 0 y, column 1 y
                    torch.cat ([| b.mul(number -100.0).add(t.cos ()); a.sub b |], 1L))

            let mass = values [| 2L; 2L |] [| 1.0; 0.0; 0.0; 0.0 |]
            let massive = field.WithMass mass
            let y0 = values [| 1L; 2L |] [| 1.0; 1.0 |]
            let rodas = Rosenbrock RosenbrockMethods.Rodas5P
            let found = (TensorOde.solve (joint rodas 1e-8 1e-10) massive 0.0 1.0 y0).EnsureSuccess()
            // y' = -100 y + cos t
            let exact = (100.0 * cos 1.0 + sin 1.0) / 10001.0 + (1.0 - 100.0 / 10001.0) * exp -100.0
            Expect.isLessThan (largest found.Final (torch.full_like (y0, number exact))) 1e-8 "both components"

            let refuses (text: string) (run: unit -> obj) =
                try
                    run () |> ignore
                    failtest $"nothing was refused; expected '{text}'"
                with :? ArgumentException as error ->
                    Expect.stringContains error.Message text "remedy"

            refuses "Rodas5P" (fun () ->
                TensorOde.solve (joint (RungeKutta Methods.Tsit5) 1e-6 1e-6) massive 0.0 1.0 y0)

            let mean = TensorField.autonomous [] (fun y -> y.sub (y.mean ([| 0L |], true)))
            let two = torch.ones ([| 2L; 1L |], dtype = torch.float64)
            refuses "one clock for the batch" (fun () -> BatchOde.solve (batch rodas 1e-6 1e-6 [| 1.0; 1.0 |]) mean two)
            let large = torch.zeros ([| 3000L |], dtype = torch.float64)

            refuses "2048" (fun () ->
                TensorOde.solve (joint rodas 1e-6 1e-6) (TensorField.autonomous [] (fun y -> y.neg ())) 0.0 1.0 large)
        }
    ]

/// van der Pol's oscillator with a forcing: parameters mu (batch, 1) and the strength of the forcing.
let private forced (mu: Tensor) (strength: Tensor) =
    TensorField.create [ mu; strength ] (fun t y ->
        let x, v = column 0 y, column 1 y
        let push = t.mul(number 5.0).sin().mul strength
        torch.cat ([| v; mu.mul((torch.ones_like x).sub(x.mul x)).mul(v).sub(x).add push |], 1L))

let private weighted (states: Tensor) =
    let weights = torch.arange (states.numel (), dtype = states.dtype)
    let weights = weights.mul(number 0.7).add(number 0.3).cos().reshape states.shape
    states.mul(weights).sum().add(states.mul(states).sum().mul(number 0.05))

/// The gradient of the loss of what solve returns, by leaf tensors, each entry times its leaf's size (at least 1).
let private gradientOf (leaves: Tensor[]) (solve: unit -> Tensor) : float[] =
    use _ = torch.NewDisposeScope()
    let loss = weighted (solve ())
    let found = Autograd.vjp [| loss |] leaves [| torch.ones_like loss |]

    Array.map2 (fun (g: Tensor) (x: Tensor) -> Tensors.toArray (g.mul (x.detach().abs().max()))) found leaves
    |> Array.concat

let private differencesOf (leaves: Tensor[]) (solve: unit -> Tensor) : float[] =
    use _ = torch.NewDisposeScope()
    use _ = torch.no_grad ()

    let value () =
        use _ = torch.NewDisposeScope()
        (weighted (solve ())).ToDouble()

    [|
        for leaf in leaves do
            let flat = leaf.reshape -1L
            let size = leaf.abs().max().ToDouble()

            for i in 0L .. flat.numel () - 1L do
                let centre = flat[i].ToDouble()

                let at (x: float) =
                    flat[i].fill_(number x) |> ignore
                    value ()

                let delta = 2e-6 * size
                let above, below = at (centre + delta), at (centre - delta)
                flat[i].fill_(number centre) |> ignore
                yield (above - below) / (2.0 * delta) * size
    |]

let private agree allowed (expected: float[]) (found: float[]) name =
    let size = expected |> Array.fold (fun most x -> max most (abs x)) 1e-300
    let gap = Array.fold2 (fun most x y -> max most (abs (x - y))) 0.0 expected found / size

    if not (gap <= allowed) then
        failtest $"{name}: relative gap {gap:g3}, allowed {allowed:g3}"

let private ways = [ "Recorded", Differentiation.Recorded; "Discrete", Differentiation.DiscreteDefault ]

/// Solves with fixed steps, so that difference quotients see no change of steps: saved states of one clock, or of a clock for each.
let private fixedSolve perSample method step t1 way (field: TensorField) (y0: Tensor) : Tensor =
    if perSample then
        let options = {
            BatchOptions.create 1e-10 1e-12 (Array.zeroCreate 2) [| t1; 0.7 * t1 |] with
                Method = method
                Control = Fixed step
                SaveTimes = ValueSome [| [| 0.37 * t1; t1 |]; [| 0.41 * t1 |] |]
                Differentiation = way
        }

        let solution = (BatchOde.solve options field y0).EnsureSuccess()
        torch.cat [| solution.States.nan_to_num(nan = 0.0).reshape -1L; solution.Final.reshape -1L |]
    else
        let options = {
            TensorOptions.create 1e-10 1e-12 with
                Method = method
                Solve = {
                    SolveOptions.create 1e-10 1e-12 with
                        Control = Fixed step
                        SaveAt = Times [| 0.37 * t1; t1 |]
                }
                Differentiation = way
        }

        let solution = (TensorOde.solve options field 0.0 t1 y0).EnsureSuccess()
        torch.cat [| solution.States.reshape -1L; solution.Final.reshape -1L |]

let private gradients =
    testList "gradients" [
        test "Recorded, Discrete and difference quotients agree on van der Pol with mu = 100" {
            use _ = torch.NewDisposeScope()
            let mu = (values [| 2L; 1L |] [| 100.0; 30.0 |]).requires_grad_ true
            let strength = (values [| 1L |] [| 20.0 |]).requires_grad_ true
            let y0 = (values [| 2L; 2L |] [| 2.0; 0.0; -1.5; 0.3 |]).requires_grad_ true
            let leaves = [| y0; mu; strength |]
            let field = forced mu strength

            for method in stiffMethods do
                for perSample in [ false; true ] do
                    let solve way () = fixedSolve perSample method 0.04 0.4 way field y0
                    let expected = differencesOf leaves (solve Differentiation.None)

                    for name, way in ways do
                        agree 2e-6 expected (gradientOf leaves (solve way)) $"{method.Name}, {perSample}, {name}"
        }

        test "of Robertson's kinetics with rates of their own for each sample" {
            use _ = torch.NewDisposeScope()
            let rate (x: float[]) = (values [| 2L; 1L |] x).requires_grad_ true
            let k1, k2, k3 = rate [| 0.04; 0.08 |], rate [| 3e7; 1e7 |], rate [| 1e4; 2e4 |]
            let y0 = (values [| 2L; 3L |] [| 1.0; 3.4e-5; 0.01; 0.9; 3.1e-5; 0.1 |]).requires_grad_ true
            let leaves = [| k1; k2; k3 |]
            let field = robertson k1 k2 k3

            for method in [ Rosenbrock RosenbrockMethods.Rodas5P; Esdirk EsdirkMethods.Kvaerno5 ] do
                let solve way () = fixedSolve true method 0.002 0.01 way field y0
                let expected = differencesOf leaves (solve Differentiation.None)

                for name, way in ways do
                    agree 1e-5 expected (gradientOf leaves (solve way)) $"{method.Name}, {name}"
        }

        test "with adaptive steps: Recorded and Discrete, also with few checkpoints, agree to rounding" {
            use _ = torch.NewDisposeScope()
            let mu = (values [| 2L; 1L |] [| 60.0; 20.0 |]).requires_grad_ true

            let problem: GradientProblem = {
                Name = "van der Pol"
                Field = vanDerPol mu
                Start = 0.0
                End = 1.0
                Initial = values [| 2L; 2L |] [| 2.0; 0.0; -1.5; 0.3 |]
                SaveTimes = [| 0.5; 1.0 |]
            }

            let few = Differentiation.Discrete { MaxCheckpoints = 3; GraphWindow = 2 }

            for method, allowed in [ Rosenbrock RosenbrockMethods.Rodas5P, 1e-10; Esdirk EsdirkMethods.KenCarp4, 1e-6 ] do
                for other in [ Differentiation.DiscreteDefault; few ] do
                    let law = GradientLaws.agree method 1e-6 allowed problem Differentiation.Recorded other
                    Expect.isTrue law.Holds $"{method.Name}: {law.Law}: {law.Detail}"
        }

        test "of event times, of the end of the span; what has no gradient is refused" {
            use _ = torch.NewDisposeScope()
            let decay = TensorField.autonomous [] (fun y -> y.mul (number -500.0))

            let event: TensorEvent = {
                Name = "half"
                Condition = fun _ y -> y.reshape(-1L).sub(number 0.5)
                Crossing = Either
                Apply = ValueNone
                Terminal = true
                MaxOccurrences = Int32.MaxValue
            }

            for method in [ Rosenbrock RosenbrockMethods.Rodas5P; Esdirk EsdirkMethods.Kvaerno5 ] do
                for name, way in ways do
                    let y0 = (values [| 2L; 1L |] [| 1.0; 3.0 |]).requires_grad_ true

                    let own = {
                        batch method 1e-9 1e-11 [| 1.0; 1.0 |] with
                            Events = [| event |]
                            Differentiation = way
                    }

                    let solution = BatchOde.solve own decay y0
                    Expect.equal solution.Status[1] Status.Terminated "event"
                    let tau = solution.Occurrences[1].[0].TimeTensor
                    // tau = log(2 y0) / 500
                    let slope = (Autograd.vjp [| tau |] [| y0 |] [| torch.ones_like tau |])[0]
                    let expected = values [| 2L; 1L |] [| 0.0; 1.0 / 1500.0 |]
                    Expect.isLessThan (largest slope expected) 1e-8 $"{method.Name}, {name}: event time"

                    let t1 = (torch.tensor (0.001, dtype = torch.float64)).requires_grad_ true

                    let times = {
                        joint method 1e-9 1e-11 with
                            Times = ValueSome { Start = null; End = t1; Save = null }
                            Differentiation = way
                    }

                    let final = (TensorOde.solve times decay 0.0 0.001 y0).EnsureSuccess().Final.sum()
                    let slope = (Autograd.vjp [| final |] [| t1 |] [| torch.ones_like final |])[0]
                    let expected = -500.0 * 4.0 * exp -0.5
                    Expect.isLessThan (abs (slope.ToDouble() - expected)) 1e-5 $"{method.Name}, {name}: end"

                let refuses (text: string) (options: TensorOptions) =
                    let y0 = (values [| 2L; 1L |] [| 1.0; 3.0 |]).requires_grad_ true

                    Expect.throwsC (fun () -> TensorOde.solve options decay 0.0 0.001 y0 |> ignore) (fun error ->
                        Expect.isTrue (error :? ArgumentException) "kind"
                        Expect.stringContains error.Message text "remedy")

                let plain = joint method 1e-6 1e-6
                refuses "Discrete" { plain with Differentiation = Differentiation.BacksolveDefault }

                refuses "Heuristics" {
                    plain with
                        Differentiation = Differentiation.DiscreteDefault
                        Solve = { plain.Solve with Heuristics = true }
                }

                refuses "Rodas5P" { plain with Method = Bdf 5; Differentiation = Differentiation.DiscreteDefault }
        }

        test "a stiff neural ODE learns" {
            use _ = torch.NewDisposeScope()
            torch.manual_seed 3L |> ignore

            let network = torch.nn.Sequential(torch.nn.Linear(2L, 8L), torch.nn.Tanh(), torch.nn.Linear(8L, 2L))

            let pull = (values [| 2L; 2L |] [| -1.0; 0.0; 900.0; -1000.0 |]).``to`` torch.float32
            let parameters = network.parameters () |> Seq.cast<Tensor> |> Seq.toArray
            let field = TensorField.autonomous parameters (fun y -> network.call(y).add(y.matmul (pull.t ())))
            let y0 = (values [| 3L; 2L |] [| 1.0; 0.0; 0.5; 0.5; -1.0; 1.0 |]).``to`` torch.float32

            for method in [ Rosenbrock RosenbrockMethods.Rodas5P; Esdirk EsdirkMethods.KenCarp4 ] do
                let options = {
                    batch method 1e-3 1e-4 [| 1.0; 0.5; 2.0 |] with
                        Differentiation = Differentiation.DiscreteDefault
                }

                let loss () =
                    let final = (BatchOde.solve options field y0).EnsureSuccess().Final
                    (final.sub (number 0.3)).pow(number 2.0).mean()

                use optimizer = torch.optim.SGD(network.parameters (), 0.05)
                let first = loss ()
                Autograd.backward first

                for p in parameters do
                    Expect.isTrue (p.grad.isfinite().all().ToBoolean()) "finite"

                optimizer.step () |> ignore
                Expect.isLessThan (loss().ToDouble()) (first.ToDouble()) $"{method.Name}: loss"
                optimizer.zero_grad ()
        }

        test "a sample's steps, states and gradients are its own" {
            use _ = torch.NewDisposeScope()

            let problem: BatchProblem = {
                Name = "stiff driven samples"
                Field =
                    TensorField.create [] (fun t y ->
                        let a, b = column 0 y, column 1 y
                        torch.cat ([| t.sin().sub(a.mul a); a.sub(b).mul(number 300.0) |], 1L))
                Starts = [| 0.0; 1.0; 0.5 |]
                Ends = [| 1.0; 1.5; -0.1 |]
                Initial = values [| 3L; 2L |] [| 0.5; -1.0; 1.0; 0.2; 0.75; 0.75 |]
            }

            for method in [ Rosenbrock RosenbrockMethods.Rodas5P; Esdirk EsdirkMethods.Kvaerno5 ] do
                for law in BatchLaws.all method 1e-4 { problem with Ends = [| 1.0; 1.5; 0.7 |] } do
                    Expect.isTrue law.Holds $"{law.Law}: {law.Detail}"
        }

        test "nothing is left behind" {
            let field = prothero -1e3
            let y0 = (torch.ones ([| 2L; 1L |], dtype = torch.float64)).requires_grad_ true

            let run method way =
                use _ = torch.NewDisposeScope()
                let options = { joint method 1e-4 1e-6 with Differentiation = way }
                let one = TensorOde.solve options field 0.0 0.5 y0
                let own = BatchOde.solve { batch method 1e-4 1e-6 [| 0.5; 0.3 |] with Differentiation = way } field y0

                if not way.IsNone then
                    let loss = one.Final.sum().add(own.Final.sum ())
                    Autograd.vjp [| loss |] [| y0 |] [| torch.ones_like loss |] |> ignore

            for method in stiffMethods do
                for way in [ Differentiation.None; Differentiation.Recorded; Differentiation.DiscreteDefault ] do
                    run method way
                    let before = Tensors.live ()
                    run method way
                    run method way
                    Expect.isLessThanOrEqual (Tensors.live () - before) 2L $"{method.Name}: {way}"

            y0.Dispose()
        }
    ]

let tests = testList "stiff tensors" [ jacobians; systems; solves; gradients ]
