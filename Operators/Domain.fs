// Where functions live: boxes, axis by axis, and what a function does at the ends of each axis.
namespace Continuum

open System

/// What the functions of a space do at the two ends of an axis.
type Boundary =
    /// The end is the start again.
    | Periodic = 0
    /// The value is zero (homogeneous Dirichlet condition): sine series.
    | Dirichlet = 1
    /// The slope is zero (homogeneous Neumann condition): cosine series.
    | Neumann = 2
    /// Nothing is known: kernels act on the function where it is, as if it were zero outside.
    | Open = 3

/// One axis of a domain: an interval, in the units of the coordinates, with what holds at its ends.
[<Sealed>]
type Axis(start: float, length: float, boundary: Boundary) =
    do
        if not (Double.IsFinite start && Double.IsFinite length && length > 0.0) then
            raise (
                ArgumentException
                    $"An axis needs a finite start and a positive finite length; got start {start} and length {length}."
            )

        if not (Enum.IsDefined boundary) then
            raise (ArgumentOutOfRangeException(nameof boundary, boundary, "not a boundary condition"))

    /// First coordinate.
    member _.Start = start
    /// Length; the period of a periodic axis.
    member _.Length = length
    /// What holds at the ends.
    member _.Boundary = boundary
    /// The end, start + length.
    member _.End = start + length

    /// [0, length) with its ends joined.
    static member Periodic(length: float) = Axis(0.0, length, Boundary.Periodic)
    /// [0, length] with value zero at both ends.
    static member Dirichlet(length: float) = Axis(0.0, length, Boundary.Dirichlet)
    /// [0, length] with slope zero at both ends.
    static member Neumann(length: float) = Axis(0.0, length, Boundary.Neumann)
    /// [0, length] without conditions.
    static member Open(length: float) = Axis(0.0, length, Boundary.Open)

    /// Same interval and condition.
    override _.Equals(other: obj) =
        match other with
        | :? Axis as o -> o.Start = start && o.Length = length && o.Boundary = boundary
        | _ -> false

    override _.GetHashCode() = HashCode.Combine(start, length, boundary)

    /// Such as `periodic [0, 1)`.
    override _.ToString() =
        let condition = boundary.ToString().ToLowerInvariant()
        let close = if boundary = Boundary.Periodic then ")" else "]"
        $"{condition} [{start:g6}, {start + length:g6}{close}"

/// A box: the product of its axes, one to three of them. Equal domains have equal axes.
[<Sealed>]
type Domain(axes: Axis[]) =
    do
        ArgumentNullException.ThrowIfNull axes

        if axes.Length < 1 || axes.Length > 3 || Array.exists isNull (Array.map box axes) then
            raise (ArgumentException $"A domain has one, two or three axes; got {axes.Length}.")

    let axes = Array.copy axes

    /// The axes, in the order of the values' axes.
    member _.Axes = Array.copy axes

    /// One axis.
    member _.Item
        with get (i: int) = axes[i]

    /// Number of axes.
    member _.Dimension = axes.Length
    /// Product of the lengths.
    member _.Volume = axes |> Array.fold (fun product axis -> product * axis.Length) 1.0

    /// The box [0, length)^dimension with the same condition on every axis.
    static member Cube(dimension: int, length: float, boundary: Boundary) =
        if dimension < 1 || dimension > 3 then
            raise (ArgumentException $"A domain has one, two or three axes; got {dimension}.")

        Domain(Array.init dimension (fun _ -> Axis(0.0, length, boundary)))

    /// The torus [0, 1)^dimension.
    static member Torus(dimension: int) = Domain.Cube(dimension, 1.0, Boundary.Periodic)

    override _.Equals(other: obj) =
        match other with
        | :? Domain as o -> o.Dimension = axes.Length && Array.forall2 (fun (a: Axis) b -> a.Equals b) axes o.Axes
        | _ -> false

    override _.GetHashCode() = axes |> Array.fold (fun hash axis -> HashCode.Combine(hash, axis)) axes.Length

    /// The axes, such as `periodic [0, 1) x open [0, 2]`.
    override _.ToString() = String.Join(" x ", axes)
