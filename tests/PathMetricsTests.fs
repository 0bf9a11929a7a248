module PathMetricsTests

open System
open Continuum
open Expecto
open TorchSharp

let tests =
    let normals (seed: int) (paths: int) (times: int) =
        let random = Random seed
        let normal () = sqrt (-2.0 * log (1.0 - random.NextDouble())) * cos (2.0 * Math.PI * random.NextDouble())
        Array3D.init paths times 1 (fun _ _ _ -> normal ())

    testList "PathMetrics" [
        test "Wasserstein distance of a shifted sample is the shift; Kolmogorov-Smirnov of separate samples is 1" {
            let a = [| 0.3; -1.0; 2.0; 0.7 |]
            Expect.floatClose Accuracy.high (PathMetrics.wasserstein a (a |> Array.map ((+) 0.25))) 0.25 "shift"

            Expect.floatClose
                Accuracy.high
                (PathMetrics.wasserstein [| 0.0; 1.0 |] [| 0.0; 0.0; 3.0 |])
                (1.0 / 6.0 + 4.0 / 6.0)
                "different sizes"

            Expect.equal (PathMetrics.kolmogorovSmirnov a (a |> Array.map ((+) 10.0))) 1.0 "separate"
            Expect.equal (PathMetrics.kolmogorovSmirnov a a) 0.0 "equal"
        }

        test "autocorrelation of an autoregression is the power of its coefficient" {
            let noise = normals 3 400 60
            let x = Array3D.zeroCreate 400 60 1

            for p in 0..399 do
                x[p, 0, 0] <- noise[p, 0, 0] / sqrt (1.0 - 0.36)

                for t in 1..59 do
                    x[p, t, 0] <- 0.6 * x[p, t - 1, 0] + noise[p, t, 0]

            let found = PathMetrics.autocorrelation 3 false x

            for lag in 1..3 do
                Expect.isLessThan (abs (found[0, lag - 1] - Math.Pow(0.6, lag))) 0.03 $"lag {lag}: {found[0, lag - 1]}"
        }

        test "p-values of samples of one law are uniform, those of others small" {
            // One stream: generators of neighbouring seeds are related.
            let pool = normals 11 900 6
            let sample first = Array3D.init 15 6 1 (fun p t _ -> pool[first + p, t, 0])
            let walk (x: float[,,]) = x |> Array3D.mapi (fun p t c _ -> Seq.sum (seq { for s in 0..t -> x[p, s, c] }))
            let wide (x: float[,,]) = x |> Array3D.map (fun v -> 3.0 * v)
            let drifting (x: float[,,]) = x |> Array3D.mapi (fun _ t _ v -> v + 0.5 * float t)
            let kernel = SignatureKernel.defaults

            let distances = [
                "Kolmogorov-Smirnov", PathMetrics.marginalDistance true, drifting
                "Wasserstein", PathMetrics.marginalDistance false, wide
                "signatures", PathMetrics.signatureDiscrepancy kernel, drifting
                "autocorrelation", PathMetrics.autocorrelationDistance 2 false, walk
                "autocorrelation of squares", PathMetrics.autocorrelationDistance 2 true, walk
            ]

            for name, distance, change in distances do
                let pairs = Array.init 30 (fun k -> distance 39 k (sample (30 * k)) (sample (30 * k + 15)))
                let mean = pairs |> Array.averageBy _.PValue
                // The mean of 30 uniform numbers has the deviation 0.053.
                Expect.isLessThan (abs (mean - 0.5)) 0.2 $"{name}: mean p-value {mean} under one law"
                let other = distance 99 1 (sample 0) (change (sample 15))
                Expect.isLessThan other.PValue 0.06 $"{name}: another law, {other}"
        }

        test "the discrepancy of signatures is that of the tensors" {
            use _ = torch.NewDisposeScope()
            let a, b = normals 1 20 6, normals 2 15 6
            let kernel = SignatureKernel.defaults
            let one = (PathMetrics.signatureDiscrepancy kernel 0 1 a b).Value

            let two =
                Tensors.toFloat (PathMetrics.signatureLoss kernel (PathMetrics.toTensor a) (PathMetrics.toTensor b))

            Expect.floatClose Accuracy.medium one two "discrepancy"
        }

        test "quantiles interpolate order statistics; coverage counts what lies inside" {
            let paths = Array3D.init 5 1 1 (fun p _ _ -> float p)
            let found = PathQuantiles.over [| 0.0; 0.5; 0.9 |] paths
            Expect.equal [| found[0, 0, 0]; found[0, 0, 1]; found[0, 0, 2] |] [| 0.0; 2.0; 3.6 |] "quantiles"
            Expect.equal (PathQuantiles.coverage [| 0.5; 0.1 |] paths (array2D [ [ 2.9 ] ])) [| 1.0; 0.0 |] "coverage"
        }
    ]
