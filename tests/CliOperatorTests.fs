/// `continuum operator` from the command line.
module CliOperatorTests

open System
open System.IO
open Claims
open CliTests
open Continuum
open Expecto
open TorchSharp

let private operator folder (arguments: string list) = run folder ("operator" :: arguments)

let private generate folder (arguments: string list) =
    expect 0 (run folder ([ "pde"; "generate" ] @ arguments @ [ "--quiet" ]))

/// Burgers' equation at 32 points and Darcy flow at 13 x 13.
let private burgers folder name count seed =
    generate folder [ "burgers"; "--n"; count; "--grid"; "32"; "--seed"; seed; "--step"; "0.02"; "--out"; name ]

let private small = [ "--modes"; "4"; "--width"; "6"; "--layers"; "2"; "--epochs"; "3"; "--batch"; "8" ]
let private lines (path: string) = File.ReadAllLines path
let private bytes folder name = File.ReadAllBytes(Path.Combine(folder, name))

/// The page holds so many pictures, as PNG, and asks for nothing elsewhere.
let private expectPage (path: string) (pictures: int) (parts: string list) =
    let html = File.ReadAllText path
    let marker = "src=\"data:image/png;base64,"
    Expect.equal (html.Split(marker).Length - 1) pictures "pictures"

    for piece in html.Split marker |> Array.skip 1 do
        let png = Convert.FromBase64String(piece.Substring(0, piece.IndexOf '"'))
        Expect.sequenceEqual png[0..3] [| 0x89uy; byte 'P'; byte 'N'; byte 'G' |] "PNG"

    for foreign in [ "http:"; "https:"; "<script"; "<link"; "url(" ] do
        Expect.isFalse (html.Contains foreign) $"no {foreign}"

    Expect.stringEnds (html.TrimEnd()) "</html>" "it is whole"

    for part in "prefers-color-scheme" :: "width=device-width" :: parts do
        Expect.stringContains html part "the page"

let private path =
    test "train, evaluate at another resolution, predict on another grid" {
        inFolder (fun folder ->
            burgers folder "train.h5" "20" "0"
            burgers folder "other.npz" "4" "1"

            let trained = operator folder ([ "train"; "train.h5"; "--split"; "80%"; "--strides"; "2,1" ] @ small)

            expect 0 trained

            for part in [ "fno"; "u0 (32) to u (32)"; "parameters"; "3 epochs"; "4 test samples"; "H1 worst" ] do
                Expect.stringContains trained.Output part "what is printed"

            let out = Path.Combine(folder, "out", "train")

            Expect.equal
                (files out)
                [|
                    "curve.csv"
                    "curve.png"
                    "metrics.csv"
                    "model.safetensors"
                    "report.html"
                    "sample-best.png"
                    "sample-median.png"
                    "sample-worst.png"
                    "spectrum.png"
                |]
                "files"

            expectPage (Path.Combine(out, "report.html")) 5 [ "train: fno"; "Errors of the test samples"; "viscosity" ]

            let metrics = lines (Path.Combine(out, "metrics.csv"))
            Expect.equal metrics[0] "sample,relative_l2,relative_h1" "header"
            Expect.hasLength metrics 5 "four samples"
            Expect.stringStarts metrics[1] "16," "the first test sample"
            let curve = lines (Path.Combine(out, "curve.csv"))
            Expect.hasLength curve 4 "three epochs"

            // The numbers are the library's.
            use _ = torch.NewDisposeScope()
            use model = OperatorFile.load (Path.Combine(out, "model.safetensors"))
            use data = OperatorDataset.Load(Path.Combine(folder, "train.h5"))
            use test = data.Range(16, 4).To torch.float32
            let errors = OperatorTraining.errors FieldNorm.L2 model test 20
            Expect.floatClose Accuracy.medium (float (metrics[1].Split(',')[1])) errors[0] "sample 16"

            let evaluated =
                operator folder [ "evaluate"; "out/train/model.safetensors"; "other.npz"; "--stride"; "2" ]

            expect 0 evaluated
            Expect.stringContains evaluated.Output "u0 (16) to u (16)" "every second point"
            let folder' = Path.Combine(folder, "out", "other-evaluation")
            expectPage (Path.Combine(folder', "report.html")) 4 [ "other: fno" ]
            Expect.hasLength (lines (Path.Combine(folder', "metrics.csv"))) 5 "four samples"

            let predicted =
                operator folder [
                    yield! [ "predict"; "out/train/model.safetensors"; "other.npz" ]
                    yield! [ "--grid"; "48"; "--out"; "images.h5" ]
                ]

            expect 0 predicted
            use images = OperatorDataset.Load(Path.Combine(folder, "images.h5"))
            Expect.equal (snd images.Output).Values.shape [| 4L; 1L; 48L |] "images"
            use given = OperatorDataset.Load(Path.Combine(folder, "other.npz"))
            use given = given.To torch.float32
            let target = Discretisation.Uniform(model.Domain, [| 48 |])
            let direct = OperatorTraining.predictAt model given 20 target
            let gap = direct.Values.sub((snd images.Output).Values).abs().max().ToDouble()
            Expect.isLessThan gap 1e-5 "as the library"

            // Arrays whose output is not known.
            Npz.Write(
                Path.Combine(folder, "mine.npz"),
                [ NamedArray.FromDoubles("start", [| 4L; 32L |], Tensors.toArray (given.Input "u0").Values) ]
            )

            let predict more = operator folder ([ "predict"; "out/train/model.safetensors"; "mine.npz" ] @ more)
            expect 0 (predict [ "--input"; "start"; "--grid"; "48"; "--threads"; "1"; "--out"; "mine.h5"; "--quiet" ])
            use mine = OperatorDataset.Load(Path.Combine(folder, "mine.h5"))

            let gap =
                mine.To(torch.float32) |> fun m -> direct.Values.sub((snd m.Output).Values).abs().max().ToDouble()

            Expect.isLessThan gap 1e-5 "from arrays"
            predict [ "--parameters"; "nu"; "--out"; "more.h5" ] |> expect 2
            let missing = predict [ "--input"; "end"; "--out"; "more.h5" ]
            expect 1 missing
            Expect.stringContains missing.Error "'end'" "the array")
    }

let private extras =
    test "arrays with a parameter and a mask: converted, learned from, predicted for" {
        inFolder (fun folder ->
            let n, samples = 16, 8
            let values f = Array.init (samples * n) (fun i -> f (i / n) (float (i % n) / float n))

            Npz.Write(
                Path.Combine(folder, "mine.npz"),
                [
                    NamedArray.FromDoubles("f", [| 8L; 16L |], values (fun s x -> sin (6.0 * x + float s)))
                    NamedArray.FromDoubles("u", [| 8L; 16L |], values (fun s x -> float s * sin (6.0 * x + float s)))
                    NamedArray.FromDoubles("c", [| 8L |], Array.init samples float)
                    NamedArray.FromDoubles("where", [| 16L |], Array.init n (fun j -> if j < 12 then 1.0 else 0.0))
                ]
            )

            let extra = [ "--input"; "f"; "--parameters"; "c"; "--mask"; "where" ]

            expect
                0
                (run
                    folder
                    ([ "pde"; "convert"; "mine.npz"; "--output"; "u"; "--dimension"; "1"; "--out"; "data.h5" ] @ extra))

            use data = OperatorDataset.Load(Path.Combine(folder, "data.h5"))
            Expect.isTrue (data.HasMask && data.ParameterNames = [| "c" |]) "both are there"
            Expect.stringContains (run folder [ "pde"; "info"; "data.h5" ]).Output "mask" "info"
            // Data of our own are written anew.
            expect 0 (run folder [ "pde"; "convert"; "data.h5"; "--out"; "again.npz" ])
            use again = OperatorDataset.Load(Path.Combine(folder, "again.npz"))
            Expect.equal again.Count samples "the same samples"
            expect 0 (operator folder ([ "train"; "data.h5"; "--quiet"; "--no-plot" ] @ small))
            let model = "out/data/model.safetensors"
            expect 0 (operator folder ([ "predict"; model; "mine.npz"; "--out"; "images.npz"; "--quiet" ] @ extra))
            expect 0 (operator folder [ "predict"; model; "data.h5"; "--out"; "known.npz"; "--quiet" ])
            let images name = (snd (OperatorDataset.Load(Path.Combine(folder, name))).Output).Values |> Tensors.toArray
            Expect.sequenceEqual (images "images.npz") (images "known.npz") "the same images"

            // Other data are seen not to fit before anything is trained.
            burgers folder "test.h5" "2" "0"
            let unlike = operator folder ([ "train"; "data.h5"; "--test"; "test.h5"; "--out"; "other" ] @ small)
            expect 2 unlike
            Expect.isFalse (Directory.Exists(Path.Combine(folder, "other"))) "no folder")
    }

let private twoAxes =
    test "Darcy flow on two axes: losses, balance, and another architecture" {
        inFolder (fun folder ->
            generate folder [ "darcy"; "--n"; "12"; "--grid"; "13"; "--out"; "darcy.h5" ]

            let trained =
                operator folder [
                    yield! [ "train"; "darcy.h5"; "--split"; "9"; "--model"; "tfno"; "--validation"; "0%" ]
                    yield! [ "--loss"; "l2,h1:0.5,darcy:0.01,boundary:0.1"; "--balance"; "relobralo"; "--out"; "here" ]
                    yield! small
                ]

            expect 0 trained
            Expect.stringContains trained.Output "13 x 13" "points"
            let out = Path.Combine(folder, "here")

            expectPage (Path.Combine(out, "report.html")) 5 [
                "l2, h1:0.5, darcy:0.01, boundary:0.1"
                "ReLoBRaLo"
                "none: the last parameters are kept"
            ]

            Expect.hasLength (lines (Path.Combine(out, "metrics.csv"))) 4 "three samples")
    }

let private motions =
    test "motions on three axes: one step learned, and frames drawn" {
        inFolder (fun folder ->
            generate folder [
                yield! [ "wave"; "--n"; "5"; "--dimension"; "3"; "--grid"; "6"; "--times"; "0.1,0.2,0.3" ]
                yield! [ "--out"; "wave.npz" ]
            ]

            let arguments = [
                yield! [ "train"; "wave.npz"; "--split"; "80%"; "--modes"; "2"; "--width"; "4"; "--layers"; "1" ]
                yield! [ "--epochs"; "2"; "--validation"; "0%" ]
            ]

            expect 0 (operator folder arguments)
            let page = Path.Combine(folder, "out", "wave", "report.html")
            // Three samples, frames, spectrum, curve.
            expectPage page 6 [ "0.1, 0.2, 0.3" ]

            // Two components out, one in: no step of a motion.
            operator folder (arguments @ [ "--history"; "1"; "--out"; "steps" ]) |> expect 2)
    }

let private resuming =
    test "a training that was interrupted and resumed writes the same model, byte for byte" {
        if OperatingSystem.IsWindows() then
            skiptest "needs kill"

        inFolder (fun folder ->
            burgers folder "data.h5" "20" "0"

            let train out extra =
                [ "train"; "data.h5"; "--epochs"; "200"; "--out"; out; "--no-plot" ]
                @ [ "--modes"; "4"; "--width"; "4"; "--layers"; "1"; "--batch"; "10" ]
                @ extra

            let running = start folder ("operator" :: train "parts" [])
            // The first line of progress: iterations are being made.
            Expect.isNotNull (running.StandardError.ReadLine()) "progress"
            use kill = Diagnostics.Process.Start("kill", [ "-INT"; string running.Id ])
            kill.WaitForExit()
            let outcome = finish running
            expect 130 outcome
            Expect.stringContains outcome.Error "--resume" "how to go on"
            Expect.equal (files (Path.Combine(folder, "parts"))) [| "training.safetensors" |] "the state of training"
            expect 0 (operator folder (train "parts" [ "--resume"; "--quiet" ]))
            expect 0 (operator folder (train "whole" [ "--quiet" ]))

            Expect.equal
                (bytes folder "parts/model.safetensors")
                (bytes folder "whole/model.safetensors")
                "the same bytes"

            Expect.equal (bytes folder "parts/curve.csv") (bytes folder "whole/curve.csv") "the same curve"
            Expect.equal (bytes folder "parts/metrics.csv") (bytes folder "whole/metrics.csv") "the same errors"
            expectPage (Path.Combine(folder, "whole", "report.html")) 0 [ "There are no pictures" ])
    }

let private refusals =
    test "what cannot be is said in one line, and nothing is written" {
        inFolder (fun folder ->
            burgers folder "data.h5" "10" "0"

            let refused code parts arguments = operator folder arguments |> expectRefusal folder code parts

            refused 1 [ "none.h5"; "no such file" ] [ "train"; "none.h5" ]
            File.WriteAllText(Path.Combine(folder, "data.csv"), "x\n")
            refused 2 [ "'.csv'"; ".npz" ] [ "train"; "data.csv" ]
            let whole = bytes folder "data.h5"
            File.WriteAllBytes(Path.Combine(folder, "half.h5"), whole[.. whole.Length / 2])
            refused 1 [ "half.h5" ] [ "train"; "half.h5" ]
            refused 2 [ "Axis 0"; "20 modes"; "32 points"; "39" ] [ "train"; "data.h5"; "--modes"; "20" ]
            refused 2 [ "32"; "3" ] [ "train"; "data.h5"; "--modes"; "4"; "--strides"; "3" ]
            refused 2 [ "--loss wants"; "h1" ] [ "train"; "data.h5"; "--loss"; "l3" ]
            refused 2 [ "--split"; "10 samples"; "--test" ] [ "train"; "data.h5"; "--split"; "99%" ]
            refused 2 [ "--unroll means nothing without --history" ] [ "train"; "data.h5"; "--unroll"; "2" ]

            refused 1 [ "data.h5" ] [ "evaluate"; "data.h5"; "data.h5" ]
            refused 2 [ "x.csv" ] [ "predict"; "model.safetensors"; "data.h5"; "--out"; "x.csv" ]
            Expect.equal (files folder) [| "data.csv"; "data.h5"; "half.h5" |] "nothing is written")
    }

let tests =
    testList "operators by the command line" [ path; extras; twoAxes; motions; resuming; refusals ]
