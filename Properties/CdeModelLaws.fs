namespace Continuum.Properties

open System
open Continuum

/// Laws of fitted models of irregular series, for any model and data set that it can predict.
[<RequireQualifiedAccess>]
module CdeModelLaws =
    let private distance (a: float[,]) (b: float[,]) =
        let mutable largest = 0.0

        for i in 0 .. Array2D.length1 a - 1 do
            for j in 0 .. Array2D.length2 a - 1 do
                largest <- max largest (abs (a[i, j] - b[i, j]))

        largest

    let private row (table: float[,]) (i: int) = Array2D.init 1 (table.GetLength 1) (fun _ j -> table[i, j])

    let private result law tolerance (largest: float) : LawResult = {
        Law = law
        Holds = largest <= tolerance
        Detail = $"largest difference {largest:E1}, allowed {tolerance:E1}"
    }

    /// A subject's prediction, by a function of your own to (subjects, outputs), does not depend on who else is predicted with it (and so not
    /// on the padding of shorter series).
    let batchingOf (predict: IrregularSeries -> float[,]) (data: IrregularSeries) : LawResult =
        let together = predict data

        Array.init data.Count (fun i -> distance (row together i) (predict (data.Subset [| i |])))
        |> Array.max
        |> result "a prediction does not depend on the batch" 1e-12

    /// A subject's prediction does not depend on who else is predicted with it (and so not on the padding of shorter series).
    let batching (model: NeuralCdeModel) (data: IrregularSeries) : LawResult = batchingOf model.Predict data

    /// A subject's prediction, by a function of your own to (subjects, outputs), does not change beside one that is three times as long.
    let paddingOf (predict: IrregularSeries -> float[,]) (data: IrregularSeries) : LawResult =
        let longest = data.Subjects |> Array.maxBy _.Path.Rows
        let span = 1.0 + Array.last longest.Path.Times - longest.Path.Times[0]
        let rows = longest.Path.Rows

        let long: ObservedPath = {
            Times = Array.init (3 * rows) (fun i -> longest.Path.Times[i % rows] + span * float (i / rows))
            Values = Array2D.init (3 * rows) longest.Path.Columns (fun i j -> longest.Path.Values[i % rows, j])
        }

        let other = { longest with Id = longest.Id + " thrice"; Path = long; VisitTargets = null }

        let beside =
            IrregularSeries.Create(
                data.Channels,
                data.StaticNames,
                data.TargetNames,
                [||],
                Array.append (data.Subjects |> Array.map (fun s -> { s with VisitTargets = null })) [| other |]
            )

        let alone, padded = predict data, predict beside

        Array.init data.Count (fun i -> distance (row alone i) (row padded i))
        |> Array.max
        |> result "padding changes nothing" 1e-12

    /// A subject's prediction does not change beside one that is three times as long.
    let padding (model: NeuralCdeModel) (data: IrregularSeries) : LawResult = paddingOf model.Predict data

    /// The prediction at a visit, by a function of your own to (visits, outputs) for each subject, does not depend on later ones: their
    /// values and times are changed, and nothing before moves.
    let causalityOf (predictOverTime: IrregularSeries -> float[,][]) (data: IrregularSeries) : LawResult =
        let cut (subject: IrregularSubject) = subject.Path.Rows / 2

        let changed (subject: IrregularSubject) =
            let path = subject.Path
            let at = path.Times[max 0 (cut subject - 1)]

            {
                subject with
                    Path = {
                        Times = path.Times |> Array.mapi (fun i t -> if i < cut subject then t else at + 1.7 * (t - at))
                        Values =
                            path.Values
                            |> Array2D.mapi (fun i j v ->
                                if i < cut subject then v
                                elif Double.IsNaN v then 0.5 * float (1 + j)
                                else 1.5 * v + 1.0)
                    }
            }

        let other =
            IrregularSeries.Create(
                data.Channels,
                data.StaticNames,
                data.TargetNames,
                data.VisitTargetNames,
                data.Subjects |> Array.map changed
            )

        let before, after = predictOverTime data, predictOverTime other

        Array.init data.Count (fun i ->
            let head (table: float[,]) =
                Array2D.init (cut data.Subjects[i]) (table.GetLength 1) (fun k j -> table[k, j])

            distance (head before[i]) (head after[i]))
        |> Array.max
        |> result "a prediction over time does not depend on later visits" 1e-12

    /// The prediction at a visit does not depend on later ones: their values and times are changed, and nothing before moves.
    let causality (model: NeuralCdeModel) (data: IrregularSeries) : LawResult = causalityOf model.PredictOverTime data

    /// The prediction at a visit is the one from the series cut off there, and the one from a whole series is that at its last visit, for
    /// functions of your own to (visits, outputs) for each subject and to (subjects, outputs).
    let truncationOf
        (predictOverTime: IrregularSeries -> float[,][])
        (predict: IrregularSeries -> float[,])
        (data: IrregularSeries)
        : LawResult =
        let over, whole = predictOverTime data, predict data

        let visits (subject: IrregularSubject) (rows: int) = {
            subject with
                Path = subject.Path.Slice(0, rows)
                VisitTargets = null
        }

        Array.init data.Count (fun i ->
            let subject = data.Subjects[i]
            let rows = subject.Path.Rows

            let heads = Array.init rows (fun k -> { visits subject (k + 1) with Id = $"the first {k + 1} visits" })

            let cut =
                // A channel without any value in the heads is allowed here: the whole series stands beside them.
                IrregularSeries.Create(
                    data.Channels,
                    data.StaticNames,
                    data.TargetNames,
                    [||],
                    Array.append heads (data.Subjects |> Array.map (fun s -> visits s s.Path.Rows))
                )

            let found = predict cut

            Seq.max (
                seq {
                    for k in 0 .. rows - 1 do
                        distance (row over[i] k) (row found k)

                    distance (row whole i) (row over[i] (rows - 1))
                }
            ))
        |> Array.max
        |> result "the prediction at a visit is that from the series up to it" 1e-12

    /// The prediction at a visit is the one from the series cut off there, and the one from a whole series is that at its last visit.
    let truncation (model: NeuralCdeModel) (data: IrregularSeries) : LawResult =
        truncationOf model.PredictOverTime model.Predict data

    /// A stream that is pushed the visits one by one predicts what the whole series does at each of them.
    let streaming (model: NeuralCdeModel) (data: IrregularSeries) : LawResult =
        let over = model.PredictOverTime data

        Array.init data.Count (fun i ->
            let subject = data.Subjects[i]
            use stream = new NeuralCdeStream(model, subject.Statics)

            let pushed =
                Array.init subject.Path.Rows (fun k ->
                    stream.Push(
                        subject.Path.Times[k],
                        Array.init subject.Path.Columns (fun j -> subject.Path.Values[k, j])
                    ))

            distance over[i] (array2D pushed))
        |> Array.max
        |> result "a stream predicts what the series does" 1e-10

    let private later (data: IrregularSeries) =
        data.Subjects
        |> Array.mapi (fun i s ->
            let last = Array.last s.Path.Times
            Array.init (1 + i % 4) (fun k -> last + 0.13 * float (k + 1) * float (1 + i % 3)))

    /// A subject's forecast does not depend on who else is forecast with it.
    let forecastBatching (model: NeuralCdeModel) (data: IrregularSeries) : LawResult =
        let times = later data
        let together = model.Forecast(data, times)

        Array.init data.Count (fun i ->
            let alone = model.Forecast(data.Subset [| i |], [| times[i] |])
            distance together[i] alone[0])
        |> Array.max
        |> result "a forecast does not depend on the batch" 1e-12

    /// Asking for less does not change what is asked for: the first times alone give the first rows.
    let forecastContinuation (model: NeuralCdeModel) (data: IrregularSeries) : LawResult =
        let times = later data
        let all = model.Forecast(data, times)
        let first = model.Forecast(data, times |> Array.map (Array.truncate 1))

        Array.init data.Count (fun i -> distance (row all[i] 0) (row first[i] 0))
        |> Array.max
        |> result "a forecast does not depend on the times after it" 1e-12
