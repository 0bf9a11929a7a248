/// Laws of distances of fields: convergence, gradients, samples on their own.
module OperatorLossLawTests

open System
open Continuum
open Continuum.Properties
open Expecto
open TorchSharp
open OperatorLossTests

let private l2 (f: float -> float) = sqrt (integral (fun x -> f x * f x))
let private gap x = exp (sin (2.0 * x)) - 1.0 - 0.5 * x

let private h1 (f: float -> float) (slope: float -> float) = sqrt (integral (fun x -> f x * f x + slope x * slope x))
let private gapSlope x = 2.0 * cos (2.0 * x) * exp (sin (2.0 * x)) - 0.5
let private straightH1 = h1 (fun x -> 1.0 + 0.5 * x) (fun _ -> 0.5)

let all =
    testList "Operator losses: laws" [
        test "losses of given functions converge with the order of their points" {
            let check name loss least grid expected =
                OperatorLossLaws.converges name loss least 32 grid wavy straight expected

            let norm n options p t = OperatorLosses.distance n options p t
            let full, slopes = l2 gap, h1 gap gapSlope
            let straightL2 = l2 (fun x -> 1.0 + 0.5 * x)

            holds [
                check "L2" (norm L2 absolute) 3.6 opened full
                check "relative L2" (norm L2 relative) 3.6 opened (full / straightL2)
                check "relative L2, cells" (norm L2 relative) 3.6 (cells Boundary.Open) (full / straightL2)
                check "L2, irregular" (norm L2 absolute) 1.8 uneven full
                check "H1" (norm H1 absolute) 3.6 opened slopes
                check "relative H1" (norm H1 relative) 3.6 (cells Boundary.Open) (slopes / straightH1)
                check "H1, irregular" (norm H1 absolute) 1.8 uneven slopes
                let ends = sqrt (gap -0.5 ** 2.0 + gap 1.5 ** 2.0)
                let boundary p t = FaceLosses.boundary [| 0 |] absolute p (Some t)
                check "boundary, cells" boundary 3.6 (cells Boundary.Neumann) ends

                check
                    "initial, cells"
                    (fun p t -> FaceLosses.initial 0 absolute p t)
                    3.6
                    (cells Boundary.Open)
                    (abs (gap -0.5))

                let divergence (p: Field) (_: Field) = OperatorLosses.divergence absolute p
                let slope x = 2.0 * cos (2.0 * x) * exp (sin (2.0 * x))
                check "divergence" divergence 3.6 opened (l2 slope / sqrt 2.0)
            ]

        }

        test "on a circle they converge faster than any order" {
            // exp(cos(pi x)) = I_0(1) + 2 sum_k I_k(1) cos(k pi x), with the modified Bessel functions.
            let bessel (k: int) =
                let term m =
                    let factorial n = Seq.fold (*) 1.0 (seq { for i in 1..n -> float i })
                    Math.Pow(0.5, float (2 * m + k)) / (factorial m * factorial (m + k))

                Seq.sumBy term (seq { 0..15 })

            let smooth (x: float[]) = [| exp (cos (pi * x[0])) |]
            let zero (_: float[]) = [| 0.0 |]

            /// The square root of the length 2 times the sum of squares of coefficients with these weights.
            let size (weight: int -> float) =
                2.0 * Seq.sumBy (fun k -> weight (abs k) * bessel (abs k) ** 2.0) (seq { -15 .. 15 }) |> sqrt

            let check name least loss value = OperatorLossLaws.converges name loss least 4 circle smooth zero value

            let sobolev (s: float) k = Math.Pow(1.0 + (pi * float k) ** 2.0, s)

            holds [
                check "L2" 8.0 (OperatorLosses.distance L2 absolute) (size (fun _ -> 1.0))
                check "H1" 6.0 (OperatorLosses.distance H1 absolute) (size (sobolev 1.0))

                for s in [ -1.0; 0.5; 2.0 ] do
                    check $"Sobolev {s}" 5.0 (OperatorLosses.distance (Sobolev s) absolute) (size (sobolev s))

                let band = size (fun k -> if k = 1 then 1.0 else 0.0)
                check "a band" 5.0 (OperatorLosses.bandDistance [| 0.5; 1.5 |] absolute) band
            ]
        }

        test "gradients are limits of differences, and samples stay alone" {
            let plane = torus [| 6; 5 |]

            let box =
                Discretisation.Product [|
                    AxisPoints.Uniform(Axis.Periodic 1.0, 5)
                    AxisPoints.Uniform(Axis.Dirichlet 1.5, 6, PointLayout.Cells)
                |]

            let mean = { relative with Channels = ChannelRule.Mean }

            let all = [
                for options in [ relative; absolute; mean ] do
                    for grid in [ plane; box ] do
                        "L2", grid, (fun p t -> OperatorLosses.distances L2 options p t)
                        "H1", grid, (fun p t -> OperatorLosses.distances H1 options p t)

                    "Sobolev", plane, (fun p t -> OperatorLosses.distances (Sobolev -0.5) options p t)
                    "bands", plane, (fun p t -> OperatorLosses.bandDistances [| 0.0; 1.5; 4.0 |] options p t)
                    "boundary", box, (fun p t -> FaceLosses.boundaries [| 1 |] options p (Some t))
                    "boundary zero", box, (fun p _ -> FaceLosses.boundaries [| 1 |] options p None)
                    "initial", box, (fun p t -> FaceLosses.initials 1 options p t)

                "divergence", box, (fun p _ -> OperatorLosses.divergences absolute p)
                "size", box, (fun p _ -> OperatorLosses.sizes absolute p)
            ]

            holds [
                for name, grid, distances in all do
                    OperatorLossLaws.samplesAlone name distances grid 2
                    OperatorLossLaws.gradient name (fun p t -> (distances p t).sum()) grid 2
            ]
        }

        test "a loss without the points' weights, one over the whole batch, and one that is cut off are reported" {
            let plain (p: Field) (t: Field) = p.Values.sub(t.Values).square().mean().sqrt()
            let value = l2 gap / sqrt 2.0
            let law grid = OperatorLossLaws.converges "plain" plain 1.8 32 grid wavy straight value
            Expect.isFalse (law uneven).Holds "no weights"
            let batch (p: Field) (t: Field) = (plain p t).expand([| p.Batch |])
            Expect.isFalse (OperatorLossLaws.samplesAlone "batch" batch (circle 5) 1).Holds "batch"

            let cut (p: Field) (t: Field) =
                plain (p.With(p.Values.detach ())) t |> fun d -> d.add (p.Values.mul(0.0).sum())

            Expect.isFalse (OperatorLossLaws.gradient "cut" cut (circle 5) 1).Holds "gradient"
        }
    ]
