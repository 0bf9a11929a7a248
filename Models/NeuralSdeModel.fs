// A fitted neural SDE with everything that is needed to use it again: its past, simulation, likelihood, files.
namespace Continuum

open System
open System.Collections.Generic
open TorchSharp

/// Configurations as JSON.
module internal NeuralSdeText =
    let toJson (config: NeuralSdeConfig) : string = ConfigText.ofRecord config

    let ofJson (path: string) (text: string) : NeuralSdeConfig =
        let r = ConfigReader(path, text)
        let config = r.Record<NeuralSdeConfig>()
        let n = config.Columns.Length

        let lists = [ config.Scale.Length; config.Centre.Length; config.Spread.Length ]

        if n = 0 || lists |> List.exists (fun length -> length <> n) || config.Correlation.Length <> n * n then
            r.Damaged "its lists differ in length"

        config

/// Where a path stands: its last time and values, and what the model remembers of it.
[<Sealed>]
type internal PathPosition(time: float, x: Tensor, memory: Tensor) =
    /// Time in the data's units.
    member _.Time = time
    /// Scaled state, (1, columns).
    member _.X = x
    /// Memory, (1, size).
    member _.Memory = memory

    interface IDisposable with
        member _.Dispose() =
            x.Dispose()
            memory.Dispose()

/// The data as transitions: everything the likelihood needs, row by row.
type internal Transitions = {
    /// Scaled states at the starts, (transitions, columns).
    From: Tensor
    /// Scaled states at the ends.
    To: Tensor
    /// Scaled times at the starts, (transitions, 1).
    Tau: Tensor
    /// Scaled lengths, (transitions, 1).
    Step: Tensor
    /// The memory at the starts, (transitions, size); null where there is none.
    Memory: Tensor
    /// Where the path ends.
    End: PathPosition
}

/// A neural SDE fitted to time series: dx = f dt + L dW for values or their logarithms. Dispose it. Not thread-safe.
[<Sealed>]
type NeuralSdeModel internal (config: NeuralSdeConfig, network: NeuralSde, tail: Tensor) =
    let memory = network.Memory
    let mutable disposed = false
    let n = config.Dimension

    let scaled (path: ObservedPath) =
        Array.init path.Rows (fun i -> Array.init n (fun j -> config.ToScaled(j, path.Values[i, j])))

    let advance (state: Tensor) (z: Tensor) (step: float) = memory.Update(state, z, step)

    /// Coefficients over a step of length h from tau with this memory.
    let coefficients (tau: Tensor) (h: Tensor) (state: Tensor) =
        TransitionCoefficients(fun share x ->
            let time =
                if not config.TimeInput then null
                elif share = 0.0 then tau
                else tau.add (h.mul share)

            let lift (tensor: Tensor) = if isNull tensor || x.dim () = 2L then tensor else tensor.unsqueeze 1L

            network.Coefficients(lift time, x, lift state))

    /// The configuration.
    member _.Config = config
    /// Drift and diffusion in scaled coordinates.
    member _.Network = network
    /// Last time of the training data: where simulations start that are given no history.
    member _.LastTime = config.LastTime
    member internal _.End = tail

    /// Everything trainable or kept by name, in a fixed order.
    member internal _.State: (string * Tensor)[] = [|
        for name, parameter in ModelFile.parameters "model." network do
            name, parameter :> Tensor

        "end", tail
    |]

    /// The transitions of a series, in rows; the caller disposes the tensors, and the position at the end is a result of its own.
    member internal _.Transitions(path: ObservedPath) : Transitions =
        use scope = torch.NewDisposeScope()
        use _ = torch.no_grad ()
        let x = scaled path
        let count = path.Rows - 1

        let matrix (rows: float[][]) =
            Tensors.ofArray (Array.concat rows) [| rows.LongLength; int64 n |] torch.float64 torch.CPU

        let all = matrix x
        let from, upto = all.narrow (0L, 0L, int64 count), all.narrow (0L, 1L, int64 count)
        let tau = path.Times |> Array.map config.Tau
        let steps = Array.init count (fun k -> tau[k + 1] - tau[k])
        let column (values: float[]) = Tensors.ofArray values [| values.LongLength; 1L |] torch.float64 torch.CPU
        let states = List<Tensor>()
        let mutable state = memory.Initial 1L

        if memory.Size > 0 then
            let z = upto.sub from

            for k in 0 .. count - 1 do
                states.Add state
                state <- advance state (z.narrow (0L, int64 k, 1L)) steps[k]

        let remembered = if memory.Size = 0 then null else torch.cat (states.ToArray(), 0L)

        let keep (tensor: Tensor) = if isNull tensor then null else tensor.clone().MoveToOuterDisposeScope()

        let last = all.narrow (0L, int64 count, 1L)

        {
            From = keep from
            To = keep upto
            Tau = keep (column (Array.sub tau 0 count))
            Step = keep (column steps)
            Memory = keep remembered
            End = new PathPosition(path.Times[count], keep last, keep state)
        }

    /// Log densities of transitions in scaled coordinates, (transitions).
    member internal _.LogDensities(t: Transitions) : Tensor =
        use _ = torch.NewDisposeScope()

        // Where nothing changes within a step, Euler's moments are exact.
        let density =
            if config.Level || config.TimeInput then
                config.Density
            else
                TransitionDensity.Euler

        let struct (mean, factor) =
            TransitionLikelihood.moments density (coefficients t.Tau t.Step t.Memory) t.From t.Step

        (TransitionLikelihood.logDensity mean factor t.To).MoveToOuterDisposeScope()

    /// The log density of every transition of a series, given the rows before it, in the units of the increments (of the logarithm,
    /// where that is modelled): comparable with GeometricBrownian.logDensities. The memory starts empty at the first row, so leave out
    /// the first transitions (some half-lives) when comparing, or give the history and take the last ones.
    /// ArgumentException for unsuitable data.
    member this.LogDensities(path: ObservedPath) : float[] =
        ObjectDisposedException.ThrowIf(disposed, typeof<NeuralSdeModel>)
        this.Check(path, 2)
        use _ = torch.NewDisposeScope()
        use _ = torch.no_grad ()
        let jacobian = config.Scale |> Array.sumBy log
        let transitions = this.Transitions path
        this.LogDensities transitions |> Tensors.toArray |> Array.map (fun value -> value - jacobian)

    member private _.Check(path: ObservedPath, rows: int) =
        ObservedPaths.check rows false config.Columns [| path |]

        if config.Logarithm then
            ObservedPaths.checkPositive config.Columns [| path |]

    /// Volatilities (rows, columns) per root of time, in the data's units (of the logarithm, where that is modelled), that the model gives at
    /// each row of a series for the time after it, from the rows up to it.
    member this.Volatilities(path: ObservedPath) : float[,] =
        ObjectDisposedException.ThrowIf(disposed, typeof<NeuralSdeModel>)
        this.Check(path, 2)
        use _ = torch.NewDisposeScope()
        use _ = torch.no_grad ()
        let t = this.Transitions path
        let whole (rows: Tensor) (last: Tensor) = torch.cat ([| rows; last |], 0L)
        let x = whole t.From t.End.X
        let states = if isNull t.Memory then null else whole t.Memory t.End.Memory
        let tau = whole t.Tau (Tensors.ofArray [| config.Tau t.End.Time |] [| 1L; 1L |] torch.float64 torch.CPU)
        let struct (_, factor) = network.Coefficients((if config.TimeInput then tau else null), x, states)
        let v = if factor.dim () = 2L then factor else factor.square().sum(-1L).sqrt()
        let values = Tensors.toArray v
        Array2D.init path.Rows n (fun i j -> values[i * n + j] * config.Scale[j] / sqrt config.TimeUnit)

    member private this.Position(history: ObservedPath voption) : PathPosition =
        match history with
        | ValueSome path ->
            this.Check(path, 2)
            let t = this.Transitions path
            t.End
        | ValueNone ->
            new PathPosition(
                config.LastTime,
                tail.narrow(1L, 0L, int64 n).clone(),
                tail.narrow(1L, int64 n, int64 memory.Size).clone()
            )

    /// Lengths of the steps, in scaled time, from a position to the wanted times: steps between refreshed memories are about one unit, each
    /// cut into `substeps`. Returned as (length, ends a memory step, index of the wanted time or -1).
    member private _.Grid(start: float, times: float[], substeps: int) : struct (float * bool * int)[] =
        let steps = List<struct (float * bool * int)>()
        let mutable at = config.Tau start

        times
        |> Array.iteri (fun i time ->
            let upto = config.Tau time
            let refreshes = max 1 (int (Math.Round(upto - at)))
            let length = (upto - at) / float (refreshes * substeps)

            for k in 1..refreshes do
                for s in 1..substeps do
                    let closes = s = substeps
                    steps.Add(struct (length, closes, (if closes && k = refreshes then i else -1)))

            at <- upto)

        steps.ToArray()

    /// Simulates paths `first` to first + count - 1 of the infinitely many of this seed from the end of `history` (ValueNone: of the training
    /// data) on: values (paths, times, columns) at rising times after it. Path p depends on the seed and p alone, not on count. Steps are
    /// those of Euler and Maruyama, about one median step of the data long, cut into `substeps`: exact in law for a
    /// model that does not see the state or time (Level and TimeInput false), else of weak order 1.
    /// ArgumentException for unsuitable history, and times that do not rise from its end.
    member this.Simulate
        (history: ObservedPath voption, times: float[], seed: uint64, first: int, count: int, substeps: int)
        : float[,,] =
        ObjectDisposedException.ThrowIf(disposed, typeof<NeuralSdeModel>)
        use _ = torch.NewDisposeScope()
        use _ = torch.no_grad ()
        let position = this.Position history
        NeuralSdeModel.CheckSimulation(position.Time, times, first, count, substeps)
        let steps = this.Grid(position.Time, times, substeps)
        // A unit of the noise's own time for each step; the increments are then scaled to the steps.
        let spec = BrownianSpec.fixedSteps 0.0 (float steps.Length) steps.Length n seed
        use brownian = new TensorBrownian(spec, [| int64 count |], int64 first, torch.float64, torch.CPU)
        let result = Array3D.zeroCreate count times.Length n
        let mutable x = position.X.expand([| int64 count; int64 n |]).clone()
        let mutable start = x.clone ()
        let column (value: float) = torch.empty([| int64 count; 1L |], dtype = Nullable torch.float64).fill_ value
        let mutable state = position.Memory.expand([| int64 count; int64 memory.Size |]).clone()
        let mutable tau = config.Tau position.Time
        let mutable since = 0.0

        // The outer scope would hold every value of a long simulation.
        let replace (old: Tensor) (fresh: Tensor) =
            old.Dispose()
            fresh

        for k in 0 .. steps.Length - 1 do
            use scope = torch.NewDisposeScope()
            let struct (h, refresh, wanted) = steps[k]
            let time = if config.TimeInput then column tau else null
            let struct (f, l) = network.Coefficients(time, x, state)
            let w = brownian.Step(float k, float (k + 1)).W.mul(sqrt h)

            let noise = if config.Correlated then Tensors.product l w else l.mul w

            let next = noise.add(x).add_(f.mul h).MoveToOuterDisposeScope()
            tau <- tau + h
            since <- since + h

            if refresh then
                if memory.Size > 0 then
                    state <- replace state ((advance state (next.sub start) since).MoveToOuterDisposeScope())

                start <- replace start (next.clone().MoveToOuterDisposeScope())
                since <- 0.0

            x <- replace x next

            if wanted >= 0 then
                let values = Tensors.toArray x

                for p in 0 .. count - 1 do
                    for j in 0 .. n - 1 do
                        result[p, wanted, j] <- config.ToValue(j, values[p * n + j])

        result

    static member private CheckSimulation(start: float, times: float[], first: int, count: int, substeps: int) =
        PathRequest.checkPaths first count
        OptionChecks.atLeast 1 "Substeps" substeps
        PathRequest.checkAnyTime times
        PathRequest.checkTimes start false times

    /// The checkpoint of the model alone; training adds its own state.
    member internal this.ToCheckpoint() : Checkpoint =
        ModelFile.checkpoint NeuralSdeModel.CheckpointKind (NeuralSdeText.toJson config) this.State

    /// Kind of the checkpoints of neural SDEs.
    static member CheckpointKind = "neural-sde"

    /// Numbers in the stored end of the training data.
    static member internal EndSize(config: NeuralSdeConfig) =
        config.Dimension + PathMemory.SizeOf(config.HalfLives, config.Lags, config.Dimension)

    /// Writes the model atomically.
    member this.Save(path: string) : unit =
        ObjectDisposedException.ThrowIf(disposed, typeof<NeuralSdeModel>)
        this.ToCheckpoint().Save path

    /// Reads a model. InvalidDataException for a damaged or foreign file, FileNotFoundException for a missing one.
    static member Load(path: string) : NeuralSdeModel =
        NativeLibraries.ensure ()
        let checkpoint = Checkpoint.Load(path, NeuralSdeModel.CheckpointKind)
        let config = NeuralSdeText.ofJson path checkpoint.Config
        let n = config.Dimension
        use generator = new torch.Generator(0UL)
        use _ = torch.NewDisposeScope()
        let zeros = Array.zeroCreate n
        let network = new NeuralSde(config, zeros, Array.zeroCreate (n * (n - 1) / 2), generator)
        let size = NeuralSdeModel.EndSize config

        let model =
            new NeuralSdeModel(config, network, Owned.constant (Array.zeroCreate size) [| 1L; int64 size |])

        ModelFile.filled checkpoint model.State model

    interface IDisposable with
        member _.Dispose() =
            if not disposed then
                disposed <- true
                network.Dispose()
                tail.Dispose()
