// Windows of a time series, solved together as one batch, and what their trajectories miss of the data.
namespace Continuum

open System
open System.Collections.Generic
open TorchSharp

/// Rows `First` to `Last` of the data; a trajectory starts at `First`.
[<Struct>]
type internal Window = { First: int; Last: int }

/// The data in scaled coordinates, as windows need them.
[<Sealed>]
type internal WindowedData(coordinates: Coordinates, times: float[], values: float[,]) =
    let rows = times.Length
    let d = coordinates.Dimension
    let tau = times |> Array.map coordinates.Tau
    let z = Array.init rows (fun i -> Array.init d (fun j -> coordinates.ToScaled(j, values[i, j])))

    let all =
        (Tensors.ofArray (Array.concat z) [| int64 rows; int64 d |] torch.float64 torch.CPU).DetachFromDisposeScope()

    let inverse =
        (Tensors.vector (coordinates.Spread |> Array.map (fun s -> 1.0 / s))).DetachFromDisposeScope()

    /// Number of rows.
    member _.Rows = rows
    /// Scaled times.
    member _.Tau = tau
    /// Scaled values by row.
    member _.Scaled = z
    /// Scaled values, (rows, columns).
    member _.All = all

    /// Scaled values at these rows, (rows.Length, columns).
    member _.At(rows: int[]) : Tensor =
        use _ = torch.NewDisposeScope()
        let index = torch.tensor(rows |> Array.map int64, dtype = Nullable torch.int64).clone()
        all.index_select(0L, index).MoveToOuterDisposeScope()

    /// Trajectories of all windows from `states` (windows, columns) in one joint solve: predictions (windows, longest, columns) for the
    /// rows after each First, padded with the last one, and the number of evaluations; null where the solve failed.
    member _.Predict
        (model: OdeModel, windows: Window[], states: Tensor, differentiation: Differentiation, rtol: float)
        : struct (Tensor * int) =
        let longest = windows |> Seq.map (fun w -> w.Last - w.First) |> Seq.max
        let offset (w: Window) step = tau[min w.Last (w.First + 1 + step)] - tau[w.First]
        let known = Dictionary<int64, float>()
        let key (time: float) = int64 (Math.Round(time * 1e9))

        for w in windows do
            for step in 0 .. longest - 1 do
                let time = offset w step
                known.TryAdd(key time, time) |> ignore

        let union = known.Values |> Seq.sort |> Seq.toArray
        let place = Dictionary<int64, int64>()
        union |> Array.iteri (fun i time -> place[key time] <- int64 i)
        let options = TensorOptions.create rtol (0.1 * rtol)
        let solve = { options.Solve with SaveAt = Times union; MaxSteps = 5000 }

        let options = {
            options with
                Solve = solve
                Differentiation = differentiation
                CheckTracking = false
        }

        use _ = torch.NewDisposeScope()

        let start =
            if model.UsesTime then
                Tensors.ofArray
                    (windows |> Array.map (fun w -> tau[w.First]))
                    [| windows.LongLength; 1L |]
                    torch.float64
                    torch.CPU
            else
                null

        let solution = TensorOde.solve options (model.Field start) 0.0 union[union.Length - 1] states
        let cost = solution.Statistics.Evaluations

        if solution.Status <> Status.Success then
            struct (null, cost)
        else
            let saved = solution.States.transpose (0L, 1L)

            let index = [|
                for w in windows do
                    for step in 0 .. longest - 1 -> place[key (offset w step)]
            |]

            let identity = index |> Array.mapi (fun i row -> row = int64 (i % longest)) |> Array.forall id

            let predictions =
                if identity && union.Length = longest then
                    saved.alias ()
                else
                    let rows =
                        torch
                            .tensor(index, dtype = Nullable torch.int64)
                            .clone()
                            .reshape([| windows.LongLength; int64 longest; 1L |])

                    saved.gather (1L, rows.expand ([| windows.LongLength; int64 longest; int64 d |]))

            struct (predictions.MoveToOuterDisposeScope(), cost)

    /// Mean square of (prediction - data) / spread over the rows from `low` to `high` that the windows cover (their first rows not
    /// included); null when there are none.
    member this.Misfit(predictions: Tensor, windows: Window[], low: int, high: int) : Tensor =
        use _ = torch.NewDisposeScope()
        let longest = int predictions.shape[1]

        let rows = [|
            for w in windows do
                for step in 0 .. longest - 1 -> w.First + 1 + step, w.Last
        |]

        let counted =
            rows |> Array.map (fun (row, last) -> if row <= last && row >= low && row <= high then 1.0 else 0.0)

        let count = Array.sum counted

        if count = 0.0 then
            null
        else
            let shape = [| windows.LongLength; int64 longest; int64 d |]
            let target = (this.At(rows |> Array.map (fun (row, last) -> min row last))).reshape shape
            let residual = predictions.sub(target).mul inverse

            let mask =
                if count = float counted.Length then
                    residual
                else
                    residual.mul (
                        Tensors.ofArray counted [| windows.LongLength; int64 longest; 1L |] torch.float64 torch.CPU
                    )

            let scale = 1.0 / (count * float d)
            mask.square().sum().mul(scale).MoveToOuterDisposeScope()

    /// Mean square of (a - b) / spread.
    member _.Distance(a: Tensor, b: Tensor) : Tensor =
        use _ = torch.NewDisposeScope()
        a.sub(b).mul(inverse).square().mean().MoveToOuterDisposeScope()

    interface IDisposable with
        member _.Dispose() =
            all.Dispose()
            inverse.Dispose()
