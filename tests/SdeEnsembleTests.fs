/// Ensembles of stochastic equations on arrays: lanes against single solves, failures that stay alone, statistics against closed forms.
module SdeEnsembleTests

open System
open System.Threading
open Continuum
open Continuum.Properties
open Expecto
open SdeArrayProblems
open SdeArrayProblems.Equations

// -------------------------------------------------------------------------------------------------------------- ensembles

let private members =
    testList "ensemble" [
        test "scalar noise, one component, all ways to save" {
            let problem = { paths 300 [| 1.0 |] with FirstPath = 1000L }

            for save in [ EndOnly; Times [| 0.0; 0.013; 0.5; 0.77 |]; StepValues [| 0.03; 0.5 |]; EverySteps ] do
                laws { steps 16 with SaveAt = save } SdeMethods.eulerMaruyama price problem

            laws { steps 16 with SaveAt = Times [| 0.2; 1.0 |] } SdeMethods.srid2 price problem
            laws (steps 16) SdeMethods.milstein price problem
            laws (steps 16) SdeMethods.milsteinFree price problem
        }

        test "diagonal noise with initial states and parameters of each path" {
            let problem = { paths 150 [||] with Initial = spread 150 2; Parameters = spread 150 4 }

            laws { steps 10 with SaveAt = Times [| 0.25; 0.3 |] } SdeMethods.milstein geometric problem
            laws (steps 10) SdeMethods.srid2 geometric problem
        }

        test "one Brownian motion for two components" {
            laws (steps 10) SdeMethods.milstein circle (paths 100 [| 1.0; 0.0 |])
        }

        test "general noise with Levy area, both calculi" {
            let problem = paths 100 [| 1.0; 0.5 |]
            laws { steps 6 with SaveAt = Times [| 0.4 |] } SdeMethods.milstein (swirl ()) problem
            laws (steps 6) SdeMethods.milsteinFree (swirl ()) problem
            laws (steps 6) SdeMethods.logOde (swirl ()) problem
            laws (steps 6) SdeMethods.spark (swirl ()) problem
        }

        test "additive noise, and a step that does not divide the span" {
            let sde = GenericSde.additive<Ito, _> [| 2.0; 1.0; 0.3 |] (MeanReverting())
            laws (ArraySdeOptions.fixedSteps 0.3) SdeMethods.sra1 sde (paths 100 [| 0.0 |])
        }

        test "backward, and steps that are not the path's cells" {
            let spec = BrownianSpec.fixedSteps 0.0 1.0 4 1 5UL
            let options = { steps 10 with SaveAt = Times [| 0.9; 0.33 |] }
            let back = { paths 100 [| 1.0 |] with Start = 1.0; End = 0.0 }
            SdeEnsembleLaws.all options SdeMethods.milstein price spec back |> Array.iter holds
        }

        test "adaptive steps and the drift-implicit method, path by path" {
            laws
                { ArraySdeOptions.adaptive 1e-2 1e-2 with SaveAt = Times [| 0.3; 1.0 |] }
                SdeMethods.milstein
                price
                (paths 40 [| 1.0 |])

            laws (steps 8) SdeMethods.driftImplicitEuler price (paths 40 [| 1.0 |])
        }

        test "correlated noise" {
            let spec = {
                BrownianSpec.fixedSteps 0.0 1.0 16 2 5UL with
                    Correlation = array2D [ [ 1.0; 0.8 ]; [ 0.8; 1.0 ] ]
            }

            let problem = paths 20_000 [| 1.0; 1.0 |]

            holds (
                SdeEnsembleLaws.memberIsSingleSolve (steps 16) SdeMethods.milstein geometric spec {
                    problem with
                        Count = 100
                }
            )

            let solution = SdeEnsemble.solve (steps 16) one SdeMethods.milstein geometric spec problem
            let logs = Array.init 2 (fun c -> solution.Final.Component c |> Array.map log)
            let centred = logs |> Array.map (fun x -> x |> Array.map (fun v -> v - Array.average x))
            let moment a b = Array.map2 (*) centred[a] centred[b] |> Array.average
            let correlation = moment 0 1 / sqrt (moment 0 0 * moment 1 1)
            Expect.isLessThan (abs (correlation - 0.8)) 0.02 $"correlation of the logarithms {correlation}"
        }
    ]

let private failures =
    testList "failures" [
        test "a path that explodes leaves the others alone and tells what a solve of its own tells" {
            let sde = GenericSde.scalar<Ito, _> [| 0.0 |] (Exploding())
            let parameters = Array.init 200 (fun i -> [| (if i % 7 = 3 then 60.0 else -0.5) |])
            let problem = { paths 200 [| 1.0 |] with Parameters = parameters }
            let options = { steps 20 with SaveAt = Times [| 0.1; 0.5 |] }
            laws options SdeMethods.eulerMaruyama sde problem
            let solution = SdeEnsemble.simulate options one SdeMethods.eulerMaruyama sde 7UL problem
            Expect.equal solution.Failed 29 "failed paths"
            Expect.equal solution.Failures[1].Path 10 "the second"
            Expect.equal (solution.Status 3) Status.NonFinite (solution.Message 3)
            Expect.isLessThan (solution.FinalTime 3) 1.0 "time reached"
            Expect.isTrue (Double.IsNaN (solution.Samples[1].State 3).[0]) "a time that it did not reach"
            Expect.equal solution.Final.Statistics.Count 171L "statistics are over the others"
            Expect.isTrue (Double.IsFinite solution.Final.Statistics.Mean[0]) "mean of the others"
            Expect.equal (solution.Final.Component(0).Length) 171 "values of the others"
        }

        test "NaN in an initial state fails that path alone" {
            let initial = Array.init 50 (fun i -> [| (if i = 20 then nan else 1.0) |])
            let problem = { paths 50 [||] with Initial = initial }
            let solution = SdeEnsemble.simulate (steps 5) one SdeMethods.milstein price 7UL problem
            Expect.equal solution.Failed 1 "failed"
            Expect.equal (solution.Status 20) Status.NonFinite "status"
            Expect.stringContains (solution.Message 20) "initial state" "message"
        }

        test "an exception of the equation is the status of its path" {
            let sde = GenericSde.scalar<Ito, _> [||] (Throwing [| 0 |])
            let solution = SdeEnsemble.simulate (steps 5) one SdeMethods.eulerMaruyama sde 7UL (paths 256 [| 1.0 |])
            Expect.equal (solution.Status 255) Status.FieldThrew (solution.Message 255)
            Expect.stringContains (solution.Message 255) "enough" "message"
            Expect.equal (solution.Status 0) Status.Success "the first block was ready before"
        }

        test "too few steps allowed" {
            let options = { steps 100 with MaxSteps = 10 }
            let solution = SdeEnsemble.simulate options one SdeMethods.eulerMaruyama price 7UL (paths 10 [| 1.0 |])
            Expect.equal solution.Failed 10 "failed"
            Expect.equal (solution.Status 0) Status.MaxStepsReached "status"
        }

        test "cancellation" {
            use source = new CancellationTokenSource()
            let options = { steps 50 with Cancellation = source.Token }
            let mutable seen = 0

            let progress (report: EnsembleReport) =
                seen <- report.Completed
                source.Cancel()

            let ensemble = { one with Progress = Action<_> progress }

            let solution =
                SdeEnsemble.simulate options ensemble SdeMethods.eulerMaruyama price 7UL (paths 1000 [| 1.0 |])

            Expect.equal (solution.Status 0) Status.Success "the first block"
            Expect.equal (solution.Status 999) Status.Cancelled "the last one"
            Expect.isTrue (Double.IsNaN (solution.FinalState 999).[0]) "no state"
            Expect.equal seen 1000 "progress counts cancelled paths too"
            Expect.equal (int solution.Final.Statistics.Count + solution.Failed) 1000 "all are accounted for"
        }
    ]

// ------------------------------------------------------------------------------------------------------------- statistics

let private within (errors: float) (what: string) (value: float) (expected: float) (standardError: float) =
    Expect.isLessThan
        (abs (value - expected))
        (errors * standardError)
        $"{what}: {value} against {expected}, standard error {standardError:e2}"

let private statistics =
    testList "statistics" [
        test "mean, variance and quantiles of geometric Brownian motion" {
            let solution =
                SdeEnsemble.simulate
                    (steps 50)
                    SdeEnsembleOptions.Default
                    SdeMethods.srid2
                    price
                    19UL
                    (paths 40_000 [| 1.0 |])

            let s = solution.Final.Statistics
            let variance = exp 0.1 * (exp 0.16 - 1.0)
            within 4.0 "mean" s.Mean[0] (exp 0.05) s.StandardError[0]
            // the kurtosis of this lognormal makes the variance's standard error some three times a Gaussian's
            within 4.0 "variance" s.Variance[0] variance (3.0 * variance * sqrt (2.0 / 40000.0))
            let quantiles = solution.Final.Quantiles(0, [| 0.0; 0.1; 0.5; 0.9; 1.0 |])
            let exact z = exp (0.05 - 0.08 + 0.4 * z)

            for (value, z, density) in
                [
                    quantiles[1], -1.2815516, 0.17549833
                    quantiles[2], 0.0, 0.39894228
                    quantiles[3], 1.2815516, 0.17549833
                ] do
                let p = 0.5 * (1.0 + float (sign z) * 0.8)
                within 4.0 $"quantile {p}" value (exact z) (sqrt (p * (1.0 - p) / 40000.0) / density * 0.4 * exact z)

            Expect.equal quantiles[0] s.Minimum[0] "smallest"
            Expect.equal quantiles[4] s.Maximum[0] "largest"
        }

        test "mean and covariance in time of a mean-reverting process" {
            let sde = GenericSde.additive<Ito, _> [| 2.0; 1.0; 0.6 |] (MeanReverting())
            let options = { steps 100 with SaveAt = Times [| 0.25; 0.5; 1.0 |] }

            let solution =
                SdeEnsemble.simulate
                    options
                    { one with Keep = SdeKeep.Moments }
                    SdeMethods.sra1
                    sde
                    23UL
                    (paths 20_000 [| -1.0 |])

            for sample in solution.Samples do
                let t = sample.Time
                let s = sample.Statistics
                let variance = 0.36 / 4.0 * (1.0 - exp (-4.0 * t))
                within 4.0 $"mean at {t}" s.Mean[0] (1.0 - 2.0 * exp (-2.0 * t)) s.StandardError[0]
                within 4.0 $"variance at {t}" s.Variance[0] variance (variance * sqrt (2.0 / 20000.0))
        }

        test "the square-root diffusion stays positive by the drift-implicit method on its root" {
            // Alfonsi 2005; Dereich, Neuenkirch and Szpruch 2012: the implicit equation has one positive solution where a > 0.
            let kappa, theta, xi = 2.0, 0.09, 0.5
            let sde = GenericSde.additive<Ito, _> [| kappa; theta; xi |] (RootOfSquareRootDiffusion())

            let solution =
                SdeEnsemble.simulate
                    { steps 100 with SaveAt = EverySteps }
                    one
                    SdeMethods.driftImplicitEuler
                    sde
                    29UL
                    (paths 1500 [| 0.3 |])

            Expect.equal solution.Failed 0 "failed"
            let smallest = solution.Samples |> Array.map (fun sample -> sample.Statistics.Minimum[0]) |> Array.min
            Expect.isGreaterThan smallest 0.0 $"smallest root {smallest}"
            let v = solution.Final.Component 0 |> Array.map (fun x -> x * x)
            let mean = Array.average v

            let variance =
                theta * xi * xi / (2.0 * kappa) * (1.0 - exp (-kappa)) ** 2.0
                + 0.09 * xi * xi / kappa * (exp (-kappa) - exp (-2.0 * kappa))

            within 4.0 "mean of v" mean 0.09 (sqrt (variance / 1500.0) + 2e-4)
        }

        test "covariance, histogram and bands agree with a count by hand" {
            let options = { steps 4 with SaveAt = Times [| 0.5; 1.0 |] }

            let solution =
                SdeEnsemble.simulate options one SdeMethods.eulerMaruyama geometric 3UL (paths 1001 [| 1.0; 2.0 |])

            let sample = solution.Samples[1]
            let x = Array.init 2 sample.Component
            let mean = x |> Array.map Array.average
            let covariance = (Array.map2 (fun a b -> (a - mean[0]) * (b - mean[1])) x[0] x[1] |> Array.sum) / 1000.0
            let s = sample.Statistics
            Expect.floatClose Accuracy.high s.Mean[1] mean[1] "mean"
            Expect.floatClose Accuracy.high s.Covariance[0, 1] covariance "covariance"
            Expect.equal s.Covariance[0, 1] s.Covariance[1, 0] "symmetric"
            let edges = [| 0.5; 1.0; 1.5 |]
            let histogram = sample.Histogram(0, edges)
            let count low high = x[0] |> Array.filter (fun v -> v >= low && v < high) |> Array.length |> int64
            Expect.equal histogram.Counts [| count 0.5 1.0; count 1.0 1.5 |] "counts"
            Expect.equal (histogram.Below + histogram.Above + Array.sum histogram.Counts) 1001L "all values"
            let bands = solution.Bands(0, [| 0.5 |])
            let sorted = Array.sort x[0]
            Expect.equal bands[1].[0] sorted[500] "median"
        }

        test "moments need no room for paths, and say so where states are asked for" {
            let solution =
                SdeEnsemble.simulate
                    (steps 4)
                    { one with Keep = SdeKeep.Moments }
                    SdeMethods.eulerMaruyama
                    price
                    3UL
                    (paths 500 [| 1.0 |])

            Expect.throwsT<InvalidOperationException>
                (fun () -> solution.Final.Quantiles(0, [| 0.5 |]) |> ignore)
                "quantiles"

            Expect.throwsT<InvalidOperationException> (fun () -> solution.FinalStates.ToArray() |> ignore) "states"
        }

        test "an ensemble allocates for its results, not for its steps" {
            let allocated count =
                let solve () = SdeEnsemble.simulate (steps 200) one SdeMethods.srid2 price 3UL (paths count [| 1.0 |])
                solve () |> ignore
                let before = GC.GetAllocatedBytesForCurrentThread()
                solve () |> ignore
                GC.GetAllocatedBytesForCurrentThread() - before

            let more = allocated 12_800 - allocated 1280
            // 8 bytes for each final state, and a few hundred for each block of paths
            Expect.isLessThan more (11_520L * 40L) $"{more} bytes for 11520 paths of 200 steps"
        }
    ]

let tests = testList "ensembles of stochastic equations on arrays" [ members; failures; statistics ]
