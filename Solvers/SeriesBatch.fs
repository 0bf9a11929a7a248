// Series as they were observed: many of them, each with its own length, its own times if need be, and missing values.
namespace Continuum

open System
open TorchSharp

/// A batch of time series on tensors: values with NaN where nothing was observed, times, and how many rows of each series are real.
/// Rows beyond a series' length repeat its last time and hold NaN. Owns its tensors.
[<Sealed; AllowNullLiteral>]
type SeriesBatch internal (times: Tensor, values: Tensor, lengths: int[], batch: int64[], ids: string[]) =
    let keep (x: Tensor) = x.alias().DetachFromDisposeScope()
    let times = keep times
    let values = keep values

    /// Times, float64: (1, length) where all series share them, else (series, length).
    member _.Times = times
    /// Values: (series, length, channels), NaN where missing.
    member _.Values = values
    /// Observed rows of each series.
    member _.Lengths = lengths
    /// Shape that the series had in front of length and channels: empty for a single series.
    member _.BatchShape = batch
    /// Names of the series, for messages; their index unless given.
    member _.Ids = ids
    /// Number of series.
    member _.Count = lengths.Length
    /// Rows of the longest series.
    member _.Length = int values.shape[1]
    /// Values in a row.
    member _.Channels = int values.shape[2]

    /// All series were observed at the same times (shorter ones stopped early).
    member _.SharesTimes = times.shape[0] = 1L

    /// The times of one series, as many as it has rows.
    member _.TimesOf(series: int) : float[] =
        use row = times.[(if times.shape[0] = 1L then 0L else int64 series)]
        Array.sub (Tensors.toArray row) 0 lengths[series]

    /// Some of the series, in this order. ArgumentOutOfRangeException for an index that is none of theirs.
    member _.Select(series: int[]) : SeriesBatch =
        ArgumentNullException.ThrowIfNull series

        for i in series do
            if i < 0 || i >= lengths.Length then
                raise (ArgumentOutOfRangeException(nameof series, i, $"There are {lengths.Length} series."))

        use _ = torch.NewDisposeScope()
        use plain = torch.tensor (Array.map int64 series)
        let index = plain.clone().``to`` values.device

        new SeriesBatch(
            (if times.shape[0] = 1L then times else times.index_select (0L, index)),
            values.index_select (0L, index),
            Array.map (fun i -> lengths[i]) series,
            [| series.LongLength |],
            Array.map (fun i -> ids[i]) series
        )

    interface IDisposable with
        member _.Dispose() =
            times.Dispose()
            values.Dispose()

/// Construction and checks of series.
[<RequireQualifiedAccess>]
module SeriesBatch =

    let private bad (text: string) = raise (ArgumentException text)

    /// One row of numbers 0, 1, ..., n - 1 as int64.
    let internal positions (n: int64) (device: torch.Device) : Tensor =
        torch.arange (n, dtype = torch.int64, device = device)

    /// The first true entry of a mask in row-major order as one index for each dimension; empty where there is none.
    let private firstOf (mask: Tensor) : int64[] =
        use _ = torch.NewDisposeScope()

        if not (mask.any().ToBoolean()) then
            [||]
        else
            let mutable rest = mask.reshape(-1L).``to``(torch.int64).argmax().ToInt64()

            [|
                for extent in Array.rev mask.shape do
                    yield rest % extent
                    rest <- rest / extent
            |]
            |> Array.rev

    let private checkValues (values: Tensor) (valid: Tensor) (ids: string[]) =
        match firstOf (values.isinf().logical_and(valid.unsqueeze -1L)) with
        | [||] -> ()
        | place ->
            bad
                $"Series '{ids[int place[0]]}' has an infinite value in channel {place[2]} at index {place[1]}; values must be finite, or NaN where nothing was observed."

    let private checkTimes (times: Tensor) (valid: Tensor) (ids: string[]) =
        let name (series: int64) =
            if times.shape[0] = 1L then
                "The shared times"
            else
                $"Series '{ids[int series]}'"

        let value (place: int64[]) shift = times.[place[0], place[1] + shift].ToDouble()

        match firstOf (times.isfinite().logical_not().logical_and valid) with
        | [||] -> ()
        | place ->
            bad
                $"{name place[0]} has the time {value place 0L} at index {place[1]}; every observation needs a finite time."

        if times.shape[1] > 1L then
            let later = times.narrow (1L, 1L, times.shape[1] - 1L)
            let earlier = times.narrow (1L, 0L, times.shape[1] - 1L)
            let wrong = later.gt(earlier).logical_not().logical_and(valid.narrow (1L, 1L, times.shape[1] - 1L))

            match firstOf wrong with
            | [||] -> ()
            | place ->
                let before, after = value place 0L, value place 1L

                let what, remedy =
                    if before = after then
                        "the same time twice", "merge the two rows"
                    else
                        "times out of order", "sort its rows by time"

                bad
                    $"{name place[0]} has {what}: {before} at index {place[1]}, then {after} at index {place[1] + 1L}; times must increase strictly: {remedy}."

    let private checkLengths (lengths: int[]) (series: int) (longest: int64) (ids: string[]) =
        if lengths.Length <> series then
            bad $"There are {series} series but {lengths.Length} lengths."

        lengths
        |> Array.iteri (fun i length ->
            if length = 0 then
                bad $"Series '{ids[i]}' is empty; leave it out, or give it at least one observation."

            if length < 0 || int64 length > longest then
                bad
                    $"Series '{ids[i]}' has length {length}; a length lies between 1 and the {longest} rows of the tensor.")

    let private namesOf (series: int) (ids: string[]) =
        if isNull ids then
            Array.init series string
        elif ids.Length <> series then
            bad $"There are {series} series but {ids.Length} names."
        else
            ids

    /// Where each series has a row: (series, length).
    let internal validRows (lengths: int[]) (longest: int64) (device: torch.Device) : Tensor =
        use plain = torch.tensor (Array.map int64 lengths)
        let ends = plain.clone().``to``(device).unsqueeze 1L
        (positions longest device).unsqueeze(0L).lt ends

    let private timesOf (times: Tensor) (values: Tensor) (batch: int64[]) (series: int64) =
        let longest = values.shape[values.shape.Length - 2]

        if isNull times then
            (positions longest values.device).``to``(torch.float64).unsqueeze 0L
        elif times.dim () = 1L && times.shape[0] = longest then
            times.``to``(torch.float64, values.device).unsqueeze 0L
        elif times.shape.AsSpan().SequenceEqual(Array.append batch [| longest |]) then
            times.``to``(torch.float64, values.device).reshape [| series; longest |]
        else
            bad
                $"Times have shape {Tensors.shapeText times} and values {Tensors.shapeText values}; times are [{longest}] for all series, or one row for each."

    /// Series from tensors. `values`: (..., length, channels), floating point, NaN where missing; `times`: (length) for all series, or
    /// (..., length), or null for 0, 1, 2, ...; `lengths`: rows of each series that are real, null for all; `ids`: names for messages,
    /// or null. What lies beyond a length is ignored. Gradients flow to values and times.
    /// ArgumentException, naming the series and the index, for times that do not increase, values that are infinite, lengths
    /// below 1 or above the rows, and for shapes that do not fit.
    let ofTensors (ids: string[]) (times: Tensor) (values: Tensor) (lengths: int[]) : SeriesBatch =
        ArgumentNullException.ThrowIfNull values
        NativeLibraries.ensure ()

        if values.dim () < 2L || not (values.is_floating_point ()) then
            bad
                $"Values have shape {Tensors.shapeText values} and dtype {values.dtype}; they are floating point of shape [..., length, channels]."

        use _ = torch.NewDisposeScope()
        let shape = values.shape
        let batch = Array.sub shape 0 (shape.Length - 2)
        let longest = shape[shape.Length - 2]
        let channels = shape[shape.Length - 1]
        let series = Array.fold (*) 1L batch

        if series = 0L || longest = 0L || channels = 0L then
            bad
                $"Values have shape {Tensors.shapeText values}; there must be at least one series, one observation and one channel."

        let names = namesOf (int series) ids
        let own = timesOf times values batch series
        let flat = values.reshape [| series; longest; channels |]

        let lengths =
            if isNull lengths then
                Array.create (int series) (int longest)
            else
                Array.copy lengths

        checkLengths lengths (int series) longest names
        let most = int64 (Array.max lengths)
        let own = own.narrow (1L, 0L, most)
        let flat = flat.narrow (1L, 0L, most)
        let device = values.device
        let uniform = Array.forall (fun length -> int64 length = most) lengths
        let valid = validRows lengths most device

        do
            use _ = torch.no_grad ()
            checkTimes own (if own.shape[0] = 1L then valid.any (0L, true) else valid) names
            checkValues flat valid names

        if uniform then
            new SeriesBatch(own, flat, lengths, batch, names)
        else
            // Beyond the end nothing is observed, and time stands still.
            let hidden = flat.masked_fill (valid.logical_not().unsqueeze -1L, nan)

            let times =
                if own.shape[0] = 1L then
                    own
                else
                    use plain = torch.tensor (lengths |> Array.map (fun n -> int64 (n - 1)))
                    let last = plain.clone().``to``(device).unsqueeze 1L
                    own.gather (1L, torch.minimum (positions most device, last))

            new SeriesBatch(times, hidden, lengths, batch, names)

    /// Series from arrays: times.[i] and values.[i].[row] for series i, a row being one number for each channel (NaN where missing) or null
    /// where nothing was observed. Null times count 0, 1, 2, ... . float64 on the CPU.
    /// ArgumentException, naming series, channel and index, as in ofTensors.
    let ofArrays (ids: string[]) (times: float[][]) (values: float[][][]) : SeriesBatch =
        ArgumentNullException.ThrowIfNull values

        if values.Length = 0 then
            bad "There are no series."

        let names = namesOf values.Length ids

        if not (isNull times) && times.Length <> values.Length then
            bad $"There are {values.Length} series but times for {times.Length}."

        let channels =
            match values |> Seq.filter (isNull >> not) |> Seq.collect id |> Seq.tryFind (isNull >> not) with
            | Some row -> row.Length
            | None -> bad "No series has a row of values."

        values
        |> Array.iteri (fun i rows ->
            if isNull rows || rows.Length = 0 then
                bad $"Series '{names[i]}' is empty; leave it out, or give it at least one observation."

            if not (isNull times) && (isNull times[i] || times[i].Length <> rows.Length) then
                let given = times[i]
                let count = if isNull given then 0 else given.Length
                bad $"Series '{names[i]}' has {rows.Length} rows but {count} times."

            rows
            |> Array.iteri (fun k row ->
                if not (isNull row) && row.Length <> channels then
                    bad $"Series '{names[i]}' has {row.Length} values at index {k}; the first row has {channels}."))

        let lengths = values |> Array.map Array.length
        let longest = Array.max lengths
        let data = Array.create (values.Length * longest * channels) nan
        let clock = Array.zeroCreate<float>(values.Length * longest)

        for i in 0 .. values.Length - 1 do
            for k in 0 .. longest - 1 do
                let last = min k (lengths[i] - 1)
                clock[i * longest + k] <- if isNull times then float last else times[i][last]

                let row = if k < lengths[i] then values[i][k] else null

                if not (isNull row) then
                    Array.blit row 0 data ((i * longest + k) * channels) channels

        use _ = torch.NewDisposeScope()
        let size = int64 values.Length
        let rows = int64 longest
        let shaped = Tensors.ofArray data [| size; rows; int64 channels |] torch.float64 torch.CPU
        let clock = Tensors.ofArray clock [| size; rows |] torch.float64 torch.CPU
        ofTensors names clock shaped lengths
