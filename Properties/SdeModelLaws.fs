namespace Continuum.Properties

open System
open Continuum
open TorchSharp

/// The laws of models of random paths: densities of transitions, divergences of path laws, distances of samples.
[<RequireQualifiedAccess>]
module SdeModelLaws =
    let private scalar (value: float) = value.ToScalar()

    /// Coefficients of dx = theta (level - x) dt + L dW with constant lower triangular L.
    let ornsteinUhlenbeck (theta: float) (level: float) (factor: float[,]) : TransitionCoefficients =
        let n = factor.GetLength 0
        let values = factor |> Seq.cast<float> |> Seq.toArray

        let matrix =
            (Tensors.ofArray values [| int64 n; int64 n |] torch.float64 torch.CPU).DetachFromDisposeScope()

        TransitionCoefficients(fun _ x ->
            let leading = x.shape[.. x.shape.Length - 2]

            struct (x.neg().add(scalar level).mul(scalar theta),
                    matrix.expand (Array.append leading [| int64 n; int64 n |])))

    /// Coefficients of dx = mu x dt + sigma x dW, componentwise.
    let geometric (mu: float) (sigma: float) : TransitionCoefficients =
        TransitionCoefficients(fun _ x -> struct (x.mul (scalar mu), x.mul (scalar sigma)))

    /// Mean and variance after a step h by a density, one component.
    let private moments density coefficients (x: float) (h: float) : struct (float * float) =
        use _ = torch.NewDisposeScope()
        let column value = Tensors.ofArray [| value |] [| 1L; 1L |] torch.float64 torch.CPU
        let struct (mean, factor) = TransitionLikelihood.moments density coefficients (column x) (column h)
        let deviation = Tensors.toFloat (factor.reshape [| 1L |])
        struct (Tensors.toFloat (mean.reshape [| 1L |]), deviation * deviation)

    /// Errors of mean and variance of a transition fall with the step to the power that the density promises (3 for the midpoint rule, 2 for
    /// Euler), against a closed form: exact h gives mean and variance after h from x.
    let transitionOrder
        (density: TransitionDensity)
        (name: string)
        (coefficients: TransitionCoefficients)
        (x: float)
        (exact: float -> struct (float * float))
        : LawResult =
        let promised = if density = TransitionDensity.Euler then 2.0 else 3.0

        let errors h =
            let struct (m, v) = moments density coefficients x h
            let struct (m', v') = exact h
            struct (abs (m - m'), abs (v - v'))

        let slope pick =
            let error h = let struct (m, v) = errors h in if pick then m else v
            log (error 0.1 / error 0.025) / log 4.0

        let mean, variance = slope true, slope false

        {
            Law =
                $"mean and variance of a transition of {name} by {density} have errors of order {promised} in the step"
            Holds = mean > promised - 0.3 && variance > promised - 0.3
            Detail = $"observed orders {mean:F2} (mean), {variance:F2} (variance)"
        }

    /// The divergence of the paths of dx = -a x dt + s dW from those of dx = -b x dt + s dW, both from x0, over [0, T]: with
    /// m = x0 e^(-a t) and v = s^2 (1 - e^(-2 a t))/(2 a), (b - a)^2/(2 s^2) int (m^2 + v) dt.
    let ornsteinUhlenbeckDivergence (a: float) (b: float) (s: float) (x0: float) (horizon: float) : float =
        let decayed = (1.0 - exp (-2.0 * a * horizon)) / (2.0 * a)
        let squares = x0 * x0 * decayed + s * s / (2.0 * a) * (horizon - decayed)
        (b - a) * (b - a) / (2.0 * s * s) * squares

    /// Monte Carlo means of the path divergence carried along a solve, and of the log density of the one law by the other, agree with the
    /// closed form for two Ornstein-Uhlenbeck processes within four standard errors, and the former has less variance.
    let pathDivergence
        (a: float)
        (b: float)
        (s: float)
        (x0: float)
        (horizon: float)
        (paths: int)
        (steps: int)
        (seed: uint64)
        : LawResult =
        use _ = torch.NewDisposeScope()
        use _ = torch.no_grad ()
        let drift rate = fun (_: Tensor) (z: Tensor) -> z.mul (scalar -rate)
        let noise (z: Tensor) = torch.full_like (z, scalar s)
        let sde = PathDivergence.withDensity (drift a) (drift b) noise
        let start = Tensors.ofArray [| x0; 0.0; 0.0 |] [| 1L; 3L |] torch.float64 torch.CPU
        let y0 = start.expand([| int64 paths; 3L |]).clone()
        let options = TensorSdeOptions.fixedSteps (horizon / float steps)
        let method: SdeMethod<Ito, ScalarNoise> = SdeMethods.eulerMaruyama
        let solution = (TensorSde.simulate options method sde seed 0.0 horizon y0).EnsureSuccess()
        let last = Tensors.toArray solution.Final
        let integral = Array.init paths (fun p -> last[3 * p + 1])
        let density = Array.init paths (fun p -> last[3 * p + 1] + last[3 * p + 2])

        let moments (values: float[]) =
            let mean = Array.average values
            struct (mean, values |> Array.averageBy (fun v -> (v - mean) * (v - mean)))

        let struct (mean, variance) = moments integral
        let struct (mean', variance') = moments density
        let exact = ornsteinUhlenbeckDivergence a b s x0 horizon
        let error variance = sqrt (variance / float paths)
        // The left end of each step stands for the step: a bias of half a step times the change of the integrand.
        let bias = 2.0 * exact / float steps
        let near mean variance = abs (mean - exact) < 4.0 * error variance + bias

        {
            Law = $"the path divergence of two Ornstein-Uhlenbeck processes (rates {a} and {b}) is its closed form"
            Holds = near mean variance && near mean' variance' && variance < variance'
            Detail =
                $"exact {exact:F5}; integral {mean:F5} +- {error variance:F5}; log density {mean':F5} +- {error variance':F5}"
        }

    /// Simulated paths do not depend on how a batch of them is split.
    let splitPaths (name: string) (simulate: int -> int -> float[,,]) (count: int) (cut: int) : LawResult =
        let whole = simulate 0 count |> Seq.cast<float> |> Seq.toArray

        let parts =
            Seq.append (simulate 0 cut |> Seq.cast<float>) (simulate cut (count - cut) |> Seq.cast<float>)
            |> Seq.toArray

        let difference = Array.map2 (fun a b -> abs (a - b) / (1.0 + abs a)) whole parts |> Array.max

        {
            Law = $"paths {cut} of {count} and the rest are the paths of the batch: {name}"
            Holds = whole.Length = parts.Length && difference < 1e-12
            Detail = $"largest relative difference {difference:E2}"
        }
