// Series from tables in long format: one row for each series and time, in any order.
namespace Continuum

open System
open System.Collections.Generic

/// Series from the columns of a table.
[<RequireQualifiedAccess>]
module SeriesColumns =

    let private bad (text: string) = raise (ArgumentException text)

    let private checkColumns (ids: string[]) (times: float[]) (names: string[]) (channels: float[][]) =
        ArgumentNullException.ThrowIfNull ids
        ArgumentNullException.ThrowIfNull times
        ArgumentNullException.ThrowIfNull channels

        if ids.Length = 0 then
            bad "The table has no rows."

        if channels.Length = 0 then
            bad "The table has no column of values."

        if names.Length <> channels.Length then
            bad $"There are {channels.Length} columns of values and {names.Length} names."

        if times.Length <> ids.Length then
            bad $"The table has {ids.Length} series names but {times.Length} times."

        channels
        |> Array.iteri (fun c column ->
            if isNull column || column.Length <> ids.Length then
                let rows = if isNull column then 0 else column.Length
                bad $"Column '{names[c]}' has {rows} rows; the table has {ids.Length}.")

        for row in 0 .. ids.Length - 1 do
            if String.IsNullOrEmpty ids[row] then
                bad $"Row {row} names no series."

            if not (Double.IsFinite times[row]) then
                bad $"Row {row} (series '{ids[row]}') has the time {times[row]}; every row needs a finite time."

            for c in 0 .. channels.Length - 1 do
                let column = channels[c]

                if Double.IsInfinity column[row] then
                    bad
                        $"Row {row} (series '{ids[row]}') has an infinite value in column '{names[c]}'; values must be finite, or NaN where nothing was observed."

    /// Rows of each series in the order in which the series first appear, sorted by time.
    let private group (ids: string[]) (times: float[]) : struct (string[] * int[][]) =
        let rows = Dictionary<string, List<int>>()
        let order = List<string>()

        ids
        |> Array.iteri (fun row id ->
            match rows.TryGetValue id with
            | true, list -> list.Add row
            | _ ->
                order.Add id
                let list = List<int>()
                list.Add row
                rows[id] <- list)

        let sorted =
            order.ToArray()
            |> Array.map (fun id ->
                let own = rows[id].ToArray() |> Array.sortBy (fun row -> times[row])

                for i in 1 .. own.Length - 1 do
                    if times[own[i]] = times[own[i - 1]] then
                        bad
                            $"Series '{id}' has two rows for the time {times[own[i]]}: rows {own[i - 1]} and {own[i]}; merge them."

                own)

        struct (order.ToArray(), sorted)

    /// Series from a table: for each row the name of its series, its time, and one number in each column of values (channels.[column].[row],
    /// NaN where missing). Rows may stand in any order: those of a series are sorted by time, and series come in the order in which they
    /// first appear (SeriesBatch.Ids). `names`: of the columns, for messages; null numbers them. float64 on the CPU.
    /// ArgumentException that names series, column and row (from 0) for columns of different lengths, rows without a series or a
    /// finite time, two rows of a series with one time, and infinite values.
    let toBatch (names: string[]) (ids: string[]) (times: float[]) (channels: float[][]) : SeriesBatch =
        ArgumentNullException.ThrowIfNull channels
        let names = if isNull names then Array.init channels.Length string else names
        checkColumns ids times names channels
        let struct (series, rows) = group ids times
        let clocks = rows |> Array.map (Array.map (fun row -> times[row]))

        let values =
            rows |> Array.map (Array.map (fun row -> channels |> Array.map (fun column -> column[row])))

        SeriesBatch.ofArrays series clocks values
