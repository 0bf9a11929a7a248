/// The F# code of docs/Models.md, as it stands there.
module ModelSnippets

open System
open System.IO
open System.Threading
open Continuum
open Expecto

let private walk (random: Random) (rows: int) : ObservedPath =
    let values = Array2D.zeroCreate rows 1

    for k in 1 .. rows - 1 do
        values[k, 0] <- 0.9 * values[k - 1, 0] + random.NextDouble() - 0.5

    { Times = Array.init rows (fun k -> 0.1 * float k); Values = values }

let private saving (body: string -> unit) =
    let saved = Path.Combine(Path.GetTempPath(), $"continuum-{Guid.NewGuid():N}.safetensors")

    try
        body saved
    finally
        File.Delete saved

let tests =
    testList "Docs of models of series" [
        testCase "a neural SDE"
        <| fun () ->
            saving (fun saved ->
                let path = walk (Random 1) 300
                // neuralSde
                let train = path.Slice(0, 250) // Times: float[]; Values: float[,], a row for each time

                let options = {
                    NeuralSdeOptions.Default with
                        HalfLives = [||] // no memory
                        Loop.Iterations = 10 // test
                        Loop.Seed = 1
                }

                let fit = NeuralSdeFit.run options "time" [| "x" |] [| train |] null CancellationToken.None
                use model = fit.Model
                let times = path.Times[250..]
                let paths = model.Simulate(ValueNone, times, 1UL, 0, 500, 1) // (paths, times, columns)
                let fan = PathQuantiles.over [| 0.05; 0.5; 0.95 |] paths // (times, columns, quantiles)
                let densities = model.LogDensities path // one for each transition
                model.Save saved
                use again = NeuralSdeModel.Load saved
                // end
                Expect.equal (Array3D.length1 fan) 50 "times"
                Expect.hasLength densities 299 "transitions"
                Expect.equal again.LastTime model.LastTime "the model from its file")

        testCase "latent SDE and SDE-GAN"
        <| fun () ->
            let random = Random 2
            let series = Array.init 12 (fun _ -> walk random 20)
            // generative
            let latentOptions = {
                LatentSdeOptions.Default with
                    Window = 0 // the series as they are
                    Loop.Iterations = 2 // test
                    Loop.Seed = 1
            }

            let latentFit = LatentSdeFit.run latentOptions "time" [| "x" |] series null CancellationToken.None

            use latent = latentFit.Model
            let likeTheData = latent.Sample([| 0.0; 0.5; 1.0 |], 1UL, 0, 100, true)
            let forecast = latent.Simulate(series[0], [| 2.5; 3.0 |], 1UL, 0, 100, true)

            let ganOptions = {
                SdeGanOptions.Default with
                    HiddenSize = 8
                    Loop.Iterations = 2 // test
                    Loop.Seed = 1
            }

            let ganFit = SdeGanFit.run ganOptions "time" [| "x" |] series null CancellationToken.None
            use gan = ganFit.Model
            let drawn = gan.Simulate(1UL, 0, 1000) // at the times of the data
            // end
            Expect.equal (Array3D.length2 likeTheData) 3 "samples"
            Expect.equal (Array3D.length2 forecast) 2 "forecast"
            Expect.equal (Array3D.length1 drawn) 1000 "paths"

        testCase "a neural CDE"
        <| fun () ->
            let random = Random 3
            let count = 40

            let times = Array.init count (fun _ -> Array.sort (Array.init 5 (fun _ -> random.NextDouble())))

            let values =
                Array.init count (fun i ->
                    Array2D.init 5 1 (fun k _ -> (if i % 2 = 0 then 1.0 else -1.0) * times[i][k]))

            // cde
            let data = IrregularSeries.Of(times, values, Array.init count (fun i -> float (i % 2))) // NaN: not measured

            let options = {
                NeuralCdeOptions.Default with // a classifier; Task = NeuralCdeTask.Regression or Forecast
                    State = 4
                    Hidden = [||]
                    ValidationFraction = 0.0
                    Loop.Iterations = 5 // test
                    Loop.Seed = 1
            }

            let fit = NeuralCde.fit options data null CancellationToken.None
            use model = fit.Model
            let chances = model.Predict data // (subjects, classes)
            let course = model.PredictOverTime data // for each subject (visits, classes)
            let labels = data.Subjects |> Array.map (fun subject -> int subject.Target[0])
            let auroc = ClassificationMetrics.auroc labels (Array.init count (fun i -> chances[i, 1]))
            // end
            Expect.equal (Array2D.length1 course[0]) 5 "visits"
            Expect.isTrue (auroc >= 0.0 && auroc <= 1.0) "AUROC"
    ]
