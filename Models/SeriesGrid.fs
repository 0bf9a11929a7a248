// Series of different times as one batch: values and masks on the union of their times.
namespace Continuum

open System
open System.Collections.Generic
open TorchSharp

/// A batch of series on the union of their times, each counted from its own first time. Times that differ by rounding alone are one.
[<Sealed>]
type internal SeriesGrid(times: float[], values: Tensor, mask: Tensor) =
    /// Rising times from 0, in scaled time.
    member _.Times = times
    /// Values (series, times, columns); 0 where there is none.
    member _.Values = values
    /// 1 where a value was observed, else 0; (series, times, columns).
    member _.Mask = mask

    /// From scaled times and scaled values (NaN: not observed). The tensors belong to the innermost dispose scope.
    static member Create(series: struct (float[] * float[][])[]) : SeriesGrid =
        let key (tau: float) = int64 (Math.Round(tau * 1e9))
        let known = SortedDictionary<int64, float>()

        for struct (tau, _) in series do
            for t in tau do
                known.TryAdd(key (t - tau[0]), t - tau[0]) |> ignore

        let times = Seq.toArray known.Values
        let place = Dictionary<int64, int>()
        times |> Array.iteri (fun i t -> place[key t] <- i)
        let struct (_, first) = series[0]
        let n = first[0].Length
        let values = Array.zeroCreate (series.Length * times.Length * n)
        let mask = Array.zeroCreate values.Length

        series
        |> Array.iteri (fun s (struct (tau, rows)) ->
            for i in 0 .. tau.Length - 1 do
                let at = (s * times.Length + place[key (tau[i] - tau[0])]) * n

                for j in 0 .. n - 1 do
                    if not (Double.IsNaN(rows[i][j])) then
                        values[at + j] <- rows[i][j]
                        mask[at + j] <- 1.0)

        let shape = [| series.LongLength; times.LongLength; int64 n |]
        let tensor data = Tensors.ofArray data shape torch.float64 torch.CPU
        SeriesGrid(times, tensor values, tensor mask)
