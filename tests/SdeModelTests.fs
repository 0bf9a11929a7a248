module SdeModelTests

open System
open System.IO
open System.Threading
open Continuum
open Continuum.Properties
open Expecto
open TorchSharp
open SdeModelData

let private quick = {
    NeuralSdeOptions.Default with
        HalfLives = [||]
        Loop = {
            NeuralSdeOptions.Default.Loop with
                Iterations = 24
                BatchSize = 128
                LearningRate = 0.01
        }
}

let private fit options (paths: ObservedPath[]) = NeuralSdeFit.run options "time" columns paths null never

let private transitionTests =
    testList "TransitionLikelihood" [
        let density (d: TransitionDensity) = [
            test $"{d}: order against the Ornstein-Uhlenbeck closed form" {
                let theta, level, s = 0.7, 0.5, 0.8

                SdeModelLaws.transitionOrder
                    d
                    "Ornstein-Uhlenbeck"
                    (SdeModelLaws.ornsteinUhlenbeck theta level (array2D [ [ s ] ]))
                    1.5
                    (fun h ->
                        let keep = exp (-theta * h)
                        struct (level + keep * (1.5 - level), s * s * (1.0 - keep * keep) / (2.0 * theta)))
                |> holds
            }

            test $"{d}: order against geometric Brownian motion" {
                let mu, s, x = 0.4, 0.5, 1.3

                SdeModelLaws.transitionOrder d "geometric Brownian motion" (SdeModelLaws.geometric mu s) x (fun h ->
                    let mean = x * exp (mu * h)
                    struct (mean, mean * mean * (exp (s * s * h) - 1.0)))
                |> holds
            }
        ]

        yield! density TransitionDensity.Euler
        yield! density TransitionDensity.Midpoint

        test "densities integrate a correlated pair as its closed form does" {
            use _ = torch.NewDisposeScope()
            let factor = array2D [ [ 0.5; 0.0 ]; [ 0.3; 0.4 ] ]
            let row (values: float[]) = Tensors.ofArray values [| 1L; 2L |] torch.float64 torch.CPU
            let coefficients = SdeModelLaws.ornsteinUhlenbeck 0.0 0.0 factor
            let h = Tensors.ofArray [| 2.0 |] [| 1L; 1L |] torch.float64 torch.CPU

            for density in [ TransitionDensity.Euler; TransitionDensity.Midpoint ] do
                let struct (mean, l) = TransitionLikelihood.moments density coefficients (row [| 0.0; 0.0 |]) h
                let value = Tensors.toFloat (TransitionLikelihood.logDensity mean l (row [| 0.3; -0.2 |]))
                // z = L^-1 y / sqrt 2.
                let z1 = 0.3 / 0.5 / sqrt 2.0
                let z2 = (-0.2 / sqrt 2.0 - 0.3 * z1) / 0.4
                let exact = -0.5 * (z1 * z1 + z2 * z2) - log (2.0 * Math.PI) - log (0.5 * 0.4 * 2.0)
                Expect.floatClose Accuracy.high value exact $"{density}"
        }

        test "states and steps of the wrong shape are refused with both shapes" {
            let text =
                message<ArgumentException>(fun () ->
                    use _ = torch.NewDisposeScope()
                    let x = torch.zeros ([| 3L; 2L |], dtype = Nullable torch.float64)
                    let h = torch.zeros ([| 2L; 1L |], dtype = Nullable torch.float64)
                    let coefficients = SdeModelLaws.geometric 0.1 0.1
                    TransitionLikelihood.moments TransitionDensity.Euler coefficients x h |> ignore)

            Expect.stringContains text "[3, 2]" "states"
            Expect.stringContains text "[2, 1]" "steps"
        }
    ]

let private baselineTests =
    testList "GeometricBrownian" [
        test "closed form of two transitions of different length" {
            let path = {
                Times = [| 0.0; 1.0; 3.0 |]
                Values = array2D [ [ 1.0 ]; [ exp 0.3 ]; [ exp 0.1 ] ]
            }

            let model = GeometricBrownian.fit true [| "x" |] [| path |]
            // Increments 0.3 over 1 and -0.2 over 2: drift 0.1/3.
            let m = 0.1 / 3.0
            let v = (((0.3 - m) ** 2.0) + ((-0.2 - 2.0 * m) ** 2.0) / 2.0) / 2.0
            Expect.floatClose Accuracy.high model.Drift[0] m "drift"
            Expect.floatClose Accuracy.high model.Covariance[0, 0] v "variance"
            let exact h r = -0.5 * log (2.0 * Math.PI * v * h) - (r - m * h) ** 2.0 / (2.0 * v * h)
            let found = GeometricBrownian.logDensities model [| path |]
            Expect.floatClose Accuracy.high found[0] (exact 1.0 0.3) "first density"
            Expect.floatClose Accuracy.high found[1] (exact 2.0 -0.2) "second density"
        }

        test "simulated increments have the drift and covariance of the model; split batches; saved and loaded" {
            let model = GeometricBrownian.fit false columns [| data |]

            let simulate first count =
                GeometricBrownian.simulate model [| 1.0; 2.0 |] 0.0 [| 0.5; 2.0 |] 3UL first count

            SdeModelLaws.splitPaths "geometric Brownian motion" simulate 10 4 |> holds
            let paths = simulate 0 4000
            let moved j = Array.init 4000 (fun p -> paths[p, 1, j] - paths[p, 0, j])
            let a, b = moved 0, moved 1
            let mean = Array.average a
            let deviation = sqrt (model.Covariance[0, 0] * 1.5 / 4000.0)
            Expect.isLessThan (abs (mean - 1.5 * model.Drift[0])) (4.0 * deviation) $"mean {mean}"

            let cross =
                Array.map2 (fun x y -> (x - 1.5 * model.Drift[0]) * (y - 1.5 * model.Drift[1])) a b |> Array.average

            let expected = 1.5 * model.Covariance[0, 1]
            Expect.isLessThan (abs (cross / expected - 1.0)) 0.15 $"covariance {cross}, {expected} expected"
            let file = temporary ()

            try
                GeometricBrownian.save file model
                Expect.equal (GeometricBrownian.load file) model "loaded"
            finally
                File.Delete file
        }

        test "it is the maximum: any other drift or covariance is less likely" {
            let model = GeometricBrownian.fit false columns [| data |]
            let likelihood (m: GeometricBrownian) = GeometricBrownian.logDensities m [| data |] |> Array.sum
            let best = likelihood model

            for factor in [ 0.98; 1.02 ] do
                let scaled = {
                    model with
                        Covariance = model.Covariance |> Array2D.map (fun v -> v * factor)
                }

                Expect.isLessThan (likelihood scaled) best $"covariance times {factor}"

                let moved = {
                    model with
                        Drift = model.Drift |> Array.map (fun v -> v + 0.1 * (factor - 1.0))
                }

                Expect.isLessThan (likelihood moved) best $"drift moved by {0.1 * (factor - 1.0)}"
        }
    ]

let private neuralTests =
    testList "NeuralSde" [
        test "the memory holds weighted means of increments and of their products, and the last increments" {
            use _ = torch.NewDisposeScope()
            use memory = new PathMemory([| 1.0; 3.0 |], 2, 2, [| 1.0; 0.5; 0.5; 1.0 |])
            let row (values: float[]) = Tensors.ofArray values [| 1L; 2L |] torch.float64 torch.CPU
            // Two steps, of length 1 and 4: increments over the root of their step.
            let one, two = [| 0.6; -0.4 |], [| 0.5; 1.5 |]
            let state = memory.Update(memory.Initial 1L, row one, 1.0)
            let found = Tensors.toArray (memory.Update(state, row [| 1.0; 3.0 |], 4.0))

            let mix life start (first: float) (second: float) =
                let a, b = Math.Pow(2.0, -1.0 / life), Math.Pow(2.0, -4.0 / life)
                b * (a * start + (1.0 - a) * first) + (1.0 - b) * second

            let expected = [|
                for life in [ 1.0; 3.0 ] do
                    for j in 0..1 -> mix life 0.0 (one[j]) (two[j])

                for life in [ 1.0; 3.0 ] do
                    for i in 0..1 do
                        for j in 0..1 -> mix life (if i = j then 1.0 else 0.5) (one[i] * one[j]) (two[i] * two[j])

                yield! two
                yield! one
            |]

            Expect.equal found.Length expected.Length "size"

            for k in 0 .. found.Length - 1 do
                Expect.floatClose Accuracy.high found[k] expected[k] $"number {k}"
        }

        test "the level is seen where values return to a mean, and then nothing holds them back" {
            let random = Random 5
            let normal () = sqrt (-2.0 * log (1.0 - random.NextDouble())) * cos (2.0 * Math.PI * random.NextDouble())
            let walk count = Array.init count (fun _ -> normal ()) |> Array.scan (+) 0.0

            let rejected = Seq.init 400 (fun _ -> UnitRoot.returns [| walk 250 |]) |> Seq.filter id |> Seq.length
            Expect.isLessThan rejected 13 "random walks: one in a hundred"

            // Around 1 with rate 2 and standard deviation 0.1, positive, so that logarithms are modelled.
            let returning =
                let keep = exp (-2.0 * 0.05)
                let noise = 0.1 * sqrt (1.0 - keep * keep)
                Array.scan (fun x _ -> 1.0 + keep * (x - 1.0) + noise * normal ()) 1.0 (Array.zeroCreate<unit> 600)

            let path (values: float[]) : ObservedPath = {
                Times = Array.init values.Length (fun k -> 0.05 * float k)
                Values = Array2D.init values.Length 1 (fun k _ -> values[k])
            }

            let run (values: float[]) iterations =
                let options = {
                    NeuralSdeOptions.Default with
                        Loop.Iterations = iterations
                        Loop.Patience = 0
                }

                (NeuralSdeFit.run options "t" [| "x" |] [| path values |] null never).Model

            use walking = run (walk 600 |> Array.map (fun x -> exp (0.01 * x))) 1
            Expect.isFalse walking.Config.Level "a price does not see its level"
            use model = run returning 300

            Expect.isTrue
                (model.Config.Level && model.Config.Logarithm)
                "it is modelled by its logarithm and sees its level"

            let far = model.Simulate(ValueNone, [| 100.0 |], 3UL, 0, 400, 1)
            let values = Array.init 400 (fun p -> far[p, 0, 0])
            let mean = Array.average values
            let spread = values |> Array.averageBy (fun v -> (v - mean) * (v - mean)) |> sqrt
            Expect.isLessThan (abs (mean - 1.0)) 0.05 $"mean {mean} long after, 1 expected"
            Expect.isTrue (spread > 0.06 && spread < 0.16) $"standard deviation {spread} long after, 0.1 expected"
        }

        test "finds drift, volatility and correlation of an Ornstein-Uhlenbeck pair" {
            let options = {
                quick with
                    Hidden = [||]
                    ValidationFraction = 0.0
                    Loop = { quick.Loop with Iterations = 150; LearningRate = 0.03; WeightDecay = 0.0 }
            }

            let result = fit options [| ornsteinUhlenbeck 2000 3 (fun i -> if i % 3 = 0 then 0.6 else 0.3) |]
            use model = result.Model
            use _ = torch.NewDisposeScope()
            use _ = torch.no_grad ()
            let c = model.Config
            let point (a: float) (b: float) = [| c.ToScaled(0, a); c.ToScaled(1, b) |]

            let x =
                Tensors.ofArray (Array.append (point 1.0 -2.0) (point 1.5 -1.5)) [| 2L; 2L |] torch.float64 torch.CPU

            let struct (f, l) = model.Network.Coefficients(null, x, null)
            let f, l = Tensors.toArray f, Tensors.toArray l
            let unit j = c.Scale[j] / c.TimeUnit
            // Drift 0 at the level, -0.25 half a unit above it.
            Expect.isLessThan (abs (f[0] * unit 0)) 0.06 "drift at the level"
            Expect.isLessThan (abs (f[2] * unit 0 + 0.25)) 0.06 $"drift above the level: {f[2] * unit 0}"
            let volatility = l[0] * c.Scale[0] / sqrt c.TimeUnit
            Expect.isLessThan (abs (volatility - 0.4)) 0.03 $"volatility {volatility}, 0.4 expected"
            let rho = l[2] / sqrt (l[2] * l[2] + l[3] * l[3])
            Expect.isLessThan (abs (rho - 0.6)) 0.06 $"correlation {rho}, 0.6 expected"
            let gain = result.BaselineTrainingLoss - result.TrainingLoss
            Expect.isGreaterThan gain 0.05 $"gain of {gain} over Brownian motion with drift"
        }

        test "volatility that comes in clusters is seen: better than geometric Brownian motion on data kept back" {
            let all = prices 1200
            let options = { quick with HalfLives = [| 5.0; 20.0 |] }
            let result = NeuralSdeFit.run options "day" [| "price" |] [| all.Slice(0, 900) |] null never
            use model = result.Model
            let baseline = GeometricBrownian.fit true [| "price" |] [| all.Slice(0, 900) |]
            let tail values = Array.skip 899 values |> Array.average
            let gain = tail (model.LogDensities all) - tail (GeometricBrownian.logDensities baseline [| all |])
            Expect.isGreaterThan gain 0.02 $"gain {gain} per transition"
            // And the simulated paths have the clusters.
            let paths = model.Simulate(ValueNone, Array.init 200 (fun k -> 900.0 + float k), 1UL, 0, 100, 1)
            let returns = PathMetrics.increments true paths
            let squares = PathMetrics.autocorrelation 3 true returns
            Expect.isGreaterThan squares[0, 0] 0.03 $"autocorrelation of squares {squares[0, 0]}"
        }

        test "same seed, same model; interrupted and resumed, the same model; saved and loaded, the same paths" {
            let times = Array.init 5 (fun k -> 1000.0 + float k)
            let simulate (model: NeuralSdeModel) = bits (model.Simulate(ValueNone, times, 3UL, 0, 4, 2))
            let file = temporary ()

            try
                let whole =
                    use model = (fit quick [| data |]).Model
                    simulate model

                use source = new CancellationTokenSource()

                let stop =
                    Action<TrainingReport>(fun report ->
                        if report.Iteration = 17 then
                            source.Cancel())

                let kept = {
                    quick with
                        Loop = { quick.Loop with CheckpointPath = file; Resume = true; CheckpointEvery = 7 }
                }

                Expect.throwsT<OperationCanceledException>
                    (fun () -> NeuralSdeFit.run kept "time" columns [| data |] stop source.Token |> ignore)
                    "cancelled"

                use resumed = (fit kept [| data |]).Model
                Expect.equal (simulate resumed) whole "resumed"

                let text =
                    message<ArgumentException>(fun () -> fit { kept with Penalty = Nullable 3.0 } [| data |] |> ignore)

                Expect.stringContains text "penalty" "other options are refused by name"
                let text = message<ArgumentException>(fun () -> fit kept [| data.Slice(0, 300) |] |> ignore)
                Expect.stringContains text "data" "other data are refused"
                resumed.Save file
                use loaded = NeuralSdeModel.Load file
                Expect.equal (simulate loaded) whole "loaded"
                let text = message<InvalidDataException>(fun () -> LatentSdeModel.Load file |> ignore)
                Expect.stringContains text "neural-sde" "another kind of model is refused"
            finally
                File.Delete file
        }

        test "paths do not depend on how the batch is split" {
            use model =
                (fit
                    {
                        quick with
                            HalfLives = [| 4.0 |]
                            Lags = 2
                            TimeInput = true
                            Loop = { quick.Loop with Iterations = 4 }
                    }
                    [| data |])
                    .Model

            let times = Array.init 6 (fun k -> model.LastTime + 0.5 * float (k + 1))
            let simulate first count = model.Simulate(ValueNone, times, 9UL, first, count, 2)
            SdeModelLaws.splitPaths "neural SDE" simulate 10 3 |> holds
            let history = model.Simulate(ValueSome(data.Slice(0, 390)), [| data.Times[389] + 1.0 |], 9UL, 0, 2, 1)
            Expect.isTrue (history |> Seq.cast<float> |> Seq.forall Double.IsFinite) "from a history"
        }

        test "independent noise is a diagonal equation, correlated noise a general one" {
            let quick = { quick with Loop = { quick.Loop with Iterations = 1 } }
            use one = (fit { quick with Correlated = false } [| data |]).Model
            Expect.equal (one.Network.DiagonalSde null).Terms.Noise NoiseKind.Diagonal "diagonal"
            Expect.throwsT<InvalidOperationException> (fun () -> one.Network.Sde null |> ignore) "no matrix"
            use two = (fit quick [| data |]).Model
            Expect.equal (two.Network.Sde null).Terms.NoiseSize 2 "two Brownian motions"
        }

        test "no tensor is left over" {
            let run () =
                use model =
                    (fit { quick with HalfLives = [| 4.0 |]; Loop = { quick.Loop with Iterations = 3 } } [| data |])
                        .Model

                model.Simulate(ValueNone, [| model.LastTime + 1.0 |], 1UL, 0, 3, 1) |> ignore
                model.LogDensities data |> ignore
                model.Volatilities data |> ignore

            run ()
            let before = Tensors.live ()
            run ()
            Expect.equal (Tensors.live ()) before "live tensors"
        }

        test "bad input is refused by name" {
            let refused text options (paths: ObservedPath[]) =
                let found = message<ArgumentException>(fun () -> (fit options paths).Model |> ignore)
                Expect.stringContains found text found

            let change (f: ObservedPath -> ObservedPath) = [| f data |]

            let set i j value =
                change (fun d -> {
                    d with
                        Values = d.Values |> Array2D.mapi (fun r c v -> if r = i && c = j then value else v)
                })

            refused "rows" quick (change (fun d -> d.Slice(0, 5)))

            refused
                "do not rise"
                quick
                (change (fun d -> {
                    d with
                        Times = d.Times |> Array.mapi (fun i t -> if i = 7 then d.Times[6] else t)
                }))

            refused "row 12" quick (set 12 1 nan)
            refused "logarithm" { quick with Logarithm = Nullable true } [| data |]

            refused
                "'b'"
                quick
                (change (fun d -> {
                    d with
                        Values = d.Values |> Array2D.mapi (fun _ c v -> if c = 1 then 3.0 else v)
                }))

            refused
                "combination"
                quick
                (change (fun d -> {
                    d with
                        Values = d.Values |> Array2D.mapi (fun r c v -> if c = 1 then 2.0 * d.Values[r, 0] else v)
                }))

            refused "HalfLives" { quick with HalfLives = [| -1.0 |] } [| data |]
            refused "no series" quick [||]
            use model = (fit { quick with Loop = { quick.Loop with Iterations = 1 } } [| data |]).Model

            let text =
                message<ArgumentException>(fun () -> model.Simulate(ValueNone, [| 0.0 |], 1UL, 0, 1, 1) |> ignore)

            Expect.stringContains text "not after" text
        }
    ]

let tests =
    testSequenced (testList "Models of transitions" [ transitionTests; baselineTests; neuralTests ])
