namespace Continuum.Properties

open System
open Continuum

/// An initial value problem to try laws on: yours, or one of Problems.
type OdeProblem = {
    /// For messages.
    Name: string
    /// The right-hand side.
    Field: VectorField
    /// Start of the span.
    Start: float
    /// End of the span.
    End: float
    /// State at the start.
    Initial: float[]
    /// The solution at a time, where it is known; ValueNone takes a Vern9 solution at 1e-13 instead.
    Exact: (float -> float[]) voption
}

/// Problems with closed forms.
[<RequireQualifiedAccess>]
module Problems =
    let private field (f: float -> float[] -> float[]) =
        VectorField(fun t y dydt -> (f t (y.ToArray())).AsSpan().CopyTo dydt)

    /// y1' = 2t y1 ln y2, y2' = -2t y2 ln y1, solved by exp(sin t^2), exp(cos t^2): nonlinear and non-autonomous, so that a wrong
    /// node c_i is seen.
    let logarithmic = {
        Name = "y1' = 2t y1 ln y2, y2' = -2t y2 ln y1"
        Field = field (fun t y -> [| 2.0 * t * y[0] * log y[1]; -2.0 * t * y[1] * log y[0] |])
        Start = 0.0
        End = 1.5
        Initial = [| 1.0; Math.E |]
        Exact = ValueSome(fun t -> [| exp (sin (t * t)); exp (cos (t * t)) |])
    }

    /// y' = y cos t, solved by exp(sin t).
    let cosine = {
        Name = "y' = y cos t"
        Field = VectorField(fun t y dydt -> dydt[0] <- y[0] * cos t)
        Start = 0.0
        End = 3.0
        Initial = [| 1.0 |]
        Exact = ValueSome(fun t -> [| exp (sin t) |])
    }

    /// Lotka-Volterra with parameters 1.5, 1, 3, 1 from (1, 1), without a closed form.
    let lotkaVolterra = {
        Name = "Lotka-Volterra"
        Field =
            VectorField(fun _ y dydt ->
                dydt[0] <- 1.5 * y[0] - y[0] * y[1]
                dydt[1] <- -3.0 * y[1] + y[0] * y[1])
        Start = 0.0
        End = 10.0
        Initial = [| 1.0; 1.0 |]
        Exact = ValueNone
    }

/// The laws of solving an ordinary differential equation on arrays. Each takes a method (and a problem, which may be
/// your own model) and says whether the law holds, with the numbers.
[<RequireQualifiedAccess>]
module OdeLaws =

    let private distance (a: float[]) (b: float[]) = Array.fold2 (fun worst x y -> max worst (abs (x - y))) 0.0 a b

    let private size (a: float[]) = Array.fold (fun worst x -> max worst (abs x)) 1.0 a

    let private run method options (problem: OdeProblem) t0 t1 y0 =
        let solution = ArrayOde.solve method options problem.Field t0 t1 y0

        match Solution.toResult solution with
        | Ok solution -> solution
        | Error error -> raise (SolveFailedException(error.Status, error.Time, error.Message, error.Partial.Exception))

    let private tight save : SolveOptions<float[]> = { SolveOptions.create 1e-13 1e-13 with SaveAt = save }

    /// The solution at a time: exact, or by Vern9 at 1e-13.
    let reference (problem: OdeProblem) : float -> float[] =
        match problem.Exact with
        | ValueSome exact -> exact
        | ValueNone ->
            let dense =
                (run Methods.Vern9 (tight DenseOutput) problem problem.Start problem.End problem.Initial).Dense.Value

            dense.At

    /// The slope of log error over log step, by least squares, over pairs above rounding.
    let private slope (order: int) (pairs: struct (float * float)[]) =
        let points =
            pairs
            |> Array.filter (fun struct (_, error) -> error > 3e-12)
            // the finest three: the asymptotic range (of very high orders all, since rounding is near)
            |> fun kept -> Array.skip (if order >= 9 then 0 else max 0 (kept.Length - 3)) kept
            |> Array.map (fun struct (h, error) -> log h, log error)

        let mx = points |> Array.averageBy fst
        let my = points |> Array.averageBy snd
        let top = points |> Array.sumBy (fun (x, y) -> (x - mx) * (y - my))
        top / (points |> Array.sumBy (fun (x, _) -> (x - mx) * (x - mx)))

    let private describe (pairs: struct (float * float)[]) =
        pairs |> Array.map (fun struct (h, e) -> $"h %.3f{h}: %.1e{e}") |> String.concat ", "

    let private fixedOptions h save : SolveOptions<float[]> = {
        SolveOptions.create 1e-6 1e-6 with
            Control = Fixed h
            SaveAt = save
    }

    /// Step counts whose errors lie between rounding and the pre-asymptotic range for an order.
    let private stepCounts (order: int) =
        if order >= 9 then [| 4; 5; 6; 7; 8; 10 |]
        elif order >= 7 then [| 8; 10; 12; 14; 16; 20; 24; 32; 40 |]
        elif order >= 5 then [| 8; 12; 16; 24; 32; 48 |]
        else [| 16; 32; 64; 128; 256 |]

    /// With fixed steps the error at the end falls with the method's order: the observed slope lies in
    /// [order - 0.25, order + 1]. Holds on smooth problems only.
    let convergence (method: Tableau) (problem: OdeProblem) : LawResult =
        let exact = reference problem problem.End

        let pairs =
            stepCounts method.Order
            |> Array.map (fun n ->
                let h = (problem.End - problem.Start) / float n

                let solution =
                    run method (fixedOptions (abs h) EndOnly) problem problem.Start problem.End problem.Initial

                struct (abs h, distance exact solution.FinalState))

        let observed = slope method.Order pairs

        {
            Law = $"{method.Name} converges with order {method.Order} on {problem.Name}"
            Holds =
                observed >= float method.Order - 0.25
                && observed <= float method.Order + (if method.Order >= 9 then 4.0 else 1.5)
            Detail = $"observed order %.2f{observed}; " + describe pairs
        }

    /// The error of dense output, between step values, falls at least with the smaller of the method's order and one more
    /// than the interpolant's.
    let denseConvergence (method: Tableau) (problem: OdeProblem) : LawResult =
        let exact = reference problem
        let expected = float (min method.Order (method.Dense.Order + 1))

        let pairs =
            stepCounts method.Order
            |> Array.map (fun n ->
                let h = (problem.End - problem.Start) / float n

                let solution =
                    run method (fixedOptions (abs h) DenseOutput) problem problem.Start problem.End problem.Initial

                let worst =
                    [| 0.13; 0.37; 0.5; 0.71; 0.93 |]
                    |> Array.map (fun theta ->
                        let t = problem.Start + (float (n / 2) + theta) * h
                        distance (exact t) (solution.Dense.Value.At t))
                    |> Array.max

                struct (abs h, worst))

        let observed = slope method.Order pairs

        {
            Law = $"dense output of {method.Name} converges with order {expected} on {problem.Name}"
            Holds = observed >= expected - 0.3
            Detail = $"observed order %.2f{observed}; " + describe pairs
        }

    /// Flow: solving to the middle and on from there is solving to the end, within the tolerance times a factor for the
    /// problem's own sensitivity.
    let semigroup (method: Tableau) (tolerance: float) (factor: float) (problem: OdeProblem) : LawResult =
        let options = SolveOptions.create tolerance tolerance
        let middle = 0.5 * (problem.Start + problem.End) + 0.01 * (problem.End - problem.Start)
        let whole = run method options problem problem.Start problem.End problem.Initial
        let first = run method options problem problem.Start middle problem.Initial
        let second = run method options problem middle problem.End first.FinalState
        let gap = distance whole.FinalState second.FinalState / size whole.FinalState

        {
            Law = $"{method.Name}: the flow over two halves is the flow over the whole, on {problem.Name}"
            Holds = gap <= factor * tolerance
            Detail = $"relative gap %.1e{gap} at tolerance %.0e{tolerance}"
        }

    /// Solving there and back returns to the start, within the tolerance times a factor for the problem's sensitivity.
    let roundTrip (method: Tableau) (tolerance: float) (factor: float) (problem: OdeProblem) : LawResult =
        let options = SolveOptions.create tolerance tolerance
        let forth = run method options problem problem.Start problem.End problem.Initial
        let back = run method options problem problem.End problem.Start forth.FinalState
        let gap = distance back.FinalState problem.Initial / size problem.Initial

        {
            Law = $"{method.Name}: there and back again, on {problem.Name}"
            Holds = gap <= factor * tolerance
            Detail = $"relative gap %.1e{gap} at tolerance %.0e{tolerance}"
        }

    /// Time reversal: the solution of f from t0 to t1 and of -f(-t) from -t0 to -t1 are the same numbers, bit for bit.
    let timeReversal (method: Tableau) (problem: OdeProblem) : LawResult =
        let options: SolveOptions<float[]> = {
            SolveOptions.create 1e-6 1e-8 with
                SaveAt = (if method.IsAdaptive then EverySteps else EndOnly)
        }

        let options = if method.IsAdaptive then options else { options with Control = Fixed 0.1 }

        let mirrored = {
            problem with
                Field =
                    VectorField(fun t y dydt ->
                        problem.Field.Invoke(-t, y, dydt)

                        for i in 0 .. dydt.Length - 1 do
                            dydt[i] <- -dydt[i])
        }

        let ahead = run method options problem problem.Start problem.End problem.Initial
        let back = run method options mirrored -problem.Start -problem.End problem.Initial

        let same =
            ahead.Times.Length = back.Times.Length
            && Array.forall2 (fun (t: float) s -> t = -s) ahead.Times back.Times
            && Array.forall2 (fun (a: float[]) b -> a = b) ahead.States back.States

        {
            Law = $"{method.Name}: backward time is forward time of the mirrored field, bit for bit, on {problem.Name}"
            Holds = same
            Detail =
                $"{ahead.Times.Length} and {back.Times.Length} saved states, end gap %.1e{distance ahead.FinalState back.FinalState}"
        }

    /// A linear field has a linear flow: with fixed steps, exactly up to rounding. The matrix is row-major, n by n.
    let linearity (method: Tableau) (matrix: float[][]) : LawResult =
        let n = matrix.Length

        let problem = {
            Name = $"a linear field of {n} unknowns"
            Field =
                VectorField(fun t y dydt ->
                    for i in 0 .. n - 1 do
                        let mutable s = 0.0

                        for j in 0 .. n - 1 do
                            s <- s + matrix[i][j] * y[j]

                        dydt[i] <- s * (1.0 + t))
            Start = 0.0
            End = 1.0
            Initial = Array.zeroCreate n
            Exact = ValueNone
        }

        let flow y0 = (run method (fixedOptions 0.05 EndOnly) problem 0.0 1.0 y0).FinalState

        let x = Array.init n (fun i -> cos (float i + 1.0))
        let y = Array.init n (fun i -> sin (2.0 * float i + 1.0))
        let sum = flow (Array.map2 (fun a b -> 2.0 * a - 3.0 * b) x y)
        let parts = Array.map2 (fun a b -> 2.0 * a - 3.0 * b) (flow x) (flow y)
        let gap = distance sum parts / size sum

        {
            Law = $"{method.Name}: the flow of {problem.Name} is linear"
            Holds = gap <= 1e-12
            Detail = $"relative gap %.1e{gap}"
        }

    /// Step values: the end, and every requested step-to time, are ends of steps, so their error does not depend on the
    /// interpolant. Compares a solve that saves at times with one that stops at them: the stopped one is at least as
    /// accurate as a hundred tolerances.
    let stepValues (method: Tableau) (tolerance: float) (factor: float) (problem: OdeProblem) : LawResult =
        let exact = reference problem

        let times =
            Array.init 7 (fun i -> problem.Start + (problem.End - problem.Start) * (float i + 0.5) / 7.0)

        let options: SolveOptions<float[]> = { SolveOptions.create tolerance tolerance with SaveAt = StepValues times }
        let solution = run method options problem problem.Start problem.End problem.Initial

        let worst =
            Array.map2 (fun t y -> distance (exact t) y / size y) solution.Times solution.States |> Array.max

        {
            Law = $"{method.Name}: step values at requested times are accurate, on {problem.Name}"
            Holds = solution.Times = times && worst <= factor * tolerance
            Detail = $"worst relative error %.1e{worst} at tolerance %.0e{tolerance}"
        }

    /// Every law that applies to a method, on a problem (your own model, say).
    let all (method: Tableau) (problem: OdeProblem) : LawResult[] = [|
        convergence method problem
        denseConvergence method problem
        timeReversal method problem
        if method.IsAdaptive then
            semigroup method 1e-8 1e3 problem
            roundTrip method 1e-8 1e3 problem
            stepValues method 1e-8 1e3 problem
    |]
