namespace Continuum.Properties

open System
open Continuum
open TorchSharp

/// A stochastic initial value problem on tensors, with its solution along a path: yours, or one of SdeProblems.
type SdeProblem<'C, 'N when 'C :> Calculus and 'N :> GeneralNoise> = {
    /// For messages.
    Name: string
    /// The equation.
    Sde: Sde<'C, 'N>
    /// Start of the span.
    Start: float
    /// End of the span.
    End: float
    /// Initial states, float64, shape (paths, n).
    Initial: Tensor
    /// What Exact needs of the path.
    Level: LevyLevel
    /// The state at the end, along a path that covers the span: a closed form, or a solve with very small steps.
    Exact: TensorBrownian -> Tensor
}

/// Problems whose solution along a path is known. Each takes the number of paths; all is float64.
[<RequireQualifiedAccess>]
module SdeProblems =
    let private scalar (x: float) = x.ToScalar()
    let private row (values: float[]) = Tensors.vector values
    let private increment (path: TensorBrownian) = path.Step(path.Start, path.End).W

    /// Initial states between low and high, other for each path and component.
    let private initial (paths: int) (n: int) (low: float) (high: float) =
        let values =
            Array.init (paths * n) (fun i -> low + (high - low) * (0.5 + 0.5 * sin (1.7 * float i + 0.3)))

        Tensors.ofArray values [| int64 paths; int64 n |] torch.float64 torch.CPU

    /// Components first .. first of the last extent.
    let private component' (y: Tensor) (i: int) = y.select (-1L, int64 i)

    let private stack (parts: Tensor[]) = torch.stack (parts, -1L)

    /// Paths for a problem: so many cells, this level and seed.
    let path (problem: SdeProblem<'C, 'N>) (cells: int) (level: LevyLevel) (seed: uint64) : TensorBrownian =
        let low = Math.Min(problem.Start, problem.End)
        let high = Math.Max(problem.Start, problem.End)
        let m = problem.Sde.Terms.NoiseSizeFor problem.Initial
        TensorBrownian.For({ BrownianSpec.fixedSteps low high cells m seed with Level = level }, problem.Initial, 0L)

    /// Geometric Brownian motion, dy = mu y dt + sigma y dW, a motion for each component:
    /// y exp((mu - sigma^2 / 2) t + sigma W).
    let geometric (paths: int) : SdeProblem<Ito, DiagonalNoise> =
        let mu = row [| 0.3; -0.5 |]
        let sigma = row [| 0.7; 0.5 |]
        let y0 = initial paths 2 0.5 1.5

        {
            Name = "geometric Brownian motion (Ito)"
            Sde = Sde.diagonal<Ito> [] (fun _ y -> y.mul mu) (fun _ y -> y.mul sigma)
            Start = 0.0
            End = 1.0
            Initial = y0
            Level = LevyLevel.Increments
            Exact =
                fun path ->
                    let rate = mu.sub (sigma.mul(sigma).mul(scalar 0.5))
                    y0.mul ((increment path).mul(sigma).add(rate).exp())
        }

    /// dy = mu y dt + sigma y o dW with one motion for all: y exp(mu t + sigma W).
    let geometricStratonovich (paths: int) : SdeProblem<Stratonovich, ScalarNoise> =
        let mu = row [| 0.3; -0.5 |]
        let sigma = row [| 0.7; 0.5 |]
        let y0 = initial paths 2 0.5 1.5

        {
            Name = "geometric Brownian motion (Stratonovich)"
            Sde = Sde.scalar<Stratonovich> [] (fun _ y -> y.mul mu) (fun _ y -> y.mul sigma)
            Start = 0.0
            End = 1.0
            Initial = y0
            Level = LevyLevel.Increments
            Exact = fun path -> y0.mul ((increment path).mul(sigma).add(mu).exp())
        }

    /// dy = (y / 2 + sqrt(1 + y^2)) dt + sqrt(1 + y^2) dW (Ito): sinh(t + W + arsinh y0).
    let hyperbolic (paths: int) : SdeProblem<Ito, DiagonalNoise> =
        let y0 = initial paths 1 -1.0 1.0
        let root (y: Tensor) = y.mul(y).add(scalar 1.0).sqrt()

        {
            Name = "sinh(t + W)"
            Sde = Sde.diagonal<Ito> [] (fun _ y -> y.mul(scalar 0.5).add(root y)) (fun _ y -> root y)
            Start = 0.0
            End = 1.0
            Initial = y0
            Level = LevyLevel.Increments
            Exact = fun path -> (increment path).add(scalar 1.0).add(y0.arcsinh ()).sinh()
        }

    /// dy = -sin y cos^3 y dt + cos^2 y dW (Ito), one motion: arctan(W + tan y0).
    let arctangent (paths: int) : SdeProblem<Ito, ScalarNoise> =
        let y0 = initial paths 2 -1.0 1.0
        let square (y: Tensor) = y.cos().pow(scalar 2.0)

        {
            Name = "arctan W"
            Sde = Sde.scalar<Ito> [] (fun _ y -> y.sin().mul(y.cos().pow(scalar 3.0)).neg()) (fun _ y -> square y)
            Start = 0.0
            End = 1.0
            Initial = y0
            Level = LevyLevel.Increments
            Exact = fun path -> y0.tan().add(increment path).atan()
        }

    /// sinh(s(t) (W + c)) with s = 1 + t/2, where drift and diffusion depend on time (Stratonovich).
    let growing (paths: int) : SdeProblem<Stratonovich, DiagonalNoise> =
        let y0 = initial paths 2 -0.8 0.8
        let s (t: Tensor) = t.mul(scalar 0.5).add(scalar 1.0)
        let root (y: Tensor) = y.mul(y).add(scalar 1.0).sqrt()

        {
            Name = "sinh(s(t) W)"
            Sde =
                Sde.diagonal<Stratonovich> [] (fun t y -> y.arcsinh().mul(root y).mul(scalar 0.5).div(s t)) (fun t y ->
                    (root y).mul(s t))
            Start = 0.0
            End = 1.0
            Initial = y0
            Level = LevyLevel.Increments
            Exact = fun path -> (increment path).add(y0.arcsinh ()).mul(scalar 1.5).sinh()
        }

    /// (1 + t)^2 (y0 + M W + t), with noise that is additive and depends on time.
    let widening<'C when 'C :> Calculus> (paths: int) : SdeProblem<'C, AdditiveNoise> =
        let y0 = initial paths 2 -1.0 1.0
        let mix = Tensors.ofArray [| 0.8; 0.2; -0.3; 0.5 |] [| 2L; 2L |] torch.float64 torch.CPU
        let square (t: Tensor) = t.add(scalar 1.0).pow(scalar 2.0)

        {
            Name = "(1 + t)^2 (W + t)"
            Sde =
                Sde.additive<'C> 2 [] (fun t y -> y.mul(scalar 2.0).div(t.add (scalar 1.0)).add(square t)) (fun t ->
                    mix.mul (square t))
            Start = 0.0
            End = 1.0
            Initial = y0
            Level = LevyLevel.Increments
            Exact = fun path -> (increment path).matmul(mix.t ()).add(y0).add(scalar 1.0).mul(scalar 4.0)
        }

    /// The Ornstein-Uhlenbeck process dy = -a y dt + s dW. Its integral of exp(-a (T - t)) dW is summed over 256 cells with W and H, which leaves
    /// an error far below that of any step of the tests.
    let ornsteinUhlenbeck<'C when 'C :> Calculus> (paths: int) : SdeProblem<'C, AdditiveNoise> =
        let a, s, span = 1.5, 0.6, 1.0
        let y0 = initial paths 1 -1.0 1.0

        {
            Name = "Ornstein-Uhlenbeck"
            Sde =
                Sde.additive<'C> 1 [] (fun _ y -> y.mul (scalar -a)) (fun _ ->
                    Tensors.ofArray [| s |] [| 1L; 1L |] torch.float64 torch.CPU)
            Start = 0.0
            End = span
            Initial = y0
            Level = LevyLevel.SpaceTime
            Exact =
                fun path ->
                    let cells = 256
                    let h = span / float cells
                    let mutable sum = y0.mul (scalar (exp (-a * span)))

                    for k in 0 .. cells - 1 do
                        let b = path.Step(float k * h, float (k + 1) * h)
                        // the integrand's value and slope at the middle; (t - middle) integrates to -h H against dW
                        let value = s * exp (-a * (span - (float k + 0.5) * h))
                        sum <- sum.add(b.W.mul (scalar value)).sub(b.H.mul (scalar (a * value * h)))

                    sum
        }

    /// Multiplication by complex numbers, dz = a z dt + (b1 o dW1 + b2 o dW2) z: two motions whose columns commute;
    /// z exp(a t + b1 W1 + b2 W2).
    let spiral (paths: int) : SdeProblem<Stratonovich, CommutativeNoise> =
        let y0 = initial paths 2 0.5 1.5

        let times (re: float) (im: float) (y: Tensor) =
            let x, v = component' y 0, component' y 1

            stack [| x.mul(scalar re).sub(v.mul (scalar im)); x.mul(scalar im).add(v.mul (scalar re)) |]

        {
            Name = "complex geometric Brownian motion"
            Sde =
                Sde.commutative<Stratonovich> 2 [] (fun _ y -> times -0.3 0.8 y) (fun _ y ->
                    stack [| times 0.4 0.5 y; times -0.2 0.6 y |])
            Start = 0.0
            End = 1.0
            Initial = y0
            Level = LevyLevel.Increments
            Exact =
                fun path ->
                    let w = increment path
                    let w1, w2 = component' w 0, component' w 1
                    let growth = w1.mul(scalar 0.4).sub(w2.mul (scalar 0.2)).add(scalar -0.3).exp()
                    let angle = w1.mul(scalar 0.5).add(w2.mul (scalar 0.6)).add(scalar 0.8)
                    let x, v = component' y0 0, component' y0 1
                    let c, s = angle.cos (), angle.sin ()

                    stack [| x.mul(c).sub(v.mul s).mul growth; x.mul(s).add(v.mul c).mul growth |]
        }

    /// dy1 = dW1, dy2 = dW2, dy3 = y1 o dW2: the path's own Levy area, y3 = y1(0) W2 + W1 W2 / 2 + A12.
    let heisenberg (paths: int) : SdeProblem<Stratonovich, GeneralNoise> =
        let y0 = initial paths 3 -1.0 1.0

        {
            Name = "Levy area"
            Sde =
                Sde.general<Stratonovich> 2 [] (fun _ y -> torch.zeros_like y) (fun _ y ->
                    let zero = torch.zeros_like (component' y 0)
                    let one = torch.ones_like zero

                    stack [| stack [| one; zero; zero |]; stack [| zero; one; component' y 0 |] |])
            Start = 0.0
            End = 1.0
            Initial = y0
            Level = LevyLevel.Area
            Exact =
                fun path ->
                    let b = path.Step(path.Start, path.End)
                    let w1, w2 = component' b.W 0, component' b.W 1
                    let area = (b.A.select (-2L, 0L)).select(-1L, 1L)

                    stack [|
                        (component' y0 0).add w1
                        (component' y0 1).add w2
                        (component' y0 2).add((component' y0 0).mul w2).add(w1.mul(w2).mul(scalar 0.5)).add area
                    |]
        }

    let private twistedDrift (t: Tensor) (y: Tensor) = y.sin().neg().add(t.cos().mul(scalar 0.5))

    let private twistedDiffusion (t: Tensor) (y: Tensor) =
        let a, b = component' y 0, component' y 1

        stack [|
            stack [| b.cos().mul(scalar 0.5); a.mul (scalar 0.4) |]
            stack [| b.mul(scalar 0.4).mul(t.add (scalar 1.0)); a.sin().mul(scalar 0.5).add(scalar 0.2) |]
        |]

    /// The solution from 0 to 1 by 512 steps along a path.
    let private fine (method: SdeMethod<'C, 'N>) (sde: Sde<'C, 'N>) (y0: Tensor) (path: TensorBrownian) : Tensor =
        (TensorSde.solve (TensorSdeOptions.fixedSteps (1.0 / 512.0)) method sde path 0.0 1.0 y0).EnsureSuccess().Final

    /// A nonlinear equation with time in drift and diffusion and columns that do not commute, in Ito's sense; its solution by Milstein's method
    /// in 512 steps with the path's Levy area.
    let twisted (paths: int) : SdeProblem<Ito, GeneralNoise> =
        let y0 = initial paths 2 -1.0 1.0
        let sde = Sde.general<Ito> 2 [] twistedDrift twistedDiffusion

        {
            Name = "non-commuting noise (Ito)"
            Sde = sde
            Start = 0.0
            End = 1.0
            Initial = y0
            Level = LevyLevel.Area
            Exact = fine SdeMethods.milstein sde y0
        }

    /// The same coefficients in Stratonovich's sense; its solution by Milstein's method in 512 steps with the path's Levy area.
    let twistedStratonovich (paths: int) : SdeProblem<Stratonovich, GeneralNoise> =
        let y0 = initial paths 2 -1.0 1.0
        let sde = Sde.general<Stratonovich> 2 [] twistedDrift twistedDiffusion

        {
            Name = "non-commuting noise (Stratonovich)"
            Sde = sde
            Start = 0.0
            End = 1.0
            Initial = y0
            Level = LevyLevel.Area
            Exact = fine SdeMethods.milsteinStratonovich sde y0
        }

    /// A nonlinear drift under additive noise that depends on time; its solution by SRA1 in 512 steps.
    let forced<'C when 'C :> Calculus> (paths: int) : SdeProblem<'C, AdditiveNoise> =
        let y0 = initial paths 2 -1.0 1.0
        let mix = Tensors.ofArray [| 0.6; 0.2; 0.1; -0.2; 0.5; 0.3 |] [| 2L; 3L |] torch.float64 torch.CPU

        let sde =
            Sde.additive<'C> 3 [] (fun t y -> y.mul(scalar 2.0).sin().sub(y).add(t.mul(scalar 3.0).cos())) (fun t ->
                mix.mul (t.mul(scalar 2.0).sin().add(scalar 1.5)))

        {
            Name = "sin 2y - y + cos 3t with additive noise"
            Sde = sde
            Start = 0.0
            End = 1.0
            Initial = y0
            Level = LevyLevel.SpaceTime
            Exact = fine SdeMethods.sra1 sde y0
        }
