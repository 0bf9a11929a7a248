/// Generative models of the time-dependent Ornstein-Uhlenbeck process dX = (0.02 t - 0.1 X) dt + 0.4 dW: an SDE-GAN and a latent SDE beside
/// fitted Brownian motion with drift, judged on paths that they have not seen.
module Continuum.Bench.StudyPaths

open System
open System.Threading
open Continuum
open Continuum.Bench.Measure
open TorchSharp

let private slope, rate, noise = 0.02, 0.1, 0.4
let private steps = 31

/// Paths from their exact transitions over steps of 1, started from half a standard normal number: values at 0, 1, ..., 31.
let private simulate (seed: uint64) (count: int) : ObservedPath[] =
    let spec = BrownianSpec.fixedSteps 0.0 (float (steps + 1)) (steps + 1) 1 seed
    use brownian = new TensorBrownian(spec, [| int64 count |], 0L, torch.float64, torch.CPU)

    let normals =
        Array.init (steps + 1) (fun k ->
            use w = brownian.Step(float k, float (k + 1)).W
            Tensors.toArray w)

    let keep = exp -rate
    let deviation = noise * sqrt ((1.0 - keep * keep) / (2.0 * rate))
    // The particular solution of the mean.
    let mean t = slope * (t / rate - 1.0 / (rate * rate))

    Array.init count (fun p ->
        let x = Array.zeroCreate (steps + 1)
        x[0] <- 0.5 * normals[0].[p]

        for k in 1..steps do
            let t = float (k - 1)
            x[k] <- mean (t + 1.0) + keep * (x[k - 1] - mean t) + deviation * normals[k].[p]

        {
            Times = Array.init (steps + 1) float
            Values = Array2D.init (steps + 1) 1 (fun k _ -> x[k])
        })

let private values (paths: ObservedPath[]) =
    Array3D.init paths.Length (steps + 1) 1 (fun p k _ -> paths[p].Values[k, 0])

let private report (settings: Settings) variant seconds (simulated: float[,,]) (observed: float[,,]) =
    let text (d: PathDistance) = $"{d.Value:F3} (chance {d.Chance:F3}, p {d.PValue:F2})"
    let changes = PathMetrics.increments false
    let ks = PathMetrics.marginalDistance true 100 1 simulated observed

    let signature =
        PathMetrics.signatureDiscrepancy { SignatureKernel.defaults with Normalise = true } 100 1 simulated observed

    let correlation =
        PathMetrics.autocorrelationDistance 5 false 100 1 (changes simulated) (changes observed)

    print settings {
        line "study_paths" variant 1 seconds with
            Notes =
                $"Kolmogorov-Smirnov {text ks}, signature MMD {signature.Value:F4} (chance {signature.Chance:F4}, p {signature.PValue:F2}), autocorrelation of changes {text correlation}"
    }

let run (settings: Settings) =
    let train = simulate 1UL 2048
    let observed = values (simulate 2UL 512)
    let times = Array.init steps (fun k -> float (k + 1))

    let timed action =
        let clock = Diagnostics.Stopwatch.StartNew()
        let result = action ()
        result, clock.Elapsed.TotalSeconds

    let brownian = GeometricBrownian.fit false [| "x" |] train

    let simple =
        Array.init 512 (fun p -> GeometricBrownian.simulate brownian [| train[p].Values[0, 0] |] 0.0 times 3UL p 1)

    let withStart =
        Array3D.init 512 (steps + 1) 1 (fun p k _ -> if k = 0 then train[p].Values[0, 0] else simple[p].[0, k - 1, 0])

    report settings "the process itself" nan (values (simulate 4UL 512)) observed
    report settings "Brownian motion with drift" nan withStart observed

    let latent, seconds =
        timed (fun () ->
            let options = {
                LatentSdeOptions.Default with
                    Loop.Iterations = 2000
                    Loop.BatchSize = 64
                    Window = 0
                    ObservationNoise = 0.05
            }

            LatentSdeFit.run options "t" [| "x" |] train null CancellationToken.None)

    report
        settings
        $"latent SDE (noise to data {latent.NoiseToData:F2})"
        seconds
        (latent.Model.Sample(Array.init (steps + 1) float, 5UL, 0, 512, true))
        observed

    (latent.Model :> IDisposable).Dispose()

    let gan, seconds =
        timed (fun () ->
            let options = { SdeGanOptions.Default with Loop.Iterations = 2000 }
            SdeGanFit.run options "t" [| "x" |] train null CancellationToken.None)

    report settings "SDE-GAN" seconds (gan.Model.Simulate(6UL, 0, 512)) observed
    (gan.Model :> IDisposable).Dispose()
