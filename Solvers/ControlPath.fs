// A path that drives an equation: continuous, and a polynomial of degree at most 3 between neighbouring knots.
namespace Continuum

open System
open TorchSharp

/// From which side a derivative is taken at a knot, where it may jump.
type Side =
    /// Of the piece that ends there.
    | Left = 0
    /// Of the piece that starts there.
    | Right = 1

/// A path on tensors, X(s) of shape (...batch, channels) for s between the first and the last knot. Made by ControlPath.create and
/// ControlPath.linear; immutable. Owns its tensors: dispose it, or nothing more than the garbage collector will.
[<Sealed; AllowNullLiteral>]
type ControlPath internal (knots: float[], pieces: CubicPieces, observations: int[]) =
    let keep (x: Tensor) = if isNull x then null else x.alias().DetachFromDisposeScope()
    let a = keep pieces.A
    let b = keep pieces.B
    let c = keep pieces.C
    let d = keep pieces.D
    let last = knots.Length - 2
    let isInside t = t >= knots[0] && t <= knots[knots.Length - 1]

    /// The piece that holds t, from the side asked for where two meet.
    let locate (t: float) (side: Side) : int =
        if not (isInside t) then
            raise (
                ArgumentOutOfRangeException(nameof t, t, $"The path runs from {knots[0]} to {knots[knots.Length - 1]}.")
            )

        match Array.BinarySearch(knots, t) with
        | at when at < 0 -> ~~~at - 1
        | at when side = Side.Right -> min at last
        | at -> max (at - 1) 0

    let scale (x: Tensor) (factor: float) = x.mul factor

    /// (...batch, channels) of one piece.
    let piece (x: Tensor) (k: int) : Tensor = x.select (0L, int64 k)

    let valueIn k (u: float) : Tensor =
        let start = piece a k

        if u = 0.0 then
            start.alias ()
        else
            let rise = scale (piece b k) u

            if isNull c then
                start.add rise
            else
                start.add(rise).add(scale (piece c k) (u * u)).add(scale (piece d k) (u * u * u))

    let slopeIn k (u: float) : Tensor =
        let slope = piece b k

        if isNull c || u = 0.0 then
            slope.alias ()
        else
            slope.add(scale (piece c k) (2.0 * u)).add(scale (piece d k) (3.0 * u * u))

    let kept (compute: unit -> Tensor) : Tensor =
        use _ = torch.NewDisposeScope()
        compute().MoveToOuterDisposeScope()

    /// Where the pieces meet, increasing: the path is smooth in between. A copy.
    member _.Knots = Array.copy knots
    /// First value of the parameter.
    member _.Start = knots[0]
    /// Last value of the parameter.
    member _.End = knots[knots.Length - 1]
    /// Number of pieces.
    member _.Pieces = knots.Length - 1
    /// Number of channels.
    member _.Channels = int a.shape[a.shape.Length - 1]
    /// Shape in front of the channels.
    member _.BatchShape = Array.sub a.shape 1 (a.shape.Length - 2)
    /// All pieces are straight.
    member _.IsPiecewiseLinear = isNull c
    /// The parameter at each observation that the path was made from (each row of the batch), increasing. A copy.
    member _.Observations = observations |> Array.map (fun i -> knots[i])
    /// Whether gradients flow from the path to the data it was made from.
    member _.RequiresGrad = b.requires_grad || a.requires_grad

    member internal _.RawKnots = knots
    member internal _.RawObservations = observations
    /// Coefficients, each of shape (pieces, ...batch, channels).
    member internal _.Coefficients: CubicPieces = { A = a; B = b; C = c; D = d }

    /// X(t). ArgumentOutOfRangeException outside of the path.
    member _.Value(t: float) : Tensor =
        let k = locate t Side.Right
        kept (fun () -> valueIn k (t - knots[k]))

    /// X at the first knot: what an initial state is usually made of.
    member _.First: Tensor = kept (fun () -> (piece a 0).alias())

    /// X at the last knot.
    member _.Last: Tensor = kept (fun () -> valueIn last (knots[last + 1] - knots[last]))

    /// dX/dt at t; at a knot, of the piece on that side (at the ends, of the only one).
    /// ArgumentOutOfRangeException outside of the path.
    member _.Derivative(t: float, side: Side) : Tensor =
        let k = locate t side
        kept (fun () -> slopeIn k (t - knots[k]))

    /// X(t) - X(s). ArgumentOutOfRangeException outside of the path.
    member this.Increment(s: float, t: float) : Tensor = kept (fun () -> (this.Value t).sub(this.Value s))

    /// X at each knot, (...batch, knots, channels).
    member this.AtKnots: Tensor =
        kept (fun () ->
            let values = torch.cat ([| a; this.Last.unsqueeze 0L |], 0L)
            values.movedim ([| 0L |], [| -2L |]))

    /// The paths of some series of a batch with one batch dimension, in this order: coefficients once computed serve many minibatches.
    /// ArgumentException for a path without a batch, ArgumentOutOfRangeException for an index that is not in it.
    member this.Select(series: int[]) : ControlPath =
        ArgumentNullException.ThrowIfNull series

        if this.BatchShape.Length <> 1 then
            let text = String.Join(", ", this.BatchShape)
            raise (ArgumentException $"Series are selected from a batch of shape [series]; this path has [{text}].")

        for i in series do
            if i < 0 || int64 i >= this.BatchShape[0] then
                raise (ArgumentOutOfRangeException(nameof series, i, $"There are {this.BatchShape[0]} series."))

        use _ = torch.NewDisposeScope()
        use plain = torch.tensor (Array.map int64 series)
        let index = plain.clone().``to`` a.device
        let pick (x: Tensor) = if isNull x then null else x.index_select (1L, index)
        new ControlPath(knots, { A = pick a; B = pick b; C = pick c; D = pick d }, observations)

    /// The same path cut off from the graph of its data, in this dtype.
    member _.Detached(dtype: torch.ScalarType) : ControlPath =
        use _ = torch.NewDisposeScope()
        use _ = torch.no_grad ()
        let plain (x: Tensor) = if isNull x then null else x.detach().``to``(dtype)
        new ControlPath(knots, { A = plain a; B = plain b; C = plain c; D = plain d }, observations)

    interface IDisposable with
        member _.Dispose() =
            for x in [| a; b; c; d |] do
                if not (isNull x) then
                    x.Dispose()
