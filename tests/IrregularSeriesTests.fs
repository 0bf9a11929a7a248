module IrregularSeriesTests

open System
open Continuum
open Claims
open Expecto

let private table ids times values =
    IrregularSeries.FromColumns(
        ids,
        times,
        [| "x", values |],
        [| "sex", Array.create ids.Length 1.0 |],
        [| "event", Array.create ids.Length 0.0 |],
        [||]
    )

let private data =
    testList "IrregularSeries" [
        testCase "rows of subjects that alternate"
        <| fun () ->
            let series = table [| "b"; "a"; "b"; "b" |] [| 0.0; 5.0; 1.0; 4.0 |] [| 1.0; 2.0; nan; 4.0 |]
            Expect.equal (series.Subjects |> Array.map _.Id) [| "b"; "a" |] "in the order of their first rows"
            Expect.equal series.Subjects[0].Path.Times [| 0.0; 1.0; 4.0 |] "times"
            Expect.isTrue (Double.IsNaN series.Subjects[0].Path.Values[1, 0]) "missing"
            let early = series.Until 1.0
            Expect.equal (early.Subjects |> Array.map (fun s -> s.Id, s.Path.Rows)) [| "b", 2 |] "what was known at 1"

        testCase "bad tables are refused with row, subject and column"
        <| fun () ->
            let refuses (parts: string list) (action: unit -> IrregularSeries) =
                let text = messageOf<ArgumentException>(action >> ignore)

                for part in parts do
                    Expect.stringContains text part "the message"

            refuses [ "subject 'a'"; "row 2"; "row 1"; "sort" ] (fun () ->
                table [| "b"; "a"; "a" |] [| 0.0; 5.0; 1.0 |] [| 1.0; 2.0; 3.0 |])

            refuses [ "subject 'a'"; "repeats"; "row 2" ] (fun () ->
                table [| "b"; "a"; "a" |] [| 0.0; 5.0; 5.0 |] [| 1.0; 2.0; 3.0 |])

            refuses [ "subject 'a'"; "Infinity" ] (fun () -> table [| "a" |] [| 0.0 |] [| infinity |])
            refuses [ "'x' has 1 rows; the table has 2" ] (fun () -> table [| "a"; "a" |] [| 0.0; 1.0 |] [| 1.0 |])

            refuses [ "'event' of subject 'a' is 0 in row 0 and 1 in row 1" ] (fun () ->
                IrregularSeries.FromColumns(
                    [| "a"; "a" |],
                    [| 0.0; 1.0 |],
                    [| "x", [| 1.0; 2.0 |] |],
                    [||],
                    [| "event", [| 0.0; 1.0 |] |],
                    [||]
                ))

            refuses [ "subject '0' are 2 x 1 for 1 times and 1 channels"; "a row for each time" ] (fun () ->
                IrregularSeries.Of([| [| 0.0 |] |], [| Array2D.zeroCreate 2 1 |], null))

            refuses [ "subject '1' has no values (null)" ] (fun () ->
                IrregularSeries.Of([| [| 0.0 |]; [| 0.0 |] |], [| Array2D.zeroCreate 1 1; null |], null))

            refuses [ "subject '0' has no visits" ] (fun () ->
                IrregularSeries.Of([| [||] |], [| Array2D.zeroCreate 0 1 |], null))

        testCase "scaling by training statistics, logarithms of skewed positive channels, missing values left"
        <| fun () ->
            let values = Array.init 40 (fun i -> exp (float (i % 10)))
            let series = table (Array.init 40 (fun i -> $"s{i / 4}")) (Array.init 40 float) values
            let scaling = SeriesScaling.fit null series
            Expect.equal scaling.Logarithmic [| true |] "exponentials are skewed"

            let scaled =
                series.Subjects
                |> Array.collect (fun s -> [| for i in 0..3 -> (SeriesScaling.path scaling s.Path).Values[i, 0] |])

            Expect.floatClose Accuracy.high (Array.average scaled + 1.0) 1.0 "mean 0"
            Expect.floatClose Accuracy.high (scaled |> Array.averageBy (fun v -> v * v)) 1.0 "variance 1"
            Expect.isTrue (Double.IsNaN(SeriesScaling.value scaling 0 nan)) "missing"

            Expect.floatClose
                Accuracy.high
                (SeriesScaling.unscale scaling 0 (SeriesScaling.value scaling 0 7.0))
                7.0
                "back"

            Expect.stringContains
                (messageOf<ArgumentException>(fun () -> SeriesScaling.value scaling 0 -1.0 |> ignore))
                "-1"
                "no logarithm"

            Expect.equal (SeriesScaling.fit [||] series).Logarithmic [| false |] "none wanted"

            Expect.stringContains
                (messageOf<ArgumentException>(fun () -> SeriesScaling.fit [| "z" |] series |> ignore))
                "'z'"
                "unknown"

        testCase "a channel without values and numbers whose squares overflow are data, but not to fit to"
        <| fun () ->
            let refused series parts =
                let text =
                    messageOf<ArgumentException>(fun () ->
                        LastValues.fit (SeriesScaling.fit null series) series |> ignore)

                for part in parts do
                    Expect.stringContains text part "the message"

            refused (table [| "a" |] [| 0.0 |] [| nan |]) [ "channel 'x' has no value"; "leave the channel out" ]

            refused (table [| "a"; "b"; "b" |] [| 0.0; 0.0; 1.0 |] [| 1.0; 2.0; 1e300 |]) [
                "visit 1 of subject 'b'"
                "'x'"
                "too large"
            ]

        testCase "last values, medians for missing ones, indicators"
        <| fun () ->
            let series = table [| "a"; "a"; "b"; "c" |] [| 0.0; 1.0; 0.0; 2.0 |] [| 3.0; nan; 5.0; nan |]

            let scaling = { SeriesScaling.fit [||] series with Mean = [| 0.0 |]; Deviation = [| 1.0 |] }
            let features = LastValues.table (LastValues.fit scaling series) series
            let column j = Array.init 3 (fun i -> features[i, j])
            Expect.equal (column 0) [| 3.0; 5.0; 4.0 |] "last values, the median for c"
            Expect.equal (column 1) [| 1.0; 1.0; 1.0 |] "covariate"
            Expect.equal (column 3) [| 0.0; 0.0; 1.0 |] "indicator"
    ]

let private metrics =
    testList "ClassificationMetrics" [
        testCase "values that can be counted by hand"
        <| fun () ->
            let labels, scores = [| 0; 0; 1; 1 |], [| 0.1; 0.4; 0.35; 0.8 |]
            Expect.floatClose Accuracy.high (ClassificationMetrics.auroc labels scores) 0.75 "3 of 4 pairs in order"

            Expect.floatClose
                Accuracy.high
                (ClassificationMetrics.averagePrecision labels scores)
                (5.0 / 6.0)
                "1 and 2/3"

            Expect.floatClose Accuracy.high (ClassificationMetrics.auroc [| 0; 1; 1 |] [| 0.5; 0.5; 0.5 |]) 0.5 "ties"

            Expect.floatClose
                Accuracy.high
                (ClassificationMetrics.auroc [| 0; 1; 0; 1 |] [| 1.0; 1.0; 0.0; 2.0 |])
                0.875
                "a tie"

            Expect.floatClose Accuracy.high (ClassificationMetrics.brier [| 0; 1 |] [| 0.2; 0.6 |]) 0.1 "Brier"
            let chances = array2D [ [ 0.7; 0.2; 0.1 ]; [ 0.25; 0.5; 0.25 ] ]

            Expect.floatClose
                Accuracy.high
                (ClassificationMetrics.logLoss [| 0; 1 |] chances)
                (-0.5 * (log 0.7 + log 0.5))
                "log loss"

            Expect.equal (ClassificationMetrics.accuracy [| 0; 2 |] chances) 0.5 "accuracy"

            Expect.equal
                (ClassificationMetrics.averagePrecision [| 1; 0; 0; 0 |] [| 1.0; 1.0; 1.0; 1.0 |])
                0.25
                "one step"

        testCase "DeLong's error is that of repeated samples"
        <| fun () ->
            let random = Random 4

            let normal () =
                sqrt (-2.0 * log (1.0 - random.NextDouble())) * cos (6.283185307179586 * random.NextDouble())

            let labels = Array.init 120 (fun i -> if i % 3 = 0 then 1 else 0)

            let draws =
                Array.init 400 (fun _ ->
                    let one = labels |> Array.map (fun y -> float y + normal ())
                    let two = Array.map2 (fun s y -> 0.5 * s + 0.5 * float y + normal ()) one labels
                    let interval = ClassificationMetrics.aurocInterval labels one
                    let difference = ClassificationMetrics.aurocDifference labels one two
                    [| interval.Value; interval.Error; difference.Value; difference.Error |])

            let column j = draws |> Array.map (fun d -> d[j])
            let spread (v: float[]) = let m = Array.average v in sqrt (v |> Array.averageBy (fun x -> (x - m) ** 2.0))

            for value, error, what in [ 0, 1, "AUROC"; 2, 3, "difference" ] do
                let ratio = Array.average (column error) / spread (column value)
                Expect.isTrue (ratio > 0.9 && ratio < 1.1) $"{what}: mean error / spread = {ratio:F3}"

        testCase "what is refused"
        <| fun () ->
            Expect.stringContains
                (messageOf<ArgumentException>(fun () -> ClassificationMetrics.auroc [| 1; 1 |] [| 0.1; 0.2 |] |> ignore))
                "both classes"
                "one"

            Expect.stringContains
                (messageOf<ArgumentException>(fun () -> ClassificationMetrics.auroc [| 1 |] [| 0.1; 0.2 |] |> ignore))
                "1 labels and 2"
                "lengths"

            Expect.stringContains
                (messageOf<ArgumentException>(fun () -> ClassificationMetrics.brier [| 3 |] [| 0.1 |] |> ignore))
                "label 0 is 3"
                "label"
    ]

let private logistic =
    testList "LogisticRegression" [
        testCase "the gradient of the penalised likelihood vanishes"
        <| fun () ->
            let random = Random 2
            let x = Array2D.init 80 3 (fun _ j -> float (j + 1) * (random.NextDouble() - 0.3))

            let y =
                Array.init 80 (fun i -> if x[i, 0] + 0.3 * x[i, 1] + 0.5 * random.NextDouble() > 0.5 then 1 else 0)

            let w = Array.init 80 (fun i -> 0.5 + float (i % 3))

            for penalty in [ 0.0; 2.0 ] do
                let model = LogisticRegression.fit penalty x y w
                let p = model.Predict x

                for j in 0..2 do
                    let z i = (x[i, j] - model.Mean[j]) / model.Deviation[j]

                    let gradient =
                        Seq.sum (seq { for i in 0..79 -> w[i] * (float y[i] - p[i]) * z i })
                        - penalty * model.Coefficients[j]

                    Expect.isLessThan (abs gradient) 1e-5 $"component {j}, penalty {penalty}: {gradient}"

                let total = Seq.sum (seq { for i in 0..79 -> w[i] * (float y[i] - p[i]) })
                Expect.isLessThan (abs total) 1e-5 $"intercept, penalty {penalty}: {total}"

        testCase "separable classes and collinear columns are no obstacle with a penalty"
        <| fun () ->
            let x = Array2D.init 20 2 (fun i _ -> float i)
            let model = LogisticRegression.fit 1.0 x (Array.init 20 (fun i -> if i < 10 then 0 else 1)) null
            Expect.all model.Coefficients Double.IsFinite "finite"
            Expect.floatClose Accuracy.medium model.Coefficients[0] model.Coefficients[1] "shared alike"

        testCase "folds have equal shares of the classes, and depend on the seed alone"
        <| fun () ->
            let labels = Array.init 53 (fun i -> if i % 5 = 0 then 1 else 0)
            let folds = LogisticRegression.stratifiedFolds 4 labels 3

            for fold in 0..3 do
                let ones =
                    Seq.sum (
                        seq {
                            for i in 0..52 do
                                if folds[i] = fold then
                                    labels[i]
                        }
                    )

                Expect.isTrue (ones = 2 || ones = 3) $"fold {fold} has {ones} of 11"

            Expect.equal (LogisticRegression.stratifiedFolds 4 labels 3) folds "same seed"
            Expect.notEqual (LogisticRegression.stratifiedFolds 4 labels 4) folds "another"
    ]

let tests = testList "irregular series" [ data; metrics; logistic ]
