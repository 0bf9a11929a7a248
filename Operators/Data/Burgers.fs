// Viscous Burgers' equation: the operator from the initial state to later ones.
namespace Continuum

open System
open TorchSharp

/// u_t + (u^2 / 2)_x = nu u_xx on the torus [0, 1), from a Gaussian random initial state.
type BurgersOptions = {
    /// Points of the result.
    Grid: int
    /// Points on which the equation is solved, a multiple of Grid; 0 for Grid itself.
    SolveGrid: int
    /// nu.
    Viscosity: float
    /// Times of the output's frames, rising.
    Times: float[]
    /// Longest step.
    Step: float
    /// Factor of the initial state's standard deviation.
    Sigma: float
    /// Its inverse length.
    Tau: float
    /// Its exponent.
    Alpha: float
    /// Whether initial states have mean zero.
    ZeroMean: bool
} with

    /// nu = 0.1 up to t = 1, u0 ~ N(0, 625 (-Laplace + 25)^-2), 1024 points.
    static member Default: BurgersOptions = {
        Grid = 1024
        SolveGrid = 0
        Viscosity = 0.1
        Times = [| 1.0 |]
        Step = 0.005
        Sigma = 25.0
        Tau = 5.0
        Alpha = 2.0
        ZeroMean = false
    }

/// Burgers' equation by Fourier series: products on the grid with the upper third of the waves left out, exponential time differencing
/// of order 4 (the viscous term is exact).
[<RequireQualifiedAccess>]
module Burgers =

    let private bad (text: string) = raise (ArgumentException text)

    /// The transport term -(u^2 / 2)_x of coefficients on n points, and the numbers of its waves.
    let private transport (n: int) (length: float) : struct ((Tensor -> Tensor) * Tensor) =
        let k = (SpectralEvolution.waves [| n |] 0).mul(2.0 * Math.PI / length)
        let mask = SpectralEvolution.mask [| n |]
        let factor = SpectralEvolution.imaginary (k.mul(mask).mul -0.5)

        let term (y: Tensor) =
            let u = SpectralEvolution.toValues [| int64 n |] y
            (SpectralEvolution.forward 1 (u.mul u)).mul factor

        struct (term, k)

    /// -(u^2 / 2)_x + nu u_xx of a field on one periodic axis, each channel alone, in the very discretisation of the generator: waves with
    /// 3 |k| >= n are left out of u and of the result. Differentiable.
    let rightHandSide (viscosity: float) (u: Field) : Field =
        use _ = torch.NewDisposeScope()
        let n = (SpectralEvolution.requireTorus 1 u)[0]
        let struct (term, k) = transport n u.Domain[0].Length
        let kept = (SpectralEvolution.forward 1 u.Values).mul(SpectralEvolution.mask [| n |])
        let all = (term kept).add(kept.mul (k.mul(k).mul -viscosity))
        u.With((SpectralEvolution.toValues [| int64 n |] all).``to``(u.Values.dtype).MoveToOuterDisposeScope())

    /// The solution from a field on one periodic axis at the times, channel by channel: frames x channels, with steps of at most `step`.
    let solve (viscosity: float) (step: float) (times: float[]) (u: Field) : Field =
        NativeLibraries.ensure ()
        SpectralEvolution.times "Times" 0.0 times
        use _ = torch.NewDisposeScope()
        use _ = torch.no_grad ()
        let n = (SpectralEvolution.requireTorus 1 u)[0]
        let struct (term, k) = transport n u.Domain[0].Length

        let y0 =
            (SpectralEvolution.forward 1 (u.Values.``to`` torch.float64)).mul(SpectralEvolution.mask [| n |])

        let linear = k.mul(k).mul -viscosity
        let token = Threading.CancellationToken.None
        let frames = SpectralEvolution.frames Etdrk4 step linear term times token y0
        let values = frames |> Array.map (SpectralEvolution.toValues [| int64 n |])
        u.With((torch.cat (values, 1L)).``to``(u.Values.dtype).MoveToOuterDisposeScope())

    let private check (o: BurgersOptions) =
        if not (Double.IsFinite o.Viscosity && o.Viscosity > 0.0) then
            bad $"The viscosity must be positive and finite; got {o.Viscosity}."

        SpectralEvolution.times "Times" 0.0 o.Times
        SpectralEvolution.grid o.Grid o.SolveGrid

    /// The law of the initial states.
    let initial (o: BurgersOptions) : GaussianFieldOptions =
        let fine = check o

        {
            GaussianField.create (Domain.Torus 1) o.Sigma o.Tau o.Alpha with
                ZeroMean = o.ZeroMean
                Modes = [| 2 * SpectralEvolution.highest fine + 1 |]
        }

    let private sampleOf (o: BurgersOptions) (fine: int) (g: Generation) (sample: int) : Tensor[] =
        let points = Discretisation.Uniform(Domain.Torus 1, [| fine |])
        let u0 = GaussianField.values (initial o) g.Seed 0 sample 1 points
        let struct (term, k) = transport fine 1.0
        let linear = k.mul(k).mul -o.Viscosity

        let frames =
            SpectralEvolution.frames Etdrk4 o.Step linear term o.Times g.Cancellation (SpectralEvolution.forward 1 u0)

        let values = frames |> Array.map (SpectralEvolution.toValues [| int64 fine |])
        let thin = SpectralEvolution.thin o.Grid 1
        [| thin u0; thin (torch.stack (values, 1L)) |]

    /// Samples of the operator from `u0` to `u`, one channel for each time, at Grid points of the torus.
    let generate (o: BurgersOptions) (g: Generation) : OperatorDataset =
        let fine = check o
        let made = Generations.runEach g (sampleOf o fine g)
        let points = Discretisation.Uniform(Domain.Torus 1, [| o.Grid |])

        let source =
            Generations.source
                "u_t + (u^2 / 2)_x = nu u_xx"
                [
                    "grid", box o.Grid
                    "solveGrid", box fine
                    "viscosity", box o.Viscosity
                    "step", box o.Step
                    "sigma", box o.Sigma
                    "tau", box o.Tau
                    "alpha", box o.Alpha
                    "zeroMean", box o.ZeroMean
                ]
                g

        new OperatorDataset(
            [| "u0", Generations.scalarField points made[0] |],
            ("u", new Field(points, made[1])),
            [||],
            null,
            Unchecked.defaultof<Field>,
            o.Times,
            source
        )
