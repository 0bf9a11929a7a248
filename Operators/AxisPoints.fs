// Points on one axis with quadrature weights.
namespace Continuum

open System

/// How the points lie on an axis of length L.
type PointLayout =
    /// j L / n: the usual points of a periodic axis, the end excluded.
    | Periodic = 0
    /// j L / (n - 1): both ends included.
    | Nodes = 1
    /// (j + 1/2) L / n: centres of n equal cells.
    | Cells = 2
    /// (j + 1) L / (n + 1): the nodes without the ends, where a Dirichlet axis knows the value.
    | Interior = 3
    /// Anywhere, in rising order.
    | Irregular = 4

/// Rising points on an axis and weights w with sum w_j f(x_j) near the integral of f over it.
///
/// Uniform points carry the rule that is best for the functions of the axis: equal weights on periodic axes and at cell centres, the
/// trapezoidal rule on nodes of Dirichlet and Neumann axes (there sine and cosine series are orthogonal under it), and on open axes these
/// with end corrections, of order 4 from six points up.
[<Sealed>]
type AxisPoints private (axis: Axis, layout: PointLayout, coordinates: float[], weights: float[]) =

    static let bad (text: string) = raise (ArgumentException text)

    static let allowed (axis: Axis) (layout: PointLayout) =
        match layout with
        | PointLayout.Periodic -> axis.Boundary = Boundary.Periodic
        | PointLayout.Nodes -> axis.Boundary <> Boundary.Periodic
        | PointLayout.Cells -> true
        | PointLayout.Interior -> axis.Boundary = Boundary.Dirichlet
        | _ -> false

    static let least (layout: PointLayout) = if layout = PointLayout.Nodes then 2 else 1

    /// Adds corrections at both ends: h times these, the first at the outermost point.
    static let corrected (h: float) (ends: float[]) (weights: float[]) =
        if weights.Length >= 2 * ends.Length then
            for i in 0 .. ends.Length - 1 do
                weights[i] <- weights[i] + h * ends[i]
                weights[weights.Length - 1 - i] <- weights[weights.Length - 1 - i] + h * ends[i]

        weights

    static let uniformWeights (axis: Axis) (layout: PointLayout) (n: int) =
        let isOpen = axis.Boundary = Boundary.Open

        match layout with
        | PointLayout.Nodes ->
            let h = axis.Length / float (n - 1)
            let weights = Array.create n h
            weights[0] <- 0.5 * h
            weights[n - 1] <- 0.5 * h
            // Euler-Maclaurin's first term with one-sided slopes of second order.
            if isOpen then
                corrected h [| -1.0 / 8.0; 1.0 / 6.0; -1.0 / 24.0 |] weights
            else
                weights
        | PointLayout.Interior -> Array.create n (axis.Length / float (n + 1))
        | _ ->
            let h = axis.Length / float n
            let weights = Array.create n h

            if isOpen then
                corrected h [| 1.0 / 12.0; -1.0 / 8.0; 1.0 / 24.0 |] weights
            else
                weights

    static let uniformCoordinates (axis: Axis) (layout: PointLayout) (n: int) =
        let at =
            match layout with
            | PointLayout.Nodes -> fun j -> float j / float (n - 1)
            | PointLayout.Cells -> fun j -> (float j + 0.5) / float n
            | PointLayout.Interior -> fun j -> float (j + 1) / float (n + 1)
            | _ -> fun j -> float j / float n

        Array.init n (fun j -> axis.Start + axis.Length * at j)

    /// The trapezoidal rule: each point stands for half the way to its neighbours, the outermost for all the way to the ends.
    static let trapezoid (axis: Axis) (x: float[]) =
        let n = x.Length

        if axis.Boundary = Boundary.Periodic then
            Array.init n (fun j ->
                let before = if j > 0 then x[j - 1] else x[n - 1] - axis.Length
                let after = if j < n - 1 then x[j + 1] else x[0] + axis.Length
                0.5 * (after - before))
        else
            Array.init n (fun j ->
                let low = if j > 0 then 0.5 * (x[j - 1] + x[j]) else axis.Start
                let high = if j < n - 1 then 0.5 * (x[j] + x[j + 1]) else axis.End
                high - low)

    static let checkCoordinates (axis: Axis) (x: float[]) =
        ArgumentNullException.ThrowIfNull(axis, nameof axis)
        ArgumentNullException.ThrowIfNull(x, "coordinates")

        if x.Length = 0 then
            bad "An axis needs at least one point."

        let slack = 1e-12 * axis.Length
        let periodic = axis.Boundary = Boundary.Periodic

        x
        |> Array.iteri (fun j value ->
            if not (Double.IsFinite value) then
                bad $"Coordinate {j} is {value}; coordinates must be finite."

            if value < axis.Start - slack || value > axis.End + slack || (periodic && value >= axis.End) then
                let remedy = if periodic then "; a periodic axis excludes its end" else ""
                bad $"Coordinate {j} is {value}, outside of the axis {axis}{remedy}."

            if j > 0 && not (value > x[j - 1]) then
                bad $"Coordinates must rise; coordinate {j} is {value} after {x[j - 1]}.")

    /// The axis on which the points lie.
    member _.Axis = axis
    /// How they lie.
    member _.Layout = layout
    /// Number of points.
    member _.Count = coordinates.Length
    /// The points, in rising order.
    member _.Coordinates = Array.copy coordinates
    /// The weights of the quadrature.
    member _.Weights = Array.copy weights

    /// The same points for functions that keep no conditions at the ends, as the hidden functions of a network on a Dirichlet axis: on an open axis, with weights of
    /// order 3 for interior points (the open rule h (23/12, 7/12, 1, .., 1, 7/12, 23/12)).
    member internal this.Free: AxisPoints =
        if axis.Boundary <> Boundary.Dirichlet then
            this
        else
            let free = Axis(axis.Start, axis.Length, Boundary.Open)
            let n = coordinates.Length

            match layout with
            | PointLayout.Nodes
            | PointLayout.Cells -> AxisPoints(free, layout, coordinates, uniformWeights free layout n)
            | PointLayout.Interior when n < 4 ->
                AxisPoints(free, PointLayout.Irregular, coordinates, trapezoid free coordinates)
            | PointLayout.Interior ->
                let h = axis.Length / float (n + 1)
                let own = corrected h [| 11.0 / 12.0; -5.0 / 12.0 |] (Array.create n h)
                AxisPoints(free, PointLayout.Irregular, coordinates, own)
            | _ -> AxisPoints(free, layout, coordinates, weights)

    member internal _.X = coordinates
    member internal _.W = weights

    /// Distance of neighbours; NaN of irregular points.
    member _.Spacing =
        match layout with
        | PointLayout.Nodes -> axis.Length / float (coordinates.Length - 1)
        | PointLayout.Interior -> axis.Length / float (coordinates.Length + 1)
        | PointLayout.Irregular -> nan
        | _ -> axis.Length / float coordinates.Length

    /// The usual layout of an axis: Periodic on periodic axes, Cells on Neumann axes, else Nodes.
    static member UsualLayout(axis: Axis) =
        match axis.Boundary with
        | Boundary.Periodic -> PointLayout.Periodic
        | Boundary.Neumann -> PointLayout.Cells
        | _ -> PointLayout.Nodes

    /// n points at equal distances. ArgumentException for a layout that the axis cannot have and for too few points.
    static member Uniform(axis: Axis, n: int, layout: PointLayout) : AxisPoints =
        ArgumentNullException.ThrowIfNull(axis, nameof axis)

        if not (allowed axis layout) then
            bad
                $"The axis {axis} has no {layout} points; take Periodic or Cells on periodic axes, Nodes or Cells on others, Interior on Dirichlet axes alone."

        if n < least layout then
            bad $"{layout} points on an axis number at least {least layout}; got {n}."

        AxisPoints(axis, layout, uniformCoordinates axis layout n, uniformWeights axis layout n)

    /// n points at equal distances in the axis's usual layout.
    static member Uniform(axis: Axis, n: int) : AxisPoints =
        ArgumentNullException.ThrowIfNull(axis, nameof axis)
        AxisPoints.Uniform(axis, n, AxisPoints.UsualLayout axis)

    /// Points anywhere on the axis, rising, with the weights of the trapezoidal rule (order 2).
    static member At(axis: Axis, coordinates: float[]) : AxisPoints =
        checkCoordinates axis coordinates
        AxisPoints(axis, PointLayout.Irregular, Array.copy coordinates, trapezoid axis coordinates)

    /// Points anywhere on the axis, rising, with weights of your own, positive or zero.
    static member At(axis: Axis, coordinates: float[], weights: float[]) : AxisPoints =
        checkCoordinates axis coordinates
        ArgumentNullException.ThrowIfNull(weights, nameof weights)

        if weights.Length <> coordinates.Length then
            bad $"{coordinates.Length} points need as many weights; got {weights.Length}."

        match weights |> Array.tryFindIndex (fun w -> not (Double.IsFinite w && w >= 0.0)) with
        | Some j -> bad $"Weight {j} is {weights[j]}; weights must be finite and not negative."
        | None -> ()

        if Array.sum weights <= 0.0 then
            bad "All weights are zero; some must be positive."

        AxisPoints(axis, PointLayout.Irregular, Array.copy coordinates, Array.copy weights)

    /// The n points of Gauss and Legendre, exact for polynomials up to degree 2 n - 1; not for periodic axes.
    static member GaussLegendre(axis: Axis, n: int) : AxisPoints =
        ArgumentNullException.ThrowIfNull(axis, nameof axis)

        if n < 1 then
            bad $"A rule of Gauss and Legendre has at least one point; got {n}."

        let rule = MathNet.Numerics.Integration.GaussLegendreRule(axis.Start, axis.End, n)
        let order = Array.init n id |> Array.sortBy (fun i -> rule.GetAbscissa i)
        AxisPoints.At(axis, order |> Array.map rule.GetAbscissa, order |> Array.map rule.GetWeight)

    /// Same points and weights on the same axis.
    override _.Equals(other: obj) =
        match other with
        | :? AxisPoints as o ->
            obj.ReferenceEquals(o.X, coordinates)
            || (axis.Equals o.Axis
                && layout = o.Layout
                && o.X.Length = coordinates.Length
                && (layout <> PointLayout.Irregular || (o.X = coordinates && o.W = weights)))
        | _ -> false

    override _.GetHashCode() = HashCode.Combine(axis, layout, coordinates.Length)

    /// Such as `64 points (nodes) on open [0, 1]`.
    override _.ToString() =
        let layout = layout.ToString().ToLowerInvariant()
        $"{coordinates.Length} points ({layout}) on {axis}"
