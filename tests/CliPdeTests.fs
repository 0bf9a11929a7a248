/// `continuum pde`: data from the command line.
module CliPdeTests

open System.IO
open Claims
open CliTests
open Continuum
open Expecto
open PureHDF
open TorchSharp

let private generate folder (arguments: string list) = run folder ("pde" :: "generate" :: arguments)

let private kinds = [
    "darcy", [ "--grid"; "9"; "--fine-grid"; "17"; "--cell-means" ], [ "a"; "u" ]
    "burgers", [ "--grid"; "32"; "--times"; "0.1,0.2" ], [ "u0"; "u" ]
    "kolmogorov", [ "--grid"; "16"; "--spin-up"; "0.1"; "--times"; "0.2" ], [ "w"; "w later" ]
    "heat", [ "--grid"; "8"; "--dimension"; "3"; "--viscosity"; "0.1" ], [ "u0"; "u" ]
    "wave", [ "--grid"; "9"; "--boundary"; "neumann"; "--times"; "0.1,0.3" ], [ "u0"; "u" ]
]

let tests =
    testList "PDE data by the command line" [
        test "convert makes operator data of the arrays of others" {
            inFolder (fun folder ->
                let starts = Array.init 24 (fun i -> sin (float i))
                let named name values = NamedArray.FromDoubles(name, [| 3L; 8L |], values)
                Npz.Write(Path.Combine(folder, "mine.npz"), [ named "a" starts; named "b" (Array.map cos starts) ])
                let convert more = run folder ([ "pde"; "convert"; "mine.npz" ] @ more @ [ "--out"; "data.h5" ])
                expect 0 (convert [ "--input"; "a"; "--output"; "b"; "--dimension"; "1"; "--boundary"; "periodic" ])
                use data = OperatorDataset.Load(Path.Combine(folder, "data.h5"))
                Expect.equal data.Count 3 "samples"
                Expect.equal (Tensors.toArray (snd data.Inputs[0]).Values) starts "values"
                let missing = convert [ "--input"; "c"; "--output"; "b"; "--dimension"; "1" ]
                expect 1 missing
                Expect.stringContains missing.Error "c" "the array"
                let half = convert [ "--input"; "a" ]
                expect 2 half
                Expect.stringContains half.Error "--output" "what is missing"

                // MATLAB 7.3: the first index runs fastest, so that the axes stand in reverse order.
                let file = H5File()
                let byColumns = Array.init 24 (fun i -> starts[i % 3 * 8 + i / 3])

                for name, values in [ "a", byColumns; "b", Array.map cos byColumns ] do
                    file[name] <- H5Dataset<float[]>(values, fileDims = [| 8UL; 3UL |])

                file.Write(Path.Combine(folder, "theirs.mat"), H5WriteOptions(UserBlockSize = 512UL))

                expect
                    0
                    (run folder [
                        yield! [ "pde"; "convert"; "theirs.mat"; "--input"; "a"; "--output"; "b"; "--dimension"; "1" ]
                        yield! [ "--boundary"; "periodic"; "--out"; "theirs.npz" ]
                    ])

                use theirs = OperatorDataset.Load(Path.Combine(folder, "theirs.npz"))
                Expect.equal (Tensors.toArray (snd theirs.Inputs[0]).Values) starts "values of MATLAB")
        }

        test "random fields alone, as an array" {
            inFolder (fun folder ->
                let fields more = generate folder ([ "random-field"; "--n"; "3"; "--grid"; "12" ] @ more)
                expect 0 (fields [ "--dimension"; "1"; "--boundary"; "neumann"; "--out"; "g.npz" ])
                let g = Npz.Read(Path.Combine(folder, "g.npz")) |> Array.exactlyOne
                Expect.equal (g.Name, g.Shape) ("g", [| 3L; 12L |]) "the array"
                let state = RandomState.On(Domain.Cube(1, 1.0, Boundary.Neumann), [| 12 |])
                use direct = GaussianField.sample state.Law state.Points (Generation.Create(3, 0))
                Expect.sequenceEqual (g.ToDoubles()) (Tensors.toArray direct.Values) "as the library"
                expect 0 (fields [ "--smoothness"; "1.5"; "--correlation"; "0.2"; "--out"; "m.npy"; "--quiet" ])
                Expect.equal (Npy.Read(Path.Combine(folder, "m.npy"))).Shape [| 3L; 12L; 12L |] "Matern"
                let half = fields [ "--smoothness"; "1.5"; "--out"; "m.npy" ]
                expect 2 half
                Expect.stringContains half.Error "--correlation" "what is missing"
                let wrong = fields [ "--out"; "m.h5" ]
                expect 2 wrong
                Expect.stringContains wrong.Error ".npz or .npy" "the endings")
        }

        test "equations make files that load; info describes it" {
            inFolder (fun folder ->
                use _ = torch.NewDisposeScope()

                for kind, options, names in kinds do
                    let name = kind + (if kind = "heat" then ".npz" else ".h5")
                    let outcome = generate folder ([ kind; "--n"; "3"; "--seed"; "2"; "--out"; name ] @ options)
                    expect 0 outcome
                    Expect.equal outcome.Error "" "no progress in a pipe"
                    Expect.stringContains outcome.Output "3 samples" kind
                    use data = OperatorDataset.Load(Path.Combine(folder, name))
                    Expect.equal data.Count 3 kind
                    Expect.sequenceEqual [ fst data.Inputs[0]; fst data.Output ] names kind
                    Expect.equal data.DType torch.float64 kind

                Expect.hasLength (files folder) kinds.Length "nothing beside the files"
                let info = run folder [ "pde"; "info"; "burgers.h5" ]
                expect 0 info

                for part in [ "u0 (32)"; "u (2 x 32)"; "periodic [0, 1)"; "0.1, 0.2"; "\"seed\":2" ] do
                    Expect.stringContains info.Output part "info"

                // The same as the library, and a sample does not depend on how many are made.
                let o = { BurgersOptions.Default with Grid = 32; Times = [| 0.1; 0.2 |] }
                use direct = Burgers.generate o (Generation.Create(3, 2))
                use loaded = OperatorDataset.Load(Path.Combine(folder, "burgers.h5"))
                let gap (a: Tensor) (b: Tensor) = a.sub(b).abs().max().ToDouble()
                Expect.isLessThan (gap (snd direct.Output).Values (snd loaded.Output).Values) 1e-12 "as the library"

                let later = [
                    "darcy"
                    "--n"
                    "1"
                    "--first"
                    "2"
                    "--seed"
                    "2"
                    "--grid"
                    "9"
                    "--fine-grid"
                    "17"
                    "--cell-means"
                    "--float32"
                    "--quiet"
                ]

                let outcome = generate folder (later @ [ "--out"; "later.npz" ])
                expect 0 outcome
                Expect.equal outcome.Output "" "quiet"
                use all = OperatorDataset.Load(Path.Combine(folder, "darcy.h5"))
                use one = OperatorDataset.Load(Path.Combine(folder, "later.npz"))
                Expect.equal one.DType torch.float32 "32 bits"
                let third = (snd all.Output).Values.narrow(0L, 2L, 1L).float()
                Expect.equal (gap third (snd one.Output).Values) 0.0 "sample 2")
        }

        test "what cannot be is said in one line, and nothing is written" {
            inFolder (fun folder ->
                let refused code parts arguments = generate folder arguments |> expectRefusal folder code parts
                refused 2 [ "'euler' is no equation"; "burgers" ] [ "euler"; "--out"; "x.h5" ]
                refused 2 [ "--out" ] [ "darcy" ]
                refused 2 [ ".npz"; "x.csv" ] [ "darcy"; "--out"; "x.csv" ]
                refused 2 [ "--high means nothing to burgers" ] [ "burgers"; "--high"; "3"; "--out"; "x.h5" ]
                refused 2 [ "--boundary wants"; "'open'" ] [ "wave"; "--boundary"; "open"; "--out"; "x.h5" ]
                refused 2 [ "multiple of 9" ] [ "darcy"; "--grid"; "10"; "--fine-grid"; "12"; "--out"; "x.h5" ]
                refused 1 [ "does not exist" ] [ "darcy"; "--out"; "none/x.h5" ]

                refused 1 [ "shorten the step" ] [
                    yield! [ "burgers"; "--n"; "1"; "--grid"; "64"; "--viscosity"; "1e-5" ]
                    yield! [ "--sigma"; "2500"; "--step"; "0.5"; "--out"; "x.h5" ]
                ]

                Expect.isEmpty (files folder) "nothing is written")
        }

        test "info lists the arrays of other files, and refuses what is none" {
            inFolder (fun folder ->
                let path = Path.Combine(folder, "other.npz")
                Npz.Write(path, [ NamedArray.FromDoubles("coeff", [| 2L; 3L |], Array.init 6 float) ])
                let info = run folder [ "pde"; "info"; "other.npz" ]
                expect 0 info
                Expect.stringContains info.Output "coeff  [2, 3]" "the array"
                File.WriteAllText(Path.Combine(folder, "text.h5"), "no numbers here, none at all")
                run folder [ "pde"; "info"; "text.h5" ] |> expectRefusal folder 1 [ "text.h5"; "signature" ]
                run folder [ "pde"; "info"; "none.h5" ] |> expectRefusal folder 1 [ "no such file" ])
        }

        test "an interruption ends it with code 130 and without a file" {
            if System.OperatingSystem.IsWindows() then
                skiptest "needs kill"

            inFolder (fun folder ->
                let running = start folder [ "pde"; "generate"; "darcy"; "--n"; "100000"; "--out"; "x.h5" ]
                System.Threading.Thread.Sleep 2500
                use kill = System.Diagnostics.Process.Start("kill", [ "-INT"; string running.Id ])
                kill.WaitForExit()
                let outcome = finish running
                expect 130 outcome
                Expect.stringContains outcome.Error "was not written" "the message"
                Expect.isEmpty (files folder) "no file, not even a part")
        }
    ]
