/// Brownian motion: the random function, the laws, and what the objects do with bad input and memory.
module Continuum.Tests.BrownianTests

#nowarn "3535" "3536"

open System
open System.Runtime.Intrinsics
open Claims
open Expecto
open TorchSharp
open Continuum
open Continuum.Properties

let private spec level cells = {
    BrownianSpec.create -1.0 2.0 2 11UL with
        Level = level
        Cells = cells
        Resolution = 20
        LeafDepth = ValueSome 3
}

let private positive = array2D [ [ 2.0; 0.3; 0.1 ]; [ 0.3; 1.0; -0.4 ]; [ 0.1; -0.4; 0.7 ] ]

let private levels = Enum.GetValues<LevyLevel>()

let private random =
    testList "random function" [
        test "Philox4x32-10 gives the published answers" {
            // Random123, kat_vectors.
            let answers = [|
                0UL, (0u, 0u, 0u, 0u), (0xe169c58d6627e8d5UL, 0x9b00dbd8bc57ac4cUL)
                UInt64.MaxValue,
                (0xffffffffu, 0xffffffffu, 0xffffffffu, 0xffffffffu),
                (0x41c83b0e408f276dUL, 0x6d5451fda20bc7c6UL)
                0x299f31d0a4093822UL,
                (0x243f6a88u, 0x85a308d3u, 0x13198a2eu, 0x03707344u),
                (0x94fdccebd16cfe09UL, 0x24126ea15001e420UL)
            |]

            for key, (c0, c1, c2, c3), (low, high) in answers do
                let struct (x, y) = Philox.bits key c0 c1 c2 c3
                Expect.equal (x, y) (low, high) $"key %x{key}"
                let word (c: uint32) = Vector512.Create(uint64 c)
                let struct (x, y) = Philox.lanes key (word c0) (word c1) (word c2) (word c3)

                for lane in 0..7 do
                    Expect.equal (x.GetElement lane, y.GetElement lane) (low, high) $"key %x{key}, lane {lane}"
        }

        test "uniforms are odd multiples of 2^-53 inside of (0, 1)" {
            Expect.equal (NormalQuantile.uniform 0UL) (Math.ScaleB(1.0, -53)) "smallest"
            Expect.equal (NormalQuantile.uniform UInt64.MaxValue) (1.0 - Math.ScaleB(1.0, -53)) "largest"
            Expect.equal (NormalQuantile.uniform 0x7FFFFFFFFFFFFFFFUL) (0.5 - Math.ScaleB(1.0, -53)) "below the middle"
        }

        test "the normal quantile is right to a few units in the last place" {
            // Python mpmath 1.3, 40 digits: sqrt(2) erfinv(2u - 1) at these doubles, the tail of 2^-53 included.
            let values = [|
                1.1102230246251565e-16, -8.2095361516013868556
                2.7755575615628914e-15, -7.8137499904235683031
                9.999778782798785e-13, -7.0344869100478352057
                1.4000023362825686e-11, -6.6567228461403621069
                9.999999717180685e-10, -5.9978070196016374264
                1.0000000000287557e-06, -4.7534243088170877657
                0.00010000000000010001, -3.7190164854554279197
                0.0010000000000000009, -3.0902323061678132778
                0.01000000000000012, -2.326347874040836602
                0.050000000000000155, -1.6448536269514712078
                0.07490000000000008, -1.4402382675279630743
                0.07510000000000006, -1.4388253927525395907
                0.09999999999999998, -1.2815515655446005935
                0.20000000000000007, -0.84162123357291396724
                0.2500000000000001, -0.67448975019608139383
                0.30000000000000016, -0.524400512708040337
                0.4, -0.25334710313579974132
                0.45000000000000007, -0.12566134685507386591
                0.4900000000000001, -0.025068908258710779654
                0.4999000000000001, -0.00025066283008772920074
            |]

            for u, z in values do
                let error = abs (NormalQuantile.quantile u - z) / abs z
                Expect.isLessThan error 7e-16 $"at {u:R}"
                Expect.equal (NormalQuantile.quantile (1.0 - u)) -(NormalQuantile.quantile u) $"symmetry at {u:R}"
        }

        test "the logarithm is that of the framework to two units in the last place" {
            let random = Random 3

            for _ in 1..20000 do
                let x = Math.Pow(random.NextDouble(), 8.0) * 0.08 + 1e-16
                let error = abs (NormalQuantile.logarithm x - Math.Log x) / abs (Math.Log x)
                Expect.isLessThan error 4.5e-16 $"at {x:R}"
        }

        test "spans, single numbers and libtorch give the same bits, at every address" {
            use _ = torch.NewDisposeScope()
            let key = 0xFEDCBA9876543210UL

            for numbers in
                [ PathNumbers.From(4294967285L, 11); PathNumbers.From(7L, 1); PathNumbers.Chosen [| 9L; 2L; 5L |] ] do
                for address in
                    [
                        NormalDraws.cells 12345678901L
                        NormalDraws.node 3 77u
                        NormalDraws.area 2147483646 4294967295u
                        NormalDraws.areaSplit 5 1u
                    ] do
                    for skip in 0..1 do
                        let count = 1001
                        let batch = numbers.Count
                        let values = Array.zeroCreate<float>(count * batch)
                        NormalDraws.fill key numbers address skip count (Span values)

                        let single =
                            Array.init (count * batch) (fun e ->
                                let g = e / batch + skip
                                let struct (c1, c2, c3) = address.Counter(g / 2)
                                let struct (low, high) = Philox.bits key numbers[e % batch] c1 c2 c3
                                NormalQuantile.quantile (NormalQuantile.uniform (if g % 2 = 0 then low else high)))

                        Expect.equal values single $"spans, {batch} paths, {address}, skip {skip}"

                        let tensor = TensorNormals.draw key (TensorNormals.paths numbers torch.CPU) address skip count

                        Expect.equal (Tensors.toArray tensor) single $"libtorch, {batch} paths, {address}, skip {skip}"
        }
    ]

let private laws =
    testList "laws" [
        for level in levels do
            for cells in [ 1; 6 ] do
                test $"{level}, {cells} cells" { allHold (BrownianLaws.all 16000 (spec level cells)) }

        for cells in [ 1; 6 ] do
            test $"the law of A, {cells} cells" { allHold (LevyAreaLaws.all 40000 (spec LevyLevel.Area cells)) }

        test "one Brownian motion" {
            for level in [ LevyLevel.Increments; LevyLevel.SpaceTime; LevyLevel.SpaceTimeTime ] do
                let spec = { BrownianSpec.create 0.0 1.0 1 3UL with Level = level; Cells = 5 }

                allHold [|
                    BrownianLaws.pieces 40000 [| 0.0; 0.2; 0.6; 0.73 |] spec
                    BrownianPathLaws.sameEverywhere [| 0.0; 0.2; 0.4; 0.8; 0.9 |] spec
                |]
        }

        test "correlated Brownian motions" {
            for level in levels do
                let spec = {
                    BrownianSpec.create 0.0 1.0 3 3UL with
                        Level = level
                        Cells = 2
                        Correlation = positive
                        LeafDepth = ValueSome 2
                }

                allHold [|
                    BrownianLaws.correlation 40000 spec
                    BrownianPathLaws.chen [| 0.0; 0.25; 0.3; 0.5; 0.9 |] spec
                    BrownianPathLaws.queryOrder [| 0.0; 0.25; 0.3; 0.5 |] spec
                    BrownianPathLaws.sameEverywhere [| 0.0; 0.25; 0.3; 0.5 |] spec
                |]
        }

        test "bridges near the ends of a piece keep the variances" {
            for level in levels do
                for fraction in [ 1e-12; 1e-5; 0.3; 1.0 - 1e-5 ] do
                    let l = 2.0 * fraction
                    let q = 2.0 - l
                    let c = BrownianBridge.at level l q

                    let close (name: string) (x: float) (y: float) =
                        Expect.isLessThan (abs (x / y - 1.0)) 1e-9 $"{name}, {level} at {fraction}: {x}, not {y}"

                    let h = 2.0
                    let withH = level <> LevyLevel.Increments
                    let varianceH = if withH then h / 12.0 else 0.0
                    let varianceK = if level = LevyLevel.SpaceTimeTime then h / 720.0 else 0.0
                    let square x = x * x
                    close "W1" (square c.WW * h + square c.WH * varianceH + square c.WK * varianceK + square c.WZ) l

                    if withH then
                        close
                            "H1"
                            (square c.HH1 * varianceH + square c.HK1 * varianceK + square c.HZ11 + square c.HZ12)
                            (l / 12.0)

                        close
                            "H2"
                            (square c.HH2 * varianceH + square c.HK2 * varianceK + square c.HZ21 + square c.HZ22)
                            (q / 12.0)

                    if level = LevyLevel.SpaceTimeTime then
                        close
                            "K1"
                            (square c.KK1 * varianceK + square c.KZ11 + square c.KZ12 + square c.KZ13)
                            (l / 720.0)

                        close
                            "K2"
                            (square c.KK2 * varianceK + square c.KZ21 + square c.KZ22 + square c.KZ23)
                            (q / 720.0)
        }

        test "the general bridge with K at the middle is the one of halves" {
            let a = BrownianBridge.halves LevyLevel.SpaceTimeTime 3.0
            let b = BrownianBridge.at LevyLevel.SpaceTimeTime 1.5 1.5

            for x, y in
                [
                    a.WW, b.WW
                    a.WH, b.WH
                    a.WK, b.WK
                    a.HH1, b.HH1
                    a.HK1, b.HK1
                    a.HK2, b.HK2
                    a.KK1, b.KK1
                    a.KK2, b.KK2
                ] do
                Expect.floatClose Accuracy.veryHigh x y "means"

            let covariance (c: Bridge) = [
                c.WZ * c.WZ
                c.WZ * c.HZ11
                c.WZ * c.HZ21
                c.HZ11 * c.HZ11 + c.HZ12 * c.HZ12
                c.HZ11 * c.HZ21 + c.HZ12 * c.HZ22
                c.HZ11 * c.KZ11 + c.HZ12 * c.KZ12
                c.HZ21 * c.KZ21 + c.HZ22 * c.KZ22
                c.HZ11 * c.KZ21 + c.HZ12 * c.KZ22
                c.KZ11 * c.KZ21 + c.KZ12 * c.KZ22 + c.KZ13 * c.KZ23
            ]

            for x, y in List.zip (covariance a) (covariance b) do
                Expect.isLessThan (abs (x - y)) 1e-14 "covariances"
        }
    ]

let private objects =
    testList "objects" [
        test "the path of a seed is pinned" {
            // So that no change of the code changes anybody's paths unnoticed.
            let path = BrownianPath({ BrownianSpec.create 0.0 1.0 2 42UL with Level = LevyLevel.SpaceTime }, 17L)
            let step = path.Step(0.1, 0.7)
            // A program of its own in Python and mpmath gives the same to all digits but the last.
            let pinned = [| -0.14749065857852736; -1.3423314761329452; -0.07556520679200407; 0.0622047394858225 |]
            Expect.equal (Array.append step.W step.H) pinned "W and H over [0.1, 0.7]"
        }

        test "libtorch's operations give the host's bits at every level" {
            for level in levels do
                for cells in [ 1; 7 ] do
                    for correlation in [ null; positive ] do
                        use _ = torch.NewDisposeScope()

                        let spec = {
                            BrownianSpec.create -1.0 2.0 3 5UL with
                                Level = level
                                Cells = cells
                                Correlation = correlation
                                Resolution = 6
                                LeafDepth = ValueSome 2
                        }

                        let layout = { Batch = [| 2L; 2L |]; Dtype = torch.float64; Device = torch.CPU }
                        use host = new TensorBrownian(spec, PathNumbers.From(4L, 4), layout, false)
                        use device = new TensorBrownian(spec, PathNumbers.From(4L, 4), layout, true)
                        (device :> IBrownian<Tensor>).Prepare [| -1.0; 2.0 |]

                        for s, t in [ 0.5, -1.0; 0.1, 2.0; 1.0, 1.0; 0.3, 0.301 ] do
                            let a = host.Step(s, t)
                            let b = device.Step(s, t)

                            for x, y in [ a.W, b.W; a.H, b.H; a.K, b.K; a.A, b.A ] do
                                Expect.equal (isNull x) (isNull y) "levels"

                                if not (isNull x) then
                                    Expect.equal y.shape x.shape "shapes"
                                    Expect.equal (Tensors.toArray y) (Tensors.toArray x) $"{level} over [{s}, {t}]"
        }

        test "shapes, dtypes, and no tensor left behind" {
            let spec = { spec LevyLevel.Area 4 with Resolution = 6 }

            for onDevice in [ false; true ] do
                let before = Tensors.live ()

                for dtype in [ torch.float32; torch.float64 ] do
                    let layout = { Batch = [| 3L; 2L |]; Dtype = dtype; Device = torch.CPU }
                    use paths = new TensorBrownian(spec, PathNumbers.From(0L, 6), layout, onDevice)
                    let held = Tensors.live ()
                    let step = paths.Step(-1.0, -0.25)
                    Expect.isNull step.K "no K"
                    Expect.equal step.W.shape [| 3L; 2L; 2L |] "W"
                    Expect.equal step.H.shape [| 3L; 2L; 2L |] "H"
                    Expect.equal step.A.shape [| 3L; 2L; 2L; 2L |] "A"
                    Expect.equal step.W.dtype dtype "dtype"

                    if not onDevice then
                        Expect.equal (Tensors.live () - held) 3L "live tensors"

                    use all = paths.Increments [| -1.0; -0.25; 0.5; 1.1 |]
                    Expect.equal all.shape [| 3L; 3L; 2L; 2L |] "increments"
                    Expect.equal (Tensors.toArray (all.select (0L, 0L))) (Tensors.toArray step.W) "first increment"

                    for x in [ step.W; step.H; step.A ] do
                        x.Dispose()

                GC.Collect()
                Expect.isLessThanOrEqual (Tensors.live () - before) 2L "the two slices of the test itself at most"
        }

        test "values, spans and lanes agree with steps and do not allocate" {
            let spec = spec LevyLevel.SpaceTime 50
            let path = BrownianPath(spec, 3L)

            for t in [ 1.7; -1.0; 0.123; 2.0; 0.5 ] do
                let value = path.Value t
                let step = path.Step(-1.0, t)

                for c in 0..1 do
                    Expect.isLessThan (abs (value[c] - step.W[c])) 1e-13 $"value at {t}"

            let w = Array.zeroCreate<float> 2
            let lanes: Lanes[] = Array.zeroCreate 2
            let eight = BrownianLanes(spec, 0L)

            let march () =
                for i in 0..48 do
                    let s = -1.0 + 0.06 * float i
                    path.Increment(s, s + 0.06, Span w)
                    path.Increment(s + 0.01, s + 0.05, Span w)
                    eight.Increment(s, s + 0.06, Span lanes)
                    eight.Cell(i, Span lanes, Span.Empty)

            march ()
            march ()
            let before = GC.GetAllocatedBytesForCurrentThread()
            march ()
            // The bridge at a time off the grid is the one small object.
            Expect.isLessThan (GC.GetAllocatedBytesForCurrentThread() - before) (49L * 2L * 400L) "bytes"

            eight.Restart 3L
            eight.Increment(-0.3, 1.1, Span lanes)
            path.Increment(-0.3, 1.1, Span w)
            Expect.equal [| lanes[0][0]; lanes[1][0] |] w "lane 0 after Restart 3"
        }

        test "times that differ by rounding are the same time" {
            let path = BrownianPath({ BrownianSpec.create 0.0 1.0 1 7UL with Cells = 10 }, 0L)
            Expect.equal (path.Step(0.0, 0.1 + 0.2)).W (path.Step(0.0, 0.3)).W "0.1 + 0.2"
            let tenth = Seq.replicate 7 0.1 |> Seq.sum
            Expect.equal (path.Step(tenth, 1.0)).W (path.Step(0.7, 1.0)).W "0.1 seven times"
        }

        test "bad input is refused with the reason" {
            let good = BrownianSpec.create 0.0 1.0 2 1UL

            let refused (text: string) (action: unit -> unit) =
                try
                    action ()
                    failtest $"accepted: {text}"
                with :? ArgumentException as error ->
                    Expect.stringContains error.Message text "message"

            let path spec () = BrownianPath spec |> ignore
            refused "Start < End" (path { good with End = 0.0 })
            refused "Start < End" (path { good with Start = nan })
            refused "at least one cell" (path { good with Cells = 0 })
            refused "at least one Brownian motion" (path { good with Dimension = 0 })
            refused "two Brownian motions" (path { good with Dimension = 1; Level = LevyLevel.Area })
            refused "lies in 0 to 31" (path { good with Resolution = 32 })
            refused "depth of leaves" (path { good with Resolution = 4; LeafDepth = ValueSome 5 })
            refused "too narrow" (path { good with Start = 1e16; End = 1e16 + 4.0 })
            refused "(2, 2); got (3, 3)" (path { good with Correlation = positive })
            refused "leading minor of order 2" (path { good with Correlation = array2D [ [ 1.0; 1.0 ]; [ 1.0; 1.0 ] ] })
            refused "symmetric" (path { good with Correlation = array2D [ [ 1.0; 0.1 ]; [ 0.2; 1.0 ] ] })
            refused "defined on [0, 1]" (fun () -> BrownianPath(good).Step(0.5, 1.5) |> ignore)
            refused "defined on [0, 1]" (fun () -> BrownianPath(good).Step(nan, 0.5) |> ignore)
            refused "Path numbers" (fun () -> BrownianPath(good, -1L) |> ignore)
            refused "Path numbers" (fun () -> BrownianLanes(good, 4294967290L) |> ignore)

            refused "float32 and float64" (fun () ->
                new TensorBrownian(good, [| 2L |], 0L, torch.int64, torch.CPU) |> ignore)

            refused "at least one path" (fun () ->
                new TensorBrownian(good, [| 2L; 0L |], 0L, torch.float64, torch.CPU) |> ignore)

            refused "do not fill" (fun () ->
                new TensorBrownian(good, [| 2L |], [| 1L |], torch.float64, torch.CPU) |> ignore)

            refused "has no H" (fun () ->
                BrownianPath(good).Fill(0.0, 1.0, Span.Empty, Span(Array.zeroCreate 2), Span.Empty, Span.Empty))

            refused "room for 3" (fun () -> BrownianPath(good).Increment(0.0, 1.0, Span(Array.zeroCreate 3)))
        }
    ]

let tests = testList "Brownian motion" [ random; laws; objects ]
