// Polynomials through a few neighbours: interpolation and derivatives at any point, from values at any points of an axis.
namespace Continuum

open System

/// Weights of values in the value or a derivative of the polynomial through them. Fornberg 1988, "Generation of finite difference formulas
/// on arbitrarily spaced grids".
[<RequireQualifiedAccess>]
module LocalPolynomials =

    let private bad (text: string) = raise (ArgumentException text)

    /// One more node x[i] in the table c.[node, derivative]; c1 is the product of the earlier node's distances. Gives that of this one.
    let private withNode (at: float) (x: float[]) (c: float[,]) (i: int) (c1: float) =
        let most = min i (c.GetLength 1 - 1)
        let before, here = x[i - 1] - at, x[i] - at
        let mutable c2 = 1.0

        for j in 0 .. i - 1 do
            c2 <- c2 * (x[i] - x[j])

        for k in most .. -1 .. 0 do
            let lower = if k > 0 then float k * c[i - 1, k - 1] else 0.0
            c[i, k] <- c1 * (lower - before * c[i - 1, k]) / c2

        for j in 0 .. i - 1 do
            for k in most .. -1 .. 0 do
                let lower = if k > 0 then float k * c[j, k - 1] else 0.0
                c[j, k] <- (here * c[j, k] - lower) / (x[i] - x[j])

        c2

    /// The weights w with sum_j w_j f(nodes_j) = the derivative of this order (0: the value) at a point of the polynomial through the values.
    /// ArgumentException for fewer than order + 1 nodes and for nodes that coincide.
    let weights (derivative: int) (at: float) (nodes: float[]) : float[] =
        ArgumentNullException.ThrowIfNull(nodes, nameof nodes)

        if derivative < 0 || nodes.Length <= derivative then
            bad $"A derivative of order {derivative} needs {derivative + 1} nodes or more; got {nodes.Length}."

        if (Array.distinct nodes).Length < nodes.Length then
            bad "Nodes coincide; a polynomial needs its values at different nodes."

        let c = Array2D.zeroCreate nodes.Length (derivative + 1)
        c[0, 0] <- 1.0
        let mutable c1 = 1.0

        for i in 1 .. nodes.Length - 1 do
            c1 <- withNode at nodes c i c1

        Array.init nodes.Length (fun j -> c[j, derivative])

    /// Coordinate number j of the points, continued by whole periods on periodic axes.
    let private coordinate (points: AxisPoints) (j: int) =
        let n = points.Count
        let turn = if j >= 0 then j / n else -((n - 1 - j) / n)
        points.X[j - turn * n] + float turn * points.Axis.Length

    /// The number of the last point not above a place, -1 if all are.
    let private below (points: AxisPoints) (at: float) =
        let found = Array.BinarySearch(points.X, at)
        if found >= 0 then found else ~~~found - 1

    /// The first of `width` neighbours of a place, as central as the ends allow.
    let private window (points: AxisPoints) (width: int) (at: float) =
        let i = below points at
        let periodic = points.Axis.Boundary = Boundary.Periodic

        let centred =
            if width % 2 = 0 then
                i - width / 2 + 1
            else
                let inside j = periodic || (j >= 0 && j < points.Count)
                let distance j = if inside j then abs (coordinate points j - at) else infinity
                let nearest = if distance (i + 1) < distance i then i + 1 else i
                nearest - width / 2

        if periodic then centred else max 0 (min centred (points.Count - width))

    let private nodes (points: AxisPoints) (width: int) (at: float) =
        let first = window points width at
        first, Array.init width (fun j -> coordinate points (first + j))

    let private symmetric (at: float) (nodes: float[]) =
        let last = nodes.Length - 1
        let slack = 1e-9 * (nodes[last] - nodes[0])
        nodes |> Array.forall2 (fun a b -> abs (a + b - 2.0 * at) <= slack) (Array.rev nodes)

    /// The derivatives (0: the values) at any coordinates of an axis from the values at its points: row-major (coordinates, points).
    /// Each row has weights of the order + derivative nearest points, as central as the ends allow; for even derivatives one fewer where
    /// they lie in symmetry, which is of the same order. Axes with fewer points use all they have. ArgumentException for an axis
    /// with too few for the derivative.
    let matrix (points: AxisPoints) (derivative: int) (order: int) (at: float[]) : float[] =
        ArgumentNullException.ThrowIfNull(points, nameof points)
        ArgumentNullException.ThrowIfNull(at, nameof at)
        let n = points.Count

        if derivative < 0 || order < 1 then
            bad $"A derivative of order {derivative} with accuracy of order {order} does not exist."

        if n <= derivative then
            bad
                $"A derivative of order {derivative} needs {derivative + 1} points or more on its axis; there are {points}."

        let width = min n (order + derivative)
        let result = Array.zeroCreate (at.Length * n)

        at
        |> Array.iteri (fun row x ->
            let narrow = width - 1

            let first, chosen =
                match derivative % 2 = 0 && width = order + derivative && narrow % 2 = 1 with
                | true ->
                    let first, central = nodes points narrow x
                    if symmetric x central then first, central else nodes points width x
                | false -> nodes points width x

            weights derivative x chosen
            |> Array.iteri (fun j w ->
                let place = ((first + j) % n + n) % n
                result[row * n + place] <- result[row * n + place] + w))

        result
