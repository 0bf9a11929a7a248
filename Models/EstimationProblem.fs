// What parameter estimation is told: parameters with bounds and priors, observations, data, and how to simulate.
namespace Continuum

open System

/// What is known of a parameter before the data.
[<RequireQualifiedAccess>]
type ParameterPrior =
    /// Nothing beyond its bounds.
    | Flat
    /// Normal with this mean and standard deviation, in the parameter's unit.
    | Normal of mean: float * deviation: float
    /// Lognormal: its logarithm is normal around log median with this standard deviation.
    | LogNormal of median: float * deviation: float

/// A number to estimate.
type EstimatedParameter = {
    /// Name for reports.
    Name: string
    /// Where the search starts; inside the bounds.
    Initial: float
    /// Least value allowed; -infinity for none.
    Lower: float
    /// Largest value allowed; +infinity for none.
    Upper: float
    /// Prior knowledge.
    Prior: ParameterPrior
    /// Search in the logarithm: for positive parameters known to an order of magnitude only.
    Logarithmic: bool
}

/// How one column of data follows from the state.
type ObservedColumn = {
    /// Name for reports.
    Name: string
    /// Component of the state that the column observes.
    Component: int
    /// Errors are those of the logarithm: for positive quantities with a relative error.
    Logarithmic: bool
    /// Standard deviation of the observation (of its logarithm, where logarithmic); NaN: the same unknown multiple of the column's scale
    /// for all columns, estimated from the residuals.
    Deviation: float
}

/// States at times of a simulation, with their derivatives for initial state and parameters.
type SimulatedSegment = {
    /// How the solve ended.
    Status: Status
    /// Why it failed; empty otherwise.
    Message: string
    /// State at each requested time.
    States: float[][]
    /// d state / d initial state at each time, row-major (n, n); empty when not asked for.
    ByInitial: float[][]
    /// d state / d parameters at each time, row-major (n, q); empty when not asked for.
    ByParameters: float[][]
    /// Evaluations of the field.
    Evaluations: int
}

/// Simulates y' = f(t, y; p) and its sensitivities.
type ISensitivitySimulator =
    /// Components of the state.
    abstract Size: int
    /// Parameters of the field.
    abstract ParameterCount: int
    /// Solves from (t0, y0) and returns the states at the times (rising, all after t0), with derivatives if asked.
    abstract Simulate: t0: float * y0: float[] * p: float[] * times: float[] * derivatives: bool -> SimulatedSegment

/// A parameter estimation: which p and y(t0) make y' = f(t, y; p) follow the data.
type EstimationProblem = {
    /// The model.
    Simulator: ISensitivitySimulator
    /// One for each parameter of the model, in its order.
    Parameters: EstimatedParameter[]
    /// One for each component of the state at the first time; a component with Lower = Upper is known.
    InitialState: EstimatedParameter[]
    /// Time of the initial state; not after the first time of the data.
    Start: float
    /// What the columns of the data observe.
    Columns: ObservedColumn[]
    /// Times of the data, rising.
    Times: float[]
    /// Observations, (times, columns); NaN where there is none.
    Values: float[,]
    /// Segments of multiple shooting; 1 is single shooting, 0 chooses by the data.
    Segments: int
    /// Iterations allowed.
    MaxIterations: int
}

/// Checks of estimation problems.
[<RequireQualifiedAccess>]
module internal EstimationProblem =
    let private bad (text: string) = raise (ArgumentException text)

    let private checkParameter (what: string) (p: EstimatedParameter) =
        let name = $"{what} '{p.Name}'"

        if not (p.Lower <= p.Upper) then
            bad $"The bounds of {name} are [{p.Lower}, {p.Upper}]; give a lower bound that is not above the upper one."

        if not (Double.IsFinite p.Initial && p.Initial >= p.Lower && p.Initial <= p.Upper) then
            bad
                $"The start {p.Initial} of {name} must be finite and inside its bounds [{p.Lower}, {p.Upper}]; move the start or widen the bounds."

        if p.Logarithmic && not (p.Initial > 0.0 && p.Lower >= 0.0) then
            bad
                $"{name} is searched in its logarithm, so its start ({p.Initial}) must be above 0 and its lower bound ({p.Lower}) at least 0."

        match p.Prior with
        | ParameterPrior.Flat -> ()
        | ParameterPrior.Normal(mean, deviation) ->
            if not (Double.IsFinite mean && Double.IsFinite deviation && deviation > 0.0) then
                bad
                    $"The normal prior of {name} needs a finite mean and a deviation above 0; got {mean} and {deviation}."
        | ParameterPrior.LogNormal(median, deviation) ->
            if not (Double.IsFinite median && median > 0.0 && Double.IsFinite deviation && deviation > 0.0) then
                bad
                    $"The lognormal prior of {name} needs a median and a deviation above 0; got {median} and {deviation}."

            if p.Initial <= 0.0 then
                bad $"{name} has a lognormal prior, so its start must be above 0; got {p.Initial}."

    /// ArgumentException, naming the entry and the remedy, where the problem makes no sense.
    let check (problem: EstimationProblem) =
        let n = problem.Simulator.Size

        if problem.Parameters.Length <> problem.Simulator.ParameterCount then
            bad
                $"The model has {problem.Simulator.ParameterCount} parameters and {problem.Parameters.Length} are described; describe each once, in the model's order."

        if problem.InitialState.Length <> n then
            bad $"The state has {n} components and {problem.InitialState.Length} initial values are described."

        Array.iter (checkParameter "parameter") problem.Parameters
        Array.iter (checkParameter "initial value") problem.InitialState
        let rows, columns = problem.Times.Length, problem.Columns.Length

        if problem.Values.GetLength 0 <> rows || problem.Values.GetLength 1 <> columns then
            bad
                $"The data have shape ({problem.Values.GetLength 0}, {problem.Values.GetLength 1}) for {rows} times and {columns} columns."

        if rows = 0 || columns = 0 then
            bad "There are no data; give at least one time and one observed column."

        for i in 0 .. rows - 1 do
            if not (Double.IsFinite problem.Times[i]) || i > 0 && problem.Times[i] <= problem.Times[i - 1] then
                bad $"The times of the data must be finite and rise strictly; entry {i} is {problem.Times[i]}."

        if not (problem.Start <= problem.Times[0]) then
            bad
                $"The start {problem.Start} lies after the first time of the data, {problem.Times[0]}; start there or before."

        for j in 0 .. columns - 1 do
            let column = problem.Columns[j]

            if column.Component < 0 || column.Component >= n then
                bad $"Column '{column.Name}' observes component {column.Component}; the state has {n}."

            if not (Double.IsNaN column.Deviation) && not (column.Deviation > 0.0) then
                bad
                    $"The deviation of column '{column.Name}' must be above 0, or NaN for unknown; got {column.Deviation}."

            if Double.IsNaN column.Deviation <> Double.IsNaN problem.Columns[0].Deviation then
                bad "Give the deviation of every column, or of none."

            let mutable seen = 0

            for i in 0 .. rows - 1 do
                let value = problem.Values[i, j]

                if Double.IsInfinity value || column.Logarithmic && value <= 0.0 then
                    bad
                        $"Column '{column.Name}' is {value} at time {problem.Times[i]}; observations must be finite (NaN where missing), and above 0 where their logarithm is fitted."

                if not (Double.IsNaN value) then
                    seen <- seen + 1

            if seen = 0 then
                bad $"Column '{column.Name}' has no observation; leave it out."

        if problem.Segments < 0 then
            bad $"Segments must be 0 (automatic) or above; got {problem.Segments}."

        if problem.MaxIterations < 1 then
            bad $"MaxIterations must be at least 1; got {problem.MaxIterations}."
