/// Paths from observations.
module ControlPathTests

open System
open Continuum
open Continuum.Properties
open Claims
open Expecto
open TorchSharp

let private random (seed: int64) (shape: int64[]) : Tensor =
    use generator = new torch.Generator(uint64 seed)
    torch.randn (shape, dtype = Nullable torch.float64, generator = generator)

let private schemes = [
    ControlScheme.Linear
    ControlScheme.Rectilinear
    ControlScheme.Hermite
    ControlScheme.NaturalCubic
]

let private close (expected: float[]) (found: Tensor) (text: string) =
    let values = Tensors.toArray found
    Expect.equal values.Length expected.Length $"{text}: length"

    Array.iteri2
        (fun i e v -> Expect.isLessThan (abs (e - v)) 1e-12 $"{text}: entry {i}, expected {e}, found {v}")
        expected
        values

/// One channel at these times, without time channel.
let private plain scheme = { ControlOptions.create scheme with TimeChannel = false }

let private one (times: float[]) (values: float[]) =
    SeriesBatch.ofArrays null [| times |] [| values |> Array.map (fun x -> [| x |]) |]

let private shared (times: float[]) (values: float[]) =
    SeriesBatch.ofTensors
        null
        (Tensors.vector times)
        (Tensors.ofArray values [| values.LongLength; 1L |] torch.float64 torch.CPU)
        null

let private holes (seed: int64) (shape: int64[]) : Tensor =
    (random seed shape).masked_fill((random (seed + 1L) shape).gt(0.6.ToScalar()), nan.ToScalar())

let private own (seed: int64) (series: int64) (rows: int64) : Tensor =
    (random seed [| series; rows |]).abs().add(0.1.ToScalar()).cumsum 1L

let private interpolation =
    testList "interpolation" [
        for scheme in schemes do
            testCase $"{scheme}: goes through its observations, with holes, own times and lengths"
            <| fun () ->
                use _ = torch.NewDisposeScope()
                let intense = { ControlOptions.create scheme with Intensity = IntensityChannels.Every }
                let forms = [ intense; ControlOptions.causal scheme ] |> List.filter (fun c -> c.Scheme = scheme)

                for control in forms do
                    holds (CdeLaws.hitsData control (SeriesBatch.ofTensors null null (random 1L [| 3L; 7L; 2L |]) null))

                    holds (
                        CdeLaws.hitsData
                            control
                            (SeriesBatch.ofTensors null (own 2L 3L 7L) (holes 3L [| 3L; 7L; 2L |]) [| 7; 4; 1 |])
                    )

                    let times = Tensors.vector [| -1.0; 0.0; 0.5; 3.0; 3.1; 4.0; 9.0 |]
                    let series = SeriesBatch.ofTensors null times (holes 3L [| 3L; 7L; 2L |]) [| 7; 4; 2 |]
                    holds (CdeLaws.hitsData control series)

                    if scheme <> ControlScheme.Rectilinear then
                        holds (CdeLaws.hitsData { control with Clock = ControlClock.Times } series)

            testCase $"{scheme}: derivatives on the side asked for"
            <| fun () ->
                use _ = torch.NewDisposeScope()
                let control = ControlOptions.create scheme

                holds (
                    CdeLaws.sides (
                        ControlPath.create control (SeriesBatch.ofTensors null null (random 5L [| 2L; 6L; 2L |]) null)
                    )
                )

                if scheme <> ControlScheme.Rectilinear then
                    let series = shared [| 0.0; 0.4; 1.0; 2.7; 3.0 |] [| 1.0; -2.0; 0.5; 0.3; 2.0 |]
                    holds (CdeLaws.sides (ControlPath.create { control with Clock = ControlClock.Times } series))

        for scheme in [ ControlScheme.Linear; ControlScheme.Hermite; ControlScheme.NaturalCubic ] do
            testCase $"{scheme}: dropped values of linear data change nothing"
            <| fun () ->
                use _ = torch.NewDisposeScope()
                let times = own 6L 2L 9L

                let values =
                    torch.stack ([| times.mul (2.0.ToScalar()); times.mul((-0.5).ToScalar()).add(1.0.ToScalar()) |], 2L)

                let series = SeriesBatch.ofTensors null times values null
                let keep one row channel = (one + 2 * row + channel) % 3 = 0
                holds (CdeLaws.droppedValues (ControlOptions.create scheme) keep series)

        testCase "a row of nothing changes no interpolating path"
        <| fun () ->
            use _ = torch.NewDisposeScope()

            for scheme in [ ControlScheme.Linear; ControlScheme.Hermite; ControlScheme.NaturalCubic ] do
                let control = { plain scheme with Clock = ControlClock.Times }
                let short = ControlPath.create control (shared [| 0.0; 1.0; 2.5; 4.0 |] [| 1.0; -1.0; 2.0; 0.5 |])

                let long =
                    ControlPath.create
                        control
                        (shared [| 0.0; 1.0; 1.7; 2.5; 3.0; 4.0 |] [| 1.0; -1.0; nan; 2.0; nan; 0.5 |])

                Expect.equal long.Pieces 5 "pieces"

                for i in 0..20 do
                    let t = 0.2 * float i
                    close (Tensors.toArray (short.Value t)) (long.Value t) $"{scheme} at {t}"

        testCase "Hermite with backward differences, by hand"
        <| fun () ->
            use _ = torch.NewDisposeScope()
            // x = 0, 2, 1 at 0, 1, 3: D = 2, -1/2; second piece: 2 + 2 u + 2 (D - m)/dt u^2 - (D - m)/dt^2 u^3 with dt = 2, D - m = -5/2.
            let series = shared [| 0.0; 1.0; 3.0 |] [| 0.0; 2.0; 1.0 |]
            let path = ControlPath.create { plain ControlScheme.Hermite with Clock = ControlClock.Times } series
            close [| 1.0 |] (path.Value 0.5) "the first piece is straight"
            close [| 2.0 + 2.0 - 2.5 + 0.625 |] (path.Value 2.0) "the middle of the second"
            close [| 2.0 |] (path.Derivative(1.0, Side.Left)) "left"
            close [| 2.0 |] (path.Derivative(1.0, Side.Right)) "right"
            close [| -0.5 |] (path.Derivative(3.0, Side.Left)) "the end has the last difference quotient"
            close [| -1.0 |] (path.Increment(1.0, 3.0)) "increment"
            let index = ControlPath.create (plain ControlScheme.Hermite) series
            close [| 2.0 + 2.0 - 2.5 + 0.625 |] (index.Value 1.5) "the same curve on the clock of observations"
            let slope = { plain ControlScheme.Hermite with FirstSlope = Tensors.vector [| -1.0 |] }
            close [| -1.0 |] ((ControlPath.create slope series).Derivative(0.0, Side.Right)) "the first slope"

        testCase "rectilinear, by hand: time moves, then the values do"
        <| fun () ->
            use _ = torch.NewDisposeScope()

            let control = {
                ControlOptions.create ControlScheme.Rectilinear with
                    Intensity = IntensityChannels.Every
            }

            let path = ControlPath.create control (one [| 0.0; 2.0; 3.0 |] [| 5.0; nan; 7.0 |])
            Expect.equal path.Knots [| 0.0; 0.5; 1.0; 1.5; 2.0 |] "knots"
            Expect.equal path.Observations [| 0.0; 1.0; 2.0 |] "observations"
            close [| 0.0; 1.0; 5.0; 2.0; 1.0; 5.0; 2.0; 1.0; 5.0; 3.0; 1.0; 5.0; 3.0; 2.0; 7.0 |] path.AtKnots "corners"

        testCase "the natural cubic spline is the one of a dense solve, and reproduces a spline on finer knots"
        <| fun () ->
            use _ = torch.NewDisposeScope()
            let t = [| 0.0; 1.0; 1.5; 3.0; 3.2; 5.0 |]
            let x = [| 1.0; -1.0; 0.5; 2.0; 1.5; 0.0 |]
            let n = t.Length
            let matrix = Array2D.zeroCreate n n
            let right = Array.zeroCreate<float> n
            matrix[0, 0] <- 1.0
            matrix[n - 1, n - 1] <- 1.0

            for i in 1 .. n - 2 do
                matrix[i, i - 1] <- t[i] - t[i - 1]
                matrix[i, i] <- 2.0 * (t[i + 1] - t[i - 1])
                matrix[i, i + 1] <- t[i + 1] - t[i]
                right[i] <- 6.0 * ((x[i + 1] - x[i]) / (t[i + 1] - t[i]) - (x[i] - x[i - 1]) / (t[i] - t[i - 1]))

            let a =
                Tensors.ofArray
                    (matrix |> Seq.cast<float> |> Seq.toArray)
                    [| int64 n; int64 n |]
                    torch.float64
                    torch.CPU

            let m = Tensors.toArray (torch.linalg.solve (a, Tensors.vector right))
            let control = { plain ControlScheme.NaturalCubic with Clock = ControlClock.Times }
            let path = ControlPath.create control (shared t x)

            let exact s =
                let k = min (n - 2) (Array.findIndexBack (fun v -> v <= s) t)
                let h, u, v = t[k + 1] - t[k], s - t[k], t[k + 1] - s

                m[k] * v * v * v / (6.0 * h)
                + m[k + 1] * u * u * u / (6.0 * h)
                + (x[k] / h - m[k] * h / 6.0) * v
                + (x[k + 1] / h - m[k + 1] * h / 6.0) * u

            for i in 0..25 do
                close [| exact (0.2 * float i) |] (path.Value(0.2 * float i)) $"at {0.2 * float i}"

            // Its values on more knots make the same spline.
            let fine = Array.append t [| 0.3; 2.0; 4.4 |] |> Array.sort
            let again = ControlPath.create control (shared fine (Array.map exact fine))

            for i in 0..25 do
                close [| exact (0.2 * float i) |] (again.Value(0.2 * float i)) $"again at {0.2 * float i}"

        testCase "tridiagonal systems of every size"
        <| fun () ->
            use _ = torch.NewDisposeScope()

            for n in [ 1L; 2L; 3L; 5L; 8L; 17L ] do
                let zeroAt (i: int64) (x: Tensor) =
                    x.[0L, i, 0L] <- torch.zeros ([||], dtype = torch.float64)
                    x

                let lower = zeroAt 0L (random 61L [| 1L; n; 1L |])
                let upper = zeroAt (n - 1L) (random 62L [| 1L; n; 1L |])
                let diagonal = lower.abs().add(upper.abs ()).add(1.0.ToScalar())
                let right = random 63L [| 2L; n; 3L |]
                let x = Tridiagonal.solve lower diagonal upper right

                let dense =
                    torch.diag (diagonal.reshape -1L)
                    + (if n > 1L then
                           torch.diag (lower.reshape(-1L).narrow(0L, 1L, n - 1L), -1)
                           + torch.diag (upper.reshape(-1L).narrow(0L, 0L, n - 1L), 1)
                       else
                           torch.zeros ([| 1L; 1L |], dtype = torch.float64))

                let gap = torch.matmul(dense, x).sub(right).abs().max().ToDouble()
                Expect.isLessThan gap 1e-12 $"n = {n}: residual {gap}"
    ]

let private builder =
    testList "from observations" [
        testCase "channels come as time, intensities, data"
        <| fun () ->
            use _ = torch.NewDisposeScope()
            let rows = [| [| 1.0; nan |]; [| nan; nan |]; [| 3.0; 9.0 |] |]
            let series = SeriesBatch.ofArrays null [| [| 0.5; 1.0; 4.0 |] |] [| rows |]

            let control = {
                ControlOptions.create ControlScheme.Linear with
                    Intensity = IntensityChannels.Every
            }

            let path = ControlPath.create control series
            Expect.equal path.Channels 5 "channels"
            Expect.equal path.BatchShape [| 1L |] "batch"
            // the second channel is unknown before row 2, where its first value holds from the start
            let middle = 1.0 + 2.0 * 0.5 / 3.5

            close
                [| 0.5; 1.0; 0.0; 1.0; 9.0; 1.0; 1.0; 0.0; middle; 9.0; 4.0; 2.0; 1.0; 3.0; 9.0 |]
                path.AtKnots
                "values"

            let chosen = {
                control with
                    Intensity = IntensityChannels.Chosen [| 1 |]
                    TimeChannel = false
            }

            close
                [| 0.0; 1.0; 9.0; 0.0; middle; 9.0; 1.0; 3.0; 9.0 |]
                (ControlPath.create chosen series).AtKnots
                "chosen"

            let causal = { ControlOptions.causal ControlScheme.Linear with TimeChannel = false }
            close [| 1.0; 0.0; 1.0; 0.0; 3.0; 9.0 |] (ControlPath.create causal series).AtKnots "causal"

        testCase "null rows, missing values at both ends, and channels without any"
        <| fun () ->
            use _ = torch.NewDisposeScope()
            let rows = [| null; [| 2.0; nan |]; null; [| 4.0; nan |]; null |]
            let series = SeriesBatch.ofArrays null null [| rows |]

            for scheme in [ ControlScheme.Linear; ControlScheme.Hermite; ControlScheme.NaturalCubic ] do
                let path = ControlPath.create (plain scheme) series
                close [| 2.0; 0.0; 2.0; 0.0; 3.0; 0.0; 4.0; 0.0; 4.0; 0.0 |] path.AtKnots $"{scheme}"

            refused [ "Channel 1 of series '0'"; "no observation" ] (fun () ->
                ControlPath.create { plain ControlScheme.Linear with Unobserved = UnobservedChannels.Refuse } series
                |> ignore)

            let assumed = { plain ControlScheme.Linear with Leading = LeadingValues.Assumed -1.0 }

            close
                [| -1.0; -1.0; 2.0; -1.0; 3.0; -1.0; 4.0; -1.0; 4.0; -1.0 |]
                (ControlPath.create assumed series).AtKnots
                "assumed"

        testCase "from a table in long format, rows in any order"
        <| fun () ->
            let ids = [| "b"; "a"; "b"; "a"; "b" |]
            let times = [| 2.0; 0.5; 1.0; 0.1; 4.0 |]
            let columns = [| [| 20.0; 5.0; 10.0; 1.0; nan |]; [| nan; 6.0; 11.0; 2.0; 41.0 |] |]
            use series = SeriesColumns.toBatch [| "x"; "y" |] ids times columns
            Expect.equal series.Ids [| "b"; "a" |] "series in order of appearance"
            Expect.equal series.Lengths [| 3; 2 |] "lengths"
            Expect.equal (series.TimesOf 0) [| 1.0; 2.0; 4.0 |] "times of b"

            use path =
                ControlPath.create { ControlOptions.create ControlScheme.Linear with TimeChannel = false } series

            use knots = path.AtKnots

            close
                [| 10.0; 11.0; 20.0; 21.0; 41.0 |]
                (knots.reshape(-1L).index_select(0L, torch.tensor [| 0L; 1L; 2L; 3L; 5L |]))
                "values"

            let table ids times columns () = SeriesColumns.toBatch [| "x"; "y" |] ids times columns |> ignore
            refused [ "'b'"; "the time 2"; "rows 0 and 2" ] (table ids [| 2.0; 0.5; 2.0; 0.1; 4.0 |] columns)
            refused [ "Row 3"; "'a'"; "NaN" ] (table ids [| 2.0; 0.5; 1.0; nan; 4.0 |] columns)
            refused [ "Row 1"; "names no series" ] (table [| "b"; ""; "b"; "a"; "b" |] times columns)
            refused [ "'y'"; "4 rows" ] (table ids times [| columns[0]; Array.sub columns[1] 0 4 |])

            refused
                [ "Row 2"; "'y'"; "infinite" ]
                (table ids times [| columns[0]; [| 0.0; 1.0; infinity; 3.0; 4.0 |] |])

        testCase "one observation is a constant path"
        <| fun () ->
            use _ = torch.NewDisposeScope()

            for scheme in schemes do
                let path = ControlPath.create (ControlOptions.create scheme) (one [| 3.0 |] [| 7.0 |])
                close [| 3.0; 7.0 |] path.First $"{scheme} first"
                close [| 3.0; 7.0 |] path.Last $"{scheme} last"
                close [| 0.0; 0.0 |] (path.Derivative(0.3, Side.Right)) $"{scheme} slope"
                Expect.equal path.Observations [| 0.0 |] "observations"

            let times =
                ControlPath.create
                    { plain ControlScheme.Hermite with Clock = ControlClock.Times }
                    (shared [| 3.0 |] [| 7.0 |])

            Expect.equal times.Knots [| 3.0; 4.0 |] "knots"

        testCase "gradients reach values and times"
        <| fun () ->
            use _ = torch.NewDisposeScope()

            for scheme in schemes do
                let values = (random 71L [| 2L; 4L; 1L |]).requires_grad_ true
                let times = (own 72L 2L 4L).requires_grad_ true
                let weight = random 73L [| 2L; 2L |]

                let loss (values: Tensor) (times: Tensor) =
                    use series = SeriesBatch.ofTensors null times values null
                    use path = ControlPath.create (ControlOptions.create scheme) series
                    path.Value(1.7).mul(weight).sum().add(path.Derivative(2.2, Side.Left).mul(weight).sum())

                let found =
                    Autograd.vjp [| loss values times |] [| values; times |] [|
                        torch.ones ([||], dtype = torch.float64)
                    |]

                for x, g in [ values, found[0]; times, found[1] ] do
                    for i in 0L .. x.numel () - 1L do
                        let quotient =
                            let shifted (by: float) =
                                use _ = torch.no_grad ()
                                let moved = x.detach().clone()
                                let at = moved.view(-1L).[i]
                                at.add_ (by.ToScalar()) |> ignore

                                if Object.ReferenceEquals(x, values) then
                                    (loss moved times).ToDouble()
                                else
                                    (loss values moved).ToDouble()

                            (shifted 1e-6 - shifted -1e-6) / 2e-6

                        let mine = g.reshape(-1L).[i].ToDouble()
                        Expect.isLessThan (abs (quotient - mine)) 1e-7 $"{scheme}: {mine} and {quotient}"

        testCase "a missing value has no gradient, and NaN does not spread"
        <| fun () ->
            use _ = torch.NewDisposeScope()
            let values = (holes 75L [| 2L; 5L; 2L |]).requires_grad_ true

            for scheme in schemes do
                use path = ControlPath.ofTensor (ControlOptions.create scheme) values
                let sum = path.AtKnots.pow(2.0.ToScalar()).sum()
                let g = (Autograd.vjp [| sum |] [| values |] [| torch.ones_like sum |])[0]
                Expect.isTrue (g.isfinite().all().ToBoolean()) "finite"
                Expect.equal (g.masked_select(values.detach().isnan()).abs().sum().ToDouble()) 0.0 "zero where missing"

        testCase "selecting series selects their paths"
        <| fun () ->
            use _ = torch.NewDisposeScope()
            let series = SeriesBatch.ofTensors null (own 76L 4L 5L) (holes 77L [| 4L; 5L; 2L |]) [| 5; 3; 4; 2 |]
            let control = ControlOptions.create ControlScheme.NaturalCubic
            let some = (ControlPath.create control series).Select [| 2; 0 |]
            let other = ControlPath.create control (series.Select [| 2; 0 |])
            close (Tensors.toArray (some.Value 1.3)) (other.Value 1.3) "value"
            Expect.equal (series.TimesOf 1).Length 3 "times of a series"

        testCase "float32, and times that float32 cannot tell apart"
        <| fun () ->
            use _ = torch.NewDisposeScope()
            let times = Tensors.vector [| 1.7e9; 1.7e9 + 1.0; 1.7e9 + 3.0 |]
            let values = Tensors.ofArray [| 0.0; 1.0; 2.0 |] [| 3L; 1L |] torch.float32 torch.CPU

            let path =
                ControlPath.create (plain ControlScheme.Hermite) (SeriesBatch.ofTensors null times values null)

            Expect.equal path.First.dtype torch.float32 "dtype"
            close [| 1.0 |] (path.Derivative(0.5, Side.Right)) "first slope"
            // by time the slope falls from 1 to 1/2; the clock runs over two units of time
            close [| 2.0 |] (path.Derivative(1.0, Side.Right)) "second slope"

        testCase "no tensor is left behind"
        <| fun () ->
            let values = holes 78L [| 3L; 6L; 2L |]
            let times = own 79L 3L 6L

            let once scheme =
                use series = SeriesBatch.ofTensors null times values [| 6; 4; 5 |]

                use path =
                    ControlPath.create { ControlOptions.create scheme with Intensity = IntensityChannels.Every } series

                use some = path.Select [| 1 |]
                use value = some.Value 0.4
                use slope = some.Derivative(1.0, Side.Left)
                use rise = some.Increment(0.2, 1.4)
                use all = some.AtKnots
                ()

            for scheme in schemes do
                once scheme
                let before = Tensors.live ()
                once scheme
                Expect.equal (Tensors.live ()) before $"{scheme}"
    ]

let private misuse =
    testList "misuse" [
        testCase "times, lengths and values are named by series, channel and index"
        <| fun () ->
            let values = random 81L [| 2L; 3L; 2L |]
            let ids = [| "anna"; "bert" |]
            let matrix (data: float[]) = Tensors.ofArray data [| 2L; 3L |] torch.float64 torch.CPU
            let make times lengths = SeriesBatch.ofTensors ids times values lengths |> ignore

            refused [ "'bert'"; "out of order"; "5 at index 1"; "4 at index 2" ] (fun () ->
                make (matrix [| 0.0; 1.0; 2.0; 0.0; 5.0; 4.0 |]) null)

            refused [ "'anna'"; "the same time twice"; "merge" ] (fun () ->
                make (matrix [| 0.0; 1.0; 1.0; 0.0; 5.0; 6.0 |]) null)

            refused [ "'bert'"; "NaN"; "index 1" ] (fun () -> make (matrix [| 0.0; 1.0; 2.0; 0.0; nan; 4.0 |]) null)
            make (matrix [| 0.0; 1.0; 2.0; 0.0; 5.0; 4.0 |]) [| 3; 2 |]
            refused [ "'bert'"; "-1" ] (fun () -> make null [| 3; -1 |])
            refused [ "'anna'"; "empty" ] (fun () -> make null [| 0; 2 |])
            refused [ "'bert'"; "4"; "3 rows" ] (fun () -> make null [| 3; 4 |])
            refused [ "2 series but 1 lengths" ] (fun () -> make null [| 3 |])
            refused [ "[4]"; "[2, 3, 2]" ] (fun () -> make (Tensors.vector [| 0.0; 1.0; 2.0; 3.0 |]) null)

            let infinite =
                Tensors.ofArray [| 0.0; 1.0; 2.0; 3.0; infinity; 5.0 |] [| 1L; 3L; 2L |] torch.float64 torch.CPU

            refused [ "'0'"; "channel 0"; "index 2" ] (fun () ->
                SeriesBatch.ofTensors null null infinite null |> ignore)

            refused [ "'1'"; "3 values at index 1" ] (fun () ->
                SeriesBatch.ofArrays null null [| [| [| 1.0; 2.0 |] |]; [| null; [| 1.0; 2.0; 3.0 |] |] |] |> ignore)

            refused [ "'0'"; "empty" ] (fun () -> SeriesBatch.ofArrays null null [| [||]; [| [| 1.0 |] |] |] |> ignore)

        testCase "options that contradict each other or the data"
        <| fun () ->
            let series = SeriesBatch.ofTensors null (own 82L 2L 4L) (random 83L [| 2L; 4L; 1L |]) null
            let create control = ControlPath.create control series |> ignore
            let rectilinear = ControlOptions.create ControlScheme.Rectilinear
            refused [ "TimeChannel" ] (fun () -> create { rectilinear with TimeChannel = false })

            refused [ "fill missing values forward" ] (fun () ->
                create { rectilinear with Missing = MissingValues.Interpolate })

            refused [ "count the observations" ] (fun () -> create { rectilinear with Clock = ControlClock.Times })

            refused [ "times of their own" ] (fun () ->
                create { ControlOptions.create ControlScheme.Linear with Clock = ControlClock.Times })

            refused [ "no channel 3" ] (fun () ->
                create { rectilinear with Intensity = IntensityChannels.Chosen [| 3 |] })

            refused [ "FirstSlope"; "[2]" ] (fun () ->
                create {
                    ControlOptions.create ControlScheme.Hermite with
                        FirstSlope = Tensors.vector [| 1.0; 2.0 |]
                })

            let path = ControlPath.create (ControlOptions.create ControlScheme.Linear) series

            try
                path.Value 17.0 |> ignore
                failtest "outside of the path"
            with :? ArgumentOutOfRangeException as error ->
                Expect.stringContains error.Message "from 0 to 3" "the span"

            refused [ "two knots" ] (fun () -> ControlPath.linear [| 0.0 |] (random 1L [| 1L; 1L |]) |> ignore)
            refused [ "out of order" ] (fun () -> ControlPath.linear [| 0.0; -1.0 |] (random 1L [| 2L; 1L |]) |> ignore)

            refused [ "finite" ] (fun () ->
                ControlPath.linear [| 0.0; 1.0 |] (Tensors.ofArray [| 0.0; nan |] [| 2L; 1L |] torch.float64 torch.CPU)
                |> ignore)
    ]

let all = testList "control paths" [ interpolation; builder; misuse ]
