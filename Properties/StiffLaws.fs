namespace Continuum.Properties

open System
open Continuum

/// A system M y' = f(t, y) to try laws on: yours, or one of StiffProblems.
type SystemProblem = {
    /// For messages.
    Name: string
    /// The system.
    System: OdeSystem
    /// Start of the span.
    Start: float
    /// End of the span.
    End: float
    /// State at the start.
    Initial: float[]
    /// The solution at a time.
    Exact: float -> float[]
}

/// Stiff systems and differential-algebraic equations.
[<RequireQualifiedAccess>]
module StiffProblems =
    /// An OdeProblem with a closed form as a system.
    let ofProblem (problem: OdeProblem) : SystemProblem = {
        Name = problem.Name
        System = OdeSystem.OfField(problem.Field, problem.Initial.Length)
        Start = problem.Start
        End = problem.End
        Initial = problem.Initial
        Exact = problem.Exact.Value
    }

    /// y' = lambda (y - sin t) + cos t from sin 0: smooth solution, arbitrarily stiff. Prothero and Robinson 1974.
    let protheroRobinson (lambda: float) : SystemProblem = {
        Name = $"Prothero-Robinson, lambda = {lambda}"
        System = OdeSystem.OfField(VectorField(fun t y dydt -> dydt[0] <- lambda * (y[0] - sin t) + cos t), 1)
        Start = 0.1
        End = 1.6
        Initial = [| sin 0.1 |]
        Exact = fun t -> [| sin t |]
    }

    /// An index-1 system with the solution (cos t, e^-t sin t): y1' = y1 y2 e^t - sin t - y1 sin t and
    /// 0 = y2 e^t - sin t + (y1 - cos t)(1 + y2^2).
    let algebraic: SystemProblem = {
        Name = "index-1 system"
        System =
            OdeSystem
                .OfField(
                    VectorField(fun t y dydt ->
                        dydt[0] <- y[0] * y[1] * exp t - sin t - y[0] * sin t
                        dydt[1] <- y[1] * exp t - sin t + (y[0] - cos t) * (1.0 + y[1] * y[1])),
                    2
                )
                .WithMass
                [| 1.0; 0.0 |]
        Start = 0.0
        End = 1.5
        Initial = [| 1.0; 0.0 |]
        Exact = fun t -> [| cos t; exp -t * sin t |]
    }

    /// M y' = f with the regular M = [2 1; 1 3] and the solution (sin t, cos t): both components in every equation.
    let massive: SystemProblem = {
        Name = "mass matrix [2 1; 1 3]"
        System =
            OdeSystem
                .OfField(
                    VectorField(fun t y dydt ->
                        // M (cos t, -sin t) + a restoring part that vanishes on the solution
                        dydt[0] <- 2.0 * cos t - sin t - (y[0] * y[0] - sin t * sin t)
                        dydt[1] <- cos t - 3.0 * sin t - 2.0 * (y[1] - cos t)),
                    2
                )
                .WithMass(array2D [ [ 2.0; 1.0 ]; [ 1.0; 3.0 ] ])
        Start = 0.2
        End = 1.7
        Initial = [| sin 0.2; cos 0.2 |]
        Exact = fun t -> [| sin t; cos t |]
    }

    let private robertsonField =
        VectorField(fun _ y dydt ->
            let slow = 0.04 * y[0]
            let back = 1e4 * y[1] * y[2]
            let fast = 3e7 * y[1] * y[1]
            dydt[0] <- back - slow
            dydt[1] <- slow - back - fast
            dydt[2] <- fast)

    /// Robertson's kinetics, three rate equations. Robertson 1966.
    let robertson: OdeSystem = OdeSystem.OfField(robertsonField, 3).WithoutTime()

    /// Robertson's kinetics with conservation y1 + y2 + y3 = 1 in place of the third equation.
    let robertsonAlgebraic: OdeSystem =
        OdeSystem
            .OfField(
                VectorField(fun t y dydt ->
                    robertsonField.Invoke(t, y, dydt)
                    dydt[2] <- y[0] + y[1] + y[2] - 1.0),
                3
            )
            .WithMass([| 1.0; 1.0; 0.0 |])
            .WithoutTime()

/// The laws of implicit methods. Each takes a method, so that all families share them.
[<RequireQualifiedAccess>]
module StiffLaws =

    let private distance (a: float[]) (b: float[]) = Array.fold2 (fun worst x y -> max worst (abs (x - y))) 0.0 a b

    let private options rtol save : SolveOptions<float[]> = {
        SolveOptions.create rtol (1e-3 * rtol) with
            SaveAt = save
    }

    let private demand (solution: Solution<float[]>) =
        match Solution.toResult solution with
        | Ok solution -> solution
        | Error error -> raise (SolveFailedException(error.Status, error.Time, error.Message, error.Partial.Exception))

    let private fixedSteps (method: Method) (problem: SystemProblem) (steps: int) save =
        let h = (problem.End - problem.Start) / float steps

        ArrayOde.solveSystem
            method
            { options 1e-6 save with Control = Fixed h }
            problem.System
            problem.Start
            problem.End
            problem.Initial
        |> demand

    /// The slope of log error over log step by least squares over the three finest pairs above rounding.
    let private slope (floor: float) (pairs: struct (float * float)[]) =
        let points =
            pairs
            |> Array.filter (fun struct (_, error) -> error > floor)
            |> fun kept -> Array.skip (max 0 (kept.Length - 3)) kept
            |> Array.map (fun struct (h, error) -> log h, log error)

        let mx = points |> Array.averageBy fst
        let my = points |> Array.averageBy snd

        (points |> Array.sumBy (fun (x, y) -> (x - mx) * (y - my)))
        / (points |> Array.sumBy (fun (x, _) -> (x - mx) * (x - mx)))

    let private describe (pairs: struct (float * float)[]) =
        pairs |> Array.map (fun struct (h, e) -> $"h %.3f{h}: %.1e{e}") |> String.concat ", "

    let private counts order = if order >= 4 then [| 8; 12; 16; 24; 32; 48 |] else [| 16; 32; 64; 128; 256 |]

    let private observed law (least: float) (most: float) floor pairs =
        let measured = slope floor pairs

        {
            Law = law
            Holds = measured >= least && measured <= most
            Detail = $"observed order %.2f{measured}; {describe pairs}"
        }

    /// With fixed steps the error at the end falls with the method's order (observed within 0.3 below and 0.8 above).
    let convergence (method: Method) (problem: SystemProblem) : LawResult =
        let exact = problem.Exact problem.End

        counts method.Order
        |> Array.map (fun steps ->
            let solution = fixedSteps method problem steps EndOnly
            struct ((problem.End - problem.Start) / float steps, distance solution.FinalState exact))
        |> observed
            $"{method.Name} has order {method.Order} on {problem.Name}"
            (float method.Order - 0.3)
            (float method.Order + 0.8)
            3e-13

    /// On Prothero and Robinson's problem, far stiffer than the step resolves, the error falls at least with this order.
    let stiffConvergence (method: Method) (least: float) : LawResult =
        let problem = StiffProblems.protheroRobinson -1e6
        let exact = problem.Exact problem.End

        counts method.Order
        |> Array.map (fun steps ->
            let solution = fixedSteps method problem steps EndOnly
            struct ((problem.End - problem.Start) / float steps, distance solution.FinalState exact))
        |> observed $"{method.Name} keeps order {least} on {problem.Name}" (least - 0.3) infinity 1e-15

    /// Dense output between fixed steps converges at least with this order.
    let denseConvergence (method: Method) (order: int) (problem: SystemProblem) : LawResult =
        counts order
        |> Array.map (fun steps ->
            let dense = (fixedSteps method problem steps DenseOutput).Dense.Value
            let h = (problem.End - problem.Start) / float steps

            let worst =
                Seq.max (
                    seq {
                        for i in 0 .. 3 * steps do
                            let t = problem.Start + (float i + 0.37) * h / 3.0

                            if t < problem.End then
                                distance (dense.At t) (problem.Exact t)
                    }
                )

            struct (h, worst))
        |> observed
            $"dense output of {method.Name} has order {order} on {problem.Name}"
            (float order - 0.3)
            infinity
            1e-12

    /// R(z), from one step of length 1 on y' = z y.
    let stabilityFunction (method: Method) (z: Numerics.Complex) : Numerics.Complex =
        let field =
            VectorField(fun _ y dydt ->
                dydt[0] <- z.Real * y[0] - z.Imaginary * y[1]
                dydt[1] <- z.Imaginary * y[0] + z.Real * y[1])

        let jacobian =
            JacobianFunction(fun _ _ j ->
                j[0, 0] <- z.Real
                j[0, 1] <- -z.Imaginary
                j[1, 0] <- z.Imaginary
                j[1, 1] <- z.Real)

        let system = OdeSystem.OfField(field, 2).WithJacobian(jacobian).WithoutTime()

        let y =
            (ArrayOde.solveSystem method { options 1e-6 EndOnly with Control = Fixed 1.0 } system 0.0 1.0 [| 1.0; 0.0 |]
             |> demand)
                .FinalState

        Numerics.Complex(y[0], y[1])

    /// |R(z)| <= 1 on the imaginary axis and in the left half plane, and R vanishes at infinity where the method claims it.
    let stability (method: Method) (vanishes: bool) : LawResult =
        let axis = [ for k in -2.0 .. 0.125..6.0 -> Numerics.Complex(0.0, 10.0 ** k) ]

        let inside = [
            for k in -2.0 .. 0.5..6.0 do
                for angle in [ 0.52; 0.6; 0.75; 0.9; 1.0 ] do
                    Numerics.Complex.FromPolarCoordinates(10.0 ** k, Math.PI * angle)
        ]

        let worst = axis @ inside |> List.maxBy (fun z -> (stabilityFunction method z).Magnitude)
        let size = (stabilityFunction method worst).Magnitude
        let far = (stabilityFunction method (Numerics.Complex(-1e9, 0.0))).Magnitude

        {
            Law = $"{method.Name} is {(if vanishes then 'L' else 'A')}-stable"
            Holds = size <= 1.0 + 1e-9 && (not vanishes || far <= 1e-6)
            Detail = $"largest |R| is {size} at z = {worst}; |R(-1e9)| = {far:g3}"
        }

    /// A linear invariant of the field (weights . f = 0) stays what it was at every step, up to rounding (that of difference Jacobians included).
    let linearInvariant (method: Method) (system: OdeSystem) (weights: float[]) (t1: float) (y0: float[]) : LawResult =
        let solution = ArrayOde.solveSystem method (options 1e-6 EverySteps) system 0.0 t1 y0 |> demand
        let value (y: float[]) = Array.fold2 (fun s w x -> s + w * x) 0.0 weights y
        let size = Array.fold2 (fun s w x -> s + abs (w * x)) 0.0 weights y0
        let worst = solution.States |> Array.map (fun y -> abs (value y - value y0)) |> Array.max

        {
            Law = $"{method.Name} preserves a linear invariant"
            Holds = worst <= 4e-15 * size * float (10 + solution.States.Length)
            Detail = $"drift {worst:g3} over {solution.States.Length} steps"
        }

    /// At every accepted step the algebraic equations (those whose row of the diagonal mass is zero) hold to a few tolerances.
    let algebraicResidual
        (method: Method)
        (system: OdeSystem)
        (residual: float -> float[] -> float)
        (rtol: float)
        (t1: float)
        y0
        =
        let solution = ArrayOde.solveSystem method (options rtol EverySteps) system 0.0 t1 y0 |> demand
        let worst = Array.map2 (fun t y -> abs (residual t y)) solution.Times solution.States |> Array.max

        {
            Law = $"{method.Name} keeps the algebraic equations"
            Holds = worst <= 10.0 * rtol
            Detail = $"largest residual {worst:g3} over {solution.States.Length} steps at rtol {rtol:g3}"
        }

    /// Two systems with the same field have the same Jacobian (relative to its largest entry) at a state.
    let jacobian (one: OdeSystem) (other: OdeSystem) (tolerance: float) (t: float) (y: float[]) : LawResult =
        let a = one.Jacobian(t, y)
        let b = other.Jacobian(t, y)
        let mutable size = 1e-300
        let mutable worst = 0.0

        a
        |> Array2D.iteri (fun i j x ->
            size <- max size (abs x)
            worst <- max worst (abs (x - b[i, j])))

        {
            Law = "two ways to the Jacobian agree"
            Holds = worst <= tolerance * size
            Detail = $"largest difference {worst:g3}, largest entry {size:g3}"
        }

    /// The solution at the end is within a factor of the tolerance of a known one, relative per component (floor: the absolute
    /// size below which a component does not count).
    let reference (method: Method) (rtol: float) (factor: float) (floor: float) (problem: SystemProblem) : LawResult =
        let solution =
            ArrayOde.solveSystem method (options rtol EndOnly) problem.System problem.Start problem.End problem.Initial
            |> demand

        let error =
            Array.map2 (fun a b -> abs (a - b) / max floor (abs b)) solution.FinalState (problem.Exact problem.End)
            |> Array.max

        {
            Law = $"{method.Name} solves {problem.Name} at {rtol:g3}"
            Holds = error <= factor * rtol
            Detail = $"relative error {error:g3}, {solution.Statistics.Accepted} steps"
        }
