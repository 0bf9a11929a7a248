// What a model remembers of the path behind it: weighted averages of past increments and of their products, and the last increments.
namespace Continuum

open System
open TorchSharp

/// Path-dependent state of a model (Guyon and Lekeufack 2023; for the products, the scalar BEKK model of Engle and Kroner 1995): for each
/// half-life the exponentially weighted mean of the standardised increments z / sqrt(step) and of their products, and the last increments
/// themselves. It is refreshed at the times of the data and rests between them. Half-lives are in units of the scaled time.
/// Layout of a state: means (half-lives, n), products (half-lives, n, n), lags (lags, n), newest first.
[<Sealed>]
type internal PathMemory(halfLives: float[], lags: int, columns: int, correlation: float[]) =
    let count = halfLives.Length
    let n = int64 columns
    let means = int64 (count * columns)
    let products = int64 (count * columns * columns)

    // An average over independent increments of unit variance has variance (1 - a)/(1 + a).
    let units =
        let values =
            halfLives
            |> Array.collect (fun life ->
                let a = Math.Pow(2.0, -1.0 / life)
                Array.create columns (sqrt ((1.0 + a) / (1.0 - a))))

        Owned.constant values [| means |]

    let diagonal =
        let places = [|
            for j in 0 .. count - 1 do
                for i in 0 .. columns - 1 -> int64 (j * columns * columns + i * columns + i)
        |]

        torch.tensor(places, dtype = Nullable torch.int64).clone().DetachFromDisposeScope()

    let half = (0.5)
    let least = (1e-6)

    /// Numbers in the state of one path.
    static member SizeOf(halfLives: float[], lags: int, columns: int) =
        halfLives.Length * columns * (1 + columns) + lags * columns

    /// Numbers in the state of one path.
    member _.Size = PathMemory.SizeOf(halfLives, lags, columns)

    /// The state before anything was observed: means 0, products the correlations, lags 0; (batch, Size).
    member this.Initial(batch: int64) : Tensor =
        use _ = torch.NewDisposeScope()

        let values =
            Array.concat [
                Array.zeroCreate (int means)
                Array.concat (Array.create count correlation)
                Array.zeroCreate (lags * columns)
            ]

        let one = Tensors.ofArray values [| 1L; int64 this.Size |] torch.float64 torch.CPU
        one.expand([| batch; int64 this.Size |]).clone().MoveToOuterDisposeScope()

    /// The state after increments z (batch, columns) over a step of scaled time.
    member _.Update(state: Tensor, z: Tensor, step: float) : Tensor =
        use _ = torch.NewDisposeScope()
        let batch = state.shape[0]
        let standard = z.mul (1.0 / sqrt step)

        let average (first: int64) (size: int64) (news: Tensor) =
            let old = state.narrow(1L, first, int64 count * size).reshape(batch, int64 count, size)
            let keep = halfLives |> Array.map (fun life -> Math.Pow(2.0, -step / life))
            let keep = Tensors.ofArray keep [| int64 count; 1L |] torch.float64 torch.CPU
            let news = news.reshape (batch, 1L, size)
            old.sub(news).mul(keep).add_(news).reshape(batch, -1L)

        torch
            .cat(
                [|
                    if count > 0 then
                        average 0L n standard
                        average means (n * n) (standard.unsqueeze(2L).mul(standard.unsqueeze 1L))

                    if lags > 0 then
                        standard

                    if lags > 1 then
                        state.narrow (1L, means + products, int64 (lags - 1) * n)
                |],
                1L
            )
            .MoveToOuterDisposeScope()

    /// What a network sees of states (..., Size): means in units of their own deviation, half the logarithms of the mean squares, lags.
    member _.See(state: Tensor) : Tensor =
        if count = 0 then
            state
        else
            let averages = state.narrow(-1L, 0L, means).mul units
            let squares = state.narrow(-1L, means, products).index_select(-1L, diagonal)
            let rest = state.narrow (-1L, means + products, int64 (lags * columns))
            torch.cat ([| averages; squares.add(least).log().mul half; rest |], -1L)

    /// The mean products of states (..., Size) as matrices (..., half-lives, n, n).
    member _.Products(state: Tensor) : Tensor =
        let shape = Array.append (Array.sub state.shape 0 (state.shape.Length - 1)) [| int64 count; n; n |]
        state.narrow(-1L, means, products).reshape shape

    interface IDisposable with
        member _.Dispose() =
            units.Dispose()
            diagonal.Dispose()
