// Two-dimensional incompressible flow on a torus, by its vorticity.
namespace Continuum

open System
open TorchSharp

/// What drives the vorticity.
type VorticityForcing =
    /// Nothing.
    | None = 0
    /// 0.1 (sin 2 pi (x + y) / L + cos 2 pi (x + y) / L).
    | Diagonal = 1
    /// -k cos(2 pi k y / L), the curl of the force (sin(2 pi k y / L), 0) on the torus of length 2 pi.
    | Kolmogorov = 2
    /// A Gaussian random field, new in each sample and constant in time; the flow starts at rest.
    | Random = 3

/// w_t + u . grad w = nu Laplace w - drag w + f on the torus [0, L)^2, u the velocity of the vorticity w.
type NavierStokesOptions = {
    /// L.
    Length: float
    /// Points of the result on each axis.
    Grid: int
    /// Points on which the equation is solved, a multiple of Grid; 0 for Grid itself.
    SolveGrid: int
    /// nu; 1 / Reynolds number where velocities and lengths are of order one.
    Viscosity: float
    /// Linear friction.
    Drag: float
    /// Times of the input's frames, from 0 on, rising; not looked at under random forcing, where the forcing is the input.
    InputTimes: float[]
    /// Times of the output's frames, rising.
    Times: float[]
    /// Longest step.
    Step: float
    /// Time that the flow runs before time 0.
    SpinUp: float
    /// Forcing.
    Forcing: VorticityForcing
    /// k of Kolmogorov forcing.
    ForcingWave: int
    /// Factor of the standard deviation of the random initial vorticity, or of the random forcing.
    Sigma: float
    /// Its inverse length.
    Tau: float
    /// Its exponent.
    Alpha: float
    /// Time stepping.
    Method: ExponentialMethod
} with

    /// The unit torus with nu = 1e-3 and diagonal forcing: ten frames at t = 1 .. 10 in, those at 11 .. 50 out, 64 x 64 points.
    static member Default: NavierStokesOptions = {
        Length = 1.0
        Grid = 64
        SolveGrid = 0
        Viscosity = 1e-3
        Drag = 0.0
        InputTimes = Array.init 10 (fun i -> float (i + 1))
        Times = Array.init 40 (fun i -> float (i + 11))
        Step = 0.01
        SpinUp = 0.0
        Forcing = VorticityForcing.Diagonal
        ForcingWave = 4
        Sigma = Math.Pow(7.0, 1.5)
        Tau = 7.0
        Alpha = 2.5
        Method = IntegratingFactorRk4
    }

    /// Kolmogorov flow on [0, 2 pi)^2 with forcing -4 cos 4 y at Reynolds number 100: the state at t = 0, after a spin-up, to that at t = 1.
    static member Kolmogorov: NavierStokesOptions = {
        NavierStokesOptions.Default with
            Length = 2.0 * Math.PI
            Viscosity = 0.01
            InputTimes = [| 0.0 |]
            Times = [| 1.0 |]
            Step = 0.005
            SpinUp = 10.0
            Forcing = VorticityForcing.Kolmogorov
    }

    /// The operator from a random forcing ~ N(0, 27 (-Laplace + 9)^-4) on [0, 2 pi)^2 to the vorticity at t = 5, from rest, at Reynolds number 500.
    static member ForcingToVorticity: NavierStokesOptions = {
        NavierStokesOptions.Default with
            Length = 2.0 * Math.PI
            Viscosity = 1.0 / 500.0
            Times = [| 5.0 |]
            Forcing = VorticityForcing.Random
            Sigma = sqrt 27.0
            Tau = 3.0
            Alpha = 4.0
    }

/// The vorticity equation by Fourier series: products on the grid with the upper third of the waves left out, so that the transport term keeps
/// energy and enstrophy to rounding; exponential time stepping of order 4 (viscosity and drag are exact). Vorticity of mean zero.
[<RequireQualifiedAccess>]
module NavierStokes =

    let private bad (text: string) = raise (ArgumentException text)

    /// Multipliers of coefficients on n x n points of [0, L)^2.
    type private Multipliers = {
        /// k^2.
        Square: Tensor
        /// 1 for kept waves but the mean.
        Kept: Tensor
        /// From w to (u, v, w_x, w_y), stacked.
        Fields: Tensor
        Sizes: int64[]
    }

    let private multipliers (n0: int) (n1: int) (length0: float) (length1: float) : Multipliers =
        let sizes = [| n0; n1 |]
        let kx = (SpectralEvolution.waves sizes 0).mul(2.0 * Math.PI / length0)
        let ky = (SpectralEvolution.waves sizes 1).mul(2.0 * Math.PI / length1)
        let square = kx.mul(kx).add(ky.mul ky)
        let origin = square.eq 0.0
        let kept = (SpectralEvolution.mask sizes).masked_fill(origin, 0.0)
        let inverse = kept.div (square.masked_fill (origin, 1.0))
        // -Laplace psi = w, u = psi_y, v = -psi_x.
        let stacked = torch.stack [| ky.mul inverse; kx.mul(inverse).neg(); kx.mul kept; ky.mul kept |]

        {
            Square = square
            Kept = kept
            Fields = SpectralEvolution.imaginary stacked
            Sizes = [| int64 n0; int64 n1 |]
        }

    /// -(u . grad w) of coefficients (.., n0, n1 / 2 + 1).
    let private transport (m: Multipliers) (w: Tensor) : Tensor =
        let all = SpectralEvolution.toValues m.Sizes (w.unsqueeze(-3L).mul m.Fields)
        let part (i: int64) = all.select (-3L, i)
        let product = (part 0L).mul(part 2L).add((part 1L).mul(part 3L))
        (SpectralEvolution.forward 2 product).mul(m.Kept).neg()

    /// The velocity (two channels) of vorticities (one channel) on a torus.
    let velocity (w: Field) : Field =
        use _ = torch.NewDisposeScope()
        let n = SpectralEvolution.requireTorus 2 w

        if w.Channels <> 1 then
            bad $"A vorticity has one channel; got {w}."

        let m = multipliers n[0] n[1] w.Domain[0].Length w.Domain[1].Length
        let both = (SpectralEvolution.forward 2 w.Values).mul(m.Fields.narrow (0L, 0L, 2L))
        w.With((SpectralEvolution.toValues m.Sizes both).``to``(w.Values.dtype).MoveToOuterDisposeScope())

    /// -(u . grad w) + nu Laplace w - drag w + f of vorticities on a torus, each channel alone, in the very discretisation of the generator: waves
    /// with 3 |k| >= n are left out. f has the shape of w, or broadcasts to it; null for none. Differentiable.
    let rightHandSide (viscosity: float) (drag: float) (forcing: Tensor) (w: Field) : Field =
        use _ = torch.NewDisposeScope()
        let n = SpectralEvolution.requireTorus 2 w

        if not (isNull forcing) then
            let shape, own = w.Values.shape, forcing.shape
            let rest = Array.truncate (max 0 (own.Length - 2)) own

            let fits =
                own.Length >= 2
                && own.Length <= shape.Length
                && own[own.Length - 2 ..] = shape[shape.Length - 2 ..]
                && Array.forall2 (fun f s -> f = 1L || f = s) rest shape[shape.Length - own.Length .. shape.Length - 3]
                && forcing.dtype = w.Values.dtype

            if not fits then
                bad
                    $"The forcing has shape {Tensors.shapeText forcing} and dtype {forcing.dtype}; it must have the points and the dtype of the vorticity, {Tensors.shapeText w.Values} {w.Values.dtype}, and broadcast to it."

        let m = multipliers n[0] n[1] w.Domain[0].Length w.Domain[1].Length
        let y = (SpectralEvolution.forward 2 w.Values).mul m.Kept
        let linear = m.Square.mul(-viscosity).sub drag
        let all = (transport m y).add(y.mul linear)

        let all =
            if isNull forcing then
                all
            else
                all.add ((SpectralEvolution.forward 2 forcing).mul m.Kept)

        w.With((SpectralEvolution.toValues m.Sizes all).``to``(w.Values.dtype).MoveToOuterDisposeScope())

    /// Fixed forcings at n x n points; null for none and for random forcing.
    let forcing (o: NavierStokesOptions) (points: Discretisation) : Tensor =
        let wave = 2.0 * Math.PI / o.Length

        let fixedField (f: float -> float -> float) =
            use field = FieldValues.ofFunction 1 torch.float64 points (fun x -> [| f x[0] x[1] |])
            field.Values.squeeze 1L

        match o.Forcing with
        | VorticityForcing.Diagonal -> fixedField (fun x y -> 0.1 * (sin (wave * (x + y)) + cos (wave * (x + y))))
        | VorticityForcing.Kolmogorov ->
            fixedField (fun _ y -> -(float o.ForcingWave) * cos (wave * float o.ForcingWave * y))
        | _ -> null

    let private check (o: NavierStokesOptions) : int =
        if not (Double.IsFinite o.Viscosity && o.Viscosity >= 0.0 && Double.IsFinite o.Drag && o.Drag >= 0.0) then
            bad $"Viscosity and drag must be finite and not negative; got {o.Viscosity} and {o.Drag}."

        if not (Double.IsFinite o.Length && o.Length > 0.0 && Double.IsFinite o.SpinUp && o.SpinUp >= 0.0) then
            bad $"The length must be positive and the spin-up not negative; got {o.Length} and {o.SpinUp}."

        if o.Forcing <> VorticityForcing.Random then
            SpectralEvolution.times "InputTimes" 0.0 o.InputTimes

        SpectralEvolution.times "Times" 0.0 o.Times
        let fine = SpectralEvolution.grid o.Grid o.SolveGrid

        if
            o.Forcing = VorticityForcing.Kolmogorov
            && (o.ForcingWave < 1 || o.ForcingWave > SpectralEvolution.highest fine)
        then
            bad
                $"The forcing's wave {o.ForcingWave} does not lie in 1 .. {SpectralEvolution.highest fine}, the waves that {fine} points keep."

        fine

    /// The law of the initial vorticity, or of the random forcing.
    let field (o: NavierStokesOptions) : GaussianFieldOptions =
        let fine = check o
        let modes = 2 * SpectralEvolution.highest fine + 1

        {
            GaussianField.create (Domain.Cube(2, o.Length, Boundary.Periodic)) o.Sigma o.Tau o.Alpha with
                Modes = [| modes; modes |]
        }

    /// Frames (samples, times, n, n) from initial vorticities and a forcing (null for none).
    let private framesOf (o: NavierStokesOptions) (times: float[]) token (force: Tensor) (w0: Tensor) : Tensor =
        let n = int w0.shape[w0.shape.Length - 1]
        let m = multipliers n n o.Length o.Length
        let force = if isNull force then null else (SpectralEvolution.forward 2 force).mul m.Kept

        let nonlinear (y: Tensor) =
            let term = transport m y
            if isNull force then term else term.add force

        let linear = m.Square.mul(-o.Viscosity).sub o.Drag
        let y0 = (SpectralEvolution.forward 2 w0).mul m.Kept
        let shifted = times |> Array.map (fun t -> t + o.SpinUp)
        let frames = SpectralEvolution.frames o.Method o.Step linear nonlinear shifted token y0
        torch.stack (frames |> Array.map (SpectralEvolution.toValues m.Sizes), 1L)

    /// The flow from vorticities on a square torus of the options' length (one channel, float64) at the options' output times, after the spin-up,
    /// under the options' forcing: a channel for each time. Under random forcing the field is the forcing, and the flow starts at rest.
    let solve (o: NavierStokesOptions) (w: Field) : Field =
        NativeLibraries.ensure ()
        check o |> ignore
        use _ = torch.NewDisposeScope()
        use _ = torch.no_grad ()
        let n = SpectralEvolution.requireTorus 2 w

        if n[0] <> n[1] || w.Channels <> 1 || w.Domain.Axes |> Array.exists (fun a -> a.Length <> o.Length) then
            bad $"The flow needs one channel on n x n points of a torus of length {o.Length}; got {w}."

        let start = (w.Values.``to`` torch.float64).squeeze 1L
        let random = o.Forcing = VorticityForcing.Random
        let force = if random then start else forcing o w.Discretisation
        let w0 = if random then torch.zeros_like start else start
        let frames = framesOf o o.Times Threading.CancellationToken.None force w0
        w.With((frames.``to`` w.Values.dtype).MoveToOuterDisposeScope())

    let private sampleOf (o: NavierStokesOptions) (fine: int) (g: Generation) (sample: int) : Tensor[] =
        let law = field o
        let points = Discretisation.Uniform(law.Domain, [| fine; fine |])
        let drawn = GaussianField.values law g.Seed 0 sample 1 points
        let thin = SpectralEvolution.thin o.Grid 2

        if o.Forcing = VorticityForcing.Random then
            let frames = framesOf o o.Times g.Cancellation drawn (torch.zeros_like drawn)
            [| thin (drawn.unsqueeze 1L); thin frames |]
        else
            let all = Array.append o.InputTimes o.Times |> Array.distinct |> Array.sort
            let frames = framesOf o all g.Cancellation (forcing o points) drawn

            let pick (times: float[]) =
                let places = times |> Array.map (fun t -> int64 (Array.BinarySearch(all, t)))
                thin (frames.index_select (1L, FieldParts.places places))

            [| pick o.InputTimes; pick o.Times |]

    /// Samples of the operator from the vorticity `w` at the input times, or from the random forcing `f`, to the vorticity at the output times,
    /// a channel for each time, at Grid x Grid points.
    let generate (o: NavierStokesOptions) (g: Generation) : OperatorDataset =
        let fine = check o
        let made = Generations.runEach g (sampleOf o fine g)
        let points = Discretisation.Uniform(Domain.Cube(2, o.Length, Boundary.Periodic), [| o.Grid; o.Grid |])

        let source =
            Generations.source
                "w_t + u . grad w = nu Laplace w - drag w + f"
                [
                    "length", box o.Length
                    "grid", box o.Grid
                    "solveGrid", box fine
                    "viscosity", box o.Viscosity
                    "drag", box o.Drag
                    "inputTimes", box o.InputTimes
                    "step", box o.Step
                    "spinUp", box o.SpinUp
                    "forcing", box (string o.Forcing)
                    "forcingWave", box o.ForcingWave
                    "sigma", box o.Sigma
                    "tau", box o.Tau
                    "alpha", box o.Alpha
                    "method", box (string o.Method)
                ]
                g

        let input = if o.Forcing = VorticityForcing.Random then "f" else "w"

        new OperatorDataset(
            [| input, new Field(points, made[0]) |],
            ((if input = "w" then "w later" else "w"), new Field(points, made[1])),
            [||],
            null,
            Unchecked.defaultof<Field>,
            o.Times,
            source
        )
