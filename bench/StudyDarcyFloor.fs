/// What values of a coefficient that jumps, at the nodes of a coarse grid, leave open of the solution of Darcy's equation: no operator of these values has a
/// smaller error than the deviation of the solution given them.
module Continuum.Bench.StudyDarcyFloor

open System
open Continuum
open Continuum.Bench.Measure
open TorchSharp

/// A standard normal number above `lower` (Robert 1995).
let private normalAbove (random: Random) (lower: float) : float =
    let normal () = sqrt (-2.0 * log (1.0 - random.NextDouble())) * cos (2.0 * Math.PI * random.NextDouble())

    if lower < 0.5 then
        let mutable x = normal ()

        while x < lower do
            x <- normal ()

        x
    else
        let rate = 0.5 * (lower + sqrt (lower * lower + 4.0))
        let mutable x = nan

        while Double.IsNaN x do
            let proposed = lower - log (1.0 - random.NextDouble()) / rate

            if random.NextDouble() <= exp (-0.5 * (proposed - rate) * (proposed - rate)) then
                x <- proposed

        x

/// Gaussian values with this precision matrix and the signs of `start`, after sweeps of Gibbs sampling from there.
let private withSigns (random: Random) (precision: float[]) (start: float[]) (sweeps: int) : float[] =
    let n = start.Length
    let x = Array.copy start

    for _ in 1..sweeps do
        for i in 0 .. n - 1 do
            let row = i * n
            let own = precision[row + i]
            let mutable product = 0.0

            for j in 0 .. n - 1 do
                product <- product + precision[row + j] * x[j]

            let mean = x[i] - product / own
            let deviation = 1.0 / sqrt own
            let sign = if start[i] >= 0.0 then 1.0 else -1.0
            x[i] <- sign * (sign * mean + deviation * normalAbove random (-sign * mean / deviation))

    x

/// The mean relative deviation of the solution given the signs of the Gaussian field at every k-th node.
let private floor (options: DarcyOptions) (every: int) (samples: int) (completions: int) (sweeps: int) : float =
    use _ = torch.NewDisposeScope()
    let n = options.Grid
    let axis = Axis(0.0, 1.0, Boundary.Neumann)
    let nodes = AxisPoints.Uniform(axis, n, PointLayout.Nodes)
    let modes = n - 1
    let law = Darcy.field options
    let wavenumbers = AxisSeries.wavenumbers axis modes

    let deviations =
        Array.init (modes * modes) (fun p ->
            let a, b = wavenumbers[p / modes], wavenumbers[p % modes]

            if p = 0 then
                0.0
            else
                law.Sigma * Math.Pow(a * a + b * b + law.Tau * law.Tau, -0.5 * law.Alpha))

    let matrix (values: float[]) (rows: int) (columns: int) =
        Tensors.ofArray values [| int64 rows; int64 columns |] torch.float64 torch.CPU

    let s = matrix deviations modes modes

    let functions =
        let x = nodes.Coordinates
        matrix (Array.init (n * modes) (fun p -> AxisSeries.value axis (p % modes) x[p / modes])) n modes

    let kept = torch.arange (0L, int64 n, int64 every)
    let m = int kept.shape[0]
    let coarse = functions.index_select (0L, kept)
    let restrict (g: Tensor) = g.index_select(0L, kept).index_select(1L, kept)

    // The covariance of the values at the kept nodes, a little larger on its diagonal, so that it has a Cholesky factor.
    let factor =
        let basis = torch.einsum ("ik,jl->ijkl", coarse, coarse)
        let scaled = basis.mul(s).reshape([| int64 (m * m); -1L |])
        let covariance = scaled.matmul (scaled.t ())
        torch.linalg.cholesky (covariance.add (torch.eye(int64 (m * m), dtype = torch.float64).mul 1e-10))

    let precision = Tensors.toArray (torch.cholesky_inverse factor)
    use generator = new torch.Generator 1UL
    let random = Random 1

    let field () =
        let xi = torch.randn ([| int64 modes; int64 modes |], dtype = torch.float64, generator = generator)
        functions.matmul(xi.mul s).matmul(functions.t ())

    // A field with these values at the kept nodes: one without them, and what the difference there says of all nodes.
    let completed (values: float[]) =
        let other = field ()
        let gap = (matrix values (m * m) 1).sub((restrict other).reshape(-1L, 1L))
        let weights = (torch.cholesky_solve (gap, factor)).reshape(int64 m, int64 m)
        let spectrum = coarse.t().matmul(weights).matmul(coarse).mul(s).mul s
        other.add (functions.matmul(spectrum).matmul(functions.t ()))

    let points = Discretisation.Uniform(Domain.Cube(2, 1.0, Boundary.Open), [| n; n |])

    let deviationOf (sample: int) =
        use _ = torch.NewDisposeScope()
        let start = Tensors.toArray (restrict (field ()))

        let g =
            Array.init completions (fun _ -> completed (withSigns random precision start sweeps)) |> torch.stack

        let a =
            (torch.where (g.lt 0.0, torch.full_like (g, options.Low), torch.full_like (g, options.High))).unsqueeze 1L

        let f = new Field(points, torch.full_like (a, options.Forcing))
        let u = (Darcy.solve (new Field(points, a)) f).Values.index_select(2L, kept).index_select(3L, kept)
        let mean = u.mean ([| 0L |], true)
        let spread = u.sub(mean).square().mean([| 1L; 2L; 3L |]).sum().ToDouble() / float (completions - 1)
        let relative = sqrt (spread / mean.square().mean().ToDouble())
        eprintfn $"study_darcy_floor: sample {sample + 1} of {samples}, {relative:f5}"
        relative

    Array.init samples deviationOf |> Array.average

/// 29 x 29 nodes of 113 x 113.
let run (settings: Settings) =
    let options = { DarcyOptions.Default with Grid = 113; FineGrid = 0 }
    let clock = Diagnostics.Stopwatch.StartNew()
    let sweeps = 400
    let value = floor options 4 8 16 sweeps

    print settings {
        line "study_darcy_floor" "29 of 113 node values" 8 clock.Elapsed.TotalSeconds with
            Error = value
            Notes =
                $"relative deviation of the solution given a at 29 x 29 nodes: mean over 8 coefficients, 16 completions each, {sweeps} Gibbs sweeps"
    }
