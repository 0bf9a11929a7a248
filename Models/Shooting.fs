// Multiple shooting: residuals, gaps between segments, and their derivatives condensed to initial values and parameters.
// Bock 1981; Bock, Kostina and Schloeder 2007.
namespace Continuum

open System

/// The unknowns of a multiple-shooting problem.
type internal ShootingPoint = {
    /// Searched initial values, then searched parameters; logarithms where so described.
    U: float[]
    /// State at the start of every segment; the first follows from U.
    Nodes: float[][]
}

/// Residuals at a point, and their linearisation in U once the gaps are closed to first order.
type internal ShootingValue = {
    /// Weighted residuals of data and priors.
    Residuals: float[]
    /// End of each segment minus the start of the next, (segments - 1) of n components.
    Gaps: float[][]
    /// d residuals / d V; empty (0, 0) without derivatives. V is U, with the nodes following; when gaps are residuals V is U and then the
    /// nodes but the first.
    Jacobian: float[,]
    /// Residuals after the gaps are closed to first order at unchanged U.
    Closed: float[]
    /// d node / d V, (n, V) for each node.
    NodeByV: float[,][]
    /// Change of each node that closes the gaps at unchanged U.
    NodeShift: float[][]
}

/// The functions of one estimation problem.
[<Sealed>]
type internal Shooting(problem: EstimationProblem, segments: int) =
    let n = problem.Simulator.Size
    let q = problem.Parameters.Length
    let rows = problem.Times.Length

    /// Searched ones: bounds that leave room.
    let free (described: EstimatedParameter[]) = [|
        for i in 0 .. described.Length - 1 do
            if described[i].Upper > described[i].Lower then
                i
    |]

    let freeInitial = free problem.InitialState
    let freeParameters = free problem.Parameters

    let searched =
        Array.append
            (freeInitial |> Array.map (fun i -> problem.InitialState[i]))
            (freeParameters |> Array.map (fun i -> problem.Parameters[i]))

    let into (p: EstimatedParameter) value = if p.Logarithmic then log value else value

    // Rows of the data that end a segment, and the times where segments start.
    let ends = [| for s in 1..segments -> s * rows / segments - 1 |]
    let starts = Array.init segments (fun s -> if s = 0 then problem.Start else problem.Times[ends[s - 1]])
    let firstRow s = if s = 0 then 0 else ends[s - 1] + 1

    let scales =
        problem.Columns
        |> Array.mapi (fun j column ->
            if Double.IsNaN column.Deviation then
                let values = [|
                    for i in 0 .. rows - 1 do
                        let value = problem.Values[i, j]

                        if not (Double.IsNaN value) then
                            if column.Logarithmic then log value else value
                |]

                let mean = Array.average values
                let spread = sqrt (Array.averageBy (fun v -> (v - mean) * (v - mean)) values)
                if spread > 0.0 then spread else Math.Max(abs mean, 1.0)
            else
                column.Deviation)

    let observed (column: ObservedColumn) (value: float) = if column.Logarithmic then log value else value

    let present = [|
        for i in 0 .. rows - 1 do
            for j in 0 .. problem.Columns.Length - 1 do
                if not (Double.IsNaN problem.Values[i, j]) then
                    struct (i, j)
    |]

    let hasPriors = searched |> Array.exists (fun p -> p.Prior <> ParameterPrior.Flat)
    let mutable evaluations = 0
    let mutable message = ""

    /// Unit of gaps, for each component.
    member val Units = Array.create n 1.0 with get, set
    /// Weight of gaps as residuals; infinite: gaps are constraints, closed to first order in every step.
    member val GapWeight = infinity with get, set
    /// Weight of priors against residuals in units of the columns' scales.
    member val PriorWeight = 1.0 with get, set
    member _.Searched = searched
    member _.HasPriors = hasPriors
    member _.Observations = present.Length
    member _.Segments = segments
    member _.Evaluations = evaluations
    /// Why the last evaluation failed.
    member _.Message = message
    /// Unit of each column's residuals.
    member _.Scales = scales
    member _.Present = present

    member _.Lower = searched |> Array.map (fun p -> into p p.Lower)
    member _.Upper = searched |> Array.map (fun p -> into p p.Upper)
    member private this.Relaxed = Double.IsFinite this.GapWeight
    /// Length of V.
    member this.Width = searched.Length + (if this.Relaxed then n * (segments - 1) else 0)

    /// The point in V.
    member this.Flatten(point: ShootingPoint) =
        if this.Relaxed then
            Array.append point.U (Array.concat point.Nodes[1..])
        else
            point.U

    /// Natural values of U.
    member _.Values(u: float[]) =
        Array.mapi (fun i (p: EstimatedParameter) -> if p.Logarithmic then exp u[i] else u[i]) searched

    /// d natural value / d U.
    member this.Slopes(u: float[]) =
        Array.map2 (fun (p: EstimatedParameter) value -> if p.Logarithmic then value else 1.0) searched (this.Values u)

    /// All parameters of the model at U.
    member this.Parameters(u: float[]) =
        let values = this.Values u
        let p = problem.Parameters |> Array.map _.Initial
        freeParameters |> Array.iteri (fun k i -> p[i] <- values[freeInitial.Length + k])
        p

    /// The initial state at U.
    member this.Initial(u: float[]) =
        let values = this.Values u
        let y = problem.InitialState |> Array.map _.Initial
        freeInitial |> Array.iteri (fun k i -> y[i] <- values[k])
        y

    /// The described starts of U.
    member _.StartU = searched |> Array.map (fun p -> into p p.Initial)

    member private this.Segment(point: ShootingPoint, s: int, derivatives: bool) =
        let first = firstRow s
        let skip = s = 0 && problem.Times[0] = problem.Start
        let first = if skip then first + 1 else first
        let times = problem.Times[first .. ends[s]]

        let result =
            if times.Length = 0 then
                {
                    Status = Status.Success
                    Message = ""
                    States = [||]
                    ByInitial = [||]
                    ByParameters = [||]
                    Evaluations = 0
                }
            else
                problem.Simulator.Simulate(starts[s], point.Nodes[s], this.Parameters point.U, times, derivatives)

        evaluations <- evaluations + result.Evaluations

        if not skip then
            result
        else
            let identity = Array.init (n * n) (fun k -> if k / n = k % n then 1.0 else 0.0)

            {
                result with
                    States = Array.append [| point.Nodes[0] |] result.States
                    ByInitial = Array.append [| identity |] result.ByInitial
                    ByParameters = Array.append [| Array.zeroCreate (n * q) |] result.ByParameters
            }

    /// Residuals and gaps; ValueNone, with a message, where the model cannot be simulated.
    member this.Evaluate(point: ShootingPoint, derivatives: bool) : ShootingValue voption =
        let size = searched.Length
        let relaxed = this.Relaxed
        let width = this.Width
        let slopes = this.Slopes point.U
        let values = this.Values point.U

        let segmentResults = Array.init segments (fun s -> this.Segment(point, s, derivatives))

        let failed =
            segmentResults
            |> Array.tryFindIndex (fun r ->
                r.Status <> Status.Success || r.States |> Array.exists (Array.exists (Double.IsFinite >> not)))

        match failed with
        | Some s ->
            message <-
                (if segmentResults[s].Message = "" then
                     "the simulated states are not finite"
                 else
                     segmentResults[s].Message)

            ValueNone
        | None ->
            let priors = [|
                for k in 0 .. size - 1 do
                    match searched[k].Prior with
                    | ParameterPrior.Flat -> ()
                    | ParameterPrior.Normal(mean, deviation) ->
                        struct (k, (values[k] - mean) / deviation, slopes[k] / deviation)
                    | ParameterPrior.LogNormal(median, deviation) ->
                        struct (k, log (values[k] / median) / deviation, slopes[k] / values[k] / deviation)
            |]

            let gapRows = if relaxed then n * (segments - 1) else 0
            let count = present.Length + priors.Length + gapRows
            let residuals = Array.zeroCreate count
            let closed = Array.zeroCreate count
            let jacobian = if derivatives then Array2D.zeroCreate count width else Array2D.zeroCreate 0 0

            let gaps =
                Array.init (segments - 1) (fun s ->
                    Array.map2 (-) (Array.last segmentResults[s].States) point.Nodes[s + 1])

            let nodeByV = Array.init segments (fun _ -> Array2D.zeroCreate (if derivatives then n else 0) width)
            let nodeShift = Array.init segments (fun _ -> Array.zeroCreate n)

            if derivatives then
                freeInitial |> Array.iteri (fun k i -> nodeByV[0][i, k] <- slopes[k])

            /// d state / d U and the shift of a row of a segment.
            let follow s local component' =
                let g: float[] = segmentResults[s].ByInitial[local]
                let p: float[] = segmentResults[s].ByParameters[local]
                let derivative = Array.zeroCreate width
                let mutable shift = 0.0

                for l in 0 .. n - 1 do
                    let gl = g[component' * n + l]
                    shift <- shift + gl * nodeShift[s][l]

                    for k in 0 .. width - 1 do
                        derivative[k] <- derivative[k] + gl * nodeByV[s][l, k]

                for k in 0 .. freeParameters.Length - 1 do
                    let at = freeInitial.Length + k
                    derivative[at] <- derivative[at] + p[component' * q + freeParameters[k]] * slopes[at]

                struct (derivative, shift)

            let mutable row = 0

            for s in 0 .. segments - 1 do
                while row < present.Length && (let struct (i, _) = present[row] in i <= ends[s]) do
                    let struct (i, j) = present[row]
                    let column = problem.Columns[j]
                    let local = i - firstRow s
                    let state = segmentResults[s].States[local]
                    let value = state[column.Component]
                    let weight = 1.0 / scales[j]
                    residuals[row] <- weight * (observed column value - observed column problem.Values[i, j])
                    closed[row] <- residuals[row]

                    if derivatives then
                        let weight = if column.Logarithmic then weight / value else weight
                        let struct (derivative, shift) = follow s local column.Component
                        closed[row] <- residuals[row] + weight * shift

                        for k in 0 .. width - 1 do
                            jacobian[row, k] <- weight * derivative[k]

                    row <- row + 1

                if s < segments - 1 then
                    let local = segmentResults[s].States.Length - 1

                    for c in 0 .. n - 1 do
                        let gapRow = present.Length + priors.Length + s * n + c
                        let weight = this.GapWeight / this.Units[c]

                        if relaxed then
                            residuals[gapRow] <- weight * gaps[s][c]
                            closed[gapRow] <- residuals[gapRow]

                        if derivatives then
                            let struct (derivative, shift) = follow s local c

                            if relaxed then
                                let own = size + s * n + c
                                nodeByV[s + 1][c, own] <- 1.0
                                derivative[own] <- derivative[own] - 1.0

                                for k in 0 .. width - 1 do
                                    jacobian[gapRow, k] <- weight * derivative[k]
                            else
                                nodeShift[s + 1][c] <- shift + gaps[s][c]

                                for k in 0 .. width - 1 do
                                    nodeByV[s + 1][c, k] <- derivative[k]

            priors
            |> Array.iteri (fun r (struct (k, value, slope)) ->
                residuals[present.Length + r] <- this.PriorWeight * value
                closed[present.Length + r] <- this.PriorWeight * value

                if derivatives then
                    jacobian[present.Length + r, k] <- this.PriorWeight * slope)

            if Array.exists (Double.IsFinite >> not) residuals then
                message <- "an observed state is not positive where its logarithm is fitted"
                ValueNone
            else
                ValueSome {
                    Residuals = residuals
                    Gaps = gaps
                    Jacobian = jacobian
                    Closed = closed
                    NodeByV = nodeByV
                    NodeShift = nodeShift
                }

    /// The described start: nodes from the data where a component is observed (linear in time), else from the model started at the first
    /// node, else its initial value.
    member this.Begin() : ShootingPoint =
        let u = this.StartU
        let initial = this.Initial u

        let simulated =
            lazy
                (let times = starts[1..]

                 let result = problem.Simulator.Simulate(problem.Start, initial, this.Parameters u, times, false)

                 evaluations <- evaluations + result.Evaluations
                 if result.Status = Status.Success then result.States else [||])

        let fromData (component': int) (time: float) =
            match problem.Columns |> Array.tryFindIndex (fun c -> c.Component = component') with
            | None -> ValueNone
            | Some j ->
                let known = [|
                    for i in 0 .. rows - 1 do
                        if not (Double.IsNaN problem.Values[i, j]) then
                            i
                |]

                let after = known |> Array.tryFind (fun i -> problem.Times[i] >= time)
                let before = known |> Array.tryFindBack (fun i -> problem.Times[i] <= time)

                match before, after with
                | Some a, Some b when b > a ->
                    let theta = (time - problem.Times[a]) / (problem.Times[b] - problem.Times[a])
                    ValueSome(problem.Values[a, j] + theta * (problem.Values[b, j] - problem.Values[a, j]))
                | Some a, _
                | _, Some a -> ValueSome problem.Values[a, j]
                | None, None -> ValueNone

        let node s =
            if s = 0 then
                initial
            else
                Array.init n (fun c ->
                    match fromData c starts[s] with
                    | ValueSome value -> value
                    | ValueNone ->
                        if simulated.Value.Length > 0 && Array.forall Double.IsFinite simulated.Value[s - 1] then
                            simulated.Value[s - 1][c]
                        else
                            initial[c])

        { U = u; Nodes = Array.init segments node }

    /// The point after a share alpha of a step v in V, with the nodes following the linearisation.
    member this.Move(point: ShootingPoint, value: ShootingValue, v: float[], alpha: float) : ShootingPoint =
        let u = Array.mapi (fun k a -> a + alpha * v[k]) point.U

        let u =
            Array.map3 (fun (a: float) (low: float) high -> Math.Clamp(a, low, high)) u this.Lower this.Upper

        let node s =
            if s = 0 then
                this.Initial u
            else
                Array.init n (fun c ->
                    let mutable change = value.NodeShift[s][c]

                    for k in 0 .. v.Length - 1 do
                        change <- change + value.NodeByV[s][c, k] * v[k]

                    point.Nodes[s][c] + alpha * change)

        { U = u; Nodes = Array.init segments node }
