// Exact Jacobians of generic fields by forward derivatives, eight colours of columns at an evaluation.
namespace Continuum

#nowarn "3535" "3536"

open System
open System.Runtime.Intrinsics

/// The Jacobian of a generic field by Partials over coloured columns. Where a lane is left over df/dt comes with it.
[<Sealed>]
type internal ColouredJacobian<'G when 'G: struct and 'G :> IGenericField>
    (field: 'G, parameters: float[], sparsity: Sparsity, autonomous: bool) =
    inherit JacobianSource(Sparsity.shape field.Size sparsity)
    let n = field.Size
    let shape = Sparsity.shape n sparsity
    let colouring = Sparsity.colouring n sparsity
    let columnRows = ColumnRows.Of(n, sparsity)
    let colours = colouring.Count
    // the lane of t in the last group of colours, where one is free
    let timeLane = if autonomous || colours % 8 = 0 then -1 else colours % 8
    let y8: Partials[] = Array.zeroCreate n
    let p8 = parameters |> Array.map (fun p -> Partials(p, Vector512<float>.Zero))
    let f8: Partials[] = Array.zeroCreate n
    let lanes: float[] = Array.zeroCreate 8
    let timeSlopes: float[] = Array.zeroCreate n
    let mutable timeOfSlopes = nan
    let mutable evaluations = 0

    let constant (x: float) = Partials(x, Vector512<float>.Zero)

    let evaluate (t: Partials) =
        evaluations <- evaluations + 1

        for i in 0 .. parameters.Length - 1 do
            p8[i] <- constant parameters[i]

        field.Evaluate<Partials>(t, ReadOnlySpan<Partials> y8, ReadOnlySpan<Partials> p8, Span<Partials> f8)

    let setConstants (y: float[]) =
        for i in 0 .. n - 1 do
            y8[i] <- constant y[i]

    /// Whether the time slopes kept belong to (t, y): y8 still holds the values of the last Fill.
    let isKept t (y: float[]) =
        let mutable same = timeOfSlopes = t
        let mutable i = 0

        while same && i < n do
            same <- y8[i].Value = y[i]
            i <- i + 1

        same

    /// Rows of a dense group: whole rows of eight columns, or fewer in the last group.
    let copyDense (first: int) (values: float[]) =
        let count = min 8 (n - first)

        for i in 0 .. n - 1 do
            if count = 8 then
                f8[i].Derivatives.CopyTo(values, i * n + first)
            else
                f8[i].Derivatives.CopyTo lanes

                for j in 0 .. count - 1 do
                    values[i * n + first + j] <- lanes[j]

                if timeLane >= 0 then
                    timeSlopes[i] <- lanes[timeLane]

    let copyColoured (first: int) (values: float[]) =
        for c in first .. min (first + 8) colours - 1 do
            for j in colouring.Columns[c] do
                for index in 0 .. columnRows.Count j - 1 do
                    let i = columnRows.Row(j, index)
                    values[i * shape.Stride + j + shape.Offset] <- f8[i].Derivatives.GetElement(c - first)

    override _.Evaluations = evaluations

    override _.Fill(t, y, _, values) =
        if not sparsity.IsDense then
            Array.Clear values

        setConstants y
        let mutable first = 0

        while first < colours do
            let last = min (first + 8) colours - 1

            for c in first..last do
                for j in colouring.Columns[c] do
                    y8[j] <- Partials.Variable(y[j], c - first)

            let withTime = timeLane >= 0 && last - first < 7
            evaluate (if withTime then Partials.Variable(t, timeLane) else constant t)

            if sparsity.IsDense then
                copyDense first values
            else
                copyColoured first values

                if withTime then
                    for i in 0 .. n - 1 do
                        timeSlopes[i] <- f8[i].Derivatives.GetElement timeLane

            if last < colours - 1 then
                for c in first..last do
                    for j in colouring.Columns[c] do
                        y8[j] <- constant y[j]

            first <- first + 8

        timeOfSlopes <- if timeLane >= 0 then t else nan

    override _.TimeSlope(t, y, _, dest) =
        if autonomous then
            Array.Clear dest
        elif isKept t y then
            Array.blit timeSlopes 0 dest 0 n
        else
            setConstants y
            timeOfSlopes <- nan
            evaluate (Partials.Variable(t, 0))

            for i in 0 .. n - 1 do
                dest[i] <- f8[i].Derivatives.GetElement 0
