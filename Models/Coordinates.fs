// The coordinates in which models are fitted: data and time scaled by their own statistics, logarithms for positive states.
namespace Continuum

open System

/// Scaled coordinates of a data set. tau = (t - Origin) / TimeUnit; positive states: z = log(y / Scale), else
/// z = y / Scale - Offset. w = y / Scale is the scaled value in both cases.
type Coordinates = {
    /// Names of the columns, in order.
    Columns: string[]
    /// Name of the time column.
    TimeName: string
    /// States are integrated as logarithms.
    Positive: bool
    /// First time of the data.
    Origin: float
    /// Median step of the data: one unit of tau.
    TimeUnit: float
    /// Per column: geometric mean (positive states) or standard deviation.
    Scale: float[]
    /// Per column: mean over Scale; 0 for positive states.
    Offset: float[]
    /// Per column: standard deviation of z.
    Spread: float[]
} with

    /// Number of columns.
    member this.Dimension = this.Columns.Length

    /// Scaled time.
    member this.Tau(time: float) = (time - this.Origin) / this.TimeUnit

    /// A value of a column in scaled coordinates.
    member this.ToScaled(column: int, value: float) =
        if this.Positive then
            log (value / this.Scale[column])
        else
            value / this.Scale[column] - this.Offset[column]

    /// A scaled coordinate as a value in the data's units.
    member this.ToValue(column: int, z: float) =
        if this.Positive then
            this.Scale[column] * exp z
        else
            this.Scale[column] * (z + this.Offset[column])

/// Construction of coordinates.
[<RequireQualifiedAccess>]
module Coordinates =
    let private mean (values: float[]) = Array.average values

    let private deviation (values: float[]) =
        let centre = mean values
        let spread = values |> Array.averageBy (fun v -> (v - centre) * (v - centre)) |> sqrt
        // A constant column has no scale of its own.
        if spread > 1e-12 * (1.0 + abs centre) then spread else max 1.0 (abs centre)

    /// Coordinates from data: times (rising, at least three) and values of shape (times, columns).
    /// `positive` None takes logarithms when every value is above 0. ArgumentException, naming row and column, when positive states are
    /// asked for and a value is not above 0.
    let create
        (timeName: string)
        (columns: string[])
        (times: float[])
        (values: float[,])
        (positive: bool option)
        : Coordinates =
        if times.Length < 3 then
            raise (ArgumentException $"fitting needs at least three rows; the data have {times.Length}")

        let rows = times.Length
        let column j = Array.init rows (fun i -> values[i, j])

        let wrong =
            seq {
                for i in 0 .. rows - 1 do
                    for j in 0 .. columns.Length - 1 do
                        if not (values[i, j] > 0.0) then
                            i, j
            }

        let positive =
            match positive, Seq.tryHead wrong with
            | Some true, Some(i, j) ->
                let text (x: float) = x.ToString("R", Globalization.CultureInfo.InvariantCulture)
                let where = $"row {i + 1} ({timeName} {text times[i]}) has {columns[j]} = {text values[i, j]}"

                raise (
                    ArgumentException
                        $"positive states need values above 0, but {where}; drop the row or do not ask for positive states"
                )
            | Some wish, _ -> wish
            | None, found -> Option.isNone found

        let steps = Array.pairwise times |> Array.map (fun (a, b) -> b - a) |> Array.sort

        let scale =
            Array.init columns.Length (fun j ->
                if positive then
                    column j |> Array.averageBy log |> exp
                else
                    deviation (column j))

        let offset = Array.init columns.Length (fun j -> if positive then 0.0 else mean (column j) / scale[j])

        {
            Columns = columns
            TimeName = timeName
            Positive = positive
            Origin = times[0]
            TimeUnit = steps[steps.Length / 2]
            Scale = scale
            Offset = offset
            Spread =
                Array.init columns.Length (fun j ->
                    if positive then
                        deviation (column j |> Array.map (fun v -> log (v / scale[j])))
                    else
                        1.0)
        }
