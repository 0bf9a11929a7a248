// Random functions on a grid: where, how fine, how smooth. What the equations with exact solutions start from.
namespace Continuum

open System
open TorchSharp

/// A Gaussian random function sigma^2 (-Laplace + tau^2)^(-alpha) on a box, at uniform points in each axis's usual layout.
type RandomState = {
    /// Where; periodic, Dirichlet and Neumann axes.
    Domain: Domain
    /// Points on each axis.
    Sizes: int[]
    /// Factor of the standard deviation.
    Sigma: float
    /// Inverse length.
    Tau: float
    /// Exponent.
    Alpha: float
    /// Without the constant.
    ZeroMean: bool
} with

    /// sigma = tau^(alpha - d/2), tau = 5, alpha = 2.5, with mean zero: a variance that depends on the length of the axes over 1 / tau alone.
    static member On(domain: Domain, sizes: int[]) : RandomState =
        ArgumentNullException.ThrowIfNull(domain, nameof domain)

        {
            Domain = domain
            Sizes = sizes
            Sigma = Math.Pow(5.0, 2.5 - 0.5 * float domain.Dimension)
            Tau = 5.0
            Alpha = 2.5
            ZeroMean = true
        }

    /// The points.
    member s.Points: Discretisation = Discretisation.Uniform(s.Domain, s.Sizes)

    /// The law.
    member s.Law: GaussianFieldOptions = {
        GaussianField.create s.Domain s.Sigma s.Tau s.Alpha with
            ZeroMean = s.ZeroMean
    }

    /// What a note of the source says of it.
    member internal s.Notes: (string * obj) list = [
        "domain", box (string s.Domain)
        "sizes", box s.Sizes
        "sigma", box s.Sigma
        "tau", box s.Tau
        "alpha", box s.Alpha
        "zeroMean", box s.ZeroMean
    ]

/// Coefficients of random states, and data made from coefficients.
[<RequireQualifiedAccess>]
module internal RandomStates =

    /// The number of functions on each axis.
    let modes (s: RandomState) : int[] =
        let modes = GaussianField.modesOn s.Law s.Points

        match Array.tryFindIndex (fun m -> m < 1) modes with
        | Some i ->
            raise (
                ArgumentException
                    $"Axis {i} has {s.Points.Axes[i]}, which hold no function of the axis's series; take at least three."
            )
        | None -> modes

    /// Coefficients (1, modes) of a sample; `stream` tells the functions of one sample apart.
    let coefficients (s: RandomState) (g: Generation) (stream: int) (sample: int) : Tensor =
        GaussianField.coefficients s.Law g.Seed stream sample 1 (modes s)

    /// Eigenvalues of -Laplace, of shape modes.
    let eigenvalues (s: RandomState) : Tensor = AxisSeries.eigenvalues s.Domain (modes s) torch.float64 torch.CPU

    /// Values (1, channels, points) from coefficients, one tensor for each channel.
    let channels (s: RandomState) (coefficients: Tensor[]) : Tensor =
        AxisSeries.synthesisBox s.Points (torch.stack (coefficients, 1L))

    /// Runs make sample by sample: its tensors are the inputs by name and, last, the output.
    let dataset
        (s: RandomState)
        (g: Generation)
        equation
        notes
        (inputs: string[])
        (output: string)
        (times: float[])
        make
        =
        let made = Generations.runEach g make
        let points = s.Points

        new OperatorDataset(
            inputs |> Array.mapi (fun i name -> name, new Field(points, made[i])),
            (output, new Field(points, made[inputs.Length])),
            [||],
            null,
            Unchecked.defaultof<Field>,
            times,
            Generations.source equation (notes @ s.Notes) g
        )
