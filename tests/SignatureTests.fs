/// Signatures, log-signatures, log-ODEs and signature kernels.
module SignatureTests

open System
open Continuum
open Continuum.Properties
open Claims
open Expecto
open TorchSharp

/// Rough paths in closed form, (batch, points, channels).
let private paths (batch: int) (points: int) (channels: int) =
    let value k =
        let b, i, c = k / (points * channels), k / channels % points, k % channels

        sin (0.9 * float (b + 1) * float (c + 1) + 1.7 * float i)
        + 0.3 * cos (float (i * i) + 2.1 * float c + float b)

    Tensors.ofArray
        (Array.init (batch * points * channels) value)
        [| int64 batch; int64 points; int64 channels |]
        torch.float64
        torch.CPU

let private scoped (body: unit -> unit) =
    use _ = torch.NewDisposeScope()
    body ()

let private identities =
    testList "laws" [
        for channels, depth in [ 1, 3; 2, 1; 2, 2; 2, 3; 2, 4; 2, 5; 2, 6; 3, 3; 3, 4; 4, 3; 5, 2 ] do
            test $"{channels} channels to depth {depth}" {
                scoped (fun () ->
                    let path = paths 2 7 channels
                    holds (SignatureLaws.chen depth path)
                    holds (SignatureLaws.shuffle depth path)
                    holds (SignatureLaws.reparameterisation depth path)
                    holds (SignatureLaws.translation depth path)
                    holds (SignatureLaws.reversal depth path)
                    holds (SignatureLaws.treeLike depth path)
                    holds (SignatureLaws.logarithm depth path)
                    holds (SignatureLaws.batch depth path)
                    holds (SignatureLaws.dimensions channels depth))
            }

        for channels, depth, length in [ 2, 4, 3; 3, 3, 2; 3, 2, 4; 2, 5, 1; 1, 2, 5 ] do
            test $"windows of {length}, {channels} channels to depth {depth}" {
                scoped (fun () -> holds (SignatureLaws.windows depth length (paths 3 9 channels)))
            }

        test "windows between times" {
            scoped (fun () ->
                let observed = [| 0.0; 0.4; 1.5; 2.0; 4.0 |]

                for depth in 1..4 do
                    holds (SignatureLaws.windowsBetween depth observed 1.7 (paths 2 5 3))
                    holds (SignatureLaws.windowsBetween depth observed 2.0 (paths 2 5 3)))
        }

        for channels, depth in [ 2, 2; 2, 3; 3, 3; 2, 4; 2, 5 ] do
            test $"gradients of {channels} channels to depth {depth}" {
                scoped (fun () -> holds (SignatureLaws.gradients depth (paths 2 5 channels)))
            }
    ]

let private closedForms =
    testList "closed forms" [
        test "a straight line" {
            for depth in 1..5 do
                holds (SignatureLaws.straightLine depth [| 0.7; -1.1; 0.4 |])
        }
        test "the area of polygons" {
            for corners in [ 3; 4; 17; 1000 ] do
                holds (SignatureLaws.polygonArea corners)
        }
        test "a parabola in exact arithmetic" {
            holds (SignatureLaws.parabola 4 5)
            holds (SignatureLaws.parabola 5 3)
        }
        test "an L in the plane, written out" {
            // First 2 along axis 1, then 3 along axis 2.
            let found = Signature.ofArray 2 [| [| 0.0; 0.0 |]; [| 2.0; 0.0 |]; [| 2.0; 3.0 |] |]
            Expect.sequenceEqual found [| 2.0; 3.0; 2.0; 6.0; 0.0; 4.5 |] "1; 2; 11; 12; 21; 22"
            let logs = Signature.logOfArray 3 [| [| 0.0; 0.0 |]; [| 2.0; 0.0 |]; [| 2.0; 3.0 |] |]
            // Baker, Campbell and Hausdorff: X + Y + [X,Y]/2 + [X,[X,Y]]/12 + [[X,Y],Y]/12.
            let exact = [| 2.0; 3.0; 3.0; 1.0; 1.5 |]
            Array.iter2 (fun a b -> Expect.floatClose Accuracy.high a b "bracket coordinates") logs exact
        }
        test "names and order" {
            Expect.sequenceEqual (Signature.names 2 2) [| "1"; "2"; "1,1"; "1,2"; "2,1"; "2,2" |] "words"

            Expect.sequenceEqual
                (Signature.logNames 2 4)
                [| "1"; "2"; "[1,2]"; "[1,[1,2]]"; "[[1,2],2]"; "[1,[1,[1,2]]]"; "[1,[[1,2],2]]"; "[[[1,2],2],2]" |]
                "brackets"

            Expect.equal (Signature.logSize 4 3) 30 "Witt: 4 + 6 + 20"
            Expect.equal (Signature.size 4 3) 84 "4 + 16 + 64"
        }
        test "base points make signatures see where a path starts" {
            scoped (fun () ->
                let path = paths 2 4 2
                let based = Signature.ofPath 1 (Signature.fromOrigin path)
                let last = path.select (-2L, 3L)
                Expect.isTrue (torch.allclose (based, last)) "the first level is the last value"

                let start = path.select (-2L, 0L)
                let same = Signature.ofPath 3 (Signature.from start path)
                Expect.isTrue (torch.allclose (same, Signature.ofPath 3 path)) "its own start changes nothing")
        }
        test "float32 agrees with float64" {
            scoped (fun () ->
                let path = paths 3 40 3
                let single = (Signature.logOfPath 4 (path.``to`` torch.float32)).``to`` torch.float64
                let double = Signature.logOfPath 4 path
                let gap = (single.sub double).abs().max().ToDouble() / double.abs().max().ToDouble()
                Expect.isLessThan gap 1e-5 "single precision")
        }
    ]

let private matrices channels n =
    let entry k = 0.5 * sin (1.0 + 2.3 * float k)
    Tensors.ofArray (Array.init (channels * n * n) entry) [| int64 channels; int64 n; int64 n |] torch.float64 torch.CPU

let private states batch n =
    let entry k = cos (0.8 * float k)
    Tensors.ofArray (Array.init (batch * n) entry) [| int64 batch; int64 n |] torch.float64 torch.CPU

/// tanh(z W + b) as n x columns.
let private network n columns () =
    let leaf shape phase =
        let count = Array.fold (*) 1L shape

        (Tensors.ofArray
            (Array.init (int count) (fun k -> 0.6 * sin (phase + 1.1 * float k)))
            shape
            torch.float64
            torch.CPU)
            .requires_grad_
            true

    let weight = leaf [| int64 (n * columns); int64 n |] 0.4
    let bias = leaf [| int64 (n * columns) |] 2.2

    let fields (z: Tensor) =
        let flat = torch.nn.functional.linear(z, weight, bias).tanh()
        flat.reshape (Array.append z.shape [| int64 columns |])

    struct ([| weight; bias |], fields)

let private smooth n channels =
    let struct (_, fields) = network n channels ()
    fields

let private logOde =
    testList "log-ODE" [
        test "brackets of linear fields are commutators" {
            scoped (fun () ->
                holds (LogOdeLaws.commutators (matrices 3 3) 3 (states 2 3))
                holds (LogOdeLaws.commutators (matrices 2 3) 4 (states 2 3)))
        }
        for depth in 1..4 do
            test $"exact on nilpotent fields, depth {depth}" {
                scoped (fun () -> holds (LogOdeLaws.nilpotent depth (paths 3 8 3)))
            }

            test $"a sum of brackets, depth {depth}" {
                scoped (fun () ->
                    holds (LogOdeLaws.sumOfBrackets "a network" depth (smooth 3 2) (paths 2 5 2) (states 2 3)))
            }

            test $"order in the window, depth {depth}" {
                scoped (fun () -> holds (LogOdeLaws.order "a network" depth (smooth 3 2) (paths 2 4 2) (states 2 3)))
            }
        test "a polynomial field" { scoped (fun () -> holds (LogOdeLaws.polynomial (paths 2 6 2))) }
        test "neural RDE on linear fields" {
            scoped (fun () ->
                holds (LogOdeLaws.neuralRde 1 (Windows.Every 1) (paths 2 6 2) (states 2 3))
                holds (LogOdeLaws.neuralRde 3 (Windows.Every 2) (paths 2 6 2) (states 2 3))
                let observed = [| 0.0; 1.0; 1.5; 3.0; 3.5; 4.0 |]

                holds (
                    LogOdeLaws.neuralRde 2 (Windows.Between(observed, [| 0.0; 1.2; 4.0 |])) (paths 2 6 2) (states 2 3)
                ))
        }
        test "the driver starts at the data" {
            scoped (fun () ->
                let path = paths 2 7 2
                let driver = LogOde.driver 3 (Windows.Every 3) [| 0.0; 1.0; 2.0; 4.0; 5.0; 6.0; 8.0 |] path
                Expect.sequenceEqual driver.Knots [| 0.0; 4.0; 8.0 |] "knots"
                let level1 = driver.Cumulative.narrow (-1L, 0L, 2L)
                let at = torch.stack ([| path.select (1L, 0L); path.select (1L, 3L); path.select (1L, 6L) |], 1L)
                Expect.isTrue (torch.allclose (level1, at)) "the first level is the data at the knots")
        }
        test "every way to differentiate" {
            scoped (fun () ->
                let path, z0 = paths 2 5 2, states 2 3

                let neural () =
                    let struct (parameters, fields) = network 3 5 ()
                    LogOde.neural (Seq.cast<Tensor> parameters) fields

                let brackets () =
                    let struct (parameters, fields) = network 3 2 ()
                    LogOde.brackets (Seq.cast<Tensor> parameters) fields

                let check name depth make =
                    let law method allowed way =
                        LogOdeLaws.gradient name depth (Windows.Every 2) method allowed way make path z0

                    holds (law (RungeKutta Methods.Rk4) 1e-12 Differentiation.DiscreteDefault)
                    holds (law ReversibleHeun 1e-9 Differentiation.ReversibleDefault)
                    holds (law (RungeKutta Methods.Vern9) 1e-5 Differentiation.BacksolveDefault)
                    holds (LogOdeLaws.differences name depth (Windows.Every 2) make path z0)

                check "a neural RDE" 3 neural
                check "a log-ODE" 2 brackets
                check "a log-ODE" 3 brackets)
        }
        test "adaptive steps end at knots" {
            scoped (fun () ->
                let path, z0 = paths 2 9 3, states 2 3
                let matrices = matrices 3 3
                let driver = LogOde.driver 1 (Windows.Every 1) null path
                use _ = torch.no_grad ()

                let solution =
                    LogOde.solve
                        { TensorOptions.create 1e-9 1e-9 with Method = RungeKutta Methods.Dopri5 }
                        (LogOde.brackets [] (LogOdeLaws.linearFields matrices))
                        driver
                        z0

                let exact = LogOdeLaws.linearSolution matrices path z0
                let gap = (solution.Final.sub exact).abs().max().ToDouble()
                Expect.isLessThan gap 1e-7 "against exponentials"
                Expect.equal solution.States.shape[0] 9L "a state at every knot")
        }
        test "a window that fails is named" {
            scoped (fun () ->
                let path, z0 = paths 1 4 2, states 1 2
                let driver = LogOde.driver 1 (Windows.Every 1) null path
                let mutable calls = 0

                let fields (z: Tensor) =
                    calls <- calls + 1
                    let value = torch.stack ([| z; z |], -1L)
                    if calls > 6 then value.div ((0.0).ToScalar()) else value

                use _ = torch.no_grad ()

                let options = {
                    TensorOptions.create 1e-6 1e-6 with
                        Method = RungeKutta Methods.Rk4
                        Solve = { SolveOptions.create 1e-6 1e-6 with Control = Fixed 1.0 }
                }

                let solution = LogOde.solve options (LogOde.brackets [] fields) driver z0
                Expect.notEqual solution.Status Status.Success "it fails"
                Expect.stringContains solution.Message "window 1" "which"
                Expect.equal solution.States.shape[0] 2L "the states before"

                Expect.throwsT<SolveFailedException> (fun () -> solution.EnsureSuccess() |> ignore) "on demand")
        }
    ]

let private kernels =
    testList "kernel" [
        test "straight lines have Bessel's function" {
            // k(a, b) = sum <a, b>^k / (k!)^2 = I_0(2 sqrt <a, b>).
            scoped (fun () ->
                let line (a: float[]) =
                    Tensors.ofArray (Array.append [| 0.0; 0.0 |] a) [| 1L; 2L; 2L |] torch.float64 torch.CPU

                let x, y = line [| 0.8; 0.5 |], line [| 0.9; -0.2 |]
                let product = 0.8 * 0.9 - 0.5 * 0.2
                let mutable term = 1.0
                let mutable exact = 1.0

                for k in 1..20 do
                    term <- term * product / float (k * k)
                    exact <- exact + term

                let error refinement = abs ((SignatureKernel.untruncated refinement x y).item<float>() - exact)

                Expect.isLessThan (error 5) 1e-5 "fine"
                let order = Math.Log2(error 3 / error 4)
                Expect.isTrue (order > 1.8) $"the scheme has order 2, observed {order}")
        }
        test "the untruncated kernel is the limit of truncated ones" {
            scoped (fun () ->
                let x, y = (paths 3 4 2).mul((0.3).ToScalar()), (paths 2 5 2).mul((0.25).ToScalar())

                let options = {
                    SignatureKernel.defaults with
                        Depth = 9
                        TimeChannel = false
                        Basepoint = false
                        Standardise = false
                }

                let truncated = SignatureKernel.gram options x y
                let whole = SignatureKernel.untruncated 5 x y
                let gap = (truncated.sub whole).abs().max().ToDouble()
                Expect.isLessThan gap 1e-4 "refined five times")
        }
        test "the distance without matrices is that of matrices" {
            scoped (fun () ->
                let x, y = paths 5 6 2, (paths 4 6 2).square()
                let options = { SignatureKernel.defaults with Depth = 3; Standardise = false }
                let gram = SignatureKernel.gram options
                let a = SignatureKernel.mmd options x y
                let b = SignatureKernel.mmdOfGrams (gram x x) (gram y y) (gram x y)
                Expect.floatClose Accuracy.high (a.item<float>()) (b.item<float>()) "the same estimate")
        }
        test "unbiased: zero for one law, not for two" {
            // Brownian paths with volatility 1 against 1 and against 1.5: the mean over repetitions in units of its standard error.
            scoped (fun () ->
                let generator = new torch.Generator(7UL)

                let draw (sigma: float) =
                    torch
                        .randn([| 20L; 8L; 1L |], dtype = torch.float64, generator = generator)
                        .cumsum(1L)
                        .mul(sigma.ToScalar())

                let options = { SignatureKernel.defaults with Depth = 2; Standardise = false; Scale = 0.3 }

                let score sigma =
                    let values =
                        Array.init 60 (fun _ -> (SignatureKernel.mmd options (draw 1.0) (draw sigma)).item<float>())

                    let mean = Array.average values
                    let variance = values |> Array.averageBy (fun v -> (v - mean) * (v - mean))
                    mean / sqrt (variance / 60.0)

                let same, other = score 1.0, score 1.5
                Expect.isLessThan (abs same) 3.0 $"one law: {same} standard errors"
                Expect.isGreaterThan other 5.0 $"two laws: {other} standard errors")
        }
        test "normalised kernels are one on the diagonal, and gradients flow" {
            scoped (fun () ->
                let x = (paths 3 5 2).requires_grad_ true
                let y = paths 3 5 2

                let options = {
                    SignatureKernel.defaults with
                        Normalise = true
                        Depth = 3
                        Standardise = false
                }

                let diagonal = (SignatureKernel.gram options x x).diagonal()
                Expect.isTrue (torch.allclose (diagonal, torch.ones_like diagonal)) "k(x, x)"
                let distance = SignatureKernel.mmd { options with Standardise = true } x (y.square ())
                let gradient = (Autograd.vjp [| distance |] [| x |] [| torch.ones_like distance |])[0]
                Expect.isGreaterThan (gradient.abs().max().ToDouble()) 1e-6 "a gradient")
        }
    ]

let private refused (text: string) (action: unit -> unit) =
    let message =
        try
            action ()
            "nothing was thrown"
        with :? ArgumentException as error ->
            error.Message

    Expect.stringContains message text "the message names the problem"

let private badInput =
    testList "bad input" [
        test "paths" {
            scoped (fun () ->
                let path = paths 2 4 2
                let hole = path.clone ()
                hole.[0L, 1L, 1L] <- torch.tensor nan
                refused "not a finite number" (fun () -> Signature.ofPath 2 hole |> ignore)
                refused "unsqueeze" (fun () -> Signature.ofPath 2 (path.[0L].[0L]) |> ignore)
                refused "float64" (fun () -> Signature.logOfPath 2 (path.``to`` torch.int64) |> ignore)
                refused "at least 1" (fun () -> Signature.stream 0 path |> ignore)
                refused "more than" (fun () -> Signature.ofPath 40 path |> ignore)
                refused "empty" (fun () -> Signature.ofPath 2 (path.narrow (1L, 0L, 0L)) |> ignore)
                refused "no points" (fun () -> Signature.ofArray 2 [||] |> ignore)
                refused "Point 1 has 1" (fun () -> Signature.ofArray 2 [| [| 1.0; 2.0 |]; [| 1.0 |] |] |> ignore)
                refused "[2, 4, 2]" (fun () -> TensorAlgebra.exp 2 2 path |> ignore)
                refused "times" (fun () -> Signature.withTime [| 1.0 |] path |> ignore))
        }
        test "one observation gives zeros" {
            scoped (fun () ->
                let point = paths 2 1 3

                let zero (x: Tensor) shape =
                    Expect.sequenceEqual x.shape shape "shape"
                    Expect.equal (x.abs().sum().ToDouble()) 0.0 "zero"

                zero (Signature.ofPath 2 point) [| 2L; 12L |]
                zero (Signature.logOfPath 2 point) [| 2L; 6L |]
                zero (Signature.stream 3 point) [| 2L; 1L; 39L |]
                zero (Signature.logStream 3 point) [| 2L; 1L; 14L |]
                zero (SignatureWindows.logSignature 3 (Windows.Every 4) point) [| 2L; 1L; 14L |])
        }
        test "windows" {
            scoped (fun () ->
                let path = paths 1 4 2
                let signature windows () = SignatureWindows.signature 2 windows path |> ignore
                refused "at least one segment" (signature (Windows.Every 0))
                refused "does not fit" (signature (Windows.Sliding(4, 1)))
                refused "positive stride" (signature (Windows.Sliding(2, 0)))
                let observed = [| 0.0; 1.0; 2.0; 3.0 |]
                refused "observed on [0, 3]" (signature (Windows.Between(observed, [| 0.0; 3.5 |])))
                refused "rise strictly" (signature (Windows.Between(observed, [| 1.0; 1.0 |])))
                refused "must be finite" (signature (Windows.Between(observed, [| 0.0; nan |])))
                refused "path of 4 points" (signature (Windows.Between([| 0.0; 1.0 |], [| 0.0; 1.0 |])))
                refused "window to window" (fun () -> LogOde.driver 2 (Windows.Sliding(2, 1)) null path |> ignore))
        }
        test "log-ODEs" {
            scoped (fun () ->
                let path, z0 = paths 2 4 2, states 2 3
                let driver = LogOde.driver 2 (Windows.Every 2) null path
                let options = TensorOptions.create 1e-6 1e-6
                let field = LogOde.brackets [] (smooth 3 2)
                let solve options field z0 () = LogOde.solve options field driver z0 |> ignore
                refused "must agree" (solve options field (states 3 3))
                refused "[2, 3, 3]" (solve options (LogOde.neural [] (smooth 3 2)) z0)
                refused "one column for each channel" (solve options (LogOde.brackets [] (smooth 3 3)) z0)
                refused "EndOnly" (solve { options with Solve.SaveAt = EverySteps } field z0)
                refused "Float32" (solve options field (z0.``to`` torch.float32)))
        }
        test "kernels" {
            scoped (fun () ->
                let x = paths 3 4 2

                refused "(paths, points, channels)" (fun () ->
                    SignatureKernel.features SignatureKernel.defaults x.[0L] |> ignore)

                refused "agree in channels" (fun () ->
                    SignatureKernel.mmd SignatureKernel.defaults x (paths 3 4 3) |> ignore)

                refused "at least two" (fun () ->
                    SignatureKernel.mmd SignatureKernel.defaults x (paths 1 4 2) |> ignore))
        }
    ]

let private memory =
    test "no tensors are left over" {
        let path = paths 2 7 3
        let z0 = states 2 3

        let options = {
            TensorOptions.create 1e-6 1e-6 with
                Solve = { SolveOptions.create 1e-6 1e-6 with Control = Fixed 1.0 }
        }

        let struct (parameters, fields) = network 3 3 ()

        let keeps (name: string) (results: int64) (body: unit -> unit) =
            body ()
            let before = Tensors.live ()
            body ()
            Expect.equal (Tensors.live () - before) results name

        let drop (x: Tensor) = x.Dispose()
        keeps "signature" 0L (fun () -> Signature.ofPath 4 path |> drop)
        keeps "log-signature" 0L (fun () -> Signature.logOfPath 3 path |> drop)
        keeps "stream" 0L (fun () -> Signature.logStream 3 path |> drop)
        keeps "array" 0L (fun () -> Signature.logOfArray 3 [| [| 0.0; 1.0 |]; [| 2.0; 3.0 |] |] |> ignore)
        keeps "windows" 0L (fun () -> SignatureWindows.logSignature 3 (Windows.Expanding 2) path |> drop)
        keeps "one kept" 1L (fun () -> Signature.ofPath 2 path |> ignore)

        keeps "kernel" 0L (fun () ->
            SignatureKernel.mmd SignatureKernel.defaults path path |> drop
            SignatureKernel.untruncated 1 path path |> drop)

        for way in [ Differentiation.None; Differentiation.DiscreteDefault; Differentiation.Recorded ] do
            keeps $"log-ODE, {way}" 0L (fun () ->
                use _ = torch.NewDisposeScope()
                let driver = LogOde.driver 2 (Windows.Every 2) null path
                let field = LogOde.brackets (Seq.cast<Tensor> parameters) fields
                let solution = LogOde.solve { options with Differentiation = way } field driver z0
                solution.EnsureSuccess() |> ignore)

        keeps "a log-ODE's states" 0L (fun () ->
            use scope = torch.NewDisposeScope()
            let driver = LogOde.driver 2 (Windows.Every 2) null path
            let before = Tensors.live ()
            use solution = LogOde.solve options (LogOde.neural [] (smooth 3 6)) driver z0
            ignore solution
            scope.DisposeEverything()
            ignore before)

        path.Dispose()
        z0.Dispose()
    }

let tests = testList "signatures" [ identities; closedForms; logOde; kernels; badInput; memory ]
