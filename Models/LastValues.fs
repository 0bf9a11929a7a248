// The last observed values of irregular series as a table: what a model without memory can see.
namespace Continuum

open System

/// How series become rows of numbers: the last observed value of each channel, the covariates, and an indicator for each column that was
/// missing for some training subject. Missing numbers take the median of the training data. Made by LastValues.fit.
type LastValues = {
    /// Scaling, of which the logarithms and the unit of time are used.
    Scaling: SeriesScaling
    /// Median over the training subjects of each last value (scaled).
    Median: float[]
    /// Median of each covariate.
    StaticMedian: float[]
    /// Channels without any value for some training subject.
    Missing: bool[]
    /// Covariates missing for some training subject.
    StaticMissing: bool[]
}

/// Making and applying tables of last values.
[<RequireQualifiedAccess>]
module LastValues =
    let private median (values: float[]) =
        let known = values |> Array.filter (fun v -> not (Double.IsNaN v)) |> Array.sort

        if known.Length = 0 then
            0.0
        else
            0.5 * (known[(known.Length - 1) / 2] + known[known.Length / 2])

    /// The last observed scaled value of a channel, NaN where there is none.
    let private last (scaling: SeriesScaling) (subject: IrregularSubject) (j: int) =
        let mutable row = subject.Path.Rows - 1

        while row >= 0 && Double.IsNaN subject.Path.Values[row, j] do
            row <- row - 1

        if row < 0 then
            nan
        else
            SeriesScaling.value scaling j subject.Path.Values[row, j]

    /// The medians and indicators of these training data. ArgumentException for a channel without a value in any subject, and for values so
    /// large that their squares overflow.
    let fit (scaling: SeriesScaling) (data: IrregularSeries) : LastValues =
        SeriesScaling.check data
        let column j = data.Subjects |> Array.map (fun s -> last scaling s j)
        let constant j = data.Subjects |> Array.map (fun s -> s.Statics[j])
        let columns = Array.init data.Channels.Length column
        let statics = Array.init data.StaticNames.Length constant

        {
            Scaling = scaling
            Median = columns |> Array.map median
            StaticMedian = statics |> Array.map median
            Missing = columns |> Array.map (Array.exists Double.IsNaN)
            StaticMissing = statics |> Array.map (Array.exists Double.IsNaN)
        }

    /// The table (subjects, features): channels, covariates, the scaled time of the last visit, indicators.
    let table (fitted: LastValues) (data: IrregularSeries) : float[,] =
        let row (subject: IrregularSubject) = [|
            let values = Array.init fitted.Median.Length (last fitted.Scaling subject)
            let filled (known: float) (median: float) = if Double.IsNaN known then median else known
            let flag (known: float) = if Double.IsNaN known then 1.0 else 0.0
            yield! Array.map2 filled values fitted.Median
            yield! Array.map2 filled subject.Statics fitted.StaticMedian
            SeriesScaling.time fitted.Scaling subject.Path.Times[subject.Path.Rows - 1]

            for j in 0 .. values.Length - 1 do
                if fitted.Missing[j] then
                    flag values[j]

            for j in 0 .. subject.Statics.Length - 1 do
                if fitted.StaticMissing[j] then
                    flag subject.Statics[j]
        |]

        array2D (data.Subjects |> Array.map row)
