module BatchTests

open System
open Expecto
open TorchSharp
open Continuum

let private matrix (rows: float[][]) : Tensor =
    Tensors.ofArray (Array.concat rows) [| int64 rows.Length; int64 rows[0].Length |] torch.float64 torch.CPU

let private at (x: Tensor) (index: int64[]) =
    use element = x[index |> Array.map torch.TensorIndex.Single]
    element.detach().ToDouble()

let private close tolerance (expected: float) (actual: float) name =
    if not (abs (actual - expected) <= tolerance * Math.Max(1.0, abs expected)) then
        failtest $"{name}: expected {expected:R}, got {actual:R}, difference {actual - expected:g3}"

let private largestDifference (a: Tensor) (b: Tensor) =
    use _ = torch.NewDisposeScope()
    a.sub(b).abs().max().ToDouble()

/// A pendulum with a forcing that depends on time; nonlinear, every sample on its own.
let private pendulum =
    TensorField.create Seq.empty (fun t y ->
        let angle = y.narrow (1L, 0L, 1L)
        let speed = y.narrow (1L, 1L, 1L)
        torch.cat ([| speed; angle.sin().neg().add(t.mul(2.0.ToScalar()).sin().mul(0.3.ToScalar())) |], 1L))

let private pendulumStarts = [| [| 0.1; 0.0 |]; [| 1.0; 0.5 |]; [| -2.0; 1.5 |]; [| 3.0; -0.2 |]; [| 0.5; 2.5 |] |]
let private starts = [| 0.0; 1.0; 5.0; -1.0; 2.0 |]
let private ends = [| 4.0; -3.0; 6.5; 9.0; 2.25 |]

let private options rtol t0 t1 = {
    BatchOptions.create rtol (rtol * 1e-2) t0 t1 with
        Differentiation = Differentiation.None
}

/// y' = y^2 from y0: 1 / (1 / y0 - t), singular at t = 1 / y0.
let private square = TensorField.autonomous Seq.empty (fun y -> y.mul y)

let private methods = [ Methods.Bosh3; Methods.Tsit5; Methods.Dopri5; Methods.Vern7; Methods.Dop853 ]

let private steps =
    testList "steps" [
        test "a sample in a batch is stepped as the same sample alone, and as TensorOde steps it" {
            use _ = torch.NewDisposeScope()

            for tableau in methods do
                let options = { options 1e-7 starts ends with Method = RungeKutta tableau }
                let together = (BatchOde.solve options pendulum (matrix pendulumStarts)).EnsureSuccess()

                for i in 0 .. starts.Length - 1 do
                    let mine = { options with T0 = [| starts[i] |]; T1 = [| ends[i] |] }
                    let y0 = matrix [| pendulumStarts[i] |]
                    let alone = BatchOde.solve mine pendulum y0
                    Expect.equal together.Accepted[i] alone.Accepted[0] "accepted"
                    Expect.equal together.Rejected[i] alone.Rejected[0] "rejected"
                    Expect.equal together.FinalTimes[i] ends[i] "final time"
                    let mineAlone = alone.Final[0L]
                    Expect.isLessThan (largestDifference together.Final[int64 i] mineAlone) 1e-12 "state"

                    let scalar =
                        let plain = TensorOptions.create 1e-7 1e-9

                        TensorOde.solve
                            {
                                plain with
                                    Method = RungeKutta tableau
                                    Differentiation = Differentiation.None
                            }
                            pendulum
                            starts[i]
                            ends[i]
                            y0

                    Expect.equal
                        together.Accepted[i]
                        scalar.Statistics.Accepted
                        $"{tableau.Name}: accepted by TensorOde"

                    Expect.equal
                        together.Rejected[i]
                        scalar.Statistics.Rejected
                        $"{tableau.Name}: rejected by TensorOde"

                    let difference = largestDifference together.Final[int64 i] scalar.Final[0L]
                    Expect.isLessThan difference 1e-10 "state of TensorOde"
        }

        test "fixed steps" {
            use _ = torch.NewDisposeScope()

            let options = {
                options 1e-7 starts ends with
                    Method = RungeKutta Methods.Rk4
                    Control = Fixed 0.03
            }

            let together = (BatchOde.solve options pendulum (matrix pendulumStarts)).EnsureSuccess()

            for i in 0 .. starts.Length - 1 do
                let expected = int (ceil (abs (ends[i] - starts[i]) / 0.03 - 1e-6))
                Expect.equal together.Accepted[i] expected "steps"
        }

        test "counts and states do not depend on the composition of the batch" {
            use _ = torch.NewDisposeScope()
            let first = BatchOde.solve (options 1e-8 starts ends) pendulum (matrix pendulumStarts)
            let order = [| 3; 0; 4; 2; 1; 1; 3; 0; 2; 4; 0 |]
            let pick (values: 'a[]) = order |> Array.map (fun i -> values[i])

            let second =
                BatchOde.solve (options 1e-8 (pick starts) (pick ends)) pendulum (matrix (pick pendulumStarts))

            order
            |> Array.iteri (fun place i ->
                Expect.equal second.Accepted[place] first.Accepted[i] "accepted"
                Expect.equal second.Rejected[place] first.Rejected[i] "rejected"
                Expect.equal (largestDifference second.Final[int64 place] first.Final[int64 i]) 0.0 "state")
        }

        test "a sample that blows up or turns to NaN does not disturb the others" {
            use _ = torch.NewDisposeScope()
            let t1 = [| 0.5; 3.0; -2.0; 1.0; 0.0 |]
            let zeros = Array.zeroCreate<float> 5
            let y0 = matrix [| [| 1.0 |]; [| 2.0 |]; [| 1.0 |]; [| nan |]; [| 3.0 |] |]
            let solution = BatchOde.solve (options 1e-8 zeros t1) square y0
            Expect.equal solution.Status[0] Status.Success "first"
            Expect.equal solution.Status[2] Status.Success "backward"
            Expect.equal solution.Status[4] Status.Success "empty span"
            close 1e-7 2.0 (at solution.Final [| 0L; 0L |]) "first"
            close 1e-7 (1.0 / 3.0) (at solution.Final [| 2L; 0L |]) "backward"
            close 0.0 3.0 (at solution.Final [| 4L; 0L |]) "empty span"

            Expect.isTrue
                (solution.Status[1] = Status.NonFinite || solution.Status[1] = Status.StepTooSmall)
                $"singular: {solution.Status[1]}"

            close 1e-6 0.5 solution.FinalTimes[1] "time of the singularity"
            Expect.isTrue (Double.IsFinite(at solution.Final [| 1L; 0L |])) "last good state"
            Expect.stringContains solution.Messages[1] "Sample 1" "message"
            Expect.equal solution.Status[3] Status.NonFinite "bad input"
            let alone = BatchOde.solve (options 1e-8 [| 0.0 |] [| 0.5 |]) square (matrix [| [| 1.0 |] |])
            Expect.equal solution.Accepted[0] alone.Accepted[0] "counts"
            Expect.throwsT<SolveFailedException> (fun () -> solution.EnsureSuccess() |> ignore) "EnsureSuccess"
        }

        test "too many steps, cancellation, and exceptions end samples with a status" {
            use _ = torch.NewDisposeScope()
            let y0 = matrix pendulumStarts
            let few = BatchOde.solve { options 1e-8 starts ends with MaxSteps = 20 } pendulum y0
            Expect.equal few.Status[0] Status.MaxStepsReached "long span"
            Expect.equal few.Status[4] Status.Success "short span"
            use source = new Threading.CancellationTokenSource()

            let cancelled =
                BatchOde.solve
                    {
                        options 1e-8 starts ends with
                            Cancellation = source.Token
                            Progress =
                                Action<_>(fun report ->
                                    if report.Round = 5 then
                                        source.Cancel())
                    }
                    pendulum
                    y0

            Expect.all cancelled.Status (fun s -> s = Status.Cancelled) "cancelled"
            Expect.all cancelled.Accepted (fun n -> n <= 5) "at once"
            let mutable calls = 0

            let throwing =
                TensorField.autonomous Seq.empty (fun y ->
                    calls <- calls + 1
                    if calls > 30 then raise (InvalidOperationException "as planned") else y.neg ())

            let failed = BatchOde.solve (options 1e-8 starts ends) throwing y0
            Expect.exists failed.Status (fun s -> s = Status.FieldThrew) "threw"
            Expect.stringContains failed.Messages[0] "as planned" "message"
            Expect.isNotNull failed.Exception "exception"
        }

        test "misuse is named" {
            use _ = torch.NewDisposeScope()
            let y0 = matrix pendulumStarts
            let good = options 1e-8 starts ends

            let refuses text (options: BatchOptions) =
                let error =
                    try
                        BatchOde.solve options pendulum y0 |> ignore
                        ""
                    with :? ArgumentException as error ->
                        error.Message

                Expect.stringContains error text "message"

            refuses "batch of 5" { good with T0 = [| 0.0 |] }
            refuses "sample 2" { good with T1 = [| 1.0; 2.0; nan; 1.0; 1.0 |] }
            refuses "no error estimate" { good with Method = RungeKutta Methods.Rk4 }
            refuses "Recorded or Discrete" { good with Differentiation = Differentiation.BacksolveDefault }

            refuses "MaxCheckpoints" {
                good with
                    Differentiation = Differentiation.Discrete { MaxCheckpoints = 4; GraphWindow = 1 }
            }

            refuses "outside" { good with SaveTimes = ValueSome [| [| 9.0 |]; [||]; [||]; [||]; [||] |] }
        }
    ]

/// y' = -y, exact y0 exp(t0 - t).
let private decay = TensorField.autonomous Seq.empty (fun y -> y.neg ())

let private saving =
    testList "saving" [
        test "ragged save times against the exact solution" {
            use _ = torch.NewDisposeScope()

            let times = [|
                [| 0.0; 0.1; 1.7; 4.0 |]
                [| 0.5; -2.9 |]
                [||]
                [| for i in 0..29 -> -1.0 + float i / 3.0 |]
                [| 2.25 |]
            |]

            let values = [| [| 1.0; 2.0 |]; [| 3.0; -1.0 |]; [| 1.0; 1.0 |]; [| 2.0; 5.0 |]; [| 1.0; 0.5 |] |]

            for tableau in methods do
                let options = {
                    options 1e-9 starts ends with
                        Method = RungeKutta tableau
                        SaveTimes = ValueSome times
                }

                let solution = (BatchOde.solve options decay (matrix values)).EnsureSuccess()
                Expect.equal solution.States.shape [| 30L; 5L; 2L |] "shape"

                for i in 0..4 do
                    Expect.equal solution.Times[i] times[i] "times"

                    for slot in 0..29 do
                        let found = at solution.States [| int64 slot; int64 i; 1L |]

                        if slot < times[i].Length then
                            let exact = values[i].[1] * exp (starts[i] - times[i].[slot])
                            close 2e-6 exact found $"{tableau.Name}, sample {i}, slot {slot}"
                        else
                            Expect.isTrue (Double.IsNaN found) "padding"

                close 0.0 (at solution.Final [| 4L; 0L |]) (at solution.States [| 0L; 4L; 0L |]) "end value"
        }

        test "any shape and float32" {
            use _ = torch.NewDisposeScope()
            let y0 = torch.ones ([| 3L; 2L; 4L |], dtype = torch.float32)
            let t1 = [| 1.0; 2.0; -1.0 |]
            let solution = (BatchOde.solve (options 1e-5 [| 0.0; 0.0; 0.0 |] t1) decay y0).EnsureSuccess()
            Expect.equal solution.Final.dtype torch.float32 "dtype"

            for i in 0..2 do
                close 1e-4 (exp -t1[i]) (at solution.Final [| int64 i; 1L; 3L |]) "value"

            let flat = torch.ones (3L, dtype = torch.float64)
            let solution = (BatchOde.solve (options 1e-8 [| 0.0; 0.0; 0.0 |] t1) decay flat).EnsureSuccess()
            close 1e-6 (exp -2.0) (at solution.Final [| 1L |]) "one dimension"
        }
    ]

/// Free fall under gravity 9.81: (height, speed).
let private fall =
    TensorField.autonomous Seq.empty (fun y ->
        let speed = y.narrow (1L, 1L, 1L)
        torch.cat ([| speed; torch.full_like (speed, (-9.81).ToScalar()) |], 1L))

let private bounce terminal : TensorEvent = {
    Name = "ground"
    Condition = fun _ y -> y.select (1L, 0L)
    Crossing = Falling
    Apply =
        ValueSome(fun _ y ->
            torch.cat ([| torch.zeros_like (y.narrow (1L, 0L, 1L)); y.narrow(1L, 1L, 1L).mul((-0.8).ToScalar()) |], 1L))
    Terminal = terminal
    MaxOccurrences = Int32.MaxValue
}

let private events =
    testList "events" [
        test "a sample whose event function is not a number fails alone; counts do not depend on the batch" {
            use _ = torch.NewDisposeScope()
            let limits = [| 0.05; nan; 1.2; -0.5; 2.4 |]

            let solve (order: int[]) =
                let limit = Tensors.vector (order |> Array.map (fun i -> limits[i]))

                let event: TensorEvent = {
                    Name = "limit"
                    Condition = fun _ y -> y.select(1L, 1L).sub limit
                    Crossing = Either
                    Apply = ValueSome(fun t y -> y.mul(0.9.ToScalar()).add(t.mul (0.01.ToScalar())))
                    Terminal = false
                    MaxOccurrences = 3
                }

                let pick (values: 'a[]) = order |> Array.map (fun i -> values[i])

                BatchOde.solve
                    { options 1e-8 (pick starts) (pick ends) with Events = [| event |] }
                    pendulum
                    (matrix (pick pendulumStarts))

            let all = solve [| 0; 1; 2; 3; 4 |]
            Expect.equal all.Status[1] Status.NonFinite "bad event"
            Expect.stringContains all.Messages[1] "limit" "message"
            let order = [| 4; 2; 0; 3; 3 |]
            let other = solve order

            order
            |> Array.iteri (fun place i ->
                Expect.equal all.Status[i] Status.Success "others"
                Expect.equal other.Accepted[place] all.Accepted[i] "accepted"
                let times (solution: BatchSolution) k = solution.Occurrences[k] |> Array.map _.Time
                Expect.equal (times other place) (times all i) "event times"
                Expect.equal (largestDifference other.Final[int64 place] all.Final[int64 i]) 0.0 "state")

            Expect.exists all.Occurrences (fun list -> list.Length > 0) "events happened"
        }

        test "bouncing balls from different heights" {
            use _ = torch.NewDisposeScope()
            let heights = [| 1.0; 2.0; 5.0; 0.3 |]
            let y0 = matrix (heights |> Array.map (fun height -> [| height; 0.0 |]))
            let t1 = [| 2.0; 3.0; 3.0; 0.9 |]

            for tableau in [ Methods.Tsit5; Methods.Dop853; Methods.Vern7 ] do
                let options = {
                    options 1e-9 (Array.zeroCreate 4) t1 with
                        Events = [| bounce false |]
                        Method = RungeKutta tableau
                }

                let solution = (BatchOde.solve options fall y0).EnsureSuccess()

                for i in 0..3 do
                    let first = sqrt (2.0 * heights[i] / 9.81)
                    let speed = 9.81 * first
                    // bounce n (from 0) is at first + sum_{m < n} 2 * 0.8^(m+1) * speed / g
                    let mutable time = first
                    let mutable n = 0

                    for occurrence in solution.Occurrences[i] do
                        close 1e-11 time occurrence.Time $"sample {i}, bounce {n}"
                        close 1e-9 (-speed * Math.Pow(0.8, float n)) (at occurrence.Before [| 1L |]) "speed before"
                        close 1e-9 (speed * Math.Pow(0.8, float (n + 1))) (at occurrence.After [| 1L |]) "speed after"
                        time <- time + 2.0 * Math.Pow(0.8, float (n + 1)) * speed / 9.81
                        n <- n + 1

                    Expect.isGreaterThan time t1[i] "every bounce found"
                    let since = t1[i] - (time - 2.0 * Math.Pow(0.8, float n) * speed / 9.81)
                    let height = Math.Pow(0.8, float n) * speed * since - 0.5 * 9.81 * since * since
                    close 1e-8 height (at solution.Final [| int64 i; 0L |]) "final height"

                    let alone =
                        BatchOde.solve
                            { options with T0 = [| 0.0 |]; T1 = [| t1[i] |] }
                            fall
                            (matrix [| [| heights[i]; 0.0 |] |])

                    Expect.equal solution.Accepted[i] alone.Accepted[0] "counts alone"
        }

        test "terminal events end single samples; dips, and directions" {
            use _ = torch.NewDisposeScope()
            // cos and sin on the circle; sample 0 meets its event, sample 1 cannot, sample 2 runs backward
            let circle =
                TensorField.autonomous Seq.empty (fun y ->
                    torch.cat ([| y.narrow(1L, 1L, 1L).neg(); y.narrow (1L, 0L, 1L) |], 1L))

            let levels = Tensors.vector [| 0.5; 2.0; 0.5; 0.99999 |]

            let event: TensorEvent = {
                Name = "level"
                Condition = fun _ y -> levels.sub (y.select (1L, 1L))
                Crossing = Either
                Apply = ValueNone
                Terminal = true
                MaxOccurrences = 1
            }

            let y0 = matrix (Array.create 4 [| 1.0; 0.0 |])
            let t1 = [| 3.0; 3.0; -6.0; 3.0 |]
            let options = { options 1e-9 (Array.zeroCreate 4) t1 with Events = [| event |] }
            let solution = BatchOde.solve options circle y0
            let statuses = [| Status.Terminated; Status.Success; Status.Terminated; Status.Terminated |]
            Expect.equal solution.Status statuses "status"
            close 1e-8 (asin 0.5) solution.FinalTimes[0] "rising"
            close 1e-8 (-Math.PI - asin 0.5) solution.FinalTimes[2] "backward"
            close 1e-5 (asin 0.99999) solution.FinalTimes[3] "a dip between the sub-points"
            close 1e-12 0.5 (at solution.Final [| 0L; 1L |]) "the event state is a step value"
            Expect.equal solution.FinalTimes[1] 3.0 "untouched"
            Expect.stringContains solution.Messages[0] "level" "message"
        }
    ]

/// y' = -a y + b sin(w t), with parameters.
let private forced (p: Tensor) =
    TensorField.create [ p ] (fun t y ->
        let cube = y.mul(y).mul(y).mul(p[0L])
        cube.neg().add(t.mul(p[1L]).sin().mul(p[2L])))

let private gradientOf
    differentiation
    (loss: BatchSolution -> Tensor)
    (change: BatchOptions -> BatchOptions)
    makeField
    (y0: float[][])
    p
    =
    use _ = torch.NewDisposeScope()
    let y = (matrix y0).requires_grad_ true
    let parameters = (Tensors.vector p).requires_grad_ true
    let batch = y0.Length

    let options =
        change {
            options 1e-9 (Array.init batch (fun i -> 0.1 * float i)) (Array.init batch (fun i -> 1.9 - 0.9 * float i)) with
                Differentiation = differentiation
        }

    let solution = BatchOde.solve options (makeField parameters) y
    let value = loss solution
    Autograd.backward value
    value.ToDouble(), Tensors.toArray y.grad, Tensors.toArray parameters.grad

let private checkGradient name loss change makeField (y0: float[][]) (p: float[]) tolerance =
    let value how y0 p =
        let v, _, _ = gradientOf how loss change makeField y0 p
        v

    let _, recordedY, recordedP = gradientOf Differentiation.Recorded loss change makeField y0 p
    let _, discreteY, discreteP = gradientOf Differentiation.DiscreteDefault loss change makeField y0 p

    for a, b in Array.append (Array.zip recordedY discreteY) (Array.zip recordedP discreteP) do
        Expect.isTrue (Double.IsFinite a) $"{name}: finite"
        close 1e-10 a b $"{name}: Discrete against Recorded"

    let eps = 1e-5

    for j in 0 .. p.Length - 1 do
        let moved by = p |> Array.mapi (fun i x -> if i = j then x + by else x)

        let rise =
            value Differentiation.Recorded y0 (moved eps) - value Differentiation.Recorded y0 (moved -eps)

        close tolerance (rise / (2.0 * eps)) recordedP[j] $"{name}: parameter {j}"

    let width = y0[0].Length

    for i in 0 .. y0.Length - 1 do
        for c in 0 .. width - 1 do
            let moved by =
                y0 |> Array.mapi (fun r row -> row |> Array.mapi (fun d x -> if r = i && d = c then x + by else x))

            let rise = value Differentiation.Recorded (moved eps) p - value Differentiation.Recorded (moved -eps) p
            close tolerance (rise / (2.0 * eps)) recordedY[i * width + c] $"{name}: y0[{i}, {c}]"

/// Free fall with gravity and restitution as parameters.
let private ball (p: Tensor) =
    TensorField.create [ p ] (fun _ y ->
        let speed = y.narrow (1L, 1L, 1L)
        torch.cat ([| speed; torch.zeros_like(speed).sub(p[0L]) |], 1L))

let private gradients =
    testList "gradients" [
        test "of end and saved states" {
            let weights = Tensors.vector [| 0.3; -1.0; 2.0 |]

            let loss (solution: BatchSolution) =
                solution.States.nansum().add(solution.Final.mul(solution.Final).sum(1L).mul(weights).sum())

            let save (options: BatchOptions) = {
                options with
                    SaveTimes =
                        ValueSome(
                            Array.init 3 (fun i ->
                                let t0, t1 = options.T0[i], options.T1[i]
                                [| for j in 0 .. 3 + i -> t0 + (t1 - t0) * float j / float (3 + i) |])
                        )
            }

            for tableau in [ Methods.Tsit5; Methods.Dop853 ] do
                checkGradient
                    tableau.Name
                    loss
                    (fun options -> { save options with Method = RungeKutta tableau })
                    forced
                    [| [| 1.0; 0.5 |]; [| -0.5; 1.2 |]; [| 0.3; 0.1 |] |]
                    [| 0.7; 3.0; 1.1 |]
                    2e-6
        }

        test "through events: times, states and what comes after a jump" {
            let change (options: BatchOptions) = {
                options with
                    T0 = [| 0.0; 0.0; 0.0 |]
                    T1 = [| 1.0; 1.5; 0.2 |]
                    Events = [| bounce false |]
            }

            let loss (solution: BatchSolution) =
                let mutable sum = solution.Final.mul(solution.Final).sum()

                for sample in solution.Occurrences do
                    for occurrence in sample do
                        sum <- sum.add(occurrence.TimeTensor.mul (3.0.ToScalar())).add(occurrence.After[1L])

                sum

            checkGradient "bounce" loss change ball [| [| 1.0; 0.1 |]; [| 2.0; 0.0 |]; [| 3.0; 1.0 |] |] [| 9.81 |] 1e-6

            checkGradient
                "terminal"
                loss
                (fun options -> { change options with Events = [| bounce true |] })
                ball
                [| [| 1.0; 0.1 |]; [| 2.0; 0.0 |]; [| 3.0; 1.0 |] |]
                [| 9.81 |]
                1e-6
        }

        test "a failed sample leaves no NaN in the gradients of others" {
            // sqrt of a negative number: NaN values and NaN derivatives, once a sample gets there
            let field (p: Tensor) = TensorField.create [ p ] (fun _ y -> y.sqrt().mul(p[0L]).neg())

            let singular (p: Tensor) = TensorField.create [ p ] (fun _ y -> y.mul(y).mul(p[0L]))

            for how in [ Differentiation.Recorded; Differentiation.DiscreteDefault ] do
                for makeField, y0, t1 in
                    [
                        field, [| [| 4.0 |]; [| 0.01 |]; [| 3.0 |] |], [| 1.0; 3.0; 0.5 |]
                        field, [| [| 4.0 |]; [| -1.0 |]; [| 3.0 |] |], [| 1.0; 3.0; 0.5 |]
                        field, [| [| 4.0 |]; [| nan |]; [| 3.0 |] |], [| 1.0; 3.0; 0.5 |]
                        singular, [| [| 0.5 |]; [| 2.0 |]; [| 0.1 |] |], [| 1.0; 3.0; 0.5 |]
                    ] do
                    let change (options: BatchOptions) = {
                        options with
                            T0 = [| 0.0; 0.0; 0.0 |]
                            T1 = t1
                            SaveTimes = ValueSome [| [| 0.1 |]; [| 0.001; 2.9 |]; [||] |]
                    }

                    let mutable status = [||]

                    let loss (solution: BatchSolution) =
                        status <- solution.Status
                        solution.Final[0L].sum().add(solution.Final[2L].sum())

                    let _, gy, gp = gradientOf how loss change makeField y0 [| 1.0 |]
                    Expect.notEqual status[1] Status.Success "the second fails"
                    let alone = [| y0[0]; y0[2] |]

                    let only (options: BatchOptions) = { options with T0 = [| 0.0; 0.0 |]; T1 = [| t1[0]; t1[2] |] }

                    let lossAlone (solution: BatchSolution) = solution.Final.sum ()
                    let _, gyAlone, gpAlone = gradientOf how lossAlone only makeField alone [| 1.0 |]
                    close 1e-12 gpAlone[0] gp[0] "parameter"
                    close 1e-12 gyAlone[0] gy[0] "first"
                    close 1e-12 0.0 gy[1] "failed"
                    close 1e-12 gyAlone[1] gy[2] "third"
        }

        test "through an event that only marks, under a field that depends on time" {
            let mark (level: float) terminal : TensorEvent = {
                Name = "mark"
                Condition =
                    fun t y -> y.select(1L, 0L).sub((level).ToScalar()).sub(t.select(1L, 0L).mul(0.01.ToScalar()))
                Crossing = Either
                Apply = ValueNone
                Terminal = terminal
                MaxOccurrences = Int32.MaxValue
            }

            let loss (solution: BatchSolution) =
                let mutable sum = solution.Final.mul(solution.Final).sum()

                for sample in solution.Occurrences do
                    for occurrence in sample do
                        sum <- sum.add(occurrence.TimeTensor.mul (3.0.ToScalar())).add(occurrence.Before[1L])

                sum

            for terminal in [ false; true ] do
                checkGradient
                    $"mark, terminal {terminal}"
                    loss
                    (fun options -> { options with Events = [| mark 0.6 terminal; mark 0.8 terminal |] })
                    forced
                    [| [| 1.0; 0.5 |]; [| -0.5; 1.2 |]; [| 0.3; 0.1 |] |]
                    [| 0.7; 3.0; 1.1 |]
                    2e-6
        }

        test "Recorded is twice differentiable" {
            use _ = torch.NewDisposeScope()
            let y = (matrix [| [| 0.5 |]; [| 0.25 |] |]).requires_grad_ true

            let options = {
                options 1e-10 [| 0.0; 0.0 |] [| 1.0; 2.0 |] with
                    Differentiation = Differentiation.Recorded
            }

            let solution = BatchOde.solve options square y
            let first = (Autograd.vjpGraph [| solution.Final |] [| y |] [| torch.ones_like y |])[0]
            let second = (Autograd.vjp [| first |] [| y |] [| torch.ones_like y |])[0]
            // y(t) = y / (1 - y t): first (1 - y t)^-2, second 2 t (1 - y t)^-3
            close 1e-7 (2.0 / 0.125) (at second [| 0L; 0L |]) "0"
            close 1e-7 (4.0 / 0.125) (at second [| 1L; 0L |]) "1"
        }

        test "an untracked parameter is refused by Discrete" {
            use _ = torch.NewDisposeScope()
            let p = (Tensors.vector [| 1.0 |]).requires_grad_ true
            let field = TensorField.create Seq.empty (fun t y -> y.mul(p[0L]).add t)
            let y0 = (matrix [| [| 1.0 |]; [| 2.0 |] |]).requires_grad_ true

            let options = {
                options 1e-6 [| 0.0; 0.0 |] [| 1.0; 1.0 |] with
                    Differentiation = Differentiation.DiscreteDefault
            }

            Expect.throwsT<ArgumentException> (fun () -> BatchOde.solve options field y0 |> ignore) "refused"
        }
    ]

let private memory =
    testList "memory" [
        test "only results stay alive" {
            let run differentiation =
                use y0 = (matrix [| [| 1.0; 0.1 |]; [| 2.0; 0.0 |]; [| 3.0; 1.0 |] |]).requires_grad_ true
                use p = (Tensors.vector [| 9.81 |]).requires_grad_ true

                let options = {
                    options 1e-8 [| 0.0; 0.0; 0.0 |] [| 1.0; 1.5; 0.2 |] with
                        Events = [| bounce false |]
                        SaveTimes = ValueSome [| [| 0.0; 0.5 |]; [| 1.0 |]; [| 0.1; 0.2 |] |]
                        Differentiation = differentiation
                }

                let field = ball p
                let before = Tensors.live ()
                let solution = BatchOde.solve options field y0
                let held = Tensors.live () - before
                let occurrences = solution.Occurrences |> Array.sumBy Array.length
                Expect.equal held (2L + 3L * int64 occurrences) $"{differentiation}: results"

                if differentiation <> Differentiation.None then
                    let gradients = Autograd.vjp [| solution.Final |] [| y0; p |] [| torch.ones_like y0 |]

                    for gradient in gradients do
                        gradient.Dispose()

                (solution :> IDisposable).Dispose()

            for how in [ Differentiation.None; Differentiation.Recorded; Differentiation.DiscreteDefault ] do
                run how
                let before = Tensors.live ()
                use _ = torch.NewDisposeScope()
                run how
                run how
                Expect.isLessThanOrEqual (Tensors.live () - before) 2L $"{how}: two cotangents of this test"
        }
    ]

let tests = testList "batches" [ steps; saving; events; gradients; memory ]
