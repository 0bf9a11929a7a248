// Observed time series as stochastic models take them, and what is asked of them.
namespace Continuum

open System
open System.Runtime.InteropServices
open System.Security.Cryptography

/// One observed series: values of shape (rows, columns) at rising times, evenly spaced or not.
type ObservedPath = {
    /// Rising times.
    Times: float[]
    /// Values, (rows, columns).
    Values: float[,]
} with

    /// Number of rows.
    member this.Rows = this.Times.Length
    /// Number of columns.
    member this.Columns = this.Values.GetLength 1

    /// Rows from `first` on, `count` of them.
    member this.Slice(first: int, count: int) : ObservedPath = {
        Times = Array.sub this.Times first count
        Values = Array2D.init count this.Columns (fun i j -> this.Values[first + i, j])
    }

/// Checks of observed series.
[<RequireQualifiedAccess>]
module ObservedPaths =
    let private bad (text: string) = raise (ArgumentException text)

    let private name (count: int) series = if count = 1 then "the data" else $"series {series}"

    let private checkTimes what (path: ObservedPath) =
        for i in 0 .. path.Rows - 1 do
            if not (Double.IsFinite path.Times[i]) then
                bad $"row {i} of {what} has the time {path.Times[i]}; remove the row"

            if i > 0 && not (path.Times[i] > path.Times[i - 1]) then
                bad
                    $"the times of {what} do not rise: row {i} has {path.Times[i]} after {path.Times[i - 1]}; sort the rows by time and keep one of each time"

    let private checkValues what (columns: string[]) (missing: bool) (path: ObservedPath) =
        for i in 0 .. path.Rows - 1 do
            for j in 0 .. columns.Length - 1 do
                let value = path.Values[i, j]

                if Double.IsInfinity value || (Double.IsNaN value && not missing) then
                    bad
                        $"row {i} of {what} has {value} in the column '{columns[j]}'; remove the row or fill the value in"

    /// ArgumentException, naming series, row and column and what to do, for no series, fewer than `leastRows` rows, values that do not fit
    /// the times or the column names, times that do not rise strictly, and values that are not finite (NaN is let through where
    /// `missing` holds).
    let check (leastRows: int) (missing: bool) (columns: string[]) (paths: ObservedPath[]) : unit =
        if paths.Length = 0 then
            bad "no series given; give at least one"

        if columns.Length = 0 then
            bad "the data have no columns; give at least one beside the times"

        if Array.distinct columns <> columns then
            let list = String.Join(", ", columns)
            bad $"two columns share a name: {list}"

        paths
        |> Array.iteri (fun k path ->
            let what = name paths.Length k

            if path.Values.GetLength 0 <> path.Rows || path.Columns <> columns.Length then
                let shape = $"{path.Values.GetLength 0} x {path.Columns}"
                bad $"the values of {what} are {shape} for {path.Rows} times and {columns.Length} column names"

            if path.Rows < leastRows then
                bad $"{what} has {path.Rows} rows; at least {leastRows} are needed"

            checkTimes what path
            checkValues what columns missing path)

    /// ArgumentException for a column with a value of 0 or less, which has no logarithm.
    let checkPositive (columns: string[]) (paths: ObservedPath[]) : unit =
        paths
        |> Array.iteri (fun k path ->
            for i in 0 .. path.Rows - 1 do
                for j in 0 .. columns.Length - 1 do
                    if path.Values[i, j] <= 0.0 then
                        bad
                            $"row {i} of {name paths.Length k} has {path.Values[i, j]} in the column '{columns[j]}', which has no logarithm; correct it or model the values themselves (Logarithm = false)")

    /// Whether every value that is there is above 0.
    let allPositive (paths: ObservedPath[]) : bool =
        paths
        |> Array.forall (fun path -> path.Values |> Seq.cast<float> |> Seq.forall (fun v -> not (v <= 0.0)))

    /// The median step between rows, over all series.
    let medianStep (paths: ObservedPath[]) : float =
        let steps =
            paths |> Array.collect (fun p -> p.Times |> Array.pairwise |> Array.map (fun (s, t) -> t - s))

        let sorted = Array.sort steps
        sorted[sorted.Length / 2]

    /// A digest of the data, so that a resumed training knows them again.
    let internal digest (paths: ObservedPath[]) : string =
        use hash = IncrementalHash.CreateHash HashAlgorithmName.SHA256

        for path in paths do
            hash.AppendData(MemoryMarshal.AsBytes(ReadOnlySpan path.Times))
            hash.AppendData(MemoryMarshal.AsBytes(ReadOnlySpan(path.Values |> Seq.cast<float> |> Seq.toArray)))

        Convert.ToHexString(hash.GetHashAndReset())
