/// Operator data: construction, parts, files of its own and files of others.
module OperatorDatasetTests

open System
open System.Collections.Generic
open System.IO
open Continuum
open Continuum.Properties
open Claims
open Expecto
open PureHDF
open TorchSharp

let private f64 = torch.float64
let private none = Unchecked.defaultof<Field>
let private gap (a: Tensor) (b: Tensor) = a.sub(b).abs().max().ToDouble()

let private damaged (parts: string list) (action: unit -> unit) = failsWith<InvalidDataException> parts action

/// Values 0, 1, 2, .. in a field.
let private counting (points: Discretisation) (batch: int) (channels: int) (start: float) =
    let shape = Array.append [| int64 batch; int64 channels |] points.Shape
    let n = shape |> Array.fold (*) 1L |> int
    new Field(points, Tensors.ofArray (Array.init n (fun i -> start + float i)) shape f64 torch.CPU)

let private square = Discretisation.Uniform(Domain.Cube(2, 1.0, Boundary.Open), [| 5; 7 |])

let private clouds =
    let cloud n = Array2D.init n 2 (fun j i -> (0.5 + float (2 * j + i)) / 12.0)

    Discretisation.Clouds(
        Domain.Torus 2,
        [| cloud 3; cloud 5; cloud 4 |],
        [| Array.create 3 0.3; Array.create 5 0.2; Array.create 4 0.1 |]
    )

/// Two inputs on unlike points, three frames of two components, parameters, a mask.
let private rich () =
    let points = Discretisation.Product [| AxisPoints.At(Axis.Open 1.0, [| 0.1; 0.2; 0.9 |]) |]
    let mask = FieldValues.ofFunction 1 f64 square (fun x -> [| if x[0] < 0.6 then 1.0 else 0.0 |])
    let parameters = Tensors.ofArray [| 1.0; 2.0; 3.0; 4.0; 5.0; 6.0 |] [| 3L; 2L |] f64 torch.CPU

    new OperatorDataset(
        [| "a", counting points 3 1 0.5; "cloud", counting clouds 3 2 0.25 |],
        ("u", counting square 3 6 0.125),
        [| "nu"; "speed" |],
        parameters,
        mask,
        [| 0.5; 1.0; 1.5 |],
        """{"equation":"a test"}"""
    )

let private same (what: string) (a: OperatorDataset) (b: OperatorDataset) =
    let fields (d: OperatorDataset) = [|
        yield! d.Inputs
        d.Output
        if d.HasMask then
            "mask", d.Mask
    |]

    Expect.sequenceEqual (fields a |> Array.map fst) (fields b |> Array.map fst) $"{what}: names"

    for (name, x), (_, y) in Array.zip (fields a) (fields b) do
        Expect.isTrue (x.Discretisation.Equals y.Discretisation) $"{what}: points of {name}: {x} and {y}"
        Expect.equal x.Values.dtype y.Values.dtype $"{what}: dtype of {name}"
        Expect.equal (gap x.Values y.Values) 0.0 $"{what}: values of {name}"

    Expect.sequenceEqual a.ParameterNames b.ParameterNames $"{what}: parameters"

    if not (isNull a.Parameters) then
        Expect.equal (gap a.Parameters b.Parameters) 0.0 $"{what}: their values"

    Expect.sequenceEqual a.Times b.Times $"{what}: times"
    Expect.equal a.Source b.Source $"{what}: source"

let private container =
    testList "PDE data: container" [
        test "samples by number, ranges, dtypes, and no tensor left behind" {
            use _ = torch.NewDisposeScope()
            let data = rich ()
            Expect.equal data.Count 3 "count"
            Expect.equal data.Mask.Batch 3L "one mask for each sample"
            let before = Tensors.live ()
            let part = data.Take [| 2; 0; 2 |]
            Expect.equal (Tensors.live ()) (before + 5L) "two inputs, output, parameters, mask"
            let u = (snd data.Output).Values
            Expect.equal (gap ((snd part.Output).Values.select(0L, 0L)) (u.select (0L, 2L))) 0.0 "first"
            Expect.equal (gap ((snd part.Output).Values.select(0L, 1L)) (u.select (0L, 0L))) 0.0 "second"
            Expect.sequenceEqual (Tensors.toArray part.Parameters) [| 5.0; 6.0; 1.0; 2.0; 5.0; 6.0 |] "parameters"
            Expect.sequenceEqual (part.Input "cloud").Discretisation.Counts [| 4; 3; 4 |] "each sample keeps its cloud"
            let c (d: Discretisation) = d.Coordinates(f64, torch.CPU)
            let own = (c clouds).select(0L, 0L).narrow(1L, 0L, 3L)

            Expect.equal
                (gap ((c (part.Input "cloud").Discretisation).select(0L, 1L).narrow(1L, 0L, 3L)) own)
                0.0
                "its points"

            same "a range" (data.Range(1, 2)) (data.Take [| 1; 2 |])
            let single = data.To torch.float32
            Expect.equal single.DType torch.float32 "float32"
            Expect.equal (gap ((snd single.Output).Values.``to`` f64) u) 0.0 "its values, exact here"
            (part :> IDisposable).Dispose()
            Expect.equal data.Count 3 "the whole is untouched"
            Expect.equal (u.sum().ToDouble()) ((u.alias ()).sum().ToDouble()) "and alive"
        }

        test "every k-th point of each layout is the same function on the coarser grid" {
            use _ = torch.NewDisposeScope()

            let cases = [
                Boundary.Periodic, PointLayout.Periodic, 12, 3, 4
                Boundary.Open, PointLayout.Nodes, 13, 3, 5
                Boundary.Dirichlet, PointLayout.Interior, 11, 3, 3
                Boundary.Neumann, PointLayout.Cells, 9, 3, 3
            ]

            for boundary, layout, n, k, left in cases do
                let points n = Discretisation.Uniform(Domain.Cube(1, 2.0, boundary), [| n |], [| layout |])
                let field n = FieldValues.ofFunction 2 f64 (points n) (fun x -> [| sin x[0]; x[0] |])
                let data = new OperatorDataset([| "a", field n |], ("u", field n), "")
                let thin = data.Stride [| k |]
                Expect.isTrue ((snd thin.Output).Discretisation.Equals(points left)) $"points, {layout}"
                Expect.isLessThan (gap (thin.Input "a").Values (field left).Values) 1e-14 $"values, {layout}"
                refuses "divisible" (fun () -> data.Stride [| 7 |] |> ignore)

            let cloudy = new OperatorDataset([| "a", counting clouds 3 1 0.0 |], ("u", counting clouds 3 1 0.0), "")
            refuses "products of points" (fun () -> cloudy.Stride [| 1; 1 |] |> ignore)
            let smaller = cloudy.Take [| 0; 2 |]
            Expect.equal (snd smaller.Output).Values.shape [| 2L; 1L; 4L |] "without the padding of the largest cloud"
        }

        test "what it refuses" {
            use _ = torch.NewDisposeScope()
            let a, u = counting square 3 1 0.0, counting square 3 6 0.0

            let make inputs output names parameters mask times () =
                new OperatorDataset(inputs, output, names, parameters, mask, times, "") |> ignore

            let plain inputs output = make inputs output [||] null none [||]
            refuses "at least one input" (plain [||] ("u", u))
            refuses "2 samples and the output 3" (plain [| "a", counting square 2 1 0.0 |] ("u", u))
            refuses "called 'u'" (plain [| "u", a |] ("u", u))
            refuses "has no name" (plain [| " ", a |] ("u", u))
            refuses "convert all" (plain [| "a", a.With(a.Values.float ()) |] ("u", u))
            let broken = a.Values.clone ()
            broken.select(0L, 1L).fill_ nan |> ignore
            refuses "first in sample 1, channel 0" (plain [| "a", a.With broken |] ("u", u))
            refuses "times; channels are" (make [| "a", a |] ("u", u) [||] null none [| 1.0; 2.0; 3.0; 4.0 |])
            refuses "Times must rise" (make [| "a", a |] ("u", u) [||] null none [| 2.0; 1.0 |])

            refuses
                "need [3, 1]"
                (make [| "a", a |] ("u", u) [| "nu" |] (torch.ones ([| 2L; 1L |], dtype = f64)) none [||])

            refuses
                "'nu' of sample 2"
                (make
                    [| "a", a |]
                    ("u", u)
                    [| "nu" |]
                    (Tensors.ofArray [| 1.0; 2.0; nan |] [| 3L; 1L |] f64 torch.CPU)
                    none
                    [||])

            refuses "one sample, or 3" (make [| "a", a |] ("u", u) [||] null (counting square 2 1 0.0) [||])
            let data = rich ()
            refuses "Sample 3 (place 1" (fun () -> data.Take [| 0; 3 |] |> ignore)
            refuses "do not all exist" (fun () -> data.Range(2, 2) |> ignore)
            refuses "the inputs are a, cloud" (fun () -> data.Input "b" |> ignore)
        }
    ]

let private files =
    testList "PDE data: files" [
        for ending in [ ".h5"; ".npz" ] do
            test $"{ending}: everything comes back to the bit, in float64 and float32" {
                inFolder (fun folder ->
                    use _ = torch.NewDisposeScope()
                    let path = Path.Combine(folder, "data" + ending)

                    for data in [ rich (); (rich ()).To torch.float32 ] do
                        data.Save path
                        let before = Tensors.live ()
                        let back = OperatorDataset.Load path
                        Expect.equal (Tensors.live ()) (before + 5L) "only the parts"
                        same ending data back

                    Expect.sequenceEqual (Directory.GetFiles folder) [| path |] "nothing beside it")
            }

            test $"{ending}: truncated and foreign files are errors that name the file" {
                inFolder (fun folder ->
                    use _ = torch.NewDisposeScope()
                    let path = Path.Combine(folder, "data" + ending)
                    let cut = Path.Combine(folder, "cut" + ending)
                    (rich ()).Save path
                    let bytes = File.ReadAllBytes path

                    for length in [ 0; 1; 8; 100; bytes.Length / 3; bytes.Length / 2; bytes.Length - 1 ] do
                        File.WriteAllBytes(cut, bytes[.. length - 1])
                        damaged [ "cut" + ending ] (fun () -> OperatorDataset.Load cut |> ignore)

                    File.WriteAllText(
                        cut,
                        "a text of another kind, long enough to hold a header of some length or other"
                    )

                    damaged [ "cut" + ending ] (fun () -> OperatorDataset.Load cut |> ignore)
                    // The right format with other contents.
                    let other = NamedArray.FromDoubles("x", [| 2L |], [| 1.0; 2.0 |])

                    let write (arrays: NamedArray[]) =
                        if ending = ".npz" then Npz.Write(cut, arrays) else Hdf5.write cut [] arrays

                    write [| other |]
                    damaged [ "no array 'description'" ] (fun () -> OperatorDataset.Load cut |> ignore)
                    // Its own format with a part taken out.
                    let all =
                        if ending = ".npz" then
                            Npz.Read path
                        else
                            ForeignData.read path (ForeignData.list path |> Array.map fst)

                    for missing in [ "output/values"; "input_1/points"; "parameters"; "mask/values" ] do
                        write (all |> Array.filter (fun a -> a.Name <> missing))

                        damaged [ "cut" + ending; $"no array '{missing}'" ] (fun () ->
                            OperatorDataset.Load cut |> ignore)

                    let short =
                        all |> Array.map (fun a -> if a.Name = "parameters" then other.WithName "parameters" else a)

                    write short
                    damaged [ "do not fit"; "need [3, 2]" ] (fun () -> OperatorDataset.Load cut |> ignore)

                    failsWith<FileNotFoundException> [ "no such file" ] (fun () ->
                        OperatorDataset.Load(Path.Combine(folder, "none" + ending)) |> ignore))
            }

        test "a failed write leaves the old file; other endings are refused" {
            inFolder (fun folder ->
                use _ = torch.NewDisposeScope()
                let data = rich ()
                refuses ".h5, .hdf5 or .npz" (fun () -> data.Save(Path.Combine(folder, "data.csv")))
                let missing = Path.Combine(folder, "none", "data.h5")
                failsWith<DirectoryNotFoundException> [ "does not exist" ] (fun () -> data.Save missing))
        }
    ]

let private write (path: string) (userBlock: uint64) (arrays: (string * int list * float[]) list) =
    let file = H5File()

    for name, shape, values in arrays do
        file[name] <- H5Dataset<float[]>(values, fileDims = [| for n in shape -> uint64 n |])

    file.Write(path, H5WriteOptions(UserBlockSize = userBlock))

let private ramp n = Array.init n float

let private coarse =
    testList "PDE data: means over cells" [
        test "keep integrals and constants, and on smooth functions are values to second order" {
            use _ = torch.NewDisposeScope()
            // Integrals in which each point stands for its cell: end corrections of open axes left aside.
            for boundary, layout, n, k in
                [
                    Boundary.Neumann, PointLayout.Nodes, 13, 3
                    Boundary.Neumann, PointLayout.Nodes, 13, 4
                    Boundary.Dirichlet, PointLayout.Nodes, 25, 2
                    Boundary.Periodic, PointLayout.Periodic, 12, 3
                    Boundary.Periodic, PointLayout.Periodic, 12, 4
                    Boundary.Neumann, PointLayout.Cells, 15, 3
                ] do
                let make n =
                    Discretisation.Product [|
                        AxisPoints.Uniform(Axis(0.0, 2.0, boundary), n, layout)
                        AxisPoints.Uniform(Axis.Neumann 1.0, 5)
                    |]

                let random = OperatorLaws.field (make n) 2 1 3 4
                let means = FieldParts.coarsen [| k; 1 |] random
                let what = $"{layout}, {k} of {n}"
                Expect.isLessThan (gap (FieldValues.integral means) (FieldValues.integral random)) 1e-12 what
                let ones = random.With(torch.ones_like random.Values)

                Expect.isLessThan
                    (gap (FieldParts.coarsen [| k; 1 |] ones).Values (FieldParts.stride [| k; 1 |] ones).Values)
                    1e-14
                    what

            let error n =
                let points = Discretisation.Uniform(Domain.Torus 1, [| n |])
                let f = FieldValues.ofFunction 1 f64 points (fun x -> [| sin (6.28318530717958648 * x[0]) |])
                gap (FieldParts.coarsen [| 4 |] f).Values (FieldParts.stride [| 4 |] f).Values

            Expect.floatClose { absolute = 0.1; relative = 0.0 } (Math.Log2(error 64 / error 128)) 2.0 "order"
        }

        test "cells: pairs make one, outputs on periodic axes by Fourier series" {
            use _ = torch.NewDisposeScope()
            let cells n = Discretisation.Product [| AxisPoints.Uniform(Axis.Periodic 1.0, n, PointLayout.Cells) |]
            let wave n = FieldValues.ofFunction 2 f64 (cells n) (fun x -> [| sin (6.28318530717958648 * x[0]) |])
            use data = new OperatorDataset([| "a", wave 16 |], ("u", wave 16), "")
            use half = data.Stride [| 2 |]
            Expect.isLessThan (gap (snd half.Output).Values (wave 8).Values) 1e-13 "values at the coarse centres"
            use means = data.Coarsen [| 2 |]
            let a, fine = (means.Input "a").Values, (wave 16).Values
            Expect.isLessThan (gap a (fine.reshape(2L, 1L, 8L, 2L).mean [| 3L |])) 1e-14 "means of pairs"
            Expect.isLessThan (gap (snd means.Output).Values (wave 8).Values) 1e-13 "outputs"
            refuses "divisible" (fun () -> data.Stride [| 3 |] |> ignore)
            let ends = Discretisation.Product [| AxisPoints.Uniform(Axis.Open 1.0, 8, PointLayout.Cells) |]
            use opened = new OperatorDataset([| "a", counting ends 1 1 0.0 |], ("u", counting ends 1 1 0.0), "")
            refuses "be odd" (fun () -> opened.Stride [| 2 |] |> ignore)
        }

        test "outputs keep their values; masks and interior points are refused" {
            use _ = torch.NewDisposeScope()
            let points = Discretisation.Uniform(Domain.Torus 1, [| 8 |])
            use data = new OperatorDataset([| "a", counting points 2 1 0.0 |], ("u", counting points 2 1 0.0), "")
            use few = data.Coarsen [| 4 |]
            Expect.sequenceEqual (Tensors.toArray (snd few.Output).Values) [| 0.0; 4.0; 8.0; 12.0 |] "output"
            // The cell of point 4 ends at the middles of points 2 and 6.
            Expect.equal ((few.Input "a").Values.[0L, 0L, 1L].ToDouble()) 4.0 "input"
            refuses "mask" (fun () -> rich().Coarsen [| 1; 1 |] |> ignore)
            let inner = Discretisation.Uniform(Domain [| Axis.Dirichlet 1.0 |], [| 7 |], [| PointLayout.Interior |])
            refuses "interior" (fun () -> FieldParts.coarsen [| 2 |] (counting inner 1 1 0.0) |> ignore)
        }
    ]

let private masks =
    test "masks are 0 or 1, somewhere 1, and parameters have names of their own" {
        use _ = torch.NewDisposeScope()
        let points = Discretisation.Uniform(Domain [| Axis.Open 1.0 |], [| 4 |])

        let make (values: float[]) names () =
            let n = List.length names
            let mask = new Field(points, Tensors.ofArray values [| 2L; 1L; 4L |] f64 torch.CPU)
            let parameters = if n = 0 then null else torch.ones ([| 2L; int64 n |], dtype = f64)

            new OperatorDataset(
                [| "a", counting points 2 1 0.0 |],
                ("u", counting points 2 1 0.0),
                List.toArray names,
                parameters,
                mask,
                [||],
                ""
            )
            |> ignore

        let ones = [| 1.0; 1.0; 0.0; 1.0; 1.0; 0.0; 0.0; 1.0 |]
        make ones [ "c" ] ()

        failsWith<ArgumentException>
            [ "255"; "point 2 of sample 1" ]
            (make [| 1.0; 1.0; 0.0; 1.0; 1.0; 0.0; 255.0; 1.0 |] [])

        refuses "sample 0 is 0 everywhere" (make [| 0.0; 0.0; 0.0; 0.0; 1.0; 0.0; 0.0; 1.0 |] [])
        refuses "2 parameters are called 'c'" (make ones [ "c"; "c" ])
        let large = new OperatorDataset([| "a", counting points 1 1 1e39 |], ("u", counting points 1 1 0.0), "")
        failsWith<ArgumentException> [ "'a'"; "double precision" ] (fun () -> large.To torch.float32 |> ignore)
        refuses "no samples" (fun () -> new Field(points, torch.zeros ([| 0L; 1L; 4L |], dtype = f64)) |> ignore)
    }

let private foreign =
    testList "PDE data: files of others" [
        test "PDEBench: files of two resolutions live on the same domain, also in single precision" {
            inFolder (fun folder ->
                use _ = torch.NewDisposeScope()

                let read n =
                    let path = Path.Combine(folder, $"{n}.h5")
                    let x = Array.init n (fun j -> float (float32 (-1.0 + 2.0 * (float j + 0.5) / float n)))

                    let wave = [|
                        for _ in 0..1 do
                            for v in x -> cos (System.Math.PI * v)
                    |]

                    write path 0UL [ "tensor", [ 1; 2; n ], wave; "x-coordinate", [ n ], x ]
                    ForeignData.pdeBench path Boundary.Periodic [||] 1

                use coarse = read 30
                use fine = read 64
                use thinned = fine.Stride [| 4 |]
                Expect.equal (snd thinned.Output).Values.shape [| 1L; 1L; 16L |] "even strides"
                let domain (d: OperatorDataset) = (snd d.Output).Domain
                Expect.equal (domain coarse) (domain fine) "domain"
                Expect.equal (domain fine).[0].Start -1.0 "start"
                Expect.equal (domain fine).[0].Length 2.0 "length"
                let carried = FieldResampling.upto (snd fine.Output).Discretisation (snd coarse.Output)
                Expect.isLessThan (gap carried.Values (snd fine.Output).Values) 1e-6 "the same function")
        }

        test "PDEBench: one tensor over times, components of their own, Darcy flow" {
            inFolder (fun folder ->
                use _ = torch.NewDisposeScope()
                let path = Path.Combine(folder, "advection.hdf5")
                let centres n = Array.init n (fun j -> (float j + 0.5) / float n)
                // Times number one more than frames.
                write path 0UL [
                    "tensor", [ 2; 4; 8 ], ramp 64
                    "x-coordinate", [ 8 ], centres 8
                    "t-coordinate", [ 5 ], ramp 5
                ]

                use data = ForeignData.pdeBench path Boundary.Periodic [||] 1
                Expect.equal (data.Input "tensor").Values.shape [| 2L; 1L; 8L |] "first frame"
                Expect.equal (snd data.Output).Values.shape [| 2L; 3L; 8L |] "the others"
                Expect.sequenceEqual data.Times [| 1.0; 2.0; 3.0 |] "their times"
                Expect.equal ((snd data.Output).Values.[1L, 0L, 0L].ToDouble()) 40.0 "sample 1, frame 1, point 0"
                let axis = (snd data.Output).Domain[0]
                Expect.floatClose Accuracy.high axis.Length 1.0 "period"
                Expect.equal axis.Start 0.0 "start"
                Expect.equal (snd data.Output).Discretisation.Axes[0].Layout PointLayout.Cells "centres"

                let path = Path.Combine(folder, "flow.h5")
                let shape, n = [ 2; 3; 4; 5 ], 120

                write path 0UL [
                    "rho", shape, ramp n
                    "v", shape, Array.map (fun x -> -x) (ramp n)
                    "x-coordinate", [ 4 ], centres 4
                    "y-coordinate", [ 5 ], centres 5
                ]

                use data = ForeignData.pdeBench path Boundary.Open [| "rho"; "v" |] 2
                Expect.sequenceEqual (data.Inputs |> Array.map fst) [| "rho"; "v" |] "two inputs"
                let u = (snd data.Output).Values
                Expect.equal u.shape [| 2L; 2L; 4L; 5L |] "one frame of two components"
                Expect.equal (u.[1L, 0L, 0L, 1L].ToDouble()) 101.0 "rho of frame 2"
                Expect.equal (u.[1L, 1L, 0L, 1L].ToDouble()) -101.0 "v of frame 2"
                Expect.equal (snd data.Output).Discretisation.Axes[1].Layout PointLayout.Cells "centres"

                let path = Path.Combine(folder, "darcy.hdf5")

                write path 0UL [
                    "nu", [ 3; 4; 5 ], ramp 60
                    "tensor", [ 3; 1; 4; 5 ], ramp 60
                    "x-coordinate", [ 4 ], centres 4
                    "y-coordinate", [ 5 ], centres 5
                ]

                use data = ForeignData.pdeBench path Boundary.Open [||] 0
                Expect.equal (data.Input "nu").Values.shape [| 3L; 1L; 4L; 5L |] "nu"
                Expect.equal (gap (data.Input "nu").Values (snd data.Output).Values) 0.0 "values"

                damaged [ "darcy.hdf5"; "'density'" ] (fun () ->
                    ForeignData.pdeBench path Boundary.Open [| "density" |] 1 |> ignore)

                write path 0UL [ "tensor", [ 1; 2; 4 ], ramp 8 ]
                damaged [ "x-coordinate" ] (fun () -> ForeignData.pdeBench path Boundary.Open [||] 1 |> ignore))
        }

        test "MATLAB 7.3: axes in MATLAB's order, behind a block of 512 bytes, channels last" {
            inFolder (fun folder ->
                use _ = torch.NewDisposeScope()
                let path = Path.Combine(folder, "data.mat")
                // a(s, x, y) = 100 s + 10 x + y in MATLAB is stored with shape (y, x, s).
                let stored = [|
                    for y in 0..3 do
                        for x in 0..2 do
                            for s in 0..1 -> float (100 * s + 10 * x + y)
                |]
                // u(s, x, y, t) = a + 1000 t is stored as (t, y, x, s).
                let frames = [|
                    for t in 0..4 do
                        for v in stored -> v + 1000.0 * float t
                |]

                write path 512UL [ "a", [ 4; 3; 2 ], stored; "u", [ 5; 4; 3; 2 ], frames ]

                Expect.sequenceEqual
                    (ForeignData.list path |> Array.sort)
                    [| "a", [| 2L; 3L; 4L |]; "u", [| 2L; 3L; 4L; 5L |] |]
                    "shapes"

                let o = {
                    ForeignOptions.Create(Domain.Cube(2, 1.0, Boundary.Open), "a", "u") with
                        ChannelsLast = true
                        Times = ramp 5
                }

                use data = ForeignData.load path o
                Expect.equal ((data.Input "a").Values.[1L, 0L, 2L, 3L].ToDouble()) 123.0 "a(1, 2, 3)"
                Expect.equal (snd data.Output).Values.shape [| 2L; 5L; 3L; 4L |] "frames come first"
                Expect.equal ((snd data.Output).Values.[1L, 4L, 2L, 3L].ToDouble()) 4123.0 "u(1, 2, 3, 4)"
                use later = ForeignData.load path { o with Inputs = [| "u" |]; InputFrames = 2 }
                Expect.equal (later.Input "u").Values.shape [| 2L; 2L; 3L; 4L |] "two frames in"
                Expect.sequenceEqual later.Times [| 2.0; 3.0; 4.0 |] "three out"

                File.WriteAllText(
                    path,
                    "MATLAB 5.0 MAT-file, Platform: GLNXA64, and so on and on and on and on and on"
                )

                damaged [ "data.mat"; "-v7.3" ] (fun () -> ForeignData.load path o |> ignore))
        }

        test "inputs without a known output: frames, a free name, parameters and a mask" {
            use _ = torch.NewDisposeScope()
            let shape = [| 2L; 3L; 6L |]
            let image = NamedArray.FromDoubles("image", shape, ramp 36)
            let c = NamedArray.FromDoubles("c", [| 2L |], [| 5.0; 7.0 |])
            let mask = NamedArray.FromDoubles("where", [| 6L |], [| 1.0; 1.0; 0.0; 0.0; 1.0; 1.0 |])

            let o = {
                ForeignOptions.Create(Domain.Torus 1, "image", "") with
                    InputFrames = 2
                    Parameters = [| "c" |]
                    Mask = "where"
            }

            use data = ForeignData.ofInputs o 4 [| image; c; mask |]
            Expect.equal (data.Input "image").Values.shape [| 2L; 2L; 6L |] "two frames"
            Expect.equal (fst data.Output) "image 2" "another name"
            Expect.equal (snd data.Output).Values.shape [| 2L; 4L; 6L |] "four channels"
            Expect.sequenceEqual (Tensors.toArray data.Parameters) [| 5.0; 7.0 |] "parameters"
            Expect.isTrue data.HasMask "mask"
        }

        test "npz, npy and arrays in memory" {
            inFolder (fun folder ->
                use _ = torch.NewDisposeScope()
                let a = NamedArray.FromSingles("coeff", [| 2L; 6L |], Array.init 12 float32)
                let u = NamedArray.FromDoubles("sol", [| 2L; 3L; 6L |], ramp 36)
                let path = Path.Combine(folder, "data.npz")
                Npz.Write(path, [ a; u ])
                let o = { ForeignOptions.Create(Domain.Torus 1, "coeff", "sol") with OutputName = "u" }
                use data = ForeignData.load path o
                Expect.equal (fst data.Output) "u" "the name given"
                use direct = OperatorDataset.OfArrays(o, [| a; u |], data.Source)
                same "the same" data direct

                use strided =
                    ForeignData.load path {
                        o with
                            Domain = Domain.Cube(1, 1.0, Boundary.Neumann)
                            Layouts = [| PointLayout.Nodes |]
                            DType = torch.float32
                    }

                Expect.equal (snd strided.Output).Discretisation.Axes[0].Layout PointLayout.Nodes "the layout given"

                damaged [ "data.npz"; "'b'"; "coeff, sol" ] (fun () ->
                    ForeignData.load path { o with Inputs = [| "b" |] } |> ignore)

                let single = Path.Combine(folder, "x.npy")
                Npy.Write(single, u)
                Expect.sequenceEqual (ForeignData.list single) [| "x", [| 2L; 3L; 6L |] |] "one array"

                damaged [ "x.npy"; "one array"; "'a', 'b'" ] (fun () ->
                    ForeignData.read single [| "a"; "b" |] |> ignore)

                let found = ForeignData.read single [| "v" |]
                Expect.equal found[0].Name "v" "under any name"

                refuses "functions on 2 axes need 3 sizes" (fun () ->
                    OperatorDataset.OfArrays({ o with Domain = Domain.Torus 2 }, [| a; u |], "") |> ignore)

                refuses "There is no array 'coeff'" (fun () -> OperatorDataset.OfArrays(o, [| u |], "") |> ignore)

                refuses "3 frames and 2 times" (fun () ->
                    OperatorDataset.OfArrays({ o with Times = [| 0.0; 1.0 |] }, [| a; u |], "") |> ignore)

                refuses "ending that is not read" (fun () -> ForeignData.list "x.csv" |> ignore))
        }
    ]

let tests = testList "PDE data of operators" [ container; files; coarse; masks; foreign ]
