/// Darcy flow: the discretisation and the data.
module DarcyTests

open System
open Continuum
open Continuum.Properties
open Claims
open Expecto
open TorchSharp

let private gap (a: Tensor) (b: Tensor) = a.sub(b).abs().max().ToDouble()
let private f64 = torch.float64
let private torus n = Discretisation.Uniform(Domain.Torus 2, [| n; n |])

let private square n0 n1 = Discretisation.Uniform(Domain.Cube(2, 1.0, Boundary.Open), [| n0; n1 |])

let private manufactured n0 n1 =
    let points = square n0 n1
    let s (x: float) = sin (Math.PI * x)
    let c (x: float) = cos (Math.PI * x)
    let a = FieldValues.ofFunction 1 f64 points (fun x -> [| 1.0 + 0.5 * x[0] * x[1] |])
    let u = FieldValues.ofFunction 1 f64 points (fun x -> [| s x[0] * s x[1] |])

    let f =
        FieldValues.ofFunction 1 f64 points (fun x -> [|
            2.0 * Math.PI * Math.PI * s x[0] * s x[1] * (1.0 + 0.5 * x[0] * x[1])
            - 0.5 * Math.PI * (x[1] * c x[0] * s x[1] + x[0] * s x[0] * c x[1])
        |])

    struct (a, u, f)

let darcy =
    testList "PDE data: Darcy flow" [
        test "a smooth solution is met at order 2, also on grids of odd and unlike sizes" {
            use _ = torch.NewDisposeScope()

            let error n =
                let struct (a, u, f) = manufactured n (n + 3)
                gap (Darcy.solve a f).Values u.Values

            let coarse, fine = error 30, error 59

            Expect.floatClose
                { absolute = 0.1; relative = 0.0 }
                (Math.Log2(coarse / fine))
                2.0
                $"errors {coarse}, {fine}"
        }

        test "layers: the flux through them is exact" {
            use _ = torch.NewDisposeScope()
            // A long strip with a load on one line across it: far from the ends of the strip the solution depends on x alone, and the value at the
            // load is that of two resistances in parallel.
            let domain = Domain([| Axis.Open 1.0; Axis.Open 40.0 |])
            let points = Discretisation.Uniform(domain, [| 33; 65 |])
            let h, loaded, jump = 1.0 / 32.0, 20, 15.5 / 32.0
            let a = FieldValues.ofFunction 1 f64 points (fun x -> [| if x[0] < jump then 12.0 else 3.0 |])

            let load =
                FieldValues.ofFunction 1 f64 points (fun x -> [|
                    if abs (x[0] - float loaded * h) < 1e-9 then 1.0 else 0.0
                |])

            let u = (Darcy.solve a load).Values.select(3L, 32L) |> Tensors.toArray
            let below = jump / 12.0 + (float loaded * h - jump) / 3.0
            let above = (1.0 - float loaded * h) / 3.0

            Expect.floatClose
                { absolute = 0.0; relative = 1e-8 }
                u[loaded]
                (h / (1.0 / below + 1.0 / above))
                "at the load"

            Expect.floatClose
                { absolute = 0.0; relative = 1e-8 }
                u[8]
                (u[loaded] * (0.25 / 12.0) / below)
                "in the other layer"
        }

        test "symmetric coefficients give symmetric pressures" {
            use _ = torch.NewDisposeScope()
            let points = square 30 30
            let disc (x: float[]) = (x[0] - 0.5) ** 2.0 + (x[1] - 0.5) ** 2.0 < 0.08
            let a = FieldValues.ofFunction 1 f64 points (fun x -> [| if disc x then 12.0 else 3.0 |])
            let f = FieldValues.ofFunction 1 f64 points (fun _ -> [| 1.0 |])
            let u = (Darcy.solve a f).Values
            let size = u.max().ToDouble()
            Expect.isLessThan (gap u (u.transpose (2L, 3L))) (1e-9 * size) "x and y"
            Expect.isLessThan (gap u (u.flip [| 2L |])) (1e-9 * size) "x and 1 - x"
            Expect.isGreaterThan (u.narrow(2L, 1L, 28L).narrow(3L, 1L, 28L).min().ToDouble()) 0.0 "positive inside"
        }

        test "a coefficient by cell means: the share of the cell that is high, and the same pressure" {
            use _ = torch.NewDisposeScope()
            let o = { DarcyOptions.Default with Grid = 9; FineGrid = 65 }
            use points = Darcy.generate o (Generation.Create(2, 3))
            use means = Darcy.generate { o with CellMeans = true } (Generation.Create(2, 3))
            use fine = Darcy.generate { o with Grid = 65 } (Generation.Create(2, 3))
            Expect.equal (gap (snd points.Output).Values (snd means.Output).Values) 0.0 "pressure"
            use direct = fine.Coarsen [| 8; 8 |]
            Expect.isLessThan (gap (means.Input "a").Values (direct.Input "a").Values) 1e-12 "as the data's own"
            let a = (means.Input "a").Values
            Expect.isTrue (a.min().ToDouble() >= 3.0 - 1e-12 && a.max().ToDouble() <= 12.0 + 1e-12) "between the two"
            let between = a.gt(3.001).logical_and(a.lt 11.999)
            Expect.isGreaterThan (between.``to``(f64).mean().ToDouble()) 0.02 "some cells are cut by the jump"

            let trapezoid (d: OperatorDataset) =
                let n = int (d.Input "a").Values.shape[2]

                let w =
                    Tensors.ofArray
                        [| for i in 0 .. n - 1 -> (if i = 0 || i = n - 1 then 0.5 else 1.0) / float (n - 1) |]
                        [| int64 n |]
                        f64
                        torch.CPU

                (d.Input "a").Values.mul(w).mul(w.unsqueeze -1L).sum [| 2L; 3L |]

            Expect.isLessThan (gap (trapezoid means) (trapezoid fine)) 1e-11 "the integral stays"
        }

        test "data satisfy the discrete equation, whose residual is differentiable" {
            use _ = torch.NewDisposeScope()

            for kind in [ DarcyCoefficient.Piecewise; DarcyCoefficient.Lognormal ] do
                let o = { DarcyOptions.Default with Grid = 44; FineGrid = 0; Coefficient = kind }
                use data = Darcy.generate o (Generation.Create(3, 2))
                let r = Darcy.residual 1.0 (data.Input "a") (snd data.Output)
                Expect.isLessThan (r.Values.abs().max().ToDouble()) 1e-7 "residual of the data, f = 1"

            let o = { DarcyOptions.Default with Grid = 7; FineGrid = 0 }
            use data = Darcy.generate o (Generation.Create(1, 2))
            let a, u = data.Input "a", snd data.Output
            let leaf = u.Values.detach().requires_grad_ true
            let loss (x: Tensor) = (Darcy.residual 1.5 a (u.With x)).Values.square().sum()
            let slope = (Autograd.vjp [| loss leaf |] [| leaf |] [| torch.ones ([||], dtype = f64) |])[0]
            let direction = torch.arange(49L, dtype = f64).cos().reshape(u.Values.shape)
            let step = Tensors.scalar 1e-6
            let there (sign: float) = (loss (u.Values.add (direction.mul(step).mul(Tensors.scalar sign)))).ToDouble()
            let expected = (there 1.0 - there -1.0) / 2e-6

            Expect.floatClose
                { absolute = 0.0; relative = 1e-6 }
                (slope.mul(direction).sum().ToDouble())
                expected
                "gradient"
        }

        test "the published scheme: splines between cell centres and nodes, arithmetic means" {
            use _ = torch.NewDisposeScope()
            // A cubic is its own spline, also outside of the knots.
            let cubic x = x * x * x - 2.0 * x * x + 1.0
            let at = [| -0.5; 0.3; 4.7; 8.5 |]
            let spline = NotAKnotSpline.values (Array.init 9 (fun j -> cubic (float j))) at
            Array.iter2 (fun (v: float) x -> Expect.floatClose Accuracy.high v (cubic x) $"spline at {x}") spline at
            // Smooth coefficients: both schemes go to the same solution.
            let o scheme n = {
                DarcyOptions.Default with
                    Grid = n
                    FineGrid = 0
                    Scheme = scheme
                    Coefficient = DarcyCoefficient.Lognormal
                    Alpha = 6.0
            }

            let mean scheme n =
                (snd (Darcy.generate (o scheme n) (Generation.Create(1, 3))).Output).Values.max().ToDouble()

            let difference n = abs (mean DarcyScheme.Literature n / mean DarcyScheme.Harmonic n - 1.0)
            Expect.isLessThan (difference 61) 3e-3 "largest pressure on 61 points"
        }

        test "every fifth point of a finer solution; no tensor left behind; cancellation" {
            use scope = torch.NewDisposeScope()
            let fine = { DarcyOptions.Default with Grid = 31; FineGrid = 0 }
            let before = Tensors.live ()
            let coarse = Darcy.generate { fine with Grid = 7; FineGrid = 31 } (Generation.Create(2, 0))
            Expect.equal (Tensors.live ()) (before + 2L) "a and u"
            let whole = Darcy.generate fine (Generation.Create(2, 0))
            let thin = whole.Stride [| 5; 5 |]
            Expect.equal (gap (snd thin.Output).Values (snd coarse.Output).Values) 0.0 "u"
            Expect.equal (gap (thin.Input "a").Values (coarse.Input "a").Values) 0.0 "a"
            let both = (coarse.Input "a").Values

            Expect.isTrue
                (both.eq(Tensors.scalar 12.0).logical_or(both.eq (Tensors.scalar 3.0)).all().ToBoolean())
                "two values"

            use source = new Threading.CancellationTokenSource()
            let seen = Collections.Generic.List<int>()

            let g = {
                Generation.Create(6, 0) with
                    Batch = 2
                    Cancellation = source.Token
                    Progress =
                        Action<int, int>(fun samples all ->
                            seen.Add samples
                            Expect.equal all 6 "all"

                            if samples = 4 then
                                source.Cancel())
            }

            Expect.throwsT<OperationCanceledException>
                (fun () -> Darcy.generate { fine with Grid = 9 } g |> ignore)
                "cancelled"

            Expect.sequenceEqual seen [ 2; 4 ] "progress until then"
            ignore scope
        }

        test "what it refuses" {
            let make o () = Darcy.generate o (Generation.Create(1, 0)) |> ignore
            refuses "multiple of 84" (make { DarcyOptions.Default with FineGrid = 400 })
            refuses "positive and finite" (make { DarcyOptions.Default with Low = 0.0 })
            let struct (a, _, f) = manufactured 6 6
            refuses "sample 0 at node (0, 0)" (fun () -> Darcy.solve (a.With(a.Values.neg ())) f |> ignore)

            refuses "both ends included" (fun () ->
                Darcy.solve (FieldValues.ofFunction 1 f64 (torus 6) (fun _ -> [| 1.0 |])) f |> ignore)
        }
    ]
