module DiffTests

open System
open System.IO
open System.Runtime.CompilerServices
open System.Runtime.InteropServices
open System.Text.RegularExpressions
open Continuum
open Expecto
open FsCheck
open TorchSharp

// Most of these are about not dying: when one regresses, the process ends and the run with it.

exception private Planted of string

let private leaf (values: float[]) =
    let x = Tensors.vector values
    x.requires_grad <- true
    x

let private vectorOf (seed: int) (n: int) =
    let random = Random seed
    Tensors.vector (Array.init n (fun _ -> 2.0 * random.NextDouble() - 1.0))

let private close (tolerance: float) (message: string) (actual: Tensor) (expected: Tensor) =
    Expect.sequenceEqual actual.shape expected.shape $"{message}: shape"
    let a, b = Tensors.toArray actual, Tensors.toArray expected
    let error = Array.fold2 (fun worst p q -> max worst (abs (p - q))) 0.0 a b
    let finite = Array.forall Double.IsFinite a
    Expect.isTrue (finite && error <= tolerance) $"{message}: error {error}, %A{a} for %A{b}"

let private withoutForward (body: unit -> 'T) =
    AppContext.SetSwitch("Continuum.DisableForwardMode", true)

    try
        body ()
    finally
        AppContext.SetSwitch("Continuum.DisableForwardMode", false)

/// The gradient of a scalar y by x, through the gateway.
let private gradientBy (x: Tensor) (y: Tensor) = Array.head (Autograd.vjp [| y |] [| x |] [| Tensors.scalar 1.0 |])

let private recorded (x: Tensor) = x.requires_grad

let private number (value: float) = value.ToScalar()

// A scalar function, a vector field and a tall map, with coupling and no symmetry.
let private potential (x: Tensor) = (x.sin () * x.roll 1L).sum() + x.pow(number 3.0).sum() + x.exp().prod()
let private field (x: Tensor) = x.sin () * x.roll 1L + x.flip (0L) * x + x.roll(2L).exp()

let private tall (x: Tensor) =
    torch.cat ([| x.sin (); x * x.roll 1L; x.exp (); (x * x).sum().reshape 1L; x.tanh (); x.cos () |], 0L)

/// A custom node that multiplies by 2 and differentiates by `backward`.
let private doubling (backward: VjpContext -> Tensor -> Tensor[]) (x: Tensor) =
    Autograd.customVjp [| x |] (fun () -> struct (x * 2.0, [| x |])) backward

let private good = doubling (fun _ cotangent -> [| cotangent * 2.0 |])
let private bad = doubling (fun _ _ -> raise (Planted "backward"))

let private expectPlanted (body: unit -> unit) =
    match
        (try
            body ()
            null
         with error ->
             error)
    with
    | Planted "backward" -> ()
    | other -> failtest $"expected the planted exception, got %A{other}"

let private survival =
    testList "what ended the process" [
        test "an unused input has gradient zero, by every route" {
            use _ = torch.NewDisposeScope()
            let x, unused = leaf [| 1.0; 2.0 |], leaf [| 3.0 |]
            let y () = (x * x).sum()
            let one = Tensors.scalar 1.0

            for vjp in [ Autograd.vjp; Autograd.vjpRetain; Autograd.vjpGraph ] do
                let found = vjp [| y () |] [| x; unused |] [| one |]
                close 0.0 "used" found[0] (Tensors.vector [| 2.0; 4.0 |])
                close 0.0 "unused" found[1] (Tensors.vector [| 0.0 |])

            let inner = unused * 1.0
            close 0.0 "not a leaf" (gradientBy inner (y ())) (Tensors.vector [| 0.0 |])
            Expect.isNull (Array.head (Autograd.vjpOrNull [| y () |] [| unused |] [| one |])) "null on demand"
        }

        test "a function of nothing has derivative zero" {
            use _ = torch.NewDisposeScope()
            let x = Tensors.vector [| 1.0; 2.0 |]
            let zeros = Tensors.vector [| 0.0; 0.0 |]
            let constant (_: Tensor) = Tensors.scalar 5.0
            let constants (_: Tensor) = Tensors.vector [| 5.0; 6.0 |]
            close 0.0 "vjp" (gradientBy x (Tensors.scalar 1.0)) zeros
            close 0.0 "grad" (Diff.grad constant x) zeros
            close 0.0 "gradv" (Diff.gradv constant x x) (Tensors.scalar 0.0)
            close 0.0 "hessian" (Diff.hessian constant x) (torch.zeros (2L, 2L))
            close 0.0 "hessian of a linear function" (Diff.hessian (fun x -> x.sum ()) x) (torch.zeros (2L, 2L))
            close 0.0 "hessianv" (Diff.hessianv constant x x) zeros
            close 0.0 "laplacian" (Diff.laplacian constant x) (Tensors.scalar 0.0)
            close 0.0 "jacobian" (Diff.jacobian constants x) (torch.zeros (2L, 2L))
            close 0.0 "tall" (Diff.jacobian (fun _ -> torch.ones 20L) x) (torch.zeros (20L, 2L))
            close 0.0 "jacobianv" (Diff.jacobianv constants x x) zeros
            close 0.0 "jacobianTv" (Diff.jacobianTv constants x x) zeros
            close 0.0 "divergence" (Diff.divergence constants x) (Tensors.scalar 0.0)
            let t = Tensors.scalar 1.0

            for n in 1..3 do
                close 0.0 $"diffn {n}" (Diff.diffn n constants t) zeros

            close 0.0 "integers" (Diff.jacobianv (fun x -> x.argmax ()) x x) (Tensors.scalar 0.0)
            withoutForward (fun () -> close 0.0 "reverse" (Diff.jacobianv constants x x) zeros)
        }

        test "a graph that is used up is an InvalidOperationException" {
            use _ = torch.NewDisposeScope()
            let x = leaf [| 1.0; 2.0 |]
            let one = Tensors.scalar 1.0

            for inner in [ x; x * 1.0 ] do
                let y = inner.exp().sum()
                Autograd.vjp [| y |] [| inner |] [| one |] |> ignore

                Expect.throwsT<InvalidOperationException>
                    (fun () -> Autograd.vjp [| y |] [| inner |] [| one |] |> ignore)
                    "second sweep"

            Expect.throwsT<ArgumentException>
                (fun () -> Autograd.backward (Tensors.scalar 1.0))
                "a loss without a graph"
        }

        test "a saved tensor changed in place is an InvalidOperationException" {
            use _ = torch.NewDisposeScope()

            let careless (x: Tensor) =
                let a = x.exp ()
                let b = a * 2.0
                a.add_ (number 1.0) |> ignore
                b.sum ()

            let x = Tensors.vector [| 1.0; 2.0 |]

            for derivative in [ Diff.grad; Diff.hessian; Diff.laplacian ] do
                Expect.throwsT<InvalidOperationException> (fun () -> derivative careless x |> ignore) "in place"
        }

        test "an exception in a custom backward reaches every caller" {
            use _ = torch.NewDisposeScope()
            let x = leaf [| 1.0; 2.0 |]
            let one = Tensors.scalar 1.0
            let y () = (bad x).sum()
            expectPlanted (fun () -> Autograd.backward (y ()))
            expectPlanted (fun () -> Autograd.vjp [| y () |] [| x |] [| one |] |> ignore)
            expectPlanted (fun () -> Autograd.vjpGraph [| y () |] [| x |] [| one |] |> ignore)
            Expect.throws (fun () -> y().backward()) "raw"
            let point = Tensors.vector [| 1.0; 2.0 |]
            expectPlanted (fun () -> Diff.grad (fun x -> (bad x).sum()) point |> ignore)
            expectPlanted (fun () -> Diff.jacobian bad point |> ignore)
            expectPlanted (fun () -> Diff.jacobianv bad point point |> ignore)

            close
                0.0
                "the next sweep is clean"
                (Diff.grad (fun x -> (good x).sum()) point)
                (torch.full_like (point, 2.0.ToScalar()))
        }

        test "forward in a dispose scope, backward outside, through some of the outputs" {
            use x = leaf [| 1.0; 2.0 |]

            let build () =
                use _ = torch.NewDisposeScope()
                let y = good x
                let z = good y * y
                y.sum().MoveToOuterDisposeScope(), z.sum().MoveToOuterDisposeScope()

            for _ in 1..50 do
                use _ = torch.NewDisposeScope()
                let y, _ = build ()
                close 0.0 "one" (gradientBy x y) (Tensors.vector [| 2.0; 2.0 |])
                let _, z = build ()

                close 1e-15 "other" (gradientBy x z) (Tensors.vector [| 16.0; 32.0 |])
        }

        test "second and higher orders of exp and pow" {
            use _ = torch.NewDisposeScope()
            let x = Tensors.scalar 1.5
            let exp1 = Tensors.scalar (exp 1.5)

            for n in 0..5 do
                close 1e-12 $"exp, order {n}" (Diff.diffn n (fun x -> x.exp ()) x) exp1

            let power (x: Tensor) = x.pow (number 4.0)
            close 1e-12 "pow 2" (Diff.diff2 power x) (Tensors.scalar (12.0 * 1.5 ** 2.0))
            close 1e-12 "pow 4" (Diff.diffn 4 power x) (Tensors.scalar 24.0)
            close 1e-12 "pow 5" (Diff.diffn 5 power x) (Tensors.scalar 0.0)
            let both (x: Tensor) = torch.stack [| x.exp (); power x |]
            close 1e-12 "vector" (Diff.diffn 3 both x) (torch.stack [| exp1; x * 24.0 |])
        }

        test "tensors from arrays are aligned, so complex kernels are safe" {
            use _ = torch.NewDisposeScope()

            for n in 1..100 do
                let data = Array.init (2 * n) float
                let x = Tensors.ofArray data [| int64 n; 2L |] torch.float64 torch.CPU
                let zero = &Unsafe.NullRef<byte>()
                let address = int64 (Unsafe.ByteOffset(&zero, &MemoryMarshal.GetReference(x.bytes)))

                Expect.equal (address % 64L) 0L "64 bytes"
                let modulus (x: Tensor) = torch.view_as_complex(x).abs().square().sum()
                close 1e-9 "d|z|^2" (Diff.grad modulus x) (x * 2.0)
        }

        test "forward mode inside forward mode, and after an exception" {
            use _ = torch.NewDisposeScope()
            let x = Tensors.scalar 0.5
            let cube (x: Tensor) = x * x * x
            Expect.isTrue Dual.IsAvailable "this libtorch has forward mode"
            close 1e-14 "twice" (Diff.diff (Diff.diff cube) x) (Tensors.scalar 3.0)
            close 1e-14 "three times" (Diff.diff (Diff.diff (Diff.diff cube)) x) (Tensors.scalar 6.0)

            for _ in 1..3 do
                Expect.throwsT<Planted> (fun () -> Diff.diff (fun _ -> raise (Planted "f")) x |> ignore) "unchanged"
                Expect.isFalse Dual.IsActive "left"

            close 1e-14 "afterwards" (Diff.diff cube x) (Tensors.scalar 0.75)
        }

        test "forward mode on many threads" {
            let errors =
                Array.Parallel.init 64 (fun i ->
                    use _ = torch.NewDisposeScope()
                    let t = 0.1 * float i
                    let found = Diff.diff (fun x -> (x * x).sin()) (Tensors.scalar t)
                    abs (Tensors.toFloat found - 2.0 * t * cos (t * t)))

            Expect.isLessThan (Array.max errors) 1e-13 "all right"
        }

        test "what refuses forward mode is differentiated twice in reverse" {
            use _ = torch.NewDisposeScope()
            let x = Tensors.vector [| 1.0; 2.0 |]
            let f (x: Tensor) = good x * x
            close 1e-14 "custom node" (Diff.jacobianv f x x) (x * x * 4.0)

            // The solver's way: detach, compute, attach by a node. The tangent must not get lost.
            let detaching (x: Tensor) =
                Autograd.customVjp [| x |] (fun () -> struct (x.detach () * 2.0, [||])) (fun _ v -> [| v * 2.0 |])

            close 1e-14 "detached forward" (Diff.jacobianv detaching x x) (x * 2.0)

            let withoutGraph (x: Tensor) =
                let own = x.view_as x

                if not own.requires_grad then
                    own.requires_grad <- true

                x * (Autograd.vjp [| (own * own).sum() |] [| own |] [| Tensors.scalar 1.0 |])[0]

            close 1e-14 "a gradient without a graph is a constant" (Diff.jacobianv withoutGraph x x) (x * x * 2.0)
        }

        test "exceptions pass unchanged, guards are put back, nothing stays behind" {
            let x = Tensors.vector [| 1.0; 2.0; 3.0 |]
            let t = Tensors.scalar 1.0

            let failing (x: Tensor) : Tensor =
                (x * 2.0).exp() |> ignore
                raise (Planted "f")

            let live = Tensors.live ()

            for grad in [ true; false ] do
                use _ = if grad then torch.enable_grad () else torch.enable_grad false

                let calls: (unit -> obj) list = [
                    fun () -> Diff.diff failing t
                    fun () -> Diff.diffn 2 failing t
                    fun () -> Diff.fgrad failing x
                    fun () -> Diff.hessian failing x
                    fun () -> Diff.hessianv failing x x
                    fun () -> Diff.jacobian failing x
                    fun () -> Diff.jacobianv failing x x
                    fun () -> Diff.jacobianTv failing x x
                    fun () -> Diff.curldivergence failing x
                    fun () -> Diff.grad (fun x -> Diff.grad failing x) x
                    fun () -> Diff.numhessian 1e-3 failing x
                ]

                for call in calls do
                    Expect.throwsT<Planted> (call >> ignore) "unchanged"
                    Expect.equal (torch.is_grad_enabled ()) grad "grad mode"
                    Expect.isFalse (Nesting.Records x) "nesting"

            Expect.equal (Tensors.live ()) live "no tensor left"
            x.Dispose()
            t.Dispose()
        }
    ]

let private scalarLaws (x: Tensor) (v: Tensor) =
    let gradient, hessian = Diff.gradhessian potential x
    close 1e-7 "gradient" gradient (Diff.numgrad 1e-5 potential x)
    close 1e-4 "hessian" hessian (Diff.numhessian 1e-3 potential x)
    close 1e-12 "symmetric" hessian (hessian.t ())
    close 1e-12 "gradv" (Diff.gradv potential x v) (gradient.dot v)
    close 1e-7 "numgradv" (Diff.numgradv 1e-5 potential x v) (gradient.dot v)
    close 1e-12 "hessianv" (Diff.hessianv potential x v) (hessian.mv v)
    close 1e-4 "numhessianv" (Diff.numhessianv 1e-3 potential x v) (hessian.mv v)
    close 1e-12 "laplacian" (Diff.laplacian potential x) (hessian.trace ())
    close 1e-4 "numlaplacian" (Diff.numlaplacian 1e-3 potential x) (hessian.trace ())
    close 1e-12 "div grad" (Diff.divergence (Diff.grad potential) x) (hessian.trace ())
    close 1e-12 "jacobian of the gradient" (Diff.jacobian (Diff.grad potential) x) hessian
    close 1e-12 "push through the gradient" (Diff.jacobianv (Diff.grad potential) x v) (hessian.mv v)
    let along, product = Diff.gradhessianv potential x v
    close 1e-12 "gradhessianv" along (gradient.dot v)
    close 1e-12 "gradhessianv" product (hessian.mv v)

let private vectorLaws (x: Tensor) (v: Tensor) =
    for f in [ field; tall; (fun x -> x.narrow (0L, 0L, 2L) * x[0]) ] do
        let value, jacobian = Diff.fjacobian f x
        close 0.0 "value" value (f x)
        close 1e-7 "jacobian" jacobian (Diff.numjacobian 1e-5 f x)
        let pushed = Diff.jacobianv f x v
        close 1e-12 "jacobianv" pushed (jacobian.mv v)
        close 1e-12 "forward = reverse" pushed (withoutForward (fun () -> Diff.jacobianv f x v))
        close 1e-7 "numjacobianv" (Diff.numjacobianv 1e-5 f x v) pushed
        close 1e-12 "jacobianTv" (Diff.jacobianTv f x value) (jacobian.t().mv value)

    let jacobian = Diff.jacobian field x
    close 1e-12 "divergence" (Diff.divergence field x) (jacobian.trace ())
    close 1e-7 "numdivergence" (Diff.numdivergence 1e-5 field x) (jacobian.trace ())

let private property name (law: Tensor -> Tensor -> unit) =
    testPropertyWithConfig { FsCheckConfig.defaultConfig with maxTest = 15 } name (fun (seed: int) (PositiveInt size) ->
        use _ = torch.NewDisposeScope()
        let n = 3 + size % 4
        law (vectorOf seed n) (vectorOf (seed + 1) n))

let private mathematics =
    testList "mathematics" [
        property "derivatives of a scalar function" scalarLaws
        property "derivatives of a vector function" vectorLaws

        test "analytic derivatives" {
            use _ = torch.NewDisposeScope()
            let t = Tensors.scalar 0.3
            let value, slope = Diff.fdiff (fun x -> x.sin ()) t
            close 1e-15 "sin" value (t.sin ())
            close 1e-15 "cos" slope (t.cos ())
            close 1e-8 "numdiff" (Diff.numdiff 1e-5 (fun x -> x.sin ()) t) (t.cos ())
            close 1e-5 "numdiff2" (Diff.numdiff2 1e-4 (fun x -> x.sin ()) t) (-t.sin())
            close 1e-15 "diff2" (snd (Diff.fdiff2 (fun x -> x.sin ()) t)) (-t.sin())
            let x = Tensors.ofArray [| 1.0; 2.0; 3.0; 4.0 |] [| 2L; 2L |] torch.float32 torch.CPU
            let found = Diff.grad (fun x -> x.log().sum()) x
            Expect.equal found.dtype torch.float32 "dtype"
            close 1e-6 "matrix point" found (x.reciprocal ())

            let rosenbrock (x: Tensor) =
                let a, b = x[0], x[1]
                (1.0 - a).square() + 100.0 * (b - a * a).square()

            let minimum = Tensors.vector [| 1.0; 1.0 |]
            close 0.0 "rosenbrock" (Diff.g rosenbrock minimum) (Tensors.vector [| 0.0; 0.0 |])
            let hessian = Tensors.ofArray [| 802.0; -400.0; -400.0; 200.0 |] [| 2L; 2L |] torch.float64 torch.CPU
            close 1e-12 "rosenbrock" (Diff.h rosenbrock minimum) hessian
        }

        test "vector calculus" {
            use _ = torch.NewDisposeScope()
            let x = Tensors.vector [| 0.3; -0.7; 1.1 |]
            close 1e-12 "curl grad = 0" (Diff.curl (Diff.grad potential) x) (torch.zeros_like x)
            close 1e-12 "div curl = 0" (Diff.divergence (Diff.curl field) x) (Tensors.scalar 0.0)
            let curl, divergence = Diff.curldivergence field x
            close 1e-12 "together" curl (Diff.curl field x)
            close 1e-12 "together" divergence (Diff.divergence field x)
            close 1e-7 "numcurl" (Diff.numcurl 1e-5 field x) curl
            let rotation (x: Tensor) = torch.stack [| -x[1]; x[0]; x[2] * 0.0 |]
            close 0.0 "rotation" (Diff.curl rotation x) (Tensors.vector [| 0.0; 0.0; 2.0 |])
            let components = torch.stack [| for i in 0L .. 2L -> Diff.laplacian (fun x -> (field x)[i]) x |]
            let graddiv = Diff.grad (Diff.divergence field) x
            close 1e-11 "curl curl = grad div - laplacian" (Diff.curl (Diff.curl field) x) (graddiv - components)
        }

        test "no perturbation confusion" {
            use _ = torch.NewDisposeScope()
            let x = Tensors.scalar 3.0
            let modes = [ Diff.diff; Diff.grad; Diff.diffn 1; (fun f x -> Diff.jacobianv f x (torch.ones_like x)) ]

            for outer in modes do
                for inner in modes do
                    let one = outer (fun x -> x * inner (fun y -> x + y) (Tensors.scalar 1.0)) x
                    close 1e-14 "d/dx (x d/dy (x + y)) = 1" one (Tensors.scalar 1.0)
                    let two = outer (fun x -> x * inner (fun y -> x * y) x) x
                    close 1e-14 "d/dx (x d/dy (x y)) = 2x" two (Tensors.scalar 6.0)
                    let three = outer (fun x -> inner (fun y -> y * y * x) x) x
                    close 1e-14 "d/dx (2 x x) = 4x" three (Tensors.scalar 12.0)
        }

        test "every derivative can be differentiated" {
            use _ = torch.NewDisposeScope()
            let x = Tensors.vector [| 0.3; -0.7; 1.1 |]
            let v = Tensors.vector [| 1.0; 0.5; -0.2 |]

            let derivatives: (string * (Tensor -> Tensor)) list = [
                "grad", Diff.grad potential
                "gradv", (fun x -> Diff.gradv potential x v)
                "hessian", Diff.hessian potential
                "hessianv", (fun x -> Diff.hessianv potential x v)
                "gradhessian", (fun x -> fst (Diff.gradhessian potential x))
                "gradhessianv", (fun x -> fst (Diff.gradhessianv potential x v))
                "laplacian", Diff.laplacian potential
                "jacobian", Diff.jacobian field
                "tall jacobian", Diff.jacobian tall
                "jacobianv", (fun x -> Diff.jacobianv field x v)
                "jacobianv in v", Diff.jacobianv field v
                "jacobianTv", (fun x -> Diff.jacobianTv field x v)
                "divergence", Diff.divergence field
                "curl", Diff.curl field
                "numjacobian", Diff.numjacobian 1e-2 field
            ]

            for name, derivative in derivatives do
                let f (x: Tensor) = (derivative x).square().sum()
                let expected = Diff.numgrad 1e-5 f x
                let scale = 1.0 + Array.max (Array.map abs (Tensors.toArray expected))
                close (1e-6 * scale) $"reverse over {name}" (Diff.grad f x) expected
                close (1e-6 * scale) $"forward over {name}" (Diff.gradv f x v) (expected.dot v)
                let own = x.detach ()
                own.requires_grad <- true
                close (1e-6 * scale) $"by requires_grad, {name}" (gradientBy own (f own)) expected
        }

        test "recorded only on demand" {
            use _ = torch.NewDisposeScope()
            let x = Tensors.vector [| 0.5; -0.5 |]
            let weight = leaf [| 2.0; 3.0 |]
            let f (x: Tensor) = (weight * x.square ()).sum()
            Expect.isFalse (recorded (Diff.grad f x)) "plain x, captured parameter"
            Expect.isFalse (recorded (Diff.gradv f x x)) "forward mode, too"
            let loss = Diff.nest (fun () -> (Diff.grad f x).square().sum())
            let expected = 8.0 * weight * x.square ()
            close 1e-14 "physics-informed" (gradientBy weight loss) expected

            let constant () =
                use _ = torch.no_grad ()
                Diff.grad f x

            Expect.isFalse (recorded (Diff.nest constant)) "no_grad"

            let descent = Seq.init 20 id |> Seq.fold (fun (x: Tensor) _ -> x - 0.1 * Diff.grad f x) x
            Expect.isFalse descent.requires_grad "no graph piles up"
        }

        test "wrong shapes are named" {
            use _ = torch.NewDisposeScope()
            let x = Tensors.vector [| 1.0; 2.0 |]
            let matrix = torch.ones (2L, 3L, dtype = torch.float64)
            let id (x: Tensor) = x * 1.0

            let refuses (shape: string) (call: unit -> obj) =
                match
                    (try
                        call ()
                     with error ->
                         box error)
                with
                | :? ArgumentException as error -> Expect.stringContains error.Message shape "the shape is named"
                | other -> failtest $"expected an ArgumentException with {shape}, got %A{other}"

            refuses "[2]" (fun () -> Diff.grad id x)
            refuses "[2]" (fun () -> Diff.gradv id x x)
            refuses "[2]" (fun () -> Diff.hessian id x)
            refuses "[2]" (fun () -> Diff.hessianv id x x)
            refuses "[2]" (fun () -> Diff.laplacian id x)
            refuses "[2]" (fun () -> Diff.diff id x)
            refuses "[2]" (fun () -> Diff.diffn 2 id x)
            refuses "[2]" (fun () -> Diff.curl id x)
            refuses "[2, 3]" (fun () -> Diff.jacobian id matrix)
            refuses "[2, 3]" (fun () -> Diff.hessian (fun x -> x.sum ()) matrix)
            refuses "[2, 3]" (fun () -> Diff.jacobian (fun _ -> matrix) x)
            refuses "[2, 3]" (fun () -> Diff.jacobianv id x matrix)
            refuses "[2, 3]" (fun () -> Diff.jacobianTv id x matrix)
            refuses "[4]" (fun () -> Diff.divergence (fun x -> torch.cat ([| x; x |], 0L)) x)
            refuses "[2]" (fun () -> Diff.numgrad 1e-3 id x)
            refuses "Float32" (fun () -> Diff.jacobianv id x (x.``to`` torch.float32))
            refuses "Int64" (fun () -> Diff.grad id (torch.arange 3L))
            refuses "step" (fun () -> Diff.numdiff 0.0 id (Tensors.scalar 1.0))

            Expect.throwsT<InvalidOperationException>
                (fun () -> Diff.grad (fun _ -> null) x |> ignore)
                "a function that returns null"
        }
    ]

let private leaks =
    let check name (results: int) (body: Tensor -> Tensor -> Tensor -> Tensor list) =
        test name {
            let t, x, v = Tensors.scalar 0.7, vectorOf 1 3, vectorOf 2 3
            let run () = body t x v
            run () |> List.iter _.Dispose()
            let before = Tensors.live ()
            let found = run ()
            Expect.equal (Tensors.live () - before) (int64 results) "the results live, nothing else"
            found |> List.iter _.Dispose()

            for _ in 1..200 do
                run () |> List.iter _.Dispose()

            Expect.equal (Tensors.live ()) before "200 rounds"

            for tensor in [ t; x; v ] do
                tensor.Dispose()
        }

    let pair (a, b) = [ a; b ]
    let wave (t: Tensor) = t.sin () * t

    testList "leaks" [
        check "diff" 1 (fun t _ _ -> [ Diff.diff wave t ])
        check "fdiff" 2 (fun t _ _ -> pair (Diff.fdiff wave t))
        check "diffn" 1 (fun t _ _ -> [ Diff.diffn 3 wave t ])
        check "grad" 1 (fun _ x _ -> [ Diff.grad potential x ])
        check "fgrad" 2 (fun _ x _ -> pair (Diff.fgrad potential x))
        check "gradv" 1 (fun _ x v -> [ Diff.gradv potential x v ])
        check "gradhessian" 2 (fun _ x _ -> pair (Diff.gradhessian potential x))
        check "gradhessianv" 2 (fun _ x v -> pair (Diff.gradhessianv potential x v))
        check "hessian" 1 (fun _ x _ -> [ Diff.hessian potential x ])
        check "fhessianv" 2 (fun _ x v -> pair (Diff.fhessianv potential x v))
        check "jacobian" 1 (fun _ x _ -> [ Diff.jacobian field x ])
        check "tall jacobian" 1 (fun _ x _ -> [ Diff.jacobian tall x ])
        check "jacobianv" 1 (fun _ x v -> [ Diff.jacobianv field x v ])
        check "jacobianv, refused forward" 1 (fun _ x v -> [ Diff.jacobianv good x v ])
        check "jacobianv, twice reverse" 1 (fun _ x v -> [ withoutForward (fun () -> Diff.jacobianv field x v) ])
        check "fjacobianTv" 2 (fun _ x v -> pair (Diff.fjacobianTv field x v))
        check "laplacian" 1 (fun _ x _ -> [ Diff.laplacian potential x ])
        check "divergence" 1 (fun _ x _ -> [ Diff.divergence field x ])
        check "curldivergence" 2 (fun _ x _ -> pair (Diff.curldivergence field x))
        check "grad of grad" 1 (fun _ x _ -> [ Diff.grad (fun x -> (Diff.grad potential x).sum()) x ])
        check "diff of diff" 1 (fun t _ _ -> [ Diff.diff (Diff.diff wave) t ])
        check "numhessian" 1 (fun _ x _ -> [ Diff.numhessian 1e-3 potential x ])
        check "numcurl" 1 (fun _ x _ -> [ Diff.numcurl 1e-3 field x ])
    ]

let private gateway =
    test "only the gateway calls libtorch's autograd" {
        let rec root (folder: DirectoryInfo) =
            if isNull folder then
                failtest "Suite.sln not found above the tests"
            elif File.Exists(Path.Combine(folder.FullName, "Suite.sln")) then
                folder.FullName
            else
                root folder.Parent

        // This file calls raw backward on purpose, above.
        let allowed = [ "AutogradEngine.fs"; "Autograd.fs"; "DiffTests.fs" ]
        // autograd.grad ends the process on any error: nobody may call it. Tensor.backward throws, but bypasses what the gateway keeps of
        // our nodes' exceptions: tests and examples may call it as users do, the suite may not.
        let grad = Regex @"autograd\.grad\s*\("
        let backward = Regex @"(?<!\bAutograd)\.backward\b"
        let users = [ "tests"; "examples" ]

        let sources (pattern: string) =
            let top = root (DirectoryInfo AppContext.BaseDirectory)

            Directory.EnumerateFiles(top, pattern, EnumerationOptions(RecurseSubdirectories = true))
            |> Seq.filter (fun path ->
                let inside = Path.GetRelativePath(top, path).Split Path.DirectorySeparatorChar
                not (Array.exists (fun part -> part = "artifacts" || part = "obj" || part = "bin") inside))

        let offenders = [
            for path in Seq.append (sources "*.fs") (sources "*.cs") do
                if not (List.contains (Path.GetFileName path) allowed) then
                    let top = root (DirectoryInfo AppContext.BaseDirectory)
                    let folder = Path.GetRelativePath(top, path).Split(Path.DirectorySeparatorChar)[0]

                    for line in File.ReadLines path do
                        let code = Regex.Replace(line, "//.*$", "")

                        if grad.IsMatch code || (not (List.contains folder users) && backward.IsMatch code) then
                            $"{path}: {line.Trim()}"
        ]

        Expect.isEmpty offenders "raw autograd ends the process on any error"
    }

let tests = testList "Diff" [ survival; mathematics; leaks; gateway ]
