// Scaling of irregular series by the statistics of the training data, missing values left missing.
namespace Continuum

open System

/// How channels, covariates and times are scaled. Made from training data; stored with the model.
type SeriesScaling = {
    /// Channels that are scaled as logarithms.
    Logarithmic: bool[]
    /// Mean of each channel over the observed training values (of their logarithm).
    Mean: float[]
    /// Their standard deviation, 1 where they do not vary.
    Deviation: float[]
    /// Mean of each covariate.
    StaticMean: float[]
    /// Standard deviation of each covariate.
    StaticDeviation: float[]
    /// Covariates with missing values in training get an indicator of their own.
    StaticMissing: bool[]
    /// First time of the training data.
    Origin: float
    /// Unit of scaled time: the 0.9 quantile of the times of the last visits, from the origin.
    TimeUnit: float
    /// Unit of counts of observations: the mean number of visits.
    CountUnit: float
}

/// Making and applying scalings.
[<RequireQualifiedAccess>]
module SeriesScaling =
    let private moments (values: float[]) : struct (float * float) =
        let values = values |> Array.filter (fun v -> not (Double.IsNaN v))

        if values.Length = 0 then
            struct (0.0, 1.0)
        else
            let mean = Array.average values
            let spread = sqrt (Array.averageBy (fun v -> (v - mean) ** 2.0) values)
            struct (mean, (if spread > 1e-12 * (1.0 + abs mean) then spread else 1.0))

    let private skewness (values: float[]) =
        let struct (mean, deviation) = moments values
        Array.averageBy (fun v -> ((v - mean) / deviation) ** 3.0) values

    /// Positive with a long tail to the right that logarithms shorten: skewness above 1, and nearer to 0 for the logarithms.
    let private isSkewed (values: float[]) =
        values.Length > 0
        && Array.forall (fun v -> v > 0.0) values
        && skewness values > 1.0
        && abs (skewness (Array.map log values)) < skewness values

    /// Observed values of a channel over all subjects.
    let private channel (data: IrregularSeries) (j: int) : float[] = [|
        for subject in data.Subjects do
            for i in 0 .. subject.Path.Rows - 1 do
                if not (Double.IsNaN subject.Path.Values[i, j]) then
                    subject.Path.Values[i, j]
    |]

    /// The largest number that can be fitted to: sums of squares of such numbers stay finite.
    let internal largest = 1e150

    /// ArgumentException where no model can be fitted to these data: a channel without a value in any subject, or a value so large that
    /// its square overflows.
    let internal check (data: IrregularSeries) : unit =
        for j in 0 .. data.Channels.Length - 1 do
            let mutable seen = false

            for subject in data.Subjects do
                for i in 0 .. subject.Path.Rows - 1 do
                    let value = subject.Path.Values[i, j]
                    seen <- seen || not (Double.IsNaN value)

                    if abs value > largest then
                        raise (
                            ArgumentException
                                $"visit {i} of subject '{subject.Id}' has {value} in the channel '{data.Channels[j]}', too large to be fitted to; correct it or write NaN for missing"
                        )

            if not seen then
                raise (
                    ArgumentException
                        $"the channel '{data.Channels[j]}' has no value in any subject, so nothing can be learned about it; leave the channel out of the fit"
                )

        for subject in data.Subjects do
            for j in 0 .. data.StaticNames.Length - 1 do
                if abs subject.Statics[j] > largest then
                    raise (
                        ArgumentException
                            $"subject '{subject.Id}' has {subject.Statics[j]} in the covariate '{data.StaticNames[j]}', too large to be fitted to; correct it or write NaN for missing"
                    )

            match subject.Path.Times |> Array.tryFind (fun t -> abs t > largest) with
            | Some time ->
                raise (
                    ArgumentException
                        $"subject '{subject.Id}' has a visit at the time {time}, too large to be fitted to; correct it"
                )
            | None -> ()

    /// The scaling of these training data. `logarithmic` names the channels to take as logarithms; null takes those that are positive and
    /// skewed to the right. ArgumentException for a name that is no channel, and for a named channel with a value of 0 or less.
    let fit (logarithmic: string[]) (data: IrregularSeries) : SeriesScaling =
        let columns = Array.init data.Channels.Length (channel data)

        if not (isNull logarithmic) then
            for name in logarithmic do
                let j = Array.IndexOf(data.Channels, name)

                if j < 0 then
                    let names = String.Join(", ", data.Channels)
                    raise (ArgumentException $"there is no channel '{name}' to take logarithms of; there are {names}")

                if Array.exists (fun v -> v <= 0.0) columns[j] then
                    raise (
                        ArgumentException
                            $"the channel '{name}' has a value of {Array.min columns[j]}, which has no logarithm; leave it out of the logarithmic channels"
                    )

        let logs =
            columns
            |> Array.mapi (fun j values ->
                if isNull logarithmic then
                    isSkewed values
                else
                    Array.contains data.Channels[j] logarithmic)

        let scaled =
            columns |> Array.mapi (fun j values -> moments (if logs[j] then Array.map log values else values))

        let statics =
            Array.init data.StaticNames.Length (fun j -> data.Subjects |> Array.map (fun s -> s.Statics[j]))

        let first struct (a: float, _: float) = a
        let second struct (_: float, b: float) = b
        let origin = data.Subjects |> Array.map (fun s -> s.Path.Times[0]) |> Array.min

        let lasts = data.Subjects |> Array.map (fun s -> s.Path.Times[s.Path.Rows - 1] - origin) |> Array.sort

        let unit = lasts[int (0.9 * float (lasts.Length - 1))]

        {
            Logarithmic = logs
            Mean = Array.map first scaled
            Deviation = Array.map second scaled
            StaticMean = statics |> Array.map (moments >> first)
            StaticDeviation = statics |> Array.map (moments >> second)
            StaticMissing = statics |> Array.map (Array.exists Double.IsNaN)
            Origin = origin
            TimeUnit = if unit > 0.0 then unit else 1.0
            CountUnit = data.Subjects |> Array.averageBy (fun s -> float s.Path.Rows)
        }

    /// The scaled value of channel j; NaN stays. ArgumentException, naming the channel by its index, for a value of 0 or less of a
    /// logarithmic channel.
    let value (scaling: SeriesScaling) (j: int) (raw: float) : float =
        if Double.IsNaN raw then
            nan
        else
            let x =
                if scaling.Logarithmic[j] then
                    if raw <= 0.0 then
                        raise (
                            ArgumentException
                                $"channel {j} is scaled as logarithms and has the value {raw}; correct it or write NaN for missing"
                        )

                    log raw
                else
                    raw

            (x - scaling.Mean[j]) / scaling.Deviation[j]

    /// The value of a channel from its scaled one.
    let unscale (scaling: SeriesScaling) (j: int) (scaled: float) : float =
        let x = scaling.Mean[j] + scaling.Deviation[j] * scaled
        if scaling.Logarithmic[j] then exp x else x

    /// Scaled time.
    let time (scaling: SeriesScaling) (t: float) : float = (t - scaling.Origin) / scaling.TimeUnit

    /// Number of covariates after scaling: one each, and an indicator for each that was missing in training.
    let staticWidth (scaling: SeriesScaling) : int =
        scaling.StaticMean.Length + (scaling.StaticMissing |> Array.filter id |> Array.length)

    /// Scaled covariates, a missing one at the mean, then the indicators.
    let statics (scaling: SeriesScaling) (raw: float[]) : float[] = [|
        for j in 0 .. raw.Length - 1 do
            if Double.IsNaN raw[j] then
                0.0
            else
                (raw[j] - scaling.StaticMean[j]) / scaling.StaticDeviation[j]

        for j in 0 .. raw.Length - 1 do
            if scaling.StaticMissing[j] then
                (if Double.IsNaN raw[j] then 1.0 else 0.0)
    |]

    /// Scaled values of a path, (visits, channels), NaN where missing.
    let path (scaling: SeriesScaling) (raw: ObservedPath) : ObservedPath = {
        Times = raw.Times |> Array.map (time scaling)
        Values = raw.Values |> Array2D.mapi (fun _ j v -> value scaling j v)
    }
