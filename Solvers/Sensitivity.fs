// Derivatives of solutions on arrays: forward sensitivities, gradients by the discrete adjoint, Hessian-vector products. All are those of
// the discrete solution with the lengths of its steps held, exact to rounding.
// Hairer, Norsett and Wanner I, II.6 (internal differentiation: Bock 1981); Sandu 2006 (discrete adjoints of Runge-Kutta methods).
namespace Continuum

#nowarn "3535" "3536"

open System

/// Tangents beside the solution, eight columns at a time.
module private ForwardColumns =

    /// Direction j of the columns: entries of the initial values and of the parameters.
    let directions
        (columns: SensitivityColumns)
        (n: int)
        (m: int)
        : struct (int * (int -> int -> float) * (int -> int -> float)) =
        let unit (i: int) (j: int) = if i = j then 1.0 else 0.0
        let zero (_: int) (_: int) = 0.0

        match columns with
        | Everything -> struct (n + m, unit, (fun i j -> unit (n + i) j))
        | InitialValues -> struct (n, unit, zero)
        | Parameters -> struct (m, zero, unit)
        | Directions(initial, parameters) ->
            let count = if isNull initial then Array2D.length2 parameters else Array2D.length2 initial

            let check name (rows: int) (given: float[,]) =
                if not (isNull given) && (Array2D.length1 given <> rows || Array2D.length2 given <> count) then
                    raise (
                        ArgumentException
                            $"The directions for the {name} are {Array2D.length1 given} x {Array2D.length2 given}; they must be {rows} x {count}."
                    )

            check "initial values" n initial
            check "parameters" m parameters
            let entry (given: float[,]) i j = if isNull given then 0.0 else given[i, j]
            struct (count, entry initial, entry parameters)

    let private seeded (values: float[]) (entry: int -> int -> float) (first: int) (count: int) : Partials[] =
        values
        |> Array.mapi (fun i value ->
            let mutable parts = Runtime.Intrinsics.Vector512<float>.Zero

            for j in first .. min (first + 8) count - 1 do
                parts <- Runtime.Intrinsics.Vector512.WithElement(parts, j - first, entry i j)

            Partials(value, parts))

    let run (traced: TracedSolve) (y0: float[]) (columns: SensitivityColumns) reason : ForwardSensitivities =
        let n = traced.Size
        let solution = traced.Solution
        let struct (count, initial, parameters) = directions columns n traced.Parameters.Length
        let table () : float[,] = Array2D.zeroCreate n count
        let states = Array.init solution.States.Length (fun _ -> table ())
        let final = table ()

        let occurrences =
            solution.Occurrences
            |> Array.map (fun _ -> { Time = Array.zeroCreate count; Before = table (); After = table () })

        let mutable evaluations = 0

        for first in 0..8 .. count - 1 do
            let last = min (first + 8) count - 1

            let write (dest: float[,]) (values: Partials[]) =
                for i in 0 .. n - 1 do
                    for j in first..last do
                        dest[i, j] <- values[i][j - first]

            let visit piece (values: Partials[]) =
                match piece with
                | SavedAt index -> write states[index] values
                | AtEnd -> write final values
                | BeforeEvent o -> write occurrences[o].Before values
                | AfterEvent o -> write occurrences[o].After values
                | TimeOf o ->
                    for j in first..last do
                        occurrences[o].Time[ j ] <- values[0][j - first]

            let struct (sweep, calculus) = traced.Sweep<Partials>(seeded traced.Parameters parameters first count)
            sweep.Forward(seeded y0 initial first count, visit)
            evaluations <- evaluations + calculus.Evaluations

        {
            Solution = solution
            States = states
            Final = final
            Occurrences = occurrences
            Evaluations = evaluations
            Choice = { Mode = SensitivityMode.Forward; Reason = reason }
        }

/// Losses over numbers with derivatives.
module private Losses =

    /// The loss and its derivatives for the pieces of the outcome, over any numbers.
    let differentiate<'B when 'B: struct and 'B :> IReal<'B>>
        (loss: IGenericLoss)
        (times: float[])
        (states: 'B[][])
        (eventTimes: 'B[])
        (parameters: 'B[])
        : struct ('B * 'B[][] * 'B[] * 'B[]) =
        let tape = Tape<'B>()
        let y = states |> Array.map (Array.map tape.Variable)
        let tau = eventTimes |> Array.map tape.Variable
        let p = parameters |> Array.map tape.Variable

        let value =
            loss.Evaluate<Reverse<'B>>(
                ReadOnlySpan<float> times,
                ReadOnlySpan<Reverse<'B>>(Array.concat y),
                ReadOnlySpan<Reverse<'B>> tau,
                ReadOnlySpan<Reverse<'B>> p
            )

        tape.ClearAdjoints()
        tape.Seed(value, 'B.Of 1.0)
        tape.Sweep()
        struct (value.Value, Array.map (Array.map tape.Adjoint) y, Array.map tape.Adjoint tau, Array.map tape.Adjoint p)

/// The backward sweep.
module private Backward =
    let cotangentsOf (c: OutcomeCotangents) : OutcomePiece -> Real[] =
        let numbers (x: float[]) = if isNull x then null else NumberRows.constants<Real> x
        let at (list: float[][]) i = if isNull list then null else numbers list[i]

        function
        | SavedAt index -> at c.States index
        | AtEnd -> numbers c.Final
        | TimeOf o -> if isNull c.EventTimes then null else [| Real c.EventTimes[o] |]
        | BeforeEvent o -> at c.Before o
        | AfterEvent o -> at c.After o

    let values (x: 'B[]) : float[] when 'B: struct = Array.init x.Length (NumberRows.value x)

/// Derivatives of solutions on arrays for initial values and parameters.
[<RequireQualifiedAccess>]
module Sensitivity =

    let private bad (text: string) = raise (ArgumentException text)

    /// Above so many states and parameters together, gradients are found backward. As in SciMLSensitivity.
    let private forwardLimit = 100

    let private succeeded (solution: Solution<float[]>) =
        solution.Status = Status.Success || solution.Status = Status.Terminated

    let private trace method options problem t0 t1 (y0: float[]) =
        if isNull y0 || y0.Length <> (problem: SensitivityProblem).Size then
            let length = if isNull y0 then 0 else y0.Length
            bad $"The initial state has {length} components and the problem {problem.Size}; they must agree."

        TracedSolve.run method options problem t0 t1 y0

    /// The solution from y(t0) = y0 to t1 and its derivatives for the columns. A failed solve is in Solution.Status, with the derivatives
    /// of the part before the failure. Step control looks at the solution only, not at its derivatives. ArgumentException where sizes or options do not fit, or options hold events (give them to the problem).
    let forward
        (method: Method)
        (options: SolveOptions<float[]>)
        (columns: SensitivityColumns)
        (problem: SensitivityProblem)
        (t0: float)
        (t1: float)
        (y0: float[])
        : ForwardSensitivities =
        let traced = trace method options problem t0 t1 y0
        ForwardColumns.run traced y0 columns "asked for"

    let private slopeAt (problem: SensitivityProblem) (t: float) (y: float[]) =
        let calculus = problem.Field.Calculus<Real>(NumberRows.constants<Real> problem.Field.Parameters)
        let slope: Real[] = Array.zeroCreate y.Length
        calculus.Slope(t, NumberRows.constants<Real> y, slope)
        Backward.values slope

    let private dot (a: float[]) (b: float[]) = Array.fold2 (fun s x y -> s + x * y) 0.0 a b

    /// Fills the derivatives for the span's ends: the initial state flows on from a later start, the final one to a later end.
    let private withTimes (problem: SensitivityProblem) t0 y0 (endCotangent: float[]) (gradient: LossGradient) =
        let solution = gradient.Solution

        if not problem.System.HasIdentityMass then
            gradient
        else
            {
                gradient with
                    Start = -(dot gradient.InitialValues (slopeAt problem t0 y0))
                    End =
                        if isNull endCotangent || solution.Status = Status.Terminated then
                            0.0
                        else
                            dot endCotangent (slopeAt problem solution.FinalTime solution.FinalState)
            }

    let private failed (problem: SensitivityProblem) solution choice : LossGradient = {
        Value = nan
        InitialValues = Array.create problem.Size nan
        Parameters = Array.create problem.Field.Parameters.Length nan
        Start = nan
        End = nan
        Solution = solution
        Choice = choice
    }

    /// The cotangent of the state at the end of the span, where that is what was saved.
    let private finalCotangent (options: SolveOptions<float[]>) (c: OutcomeCotangents) =
        let saved =
            if options.SaveAt.IsEndOnly && not (isNull c.States) && c.States.Length > 0 then
                c.States[0]
            else
                null

        match saved, c.Final with
        | null, final -> final
        | saved, null -> saved
        | saved, final -> Array.map2 (+) saved final

    let private backward (adjoint: AdjointOptions) (traced: TracedSolve) (y0: float[]) (c: OutcomeCotangents) =
        let struct (sweep, calculus) = traced.Sweep<Real>(NumberRows.constants<Real> traced.Parameters)
        let initial = sweep.Backward(NumberRows.constants<Real> y0, Backward.cotangentsOf c, adjoint.MaxStates)
        struct (Backward.values initial, Backward.values calculus.ParameterCotangent)

    /// The cotangents times the sensitivity matrices.
    let private contract (traced: TracedSolve) (y0: float[]) (c: OutcomeCotangents) reason =
        let n = y0.Length
        let s = ForwardColumns.run traced y0 Everything reason
        let total: float[] = Array.zeroCreate (n + traced.Parameters.Length)

        let add (cotangent: float[]) (matrix: float[,]) =
            if not (isNull cotangent) then
                for j in 0 .. total.Length - 1 do
                    for i in 0 .. n - 1 do
                        total[j] <- total[j] + cotangent[i] * matrix[i, j]

        let addAll (cotangents: float[][]) (matrices: float[,][]) =
            if not (isNull cotangents) then
                Array.iter2 add cotangents matrices

        addAll c.States s.States
        add c.Final s.Final
        addAll c.Before (s.Occurrences |> Array.map _.Before)
        addAll c.After (s.Occurrences |> Array.map _.After)

        if not (isNull c.EventTimes) then
            for o in 0 .. s.Occurrences.Length - 1 do
                for j in 0 .. total.Length - 1 do
                    total[j] <- total[j] + c.EventTimes[o] * s.Occurrences[o].Time[j]

        struct (Array.sub total 0 n, Array.sub total n traced.Parameters.Length)

    let private choose (mode: SensitivityMode voption) (problem: SensitivityProblem) =
        let inputs = problem.Size + problem.Field.Parameters.Length

        match mode with
        | ValueSome SensitivityMode.Adjoint when problem.Field.IsForwardOnly ->
            bad
                "A field given as a delegate can be differentiated forward only; for the adjoint write the field as an IGenericField."
        | ValueSome mode -> { Mode = mode; Reason = "asked for" }
        | ValueNone when problem.Field.IsForwardOnly -> {
            Mode = SensitivityMode.Forward
            Reason = "the field is a delegate"
          }
        | ValueNone when inputs <= forwardLimit -> {
            Mode = SensitivityMode.Forward
            Reason = $"{inputs} states and parameters, at most {forwardLimit}"
          }
        | ValueNone -> {
            Mode = SensitivityMode.Adjoint
            Reason = $"{inputs} states and parameters, more than {forwardLimit}"
          }

    /// The gradient of a loss; cotangents gives it, its derivatives for the outcome, and those for the parameters directly.
    let private gradientOf choice adjoint method options cotangents problem t0 t1 (y0: float[]) : LossGradient =
        let traced = trace method options problem t0 t1 y0

        if not (succeeded traced.Solution) then
            failed problem traced.Solution choice
        else
            let struct (value, c, direct: float[]) = cotangents traced

            let struct (initial, parameters) =
                if choice.Mode = SensitivityMode.Forward then
                    contract traced y0 c choice.Reason
                else
                    backward adjoint traced y0 c

            withTimes problem t0 y0 (finalCotangent options c) {
                failed problem traced.Solution choice with
                    Value = value
                    InitialValues = initial
                    Parameters = if isNull direct then parameters else Array.map2 (+) parameters direct
            }

    /// The gradient of a loss whose derivatives for the outcome the caller knows: cotangents sees the solution and returns the loss and its
    /// derivatives. Backward over the recorded steps. Failures as in forward; the gradient of a failed solve is NaN.
    let adjoint
        (method: Method)
        (options: SolveOptions<float[]>)
        (adjoint: AdjointOptions)
        (cotangents: Solution<float[]> -> struct (float * OutcomeCotangents))
        (problem: SensitivityProblem)
        (t0: float)
        (t1: float)
        (y0: float[])
        : LossGradient =
        let known (traced: TracedSolve) =
            let struct (value, c) = cotangents traced.Solution
            struct (value, c, null)

        gradientOf (choose (ValueSome SensitivityMode.Adjoint) problem) adjoint method options known problem t0 t1 y0

    /// As adjoint, in the way asked for, or (ValueNone) chosen by size as in gradientBy.
    let gradientWith
        (mode: SensitivityMode voption)
        (method: Method)
        (options: SolveOptions<float[]>)
        (cotangents: Solution<float[]> -> struct (float * OutcomeCotangents))
        (problem: SensitivityProblem)
        (t0: float)
        (t1: float)
        (y0: float[])
        : LossGradient =
        let known (traced: TracedSolve) =
            let struct (value, c) = cotangents traced.Solution
            struct (value, c, null)

        gradientOf (choose mode problem) AdjointOptions.Default method options known problem t0 t1 y0

    let private lossCotangents (loss: IGenericLoss) (traced: TracedSolve) =
        let solution = traced.Solution

        let struct (value, states, eventTimes, direct) =
            Losses.differentiate<Real>
                loss
                solution.Times
                (solution.States |> Array.map NumberRows.constants<Real>)
                (solution.Occurrences |> Array.map (fun o -> Real o.Time))
                (NumberRows.constants<Real> traced.Parameters)

        struct (value.Value,
                {
                    OutcomeCotangents.Zero with
                        States = Array.map Backward.values states
                        EventTimes = Backward.values eventTimes
                },
                Backward.values direct)

    /// The gradient of a loss for initial values and parameters in the way asked for, or (ValueNone) chosen by size: forward up to 100
    /// states and parameters together, else backward. Failures as in adjoint.
    let gradientBy
        (mode: SensitivityMode voption)
        (method: Method)
        (options: SolveOptions<float[]>)
        (loss: IGenericLoss)
        (problem: SensitivityProblem)
        (t0: float)
        (t1: float)
        (y0: float[])
        : LossGradient =
        gradientOf (choose mode problem) AdjointOptions.Default method options (lossCotangents loss) problem t0 t1 y0

    /// gradientBy, chosen by size.
    let gradient method options loss problem t0 t1 y0 : LossGradient =
        gradientBy ValueNone method options loss problem t0 t1 y0

    /// The Hessian of a loss times the direction (initial, parameters), and its gradient: the adjoint over dual numbers. Exact derivatives
    /// of the discrete gradient. ArgumentException where the direction's sizes do not fit.
    let hessianVector
        (method: Method)
        (options: SolveOptions<float[]>)
        (loss: IGenericLoss)
        (initial: float[])
        (parameters: float[])
        (problem: SensitivityProblem)
        (t0: float)
        (t1: float)
        (y0: float[])
        : HessianProduct =
        let m = problem.Field.Parameters.Length

        if initial.Length <> problem.Size || parameters.Length <> m then
            bad
                $"The direction has {initial.Length} initial values and {parameters.Length} parameters; the problem has {problem.Size} and {m}."

        choose (ValueSome SensitivityMode.Adjoint) problem |> ignore
        let traced = trace method options problem t0 t1 y0
        let choice = { Mode = SensitivityMode.Adjoint; Reason = "forward over adjoint" }

        if not (succeeded traced.Solution) then
            {
                Gradient = failed problem traced.Solution choice
                InitialValues = Array.create problem.Size nan
                Parameters = Array.create m nan
            }
        else
            let dual (values: float[]) (direction: float[]) =
                Array.map2 (fun v d -> Dual<Real>(Real v, Real d)) values direction

            let p = dual traced.Parameters parameters
            let start = dual y0 initial
            let struct (sweep, calculus) = traced.Sweep<Dual<Real>> p
            let states = Array.create traced.Solution.States.Length [||]
            let eventTimes = Array.zeroCreate traced.Solution.Occurrences.Length

            sweep.Forward(
                start,
                fun piece values ->
                    match piece with
                    | SavedAt index -> states[index] <- Array.sub values 0 problem.Size
                    | TimeOf o -> eventTimes[o] <- values[0]
                    | _ -> ()
            )

            let struct (value, stateBars, timeBars, direct) =
                Losses.differentiate<Dual<Real>> loss traced.Solution.Times states eventTimes p

            let cotangent piece =
                match piece with
                | SavedAt index -> stateBars[index]
                | TimeOf o -> [| timeBars[o] |]
                | _ -> null

            let initialBar = sweep.Backward(start, cotangent, 0)
            let bar = calculus.ParameterCotangent
            let value' (x: Dual<Real>) = x.Value.Value
            let tangent (x: Dual<Real>) = x.Tangent.Value

            let final =
                finalCotangent options { OutcomeCotangents.Zero with States = Array.map (Array.map value') stateBars }

            {
                Gradient =
                    withTimes problem t0 y0 final {
                        failed problem traced.Solution choice with
                            Value = value' value
                            InitialValues = Array.map value' initialBar
                            Parameters = Array.map2 (fun a b -> value' a + value' b) bar direct
                    }
                InitialValues = Array.map tangent initialBar
                Parameters = Array.map2 (fun a b -> tangent a + tangent b) bar direct
            }
