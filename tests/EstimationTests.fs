module EstimationTests

open System
open System.Threading
open Continuum
open Expecto
open MathNet.Numerics.LinearAlgebra

/// y' = f(t, y; p) with given derivatives, sensitivities by the variational equations: independent of the suite's own.
let private variational (n: int) (q: int) (f: float[] -> float[] -> float[]) fy fp = {
    new ISensitivitySimulator with
        member _.Size = n
        member _.ParameterCount = q

        member _.Simulate(t0, y0, p, times, derivatives) =
            let columns = if derivatives then n + q else 0

            let field =
                VectorField(fun _ y dydt ->
                    let state = y.Slice(0, n).ToArray()
                    let slope: float[] = f state p
                    slope.AsSpan().CopyTo dydt

                    if columns > 0 then
                        let jy: float[,] = fy state p
                        let jp: float[,] = fp state p

                        for i in 0 .. n - 1 do
                            for c in 0 .. columns - 1 do
                                let mutable s = if c >= n then jp[i, c - n] else 0.0

                                for k in 0 .. n - 1 do
                                    s <- s + jy[i, k] * y[n + k * columns + c]

                                dydt[n + i * columns + c] <- s)

            let start = Array.zeroCreate (n + n * columns)
            Array.blit y0 0 start 0 n

            if columns > 0 then
                for i in 0 .. n - 1 do
                    start[n + i * columns + i] <- 1.0

            let options = { SolveOptions.create 1e-10 1e-12 with SaveAt = Times times; MaxSteps = 20_000 }
            let solution = ArrayOde.solve Methods.Dop853 options field t0 (Array.last times) start

            let part first count (y: float[]) =
                Array.init (n * count) (fun k -> y[n + (k / count) * columns + first + k % count])

            {
                Status = solution.Status
                Message = solution.Message
                States = solution.States |> Array.map (fun y -> Array.sub y 0 n)
                ByInitial = if derivatives then solution.States |> Array.map (part 0 n) else [||]
                ByParameters = if derivatives then solution.States |> Array.map (part n q) else [||]
                Evaluations = solution.Statistics.Evaluations
            }
}

let private predatorPrey =
    variational
        2
        4
        (fun y p -> [| y[0] * (p[0] - p[1] * y[1]); y[1] * (p[3] * y[0] - p[2]) |])
        (fun y p -> array2D [ [ p[0] - p[1] * y[1]; -p[1] * y[0] ]; [ p[3] * y[1]; p[3] * y[0] - p[2] ] ])
        (fun y _ -> array2D [ [ y[0]; -y[0] * y[1]; 0.0; 0.0 ]; [ 0.0; 0.0; -y[1]; y[0] * y[1] ] ])

let private decay =
    variational 1 1 (fun y p -> [| -p[0] * y[0] |]) (fun _ p -> array2D [ [ -p[0] ] ]) (fun y _ ->
        array2D [ [ -y[0] ] ])

let private truth = [| 0.6; 0.03; 0.8; 0.025 |]

/// Standard normal numbers from a seed.
let private normals seed =
    let random = Random(seed: int)
    fun () -> MathNet.Numerics.Distributions.Normal.Sample(random, 0.0, 1.0)

let private column name component' deviation = {
    Name = name
    Component = component'
    Logarithmic = false
    Deviation = deviation
}

let private predatorData (rows: int) step noise seed =
    let draw = normals seed
    let times = Array.init rows (fun i -> step * float i)
    let exact = predatorPrey.Simulate(0.0, [| 30.0; 8.0 |], truth, times[1..], false).States
    let states = Array.append [| [| 30.0; 8.0 |] |] exact
    times, Array2D.init rows 2 (fun i j -> states[i][j] + noise * draw ())

let private predatorProblem segments (starts: float[]) noise seed : EstimationProblem =
    let times, values = predatorData 30 0.5 noise seed

    {
        Simulator = predatorPrey
        Parameters =
            Array.map2
                (fun name p -> ParameterEstimation.positive name p 1e-4 10.0)
                [| "alpha"; "beta"; "gamma"; "delta" |]
                starts
        InitialState = [|
            ParameterEstimation.parameter "prey" values[0, 0] 0.0 infinity
            ParameterEstimation.parameter "predator" values[0, 1] 0.0 infinity
        |]
        Start = 0.0
        Columns = [| column "prey" 0 nan; column "predator" 1 nan |]
        Times = times
        Values = values
        Segments = segments
        MaxIterations = 200
    }

let private run problem = ParameterEstimation.run problem null CancellationToken.None
let private values (e: Estimation) = e.Parameters |> Array.map _.Value
let private far = [| 1.5; 0.01; 0.3; 0.1 |]

let private refuses (problem: EstimationProblem) (part: string) =
    try
        run problem |> ignore
        failtest "expected ArgumentException"
    with :? ArgumentException as error ->
        Expect.stringContains error.Message part "names the entry"

let private recovery =
    testList "recovery" [
        test "noiseless data give the parameters back, from far away, for one segment and many" {
            for segments in [ 1; 5; 30 ] do
                let start = if segments = 1 then [| 0.7; 0.025; 0.7; 0.03 |] else far
                let e = run (predatorProblem segments start 0.0 1)
                Expect.equal e.Status EstimationStatus.Converged $"{segments} segments: {e.Message}"

                for estimate, p in Array.zip (values e) truth do
                    Expect.floatClose Accuracy.medium estimate p $"{segments} segments"
        }
        test "multiple shooting ends where single shooting ends" {
            let single = run (predatorProblem 1 truth 0.5 3)
            let several = run (predatorProblem 6 far 0.5 3)
            Expect.floatClose Accuracy.medium several.Objective single.Objective "objective"

            for a, b in Array.zip single.Parameters several.Parameters do
                Expect.isLessThan (abs (a.Value - b.Value)) (1e-4 * a.StandardError) a.Name
                Expect.floatClose Accuracy.low a.StandardError b.StandardError a.Name
        }
        test "missing values and an unobserved component" {
            let full = predatorProblem 5 [| 0.7; 0.025; 0.7; 0.03 |] 0.0 1

            let problem = {
                full with
                    Columns = [| column "prey" 0 nan |]
                    Values = Array2D.init 30 1 (fun i _ -> if i % 7 = 3 then nan else full.Values[i, 0])
                    InitialState = [| full.InitialState[0]; ParameterEstimation.known "predator" 8.0 |]
            }

            let e = run problem

            for estimate, p in Array.zip (values e) truth do
                Expect.floatClose Accuracy.medium estimate p e.Message
        }
    ]

let private statistics =
    testList "statistics" [
        test "linear regression: estimate and standard error of the closed form" {
            // y' = a gives y = y0 + a t: an ordinary straight line.
            let line =
                variational 1 1 (fun _ p -> [| p[0] |]) (fun _ _ -> array2D [ [ 0.0 ] ]) (fun _ _ ->
                    array2D [ [ 1.0 ] ])

            let draw = normals 7
            let times = Array.init 12 float
            let y = times |> Array.map (fun t -> 2.0 - 0.5 * t + 0.3 * draw ())

            let problem = {
                Simulator = line
                Parameters = [| ParameterEstimation.parameter "slope" 0.0 -infinity infinity |]
                InitialState = [| ParameterEstimation.parameter "intercept" 0.0 -infinity infinity |]
                Start = 0.0
                Columns = [| column "y" 0 nan |]
                Times = times
                Values = Array2D.init 12 1 (fun i _ -> y[i])
                Segments = 1
                MaxIterations = 50
            }

            let e = run problem
            let x = Matrix<float>.Build.Dense(12, 2, fun i j -> if j = 0 then 1.0 else times[i])
            let target = Vector<float>.Build.Dense y
            let inverse = (x.Transpose() * x).Inverse()
            let exact = inverse * x.Transpose() * target
            let r = target - x * exact
            let sigma = sqrt (r * r / 10.0)

            for estimate, k in [ e.InitialState[0], 0; e.Parameters[0], 1 ] do
                Expect.floatClose Accuracy.high estimate.Value exact[k] "estimate"
                Expect.floatClose Accuracy.high estimate.StandardError (sigma * sqrt inverse[k, k]) "standard error"
                // Student's t with 10 degrees of freedom
                Expect.floatClose
                    Accuracy.medium
                    (estimate.Upper95 - estimate.Value)
                    (2.228138852 * estimate.StandardError)
                    "interval"

            Expect.floatClose
                Accuracy.high
                e.Correlations[0, 1]
                (inverse[0, 1] / sqrt (inverse[0, 0] * inverse[1, 1]))
                "correlation"
        }
        test "the 95 % intervals of repeated experiments cover the truth about as often as they say" {
            let covered =
                seq {
                    for seed in 1..60 do
                        let e = run (predatorProblem 1 truth 0.7 seed)

                        for estimate, p in Array.zip e.Parameters truth do
                            if estimate.Lower95 <= p && p <= estimate.Upper95 then 1 else 0
                }
                |> Seq.sum

            // 240 draws (correlated within an experiment); 0.95 +- 4 deviations of independent experiments
            Expect.isGreaterThan covered 201 "coverage above 0.84"
        }
        test "a prior is weighed against the noise: the closed form of a normal mean" {
            // decay with p = 0: y stays; the initial value is a normal mean with a normal prior and known deviation
            let data = [| 1.1; 0.9; 1.3; 1.0 |]

            let problem deviation = {
                Simulator = decay
                Parameters = [| ParameterEstimation.known "rate" 0.0 |]
                InitialState = [|
                    {
                        ParameterEstimation.parameter "level" 0.0 -10.0 10.0 with
                            Prior = ParameterPrior.Normal(0.5, 0.1)
                    }
                |]
                Start = 0.0
                Columns = [| column "y" 0 deviation |]
                Times = [| 1.0; 2.0; 3.0; 4.0 |]
                Values = Array2D.init 4 1 (fun i _ -> data[i])
                Segments = 1
                MaxIterations = 50
            }

            let e = run (problem 0.2)
            let precision = 4.0 / 0.04 + 1.0 / 0.01
            let mean = (Array.sum data / 0.04 + 0.5 / 0.01) / precision
            Expect.floatClose Accuracy.high e.InitialState[0].Value mean "posterior mean"
            Expect.floatClose Accuracy.high e.InitialState[0].StandardError (1.0 / sqrt precision) "posterior deviation"
            // unknown noise: the fixed point of mean and residual variance
            let e = run (problem nan)
            let m = e.InitialState[0].Value
            let variance = (data |> Array.sumBy (fun y -> (y - m) * (y - m))) / 3.0
            let again = (Array.sum data / variance + 0.5 / 0.01) / (4.0 / variance + 1.0 / 0.01)
            Expect.isLessThan (abs (m - again)) 1e-4 "the estimate belongs to its own noise"
        }
        test "bounds hold, and say so; what the data do not determine is told" {
            let problem = predatorProblem 1 truth 0.3 5
            let parameters = Array.copy problem.Parameters
            parameters[0] <- ParameterEstimation.parameter "alpha" 0.5 0.1 0.55
            let e = run { problem with Parameters = parameters }
            Expect.equal e.Parameters[0].Value 0.55 "on the bound"
            Expect.isTrue e.Parameters[0].AtBound "flag"
            Expect.isTrue (Double.IsNaN e.Parameters[0].StandardError) "no standard error there"
            Expect.stringContains e.Message "'alpha'" "told"

            // only the sum of two rates acts
            let twins =
                variational
                    1
                    2
                    (fun y p -> [| -(p[0] + p[1]) * y[0] |])
                    (fun _ p -> array2D [ [ -(p[0] + p[1]) ] ])
                    (fun y _ -> array2D [ [ -y[0]; -y[0] ] ])

            let times = Array.init 10 (fun i -> 0.3 * float (i + 1))

            let e =
                run {
                    Simulator = twins
                    Parameters = [|
                        ParameterEstimation.parameter "k1" 0.2 0.0 5.0
                        ParameterEstimation.parameter "k2" 0.4 0.0 5.0
                    |]
                    InitialState = [| ParameterEstimation.known "y" 1.0 |]
                    Start = 0.0
                    Columns = [| column "y" 0 nan |]
                    Times = times
                    Values = Array2D.init 10 1 (fun i _ -> exp (-1.1 * times[i]) + 0.01 * sin (float (7 * i)))
                    Segments = 1
                    MaxIterations = 100
                }

            Expect.isFalse (e.Parameters[0].Determined || e.Parameters[1].Determined) "neither rate is determined"
            Expect.isLessThan (abs (e.Parameters[0].Value + e.Parameters[1].Value - 1.1)) 0.05 "their sum is"
            Expect.stringContains e.Message "Not determined" "told"
        }
    ]

let private refusals =
    testList "bad input" [
        test "says what is wrong, where and what to do" {
            let good = predatorProblem 1 truth 0.0 1
            let withFirst p = { good with Parameters = Array.append [| p |] good.Parameters[1..] }
            refuses (withFirst (ParameterEstimation.parameter "alpha" 1.0 2.0 1.0)) "'alpha'"
            refuses (withFirst (ParameterEstimation.parameter "alpha" 3.0 0.0 1.0)) "inside its bounds"
            refuses (withFirst (ParameterEstimation.positive "alpha" 1.0 -1.0 2.0)) "logarithm"
            refuses { good with Parameters = good.Parameters[1..] } "4 parameters and 3"
            refuses { good with Columns = good.Columns[..0] } "shape (30, 2)"
            refuses { good with Times = Array.rev good.Times } "rise strictly"
            refuses { good with Start = 1.0 } "after the first time"
            refuses { good with Columns = [| column "prey" 5 nan; column "predator" 1 nan |] } "component 5"

            refuses
                { good with Columns = [| column "prey" 0 1.0; column "predator" 1 nan |] }
                "every column, or of none"

            refuses { good with Values = Array2D.create 30 2 nan } "no observation"

            refuses
                {
                    good with
                        Parameters = truth |> Array.map (ParameterEstimation.known "p")
                        InitialState = [| ParameterEstimation.known "x" 1.0; ParameterEstimation.known "y" 1.0 |]
                }
                "fixed"
        }
        test "cancellation is heard, progress is told" {
            let mutable seen = 0
            let report = Action<EstimationReport>(fun r -> seen <- r.Iteration)
            let problem = predatorProblem 5 far 0.2 1
            ParameterEstimation.run problem report CancellationToken.None |> ignore
            Expect.isGreaterThan seen 2 "told"
            use source = new CancellationTokenSource()
            source.Cancel()

            Expect.throwsT<OperationCanceledException>
                (fun () -> ParameterEstimation.run problem null source.Token |> ignore)
                "cancelled"
        }
    ]

let tests = testList "estimation" [ recovery; statistics; refusals ]
