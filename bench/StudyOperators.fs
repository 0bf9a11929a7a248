/// Neural operators on equations of the literature: relative L2 errors on samples that training has not seen, on the training points and on finer ones.
module Continuum.Bench.StudyOperators

open System
open System.Diagnostics
open System.IO
open System.Threading
open Continuum
open Continuum.Bench.Measure
open TorchSharp

let private none<'t> = Unchecked.defaultof<'t>

/// Data made once and kept beside the build's results.
let private cached (name: string) (make: unit -> OperatorDataset) : OperatorDataset =
    let folder = Path.Combine((if isNull root then "." else root), "artifacts", "studies")
    Directory.CreateDirectory folder |> ignore
    let file = Path.Combine(folder, name + ".npz")

    if File.Exists file then
        OperatorDataset.Load file
    else
        let clock = Stopwatch.StartNew()
        let data = make ()
        data.Save file
        eprintfn $"{name}: {data.Count} samples in {clock.Elapsed.TotalSeconds:f0} s"
        data

/// How functions at many points are given at fewer: values there, or input functions as means over the cells around them.
type private Reduction =
    | Points
    | CellMeans

let private reduced (reduction: Reduction) (k: int) (data: OperatorDataset) =
    let every = Array.create (snd data.Output).Domain.Dimension k

    use few =
        match reduction with
        | Points -> data.Stride every
        | CellMeans -> data.Coarsen every

    few.To torch.float32

let private mean (values: float[]) = Array.average values

let private spread (values: float[]) =
    let m = mean values
    sqrt (Array.sumBy (fun v -> (v - m) * (v - m)) values / float (values.Length - 1))

let private deviation (values: float[]) =
    if values.Length < 2 then
        ", one seed,"
    else
        $" +- {spread values:f5} over {values.Length} seeds"

let private seeds (settings: Settings) = [| 0 .. min 3 settings.Runs - 1 |]

/// Trains with each seed on the points of the first stride and prints the errors of all strides.
let private study
    (settings: Settings)
    (workload: string)
    (name: string)
    (data: OperatorDataset)
    (train: int)
    (reduction: Reduction)
    (strides: int list)
    (options: OperatorTrainingOptions)
    (network: torch.Generator -> NeuralOperator)
    =
    use all = data
    let test = all.Range(train, all.Count - train)
    use first = all.Range(0, train)
    use coarse = reduced reduction strides.Head first

    let runs =
        seeds settings
        |> Array.map (fun seed ->
            use generator = new torch.Generator(uint64 seed)
            use model = OperatorTraining.scaled coarse (network generator)

            let o = {
                options with
                    Loop = { options.Loop with Seed = seed; Threads = settings.Threads }
            }

            let clock = Stopwatch.StartNew()

            let report =
                Action<TrainingReport>(fun r ->
                    if r.Iteration % 500 = 0 then
                        eprintfn
                            $"{workload}, seed {seed}: {r.Iteration} / {r.Iterations}, loss {r.Loss:f5}, {clock.Elapsed.TotalSeconds:f0} s")

            OperatorTraining.fit o model coarse none report CancellationToken.None |> ignore
            let seconds = clock.Elapsed.TotalSeconds

            let errors =
                strides
                |> List.map (fun k ->
                    use part = reduced reduction k test
                    mean (OperatorTraining.errors FieldNorm.L2 model part 10))

            struct (seconds, errors, model.ParameterCount))

    let seconds = runs |> Array.map (fun (struct (s, _, _)) -> s)
    let struct (_, _, parameters) = runs[0]

    strides
    |> List.iteri (fun i k ->
        let errors = runs |> Array.map (fun (struct (_, e, _)) -> List.item i e)
        let finer = strides.Head / k
        let ratio = mean (runs |> Array.map (fun (struct (_, e, _)) -> List.item i e / e.Head))

        print settings {
            line workload (if finer = 1 then name else $"{name}, {finer} x finer") runs.Length (mean seconds) with
                Error = mean errors
                Notes =
                    $"relative L2 {mean errors:f5}{deviation errors} on {test.Count} samples; {train} trained, {options.Epochs} epochs, {parameters} parameters"
                    + (if finer = 1 then "" else $"; {ratio:f3} x the training points'")
        })

let private training epochs rate symmetries = {
    OperatorTrainingOptions.Default with
        Epochs = epochs
        Symmetries = symmetries
        Loop = { OperatorTrainingOptions.Default.Loop with LearningRate = rate }
}

/// nu = 0.1, s = 1024 subsampled to 128 for training; 1000 samples, 200 to test.
let burgers (settings: Settings) =
    let data =
        cached "burgers-1024" (fun () -> Burgers.generate BurgersOptions.Default (Generation.Create(1200, 0)))

    let options = { FnoOptions.Create [| 16 |] with Width = 64; Projection = 128 }

    study
        settings
        "study_burgers"
        "Fno 128"
        data
        1000
        Points
        [ 8; 4; 2; 1 ]
        (training 200 1e-3 BoxSymmetries.None)
        (fun g -> new Fno(Domain.Torus 1, [| 1 |], 1, 0, options, torch.float32, g))

let private darcy (settings: Settings) (reduction: Reduction) (fine: int) (coarse: int) (epochs: int) =
    let data =
        cached $"darcy-{fine}" (fun () ->
            Darcy.generate { DarcyOptions.Default with Grid = fine; FineGrid = fine } (Generation.Create(1200, 0)))

    let options = { FnoOptions.Create [| 12; 12 |] with Width = 32 }
    let every = (fine - 1) / (coarse - 1)
    let name = if reduction = Points then "node values" else "cell means"

    study
        settings
        $"study_darcy{coarse}"
        $"Fno, {name}"
        data
        1000
        reduction
        [ every; every / 2; every / 4 ]
        (training epochs 2e-3 BoxSymmetries.All)
        (fun g -> new Fno((snd data.Output).Domain, [| 1 |], 1, 0, options, torch.float32, g))

/// 29 x 29 nodes of 113 x 113 and 61 x 61 of 241 x 241: the coefficient as means over the nodes' cells, or as its values there.
let darcy29 (settings: Settings) = darcy settings CellMeans 113 29 60
let darcy29Points (settings: Settings) = darcy settings Points 113 29 60
let darcy61 (settings: Settings) = darcy settings CellMeans 241 61 40
let darcy61Points (settings: Settings) = darcy settings Points 241 61 40
