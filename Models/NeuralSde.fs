// Networks as drift and diffusion of a stochastic differential equation, and the scaled coordinates in which they work.
namespace Continuum

open System
open TorchSharp

/// What must be known to build the same neural SDE again.
type NeuralSdeConfig = {
    /// Names of the columns.
    Columns: string[]
    /// Name of the time column.
    TimeName: string
    /// Logarithms of the values are modelled.
    Logarithm: bool
    /// Drift and diffusion see the state itself (for states that stay in a region), not only its past increments.
    Level: bool
    /// Drift and diffusion see time.
    TimeInput: bool
    /// The columns' noise is correlated: L is a matrix, else diagonal.
    Correlated: bool
    /// Half-lives of the remembered averages of increments and of their squares, in units of TimeUnit.
    HalfLives: float[]
    /// Number of past increments that are seen.
    Lags: int
    /// Hidden widths of the diffusion network.
    Hidden: int[]
    /// Hidden widths of the drift network; empty: linear.
    DriftHidden: int[]
    /// Nonlinearity of the networks.
    Activation: Activation
    /// Least volatility of a column in units of its mean volatility.
    Floor: float
    /// Density of the transitions.
    Density: TransitionDensity
    /// First time of the data.
    Origin: float
    /// Median step of the data: one unit of scaled time.
    TimeUnit: float
    /// Volatility of each column per root of TimeUnit: one unit of the scaled state.
    Scale: float[]
    /// Mean of each scaled column.
    Centre: float[]
    /// Standard deviation of each scaled column.
    Spread: float[]
    /// Correlations of the increments, (columns, columns) row-major: what a memory starts with.
    Correlation: float[]
    /// Last time of the data.
    LastTime: float
} with

    /// Number of columns.
    member this.Dimension = this.Columns.Length
    /// Scaled time.
    member this.Tau(time: float) = (time - this.Origin) / this.TimeUnit

    /// A value in scaled coordinates.
    member this.ToScaled(column: int, value: float) = (if this.Logarithm then log value else value) / this.Scale[column]

    /// A scaled coordinate in the data's units.
    member this.ToValue(column: int, x: float) =
        let value = x * this.Scale[column]
        if this.Logarithm then exp value else value

    /// Numbers that the networks see.
    member this.Inputs =
        (if this.Level then this.Dimension else 0)
        + (if this.TimeInput then 1 else 0)
        + (2 * this.HalfLives.Length + this.Lags) * this.Dimension

/// dx = f dt + L dW in scaled coordinates, seen through inputs (state, time, memory). The networks start as zero, so that
/// without a memory it starts as Brownian motion with drift:
///   f = base + net(inputs),   L = diag(v) M,   v = floor + softplus(base + net(inputs)), 1 at the start,
///   M M' = w_0 C C' + sum_j w_j R_j,   w = softmax(base + net(inputs)) with w_0 at least the square of the floor,
/// where the rows of C have length 1 (a factor of correlations, base + net(inputs)) and R_j are the remembered mean products of
/// increments, one for each half-life. M is lower triangular, or diagonal for noise that is not correlated. That volatility follows the
/// remembered products in proportion is what lets it leave the range of the training data.
[<Sealed>]
type NeuralSde internal (config: NeuralSdeConfig, drift: float[], correlation: float[], generator: torch.Generator) as this
    =
    inherit torch.nn.Module<Tensor, Tensor>(nameof NeuralSde)
    let n = config.Dimension
    let pairs = if config.Correlated then n * (n - 1) / 2 else 0
    let lives = config.HalfLives.Length
    let weights = if lives = 0 then 0 else lives + 1
    let inputs = config.Inputs
    let memory = new PathMemory(config.HalfLives, config.Lags, n, config.Correlation)

    let network hidden outputs =
        if inputs = 0 then
            ValueNone
        else
            ValueSome(new Mlp(inputs, hidden, outputs, config.Activation, 0.0, generator))

    let driftNetwork = network config.DriftHidden n
    let diffusionNetwork = network config.Hidden (n + pairs + weights)
    let parameter (values: float[]) = Owned.parameter (Tensors.vector values)
    let baseDrift = parameter drift

    // Volatilities, correlations, weights. softplus(raw) + floor = 1; the fixed part has most of the weight.
    let baseDiffusion =
        parameter (
            Array.concat [
                Array.create n (log (exp (1.0 - config.Floor) - 1.0))
                (if pairs = 0 then [||] else correlation)
                (if weights = 0 then [||] else Array.append [| 2.0 |] (Array.zeroCreate lives))
            ]
        )

    // Places the numbers below the diagonal, row by row.
    let places =
        let values = Array.zeroCreate (pairs * n * n)
        let mutable row = 0

        if pairs > 0 then
            for i in 1 .. n - 1 do
                for j in 0 .. i - 1 do
                    values[row * n * n + i * n + j] <- 1.0
                    row <- row + 1

        Owned.constant values [| int64 pairs; int64 (n * n) |]

    let identity = (torch.eye (int64 n, dtype = torch.float64)).DetachFromDisposeScope()
    let centre = Owned.constant config.Centre [| int64 n |]
    let inverse = Owned.constant (config.Spread |> Array.map (fun s -> 1.0 / s)) [| int64 n |]

    let first =
        Owned.constant (Array.init weights (fun j -> if j = 0 then config.Floor * config.Floor else 0.0)) [|
            int64 weights
        |]

    let floor = config.Floor
    let rest = (1.0 - config.Floor * config.Floor)
    // The time input is 0 at the first and 1 at the last time of the data.
    let period = (1.0 / max 1.0 (config.Tau config.LastTime))

    do
        this.register_parameter ("baseDrift", baseDrift)
        this.register_parameter ("baseDiffusion", baseDiffusion)
        driftNetwork |> ValueOption.iter (fun net -> this.register_module ("drift", net))
        diffusionNetwork |> ValueOption.iter (fun net -> this.register_module ("diffusion", net))

        for name, buffer in
            [ "identity", identity; "centre", centre; "inverse", inverse; "places", places; "first", first ] do
            this.register_buffer (name, buffer)

    /// C C' and C from the numbers below its diagonal.
    let correlations (below: Tensor) =
        let shape = Array.append (Array.sub below.shape 0 (below.shape.Length - 1)) [| int64 n; int64 n |]
        let rows = torch.matmul(below, places).reshape(shape).add identity
        rows.div (rows.square().sum(-1L, keepdim = true).sqrt())

    /// w_0 (..., 1) and the weighted sum of the remembered products (..., n, n).
    let remembered (raw: Tensor) (state: Tensor) =
        let w = raw.softmax(-1L).mul(rest).add first
        let share = w.narrow(-1L, 1L, int64 lives).unsqueeze(-1L).unsqueeze -1L
        struct (w.narrow (-1L, 0L, 1L), (memory.Products state).mul(share).sum -3L)

    /// The configuration.
    member _.Config = config
    member internal _.Memory = memory

    /// The numbers behind the weights of the fixed part and of each half-life; null for a model without a memory.
    member internal _.MemoryWeights: Tensor =
        if weights = 0 then
            null
        else
            baseDiffusion.narrow (0L, int64 (n + pairs), int64 weights)

    member private _.Inputs(tau: Tensor, x: Tensor, state: Tensor) =
        let leading = Array.sub x.shape 0 (x.shape.Length - 1)
        let spread (tensor: Tensor) = tensor.expand (Array.append leading [| tensor.shape[tensor.shape.Length - 1] |])

        let seen = [|
            if config.Level then
                x.sub(centre).mul inverse

            if config.TimeInput then
                spread (tau.mul period)

            if memory.Size > 0 then
                spread (memory.See state)
        |]

        if seen.Length = 1 then seen[0] else torch.cat (seen, -1L)

    /// The mean square of what the networks add to their bases at these inputs; 0 for a model without networks.
    member internal this.Excess(tau: Tensor, x: Tensor, state: Tensor) : Tensor =
        match driftNetwork, diffusionNetwork with
        | ValueSome drift, ValueSome diffusion ->
            let seen = this.Inputs(tau, x, state)
            drift.forward(seen).square().mean().add(diffusion.forward(seen).square().mean())
        | _ -> Tensors.scalar 0.0

    /// f (..., n) and L, (..., n, n) lower triangular or (..., n) where not correlated, at scaled times tau (..., 1; null where time is not
    /// seen), scaled states x (..., n) and states of the memory (..., size; null where there is none).
    member internal this.Coefficients(tau: Tensor, x: Tensor, state: Tensor) : struct (Tensor * Tensor) =
        let struct (f, raw) =
            match driftNetwork, diffusionNetwork with
            | ValueSome drift, ValueSome diffusion ->
                let seen = this.Inputs(tau, x, state)
                struct (drift.forward(seen).add baseDrift, diffusion.forward(seen).add baseDiffusion)
            | _ ->
                let leading = Array.sub x.shape 0 (x.shape.Length - 1)
                let spread (p: Tensor) = p.expand (Array.append leading [| p.shape[0] |])
                struct (spread baseDrift, spread baseDiffusion)

        let v = torch.nn.functional.softplus(raw.narrow (-1L, 0L, int64 n)).add floor
        let below () = raw.narrow (-1L, int64 n, int64 pairs)
        let mix () = remembered (raw.narrow (-1L, int64 (n + pairs), int64 weights)) state

        if not config.Correlated then
            if weights = 0 then
                struct (f, v)
            else
                let struct (w0, products) = mix ()
                struct (f, products.diagonal(0L, -2L, -1L).add(w0).sqrt().mul v)
        else
            let c = correlations (below ())

            let m =
                if weights = 0 then
                    c
                else
                    let struct (w0, products) = mix ()
                    torch.linalg.cholesky (torch.matmul(c, c.transpose (-2L, -1L)).mul(w0.unsqueeze -1L).add products)

            struct (f, m.mul (v.unsqueeze -1L))

    /// Drift at scaled states of a model without time and memory.
    override this.forward(x: Tensor) =
        let struct (f, _) = this.Coefficients(null, x, null)
        f

    member private this.Terms(state: Tensor) =
        let time (t: Tensor) = if config.TimeInput then t.reshape [| 1L |] else null

        let f (t: Tensor) (x: Tensor) =
            let struct (f, _) = this.Coefficients(time t, x, state)
            f

        let l (t: Tensor) (x: Tensor) =
            let struct (_, l) = this.Coefficients(time t, x, state)
            l

        struct (f, l, Seq.cast<Tensor>(this.parameters ()))

    /// The equation with correlated noise in scaled coordinates and scaled time, its memory held at a state (batch, size; null for a model
    /// without). x has shape (batch, n). InvalidOperationException for a model of independent noise.
    member this.Sde(state: Tensor) : Sde<Ito, GeneralNoise> =
        if not config.Correlated then
            raise (InvalidOperationException "the noise of this model is diagonal; take DiagonalSde")

        let struct (f, l, parameters) = this.Terms state
        Sde.general<Ito> n parameters f l

    /// The same for a model of independent noise. g_i may depend on the whole state: take methods without derivatives of g. InvalidOperationException for a correlated one.
    member this.DiagonalSde(state: Tensor) : Sde<Ito, DiagonalNoise> =
        if config.Correlated then
            raise (InvalidOperationException "the noise of this model is correlated; take Sde")

        let struct (f, l, parameters) = this.Terms state
        Sde.diagonal<Ito> parameters f l

    override this.Dispose(disposing: bool) =
        if disposing then
            (memory :> IDisposable).Dispose()

        base.Dispose disposing
