// Parameters of ordinary differential equations from data: Levenberg-Marquardt on the exact sensitivities of the solves, with multiple
// shooting, bounds, priors and standard errors.
namespace Continuum

open System
open System.Threading
open MathNet.Numerics.Distributions

/// How an estimation ended.
type EstimationStatus =
    /// The gradient or the steps became negligible.
    | Converged = 0
    /// The iterations did not suffice; the estimate is the best one found.
    | MaxIterationsReached = 1
    /// No step improves the fit although the gradient is not negligible: the simulation's own error is felt.
    | Stalled = 2

/// An estimated number.
type Estimate = {
    /// Its name.
    Name: string
    /// The estimate.
    Value: float
    /// Its standard error; NaN for a number on its bound and for one that the data do not determine.
    StandardError: float
    /// Lower end of the 95 % confidence interval (of the logarithm, for a logarithmic number); NaN without a standard error.
    Lower95: float
    /// Upper end.
    Upper95: float
    /// Whether the estimate stands on one of its bounds.
    AtBound: bool
    /// Whether the data (and prior) determine it; where not, the value is one of many.
    Determined: bool
}

/// A report of an iteration.
[<Struct>]
type EstimationReport = {
    /// Iterations so far.
    Iteration: int
    /// Half the sum of squares of the weighted residuals.
    Objective: float
    /// Largest gap between segments, relative to the size of the states.
    Gap: float
    /// Damping.
    Damping: float
}

/// The result of an estimation.
type Estimation = {
    /// How it ended.
    Status: EstimationStatus
    /// One line for people: how it ended, which numbers are on bounds or not determined.
    Message: string
    /// Parameters in the model's order; fixed ones with standard error 0.
    Parameters: Estimate[]
    /// Initial values in the state's order; known ones with standard error 0.
    InitialState: Estimate[]
    /// Correlations of the searched numbers (initial values first, those that are searched, then parameters), NaN where undetermined or on
    /// a bound.
    Correlations: float[,]
    /// Names of the rows of Correlations.
    SearchedNames: string[]
    /// Half the sum of squares of weighted residuals, priors included.
    Objective: float
    /// Root mean square residual of each column, in its unit (of its logarithm, where logarithmic).
    Residuals: float[]
    /// Observations minus searched numbers.
    DegreesOfFreedom: int
    /// Iterations taken.
    Iterations: int
    /// Evaluations of the field.
    Evaluations: int
    /// Segments of multiple shooting used.
    Segments: int
}

/// Estimating parameters.
[<RequireQualifiedAccess>]
module ParameterEstimation =
    /// A parameter between bounds, with no prior.
    let parameter name initial lower upper = {
        Name = name
        Initial = initial
        Lower = lower
        Upper = upper
        Prior = ParameterPrior.Flat
        Logarithmic = false
    }

    /// A positive parameter known to an order of magnitude: searched in its logarithm between bounds.
    let positive name initial lower upper = { parameter name initial lower upper with Logarithmic = true }

    /// A number that is known.
    let known name value = parameter name value value value

    let private halfSquares (r: float[]) = 0.5 * Array.sumBy (fun x -> x * x) r

    [<Struct>]
    type private State = { Point: ShootingPoint; Value: ShootingValue; Objective: float; GapSize: float }

    let private chooseSegments (problem: EstimationProblem) =
        if problem.Segments > 0 then
            min problem.Segments problem.Times.Length
        else
            // Segments of about eight rows keep trajectories near the data where a long one could leave every bound.
            Math.Clamp(problem.Times.Length / 8, 1, 12)

    let private minimise
        (shooting: Shooting)
        (maxIterations: int)
        (tolerance: float)
        (start: State)
        (evaluate: ShootingPoint -> bool -> State voption)
        (report: EstimationReport -> unit)
        (cancellation: CancellationToken)
        : struct (State * EstimationStatus * int) =
        let mutable state = start
        let mutable damping = 1e-3
        let mutable growth = 2.0
        let mutable weight = 0.0
        let mutable scale = DampedStep.norms state.Value.Jacobian
        let mutable iteration = 0
        let mutable outcome = ValueNone

        let widen (bound: float) (bounds: float[]) =
            Array.append bounds (Array.create (shooting.Width - bounds.Length) bound)

        let lower, upper = widen -infinity shooting.Lower, widen infinity shooting.Upper

        while outcome.IsNone do
            cancellation.ThrowIfCancellationRequested()
            let value = state.Value
            scale <- Array.map2 max scale (DampedStep.norms value.Jacobian)
            let scaled = scale |> Array.map (fun s -> if s > 0.0 then s else 1.0)
            let u = shooting.Flatten state.Point

            let v =
                DampedStep.solve
                    value.Jacobian
                    value.Closed
                    scaled
                    damping
                    (Array.map2 (-) lower u)
                    (Array.map2 (-) upper u)

            let predicted = halfSquares (DampedStep.predict value.Jacobian value.Closed v)

            // The penalty of gaps must outweigh what closing them costs in the residuals.
            if state.GapSize > 0.0 then
                weight <- Math.Max(weight, 2.0 * (predicted - state.Objective) / state.GapSize)

            let merit (s: State) = s.Objective + weight * s.GapSize
            let expected = merit state - predicted

            let length = sqrt (Seq.sum (Seq.mapi (fun k x -> (x * scaled[k]) * (x * scaled[k])) v))

            let size = sqrt (Seq.sum (Seq.mapi (fun k (x: float) -> (x * scaled[k]) * (x * scaled[k])) u))

            let closed = state.GapSize <= 1e-8

            if
                closed
                && (expected <= tolerance * Math.Max(state.Objective, 1e-30) || length <= 1e-10 * (size + 1e-10))
            then
                outcome <- ValueSome EstimationStatus.Converged
            elif iteration >= maxIterations then
                outcome <- ValueSome EstimationStatus.MaxIterationsReached
            else
                iteration <- iteration + 1
                // Many rejections in a row: the full correction of the gaps is too long as well.
                let alpha = if growth > 64.0 && not closed then Math.Max(0.1, 16.0 / growth) else 1.0

                match evaluate (shooting.Move(state.Point, value, v, alpha)) false with
                | ValueSome trial when merit trial < merit state ->
                    let gain = (merit state - merit trial) / Math.Max(alpha * expected, 1e-300)

                    match evaluate trial.Point true with
                    | ValueSome next ->
                        state <- next
                        let cubic = 2.0 * gain - 1.0
                        damping <- Math.Max(damping * Math.Max(1.0 / 3.0, 1.0 - cubic * cubic * cubic), 1e-12)
                        growth <- 2.0
                    | ValueNone ->
                        damping <- damping * growth
                        growth <- growth * 2.0
                | _ ->
                    damping <- damping * growth
                    growth <- growth * 2.0

                if damping > 1e12 then
                    let gradient = DampedStep.gradient state.Value.Jacobian state.Value.Closed
                    let r = sqrt (2.0 * halfSquares state.Value.Closed)

                    let angle =
                        Seq.max (
                            seq {
                                0.0

                                for k in 0 .. gradient.Length - 1 do
                                    let held =
                                        u[k] <= lower[k] && gradient[k] > 0.0 || u[k] >= upper[k] && gradient[k] < 0.0

                                    if not held then
                                        abs gradient[k] / Math.Max(scaled[k] * r, 1e-300)
                            }
                        )

                    outcome <-
                        ValueSome(
                            if closed && angle < 1e-4 then
                                EstimationStatus.Converged
                            else
                                EstimationStatus.Stalled
                        )

                report {
                    Iteration = iteration
                    Objective = state.Objective
                    Gap = state.GapSize
                    Damping = damping
                }

        struct (state, outcome.Value, iteration)

    /// Root mean square residual of the observations, in units of the columns' scales, free of bias by the searched numbers.
    let private noise (shooting: Shooting) (state: State) =
        let count = shooting.Observations

        let sum =
            Seq.sum (seq { for i in 0 .. count - 1 -> state.Value.Residuals[i] * state.Value.Residuals[i] })

        sqrt (sum / float (max 1 (count - shooting.Searched.Length)))

    let private summarise
        (problem: EstimationProblem)
        (shooting: Shooting)
        (state: State)
        status
        iterations
        : Estimation =
        let u = state.Point.U
        let size = u.Length
        let values, slopes = shooting.Values u, shooting.Slopes u
        let atBound = Array.init size (fun k -> u[k] <= shooting.Lower[k] || u[k] >= shooting.Upper[k])
        let inner = [| 0 .. size - 1 |] |> Array.filter (fun k -> not atBound[k])
        let struct (inverse, undetermined) = DampedStep.covariance state.Value.Jacobian inner 1e-9
        let unknown = Double.IsNaN problem.Columns[0].Deviation
        let degrees = shooting.Observations - size
        let sigma = if unknown then noise shooting state else 1.0

        let quantile =
            if unknown && degrees > 0 then
                StudentT.InvCDF(0.0, 1.0, float degrees, 0.975)
            else
                Normal.InvCDF(0.0, 1.0, 0.975)

        let determined k = not (Array.contains k undetermined) && not (unknown && degrees <= 0)

        let error k =
            match Array.IndexOf(inner, k) with
            | -1 -> nan
            | at when determined k -> sigma * sqrt inverse[at, at]
            | _ -> nan

        let estimate k =
            let described = shooting.Searched[k]
            let e = error k

            let bound sign =
                if described.Logarithmic then
                    exp (u[k] + sign * quantile * e)
                else
                    values[k] + sign * quantile * e

            {
                Name = described.Name
                Value = values[k]
                StandardError = e * slopes[k]
                Lower95 = bound -1.0
                Upper95 = bound 1.0
                AtBound = atBound[k]
                Determined = determined k
            }

        let searched = Array.init size estimate
        let mutable next = 0

        let all (described: EstimatedParameter[]) =
            described
            |> Array.map (fun p ->
                if p.Upper > p.Lower then
                    next <- next + 1
                    searched[next - 1]
                else
                    {
                        Name = p.Name
                        Value = p.Initial
                        StandardError = 0.0
                        Lower95 = p.Initial
                        Upper95 = p.Initial
                        AtBound = false
                        Determined = true
                    })

        let initial = all problem.InitialState
        let parameters = all problem.Parameters

        let correlations =
            Array2D.init size size (fun a b ->
                let i, j = Array.IndexOf(inner, a), Array.IndexOf(inner, b)

                if i < 0 || j < 0 || not (determined a && determined b) then
                    nan
                else
                    inverse[i, j] / sqrt (inverse[i, i] * inverse[j, j]))

        let names (which: Estimate -> bool) =
            String.Join(", ", searched |> Array.filter which |> Array.map (fun e -> $"'{e.Name}'"))

        let bounds = names _.AtBound
        let loose = names (fun e -> not e.Determined)

        let message =
            [|
                match status with
                | EstimationStatus.Converged -> $"Converged after {iterations} iterations."
                | EstimationStatus.MaxIterationsReached ->
                    $"Stopped after {iterations} iterations; raise MaxIterations, or start nearer to the data."
                | _ ->
                    $"No step improves the fit after {iterations} iterations; tighten the tolerances of the solves, or try another start."
                if bounds <> "" then
                    $"On a bound: {bounds}."
                if loose <> "" then
                    $"Not determined by these data: {loose}; fix some of them, give priors, or observe more."
            |]
            |> String.concat " "

        let residuals =
            Array.init problem.Columns.Length (fun j ->
                let mine = [|
                    for i in 0 .. shooting.Present.Length - 1 do
                        let struct (_, column) = shooting.Present[i]

                        if column = j then
                            state.Value.Residuals[i] * shooting.Scales[j]
                |]

                sqrt (Array.averageBy (fun r -> r * r) mine))

        {
            Status = status
            Message = message
            Parameters = parameters
            InitialState = initial
            Correlations = correlations
            SearchedNames = shooting.Searched |> Array.map _.Name
            Objective = state.Objective
            Residuals = residuals
            DegreesOfFreedom = degrees
            Iterations = iterations
            Evaluations = shooting.Evaluations
            Segments = shooting.Segments
        }

    /// Finds the parameters (and initial values) that minimise the weighted squares of residuals and priors, within bounds. `report` may be
    /// null. ArgumentException where the problem makes no sense or the model cannot be simulated at the start; OperationCanceledException
    /// when cancelled. Levenberg 1944; Marquardt 1963; More 1978 (scaling); Nielsen 1999 (damping); Bock 1981 (shooting).
    let run
        (problem: EstimationProblem)
        (report: Action<EstimationReport>)
        (cancellation: CancellationToken)
        : Estimation =
        EstimationProblem.check problem
        let shooting = Shooting(problem, chooseSegments problem)

        if shooting.Searched.Length = 0 then
            raise (
                ArgumentException
                    "Every parameter and initial value is fixed; leave at least one to estimate (lower bound below upper bound)."
            )

        let sizes (point: ShootingPoint) =
            Array.init problem.Simulator.Size (fun c ->
                Math.Max(point.Nodes |> Array.map (fun node -> abs node[c]) |> Array.max, 1e-8))

        let start = shooting.Begin()

        shooting.Units <- sizes start

        let evaluate point derivatives =
            match shooting.Evaluate(point, derivatives) with
            | ValueNone -> ValueNone
            | ValueSome value ->
                let gap =
                    if Double.IsFinite shooting.GapWeight then
                        0.0
                    else
                        value.Gaps
                        |> Array.sumBy (fun gap -> Array.fold2 (fun s g u -> s + abs g / u) 0.0 gap shooting.Units)

                if Double.IsFinite gap then
                    ValueSome {
                        Point = point
                        Value = value
                        Objective = halfSquares value.Residuals
                        GapSize = gap
                    }
                else
                    ValueNone

        let tell r =
            if not (isNull report) then
                report.Invoke r

        let at point =
            match evaluate point true with
            | ValueSome state -> state
            | ValueNone ->
                raise (
                    ArgumentException
                        $"The model cannot be simulated at the start values ({shooting.Message}); start nearer to plausible values, or use more segments."
                )

        let mutable point = start
        let mutable iterations = 0

        // Segments first stay near the data and may end apart; what that costs rises until they join.
        if shooting.Segments > 1 then
            for weight in [ 0.3; 1.0; 3.0; 10.0; 100.0 ] do
                shooting.GapWeight <- weight

                let struct (state, _, more) =
                    minimise shooting (min 30 problem.MaxIterations) 1e-3 (at point) evaluate tell cancellation

                point <- state.Point
                iterations <- iterations + more

            shooting.GapWeight <- infinity

        let unknown = Double.IsNaN problem.Columns[0].Deviation

        let struct (found, how, more) =
            minimise shooting problem.MaxIterations 1e-14 (at point) evaluate tell cancellation

        let mutable state = found
        let mutable status = how
        iterations <- iterations + more

        // Priors are weighed against the noise, which the residuals tell: alternate.
        if unknown && shooting.HasPriors then
            let mutable round = 0
            let mutable again = true

            while again && round < 10 do
                round <- round + 1
                let sigma = Math.Max(noise shooting state, 1e-12)
                again <- abs (sigma / shooting.PriorWeight - 1.0) > 1e-3
                shooting.PriorWeight <- sigma

                if again then
                    match evaluate state.Point true with
                    | ValueSome fresh ->
                        let struct (next, how, more) =
                            minimise shooting problem.MaxIterations 1e-14 fresh evaluate tell cancellation

                        state <- next
                        status <- how
                        iterations <- iterations + more
                    | ValueNone -> again <- false

        summarise problem shooting state status iterations
