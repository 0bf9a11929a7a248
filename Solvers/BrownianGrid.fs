// Times as places on the dyadic grid of a path.
namespace Continuum

open System

/// A place in time: a cell, a leaf of it (counted in 2^-Depth of a cell), and how far into that leaf; 0 is the grid point itself.
[<Struct>]
type internal GridPlace = { Cell: int; Leaf: int64; Fraction: float }

/// The dyadic grid of a path. Times that differ from a grid point by rounding alone are that point.
[<Sealed>]
type internal BrownianGrid(spec: BrownianSpec) =
    let cells = float spec.Cells
    let span = spec.End - spec.Start
    let width = spec.CellWidth
    let perTime = cells / span

    // A few roundings of the time and of its place, in cells.
    let tolerance = 16.0 * 2.220446049250313e-16 * (Math.Max(abs spec.Start, abs spec.End) / width + cells)

    let depth = Math.Min(spec.Resolution, int (floor (-(Math.Log2(tolerance * 64.0)))))
    let leaves = 1L <<< Math.Max(depth, 0)

    let areaDepth =
        if spec.Level = LevyLevel.Area then
            Math.Min(BrownianSpec.leafDepth spec, depth)
        else
            depth

    let outside (t: float) =
        raise (ArgumentOutOfRangeException(nameof t, t, $"The path is defined on [{spec.Start}, {spec.End}]."))

    do
        if depth < 0 then
            raise (
                ArgumentOutOfRangeException(
                    "Cells",
                    spec.Cells,
                    $"Cells of length {width} are too narrow for times up to {spec.End}: doubles do not resolve them."
                )
            )

    /// Place in cells, with the ends exact.
    let position (t: float) =
        let x = (t - spec.Start) * perTime

        if x >= 0.0 && x <= cells then x
        elif x < 0.0 && x >= -tolerance then 0.0
        elif x > cells && x <= cells + tolerance then cells
        else outside t

    /// The time that is x cells after the start.
    let timeAt (x: float) = if x = cells then spec.End else spec.Start + span * (x / cells)

    /// Levels below a cell.
    member _.Depth = depth
    /// Leaves of a cell, 2^Depth.
    member _.Leaves = leaves
    /// Depth of the pieces whose area is drawn; the deepest at which queries are exact.
    member _.AreaDepth = areaDepth
    /// Length of a cell.
    member _.Width = width

    /// The time at the start of a cell.
    member _.TimeOf(cell: int) = timeAt (float cell)

    /// Where a time is. ArgumentOutOfRangeException outside of the path.
    member _.Place(t: float) : GridPlace =
        let x = position t
        let cell = floor x
        let y = (x - cell) * float leaves
        let near = Math.Round y

        if abs (y - near) <= tolerance * float leaves then
            if int64 near = leaves then
                { Cell = int cell + 1; Leaf = 0L; Fraction = 0.0 }
            else
                { Cell = int cell; Leaf = int64 near; Fraction = 0.0 }
        else
            let leaf = floor y
            { Cell = int cell; Leaf = int64 leaf; Fraction = y - leaf }

    /// The number of steps after which time t is, where it is a boundary of cells; else -1.
    member this.Boundary(t: float) =
        let place = this.Place t
        if place.Leaf = 0L && place.Fraction = 0.0 then place.Cell else -1

    /// The point of the coarsest dyadic grid within (t - s)/16 of t; t where there is none.
    member _.Snap(s: float, t: float) : float =
        let x0 = position s
        let x1 = position t
        let reach = abs (x1 - x0) / 16.0

        if x1 >= cells - tolerance && t > s then
            spec.End
        elif x1 <= tolerance && t < s then
            spec.Start
        else
            let low = Math.Max(x1 - reach, 0.0)
            let high = Math.Min(x1 + reach, cells)
            let mutable level = 0
            let mutable scale = 1.0
            let mutable found = nan

            while Double.IsNaN found && level <= depth do
                let last = floor (high * scale)

                if last >= low * scale then
                    let near = Math.Round(x1 * scale)
                    found <- (if near >= low * scale && near <= last then near else last) / scale

                level <- level + 1
                scale <- 2.0 * scale

            let time = if Double.IsNaN found then t else timeAt found

            if (t > s && time > s) || (t < s && time < s) then time else t
