/// LU on dense and banded matrices, Jacobians by differences, systems and what they refuse.
module MatrixTests

open System
open Continuum
open Expecto

/// Random entries in [-1, 1], within the band.
let private random (seed: int) n lower upper =
    let source = Random seed

    Array2D.init n n (fun i j ->
        let x = 2.0 * source.NextDouble() - 1.0
        if j - i <= upper && i - j <= lower then x else 0.0)

let private times (m: float[,]) (x: float[]) =
    Array.init x.Length (fun i -> Array.sum (Array.init x.Length (fun j -> m[i, j] * x[j])))

let private furthest (a: float[]) (b: float[]) = Array.fold2 (fun worst x y -> max worst (abs (x - y))) 0.0 a b

let private fill (shape: MatrixShape) (m: float[,]) (values: float[]) =
    for i in 0 .. shape.Size - 1 do
        for j in 0 .. shape.Size - 1 do
            if shape.Contains(i, j) then
                values[i * shape.Stride + j + shape.Offset] <- m[i, j]

let private residual (m: float[,]) (b: float[]) (x: float[]) =
    furthest (times m x) b / (1.0 + furthest x (Array.zeroCreate x.Length))

let private lu =
    testList "LU" [
        testCase "dense systems of every small size and some large ones are solved"
        <| fun () ->
            for n in [ 1..20 ] @ [ 33; 64; 100 ] do
                let m = random n n n n
                let b = Array.init n (fun i -> cos (float i))
                let lu = DenseLu n
                fill (MatrixShape.Dense n) m lu.Values
                Expect.isTrue (lu.Factorise()) $"{n} x {n} is regular"
                let x = Array.copy b
                lu.Solve x
                Expect.isLessThan (residual m b x) 1e-12 $"{n} x {n}"

        testCase "banded systems are solved, whatever the band and the exchanges of rows"
        <| fun () ->
            for n in [ 2; 3; 5; 11; 60 ] do
                for lower in [ 0; 1; 2; 5; 12 ] do
                    for upper in [ 0; 1; 3; 12 ] do
                        let shape = MatrixShape.Band(n, lower, upper)

                        if not shape.IsDense then
                            let m = random (n + 7 * lower + upper) n shape.Lower shape.Upper

                            if lower = 0 || upper = 0 then
                                for i in 0 .. n - 1 do
                                    m[i, i] <- m[i, i] + 4.0 * float (sign m[i, i])

                            let b = Array.init n (fun i -> cos (float i))
                            let lu = BandedLu(n, shape.Lower, shape.Upper)
                            // what lies outside of the matrix must not matter
                            Array.Fill(lu.Values, nan)
                            fill shape m lu.Values
                            Expect.isTrue (lu.Factorise()) $"{n}, {lower}, {upper} is regular"
                            let x = Array.copy b
                            lu.Solve x
                            Expect.isLessThan (residual m b x) 1e-11 $"{n}, {lower}, {upper}"

        testCase "singular and not finite matrices are refused"
        <| fun () ->
            for bad in [ 0.0; nan; infinity ] do
                for n in [ 1; 2; 9; 20 ] do
                    let lu = DenseLu n

                    for i in 0 .. n - 1 do
                        lu.Values[i * n + i] <- 1.0

                    lu.Values[n * n - 1] <- bad
                    Expect.isFalse (lu.Factorise()) $"dense {n} with {bad}"

                    if n > 2 then
                        for width in [ 1; 2 ] do
                            let shape = MatrixShape.Band(n, width, width)

                            if not shape.IsDense then
                                let lu = BandedLu(n, width, width)

                                fill
                                    shape
                                    (Array2D.init n n (fun i j -> if i = j then (if i = 1 then bad else 1.0) else 0.0))
                                    lu.Values

                                Expect.isFalse (lu.Factorise()) $"band {width} of {n} with {bad}"
    ]

/// y_i' = y_(i-1) y_i - 3 y_i^2 + sin(t) y_(i+1).
let private chain =
    VectorField(fun t y dydt ->
        let n = y.Length

        for i in 0 .. n - 1 do
            let left = if i > 0 then y[i - 1] else 0.0
            let right = if i < n - 1 then y[i + 1] else 0.0
            dydt[i] <- left * y[i] - 3.0 * y[i] * y[i] + sin t * right)

let private chainJacobian t (y: float[]) =
    Array2D.init y.Length y.Length (fun i j ->
        if j = i - 1 then y[i]
        elif j = i then (if i > 0 then y[i - 1] else 0.0) - 6.0 * y[i]
        elif j = i + 1 then sin t
        else 0.0)

let private jacobianOf (system: OdeSystem) t (y: float[]) =
    let linear = system.LinearSystem(Tolerance.create 1e-6 1e-9)
    let slope = Array.zeroCreate y.Length
    chain.Invoke(t, ReadOnlySpan y, Span slope)
    linear.Linearise(t, y, slope)
    let shape = linear.Shape

    let entries =
        Array2D.init y.Length y.Length (fun i j ->
            if shape.Contains(i, j) then
                linear.Jacobian[i * shape.Stride + j + shape.Offset]
            else
                0.0)

    let timeSlope = linear.TimeSlope(t, y, slope, Array.zeroCreate y.Length)
    entries, timeSlope, linear.Evaluations

let private worst (a: float[,]) (b: float[,]) =
    let mutable w = 0.0
    Array2D.iteri (fun i j x -> w <- max w (abs (x - b[i, j]))) a
    w

let private differences =
    testList "Jacobians by differences" [
        testCase "dense, band and pattern agree with the exact one; structure saves evaluations"
        <| fun () ->
            let n = 12
            let y = Array.init n (fun i -> 1.0 + 0.3 * sin (float i))
            let exact = chainJacobian 0.7 y
            let system = OdeSystem.OfField(chain, n)
            let near = Array.init n (fun i -> [| for j in max 0 (i - 1) .. min (n - 1) (i + 1) -> j |])

            // a pattern that is no band: the columns in another order
            for name, system, evaluations in
                [ "dense", system, n + 2; "band", system.WithBand(1, 1), 5; "pattern", system.WithSparsity near, 5 ] do
                let entries, timeSlope, cost = jacobianOf system 0.7 y
                Expect.isLessThan (worst entries exact) 1e-6 name
                Expect.equal cost evaluations $"{name}: evaluations, with the two for the time slope"
                let right = Array.init n (fun i -> if i < n - 1 then cos 0.7 * y[i + 1] else 0.0)
                Expect.isLessThan (furthest timeSlope right) 1e-6 $"{name}: df/dt"

        testCase "a Jacobian given is used; entries outside of its band are refused"
        <| fun () ->
            let n = 5
            let y = Array.init n (fun i -> 1.0 + float i)

            let jacobian =
                JacobianFunction(fun t y j ->
                    let exact = chainJacobian t (y.ToArray())

                    for i in 0 .. n - 1 do
                        for k in max 0 (i - 1) .. min (n - 1) (i + 1) do
                            j[i, k] <- exact[i, k])

            for system in [ OdeSystem.OfField(chain, n); OdeSystem.OfField(chain, n).WithBand(1, 1) ] do
                let entries, _, evaluations = jacobianOf (system.WithJacobian jacobian) 0.7 y
                Expect.equal (worst entries (chainJacobian 0.7 y)) 0.0 "given"
                Expect.equal evaluations 2 "only the time slope costs evaluations"

            let outside = JacobianFunction(fun _ _ j -> j[0, 3] <- 1.0)
            let system = OdeSystem.OfField(chain, n).WithBand(1, 1).WithJacobian outside

            Expect.throwsC (fun () -> jacobianOf system 0.0 y |> ignore) (fun e ->
                Expect.stringContains e.Message "widen the band" "says what to do")
    ]

let private systems =
    testList "systems" [
        testCase "an explicit method solves a system, and refuses a mass matrix"
        <| fun () ->
            let decay = OdeSystem.OfField(VectorField(fun _ y dydt -> dydt[0] <- -y[0]), 1)
            let options: SolveOptions<float[]> = SolveOptions.create 1e-9 1e-9
            let solution = ArrayOde.solveSystem (RungeKutta Methods.Tsit5) options decay 0.0 1.0 [| 1.0 |]
            Expect.isLessThan (abs (solution.FinalState[0] - exp -1.0)) 1e-8 "e^-1"

            Expect.throwsC
                (fun () ->
                    ArrayOde.solveSystem (RungeKutta Methods.Tsit5) options (decay.WithMass [| 2.0 |]) 0.0 1.0 [|
                        1.0
                    |]
                    |> ignore)
                (fun e -> Expect.stringContains e.Message "explicit" "says why")

        testCase "bad bands, patterns, masses and states are refused with the numbers"
        <| fun () ->
            let system = OdeSystem.OfField(chain, 3)
            let options: SolveOptions<float[]> = SolveOptions.create 1e-6 1e-6

            for text, action in
                [
                    "-1 below", (fun () -> system.WithBand(-1, 0) |> ignore)
                    "column 7", (fun () -> system.WithSparsity [| [| 0 |]; [| 7 |]; [||] |] |> ignore)
                    "3 lists; got 1", (fun () -> system.WithSparsity [| [| 0 |] |] |> ignore)
                    "got 2", (fun () -> system.WithMass [| 1.0; 2.0 |] |> ignore)
                    "(1, 2)",
                    (fun () ->
                        system.WithMass(Array2D.init 3 3 (fun i j -> if i = 1 && j = 2 then nan else 1.0)) |> ignore)
                    "at least one component", (fun () -> OdeSystem.OfField(chain, 0) |> ignore)
                    "2 components and the system 3",
                    (fun () ->
                        ArrayOde.solveSystem (RungeKutta Methods.Tsit5) options system 0.0 1.0 [| 1.0; 2.0 |] |> ignore)
                ] do
                Expect.throwsC action (fun e -> Expect.stringContains e.Message text "names the fault")
    ]

let tests = testList "Matrices" [ lu; differences; systems ]
