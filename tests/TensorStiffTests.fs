module TensorStiffTests

open System
open Expecto
open TorchSharp
open Continuum

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
        torch.cat ([| t.sin().sub (a.mul a); t.mul(a).mul b |], 1L))

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
                values
                    [| 3L; 2L; 2L |]
                    [|
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
                let used = if perSample then field else field.WithJacobian(fun _ y -> y.mul(y).mul(p).mul (number 3.0))
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
            let neighbours = TensorField.autonomous [] (fun y -> y.add(y.roll (1L, 0L)))
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

let tests = testList "stiff tensors" [ jacobians; systems ]
