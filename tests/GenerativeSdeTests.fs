module GenerativeSdeTests

open System
open System.IO
open System.Threading
open Continuum
open Continuum.Properties
open Expecto
open TorchSharp
open SdeModelData

let private latentOptions = {
    LatentSdeOptions.Default with
        LatentSize = 2
        ContextSize = 8
        Hidden = [| 8 |]
        Window = 12
        KlWarmup = 0.5
        Loop = { LatentSdeOptions.Default.Loop with Iterations = 10; BatchSize = 16 }
}

/// Uneven times, and values missing here and there.
let private gappy =
    let path = ornsteinUhlenbeck 120 8 (fun i -> if i % 5 = 0 then 1.0 else 0.5)

    {
        path with
            Values = path.Values |> Array2D.mapi (fun i j v -> if (i + 3 * j) % 7 = 0 then nan else v)
    }

let private fitLatent options = LatentSdeFit.run options "time" columns [| gappy |] null never

let private latentTests =
    testList "LatentSde" [
        test "path divergence of two Ornstein-Uhlenbeck processes" {
            SdeModelLaws.pathDivergence 0.8 0.3 0.5 1.0 2.0 4000 100 11UL |> holds
        }

        test "training raises the evidence lower bound on uneven data with gaps" {
            let first = fitLatent { latentOptions with Loop = { latentOptions.Loop with Iterations = 1 } }
            (first.Model :> IDisposable).Dispose()
            let last = fitLatent { latentOptions with Loop = { latentOptions.Loop with Iterations = 50 } }
            use model = last.Model
            Expect.isGreaterThan last.EvidenceLowerBound (first.EvidenceLowerBound + 1.0) "evidence lower bound"
            Expect.isGreaterThan last.KullbackLeibler 0.0 "divergence"
            Expect.isGreaterThan last.NoiseToData 0.1 $"diffusion did not collapse: {last.NoiseToData}"
            let times = Array.init 10 (fun k -> 0.5 * float k)

            SdeModelLaws.splitPaths "latent SDE" (fun first count -> model.Sample(times, 5UL, first, count, true)) 8 3
            |> holds

            let series = gappy.Slice(0, 12)

            let forecast first count =
                model.Simulate(
                    series,
                    [| 0.0; 0.7; 3.0; series.Times[11]; series.Times[11] + 2.0 |],
                    5UL,
                    first,
                    count,
                    false
                )

            SdeModelLaws.splitPaths "posterior and forecast" forecast 8 5 |> holds
        }

        test "same seed, same model; resumed and loaded as well; no tensor is left over" {
            let times = Array.init 4 (fun k -> float k)
            let sample (model: LatentSdeModel) = bits (model.Sample(times, 3UL, 0, 3, false))
            let file = temporary ()

            try
                let whole =
                    use model = (fitLatent latentOptions).Model
                    sample model

                let before = Tensors.live ()
                use source = new CancellationTokenSource()

                let stop =
                    Action<TrainingReport>(fun report ->
                        if report.Iteration = 7 then
                            source.Cancel())

                let kept = {
                    latentOptions with
                        Loop = { latentOptions.Loop with CheckpointPath = file; Resume = true }
                }

                Expect.throwsT<OperationCanceledException>
                    (fun () -> LatentSdeFit.run kept "time" columns [| gappy |] stop source.Token |> ignore)
                    "cancelled"

                let resumed = (fitLatent kept).Model
                Expect.equal (sample resumed) whole "resumed"
                resumed.Save file
                (resumed :> IDisposable).Dispose()
                let loaded = LatentSdeModel.Load file
                Expect.equal (sample loaded) whole "loaded"
                (loaded :> IDisposable).Dispose()
                Expect.equal (Tensors.live ()) before "live tensors"
            finally
                File.Delete file
        }

        test "penalties on the solver's heuristics train too" {
            use plain = (fitLatent latentOptions).Model
            use model = (fitLatent { latentOptions with ErrorPenalty = 0.1; StiffnessPenalty = 0.01 }).Model
            let times = [| 1.0 |]

            Expect.notEqual
                (bits (model.Sample(times, 3UL, 0, 2, false)))
                (bits (plain.Sample(times, 3UL, 0, 2, false)))
                "differs"
        }

        test "bad input is refused by name" {
            let refused text options (path: ObservedPath) =
                let found =
                    message<ArgumentException>(fun () ->
                        LatentSdeFit.run options "time" columns [| path |] null never |> ignore)

                Expect.stringContains found text found

            refused "'b'" latentOptions {
                gappy with
                    Values = gappy.Values |> Array2D.mapi (fun _ j v -> if j = 1 then 3.0 else v)
            }

            refused "fewer than two" latentOptions {
                gappy with
                    Values = gappy.Values |> Array2D.mapi (fun _ j v -> if j = 1 then nan else v)
            }

            refused "Floor" { latentOptions with Floor = 0.0 } gappy
            refused "Window" { latentOptions with Window = 1 } gappy
        }
    ]

let private ganOptions = {
    SdeGanOptions.Default with
        HiddenSize = 6
        Hidden = [| 8 |]
        DiscriminatorSize = 6
        Loop = { SdeGanOptions.Default.Loop with Iterations = 5; BatchSize = 32 }
}

/// Noisy paths of eight steps that rise: dY = (0.25 - 0.1 Y) dt + 0.2 dW, one Euler step each, from the interval (-1, 1).
let private ganPaths (seed: int) (count: int) : ObservedPath[] =
    let random = Random seed
    let normal () = sqrt (-2.0 * log (1.0 - random.NextDouble())) * cos (2.0 * Math.PI * random.NextDouble())

    Array.init count (fun _ ->
        let mutable y = 2.0 * random.NextDouble() - 1.0

        let values =
            Array2D.init 9 1 (fun k _ ->
                if k > 0 then
                    y <- y + 0.25 - 0.1 * y + 0.2 * normal ()

                y)

        { Times = Array.init 9 float; Values = values })

let private trainGan options = SdeGanFit.run options "t" [| "y" |] (ganPaths 1 256) null never

let private ganTests =
    testList "SdeGan" [
        test "weights of the discriminator are clipped after every step; both solvers train" {
            for solver in [ SdeGanSolver.ReversibleHeun; SdeGanSolver.Midpoint ] do
                use model =
                    (trainGan {
                        ganOptions with
                            Solver = solver
                            Loop = { ganOptions.Loop with Iterations = 2; Averaging = 0.0 }
                    })
                        .Model

                for name, parameter in model.DiscriminatorParameters do
                    if name.Contains "weight" then
                        let bound = 1.0 / float parameter.shape[0] + 1e-15
                        let found = largest (Tensors.toArray parameter)
                        Expect.isLessThanOrEqual found bound $"{name} of {solver}"
        }

        test "training brings the generated paths nearer to the data" {
            let fresh = ganPaths 2 256
            let observed = Array3D.init 256 9 1 (fun p t _ -> fresh[p].Values[t, 0])

            let distance (model: SdeGanModel) =
                (PathMetrics.marginalDistance false 0 1 (model.Simulate(1UL, 0, 256)) observed).Value

            use start =
                (trainGan {
                    ganOptions with
                        Loop = { ganOptions.Loop with Iterations = 1; Averaging = 0.0 }
                })
                    .Model

            use trained =
                (trainGan {
                    ganOptions with
                        DiscriminatorSteps = 2
                        Loop = { ganOptions.Loop with Iterations = 60; Averaging = 0.25 }
                })
                    .Model

            let before, after = distance start, distance trained
            Expect.isLessThan after (0.85 * before) $"distance {before} before, {after} after"
        }

        test "same seed, same model; resumed and loaded as well; split batches; no tensor is left over" {
            let file = temporary ()
            let simulate (model: SdeGanModel) = bits (model.Simulate(3UL, 0, 4))

            try
                let whole =
                    use model = (trainGan ganOptions).Model

                    SdeModelLaws.splitPaths "SDE-GAN" (fun first count -> model.Simulate(3UL, first, count)) 7 2
                    |> holds

                    simulate model

                let before = Tensors.live ()
                use source = new CancellationTokenSource()

                let stop =
                    Action<TrainingReport>(fun report ->
                        if report.Iteration = 3 then
                            source.Cancel())

                let kept = {
                    ganOptions with
                        Loop = { ganOptions.Loop with CheckpointPath = file; Resume = true }
                }

                Expect.throwsT<OperationCanceledException>
                    (fun () -> SdeGanFit.run kept "t" [| "y" |] (ganPaths 1 256) stop source.Token |> ignore)
                    "cancelled"

                let resumed = (trainGan kept).Model
                Expect.equal (simulate resumed) whole "resumed"
                resumed.Save file
                (resumed :> IDisposable).Dispose()
                let loaded = SdeGanModel.Load file
                Expect.equal (simulate loaded) whole "loaded"
                (loaded :> IDisposable).Dispose()
                Expect.equal (Tensors.live ()) before "live tensors"
            finally
                File.Delete file
        }

        test "bad input is refused by name" {
            let refused text (paths: ObservedPath[]) =
                let found =
                    message<ArgumentException>(fun () ->
                        SdeGanFit.run ganOptions "t" [| "y" |] paths null never |> ignore)

                Expect.stringContains found text found

            let paths = ganPaths 1 4
            refused "many paths" [| paths[0] |]
            refused "equal length" [| paths[0]; paths[1].Slice(0, 5) |]

            refused "even grid" [|
                paths[0]
                {
                    paths[1] with
                        Times = paths[1].Times |> Array.mapi (fun i t -> if i = 4 then 4.4 else t)
                }
            |]
        }
    ]

let tests = testSequenced (testList "Generative models of paths" [ latentTests; ganTests ])
