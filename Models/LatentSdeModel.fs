// A fitted latent SDE: samples of the prior, inference of series, forecasts, files.
namespace Continuum

open System
open TorchSharp

/// Configurations as JSON.
module internal LatentSdeText =
    let toJson (config: LatentSdeConfig) : string = ConfigText.ofRecord config

    let ofJson (path: string) (text: string) : LatentSdeConfig =
        let r = ConfigReader(path, text)
        let config = r.Record<LatentSdeConfig>()
        let n = config.Columns.Length

        if n = 0 || config.Centre.Length <> n || config.Spread.Length <> n || config.LatentSize < 1 then
            r.Damaged "its lists differ in length"

        config

/// The parts of the evidence lower bound of a batch, each a sum over the batch; (0-d) tensors.
type internal LatentTerms = {
    /// Log density of the observations.
    LogLikelihood: Tensor
    /// Divergence of the initial states.
    InitialKl: Tensor
    /// Divergence of the paths.
    PathKl: Tensor
    /// Latent states at the grid's times, (times, batch, size).
    States: Tensor
    /// Sum of the steps' errors; null unless asked for.
    Error: Tensor
    /// Sum of the steps' stiffness; null unless asked for.
    Stiffness: Tensor
    /// Evaluations of the right-hand side.
    Evaluations: int
}

/// A latent SDE fitted to series: prior samples, reconstruction and forecast. Dispose it. Not thread-safe.
[<Sealed>]
type LatentSdeModel internal (config: LatentSdeConfig, network: LatentSde) =
    let mutable disposed = false
    let n, d = config.Dimension, config.LatentSize
    let alive () = ObjectDisposedException.ThrowIf(disposed, typeof<LatentSdeModel>)
    let method: SdeMethod<Ito, DiagonalNoise> = SdeMethods.eulerMaruyama
    let step = 1.0 / float config.StepsPerUnit

    let solve options (sde: Sde<Ito, DiagonalNoise>) (seed: uint64) (first: int) (t0: float) (t1: float) (y0: Tensor) =
        let cells = max 1 (int (ceil ((t1 - t0) / step - 1e-9)))
        let finish = max t1 (t0 + float cells * step)
        let size = int y0.shape[1]
        let spec = BrownianSpec.fixedSteps t0 finish cells size seed
        use path = TensorBrownian.For(spec, y0, int64 first)
        (TensorSde.solve options method sde path t0 t1 y0).EnsureSuccess()

    let optionsOf (times: float[]) differentiation heuristics = {
        TensorSdeOptions.fixedSteps step with
            SaveAt = Times times
            Differentiation = differentiation
            Heuristics = heuristics
            CheckTracking = false
    }

    /// Scaled series, with NaN where nothing was observed.
    let scaled (path: ObservedPath) : struct (float[] * float[][]) =
        struct (path.Times |> Array.map (fun t -> t / config.TimeUnit),
                Array.init path.Rows (fun i -> Array.init n (fun j -> config.ToScaled(j, path.Values[i, j]))))

    let check (start: float) (times: float[]) (first: int) (count: int) =
        PathRequest.checkPaths first count
        PathRequest.checkAnyTime times
        PathRequest.checkTimes start true times

    let values (states: Tensor) (seed: uint64) (first: int) (noisy: bool) : float[,,] =
        let count, times = int states.shape[1], int states.shape[0]
        let decoded = network.forward states

        let observed =
            if noisy then
                let eps = PathRequest.normals seed 3UL first count (times * n)
                let eps = eps.reshape([| int64 count; int64 times; int64 n |]).transpose(0L, 1L)
                decoded.add (eps.mul (network.NoiseLog.exp ()))
            else
                decoded

        let flat = Tensors.toArray observed
        Array3D.init count times n (fun p t j -> config.ToValue(j, flat[(t * count + p) * n + j]))

    /// The configuration.
    member _.Config = config
    /// Drifts, diffusion and decoder in scaled coordinates.
    member _.Network = network

    /// Everything trainable by name, in a fixed order.
    member internal _.Trainable = ModelFile.parameters "model." network

    member internal _.Scaled(path: ObservedPath) = scaled path

    /// One sample of the posterior for a batch, with the terms of the evidence lower bound.
    member internal _.Infer
        (grid: SeriesGrid, seed: uint64, first: int, differentiation, heuristics: bool)
        : LatentTerms =
        let batch = int grid.Values.shape[0]
        let contexts = network.Contexts grid

        /// What is known of the next observation and all after it.
        let context (t: float) =
            let k = Array.BinarySearch(grid.Times, t + 1e-9)
            let next = if k >= 0 then k + 1 else ~~~k
            contexts[min next (contexts.Length - 1)]

        let struct (mean, log) = network.InitialPosterior contexts[0]
        let deviation = log.exp ()
        let z0 = mean.addcmul (deviation, PathRequest.normals seed 1UL first batch d, 1.0)
        let y0 = torch.cat ([| z0; torch.zeros ([| int64 batch; 1L |], dtype = Nullable torch.float64) |], 1L)
        let last = grid.Times[grid.Times.Length - 1]
        let options = optionsOf grid.Times differentiation heuristics
        let solution = solve options (network.Posterior context) seed first 0.0 last y0
        let states = solution.States.narrow (-1L, 0L, int64 d)
        let residual = (network.forward(states).transpose(0L, 1L).sub grid.Values).div(network.NoiseLog.exp ())
        let constant = network.NoiseLog.add (0.5 * Math.Log(2.0 * Math.PI))
        let density = residual.square().mul(0.5).add(constant).neg()
        let struct (m, s) = network.Start
        let ratio = log.sub s
        let gap = mean.sub(m).div(s.exp ())

        let kl = ratio.mul(2.0).exp().add(gap.square ()).sub(1.0).mul(0.5).sub ratio

        {
            LogLikelihood = density.mul(grid.Mask).sum()
            InitialKl = kl.sum ()
            PathKl = solution.States.select(0L, -1L).narrow(-1L, int64 d, 1L).sum()
            States = states
            Error = solution.ErrorEstimate
            Stiffness = solution.StiffnessEstimate
            Evaluations = solution.Statistics.Evaluations
        }

    /// Samples `first` to first + count - 1 of the prior at times after a start of 0 (in the data's unit; 0 itself allowed): values (paths,
    /// times, columns), with the noise of observations where `noisy` holds. Path p depends on the seed and p alone.
    /// ArgumentException for times that do not rise from 0.
    member _.Sample(times: float[], seed: uint64, first: int, count: int, noisy: bool) : float[,,] =
        alive ()
        check 0.0 times first count
        use _ = torch.NewDisposeScope()
        use _ = torch.no_grad ()
        let struct (mean, log) = network.Start
        let z0 = mean.addcmul (log.exp (), PathRequest.normals seed 1UL first count d, 1.0)

        values
            (LatentSdeModel.Run(
                network.Prior(),
                solve,
                optionsOf,
                times |> Array.map (fun t -> t / config.TimeUnit),
                seed,
                first,
                z0
            ))
            seed
            first
            noisy

    /// States at rising times from 0 on; at 0 the initial state itself.
    static member private Run(sde, solve, optionsOf, taus: float[], seed: uint64, first: int, z0: Tensor) : Tensor =
        let later = taus |> Array.filter (fun t -> t > 0.0)

        let states: Tensor[] = [|
            if later.Length < taus.Length then
                z0.unsqueeze 0L

            if later.Length > 0 then
                let solution: TensorSolution =
                    solve (optionsOf later Differentiation.None false) sde seed first 0.0 later[later.Length - 1] z0

                solution.States
        |]

        torch.cat (states, 0L)

    /// Paths of the posterior given a series, `first` to first + count - 1 of this seed, at rising times from the series' first time on: values
    /// (paths, times, columns). Within the series they reconstruct it; after its last time they go on by the prior, which is a forecast.
    /// Values of the series may be NaN where nothing was observed. ArgumentException for unsuitable data and times.
    member this.Simulate
        (series: ObservedPath, times: float[], seed: uint64, first: int, count: int, noisy: bool)
        : float[,,] =
        alive ()
        ObservedPaths.check 2 true config.Columns [| series |]

        if config.Logarithm then
            ObservedPaths.checkPositive config.Columns [| series |]

        check series.Times[0] times first count
        use _ = torch.NewDisposeScope()
        use _ = torch.no_grad ()
        let struct (tau, rows) = scaled series
        let wanted = times |> Array.map (fun t -> t / config.TimeUnit - tau[0])
        let last = tau[tau.Length - 1] - tau[0]
        // The series itself, with empty rows at the wanted times within it.
        let empty = Array.create n nan
        let inner = wanted |> Array.filter (fun t -> t < last)

        let all =
            Array.append
                (Array.map2 (fun t r -> struct (t - tau[0], r)) tau rows)
                (inner |> Array.map (fun t -> struct (t, empty)))

        let all = all |> Array.sortBy (fun (struct (t, _)) -> t)
        let one = struct (all |> Array.map (fun struct (t, _) -> t), all |> Array.map (fun struct (_, r) -> r))
        let single = SeriesGrid.Create [| one |]
        let spread (x: Tensor) = x.expand ([| int64 count; x.shape[1]; x.shape[2] |])
        let grid = SeriesGrid(single.Times, spread single.Values, spread single.Mask)
        let terms = this.Infer(grid, seed, first, Differentiation.None, false)
        let near (t: float) = grid.Times |> Array.findIndex (fun s -> abs (s - t) < 1e-8)
        let within = wanted |> Array.filter (fun t -> t <= last) |> Array.map (near >> int64)
        let after = wanted |> Array.filter (fun t -> t > last) |> Array.map (fun t -> t - last)
        let index = torch.tensor(within, dtype = Nullable torch.int64).clone()

        let states = [|
            if within.Length > 0 then
                terms.States.index_select (0L, index)

            if after.Length > 0 then
                let z0 = terms.States.select (0L, -1L)
                LatentSdeModel.Run(network.Prior(), solve, optionsOf, after, seed ^^^ 0xA5A5A5A5A5A5A5A5UL, first, z0)
        |]

        values (torch.cat (states, 0L)) seed first noisy

    /// What the noise of the latent process contributes to an observed step, in units of the data's own: root mean square, over posterior
    /// samples of the series, of the change that the diffusion makes to the decoded values in a median step, divided by the root mean
    /// square of the data's changes. Near 0: the diffusion has collapsed and the model is an ordinary differential equation.
    member this.NoiseToData(series: ObservedPath, seed: uint64, samples: int) : float =
        alive ()
        ObservedPaths.check 2 true config.Columns [| series |]
        use _ = torch.NewDisposeScope()
        use _ = torch.no_grad ()
        let single = SeriesGrid.Create [| scaled series |]
        let spread (x: Tensor) = x.expand ([| int64 samples; x.shape[1]; x.shape[2] |])
        let grid = SeriesGrid(single.Times, spread single.Values, spread single.Mask)
        let terms = this.Infer(grid, seed, 0, Differentiation.None, false)
        let z = terms.States
        let eps = (PathRequest.normals seed 5UL 0 samples (int z.shape[0] * d)).reshape z.shape

        let moved = network.forward(z.addcmul (network.Diffusion z, eps, 1.0)).sub(network.forward z)

        let x = single.Values
        let both = single.Mask.narrow(1L, 1L, x.shape[1] - 1L).mul(single.Mask.narrow (1L, 0L, x.shape[1] - 1L))
        let steps = x.narrow(1L, 1L, x.shape[1] - 1L).sub(x.narrow (1L, 0L, x.shape[1] - 1L)).mul both

        sqrt (
            moved.square().mean().ToDouble()
            / (steps.square().sum().ToDouble() / max 1.0 (both.sum().ToDouble()))
        )

    member internal this.ToCheckpoint() : Checkpoint =
        ModelFile.checkpoint LatentSdeModel.CheckpointKind (LatentSdeText.toJson config) this.Trainable

    /// Kind of the checkpoints of latent SDEs.
    static member CheckpointKind = "latent-sde"

    /// Writes the model atomically.
    member this.Save(path: string) : unit =
        alive ()
        this.ToCheckpoint().Save path

    /// Reads a model. InvalidDataException for a damaged or foreign file, FileNotFoundException for a missing one.
    static member Load(path: string) : LatentSdeModel =
        NativeLibraries.ensure ()
        let checkpoint = Checkpoint.Load(path, LatentSdeModel.CheckpointKind)
        let config = LatentSdeText.ofJson path checkpoint.Config
        use generator = new torch.Generator(0UL)
        let network = new LatentSde(config, Array.create config.Dimension 1.0, generator)
        let model = new LatentSdeModel(config, network)
        ModelFile.filled checkpoint model.Trainable model

    interface IDisposable with
        member _.Dispose() =
            if not disposed then
                disposed <- true
                network.Dispose()
