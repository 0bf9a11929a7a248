/// Gradients of stochastic solves on tensors.
module SdeGradientTests

open System
open System.Collections.Generic
open Continuum
open Continuum.Properties
open Claims
open Expecto
open TorchSharp

let private scalar (x: float) = x.ToScalar()

let private leaf (shape: int64[]) (phase: float) =
    let count = int (Array.fold (*) 1L shape)
    let values = Array.init count (fun i -> 0.5 * sin (phase + 1.7 * float i))
    (Tensors.ofArray values shape torch.float64 torch.CPU).requires_grad_ true

let private initial () = Tensors.ofArray [| 0.3; -0.2; 0.5; 0.9; -0.7; 0.1 |] [| 3L; 2L |] torch.float64 torch.CPU

let private pathOf level m seed (y0: Tensor) : IBrownian<Tensor> =
    TensorBrownian.For({ BrownianSpec.create 0.0 1.0 m seed with Level = level }, y0, 0L)

/// Times off every grid, and one on it.
let private saves = [| 0.0; 0.137; 0.5; 0.731; 1.0 |]

let private problem name (sde: Sde<'C, 'N>) m : SdeGradientProblem<'C, 'N> =
    let y0 = initial ()

    {
        Name = name
        Sde = sde
        Path = pathOf LevyLevel.SpaceTime m 5UL y0
        Start = 0.0
        End = 1.0
        Initial = y0
        SaveTimes = saves
    }

/// A small network of the time too, its parameters, and diffusions of each class.
type private Terms() =
    let p = leaf [| 4L; 2L |] 0.3
    let q = leaf [| 2L; 4L |] 1.1
    let r = leaf [| 2L |] 2.0
    let g = leaf [| 6L; 2L |] 0.7

    member _.Parameters = [ p; q; r; g ]

    member _.Drift (t: Tensor) (y: Tensor) =
        let hidden = torch.tanh (torch.nn.functional.linear (y, p))
        torch.nn.functional.linear(hidden, q, r).add(t.cos ())

    member _.Elementwise (t: Tensor) (y: Tensor) =
        y.sin().mul(r).mul(g.select (0L, 1L)).add(t.sin().mul(scalar 0.3)).add(scalar 0.4)

    member _.Matrix (t: Tensor) (y: Tensor) = torch.nn.functional.linear(y, g).add(t).tanh().reshape(-1L, 2L, 3L)

    member _.OfTime(t: Tensor) = g.reshape(2L, 3L, 2L).select(2L, 0L).mul(t.cos ())

let private scalarProblem<'C when 'C :> Calculus> () =
    let terms = Terms()
    problem "scalar noise" (Sde.scalar<'C> terms.Parameters terms.Drift terms.Elementwise) 1

let private diagonal<'C when 'C :> Calculus> () =
    let terms = Terms()
    problem "diagonal noise" (Sde.diagonal<'C> terms.Parameters terms.Drift terms.Elementwise) 2

let private additive<'C when 'C :> Calculus> () =
    let terms = Terms()
    problem "additive noise" (Sde.additive<'C> 3 terms.Parameters terms.Drift terms.OfTime) 3

let private general<'C when 'C :> Calculus> () =
    let terms = Terms()
    problem "general noise" (Sde.general<'C> 3 terms.Parameters terms.Drift terms.Matrix) 3

let private fixedSteps = TensorSdeOptions.fixedSteps 0.11
let private adaptive = TensorSdeOptions.adaptive 0.05 0.05

let private heuristics (options: TensorSdeOptions) = { options with Heuristics = true }

let private variants = [
    "fixed steps, heuristics", heuristics fixedSteps
    "adaptive steps, heuristics", heuristics adaptive
    "adaptive steps", adaptive
]

let private exactWays =
    testList "exact ways agree with Recorded" [
        for name, options in variants do
            test $"reversible Heun, {name}" {
                use _ = torch.NewDisposeScope()

                SdeGradientLaws.allAgree options SdeMethods.reversibleHeun 1e-10 (scalarProblem<Stratonovich>())
                |> Array.iter holds

                SdeGradientLaws.allAgree options SdeMethods.reversibleHeun 1e-10 (diagonal<Stratonovich>())
                |> Array.iter holds

                SdeGradientLaws.allAgree options SdeMethods.reversibleHeun 1e-10 (additive<Stratonovich>())
                |> Array.iter holds

                SdeGradientLaws.allAgree options SdeMethods.reversibleHeun 1e-10 (general<Stratonovich>())
                |> Array.iter holds
            }

            test $"Discrete, {name}" {
                use _ = torch.NewDisposeScope()

                SdeGradientLaws.allAgree options SdeMethods.srid2 1e-10 (diagonal<Ito>()) |> Array.iter holds

                SdeGradientLaws.allAgree options SdeMethods.milstein 1e-10 (scalarProblem<Ito>())
                |> Array.iter holds

                SdeGradientLaws.allAgree options SdeMethods.shark 1e-10 (additive<Ito>()) |> Array.iter holds

                SdeGradientLaws.allAgree options SdeMethods.spark 1e-10 (general<Stratonovich>())
                |> Array.iter holds

                SdeGradientLaws.allAgree options SdeMethods.eulerMaruyama 1e-10 (general<Ito>()) |> Array.iter holds

                SdeGradientLaws.allAgree options SdeMethods.midpoint 1e-10 (diagonal<Stratonovich>())
                |> Array.iter holds
            }
    ]

let private coupled = Differentiation.Reversible { Coupling = 0.9; CheckpointEvery = 0; OnDrift = null }

let private differences =
    testList "gradients are limits of difference quotients along the path" [
        test "reversible Heun" {
            use _ = torch.NewDisposeScope()
            let options = heuristics fixedSteps
            let way = Differentiation.ReversibleDefault

            SdeGradientLaws.agreesWithDifferences options SdeMethods.reversibleHeun 1e-7 (diagonal ()) way
            |> holds

            SdeGradientLaws.agreesWithDifferences options SdeMethods.reversibleHeun 1e-7 (general ()) way
            |> holds
        }

        test "coupled methods" {
            use _ = torch.NewDisposeScope()
            SdeGradientLaws.agreesWithDifferences fixedSteps SdeMethods.heun 1e-7 (diagonal ()) coupled |> holds
            let options = heuristics fixedSteps
            SdeGradientLaws.agreesWithDifferences options SdeMethods.spark 1e-7 (general ()) coupled |> holds

            SdeGradientLaws.agreesWithDifferences options SdeMethods.shark 1e-7 (additive<Ito>()) coupled
            |> holds
        }

        test "Discrete" {
            use _ = torch.NewDisposeScope()
            let way = Differentiation.DiscreteDefault
            let options = heuristics fixedSteps

            SdeGradientLaws.agreesWithDifferences options SdeMethods.milsteinFree 1e-7 (diagonal ()) way
            |> holds
        }
    ]

let private backward (p: SdeGradientProblem<'C, 'N>) = { p with Start = 1.0; End = 0.0; SaveTimes = Array.rev saves }

let private details =
    testList "details" [
        test "backward in time" {
            use _ = torch.NewDisposeScope()

            SdeGradientLaws.allAgree fixedSteps SdeMethods.reversibleHeun 1e-10 (backward (general ()))
            |> Array.iter holds

            SdeGradientLaws.allAgree adaptive SdeMethods.heun 1e-10 (backward (diagonal ())) |> Array.iter holds
        }

        test "undoing steps of reversible Heun" {
            use _ = torch.NewDisposeScope()
            let options = TensorSdeOptions.fixedSteps 0.005
            SdeGradientLaws.reverses options SdeMethods.reversibleHeun 1.0 1e-10 (general ()) |> holds
            SdeGradientLaws.reverses adaptive SdeMethods.reversibleHeun 1.0 1e-10 (diagonal ()) |> holds
            SdeGradientLaws.reverses fixedSteps SdeMethods.midpoint 0.95 1e-10 (diagonal ()) |> holds
        }

        test "second derivatives by Recorded" {
            use _ = torch.NewDisposeScope()
            SdeGradientLaws.secondOrder fixedSteps SdeMethods.reversibleHeun 1e-7 (general ()) |> holds
            SdeGradientLaws.secondOrder fixedSteps SdeMethods.srid2 1e-7 (diagonal ()) |> holds
        }

        test "a stretch that cannot be undone is mended, or reported" {
            use _ = torch.NewDisposeScope()
            let rate = leaf [| 1L |] 1.5

            let sde =
                Sde.diagonal<Stratonovich> [ rate ] (fun _ y -> y.mul(rate).mul(scalar -50.0)) (fun _ y ->
                    y.mul (scalar 0.3))

            let stiff = problem "a contraction" sde 2
            let options = TensorSdeOptions.fixedSteps 0.005
            let heun = SdeMethods.reversibleHeun<DiagonalNoise>
            let expected = SdeGradientLaws.gradient options heun stiff Differentiation.Recorded
            let told = List<float>()

            let way every =
                Differentiation.Reversible {
                    Coupling = 1.0
                    CheckpointEvery = every
                    OnDrift = Action<_, _>(fun size _ -> told.Add size)
                }

            let mended = SdeGradientLaws.gradient options heun stiff (way 0)
            Expect.isLessThan (GradientLaws.relativeGap mended expected) 1e-9 "mended"
            Expect.isEmpty told "nothing to report"
            let lost = SdeGradientLaws.gradient options heun stiff (way 1000)
            Expect.isGreaterThan (GradientLaws.relativeGap lost expected) 1e-8 "the problem is one"
            Expect.equal told.Count 1 $"reported: %A{List.ofSeq told}"
        }

        test "parameters that are no leaves" {
            use _ = torch.NewDisposeScope()
            let w = leaf [| 2L |] 0.3

            let found way =
                let y0 = (initial ()).requires_grad_ true
                let p = w.mul(w).add(scalar 0.2)
                let sde = Sde.diagonal<Stratonovich> [ p ] (fun _ y -> y.mul(p).neg()) (fun _ y -> y.cos().mul p)
                let options = { fixedSteps with Differentiation = way; SaveAt = Times saves }
                let path = pathOf LevyLevel.Increments 2 3UL y0
                let solution = TensorSde.solve options SdeMethods.reversibleHeun sde path 0.0 1.0 y0
                let value = solution.States.pow(2.0.ToScalar()).sum().add(solution.Final.sum ())
                Autograd.vjp [| value |] [| y0; w |] [| torch.ones_like value |] |> Array.collect Tensors.toArray

            let expected = found Differentiation.Recorded
            Expect.isLessThan (GradientLaws.relativeGap (found Differentiation.ReversibleDefault) expected) 1e-10 "gap"
            Expect.isGreaterThan (abs expected[7]) 1e-3 "the parameter matters"
        }

        test "float32 states and paths" {
            use _ = torch.NewDisposeScope()
            let y0 = initial ()
            let spec = BrownianSpec.create 0.0 1.0 2 5UL
            let single = TensorBrownian.For(spec, y0.``to`` torch.float32, 0L)
            let mixed = { diagonal<Stratonovich>() with Path = single }

            SdeGradientLaws.allAgree fixedSteps SdeMethods.reversibleHeun 1e-10 mixed |> Array.iter holds
            SdeGradientLaws.allAgree fixedSteps SdeMethods.heun 1e-10 mixed |> Array.iter holds
            let terms = Terms()

            let parameters = [ for p in terms.Parameters -> p.detach().``to``(torch.float32).requires_grad_ true ]

            let sde =
                Sde.diagonal<Stratonovich>
                    parameters
                    (fun _ y -> torch.nn.functional.linear (y.tanh (), parameters[3].narrow(0L, 0L, 2L)))
                    (fun _ y -> y.sin().mul parameters[2])

            let all32 = {
                problem "float32" sde 2 with
                    Path = single
                    Initial = y0.``to`` torch.float32
            }

            SdeGradientLaws.allAgree fixedSteps SdeMethods.reversibleHeun 1e-5 all32 |> Array.iter holds
            SdeGradientLaws.allAgree fixedSteps SdeMethods.heun 1e-5 all32 |> Array.iter holds
        }
    ]

/// dy = m y dt + s y dW, one path and one m and s for each of 64 elements, and the exact gradient along these paths.
let private geometric<'C when 'C :> Calculus> (seed: uint64) =
    let constant (x: float) = torch.full([| 64L; 1L |], scalar x, dtype = torch.float64).requires_grad_ true
    let m = constant 0.4
    let s = constant 0.7
    let y0 = torch.linspace(0.5, 1.5, 64L, dtype = torch.float64).reshape(64L, 1L)
    let path = pathOf LevyLevel.SpaceTime 1 seed y0

    let problem = {
        Name = $"geometric Brownian motion ({typeof<'C>.Name})"
        Sde = Sde.diagonal<'C> [ m; s ] (fun _ y -> y.mul m) (fun _ y -> y.mul s)
        Path = path
        Start = 0.0
        End = 1.0
        Initial = y0
        SaveTimes = [| 0.25; 1.0 |]
    }

    let exact (y0: Tensor) (p: Tensor[]) =
        let m, s = p[0], p[1]

        let drift = if typeof<'C> = typeof<Ito> then m.sub (s.mul(s).mul(scalar 0.5)) else m

        torch.stack [|
            for t in problem.SaveTimes -> y0.mul (drift.mul(scalar t).add(s.mul (path.Step(0.0, t).W)).exp())
        |]

    problem, (fun () -> SdeGradientLaws.closedForm problem exact)

let private problems<'C when 'C :> Calculus> () = Array.init 3 (fun k -> geometric<'C>(uint64 (7 + k)))
let private grids = [| 16; 32; 64 |]

let private convergence =
    testList "gradients converge to the exact ones with the method's order" [
        test "Discrete" {
            use _ = torch.NewDisposeScope()
            let way = Differentiation.DiscreteDefault
            SdeGradientLaws.converges SdeMethods.eulerMaruyama 0.5 0.35 (problems ()) way grids |> holds
            SdeGradientLaws.converges SdeMethods.milstein 1.0 0.35 (problems ()) way grids |> holds
            SdeGradientLaws.converges SdeMethods.srid2 1.5 0.4 (problems ()) way grids |> holds
        }

        test "Reversible" {
            use _ = torch.NewDisposeScope()
            let way = Differentiation.ReversibleDefault
            SdeGradientLaws.converges SdeMethods.reversibleHeun 1.0 0.35 (problems ()) way grids |> holds
            SdeGradientLaws.converges SdeMethods.heun 1.0 0.35 (problems ()) way grids |> holds
        }

        test "Backsolve, both calculi" {
            use _ = torch.NewDisposeScope()
            let way = Differentiation.BacksolveDefault
            SdeGradientLaws.converges SdeMethods.heun 1.0 0.35 (problems ()) way grids |> holds
            SdeGradientLaws.converges SdeMethods.milstein 1.0 0.35 (problems ()) way grids |> holds
            SdeGradientLaws.converges SdeMethods.reversibleHeun 1.0 0.35 (problems ()) way grids |> holds
        }

        test "Backsolve on every class of noise" {
            use _ = torch.NewDisposeScope()
            let fine = TensorSdeOptions.fixedSteps 0.004
            let agree method problem = SdeGradientLaws.agree fine method 0.02 problem

            agree SdeMethods.eulerHeun (general ()) Differentiation.BacksolveDefault Differentiation.DiscreteDefault
            |> holds

            agree
                SdeMethods.milstein
                (scalarProblem ())
                Differentiation.BacksolveDefault
                Differentiation.DiscreteDefault
            |> holds

            agree SdeMethods.sra1<Ito> (additive ()) Differentiation.BacksolveDefault Differentiation.DiscreteDefault
            |> holds

            let tight = Differentiation.Backsolve { Rtol = 1e-3; Atol = 1e-3; Seminorm = true; OnDrift = null }

            SdeGradientLaws.agree
                (TensorSdeOptions.adaptive 1e-3 1e-3)
                SdeMethods.spark
                0.01
                (diagonal ())
                tight
                Differentiation.DiscreteDefault
            |> holds
        }
    ]

let private message (action: unit -> 'T) =
    try
        action () |> ignore
        ""
    with error ->
        $"{error.GetType().Name}: {error.Message}"

let private errors =
    testList "bad input" [
        test "a tensor outside of the parameters is named" {
            use _ = torch.NewDisposeScope()
            let w = leaf [| 2L |] 0.1
            let hidden = leaf [| 2L |] 0.4

            let inDrift = Sde.diagonal<Stratonovich> [ w ] (fun _ y -> y.mul(w).mul hidden) (fun _ y -> y.mul w)

            let inDiffusion = Sde.diagonal<Stratonovich> [ w ] (fun _ y -> y.mul w) (fun _ y -> y.mul hidden)

            let tryIt sde way =
                message (fun () ->
                    SdeGradientLaws.gradient fixedSteps SdeMethods.reversibleHeun (problem "p" sde 2) way)

            for way in
                [
                    Differentiation.ReversibleDefault
                    Differentiation.BacksolveDefault
                    Differentiation.DiscreteDefault
                ] do
                Expect.stringContains (tryIt inDrift way) "The drift reads a tensor" (string way)
                Expect.stringContains (tryIt inDiffusion way) "The diffusion reads a tensor" (string way)
        }

        test "what a way cannot do is refused with the way out" {
            use _ = torch.NewDisposeScope()

            let tryIt options (method: SdeMethod<'C, 'N>) problem way =
                message (fun () -> SdeGradientLaws.gradient options method problem way)

            Expect.stringContains
                (tryIt fixedSteps SdeMethods.milstein (diagonal ()) coupled)
                "to Stratonovich form"
                "Ito coupled"

            Expect.stringContains
                (tryIt (heuristics fixedSteps) SdeMethods.heun (diagonal ()) Differentiation.BacksolveDefault)
                "Backsolve cannot differentiate the error heuristics"
                "heuristics"

            Expect.stringContains
                (tryIt (heuristics fixedSteps) SdeMethods.midpoint (diagonal ()) coupled)
                "half steps"
                "heuristics of a coupled method"

            let wrong = Differentiation.Reversible { Coupling = 2.0; CheckpointEvery = 0; OnDrift = null }
            Expect.stringContains (tryIt fixedSteps SdeMethods.heun (diagonal ()) wrong) "(0, 1]; got 2" "coupling"
        }

        test "an exception of the drift in the backward sweep is the caller's" {
            use _ = torch.NewDisposeScope()
            let w = leaf [| 2L |] 0.1
            let mutable angry = false

            let sde =
                Sde.diagonal<Stratonovich>
                    [ w ]
                    (fun _ y -> if angry then raise (TimeoutException "enough") else y.mul w)
                    (fun _ y -> y.mul w)

            for way in
                [
                    Differentiation.ReversibleDefault
                    Differentiation.BacksolveDefault
                    Differentiation.DiscreteDefault
                ] do
                angry <- false
                let y0 = (initial ()).requires_grad_ true
                let options = { fixedSteps with Differentiation = way }
                let path = pathOf LevyLevel.Increments 2 3UL y0
                let solution = TensorSde.solve options SdeMethods.reversibleHeun sde path 0.0 1.0 y0
                let before = Tensors.live ()
                angry <- true

                Expect.equal
                    (message (fun () -> Autograd.backward (solution.Final.sum ())))
                    "TimeoutException: enough"
                    (string way)

                Expect.isLessThanOrEqual (Tensors.live ()) (before + 1L) $"live tensors, {way}"
        }
    ]

let private memory =
    testList "memory" [
        for name, way in
            [
                "Reversible", Differentiation.ReversibleDefault
                "Discrete", Differentiation.DiscreteDefault
                "Discrete, 3 checkpoints", Differentiation.Discrete { MaxCheckpoints = 3; GraphWindow = 2 }
                "Backsolve",
                Differentiation.Backsolve {
                    Rtol = nan
                    Atol = nan
                    Seminorm = true
                    OnDrift = Action<_, _>(fun _ _ -> ())
                }
                "Recorded", Differentiation.Recorded
            ] do
            test $"{name} leaves no tensor" {
                let once (method: SdeMethod<'C, 'N>) options (problem: unit -> SdeGradientProblem<'C, 'N>) =
                    use _ = torch.NewDisposeScope()
                    SdeGradientLaws.gradient options method (problem ()) way |> ignore

                let all () =
                    let asked = if name = "Backsolve" then id else heuristics
                    once SdeMethods.reversibleHeun (asked fixedSteps) diagonal
                    once SdeMethods.reversibleHeun adaptive general
                    once SdeMethods.spark (asked fixedSteps) general

                all ()
                let before = Tensors.live ()
                all ()
                all ()
                Expect.equal (Tensors.live ()) before "live tensors"
            }
    ]

let tests =
    testList "gradients of stochastic solves" [ exactWays; differences; details; convergence; errors; memory ]
