/// Brownian paths: what a normal costs, and what a step costs beside the normals that it draws.
module Continuum.Bench.Brownian

#nowarn "3535" "3536"

open System
open System.Collections.Generic
open Continuum
open Continuum.Bench.Measure
open TorchSharp

let private batch = 256L
let private m = 8
let private cells = 4096

let private specOf level cells m = { BrownianSpec.create 0.0 1.0 m 7UL with Level = level; Cells = cells }

let private timeOf (cell: int) = float cell / float cells

let private tensors level cells dtype = new TensorBrownian(specOf level cells m, [| batch |], 0L, dtype, torch.CPU)

/// Normals that one call of `draw` makes.
let private drawn = 64.0 * 64.0

/// The measure of everything else: normals for cells and eight paths at once, with nothing done to them.
let private draw () =
    let lanes = BrownianLanes(specOf LevyLevel.Increments cells m, 0L)
    let w: Lanes[] = Array.zeroCreate m
    let mutable i = 0

    fun () ->
        for _ in 1..64 do
            lanes.Cell(i, Span w, Span.Empty)
            i <- (i + 1) % cells

/// Times of steps as an adaptive solver takes them: of lengths between 1/400 and 1/40 of the path, snapped.
let private adaptiveTimes (snap: float -> float -> float) =
    let times = List<float> [ 0.0 ]
    let random = Random 3

    while times[times.Count - 1] < 1.0 do
        let t = times[times.Count - 1]
        let h = 0.0025 * Math.Pow(10.0, random.NextDouble())
        times.Add(snap t (Math.Min(1.0, t + h)))

    times.ToArray()

/// How many nodes of the tree have to be split for these dyadic times: all that have one of them inside.
let private splits (times: float[]) =
    let seen = HashSet<struct (int * float)>()

    for t in times do
        let mutable scale = 1.0
        let mutable depth = 0

        while t * scale <> floor (t * scale) do
            seen.Add(struct (depth, floor (t * scale))) |> ignore
            scale <- 2.0 * scale
            depth <- depth + 1

    seen.Count

let private report (settings: Settings) variant (series: Series) (normals: float) overhead notes =
    print settings {
        line "brownian" variant settings.Runs (median series.Wall) with
            Overhead = overhead
            Notes = $"{1e9 * median series.Cpu / normals:f2} ns of processor time a normal; {notes}"
    }

/// Steps over cells.
let private overCells (settings: Settings) =
    let spec = specOf LevyLevel.Increments cells 1
    let path = BrownianPath spec
    let eight = BrownianLanes(spec, 0L)
    let w: float[] = Array.zeroCreate 1
    let wide: Lanes[] = Array.zeroCreate 1

    let one () =
        for i in 0 .. cells - 1 do
            path.Increment(timeOf i, timeOf (i + 1), Span w)

    let lanes () =
        for i in 0 .. cells - 1 do
            eight.Cell(i, Span wide, Span.Empty)

    let framework = Random 1

    let boxMuller () =
        for _ in 0..2 .. cells - 2 do
            let r = sqrt (-2.0 * log (1.0 - framework.NextDouble()))
            let angle = 2.0 * Math.PI * framework.NextDouble()
            w[0] <- w[0] + r * cos angle + r * sin angle

    let samples = sampleTogether settings.Runs [| one; lanes; boxMuller |]
    let n = float cells
    let than = "ratio to System.Random and Box-Muller"
    report settings "one path, m = 1" samples[0] n (cpuRatio samples[0] samples[2]) than
    report settings "eight in lanes, m = 1" samples[1] (8.0 * n) (cpuRatio samples[1] samples[2] / 8.0) than

    for dtype in [ torch.float64; torch.float32 ] do
        use path = tensors LevyLevel.Increments cells dtype
        let mutable i = 0

        let ours () =
            use _ = torch.NewDisposeScope()
            path.Step(timeOf i, timeOf (i + 1)) |> ignore
            i <- (i + 1) % cells

        let theirs () =
            use _ = torch.randn ([| batch; int64 m |], dtype = dtype)
            ()

        let samples = sampleTogether settings.Runs [| ours; theirs |]
        let normals = float batch * float m
        report settings $"(256, 8) {dtype}" samples[0] normals (cpuRatio samples[0] samples[1]) "ratio to torch.randn"

/// Steps of an adaptive solver.
let private overTree (settings: Settings) =
    for level, rows in [ LevyLevel.Increments, 1; LevyLevel.SpaceTime, 2 ] do
        use paths = tensors level 1 torch.float64
        let path = BrownianPath(specOf level 1 m)
        let times = adaptiveTimes (fun s t -> path.Snap(s, t))
        let w: float[] = Array.zeroCreate m

        let batched () =
            for i in 0 .. times.Length - 2 do
                use _ = torch.NewDisposeScope()
                paths.Step(times[i], times[i + 1]) |> ignore

        let alone () =
            for i in 0 .. times.Length - 2 do
                path.Increment(times[i], times[i + 1], Span w)

        // Every other cell, so that nothing is drawn ahead: each draws the normals of a split.
        let single = BrownianPath(specOf level cells m)

        let drawAlone () =
            for i in 0..2 .. cells - 2 do
                single.Increment(timeOf i, timeOf (i + 1), Span w)

        let samples = sampleTogether settings.Runs [| batched; alone; draw (); drawAlone |]
        let nodes = splits times
        let normals = float ((nodes + 1) * rows * m)
        let notes = $"{times.Length - 1} steps, {nodes} splits"
        let many = normals * float batch
        let overhead = cpuRatio samples[0] samples[2] * drawn / many

        report
            settings
            $"tree {level} (256, 8)"
            samples[0]
            many
            overhead
            $"ratio to drawing its normals in lanes; {notes}"

        let overhead = cpuRatio samples[1] samples[3] * float (cells / 2) / float (nodes + 1)
        report settings $"tree {level}, one path" samples[1] normals overhead $"ratio to as many cells alone; {notes}"

/// Levy area over a cell: eight leaves.
let private overArea (settings: Settings) =
    use paths = tensors LevyLevel.Area cells torch.float64
    let mutable i = 0

    let ours () =
        use _ = torch.NewDisposeScope()
        paths.Step(timeOf i, timeOf (i + 1)) |> ignore
        i <- (i + 1) % cells

    let samples = sampleTogether settings.Runs [| ours; draw () |]
    // The cell and seven splits with W and H, and 28 pairs for each leaf.
    let normals = float batch * float (8 * 2 * m + 8 * m * (m - 1) / 2)
    let overhead = cpuRatio samples[0] samples[1] * drawn / normals
    report settings "area (256, 8)" samples[0] normals overhead "ratio to drawing its normals in lanes"

let run (settings: Settings) =
    overCells settings
    overTree settings
    overArea settings
