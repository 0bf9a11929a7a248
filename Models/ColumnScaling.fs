// Columns in scaled coordinates, their logarithms where those are modelled.
namespace Continuum

open System

/// Mean and spread of columns, and the coordinates that they make.
[<RequireQualifiedAccess>]
module internal ColumnScaling =
    /// Mean and standard deviation of values.
    let moments (values: float[]) : struct (float * float) =
        let mean = Array.average values
        struct (mean, values |> Array.averageBy (fun v -> (v - mean) * (v - mean)) |> sqrt)

    /// ArgumentException for a column whose spread vanishes against its mean.
    let checkSpread (column: string) (mean: float) (spread: float) =
        if not (spread > 1e-12 * (1.0 + abs mean)) then
            raise (ArgumentException $"the column '{column}' is constant; leave it out")

    /// A value about a centre, in units of a spread.
    let toScaled (logarithm: bool) (centre: float) (spread: float) (value: float) =
        ((if logarithm then log value else value) - centre) / spread

    /// The value of a scaled coordinate.
    let toValue (logarithm: bool) (centre: float) (spread: float) (x: float) =
        let value = centre + spread * x
        if logarithm then exp value else value

    /// Whether logarithms are modelled: as `wanted`, or by default where every value is above 0. ArgumentException for a value without
    /// a logarithm where they are.
    let logarithm (wanted: Nullable<bool>) (columns: string[]) (paths: ObservedPath[]) : bool =
        let chosen = if wanted.HasValue then wanted.Value else ObservedPaths.allPositive paths

        if chosen then
            ObservedPaths.checkPositive columns paths

        chosen
