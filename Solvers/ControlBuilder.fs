// From observations to the path through them: time, intensities, missing values, lengths.
namespace Continuum

open System
open TorchSharp

/// Channels of a batch of series with what is known about each: the data, or the counters of observations.
[<Struct>]
type internal ObservedValues = { Values: Tensor; Mask: Tensor }

/// Construction of paths.
[<RequireQualifiedAccess; CompilationRepresentation(CompilationRepresentationFlags.ModuleSuffix)>]
module ControlPath =

    let private bad (text: string) = raise (ArgumentException text)

    let internal checkOptions (options: ControlOptions) (series: SeriesBatch) =
        if options.Scheme = ControlScheme.Rectilinear then
            if not options.TimeChannel then
                bad
                    "A rectilinear path moves along its time channel between observations; turn TimeChannel on, or take linear paths."

            if options.Missing.IsInterpolate then
                bad "A rectilinear path holds the last value until the next one; fill missing values forward."

            if options.Clock.IsTimes then
                bad
                    "A rectilinear path jumps while time stands still, so its parameter cannot be time; let it count the observations."

        if not (Enum.IsDefined options.Scheme) then
            raise (ArgumentOutOfRangeException(nameof options, options.Scheme, "not a scheme"))

        if options.Clock.IsTimes && not series.SharesTimes then
            bad
                "The series have times of their own, so the path's parameter cannot be time for all of them; let it count the observations, which changes no solution."

        match options.Leading with
        | LeadingValues.Assumed value when not (Double.IsFinite value) ->
            bad $"The assumed value before the first observation must be finite; got {value}."
        | _ -> ()

        match options.Intensity with
        | IntensityChannels.Chosen chosen ->
            for channel in chosen do
                if channel < 0 || channel >= series.Channels then
                    bad $"There is no channel {channel} to count observations of; there are {series.Channels}."
        | _ -> ()

        if not (isNull options.FirstSlope) then
            if options.Scheme <> ControlScheme.Hermite then
                bad "FirstSlope is the slope that a Hermite path starts with; other schemes have none."

            let shape = options.FirstSlope.shape
            let channels = int64 series.Channels

            if
                not (
                    shape.AsSpan().SequenceEqual [| channels |]
                    || shape.AsSpan().SequenceEqual [| int64 series.Count; channels |]
                )
            then
                bad
                    $"FirstSlope has shape {Tensors.shapeText options.FirstSlope}; it has one slope for each of the {channels} channels, [{channels}] or [{series.Count}, {channels}]."

    /// ArgumentException for a channel of a series without any observation.
    let private refuseUnobserved (observed: Tensor) (series: SeriesBatch) =
        use _ = torch.NewDisposeScope()
        let missing = observed.any(1L).logical_not().reshape(-1L).``to`` torch.int64
        let place = missing.argmax().ToInt64()

        if missing.[place].ToInt64() = 1L then
            let channels = observed.shape[2]

            bad
                $"Channel {place % channels} of series '{series.Ids[int (place / channels)]}' has no observation; leave the channel or the series out, or let unobserved channels be constant, with intensities."

    /// The times of each series with those beyond its end standing still: (1 or series, length), float64.
    let private standingTimes (series: SeriesBatch) : Tensor =
        let longest = series.Length

        if not series.SharesTimes || Array.forall (fun n -> n = longest) series.Lengths then
            series.Times
        else
            use plain = torch.tensor (series.Lengths |> Array.map (fun n -> int64 (n - 1)))
            let last = plain.clone().``to``(series.Times.device).unsqueeze 1L
            let rows = torch.minimum (SeriesBatch.positions (int64 longest) series.Times.device, last)
            series.Times.expand([| int64 series.Count; int64 longest |]).gather(1L, rows)

    /// The counters of observations.
    let private intensities (options: ControlOptions) (observed: Tensor) (dtype: torch.ScalarType) : Tensor =
        let count (mask: Tensor) = mask.cumsum (1L, Nullable dtype)

        match options.Intensity with
        | IntensityChannels.Nothing
        | IntensityChannels.Chosen [||] -> null
        | IntensityChannels.Every -> count observed
        | IntensityChannels.Chosen chosen ->
            use plain = torch.tensor (Array.map int64 chosen)
            count (observed.index_select (2L, plain.clone().``to`` observed.device))

    /// The value assumed before the first observation put at the first row where that is missing.
    let private withLeading (options: ControlOptions) (data: ObservedValues) : ObservedValues =
        match options.Leading with
        | LeadingValues.FirstObserved -> data
        | LeadingValues.Assumed value ->
            let rows = data.Mask.shape[1]
            let start = (SeriesBatch.positions rows data.Mask.device).reshape([| 1L; -1L; 1L |]).eq(0L)
            let put = start.logical_and (data.Mask.logical_not ())

            {
                Values = torch.where (put, data.Values.full_like value, data.Values)
                Mask = data.Mask.logical_or put
            }

    let private piecesOf (options: ControlOptions) (firstSlope: Tensor) (t: Tensor) (x: Tensor) : CubicPieces =
        match options.Scheme with
        | ControlScheme.Hermite -> CubicPieces.hermite firstSlope t x
        | ControlScheme.NaturalCubic -> CubicPieces.naturalCubic t x
        | _ -> CubicPieces.linear t x

    /// Pieces between the rows of the grid, u counting real time, over the observations of each channel.
    let private regridded (options: ControlOptions) (firstSlope: Tensor) (times: Tensor) (data: ObservedValues) =
        let compacted = Compacted.ofObserved data.Mask times data.Values
        let pieces = piecesOf options firstSlope compacted.Times compacted.Values
        CubicPieces.regrid compacted (times.unsqueeze -1L) pieces

    /// Two pieces for each pair of neighbouring rows, each half a unit of the clock: time moves, then the values do.
    let private rectilinear (times: Tensor) (filled: Tensor) : CubicPieces =
        let count = times.shape[1] - 1L
        let series = filled.shape[0]
        let early (x: Tensor) = x.narrow (1L, 0L, count)
        let late (x: Tensor) = x.narrow (1L, 1L, count)
        let time = times.unsqueeze(-1L).expand([| series; times.shape[1]; 1L |])
        let cast (x: Tensor) = x.``to`` filled.dtype
        let twice (x: Tensor) = x.mul 2.0
        let still = torch.zeros_like (early filled)
        let stopped = torch.zeros_like (cast (early time))
        let flow = torch.cat ([| cast (twice ((late time).sub(early time))); still |], 2L)
        let jump = torch.cat ([| stopped; twice ((late filled).sub(early filled)) |], 2L)
        let starts = torch.cat ([| cast (early time); early filled |], 2L)
        let corners = torch.cat ([| cast (late time); early filled |], 2L)

        let interleave (x: Tensor) (y: Tensor) =
            torch.stack([| x; y |], 2L).reshape [| series; 2L * count; x.shape[2] |]

        { A = interleave starts corners; B = interleave flow jump; C = null; D = null }

    /// The time as a channel.
    let private timeChannel (times: Tensor) (like: Tensor) : CubicPieces =
        let count = times.shape[1] - 1L
        let time = times.unsqueeze(-1L).expand([| like.shape[0]; times.shape[1]; 1L |])
        let moving = (time.narrow (1L, 1L, count)).gt(time.narrow (1L, 0L, count))

        {
            A = (time.narrow (1L, 0L, count)).``to`` like.dtype
            B = moving.``to`` like.dtype
            C = null
            D = null
        }

    /// Time in front, and from real time to the clock.
    let private finish (options: ControlOptions) (times: Tensor) (pieces: CubicPieces) : CubicPieces =
        let pieces =
            if options.TimeChannel then
                CubicPieces.beside (timeChannel times pieces.A) pieces
            else
                pieces

        if options.Clock.IsTimes then
            pieces
        else
            let count = times.shape[1] - 1L
            let length = (times.narrow (1L, 1L, count)).sub(times.narrow (1L, 0L, count))
            CubicPieces.rescale (length.unsqueeze(-1L).``to`` pieces.B.dtype) pieces

    /// Pieces on the clock between rows without gaps: times (1 or series, rows), filled (series, rows, channels).
    let internal betweenRows (options: ControlOptions) (firstSlope: Tensor) (times: Tensor) (filled: Tensor) =
        if options.Scheme = ControlScheme.Rectilinear then
            rectilinear times filled
        else
            finish options times (piecesOf options firstSlope (times.unsqueeze -1L) filled)

    /// A second row for series that have only one: a constant path.
    let private twoRows (times: Tensor) (data: ObservedValues) : struct (Tensor * ObservedValues) =
        if times.shape[1] > 1L then
            struct (times, data)
        else
            let missing = torch.zeros_like data.Mask

            struct (torch.cat ([| times; times |], 1L),
                    {
                        Values = torch.cat ([| data.Values; data.Values |], 1L)
                        Mask = torch.cat ([| data.Mask; missing |], 1L)
                    })

    let private firstSlopeOf
        (options: ControlOptions)
        (counters: Tensor)
        (series: SeriesBatch)
        (dtype: torch.ScalarType)
        =
        if isNull options.FirstSlope then
            null
        else
            let own = options.FirstSlope.``to`` (dtype, series.Values.device)
            let own = if own.dim () = 1L then own.unsqueeze 0L else own

            if isNull counters then
                own.unsqueeze 1L
            else
                // Counters start with their first difference quotient.
                let none =
                    torch.empty([| own.shape[0]; counters.shape[2] |], dtype = dtype, device = own.device).fill_ nan

                torch.cat([| none; own |], 1L).unsqueeze 1L

    /// Pieces of all channels on the clock, (series, pieces, channels).
    let private assemble (options: ControlOptions) (series: SeriesBatch) : CubicPieces =
        let dtype = series.Values.dtype
        let observed = series.Values.isnan().logical_not()

        if options.Unobserved.IsRefuse then
            refuseUnobserved observed series

        let counters = intensities options observed dtype
        let rows = SeriesBatch.validRows series.Lengths (int64 series.Length) series.Values.device
        // Whether a value is missing somewhere in the rows that there are.
        let gaps = observed.eq(rows.unsqueeze -1L).all().ToBoolean() |> not
        let data = withLeading options { Values = series.Values; Mask = observed }

        let all =
            if isNull counters then
                data
            else
                {
                    Values = torch.cat ([| counters; data.Values |], 2L)
                    Mask = torch.cat ([| rows.unsqueeze(-1L).expand_as counters; data.Mask |], 2L)
                }

        let struct (times, all) = twoRows (standingTimes series) all

        let slope = firstSlopeOf options counters series dtype

        if gaps && options.Missing.IsInterpolate then
            finish options times (regridded options slope times all)
        else
            let whole = not gaps && Array.forall (fun n -> n = series.Length) series.Lengths && series.Length > 1
            betweenRows options slope times (if whole then all.Values else Gaps.forward all.Mask all.Values)

    /// From (series, pieces, channels) to (pieces, ...batch, channels).
    let internal piecesFirst (batch: int64[]) (pieces: CubicPieces) : CubicPieces =
        let turn (x: Tensor) =
            if isNull x then
                null
            else
                let own = x.transpose(0L, 1L).contiguous()
                own.reshape (Array.concat [ [| own.shape[0] |]; batch; [| own.shape[2] |] ])

        { A = turn pieces.A; B = turn pieces.B; C = turn pieces.C; D = turn pieces.D }

    /// The path through a batch of series, of shape (...batch, channels) with the channels in this order: time (unless told not to),
    /// intensities, data. The dtype and device are those of the values, and gradients flow to values and times.
    ///
    /// A series that is shorter than the longest stays where it ends, in all channels: dX = 0, the state of an equation no longer
    /// changes, and its state at the end of the path is the one at its own last observation. A series with one observation is a constant path.
    /// A row without any value (NaN in all channels) changes nothing about an interpolating path: it is a way to get a knot, and a
    /// state, at a time of one's own.
    /// ArgumentException where the options contradict each other or the series, and as Unobserved says.
    let create (options: ControlOptions) (series: SeriesBatch) : ControlPath =
        ArgumentNullException.ThrowIfNull series
        checkOptions options series
        use _ = torch.NewDisposeScope()
        let pieces = assemble options series |> piecesFirst series.BatchShape
        let count = max 2 series.Length

        if options.Scheme = ControlScheme.Rectilinear then
            let knots = Array.init (2 * count - 1) (fun i -> 0.5 * float i)
            new ControlPath(knots, pieces, Array.init series.Length (fun i -> 2 * i))
        else
            let knots =
                match options.Clock with
                | ControlClock.Observations -> Array.init count float
                | ControlClock.Times ->
                    use row = series.Times.[0L]

                    match Tensors.toArray row with
                    | [| single |] -> [| single; single + 1.0 |]
                    | times -> times

            new ControlPath(knots, pieces, Array.init series.Length id)

    /// The path through a tensor of values (..., length, channels), NaN where missing, observed at 0, 1, 2, ... .
    let ofTensor (options: ControlOptions) (values: Tensor) : ControlPath =
        use series = SeriesBatch.ofTensors null null values null
        create options series

    /// The piecewise linear path through values (..., knots, channels) at these knots, as they are: no channel is added.
    /// ArgumentException for fewer than two knots, knots that do not increase, and values that are not finite.
    let linear (knots: float[]) (values: Tensor) : ControlPath =
        ArgumentNullException.ThrowIfNull knots

        if knots.Length < 2 then
            bad $"A path needs at least two knots; got {knots.Length}."

        use _ = torch.NewDisposeScope()
        use series = SeriesBatch.ofTensors null (Tensors.vector knots) values null

        let options = {
            ControlOptions.create ControlScheme.Linear with
                TimeChannel = false
                Clock = ControlClock.Times
        }

        if Double.IsNaN(values.detach().sum().``to``(torch.float64).ToDouble()) then
            bad
                "The values of a path at its knots must be finite; to interpolate missing ones make the path from the observations."

        create options series
