// Gaussian random fields by their Karhunen-Loeve series on boxes.
namespace Continuum

open System
open TorchSharp

/// A centred Gaussian field with covariance sigma^2 (-Laplace + tau^2)^(-alpha), under the conditions of the domain's axes: Fourier, sine and
/// cosine series, axis by axis. Samples have finite variance for alpha > dimension / 2.
type GaussianFieldOptions = {
    /// Where; no axis open.
    Domain: Domain
    /// The factor of the standard deviation.
    Sigma: float
    /// Inverse length, tau >= 0; tau = 0 needs ZeroMean where constants satisfy the conditions.
    Tau: float
    /// Exponent.
    Alpha: float
    /// Leaves the constant function out, so that samples have mean zero.
    ZeroMean: bool
    /// Number of functions on each axis (odd on periodic axes); empty for all that the grid holds.
    Modes: int[]
}

/// Gaussian random fields. The coefficient of each function of the series is drawn from (seed, sample, its numbers), so that a sample is one
/// function: on a finer grid it gains further, smaller terms, and keeps those that it had.
[<RequireQualifiedAccess>]
module GaussianField =

    let private bad (text: string) = raise (ArgumentException text)

    /// sigma^2 (-Laplace + tau^2)^(-alpha) with all functions that the grid holds and without the constant.
    let create (domain: Domain) (sigma: float) (tau: float) (alpha: float) : GaussianFieldOptions = {
        Domain = domain
        Sigma = sigma
        Tau = tau
        Alpha = alpha
        ZeroMean = true
        Modes = [||]
    }

    /// The field of Matern's covariance on the whole space with smoothness nu, length scale and variance, restricted to the domain's series:
    /// alpha = nu + d / 2, tau = sqrt(2 nu) / length. Near to Matern's covariance where length scales are short against the domain.
    let matern (domain: Domain) (nu: float) (length: float) (variance: float) : GaussianFieldOptions =
        if not (nu > 0.0 && length > 0.0 && variance > 0.0) then
            bad $"Matern's covariance needs positive numbers; got nu {nu}, length {length}, variance {variance}."

        let gamma (x: float) = MathNet.Numerics.SpecialFunctions.Gamma x
        let half = 0.5 * float domain.Dimension
        let tau = sqrt (2.0 * nu) / length

        let square =
            variance * Math.Pow(4.0 * Math.PI, half) * gamma (nu + half) / gamma nu * Math.Pow(tau, 2.0 * nu)

        { create domain (sqrt square) tau (nu + half) with ZeroMean = false }

    let private check (o: GaussianFieldOptions) =
        ArgumentNullException.ThrowIfNull(o.Domain, nameof o.Domain)
        ArgumentNullException.ThrowIfNull(o.Modes, nameof o.Modes)

        if
            not (
                Double.IsFinite o.Sigma
                && Double.IsFinite o.Tau
                && Double.IsFinite o.Alpha
                && o.Sigma > 0.0
                && o.Tau >= 0.0
                && o.Alpha > 0.0
            )
        then
            bad $"A Gaussian field needs sigma > 0, tau >= 0 and alpha > 0; got {o.Sigma}, {o.Tau}, {o.Alpha}."

        let hasConstant = o.Domain.Axes |> Array.forall (fun a -> a.Boundary <> Boundary.Dirichlet)

        if hasConstant && o.Tau = 0.0 && not o.ZeroMean then
            bad "With tau = 0 the constant function has no finite variance; leave it out (ZeroMean)."

    /// The numbers of functions on the axes of a grid.
    let modesOn (o: GaussianFieldOptions) (points: Discretisation) : int[] =
        check o

        if not (points.IsProduct && points.Domain.Equals o.Domain) then
            bad $"The field lives on {o.Domain}; the points are {points}."

        if o.Modes.Length = 0 then
            points.Axes |> Array.map AxisSeries.count
        elif o.Modes.Length = points.Axes.Length && Array.forall (fun m -> m > 0) o.Modes then
            o.Modes
        else
            bad
                $"{o.Modes.Length} numbers of functions were given for {points.Axes.Length} axes; give one positive number each."

    /// The standard deviations of the coefficients, of shape modes.
    let deviations (o: GaussianFieldOptions) (modes: int[]) : Tensor =
        check o
        use _ = torch.NewDisposeScope()
        let eigenvalues = AxisSeries.eigenvalues o.Domain modes torch.float64 torch.CPU
        let shifted = eigenvalues.add (o.Tau * o.Tau)
        let constant = eigenvalues.eq 0.0

        let all =
            if o.ZeroMean then
                shifted.masked_fill(constant, 1.0).pow(-0.5 * o.Alpha).mul(o.Sigma).masked_fill(constant, 0.0)
            else
                shifted.pow(-0.5 * o.Alpha).mul o.Sigma

        all.MoveToOuterDisposeScope()

    /// The covariance of the values at x and y, with these numbers of functions: the finite sum.
    let covariance (o: GaussianFieldOptions) (modes: int[]) (x: float[]) (y: float[]) : float =
        use _ = torch.NewDisposeScope()
        let axes = o.Domain.Axes

        let along i =
            let shape = Array.create axes.Length 1L
            shape[i] <- int64 modes[i]

            let products =
                Array.init modes[i] (fun j -> AxisSeries.value axes[i] j x[i] * AxisSeries.value axes[i] j y[i])

            Tensors.ofArray products shape torch.float64 torch.CPU

        let deviation = deviations o modes
        let products = Array.init axes.Length along |> Array.reduce (fun a b -> a.mul b)
        deviation.mul(deviation).mul(products).sum().ToDouble()

    /// Standard normal coefficients of samples first .. first + count - 1 for a seed: (count, modes). `stream` tells fields of one sample apart.
    let normals (seed: int) (stream: int) (first: int) (count: int) (modes: int[]) : Tensor =
        let d = modes.Length

        if Array.exists (fun m -> m < 1) modes then
            let text = String.Join(" x ", modes)
            bad $"The points hold {text} functions of the series; take more points on each axis."

        let total = modes |> Array.fold (fun n m -> n * float m) (float count)

        if total > float Int32.MaxValue then
            bad
                $"{count} samples of {total / float count:g3} coefficients are more than an array holds; take fewer points."

        let last = modes[d - 1]
        let rows = Array.fold (*) 1 modes / last
        let second = if d = 3 then modes[1] else 1
        let key = Generations.key seed stream
        let values = Array.zeroCreate (count * rows * last)

        let draw sample =
            for row in 0 .. rows - 1 do
                let place = Span<float>(values, (sample * rows + row) * last, last)
                Generations.normals key (first + sample) (row / second) (row % second) place

        Generations.inParallel count Threading.CancellationToken.None draw
        Tensors.ofArray values (Array.append [| int64 count |] (Array.map int64 modes)) torch.float64 torch.CPU

    /// The coefficients of samples in the orthonormal series: (count, modes).
    let coefficients
        (o: GaussianFieldOptions)
        (seed: int)
        (stream: int)
        (first: int)
        (count: int)
        (modes: int[])
        : Tensor =
        use _ = torch.NewDisposeScope()
        ((normals seed stream first count modes).mul(deviations o modes)).MoveToOuterDisposeScope()

    /// Values of samples first .. first + count - 1 at a product of points: (count, points of each axis), float64.
    let values
        (o: GaussianFieldOptions)
        (seed: int)
        (stream: int)
        (first: int)
        (count: int)
        (points: Discretisation)
        : Tensor =
        use _ = torch.NewDisposeScope()
        let c = coefficients o seed stream first count (modesOn o points)
        // One by one: transforms of several functions at once may round otherwise.
        let one i = AxisSeries.synthesisBox points (c.narrow (0L, int64 i, 1L))
        torch.cat(Array.init count one, 0L).MoveToOuterDisposeScope()

    /// Samples as a field of one channel.
    let sample (o: GaussianFieldOptions) (points: Discretisation) (g: Generation) : Field =
        check o
        let made = Generations.runEach g (fun sample -> [| values o g.Seed 0 sample 1 points |])
        Generations.scalarField points made[0]
