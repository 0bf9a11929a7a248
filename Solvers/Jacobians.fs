// Where Jacobians of fields on arrays come from: given, exact by dual numbers, or by finite differences over coloured columns.
namespace Continuum

open System
open System.Runtime.CompilerServices

/// The entries of a Jacobian, or of its band, to be written: entry (i, j) is df_i/dy_j.
[<Struct; IsByRefLike; IsReadOnly>]
type JacobianMatrix internal (shape: MatrixShape, values: Span<float>) =
    /// Rows and columns.
    member _.Size = shape.Size

    /// Entry (i, j), to read and to write. IndexOutOfRangeException where it lies outside of the matrix, or of the band that the
    /// system declares.
    member _.Item
        with get (i: int, j: int): byref<float> =
            if uint i >= uint shape.Size || uint j >= uint shape.Size || not (shape.Contains(i, j)) then
                JacobianMatrix.Refuse(shape, i, j)

            &values[i * shape.Stride + j + shape.Offset]

    static member private Refuse(shape: MatrixShape, i: int, j: int) =
        let range = $"[0, {shape.Size})"

        raise (
            IndexOutOfRangeException(
                if shape.IsDense then
                    $"The Jacobian has no entry ({i}, {j}); rows and columns lie in {range}."
                else
                    $"The Jacobian has no entry ({i}, {j}): rows and columns lie in {range} and the system's band is {shape.Lower} below and {shape.Upper} above the diagonal; widen the band."
            )
        )

/// The Jacobian df/dy at (t, y): writes the entries of jacobian, which are zero before the call.
type JacobianFunction = delegate of t: float * y: ReadOnlySpan<float> * jacobian: JacobianMatrix -> unit

/// A source of Jacobians and time slopes for one solve; holds its buffers.
[<AbstractClass>]
type internal JacobianSource(shape: MatrixShape) =
    /// How Fill lays out its values.
    member _.Shape = shape
    /// Writes df/dy at (t, y), where f(t, y) = slope, into values (shape.Length numbers, whatever was there before).
    abstract Fill: t: float * y: float[] * slope: float[] * values: float[] -> unit
    /// Writes df/dt at (t, y) into dest.
    abstract TimeSlope: t: float * y: float[] * slope: float[] * dest: float[] -> unit
    /// Evaluations of the field so far.
    abstract Evaluations: int

/// A partition of columns so that no two of a colour have an entry in the same row: one evaluation gives a whole colour.
/// Curtis, Powell and Reid 1974.
[<Sealed>]
type internal Colouring(columnsOf: int[][]) =
    /// Columns of each colour.
    member _.Columns = columnsOf
    /// Number of colours.
    member _.Count = columnsOf.Length

    /// Every column for itself.
    static member Dense(n: int) = Colouring(Array.init n (fun j -> [| j |]))

    /// Columns lower + upper + 1 apart share a colour.
    static member Band(n: int, lower: int, upper: int) =
        let count = min n (lower + upper + 1)
        Colouring(Array.init count (fun c -> [| for j in c..count .. n - 1 -> j |]))

    /// Greedy, columns with many entries first. rows.[i] are the columns of row i.
    static member Pattern(n: int, rows: int[][]) =
        let rowsOf = Array.init n (fun _ -> ResizeArray<int>())

        rows
        |> Array.iteri (fun i columns ->
            for j in columns do
                rowsOf[j].Add i)

        let colour = Array.create n -1

        // the column that last forbade a colour
        let forbidden = Array.create n -1

        for j in Array.init n id |> Array.sortBy (fun j -> -rowsOf[j].Count) do
            for i in rowsOf[j] do
                for other in rows[i] do
                    if colour[other] >= 0 then
                        forbidden[colour[other]] <- j

            colour[j] <- Array.findIndex (fun last -> last <> j) forbidden

        let count = if n = 0 then 0 else 1 + Array.max colour

        Colouring(
            Array.init count (fun c -> [|
                for j in 0 .. n - 1 do
                    if colour[j] = c then
                        j
            |])
        )

/// Which entries of a Jacobian can differ from zero.
[<RequireQualifiedAccess>]
type internal Sparsity =
    | Dense
    | Band of lower: int * upper: int
    /// Columns of every row, in ascending order.
    | Pattern of int[][]

module internal Sparsity =
    /// Diagonals below and above the main one that a pattern reaches.
    let bandwidth (rows: int[][]) =
        let mutable lower = 0
        let mutable upper = 0

        rows
        |> Array.iteri (fun i columns ->
            for j in columns do
                lower <- max lower (i - j)
                upper <- max upper (j - i))

        struct (lower, upper)

    /// Storage for the matrix: banded where that saves work over dense elimination.
    let shape (n: int) (sparsity: Sparsity) =
        let band lower upper =
            if 2 * lower + upper + 1 < n then
                MatrixShape.Band(n, lower, upper)
            else
                MatrixShape.Dense n

        match sparsity with
        | Sparsity.Dense -> MatrixShape.Dense n
        | Sparsity.Band(lower, upper) -> band (min lower (n - 1)) (min upper (n - 1))
        | Sparsity.Pattern rows ->
            let struct (lower, upper) = bandwidth rows
            band lower upper

    let colouring (n: int) (sparsity: Sparsity) =
        match sparsity with
        | Sparsity.Dense -> Colouring.Dense n
        | Sparsity.Band(lower, upper) -> Colouring.Band(n, min lower (n - 1), min upper (n - 1))
        | Sparsity.Pattern rows -> Colouring.Pattern(n, rows)

    /// For each column its rows: null where the pattern is dense or a band (then they are computed).
    let rowsOfColumns (n: int) (sparsity: Sparsity) =
        match sparsity with
        | Sparsity.Pattern rows ->
            let lists = Array.init n (fun _ -> ResizeArray<int>())

            rows
            |> Array.iteri (fun i columns ->
                for j in columns do
                    lists[j].Add i)

            lists |> Array.map _.ToArray()
        | _ -> null

/// Visits the rows of a column: a pattern's list, or the range of a band (a dense matrix is a band).
[<Struct>]
type internal ColumnRows(n: int, sparsity: Sparsity, lists: int[][]) =
    member _.First(j: int) =
        match sparsity with
        | Sparsity.Band(_, upper) -> max 0 (j - upper)
        | _ -> 0

    member this.Count(j: int) =
        match sparsity with
        | Sparsity.Dense -> n
        | Sparsity.Band(lower, _) -> min (n - 1) (j + lower) - this.First j + 1
        | Sparsity.Pattern _ -> lists[j].Length

    member this.Row(j: int, index: int) = if isNull lists then this.First j + index else lists[j][index]

    static member Of(n, sparsity) = ColumnRows(n, sparsity, Sparsity.rowsOfColumns n sparsity)

/// Forward differences, a colour at an evaluation. The increment of a component is sqrt(eps) of its size or of its absolute tolerance:
/// a longer one falsifies the curvature that decides how slow reactions end (Robertson's problem at t = 1e11). Where the terms of a row
/// are so large that their rounding drowns the difference, as where a component starts at zero beside others of size one, that row is
/// differenced again with an increment that suits it. Hairer and Wanner, IV.8; Salane 1986 (increments judged by rounding).
[<Sealed>]
type internal DifferenceJacobian<'F when 'F: struct and 'F :> IField<float[], float>>
    (field: 'F, n: int, sparsity: Sparsity, smallest: float[], autonomous: bool) =
    inherit JacobianSource(Sparsity.shape n sparsity)
    let mutable field = field
    let shape = Sparsity.shape n sparsity
    let colouring = Sparsity.colouring n sparsity
    let columnRows = ColumnRows.Of(n, sparsity)
    let moved: float[] = Array.zeroCreate n
    let increments: float[] = Array.zeroCreate n
    let longer: float[] = Array.zeroCreate n
    // Of each row: its largest entry, and the rounding of its largest term.
    let largest: float[] = Array.zeroCreate n
    let rounding: float[] = Array.zeroCreate n
    let mutable slopes: float[] = Array.zeroCreate n
    let mutable evaluations = 0
    let mutable first = true
    let mutable lastTime = nan
    let mutable size = 0.0
    let epsilon = 2.2e-16
    let root = sqrt epsilon
    // An entry may be wrong by this part of itself, one that looks like zero by this part of its row's largest.
    let tolerated = 1e-6
    let toleratedZero = 1e-4
    // The largest size seen of each component: one that passes through zero keeps a scale.
    let seen: float[] = Array.zeroCreate n

    let evaluate t =
        evaluations <- evaluations + 1
        slopes <- field.Eval(t, moved, slopes)

    let finite (values: float[]) =
        let mutable s = 0.0

        for i in 0 .. n - 1 do
            s <- s + 0.0 * values[i]

        s = 0.0

    // what is added in floating point is what is divided by
    let rounded (y: float[]) (slope: float[]) j (size: float) =
        let delta = if slope[j] < 0.0 then -size else size
        (y[j] + delta) - y[j]

    let increment (y: float[]) (slope: float[]) j =
        seen[j] <- max (abs y[j]) (seen[j] * 0.9)
        rounded y slope j (root * max (max (abs y[j]) (1e-3 * seen[j])) smallest[j])

    let shift (y: float[]) (columns: int[]) (lengths: float[]) sign =
        for j in columns do
            moved[j] <- y[j] + sign * lengths[j]

    /// Moves the columns by the lengths and evaluates; 1, or -1 where there is a wall on this side (a root, a logarithm).
    let difference t (y: float[]) (columns: int[]) (lengths: float[]) =
        shift y columns lengths 1.0
        evaluate t

        if finite slopes then
            1.0
        else
            shift y columns lengths -1.0
            evaluate t
            -1.0

    let restore (y: float[]) (columns: int[]) =
        for j in columns do
            moved[j] <- y[j]

    let at i j = i * shape.Stride + j + shape.Offset

    let measureRows (y: float[]) (slope: float[]) (values: float[]) =
        size <- 0.0

        for i in 0 .. n - 1 do
            size <- max size (abs y[i])
            largest[i] <- 0.0
            rounding[i] <- epsilon * abs slope[i]

        for j in 0 .. n - 1 do
            for index in 0 .. columnRows.Count j - 1 do
                let i = columnRows.Row(j, index)
                let entry = abs values[at i j]
                largest[i] <- max largest[i] entry
                rounding[i] <- max rounding[i] (epsilon * entry * abs y[j])

    /// Whether rounding drowns an entry. A row that has no entry at all is asked about once only.
    let isDrowned (values: float[]) i j =
        if largest[i] = 0.0 then
            first && rounding[i] > 0.0
        else
            let entry = abs values[at i j]
            let allowed = if entry = 0.0 then toleratedZero * largest[i] else tolerated * entry
            rounding[i] > allowed * abs increments[j]

    /// The increment that keeps the rounding of every drowned row of a column small; 0 where none is drowned. It is about
    /// sqrt(eps) of the largest size that meets in the row, so that it is no other state.
    let remedy (values: float[]) j =
        let mutable length = 0.0

        for index in 0 .. columnRows.Count j - 1 do
            let i = columnRows.Row(j, index)

            if isDrowned values i j then
                let wanted =
                    if largest[i] = 0.0 then
                        max (10.0 * smallest[j]) (1e-2 * root * size)
                    else
                        rounding[i] / (root * largest[i])

                length <- max length wanted

        length

    let repair t (y: float[]) (slope: float[]) (values: float[]) (columns: int[]) =
        let mutable any = false

        for j in columns do
            let length = remedy values j
            let isLonger = length > 2.0 * abs increments[j]
            longer[j] <- if isLonger then rounded y slope j length else 0.0
            any <- any || isLonger

        if any then
            let sign = difference t y columns longer

            if finite slopes then
                for j in columns do
                    if longer[j] <> 0.0 then
                        for index in 0 .. columnRows.Count j - 1 do
                            let i = columnRows.Row(j, index)

                            if isDrowned values i j then
                                values[at i j] <- (slopes[i] - slope[i]) * (sign / longer[j])

            restore y columns

    override _.Evaluations = evaluations

    override _.Fill(t, y, slope, values) =
        if not sparsity.IsDense then
            Array.Clear values

        Array.blit y 0 moved 0 n

        for columns in colouring.Columns do
            for j in columns do
                increments[j] <- increment y slope j

            let sign = difference t y columns increments

            for j in columns do
                let inverse = if increments[j] = 0.0 then 0.0 else sign / increments[j]

                for index in 0 .. columnRows.Count j - 1 do
                    let i = columnRows.Row(j, index)
                    values[at i j] <- (slopes[i] - slope[i]) * inverse

            restore y columns

        measureRows y slope values

        for columns in colouring.Columns do
            repair t y slope values columns

        first <- false

    override _.TimeSlope(t, y, slope, dest) =
        if autonomous then
            Array.Clear dest
        else
            Array.blit y 0 moved 0 n

            // The field changes on the scale of the steps, however late it is. Three points, so that the distance can be long enough to
            // be rid of rounding: an error here goes into every stage, divided by nothing but the stiffness.
            let distance =
                if Double.IsNaN lastTime || lastTime = t then
                    1e-6 * min (max (abs t) 1e-2) 1e3
                else
                    1e-3 * abs (t - lastTime)

            lastTime <- t
            let ulp = Math.BitIncrement(abs t) - abs t
            let delta = (t + max distance (16.0 * ulp)) - t
            evaluate (t + 2.0 * delta)

            for i in 0 .. n - 1 do
                dest[i] <- slope[i] - slopes[i]

            evaluate (t + delta)

            for i in 0 .. n - 1 do
                dest[i] <- (dest[i] + 4.0 * (slopes[i] - slope[i])) / (2.0 * delta)

/// A Jacobian given by its owner; the time slope given too, or by a difference.
[<Sealed>]
type internal GivenJacobian
    (shape: MatrixShape, jacobian: JacobianFunction, timeSlope: VectorField, rest: JacobianSource) =
    inherit JacobianSource(shape)

    override _.Evaluations = rest.Evaluations

    override _.Fill(t, y, _, values) =
        Array.Clear values
        jacobian.Invoke(t, ReadOnlySpan<float> y, JacobianMatrix(shape, Span<float> values))

    override _.TimeSlope(t, y, slope, dest) =
        if isNull timeSlope then
            rest.TimeSlope(t, y, slope, dest)
        else
            Array.Clear dest
            timeSlope.Invoke(t, ReadOnlySpan<float> y, Span<float> dest)
