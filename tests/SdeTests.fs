/// Solving stochastic equations on tensors: orders against closed forms, adaptivity, output, conversions, bad input.
module SdeTests

open System
open Continuum
open Continuum.Properties
open Claims
open Expecto
open TorchSharp

let private scalar (x: float) = x.ToScalar()

let private coarsest = [| 4; 8; 16; 32 |]
let private coarse = [| 8; 16; 32; 64 |]
let private finer = [| 16; 32; 64; 128 |]
let private paths = 400

/// The same problem with solutions that are found once for each path.
let private remembered (problem: SdeProblem<'C, 'N>) : SdeProblem<'C, 'N> =
    let known = System.Collections.Generic.Dictionary<struct (int * LevyLevel), float[]>()

    let exact (path: TensorBrownian) =
        let key = struct (path.Spec.Cells, path.Spec.Level)

        if not (known.ContainsKey key) then
            known[key] <- Tensors.toArray (problem.Exact path)

        Tensors.ofArray known[key] problem.Initial.shape torch.float64 torch.CPU

    { problem with Exact = exact }

/// A law for each method that a class of noise allows.
let private each (name: string) (law: SdeMethod<'C, 'N> -> LawResult) (methods: SdeMethod<'C, 'N> list) =
    testList name [
        for method in methods do
            testCase method.Name (fun () -> holds (law method))
    ]

let private itoElementwise<'N when 'N :> ElementwiseNoise> : SdeMethod<Ito, 'N> list = [
    SdeMethods.eulerMaruyama
    SdeMethods.milstein
    SdeMethods.milsteinFree
    SdeMethods.srid2
]

let private stratonovich<'N when 'N :> GeneralNoise> : SdeMethod<Stratonovich, 'N> list = [
    SdeMethods.eulerHeun
    SdeMethods.heun
    SdeMethods.midpoint
    SdeMethods.ralston
    SdeMethods.spark
    SdeMethods.generalShark
    SdeMethods.slowRk
    SdeMethods.milsteinStratonovich
    SdeMethods.milsteinFreeStratonovich
    SdeMethods.logOde
    SdeMethods.reversibleHeun
]

let private additiveMethods<'C when 'C :> Calculus> : SdeMethod<'C, AdditiveNoise> list = [
    SdeMethods.sra1
    SdeMethods.shark
    SdeMethods.sea
]

let private strongLaw (name: string) (make: int -> SdeProblem<'C, 'N>) (count: int) (steps: int[]) methods =
    let problem = lazy (remembered (make count))
    each name (fun m -> SdeLaws.strongConvergence m problem.Value steps) methods

let private strong =
    testList "strong order" [
        strongLaw
            "Ito, diagonal: geometric"
            SdeProblems.geometric
            paths
            coarse
            (SdeMethods.driftImplicitEuler :: itoElementwise)
        strongLaw "Ito, diagonal: sinh" SdeProblems.hyperbolic paths finer itoElementwise
        strongLaw "Ito, scalar: arctan" SdeProblems.arctangent paths coarse itoElementwise
        strongLaw "Stratonovich, scalar: geometric" SdeProblems.geometricStratonovich paths coarse stratonovich
        strongLaw "Stratonovich, diagonal: time in both" SdeProblems.growing paths finer stratonovich
        strongLaw "Stratonovich, commutative: complex" SdeProblems.spiral paths coarse stratonovich
        strongLaw "Stratonovich, additive: time in both" SdeProblems.forced<Stratonovich> paths coarse stratonovich
        strongLaw "additive: closed form" SdeProblems.widening<Ito> paths coarse additiveMethods
        strongLaw "additive: nonlinear" SdeProblems.forced<Stratonovich> paths coarse additiveMethods
        strongLaw
            "Ornstein-Uhlenbeck"
            SdeProblems.ornsteinUhlenbeck<Ito>
            paths
            coarse
            (additiveMethods @ [ SdeMethods.eulerMaruyama; SdeMethods.milstein; SdeMethods.driftImplicitEuler ])
        strongLaw "Ito, general" SdeProblems.twisted 200 coarsest [
            SdeMethods.eulerMaruyama
            SdeMethods.milstein
            SdeMethods.milsteinFree
            SdeMethods.driftImplicitEuler
        ]
        strongLaw "Stratonovich, general" SdeProblems.twistedStratonovich 200 coarsest stratonovich
        each "the path's own area in one step" (fun m -> SdeLaws.exactInOneStep m (SdeProblems.heisenberg 50)) [
            SdeMethods.milsteinStratonovich
            SdeMethods.milsteinFreeStratonovich
            SdeMethods.logOde
            SdeMethods.logOdeBy Methods.Midpoint
        ]
        testCase "a method of order 1/2 is not found to have order 1"
        <| fun () ->
            // Euler's drift for the wrong calculus: converges to another process.
            let problem = SdeProblems.geometric paths

            let drift =
                Sde.diagonal<Ito> [] (fun _ y -> y.mul (scalar 0.5)) (fun t y -> problem.Sde.Terms.Diffusion(t, y))

            fails (SdeLaws.strongConvergence SdeMethods.eulerMaruyama { problem with Sde = drift } coarse)
    ]

/// Problems without noise.
let private quiet<'C when 'C :> Calculus> : SdeProblem<'C, ScalarNoise> =
    let y0 = Tensors.ofArray [| 1.0; Math.E |] [| 1L; 2L |] torch.float64 torch.CPU

    let drift (t: Tensor) (y: Tensor) =
        let a, b = y.select (-1L, 0L), y.select (-1L, 1L)
        let twice = t.mul (scalar 2.0)
        torch.stack ([| a.mul(b.log ()).mul twice; b.mul(a.log ()).mul(twice).neg() |], -1L)

    {
        Name = "y1' = 2t y1 ln y2, y2' = -2t y2 ln y1"
        Sde = Sde.scalar<'C> [] drift (fun _ y -> torch.zeros_like y)
        Start = 0.0
        End = 1.0
        Initial = y0
        Level = LevyLevel.Increments
        Exact = fun _ -> Tensors.ofArray [| exp (sin 1.0); exp (cos 1.0) |] [| 1L; 2L |] torch.float64 torch.CPU
    }

let private limits =
    testList "without noise" [
        for method, order in
            [
                SdeMethods.eulerMaruyama, 1
                SdeMethods.milstein, 1
                SdeMethods.milsteinFree, 1
                SdeMethods.srid2, 3
                SdeMethods.driftImplicitEuler, 1
            ] do
            testCase method.Name (fun () -> holds (SdeLaws.deterministicLimit method order quiet))

        for method, order in
            [
                SdeMethods.eulerHeun, 1
                SdeMethods.heun, 2
                SdeMethods.midpoint, 2
                SdeMethods.ralston, 2
                SdeMethods.spark, 2
                SdeMethods.generalShark, 2
                SdeMethods.slowRk, 2
                SdeMethods.logOde, 4
                SdeMethods.reversibleHeun, 2
            ] do
            testCase method.Name (fun () -> holds (SdeLaws.deterministicLimit method order quiet))
    ]

let private convert (problem: SdeProblem<Ito, 'N>) : SdeProblem<Stratonovich, 'N> = {
    Name = problem.Name
    Sde = SdeConversion.toStratonovich problem.Sde
    Start = problem.Start
    End = problem.End
    Initial = problem.Initial
    Level = problem.Level
    Exact = problem.Exact
}

let private convertBack (problem: SdeProblem<Stratonovich, 'N>) : SdeProblem<Ito, 'N> = {
    Name = problem.Name
    Sde = SdeConversion.toIto problem.Sde
    Start = problem.Start
    End = problem.End
    Initial = problem.Initial
    Level = problem.Level
    Exact = problem.Exact
}

let private conversions =
    testList "conversion between calculi" [
        testCase "diagonal"
        <| fun () ->
            let problem = SdeProblems.hyperbolic paths

            holds (
                SdeLaws.agreement SdeMethods.milstein problem SdeMethods.heun (convert problem) [| 16; 32; 64; 128 |]
            )

        testCase "scalar"
        <| fun () ->
            let problem = SdeProblems.arctangent paths
            holds (SdeLaws.agreement SdeMethods.srid2 problem SdeMethods.slowRk (convert problem) coarse)

        testCase "to Ito"
        <| fun () ->
            let problem = SdeProblems.growing paths

            holds (
                SdeLaws.agreement SdeMethods.heun problem SdeMethods.milstein (convertBack problem) [|
                    16
                    32
                    64
                    128
                |]
            )

        testCase "commutative"
        <| fun () ->
            let problem = SdeProblems.spiral paths
            holds (SdeLaws.agreement SdeMethods.slowRk problem SdeMethods.milstein (convertBack problem) coarsest)

        testCase "general"
        <| fun () ->
            let problem = SdeProblems.twisted 100
            holds (SdeLaws.agreement SdeMethods.milstein problem SdeMethods.logOde (convert problem) coarsest)

        testCase "additive noise has one calculus"
        <| fun () ->
            let problem = SdeProblems.forced<Ito> 50
            holds (SdeLaws.agreement SdeMethods.sra1 problem SdeMethods.sra1 (convert problem) [| 4; 8 |])

        testCase "there and back gives the drift again, and its gradient"
        <| fun () ->
            let problem = SdeProblems.twisted 3
            let back = SdeConversion.toIto (SdeConversion.toStratonovich problem.Sde)
            let t = torch.tensor (0.3, dtype = torch.float64)

            let pull (sde: Sde<Ito, GeneralNoise>) =
                let y = problem.Initial.detach().requires_grad_ true
                let f = sde.Terms.Drift(t, y)
                let weights = torch.arange(f.numel (), dtype = torch.float64).reshape f.shape
                let gradient = Autograd.vjp [| f |] [| y |] [| weights |] |> Array.head
                struct (Tensors.toArray f, Tensors.toArray gradient)

            let struct (f, df) = pull problem.Sde
            let struct (f', df') = pull back
            Expect.all (Array.map2 (-) f f') (fun gap -> abs gap < 1e-13) "drift"
            Expect.all (Array.map2 (-) df df') (fun gap -> abs gap < 1e-12) "gradient"

        testCase "the wrong sign would be seen"
        <| fun () ->
            let problem = SdeProblems.hyperbolic paths

            let wrong = {
                convert problem with
                    Sde =
                        Sde.diagonal<Stratonovich> [] (fun t y -> problem.Sde.Terms.Drift(t, y)) (fun t y ->
                            problem.Sde.Terms.Diffusion(t, y))
            }

            fails (SdeLaws.agreement SdeMethods.milstein problem SdeMethods.heun wrong coarse)
    ]

let private probes =
    testList "probes" [
        testCase "commuting noise"
        <| fun () ->
            let problem = SdeProblems.spiral 4
            Expect.isLessThan (SdeProbe.commutes problem.Sde 0.2 problem.Initial) 1e-13 "complex numbers commute"
            let problem = SdeProblems.twisted 4
            Expect.isGreaterThan (SdeProbe.commutes problem.Sde 0.2 problem.Initial) 0.1 "twisted columns do not"

        testCase "additive noise"
        <| fun () ->
            let problem = SdeProblems.widening<Ito> 4
            Expect.equal (SdeProbe.isAdditive problem.Sde 0.2 problem.Initial) 0.0 "additive"
            let problem = SdeProblems.geometric 4
            Expect.isGreaterThan (SdeProbe.isAdditive problem.Sde 0.2 problem.Initial) 0.1 "multiplicative"

        testCase "diagonal noise"
        <| fun () ->
            let problem = SdeProblems.geometric 4
            Expect.equal (SdeProbe.isDiagonal problem.Sde 0.2 problem.Initial) 0.0 "each component its own"
            let mixed = Sde.diagonal<Ito> [] (fun _ y -> y) (fun _ y -> y.flip [| -1L |])
            Expect.isGreaterThan (SdeProbe.isDiagonal mixed 0.2 problem.Initial) 0.9 "each component the other's"
    ]

let private others =
    testList "other laws" [
        testCase "weak order"
        <| fun () ->
            let problem = SdeProblems.geometric 20000

            let strongDrift =
                Sde.diagonal<Ito> [] (fun _ y -> y.mul (scalar 1.5)) (fun t y -> problem.Sde.Terms.Diffusion(t, y))

            let exact (path: TensorBrownian) =
                let sigma = Tensors.vector [| 0.7; 0.5 |]
                let rate = sigma.mul(sigma).mul(scalar -0.5).add(scalar 1.5)
                problem.Initial.mul ((path.Step(0.0, 1.0)).W.mul(sigma).add(rate).exp())

            let problem = { problem with Sde = strongDrift; Exact = exact }
            holds (SdeLaws.weakConvergence SdeMethods.eulerMaruyama problem [| 4; 8; 16; 32 |])

        each "there and back" (fun m -> SdeLaws.roundTrip m (SdeProblems.growing 200) coarse) [
            SdeMethods.heun
            SdeMethods.spark
            SdeMethods.slowRk
            SdeMethods.logOde
        ]
        testCase "there and back with Levy areas"
        <| fun () ->
            holds (SdeLaws.roundTrip SdeMethods.milsteinStratonovich (SdeProblems.twistedStratonovich 100) coarsest)

        each "output" (fun m -> SdeLaws.outputIsASolution m (SdeProblems.growing 5) 7) stratonovich
        each "output, Ito" (fun m -> SdeLaws.outputIsASolution m (SdeProblems.hyperbolic 5) 7) itoElementwise
        each "saves" (fun m -> SdeLaws.savesDisturbNothing m (SdeProblems.growing 5) 1e-2) [
            SdeMethods.heun
            SdeMethods.spark
            SdeMethods.reversibleHeun
        ]
    ]

let private adaptive =
    testList "adaptive steps" [
        each "converge" (fun m -> SdeLaws.adaptiveConvergence m (SdeProblems.growing 20) [| 1e-1; 1e-2; 1e-3 |] 1.8) [
            SdeMethods.heun
            SdeMethods.spark
            SdeMethods.reversibleHeun
            SdeMethods.milsteinStratonovich
        ]

        each
            "converge, Ito"
            (fun m -> SdeLaws.adaptiveConvergence m (SdeProblems.hyperbolic 20) [| 1e-1; 1e-2; 1e-3 |] 2.5)
            [ SdeMethods.milstein; SdeMethods.srid2 ]

        each
            "converge, additive"
            (fun m -> SdeLaws.adaptiveConvergence m (SdeProblems.forced<Ito> 20) [| 1e-1; 1e-2; 1e-3 |] 3.0)
            [ SdeMethods.sra1; SdeMethods.shark ]

        each
            "converge without commuting"
            (fun m -> SdeLaws.adaptiveConvergence m (SdeProblems.heisenberg 20) [| 3e-1; 3e-2; 3e-3 |] 1.8)
            [ SdeMethods.heun; SdeMethods.spark ]

        each "are the method's own" (fun m -> SdeLaws.adaptiveStepsAreSteps m (SdeProblems.growing 4) 1e-2) [
            SdeMethods.heun
            SdeMethods.slowRk
            SdeMethods.spark
            SdeMethods.milsteinStratonovich
        ]

        each "skip nothing they saw" (fun m -> SdeLaws.rejectedEndsAreKept m (SdeProblems.twistedStratonovich 2) 1e-2) [
            SdeMethods.heun
            SdeMethods.spark
        ]

        testCase "a single path's steps chosen by its noise leave the law of the end as it is"
        <| fun () ->
            use _ = torch.NewDisposeScope()
            let problem = SdeProblems.heisenberg 1
            let start = torch.zeros_like problem.Initial

            let options = {
                TensorSdeOptions.adaptive 0.05 0.15 with
                    Differentiation = Differentiation.None
                    InitialStep = ValueSome 1.0
            }

            let mutable rejected = 0

            let areas =
                Array.init 300 (fun i ->
                    use _ = torch.NewDisposeScope()
                    let spec = { BrownianSpec.create 0.0 1.0 2 (uint64 i) with Level = LevyLevel.SpaceTime }
                    use path = TensorBrownian.For(spec, start, 0L)
                    let solution = TensorSde.solve options SdeMethods.spark problem.Sde path 0.0 1.0 start
                    rejected <- rejected + solution.EnsureSuccess().Statistics.Rejected
                    // y3 - y1 y2 / 2 is the Levy area: mean 0, variance 1/4, kurtosis 5.
                    let y = Tensors.toArray solution.Final
                    y[2] - 0.5 * y[0] * y[1])

            let mean = Array.average areas
            let variance = areas |> Array.averageBy (fun a -> (a - mean) * (a - mean))
            Expect.isGreaterThan rejected 100 "rejected steps"
            Expect.isLessThan (abs mean) (4.0 * sqrt (0.25 / 300.0)) $"mean of the area {mean}"

            Expect.isLessThan
                (abs (variance - 0.25))
                (4.0 * 0.25 * sqrt (4.0 / 300.0))
                $"variance of the area {variance}"

        testCase "the first step is chosen, and MaxStep and MinStep are kept"
        <| fun () ->
            use _ = torch.NewDisposeScope()
            let problem = SdeProblems.growing 20
            let options = { TensorSdeOptions.adaptive 1e-2 1e-2 with MaxStep = 0.01 }
            let solution = TensorSde.simulate options SdeMethods.spark problem.Sde 3UL 0.0 1.0 problem.Initial
            Expect.isLessThanOrEqual (solution.EnsureSuccess().Statistics.LargestStep) 0.01 "longest step"
            let options = { TensorSdeOptions.adaptive 1e-7 1e-7 with MinStep = 1e-3 }
            let solution = TensorSde.simulate options SdeMethods.spark problem.Sde 3UL 0.0 1.0 problem.Initial
            Expect.equal solution.Status Status.StepTooSmall solution.Message
    ]

let tests = testList "stochastic equations" [ strong; limits; conversions; probes; others; adaptive ]
