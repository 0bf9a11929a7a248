// Driving an equation by observations as they arrive.
namespace Continuum

open System
open TorchSharp

/// All that a stream remembers, as plain arrays: what is saved and restored. Row-major over (series, channels).
type CdeStreamState = {
    /// Observations pushed so far.
    Observations: int
    /// Time of the last one, for each series.
    Times: float[]
    /// Last known value of each channel of the data.
    Values: float[]
    /// Observations of each channel so far.
    Counts: float[]
    /// Last slope of each channel (counters, then data) for Hermite paths; NaN before there was one. Empty for other schemes.
    Slopes: float[]
    /// State of the equation.
    State: float[]
    /// Its shape.
    Shape: int64[]
    /// Its dtype.
    Dtype: torch.ScalarType
}

/// Solves dz = F(z) dX along a path that is still being observed: push an observation, get the state there. The path is the causal
/// one that ControlPath.create makes of the same rows, and the states are those of TensorCde.solve at the observations. Memory does not
/// grow with observations. No gradients. One stream, one thread; several series run side by side.
[<Sealed>]
type CdeStream
    (
        field: CdeField,
        control: ControlOptions,
        options: CdeOptions,
        initial: Func<Tensor, Tensor>,
        series: int,
        channels: int
    ) =
    do
        ArgumentNullException.ThrowIfNull(field, nameof field)
        ArgumentNullException.ThrowIfNull(initial, nameof initial)
        let bad (text: string) = raise (ArgumentException text)

        if control.Scheme = ControlScheme.NaturalCubic then
            bad "A natural cubic path depends on all observations; a stream takes Rectilinear, Hermite or Linear."

        if not (control.Missing.IsFillForward && control.Leading.IsAssumed && control.Clock.IsObservations) then
            bad "A stream knows nothing later: its path must be causal."

        if control.Scheme = ControlScheme.Rectilinear && not control.TimeChannel then
            bad "A rectilinear path moves along its time channel between observations; turn TimeChannel on."

        if series < 1 || channels < 1 then
            bad $"A stream has at least one series and one channel; got {series} and {channels}."

        let counters =
            match control.Intensity with
            | IntensityChannels.Nothing -> 0
            | IntensityChannels.Every -> channels
            | IntensityChannels.Chosen chosen -> chosen.Length

        let total = (if control.TimeChannel then 1 else 0) + counters + channels

        if field.Channels <> total then
            bad
                $"With {channels} channels of data the path has {total} (time and intensities included); the field takes {field.Channels}."

    let assumed =
        match control.Leading with
        | LeadingValues.Assumed value -> value
        | LeadingValues.FirstObserved -> nan

    let chosen =
        match control.Intensity with
        | IntensityChannels.Nothing -> [||]
        | IntensityChannels.Every -> Array.init channels id
        | IntensityChannels.Chosen chosen -> chosen

    let options = { options with SaveAt = CdeSave.End; Differentiation = Differentiation.None }
    let mutable observations = 0
    let mutable times: float[] = Array.create series nan
    let values: float[] = Array.create (series * channels) assumed
    let counts: float[] = Array.zeroCreate (series * channels)
    let mutable slopes: float[] = [||]
    let mutable state: Tensor = null

    let keep (next: Tensor) =
        let own = next.detach().alias().DetachFromDisposeScope()

        if not (isNull state) then
            state.Dispose()

        state <- own

    /// Counters and data of all series, (series, 1, channels).
    let rowOf (dtype: torch.ScalarType) (device: torch.Device) : Tensor =
        let width = chosen.Length + channels

        let row =
            Array.init (series * width) (fun i ->
                let one, channel = i / width, i % width

                if channel < chosen.Length then
                    counts[one * channels + chosen[channel]]
                else
                    values[one * channels + channel - chosen.Length])

        Tensors.ofArray row [| int64 series; 1L; int64 width |] dtype device

    let take (now: float[]) (observed: float[]) =
        for one in 0 .. series - 1 do
            if not (Double.IsFinite now[one]) then
                raise (ArgumentException $"Series {one} was pushed at the time {now[one]}; times must be finite.")

            if observations > 0 && not (now[one] > times[one]) then
                raise (
                    ArgumentException
                        $"Series {one} was pushed at the time {now[one]}, its last observation was at {times[one]}; times must increase."
                )

        observed
        |> Array.iteri (fun i x ->
            if Double.IsInfinity x then
                raise (
                    ArgumentException
                        $"Series {i / channels} was pushed with an infinite value in channel {i % channels}; values must be finite, or NaN where nothing was observed."
                ))

        for i in 0 .. observed.Length - 1 do
            if not (Double.IsNaN observed[i]) then
                values[i] <- observed[i]
                counts[i] <- counts[i] + 1.0

    let timeTensor (now: float[]) (device: torch.Device) =
        Tensors.ofArray now [| int64 series; 1L |] torch.float64 device

    /// The value of the path at its start.
    let first (now: float[]) (row: Tensor) : Tensor =
        let data = row.squeeze 1L

        if control.TimeChannel then
            torch.cat ([| (timeTensor now data.device).``to`` data.dtype; data |], 1L)
        else
            data

    /// The slopes that the next Hermite piece starts with: (series, 1, channels).
    let slopeTensor (like: Tensor) : Tensor =
        if control.Scheme <> ControlScheme.Hermite then
            null
        else
            Tensors.ofArray slopes like.shape like.dtype like.device

    let startSlopes (width: int) =
        if control.Scheme = ControlScheme.Hermite then
            slopes <- Array.create (series * width) nan

            if not (isNull control.FirstSlope) then
                let given = Tensors.toArray control.FirstSlope

                for one in 0 .. series - 1 do
                    for channel in 0 .. channels - 1 do
                        slopes[one * width + chosen.Length + channel] <-
                            given[(if given.Length = channels then channel else one * channels + channel)]

    let endSlopes (before: Tensor) (after: Tensor) (now: float[]) (device: torch.Device) =
        if control.Scheme = ControlScheme.Hermite then
            let step = (timeTensor now device).sub(timeTensor times device).``to``(before.dtype).unsqueeze -1L
            slopes <- Tensors.toArray (after.sub(before).div step)

    /// Takes one more row of all series.
    let move (now: float[]) (observed: Tensor) =
        let before = if observations = 0 then null else rowOf observed.dtype observed.device
        take now (Tensors.toArray observed)
        let after = rowOf observed.dtype observed.device

        if observations = 0 then
            startSlopes (int after.shape[2])
            keep (initial.Invoke(first now after))
        else
            let rows = torch.cat ([| before; after |], 1L)
            let clock = torch.cat ([| timeTensor times after.device; timeTensor now after.device |], 1L)
            let pieces = ControlPath.betweenRows control (slopeTensor before) clock rows
            let start = float (observations - 1)

            let knots =
                if control.Scheme = ControlScheme.Rectilinear then
                    [| start; start + 0.5; start + 1.0 |]
                else
                    [| start; start + 1.0 |]

            use path = new ControlPath(knots, ControlPath.piecesFirst [| int64 series |] pieces, [| 0 |])
            let solver = if observations = 1 then TensorCde.solve else TensorCde.run
            let solution = (solver options field path state).EnsureSuccess()
            endSlopes before after now after.device
            keep solution.Final

        times <- Array.copy now
        observations <- observations + 1

    /// The state after this observation of each series: `now` holds their times, `observed` (series, channels) their values, NaN where
    /// missing. The first one makes the initial state. A fresh handle. ArgumentException for times that do not increase and
    /// values that are infinite; SolveFailedException where the solve fails.
    member _.Push(now: float[], observed: Tensor) : Tensor =
        ArgumentNullException.ThrowIfNull now
        ArgumentNullException.ThrowIfNull observed

        if
            now.Length <> series
            || not (observed.shape.AsSpan().SequenceEqual [| int64 series; int64 channels |])
        then
            raise (
                ArgumentException
                    $"Times for {now.Length} series and values of shape {Tensors.shapeText observed} were pushed; expected {series} and [{series}, {channels}]."
            )

        use _ = torch.NewDisposeScope()
        use _ = torch.no_grad ()
        let known, seen = Array.copy values, Array.copy counts

        try
            move now observed
        with _ ->
            // A row that could not be used leaves no trace.
            known.CopyTo(values, 0)
            seen.CopyTo(counts, 0)
            reraise ()

        state.alias().MoveToOuterDisposeScope()

    /// The same for one series from plain numbers; the state's values, row-major.
    member this.Push(now: float, observed: float[]) : float[] =
        ArgumentNullException.ThrowIfNull observed
        use _ = torch.NewDisposeScope()

        if observed.Length <> channels then
            raise (ArgumentException $"{observed.Length} values were pushed; the stream has {channels} channels.")

        let dtype = if isNull state then torch.float64 else state.dtype
        let row = Tensors.ofArray observed [| 1L; int64 channels |] dtype torch.CPU
        Tensors.toArray (this.Push([| now |], row))

    /// Observations pushed so far.
    member _.Observations = observations

    /// Times of the last observation; empty before the first.
    member _.Times = if observations = 0 then [||] else Array.copy times

    /// The state at the last observation (a fresh handle); null before the first.
    member _.State: Tensor = if isNull state then null else state.alias ()

    /// Everything the stream remembers. InvalidOperationException before the first observation.
    member _.Save() : CdeStreamState =
        if isNull state then
            raise (InvalidOperationException "The stream has seen no observation yet; there is nothing to save.")

        {
            Observations = observations
            Times = Array.copy times
            Values = Array.copy values
            Counts = Array.copy counts
            Slopes = Array.copy slopes
            State = Tensors.toArray state
            Shape = state.shape
            Dtype = state.dtype
        }

    /// Goes on from where another stream of the same kind was saved; what comes is what would have come there.
    /// ArgumentException for a state of other sizes.
    member _.Restore(saved: CdeStreamState) : unit =
        if
            saved.Times.Length <> series
            || saved.Values.Length <> series * channels
            || saved.Counts.Length <> counts.Length
        then
            raise (
                ArgumentException
                    $"The saved stream has {saved.Times.Length} series and {saved.Values.Length} values; this one has {series} and {series * channels}."
            )

        let hermite = control.Scheme = ControlScheme.Hermite
        let width = if hermite then series * (chosen.Length + channels) else 0

        if saved.Slopes.Length <> width then
            raise (
                ArgumentException
                    $"The saved stream remembers {saved.Slopes.Length} slopes; with this scheme and these intensities there are {width}."
            )

        observations <- saved.Observations
        times <- Array.copy saved.Times
        saved.Values.CopyTo(values, 0)
        saved.Counts.CopyTo(counts, 0)
        slopes <- Array.copy saved.Slopes
        use _ = torch.NewDisposeScope()
        keep (Tensors.ofArray saved.State saved.Shape saved.Dtype torch.CPU)

    interface IDisposable with
        member _.Dispose() =
            if not (isNull state) then
                state.Dispose()
                state <- null
